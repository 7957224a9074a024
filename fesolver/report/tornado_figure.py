"""How far each factor moves an outcome over its range: a tornado."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.report.figure_data import (
    Drawn,
    FigureFactor,
    FigureOutcome,
    check_some,
    left_out_words,
    numbered,
    short,
    with_outcome,
    wrapped,
)
from fesolver.report.style import COLOURS, new_figure
from fesolver.study.explain.sensitivity import standardised_regression

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["EXACT", "MEANS", "REGRESSION", "tornado_figure", "tornado_table"]

EXACT = "one at a time"
MEANS = "conditional means"
REGRESSION = "linear regression"

_MOST_BARS = 20
_RANGE = (0.05, 0.95)
_ENDS = {"low": "#56B4E9", "high": "#D55E00"}


def tornado_figure(
    table: pd.DataFrame, factors: Sequence[FigureFactor], outcome: FigureOutcome, *, kind: str | None
) -> Drawn:
    """Bars from the outcome at the lower end of every factor to that at its upper end, the longest first.

    Parameters
    ----------
    table : DataFrame
        One row per case, in the order of the design.
    factors : sequence of FigureFactor
    outcome : FigureOutcome
    kind : str or None
        Of the design; it decides the method.

    Returns
    -------
    caption, figure, DataFrame
        The data are those of `tornado_table`, factors that are not drawn included.

    Raises
    ------
    InputError
        If the ends of no factor are known.
    """
    data = tornado_table(table, factors, outcome, kind=kind)
    shown = data.head(_MOST_BARS)
    labels = {factor.name: wrapped(factor.label, 32) for factor in factors}
    height = 1.5 + sum(0.28 + 0.16 * labels[name].count("\n") for name in shown["factor"]) * 1.2
    figure = new_figure(7.0, max(2.4, height))
    axes = figure.subplots()
    ends = [end for place, row in enumerate(shown.to_dict("records")) for end in _bar(axes, place, row)]
    centre = float(data["centre"].iloc[0])
    if np.isfinite(centre):
        axes.axvline(centre, color=COLOURS["outline"], lw=0.9)
    axes.set_yticks(range(len(shown)), [labels[name] for name in shown["factor"]])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    _make_room(axes, ends)
    axes.set_xlabel(outcome.label)
    _legend(figure, data)
    caption = _caption(data, outcome, n_hidden=len(data) - len(shown))
    return caption + left_out_words(table, outcome), figure, data


def tornado_table(
    table: pd.DataFrame, factors: Sequence[FigureFactor], outcome: FigureOutcome, *, kind: str | None
) -> pd.DataFrame:
    """The outcome at both ends of every factor.

    Returns
    -------
    DataFrame
        `factor, low_value, high_value, low, high` (the outcome at these values), `swing` (high - low), `swing_low,
        swing_high` (95 % interval, regression only), `centre, method, r_squared`; the largest magnitude of the swing
        first. Ends of names are the levels with the lowest and the highest outcome.

    Raises
    ------
    InputError
        If the ends of no factor are known.

    Notes
    -----
    One at a time: the outcome of the cases in which only this factor departs from the first case, the base. Full
    grids: means over those combinations of the other factors in which no case failed, so that both ends are averaged
    over the same; shifted together so that their mean is that of all cases. Samples: the slope of a linear regression
    on all numeric factors (`standardised_regression`, in units) between the 5th and 95th percentile of the factor;
    names, and tables too small or too dependent for a regression, by the means of the cases that have each value.
    """
    import pandas as pd

    check_some(outcome, 2)
    frame = with_outcome(table, outcome)
    if kind == "one_at_a_time":
        rows = [_one_at_a_time(frame, factors, factor, outcome) for factor in factors]
    elif kind == "grid":
        rows = [_grid_means(frame, factors, factor, outcome) for factor in factors]
    else:
        regressed = _regression(frame, numbered(factors), outcome)
        rows = [regressed.get(f.name) or _plain_means(frame, f, outcome) for f in factors]
    found = pd.DataFrame([row for row in rows if row])
    if found.empty:
        raise InputError(f"no factor has two values with {outcome.column.name}", where="figures")
    order = np.argsort(-found["swing"].abs().to_numpy(), kind="stable")
    return found.iloc[order].reset_index(drop=True)


def _one_at_a_time(
    frame: pd.DataFrame, factors: Sequence[FigureFactor], factor: FigureFactor, outcome: FigureOutcome
) -> dict[str, Any]:
    """Cases in which only this factor departs from the first case."""
    base = frame.iloc[0]
    others = [other.name for other in factors if other.name != factor.name]
    rows = frame[frame[others].eq(base[others]).all(axis=1)]
    return _ends(factor, rows[factor.name], rows[outcome.column.name], float(base[outcome.column.name]), EXACT)


def _grid_means(
    frame: pd.DataFrame, factors: Sequence[FigureFactor], factor: FigureFactor, outcome: FigureOutcome
) -> dict[str, Any]:
    """Means over the combinations of the others that are whole."""
    others = [other.name for other in factors if other.name != factor.name]
    name = outcome.column.name
    if others:
        is_known = frame[name].notna().groupby([frame[other] for other in others]).transform("all")
        frame = frame[is_known.to_numpy(bool)]
    means = frame.groupby(factor.name, sort=False)[name].mean()
    # The line is the mean of all cases; where some failed, that of the whole combinations is another.
    centre = float(outcome.values[outcome.is_known].mean())
    return _ends(factor, means.index, means - means.mean() + centre, centre, MEANS)


def _plain_means(frame: pd.DataFrame, factor: FigureFactor, outcome: FigureOutcome) -> dict[str, Any]:
    """Means of the cases of every value; of a factor of many values, of its lowest and highest fifth."""
    name = outcome.column.name
    known = frame[frame[name].notna()]
    centre = float(known[name].mean())
    if factor.is_number and known[factor.name].nunique() > 12:
        x = known[factor.name].to_numpy(float)
        cut = np.quantile(x, [0.2, 0.8])
        parts = [known[x <= cut[0]], known[x >= cut[1]]]
        values = [float(part[factor.name].mean()) for part in parts]
        return _ends(factor, values, [float(part[name].mean()) for part in parts], centre, MEANS)
    means = known.groupby(factor.name, sort=False)[name].mean()
    return _ends(factor, means.index, means, centre, MEANS)


def _regression(
    frame: pd.DataFrame, factors: Sequence[FigureFactor], outcome: FigureOutcome
) -> dict[str, dict[str, Any]]:
    """Rows of the factors that a regression can tell apart; none where it cannot."""
    name = outcome.column.name
    known = frame[frame[name].notna()]
    try:
        found = standardised_regression(known, [factor.name for factor in factors], name)
    except InputError:
        return {}
    y = known[name].to_numpy(float)
    rows = {}
    for factor, row in zip(factors, found.to_dict("records"), strict=True):
        x = known[factor.name].to_numpy(float)
        low, high = np.quantile(x, _RANGE)
        slopes = [row[key] * y.std() / x.std() for key in ("src", "low", "high")]
        ends = [float(y.mean() + slopes[0] * (end - x.mean())) for end in (low, high)]
        rows[factor.name] = _row(factor, (float(low), float(high)), ends, float(y.mean()), REGRESSION) | {
            "swing_low": float(slopes[1] * (high - low)),
            "swing_high": float(slopes[2] * (high - low)),
            "r_squared": float(row["r_squared"]),
        }
    return rows


def _ends(factor: FigureFactor, given: Any, found: Any, centre: float, method: str) -> dict[str, Any]:
    """The row of a factor from its values and the outcome at each; empty where fewer than two are known."""
    y: NDArray[np.float64] = np.asarray(list(found), dtype=float)
    values = [value for value, is_there in zip(given, np.isfinite(y), strict=True) if is_there]
    y = y[np.isfinite(y)]
    if len(set(values)) < 2:
        return {}
    key = np.array([float(value) for value in values]) if factor.is_number else y
    first, last = int(np.argmin(key)), int(np.argmax(key))
    return _row(factor, (values[first], values[last]), [float(y[first]), float(y[last])], centre, method)


def _row(
    factor: FigureFactor, values: tuple[Any, Any], ends: Sequence[float], centre: float, method: str
) -> dict[str, Any]:
    """A row of the table."""
    return {
        "factor": factor.name,
        "low_value": values[0],
        "high_value": values[1],
        "low": ends[0],
        "high": ends[1],
        "swing": ends[1] - ends[0],
        "swing_low": np.nan,
        "swing_high": np.nan,
        "centre": centre,
        "method": method,
        "r_squared": np.nan,
    }


def _bar(axes: Axes, place: int, row: dict[Any, Any]) -> list[tuple[float, bool, int]]:
    """Both halves of a bar with the values at their ends; side by side where both lie on one side of the centre."""
    centre = row["centre"] if np.isfinite(row["centre"]) else 0.5 * (row["low"] + row["high"])
    is_one_sided = (row["low"] - centre) * (row["high"] - centre) > 0.0
    ends = []
    for end, offset in (("low", -0.17), ("high", 0.17)):
        y, height = (place + offset, 0.34) if is_one_sided else (place, 0.66)
        width = row[end] - centre
        axes.barh(y, width, left=centre, height=height, color=_ENDS[end], lw=0)
        other = row["high" if end == "low" else "low"]
        # Without a width, the label goes where the other end is not.
        is_right = width > 0.0 or (width == 0.0 and (other < centre or (other == centre and end == "high")))
        text = _value(row, end)
        axes.annotate(
            text, (row[end], y), xytext=(4 if is_right else -4, 0), textcoords="offset points",
            ha="left" if is_right else "right", va="center", fontsize=6.5 if is_one_sided else 7.5,
        )  # fmt: skip
        ends.append((float(row[end]), bool(is_right), len(text)))
    return ends


def _value(row: dict[Any, Any], end: str) -> str:
    """The factor's value at an end; percentiles in three digits."""
    value = row[f"{end}_value"]
    return short(float(f"{value:.3g}") if row["method"] == REGRESSION else value, 20)


