"""What a reader may do: see the next case, answer it, look at the last answer.

No query here names the reference standard, a prediction, a case id or another reader; a test listens to every
statement.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from core.client_events import ClientEvent, EventName, read_events
from core.errors import (
    AccessError,
    ConflictError,
    FinalAnswerError,
    InputError,
    NotFoundError,
    OutsideDatesError,
    StudyNotOpenError,
)
from core.imaging import Canvas, decode_png, laid_on
from core.protocol import Arm, Design, GoingBack, Protocol
from core.study import (
    ARRIVED_LATE,
    LONGEST_LOADING_S,
    LONGEST_REASON,
    NO_ANSWER_IN_TIME,
    TIME_GRACE_S,
    Answer,
    LeftSide,
    Mark,
    Presentation,
    Receipt,
    Role,
    Study,
    StudyState,
    arrived_late,
    check_answer,
    check_dates,
)
from db.records import MyProgress, PictureBox, ReadingImage, ReadingView, SavedReading
from db.repository.access import RepositoryBase, allowed, holds, new_id
from db.seals import entry_of_reading, seal_of_row
from db.tables import (
    CaseImageRow,
    DeviationRow,
    ImageRow,
    PersonRow,
    PresentationEventRow,
    PresentationRow,
    ReadingRow,
    RevealRow,
    StudyMemberRow,
    StudyRow,
)
from db.types import canonical_json

#: Presentations that a screen may fetch ahead.
MOST_UPCOMING = 5

_LONGEST_SUBMIT_ID = 100
#: Draft ids of the events by which the server notes that an image was drawn, and that it was sent, where a protocol
#: limits the time for a case.
_DRAWN, _SENT = "server", "server: sent"
#: Draft id of the last events of a presentation that are kept: more were told than fit.
_FULL = "server: full"
#: What is kept of one presentation beside its answers: so often a browser may tell, and so many characters in all.
MOST_TOLD, MOST_TOLD_CHARACTERS = 200, 200_000
_LARGEST_NUMBER = 1_000_000  # events of a draft, revisions of an answer
_LONGEST_COMMENT = 4000
_LARGEST_DISPLAY_STATE = 16_384  # characters of JSON
_DEEPEST_DISPLAY_STATE = 8  # levels: what nests without end would be stored, and then read back by nobody
_NOT_YOURS = "There is no such presentation."
_SECOND_PART_BEGAN = "The first part of the study is final since the second began."


@dataclass(frozen=True)
class OrderSize:
    """How long a reader's order is."""

    count: int
    n_blocks: int


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
            saved_at = sa.select(_newest(ReadingRow.saved_at).label("of_case")).where(*self._mine(study)).subquery()
            done, last_saved_at = db_session.execute(
                sa.select(sa.func.count(saved_at.c.of_case), sa.func.max(saved_at.c.of_case))
            ).one()
            return MyProgress(n_done=done, n_total=self._size(db_session, study).count, last_saved_at=last_saved_at)

    @allowed(Role.READER)
    def next_presentation(self, study_key: str) -> Presentation | None:
        """First presentation without a reading, in the stored order; None when the reader has finished.

        Raises
        ------
        AccessError
            If the study is not open.
        OutsideDatesError
            Before or after the protocol's dates, or in the washout; it says when reading opens.
        """
        return next(iter(self._upcoming(study_key, 1)), None)

    @allowed(Role.READER)
    def upcoming_presentations(self, study_key: str, limit: int = 3) -> list[Presentation]:
        """The next presentation and those after it, so that a screen can fetch their images ahead.

        Those of a later period are left out until it has begun.

        Raises
        ------
        AccessError, OutsideDatesError
            As :meth:`next_presentation`.
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
            If the study is not open, or the case comes much later.
        OutsideDatesError
            As :meth:`next_presentation`.
        """
        with self._reading() as db_session:
            presentation, study = self._own(db_session, presentation_id)
            self._require_soon(db_session, presentation, study)
            canvases = self._canvases(db_session, study)
            found = db_session.execute(
                sa.select(CaseImageRow.view_number, CaseImageRow.view_name, CaseImageRow.left_side)
                .add_columns(CaseImageRow.pixel_spacing_mm, ImageRow.height, ImageRow.width, ImageRow.png)
                .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
                .where(CaseImageRow.case_id == presentation.case_id)
                .order_by(CaseImageRow.view_number)
            ).all()
        return ReadingImage(
            tuple(_view(canvases[each.view_number], each, self._images.png(each.png)) for each in found)
        )

    @allowed(Role.READER)
    def picture_boxes(self, presentation_id: str) -> tuple[PictureBox, ...]:
        """Where the pictures of one of the reader's own presentations lie, in the order of the views.

        It tells of no pixel, and also after the study was closed, when an answer that was saved may come again.

        Raises
        ------
        NotFoundError
            If it is not the reader's.
        """
        with self._reading() as db_session:
            presentation, study = self._own(db_session, presentation_id)
            canvases = self._canvases(db_session, study)
            found = db_session.execute(
                sa.select(CaseImageRow.view_number, ImageRow.height, ImageRow.width)
                .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
                .where(CaseImageRow.case_id == presentation.case_id)
                .order_by(CaseImageRow.view_number)
            ).all()
        return tuple(
            PictureBox(
                canvases[view].origin(height, width), (height, width), (canvases[view].height, canvases[view].width)
            )
            for view, height, width in found
        )

    @allowed(Role.READER)
    def record_shown(self, presentation_id: str, *, is_last_for_now: bool = False) -> None:
        """Write into the audit trail that the image of a presentation was drawn on the reader's screen now.

        Parameters
        ----------
        presentation_id : str
        is_last_for_now : bool
            Whether it was told so often that the next times are not entered; the trail says so.

        Raises
        ------
        NotFoundError
            If it is not the reader's.
        AccessError, OutsideDatesError
            As :meth:`presentation_image`.
        """
        with self._writing() as db_session:
            presentation, study = self._own(db_session, presentation_id)
            self._require_soon(db_session, presentation, study)
            more = {"more": "left out for a while"} if is_last_for_now else {}
            self._audit(db_session, "case.shown", study.study_key, position=presentation.position, **more)
            if self._protocol(db_session, study).timeout_seconds is not None:
                self._note_time(db_session, presentation, study, _DRAWN)

    @allowed(Role.READER)
    def record_sent(self, presentation_id: str) -> None:
        """Keep when the image of a presentation was sent first, before it is, where the protocol limits the time.

        Raises
        ------
        NotFoundError, AccessError, OutsideDatesError
            As :meth:`presentation_image`.
        """
        with self._writing() as db_session:
            presentation, study = self._own(db_session, presentation_id)
            self._require_soon(db_session, presentation, study)
            if self._protocol(db_session, study).timeout_seconds is not None:
                self._note_time(db_session, presentation, study, _SENT)

    @allowed(Role.READER)
    def keep_reading_keys(self, keys: Mapping[str, str]) -> None:
        """Keep which keys this reader gave to what the panel does, for every browser.

        Parameters
        ----------
        keys : mapping of str to str
            "class 3", "step 2" or the letter of a command, to the code of a key as browsers name it ("KeyZ").

        Raises
        ------
        InputError
            If a name is none that a panel has, or one key has two meanings.
        """
        for name, code in keys.items():
            if not re.fullmatch(r"(class|step) ([1-9]|1[0-9]|20)|[A-Z]", name) or not re.fullmatch(r"\w{1,30}", code):
                raise InputError("this is no key of a panel", field="keys", value={name: code})
        if len(set(keys.values())) < len(keys):
            raise InputError("one key has two meanings", field="keys", value=dict(keys))
        with self._writing() as db_session:
            mine = sa.update(PersonRow).where(PersonRow.person_id == self._me.person_id)
            db_session.execute(mine.values(reading_keys=dict(keys)))

    @allowed(Role.READER)
    def record_events(
        self, presentation_id: str, events: Sequence[ClientEvent], *, draft_id: str, first_event: int, revision: int = 0
    ) -> None:
        """Keep what the browser saw of a presentation that was left without an answer; told twice, it is kept once.

        Of one presentation so much is kept (:data:`MOST_TOLD`), then that there was more, and nothing after that.

        Parameters
        ----------
        presentation_id : str
            The reader's own, and not one that comes much later.
        events : sequence of (str, float or None)
            From :func:`core.client_events.read_events`: the events of a draft from ``first_event`` on.
        draft_id : str
            The browser's name of the draft, 1 to 100 characters.
        first_event : int
            From 0.
        revision : int
            Of the answer that was being corrected; 0: there was none.

        Raises
        ------
        InputError
            If the values are none that a panel sends.
        NotFoundError
            If it is not the reader's.
        AccessError
            If the study is neither open nor closed, or the case comes later.
        """
        if not (1 <= len(draft_id) <= _LONGEST_SUBMIT_ID and min(first_event, revision) >= 0 and events):
            raise InputError("these are no events of a draft", field="draft_id")
        if draft_id in (_DRAWN, _SENT, _FULL):
            raise InputError("no draft of a browser has this name", field="draft_id", value=draft_id)
        if max(first_event, revision) > _LARGEST_NUMBER:
            raise InputError("no draft has so many events", field="first_event", value=first_event)
        with self._writing() as db_session:
            presentation, study = self._own(db_session, presentation_id, lock=True)
            if study.state not in (StudyState.OPEN, StudyState.CLOSED):
                raise AccessError(f"This study is {study.state}: nothing is added to it.")
            upcoming = db_session.scalars(self._unread(study).limit(1)).first()
            if upcoming is not None and presentation.position >= upcoming.position + MOST_UPCOMING:
                raise AccessError("This case comes later.")
            if revision > self._revision(db_session, presentation_id):
                raise InputError("there is no such answer to correct", field="revision", value=revision)
            of_draft = (
                PresentationEventRow.presentation_id == presentation_id,
                PresentationEventRow.draft_id == draft_id,
                PresentationEventRow.first_event == first_event,
            )
            if db_session.scalar(sa.select(sa.exists().where(*of_draft))):
                return
            characters = sa.func.sum(sa.func.length(PresentationEventRow.client_events, type_=sa.Integer))
            n_told, n_characters = db_session.execute(
                sa.select(sa.func.count(), characters).where(PresentationEventRow.presentation_id == presentation_id)
            ).one()
            is_full = n_told >= MOST_TOLD or (n_characters or 0) >= MOST_TOLD_CHARACTERS
            if is_full and self._is_told_full(db_session, presentation_id):
                return
            if is_full:
                draft_id, first_event, events = _FULL, 0, ((EventName.LEFT_OUT, None),)
            row = PresentationEventRow(
                presentation_id=presentation_id, revision=revision, draft_id=draft_id, first_event=first_event,
                client_events=[list(event) for event in read_events(events)],
            )  # fmt: skip
            self._add_events(db_session, row, presentation, study)

    @staticmethod
    def _is_told_full(db_session: Session, presentation_id: str) -> bool:
        """Whether it was entered that more was told of a presentation than is kept."""
        full = (PresentationEventRow.presentation_id == presentation_id, PresentationEventRow.draft_id == _FULL)
        return db_session.scalar(sa.select(sa.exists().where(*full))) is True

    def _add_events(
        self, db_session: Session, row: PresentationEventRow, presentation: PresentationRow, study: StudyRow
    ) -> None:
        """Store and seal what was seen of a presentation."""
        row.presentation_event_id, row.told_at = new_id(), self._clock()
        db_session.add(row)
        entry = {"position": presentation.position, "id": row.presentation_event_id, "seal": seal_of_row(row)}
        self._audit(db_session, "case.events", study.study_key, **entry)

    def _note_time(self, db_session: Session, presentation: PresentationRow, study: StudyRow, what: str) -> None:
        """Keep when an image was sent or drawn, once for the answer and once for each correction."""
        revision = self._revision(db_session, presentation.presentation_id)
        if what in self._times(db_session, presentation.presentation_id, revision):
            return
        row = PresentationEventRow(
            presentation_id=presentation.presentation_id, revision=revision, draft_id=what,
            first_event=revision, client_events=[[str(EventName.SHOWN), 0.0]],
        )  # fmt: skip
        self._add_events(db_session, row, presentation, study)

    def _times(self, db_session: Session, presentation_id: str, revision: int) -> dict[str, datetime]:
        """When the image was first sent and drawn, by the server's clock, in a study with a time limit."""
        of_answer = (
            PresentationEventRow.presentation_id == presentation_id,
            PresentationEventRow.draft_id.in_((_DRAWN, _SENT)),
            PresentationEventRow.first_event == revision,
        )
        query = sa.select(PresentationEventRow.draft_id, PresentationEventRow.told_at).where(*of_answer)
        return {row.draft_id: row.told_at for row in db_session.execute(query)}

    def _began_at(self, db_session: Session, presentation_id: str, revision: int) -> datetime | None:
        """When the time for a case began: when its image was drawn, as the browser said, but soon after it was sent."""
        times = self._times(db_session, presentation_id, revision)
        if _SENT in times:
            times[_SENT] += timedelta(seconds=LONGEST_LOADING_S)
        return min(times.values(), default=None)

    def _revision(self, db_session: Session, presentation_id: str) -> int:
        """Of the answer as it is now; 0: there is none."""
        query = sa.select(sa.func.max(ReadingRow.revision)).where(ReadingRow.presentation_id == presentation_id)
        return db_session.scalar(query) or 0

    def _seconds_since_drawn(
        self, db_session: Session, study: StudyRow, presentation_id: str, revision: int
    ) -> float | None:
        """How long a case is on the screen, by the server's clock; None where it cannot know.

        Where no image was sent, from the reader's answer before it.
        """
        began = self._began_at(db_session, presentation_id, revision)
        if began is None and revision == 0 and (last := self._last(db_session, study)) is not None:
            began = last[0].saved_at
        return None if began is None else (self._clock() - began).total_seconds()

    @allowed(Role.READER)
    def last_reading(self, study_key: str) -> SavedReading | None:
        """The reader's own answer that was saved last, to show or correct; None before the first."""
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            protocol = self._protocol(db_session, study)
            found = self._last(db_session, study)
            return None if found is None else self._saved(db_session, study, protocol, *found)

    @allowed(Role.READER)
    def my_readings(self, study_key: str) -> list[SavedReading]:
        """The reader's own answers as they are now, in the stored order; ``can_correct`` says which may change."""
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            protocol = self._protocol(db_session, study)
            newest = (
                sa.select(ReadingRow.presentation_id, sa.func.max(ReadingRow.revision).label("revision"))
                .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
                .where(*self._mine(study))
                .group_by(ReadingRow.presentation_id)
                .subquery()
            )
            rows = db_session.execute(
                sa.select(ReadingRow, PresentationRow)
                .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
                .join(
                    newest,
                    (newest.c.presentation_id == ReadingRow.presentation_id)
                    & (newest.c.revision == ReadingRow.revision),
                )
                .order_by(PresentationRow.position)
            ).all()
            return [self._saved(db_session, study, protocol, *row) for row in rows]

    @allowed(Role.READER)
    def save_reading(
        self, presentation_id: str, answer: Answer, *, submit_id: str, expected_revision: int = 0
    ) -> Receipt:
        """Store an answer for good. When this returns, the answer is on disk; when it raises, it is not.

        Parameters
        ----------
        presentation_id : str
            The next presentation (first answer), or one whose answer the protocol lets the reader correct.
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
        StudyNotOpenError
            If the study is not open.
        FinalAnswerError
            If its protocol forbids this correction.
        OutsideDatesError
            As :meth:`next_presentation`.
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
            if answer.marks:
                self._check_marks(db_session, presentation, answer)
            self._require_dates(db_session, study, protocol, presentation.period)
            revision = self._revision(db_session, presentation_id)
            if revision != expected_revision:
                raise ConflictError("This case has been answered in another window. Nothing was changed.")
            if revision == 0:
                upcoming = db_session.scalars(self._unread(study).limit(1)).first()
                if upcoming is None or upcoming.presentation_id != presentation_id:
                    raise ConflictError("This is not the next case. Nothing was saved; the next case follows.")
            else:
                final = self._why_final(db_session, study, protocol, presentation)
                if final is not None:
                    raise FinalAnswerError(final)
            answer = self._in_time(db_session, study, protocol, answer, presentation_id, revision)
            row = reading_row(presentation_id, answer, submit_id=submit_id, revision=revision + 1)
            row.saved_at = self._clock()
            db_session.add(row)
            db_session.flush()
            entry = entry_of_reading(self._me.login, presentation, row)
            self._audit(db_session, "reading.save", study.study_key, **entry)
            # Leaving the block commits; a commit that fails raises, and the receipt reaches nobody.
            return Receipt(row.reading_id, presentation_id, row.revision, row.saved_at, was_already_saved=False)

    def _in_time(
        self,
        db_session: Session,
        study: StudyRow,
        protocol: Protocol,
        answer: Answer,
        presentation_id: str,
        revision: int,
    ) -> Answer:
        """An answer as it counts: none, where it came after the protocol's time; a late correction is refused."""
        state = {name: value for name, value in answer.display_state.items() if name != ARRIVED_LATE}
        answer = replace(answer, display_state=state)
        if protocol.timeout_seconds is None:
            return answer
        seconds = self._seconds_since_drawn(db_session, study, presentation_id, revision)
        if seconds is None or seconds <= protocol.timeout_seconds + TIME_GRACE_S:
            return answer
        if revision:
            raise FinalAnswerError("The time for this correction was over: the answer before it stands.")
        return arrived_late(answer, seconds)

    def _check_marks(self, db_session: Session, presentation: PresentationRow, answer: Answer) -> None:
        """Refuse a mark that lies in no picture of the case."""
        sizes = {
            view: (width, height)
            for view, width, height in db_session.execute(
                sa.select(CaseImageRow.view_number, ImageRow.width, ImageRow.height)
                .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
                .where(CaseImageRow.case_id == presentation.case_id)
            )
        }
        for mark in answer.marks:
            if mark.view not in sizes:
                fix = f"use a view from 1 to {len(sizes)}"
                raise InputError("the case has no such view", field="marks.view", value=mark.view, fix=fix)
            width, height = sizes[mark.view]
            if not (mark.x <= width and mark.y <= height):
                fix = f"this picture has {width} by {height} pixels"
                raise InputError("a mark lies in the image", field="marks", value=(mark.x, mark.y), fix=fix)

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
            member = sa.select(StudyMemberRow.person_id).where(
                StudyMemberRow.study_id == study.study_id,
                StudyMemberRow.person_id == self._me.person_id,
                StudyMemberRow.withdrawn_at.is_(None),  # asked again: it may have been while this waited for the study
            )
            if db_session.execute(member.with_for_update()).first() is None:
                raise NotFoundError(_NOT_YOURS)
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
            size = self._size(db_session, study)
            rows = db_session.scalars(self._unread(study).limit(limit)).all()
            self._once(db_session, ("next", study.study_id), lambda: next(iter(rows), None))
            if not rows:
                return []
            protocol = self._protocol(db_session, study)
            self._require_dates(db_session, study, protocol, rows[0].period)
            first, *later = [presentation_of(row, size) for row in rows if row.period == rows[0].period]
            return [self._with_time(db_session, protocol, first), *later]

    def _with_time(self, db_session: Session, protocol: Protocol, next_one: Presentation) -> Presentation:
        """The next case with what is left of its time, where its image was on a screen before."""
        if protocol.timeout_seconds is None:
            return next_one
        began = self._began_at(db_session, next_one.presentation_id, 0)
        if began is None:
            return next_one
        left = protocol.timeout_seconds - (self._clock() - began).total_seconds()
        return replace(next_one, seconds_left=min(max(0.0, left), float(protocol.timeout_seconds)))

    def _canvases(self, db_session: Session, study: StudyRow) -> dict[int, Canvas]:
        """What the pictures of each view have in common among all that this reader reads in the study."""
        return self._once(db_session, ("canvases", study.study_id), lambda: self._measure_canvases(db_session, study))

    def _measure_canvases(self, db_session: Session, study: StudyRow) -> dict[int, Canvas]:
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

    def _size(self, db_session: Session, study: StudyRow) -> OrderSize:
        """Presentations and blocks of this reader's order."""
        query = sa.select(sa.func.count(), sa.func.max(PresentationRow.block)).where(*self._mine(study))
        count, n_blocks = self._once(db_session, ("size", study.study_id), lambda: db_session.execute(query).one())
        return OrderSize(count, n_blocks or 1)

    def _require_dates(self, db_session: Session, study: StudyRow, protocol: Protocol, period: int) -> None:
        """Refuse what is outside of the protocol's dates for this reader: :func:`core.study.check_dates`."""
        ended_at = None
        if period == 2:
            ended_at = db_session.scalar(
                sa.select(sa.func.max(ReadingRow.saved_at))
                .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
                .where(*self._mine(study), PresentationRow.period == 1)
            )
        try:
            check_dates(protocol, self._clock(), period=period, first_period_ended_at=ended_at)
        except OutsideDatesError:
            of_reader = (DeviationRow.study_id == study.study_id, DeviationRow.person_id == self._me.person_id)
            set_aside = db_session.scalars(sa.select(DeviationRow.kind).where(*of_reader)).all()
            check_dates(protocol, self._clock(), period=period, first_period_ended_at=ended_at, deviations=set_aside)

    def _require_soon(self, db_session: Session, presentation: PresentationRow, study: StudyRow) -> None:
        """Refuse a case that is not to be seen now: by state, by dates, or because many others come before it."""
        _require_open(study)
        self._require_dates(db_session, study, self._protocol(db_session, study), presentation.period)
        first = self._unread(study).limit(1)
        upcoming = self._once(db_session, ("next", study.study_id), lambda: db_session.scalars(first).first())
        if upcoming is not None and presentation.position >= upcoming.position + MOST_UPCOMING:
            raise AccessError("This case comes later.")

    def _why_final(
        self, db_session: Session, study: StudyRow, protocol: Protocol, presentation: PresentationRow
    ) -> str | None:
        """Why an answer can no longer be corrected; None if it can."""
        if protocol.timeout_seconds is not None and _ended_by_time(db_session, presentation):
            return "The time for this case was over: its answer is final."
        last = self._last(db_session, study)
        until = protocol.going_back_until
        if protocol.going_back is GoingBack.NEVER:
            return "The protocol allows no corrections."
        if until is not None and self._clock().astimezone(UTC).date() > until:
            return f"Answers could be corrected until {until.isoformat()}."
        if protocol.going_back is GoingBack.LAST and (
            last is None or last[1].presentation_id != presentation.presentation_id
        ):
            return "Only the last answer may be corrected."
        if last is not None and last[1].period != presentation.period:
            return _SECOND_PART_BEGAN
        other = aliased(PresentationRow)
        of_this_showing = sa.and_(
            other.case_id == presentation.case_id,
            other.period == presentation.period,
            other.repeat == presentation.repeat,
        )
        reveals = db_session.execute(
            sa.select(RevealRow.what, other.period)
            .join(other, other.presentation_id == RevealRow.presentation_id)
            .where(
                other.study_id == study.study_id,
                other.person_id == self._me.person_id,
                sa.or_(of_this_showing, other.period > presentation.period),
            )
        ).all()
        if any(period > presentation.period for _, period in reveals):
            return _SECOND_PART_BEGAN
        if any(what == "truth" for what, _ in reveals):
            return "The truth of this training case was told: its answer is final."
        if protocol.design is Design.SEQUENTIAL and presentation.arm == Arm.UNAIDED and reveals:
            return "The model's answer to this case was shown: the answer without it is final."
        return None

    def _saved(
        self, db_session: Session, study: StudyRow, protocol: Protocol, reading: ReadingRow, place: PresentationRow
    ) -> SavedReading:
        """A stored answer as its reader may see it."""
        return SavedReading(
            reading_id=reading.reading_id,
            presentation=presentation_of(place, self._size(db_session, study)),
            answer=_answer_of(reading),
            revision=reading.revision,
            saved_at=reading.saved_at,
            can_correct=self._why_final(db_session, study, protocol, place) is None,
        )

    def _last(self, db_session: Session, study: StudyRow) -> tuple[ReadingRow, PresentationRow] | None:
        """The answer or correction that was saved last, and its presentation."""
        of_case = sa.select(_newest(ReadingRow.sequence).label("sequence")).where(*self._mine(study)).subquery()
        query = (
            sa.select(ReadingRow, PresentationRow)
            .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
            .where(ReadingRow.sequence == sa.select(sa.func.max(of_case.c.sequence)).scalar_subquery())
        )
        return self._once(db_session, ("last", study.study_id), lambda: db_session.execute(query).first())


