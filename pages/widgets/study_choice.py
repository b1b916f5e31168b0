"""Which study the screens are about. The key stands in the address, so that a refresh and a bookmark keep it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.study import Study

#: Name in the address.
STUDY_PARAMETER = "study"
_STATE_KEY = "study_key"
#: What a coordinator or statistician without a study is told.
NO_STUDY = (
    "There is no study of yours yet. Make one under “New study” on the start page (who makes it coordinates it), or "
    "have another coordinator add you to theirs. `make demo` makes one to look at."
)


def chosen_study(studies: Sequence[Study]) -> Study | None:
    """The study of the address, of this browser session, or the only one; None when there is still a choice to make."""
    by_key = {study.key: study for study in studies}
    for key in (st.query_params.get(STUDY_PARAMETER), st.session_state.get(_STATE_KEY)):
        if key in by_key:
            choose_study(by_key[key])
            return by_key[key]
    if len(studies) == 1:
        choose_study(studies[0])
        return studies[0]
    return None


def choose_study(study: Study) -> None:
    """Remember a study in the address and in this browser session."""
    st.session_state[_STATE_KEY] = study.key
    if st.query_params.get(STUDY_PARAMETER) != study.key:
        st.query_params[STUDY_PARAMETER] = study.key


def remembered_study_key() -> str | None:
    """Key in the address or of this browser session, as it was asked for; the store says whether it may be seen."""
    key = st.query_params.get(STUDY_PARAMETER) or st.session_state.get(_STATE_KEY)
    return str(key) if key else None
