"""Hold the audit trail against the rows: what was touched, in words, and whether the guards do what they must."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core.study import Role, StudyState
from db.audit import chain_problem, event_of
from db.clock_moves import TimesOfTrail
from db.migrate import APPEND_ONLY
from db.records import AuditEvent, AuditHead
from db.seals import (
    NamedSeal,
    Seal,
    differences,
    digest_of,
    seal_of_batch,
    seal_of_model,
    seal_of_order,
    seal_of_part,
    seal_of_row,
    sealed_columns,
)
from db.tables import (
    AuditEventRow,
    Base,
    CaseRow,
    DeviationRow,
    InvitationRow,
    ModelVersionRow,
    PasswordSetRow,
    PersonRow,
    PredictionRow,
    PresentationEventRow,
    PresentationRow,
    ProtocolVersionRow,
    ReadingRow,
    RevealRow,
    SealLeavesRow,
    StudyMemberRow,
    StudyRoleRow,
    StudyRow,
)
from db.types import canonical_json
from db.ways_in import WaysIn, commitment, ways_of

#: Between a row and its event, which were stored together: a deed may have waited for its turn.
_ABOUT_THEN = timedelta(minutes=2)

#: One reading: login, place in the order, revision.
Place = tuple[str, int, int]


@dataclass
class StudyLedger:
    """What the trail says of one study."""

    is_synthetic: bool | None = None
    is_read_elsewhere: bool = False
    state: str = str(StudyState.DRAFT)
    opened_at: str | None = None  # for the first time; None: never, or by a version that did not say so
    deviations: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)  # login, kind -> reason, by whom
    reveals: set[tuple[str, int, str]] = field(default_factory=set)  # login, place, what
    protocols: dict[int, Any] = field(default_factory=dict)  # version -> JSON
    sealings: list[tuple[int, dict[str, Seal]]] = field(default_factory=list)  # event, seals by part
    roles: dict[tuple[str, str], bool] = field(default_factory=dict)  # login, role -> has it still
    is_older_than_roles: bool = False  # every coordinator of that time has it
    orders: dict[str, Seal] | None = None  # login -> seal; None before the study was opened
    readings: dict[Place, Seal] = field(default_factory=dict)
    events: dict[tuple[str, int, str], Seal] = field(default_factory=dict)  # login, place, id -> seal
    predictions: dict[int, tuple[str, Seal]] = field(default_factory=dict)  # event -> model, seal


@dataclass
class Ledger:
    """What the trail says, read from its first event to its last."""

    studies: dict[str, StudyLedger] = field(default_factory=lambda: defaultdict(StudyLedger))
    people: dict[str, tuple[str, bool, bool]] = field(default_factory=dict)  # login -> role, simulated, active
    passwords_set: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # login -> by whom, in turn
    invitations: dict[str, dict[str, Any]] = field(default_factory=dict)  # id -> what was said of it
    models: dict[str, AuditEvent] = field(default_factory=dict)  # SHA-256 -> event with which it was registered
    ways_in: WaysIn = field(default_factory=WaysIn)
    times: TimesOfTrail = field(default_factory=TimesOfTrail)
    older_coordinators: set[str] = field(default_factory=set)  # entered before studies had their own
    is_complete: bool = True  # False: an event could not be read, and what it said is not known

    def enter(self, event: AuditEvent) -> None:
        """Take in one event; those that say nothing of rows are passed over."""
        detail: dict[str, Any] = event.detail
        if event.action == "person.create":
            self.people[detail["login"]] = (detail["role"], detail["is_simulated"], True)
            if "is_by_other" not in detail and detail["role"] == Role.COORDINATOR:
                self.older_coordinators.add(detail["login"])
            if detail.get("is_by_other"):
                self.passwords_set[detail["login"]].append(event.actor)
        elif event.action == "person.active":
            role, is_simulated, _ = self.people.get(detail["login"], ("", False, True))
            self.people[detail["login"]] = (role, is_simulated, detail["is_active"])
        elif event.action in ("person.password", "person.email") and detail.get("is_by_other"):
            self.passwords_set[detail["login"]].append(event.actor)
        elif event.action == "model.register":
            self.models[detail["sha256"]] = event
        elif event.action == "invitation.create":
            kept = ("note", "role", "cohorts", "expires_at", "code")  # earlier versions said nothing of the code
            self.invitations[detail["invitation"]] = {
                **{name: detail[name] for name in kept if name in detail},
                "study": event.study_key, "is_revoked": False, "used_by": None,
            }  # fmt: skip
        elif event.action == "invitation.revoke":
            self.invitations[detail["invitation"]]["is_revoked"] = True
        elif event.action == "invitation.use":
            self.invitations[detail["invitation"]]["used_by"] = detail["login"]
        if event.study_key is None:
            return
        study = self.studies[event.study_key]
        if event.action == "study.create":
            study.is_synthetic, study.protocols = detail["is_synthetic"], {1: detail["protocol"]}
            study.is_older_than_roles = "coordinator" not in detail
            if detail.get("is_read_elsewhere"):
                study.is_read_elsewhere, study.state = True, str(StudyState.UNSEALED)
        elif event.action == "study.protocol":
            study.protocols[detail["version"]] = detail["protocol"]
        elif event.action == "study.state":
            study.state = detail["to"]
            study.opened_at = detail.get("opened_at", study.opened_at)
        elif event.action == "study.deviation":
            study.deviations[detail["login"], detail["kind"]] = (detail["reason"], event.actor)
        elif event.action == "case.reveal":
            study.reveals.add((event.actor, detail["position"], detail["what"]))
        elif event.action == "study.role":
            study.roles[detail["login"], detail["role"]] = not detail["is_ended"]
        elif event.action in ("study.reader", "study.reader-withdrawn") and study.orders is not None:
            if "order" in detail:
                study.orders[detail["login"]] = detail["order"]
        elif event.action == "study.reader-removed" and study.orders is not None:
            study.orders.pop(detail["login"], None)
        elif event.action == "reading.save":
            study.readings[detail["reader"], detail["position"], detail["revision"]] = detail["seal"]
        elif event.action == "case.events":
            study.events[event.actor, detail["position"], detail["id"]] = detail["seal"]
        elif event.action == "model.predict" and "seal" in detail:
            study.predictions[event.sequence] = (detail["model_sha256"], detail["seal"])
        if "sealed" in detail:
            study.sealings.append((event.sequence, detail["sealed"]))
        if "orders" in detail:
            study.orders = dict(detail["orders"])


def readable(checks: Iterator[str], what: str) -> Iterator[str]:
    """What was found, and as one more finding a value on which reading failed: this program never wrote it."""
    try:
        yield from checks
    except (ValueError, TypeError, KeyError, AttributeError) as failure:
        yield f"{what} hold a value that this program never writes ({type(failure).__name__})"


def read_trail(
    events: Iterable[AuditEvent],
    ledger: Ledger,
    *,
    is_signed: Callable[[str, str], bool] | None,
    known_heads: Iterable[AuditHead],
    vouched_until: int = 0,
) -> Iterator[str]:
    """Problems of the chain itself, while the ledger takes it in.

    Parameters
    ----------
    is_signed : callable, optional
        ``is_signed(hash, signature)``; without it signatures are not looked at.
    known_heads : iterable of AuditHead
        Ends that were seen before: the one kept in the data folder, and receipts.
    vouched_until : int
        Number of the last event that a receipt holds: what is not signed before it needs no signature.
    """
    wanted: dict[int, set[str]] = defaultdict(set)
    for head in known_heads:
        wanted[head.n_events].add(head.hash)
    last, n_unsigned, has_signatures, is_broken = 0, 0, False, False
    ledger.is_complete = False
    for event, problem in chain_problem(events):
        last = event.sequence
        if problem is not None and not is_broken:
            is_broken = True  # what follows a break does not fit either, and says nothing more
            yield problem
        if event.signature is not None or has_signatures:
            has_signatures = True
            if is_signed is not None and not is_signed(event.hash, event.signature or ""):
                yield f"event {event.sequence} is not signed with the key of this data folder"
            elif event.action != "store.restore":
                n_unsigned = 0  # a signature vouches for all that was before it
        else:
            n_unsigned = event.sequence
        if event.action == "store.restore" and is_signed is not None and n_unsigned > vouched_until:
            yield (
                f"event {event.sequence} restored a backup whose events, {n_unsigned} of them, are not signed: "
                "nothing shows that nobody wrote them anew (a receipt from then would)"
            )
        if any(event.hash != known for known in wanted.pop(event.sequence, ())):
            yield f"event {event.sequence} is not the one that was seen before: the trail was written anew"
        try:
            ledger.enter(event)
            ledger.times.enter(event)
            yield from ledger.ways_in.enter(event)
        except (KeyError, TypeError, ValueError, AttributeError):  # only an event that somebody wrote by hand
            yield f"event {event.sequence} does not say what an event '{event.action}' must say"
    ledger.is_complete = True
    for sequence in sorted(wanted):
        if sequence:
            yield (
                f"the trail ends at event {last}, but event {sequence} was seen before: its end was cut off, "
                "or an older copy of the store was put back"
            )


def check_people(db_session: Session, ledger: Ledger, logins: Collection[str] | None = None) -> Iterator[str]:
    """Whether everybody, or everybody of some, is who the trail says, and had the password from whom it says."""
    rows = db_session.execute(
        sa.select(PersonRow.login, PersonRow.role, PersonRow.is_simulated, PersonRow.is_active).add_columns(
            PersonRow.person_id, PersonRow.password_hash, PersonRow.email
        )
    ).all()
    found = {row.login: (row.role, row.is_simulated, row.is_active) for row in rows}
    ways = {row.login: ways_of(row.person_id, row.password_hash, row.email) for row in rows}
    passwords_set: dict[str, list[str]] = defaultdict(list)
    query = sa.select(PersonRow.login, PasswordSetRow.set_by).join(
        PasswordSetRow, PasswordSetRow.person_id == PersonRow.person_id
    )
    for login, set_by in db_session.execute(query):
        passwords_set[login].append(set_by)
    for login in sorted(found.keys() | ledger.people.keys()):
        if logins is not None and login not in logins:
            continue
        if sorted(passwords_set[login]) != sorted(ledger.passwords_set[login]):
            yield f"who gave '{login}' a password is not as the trail says"
        if login not in ledger.people:
            yield f"person '{login}' was not entered in the trail"
        elif login not in found:
            yield f"person '{login}' was removed"
        elif found[login] != ledger.people[login]:
            yield f"person '{login}' is not as the trail says (role, simulated, active)"
        if login in found:
            yield from ledger.ways_in.problems_of(login, ways[login])


def check_invitations(db_session: Session, ledger: Ledger) -> Iterator[str]:
    """Whether every link that makes an account is one that the trail knows, for what it says."""
    rows = db_session.execute(
        sa.select(InvitationRow, StudyRow.study_key, PersonRow.login)
        .outerjoin(StudyRow, StudyRow.study_id == InvitationRow.study_id)
        .outerjoin(PersonRow, PersonRow.person_id == InvitationRow.used_by)
    )
    found = {
        row.invitation_id: {
            "note": row.note, "role": row.role, "cohorts": row.cohorts, "expires_at": row.expires_at.isoformat(),
            "code": commitment("invitation", row.token_sha256), "study": study,
            "is_revoked": row.revoked_at is not None, "used_by": login or row.used_by,
        }
        for row, study, login in rows
    }  # fmt: skip
    for name in sorted(found.keys() | ledger.invitations.keys()):
        if name not in ledger.invitations:
            yield f"an invitation for '{found[name]['note']}' was not entered in the trail: it is forged"
        elif name not in found:
            yield f"the invitation for '{ledger.invitations[name]['note']}' was removed"
        elif found[name] != {"code": found[name]["code"], **ledger.invitations[name]}:
            yield f"the invitation for '{ledger.invitations[name]['note']}' is not as the trail says"


def check_study(db_session: Session, study: StudyRow) -> Iterator[str]:
    """Whether what the trail sealed of one study is what is there: what is asked before it is unsealed."""
    ledger = Ledger()
    events = sa.select(AuditEventRow).where(AuditEventRow.study_key == study.study_key).order_by(AuditEventRow.sequence)
    for row in db_session.scalars(events):
        ledger.enter(event_of(row))
    said = ledger.studies[study.study_key]
    for check in (
        _check_deviations, _check_reveals, _check_protocols, _check_sealings, _check_orders, _check_readings,
        _check_events, _check_predictions,
    ):  # fmt: skip
        yield from readable(check(db_session, study, said), f"the rows of study '{study.study_key}'")


def check_models(db_session: Session, ledger: Ledger) -> Iterator[str]:
    """Whether every model, declared or not, is the one that was registered, when the trail says."""
    for sha256, event in sorted(ledger.models.items()):
        row = db_session.get(ModelVersionRow, sha256)
        name = f"the model '{event.detail['name']}' ({sha256[:12]})"
        kept: Any = event.detail.get("seal")
        if row is None:
            yield f"{name} was removed"
        elif kept is not None:
            if seal_of_model(db_session, sha256, like=kept) != kept:
                yield f"{name} is not what was registered with event {event.sequence}"
        elif (row.name, row.architecture) != (event.detail["name"], event.detail["architecture"]):
            yield f"{name} is not what was registered with event {event.sequence}"
        elif abs(row.registered_at - event.at) > _ABOUT_THEN:  # of a version that sealed only declared ones
            yield f"{name} was not registered when its row says"


def check_studies(db_session: Session, ledger: Ledger, keys: Collection[str] | None = None) -> Iterator[str]:
    """Whether every study, or each of some, is as the trail says, row by row."""
    studies = {row.study_key: row for row in db_session.scalars(sa.select(StudyRow).order_by(StudyRow.study_key))}
    if keys is not None:
        studies = {key: row for key, row in studies.items() if key in keys}
    for key in sorted(set(ledger.studies) - set(studies)) if keys is None else ():
        if ledger.studies[key].is_synthetic is not None:
            yield f"study '{key}' was removed"
    for key, study in studies.items():
        said = ledger.studies[key]
        if said.is_synthetic is None:
            yield f"study '{key}' was not entered in the trail"
            continue
        if study.is_synthetic != said.is_synthetic:
            yield f"study '{key}' was marked as {'' if study.is_synthetic else 'not '}synthetic past the trail"
        if study.is_read_elsewhere != said.is_read_elsewhere:
            mark = "" if study.is_read_elsewhere else "not "
            yield f"study '{key}' was marked as {mark}read elsewhere past the trail"
        if study.state != said.state:
            yield f"study '{key}' is {study.state}, the trail says {said.state}"
        if said.opened_at is not None and (
            study.opened_at is None or study.opened_at.isoformat(timespec="microseconds") != said.opened_at
        ):
            yield f"study '{key}' was not opened when its row says"
        if study.opened_at is not None and (said.is_read_elsewhere or said.state == StudyState.DRAFT):
            yield f"study '{key}' was never opened, and its row says when"
        if said.is_older_than_roles:
            said.roles = {(login, str(Role.COORDINATOR)): True for login in ledger.older_coordinators} | said.roles
        for what, check in (
            ("roles", _check_roles),
            ("deviations", _check_deviations),
            ("reveals", _check_reveals),
            ("protocols", _check_protocols),
            ("sealed rows", _check_sealings),
            ("orders", _check_orders),
            ("readings", _check_readings),
            ("events of presentations", _check_events),
            ("predictions", _check_predictions),
        ):
            yield from readable(check(db_session, study, said), f"the {what} of study '{key}'")


def _check_roles(db_session: Session, study: StudyRow, said: StudyLedger) -> Iterator[str]:
    query = sa.select(PersonRow.login, StudyRoleRow.role, StudyRoleRow.ended_at).join(
        StudyRoleRow, StudyRoleRow.person_id == PersonRow.person_id
    )
    rows = db_session.execute(query.where(StudyRoleRow.study_id == study.study_id))
    found = {(login, role): ended_at is None for login, role, ended_at in rows}
    for login, role in sorted(found.keys() | said.roles.keys()):
        if found.get((login, role)) != said.roles.get((login, role)):
            yield f"'{login}' as {role} of study '{study.study_key}' is not as the trail says"


def _check_deviations(db_session: Session, study: StudyRow, said: StudyLedger) -> Iterator[str]:
    """Who was let in outside of the dates."""
    rows = db_session.execute(
        sa.select(PersonRow.login, DeviationRow.kind, DeviationRow.reason, DeviationRow.recorded_by)
        .join(PersonRow, PersonRow.person_id == DeviationRow.person_id)
        .where(DeviationRow.study_id == study.study_id)
    )
    found = {(login, kind): (reason, by) for login, kind, reason, by in rows}
    for login, kind in sorted(found.keys() | said.deviations.keys()):
        if (login, kind) not in said.deviations:
            what = "was not entered in the trail"
        elif (login, kind) not in found:
            what = "was removed"
        elif found[login, kind] != said.deviations[login, kind]:
            what = "was changed"
        else:
            continue
        yield f"the deviation '{kind}' of reader '{login}' in study '{study.study_key}' {what}"


def _check_reveals(db_session: Session, study: StudyRow, said: StudyLedger) -> Iterator[str]:
    """Who was shown the model's answer or a truth: from then on an answer is final."""
    rows = db_session.execute(
        sa.select(PersonRow.login, PresentationRow.position, RevealRow.what)
        .join(PresentationRow, PresentationRow.presentation_id == RevealRow.presentation_id)
        .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
        .where(PresentationRow.study_id == study.study_id)
    )
    found = {(login, position, what) for login, position, what in rows}
    for login, position, what in sorted(found ^ said.reveals):
        became = "was not entered in the trail" if (login, position, what) in found else "was removed"
        yield f"that '{login}' was shown the {what} at place {position} in study '{study.study_key}' {became}"


