"""What a protocol file says is what the study gets; what it cannot mean is refused with line, key and fix."""

from __future__ import annotations

import dataclasses
from datetime import date
from enum import StrEnum

import pytest

from core.errors import InputError
from core.protocol import (
    Comparison,
    Design,
    DiseaseClass,
    Display,
    EndScreen,
    GoingBack,
    ModelShown,
    Planned,
    Protocol,
    ReadingConditions,
    ReadingOrder,
    Scale,
    ScaleKind,
    class_key,
)
from core.protocol_file import (
    choices,
    frozen_changes,
    protocol_diff,
    protocol_from_plain,
    protocol_to_plain,
    read_protocol,
    read_protocol_file,
    write_protocol,
)
from core.protocol_text import methods_text

HEAD = "schema: 1\ntitle: Breast\n"

FULL = Protocol(
    title='Nodules: "warm", cold # and Ödem',
    question="Is it malignant?",
    instructions="Take your time.\n\nOne hand on the keyboard.",
    classes=(DiseaseClass("no", "Benign", "B", ("benigne",)), DiseaseClass("1", "Malignant", "M")),
    scale=Scale(ScaleKind.PERCENT),
    cohorts=("2024-01-01", "yes"),
    design=Design.CROSSOVER,
    washout_days=30,
    order=ReadingOrder(seed=-5, block_size=20, is_stratified=True, n_repeats=10, repeat_distance=15),
    training_cohort="training",
    going_back=GoingBack.ANY,
    going_back_until=date(2027, 2, 1),
    timeout_seconds=120,
    may_type_ahead=True,
    may_comment=False,
    may_mark_unreadable=False,
    has_location_mark=True,
    blank_seconds=0.5,
    display=Display(5, 80.5, is_smooth=False),
    conditions=ReadingConditions(1280, 800, True),
    model_shown=ModelShown("Tool A", False, True),
    end_screen=EndScreen.PROGRESS,
    comparison=Comparison.LIVE,
    opens_on=date(2026, 12, 1),
    closes_on=date(2027, 3, 1),
    model_sha256="ab" * 32,
    model_view="anterior",
    primary_endpoint="accuracy",
    secondary_endpoints=("AUC", "time"),
    margin=0.05,
    analysis_plan="MRMC.",
    planned=Planned(3, 40, {"power": 0.81, "seed": 3}),
    ethics="EC 12/26",
    registration="NCT0",
    funding="none",
    intended_use="research",
)


def test_every_field_survives_the_file_and_the_store() -> None:
    usual = Protocol(title="-")
    same = [each.name for each in dataclasses.fields(Protocol) if getattr(FULL, each.name) == getattr(usual, each.name)]
    assert same == [], "a field that the test leaves at its default is not tested"
    for has_defaults in (True, False):
        assert read_protocol(write_protocol(FULL, has_defaults=has_defaults)) == FULL
        assert read_protocol(write_protocol(usual, has_defaults=has_defaults)) == usual
    assert protocol_from_plain(protocol_to_plain(FULL)) == FULL


