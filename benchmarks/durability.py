"""Does an acknowledged reading survive power cuts, double clicks, two tabs and lost replies?

``python -m benchmarks.durability power`` (needs apsw) and ``races``; kills of the program are a test:
``READING_ROOM_TEST_KILLS=50 python -m pytest tests/db/test_durability.py``; many readers at once are
``benchmarks/load.py``. Each part prints its figures and ends with status 1 where something was lost, doubled or
wrong. Races are tried on PostgreSQL too where a server can be started.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from core.errors import ConflictError, ReadingRoomError
from core.protocol import Protocol
from core.study import Answer, Role, StudyState
from db import OPERATOR, Notary, Repository, create_store, open_store
from db.engine import PRAGMAS
from db.tables import ReadingRow
from tests.db.conftest import make_cases
from tests.stores import postgresql_stores, why_no_postgresql

STUDY = "durable"

#: What is replayed: a statement with its values, or the id of a reading whose reader is told here that it is saved.
Step = tuple[str, tuple[Any, ...] | None, str]


def _room(engine: Engine, folder: Path, n_cases: int) -> Repository:
    """The desk of the reader of an open study, who has signed in."""
    operator, password = Repository(engine, OPERATOR, notary=Notary(folder)), uuid.uuid4().hex
    person = operator.create_person("ann", "Dr Ann", Role.READER, is_temporary=False, password=password)
    operator.create_study(STUDY, Protocol(title="Durable"))
    operator.import_cases(STUDY, make_cases(n_cases))
    operator.add_reader(STUDY, person.login, cohorts=["internal"])
    operator.set_state(STUDY, StudyState.OPEN)
    token = Repository(engine, None, notary=Notary(folder)).authenticate(person.login, password, "127.0.0.1")
    return Repository(engine, person, token=token, notary=Notary(folder))


@contextmanager
def _stores() -> Iterator[Callable[[str, Path], Engine]]:
    """Makes an empty store of an engine in a folder."""
    if why_no_postgresql():
        yield lambda name, folder: create_store(f"sqlite:///{folder / 'store.sqlite3'}")
        return
    with postgresql_stores() as server:
        yield (
            lambda name, folder: (
                create_store(f"sqlite:///{folder / 'store.sqlite3'}")
                if name == "sqlite"
                else open_store(server.new_store(folder))
            )
        )


# --- power cuts -------------------------------------------------------------------------------------------------------


class PowerCutError(Exception):
    """The simulated cut."""


@dataclass
class Disk:
    """Files of which only what was synced is sure; what was written since is lost, kept or torn by sectors."""

    cut_after: int  # writes and syncs until the power goes
    rng: random.Random
    durable: dict[str, bytearray] = field(default_factory=dict)
    pending: dict[str, list[tuple[int, bytes] | int]] = field(default_factory=dict)  # a write, or a new length
    n_deeds: int = 0

    def deed(self) -> None:
        """Count a write or sync; the power goes in the middle of one."""
        self.n_deeds += 1
        if self.n_deeds >= self.cut_after:
            raise PowerCutError

    def sync(self, name: str) -> None:
        """Make all that was written to a file sure."""
        content = self.durable.setdefault(name, bytearray())
        for deed in self.pending.pop(name, []):
            _apply(content, deed)

    def after_the_cut(self, folder: Path) -> None:
        """Write what a disk may hold when the power is back: of each sector that was not synced, the old or the new."""
        for name in self.durable.keys() | self.pending.keys():
            content = self.durable.get(name, bytearray())
            for deed in self.pending.get(name, []):
                if isinstance(deed, int):
                    if self.rng.random() < 0.5:
                        _apply(content, deed)
                    continue
                offset, data = deed
                for start in range(0, len(data), 512):
                    if self.rng.random() < 0.5:
                        _apply(content, (offset + start, data[start : start + 512]))
            (folder / Path(name).name).write_bytes(content)


def _apply(content: bytearray, deed: tuple[int, bytes] | int) -> None:
    if isinstance(deed, int):
        del content[deed:]
        return
    offset, data = deed
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


def _recorded(folder: Path, n_readings: int) -> tuple[Path, list[Step]]:
    """A store before its first reading, and every statement of the program while it saves some: (SQL, values, id)."""
    engine = create_store(f"sqlite:///{folder / 'store.sqlite3'}")
    desk = _room(engine, folder, n_readings)
    engine.dispose()
    before = folder / "before.sqlite3"
    shutil.copyfile(folder / "store.sqlite3", before)
    script: list[Step] = []

    def note(_: object, __: object, statement: str, values: object, *___: object) -> None:
        script.append((statement, tuple(values or ()), ""))

    sa.event.listen(engine, "before_cursor_execute", note)
    sa.event.listen(engine, "commit", lambda _: script.append(("COMMIT", None, "")))
    sa.event.listen(engine, "rollback", lambda _: script.append(("ROLLBACK", None, "")))
    while (place := desk.next_presentation(STUDY)) is not None:
        desk.record_shown(place.presentation_id)
        receipt = desk.save_reading(place.presentation_id, Answer("sat", 2), submit_id=uuid.uuid4().hex)
        script.append(("", None, receipt.reading_id))  # here the reader is told that it is saved
    engine.dispose()
    return before, script


def power(trials: int, n_readings: int = 25) -> bool:
    """The program's own statements, replayed on a disk that forgets; what was acknowledged must be there."""
    import apsw

    class LazyFile(apsw.VFSFile):
        def __init__(self, base: str, name: object, flags: object, disk: Disk) -> None:
            super().__init__(base, name, flags)
            self.name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
            self.disk = disk
            if self.name not in disk.durable:
                path = Path(self.name)
                disk.durable[self.name] = bytearray(path.read_bytes() if path.exists() else b"")

        def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - names of SQLite
            self.disk.deed()
            self.disk.pending.setdefault(self.name, []).append((offset, bytes(data)))
            super().xWrite(data, offset)

        def xTruncate(self, size: int) -> None:  # noqa: N802
            self.disk.deed()
            self.disk.pending.setdefault(self.name, []).append(size)
            super().xTruncate(size)

        def xSync(self, flags: int) -> None:  # noqa: N802
            self.disk.deed()
            self.disk.sync(self.name)  # the real disk is not asked: the simulated one counts

    class LazyVFS(apsw.VFS):
        def __init__(self, disk: Disk) -> None:
            self.disk = disk
            super().__init__("lazy", "")

        def xOpen(self, name: object, flags: object) -> LazyFile:  # noqa: N802
            return LazyFile("", name, flags, self.disk)

    with tempfile.TemporaryDirectory() as place:
        before, script = _recorded(Path(place), n_readings)
        n_deeds = _replay(apsw, LazyVFS, before, script, Disk(10**9, random.Random(0)), PRAGMAS)[1]
        print(f"{n_readings} readings are {n_deeds} writes and syncs with the program's settings")
        is_ours_whole, is_off_lossy = True, False
        for level in ("FULL", "NORMAL", "OFF"):
            pragmas = [pragma.replace("synchronous=FULL", f"synchronous={level}") for pragma in PRAGMAS]
            told, missing, damaged, lossy = 0, 0, 0, 0
            for trial in range(trials):
                rng = random.Random(trial)
                disk = Disk(rng.randrange(20, n_deeds), rng)
                acknowledged, _, folder = _replay(apsw, LazyVFS, before, script, disk, pragmas)
                stored = _stored_after(folder)
                lost = len(acknowledged - stored) if stored is not None else len(acknowledged)
                told += len(acknowledged)
                missing += lost
                damaged += stored is None
                lossy += lost > 0
                shutil.rmtree(folder)
            print(
                f"synchronous={level:<6} {trials} power cuts: {told} acknowledged, {missing} missing (in {lossy} "
                f"trials), {damaged} files damaged"
            )
            is_ours_whole &= level != "FULL" or missing + damaged == 0
            is_off_lossy |= level == "OFF" and missing > 0
        if not is_off_lossy:
            print("the simulated disk lost nothing with synchronous=OFF: it proves nothing")
    return is_ours_whole and is_off_lossy


