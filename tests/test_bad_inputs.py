"""Seventy-four bad inputs and their siblings, each through the command or call that would meet it, made here.

Of each is asked: an error in the program's words with its code, naming the file, row, column and value as far as there
are any, and a fix; exit status 2 without a traceback; and a store whose content is byte for byte what it was. Numbers
that are no error in this program stand in ``TAKEN`` with what is done instead.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import pickle
import shutil
import socket
import sqlite3
import struct
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest
import safetensors.torch
import torch
from argon2.profiles import CHEAPEST
from PIL import Image
from pydicom.uid import MPEG2MPML
from sqlalchemy.exc import StatementError

import manage
from core.errors import AccessError, InputError, NotFoundError, ReadingRoomError
from core.imaging import encode_png, load_image, manifest_cases
from core.model.architectures import build
from core.model.card import WEIGHTS_FILE
from core.model.checkpoint import ModelCard, save_checkpoint
from core.phantom import generate_case
from core.phantom.dicom import dicom_bytes
from core.protocol import Protocol
from core.protocol_file import read_protocol_file
from core.settings import get_settings
from core.study import Answer, CaseRecord, Role, StudyState
from db import OPERATOR, Repository, create_store, open_store
from db.password_hashing import Passwords

CLASSES = ("graves", "normal", "sat", "tumor")
PICTURES = [np.random.default_rng(seed).integers(0, 200, (20, 24), np.uint8) for seed in range(8)]
PHANTOM = generate_case(("bad inputs", 1), "normal", centre="C1")
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001


@dataclass
class Bench:
    """A folder for the bad input, a store that it must not touch, and the command line."""

    folder: Path
    path: Path  # of the store
    monkeypatch: pytest.MonkeyPatch
    capture: pytest.CaptureFixture[str]
    sockets: list[socket.socket] = field(default_factory=list)

    def content_sha256(self) -> str:
        """Of every row of every table."""
        with closing(sqlite3.connect(self.path)) as connection:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            every = {name: connection.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables}  # noqa: S608
        return hashlib.sha256(
            repr([(name, sorted(map(repr, every[name]))) for name in sorted(every)]).encode()
        ).hexdigest()

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, standard output and standard error of a command."""
        self.monkeypatch.setattr(sys, "argv", ["manage.py", *arguments])
        get_settings.cache_clear()
        self.capture.readouterr()
        with pytest.raises(SystemExit) as ended:  # anything else would be a traceback
            manage.main()
        out, err = self.capture.readouterr()
        return int(ended.value.code or 0), out, err

    def repository(self, login: str | None = None) -> Repository:
        """The store as the operator, or as a person who signs in."""
        engine = open_store(f"sqlite:///{self.path}")
        if login is None:
            return Repository(engine, OPERATOR)
        door = Repository(engine, None, passwords=Passwords(CHEAPEST))
        token = door.authenticate(login, "a long enough password", "127.0.0.1")
        return Repository(engine, door.actor_for_token(token), token=token)

    def write(self, name: str, content: str | bytes) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def manifest(self, content: str | bytes) -> list[str]:
        """The command that imports a manifest with this content."""
        return ["import", str(self.write("m.csv", content)), "--study", "draft"]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a draft, a study that is open, one that is closed, and one that is unsealed."""
    path = tmp_path_factory.mktemp("template") / "store.sqlite3"
    operator = Repository(create_store(f"sqlite:///{path}"), OPERATOR, passwords=Passwords(CHEAPEST))
    for login in ("ann", "ben"):
        operator.create_person(login, login.title(), Role.READER, is_temporary=False, password="a long enough password")
    states = (StudyState.OPEN, StudyState.CLOSED, StudyState.LOCKED, StudyState.UNSEALED)
    for seed, (key, last) in enumerate((("open", "open"), ("closed", "closed"), ("done", "unsealed"))):
        operator.create_study(key, Protocol(title=key), is_synthetic=True)
        rng = np.random.default_rng(seed)
        operator.import_cases(
            key,
            [
                CaseRecord(f"c{n}", f"p{n}", "internal", CLASSES[n % 4], rng.integers(0, 255, (16, 16), np.uint8))
                for n in range(4)
            ],
        )
        operator.add_reader(key, "ann", cohorts=["internal"])
        for state in states:
            operator.set_state(key, state)
            if state == last:
                break
    operator.create_study("draft", Protocol(title="Draft"))
    operator.engine.dispose()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


@pytest.fixture
def bench(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Bench]:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "reading_room.sqlite3"
    shutil.copyfile(template, path)
    monkeypatch.setenv("READING_ROOM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("READING_ROOM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "set"
    for number, pixels in enumerate(PICTURES):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "images" / f"{number}.png").write_bytes(encode_png(pixels))
    bench = Bench(folder, path, monkeypatch, capsys)
    yield bench
    for each in bench.sockets:
        each.close()
    get_settings.cache_clear()


def rows(*changes: Mapping[str, str], extra: Mapping[str, str] = {}) -> list[dict[str, str]]:
    """Four good rows, each with its changes, all with further columns."""
    good = [
        {"image": f"images/{n}.png", "case": f"c{n}", "patient": f"p{n}", "class": CLASSES[n], "cohort": "internal"}
        for n in range(4)
    ]
    return [{**row, **extra, **(changes[n] if n < len(changes) else {})} for n, row in enumerate(good)]


def table(found: list[dict[str, str]]) -> str:
    """Rows as CSV."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


