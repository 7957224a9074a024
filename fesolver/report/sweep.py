"""How the main change depends on what was swept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fesolver.anatomy.levels import adjacent_levels
from fesolver.report.bars import worst_floor
from fesolver.report.factor_words import factor_words
from fesolver.report.figure_data import wrapped
from fesolver.report.quantities import RISK, axis_label, words_of
from fesolver.report.results import Results
from fesolver.report.style import COLOURS, change_limit, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["main_change_table", "neighbours_of", "state_sweep_figure", "sweep_figure"]


def neighbours_of(results: Results) -> tuple[str, ...]:
    """The levels beside the augmented one in the nominal case; empty where nothing is treated."""
    nominal = results.nominal
    treated = results.treated_level(nominal) if nominal else None
    levels = results.levels(nominal) if nominal else ()
    return adjacent_levels(treated, levels) if treated in levels and treated else ()


def main_change_table(results: Results) -> pd.DataFrame:
    """The main change at the neighbours, one row per case and level, with the swept keys as columns.

    Notes
    -----
    The main change is that of the yielded-volume factor of risk; in a run without it, of the first main outcome that
    the neighbours have.
    """
    import pandas as pd

    changes = results.changes
    levels = neighbours_of(results)
    at_neighbours = changes[changes["level"].isin(levels)]
    present = results.main_outcomes(at_neighbours["quantity"])
    quantity = RISK if RISK in present else next(iter(present), None)
    table = at_neighbours[at_neighbours["quantity"] == quantity].copy()
    intact = table["intact"].astype(float).abs()
    table["floor_percent"] = (100.0 * worst_floor(table) / intact).where(intact > 0.0)
    keys = pd.DataFrame([{"case": case.id, **case.keys} for case in results.cases])
    # The table may hold the swept keys as columns already; the cases are who knows them.
    table = table.drop(columns=[key for key in keys.columns if key in table and key != "case"])
    return table.merge(keys, on="case", how="left") if len(keys) else table


def sweep_figure(results: Results) -> tuple[str, Figure, pd.DataFrame] | None:
    """Main change against every swept key; None where nothing was swept or nothing was treated.

    Returns
    -------
    caption : str
    figure : matplotlib Figure
    data : DataFrame
    """
    table = main_change_table(results)
    keys = [key for key in results.swept_keys if key in table and len(set(table[key])) > 1]
    table = table[np.isfinite(table["change_percent"].astype(float))] if len(table) else table
    if not keys or table.empty:
        return None
    quantity = str(table["quantity"].iloc[0])
    figure = new_figure(max(4.6, 3.6 * len(keys) + 0.6), 3.7)
    panels = figure.subplots(1, len(keys), sharey=True, squeeze=False)[0]
    colours = dict(zip(neighbours_of(results), (COLOURS["intact"], COLOURS["treated"]), strict=False))
    for axes, key in zip(panels, keys, strict=True):
        for level, colour in colours.items():
            rows = table[table["level"] == level].sort_values(key)
            x, y = rows[key].to_numpy(float), rows["change_percent"].to_numpy(float)
            is_resolved = rows["is_resolved"].to_numpy(bool)
            if len(keys) == 1:
                axes.plot(x, y, color=colour, lw=1.0)
                floor = rows["floor_percent"].to_numpy(float)
                axes.fill_between(x, -floor, floor, color=colour, alpha=0.13, lw=0)
            axes.plot(x[is_resolved], y[is_resolved], "o", color=colour, ms=5.5, label=level)
            axes.plot(x[~is_resolved], y[~is_resolved], "o", mfc="white", mec=colour, ms=5.5)
        axes.axhline(0.0, color="black", lw=0.6)
        axes.set_xlabel(wrapped(factor_words(key).axis, 34))
        axes.margins(x=0.08)
    limit = change_limit(table["change_percent"].to_numpy(float))
    panels[0].set_ylim(-limit, limit)
    panels[0].set_ylabel(f"Change of {words_of(quantity)} (%)", wrap=True)
    figure.legend(handles=_handles(colours), loc="outside upper center", ncols=4)
    caption = (
        f"Change of {words_of(quantity)} at the neighbours of the augmented vertebra, over the swept "
        f"{'keys' if len(keys) > 1 else 'key'}; every point is one case. "
        + ("Bands are the numerical floors. " if len(keys) == 1 else "")
        + "Hollow points are not resolved."
    )
    if results.failed:
        caption += f" {len(results.failed)} of {len(results.cases)} cases failed and are not shown."
    columns = ["case", *keys, "level", "quantity", "intact", "treated", "change", "change_percent", "floor_percent"]
    return caption, figure, table[[*columns, "is_resolved"]]


def state_sweep_figure(results: Results) -> tuple[str, Figure, pd.DataFrame] | None:
    """Values of a study without treatment against every swept key; None where nothing was swept.

    Returns
    -------
    caption : str
    figure : matplotlib Figure
    data : DataFrame
    """
    summary = results.summary[results.summary["state"] == "intact"]
    keys = [key for key in results.swept_keys if key in summary and len(set(summary[key])) > 1]
    quantity = next(iter(results.main_outcomes(results.quantities)), None)
    if not keys or quantity is None or results.case_changes(results.done[0]).size:
        return None
    table = summary[["case", *keys, "level", quantity]].dropna()
    figure = new_figure(max(4.6, 3.6 * len(keys) + 0.6), 3.4)
    panels = figure.subplots(1, len(keys), sharey=True, squeeze=False)[0]
    palette = (COLOURS["intact"], COLOURS["treated"], COLOURS["disc"], COLOURS["nucleus"], COLOURS["cement"])
    for axes, key in zip(panels, keys, strict=True):
        for index, level in enumerate(dict.fromkeys(table["level"])):
            rows = table[table["level"] == level].sort_values(key)
            line = "-" if len(keys) == 1 else ""
            colour = palette[index % len(palette)]
            axes.plot(rows[key], rows[quantity], marker="o", ls=line, lw=1.0, ms=5.5, color=colour, label=level)
        axes.set_xlabel(wrapped(factor_words(key).axis, 34))
        axes.margins(x=0.08)
    low, high = float(min(0.0, table[quantity].min())), float(max(0.0, table[quantity].max()))
    panels[0].set_ylim(low - 0.08 * (high - low) * (low < 0.0), high + 0.08 * (high - low) * (high > 0.0))
    panels[0].set_ylabel(axis_label(quantity))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=5)
    caption = f"{words_of(quantity).capitalize()} over the swept keys, intact; every point is one case."
    return caption, figure, table


def _handles(colours: dict[str, str]) -> list[object]:
    """Legend entries: every neighbour, and what hollow means."""
    from matplotlib.lines import Line2D

    filled: list[object] = [Line2D([], [], marker="o", color=c, lw=0, label=level) for level, c in colours.items()]
    return [*filled, Line2D([], [], marker="o", mfc="white", mec=COLOURS["pad"], lw=0, label="not resolved")]
