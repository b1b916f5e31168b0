"""Words are planted in the store; none of them may reach a reader, whatever the reader opens."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from typer.testing import CliRunner

import manage
from actions.audit_blinding import BlindingReport, Hit
from actions.browser import Wire
from core.errors import InputError
from core.protocol import THYROID_CLASSES, Arm, Protocol
from core.study import Answer, CaseRecord, LeftSide, Presentation, Role, Study, StudyState
from db import OPERATOR, ReadingImage, ReadingView, Repository, create_store
from pages.widgets.reading_panel import PanelCase, pack_frame
from tests.pages.conftest import chromium_or_skip
from tests.pages.reading_server import ROOT, ReadingServer
from tests.pages.test_reading_by_keyboard import type_answers, wait_for_case
from tests.stores import postgresql_stores, sign_in_as, why_no_postgresql

#: Leak of ``tests/pages/leaky_build.py``: kind, channel, spelling.
LEAKS = (
    ("file name", "websocket frame", "plain"),
    ("case id", "server log", "plain"),
    ("patient id", "HTTP address and headers", "hexadecimal"),
    ("scanner", "HTTP body", "HTML escapes, HTML escapes"),
    ("model output", "websocket frame", "digits"),
    ("other reader's comment", "page, fields and storages", "base64, zlib"),
    ("class truth", "websocket frame", "the key of one class stands out"),
    ("class truth", "websocket frame", "the sizes of frames do not overlap"),
)
_AUDIT_OF_LEAKY_BUILD = """
import json, sys
from actions.audit_blinding import audit_blinding
print(json.dumps(audit_blinding(launcher=("-m", "tests.pages.leaky_build", *sys.argv[1:])).to_dict()))
"""


def _audit_of_leaky_build(*chosen: str) -> dict[str, Any]:
    """In a process of its own: only one Playwright runs in each."""
    chromium_or_skip()
    command = [sys.executable, "-c", _AUDIT_OF_LEAKY_BUILD, *chosen]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


#: The sequential study on PostgreSQL has the unaided one in it.
_HAS_MORE = not why_no_postgresql() and not os.environ.get("READING_ROOM_TEST_LONG")


@pytest.fixture(scope="module")
def leaky_report() -> dict[str, Any]:
    """Of a build that leaks in every way at once."""
    return _audit_of_leaky_build()


@pytest.mark.browser
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("design", "engine"),
    [
        pytest.param(
            "unaided", "sqlite", marks=pytest.mark.skipif(_HAS_MORE, reason="READING_ROOM_TEST_LONG=1 runs it too")
        ),
        pytest.param("sequential", "postgresql", marks=pytest.mark.postgresql),
    ],
)
def test_the_audit_finds_nothing_in_the_app(tmp_path: Path, design: str, engine: str) -> None:
    """Every planted word, over every screen and error of a reader, by the command as a coordinator runs it.

    In the sequential study the model's answer to each case comes, and not before the reader's own.
    """
    chromium_or_skip()
    with ExitStack() as until_done:
        server = []
        if engine == "postgresql":
            if why_no_postgresql():
                pytest.skip(why_no_postgresql())
            server = ["--postgresql", until_done.enter_context(postgresql_stores()).server_url]
        report = _audit_by_command(tmp_path, "--design", design, *server)
    assert (report["design"], report["engine"].split(",")[0].lower()) == (design, engine)
    assert report["n_revealed"] == (12 if design == "sequential" else 0)


def _audit_by_command(tmp_path: Path, *options: str) -> dict[str, Any]:
    """The report, held against what it must say."""
    command = [sys.executable, "manage.py", "audit-blinding", "--json", str(tmp_path / "report.json"), *options]
    # What is set for another store counts for nothing, and that store is never touched.
    environment = {**os.environ, "READING_ROOM_DATA_DIR": str(tmp_path / "mine"), "READING_ROOM_BASE_PATH": "/mine"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert (done.returncode, "Hits: 0" in done.stdout) == (0, True), done.stdout + done.stderr
    assert not (tmp_path / "mine" / "reading_room.sqlite3").exists()
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["is_blind"] is True
    assert report["n_cases"] == 12
    assert {what.split(", ")[1] for what in report["frame_bytes"]} == {"picture", "frame"}
    assert {"file name", "folder", "EXIF artist", "PNG text", "DICOM comment", "other reader's comment"} <= set(
        report["planted"]
    )
    searched = {each["channel"]: each["n_bytes"] for each in report["searched"]}
    assert searched["websocket frame"] > 12 * 128 * 128  # the pixels of every case went past
    assert all(searched[channel] for channel in {channel for _, channel, _ in LEAKS})
    return report


@pytest.mark.browser
@pytest.mark.parametrize(("kind", "channel", "spelling"), LEAKS)
def test_the_audit_finds_each_leak(leaky_report: dict[str, Any], kind: str, channel: str, spelling: str) -> None:
    hits = [(hit["kind"], hit["channel"], hit["spelling"]) for hit in leaky_report["hits"]]
    assert (kind, channel, spelling) in hits
    assert leaky_report["is_blind"] is False


@pytest.mark.browser
def test_the_audit_finds_no_leak_that_is_not_there(leaky_report: dict[str, Any]) -> None:
    assert {hit["kind"] for hit in leaky_report["hits"]} == {kind for kind, _, _ in LEAKS}


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("READING_ROOM_TEST_LONG"), reason="minutes; READING_ROOM_TEST_LONG=1 runs it")
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("number", range(len(LEAKS)))
def test_each_leak_alone_is_found_alone(number: int) -> None:
    """Eight builds: none of the findings above leans on another leak."""
    report = _audit_of_leaky_build(f"leak={number}")
    hits = {(hit["kind"], hit["channel"], hit["spelling"]) for hit in report["hits"]}
    assert LEAKS[number] in hits
    assert {kind for kind, _, _ in hits} == {LEAKS[number][0]}


def test_a_hit_ends_the_command_with_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    hit = Hit("file name", "websocket frame", "reading", "plain", "qzjxvabcdefghij")
    at = datetime.now(UTC)
    found = BlindingReport(at, 1.0, "unaided", "SQLite", {"file name": 1}, ("reading",), (), 12, 0, {}, (hit,))
    monkeypatch.setattr("actions.audit_blinding.audit_blinding", lambda **_: found)
    result = CliRunner().invoke(manage.app, ["audit-blinding"])
    assert result.exit_code == 1
    assert "file name: qzjxvabcdefghij (plain) in websocket frame, reading" in result.output


def test_a_report_that_cannot_be_written_is_told_before_the_audit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        CliRunner().invoke(manage.app, ["audit-blinding", "--json", str(tmp_path / "no" / "a")], catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [(["--design", "aided"], "no unaided arm"), (["--postgresql", "sqlite:////tmp/x"], "not a URL of PostgreSQL")],
)
def test_an_audit_that_proves_nothing_is_not_begun(options: list[str], said: str) -> None:
    done = CliRunner().invoke(manage.app, ["audit-blinding", *options])
    assert said in str(done.exception)


def test_a_missing_chromium_is_told_with_its_fix(tmp_path: Path) -> None:
    """In a process of its own: only one Playwright runs in each."""
    environment = {**os.environ, "PATH": str(tmp_path), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path)}
    command = [sys.executable, "manage.py", "audit-blinding"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert "python -m playwright install chromium" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.browser
def test_the_browser_asks_no_other_machine_and_no_media_address(
    server: ReadingServer, reader: str, sign_in: Callable[..., Page], wire: Wire
) -> None:
    page = sign_in(server, reader, "/read")
    wait_for_case(page, 1)
    type_answers(page, range(1))
    wait_for_case(page, 2)
    page.goto(server.url)
    page.get_by_role("button", name="Go on reading").wait_for()
    ours = (server.url, server.url.replace("http", "ws"), "data:", "blob:")
    assert [address for address in wire.addresses if not address.startswith(ours)] == []
    assert [address for address in wire.addresses if "/media/" in address and "/static/media/" not in address] == []
    assert [line for line in wire.console if "Content Security Policy" in line or "pageerror" in line] == []


@pytest.mark.browser
def test_an_unforeseen_failure_shows_and_sends_nothing_of_the_case(
    own_server: ReadingServer, reader: str, sign_in: Callable[..., Page], wire: Wire
) -> None:
    path = own_server.store_url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE image SET png = ?", (b"canary-file",))
    page = sign_in(own_server, reader, "/read")
    expect(page.get_by_text("This screen could not be shown")).to_be_visible()
    assert b"canary-file" not in wire.all() + page.content().encode()
    assert b"Traceback" not in wire.all()
    assert b"read.py" not in wire.all()
    assert b"PNG" not in wire.all()
    assert b"Error" in own_server.log.read_bytes()  # the operator sees what it was


STUDY_SHOWN = Study("demo", Protocol("A study"), 1, StudyState.OPEN, True, datetime(2026, 1, 1, tzinfo=UTC))


def _frame(*views: ReadingView, **values: Any) -> tuple[dict[str, Any], bytes]:
    """Header and pixels of a frame with one case."""
    case = PanelCase(Presentation("p", Arm.UNAIDED, 2, 20), 1, **values)
    frame = pack_frame(case, STUDY_SHOWN, None, {"p": ReadingImage(views)})
    (length,) = struct.unpack("<I", frame[:4])
    return json.loads(frame[4 : 4 + length]), frame[4 + length :]


def test_a_frame_holds_the_named_fields_and_the_pixels_and_nothing_else() -> None:
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4) * 1000
    header, sent = _frame(ReadingView(pixels, "counts", "anterior", 2.4, LeftSide.IMAGE_RIGHT, origin=(1, 1)))
    assert set(header) == {
        "mode", "draft_key", "presentation_id", "position", "count", "number", "total", "arm", "block", "n_blocks",
        "is_training", "revision", "previous", "ahead", "done", "can_correct", "receipt", "reader", "images",
        "study", "question", "instructions", "classes", "scale", "may_go_back", "may_go_back_further", "may_comment",
        "may_mark_unreadable", "may_type_ahead", "has_location_mark", "timeout_s", "left_s", "no_answer_in_time",
        "blank_ms", "conditions", "model_name", "model", "answer_address", "pulse_address",
        "shown_address", "events_address", "keys_address", "sign_in_address", "own_keys",
    }  # fmt: skip
    assert (header["model"], header["model_name"]) == (None, "")
    (image,) = header["images"]
    assert set(image) == {"presentation_id", "views"}
    assert set(image["views"][0]) == {
        "name", "height", "width", "bits", "channels", "unit", "spacing_mm", "left_side", "display"
    }  # fmt: skip
    np.testing.assert_array_equal(np.frombuffer(sent, "<u2").reshape(3, 4), pixels)


def test_two_cases_with_other_truth_differ_in_pixels_only() -> None:
    """The length and the header of a frame depend on the presentation, not on what the image shows."""
    headers = [_frame(ReadingView(np.full((4, 4), value, np.uint8), "grey"))[0] for value in (3, 250)]
    assert headers[0] == headers[1]


def test_an_answer_under_correction_is_the_reader_s_own() -> None:
    view = ReadingView(np.zeros((2, 2), np.uint8), "grey")
    header, _ = _frame(view, revision=1, previous=Answer("sat", 3, comment="mine"))
    assert header["previous"]["comment"] == "mine"


def test_every_frame_of_a_study_of_mixed_sizes_has_one_length(tmp_path: Path) -> None:
    """Two views, tumors larger, deeper, with a spacing and a side: from the store to the bytes on the wire."""
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    engine, rng = create_store(url), np.random.default_rng(1)
    operator = Repository(engine, OPERATOR)
    reader = operator.create_person("ann", "Ann", Role.READER, is_temporary=False, password="a long enough password")
    operator.create_study("mixed", Protocol("Mixed"), is_synthetic=True)
    records = []
    for number in range(8):
        is_tumor = number % 4 == 3
        side, kind = (32, np.uint16) if is_tumor else (20, np.uint8)
        told = {"pixel_spacing_mm": 2.2059 / 3, "left_side": LeftSide.IMAGE_RIGHT} if is_tumor else {}
        for view in ("anterior", "a longer oblique"):
            pixels = rng.integers(0, 200, (side, side + 1)).astype(kind)
            truth = THYROID_CLASSES[number % 4].key
            records.append(CaseRecord(f"c{number}", f"p{number}", "all", truth, pixels, view=view, **told))
    operator.import_cases("mixed", records)
    operator.add_reader("mixed", "ann", cohorts=["all"])
    operator.set_state("mixed", StudyState.OPEN)
    ann = Repository(engine, reader, token=sign_in_as(engine, reader))
    lengths = set()
    study = ann.study("mixed")
    while (place := ann.next_presentation("mixed")) is not None:
        image = {place.presentation_id: ann.presentation_image(place.presentation_id)}
        lengths.add(len(pack_frame(PanelCase(place, place.position - 1), study, None, image)))
        ann.save_reading(place.presentation_id, Answer("sat", 3), submit_id=f"s{place.position}")
    engine.dispose()
    assert len(lengths) == 1
