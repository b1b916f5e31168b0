"""The report: the numbers of the analysis, what is planned and what is not, what is missing, and the checklists."""

import re
from collections import Counter
from dataclasses import replace

import pandas as pd
import pytest

from core.analysis import analyse
from core.number_text import percent_text
from core.protocol import Comparison, Design, Protocol
from core.report.checklists import ANSWERS, AUTHOR, checklists
from core.report.document import Heading, Listing, Paragraph, Picture, to_html, to_pdf
from core.report.figures import figure_plans
from core.report.printed_tables import PrintedTable, paper_tables
from core.report.study_record import NOT_BLINDED_HERE, Deviation, StudyRecord, card_text
from core.report.study_report import report_blocks
from tests.core.analysis_studies import simulated_study

OPTIONS = {"confidence_level": 0.95, "margin": 0.05, "missing": "common"}
PROTOCOL = Protocol(title="T", primary_endpoint="Accuracy of the model", secondary_endpoints=("AUC of tumor",),
                    margin=0.05, funding="None")  # fmt: skip


READERS = pd.DataFrame({
    "reader": ["reader-0", "reader-1"], "specialty": ["nuclear medicine", None], "site": ["A & B", None],
    "years_of_experience": [2.0, None], "has_used_model": [True, None], "cohorts": ["internal"] * 2,
    "arms": ["unaided"] * 2,
})  # fmt: skip


@pytest.fixture(scope="module")
def record():
    data = replace(simulated_study(n_cases=60, readers=2, models=1, missing=0.2, has_about=True),
                   declared_model="model-0")  # fmt: skip
    return StudyRecord(
        "s", 'A study, "quoted" #1 $x_2$ \\n <b>', data, analyse(data, **OPTIONS), OPTIONS, protocol=PROTOCOL,
        protocol_version=3, deviations=(Deviation("deviation logged", 1, "read on a laptop"),),
        model_cards={"model-0": {"name": "Net", "architecture": "resnet", "recipe": {"epochs": 3}}},
        tables={"readers": READERS},
    )  # fmt: skip


@pytest.fixture(scope="module")
def blocks(record):
    return report_blocks(record)


def texts(blocks):
    """Everything that is written."""
    for block in blocks:
        match block:
            case Heading() | Paragraph():
                yield block.text
            case Listing():
                yield from block.items
            case Picture():
                yield block.caption
            case PrintedTable():
                yield from (block.title, *block.columns, *block.notes, *(cell for row in block.rows for cell in row))


def test_the_report_holds_the_strings_of_the_analysis(record, blocks):
    said = set(texts(blocks))
    tables = record.analysis.to_tables()
    cohort = record.analysis.cohort("internal")
    assert set(cohort.answer) <= said
    for name in ("mcnemar", "calibration", "reading_times"):
        assert set(tables[name]["estimate"]) <= said, name
    leading = tables["mrmc"][tables["mrmc"]["is_leading"].astype(bool)]
    assert set(leading["estimate"]) <= said
    assert "deviation logged" in said
    assert "read on a laptop" in said
    assert sum(isinstance(block, Picture) for block in blocks) >= 6


def test_every_result_says_whether_it_was_planned(record, blocks):
    stamps = {
        block.text.removeprefix("Cohort internal: "): block.stamp
        for block in blocks if isinstance(block, Heading) and block.text.startswith("Cohort internal")
    }  # fmt: skip
    assert len(stamps) >= 5
    assert all(stamps.values())
    assert stamps["accuracy"] == "planned: primary endpoint"
    assert stamps["ROC and several readers"] == "planned: secondary endpoint, of Tumor alone"
    assert stamps["against the margin"] == "planned: margin of the protocol"
    assert stamps["reading time, seconds"] == "exploratory"


