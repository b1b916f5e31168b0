"""A study in which everything that a reader must not learn is a canary; made of real files by the real import."""

from __future__ import annotations

import csv
import io
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from actions.import_cases import import_cases
from actions.import_model import import_predictions
from actions.models import declare_model
from core.canaries import Canary, new_number, new_word
from core.errors import OutsideDatesError
from core.phantom import PhantomCase, generate_case
from core.phantom.dicom import dicom_bytes
from core.protocol import Design, DiseaseClass, Protocol
from core.study import Answer, Role, StudyState
from db import OPERATOR, Notary, Repository, open_store
from db.throwaway import ThrowawayStore, throwaway_store

N_CASES = 12
STUDY = "audited"
TITLE = "Study of the blinding audit"
READER = "reader"
_VIEWS = ("front", "side")  # of each case; readers see these names
_N_CLASSES = 4
_LETTERS = "bcdfghkmnpqrstvwxz"
_EXIF_TEXTS = {0x010E: "EXIF description", 0x0110: "EXIF camera", 0x013B: "EXIF artist"}
_DICOM_TEXTS = {
    "PatientName": "DICOM patient name",
    "AccessionNumber": "DICOM accession number",
    "InstitutionName": "DICOM institution",
    "StudyDescription": "DICOM study description",
    "SeriesDescription": "DICOM series description",
    "ImageComments": "DICOM comment",
    "ReferringPhysicianName": "DICOM physician",
    "StationName": "DICOM station",
}


@dataclass
class PlantedStudy:
    """Where the study is, and what was planted in it.

    ``classes`` cannot be canaries, for every reader is shown all of them: no case has the first one, which the audited
    reader answers always and the model always says, so the others must stand equally often in whatever that reader
    receives.
    """

    folder: Path  # data folder of the store; its name is a canary too
    design: Design = Design.UNAIDED
    store: ThrowawayStore = field(init=False)
    canaries: list[Canary] = field(default_factory=list)
    classes: tuple[DiseaseClass, ...] = ()
    truth_of: dict[str, str] = field(default_factory=dict)  # case id -> class key
    case_of_output: dict[str, str] = field(default_factory=dict)  # probability of the model -> case id
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def word(self, kind: str) -> str:
        """A new word, planted by whoever asked for it."""
        self.canaries.append(new_word(kind))
        return self.canaries[-1].text

    def probabilities(self, case: str) -> list[str]:
        """One probability per class with sum 1, the first one the largest; the others are planted."""
        numbers = [new_number("model output", 0.11, 0.24) for _ in range(_N_CLASSES - 1)]
        self.canaries += numbers
        self.case_of_output |= dict.fromkeys((number.text for number in numbers), case)
        rest = 1_000_000_000 - sum(int(number.text[2:]) for number in numbers)
        return [f"0.{rest:09d}", *(number.text for number in numbers)]


@contextmanager
def planted_study(folder: Path, design: Design, server: str | None) -> Iterator[PlantedStudy]:
    """Write image files, import them, import a model, let other readers answer; the study is then open.

    Parameters
    ----------
    folder : Path
        An empty folder; files and store go below it.
    design : Design
        In one with two arms the audited reader begins unaided.
    server : str, optional
        Where the store is made if not below the folder: :func:`db.throwaway.throwaway_store`.
    """
    planted = PlantedStudy(folder, design)
    planted.folder = folder / planted.word("data folder")
    planted.folder.mkdir()
    planted.classes = tuple(_class() for _ in range(_N_CLASSES))
    with throwaway_store(planted.folder, server, planted.word("name of the store")) as planted.store:
        engine = open_store(planted.store.url)
        try:
            _plant(planted, folder, Repository(engine, OPERATOR, notary=Notary(planted.folder)))
        finally:
            engine.dispose()
        yield planted


def _plant(planted: PlantedStudy, folder: Path, operator: Repository) -> None:
    """Everything into the store."""
    protocol = Protocol(TITLE, classes=planted.classes, design=planted.design)
    operator.create_study(STUDY, protocol, is_synthetic=True)
    import_cases(operator, STUDY, _write_files(planted, folder))
    version, _ = import_predictions(
        operator, STUDY, _write_predictions(planted, folder),
        name=planted.word("model name"), note=planted.word("model note"),
    )  # fmt: skip
    planted.canaries.append(Canary("model hash", version.sha256[:16]))
    declare_model(operator, STUDY, version.sha256)
    _create_people(planted, operator)
    operator.set_state(STUDY, StudyState.OPEN)
    for login in (person.login for person in operator.people() if person.login != READER):
        if operator.person(login).role is Role.READER:
            _answer(planted, Repository(operator.engine, None, notary=Notary(planted.folder)), operator, login)
    _create_other_study(planted, operator)


def _class() -> DiseaseClass:
    """A class whose key and label stand nowhere else."""
    key, label = ("".join(secrets.choice(_LETTERS) for _ in range(9)) for _ in range(2))
    return DiseaseClass(key, label.capitalize(), label.capitalize())