GOOD = table(rows())
LINES = GOOD.splitlines()
GOOD_OF_ONE_CLASS = table([{**row, "class": "sat"} for row in rows()])


@dataclass(frozen=True)
class Bad:
    """One bad input: what makes it and gives the command, and what the error must name."""

    number: int
    name: str
    command: Callable[[Bench], list[str]]
    said: tuple[str, ...]
    code: str = "bad-manifest"


def _manifest(number: int, name: str, content: str | bytes, *said: str) -> Bad:
    """A manifest that is refused in its own name."""
    return Bad(number, name, lambda bench: bench.manifest(content), ("m.csv", *said))


def _row(number: int, name: str, change: Mapping[str, str], *said: str, extra: Mapping[str, str] = {}) -> Bad:
    """A manifest whose second row has a fault."""
    return _manifest(number, name, table(rows({}, change, extra=extra)), "row 3", *said)


MANIFESTS = [
    _manifest(1, "empty", "", "row 1", "empty"),
    _manifest(2, "header only", LINES[0] + "\n", "row 2", "no row"),
    _manifest(3, "missing column", GOOD.replace(",patient,", ",age,"), "row 1", "'patient'", "missing"),
    _manifest(4, "unknown column", table(rows(extra={"scaner": "A"})), "row 1", "'scaner'", "unknown column"),
    _manifest(5, "duplicate column", GOOD.replace(",patient,", ",case,", 1), "row 1", "'case'", "twice"),
    _manifest(6, "short row", "\n".join([*LINES[:2], LINES[2].rsplit(",", 1)[0], *LINES[3:]]), "row 3", "too few"),
    _manifest(7, "long row", "\n".join([*LINES[:2], LINES[2] + ",x", *LINES[3:]]), "row 3", "too many"),
    _manifest(8, "wrong delimiter", GOOD.replace(",", "^"), "row 1"),
    _manifest(10, "Latin-1", table(rows({}, {"patient": "Müller"})).encode("latin-1"), "row 3", "not UTF-8"),
    _manifest(11, "NUL", GOOD.replace("p1", "p\0"), "row 3", "NUL"),
    _manifest(12, "unclosed quote", GOOD.replace("p1", '"p1'), "row 3", "never closed"),
    _row(13, "duplicate case id", {"case": "c0"}, "'case'", "row 2 already", "'c0'"),
    _row(14, "blank id", {"case": ""}, "'case'", "blank"),
    _row(16, "whitespace label", {"class": "  "}, "'class'", "blank"),
    _row(17, "label outside the set", {"class": "goitre"}, "'class'", "'goitre'", "graves, normal, sat, tumor"),
    _manifest(
        18,
        "mixed bool and int labels",
        table(rows({"class": "True"}, {"class": "1"}, {"class": "0"})),
        "row 2",
        "'True'",
        "row 3",
        "'1'",
        "row 4",
        "'0'",
    ),
    _row(19, "path that climbs", {"image": "../data/reading_room.sqlite3"}, "'image'", "climbs out", "'../data"),
    _row(20, "absolute path", {"image": "/etc/passwd"}, "'image'", "absolute", "'/etc/passwd'"),
    _row(22, "missing file", {"image": "images/9.png"}, "'image'", "no such file", "'images/9.png'"),
    _row(23, "same image twice", {"image": "images/0.png"}, "'image'", "the same picture is case 'c0'", "row 2"),
    _manifest(25, "one class only", GOOD_OF_ONE_CLASS, "row 2", "'class'", "'sat'", "of one class"),
    _row(24, "patient in training and test", {"patient": "p0", "cohort": "training"}, "'patient'", "one is training"),
]  # fmt: skip