def _check_protocols(db_session: Session, study: StudyRow, said: StudyLedger) -> Iterator[str]:
    found: dict[int, Any] = dict(
        db_session.execute(
            sa.select(ProtocolVersionRow.version, ProtocolVersionRow.protocol).where(
                ProtocolVersionRow.study_id == study.study_id
            )
        ).all()
    )
    for version in sorted(found.keys() | said.protocols.keys()):
        if canonical_json(found.get(version)) != canonical_json(said.protocols.get(version)):
            yield f"version {version} of the protocol of study '{study.study_key}' is not the one in the trail"


def _check_sealings(db_session: Session, study: StudyRow, said: StudyLedger) -> Iterator[str]:
    """The parts that were sealed when the study was opened."""
    protocol = said.protocols.get(max(said.protocols, default=0)) or {}
    for sequence, parts in said.sealings:
        for part, sealed in parts.items():
            model = protocol.get("model_sha256")
            try:
                now = seal_of_part(db_session, study, part, before_event=sequence, model_sha256=model, like=sealed)
            except KeyError as lost:
                yield f"the schema has lost {lost} of the {part} of study '{study.study_key}'"
                continue
            if now.seal != sealed:
                yield (
                    f"the {part} of study '{study.study_key}' {'is' if part[-1] != 's' else 'are'} not what was sealed "
                    f"by event {sequence} ({_which(db_session, sealed, now)})"
                )


