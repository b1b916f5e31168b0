"""The door for scripts: everything that a screen can do, and the same numbers. ``python manage.py --help``."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from core.errors import InputError, NotFoundError, ReadingRoomError
from core.protocol import THYROID_CLASSES, Protocol
from core.report.layout import Layout
from core.runtime import available_cores, configure_threads, keep_caches_in
from core.settings import PROJECT_FOLDER, get_settings
from core.study import Role, Study, StudyState
from db import OPERATOR, Notary, Repository, create_store, open_store, shown_address, store_exists, store_url

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    help="Reading Room: blinded reader studies of medical images against an AI model. Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
study_app = typer.Typer(help="Create studies, list them, move them from draft to unsealed.", no_args_is_help=True)
protocol_app = typer.Typer(help="Protocols as files: show, check, compare, Methods text.", no_args_is_help=True)
person_app = typer.Typer(help="People: create, list, new password, let in and out.", no_args_is_help=True)
model_app = typer.Typer(help="Register a trained model in the store, list the models.", no_args_is_help=True)
store_app = typer.Typer(help="PostgreSQL: the role of readers.", no_args_is_help=True)
audit_app = typer.Typer(help="Show the audit trail, hold it against the store, print a receipt.", no_args_is_help=True)
images_app = typer.Typer(
    no_args_is_help=True, help="Images outside of the database, for stores above some ten gigabytes."
)
app.add_typer(study_app, name="study")
app.add_typer(protocol_app, name="protocol")
app.add_typer(person_app, name="person")
app.add_typer(model_app, name="model")
app.add_typer(audit_app, name="audit")
app.add_typer(store_app, name="store")
app.add_typer(images_app, name="images")

#: Tables that go into a file or a pipe get room; a terminal has the width that it has.
console = Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS") or 200))
errors = Console(stderr=True)

StudyOption = Annotated[str, typer.Option("--study", "-s", help="key of the study; may be left out if there is one")]
CutoffOption = Annotated[
    list[float] | None, typer.Option(help="lowest rating that counts as positive, fixed beforehand; repeat for several")
]
MissingCasesOption = Annotated[
    str, typer.Option(help="several readers on the cases that all answered (common), or each on their own (per-curve)")
]
CohortOption = Annotated[
    list[str] | None, typer.Option("--cohort", "-c", help="cohort; repeat for several, all if none")
]
ModelOption = Annotated[str, typer.Option("--model", "-m", help="name or SHA-256 prefix; the newest if left out")]


class ImageFormat(StrEnum):
    """What phantoms are written as."""

    PNG = "png"
    JPEG = "jpeg"
    DICOM = "dicom"
    COUNTS = "counts"


def say(text: object, **options: Any) -> None:
    """A line for the person at the terminal; long lines are left to the terminal, so that commands can be copied."""
    console.print(text, soft_wrap=True, highlight=False, **options)


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int, str], None]]:
    """A bar per kind of work, fed by ``progress(done, total, what)``."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<22}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors) as bars:
        tasks: dict[str, Any] = {}

        def report(done: int, total: int, what: str) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield report


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
    engine = open_store(url) if store_exists(url) else create_store(url)
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


