"""Studies: created, set up, given people, moved from draft to unsealed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from commands.store import CohortOption, StudyOption, one_study, store, store_or_new
from commands.terminal import console, say, show_table
from core.errors import InputError
from core.protocol import THYROID_CLASSES, Protocol
from core.report.layout import Layout
from core.study import Role, Study, StudyState
from db import Repository

app = typer.Typer(help="Create studies, list them, move them from draft to unsealed.", no_args_is_help=True)


@app.command("create")
def study_create(
    key: str,
    title: Annotated[str, typer.Option(help="title on screen; the key if left out")] = "",
    classes: Annotated[str, typer.Option(help="names in order, separated by commas, or: thyroid")] = "thyroid",
    question: Annotated[str, typer.Option(help="what readers are asked")] = "",
    synthetic: Annotated[bool, typer.Option("--synthetic", help="phantoms or simulated readers take part")] = False,
    coordinator: Annotated[str, typer.Option(help="login of who runs it and sees it on the screens")] = "",
    protocol_file: Annotated[Path | None, typer.Option("--protocol", help="YAML file: docs/protocol.md")] = None,
) -> None:
    """Create an empty study in draft: from a protocol file, or with a title, classes and a question."""
    from core.report.file_options import named_classes

    if protocol_file is not None:
        from core.protocol_file import read_protocol_file

        if title or question or classes != "thyroid":
            problem = "a protocol file says title, classes and question itself"
            raise InputError(problem, field="--protocol", fix="leave out --title, --classes and --question")
        protocol = read_protocol_file(protocol_file)
    else:
        chosen = named_classes(classes) or THYROID_CLASSES
        asked = question or (Protocol.question if chosen == THYROID_CLASSES else "Which class does this image show?")
        protocol = Protocol(title=title or key, question=asked, classes=chosen)
    study = store_or_new().create_study(key, protocol, is_synthetic=synthetic, coordinator=coordinator or None)
    if not coordinator:
        say(f"Nobody sees it on the screens yet: python manage.py study add-coordinator LOGIN --study {key}")
    say(f"Study '{study.key}' is in {study.state}. Next: python manage.py import MANIFEST.csv --study {study.key}")


@app.command("read-elsewhere")
def study_read_elsewhere(
    key: str,
    file: Annotated[
        list[Path],
        typer.Argument(help="readings with the reference standard; or a file per reader, or their folder"),
    ],
    title: Annotated[str, typer.Option(help="title on screen; the files' names if left out")] = "",
    layout: Annotated[Layout | None, typer.Option(help="which columns the file has; told by them if left out")] = None,
    classes: Annotated[str, typer.Option(help="names in order, separated by commas, or: thyroid")] = "",
    positive: Annotated[str, typer.Option(help="which of two classes is diseased; the second if left out")] = "",
    missing: Annotated[list[str] | None, typer.Option(help="more missing codes: CODE or COLUMN=CODE")] = None,
    column: Annotated[list[str] | None, typer.Option(help="what the files call a column: OURS=THEIRS; repeat")] = None,
    margin: Annotated[float | None, typer.Option(help="pre-set margin for non-inferiority, for example 0.05")] = None,
    coordinator: Annotated[str, typer.Option(help="login of who sees it on the screens")] = "",
) -> None:
    """Keep readings that were made elsewhere as a study, marked for good as not blinded here; see 'analyse'."""
    from actions.store_readings import store_file_readings
    from core.report.file_options import FileOptions, named_classes

    options = FileOptions(named_classes(classes), positive or None, tuple(missing or ()), tuple(column or ()))
    repository = store_or_new()
    study = store_file_readings(
        repository, key, file, layout, options, title=title, margin=margin, coordinator=coordinator or None
    )
    source = repository.read_elsewhere(key)
    for note in source.notes:
        say(f"Note: {note}", markup=False)
    if not coordinator:
        say(f"Nobody sees it on the screens yet: python manage.py study add-coordinator LOGIN --study {key}")
    say(f"Study '{key}' is kept: {source.n_rows} rows, {study.standing}.")
    say(f"Next: python manage.py results --study {key}")


@app.command("add-coordinator")
def study_add_coordinator(login: str, study: StudyOption = "") -> None:
    """Let a person run a study: see it, move it, add readers. Nobody reads in a study that he or she coordinates."""
    _add_part(login, study, Role.COORDINATOR)


@app.command("add-statistician")
def study_add_statistician(login: str, study: StudyOption = "") -> None:
    """Let a person see the results of a study once it is unsealed, and nothing before."""
    _add_part(login, study, Role.STATISTICIAN)


@app.command("remove-coordinator")
def study_remove_coordinator(login: str, study: StudyOption = "") -> None:
    """End a coordinator's part in a study at once; one coordinator stays."""
    _end_part(login, study, Role.COORDINATOR)


