"""The schema comes from the migrations, all of it or nothing, and a wrong version names the command that mends it."""

from __future__ import annotations

import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url

from core.errors import SchemaVersionError, StoreDamagedError, StoreError
from core.study import Answer, StudyState
from db import OPERATOR, Notary, Repository, create_store, open_store, store_exists
from db.engine import connect_engine, writing
from db.engine_failures import translated_failures
from db.migrate import _config, _revisions, head_revision, is_schema_ours, upgrade
from db.tables import Base
from tests.stores import repository_of

MIGRATIONS = Path(__file__).parents[2] / "db" / "migrations"

BROKEN = """
import sqlalchemy as sa
from alembic import op
revision = "next"
down_revision = "{head}"
branch_labels = None
depends_on = None
def upgrade():
    op.create_table("half_done", sa.Column("name", sa.Text()))
    op.add_column("study", sa.Column("half_done", sa.Text()))
    op.execute("INSERT INTO half_done VALUES ('row')")
    {last}
"""


def _with_one_more_migration(folder: Path, last: str) -> Path:
    copy = folder / "migrations"
    shutil.copytree(MIGRATIONS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "versions" / "next.py").write_text(BROKEN.format(head=head_revision(MIGRATIONS), last=last))
    return copy


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    return request.getfixturevalue("postgresql").empty_store().render_as_string(hide_password=False)


def test_an_empty_store_is_brought_up_to_date_once(empty_url: str) -> None:
    assert not store_exists(empty_url)
    assert upgrade(empty_url) == (None, head_revision())
    assert upgrade(empty_url) == (head_revision(), head_revision())
    assert store_exists(empty_url)
    open_store(empty_url).dispose()


def test_the_migrations_make_the_tables_that_the_program_declares(store_url: str) -> None:
    engine = connect_engine(store_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": engine.dialect.name == "postgresql"})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_the_migrations_make_the_checks_that_the_program_declares(store_url: str) -> None:
    engine = connect_engine(store_url)
    inspector = sa.inspect(engine)
    for table in Base.metadata.sorted_tables:
        declared = {str(found.name) for found in table.constraints if isinstance(found, sa.CheckConstraint)}
        made = {found["name"] for found in inspector.get_check_constraints(table.name)}
        assert made == declared, table.name
    engine.dispose()


@pytest.mark.postgresql
def test_a_store_without_schema_names_the_command(postgresql) -> None:
    with pytest.raises(SchemaVersionError, match=r"python manage\.py migrate"):
        open_store(postgresql.empty_store().render_as_string(hide_password=False))


@pytest.mark.parametrize("content", ["empty", "foreign", "foreign in WAL mode"])
def test_a_file_that_is_empty_or_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "foreign.sqlite3"
    path.touch()
    if content != "empty":
        with closing(sqlite3.connect(path)) as connection:
            if "WAL" in content:
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE patient (name TEXT)")
            connection.execute("INSERT INTO patient VALUES ('Somebody')")
            connection.commit()
    before = path.read_bytes()
    said = r"is empty.*Fix: delete it" if content == "empty" else r"another program \(tables: patient\).*Fix: correct"
    for attempt in (open_store, upgrade, create_store):
        with pytest.raises(StoreDamagedError, match=said):
            attempt(f"sqlite:///{path}")
        assert path.read_bytes() == before


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE sign_in_attempt",
        "ALTER TABLE reference_standard RENAME COLUMN class_key TO truth",
        "ALTER TABLE study_case DROP COLUMN source_name",
    ],
)
def test_a_store_that_lost_a_part_of_its_schema_is_refused_at_the_start(own_store_url: str, statement: str) -> None:
    engine = connect_engine(own_store_url)
    with writing(engine).begin() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
    with pytest.raises(StoreDamagedError, match=r"sign_in_attempt.login|reference_standard.class_key|source_name"):
        open_store(own_store_url)


def test_the_versions_are_those_that_alembic_finds() -> None:
    scripts = ScriptDirectory.from_config(_config())
    assert _revisions() == {script.revision: script.down_revision for script in scripts.walk_revisions()}
    assert head_revision() == scripts.get_current_head()