def _check_orders(db_session: Session, study: StudyRow, said: StudyLedger) -> Iterator[str]:
    """Who takes part, and every reader's order, from the opening on."""
    if said.orders is None:
        return
    members = dict(
        db_session.execute(
            sa.select(PersonRow.login, PersonRow.person_id)
            .join(StudyMemberRow, StudyMemberRow.person_id == PersonRow.person_id)
            .where(StudyMemberRow.study_id == study.study_id)
        ).all()
    )
    for login in sorted(members.keys() | said.orders.keys()):
        if login not in members:
            yield f"reader '{login}' was removed from study '{study.study_key}'"
        elif login not in said.orders:
            yield f"reader '{login}' was added to study '{study.study_key}' past the trail"
        elif seal_of_order(db_session, study, members[login], like=said.orders[login]) != said.orders[login]:
            yield f"the order of reader '{login}' in study '{study.study_key}' was changed"


def _check_readings(db_session: Session, study: StudyRow, said: StudyLedger) -> Iterator[str]:
    """Every reading against the event that was written with it."""
    left = dict(said.readings)
    query = (
        sa.select(ReadingRow, PersonRow.login, PresentationRow.position)
        .join(PresentationRow, PresentationRow.presentation_id == ReadingRow.presentation_id)
        .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
        .where(PresentationRow.study_id == study.study_id)
        .order_by(ReadingRow.sequence)
        .execution_options(yield_per=500)
    )
    of_study = f"in study '{study.study_key}'"
    with db_session.execute(query) as rows:
        for row, login, position in rows:
            what = f"the reading of '{login}' at place {position}, revision {row.revision}, {of_study}"
            sealed = left.pop((login, position, row.revision), None)
            if sealed is None:
                yield f"{what} was not entered in the trail: it is forged"
            elif seal_of_row(row, sealed_columns(sealed)) != sealed:
                yield f"{what} was changed"
    for login, position, revision in sorted(left):
        yield (
            f"the reading of '{login}' at place {position}, revision {revision}, in study '{study.study_key}' "
            "was removed"
        )


