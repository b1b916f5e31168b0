"""What a browser sends: zips that lie are refused before they do harm, and nothing stays on the disk."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from actions import uploads
from actions.import_cases import import_cases, import_upload, problem_table
from actions.uploads import remove_left_uploads, unpacked, uploads_folder
from core.errors import ManifestError
from core.imaging import ManifestErrors
from core.protocol import Protocol
from core.settings import get_settings
from db import OPERATOR, Repository, create_store


class Sent(io.BytesIO):
    """A file in memory with a name, as Streamlit's."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(content)
        self.name = name


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (24, 24), np.uint8)).save(buffer, format="PNG")
    return buffer.getvalue()


def zipped(files: dict[str, bytes], name: str = "scans.zip", **info: object) -> Sent:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            entry = zipfile.ZipInfo(path)
            entry.compress_type = zipfile.ZIP_DEFLATED
            for key, value in info.items():
                setattr(entry, key, value)
            archive.writestr(entry, content)
    return Sent(name, buffer.getvalue())


MANIFEST = b"image,case,patient,class,cohort\nimages/a.png,1,p1,graves,internal\nimages/b.png,2,p2,normal,internal\n"
GOOD = {"manifest.csv": MANIFEST, "images/a.png": png(1), "images/b.png": png(2)}
FOLDERS = {"graves/a.png": png(1), "normal/b.png": png(2), "normal/c.png": png(3)}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    monkeypatch.setenv("READING_ROOM_DATA_DIR", str(tmp_path / "data"))
    get_settings.cache_clear()
    engine = create_store(f"sqlite:///{tmp_path / 'store.sqlite3'}")
    store = Repository(engine, OPERATOR)
    store.create_study("draft", Protocol(title="Draft"))
    yield store
    engine.dispose()
    get_settings.cache_clear()


def left_behind() -> list[Path]:
    return list(uploads_folder().rglob("*"))


def cases_of(store: Repository) -> set[tuple[str, str]]:
    return {(each.case, each.cohort) for each in store.cases("draft")}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ([zipped(GOOD)], {("1", "internal"), ("2", "internal")}),
        ([zipped({f"my scans/{name}": data for name, data in GOOD.items()})], {("1", "internal"), ("2", "internal")}),
        ([zipped(FOLDERS)], {("a", "imported"), ("b", "imported"), ("c", "imported")}),
        (
            [zipped({f"east/{name}": data for name, data in FOLDERS.items()})],
            {("a", "east"), ("b", "east"), ("c", "east")},
        ),
        (
            [zipped({f"all/east/{name}": data for name, data in FOLDERS.items()})],
            {("a", "east"), ("b", "east"), ("c", "east")},
        ),
        ([Sent(name, data) for name, data in GOOD.items()], {("1", "internal"), ("2", "internal")}),
        (
            [Sent(Path(name).name, data) for name, data in GOOD.items()],  # plain names, as a browser sends files
            {("1", "internal"), ("2", "internal")},
        ),
        ([Sent(f"east/{name}", data) for name, data in FOLDERS.items()], {("a", "east"), ("b", "east"), ("c", "east")}),
    ],
    ids=["zip", "zip in a folder", "classes", "one cohort", "cohorts", "files", "plain names", "folder"],
)
def test_every_form_of_upload_makes_the_same_cases(repository: Repository, sent: list[Sent], expected: set) -> None:
    checked = import_upload(repository, "draft", sent, is_check_only=True)
    assert cases_of(repository) == set()
    assert checked.summary.n_cases == len(expected)
    import_upload(repository, "draft", sent)
    assert cases_of(repository) == expected
    assert left_behind() == []


def test_what_systems_add_is_left_out(repository: Repository) -> None:
    extra = {"__MACOSX/._manifest.csv": b"x", ".DS_Store": b"x", "images/Thumbs.db": b"x", "images/.hidden": b"x"}
    import_upload(repository, "draft", [zipped({**GOOD, **extra})])
    assert len(cases_of(repository)) == 2


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (zipped({**GOOD, "../evil.png": b"x"}), "climbs out"),
        (zipped({**GOOD, "a/../../evil.png": b"x"}), "climbs out"),
        (zipped({**GOOD, "..\\evil.png": b"x"}), "climbs out"),
        (zipped({**GOOD, "/etc/evil.png": b"x"}), "absolute"),
        (zipped({**GOOD, "C:\\evil.png": b"x"}), "absolute"),
        (zipped({**GOOD, "a" * 300: b"x"}), "longer than"),
        (zipped({**GOOD, "bell\x07.png": b"x"}), "control characters"),
        (zipped({"link": b"/etc/passwd"}, external_attr=(stat.S_IFLNK | 0o777) << 16), "link or no plain file"),
        (zipped({**GOOD, "IMAGES/A.PNG": b"x"}), "two entries"),
        (zipped({**GOOD, "images/a.png/inner": b"x"}), "file and a folder"),
        (zipped({}), "holds no file"),
        (Sent("scans.zip", b"this is no zip"), "cannot be unpacked"),
        (Sent("scans.zip", zipped(GOOD).getvalue()[:-200]), "cannot be unpacked"),
        (zipped({"one.csv": MANIFEST, "two.csv": MANIFEST}), "several tables"),
    ],
)
def test_zips_that_lead_out_or_lie_are_refused_whole(repository: Repository, sent: Sent, said: str) -> None:
    outside = uploads_folder().parent
    before = sorted(outside.rglob("*"))
    with pytest.raises(ManifestErrors, match=said):
        import_upload(repository, "draft", [sent])
    assert sorted(outside.rglob("*")) == before
    assert cases_of(repository) == set()


