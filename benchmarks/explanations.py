"""Do the class maps point at the lesion, and do they say what the model uses? Phantoms, whose lesions are known.

Per class, on the map of the class that the case has: the pointing game (strict, and with half a cell of the map as
tolerance), the share of the map's energy inside the lesion mask and the overlap, each beside its chance level; deletion
and insertion areas beside those of a random order; ROAD of the grad-cam package; and the share of cases whose map peaks
in the one cell where most of its class peak: near 1 the map shows a habit of the network, not a place in the patient.

    python -m benchmarks.explanations [--data MANIFEST] [--cases 60] [--write docs/explanations.md]

Without ``--data``, phantoms are drawn that no model was trained on.

References
----------
Zhang et al. (2018), Int J Comput Vis 126:1084-1102 (pointing game).
Petsiuk et al. (2018), BMVC (deletion, insertion). Rong et al. (2022), ICML (ROAD).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from core.imaging import manifest_cases
from core.model.card import read_card
from core.model.checkpoint import load_checkpoint
from core.model.class_maps import enlarge
from core.model.classifier import Classifier
from core.model.faithfulness import deletion, insertion, localise, pointing_game
from core.model.package_maps import PackageExplainer
from core.model.preprocessing import prepare, prepare_mask
from core.model.shipped_weights import SHIPPED_CHECKPOINT
from core.phantom import small_cohorts, write_cohorts
from core.runtime import keep_caches_in
from core.settings import get_settings
from core.study import CaseRecord

#: The page that ``--write`` makes.
PAGE = """# What the class maps are worth

Written by `python -m benchmarks.explanations --write docs/explanations.md`: the checkpoint `{checkpoint}` on synthetic
cases that it was not trained on, whose lesions are known. The map is Grad-CAM of the case's own class; in brackets what
chance would give. Low is good for deletion, high for the other measures but the last. The lesion of Graves' disease and
of subacute thyroiditis is most of the gland; a normal gland has none. *Peak in the same cell* is the share of cases
whose map peaks where most of its class peak: near 1 the map shows a habit of the network, not a place in the patient.

{teaching}

{table}

Maps show where the model looked, not whether it is right. A map that misses the lesion of a right answer explains
nothing: read every map with this table.
"""


#: What the measures of localisation can mean, by whether the network saw masks in training.
TEACHING = {
    True: "This network was shown the lesion masks of its training cases (`training/map_loss.py`): that its maps point "
    "was taught. Whether the answer hangs on what they point at is what deletion, insertion and ROAD say.",
    False: "This network never saw a lesion mask: where its maps point, it found by itself.",
}


def measure(cases: list[CaseRecord], checkpoint: Path, n_perturbed: int) -> list[str]:
    """Markdown rows, one per class."""
    classifier = Classifier.load(checkpoint, device="cpu")
    explainer = PackageExplainer(load_checkpoint(checkpoint).network)
    size = classifier.metadata.input_size
    rng = np.random.default_rng(2023)

    def predict(prepared: np.ndarray) -> np.ndarray:
        return classifier.predict(list(prepared)).probabilities

    rows = []
    for index, key in enumerate(classifier.classes):
        mine = [case for case in cases if case.truth == key]
        answer = classifier.predict([case.pixels for case in mine])
        prepared = np.stack([prepare(case.pixels, size) for case in mine])
        half_cell = size / answer.class_maps.shape[-1] / 2
        peaks = answer.class_maps[:, index].reshape(len(mine), -1).argmax(axis=1)
        maps = np.maximum(enlarge(answer.class_maps[:, index], size), 0)  # (n, size, size)
        cells = [key, str(len(mine)), f"{np.mean(answer.probabilities.argmax(axis=1) == index):.2f}"]
        masks = [None if case.lesion_mask is None else prepare_mask(case.lesion_mask, size) for case in mine]
        known = [(one, mask) for one, mask in zip(maps, masks, strict=True) if mask is not None and mask.any()]
        if known:
            strict = pointing_game([localise(one, mask) for one, mask in known])
            near = pointing_game([localise(one, mask, tolerance_pixels=half_cell) for one, mask in known])
            energy = "none" if strict.mean_energy_in_mask is None else f"{strict.mean_energy_in_mask:.2f}"
            cells += [
                f"{strict.hit_rate:.2f} ({strict.hit_chance:.2f})",
                f"{near.hit_rate:.2f} ({near.hit_chance:.2f})",
                f"{energy} ({strict.mean_area_chance:.2f})",
                f"{strict.mean_overlap:.2f} ({strict.mean_overlap_chance:.2f})",
            ]
        else:
            cells += ["no lesion"] * 4
        few = range(min(n_perturbed, len(mine)))
        deleted = [deletion(predict, prepared[row], maps[row], index, rng=rng) for row in few]
        inserted = [insertion(predict, prepared[row], maps[row], index, rng=rng) for row in few]
        road = explainer.road(prepared[: len(few)], maps[: len(few)], index)
        cells += [
            f"{np.mean([c.area for c in deleted]):.2f} ({np.mean([c.random_area for c in deleted]):.2f})",
            f"{np.mean([c.area for c in inserted]):.2f} ({np.mean([c.random_area for c in inserted]):.2f})",
            f"{road.mean():+.2f}",
            f"{np.bincount(peaks).max() / len(mine):.2f}",
        ]
        rows.append("| " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Draw or read the cases, measure, print and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a manifest with lesion masks")
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED_CHECKPOINT)
    parser.add_argument("--cases", type=int, default=60, help="phantoms of each class, drawn without --data")
    parser.add_argument("--perturbed", type=int, default=20, help="cases of each class for deletion, insertion, ROAD")
    parser.add_argument("--write", type=Path, help="Markdown file to write")
    options = parser.parse_args()
    keep_caches_in(get_settings().cache_folder)  # grad-cam brings Matplotlib
    with tempfile.TemporaryDirectory(prefix="reading-room-maps-") as folder:
        manifest = options.data or write_cohorts(
            small_cohorts({"internal": options.cases}, study="explanations"), Path(folder) / "phantoms"
        )
        cases = list(manifest_cases(manifest))
    header = [
        "| class | n | sensitivity | pointing game (chance) | within half a cell (chance) | energy in lesion (chance) "
        "| overlap (chance) | deletion (random) | insertion (random) | ROAD | peak in the same cell |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(header))
    rows = measure(cases, options.checkpoint, options.perturbed)
    if options.write:
        is_taught = bool(read_card(options.checkpoint).recipe.get("map_weight"))
        page = PAGE.format(
            checkpoint=options.checkpoint.name, teaching=TEACHING[is_taught], table="\n".join([*header, *rows])
        )
        options.write.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
