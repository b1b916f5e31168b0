"""What a coordinator does on the study screen, and what the result screens show and hide."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from actions import jobs, models
from actions.jobs import job_of, put_away, start_job
from actions.models import load_classifier, predict_cohort, register_ensemble, register_model
from core.errors import AccessError, ConflictError, InputError, SignedOutError, StoreError
from core.model.checkpoint import load_checkpoint, save_checkpoint
from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.progress import OnProgress
from core.protocol import THYROID_CLASSES, Protocol
from core.settings import get_settings
from core.study import CaseRecord, Role, StudyState
from db import OPERATOR, Repository, open_store
from pages.model import _complete
from pages.widgets import guard, resources
from pages.widgets.plain_text import plain
from tests.pages.reading_server import COORDINATOR, N_CASES, PASSWORD, STUDY
from tests.stores import repository_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def store(store_url: str, tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A store of this test in which a coordinator is signed in."""
    monkeypatch.setenv("READING_ROOM_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("READING_ROOM_THREADS", "1")
    get_settings.cache_clear()
    engine = open_store(store_url)
    monkeypatch.setattr(resources, "store_engine", lambda: engine)
    token = Repository(engine, None).authenticate(COORDINATOR, PASSWORD, "127.0.0.1")
    monkeypatch.setattr(guard, "cookie_token", lambda: token)
    yield Repository(engine, OPERATOR)
    jobs._jobs.clear()
    engine.dispose()
    get_settings.cache_clear()


def open_screen(address: str, *, study: str = STUDY) -> AppTest:
    """The ``render`` of a screen as a script of its own."""

    def script(address: str) -> None:
        from pages.screens import SCREENS

        next(screen for screen in SCREENS if screen.address == address).render()

    page = AppTest.from_function(script, default_timeout=60, args=(address,))
    page.query_params["study"] = study
    page.run()
    assert not page.exception
    return page


def button(page: AppTest, label: str):
    return next(each for each in page.button if each.label == label)


def test_a_new_reader_gets_a_password_once_and_a_reading_order(store: Repository) -> None:
    page = open_screen("study")
    page.button_group[0].set_value("New account").run()
    page.text_input[0].input("dora")
    page.text_input[1].input("Dr Dora")
    page.multiselect[0].set_value(["canary-cohort"])
    button(page, "Add to the study").click().run()
    assert not page.exception
    said = next(text.value for text in page.success if "password" in text.value)
    password = said.split("`")[3]
    member = next(m for m in store.members(STUDY) if m.person.login == "dora")
    assert (member.person.display_name, member.person.role) == ("Dr Dora", Role.READER)
    assert member.n_presentations == N_CASES
    assert Repository(store.engine, None).authenticate("dora", password, "127.0.0.1")
    assert not any(password in text.value for text in page.run().success)


def test_wrong_input_of_the_reader_form_is_told_and_no_account_is_made(store: Repository) -> None:
    members, people = store.members(STUDY), store.people()
    page = open_screen("study")
    page.button_group[0].set_value("New account").run()
    page.text_input[0].input("reader-1")
    button(page, "Add to the study").click().run()
    assert [text.value for text in page.error] == [
        "There is a person with login 'reader-1' already. Fix: choose another."
    ]
    page.text_input[0].input("dora")
    page.multiselect[0].set_value([])
    button(page, "Add to the study").click().run()
    assert any("Choose one cohort" in text.value for text in page.error)
    page.button_group[0].set_value("Has an account").run()
    button(page, "Add to the study").click().run()
    assert any("Choose a reader" in text.value for text in page.error)
    assert not page.exception
    assert (store.members(STUDY), store.people()) == (members, people)


def draft_with_cases(store: Repository, protocol: Protocol) -> None:
    """A draft with two cases to read and two for training."""
    store.create_study("draft", protocol, is_synthetic=True, coordinator=COORDINATOR)
    images = list(store.cases_for_prediction(STUDY))[:4]
    cohorts = ("internal", "internal", "training", "training")
    cases = [
        CaseRecord(f"case-{n}", f"patient-{n}", cohort, THYROID_CLASSES[n % 2].key, image.pixels)
        for n, (image, cohort) in enumerate(zip(images, cohorts, strict=True))
    ]
    store.import_cases("draft", cases, shared_images="a test")


def test_no_reader_is_offered_the_training_cases_as_cases_to_read(store: Repository) -> None:
    """They were refused after the account was made, and its password was never shown."""
    draft_with_cases(store, Protocol(title="A draft", training_cohort="training"))
    page = open_screen("study", study="draft")
    assert page.multiselect[0].options == ["internal"]
    page.button_group[0].set_value("New account").run()
    page.text_input[0].input("dora")
    button(page, "Add to the study").click().run()
    assert any("password `" in text.value for text in page.success)
    assert [member.cohorts for member in store.members("draft")] == [("internal",)]


def test_a_check_of_another_window_offers_no_import_of_the_files_in_this_one(store: Repository) -> None:
    draft_with_cases(store, Protocol(title="A draft"))
    job = start_job("draft", "Checking the upload", lambda progress: None)
    for _ in range(600):
        if not job.is_running:
            break
        time.sleep(0.1)
    page = open_screen("cases", study="draft")
    assert any("checked in another window" in text.value for text in page.info)
    assert not [each.label for each in page.button if each.label.startswith("Import ")]


def test_a_row_of_altered_answers_that_is_not_whole_is_refused_and_not_left_out() -> None:
    table = pd.DataFrame([("case-1", "sat"), ("case-2", None), (None, None)], columns=["case", "class"], dtype=object)
    with pytest.raises(InputError, match=r"a row lacks its case or its class.*case-2"):
        _complete(table)
    assert len(_complete(table.drop(1))) == 1
    with pytest.raises(InputError, match="stands in two rows"):
        _complete(pd.concat([table[:1], table[:1]]))


def test_every_move_asks_first_and_says_what_becomes_final(store: Repository) -> None:
    """What follows the question is in the walk through a study: a dialog needs a browser."""
    page = open_screen("study")
    button(page, "Close reading").click().run()
    assert any("Nobody can read or correct" in text.value for text in page.markdown)
    assert store.study(STUDY).state is StudyState.OPEN
    store.set_state(STUDY, StudyState.CLOSED)
    page = open_screen("study")
    assert {"Open again", "Lock the readings"} <= {each.label for each in page.button}
    button(page, "Lock the readings").click().run()
    assert any("Readings become **final**" in text.value for text in page.markdown)
    assert store.study(STUDY).state is StudyState.CLOSED
    store.set_state(STUDY, StudyState.LOCKED)
    page = open_screen("study")
    assert {"Take the lock back", "Unseal the results"} <= {each.label for each in page.button}
    button(page, "Unseal the results").click().run()
    assert "Unseal for good" in {each.label for each in page.button}
    assert any("cannot be undone" in text.value for text in page.markdown)
    assert store.study(STUDY).state is StudyState.LOCKED


def test_an_unsealed_study_has_no_way_back(store: Repository) -> None:
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        store.set_state(STUDY, state)
    labels = {each.label for each in open_screen("study").button}
    assert labels.isdisjoint(
        {"Open for reading", "Open again", "Close reading", "Unseal the results", "Add to the study"}
    )


def test_home_says_what_comes_next_and_tells_two_studies_of_one_title_apart(store: Repository) -> None:
    for key in ("first", "second"):
        store.create_study(key, Protocol(title="The same title"), coordinator=COORDINATOR)
    texts = [text.value for text in open_screen("home").markdown]
    assert any("`first`" in text for text in texts)
    assert any("`second`" in text for text in texts)
    assert sum("The protocol has no plan" in text for text in texts) == 2
    assert any(f"{60 * N_CASES} readings are missing" in text for text in texts)
    texts = [text.value for text in open_screen("study", study="first").markdown]
    assert sum("radio_button_unchecked" in text for text in texts) == 5


@pytest.mark.parametrize("address", ["results", "explain"])
def test_results_stay_sealed_while_readers_read(address: str, store: Repository) -> None:
    page = open_screen(address)
    assert any("sealed" in text.value for text in page.info)
    assert not page.metric
    assert not page.dataframe


def wait_for_job(page: AppTest) -> AppTest:
    """The screen after the job of its study has ended."""
    for _ in range(600):
        if not (job := job_of(STUDY)) or not job.is_running:
            return page.run()
        time.sleep(0.1)
    raise AssertionError("the job never ends")


def test_the_predict_button_predicts_every_case_once(store: Repository) -> None:
    register_model(store, SHIPPED_CHECKPOINT)
    page = open_screen("model")
    for said in (f"{N_CASES} predictions added on cpu.", "Every case has one already."):
        wait_for_job(button(page, "Predict the cases that are missing").click().run())
        assert not page.exception
        assert said in [text.value for text in page.success]
        assert [(c.n_predicted, c.n_cases) for c in store.prediction_counts(STUDY)] == [(N_CASES, N_CASES)]
    button(page, "Put this message away").click().run()
    assert job_of(STUDY) is None
    assert not page.success


def test_a_job_is_found_again_and_no_second_one_begins(store: Repository) -> None:
    """Another visit, as after leaving the page, sees the same job; the store has what it did."""
    may_end = threading.Event()
    version = register_model(store, SHIPPED_CHECKPOINT)

    def deed(progress: OnProgress) -> str:
        progress(3, 20, "predicted")
        may_end.wait(60)
        return f"{predict_cohort(store, load_classifier(version), STUDY)} predictions added on cpu."

    start_job(STUDY, "Predicting", deed)
    try:
        page = open_screen("model")
        assert next(each for each in page.button if "Predict" in each.label).disabled
        with pytest.raises(ConflictError, match="still running"):
            start_job(STUDY, "Importing", deed)
        again = open_screen("model")
        assert again.get("progress")[0].proto.text == "Predicting: 3 of 20 predicted"
    finally:
        may_end.set()
    wait_for_job(again)
    assert any(f"{N_CASES} predictions" in text.value for text in again.success)
    assert sum(count.n_predicted for count in store.prediction_counts(STUDY)) == N_CASES


def test_a_job_ends_where_its_person_signs_out(store: Repository) -> None:
    register_model(store, SHIPPED_CHECKPOINT)
    desk = repository_of(store.engine, store.person(COORDINATOR))

    def deed(progress: OnProgress) -> None:
        store.set_password(COORDINATOR, PASSWORD + " another")
        desk.set_state(STUDY, StudyState.CLOSED)

    job = start_job(STUDY, "Closing", deed)
    for _ in range(600):
        if not job.is_running:
            break
        time.sleep(0.1)
    assert isinstance(job.error, SignedOutError)
    assert store.study(STUDY).state is StudyState.OPEN
    put_away(job)


def test_a_prediction_that_was_begun_ends_properly_after_a_sign_out_and_does_nothing_else(
    store: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "STORED_AT_ONCE", 4)
    version = register_model(store, SHIPPED_CHECKPOINT)
    classifier = load_classifier(version)
    store.create_study("other", Protocol(title="Another"), coordinator=COORDINATOR)
    desk = repository_of(store.engine, store.person(COORDINATOR))
    begun = desk.begin_prediction(STUDY, version.sha256)
    store.set_password(COORDINATOR, PASSWORD + " another")  # ends every sign-in
    for signed_out in (lambda: desk.study(STUDY), lambda: desk.begin_prediction(STUDY, version.sha256)):
        with pytest.raises(SignedOutError):
            signed_out()

    def let_out(done: int, total: int, what: str) -> None:
        store.set_active(COORDINATOR, done < 12)

    with pytest.raises(SignedOutError, match="let in no more"):
        predict_cohort(begun, classifier, STUDY, batch_size=4, progress=let_out)
    assert [count.n_predicted for count in store.prediction_counts(STUDY)] == [8]
    store.set_active(COORDINATOR, True)
    assert predict_cohort(begun, classifier, STUDY, batch_size=4) == N_CASES - 8
    trail = store.audit_trail(STUDY)
    (begin,) = (event.sequence for event in trail if event.action == "model.predict-begun")
    stored = [event for event in trail if event.action == "model.predict"]
    assert {(event.actor, event.detail["begun"]) for event in stored} == {(COORDINATOR, begin)}
    for foreign in (
        lambda: begun.set_state(STUDY, StudyState.CLOSED),
        lambda: begun.people(),
        lambda: begun.study("other"),
        lambda: begun.save_predictions(STUDY, "b" * 64, []),
    ):
        with pytest.raises(AccessError, match="no part of the deed"):
            foreign()
    assert store.verify_audit().is_intact


def test_predicting_stopped_in_the_middle_goes_on_from_there(
    store: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "STORED_AT_ONCE", 4)
    classifier = load_classifier(register_model(store, SHIPPED_CHECKPOINT))

    def stop(done: int, total: int, what: str) -> None:
        if done >= 12:
            raise StoreError("the server stops")

    with pytest.raises(StoreError):
        predict_cohort(store, classifier, STUDY, batch_size=4, progress=stop)
    assert [count.n_predicted for count in store.prediction_counts(STUDY)] == [8]
    assert predict_cohort(store, classifier, STUDY, batch_size=4) == N_CASES - 8
    assert store.verify_audit().is_intact


def test_the_predict_button_predicts_with_an_ensemble(store: Repository, tmp_path: Path) -> None:
    """The shipped weights twice, once with another temperature: two members that differ."""
    loaded = load_checkpoint(SHIPPED_CHECKPOINT)
    card = replace(loaded.card, temperature=3.0)
    warmer = save_checkpoint(tmp_path / "warmer", loaded.network, card, statistics=loaded.statistics)
    version = register_ensemble(store, [SHIPPED_CHECKPOINT, warmer], name="two-folds")
    page = open_screen("model")
    assert any("trained on synthetic images" in text.value for text in page.caption)
    assert any("no model was declared before reading" in text.value for text in page.caption)
    assert "Declare this model" not in {each.label for each in page.button}
    wait_for_job(button(page, "Predict the cases that are missing").click().run())
    assert not page.exception
    assert f"{N_CASES} predictions added on cpu." in [text.value for text in page.success]
    counts = store.prediction_counts(STUDY)
    assert [(c.model_sha256, c.n_predicted) for c in counts] == [(version.sha256, N_CASES)]


def test_a_model_of_other_classes_is_offered_for_nothing_and_the_screen_says_why(store: Repository) -> None:
    """Also one that knows the same classes in another order: its probabilities would be read as those of others."""
    keys = [each.key for each in THYROID_CLASSES]
    store.create_study("draft", Protocol(title="Draft"), coordinator=COORDINATOR)
    for number, classes in enumerate((["clean", "infected"], keys[::-1], keys), 1):
        store.register_model(
            sha256=f"{number:064x}", name=f"m{number}", architecture="net", path="", metadata={"classes": classes}
        )
    offered = {"Declare this model", "Predict the cases that are missing"}
    for number, said in ((1, "knows the classes clean, infected"), (2, "in another order: tumor"), (3, "")):
        page = open_screen("model", study="draft")
        model = next(each for each in page.selectbox if each.label == "Model")
        model.select_index(next(n for n, option in enumerate(model.options) if option.startswith(f"m{number} "))).run()
        assert not page.exception
        assert offered & {each.label for each in page.button} == (set() if said else offered)
        assert [said in each.value for each in page.warning] == ([True] if said else [])
        assert not page.error


def test_what_is_missing_of_a_new_model_is_said_at_its_field(store: Repository) -> None:
    page = open_screen("model")
    page.button_group[0].set_value("ONNX graph").run()
    text = {each.label: each for each in page.text_input}
    text["Classes in the order of its answers"].input("")
    text["Where it comes from"].input("a\x07b")
    button(page, "Take in").click().run()
    assert not page.exception
    (form,) = [block for block in _blocks(page) if block.type == "form"]
    drawn = [getattr(each, "label", "") or each.value for each in form if each.type in ("text_input", "error")]
    name = drawn.index("Name on screen")
    assert drawn[name - 1] == "Choose a file."
    assert drawn[name + 1].startswith("Give it a name")
    note = drawn.index("Where it comes from")
    assert "control character" in drawn[note + 1] or "sign" in drawn[note + 1]


def _blocks(page: AppTest) -> Iterator[Any]:
    """Every block of a screen, one in another."""
    waiting: list[Any] = [page.main]
    while waiting:
        block = waiting.pop()
        yield block
        waiting += [each for each in getattr(block, "children", {}).values() if hasattr(each, "children")]


def test_a_model_is_declared_in_a_draft_and_results_say_which_one_was(store: Repository) -> None:
    declared = register_model(store, SHIPPED_CHECKPOINT)
    other = register_model(store, SHIPPED_CHECKPOINT, name="other", is_augmented=True)
    store.create_study("draft", Protocol(title="A draft"), is_synthetic=True, coordinator=COORDINATOR)
    images = list(store.cases_for_prediction(STUDY))[:4]
    keys = THYROID_CLASSES[0].key, THYROID_CLASSES[1].key
    cases = [
        CaseRecord(f"case-{n}", f"patient-{n}", "internal", keys[n % 2], image.pixels) for n, image in enumerate(images)
    ]
    store.import_cases("draft", cases, shared_images="a test")

    page = open_screen("model", study="draft")
    assert any("No model is declared yet" in text.value for text in page.caption)
    choice = next(box for box in page.selectbox if box.label == "Model")
    choice.select_index([declared.sha256[:12] in option for option in choice.options].index(True)).run()
    button(page, "Declare this model").click().run()
    assert not page.exception
    assert store.study("draft").protocol.model_sha256 == declared.sha256
    page = open_screen("model", study="draft")
    assert any("declared in protocol version 2" in text.value for text in page.markdown)

    for version in (declared, other):
        predict_cohort(store, load_classifier(version), "draft")
    for state in (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        store.set_state("draft", state)
    said = [text.value for text in open_screen("results", study="draft").caption]
    assert any(f"{plain(declared.name)}: declared in protocol version 2" in text for text in said)
    assert any("other + tta-v1: not declared before reading: exploratory" in text for text in said)


def test_a_study_without_answers_says_so_instead_of_failing(store: Repository, store_url: str) -> None:
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        store.set_state(STUDY, state)
    page = open_screen("results")
    assert any("No case has a reading or a prediction yet." in text.value for text in page.info) or page.dataframe
    page = open_screen("explain")
    assert not page.exception
    assert any(text.value.endswith("cases**") for text in page.markdown), "the gallery needs no answer"


def test_progress_counts_and_never_judges(store: Repository, signed_reader_answer: Callable[[], None]) -> None:
    signed_reader_answer()
    page = open_screen("study")
    table = page.dataframe[0].value
    row = table[table["Reader"] == "Reader 1"].iloc[0]
    assert (row["Read"], row["Active"]) == (f"1 of {N_CASES}", "0:00")
    words = " ".join(map(str, table.columns)).casefold()
    assert not any(word in words for word in ("correct", "accura", "right", "wrong"))
    text = page.code[0].value
    assert text.startswith("Dear Reader 1,")
    assert f"you have read 1 of {N_CASES} cases; {N_CASES - 1} are left" in text
    assert "/read?study=demo" in text


@pytest.fixture
def signed_reader_answer(store: Repository) -> Callable[[], None]:
    """Reader 1 answers one case through the repository."""
    from core.study import Answer

    def answer() -> None:
        desk = repository_of(store.engine, store.person("reader-1"))
        presentation = desk.next_presentation(STUDY)
        assert presentation is not None
        desk.save_reading(presentation.presentation_id, Answer("sat", 3), submit_id="0b5f2c8e-one")

    return answer
