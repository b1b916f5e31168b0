"""The reading panel: image, answer and keys in one component, so that no keystroke waits for the server.

The browser part stands in ``panel.html``, ``panel.css``, ``viewer.js``, ``states.js``, ``keys.js`` and ``panel.js``.
Every run of the script hands it one byte string over the websocket (never a media address); every answer comes back as
one message with its own ``submit_id``, and the panel says "saved" only after a receipt with the same ``submit_id``.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import numpy as np
import streamlit as st

from core.client_events import kept_claim, read_events
from core.errors import InputError
from core.imaging import default_window
from core.protocol import Protocol
from core.study import Answer, Presentation
from pages.door.addresses import address

_FOLDER = Path(__file__).parent
#: Key of the component in the session state.
PANEL_KEY = "reading_panel"
#: Largest accepted comment, in characters; the panel's text field has the same limit.
MAX_COMMENT_LENGTH = 2000


class ReceiptState(StrEnum):
    """What became of a message from the panel."""

    SAVED = "saved"  # on disk
    DONE = "done"  # a request that saves nothing (go back, cancel) was followed
    REFUSED = "refused"  # will never be saved; the message says why
    TRY_AGAIN = "try-again"  # not saved, and sending the same again is safe


@dataclass(frozen=True)
class PanelReceipt:
    """The server's reply to one message; ``message`` is shown to the reader."""

    submit_id: str
    state: ReceiptState
    message: str = ""
    code: str = ""  # first four digits of the id of the stored reading
    saved_at: str = ""  # ISO 8601, UTC


@dataclass(frozen=True)
class PanelMessage:
    """One message of the panel. ``answer`` is None unless ``kind`` is "answer"."""

    kind: Literal["answer", "correct", "cancel"]
    submit_id: str
    presentation_id: str
    expected_revision: int = 0
    answer: Answer | None = None


@dataclass(frozen=True)
class PanelCase:
    """What the panel shows: one presentation and nothing that names the case."""

    presentation: Presentation
    pixels: np.ndarray  # (height, width), uint8 or uint16
    n_done: int  # presentations with a saved reading
    revision: int = 0  # revision on the screen: 0 for an unread case
    previous: Answer | None = None  # the saved answer when it is being corrected
    can_correct: bool = False  # there is a last answer that the protocol lets the reader correct
    pixel_spacing_mm: float | None = None


def pack_frame(case: PanelCase, protocol: Protocol, receipt: PanelReceipt | None) -> bytes:
    """Byte string for the browser: header length (uint32, little endian), JSON header, pixels row by row.

    Raises
    ------
    InputError
        If the pixels are not a (height, width) array of uint8 or uint16.
    """
    pixels = case.pixels
    if pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16):
        raise InputError(
            "the panel shows (height, width) arrays of uint8 or uint16", field="pixels", value=pixels.dtype
        )
    bits = 8 * pixels.dtype.itemsize
    low, high = default_window(pixels)
    previous = None
    if case.previous is not None:
        previous = {
            "class_key": case.previous.class_key,
            "confidence": case.previous.confidence,
            "comment": case.previous.comment,
            "is_unreadable": case.previous.is_unreadable,
        }
    header = {
        "mode": "read" if case.previous is None else "correct",
        "draft_key": f"{case.presentation.presentation_id}:{case.revision}",
        "presentation_id": case.presentation.presentation_id,
        "position": case.presentation.position,
        "count": case.presentation.count,
        "done": case.n_done,
        "revision": case.revision,
        "question": protocol.question,
        "classes": [{"key": disease.key, "label": disease.label} for disease in protocol.classes],
        "confidence": list(protocol.scale.words),
        "previous": previous,
        "can_correct": case.can_correct,
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "bits": bits,
        "unit": "grey" if bits == 8 else "counts",
        "spacing_mm": case.pixel_spacing_mm,
        "view": {"centre": (low + high) / 2, "width": high - low, "table": "inverse grey"},
        "receipt": None if receipt is None else asdict(receipt),
        "health": address("/_stcore/health"),
    }
    text = json.dumps(header, ensure_ascii=False).encode()
    little_endian = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    return struct.pack("<I", len(text)) + text + little_endian.tobytes()


def read_message(value: Any) -> PanelMessage:
    """Message of the panel from what the browser sent; nothing in it is trusted.

    Raises
    ------
    InputError
        If a field is missing or of the wrong type.
    """
    if not isinstance(value, dict):
        raise InputError("a message of the reading panel must be an object", value=type(value).__name__)

    def take(name: str, kind: type) -> Any:
        found = value.get(name)
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise InputError("a message of the reading panel is incomplete", field=name, fix="reload the page")
        return found

    kind = take("kind", str)
    if kind not in ("answer", "correct", "cancel"):
        raise InputError("unknown message of the reading panel", field="kind", value=kind)
    answer = None
    if kind == "answer":
        comment = take("comment", str)
        if not _is_storable(comment):
            raise InputError("the comment holds characters that no store takes", field="comment")
        if len(comment) > MAX_COMMENT_LENGTH:
            raise InputError("the comment is too long", field="comment", fix=f"use {MAX_COMMENT_LENGTH} characters")
        seconds, events = kept_claim(value.get("reading_seconds"), read_events(value.get("events")))
        answer = Answer(
            class_key=take("class_key", str),
            confidence=take("confidence", int),
            comment=comment,
            is_unreadable=take("is_unreadable", bool),
            reading_seconds=seconds,
            display_state=take("display_state", dict),
            events=events,
        )
    submit_id, presentation_id = take("submit_id", str), take("presentation_id", str)
    if not _is_storable(submit_id + presentation_id):
        raise InputError("a message of the reading panel has an impossible id", field="submit_id")
    revision = value.get("expected_revision", 0)
    if not isinstance(revision, int):
        raise InputError("a message of the reading panel is incomplete", field="expected_revision")
    return PanelMessage(kind, submit_id, presentation_id, revision, answer)


def _is_storable(text: str) -> bool:
    """Whether every store takes this text: no NUL, no half of a surrogate pair."""
    return not any(sign == "\x00" or "\ud800" <= sign <= "\udfff" for sign in text)


def _text(*names: str) -> str:
    """Text of the files in this folder, one after the other."""
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in names)


_component = st.components.v2.component(
    "reading_panel",
    html=_text("panel.html"),
    css=_text("panel.css"),
    js=_text("viewer.js", "states.js", "keys.js", "panel.js"),
)


def reading_panel(
    case: PanelCase, protocol: Protocol, receipt: PanelReceipt | None, on_message: Callable[[Any], None]
) -> None:
    """Draw the panel; ``on_message`` gets what the browser sent, before the script runs again."""

    def on_sent() -> None:
        on_message(st.session_state[PANEL_KEY].sent)

    _component(key=PANEL_KEY, data=pack_frame(case, protocol, receipt), on_sent_change=on_sent)
