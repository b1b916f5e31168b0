"""Sign-in: the attempts that are counted, the wait after too many of them, and the token that a cookie carries."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.errors import AccessError
from core.study import Person
from db.audit import Deed
from db.repository.access import (
    LIVING_SIGN_IN,
    RepositoryBase,
    allowed,
    folded_login,
    living_sign_in,
    person_of,
    roles_of,
    token_hash,
)
from db.tables import PersonRow, SignInAttemptRow, SignInSessionRow
from db.types import storable
from db.ways_in import commitment, sign_in_name, ways_of


@dataclass(frozen=True)
class Limit:
    """How many failed sign-ins are free, and how long the wait grows after them."""

    free: int
    longest_delay_s: int  # there is no lockout that somebody has to lift

    def delay_s(self, failures: int) -> float:
        """Seconds to wait after so many failures: 0, then 1, 2, 4 ... up to the longest."""
        if failures < self.free:
            return 0.0
        return float(min(2 ** min(failures - self.free, 16), self.longest_delay_s))


#: One login from one address.
OF_LOGIN_AND_ADDRESS = Limit(5, 300)
#: One address with any login, one login from any address. Neither holds for a person who signed in from this address
#: in the last days: guessing at a login, or from behind the same router, locks nobody out of the desk he or she uses.
OF_ADDRESS = OF_LOGIN = Limit(40, 60)

_ANY = "*"  # in place of the login or the address
OWN_FORM = "own password"  # in place of the address: guesses at the present password where it is changed
_FORGET_FAILURES_AFTER = timedelta(hours=1)
_KEEP_ATTEMPTS = timedelta(days=1)
_REFUSED = "Sign-in failed. Check the login and the password."


def subscriber_of(ip: str) -> str:
    """The address by which attempts are counted: of IPv6 the first half, for one subscriber has all of the second."""
    try:
        found = ip_address(ip)
    except ValueError:
        return ip
    if not isinstance(found, IPv6Address):
        return ip
    return str(found.ipv4_mapped or IPv6Network((int(found) >> 64 << 64, 64)))


class SignInRepository(RepositoryBase):
    """In and out again, for everybody."""

    @allowed()
    def authenticate(self, login: str, password: str, ip: str) -> str:
        """Sign in.

        Parameters
        ----------
        login, password : str
            As typed; the login without regard to case.
        ip : str
            Address the request came from; attempts are counted per login, per address, and for both together.

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
        login, ip = storable(folded_login(login))[:200], storable(ip)[:100]
        place = subscriber_of(ip)
        with self._reading() as db_session:
            self._refuse_early(db_session, login, place)
        with self._writing() as db_session:
            # The attempt is counted before the password is looked at: a hundred guesses at once are a hundred.
            counted = self._count_attempts(db_session, login, place)
            row = db_session.execute(
                sa.select(PersonRow.person_id, PersonRow.password_hash, PersonRow.is_active).where(
                    PersonRow.login == login
                )
            ).first()
        is_right = self._passwords.verify(row.password_hash if row else None, password)
        if row is None or not is_right or not row.is_active:
            with self._writing() as db_session:
                # What is typed as an unknown login may be a password: it stands nowhere.
                self._audit(db_session, "sign-in.failed", login=login if row else None, ip=ip)
            raise AccessError(_REFUSED)
        newer_hash = self._passwords.hash(password) if self._passwords.needs_new_hash(row.password_hash) else None
        with self._writing() as db_session:
            stored = db_session.get_one(PersonRow, row.person_id)
            if stored.password_hash != row.password_hash or not stored.is_active:
                raise AccessError(_REFUSED)  # changed while the hash was computed
            if newer_hash is not None:
                before, now = (commitment("password", each) for each in (row.password_hash, newer_hash))
                stored.password_hash = newer_hash
                rehash = {"login": stored.login, "before": before, "password": now}
                self._audit_all(db_session, [Deed(stored.login, "person.rehash", None, rehash)])
            self._forgive(db_session, counted)
            return self._begin(db_session, stored, ip, way="password")

    @allowed()
    def sign_in_by_provider(self, issuer: str, email: str, ip: str) -> str:
        """Sign in the person whom an identity provider has just vouched for.

        The caller has checked that: nothing here looks at a password.

        Parameters
        ----------
        issuer : str
            The provider; stands in the trail.
        email : str
            An address that the provider calls verified.
        ip : str
            As in :meth:`authenticate`.

        Raises
        ------
        AccessError
            If nobody has this address, or the person is inactive; nobody is made an account.
        """
        is_plain = email.isascii()  # else another letter could fold into one of somebody's address
        email, ip = storable(email.strip().casefold())[:200], storable(ip)[:100]
        with self._writing() as db_session:
            row = db_session.scalars(
                sa.select(PersonRow).where(PersonRow.email == email, PersonRow.is_active == sa.true())
            ).first()
            if row is not None and is_plain:
                return self._begin(db_session, row, ip, way="email", issuer=issuer)
            self._audit(db_session, "sign-in.failed", login=None, ip=ip, issuer=issuer)
        raise AccessError("Nobody here has this address. Ask the coordinator of your study to enter it.")

    @allowed()
    def has_accounts(self) -> bool:
        """Whether anybody can sign in at all; a new installation has nobody."""
        with self._reading() as db_session:
            return db_session.scalar(sa.select(sa.exists().where(PersonRow.password_hash.is_not(None)))) is True

    @allowed()
    def actor_for_token(self, token: str) -> Person | None:
        """Who a cookie belongs to; None if it is unknown, expired or revoked, or the person inactive."""
        with self._reading() as db_session:
            found = db_session.execute(LIVING_SIGN_IN, living_sign_in(token, self._clock())).first()
            return None if found is None else person_of(found.PersonRow, roles_of(found))

    @allowed()
    def sign_out(self, token: str) -> None:
        """End a sign-in for good; silent if it was not valid."""
        with self._writing() as db_session:
            ended = db_session.scalars(
                sa.update(SignInSessionRow)
                .where(SignInSessionRow.token_sha256 == token_hash(token), SignInSessionRow.revoked_at.is_(None))
                .values(revoked_at=self._clock())
                .returning(SignInSessionRow.person_id)
            ).first()
            if ended is not None:
                login = db_session.get_one(PersonRow, ended).login
                name = sign_in_name(token_hash(token))
                self._audit_all(db_session, [Deed(login, "sign-out", None, {"session": name})])

    def _begin(self, db_session: Session, person: PersonRow, ip: str, *, way: str, **detail: str) -> str:
        """Store a new sign-in, by the password or the address; give its token."""
        token, now = secrets.token_urlsafe(32), self._clock()
        until = now + timedelta(hours=self._session_hours)
        db_session.execute(sa.delete(SignInSessionRow).where(SignInSessionRow.expires_at < now - timedelta(days=7)))
        db_session.add(
            SignInSessionRow(
                token_sha256=token_hash(token),
                person_id=person.person_id,
                ip=ip,
                created_at=now,
                expires_at=until,
                revoked_at=None,
            )
        )
        said = {
            "ip": ip, "session": sign_in_name(token_hash(token)), "until": until.isoformat(),
            way: ways_of(person.person_id, person.password_hash, person.email)[way], **detail,
        }  # fmt: skip
        self._audit_all(db_session, [Deed(person.login, "sign-in", None, said)])
        return token

    def _refuse_early(self, db_session: Session, login: str, ip: str) -> None:
        """Refuse who has to wait, without taking the store from those who write: a flood of guesses ends here.

        What is decided here is decided again when the attempt is counted.
        """
        keys = ((login, ip), (_ANY, ip), (login, _ANY))
        query = sa.select(SignInAttemptRow).where(
            sa.tuple_(SignInAttemptRow.login, SignInAttemptRow.ip).in_(keys),
            SignInAttemptRow.next_allowed_at > self._clock(),
        )
        waiting = {(row.login, row.ip): row for row in db_session.scalars(query)}
        if waiting:
            for key in self._limits(db_session, login, ip):
                if key in waiting:
                    self._refuse_too_soon(waiting[key])

    def _refuse_too_soon(self, attempt: SignInAttemptRow) -> None:
        """Refuse an attempt that came too soon after the last one."""
        now = self._clock()
        if attempt.next_allowed_at > now and now - attempt.last_attempt_at < _FORGET_FAILURES_AFTER:
            seconds = math.ceil((attempt.next_allowed_at - now).total_seconds())
            raise AccessError(f"Too many attempts. Wait {seconds} seconds, then try again.")

    def _limits(self, db_session: Session, login: str, ip: str) -> dict[tuple[str, str], Limit]:
        """What holds for an attempt."""
        limits = {(login, ip): OF_LOGIN_AND_ADDRESS}
        signed_in_from = sa.select(SignInSessionRow.ip).join(
            PersonRow, PersonRow.person_id == SignInSessionRow.person_id
        )
        known = db_session.scalars(signed_in_from.where(PersonRow.login == login).distinct())
        if ip not in map(subscriber_of, known):
            limits |= {(_ANY, ip): OF_ADDRESS, (login, _ANY): OF_LOGIN}
        return limits

    def _count_attempts(self, db_session: Session, login: str, ip: str) -> list[tuple[str, str]]:
        """Count an attempt under every limit that holds for it; give the keys that were counted."""
        limits = self._limits(db_session, login, ip)
        for key, limit in limits.items():
            self._count_attempt(db_session, *key, limit)
        db_session.execute(
            sa.delete(SignInAttemptRow).where(SignInAttemptRow.last_attempt_at < self._clock() - _KEEP_ATTEMPTS)
        )
        return list(limits)

    def _count_attempt(self, db_session: Session, login: str, ip: str, limit: Limit) -> None:
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
        else:
            self._refuse_too_soon(attempt)
        attempt.failures += 1
        attempt.last_attempt_at = now
        attempt.next_allowed_at = now + timedelta(seconds=limit.delay_s(attempt.failures))

    def _forgive(self, db_session: Session, counted: list[tuple[str, str]]) -> None:
        """The password was right: failures of this login and address are forgotten, elsewhere this attempt was none."""
        for login, ip in counted:
            attempt = db_session.get(SignInAttemptRow, (login, ip), with_for_update=True)
            if attempt is None:
                continue
            if _ANY in (login, ip):
                attempt.failures = max(0, attempt.failures - 1)
            else:
                db_session.delete(attempt)
