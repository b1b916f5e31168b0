"""Cases in: all of them or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import ConflictError, InputError
from core.progress import OnProgress
from core.study import CaseRecord, Role, StudyState
from db.import_batch import ImportBatch, PreparedCase
from db.records import ImportSummary
from db.repository.access import RepositoryBase, allowed, new_id, require_state
from db.repository.cases import image_facts
from db.repository.orders import make_all_orders
from db.tables import (
    CaseImageRow,
    CaseRow,
    CohortRow,
    ImageRow,
    PatientRow,
    ReferenceStandardRow,
    StudyRow,
)

#: Rows written by one statement; keeps the pixels of one statement in a few megabytes.
_ROWS = 100

_T = TypeVar("_T")

#: In place of the name of a study that the actor may not see.
SOMEBODY_ELSES = "a study that you do not coordinate"


class SharedWith(NamedTuple):
    """Another study that has some of the images."""

    study_key: str
    is_known: bool  # to the actor
    n_images: int


class ImportRepository(RepositoryBase):
    """Import, and the same import without writing."""

    @allowed(Role.COORDINATOR)
    def import_cases(
        self,
        study_key: str,
        records: Iterable[CaseRecord],
        *,
        total: int | None = None,
        shared_images: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> ImportSummary:
        """Store cases with their images and reference standard; readers' orders are made again.

        Parameters
        ----------
        study_key : str
            A study in state draft.
        records : iterable of CaseRecord
            Consumed once; images are never all in memory.
        total : int, optional
            Number of records, for the progress, if ``records`` has no length.
        shared_images : str, optional
            Why images of a study that is not unsealed come into this one too; stands in the trail of both.
        on_progress : callable, optional
            ``progress(done, total, what)``.

        Raises
        ------
        InputError
            If a record will not do; the message names the case and the field, and nothing is written.
        ConflictError
            If a case id or an image is in the study already, or the study is not a draft; or if images are in another
            study that is not unsealed and nobody said why: unsealing one would tell the truth of the other.
        """
        with ImportBatch() as batch:
            with self._reading() as db_session:
                row = self._study_row(db_session, study_key)
                require_state(row, "importing cases", StudyState.DRAFT)
                protocol = self._protocol(db_session, row)
            batch.take(records, protocol, total, on_progress)
            with self._writing() as db_session:
                row = self._study_row(db_session, study_key, lock=True)
                require_state(row, "importing cases", StudyState.DRAFT)
                if self._protocol(db_session, row) != protocol:
                    raise ConflictError(f"The protocol of study '{study_key}' was changed meanwhile; import again.")
                stored, facts = _stored_images(db_session, row, batch.cases), image_facts(db_session, row)
                shared = self._shared_images(db_session, row, batch.cases, shared_images)
                n_new = self._store(db_session, row, batch, stored, on_progress)
                make_all_orders(db_session, row, protocol)
                summary = _with_shared(batch.summary(n_new, facts), shared)
                self._audit(
                    db_session,
                    "study.import",
                    study_key,
                    n_cases=summary.n_cases,
                    n_excluded=summary.n_excluded,
                    cases_per_cohort=summary.cases_per_cohort,
                    warnings=list(summary.warnings),
                    image_notes=list(summary.image_notes),
                    **({"shared_images": _by_name(shared), "reason": shared_images} if shared else {}),
                )
                for other in shared:
                    detail: dict[str, Any] = {"n_images": other.n_images, "reason": shared_images}
                    shown = study_key if other.is_known else SOMEBODY_ELSES
                    self._audit(db_session, "study.shared", other.study_key, study=shown, **detail)
                    if not other.is_known:  # with both names: for administrators
                        self._audit(db_session, "store.shared", studies=[study_key, other.study_key], **detail)
        return summary

    @allowed(Role.COORDINATOR)
    def check_import(
        self,
        study_key: str,
        records: Iterable[CaseRecord],
        *,
        total: int | None = None,
        shared_images: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> ImportSummary:
        """Do all that :meth:`import_cases` does except write; same parameters, same errors."""
        with ImportBatch() as batch, self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            require_state(row, "importing cases", StudyState.DRAFT)
            batch.take(records, self._protocol(db_session, row), total, on_progress)
            stored = _stored_images(db_session, row, batch.cases)
            shared = self._shared_images(db_session, row, batch.cases, shared_images)
            n_new = len({case.content_sha256 for case in batch.cases} - stored.keys())
            return _with_shared(batch.summary(n_new, image_facts(db_session, row)), shared)

    def _shared_images(
        self, db_session: Session, study: StudyRow, cases: Sequence[PreparedCase], reason: str | None
    ) -> list[SharedWith]:
        """The other studies that have some of these images; refuse them without a reason where one is not unsealed.

        A study that the actor may not see is not named.
        """
        found: dict[str, dict[str, str]] = {}
        states: dict[str, str] = {}
        own_key = {case.content_sha256: case.case for case in cases}
        for part in _parts(cases, 1000):
            rows = db_session.execute(
                sa.select(StudyRow.study_key, StudyRow.state, ImageRow.content_sha256, CaseRow.case_key)
                .join(CaseRow, CaseRow.study_id == StudyRow.study_id)
                .join(CaseImageRow, CaseImageRow.case_id == CaseRow.case_id)
                .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
                .where(
                    StudyRow.study_id != study.study_id,
                    ImageRow.content_sha256.in_([case.content_sha256 for case in part]),
                )
            )
            for key, state, sha256, other_case in rows:
                states[key] = state
                found.setdefault(key, {})[sha256] = other_case
        known = set(db_session.scalars(sa.select(StudyRow.study_key).where(self._is_mine())))
        for key in sorted(found):
            if states[key] != StudyState.UNSEALED and not (reason or "").strip():
                sha256, other_case = min(found[key].items(), key=lambda pair: pair[1])
                which, where = f"case '{own_key[sha256]}'", SOMEBODY_ELSES
                if key in known:
                    where, which = f"study '{key}'", f"{which} is case '{other_case}' there"
                raise ConflictError(
                    f"{len(found[key])} images are in {where} too, which is {states[key]} ({which}): unsealing one "
                    "would tell the truth of the other. Nothing was imported. "
                    "Fix: unseal that study first, or give the reason with --shared-images, which stands in both "
                    "trails."
                )
        return [SharedWith(key, key in known, len(images)) for key, images in sorted(found.items())]

    def _store(
        self,
        db_session: Session,
        study: StudyRow,
        batch: ImportBatch,
        image_ids: dict[str, str],
        on_progress: OnProgress | None,
    ) -> int:
        """Write the batch; give the number of new images."""
        cohort_ids = _cohort_ids(db_session, study, batch.cases)
        patient_ids = _patient_ids(db_session, study, batch.cases, cohort_ids)
        n_new = done = 0
        for part in _parts(batch.cases):
            images, cases, views, truths = [], [], [], []
            for case in part:
                if case.content_sha256 not in image_ids:
                    image_ids[case.content_sha256] = new_id()
                    images.append(
                        {
                            "image_id": image_ids[case.content_sha256],
                            "content_sha256": case.content_sha256,
                            "height": case.height,
                            "width": case.width,
                            "bits": case.bits,
                            "png": batch.bytes_at(case.png_at),
                        }
                    )
                case_id = new_id()
                cases.append(
                    {
                        "case_id": case_id,
                        "study_id": study.study_id,
                        "cohort_id": cohort_ids[case.cohort],
                        "patient_id": patient_ids[case.patient],
                        "case_key": case.case,
                        "centre": case.centre,
                        "scanner": case.scanner,
                        "age_years": case.age_years,
                        "sex": case.sex,
                        "exclusion_reason": case.exclusion_reason,
                        "source_name": case.source_name,
                    }
                )
                views.append(
                    {
                        "case_id": case_id,
                        "view_number": 1,
                        "image_id": image_ids[case.content_sha256],
                        "pixel_spacing_mm": case.pixel_spacing_mm,
                        "file_format": case.file_format,
                        "notes": list(case.image_notes),
                    }
                )
                mask = None if case.mask_at is None else batch.bytes_at(case.mask_at)
                truths.append({"case_id": case_id, "class_key": case.truth, "lesion_mask_png": mask})
            if images:
                db_session.execute(sa.insert(ImageRow), images)
            db_session.execute(sa.insert(CaseRow), cases)
            db_session.execute(sa.insert(CaseImageRow), views)
            db_session.execute(sa.insert(ReferenceStandardRow), truths)
            n_new += len(images)
            done += len(part)
            if on_progress is not None:
                on_progress(done, len(batch.cases), "storing cases")
        return n_new


def _parts(rows: Sequence[_T], size: int = _ROWS) -> Iterator[Sequence[_T]]:
    """Consecutive parts of a sequence."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _stored_images(db_session: Session, study: StudyRow, cases: Sequence[PreparedCase]) -> dict[str, str]:
    """Image ids by hash of the images that the store has; refuse what the study has already."""
    known_cases = set(db_session.scalars(sa.select(CaseRow.case_key).where(CaseRow.study_id == study.study_id)))
    for case in cases:
        if case.case in known_cases:
            raise ConflictError(f"Case '{case.case}' is in study '{study.study_key}' already; nothing was imported.")
    in_study = dict(
        db_session.execute(
            sa.select(ImageRow.content_sha256, CaseRow.case_key)
            .join(CaseImageRow, CaseImageRow.image_id == ImageRow.image_id)
            .join(CaseRow, CaseRow.case_id == CaseImageRow.case_id)
            .where(CaseRow.study_id == study.study_id, CaseRow.exclusion_reason.is_(None))
        ).all()
    )
    stored: dict[str, str] = {}
    for part in _parts(cases, 1000):
        hashes = [case.content_sha256 for case in part]
        stored.update(
            db_session.execute(
                sa.select(ImageRow.content_sha256, ImageRow.image_id).where(ImageRow.content_sha256.in_(hashes))
            ).all()
        )
    for case in cases:
        if case.exclusion_reason is None and case.content_sha256 in in_study:
            raise ConflictError(
                f"Case '{case.case}' has the same image as case '{in_study[case.content_sha256]}' of this study; "
                "nothing was imported. Fix: remove it, or give it an exclusion_reason."
            )
    _refuse_moved_patients(db_session, study, cases)
    return stored


