"""Column types that mean the same on SQLite (STRICT tables know five types) and on PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from core.errors import InputError

#: 64-bit whole number that SQLite may still use as an alias of its rowid.
BigNumber: TypeEngine[int] = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class Real(TypeDecorator[float]):
    """64-bit float on both engines (REAL has 32 bits on PostgreSQL and 64 on SQLite), and one zero.

    SQLite forgets the sign of a zero: with it, a row of PostgreSQL could not be copied into a backup unchanged.
    """

    impl = sa.Double
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Give the type that the engine at hand stores."""
        return dialect.type_descriptor(sa.Double() if dialect.name == "postgresql" else sa.REAL())

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        """Store 0.0 for -0.0."""
        return None if value is None else value + 0.0


class PlainText(TypeDecorator[str]):
    """Text that both engines hold: PostgreSQL refuses NUL, neither takes half of a surrogate pair."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Refuse what SQLite would take and PostgreSQL would not."""
        if value is not None and storable(value) != value:
            raise InputError(
                "text with a character that no store holds (NUL, or half of a pair)",
                value=ascii(value),
                fix="remove it",
            )
        return value


def storable(text: str) -> str:
    """Text with every character that no store holds replaced by a question mark."""
    return text.replace("\x00", "?").encode("utf-8", "replace").decode("utf-8")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware instant: ``timestamptz`` on PostgreSQL, ISO 8601 text ending in +00:00 (sorts as time does) on SQLite."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Give the type that the engine at hand stores."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(sa.DateTime(timezone=True))
        return dialect.type_descriptor(sa.Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse a naive instant; store UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"instants in the store are aware; {value!r} has no time zone")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.isoformat(timespec="microseconds")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Give an aware UTC instant."""
        if value is None:
            return None
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return instant.astimezone(UTC)


class Flag(TypeDecorator[bool]):
    """Truth value: ``boolean`` on PostgreSQL, 0 or 1 on SQLite."""

    impl = sa.Boolean
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Give the type that the engine at hand stores."""
        return dialect.type_descriptor(sa.Boolean() if dialect.name == "postgresql" else sa.Integer())

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> Any:
        """Store 0 or 1 where there is no boolean."""
        if value is None or dialect.name == "postgresql":
            return value
        return int(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:
        """Give a bool."""
        return None if value is None else bool(value)


class Json(TypeDecorator[Any]):
    """Canonical JSON text on both engines, so that a hash over it never depends on the engine."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Write sorted keys; refuse NaN and infinity, which JSON does not know, and text that no store holds."""
        if value is None:
            return None
        text = canonical_json(value)
        if storable(text) != text:
            raise InputError("text with half of a pair of characters, which no store holds", fix="remove it")
        return text

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Read what was written."""
        return None if value is None else json.loads(value)


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no blanks, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
