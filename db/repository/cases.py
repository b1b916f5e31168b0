"""The cases of a study as the coordinator knows them, without their truth."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import NotFoundError
from core.imaging import Giveaway, ImageFacts, decode_png, find_giveaways
from core.study import Role
from db.records import CaseImage, CaseInfo, CohortCount
from db.repository.access import RepositoryBase, allowed
from db.tables import CaseImageRow, CaseRow, CohortRow, ImageRow, PatientRow, ReferenceStandardRow, StudyRow


class CaseRepository(RepositoryBase):
    """Cohorts, counts, descriptions, pixels."""

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def cohorts(self, study_key: str) -> list[str]:
        """Names of the cohorts, sorted."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            return list(
                db_session.scalars(
                    sa.select(CohortRow.name).where(CohortRow.study_id == row.study_id).order_by(CohortRow.name)
                )
            )

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def case_counts(self, study_key: str) -> list[CohortCount]:
        """Cases per cohort and class, as the coordinator's own manifest had them."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            is_excluded = CaseRow.exclusion_reason.is_not(None)
            counts = db_session.execute(
                sa.select(
                    CohortRow.name,
                    ReferenceStandardRow.class_key,
                    sa.func.count(sa.case((~is_excluded, 1))),
                    sa.func.count(sa.distinct(sa.case((~is_excluded, CaseRow.patient_id)))),
                    sa.func.count(sa.case((is_excluded, 1))),
                )
                .join(CaseRow, CaseRow.cohort_id == CohortRow.cohort_id)
                .join(ReferenceStandardRow, ReferenceStandardRow.case_id == CaseRow.case_id)
                .where(CohortRow.study_id == row.study_id)
                .group_by(CohortRow.name, ReferenceStandardRow.class_key)
            )
            order = self._protocol(db_session, row).class_keys
            found = [CohortCount(*values) for values in counts]
            return sorted(found, key=lambda count: (count.cohort, order.index(count.class_key)))

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def cases(self, study_key: str, cohort: str | None = None) -> list[CaseInfo]:
        """Cases of a study without their truth, by case id."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            query = (
                sa.select(CaseRow, PatientRow.patient_key, CohortRow.name, CaseImageRow)
                .add_columns(ImageRow.height, ImageRow.width, ImageRow.bits)
                .join(PatientRow, PatientRow.patient_id == CaseRow.patient_id)
                .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
                .join(CaseImageRow, (CaseImageRow.case_id == CaseRow.case_id) & (CaseImageRow.view_number == 1))
                .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
                .where(CaseRow.study_id == row.study_id)
                .order_by(CaseRow.case_key)
            )
            if cohort is not None:
                query = query.where(CohortRow.name == cohort)
            return [
                CaseInfo(
                    case=case.case_key,
                    patient=patient,
                    cohort=name,
                    centre=case.centre,
                    scanner=case.scanner,
                    age_years=case.age_years,
                    sex=case.sex,
                    exclusion_reason=case.exclusion_reason,
                    source_name=case.source_name,
                    height=height,
                    width=width,
                    bits=bits,
                    pixel_spacing_mm=view.pixel_spacing_mm,
                    file_format=view.file_format,
                    image_notes=tuple(view.notes),
                )
                for case, patient, name, view, height, width, bits in db_session.execute(query)
            ]

    @allowed(Role.COORDINATOR)
    def image_giveaways(self, study_key: str) -> list[Giveaway]:
        """The properties of the image files that go with the class; says nothing of readers or models."""
        with self._reading() as db_session:
            return find_giveaways(image_facts(db_session, self._study_row(db_session, study_key)))

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def case_image(self, study_key: str, case: str) -> CaseImage:
        """Pixels of one case.

        Raises
        ------
        NotFoundError
            If the study has no such case.
        """
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            found = db_session.execute(
                sa.select(ImageRow.png, CaseImageRow.pixel_spacing_mm)
                .join(CaseImageRow, CaseImageRow.image_id == ImageRow.image_id)
                .join(CaseRow, CaseRow.case_id == CaseImageRow.case_id)
                .where(CaseRow.study_id == row.study_id, CaseRow.case_key == case, CaseImageRow.view_number == 1)
            ).first()
        if found is None:
            raise NotFoundError(f"Study '{study_key}' has no case '{case}'.")
        return CaseImage(case=case, pixels=decode_png(found.png), pixel_spacing_mm=found.pixel_spacing_mm)


def image_facts(db_session: Session, study: StudyRow) -> list[ImageFacts]:
    """What a study's images are, without the excluded."""
    rows = db_session.execute(
        sa.select(CaseRow, CohortRow.name, ReferenceStandardRow.class_key, CaseImageRow)
        .add_columns(ImageRow.height, ImageRow.width, ImageRow.bits)
        .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
        .join(ReferenceStandardRow, ReferenceStandardRow.case_id == CaseRow.case_id)
        .join(CaseImageRow, (CaseImageRow.case_id == CaseRow.case_id) & (CaseImageRow.view_number == 1))
        .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
        .where(CaseRow.study_id == study.study_id, CaseRow.exclusion_reason.is_(None))
        .order_by(CaseRow.case_key)
    )
    return [
        ImageFacts(
            cohort=cohort,
            truth=truth,
            width=width,
            height=height,
            bits=bits,
            file_format=view.file_format,
            pixel_spacing_mm=view.pixel_spacing_mm,
            notes=tuple(view.notes),
            centre=case.centre,
            scanner=case.scanner,
        )
        for case, cohort, truth, view, height, width, bits in rows
    ]