def _link_out(bench: Bench) -> list[str]:
    (bench.folder / "images" / "link.png").symlink_to(bench.path)
    return bench.manifest(table(rows({}, {"image": "images/link.png"})))


MANIFESTS.append(Bad(21, "link that leads out", _link_out, ("m.csv", "row 3", "'image'", "through a link", "link.png")))


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return buffer.getvalue()


def _huge_png() -> bytes:
    """A valid header of 20000 x 20000 pixels over almost no data."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    packed = zlib.compress(bytes(5000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def _image(number: int, name: str, file: str, content: Callable[[], bytes], *said: str) -> Bad:
    """An image file that is refused at its row of the manifest."""

    def command(bench: Bench) -> list[str]:
        bench.write(f"images/{file}", content())
        return bench.manifest(table(rows({}, {"image": f"images/{file}"})))

    return Bad(number, name, command, ("m.csv", "row 3", "'image'", file, *said))


GREY = Image.fromarray(PICTURES[0])
NOISE = np.random.default_rng(9).integers(0, 256, (48, 64), np.uint8)
SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


def _transparent() -> bytes:
    picture = GREY.convert("RGBA")
    picture.putpixel((0, 0), (10, 20, 30, 128))
    return _saved(picture, "PNG")


def _animated() -> bytes:
    return _saved(GREY, "PNG", save_all=True, append_images=[Image.fromarray(PICTURES[1])])


IMAGES = [
    _image(27, "zero bytes", "a.png", lambda: b"", "empty (0 bytes)"),
    _image(28, "truncated", "a.png", lambda: encode_png(NOISE)[:900], "cut short"),
    _image(29, "HTML named .jpg", "a.jpg", lambda: b"<!DOCTYPE html><html>404</html>", "HTML page"),
    _image(30, "extension and content differ", "a.jpg", lambda: encode_png(NOISE), "JPEG but the content is PNG"),
    _image(31, "above the pixel cap", "a.png", _huge_png, "16,777,216 pixels", "'20000 x 20000'"),
    _image(32, "animated", "a.png", _animated, "animated"),
    _image(33, "CMYK", "a.jpg", lambda: _saved(GREY.convert("CMYK"), "JPEG"), "CMYK"),
    _image(35, "transparent", "a.png", _transparent, "transparent"),
    _image(37, "one pixel", "a.png", lambda: encode_png(PICTURES[0][:1, :1]), "smaller than 16", "'1 x 1'"),
    _image(38, "SVG", "a.svg", lambda: SVG, "SVG"),
]


def _dicom(change: Callable[[pydicom.Dataset], None], **options: object) -> bytes:
    """A valid static NM file with one thing changed."""
    data = pydicom.dcmread(io.BytesIO(dicom_bytes(PHANTOM, "dummy")))
    change(data)
    buffer = io.BytesIO()
    data.save_as(buffer, **options)
    return buffer.getvalue()


def _set(**values: object) -> Callable[[pydicom.Dataset], None]:
    def change(data: pydicom.Dataset) -> None:
        for name, value in values.items():
            setattr(data, name, value)

    return change


def _without_pixels(data: pydicom.Dataset) -> None:
    del data.PixelData


def _half(data: pydicom.Dataset) -> None:
    data.PixelData = data.PixelData[: len(data.PixelData) // 2]


def _two_frames(data: pydicom.Dataset) -> None:
    data.NumberOfFrames, data.PixelData = 2, data.PixelData * 2


def _mpeg() -> bytes:
    def change(data: pydicom.Dataset) -> None:
        data.file_meta.TransferSyntaxUID = MPEG2MPML
        data.PixelData = pydicom.encaps.encapsulate([data.PixelData])
        data["PixelData"].is_undefined_length = True

    return _dicom(change)


REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
IMAGES += [
    _image(39, "no DICOM prefix, and none inside", "a.dcm", lambda: b"\0" * 4000, "no DICOM file"),
    _image(40, "no pixels", "a.dcm", lambda: _dicom(_without_pixels), "no pixels"),
    _image(41, "pixels cut short", "a.dcm", lambda: _dicom(_half), "cut short", "16384 of 32768 bytes"),
    _image(42, "unsupported transfer syntax", "a.dcm", _mpeg, "MPEG2", "uncompressed"),
    _image(43, "several frames", "a.dcm", lambda: _dicom(_two_frames), "2 frames", "column 'frame'"),
    _image(45, "burnt-in annotation", "a.dcm", lambda: _dicom(_set(BurnedInAnnotation="YES")), "burned-in text"),
    _image(47, "structured report", "a.dcm", lambda: _dicom(_set(SOPClassUID=REPORT)), "structured report"),
]


# --- readings and predictions

READINGS = ["case,truth,reader,label,confidence", "c0,sat,ann,sat,3", "c1,normal,ann,normal,2", "c2,sat,ann,normal,4"]


def _readings(number: int, name: str, line: str, *said: str) -> Bad:
    """A file of readings whose third row is this."""
    text = "\n".join([*READINGS[:2], line, *READINGS[3:]])
    return Bad(number, name, lambda bench: ["analyse", str(bench.write("r.csv", text))], ("r.csv", "row 3", *said))


def _predictions(*lines: str) -> Callable[[Bench], list[str]]:
    """The command that imports a file of predictions."""

    def command(bench: Bench) -> list[str]:
        text = "\n".join(["case,p_graves,p_normal,p_sat,p_tumor", *lines])
        return ["model", "import", str(bench.write("p.csv", text)), "--name", "m", "--study", "open"]

    return command


RATINGS = [
    Bad(48, "unknown reader", lambda _: ["study", "add-reader", "nobody", "-s", "open"], ("'nobody'",), "not-found"),
    Bad(49, "unknown case", _predictions("c0,1,0,0,0", "c9,1,0,0,0"), ("p.csv", "row 3", "'case'", "'c9'")),
    _readings(50, "duplicate", "c0,sat,ann,normal,2", "row 2"),
    _readings(51, "confidence NaN", "c1,normal,ann,normal,Infinity", "'confidence'", "'Infinity'"),
    _readings(52, "comma decimal", 'c1,normal,ann,normal,"2,5"', "'confidence'", "'2,5'", "decimal"),
    Bad(56, "one bad row of many", _predictions("c0,1,0,0,0", "c1,1,1,0,0"), ("p.csv", "row 3", "sum to 2")),
]  # fmt: skip


# --- settings and the command line


def _with(command: list[str], **variables: str) -> Callable[[Bench], list[str]]:
    """A command with variables in its environment."""

    def prepare(bench: Bench) -> list[str]:
        for name, value in variables.items():
            bench.monkeypatch.setenv(f"READING_ROOM_{name}", value)
        return command

    return prepare


def _busy_port(bench: Bench) -> list[str]:
    taken = socket.create_server(("127.0.0.1", 0))
    bench.sockets.append(taken)
    return ["serve", "--port", str(taken.getsockname()[1])]


def _full_folder(bench: Bench) -> list[str]:
    bench.write("out/there.txt", "kept")
    return ["export", str(bench.folder / "out"), "--study", "done"]


def _below_a_file(bench: Bench) -> list[str]:
    bench.write("file", "no folder")
    return ["backup", str(bench.folder / "file" / "backup.sqlite3")]


def _no_cases(bench: Bench) -> list[str]:
    return ["study", "state", "open", "--study", "draft"]


PASSWORD_URL = "postgresql://anna:s3cr3t-pass@127.0.0.1:1/rr"
COMMANDS = [
    Bad(57, "unknown key", _with(["study", "list"], THRAEDS="2"), ("ROOM_THRAEDS", "did you mean"), "bad-setting"),
    Bad(58, "wrong type", _with(["study", "list"], THREADS="many"), ("ROOM_THREADS", "integer"), "bad-setting"),
    Bad(
        59,
        "negative count",
        lambda bench: ["phantoms", str(bench.folder / "new"), "--per-class", "-3"],
        ("'training'", "at least one case", "-3"),
        "bad-input",
    ),
    Bad(60, "nothing to read", _no_cases, ("'draft'", "no case to read"), "conflict"),
    Bad(
        63,
        "conflicting flags",
        lambda _: ["plan", "--difference", "0.1", "--auc", "0.8", "--component", "reader=0.1"],
        ("one source", "--auc"),
        "bad-input",
    ),
    Bad(64, "output exists", _full_folder, ("out", "not empty", "nothing was written"), "conflict"),
    Bad(65, "folder that cannot be written", _below_a_file, ("file",), ""),
    Bad(66, "bad database address", _with(["study", "list"], DATABASE_URL=PASSWORD_URL), ("127.0.0.1",), ""),
    Bad(67, "port busy", _busy_port, ("Port", "--port 8502"), "error"),
]  # fmt: skip


# --- weights


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network of the study's classes."""
    folder = tmp_path_factory.mktemp("checkpoint")
    save_checkpoint(folder, build("shufflenet_v2_x1_0", 4).module.eval(), _card())
    return folder


