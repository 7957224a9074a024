"""An outcome over two factors of a grid, as a map of coloured cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.report.figure_data import Drawn, FigureFactor, FigureOutcome, check_some, left_out_words, short, wrapped
from fesolver.report.quantities import format_number
from fesolver.report.style import COLOURS, DIVERGING, MIN_CHANGE_PERCENT, SEQUENTIAL, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["map_figure", "map_table"]

_MOST_NUMBERS = 64
_MOST_TICKS = 16


def map_figure(table: pd.DataFrame, x: FigureFactor, y: FigureFactor, outcome: FigureOutcome) -> Drawn:
    """A cell for every pair of values, coloured by the mean over the other factors.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    x, y : FigureFactor
        Along the axes; cells are of equal size whatever the steps between values.
    outcome : FigureOutcome

    Returns
    -------
    caption, figure, DataFrame
        The data are those of `map_table`.

    Raises
    ------
    InputError
        If the two are one factor, or no case has the outcome.

    Notes
    -----
    Changes have a diverging scale whose middle is zero, states a sequential one. A cell is hatched where the change of
    half of its cases or more is not resolved, and grey where no case is done.
    """
    data = map_table(table, x, y, outcome)
    shape = (len(y.values), len(x.values))
    values = data["mean"].to_numpy(float).reshape(shape)
    is_open = ((data["n"] > 0) & (2 * data["n_open"] >= data["n"])).to_numpy(bool).reshape(shape)
    width = min(max(4.4, 0.75 * shape[1] + 2.6), 9.0)
    figure = new_figure(width, min(max(3.2, 0.5 * shape[0] + 1.9), 7.5))
    axes = figure.subplots()
    low, high = _limits(values, outcome)
    image = axes.pcolormesh(
        np.ma.masked_invalid(values), cmap=DIVERGING if outcome.is_change else SEQUENTIAL, vmin=low, vmax=high,
        edgecolors="white", linewidth=0.5,
    )  # fmt: skip
    is_short = ((data["n"] > 0) & (data["n_failed"] > 0)).to_numpy(bool).reshape(shape)
    _marks(axes, values, is_open, is_short, image)
    axes.set_xlabel(wrapped(x.label, 44))
    axes.set_ylabel(wrapped(y.label, 34))
    _ticks(axes, x, y)
    bar = figure.colorbar(image, ax=axes, label=outcome.label)
    bar.outline.set_visible(False)
    _legend(figure, values, is_open)
    most = int(data["n"].max())
    caption = f"{outcome.words[:1].upper()}{outcome.words[1:]} over {x.words} and {y.words}."
    caption += f" Means of up to {most} cases over the other factors." if most > 1 else " Every cell is one case."
    if is_open.any():
        caption += " Hatched: the change is not resolved" + (" in half of the cases or more." if most > 1 else ".")
    if is_short.any():
        caption += " *: some of the cell's cases failed, and its mean is of other cases than that of its neighbours."
    return caption + left_out_words(table, outcome), figure, data


def map_table(table: pd.DataFrame, x: FigureFactor, y: FigureFactor, outcome: FigureOutcome) -> pd.DataFrame:
    """Means over the cases of every pair of values.

    Returns
    -------
    DataFrame
        The two factors, `n, n_failed, n_open` (changes not resolved), `mean` in the unit of the outcome; every pair of
        values once, the first factor fastest.

    Raises
    ------
    InputError
        If the two are one factor, or no case has the outcome.
    """
    import pandas as pd

    if x.name == y.name:
        raise InputError(f"a map needs two factors, got {x.name} twice", where="figures")
    check_some(outcome)
    rows: list[dict[str, Any]] = []
    along, across = (table[factor.name].to_numpy() for factor in (x, y))
    for upper in y.values:
        for lower in x.values:
            is_here = np.asarray((along == lower) & (across == upper), dtype=bool)
            known = is_here & outcome.is_known
            n = int(known.sum())
            rows.append(
                {
                    x.name: lower,
                    y.name: upper,
                    "n": n,
                    "n_failed": int(is_here.sum()) - n,
                    "n_open": int(outcome.is_open[known].sum()),
                    "mean": float(outcome.values[known].mean()) if n else np.nan,
                }
            )
    return pd.DataFrame(rows)


def _limits(values: NDArray[np.float64], outcome: FigureOutcome) -> tuple[float, float]:
    """Ends of the colour scale: about zero for changes, and never narrowed to noise."""
    if not outcome.is_change:
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        return (low, high) if low < high else (low - 0.5, high + 0.5)
    limit = float(np.nanmax(np.abs(values))) or 1.0
    limit = max(limit, MIN_CHANGE_PERCENT) if outcome.unit == "%" else limit
    return -limit, limit


def _marks(
    axes: Axes, values: NDArray[np.float64], is_open: NDArray[np.bool_], is_short: NDArray[np.bool_], image: Any
) -> None:
    """Numbers in the cells of small maps, hatches, and grey for what is missing."""
    from matplotlib.patches import Rectangle

    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        if not np.isfinite(value):
            axes.add_patch(Rectangle((column, row), 1, 1, color="#E4E4E4", lw=0))
            axes.plot(column + 0.5, row + 0.5, "x", color=COLOURS["unresolved"], ms=6.0)
            continue
        if is_open[row, column]:
            axes.add_patch(Rectangle((column, row), 1, 1, fill=False, hatch="////", ec="#666666", lw=0))
        shown = format_number(float(value), digits=3) if values.size <= _MOST_NUMBERS else ""
        shown += "*" if is_short[row, column] else ""
        if shown:
            red, green, blue = image.cmap(image.norm(value))[:3]
            is_dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            back = {"facecolor": image.cmap(image.norm(value)), "edgecolor": "none", "pad": 1.2}
            axes.text(
                column + 0.5, row + 0.5, shown, ha="center", va="center", fontsize=7.5,
                color="white" if is_dark else "black", bbox=back if is_open[row, column] else None,
            )  # fmt: skip


def _ticks(axes: Axes, x: FigureFactor, y: FigureFactor) -> None:
    """Values at the middles of the cells; of many, every second, third, ..."""
    for factor, set_ticks in ((x, axes.set_xticks), (y, axes.set_yticks)):
        step = -(-len(factor.values) // _MOST_TICKS)
        places = np.arange(0, len(factor.values), step)
        set_ticks(places + 0.5, [short(factor.values[at], 22) for at in places])
    if max(len(short(value, 22)) for value in x.values) * len(x.values) > 48:
        for text in axes.get_xticklabels():
            text.set(rotation=35, ha="right", rotation_mode="anchor")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0)


def _legend(figure: Any, values: NDArray[np.float64], is_open: NDArray[np.bool_]) -> None:
    """What hatching and grey mean, where they occur."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    if is_open.any():
        handles.append(Patch(facecolor="white", edgecolor="#666666", hatch="////", lw=0, label="not resolved"))
    if not np.isfinite(values).all():
        handles.append(Line2D([], [], marker="x", color=COLOURS["unresolved"], lw=0, label="no case done"))
    if handles:
        figure.legend(handles=handles, loc="outside upper right", ncols=2)
