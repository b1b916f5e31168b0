"""The README's "Your own study", followed word by word in a browser: from an empty store to unsealed results."""

from __future__ import annotations

import csv
import io
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from typer.testing import CliRunner

import manage
from core.protocol import Arm, Design, Protocol, ScaleKind
from core.protocol_file import write_protocol
from core.settings import get_settings
from core.study import StudyState
from db import OPERATOR, Repository, open_store
from db.tables import CaseRow, PersonRow, PresentationRow, ReadingRow
from tests.pages.reading_server import PASSWORD, ROOT, ReadingServer

KEY, TITLE = "kidneys", "Kidney scars 2026"
CLASSES = ("Normal kidney", "Scarred kidney")
KEYS = ("normal-kidney", "scarred-kidney")
N_CASES = 6
N_READ = 2 * N_CASES  # every case in both arms
READERS = ("ada", "ben", "cem")
WASHOUT_DAYS = 28
OWN_PASSWORD = "a password of my own"  # which each reader chooses at the first sign-in
OPENS = re.compile(r"This part of the study is not open for you today\. It opens on \w+day, ")
SET_CLOCK = Path(__file__).with_name("set_clock")


class OwnServer(ReadingServer):
    """``manage.py serve`` on an empty store, with a clock that the test moves: ``set_clock/sitecustomize.py``."""

    def command(self) -> list[str]:
        return ["manage.py", "serve", "--port", str(self.port)]

    @property
    def clock(self) -> Path:
        """The file that says by how many days the server's clock is ahead."""
        return self.folder / "days-ahead"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[OwnServer]:
    """``manage.py migrate`` and ``manage.py serve``, as the README has them, in a folder of their own."""
    running = OwnServer(tmp_path, f"sqlite:///{tmp_path / 'reading_room.sqlite3'}")
    running.environment = {"PYTHONPATH": str(SET_CLOCK), "TEST_CLOCK": str(running.clock)}
    running.clock.write_text("0", encoding="utf-8")
    places = {"READING_ROOM_DATA_DIR": str(tmp_path), "READING_ROOM_DATABASE_URL": running.store_url}
    made = subprocess.run(
        [sys.executable, "manage.py", "migrate"], cwd=ROOT, env={**os.environ, **places}, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    running.start()
    yield running
    running.kill()


def scans() -> bytes:
    """A zip with a manifest and 6 pictures of two lobes; the even ones lack a piece of one."""
    y, x = np.mgrid[:64, :64]
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["image", "case", "patient", "class", "cohort"])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(N_CASES):
            mean = 8 + 90 * sum(np.exp(-((x - side) ** 2 / 60 + (y - 32) ** 2 / 160)) for side in (20, 44))
            if number % 2 == 0:
                mean = np.where((x - 44) ** 2 + (y - 24) ** 2 < 60, 20, mean)
            picture = io.BytesIO()
            pixels = np.random.default_rng(number).poisson(mean).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(picture, format="PNG")
            archive.writestr(f"images/{number}.png", picture.getvalue())
            rows.writerow([f"images/{number}.png", f"k{number}", f"p{number}", CLASSES[number % 2 == 0], "main"])
        archive.writestr("manifest.csv", table.getvalue())
    return buffer.getvalue()


def predictions() -> bytes:
    """What a model of another house says: right for all cases but the first."""
    lines = [f"case,p_{KEYS[0]},p_{KEYS[1]}"]
    for number in range(N_CASES):
        scar = 0.3 if number == 0 else 0.8 if number % 2 == 0 else 0.1 + 0.01 * number
        lines.append(f"k{number},{1 - scar:.3f},{scar:.3f}")
    return "\n".join(lines).encode()


