"""Protocols as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from commands.store import StudyOption, one_study, store
from commands.terminal import say, show_table
from core.errors import InputError
from core.protocol import Protocol

app = typer.Typer(help="Protocols as files: show, check, compare, Methods text.", no_args_is_help=True)


FileArgument = Annotated[str, typer.Argument(metavar="[FILE]", help="YAML file; or name a study with --study")]


def _protocol_of(name: str, study: str = "") -> Protocol:
    """The protocol of a file, or of a study in the store, which is named by ``--study`` or in the file's place."""
    from core.protocol_file import read_protocol_file

    if name and study:
        raise InputError("a file and --study are given", field="--study", value=study, fix="leave one of them out")
    name = name or study
    path = Path(name)
    if path.suffix.casefold() in (".yaml", ".yml") or path.is_file():
        return read_protocol_file(path)
    repository = store()
    return repository.study(one_study(repository, name)).protocol


@app.command("show")
def protocol_show(
    file: FileArgument = "",
    study: StudyOption = "",
    short: Annotated[bool, typer.Option("--short", help="leave out what has its default")] = False,
) -> None:
    """Print a protocol as the YAML file that 'study create --protocol' takes."""
    from core.protocol_file import write_protocol

    print(write_protocol(_protocol_of(file, study), has_defaults=not short), end="")


@app.command("check")
def protocol_check(file: Annotated[Path, typer.Argument(help="YAML file")]) -> None:
    """Check a protocol file; the first thing wrong is told with its line and what to write instead."""
    from core.protocol_file import read_protocol_file

    protocol = read_protocol_file(file)
    names = ", ".join(protocol.class_keys)
    say(f"{file} is a protocol: {protocol.title} ({protocol.design}; {names}).", markup=False)


@app.command("diff")
def protocol_diff_(
    before: Annotated[str, typer.Argument(metavar="FILE", help="YAML file, or key of a study")],
    after: Annotated[str, typer.Argument(metavar="[FILE]", help="another one; or name a study with --study")] = "",
    study: StudyOption = "",
) -> None:
    """In which fields two protocols differ; the exit status is 1 if they do."""
    from core.protocol_file import frozen_changes, protocol_diff

    one, two = _protocol_of(before), _protocol_of(after, study)
    found = protocol_diff(one, two)
    frozen = {each.field for each in frozen_changes(one, two)}
    rows: list[list[object]] = [
        [each.field, json.dumps(each.before, ensure_ascii=False), json.dumps(each.after, ensure_ascii=False),
         "frozen at opening" if each.field in frozen else "may change"]
        for each in found
    ]  # fmt: skip
    if not rows:
        say("The protocols are the same.")
        return
    show_table(f"{before} and {after or study or 'the study'}", ["field", "before", "after", ""], rows)
    raise typer.Exit(1)


@app.command("methods")
def protocol_methods(file: FileArgument = "", study: StudyOption = "") -> None:
    """What a paper's Methods say of a protocol, in sentences."""
    from core.protocol_text import methods_text

    say(methods_text(_protocol_of(file, study)), markup=False)
