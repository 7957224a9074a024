"""Bars of what ligaments and facet joints carry, per disc, intact and treated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fesolver.report.html_connections import carried_forces, structure_of
from fesolver.report.results import CaseResult, Results
from fesolver.report.style import COLOURS, new_figure

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["connection_figure"]

_LEAST_N = 1e-3
"""Newtons below which a structure counts as slack in a picture."""


def connection_figure(results: Results, case: CaseResult) -> tuple[str, Figure, pd.DataFrame] | None:
    """Forces of soft connections; None where there are none or all are slack.

    Returns
    -------
    caption : str
    figure : matplotlib Figure
    data : DataFrame
        `disc`, `quantity`, and a column per state, N.
    """
    data = carried_forces(results.case_summary(case))
    states = [state for state in ("intact", "treated") if state in data]
    if data.empty or not states:
        return None
    largest = data.groupby("quantity", sort=False)[states].max().max(axis=1)
    shown = [str(name) for name, value in largest.items() if value > _LEAST_N]
    if not shown:
        return None
    discs = list(dict.fromkeys(data["disc"]))
    at = np.arange(len(shown))
    figure = new_figure(2.2 + 2.2 * len(discs), 1.3 + 0.42 * len(shown))
    panels = figure.subplots(1, len(discs), sharey=True, sharex=True, squeeze=False)[0]
    for axes, disc in zip(panels, discs, strict=True):
        of_disc = data[data["disc"] == disc].set_index("quantity")[states].reindex(shown)
        for index, state in enumerate(states):
            shift = 0.0 if len(states) == 1 else 0.38 * (index - 0.5)
            axes.barh(at + shift, of_disc[state].to_numpy(float), 0.36, color=COLOURS[state], label=state)
        axes.set_title(disc)
        axes.set_xlabel("Force (N)")
        axes.locator_params(axis="x", nbins=4)
        axes.tick_params(axis="y", length=0)
    panels[0].set_yticks(at, [structure_of(name) for name in shown])
    panels[0].set_ylim(len(shown) - 0.4, -0.6)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper right", ncols=2)
    slack = [structure_of(str(name)) for name in largest.index if str(name) not in shown]
    caption = "Tension of the ligaments and compressive force of the facet joints of every disc."
    if slack:
        caption += f" Slack or open in every disc and not shown: {', '.join(slack)}."
    return caption, figure, data
