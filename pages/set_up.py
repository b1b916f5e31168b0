"""The set-up screen: one protocol, edited, previewed as readers will see it, compared with the stored one, saved."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.errors import InputError
from core.protocol import Protocol
from core.protocol_file import (
    Difference,
    frozen_changes,
    protocol_diff,
    protocol_from_plain,
    protocol_to_plain,
    write_protocol,
)
from core.study import Role, Study, StudyState
from db import Repository
from pages.widgets.begun import Begun, begin_again, begun_with
from pages.widgets.elsewhere import is_read_elsewhere
from pages.widgets.guard import at_the_field, refusals_shown, requires
from pages.widgets.protocol_fields import (
    GROUPS,
    draw_field,
    get,
    group_of,
    is_frozen,
    protocol_of_file,
    protocol_or_errors,
    put,
)
from pages.widgets.reading_preview import preview
from pages.widgets.results_data import pick_study
from pages.widgets.study_steps import link_to, study_steps

_SAVED = "protocol_saved"  # in the session state, for the run after saving


@requires(Role.COORDINATOR)
def render(repository: Repository) -> None:
    """Draw the screen."""
    study = pick_study(repository, part=Role.COORDINATOR)
    if study is None:
        return
    study_steps(study, "set-up")
    if is_read_elsewhere(repository, study):
        return
    if said := st.session_state.pop(_SAVED, None):
        st.success(said)
    if study.state is not StudyState.DRAFT:
        st.info(
            f"The study is {study.state}: what readers read by was fixed when it was opened, because a change would "
            "mix answers to different questions. Ethics, registration, funding and intended use may still be added.",
            icon=":material/lock:",
        )
    stored: Mapping[str, Any] = protocol_to_plain(study.protocol)
    begun = begun_with(f"protocol {study.key}", study, stored, widget="title")
    left, right = st.columns([5, 6], gap="large")
    with left:
        protocol = _form(repository, study, begun)
        _model(study)
        _file(study, begun, protocol)
    if begun.seen.protocol_version != study.protocol_version and protocol == begun.seen.protocol:
        _begin_again(study)  # nothing was edited here: the newer version comes into the fields
        st.rerun()
    with right:
        _save(repository, study, begun, protocol)
        st.subheader("Preview")
        preview(study, protocol or study.protocol)


#: The form: the study as it stood, and the plain values of the fields.
_Begun = Begun[Study, Mapping[str, Any]]


def _form(repository: Repository, study: Study, begun: _Begun) -> Protocol | None:
    """Every field in its group; the protocol that they make, or None with a message at every wrong field."""
    plain: dict[str, Any] = json.loads(json.dumps(begun.fields))
    errors: dict[str, InputError] = {}
    places: dict[str, Any] = {}
    cohorts = repository.cohorts(study.key)
    shown_errors = st.empty()
    for tab, fields in zip(st.tabs(list(GROUPS)), GROUPS.values(), strict=True):
        with tab:
            for field in fields:
                value = get(begun.fields, field.name)
                is_off = is_frozen(field, is_draft=study.state is StudyState.DRAFT)
                is_off |= field.name == "scale.words" and plain["scale"]["kind"] != "ordinal"
                try:
                    key = f"{begun.key} {field.name}"
                    put(plain, field.name, draw_field(field, value, key=key, cohorts=cohorts, is_off=is_off))
                except InputError as error:
                    errors[field.name] = error
                places[field.name] = st.empty()
    if plain["scale"]["kind"] != "ordinal":
        plain["scale"]["words"] = []
    protocol = protocol_or_errors(plain, protocol_to_plain(begun.seen.protocol), errors)
    for name, found in errors.items():
        if name in places:
            places[name].error(at_the_field(found))
    if errors:
        where = ", ".join(dict.fromkeys(group_of(name) for name in errors if name)) or "the form"
        texts = " ".join(str(found) for name, found in errors.items() if not name)
        shown_errors.error(f"Not ready to be saved: see {where}. {texts}".strip())
    return protocol


def _begin_again(study: Study, fields: Mapping[str, Any] | None = None) -> None:
    """Fill every field anew: with what is stored now, or with other values that are to be saved over it."""
    fresh = protocol_to_plain(study.protocol) if fields is None else fields
    begin_again(f"protocol {study.key}", study, fresh, is_unsaved=fields is not None)


def _save(repository: Repository, study: Study, begun: _Begun, protocol: Protocol | None) -> None:
    """What would change, and the button that stores it as a new version."""
    edited = protocol or begun.seen.protocol
    changes = protocol_diff(begun.seen.protocol, edited)
    frozen = [] if study.state is StudyState.DRAFT else frozen_changes(begun.seen.protocol, edited)
    with st.container(horizontal=True, vertical_alignment="center"):
        is_ready = bool(changes) and not frozen
        is_pressed = st.button("Save as a new version", type="primary", icon=":material/save:", disabled=not is_ready)
        if changes or protocol is None:
            st.button("Discard the changes", icon=":material/undo:", on_click=_begin_again, args=(study,))
        n = len(changes)
        said = "Nothing differs from" if not n else f"{n} {'field differs' if n == 1 else 'fields differ'} from"
        st.caption(f"{said} the stored version {begun.seen.protocol_version}." if protocol is not None else "")
    if is_pressed:
        with refusals_shown():
            saved = repository.update_protocol(study.key, edited, expected_version=begun.seen.protocol_version)
            _begin_again(saved)
            st.session_state[_SAVED] = f"Saved as version {saved.protocol_version}."
            st.rerun()
    if begun.seen.protocol_version != study.protocol_version:
        _tell_others(repository, study, begun, protocol)
    if frozen:
        names = ", ".join(each.field for each in frozen)
        st.error(
            f"The study was opened: {names} cannot change any more. Make a copy of the study for another protocol."
        )
    if changes:
        with st.expander(f"Difference to version {begun.seen.protocol_version}", icon=":material/difference:"):
            _table(changes, "stored", "here")


def _tell_others(repository: Repository, study: Study, begun: _Begun, protocol: Protocol | None) -> None:
    """Another version was saved while this one was edited: what it changed, and the ways on. Nothing typed is lost."""
    theirs = protocol_diff(begun.seen.protocol, study.protocol)
    events = repository.audit_trail(study.key, limit=100)
    by = next((f" by {each.actor}" for each in reversed(events) if each.action == "study.protocol"), "")
    with st.container(border=True):
        st.warning(
            f"Version {study.protocol_version} was saved{by} while version {begun.seen.protocol_version} was edited "
            "here. What you typed is kept, and cannot be saved over it unseen."
        )
        _table(theirs, f"version {begun.seen.protocol_version}", f"version {study.protocol_version}")
        mine = {each.field for each in protocol_diff(begun.seen.protocol, protocol or begun.seen.protocol)}
        if both := [each.field for each in theirs if each.field in mine]:
            st.caption(f"Changed by both: {', '.join(both)}. Yours stays in the field; saving it is your decision.")
        st.button(
            "Take these changes into my fields", type="primary", disabled=protocol is None,
            help="what you changed stays as you have it; then look, and save",
            on_click=_begin_again, args=(study, _together(study, begun, protocol)),
        )  # fmt: skip


def _together(study: Study, begun: _Begun, protocol: Protocol | None) -> dict[str, Any]:
    """The stored protocol with what was changed here laid over it, field by field."""
    merged, before = protocol_to_plain(study.protocol), protocol_to_plain(begun.seen.protocol)
    mine = protocol_to_plain(protocol or begun.seen.protocol)
    for fields in GROUPS.values():
        for field in fields:
            if get(mine, field.name) != get(before, field.name):
                put(merged, field.name, get(mine, field.name))
    return merged


def _table(changes: Sequence[Difference], before: str, after: str) -> None:
    """Differences of two protocols."""
    rows = [(each.field, _shown(each.before), _shown(each.after)) for each in changes]
    table = pd.DataFrame(rows, columns=["field", before, after])
    st.dataframe(table, hide_index=True, width="stretch", row_height=35)


def _shown(value: object) -> str:
    """A plain value in a cell."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _model(study: Study) -> None:
    """The one field that is chosen on another screen."""
    declared = study.protocol.model_sha256
    with st.container(horizontal=True, vertical_alignment="center"):
        said = f"declared, SHA-256 `{declared[:12]}`" if declared else "none is declared yet"
        st.markdown(f"Model that meets the readers: {said}", width="content")
        link_to("model", "Choose it", icon=":material/memory:", study=study)


