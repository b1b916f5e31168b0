"""The reading screen as readers will see it, on a picture that is nobody's; answers given here go nowhere."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from core.protocol import Protocol
from core.protocol_file import write_protocol
from core.study import Presentation, Study
from db.records import ReadingImage, ReadingView
from pages.widgets.reading_panel import PanelCase, PanelReceipt, ReceiptState, reading_panel

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
    name = f"preview {hashlib.sha256(write_protocol(protocol).encode()).hexdigest()[:12]}"
    case = PanelCase(Presentation(name, protocol.arms[0], 1, 20), 0)
    images = {name: ReadingImage((ReadingView(neutral_picture(), "counts"),))}
    receipt = st.session_state.pop(_RECEIPT, None)
    st.html(_STYLE)
    with st.container(key="reading_preview"), st.container(key="reading_preview_window"):
        reading_panel(case, replace(study, protocol=protocol), receipt, images, _on_message)
    st.caption("This is the real screen on a drawn picture. What you answer here is not stored anywhere.")


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
