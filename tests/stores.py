"""Real stores for tests: a SQLite file, and a PostgreSQL database on a server that is given or started here."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url

from core.study import Person
from db import OPERATOR, Repository
from db.engine import writing
from db.migrate import APPEND_ONLY
from db.repository.access import token_hash
from db.store import create_store
from db.tables import Base, PersonRow, SignInSessionRow

#: A server that may be used instead of one that is started here.
SERVER_VARIABLE = "READING_ROOM_TEST_POSTGRESQL_URL"


def sign_in_as(engine: Engine, person: Person) -> str:
    """Token of a sign-in that lasts, without a password and without an event in the trail."""
    token = secrets.token_urlsafe(32)
    values = {
        "token_sha256": token_hash(token),
        "person_id": person.person_id,
        "ip": "127.0.0.1",
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "expires_at": datetime(9999, 1, 1, tzinfo=UTC),
    }
    with writing(engine).begin() as connection:
        connection.execute(sa.insert(SignInSessionRow).values(values))
    return token


def begun_sign_in(engine: Engine, person: Person, **options: Any) -> str:
    """Token of a sign-in as the program begins it, with its event in the trail."""
    door = Repository(engine, None, **options)
    with door._writing() as db_session:
        return door._begin(db_session, db_session.get_one(PersonRow, person.person_id), "127.0.0.1", way="password")


def repository_of(engine: Engine, actor: Person | None, **options: Any) -> Repository:
    """A repository that acts for a person who has just signed in."""
    is_person = actor is not None and actor != OPERATOR
    repository = Repository(engine, actor, token=sign_in_as(engine, actor) if is_person else None, **options)
    repository._sign_in = None  # no event began it, so its deeds name none
    return repository


class SqliteStores:
    """Files copied from one that was migrated once."""

    def __init__(self, folder: Path) -> None:
        self._template = folder / "template.sqlite3"
        create_store(f"sqlite:///{self._template}").dispose()
        self._recycled = folder / "recycled.sqlite3"
        shutil.copyfile(self._template, self._recycled)

    def new_store(self, folder: Path) -> str:
        """URL of a new, migrated, empty store."""
        path = folder / "store.sqlite3"
        shutil.copyfile(self._template, path)
        return f"sqlite:///{path}"

    def recycled_store(self) -> str:
        """URL of a file whose content was put back to that of a new store; an engine on it may live on."""
        with closing(sqlite3.connect(self._template)) as new, closing(sqlite3.connect(self._recycled)) as used:
            new.backup(used)
        return f"sqlite:///{self._recycled}"


class PostgresqlStores:
    """Databases copied from one that was migrated once."""

    def __init__(self, server: URL) -> None:
        self._server = server.set(drivername="postgresql+psycopg")
        self._made: list[str] = []
        self._template = self._migrated()
        self._recycled = self._migrated()

    @property
    def server_url(self) -> str:
        """URL of the server, whose role may make databases and roles."""
        return self._server.render_as_string(hide_password=False)

    def new_store(self, folder: Path) -> str:
        """URL of a new, migrated, empty store, for a test that changes the schema."""
        return self.empty_store(template=self._template).render_as_string(hide_password=False)

    def recycled_store(self) -> str:
        """URL of a migrated store that was emptied; ten times quicker than a new one."""
        url = self._server.set(database=self._recycled)
        engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"options": "-c lock_timeout=20000"})
        with engine.begin() as connection:
            for name in APPEND_ONLY:
                connection.exec_driver_sql(f"ALTER TABLE {name} DISABLE TRIGGER USER")
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(sa.delete(table))
            for name in APPEND_ONLY:
                connection.exec_driver_sql(f"ALTER TABLE {name} ENABLE TRIGGER USER")
        engine.dispose()
        return url.render_as_string(hide_password=False)

    def _migrated(self) -> str:
        url = self.empty_store()
        create_store(url).dispose()
        return url.database or ""

    def empty_store(self, template: str = "template0") -> URL:
        """URL of a new database without a schema."""
        name = f"reading_room_test_{secrets.token_hex(6)}"
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{template}" ENCODING \'UTF8\'')
        self._made.append(name)
        return self._server.set(database=name)

    def remove(self) -> None:
        """Drop what was made."""
        for name in self._made:
            self._run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _run(self, statement: str) -> None:
        engine = sa.create_engine(self._server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


def why_no_postgresql() -> str | None:
    """Why there is no PostgreSQL to test on; None if there is one."""
    if os.environ.get(SERVER_VARIABLE):
        return None
    if _server_program("initdb") is None:
        return f"no PostgreSQL: set {SERVER_VARIABLE} or install the server's programs (initdb, pg_ctl)"
    if os.geteuid() == 0 and (
        "postgres" not in {entry.pw_name for entry in pwd.getpwall()} or not shutil.which("runuser")
    ):
        return "no PostgreSQL: as root its server needs the account postgres and the program runuser"
    return None


@contextmanager
def postgresql_stores() -> Iterator[PostgresqlStores]:
    """Stores on the server that is given, or on a private one that lives as long as this context."""
    given = os.environ.get(SERVER_VARIABLE)
    if given:
        stores = PostgresqlStores(make_url(given))
        try:
            yield stores
        finally:
            stores.remove()
        return
    with private_server() as server:
        yield PostgresqlStores(server.url)


@dataclass(frozen=True)
class PrivateServer:
    """A PostgreSQL server of one test session, reached by a socket in its folder."""

    folder: Path
    _as_postgres: tuple[str, ...]

    @property
    def url(self) -> URL:
        """Of the superuser, who needs no password."""
        query = {"host": str(self.folder)}
        return URL.create("postgresql+psycopg", username="postgres", database="postgres", query=query)

    def start(self, *settings: str, is_waiting: bool = True) -> None:
        """Start with further settings, such as ``hot_standby=off``."""
        fixed = f"-c listen_addresses='' -c unix_socket_directories='{self.folder}' -c fsync=off -c max_connections=60"
        options = " ".join((fixed, *(f"-c {setting}" for setting in settings)))
        self.control("-w" if is_waiting else "-W", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self) -> None:
        """Stop at once; what was committed stays."""
        self.control("-w", "-m", "immediate", "stop")

    def control(self, *arguments: str) -> None:
        """Run ``pg_ctl`` as the server's account."""
        program = str(_server_program("pg_ctl"))
        _quietly([*self._as_postgres, program, "-D", str(self.folder / "data"), "-s", *arguments])


@contextmanager
def private_server() -> Iterator[PrivateServer]:
    """A server that runs as long as this context."""
    folder = Path(tempfile.mkdtemp(prefix="rr-pg-"))  # short: a socket's path has at most 107 characters
    as_postgres: tuple[str, ...] = ()
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_postgres = ("runuser", "-u", "postgres", "--")
    server = PrivateServer(folder, as_postgres)
    try:
        flags = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        _quietly([*as_postgres, str(_server_program("initdb")), "-D", str(folder / "data"), *flags])
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _server_program(name: str) -> Path | None:
    """A program of the PostgreSQL server, on PATH or where Debian keeps it."""
    on_path = shutil.which(name)
    if on_path:
        return Path(on_path)
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    return versions[-1] if versions else None


def _quietly(command: list[str]) -> None:
    """Run a server program; show what it said only if it failed."""
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=60, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[-1]}: {done.stdout[-1000:]} {done.stderr[-1000:]}")
