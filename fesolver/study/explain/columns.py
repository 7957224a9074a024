"""Columns of a result table: which are factors, which are outcomes, and their numbers."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["combinations", "complete_sample", "design_rows", "factor_columns", "factor_numbers", "outcome_numbers"]

_NOT_FACTORS = frozenset({"case", "status", "error", "facts", "seconds", "digest", "index"})


def factor_columns(table: pd.DataFrame) -> tuple[str, ...]:
    """Columns of a result table that are factors: neither a case's own, nor an outcome (STATE/LEVEL/QUANTITY)."""
    return tuple(str(name) for name in table.columns if name not in _NOT_FACTORS and "/" not in str(name))


def outcome_numbers(table: pd.DataFrame, outcome: str) -> NDArray[np.float64]:
    """(n,) numbers of an outcome, NaN where a case has none.

    Raises
    ------
    InputError
        If the table has no such column, or it holds no numbers.
    """
    _need(table, (outcome,), "outcome")
    return _floats(table[outcome], f"outcome {outcome!r} is not a column of numbers", outcome)


def factor_numbers(table: pd.DataFrame, factors: Sequence[str]) -> NDArray[np.float64]:
    """(n, k) numbers of factors.

    Raises
    ------
    InputError
        If a factor is not in the table, given twice, or has names for levels, which have no order.
    """
    names = list(factors)
    if not names or len(set(names)) != len(names):
        raise InputError(f"factors {names}: give one or more, each once", where="factors")
    _need(table, names, "factor")
    columns = [
        _floats(
            table[name],
            f"factor {name!r} has named levels, which have no order",
            name,
            "leave it out here, and read the tables by level (spread_by_level) for it",
        )
        for name in names
    ]
    return np.column_stack(columns)


def complete_sample(
    table: pd.DataFrame, factors: Sequence[str], outcome: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Factors (n, k) and outcome (n,) of the cases that have it; refused where one of them does not vary."""
    X, y = factor_numbers(table, factors), outcome_numbers(table, outcome)
    done = np.isfinite(y)
    X, y = X[done], y[done]
    if not np.isfinite(X).all():
        raise InputError("a factor has no value in some case", where=", ".join(factors))
    if len(y) < len(factors) + 4:
        raise InputError(
            f"{len(y)} cases with {outcome} are too few for {len(factors)} factors",
            fix=f"run {len(factors) + 4} or more; ten times as many as factors is little",
        )
    if np.ptp(y) == 0.0:
        raise InputError(f"{outcome} is {y[0]:g} in every case: nothing explains it", where=outcome)
    still = [name for name, x in zip(factors, X.T, strict=True) if np.ptp(x) == 0.0]
    if still:
        raise InputError(f"{', '.join(still)} does not vary", where="factors", fix="leave it out")
    return X, y


def design_rows(table: pd.DataFrame, case_of_point: Sequence[str]) -> pd.DataFrame:
    """One row for each point of a design, in its order, from a table that holds equal points once.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    case_of_point : sequence of str
        Id of the case of every point (`StudyPlan.case_of_point`).

    Returns
    -------
    DataFrame
        Columns of `table`.

    Raises
    ------
    InputError
        If the table lacks a case.

    Examples
    --------
    >>> import pandas as pd
    >>> once = pd.DataFrame({"case": ["00000-a", "00001-b"], "change/L1/k_n_per_mm": [10.0, 20.0]})
    >>> design_rows(once, ["00001-b", "00000-a", "00001-b"])["change/L1/k_n_per_mm"].tolist()
    [20.0, 10.0, 20.0]
    """
    place = {case: row for row, case in enumerate(table["case"])}
    missing = [case for case in case_of_point if case not in place]
    if missing:
        raise InputError(f"case {missing[0]} of the design is not in the table of results", where="case")
    return table.iloc[[place[case] for case in case_of_point]].reset_index(drop=True)


def combinations(
    table: pd.DataFrame, factor: str, others: Sequence[str] | None
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The values of the other factors and the rows that have them, in order of first use.

    Raises
    ------
    InputError
        If a factor is not in the table, or two rows of one combination have the same value of `factor`.
    """
    names = [name for name in (factor_columns(table) if others is None else others) if name != factor]
    _need(table, (factor, *names), "factor")
    groups = table.groupby(names, sort=False, dropna=False) if names else [((), table)]
    for values, rows in groups:
        twice = rows[factor][rows[factor].duplicated()]
        if len(twice):
            raise InputError(
                f"{factor} = {twice.iloc[0]} occurs twice where the other factors ({', '.join(names) or 'none'}) agree",
                where="factors", fix="name every other factor of the study",
            )  # fmt: skip
        yield dict(zip(names, values, strict=True)), rows


def _need(table: pd.DataFrame, names: Sequence[str], what: str) -> None:
    """Refuse a column that the table has not, with the nearest one."""
    known = [str(name) for name in table.columns]
    if what == "factor":
        known = list(factor_columns(table))
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known[:12])}"
            raise InputError(f"{what} {name!r} is not in the table of results", where=what, fix=hint)


def _floats(column: pd.Series[Any], problem: str, where: str, fix: str | None = None) -> NDArray[np.float64]:
    """A column as float64; texts are refused, also those that look like numbers."""
    values = column.tolist()
    if not all(isinstance(value, numbers.Real | np.bool_) for value in values):
        raise InputError(problem, where=where, fix=fix)
    return np.array(values, dtype=np.float64)
