"""The set-up screen: one protocol, edited, previewed as readers will see it, compared with the stored one, saved."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.errors import InputError
from core.protocol import Protocol
from core.protocol_file import (
    frozen_changes,
    protocol_diff,
    protocol_from_plain,
    protocol_to_plain,
    write_protocol,
)
from core.study import Role, Study, StudyState
from db import Repository
from pages.widgets.elsewhere import is_read_elsewhere
from pages.widgets.guard import refusals_shown, requires
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
    left, right = st.columns([5, 6], gap="large")
    with left:
        protocol = _form(repository, study)
        _model(study)
        _file(study, protocol)
    with right:
        _save(repository, study, protocol)
        st.subheader("Preview")
        preview(study, protocol or study.protocol)


def _form(repository: Repository, study: Study) -> Protocol | None:
    """Every field in its group; the protocol that they make, or None with a message at every wrong field."""
    base = _base(study)
    plain: dict[str, Any] = json.loads(json.dumps(base))
    errors: dict[str, InputError] = {}
    places: dict[str, Any] = {}
    cohorts = repository.cohorts(study.key)
    prefix = f"{study.key} {study.protocol_version} {st.session_state.get(_round_key(study), 0)}"
    shown_errors = st.empty()
    for tab, fields in zip(st.tabs(list(GROUPS)), GROUPS.values(), strict=True):
        with tab:
            for field in fields:
                value = get(base, field.name)
                is_off = is_frozen(field, is_draft=study.state is StudyState.DRAFT)
                is_off |= field.name == "scale.words" and plain["scale"]["kind"] != "ordinal"
                try:
                    key = f"{prefix} {field.name}"
                    put(plain, field.name, draw_field(field, value, key=key, cohorts=cohorts, is_off=is_off))
                except InputError as error:
                    errors[field.name] = error
                places[field.name] = st.empty()
    if plain["scale"]["kind"] != "ordinal":
        plain["scale"]["words"] = []
    protocol = protocol_or_errors(plain, protocol_to_plain(study.protocol), errors)
    for name, found in errors.items():
        if name in places:
            places[name].error(_at_the_field(found))
    if errors:
        where = ", ".join(dict.fromkeys(group_of(name) for name in errors if name)) or "the form"
        texts = " ".join(str(found) for name, found in errors.items() if not name)
        shown_errors.error(f"Not ready to be saved: see {where}. {texts}".strip())
    return protocol


def _at_the_field(error: InputError) -> str:
    """The complaint without the name of the field, under which it stands."""
    text = f"{error.problem[0].upper()}{error.problem[1:]}"
    if isinstance(error.value, str | int | float) and str(error.value).strip():
        text += f" (got {error.value})"
    return f"{text}." + (f" {error.fix[0].upper()}{error.fix[1:]}." if error.fix else "")


def _base(study: Study) -> Mapping[str, Any]:
    """What the fields begin with: a file that was opened here, else what is stored."""
    opened: Mapping[str, Any] | None = st.session_state.get(_opened_key(study))
    return opened if opened is not None else protocol_to_plain(study.protocol)


def _opened_key(study: Study) -> str:
    """In the session state: a protocol from a file, for this version of the study."""
    return f"opened protocol {study.key} {study.protocol_version}"


def _round_key(study: Study) -> str:
    """In the session state: a new number gives every field a fresh widget."""
    return f"protocol round {study.key}"


def _begin_again(study: Study, plain: Mapping[str, Any] | None) -> None:
    """Fill every field anew."""
    st.session_state[_opened_key(study)] = plain
    st.session_state[_round_key(study)] = st.session_state.get(_round_key(study), 0) + 1


def _save(repository: Repository, study: Study, protocol: Protocol | None) -> None:
    """What would change, and the button that stores it as a new version."""
    edited = protocol or study.protocol
    changes = protocol_diff(study.protocol, edited)
    frozen = [] if study.state is StudyState.DRAFT else frozen_changes(study.protocol, edited)
    with st.container(horizontal=True, vertical_alignment="center"):
        is_ready = bool(changes) and not frozen
        if st.button("Save as a new version", type="primary", icon=":material/save:", disabled=not is_ready):
            with refusals_shown():
                saved = repository.update_protocol(study.key, edited)
                st.session_state.pop(_opened_key(study), None)
                st.session_state[_SAVED] = f"Saved as version {saved.protocol_version}."
                st.rerun()
        if changes or protocol is None or st.session_state.get(_opened_key(study)) is not None:
            st.button("Discard the changes", icon=":material/undo:", on_click=_begin_again, args=(study, None))
        n = len(changes)
        said = "Nothing differs from" if not n else f"{n} {'field differs' if n == 1 else 'fields differ'} from"
        st.caption(f"{said} the stored version {study.protocol_version}." if protocol is not None else "")
    if frozen:
        names = ", ".join(each.field for each in frozen)
        st.error(
            f"The study was opened: {names} cannot change any more. Make a copy of the study for another protocol."
        )
    if changes:
        with st.expander(f"Difference to version {study.protocol_version}", icon=":material/difference:"):
            rows = [(each.field, _shown(each.before), _shown(each.after)) for each in changes]
            st.dataframe(
                pd.DataFrame(rows, columns=["field", "stored", "here"]), hide_index=True, width="stretch", row_height=35
            )


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


def _file(study: Study, protocol: Protocol | None) -> None:
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
            key=f"protocol file {study.key} {st.session_state.get(_round_key(study), 0)}",
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
