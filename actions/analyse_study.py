"""The analysis of one unsealed study: the same call behind the screens, the CSV files and the command line."""

from __future__ import annotations

from collections.abc import Sequence

from core.analysis import Missing, StudyAnalysis, analyse
from db import Repository


def analyse_study(
    repository: Repository,
    study_key: str,
    cohorts: Sequence[str] | None = None,
    *,
    margin: float | None = None,
    missing: Missing | str = Missing.COMMON,
) -> StudyAnalysis:
    """Every number of a study.

    Parameters
    ----------
    cohorts : sequence of str, optional
        All if not given.
    margin : float, optional
        Pre-set margin of accuracy and AUC for non-inferiority and equivalence of model and readers, for example 0.05.
    missing : Missing or str
        How several readers are compared where not everybody answered every case, as in :func:`core.analysis.analyse`.

    Raises
    ------
    AccessError
        While the reference standard is sealed, or if this person is no coordinator.
    """
    return analyse(repository.study_data(study_key, cohorts), margin=margin, missing=missing)
