"""Whether a model's answer to one case hangs on what its class map points at: deletion and insertion, on demand."""

from __future__ import annotations

import numpy as np

from actions.models import load_classifier
from core.errors import InputError
from core.model.class_maps import enlarge
from core.model.faithfulness import PerturbationCurve, deletion, insertion
from core.model.preprocessing import prepare
from db.records import CaseImage, ModelVersion

#: Side of the square in which pixels are taken away where the model's card names none.
_SIDE = 224
_SEED = 2023  # of the random order: the same case gives the same curves


def map_curves(
    version: ModelVersion, image: CaseImage, class_map: np.ndarray, class_index: int
) -> tuple[PerturbationCurve, PerturbationCurve]:
    """Deletion and insertion of the map of one class on one case.

    Parameters
    ----------
    version : ModelVersion
        A registered model; it answers 84 altered images.
    image : CaseImage
        The view that the model took.
    class_map : float array, shape (h, w)
        The stored map of the class.
    class_index : int

    Raises
    ------
    InputError
        If the image is in colour: pixels are taken away from grey images only.
    ModelError
        If the model cannot be run here.
    """
    if image.pixels.ndim != 2 or version.metadata.get("channels", 1) != 1:
        raise InputError("deletion and insertion take grey images", field="case", value=image.case)
    model = load_classifier(version)
    side = version.metadata.get("input_size")
    size = side if isinstance(side, int) else _SIDE
    prepared = prepare(image.pixels, size)
    relevance = np.maximum(enlarge(np.asarray(class_map, dtype=float), size), 0)

    def predict(images: np.ndarray) -> np.ndarray:
        return model.predict(list(images)).probabilities

    rng = np.random.default_rng(_SEED)
    first, second = (of(predict, prepared, relevance, class_index, rng=rng) for of in (deletion, insertion))
    return first, second
