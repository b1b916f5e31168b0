"""A reader's own order, made from the seed and stored, so that nothing later can change it.

The truth is read here, by the coordinator's process, so that every block can have its share of each class; no method of
a reader comes here.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.protocol import Design, Protocol
from core.reading_order import READING_ORDER_ALGORITHM, CaseToRead, draw_order
from db.repository.access import new_id
from db.tables import (
    CaseRow,
    CohortRow,
    PersonRow,
    PresentationRow,
    ReferenceStandardRow,
    StudyMemberRow,
    StudyRow,
)


def make_order(
    db_session: Session, study: StudyRow, protocol: Protocol, person: PersonRow, member: StudyMemberRow
) -> int:
    """Store the order of one reader over the included cases of his or her cohorts, as ``draw_order`` gives it.

    The order depends on the study's key, the protocol's seed, the login and the arm, and on the coordinator's case
    ids, so that the same manifest gives the same order in every store. Cohorts are mixed.

    Returns
    -------
    int
        Number of presentations.
    """
    found = _cases_of(db_session, study, member.cohorts)
    training = [] if protocol.training_cohort is None else _cases_of(db_session, study, [protocol.training_cohort])
    case_ids = {case: case_id for case, _, case_id in (*found, *training)}
    group = member.reader_group or 1
    order = draw_order(
        [CaseToRead(case, stratum) for case, stratum, _ in found],
        protocol,
        study=study.study_key,
        reader=person.login,
        group=group,
        training=[case for case, _, _ in training],
    )
    arms = protocol.arms if group == 1 else protocol.arms[::-1]
    member.arms = [str(arm) for arm in arms]
    member.order_seed = protocol.order.seed
    member.order_algorithm = READING_ORDER_ALGORITHM
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
            "case_id": case_ids[place.case],
            "arm": str(place.arm),
            "repeat": place.repeat,
            "position": position,
            "period": place.period,
            "block": place.block,
            "is_training": place.is_training,
        }
        for position, place in enumerate(order, start=1)
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
        .order_by(StudyMemberRow.added_at, PersonRow.login)
    )
    for member, person in list(members):
        if protocol.design is not Design.CROSSOVER:
            member.reader_group = None
        elif member.reader_group is None:
            member.reader_group = next_group(db_session, study)
        kept = [name for name in member.cohorts if name != protocol.training_cohort]
        if protocol.cohorts:
            kept = [name for name in kept if name in protocol.cohorts] or list(protocol.cohorts)
        member.cohorts = kept
        make_order(db_session, study, protocol, person, member)


def next_group(db_session: Session, study: StudyRow) -> int:
    """The group of a crossover that has fewer readers; the first of two equal ones."""
    db_session.flush()
    counts = dict(
        db_session.execute(
            sa.select(StudyMemberRow.reader_group, sa.func.count())
            .where(StudyMemberRow.study_id == study.study_id)
            .group_by(StudyMemberRow.reader_group)
        ).all()
    )
    return 1 if counts.get(1, 0) <= counts.get(2, 0) else 2


def n_cases_of(db_session: Session, study: StudyRow, cohorts: Sequence[str]) -> int:
    """How many cases of some cohorts are read."""
    return len(_cases_of(db_session, study, cohorts))


def _cases_of(db_session: Session, study: StudyRow, cohorts: Sequence[str]) -> list[tuple[str, str, str]]:
    """(case, stratum, case id) of every included case of some cohorts; a cohort without cases may still be imported."""
    rows = db_session.execute(
        sa.select(CaseRow.case_key, ReferenceStandardRow.class_key, CohortRow.name, CaseRow.case_id)
        .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
        .join(ReferenceStandardRow, ReferenceStandardRow.case_id == CaseRow.case_id)
        .where(
            CaseRow.study_id == study.study_id, CohortRow.name.in_(list(cohorts)), CaseRow.exclusion_reason.is_(None)
        )
        .order_by(CaseRow.case_key)
    )
    return [(case, f"{truth}|{cohort}", case_id) for case, truth, cohort, case_id in rows]
