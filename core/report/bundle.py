"""A study in one zip file, which proves itself: hashes of every file, and tables that are made again from the readings.

``manifest.json`` lists the SHA-256 of every other file and the options of the analysis. :func:`read_bundle` makes the
analysis from ``data/analysis.csv`` with these options, so that another installation shows the same numbers;
:func:`check_bundle` holds every table, in every format, against it. ``docs/export.md`` lists the files.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import lzma
import stat
import struct
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from core.analysis import StudyAnalysis, StudyData, analyse
from core.csv_file import csv_bytes, original_text
from core.errors import ManifestError, ReadingRoomError
from core.protocol import DiseaseClass, Protocol
from core.protocol_file import read_protocol
from core.report.dictionary import COLUMNS as DICTIONARY_COLUMNS
from core.report.dictionary import dictionary_rows, others
from core.report.excel_file import archive_bytes, read_sheets, workbook_bytes
from core.report.file_options import FileOptions
from core.report.long_file import read_long
from core.report.printed_tables import PrintedTable, analysis_tables, html_page, html_text, paper_tables
from core.report.study_record import program_version

FORMAT, VERSION = "reading-room-bundle", 2
_PROVES_ITSELF = 2  # version from which the manifest holds a hash over the rest of it
MANIFEST, ANALYSIS, PROTOCOL, DICTIONARY = "manifest.json", "data/analysis.csv", "protocol.yaml", "data/dictionary.csv"
REPORT = "report/report.html"
_LARGEST = 2 * 1024**3  # bytes of all files, unpacked
_MOST_FILES = 20_000
#: What Python's zip reader raises for files that were cut, altered or made to trip it.
_NO_WHOLE_ZIP = (zipfile.BadZipFile, OSError, RuntimeError, EOFError, ValueError, zlib.error, lzma.LZMAError,
                 struct.error, MemoryError, OverflowError)  # fmt: skip
_CLOSE = 1e-9  # relative; the last digit may differ between processors


def table_csv(table: pd.DataFrame) -> bytes:
    """A table as :func:`core.csv_file.csv_bytes` writes it."""
    cells = table.astype(object).where(table.notna(), None)
    return csv_bytes(list(table.columns), cells.itertuples(index=False, name=None))


# ------------------------------------------------------------------------------------------------------------- out
def result_files(analysis: StudyAnalysis, declared: str | None = None) -> dict[str, bytes]:
    """Every table of an analysis in every format, by path in the bundle; ``declared`` is the model that comes first."""
    tables = analysis.to_tables()
    files = {f"tables/csv/{name}.csv": table_csv(table) for name, table in tables.items()}
    for folder, printed in (("tables", list(analysis_tables(analysis))), ("paper", paper_tables(analysis, declared))):
        for table in printed:
            files |= _printed_files(folder, table)
    files["tables/tables.xlsx"] = workbook_bytes({
        name: (list(table.columns), _excel_rows(table)) for name, table in tables.items()
    })  # fmt: skip
    return files


def _printed_files(folder: str, table: PrintedTable) -> dict[str, bytes]:
    """A printed table as LaTeX and HTML; the paper's layouts as CSV as well."""
    files = {
        f"{folder}/latex/{table.key}.tex": table.latex().encode(),
        f"{folder}/html/{table.key}.html": html_page(table).encode(),
    }
    if folder == "paper":
        files[f"paper/csv/{table.key}.csv"] = csv_bytes(table.flat_columns, table.rows)
    return files


def _excel_rows(table: pd.DataFrame) -> Iterator[list[Any]]:
    """Rows as plain Python values."""
    for row in table.astype(object).where(table.notna(), None).itertuples(index=False, name=None):
        yield [value.item() if isinstance(value, np.generic) else value for value in row]


def with_dictionary(files: Mapping[str, bytes], classes: Sequence[DiseaseClass]) -> dict[str, bytes]:
    """The files and the dictionary of every column of the tables among them."""
    told: dict[str, Sequence[str]] = {name: _columns_of(content) for name, content in files.items()
            if name.endswith(".csv") and not name.startswith("others/")}  # fmt: skip
    told |= others(files)
    told[DICTIONARY] = list(DICTIONARY_COLUMNS)
    rows = dictionary_rows(told, {one.key: one.label for one in classes})
    return {**files, DICTIONARY: csv_bytes(DICTIONARY_COLUMNS, rows)}


