"""People: who they are, how they sign in, and how they are let out again."""

from __future__ import annotations

import math
import re
import secrets
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.errors import AccessError, ConflictError, InputError, NotFoundError
from core.study import Person, Role
from db.passwords import check_new_password
from db.repository_base import OPERATOR, RepositoryBase, allowed, living_sign_in, new_id, person_of, token_hash
from db.tables import PersonRow, SignInAttemptRow, SignInSessionRow

#: Failed sign-ins of one login from one address before a delay begins.
FREE_ATTEMPTS = 5
#: Longest delay between two attempts, seconds; there is no lockout that somebody has to lift.
LONGEST_DELAY_S = 300

_FORGET_FAILURES_AFTER = timedelta(hours=1)
_KEEP_ATTEMPTS = timedelta(days=1)
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_RESERVED = {OPERATOR.login, "nobody"}
_NO_SIGN_IN = "a simulated reader has no password: nobody signs in as one"
_REFUSED = "Sign-in failed. Check the login and the password."


class PeopleRepository(RepositoryBase):
    """Sign-in for everybody, people for coordinators."""

    @allowed()
    def authenticate(self, login: str, password: str, ip: str) -> str:
        """Sign in.

        Parameters
        ----------
        login, password : str
            As typed; the login without regard to case.
        ip : str
            Address the request came from; attempts are counted per login and address.

        Returns
        -------
        str
            Token for the person's cookie. The store keeps only its SHA-256.

        Raises
        ------
        AccessError
            One text whether the login is unknown, the password wrong or the person inactive; another one, naming the
            seconds to wait, after too many attempts.
        """
        login, ip = _folded(login)[:200], ip[:100]
        with self._writing() as db_session:
            # The attempt is counted before the password is looked at: a hundred guesses at once are a hundred.
            self._count_attempt(db_session, login, ip)
            row = db_session.execute(
                sa.select(PersonRow.person_id, PersonRow.password_hash, PersonRow.is_active).where(
                    PersonRow.login == login
                )
            ).first()
        is_right = self._passwords.verify(row.password_hash if row else None, password)
        if row is None or not is_right or not row.is_active:
            raise AccessError(_REFUSED)
        token = secrets.token_urlsafe(32)
        newer_hash = self._passwords.hash(password) if self._passwords.needs_new_hash(row.password_hash) else None
        now = self._clock()
        with self._writing() as db_session:
            stored = db_session.get_one(PersonRow, row.person_id)
            if stored.password_hash != row.password_hash or not stored.is_active:
                raise AccessError(_REFUSED)  # changed while the hash was computed
            if newer_hash is not None:
                stored.password_hash = newer_hash
            db_session.execute(
                sa.delete(SignInAttemptRow).where(SignInAttemptRow.login == login, SignInAttemptRow.ip == ip)
            )
            db_session.execute(sa.delete(SignInSessionRow).where(SignInSessionRow.expires_at < now - timedelta(days=7)))
            db_session.add(
                SignInSessionRow(
                    token_sha256=token_hash(token),
                    person_id=row.person_id,
                    ip=ip,
                    created_at=now,
                    expires_at=now + timedelta(hours=self._session_hours),
                    revoked_at=None,
                )
            )
            self._audit(db_session, "sign-in", login=login, ip=ip)
        return token

    @allowed()
    def actor_for_token(self, token: str) -> Person | None:
        """Who a cookie belongs to; None if it is unknown, expired or revoked, or the person inactive."""
        with self._reading() as db_session:
            row = db_session.scalars(living_sign_in(token, self._clock())).first()
            return None if row is None else person_of(row)

    @allowed()
    def sign_out(self, token: str) -> None:
        """End a sign-in for good; silent if it was not valid."""
        with self._writing() as db_session:
            db_session.execute(
                sa.update(SignInSessionRow)
                .where(SignInSessionRow.token_sha256 == token_hash(token), SignInSessionRow.revoked_at.is_(None))
                .values(revoked_at=self._clock())
            )

    @allowed(Role.COORDINATOR, Role.READER)
    def change_my_password(self, old_password: str, new_password: str) -> None:
        """Change the actor's own password and end all of the actor's sign-ins.

        Raises
        ------
        AccessError
            If the old password is wrong.
        InputError
            If the new one is too weak.
        """
        check_new_password(new_password, self._me.login)
        with self._reading() as db_session:
            old_hash = db_session.scalar(
                sa.select(PersonRow.password_hash).where(PersonRow.person_id == self._me.person_id)
            )
        if not self._passwords.verify(old_hash, old_password):
            raise AccessError("The old password is wrong.")
        self._store_password(self._me.login, new_password)

    @allowed(Role.COORDINATOR)
    def create_person(
        self,
        login: str,
        display_name: str,
        role: Role,
        *,
        password: str | None = None,
        is_simulated: bool = False,
        years_of_experience: float | None = None,
    ) -> Person:
        """Enter a person; without a password he or she cannot sign in.

        Raises
        ------
        InputError
            If the login, the name or the password will not do.
        ConflictError
            If the login is taken.
        """
        login = _folded(login)
        if _LOGIN.fullmatch(login) is None or login in _RESERVED:
            raise InputError(
                "not a login",
                field="login",
                value=login,
                fix="use 1 to 64 letters a-z, digits and . _ @ + -, beginning with a letter or digit",
            )
        if not display_name.strip():
            raise InputError("a person needs a name", field="display_name", value=display_name)
        if years_of_experience is not None and not 0 <= years_of_experience <= 80:
            raise InputError(
                "years of experience lie between 0 and 80", field="years_of_experience", value=years_of_experience
            )
        password_hash = None
        if password is not None:
            if is_simulated:
                raise InputError(_NO_SIGN_IN, field="password")
            check_new_password(password, login)
            password_hash = self._passwords.hash(password)
        with self._writing() as db_session:
            if db_session.scalar(sa.select(PersonRow.login).where(PersonRow.login == login)) is not None:
                raise ConflictError(f"There is a person with login '{login}' already.")
            row = PersonRow(
                person_id=new_id(),
                login=login,
                display_name=display_name.strip(),
                role=str(role),
                password_hash=password_hash,
                is_simulated=is_simulated,
                years_of_experience=years_of_experience,
                is_active=True,
                created_at=self._clock(),
            )
            db_session.add(row)
            self._audit(db_session, "person.create", login=login, role=str(role), is_simulated=is_simulated)
            return person_of(row)

    @allowed(Role.COORDINATOR)
    def set_password(self, login: str, password: str) -> None:
        """Give a person a new password and end all of that person's sign-ins.

        Raises
        ------
        NotFoundError, InputError
            No such person; too weak, or for a simulated reader.
        """
        check_new_password(password, _folded(login))
        self._store_password(_folded(login), password)

    @allowed(Role.COORDINATOR)
    def set_active(self, login: str, is_active: bool) -> None:
        """Let a person in again, or out: an inactive person's sign-ins end at once.

        Raises
        ------
        NotFoundError
            If there is no such person.
        ConflictError
            If coordinators would shut themselves out.
        """
        with self._writing() as db_session:
            row = _person_row(db_session, login)
            if row.person_id == self._me.person_id and not is_active:
                raise ConflictError("You cannot deactivate yourself; ask another coordinator.")
            row.is_active = is_active
            if not is_active:
                self._end_sign_ins(db_session, row.person_id)
            self._audit(db_session, "person.active", login=row.login, is_active=is_active)

    @allowed(Role.COORDINATOR)
    def people(self) -> list[Person]:
        """Everybody, by login."""
        with self._reading() as db_session:
            return [person_of(row) for row in db_session.scalars(sa.select(PersonRow).order_by(PersonRow.login))]

    @allowed(Role.COORDINATOR)
    def person(self, login: str) -> Person:
        """One person.

        Raises
        ------
        NotFoundError
            If there is no such person.
        """
        with self._reading() as db_session:
            return person_of(_person_row(db_session, login))

    def _count_attempt(self, db_session: Session, login: str, ip: str) -> None:
        """Count an attempt, or refuse it because the last one was too short ago."""
        now = self._clock()
        make = postgresql.insert if db_session.get_bind().dialect.name == "postgresql" else sqlite.insert
        # The row is made before it is locked: two first attempts at once would otherwise both count as the first.
        db_session.execute(
            make(SignInAttemptRow)
            .values(login=login, ip=ip, failures=0, last_attempt_at=now, next_allowed_at=now)
            .on_conflict_do_nothing()
        )
        attempt = db_session.scalars(
            sa.select(SignInAttemptRow)
            .where(SignInAttemptRow.login == login, SignInAttemptRow.ip == ip)
            .with_for_update()
        ).one()
        if now - attempt.last_attempt_at >= _FORGET_FAILURES_AFTER:
            attempt.failures = 0
        elif attempt.next_allowed_at > now:
            seconds = math.ceil((attempt.next_allowed_at - now).total_seconds())
            raise AccessError(f"Too many attempts. Wait {seconds} seconds, then try again.")
        attempt.failures += 1
        attempt.last_attempt_at = now
        attempt.next_allowed_at = now + timedelta(seconds=_delay_s(attempt.failures))
        db_session.execute(sa.delete(SignInAttemptRow).where(SignInAttemptRow.last_attempt_at < now - _KEEP_ATTEMPTS))

    def _store_password(self, login: str, password: str) -> None:
        """Store a hash and end the person's sign-ins."""
        password_hash = self._passwords.hash(password)
        with self._writing() as db_session:
            row = _person_row(db_session, login)
            if row.is_simulated:
                raise InputError(_NO_SIGN_IN, field="password")
            row.password_hash = password_hash
            self._end_sign_ins(db_session, row.person_id)
            self._audit(db_session, "person.password", login=row.login)

    def _end_sign_ins(self, db_session: Session, person_id: str) -> None:
        """Revoke every sign-in of a person."""
        db_session.execute(
            sa.update(SignInSessionRow)
            .where(SignInSessionRow.person_id == person_id, SignInSessionRow.revoked_at.is_(None))
            .values(revoked_at=self._clock())
        )


def _delay_s(failures: int) -> float:
    """Seconds to wait after so many failures: 0, then 1, 2, 4 ... up to the longest."""
    if failures < FREE_ATTEMPTS:
        return 0.0
    return float(min(2 ** min(failures - FREE_ATTEMPTS, 16), LONGEST_DELAY_S))


def _folded(login: str) -> str:
    """Logins are compared without case and outer blanks."""
    return login.strip().casefold()


def _person_row(db_session: Session, login: str) -> PersonRow:
    """The row of a person."""
    row = db_session.scalars(sa.select(PersonRow).where(PersonRow.login == _folded(login))).first()
    if row is None:
        raise NotFoundError(f"There is no person with login '{_folded(login)}'.")
    return row
