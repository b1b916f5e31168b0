"""Setting a study up on the screen: every field of the protocol, its messages, versions, files and copies."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest
from streamlit.testing.v1 import AppTest

from core import protocol as rooms
from core.errors import InputError
from core.protocol import Design, DiseaseClass, GoingBack, Protocol, Scale, ScaleKind
from core.protocol_file import protocol_from_plain, protocol_to_plain, write_protocol
from core.study import StudyState
from db import OPERATOR, Repository, open_store
from db.records import ReadingView
from pages.widgets import guard, resources
from pages.widgets.protocol_fields import ELSEWHERE, GROUPS, WORDS, group_of, protocol_of_file, protocol_or_errors
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