def _make_room(axes: Axes, ends: Sequence[tuple[float, bool, int]]) -> None:
    """Widen the axis until the labels at the bars' ends (place, whether to its right, letters) fit into it."""
    low, high = axes.dataLim.x0, axes.dataLim.x1
    span = (high - low) or 1.0
    left, right = low - 0.04 * span, high + 0.04 * span
    for _ in range(30):  # converges: no label is as wide as half the axis
        # A letter takes 1.3 % of an axis of 4.5 inches.
        reach = [(x, is_right, (0.013 * letters + 0.025) * (right - left)) for x, is_right, letters in ends]
        left = min([low - 0.04 * span, *(x - room for x, is_right, room in reach if not is_right)])
        right = max([high + 0.04 * span, *(x + room for x, is_right, room in reach if is_right)])
    axes.set_xlim(left, right)


def _legend(figure: Any, data: pd.DataFrame) -> None:
    """What the two colours are."""
    from matplotlib.patches import Patch

    lower, upper = "lower value of the factor", "upper value"
    if all(isinstance(value, str) for value in data["low_value"]):
        lower, upper = "level with the lowest outcome", "with the highest"
    handles = [Patch(color=_ENDS["low"], label=lower), Patch(color=_ENDS["high"], label=upper)]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)


def _caption(data: pd.DataFrame, outcome: FigureOutcome, *, n_hidden: int) -> str:
    """What the ends are, and by which method."""
    caption = f"{outcome.words[:1].upper()}{outcome.words[1:]} over the range of each factor, the largest first. "
    methods = set(data["method"])
    if EXACT in methods:
        caption += "Exact: one factor at a time departs from the base case (line)."
    elif REGRESSION in methods:
        caption += (
            "By linear regression on the numeric factors, from the 5th to the 95th percentile of each; "
            f"R² = {data['r_squared'].max():.2f}, the rest is curvature, interaction and what is not a factor here. "
            "Line: mean of all cases."
        )
        if MEANS in methods:
            caption += " Factors with named levels: means of the cases of each level."
    else:
        caption += "By conditional means: over all cases with the value. Line: mean of all cases."
    if any(isinstance(value, str) for value in data["low_value"]):
        caption += " Ends of named levels are those with the lowest and highest outcome."
    return caption + (f" {n_hidden} smaller ones are in the table only." if n_hidden else "")
