"""Lists that coordinators see count the numbers in names by their value: reader-2 before reader-10."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.protocol import Protocol
from core.study import Role
from db import CasePrediction
from tests.db.conftest import Room, make_cases

KEY = "order"
READERS = ["reader-1", "reader-2", "reader-10"]
COHORTS = ["internal", "external", "site 2", "site 10"]
SHA = "ab" * 32


def test_readers_cohorts_and_cases_stand_in_natural_order(room: Room) -> None:
    operator, coordinator = room.operator, room.coordinator
    coordinator.create_study(KEY, Protocol(title="Order"))
    cases = [
        replace(case, case=f"case-{number}", cohort=cohort, patient=f"p-{number}")
        for number, (cohort, case) in enumerate(zip(COHORTS * 3, make_cases(12, start=40), strict=True), start=1)
    ]
    coordinator.import_cases(KEY, cases[::-1])
    for login in reversed(READERS):
        operator.create_person(login, "Dr R", Role.READER, is_temporary=False, password="reads at night")
        coordinator.add_reader(KEY, login, cohorts=COHORTS)
    coordinator.register_model(sha256=SHA, name="net", architecture="small", path="x", metadata={})
    coordinator.save_predictions(
        KEY, SHA, [CasePrediction(case.case, np.full(4, 0.25), 1.0, False, "cpu", "fp32") for case in cases]
    )

    assert coordinator.cohorts(KEY) == COHORTS
    assert list(dict.fromkeys(count.cohort for count in coordinator.case_counts(KEY))) == COHORTS
    assert [count.cohort for count in coordinator.prediction_counts(KEY)] == COHORTS
    assert [each.case for each in coordinator.cases(KEY)] == [f"case-{number}" for number in range(1, 13)]
    assert [each.person.login for each in coordinator.members(KEY)] == READERS
    assert [person.login for person in operator.people() if person.login.startswith("reader-")] == READERS
    readers = [part.person.login for part in coordinator.study_people(KEY) if part.role is Role.READER]
    assert readers == READERS
    places = [(row.person.login, row.cohort) for row in coordinator.progress(KEY)]
    assert places == [(login, cohort) for login in READERS for cohort in COHORTS]
