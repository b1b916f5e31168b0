"""Begin a study: from a preset, from a protocol file, or as a copy of another study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.errors import ConflictError, InputError
from core.protocol import THYROID_CLASSES, DiseaseClass, Protocol
from core.study import Role, Study
from db import Repository
from pages.widgets.guard import refusals_shown, requires
from pages.widgets.movement import go_to
from pages.widgets.protocol_fields import protocol_of_file

_OWN, _THYROID, _FILE, _COPY = "Own field", "Thyroid scintigraphy", "Protocol file", "Copy of a study"


@requires(Role.COORDINATOR)
def render(repository: Repository) -> None:
    """Draw the screen."""
    _, middle, _ = st.columns([1, 3, 1])
    with middle:
        st.header("New study")
        studies = repository.studies(Role.COORDINATOR)
        how = st.segmented_control(
            "Begin from", [_OWN, _THYROID, _FILE, *([_COPY] if studies else [])], default=_OWN, required=True
        )
        with st.form("new study", border=False):
            key = st.text_input(
                "Key", max_chars=40, help="short name in addresses and commands: small letters, digits and -"
            )
            key_place = st.empty()
            title = st.text_input("Title", help="on every screen; the key if left out")
            title_place = st.empty()
            names = st.text_input("Classes", placeholder="benign, malignant") if how == _OWN else ""
            names_place = st.empty()
            sent = st.file_uploader("Protocol file", type=["yaml", "yml"]) if how == _FILE else None
            other = _choose_study(studies) if how == _COPY else None
            is_synthetic = st.checkbox("Phantoms or simulated readers take part", help="said on every screen, for good")
            is_sent = st.form_submit_button("Create the study", type="primary")
        st.caption("Everything can be changed on the next screen, until the study is opened for reading.")
        if not is_sent:
            return
        places = {"study": key_place, "title": title_place, "classes": names_place, "": st.empty()}
        try:
            protocol = _protocol(str(how), key, title, names, sent, other)
        except InputError as error:
            _say(error, places)
            return
        try:
            study = repository.create_study(key.strip(), protocol, is_synthetic=is_synthetic)
        except InputError as error:
            _say(error, places)
            return
        except ConflictError as error:
            key_place.error(f"{error} Choose another key.")
            return
        with refusals_shown():
            go_to("set-up", study.key)


def _say(error: InputError, places: Mapping[str, DeltaGenerator]) -> None:
    """Right below the field that is wrong; a part of a field counts as the field, and the form is for all others."""
    places.get((error.field or "").partition(".")[0], places[""]).error(str(error))


def _choose_study(studies: list[Study]) -> Study | None:
    """The study to copy: its protocol only, never its cases, readers or model."""
    return st.selectbox(
        "Study to copy", studies, format_func=lambda s: f"{s.protocol.title} · {s.key}",
        help="its protocol without the declared model; no cases, no readers",
    )  # fmt: skip


def _protocol(how: str, key: str, title: str, names: str, sent: UploadedFile | None, other: Study | None) -> Protocol:
    """The protocol to begin with.

    Raises
    ------
    InputError
        If classes or file are missing or will not do.
    """
    shown = title.strip() or key.strip()
    if how == _THYROID:
        return Protocol(title=shown or "-", classes=THYROID_CLASSES)
    if how == _COPY and other is not None:
        return replace(other.protocol, title=title.strip() or f"{other.protocol.title} (copy)", model_sha256=None)
    if how == _FILE:
        if sent is None:
            raise InputError("no protocol file was chosen", field="file", fix="choose a .yaml file")
        found = protocol_of_file(sent.name, sent.getvalue())
        return replace(found, title=title.strip() or found.title, model_sha256=None)
    classes = tuple(DiseaseClass(_key_of(name), name, name) for name in map(str.strip, names.split(",")) if name)
    return Protocol(title=shown or "-", question="Which class does this image show?", classes=classes)


def _key_of(name: str) -> str:
    """A key from a name: small letters with - for what a file would have to quote."""
    return "-".join("".join(sign if sign.isalnum() else " " for sign in name.casefold()).split())[:40].rstrip("-")
