"""Pictures of cases after unsealing: one large with its class maps, or many small ones.

Opacity, threshold and class change in the browser, without the server. Pixels travel as bytes over the websocket, as
in the reading panel, whose colour tables and window are used.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from core.imaging import default_window
from core.protocol import Display
from pages.door.kept_scripts import kept_component

_FOLDER = Path(__file__).parent
_PANEL = _FOLDER.parent / "reading_panel"


@dataclass(frozen=True)
class SmallCase:
    """One picture of a gallery."""

    case: str
    truth: str  # name of the reference standard
    told: str  # who was right, in marks
    pixels: np.ndarray  # (height, width) uint8 or uint16, or (height, width, 3) uint8


@dataclass(frozen=True)
class ShownMark:
    """Where a reader marked a lesion, in pixels of the picture from its upper left corner."""

    x: float
    y: float
    reader: str
    colour: str  # "#rrggbb"


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture of a case: a view as readers saw it, or a view with a model's maps over it."""

    title: str
    pixels: np.ndarray  # (height, width) uint8 or uint16, or (height, width, 3) uint8
    lesion: np.ndarray | None = None  # bool (height, width), drawn as an outline
    marks: tuple[ShownMark, ...] = ()
    class_maps: np.ndarray | None = None  # float (k, h, w) raw maps; what is negative is no evidence
    tops: np.ndarray | None = None  # (k,) value drawn brightest for each class
    told: tuple[str, ...] = ()  # (k,) what the model says of each class


def _text(*paths: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def _component(name: str) -> Callable[..., Any]:
    """What draws ``case`` or ``gallery``."""
    scripts = (_PANEL / "viewer.js", _FOLDER / "draw.js", _FOLDER / f"{name}.js")
    html, css = (_text(_FOLDER / f"{name}.{kind}") for kind in ("html", "css"))
    return kept_component(f"room_{name}", _text(*scripts), html=html, css=css)


_case = _component("case")
_gallery = _component("gallery")


def draw_case(
    case: str, pictures: Sequence[Picture], display: Display, classes: Sequence[str], *, first: int = 0,
    height: int = 420,
) -> None:  # fmt: skip
    """One case, large: its views, and a view with the maps of each model.

    Parameters
    ----------
    pictures : sequence of Picture
        Two stand beside each other, more below.
    display : Display
        Of the protocol: how readers first saw it.
    classes : sequence of str
        Name of each class; the buttons that choose whose map is shown, of every model.
    first : int
        Class whose map is shown first.
    height : int
        Of a picture, at most, in CSS pixels.
    """
    body: list[bytes] = []
    shown = [_picture_header(each, display, body) for each in pictures]
    header = {"case": case, "pictures": shown, "classes": list(classes), "first": first, "height": height}
    _case(key="case viewer", data=_packed(header, body), height="content")


def _picture_header(picture: Picture, display: Display, body: list[bytes]) -> dict[str, Any]:
    """What the browser must know of a picture, whose bytes are added to the body."""
    pixels, maps, lesion = picture.pixels, picture.class_maps, picture.lesion
    marks = [{**asdict(mark), "initials": _initials(mark.reader)} for mark in picture.marks]
    header: dict[str, Any] = {
        "title": picture.title, "image": _image_header(pixels, display, _length(body)), "marks": marks
    }  # fmt: skip
    body.append(_bytes(pixels))
    if maps is not None:
        tops = np.ones(len(maps)) if picture.tops is None else picture.tops
        header["maps"] = {
            "at": _length(body), "height": maps.shape[1], "width": maps.shape[2],
            "tops": np.asarray(tops, float).tolist(), "told": list(picture.told),
        }  # fmt: skip
        body.append(_bytes(maps.astype(np.float32)))
    if lesion is not None and lesion.shape == pixels.shape[:2]:
        header["mask"] = {"at": _length(body)}
        body.append(_bytes(lesion.astype(np.uint8)))
    return header


def _initials(name: str) -> str:
    """Up to two letters of a name."""
    return "".join(part[0] for part in name.replace(",", " ").split()[:2])


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
