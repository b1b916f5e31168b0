"""The audit trail: who did what when, and whether everything that it sealed is as it was."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from actions.export_study import csv_file
from core.study import Role
from db import Repository
from pages.widgets.guard import requires, while_signed_in

_MOST_PROBLEMS = 20


@requires(Role.COORDINATOR, Role.ADMINISTRATOR)
def render(repository: Repository) -> None:
    """Draw the audit screen."""
    st.header("Audit trail")
    _check(repository)
    _events(repository)


@st.fragment
@while_signed_in
def _events(repository: Repository) -> None:
    """The events of one study or all; choosing a study does not check the store again."""
    keys = [study.key for study in repository.studies()]
    chosen = st.selectbox("Study", [None, *keys], format_func=lambda key: key or "All")
    table = pd.DataFrame(
        [
            {
                "#": event.sequence,
                "at (UTC)": event.at.isoformat(timespec="seconds"),
                "actor": event.actor,
                "action": event.action,
                "study": event.study_key or "",
                "detail": json.dumps(event.detail, sort_keys=True, default=str),
                "hash": event.hash[:16],
            }
            for event in reversed(repository.audit_trail(chosen, limit=2000))
        ]
    )
    st.dataframe(table, hide_index=True, height=520)
    file = csv_file("audit.csv", table)
    st.download_button(
        "CSV",
        file.content,
        file_name=f"audit_{file.sha256[:8]}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def _check(repository: Repository) -> None:
    """The check, made anew at every visit, and the receipt to deposit."""
    with st.spinner("Checking every row against the trail ..."):
        check = repository.verify_audit()
    if check.is_intact:
        text = f"{check.n_events} events; the chain of hashes is intact, and the store is as it says."
        st.success(text, icon=":material/verified:")
    else:
        problems = "\n".join(f"- {problem}" for problem in check.problems[:_MOST_PROBLEMS])
        st.error(f"Touched past the trail (findings: {len(check.problems)}):\n{problems}", icon=":material/gpp_bad:")
    if check.clock_moves:
        moves = "\n".join(f"- {move}" for move in check.clock_moves[-_MOST_PROBLEMS:])
        said = f"The server's clock was set (times: {len(check.clock_moves)}); dates and time limits went by it:"
        st.warning(f"{said}\n{moves}", icon=":material/schedule:")
    st.caption("Receipt to deposit where nobody of this institution can change it:")
    st.code(check.head.receipt, language=None, wrap_lines=True)
