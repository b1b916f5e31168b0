"""A store whose every text is bait for a program that opens the export: none of it computes, runs, loads or reads."""

from __future__ import annotations

import csv
import io
import itertools
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from argon2.profiles import CHEAPEST
from openpyxl import load_workbook
from playwright.sync_api import Page

import manage
from core.csv_file import FORMULA_STARTS
from core.protocol import DiseaseClass, Protocol
from core.report.bundle import check_bundle, read_bundle
from core.report.document import Heading, Paragraph, to_pdf
from core.report.printed_tables import PrintedTable
from core.settings import get_settings
from core.study import Answer, CaseRecord, Role, StudyState
from core.typed_text import TURNS
from db import OPERATOR, CasePrediction, Repository, create_store
from db.password_hashing import Passwords
from tests.stores import repository_of

BAITS = [
    '=HYPERLINK("http://bait.invalid/x","see")', "@SUM(1+1)*cmd|' /C calc'!A0", "+1+1", "-2+3", "=1+1",
    "<script>fetch('http://bait.invalid')</script>", "<img src=http://bait.invalid/i.png onerror=alert(1)>",
    r"\input{/etc/passwd}", r"\immediate\write18{touch baited}", r"\href{http://bait.invalid}{x} $\alpha$ %",
    '#read("/etc/passwd")', '#image("/etc/hostname") *x* $ a $ "); #panic("baited")', "![x](http://bait.invalid/m.png)",
    "{{ 7*7 }} ${7*7} {% include '/etc/passwd' %}", "' OR 1=1 --", "]]><!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "javascript:alert(1)", "&lt;b&gt; &#x3c;script&#x3e;",
]  # fmt: skip
TURNED = "a\u202ebait\u202c"
CLASSES = (
    DiseaseClass("=1+1", BAITS[0], "=HYPERLINK(1)"),
    DiseaseClass("<b>", BAITS[5], BAITS[6][:40]),
    DiseaseClass("#read", BAITS[10], r"\input{x}"),
)


def bait(number: int) -> str:
    return BAITS[number % len(BAITS)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, bytes]]:
    """The files of ``manage.py export`` of such a study."""
    folder = tmp_path_factory.mktemp("baited")
    engine = create_store(f"sqlite:///{folder / 'reading_room.sqlite3'}")

    def acting(actor: object) -> Repository:
        return repository_of(engine, actor, passwords=Passwords(CHEAPEST))  # type: ignore[arg-type]

    operator, rng = acting(OPERATOR), np.random.default_rng(4)
    texts = {name: bait(at) for at, name in enumerate((
        "title", "question", "instructions", "primary_endpoint", "analysis_plan", "intended_use", "ethics",
        "registration", "funding"))}  # fmt: skip
    protocol = Protocol(classes=CLASSES, secondary_endpoints=tuple(BAITS[:4]), **texts)
    operator.create_study("baited", protocol, is_synthetic=True)
    operator.import_cases("baited", [
        CaseRecord(case=f"{bait(number)} {number}", patient=f"{bait(number + 1)} {number}",
                   truth=CLASSES[number % 3].key, cohort=BAITS[0], pixels=rng.integers(0, 99, (4, 4), dtype=np.uint8),
                   centre=(TURNED, bait(number))[number % 2], scanner=bait(number + 2),
                   source_name=f"{bait(number)}.png", image_notes=(bait(number),),
                   exclusion_reason=bait(number) if number > 27 else None)
        for number in range(30)
    ])  # fmt: skip
    for at, login in enumerate(("ann", "ben")):
        operator.create_person(login, bait(5 + 5 * at), Role.READER, is_temporary=False,
                               password=f"{login} reads at night", specialty=bait(7 + at),
                               site=bait(10 + at))  # fmt: skip
        operator.add_reader("baited", login, cohorts=[BAITS[0]])
    model = "ab" * 32
    operator.register_model(sha256=model, name=BAITS[6], architecture=BAITS[7], path="n.safetensors",
                            metadata={"note": BAITS[10], "recipe": {"x": BAITS[5], "=1+1": BAITS[8]}})  # fmt: skip
    operator.save_predictions("baited", model, [
        CasePrediction(case=case.case, probabilities=rng.dirichlet(np.ones(3)), entropy=0.5, device="cpu",
                       is_out_of_distribution=False, precision="float32")
        for case in operator.cases("baited")
    ])  # fmt: skip
    operator.set_state("baited", StudyState.OPEN)
    for login in ("ann", "ben"):
        reader = acting(operator.person(login))
        for turn in itertools.count():
            presentation = reader.next_presentation("baited")
            if presentation is None:
                break
            answer = Answer(CLASSES[int(rng.integers(3))].key, int(rng.integers(1, 6)), comment=bait(turn))
            if turn % 7 == 3:
                answer = replace(
                    answer, class_key=None, confidence=None, is_unreadable=True, unreadable_reason=bait(turn)
                )
            reader.save_reading(presentation.presentation_id, answer, submit_id=f"{login}-{turn}")
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        operator.set_state("baited", state)
    engine.dispose()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("READING_ROOM_DATA_DIR", str(folder))
        patch.setattr(sys, "argv", ["manage.py", "export", str(folder / "baited.zip"), "--study", "baited"])
        get_settings.cache_clear()
        with pytest.raises(SystemExit) as ended:
            manage.main()
        assert not ended.value.code
    get_settings.cache_clear()
    assert check_bundle(read_bundle(folder / "baited.zip")).problems == ()
    with zipfile.ZipFile(folder / "baited.zip") as archive:
        yield {name: archive.read(name) for name in archive.namelist()}


def ending(exported: dict[str, bytes], *endings: str) -> dict[str, bytes]:
    found = {name: content for name, content in exported.items() if name.endswith(endings)}
    assert found
    return found


