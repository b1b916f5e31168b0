"""The people screen: parts, invitations and accounts, by its forms; what is typed wrong is said at its field."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page
from streamlit.testing.v1 import AppTest

from core.study import Role
from db import OPERATOR, Repository, open_store
from pages.people import VIEWS
from pages.widgets import guard, resources
from tests.pages.reading_server import ADMINISTRATOR, COORDINATOR, PASSWORD, STUDY, ReadingServer


@pytest.fixture
def store(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A store of this test, which the screen uses too."""
    engine = open_store(store_url)
    monkeypatch.setattr(resources, "store_engine", lambda: engine)
    yield Repository(engine, OPERATOR)
    engine.dispose()


@pytest.fixture
def screen(store: Repository, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """``screen(view, login)``: one view of the screen, as somebody sees it."""

    def open_view(view: str, login: str = COORDINATOR) -> AppTest:
        token = Repository(store.engine, None).authenticate(login, PASSWORD, "127.0.0.1")
        monkeypatch.setattr(guard, "cookie_token", lambda: token)

        def script() -> None:
            from pages.people import render

            render()

        page = AppTest.from_function(script, default_timeout=30)
        page.session_state["people"] = view
        page.run()
        assert not page.exception
        return page

    return open_view


def press(page: AppTest, label: str) -> None:
    next(each for each in page.button if each.label == label).click().run()
    assert not page.exception


def field(kind, label: str):
    return next(each for each in kind if each.label == label)


def said(page: AppTest) -> str:
    return " ".join(str(each.value) for each in (*page.success, *page.error))


def test_a_coordinator_gives_a_part_and_a_wrong_login_is_said_at_its_field(
    screen: Callable[..., AppTest], store: Repository
) -> None:
    store.create_person("stat-2", "Second Statistician", Role.STATISTICIAN, is_temporary=False, password=PASSWORD)
    page = screen(VIEWS[0])
    for login, part, answer in (
        ("nobody-here", Role.READER, "There is no person with login 'nobody-here'"),
        ("reader-1", Role.STATISTICIAN, "'reader-1' is reader of study 'demo' already"),
        (ADMINISTRATOR, Role.COORDINATOR, "has no part in a study"),
        ("stat-2", Role.STATISTICIAN, "stat-2 is statistician of demo"),
    ):
        field(page.text_input, "Login").set_value(login)
        field(page.selectbox, "Part").set_value(part)
        press(page, "Give the part")
        assert answer in said(page)
    assert "stat-2" in {part.person.login for part in store.study_people(STUDY) if part.role is Role.STATISTICIAN}


def test_an_invitation_needs_a_note_and_is_shown_once(screen: Callable[..., AppTest], store: Repository) -> None:
    page = screen(VIEWS[1])
    press(page, "Make the link")
    assert "an invitation needs a note" in said(page)
    field(page.text_input, "For whom").set_value("Dr Ben, Ulm")
    press(page, "Make the link")
    (link,) = [each.value for each in page.code]
    assert "/invitation#" in link
    token = link.partition("#")[2]
    assert Repository(store.engine, None).invitation_offer(token) is not None
    page.run()
    assert not page.code
    press(page, "Take it back ...")
    assert any("cannot be used from this moment on" in str(each.value) for each in page.markdown), "it asks once"
    assert "Take it back" in {each.label for each in page.button}
    assert Repository(store.engine, None).invitation_offer(token) is not None


def test_what_reviewers_ask_is_entered_and_a_wrong_address_is_said_at_its_field(
    screen: Callable[..., AppTest], store: Repository
) -> None:
    store.create_person("new-one", "New One", Role.READER)
    page = screen(VIEWS[2], ADMINISTRATOR)
    field(page.selectbox, "Person").set_value("new-one").run()
    field(page.text_input, "E-mail address, for the sign-in of an institution").set_value("new one")
    press(page, "Save")
    assert "not an e-mail address" in said(page)
    field(page.text_input, "Specialty").set_value("radiology")
    field(page.text_input, "E-mail address, for the sign-in of an institution").set_value("new@example.org")
    press(page, "Save")
    kept = store.person("new-one")
    assert (kept.specialty, kept.email) == ("radiology", "new@example.org")


def choose(page: Page, label: str, option: str) -> None:
    page.get_by_role("combobox", name=label).click()
    page.keyboard.type(option)
    page.keyboard.press("Enter")
    page.wait_for_timeout(1000)  # the run of the screen that follows


def test_final_deeds_ask_once_in_words(own_server: ReadingServer, browser: Browser) -> None:
    """Withdrawal, a new password and deactivation, at the smallest screen."""
    context = browser.new_context(viewport={"width": 1024, "height": 640})
    page = context.new_page()
    page.goto(f"{own_server.url}/people?study={STUDY}")
    page.get_by_label("Login").fill(COORDINATOR)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="End it ...").wait_for()
    choose(page, "End a part", "(reader-2)")
    page.get_by_role("button", name="End it ...").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Withdraw").click()
    dialog.get_by_text("a withdrawal needs a reason").wait_for()
    dialog.get_by_label("Reason, for a withdrawal").fill("moved away")
    dialog.get_by_role("button", name="Withdraw").click()
    page.get_by_text("reader-2 was withdrawn.").wait_for()
    page.get_by_text("Accounts", exact=True).click()
    choose(page, "Person", "(reader-3)")
    page.get_by_role("button", name="New password ...").click()
    dialog.get_by_text("Your name stands beside every reading").wait_for()
    dialog.get_by_role("button", name="Set it").click()
    password = dialog.locator("code").inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Let in no more ...").click()
    dialog.get_by_role("button", name="Let in no more").click()
    page.get_by_text("reader-3 is let in no more.").wait_for()
    context.close()
    engine = open_store(own_server.store_url)
    store = Repository(engine, OPERATOR)
    ended = {part.person.login: part.ended_at for part in store.study_people(STUDY)}
    assert [login for login, at in ended.items() if at is not None] == ["reader-2"]
    assert not store.person("reader-3").is_active
    assert store.person("reader-3").must_change_password
    assert len(password) == 23
    engine.dispose()
