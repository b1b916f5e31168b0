"""Setting a study up on the screen: every field of the protocol, its messages, versions, files and copies."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import date
from typing import Any, get_type_hints

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core import protocol as rooms
from core.errors import InputError
from core.protocol import (
    ColourTable,
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
)
from core.protocol_file import protocol_from_plain, protocol_to_plain, write_protocol
from core.study import CaseRecord, StudyState
from db import OPERATOR, Repository, open_store
from db.records import ReadingView
from pages.widgets import guard, resources
from pages.widgets.protocol_fields import ELSEWHERE, GROUPS, WORDS, get, group_of, protocol_of_file, protocol_or_errors
from pages.widgets.reading_preview import _made_up_model, neutral_picture
from tests.pages.reading_server import COORDINATOR, PASSWORD, STUDY

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FIELDS = [field for group in GROUPS.values() for field in group]
OWN = Protocol(
    title="Ulcers",
    question="Is the wound infected?",
    classes=(DiseaseClass("clean", "Clean", "Clean"), DiseaseClass("infected", "Infected", "Inf.", ("dirty",))),
    scale=Scale(ScaleKind.PERCENT),
    design=Design.CROSSOVER,
    washout_days=14,
    going_back=GoingBack.NEVER,
    margin=0.05,
)


@pytest.fixture
def store(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A store in which a coordinator is signed in, with an open study and a draft."""
    engine = open_store(store_url)
    monkeypatch.setattr(resources, "store_engine", lambda: engine)
    token = Repository(engine, None).authenticate(COORDINATOR, PASSWORD, "127.0.0.1")
    monkeypatch.setattr(guard, "cookie_token", lambda: token)
    operator = Repository(engine, OPERATOR)
    operator.create_study("ulcers", OWN, coordinator=COORDINATOR)
    yield operator
    engine.dispose()


def open_screen(address: str, study: str = "ulcers") -> AppTest:
    def script(address: str) -> None:
        from pages.screens import SCREENS

        next(screen for screen in SCREENS if screen.address == address).render()

    page = AppTest.from_function(script, default_timeout=60, args=(address,))
    page.query_params["study"] = study
    page.run()
    assert not page.exception
    return page


def widget(page: AppTest, kind: str, label: str) -> Any:
    return next(each for each in getattr(page, kind) if each.label == label)


def names_of(room: type, prefix: str = "") -> set[str]:
    """Every field of a protocol, one level in another."""
    found = set()
    for field, hint in get_type_hints(room, vars(rooms)).items():
        if field.isupper():
            continue
        found |= names_of(hint, f"{prefix}{field}.") if dataclasses.is_dataclass(hint) else {prefix + field}
    return found


def test_the_screen_has_every_field_of_the_protocol_and_no_other() -> None:
    assert sorted([*(field.name for field in FIELDS), *ELSEWHERE]) == sorted(names_of(Protocol))
    for field in FIELDS:
        assert (field.name in WORDS) == (field.kind == "choice")
        assert group_of(field.name)


#: Every field otherwise than it is when nothing was said.
FULL = Protocol(
    title="Ulcers", question="Is the wound infected?", instructions="Look at the edge.", classes=OWN.classes,
    scale=Scale(words=("no", "perhaps", "surely")), cohorts=("main",), design=Design.CROSSOVER, washout_days=14,
    order=ReadingOrder(seed=7, block_size=3, is_stratified=True, n_repeats=1, repeat_distance=2),
    training_cohort="practice", going_back=GoingBack.ANY, going_back_until=date(2027, 1, 31), timeout_seconds=90,
    may_type_ahead=True, may_comment=False, may_mark_unreadable=False, has_location_mark=True, blank_seconds=0.5,
    display=Display(5.0, 95.0, ColourTable.INFERNO, is_smooth=False),
    conditions=ReadingConditions(1000, 700, has_grey_ramp=True),
    model_shown=ModelShown("Helper", has_probabilities=False, has_class_map=False), end_screen=EndScreen.PROGRESS,
    comparison=Comparison.LIVE, opens_on=date(2026, 12, 1), closes_on=date(2027, 2, 1), model_view="anterior",
    primary_endpoint="AUC", secondary_endpoints=("kappa",), margin=0.05, analysis_plan="As planned.",
    planned=Planned(3, 40, {"power": 0.8}), ethics="No. 1", registration="NCT0", funding="none", intended_use="triage",
)  # fmt: skip


