"""Pictures of cases after unsealing: one large with its class maps, or many small ones.

Opacity, threshold and class change in the browser, without the server. Pixels travel as bytes over the websocket, as
in the reading panel, whose colour tables and window are used.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from core.imaging import default_window
from core.protocol import Display

_FOLDER = Path(__file__).parent
_PANEL = _FOLDER.parent / "reading_panel"


@dataclass(frozen=True)
class SmallCase:
    """One picture of a gallery."""

    case: str
    truth: str  # name of the reference standard
    told: str  # who was right, in marks
    pixels: np.ndarray  # (height, width) uint8 or uint16, or (height, width, 3) uint8


def _text(*paths: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


_viewer = st.components.v2.component(
    "case_viewer",
    html=_text(_FOLDER / "case.html"),
    css=_text(_FOLDER / "case.css"),
    js=_text(_PANEL / "viewer.js", _FOLDER / "draw.js", _FOLDER / "case.js"),
)
_gallery = st.components.v2.component(
    "case_gallery",
    html=_text(_FOLDER / "gallery.html"),
    css=_text(_FOLDER / "gallery.css"),
    js=_text(_PANEL / "viewer.js", _FOLDER / "draw.js", _FOLDER / "gallery.js"),
)


def draw_case(
    case: str,
    pixels: np.ndarray,
    display: Display,
    classes: Sequence[tuple[str, str]],
    *,
    class_maps: np.ndarray | None = None,
    tops: np.ndarray | None = None,
    first: int = 0,
    lesion: np.ndarray | None = None,
    height: int = 420,
) -> None:
    """One case, large.

    Parameters
    ----------
    pixels : array, shape (height, width), uint8 or uint16, or (height, width, 3), uint8
    display : Display
        Of the protocol: how readers first saw it.
    classes : sequence of (str, str)
        Name of each class and what stands beside it.
    class_maps : float array, shape (k, h, w), optional
        Raw maps; what is negative is no evidence.
    tops : float array, shape (k,), optional
        Value drawn brightest for each class.
    first : int
        Class whose map is shown first.
    lesion : bool array, shape (height, width), optional
        Drawn as an outline.
    height : int
        Of a picture, at most, in CSS pixels.
    """
    body = [_bytes(pixels)]
    header: dict[str, Any] = {
        "case": case,
        "image": _image_header(pixels, display, 0),
        "classes": [{"label": label, "told": told} for label, told in classes],
        "first": first,
        "height": height,
    }
    if class_maps is not None:
        header["maps"] = {
            "at": _length(body),
            "height": class_maps.shape[1],
            "width": class_maps.shape[2],
            "tops": np.ones(len(class_maps)).tolist() if tops is None else np.asarray(tops, float).tolist(),
        }
        body.append(_bytes(class_maps.astype(np.float32)))
    if lesion is not None and lesion.shape == pixels.shape[:2]:
        header["mask"] = {"at": _length(body)}
        body.append(_bytes(lesion.astype(np.uint8)))
    _viewer(key="case viewer", data=_packed(header, body), height="content")


def draw_gallery(cases: Sequence[SmallCase], display: Display, on_open: Callable[[str], None]) -> None:
    """Many cases, small; ``on_open`` gets the case that was clicked, before the script runs again."""
    body: list[bytes] = []
    about = []
    for each in cases:
        small = _shrunk(each.pixels)
        image = _image_header(small, display, _length(body), window_of=each.pixels)
        about.append({"case": each.case, "truth": each.truth, "told": each.told, "image": image})
        body.append(_bytes(small))

    def opened() -> None:
        case = st.session_state["case gallery"].open
        if case in {each.case for each in cases}:
            on_open(case)

    _gallery(key="case gallery", data=_packed({"cases": about}, body), height="content", on_open_change=opened)


def _image_header(pixels: np.ndarray, display: Display, at: int, window_of: np.ndarray | None = None) -> dict[str, Any]:
    """What the browser must know of a picture; the window is that of the whole image."""
    is_colour = pixels.ndim == 3
    low, high = (0.0, 255.0) if is_colour else default_window(pixels if window_of is None else window_of)
    return {
        "at": at,
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "bits": 8 * pixels.dtype.itemsize,
        "channels": 3 if is_colour else 1,
        "display": {
            "lower": low + display.lower_percent / 100 * (high - low),
            "upper": low + display.upper_percent / 100 * (high - low),
            "table": display.colour_table.replace("-", " "),
            "is_smooth": display.is_smooth,
        },
    }


def _shrunk(pixels: np.ndarray, most: int = 160) -> np.ndarray:
    """Every n-th pixel, so that the longer side is at most ``most``."""
    step = -(-max(pixels.shape[:2]) // most)
    return np.ascontiguousarray(pixels[::step, ::step])


def _bytes(array: np.ndarray) -> bytes:
    """Little endian, padded to four bytes, so that what follows is aligned."""
    data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    return data + b"\0" * (-len(data) % 4)


def _length(body: Sequence[bytes]) -> int:
    return sum(map(len, body))


def _packed(header: dict[str, Any], body: Sequence[bytes]) -> bytes:
    """Length of the header, the header, and the bytes."""
    text = json.dumps(header).encode()
    return struct.pack("<I", len(text)) + text + b"".join(body)