def test_an_older_store_names_the_command(own_store_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    newer_program = _with_one_more_migration(tmp_path, "pass")
    monkeypatch.setattr("db.migrate._FOLDER", newer_program)
    monkeypatch.setattr(head_revision, "__defaults__", (newer_program,))
    with pytest.raises(SchemaVersionError, match=r"version \d+.*needs version next.*python manage\.py migrate"):
        open_store(own_store_url)


def test_a_newer_store_is_refused_and_left_alone(own_store_url: str) -> None:
    engine = connect_engine(own_store_url)
    with writing(engine).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for attempt in (open_store, upgrade):
        with pytest.raises(SchemaVersionError, match="newer than this program"):
            attempt(own_store_url)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "9999"
    engine.dispose()


def test_a_migration_that_fails_midway_leaves_nothing_behind(own_store_url: str, tmp_path: Path) -> None:
    folder = _with_one_more_migration(tmp_path, "raise RuntimeError('power cut')")
    with pytest.raises(RuntimeError, match="power cut"):
        upgrade(own_store_url, folder=folder)
    engine = open_store(own_store_url)  # its schema is this program's
    inspector = sa.inspect(engine)
    assert "half_done" not in inspector.get_table_names()
    assert "half_done" not in {column["name"] for column in inspector.get_columns("study")}
    engine.dispose()


def test_the_same_migration_goes_through_when_it_does_not_fail(own_store_url: str, tmp_path: Path) -> None:
    """Shows that the test above fails for the failure's sake."""
    folder = _with_one_more_migration(tmp_path, "pass")
    assert upgrade(own_store_url, folder=folder) == (head_revision(), "next")
    engine = connect_engine(own_store_url)
    assert "half_done" in sa.inspect(engine).get_table_names()
    engine.dispose()


def _old_store(url: str, revision: str) -> None:
    """A store as it was written at an earlier version, on either engine: its dump's rows in that version's tables."""
    dump = (Path(__file__).parents[1] / "data" / f"store_{revision}.sql").read_text(encoding="utf-8")
    path = make_url(url).database
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(dump)
        return
    engine = connect_engine(url, for_migration=True)
    with closing(sqlite3.connect(":memory:")) as source, writing(engine).begin() as connection:
        source.executescript(dump)
        source.row_factory = sqlite3.Row
        command.upgrade(_config(connection), revision)
        tables = sa.MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            if table.name == "alembic_version":
                continue
            flags = [column.name for column in table.c if isinstance(column.type, sa.Boolean)]
            for row in source.execute(f"SELECT * FROM {table.name} ORDER BY rowid"):  # noqa: S608
                values = {key: bool(value) if key in flags else value for key, value in dict(row).items()}
                connection.execute(sa.insert(table).values(values))
        last = "SELECT setval(pg_get_serial_sequence('reading', 'sequence'), max(sequence)) FROM reading"
        connection.exec_driver_sql(last)
    engine.dispose()


def _rows(url: str, table: str, columns: list[str]) -> list[tuple]:
    engine = connect_engine(url)
    with engine.connect() as connection:
        found = connection.exec_driver_sql(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1").all()  # noqa: S608
    engine.dispose()
    return [tuple(row) for row in found]


def test_readings_of_an_older_store_survive_bit_by_bit_and_their_seals_stay_valid(empty_url: str) -> None:
    """Version 0004 makes the table of readings anew on SQLite; the trail was sealed before it."""
    _old_store(empty_url, "0003")
    old = sa.inspect(engine := connect_engine(empty_url))
    before = {}
    for table in ("reading", "presentation", "study_member", "study", "audit_event"):
        columns = [column["name"] for column in old.get_columns(table)]
        before[table] = (columns, _rows(empty_url, table, columns))
    engine.dispose()
    assert len(before["reading"][1]) == 8
    assert upgrade(empty_url) == ("0003", head_revision())
    for table, (columns, rows) in before.items():
        assert _rows(empty_url, table, columns) == rows, table
    engine = open_store(empty_url)
    operator = Repository(engine, OPERATOR)
    assert operator.verify_audit().problems == ()
    assert {study.key: study.opened_at is not None for study in operator.studies()} == {
        "reading": True, "finished": True, "drafted": False,
    }  # fmt: skip
    first_opening = next(
        event.at for event in operator.audit_trail("finished") if event.action == "study.state"
    )  # it was opened twice
    assert operator.study("finished").opened_at == first_opening
    with pytest.raises(sa.exc.DBAPIError, match="append-only"), writing(engine).begin() as connection:
        connection.exec_driver_sql("UPDATE reading SET revision = 7")
    # Reading goes on in the old order, and the numbers of readings go on as well.
    ann = repository_of(engine, operator.person("ann"))
    place = ann.next_presentation("reading")
    assert (place.position, place.period, place.block, place.n_blocks, place.is_training) == (4, 1, 1, 1, False)
    ann.save_reading(
        place.presentation_id, Answer(is_unreadable=True, unreadable_reason="motion"), submit_id="after the migration"
    )
    assert _rows(empty_url, "reading", ["sequence"])[-1] == (9,)
    for state in (StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED):
        operator.set_state("reading", state)
    assert [each.class_key for each in operator.readings("reading")] == ["sat", "tumor", "normal", "graves", None]
    assert operator.verify_audit().problems == ()
    with writing(engine).begin() as connection:
        trigger = "reading_no_update"
        connection.exec_driver_sql(
            f"DROP TRIGGER {trigger} ON reading" if engine.dialect.name == "postgresql" else f"DROP TRIGGER {trigger}"
        )
        connection.exec_driver_sql("UPDATE reading SET comment = 'other' WHERE sequence IN (1, 9)")
    said = "\n".join(operator.verify_audit().problems)
    assert "the reading of 'ann' at place 1, revision 1, in study 'reading' was changed" in said
    assert "the reading of 'ann' at place 4, revision 1, in study 'reading' was changed" in said
    engine.dispose()


def test_a_store_from_before_seals_is_sealed_as_it_was_found(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((Path(__file__).parents[1] / "data" / "store_0001.sql").read_text(encoding="utf-8"))
    url = f"sqlite:///{path}"
    assert upgrade(url) == ("0001", head_revision())
    engine = open_store(url)
    operator = Repository(engine, OPERATOR, notary=Notary(tmp_path))
    assert operator.verify_audit().problems == ()
    operator.set_state("earlier", StudyState.LOCKED)
    operator.set_state("earlier", StudyState.UNSEALED)
    assert len(operator.readings("earlier")) == 2
    assert operator.verify_audit().problems == ()
    for statement, said in (
        ("UPDATE reference_standard SET class_key = 'tumor'", "the reference standard of study 'earlier'"),
        ("UPDATE reading SET confidence = 1", "the reading of 'ann' at place 1"),
        ("UPDATE prediction SET entropy = 0.5", "the predictions of study 'draft'"),
    ):
        with writing(engine).begin() as connection:
            for table in ("reading", "prediction"):
                connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {table}_no_update")
            connection.exec_driver_sql(statement)
        assert said in "\n".join(operator.verify_audit().problems)
    engine.dispose()


def test_a_process_goes_on_while_a_newer_version_only_added_to_the_schema(own_store_url: str) -> None:
    engine = open_store(own_store_url)
    assert is_schema_ours(engine)
    with writing(engine).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999_of_tomorrow'")
        connection.exec_driver_sql("ALTER TABLE person ADD COLUMN of_tomorrow TEXT")
    assert is_schema_ours(engine), "nothing of ours was touched"
    with pytest.raises(SchemaVersionError, match="newer"):
        open_store(own_store_url)
    with writing(engine).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE person RENAME COLUMN display_name TO name_of_tomorrow")
    assert not is_schema_ours(engine)
    with writing(engine).begin() as connection:
        connection.exec_driver_sql("ALTER TABLE person RENAME COLUMN name_of_tomorrow TO display_name")
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert not is_schema_ours(engine), "an older schema"
    engine.dispose()


def test_a_constraint_of_another_version_is_not_taken_for_a_second_answer(store_url: str) -> None:
    engine = open_store(store_url)
    statement = "INSERT INTO patient (patient_id, study_id, cohort_id) VALUES ('a', 'b', 'c')"  # patient_key is missing
    with pytest.raises(StoreError, match="constraint") as refused, translated_failures(), writing(engine).begin() as at:
        at.exec_driver_sql(statement)
    assert type(refused.value) is StoreError
    engine.dispose()


@pytest.mark.postgresql
def test_a_migration_lets_readers_through_while_it_waits_for_a_long_transaction(
    postgresql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.migrate._LOCK_S", 0.3)
    url = postgresql.new_store(tmp_path)
    folder = _with_one_more_migration(tmp_path, "pass")
    engine = open_store(url)
    with engine.connect() as long_one, ThreadPoolExecutor(1) as other:
        long_one.exec_driver_sql("SELECT count(*) FROM study")  # holds its lock on the table until it ends
        migration = other.submit(upgrade, url, folder=folder)
        waits = []
        while not migration.done() and len(waits) < 5:
            begun = time.monotonic()
            with engine.connect() as reader:
                reader.exec_driver_sql("SELECT count(*) FROM study")
            waits.append(time.monotonic() - begun)
            time.sleep(0.1)
        assert not migration.done()
        long_one.rollback()
        assert migration.result(timeout=30)[1] == "next"
    assert len(waits) == 5, "readers went on while the migration waited"
    engine.dispose()
