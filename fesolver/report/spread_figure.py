"""What a choice between named levels, such as bone laws, makes of an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fesolver.report.figure_data import (
    Drawn,
    FigureFactor,
    FigureOutcome,
    left_out_words,
    short,
    with_outcome,
    wrapped,
)
from fesolver.report.quantities import format_number
from fesolver.report.style import COLOURS, new_figure
from fesolver.study.explain.spread import spread_by_level

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["spread_figure"]

_LOG_RATIO = 3.0
_LEAST_ROOM = 0.01


def spread_figure(table: pd.DataFrame, factor: FigureFactor, outcome: FigureOutcome, *, others: Sequence[str]) -> Drawn:
    """One row per level, a point for every combination of the other factors, as a ratio to the median over the levels.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    factor : FigureFactor
        Its levels are the rows.
    outcome : FigureOutcome
        Where it changes sign within a combination, there are no ratios, and the numbers themselves are drawn.
    others : sequence of str
        The other factors of the study.

    Returns
    -------
    caption, figure, DataFrame
        The data are `by_level` of `fesolver.study.explain.spread.spread_by_level`, with `is_open` and `shown`, the
        column that is drawn.

    Raises
    ------
    InputError
        If no case has the outcome, or a level occurs twice in one combination.
    """
    frame = with_outcome(table, outcome).assign(**{_OPEN: outcome.is_open.astype(float)})
    spread = spread_by_level(frame, factor.name, outcome.column.name, others=others)
    opened = spread_by_level(frame, factor.name, _OPEN, others=others).by_level["value"].to_numpy() > 0.0
    known = spread.by_level["value"].notna()
    is_ratio = bool(spread.by_level.loc[known, "ratio_to_median"].notna().all())
    shown = "ratio_to_median" if is_ratio else "value"
    data = spread.by_level.assign(is_open=opened, shown=shown)
    medians = data.groupby(factor.name, sort=False)[shown].median()
    order = list(medians.sort_values(kind="stable", na_position="last").index)
    figure = new_figure(6.6, max(2.4, 1.3 + 0.42 * len(order)))
    axes = figure.subplots()
    for place, level in enumerate(order):
        _row(axes, place, data[(data[factor.name] == level) & known], shown)
        axes.axhline(place, color="#EEEEEE", lw=0.8, zorder=0.2)
    axes.set_yticks(range(len(order)), [wrapped(short(level, 60), 30) for level in order])
    axes.set_ylim(len(order) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    if is_ratio:
        axes.axvline(1.0, color="black", lw=0.6)
        _ratio_axis(axes, data.loc[known, shown].to_numpy(float))
        axes.set_xlabel(wrapped(f"{outcome.words[:1].upper()}{outcome.words[1:]}: ratio to the median", 64))
    else:
        axes.axvline(0.0, color="black", lw=0.6)
        axes.set_xlabel(outcome.label)
    caption = _caption(spread.by_combination, outcome, factor, is_ratio=is_ratio, has_others=bool(others))
    if data.loc[known, "is_open"].any():
        caption += " Hollow: the change is not resolved."
    return caption + left_out_words(table, outcome), figure, data


_OPEN = "is/open"  # a factor's name has no slash


def _row(axes: Axes, place: int, rows: pd.DataFrame, shown: str) -> None:
    """Points of one level, one beside the other, with their median."""
    x = rows[shown].to_numpy(float)
    if not len(x):
        return
    is_open = rows["is_open"].to_numpy(bool)
    # Multiples of the golden ratio keep neighbours apart however many there are.
    y = place + 0.5 * ((0.5 + np.arange(len(x)) * 0.6180339887498949) % 1.0 - 0.5) * (len(x) > 1)
    size = 5.0 if len(x) < 40 else 3.0
    axes.plot(x[~is_open], y[~is_open], "o", color=COLOURS["intact"], ms=size, mew=0, alpha=0.75)
    axes.plot(x[is_open], y[is_open], "o", mfc="white", mec=COLOURS["intact"], ms=size, mew=0.8)
    if len(x) > 1:
        middle = float(np.median(x))
        axes.plot([middle, middle], [place - 0.36, place + 0.36], color=COLOURS["treated"], lw=2.4)


def _ratio_axis(axes: Axes, ratios: Any) -> None:
    """Plain numbers on a logarithmic axis where the ratios are wide apart."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

    low, high = float(min(1.0, ratios.min())), float(max(1.0, ratios.max()))
    if high < _LOG_RATIO * low:
        room = max(0.06 * (high - low), _LEAST_ROOM)
        axes.set_xlim(low - room, high + room)
        return
    axes.set_xscale("log")
    axes.set_xlim(low / (high / low) ** 0.06, high * (high / low) ** 0.06)
    ends = axes.get_xlim()
    steps = (1.0, 2.0, 5.0) if ends[1] < 200.0 * ends[0] else (1.0,)
    ticks = [s * 10.0**k for k in range(-12, 13) for s in steps]
    axes.xaxis.set_major_locator(FixedLocator([t for t in ticks if ends[0] <= t <= ends[1]]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _caption(
    spreads: pd.DataFrame, outcome: FigureOutcome, factor: FigureFactor, *, is_ratio: bool, has_others: bool
) -> str:
    """How far the levels lie apart."""
    words = f"{outcome.words[:1].upper()}{outcome.words[1:]}"
    points = (
        "a point for every combination of the other factors, the bar their median" if has_others else "one case each"
    )
    caption = f"{words} by {factor.words}: {points}."
    if not is_ratio:
        return f"{caption} Numbers of two signs, or zeros, have no ratio: the values are shown."
    ratios = spreads["high_over_low"].dropna()
    least, most = format_number(float(ratios.min()), digits=3), format_number(float(ratios.max()), digits=3)
    times = least if least == most else f"{least} to {most}"
    return (
        f"{caption} Ratio to the median over the levels; the highest is {times} times the lowest. Levels are choices, "
        "no sample: the spread is of these."
    )