def test_every_field_is_edited_on_the_screen_and_stored_as_the_file_stores_it(store: Repository) -> None:
    """But the table of classes, which this kind of test cannot type into: the walk in the browser does."""
    begun = Protocol(title="Usual", classes=OWN.classes, scale=Scale(ScaleKind.PERCENT))
    usual, wanted = protocol_to_plain(begun), protocol_to_plain(FULL)
    for field in FIELDS:
        assert field.name == "classes" or get(usual, field.name) != get(wanted, field.name), field.name
    for key, protocol in (("file", FULL), ("screen", begun)):
        store.create_study(key, protocol, coordinator=COORDINATOR)
        pictures = [np.full((8, 8), 20 * (n + 1), np.uint8) for n in range(4)]
        store.import_cases(
            key,
            [
                CaseRecord(f"c{n}", f"p{n}", cohort, "clean", pictures[2 * (key == "file") + n])
                for n, cohort in enumerate(("main", "practice"))
            ],
        )
    page = open_screen("set-up", "file")
    assert any("Nothing differs" in text.value for text in page.caption)  # so each widget holds what it was given
    page = open_screen("set-up", "screen")
    kinds = {"line": "text_input", "whole": "text_input", "number": "text_input", "text": "text_area",
             "lines": "text_area", "json": "text_area", "yes": "checkbox", "choice": "selectbox", "date": "date_input",
             "cohort": "selectbox", "cohorts": "multiselect"}  # fmt: skip
    for field in FIELDS:
        if field.name == "classes":
            continue
        value = get(wanted, field.name)
        match field.kind:
            case "lines":
                value = "\n".join(value)
            case "whole" | "number":
                value = str(value)
            case "json":
                value = json.dumps(value)
        widget(page, kinds[field.kind], field.label).set_value(value)
        if field.name == "scale.kind":
            page.run()  # only steps have words
    page.run()
    assert not page.error
    widget(page, "button", "Save as a new version").click().run()
    assert not page.exception
    assert store.study("screen").protocol == store.study("file").protocol == FULL


def test_a_protocol_passes_through_the_form_unchanged(store: Repository) -> None:
    page = open_screen("set-up")
    assert any("Nothing differs" in text.value for text in page.caption)
    assert widget(page, "button", "Save as a new version").disabled


def test_what_is_edited_is_shown_as_a_difference_and_saved_as_a_version(store: Repository) -> None:
    page = open_screen("set-up")
    widget(page, "text_input", "Title").input("Ulcers 2026")
    widget(page, "text_input", "Washout, days").input("28")
    widget(page, "selectbox", "Readers may correct").set_value("any")
    page.date_input[0].set_value("2027-01-31")
    page.run()
    assert any("4 fields differ" in text.value for text in page.caption)
    difference = page.dataframe[-1].value
    assert list(difference["field"]) == ["title", "washout_days", "going_back", "going_back_until"]
    widget(page, "button", "Save as a new version").click().run()
    assert not page.exception
    saved = store.study("ulcers")
    assert saved.protocol_version == 2
    assert saved.protocol == protocol_from_plain(
        {**protocol_to_plain(OWN), "title": "Ulcers 2026", "washout_days": 28, "going_back": "any",
         "going_back_until": "2027-01-31"}
    )  # fmt: skip
    assert any("Saved as version 2" in text.value for text in page.success)
    assert widget(page.run(), "button", "Save as a new version").disabled


WRONG = {
    "title": (" ", "needs a title"),
    "question": ("", "needs a question"),
    "classes": ([], "2 to 20 classes"),
    "cohorts": (["a", "a"], "named twice"),
    "scale.words": (["only"], "2 to 10 steps"),
    "order.seed": (2**80, "64 bits"),
    "order.block_size": (0, "1 or more"),
    "order.is_stratified": (True, "only blocks"),
    "order.n_repeats": (-1, "0 or more"),
    "order.repeat_distance": (0, "1 or more"),
    "display.lower_percent": (100.0, "rise within"),
    "blank_seconds": (11.0, "0 to 10"),
    "conditions.min_width_px": (-1, "0 or more"),
    "model_shown.name": (" ", "no name"),
    "washout_days": (-1, "0 or more"),
    "timeout_seconds": (0, "1 or more"),
    "margin": (3.0, "between 0 and 1"),
    "planned.n_readers": (0, "1 or more"),
    "planned.n_cases": ("many", "valid integer"),
}


