"""Every failure of an engine has its own words, read from codes: names and languages decide nothing."""

from __future__ import annotations

import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL

from core.errors import ConflictError, SchemaVersionError, StoreBusyError, StoreDamagedError, StoreError
from core.study import Role
from db import OPERATOR, Repository, create_store, open_store, store_exists
from db.engine import connect_engine, writing
from db.engine_failures import translated_failures
from tests.stores import PrivateServer, private_server, why_no_postgresql

PASSWORD = "the right@password:is/odd#%41 é?&+"
#: Names that other programs' messages would decide by.
TELLING_NAMES = (
    "rr_full",
    "app_readonly",
    "malformed_x",
    "no such table",
    "database is locked",
    "append-only",
    'a "quoted" 28000',
)


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    """A server that asks everybody but its superuser for a password."""
    if _reason := why_no_postgresql():
        pytest.skip(_reason)
    with private_server() as running:
        engine = sa.create_engine(running.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            for role in (*TELLING_NAMES, "limited", "reader"):
                name, password = role.replace('"', '""'), PASSWORD.replace("%", "%%")
                connection.exec_driver_sql(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}'")
                connection.exec_driver_sql(f'CREATE DATABASE "{name}" OWNER "{name}" ENCODING \'UTF8\'')
            connection.exec_driver_sql("ALTER ROLE limited CONNECTION LIMIT 0")
            connection.exec_driver_sql("ALTER ROLE reader SET default_transaction_read_only = on")
            connection.exec_driver_sql("CREATE ROLE nologin NOLOGIN PASSWORD 'x'")
        (running.folder / "data" / "pg_hba.conf").write_text(
            "local all postgres trust\nlocal all barred reject\nlocal all trusted trust\nlocal all all scram-sha-256\n"
        )
        running.control("reload")
        yield running


def url_of(server: PrivateServer, role: str, password: str | None = PASSWORD, database: str | None = None) -> URL:
    return server.url.set(username=role, password=password, database=database or role)


def refusal(url: str | URL) -> StoreError:
    """What opening this store says."""
    with pytest.raises(StoreError) as refused:
        store_exists(url)
    for name in (PASSWORD, "wrong-secret"):
        assert name not in str(refused.value)
    return refused.value


@pytest.mark.postgresql
@pytest.mark.parametrize("role", TELLING_NAMES)
def test_a_right_password_of_any_characters_opens_and_a_wrong_one_is_named(role: str, server: PrivateServer) -> None:
    socket_folder = quote(str(server.folder), safe="")
    text = f"postgres://{quote(role, safe='')}:{{}}@{socket_folder}/{quote(role, safe='')}"
    create_store(text.format(quote(PASSWORD, safe=""))).dispose()  # through Alembic as well
    open_store(text.format(quote(PASSWORD, safe=""))).dispose()
    refused = refusal(text.format("wrong-secret"))
    assert type(refused) is StoreError
    assert "password is wrong" in str(refused)
    assert "%40" in str(refused)


@pytest.mark.postgresql
def test_every_refusal_of_a_server_has_its_own_words(server: PrivateServer, tmp_path: Path) -> None:
    said = {
        "no password": refusal(url_of(server, "rr_full", None)),
        "wrong password": refusal(url_of(server, "rr_full", "wrong-secret")),
        "no such role": refusal(url_of(server, "trusted", None, "rr_full")),
        "barred": refusal(url_of(server, "barred", "wrong-secret", "rr_full")),
        "no such database": refusal(url_of(server, "rr_full", database="rr_readonly")),
        "too many": refusal(url_of(server, "limited")),
        "no server": refusal(url_of(server, "rr_full").set(query={"host": str(tmp_path)})),
    }
    assert "password is wrong" in str(said["no password"])
    assert "password is wrong" in str(said["wrong password"])
    assert "no such role" in str(said["no such role"])
    assert "pg_hba.conf" in str(said["barred"])
    assert "no database of this name" in str(said["no such database"])
    assert "no more connections" in str(said["too many"])
    assert "no PostgreSQL server answers" in str(said["no server"])
    for name, error in said.items():
        assert "Fix:" in str(error)
        assert isinstance(error, StoreBusyError) == (name in ("too many", "no server"))


@pytest.mark.postgresql
@pytest.mark.parametrize(
    ("sqlstate", "kind", "words"),
    [("53100", StoreError, "disk of the store is full"), ("53300", StoreBusyError, "no more connections"),
     ("53200", StoreBusyError, "busy"), ("40P01", StoreBusyError, "busy"),
     ("57P01", StoreBusyError, "cannot be reached"), ("58030", StoreDamagedError, "disk"),
     ("XX001", StoreDamagedError, "damaged"), ("42P01", SchemaVersionError, "migrate"),
     ("42501", StoreError, "grant"), ("23505", ConflictError, "exists already"),
     ("23502", StoreError, "constraint"), ("23503", StoreError, "constraint"), ("23514", StoreError, "constraint"),
     ("23000", ConflictError, "append-only"), ("22012", StoreError, "refused")],
)  # fmt: skip
def test_a_code_of_the_server_decides_whatever_its_text_says(
    sqlstate: str, kind: type[StoreError], words: str, server: PrivateServer
) -> None:
    engine = connect_engine(url_of(server, "rr_full"))
    text = "database is locked, append-only, full, readonly, malformed, no such table"
    with pytest.raises(kind, match=words) as failed, translated_failures(), engine.connect() as connection:
        connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION '{text}' USING ERRCODE = '{sqlstate}'; END $$")
    assert type(failed.value) is kind
    engine.dispose()


@pytest.mark.postgresql
def test_a_read_only_role_and_a_closed_connection_are_named(server: PrivateServer) -> None:
    engine = connect_engine(url_of(server, "reader"))
    with pytest.raises(StoreError, match="read-only"), translated_failures(), writing(engine).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (x int)")
    with (
        pytest.raises(StoreBusyError, match="cannot be reached"), translated_failures(), engine.connect() as connection
    ):  # fmt: skip
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")
    engine.dispose()


@pytest.mark.postgresql
def test_a_database_of_another_encoding_refuses_what_it_cannot_hold(server: PrivateServer) -> None:
    superuser = sa.create_engine(server.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with superuser.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    engine = create_store(server.url.set(database="latin"))
    operator = Repository(engine, OPERATOR)
    operator.create_person("ok", "Jürgen", Role.READER)
    with pytest.raises(StoreError, match="UTF8"):
        operator.create_person("x", "日本", Role.READER)
    assert [person.display_name for person in operator.people()] == ["Jürgen"]
    engine.dispose()


@pytest.mark.postgresql
def test_options_of_the_url_stand_beside_our_own(server: PrivateServer) -> None:
    url = url_of(server, "rr_full")
    engine = connect_engine(url.set(query={**url.query, "options": "-c statement_timeout=1234"}))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "1234ms"
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    engine.dispose()


@pytest.mark.postgresql
def test_a_server_that_is_starting_up_and_one_that_is_down_are_told_apart(server: PrivateServer) -> None:
    server.stop()
    assert "no PostgreSQL server answers" in str(refusal(url_of(server, "rr_full")))
    signal = server.folder / "data" / "standby.signal"
    signal.touch()
    shutil.chown(signal, (server.folder / "data").owner())
    server.start("hot_standby=off", is_waiting=False)  # it stays in recovery and lets nobody in
    try:
        for _ in range(100):
            said = refusal(url_of(server, "rr_full"))
            if "no PostgreSQL server" not in str(said):
                break
        assert isinstance(said, StoreBusyError)
        assert "starting" in str(said)
    finally:
        server.stop()
        signal.unlink()
        server.start()


def test_a_port_on_which_something_else_listens_is_no_server() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    said = refusal(f"postgresql://nobody:wrong-secret@127.0.0.1:{port}/none")
    assert isinstance(said, StoreBusyError)
    assert f"127.0.0.1 port {port}" in str(said)


def _failing(url: str, *statements: str) -> StoreError:
    """What the last statement says in words of ours."""
    *before, last = statements
    engine = open_store(url)
    with writing(engine).begin() as connection:
        for statement in before:
            connection.exec_driver_sql(statement)
        with pytest.raises((StoreError, ConflictError)) as failed, translated_failures():
            connection.exec_driver_sql(last)
    engine.dispose()
    return failed.value


@pytest.mark.parametrize(
    ("statements", "kind", "words"),
    [(("PRAGMA max_page_count=1", "CREATE TABLE full AS SELECT randomblob(1000000)"), StoreError, "is full"),
     (("PRAGMA query_only=ON", "DELETE FROM sign_in_attempt"), StoreError, "read-only"),
     (("SELECT * FROM full_readonly_malformed",), SchemaVersionError, "migrate"),
     (("INSERT INTO alembic_version SELECT version_num FROM alembic_version",), ConflictError, "exists already")],
)  # fmt: skip
def test_a_result_code_of_sqlite_decides(
    statements: tuple[str, ...], kind: type[StoreError], words: str, sqlite_url: str
) -> None:
    said = _failing(sqlite_url, *statements)
    assert type(said) is kind
    assert words in str(said)


def test_a_locked_sqlite_file_is_busy(sqlite_url: str) -> None:
    engine = connect_engine(sqlite_url, busy_timeout_s=0.1)
    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError, match="busy"), translated_failures(), writing(engine).begin():
            pass
    engine.dispose()


def test_a_folder_where_the_file_should_be_and_a_text_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "readonly full").mkdir()
    with pytest.raises(StoreDamagedError, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path / 'readonly full'}")
    (tmp_path / "locked").write_text("no database at all, but long enough to look at it " * 30)
    with pytest.raises(StoreDamagedError, match="is no database"):
        open_store(f"sqlite:///{tmp_path / 'locked'}")
