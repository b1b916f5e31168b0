"""The table of screens: the only place where a screen is added. Which role may open what is read from here."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

import streamlit as st

from core.study import Role
from pages import home, read


@dataclass(frozen=True)
class Screen:
    """One screen. ``render`` is guarded by itself as well (``pages.widgets.guard.requires``)."""

    title: str  # in the bar at the top
    icon: str  # Material symbol
    address: str  # last part of its web address; "" is the start page
    render: Callable[[], None]
    roles: frozenset[Role]
    is_in_bar: bool = True  # the others are reached by the links of a study


_LOADED: dict[str, ModuleType] = {}
_LOADING = threading.Lock()


def _screen(name: str) -> Callable[[], None]:
    """``render`` of a file beside this one, loaded when the screen is first opened: a process that readers use does not
    wait for what results need, and does not carry it."""
    module = f"pages.{name}"

    def render() -> None:
        if module not in _LOADED:
            # One at a time: of two threads that load packages in a ring, Python gives one half a module.
            with st.spinner("Loading what this screen needs, once after a start of the server ..."), _LOADING:
                screen = import_module(module)
                if module not in _LOADED:
                    gc.collect()  # else what is garbage now would stay for good
                    gc.freeze()  # as at the start: what was loaded is left out of later garbage collections
                _LOADED[module] = screen
        _LOADED[module].render()

    return render


_EVERYBODY = frozenset(Role)
_READERS = frozenset({Role.READER})
_COORDINATORS = frozenset({Role.COORDINATOR})
_ANALYSTS = frozenset({Role.COORDINATOR, Role.STATISTICIAN})
_KEEPERS = frozenset({Role.COORDINATOR, Role.ADMINISTRATOR})

#: In the order of the bar; the first one of a role is its start page.
SCREENS: tuple[Screen, ...] = (
    Screen("Home", ":material/home:", "home", home.render, _EVERYBODY),
    Screen("Read", ":material/visibility:", "read", read.render, _READERS),
    Screen("Study", ":material/groups:", "study", _screen("study"), _COORDINATORS),
    Screen("New study", ":material/add:", "new-study", _screen("new_study"), _COORDINATORS, is_in_bar=False),
    Screen("Protocol", ":material/edit_note:", "set-up", _screen("set_up"), _COORDINATORS, is_in_bar=False),
    Screen("Cases", ":material/perm_media:", "cases", _screen("import_cases"), _COORDINATORS, is_in_bar=False),
    Screen("Model", ":material/memory:", "model", _screen("model"), _COORDINATORS, is_in_bar=False),
    Screen("Live", ":material/monitor_heart:", "dashboard", _screen("dashboard"), _COORDINATORS),
    Screen("Results", ":material/monitoring:", "results", _screen("results"), _ANALYSTS),
    Screen("Explain", ":material/frame_inspect:", "explain", _screen("explain"), _ANALYSTS),
    Screen("Files", ":material/folder_open:", "files", _screen("files"), _ANALYSTS),
    Screen("People", ":material/badge:", "people", _screen("people"), _KEEPERS),
    Screen("Planning", ":material/calculate:", "planning", _screen("planning"), _ANALYSTS),
    Screen("Audit", ":material/history:", "audit", _screen("audit"), _KEEPERS),
)


def screens_of(roles: frozenset[Role]) -> list[Screen]:
    """The screens that somebody with these roles may open, in the order of the bar."""
    return [screen for screen in SCREENS if roles & screen.roles]
