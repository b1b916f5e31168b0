"""Deeds that take minutes, done by this process while the screen that began them may be left; one for each study.

A job acts with the repository of the person who began it, so it ends where that person signs out, unless it was begun
as one deed that outlasts the sign-in (``Repository.begin_prediction``). What it has stored by then stays; the same deed
goes on from there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock, Thread

from core.errors import ConflictError, ReadingRoomError
from core.progress import OnProgress

_log = logging.getLogger("reading_room")


@dataclass
class Job:
    """One deed on its way; the screen looks at it, only its own thread changes it."""

    study_key: str
    title: str
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    done: int = 0
    total: int = 0
    what: str = "begins"
    outcome: object = None  # what the deed gave back
    error: ReadingRoomError | None = None
    is_running: bool = True
    outlasts_sign_in: bool = False

    def report(self, done: int, total: int, what: str) -> None:
        """Progress of the deed, as every action gives it."""
        self.done, self.total, self.what = done, total, what


_jobs: dict[str, Job] = {}
_lock = Lock()


def start_job(
    study_key: str, title: str, deed: Callable[[OnProgress], object], *, outlasts_sign_in: bool = False
) -> Job:
    """Do ``deed(progress)`` in a thread of its own.

    Raises
    ------
    ConflictError
        If something is running for this study already.
    """
    with _lock:
        running = _jobs.get(study_key)
        if running is not None and running.is_running:
            raise ConflictError(f"'{running.title}' is still running for this study. Fix: wait until it has ended.")
        job = _jobs[study_key] = Job(study_key, title, outlasts_sign_in=outlasts_sign_in)
    Thread(target=_run, args=(job, deed), name=f"job of {study_key}", daemon=True).start()
    return job


def job_of(study_key: str) -> Job | None:
    """The job that runs for a study, or the last one that ended and was not put away."""
    return _jobs.get(study_key)


def put_away(job: Job) -> None:
    """Forget a job that has ended."""
    with _lock:
        if _jobs.get(job.study_key) is job and not job.is_running:
            del _jobs[job.study_key]


def _run(job: Job, deed: Callable[[OnProgress], object]) -> None:
    """The thread of a job; whatever happens is kept for the screen."""
    try:
        job.outcome = deed(job.report)
    except ReadingRoomError as error:
        job.error = error
    except Exception:
        _log.exception("the job '%s' of study '%s' failed", job.title, job.study_key)
        job.error = ReadingRoomError(
            "This failed in the program itself; nothing was half-written. The reason stands in the server's log."
        )
    finally:
        job.is_running = False
