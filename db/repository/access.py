"""Who may: the actor and the sign-in behind every deed, and the transactions to read and to write in."""

from __future__ import annotations

import copy
import functools
import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from core.errors import AccessError, ConflictError, NotFoundError, SignedOutError
from core.protocol import Protocol
from core.study import Person, Role, Study, StudyState
from db.audit import Deed, append_events
from db.engine import LET_GO_LONG_MS, LET_GO_MS, let_go_after, reading, writing
from db.engine_failures import translated_failures
from db.image_store import Images
from db.notary import Notary
from db.password_hashing import PASSWORDS, Passwords
from db.protocols import protocol_from_json
from db.tables import (
    AuditEventRow,
    PersonRow,
    ProtocolVersionRow,
    SignInSessionRow,
    StudyMemberRow,
    StudyRoleRow,
    StudyRow,
)
from db.ways_in import sign_in_name

#: The person behind the command line: may do everything but read, in every study; is in no table, cannot sign in.
OPERATOR = Person(
    person_id="operator",
    login="operator",
    display_name="Command line",
    role=Role.ADMINISTRATOR,
    roles=frozenset({Role.COORDINATOR, Role.STATISTICIAN}),
)

#: A sign-in lasts this long unless said otherwise, hours.
SESSION_HOURS = 12.0


def holds(role: Role, person_id: Any, study_id: Any = None) -> sa.ColumnElement[bool]:
    """Condition: the person has this part in the study, or in any study."""
    if role is Role.READER:
        part = sa.exists().where(StudyMemberRow.person_id == person_id, StudyMemberRow.withdrawn_at.is_(None))
        return part if study_id is None else part.where(StudyMemberRow.study_id == study_id)
    part = sa.exists().where(
        StudyRoleRow.person_id == person_id, StudyRoleRow.role == str(role), StudyRoleRow.ended_at.is_(None)
    )
    return part if study_id is None else part.where(StudyRoleRow.study_id == study_id)


#: Roles that a person has in a study; that of an administrator is the account's.
STUDY_ROLES = (Role.READER, Role.COORDINATOR, Role.STATISTICIAN)

#: The active person behind a sign-in that is neither revoked nor expired, with a column for each of
#: :data:`STUDY_ROLES`; made once, for every transaction asks it.
LIVING_SIGN_IN = (
    sa.select(PersonRow, PersonRow.role, *(holds(role, PersonRow.person_id).label(str(role)) for role in STUDY_ROLES))
    .join(SignInSessionRow, SignInSessionRow.person_id == PersonRow.person_id)
    .where(
        SignInSessionRow.token_sha256 == sa.bindparam("token_sha256"),
        SignInSessionRow.revoked_at.is_(None),
        SignInSessionRow.expires_at > sa.bindparam("now"),
        PersonRow.is_active == sa.true(),
    )
)
_STANDING = LIVING_SIGN_IN.with_only_columns(
    PersonRow.role,
    PersonRow.must_change_password,
    *(holds(role, PersonRow.person_id).label(str(role)) for role in STUDY_ROLES),
).where(PersonRow.person_id == sa.bindparam("actor"))
_LOCKED_STANDING = _STANDING.with_for_update(read=True, of=SignInSessionRow)
#: PostgreSQL: the same, and how long the deed may be silent.
_SILENCE = sa.func.set_config("idle_in_transaction_session_timeout", sa.bindparam("let_go_ms"), sa.true())
_BOUND_STANDING = _LOCKED_STANDING.add_columns(_SILENCE)

_ROLE_REFUSED = "Your role may not do this."

_IS_WRITING = "is writing"  # of a transaction
_END = "end of the trail"  # where a transaction leaves it for after the commit

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")
S = TypeVar("S", bound="RepositoryBase")


