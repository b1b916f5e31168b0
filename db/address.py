"""Where the store is: from what somebody wrote in ``READING_ROOM_DATABASE_URL`` to a URL, and to words in a message.

The text is read by this file's own strict grammar, not guessed at: a raw ``@`` or ``/`` in a password would otherwise
make a piece of the password the name of a host, which messages show. No message here repeats any part of the text.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote

from sqlalchemy.engine import URL

from core.errors import SettingsError
from core.settings import Settings

_FIELD = "READING_ROOM_DATABASE_URL"
_FORMS = "use sqlite:////absolute/path/file.sqlite3 or postgresql://person:password@host/name"
_ENCODE = (
    "in the person's name and the password write @ as %40, : as %3A, / as %2F, # as %23, % as %25, ? as %3F; "
    "an IPv6 host stands in brackets, a port is a number: postgresql://person:password@host:5432/name"
)
_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_POSTGRESQL = re.compile(
    r"(?:(?P<username>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:,@/?#]*))(?::(?P<port>[0-9]{0,9}))?"
    r"(?:/(?P<database>[^@/?#]*))?(?:\?(?P<query>[^@#]*))?"
)
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")


def store_url(settings: Settings) -> URL:
    """URL of the store that the settings name; without a setting, a SQLite file in the data folder.

    Raises
    ------
    SettingsError
        As :func:`parsed_url`.
    """
    if not settings.database_url.strip():
        return URL.create("sqlite+pysqlite", database=str(settings.data_folder / "reading_room.sqlite3"))
    return parsed_url(settings.database_url)


def parsed_url(url: str | URL) -> URL:
    """Check a database URL and choose its driver.

    Parameters
    ----------
    url : str or URL
        ``sqlite:////absolute/path`` or ``postgresql://person:password@host:port/name?option=value``, each part
        percent-encoded; ``postgres://`` and ``postgresql+psycopg://`` are the same.

    Raises
    ------
    SettingsError
        If it is not a URL of SQLite (in a file, by its absolute path) or PostgreSQL; nothing of it is shown.
    """
    scheme, separator, rest = (url.drivername, "://", "") if isinstance(url, URL) else url.strip().partition("://")
    if not separator:
        raise SettingsError("not a database URL", field=_FIELD, fix=_FORMS)
    driver = _DRIVERS.get(scheme.lower())
    if driver is None:
        raise SettingsError("the store is SQLite or PostgreSQL (psycopg)", field=_FIELD, fix=_FORMS)
    if isinstance(url, URL):
        return _sqlite_url(driver, url.database or "") if driver.startswith("sqlite") else url.set(drivername=driver)
    if driver.startswith("postgresql"):
        return _postgresql_url(driver, rest)
    if "?" in rest:
        raise SettingsError(
            "a SQLite store takes no options after '?'", field=_FIELD, fix="write a ? that belongs to the path as %3F"
        )
    return _sqlite_url(driver, unquote(rest[1:]) if rest.startswith("/") else "")


def _sqlite_url(driver: str, path: str) -> URL:
    """URL of a file."""
    if path in ("", ":memory:") or path.startswith("file:") or "\0" in path:
        raise SettingsError("a SQLite store is a file", field=_FIELD, fix=_FORMS)
    if not Path(path).is_absolute():
        absolute = Path(os.path.expanduser(path)).absolute()  # noqa: PTH111  # Path's own raises where there is no home
        raise SettingsError(
            "the path of a SQLite store must be absolute, or another working folder would mean another store",
            field=_FIELD,
            value=path,
            fix=f"use sqlite:///{quote(str(absolute))}",
        )
    return URL.create(driver, database=path)


def _postgresql_url(driver: str, rest: str) -> URL:
    """URL of a server from what follows ``postgresql://``."""
    found = _POSTGRESQL.fullmatch(rest)
    if found is None or _BAD_PERCENT.search(rest):
        raise SettingsError("not a URL of PostgreSQL that can be read without doubt", field=_FIELD, fix=_ENCODE)
    part = {name: unquote(text) for name, text in found.groupdict().items() if text}
    if "port" in part and not 0 < int(part["port"]) < 65536:
        raise SettingsError("the port is not a number from 1 to 65535", field=_FIELD, fix=_ENCODE)
    query = dict(parse_qsl(found["query"] or "", keep_blank_values=True))
    from psycopg.pq import Conninfo  # only where it is needed: it loads libpq

    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    if not set(query) <= known:
        raise SettingsError(
            "an option after '?' that PostgreSQL does not know",
            field=_FIELD,
            fix="use options such as ?sslmode=require",
        )
    return URL.create(
        driver,
        username=part.get("username"),
        password=part.get("password"),
        host=part.get("ipv6") or part.get("host"),
        port=int(part["port"]) if "port" in part else None,
        database=part.get("database"),
        query=query,
    )


def sqlite_path(url: str | URL) -> Path | None:
    """The file of a SQLite URL; None for PostgreSQL."""
    parsed = parsed_url(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def shown_address(url: str | URL) -> str:
    """Where the store is, for messages and logs: a path as people type it, or database and server; no password."""
    parsed = parsed_url(url)
    if parsed.get_backend_name() == "sqlite":
        return str(parsed.database)
    server = parsed.host or parsed.query.get("host") or parsed.query.get("hostaddr") or "the local server"
    port = f" port {parsed.port}" if parsed.port else ""
    return f"database '{parsed.database or parsed.username or ''}' on {server}{port}"
