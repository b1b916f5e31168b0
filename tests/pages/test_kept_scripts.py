"""Scripts of the components: sent once to a browser, whatever comes over its websocket, and waited for."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import BrowserContext, Page, Route
from starlette.requests import Request
from starlette.responses import Response

from actions.browser import Wire
from pages.door.kept_scripts import keep_script, kept, loader
from tests.pages.reading_server import ReadingServer
from tests.pages.test_reading_by_keyboard import check_answers, type_answers, wait_for_case

_SCRIPTS = "**/scripts/reading_panel-*"


def answer_of(path: str) -> Response:
    """What the server answers to who asks for a script."""
    return kept(Request({"type": "http", "path_params": {"file": path.rpartition("/")[2]}}))


def test_a_script_is_kept_under_the_hash_of_its_content() -> None:
    script, form = "export default () => 1;", "<p>å</p><style>p { color: red }</style>"
    path = keep_script("one", script, html="<p>å</p>", css="p { color: red }")
    answer = answer_of(path)
    assert bytes(answer.body).decode() == f"{script}\nexport const form = {json.dumps(form)};"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert keep_script("one", script, html="<p>å</p>", css="p { color: red }") == path
    assert keep_script("one", "export default () => 2;") != path
    assert f'"{path}"' in loader(path)


def test_another_version_is_not_found_and_not_kept() -> None:
    path = keep_script("one", "export default () => 1;")
    answer = answer_of(re.sub("-[0-9a-f]{16}", f"-{16 * '0'}", path))
    assert (answer.status_code, answer.headers["cache-control"]) == (404, "no-store")


@pytest.mark.browser
def test_the_panel_comes_once_and_packed_and_no_frame_brings_it_again(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], wire: Wire
) -> None:
    page = sign_in(server, reader, "/read")
    type_answers(page, range(3))
    page.reload()
    wait_for_case(page, 4)
    asked = [address for address in wire.addresses if "/scripts/reading_panel-" in address]
    assert len(set(asked)) == 1
    answer = requests.get(asked[0], timeout=30, stream=True, headers={"accept-encoding": "gzip"})
    packed = answer.raw.read()
    script = gzip.decompress(packed)
    assert b"class Panel" in script
    assert len(packed) < len(script) / 2
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    kept = page.evaluate("performance.getEntriesByType('resource').filter((e) => e.name.includes('reading_panel-'))")
    assert [each["transferSize"] for each in kept] == [0], "after the reload it came from the browser itself"
    assert not any(b"class Panel" in frame for frame in wire.received)
    assert not any(b"data-part" in frame for frame in wire.received)


@pytest.mark.browser
def test_the_panel_waits_for_its_script_while_another_version_answers(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], stored_readings: Callable
) -> None:
    page = sign_in(server, reader)
    asked = 0

    def answer(route: Route) -> None:
        nonlocal asked
        asked += 1
        if asked < 3:
            route.fulfill(status=404, body="There is no such script.")
        else:
            route.continue_()

    page.route(_SCRIPTS, answer)
    page.get_by_role("button", name="Start reading").click()
    type_answers(page, range(2))
    wait_for_case(page, 3)
    assert asked == 3
    check_answers(stored_readings(server.store_url, reader), 2)


def open_empty(page: Page) -> None:
    """A page of nothing but a place, on a server of nothing but the scripts."""
    page.route("http://localhost/", lambda route: route.fulfill(body="<main></main>", content_type="text/html"))
    page.route(
        "http://localhost/scripts/**",
        lambda route: route.fulfill(body=bytes(answer_of(route.request.url).body), content_type="text/javascript"),
    )
    page.goto("http://localhost/")


#: Two frames, the later before the first call had returned: Streamlit ends the first, and the last when the page goes.
_TWO_FRAMES = """
async (loader) => {
  const component = (await import(URL.createObjectURL(new Blob([loader], { type: "text/javascript" })))).default;
  const place = document.querySelector("main");
  const parentElement = place.attachShadow({ mode: "open" });
  const said = [];
  const say = () => said.push(parentElement.textContent);
  const first = await component({ data: 1, parentElement });
  first();
  say();
  const second = await component({ data: 2, parentElement });
  say();
  place.remove();
  first();
  second();
  say();
  return said;
}
"""
_SCRIPT = """
export default function ({ data, parentElement }) {
  const word = parentElement.querySelector("b");
  word.textContent += `drawn ${data}. `;
  return () => (word.textContent += "ended. ");
}
"""


@pytest.mark.browser
def test_a_call_that_was_overtaken_ends_nothing_and_leaving_the_page_ends_it_once(context: BrowserContext) -> None:
    page = context.new_page()
    path = keep_script("one", _SCRIPT, html="<b></b>")
    open_empty(page)
    said = page.evaluate(_TWO_FRAMES, loader(path))
    assert said == ["drawn 1. ", "drawn 1. drawn 2. ", "drawn 1. drawn 2. ended. "]


#: A frame of each of two versions of the server, in one page.
_TWO_VERSIONS = """
async (loaders) => {
  const parentElement = document.querySelector("main").attachShadow({ mode: "open" });
  window.ended = 0;
  for (const [data, loader] of loaders.entries()) {
    const url = URL.createObjectURL(new Blob([loader], { type: "text/javascript" }));
    await (await import(url)).default({ data, parentElement });
  }
  return [parentElement.textContent, window.ended];
}
"""


@pytest.mark.browser
def test_another_version_of_the_script_takes_the_place_of_the_one_before(context: BrowserContext) -> None:
    page = context.new_page()
    paths = [
        keep_script("one", f"export default () => () => (window.ended += {number});", html=f"<b>version {number}</b>")
        for number in (1, 10)
    ]
    open_empty(page)
    assert page.evaluate(_TWO_VERSIONS, [loader(path) for path in [paths[0], *paths]]) == ["version 10", 1]
