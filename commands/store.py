"""The store that commands work on; made, migrated, copied, put back; the readers' role."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from commands.terminal import errors, say
from core.errors import NotFoundError, SettingsError, StoreError
from core.settings import get_settings
from db import OPERATOR, Notary, Repository, create_store, open_store, shown_address, store_exists, store_url

app = typer.Typer(help="PostgreSQL: the role of readers.", no_args_is_help=True)

StudyOption = Annotated[str, typer.Option("--study", "-s", help="key of the study; may be left out if there is one")]
CohortOption = Annotated[
    list[str] | None, typer.Option("--cohort", "-c", help="cohort; repeat for several, all if none")
]


def store() -> Repository:
    """The store as the person at the terminal sees it."""
    url = store_url(get_settings())
    if not store_exists(url):
        raise NotFoundError(
            f"There is no store at {shown_address(url)} yet. Fix: run 'python manage.py migrate' for an empty one, "
            "or 'make run' for the demo; if it lies elsewhere, correct READING_ROOM_DATA_DIR or "
            "READING_ROOM_DATABASE_URL."
        )
    return operator(open_store(url))


def operator(engine: Any) -> Repository:
    """Who acts at the terminal."""
    from db.image_store import images_at

    settings = get_settings()
    return Repository(engine, OPERATOR, notary=Notary(settings.data_folder), images=images_at(settings.image_url))


def store_or_new() -> Repository:
    """The store, created empty where there is none."""
    url = store_url(get_settings())
    get_settings().make_data_folder()
    if store_exists(url):
        return operator(open_store(url))
    engine = create_store(url)
    keep_reader_role()
    return operator(engine)


def one_study(repository: Repository, key: str) -> str:
    """The named study, or the only one there is."""
    keys = [study.key for study in repository.studies()]
    if key in keys or (not key and len(keys) == 1):
        return key or keys[0]
    if not keys:
        raise NotFoundError("There is no study yet. Fix: run 'python manage.py study create KEY'.")
    problem = f"There is no study '{key}'. Fix: use" if key else "There are several studies. Fix: add --study with"
    raise NotFoundError(f"{problem} one of {', '.join(keys)}.")


def backup(file: Annotated[Path, typer.Argument(help="new file for the backup")]) -> None:
    """Copy the store into a new file while reading goes on; the copy is opened and checked."""
    from db.backup import back_up

    done = back_up(store_url(get_settings()), file, notary=Notary(get_settings().data_folder))
    say(f"{done.path}: {done.head.n_events} events, SHA-256 {done.sha256}. Receipt: {done.head.receipt}")
    say("Keep audit.key of the data folder elsewhere: without it the signatures of the trail cannot be checked.")
    for problem in done.problems:
        say(f"TOUCHED (in the store as well): {problem}", markup=False)


def restore(
    file: Annotated[Path, typer.Argument(help="backup made by 'backup'")],
    replace: Annotated[bool, typer.Option("--replace", help="set the store that is there aside first")] = False,
) -> None:
    """Put a backup in the place of the store; stop the server first. What was there is renamed, never deleted."""
    from db.backup import restore

    done, aside = restore(
        file, store_url(get_settings()), notary=Notary(get_settings().data_folder), is_replacing=replace
    )
    keep_reader_role()
    say(f"Restored {file} to {shown_address(store_url(get_settings()))}. The trail ends at {done.head.receipt}.")
    if aside is not None:
        say(f"The store that was there lies at {aside}; readings saved after the backup are only in it.")
    say(
        "Everybody is signed out. People, passwords and invitations are those of the backup: who or what was let in no "
        "more since then has to be taken back again."
    )
    for problem in done.problems:
        say(f"TOUCHED: {problem}", markup=False)


def migrate() -> None:
    """Create the store, or bring it to this program's version."""
    from db.migrate import upgrade

    url = store_url(get_settings())
    if not store_exists(url):
        store_or_new()
        say(f"Created an empty store at {shown_address(url)}.")
        return
    before, after = upgrade(url)
    keep_reader_role()
    say(f"{shown_address(url)}: {'up to date at' if before == after else f'{before} ->'} {after}.")


def keep_reader_role() -> None:
    """PostgreSQL: make the readers' role, or give it its rights on the tables as they are now; say why not."""
    if store_url(get_settings()).get_backend_name() != "postgresql":
        return
    from db.reader_role import NO_READER_ROLE, ensure_reader_role  # it loads psycopg

    if why := ensure_reader_role(get_settings()):
        errors.print("[bold yellow]Warning[/]: readers' requests run as a role that may read the truth. ", end="")
        errors.print(f"{why} {NO_READER_ROLE}", markup=False, highlight=False, soft_wrap=True)


@app.command("reader-role")
def store_reader_role(
    is_printed: Annotated[bool, typer.Option("--print", help="print the SQL instead of running it")] = False,
) -> None:
    """PostgreSQL: make the role of readers, as READING_ROOM_READER_DATABASE_URL or by itself, with its rights."""
    from db.reader_role import ensure_reader_role, printed_statements

    if is_printed:
        for statement in printed_statements(store_url(get_settings()), get_settings().reader_database_url):
            say(f"{statement};", markup=False)
        return
    if store_url(get_settings()).get_backend_name() != "postgresql":
        raise SettingsError("a SQLite store has no roles", field="READING_ROOM_DATABASE_URL", fix="use PostgreSQL")
    if why := ensure_reader_role(get_settings(), may_take_over=True):
        raise StoreError(why)
    say("The readers' role has what readers need, and nothing else. Start the server again.")
