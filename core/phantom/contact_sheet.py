"""Contact sheets: what every class and subtype looks like at every centre, with or without outlines.

``python -m core.phantom.contact_sheet docs`` writes both sheets of the documentation.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from core.phantom.camera import CENTRES
from core.phantom.case import PhantomCase, generate_case
from core.phantom.uptake import SUBTYPES

GLAND_COLOUR = (56, 152, 224)
LESION_COLOUR = (240, 80, 32)
CAPTION_COLOUR = (255, 208, 64)


def contact_sheet(
    *, cases_per_cell: int = 3, tile: int = 112, masks: bool = False, study: str = "contact-sheet"
) -> np.ndarray:
    """Class and subtype down, centre and case across.

    Parameters
    ----------
    cases_per_cell : int
        Cases of each subtype at each centre.
    tile : int
        Side of one picture in pixels.
    masks : bool
        Draw the gland's outline in blue and the lesion's in orange.
    study : str
        Part of the seed.

    Returns
    -------
    uint8 array, shape (rows * tile, columns * tile, 3)
    """
    rows = [(disease, subtype) for disease, subtypes in SUBTYPES.items() for subtype in subtypes]
    columns = [(centre, case) for centre in CENTRES for case in range(cases_per_cell)]
    sheet = Image.new("RGB", (len(columns) * tile, len(rows) * tile))
    for row, (disease, subtype) in enumerate(rows):
        for column, (centre, index) in enumerate(columns):
            phantom = generate_case((study, subtype, centre, index), disease, centre=centre, subtype=subtype)
            sheet.paste(_tile(phantom, tile, masks), (column * tile, row * tile))
    return np.asarray(sheet)


def _tile(phantom: PhantomCase, tile: int, masks: bool) -> Image.Image:
    """One captioned picture."""
    picture = Image.fromarray(phantom.picture).convert("RGB").resize((tile, tile), Image.Resampling.BICUBIC)
    if masks:
        pixels = np.array(picture)
        pixels[_outline(phantom.gland_mask, tile)] = GLAND_COLOUR
        pixels[_outline(phantom.lesion_mask, tile)] = LESION_COLOUR
        picture = Image.fromarray(pixels)
    caption = f"{phantom.centre} {phantom.disease}/{phantom.subtype} {phantom.uptake_percent:.2g}%"
    ImageDraw.Draw(picture).text((2, 1), caption, fill=CAPTION_COLOUR, font_size=max(8, tile // 13))
    return picture


def _outline(mask: np.ndarray, tile: int) -> np.ndarray:
    """Inner border of a mask at the tile's size."""
    small = np.asarray(Image.fromarray(mask.astype(np.uint8) * 255).resize((tile, tile))) >= 128
    padded = np.pad(small, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(small & ~inner)


def write_contact_sheets(folder: Path | str) -> tuple[Path, Path]:
    """Write ``phantom_contact_sheet.png`` and ``phantom_contact_sheet_masks.png``; returns both paths."""
    folder = Path(folder)
    paths = (folder / "phantom_contact_sheet.png", folder / "phantom_contact_sheet_masks.png")
    plain = contact_sheet(cases_per_cell=3, tile=104)
    outlined = contact_sheet(cases_per_cell=2, tile=144, masks=True)
    for path, sheet in zip(paths, (plain, outlined), strict=True):
        _few_colours(sheet).save(path, optimize=True)
    return paths


def _few_colours(sheet: np.ndarray) -> Image.Image:
    """The sheet with 61 greys and the three colours of outlines and captions: a quarter of the file's size."""
    colours = np.array([GLAND_COLOUR, LESION_COLOUR, CAPTION_COLOUR], dtype=np.uint8)
    levels = np.rint(np.linspace(0, 255, 61)).astype(np.uint8)
    index = np.rint(sheet[..., 0] / 255 * 60).astype(np.uint8)
    for place, colour in enumerate(colours):
        near = np.abs(sheet.astype(np.int16) - colour).sum(axis=-1) < 60
        index[near] = len(levels) + place
    image = Image.fromarray(index).convert("P")
    image.putpalette(np.concatenate([np.repeat(levels, 3), colours.ravel()]).tobytes())
    return image


if __name__ == "__main__":
    for written in write_contact_sheets(sys.argv[1] if len(sys.argv) > 1 else "docs"):
        print(written)
