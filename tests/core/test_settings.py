"""A setting that is misspelt, empty or impossible is an error in words; one data folder whatever the working folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core import settings
from core.errors import SettingsError
from core.settings import PROJECT_FOLDER, Settings, get_settings


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Settings]]:
    """``given(READING_ROOM_THREADS="2")``: the settings of such an environment."""

    def read(**environment: str) -> Settings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        return get_settings()

    yield read
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("name", "meant"),
    [("READING_ROOM_DATADIR", "DATA_DIR"), ("READING_ROOM_DATABSE_URL", "DATABASE_URL"),
     ("reading_room_treads", "THREADS"), ("READING_ROM_DATA_DIR", "DATA_DIR"),
     ("READINGROOM_SECRET_KEY", "SECRET_KEY")],
)  # fmt: skip
def test_a_misspelt_variable_is_refused_with_what_was_meant(name: str, meant: str, given) -> None:
    with pytest.raises(SettingsError, match=f"did you mean READING_ROOM_{meant}") as refused:
        given(**{name: "hunter2"})
    assert refused.value.field == name.upper()
    assert "hunter2" not in str(refused.value)


def test_an_unknown_variable_lists_the_known_ones(given) -> None:
    with pytest.raises(SettingsError, match="READING_ROOM_SESSION_HOURS"):
        given(READING_ROOM_FROBNICATE="1")


def test_a_misspelt_line_of_the_file_is_refused(given, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "PROJECT_FOLDER", tmp_path)
    (tmp_path / ".env").write_text("READING_ROOM_DATADIR=x\n")
    with pytest.raises(SettingsError, match="did you mean READING_ROOM_DATA_DIR"):
        given()
    (tmp_path / ".env").write_bytes("READING_ROOM_DATA_DIR=Prüfung\n".encode("utf-16"))
    with pytest.raises(SettingsError, match="UTF-8"):
        given()


@pytest.mark.parametrize(
    ("name", "value"),
    [("READING_ROOM_SERVICE_HOST", "10.0.0.1"), ("READING_ROOM_PORT", "tcp://10.0.0.1:8501"),
     ("READING_ROOM_PORT_8501_TCP_ADDR", "10.0.0.1"), ("DATABASE_URL", "x"), ("SECRET_KEY", "x")],
)  # fmt: skip
def test_variables_of_others_are_left_alone(name: str, value: str, given) -> None:
    given(**{name: value})


def test_an_empty_variable_is_one_that_is_not_set(given, tmp_path: Path) -> None:
    read = given(READING_ROOM_SECRET_KEY="", READING_ROOM_THREADS="", READING_ROOM_DATA_DIR=str(tmp_path / "data"))
    assert read.threads == 0
    assert len(read.signing_key()) == 64  # never an empty key


@pytest.mark.parametrize("name", ["rel", "./rel", "a/../rel"])
def test_a_relative_data_folder_lies_in_the_checkout(name: str, given, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert given(READING_ROOM_DATA_DIR=name).data_folder == PROJECT_FOLDER / name


def test_the_home_folder_may_be_written_as_a_tilde(given, tmp_path: Path) -> None:
    assert given(READING_ROOM_DATA_DIR="~/study data", HOME=str(tmp_path)).data_folder == tmp_path / "study data"


def test_a_folder_whose_name_is_no_utf8_is_refused(given) -> None:
    with pytest.raises(SettingsError, match="UTF-8"):
        given(READING_ROOM_DATA_DIR="/tmp/lat\udcfc1")  # noqa: S108  # never made


def test_a_data_folder_that_cannot_be_made_is_named(given, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    read = given(READING_ROOM_DATA_DIR=str(tmp_path / "file" / "data"))
    for deed in (read.make_data_folder, read.signing_key):
        with pytest.raises(SettingsError, match="cannot be made") as refused:
            deed()
        assert refused.value.field == "READING_ROOM_DATA_DIR"