def _by_name(shared: Sequence[SharedWith]) -> dict[str, int]:
    """Number of images by the name under which the actor may know the other study."""
    names = Counter[str]()
    for other in shared:
        names[other.study_key if other.is_known else SOMEBODY_ELSES] += other.n_images
    return dict(names)


def _with_shared(summary: ImportSummary, shared: Sequence[SharedWith]) -> ImportSummary:
    """The summary with a warning for each study that has some of the images."""
    said = []
    for key, n in _by_name(shared).items():
        where = key if key == SOMEBODY_ELSES else f"study '{key}'"
        said.append(f"{n} images are in {where} too; it stands in the trail of both")
    return replace(summary, warnings=(*summary.warnings, *said))


def _refuse_moved_patients(db_session: Session, study: StudyRow, cases: Sequence[PreparedCase]) -> None:
    """A patient who is in one cohort of the study cannot come in another one."""
    cohort_of = dict(
        db_session.execute(
            sa.select(PatientRow.patient_key, CohortRow.name)
            .join(CohortRow, CohortRow.cohort_id == PatientRow.cohort_id)
            .where(PatientRow.study_id == study.study_id)
        ).all()
    )
    for case in cases:
        stored = cohort_of.get(case.patient, case.cohort)
        if stored != case.cohort:
            raise InputError(
                f"patient is in cohort '{stored}' of this study already",
                field="patient",
                value=case.patient,
                fix=f"a patient belongs to one cohort; mend case '{case.case}'",
            )


