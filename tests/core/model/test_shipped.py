"""The model that ships: it points at lesions, and says so when it is shown what is no thyroid scintigram."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_images

from core.model.class_maps import enlarge
from core.model.classifier import Classifier
from core.model.faithfulness import localise, pointing_game
from core.model.preprocessing import prepare_mask
from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.phantom import PhantomCase, generate_case

TUMOR = 3


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    """On the CPU, as the demo serves it."""
    return Classifier.load(SHIPPED_CHECKPOINT, device="cpu", threads=1)


@pytest.fixture(scope="module")
def tumors() -> list[PhantomCase]:
    """Forty patients that no training has seen, from all three centres."""
    return [
        generate_case(("test-shipped", "internal", index), "tumor", centre=("C1", "C2", "C3")[index % 3])
        for index in range(40)
    ]


def chest_film(seed: int) -> np.ndarray:
    """A radiograph as a child would draw it: two dark lungs crossed by ribs, a bright spine and heart."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:256, 0:256] / 255
    film = np.full((256, 256), 0.55)
    for side in (-1, 1):
        centre = 0.5 + side * rng.uniform(0.18, 0.22)
        film -= 0.4 * ((((columns - centre) / 0.15) ** 2 + ((rows - 0.45) / 0.33) ** 2) < 1)
    film += 0.12 * (np.sin(2 * np.pi * rng.uniform(8, 11) * (rows + 0.35 * np.abs(columns - 0.5))) > 0.5)
    film += 0.3 * (np.abs(columns - 0.5) < 0.045)
    film += 0.25 * ((((columns - 0.56) / 0.13) ** 2 + ((rows - 0.62) / 0.14) ** 2) < 1)
    film = gaussian_filter(film, 2) + rng.normal(0, 0.02, film.shape)
    return np.clip(255 * film, 0, 255).astype(np.uint8)


def test_noise_photographs_chest_films_and_empty_frames_are_flagged(shipped: Classifier) -> None:
    photographs = [np.array(Image.fromarray(photo).convert("L")) for photo in load_sample_images().images]
    noise = np.random.default_rng(1).poisson(20, (256, 256)).astype(np.uint8)
    strange = [chest_film(2), chest_film(3), *photographs, noise, np.zeros((256, 256), np.uint8)]
    assert shipped.predict(strange).is_out_of_distribution.all()


def test_most_ordinary_scintigrams_are_not_flagged(shipped: Classifier, tumors: list[PhantomCase]) -> None:
    assert shipped.predict([case.picture for case in tumors]).is_out_of_distribution.mean() <= 0.15


def test_maps_of_tumors_peak_inside_the_nodule(shipped: Classifier, tumors: list[PhantomCase]) -> None:
    """Chance is one in a hundred; see docs/explanations.md for the rate over more cases."""
    size = shipped.metadata.input_size
    maps = shipped.predict([case.picture for case in tumors]).class_maps
    assert maps is not None
    large = np.maximum(enlarge(maps[:, TUMOR], size), 0)
    game = pointing_game(
        [localise(one, prepare_mask(case.lesion_mask, size)) for one, case in zip(large, tumors, strict=True)]
    )
    assert game.hit_rate >= 0.7
    assert game.hit_chance < 0.05
