"""What a browser sent, laid out as files for as long as one deed takes, and gone afterwards whatever happened.

A zip is unpacked by hand: every name is checked before the first byte is written, and what comes out is counted while
it comes, so that neither a path that climbs nor a file that swells does harm.
"""

from __future__ import annotations

import lzma
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO, Protocol

from core.csv_file import Columns, read_csv_file
from core.errors import InputError, ManifestError, ReadingRoomError
from core.imaging.manifest import OPTIONAL_COLUMNS, REQUIRED_COLUMNS, ManifestErrors
from core.natural_order import natural_key
from core.progress import OnProgress
from core.settings import get_settings
from core.spelling import spelling_key

#: What one upload may hold when it is unpacked.
MAX_FILES = 50_000
MAX_BYTES = 4 * 2**30
_LONGEST_NAME = 240  # characters of a path in a zip
_PART = 2**20
#: What unpacking raises for bytes that are no zip, or not the one that was packed.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError, ValueError)
_IGNORED = {"thumbs.db", "desktop.ini", "__macosx"}
_TABLES = (".csv", ".tsv")


class Upload(Protocol):
    """A file in memory, as Streamlit hands it over."""

    name: str  # with its folders where a folder was sent

    def getbuffer(self) -> memoryview: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...


@contextmanager
def unpacked(uploads: Sequence[Upload], progress: OnProgress | None = None) -> Iterator[Path]:
    """What ``import_cases`` takes, made of what was sent: the manifest, or the folder of class folders.

    Parameters
    ----------
    uploads : sequence of Upload
        One zip; or the files of a folder, with their paths; or a manifest and the images that it names.
    progress : callable, optional
        ``progress(done, total, what)``.

    Yields
    ------
    Path
        Below a folder that only this process may read and that is removed at the end.

    Raises
    ------
    ManifestErrors
        With every entry that is refused: a path that leads out, a link, a password, a damaged or swelling file.
    """
    with _folder_of_its_own() as root:
        if len(uploads) == 1 and uploads[0].name.casefold().endswith(".zip"):
            _unzip(uploads[0], root, progress)
            yield _source(root, uploads[0].name)
            return
        _lay_out(uploads, root)
        source = _source(root, "the upload")
        if source.is_file():
            _move_to_named_places(source)
        yield source


@contextmanager
def laid_out(uploads: Sequence[Upload]) -> Iterator[list[Path]]:
    """Files that were sent one by one, under their own names, for as long as one deed takes; in the same order."""
    with _folder_of_its_own() as root:
        _lay_out(uploads, root)
        yield [root / each.name.replace("\\", "/") for each in uploads]


@contextmanager
def _folder_of_its_own() -> Iterator[Path]:
    """A folder that is gone afterwards; errors name files as they were sent, not where they lay meanwhile."""
    with TemporaryDirectory(prefix="upload-", dir=uploads_folder()) as folder:
        root = Path(folder)
        try:
            yield root
        except ReadingRoomError as error:
            for each in (error, *getattr(error, "errors", ())):
                each.args = tuple(_as_sent(str(text), root) for text in each.args)
                if isinstance(each, InputError) and each.file is not None:
                    each.file = _as_sent(each.file, root)
            raise


def _as_sent(text: str, root: Path) -> str:
    """A text without the folder in which an upload lies."""
    return text.replace(f"{root}/", "").replace(str(root), "the upload")


def uploads_folder() -> Path:
    """Where uploads lie while they are used; below the data folder, for the server's own eyes."""
    place = get_settings().data_folder.resolve() / "uploads"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    return place


def remove_left_uploads() -> None:
    """Remove what a server left that was stopped in the middle of an upload; called when a server starts."""
    for entry in uploads_folder().iterdir():
        shutil.rmtree(entry, ignore_errors=True)


def _unzip(upload: Upload, root: Path, progress: OnProgress | None) -> None:
    """Write the entries of a zip below ``root``."""
    upload.seek(0)
    try:
        with zipfile.ZipFile(upload) as archive:  # type: ignore[call-overload]  # a BytesIO
            entries = _checked_entries(archive, upload.name)
            left = min(MAX_BYTES, _free_bytes(root))
            for done, (entry, name) in enumerate(entries, 1):
                target = root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, target.open("xb") as kept:
                    left = _copied(source, kept, left, upload.name)
                if progress is not None:
                    progress(done, len(entries), "unpacked")
    except _DAMAGED as error:
        if isinstance(error, ManifestError):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _refusal(upload.name, f"the zip cannot be unpacked ({reason})", fix="make the zip again") from error


