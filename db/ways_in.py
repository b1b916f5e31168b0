"""Who could act as whom: what the trail says of passwords, addresses and sign-ins, and whether deeds follow from it.

A password that was exchanged in the database for a moment, or a sign-in that was slipped in and removed, leaves no row
behind. So the trail says which password hash, address and invitation stood when, and under which sign-in each deed was
done: as commitments, which tell none of them.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from db.records import AuditEvent

#: Longest that a sign-in lives, whatever the settings say (``session_hours``).
LONGEST_SIGN_IN = timedelta(hours=168)

_GRACE = timedelta(hours=1)  # a long deed, such as an import, that was let in at the last moment is entered later
_WAYS = ("password", "email")
_CALLED = {"password": "a password", "email": "an address"}


def commitment(kind: str, *parts: str | None) -> str | None:
    """32 hexadecimal digits that stand for a secret; None where there is none.

    A password hash is salted, a token random, and the address of a person goes with the random id of that person.
    """
    if None in parts:
        return None
    return hashlib.sha256("\n".join((kind, *map(str, parts))).encode()).hexdigest()[:32]


def ways_of(person_id: str, password_hash: str | None, email: str | None) -> dict[str, str | None]:
    """What lets a person in, as the trail names it."""
    return {"password": commitment("password", password_hash), "email": commitment("email", person_id, email)}


def sign_in_name(token_sha256: str) -> str | None:
    """How the trail calls one sign-in."""
    return commitment("sign-in", token_sha256)


class WaysIn:
    """What the trail says of them, event by event; events of versions that did not say it are passed over."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], str | None] = {}  # login, way -> commitment, where one was ever told
        self._living: dict[str, tuple[str, datetime]] = {}  # sign-in -> login, until when
        self._seen: set[str] = set()
        self._nameless: dict[str, datetime] = {}  # login -> last sign-in of a version that gave it no name
        self._of: dict[str, set[str]] = defaultdict(set)  # login -> living sign-ins
        self._codes: dict[str, str] = {}  # invitation -> commitment

    def enter(self, event: AuditEvent) -> Iterator[str]:
        """Take in one event; what is wrong with it."""
        said: dict[str, Any] = event.detail
        if event.action == "sign-in":
            yield from self._begin(event)
            return
        if event.action.startswith("invitation."):
            yield from self._wrong_code(event)
        name = said.get("session")
        if name is not None and event.action != "sign-out":  # one that has expired may end, too
            yield from self._wrong_sign_in(event, name)
        login = said.get("login", "")
        if event.action == "sign-out":
            self._end(event.actor, [name])
        elif event.action == "store.restore" and "n_sign_ins_ended" in said:
            self._living.clear()
            self._of.clear()
        elif event.action in ("person.password", "person.email") or (
            event.action == "person.active" and not said["is_active"]
        ):
            self._end(login, list(self._of[login]))
        if event.action == "person.rehash":
            yield from self._wrong_way(event, login, "password", said["before"])
        if event.action in ("person.create", "person.password", "person.email", "person.rehash"):
            self._learn(event.action, login, said)

    def problems_of(self, login: str, ways: dict[str, str | None]) -> Iterator[str]:
        """What lets a person in now, and no event set."""
        for way in _WAYS:
            if self._known.get((login, way), ways[way]) != ways[way]:
                yield f"the {way} of '{login}' is not the one that was set last by an event of the trail"

    def _learn(self, action: str, login: str, said: dict[str, Any]) -> None:
        of_action = {"person.password": ("password",), "person.rehash": ("password",), "person.email": ("email",)}
        for way in of_action.get(action, _WAYS):
            if way in said:
                self._known[login, way] = said[way]
            else:
                self._known.pop((login, way), None)

    def _begin(self, event: AuditEvent) -> Iterator[str]:
        said: dict[str, Any] = event.detail
        name = said.get("session")
        if name is None:
            self._nameless[event.actor] = event.at
            return
        for way in _WAYS:
            if way in said:
                yield from self._wrong_way(event, event.actor, way, said[way])
        self._living[name] = event.actor, datetime.fromisoformat(said["until"])
        self._seen.add(name)
        self._of[event.actor].add(name)

    def _end(self, login: str, names: list[str | None]) -> None:
        for name in names:
            self._living.pop(name or "", None)
            self._of[login].discard(name or "")

    def _wrong_way(self, event: AuditEvent, login: str, way: str, used: str | None) -> Iterator[str]:
        if self._known.get((login, way), used) != used:
            yield f"event {event.sequence}: '{login}' signed in by {_CALLED[way]} that no event set: it was exchanged"

    def _wrong_code(self, event: AuditEvent) -> Iterator[str]:
        said: dict[str, Any] = event.detail
        invitation, code = said.get("invitation", ""), said.get("code")
        if event.action == "invitation.create" and code is not None:
            self._codes[invitation] = code
        elif event.action == "invitation.use" and self._codes.get(invitation, code) != code:
            yield f"event {event.sequence}: an invitation was used by a code that nobody was given: it was exchanged"

    def _wrong_sign_in(self, event: AuditEvent, name: str) -> Iterator[str]:
        if name not in self._living:
            if name in self._seen:
                yield f"event {event.sequence}: '{event.actor}' acted by a sign-in that had ended"
            elif event.at - self._nameless.get(event.actor, datetime.min.replace(tzinfo=UTC)) > LONGEST_SIGN_IN:
                yield f"event {event.sequence}: '{event.actor}' acted by a sign-in that nobody began: it is forged"
            return
        login, until = self._living[name]
        if login != event.actor:
            yield f"event {event.sequence}: '{event.actor}' acted by a sign-in of '{login}'"
        elif event.at > until + _GRACE:
            yield f"event {event.sequence}: '{event.actor}' acted by a sign-in that had expired"