def _card(**changes: object) -> ModelCard:
    card = ModelCard("shufflenet_v2_x1_0", CLASSES, 64, "random")
    return replace(card, **changes)  # type: ignore[arg-type]


class _Canary:
    """A pickle that leaves a mark when it is run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return Path.mkdir, (self.mark,)


def _changed_weights(change: Callable[[dict[str, torch.Tensor], dict[str, str]], None]) -> Callable[[Bench], list[str]]:
    """The command that registers a checkpoint with something changed, whose card beside it is gone."""

    def command(bench: Bench) -> list[str]:
        source, file = bench.folder.parent / "weights" / WEIGHTS_FILE, bench.folder / "model.safetensors"
        tensors = safetensors.torch.load_file(source)
        with safetensors.safe_open(source, "pt") as opened:
            metadata = dict(opened.metadata())
        change(tensors, metadata)
        safetensors.torch.save_file(tensors, file, metadata)
        return ["model", "register", str(file)]

    return command


def _flipped(bench: Bench) -> list[str]:
    folder = bench.folder / "weights"
    shutil.copytree(bench.folder.parent / "weights", folder)
    content = bytearray((folder / WEIGHTS_FILE).read_bytes())
    content[-5] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(content)
    return ["model", "register", str(folder)]


def _pickled(bench: Bench) -> list[str]:
    return ["model", "register", str(bench.write("model.pt", pickle.dumps(_Canary(bench.folder / "ran"))))]


def _wider(tensors: dict[str, torch.Tensor], _: dict[str, str]) -> None:
    tensors["trunk.0.0.weight"] = torch.zeros(24, 3, 5, 5)


def _fewer_classes(_: dict[str, torch.Tensor], metadata: dict[str, str]) -> None:
    for key, value in metadata.items():
        if "classes" in value:
            card = json.loads(value)
            card["classes"] = list(CLASSES[:3])
            metadata[key] = json.dumps(card)


def _not_a_number(tensors: dict[str, torch.Tensor], _: dict[str, str]) -> None:
    tensors["trunk.0.0.weight"][0, 0, 0, 0] = float("nan")


WEIGHTS = [
    Bad(68, "missing", lambda bench: ["model", "register", str(bench.folder / "no.safetensors")], ("no.safetensors",)),
    Bad(69, "other bytes than registered", _flipped, ("one of the two was changed",)),
    Bad(70, "pickle", _pickled, ("model.pt", "pickle")),
    Bad(71, "other shape", _changed_weights(_wider), ("trunk.0.0.weight", "(24, 3, 5, 5)")),
    Bad(72, "other number of classes", _changed_weights(_fewer_classes), ("4 outputs for 3 classes",)),
    Bad(73, "no number", _changed_weights(_not_a_number), ("not finite", "trunk.0.0.weight")),
]

REFUSED = [*MANIFESTS, *IMAGES, *RATINGS, *COMMANDS, *(replace(bad, code="bad-checkpoint") for bad in WEIGHTS)]


# --- more of the same kinds, each of which was once refused with a fix that did not help, taken, or never answered


def _raw(name: str, value: bytes) -> Callable[[pydicom.Dataset], None]:
    """An element with bytes that pydicom would not write."""

    def change(data: pydicom.Dataset) -> None:
        tag = pydicom.tag.Tag(pydicom.datadict.tag_for_keyword(name))
        vr = pydicom.datadict.dictionary_VR(tag)
        data._dict[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(value), value, 0, False, True)

    return change


def _named(label: str, command: list[str], *said: str, code: str = "bad-input") -> Bad:
    return Bad(0, label, lambda _: command, said, code)


def _circle(bench: Bench) -> list[str]:
    (bench.folder / "images" / "link.png").symlink_to("link.png")
    return bench.manifest(table(rows({}, {"image": "images/link.png"})))


def _wide_file(bench: Bench) -> list[str]:
    path = bench.write("images/a.png", encode_png(NOISE))
    with path.open("r+b") as file:
        file.truncate(65 * 2**20)  # a hole: nothing is written
    return bench.manifest(table(rows({}, {"image": "images/a.png"})))


def _frames(count: bytes) -> Callable[[], bytes]:
    return lambda: _dicom(_raw("NumberOfFrames", count))


def _analysed(*options: str) -> Callable[[Bench], list[str]]:
    return lambda bench: ["analyse", str(bench.write("r.csv", "\n".join(READINGS))), *options]


SIBLINGS = [
    _image(0, "a thousand million frames", "a.dcm", _frames(b"1000000000"), "number of frames", "1000000000"),
    _image(0, "frames below none", "a.dcm", _frames(b"-1"), "number of frames", "-1"),
    _image(0, "slope that is none", "a.dcm", lambda: _dicom(_raw("RescaleSlope", b"1,5 ")), "no number", "1,5"),
    _image(0, "intercept without end", "a.dcm", lambda: _dicom(_raw("RescaleIntercept", b"1e400 ")), "no number"),
    _image(0, "image type of one word", "a.dcm", lambda: _dicom(_raw("ImageType", b"ORIGINAL")), "'ORIGINAL'"),
    Bad(0, "file above the limit", _wide_file, ("m.csv", "row 3", "larger than 64 MiB", "Fix: export the image")),
    Bad(0, "link to itself", _circle, ("m.csv", "row 3", "leads to itself")),
    _row(0, "capitals in two parts", {"image": "IMAGES/1.PNG"}, "'image'", "did you mean 'images/1.png'"),
    _row(0, "colour in one row", {"colour": "keep"}, "'colour'", "row 2 has this view in grey", extra={"colour": ""}),
    _manifest(0, "a picture for a table", encode_png(NOISE), "a PNG picture"),
    _manifest(0, "JSON", '[{"image": "a.png"}]', "is JSON"),
    _manifest(0, "SQLite", b"SQLite format 3\0", "an SQLite database"),
    Bad(0, "column that is not there", _analysed("--column", "label=Dx"), ("r.csv", "called Dx"), "bad-input"),
    Bad(0, "report without a name", _analysed("--report", ""), ("report.pdf",), "bad-input"),
    _named("cohort that is none", ["results", "-s", "done", "-c", "nope"], "'nope'", code="not-found"),
    _named("title of blanks", ["study", "create", "k", "--title", " "], "'title'"),
    _named("years below none", ["person", "add", "z", "--years", "-1"], "'years_of_experience'", "-1"),
    _named("years that are no number", ["person", "add", "z", "--years", "nan"], "'years_of_experience'", "nan"),
    _named("invitation without an end", ["person", "invite", "Ben", "--days", "1e9"], "'days'", "90"),
    _named("group of a study without", ["study", "add-reader", "ben", "-s", "open", "--group", "1"], "'group'"),
    _named("invitation to no study", ["person", "invite", "Ben", "-s", "nope"], "'nope'", code="not-found"),
]  # fmt: skip


@pytest.mark.parametrize("bad", [*REFUSED, *SIBLINGS], ids=lambda bad: f"{bad.number} {bad.name}")
def test_a_bad_input_is_refused_in_words_and_nothing_is_written(
    bench: Bench, request: pytest.FixtureRequest, bad: Bad
) -> None:
    if bad.code == "bad-checkpoint":
        shutil.copytree(request.getfixturevalue("checkpoint"), bench.folder.parent / "weights")
    command = bad.command(bench)
    before, files = bench.content_sha256(), sorted(path for path in bench.folder.rglob("*"))
    status, out, err = bench.run(*command)
    assert (status, "Traceback" in out + err) == (2, False), out + err
    for words in (f"({bad.code})" if bad.code else "Error", *bad.said, "Fix:"):
        assert words in err, f"{words!r} is not in: {err}"
    assert "s3cr3t-pass" not in out + err
    assert bench.content_sha256() == before
    assert sorted(path for path in bench.folder.rglob("*")) == files


# --- calls that no command makes


def _by_call(bench: Bench, call: Callable[[], object], kind: type[ReadingRoomError], *said: str) -> None:
    """A call that is refused with these words, and leaves the store as it is."""
    before = bench.content_sha256()
    with pytest.raises(kind) as refused:
        call()
    for words in said:
        assert words in str(refused.value)
    assert bench.content_sha256() == before


def test_53_an_instant_without_a_time_zone_is_never_stored(bench: Bench) -> None:
    """No file of readings carries instants: the store's own clock writes them, and one without a zone is refused."""
    repository = bench.repository("ann")
    place = repository.next_presentation("open")
    before = bench.content_sha256()
    naive = Repository(repository.engine, repository.actor, token=repository._token, clock=lambda: NAIVE)
    with pytest.raises(StatementError, match="has no time zone"):
        naive.save_reading(place.presentation_id, Answer("sat", 3), submit_id="s")
    assert bench.content_sha256() == before


