"""People: accounts, passwords, invitations."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.store import CohortOption, store, store_or_new
from commands.terminal import say, show_table
from core.errors import NotFoundError
from core.settings import get_settings
from core.study import Role

app = typer.Typer(help="People: create, list, new password, let in and out.", no_args_is_help=True)


@app.command("add")
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


@app.command("password")
def person_password(login: str) -> None:
    """Give somebody a new random password, print it once, and end that person's sessions."""
    from actions.draw_password import new_password

    password = new_password()
    store().set_password(login, password)
    say(f"{login}: new password [bold]{password}[/] (shown only now)")


@app.command("invite")
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


@app.command("invitations")
def person_invitations() -> None:
    """List the invitations: open, used, taken back."""
    rows: list[list[object]] = [
        [i.invitation_id[:8], i.note, i.role, i.study_key, f"{i.expires_at:%Y-%m-%d %H:%M}",
         f"used by {i.used_by}" if i.used_at else "taken back" if i.revoked_at else "open"]
        for i in store().invitations()
    ]  # fmt: skip
    show_table("Invitations", ["invitation", "for", "role", "study", "until, UTC", ""], rows)


@app.command("revoke")
def person_revoke(invitation: Annotated[str, typer.Argument(help="first digits, as listed")]) -> None:
    """Take back an invitation that was not used."""
    repository = store()
    found = [i.invitation_id for i in repository.invitations() if i.invitation_id.startswith(invitation)]
    if len(found) != 1:
        raise NotFoundError(f"There is no single invitation '{invitation}'. Fix: see 'person invitations'.")
    repository.revoke_invitation(found[0])
    say(f"Invitation {invitation} was taken back.")


@app.command("deactivate")
def person_deactivate(login: str) -> None:
    """Let somebody in no more: sign-ins end at once, readings stay."""
    store().set_active(login, False)
    say(f"{login} is let in no more. 'person activate {login}' lets in again.")


@app.command("activate")
def person_activate(login: str) -> None:
    """Let somebody in again."""
    store().set_active(login, True)
    say(f"{login} is let in again.")


@app.command("email")
def person_email(login: str, email: Annotated[str, typer.Argument(help="address, or - for none")]) -> None:
    """Set the address under which an identity provider knows somebody; it stands beside later readings."""
    store().set_email(login, None if email == "-" else email)
    say(f"{login}: {'no address' if email == '-' else email}.")


@app.command("list")
def person_list() -> None:
    """List everybody who can take part."""
    rows: list[list[object]] = [
        [
            p.login,
            p.display_name,
            ", ".join(sorted(p.roles)),
            "yes" if p.is_simulated else "no",
            "yes" if p.is_active else "no",
        ]
        for p in store().people()
    ]
    show_table("People", ["login", "name", "roles", "simulated", "active"], rows)
