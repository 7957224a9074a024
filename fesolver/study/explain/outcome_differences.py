"""How far the outcomes of matched cases are apart: same bits, within a tolerance, beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fesolver.outcomes.change import WITHOUT_CHANGE
from fesolver.study.explain.columns import outcome_numbers

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ROUND_OFF", "OutcomeDifference", "compared_columns", "outcome_differences"]

ROUND_OFF = 1e-9
"""A number this small beside the largest of its unit in the same case is round-off (the report's rule)."""

_UNITS = ("n_per_mm", "nm_per_deg", "n_mm", "mpa", "mm2", "mm3", "mm", "deg", "n")
"""Endings of names, longer ones first."""

_COMPARED = ("intact", "treated", "change")


@dataclass(frozen=True)
class OutcomeDifference:
    """One outcome over the cases that two result sets share.

    Parameters
    ----------
    state, level, quantity : str
    n_identical, n_within, n_beyond : int
        Cases whose numbers are the same bits, within the tolerance, beyond it.
    n_only_a, n_only_b : int
        Cases where only one set has the number.
    largest_relative : float
        Largest difference over the magnitude of the number; of a change, over that of the numbers it is between.
    case : str
        Where: id in the first set; empty where no case has both numbers.
    a, b : float
        The two numbers there.
    """

    state: str
    level: str
    quantity: str
    n_identical: int
    n_within: int
    n_beyond: int
    n_only_a: int
    n_only_b: int
    largest_relative: float
    case: str
    a: float
    b: float


def outcome_differences(
    a: pd.DataFrame, b: pd.DataFrame, cases: Sequence[str], rtol: float
) -> tuple[OutcomeDifference, ...]:
    """Differences of every outcome that both tables have; row k of one belongs to row k of the other.

    Parameters
    ----------
    a, b : DataFrame
        Results in the layout of `results_table`, the same number of rows.
    cases : sequence of str
        Ids of the rows.
    rtol : float
        Tolerance on the relative difference.

    Notes
    -----
    The noise of a change is that of the two numbers it is between, so its relative difference is taken over the larger
    of these in both sets. Numbers that are round-off beside others of their unit in the same case (a rotation to the
    left beside the bending forward) are within the tolerance of each other.
    """
    columns = [name for name in compared_columns(a) if name in b.columns]
    x, y = ({name: outcome_numbers(table, name) for name in columns} for table in (a, b))
    largest = _largest(x, y)
    return tuple(_difference(name, x, y, largest[name.split("/", 2)[2]], cases, rtol) for name in columns)


def compared_columns(table: pd.DataFrame) -> tuple[str, ...]:
    """Outcomes of a table but floors and measures of error, whose differences say nothing."""
    parts = {str(name): str(name).split("/", 2) for name in table.columns}
    return tuple(
        name for name, of in parts.items() if len(of) == 3 and of[0] in _COMPARED and of[2] not in WITHOUT_CHANGE
    )


def _difference(
    name: str,
    x: dict[str, NDArray[np.float64]],
    y: dict[str, NDArray[np.float64]],
    largest: NDArray[np.float64],
    cases: Sequence[str],
    rtol: float,
) -> OutcomeDifference:
    """One outcome."""
    state, level, quantity = name.split("/", 2)
    a, b = x[name], y[name]
    has_a, has_b = ~np.isnan(a), ~np.isnan(b)
    both = has_a & has_b
    is_same = both & (a.view(np.int64) == b.view(np.int64))
    size = np.fmax(np.abs(a), np.abs(b))
    is_noise = size < ROUND_OFF * largest
    of = [f"{other}/{level}/{quantity}" for other in ("intact", "treated")] if state == "change" else []
    for column in (column for column in of if column in x):
        size = np.fmax(size, np.fmax(np.abs(x[column]), np.abs(y[column])))
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = np.abs(a - b) / size
    relative = np.where(np.isnan(relative), np.inf, relative)  # infinite numbers that differ
    relative[is_same | is_noise | ((a == b) & both)] = 0.0
    relative[~both] = -1.0
    is_beyond = both & (relative > rtol)
    worst = int(np.argmax(relative)) if len(relative) else 0
    is_there = bool(both.any())
    return OutcomeDifference(
        state, level, quantity,
        n_identical=int(is_same.sum()), n_within=int((both & ~is_same & ~is_beyond).sum()),
        n_beyond=int(is_beyond.sum()), n_only_a=int((has_a & ~has_b).sum()), n_only_b=int((has_b & ~has_a).sum()),
        largest_relative=float(relative[worst]) if is_there else np.nan, case=cases[worst] if is_there else "",
        a=float(a[worst]) if is_there else np.nan, b=float(b[worst]) if is_there else np.nan,
    )  # fmt: skip


def _largest(x: dict[str, NDArray[np.float64]], y: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Largest finite magnitude, over levels, states and quantities of the same unit, of every quantity, by case."""
    by_unit: dict[str, NDArray[np.float64]] = {}
    for name in x:
        unit = _unit(name.split("/", 2)[2])
        for values in (x[name], y[name]):
            size = np.where(np.isfinite(values), np.abs(values), 0.0)
            by_unit[unit] = np.fmax(by_unit[unit], size) if unit in by_unit else size
    return {name.split("/", 2)[2]: by_unit[_unit(name.split("/", 2)[2])] for name in x}


def _unit(quantity: str) -> str:
    """What stands for the unit of a quantity: the ending of its name; ratios have only themselves."""
    return next((unit for unit in _UNITS if quantity.endswith(f"_{unit}")), quantity)
