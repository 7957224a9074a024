"""Morris and Sobol indices of tables whose rows stand in the order of their design, by SALib."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError, MissingDependencyError
from fesolver.study.design.sampling import MORRIS_LEVELS
from fesolver.study.explain.columns import design_rows, factor_columns, factor_numbers, outcome_numbers
from fesolver.study.schema_design import DesignTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LEAST_UNITS",
    "SobolIndices",
    "complete_units",
    "morris_indices",
    "sobol_indices",
    "unit_size",
]

LEAST_UNITS = 4
"""Fewer whole trajectories or blocks say nothing."""

_N_RESAMPLES = 1000
_MOST_DRAWS = 4_000_000


@dataclass(frozen=True)
class SobolIndices:
    """Shares of an outcome's variance.

    Parameters
    ----------
    by_factor : DataFrame
        `factor, S1, S1_low, S1_high, ST, ST_low, ST_high, n_blocks, n_dropped`.
    by_pair : DataFrame or None
        `factor, other, S2, S2_low, S2_high`; None where the design has no second order.
    """

    by_factor: pd.DataFrame
    by_pair: pd.DataFrame | None


def morris_indices(
    table: pd.DataFrame,
    factors: Sequence[str],
    outcome: str,
    design: DesignTable,
    *,
    case_of_point: Sequence[str] | None = None,
    seed: int = 0,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Mean and spread of the elementary effects of every factor.

    Parameters
    ----------
    table : DataFrame
        One row per point of the design, in its order.
    factors : sequence of str
        All factors of the design; columns of numbers.
    outcome : str
        Column.
    design : DesignTable
        Of kind `morris`.
    case_of_point : sequence of str, optional
        `StudyPlan.case_of_point`: the case of every point, where equal points are one case of the table.
    seed : int
        Of the bootstrap.
    confidence : float
        Of the intervals.

    Returns
    -------
    DataFrame
        `factor, mu, mu_star, sigma`, each number with `_low` and `_high`, and `n_trajectories, n_dropped`: a
        trajectory with a failed case is left out whole.

    Raises
    ------
    InputError
        If the rows are not in the order of a Morris design of these factors, or fewer than 4 trajectories are whole.
    MissingDependencyError
        If SALib is not installed.

    Notes
    -----
    An elementary effect is the difference between the two cases of a step, towards the larger value, over the step's
    part of the way from the lowest level to the highest (2/3 with four levels): the outcome's difference over that
    way, in its unit. mu_star is the mean of the magnitudes [2]_, sigma the standard deviation [1]_: zero where the
    factor acts linearly and alone. Intervals are percentiles over 1000 resamples of whole trajectories; with ten or
    fewer of these they are rough.

    References
    ----------
    .. [1] M. D. Morris, *Factorial sampling plans for preliminary computational experiments*, Technometrics
       33:161-174, 1991.
    .. [2] F. Campolongo, J. Cariboni, A. Saltelli, *An effective screening design for sensitivity analysis of large
       models*, Environ. Model. Softw. 22:1509-1518, 2007.
    """
    import pandas as pd

    analyzer = _salib("morris")
    whole, dropped = complete_units(table, factors, outcome, design, case_of_point=case_of_point)
    k = len(factors)
    X, y = factor_numbers(whole, factors), outcome_numbers(whole, outcome)
    _check_varies(y, outcome)
    problem = {"num_vars": k, "names": list(factors), "bounds": [[0.0, 1.0]] * k, "groups": None}
    found = analyzer.analyze(problem, X, y, num_resamples=2, num_levels=MORRIS_LEVELS, seed=1)
    effects = _elementary_effects(X.reshape(-1, k + 1, k), y.reshape(-1, k + 1))
    n = len(effects)
    resampled = effects[_generator(seed).integers(n, size=(_N_RESAMPLES, n))]
    statistics = {
        "mu": resampled.mean(axis=1),
        "mu_star": np.abs(resampled).mean(axis=1),
        "sigma": resampled.std(axis=1, ddof=1),
    }
    columns: dict[str, Any] = {"factor": list(factors)}
    for name, draws in statistics.items():
        low, high = np.quantile(draws, [0.5 - confidence / 2, 0.5 + confidence / 2], axis=0)
        columns |= {name: np.asarray(found[name], dtype=np.float64), f"{name}_low": low, f"{name}_high": high}
    return pd.DataFrame(columns | {"n_trajectories": n, "n_dropped": dropped})