def test_the_baits_are_in_the_export_and_lead_no_file_out_of_its_folder(exported: dict[str, bytes]) -> None:
    everything = b"".join(ending(exported, ".csv", ".yaml", ".txt").values()).decode("utf-8", "replace")
    for one in BAITS:
        assert one.replace('"', '""') in everything or one in everything, one
    assert all(re.fullmatch(r"[\w./-]+", name) for name in exported)


def test_no_cell_of_any_csv_file_begins_a_formula(exported: dict[str, bytes]) -> None:
    for name, content in ending(exported, ".csv").items():
        for row in csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")):
            for cell in row:
                is_number = re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", cell) is not None
                assert is_number or not cell.startswith(FORMULA_STARTS), (name, cell)


def test_no_workbook_computes_or_links(exported: dict[str, bytes]) -> None:
    for name, content in ending(exported, ".xlsx").items():
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            names = parts.namelist()
            assert not [
                part for part in names if re.search("external|macro|vba|connections|hyperlink|embed", part, re.I)
            ]
            for part in names:
                text = parts.read(part)
                assert b"<f>" not in text, (name, part)
                assert b"<f " not in text
                assert b"<hyperlink" not in text
                assert b'TargetMode="External"' not in text
                ElementTree.fromstring(text)  # noqa: S314  # no entity, and well formed
        for sheet in load_workbook(io.BytesIO(content)).worksheets:
            assert not [cell.coordinate for row in sheet.iter_rows() for cell in row if cell.data_type == "f"]


class Elements(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, str, str]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {(tag, name, value or "") for name, value in attrs} | {(tag, "", "")}


ELEMENTS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "span", "div", "table", "caption",
            "thead", "tbody", "tr", "th", "td", "ul", "li", "figure", "figcaption", "img"}  # fmt: skip
ATTRIBUTES = {"", "lang", "charset", "name", "content", "style", "class", "colspan", "alt", "src"}


def test_no_page_has_an_element_that_is_not_the_reports_own(exported: dict[str, bytes]) -> None:
    for name, content in ending(exported, ".html").items():
        parser = Elements()
        parser.feed(content.decode())
        assert {tag for tag, _, _ in parser.found} <= ELEMENTS, name
        assert {attribute for _, attribute, _ in parser.found} <= ATTRIBUTES, name
        assert all(value.startswith("data:image/svg+xml;base64,") for _, key, value in parser.found if key == "src")
        assert not set(content.decode()) & TURNS, name


def test_a_browser_that_opens_a_page_asks_for_nothing_and_runs_nothing(
    exported: dict[str, bytes], page: Page, tmp_path: Path
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(dialog.message))
    for number, (name, content) in enumerate(ending(exported, "report.html", "table1.html", "auc.html").items()):
        path = tmp_path / f"{number}.html"
        path.write_bytes(content)
        page.goto(path.as_uri())
        assert page.evaluate("document.scripts.length") == 0, name
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    assert sum(url.startswith("file") for url in asked) == number + 1


def test_no_drawing_links_or_runs(exported: dict[str, bytes]) -> None:
    for name, content in ending(exported, ".svg").items():
        assert b"<!ENTITY" not in content
        for element in ElementTree.fromstring(content).iter():  # noqa: S314
            tag = element.tag.rpartition("}")[2]
            assert tag not in ("script", "foreignObject", "a", "iframe", "animate", "set", "handler"), name
            for key, value in element.attrib.items():
                plain = key.rpartition("}")[2]
                assert not plain.startswith("on"), name
                if plain == "href":
                    assert value.startswith(("#", "data:image/png;base64,")), (name, value[:40])


#: What LaTeX is told by these tables themselves.
COMMANDS = {
    "usepackage", "begin", "end", "centering", "caption", "label", "toprule", "midrule", "bottomrule", "endhead",
    "endfoot", "cmidrule", "multicolumn", "par", "smallskip", "footnotesize", "small", "scriptsize", "setlength",
    "tabcolsep", "raggedright", "arraybackslash", "allowbreak", "textbackslash", "textasciitilde", "textasciicircum",
    "textminus", "textpm", "textless", "textgreater", "textbar", "textasciigrave", "geq", "leq", "rightarrow",
    "texttimes",
}  # fmt: skip


def test_latex_obeys_nothing_but_the_tables_own_commands(exported: dict[str, bytes]) -> None:
    for name, content in ending(exported, ".tex").items():
        text = content.decode()
        assert set(re.findall(r"\\([A-Za-z]+)", text)) <= COMMANDS, name
        assert not set(text) & TURNS
        math = re.sub(r"\\\$|\$\\(geq|leq|rightarrow)\$", "", text)
        assert "$" not in math, name


def test_no_pdf_has_an_action_a_link_or_a_file(exported: dict[str, bytes]) -> None:
    """The typst text of the report reads nothing: what it would read is not below its folder, and it would stop."""
    for name, content in ending(exported, ".pdf").items():
        parts = [content]
        for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.S):
            try:
                parts.append(zlib.decompress(stream))
            except zlib.error:
                continue
        whole = b"\n".join(parts)
        for sign in (b"/JavaScript", b"/JS ", b"/Launch", b"/URI", b"/EmbeddedFile", b"/OpenAction", b"/SubmitForm"):
            assert sign not in whole, (name, sign)


@pytest.mark.parametrize("text", [*BAITS, TURNED])
def test_typst_sets_a_bait_as_it_is(text: str) -> None:
    blocks = [Heading(text, stamp=text), Paragraph(text), PrintedTable("t", text, (text,), ((text,),), notes=(text,))]
    assert to_pdf(text, blocks).startswith(b"%PDF")
