"""All rows of a store into an empty one, of the same engine or the other, with the seal of every table."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from core.errors import StoreDamagedError
from db.seals import Seal, seal
from db.tables import Base

_ROWS_AT_ONCE = 100  # images may be a megabyte each


def copy_rows(source: Connection, target: Connection) -> None:
    """Copy every table, then read the copy and hold each row of it against what was copied.

    Parameters
    ----------
    source : Connection
        In a transaction that sees one moment of the store.
    target : Connection
        In a writing transaction, on empty tables of the same schema version.

    Raises
    ------
    StoreDamagedError
        If the copy does not hold what was copied.
    """
    copied = {table.name: seal(list(table.c), _copied(source, target, table)) for table in Base.metadata.sorted_tables}
    if target.dialect.name == "postgresql":  # SQLite counts on from the highest number by itself
        for table in Base.metadata.sorted_tables:
            counter = table.autoincrement_column
            if counter is not None:
                query = "SELECT setval(pg_get_serial_sequence(:t, :c), (SELECT max({}) FROM {}))"
                target.execute(sa.text(query.format(counter.name, table.name)), {"t": table.name, "c": counter.name})
    wrong = [name for name, found in table_seals(target).items() if found != copied[name]]
    if wrong:
        raise StoreDamagedError(f"The copy does not hold what was copied ({', '.join(wrong)}). Nothing was kept.")


def table_seals(connection: Connection) -> dict[str, Seal]:
    """Seal of every table by name: two stores with equal seals hold the same rows."""
    return {table.name: seal(list(table.c), _rows(connection, table)) for table in Base.metadata.sorted_tables}


def _rows(connection: Connection, table: sa.Table) -> Iterator[Row]:
    """All rows of a table, a part at a time."""
    with connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(sa.select(table)) as rows:
        yield from rows


def _copied(source: Connection, target: Connection, table: sa.Table) -> Iterator[Row]:
    """All rows of a table, each part inserted before it is handed on."""
    with source.execution_options(yield_per=_ROWS_AT_ONCE).execute(sa.select(table)) as rows:
        for part in rows.partitions():
            target.execute(sa.insert(table), [dict(row._mapping) for row in part])
            yield from part