def _newest(column: InstrumentedAttribute[Any]) -> sa.ScalarSelect[Any]:
    """Largest value among the answers of a presentation; asked by case, or PostgreSQL reads everybody's answers."""
    of_case = ReadingRow.presentation_id == PresentationRow.presentation_id
    return sa.select(sa.func.max(column)).where(of_case).correlate(PresentationRow).scalar_subquery()


def _ended_by_time(db_session: Session, presentation: PresentationRow) -> bool:
    """Whether the time of a case was over when it was answered or corrected."""
    of_case = ReadingRow.presentation_id == presentation.presentation_id
    found = db_session.execute(sa.select(ReadingRow.unreadable_reason, ReadingRow.client_events).where(of_case))
    return any(
        reason == NO_ANSWER_IN_TIME or any(name == EventName.OVER_TIME for name, _ in events)
        for reason, events in found
    )


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
        # Without the sign of a zero, which SQLite forgets: a reading is sealed as it will be read again.
        reading_seconds=None if answer.reading_seconds is None else answer.reading_seconds + 0.0,
        display_state=dict(answer.display_state),
        client_events=[list(event) for event in read_events(answer.events)],
        probabilities=None if answer.probabilities is None else [float(value) for value in answer.probabilities],
        unreadable_reason=answer.unreadable_reason.strip(),
        marks=[{"x": mark.x, "y": mark.y, "rating": mark.rating, "view": mark.view} for mark in answer.marks],
        is_typed_ahead=answer.is_typed_ahead,
    )