def _check_events(db_session: Session, study: StudyRow, said: StudyLedger) -> Iterator[str]:
    """What browsers saw of presentations that were left without an answer."""
    left = dict(said.events)
    query = (
        sa.select(PresentationEventRow, PresentationRow.position, PersonRow.login)
        .join(PresentationRow, PresentationRow.presentation_id == PresentationEventRow.presentation_id)
        .join(PersonRow, PersonRow.person_id == PresentationRow.person_id)
        .where(PresentationRow.study_id == study.study_id)
    )
    for row, position, login in db_session.execute(query.execution_options(yield_per=1000)):
        sealed = left.pop((login, position, row.presentation_event_id), None)
        what = f"what the browser of '{login}' saw at place {position} in study '{study.study_key}'"
        if sealed is None:
            yield f"{what} was not entered in the trail: it is forged"
        elif seal_of_row(row, sealed_columns(sealed)) != sealed:
            yield f"{what} was changed"
    for login, position, _ in sorted(left):
        yield f"what the browser of '{login}' saw at place {position} in study '{study.study_key}' was removed"


def _check_predictions(db_session: Session, study: StudyRow, said: StudyLedger) -> Iterator[str]:
    """Every batch of predictions against the event that was written with it."""
    of_study = (PredictionRow.case_id == CaseRow.case_id, CaseRow.study_id == study.study_id)
    known = db_session.scalars(sa.select(PredictionRow.event_sequence).where(*of_study).distinct()).all()
    is_sealed_otherwise = any("predictions" in parts for _, parts in said.sealings)
    for sequence in known:
        if sequence not in said.predictions and not (sequence is None and is_sealed_otherwise):
            yield f"predictions in study '{study.study_key}' were not entered in the trail: they are forged"
    for sequence, (model, sealed) in said.predictions.items():
        now = seal_of_batch(db_session, sequence, like=sealed)
        if now.seal != sealed:
            yield (
                f"the predictions of model {model[:12]} in study '{study.study_key}' are not those of event {sequence} "
                f"({_which(db_session, sealed, now)})"
            )


