"""PostgreSQL: the role under which readers' deeds run, without any grant on truth, predictions and who a case is.

The role has a connection of its own, so nothing that a reader's request sends can become the program's role again:
there is no ``SET ROLE`` to undo, and no membership to use. What the methods of readers alone need is granted here; the
two reveals of :mod:`db.repository.reveals` look at one prediction or one truth by design and run as the program.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from core.errors import SettingsError, StoreError
from core.settings import Settings, kept_key
from db.address import parsed_url, sqlite_path, store_url
from db.engine import connect_engine, writing
from db.engine_failures import translated_failures
from db.tables import Base

#: What the command is called that makes the role and its grants.
ROLE_COMMAND = "python manage.py store reader-role"

_FIELD = "READING_ROOM_READER_DATABASE_URL"

#: Said where a PostgreSQL store is served without it.
NO_READER_ROLE = (
    f"Run `{ROLE_COMMAND}`: it makes the role, with the rights that readers need. Where the program's own role may "
    f"make none, set {_FIELD} and let an administrator run what `{ROLE_COMMAND} --print` prints."
)

#: In the data folder: password of the role that the program made by itself.
_KEPT = "readers.password"

#: Tables that a reader's deeds read whole.
_READ = ("study", "protocol_version", "study_member", "study_role", "presentation", "image", "reading")
_READ_MORE = ("sign_in_session", "reveal", "deviation", "presentation_event")
#: Tables of which they read these columns only, or all but these.
_ONLY = {"audit_event": ("sequence", "hash")}
_ALL_BUT = {"person": ("password_hash", "email"), "case_image": ("file_format", "notes")}
#: Tables to which they add rows.
_ADD = ("reading", "presentation_event", "audit_event")
#: ``SELECT ... FOR UPDATE`` asks for a right to change one column: these decide nothing.
_LOCKED_BY = {"study": "created_at", "study_member": "added_at", "sign_in_session": "ip"}
#: Their own, and nothing that decides anything.
_CHANGE = {"person": "reading_keys"}

#: Whether the program's role could take a right away from everybody.
_OWNS_DATABASE = "SELECT pg_has_role(datdba, 'MEMBER') FROM pg_database WHERE datname = current_database()"
_OWNS_SCHEMA = "SELECT pg_has_role(nspowner, 'MEMBER') FROM pg_namespace WHERE nspname = current_schema()"

#: A right: table, column, what.
Right = tuple[str, str, str]


def rights() -> set[Right]:
    """Every right that the role has, column by column."""
    found: set[Right] = set()
    for table in Base.metadata.sorted_tables:
        columns = {column.name for column in table.c}
        readable = columns if table.name in (*_READ, *_READ_MORE) else set(_ONLY.get(table.name, ()))
        if table.name in _ALL_BUT:
            readable = columns - set(_ALL_BUT[table.name])
        found |= {(table.name, column, "SELECT") for column in readable}
        if table.name in _ADD:
            found |= {(table.name, column, "INSERT") for column in columns}
    return found | {(table, column, "UPDATE") for table, column in (_LOCKED_BY | _CHANGE).items()}


def reader_url_of(settings: Settings) -> str | URL | None:
    """Where readers' deeds run: as set, or under the role that the program made; None: as the program."""
    if settings.reader_database_url:
        return settings.reader_database_url
    url, kept = store_url(settings), settings.data_folder / _KEPT
    if sqlite_path(url) is not None or not kept.exists():
        return None
    return _own_reader_url(url, kept)


def _own_reader_url(url: URL, kept: Path) -> URL:
    """The role of the program's own making: named after the database, with a password that the data folder keeps."""
    role = f"{(url.database or 'reading_room')[:48]}_readers"
    return url.set(username=role, password=kept_key(kept).decode("ascii"))


def ensure_reader_role(settings: Settings, *, may_take_over: bool = False) -> str:
    """Give a PostgreSQL store its readers' role with its rights, also where none is set; why not, where it cannot be.

    A role that is named by the settings is only given its rights, and what goes wrong is raised. One of this store that
    another data folder made keeps its password, unless it may be taken over.
    """
    url = store_url(settings)
    if sqlite_path(url) is not None:
        return ""
    if settings.reader_database_url:
        make_reader_role(url, settings.reader_database_url)
        return ""
    kept = settings.make_data_folder() / _KEPT
    is_new = not kept.exists()
    reader, engine = _own_reader_url(url, kept), connect_engine(url)
    try:
        make_reader_role(url, reader, has_new_password=may_take_over)
        open_reader_engine(engine, reader).dispose()
    except StoreError as failure:
        if is_new:
            kept.unlink()  # else the server would look for the role
        return str(failure)
    finally:
        engine.dispose()
    return ""


