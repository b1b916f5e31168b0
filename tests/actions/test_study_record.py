"""What a report calls a deviation: every one of the trail, and of the readings only those that are analysed."""

from datetime import UTC, datetime

import pandas as pd

from actions.study_record import deviations_of, deviations_of_trail
from db.records import AuditEvent


def event(number: int, action: str, **detail: object) -> AuditEvent:
    return AuditEvent(number, datetime(2026, 1, number, tzinfo=UTC), "eve", action, "s", detail, "", "")


def test_a_withdrawn_reader_and_a_late_model_are_told_by_name():
    found = deviations_of_trail([
        event(1, "study.reader-withdrawn", login="bob", reason="ill", order="abc"),
        event(2, "study.state", **{"from": "locked", "to": "unsealed"}),
        event(3, "model.predict", model_sha256="0123456789abcdef", seal="x"),
    ])  # fmt: skip
    told = {one.what: one.detail for one in found}
    assert told["reader was withdrawn: answers so far are analysed"] == "2026-01-01: login: bob; reason: ill"
    assert told["predictions added after unsealing: exploratory"] == "0123456789ab"


def test_training_is_no_deviation_of_what_is_analysed():
    readings = pd.DataFrame({"is_current": [True, True, False], "is_training": [True, False, False],
                             "revision": [3, 2, 1], "is_typed_ahead": [True, False, False]})  # fmt: skip
    found = {one.what: one.count for one in deviations_of(readings)}
    assert found == {"answers that were corrected (the last revision is analysed)": 1}