@pytest.mark.parametrize("kind", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_zip_of_any_packing_is_refused_in_words(repository: Repository, kind: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        archive.writestr("m.csv", "image,case,patient,class,cohort\n" * 50)
    refused = []
    for place in range(35, 75):  # the packed bytes, behind the entry's header
        content = bytearray(buffer.getvalue())
        content[place] ^= 0xFF
        try:
            with unpacked([Sent("scans.zip", bytes(content))]):  # a bit that unpacking never asks for does no harm
                pass
        except ManifestError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert all("scans.zip" in text and "Fix: " in text for text in refused)
    assert left_behind() == []


def test_a_password_is_told(repository: Repository) -> None:
    sent = bytearray(zipped(GOOD).getvalue())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = sent.find(mark)
        while at >= 0:
            sent[at + offset] |= 1
            at = sent.find(mark, at + 4)
    with pytest.raises(ManifestErrors, match="password"):
        import_upload(repository, "draft", [Sent("scans.zip", bytes(sent))])


def test_a_file_that_swells_beyond_its_header_is_stopped(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_BYTES", 3 * 2**20)
    bomb = {**GOOD, "images/c.png": bytes(64 * 2**20)}
    with pytest.raises(ManifestErrors, match="larger than"):
        import_upload(repository, "draft", [zipped(bomb)])
    lying = bytearray(zipped(bomb).getvalue())
    at = lying.rfind(b"PK\x01\x02")
    lying[at + 24 : at + 28] = (100).to_bytes(4, "little")  # size in the directory: 100 bytes
    with pytest.raises(ManifestErrors, match=r"larger than|cannot be unpacked"):
        import_upload(repository, "draft", [Sent("scans.zip", bytes(lying))])
    assert left_behind() == []
    monkeypatch.setattr(uploads, "MAX_FILES", 2)
    with pytest.raises(ManifestErrors, match="3 entries, 2 at most"):
        import_upload(repository, "draft", [zipped(GOOD)])


def test_problems_are_those_of_the_command_and_name_files_as_they_were_sent(
    repository: Repository, tmp_path: Path
) -> None:
    bad = MANIFEST.replace(b"graves", b"gravs").replace(b"b.png", b"missing.png") + b"images/a.png,=1+1,p3,sat,\n"
    files = {**GOOD, "manifest.csv": bad}
    with pytest.raises(ManifestErrors) as sent:
        import_upload(repository, "draft", [zipped(files)], is_check_only=True)
    folder = tmp_path / "same"
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    with pytest.raises(ManifestErrors) as lying:
        import_cases(repository, "draft", folder / "manifest.csv", is_check_only=True)
    assert str(sent.value) == str(lying.value).replace(f"{folder}/", "")
    table, other = problem_table(sent.value), problem_table(lying.value)
    assert table.drop(columns="file").equals(other.drop(columns="file"))
    assert set(table["file"]) == {"manifest.csv"}
    assert list(table["row"]) == sorted(table["row"])
    assert str(uploads_folder()) not in str(sent.value)


def test_what_a_stopped_server_left_is_removed(repository: Repository) -> None:
    left = uploads_folder() / "upload-old"
    left.mkdir()
    (left / "scan.png").write_bytes(b"x")
    remove_left_uploads()
    assert left_behind() == []


def test_a_deed_that_fails_leaves_no_file(repository: Repository) -> None:
    modes = []

    def deed() -> None:
        with unpacked([zipped(GOOD)]) as source:
            modes.append((source.name, stat.S_IMODE(source.parent.stat().st_mode)))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        deed()
    assert modes == [("manifest.csv", 0o700)]
    assert left_behind() == []


def test_problem_table_of_one_error() -> None:
    table = problem_table(ManifestError("is wrong", file="a.csv", row=3, field="case", value=1, fix="mend it"))
    assert table.to_dict("records") == [
        {"file": "a.csv", "row": 3, "column": "case", "value": "1", "problem": "is wrong", "fix": "mend it"}
    ]
