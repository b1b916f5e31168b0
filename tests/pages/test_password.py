"""The door to one's own password, and what happens after somebody else has set it."""

from __future__ import annotations

import re

import requests

from db import OPERATOR, Repository, open_store
from tests.pages.reading_server import COORDINATOR, PASSWORD, ReadingServer

NEW = "four words nobody guesses"


def posted(session: requests.Session, server: ReadingServer, path: str, **fields: str) -> requests.Response:
    """Fetch the form of a page and send it."""
    page = session.get(server.url + path, timeout=10)
    (token,) = re.findall('name="form_token" value="([^"]+)"', page.text)
    headers = {"origin": server.url}
    data = {"form_token": token, **fields}
    return session.post(server.url + path, data=data, headers=headers, timeout=20, allow_redirects=False)


def signed_in(server: ReadingServer, login: str, password: str) -> requests.Session:
    session = requests.Session()
    assert posted(session, server, "/sign-in", login=login, password=password).status_code == 303
    return session


def change(session: requests.Session, server: ReadingServer, old: str, new: str, again: str | None = None):
    return posted(session, server, "/password", old=old, new=new, again=new if again is None else again)


def test_a_person_changes_the_own_password_and_every_wrong_input_is_told_at_its_field(server: ReadingServer) -> None:
    session, elsewhere = (signed_in(server, "reader-59", PASSWORD) for _ in range(2))
    for old, new, again, field, said in (
        ("wrong", NEW, NEW, "old", "The old password is wrong."),
        (PASSWORD, "short", "short", "new", "The password has 5 characters."),
        (PASSWORD, "Password123!", "Password123!", "new", "one of the most common ones"),
        (PASSWORD, NEW, NEW + "!", "again", "The two new passwords differ."),
    ):
        answer = change(session, server, old, new, again)
        assert answer.status_code == 400
        (label,) = re.findall(f'<label>(?:(?!</label>).)*name="{field}".*?</label>', answer.text)
        assert said in label
        for typed in {old, new, again} - {"wrong", "short"}:
            assert f'"{typed}"' not in answer.text
    answer = change(session, server, PASSWORD, NEW)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert session.get(server.url, timeout=10, allow_redirects=False).status_code == 200
    assert elsewhere.get(server.url, timeout=10, allow_redirects=False).status_code == 401
    signed_in(server, "reader-59", NEW)


def test_who_got_a_password_from_somebody_else_comes_no_further_than_to_a_new_one(server: ReadingServer) -> None:
    engine = open_store(server.store_url)
    Repository(engine, OPERATOR).set_password("reader-58", "set by the operator")
    engine.dispose()
    session = signed_in(server, "reader-58", "set by the operator")
    html = {"accept": "text/html"}
    answer = session.get(f"{server.url}/read?study=demo", headers=html, timeout=10, allow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/password?next=%2Fread%3Fstudy%3Ddemo")
    assert session.get(f"{server.url}/_stcore/stream", timeout=10).status_code == 403
    assert "Your password was set by operator on" in session.get(f"{server.url}/password", timeout=10).text
    assert change(session, server, "set by the operator", "set by the operator").status_code == 400
    assert change(session, server, "set by the operator", NEW).status_code == 303
    assert session.get(f"{server.url}/read", headers=html, timeout=10, allow_redirects=False).status_code == 200


def test_the_page_needs_a_sign_in_and_its_own_form(server: ReadingServer) -> None:
    nobody = requests.Session()
    where = nobody.get(f"{server.url}/password", headers={"accept": "text/html"}, timeout=10, allow_redirects=False)
    assert where.headers["location"] == "/sign-in?next=%2Fpassword"
    session = signed_in(server, COORDINATOR, PASSWORD)
    data = {"old": PASSWORD, "new": NEW, "again": NEW}
    forged = session.post(f"{server.url}/password", data=data, headers={"origin": server.url}, timeout=10)
    assert "too old" in forged.text
    foreign = session.post(f"{server.url}/password", data=data, headers={"origin": "http://evil.example"}, timeout=10)
    assert foreign.status_code == 403
    signed_in(server, COORDINATOR, PASSWORD)
