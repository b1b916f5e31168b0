"""Settings from the environment or a ``.env`` file, checked once, named in the error when wrong.

Every variable begins with ``READING_ROOM_``; the README lists them all. Nothing secret has a default: where no
``READING_ROOM_SECRET_KEY`` is given, a random one is made once and kept in the data folder,
readable by its owner only.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from core.errors import SettingsError

#: The folder of the checkout; relative paths in settings start here, wherever the command was called from.
PROJECT_FOLDER = Path(__file__).resolve().parent.parent

#: First words of the database URLs that Reading Room speaks.
DATABASE_SCHEMES = ("sqlite:///", "postgresql+psycopg://")


class Settings(BaseSettings):
    """All settings. Each field's description is the README's table row."""

    model_config = SettingsConfigDict(
        env_prefix="READING_ROOM_", env_file=PROJECT_FOLDER / ".env", env_file_encoding="utf-8", extra="ignore"
    )

    data_dir: Path = Field(Path("data"), description="folder of the store, models and caches")
    database_url: str = Field(
        "",
        description="sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME; "
        "empty means reading_room.sqlite3 in the data folder",
    )
    secret_key: SecretStr | None = Field(None, description="signs sign-in forms; empty means data folder/secret.key")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where the model runs: auto, cpu or cuda")
    threads: Annotated[int, Field(ge=0, le=256)] = Field(0, description="threads for the model; 0 means all cores")
    session_hours: Annotated[float, Field(gt=0, le=168)] = Field(
        12.0, description="hours after which a sign-in ends by itself"
    )
    is_cookie_secure: bool = Field(False, description="true behind TLS: the sign-in cookie travels by https only")

    @field_validator("database_url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        if url.startswith("postgresql://"):
            url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        if url and not url.startswith(DATABASE_SCHEMES):
            raise ValueError(f"must begin with {' or '.join(DATABASE_SCHEMES)}")
        return url

    @property
    def data_folder(self) -> Path:
        """Absolute data folder."""
        return self.data_dir if self.data_dir.is_absolute() else PROJECT_FOLDER / self.data_dir

    @property
    def cache_folder(self) -> Path:
        """What libraries may keep between runs; everything in it can be deleted."""
        return self.data_folder / "cache"

    @property
    def store_url(self) -> str:
        """Database URL with the default filled in."""
        return self.database_url or f"sqlite:///{self.data_folder / 'reading_room.sqlite3'}"

    @property
    def thread_count(self) -> int:
        """Threads for the model, at least one."""
        return self.threads or (os.cpu_count() or 1)

    def signing_key(self) -> bytes:
        """Key that signs sign-in forms; made once and kept in the data folder if none is set."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value().encode()
        path = self.data_folder / "secret.key"
        if not path.exists():
            self.data_folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.data_folder) as file:  # mode 0600
                file.write(secrets.token_hex(32).encode())
                file.flush()
                with suppress(FileExistsError):  # another process was first: its key counts
                    os.link(file.name, path)
        return path.read_bytes()


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process.

    Raises
    ------
    SettingsError
        Naming the variable, what is wrong and the fix; values are never repeated, for they may be secret.
    """
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