def show_table(title: str, columns: list[str], rows: list[list[object]]) -> None:
    """A table in the terminal."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    console.print(table)


#: Columns that the terminal leaves out; CSV and JSON have them all.
_NOT_IN_TERMINAL = (
    "kind", "participant", "first_kind", "second_kind", "first_participant", "second_participant",
    "confidence_level", "standard_error", "state", "statistic", "method", "notes", "covariance", "has_ratings",
)  # fmt: skip


def show_frame(title: str, frame: pd.DataFrame) -> None:
    """A table of the analysis with its interval in one column; all columns and digits are in CSV and JSON."""
    from core.number_text import shown_table

    shown = shown_table(frame)
    hidden = (*_NOT_IN_TERMINAL, *(("first", "second") if "first_name" in shown.columns else ()))
    kept = [name for name in shown.columns if name not in hidden and (shown[name] != "").any()]
    show_table(title, kept, shown[kept].to_numpy().tolist())
    for name in ("method", "notes"):
        for text in dict.fromkeys(shown[name]) if name in shown.columns else ():
            if text:
                console.print(f"  {name.removesuffix('s')}: {text}", style="dim", highlight=False, markup=False)


# --- the app and the demo ---------------------------------------------------------------------------------------------


@app.command()
def demo(
    workers: Annotated[int, typer.Option(min=1, help="processes that draw phantoms")] = 1,
    seed: Annotated[int, typer.Option(help="seed of phantoms and simulated readers")] = 2023,
) -> None:
    """Prepare the demo study once: phantoms, predictions, simulated readers, accounts. Does nothing where it stands."""
    from actions.prepare_demo import COORDINATOR_LOGIN, READER_LOGIN, demo_exists, prepare_demo

    repository = store_or_new()
    if demo_exists(repository) and repository.study("demo").state is StudyState.UNSEALED:
        say(
            f"The demo stands. Accounts: [bold]{COORDINATOR_LOGIN}[/] and [bold]{READER_LOGIN}[/]. "
            f"A new password: python manage.py person password {COORDINATOR_LOGIN}"
        )
        return
    say("Preparing the demo study from synthetic images (about a minute) ...")
    with progress_bar() as report:
        accounts = prepare_demo(repository, seed=seed, workers=workers, progress=report)
    say("\n[bold]Demo accounts[/] (random passwords, shown only now; research use only, synthetic data):")
    for account in accounts:
        say(f"  {account.role:<12} {account.login:<18} [bold]{account.password}[/]")


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="TCP port")] = 8501,
    address: Annotated[
        str, typer.Option(help="address to listen on; keep to loopback unless TLS is in front")
    ] = "127.0.0.1",
) -> None:
    """Open the app in this terminal; Ctrl+C stops it."""
    is_ipv6 = ":" in address
    with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise ReadingRoomError(
                f"Port {port} on {address} cannot be used ({error.strerror}). "
                "Fix: stop the other program or add --port 8502."
            ) from None
    from actions.first_account import first_invitation

    first = first_invitation(store())  # a missing or damaged store is told here, in words, before the server starts
    base, hosts = get_settings().base_path, get_settings().allowed_hosts
    shown = f"[{address}]" if is_ipv6 else address
    say(f"Reading Room: open [bold]http://{escape(shown)}:{port}{base}/[/] (Ctrl+C stops it). Research use only.")
    if first is not None:
        say("Nobody has an account yet. The first coordinator chooses a password here (one day, one time):")
        say(f"  http://{shown}:{port}{base}/invitation#{first.token}", markup=False)
    if address not in ("127.0.0.1", "localhost", *hosts):
        names = ", ".join(("localhost", "127.0.0.1", *hosts))
        say(f"It answers under the names {names} only; READING_ROOM_ALLOWED_HOSTS adds others.")
    os.chdir(PROJECT_FOLDER)
    command = [sys.executable, "-m", "streamlit", "run", "streamlit_app.py", "--server.port", str(port)]
    command += ["--server.address", address, "--server.headless", "true"]
    os.execv(sys.executable, command)  # noqa: S606  # the server takes this process's place, so that Ctrl+C reaches it


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="new file for the backup")]) -> None:
    """Copy the store into a new file while reading goes on; the copy is opened and checked."""
    from db.backup import back_up

    done = back_up(store_url(get_settings()), file, notary=Notary(get_settings().data_folder))
    say(f"{done.path}: {done.head.n_events} events, SHA-256 {done.sha256}. Receipt: {done.head.receipt}")
    say("Keep audit.key of the data folder elsewhere: without it the signatures of the trail cannot be checked.")
    for problem in done.problems:
        say(f"TOUCHED (in the store as well): {problem}", markup=False)


@app.command()
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
    for problem in done.problems:
        say(f"TOUCHED: {problem}", markup=False)


@app.command()
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
    """Give the readers' role, where one is set, its rights on the tables as they are now."""
    from db.reader_role import make_reader_role

    if get_settings().reader_database_url:
        make_reader_role(store_url(get_settings()), get_settings().reader_database_url)


@store_app.command("reader-role")
def store_reader_role(
    is_printed: Annotated[bool, typer.Option("--print", help="print the SQL instead of running it")] = False,
) -> None:
    """PostgreSQL: make the role that READING_ROOM_READER_DATABASE_URL names, and give it what readers need."""
    from db.reader_role import make_reader_role, printed_statements

    url, reader_url = store_url(get_settings()), get_settings().reader_database_url
    if is_printed:
        for statement in printed_statements(url, reader_url):
            say(f"{statement};", markup=False)
        return
    make_reader_role(url, reader_url)
    say("The readers' role has what readers need, and nothing else. Start the server again.")


# --- people -----------------------------------------------------------------------------------------------------------


@person_app.command("add")
def person_add(
    login: str,
    role: Annotated[Role, typer.Option(help="what the account is for")] = Role.READER,
    name: Annotated[str, typer.Option(help="name on dashboards and in exports; the login if left out")] = "",
    years: Annotated[float | None, typer.Option(help="years of experience")] = None,
    specialty: Annotated[str, typer.Option(help="such as nuclear medicine")] = "",
    site: Annotated[str, typer.Option(help="where the person works")] = "",
    has_used_model: Annotated[
        bool | None, typer.Option("--has-used-model/--never-used-model", help="has used such a model before")
    ] = None,
    email: Annotated[str, typer.Option(help="address under which an identity provider knows the person")] = "",
) -> None:
    """Create an account and print a random password once; parts in studies are given with 'study add-...'."""
    from actions.draw_password import new_password

    password = new_password()
    store_or_new().create_person(
        login,
        name or login,
        role,
        password=password,
        years_of_experience=years,
        specialty=specialty or None,
        site=site or None,
        has_used_model=has_used_model,
        email=email or None,
    )
    say(f"{role} {login}: password [bold]{password}[/] (shown only now)")


