"""Images outside of the database."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.store import store
from commands.terminal import progress_bar, say

app = typer.Typer(help="Images outside of the database, for stores above some ten gigabytes.", no_args_is_help=True)


@app.command("move")
def images_move(
    back: Annotated[bool, typer.Option("--back", help="into the database again")] = False,
) -> None:
    """Move the images of all studies out of the database to READING_ROOM_IMAGE_URL; readers may go on reading.

    A move that was stopped goes on when it is called again. Back the folder or bucket up as the store.
    """
    repository = store()
    with progress_bar() as report:
        moved = repository.move_images(is_back=back, progress=report)
    inside, outside = repository.count_images()
    say(f"{moved} images moved; {inside} lie in the database, {outside} outside of it.")
    if moved and not back:
        say("The file of a SQLite store keeps its size and fills its room again; a backup made now is small.")


@app.command("check")
def images_check() -> None:
    """Read every image that lies outside of the database; exit status 1 where one is missing or changed."""
    problems = store().check_images()
    for problem in problems:
        say(f"TOUCHED: {problem}", markup=False)
    if not problems:
        say("Every image that lies outside of the database is as it was.")
    raise typer.Exit(1 if problems else 0)
