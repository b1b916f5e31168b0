"""A new installation lets its first coordinator in by one link, and nobody by an older one."""

from __future__ import annotations

from pathlib import Path

import pytest

from actions.first_account import first_invitation
from core.errors import ReadingRoomError
from core.study import Role
from db import OPERATOR, Repository, create_store


def test_one_link_at_most_leads_in_and_none_once_somebody_has_an_account(tmp_path: Path) -> None:
    engine = create_store(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    operator, visitor = Repository(engine, OPERATOR), Repository(engine, None)
    earlier, made = first_invitation(operator), first_invitation(operator)
    assert earlier is not None
    assert made is not None
    password = "a long enough password"
    with pytest.raises(ReadingRoomError):
        visitor.accept_invitation(earlier.token, "eve", "Eve", password)
    person = visitor.accept_invitation(made.token, "anna", "Anna", password)
    assert person.role is Role.COORDINATOR
    assert first_invitation(operator) is None
    with pytest.raises(ReadingRoomError):
        visitor.accept_invitation(made.token, "eve", "Eve", password)
    assert operator.verify_audit().problems == ()
    engine.dispose()