@person_app.command("password")
def person_password(login: str) -> None:
    """Give somebody a new random password, print it once, and end that person's sessions."""
    from actions.draw_password import new_password

    password = new_password()
    store().set_password(login, password)
    say(f"{login}: new password [bold]{password}[/] (shown only now)")


@person_app.command("invite")
def person_invite(
    note: Annotated[str, typer.Argument(help="for whom, such as: 'Dr Ben, Ulm'")],
    role: Annotated[Role, typer.Option(help="part in the study, or what the account is for")] = Role.READER,
    study: Annotated[str, typer.Option("--study", "-s", help="key of the study; none: an account only")] = "",
    cohort: CohortOption = None,
    days: Annotated[float, typer.Option(help="how long the invitation holds")] = 14,
) -> None:
    """Print a link with which one person makes an account, once, with a password that nobody else ever knew."""
    made = store_or_new().invite(role, note, study_key=study or None, cohorts=cohort, days=days)
    say(f"Invitation {made.invitation_id[:8]}, until {made.expires_at:%Y-%m-%d %H:%M} UTC. The link (shown only now):")
    say(f"  ADDRESS OF THE SERVER{get_settings().base_path}/invitation#{made.token}", markup=False)


@person_app.command("invitations")
def person_invitations() -> None:
    """List the invitations: open, used, taken back."""
    rows: list[list[object]] = [
        [i.invitation_id[:8], i.note, i.role, i.study_key, f"{i.expires_at:%Y-%m-%d %H:%M}",
         f"used by {i.used_by}" if i.used_at else "taken back" if i.revoked_at else "open"]
        for i in store().invitations()
    ]  # fmt: skip
    show_table("Invitations", ["invitation", "for", "role", "study", "until, UTC", ""], rows)


@person_app.command("revoke")
def person_revoke(invitation: Annotated[str, typer.Argument(help="first digits, as listed")]) -> None:
    """Take back an invitation that was not used."""
    repository = store()
    found = [i.invitation_id for i in repository.invitations() if i.invitation_id.startswith(invitation)]
    if len(found) != 1:
        raise NotFoundError(f"There is no single invitation '{invitation}'. Fix: see 'person invitations'.")
    repository.revoke_invitation(found[0])
    say(f"Invitation {invitation} was taken back.")


@person_app.command("deactivate")
def person_deactivate(login: str) -> None:
    """Let somebody in no more: sign-ins end at once, readings stay."""
    store().set_active(login, False)
    say(f"{login} is let in no more. 'person activate {login}' lets in again.")


@person_app.command("activate")
def person_activate(login: str) -> None:
    """Let somebody in again."""
    store().set_active(login, True)
    say(f"{login} is let in again.")


@person_app.command("email")
def person_email(login: str, email: Annotated[str, typer.Argument(help="address, or - for none")]) -> None:
    """Set the address under which an identity provider knows somebody; it stands beside later readings."""
    store().set_email(login, None if email == "-" else email)
    say(f"{login}: {'no address' if email == '-' else email}.")


@person_app.command("list")
def person_list() -> None:
    """List everybody who can take part."""
    rows: list[list[object]] = [
        [
            p.login,
            p.display_name,
            ", ".join(sorted(p.roles)),
            "simulated" if p.is_simulated else "",
            "yes" if p.is_active else "no",
        ]
        for p in store().people()
    ]
    show_table("People", ["login", "name", "roles", "", "active"], rows)


# --- studies ----------------------------------------------------------------------------------------------------------


@study_app.command("create")
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


@study_app.command("add-coordinator")
def study_add_coordinator(login: str, study: StudyOption = "") -> None:
    """Let a person run a study: see it, move it, add readers. Nobody reads in a study that he or she coordinates."""
    _add_part(login, study, Role.COORDINATOR)


@study_app.command("add-statistician")
def study_add_statistician(login: str, study: StudyOption = "") -> None:
    """Let a person see the results of a study once it is unsealed, and nothing before."""
    _add_part(login, study, Role.STATISTICIAN)


@study_app.command("remove-coordinator")
def study_remove_coordinator(login: str, study: StudyOption = "") -> None:
    """End a coordinator's part in a study at once; one coordinator stays."""
    _end_part(login, study, Role.COORDINATOR)


@study_app.command("remove-statistician")
def study_remove_statistician(login: str, study: StudyOption = "") -> None:
    """End a statistician's part in a study at once."""
    _end_part(login, study, Role.STATISTICIAN)


@study_app.command("remove-reader")
def study_remove_reader(login: str, study: StudyOption = "") -> None:
    """Take a reader who has read nothing out of a study."""
    repository = store()
    repository.remove_reader(one_study(repository, study), login)
    say(f"{login} takes no part any more.")


@study_app.command("withdraw-reader")
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


