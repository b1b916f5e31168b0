"""What must be right before a study is opened, for nothing of it can change afterwards. Counts only, never truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Session

from core.imaging import find_giveaways
from core.natural_order import cohort_place, natural_key
from core.protocol import Arm, Design, Protocol
from core.reading_order import most_repeats
from db.records import CheckItem, CheckState
from db.repository.cases import image_facts
from db.tables import (
    AuditEventRow,
    CaseRow,
    CohortRow,
    PersonRow,
    PredictionRow,
    PresentationRow,
    ReferenceStandardRow,
    StudyMemberRow,
    StudyRow,
)

OK, WARNING, BLOCKING = CheckState.OK, CheckState.WARNING, CheckState.BLOCKING


@dataclass(frozen=True)
class _Facts:
    """What the items are made from."""

    protocol: Protocol
    cohorts: dict[str, Counter[str]]  # included cases by cohort and class
    n_without_truth: int
    readers: dict[str, StudyMemberRow]  # by login
    predicted: set[str]  # cohorts in which the declared model has predicted every included case
    importers: set[str]  # logins that brought the reference standard in
    now: datetime

    @property
    def read_cohorts(self) -> Sequence[str]:
        """What readers are given: the protocol's cohorts, else those of the readers, else all that is not training."""
        given = sorted({name for member in self.readers.values() for name in member.cohorts}, key=cohort_place)
        rest = [name for name in sorted(self.cohorts, key=cohort_place) if name != self.protocol.training_cohort]
        return self.protocol.cohorts or given or rest

    @property
    def counts(self) -> Counter[str]:
        """Cases to be read by class."""
        return sum((self.cohorts.get(name, Counter()) for name in self.read_cohorts), Counter())


def checklist(db_session: Session, study: StudyRow, protocol: Protocol, now: datetime) -> list[CheckItem]:
    """The items in the order in which a coordinator mends them; the backups are the door's to add."""
    facts = _facts(db_session, study, protocol, now)
    return [
        *_about_cases(facts),
        _images(db_session, study),
        *_about_order(facts),
        *_about_readers(db_session, study, facts),
        *_about_model(facts),
        *_about_plan(facts),
    ]


def _facts(db_session: Session, study: StudyRow, protocol: Protocol, now: datetime) -> _Facts:
    included = (CaseRow.study_id == study.study_id, CaseRow.exclusion_reason.is_(None))
    cohorts: dict[str, Counter[str]] = {}
    n_without_truth, unpredicted = 0, set()
    rows = db_session.execute(
        sa.select(CohortRow.name, ReferenceStandardRow.class_key, PredictionRow.case_id.is_not(None), sa.func.count())
        .select_from(CaseRow)
        .join(CohortRow, CohortRow.cohort_id == CaseRow.cohort_id)
        .outerjoin(ReferenceStandardRow, ReferenceStandardRow.case_id == CaseRow.case_id)
        .outerjoin(
            PredictionRow,
            (PredictionRow.case_id == CaseRow.case_id) & (PredictionRow.model_sha256 == protocol.model_sha256),
        )
        .where(*included)
        .group_by(CohortRow.name, ReferenceStandardRow.class_key, PredictionRow.case_id.is_not(None))
    )
    for cohort, class_key, is_predicted, count in rows:
        if class_key is None:
            n_without_truth += count
        cohorts.setdefault(cohort, Counter())[class_key or ""] += count
        if not is_predicted:
            unpredicted.add(cohort)
    members = db_session.execute(
        sa.select(PersonRow.login, StudyMemberRow)
        .select_from(StudyMemberRow)
        .join(PersonRow, PersonRow.person_id == StudyMemberRow.person_id)
        .where(StudyMemberRow.study_id == study.study_id, StudyMemberRow.withdrawn_at.is_(None))
    )
    by_login = dict(sorted(members, key=lambda each: natural_key(each[0])))
    importers = db_session.scalars(
        sa.select(AuditEventRow.actor)
        .where(AuditEventRow.study_key == study.study_key, AuditEventRow.action == "study.import")
        .distinct()
    )
    return _Facts(
        protocol, cohorts, n_without_truth, by_login,
        set(cohorts) - unpredicted, set(importers), now,
    )  # fmt: skip


def _about_cases(facts: _Facts) -> Iterator[CheckItem]:
    """Something to read, of every class, with a reference standard."""
    protocol, counts = facts.protocol, facts.counts
    named = (*protocol.cohorts, *((protocol.training_cohort,) if protocol.training_cohort else ()))
    missing = [name for name in named if name not in facts.cohorts]
    if missing:
        yield CheckItem("cohorts", f"No case of cohort {', '.join(missing)}, which the protocol names", BLOCKING,
                        "Import it, or take it out of the protocol.")  # fmt: skip
    text = ", ".join(f"{protocol.label(key)} {counts[key]}" for key in protocol.class_keys)
    empty = [protocol.label(key) for key in protocol.class_keys if not counts[key]]
    total = sum(counts.values())
    if total == 0:
        yield CheckItem("cases", "There is no case to read", BLOCKING, "Import cases first.")
    elif len(protocol.class_keys) - len(empty) < 2:
        yield CheckItem("cases", "All cases are of one class: nothing can be told apart", WARNING, text)
    elif empty:
        yield CheckItem("cases", f"No case of class {', '.join(empty)}", WARNING, text)
    else:
        yield CheckItem("cases", f"{total} cases to read", OK, text)
    if facts.n_without_truth:
        yield CheckItem("truth", f"{facts.n_without_truth} cases have no reference standard", BLOCKING,
                        "Import them again with their class.")  # fmt: skip
    else:
        yield CheckItem("truth", "Every case has a reference standard", OK)