def test_checklists_claim_no_more_than_is_known(record):
    def answers(name, protocol):
        return {one.item: one for one in checklists(replace(record, protocol=protocol))[name]}

    aided = Protocol(title="T", design=Design.SEQUENTIAL, training_cohort="practice", comparison=Comparison.LIVE)
    assert "saw the model's answer" in answers("STARD 2015", aided)["13a"].answer
    assert "saw the model's answer" not in answers("STARD 2015", PROTOCOL)["13a"].answer
    assert "could compare" in answers("STARD 2015", aided)["13b"].answer
    claim = answers("CLAIM 2024", PROTOCOL)
    assert claim["20"].is_open  # whom the model was trained on
    assert claim["33"].answer == AUTHOR  # the study has no external cohort


def test_cohorts_of_like_names_keep_their_own_tables_and_figures():
    data = simulated_study(n_cases=60, readers=1, models=1, cohorts=2)
    named = {"internal": "a b", "external": "a-b"}
    data = replace(data, cases=data.cases.assign(cohort=data.cases["cohort"].map(named)))
    analysis = analyse(data, **OPTIONS)
    blocks = report_blocks(StudyRecord("s", "A study", data, analysis, OPTIONS, source="a file"))
    cohort = ""
    seen = Counter()
    for block in blocks:
        if isinstance(block, Heading) and block.text.startswith("Cohort "):
            cohort = block.text.removeprefix("Cohort ").partition(":")[0]
        said = {Picture: getattr(block, "caption", ""), PrintedTable: getattr(block, "title", "")}.get(type(block), "")
        if cohort and ", cohort " in said:
            assert f", cohort {cohort}" in said
            seen[cohort] += 1
    assert min(seen["a b"], seen["a-b"]) >= 4
    keys = [table.key for table in paper_tables(analysis)]
    plans = [plan.name for plan in figure_plans(analysis)]
    assert len(set(keys)) == len(keys) == 5
    assert len(set(plans)) == len(plans)


def test_missing_answers_have_a_worst_and_a_best_case(record, blocks):
    table = next(block for block in blocks if isinstance(block, PrintedTable) and block.key == "missing")
    for one, row in zip(record.analysis.cohort("internal").participants, table.rows, strict=True):
        right, total = int(one.confusion.trace()), one.n_cases + one.n_missing + one.n_unreadable
        assert row[6:] == (percent_text(right / one.n_cases), percent_text(right / total),
                           percent_text((right + total - one.n_cases) / total))  # fmt: skip
    assert any(row[7] != row[8] for row in table.rows)


def test_the_checklists_are_whole_and_say_what_is_the_authors(record):
    found = checklists(record)
    assert {name: len(items) for name, items in found.items()} == {
        "STARD 2015": 34, "STARD-AI 2025": 48, "CLAIM 2024": 44,
    }  # fmt: skip
    for items in found.values():
        assert all(one.answer for one in items)
        assert all(one.is_open for one in items if one.answer == AUTHOR)
    stard = {one.item: one for one in found["STARD 2015"]}
    assert stard["30"].answer.startswith("None.")
    assert stard["28"].answer == AUTHOR
    assert "Accuracy of the model" in stard["4"].answer
    assert not stard["19"].is_open
    elsewhere = {one.item: one for one in checklists(replace(record, protocol=None))["STARD 2015"]}
    assert elsewhere["13a"].answer == AUTHOR  # nobody here knows who was blinded
    assert {"accuracy", "blinding"} <= ANSWERS.keys()


def test_readings_made_elsewhere_are_marked_first_and_have_no_protocol(record):
    elsewhere = replace(record, protocol=None, source="18 files", model_cards={}, deviations=(), tables={})
    found = report_blocks(elsewhere)
    warnings = [block.text for block in found if isinstance(block, Paragraph) and block.is_warning]
    assert warnings[0] == NOT_BLINDED_HERE
    assert any("18 files" in text for text in texts(found))


