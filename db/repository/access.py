"""Who may: the actor and the sign-in behind every deed, and the transactions to read and to write in."""

from __future__ import annotations

import functools
import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from core.errors import AccessError, ConflictError, NotFoundError, SignedOutError
from core.protocol import Protocol
from core.study import Person, Role, Study, StudyState
from db.audit import Deed, append_events
from db.engine import reading, writing
from db.engine_failures import translated_failures
from db.notary import Notary
from db.password_hashing import PASSWORDS, Passwords
from db.protocols import protocol_from_json
from db.tables import AuditEventRow, PersonRow, ProtocolVersionRow, SignInSessionRow, StudyMemberRow, StudyRow

#: The person behind the command line: may do what a coordinator may, is in no table, cannot sign in.
OPERATOR = Person(
    person_id="operator", login="operator", display_name="Command line", role=Role.COORDINATOR, is_simulated=False
)

#: A sign-in lasts this long unless said otherwise, hours.
SESSION_HOURS = 12.0

#: The active person behind a sign-in that is neither revoked nor expired; made once, for every transaction asks it.
LIVING_SIGN_IN = (
    sa.select(PersonRow)
    .join(SignInSessionRow, SignInSessionRow.person_id == PersonRow.person_id)
    .where(
        SignInSessionRow.token_sha256 == sa.bindparam("token_sha256"),
        SignInSessionRow.revoked_at.is_(None),
        SignInSessionRow.expires_at > sa.bindparam("now"),
        PersonRow.is_active == sa.true(),
    )
)
_ROLE = LIVING_SIGN_IN.with_only_columns(PersonRow.role).where(PersonRow.person_id == sa.bindparam("actor"))
_LOCKED_ROLE = _ROLE.with_for_update(read=True, of=SignInSessionRow)

_END = "end of the trail"  # where a transaction leaves it for after the commit

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound="RepositoryBase")


