"""One tree of errors, each with a message fit for the person who reads it.

ReadingRoomError
├── InputError                what somebody handed in is wrong: file, row, field, value, fix; a ValueError
│   ├── ManifestError         a manifest or a readings file
│   ├── ImageError            an image file that cannot be taken
│   ├── SettingsError         an environment variable or a line of .env
│   └── StatisticsInputError  arguments of core.statistics
├── UndefinedStatisticError   the data do not define the number (no positive case, one reader, ...)
├── AccessError               this person may not see or do this
│   ├── SignedOutError        the sign-in behind the deed has ended: signed out, expired, password or account changed
│   ├── OutsideDatesError     reading is not possible today: before or after the protocol's dates, or in the washout
│   ├── StudyNotOpenError     reading is possible only while the study is open
│   └── FinalAnswerError      this answer can no longer be corrected
├── NotFoundError             no such study, case, reader, model, table
├── ConflictError             somebody else changed it first, or it exists already
│   └── ChangedMeanwhileError what a screen showed is not what stands there any more: it would undo another's deed
├── StoreError                the database
│   ├── StoreBusyError        not saved; try again
│   ├── StoreDamagedError     the file is missing, replaced, or fails its integrity check
│   └── SchemaVersionError    the schema is older or newer than this program
├── ModelError                weights, architecture, device
│   └── CheckpointError       a checkpoint that cannot be trusted or does not fit
└── TrainingError             a training run that had to stop, and what to do

Every message says what happened and how to mend it; no message carries the reference standard, a password,
or a file path that a reader could see (screens show ``ReadingRoomError`` text to coordinators only).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path


class ReadingRoomError(Exception):
    """Base of every error that Reading Room raises on purpose."""

    #: Short stable name for logs, tests and the ``--json`` output.
    code = "error"


class InputError(ReadingRoomError, ValueError):
    """Bad input, located.

    Parameters
    ----------
    problem : str
        What is wrong, as one clause without a final full stop.
    file, row, field, value
        Where: file path, row number (1 is the header line of a CSV), column or field name, offending value.
    fix : str, optional
        What the person should do.
    """

    code = "bad-input"

    def __init__(
        self,
        problem: str,
        *,
        file: str | Path | None = None,
        row: int | None = None,
        field: str | None = None,
        value: object | None = None,
        fix: str | None = None,
    ) -> None:
        self.problem = problem
        self.file = str(file) if file is not None else None
        self.row = row
        self.field = field
        self.value = value
        self.fix = fix
        super().__init__(self._text())

    def _text(self) -> str:
        where = []
        if self.file is not None:
            where.append(self.file)
        if self.row is not None:
            where.append(f"row {self.row}")
        if self.field is not None:
            where.append(f"field '{self.field}'")
        text = f"{', '.join(where)}: {self.problem}" if where else self.problem
        if self.value is not None:
            shown = repr(self.value)
            text += f" (got {shown if len(shown) <= 80 else shown[:77] + '...'})"
        text += "."
        if self.fix:
            text += f" Fix: {self.fix.rstrip('.')}."
        return text


class ManifestError(InputError):
    """A manifest, a class-named folder or a readings file that cannot be imported."""

    code = "bad-manifest"


class ImageError(InputError):
    """An image file that cannot be taken as a planar scintigram."""

    code = "bad-image"


class SettingsError(InputError):
    """A setting from the environment or ``.env`` that is missing or wrong."""

    code = "bad-setting"


class StatisticsInputError(InputError):
    """Arguments of :mod:`core.statistics` that do not fit together."""

    code = "bad-statistics-input"


class UndefinedStatisticError(ReadingRoomError):
    """The data do not define this number; the message says why."""

    code = "undefined-statistic"


class AccessError(ReadingRoomError):
    """This person may not see or do this."""

    code = "no-access"


class SignedOutError(AccessError):
    """Nobody is signed in behind this deed any more; nothing was done."""

    code = "signed-out"


class OutsideDatesError(AccessError):
    """Reading is not possible today. ``opens_at`` (aware) says when it will be; None: it will not."""

    code = "outside-dates"

    def __init__(self, what: str, opens_at: datetime | None) -> None:
        when = "" if opens_at is None else f" on {opens_at:%Y-%m-%d} at {opens_at:%H:%M} UTC"
        super().__init__(f"{what}{when}. Nothing was saved now; the coordinator can let one reader in for a reason.")
        self.opens_at = opens_at


class StudyNotOpenError(AccessError):
    """Reading is possible only while the study is open."""

    code = "study-not-open"


class FinalAnswerError(AccessError):
    """This answer can no longer be corrected; the message says why."""

    code = "final-answer"


class StoreError(ReadingRoomError):
    """The database could not do what was asked."""

    code = "store"


class NotFoundError(ReadingRoomError):
    """No such study, case, reader, model or presentation."""

    code = "not-found"


class ConflictError(ReadingRoomError):
    """It exists already, or somebody else changed it first; nothing was written."""

    code = "conflict"


class ChangedMeanwhileError(ConflictError):
    """What stands there is not what was seen before the deed: somebody else changed it; nothing was written."""

    code = "changed-meanwhile"

    def __init__(self, what: str, changes: Sequence[str], by: str = "") -> None:
        said = "; ".join(changes[:6]) + (f"; and {len(changes) - 6} more" if len(changes) > 6 else "")
        super().__init__(
            f"{what} was changed meanwhile{by}: {said or 'see what stands there now'}. Nothing was saved. Fix: look at "
            "what stands there now, then decide again."
        )


class StoreBusyError(StoreError):
    """The database was busy for too long; nothing was saved, trying again is safe."""

    code = "store-busy"


class PasswordsBusyError(StoreBusyError):
    """A password could not be hashed or checked now; its message is for the person who signs in."""

    code = "passwords-busy"


class StoreDamagedError(StoreError):
    """The database file is missing, was replaced, or fails its integrity check."""

    code = "store-damaged"


class SchemaVersionError(StoreError):
    """The database schema is older or newer than this program."""

    code = "schema-version"


class ModelError(ReadingRoomError):
    """A model could not be built, loaded or run."""

    code = "model"


class CheckpointError(ModelError):
    """A checkpoint whose hash, shapes, class order or format is not what it must be."""

    code = "bad-checkpoint"


class TrainingError(ReadingRoomError):
    """A training run that had to stop; the message says what to do next."""

    code = "training"
