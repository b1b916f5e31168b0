"""The table of screens: the only place where a screen is added. Which role may open what is read from here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.study import Role
from pages import (
    audit,
    dashboard,
    explain,
    files,
    home,
    import_cases,
    model,
    new_study,
    people,
    planning,
    read,
    results,
    set_up,
    study,
)


@dataclass(frozen=True)
class Screen:
    """One screen. ``render`` is guarded by itself as well (``pages.widgets.guard.requires``)."""

    title: str  # in the bar at the top
    icon: str  # Material symbol
    address: str  # last part of its web address; "" is the start page
    render: Callable[[], None]
    roles: frozenset[Role]
    is_in_bar: bool = True  # the others are reached by the links of a study


_EVERYBODY = frozenset(Role)
_READERS = frozenset({Role.READER})
_COORDINATORS = frozenset({Role.COORDINATOR})
_ANALYSTS = frozenset({Role.COORDINATOR, Role.STATISTICIAN})
_KEEPERS = frozenset({Role.COORDINATOR, Role.ADMINISTRATOR})

#: In the order of the bar; the first one of a role is its start page.
SCREENS: tuple[Screen, ...] = (
    Screen("Home", ":material/home:", "home", home.render, _EVERYBODY),
    Screen("Read", ":material/visibility:", "read", read.render, _READERS),
    Screen("Study", ":material/groups:", "study", study.render, _COORDINATORS),
    Screen("New study", ":material/add:", "new-study", new_study.render, _COORDINATORS, is_in_bar=False),
    Screen("Protocol", ":material/edit_note:", "set-up", set_up.render, _COORDINATORS, is_in_bar=False),
    Screen("Cases", ":material/perm_media:", "cases", import_cases.render, _COORDINATORS, is_in_bar=False),
    Screen("Model", ":material/memory:", "model", model.render, _COORDINATORS, is_in_bar=False),
    Screen("Live", ":material/monitor_heart:", "dashboard", dashboard.render, _COORDINATORS),
    Screen("Results", ":material/monitoring:", "results", results.render, _ANALYSTS),
    Screen("Explain", ":material/frame_inspect:", "explain", explain.render, _ANALYSTS),
    Screen("Files", ":material/folder_open:", "files", files.render, _ANALYSTS),
    Screen("People", ":material/badge:", "people", people.render, _KEEPERS),
    Screen("Planning", ":material/calculate:", "planning", planning.render, _ANALYSTS),
    Screen("Audit", ":material/history:", "audit", audit.render, _KEEPERS),
)


def screens_of(roles: frozenset[Role]) -> list[Screen]:
    """The screens that somebody with these roles may open, in the order of the bar."""
    return [screen for screen in SCREENS if roles & screen.roles]