def sobol_indices(
    table: pd.DataFrame,
    factors: Sequence[str],
    outcome: str,
    design: DesignTable,
    *,
    case_of_point: Sequence[str] | None = None,
    seed: int = 0,
    confidence: float = 0.95,
) -> SobolIndices:
    """Shares of the outcome's variance that every factor makes alone (S1), with others (ST), and by pairs (S2).

    Parameters
    ----------
    table, factors, outcome, case_of_point, seed, confidence
        As in `morris_indices`; factors may have named levels.
    design : DesignTable
        Of kind `saltelli`.

    Returns
    -------
    SobolIndices
        A block of k + 2 (second order: 2 k + 2) cases with a failed one is left out whole; `n_dropped` says how many.

    Raises
    ------
    InputError
        If the rows are not in the order of a Saltelli design of these factors, or fewer than 4 blocks are whole.
    MissingDependencyError
        If SALib is not installed.

    Notes
    -----
    First and total order after Saltelli et al. [1]_, second order after Saltelli [2]_. Intervals are the estimate +- z
    times the standard deviation over 1000 resamples of whole blocks (fewer, at least 100, beyond 4000 blocks).
    Estimates of small indices may be negative, and they may add up to more than 1; both are noise of the estimate.

    References
    ----------
    .. [1] A. Saltelli et al., *Variance based sensitivity analysis of model output. Design and estimator for the total
       sensitivity index*, Comput. Phys. Commun. 181:259-270, 2010.
    .. [2] A. Saltelli, *Making best use of model evaluations to compute sensitivity indices*, Comput. Phys. Commun.
       145:280-297, 2002.
    """
    import pandas as pd

    analyzer = _salib("sobol")
    whole, dropped = complete_units(table, factors, outcome, design, case_of_point=case_of_point)
    y = outcome_numbers(whole, outcome)
    _check_varies(y, outcome)
    k = len(factors)
    n_blocks = len(y) // unit_size(k, design)
    problem = {"num_vars": k, "names": list(factors), "bounds": [[0.0, 1.0]] * k, "groups": None}
    # SALib takes a seed of 0 for none, and holds all resamples at once.
    n_resamples = min(_N_RESAMPLES, max(100, _MOST_DRAWS // n_blocks))
    found = analyzer.analyze(
        problem, y, calc_second_order=design.second_order, num_resamples=n_resamples, conf_level=confidence,
        seed=1 + int(_generator(seed).integers(2**31)),
    )  # fmt: skip
    columns: dict[str, Any] = {"factor": list(factors)}
    for name in ("S1", "ST"):
        columns |= _with_interval(name, found[name], found[f"{name}_conf"])
    by_factor = pd.DataFrame(columns | {"n_blocks": n_blocks, "n_dropped": dropped})
    if not design.second_order:
        return SobolIndices(by_factor, None)
    i, j = np.triu_indices(k, 1)
    names = np.array(factors, dtype=object)
    pairs = {"factor": names[i], "other": names[j]}
    return SobolIndices(
        by_factor, pd.DataFrame(pairs | _with_interval("S2", found["S2"][i, j], found["S2_conf"][i, j]))
    )


def complete_units(
    table: pd.DataFrame,
    factors: Sequence[str],
    outcome: str,
    design: DesignTable,
    *,
    case_of_point: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, int]:
    """Rows of whole trajectories or blocks, and how many were dropped for a failed case.

    Raises
    ------
    InputError
        If the rows do not have the structure of the design, or fewer than 4 units are whole.
    """
    if design.kind not in ("morris", "saltelli"):
        raise InputError(
            f"a {design.kind} design has no trajectories or blocks", where="design.kind",
            fix="use prcc and standardised_regression, or run a morris or saltelli design",
        )  # fmt: skip
    unit = "trajectories" if design.kind == "morris" else "blocks"
    if case_of_point is not None:
        table = design_rows(table, case_of_point)
    size = unit_size(len(factors), design)
    if not len(table) or len(table) % size or (design.n is not None and len(table) != design.n * size):
        expected = f"{design.n} {unit} of {size}" if design.n is not None else f"{unit} of {size}"
        raise InputError(
            f"{len(table)} rows are not {expected} cases ({len(factors)} factors)", where="design",
            fix="give the whole table and all factors; where equal points are one case, give `case_of_point` too",
        )  # fmt: skip
    _check_order(table, factors, design, size)
    y = outcome_numbers(table, outcome).reshape(-1, size)
    kept = np.asarray(np.isfinite(y).all(axis=1))
    if kept.sum() < LEAST_UNITS:
        raise InputError(
            f"{kept.sum()} of {len(kept)} {unit} are whole; {LEAST_UNITS} are the least", where=outcome,
            fix="retry the failed cases, or run a larger design.n",
        )  # fmt: skip
    return table.loc[np.repeat(kept, size)], int((~kept).sum())


def unit_size(k: int, design: DesignTable) -> int:
    """Cases of one trajectory (Morris) or block (Saltelli) of k factors."""
    if design.kind == "morris":
        return k + 1
    return 2 * k + 2 if design.second_order else k + 2


def _check_order(table: pd.DataFrame, factors: Sequence[str], design: DesignTable, size: int) -> None:
    """Refuse rows that do not step, or cross, as those of the design do."""
    import pandas as pd

    missing = [name for name in factors if name not in factor_columns(table)]
    if missing:
        raise InputError(f"factor {missing[0]!r} is not in the table of results", where="factor")
    k = len(factors)
    codes = np.column_stack([pd.factorize(table[name])[0] for name in factors]).reshape(-1, size, k)
    if design.kind == "morris":
        changed = codes[:, 1:] != codes[:, :-1]
        is_right = bool((changed.sum(axis=1) == 1).all() and (changed.sum(axis=2) == 1).all())
    else:
        a, b = codes[:, :1], codes[:, -1:]
        one = np.eye(k, dtype=bool)
        crossed = [np.where(one, b, a), np.where(one, a, b)] if design.second_order else [np.where(one, b, a)]
        is_right = bool((codes[:, 1:-1] == np.concatenate(crossed, axis=1)).all())
    if not is_right:
        raise InputError(
            f"the rows do not stand in the order of a {design.kind} design of {', '.join(factors)}", where="table",
            fix="give the table as results_table reads it, unsorted, and all factors of the design",
        )  # fmt: skip


def _elementary_effects(X: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, k) effects of trajectories (n, k + 1, k): the difference upwards over the step."""
    up = np.sign(np.diff(X, axis=1))
    return np.asarray(np.einsum("ns,nsj->nj", np.diff(y, axis=1), up) * (2.0 * (MORRIS_LEVELS - 1) / MORRIS_LEVELS))


def _with_interval(name: str, value: NDArray[np.float64], half: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Three columns: value, low, high."""
    return {name: value, f"{name}_low": value - half, f"{name}_high": value + half}


def _check_varies(y: NDArray[np.float64], outcome: str) -> None:
    """Refuse an outcome without variance: it has no shares."""
    if np.ptp(y) == 0.0:
        raise InputError(f"{outcome} is {y[0]:g} in every case: nothing explains it", where=outcome)


def _generator(seed: int) -> np.random.Generator:
    """The draws of the bootstrap."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, 31)))


def _salib(method: str) -> Any:
    """SALib's analysis module of a method."""
    try:
        return importlib.import_module(f"SALib.analyze.{method}")
    except ImportError as error:
        raise MissingDependencyError(
            f"{method} indices need the Python package {error.name or 'SALib'}",
            fix="pip install 'fesolver[sensitivity]'",
        ) from error
