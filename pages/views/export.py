"""Everything as files, and the tables as they are."""

from __future__ import annotations

import streamlit as st

from actions.export_study import export_files
from core.study import Study
from db import Repository
from pages.widgets.results_data import Results


def draw(repository: Repository, study: Study, results: Results) -> None:
    """Draw the export and a look into every table."""
    st.markdown("**Everything as CSV**: readings with all revisions, predictions with the model's hash, all tables")
    if st.button("Prepare the export", icon=":material/folder_zip:"):
        with st.spinner("Writing the files ..."):
            st.session_state["export"] = (study.key, export_files(repository, study.key, results.analysis))
    made_for, files = st.session_state.get("export", (None, []))
    if made_for == study.key:
        with st.container(horizontal=True):
            for file in files:
                st.download_button(
                    f"{file.name} · {file.n_rows} rows",
                    file.content,
                    file_name=f"{file.name.removesuffix('.csv')}_{file.sha256[:8]}.csv",
                    mime="text/csv",
                    icon=":material/download:",
                    on_click="ignore",
                    key=f"export {file.name}",
                )
        st.caption(
            "Each file's SHA-256 stands in the audit trail. From the terminal: `python manage.py export FOLDER`."
        )
    name = st.selectbox("Table", list(results.tables))
    st.dataframe(results.tables[name].drop(columns="label", errors="ignore"), hide_index=True)
    for note in results.analysis.notes:
        st.caption(note)
