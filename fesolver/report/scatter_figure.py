"""An outcome over a sampled factor, case by case, with the distribution of both beside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.report.figure_data import Drawn, FigureFactor, FigureOutcome, check_some, left_out_words, set_factor_axis
from fesolver.report.quantities import format_number
from fesolver.report.style import COLOURS, new_figure

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["rank_correlation", "scatter_figure"]

_MOST_BINS = 30


def scatter_figure(table: pd.DataFrame, factor: FigureFactor, outcome: FigureOutcome) -> Drawn:
    """Every case as a point, histograms along both axes, Spearman's r in the corner.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    factor : FigureFactor
        Of numbers.
    outcome : FigureOutcome

    Returns
    -------
    caption, figure, DataFrame
        The data are `case`, the factor, the outcome by its column's name, `is_open` (a change not resolved).

    Raises
    ------
    InputError
        If the factor has named levels, or fewer than 2 cases have the outcome.
    """
    import pandas as pd

    if not factor.is_number:
        raise InputError(f"{factor.name} has named levels", where="figures", fix="draw it by level")
    check_some(outcome, 2)
    known = outcome.is_known
    x, y, is_open = factor.places(table[factor.name])[known], outcome.values[known], outcome.is_open[known]
    r = rank_correlation(x, y)
    figure = new_figure(5.4, 4.6)
    grid = figure.add_gridspec(2, 2, width_ratios=(5, 1.3), height_ratios=(1.3, 5))
    axes = figure.add_subplot(grid[1, 0])
    top, side = figure.add_subplot(grid[0, 0], sharex=axes), figure.add_subplot(grid[1, 1], sharey=axes)
    corner = figure.add_subplot(grid[0, 1])
    alpha, size = (0.9, 26) if len(x) <= 60 else (0.55, 14)
    if outcome.is_change:
        axes.axhline(0.0, color="black", lw=0.6)
    axes.scatter(x[~is_open], y[~is_open], s=size, color=COLOURS["intact"], alpha=alpha, lw=0)
    axes.scatter(x[is_open], y[is_open], s=size, facecolors="none", edgecolors=COLOURS["intact"], lw=0.8)
    set_factor_axis(axes, factor, width=48)
    axes.set_ylabel(outcome.label)
    top.hist(x, bins=_edges(x, is_log=factor.is_log), color=COLOURS["floor"], edgecolor="white", lw=0.5)
    side.hist(y, bins=_edges(y), color=COLOURS["floor"], edgecolor="white", lw=0.5, orientation="horizontal")
    for panel in (top, side):
        panel.tick_params(axis="both", which="both", labelsize=7)
    top.tick_params(axis="x", which="both", length=0, labelbottom=False)
    side.tick_params(axis="y", which="both", length=0, labelleft=False)
    top.set_ylabel("cases", fontsize=8)
    side.set_xlabel("cases", fontsize=8)
    corner.axis("off")
    shown = format_number(r, digits=2) if np.isfinite(r) else "–"
    corner.text(0.5, 0.5, f"$r_S$ = {shown}\nn = {len(x)}", ha="center", va="center", transform=corner.transAxes)
    caption = (
        f"{outcome.words[:1].upper()}{outcome.words[1:]} over {factor.words}; every point is one case. Beside: how "
        "often each value occurs. r_S: Spearman's rank correlation; it sees monotone dependence only."
    )
    if is_open.any():
        caption += f" Hollow: not resolved ({int(is_open.sum())} of {len(x)})."
    columns = {"case": table["case"].to_numpy()[known], factor.name: x, outcome.column.name: y, "is_open": is_open}
    return caption + left_out_words(table, outcome), figure, pd.DataFrame(columns)


def rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Spearman's rank correlation, NaN where one of the two does not vary.

    Parameters
    ----------
    x, y : (n,) ndarray
        Finite numbers; equal ones share their mean rank.

    Notes
    -----
    Pearson's correlation of the ranks [1]_.

    References
    ----------
    .. [1] C. Spearman, "The proof and measurement of association between two things", American Journal of Psychology
       15:72-101, 1904.

    Examples
    --------
    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 8.0, 27.0]))
    1.0
    """
    from scipy.stats import rankdata

    if len(x) < 2 or np.ptp(x) == 0.0 or np.ptp(y) == 0.0:
        return float("nan")
    a, b = (ranks - ranks.mean() for ranks in (rankdata(x), rankdata(y)))
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def _edges(values: NDArray[np.float64], *, is_log: bool = False) -> list[float]:
    """Edges of a histogram's bins: about sqrt(n) of equal width."""
    count = int(np.clip(np.sqrt(len(values)), 5, _MOST_BINS))
    low, high = float(values.min()), float(values.max())
    if low == high:
        room = 0.05 * abs(low) or 0.5
        return [low - room, low + room]
    edges = np.geomspace(low, high, count + 1) if is_log else np.linspace(low, high, count + 1)
    return [low, *(float(edge) for edge in edges[1:-1]), high]
