"""The script that Streamlit runs: who is signed in, and which screens those roles may open."""

from contextlib import suppress

import streamlit as st

from core.errors import StoreError
from core.study import Role
from pages.screens import screens_of
from pages.widgets.frame import draw_frame
from pages.widgets.guard import OUTAGE, cookie_token, show_signed_out, signed_in_person
from pages.widgets.movement import remember_pages
from pages.widgets.resources import repository
from pages.widgets.study_choice import remembered_study_key

# An icon by name would be fetched from another machine; an emoji is drawn by the browser.
st.set_page_config(page_title="Reading Room", page_icon="🩻", layout="wide")

_PERSON = "person"  # who was here in the last run, for the bar while the store is out of reach
_IS_SYNTHETIC = "is_synthetic"

try:
    person = st.session_state[_PERSON] = signed_in_person()
except StoreError:
    person = st.session_state.get(_PERSON)
    if person is None:
        draw_frame(None)
        st.error(OUTAGE)
        st.stop()

if person is None:
    page = st.navigation([st.Page(show_signed_out, title="Signed out", url_path="signed-out")], position="hidden")
    draw_frame(None)
else:
    pages = {
        screen.address: st.Page(
            screen.render,
            title=screen.title,
            icon=screen.icon,
            url_path=screen.address,
            default=number == 0,
            visibility="visible" if screen.is_in_bar else "hidden",
        )
        for number, screen in enumerate(screens_of(person.roles))
    }
    remember_pages(pages)
    page = st.navigation(list(pages.values()), position="top")
    with suppress(StoreError):
        store = repository(person, cookie_token())
        studies = [*(store.my_studies() if Role.READER in person.roles else ())]
        studies += store.studies() if person.roles - {Role.READER} else ()
        # A chosen study speaks for itself; before the choice, one synthetic study is reason enough to say so.
        chosen = [study for study in studies if study.key == remembered_study_key()] or studies
        st.session_state[_IS_SYNTHETIC] = any(study.is_synthetic for study in chosen)
    draw_frame(person, is_synthetic=st.session_state.get(_IS_SYNTHETIC, False))

try:
    page.run()
except StoreError:
    st.error(OUTAGE)
