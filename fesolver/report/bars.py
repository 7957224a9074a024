"""Bars per level: a quantity before and after, and its change beside the numerical floor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fesolver.report.figure_data import wrapped
from fesolver.report.quantities import axis_label, format_number, words_of
from fesolver.report.style import COLOURS, change_limit, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["change_figure", "state_figure", "worst_floor"]


def worst_floor(table: pd.DataFrame) -> pd.Series[float]:
    """The larger of the solver's and the spacing's floor per row, in the quantity's unit; NaN where none is known."""
    return table[["floor_solver", "floor_spacing"]].astype(float).abs().max(axis=1)


def change_figure(table: pd.DataFrame, quantity: str, *, treated_level: str | None) -> Figure:
    """Values of both states, and the change in percent with its floor.

    Parameters
    ----------
    table : DataFrame
        Rows of `changes.csv` of one case and one quantity, cranial first.
    quantity : str
        The quantity.
    treated_level : str or None
        Marked in the axis.

    Returns
    -------
    matplotlib Figure
        A change under its floor is drawn hollow; the axis of change is at least one percent to both sides.
    """
    figure = new_figure(8.2, 1.35 + 0.42 * len(table))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.0, 1.15))
    at = np.arange(len(table))
    for state, shift in (("intact", -0.19), ("treated", 0.19)):
        left.barh(at + shift, table[state].astype(float), height=0.36, color=COLOURS[state], label=state)
    left.axvline(0.0, color="black", lw=0.6)
    _level_axis(left, list(table["level"]), treated_level)
    left.set_xlabel(wrapped(axis_label(quantity), 44))
    left.locator_params(axis="x", nbins=5)
    left.ticklabel_format(axis="x", scilimits=(-3, 5), useMathText=True)
    _draw_changes(right, table)
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2)
    figure.legend(handles=_change_handles(), loc="outside upper right", ncols=3)
    return figure


def state_figure(table: pd.DataFrame, quantity: str) -> Figure:
    """Values of the one state of a study without treatment; `table` has columns `level` and the quantity."""
    figure = new_figure(5.2, 1.1 + 0.36 * len(table))
    axes = figure.subplots()
    axes.barh(np.arange(len(table)), table[quantity].astype(float), height=0.5, color=COLOURS["intact"])
    axes.axvline(0.0, color="black", lw=0.6)
    _level_axis(axes, list(table["level"]), None)
    axes.set_xlabel(wrapped(axis_label(quantity), 60))
    axes.locator_params(axis="x", nbins=6)
    axes.ticklabel_format(axis="x", scilimits=(-3, 5), useMathText=True)
    return figure


def _level_axis(axes: Axes, levels: list[str], treated_level: str | None) -> None:
    """One row per level, cranial on top."""
    names = [f"{level}\n(augmented)" if level == treated_level else level for level in levels]
    axes.set_yticks(np.arange(len(levels)), names)
    axes.set_ylim(len(levels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _draw_changes(axes: Axes, table: pd.DataFrame) -> None:
    """Change per level in percent of the intact value, floor bands behind, unresolved ones hollow."""
    percent = table["change_percent"].to_numpy(float)
    intact = np.abs(table["intact"].to_numpy(float))
    with np.errstate(divide="ignore", invalid="ignore"):
        floor = np.where(intact > 0.0, 100.0 * worst_floor(table).to_numpy(float) / intact, np.nan)
    is_resolved = table["is_resolved"].to_numpy(bool)
    at = np.arange(len(table))
    # A floor far wider than the change is clipped: the change must stay legible.
    limit = change_limit(np.concatenate([percent, np.minimum(floor, 3.0 * np.nanmax(np.abs(percent), initial=1.0))]))
    axes.barh(
        at, 2 * floor, left=-floor, height=0.72, color=COLOURS["floor"], alpha=0.55, label="within numerical floor"
    )
    shown = np.nan_to_num(percent)
    axes.barh(at[is_resolved], shown[is_resolved], height=0.34, color=COLOURS["bone"])
    axes.barh(
        at[~is_resolved],
        shown[~is_resolved],
        height=0.34,
        facecolor="white",
        edgecolor=COLOURS["pad"],
        hatch="////",
        linewidth=0.8,
    )
    axes.axvline(0.0, color="black", lw=0.6)
    for row, value in enumerate(percent):
        if np.isnan(value):
            change = float(table["change"].iloc[row])
            text = f"{format_number(change, sign=True)} (intact is 0)" if change else "0"
        else:
            text = f"{value:+.2f} %".replace("-", "−")
            text += "*" if is_resolved[row] and np.isnan(float(table["floor_spacing"].iloc[row])) else ""
        # Labels stand in a column of their own, clear of bars and bands.
        axes.text(1.02, row, text, transform=axes.get_yaxis_transform(), va="center", ha="left", fontsize=8)
    axes.set_xlim(-limit, limit)
    axes.locator_params(axis="x", nbins=6)
    axes.set_xlabel(wrapped(f"Change of {words_of(str(table['quantity'].iloc[0]))} (%)", 44))


def _change_handles() -> list[Artist]:
    """Legend of the axis of change."""
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=COLOURS["floor"], alpha=0.55, label="within numerical floor"),
        Patch(facecolor=COLOURS["bone"], label="change, resolved"),
        Patch(facecolor="white", edgecolor=COLOURS["pad"], hatch="////", label="not resolved"),
    ]
