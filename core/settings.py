"""Settings from the environment or a ``.env`` file, checked once, named in the error when wrong.

Every variable begins with ``READING_ROOM_``; the README lists them all. Nothing secret has a default: where no
``READING_ROOM_SECRET_KEY`` is given, a random one is made once and kept in the data folder,
readable by its owner only.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.errors import SettingsError
from core.runtime import threads_in_force

#: The folder of the checkout; relative paths in settings start here, wherever the command was called from.
PROJECT_FOLDER = Path(__file__).resolve().parent.parent

_PREFIX = "READING_ROOM_"
#: Variables of the prefix that are no settings: of the tests, and what Kubernetes sets for a service of our name.
_OTHERS = re.compile(r"READING_ROOM_(TEST_|SERVICE_(HOST|PORT)|PORT_[0-9]+_(TCP|UDP)|PORT=(tcp|udp)://)")


class Settings(BaseSettings):
    """All settings. Each field's description is the README's table row."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=PROJECT_FOLDER / ".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
    )

    data_dir: Path = Field(
        Path("data"), description="folder of the store, models and caches; a relative one lies in the checkout"
    )
    database_url: str = Field(
        "",
        repr=False,
        description="sqlite:////ABSOLUTE/PATH or postgresql://USER:PASSWORD@HOST/NAME; "
        "empty means reading_room.sqlite3 in the data folder",
    )
    reader_database_url: str = Field(
        "",
        repr=False,
        description="PostgreSQL: the same store under a readers' role of your own; empty: one that the program made",
    )
    secret_key: SecretStr | None = Field(None, description="signs sign-in forms; empty means data folder/secret.key")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where the model runs: auto, cpu or cuda")
    threads: Annotated[int, Field(ge=0, le=256)] = Field(0, description="threads for the model; 0 means all cores")
    session_hours: Annotated[float, Field(gt=0, le=168)] = Field(
        12.0, description="hours after which a sign-in ends by itself"
    )
    backup_folder: Path | None = Field(
        None,
        description="folder in which the server makes a backup by itself; empty means none; a relative one lies "
        "in the checkout",
    )
    backup_every_hours: Annotated[float, Field(gt=0, le=744)] = Field(24.0, description="hours between two backups")
    backups_kept: Annotated[int, Field(ge=1, le=10_000)] = Field(
        14, description="the oldest are thrown away above this"
    )
    is_cookie_secure: bool = Field(False, description="true behind TLS: the sign-in cookie travels by https only")
    base_path: str = Field("", description="path before all others, such as /reading, behind a proxy that has one")
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="host names of this server beside localhost, with commas between them"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="addresses or networks of proxies whose X-Forwarded-For counts, with commas between them"
    )

    image_url: str = Field(
        "", repr=False, description="folder or bucket of the images that `images move` took out of the database"
    )

    oidc_issuer: str = Field("", description="address of an identity provider (OpenID Connect); empty means none")
    oidc_client_id: str = Field("", validate_default=True, description="name of this app at the identity provider")
    oidc_client_secret: SecretStr | None = Field(None, description="secret of this app at the identity provider")
    oidc_name: str = Field("your institution", description="the identity provider's name on the sign-in page")

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer(cls, text: str) -> str:
        safe = r"https://[^\s/?#]+[^\s?#]*|http://(localhost|127\.0\.0\.1)(:[0-9]+)?(/[^\s?#]*)?"
        if text and not re.fullmatch(safe, text):
            raise ValueError("must be an https:// address without ? and #, as the provider calls itself")
        return text

    @field_validator("oidc_client_id")
    @classmethod
    def _client(cls, text: str, info: ValidationInfo) -> str:
        if not text and info.data.get("oidc_issuer"):
            raise ValueError("must be set where READING_ROOM_OIDC_ISSUER is: the name of this app at the provider")
        return text

    @field_validator("data_dir", "backup_folder", "database_url", "reader_database_url")
    @classmethod
    def _in_utf8(cls, given: Path | str | None) -> Path | str | None:
        if any("\ud800" <= letter <= "\udfff" for letter in str(given)):  # how Python hands on other bytes
            raise ValueError("holds bytes that are no UTF-8; rename the folder, or set the variable in UTF-8")
        return given

    @field_validator("base_path")
    @classmethod
    def _with_one_slash_before(cls, text: str) -> str:
        path = "/" + text.strip().strip("/")
        if path == "/":
            return ""
        if not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", path):
            raise ValueError("must be a path such as /reading, of letters, digits and . _ ~ -")
        return path

    @field_validator("allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _between_commas(cls, given: str | tuple[str, ...]) -> tuple[str, ...]:
        parts = given.split(",") if isinstance(given, str) else given
        return tuple(part.strip() for part in parts if part.strip())

    @field_validator("allowed_hosts")
    @classmethod
    def _names_alone(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        plain = tuple(name.lower().encode("idna").decode() if not name.isascii() else name.lower() for name in names)
        for name in plain:
            if not re.fullmatch(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|[0-9a-f:]*:[0-9a-f:.]*", name):
                raise ValueError("must be host names alone: no http://, no port, no path")
        return plain

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            ip_network(text)  # its error names what is wrong
        return texts

    @property
    def data_folder(self) -> Path:
        """Absolute data folder; ``~`` is the home folder, anything else that is relative begins in the checkout."""
        return _absolute(self.data_dir)

    @property
    def backup_place(self) -> Path | None:
        """Absolute folder of the scheduled backups; None: no schedule."""
        return None if self.backup_folder is None else _absolute(self.backup_folder)

    @property
    def cache_folder(self) -> Path:
        """What libraries may keep between runs; everything in it can be deleted."""
        return self.data_folder / "cache"

    @property
    def thread_count(self) -> int:
        """Threads for the model, at least one."""
        return self.threads or threads_in_force()

    def signing_key(self) -> bytes:
        """Key that signs sign-in forms; made once and kept in the data folder if none is set."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value().encode()
        return kept_key(self.make_data_folder() / "secret.key")

    def make_data_folder(self) -> Path:
        """The data folder, made if there is none.

        Raises
        ------
        SettingsError
            If it cannot be made.
        """
        folder = self.data_folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"the data folder {folder} cannot be made ({error.strerror})",
                field="READING_ROOM_DATA_DIR",
                fix="name a folder that this account may write",
            ) from error
        return folder


def _absolute(folder: Path) -> Path:
    """A folder as an absolute path."""
    chosen = Path(os.path.expanduser(folder))  # noqa: PTH111  # Path's own raises where there is no home
    return chosen if chosen.is_absolute() else PROJECT_FOLDER / chosen


def kept_key(path: Path) -> bytes:
    """A random key of 64 hexadecimal digits, made once and kept in a file that its owner alone may read.

    Raises
    ------
    SettingsError
        If it can neither be read nor made.
    """
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent) as file:  # mode 0600
                file.write(secrets.token_hex(32).encode())
                file.flush()
                with suppress(FileExistsError):  # another process was first: its key counts
                    os.link(file.name, path)
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"the key {path} cannot be read or made ({error.strerror})",
            field="READING_ROOM_DATA_DIR",
            fix="let this account read and write the data folder, and make room on its disk",
        ) from error


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process.

    Raises
    ------
    SettingsError
        Naming the variable, what is wrong and the fix; values are never repeated, for they may be secret.
    """
    _refuse_misspelt_names()
    try:
        return Settings()  # type: ignore[call-arg]  # every field has a default; mypy lacks the pydantic plugin here
    except ValidationError as error:
        first = error.errors()[0]
        name = "READING_ROOM_" + "_".join(str(part) for part in first["loc"]).upper()
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(
            message[0].lower() + message[1:],
            file="environment or .env",
            field=name,
            fix=f"correct {name}, or remove it to use the default",
        ) from None


def _refuse_misspelt_names() -> None:
    """Refuse a variable that looks like a setting and is none: it would be ignored without a word."""
    fields = [name.upper() for name in Settings.model_fields]
    known = [_PREFIX + field for field in fields]
    try:
        in_file = dotenv_values(PROJECT_FOLDER / ".env", encoding="utf-8")
    except (OSError, UnicodeError) as error:
        problem = f"cannot be read as UTF-8 text ({type(error).__name__})"
        raise SettingsError(problem, file=PROJECT_FOLDER / ".env", fix="save it as UTF-8, readable here") from error
    for name, value in {**in_file, **os.environ}.items():
        name = name.upper()
        if name in known or _OTHERS.match(f"{name}={value}"):
            continue
        near = get_close_matches(name, known, n=1, cutoff=0.9)  # the prefix may be misspelt as well
        if name.startswith(_PREFIX):
            near = [_PREFIX + field for field in get_close_matches(name.removeprefix(_PREFIX), fields, n=1)]
        elif not near:
            continue
        fix = f"did you mean {near[0]}? Rename it" if near else f"use one of {', '.join(known)}"
        raise SettingsError("there is no such setting", file="environment or .env", field=name, fix=fix)