def test_54_a_reader_who_has_no_part_in_a_study_answers_nothing_in_it(bench: Bench) -> None:
    place = bench.repository("ann").next_presentation("open")
    ben = bench.repository("ben")
    _by_call(
        bench,
        lambda: ben.save_reading(place.presentation_id, Answer("sat", 3), submit_id="s"),
        NotFoundError,
        "There is no such presentation",
    )
    _by_call(bench, lambda: ben.next_presentation("open"), NotFoundError, "'open'")


def test_55_a_study_that_is_closed_takes_no_reading(bench: Bench) -> None:
    with closing(sqlite3.connect(bench.path)) as connection:
        (presentation,) = connection.execute(
            "SELECT presentation_id FROM presentation NATURAL JOIN study WHERE study_key = 'closed'"
        ).fetchone()
    ann = bench.repository("ann")
    _by_call(
        bench,
        lambda: ann.save_reading(presentation, Answer("sat", 3), submit_id="s"),
        AccessError,
        "closed",
        "only while it is open",
    )


PROTOCOLS = {
    "57 unknown key": ("washuot_days: 3", "'washuot_days'", "did you mean 'washout_days'"),
    "58 wrong type": ("washout_days: many", "'washout_days'", "'many'", "valid integer"),
    "59 negative count": ("planned: {n_readers: -2}", "'planned.n_readers'", "-2", "1 or more"),
    "61 washout below zero": ("washout_days: -1", "'washout_days'", "-1", "0 or more"),
    "62 seed missing": ("order: {seed: }", "'order.seed'", "leave the line out for the default"),
    "59 seed above 64 bits": ("order: {seed: 99999999999999999999999}", "'order.seed'", "64 bits"),
    "59 number without end": ("washout_days: .inf", "'washout_days'", "inf"),
    "59 empty screen below zero": ("blank_seconds: -1", "'blank_seconds'", "0 to 10"),
    "59 ends before it begins": ("closes_on: 2026-02-01\nopens_on: 2026-03-01", "'closes_on'", "2026-02-01"),
    "57 no SHA-256": ("model_sha256: abc", "'model_sha256'", "'abc'"),
    "57 two cohorts of one name": ("cohorts: [internal, Internal]", "'cohorts'", "twice"),
    "58 control character": ('instructions: "a\\u0007b"', "'instructions'", "control character"),
    "58 half a character": ('instructions: "a\\ud800b"', "'instructions'", "control character"),
}


