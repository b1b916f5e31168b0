"""The analysis of one unsealed study: the same call behind the screens, the CSV files and the command line."""

from __future__ import annotations

from collections.abc import Sequence

from core.analysis import Missing, StudyAnalysis, analyse
from core.errors import NotFoundError
from db import Repository


def analyse_study(
    repository: Repository,
    study_key: str,
    cohorts: Sequence[str] | None = None,
    *,
    margin: float | None = None,
    missing: Missing | str = Missing.COMMON,
    cutoffs: Sequence[float] | None = None,
    positive: str | None = None,
) -> StudyAnalysis:
    """Every number of a study.

    Parameters
    ----------
    cohorts : sequence of str, optional
        All if not given.
    margin : float, optional
        Pre-set margin of accuracy and AUC for non-inferiority and equivalence of model and readers, for example 0.05;
        the protocol's if not given.
    missing, cutoffs, positive
        As in :func:`core.analysis.analyse`.

    Raises
    ------
    AccessError
        While the reference standard is sealed, or if this person is no coordinator.
    NotFoundError
        If a cohort has no case.
    """
    data = repository.study_data(study_key, cohorts)
    for cohort in cohorts or ():
        if cohort not in set(data.cases["cohort"]):
            raise NotFoundError(
                f"Study '{study_key}' has no case of cohort '{cohort}'. Fix: leave it out for all cohorts."
            )
    if margin is None:
        margin = repository.study(study_key).protocol.margin
    return analyse(data, margin=margin, missing=missing, cutoffs=cutoffs, positive=positive)
