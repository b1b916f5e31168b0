"""The reading panel: image, answer and keys in one component, so that no keystroke waits for the server.

The browser part stands in ``panel.html``, ``panel.css`` and the scripts of :data:`SCRIPTS`, which the browser keeps
(:mod:`pages.door.kept_scripts`). Every run of the script hands it one byte string over the websocket (never a media
address), with the images that it does not hold yet: this case's and the next ones'. Every answer goes by a route of
its own with its own ``submit_id``, and the panel says "saved" only after a receipt with the same ``submit_id``
(:mod:`pages.door.answers`).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import streamlit as st
from PIL import Image

from core.errors import InputError
from core.imaging import default_window
from core.model.preprocessing import square_to_image_box
from core.protocol import Arm, Design, Display, GoingBack, Protocol
from core.protocol_text import reader_instructions
from core.study import NO_ANSWER_IN_TIME, Answer, Presentation, Study
from db.records import ModelAnswer, ReadingImage, ReadingView
from pages.door.addresses import address
from pages.door.answers import PanelReceipt
from pages.door.kept_scripts import kept_component
from pages.door.reading import ANSWER_PATH, EVENTS_PATH, KEYS_PATH, PULSE_PATH, SHOWN_PATH
from pages.door.security import SIGN_IN_PATH

_FOLDER = Path(__file__).parent
#: In the order in which they are put together.
SCRIPTS = ("viewer.js", "views.js", "states.js", "keys.js", "clock.js", "form.js", "cards.js", "sent.js", "panel.js")
#: Key of the component in the session state.
PANEL_KEY = "reading_panel"
_VIEW_HEADER_BYTES = 500
_MAP_SIDE = 160


@dataclass(frozen=True)
class PanelModel:
    """What an aided reader is shown of the model."""

    name: str
    class_key: str
    probabilities: tuple[float, ...] | None  # in protocol order
    levels: np.ndarray | None  # (classes in protocol order, h, w) uint8: the evidence for each class, over the view
    view: int = 0  # the view that the model saw, from 0

    @classmethod
    def of(cls, shown: ModelAnswer, views: Sequence[ReadingView], model_view: str = "") -> PanelModel:
        """The model's answer, its class maps on the picture of the view that it saw (empty: the first)."""
        names = [view.name for view in views]
        place = names.index(model_view) if model_view in names else 0
        maps = shown.class_maps
        levels = None if maps is None else _levels_on(np.asarray(maps, np.float32), views[place])
        return cls(shown.name, shown.class_key, shown.probabilities, levels, place)


def _levels_on(maps: np.ndarray, view: ReadingView) -> np.ndarray:
    """Class maps (k, h, w) over a view, uint8: 255 is the strongest evidence for any class, nothing negative is shown.

    A map covers the square that the picture was padded to; the picture lies in the middle of the view. A view of more
    than :data:`_MAP_SIDE` pixels has maps of so many, which the browser enlarges: a map itself has a few dozen.
    """
    shrink = min(1.0, _MAP_SIDE / max(view.pixels.shape[:2]))
    rows, columns = (max(1, round(shrink * size)) for size in view.pixels.shape[:2])
    above, left = (round(shrink * at) for at in view.origin)
    height, width = max(1, rows - 2 * above), max(1, columns - 2 * left)
    side = max(height, width)
    first_row, first_column, end_row, end_column = (round(side * part) for part in square_to_image_box(height, width))
    top = max(float(maps.max()), 1e-9)
    levels = np.zeros((len(maps), rows, columns), np.uint8)
    for level, evidence in zip(levels, (255 * np.clip(maps / top, 0, 1)).astype(np.uint8), strict=True):
        square = np.asarray(Image.fromarray(evidence).resize((side, side), Image.Resampling.BILINEAR))
        level[above : above + height, left : left + width] = square[first_row:end_row, first_column:end_column]
    return levels


@dataclass(frozen=True)
class PanelCase:
    """What the panel shows: one presentation and nothing that names the case."""

    presentation: Presentation
    n_done: int  # presentations with a saved reading
    revision: int = 0  # revision on the screen: 0 for an unread case
    previous: Answer | None = None  # the saved answer when it is being corrected
    can_correct: bool = False  # there is a last answer that the protocol lets the reader correct
    ahead: tuple[Presentation, ...] = ()  # what comes next
    model: PanelModel | None = None  # in an aided arm, for this case alone
    reader: str = ""  # a name for whose keys these are
    own_keys: Mapping[str, str] = field(default_factory=dict)  # that this reader gave to what the panel does
    is_preview: bool = False  # answers go nowhere


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
    header = {
        **_case_header(case.presentation, study.protocol, case.revision, case.previous),
        **_study_header(study),
        "done": case.n_done,
        "can_correct": case.can_correct,
        "ahead": [_case_header(presentation, study.protocol) for presentation in case.ahead],
        "model": None if case.model is None else _model_header(case.model),
        "reader": case.reader,
        "own_keys": dict(case.own_keys),
        "receipt": None if receipt is None else asdict(receipt),
        "pulse_address": address(f"{PULSE_PATH}/{quote(study.key, safe='')}"),
        "shown_address": address(SHOWN_PATH),
        "events_address": address(EVENTS_PATH),
        "answer_address": "" if case.is_preview else address(ANSWER_PATH),
        "keys_address": "" if case.is_preview else address(KEYS_PATH),
        "sign_in_address": address(SIGN_IN_PATH),
    }
    about = [
        {"presentation_id": name, "views": [_view_header(view, study.protocol.display) for view in image.views]}
        for name, image in images.items()
    ]
    views = [view for image in images.values() for view in image.views]
    # Blanks, so that the length of a frame tells nothing of an image.
    room = len(json.dumps(header).encode()) + _VIEW_HEADER_BYTES * (1 + len(views))
    text = json.dumps({**header, "images": about}).encode().ljust(room)
    body = [_pixel_bytes(view.pixels) for view in views]
    if case.model is not None and case.model.levels is not None:
        body.append(_pixel_bytes(case.model.levels))
    return struct.pack("<I", len(text)) + text + b"".join(body)