@pytest.mark.parametrize("item", PROTOCOLS)
def test_a_bad_protocol_is_refused_at_its_line(bench: Bench, item: str) -> None:
    """A seed that is left out has its default, which is stored with the protocol; one that is blank is refused."""
    line, *said = PROTOCOLS[item]
    path = bench.write("protocol.yaml", f"schema: 1\ntitle: T\n{line}\n")
    _by_call(bench, lambda: read_protocol_file(path), InputError, "protocol.yaml", "row 3", "Fix:", *said)


# --- what the list asks to take, or what this program takes with a word


def _import(bench: Bench, content: str | bytes) -> tuple[list[CaseRecord], str]:
    """The cases of a manifest, which the command takes; what the command says."""
    status, out, err = bench.run(*bench.manifest(content))
    assert status == 0, err
    return list(manifest_cases(bench.folder / "m.csv")), out


def _same_cases(bench: Bench, content: bytes) -> None:
    found, _ = _import(bench, content)
    assert [record.case for record in found] == ["c0", "c1", "c2", "c3"]


def _ids_stay(bench: Bench) -> None:
    found, _ = _import(bench, table(rows({"case": "007"}, {"case": "NA"}, {"case": "1E5"})))
    assert [record.case for record in found] == ["007", "NA", "1E5", "c3"]
    assert [info.case for info in bench.repository().cases("draft")] == ["1E5", "007", "c3", "NA"]


