"""A case as a picture: the scintigram in grey, the heat map of a class over it in colour, the lesion as an outline."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from core.model.preprocessing import square_to_image_box

#: Pictures of cases stand on the dark of the screen.
DARK = {
    "template": "plotly_dark",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "hoverlabel": {"namelength": -1},
}

#: The heat map's colours. Transparent where there is no evidence, so that the image shows through; the hue
#: rises with the evidence.
HEAT_MAP_COLOURS = [
    [0.0, "rgba(0,0,0,0)"],
    [0.25, "rgba(87,16,110,0.35)"],
    [0.5, "rgba(188,55,84,0.5)"],
    [0.75, "rgba(249,142,9,0.6)"],
    [1.0, "rgba(252,255,164,0.75)"],
]

#: Cool, as no evidence is drawn.
LESION_COLOUR = "#56B4E9"


def case_picture(
    image: np.ndarray,
    title: str,
    *,
    class_map: np.ndarray | None = None,
    top: float = 1.0,
    lesion: np.ndarray | None = None,
    height: int = 300,
) -> go.Figure:
    """A scintigram in grey, with a class map over it drawn by the browser from the small array.

    Parameters
    ----------
    image : uint8 array, shape (height, width)
    class_map : float array, shape (h, w), optional
        Raw Grad-CAM; what is negative is no evidence and stays transparent.
    top : float
        Value shown brightest; the same for all classes and cases of a page, so that weak evidence looks weak.
    lesion : bool array, shape (height, width), optional
        Drawn as an outline.
    """
    rows, columns = image.shape
    figure = go.Figure(
        go.Heatmap(z=image, colorscale="Greys_r", zmin=0, zmax=255, showscale=False, hoverinfo="skip")
    )  # "Greys" runs from white; reversed, a pixel without counts is black
    if class_map is not None:
        figure.add_trace(_heat_map(class_map, top, rows, columns))
    if lesion is not None:
        figure.add_trace(_outline(lesion))
    figure.update_xaxes(visible=False, range=[-0.5, columns - 0.5], constrain="domain")
    figure.update_yaxes(visible=False, range=[rows - 0.5, -0.5], scaleanchor="x", constrain="domain")
    return figure.update_layout(
        title={"text": title, "font": {"size": 14}, "x": 0, "xanchor": "left"},
        **DARK,
        height=height,
        margin={"l": 0, "r": 0, "t": 34, "b": 0},
    )


def _heat_map(class_map: np.ndarray, top: float, rows: int, columns: int) -> go.Heatmap:
    """The map over the square that an image of (rows, columns) pixels was padded to."""
    h, w = class_map.shape
    side = max(rows, columns)
    upper, left, _, _ = square_to_image_box(rows, columns)
    return go.Heatmap(
        z=np.maximum(class_map, 0).astype("float32"),
        x0=(side / w - 1) / 2 - left * side,
        dx=side / w,
        y0=(side / h - 1) / 2 - upper * side,
        dy=side / h,
        zsmooth="best",
        colorscale=HEAT_MAP_COLOURS,
        zmin=0,
        zmax=top,
        showscale=False,
        hovertemplate="evidence %{z:.3f}<extra></extra>",
    )


def _outline(lesion: np.ndarray) -> go.Contour:
    """The edge of a lesion."""
    return go.Contour(
        z=lesion.astype("uint8"),
        contours={"start": 0.5, "end": 0.5, "size": 1, "coloring": "none"},
        line={"color": LESION_COLOUR, "width": 1.5},
        showscale=False,
        hoverinfo="skip",
    )
