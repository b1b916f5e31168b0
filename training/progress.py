"""What a person sees while a run works: a bar in a terminal, one line an epoch anywhere else."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from training.loop import RunProgress
from training.queue import QueueState

#: Seconds between two updates of the bar.
UPDATE_SECONDS = 0.25


class RunDisplay:
    """Shows one run: loss, metric, images per second and the time of day when it is expected to end."""

    def __init__(self, console: Console, title: str) -> None:
        self.console = console
        self.title = title
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.fields[text]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=1, text="")
        self._start = time.monotonic()
        self._first_step: int | None = None
        self._last_update = 0.0
        self._last: RunProgress | None = None

    def __enter__(self) -> RunDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def update(self, progress: RunProgress) -> None:
        """Take in where the run stands."""
        now = time.monotonic()
        if self._first_step is None:
            self._first_step, self._start = progress.step - 1, now
        is_end = progress.step == progress.total_steps
        if not self.console.is_terminal:
            if self._last is not None and progress.epoch != self._last.epoch:
                self._print(self._text(self._last, now))
            if is_end:
                self._print(self._text(progress, now))
        elif now - self._last_update >= UPDATE_SECONDS or is_end:
            self._last_update = now
            text = self._text(progress, now)
            self._bar.update(self._task, completed=progress.step, total=progress.total_steps, text=text)
        self._last = progress

    def _text(self, progress: RunProgress, now: float) -> str:
        """Epoch, loss, metric, speed and expected end in one line."""
        done = progress.step - (self._first_step or 0)
        remaining = (now - self._start) / max(1, done) * (progress.total_steps - progress.step)
        end = datetime.now().astimezone() + timedelta(seconds=remaining)
        validation = progress.validation_accuracy
        return (
            f"epoch {progress.epoch + 1}/{progress.epochs} · loss {progress.loss:.3f} · "
            f"accuracy {progress.accuracy:.3f}"
            + (f" (held out {validation:.3f})" if validation is not None else "")
            + f" · {progress.images_per_second:.0f} images/s · ends {end:%H:%M}"
        )

    def _print(self, text: str) -> None:
        """One line of a log."""
        time_of_day = datetime.now().astimezone()
        self.console.print(f"{time_of_day:%H:%M:%S} {self.title}: {text}", highlight=False, soft_wrap=True)


class QueueDisplay:
    """Shows a queue of runs: which work, how many are done."""

    def __init__(self, console: Console, title: str) -> None:
        self.console = console
        self.title = title
        self._last: QueueState | None = None

    def update(self, state: QueueState) -> None:
        """Print a line when something changed."""
        if state == self._last:
            return
        self._last = state
        total = len(state.waiting) + len(state.running) + len(state.finished) + len(state.failed)
        names = ", ".join(folder.name for folder in state.running) or "none"
        self.console.print(
            f"{datetime.now().astimezone():%H:%M:%S} {self.title}: {len(state.finished)} of {total} finished"
            + (f", {len(state.failed)} failed" if state.failed else "")
            + f"; running: {names}",
            highlight=False,
        )