def _cohort_of_one_class(bench: Bench) -> None:
    _, out = _import(bench, table(rows({"class": "normal"}, {"cohort": "external"})))
    assert "Cohort 'external' has only one class (normal)" in out


def _formulas(bench: Bench) -> None:
    """The exported form has an apostrophe in front, which import takes off again: tests/core/test_csv_file.py."""
    found, _ = _import(bench, table(rows({"case": "=1+1", "patient": "@a"}, {"case": "-2"})))
    assert [record.case for record in found][:2] == ["=1+1", "-2"]


def _loaded(bench: Bench, name: str, content: bytes) -> tuple[np.ndarray, tuple[str, ...]]:
    """Pixels and notes of an image that the command takes."""
    bench.write(f"images/{name}", content)
    _import(bench, table(rows({}, {"image": f"images/{name}"})))
    image = load_image(bench.folder / "images" / name)
    assert np.array_equal(bench.repository().case_image("draft", "c1").pixels, image.pixels)
    return image.pixels, image.notes + image.dropped


def _deep(bench: Bench) -> None:
    deep = np.random.default_rng(1).integers(0, 60_000, (20, 24), np.uint16)
    pixels, _ = _loaded(bench, "deep.png", encode_png(deep))
    assert np.array_equal(pixels, deep)