def _study_header(study: Study) -> dict[str, Any]:
    """What the panel must know of the protocol."""
    protocol, scale = study.protocol, study.protocol.scale
    return {
        "study": study.key,
        "question": protocol.question,
        "instructions": reader_instructions(protocol),
        "classes": [{"key": disease.key, "label": disease.label} for disease in protocol.classes],
        "scale": {"kind": scale.kind, "words": list(scale.words)},
        "may_go_back": protocol.may_revise,
        "may_go_back_further": protocol.going_back is GoingBack.ANY,
        "may_comment": protocol.may_comment,
        "may_mark_unreadable": protocol.may_mark_unreadable,
        "may_type_ahead": protocol.may_type_ahead,
        "has_location_mark": protocol.has_location_mark,
        "timeout_s": protocol.timeout_seconds,
        "no_answer_in_time": NO_ANSWER_IN_TIME,
        "blank_ms": round(1000 * protocol.blank_seconds),
        "conditions": asdict(protocol.conditions),
        "model_name": protocol.model_shown.name if Arm.AIDED in protocol.arms else "",
    }


def case_number(position: int, protocol: Protocol) -> int:
    """The number by which a reader knows the case at a position: both halves of a sequential case have one."""
    return -(-position // protocol.answers_at_once)


def _case_header(
    presentation: Presentation, protocol: Protocol, revision: int = 0, previous: Answer | None = None
) -> dict[str, Any]:
    """What the panel must know of one case."""
    # The training cases that every period begins with are a block of their own, and no part for their reader.
    has_training = protocol.training_cohort is not None
    n_periods = 2 if protocol.design is Design.CROSSOVER else 1
    return {
        "presentation_id": presentation.presentation_id,
        "draft_key": f"{presentation.presentation_id}:{revision}",
        "position": presentation.position,
        "count": presentation.count,
        "number": case_number(presentation.position, protocol),
        "total": case_number(presentation.count, protocol),
        "arm": presentation.arm,
        "block": presentation.block - (presentation.period if has_training else 0),
        "n_blocks": presentation.n_blocks - (n_periods if has_training else 0),
        "is_training": presentation.is_training,
        "left_s": presentation.seconds_left,
        "revision": revision,
        "mode": "read" if previous is None else "correct",
        "previous": previous and _draft_of(previous),
    }


def _draft_of(answer: Answer) -> dict[str, Any]:
    """A stored answer as the form holds it: probabilities in whole percent that sum to 100."""
    shares = None
    if answer.probabilities is not None:
        shares = [round(100 * value) for value in answer.probabilities]
        shares[shares.index(max(shares))] += 100 - sum(shares)
    return {
        "class_key": answer.class_key,
        "confidence": answer.confidence,
        "probabilities": shares,
        "comment": answer.comment,
        "is_unreadable": answer.is_unreadable,
        "unreadable_reason": answer.unreadable_reason,
        "marks": [asdict(mark) for mark in answer.marks],
    }


def _model_header(model: PanelModel) -> dict[str, Any]:
    """What the panel says of the model."""
    return {
        "name": model.name,
        "class_key": model.class_key,
        "probabilities": None if model.probabilities is None else list(model.probabilities),
        "has_map": model.levels is not None,
        "map": None if model.levels is None else dict(zip(("height", "width"), model.levels.shape[1:], strict=True)),
        "map_view": model.view,
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


def _text(*names: str) -> str:
    """Text of the files in this folder, one after the other.

    Comments and indentation stay here; no string of these files has two lines.
    """
    lines = [line.strip() for name in names for line in (_FOLDER / name).read_text(encoding="utf-8").splitlines()]
    return "\n".join(line for line in lines if line and not line.startswith("//"))


_component = kept_component("reading_panel", _text(*SCRIPTS), html=_text("panel.html"), css=_text("panel.css"))


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
        if PANEL_KEY in st.session_state:  # else the session does not know the panel yet
            on_message(st.session_state[PANEL_KEY].sent)

    frame = pack_frame(case, study, receipt, images)
    return _component(key=PANEL_KEY, data=frame, on_sent_change=on_sent).sent
