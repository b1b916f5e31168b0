"""All that a report or a bundle tells of a study, gathered once: data, analysis, protocol, what happened, with what."""

from __future__ import annotations

import importlib.metadata
import platform
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from core.analysis import StudyAnalysis, StudyData
from core.natural_order import natural_key
from core.protocol import Protocol
from core.settings import PROJECT_FOLDER

#: Packages that a number may depend on.
_PACKAGES = ("numpy", "scipy", "statsmodels", "scikit-learn", "pandas", "matplotlib", "onnxruntime", "torch")


@dataclass(frozen=True)
class Deviation:
    """Something that went otherwise than planned, or that a reader of the paper must know."""

    what: str
    count: int
    detail: str = ""


@dataclass(frozen=True, eq=False)
class StudyRecord:
    """A study as its report tells it."""

    key: str
    title: str
    data: StudyData
    analysis: StudyAnalysis
    options: Mapping[str, Any]  # of the analysis, as keywords of core.analysis.analyse
    protocol: Protocol | None = None  # None: the readings were made elsewhere
    protocol_version: int | None = None
    is_synthetic: bool = False
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # readings, predictions, ...: as they are stored
    trail: pd.DataFrame | None = None
    deviations: tuple[Deviation, ...] = ()
    model_cards: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # model key -> card
    declarations: Mapping[str, str] = field(default_factory=dict)  # model key -> was it there before anybody read?
    source: str = ""  # of readings made elsewhere: the files
    notes: tuple[str, ...] = ()  # about the files

    @property
    def is_blinded_here(self) -> bool:
        """Whether the readings were made under this program's blinding."""
        return self.protocol is not None

    @property
    def seeds(self) -> dict[str, int]:
        """Seeds that anything of the study was drawn with."""
        return {} if self.protocol is None else {"reading orders": self.protocol.order.seed}


@dataclass(frozen=True)
class ReaderText:
    """A reader as the report tells of one; "" where something is not known."""

    name: str
    specialty: str
    years: str
    site: str
    used_model: str  # "yes", "no"
    cohorts: str
    arms: str
    n_answers: int


def readers_of(record: StudyRecord) -> list[ReaderText]:
    """Who read, in the order of the tables: from the list of readers, or of readings made elsewhere from the data."""
    counts = record.data.readings["reader"].value_counts() if len(record.data.readings) else pd.Series(dtype=int)
    listed = record.tables.get("readers")
    if listed is None or "reader" not in listed.columns:
        years = record.data.reader_years
        return [
            ReaderText(record.data.reader_name(key), "", f"{years[key]:g}" if key in years else "", "", "", "", "",
                       int(counts[key]))
            for key in sorted(counts.index, key=lambda key: natural_key(record.data.reader_name(key)))
        ]  # fmt: skip
    return [
        ReaderText(
            record.data.reader_name(row["reader"]),
            str(_known(row["specialty"], "")),
            "" if _known(row["years_of_experience"]) is None else f"{row['years_of_experience']:g}",
            str(_known(row["site"], "")),
            {True: "yes", False: "no"}.get(_known(row["has_used_model"]), ""),
            str(row["cohorts"]),
            str(row["arms"]),
            int(counts.get(row["reader"], 0)),
        )
        for row in listed.to_dict("records")
    ]


def _known(value: Any, otherwise: Any = None) -> Any:
    """A value, or what stands for one that is missing."""
    return otherwise if value is None or pd.isna(value) else value


#: What must stand beside every result of readings that this program did not put before the readers.
NOT_BLINDED_HERE = (
    "These readings were made elsewhere. This program did not put the cases before the readers and cannot say whether "
    "they were blinded to the reference standard, to the model or to each other."
)


def program_version() -> str:
    """Version of this program."""
    with (PROJECT_FOLDER / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def versions() -> dict[str, str]:
    """This program, Python and the packages that a number may depend on."""
    found = {"Reading Room": program_version(), "Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # torch is not installed where models are only served
    return found


def card_text(value: object, most: int) -> str:
    """A value of a model's card on one line; a longer one ends behind a word, and says that it goes on."""
    told = _one_line(value)
    if len(told) <= most:
        return told
    return f"{told[: most - 1].rpartition(' ')[0] or told[: most - 2]} …"


def _one_line(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_one_line(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_one_line, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