def make_reader_role(url: str | URL, reader_url: str | URL, *, has_new_password: bool = False) -> None:
    """Make the role that a URL names, with its password, unless it exists, and give it its rights and no others.

    One that exists keeps its password, unless the URL has a new one.

    Raises
    ------
    SettingsError
        If one of the URLs is not of PostgreSQL, or both name one role.
    StoreError
        If the program's own role may not do this; the message says who may.
    """
    reader = _reader_of(url, reader_url)
    engine = connect_engine(url)
    try:
        with translated_failures(), writing(engine).begin() as connection:
            name, password = str(reader.username), reader.password or ""
            for statement in _statements(connection, name, password, has_new_password=has_new_password):
                connection.exec_driver_sql(statement)
    except StoreError as failure:
        raise StoreError(
            f"The role '{reader.username}' cannot be made or given its rights. Fix: let a role with CREATEROLE that "
            f"owns the tables do it: the statements are printed by `{ROLE_COMMAND} --print`."
        ) from failure
    finally:
        engine.dispose()


def printed_statements(url: str | URL, reader_url: str | URL) -> list[str]:
    """What :func:`make_reader_role` would do, with a placeholder for the password."""
    reader = _reader_of(url, reader_url)
    engine = connect_engine(url)
    try:
        with translated_failures(), engine.connect() as connection:
            return list(_statements(connection, str(reader.username), "PASSWORD OF THE READER ROLE"))
    finally:
        engine.dispose()


def open_reader_engine(engine: Engine, reader_url: str | URL) -> Engine:
    """The readers' connection, if its role may do what a reader's deeds need and nothing else.

    Raises
    ------
    SettingsError
        If the URL is not one for this store.
    StoreError
        Naming the first right too many or too few.
    """
    reader_engine = connect_engine(_reader_of(engine.url, reader_url))
    try:
        with translated_failures(), reader_engine.connect() as connection:
            role, database = connection.exec_driver_sql("SELECT current_user, current_database()").one()
        with translated_failures(), engine.connect() as connection:
            if database != connection.exec_driver_sql("SELECT current_database()").scalar_one():
                raise SettingsError("names another database than the store's", field=_FIELD, fix="name the same one")
            problem = next(_wrong_rights(connection, role), None)
        if problem is not None:
            raise StoreError(f"The readers' role '{role}' {problem}. Fix: run `{ROLE_COMMAND}`.")
    except BaseException:
        reader_engine.dispose()
        raise
    return reader_engine


def _reader_of(url: str | URL, reader_url: str | URL) -> URL:
    """The readers' URL, checked against the program's."""
    if sqlite_path(url) is not None:
        raise SettingsError("a SQLite store has no roles", field=_FIELD, fix="remove it, or use PostgreSQL")
    reader = parsed_url(reader_url)
    if reader.get_backend_name() != "postgresql" or not reader.username:
        fix = "use postgresql://READERS_ROLE:PASSWORD@HOST/NAME"
        raise SettingsError("names no role of PostgreSQL", field=_FIELD, fix=fix)
    if reader.username == parsed_url(url).username:
        raise SettingsError("names the program's own role", field=_FIELD, fix="name another role: it need not exist")
    return reader


