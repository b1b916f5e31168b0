"""The cases of a study as the coordinator knows them, without their truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import ChangedMeanwhileError, ConflictError, InputError, NotFoundError
from core.imaging import Giveaway, ImageFacts, decode_png, find_giveaways
from core.natural_order import cohort_place, natural_key
from core.protocol import Arm, Protocol, class_key
from core.study import LeftSide, Role, StudyState
from db.image_store import Images
from db.records import AlteredAnswer, CaseImage, CaseInfo, CohortCount, ViewInfo
from db.repository.access import RepositoryBase, allowed, require_state
from db.tables import (
    AlteredAnswerRow,
    CaseImageRow,
    CaseRow,
    CohortRow,
    ImageRow,
    PatientRow,
    PredictionRow,
    ReferenceStandardRow,
    StudyRow,
)


class CaseRepository(RepositoryBase):
    """Cohorts, counts, descriptions, pixels."""

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def cohorts(self, study_key: str) -> list[str]:
        """Names of the cohorts, in the order of :func:`core.natural_order.cohort_place`."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            names = db_session.scalars(sa.select(CohortRow.name).where(CohortRow.study_id == row.study_id))
            return sorted(names, key=cohort_place)

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
            return sorted(found, key=lambda count: (cohort_place(count.cohort), order.index(count.class_key)))

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def cases(self, study_key: str, cohort: str | None = None) -> list[CaseInfo]:
        """Cases of a study without their truth, by case id, numbers in it by their value."""
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            query = (
                sa.select(CaseRow, PatientRow.patient_key, CohortRow.name, CaseImageRow)
                .add_columns(ImageRow.height, ImageRow.width, ImageRow.bits)
                .join(PatientRow, PatientRow.patient_id == CaseRow.patient_id)
                .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
                .join(CaseImageRow, CaseImageRow.case_id == CaseRow.case_id)
                .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
                .where(CaseRow.study_id == row.study_id)
                .order_by(CaseRow.case_key, CaseImageRow.view_number)
            )
            if cohort is not None:
                query = query.where(CohortRow.name == cohort)
            of_case = groupby(db_session.execute(query), key=lambda found: str(found[0].case_key))
            cases = [_case_info(list(rows)) for _, rows in of_case]
        return sorted(cases, key=lambda each: natural_key(each.case))

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def views(self, study_key: str) -> tuple[str, ...]:
        """Names of the views that every case has, in their order; ("",) where they have no names, () without cases."""
        with self._reading() as db_session:
            return tuple(view_numbers(db_session, self._study_row(db_session, study_key)))

    @allowed(Role.COORDINATOR)
    def declare_altered_answers(
        self, study_key: str, answers: Mapping[str, str | Sequence[float]], *, seen: Mapping[str, str] | None = None
    ) -> int:
        """Declare model answers that are wrong on purpose; aided readers are shown these instead (automation bias).

        Parameters
        ----------
        study_key : str
            A draft with an aided arm; opening seals what was declared.
        answers : mapping of str to (str or sequence of float)
            By case: the probabilities to show, or a class, which then changes places with the declared model's first.
            The list replaces the one before it; an empty one takes it back.
        seen : mapping of str to str, optional
            The list before it, as :meth:`altered_answers` gave it where this one was decided.

        Returns
        -------
        int
            Number of cases.

        Raises
        ------
        ChangedMeanwhileError
            If another list than the one that was ``seen`` stands there.
        ConflictError
            If the study was opened, or a class is given and the declared model has not predicted the case.
        InputError
            If no arm is aided, or an answer does not fit the study.
        NotFoundError
            If the study has no such case, or excludes it.
        """
        with self._writing() as db_session:
            study = self._study_row(db_session, study_key, lock=True)
            require_state(study, "declaring altered model answers", StudyState.DRAFT)
            protocol = self._protocol(db_session, study)
            if answers and Arm.AIDED not in protocol.arms:
                raise InputError("no reader of this study sees the model", field="design", value=str(protocol.design))
            if seen is not None and (there := _shown_altered(db_session, study, protocol)) != dict(seen):
                changes = [
                    f"case {case} is shown as {there.get(case, 'the model says')}, not {seen.get(case, 'as it says')}"
                    for case in sorted({**seen, **there}, key=natural_key)
                    if seen.get(case) != there.get(case)
                ]
                raise ChangedMeanwhileError("The list of answers that are shown wrong", changes)
            of_study = (CaseRow.study_id == study.study_id, CaseRow.exclusion_reason.is_(None))
            found = db_session.execute(
                sa.select(CaseRow.case_key, CaseRow.case_id, PredictionRow.probabilities)
                .outerjoin(
                    PredictionRow,
                    (PredictionRow.case_id == CaseRow.case_id) & (PredictionRow.model_sha256 == protocol.model_sha256),
                )
                .where(*of_study)
            )
            known = {case: (case_id, own) for case, case_id, own in found}
            told = min((c for c, given in answers.items() if _says_itself(given, known.get(c), protocol)), default=None)
            if told is not None:
                # The refusal tells what a sealed prediction is, of this case alone: the trail keeps it.
                self._audit(db_session, "study.altered-refused", study_key, case=told)
            else:
                self._replace_altered(db_session, study, answers, known, protocol)
        if told is not None:
            raise InputError(f"the model says so of case '{told}' itself", field="class", value=answers[told])
        return len(answers)

    def _replace_altered(
        self,
        db_session: Session,
        study: StudyRow,
        answers: Mapping[str, str | Sequence[float]],
        known: Mapping[str, tuple[str, list[float] | None]],
        protocol: Protocol,
    ) -> None:
        """Store the list in the place of the one before it."""
        rows = [_altered_row(case, given, known, protocol, study.study_key) for case, given in sorted(answers.items())]
        of_cases = sa.select(CaseRow.case_id).where(CaseRow.study_id == study.study_id)
        db_session.execute(sa.delete(AlteredAnswerRow).where(AlteredAnswerRow.case_id.in_(of_cases)))
        db_session.add_all(rows)
        self._audit(db_session, "study.altered", study.study_key, n_cases=len(rows))

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def altered_answers(self, study_key: str) -> dict[str, str]:
        """The class that is shown by each case whose model answer was declared to be shown wrong.

        Not its probabilities: they are the sealed prediction's own in another order.
        """
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            return _shown_altered(db_session, study, self._protocol(db_session, study))

    @allowed(Role.COORDINATOR)
    def declared_altered_answers(self, study_key: str) -> list[AlteredAnswer]:
        """The same list with the probabilities that somebody declared, as readers will be shown them, by case."""
        with self._reading() as db_session:
            study = self._study_row(db_session, study_key)
            protocol = self._protocol(db_session, study)
            rows = db_session.execute(
                sa.select(CaseRow.case_key, AlteredAnswerRow.probabilities, PredictionRow.probabilities)
                .join(AlteredAnswerRow, AlteredAnswerRow.case_id == CaseRow.case_id)
                .outerjoin(
                    PredictionRow,
                    (PredictionRow.case_id == CaseRow.case_id) & (PredictionRow.model_sha256 == protocol.model_sha256),
                )
                .where(CaseRow.study_id == study.study_id)
                .order_by(CaseRow.case_key)
            )
            return [
                AlteredAnswer(
                    case, protocol.class_keys[shares.index(max(shares))],
                    None if own is not None and sorted(own) == sorted(shares) else tuple(shares),
                )
                for case, shares, own in sorted(rows, key=lambda each: natural_key(each[0]))
            ]  # fmt: skip

    @allowed(Role.COORDINATOR)
    def image_giveaways(self, study_key: str) -> list[Giveaway]:
        """The properties of the image files that go with the class; says nothing of readers or models."""
        with self._reading() as db_session:
            return find_giveaways(image_facts(db_session, self._study_row(db_session, study_key)))

    @allowed(Role.COORDINATOR, Role.STATISTICIAN)
    def case_image(self, study_key: str, case: str, view: str | None = None) -> CaseImage:
        """One view of one case: that which the model takes, unless another is named.

        Raises
        ------
        NotFoundError
            If the study has no such case, or the case no such view.
        """
        with self._reading() as db_session:
            row = self._study_row(db_session, study_key)
            wanted = self._protocol(db_session, row).model_view if view is None else view
            number = view_number(db_session, row, wanted)
            found = db_session.execute(
                sa.select(ImageRow.png, CaseImageRow.pixel_spacing_mm, CaseImageRow.view_name, CaseImageRow.left_side)
                .join(CaseImageRow, CaseImageRow.image_id == ImageRow.image_id)
                .join(CaseRow, CaseRow.case_id == CaseImageRow.case_id)
                .where(CaseRow.study_id == row.study_id, CaseRow.case_key == case, CaseImageRow.view_number == number)
            ).first()
        if found is None:
            with_view = f" with the view '{view}'" if view else ""
            raise NotFoundError(f"Study '{study_key}' has no case '{case}'{with_view}. Fix: check the case id.")
        return case_image_of(case, found, self._images)