class Walk:
    """A coordinator's browser tab that notes every name it uses."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.names: list[str] = []

    def note(self, name: str) -> str:
        if name not in self.names:
            self.names.append(name)
        return name

    def press(self, name: str, within: Locator | None = None) -> None:
        pattern = re.compile("^" + re.escape(self.note(name)).replace("…", r"\d+") + "$")
        (within or self.page).get_by_role("button", name=pattern).click()

    def follow(self, name: str) -> None:
        link = self.page.get_by_role("main").get_by_role("link", name=self.note(name), exact=True).first
        address = {"New study": "new-study", "Cases": "cases", "Overview": "study", "Model": "model"}[name]
        for _ in range(5):  # a click is lost where a job's end draws the page anew at the same moment
            link.click()
            try:
                expect(self.page).to_have_url(re.compile(rf"/{address}(\?|$)"), timeout=5_000)
                if address == "study":  # or the old page was drawn anew under the new address
                    expect(self.page.get_by_text("State: draft")).to_be_visible(timeout=20_000)
                return
            except AssertionError:
                self.page.reload()
        raise AssertionError(f"the link {name} leads nowhere")

    def tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=self.note(name), exact=True).click()

    def fill(self, label: str, text: str, within: Locator | None = None) -> None:
        field = (within or self.page).get_by_role("textbox", name=self.note(label), exact=True)
        field.fill(text)
        field.press("Tab")

    def choose(self, label: str, option: str) -> None:
        self.page.get_by_role("combobox", name=re.compile(re.escape(self.note(label)) + "$")).click()
        self.page.get_by_role("option", name=option).click()

    def send(self, label: str, name: str, content: bytes) -> None:
        self.note(label)
        self.page.get_by_role("region", name=label, exact=True).locator("input[type=file]").set_input_files(
            {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        )
        expect(self.page.get_by_role("button", name=f"Remove {name}")).to_be_visible(timeout=20_000)
        self.page.wait_for_timeout(1000)

    def sees(self, text: str) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=90_000)


def sign_in(browser: Browser, server: ReadingServer, login: str, password: str, *, is_first: bool = False) -> Page:
    """``is_first``: the password is somebody else's, and is changed before anything is shown."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(90_000)
    page = context.new_page()
    page.goto(server.url)
    page.get_by_label("Login").fill(login)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    if is_first:
        page.get_by_label("Present password").fill(password)
        for name in ("new", "again"):
            page.locator(f"input[name={name}]").fill(OWN_PASSWORD)
        page.get_by_role("button", name="Change the password").click()
    page.wait_for_selector(".room-foot .who")
    return page


def first_visit(browser: Browser, server: OwnServer) -> Walk:
    """The link that ``serve`` printed: the first coordinator chooses a login and a password, and is signed in."""
    (link,) = re.findall(r"http://\S+/invitation#\S+", server.log.read_text(encoding="utf-8"))
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(90_000)
    walk = Walk(context.new_page())
    walk.page.goto(link.replace("localhost", "127.0.0.1"))
    for name, label, text in (
        ("login", "Login", "anna"),
        ("display_name", "Name on dashboards and in exports", "Dr Anna"),
        ("password", "Password", PASSWORD),
        ("again", "Password again", PASSWORD),
    ):
        field = walk.page.locator("label").filter(has=walk.page.locator(f"input[name={name}]"))
        expect(field).to_contain_text(walk.note(label))
        field.locator("input").fill(text)
    walk.press("Make the account")
    walk.page.wait_for_selector(".room-foot .who")
    return walk


def set_up(walk: Walk) -> None:
    """Steps 1 and 2: a study of an own field, and its protocol."""
    walk.follow("New study")
    walk.fill("Key", KEY)
    walk.fill("Title", TITLE)
    walk.fill("Classes", ", ".join(CLASSES))
    walk.press("Create the study")
    walk.fill("Question to the readers", "Does this kidney scan show a scar?")
    walk.tab("Answers")
    walk.choose("What a reader states", "the class and a confidence of 0 to 100")
    walk.tab("Design")
    walk.choose("Design", "Crossover")
    walk.fill("Washout, days", str(WASHOUT_DAYS))
    walk.tab("Plan")
    walk.fill("Primary endpoint", "AUC of the readers with and without the model")
    walk.press("Save as a new version")
    walk.sees("Saved as version 2")


def bring_in(walk: Walk) -> dict[str, str]:
    """Steps 3 to 5: cases, readers with their passwords, and the model."""
    walk.follow("Cases")
    walk.send("Zip", "scans.zip", scans())
    walk.press("Check the files")
    walk.sees("Everything can be imported")
    walk.press("Import … cases")
    walk.sees(f"Imported: {N_CASES} cases")
    walk.follow("Overview")
    passwords = {}
    for login in READERS:
        walk.page.get_by_role("radio", name=walk.note("New account")).click()
        walk.fill("Login", login)
        walk.fill("Name", f"Dr {login.title()}")
        walk.press("Add to the study")
        walk.sees(f"Dr {login.title()} is added")
        said = walk.page.get_by_text("shown only now").inner_text()
        passwords[login] = re.search(r"password (\S+):", said)[1]  # type: ignore[index]
    walk.follow("Model")
    walk.page.get_by_role("radio", name=walk.note("Predictions")).click()
    walk.send("Table", "theirs.csv", predictions())
    walk.fill("Name on screen", "Their model")
    walk.press("Take in")
    walk.sees(f"Their model taken in: {N_CASES} predictions")
    walk.press("Declare this model")
    walk.sees("declared in protocol version 3")
    return passwords