def allowed(*roles: Role) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """Mark who may call a method and refuse everybody else before it begins; no role: anybody, signed in or not."""

    def mark(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        @functools.wraps(method)
        def guarded(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if roles and self._me.role not in roles:
                raise AccessError("Your role may not do this.")
            return method(self, *args, **kwargs)

        guarded.allowed_roles = frozenset(roles)  # type: ignore[attr-defined]  # read by the test of the role matrix
        return guarded

    return mark


def utc_now() -> datetime:
    """The present instant, aware."""
    return datetime.now(UTC)


def new_id() -> str:
    """A random name that tells nothing."""
    return str(uuid.uuid4())


class RepositoryBase:
    """Actor, engine and transactions.

    Parameters
    ----------
    engine : Engine
        From :func:`db.store.open_store`; shared within the process.
    actor : Person or None
        Who asks; None before sign-in.
    token : str, optional
        The actor's sign-in, looked at again in every transaction; only :data:`OPERATOR` needs none.
    notary : Notary, optional
        Signs the audit trail and keeps its end outside of the store; both doors have one.
    passwords : Passwords
        The gate to argon2.
    clock : callable
        Gives the present instant, aware.
    session_hours : float
        How long a sign-in lasts, hours.
    """

    def __init__(
        self,
        engine: Engine,
        actor: Person | None,
        *,
        token: str | None = None,
        notary: Notary | None = None,
        passwords: Passwords = PASSWORDS,
        clock: Callable[[], datetime] = utc_now,
        session_hours: float = SESSION_HOURS,
    ) -> None:
        self.engine = engine
        self.actor = actor
        self._token = token
        self._notary = notary
        self._passwords = passwords
        self._clock = clock
        self._session_hours = session_hours

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        """A transaction that sees one moment of the store and changes nothing."""
        with translated_failures(), Session(reading(self.engine)) as db_session, db_session.begin():
            self._check_sign_in(db_session)
            yield db_session
            db_session.rollback()

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """A transaction that is durable when the block has ended, and never was if the block raises."""
        with translated_failures(), Session(writing(self.engine)) as db_session:
            with db_session.begin():
                self._check_sign_in(db_session, lock=True)
                yield db_session
            if self._notary is not None and _END in db_session.info:
                self._notary.keep_head(db_session.info[_END], self._event_hash)

    def _event_hash(self, sequence: int) -> str | None:
        """Hash of one event of the trail."""
        with translated_failures(), Session(self.engine) as db_session:
            return db_session.scalar(sa.select(AuditEventRow.hash).where(AuditEventRow.sequence == sequence))

    def _check_sign_in(self, db_session: Session, *, lock: bool = False) -> None:
        """Refuse a deed behind which no sign-in lives at this moment.

        Locked, a sign-out waits until the deed is stored: the deed was before it, or is not at all.
        """
        if self.actor is None or self.actor == OPERATOR:
            return
        found = {**living_sign_in(self._token or "", self._clock()), "actor": self.actor.person_id}
        if db_session.scalar(_LOCKED_ROLE if lock else _ROLE, found) != self.actor.role:
            raise SignedOutError("Your sign-in has ended. Nothing was done. Sign in again.")

    @property
    def _me(self) -> Person:
        """The actor of a method that is not for anybody."""
        if self.actor is None:
            raise SignedOutError("Sign in first.")
        return self.actor

    def _audit(self, db_session: Session, action: str, study_key: str | None = None, **detail: Any) -> None:
        """Write an audit event in the same transaction."""
        self._audit_all(db_session, [self._deed(action, study_key, **detail)])

    def _audit_all(self, db_session: Session, deeds: Sequence[Deed]) -> None:
        """Write several audit events in the same transaction, in this order."""
        sign = None if self._notary is None else self._notary.sign
        db_session.flush()
        db_session.info[_END] = append_events(db_session, deeds, at=self._clock(), sign=sign)

    def _deed(self, action: str, study_key: str | None = None, **detail: Any) -> Deed:
        """A deed of the actor."""
        return Deed(self.actor.login if self.actor is not None else "nobody", action, study_key, detail)

    def _study_row(self, db_session: Session, study_key: str, *, lock: bool = False) -> StudyRow:
        """The study, which for a reader exists only if he or she takes part."""
        query = sa.select(StudyRow).where(StudyRow.study_key == study_key)
        if self._me.role is Role.READER:
            query = query.join(StudyMemberRow, StudyMemberRow.study_id == StudyRow.study_id).where(
                StudyMemberRow.person_id == self._me.person_id
            )
        if lock:
            query = query.with_for_update(of=StudyRow)
        row = db_session.scalars(query).first()
        if row is None:
            raise NotFoundError(f"There is no study '{study_key}'.")
        return row

    def _study(self, db_session: Session, row: StudyRow) -> Study:
        """A study with the protocol version that counts."""
        version = db_session.scalars(
            sa.select(ProtocolVersionRow)
            .where(ProtocolVersionRow.study_id == row.study_id)
            .order_by(ProtocolVersionRow.version.desc())
            .limit(1)
        ).one()
        return Study(
            key=row.study_key,
            protocol=protocol_from_json(version.protocol),
            protocol_version=version.version,
            state=StudyState(row.state),
            is_synthetic=row.is_synthetic,
            created_at=row.created_at,
        )

    def _protocol(self, db_session: Session, row: StudyRow) -> Protocol:
        """The protocol version that counts."""
        return self._study(db_session, row).protocol


def token_hash(token: str) -> str:
    """What is stored of a token. It is random and long, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def living_sign_in(token: str, now: datetime) -> dict[str, object]:
    """Parameters of :data:`LIVING_SIGN_IN`."""
    return {"token_sha256": token_hash(token), "now": now}


def folded_login(login: str) -> str:
    """Logins are compared without case and outer blanks."""
    return login.strip().casefold()


def person_row(db_session: Session, login: str) -> PersonRow:
    """The row of a person.

    Raises
    ------
    NotFoundError
        If there is no such person.
    """
    row = db_session.scalars(sa.select(PersonRow).where(PersonRow.login == folded_login(login))).first()
    if row is None:
        raise NotFoundError(f"There is no person with login '{folded_login(login)}'.")
    return row


def person_of(row: PersonRow) -> Person:
    """A person without the password hash."""
    return Person(
        person_id=row.person_id,
        login=row.login,
        display_name=row.display_name,
        role=Role(row.role),
        is_simulated=row.is_simulated,
        years_of_experience=row.years_of_experience,
        is_active=row.is_active,
    )


def require_state(row: StudyRow, what: str, *states: StudyState) -> None:
    """Refuse a coordinator's deed that does not fit where the study stands.

    Raises
    ------
    ConflictError
        Naming the states in which it is possible.
    """
    if row.state not in states:
        names = " or ".join(str(state) for state in states)
        raise ConflictError(f"Study '{row.study_key}' is {row.state}; {what} is possible only while it is {names}.")


def require_synthetic(row: StudyRow) -> None:
    """Refuse a simulated reader in a study that was not made for simulated readers.

    Raises
    ------
    AccessError
        Its answers would stand among those of humans for good.
    """
    if not row.is_synthetic:
        raise AccessError(
            f"Study '{row.study_key}' is not synthetic: no simulated reader takes part in it, nothing was written. "
            "Fix: make a study for the simulation with `python manage.py study create KEY --synthetic`."
        )
