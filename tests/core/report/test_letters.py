"""Letters of any script are drawn, or named as those that are not."""

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from core.analysis import analyse
from core.report import letters
from core.report.document import Heading, Paragraph, to_pdf
from core.report.figures import figure_plans, render
from core.report.letters import letters_of
from tests.core.analysis_studies import simulated_study

LACKING = "\u0378"  # no letter has this code, and so no font


@pytest.mark.parametrize("text", ["Käse, naïve", "Ελληνικά", "Кириллица", "عربي", "😀", "½ ≥ → κ", "a\u200bb\n"])
def test_letters_of_the_packages_need_no_font_of_the_machine(text):
    found = letters_of([text, 3, None])
    assert (found.families, found.undrawn, found.warning) == ((), (), "")


def test_what_no_font_has_is_named_with_what_to_do():
    found = letters_of([f"reader {LACKING}", "plain"])
    assert found.undrawn == (LACKING,)
    assert "U+0378" in found.warning
    assert "install a font" in found.warning


@pytest.fixture
def font_with_all(tmp_path, monkeypatch):
    """A font of this machine that has the letter that no other has."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 700), (500, 700), (500, 0)):
        pen.lineTo(point)
    pen.closePath()
    square = pen.glyph()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "odd"])
    builder.setupCharacterMap({ord(LACKING): "odd"})
    builder.setupGlyf({".notdef": square, "odd": square})
    builder.setupHorizontalMetrics({".notdef": (600, 0), "odd": (600, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Odd Letters", "styleName": "Regular", "psName": "OddLetters"})
    builder.setupOS2()
    builder.setupPost()
    path = tmp_path / "odd.ttf"
    builder.save(path)
    entry = font_manager.FontEntry(str(path), name="Odd Letters", style="normal", weight=400, stretch="normal")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*font_manager.fontManager.ttflist, entry])
    letters._found.cache_clear()
    yield path
    letters._found.cache_clear()


def test_a_font_of_the_machine_draws_what_the_packages_lack(font_with_all):
    found = letters_of([LACKING])
    assert (found.families, found.files, found.undrawn) == (("Odd Letters",), (str(font_with_all),), ())
    assert b"OddLetters" in to_pdf("t", [Heading(LACKING), Paragraph(LACKING)]).replace(b"-", b"").replace(b" ", b"")


def test_money_and_signs_of_formulas_in_names_stay_as_they_are():
    """A dollar sign begins no formula: Matplotlib would fail on it, or swallow it."""
    study = simulated_study(n_cases=16, readers=2, models=1)
    names = {"reader-0": r"cost $5 \frac{", "reader-1": "a_b^c $x$"}
    analysis = analyse(type(study)(study.classes, study.cases, study.readings, study.predictions, reader_names=names))
    plan = next(plan for plan in figure_plans(analysis) if plan.name.startswith("forest"))
    assert len(render(plan, 84, ("svg",))["svg"]) > 10_000
