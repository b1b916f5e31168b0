"""Two servers on one store and one data folder: one chain, one head, every acknowledged reading once."""

from __future__ import annotations

import fcntl
import multiprocessing
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import sqlalchemy as sa
from argon2.profiles import CHEAPEST
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from core.errors import ConflictError, StoreError
from core.protocol import Protocol
from core.study import Answer, Person, Role, StudyState
from db import OPERATOR, AuditHead, Notary, Repository, open_store
from db.audit import Deed, chain_end
from db.engine import connect_engine
from db.password_hashing import Passwords
from db.tables import AuditEventRow, PresentationRow, ReadingRow
from tests.db.conftest import STUDY, make_cases
from tests.stores import PostgresqlStores, begun_sign_in, repository_of

N_CASES = 40
LOGINS = ("ann", "ben", "carla")
PASSWORD = "correct horse battery"
CHEAP = Passwords(CHEAPEST)


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


def _save(reader: Repository, name: str) -> None:
    place = reader.next_presentation(STUDY)
    assert place is not None
    reader.save_reading(place.presentation_id, Answer("sat", 2), submit_id=name)


def _close(repository: Repository) -> object:
    return repository.set_state(STUDY, StudyState.CLOSED)


#: Who hangs, in what, and whether with the end of the trail or before it, with the study alone.
HANGS: dict[str, tuple[str, Callable[[Repository], object], str]] = {
    "reader": ("ann", lambda ann: _save(ann, "hangs"), "trail"),
    "coordinator with the trail": ("carla", _close, "trail"),
    "coordinator with the study": ("carla", _close, "study"),
    "command line with the trail": ("operator", _close, "trail"),
    "sign-in": ("nobody", lambda door: door.authenticate("ann", PASSWORD, "127.0.0.1"), "trail"),
}


@pytest.mark.postgresql
@pytest.mark.parametrize("who", HANGS)
def test_a_process_that_hangs_in_a_deed_lets_readers_go_on(
    who: str,
    postgresql: PostgresqlStores,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """It holds the end of the trail, or the study, and never says anything again; its deed can be done anew."""
    login, deed, held = HANGS[who]
    for place in ("db.repository.access.LET_GO_MS", "db.audit.LET_GO_MS"):
        monkeypatch.setattr(place, 1_000 if held == "trail" else 60_000)
    monkeypatch.setattr("db.repository.access.LET_GO_LONG_MS", 1_000 if held == "study" else 60_000)
    engine = open_store(postgresql.new_store(tmp_path))
    request.addfinalizer(engine.dispose)
    people = readers_of_a_study(engine)
    people |= {"operator": Repository(engine, OPERATOR), "nobody": Repository(engine, None, passwords=CHEAP)}
    hanging, ben = people[login], people["ben"]
    holds, wakes, add = threading.Event(), threading.Event(), Repository._audit_all

    def hang(self: Repository, db_session: Session, deeds: Sequence[Deed]) -> None:
        is_it = self.actor == hanging.actor and not holds.is_set()
        if held == "trail":
            add(self, db_session, deeds)
        if is_it:
            holds.set()
            wakes.wait(20)
        if held != "trail":
            add(self, db_session, deeds)

    monkeypatch.setattr(Repository, "_audit_all", hang)
    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(deed, hanging)
        assert holds.wait(20), hung.exception(1)
        began = time.monotonic()
        _save(ben, "goes on")  # without the limit: StoreBusyError after 30 s
        assert time.monotonic() - began < 5
        wakes.set()
        with pytest.raises(StoreError):
            hung.result()
    assert people["operator"].study(STUDY).state is StudyState.OPEN
    deed(hanging)
    with engine.connect() as connection:
        stored = connection.scalars(sa.select(ReadingRow.submit_id).order_by(ReadingRow.sequence)).all()
        states = connection.execute(
            sa.select(AuditEventRow.detail).where(AuditEventRow.action == "study.state")
        ).scalars()
        n_closed = sum(detail["to"] == "closed" for detail in states)
    assert stored == ["goes on", *(["hangs"] if login == "ann" else [])]
    assert n_closed == (deed is _close)
    assert people["operator"].verify_audit().problems == ()


@pytest.mark.postgresql
def test_every_kind_of_deed_is_ended_after_a_silence(postgresql: PostgresqlStores, tmp_path: Path) -> None:
    """Whoever writes: somebody signed in or not, the command line, a migration; before the trail and with it."""
    url = postgresql.new_store(tmp_path)
    engine = open_store(url)
    people = readers_of_a_study(engine)
    door = Repository(engine, None)
    show = sa.text("SHOW idle_in_transaction_session_timeout")
    for repository in (people["carla"], people["ann"], Repository(engine, OPERATOR), door):
        with repository._writing() as db_session:
            assert db_session.scalar(show) == "20s"
            chain_end(db_session)
            assert db_session.scalar(show) == "4s"
    migration = connect_engine(url, for_migration=True)
    with migration.connect() as connection:
        assert connection.scalar(show) == "1min"
    migration.dispose()
    engine.dispose()


def test_a_process_that_hangs_with_the_head_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The folder is shared: who waited once does not wait again, and the head follows when the other is gone."""
    monkeypatch.setattr("db.notary.LONGEST_WAIT_S", 0.3)
    notary = Notary(tmp_path)

    def keep(number: int) -> float:
        began = time.monotonic()
        notary.keep_head(_head(number), lambda n: _head(n).hash)
        return time.monotonic() - began

    keep(1)
    with (tmp_path / "audit.key").open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert 0.3 <= keep(2) < 2
        assert keep(3) < 0.2
        assert notary.kept_head() == _head(1)
        assert "could not be kept" in caplog.text
        with pytest.raises(StoreError, match=r"hangs and keeps audit\.key.*Fix: end it"):
            notary.replace_head(_head(3))
    keep(4)
    assert Notary(tmp_path).kept_head() == _head(4)


def readers_of_a_study(engine: Engine) -> dict[str, Repository]:
    """Two readers of an open study and its coordinator, by login."""
    operator = Repository(engine, OPERATOR, passwords=CHEAP)
    for login in LOGINS:
        operator.create_person(login, f"Dr {login}", Role.READER, password=PASSWORD, is_temporary=False)
    operator.create_study(STUDY, Protocol(title="T"), coordinator="carla")
    operator.import_cases(STUDY, make_cases(4))
    for login in LOGINS[:2]:
        operator.add_reader(STUDY, login, cohorts=["internal"])
    operator.set_state(STUDY, StudyState.OPEN)
    return {person.login: repository_of(engine, person) for person in operator.people()}