@study_app.command("protocol")
def study_protocol(
    file: Annotated[Path, typer.Argument(help="YAML file: docs/protocol.md")], study: StudyOption = ""
) -> None:
    """Store a protocol file as the next version: of a draft all of it, of an opened study its texts only."""
    from core.protocol_file import protocol_diff, read_protocol_file

    repository = store()
    key = one_study(repository, study)
    before, after = repository.study(key).protocol, read_protocol_file(file)
    changed = repository.update_protocol(key, after)
    fields = ", ".join(each.field for each in protocol_diff(before, after)) or "nothing"
    say(f"Protocol of '{key}', version {changed.protocol_version}: {fields} changed.")


@study_app.command("checklist")
def study_checklist(study: StudyOption = "") -> None:
    """What to look at before a study is opened: what is right, what needs a reason, what blocks."""
    from actions.open_study import opening_checklist

    repository = store()
    key = one_study(repository, study)
    rows: list[list[object]] = [[i.state, i.key, i.text, i.detail] for i in opening_checklist(repository, key)]
    show_table(f"Before '{key}' is opened", ["state", "key", "what", "more"], rows)


@study_app.command("seal-record")
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


@study_app.command("deviation")
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


@study_app.command("altered-answers")
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


@study_app.command("list")
def study_list() -> None:
    """List the studies and how many cases each has."""
    repository = store()
    rows: list[list[object]] = [
        [s.key, s.state, sum(c.n_cases for c in repository.case_counts(s.key)), s.protocol.title]
        for s in repository.studies()
    ]
    show_table("Studies", ["key", "state", "cases", "title"], rows)


@study_app.command("add-reader")
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


@study_app.command("declare-model")
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


@study_app.command("state")
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


@study_app.command("progress")
def study_progress(study: StudyOption = "") -> None:
    """How far every reader is; never how well."""
    repository = store()
    key = one_study(repository, study)
    rows: list[list[object]] = [
        [p.person.display_name, p.cohort, p.arm, f"{p.n_done} / {p.n_total}", p.last_saved_at, p.median_reading_seconds]
        for p in repository.progress(key)
    ]
    show_table(f"Progress of '{key}'", ["reader", "cohort", "arm", "read", "last saved", "median seconds"], rows)


# --- protocols --------------------------------------------------------------------------------------------------------


def _protocol_of(name: str) -> Protocol:
    """The protocol of a file, or of a study in the store."""
    from core.protocol_file import read_protocol_file

    path = Path(name)
    if path.suffix.casefold() in (".yaml", ".yml") or path.is_file():
        return read_protocol_file(path)
    repository = store()
    return repository.study(one_study(repository, name)).protocol


@protocol_app.command("show")
def protocol_show(
    name: Annotated[str, typer.Argument(help="key of a study, or a YAML file")],
    short: Annotated[bool, typer.Option("--short", help="leave out what has its default")] = False,
) -> None:
    """Print a protocol as the YAML file that 'study create --protocol' takes."""
    from core.protocol_file import write_protocol

    print(write_protocol(_protocol_of(name), has_defaults=not short), end="")


@protocol_app.command("check")
def protocol_check(file: Annotated[Path, typer.Argument(help="YAML file")]) -> None:
    """Check a protocol file; the first thing wrong is told with its line and what to write instead."""
    from core.protocol_file import read_protocol_file

    protocol = read_protocol_file(file)
    names = ", ".join(protocol.class_keys)
    say(f"{file} is a protocol: {protocol.title} ({protocol.design}; {names}).", markup=False)


@protocol_app.command("diff")
def protocol_diff_(
    before: Annotated[str, typer.Argument(help="key of a study, or a YAML file")],
    after: Annotated[str, typer.Argument(help="key of a study, or a YAML file")],
) -> None:
    """In which fields two protocols differ; the exit status is 1 if they do."""
    from core.protocol_file import frozen_changes, protocol_diff

    one, two = _protocol_of(before), _protocol_of(after)
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
    show_table(f"{before} and {after}", ["field", "before", "after", ""], rows)
    raise typer.Exit(1)


@protocol_app.command("methods")
def protocol_methods(name: Annotated[str, typer.Argument(help="key of a study, or a YAML file")]) -> None:
    """What a paper's Methods say of a protocol, in sentences."""
    from core.protocol_text import methods_text

    say(methods_text(_protocol_of(name)), markup=False)


# --- cases ------------------------------------------------------------------------------------------------------------


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="a manifest .csv, or a folder with one sub-folder a class")],
    study: StudyOption = "",
    check: Annotated[bool, typer.Option("--check", help="check everything, write nothing")] = False,
    shared_images: Annotated[
        str, typer.Option(help="why images of a study that is not unsealed come into this one too; audited in both")
    ] = "",
) -> None:
    """Import cases, all or nothing; every problem is listed with its row and column."""
    from actions.import_cases import import_cases

    repository = store()
    key = one_study(repository, study)
    with progress_bar() as report:
        done = import_cases(
            repository, key, source, is_check_only=check, shared_images=shared_images or None, progress=report
        )
    summary = done.summary
    cohorts = ", ".join(f"{name} {n}" for name, n in summary.cases_per_cohort.items())
    say(
        f"{'Checked, nothing written' if check else 'Imported'}: {summary.n_cases} cases of {summary.n_patients} "
        f"patients ({cohorts}), {summary.n_excluded} of them excluded with a reason."
    )
    if summary.views:
        say(f"Each case has the views {', '.join(summary.views)}.", markup=False)
    for warning in done.warnings:
        say(f"Warning: {warning}", markup=False, style="bold yellow")
    for note in summary.image_notes:
        say(f"Note: {note}", markup=False)