def allowed(
    *roles: Role, before_change: bool = False, as_program: bool = False
) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """Mark who may call a method, and refuse everybody else before it begins; no role: anybody, signed in or not.

    A method of a study asks for one of these roles *in that study* (:meth:`RepositoryBase._study_row`), any other one
    for the role in any study or of the account (:meth:`RepositoryBase._check_sign_in`), both in the transaction of the
    deed. ``before_change``: also for a person who must first change a password that somebody else set.

    Whatever somebody calls who is a reader and nothing else runs on the readers' connection where there is one
    (:mod:`db.reader_role`), but for the few methods ``as_program``: the two reveals, and one's own password.
    """
    asked = frozenset(roles)

    def mark(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        @functools.wraps(method)
        def guarded(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            if asked and not self._me.roles & asked:
                raise AccessError(_ROLE_REFUSED)
            if self._begun_deed is not None and method.__name__ not in self._begun_deed.methods:
                raise AccessError("This is no part of the deed that was begun.")
            acting = copy.copy(self)  # what is asked belongs to this call: others may run beside it, or inside of it
            acting._asked, acting._may_be_before_change = asked, before_change
            is_for_readers = Role.READER in asked and (asked == {Role.READER} or self._me.roles <= {Role.READER})
            if is_for_readers and not as_program:
                acting.engine = self._reader_engine or self.engine
            else:
                acting.engine, acting._moment = self._engine, None
            return method(acting, *args, **kwargs)

        guarded.allowed_roles = asked  # type: ignore[attr-defined]  # read by the test of the role matrix
        guarded.is_as_program = as_program  # type: ignore[attr-defined]  # read by the test of the readers' role
        return guarded

    return mark


@dataclass(frozen=True)
class BegunDeed:
    """One long deed that was allowed, by a living sign-in, when it began: it may end after that sign-in."""

    study_key: str
    model_sha256: str
    sequence: int  # of the event of the trail with which it began
    methods: frozenset[str]  # all that it may call


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
    reader_engine : Engine, optional
        From :func:`db.reader_role.open_reader_engine`.
    images : Images
        Where the PNGs are that are not in their rows.
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
        reader_engine: Engine | None = None,
        images: Images = Images(),  # noqa: B008  # without state: every PNG is in its row
    ) -> None:
        self.engine = self._engine = engine
        self._reader_engine = reader_engine
        self.actor = actor
        self._token = token
        self._sign_in = sign_in_name(token_hash(token)) if token else None  # as the trail calls it
        self._notary = notary
        self._passwords = passwords
        self._clock = clock
        self._session_hours = session_hours
        self._images = images
        self._asked: frozenset[Role] = frozenset()
        self._may_be_before_change = False
        self._moment: Session | None = None
        self._begun_deed: BegunDeed | None = None

    @property
    def engines(self) -> tuple[Engine, ...]:
        """On which deeds run: the program's own, and on PostgreSQL that of readers where they have one."""
        return (self._engine,) if self._reader_engine is None else (self._engine, self._reader_engine)

    @contextmanager
    def one_moment(self) -> Iterator[Self]:
        """A repository whose questions of a reader are all asked in one transaction: for a screen that asks many.

        The sign-in is looked at once. What is written meanwhile is not seen; a write has its own transaction as always,
        and so has whatever is not for readers alone.
        """
        acting = copy.copy(self)
        acting.engine = self._reader_engine or self.engine
        with acting._reading() as db_session:
            acting._moment = db_session
            yield acting

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        """A transaction that sees one moment of the store and changes nothing."""
        if self._moment is not None:
            with translated_failures():
                self._check_sign_in(self._moment)
                yield self._moment
            return
        with translated_failures(), Session(reading(self.engine)) as db_session, db_session.begin():
            self._check_sign_in(db_session)
            yield db_session
            db_session.rollback()

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """A transaction that is durable when the block has ended, and never was if the block raises."""
        with translated_failures(), Session(writing(self.engine)) as db_session:
            db_session.info[_IS_WRITING] = True
            with db_session.begin():
                if self._has_no_sign_in and self.engine.dialect.name == "postgresql":
                    db_session.execute(sa.select(let_go_after(self._let_go_ms)))
                self._check_sign_in(db_session, lock=True)
                yield db_session
            if self._notary is not None and _END in db_session.info:
                self._notary.keep_head(db_session.info[_END], self._event_hash)

    def _event_hash(self, sequence: int) -> str | None:
        """Hash of one event of the trail."""
        with translated_failures(), Session(self.engine) as db_session:
            return db_session.scalar(sa.select(AuditEventRow.hash).where(AuditEventRow.sequence == sequence))

    def _check_sign_in(self, db_session: Session, *, lock: bool = False) -> None:
        """Refuse a deed behind which no sign-in lives at this moment, or one of a person without the role for it.

        Locked, a sign-out waits until the deed is stored: the deed was before it, or is not at all.
        """
        if self.actor is None or self._has_no_sign_in:
            if self._begun_deed is not None:
                self._check_begun(db_session)
            return
        found = {**living_sign_in(self._token or "", self._clock()), "actor": self.actor.person_id}
        query = _LOCKED_STANDING if lock else _STANDING
        if lock and self.engine.dialect.name == "postgresql":
            query, found["let_go_ms"] = _BOUND_STANDING, str(self._let_go_ms)
        standing = self._once(db_session, "standing", lambda: db_session.execute(query, found).first())
        if standing is None or standing.role != self.actor.role:
            raise SignedOutError("Your sign-in has ended. Nothing was done. Sign in again.")
        if standing.must_change_password and not self._may_be_before_change:
            raise AccessError("Your password was set by somebody else. Nothing was done. Choose a new password first.")
        if self._asked and not self._asked & roles_of(standing):
            raise AccessError(_ROLE_REFUSED)

    @property
    def _has_no_sign_in(self) -> bool:
        """Whether nobody asks who is signed in: before the sign-in, at the command line, and in a begun deed."""
        return self.actor is None or self.actor == OPERATOR or self._begun_deed is not None

    @property
    def _let_go_ms(self) -> int:
        """PostgreSQL: a process that hangs in the middle of this deed holds its locks for so long at most."""
        return LET_GO_MS if self._asked == {Role.READER} else LET_GO_LONG_MS

    def _check_begun(self, db_session: Session) -> None:
        """Refuse to go on with a begun deed for a person who is let in no more; the study asks for the part in it."""
        may_go_on = sa.select(PersonRow.is_active).where(PersonRow.person_id == self._me.person_id)
        if not db_session.scalar(may_go_on):
            raise SignedOutError(
                f"'{self._me.login}' is let in no more: what was begun ends here. What is stored stays."
            )

    def _once(self, db_session: Session, what: object, ask: Callable[[], V]) -> V:
        """The answer to a question that is asked once within :meth:`one_moment`, and every time outside of it."""
        if db_session is not self._moment:
            return ask()
        if what not in db_session.info:
            db_session.info[what] = ask()
        answer: V = db_session.info[what]
        return answer

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
        deeds = (*self._clock_moves(), *deeds)
        db_session.info[_END] = append_events(db_session, deeds, clock=self._clock, sign=sign)

    def _clock_moves(self) -> Iterator[Deed]:
        """That somebody set the server's clock, before the first deed after it."""
        if self._notary is not None and self._clock is utc_now and (moved := self._notary.clock_moved(utc_now())):
            yield Deed("nobody", "store.clock", None, {"seconds": round(moved, 1)})

    def _deed(self, action: str, study_key: str | None = None, **detail: Any) -> Deed:
        """A deed of the actor, with the name of the sign-in behind it."""
        if self._sign_in is not None and self._begun_deed is None:  # a begun one may end after its sign-in
            detail["session"] = self._sign_in
        return Deed(self.actor.login if self.actor is not None else "nobody", action, study_key, detail)

    def _study_row(
        self, db_session: Session, study_key: str, *, lock: bool = False, while_sealed: bool = False
    ) -> StudyRow:
        """The study, which exists only for those who have one of the roles that the method asks for, in this study.

        A statistician's study shows nothing but itself (``while_sealed``) before it is unsealed. In a writing
        transaction nobody moves the study or takes a part in it away until its end, and with ``lock`` nobody else
        writes in it.

        Raises
        ------
        NotFoundError
            If there is none, or none for this person.
        AccessError
            If it is sealed for this statistician.
        """
        if self._begun_deed is not None and study_key != self._begun_deed.study_key:
            raise AccessError("This is no part of the deed that was begun.")
        if db_session.info.get(_IS_WRITING) and db_session.get_bind().dialect.name == "postgresql":
            # Locked before it is asked who may: a part that is taken away while this waits is gone afterwards.
            this = sa.select(StudyRow.study_id).where(StudyRow.study_key == study_key)
            db_session.execute(this.with_for_update(read=not lock)).first()
        query = sa.select(StudyRow).where(StudyRow.study_key == study_key, self._is_mine())
        key = ("row", study_key, self._asked)
        row = self._once(db_session, key, lambda: db_session.scalars(query).first())
        if row is None:
            raise NotFoundError(f"There is no study '{study_key}'. Fix: use the key of one of yours.")
        if not while_sealed and row.state != StudyState.UNSEALED and self._is_only_statistician(db_session, row):
            raise AccessError(f"Study '{study_key}' is {row.state}: a statistician sees it after it was unsealed.")
        return row

    def _is_mine(self) -> sa.ColumnElement[bool]:
        """Condition on a study: the actor has one of the roles that were asked for in it; the operator in all."""
        if self._me == OPERATOR or (Role.ADMINISTRATOR in self._asked and self._me.role is Role.ADMINISTRATOR):
            return sa.true()
        asked = [role for role in STUDY_ROLES if role in self._asked]
        return sa.or_(sa.false(), *(holds(role, self._me.person_id, StudyRow.study_id) for role in asked))

    def _is_only_statistician(self, db_session: Session, row: StudyRow) -> bool:
        """Whether the actor is here as a statistician; no statement for a method that no statistician may call."""
        if Role.STATISTICIAN not in self._asked or self._me == OPERATOR:
            return False
        return bool(db_session.scalar(sa.select(holds(Role.STATISTICIAN, self._me.person_id, row.study_id))))

    def _study(self, db_session: Session, row: StudyRow) -> Study:
        """A study with the protocol version that counts."""
        return self._once(db_session, ("study", row.study_id), lambda: self._read_study(db_session, row))

    def _read_study(self, db_session: Session, row: StudyRow) -> Study:
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
            opened_at=row.opened_at,
            is_read_elsewhere=row.is_read_elsewhere,
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
        raise NotFoundError(
            f"There is no person with login '{folded_login(login)}'. Fix: 'python manage.py person list' shows all."
        )
    return row


def roles_of(standing: Any) -> frozenset[Role]:
    """That of the account and those in studies, from a row with ``role`` and a column for each study role."""
    of_studies = (role for role in STUDY_ROLES if getattr(standing, str(role)))
    return frozenset((Role(standing.role), *of_studies))


def person_of(row: PersonRow, roles: frozenset[Role] = frozenset()) -> Person:
    """A person without the password hash."""
    return Person(
        person_id=row.person_id,
        login=row.login,
        display_name=row.display_name,
        role=Role(row.role),
        is_simulated=row.is_simulated,
        years_of_experience=row.years_of_experience,
        is_active=row.is_active,
        specialty=row.specialty,
        site=row.site,
        has_used_model=row.has_used_model,
        email=row.email,
        must_change_password=row.must_change_password,
        reading_keys=row.reading_keys or {},
        roles=roles,
    )


def require_state(row: StudyRow, what: str, *states: StudyState) -> None:
    """Refuse a coordinator's deed that does not fit where the study stands.

    Raises
    ------
    ConflictError
        Naming the states in which it is possible.
    """
    if row.is_read_elsewhere:
        raise ConflictError(
            f"The readings of study '{row.study_key}' were made elsewhere: {what} is not possible in it, ever. "
            "Fix: make a study of its own."
        )
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