def _images(db_session: Session, study: StudyRow) -> CheckItem:
    """Nothing about the files tells the class."""
    found = find_giveaways(image_facts(db_session, study))
    if found:
        return CheckItem("images", "Something about the image files goes with the class", WARNING,
                         " ".join(map(str, found)))  # fmt: skip
    return CheckItem("images", "Nothing about the image files goes with the class", OK)


def _about_order(facts: _Facts) -> Iterator[CheckItem]:
    """The order can be drawn as the protocol wants it, and reading is not over before it begins."""
    protocol = facts.protocol
    sizes = [sum(sum(facts.cohorts.get(name, Counter()).values()) for name in member.cohorts)
             for member in facts.readers.values()]  # fmt: skip
    shortest = min(sizes or [sum(facts.counts.values())])
    most = most_repeats(shortest, protocol.order.repeat_distance)
    if protocol.order.n_repeats > most:
        yield CheckItem(
            "repeats", f"{protocol.order.n_repeats} hidden repeats are planned, {most} fit", BLOCKING,
            f"A reader has {shortest} cases, and {protocol.order.repeat_distance} others must lie between the two.",
        )  # fmt: skip
    elif protocol.order.n_repeats:
        yield CheckItem("repeats", f"{protocol.order.n_repeats} hidden repeats for each reader and period", OK)
    if protocol.closes_on is not None and protocol.closes_on < facts.now.date():
        yield CheckItem("dates", f"Reading ended on {protocol.closes_on.isoformat()} by the protocol", BLOCKING,
                        "Correct closes_on.")  # fmt: skip
    else:
        yield CheckItem("dates", "The dates of reading lie ahead", OK)


def _about_readers(db_session: Session, study: StudyRow, facts: _Facts) -> Iterator[CheckItem]:
    """Somebody reads, in two groups of one size where there are groups, and nobody who set the truth."""
    planned, count = facts.protocol.planned.n_readers, len(facts.readers)
    if count == 0:
        yield CheckItem("readers", "Nobody reads", WARNING, "Readers can be added while the study is open.")
    elif planned is not None and count < planned:
        yield CheckItem("readers", f"{count} of {planned} planned readers take part", WARNING)
    else:
        said = "1 reader takes part" if count == 1 else f"{count} readers take part"
        yield CheckItem("readers", said, OK, ", ".join(facts.readers))
    without = db_session.scalars(
        sa.select(PersonRow.login)
        .join(StudyMemberRow, StudyMemberRow.person_id == PersonRow.person_id)
        .where(
            StudyMemberRow.study_id == study.study_id,
            StudyMemberRow.withdrawn_at.is_(None),
            ~sa.exists().where(
                PresentationRow.study_id == StudyMemberRow.study_id,
                PresentationRow.person_id == StudyMemberRow.person_id,
                PresentationRow.is_training == sa.false(),
            ),
        )
    ).all()
    if without:
        yield CheckItem("orders", f"Nothing to read for {', '.join(without)}", BLOCKING, "Give them other cohorts.")
    if facts.protocol.design is Design.CROSSOVER and count:
        groups = Counter(member.reader_group for member in facts.readers.values())
        is_even = abs(groups[1] - groups[2]) <= 1
        yield CheckItem("groups", f"{groups[1]} readers begin unaided, {groups[2]} begin aided",
                        OK if is_even else WARNING)  # fmt: skip
    both = sorted(facts.importers & set(facts.readers), key=natural_key)
    if both:
        yield CheckItem("truthers", f"{', '.join(both)} brought in the reference standard and would read", BLOCKING,
                        "Let somebody else read.")  # fmt: skip
    else:
        yield CheckItem("truthers", "The store cannot know who set the reference standard", WARNING,
                        "Say who did, and that none of them reads.")  # fmt: skip


def _about_model(facts: _Facts) -> Iterator[CheckItem]:
    """The model was chosen before anybody reads, and has predicted whatever will be read."""
    protocol = facts.protocol
    is_shown = Arm.AIDED in protocol.arms
    gravity = BLOCKING if is_shown else WARNING
    if protocol.model_sha256 is None:
        detail = "Readers of an aided arm are shown it." if is_shown else "Whatever a model scores is exploratory."
        yield CheckItem("model", "No model is declared", gravity, detail)
        return
    yield CheckItem("model", f"Model {protocol.model_sha256[:12]} is declared", OK)
    needed = [*facts.read_cohorts, *([protocol.training_cohort] if is_shown and protocol.training_cohort else [])]
    lacking = [name for name in needed if name not in facts.predicted and name in facts.cohorts]
    if lacking:
        yield CheckItem("predictions", f"The declared model has not predicted all of {', '.join(lacking)}", BLOCKING,
                        "Predict first: a prediction made after the opening is marked as late for good.")  # fmt: skip
    else:
        yield CheckItem("predictions", "The declared model has predicted every case", OK)


def _about_plan(facts: _Facts) -> Iterator[CheckItem]:
    """What will be analysed, and whether the study is large enough, is written down."""
    protocol, planned = facts.protocol, facts.protocol.planned
    for key, value, what in (
        ("endpoint", protocol.primary_endpoint.strip(), "A primary endpoint"),
        ("plan", protocol.analysis_plan.strip(), "An analysis plan"),
        ("margin", protocol.margin, "A margin"),
        ("power", planned.power_run, "A power run"),
    ):
        there = value not in (None, "")
        yield CheckItem(key, f"{what} is {'stored' if there else 'not stored'}", OK if there else WARNING)
    total = sum(facts.counts.values())
    if planned.n_cases is not None and total < planned.n_cases:
        yield CheckItem("size", f"{total} of {planned.n_cases} planned cases", WARNING)
