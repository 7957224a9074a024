"""Seconds per stage of a case."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fesolver.study.progress import ProgressReporter, SilentProgress

__all__ = ["Stages"]


@dataclass
class Stages:
    """A stopwatch that tells a reporter what is being timed.

    Parameters
    ----------
    progress : ProgressReporter
        Told of the beginning and end of every stage.
    seconds : dict
        Wall-clock seconds per stage, summed over repeats.
    """

    progress: ProgressReporter = field(default_factory=SilentProgress)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str, label: str | None = None) -> Iterator[None]:
        """Time a block under `name`; `label` is what the user reads."""
        self.progress.stage(label or name)
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
            self.progress.done(label or name, spent)
