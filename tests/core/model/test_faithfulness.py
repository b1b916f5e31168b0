"""Faithfulness and localisation on models and maps whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import InputError, UndefinedStatisticError
from core.model.faithfulness import Localisation, deletion, insertion, localise, pointing_game

SIZE = 32


def _square(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


LESION = _square(8, 8, 8)
PICTURE = np.where(LESION, 200, 20).astype(np.uint8)


def _looks_at_the_lesion(images: np.ndarray) -> np.ndarray:
    """A model whose probability is how bright the lesion is, and nothing else."""
    bright = np.clip((images[:, LESION].mean(axis=1) - 20) / 180, 0, 1)
    return np.stack([1 - bright, bright], axis=1)


def test_faithful_map_deletes_early_and_inserts_early() -> None:
    right, wrong = LESION.astype(float), (~LESION).astype(float)
    for curve, sign in ((deletion, 1), (insertion, -1)):
        faithful = curve(_looks_at_the_lesion, PICTURE, right, 1, rng=np.random.default_rng(0))
        unfaithful = curve(_looks_at_the_lesion, PICTURE, wrong, 1, rng=np.random.default_rng(0))
        assert sign * faithful.area < sign * faithful.random_area - 0.1
        assert sign * unfaithful.area > sign * unfaithful.random_area + 0.1
        assert faithful.shares[[0, -1]].tolist() == [0, 1]


def test_curves_begin_and_end_where_they_must() -> None:
    removed = deletion(_looks_at_the_lesion, PICTURE, LESION.astype(float), 1, steps=5, rng=np.random.default_rng(0))
    assert removed.probabilities[0] == pytest.approx(1)
    assert removed.probabilities[-1] == pytest.approx(0)
    brought = insertion(_looks_at_the_lesion, PICTURE, LESION.astype(float), 1, steps=5, rng=np.random.default_rng(0))
    assert brought.probabilities[-1] == pytest.approx(1)
    assert len(brought.shares) == 6


def test_colour_is_taken_away_pixel_by_pixel_and_its_border_is_a_colour() -> None:
    """The same picture in three equal channels gives the same curve; a coloured border is filled in by channel."""
    grey = deletion(_looks_at_the_lesion, PICTURE, LESION.astype(float), 1, rng=np.random.default_rng(0))
    seen: list[np.ndarray] = []

    def looks_at_red(images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return _looks_at_the_lesion(images[..., 0])

    colour = np.stack([PICTURE, PICTURE // 2, 255 - PICTURE], axis=2)
    for curve, reference in (
        (deletion, grey),
        (insertion, insertion(_looks_at_the_lesion, PICTURE, LESION.astype(float), 1, rng=np.random.default_rng(0))),
    ):
        found = curve(looks_at_red, colour, LESION.astype(float), 1, rng=np.random.default_rng(0))
        np.testing.assert_allclose(found.probabilities, reference.probabilities, atol=1e-12)
    assert seen[0].shape[1:] == colour.shape
    assert seen[0][20].reshape(-1, 3).tolist() == [[20, 10, 235]] * SIZE**2, "all pixels have the border's colour"
    with pytest.raises(InputError, match="one shape"):
        deletion(looks_at_red, colour[..., :2], LESION.astype(float), 1, rng=np.random.default_rng(0))


def test_map_that_knows_nothing_is_at_chance() -> None:
    rng = np.random.default_rng(0)
    curves = [deletion(_looks_at_the_lesion, PICTURE, np.ones((SIZE, SIZE)), 1, rng=rng) for _ in range(30)]
    assert np.mean([curve.area - curve.random_area for curve in curves]) == pytest.approx(0, abs=0.03)


def test_curves_refuse_what_does_not_fit() -> None:
    with pytest.raises(InputError):
        deletion(_looks_at_the_lesion, PICTURE, np.ones((8, 8)), 1, rng=np.random.default_rng(0))
    with pytest.raises(InputError):
        insertion(_looks_at_the_lesion, PICTURE, np.ones((SIZE, SIZE)), 1, steps=0, rng=np.random.default_rng(0))


def test_perfect_map_hits_and_overlaps_wholly() -> None:
    found = localise(LESION.astype(float), LESION)
    assert found.is_hit
    assert found.overlap == 1
    assert found.energy_in_mask == 1
    assert found.area_chance == found.hit_chance == 64 / 1024


def test_map_elsewhere_misses_unless_the_tolerance_reaches_it() -> None:
    beside = np.zeros((SIZE, SIZE))
    beside[12, 18] = 1
    strict, near = localise(beside, LESION), localise(beside, LESION, tolerance_pixels=4)
    assert not strict.is_hit
    assert strict.overlap == 0
    assert strict.energy_in_mask == 0
    assert near.is_hit
    assert near.hit_chance > strict.hit_chance


def test_flat_and_empty_maps_are_no_hit() -> None:
    flat, empty = localise(np.ones((SIZE, SIZE)), LESION), localise(np.zeros((SIZE, SIZE)), LESION)
    assert not flat.is_hit
    assert not empty.is_hit
    assert flat.energy_in_mask == pytest.approx(flat.area_chance)
    assert empty.energy_in_mask is None
    assert empty.overlap == 0


def test_chance_levels_are_what_random_maps_reach() -> None:
    rng = np.random.default_rng(0)
    found = pointing_game([localise(rng.random((SIZE, SIZE)), LESION) for _ in range(1500)])
    assert found.hit_rate == pytest.approx(found.hit_chance, abs=0.02)
    assert found.mean_overlap == pytest.approx(found.mean_overlap_chance, abs=0.005)
    assert found.mean_energy_in_mask == pytest.approx(found.mean_area_chance, abs=0.005)


def test_pointing_game_counts_hits() -> None:
    hit = Localisation(True, 0.1, 0.8, 0.5, 0.1, 0.05)
    miss = Localisation(False, 0.3, None, 0.0, 0.3, 0.15)
    found = pointing_game([hit, miss, hit])
    assert (found.n, found.n_hits) == (3, 2)
    assert found.hit_rate == pytest.approx(2 / 3)
    assert found.mean_energy_in_mask == pytest.approx(0.8)
    assert found.mean_overlap == pytest.approx(1 / 3)


def test_nothing_to_point_at_is_undefined() -> None:
    with pytest.raises(UndefinedStatisticError):
        localise(np.ones((4, 4)), np.zeros((4, 4), bool))
    with pytest.raises(UndefinedStatisticError):
        pointing_game([])
    with pytest.raises(InputError):
        localise(np.ones((4, 4)), np.ones((5, 5), bool))
