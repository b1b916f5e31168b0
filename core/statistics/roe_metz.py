"""Simulated reader studies from the model of Roe and Metz, to check the size and power of multi-reader tests.

Measures: none; :class:`RoeMetzModel` and its :meth:`RoeMetzModel.simulate`.

The decision variable of reader j for case k of truth t in arm i is ``mu_it + R_jt + C_kt + (arm R)_ijt + (arm C)_ikt +
(R C)_jkt + E_ijkt``: independent normal effects, drawn separately for positive and negative cases. Case-related
variances add to 1, so that a separation of mu and the reader variances are in units of the decision variable's
standard deviation over cases.

Conventions: a higher value is more likely positive; ``positive_scale`` stretches everything about positive cases
(unequal variance, Hillis 2012); the error takes in the three-way interaction.

>>> model = RoeMetzModel.structure("HL", separation=1.5)
>>> print(f"{model.expected_auc(0):.3f}")
0.854

References
----------
Roe and Metz (1997), Acad. Radiol. 4:298-303.
Hillis (2012), Acad. Radiol. 19:1518-1528 (unequal variance).
Gallas and Hillis (2014), J. Med. Imaging 1:031006.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from scipy import stats

from core.errors import StatisticsInputError
from core.statistics.reader_study import ReaderStudy
from core.statistics.validation import check_count, check_rng

#: Case-related variances (case, arm x case, reader x case, error) by data correlation, of Roe and Metz.
_CASE_VARIANCES = {"H": (0.3, 0.3, 0.2, 0.2), "L": (0.1, 0.1, 0.2, 0.6)}
#: Reader variances (reader and arm x reader, each) by separation of the means; "L" is low for every separation.
_READER_VARIANCES = {"L": {0.75: 0.0055, 1.5: 0.0055, 2.5: 0.0055}, "H": {0.75: 0.011, 1.5: 0.03, 2.5: 0.056}}
#: Names of the structures: data correlation, then reader variance.
STRUCTURES = ("HL", "LL", "HH", "LH")
#: Separations of Roe and Metz; AUC about 0.702, 0.855, 0.961.
SEPARATIONS = (0.75, 1.5, 2.5)


@dataclass(frozen=True)
class RoeMetzModel:
    """Separation of the means in every arm and variances of the effects."""

    separations: tuple[float, ...]  # mean of positive minus mean of negative cases, one per arm
    reader: float
    arm_by_reader: float
    case: float
    arm_by_case: float
    reader_by_case: float
    error: float
    positive_scale: float = 1.0  # standard deviation of positive cases over that of negative ones

    def __post_init__(self) -> None:
        if not self.separations:
            raise StatisticsInputError("is empty", field="separations", fix="give one separation per arm")
        for part in fields(self)[1:]:
            value = getattr(self, part.name)
            if not (np.isfinite(value) and value >= 0):
                raise StatisticsInputError("must be zero or more", field=part.name, value=value)
        if self.positive_scale == 0 or self.case + self.arm_by_case + self.reader_by_case + self.error == 0:
            raise StatisticsInputError("leaves cases without variance", field="positive_scale, variances")

    @classmethod
    def structure(cls, name: str, *, separation: float, difference: float = 0.0) -> RoeMetzModel:
        """One of the twelve models of Roe and Metz with two arms.

        Parameters
        ----------
        name : str
            "HL", "LL", "HH" or "LH": correlation between ratings of a case high or low, variance between readers
            high or low.
        separation : float
            0.75, 1.5 or 2.5 in the first arm.
        difference : float
            Separation in the second arm minus that in the first; 0 is the null hypothesis.

        Raises
        ------
        StatisticsInputError
            If there is no such model.
        """
        if name not in STRUCTURES or separation not in SEPARATIONS:
            raise StatisticsInputError(
                "is no structure of Roe and Metz",
                field="name, separation",
                value=(name, separation),
                fix="use HL, LL, HH or LH with 0.75, 1.5 or 2.5",
            )
        between = _READER_VARIANCES[name[1]][separation]
        return cls((separation, separation + difference), between, between, *_CASE_VARIANCES[name[0]])

    def expected_auc(self, arm: int) -> float:
        """AUC of an arm, averaged over readers and cases.

        Parameters
        ----------
        arm : int
            Position of the arm.
        """
        total = self.reader + self.arm_by_reader + self.case + self.arm_by_case + self.reader_by_case + self.error
        return float(stats.norm.cdf(self.separations[arm] / np.sqrt(total * (1.0 + self.positive_scale**2))))

    def simulate(self, *, n_readers: int, n_positive: int, n_negative: int, rng: np.random.Generator) -> ReaderStudy:
        """One factorial study.

        Parameters
        ----------
        n_readers, n_positive, n_negative : int
            Readers and cases.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ReaderStudy
            Ratings in arms "1", "2", ...; negative cases first.

        Raises
        ------
        StatisticsInputError
            If a number is below 1.
        """
        generator = check_rng(rng)
        numbers = {"n_readers": n_readers, "n_positive": n_positive, "n_negative": n_negative}
        for field, value in numbers.items():
            if check_count(value, field=field) < 1:
                raise StatisticsInputError("must be at least 1", field=field, value=value)
        negative = self._draw(n_readers, n_negative, generator)
        positive = self._draw(n_readers, n_positive, generator) * self.positive_scale
        positive += np.array(self.separations)[:, None, None]
        return ReaderStudy.from_dense(
            [False] * n_negative + [True] * n_positive,
            ratings=np.concatenate([negative, positive], axis=2),
            arms=[str(index + 1) for index in range(len(self.separations))],
        )

    def _draw(self, r: int, c: int, rng: np.random.Generator) -> np.ndarray:
        """Decision variables of cases of one truth without their mean, shape (arm, reader, case)."""
        t = len(self.separations)
        parts = (
            (self.reader, (1, r, 1)),
            (self.arm_by_reader, (t, r, 1)),
            (self.case, (1, 1, c)),
            (self.arm_by_case, (t, 1, c)),
            (self.reader_by_case, (1, r, c)),
            (self.error, (t, r, c)),
        )
        total = np.zeros((t, r, c))
        for variance, shape in parts:
            total += rng.normal(0.0, np.sqrt(variance), shape)
        return total
