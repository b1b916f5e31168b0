"""Paths that a manifest names: below its folder, whatever Unicode form the disk keeps its names in."""

from __future__ import annotations

import difflib
import re
import unicodedata
from pathlib import Path, PurePosixPath

from core.errors import ManifestError

#: Names in the folders looked at so far, by composed form; one dictionary serves one manifest.
Listings = dict[Path, dict[str, list[str]]]


def find_inside(value: str, folder: Path, listings: Listings) -> Path:
    """The file below ``folder`` that a relative path names, symbolic links followed.

    A name is found in composed and in decomposed form (macOS writes the second); capitals must agree.

    Raises
    ------
    ManifestError
        With problem, value and fix; the caller adds file, row and column.
    """
    problem, fix = None, "write a path relative to the manifest, such as images/scan.png"
    if not value.strip():
        problem = "the path is blank"
    elif value.startswith(("/", "\\", "~")) or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", value):
        problem = "the path is absolute or an address"
    elif "\\" in value:
        problem, fix = "the path has backslashes", "write forward slashes"
    elif ".." in PurePosixPath(value).parts:
        problem, fix = "the path climbs out of the manifest's folder", "put the images below the manifest"
    else:
        try:
            path = _on_disk(value, folder, listings)
            resolved = path.resolve()
            if not resolved.is_relative_to(folder.resolve()):
                problem, fix = "the path leads out of the manifest's folder through a link", "copy the file there"
            elif not resolved.exists():
                problem, fix = "there is no such file", _near(value, folder, listings)
            elif not resolved.is_file():
                problem = "this is a folder, not a file" if resolved.is_dir() else "this is no ordinary file"
            else:
                return path
        except RuntimeError:
            problem, fix = "the path is a link that leads to itself", "copy the file there"
        except (OSError, ValueError):  # too long, a NUL
            problem, fix = "this is no usable path", "rename the file"
    raise ManifestError(problem, value=value, fix=fix)


def _on_disk(value: str, folder: Path, listings: Listings) -> Path:
    """The path with every part spelled as on disk, where the parts differ in Unicode form only."""
    path = folder / value
    if path.exists() or value.isascii():
        return path
    found = folder
    for part in PurePosixPath(value).parts:
        same = _names(found, listings).get(unicodedata.normalize("NFC", part), [])
        found /= same[0] if len(same) == 1 else part
    return found


def _near(value: str, folder: Path, listings: Listings) -> str:
    """How to mend a path that leads nowhere: the path whose parts look most like its parts."""
    found = folder
    for part in PurePosixPath(value).parts:
        names = {composed.casefold(): same[0] for composed, same in _names(found, listings).items()}
        near = difflib.get_close_matches(unicodedata.normalize("NFC", part).casefold(), names, n=1, cutoff=0.8)
        if not near:
            return "check the path; capitals matter"
        found /= names[near[0]]
    return f"did you mean '{found.relative_to(folder).as_posix()}'? Capitals matter"


def _names(folder: Path, listings: Listings) -> dict[str, list[str]]:
    """Names in a folder by composed form; none when there is no such folder."""
    if folder not in listings:
        found: dict[str, list[str]] = {}
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            found.setdefault(unicodedata.normalize("NFC", entry.name), []).append(entry.name)
        listings[folder] = found
    return listings[folder]
