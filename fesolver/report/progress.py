"""Progress of a run: live on a terminal, plain lines elsewhere, nothing when asked to be quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TextIO

from fesolver.study.progress import ProgressReporter, SilentProgress

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["LiveProgress", "PlainProgress", "progress_reporter", "timed_stage"]


class PlainProgress:
    """One line per finished stage, and one every few seconds within a long stage: for logs and pipes.

    Parameters
    ----------
    stream : text file
        Where lines go.
    every_s : float
        Shortest time between two lines of one stage, s.
    """

    def __init__(self, stream: TextIO | None = None, *, every_s: float = 10.0) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._every_s = every_s
        self._name = ""
        self._last = time.monotonic()

    def stage(self, name: str, total: float | None = None) -> None:
        """Remember the stage; its first line comes when it is done or takes long."""
        self._name, self._last = name, time.monotonic()

    def update(self, fraction: float | None, message: str = "") -> None:
        """A line, at most every few seconds."""
        now = time.monotonic()
        if now - self._last >= self._every_s:
            self._last = now
            share = "" if fraction is None else f" {100 * fraction:.0f} %"
            self._line(f"  ... {self._name}{share} {message}".rstrip())

    def done(self, name: str, seconds: float) -> None:
        """A line with the time taken."""
        self._line(f"  {name}: {seconds:.1f} s")

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class LiveProgress:
    """A bar and a spinner for the current stage, a line for each finished one; use as a context manager."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress: Progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[message]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> LiveProgress:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def stage(self, name: str, total: float | None = None) -> None:
        """Show the stage as running."""
        self._drop()
        self._task = self._progress.add_task(_escape(name), total=None, message="")

    def update(self, fraction: float | None, message: str = "") -> None:
        """Move the bar."""
        if self._task is None:
            return
        fields: dict[str, Any] = {"message": _escape(message)}
        if fraction is not None:
            fields |= {"total": 1.0, "completed": min(max(fraction, 0.0), 1.0)}
        self._progress.update(self._task, **fields)

    def done(self, name: str, seconds: float) -> None:
        """Replace the bar by a line with the time taken."""
        self._drop()
        self._progress.console.print(f"[green]✓[/] {_escape(name)} [dim]{seconds:.1f} s", highlight=False)

    def _drop(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


def progress_reporter(*, quiet: bool) -> AbstractContextManager[ProgressReporter]:
    """The reporter that fits where standard error goes, as a context."""
    if quiet:
        return nullcontext(SilentProgress())
    return LiveProgress() if sys.stderr.isatty() else nullcontext(PlainProgress())


@contextmanager
def timed_stage(progress: ProgressReporter, name: str) -> Iterator[None]:
    """Report a stage and how long it took."""
    start = time.monotonic()
    progress.stage(name)
    yield
    progress.done(name, time.monotonic() - start)


def _escape(text: str) -> str:
    """Square brackets in names are not markup."""
    from rich.markup import escape

    return escape(text)
