"""Arrows between the rooms point down only; every room keeps its floor."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Folder or file -> top-level names (or dotted prefixes) that it may not import.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "core": ("streamlit", "sqlalchemy", "alembic", "db", "pages", "actions", "training", "manage", "streamlit_app"),
    "core/statistics": ("torch", "torchvision", "pandas", "core.analysis", "core.imaging", "core.model", "core.phantom",
                        "core.report", "core.study", "core.study_analysis", "core.settings"),
    "db": ("streamlit", "torch", "torchvision", "onnxruntime", "pages", "actions", "training", "manage", "core.model"),
    "training": ("streamlit", "sqlalchemy", "db", "pages", "actions", "manage"),
    "actions": ("streamlit", "sqlalchemy", "pages", "training", "manage"),
    "pages": ("sqlalchemy", "core.statistics", "training", "manage"),
    "manage.py": ("pages", "sqlalchemy", "core.statistics"),
}  # fmt: skip


def _imported_names(path: Path) -> set[str]:
    """Dotted names that a file imports, at any depth of the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def _files(place: str) -> list[Path]:
    path = ROOT / place
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def climbing_arrows(files: list[Path], forbidden: tuple[str, ...]) -> list[str]:
    """'file imports name' for each import that the floor forbids."""
    return [
        f"{path.name} imports {name}"
        for path in files
        for name in sorted(_imported_names(path))
        if any(name == ban or name.startswith(ban + ".") for ban in forbidden)
    ]


@pytest.mark.parametrize("place", FORBIDDEN)
def test_no_arrow_climbs(place: str) -> None:
    assert _files(place), f"{place} is gone: mend this test"
    assert climbing_arrows(_files(place), FORBIDDEN[place]) == []


def test_a_climbing_arrow_is_seen(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("def f():\n    from db.repository import Repository\n    import streamlit as st\n")
    assert climbing_arrows([bad], FORBIDDEN["core"]) == [
        "bad.py imports db.repository",
        "bad.py imports db.repository.Repository",
        "bad.py imports streamlit",
    ]


def test_pages_do_nothing_on_import() -> None:
    """A page file holds only definitions: run alone by a deep link, it shows nothing."""
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign, ast.Expr, ast.If)
    for path in sorted((ROOT / "pages").glob("*.py")):
        if path.name == "navigation.py":  # the script that st.App runs
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            assert isinstance(node, allowed), f"{path.name}:{node.lineno} runs on import"
            if isinstance(node, ast.Expr):
                assert isinstance(node.value, ast.Constant), f"{path.name}:{node.lineno} runs on import"


def test_no_path_of_one_machine_and_no_room_without_meaning() -> None:
    for path in ROOT.rglob("*.py"):
        if ".venv" not in path.parts:
            assert path.name not in {"utils.py", "helpers.py", "common.py"}, path