def _which(db_session: Session, sealed: Seal, now: NamedSeal) -> str:
    """The rows behind a broken seal, by name where their hashes were kept with it."""
    counts = f"{now.seal['n']} rows, sealed {sealed['n']}"
    kept = db_session.get(SealLeavesRow, sealed["sha256"])
    if kept is None or digest_of(kept.leaves.values()) != sealed["sha256"]:
        return counts
    return f"{counts}; {differences(kept.leaves, now.leaves)}"


def check_leaves(db_session: Session) -> Iterator[str]:
    """Whether the hashes that were kept with a seal are still those that it follows from."""
    for row in db_session.scalars(sa.select(SealLeavesRow).execution_options(yield_per=10)):
        if digest_of(row.leaves.values()) != row.sha256:
            yield f"the names of the rows behind the seal {row.sha256[:12]} were touched"


def check_guards(db_session: Session) -> Iterator[str]:
    """Try what the triggers must refuse, in savepoints that are rolled back; an empty table has nothing to guard.

    The transaction must be one that may write.
    """
    is_postgresql = db_session.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        # TRUNCATE waits for everybody who reads the table, and everybody who comes meanwhile waits behind it.
        db_session.execute(sa.text("SET LOCAL lock_timeout = '250ms'"))
    for table in (Base.metadata.tables[name] for name in APPEND_ONLY):
        key = next(iter(table.primary_key))
        first = db_session.execute(sa.select(key).limit(1)).first()
        if first is None:
            continue
        this = key == first[0]
        tries: dict[str, sa.Executable] = {
            "UPDATE": sa.update(table).where(this).values({key.name: key}),
            "DELETE": sa.delete(table).where(this),
        }
        if is_postgresql:
            tries["TRUNCATE"] = sa.text(f"TRUNCATE {table.name}")
        else:
            tries["REPLACE"] = (
                sa.insert(table)
                .from_select([column.name for column in table.c], sa.select(table).where(this))
                .prefix_with("OR REPLACE")
            )
        for deed, statement in tries.items():
            if not _is_refused(db_session, statement):
                yield f"the guard of table {table.name} against {deed} does nothing"


def _is_refused(db_session: Session, statement: sa.Executable) -> bool:
    """Whether the store refuses a statement as it refuses every change of an append-only table.

    On SQLite REPLACE is tried as a foreign program does it: without ``recursive_triggers`` no delete trigger helps.
    """
    is_sqlite = db_session.get_bind().dialect.name == "sqlite"
    savepoint = db_session.begin_nested()
    try:
        if is_sqlite:
            db_session.execute(sa.text("PRAGMA recursive_triggers=OFF"))
        db_session.execute(statement)
    except DBAPIError as refused:
        is_waiting = getattr(refused.orig, "sqlstate", None) == "55P03"  # a dump, say: the next check tries again
        if not is_waiting and "append-only" not in str(refused.orig):
            raise
        return True
    finally:
        savepoint.rollback()
        if is_sqlite:
            db_session.execute(sa.text("PRAGMA recursive_triggers=ON"))
    return False