def _shown_altered(db_session: Session, study: StudyRow, protocol: Protocol) -> dict[str, str]:
    """The class that is shown by each case whose model answer was declared to be shown wrong."""
    rows = db_session.execute(
        sa.select(CaseRow.case_key, AlteredAnswerRow.probabilities)
        .join(AlteredAnswerRow, AlteredAnswerRow.case_id == CaseRow.case_id)
        .where(CaseRow.study_id == study.study_id)
        .order_by(CaseRow.case_key)
    )
    in_order = sorted(rows, key=lambda each: natural_key(each[0]))
    return {case: protocol.class_keys[shares.index(max(shares))] for case, shares in in_order}


def case_image_of(case: str, found: Any, images: Images) -> CaseImage:
    """A view of a case from its stored form."""
    return CaseImage(
        case=case,
        pixels=decode_png(images.png(found.png)),
        pixel_spacing_mm=found.pixel_spacing_mm,
        view=found.view_name,
        left_side=None if found.left_side is None else LeftSide(found.left_side),
    )


def view_numbers(db_session: Session, study: StudyRow) -> dict[str, int]:
    """Number of every view of a study's cases by its name, in their order."""
    rows = db_session.execute(
        sa.select(CaseImageRow.view_name, CaseImageRow.view_number)
        .join(CaseRow, CaseRow.case_id == CaseImageRow.case_id)
        .where(CaseRow.study_id == study.study_id)
        .distinct()
        .order_by(CaseImageRow.view_number)
    )
    return dict(rows.all())


