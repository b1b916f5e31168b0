"""Does something of an image that is not the patient, its size or file format, give the class away?

A reader, and even more a model, learns in a few cases that every tumor is 128 pixels wide. Each property is tabled
against the reference standard, in all cohorts that are read together and in each cohort alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.imaging.manifest import TRAINING_COHORTS
from core.imaging.notes import is_loud

P_VALUE = 0.01  # below which a property is said to go with the class ...
MIN_CRAMERS_V = 0.1  # ... if the association is at least this strong; thousands of cases make a trifle significant
MAX_VALUES = 12  # a property with more values than this is a measurement
_RESAMPLES = 9999
_WORTH_SIMULATING = 0.1  # chi-squared's p, above which Fisher's is never below 0.01
_FIXES = {
    "centre": "take classes from every centre, or say in the paper that the centre goes with the class",
    "scanner": "take classes from every scanner, or say in the paper that the scanner goes with the class",
}


@dataclass(frozen=True)
class ImageFacts:
    """What is known of the image of one view of a case besides the patient."""

    cohort: str
    truth: str  # class key
    width: int
    height: int
    bits: int
    file_format: str | None
    pixel_spacing_mm: float | None
    notes: tuple[str, ...] = ()
    centre: str | None = None
    scanner: str | None = None
    view: str = ""
    left_side: str | None = None


@dataclass(frozen=True)
class Giveaway:
    """A property that goes with the class."""

    property: str  # "image size"
    scope: str  # "all cohorts", or the cohort's name
    counts: dict[str, dict[str, int]]  # value -> class key -> cases
    p_value: float  # chi-squared; Fisher's exact test by simulation where a cell expects fewer than 5 cases
    cramers_v: float
    share_guessed: float  # of the cases whose class is guessed right from the property alone
    share_blind: float  # ... and without it: the share of the commonest class

    def __str__(self) -> str:
        shown = "; ".join(
            f"{value}: " + ", ".join(f"{key} {n}" for key, n in classes.items() if n)
            for value, classes in self.counts.items()
        )
        fix = _FIXES.get(self.property, "export all images in one way, then import again")
        what, of_view, view = self.property.partition(" of the view ")
        p = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.2g}"
        return (
            f"THE {what.upper()}{of_view}{view} GIVES THE CLASS AWAY in {self.scope} ({p}, Cramér's V "
            f"{self.cramers_v:.2f}): {shown}. It alone guesses {self.share_guessed:.0%} of the classes, "
            f"{self.share_blind:.0%} without it. Fix: {fix}."
        )


def find_giveaways(facts: Iterable[ImageFacts]) -> list[Giveaway]:
    """The properties that go with the class, each in the scope where that is clearest.

    Parameters
    ----------
    facts : iterable of ImageFacts
        Cases that are read or learned from: without the excluded.

    Returns
    -------
    list of Giveaway
        Chi-squared p below 0.01 with Cramér's V of at least 0.1, or one value for all of a class and for no other.
    """
    facts = list(facts)
    found: dict[str, Giveaway] = {}
    views = list(dict.fromkeys(fact.view for fact in facts))
    for view in views:
        of_view = [fact for fact in facts if fact.view == view]
        for name, giveaway in _of_one_view(of_view).items():
            is_of_case = name in _FIXES and view != views[0]  # centre, scanner: said once
            if not is_of_case:
                named = name if name in _FIXES or not view else f"{name} of the view '{view}'"
                found[named] = replace(giveaway, property=named)
    return list(found.values())


def _of_one_view(facts: Sequence[ImageFacts]) -> dict[str, Giveaway]:
    """The properties of one view's images that go with the class, each in the scope where that is clearest."""
    read = [fact for fact in facts if fact.cohort.casefold() not in TRAINING_COHORTS]
    names = list(dict.fromkeys(fact.cohort for fact in facts))
    scopes = {"all cohorts that are read": read} if len(names) > 1 else {}
    scopes |= {f"cohort '{name}'": [fact for fact in facts if fact.cohort == name] for name in names}
    found: dict[str, Giveaway] = {}
    for scope, group in scopes.items():
        truth = [fact.truth for fact in group]
        for name, values in _properties(group).items():
            giveaway = _judge(name, scope, values, truth)
            if giveaway is not None and giveaway.cramers_v > getattr(found.get(name), "cramers_v", 0.0):
                found[name] = giveaway
    return found


def _properties(facts: Sequence[ImageFacts]) -> dict[str, list[str]]:
    """Every property with its value for each case."""
    found = {
        "image size": [f"{fact.width} x {fact.height}" for fact in facts],
        "file format": [fact.file_format or "unknown" for fact in facts],
        "bit depth": [f"{fact.bits} bits" for fact in facts],
        "pixel spacing": [_spacing(fact.pixel_spacing_mm) for fact in facts],
        "side of the patient's left": [fact.left_side or "not stated" for fact in facts],
        "centre": [fact.centre or "none" for fact in facts],
        "scanner": [fact.scanner or "none" for fact in facts],
    }
    kinds = [{note.split(" (")[0].split(":")[0] for note in fact.notes if not is_loud(note)} for fact in facts]
    for kind in sorted(set().union(*kinds)):
        found[f"note '{kind}'"] = ["yes" if kind in own else "no" for own in kinds]
    return found


def _spacing(value: float | None) -> str:
    """A pixel spacing to a hundredth of a millimetre."""
    return "not stated" if value is None else f"{value:.2f} mm"


def _judge(name: str, scope: str, values: Sequence[str], truth: Sequence[str]) -> Giveaway | None:
    """The giveaway, if the property is one."""
    rows, columns = list(dict.fromkeys(values)), list(dict.fromkeys(truth))
    if not 2 <= len(rows) <= MAX_VALUES or len(columns) < 2:
        return None
    cells = Counter(zip(values, truth, strict=True))
    table = np.array([[cells[row, column] for column in columns] for row in rows])
    from scipy import stats  # half a second, which every command would pay

    chi_squared, p_value, _, expected = stats.chi2_contingency(table, correction=False)
    cramers_v = float(np.sqrt(chi_squared / table.sum() / (min(table.shape) - 1)))
    own = table * (table == table.sum(axis=1, keepdims=True)) * (table == table.sum(axis=0))  # one value = one class
    has_own = bool((own >= 2).any())
    if expected.min() < 5 and (has_own or p_value < _WORTH_SIMULATING):
        method = stats.MonteCarloMethod(n_resamples=_RESAMPLES, rng=np.random.default_rng(0))
        # of some tables SciPy's simulation gives an array of one p
        p_value = np.asarray(stats.fisher_exact(table, method=None if table.shape == (2, 2) else method).pvalue).item()
    if not has_own and not (p_value < P_VALUE and cramers_v >= MIN_CRAMERS_V):
        return None
    return Giveaway(
        property=name,
        scope=scope,
        counts={row: {column: int(cells[row, column]) for column in columns} for row in rows},
        p_value=float(p_value),
        cramers_v=cramers_v,
        share_guessed=float(table.max(axis=1).sum() / table.sum()),
        share_blind=float(table.sum(axis=0).max() / table.sum()),
    )
