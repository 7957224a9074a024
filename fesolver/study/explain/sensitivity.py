"""Which factors move an outcome: indices of four methods, and whether the estimates have settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from fesolver.errors import InputError
from fesolver.study.explain.columns import outcome_numbers
from fesolver.study.explain.indices import (
    LEAST_UNITS,
    SobolIndices,
    complete_units,
    morris_indices,
    sobol_indices,
    unit_size,
)
from fesolver.study.explain.regression import prcc, standardised_regression
from fesolver.study.schema_design import DesignTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "IndexConvergence",
    "IndexName",
    "SobolIndices",
    "index_convergence",
    "morris_indices",
    "prcc",
    "sobol_indices",
    "standardised_regression",
]

IndexName = Literal["prcc", "src", "mu_star", "S1", "ST"]

_DESIGNS = {
    "prcc": ("latin_hypercube", "sobol", "csv"),
    "src": ("latin_hypercube", "sobol", "csv"),
    "mu_star": ("morris",),
    "S1": ("saltelli",),
    "ST": ("saltelli",),
}
_ROUND_OFF = 1e-9


@dataclass(frozen=True)
class IndexConvergence:
    """An index on the first eighth, quarter, half and all of the cases.

    Parameters
    ----------
    index : str
        Its name.
    table : DataFrame
        `n, factor, value, low, high`, n being cases; fewer cases first.
    is_settled : bool
        Whether the last doubling moved nothing.
    moved : tuple of str
        Factors that it moved by more than half the width of their interval, or past another one.
    widest : float
        Widest interval of the whole sample over the largest magnitude of the index. A settled estimate may still be a
        wide one.
    """

    index: IndexName
    table: pd.DataFrame
    is_settled: bool
    moved: tuple[str, ...]
    widest: float


def index_convergence(
    table: pd.DataFrame,
    factors: Sequence[str],
    outcome: str,
    design: DesignTable,
    *,
    index: IndexName,
    case_of_point: Sequence[str] | None = None,
    seed: int = 0,
    confidence: float = 0.95,
) -> IndexConvergence:
    """How a sensitivity index settles as the sample grows.

    Parameters
    ----------
    table, factors, outcome, design, case_of_point, seed, confidence
        As in `prcc`, `morris_indices` and `sobol_indices`.
    index : {"prcc", "src", "mu_star", "S1", "ST"}
        The first two for Latin hypercubes, Sobol sequences and points from a CSV; `mu_star` for `morris`; `S1` and `ST`
        for `saltelli`.

    Returns
    -------
    IndexConvergence

    Raises
    ------
    InputError
        If the index does not go with the design, or half the sample is too small for it.

    Notes
    -----
    Beginnings of Sobol sequences and of Morris and Saltelli designs are smaller designs of the same kind; that of a
    Latin hypercube is a plain sample; that of a CSV is what its author put first. Factors whose interval holds zero are
    noise, and so are swaps in rank of two factors that differ by less than sqrt(h1^2 + h2^2) in the end, h being half
    widths of intervals. Both criteria are after Sarrazin et al. [1]_, with the estimate's own interval as the measure.

    References
    ----------
    .. [1] F. Sarrazin, F. Pianosi, T. Wagener, *Global sensitivity analysis of environmental models: convergence and
       validation*, Environ. Model. Softw. 79:135-152, 2016.
    """
    import pandas as pd

    if design.kind not in _DESIGNS[index]:
        raise InputError(
            f"{index} does not settle along a {design.kind} design", where="design.kind",
            fix=f"{index} goes with {', '.join(_DESIGNS[index])}",
        )  # fmt: skip
    rows, unit, least = _sample(table, factors, outcome, design, index, case_of_point)
    count = len(rows) // unit
    counts = [n for n in (count // 8, count // 4, count // 2, count) if n >= least]
    if len(counts) < 2:
        raise InputError(
            f"half of {len(rows)} cases is too few for {index} of {len(factors)} factors", where=outcome,
            fix=f"run {2 * least * unit} cases or more",
        )  # fmt: skip
    estimate = _estimator(factors, outcome, design, index, seed, confidence)
    found = [estimate(rows.iloc[: n * unit], n) for n in counts]
    half, whole = found[-2], found[-1]
    moved = _moved(half, whole)
    width = float((whole["high"] - whole["low"]).max() / whole["value"].abs().max())
    return IndexConvergence(index, pd.concat(found, ignore_index=True), not moved, moved, width)


def _sample(
    table: pd.DataFrame,
    factors: Sequence[str],
    outcome: str,
    design: DesignTable,
    index: IndexName,
    case_of_point: Sequence[str] | None,
) -> tuple[pd.DataFrame, int, int]:
    """Rows that count, rows of one unit of the design, and the least number of units an index needs."""
    if index in ("prcc", "src"):
        return table.loc[np.isfinite(outcome_numbers(table, outcome))], 1, len(factors) + 4
    whole, _ = complete_units(table, factors, outcome, design, case_of_point=case_of_point)
    return whole, unit_size(len(factors), design), LEAST_UNITS


def _estimator(
    factors: Sequence[str], outcome: str, design: DesignTable, index: IndexName, seed: int, confidence: float
) -> Callable[[pd.DataFrame, int], pd.DataFrame]:
    """A function of rows and number of units that gives the table `n, factor, value, low, high`."""

    def estimate(rows: pd.DataFrame, n: int) -> pd.DataFrame:
        part = design.model_copy(update={"n": n})
        names = [index, f"{index}_low", f"{index}_high"]
        if index in ("prcc", "src"):
            method = prcc if index == "prcc" else standardised_regression
            found, names = method(rows, factors, outcome, confidence=confidence), [index, "low", "high"]
        elif index == "mu_star":
            found = morris_indices(rows, factors, outcome, part, seed=seed, confidence=confidence)
        else:
            found = sobol_indices(rows, factors, outcome, part, seed=seed, confidence=confidence).by_factor
        out = found[["factor", *names]].set_axis(["factor", "value", "low", "high"], axis=1)
        out.insert(0, "n", len(rows))
        return out

    return estimate


def _moved(half: pd.DataFrame, whole: pd.DataFrame) -> tuple[str, ...]:
    """Factors that the second half of the sample has moved above the noise."""
    before, after = half["value"].to_numpy(), whole["value"].to_numpy()
    low, high = whole["low"].to_numpy(), whole["high"].to_numpy()
    h = np.maximum((high - low) / 2, _ROUND_OFF * np.abs(after).max())
    has_moved = np.abs(after - before) > h
    is_noise = low * high <= 0.0
    gap = np.abs(after)[:, None] - np.abs(after)[None]
    gap_before = np.abs(before)[:, None] - np.abs(before)[None]
    swapped = (gap * gap_before < 0.0) & (np.abs(gap) > np.hypot(h[:, None], h[None]))
    swapped &= ~(is_noise[:, None] | is_noise[None])
    return tuple(whole["factor"][has_moved | swapped.any(axis=1)])