def _statements(connection: Connection, role: str, password: str, *, has_new_password: bool = False) -> Iterator[str]:
    """The role, then its rights and no others."""
    from psycopg import sql  # only where it is needed: it loads libpq

    def written(text: str, **names: str) -> str:
        parts: dict[str, sql.Composable] = {name: sql.Identifier(word) for name, word in names.items()}
        if "password" in names:
            parts["password"] = sql.Literal(names["password"])
        return sql.SQL(text).format(**parts).as_string(None).replace("%", "%%")

    exists = connection.execute(sa.text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).first()
    if exists is None:
        limits = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOINHERIT"
        yield written(f"CREATE ROLE {{role}} {limits} PASSWORD {{password}}", role=role, password=password)
    elif has_new_password:
        yield written("ALTER ROLE {role} PASSWORD {password}", role=role, password=password)
    schema = connection.exec_driver_sql("SELECT current_schema()").scalar_one()
    for kind in ("TABLES", "SEQUENCES"):
        yield written(f"REVOKE ALL ON ALL {kind} IN SCHEMA {{schema}} FROM {{role}}", schema=schema, role=role)
    yield written("GRANT USAGE ON SCHEMA {schema} TO {role}", schema=schema, role=role)
    # What anybody may make hides what is there: a temporary table "reading" would take answers and keep none.
    database = connection.exec_driver_sql("SELECT current_database()").scalar_one()
    if connection.exec_driver_sql(_OWNS_DATABASE).scalar_one():
        for whom in ("PUBLIC", "{role}"):
            yield written(
                f"REVOKE CREATE, TEMPORARY ON DATABASE {{database}} FROM {whom}", database=database, role=role
            )
    if connection.exec_driver_sql(_OWNS_SCHEMA).scalar_one():
        for whom in ("PUBLIC", "{role}"):
            yield written(f"REVOKE CREATE ON SCHEMA {{schema}} FROM {whom}", schema=schema, role=role)
    wanted: dict[tuple[str, str], list[str]] = {}
    for table, column, right in sorted(rights()):
        wanted.setdefault((table, right), []).append(column)
    for (table, right), columns in wanted.items():
        is_whole = set(columns) == {column.name for column in Base.metadata.tables[table].c}
        which = "" if is_whole else " (" + ", ".join(f"{{c{at}}}" for at in range(len(columns))) + ")"
        names = {} if is_whole else {f"c{at}": column for at, column in enumerate(columns)}
        yield written(f"GRANT {right}{which} ON {{table}} TO {{role}}", table=table, role=role, **names)
    query = sa.text("SELECT relname FROM pg_class WHERE oid = pg_get_serial_sequence('reading', 'sequence')::regclass")
    counter = connection.execute(query).scalar_one()
    yield written("GRANT USAGE ON SEQUENCE {counter} TO {role}", counter=counter, role=role)


def _wrong_rights(connection: Connection, role: str) -> Iterator[str]:
    """What the role may do and must not, or must and may not, in words."""
    who = {"role": role}
    is_mighty = sa.text(
        "SELECT rolsuper OR rolcreaterole OR rolbypassrls OR pg_has_role(:role, current_user, 'MEMBER') "
        "FROM pg_roles WHERE rolname = :role"
    )
    if connection.execute(is_mighty, who).scalar_one():
        yield "may become a mightier one"
    makes = sa.text(
        "SELECT has_database_privilege(:role, current_database(), 'TEMPORARY'), "
        f"has_schema_privilege(:role, current_schema(), 'CREATE'), ({_OWNS_DATABASE}), ({_OWNS_SCHEMA})"
    )
    may_temporary, may_lasting, owns_database, owns_schema = connection.execute(makes, who).one()
    if (may_temporary and owns_database) or (may_lasting and owns_schema):  # else nobody here could take it away
        yield "may make tables of its own, which hide those of the store"
    columns = [(table.name, column.name) for table in Base.metadata.sorted_tables for column in table.c]
    asked = sa.text(
        "SELECT t, c, p FROM unnest(CAST(:tables AS text[]), CAST(:columns AS text[])) AS asked(t, c), "
        "unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS p WHERE has_column_privilege(:role, t, c, p)"
    )
    tables, names = map(list, zip(*columns, strict=True))
    has = {tuple(row) for row in connection.execute(asked, {**who, "tables": tables, "columns": names})}
    for table, column, right in sorted(has - rights()):
        yield f"may {right} {table}.{column}"
    for table, column, right in sorted(rights() - has):
        yield f"may not {right} {table}.{column}"
    whole = sa.text(
        "SELECT t, p FROM unnest(CAST(:tables AS text[])) AS t, unnest(ARRAY['DELETE', 'TRUNCATE', 'TRIGGER']) AS p "
        "WHERE has_table_privilege(:role, t, p)"
    )
    for table, right in connection.execute(whole, {**who, "tables": sorted(set(tables))}):
        yield f"may {right} {table}"
