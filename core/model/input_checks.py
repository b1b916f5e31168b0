"""Plain reasons why an image may be no thyroid scintigram, seen before any network.

The limits are wide on purpose: they catch an empty frame, a uniform or noise-only frame, a clipped export, a
thumbnail and a photograph in colour. What passes still meets the detector of :mod:`core.model.uncertainty`.
"""

from __future__ import annotations

import numpy as np

#: Shortest side in pixels of a frame that can show a thyroid (gamma cameras export 64 to 1024).
MIN_SIDE = 32
#: Smallest spread between the 1st and 99.9th percentile, as a share of the largest value.
MIN_CONTRAST = 0.05
#: Largest share of pixels that may sit at the largest value of the image.
MAX_SATURATED_SHARE = 0.3
#: Largest share of spectral power above half the Nyquist frequency; white noise has about 0.8.
MAX_NOISE_SHARE = 0.7
#: Side in pixels of the central part in which noise is measured, and of the grid that the other measures are taken on:
#: enough for both, and a fraction of the time of a whole frame.
SAMPLE_SIDE = 256
#: Largest share of pixels whose colour channels may differ by more than COLOUR_DIFFERENCE.
MAX_COLOURED_SHARE = 0.01
COLOUR_DIFFERENCE = 24


def input_problems(pixels: np.ndarray, *, is_colour_wanted: bool = False) -> tuple[str, ...]:
    """What is odd about an image, in words for the person who looks at the flag; empty if nothing is.

    Parameters
    ----------
    pixels : array, shape (height, width) or (height, width, 3), uint8 or uint16
        As the file gives it; colour is only looked for in three channels.
    is_colour_wanted : bool
        Whether the model was trained in colour.
    """
    problems = []
    if pixels.ndim == 3:
        if not is_colour_wanted and coloured_share(pixels) > MAX_COLOURED_SHARE:
            problems.append("the image is in colour")
        pixels = pixels.mean(axis=2)
    if min(pixels.shape) < MIN_SIDE:
        problems.append(f"the image is only {pixels.shape[1]} x {pixels.shape[0]} pixels")
    height, width = pixels.shape
    step = max(1, min(height, width) // SAMPLE_SIDE)
    values = pixels[::step, ::step].astype(np.float32)
    top = float(pixels.max())
    low, high = np.percentile(values, [1, 99.9])
    if top <= 0 or high - low < MIN_CONTRAST * top:
        problems.append("the frame is empty or uniform")
        return tuple(problems)  # the measures below mean nothing without contrast
    if np.mean(values >= top) > MAX_SATURATED_SHARE:
        problems.append("a large part of the image is clipped at its brightest value")
    if min(height, width) >= MIN_SIDE:
        top_row, left = max(0, (height - SAMPLE_SIDE) // 2), max(0, (width - SAMPLE_SIDE) // 2)
        centre = pixels[top_row : top_row + SAMPLE_SIDE, left : left + SAMPLE_SIDE]
        if noise_share(centre) > MAX_NOISE_SHARE:
            problems.append("the image looks like noise without structure")
    return tuple(problems)


def noise_share(pixels: np.ndarray) -> float:
    """Share of spectral power (mean removed) beyond half the Nyquist frequency: 0 is smooth, 0.8 is white noise.

    Parameters
    ----------
    pixels : float array, shape (height, width)
    """
    values = pixels.astype(np.float32)
    # A Hann window keeps the jump between opposite borders from looking like fine detail.
    window = np.outer(np.hanning(values.shape[0]), np.hanning(values.shape[1])).astype(np.float32)
    spectrum = np.fft.rfft2((values - values.mean()) * window)
    power = spectrum.real**2 + spectrum.imag**2
    weight = np.full(power.shape[1], 2.0, dtype=np.float32)  # a half spectrum holds each inner column once of two
    weight[0] = 1
    if values.shape[1] % 2 == 0:
        weight[-1] = 1
    power = power * weight
    rows = np.fft.fftfreq(values.shape[0])[:, None]  # cycles per pixel; 0.5 is Nyquist
    columns = np.fft.rfftfreq(values.shape[1])[None, :]
    total = float(power.sum())
    return float(power[np.hypot(rows, columns) > 0.25].sum()) / total if total > 0 else 0.0


def coloured_share(pixels: np.ndarray) -> float:
    """Share of pixels (height, width, 3) uint8 whose channels differ by more than COLOUR_DIFFERENCE levels."""
    spread = pixels.max(axis=2).astype(np.int32) - pixels.min(axis=2)
    return float(np.mean(spread > COLOUR_DIFFERENCE))