def _cohort_ids(db_session: Session, study: StudyRow, cases: Sequence[PreparedCase]) -> dict[str, str]:
    """Ids of the cohorts by name; new ones are made."""
    ids = dict(
        db_session.execute(
            sa.select(CohortRow.name, CohortRow.cohort_id).where(CohortRow.study_id == study.study_id)
        ).all()
    )
    for name in dict.fromkeys(case.cohort for case in cases):
        if name not in ids:
            ids[name] = new_id()
            db_session.execute(sa.insert(CohortRow).values(cohort_id=ids[name], study_id=study.study_id, name=name))
    return ids


def _patient_ids(
    db_session: Session, study: StudyRow, cases: Sequence[PreparedCase], cohort_ids: dict[str, str]
) -> dict[str, str]:
    """Ids of the patients by key; new ones are made."""
    ids = dict(
        db_session.execute(
            sa.select(PatientRow.patient_key, PatientRow.patient_id).where(PatientRow.study_id == study.study_id)
        ).all()
    )
    new = {case.patient: case.cohort for case in cases if case.patient not in ids}
    ids.update({patient: new_id() for patient in new})
    rows = [
        {
            "patient_id": ids[patient],
            "study_id": study.study_id,
            "cohort_id": cohort_ids[cohort],
            "patient_key": patient,
        }
        for patient, cohort in new.items()
    ]
    if rows:
        db_session.execute(sa.insert(PatientRow), rows)
    return ids