def _write_files(planted: PlantedStudy, folder: Path) -> Path:
    """Images of three formats in a folder with a manifest; gives the manifest's path."""
    images = folder / "import" / planted.word("folder")
    images.mkdir(parents=True)
    phantom = generate_case(("audit", "blinding", 0), "normal", centre="C1")
    rng = np.random.default_rng(1)
    cohort, rows = planted.word("cohort"), []
    for number in range(N_CASES + 1):
        # Every class comes in every format, so that formats tell nothing.
        kind, truth = number % 3, planted.classes[1 + number // 3 % (_N_CLASSES - 1)].key
        side = 96 if truth == planted.classes[1].key else 128  # one class is smaller, which no frame may tell
        is_excluded = number == N_CASES
        of_case = {
            "case": planted.word("case id"), "patient": planted.word("patient id"), "class": truth, "cohort": cohort,
            "centre": planted.word("centre"), "scanner": planted.word("scanner"),
            "exclusion_reason": planted.word("exclusion reason") if is_excluded else "",
        }  # fmt: skip
        for view in _VIEWS:
            path = images / f"{planted.word('file name')}.{('png', 'jpg', 'dcm')[kind]}"
            noisy = replace(phantom, counts=rng.poisson(phantom.counts).astype(np.uint16)[:side, :side])
            (_write_png, _write_jpeg, _write_dicom)[kind](planted, path, noisy)
            mask = images / f"{planted.word('lesion mask name')}.png"
            Image.fromarray(np.eye(side, dtype=np.uint8) * 255).save(mask)
            files = {"image": f"{images.name}/{path.name}", "lesion_mask": f"{images.name}/{mask.name}", "view": view}
            rows.append({**files, **of_case})
        if not is_excluded:
            planted.truth_of[of_case["case"]] = truth
    return _write_table(images.parent / f"{planted.word('manifest name')}.csv", rows)


def _write_table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _exif(planted: PlantedStudy) -> Image.Exif:
    exif = Image.Exif()
    for tag, kind in _EXIF_TEXTS.items():
        exif[tag] = planted.word(kind)
    return exif


def _write_png(planted: PlantedStudy, path: Path, phantom: PhantomCase) -> None:
    """8 bits with text chunks, plain, compressed and international, and EXIF."""
    chunks = PngInfo()
    chunks.add_text("Comment", planted.word("PNG text"))
    chunks.add_text("Description", planted.word("PNG text"), zip=True)
    chunks.add_itxt("Title", planted.word("PNG text"))
    _picture(phantom).save(path, pnginfo=chunks, exif=_exif(planted))


def _write_jpeg(planted: PlantedStudy, path: Path, phantom: PhantomCase) -> None:
    """With EXIF and a comment."""
    _picture(phantom).save(path, quality=95, exif=_exif(planted), comment=planted.word("JPEG comment").encode())


def _picture(phantom: PhantomCase) -> Image.Image:
    return Image.fromarray((phantom.counts * (250 / max(int(phantom.counts.max()), 1))).astype(np.uint8))


def _write_dicom(planted: PlantedStudy, path: Path, phantom: PhantomCase) -> None:
    """16-bit counts; every text of the header, and a private one."""
    data = pydicom.dcmread(io.BytesIO(dicom_bytes(phantom, planted.word("DICOM patient id"))))
    for keyword, kind in _DICOM_TEXTS.items():
        setattr(data, keyword, planted.word(kind))
    data.private_block(0x0099, planted.word("DICOM private tag"), create=True).add_new(
        0x01, "LO", planted.word("DICOM private tag")
    )
    data.save_as(path)


def _write_predictions(planted: PlantedStudy, folder: Path) -> Path:
    """One row of planted probabilities for every case."""
    columns = [f"p_{each.key}" for each in planted.classes]
    rows = [
        {"case": case, **dict(zip(columns, planted.probabilities(case), strict=True))}
        for case in sorted(planted.truth_of)
    ]
    return _write_table(folder / f"{planted.word('prediction file name')}.csv", rows)


def _create_people(planted: PlantedStudy, operator: Repository) -> None:
    """The audited reader, and two whom that reader must not learn of."""
    operator.create_person(READER, "The audited reader", Role.READER, is_temporary=False, password=planted.password)
    logins = [READER]
    for _ in range(2):
        logins.append(planted.word("other reader's login"))
        name = planted.word("other reader's name")
        operator.create_person(logins[-1], name, Role.READER, is_temporary=False, password=planted.password)
    for login in logins:
        group = 1 if planted.design is Design.CROSSOVER and login == READER else None
        operator.add_reader(STUDY, login, cohorts=operator.cohorts(STUDY), group=group)


def _answer(planted: PlantedStudy, door: Repository, operator: Repository, login: str) -> None:
    """Another reader reads everything that may be read today, with a comment each time."""
    token = door.authenticate(login, planted.password, "127.0.0.1")
    reader = Repository(door.engine, operator.person(login), token=token, notary=Notary(planted.folder))
    with suppress(OutsideDatesError):  # the second period comes after the washout
        _answer_all(planted, reader)


def _answer_all(planted: PlantedStudy, reader: Repository) -> None:
    while (presentation := reader.next_presentation(STUDY)) is not None:
        reader.presentation_image(presentation.presentation_id)
        given = planted.classes[1 + presentation.position % (_N_CLASSES - 1)].key
        answer = Answer(given, 3, planted.word("other reader's comment"), reading_seconds=2.0)
        saved = reader.save_reading(presentation.presentation_id, answer, submit_id=secrets.token_hex(8))
        planted.canaries += [
            Canary("other reader's reading", saved.reading_id),
            Canary("other reader's presentation", presentation.presentation_id),
        ]


def _create_other_study(planted: PlantedStudy, operator: Repository) -> None:
    """A study that the audited reader does not take part in."""
    classes = tuple(DiseaseClass(word, word, word) for word in (planted.word("other study's class") for _ in range(2)))
    protocol = Protocol(planted.word("other study's title"), planted.word("other study's question"), classes=classes)
    operator.create_study(planted.word("other study's key"), protocol, is_synthetic=True)
