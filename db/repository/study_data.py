"""From the store to the tables of an analysis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import ConflictError
from core.imaging import decode_png
from core.localisation import score_marks
from core.protocol import Arm, Protocol, ScaleKind
from core.study import NO_ANSWER_IN_TIME, Mark, Role
from db.reading_clocks import reading_clocks
from db.records import LiveLook
from db.repository.access import allowed
from db.repository.elsewhere import elsewhere_data
from db.repository.results import ResultsRepository, in_cohorts
from db.tables import (
    AlteredAnswerRow,
    AuditEventRow,
    CaseRow,
    CohortRow,
    LesionMaskRow,
    ModelVersionRow,
    PatientRow,
    PersonRow,
    PredictionRow,
    PresentationRow,
    ReadingRow,
    ReferenceStandardRow,
    StudyRow,
)

if TYPE_CHECKING:
    import pandas as pd

    from core.analysis import StudyData


_LOOK = "results.look"

#: Events of a study that leave every result as it is; and those of no one study that can change one.
_WITHOUT_EFFECT = (_LOOK, "study.export", "case.shown", "case.events", "case.reveal", "study.role")
_OF_ALL_STUDIES = ("person.create", "person.describe", "model.register")

#: Condition: training cases are never analysed.
_ANALYSED = PresentationRow.is_training == sa.false()


class StudyDataRepository(ResultsRepository):
    """Readings, predictions and reference standard together."""

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def study_data(
        self, study_key: str, cohorts: Sequence[str] | None = None, *, models: Sequence[str] | None = None
    ) -> StudyData:
        """Everything that an analysis of a study takes.

        Parameters
        ----------
        study_key : str
            An unsealed study; or one whose protocol compares live, from its opening on, for its coordinators. Then
            only cases and presentations that were read so far are in it, and the look stands in the audit trail.
        cohorts : sequence of str, optional
            All of them unless said otherwise.
        models : sequence of str, optional
            SHA-256 of models; all with predictions unless said otherwise.

        Returns
        -------
        StudyData
            Only the last revision of each reading; excluded cases with their reason; readers by login, models by
            SHA-256.

        Raises
        ------
        AccessError
            If the study is sealed.
        StatisticsInputError
            If there is no case in these cohorts.
        """
        from core.analysis import StudyData  # here, because it loads all of statistics, which signing in does without

        with self._looking(study_key) as (db_session, study, is_live):
            protocol = self._protocol(db_session, study)
            if study.is_read_elsewhere:
                return elsewhere_data(db_session, study, protocol, cohorts, models)
            assignments = _assignments(db_session, study, cohorts)
            people = db_session.scalars(
                sa.select(PersonRow)
                .where(
                    PersonRow.person_id.in_(
                        sa.select(PresentationRow.person_id).where(PresentationRow.study_id == study.study_id)
                    )
                )
                .order_by(PersonRow.login)
            ).all()
            cases = _cases(db_session, study, protocol.training_cohort, cohorts)
            readings = _readings(db_session, study, protocol, cohorts)
            if protocol.has_location_mark:
                masks = _masks(db_session, study, cohorts)
                cases["has_lesion"] = cases["case"].isin(masks)
                _score_marks(readings, masks, _shift(protocol))
            predictions = _predictions(db_session, study, protocol, cohorts, models)
            altered = _altered_answers(db_session, study, protocol, cohorts)
            if is_live:
                cases, assignments, predictions = _read_so_far(cases, assignments, predictions, readings)
            return StudyData(
                classes=protocol.classes,
                cases=cases,
                readings=readings.drop(columns=["probabilities", "marks"]),
                reader_ratings=_ratings(protocol, readings),
                predictions=predictions,
                reader_names={person.login: person.display_name for person in people},
                model_names=_model_names(db_session),
                simulated=frozenset(person.login for person in people if person.is_simulated),
                assignments=assignments,
                reader_years={
                    person.login: person.years_of_experience
                    for person in people
                    if person.years_of_experience is not None
                },
                declared_model=protocol.model_sha256,
                confidence_shift=_shift(protocol),
                altered_answers={case: key for case, key in altered.items() if case in set(cases["case"])},
            )

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def results_digest(self, study_key: str) -> str:
        """What the results of a study depend on, as a key for keeping them: another one after whatever can change them.

        It is the hash of the last event of the trail that can have changed a result: a reading or a correction, a
        prediction, cases with truth and exclusions, the protocol, the state, readers, models. Each hash holds the one
        before it, so it stands for all that was ever entered.

        Raises
        ------
        AccessError
            If the study is sealed and not compared live.
        """
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            if not self._study(db_session, study).is_live:
                self._unsealed(db_session, study_key)
            of_study = (AuditEventRow.study_key == study_key) & AuditEventRow.action.not_in(_WITHOUT_EFFECT)
            of_all = AuditEventRow.study_key.is_(None) & AuditEventRow.action.in_(_OF_ALL_STUDIES)
            found: list[tuple[int, str]] = []
            for condition in (of_study, of_all):
                last = sa.select(AuditEventRow.sequence, AuditEventRow.hash).where(condition)
                rows = db_session.execute(last.order_by(AuditEventRow.sequence.desc()).limit(1))
                found += [(sequence, digest) for sequence, digest in rows]
            return max(found)[1]

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def live_looks(self, study_key: str) -> list[LiveLook]:
        """Who compared truth, model and readers before the study was unsealed, oldest first."""
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            events = db_session.execute(
                sa.select(AuditEventRow.at, AuditEventRow.actor, AuditEventRow.detail)
                .where(AuditEventRow.study_key == study.study_key, AuditEventRow.action == _LOOK)
                .order_by(AuditEventRow.sequence)
            )
            return [LiveLook(at, actor, detail["state"], detail["n_readings"]) for at, actor, detail in events]

    @contextmanager
    def _looking(self, study_key: str) -> Iterator[tuple[Session, StudyRow, bool]]:
        """The transaction in which results are read; one that is before unsealing writes that somebody looked."""
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            is_live = self._study(db_session, study).is_live
            if not is_live:
                yield db_session, self._unsealed(db_session, study_key), False
        if is_live:
            with self._writing() as db_session:
                study = self._study_row(db_session, study_key)
                counts = db_session.execute(
                    sa.select(PersonRow.login, sa.func.count(sa.distinct(ReadingRow.presentation_id)))
                    .join(PresentationRow, PresentationRow.person_id == PersonRow.person_id)
                    .join(ReadingRow, ReadingRow.presentation_id == PresentationRow.presentation_id)
                    .where(PresentationRow.study_id == study.study_id, _ANALYSED)
                    .group_by(PersonRow.login)
                    .order_by(PersonRow.login)
                )
                n_readings = dict(counts.all())
                if not n_readings:
                    raise ConflictError(f"Nothing was read in study '{study_key}' yet.")
                self._audit(db_session, _LOOK, study_key, state=study.state, n_readings=n_readings)
                yield db_session, study, True


def _table(rows: Iterable[Sequence[object]], columns: Sequence[str]) -> pd.DataFrame:
    """Rows as a data frame; pandas is loaded by who analyses, not by who reads."""
    import pandas as pd

    return pd.DataFrame(list(rows), columns=columns)


def _read_so_far(
    cases: pd.DataFrame, assignments: pd.DataFrame, predictions: pd.DataFrame, readings: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Cases, assignments and predictions without what nobody has read yet."""
    import pandas as pd

    answered = pd.MultiIndex.from_frame(readings[["reader", "case", "arm"]])
    asked = pd.MultiIndex.from_frame(assignments[["reader", "case", "arm"]])
    seen = readings["case"]
    return (
        cases[cases["case"].isin(seen)],
        assignments[asked.isin(answered)],
        predictions[predictions["case"].isin(seen)],
    )


