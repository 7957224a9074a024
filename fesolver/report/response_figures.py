"""How an outcome depends on a factor: means and bands over its values, a line for every value of a second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fesolver.errors import InputError
from fesolver.report.figure_data import (
    Drawn,
    FigureFactor,
    FigureOutcome,
    check_some,
    factor_colours,
    left_out_words,
    set_factor_axis,
    short,
    wrapped,
)
from fesolver.report.style import COLOURS, MIN_CHANGE_PERCENT, new_figure
from fesolver.study.explain.intervals import t_interval

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_VALUES", "response_figure", "response_table"]

MOST_VALUES = 40
"""A factor of more values is drawn as a scatter."""

_LINES = ("-", "--", "-.", ":")


def response_figure(
    table: pd.DataFrame,
    factor: FigureFactor,
    outcomes: Sequence[FigureOutcome],
    *,
    by: FigureFactor | None = None,
    is_sample: bool = False,
    confidence: float = 0.95,
) -> Drawn:
    """Outcomes against one factor.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    factor : FigureFactor
        Along the axis.
    outcomes : sequence of FigureOutcome
        One panel each; all of one quantity and state.
    by : FigureFactor, optional
        A line for each of its values.
    is_sample : bool
        Whether the cases are drawn: bands are then intervals of the mean, else the range over the other factors.
    confidence : float
        Of the intervals.

    Returns
    -------
    caption, figure, DataFrame
        The data are those of `response_table`.

    Raises
    ------
    InputError
        If the factor has more than `MOST_VALUES` values, or no case has an outcome.
    """
    if len(factor.values) > MOST_VALUES:
        raise InputError(
            f"{factor.name} has {len(factor.values)} values: too many for means of each", where="figures",
            fix="draw a scatter",
        )  # fmt: skip
    for outcome in outcomes:
        check_some(outcome)
    data = response_table(table, factor, outcomes, by=by, is_sample=is_sample, confidence=confidence)
    figure = new_figure(max(4.8, 3.4 * len(outcomes) + 0.8), 3.9)
    panels = figure.subplots(1, len(outcomes), sharey=True, squeeze=False)[0]
    for axes, outcome in zip(panels, outcomes, strict=True):
        _panel(axes, data[data["level"] == outcome.column.level], factor, by)
        axes.set_title(outcome.column.level)
        set_factor_axis(axes, factor)
    first = outcomes[0]
    panels[0].set_ylabel(first.axis)
    _set_limits(panels[0], data, first)
    has_open = bool((2 * data["n_open"] >= data["n"]).any())
    _legend(figure, by, has_open=has_open)
    caption = _caption(data, factor, first, by, is_sample=is_sample, confidence=confidence)
    if has_open:
        caption += " Hollow: the change is not resolved in half of the cases of a point or more."
    return caption + left_out_words(table, first), figure, data


def response_table(
    table: pd.DataFrame,
    factor: FigureFactor,
    outcomes: Sequence[FigureOutcome],
    *,
    by: FigureFactor | None = None,
    is_sample: bool = False,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Means and bands of outcomes over the values of a factor.

    Returns
    -------
    DataFrame
        `level, quantity, state`, the factor, the second one, `n, n_open` (changes not resolved), `mean, low, high` in
        the unit of the outcome; `band` says what low and high are. NaN where a value has one case and is_sample.

    Notes
    -----
    Intervals are Student's (`fesolver.study.explain.intervals.t_interval`). They take the cases of one value for
    independent draws of the other factors.
    """
    import pandas as pd

    keys = [factor, *([by] if by is not None else [])]
    band = f"{100.0 * confidence:g} % interval of the mean" if is_sample else "range over the other factors"
    rows: list[dict[str, Any]] = []
    for outcome in outcomes:
        state, level, quantity = outcome.column
        frame = pd.DataFrame({key.name: table[key.name].to_numpy() for key in keys})
        frame["/value"], frame["/open"] = outcome.values, outcome.is_open  # no factor's name has a slash
        known = frame[outcome.is_known]
        for values, group in known.groupby([key.name for key in keys], sort=False):
            x = group["/value"].to_numpy()
            low, high = float(x.min()), float(x.max())
            if is_sample:
                sd = float(x.std(ddof=1)) if len(x) > 1 else np.nan
                low, high = (float(end) for end in t_interval(x.mean(), sd, len(x), confidence))
            where = {"level": level, "quantity": quantity, "state": state}
            row = where | dict(zip((key.name for key in keys), values, strict=True))
            counts = {"n": len(x), "n_open": int(group["/open"].sum())}
            rows.append(row | counts | {"mean": float(x.mean()), "low": low, "high": high, "band": band})
    order = [(factor.places([row[factor.name]])[0], *(by.places([row[by.name]]) if by else ())) for row in rows]
    rank = sorted(range(len(rows)), key=lambda at: (rows[at]["level"], order[at]))
    return pd.DataFrame([rows[at] for at in rank])