def _replay(
    apsw: object,
    vfs_class: type,
    before: Path,
    script: list[Step],
    disk: Disk,
    pragmas: object,
) -> tuple[set[str], int, Path]:
    """Run the statements until the power goes; give what was acknowledged, the count of deeds, what the disk holds."""
    work, after = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    shutil.copyfile(before, work / "store.sqlite3")
    vfs = vfs_class(disk)
    acknowledged: set[str] = set()
    connection = None
    try:
        connection = apsw.Connection(str(work / "store.sqlite3"), vfs="lazy")
        for pragma in (*pragmas, "PRAGMA foreign_keys=ON"):
            connection.execute(pragma)
        for statement, values, reading_id in script:
            if reading_id:
                acknowledged.add(reading_id)
            elif statement == "ROLLBACK" and not connection.in_transaction:
                continue
            else:
                connection.execute(statement, values or ()).fetchall()
    except PowerCutError:
        pass
    disk.after_the_cut(after)
    disk.cut_after = 10**9  # what SQLite does while it closes is written to nowhere
    if connection is not None:
        connection.close(True)
    vfs.unregister()
    shutil.rmtree(work)
    return acknowledged, disk.n_deeds, after


def _stored_after(folder: Path) -> set[str] | None:
    """Readings that the program finds when the power is back, held against their trail; None: it refuses the file."""
    try:
        engine = open_store(f"sqlite:///{folder / 'store.sqlite3'}")
    except ReadingRoomError:
        return None
    try:
        if Repository(engine, OPERATOR).verify_audit().problems:
            return None
        with engine.connect() as connection:
            return set(connection.scalars(sa.select(ReadingRow.reading_id)))
    except ReadingRoomError:
        return None
    finally:
        engine.dispose()


