"""Two servers on one store and one data folder: one chain, one head, every acknowledged reading once."""

from __future__ import annotations

import multiprocessing
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from core.errors import ConflictError, StoreError
from core.protocol import Protocol
from core.study import Answer, Person, Role, StudyState
from db import OPERATOR, AuditHead, Notary, Repository, open_store
from db.repository import access
from db.tables import PresentationRow, ReadingRow
from tests.db.conftest import STUDY, make_cases
from tests.stores import PostgresqlStores, begun_sign_in, repository_of

N_CASES = 40


def _serve(url: str, folder: Path, readers: list[tuple[Person, str]], start: Connection, tell: Connection) -> None:
    """One server: its readers answer in turn, until each has seen the end."""
    engine = open_store(url, check_integrity=False)
    desks = [Repository(engine, reader, token=token, notary=Notary(folder)) for reader, token in readers]
    start.recv()
    acknowledged, n_conflicts = [], 0
    while desks:
        for desk in list(desks):
            place = desk.next_presentation(STUDY)
            if place is None:
                desks.remove(desk)
                continue
            desk.presentation_image(place.presentation_id)
            try:
                receipt = desk.save_reading(place.presentation_id, Answer("sat", 2), submit_id=uuid.uuid4().hex)
                acknowledged.append(receipt.reading_id)
            except ConflictError:
                n_conflicts += 1
    tell.send((acknowledged, n_conflicts))


def test_two_servers_read_on_one_store_and_the_chain_stays_whole(own_store_url: str, tmp_path: Path) -> None:
    """Ann has a tab on each server, ben and cid one each: two processes write at once for as long as it takes."""
    engine, folder = open_store(own_store_url), tmp_path / "data"
    operator = Repository(engine, OPERATOR, notary=Notary(folder))
    people = {login: operator.create_person(login, f"Dr {login}", Role.READER) for login in ("ann", "ben", "cid")}
    operator.create_study(STUDY, Protocol(title="T"))
    operator.import_cases(STUDY, make_cases(N_CASES))
    for login in people:
        operator.add_reader(STUDY, login, cohorts=["internal"])
    operator.set_state(STUDY, StudyState.OPEN)
    signed = {login: (person, begun_sign_in(engine, person, notary=Notary(folder))) for login, person in people.items()}
    engine.dispose()  # processes are forked below: no connection may be shared

    fork = multiprocessing.get_context("fork")
    servers, starts, tells = [], [], []
    for logins in (("ann", "ben"), ("ann", "cid")):
        wait, start = fork.Pipe(duplex=False)
        said, tell = fork.Pipe(duplex=False)
        servers.append(
            fork.Process(target=_serve, args=(own_store_url, folder, [signed[login] for login in logins], wait, tell))
        )
        starts.append(start)
        tells.append(said)
    for server in servers:
        server.start()
    for start in starts:
        start.send(True)
    for said in tells:
        assert said.poll(120), "a server said nothing"
    told = [said.recv() for said in tells]
    for server in servers:
        server.join()
        assert server.exitcode == 0

    engine = open_store(own_store_url)
    with engine.connect() as connection:
        stored = connection.execute(
            sa.select(ReadingRow.reading_id, PresentationRow.person_id, PresentationRow.position, ReadingRow.revision)
            .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
            .order_by(ReadingRow.sequence)
        ).all()
    acknowledged = [reading_id for ids, _ in told for reading_id in ids]
    assert len(set(acknowledged)) == len(acknowledged) == len(stored) == 3 * N_CASES
    assert {row.reading_id for row in stored} == set(acknowledged)
    assert {row.revision for row in stored} == {1}
    for person in people.values():
        assert [row.position for row in stored if row.person_id == person.person_id] == list(range(1, N_CASES + 1))
    notary = Notary(folder)
    operator = Repository(engine, OPERATOR, notary=notary)
    assert operator.verify_audit().problems == ()
    assert notary.kept_head() == operator.audit_head()  # neither server wrote an older end over a newer one
    engine.dispose()


def test_heads_of_many_processes_never_go_back(tmp_path: Path) -> None:
    """Each process writes the ends of its own commits late and in any order; the file ends with the last one."""
    fork = multiprocessing.get_context("fork")
    Notary(tmp_path).sign("the key exists")

    def write(numbers: list[int]) -> None:
        notary = Notary(tmp_path)
        for number in numbers:
            notary.keep_head(_head(number), lambda n: _head(n).hash)

    parts = [list(range(first, 400, 4)) for first in range(1, 5)]
    writers = [fork.Process(target=write, args=(part,)) for part in parts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert Notary(tmp_path).kept_head() == _head(399)


def _head(number: int) -> AuditHead:
    return AuditHead(number, f"{number:064x}")


@pytest.mark.postgresql
def test_a_process_that_hangs_in_a_readers_deed_lets_the_others_go_on(
    postgresql: PostgresqlStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the end of the trail and never says anything again; its own deed is sent again, and stored once."""
    monkeypatch.setattr(access, "LET_GO_MS", 300)
    engine = open_store(postgresql.new_store(tmp_path))
    ann, ben = readers_of_a_study(engine)
    holds, wakes, add = threading.Event(), threading.Event(), Repository._audit

    def hang(self: Repository, db_session: Session, action: str, *rest: Any, **detail: Any) -> None:
        add(self, db_session, action, *rest, **detail)
        if self.actor == ann.actor and not holds.is_set():
            holds.set()
            wakes.wait(20)

    monkeypatch.setattr(Repository, "_audit", hang)

    def save(reader: Repository, name: str) -> None:
        place = reader.next_presentation(STUDY)
        assert place is not None
        reader.save_reading(place.presentation_id, Answer("sat", 2), submit_id=name)

    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(save, ann, "hangs")
        assert holds.wait(20)
        save(ben, "goes on")  # without the limit: StoreBusyError after 30 s
        wakes.set()
        with pytest.raises(StoreError):
            hanging.result()
    save(ann, "hangs")
    with engine.connect() as connection:
        stored = connection.scalars(sa.select(ReadingRow.submit_id).order_by(ReadingRow.sequence)).all()
    assert stored == ["goes on", "hangs"]
    assert Repository(engine, OPERATOR).verify_audit().problems == ()
    engine.dispose()


def readers_of_a_study(engine: Engine) -> tuple[Repository, Repository]:
    """Two readers of an open study."""
    operator = Repository(engine, OPERATOR)
    people = [operator.create_person(login, f"Dr {login}", Role.READER) for login in ("ann", "ben")]
    operator.create_study(STUDY, Protocol(title="T"))
    operator.import_cases(STUDY, make_cases(4))
    for person in people:
        operator.add_reader(STUDY, person.login, cohorts=["internal"])
    operator.set_state(STUDY, StudyState.OPEN)
    ann, ben = (repository_of(engine, person) for person in people)
    return ann, ben