def test_every_wrong_field_has_its_message_at_once() -> None:
    usual = protocol_to_plain(Protocol(title="Usual"))
    plain = protocol_to_plain(Protocol(title="Usual"))
    for name, (value, _) in WRONG.items():
        *above, last = name.split(".")
        place = plain
        for part in above:
            place = place[part]
        place[last] = value
    errors: dict[str, InputError] = {}
    assert protocol_or_errors(plain, usual, errors) is None
    assert set(errors) == set(WRONG)
    for name, (_, said) in WRONG.items():
        assert said in str(errors[name]), name


def test_wrong_input_stands_at_its_field_and_nothing_can_be_saved(store: Repository) -> None:
    page = open_screen("set-up")
    widget(page, "text_input", "Seed").input("abc")
    widget(page, "text_input", "Title").input(" ")
    widget(page, "text_area", "Power run").input("{")
    page.run()
    said = [text.value for text in page.error]
    assert any("Is no number (got abc)" in text for text in said)
    assert any("A study needs a title" in text for text in said)
    assert any("Is no JSON" in text for text in said)
    assert any("see What is read, Order, Plan" in text or "see Order, Plan, What is read" in text for text in said)
    assert widget(page, "button", "Save as a new version").disabled
    widget(page, "button", "Discard the changes").click().run()
    assert not page.error
    assert any("Nothing differs" in text.value for text in page.caption)


def test_an_opened_study_shows_frozen_fields_and_why(store: Repository) -> None:
    page = open_screen("set-up", STUDY)
    assert any("fixed when it was opened" in text.value for text in page.info)
    free = {"Ethics", "Registration", "Funding", "Intended use of the model"}
    for kind in ("text_input", "text_area", "selectbox", "checkbox", "multiselect", "date_input"):
        for each in getattr(page, kind):
            if each.label != "Study":
                assert each.disabled == (each.label not in free), each.label


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"title: x", b"schema: 1\ntitle: x\nqestion: y\n", b"- a", b"a" * 2_000_000]
)
def test_a_file_that_is_no_protocol_is_refused_with_its_place(content: bytes) -> None:
    with pytest.raises(InputError, match=r"mine\.yaml"):
        protocol_of_file("mine.yaml", content)


def test_a_file_gives_back_what_was_written() -> None:
    assert protocol_of_file("mine.yaml", write_protocol(OWN).encode("utf-8-sig")) == OWN


def test_a_study_of_an_own_field_is_created(store: Repository) -> None:
    page = open_screen("new-study")
    widget(page, "text_input", "Key").input("Bones!")
    widget(page, "text_input", "Classes").input("Normal bone")
    page.button[0].click().run()
    assert any("2 to 20 classes" in text.value for text in page.error)
    widget(page, "text_input", "Classes").input("Normal bone, Fracture")
    page.button[0].click().run()
    assert any("not a study key" in text.value for text in page.error)
    widget(page, "text_input", "Key").input("ulcers")
    page.button[0].click().run()
    assert any("Choose another key" in text.value for text in page.error)
    widget(page, "text_input", "Key").input("bones")
    page.button[0].click().run()
    assert not page.exception
    made = store.study("bones")
    assert (made.state, made.protocol.title) == (StudyState.DRAFT, "bones")
    assert [(c.key, c.label) for c in made.protocol.classes] == [
        ("normal-bone", "Normal bone"),
        ("fracture", "Fracture"),
    ]


def test_a_copy_has_the_protocol_and_nothing_else(store: Repository) -> None:
    page = open_screen("new-study")
    page.button_group[0].set_value("Copy of a study").run()
    page.selectbox[0].select_index(next(n for n, o in enumerate(page.selectbox[0].options) if "ulcers" in o))
    widget(page, "text_input", "Key").input("again")
    page.button[0].click().run()
    assert not page.exception
    assert store.study("again").protocol == dataclasses.replace(OWN, title="Ulcers (copy)")
    assert store.cohorts("again") == []


@pytest.mark.parametrize("n_classes", [2, 4, 20])
def test_the_made_up_model_of_the_preview_names_its_highest_class(n_classes: int) -> None:
    classes = tuple(DiseaseClass(f"c{n}", f"C{n}", f"C{n}") for n in range(n_classes))
    view = ReadingView(neutral_picture(), "counts")
    shown = _made_up_model(Protocol(title="P", classes=classes, design=Design.AIDED), view)
    assert shown.probabilities is not None
    assert abs(sum(shown.probabilities) - 1) < 1e-9
    assert shown.probabilities[0] == max(shown.probabilities)
    assert shown.levels is not None
    assert shown.levels.shape == (n_classes, *view.pixels.shape)
