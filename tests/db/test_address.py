"""One address, one store: whatever characters it holds, wherever the command was called, and never a password shown."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy.engine import URL

from core.errors import SettingsError
from core.settings import Settings
from db import create_store, open_store, shown_address, store_exists, store_url
from db.address import parsed_url, sqlite_path

HARD_NAMES = [
    "Reader%20study", "what?", "a#b", "100 %", "%", "%41", "Prüfung süß", "日本", "a&b=c;d", "it's",
    'quo"te', "a:b@c", "~x",
]  # fmt: skip


@pytest.mark.parametrize("name", HARD_NAMES)
def test_a_data_folder_of_any_name_holds_its_store_itself(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    url = store_url(Settings(data_dir=folder, database_url=""))
    assert shown_address(url) == str(folder / "reading_room.sqlite3")  # as it was typed
    create_store(url).dispose()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (folder / "reading_room.sqlite3").is_file()
    assert store_exists(url)


@pytest.mark.parametrize("name", HARD_NAMES)
def test_a_sqlite_url_is_percent_encoded_whatever_the_version_of_sqlalchemy(name: str, tmp_path: Path) -> None:
    url = f"sqlite:///{quote(str(tmp_path / name))}"
    assert sqlite_path(url) == tmp_path / name
    assert sqlite_path(parsed_url(url)) == tmp_path / name  # reading it again changes nothing


@pytest.mark.parametrize(
    "url", ["sqlite:///study.sqlite3", "sqlite:///./a/b.sqlite3", "sqlite:///~/a b.sqlite3", "sqlite:///~nobody-here/x"]
)
def test_a_relative_path_is_refused_with_the_absolute_one(url: str, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SettingsError, match="must be absolute") as refused:
        open_store(url)
    assert list(tmp_path.iterdir()) == []
    fix = refused.value.fix.removeprefix("use ")
    create_store(fix).dispose()  # the fix works when followed
    assert sqlite_path(fix).is_relative_to(tmp_path)


@pytest.mark.parametrize(
    "url",
    ["not a url", "sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x", "sqlite:/abs", "sqlite:////a?b",
     "sqlite:////a%00b", "sqlite://~nobody/x",
     "mysql://u:hunter2@host/db", "postgresql+psycopg2://u:hunter2@host/db", "hunter2"],
)  # fmt: skip
def test_a_url_that_is_no_store_is_a_setting_to_mend(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        open_store(url)
    assert refused.value.field == "READING_ROOM_DATABASE_URL"
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "POSTGRES"])
def test_every_common_spelling_means_psycopg(scheme: str) -> None:
    assert parsed_url(f"{scheme}://me:pw@host/db") == URL.create(
        "postgresql+psycopg", username="me", password="pw", host="host", database="db"
    )


PASSWORD = "sEcr1t@pieces:of/a#strange?pa55%wörd +&[]"


def test_an_encoded_password_comes_through_and_is_hidden() -> None:
    url = f"postgresql://r%40r:{quote(PASSWORD, safe='')}@[::1]:55437/d%20b?sslmode=require&password=other-secret"
    parsed = parsed_url(url)
    assert (parsed.username, parsed.password, parsed.host, parsed.port) == ("r@r", PASSWORD, "::1", 55437)
    assert (parsed.database, parsed.query["sslmode"]) == ("d b", "require")
    assert shown_address(url) == "database 'd b' on ::1 port 55437"


def test_blanks_colons_and_umlauts_need_no_encoding() -> None:
    assert parsed_url(" postgresql://me:a b:ü+&@host:5432/db\n").password == "a b:ü+&"


@pytest.mark.parametrize("at", range(1, len(PASSWORD) + 1))
@pytest.mark.parametrize(
    "form", ["postgresql://rr:{}@127.0.0.1:55437/rr", "postgres://rr:{}@[::1]/rr", "postgresql://{}@h"]
)
def test_a_raw_password_is_refused_without_showing_a_piece_of_it(form: str, at: int) -> None:
    """Every beginning of the password that holds a character which must be encoded."""
    raw = PASSWORD[:at]
    if not set("@/#?") & set(raw) and "%w" not in raw:
        return
    with pytest.raises(SettingsError, match="%40") as refused:
        open_store(form.format(raw))
    for size in range(3, len(raw) + 1):
        assert raw[:size] not in str(refused.value)
    for piece in ("sEcr1t", "pieces", "strange", "pa55"):
        assert piece not in str(refused.value)


@pytest.mark.parametrize(
    "address",
    ["rr:hunter2@host:port/rr", "rr:hunter2@host:99999/rr", "rr:hunter2@host:0/rr", "rr:hunter2@::1/rr",
     "rr:hunter2@[::1/rr", "rr:hunter2@h1:1,h2:2/rr", "rr:hunter2", "rr:hunter2@host/rr#x",
     "rr:hunter2@host/a/b@c", "rr:hunt%zzer2@host/rr", "rr:hunt%00er2@host/rr",
     "rr:hunter2@host:" + "1" * 5000],
)  # fmt: skip
def test_other_mistakes_in_a_url_are_refused_alike(address: str) -> None:
    with pytest.raises(SettingsError) as refused:
        open_store(f"postgresql://{address}")
    assert refused.value.field == "READING_ROOM_DATABASE_URL"
    assert "hunt" not in str(refused.value)


def test_an_option_that_postgresql_does_not_know_is_refused() -> None:
    with pytest.raises(SettingsError, match="option"):
        open_store("postgresql://me@host/db?sslmoode=require")
