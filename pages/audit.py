"""The audit trail: who did what when, and whether the chain of hashes is whole."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from actions.export_study import csv_file
from core.study import Role
from db import Repository
from pages.widgets.guard import requires


@requires(Role.COORDINATOR)
def render(repository: Repository) -> None:
    """Draw the audit screen."""
    st.header("Audit trail")
    check = repository.verify_audit_chain()
    if check.is_intact:
        st.success(f"{check.n_events} events; the chain of hashes is intact.", icon=":material/verified:")
    else:
        st.error(f"The chain is broken: {check.problem}", icon=":material/gpp_bad:")
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
