"""Cases in: all of them or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import ConflictError, InputError
from core.natural_order import natural_key
from core.progress import OnProgress
from core.study import CaseRecord, Role, StudyState
from db.import_batch import ImportBatch, PreparedView
from db.records import ImportSummary
from db.repository.access import RepositoryBase, allowed, new_id, require_state
from db.repository.cases import image_facts
from db.repository.orders import make_all_orders
from db.tables import (
    Base,
    CaseImageRow,
    CaseRow,
    CohortRow,
    ImageRow,
    LesionMaskRow,
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
                stored, facts = _stored_images(db_session, row, batch), image_facts(db_session, row)
                shared = self._shared_images(db_session, row, batch.views, shared_images)
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
                    views=list(summary.views),
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
            stored = _stored_images(db_session, row, batch)
            shared = self._shared_images(db_session, row, batch.views, shared_images)
            n_new = len({view.content_sha256 for view in batch.views} - stored.keys())
            return _with_shared(batch.summary(n_new, image_facts(db_session, row)), shared)

    def _shared_images(
        self, db_session: Session, study: StudyRow, views: Sequence[PreparedView], reason: str | None
    ) -> list[SharedWith]:
        """The other studies that have some of these images; refuse them without a reason where one is not unsealed.

        A study that the actor may not see is not named.
        """
        found: dict[str, dict[str, str]] = {}
        states: dict[str, str] = {}
        own_key = {view.content_sha256: view.case for view in views}
        for part in _parts(views, 1000):
            rows = db_session.execute(
                sa.select(StudyRow.study_key, StudyRow.state, ImageRow.content_sha256, CaseRow.case_key)
                .join(CaseRow, CaseRow.study_id == StudyRow.study_id)
                .join(CaseImageRow, CaseImageRow.case_id == CaseRow.case_id)
                .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
                .where(
                    StudyRow.study_id != study.study_id,
                    ImageRow.content_sha256.in_([view.content_sha256 for view in part]),
                )
            )
            for key, state, sha256, other_case in rows:
                states[key] = state
                found.setdefault(key, {})[sha256] = other_case
        known = set(db_session.scalars(sa.select(StudyRow.study_key).where(self._is_mine())))
        for key in sorted(found, key=natural_key):
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
        return [
            SharedWith(key, key in known, len(images))
            for key, images in sorted(found.items(), key=lambda one: natural_key(one[0]))
        ]

    def _store(
        self,
        db_session: Session,
        study: StudyRow,
        batch: ImportBatch,
        image_ids: dict[str, str],
        on_progress: OnProgress | None,
    ) -> int:
        """Write the batch; give the number of new images."""
        cohort_ids = _cohort_ids(db_session, study, batch.cases.values())
        patient_ids = _patient_ids(db_session, study, batch.cases.values(), cohort_ids)
        numbers = _view_numbers(db_session, study, batch)
        case_ids: dict[str, str] = {}
        n_new = done = 0
        for part in _parts(batch.views):
            images: list[dict[str, object]] = []
            cases: list[dict[str, object]] = []
            truths: list[dict[str, object]] = []
            views: list[dict[str, object]] = []
            masks: list[dict[str, object]] = []
            for view in part:
                if view.content_sha256 not in image_ids:
                    image_ids[view.content_sha256] = new_id()
                    images.append(
                        {
                            "image_id": image_ids[view.content_sha256],
                            **{name: getattr(view, name) for name in ("content_sha256", "height", "width", "bits")},
                            "png": batch.bytes_at(view.png_at),
                        }
                    )
                if view.case not in case_ids:
                    case_ids[view.case] = new_id()
                    cases.append(_case_row(view, case_ids, study, cohort_ids, patient_ids))
                    truths.append({"case_id": case_ids[view.case], "class_key": view.truth, "lesion_mask_png": None})
                place = {"case_id": case_ids[view.case], "view_number": numbers[view.view]}
                views.append(
                    {
                        **place,
                        "image_id": image_ids[view.content_sha256],
                        **{name: getattr(view, name) for name in ("pixel_spacing_mm", "file_format", "is_colour")},
                        "notes": list(view.image_notes),
                        "view_name": view.view,
                        "left_side": view.left_side,
                    }
                )
                if view.mask_at is not None:
                    masks.append({**place, "png": batch.bytes_at(view.mask_at)})
            written: list[tuple[type[Base], list[dict[str, object]]]] = [
                (ImageRow, images), (CaseRow, cases), (CaseImageRow, views), (ReferenceStandardRow, truths),
                (LesionMaskRow, masks),
            ]  # fmt: skip
            for table, rows in written:
                if rows:
                    db_session.execute(sa.insert(table), rows)
            n_new += len(images)
            done += len(part)
            if on_progress is not None:
                on_progress(done, len(batch.views), "storing cases")
        return n_new


def _case_row(
    view: PreparedView,
    case_ids: dict[str, str],
    study: StudyRow,
    cohort_ids: dict[str, str],
    patient_ids: dict[str, str],
) -> dict[str, object]:
    """What its first view says of a case."""
    return {
        "case_id": case_ids[view.case],
        "study_id": study.study_id,
        "cohort_id": cohort_ids[view.cohort],
        "patient_id": patient_ids[view.patient],
        "case_key": view.case,
        **{
            name: getattr(view, name)
            for name in ("centre", "scanner", "age_years", "sex", "exclusion_reason", "source_name")
        },
    }


def _view_numbers(db_session: Session, study: StudyRow, batch: ImportBatch) -> dict[str, int]:
    """Number of every view by name; refuse views that the study's other cases do not have, and the other way round."""
    stored = {
        name: (number, is_colour)
        for name, number, is_colour in db_session.execute(
            sa.select(CaseImageRow.view_name, CaseImageRow.view_number, CaseImageRow.is_colour)
            .join(CaseRow, CaseRow.case_id == CaseImageRow.case_id)
            .where(CaseRow.study_id == study.study_id)
            .distinct()
        )
    }
    if not stored:
        return {name: number for number, name in enumerate(batch.view_names, 1)}
    known, new = (", ".join(f"'{name}'" if name else "without a name" for name in names)
                  for names in (sorted(stored, key=lambda name: stored[name]), batch.view_names))  # fmt: skip
    if set(stored) != set(batch.view_names):
        raise ConflictError(
            f"The cases of study '{study.study_key}' have the views {known}, these have {new}; nothing was imported. "
            "Fix: import cases with the same views, or make a new study."
        )
    for view in batch.views:
        if stored[view.view][1] != view.is_colour:
            raise ConflictError(
                f"Case '{view.case}' is {'in colour' if view.is_colour else 'grey'}, the cases of study "
                f"'{study.study_key}' are not; nothing was imported. Fix: change the column 'colour' of the manifest."
            )
    return {name: number for name, (number, _) in stored.items()}


