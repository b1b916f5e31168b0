"""The schema's versions: bring a store up to date, or say that it is not."""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.orm import Session

from core.errors import SchemaVersionError, StoreBusyError, StoreDamagedError
from core.study import StudyState
from db.address import sqlite_path
from db.audit import Deed, append_events
from db.engine import connect_engine, make_sqlite_file, refuse_foreign_file, writing
from db.engine_failures import MIGRATE_COMMAND, RESTORE_COMMAND, translated_failures
from db.file_system import refuse_network_file_system
from db.protocols import protocol_from_json
from db.seals import entry_of_reading, seals_of_study
from db.tables import Base, PersonRow, PresentationRow, ProtocolVersionRow, ReadingRow, StudyRow

if TYPE_CHECKING:
    from alembic.config import Config

_FOLDER = Path(__file__).parent / "migrations"
#: Tables that triggers keep from being changed.
APPEND_ONLY = ("reading", "presentation_event", "audit_event", "prediction", "elsewhere_reading")
_SQLITE_PARTS = "SELECT type || ' ' || name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'"
_POSTGRESQL_PARTS = """
SELECT concat('column ', table_name, '.', column_name),
  concat_ws(' ', data_type, is_nullable, column_default, is_identity) FROM information_schema.columns
  WHERE table_schema = current_schema()
UNION ALL SELECT concat('constraint ', conrelid::regclass, '.', conname),
  concat(pg_get_constraintdef(oid), ' ', convalidated) FROM pg_constraint
  WHERE connamespace = current_schema()::regnamespace AND conrelid <> 0
UNION ALL SELECT concat('index ', indexname), indexdef FROM pg_indexes WHERE schemaname = current_schema()
UNION ALL SELECT concat('trigger ', tgrelid::regclass, '.', tgname),
  concat(pg_get_triggerdef(pg_trigger.oid), ' ', tgenabled) FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
  WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal
UNION ALL SELECT concat('rule ', tablename, '.', rulename), definition FROM pg_rules
  WHERE schemaname = current_schema()
UNION ALL SELECT concat('function ', proname, '(', pg_get_function_identity_arguments(oid), ')'), prosrc FROM pg_proc
  WHERE pronamespace = current_schema()::regnamespace
"""

_MIGRATION_LOCK = 7_270_001  # PostgreSQL advisory lock: one migration at a time
_LOCK_S = 3.0  # whoever reads or writes waits behind a migration that waits for its lock, so it waits no longer at once
_ATTEMPTS = 10


def _config(connection: Connection | None = None, folder: Path = _FOLDER) -> Config:
    """Alembic's settings without a file; Alembic is loaded by a migration only."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def head_revision(folder: Path = _FOLDER) -> str:
    """Schema version that this program speaks."""
    before = _revisions(folder)
    heads = before.keys() - set(before.values())
    if len(heads) != 1:
        raise SchemaVersionError(f"No last migration was found in {folder.name}. Fix: install the program again.")
    return heads.pop()


def current_revision(connection: Connection) -> str | None:
    """Schema version of the store; None if it is empty."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalars(sa.text("SELECT version_num FROM alembic_version")).all()
    if len(found) > 1:
        raise SchemaVersionError(
            f"The store claims {len(found)} schema versions at once. Fix: restore a backup with `{RESTORE_COMMAND}`."
        )
    return found[0] if found else None


def upgrade(url: str | URL, *, folder: Path = _FOLDER) -> tuple[str | None, str]:
    """Bring a store to this program's schema, in one transaction; a SQLite file that does not exist is made.

    Parameters
    ----------
    url : str or URL
        Where the store is.
    folder : Path
        Where the migrations are.

    Returns
    -------
    tuple of (str or None, str)
        Schema version before (None: the store was empty) and after.

    Raises
    ------
    SchemaVersionError
        If the store is newer than this program; nothing is changed.
    StoreDamagedError
        If the file is empty or belongs to another program; nothing is changed.
    StoreBusyError
        If another program is writing for long. On PostgreSQL an attempt waits three seconds at most, for readers wait
        behind it; then it lets them through, ten times.
    """
    path = sqlite_path(url)
    if path is not None and path.exists():
        refuse_network_file_system(path)
        refuse_foreign_file(path)
    elif path is not None:
        make_sqlite_file(path)
    if path is not None:
        return _upgrade_once(connect_engine(url, for_migration=True), folder)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _upgrade_once(connect_engine(url, for_migration=True, busy_timeout_s=_LOCK_S), folder)
        except StoreBusyError:
            if attempt == _ATTEMPTS:
                raise
            time.sleep(_LOCK_S)
    raise AssertionError("not reached")


