"""Outcome columns of the table of cases: their names, and the pair of numbers of one quantity."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.study.explain.columns import factor_columns

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STATES", "OutcomeColumn", "check_columns", "numbers_of", "outcome_columns", "pair_of", "split_column"]

STATES = ("intact", "treated", "change", "floor_solver", "floor_spacing")
"""First part of an outcome column's name."""

ROUND_OFF = 1e-9
"""A number this small beside the same quantity's largest in the same case is round-off (the report's rule)."""


class OutcomeColumn(NamedTuple):
    """An outcome column's name, taken apart."""

    state: str
    level: str
    quantity: str

    @property
    def name(self) -> str:
        """The name of the column."""
        return "/".join(self)


def split_column(name: str) -> OutcomeColumn | None:
    """State, level and quantity of an outcome column; None for every other column.

    Examples
    --------
    >>> split_column("treated/L1-L2/nucleus_pressure_mpa")
    OutcomeColumn(state='treated', level='L1-L2', quantity='nucleus_pressure_mpa')
    >>> split_column("density_g_cm3") is None
    True
    """
    parts = name.split("/", 2)
    return OutcomeColumn(*parts) if len(parts) == 3 and parts[0] in STATES else None


def outcome_columns(table: pd.DataFrame, states: Iterable[str] = STATES) -> tuple[OutcomeColumn, ...]:
    """The outcome columns of some states, in the order of the table."""
    wanted = set(states)
    found = (split_column(str(name)) for name in table.columns)
    return tuple(column for column in found if column is not None and column.state in wanted)


def check_columns(table: pd.DataFrame, names: Iterable[str], *, kind: str = "column") -> tuple[str, ...]:
    """The names as a tuple, if the table has them all.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    names : iterable of str
        Columns that are needed.
    kind : {"column", "factor"}
        A factor is a column that is neither an outcome nor the case's own.

    Raises
    ------
    InputError
        If one is missing; it names the closest ones.
    """
    wanted = tuple(names)
    known = list(factor_columns(table)) if kind == "factor" else [str(name) for name in table.columns]
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
            shown = ", ".join(known[:12]) + (f", ... ({len(known)} in all)" if len(known) > 12 else "")
            fix = f"did you mean {' or '.join(map(repr, close))}?" if close else f"{kind}s there are: {shown or 'none'}"
            raise InputError(f"the table has no {kind} {name!r}", where="table of cases", fix=fix)
    return wanted


def numbers_of(table: pd.DataFrame, names: Sequence[str]) -> NDArray[np.float64]:
    """Columns as numbers, (n_rows, n_names); what is not finite becomes NaN.

    Raises
    ------
    InputError
        If a column holds text.
    """
    out = np.empty((len(table), len(names)))
    for at, name in enumerate(names):
        try:
            out[:, at] = table[name].to_numpy(dtype=float, na_value=np.nan)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"column {name!r} holds text, not numbers", where="table of cases", fix="group by it (by=...)"
            ) from error
    out[~np.isfinite(out)] = np.nan
    return out


def pair_of(table: pd.DataFrame, level: str, quantity: str) -> pd.DataFrame:
    """Numbers of one quantity at one level before and after, one row per row of the table.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    level, quantity : str
        Such as `L1-L2` and `nucleus_pressure_mpa`.

    Returns
    -------
    DataFrame
        Columns `intact`, `treated`, `change`, `change_percent` (of the intact magnitude, NaN where that is 0),
        `floor_solver`, `floor_spacing` (NaN where unknown), with the index of the table.

    Raises
    ------
    InputError
        If a state of the pair is not in the table.

    Notes
    -----
    A pair that is round-off beside the same quantity at other levels of its case (the bulge of the endplate on a pad)
    counts as 0 and has no percent.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"intact/L2/k_n_per_mm": [100.0], "treated/L2/k_n_per_mm": [103.0]})
    >>> pair_of(table, "L2", "k_n_per_mm")[["change", "change_percent"]].to_numpy().tolist()
    [[3.0, 3.0]]
    """
    import pandas as pd

    names = [OutcomeColumn(state, level, quantity).name for state in STATES]
    check_columns(table, names[:2])
    before, after = numbers_of(table, names[:2]).T
    floors = [numbers_of(table, [name])[:, 0] if name in table else np.full(len(table), np.nan) for name in names[3:]]
    same = [c.name for c in outcome_columns(table, STATES[:2]) if c.quantity == quantity]
    largest = np.fmax.reduce(np.abs(numbers_of(table, same)), axis=1)
    is_noise = (np.fmax(np.abs(before), np.abs(after)) < ROUND_OFF * largest) & (largest > 0.0)
    before, after = (np.where(is_noise & np.isfinite(x), 0.0, x) for x in (before, after))
    change = after - before
    size = np.abs(before)
    percent = np.divide(100.0 * change, size, out=np.full(len(table), np.nan), where=size > 0.0)
    columns = dict(zip(STATES, (before, after, change, *floors), strict=True))
    return pd.DataFrame({**columns, "change_percent": percent}, index=table.index)