def test_readers_stand_with_what_reviewers_ask_of_them(record, blocks):
    (table,) = [one for one in blocks if isinstance(one, PrintedTable) and one.key == "readers"]
    counts = record.data.readings["reader"].value_counts()
    assert table.rows == (
        ("reader-0", "nuclear medicine", "2", "A & B", "yes", str(counts["reader-0"])),
        ("reader-1", "not stated", "not stated", "not stated", "not stated", str(counts["reader-1"])),
    )
    told = ANSWERS["readers"](record)
    assert "specialty: nuclear medicine 1" in told
    assert "used such a model before: yes 1" in told


def test_html_and_pdf_hold_any_text_and_are_the_same_bytes_every_time(record, blocks):
    page, paper = to_html(record.title, blocks), to_pdf(record.title, blocks)
    assert (to_html(record.title, blocks), to_pdf(record.title, blocks)) == (page, paper)
    assert paper.startswith(b"%PDF")
    text = page.decode()
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    assert not re.search(r'(src|href)="(?!data:)', text)  # nothing is fetched
    printed = text.split("@media print")[1]  # on paper no heading is left behind and no figure is cut
    assert "break-after: avoid" in printed
    assert "break-inside: avoid" in printed
    assert text.count("<img alt=") == sum(isinstance(block, Picture) for block in blocks)


def test_a_table_without_rows_is_printed() -> None:
    """As in the report of a study that was unsealed although nobody had read."""
    assert to_pdf("T", [PrintedTable("empty", "Empty", ("reader", "cases"), ())]).startswith(b"%PDF")


def without_answers(study):
    """Everybody was asked and nobody answered."""
    asked = study.readings[["reader", "case", "arm"]]
    return replace(study, readings=study.readings[:0], assignments=asked)


def unreadable(study):
    """Every case was called not readable."""
    return replace(study, readings=study.readings.assign(label="", confidence=None, is_unreadable=True))


def one_case(study):
    """A single case."""
    first = study.cases["case"].iloc[:1]
    return replace(study, cases=study.cases[:1], readings=study.readings[study.readings["case"].isin(first)],
                   predictions=study.predictions[study.predictions["case"].isin(first)])  # fmt: skip


@pytest.mark.parametrize(
    ("change", "models", "said"),
    [
        (without_answers, 0, "there is no result to tell"),
        (unreadable, 0, "there is no result to tell"),
        (one_case, 1, "No ROC curve: it needs answers to cases of a class and to cases of the others."),
    ],
)
def test_what_cannot_be_told_says_why_and_no_number_is_a_nan(change, models, said):
    data = change(simulated_study(n_cases=12, readers=2, models=models))
    record = StudyRecord("s", "A study", data, analyse(data, **OPTIONS), OPTIONS, source="a file")
    blocks = report_blocks(record)
    told = list(texts(blocks))
    assert any(said in text for text in told)
    assert not [text for text in told if re.search(r"\b(nan|NaN|NaT|inf)\b", text)]
    headings = [at for at, block in enumerate(blocks) if isinstance(block, Heading) and block.level == 2]
    assert not [blocks[at].text for at in headings if at + 1 in headings], "a heading with nothing below"
    assert to_pdf("T", blocks).startswith(b"%PDF")


def test_checklists_tell_a_recipe_and_subgroups_in_words_and_cut_no_word(record):
    recipe = {"architecture": "resnet", "augmentation": {f"rotation_{n}_degrees": 1.5 * n for n in range(40)}}
    told = checklists(replace(record, model_cards={"model-0": {"name": "Net", "recipe": recipe}}))
    answers = [item.answer for items in told.values() for item in items]
    (answer,) = {text for text in answers if text.startswith("Recipe: ")}
    assert answer.startswith("Recipe: architecture: resnet, augmentation: rotation_0_degrees: 0, ")
    assert " …." in answer
    assert not [text for text in answers if "{'" in text or "reader_years" in text]
    assert any("years of experience" in text for text in answers)
    whole = card_text(recipe, 3000)
    assert whole.endswith("rotation_39_degrees: 58.5")
    assert {word.rstrip(",") for word in card_text(recipe, 100).split()} <= {*whole.replace(",", "").split(), "…"}
    assert card_text("x" * 400, 300) == f"{'x' * 298} …"
