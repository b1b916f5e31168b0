"""What a reader may do: see the next case, answer it, look at the last answer.

No query here names the reference standard, a prediction, a case id or another reader; a test listens to every
statement.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.client_events import read_events
from core.errors import AccessError, ConflictError, InputError, NotFoundError
from core.imaging import Canvas, decode_png, laid_on
from core.protocol import Arm
from core.study import Answer, LeftSide, Presentation, Receipt, Role, Study, StudyState, check_answer
from db.records import MyProgress, ReadingImage, ReadingView, SavedReading
from db.repository.access import RepositoryBase, allowed, holds, new_id
from db.seals import entry_of_reading
from db.tables import CaseImageRow, ImageRow, PresentationRow, ReadingRow, StudyMemberRow, StudyRow
from db.types import canonical_json

#: Presentations that a screen may fetch ahead.
MOST_UPCOMING = 5

_LONGEST_SUBMIT_ID = 100
_LONGEST_COMMENT = 4000
_LARGEST_DISPLAY_STATE = 16_384  # characters of JSON
_NOT_YOURS = "There is no such presentation."


class ReadingRepository(RepositoryBase):
    """The reader's own part of the store."""

    @allowed(Role.READER)
    def my_studies(self) -> list[Study]:
        """Studies that the reader takes part in, oldest first."""
        with self._reading() as db_session:
            rows = db_session.scalars(
                sa.select(StudyRow)
                .join(StudyMemberRow, StudyMemberRow.study_id == StudyRow.study_id)
                .where(StudyMemberRow.person_id == self._me.person_id, StudyMemberRow.withdrawn_at.is_(None))
                .order_by(StudyRow.created_at, StudyRow.study_key)
            )
            return [self._study(db_session, row) for row in rows]

    @allowed(Role.READER)
    def my_progress(self, study_key: str) -> MyProgress:
        """How far the reader is in a study."""
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            done, last_saved_at = db_session.execute(
                sa.select(sa.func.count(sa.distinct(ReadingRow.presentation_id)), sa.func.max(ReadingRow.saved_at))
                .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
                .where(*self._mine(study))
            ).one()
            return MyProgress(n_done=done, n_total=self._count(db_session, study), last_saved_at=last_saved_at)

    @allowed(Role.READER)
    def next_presentation(self, study_key: str) -> Presentation | None:
        """First presentation without a reading, in the stored order; None when the reader has finished.

        Raises
        ------
        AccessError
            If the study is not open.
        """
        return next(iter(self._upcoming(study_key, 1)), None)

    @allowed(Role.READER)
    def upcoming_presentations(self, study_key: str, limit: int = 3) -> list[Presentation]:
        """The next presentation and those after it, so that a screen can fetch their images ahead.

        Raises
        ------
        AccessError
            If the study is not open.
        """
        return self._upcoming(study_key, max(1, min(limit, MOST_UPCOMING)))

    @allowed(Role.READER)
    def presentation_image(self, presentation_id: str) -> ReadingImage:
        """All views of one of the reader's own presentations, also of one that comes later.

        Every presentation of this reader has pictures of one size and number format: :mod:`core.imaging.canvas`.

        Raises
        ------
        NotFoundError
            If it is not the reader's.
        AccessError
            If the study is not open.
        """
        with self._reading() as db_session:
            presentation, study = self._own(db_session, presentation_id)
            _require_open(study)
            canvases = self._canvases(db_session, study)
            found = db_session.execute(
                sa.select(CaseImageRow.view_number, CaseImageRow.view_name, CaseImageRow.left_side)
                .add_columns(CaseImageRow.pixel_spacing_mm, ImageRow.height, ImageRow.width, ImageRow.png)
                .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
                .where(CaseImageRow.case_id == presentation.case_id)
                .order_by(CaseImageRow.view_number)
            ).all()
        return ReadingImage(tuple(_view(canvases[each.view_number], each) for each in found))

    @allowed(Role.READER)
    def record_shown(self, presentation_id: str) -> None:
        """Write into the audit trail that the image of a presentation was drawn on the reader's screen now.

        Raises
        ------
        NotFoundError
            If it is not the reader's.
        AccessError
            If the study is not open.
        """
        with self._writing() as db_session:
            presentation, study = self._own(db_session, presentation_id)
            _require_open(study)
            self._audit(db_session, "case.shown", study.study_key, position=presentation.position)

    @allowed(Role.READER)
    def last_reading(self, study_key: str) -> SavedReading | None:
        """The reader's own answer that was saved last, to show or correct; None before the first."""
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            found = self._last(db_session, study)
            if found is None:
                return None
            reading, presentation = found
            return SavedReading(
                reading_id=reading.reading_id,
                presentation=_presentation_of(presentation, self._count(db_session, study)),
                answer=_answer_of(reading),
                revision=reading.revision,
                saved_at=reading.saved_at,
            )

    @allowed(Role.READER)
    def save_reading(
        self, presentation_id: str, answer: Answer, *, submit_id: str, expected_revision: int = 0
    ) -> Receipt:
        """Store an answer for good. When this returns, the answer is on disk; when it raises, it is not.

        Parameters
        ----------
        presentation_id : str
            The next presentation (first answer) or that of the last reading (correction).
        answer : Answer
            What the reader decided.
        submit_id : str
            Made once per submission by the screen; the same submission again changes nothing and gives the same
            receipt.
        expected_revision : int
            Revision that the screen showed: 0 for an unread case.

        Returns
        -------
        Receipt
            Made after the commit.

        Raises
        ------
        InputError
            If the protocol does not allow the answer.
        NotFoundError
            If the presentation is not the reader's.
        AccessError
            If the study is not open, or its protocol forbids corrections.
        ConflictError
            If another window was first, or the case is not the one to be answered now.
        StoreBusyError
            If the store could not be written; trying again with the same ``submit_id`` is safe.
        """
        _check_submission(answer, submit_id)
        with self._writing() as db_session:
            presentation, study = self._own(db_session, presentation_id, lock=True)
            earlier = db_session.scalars(sa.select(ReadingRow).where(ReadingRow.submit_id == submit_id)).first()
            if earlier is not None:
                return _receipt_again(earlier, presentation_id, answer)
            _require_open(study)
            protocol = self._protocol(db_session, study)
            check_answer(answer, protocol)
            revision = (
                db_session.scalar(
                    sa.select(sa.func.max(ReadingRow.revision)).where(ReadingRow.presentation_id == presentation_id)
                )
                or 0
            )
            if revision != expected_revision:
                raise ConflictError("This case has been answered in another window. Nothing was changed.")
            if revision == 0:
                upcoming = db_session.scalars(self._unread(study).limit(1)).first()
                if upcoming is None or upcoming.presentation_id != presentation_id:
                    raise ConflictError("This is not the next case. Nothing was saved; the next case follows.")
            else:
                last = self._last(db_session, study)
                if not protocol.may_revise or last is None or last[1].presentation_id != presentation_id:
                    raise AccessError("Only the last answer may be corrected, if the protocol allows it.")
            row = reading_row(presentation_id, answer, submit_id=submit_id, revision=revision + 1)
            row.saved_at = self._clock()
            db_session.add(row)
            db_session.flush()
            entry = entry_of_reading(self._me.login, presentation, row)
            self._audit(db_session, "reading.save", study.study_key, **entry)
            # Leaving the block commits; a commit that fails raises, and the receipt reaches nobody.
            return Receipt(row.reading_id, presentation_id, row.revision, row.saved_at, was_already_saved=False)

    def _mine(self, study: StudyRow) -> tuple[sa.ColumnElement[bool], ...]:
        """Condition: presentations of this reader in this study."""
        return (PresentationRow.study_id == study.study_id, PresentationRow.person_id == self._me.person_id)

    def _own(
        self, db_session: Session, presentation_id: str, *, lock: bool = False
    ) -> tuple[PresentationRow, StudyRow]:
        """A presentation of this reader and its study; locked, no other window answers and nobody moves the study."""
        query = (
            sa.select(PresentationRow, StudyRow)
            .join(StudyRow, StudyRow.study_id == PresentationRow.study_id)
            .where(
                PresentationRow.presentation_id == presentation_id,
                PresentationRow.person_id == self._me.person_id,
                holds(Role.READER, self._me.person_id, PresentationRow.study_id),
            )
        )
        if lock:
            query = query.with_for_update(read=True, of=StudyRow)
        found = db_session.execute(query).first()
        if found is None:
            raise NotFoundError(_NOT_YOURS)
        presentation, study = found
        if lock and self.engine.dialect.name == "postgresql":  # SQLite has one writer anyway
            db_session.execute(
                sa.select(StudyMemberRow.person_id)
                .where(StudyMemberRow.study_id == study.study_id, StudyMemberRow.person_id == self._me.person_id)
                .with_for_update()
            )
        return presentation, study

    def _unread(self, study: StudyRow) -> sa.Select[PresentationRow]:
        """Presentations without a reading, in the stored order."""
        has_reading = sa.exists().where(ReadingRow.presentation_id == PresentationRow.presentation_id)
        return sa.select(PresentationRow).where(*self._mine(study), ~has_reading).order_by(PresentationRow.position)

    def _upcoming(self, study_key: str, limit: int) -> list[Presentation]:
        """The first unread presentations."""
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            _require_open(study)
            count = self._count(db_session, study)
            return [_presentation_of(row, count) for row in db_session.scalars(self._unread(study).limit(limit))]

    def _canvases(self, db_session: Session, study: StudyRow) -> dict[int, Canvas]:
        """What the pictures of each view have in common among all that this reader reads in the study."""
        rows = db_session.execute(
            sa.select(
                CaseImageRow.view_number,
                sa.func.max(ImageRow.height),
                sa.func.max(ImageRow.width),
                sa.func.max(ImageRow.bits),
                sa.func.min(ImageRow.bits),
                sa.func.max(sa.cast(CaseImageRow.is_colour, sa.Integer)),
            )
            .select_from(PresentationRow)
            .join(CaseImageRow, CaseImageRow.case_id == PresentationRow.case_id)
            .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
            .where(*self._mine(study))
            .group_by(CaseImageRow.view_number)
        )
        return {
            view: Canvas(height, width, bits, "colour" if is_colour else "counts" if fewest_bits == 16 else "grey")
            for view, height, width, bits, fewest_bits, is_colour in rows
        }

    def _count(self, db_session: Session, study: StudyRow) -> int:
        """Presentations in this reader's order."""
        return db_session.scalar(sa.select(sa.func.count()).select_from(PresentationRow).where(*self._mine(study))) or 0

    def _last(self, db_session: Session, study: StudyRow) -> tuple[ReadingRow, PresentationRow] | None:
        """The current answer of the presentation that was first answered last."""
        found = db_session.execute(
            sa.select(ReadingRow, PresentationRow)
            .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
            .where(*self._mine(study))
            .order_by(ReadingRow.sequence.desc())
            .limit(1)
        ).first()
        return None if found is None else found