def _turned(bench: Bench) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    pixels, notes = _loaded(bench, "turned.png", _saved(GREY.point(lambda grey: 255 - grey), "PNG", exif=exif))
    assert np.array_equal(pixels, 255 - PICTURES[0][::-1, ::-1])
    assert any(note.startswith("EXIF orientation applied") for note in notes)


def _monochrome1(bench: Bench) -> None:
    data = _dicom(_set(PhotometricInterpretation="MONOCHROME1"))
    pixels, notes = _loaded(bench, "one.dcm", data)
    assert np.array_equal(pixels, PHANTOM.counts)
    assert "MONOCHROME1: counts kept as stored, not inverted" in notes


def _patient_in_header(bench: Bench) -> None:
    _, notes = _loaded(bench, "phi.dcm", _dicom(_set(PatientName="CANARY^NAME", OperatorsName="CANARY^TOO")))
    assert {"PatientName", "OperatorsName"} <= set(notes)
    assert b"CANARY" not in bench.path.read_bytes() + bench.path.with_name(bench.path.name + "-wal").read_bytes()


def _trained_on_a_gpu(bench: Bench) -> None:
    """A safetensors file knows no device."""
    path = save_checkpoint(bench.folder / "gpu", build("shufflenet_v2_x1_0", 4).module.eval(), _card(device="H100"))
    status, _, err = bench.run("model", "register", str(path))
    assert status == 0, err
    assert bench.repository().models()[0].metadata["device"] == "H100"


TAKEN: dict[str, Callable[[Bench], None]] = {
    "8 semicolons: told by the header and read": lambda bench: _same_cases(bench, GOOD.replace(",", ";").encode()),
    "9 UTF-16: told by its mark and read": lambda bench: _same_cases(bench, GOOD.encode("utf-16")),
    "15 ids with leading zeros and NA: kept exactly": _ids_stay,
    "25 one class only in a cohort: a warning, where the study has others": _cohort_of_one_class,
    "26 formula cells: ids like any other": _formulas,
    "34 16-bit grey: stored as it is, shown by the protocol's window": _deep,
    "36 EXIF orientation: applied, for reader and model alike": _turned,
    "44 MONOCHROME1: counts as stored, and a note": _monochrome1,
    "46 a patient's name in the header: left behind, and a note": _patient_in_header,
    "74 weights of a GPU: loaded on the CPU": _trained_on_a_gpu,
}


@pytest.mark.parametrize("item", TAKEN)
def test_what_is_no_error_here_is_taken_as_said(bench: Bench, item: str) -> None:
    TAKEN[item](bench)


def test_every_number_of_the_list_is_here() -> None:
    called = {int(name.split("_")[1]) for name in globals() if name.startswith("test_5")}
    named = {int(item.split()[0]) for item in (*TAKEN, *PROTOCOLS)}
    assert {bad.number for bad in REFUSED} | called | named == set(range(1, 75))
