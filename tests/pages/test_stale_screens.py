"""Two coordinators at one study: a stale screen undoes nobody's deed, says what changed, and loses nothing typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from actions.models import declare_model
from actions.open_study import open_study, opening_checklist
from core.errors import ChangedMeanwhileError
from core.protocol import Design, Protocol
from core.protocol_file import protocol_diff
from core.study import Role, StudyState
from db import OPERATOR, Repository, open_store
from db.records import CasePrediction, CheckState
from pages.people import VIEWS
from pages.widgets import guard, resources
from tests.pages.reading_server import COORDINATOR, PASSWORD, STUDY
from tests.stores import repository_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
KEY = "ulcers"


@pytest.fixture
def store(store_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A store in which one coordinator is signed in, and a second one works beside: ``other(store)``."""
    engine = open_store(store_url)
    monkeypatch.setattr(resources, "store_engine", lambda: engine)
    token = Repository(engine, None).authenticate(COORDINATOR, PASSWORD, "127.0.0.1")
    monkeypatch.setattr(guard, "cookie_token", lambda: token)
    operator = Repository(engine, OPERATOR)
    operator.create_study(KEY, Protocol("Ulcers", design=Design.AIDED), coordinator=COORDINATOR)
    operator.create_person("dora", "Dr Dora", Role.COORDINATOR, is_temporary=False, password=PASSWORD)
    for study in (KEY, STUDY):
        operator.add_to_study(study, "dora", Role.COORDINATOR)
    yield operator
    engine.dispose()


def other(store: Repository) -> Repository:
    """The second coordinator."""
    return repository_of(store.engine, store.person("dora"))


def open_screen(address: str, study: str = KEY, **state: Any) -> AppTest:
    def script(address: str) -> None:
        from pages.screens import SCREENS

        next(screen for screen in SCREENS if screen.address == address).render()

    page = AppTest.from_function(script, default_timeout=60, args=(address,))
    page.query_params["study"] = study
    for name, value in state.items():
        page.session_state[name] = value
    page.run()
    assert not page.exception
    return page


def field(page: AppTest, kind: str, label: str) -> Any:
    return next(each for each in getattr(page, kind) if each.label == label)


def press(page: AppTest, label: str) -> None:
    field(page, "button", label).click().run()
    assert not page.exception


def said(page: AppTest) -> str:
    return " ".join(str(each.value) for kind in ("error", "warning", "success") for each in getattr(page, kind))


def save_beside(store: Repository, **changes: Any) -> None:
    """The second coordinator stores another version."""
    stored = other(store).study(KEY)
    protocol = replace(stored.protocol, **changes)
    other(store).update_protocol(KEY, protocol, expected_version=stored.protocol_version)


def test_a_protocol_saved_meanwhile_is_not_overwritten_and_what_was_typed_is_kept(store: Repository) -> None:
    page = open_screen("set-up")
    field(page, "text_input", "Question to the readers").input("Is it infected?").run()
    save_beside(store, ethics="EK 12", title="Ulcers 2026")
    press(page, "Save as a new version")  # drawn before the other's deed
    assert "was changed meanwhile by dora" in said(page)
    assert "title; ethics. Nothing was saved" in said(page)
    assert store.study(KEY).protocol.question != "Is it infected?"
    assert field(page, "text_input", "Question to the readers").value == "Is it infected?"
    press(page, "Take these changes into my fields")
    assert field(page, "text_input", "Title").value == "Ulcers 2026"
    assert field(page, "text_input", "Question to the readers").value == "Is it infected?"
    press(page, "Save as a new version")
    saved = store.study(KEY)
    assert saved.protocol_version == 3
    assert (saved.protocol.title, saved.protocol.ethics) == ("Ulcers 2026", "EK 12")
    assert saved.protocol.question == "Is it infected?"
    assert [each.field for each in protocol_diff(Protocol("Ulcers", design=Design.AIDED), saved.protocol)] == [
        "title", "question", "ethics",
    ]  # fmt: skip


def test_a_field_that_both_changed_keeps_mine_in_the_form_and_says_so(store: Repository) -> None:
    page = open_screen("set-up")
    field(page, "text_input", "Title").input("Mine").run()
    save_beside(store, title="Theirs")
    page.run()
    assert "saved by dora while version 1 was edited here" in said(page)
    assert any("Changed by both: title" in each.value for each in page.caption)
    press(page, "Take these changes into my fields")
    assert field(page, "text_input", "Title").value == "Mine"
    assert store.study(KEY).protocol.title == "Theirs"
    press(page, "Discard the changes")
    assert field(page, "text_input", "Title").value == "Theirs"


def test_a_form_in_which_nothing_was_edited_shows_the_newer_version_by_itself(store: Repository) -> None:
    page = open_screen("set-up")
    save_beside(store, title="Theirs")
    page.run()
    assert field(page, "text_input", "Title").value == "Theirs"
    assert any("Nothing differs from the stored version 2" in each.value for each in page.caption)


