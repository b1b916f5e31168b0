"""A tab whose sign-in has ended elsewhere can do nothing any more, in real Chromium: dialogs, fragments, answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest
from playwright.sync_api import Page, expect

from core.study import StudyState
from db import OPERATOR, Repository, open_store
from tests.pages.reading_server import COORDINATOR, PASSWORD, STUDY, ReadingServer
from tests.pages.test_reading_by_keyboard import type_answers, wait_for_case

pytestmark = pytest.mark.browser


@pytest.fixture
def operator(own_server: ReadingServer) -> Repository:
    """The command line beside the running server."""
    return Repository(open_store(own_server.store_url), OPERATOR)


def end_every_sign_in(server: ReadingServer) -> None:
    """What signing out in another tab writes."""
    with closing(sqlite3.connect(server.store_url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE sign_in_session SET revoked_at = created_at")


def expect_signed_out(page: Page) -> None:
    expect(page.get_by_text("You are signed out")).to_be_visible()
    expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    expect(page.get_by_text("Traceback")).to_have_count(0)
    expect(page.get_by_text("could not be shown")).to_have_count(0)


@pytest.mark.parametrize("ending", ["sign-out", "reset"])
def test_an_open_dialog_cannot_unseal_after_a_sign_out_elsewhere(
    ending: str, own_server: ReadingServer, operator: Repository, sign_in: Callable[..., Page]
) -> None:
    for state in (StudyState.CLOSED, StudyState.LOCKED):
        operator.set_state(STUDY, state)
    page = sign_in(own_server, COORDINATOR, f"/study?study={STUDY}")
    page.get_by_role("button", name="Unseal the results").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_role("dialog").get_by_role("textbox").first.fill(STUDY)
    if ending == "sign-out":
        other = page.context.new_page()
        other.goto(own_server.url)
        other.get_by_role("link", name="Sign out").click()
        expect(other.get_by_label("Password")).to_be_visible()
    else:
        operator.set_password(COORDINATOR, PASSWORD + " renewed")
    page.get_by_role("button", name="Unseal for good").click()
    expect_signed_out(page)
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert operator.study(STUDY).state is StudyState.LOCKED


def test_live_progress_ends_with_the_sign_in(
    own_server: ReadingServer, operator: Repository, sign_in: Callable[..., Page]
) -> None:
    """The fragment asks by itself every five seconds; nobody clicks."""
    page = sign_in(own_server, COORDINATOR, f"/study?study={STUDY}")
    expect(page.get_by_text("Counts and times only, never correctness")).to_be_visible(timeout=30_000)
    end_every_sign_in(own_server)
    expect_signed_out(page)
    expect(page.get_by_text("Counts and times only")).to_have_count(0)
    assert b"Traceback" not in own_server.log.read_bytes()


def test_an_answer_typed_after_the_sign_in_has_ended_is_not_saved(
    own_server: ReadingServer, operator: Repository, sign_in: Callable[..., Page], reader: str
) -> None:
    page = sign_in(own_server, reader, "/read")
    wait_for_case(page, 1)
    type_answers(page, range(1))
    wait_for_case(page, 2)
    end_every_sign_in(own_server)
    page.keyboard.press("1")
    page.keyboard.press("e")
    page.keyboard.press("Enter")
    expect_signed_out(page)
    done = {row.person.login: row.n_done for row in operator.progress(STUDY)}
    assert done[reader] == 1
