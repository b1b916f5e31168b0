"""The reading screen as readers will see it, on a picture that is nobody's; answers given here go nowhere."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from actions.uploads import Upload, laid_out
from core.imaging import load_image
from core.protocol import Arm, Protocol
from core.protocol_file import write_protocol
from core.study import Presentation, Study
from db.records import ModelAnswer, ReadingImage, ReadingView
from pages.door.answers import PanelReceipt, ReceiptState
from pages.widgets.guard import refusals_shown
from pages.widgets.reading_panel import PanelCase, PanelModel, reading_panel

_RECEIPT = "preview_receipt"

#: The panel fills a window; here the whole window is drawn smaller, so that every proportion is the reader's.
_STYLE = """<style>
.st-key-reading_preview { height: 53vh; overflow: hidden; container-type: inline-size; border: 1px solid #454b53;
  border-radius: 8px; }
.st-key-reading_preview_window { position: relative; width: 100vw; height: 100vh; max-width: none; flex: none;
  transform-origin: 0 0; transform: scale(tan(atan2(100cqi, 100vw))); }
</style>"""


def preview(study: Study, protocol: Protocol) -> None:
    """The real panel with a protocol that may not be stored yet; another protocol begins the case anew."""
    st.html(_STYLE)
    room = st.container()
    sent = st.file_uploader(
        "Preview with a picture of yours", type=["png", "jpg", "jpeg", "dcm"], key=f"preview picture {study.key}",
        help="JPEG, PNG or DICOM; it is shown here and kept nowhere",
    )  # fmt: skip
    view = ReadingView(neutral_picture(), "counts")
    if sent is not None:
        with refusals_shown():
            view = _view_of(sent)
    arms = protocol.arms
    is_aided = arms == (Arm.AIDED,) or (
        Arm.AIDED in arms and room.toggle("Show it with the model", key=f"preview aided {study.key}")
    )
    shown = hashlib.sha256(write_protocol(protocol).encode() + view.pixels.tobytes()).hexdigest()
    name = f"preview {shown[:12]}"
    arm = Arm.AIDED if is_aided else Arm.UNAIDED
    name += f" {arm}"
    model = _made_up_model(protocol, view) if is_aided else None
    case = PanelCase(Presentation(name, arm, 1, 20), 0, model=model, is_preview=True)
    images = {name: ReadingImage((view,))}
    receipt = st.session_state.pop(_RECEIPT, None)
    with room, st.container(key="reading_preview"), st.container(key="reading_preview_window"):
        reading_panel(case, replace(study, protocol=protocol), receipt, images, _on_message)
    room.caption("This is the real screen. What you answer here is not stored anywhere.")


def _made_up_model(protocol: Protocol, view: ReadingView) -> PanelModel:
    """An answer of no model, in the form that the protocol shows."""
    n, shown = len(protocol.classes), protocol.model_shown
    rest = [0.2 * 0.5**place for place in range(n - 1)]
    probabilities = (1 - sum(rest), *rest)
    maps = np.zeros((n, 8, 8), np.float16)
    maps[0, 2:4, 1:4] = 1.0
    maps[1, 4:6, 4:7] = 0.6
    answer = ModelAnswer(
        name=shown.name,
        class_key=protocol.class_keys[0],
        probabilities=probabilities if shown.has_probabilities else None,
        class_maps=maps if shown.has_class_map else None,
    )
    return PanelModel.of(answer, (view,))


def _view_of(sent: Upload) -> ReadingView:
    """A picture that was sent, read as at import.

    Raises
    ------
    ImageError
        If it cannot be taken.
    """
    with laid_out([sent]) as (path,):
        image = load_image(path)
    return ReadingView(image.pixels, "counts" if image.file_format == "DICOM" else "grey")


def neutral_picture() -> np.ndarray:
    """Counts of no organ: discs and a bar of rising brightness on a warm ground, (128, 128) uint16."""
    y, x = np.mgrid[:128, :128]
    mean = np.full((128, 128), 6.0)
    for number, (row, column) in enumerate([(40, 36), (40, 64), (40, 92)], 1):
        mean += 40 * number * ((y - row) ** 2 + (x - column) ** 2 < 11**2)
    mean += ((y > 84) & (y < 96)) * np.clip(x - 14, 0, 100) * ((x > 14) & (x < 114))
    return np.random.default_rng(1).poisson(mean).astype(np.uint16)


def _on_message(value: Any) -> None:
    """Tell the panel that nothing was stored."""
    if isinstance(value, dict) and isinstance(value.get("submit_id"), str):
        is_answer = value.get("kind") == "answer"
        text = "Preview: here the answer would be stored. Nothing was." if is_answer else ""
        state = ReceiptState.REFUSED if is_answer else ReceiptState.DONE
        st.session_state[_RECEIPT] = PanelReceipt(value["submit_id"], state, text)
