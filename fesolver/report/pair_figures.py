"""Intact and treated, case by case: lines from one to the other, and the changes beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.report.figure_data import Drawn, FigureOutcome, left_out_words, read_outcome, wrapped
from fesolver.report.quantities import axis_label, words_of
from fesolver.report.style import COLOURS, MIN_CHANGE_PERCENT, new_figure
from fesolver.study.explain.intervals import t_interval
from fesolver.study.explain.outcome_columns import OutcomeColumn, pair_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_LINES", "pair_figure"]

MOST_LINES = 60
"""More cases than this are drawn as quantile bands."""

_BANDS = ((0.05, 0.95), (0.25, 0.75))


def pair_figure(
    table: pd.DataFrame,
    columns: Sequence[OutcomeColumn],
    *,
    factors: Sequence[str] = (),
    is_sample: bool = False,
    confidence: float = 0.95,
) -> Drawn:
    """Before and after at some levels: every case a line, mean and interval on top, the changes beside.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    columns : sequence of OutcomeColumn
        One quantity at several levels, of any state; two panels each.
    factors : sequence of str
        Columns of the table that the data keep.
    is_sample : bool
        Whether the cases are drawn: only then the means have intervals.
    confidence : float
        Of the intervals.

    Returns
    -------
    caption, figure, DataFrame
        The data are `case`, the factors, `level, quantity, intact, treated, change, change_percent, floor` (that of
        the change `shown`, in its unit), `is_open, shown`; one row per line.

    Raises
    ------
    InputError
        If no case has both states.

    Notes
    -----
    The interval of a mean change is that of the differences, and is no difference of the intervals of the two states.
    Quantiles are those of each state on its own: a case need not stay on its quantile.
    """
    import pandas as pd

    quantity = columns[0].quantity
    changes = [_change(table, column) for column in columns]
    parts = [_pairs(table, change, factors) for change in changes]
    data = pd.concat(parts, ignore_index=True)
    if data.empty:
        raise InputError(f"no case has {quantity} before and after", where="table of cases")
    figure = new_figure(3.6 * len(columns) + 0.6, 3.9)
    panels = figure.subplots(1, 2 * len(columns), squeeze=False, width_ratios=[1.5, 1.0] * len(columns))[0]
    is_banded = max(map(len, parts)) > MOST_LINES
    for at, (change, part) in enumerate(zip(changes, parts, strict=True)):
        _states(panels[2 * at], part, is_sample=is_sample, confidence=confidence, is_banded=is_banded)
        _changes(panels[2 * at + 1], part, change, is_sample=is_sample, confidence=confidence)
        panels[2 * at].set_title(change.column.level)
        if at:
            panels[2 * at].sharey(panels[0])
            panels[2 * at + 1].sharey(panels[1])
    panels[0].set_ylabel(wrapped(axis_label(quantity)))
    _share_change_limits(panels[1::2], changes[0])
    _legend(figure, has_open=bool(data["is_open"].any()))
    caption = _caption(data, changes[0], is_sample=is_sample, confidence=confidence, is_banded=is_banded)
    return caption + left_out_words(table, changes[0]), figure, data


def _change(table: pd.DataFrame, column: OutcomeColumn) -> FigureOutcome:
    """The change in percent, or in its unit where a case has no percent."""
    percent = read_outcome(table, column._replace(state="change_percent"))
    plain = read_outcome(table, column._replace(state="change"))
    return percent if (percent.is_known == plain.is_known).all() else plain


def _pairs(table: pd.DataFrame, change: FigureOutcome, factors: Sequence[str]) -> pd.DataFrame:
    """Both states of every case that has them."""
    state, level, quantity = change.column
    pair = pair_of(table, level, quantity)
    out = pair[["intact", "treated", "change", "change_percent"]].copy()
    out.insert(0, "quantity", quantity)
    out.insert(0, "level", level)
    for name in reversed(["case", *factors]):
        out.insert(0, name, table[name].to_numpy())
    out["floor"] = change.floor
    out["is_open"] = change.is_open
    out["shown"] = state
    return out[change.is_known]


def _states(axes: Axes, part: pd.DataFrame, *, is_sample: bool, confidence: float, is_banded: bool) -> None:
    """Lines or bands from intact to treated, with the means."""
    both = part[["intact", "treated"]].to_numpy(float)
    axes.set_xticks([0, 1], ["intact", "treated"])
    axes.set_xlim(-0.3, 1.3)
    if not len(both):
        return
    if is_banded:
        for low, high in _BANDS:
            ends = np.quantile(both, [low, high], axis=0)
            axes.fill_between([0, 1], *ends, color=COLOURS["floor"], alpha=0.45, lw=0)
        axes.plot([0, 1], np.median(both, axis=0), color=COLOURS["pad"], lw=1.0, ls="--")
    else:
        axes.plot([0, 1], both.T, color=COLOURS["unresolved"], lw=0.8, alpha=0.7)
    axes.plot([0, 1], both.mean(axis=0), color=COLOURS["outline"], lw=1.6)
    for x, state in enumerate(("intact", "treated")):
        low, high = _interval(both[:, x], is_sample=is_sample, confidence=confidence)
        axes.plot([x, x], [low, high], color=COLOURS[state], lw=3.0, solid_capstyle="butt")
        axes.plot(x, both[:, x].mean(), "o", color=COLOURS[state], mec="white", ms=7.0)


def _changes(axes: Axes, part: pd.DataFrame, change: FigureOutcome, *, is_sample: bool, confidence: float) -> None:
    """Change of every case as a point, spread sideways, with mean and interval."""
    y = part[change.column.state].to_numpy(float)
    is_open = part["is_open"].to_numpy(bool)
    axes.axhline(0.0, color="black", lw=0.6)
    axes.set_xticks([])
    axes.set_xlim(-0.6, 1.0)
    axes.set_title(f"change ({change.unit})" if change.unit else "change", fontsize=8)
    if not len(y):
        return
    x, size = _beside(y), 5.0 if len(y) <= MOST_LINES else 2.4
    axes.plot(x[~is_open], y[~is_open], "o", color=COLOURS["unresolved"], ms=size, mew=0)
    axes.plot(x[is_open], y[is_open], "o", mfc="white", mec=COLOURS["unresolved"], ms=size, mew=0.7)
    low, high = _interval(y, is_sample=is_sample, confidence=confidence)
    axes.plot([0.75, 0.75], [low, high], color=COLOURS["outline"], lw=2.0)
    axes.plot(0.75, y.mean(), "D", color=COLOURS["outline"], mec="white", ms=6.0)


def _share_change_limits(panels: Sequence[Axes], change: FigureOutcome) -> None:
    """One scale of change for all levels, never narrowed to noise."""
    low = min(0.0, *(axes.dataLim.y0 for axes in panels))
    high = max(0.0, *(axes.dataLim.y1 for axes in panels))
    if change.unit == "%" and high - low < MIN_CHANGE_PERCENT:
        low, high = (-MIN_CHANGE_PERCENT, high) if -low > high else (low, MIN_CHANGE_PERCENT)
    room = 0.06 * (high - low) or 1.0
    for axes in panels:
        axes.set_ylim(low - room, high + room)


def _legend(figure: Figure, *, has_open: bool) -> None:
    """What the marks of the changes are."""
    from matplotlib.lines import Line2D

    grey = COLOURS["unresolved"]
    handles = [Line2D([], [], marker="o", color=grey, mew=0, lw=0, label="change of a case")]
    if has_open:
        handles.append(Line2D([], [], marker="o", mfc="white", mec=grey, mew=0.7, lw=0, label="not resolved"))
    handles.append(Line2D([], [], marker="D", color=COLOURS["outline"], mec="white", lw=0, label="mean change"))
    figure.legend(handles=handles, loc="outside upper center", ncols=3)


def _interval(values: NDArray[np.float64], *, is_sample: bool, confidence: float) -> tuple[float, float]:
    """t-interval of the mean of a sample, else NaN."""
    if not is_sample or len(values) < 2:
        return float("nan"), float("nan")
    low, high = t_interval(values.mean(), values.std(ddof=1), len(values), confidence)
    return float(low), float(high)


def _beside(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sideways places in (-0.45, 0.45) that keep equal values apart and never change from run to run."""
    if len(y) < 2:
        return np.zeros(len(y))
    rank = np.argsort(np.argsort(y, kind="stable"), kind="stable")
    # Multiples of the golden ratio fill an interval evenly however many there are.
    return np.asarray(0.9 * ((0.5 + rank * 0.6180339887498949) % 1.0 - 0.5), dtype=np.float64)


def _caption(data: pd.DataFrame, change: FigureOutcome, *, is_sample: bool, confidence: float, is_banded: bool) -> str:
    """What lines, bands and marks are."""
    what = words_of(change.column.quantity)
    counts: list[Any] = [
        f"{level}: {int((rows['change'] > 0.0).sum())} of {len(rows)}"
        for level, rows in data.groupby("level", sort=False)
    ]
    lines = "bands hold 90 % and 50 % of the cases, dashed is the median" if is_banded else "every line is one case"
    mean = f"means with {100.0 * confidence:g} % t-intervals" if is_sample else "means (chosen points: no interval)"
    caption = (
        f"{what[:1].upper()}{what[1:]} before and after: {lines}; marks are {mean}. Beside each: the changes case by "
        f"case, treated minus intact. Cases in which it rises: {', '.join(counts)}."
    )
    return caption + (" Hollow: the change is not resolved." if data["is_open"].any() else "")
