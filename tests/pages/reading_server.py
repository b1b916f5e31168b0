"""A real server process on a real SQLite file, and what stands in its study."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
from argon2.profiles import CHEAPEST

from actions.app_process import AppProcess
from core.protocol import THYROID_CLASSES, Protocol
from core.study import CaseRecord, Role, StudyState
from db import OPERATOR, Repository, create_store, open_store
from db.password_hashing import Passwords
from db.records import ReadingRecord

ReadingServer = AppProcess  # as the tests call it
ROOT = Path(__file__).resolve().parents[2]

PASSWORD = "a long enough password"
COORDINATOR = "coordinator"
STATISTICIAN = "statistician"
ADMINISTRATOR = "administrator"
STUDY = "demo"
N_CASES = 20
N_READERS = 60


def phantom_pixels(number: int) -> np.ndarray:
    """Two warm ellipses, another picture for each case; even cases 16-bit counts, odd ones 8-bit, (96, 96)."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[:96, :96]
    warm = 12.0 + 2.0 * number
    lobes = [np.exp(-((x - middle) ** 2 / 60 + (y - 48) ** 2 / 240)) for middle in (36, 60)]
    mean = 5 + warm * (lobes[0] + lobes[1])
    counts = rng.poisson(mean)
    return counts.astype(np.uint16) if number % 2 == 0 else np.clip(3 * counts, 0, 255).astype(np.uint8)


def build_study(url: str, n_readers: int = N_READERS) -> None:
    """One open synthetic study of 20 cases, a coordinator, and readers ``reader-1`` ... who all read it."""
    engine = create_store(url)
    operator = Repository(engine, OPERATOR, passwords=Passwords(CHEAPEST))
    operator.create_person(COORDINATOR, "Cora Coordinator", Role.COORDINATOR, is_temporary=False, password=PASSWORD)
    for login, role in ((STATISTICIAN, Role.STATISTICIAN), (ADMINISTRATOR, Role.ADMINISTRATOR)):
        operator.create_person(login, login.title(), role, is_temporary=False, password=PASSWORD)
    operator.create_study(STUDY, Protocol("Thyroid demo study"), is_synthetic=True, coordinator=COORDINATOR)
    operator.add_to_study(STUDY, STATISTICIAN, Role.STATISTICIAN)
    operator.import_cases(
        STUDY,
        [
            CaseRecord(
                case=f"canary-case-{number:02d}",
                patient=f"canary-patient-{number:02d}",
                cohort="canary-cohort",
                truth=THYROID_CLASSES[number % 4].key,
                pixels=phantom_pixels(number),
                centre="canary-centre",
                scanner="canary-scanner",
                source_name=f"canary-file-{number:02d}.dcm",
            )
            for number in range(N_CASES)
        ],
    )
    for number in range(1, n_readers + 1):
        login = f"reader-{number}"
        operator.create_person(login, f"Reader {number}", Role.READER, is_temporary=False, password=PASSWORD)
        operator.add_reader(STUDY, login, cohorts=["canary-cohort"])
    operator.set_state(STUDY, StudyState.OPEN)
    engine.dispose()


def readings_of(store_url: str, login: str) -> list[ReadingRecord]:
    """All readings of one reader, in the order of saving; a copy of the store is unsealed, never the store itself."""
    path = Path(store_url.removeprefix("sqlite:///"))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.sqlite3"
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        engine = open_store(f"sqlite:///{copy}")
        operator = Repository(engine, OPERATOR)
        for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
            operator.set_state(STUDY, state)
        found = [reading for reading in operator.readings(STUDY) if reading.reader == login]
        engine.dispose()
    return sorted(found, key=lambda reading: reading.sequence)