@pytest.mark.parametrize(
    ("text", "row", "field", "words"),
    [
        (HEAD + "scael: {kind: label}", 3, "scael", "did you mean 'scale'"),
        (HEAD + "scale:\n  kind: ordnal", 4, "scale.kind", "did you mean 'ordinal'"),
        (HEAD + "scale: {kind: ordinal, word: [a, b]}", 3, "scale.word", "did you mean 'words'"),
        (HEAD + "order:\n  seeed: 1", 4, "order.seeed", "did you mean 'seed'"),
        (HEAD + "order:\n  seed: 1.5", 4, "order.seed", "integer"),
        (HEAD + "order: {is_stratified: true}", 3, "order.is_stratified", "block_size"),
        (HEAD + "may_comment: no", 3, "may_comment", "write true or false"),
        (HEAD + "title: again", 3, None, "duplicate key"),
        (HEAD + "scale: {kind: label, words: [a]}", 3, "scale.words", "no words"),
        (HEAD + "scale: {words: [a, A ]}", 3, "scale.words", "one word"),
        (HEAD + "opens_on: 2026-13-40", None, None, "date"),
        (HEAD + "opens_on: 2026-12-02\ncloses_on: 2026-12-01", 4, "closes_on", "before it begins"),
        (HEAD + "margin: 5", 3, "margin", "0.05 is 5 points"),
        (HEAD + "margin: .nan", 3, "margin", "none or without end"),
        (HEAD + "classes: [{key: a, label: A, short_label: A}]", 3, "classes", "2 to 20"),
        (HEAD + "classes:\n  - {key: a, label: A, short_label: A}\n  - {key: b, label: B}", 5, "classes.2.short_label",
         "add the line"),
        (HEAD + "classes:\n  - {key: a, label: A, short_label: A}\n  - {key: b, label: a, short_label: B}", 3,
         "classes",
         "share a name"),
        (HEAD + "display: {lower_percent: 80, upper_percent: 20}", 3, "display", "rise"),
        ("title: A", None, "schema", "schema: 1"),
        ("schema: 2\ntitle: A", None, "schema", "schema: 1"),
        ("schema: 1\nquestion: A?", None, "title", "add the line"),
        ("- a\n- b", None, None, "list of 'name: value'"),
        ("", None, None, "list of 'name: value'"),
        ("schema: 1\ntitle: 'a", 2, None, "not YAML"),
        ("schema: 1\ntitle: 12", 2, "title", "string"),
        ("schema: 1\ntitle: !!set {a, b}", 2, "title", "without the !!"),
        ("schema: 1\ntitle: !!binary aGk=", 2, "title", "without the !!"),
        ("schema: 1\ntitle: !theirs y", 2, "title", "without the !!"),
        (HEAD + "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in ("ab", "bc", "cd", "de", "ef", "fg")
        ), None, None, "values"),
    ],
)  # fmt: skip
def test_what_a_file_cannot_mean_is_refused_with_its_line(text, row, field, words) -> None:
    with pytest.raises(InputError, match=words) as caught:
        read_protocol(text, file="p.yaml")
    assert (caught.value.row, caught.value.field) == (row, field)


def test_a_file_that_is_no_text_is_refused(tmp_path) -> None:
    for content in (b"\xff\xfe\x00", b"x" * 2_000_000):
        (tmp_path / "p.yaml").write_bytes(content)
        with pytest.raises(InputError, match=r"p\.yaml"):
            read_protocol_file(tmp_path / "p.yaml")
    with pytest.raises(InputError, match=r"cannot be read"):
        read_protocol_file(tmp_path / "absent.yaml")


def test_differences_name_the_field_and_both_values() -> None:
    after = dataclasses.replace(FULL, order=dataclasses.replace(FULL.order, seed=7), ethics="EC 13/26")
    found = {each.field: (each.before, each.after) for each in protocol_diff(FULL, after)}
    assert found == {"order.seed": (-5, 7), "ethics": ("EC 12/26", "EC 13/26")}
    assert [each.field for each in frozen_changes(FULL, after)] == ["order.seed"]
    assert protocol_diff(FULL, FULL) == []


@pytest.mark.parametrize("design", Design)
@pytest.mark.parametrize("kind", ScaleKind)
def test_the_methods_text_says_what_the_protocol_fixes(design, kind) -> None:
    text = methods_text(dataclasses.replace(FULL, design=design, scale=Scale(kind)))
    for words in (
        "Is it malignant?",
        "Benign or Malignant",
        "seed -5",
        "10 cases",
        "2027-02-01",
        "0.05",
        "EC 12/26",
        "anterior",
    ):
        assert words in text
    assert ("Tool A" in text) == (design is not Design.UNAIDED)
    assert ("30 days" in text) == (design is Design.CROSSOVER)


def test_the_words_of_a_field_come_from_its_type() -> None:
    assert choices("design") == list(Design)
    assert all(isinstance(word, StrEnum) for word in choices("scale.kind"))


def test_names_of_classes_are_told_apart_as_files_do() -> None:
    assert class_key(" MALIGNANT ", FULL.classes) == "1"
    with pytest.raises(InputError):
        class_key("Graves", FULL.classes)
