"""What the figures of a study are drawn from: factors and outcomes of the table of cases, with their words and axes."""

from __future__ import annotations

import numbers
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.report.factor_words import NamedFactor, words_of_factors
from fesolver.report.quantities import axis_label, unit_of, words_of
from fesolver.report.study_words import factor_names
from fesolver.study.explain.outcome_columns import OutcomeColumn, check_columns, numbers_of, pair_of, split_column

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "PALETTE",
    "PERCENT",
    "Drawn",
    "FigureFactor",
    "FigureOutcome",
    "factor_colours",
    "figure_factors",
    "left_out_words",
    "read_outcome",
    "set_factor_axis",
    "short",
    "with_outcome",
    "wrapped",
]

Drawn: TypeAlias = "tuple[str, Figure, pd.DataFrame]"
"""Caption, figure, and the numbers drawn."""

PERCENT = "change_percent"
"""State of an outcome that the table does not hold: the change in percent of the intact magnitude."""

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#444444")
"""Okabe and Ito's colours without yellow, for things without an order."""

_LOG_RATIO = 50.0
"""Positive numbers that span more than this stand on a logarithmic axis, if they lie evenly there:"""

_LOG_MIDDLE = 0.25
"""their median is then below this part of the largest (of log-uniform numbers it is 0.14 at most, of uniform 0.5)."""


@dataclass(frozen=True)
class FigureFactor:
    """A factor as figures know it.

    Parameters
    ----------
    name : str
        Its column.
    label : str
        For axes, on one line, with its unit.
    words : str
        The same inside a sentence.
    values : tuple
        Those that occur: numbers ascending, names in the order of the study, else of the table.
    is_number : bool
        Whether they have an order.
    """

    name: str
    label: str
    words: str
    values: tuple[Any, ...]
    is_number: bool

    @property
    def is_log(self) -> bool:
        """Whether its axis is logarithmic."""
        if not self.is_number or not 0.0 < _LOG_RATIO * self.values[0] < self.values[-1]:
            return False
        return bool(np.median(self.values) < _LOG_MIDDLE * self.values[-1])

    def places(self, values: Iterable[Any]) -> NDArray[np.float64]:
        """Where values stand on its axis: numbers at themselves, names at 0, 1, ..."""
        if self.is_number:
            return np.array([float(value) for value in values])
        return np.array([float(self.values.index(value)) for value in values])


@dataclass(frozen=True, eq=False)
class FigureOutcome:
    """An outcome of every row of a table.

    Parameters
    ----------
    column : OutcomeColumn
        State (`PERCENT` too), level and quantity.
    values : (n,) ndarray
        NaN where a case has none.
    floor : (n,) ndarray
        Numerical floor of a change, in the same unit; NaN where unknown, and for states.
    """

    column: OutcomeColumn
    values: NDArray[np.float64]
    floor: NDArray[np.float64]

    @property
    def is_change(self) -> bool:
        """Whether it is treated minus intact."""
        return self.column.state in ("change", PERCENT)

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """(n,) where there is a number."""
        return np.isfinite(self.values)

    @property
    def is_open(self) -> NDArray[np.bool_]:
        """(n,) where a change is known not to exceed its floor."""
        with np.errstate(invalid="ignore"):
            return np.isfinite(self.floor) & ~(np.abs(self.values) > self.floor)

    @property
    def words(self) -> str:
        """`change of factor of risk (yielded volume) at L2`."""
        what = words_of(self.column.quantity)
        named = f"change of {what}" if self.is_change else f"{what}, {self.column.state}"
        return f"{named} at {self.column.level}"

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return "%" if self.column.state == PERCENT else unit_of(self.column.quantity)

    @property
    def label(self) -> str:
        """For an axis, wrapped."""
        words = self.words
        words = words if words.startswith("von ") else words[:1].upper() + words[1:]
        return wrapped(f"{words} ({self.unit})" if self.unit else words)

    @property
    def axis(self) -> str:
        """For an axis whose panel names the level."""
        if not self.is_change:
            words, unit = axis_label(self.column.quantity), unit_of(self.column.quantity)
            words = words.removesuffix(f" ({unit})") + f", {self.column.state}"
            return wrapped(f"{words} ({unit})" if unit else words)
        words = f"Change of {words_of(self.column.quantity)}"
        return wrapped(f"{words} ({self.unit})" if self.unit else words)


def figure_factors(table: pd.DataFrame, factors: Iterable[NamedFactor | str]) -> tuple[FigureFactor, ...]:
    """The factors of a study that take two values or more in its table.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    factors : iterable of factors or str
        Names of columns; what else a factor has, `choices` and what `factor_words` reads apart, is not needed.

    Raises
    ------
    InputError
        If a factor is not in the table.
    """
    given = tuple(factors)
    out = []
    words = words_of_factors(given)
    for factor, name in zip(given, factor_names(table, given), strict=True):
        column = table[name].dropna()
        is_number = all(isinstance(x, numbers.Real) and not isinstance(x, bool) for x in column)
        distinct = list(dict.fromkeys(column))
        # Names stand in the order of the study, if it says one.
        order = [x for x in getattr(factor, "choices", None) or () if isinstance(x, str)]
        if not is_number:
            distinct = [*(x for x in order if x in distinct), *(x for x in distinct if x not in order)]
        if len(distinct) < 2:
            continue
        values = tuple(sorted(distinct) if is_number else distinct)
        out.append(FigureFactor(name, words[name].axis, words[name].label, values, is_number))
    return tuple(out)