def reading_row(presentation_id: str, answer: Answer, *, submit_id: str, revision: int) -> ReadingRow:
    """A row for an answer, without its instant."""
    return ReadingRow(
        reading_id=new_id(),
        presentation_id=presentation_id,
        revision=revision,
        submit_id=submit_id,
        class_key=answer.class_key,
        confidence=answer.confidence,
        comment=answer.comment,
        is_unreadable=answer.is_unreadable,
        reading_seconds=answer.reading_seconds,
        display_state=dict(answer.display_state),
        client_events=[list(event) for event in read_events(answer.events)],
    )


def _view(canvas: Canvas, found: sa.Row[Any]) -> ReadingView:
    """One picture as every reader sees it."""
    return ReadingView(
        pixels=laid_on(canvas, decode_png(found.png)),
        unit=canvas.unit,
        name=found.view_name,
        pixel_spacing_mm=found.pixel_spacing_mm,
        left_side=None if found.left_side is None else LeftSide(found.left_side),
        origin=canvas.origin(found.height, found.width),
    )


def _presentation_of(row: PresentationRow, count: int) -> Presentation:
    """What a reading screen may know."""
    return Presentation(presentation_id=row.presentation_id, arm=Arm(row.arm), position=row.position, count=count)


def _answer_of(row: ReadingRow) -> Answer:
    """The answer that was stored."""
    return Answer(
        class_key=row.class_key,
        confidence=row.confidence,
        comment=row.comment,
        is_unreadable=row.is_unreadable,
        reading_seconds=row.reading_seconds,
        display_state=dict(row.display_state),
        events=tuple((name, ms) for name, ms in row.client_events),
    )