def _cases(
    db_session: Session, study: StudyRow, training_cohort: str | None, cohorts: Sequence[str] | None
) -> pd.DataFrame:
    """One row a case; training cases are no part of an analysis."""
    rows = db_session.execute(
        sa.select(
            CaseRow.case_key,
            PatientRow.patient_key,
            CohortRow.name,
            ReferenceStandardRow.class_key,
            CaseRow.exclusion_reason,
            CaseRow.centre,
            CaseRow.scanner,
            CaseRow.sex,
            CaseRow.age_years,
        )
        .join(PatientRow, PatientRow.patient_id == CaseRow.patient_id)
        .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
        .join(ReferenceStandardRow, ReferenceStandardRow.case_id == CaseRow.case_id)
        .where(
            CaseRow.study_id == study.study_id, CohortRow.name.is_distinct_from(training_cohort), *in_cohorts(cohorts)
        )
        .order_by(CaseRow.case_key)
    )
    columns = ["case", "patient", "cohort", "truth", "exclusion_reason", "centre", "scanner", "sex", "age_years"]
    return _table(rows, columns=columns)


def _readings(db_session: Session, study: StudyRow, protocol: Protocol, cohorts: Sequence[str] | None) -> pd.DataFrame:
    """One row a reading, in its last revision; a confidence that begins at 0 is moved up by 1, above 0 as all are."""
    newest = (
        sa.select(ReadingRow.presentation_id, sa.func.max(ReadingRow.revision).label("revision"))
        .group_by(ReadingRow.presentation_id)
        .subquery()
    )
    rows = db_session.execute(
        sa.select(
            PersonRow.login,
            CaseRow.case_key,
            PresentationRow.arm,
            PresentationRow.repeat,
            ReadingRow.class_key,
            ReadingRow.confidence + _shift(protocol),
            ReadingRow.is_unreadable,
            ReadingRow.sequence,
            ReadingRow.probabilities,
            PresentationRow.position,
            AlteredAnswerRow.case_id.is_not(None) & (PresentationRow.arm == Arm.AIDED),
            ReadingRow.marks,
            ReadingRow.unreadable_reason == NO_ANSWER_IN_TIME,
        )
        .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
        .join(
            newest,
            (newest.c.presentation_id == ReadingRow.presentation_id) & (newest.c.revision == ReadingRow.revision),
        )
        .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
        .join(CaseRow, CaseRow.case_id == PresentationRow.case_id)
        .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
        .outerjoin(AlteredAnswerRow, AlteredAnswerRow.case_id == CaseRow.case_id)
        .where(PresentationRow.study_id == study.study_id, _ANALYSED, *in_cohorts(cohorts))
        .order_by(ReadingRow.sequence)
    )
    columns = ["reader", "case", "arm", "repeat", "label", "confidence", "is_unreadable", "sequence", "probabilities",
               "position", "is_altered", "marks", "is_over"]  # fmt: skip
    readings = _table(rows, columns=columns)
    clocks = reading_clocks(db_session, study)
    times = [clocks[sequence].times for sequence in readings.pop("sequence")]
    readings["reading_seconds"] = np.array([one.active_seconds for one in times], dtype=float)
    readings["is_time_doubtful"] = np.array([one.is_time_doubtful for one in times], dtype=bool)
    readings["is_typed_ahead"] = np.array([one.is_typed_ahead for one in times], dtype=bool)
    limit = protocol.timeout_seconds
    taken = [one.gross_seconds or one.active_seconds or 0.0 for one in times]
    is_over = np.array([limit is not None and seconds > limit for seconds in taken], dtype=bool)
    readings["is_over_time"] = is_over | (readings.pop("is_over").to_numpy(dtype=bool) & (limit is not None))
    return readings


