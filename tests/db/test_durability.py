"""What was acknowledged is stored, though the program is killed at any moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection

import sqlalchemy as sa

from core.protocol import Protocol
from core.study import Answer, Person, Role, StudyState
from db import OPERATOR, Repository, open_store
from db.tables import PresentationRow, ReadingRow
from tests.db.conftest import STUDY, make_cases
from tests.stores import sign_in_as

#: ``READING_ROOM_TEST_KILLS=50`` for the long run.
KILLS = int(os.environ.get("READING_ROOM_TEST_KILLS", "10"))


def _read_until_killed(url: str, reader: Person, token: str, acknowledge: Connection) -> None:
    """Another process: answer case after case, and tell of each receipt."""
    repository = Repository(open_store(url, check_integrity=False), reader, token=token)
    while (presentation := repository.next_presentation(STUDY)) is not None:
        receipt = repository.save_reading(
            presentation.presentation_id, Answer("sat", 2), submit_id=f"{os.getpid()}-{presentation.position}"
        )
        acknowledge.send((receipt.reading_id, presentation.position))
    acknowledge.send(None)


def test_kills_lose_no_acknowledged_reading_and_reading_goes_on_at_the_next_case(own_store_url: str) -> None:
    engine = open_store(own_store_url)
    operator = Repository(engine, OPERATOR)
    reader = operator.create_person("ann", "Dr Ann", Role.READER)
    operator.create_study(STUDY, Protocol(title="T"))
    operator.import_cases(STUDY, make_cases(25 * KILLS))
    operator.add_reader(STUDY, "ann", cohorts=["internal"])
    operator.set_state(STUDY, StudyState.OPEN)
    token = sign_in_as(engine, reader)
    engine.dispose()  # a process is forked below: no connection may be shared

    acknowledged: list[tuple[str, int]] = []
    fork = multiprocessing.get_context("fork")
    for kill in range(KILLS):
        receive, send = fork.Pipe(duplex=False)
        process = fork.Process(target=_read_until_killed, args=(own_store_url, reader, token, send))
        process.start()
        send.close()
        for _ in range(3 + kill % 10):
            assert receive.poll(60), "the writer said nothing"
            acknowledged.append(receive.recv())
        os.kill(process.pid, signal.SIGKILL)  # in the middle of the next answer
        process.join()
        assert process.exitcode == -signal.SIGKILL
        while receive.poll():  # receipts that were on their way when it was killed
            try:
                acknowledged.append(receive.recv())
            except EOFError:
                break
        receive.close()

    engine = open_store(own_store_url)  # with the integrity check
    with engine.connect() as connection:
        stored = connection.execute(
            sa.select(ReadingRow.reading_id, PresentationRow.position, ReadingRow.revision)
            .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
            .order_by(ReadingRow.sequence)
        ).all()
    assert len(acknowledged) >= sum(3 + kill % 10 for kill in range(KILLS))
    assert {reading_id for reading_id, _ in acknowledged} <= {row.reading_id for row in stored}
    assert [row.position for row in stored] == list(range(1, len(stored) + 1))  # none twice, none left out
    assert {row.revision for row in stored} == {1}
    assert len(stored) - len(acknowledged) <= KILLS  # at most the one in flight at each kill
    assert Repository(engine, reader, token=token).next_presentation(STUDY).position == len(stored) + 1
    engine.dispose()
