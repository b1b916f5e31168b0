"""The audit trail, and the proof that nothing unblinds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from commands.store import StudyOption, store
from commands.terminal import progress_bar, say, show_table
from core.errors import InputError
from core.protocol import Design

app = typer.Typer(help="Show the audit trail, hold it against the store, print a receipt.", no_args_is_help=True)


@app.command("show")
def audit_show(study: StudyOption = "", limit: Annotated[int, typer.Option(help="newest events")] = 50) -> None:
    """Print the newest events of the audit trail, for one study or for all."""
    rows: list[list[object]] = [
        [
            e.sequence,
            e.at.isoformat(timespec="seconds"),
            e.actor,
            e.action,
            e.study_key,
            json.dumps(e.detail, default=str),
        ]
        for e in store().audit_trail(study or None, limit=limit)
    ]
    show_table("Audit trail", ["#", "at (UTC)", "actor", "action", "study", "detail"], rows)


@app.command("verify")
def audit_verify(
    receipt: Annotated[
        list[str] | None, typer.Option("--receipt", help="deposited receipt that the trail must still hold; repeat")
    ] = None,
) -> None:
    """Hold the audit trail and all that it sealed against the store; exit status 1 where anything was touched."""
    from db.migrate import schema_problem

    kept = store()
    check = kept.verify_audit(receipt or ())
    problems = [*check.problems, *kept.check_images()]  # also those that lie outside of the database
    if schema := schema_problem(kept.engine):
        problems.append(schema)
    if not problems:
        say(f"{check.n_events} events: the chain is intact, and the store is as it says.")
    for problem in problems:
        say(f"TOUCHED: {problem}", markup=False)
    for move in check.clock_moves:
        say(f"CLOCK: {move}", markup=False)
    say(f"Receipt: {check.head.receipt}")
    raise typer.Exit(1 if problems else 0)


@app.command("receipt")
def audit_receipt() -> None:
    """Print where the audit trail ends, to be deposited where nobody of this institution can change it."""
    say(store().audit_head().receipt)


def audit_blinding_(
    json_file: Annotated[Path | None, typer.Option("--json", help="write the report as JSON into this file")] = None,
    design: Annotated[Design, typer.Option(help="of two arms the unaided one is audited")] = Design.UNAIDED,
    postgresql: Annotated[
        str | None, typer.Option(help="URL of a server: the store and the readers' role are made there, and removed")
    ] = None,
) -> None:
    """Plant canaries in a throw-away study, read it in a real browser, search what came; exit status 1 for a hit."""
    from actions.audit_blinding import audit_blinding

    if json_file is not None and not json_file.parent.is_dir():  # told before the half minute, not after it
        raise InputError("there is no such folder", field="--json", value=str(json_file.parent), fix="make it first")
    with progress_bar() as report:
        done = audit_blinding(design=design, postgresql=postgresql, progress=report)
    say(done.to_text(), markup=False)
    if json_file is not None:
        json_file.write_text(json.dumps(done.to_dict(), indent=2) + "\n", encoding="utf-8")
    raise typer.Exit(0 if done.is_blind else 1)
