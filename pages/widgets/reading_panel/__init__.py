"""The reading panel: image, answer and keys in one component, so that no keystroke waits for the server.

The browser part stands in ``panel.html``, ``panel.css``, ``viewer.js``, ``states.js``, ``keys.js``, ``clock.js`` and
``panel.js``. Every run of the script hands it one byte string over the websocket (never a media address), with the
images that it does not hold yet: this case's and the next ones'. Every answer comes back as one message with its own
``submit_id``, and the panel says "saved" only after a receipt with the same ``submit_id``.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np
import streamlit as st

from core.client_events import kept_claim, read_events
from core.errors import InputError
from core.imaging import default_window
from core.protocol import Display
from core.study import Answer, Presentation, Study
from db.records import ReadingImage, ReadingView
from pages.door.addresses import address
from pages.door.reading import PULSE_PATH, SHOWN_PATH

_FOLDER = Path(__file__).parent
#: Key of the component in the session state.
PANEL_KEY = "reading_panel"
#: Largest accepted comment, in characters; the panel's text field has the same limit.
MAX_COMMENT_LENGTH = 2000
_MOST_HELD = 100
_VIEW_HEADER_BYTES = 500


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

    kind: Literal["answer", "correct", "cancel", "images", "look"]
    submit_id: str
    presentation_id: str
    expected_revision: int = 0
    answer: Answer | None = None
    have: frozenset[str] = frozenset()  # presentations whose images are in the browser


@dataclass(frozen=True)
class PanelCase:
    """What the panel shows: one presentation and nothing that names the case."""

    presentation: Presentation
    n_done: int  # presentations with a saved reading
    revision: int = 0  # revision on the screen: 0 for an unread case
    previous: Answer | None = None  # the saved answer when it is being corrected
    can_correct: bool = False  # there is a last answer that the protocol lets the reader correct
    ahead: tuple[Presentation, ...] = ()  # what comes next


def pack_frame(
    case: PanelCase, study: Study, receipt: PanelReceipt | None, images: Mapping[str, ReadingImage]
) -> bytes:
    """Byte string for the browser: header length (uint32, little endian), JSON header, pixels row by row.

    Parameters
    ----------
    case : PanelCase
        What is on the screen now, and what comes next.
    study : Study
        Question, classes and scale.
    receipt : PanelReceipt or None
        Reply to the last message.
    images : mapping
        By presentation: the images that the browser does not hold yet.

    Raises
    ------
    InputError
        If the pixels are not an array that the panel shows.
    """
    protocol = study.protocol
    header = {
        **_case_header(case.presentation, case.revision, case.previous),
        "done": case.n_done,
        "can_correct": case.can_correct,
        "ahead": [_case_header(presentation) for presentation in case.ahead],
        "question": protocol.question,
        "classes": [{"key": disease.key, "label": disease.label} for disease in protocol.classes],
        "confidence": list(protocol.scale.words),
        "receipt": None if receipt is None else asdict(receipt),
        "pulse_address": address(f"{PULSE_PATH}/{quote(study.key, safe='')}"),
        "shown_address": address(SHOWN_PATH),
    }
    about = [
        {"presentation_id": name, "views": [_view_header(view, protocol.display) for view in image.views]}
        for name, image in images.items()
    ]
    views = [view for image in images.values() for view in image.views]
    # Blanks, so that the length of a frame tells nothing of an image.
    room = len(json.dumps(header).encode()) + _VIEW_HEADER_BYTES * (1 + len(views))
    text = json.dumps({**header, "images": about}).encode().ljust(room)
    return struct.pack("<I", len(text)) + text + b"".join(_pixel_bytes(view.pixels) for view in views)


def _case_header(presentation: Presentation, revision: int = 0, previous: Answer | None = None) -> dict[str, Any]:
    """What the panel must know of one case."""
    return {
        "presentation_id": presentation.presentation_id,
        "draft_key": f"{presentation.presentation_id}:{revision}",
        "position": presentation.position,
        "count": presentation.count,
        "revision": revision,
        "mode": "read" if previous is None else "correct",
        "previous": previous
        and {
            "class_key": previous.class_key,
            "confidence": previous.confidence,
            "comment": previous.comment,
            "is_unreadable": previous.is_unreadable,
        },
    }


def _view_header(view: ReadingView, display: Display) -> dict[str, Any]:
    """What the panel must know of one view of one case."""
    pixels = view.pixels
    is_colour = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8
    if not is_colour and (pixels.ndim != 2 or pixels.dtype not in (np.uint8, np.uint16)):
        raise InputError(
            "the panel shows (height, width) arrays of uint8 or uint16, and (height, width, 3) of uint8",
            field="pixels",
            value=f"{pixels.dtype} {pixels.shape}",
        )
    low, high = (0.0, 255.0) if is_colour else default_window(pixels)
    return {
        "name": view.name,
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "bits": 8 * pixels.dtype.itemsize,
        "channels": 3 if is_colour else 1,
        "unit": view.unit,
        "spacing_mm": view.pixel_spacing_mm,
        "left_side": view.left_side,
        "display": {
            "lower": low + display.lower_percent / 100 * (high - low),
            "upper": low + display.upper_percent / 100 * (high - low),
            "table": display.colour_table.replace("-", " "),
            "is_smooth": display.is_smooth,
        },
    }


def _pixel_bytes(pixels: np.ndarray) -> bytes:
    """Rows of pixels, little endian."""
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<")).tobytes()


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
    if kind not in ("answer", "correct", "cancel", "images", "look"):
        raise InputError("unknown message of the reading panel", field="kind", value=kind)
    answer = None
    if kind == "answer":
        comment = take("comment", str)
        if not _is_storable(comment):
            raise InputError("the comment holds characters that no store takes", field="comment")
        if len(comment) > MAX_COMMENT_LENGTH:
            raise InputError("the comment is too long", field="comment", fix=f"use {MAX_COMMENT_LENGTH} characters")
        seconds, events = kept_claim(value.get("reading_seconds"), read_events(value.get("events")))
        is_unreadable = take("is_unreadable", bool)
        answer = Answer(
            class_key=None if is_unreadable else take("class_key", str),
            confidence=None if is_unreadable else take("confidence", int),
            comment=comment,
            is_unreadable=is_unreadable,
            unreadable_reason=str(value.get("unreadable_reason") or "not said") if is_unreadable else "",
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
    have = value.get("have", [])
    if not isinstance(have, list) or len(have) > _MOST_HELD or not all(isinstance(name, str) for name in have):
        raise InputError("a message of the reading panel is incomplete", field="have")
    # Who asks for images has lost them.
    return PanelMessage(kind, submit_id, presentation_id, revision, answer, frozenset(() if kind == "images" else have))


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
    js=_text("viewer.js", "states.js", "keys.js", "clock.js", "panel.js"),
)


def reading_panel(
    case: PanelCase,
    study: Study,
    receipt: PanelReceipt | None,
    images: Mapping[str, ReadingImage],
    on_message: Callable[[Any], None],
) -> Any:
    """Draw the panel; ``on_message`` gets what the browser sent, before the script runs again.

    Returns
    -------
    object
        What the browser sent with this run. In the first run of a browser session nothing was drawn before, and
        ``on_message`` is not called for it.
    """

    def on_sent() -> None:
        on_message(st.session_state[PANEL_KEY].sent)

    frame = pack_frame(case, study, receipt, images)
    return _component(key=PANEL_KEY, data=frame, on_sent_change=on_sent).sent
