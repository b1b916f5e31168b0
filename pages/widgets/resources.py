"""What is made once for the whole process and shared by the door, the screens and all their threads."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from core.settings import get_settings
from core.study import Person
from db import OPERATOR, Notary, Repository, open_store, store_url
from db.backup_schedule import BackupSchedule
from db.image_store import Images, images_at
from db.reader_role import open_reader_engine, reader_url_of
from db.watch import StoreWatch


@lru_cache(maxsize=1)
def store_engine() -> Any:
    """The one engine of this process; opaque here, for only the ``db`` room speaks SQL.

    Raises
    ------
    StoreError
        If there is no store, or it is damaged or of another version; the message names the command that mends it.
    """
    return open_store(store_url(get_settings()))


@lru_cache(maxsize=1)
def reader_engine() -> Any:
    """The connection of readers' deeds on PostgreSQL, opaque too; None where no role of their own is set.

    Raises
    ------
    SettingsError, StoreError
        If its role is not as it must be.
    """
    url = reader_url_of(get_settings())
    return open_reader_engine(store_engine(), url) if url else None


def repository(actor: Person | None, token: str | None = None) -> Repository:
    """Repository that acts for one person as long as the sign-in lives (None: nobody has signed in)."""
    return Repository(
        store_engine(),
        actor,
        token=token,
        notary=notary(),
        session_hours=get_settings().session_hours,
        reader_engine=reader_engine(),
        images=images(),
    )


@lru_cache(maxsize=1)
def store_watch() -> StoreWatch:
    """Who looks at the store while the server lives."""
    return StoreWatch(repository(OPERATOR), backups=BackupSchedule(get_settings()))


@lru_cache(maxsize=1)
def notary() -> Notary:
    """Who signs the audit trail."""
    return Notary(get_settings().data_folder)


@lru_cache(maxsize=1)
def images() -> Images:
    """Where the images are that are not in the database."""
    return images_at(get_settings().image_url)


@lru_cache(maxsize=1)
def signing_key() -> bytes:
    """Key that signs sign-in forms."""
    return get_settings().signing_key()
