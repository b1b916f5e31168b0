"""The demo: synthetic cases, a trained model, its predictions, simulated readers, and a study that is open for reading.

Two studies, because a study is either being read or being analysed: ``demo`` is unsealed and full of results,
``demo-reading`` is open and waits for its first reader. They share no case.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from actions.draw_password import new_password
from actions.import_cases import import_cases
from actions.models import declare_model, load_classifier, predict_cohort, register_model
from actions.simulate_readers import simulate_readers
from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.phantom import small_cohorts, write_cohorts
from core.progress import OnProgress
from core.protocol import Protocol, ReadingOrder
from core.study import Role, StudyState
from db import Repository

#: The unsealed study and the open one.
RESULTS_STUDY, READING_STUDY = "demo", "demo-reading"

#: Cases per class and cohort: enough for honest-looking intervals, few enough for a newcomer's patience.
RESULTS_CASES = {"training": 10, "internal": 30, "external": 30}
READING_CASES = {"internal": 6}

#: Accounts of the demo; their passwords are drawn anew on every machine.
COORDINATOR_LOGIN, READER_LOGIN = "demo-coordinator", "demo-reader"


@dataclass(frozen=True)
class DemoAccount:
    """What is printed once in the terminal."""

    login: str
    role: Role
    password: str


def demo_exists(repository: Repository) -> bool:
    """Whether both demo studies stand."""
    return {RESULTS_STUDY, READING_STUDY} <= {study.key for study in repository.studies()}


def prepare_demo(
    repository: Repository, *, seed: int = 2023, workers: int = 1, progress: OnProgress | None = None
) -> list[DemoAccount]:
    """Make whatever of the demo is missing.

    Parameters
    ----------
    repository : Repository
        Of the operator.
    seed : int
        Seed of the phantoms and the simulated readers.
    workers : int
        Processes that draw phantoms.

    Returns
    -------
    list of DemoAccount
        Accounts that were made by this call, with their passwords; kept nowhere else.
    """
    accounts = _make_accounts(repository)
    existing = {study.key for study in repository.studies()}
    with tempfile.TemporaryDirectory(prefix="reading-room-demo-") as folder:
        if RESULTS_STUDY not in existing:
            title = "Demo: four diagnoses on synthetic thyroid scintigrams, with results"
            _create(repository, RESULTS_STUDY, Protocol(title=title))
        if READING_STUDY not in existing:
            title = "Demo: 24 synthetic thyroid scintigrams to read"
            _create(repository, READING_STUDY, Protocol(title=title, order=ReadingOrder(seed=seed)))
        for key, sizes, number in ((RESULTS_STUDY, RESULTS_CASES, 1), (READING_STUDY, READING_CASES, 2)):
            if repository.study(key).state is StudyState.DRAFT and not repository.cohorts(key):
                plans = small_cohorts(sizes, study=f"{key}-{seed + number}")
                manifest = write_cohorts(plans, Path(folder) / key, workers=workers, progress=progress)
                import_cases(repository, key, manifest, progress=progress)

    model = register_model(repository, SHIPPED_CHECKPOINT)
    classifier = load_classifier(model)
    for key in (RESULTS_STUDY, READING_STUDY):
        if repository.study(key).state is StudyState.DRAFT:
            declare_model(repository, key, model.sha256)
        predict_cohort(repository, classifier, key, progress=progress)

    if repository.study(RESULTS_STUDY).state is StudyState.DRAFT:
        repository.set_state(RESULTS_STUDY, StudyState.OPEN)
    if repository.study(RESULTS_STUDY).state is StudyState.OPEN:
        simulate_readers(repository, RESULTS_STUDY, ["internal", "external"], seed=seed, progress=progress)
        repository.set_state(RESULTS_STUDY, StudyState.CLOSED)
    for earlier, state in ((StudyState.CLOSED, StudyState.LOCKED), (StudyState.LOCKED, StudyState.UNSEALED)):
        if repository.study(RESULTS_STUDY).state is earlier:
            repository.set_state(RESULTS_STUDY, state)
    if repository.study(READING_STUDY).state is StudyState.DRAFT:
        repository.add_reader(READING_STUDY, READER_LOGIN, cohorts=list(READING_CASES))
        repository.set_state(READING_STUDY, StudyState.OPEN)
    return accounts


def _create(repository: Repository, key: str, protocol: Protocol) -> None:
    repository.create_study(key, protocol, is_synthetic=True, coordinator=COORDINATOR_LOGIN)


def _make_accounts(repository: Repository) -> list[DemoAccount]:
    """The coordinator and the reader of the demo, where they do not exist yet."""
    known = {person.login for person in repository.people()}
    made = []
    for login, name, role in (
        (COORDINATOR_LOGIN, "Demo coordinator", Role.COORDINATOR),
        (READER_LOGIN, "Demo reader", Role.READER),
    ):
        if login not in known:
            password = new_password()
            repository.create_person(login, name, role, is_temporary=False, password=password)
            made.append(DemoAccount(login, role, password))
    return made
