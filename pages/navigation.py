"""The script that Streamlit runs: who is signed in, and which screens that role may open."""

import streamlit as st

from core.errors import NotFoundError, StoreError
from pages.screens import screens_of
from pages.widgets.frame import draw_frame
from pages.widgets.guard import show_signed_out, signed_in_person
from pages.widgets.movement import remember_pages
from pages.widgets.resources import repository
from pages.widgets.study_choice import remembered_study_key

st.set_page_config(page_title="Reading Room", page_icon=":material/radiology:", layout="wide")

try:
    person = signed_in_person()
except StoreError:
    draw_frame(None, None)
    st.error("The store is not available just now. Nothing that was saved is lost; please try again in a moment.")
    st.stop()

if person is None:
    page = st.navigation([st.Page(show_signed_out, title="Signed out", url_path="signed-out")], position="hidden")
    draw_frame(None, None)
else:
    pages = {
        screen.address: st.Page(
            screen.render, title=screen.title, icon=screen.icon, url_path=screen.address, default=number == 0
        )
        for number, screen in enumerate(screens_of(person.role))
    }
    remember_pages(pages)
    page = st.navigation(list(pages.values()), position="top")
    study = None
    key = remembered_study_key()
    if key is not None:
        try:
            study = repository(person).study(key)
        except NotFoundError:
            study = None
    draw_frame(person, study)

page.run()
