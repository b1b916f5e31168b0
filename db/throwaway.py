"""A store that lives as long as a block, and the two ways in which a store fails: for audits of the program itself."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from psycopg import sql
from sqlalchemy.engine import URL

from core.errors import SettingsError
from db.address import parsed_url, sqlite_path
from db.engine import connect_engine, writing
from db.engine_failures import translated_failures
from db.reader_role import make_reader_role
from db.store import create_store
from db.tables import ImageRow


class ThrowawayStore:
    """An empty store; ``reader_url`` is that of the readers' role, and of PostgreSQL only."""

    def __init__(self, url: URL, *, server: URL | None = None, reader_url: URL | None = None) -> None:
        self._url, self._server = url, server or url
        self.url = url.render_as_string(hide_password=False)
        self.reader_url = "" if reader_url is None else reader_url.render_as_string(hide_password=False)

    @contextmanager
    def damaged_images(self, content: bytes) -> Iterator[None]:
        """For the time of the block every image is this."""
        engine = connect_engine(self._url)
        try:
            with writing(engine).begin() as connection:
                kept = connection.execute(sa.select(ImageRow.image_id, ImageRow.png)).all()
                connection.execute(sa.update(ImageRow).values(png=content))
            yield
            back = sa.update(ImageRow).where(ImageRow.image_id == sa.bindparam("this")).values(png=sa.bindparam("was"))
            with writing(engine).begin() as connection:
                connection.execute(back, [{"this": row.image_id, "was": row.png} for row in kept])
        finally:
            engine.dispose()

    @contextmanager
    def out_of_reach(self) -> Iterator[None]:
        """For the time of the block nobody reaches the store: the file is elsewhere, or the database takes nobody."""
        path = sqlite_path(self._url)
        if path is not None:
            aside = path.with_suffix(".aside")
            path.rename(aside)
            yield
            aside.rename(path)
            return
        name = str(self._url.database)
        shut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = {text}"
        _run(self._server, "ALTER DATABASE {name} ALLOW_CONNECTIONS false", shut, name=name)
        yield
        _run(self._server, "ALTER DATABASE {name} ALLOW_CONNECTIONS true", name=name)


@contextmanager
def throwaway_store(folder: Path, server: str | None, name: str) -> Iterator[ThrowawayStore]:
    """A new store: a file below a folder, or a database on a server of PostgreSQL with a role for its readers.

    Parameters
    ----------
    folder : Path
        Of the SQLite file, which goes with it.
    server : str, optional
        URL of any database of a server, as a role that may make databases and roles; what is made there is removed.
    name : str
        Of the database, and the beginning of the role's.

    Raises
    ------
    SettingsError
        If the URL is not one of PostgreSQL.
    StoreError
        If the server cannot be reached, or refuses to make a database or a role.
    """
    if server is None:
        url = URL.create("sqlite", database=str(folder / f"{name}.sqlite3"))
        create_store(url).dispose()
        yield ThrowawayStore(parsed_url(url))
        return
    if sqlite_path(server) is not None:
        fix = "use postgresql://PERSON:PASSWORD@HOST/NAME"
        raise SettingsError("not a URL of PostgreSQL", field="--postgresql", fix=fix)
    at = parsed_url(server)
    readers = f"{name}_readers"
    _run(at, "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'", name=name)
    try:
        url = at.set(database=name)
        reader_url = url.set(username=readers, password=secrets.token_urlsafe(24))
        create_store(url).dispose()
        make_reader_role(url, reader_url)
        try:
            _run(at, "GRANT {readers} TO CURRENT_USER", readers=readers)  # who ends the sessions of the readers' role
            yield ThrowawayStore(url, server=at, reader_url=reader_url)
        finally:
            _run(at, "DROP DATABASE {name} WITH (FORCE)", "DROP ROLE {readers}", name=name, readers=readers)
    except BaseException:
        _run(at, "DROP DATABASE IF EXISTS {name} WITH (FORCE)", name=name)
        raise


def _run(server: URL, *statements: str, **names: str) -> None:
    """Statements that belong to no transaction; ``{text}`` is the name of the database as a text."""
    parts: dict[str, sql.Composable] = {key: sql.Identifier(word) for key, word in names.items()}
    parts |= {"text": sql.Literal(names["name"])} if "name" in names else {}
    engine = connect_engine(server)
    try:
        apart = engine.execution_options(isolation_level="AUTOCOMMIT")
        with translated_failures(), apart.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(sql.SQL(statement).format(**parts).as_string(None).replace("%", "%%"))
    finally:
        engine.dispose()
