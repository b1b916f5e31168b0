"""Images outside of the database, for stores above some ten gigabytes: a folder, or a bucket that fsspec knows.

The row of an image then holds ``sha256:<digest>`` where its PNG was, and the PNG lies under that name. Whatever comes
back is held against the digest. Seals take the digest for the PNG, so that moving images breaks no seal. Access is the
repository's as before: a browser never gets an address.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from core.errors import SettingsError, StoreDamagedError, StoreError

#: What stands in the row of an image that lies outside; no PNG begins so.
POINTER = b"sha256:"

_DIGEST = re.compile(rb"sha256:([0-9a-f]{64})")
_VARIABLE = "READING_ROOM_IMAGE_URL"


def is_outside(png: bytes) -> bool:
    """Whether a row holds a pointer instead of a PNG."""
    return png.startswith(POINTER)


def sha256_of_stored(png: bytes) -> str:
    """SHA-256 of a PNG, in hexadecimal digits, wherever it lies."""
    found = _DIGEST.fullmatch(png)
    return found[1].decode() if found else hashlib.sha256(png).hexdigest()


class ImageStore:
    """PNG files under the names of their content.

    Parameters
    ----------
    url : str
        An absolute folder (``/srv/images`` or ``file:///srv/images``), or what fsspec reads, such as
        ``s3://bucket/images`` (with the package ``s3fs`` and its usual settings for keys).

    Raises
    ------
    SettingsError
        If the address is none, or the package for its scheme is missing.
    """

    def __init__(self, url: str) -> None:
        if "://" not in url and not Path(url).is_absolute():
            raise SettingsError(
                "not an absolute folder or address", field=_VARIABLE, value=url, fix="write /srv/images"
            )
        import fsspec  # most stores keep their images
        from fsspec.implementations.local import LocalFileSystem

        try:
            self._files, root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError) as failure:
            scheme = urlsplit(url).scheme
            raise SettingsError(
                f"addresses of {scheme}:// cannot be opened here ({type(failure).__name__})",
                field=_VARIABLE,
                fix="install the fsspec package for it (for s3: pip install s3fs), or name a folder",
            ) from failure
        self._root = root.rstrip("/")
        self._is_local = isinstance(self._files, LocalFileSystem)

    def put(self, png: bytes) -> bytes:
        """Keep a PNG for good; what to put into its row comes back. Again is harmless.

        Raises
        ------
        StoreError
            If it could not be written.
        """
        digest = hashlib.sha256(png).hexdigest()
        path = self._path(digest)
        try:
            if not self._files.exists(path):
                self._write(path, png)
        except OSError as failure:
            raise StoreError(
                f"The image store cannot be written ({type(failure).__name__}). Nothing was saved. Fix: check the "
                f"folder or bucket of {_VARIABLE}."
            ) from failure
        return POINTER + digest.encode()

    def get(self, pointer: bytes) -> bytes:
        """The PNG behind a pointer.

        Raises
        ------
        StoreDamagedError
            If it is missing, or another one.
        StoreError
            If the store does not answer.
        """
        digest = sha256_of_stored(pointer)
        try:
            png: bytes = self._files.cat_file(self._path(digest))
        except FileNotFoundError:
            raise StoreDamagedError(
                f"Image {digest[:12]} is missing outside of the database. Fix: restore the folder or bucket of "
                f"{_VARIABLE} from its backup."
            ) from None
        except OSError as failure:
            raise StoreError(
                f"The image store does not answer ({type(failure).__name__}). Nothing was saved; try again."
            ) from failure
        if hashlib.sha256(png).hexdigest() != digest:
            raise StoreDamagedError(
                f"Image {digest[:12]} outside of the database was changed. Fix: restore it from the backup of the "
                f"folder or bucket of {_VARIABLE}."
            )
        return png

    def _path(self, digest: str) -> str:
        return f"{self._root}/{digest[:2]}/{digest}.png"

    def _write(self, path: str, png: bytes) -> None:
        """On a disk under another name first, so that a power cut leaves all of it or nothing."""
        if not self._is_local:
            self._files.pipe_file(path, png)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            file.write(png)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Images:
    """How a repository gets at PNGs, wherever they lie.

    Parameters
    ----------
    outside : ImageStore or None
        Where new images go and old ones may lie; None: the database alone.
    """

    def __init__(self, outside: ImageStore | None = None) -> None:
        self._outside = outside

    @property
    def has_outside(self) -> bool:
        """Whether there is another place than the database."""
        return self._outside is not None

    def png(self, stored: bytes) -> bytes:
        """The PNG of a row.

        Raises
        ------
        StoreError
            As :meth:`ImageStore.get`, and if it lies outside and nobody said where.
        """
        if not is_outside(stored):
            return stored
        if self._outside is None:
            raise StoreError(f"The images of this store lie outside of the database. Fix: set {_VARIABLE} as before.")
        return self._outside.get(stored)

    def keep(self, png: bytes) -> bytes:
        """What to put into an image's row: a pointer to what was read back, the PNG where there is no outside."""
        if self._outside is None:
            return png
        pointer = self._outside.put(png)
        self._outside.get(pointer)
        return pointer


def images_at(url: str) -> Images:
    """For the value of the setting: empty is the database alone.

    Raises
    ------
    SettingsError
        As :class:`ImageStore`.
    """
    return Images(ImageStore(url) if url else None)
