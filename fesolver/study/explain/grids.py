"""Outcomes of a study over cell sizes: order, limit, grid convergence index, floor of every change, cost."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.outcomes.convergence import QuantityConvergence, convergence_study
from fesolver.study.explain.columns import combinations, factor_numbers, outcome_numbers

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GridConvergence", "grid_convergence"]

_SIZE, _SECONDS = "cell/size", "cell/seconds"  # a factor's name has no slash
_NUMBERS = ("order", "extrapolated", "uncertainty", "gci_fine", "gci_medium", "asymptotic_ratio")


@dataclass(frozen=True)
class GridConvergence:
    """Convergence over meshes, for every combination of the other factors.

    Parameters
    ----------
    table : DataFrame
        The other factors, then `outcome, n_sizes, finest_size, value, behaviour, order, extrapolated, uncertainty,
        gci_fine, gci_medium, asymptotic_ratio, floor, is_resolved, seconds`. Behaviour to asymptotic ratio as in
        `fesolver.outcomes.convergence.QuantityConvergence`; `value` and `seconds` are those of the finest size that has
        the outcome. `floor` and `is_resolved` are of changes only.
    costs : DataFrame
        The other factors, then `size, seconds, cost_order`: seconds grow as size to minus that order since the next
        coarser size.
    """

    table: pd.DataFrame
    costs: pd.DataFrame


def grid_convergence(
    table: pd.DataFrame,
    size_factor: str,
    outcomes: Sequence[str],
    *,
    is_refinement: bool,
    others: Sequence[str] | None = None,
    expected_order: float = 2.0,
) -> GridConvergence:
    """Say how far every outcome has settled over the meshes of a study, and what that cost.

    Parameters
    ----------
    table : DataFrame
        One row per case, as `results_table` gives it. Seconds of a case are taken from a column `seconds`, else from
        `facts` (mapping or JSON text: `seconds_total`, or the sum of `seconds`), else they are NaN.
    size_factor : str
        Column of the cell sizes (mm), or of refinements.
    outcomes : sequence of str
        Columns.
    is_refinement : bool
        Whether `size_factor` grows as cells get smaller: sizes are then its inverse, relative to refinement 1.
    others : sequence of str, optional
        The other factors of the study; by default every column that is neither a case's own nor an outcome.
    expected_order : float
        As in `fesolver.outcomes.convergence.convergence_study`.

    Returns
    -------
    GridConvergence
        A size whose case failed is left out; where fewer than two are left, the behaviour is "missing".

    Raises
    ------
    InputError
        If a column is missing, a size is not positive, occurs twice in one combination, or there are fewer than two.

    Notes
    -----
    The floor of a change is |change(h1) - change(h2)| of the two finest sizes: errors that both states share cancel in
    it, as they do in the change. A change below it is not resolved. It is an estimate of the coarser mesh's error, no
    bound: `uncertainty` is the band about the finest value, with Roache's factor of safety.

    Examples
    --------
    >>> import pandas as pd
    >>> meshes = pd.DataFrame({"spacing_mm": [1.0, 2.0, 4.0], "change/L1/k_n_per_mm": [11.0, 14.0, 26.0]})
    >>> found = grid_convergence(meshes, "spacing_mm", ["change/L1/k_n_per_mm"], is_refinement=False).table.iloc[0]
    >>> float(found["order"]), float(found["extrapolated"]), float(found["floor"]), bool(found["is_resolved"])
    (2.0, 10.0, 3.0, True)
    """
    import pandas as pd

    given = factor_numbers(table, [size_factor])[:, 0]
    if not (np.isfinite(given) & (given > 0.0)).all():
        raise InputError(f"{size_factor} must be positive, got {given.tolist()}", where=size_factor)
    if len(set(given)) < 2:
        raise InputError(f"{size_factor} has one value, {given[0]:g}", where=size_factor, fix="run two sizes or more")
    sized = table.assign(**{_SIZE: 1.0 / given if is_refinement else given, _SECONDS: _seconds(table)})
    found: list[dict[str, Any]] = []
    costs: list[dict[str, Any]] = []
    for combination, rows in combinations(sized, size_factor, others):
        ordered = rows.sort_values(_SIZE, ascending=False)
        sizes, seconds = ordered[_SIZE].to_numpy(np.float64), ordered[_SECONDS].to_numpy(np.float64)
        for outcome in outcomes:
            values = outcome_numbers(ordered, outcome)
            found.append(combination | _settled(outcome, sizes, values, seconds, expected_order))
        costs += [combination | cost for cost in _costs(sizes, seconds)]
    return GridConvergence(pd.DataFrame(found), pd.DataFrame(costs))


def _settled(
    outcome: str,
    sizes: NDArray[np.float64],
    values: NDArray[np.float64],
    seconds: NDArray[np.float64],
    expected_order: float,
) -> dict[str, Any]:
    """One row: an outcome over sizes, coarse to fine."""
    there = np.flatnonzero(np.isfinite(values))
    n, last = len(there), int(there[-1]) if len(there) else 0
    row: dict[str, Any] = {
        "outcome": outcome,
        "n_sizes": n,
        "finest_size": float(sizes[last]) if n else math.nan,
        "value": float(values[last]) if n else math.nan,
    }
    h, f = sizes[there].tolist(), values[there].tolist()
    if n >= 2:
        at = dict(zip(h, f, strict=True))
        study = convergence_study(lambda size: {outcome: at[size]}, h, expected_order=expected_order)
        row |= _numbers(study.quantities[outcome])
    else:
        row |= {"behaviour": "missing"} | dict.fromkeys(_NUMBERS, math.nan)
    floor = abs(f[-1] - f[-2]) if outcome.startswith("change/") and n >= 2 else math.nan
    row |= {"floor": floor, "is_resolved": n >= 2 and abs(f[-1]) > floor if outcome.startswith("change/") else None}
    return row | {"seconds": float(seconds[last]) if n else math.nan}


def _numbers(found: QuantityConvergence) -> dict[str, Any]:
    """Columns of a convergence study of one quantity."""
    return {"behaviour": found.behaviour} | {name: getattr(found, name) for name in _NUMBERS}


def _costs(sizes: NDArray[np.float64], seconds: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Rows of seconds by size, coarse to fine."""
    rows = []
    for k, (size, spent) in enumerate(zip(sizes, seconds, strict=True)):
        order = math.nan
        if k and spent > 0.0 and seconds[k - 1] > 0.0:
            order = math.log(spent / seconds[k - 1]) / math.log(sizes[k - 1] / size)
        rows.append({"size": float(size), "seconds": float(spent), "cost_order": order})
    return rows


def _seconds(table: pd.DataFrame) -> NDArray[np.float64]:
    """(n,) seconds of every case, NaN where nothing says them."""
    if "seconds" in table:
        return outcome_numbers(table, "seconds")
    if "facts" in table:
        return np.array([_spent(facts) for facts in table["facts"]], dtype=np.float64)
    return np.full(len(table), np.nan)


def _spent(facts: object) -> float:
    """Seconds from the facts of a case."""
    if isinstance(facts, str):
        facts = json.loads(facts or "{}")
    if not isinstance(facts, Mapping):
        return math.nan
    by_stage = facts.get("seconds")
    total = facts.get("seconds_total", sum(by_stage.values()) if isinstance(by_stage, Mapping) else by_stage)
    return math.nan if total is None else float(total)
