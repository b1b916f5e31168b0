"""The real server and a reader as a browser speaks: in a sequential study nothing of the model comes too early.

Every byte that reaches the reader is searched for the model's probabilities, each a number that stands nowhere else. On
PostgreSQL the readers have a role of their own, which has no grant on predictions.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from argon2.profiles import CHEAPEST
from sqlalchemy.engine import make_url
from websockets.asyncio.client import ClientConnection

from actions.app_process import AppProcess
from benchmarks.many_readers import Reader
from core.protocol import Design, Protocol
from core.study import Role, StudyState
from db import OPERATOR, CasePrediction, Notary, Repository, create_store, open_store
from db.password_hashing import Passwords
from db.reader_role import make_reader_role
from tests.db.conftest import make_cases
from tests.pages.reading_server import PASSWORD, STUDY
from tests.stores import postgresql_stores, why_no_postgresql

N_CASES = 3
MODEL = "cd" * 32


class Listener(Reader):
    """A reader who keeps all that comes, run by run, with the place that was on the screen then."""

    def __init__(self, server: AppProcess) -> None:
        super().__init__(server, "ann", 0.05, 2 * N_CASES)
        self.heard: list[tuple[int, bytes]] = []  # answers acknowledged before the run began, what came in it

    async def _run(self, line: ClientConnection, message: dict[str, Any] | None) -> None:
        heard: list[bytes] = []

        class Recorder:
            async def recv(self) -> bytes:
                heard.append(await line.recv())
                return heard[-1]

            async def send(self, content: bytes) -> None:
                await line.send(content)

        await super()._run(Recorder(), message)
        self.heard.append((len(self.told) + (message is not None), b"".join(heard)))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[AppProcess, list[bytes]]]:
    """A server of a sequential study, and the model's number for the case at each pair of places."""
    if request.param == "sqlite":
        yield from _serve(tmp_path, f"sqlite:///{tmp_path / 'store.sqlite3'}", {})
        return
    if why_no_postgresql():
        pytest.skip(why_no_postgresql())
    with postgresql_stores() as stores:
        url = stores.new_store(tmp_path)
        reader_url = make_url(url).set(username=f"readers_{secrets.token_hex(4)}", password="a word")
        make_reader_role(url, reader_url)
        environment = {"READING_ROOM_READER_DATABASE_URL": reader_url.render_as_string(hide_password=False)}
        yield from _serve(tmp_path, url, environment)


def _serve(folder: Path, url: str, environment: dict[str, str]) -> Iterator[tuple[AppProcess, list[bytes]]]:
    engine = create_store(url) if url.startswith("sqlite") else open_store(url)
    operator = Repository(engine, OPERATOR, notary=Notary(folder), passwords=Passwords(CHEAPEST))
    ann = operator.create_person("ann", "Dr Ann", Role.READER, password=PASSWORD)
    operator.register_model(sha256=MODEL, name="net", architecture="small", path="net.safetensors", metadata={})
    operator.create_study(STUDY, Protocol(title="Sequential", design=Design.SEQUENTIAL, model_sha256=MODEL))
    cases = make_cases(N_CASES, size=16)
    operator.import_cases(STUDY, cases)
    told = {case.case: 0.4 + 0.01 * at + 0.0012345678 * (at + 1) for at, case in enumerate(cases)}
    operator.save_predictions(
        STUDY,
        MODEL,
        [
            CasePrediction(case, (high, (1 - high) / 2, (1 - high) / 4, (1 - high) / 4), 0.5, False, "cpu", "fp32")
            for case, high in told.items()
        ],
    )
    operator.add_reader(STUDY, ann.login, cohorts=["internal"])
    operator.set_state(STUDY, StudyState.OPEN)
    tables = engine.connect()
    rows = tables.exec_driver_sql(
        "SELECT case_key FROM presentation JOIN study_case ON study_case.case_id = presentation.case_id "
        "WHERE arm = 'unaided' ORDER BY position"
    )
    numbers = [repr(told[case]).removeprefix("0.")[:8].encode() for (case,) in rows]
    tables.close()
    engine.dispose()
    server = AppProcess(folder, url, environment=environment)
    server.start()
    try:
        yield server, numbers
    finally:
        server.kill()


@pytest.mark.slow
def test_nothing_of_the_model_comes_before_the_unaided_answer(running: tuple[AppProcess, list[bytes]]) -> None:
    server, numbers = running
    reader = Listener(server)
    with ThreadPoolExecutor(1) as apart:  # a browser of another test may have a loop in this thread
        apart.submit(asyncio.run, reader.read()).result()
    assert len(reader.told) == 2 * N_CASES, server.log.read_text()[-2000:]
    for n_answered, content in reader.heard:
        shown = {at for at, number in enumerate(numbers) if number in content}
        is_aided = n_answered % 2 == 1  # the unaided answer was just saved: the model is shown, of this case alone
        assert shown == ({n_answered // 2} if is_aided else set()), n_answered