def view_number(db_session: Session, study: StudyRow, name: str) -> int:
    """Number of a view by its name; the first for an empty name.

    Raises
    ------
    NotFoundError
        If the study's cases have no such view.
    """
    if not name:
        return 1
    numbers = view_numbers(db_session, study)
    if name not in numbers:
        known = ", ".join(f"'{view}'" for view in numbers if view) or "one view without a name"
        raise NotFoundError(
            f"The cases of study '{study.study_key}' have no view '{name}', but {known}. "
            "Fix: write one of them as model_view in the protocol, or leave it empty for the first."
        )
    return numbers[name]


def _case_info(rows: Sequence[Any]) -> CaseInfo:
    """One case from the rows of its views."""
    case, patient, cohort, *_ = rows[0]
    names = ("centre", "scanner", "age_years", "sex", "exclusion_reason", "source_name")
    return CaseInfo(
        case=case.case_key,
        patient=patient,
        cohort=cohort,
        **{name: getattr(case, name) for name in names},
        views=tuple(
            ViewInfo(
                name=view.view_name,
                height=height,
                width=width,
                bits=bits,
                is_colour=view.is_colour,
                pixel_spacing_mm=view.pixel_spacing_mm,
                left_side=None if view.left_side is None else LeftSide(view.left_side),
                file_format=view.file_format,
                notes=tuple(view.notes),
            )
            for _, _, _, view, height, width, bits in rows
        ),
    )


def _says_itself(
    given: str | Sequence[float], found: tuple[str, list[float] | None] | None, protocol: Protocol
) -> bool:
    """Whether a class that is to be shown instead of the model's own is the model's own."""
    own = None if found is None else found[1]
    if own is None or not isinstance(given, str):
        return False
    return protocol.class_keys[own.index(max(own))] == class_key(given, protocol.classes)


def _altered_row(
    case: str,
    given: str | Sequence[float],
    known: Mapping[str, tuple[str, list[float] | None]],
    protocol: Protocol,
    study_key: str,
) -> AlteredAnswerRow:
    """A declared wrong answer, checked."""
    if case not in known:
        raise NotFoundError(f"Study '{study_key}' has no case '{case}' that is read.")
    case_id, own = known[case]
    keys = protocol.class_keys
    if not isinstance(given, str):
        values = [float(value) for value in given]
        if len(values) != len(keys) or not all(0 <= value <= 1 for value in values) or abs(sum(values) - 1) > 1e-6:
            problem = f"{len(keys)} probabilities that sum to 1 are needed for case '{case}'"
            raise InputError(problem, field="probabilities", value=values)
        if values.count(max(values)) > 1:
            raise InputError(
                f"two classes have the highest probability for case '{case}', so readers would be shown no one class",
                field="probabilities", value=values, fix="give one of them more",
            )  # fmt: skip
        return AlteredAnswerRow(case_id=case_id, probabilities=values)
    wanted = keys.index(class_key(given, protocol.classes))
    if own is None:
        raise ConflictError(
            f"The declared model has not predicted case '{case}', so its answer cannot be turned round. Fix: declare "
            "the model and predict first, or give the probabilities."
        )
    values = list(own)
    first = values.index(max(values))
    values[first], values[wanted] = values[wanted], values[first]
    return AlteredAnswerRow(case_id=case_id, probabilities=values)


def image_facts(db_session: Session, study: StudyRow) -> list[ImageFacts]:
    """What a study's images are, without the excluded."""
    rows = db_session.execute(
        sa.select(CaseRow, CohortRow.name, ReferenceStandardRow.class_key, CaseImageRow)
        .add_columns(ImageRow.height, ImageRow.width, ImageRow.bits)
        .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
        .join(ReferenceStandardRow, ReferenceStandardRow.case_id == CaseRow.case_id)
        .join(CaseImageRow, CaseImageRow.case_id == CaseRow.case_id)
        .join(ImageRow, ImageRow.image_id == CaseImageRow.image_id)
        .where(CaseRow.study_id == study.study_id, CaseRow.exclusion_reason.is_(None))
        .order_by(CaseImageRow.view_number, CaseRow.case_key)
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
            view=view.view_name,
            left_side=view.left_side,
        )
        for case, cohort, truth, view, height, width, bits in rows
    ]