def read_outcome(table: pd.DataFrame, column: OutcomeColumn | str) -> FigureOutcome:
    """Numbers of an outcome of every row.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    column : OutcomeColumn or str
        `STATE/LEVEL/QUANTITY`; the state `change_percent` is made of the pair.

    Raises
    ------
    InputError
        If the table does not have it.

    Notes
    -----
    Changes are treated minus intact of the same case; a pair that is round-off beside the quantity at other levels has
    a change of 0. The floor is the larger of those of the solver and of the coarser mesh.
    """
    if isinstance(column, str):
        column = _taken_apart(column)
    if column.state not in ("change", PERCENT):
        check_columns(table, [column.name])
        values = numbers_of(table, [column.name])[:, 0]
        return FigureOutcome(column, values, np.full(len(table), np.nan))
    pair = pair_of(table, column.level, column.quantity)
    floor = pair[["floor_solver", "floor_spacing"]].abs().max(axis=1).to_numpy(float)
    if column.state == "change":
        return FigureOutcome(column, pair["change"].to_numpy(float), floor)
    size = pair["intact"].abs().to_numpy(float)
    percent = np.divide(100.0 * floor, size, out=np.full(len(table), np.nan), where=size > 0.0)
    return FigureOutcome(column, pair["change_percent"].to_numpy(float), percent)


def with_outcome(table: pd.DataFrame, outcome: FigureOutcome) -> pd.DataFrame:
    """The table with the outcome as a column of its name, for analyses that read columns."""
    return table.assign(**{outcome.column.name: outcome.values})


def left_out_words(table: pd.DataFrame, outcome: FigureOutcome) -> str:
    """What a figure does not show, as the end of a caption; empty where it shows all."""
    is_done = table["status"].eq("done").to_numpy(bool)
    n_failed, n_missing = int((~is_done).sum()), int((is_done & ~outcome.is_known).sum())
    parts = [f"{n_failed} of {len(table)} cases failed"] if n_failed else []
    parts += [f"{n_missing} of {len(table)} cases have no such number"] if n_missing else []
    return f" Not shown: {' and '.join(parts)}." if parts else ""


def factor_colours(factor: FigureFactor) -> dict[Any, Any]:
    """A colour for every value: along a scale for numbers, apart for names."""
    if not factor.is_number:
        return {value: PALETTE[at % len(PALETTE)] for at, value in enumerate(factor.values)}
    import matplotlib as mpl

    # The yellow end of the scale is left out: lines must be seen on white.
    return dict(zip(factor.values, mpl.colormaps["viridis"](np.linspace(0.0, 0.85, len(factor.values))), strict=True))


def set_factor_axis(axes: Axes, factor: FigureFactor, *, width: int = 34) -> None:
    """Label and ticks of a horizontal axis of a factor; `width` is that of the label in letters."""
    axes.set_xlabel(wrapped(factor.label, width))
    if factor.is_log:
        axes.set_xscale("log")
    if factor.is_number:
        axes.margins(x=0.07)
        if not factor.is_log and _are_apart(factor.values):
            axes.set_xticks(factor.values, [short(value) for value in factor.values])
        return
    many = len(factor.values) > 3 or max(len(str(value)) for value in factor.values) > 14
    axes.set_xticks(range(len(factor.values)), [short(value, 24) for value in factor.values])
    axes.tick_params(axis="x", rotation=35 if many else 0)
    if many:
        for text in axes.get_xticklabels():
            text.set_horizontalalignment("right")
            text.set_rotation_mode("anchor")
    axes.set_xlim(-0.5, len(factor.values) - 0.5)


def _are_apart(values: Sequence[float]) -> bool:
    """Whether so few numbers lie so far apart that each can be a tick."""
    return len(values) <= _MOST_TICKS and float(np.diff(values).min()) >= _LEAST_STEP * (values[-1] - values[0])


_MOST_TICKS, _LEAST_STEP = 6, 0.12


def wrapped(text: str, width: int = 40) -> str:
    """A text in lines of so many letters, a unit at its end beside its word; dollars stay dollars."""
    held = _END_UNIT.sub("\u00a0(\\1)", text)
    lines = textwrap.wrap(held, width, break_long_words=True) or [text]
    return "\n".join(lines).replace("\u00a0", " ").replace("$", r"\$")


_END_UNIT = re.compile(r" \(([^() ]{1,8})\)$")


def short(value: object, length: int = 24) -> str:
    """A value of a factor in few letters.

    Examples
    --------
    >>> short(0.30000000000000004), short("Kopperdahl et al. (2002), site 2", 18)
    ('0.3', 'Kopperdahl…site 2')
    """
    shown = f"{float(value):.4g}" if isinstance(value, numbers.Real) and not isinstance(value, bool) else str(value)
    if len(shown) > length:
        # Names of one series differ at their end.
        tail = length // 3
        shown = f"{shown[: length - 1 - tail].rstrip()}…{shown[len(shown) - tail :].lstrip()}"
    return shown.replace("-", "−") if shown[:1] == "-" else shown.replace("$", r"\$")


def check_some(outcome: FigureOutcome, least: int = 1) -> None:
    """Refuse an outcome that too few cases have."""
    if (n := int(outcome.is_known.sum())) < least:
        raise InputError(f"{n} cases have {outcome.column.name}: {least} are needed", where="table of cases")


def numbered(factors: Sequence[FigureFactor]) -> tuple[FigureFactor, ...]:
    """Those of the factors that are numbers."""
    return tuple(factor for factor in factors if factor.is_number)


def _taken_apart(name: str) -> OutcomeColumn:
    """Name of an outcome column, `change_percent/...` too."""
    parts = name.split("/", 2)
    found = OutcomeColumn(*parts) if len(parts) == 3 and parts[0] == PERCENT else split_column(name)
    if found is None:
        raise InputError(f"{name!r} is no outcome", where="outcome", fix="write STATE/LEVEL/QUANTITY")
    return found
