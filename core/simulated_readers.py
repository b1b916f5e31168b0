"""Simulated readers whose answers follow the published behaviour of the paper's two physicians.

The paper prints per-class true and false positives and negatives, not the 4 x 4 matrices; many matrices fit them. This
module takes the one of maximum entropy: errors spread over the wrong classes by iterative proportional fitting to the
published false negatives (rows) and false positives (columns). Answers are drawn case by case, independently of how
hard the picture is, so a simulated reader says nothing about images: it exercises the software. The paper reports no
confidence; the one drawn here is an assumption (higher when the answer is right), needed to have a rating at all.

References
----------
Zhao et al. (2023), Front Endocrinol 14:1224191, Tables 4 and 5.
Deming and Stephan (1940), Ann Math Stat 11:427-444 (iterative proportional fitting).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.errors import InputError
from core.report.paper_data import PAPER_CLASSES, paper_counts
from core.study import Answer


@dataclass(frozen=True)
class SimulatedReader:
    """One of the paper's physicians, as far as its tables describe him or her."""

    rater: str  # name in the transcribed counts
    login: str
    display_name: str
    years_of_experience: float


#: The two physicians of the paper.
SIMULATED_READERS: tuple[SimulatedReader, ...] = (
    SimulatedReader("Junior", "sim-junior", "Junior physician (simulated)", 2.0),
    SimulatedReader("Senior", "sim-senior", "Senior physician (simulated)", 5.0),
)

#: The paper's table for each cohort.
TABLE_OF_COHORT = {"internal": "4", "external": "5"}

#: Assumed distribution of confidence 1-5 after a right and after a wrong answer; the paper reports none.
CONFIDENCE_WHEN_RIGHT = (0.02, 0.08, 0.20, 0.35, 0.35)
CONFIDENCE_WHEN_WRONG = (0.12, 0.28, 0.32, 0.20, 0.08)

#: Assumed reading time in seconds: log-normal median and sigma; the paper reports none.
READING_SECONDS_MEDIAN, READING_SECONDS_SIGMA = 9.0, 0.5


def answer_probabilities(rater: str, cohort: str) -> np.ndarray:
    """Probability of each answer given each truth, of maximum entropy under the published counts.

    Parameters
    ----------
    rater : str
        "Junior" or "Senior".
    cohort : str
        "internal" (the paper's Table 4) or "external" (Table 5).

    Returns
    -------
    float array, shape (4, 4)
        Rows are the truth, columns the answer, both in the paper's class order; each row sums to 1.

    Raises
    ------
    InputError
        If the paper has no such rater or cohort.
    """
    table = TABLE_OF_COHORT.get(cohort)
    counts = paper_counts().get((table or "", rater))
    if counts is None:
        raise InputError(
            "the paper has no such reader and cohort",
            field="cohort",
            value=f"{rater}, {cohort}",
            fix="use Junior or Senior, internal or external",
        )
    classes = [counts[key] for key in PAPER_CLASSES]
    false_negative = np.array([each.false_negative for each in classes], dtype=float)
    false_positive = np.array([each.false_positive for each in classes], dtype=float)
    errors = 1.0 - np.eye(len(classes))  # (truth, answer)
    for _ in range(2000):
        errors *= (false_negative / errors.sum(axis=1))[:, None]
        errors *= false_positive / errors.sum(axis=0)
    matrix = errors + np.diag([float(each.true_positive) for each in classes])
    probabilities: np.ndarray = matrix / matrix.sum(axis=1, keepdims=True)
    return probabilities


def draw_answers(
    truths: Sequence[str], cohorts: Sequence[str], reader: SimulatedReader, rng: np.random.Generator
) -> list[Answer]:
    """One simulated answer per case.

    Parameters
    ----------
    truths : sequence of str, length n
        Class keys of the reference standard.
    cohorts : sequence of str, length n
        "internal" or "external", which decides the published behaviour.
    reader : SimulatedReader
        Whose behaviour.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    list of Answer, length n
    """
    tables = {cohort: answer_probabilities(reader.rater, cohort) for cohort in sorted(set(cohorts))}
    answers = []
    for truth, cohort in zip(truths, cohorts, strict=True):
        row = PAPER_CLASSES.index(truth)
        answer = int(rng.choice(len(PAPER_CLASSES), p=tables[cohort][row]))
        weights = CONFIDENCE_WHEN_RIGHT if answer == row else CONFIDENCE_WHEN_WRONG
        answers.append(
            Answer(
                class_key=PAPER_CLASSES[answer],
                confidence=1 + int(rng.choice(len(weights), p=weights)),
                comment="simulated",
                reading_seconds=round(
                    float(READING_SECONDS_MEDIAN * np.exp(READING_SECONDS_SIGMA * rng.standard_normal())), 1
                ),
            )
        )
    return answers