def _view(canvas: Canvas, found: sa.Row[Any], png: bytes) -> ReadingView:
    """One picture as every reader sees it."""
    return ReadingView(
        pixels=laid_on(canvas, decode_png(png)),
        unit=canvas.unit,
        name=found.view_name,
        pixel_spacing_mm=found.pixel_spacing_mm,
        left_side=None if found.left_side is None else LeftSide(found.left_side),
        origin=canvas.origin(found.height, found.width),
    )


def presentation_of(row: PresentationRow, size: OrderSize) -> Presentation:
    """What a reading screen may know: never that a case is shown again."""
    return Presentation(
        presentation_id=row.presentation_id,
        arm=Arm(row.arm),
        position=row.position,
        count=size.count,
        period=row.period,
        block=row.block,
        n_blocks=size.n_blocks,
        is_training=row.is_training,
    )


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
        probabilities=None if row.probabilities is None else tuple(row.probabilities),
        unreadable_reason=row.unreadable_reason,
        marks=marks_of(row),
        is_typed_ahead=row.is_typed_ahead,
    )


def _as_sent(row: ReadingRow) -> Answer:
    """The answer as it was sent, also where it came too late to count."""
    answer, late = _answer_of(row), row.display_state.get(ARRIVED_LATE)
    if late is None:
        return answer
    shares, marks = late["probabilities"], tuple(Mark(**mark) for mark in late["marks"])
    given = {name: late[name] for name in ("class_key", "confidence", "is_unreadable", "unreadable_reason")}
    return replace(answer, **given, marks=marks, probabilities=None if shares is None else tuple(shares))


