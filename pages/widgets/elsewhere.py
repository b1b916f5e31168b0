"""What every screen says of a study whose readings were made elsewhere."""

from __future__ import annotations

import streamlit as st

from core.report.study_record import NOT_BLINDED_HERE
from core.study import Study
from db import Repository
from db.records import ReadElsewhere


def warn_not_blinded() -> None:
    """Beside every result of readings that this program did not put before the readers."""
    st.warning(f"**Read elsewhere, not blinded here.** {NOT_BLINDED_HERE}", icon=":material/visibility:")


def show_source(source: ReadElsewhere) -> None:
    """The files that the readings came from, and what was noticed in them."""
    with st.expander(f"Where the readings come from ({len(source.files)})", icon=":material/info:"):
        said = ", ".join(f"{name}: {value}" for name, value in source.options.items())
        st.text(f"{source.n_rows} rows of layout {source.layout}" + (f"; {said}" if said else ""))
        for name, sha256 in source.files:
            st.text(f"{name}  SHA-256 {sha256}")
        for note in source.notes:
            st.text(note)


def is_read_elsewhere(repository: Repository, study: Study) -> bool:
    """Whether there is nothing to prepare, read or look at here; says so on the screen."""
    if not study.is_read_elsewhere:
        return False
    warn_not_blinded()
    st.info("It has no images, readers' accounts or protocol in this store, and is never opened for reading. Its "
            "numbers are on the Results screen.", icon=":material/inventory_2:")  # fmt: skip
    show_source(repository.read_elsewhere(study.key))
    return True