def _columns_of(content: bytes) -> list[str]:
    return next(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")), [])


def write_bundle(files: Mapping[str, bytes], about: Mapping[str, Any]) -> bytes:
    """The zip file: the same bytes for the same files.

    Parameters
    ----------
    files : mapping
        Path -> content.
    about : mapping
        What the manifest says beside the hashes: study, title, options of the analysis, classes, ...
    """
    manifest = {
        "format": FORMAT, "version": VERSION, "program": program_version(), **about,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
    }  # fmt: skip
    manifest["sha256"] = _manifest_hash(manifest)
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    return archive_bytes({MANIFEST: text.encode(), **dict(sorted(files.items()))})


def _manifest_hash(manifest: Mapping[str, Any]) -> str:
    """Of the manifest without its own hash."""
    rest = {name: value for name, value in manifest.items() if name != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def about_analysis(data: StudyData, options: Mapping[str, Any]) -> dict[str, Any]:
    """What must stand in the manifest for the analysis to be made again."""
    return {
        "analysis": {name: str(value) if name == "missing" else value for name, value in options.items()},
        "classes": [asdict(one) for one in data.classes],
        "declared_model": data.declared_model,
        "altered_answers": dict(sorted(data.altered_answers.items())),
        "confidence_shift": data.confidence_shift,
    }


# -------------------------------------------------------------------------------------------------------------- in
@dataclass(frozen=True, eq=False)
class Bundle:
    """An opened bundle."""

    file: str
    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]  # by path, without the manifest

    @cached_property
    def data(self) -> StudyData:
        """The study."""
        classes = tuple(DiseaseClass(**{**one, "aliases": tuple(one["aliases"])}) for one in self.manifest["classes"])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "analysis.csv"
            path.write_bytes(self.files[ANALYSIS])
            read = read_long(path, FileOptions(classes=classes)).data
        about = self.manifest
        altered = dict(about.get("altered_answers", {}))  # bundles of before have neither
        shift = about.get("confidence_shift", 0)  # before analysis.csv said it, confidences stood moved in it
        return replace(read, declared_model=about["declared_model"], altered_answers=altered, confidence_shift=shift)

    @cached_property
    def analysis(self) -> StudyAnalysis:
        """The analysis of the readings in it."""
        return analyse(self.data, **self.manifest["analysis"])

    @property
    def protocol(self) -> Protocol | None:
        """The protocol; None of readings that were made elsewhere."""
        if PROTOCOL not in self.files:
            return None
        name = f"{self.file}, {PROTOCOL}"
        try:
            return read_protocol(self.files[PROTOCOL].decode("utf-8"), file=name)
        except UnicodeDecodeError as error:
            raise ManifestError("is no text", file=name, fix="export it again") from error


def is_bundle(path: str | Path) -> bool:
    """Whether a file is a zip archive with a manifest."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except _NO_WHOLE_ZIP:
        return False


def read_bundle(path: str | Path) -> Bundle:
    """Open a bundle; its hashes are looked at by :func:`check_bundle`.

    Raises
    ------
    ManifestError
        If it is no bundle, damaged, or of a later version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = _checked_names(path, archive)
            files = {name: archive.read(name) for name in names}
    except FileNotFoundError as error:
        raise ManifestError("there is no such file", file=path, fix="check the path") from error
    except ManifestError:
        raise
    except _NO_WHOLE_ZIP as error:
        raise ManifestError(f"is no whole zip file ({error})", file=path, fix="copy or export it again") from error
    try:
        manifest = json.loads(files.pop(MANIFEST))
        is_ours = manifest["format"] == FORMAT and all(
            isinstance(manifest[name], kind)
            for name, kind in (
                ("version", int),
                ("files", dict),
                ("analysis", dict),
                ("classes", list),
                ("declared_model", str | None),
            )
        )
    except (KeyError, ValueError, TypeError, RecursionError):
        is_ours = False
    if not is_ours:
        raise ManifestError(f"has no {MANIFEST} of a bundle", file=path, fix="make it with: manage.py export FILE.zip")
    if manifest["version"] > VERSION:
        raise ManifestError("was made by a later version of this program", file=path, field="version",
                            value=manifest["version"], fix="open it with that version")  # fmt: skip
    if ANALYSIS not in files:
        raise ManifestError(f"lacks {ANALYSIS}, of which every table is made", file=path, fix="export it again")
    return Bundle(str(path), manifest, files)


def _checked_names(path: str | Path, archive: zipfile.ZipFile) -> list[str]:
    """Names of the files in it; nothing is ever unpacked to the disk, and what would leave a folder is refused.

    Raises
    ------
    ManifestError
        If they are too many or too large, a name stands twice or leads elsewhere, or one is a link.
    """
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > _MOST_FILES or sum(entry.file_size for entry in entries) > _LARGEST:
        raise ManifestError(f"the files in it are larger than {_LARGEST // 1024**3} GiB, or more than {_MOST_FILES}",
                            file=path, fix="check the file")  # fmt: skip
    names = [entry.filename for entry in entries]
    if len({unicodedata.normalize("NFC", name).casefold() for name in names}) < len(names):
        raise ManifestError("holds two files of one name", file=path, fix="export it again")
    for entry in entries:
        parts = entry.orig_filename.split("/")
        if (
            stat.S_ISLNK(entry.external_attr >> 16)
            or {"", ".", ".."} & set(parts)
            or any(sign in entry.orig_filename for sign in "\\:\0")
        ):
            raise ManifestError("holds a link, or a file whose name leads out of its folder", file=path,
                                value=entry.filename, fix="do not unpack it; export it again")  # fmt: skip
    return names


# ----------------------------------------------------------------------------------------------------------- check
@dataclass(frozen=True)
class BundleCheck:
    """Whether a bundle is whole and its tables follow from its readings."""

    n_files: int
    n_tables: int  # made again and compared, in every format
    problems: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether nothing was found."""
        return not self.problems


#: What reading something fails with that this program did not write.
_NOT_AS_WRITTEN = (ReadingRoomError, KeyError, TypeError, ValueError, AttributeError, IndexError, csv.Error,
                   RecursionError)  # fmt: skip


def check_bundle(bundle: Bundle) -> BundleCheck:
    """Hash every file, make every table again from the readings, and hold the lists of readings against each other."""
    problems = list(_hash_problems(bundle))
    try:
        wanted = result_files(bundle.analysis, bundle.data.declared_model)
    except _NOT_AS_WRITTEN as error:
        return BundleCheck(len(bundle.files), 0, (*problems, f"the tables cannot be made from {ANALYSIS}: {error}"))
    try:
        problems += [*_list_problems(bundle), *_report_problems(bundle)]
    except _NOT_AS_WRITTEN as error:
        problems.append(f"the lists in data cannot be held against {ANALYSIS}: {error}")
    for name, content in wanted.items():
        if name not in bundle.files:
            problems.append(f"{name}: is missing")
        elif not _is_same(name, bundle.files[name], content):
            problems.append(f"{name}: differs from what the readings give")
    return BundleCheck(len(bundle.files), len(wanted), tuple(dict.fromkeys(problems)))


def _hash_problems(bundle: Bundle) -> Iterator[str]:
    listed = bundle.manifest["files"]
    needs_hash = bundle.manifest["version"] >= _PROVES_ITSELF or "sha256" in bundle.manifest
    if needs_hash and bundle.manifest.get("sha256") != _manifest_hash(bundle.manifest):
        yield f"{MANIFEST}: was changed after the bundle was made"
    for name, content in bundle.files.items():
        if name not in listed:
            yield f"{name}: is not in the manifest"
        elif hashlib.sha256(content).hexdigest() != listed[name]:
            yield f"{name}: was changed after the bundle was made"
    for name in listed:
        if name not in bundle.files:
            yield f"{name}: is missing"


def _report_problems(bundle: Bundle) -> Iterator[str]:
    """Sentences and tables of the report that the readings do not give."""
    if REPORT not in bundle.files:
        return
    page = bundle.files[REPORT].decode("utf-8")
    rows = [row for table in paper_tables(bundle.analysis, bundle.data.declared_model, most_beside=0)
            for row in table.rows]  # fmt: skip
    wanted = ["".join(f"<td>{html_text(cell)}</td>" for cell in row) for row in rows]
    wanted += [html_text(text) for cohort in bundle.analysis.cohorts for text in cohort.answer]
    if any(text not in page for text in wanted):
        yield f"{REPORT}: its numbers differ from what the readings give"


def _is_same(name: str, found: bytes, wanted: bytes) -> bool:
    """The same bytes; of CSV and Excel the same cells, numbers to nine digits."""
    if found == wanted:
        return True
    if name.endswith(".csv"):
        pair = [list(csv.reader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))) for content in
                (found, wanted)]  # fmt: skip
    elif name.endswith(".xlsx"):
        books = [read_sheets(io.BytesIO(content)) for content in (found, wanted)]
        if None in books:
            return False
        pair = [[[name, *row] for name, rows in (book or {}).items() for row in rows] for book in books]
    else:
        return False
    one, other = pair
    return len(one) == len(other) and all(
        len(row) == len(as_wanted) and all(map(_is_close, row, as_wanted))
        for row, as_wanted in zip(one, other, strict=True)
    )


def _is_close(one: Any, other: Any) -> bool:
    if one == other:
        return True
    try:
        return bool(np.isclose(float(one), float(other), rtol=_CLOSE, atol=1e-12))
    except (TypeError, ValueError):
        return False


def _list_problems(bundle: Bundle) -> Iterator[str]:
    """Readings, predictions and reference standard as they were stored against the file that is analysed."""
    data = bundle.data
    lists = {name: _read_list(bundle.files[f"data/{name}.csv"]) for name in
             ("readings", "predictions", "reference_standard") if f"data/{name}.csv" in bundle.files}  # fmt: skip
    if "reference_standard" in lists:
        listed = {row["case"]: row["reference_standard"] for row in lists["reference_standard"]}
        included = data.cases[~data.cases["is_excluded"]]
        if any(listed.get(case) != truth for case, truth in zip(included["case"], included["truth"], strict=True)):
            yield f"data/reference_standard.csv: differs from {ANALYSIS}"
    if "readings" in lists:
        shift = 0 if bundle.protocol is None else 1 - bundle.protocol.scale.lowest  # confidences begin at 1 there
        listed_readings = sorted(_as_listed(row, shift) for row in lists["readings"]
                                 if row["is_current"] == "True" and row.get("is_training") != "True")  # fmt: skip
        analysed = sorted(map(_as_analysed, data.readings.to_dict("records")))
        if listed_readings != analysed:
            yield f"data/readings.csv: its last revisions differ from {ANALYSIS}"
    if "predictions" in lists:
        columns = [f"p_{key}" for key in data.class_keys]
        found = {(row["model_sha256"], row["case"]): [float(row[name]) for name in columns]
                 for row in lists["predictions"]}  # fmt: skip
        analysed_cases = set(data.cases.loc[~data.cases["is_excluded"], "case"])  # the list has no others
        wanted = {(row["model"], row["case"]): [row[name] for name in columns]
                  for row in data.predictions.to_dict("records") if row["case"] in analysed_cases}  # fmt: skip
        if any(found.get(place) != values for place, values in wanted.items()):
            yield f"data/predictions.csv: differs from {ANALYSIS}"


def _as_listed(row: Mapping[str, str], shift: int) -> tuple[str, str, str, int, str, str]:
    """Who answered what how surely, in the list of all readings."""
    is_unreadable, stated = row["is_unreadable"] == "True", row.get("confidence", "")
    confidence = "" if is_unreadable or not stated else f"{float(stated) + shift:g}"
    answer = "" if is_unreadable else row["class"]
    return row["reader"], row["case"], row["arm"], int(float(row.get("repeat") or 1)), answer, confidence


def _as_analysed(row: Mapping[Any, Any]) -> tuple[str, str, str, int, str, str]:
    """The same of a reading that is analysed."""
    is_unreadable = bool(row["is_unreadable"])
    confidence = "" if is_unreadable or pd.isna(row["confidence"]) else f"{row['confidence']:g}"
    answer = "" if is_unreadable else row["label"]
    return row["reader"], row["case"], row["arm"], int(row["repeat"]), answer, confidence


def _read_list(content: bytes) -> list[dict[str, str]]:
    """Rows of a CSV file of ours."""
    rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
    return [{name: original_text(value) for name, value in row.items()} for row in rows]