def _receipt_again(row: ReadingRow, presentation_id: str, answer: Answer) -> Receipt:
    """The receipt of a submission that came twice."""
    stored = (row.presentation_id, row.class_key, row.confidence, row.comment, row.is_unreadable)
    if stored != (presentation_id, answer.class_key, answer.confidence, answer.comment, answer.is_unreadable):
        raise ConflictError("This submission was used for another answer. Nothing was changed; load the case again.")
    return Receipt(row.reading_id, presentation_id, row.revision, row.saved_at, was_already_saved=True)


def _require_open(study: StudyRow) -> None:
    """Readers see cases and answer them only while the study is open."""
    if study.state != StudyState.OPEN:
        raise AccessError(f"This study is {study.state}: reading is possible only while it is open.")


def _check_submission(answer: Answer, submit_id: str) -> None:
    """Refuse what would not fit into a row."""
    if not 1 <= len(submit_id) <= _LONGEST_SUBMIT_ID:
        raise InputError("a submission id has 1 to 100 characters", field="submit_id", value=len(submit_id))
    if len(answer.comment) > _LONGEST_COMMENT or "\x00" in answer.comment:
        raise InputError(
            f"a comment has at most {_LONGEST_COMMENT} characters and no NUL",
            field="comment",
            value=len(answer.comment),
        )
    try:
        state = canonical_json(answer.display_state)
    except (TypeError, ValueError) as failure:
        raise InputError("the display state must be plain JSON values", field="display_state") from failure
    if len(state) > _LARGEST_DISPLAY_STATE or "\\u0000" in state:
        raise InputError("the display state is too large", field="display_state", value=len(state))