@app.command("remove-statistician")
def study_remove_statistician(login: str, study: StudyOption = "") -> None:
    """End a statistician's part in a study at once."""
    _end_part(login, study, Role.STATISTICIAN)


@app.command("remove-reader")
def study_remove_reader(login: str, study: StudyOption = "") -> None:
    """Take a reader who has read nothing out of a study."""
    repository = store()
    repository.remove_reader(one_study(repository, study), login)
    say(f"{login} takes no part any more.")


@app.command("withdraw-reader")
def study_withdraw_reader(
    login: str, reason: Annotated[str, typer.Option(help="why; stands in the trail")], study: StudyOption = ""
) -> None:
    """End a reader's part for good; the readings stay, marked in exports."""
    repository = store()
    repository.withdraw_reader(one_study(repository, study), login, reason)
    say(f"{login} reads no more; what was read stays.")


def _add_part(login: str, study: str, role: Role) -> None:
    repository = store()
    key = one_study(repository, study)
    repository.add_to_study(key, login, role)
    say(f"{login} is {role} of study '{key}'.")


def _end_part(login: str, study: str, role: Role) -> None:
    repository = store()
    key = one_study(repository, study)
    repository.remove_from_study(key, login, role)
    say(f"{login} is no {role} of study '{key}' any more.")


@app.command("protocol")
def study_protocol(
    file: Annotated[Path, typer.Argument(help="YAML file: docs/protocol.md")], study: StudyOption = ""
) -> None:
    """Store a protocol file as the next version: of a draft all of it, of an opened study its texts only."""
    from core.protocol_file import protocol_diff, read_protocol_file

    repository = store()
    key = one_study(repository, study)
    before, after = repository.study(key), read_protocol_file(file)
    changed = repository.update_protocol(key, after, expected_version=before.protocol_version)
    fields = ", ".join(each.field for each in protocol_diff(before.protocol, after)) or "nothing"
    say(f"Protocol of '{key}', version {changed.protocol_version}: {fields} changed.")


@app.command("checklist")
def study_checklist(study: StudyOption = "") -> None:
    """What to look at before a study is opened: what is right, what needs a reason, what blocks."""
    from actions.open_study import opening_checklist

    repository = store()
    key = one_study(repository, study)
    rows: list[list[object]] = [[i.state, i.key, i.text, i.detail] for i in opening_checklist(repository, key)]
    show_table(f"Before '{key}' is opened", ["state", "key", "what", "more"], rows)


@app.command("seal-record")
def study_seal_record(
    study: StudyOption = "",
    output: Annotated[Path | None, typer.Option("--output", help="new file, .html or .txt")] = None,
    check: Annotated[Path | None, typer.Option("--check", help="deposited record to hold against the study")] = None,
) -> None:
    """One page with all that was committed to at the opening, to print and deposit; or the check of one."""
    from actions.seal_record import check_seal_record, seal_record_text, write_seal_record

    repository = store()
    record = repository.seal_record(one_study(repository, study))
    if check is not None:
        problems = check_seal_record(record, check)
        for problem in problems:
            say(f"TOUCHED: {problem}", markup=False)
        if problems:
            raise typer.Exit(1)
        say(f"The record of '{record.study_key}' and the study agree; all that was sealed is as it was.")
        return
    if output is None:
        console.print(seal_record_text(record), soft_wrap=True, highlight=False, markup=False, end="")
        return
    write_seal_record(record, output)
    say(f"Wrote {output}. Deposit it where nobody of the study can alter it.")


@app.command("deviation")
def study_deviation(
    login: str,
    kind: Annotated[str, typer.Argument(help="opens_on, closes_on or washout: which date is set aside")],
    reason: Annotated[str, typer.Option(help="why; stands in the trail")],
    study: StudyOption = "",
) -> None:
    """Let one reader read outside of the protocol's dates, for good."""
    repository = store()
    key = one_study(repository, study)
    repository.record_deviation(key, login, kind, reason)
    say(f"{login} reads in '{key}' without regard to {kind}; it stands in the trail.")


@app.command("altered-answers")
def study_altered_answers(
    file: Annotated[Path | None, typer.Argument(help="CSV: case, and class or p_<class> for every class")] = None,
    study: StudyOption = "",
    is_none: Annotated[bool, typer.Option("--none", help="take the list back")] = False,
) -> None:
    """Declare model answers that are wrong on purpose, shown to aided readers instead; replaces the list before it."""
    from actions.altered_answers import declare_altered_answers

    if (file is None) != is_none:
        raise InputError("one of a file and --none is needed", field="FILE", fix="name the CSV, or add --none")
    repository = store()
    key = one_study(repository, study)
    if file is None:
        repository.declare_altered_answers(key, {})
        say(f"No case of '{key}' will show a declared model answer.")
        return
    count = declare_altered_answers(repository, key, file)
    say(f"{count} cases of '{key}' will show a declared model answer. The list is sealed when the study is opened.")
    protocol = repository.study(key).protocol
    rows: list[list[object]] = [
        [each.case, protocol.label(each.class_key), protocol.shown_shares(each.probabilities)]
        for each in repository.declared_altered_answers(key)
    ]
    show_table(f"What readers will see as the answer of {protocol.model_shown.name}",
               ["case", "shown as", "probabilities"], rows)  # fmt: skip