def _panel(axes: Axes, data: pd.DataFrame, factor: FigureFactor, by: FigureFactor | None) -> None:
    """One outcome: a line or error bars per value of the second factor."""
    colours = factor_colours(by) if by is not None else {None: COLOURS["intact"]}
    for at, (value, colour) in enumerate(colours.items()):
        rows = data if by is None else data[data[by.name] == value]
        x = factor.places(rows[factor.name])
        mean, low, high = (rows[name].to_numpy(float) for name in ("mean", "low", "high"))
        style = _LINES[at % len(_LINES)] if by is not None and not by.is_number else "-"
        if factor.is_number:
            axes.plot(x, mean, ls=style, color=colour, lw=1.2)
            # Lines of many bands would hide each other.
            axes.fill_between(x, low, high, color=colour, alpha=0.16 if len(colours) < 4 else 0.09, lw=0)
        else:
            x = x + 0.5 * (at - 0.5 * (len(colours) - 1)) / max(len(colours), 2)
            axes.errorbar(x, mean, yerr=[mean - low, high - mean], fmt="none", ecolor=colour, lw=1.2, capsize=3)
        is_open = (2 * rows["n_open"] >= rows["n"]).to_numpy(bool)
        axes.plot(x[~is_open], mean[~is_open], "o", color=colour, ms=5.0)
        axes.plot(x[is_open], mean[is_open], "o", mfc="white", mec=colour, ms=5.0)


def _set_limits(axes: Axes, data: pd.DataFrame, outcome: FigureOutcome) -> None:
    """Limits of the outcome's axis: a change shows zero, and is not narrowed to its noise."""
    if not outcome.is_change:
        axes.margins(y=0.1)
        return
    ends = data[["mean", "low", "high"]].to_numpy(float)
    for panel in axes.figure.axes:
        panel.axhline(0.0, color="black", lw=0.6, zorder=0.5)
    low, high = min(0.0, float(np.nanmin(ends))), max(0.0, float(np.nanmax(ends)))
    if outcome.unit == "%" and high - low < MIN_CHANGE_PERCENT:
        low, high = (-MIN_CHANGE_PERCENT, high) if -low > high else (low, MIN_CHANGE_PERCENT)
    room = 0.08 * (high - low) or 1.0
    axes.set_ylim(low - room, high + room)


def _legend(figure: Figure, by: FigureFactor | None, *, has_open: bool) -> None:
    """Values of the second factor, and what hollow means, above the panels."""
    from matplotlib.lines import Line2D

    handles: list[Line2D] = []
    for at, (value, colour) in enumerate(factor_colours(by).items() if by is not None else ()):
        style = _LINES[at % len(_LINES)] if by is not None and not by.is_number else "-"
        handles.append(Line2D([], [], marker="o", color=colour, ls=style, lw=1.2, label=short(value)))
    if has_open:
        handles.append(Line2D([], [], marker="o", mfc="white", mec=COLOURS["pad"], lw=0, label="not resolved"))
    if handles:
        title = wrapped(by.label, 60) if by is not None else None
        columns = 4 if max(len(str(handle.get_label())) for handle in handles) < 15 else 2
        figure.legend(handles=handles, loc="outside upper center", ncols=columns, title=title, title_fontsize=8)


def _caption(
    data: pd.DataFrame,
    factor: FigureFactor,
    outcome: FigureOutcome,
    by: FigureFactor | None,
    *,
    is_sample: bool,
    confidence: float,
) -> str:
    """What is drawn, and what the bands are."""
    what = outcome.axis.replace("\n", " ")
    caption = f"{what} over {factor.words}{f', by {by.words}' if by is not None else ''}."
    if not (data["n"] > 1).any():
        return f"{caption} Every point is one case."
    least, most = int(data["n"].min()), int(data["n"].max())
    cases = f"{least} cases each" if least == most else f"{least} to {most} cases each"
    band = "bands" if factor.is_number else "bars"
    if is_sample:
        return f"{caption} Points are means of {cases}, {band} {100.0 * confidence:g} % t-intervals of the mean."
    return (
        f"{caption} Points are means of {cases}, {band} the range over the other factors: chosen points, no interval."
    )
