"""Let the simulated readers read a study, so that a demo has answers; marked as simulated wherever they appear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.errors import NotFoundError
from core.progress import OnProgress
from core.simulated_readers import SIMULATED_READERS, draw_answers
from core.study import Role
from db import Repository


def simulate_readers(
    repository: Repository, study_key: str, cohorts: Sequence[str], *, seed: int = 1, progress: OnProgress | None = None
) -> int:
    """Enrol both simulated readers in an open synthetic study and store one answer to each of their presentations.

    Returns
    -------
    int
        Readings stored.

    Raises
    ------
    AccessError
        If the study is not synthetic; nothing was written.
    ConflictError
        If the study is not open; nothing was written.
    """
    repository.check_simulation(study_key)
    stored = 0
    for number, reader in enumerate(SIMULATED_READERS):
        try:
            repository.person(reader.login)
        except NotFoundError:
            repository.create_person(
                reader.login,
                reader.display_name,
                Role.READER,
                is_simulated=True,
                years_of_experience=reader.years_of_experience,
            )
        if reader.login not in {member.person.login for member in repository.members(study_key)}:
            repository.add_reader(study_key, reader.login, cohorts=cohorts)
        ordered = repository.presentations_with_truth(study_key, reader.login)
        answers = draw_answers(
            [item.truth for item in ordered],
            [item.cohort for item in ordered],
            reader,
            np.random.default_rng([seed, number]),
        )
        pairs = zip((item.presentation.presentation_id for item in ordered), answers, strict=True)
        stored += repository.save_simulated_readings(study_key, reader.login, pairs)
        if progress is not None:
            progress(number + 1, len(SIMULATED_READERS), "simulated readers")
    return stored