def marks_of(row: ReadingRow) -> tuple[Mark, ...]:
    """The marks that were stored with an answer."""
    return tuple(Mark(mark["x"], mark["y"], mark["rating"], mark["view"]) for mark in row.marks)


def _receipt_again(row: ReadingRow, presentation_id: str, answer: Answer) -> Receipt:
    """The receipt of a submission that came twice."""
    again = replace(answer, unreadable_reason=answer.unreadable_reason.strip())
    told_apart = ("class_key", "confidence", "probabilities", "comment", "is_unreadable", "unreadable_reason", "marks")
    stored = _as_sent(row)
    if row.presentation_id != presentation_id or any(getattr(stored, n) != getattr(again, n) for n in told_apart):
        raise ConflictError("This submission was used for another answer. Nothing was changed; load the case again.")
    return Receipt(row.reading_id, presentation_id, row.revision, row.saved_at, was_already_saved=True)


def _require_open(study: StudyRow) -> None:
    """Readers see cases and answer them only while the study is open."""
    if study.state != StudyState.OPEN:
        raise StudyNotOpenError(f"This study is {study.state}: reading is possible only while it is open.")


def _check_submission(answer: Answer, submit_id: str) -> None:
    """Refuse what would not fit into a row."""
    if not 1 <= len(submit_id) <= _LONGEST_SUBMIT_ID:
        raise InputError("a submission id has 1 to 100 characters", field="submit_id", value=len(submit_id))
    if not _is_text(answer.unreadable_reason, LONGEST_REASON):
        raise InputError(
            f"a reason has at most {LONGEST_REASON} characters and no NUL",
            field="unreadable_reason",
            value=len(answer.unreadable_reason),
        )
    if not _is_text(answer.comment, _LONGEST_COMMENT):
        raise InputError(
            f"a comment has at most {_LONGEST_COMMENT} characters and no NUL",
            field="comment",
            value=len(answer.comment),
        )
    if not _is_readable_again(answer.display_state, _DEEPEST_DISPLAY_STATE):
        raise InputError("the display state must be plain JSON values, a few levels deep", field="display_state")
    try:
        state = canonical_json(answer.display_state)
    except (TypeError, ValueError) as failure:
        raise InputError("the display state must be plain JSON values", field="display_state") from failure
    if len(state) > _LARGEST_DISPLAY_STATE or "\\u0000" in state:
        raise InputError("the display state is too large", field="display_state", value=len(state))


def _is_readable_again(value: object, levels: int) -> bool:
    """Whether every reader of JSON takes a value, wherever it is called from: not too deep, no endless number."""
    if isinstance(value, dict | list | tuple):
        inner = value.values() if isinstance(value, dict) else value
        return levels > 0 and all(_is_readable_again(each, levels - 1) for each in inner)
    return not isinstance(value, int) or abs(value) < 2**63


def _is_text(text: str, longest: int) -> bool:
    """Whether a column takes this text."""
    return len(text) <= longest and "\x00" not in text
