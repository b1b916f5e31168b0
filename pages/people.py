"""People: who has which part in a study, who may sign in, and how somebody new is let in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from actions.draw_password import new_password
from core.errors import (
    ChangedMeanwhileError,
    ConflictError,
    InputError,
    NotFoundError,
    ReadingRoomError,
    SignedOutError,
)
from core.study import Person, Role, Study, StudyState
from db import Repository
from db.records import Invitation, StudyPart
from pages.door.addresses import address
from pages.door.security import INVITATION_PATH
from pages.widgets.begun import begin_again, begun_with
from pages.widgets.guard import requires, while_signed_in
from pages.widgets.plain_text import plain
from pages.widgets.study_choice import choose_study, chosen_study

VIEWS = ("In a study", "Invitations", "Accounts")
_DONE = "people_done"  # in the session state: what the last deed did, for the run after it
_REFUSED = "people_refused"  # why the form begins again with what was typed
_LINK = "people_link"  # the link of the invitation that was just made


@requires(Role.COORDINATOR, Role.ADMINISTRATOR)
def render(repository: Repository) -> None:
    """Draw the people screen."""
    view = st.segmented_control(
        "View", VIEWS, default=VIEWS[0], required=True, key="people", bind="query-params", label_visibility="collapsed"
    )
    if done := st.session_state.pop(_DONE, None):
        st.success(done)
    {VIEWS[0]: _in_a_study, VIEWS[1]: _invitations, VIEWS[2]: _accounts}[str(view)](repository)


# --- parts in a study -------------------------------------------------------------------------------------------------


def _in_a_study(repository: Repository) -> None:
    """Everybody with a part in one study, and the forms that give and end parts."""
    is_administrator = _is_administrator(repository)
    studies = repository.studies(None if is_administrator else Role.COORDINATOR)
    if not studies:
        st.info("You coordinate no study yet.")
        return
    current = chosen_study(studies) or studies[0]
    study = st.selectbox(
        "Study", studies, index=studies.index(current), format_func=lambda s: f"{s.protocol.title} · {s.key}"
    )
    choose_study(study)
    parts = repository.study_people(study.key)
    sets = {} if is_administrator else {row.person.login: row.password_set for row in repository.progress(study.key)}
    until = [f"{part.ended_at:%Y-%m-%d}" if part.ended_at else "" for part in parts]
    left, right = st.columns([3, 2], gap="large")
    with left:
        st.dataframe(
            pd.DataFrame(
                {
                    "Person": [_name(part.person) for part in parts],
                    "Part": [str(part.role) for part in parts],
                    "Since": [f"{part.added_at:%Y-%m-%d}" for part in parts],
                    **({"Until": until} if any(until) else {}),
                    "Password set by": [_set_by(sets.get(part.person.login)) for part in parts],
                }
            ),
            hide_index=True,
            width="stretch",
            column_config=_widths(Person=210, Part=85, Since=85, Until=85),
        )
        st.caption("A password set by somebody else stands beside every reading that was made afterwards.")
        _end_a_part(repository, study, parts)
    with right:
        _give_a_part(repository, study)


def _give_a_part(repository: Repository, study: Study) -> None:
    """One form for the three parts."""
    may_add_readers = not _is_administrator(repository) and study.state in (StudyState.DRAFT, StudyState.OPEN)
    roles = [Role.COORDINATOR, Role.STATISTICIAN, *([Role.READER] if may_add_readers else [])]
    st.subheader("Give somebody a part")
    with st.form("give a part", border=False):
        login = st.text_input("Login", help="of somebody who has an account; others are invited")
        problem = st.empty()
        role = st.selectbox("Part", roles[::-1], format_func=str)
        cohorts = []
        if may_add_readers:
            known = repository.cohorts(study.key)
            cohorts = st.multiselect("Cohorts, for a reader", known, help="none: as the protocol says")
        if st.form_submit_button("Give the part"):
            if role is Role.READER:
                deed: Callable[[], object] = partial(
                    repository.add_reader, study.key, login, cohorts=cohorts or None, may_replace=False
                )
            else:
                deed = partial(repository.add_to_study, study.key, login, role)
            _do(deed, f"{login} is {role} of {study.key}.", {"login": problem})


def _end_a_part(repository: Repository, study: Study, parts: list[StudyPart]) -> None:
    """A part that goes on, and the deed that ends it, asked once."""
    living = [
        part
        for part in parts
        if part.ended_at is None and (part.role is not Role.READER or not _is_administrator(repository))
    ]
    if not living:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        part = st.selectbox("End a part", living, format_func=lambda p: f"{_name(p.person)} · {p.role}")
        is_clicked = st.button("End it ...", icon=":material/logout:")
    if is_clicked:
        _ask_end(repository, study, part)


@st.dialog("End this part?")
@while_signed_in
def _ask_end(repository: Repository, study: Study, part: StudyPart) -> None:
    login = part.person.login
    if part.role is not Role.READER:
        st.write(
            f"{plain(_name(part.person))} is {part.role} of **{plain(study.protocol.title)}** no more, "
            "from this moment on."
        )
        if part.role is Role.COORDINATOR:
            st.write("Who has coordinated a study can never read in it.")
        if st.button("End the part", type="primary"):
            end = partial(repository.remove_from_study, study.key, login, part.role)
            _do(end, f"{login} is no {part.role} of {study.key} any more.")
        return
    st.write(
        "A reader who has read nothing is **removed**, as if never added. After the first reading a reader is "
        "**withdrawn**, for good: the readings stay, marked in every export, and are analysed unless the analysis plan "
        "says otherwise."
    )
    reason = st.text_input("Reason, for a withdrawal")
    problem = st.empty()
    with st.container(horizontal=True):
        if st.button("Remove"):
            _do(partial(repository.remove_reader, study.key, login), f"{login} was removed.")
        if st.button("Withdraw", type="primary"):
            withdraw = partial(repository.withdraw_reader, study.key, login, reason)
            _do(withdraw, f"{login} was withdrawn.", {"reason": problem})


# --- invitations ------------------------------------------------------------------------------------------------------


def _invitations(repository: Repository) -> None:
    """The form that makes a link, and the links that were made."""
    left, right = st.columns([2, 3], gap="large")
    with left:
        _invite(repository)
    with right:
        found = repository.invitations()
        st.subheader("Invitations so far")
        if not found:
            st.info("None yet.")
            return
        st.dataframe(
            pd.DataFrame(
                {
                    "For": [each.note for each in found],
                    "Part": [str(each.role) for each in found],
                    "Study": [each.study_key or "" for each in found],
                    "Until, UTC": [f"{each.expires_at:%Y-%m-%d %H:%M}" for each in found],
                    "State": [_state(each) for each in found],
                }
            ),
            hide_index=True,
            width="stretch",
            column_config=_widths(For=150, Part=85, Study=80, State=100)
            | {"Until, UTC": st.column_config.Column(width=125)},
        )
        still_open = [each for each in found if each.used_at is None and each.revoked_at is None]
        if still_open:
            with st.container(horizontal=True, vertical_alignment="bottom"):
                chosen = st.selectbox("Take back", still_open, format_func=lambda each: f"{each.note} · {each.role}")
                if st.button("Take it back ...", icon=":material/link_off:"):
                    _ask_revoke(repository, chosen)


@st.dialog("Take this invitation back?")
@while_signed_in
def _ask_revoke(repository: Repository, chosen: Invitation) -> None:
    st.write(
        f"The link that was made for **{plain(chosen.note)}** ({chosen.role}) cannot be used from this moment on, and "
        "cannot be brought back; you can make another one."
    )
    if st.button("Take it back", type="primary"):
        revoke = partial(repository.revoke_invitation, chosen.invitation_id)
        _do(revoke, f"The invitation for {plain(chosen.note)} cannot be used any more.")


def _invite(repository: Repository) -> None:
    st.subheader("Invite somebody")
    if link := st.session_state.pop(_LINK, None):
        st.success("Send this link to the person alone. It is shown only now, works once, and names nobody.")
        st.code(link, language=None, wrap_lines=True)
    is_administrator = _is_administrator(repository)
    studies = repository.studies(None if is_administrator else Role.COORDINATOR)
    options: list[Study | None] = [*studies, None]
    study = st.selectbox("Study", options, format_func=lambda s: s.protocol.title if s else "None: an account only")
    roles = [role for role in Role if role is not Role.ADMINISTRATOR or (is_administrator and study is None)]
    role = st.selectbox("Part", roles, format_func=str, index=1 if is_administrator else 0)
    with st.form("invite", border=False):
        note = st.text_input("For whom", placeholder="Dr Ben, Ulm")
        note_problem = st.empty()
        cohorts = None
        if study is not None and role is Role.READER and not is_administrator:
            cohorts = st.multiselect("Cohorts", repository.cohorts(study.key), help="none: as the protocol says")
        days = st.number_input("Days that the link holds", value=14, min_value=1, max_value=90)
        if st.form_submit_button("Make the link", type="primary"):

            def invite() -> None:
                made = repository.invite(
                    role, note, study_key=study.key if study else None, cohorts=cohorts or None, days=days
                )
                st.session_state[_LINK] = f"{_origin()}{address(INVITATION_PATH)}#{made.token}"

            _do(invite, f"An invitation for {plain(note)} was made.", {"note": note_problem})


def _origin() -> str:
    """Scheme, name and port under which the browser sees this app."""
    parts = str(st.context.url or "").split("/")
    return "/".join(parts[:3])


def _state(each: Invitation) -> str:
    if each.used_at is not None:
        return f"used by {each.used_by}"
    return "taken back" if each.revoked_at is not None else "open"


# --- accounts ---------------------------------------------------------------------------------------------------------


def _accounts(repository: Repository) -> None:
    """Everybody whom the person may know, and what can be done for one of them."""
    people = [person for person in repository.people() if not person.is_simulated]
    st.dataframe(
        pd.DataFrame(
            {
                "Name": [person.display_name for person in people],
                "Login": [person.login for person in people],
                "Roles": [", ".join(str(role) for role in Role if role in person.roles) for person in people],
                "Signs in": ["yes" if person.is_active else "no" for person in people],
                "Years": ["" if p.years_of_experience is None else f"{p.years_of_experience:g}" for p in people],
                "Specialty": [person.specialty or "" for person in people],
                "Institution": [person.site or "" for person in people],
                "Used AI": [_yes_no(person.has_used_model) for person in people],
            }
        ),
        hide_index=True,
        width="stretch",
        height=min(36 * (len(people) + 1), 330),
        column_config=_widths(Name=190, Login=150, Roles=100, Years=60, Specialty=150, Institution=150)
        | {"Signs in": st.column_config.Column(width=70), "Used AI": st.column_config.Column(width=70)},
    )
    others = [person for person in people if repository.actor and person.login != repository.actor.login]
    if not others:
        st.info("There is nobody yet but you. Invite somebody.")
        return
    by_login = {person.login: person for person in others}  # as they stand now, not as they were when chosen
    with st.container(horizontal=True, vertical_alignment="bottom"):
        person = by_login[st.selectbox("Person", list(by_login), format_func=lambda login: _name(by_login[login]))]
        if st.button("New password ...", icon=":material/key:"):
            _ask_password(repository, person)
        if person.is_active and st.button("Let in no more ...", icon=":material/block:"):
            _ask_deactivate(repository, person)
        if not person.is_active and st.button("Let in again", icon=":material/check:"):
            _do(partial(repository.set_active, person.login, True), f"{person.login} may sign in again.")
    _describe(repository, person)


def _widths(**pixels: int) -> dict[str, Any]:
    """Columns so narrow that no other one is out of sight; what is longer is read with the pointer on it."""
    return {name: st.column_config.Column(width=width) for name, width in pixels.items()}


@st.dialog("Set a new password?")
@while_signed_in
def _ask_password(repository: Repository, person: Person) -> None:
    st.write(
        f"All sign-ins of {_name(person)} end. You will see a random password once; the person must change it at the "
        "next sign-in and is told that you set it. Your name stands beside every reading that is made afterwards."
    )
    if st.button("Set it", type="primary"):
        password = new_password()
        if _is_done(partial(repository.set_password, person.login, password)):
            st.success("Hand it over now; it is shown only here:")
            st.code(password, language=None)


@st.dialog("Let in no more?")
@while_signed_in
def _ask_deactivate(repository: Repository, person: Person) -> None:
    st.write(
        f"All sign-ins of {_name(person)} end at once, and no new one is possible until you let the person in again. "
        "Readings stay."
    )
    if st.button("Let in no more", type="primary"):
        _do(partial(repository.set_active, person.login, False), f"{person.login} is let in no more.")


def _describe(repository: Repository, person: Person) -> None:
    """What reviewers ask about a reader."""
    begun = begun_with(f"describe {person.login}", person, person, widget="years")
    seen, fields, key = begun.seen, begun.fields, begun.key
    if refused := st.session_state.pop(_REFUSED, None):
        st.error(refused)
    with st.form(key):
        years = st.number_input(
            "Years of experience",
            value=fields.years_of_experience,
            min_value=0.0,
            max_value=80.0,
            key=f"{key} years",
            format="%g",
        )
        specialty = st.text_input("Specialty", value=fields.specialty or "", key=f"{key} specialty")
        specialty_problem = st.empty()
        site = st.text_input("Institution", value=fields.site or "", key=f"{key} site")
        site_problem = st.empty()
        used = st.selectbox(
            "Has used such an AI model before",
            [None, True, False],
            index=[None, True, False].index(fields.has_used_model),
            format_func=lambda value: _yes_no(value) or "not said",
            key=f"{key} used",
        )
        email = st.text_input(
            "E-mail address, for the sign-in of an institution", value=fields.email or "", key=f"{key} email"
        )
        email_problem = st.empty()
        if st.form_submit_button("Save"):
            told: dict[str, Any] = {
                "years_of_experience": years,
                "specialty": specialty.strip() or None,
                "site": site.strip() or None,
                "has_used_model": used,
            }
            address_told = email.strip().casefold() or None

            def save() -> None:
                try:
                    if any(value != getattr(seen, name) for name, value in told.items()):
                        repository.describe_person(person.login, **told, seen=seen)
                    if address_told != seen.email:
                        repository.set_email(person.login, address_told, seen=seen)
                except ChangedMeanwhileError as error:
                    typed = {**told, "email": address_told}
                    mine = {name: value for name, value in typed.items() if value != getattr(seen, name)}
                    begin_again(f"describe {person.login}", person, replace(person, **mine), is_unsaved=True)
                    st.session_state[_REFUSED] = f"{error} What you typed is kept in the fields."
                    st.rerun()
                begin_again(f"describe {person.login}", *[repository.person(person.login)] * 2)

            at = {"specialty": specialty_problem, "site": site_problem, "email": email_problem}
            _do(save, f"{person.login} was saved.", at)


# --- deeds ------------------------------------------------------------------------------------------------------------


def _do(deed: Callable[[], object], done: str, at: Mapping[str, object] | None = None) -> None:
    """Do it and draw the screen anew, or say what is wrong, at the field where there is one."""
    if _is_done(deed, at):
        st.session_state[_DONE] = done
        st.rerun()


def _is_done(deed: Callable[[], object], at: Mapping[str, object] | None = None) -> bool:
    """Whether the store did it; what it refuses is said at the field, or below."""
    try:
        deed()
    except SignedOutError:
        raise
    except ReadingRoomError as error:
        is_of_login = isinstance(error, NotFoundError | ConflictError) and "login" in (at or {})
        field = error.field if isinstance(error, InputError) else "login" if is_of_login else None
        place = (at or {}).get(field or "", st)
        place.error(str(error))  # type: ignore[attr-defined]
        return False
    return True


def _is_administrator(repository: Repository) -> bool:
    return repository.actor is not None and repository.actor.role is Role.ADMINISTRATOR


def _name(person: Person) -> str:
    return person.display_name if person.display_name == person.login else f"{person.display_name} ({person.login})"


def _set_by(found: object) -> str:
    by, at = getattr(found, "set_by", None), getattr(found, "set_at", None)
    return f"{by}, {at:%Y-%m-%d}" if by and at else ""


def _yes_no(value: bool | None) -> str:
    return "" if value is None else "yes" if value else "no"
