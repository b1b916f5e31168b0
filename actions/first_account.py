"""The first account of a new installation: an invitation that only the terminal of the server shows."""

from __future__ import annotations

from core.study import Role
from db import Repository
from db.records import NewInvitation

_NOTE = "first coordinator"
_DAYS = 1.0


def first_invitation(repository: Repository) -> NewInvitation | None:
    """An invitation for the first coordinator; None as soon as anybody has an account.

    One that an earlier start printed and nobody used is taken back, so that one link at most leads in.
    """
    if repository.has_accounts():
        return None
    for earlier in repository.invitations():
        if earlier.note == _NOTE and earlier.used_at is None and earlier.revoked_at is None:
            repository.revoke_invitation(earlier.invitation_id)
    return repository.invite(Role.COORDINATOR, _NOTE, days=_DAYS)