@app.command()
def phantoms(
    folder: Annotated[Path, typer.Argument(help="new folder for images, masks and manifest.csv")],
    paper: Annotated[
        bool, typer.Option("--paper", help="the exact cohorts of the paper's Table 1 (3,194 cases)")
    ] = False,
    per_class: Annotated[int, typer.Option(help="cases per class and cohort without --paper")] = 10,
    image_format: Annotated[ImageFormat, typer.Option("--format", help="file format")] = ImageFormat.PNG,
    name: Annotated[str, typer.Option(help="name of the set: part of every seed")] = "phantoms",
    workers: Annotated[int, typer.Option(help="processes; 0 means all cores")] = 0,
) -> None:
    """Draw synthetic thyroid scintigrams with known truth and a manifest that 'import' takes."""
    from core.phantom import paper_cohorts, small_cohorts, write_cohorts

    sizes = {"training": per_class, "internal": per_class, "external": per_class}
    plans = paper_cohorts(study=name) if paper else small_cohorts(sizes, study=name)
    with progress_bar() as report:
        manifest = write_cohorts(
            plans, folder, image_format=image_format.value, workers=workers or available_cores(), progress=report
        )
    say(f"Wrote {manifest}. Next: python manage.py import {manifest}")


# --- model ------------------------------------------------------------------------------------------------------------


@model_app.command("register")
def model_register(
    checkpoints: Annotated[
        list[Path],
        typer.Argument(help=".safetensors file made by 'python -m training'; several make one ensemble"),
    ],
    name: Annotated[str, typer.Option(help="name on screen; the file's if left out, an ensemble needs one")] = "",
    augment: Annotated[
        bool,
        typer.Option("--augment", help="predict with test-time augmentation: a model with a hash of its own"),
    ] = False,
) -> None:
    """Verify checkpoints, copy them under their hash, enter them in the store; predictions keep this hash for good."""
    from actions.models import register_ensemble, register_model

    if len(checkpoints) == 1:
        version = register_model(store(), checkpoints[0], name=name or None, is_augmented=augment)
    elif name:
        version = register_ensemble(store(), checkpoints, name=name, is_augmented=augment)
    else:
        raise InputError("an ensemble needs a name", field="--name", fix="add --name, for example --name five-folds")
    say(f"Registered {version.name} ({version.architecture}), SHA-256 {version.sha256}.")


@model_app.command("import")
def model_import(
    file: Annotated[Path, typer.Argument(help="an ONNX graph, or a CSV: case, p_<class> for every class")],
    name: Annotated[str, typer.Option(help="name on screen")],
    note: Annotated[str, typer.Option(help="where the model comes from; stands on its card")] = "",
    study: StudyOption = "",
    classes: Annotated[str, typer.Option(help="ONNX: classes in the order of its answers, a,b,c or: thyroid")] = "",
    pixels: Annotated[str, typer.Option(help="ONNX: scale of its input: 0-1, 0-255 or imagenet")] = "",
    answers: Annotated[str, typer.Option(help="ONNX: what it answers: logits or probabilities")] = "",
    size: Annotated[int | None, typer.Option(help="ONNX: side of its input, if the graph leaves it open")] = None,
) -> None:
    """Take in a model that was not trained here; nothing of its maker's code is run."""
    from actions.import_model import declare, import_graph, import_predictions

    if file.suffix.casefold() == ".csv":
        repository = store()
        key = one_study(repository, study)
        version, added = import_predictions(repository, key, file, name=name, note=note)
        say(f"Imported {added} predictions of {version.name} for '{key}', SHA-256 {version.sha256}.")
        return
    version = import_graph(store(), file, declare(classes, pixels, answers, size), name=name, note=note)
    say(f"Imported {version.name} ({version.architecture}), SHA-256 {version.sha256}.")


@model_app.command("list")
def model_list() -> None:
    """List the registered models."""
    rows: list[list[object]] = [
        [m.name, m.architecture, m.sha256[:12], m.registered_at.isoformat(timespec="seconds")] for m in store().models()
    ]
    show_table("Models", ["name", "architecture", "SHA-256", "registered"], rows)