@app.command("list")
def study_list() -> None:
    """List the studies and how many cases each has."""
    repository = store()
    rows: list[list[object]] = [
        [
            s.key,
            s.standing,
            None if s.is_read_elsewhere else sum(c.n_cases for c in repository.case_counts(s.key)),
            s.protocol.title,
        ]
        for s in repository.studies()
    ]
    show_table("Studies", ["key", "state", "cases", "title"], rows)


@app.command("add-reader")
def study_add_reader(
    login: str,
    study: StudyOption = "",
    cohort: CohortOption = None,
    group: Annotated[int | None, typer.Option(help="of a crossover: 1 begins unaided, 2 begins aided")] = None,
) -> None:
    """Give a reader a seeded order of their own over the cases of one or more cohorts."""
    repository = store()
    key = one_study(repository, study)
    member = repository.add_reader(key, login, cohorts=cohort, group=group)
    in_group = f", in group {member.group}" if member.group else ""
    say(f"{login} reads {member.n_presentations} cases of {', '.join(member.cohorts)} in '{key}'{in_group}.")


@app.command("declare-model")
def study_declare_model(
    model: Annotated[str, typer.Argument(help="name or SHA-256 prefix of a registered model")],
    study: StudyOption = "",
) -> None:
    """Write into a draft's protocol which model meets the readers, before anybody reads."""
    from actions.models import declare_model

    repository = store()
    version = repository.model(model)
    declared = declare_model(repository, one_study(repository, study), version.sha256)
    say(
        f"{version.name}, SHA-256 {version.sha256[:12]}, meets the readers of '{declared.key}' "
        f"(protocol version {declared.protocol_version})."
    )


@app.command("state")
def study_state(
    state: StudyState,
    study: StudyOption = "",
    reason: Annotated[str, typer.Option(help="stands in the trail; needed from locked back to closed")] = "",
    acknowledge: Annotated[
        list[str] | None,
        typer.Option(help="KEY=REASON for a warning of 'study checklist', or all=REASON; repeat for several"),
    ] = None,
    confirm: Annotated[str, typer.Option(help="the study's key, to open a draft; asked for in a terminal")] = "",
) -> None:
    """Move a study on: draft -> open -> closed -> locked -> unsealed. Opening and unsealing cannot be undone."""
    repository = store()
    key = one_study(repository, study)
    if state is StudyState.OPEN and repository.study(key).state is StudyState.DRAFT:
        moved = _opened(repository, key, acknowledge or [], confirm)
    else:
        moved = repository.set_state(key, state, reason=reason)
    say(f"Study '{moved.key}' is now {moved.state}. Receipt to deposit: {repository.audit_head().receipt}")
    if state is StudyState.OPEN and moved.protocol.model_sha256 is None:
        say("Note: no model was declared before reading; whatever a model scores on this study is exploratory.")


def _opened(repository: Repository, key: str, acknowledge: list[str], confirm: str) -> Study:
    """A draft opened through its checklist."""
    from actions.open_study import open_study, opening_checklist
    from db.records import CheckState

    warnings = [item.key for item in opening_checklist(repository, key) if item.state is CheckState.WARNING]
    reasons: dict[str, str] = {}
    for each in acknowledge:
        name, is_split, why = each.partition("=")
        if not is_split or not why.strip():
            problem = "no reason is given"
            raise InputError(problem, field="--acknowledge", value=each, fix=f"write {name}=REASON")
        if name != "all" and name not in warnings:
            fix = f"use all, or one of {', '.join(warnings) or 'none'}"
            raise InputError("no warning of this name", field="--acknowledge", value=name, fix=fix)
        reasons |= dict.fromkeys(warnings, why) if name == "all" else {name: why}
    if not confirm and sys.stdin.isatty():
        confirm = typer.prompt(f"Opening '{key}' is for good. Type its key")
    return open_study(repository, key, typed_key=confirm, acknowledged=reasons)


@app.command("progress")
def study_progress(study: StudyOption = "") -> None:
    """How far every reader is; never how well."""
    repository = store()
    key = one_study(repository, study)
    rows: list[list[object]] = [
        [p.person.display_name, p.cohort, p.arm, f"{p.n_done} / {p.n_total}", p.last_saved_at, p.median_reading_seconds]
        for p in repository.progress(key)
    ]
    show_table(f"Progress of '{key}'", ["reader", "cohort", "arm", "read", "last saved", "median seconds"], rows)