def _parts(rows: Sequence[_T], size: int = _ROWS) -> Iterator[Sequence[_T]]:
    """Consecutive parts of a sequence."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def _stored_images(db_session: Session, study: StudyRow, batch: ImportBatch) -> dict[str, str]:
    """Image ids by hash of the images that the store has; refuse what the study has already."""
    known_cases = set(db_session.scalars(sa.select(CaseRow.case_key).where(CaseRow.study_id == study.study_id)))
    for name in batch.cases:
        if name in known_cases:
            raise ConflictError(f"Case '{name}' is in study '{study.study_key}' already; nothing was imported.")
    in_study = dict(
        db_session.execute(
            sa.select(ImageRow.content_sha256, CaseRow.case_key)
            .join(CaseImageRow, CaseImageRow.image_id == ImageRow.image_id)
            .join(CaseRow, CaseRow.case_id == CaseImageRow.case_id)
            .where(CaseRow.study_id == study.study_id, CaseRow.exclusion_reason.is_(None))
        ).all()
    )
    stored: dict[str, str] = {}
    for part in _parts(batch.views, 1000):
        hashes = [view.content_sha256 for view in part]
        stored.update(
            db_session.execute(
                sa.select(ImageRow.content_sha256, ImageRow.image_id).where(ImageRow.content_sha256.in_(hashes))
            ).all()
        )
    for view in batch.views:
        if view.exclusion_reason is None and view.content_sha256 in in_study:
            raise ConflictError(
                f"Case '{view.case}' has the same image as case '{in_study[view.content_sha256]}' of this study; "
                "nothing was imported. Fix: remove it, or give it an exclusion_reason."
            )
    _refuse_moved_patients(db_session, study, batch.cases.values())
    _view_numbers(db_session, study, batch)
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


def _refuse_moved_patients(db_session: Session, study: StudyRow, cases: Iterable[PreparedView]) -> None:
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


def _cohort_ids(db_session: Session, study: StudyRow, cases: Iterable[PreparedView]) -> dict[str, str]:
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
    db_session: Session, study: StudyRow, cases: Iterable[PreparedView], cohort_ids: dict[str, str]
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
