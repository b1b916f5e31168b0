"""Whether a class map shows what the model used, and whether that is where the lesion is.

Faithfulness needs no truth: take pixels away (deletion) or bring them in (insertion) in the order of the map and watch
the probability. Localisation compares the map with a lesion mask. Every number comes with what a map that knows
nothing would get, because a large lesion is easy to hit.

References
----------
Petsiuk, Das and Saenko (2018), BMVC (deletion, insertion); Zhang et al. (2018), IJCV 126:1084-1102 (pointing game);
Wang et al. (2020), CVPR Workshops (share of energy in the mask). ROAD: :mod:`core.model.package_maps`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from core.errors import InputError, UndefinedStatisticError

#: Probabilities (B, k) of prepared images (B, size, size[, 3]) uint8.
Predict = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class PerturbationCurve:
    """Probability of one class while pixels change in an order."""

    shares: np.ndarray  # (steps + 1,) share of pixels changed, 0 to 1
    probabilities: np.ndarray  # (steps + 1,)
    area: float  # under the curve, 0 to 1
    random_area: float  # the same for a random order: chance


def deletion(
    predict: Predict,
    prepared: np.ndarray,
    relevance: np.ndarray,
    class_index: int,
    *,
    steps: int = 20,
    rng: np.random.Generator,
) -> PerturbationCurve:
    """Replace pixels by the border's median, most relevant first: a faithful map gives a small area.

    Parameters
    ----------
    predict : callable
    prepared : uint8 array, shape (size, size), in colour (size, size, 3)
    relevance : float array, shape (size, size)
        Enlarged class map of ``class_index``.
    class_index : int
    steps : int
        Equal shares of the pixels, one forward pass each.
    rng : numpy.random.Generator
        Breaks ties, and draws the random order.
    """
    _check(prepared, relevance, steps)
    border = np.concatenate([prepared[0], prepared[-1], prepared[:, 0], prepared[:, -1]])
    empty = np.empty_like(prepared)
    empty[:] = np.median(border, axis=0).astype(np.uint8)  # of each colour
    return _curve(predict, prepared, empty, relevance, class_index, steps, rng)


def insertion(
    predict: Predict,
    prepared: np.ndarray,
    relevance: np.ndarray,
    class_index: int,
    *,
    steps: int = 20,
    rng: np.random.Generator,
) -> PerturbationCurve:
    """Bring pixels into a strongly blurred image, most relevant first: a faithful map gives a large area.

    Arguments as for :func:`deletion`. The blur has a standard deviation of 1/12 of the side.
    """
    _check(prepared, relevance, steps)
    blur = ImageFilter.GaussianBlur(prepared.shape[0] / 12)
    blurred = np.array(Image.fromarray(prepared).filter(blur))
    return _curve(predict, blurred, prepared, relevance, class_index, steps, rng)


def _check(prepared: np.ndarray, relevance: np.ndarray, steps: int) -> None:
    """Refuse arguments that do not fit together."""
    is_picture = prepared.ndim == 2 or (prepared.ndim == 3 and prepared.shape[2] == 3)
    if not is_picture or prepared.shape[:2] != relevance.shape:
        raise InputError(
            "image and map must have one shape", field="relevance", value=(prepared.shape, relevance.shape)
        )
    if steps < 1:
        raise InputError("need one or more steps", field="steps", value=steps)


def _curve(
    predict: Predict,
    before: np.ndarray,
    after: np.ndarray,
    relevance: np.ndarray,
    class_index: int,
    steps: int,
    rng: np.random.Generator,
) -> PerturbationCurve:
    """Turn ``before`` into ``after`` in the order of the map and in a random order."""
    shuffled = rng.permutation(relevance.size)
    by_relevance = shuffled[np.argsort(-relevance.ravel()[shuffled], kind="stable")]
    counts = np.rint(np.linspace(0, relevance.size, steps + 1)).astype(int)
    batches = []
    for order in (by_relevance, rng.permutation(relevance.size)):
        images = np.repeat(before.reshape(1, relevance.size, -1), steps + 1, axis=0)  # pixels by channels
        for row, count in enumerate(counts):
            images[row, order[:count]] = after.reshape(relevance.size, -1)[order[:count]]
        batches.append(images.reshape(-1, *before.shape))
    probabilities = predict(np.concatenate(batches))[:, class_index].reshape(2, -1)
    shares = counts / relevance.size
    areas = np.trapezoid(probabilities, shares, axis=1)
    return PerturbationCurve(shares, probabilities[0], float(areas[0]), float(areas[1]))


@dataclass(frozen=True)
class Localisation:
    """One class map against one lesion mask."""

    is_hit: bool  # pointing game: the map's maximum lies in the mask, or within the tolerance of it
    hit_chance: float  # share of pixels that would have been a hit
    energy_in_mask: float | None  # share of the map's sum inside the mask; None for an empty map
    overlap: float  # intersection over union with the strongest pixels, as many as the mask has
    area_chance: float  # mask area as a share of the image: what energy_in_mask gives for a flat map
    overlap_chance: float  # expected overlap of as many pixels at random


def localise(relevance: np.ndarray, mask: np.ndarray, *, tolerance_pixels: float = 0.0) -> Localisation:
    """Compare an enlarged class map with a lesion mask.

    Parameters
    ----------
    relevance : float array, shape (size, size)
        Not negative.
    mask : bool array, shape (size, size)
        As :func:`core.model.preprocessing.prepare_mask` gives it.
    tolerance_pixels : float
        Distance from the mask that still counts as a hit (15 in the original at 300 to 500 pixels; 0 is strict).

    Raises
    ------
    InputError
        If shapes differ.
    UndefinedStatisticError
        If the mask is empty.
    """
    if relevance.shape != mask.shape:
        raise InputError("map and mask must have one shape", field="mask", value=(relevance.shape, mask.shape))
    n_mask = int(mask.sum())
    if n_mask == 0:
        raise UndefinedStatisticError("the lesion mask is empty, so there is nothing to point at.")
    near = _within(mask, tolerance_pixels)
    # Every pixel at the maximum takes part: a flat map must not win by where argmax happens to look.
    at_top = relevance >= relevance.max()
    is_hit = bool(near[at_top].mean() > 0.5) and not bool(at_top.all())
    total = float(relevance.sum())
    cut = np.partition(relevance.ravel(), -n_mask)[-n_mask]
    strongest = relevance >= cut if cut > 0 else relevance > 0
    both, either = int((strongest & mask).sum()), int((strongest | mask).sum())
    share = n_mask / mask.size
    expected_both = n_mask * share
    return Localisation(
        is_hit=is_hit,
        hit_chance=float(near.mean()),
        energy_in_mask=float(relevance[mask].sum()) / total if total > 0 else None,
        overlap=both / either,
        area_chance=share,
        overlap_chance=expected_both / (2 * n_mask - expected_both),
    )


def _within(mask: np.ndarray, distance: float) -> np.ndarray:
    """The mask and all pixels within a distance of it."""
    if distance <= 0:
        return mask
    from scipy.ndimage import distance_transform_edt

    return np.asarray(distance_transform_edt(~mask) <= distance)


@dataclass(frozen=True)
class PointingGame:
    """Localisation over cases."""

    n: int
    n_hits: int
    hit_rate: float
    hit_chance: float  # mean share of pixels that would have been a hit
    mean_energy_in_mask: float | None
    mean_area_chance: float
    mean_overlap: float
    mean_overlap_chance: float


def pointing_game(cases: Sequence[Localisation]) -> PointingGame:
    """Hits, energy and overlap over cases, each beside its chance level.

    Raises
    ------
    UndefinedStatisticError
        If there is no case.
    """
    if not cases:
        raise UndefinedStatisticError("there is no case with a lesion mask.")
    energies = [case.energy_in_mask for case in cases if case.energy_in_mask is not None]
    n_hits = sum(case.is_hit for case in cases)
    return PointingGame(
        n=len(cases),
        n_hits=n_hits,
        hit_rate=n_hits / len(cases),
        hit_chance=float(np.mean([case.hit_chance for case in cases])),
        mean_energy_in_mask=float(np.mean(energies)) if energies else None,
        mean_area_chance=float(np.mean([case.area_chance for case in cases])),
        mean_overlap=float(np.mean([case.overlap for case in cases])),
        mean_overlap_chance=float(np.mean([case.overlap_chance for case in cases])),
    )
