"""Three gamma cameras and the habits of three centres: from activity to counts, and from counts to a picture.

Sources: the paper names the scanners; base pixels 4.418 mm (GE) and 4.795 mm (Siemens) at 128 x 128 fit the pixel
sizes of 2,643 real scans (thyroidiomics datainfo.csv) and a real Symbia T6 file; 200,000 to 250,000 counts a view
(NMT procedures wiki, T6 file); 7.0 mm at 10 cm and 9.0 mm at 15 cm follow from the LEHR collimators' holes
(OpenGATE Intevo model, PyTomography). Scatter, smoothing, windows, gamma, JPEG quality, notch markers and the share
of mild Graves' disease are assumed; together they make the external centres 2 to 8 points harder.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from core.errors import InputError
from core.phantom.fields import FWHM_PER_SIGMA, Grid, blur, enlarge, uniform

WORK_SIZE = 128  # pixels of the grid on which activity is drawn
EXPORT_SIZE = 256  # pixels of the 8-bit picture
SCATTER_SHARE = (0.25, 0.38)  # scattered counts per primary count (assumed)
SCATTER_SIGMA_MM = 26.0  # spread of the scatter kernel (assumed)
SMOOTHING_PIXEL_MM = 2.4  # pixel in which the smoothing's sigma is given
WINDOW_RANK = 6  # the window's top is set from the 6th-highest pixel, so that one hot pixel cannot set it
MARKER_STRENGTH = (0.3, 1.0)  # notch source, times the brightest pixel (assumed)
MARKER_BELOW_MM = (40.0, 56.0)  # notch source below the thyroid (assumed)
RATE_DIGITS = 6  # rates are rounded, so that the last bit of a processor's exp() cannot change a count


@dataclass(frozen=True)
class Scanner:
    """What the machine fixes."""

    name: str
    manufacturer: str
    model: str
    matrix: int  # native pixels along one side
    base_mm: float  # pixel at 128 x 128 and zoom 1
    fwhm_mm: tuple[float, float]  # system resolution at the patient's neck


@dataclass(frozen=True)
class Centre:
    """What a hospital's protocol fixes, on one scanner."""

    key: str
    scanner: Scanner
    zooms: tuple[float, ...]  # equally likely
    counts: tuple[float, float]  # range of total counts
    counts_per_uptake: bool  # short acquisitions when the gland takes up little: times clip(.6 + .05 u, .6, 1.6)
    smoothing: tuple[float, float]  # sigma of the post-filter, in pixels of 2.4 mm
    window_high: tuple[float, float]  # times the 6th-highest pixel
    window_low: tuple[float, float]  # share of the window's top
    gamma: tuple[float, float]
    jpeg_quality: tuple[int, int]  # inclusive
    marker_share: float  # scans with a notch source in view
    mild_graves_share: float
    colour_table: str = "grey"  # "grey" (white on black), "inverse-grey", "hot-iron"; one per centre, never per class


@dataclass(frozen=True)
class Acquisition:
    """One drawn scan: the numbers that turn activity into counts and counts into a picture."""

    zoom: float
    pixel_mm: float  # native
    fwhm_mm: float
    total_counts: float
    scatter: float
    marker: tuple[float, float, float] | None  # x, y in mm, strength
    smoothing_mm: float
    window_high: float
    window_low: float
    gamma: float
    jpeg_quality: int


SCANNERS: dict[str, Scanner] = {
    scanner.name: scanner
    for scanner in (
        Scanner("GE Millennium VG", "GE MEDICAL SYSTEMS", "MILLENNIUM VG", 128, 4.418, (8.2, 10.0)),
        Scanner("Siemens Symbia T6", "SIEMENS NM", "Symbia T6", 256, 4.795, (7.5, 9.0)),
        Scanner("Siemens Symbia Intevo Bold", "SIEMENS NM", "Symbia Intevo Bold", 256, 4.795, (7.2, 8.8)),
    )
}


def read_centres(path: Path | None = None) -> dict[str, Centre]:
    """The three centres, with the scanners that a TOML file puts there.

    Parameters
    ----------
    path : Path, optional
        A file with a table ``[scanner_of]`` such as ``core/phantom/centres.toml``, which is the default.

    Raises
    ------
    InputError
        If the file is no such table, or names a centre or scanner that does not exist.
    """
    source = path if path is not None else Path(__file__).with_name("centres.toml")
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"this centre file cannot be read: {error}", file=source) from error
    mapping = table.get("scanner_of")
    if not isinstance(mapping, dict):
        raise InputError("the table [scanner_of] is missing", file=source, fix="write C1 = 'GE Millennium VG' under it")
    centres = dict(_PROTOCOLS)
    for key, name in mapping.items():
        if key not in centres:
            raise InputError("there is no such centre", file=source, field=key, fix="use one of " + ", ".join(centres))
        if name not in SCANNERS:
            raise InputError(
                "there is no such scanner", file=source, field=key, value=name, fix="use one of " + ", ".join(SCANNERS)
            )
        centres[key] = replace(centres[key], scanner=SCANNERS[name])
    return centres


