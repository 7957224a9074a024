"""How long work says where it is."""

from __future__ import annotations

from typing import Protocol

__all__ = ["ProgressReporter", "SilentProgress"]


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
