"""Who is in a synthetic cohort: class counts, sex, age, centre and seeds, before any picture is made.

Source of every figure: Zhao et al. 2023, Table 1, and the text (centre 1 gives training and internal validation,
centres 2 and 3 the external set). How the external set divides between the two centres is not published; half and
half within each class is assumed. Age and sex do not depend on class, because the paper gives them per set only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import beta

from core.errors import InputError
from core.phantom.case import AGE_RANGE_YEARS
from core.phantom.fields import generator
from core.phantom.uptake import SUBTYPES, Knobs

#: Table 1 of the paper: counts per class, women, mean and SD of age.
PAPER_TABLE_1: dict[str, tuple[dict[str, int], int, float, float]] = {
    "training": ({"graves": 520, "normal": 484, "sat": 531, "tumor": 532}, 1503, 45.48, 14.31),
    "internal": ({"graves": 130, "normal": 120, "sat": 132, "tumor": 132}, 366, 46.05, 15.82),
    "external": ({"graves": 158, "normal": 138, "sat": 163, "tumor": 154}, 460, 42.49, 13.70),
}
COHORT_CENTRES: dict[str, tuple[str, ...]] = {"training": ("C1",), "internal": ("C1",), "external": ("C2", "C3")}


@dataclass(frozen=True)
class CohortPlan:
    """One cohort to be simulated."""

    study: str  # part of every seed: another study name gives other patients
    cohort: str  # "training", "internal", "external", ...
    counts: Mapping[str, int]  # class key -> cases
    female_count: int
    age_mean_years: float
    age_sd_years: float
    centres: tuple[str, ...]  # cases of each class take turns
    knobs: Knobs = field(default_factory=Knobs)

    def __post_init__(self) -> None:
        for disease, count in self.counts.items():
            if disease not in SUBTYPES:
                raise InputError("the simulator knows no such class", field="counts", value=disease)
            if count < 0:
                raise InputError("a class cannot have fewer than 0 cases", field=disease, value=count)
        if not 0 <= self.female_count <= self.size:
            raise InputError("more women than cases", field="female_count", value=self.female_count)
        if not self.centres:
            raise InputError("a cohort needs at least one centre", field="centres")

    @property
    def size(self) -> int:
        """Cases in all classes together."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Member:
    """One case of a cohort, with names that tell nothing of its class."""

    study: str
    cohort: str
    disease: str
    index: int  # within study, cohort and class
    centre: str
    sex: str
    age_years: int
    case: str
    patient: str
    image_name: str  # without extension
    mask_name: str
    knobs: Knobs

    @property
    def seed_key(self) -> tuple[str | int, ...]:
        """Seed for :func:`core.phantom.generate_case`, which adds the class."""
        return (self.study, self.cohort, self.index)


def paper_cohorts(study: str = "paper", *, knobs: Knobs | None = None) -> list[CohortPlan]:
    """The three cohorts of the paper's Table 1: 2,067 training, 514 internal and 613 external cases."""
    return [
        CohortPlan(
            study=study,
            cohort=cohort,
            counts=dict(counts),
            female_count=women,
            age_mean_years=mean,
            age_sd_years=sd,
            centres=COHORT_CENTRES[cohort],
            knobs=knobs or Knobs(),
        )
        for cohort, (counts, women, mean, sd) in PAPER_TABLE_1.items()
    ]


def small_cohorts(
    cases_per_class: int | Mapping[str, int] = 40, study: str = "small", *, knobs: Knobs | None = None
) -> list[CohortPlan]:
    """Balanced cohorts in the paper's proportions, for a demonstration or a test.

    Parameters
    ----------
    cases_per_class : int or mapping
        Training cases in each class; internal and external get the paper's 25 % and 30 % of it, at least two. Or a
        mapping from cohort ("training", "internal", "external") to cases per class; a cohort left out is not made.
    study : str
        Part of the seed.
    knobs : Knobs, optional
        Difficulty.

    Raises
    ------
    InputError
        If a count is below 1 or a cohort is unknown.
    """
    if isinstance(cases_per_class, Mapping):
        sizes = dict(cases_per_class)
    else:
        sizes = {
            "training": cases_per_class,
            "internal": max(2, round(cases_per_class * 514 / 2067)),
            "external": max(2, round(cases_per_class * 613 / 2067)),
        }
    plans = []
    for cohort, size in sizes.items():
        if cohort not in PAPER_TABLE_1:
            raise InputError(
                "there is no such cohort",
                field="cases_per_class",
                value=cohort,
                fix="use one of " + ", ".join(PAPER_TABLE_1),
            )
        if size < 1:
            raise InputError(
                "a cohort needs at least one case in each class", field=cohort, value=size, fix="write 1 or more"
            )
        counts, women, mean, sd = PAPER_TABLE_1[cohort]
        plans.append(
            CohortPlan(
                study=study,
                cohort=cohort,
                counts=dict.fromkeys(counts, size),
                female_count=round(size * len(counts) * women / sum(counts.values())),
                age_mean_years=mean,
                age_sd_years=sd,
                centres=COHORT_CENTRES[cohort],
                knobs=knobs or Knobs(),
            )
        )
    return plans


def plan_members(plan: CohortPlan) -> list[Member]:
    """Every case of a plan, in a seeded order that tells nothing of the class."""
    rng = generator(plan.study, plan.cohort, "cohort")
    size = plan.size
    sexes = np.array(["F"] * plan.female_count + ["M"] * (size - plan.female_count))[rng.permutation(size)]
    ages = _ages(rng, size, plan.age_mean_years, plan.age_sd_years)
    pairs = [(disease, index) for disease, count in plan.counts.items() for index in range(count)]
    places = rng.permutation(size)
    return [
        Member(
            study=plan.study,
            cohort=plan.cohort,
            disease=pairs[place][0],
            index=pairs[place][1],
            centre=plan.centres[pairs[place][1] % len(plan.centres)],
            sex=str(sexes[place]),
            age_years=int(ages[place]),
            case=_opaque("case", plan, order),
            patient=_opaque("patient", plan, order),
            image_name=_opaque("image", plan, order),
            mask_name=_opaque("mask", plan, order),
            knobs=plan.knobs,
        )
        for order, place in enumerate(places)
    ]


def _opaque(word: str, plan: CohortPlan, order: int) -> str:
    """A name made of the place in the shuffled order; it begins with a letter so that no spreadsheet eats it."""
    digest = hashlib.sha256("\x1f".join((word, plan.study, plan.cohort, str(order))).encode()).hexdigest()
    return f"{word[0]}{digest[:14]}"


def _ages(rng: np.random.Generator, size: int, mean: float, sd: float) -> np.ndarray:
    """Whole years from a beta distribution on the plausible range with this mean and SD, one per quantile."""
    low, high = AGE_RANGE_YEARS
    share = (mean - low) / (high - low)
    variance = (sd**2 - 1 / 12) / (high - low) ** 2  # rounding to whole years adds 1/12
    total = share * (1 - share) / variance - 1
    if size == 0:
        return np.zeros(0, dtype=int)
    quantiles = (rng.permutation(size) + rng.random(size)) / size
    years = low + (high - low) * beta.ppf(quantiles, share * total, (1 - share) * total)
    return np.rint(years).astype(int)
