"""A real server process on a real SQLite file, and what a test plants in its study."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
from argon2.profiles import CHEAPEST

from core.study import THYROID_CLASSES, CaseRecord, Protocol, Role, StudyState
from db import OPERATOR, Repository, create_store, open_store
from db.password_hashing import Passwords
from db.records import ReadingRecord

ROOT = Path(__file__).resolve().parents[2]

#: Words that stand in the store and must never reach a reader. The truth is told by position: see ``truth_of``.
CANARIES = (
    "canary-case", "canary-patient", "canary-file", "canary-centre", "canary-scanner", "canary-cohort",
)  # fmt: skip
PASSWORD = "a long enough password"
COORDINATOR = "coordinator"
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
    operator.create_person(COORDINATOR, "Cora Coordinator", Role.COORDINATOR, password=PASSWORD)
    operator.create_study(STUDY, Protocol("Thyroid demo study"), is_synthetic=True)
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
        operator.create_person(login, f"Reader {number}", Role.READER, password=PASSWORD)
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
        for state in (StudyState.CLOSED, StudyState.UNSEALED):
            operator.set_state(STUDY, state)
        found = [reading for reading in operator.readings(STUDY) if reading.reader == login]
        engine.dispose()
    return sorted(found, key=lambda reading: reading.sequence)


@dataclass
class ReadingServer:
    """``streamlit run streamlit_app.py`` in a process of its own, on one port for its whole life."""

    folder: Path
    store_url: str
    port: int = 0
    environment: dict[str, str] = field(default_factory=dict)  # beside this process's
    log: Path = field(init=False)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.log = self.folder / "server.log"
        if not self.port:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it answers."""
        environment = {
            **os.environ,
            **self.environment,
            "READING_ROOM_DATA_DIR": str(self.folder),
            "READING_ROOM_DATABASE_URL": self.store_url,
            "OMP_NUM_THREADS": "1",
        }
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", f"--server.port={self.port}"],
                cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise RuntimeError(f"the server stopped:\n{self.log.read_text()}")
            try:
                with urlopen(f"{self.url}/_stcore/health", timeout=2):  # noqa: S310  # our own address
                    return
            except (URLError, OSError):
                time.sleep(0.1)
        raise RuntimeError(f"the server did not answer:\n{self.log.read_text()}")

    def kill(self, how: int = signal.SIGKILL) -> None:
        """End the process; by default as a power cut would."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=20)
            self._process = None