def _score_marks(readings: pd.DataFrame, masks: Mapping[str, Mapping[int, np.ndarray]], shift: int) -> None:
    """Columns ``mark_rating`` and ``is_localised`` of the highest mark of each reading, as it was rated."""
    scored = [
        score_marks(
            [Mark(mark["x"], mark["y"], mark["rating"], mark["view"]) for mark in marks],
            masks.get(case, {}),
            None if confidence is None or np.isnan(confidence) else confidence - shift,
        )
        for case, marks, confidence in zip(
            readings["case"], readings["marks"], readings["confidence"].tolist(), strict=True
        )
    ]
    readings["mark_rating"] = np.array([rating for rating, _ in scored], dtype=float)
    readings["is_localised"] = np.array([is_hit for _, is_hit in scored], dtype=bool)


def _masks(db_session: Session, study: StudyRow, cohorts: Sequence[str] | None) -> dict[str, dict[int, np.ndarray]]:
    """Case -> number of the view -> where the lesion is, bool (height, width); masks that mark nothing are none."""
    of_study = (CaseRow.study_id == study.study_id, *in_cohorts(cohorts))
    by_view = (
        sa.select(CaseRow.case_key, LesionMaskRow.view_number, LesionMaskRow.png)
        .join(CaseRow, CaseRow.case_id == LesionMaskRow.case_id)
        .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
        .where(*of_study)
    )
    of_before = (
        sa.select(CaseRow.case_key, sa.literal(1), ReferenceStandardRow.lesion_mask_png)
        .join(CaseRow, CaseRow.case_id == ReferenceStandardRow.case_id)
        .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
        .where(*of_study, ReferenceStandardRow.lesion_mask_png.is_not(None))
    )
    found: dict[str, dict[int, np.ndarray]] = {}
    for case, view, png in [*db_session.execute(of_before), *db_session.execute(by_view)]:
        mask = decode_png(png) > 0
        if mask.any():
            found.setdefault(case, {})[view] = mask
    return found


