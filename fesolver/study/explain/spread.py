"""What a choice between named levels makes of an outcome: bone laws, conversion chains, patterns of cement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.study.explain.columns import combinations, outcome_numbers

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LevelSpread", "spread_by_level"]


@dataclass(frozen=True)
class LevelSpread:
    """An outcome over the levels of one factor.

    Parameters
    ----------
    by_level : DataFrame
        The other factors, the factor's level, `value, ratio_to_median`; in the order of the table.
    by_combination : DataFrame
        The other factors and, over the levels, `n, n_failed, median, low, high, range, high_over_low,
        coefficient_of_variation`.
    """

    by_level: pd.DataFrame
    by_combination: pd.DataFrame


def spread_by_level(
    table: pd.DataFrame, factor: str, outcome: str, *, others: Sequence[str] | None = None
) -> LevelSpread:
    """How far an outcome spreads over the levels of a factor, for every combination of the others.

    Parameters
    ----------
    table : DataFrame
        One row per case, as `results_table` gives it.
    factor : str
        Column; its values are taken as they are, names or numbers.
    outcome : str
        Column.
    others : sequence of str, optional
        The other factors of the study; by default every column that is neither a case's own nor an outcome.

    Returns
    -------
    LevelSpread
        Cases that failed are NaN and counted. Ratios mean nothing between numbers of two signs or zeros, and are NaN
        there.

    Raises
    ------
    InputError
        If a column is missing, no case has the outcome, or a level occurs twice in one combination.

    Notes
    -----
    The coefficient of variation is SD over the mean's magnitude, the SD with n - 1. Levels are choices, no random
    sample: it describes these, and is no estimate for others.

    Examples
    --------
    >>> import pandas as pd
    >>> laws = pd.DataFrame({"law": ["a", "b", "c"], "intact/L1/k_n_per_mm": [50.0, 200.0, 500.0]})
    >>> spread = spread_by_level(laws, "law", "intact/L1/k_n_per_mm")
    >>> spread.by_level["ratio_to_median"].tolist()
    [0.25, 1.0, 2.5]
    >>> float(spread.by_combination["high_over_low"].iloc[0])
    10.0
    """
    import pandas as pd

    values = outcome_numbers(table, outcome)
    if not np.isfinite(values).any():
        raise InputError(f"no case has {outcome}", where=outcome)
    levels: list[pd.DataFrame] = []
    spreads: list[dict[str, Any]] = []
    for combination, rows in combinations(table, factor, others):
        found = outcome_numbers(rows, outcome)
        summary = _spread(found)
        ratio = found / summary["median"] if _is_of_one_sign(found) else np.full(len(found), np.nan)
        part = {**combination, factor: rows[factor].to_numpy(), "value": found, "ratio_to_median": ratio}
        levels.append(pd.DataFrame(part, index=range(len(found))))
        spreads.append(combination | summary)
    return LevelSpread(pd.concat(levels, ignore_index=True), pd.DataFrame(spreads))


def _spread(found: NDArray[np.float64]) -> dict[str, Any]:
    """Measures of spread of the numbers that are there."""
    x = found[np.isfinite(found)]
    out: dict[str, Any] = {"n": len(x), "n_failed": len(found) - len(x)}
    if not len(x):
        return out | dict.fromkeys(
            ("median", "low", "high", "range", "high_over_low", "coefficient_of_variation"), np.nan
        )
    is_ratio = _is_of_one_sign(found)
    low, high = float(x.min()), float(x.max())
    sizes = np.abs(x)
    return out | {
        "median": float(np.median(x)),
        "low": low,
        "high": high,
        "range": high - low,
        "high_over_low": float(sizes.max() / sizes.min()) if is_ratio else np.nan,
        "coefficient_of_variation": float(x.std(ddof=1) / abs(x.mean())) if is_ratio and len(x) > 1 else np.nan,
    }


def _is_of_one_sign(found: NDArray[np.float64]) -> bool:
    """Whether ratios of the numbers mean something."""
    x = found[np.isfinite(found)]
    return bool(len(x) and ((x > 0.0).all() or (x < 0.0).all()))