def _file(study: Study, begun: _Begun, protocol: Protocol | None) -> None:
    """The same protocol as a YAML file, out and in."""
    with st.expander("Protocol as a file (YAML)", icon=":material/description:"):
        shown = protocol or study.protocol
        st.download_button(
            "Download what the fields hold" if protocol is not None else "Download the stored version",
            write_protocol(shown), f"{study.key}-protocol.yaml", "application/yaml", on_click="ignore",
            icon=":material/download:",
        )  # fmt: skip
        sent = st.file_uploader(
            "Open a file in the fields", type=["yaml", "yml"],
            key=f"{begun.key} file",
            disabled=study.state is not StudyState.DRAFT, help="nothing is stored before you save",
        )  # fmt: skip
        if sent is not None:
            _open(study, sent.name, sent.getvalue())
        st.code(write_protocol(shown, has_defaults=False), language="yaml", height=240)


def _open(study: Study, name: str, content: bytes) -> None:
    """Fill the fields from a file; its model is left out, which is chosen among the registered ones."""
    with refusals_shown():
        protocol = protocol_of_file(name, content)
        plain = {**protocol_to_plain(protocol), "model_sha256": study.protocol.model_sha256}
        _begin_again(study, protocol_to_plain(protocol_from_plain(plain)))
        st.rerun()
