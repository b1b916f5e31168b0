"""What ``make run`` gives a newcomer, walked from the first command to the exported file in a real browser."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from core.protocol import THYROID_CLASSES
from tests.pages.reading_server import ROOT, ReadingServer

pytestmark = pytest.mark.browser

CONFIDENCE_KEYS = "qwert"
COORDINATOR_SCREENS = {
    "study": "Reading progress",
    "results": "was right in",
    "results?view=Classes": "Predictive values depend",
    "results?view=ROC": "AUC of every class",
    "results?view=Comparisons": "McNemar",
    "results?view=Panel": "these readers, random cases",
    "results?view=Agreement": "CSV",
    "results?view=Calibration": "Brier score",
    "results?view=Subgroups": "read the interval and n",
    "results?view=Behaviour": "Median seconds",
    "results?view=Cohort": "Flow of cases",
    "results?view=Export": "Make the export",
    "explain": "A click opens a case",
    "audit": "the chain of hashes is intact",
}


@dataclass
class Demo:
    """A data folder in which ``manage.py demo`` has run, the accounts that it printed, and a server on it.

    All but the making runs without PyTorch: where importing it fails, or in an environment of requirements-web.txt.
    """

    folder: Path
    passwords: dict[str, str]
    server: ReadingServer

    def manage(self, *arguments: str) -> str:
        """Standard output of a command on this store."""
        environment = {
            **os.environ,
            **self.server.environment,
            "READING_ROOM_DATA_DIR": str(self.folder),
            "READING_ROOM_DATABASE_URL": self.server.store_url,
            "COLUMNS": "220",
        }
        command = [self.server.python, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def web_environment(folder: Path) -> str:
    """The Python of a new environment in which requirements-web.txt is installed; 1.1 GB, a minute or more."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "-r", str(ROOT / "requirements-web.txt")], check=True)
    return python


@pytest.fixture(
    scope="module",
    params=[
        "without torch",
        pytest.param(
            "requirements-web",
            marks=pytest.mark.skipif(
                not os.environ.get("READING_ROOM_TEST_LONG"), reason="minutes; READING_ROOM_TEST_LONG=1 runs it"
            ),
        ),
    ],
)
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    server = ReadingServer(folder, f"sqlite:///{folder / 'reading_room.sqlite3'}")
    made = Demo(folder, {}, server)
    output = made.manage("demo")
    if request.param == "requirements-web":
        # One that exists already may be named, so that it need not be made again.
        given = os.environ.get("READING_ROOM_TEST_WEB_PYTHON")
        server.python = given or web_environment(tmp_path_factory.mktemp("environment"))
    else:
        server.environment["PYTHONPATH"] = str(ROOT / "tests" / "without_torch")
    made.passwords |= dict(re.findall(r"(demo-\w+)\s+(\S+)", output))
    server.start()
    yield made
    server.kill()


def sign_in(context: BrowserContext, demo: Demo, login: str, path: str) -> Page:
    page = context.new_page()
    page.goto(f"{demo.server.url}/{path}")
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill(demo.passwords[login])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_selector(".room-foot .who")
    return page


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_demo_is_made_once_and_prints_two_accounts(demo: Demo) -> None:
    assert set(demo.passwords) == {"demo-coordinator", "demo-reader"}
    assert len(set(demo.passwords.values())) == 2
    again = demo.manage("demo")
    assert "The demo stands" in again
    assert not any(password in again for password in demo.passwords.values())


def test_a_coordinator_walks_through_every_screen(demo: Demo, context: BrowserContext) -> None:
    page = sign_in(context, demo, "demo-coordinator", "")
    for path, text in COORDINATOR_SCREENS.items():
        page.goto(f"{demo.server.url}/{path}{'&' if '?' in path else '?'}study=demo")
        expect(page.get_by_text(text, exact=False).first).to_be_visible(timeout=45_000)
        expect(page.locator(".room-foot").get_by_text("Research use only")).to_be_visible(timeout=45_000)
        expect(page.get_by_text("could not be shown")).to_have_count(0)
        expect(page.locator(".room-foot").get_by_text("Synthetic data")).to_be_visible()
    page.goto(f"{demo.server.url}/results?study=demo-reading")
    expect(page.get_by_text("sealed", exact=False).first).to_be_visible()
    assert page.get_by_text("was right in").count() == 0


