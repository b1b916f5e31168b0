"""Results: readings, predictions and truth side by side. Sealed until the study is unsealed, for everybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import AccessError, NotFoundError
from core.imaging import decode_png
from core.protocol import Arm
from core.study import NO_ANSWER_IN_TIME, ReferenceStandard, Role, StudyState
from db.reading_clocks import reading_clocks
from db.records import CasePrediction, PresentationEvents, ReadingRecord
from db.repository.access import RepositoryBase, allowed
from db.repository.cases import view_number
from db.repository.model import prediction_of
from db.repository.people import ReaderMarks
from db.repository.reading import marks_of
from db.tables import (
    AlteredAnswerRow,
    CaseRow,
    CohortRow,
    LesionMaskRow,
    ModelVersionRow,
    PersonRow,
    PredictionRow,
    PresentationEventRow,
    PresentationRow,
    ReadingRow,
    ReferenceStandardRow,
    StudyMemberRow,
    StudyRow,
)


class ResultsRepository(RepositoryBase):
    """What only an unsealed study gives."""

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def readings(
        self, study_key: str, cohorts: Sequence[str] | None = None, *, only_current: bool = False
    ) -> list[ReadingRecord]:
        """Every reading with every revision, in the order of saving.

        Parameters
        ----------
        study_key : str
            An unsealed study.
        cohorts : sequence of str, optional
            All of them unless said otherwise.
        only_current : bool
            Only the last revision of each presentation.

        Raises
        ------
        AccessError
            If the study is sealed.
        """
        with self._reading() as db_session:
            study = self._unsealed(db_session, study_key)
            newest = (
                sa.select(ReadingRow.presentation_id, sa.func.max(ReadingRow.revision).label("revision"))
                .group_by(ReadingRow.presentation_id)
                .subquery()
            )
            query = (
                sa.select(ReadingRow, PresentationRow, PersonRow, CaseRow.case_key, CohortRow.name, newest.c.revision)
                .add_columns(StudyMemberRow.reader_group, AlteredAnswerRow.case_id.is_not(None))
                .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
                .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
                .join(CaseRow, CaseRow.case_id == PresentationRow.case_id)
                .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
                .join(newest, newest.c.presentation_id == ReadingRow.presentation_id)
                .join(
                    StudyMemberRow,
                    (StudyMemberRow.study_id == PresentationRow.study_id)
                    & (StudyMemberRow.person_id == PresentationRow.person_id),
                )
                .outerjoin(AlteredAnswerRow, AlteredAnswerRow.case_id == PresentationRow.case_id)
                .where(PresentationRow.study_id == study.study_id, *in_cohorts(cohorts))
                .order_by(ReadingRow.sequence)
            )
            if only_current:
                query = query.where(ReadingRow.revision == newest.c.revision)
            clocks = reading_clocks(db_session, study)
            limit = self._protocol(db_session, study).timeout_seconds
            found = db_session.execute(query)
            marks = ReaderMarks(db_session, study)
            return [
                ReadingRecord(
                    reading_id=reading.reading_id,
                    sequence=reading.sequence,
                    reader=person.login,
                    display_name=person.display_name,
                    is_simulated=person.is_simulated,
                    case=case,
                    cohort=cohort,
                    arm=Arm(presentation.arm),
                    position=presentation.position,
                    revision=reading.revision,
                    is_current=reading.revision == last_revision,
                    class_key=reading.class_key,
                    confidence=reading.confidence,
                    comment=reading.comment,
                    is_unreadable=reading.is_unreadable,
                    reading_seconds=reading.reading_seconds,
                    saved_at=reading.saved_at,
                    display_state=dict(reading.display_state),
                    client_events=tuple((name, ms) for name, ms in reading.client_events),
                    server_seconds=clocks[reading.sequence].server_seconds,
                    times=clocks[reading.sequence].times,
                    probabilities=None if reading.probabilities is None else tuple(reading.probabilities),
                    unreadable_reason=reading.unreadable_reason,
                    marks=marks_of(reading),
                    is_typed_ahead=clocks[reading.sequence].times.is_typed_ahead,
                    repeat=presentation.repeat,
                    period=presentation.period,
                    block=presentation.block,
                    is_training=presentation.is_training,
                    group=group,
                    is_over_time=limit is not None
                    and (
                        reading.unreadable_reason == NO_ANSWER_IN_TIME
                        or (clocks[reading.sequence].times.gross_seconds or reading.reading_seconds or 0) > limit
                    ),
                    is_altered=is_altered and presentation.arm == Arm.AIDED,
                    password_set_by=marks.password_set_by(person.person_id, reading.saved_at),
                    is_withdrawn=person.person_id in marks.withdrawn,
                )
                for reading, presentation, person, case, cohort, last_revision, group, is_altered in found
            ]

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def presentation_events(self, study_key: str) -> list[PresentationEvents]:
        """What browsers saw of presentations that were left without an answer, in the order of the readers' cases.

        Raises
        ------
        AccessError
            If the study is sealed.
        """
        with self._reading() as db_session:
            study = self._unsealed(db_session, study_key)
            is_answered = (
                sa.exists()
                .where(
                    ReadingRow.presentation_id == PresentationEventRow.presentation_id,
                    ReadingRow.revision > PresentationEventRow.revision,
                )
                .correlate(PresentationEventRow)
            )
            found = db_session.execute(
                sa.select(PresentationEventRow, PresentationRow, PersonRow.login, CaseRow.case_key, CohortRow.name)
                .add_columns(is_answered)
                .join(PresentationRow, PresentationRow.presentation_id == PresentationEventRow.presentation_id)
                .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
                .join(CaseRow, CaseRow.case_id == PresentationRow.case_id)
                .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
                .where(PresentationRow.study_id == study.study_id)
                .order_by(PersonRow.login, PresentationRow.position, PresentationEventRow.revision)
                .order_by(PresentationEventRow.draft_id, PresentationEventRow.first_event)
            )
            return [
                PresentationEvents(
                    reader=login,
                    case=case,
                    cohort=cohort,
                    arm=Arm(place.arm),
                    position=place.position,
                    repeat=place.repeat,
                    revision=row.revision,
                    is_answered=answered,
                    draft_id=row.draft_id,
                    first_event=row.first_event,
                    client_events=tuple((name, ms) for name, ms in row.client_events),
                    told_at=row.told_at,
                )
                for row, place, login, case, cohort, answered in found
            ]

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def predictions(
        self,
        study_key: str,
        model_sha256: str,
        cohorts: Sequence[str] | None = None,
        *,
        with_class_maps: bool = False,
    ) -> list[CasePrediction]:
        """Predictions of one model, by case id.

        Raises
        ------
        AccessError
            If the study is sealed.
        """
        with self._reading() as db_session:
            study = self._unsealed(db_session, study_key)
            query = self._predictions(study, model_sha256).where(*in_cohorts(cohorts))
            if not with_class_maps:
                query = query.options(sa.orm.defer(PredictionRow.class_maps))
            return [
                prediction_of(row, case, with_class_maps=with_class_maps) for row, case in db_session.execute(query)
            ]

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def model_declarations(self, study_key: str) -> dict[str, str]:
        """What must be said beside every number of each model that has predicted: was it there before anybody read?"""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            study = self._study(db_session, row)
            found = db_session.execute(
                sa.select(ModelVersionRow.sha256, ModelVersionRow.registered_at, sa.func.max(PredictionRow.created_at))
                .join(PredictionRow, PredictionRow.model_sha256 == ModelVersionRow.sha256)
                .join(CaseRow, CaseRow.case_id == PredictionRow.case_id)
                .where(CaseRow.study_id == row.study_id, CaseRow.exclusion_reason.is_(None))
                .group_by(ModelVersionRow.sha256, ModelVersionRow.registered_at)
            )
            return {
                sha256: study.declaration(sha256, registered_at=registered_at, predicted_at=predicted_at)
                for sha256, registered_at, predicted_at in found
            }

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def case_prediction(self, study_key: str, model_sha256: str, case: str) -> CasePrediction:
        """Prediction of one model for one case, with its class maps.

        Raises
        ------
        AccessError
            If the study is sealed.
        NotFoundError
            If the model has not predicted the case.
        """
        with self._reading() as db_session:
            study = self._unsealed(db_session, study_key)
            found = db_session.execute(self._predictions(study, model_sha256).where(CaseRow.case_key == case)).first()
            if found is None:
                raise NotFoundError(f"Case '{case}' of study '{study_key}' has no prediction of this model.")
            return prediction_of(found[0], case, with_class_maps=True)

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def reference_standard(self, study_key: str, cohorts: Sequence[str] | None = None) -> list[ReferenceStandard]:
        """Truth of every case that is not excluded, by case id.

        Raises
        ------
        AccessError
            If the study is sealed.
        """
        with self._reading() as db_session:
            study = self._unsealed(db_session, study_key)
            rows = db_session.execute(
                sa.select(CaseRow.case_key, ReferenceStandardRow.class_key)
                .join(ReferenceStandardRow, ReferenceStandardRow.case_id == CaseRow.case_id)
                .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
                .where(CaseRow.study_id == study.study_id, CaseRow.exclusion_reason.is_(None), *in_cohorts(cohorts))
                .order_by(CaseRow.case_key)
            )
            return [ReferenceStandard(case=case, truth=truth) for case, truth in rows]

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def lesion_mask(self, study_key: str, case: str, view: str | None = None) -> np.ndarray | None:
        """Where the lesion is in a view, bool (height, width), if it is known; the model's view if none is named.

        Raises
        ------
        AccessError
            If the study is sealed.
        NotFoundError
            If the study has no such case or view.
        """
        with self._reading() as db_session:
            study = self._unsealed(db_session, study_key)
            wanted = self._protocol(db_session, study).model_view if view is None else view
            number = view_number(db_session, study, wanted)
            found = db_session.execute(
                sa.select(LesionMaskRow.png, ReferenceStandardRow.lesion_mask_png)
                .select_from(CaseRow)
                .join(ReferenceStandardRow, ReferenceStandardRow.case_id == CaseRow.case_id)
                .outerjoin(
                    LesionMaskRow, (LesionMaskRow.case_id == CaseRow.case_id) & (LesionMaskRow.view_number == number)
                )
                .where(CaseRow.study_id == study.study_id, CaseRow.case_key == case)
            ).first()
        if found is None:
            raise NotFoundError(f"Study '{study_key}' has no case '{case}'. Fix: check the case id.")
        png = found.lesion_mask_png if found.png is None and number == 1 else found.png
        return None if png is None else decode_png(png) > 0

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def record_export(
        self, study_key: str, what: str, sha256: str, n_rows: int, *, files: Mapping[str, str] | None = None
    ) -> None:
        """Write into the audit trail that a file, or several at once, are about to leave: one event.

        Parameters
        ----------
        study_key : str
            An unsealed study.
        what : str
            Which table or file.
        sha256 : str
            Of the file's bytes; of several, of the lines "HASH  NAME" that ``sha256sum`` prints of them by name.
        n_rows : int
            Rows in it.
        files : mapping, optional
            Of several: name -> SHA-256.

        Raises
        ------
        AccessError
            If the study is sealed.
        """
        with self._writing() as db_session:
            self._unsealed(db_session, study_key)
            self._audit(db_session, "study.export", study_key, what=what, sha256=sha256, n_rows=n_rows,
                        **({"files": dict(files)} if files else {}))  # fmt: skip

    def _unsealed(self, db_session: Session, study_key: str) -> StudyRow:
        """The study, if its truth may be seen."""
        study = self._study_row(db_session, study_key)
        if study.state != StudyState.UNSEALED:
            raise AccessError(
                f"Study '{study_key}' is {study.state}: its results are sealed. "
                "Fix: close it when reading has ended, lock it, then unseal it."
            )
        return study

    def _predictions(self, study: StudyRow, model_sha256: str) -> sa.Select[PredictionRow, str]:
        """Predictions of included cases, by case id."""
        return (
            sa.select(PredictionRow, CaseRow.case_key)
            .join(CaseRow, CaseRow.case_id == PredictionRow.case_id)
            .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
            .where(
                CaseRow.study_id == study.study_id,
                CaseRow.exclusion_reason.is_(None),
                PredictionRow.model_sha256 == model_sha256,
            )
            .order_by(CaseRow.case_key)
        )


def in_cohorts(cohorts: Sequence[str] | None) -> tuple[sa.ColumnElement[bool], ...]:
    """Condition on the cohort's name."""
    return () if cohorts is None else (CohortRow.name.in_(list(cohorts)),)
