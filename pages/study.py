"""The coordinator's screen of one study: state, live progress, readers, model. Never how well anybody does."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from actions.draw_password import new_password
from core.errors import InputError, ReadingRoomError, SignedOutError
from core.protocol import Design
from core.study import Person, Role, Study, StudyState
from db import Repository
from pages.widgets.elsewhere import is_read_elsewhere
from pages.widgets.guard import requires
from pages.widgets.plain_text import plain
from pages.widgets.results_data import pick_study
from pages.widgets.study_card import show_preparation
from pages.widgets.study_state import show_checklist, show_state
from pages.widgets.study_steps import study_steps
from pages.widgets.watching import show_progress

_GROUPS = {None: "the smaller one", 1: "1: begins without the model", 2: "2: begins with the model"}
_READERS_IN_SIGHT = 6  # more of them scroll
_ADDED = "added_reader"  # in the session state, for the run after the form


@requires(Role.COORDINATOR)
def render(repository: Repository) -> None:
    """Draw the study screen."""
    study = pick_study(repository, part=Role.COORDINATOR)
    if study is None:
        return
    study_steps(study, "study")
    if is_read_elsewhere(repository, study):
        return
    left, right = st.columns([3, 2], gap="large")
    with left:
        if study.state is StudyState.DRAFT:
            st.subheader("Before reading")
            show_preparation(repository, study)
            show_checklist(repository, study)
        else:
            show_progress(repository, study)
    with right:
        show_state(repository, study)
        _readers(repository, study)


def _readers(repository: Repository, study: Study) -> None:
    """Who reads, and the form that adds somebody."""
    st.subheader("Readers")
    if added := st.session_state.pop(_ADDED, None):
        st.success(added)
    members = repository.members(study.key)
    with st.container(height=300 if len(members) > _READERS_IN_SIGHT else "content", border=False):
        for member in members:
            simulated = " :orange-badge[simulated]" if member.person.is_simulated else ""
            n = member.n_presentations
            cases = f"{n} {'answer' if n == 1 else 'answers'} about {plain(', '.join(member.cohorts))}"
            group = f" · group {member.group}" if member.group is not None else ""
            st.markdown(f"**{plain(member.person.display_name)}**{simulated} · {cases}{group}")
    if study.state not in (StudyState.DRAFT, StudyState.OPEN):
        return
    if not repository.cohorts(study.key):
        st.caption("Readers are added when the study has cases.")
        return
    taken = {member.person.login for member in members}
    free = [p for p in repository.people() if p.role is Role.READER and p.login not in taken and not p.is_simulated]
    with st.expander("Add a reader", icon=":material/person_add:", expanded=study.state is StudyState.DRAFT):
        _add_reader(repository, study, free, len(members))


def _add_reader(repository: Repository, study: Study, free: list[Person], n_members: int) -> None:
    """Somebody who has an account, or somebody new."""
    how = st.segmented_control("Who?", ["Has an account", "New account"], required=True,
                               default="Has an account" if free else "New account")  # fmt: skip
    cohorts = repository.cohorts(study.key)
    with st.form(f"add reader {study.key} {how}", border=False):
        person, login, name = None, "", ""
        places: dict[str, DeltaGenerator] = {}
        # With each reader who was added the fields are new.
        fresh = f"{study.key} {n_members}"
        if how == "New account":
            login = st.text_input(
                "Login", key=f"login {fresh}", help="small letters and digits; a password is drawn and shown once"
            )
            places["login"] = st.empty()
            name = st.text_input(
                "Name", key=f"name {fresh}", help="on dashboards and in exports; the login if left out"
            )
            places["display_name"] = st.empty()
        else:
            person = st.selectbox("Reader", free, format_func=lambda p: f"{p.display_name} · {p.login}", index=None)
            places["reader"] = st.empty()
        read = study.protocol.cohorts or [c for c in cohorts if c not in ("training", study.protocol.training_cohort)]
        offered = [c for c in study.protocol.cohorts or cohorts if c in cohorts and c != study.protocol.training_cohort]
        wanted = st.multiselect("Cohorts to read", offered, default=[c for c in read if c in offered])
        places["cohorts"] = st.empty()
        group = None
        if study.protocol.design is Design.CROSSOVER:
            group = st.selectbox("Group", [None, 1, 2], format_func=_GROUPS.__getitem__)
        if not st.form_submit_button("Add to the study"):
            return
    if not wanted:
        places["cohorts"].error("Choose one cohort or more: a reader without cases reads nothing.")
    elif how != "New account" and person is None:
        places["reader"].error("Choose a reader, or make a new account.")
    else:
        said = ""
        try:
            if person is None:
                password = new_password()
                person = repository.create_person(login, name or login, Role.READER, password=password)
                said = f" Login `{person.login}`, password `{password}`: shown only now; hand it over in person."
            repository.add_reader(study.key, person.login, cohorts=wanted, group=group, may_replace=False)
        except SignedOutError:
            raise
        except ReadingRoomError as error:
            if said:
                st.warning(f"The account was made, but it is not in the study yet.{said}")
            field = error.field if isinstance(error, InputError) else "reader" if said or not login else "login"
            places.get(field or "", places["cohorts"]).error(str(error))
        else:
            st.session_state[_ADDED] = f"{plain(person.display_name)} is added; the order is drawn and stored.{said}"
            st.rerun()