def _checked_entries(archive: zipfile.ZipFile, zip_name: str) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Every file of the zip with its place below the folder; refuse all that has none."""
    errors: list[ManifestError] = []
    kept: dict[str, tuple[zipfile.ZipInfo, PurePosixPath]] = {}
    entries = archive.infolist()
    if len(entries) > MAX_FILES:
        raise _refusal(zip_name, f"the zip holds {len(entries)} entries, {MAX_FILES} at most", fix="send it in parts")
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise _swollen(zip_name)
    for entry in entries:
        name = _entry_name(entry)
        if entry.is_dir() or any(_is_ignored(part) for part in PurePosixPath(name).parts):
            continue
        problem = _wrong_name(name) or _wrong_kind(entry)
        if problem is None and name.casefold() in kept:
            problem = "two entries of the zip have this name"
        if problem is not None:
            errors.append(ManifestError(problem, file=zip_name, field="entry", value=name, fix="make the zip again"))
        else:
            kept[name.casefold()] = entry, PurePosixPath(name)
    folders = {str(above) for _, name in kept.values() for above in name.parents}
    errors += [
        ManifestError("is a file and a folder at once", file=zip_name, field="entry", value=str(name))
        for _, name in kept.values()
        if str(name) in folders
    ]
    if errors:
        raise ManifestErrors(errors, file=zip_name)
    if not kept:
        raise _refusal(zip_name, "the zip holds no file", fix="put the manifest and its images into it")
    return list(kept.values())


def _entry_name(entry: zipfile.ZipInfo) -> str:
    """Path of an entry; what a Mac wrote in UTF-8 without saying so is read as UTF-8."""
    name = entry.orig_filename
    if not entry.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = entry.orig_filename
    return name.replace("\\", "/")


def _wrong_name(name: str) -> str | None:
    """Why a path may not be written, or None."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "the path is absolute"
    if ".." in parts:
        return "the path climbs out of the folder"
    if len(name) > _LONGEST_NAME or any(ord(sign) < 32 for sign in name):
        return f"the path is longer than {_LONGEST_NAME} characters or holds control characters"
    return None


def _wrong_kind(entry: zipfile.ZipInfo) -> str | None:
    """Why an entry is no plain file, or None."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "the entry is a link or no plain file"
    if entry.flag_bits & 0x1:
        return "the entry has a password"
    return None


def _copied(source: object, kept: BinaryIO, left: int, zip_name: str) -> int:
    """Copy one entry, counted as it comes, whatever its header promised; give what is left of the room."""
    while part := source.read(_PART):  # type: ignore[attr-defined]
        left -= len(part)
        if left < 0:
            raise _swollen(zip_name)
        kept.write(part)
    return left


def _free_bytes(folder: Path) -> int:
    """Room on the disk, less a gigabyte that the store may need."""
    return max(0, shutil.disk_usage(folder).free - 2**30)


def _lay_out(uploads: Sequence[Upload], root: Path) -> None:
    """Write files that were sent one by one, each at the path that the browser gave."""
    errors: list[ManifestError] = []
    if len(uploads) > MAX_FILES or sum(len(each.getbuffer()) for each in uploads) > min(MAX_BYTES, _free_bytes(root)):
        raise _swollen("the upload")
    for each in uploads:
        name = each.name.replace("\\", "/")
        if any(_is_ignored(part) for part in PurePosixPath(name).parts):
            continue
        target = root / name
        problem = _wrong_name(name) or ("is sent twice" if target.exists() else None)
        if problem is not None:
            errors.append(ManifestError(problem, file=each.name, fix="send it once, by its plain name"))
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(each.getbuffer())
    if errors:
        raise ManifestErrors(errors, file="the upload")


def _source(root: Path, shown: str) -> Path:
    """The manifest, or the folder of class folders; one folder around everything else is looked into."""
    while True:
        entries = sorted(root.iterdir(), key=lambda entry: natural_key(entry.name))
        tables = [entry for entry in entries if entry.is_file() and entry.suffix.casefold() in _TABLES]
        manifests = [table for table in tables if spelling_key(table.stem) == "manifest"]
        for found in (manifests, tables):
            if len(found) == 1:
                return found[0]
        if tables:
            names = ", ".join(table.name for table in tables)
            raise _refusal(shown, f"there are several tables: {names}", fix="call the manifest manifest.csv")
        inside = [entry for entry in entries if entry.is_dir()]
        if len(entries) != 1 or not inside or not _is_wrapper(inside[0]):
            return root
        root = inside[0]


def _is_wrapper(folder: Path) -> bool:
    """Whether a single folder only wraps a manifest or cohort folders; one of class folders is itself a cohort."""
    entries = list(folder.iterdir())
    has_table = any(entry.is_file() and entry.suffix.casefold() in _TABLES for entry in entries)
    return has_table or any(inner.is_dir() for entry in entries if entry.is_dir() for inner in entry.iterdir())


def _move_to_named_places(manifest: Path) -> None:
    """A browser sends plain names: an image lies where the manifest names a file of that name, if it names just one."""
    wanted: dict[str, set[str]] = {}
    with suppress(ManifestError):  # the import itself says what is wrong with the table
        for row in read_csv_file(manifest, Columns(REQUIRED_COLUMNS, OPTIONAL_COLUMNS)).rows:
            for path in row.values.values():
                if _wrong_name(path) is None:
                    wanted.setdefault(PurePosixPath(path).name, set()).add(path)
    for name, paths in wanted.items():
        lying, place = manifest.parent / name, manifest.parent / min(paths)
        if len(paths) == 1 and lying.is_file() and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            lying.rename(place)


def _is_ignored(part: str) -> bool:
    """Names that an operating system adds by itself."""
    return (part.startswith(".") and part != "..") or part.casefold() in _IGNORED


def _refusal(file: str, problem: str, *, fix: str) -> ManifestErrors:
    """One problem of the whole upload."""
    return ManifestErrors([ManifestError(problem, file=file, fix=fix)], file=file)


def _swollen(file: str) -> ManifestErrors:
    """More than an upload may hold."""
    limit = f"{MAX_BYTES // 2**30} GB in {MAX_FILES} files"
    return _refusal(file, f"unpacked, it is larger than {limit} or than the disk's room", fix="send it in parts")
