"""What is done and what comes next in a study: on its card of the start page and on its overview."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from core.study import Study, StudyState
from db import Repository
from pages.widgets.plain_text import plain
from pages.widgets.study_steps import link_to, state_badge


@dataclass(frozen=True)
class Step:
    """One deed on the way to the results."""

    text: str  # what is so, or what is missing
    address: str  # screen on which it is done
    link: str
    icon: str
    is_done: bool = False


def preparation(repository: Repository, study: Study) -> list[Step]:
    """What a draft needs before it is opened, in the order in which it is done."""
    n_cases = sum(count.n_cases for count in repository.case_counts(study.key))
    n_readers = len(repository.members(study.key))
    declared = study.protocol.model_sha256
    n_predicted = sum(
        count.n_predicted for count in repository.prediction_counts(study.key) if count.model_sha256 == declared
    )
    is_predicted = declared is not None and 0 < n_cases <= n_predicted
    return [
        Step(
            "The protocol has a primary endpoint" if study.protocol.primary_endpoint else "The protocol has no plan",
            "set-up", "Set the protocol up", ":material/edit_note:", bool(study.protocol.primary_endpoint),
        ),
        Step(_counted(n_cases, "case"), "cases", "Import cases", ":material/perm_media:", n_cases > 0),
        Step(_counted(n_readers, "reader"), "study", "Add readers", ":material/person_add:", n_readers > 0),
        Step(
            "A model is declared" if declared else "No model is declared", "model", "Declare a model",
            ":material/gavel:", declared is not None,
        ),
        Step(
            "The declared model has predicted every case" if is_predicted else f"{n_predicted} of {n_cases} predicted",
            "model", "Predict the cases", ":material/bolt:", is_predicted,
        ),
    ]  # fmt: skip


def next_step(repository: Repository, study: Study) -> Step:
    """The one thing to do now."""
    if study.state is StudyState.DRAFT:
        missing = [step for step in preparation(repository, study) if not step.is_done]
        ready = Step("Everything is ready", "study", "Open for reading", ":material/lock_open:")
        return missing[0] if missing else ready
    if study.state is StudyState.OPEN:
        rows = repository.progress(study.key)
        left = sum(row.n_total - row.n_done for row in rows)
        if rows and left == 0:
            return Step("Everything is read", "study", "Close reading", ":material/do_not_disturb_on:")
        return Step(f"Readers are reading; {left} readings are missing", "study", "Watch", ":material/groups:")
    if study.state is StudyState.UNSEALED:
        return Step("Results may be compared", "results", "See the results", ":material/monitoring:")
    if study.state is StudyState.CLOSED:
        return Step("Reading has ended; results are sealed", "study", "Go on", ":material/key:")
    return Step("Readings are final; results are sealed", "study", "Unseal the results", ":material/key:")


def show_preparation(repository: Repository, study: Study) -> None:
    """The list of what a draft needs, each line with the way to its screen."""
    for step in preparation(repository, study):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            mark = ":green[:material/check_circle:]" if step.is_done else ":gray[:material/radio_button_unchecked:]"
            st.markdown(f"{mark} {step.text}", width="content")
            if not step.is_done:
                link_to(step.address, step.link, icon=step.icon, study=study)


def study_card(repository: Repository, study: Study) -> None:
    """One study on the start page: title and key, so that two of one title differ; how far it is; what comes next."""
    rows = repository.progress(study.key)
    done, total = sum(row.n_done for row in rows), sum(row.n_total for row in rows)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"#### {plain(study.protocol.title)}", width="content")
            st.markdown(f"`{study.key}` {state_badge(study)}", width="content")
            link_to("study", "Overview", icon=":material/groups:", study=study)
        if total:
            n_readers = len({row.person.person_id for row in rows})
            st.progress(done / total, text=f"{done} of {total} readings by {_counted(n_readers, 'reader')}")
        step = next_step(repository, study)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**Next:** {step.text}.", width="content")
            link_to(step.address, step.link, icon=step.icon, study=study)


def _counted(n: int, word: str) -> str:
    """``No cases``, ``1 case``, ``2 cases``."""
    return f"{n or 'No'} {word}{'' if n == 1 else 's'}"