# --- races ------------------------------------------------------------------------------------------------------------


def races(trials: int) -> bool:
    """The same answer twice at once, two answers at once, and the same answer again after its reply was lost."""
    is_whole = True
    engines = ["sqlite"] if why_no_postgresql() else ["sqlite", "postgresql"]
    with _stores() as make:
        for name in engines:
            with tempfile.TemporaryDirectory() as place:
                engine = make(name, Path(place))
                desk = _room(engine, Path(place), 3 * trials)
                other = Repository(engine, desk.actor, token=desk._token, notary=Notary(Path(place)))
                for what, race in (("double click", _double_click), ("two tabs", _two_tabs), ("lost reply", _lost)):
                    outcomes = Counter(race(desk, other) for _ in range(trials))
                    print(f"{name}, {what}: {dict(outcomes)}")
                    is_whole &= set(outcomes) == {"one reading"}
                with engine.connect() as connection:
                    per_case = connection.execute(
                        sa.select(ReadingRow.presentation_id, sa.func.count()).group_by(ReadingRow.presentation_id)
                    ).all()
                problems = Repository(engine, OPERATOR, notary=Notary(Path(place))).verify_audit().problems
                said = f"the trail has {len(problems)} faults{': ' * bool(problems)}{'; '.join(problems[:3])}"
                print(f"{name}: {len(per_case)} cases answered, {sum(n for _, n in per_case)} readings, {said}")
                is_whole &= len(per_case) == 3 * trials == sum(n for _, n in per_case) and not problems
                engine.dispose()
    return is_whole


def _both(first: Callable[[], object], second: Callable[[], object]) -> list[object]:
    """Two deeds at once; what each gave or raised."""
    found: list[object] = [None, None]
    gate = threading.Barrier(2)

    def run(at: int, deed: Callable[[], object]) -> None:
        gate.wait()
        try:
            found[at] = deed()
        except Exception as failure:
            found[at] = failure

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate((first, second))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _double_click(desk: Repository, other: Repository) -> str:
    place, submit_id = desk.next_presentation(STUDY).presentation_id, uuid.uuid4().hex
    found = _both(*[lambda: desk.save_reading(place, Answer("sat", 2), submit_id=submit_id)] * 2)
    receipts = {getattr(each, "reading_id", repr(each)) for each in found}
    again = sorted(getattr(each, "was_already_saved", None) for each in found)
    return "one reading" if len(receipts) == 1 and again == [False, True] else repr(found)


def _two_tabs(desk: Repository, other: Repository) -> str:
    place = desk.next_presentation(STUDY).presentation_id
    found = _both(
        lambda: desk.save_reading(place, Answer("sat", 2), submit_id=uuid.uuid4().hex),
        lambda: other.save_reading(place, Answer("tumor", 4), submit_id=uuid.uuid4().hex),
    )
    kinds = sorted(type(each).__name__ for each in found)
    return "one reading" if kinds == sorted(("Receipt", ConflictError.__name__)) else repr(found)


def _lost(desk: Repository, other: Repository) -> str:
    place, submit_id = desk.next_presentation(STUDY).presentation_id, uuid.uuid4().hex
    lost = desk.save_reading(place, Answer("sat", 2), submit_id=submit_id)
    again = [each.save_reading(place, Answer("sat", 2), submit_id=submit_id) for each in (other, desk)]
    is_one = all(each.was_already_saved and each.reading_id == lost.reading_id for each in again)
    return "one reading" if is_one else repr(again)


def main() -> int:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("power", "races"))
    parser.add_argument("--trials", type=int, help="power cuts of each setting (50), or races of each kind (200)")
    given = parser.parse_args()
    is_whole = power(given.trials or 50) if given.part == "power" else races(given.trials or 200)
    print("all acknowledged readings are there, once and unchanged" if is_whole else "FAILED")
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
