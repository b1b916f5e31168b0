"""Studies of readings that were made elsewhere: stored row by row, sealed at once, analysed as the file was.

Such a study is born unsealed and says so for good: nobody was blinded here. It has no cases, orders or accounts of
readers in the store; its rows are those of the layout ``long``, of which the analysis is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import InputError, NotFoundError
from core.protocol import Protocol
from core.study import Role, Study
from db.audit import chain_end
from db.records import ReadElsewhere
from db.repository.access import allowed
from db.repository.studies import StudyRepository
from db.seals import ELSEWHERE, seal_of_part
from db.tables import AuditEventRow, ElsewhereReadingRow, StudyRow

if TYPE_CHECKING:
    from core.analysis import StudyData

_ROWS = 1000


class ElsewhereRepository(StudyRepository):
    """What a coordinator makes of another platform's files."""

    @allowed(Role.COORDINATOR)
    def create_study_read_elsewhere(
        self,
        study_key: str,
        protocol: Protocol,
        data: StudyData,
        source: ReadElsewhere,
        *,
        coordinator: str | None = None,
    ) -> Study:
        """Store readings that were made elsewhere as a study; all of it or nothing.

        Parameters
        ----------
        study_key : str
            The new study.
        protocol : Protocol
            Title, the classes of ``data`` in their order, and the margin; nothing of it was declared before reading.
        data : StudyData
            As :func:`core.report.readings_file.read_readings_file` gives it.
        source : ReadElsewhere
            Stands in the audit trail.
        coordinator : str, optional
            Login, on the command line.

        Raises
        ------
        InputError
            If the key will not do, or the protocol has other classes.
        ConflictError
            If the key is taken.
        """
        from core.report.long_file import long_rows  # here, because it loads pandas

        if protocol.classes != tuple(data.classes) or protocol.model_sha256 is not None:
            raise InputError("has other classes than the readings, or declares a model", field="protocol")
        rows = long_rows(data)
        with self._writing() as db_session:
            row = self._new_study(db_session, study_key, protocol, is_synthetic=bool(data.simulated),
                                  is_read_elsewhere=True)  # fmt: skip
            for start in range(0, len(rows), _ROWS):
                part = [
                    {"study_id": row.study_id, "row_number": number, "content": content}
                    for number, content in enumerate(rows[start : start + _ROWS], start=start + 1)
                ]
                db_session.execute(sa.insert(ElsewhereReadingRow), part)
            sealed = seal_of_part(db_session, row, ELSEWHERE, before_event=chain_end(db_session).n_events + 1,
                                  model_sha256=None, like=None).keep(db_session)  # fmt: skip
            said = {name: value for name, value in asdict(source).items() if name != "n_rows"}
            return self._begun(db_session, row, protocol, coordinator, is_read_elsewhere=True, source=said,
                               sealed={ELSEWHERE: sealed})  # fmt: skip

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def read_elsewhere(self, study_key: str) -> ReadElsewhere:
        """Where the readings of a study come from that was read elsewhere.

        Raises
        ------
        NotFoundError
            If the study was read here.
        """
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            if not study.is_read_elsewhere:
                raise NotFoundError(f"Study '{study_key}' was read here, not elsewhere.")
            event = db_session.scalars(
                sa.select(AuditEventRow).where(
                    AuditEventRow.study_key == study_key, AuditEventRow.action == "study.create"
                )
            ).one()
            source = event.detail["source"]
            return ReadElsewhere(
                files=tuple((name, sha256) for name, sha256 in source["files"]),
                layout=source["layout"],
                options=source["options"],
                notes=tuple(source["notes"]),
                n_rows=event.detail["sealed"][ELSEWHERE]["n"],
            )


def elsewhere_data(
    db_session: Session,
    study: StudyRow,
    protocol: Protocol,
    cohorts: Sequence[str] | None,
    models: Sequence[str] | None,
) -> StudyData:
    """The readings of a study that was read elsewhere; all cohorts and models unless said otherwise."""
    from core.report.long_file import read_long_rows  # here, because it loads pandas

    rows = db_session.scalars(
        sa.select(ElsewhereReadingRow.content)
        .where(ElsewhereReadingRow.study_id == study.study_id)
        .order_by(ElsewhereReadingRow.row_number)
    ).all()
    if cohorts is not None:
        rows = [row for row in rows if row["cohort"] in set(cohorts)]
    if models is not None:
        rows = [row for row in rows if row["kind"] != "model" or row["reader"] in set(models)]
    return read_long_rows(f"study {study.study_key}", rows, protocol.classes)