def test_what_is_said_of_a_person_is_merged_field_by_field_and_never_undone(store: Repository) -> None:
    store.create_person("eve", "Dr Eve", Role.READER, years_of_experience=4, specialty="nuclear medicine")
    for desk in (COORDINATOR, "dora"):  # both care for her: she is in a study of theirs
        assert store.person(desk)
    store.import_cases(KEY, [replace_case(store)], shared_images="a test")
    store.add_reader(KEY, "eve")
    page = open_screen("people", people=VIEWS[2])
    next(box for box in page.selectbox if box.label == "Person").select_index(
        next(n for n, o in enumerate(next(b for b in page.selectbox if b.label == "Person").options) if "eve" in o)
    ).run()
    # Another field: both stay.
    field(page, "text_input", "Institution").input("Ulm")
    other(store).describe_person(
        "eve", years_of_experience=5, specialty="nuclear medicine", site=None, has_used_model=False
    )
    press(page, "Save")
    eve = store.person("eve")
    assert (eve.years_of_experience, eve.site, eve.has_used_model) == (5, "Ulm", False)
    # The same field: refused, told, kept; the second time it is meant.
    field(page, "text_input", "Specialty").input("radiology")
    other(store).describe_person("eve", years_of_experience=6, specialty="oncology", site="Ulm", has_used_model=False)
    press(page, "Save")
    assert "specialty is oncology, it was nuclear medicine" in said(page)
    assert store.person("eve").specialty == "oncology"
    assert field(page, "text_input", "Specialty").value == "radiology"
    assert field(page, "number_input", "Years of experience").value == 6
    press(page, "Save")
    eve = store.person("eve")
    assert (eve.years_of_experience, eve.specialty, eve.site) == (6, "radiology", "Ulm")


def replace_case(store: Repository) -> Any:
    """A case for the draft."""
    from core.study import CaseRecord

    return CaseRecord("c1", "p1", "main", "tumor", next(iter(store.cases_for_prediction(STUDY))).pixels)


def predicted_draft(store: Repository) -> None:
    """The draft has a case, a reader and a model that has predicted it."""
    store.import_cases(KEY, [replace_case(store)], shared_images="a test")
    store.create_person("eve", "Dr Eve", Role.READER)
    store.add_reader(KEY, "eve")
    store.register_model(sha256="a" * 64, name="net", architecture="x", path="x", metadata={})
    declare_model(store, KEY, "net")
    shares = [0.1, 0.2, 0.3, 0.4]
    store.save_predictions(KEY, "a" * 64, [CasePrediction("c1", shares, 1.0, False, "cpu", "fp32")])


def test_answers_shown_wrong_that_were_declared_meanwhile_are_not_replaced_unseen(store: Repository) -> None:
    predicted_draft(store)
    desk = repository_of(store.engine, store.person(COORDINATOR))
    seen = desk.altered_answers(KEY)
    other(store).declare_altered_answers(KEY, {"c1": [0.5, 0.2, 0.2, 0.1]}, seen=seen)
    with pytest.raises(ChangedMeanwhileError, match="case c1 is shown as graves, not as it says"):
        desk.declare_altered_answers(KEY, {"c1": "sat"}, seen=seen)
    page = open_screen("model")
    table = next(each.value for each in page.dataframe if "shown as" in each.value.columns)
    assert table.to_numpy().tolist() == [["c1", "Graves' disease", "Graves 50%, Normal 20%, SAT 20%, Tumor 10%"]]
    press(page, "Declare these answers")  # as it stands: what was declared by a file keeps its probabilities
    assert desk.declared_altered_answers(KEY)[0].probabilities == (0.5, 0.2, 0.2, 0.1)
    desk.declare_altered_answers(KEY, {"c1": "normal"})
    page.run()
    table = next(each.value for each in page.dataframe if "shown as" in each.value.columns)
    assert table.to_numpy().tolist() == [["c1", "Normal", "the model's own, two of them exchanged"]]


@pytest.mark.parametrize("deed", ["protocol", "reader"])
def test_a_draft_that_changed_while_its_checklist_was_looked_at_is_not_opened(store: Repository, deed: str) -> None:
    predicted_draft(store)
    desk = repository_of(store.engine, store.person(COORDINATOR))
    study, items = desk.study(KEY), tuple(opening_checklist(desk, KEY))
    reasons = {item.key: "a test" for item in items if item.state is CheckState.WARNING}
    deeds: dict[str, Callable[[], object]] = {
        "protocol": lambda: save_beside(store, analysis_plan="another plan"),
        "reader": lambda: (store.create_person("finn", "F", Role.READER), other(store).add_reader(KEY, "finn")),
    }
    deeds[deed]()
    with pytest.raises(ChangedMeanwhileError):
        open_study(desk, KEY, typed_key=KEY, acknowledged=reasons, seen=study, seen_items=items)
    assert store.study(KEY).state is StudyState.DRAFT
    study, items = desk.study(KEY), tuple(opening_checklist(desk, KEY))
    open_study(desk, KEY, typed_key=KEY, acknowledged=reasons, seen=study, seen_items=items)


def test_further_deeds_by_a_stale_screen_are_refused_with_what_changed(store: Repository) -> None:
    predicted_draft(store)
    desk = repository_of(store.engine, store.person(COORDINATOR))
    seen = desk.study(KEY)
    store.register_model(sha256="b" * 64, name="second", architecture="x", path="x", metadata={})
    declare_model(other(store), KEY, "second")
    with pytest.raises(ChangedMeanwhileError, match=r"by dora .*model_sha256"):
        declare_model(desk, KEY, "net", expected_version=seen.protocol_version)
    with pytest.raises(ChangedMeanwhileError, match=r"'eve' takes part \(cohorts main, group none\)"):
        desk.add_reader(KEY, "eve", cohorts=["main"], may_replace=False)
    opened = desk.study(STUDY)
    other(store).set_state(STUDY, StudyState.CLOSED)
    other(store).set_state(STUDY, StudyState.LOCKED)
    with pytest.raises(ChangedMeanwhileError, match="it is locked, it was open"):
        desk.set_state(STUDY, StudyState.CLOSED, reason="stale", seen=opened)
