"""Rows gathered for a moment, so that many quick cases share a part and a slow one is on disk at once."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from fesolver.study.engine.dataset import Dataset
from fesolver.study.engine.task import Row, Task

__all__ = ["BufferedRows"]


class BufferedRows:
    """Collects rows and writes them to a dataset together.

    A row that comes `every_s` or more after the last write is written at once; one that comes sooner is written, with
    those that wait beside it, when `every_s` has passed (by a thread, if no other row comes), or `at_most` rows wait.

    Parameters
    ----------
    dataset : Dataset
        Where rows go; nothing else may add to it meanwhile.
    every_s : float
        Least time between two writes, in s.
    at_most : int
        Rows that may wait.
    """

    def __init__(self, dataset: Dataset, every_s: float = 0.5, at_most: int = 256) -> None:
        self._dataset = dataset
        self._every_s = every_s
        self._at_most = at_most
        self._waiting: list[tuple[Task, Row]] = []
        self._written_at = -float("inf")
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()

    def __len__(self) -> int:
        """Rows that wait."""
        return len(self._waiting)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, task: Task, row: Row) -> None:
        """Take a row; write what waits if it is time.

        Raises
        ------
        InputError
            If rows cannot be written; they go on waiting.
        """
        with self._lock:
            self._waiting.append((task, row))
            left = self._written_at + self._every_s - time.monotonic()
            if left <= 0 or len(self._waiting) >= self._at_most:
                self.close()
            elif self._timer is None:
                self._timer = threading.Timer(left, self._on_time)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """Write what waits now; more may come after.

        Raises
        ------
        InputError
            If rows cannot be written; they go on waiting.
        """
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._waiting:
                self._dataset.add(self._waiting)
                self._waiting = []
                self._written_at = time.monotonic()

    def _on_time(self) -> None:
        """Write what waits; what goes wrong here goes wrong again, and is raised, at the next `add` or `close`."""
        with suppress(Exception):
            self.close()