def open_study(walk: Walk) -> None:
    """Step 6."""
    walk.follow("Overview")
    walk.press("Open for reading")
    question = walk.page.get_by_role("dialog")
    walk.press("Open for good", question)
    expect(question.get_by_text("A reason is missing for")).to_be_visible()
    for reason in question.get_by_role("textbox", name=re.compile("Why it is opened")).all():
        reason.fill("a study of a test")
        reason.press("Tab")
    walk.press("Open for good", question)
    expect(question.get_by_text("This is not the key of the study")).to_be_visible()
    question.get_by_role("textbox", name=re.compile("Type the key")).fill(KEY)
    walk.press("Open for good", question)
    walk.sees("State: open")


def end_study(walk: Walk) -> None:
    """Step 8."""
    question = walk.page.get_by_role("dialog")
    for name, deed in (
        ("Close reading", "Close reading"),
        ("Lock the readings", "Lock the readings"),
        ("Unseal the results", "Unseal for good"),
    ):
        walk.press(name)
        if deed == "Unseal for good":
            question.get_by_role("textbox", name=re.compile("Type the key")).fill(KEY)
        walk.press(deed, question)
        expect(question).to_have_count(0)
    walk.sees("State: unsealed")


def made_by_commands(folder: Path, protocol: Protocol, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """The same study, made with the commands that the README names second."""
    folder.mkdir()
    with zipfile.ZipFile(io.BytesIO(scans())) as archive:
        archive.extractall(folder)
    (folder / "theirs.csv").write_bytes(predictions())
    (folder / "protocol.yaml").write_text(write_protocol(protocol), encoding="utf-8")
    url = f"sqlite:///{folder / 'reading_room.sqlite3'}"
    monkeypatch.setenv("READING_ROOM_DATA_DIR", str(folder))
    monkeypatch.setenv("READING_ROOM_DATABASE_URL", url)
    get_settings.cache_clear()
    readers = [
        line
        for login in READERS
        for line in (["person", "add", login, "--name", f"Dr {login.title()}"], ["study", "add-reader", login])
    ]
    for line in (
        ["person", "add", "anna", "--role", "coordinator"],
        ["study", "create", KEY, "--classes", ",".join(CLASSES), "--coordinator", "anna"],
        ["study", "protocol", str(folder / "protocol.yaml")],
        ["import", str(folder / "manifest.csv")],
        *readers,
        ["model", "import", str(folder / "theirs.csv"), "--name", "Their model"],
        ["study", "declare-model", "Their model"],
        ["study", "state", "open", "--acknowledge", "all=a study of a test", "--confirm", KEY],
    ):
        done = CliRunner().invoke(manage.app, line)
        assert done.exit_code == 0, f"{line}: {done.output} {done.exception}"
    return Repository(open_store(url), OPERATOR)


def order_of(store: Repository) -> list[tuple[str, int, str, str]]:
    """Which case stands where before whom, in which arm."""
    query = (
        sa.select(PersonRow.login, PresentationRow.position, CaseRow.case_key, PresentationRow.arm)
        .join(PresentationRow, PresentationRow.person_id == PersonRow.person_id)
        .join(CaseRow, CaseRow.case_id == PresentationRow.case_id)
        .order_by(PersonRow.login, PresentationRow.position)
    )
    with store.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def deeds_of(store: Repository) -> list[str]:
    """What the trail says was done to the study and for it, oldest first; sign-ins are of the screen alone."""
    ours = sorted(store.audit_trail(None, limit=1000), key=lambda event: event.sequence)
    return [event.action for event in ours if event.action.partition(".")[0] in ("person", "study", "model")]


def members_of(store: Repository) -> list[tuple[object, ...]]:
    """Readers with what they read."""
    return [
        (each.person.login, each.person.display_name, each.cohorts, each.group, each.order_seed)
        for each in store.members(KEY)
    ]


def check_same_study(one: Repository, other: Repository) -> None:
    """Protocol, cases, readers, predictions, order and trail, whichever door made them."""
    assert one.study(KEY).protocol == other.study(KEY).protocol
    assert one.study(KEY).protocol_version == other.study(KEY).protocol_version
    assert one.cases(KEY) == other.cases(KEY)
    assert one.case_counts(KEY) == other.case_counts(KEY)
    about = [
        [(m.person.login, m.person.display_name, m.cohorts, m.group) for m in s.members(KEY)] for s in (one, other)
    ]
    assert about[0] == about[1]
    assert one.prediction_counts(KEY) == other.prediction_counts(KEY)
    assert order_of(one) == order_of(other) != []
    assert deeds_of(one) == deeds_of(other)


def readme_names() -> list[str]:
    """What the README's walk names in bold, in order, each once."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("## Your own study") :].split("\n### ")[0]
    return list(dict.fromkeys(re.findall(r"\*\*(.+?)\*\*", section)))


def read_part(browser: Browser, server: OwnServer, login: str, password: str, walk: Walk, part: int) -> None:
    """Step 7, by one reader: the cases of one part, class and confidence by the keys; then what the screen says."""
    page = sign_in(browser, server, login, password if part == 1 else OWN_PASSWORD, is_first=part == 1)
    page.get_by_role("button", name=walk.note("Start reading" if part == 1 else "Go on reading")).click()
    for number in range(N_CASES * (part - 1), N_CASES * part):
        expect(page.locator("[data-part=position]")).to_have_text(f"Case {number + 1} of {N_READ}", timeout=90_000)
        expect(page.locator(".room")).to_have_attribute("data-state", "empty", timeout=90_000)
        for key in ("12"[number % 2], "t", *str(50 + number), "Enter"):
            page.keyboard.press(key)
    if part == 1:
        expect(page.get_by_text(OPENS)).to_be_visible(timeout=90_000)
    else:
        expect(page.get_by_text(f"{N_READ} of {N_READ} answers")).to_be_visible(timeout=90_000)
    page.context.close()


def wait_for_washout(browser: Browser, server: OwnServer, store: Repository) -> None:
    """A day too early the reader is refused with the date that the store gives; on that date the clock stands then."""
    login = READERS[0]
    with store.engine.connect() as connection:
        last = connection.execute(
            sa.select(sa.func.max(ReadingRow.saved_at))
            .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
            .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
            .where(PersonRow.login == login)
        ).scalar_one()
    server.clock.write_text(str(WASHOUT_DAYS - 1), encoding="utf-8")
    page = sign_in(browser, server, login, OWN_PASSWORD)
    page.goto(f"{server.url}/read?study={KEY}")
    opens_at = last + timedelta(days=WASHOUT_DAYS)
    expect(page.get_by_text(f"It opens on {opens_at:%A, %d %B %Y, %H:%M} UTC.")).to_be_visible(timeout=90_000)
    page.context.close()
    server.clock.write_text(str(WASHOUT_DAYS), encoding="utf-8")


@pytest.mark.timeout(1500)
def test_the_readme_walk_from_an_empty_store_to_unsealed_results(
    own: OwnServer, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = first_visit(browser, own)
    set_up(walk)
    passwords = bring_in(walk)
    open_study(walk)
    engine = open_store(own.store_url)
    store = Repository(engine, OPERATOR)
    made = store.study(KEY).protocol
    commanded = made_by_commands(tmp_path / "commands", replace(made, model_sha256=None), monkeypatch)
    check_same_study(store, commanded)
    commanded.engine.dispose()
    get_settings.cache_clear()
    for part in (1, 2):
        for login, password in passwords.items():
            read_part(browser, own, login, password, walk, part)
        if part == 1:
            wait_for_washout(browser, own, store)
    walk.page.context.close()
    walk.page = sign_in(browser, own, "anna", PASSWORD)  # weeks later, her sign-in has ended
    walk.page.goto(f"{own.url}/study?study={KEY}")
    expect(walk.page.get_by_text("Reading progress")).to_be_visible()
    end_study(walk)
    walk.page.get_by_role("banner").get_by_role("link", name=walk.note("Results")).click()
    walk.sees("Their model")
    walk.page.context.close()
    assert walk.names == readme_names()
    study = store.study(KEY)
    assert study.state is StudyState.UNSEALED
    assert study.protocol.title == TITLE
    assert study.protocol.class_keys == KEYS
    assert (study.protocol.design, study.protocol.scale.kind) == (Design.CROSSOVER, ScaleKind.PERCENT)
    readings = store.readings(KEY)
    assert {(each.reader, each.revision) for each in readings} == {(login, 1) for login in READERS}
    assert len(readings) == len(READERS) * N_READ
    for each in readings:
        assert (each.class_key, each.confidence) == (KEYS[(each.position - 1) % 2], 49 + each.position)
        is_first_aided = each.group == 2
        assert (each.arm is Arm.AIDED) == ((each.period == 1) == is_first_aided)
    parts = {(r.reader, r.period): [] for r in readings}
    for each in readings:
        parts[each.reader, each.period].append(each.saved_at)
    for login in READERS:
        assert min(parts[login, 2]) - max(parts[login, 1]) >= timedelta(days=WASHOUT_DAYS)
    assert len({tuple(r.case for r in readings if r.reader == login) for login in READERS}) > 1
    assert store.verify_audit().is_intact
    engine.dispose()
