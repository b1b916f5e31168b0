"""Who may open what: every screen by every role, in the navigation and inside the screen itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier, BrokenBarrierError
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from core.errors import (
    AccessError,
    ConflictError,
    FinalAnswerError,
    InputError,
    NotFoundError,
    StoreBusyError,
    StoreDamagedError,
    StudyNotOpenError,
)
from core.protocol import THYROID_CLASSES, Protocol
from core.study import Answer, Person, Role, StudyState
from db import OPERATOR, Repository, open_store
from pages import screens
from pages.door.answers import MAX_COMMENT_LENGTH, PanelMessage, ReceiptState, read_message, save_answer
from pages.screens import SCREENS, Screen, screens_of
from pages.widgets import guard, resources
from tests.db.conftest import make_cases
from tests.pages.reading_server import COORDINATOR, PASSWORD, ROOT, STUDY
from tests.stores import repository_of, sign_in_as

_LOGIN = {Role.READER: "reader-1"} | {role: str(role) for role in Role if role is not Role.READER}


@pytest.fixture
def store(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A store of this test, which the screens use too."""
    engine = open_store(store_url)
    monkeypatch.setattr(resources, "store_engine", lambda: engine)
    yield Repository(engine, OPERATOR)
    engine.dispose()


def test_screens_that_two_sessions_open_first_are_loaded_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two imports at once may each see half of a package; afterwards nobody waits and nothing is loaded again."""
    both, loaded, drawn = Barrier(2), [], []

    def load(module: str) -> SimpleNamespace:
        loaded.append(module)
        with pytest.raises(BrokenBarrierError):
            both.wait(0.2)  # passes only while the other session is in here too
        both.reset()
        return SimpleNamespace(render=lambda: drawn.append(module))

    monkeypatch.setattr(screens, "_LOADED", {})
    monkeypatch.setattr(screens, "import_module", load)
    renders = [screens._screen(name) for name in ("study", "results")]
    for _ in range(2):
        with ThreadPoolExecutor(2) as pool:
            [done.result(30) for done in [pool.submit(render) for render in renders]]
    assert sorted(loaded) == ["pages.results", "pages.study"]
    assert sorted(drawn) == ["pages.results"] * 2 + ["pages.study"] * 2


@pytest.fixture
def signed_in_as(store: Repository, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], str | None]:
    """``signed_in_as(login)``: the runs of this test carry this person's cookie; gives the token."""

    def sign_in(login: str | None) -> str | None:
        token = Repository(store.engine, None).authenticate(login, PASSWORD, "127.0.0.1") if login else None
        monkeypatch.setattr(guard, "cookie_token", lambda: token)
        return token

    return sign_in


def run_alone(screen: Screen, study: str | None = None) -> AppTest:
    """The ``render`` of a screen as a script of its own, past the navigation; with a study in its address."""

    def script(address: str) -> None:
        from pages.screens import SCREENS

        next(screen for screen in SCREENS if screen.address == address).render()

    page = AppTest.from_function(script, default_timeout=20, args=(screen.address,))
    if study is not None:
        page.query_params["study"] = study
    return page.run()


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.address)
def test_a_screen_run_alone_opens_for_its_roles_only(
    screen: Screen, role: Role | None, signed_in_as: Callable[[str | None], str | None]
) -> None:
    signed_in_as(_LOGIN[role] if role else None)
    page = run_alone(screen)
    assert not page.exception
    shown = [text.value for text in (*page.subheader, *page.error)]
    if role is None:
        assert shown == ["You are signed out"]
    elif role not in screen.roles:
        assert len(shown) == 1
        assert "not for your role" in shown[0]
    else:
        assert not any("not for your role" in text or "signed out" in text for text in shown)


def run_navigation(address: str = "") -> AppTest:
    page = AppTest.from_file(str(ROOT / "pages" / "navigation.py"), default_timeout=20).run()
    return page.switch_page(address).run() if address else page


def test_a_reader_lands_on_the_reader_s_studies(signed_in_as: Callable[[str | None], str | None]) -> None:
    signed_in_as("reader-1")
    page = run_navigation()
    assert not page.exception
    assert [title.value for title in page.header] == ["Welcome, Reader 1"]
    assert [button.label for button in page.button] == ["Start reading"]


