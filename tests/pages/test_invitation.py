"""The way of an invited person, from the link to the first case, in a real browser and past it."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
import sqlalchemy as sa
from playwright.sync_api import Browser

from core.study import Role
from db import OPERATOR, Repository, open_store
from db.records import NewInvitation
from db.tables import InvitationRow
from tests.pages.reading_server import STUDY, ReadingServer
from tests.pages.test_password import posted

PASSWORD = "four words nobody guesses"


def invited(server: ReadingServer, role: Role = Role.READER) -> NewInvitation:
    engine = open_store(server.store_url)
    made = Repository(engine, OPERATOR).invite(role, "somebody", study_key=STUDY)
    engine.dispose()
    return made


def test_the_link_leads_to_an_account_and_to_the_study_and_its_code_stays_out_of_every_log(
    server: ReadingServer, browser: Browser
) -> None:
    made = invited(server)
    context = browser.new_context(viewport={"width": 1024, "height": 640})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.extend((request.url, request.headers.get("referer", ""))))
    page.goto(f"{server.url}/invitation#{made.token}")
    page.get_by_text("read in the study “Thyroid demo study”").wait_for()
    assert made.token not in page.url
    page.get_by_label("Login").fill("invited-reader")
    page.get_by_label("Name on dashboards").fill("Dr Invited")
    page.get_by_label("Password", exact=False).first.fill("short")
    page.get_by_label("Password again").fill("short")
    page.get_by_label("Years of experience").fill("several")
    page.get_by_role("button", name="Make the account").click()
    page.get_by_text("Years of experience are a number").wait_for()
    assert page.get_by_label("Login").input_value() == "invited-reader"
    page.get_by_label("Years of experience").fill("2,5")
    page.get_by_label("Have you used").select_option("no")
    for label in ("Password 10", "Password again"):
        page.get_by_label(label).fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    page.get_by_text("Welcome, Dr Invited").wait_for(timeout=20_000)
    page.get_by_role("button", name="Start reading").wait_for()
    assert not any(made.token in each for each in asked)
    assert made.token not in Path(server.folder / "server.log").read_text(encoding="utf-8")
    context.close()
    engine = open_store(server.store_url)
    person = Repository(engine, OPERATOR).person("invited-reader")
    engine.dispose()
    assert (person.years_of_experience, person.has_used_model) == (2.5, False)
    again = posted(requests.Session(), server, "/invitation", code=made.token)
    assert again.status_code == 400
    assert "used before" in again.text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"login": "a b"}, "Not a login"),
        ({"login": "reader-1"}, "There is a person with login"),
        ({"display_name": " "}, "A person needs a name"),
        ({"password": "Password123!", "again": "Password123!"}, "one of the most common ones"),
        ({"again": "another"}, "The two passwords differ"),
        ({"years_of_experience": "200"}, "Years of experience lie between 0 and 80"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_typed_wrong_is_told_at_its_field(change: dict[str, str], said: str, server: ReadingServer) -> None:
    good = {"login": "invited-2", "display_name": "Two", "password": PASSWORD, "again": PASSWORD}
    fields = {**good, "years_of_experience": "", **change}
    answer = posted(requests.Session(), server, "/invitation", code=invited(server).token, **fields)
    assert answer.status_code == 400
    (field,) = set(change) - {"password"}
    field = "password" if "common" in said else field
    start = answer.text.index(f'name="{field}"')
    assert said in answer.text[start : answer.text.index("</label>", start)]
    assert PASSWORD not in answer.text


def test_an_invitation_that_no_longer_fits_its_study_says_so(server: ReadingServer) -> None:
    """What is wrong is at no field of the form."""
    made = invited(server)
    engine = open_store(server.store_url)
    with engine.begin() as connection:
        values = {"cohorts": ["nowhere"]}
        connection.execute(
            sa.update(InvitationRow).where(InvitationRow.invitation_id == made.invitation_id).values(values)
        )
    engine.dispose()
    fields = {"login": "invited-3", "display_name": "Three", "password": PASSWORD, "again": PASSWORD}
    answer = posted(requests.Session(), server, "/invitation", code=made.token, **fields)
    assert answer.status_code == 400
    assert "nowhere" in answer.text
    assert "Ask for a new invitation" in answer.text