def _upgrade_once(engine: Engine, folder: Path) -> tuple[str | None, str]:
    """One attempt, in one transaction."""
    try:
        with translated_failures(), writing(engine).begin() as connection:
            is_postgresql = connection.dialect.name == "postgresql"
            if is_postgresql:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
            before = current_revision(connection)
            _refuse_newer(before, folder)
            is_older_than_seals = before is not None and not _has_seals(connection)
            _run_migrations(connection, folder)
            if is_older_than_seals:
                _seal_what_was_there(connection)
            if not is_postgresql and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise StoreDamagedError("The migration would break a reference between tables; nothing was changed.")
    finally:
        engine.dispose()
    return before, head_revision(folder)


def make_schema(connection: Connection) -> None:
    """Make every table of this program's version in a database that has none, in the caller's transaction."""
    _run_migrations(connection, _FOLDER)


def _run_migrations(connection: Connection, folder: Path) -> None:
    """Those that the database has not had, in the caller's transaction."""
    from alembic import command

    command.upgrade(_config(connection, folder), "head")


def _has_seals(connection: Connection) -> bool:
    """Whether the trail of this store is one that seals rows."""
    return "signature" in {column["name"] for column in sa.inspect(connection).get_columns("audit_event")}


def _seal_what_was_there(connection: Connection) -> None:
    """Enter readings and predictions of a version without seals in the trail, as they were found."""
    with Session(connection, join_transaction_mode="create_savepoint") as db_session:
        deeds: list[Deed] = []
        for study in db_session.scalars(sa.select(StudyRow).order_by(StudyRow.study_key)):
            model = db_session.scalars(
                sa.select(ProtocolVersionRow)
                .where(ProtocolVersionRow.study_id == study.study_id)
                .order_by(ProtocolVersionRow.version.desc())
            ).first()
            seals = seals_of_study(
                db_session,
                study,
                before_event=lambda: 1,
                model_sha256=None if model is None else protocol_from_json(model.protocol).model_sha256,
            )
            if study.state == StudyState.DRAFT:
                seals = {"sealed": {"predictions": seals["sealed"]["predictions"]}}
            deeds.append(Deed("migration", "study.adopt", study.study_key, seals))
            readings = db_session.execute(
                sa.select(ReadingRow, PresentationRow, PersonRow.login)
                .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
                .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
                .where(PresentationRow.study_id == study.study_id)
                .order_by(ReadingRow.sequence)
            )
            deeds += [
                Deed("migration", "reading.save", study.study_key, entry_of_reading(login, place, reading))
                for reading, place, login in readings
            ]
        if deeds:
            append_events(db_session, deeds, clock=lambda: datetime.now(UTC), sign=None)
        db_session.commit()


def check_schema(engine: Engine) -> None:
    """Refuse a store whose schema is not this program's.

    Raises
    ------
    SchemaVersionError
        Naming the command that mends it.
    StoreDamagedError
        If a trigger that makes a table append-only is missing.
    """
    with translated_failures(), engine.connect() as connection:
        current = current_revision(connection)
        if current == head_revision():
            _check_guards(connection)
            _check_columns(connection)
            return
    _refuse_newer(current, _FOLDER)
    found = f"version {current}" if current else "no schema yet"
    raise SchemaVersionError(
        f"The store has {found}, this program needs version {head_revision()}. Fix: run `{MIGRATE_COMMAND}`."
    )


@dataclass(frozen=True)
class StoreSchema:
    """What a store's schema is made of."""

    version: str | None
    parts: frozenset[tuple[str, str]]  # name ("trigger reading_no_update"), definition

    def told_against(self, before: StoreSchema) -> str:
        """What differs from an earlier one, in words."""
        now, then = dict(self.parts), dict(before.parts)
        said = [f"{name} was added" for name in sorted(now.keys() - then.keys())]
        said += [f"{name} was removed" for name in sorted(then.keys() - now.keys())]
        said += [f"{name} was changed" for name in sorted(now.keys() & then.keys()) if now[name] != then[name]]
        if self.version != before.version:
            said.insert(0, f"version {self.version}, it was {before.version}")
        return ", ".join([*said[:5], *(["and more"] if len(said) > 5 else [])]) or "it is not this program's"