def _shift(protocol: Protocol) -> int:
    """What is added to a confidence so that all are above 0."""
    return 1 - protocol.scale.lowest


def _altered_answers(
    db_session: Session, study: StudyRow, protocol: Protocol, cohorts: Sequence[str] | None
) -> dict[str, str]:
    """Case -> the class that aided readers were shown instead of the model's own, wrong on purpose."""
    rows = db_session.execute(
        sa.select(CaseRow.case_key, AlteredAnswerRow.probabilities)
        .join(AlteredAnswerRow, AlteredAnswerRow.case_id == CaseRow.case_id)
        .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
        .where(
            CaseRow.study_id == study.study_id,
            CohortRow.name.is_distinct_from(protocol.training_cohort),
            *in_cohorts(cohorts),
        )
        .order_by(CaseRow.case_key)
    )
    return {case: protocol.class_keys[shares.index(max(shares))] for case, shares in rows}


def _ratings(protocol: Protocol, readings: pd.DataFrame) -> pd.DataFrame | None:
    """One row a first answer and class, where readers stated a probability for each class."""
    if protocol.scale.kind is not ScaleKind.PROBABILITIES:
        return None
    stated = readings[readings["probabilities"].notna() & (readings["repeat"] == 1)]
    rows = [
        (reader, case, arm, key, value)
        for reader, case, arm, values in zip(
            stated["reader"], stated["case"], stated["arm"], stated["probabilities"], strict=True
        )
        for key, value in zip(protocol.class_keys, values, strict=True)
    ]
    return _table(rows, columns=["reader", "case", "arm", "class", "rating"])


def _assignments(db_session: Session, study: StudyRow, cohorts: Sequence[str] | None) -> pd.DataFrame:
    """One row for everything that a reader was asked to read."""
    rows = db_session.execute(
        sa.select(PersonRow.login, CaseRow.case_key, PresentationRow.arm)
        .select_from(PresentationRow)
        .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
        .join(CaseRow, CaseRow.case_id == PresentationRow.case_id)
        .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
        .where(PresentationRow.study_id == study.study_id, PresentationRow.repeat == 1, _ANALYSED, *in_cohorts(cohorts))
        .order_by(PersonRow.login, PresentationRow.position)
    )
    return _table(rows, columns=["reader", "case", "arm"])


def _predictions(
    db_session: Session,
    study: StudyRow,
    protocol: Protocol,
    cohorts: Sequence[str] | None,
    models: Sequence[str] | None,
) -> pd.DataFrame:
    """One row a model and case."""
    query = (
        sa.select(PredictionRow.model_sha256, CaseRow.case_key, PredictionRow.probabilities)
        .join(CaseRow, CaseRow.case_id == PredictionRow.case_id)
        .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
        .where(
            CaseRow.study_id == study.study_id,
            CohortRow.name.is_distinct_from(protocol.training_cohort),
            *in_cohorts(cohorts),
        )
        .order_by(PredictionRow.model_sha256, CaseRow.case_key)
    )
    if models is not None:
        query = query.where(PredictionRow.model_sha256.in_(list(models)))
    rows = [(model, case, *probabilities) for model, case, probabilities in db_session.execute(query)]
    return _table(rows, columns=["model", "case", *(f"p_{key}" for key in protocol.class_keys)])


def _model_names(db_session: Session) -> dict[str, str]:
    """Name of every model; where two share a name, the beginning of the hash tells them apart."""
    found = list(db_session.execute(sa.select(ModelVersionRow.sha256, ModelVersionRow.name)))
    count = Counter(name for _, name in found)
    return {sha256: name if count[name] == 1 else f"{name} ({sha256[:8]})" for sha256, name in found}
