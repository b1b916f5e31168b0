"""How often a colour picture is judged wrongly: ``python -m benchmarks.colour_tables [--phantoms 6]``.

Phantoms, as exports of 256 pixels and as native counts of 128 or 256, are coloured by every table of matplotlib (the
reversed ones have the same colours) and by tables that the program does not know, with and without burnt-in text, and
saved as PNG, palette PNG and JPEG of several qualities. A table is good when its luminance, over all its 256 colours,
rises or falls but for 1.5 grey levels, and bad when it goes back by 12 or more; those in between are left out. Wrong is
a bad one that is taken and a good one that is refused; the first would make hot dark.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont

from core.errors import ImageError
from core.imaging import load_image, render_uint8
from core.phantom import generate_case

LUMINANCE = np.array([0.299, 0.587, 0.114])
WAYS: dict[str, dict[str, object]] = {
    "PNG": {"format": "PNG"},
    "palette PNG": {"format": "PNG"},
    "JPEG 95": {"format": "JPEG", "quality": 95},
    "JPEG 85": {"format": "JPEG", "quality": 85},
    "JPEG 75": {"format": "JPEG", "quality": 75},
    "JPEG 60": {"format": "JPEG", "quality": 60},
}
#: Lines through the colour space, evenly spaced, that are not among the program's known tables.
UNKNOWN = {
    "warm metal": ["#000000", "#781400", "#e6821e", "#ffffdc"],
    "hot metal, blue": ["#000000", "#00005a", "#5a006e", "#e64614", "#ffaa00", "#ffffff"],
    "blue to white": ["#000000", "#003cc8", "#ffffff"],
    "amber": ["#000000", "#ffb400"],
    "sepia": ["#140a00", "#fff0c8"],
    "rainbow A": ["#000000", "#460082", "#0000ff", "#00ffff", "#00ff00", "#ffff00", "#ff0000", "#ffffff"],
    "rainbow B": ["#000000", "#0000ff", "#00ffff", "#00ff00", "#ffff00", "#ff8000", "#ff0000"],
    "rainbow C": ["#000000", "#0000b4", "#00a0a0", "#00c800", "#c8c800", "#c80000", "#ffffff"],
    "rainbow D": ["#000040", "#8000ff", "#0080ff", "#00ff80", "#c0ff00", "#ff4000", "#800000"],
}


def main() -> None:
    """Print wrong judgements by table kind and file kind, then the tables that went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phantoms", type=int, default=4)
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    options = parser.parse_args()
    total: Counter[tuple[str, str, str]] = Counter()
    wrong: Counter[tuple[str, str, str]] = Counter()
    which: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        for number in range(options.phantoms):
            truth, centre = ("graves", "normal", "sat", "tumor")[number % 4], ("C1", "C2", "C3")[number % 3]
            phantom = generate_case(("colour-tables", number), truth, centre=centre)
            for picture in (phantom.picture, render_uint8(phantom.counts)):
                for table, colours in _tables().items():
                    for way in options.ways:
                        for text in ("no text", "text"):
                            key = (_kind(colours), way, text)
                            total[key] += 1
                            if _is_taken(Path(name), colours, picture, way, text) != (key[0] == "good"):
                                wrong[key] += 1
                                which[f"{key[0]} {table}, {text}"] += 1
    for key in sorted(total):
        print(f"{key[0]:<5} {key[1]:<12} {key[2]:<8} wrong {wrong[key]:>4} of {total[key]}")
    for table, n in which.most_common():
        print(f"{n:>4}  {table}")


def _tables() -> dict[str, np.ndarray]:
    """Every table that is clearly good or bad, 256 colours each."""
    step = np.linspace(0, 1, 256)
    found = {name: 255 * colormaps[name](step)[:, :3] for name in colormaps if not name.endswith("_r")}
    for name, stops in UNKNOWN.items():
        colours = [[int(stop[place : place + 2], 16) for place in (1, 3, 5)] for stop in stops]
        places = np.linspace(0, 1, len(stops))
        found[f"unknown {name}"] = np.stack([np.interp(step, places, axis) for axis in zip(*colours, strict=True)], 1)
    return {name: np.rint(colours).astype(np.uint8) for name, colours in found.items() if _kind(colours) != "between"}


def _kind(colours: np.ndarray) -> str:
    """Good, bad or between."""
    luminance = colours @ LUMINANCE
    back = min(
        np.max(np.maximum.accumulate(luminance) - luminance), np.max(luminance - np.minimum.accumulate(luminance))
    )
    return "good" if back <= 1.5 else "bad" if back >= 12 else "between"


def _is_taken(folder: Path, colours: np.ndarray, picture: np.ndarray, way: str, text: str) -> bool:
    """Whether the importer takes the coloured picture."""
    image = Image.fromarray(colours[picture])
    if text == "text":
        size = max(9, picture.shape[0] // 18)
        draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
        draw.text((3, 2), "DOE, JANE", fill="white", font=font)
        draw.text((3, image.height - size - 4), "ANT 5 MIN", fill="yellow", font=font)
    if way == "palette PNG":
        image = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    buffer = io.BytesIO()
    image.save(buffer, **WAYS[way])
    path = folder / ("a.png" if WAYS[way]["format"] == "PNG" else "a.jpg")
    path.write_bytes(buffer.getvalue())
    try:
        load_image(path)
    except ImageError:
        return False
    return True


if __name__ == "__main__":
    main()