def schema_of(engine: Engine) -> StoreSchema:
    """Every table, column, check, index, trigger and trigger function of a store, with its definition."""
    query = _POSTGRESQL_PARTS if engine.dialect.name == "postgresql" else _SQLITE_PARTS
    with translated_failures(), engine.connect() as connection:
        return StoreSchema(current_revision(connection), _parts(connection, query))


def _parts(connection: Connection, query: str) -> frozenset[tuple[str, str]]:
    return frozenset((name, definition) for name, definition in connection.exec_driver_sql(query))


def schema_problem(engine: Engine) -> str:
    """What of a store's schema is not as this program makes it, also where it was changed while no server ran; or "".

    A schema is made anew to compare with: in memory for SQLite, in a transaction that is rolled back on PostgreSQL.
    """
    now = schema_of(engine)
    if now.version != head_revision():
        return ""
    ours = _fresh_schema(engine)
    return "" if now == ours else f"the schema of the store is not as this program makes it: {now.told_against(ours)}"


def _fresh_schema(engine: Engine) -> StoreSchema:
    """What this program would make of an empty store."""
    if engine.dialect.name != "postgresql":
        fresh = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
        try:
            with fresh.begin() as connection:
                make_schema(connection)
            return schema_of(fresh)
        finally:
            fresh.dispose()
    with translated_failures(), engine.connect() as connection, connection.begin() as transaction:
        schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
        name = f"reading_room_{secrets.token_hex(8)}"
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
        connection.exec_driver_sql(f"SET LOCAL search_path TO {name}")
        make_schema(connection)
        found = _parts(connection, _POSTGRESQL_PARTS)
        version = current_revision(connection)
        transaction.rollback()
    return StoreSchema(version, frozenset((part, text.replace(name, schema)) for part, text in found))


def is_schema_ours(engine: Engine) -> bool:
    """Whether this program, while it runs, can go on with the schema of the store.

    The same version, or a newer one that still has every table and column of ours: versions only add what may be
    empty, so that processes of the old one go on until each was replaced. An older version will not do.
    """
    with translated_failures(), engine.connect() as connection:
        current = current_revision(connection)
        if current == head_revision():
            return True
        return current is not None and current not in _revisions() and not _lost_columns(connection)


def _check_columns(connection: Connection) -> None:
    """Refuse a store that claims this program's version and lacks a table or a column of it."""
    lost = _lost_columns(connection)
    if lost:
        raise StoreDamagedError(
            f"The store has lost parts of its schema ({', '.join(lost[:5])}). "
            f"Fix: find out who changed it, and restore the last backup with `{RESTORE_COMMAND}`."
        )


def _lost_columns(connection: Connection) -> list[str]:
    """Columns of ours that the store lacks, as table.column."""
    found = {
        table: {column["name"] for column in columns}
        for (_, table), columns in sa.inspect(connection).get_multi_columns().items()
    }
    return [
        f"{table.name}.{column.name}"
        for table in Base.metadata.sorted_tables
        for column in table.c
        if column.name not in found.get(table.name, ())
    ]


def _check_guards(connection: Connection) -> None:
    """Refuse a store from which a trigger that keeps readings or audit events was removed."""
    if connection.dialect.name == "postgresql":
        deeds, query = ("update", "delete", "truncate"), "SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D'"
    else:
        deeds, query = ("update", "delete", "replace"), "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    needed = {f"{table}_no_{deed}" for table in APPEND_ONLY for deed in deeds}
    missing = sorted(needed - set(connection.exec_driver_sql(query).scalars()))
    if missing:
        raise StoreDamagedError(
            f"The store has lost what keeps its readings from being changed ({', '.join(missing)}). "
            f"Fix: find out who removed it, and restore the last backup with `{RESTORE_COMMAND}`."
        )


def _refuse_newer(current: str | None, folder: Path) -> None:
    """Refuse a version that this program has never heard of."""
    if current is not None and current not in _revisions(folder):
        raise SchemaVersionError(
            f"The store has version {current}, which is newer than this program ({head_revision(folder)}). "
            f"Fix: update the program, then run `{MIGRATE_COMMAND}`; nothing was changed."
        )


def _revisions(folder: Path = _FOLDER) -> dict[str, str | None]:
    """Every version that this program has heard of, with the one before it."""
    found: dict[str, str | None] = {}
    for path in (folder / "versions").glob("*.py"):
        names = dict(
            re.findall(r'^(revision|down_revision) = (?:"(\w+)"|None)$', path.read_text("utf-8"), re.MULTILINE)
        )
        if "revision" in names:
            found[names["revision"]] = names["down_revision"] or None
    return found