@app.command()
def predict(
    study: StudyOption = "",
    cohort: CohortOption = None,
    model: ModelOption = "",
    batch_size: Annotated[int, typer.Option(min=1, help="images at once; halved by itself when memory runs out")] = 16,
    shard: Annotated[str, typer.Option(help="2/4: the second of four jobs that share the cases")] = "",
) -> None:
    """Predict every case that the model has not predicted yet; CUDA where there is a GPU, else CPU.

    Stored as it goes: a job that was stopped goes on when it is called again, and several may run at once.
    """
    from actions.models import Shard, load_classifier, predict_cohort

    part = Shard.of_text(shard) if shard else None

    repository = store()
    key = one_study(repository, study)
    models = [each for each in repository.models() if each.can_predict]
    if not model and not models:
        raise NotFoundError("No model is registered. Fix: python manage.py model register FILE.safetensors")
    classifier = load_classifier(repository.model(model) if model else max(models, key=lambda m: m.registered_at))
    added = 0
    with progress_bar() as report:
        cohorts: list[str | None] = [*cohort] if cohort else [None]
        for name in cohorts:
            added += predict_cohort(
                repository, classifier, key, name, batch_size=batch_size, shard=part, progress=report
            )
    say(f"{added} predictions added by model {classifier.sha256[:12]} on {classifier.device}.")


@app.command("simulate-readers")
def simulate(study: StudyOption = "", cohort: CohortOption = None, seed: int = 1) -> None:
    """Let two simulated readers, drawn from the paper's junior and senior physician, read an open synthetic study."""
    from actions.simulate_readers import simulate_readers

    repository = store()
    with progress_bar() as report:
        stored = simulate_readers(
            repository, one_study(repository, study), cohort or ["internal", "external"], seed=seed, progress=report
        )
    say(f"{stored} simulated readings stored.")


# --- results ----------------------------------------------------------------------------------------------------------


@app.command()
def results(
    study: StudyOption = "",
    cohort: CohortOption = None,
    table: Annotated[list[str] | None, typer.Option("--table", "-t", help="table; repeat for several")] = None,
    margin: Annotated[float | None, typer.Option(help="pre-set margin for non-inferiority, for example 0.05")] = None,
    missing_cases: MissingCasesOption = "common",
    cutoff: CutoffOption = None,
    positive: Annotated[str, typer.Option(help="which of two classes is diseased; the second if left out")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object with all digits")] = False,
) -> None:
    """Print the analysis of an unsealed study: the numbers of the screens and of the CSV export."""
    from actions.analyse_study import analyse_study

    repository = store()
    key = one_study(repository, study)
    analysis = analyse_study(
        repository, key, cohort, margin=margin, missing=missing_cases, cutoffs=cutoff, positive=positive or None
    )
    if as_json:
        typer.echo(json.dumps(analysis.to_dict(), indent=2))
        return
    for each in analysis.cohorts:
        say(f"{each.cohort}: {' '.join(each.answer)}", markup=False)
    tables = analysis.to_tables()
    for name in table or ["cases", "missing", "summary", "auc", "mcnemar"]:
        if name not in tables:
            raise NotFoundError(f"There is no table '{name}'. Fix: use one of {', '.join(tables)}.")
        show_frame(name, tables[name])
    said = repository.model_declarations(key)
    for sha256, model in {each.model_sha256: each.model_name for each in repository.prediction_counts(key)}.items():
        say(f"{model} ({sha256[:12]}): {said[sha256]}", markup=False)


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="new file that ends in .zip: everything; or new folder: CSV files")],
    study: StudyOption = "",
    layout: Annotated[
        list[Layout] | None, typer.Option(help="into a folder: files for other programs as well; repeat")
    ] = None,
) -> None:
    """Write a study as one zip file (data, tables, figures, report, proof), or its CSV files into a folder."""
    from actions.bundle import export_bundle
    from actions.export_study import export_study

    repository = store()
    key = one_study(repository, study)
    if target.suffix.casefold() == ".zip":
        with progress_bar() as report:
            export_bundle(repository, key, target, progress=lambda done, total, what: report(done, total, "export"))
        say(f"{target}: docs/export.md lists its files. Check it: python manage.py verify-bundle {target}")
        return
    for path in export_study(repository, key, target, layout or ()):
        say(path)
    say(f"The same numbers again, without the database: python manage.py analyse {target / 'analysis.csv'}")


@app.command()
def report(
    study: Annotated[str, typer.Argument(help="key of the study; may be left out if there is one")] = "",
    pdf: Annotated[Path | None, typer.Option(help="new PDF file")] = None,
    html: Annotated[Path | None, typer.Option(help="new HTML file")] = None,
) -> None:
    """Write the report of an unsealed study: protocol, flow, results, deviations, models, versions, checklists."""
    from actions.write_report import report_study

    repository = store()
    paths = [path for path in (pdf, html) if path is not None]
    if not paths:
        raise InputError("no file is named", field="--pdf", fix="add --pdf report.pdf, --html report.html or both")
    report_study(repository, one_study(repository, study), paths)
    for path in paths:
        say(path)


@app.command("verify-bundle")
def verify_bundle(file: Annotated[Path, typer.Argument(help="zip file that 'export' made")]) -> None:
    """Check a bundle's hashes and make every table again from its readings; exit status 1 where one differs."""
    from core.report.bundle import check_bundle, read_bundle

    check = check_bundle(read_bundle(file))
    for problem in check.problems:
        say(f"DIFFERS: {problem}", markup=False)
    if check.is_good:
        say(f"{check.n_files} files are as they were made; {check.n_tables} tables follow from the readings.")
    raise typer.Exit(0 if check.is_good else 1)