def test_the_same_number_on_screen_in_the_csv_and_from_the_command_line(
    demo: Demo, context: BrowserContext, tmp_path: Path
) -> None:
    page = sign_in(context, demo, "demo-coordinator", "results?study=demo")
    answer = page.locator(".room-answer")
    expect(answer).to_be_visible(timeout=45_000)
    page.get_by_role("button", name="CSV").first.click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Right answers").click()
    download.value.save_as(tmp_path / "accuracy.csv")
    rows = [row for row in read_csv(tmp_path / "accuracy.csv") if row["participant"] == "sim-senior"]
    assert len(rows) == 1
    demo.manage("export", str(tmp_path / "export"), "--study", "demo")
    exported = [
        row
        for row in read_csv(tmp_path / "export" / "metrics_summary.csv")
        if (row["cohort"], row["participant"], row["quantity"]) == ("internal", "sim-senior", "accuracy")
    ]
    assert exported == rows  # every column, every digit
    shown = re.search(r"Senior physician \(simulated\) in ([\d.]+) %", answer.inner_text())
    assert shown is not None
    assert shown[1] == f"{100 * float(rows[0]['value']):.1f}"
    printed = demo.manage("results", "--study", "demo", "--cohort", "internal", "--table", "summary")
    line = next(line for line in printed.splitlines() if "Senior" in line and " accuracy " in line)
    assert rows[0]["estimate"] in line  # the same string in the terminal and in the CSV


def test_cases_are_filtered_opened_and_walked_by_keys(demo: Demo, context: BrowserContext) -> None:
    wanted = "only=resnet16_fine_phantom+right&only=Junior+physician+(simulated)+wrong"
    page = sign_in(context, demo, "demo-coordinator", "explain?study=demo")
    page.goto(f"{demo.server.url}/explain?study=demo&{wanted}")
    first = page.locator(".room-gallery button").first
    expect(first).to_be_visible(timeout=45_000)
    marks = page.locator(".room-gallery button span").all_inner_texts()
    assert marks
    assert all(mark.startswith("M ✓") and "R ✗" in mark for mark in marks)
    first.click()
    over = page.locator(".room-case [data-part=over]")
    expect(over).to_be_visible(timeout=45_000)
    assert "case=" in page.url
    picture = "canvas => canvas.toDataURL()"
    before = over.evaluate(picture)
    slider = page.get_by_label("Opacity")
    slider.fill("0")
    slider.dispatch_event("pointerup")  # as a mouse ends it: the arrow keys go from case to case again
    assert over.evaluate(picture) != before, "the map is thinner"
    page.locator("[data-part=outline]").uncheck()
    assert over.evaluate(picture) == page.locator("[data-part=plain]").evaluate(picture), "nothing lies over the image"
    page.get_by_text("Does the answer hang on what the map points at?").click()
    expect(page.get_by_text("Area: deletion")).to_be_visible(timeout=45_000)
    page.get_by_text("Area: deletion").click()  # the arrow keys belong to the switch while it has the focus
    asked = page.url
    page.locator("body").press("ArrowRight")
    page.wait_for_url(lambda url: url != asked)
    expect(page.get_by_text(re.compile(r" · 2 of \d+"))).to_be_visible(timeout=45_000)
    page.locator("body").press("ArrowLeft")
    page.wait_for_url(asked)


def test_a_session_typed_killed_and_resumed_comes_out_of_the_export_as_typed(
    demo: Demo, context: BrowserContext, browser: Browser, tmp_path: Path
) -> None:
    page = sign_in(context, demo, "demo-reader", "read?study=demo-reading")
    position = page.locator("[data-part=position]")
    n = 24

    def answer(numbers: range) -> None:
        for number in numbers:
            expect(position).to_have_text(f"Case {number + 1} of {n}", timeout=30_000)
            expect(page.locator(".room")).to_have_attribute("data-state", "empty")
            for key in (str(number % 4 + 1), CONFIDENCE_KEYS[number % 5], "Enter"):
                page.keyboard.press(key)

    answer(range(11))
    expect(position).to_have_text(f"Case 12 of {n}", timeout=30_000)
    expect(page.locator(".room")).to_have_attribute("data-state", "empty")  # the receipt of case 11 is there
    demo.server.kill()
    demo.server.start()
    page.reload()
    answer(range(11, n))
    expect(page.get_by_text(f"{n} of {n} answers")).to_be_visible(timeout=30_000)

    desk = browser.new_context(viewport={"width": 1280, "height": 800})
    screen = sign_in(desk, demo, "demo-coordinator", "study?study=demo-reading")
    question = screen.get_by_role("dialog")
    screen.get_by_role("button", name="Close reading").click()
    question.get_by_role("button", name="Close reading").click()
    screen.get_by_role("button", name="Lock the readings").click()
    question.get_by_role("button", name="Lock the readings").click()
    screen.get_by_role("button", name="Unseal the results").click()
    question.get_by_role("textbox", name=re.compile("Type the key")).fill("demo-reading")
    question.get_by_role("button", name="Unseal for good").click()
    expect(screen.get_by_role("heading", name="State: unsealed")).to_be_visible(timeout=30_000)
    desk.close()
    demo.manage("export", str(tmp_path / "export"), "--study", "demo-reading")
    rows = [row for row in read_csv(tmp_path / "export" / "readings.csv") if row["reader"] == "demo-reader"]
    typed = [(THYROID_CLASSES[number % 4].key, str(number % 5 + 1)) for number in range(n)]
    assert [(row["class"], row["confidence"]) for row in sorted(rows, key=lambda row: int(row["position"]))] == typed
    assert {row["revision"] for row in rows} == {"1"}
    assert {row["is_simulated"] for row in rows} == {"False"}