_PROTOCOLS: dict[str, Centre] = {
    centre.key: centre
    for centre in (
        Centre(
            key="C1",
            scanner=SCANNERS["GE Millennium VG"],
            zooms=(2.5, 2.5, 3.0),
            counts=(150e3, 300e3),
            counts_per_uptake=False,
            smoothing=(0.0, 0.7),
            window_high=(0.85, 1.05),
            window_low=(0.0, 0.03),
            gamma=(0.95, 1.05),
            jpeg_quality=(85, 95),
            marker_share=0.08,
            mild_graves_share=0.12,
        ),
        Centre(
            key="C2",
            scanner=SCANNERS["Siemens Symbia T6"],
            zooms=(2.67, 2.67, 3.2),
            counts=(170e3, 230e3),
            counts_per_uptake=False,
            smoothing=(0.0, 1.5),
            window_high=(0.80, 1.05),
            window_low=(0.0, 0.02),
            gamma=(0.75, 1.0),
            jpeg_quality=(70, 92),
            marker_share=0.15,
            mild_graves_share=0.16,
        ),
        Centre(
            key="C3",
            scanner=SCANNERS["Siemens Symbia Intevo Bold"],
            zooms=(2.29, 2.67, 2.67),
            counts=(90e3, 260e3),
            counts_per_uptake=True,
            smoothing=(0.8, 2.0),
            window_high=(0.75, 1.0),
            window_low=(0.0, 0.03),
            gamma=(0.7, 1.0),
            jpeg_quality=(75, 95),
            marker_share=0.05,
            mild_graves_share=0.16,
        ),
    )
}

#: The centres as shipped. Centre 1 gives training and internal cases, centres 2 and 3 the external ones (paper).
CENTRES: dict[str, Centre] = read_centres()


def draw_acquisition(rng: np.random.Generator, centre: Centre, uptake_percent: float) -> Acquisition:
    """Draw one scan of a centre."""
    scanner = centre.scanner
    zoom = float(rng.choice(centre.zooms))
    counts = uniform(rng, *centre.counts)
    if centre.counts_per_uptake:
        counts *= float(np.clip(0.6 + 0.05 * uptake_percent, 0.6, 1.6))
    place = (uniform(rng, -3.0, 3.0), uniform(rng, *MARKER_BELOW_MM), uniform(rng, *MARKER_STRENGTH))
    return Acquisition(
        zoom=zoom,
        pixel_mm=scanner.base_mm / zoom * WORK_SIZE / scanner.matrix,
        fwhm_mm=uniform(rng, *scanner.fwhm_mm),
        total_counts=counts,
        scatter=uniform(rng, *SCATTER_SHARE),
        marker=place if rng.random() < centre.marker_share else None,
        smoothing_mm=uniform(rng, *centre.smoothing) * SMOOTHING_PIXEL_MM,
        window_high=uniform(rng, *centre.window_high),
        window_low=uniform(rng, *centre.window_low),
        gamma=uniform(rng, *centre.gamma),
        jpeg_quality=int(rng.integers(centre.jpeg_quality[0], centre.jpeg_quality[1] + 1)),
    )


def expected_image(activity: np.ndarray, acquisition: Acquisition, grid: Grid) -> np.ndarray:
    """Noise-free picture on the working grid: primary and scattered photons, and the notch source if there is one.

    Parameters
    ----------
    activity : float array, shape (n, n)
        Areal activity, the neck is 1.

    Returns
    -------
    float array, shape (n, n)
        In units of the neck's activity.
    """
    sigma_mm = acquisition.fwhm_mm / FWHM_PER_SIGMA
    rate = blur(activity, sigma_mm / grid.pixel_mm)
    rate = rate + acquisition.scatter * blur(activity, SCATTER_SIGMA_MM / grid.pixel_mm)
    if acquisition.marker is not None:
        x, y, strength = acquisition.marker
        squared = (grid.x_mm - x) ** 2 + (grid.y_mm - y) ** 2
        rate = rate + strength * rate.max() * np.exp(-0.5 * squared / sigma_mm**2)
    return np.asarray(rate)


def count_photons(rng: np.random.Generator, rate: np.ndarray, acquisition: Acquisition, matrix: int) -> np.ndarray:
    """Poisson counts on the native matrix, shape (matrix, matrix), uint16."""
    native = enlarge(rate, matrix)
    expected = np.round(native * (acquisition.total_counts / native.sum()), RATE_DIGITS)
    return np.minimum(rng.poisson(expected), np.iinfo(np.uint16).max).astype(np.uint16)


def export_picture(counts: np.ndarray, acquisition: Acquisition) -> np.ndarray:
    """The 8-bit picture that a hospital's archive would hold, white on black.

    Parameters
    ----------
    counts : uint16 array, shape (matrix, matrix)

    Returns
    -------
    uint8 array, shape (256, 256)
    """
    smooth = blur(counts.astype(np.float64), acquisition.smoothing_mm / acquisition.pixel_mm)
    rank = smooth.size - WINDOW_RANK
    high = acquisition.window_high * max(float(np.partition(smooth, rank, axis=None)[rank]), 1e-9)
    low = acquisition.window_low * high
    shown = np.clip((smooth - low) / (high - low), 0.0, 1.0) ** acquisition.gamma
    if shown.shape[0] != EXPORT_SIZE:
        picture = Image.fromarray(shown.astype(np.float32)).resize((EXPORT_SIZE, EXPORT_SIZE), Image.Resampling.BICUBIC)
        shown = np.asarray(picture, dtype=np.float64)
    return np.clip(np.rint(shown * 255), 0, 255).astype(np.uint8)


def apply_colour_table(picture: np.ndarray, table: str) -> np.ndarray:
    """The picture as a centre's archive colours it: (256, 256) for the greys, (256, 256, 3) for hot iron.

    Raises
    ------
    InputError
        If there is no such table.
    """
    if table == "grey":
        return picture
    if table == "inverse-grey":
        return np.asarray(255 - picture, dtype=np.uint8)
    if table == "hot-iron":  # DICOM PS3.6 annex B: red, then green, then blue
        value = picture.astype(np.int32)
        channels = (2 * value, 2 * value - 256, 4 * value - 768)
        return np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)
    raise InputError(
        "there is no such colour table", field="colour_table", value=table, fix="use grey, inverse-grey or hot-iron"
    )
