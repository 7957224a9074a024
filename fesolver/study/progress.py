"""How long work says where it is."""

from __future__ import annotations

from typing import Protocol

from fesolver.study.engine.task import Row, Task

__all__ = ["CaseReporter", "ProgressReporter", "SilentCases", "SilentProgress"]


class ProgressReporter(Protocol):
    """What a run tells about itself while it works."""

    def stage(self, name: str, total: float | None = None) -> None:
        """A stage begins; `total` is the number of its steps where that is known."""
        ...

    def update(self, fraction: float | None, message: str = "") -> None:
        """The stage has come so far (0 to 1, or None)."""
        ...

    def done(self, name: str, seconds: float) -> None:
        """The stage has ended."""
        ...


class SilentProgress:
    """Says nothing."""

    def stage(self, name: str, total: float | None = None) -> None:
        """Ignore."""

    def update(self, fraction: float | None, message: str = "") -> None:
        """Ignore."""

    def done(self, name: str, seconds: float) -> None:
        """Ignore."""


class CaseReporter(Protocol):
    """What a run of many cases tells about itself."""

    def start(self, total: int, reused: int) -> None:
        """A run of `total` cases begins, of which `reused` need not be computed."""
        ...

    def case(self, task: Task, row: Row, done: int, failed: int) -> None:
        """A case has come back; `done` and `failed` count those computed in this run, this one with them."""
        ...

    def finish(self) -> None:
        """No more will come; called once after `start`, however the run ends."""
        ...


class SilentCases:
    """Says nothing."""

    def start(self, total: int, reused: int) -> None:
        """Ignore."""

    def case(self, task: Task, row: Row, done: int, failed: int) -> None:
        """Ignore."""

    def finish(self) -> None:
        """Ignore."""