@app.command()
def analyse(
    file: Annotated[
        list[Path],
        typer.Argument(help="readings with the reference standard; or a file per reader, or their folder"),
    ],
    layout: Annotated[Layout | None, typer.Option(help="which columns the file has; told by them if left out")] = None,
    classes: Annotated[str, typer.Option(help="names in order, separated by commas, or: thyroid")] = "",
    positive: Annotated[str, typer.Option(help="which of two classes is diseased; the second if left out")] = "",
    missing: Annotated[list[str] | None, typer.Option(help="more missing codes: CODE or COLUMN=CODE")] = None,
    column: Annotated[list[str] | None, typer.Option(help="what the files call a column: OURS=THEIRS; repeat")] = None,
    confidence_level: Annotated[float, typer.Option(help="of every interval")] = 0.95,
    margin: Annotated[float | None, typer.Option(help="pre-set margin for non-inferiority, for example 0.05")] = None,
    missing_cases: MissingCasesOption = "common",
    cutoff: CutoffOption = None,
    table: Annotated[list[str] | None, typer.Option("--table", "-t", help="print this table whole; repeat")] = None,
    report: Annotated[
        list[Path] | None, typer.Option(help="write a report into this new .pdf or .html file; repeat for both")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object with all digits")] = False,
) -> None:
    """Analyse files of readings without a database: ours, MRMCaov's, iMRMC's, RJafroc's (docs/files.md)."""
    from core.report.file_analysis import analyse_file
    from core.report.file_options import FileOptions, named_classes

    options = FileOptions(named_classes(classes), positive or None, tuple(missing or ()), tuple(column or ()))
    result = analyse_file(
        file, layout, options, confidence_level=confidence_level, margin=margin, missing=missing_cases, cutoffs=cutoff
    )
    if report:
        from actions.write_report import file_record, write_reports

        write_reports(file_record(result), report)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
    else:
        result.render(console, table or ())


@app.command()
def plan(
    difference: Annotated[float, typer.Option(help="true difference: first arm minus second, or model minus panel")],
    compare: Annotated[str, typer.Option(help="arms: two arms of a panel; panel: a model with a panel")] = "arms",
    readers: Annotated[list[int] | None, typer.Option(help="number of readers; repeat (4, 6, 8, 12)")] = None,
    cases: Annotated[list[int] | None, typer.Option(help="number of cases; repeat (50, 100, 200, 400)")] = None,
    margin: Annotated[float | None, typer.Option(help="plan for non-inferiority with this margin")] = None,
    power: Annotated[float, typer.Option(help="wanted power")] = 0.8,
    scope: Annotated[str, typer.Option(help="RRRC, FRRC or RRFC")] = "RRRC",
    significance: Annotated[float, typer.Option(help="two-sided; non-inferiority takes half of it, one-sided")] = 0.05,
    pilot: Annotated[Path | None, typer.Option(help="file of readings as for analyse")] = None,
    classes: Annotated[str, typer.Option(help="of the pilot, as for analyse")] = "",
    positive: Annotated[str, typer.Option(help="of the pilot, as for analyse")] = "",
    figure: Annotated[str, typer.Option(help="of the pilot: auc, accuracy, sensitivity, specificity")] = "auc",
    class_: Annotated[str, typer.Option("--class", help="class of the pilot; the average if left out")] = "",
    cohort: Annotated[str, typer.Option(help="cohort of the pilot, if it has several")] = "",
    first: Annotated[str, typer.Option(help="model or first arm of the pilot, if it has several")] = "",
    second: Annotated[str, typer.Option(help="arm of the panel, or second arm of the pilot")] = "",
    component: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; all of them, in place of a pilot")] = None,
    component_cases: Annotated[int, typer.Option(help="cases that the components belong to")] = 100,
    auc: Annotated[float | None, typer.Option(help="expected AUC, in place of a pilot")] = None,
    positive_share: Annotated[float, typer.Option(help="share of positive cases, with --auc")] = 0.5,
    reader_sd: Annotated[float, typer.Option(help="standard deviation between readers' AUCs, with --auc")] = 0.03,
    r1: Annotated[float | None, typer.Option(help="correlation of errors: same reader, other arm")] = None,
    r2: Annotated[float | None, typer.Option(help="other reader, same arm")] = None,
    r3: Annotated[float | None, typer.Option(help="other reader, other arm")] = None,
    r_model: Annotated[float | None, typer.Option(help="correlation of errors of model and reader")] = None,
    r_readers: Annotated[float | None, typer.Option(help="correlation of errors of two readers")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object with all digits")] = False,
) -> None:
    """Size a study: power by readers and cases, also for a model against a panel and for non-inferiority."""
    from actions.plan_study import Compared, pilot_components, plan_study, published_components, typed_components
    from core.report.file_options import FileOptions, named_classes

    if compare not in [each.value for each in Compared]:
        raise InputError("is not a comparison", field="--compare", value=compare, fix="use arms or panel")
    if (pilot is not None) + bool(component) + (auc is not None) != 1:
        raise InputError(
            "Variances are needed from one source", fix="give --pilot FILE, or every --component NAME=VALUE, or --auc"
        )
    compared = Compared(compare)
    notes: tuple[str, ...] = ()
    if pilot is not None:
        options = FileOptions(named_classes(classes), positive or None)
        components, notes = pilot_components(
            compared, pilot, options, figure=figure, class_key=class_, cohort=cohort, first=first, second=second
        )
    elif component:
        components = typed_components(compared, component, component_cases)
    elif auc is not None:
        correlations = {"r1": r1, "r2": r2, "r3": r3, "r_model": r_model, "r_readers": r_readers}
        components = published_components(
            compared, auc=auc, positive_share=positive_share, reader_sd=reader_sd, correlations=correlations
        )
    tried_readers, tried_cases = readers or [4, 6, 8, 12], cases or [50, 100, 200, 400]
    found = plan_study(
        compared, components, readers=tried_readers, cases=tried_cases, difference=difference, margin=margin,
        power=power, scope=scope, significance_level=significance, notes=notes,
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    for note in found.notes:
        say(f"Note: {note}", markup=False)
    aim = f"difference {difference:g}" if margin is None else f"non-inferiority, margin {margin:g}, true {difference:g}"
    grid = [f"{each.power:.3f}" for each in found.powers]
    width = len(tried_cases)
    rows: list[list[object]] = [
        [n, *grid[row * width : (row + 1) * width], size.design.n_cases if size.design else "not reached"]
        for row, (n, size) in enumerate(found.fewest)
    ]
    say(f"Power in scope {scope} at significance {significance:g}: {aim}", markup=False)
    show_table("", ["readers", *(f"{n} cases" for n in tried_cases), f"cases for {power:g}"], rows)
    for _, size in found.fewest:
        if size.reason:
            say(f"  {size.reason}", markup=False)


@app.command("reproduce-paper")
def reproduce_paper_(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object with all digits")] = False,
) -> None:
    """Recompute Tables 1 to 5 of Zhao et al. 2023 and mark each printed cell as reproduced or not."""
    from core.report.paper import reproduce_paper
    from core.report.paper_text import render

    reproduction = reproduce_paper()
    if as_json:
        typer.echo(json.dumps(reproduction.to_dict(), indent=2))
    else:
        render(reproduction, console)


@audit_app.command("show")
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


@audit_app.command("verify")
def audit_verify(
    receipt: Annotated[
        list[str] | None, typer.Option("--receipt", help="deposited receipt that the trail must still hold; repeat")
    ] = None,
) -> None:
    """Hold the audit trail and all that it sealed against the store; exit status 1 where anything was touched."""
    check = store().verify_audit(receipt or ())
    if check.is_intact:
        say(f"{check.n_events} events: the chain is intact, and the store is as it says.")
    for problem in check.problems:
        say(f"TOUCHED: {problem}", markup=False)
    say(f"Receipt: {check.head.receipt}")
    raise typer.Exit(0 if check.is_intact else 1)


@audit_app.command("receipt")
def audit_receipt() -> None:
    """Print where the audit trail ends, to be deposited where nobody of this institution can change it."""
    say(store().audit_head().receipt)


@images_app.command("move")
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


@images_app.command("check")
def images_check() -> None:
    """Read every image that lies outside of the database; exit status 1 where one is missing or changed."""
    problems = store().check_images()
    for problem in problems:
        say(f"TOUCHED: {problem}", markup=False)
    if not problems:
        say("Every image that lies outside of the database is as it was.")
    raise typer.Exit(1 if problems else 0)


@app.command("audit-blinding")
def audit_blinding_(
    json_file: Annotated[Path | None, typer.Option("--json", help="write the report as JSON into this file")] = None,
) -> None:
    """Plant canaries in a throw-away study, read it in a real browser, search what came; exit status 1 for a hit."""
    from actions.audit_blinding import audit_blinding

    if json_file is not None and not json_file.parent.is_dir():  # told before the half minute, not after it
        raise InputError("there is no such folder", field="--json", value=str(json_file.parent), fix="make it first")
    with progress_bar() as report:
        done = audit_blinding(progress=report)
    say(done.to_text(), markup=False)
    if json_file is not None:
        json_file.write_text(json.dumps(done.to_dict(), indent=2) + "\n", encoding="utf-8")
    raise typer.Exit(0 if done.is_blind else 1)


def main() -> None:
    """Run a command; an expected error ends with its own words and status 2, without a traceback."""
    try:
        configure_threads(get_settings().thread_count)
        keep_caches_in(get_settings().cache_folder)
        app()
    except ReadingRoomError as error:
        errors.print(f"[bold red]Error[/] ({error.code}): ", end="")
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from None
    except OSError as error:  # a file or folder that cannot be read or written, a full disk
        place = f" at {error.filename}" if error.filename is not None else ""
        text = f"Error (system): {error.strerror or error}{place}. Fix: check the place, its rights and its free space."
        errors.print(text, markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
