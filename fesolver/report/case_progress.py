"""Progress of many cases: live on a terminal, a plain line per case elsewhere, nothing when asked to be quiet."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, TextIO

from fesolver.study.engine.task import Row, Task
from fesolver.study.progress import CaseReporter, SilentCases

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

__all__ = ["LiveCases", "PlainCases", "TimeLeft", "case_reporter"]


class PlainCases:
    """One line per case: for logs and pipes.

    Parameters
    ----------
    stream : text file, optional
        Where lines go; standard error by default.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._total = self._reused = 0

    def start(self, total: int, reused: int) -> None:
        """A line where cases are reused."""
        self._total, self._reused = total, reused
        if reused:
            self._line(f"{reused} of {total} cases are there already")

    def case(self, task: Task, row: Row, done: int, failed: int) -> None:
        """A line: how far, which case, its seconds or its error."""
        so_far = f"[{self._reused + done + failed:>{len(str(self._total))}}/{self._total}]"
        self._line(f"{so_far} {case_name(task)}: {outcome(row)}")

    def finish(self) -> None:
        """Nothing: every case has its line."""

    def _line(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class TimeLeft:
    """Time that is left, from the mean time between the last cases that came.

    Parameters
    ----------
    window : int
        Cases that the mean runs over: what a study has done lately says more than its start, where meshes and kernels
        are made.

    Examples
    --------
    >>> left = TimeLeft()
    >>> left.start(now=0.0)
    >>> for now in (3.0, 4.0, 8.0):
    ...     left.case(now=now)
    >>> left.seconds(6)
    16.0
    """

    def __init__(self, window: int = 64) -> None:
        self._times: deque[float] = deque(maxlen=window + 1)

    def start(self, now: float) -> None:
        """The clock starts."""
        self._times.append(now)

    def case(self, now: float) -> None:
        """A case has come."""
        self._times.append(now)

    def seconds(self, remaining: int) -> float | None:
        """Expected time for so many more cases, s; None before the first has come."""
        if len(self._times) < 2:
            return None
        return remaining * (self._times[-1] - self._times[0]) / (len(self._times) - 1)


class LiveCases:
    """A bar with cases done and failed, seconds a case, time left and workers; a line for each failure.

    Parameters
    ----------
    workers : str, optional
        The processes, in words, as `Pool.describe` gives them.
    console : rich Console, optional
        Standard error by default.
    """

    def __init__(self, workers: str = "", console: Console | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._progress: Progress = Progress(
            SpinnerColumn(),
            TextColumn("cases"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[message]}"),
            console=console or Console(stderr=True),
            transient=True,
        )
        self._workers = workers
        self._left = TimeLeft()
        self._bar: TaskID | None = None
        self._total = self._reused = self._count = 0
        self._seconds = 0.0

    def start(self, total: int, reused: int) -> None:
        """Show the bar."""
        self._total, self._reused = total, reused
        self._bar = self._progress.add_task("", total=total, completed=reused, message=f"[dim]{self._workers}")
        self._left.start(time.monotonic())
        self._progress.start()

    def case(self, task: Task, row: Row, done: int, failed: int) -> None:
        """Move the bar; print what failed."""
        from rich.markup import escape

        assert self._bar is not None
        self._left.case(time.monotonic())
        self._count += 1
        self._seconds += float(row.facts.get("seconds_total") or 0.0)
        if row.status == "failed":
            text = f"[red]✗[/] {escape(case_name(task))} [dim]{escape(outcome(row))}"
            self._progress.console.print(text, highlight=False)
        finished = self._reused + done + failed
        parts = [f"[red]{failed} failed[/]"] if failed else []
        parts.append(f"{duration(self._seconds / self._count)} a case")
        left = self._left.seconds(self._total - finished)
        if left is not None:
            parts.append(f"{duration(left)} left")
        parts += [self._workers] if self._workers else []
        self._progress.update(self._bar, completed=finished, message="[dim]" + ", ".join(parts))

    def finish(self) -> None:
        """Take the bar away and leave one line of counts."""
        self._progress.stop()


def case_reporter(*, quiet: bool, workers: str = "") -> CaseReporter:
    """The reporter that fits where standard error goes; `workers` as `Pool.describe` gives them."""
    if quiet:
        return SilentCases()
    return LiveCases(workers) if sys.stderr.isatty() else PlainCases()


def case_name(task: Task) -> str:
    """A case and its factors: `00011-1a2b3c4d volume=4.0`."""
    return " ".join([task.case, *(f"{name}={_short(value)}" for name, value in task.keys.items())])


def outcome(row: Row) -> str:
    """Seconds, or the first line of the error."""
    if row.status == "failed":
        return f"failed: {(row.error.strip().splitlines() or ['for no reason given'])[0]}"
    return duration(float(row.facts.get("seconds_total") or 0.0))


def duration(seconds: float) -> str:
    """A time in the unit that suits it.

    Examples
    --------
    >>> duration(2.14), duration(0.0121), duration(200.0), duration(7300.0)
    ('2.1 s', '12 ms', '3 min 20 s', '2 h 1 min')
    """
    if seconds < 0.1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 99.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def _short(value: object) -> str:
    """A value in few digits."""
    return f"{value:.6g}" if isinstance(value, float) and not value.is_integer() else str(value)