def test_a_coordinator_lands_on_the_overview(signed_in_as: Callable[[str | None], str | None]) -> None:
    signed_in_as(COORDINATOR)
    page = run_navigation()
    assert not page.exception
    assert [title.value for title in page.header] == ["Studies"]


def test_every_screen_says_research_use_only_and_synthetic(
    signed_in_as: Callable[[str | None], str | None],
) -> None:
    for login in ("reader-1", COORDINATOR):
        signed_in_as(login)
        page = run_navigation()
        foot = "".join(str(element.proto.body) for element in page.get("html"))
        assert "Research use only" in foot
        assert "Synthetic data" in foot


def test_a_sign_out_elsewhere_ends_this_tab_at_its_next_run(
    store: Repository, signed_in_as: Callable[[str | None], str | None]
) -> None:
    token = signed_in_as("reader-1")
    page = run_navigation()
    assert [title.value for title in page.header] == ["Welcome, Reader 1"]
    assert token is not None
    Repository(store.engine, None).sign_out(token)
    page.run()
    assert [title.value for title in page.subheader] == ["You are signed out"]
    assert not page.header


@pytest.mark.parametrize("login", ["reader-1", COORDINATOR])
def test_while_the_store_is_out_of_reach_every_screen_says_so_and_is_back_with_it(
    login: str, store: Repository, signed_in_as: Callable[[str | None], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in_as(login)
    page = run_navigation()
    heading = [title.value for title in page.header]

    def refuse() -> None:
        raise StoreDamagedError("the path of the store")

    with monkeypatch.context() as outage:
        outage.setattr(resources, "store_engine", refuse)
        page.run()
        assert not page.exception
        assert not page.header
        assert ["not available" in text.value for text in page.error] == [True]
        fresh = run_navigation()
        assert ["not available" in text.value for text in fresh.error] == [True]
    page.run()
    assert [title.value for title in page.header] == heading


@pytest.mark.parametrize("screen", SCREENS, ids=lambda screen: screen.address)
def test_a_sign_in_that_ends_while_a_screen_is_drawn_shows_signed_out_and_no_traceback(
    screen: Screen,
    store: Repository,
    signed_in_as: Callable[[str | None], str | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The guard let the run in; the first question to the store comes after the sign-out."""
    token = signed_in_as(_LOGIN[min(screen.roles)])
    assert token is not None
    repository_as_it_is = guard.repository

    def repository_after_sign_out(actor: Person | None, token_of_run: str | None = None) -> Repository:
        if actor is not None:
            Repository(store.engine, None).sign_out(token)
        return repository_as_it_is(actor, token_of_run)

    monkeypatch.setattr(guard, "repository", repository_after_sign_out)
    page = run_alone(screen)
    assert not page.exception
    assert [text.value for text in (*page.subheader, *page.error)] == ["You are signed out"]


def test_an_answer_sent_after_the_sign_in_has_ended_is_not_saved(store: Repository) -> None:
    reader = store.person("reader-1")
    token = Repository(store.engine, None).authenticate("reader-1", PASSWORD, "127.0.0.1")
    desk = Repository(store.engine, reader, token=token)
    presentation = desk.next_presentation(STUDY)
    assert presentation is not None
    store.set_password("reader-1", "another long password")
    receipt = save_answer(desk, read_message({**GOOD, "presentation_id": presentation.presentation_id}))
    assert (receipt.state, receipt.message) == (ReceiptState.REFUSED, "Not saved: your sign-in has ended.")
    assert [row.n_done for row in store.progress(STUDY) if row.person.login == "reader-1"] == [0]


def test_every_role_has_a_start_page_and_addresses_differ() -> None:
    assert all(screens_of(frozenset({role})) for role in Role)
    addresses = [screen.address for screen in SCREENS]
    assert len(set(addresses)) == len(addresses)
    assert {"sign-in", "sign-out", "media", "static"}.isdisjoint(addresses)


GOOD = {
    "kind": "answer", "submit_id": "s", "presentation_id": "p", "expected_revision": 0, "class_key": "sat",
    "confidence": 3, "comment": "", "is_unreadable": False, "reading_seconds": 1.5, "display_state": {"zoom": 1},
}  # fmt: skip


def test_a_message_becomes_an_answer() -> None:
    message = read_message(GOOD)
    assert message == PanelMessage("answer", "s", "p", 0, Answer("sat", 3, "", False, 1.5, {"zoom": 1}))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "delete"}, {"submit_id": None}, {"confidence": "3"}, {"confidence": True}, {"class_key": 1},
        {"is_unreadable": "no"}, {"comment": "x" * (MAX_COMMENT_LENGTH + 1)}, {"display_state": []},
        {"expected_revision": "1"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_message_that_is_not_an_answer_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        read_message({**GOOD, **change})
    with pytest.raises(InputError):
        read_message("text")


@pytest.mark.parametrize(
    ("error", "state", "text"),
    [
        (StoreBusyError("x"), ReceiptState.TRY_AGAIN, "busy"),
        (StoreDamagedError("x"), ReceiptState.TRY_AGAIN, "not available"),
        (ConflictError("x"), ReceiptState.REFUSED, "another window"),
        (NotFoundError("x"), ReceiptState.REFUSED, "not yours"),
        (StudyNotOpenError("x"), ReceiptState.REFUSED, "not open"),
        (FinalAnswerError("x"), ReceiptState.REFUSED, "no longer be corrected"),
        (AccessError("x"), ReceiptState.REFUSED, "may not read"),
        (InputError("x"), ReceiptState.REFUSED, "does not fit"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_store_refuses_is_never_called_saved(
    error: Exception, state: ReceiptState, text: str, store: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(store, "save_reading", refuse)
    receipt = save_answer(store, read_message(GOOD))
    assert (receipt.submit_id, receipt.state) == ("s", state)
    assert text in receipt.message


def test_the_same_submission_twice_is_one_reading_and_two_receipts(store: Repository) -> None:
    reader = repository_of(store.engine, store.person("reader-1"))
    presentation = reader.next_presentation(STUDY)
    assert presentation is not None
    message = replace(read_message(GOOD), presentation_id=presentation.presentation_id)
    receipts = [save_answer(reader, message) for _ in range(2)]
    assert [receipt.state for receipt in receipts] == [ReceiptState.SAVED, ReceiptState.SAVED]
    assert reader.my_progress(STUDY).n_done == 1


#: A name that is a link, a picture, a colour and a formula where it is read as Markdown.
_BAIT = "[Sign in](https://evil.example) ![x](https://e.de/x) :red[y] www.evil.example <b>b</b>"


def test_what_people_call_themselves_and_their_studies_is_never_read_as_markdown(
    store: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On every screen of everybody: titles, questions, class words, readers' names, notes, cohorts."""
    classes = tuple(replace(one, label=f"{_BAIT} {n}") for n, one in enumerate(THYROID_CLASSES))
    bait = Protocol(_BAIT, question=_BAIT, instructions=_BAIT, classes=classes)
    for reader in ("bait", "two-studies"):
        store.create_person(reader, _BAIT, Role.READER, specialty=_BAIT)
    for n, key in enumerate(("one", "two", "draft")):
        store.create_study(key, bait, is_synthetic=True, coordinator=COORDINATOR)
        cases = [replace(case, cohort="[all](https://evil.example)") for case in make_cases(8, start=100 * n)]
        store.import_cases(key, cases)
        for reader in ("bait", "two-studies")[key == "two" :]:
            store.add_reader(key, reader)
        if key != "draft":
            store.set_state(key, StudyState.OPEN)
    store.invite(Role.READER, _BAIT, study_key="one")
    read: list[str] = []
    for login, key in ((COORDINATOR, "draft"), ("bait", "one"), ("two-studies", "one")):
        token = sign_in_as(store.engine, store.person(login))
        monkeypatch.setattr(guard, "cookie_token", lambda token=token: token)
        person = Repository(store.engine, None).actor_for_token(token)
        for screen in screens_of(person.roles):
            page = run_alone(screen, key)
            assert not page.exception, (login, screen.address)
            read += _markdown_of(page)
    assert sum("evil" in text for text in read) > 15
    assert [text for text in read if re.search(r"(?<!\\)\]\(https|:red\[|www\.evil|(?<!\\)<b>", text)] == []


def _markdown_of(page: AppTest) -> list[str]:
    """What Streamlit reads as Markdown: bodies of texts, labels of everything else."""
    found = []
    for node in page._tree.main, page._tree.sidebar:
        for element in node:
            proto = getattr(element, "proto", None)
            for name in ("body", "label", "help") if element.type != "html" else ():
                value = getattr(proto, name, None)
                if isinstance(value, str):
                    found.append(value)
    return found
