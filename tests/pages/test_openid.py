"""Sign-in through an identity provider that runs in these tests: who comes in, who does not, and what is checked."""

from __future__ import annotations

import base64
import hashlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from itsdangerous import URLSafeTimedSerializer

from db import OPERATOR, Repository, open_store
from tests.pages.reading_server import ReadingServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import oidc_provider_mock

USERS = {
    "reader-7": {"email": "Reader.Seven@Example.org", "email_verified": True},
    "stranger": {"email": "stranger@example.org", "email_verified": True},
    "unverified": {"email": "reader.seven@example.org", "email_verified": False},
    "silent": {"email": "reader.seven@example.org"},
    "textual": {"email": "reader.seven@example.org", "email_verified": "true"},
    "without": {"email_verified": True},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """Address of the provider."""
    users = [oidc_provider_mock.User(sub=sub, claims=claims) for sub, claims in USERS.items()]
    with oidc_provider_mock.run_server_in_thread(user_claims=users, require_nonce=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def app(provider: str, store_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadingServer]:
    """The app behind a base path, with this provider; reader-7 has an address."""
    folder = tmp_path_factory.mktemp("openid")
    (folder / "store.sqlite3").write_bytes(store_template.read_bytes())
    running = ReadingServer(folder, f"sqlite:///{folder / 'store.sqlite3'}")
    engine = open_store(running.store_url)
    Repository(engine, OPERATOR).set_email("reader-7", "reader.seven@example.org")
    engine.dispose()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("READING_ROOM_OIDC_ISSUER", provider)
        patch.setenv("READING_ROOM_OIDC_CLIENT_ID", "reading-room")
        patch.setenv("READING_ROOM_OIDC_CLIENT_SECRET", "secret")
        patch.setenv("READING_ROOM_OIDC_NAME", "Ulm <University>")
        running.start()
    yield running
    running.kill()


def asked(session: requests.Session, app: ReadingServer, next_: str = "/") -> str:
    """Address at the provider to which the sign-in page's link leads."""
    answer = session.get(f"{app.url}/sign-in/openid?next={next_}", timeout=20, allow_redirects=False)
    assert answer.status_code == 303
    return answer.headers["location"]


def answered(url: str, sub: str) -> str:
    """Where the provider sends the browser after somebody has signed in there."""
    answer = requests.post(url, data={"sub": sub}, timeout=20, allow_redirects=False)
    return answer.headers["location"]


def came_back(session: requests.Session, app: ReadingServer, sub: str, next_: str = "/") -> requests.Response:
    return session.get(answered(asked(session, app, next_), sub), timeout=20, allow_redirects=False)


def test_a_verified_address_leads_to_its_person_and_to_the_page_that_was_asked_for(app: ReadingServer) -> None:
    page = requests.get(f"{app.url}/sign-in", timeout=10).text
    assert "Sign in with Ulm &lt;University&gt;" in page
    session = requests.Session()
    url = asked(session, app)
    query = parse_qs(urlsplit(url).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["scope"] == ["openid email"]
    assert {"state", "nonce", "code_challenge"} <= set(query)
    answer = came_back(session, app, "reader-7", "/read?study=demo")
    assert (answer.status_code, answer.headers["location"]) == (303, "/read?study=demo")
    assert session.get(app.url, timeout=10, allow_redirects=False).status_code == 200
    engine = open_store(app.store_url)
    last = Repository(engine, OPERATOR).audit_trail(limit=1)[0]
    engine.dispose()
    assert (last.actor, last.action) == ("reader-7", "sign-in")
    assert last.detail["issuer"].startswith("http://localhost:")


@pytest.mark.parametrize(
    ("sub", "said"),
    [("stranger", "Nobody here has this address"), *((sub, "does not vouch") for sub in list(USERS)[2:])],
)
def test_an_unknown_or_unverified_address_is_refused_and_nobody_is_made_an_account(
    sub: str, said: str, app: ReadingServer
) -> None:
    session = requests.Session()
    answer = came_back(session, app, sub)
    assert answer.status_code == 403
    assert said in answer.text
    assert session.get(app.url, timeout=10, allow_redirects=False).status_code == 401
    engine = open_store(app.store_url)
    assert not {"stranger", "stranger@example.org"} & {p.login for p in Repository(engine, OPERATOR).people()}
    engine.dispose()


def test_an_inactive_person_stays_out(app: ReadingServer) -> None:
    engine = open_store(app.store_url)
    store = Repository(engine, OPERATOR)
    store.set_active("reader-7", False)
    try:
        assert came_back(requests.Session(), app, "reader-7").status_code == 403
    finally:
        store.set_active("reader-7", True)
        engine.dispose()


def test_an_answer_that_this_browser_did_not_ask_for_is_refused(app: ReadingServer) -> None:
    """Another browser's answer (login CSRF), a changed state, no code, an answer of before, and one used twice."""
    mine, other = requests.Session(), requests.Session()
    theirs = answered(asked(other, app), "reader-7")
    assert mine.get(theirs, timeout=20, allow_redirects=False).status_code == 400
    asked(mine, app)
    assert mine.get(theirs, timeout=20, allow_redirects=False).status_code == 400
    own = answered(asked(mine, app), "reader-7")
    for wrong in (own.replace("state=", "state=x"), own.replace("code=", "cod="), own.replace("code=", "code=x")):
        answer = mine.get(wrong, timeout=20, allow_redirects=False)
        assert answer.status_code in (400, 502)
        assert "failed" in answer.text
    nonce = mine.cookies.get("reading_room_openid")
    assert nonce is not None
    assert mine.get(own, timeout=20, allow_redirects=False).status_code == 303
    mine.cookies.set("reading_room_openid", nonce)
    assert mine.get(own, timeout=20, allow_redirects=False).status_code in (400, 502)


def test_a_code_obtained_with_another_nonce_is_refused_and_the_challenge_is_that_of_the_verifier(
    app: ReadingServer,
) -> None:
    session = requests.Session()
    foreign = parse_qs(urlsplit(asked(session, app)).query)["nonce"][0]
    session = requests.Session()
    url = asked(session, app)
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    kept = URLSafeTimedSerializer("").loads_unsafe(session.cookies["reading_room_openid"])[1]
    digest = hashlib.sha256(kept["verifier"].encode()).digest()
    assert query["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    answer = session.get(answered(url.replace(query["nonce"], foreign), "reader-7"), timeout=20, allow_redirects=False)
    assert answer.status_code == 502
    assert session.get(app.url, timeout=10, allow_redirects=False).status_code == 401


def test_without_a_provider_there_is_no_such_way(server: ReadingServer) -> None:
    assert "Sign in with" not in requests.get(f"{server.url}/sign-in", timeout=10).text
    html = {"accept": "text/html"}
    for path in ("/sign-in/openid", "/sign-in/openid/callback?code=a&state=b"):
        answer = requests.get(server.url + path, headers=html, timeout=10, allow_redirects=False)
        assert "set-cookie" not in answer.headers
        assert "provider" not in answer.text
