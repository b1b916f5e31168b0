"""Arrows between the rooms point down only; every room keeps its floor."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

#: Folder or file -> top-level names (or dotted prefixes) that it may not import.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "core": ("streamlit", "sqlalchemy", "alembic", "db", "pages", "actions", "training", "commands", "manage",
             "streamlit_app"),
    "core/statistics": ("torch", "torchvision", "pandas", "core.analysis", "core.imaging", "core.model", "core.phantom",
                        "core.report", "core.study", "core.study_analysis", "core.settings"),
    "db": ("streamlit", "torch", "torchvision", "onnxruntime", "pages", "actions", "training", "commands", "manage",
           "core.model"),
    "training": ("streamlit", "sqlalchemy", "db", "pages", "actions", "commands", "manage"),
    "actions": ("streamlit", "sqlalchemy", "pages", "training", "commands", "manage"),
    "pages": ("sqlalchemy", "core.statistics", "training", "commands", "manage"),
    "commands": ("streamlit", "pages", "sqlalchemy", "training", "core.statistics", "manage"),
    "manage.py": ("streamlit", "pages", "sqlalchemy", "training", "core.statistics", "actions", "db"),
}  # fmt: skip


def _imported_names(path: Path) -> set[str]:
    """Dotted names that a file imports, at any depth of the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
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
        "bad.py imports db.repository.Repository",
        "bad.py imports streamlit",
    ]


def import_circle(root: Path) -> list[str] | None:
    """Modules below a folder that import each other in a circle, at any depth of a file; None where there is none."""
    path_of = {}
    for path in root.rglob("*.py"):
        if ".venv" not in path.parts:
            module = path.relative_to(root).with_suffix("")
            path_of[".".join(module.parent.parts if module.name == "__init__" else module.parts)] = path
    arrows = {}
    for module, path in path_of.items():  # of "from a import b", the arrow points to a.b where that is a module
        names = {name if name in path_of else name.rpartition(".")[0] for name in _imported_names(path)}
        arrows[module] = names & path_of.keys()
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    assert import_circle(ROOT) is None


def test_a_circle_is_seen_where_one_import_stands_in_a_function(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "__init__.py").write_text("from room.first import f\n")
    (tmp_path / "room" / "first.py").write_text("from room import second\ndef f(): ...\n")
    (tmp_path / "room" / "second.py").write_text("def g():\n    import room.third\n")
    (tmp_path / "room" / "third.py").write_text("N = 3\n")
    assert import_circle(tmp_path) is None
    (tmp_path / "room" / "third.py").write_text("from room.first import f\n")
    assert set(import_circle(tmp_path) or ()) == {"room.first", "room.second", "room.third"}


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


def files_that_are_gone(text: str) -> list[str]:
    """What a document names in backticks as a file or a folder, and nobody finds: from the root, or by name alone."""
    is_place = re.compile(r"[\w./-]+(?:/|\.(?:py|js|css|html|md|toml))")
    kept = [path for path in ROOT.rglob("*") if not {".venv", ".git", "data"} & set(path.relative_to(ROOT).parts)]
    names = {path.name if path.is_file() else f"{path.name}/" for path in kept}
    return [
        name
        for name in re.findall(r"`([^`\s]+)`", text)
        if is_place.fullmatch(name) and not (ROOT / name).exists() and name not in names
    ]


def test_every_file_that_the_architecture_names_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = text.split("## If you want to change")[1].split("\n## ")[0].splitlines()
    assert len([row for row in rows if row.startswith("| ")]) >= 20
    assert files_that_are_gone(text) == []


def test_a_file_that_was_renamed_is_seen() -> None:
    said = "`db/repository/sign_in.py` `db/repository_people.py` `access.py` `gone.py` `db/rooms/` `reading_order`"
    assert files_that_are_gone(said) == ["db/repository_people.py", "gone.py", "db/rooms/"]


@pytest.mark.parametrize("module", ["core.model.serving", "manage", "training.command_line", "db", "actions.models"])
def test_telemetry_is_off_before_onnxruntime_is_imported(module: str) -> None:
    """Also where no network namespace can be made, so that tests/test_offline.py skips."""
    program = f"""
import os, sys
class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            assert os.environ.get("ORT_DISABLE_TELEMETRY") == "1"
sys.meta_path.insert(0, Look())
import {module}
import onnxruntime
"""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT, env=environment)


def kept_for_all(text: str) -> dict[str, set[str]]:
    """Functions whose answers Streamlit keeps for every visitor, with the names of their arguments."""
    return {
        node.name: {argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and any("st.cache_" in ast.unparse(each) for each in node.decorator_list)
    }


def test_what_is_kept_for_everybody_is_kept_by_study() -> None:
    """An argument that begins with _ is no part of the key: two studies with a case of one name shared an answer."""
    kept = {
        f"{path.relative_to(ROOT)}: {name}": arguments
        for path in (ROOT / "pages").rglob("*.py")
        for name, arguments in kept_for_all(path.read_text(encoding="utf-8")).items()
    }
    assert len(kept) >= 4
    for name, arguments in kept.items():
        assert {"study_key", "digest"} <= arguments or not any(each.startswith("_") for each in arguments), name
