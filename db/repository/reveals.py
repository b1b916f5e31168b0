"""What a reader is shown besides the image: the model's answer in an aided arm, the truth of a training case.

The only methods of a reader whose statements name a prediction or the reference standard. Both look at the presentation
first and refuse before such a statement is made; each reveal stands in the audit trail.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import AccessError, NotFoundError
from core.protocol import Arm, Design, Protocol
from core.study import ReferenceStandard, Role, StudyState
from db.records import ModelAnswer
from db.repository.access import allowed
from db.repository.model import prediction_of
from db.repository.reading import ReadingRepository
from db.tables import (
    AlteredAnswerRow,
    PredictionRow,
    PresentationRow,
    ReadingRow,
    ReferenceStandardRow,
    RevealRow,
    StudyRow,
)


def _best(probabilities: Sequence[float]) -> int:
    """Place of the highest."""
    return max(range(len(probabilities)), key=lambda place: probabilities[place])


class RevealRepository(ReadingRepository):
    """Reveals, each checked, counted and logged."""

    @allowed(Role.READER, as_program=True)
    def model_answer(self, presentation_id: str) -> ModelAnswer:
        """What the declared model says of the case of an aided presentation, as far as the protocol shows it.

        A case whose model answer was declared to be shown wrong gives that answer, and looks no different.

        Raises
        ------
        NotFoundError
            If it is not the reader's, or the model has no answer.
        AccessError
            In an unaided arm; in a sequential study before the unaided answer is stored; before the case's turn; if
            the study is not open.
        OutsideDatesError
            As :meth:`next_presentation`.
        """
        with self._writing() as db_session:
            presentation, study = self._own(db_session, presentation_id, lock=True)
            protocol = self._turn(db_session, presentation, study)
            if presentation.arm != Arm.AIDED:
                raise AccessError("This case is answered without the model.")
            if protocol.design is Design.SEQUENTIAL and not self._is_answered(db_session, presentation, Arm.UNAIDED):
                raise AccessError("The model is shown after your own answer is saved.")
            found = None
            if protocol.model_sha256 is not None:
                found = db_session.get(PredictionRow, (protocol.model_sha256, presentation.case_id))
            if found is None:
                raise NotFoundError("The model has no answer to this case. The coordinator can tell why.")
            altered = db_session.get(AlteredAnswerRow, presentation.case_id)
            shown = prediction_of(found, "", with_class_maps=protocol.model_shown.has_class_map)
            probabilities, maps = tuple(map(float, shown.probabilities)), shown.class_maps
            if altered is not None:  # the maps are exchanged with the classes, so that they do not give it away
                true_best, probabilities = _best(probabilities), tuple(altered.probabilities)
                if maps is not None:
                    order = list(range(len(maps)))
                    order[true_best], order[_best(probabilities)] = _best(probabilities), true_best
                    maps = maps[order]
            self._reveal(db_session, study, presentation, "model")
            return ModelAnswer(
                name=protocol.model_shown.name,
                class_key=protocol.class_keys[_best(probabilities)],
                probabilities=probabilities if protocol.model_shown.has_probabilities else None,
                class_maps=maps,
            )

    @allowed(Role.READER, as_program=True)
    def training_feedback(self, presentation_id: str) -> ReferenceStandard:
        """The truth of a training case, after the reader's answer to it is stored; the answer is then final.

        Returns
        -------
        ReferenceStandard
            Its ``case`` is the presentation's id: no reader learns the name of a case.

        Raises
        ------
        NotFoundError
            If it is not the reader's.
        AccessError
            If it is no training case, or not yet answered in every arm of its turn; if the study is not open.
        """
        with self._writing() as db_session:
            presentation, study = self._own(db_session, presentation_id, lock=True)
            protocol = self._turn(db_session, presentation, study)
            if not presentation.is_training:
                raise AccessError("Only training cases have feedback.")
            arms = protocol.arms if protocol.design is Design.SEQUENTIAL else (Arm(presentation.arm),)
            if not all(self._is_answered(db_session, presentation, arm) for arm in arms):
                raise AccessError("The feedback follows your saved answer.")
            truth = db_session.scalars(
                sa.select(ReferenceStandardRow.class_key)
                .join(PresentationRow, PresentationRow.case_id == ReferenceStandardRow.case_id)
                .where(PresentationRow.presentation_id == presentation_id, PresentationRow.is_training == sa.true())
            ).one()
            self._reveal(db_session, study, presentation, "truth")
            return ReferenceStandard(case=presentation_id, truth=truth)

    def _turn(self, db_session: Session, presentation: PresentationRow, study: StudyRow) -> Protocol:
        """The protocol, if this presentation is the next one or was answered, within the dates."""
        if study.state != StudyState.OPEN:
            raise AccessError(f"This study is {study.state}: reading is possible only while it is open.")
        protocol = self._protocol(db_session, study)
        self._require_dates(db_session, study, protocol, presentation.period)
        upcoming = db_session.scalars(self._unread(study).limit(1)).first()
        if upcoming is not None and presentation.position > upcoming.position:
            raise AccessError("This case comes later.")
        return protocol

    def _is_answered(self, db_session: Session, presentation: PresentationRow, arm: Arm) -> bool:
        """Whether this reader has answered the same showing of the case in an arm."""
        query = (
            sa.select(ReadingRow.reading_id)
            .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
            .where(
                PresentationRow.study_id == presentation.study_id,
                PresentationRow.person_id == presentation.person_id,
                PresentationRow.case_id == presentation.case_id,
                PresentationRow.period == presentation.period,
                PresentationRow.repeat == presentation.repeat,
                PresentationRow.arm == str(arm),
            )
        )
        return db_session.scalars(query.limit(1)).first() is not None

    def _reveal(self, db_session: Session, study: StudyRow, presentation: PresentationRow, what: str) -> None:
        """Log a reveal, and keep the first of its kind for the rules of correction."""
        if db_session.get(RevealRow, (presentation.presentation_id, what)) is None:
            row = RevealRow(presentation_id=presentation.presentation_id, what=what, revealed_at=self._clock())
            db_session.add(row)
        self._audit(db_session, "case.reveal", study.study_key, what=what, position=presentation.position)
