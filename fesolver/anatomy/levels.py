"""Vertebral levels, cranial to caudal."""

from __future__ import annotations

from collections.abc import Iterable

from fesolver.errors import InputError

__all__ = ["LEVELS", "adjacent_levels", "disc_name", "sort_levels"]

LEVELS: tuple[str, ...] = (
    *(f"C{i}" for i in range(1, 8)),
    *(f"T{i}" for i in range(1, 13)),
    *(f"L{i}" for i in range(1, 6)),
    "S1",
)


def sort_levels(levels: Iterable[str]) -> tuple[str, ...]:
    """Levels from cranial to caudal; raises `InputError` on an unknown name.

    Examples
    --------
    >>> sort_levels(["L2", "T12", "L1"])
    ('T12', 'L1', 'L2')
    """
    names = list(levels)
    unknown = [name for name in names if name not in LEVELS]
    if unknown:
        raise InputError(
            f"unknown vertebral level {', '.join(map(repr, unknown))}", fix="use C1..C7, T1..T12, L1..L5, S1"
        )
    return tuple(sorted(names, key=LEVELS.index))


def disc_name(upper: str, lower: str) -> str:
    """Name of the disc between two levels: `disc_name("L1", "L2")` is `"L1-L2"`."""
    return f"{upper}-{lower}"


def adjacent_levels(level: str, levels: Iterable[str]) -> tuple[str, ...]:
    """Direct neighbours of `level` within `levels`, cranial first."""
    ordered = sort_levels(levels)
    at = ordered.index(level)
    return ordered[max(at - 1, 0) : at] + ordered[at + 1 : at + 2]
