"""A reader's own order, made from the seed and stored, so that nothing later can change it."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.errors import NotFoundError
from core.protocol import Arm, Protocol
from core.study import READING_ORDER_ALGORITHM, reading_order
from db.repository.access import new_id
from db.tables import CaseRow, CohortRow, PersonRow, PresentationRow, StudyMemberRow, StudyRow


def make_order(
    db_session: Session,
    study: StudyRow,
    protocol: Protocol,
    person: PersonRow,
    cohorts: Sequence[str],
    arms: Sequence[Arm],
) -> int:
    """Store the order of one reader over the included cases of some cohorts, one arm after the other.

    The shuffle depends on the study's key, the protocol's seed, the login and the arm, and on the coordinator's case
    ids, so that the same manifest gives the same order in every store. Cohorts are mixed.

    Returns
    -------
    int
        Number of presentations.

    Raises
    ------
    NotFoundError
        If the study has no such cohort.
    """
    cohort_ids = dict(
        db_session.execute(
            sa.select(CohortRow.name, CohortRow.cohort_id).where(CohortRow.study_id == study.study_id)
        ).all()
    )
    for name in cohorts:
        if name not in cohort_ids:
            raise NotFoundError(
                f"Study '{study.study_key}' has no cohort '{name}'; it has {', '.join(sorted(cohort_ids)) or 'none'}."
            )
    case_ids = dict(
        db_session.execute(
            sa.select(CaseRow.case_key, CaseRow.case_id).where(
                CaseRow.cohort_id.in_([cohort_ids[name] for name in cohorts]), CaseRow.exclusion_reason.is_(None)
            )
        ).all()
    )
    ordered = [
        (arm, case)
        for arm in arms
        for case in reading_order(
            list(case_ids), study=study.study_key, seed=protocol.order.seed, reader=person.login, arm=arm
        )
    ]
    db_session.execute(
        sa.delete(PresentationRow).where(
            PresentationRow.study_id == study.study_id, PresentationRow.person_id == person.person_id
        )
    )
    rows = [
        {
            "presentation_id": new_id(),
            "study_id": study.study_id,
            "person_id": person.person_id,
            "case_id": case_ids[case],
            "arm": str(arm),
            "repeat": 1,
            "position": position,
        }
        for position, (arm, case) in enumerate(ordered, start=1)
    ]
    if rows:
        db_session.execute(sa.insert(PresentationRow), rows)
    return len(rows)


def make_all_orders(db_session: Session, study: StudyRow, protocol: Protocol) -> None:
    """Make every reader's order again after cases or protocol of a draft have changed."""
    members = db_session.execute(
        sa.select(StudyMemberRow, PersonRow)
        .join(PersonRow, PersonRow.person_id == StudyMemberRow.person_id)
        .where(StudyMemberRow.study_id == study.study_id)
    )
    for member, person in list(members):
        arms = [Arm(arm) for arm in member.arms if Arm(arm) in protocol.arms] or list(protocol.arms)
        member.arms = [str(arm) for arm in arms]
        member.order_seed = protocol.order.seed
        member.order_algorithm = READING_ORDER_ALGORITHM
        make_order(db_session, study, protocol, person, member.cohorts, arms)
