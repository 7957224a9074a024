"""An outcome over cell sizes, with Richardson's limit and the grid convergence index, beside its cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fesolver.errors import InputError
from fesolver.report.factor_words import FactorWords
from fesolver.report.figure_data import (
    PALETTE,
    Drawn,
    FigureFactor,
    FigureOutcome,
    left_out_words,
    short,
    with_outcome,
    wrapped,
)
from fesolver.report.style import COLOURS, new_figure
from fesolver.study.explain.grids import GridConvergence, grid_convergence

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

__all__ = ["mesh_figure"]

_MOST_LINES = 4


def mesh_figure(
    table: pd.DataFrame,
    factor: FigureFactor,
    outcomes: Sequence[FigureOutcome],
    *,
    is_refinement: bool,
    others: Sequence[str] = (),
    called: Mapping[str, FactorWords] | None = None,
) -> Drawn:
    """Outcomes over cell sizes, one panel each, and the seconds of a case.

    Parameters
    ----------
    table : DataFrame
        One row per case; seconds as in `fesolver.study.explain.grids.grid_convergence`.
    factor : FigureFactor
        Cell sizes in mm, or refinements.
    outcomes : sequence of FigureOutcome
    is_refinement : bool
        Whether the factor grows as cells get smaller.
    others : sequence of str
        The other factors: a line for each of the first combinations.
    called : mapping of str to FactorWords, optional
        Words of the others in the legend; their names by default.

    Returns
    -------
    caption, figure, DataFrame
        The data have one row per combination, outcome and size: `size, value, seconds`, and what holds for the
        combination and outcome: `behaviour, order, extrapolated, uncertainty, gci_fine, floor, is_resolved`.

    Raises
    ------
    InputError
        As `grid_convergence`; if no combination has two sizes.
    """
    frame = table
    for outcome in outcomes:
        frame = with_outcome(frame, outcome)
    names = [outcome.column.name for outcome in outcomes]
    found = grid_convergence(frame, factor.name, names, is_refinement=is_refinement, others=others)
    data = _points(frame, found, factor, names, others, is_refinement=is_refinement)
    lines = _lines(data, others)
    has_cost = bool(data["seconds"].notna().any())
    n_panels = len(outcomes) + has_cost
    figure = new_figure(3.5 * n_panels + 0.4, 3.7)
    panels = figure.subplots(1, n_panels, squeeze=False)[0]
    label = "Cell size relative to refinement 1" if is_refinement else factor.label
    for axes, outcome in zip(panels, outcomes, strict=False):
        own = data[data["outcome"] == outcome.column.name]
        for at, rows in enumerate(_by_line(own, lines)):
            _settling(axes, rows, at)
        axes.set_xlim(left=0.0)
        axes.margins(y=0.12)
        axes.set_xlabel(wrapped(label, 34))
        axes.set_ylabel(outcome.label)
    if has_cost:
        own = data[data["outcome"] == names[0]]
        for at, rows in enumerate(_by_line(own, lines)):
            panels[-1].plot(rows["size"], rows["seconds"], "o-", **_line_style(at))
        _cost_axes(panels[-1], data, wrapped(label, 34))
    _legend(figure, lines, called or {})
    caption = _caption(found, lines, outcomes)
    return caption + left_out_words(table, outcomes[0]), figure, data


def _points(
    frame: pd.DataFrame,
    found: GridConvergence,
    factor: FigureFactor,
    names: Sequence[str],
    others: Sequence[str],
    *,
    is_refinement: bool,
) -> pd.DataFrame:
    """Every value at its size, with what its combination shows; combinations with two sizes or more."""
    import pandas as pd

    sizes = frame[factor.name].to_numpy(float)
    keys = [*others, "size"]
    wide = frame.loc[:, list(others)].assign(size=1.0 / sizes if is_refinement else sizes)
    cost = found.costs[[*keys, "seconds"]]
    kept = [
        *others,
        *(
            "outcome",
            "n_sizes",
            "behaviour",
            "order",
            "extrapolated",
            "uncertainty",
            "gci_fine",
            "floor",
            "is_resolved",
        ),
    ]
    parts = []
    for name in names:
        part = wide.assign(outcome=name, value=frame[name].to_numpy(float))
        part = part.merge(found.table.loc[found.table["outcome"] == name, kept], on=[*others, "outcome"])
        parts.append(part.merge(cost, on=keys, how="left"))
    out = pd.concat(parts, ignore_index=True)
    out = out[out["n_sizes"] >= 2]
    if out.empty:
        raise InputError(f"no combination of the other factors has two sizes of {factor.name}", where="figures")
    return out.sort_values("size", ascending=False, kind="stable").reset_index(drop=True)


def _lines(data: pd.DataFrame, others: Sequence[str]) -> list[Mapping[str, Any]]:
    """Combinations that are drawn."""
    if not others:
        return [{}]
    distinct = data[list(others)].drop_duplicates()
    return [dict(zip(others, row, strict=True)) for row in distinct.head(_MOST_LINES).itertuples(index=False)]


def _by_line(data: pd.DataFrame, lines: Sequence[Mapping[str, Any]]) -> list[pd.DataFrame]:
    """Rows of every line."""
    out = []
    for line in lines:
        is_own = np.ones(len(data), dtype=bool)
        for name, value in line.items():
            is_own &= data[name].eq(value).to_numpy(bool)
        out.append(data[is_own])
    return out


def _line_style(at: int) -> dict[str, Any]:
    """Later lines are thinner, so that equal ones are seen."""
    return {"color": PALETTE[at], "lw": 2.8 - 0.6 * at, "ms": 8.0 - 1.4 * at}


def _settling(axes: Axes, rows: pd.DataFrame, at: int) -> None:
    """Values over sizes, the band of the finest, the limit at size zero, the floor of a change."""
    rows = rows[rows["value"].notna()]
    if rows.empty:
        return
    size, value = rows["size"].to_numpy(float), rows["value"].to_numpy(float)
    finest, row = int(np.argmin(size)), rows.iloc[0]
    colour = PALETTE[at]
    axes.plot(size, value, "o-", **_line_style(at))
    if np.isfinite(row["uncertainty"]):
        axes.errorbar(
            size[finest], value[finest], yerr=row["uncertainty"], fmt="none", ecolor=colour, lw=1.4, capsize=4
        )
    if np.isfinite(row["extrapolated"]):
        axes.plot([0.0, size[finest]], [row["extrapolated"], value[finest]], color=colour, lw=0.9, ls=":")
        axes.plot(0.0, row["extrapolated"], "*", color=colour, ms=13.0 - 2.0 * at, clip_on=False, zorder=3)
    if np.isfinite(row["floor"]):
        axes.axhspan(-row["floor"], row["floor"], color=COLOURS["floor"], alpha=0.35, lw=0)
        axes.axhline(0.0, color="black", lw=0.6)


def _cost_axes(axes: Axes, data: pd.DataFrame, label: str) -> None:
    """Logarithmic axes with the sizes as ticks."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = sorted(set(data["size"]))
    axes.set_xticks(sizes, [short(size) for size in sizes])
    axes.set_xticks([], minor=True)
    axes.set_xlabel(label)
    axes.set_ylabel("Seconds of a case")


def _legend(figure: Any, lines: Sequence[Mapping[str, Any]], called: Mapping[str, FactorWords]) -> None:
    """Combinations, and what star and whisker are."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker="o", label=", ".join(_at(k, v, called) for k, v in line.items()))
        for colour, line in zip(PALETTE, lines, strict=False)
        if line
    ]
    handles.append(Line2D([], [], marker="*", color=COLOURS["pad"], lw=0, ms=9.0, label="Richardson's limit"))
    handles.append(Line2D([], [], marker="|", color=COLOURS["pad"], lw=0, ms=9.0, label="uncertainty of the finest"))
    columns = 2 if len(handles) > 3 or max(len(str(h.get_label())) for h in handles) > 28 else 3
    figure.legend(handles=handles, loc="outside upper center", ncols=columns)


def _at(name: str, value: Any, called: Mapping[str, FactorWords]) -> str:
    """A factor at a value, short."""
    is_text = isinstance(value, str) or name not in called
    words = short(called[name].words if name in called else name, 34)
    return f"{words} = {short(value, 14)}" if is_text else called[name].at(value)


def _caption(found: GridConvergence, lines: Sequence[Mapping[str, Any]], outcomes: Sequence[FigureOutcome]) -> str:
    """Order, grid convergence index and floor of what is drawn."""
    caption = (
        "Outcomes over cell size; stars are Richardson's limit (monotone values only), whiskers the uncertainty of the "
        "finest mesh with Roache's factor of safety."
    )
    if any(outcome.is_change for outcome in outcomes):
        caption += " Grey: the numerical floor, the change's difference between the two finest meshes."
    first = found.table[found.table["outcome"].isin([outcome.column.name for outcome in outcomes])]
    for name, value in lines[0].items():
        first = first[first[name].eq(value)]
    for row in first.to_dict("records"):
        level = str(row["outcome"]).split("/", 2)
        numbers = f"{row['behaviour']}"
        if np.isfinite(row["order"]):
            numbers += f", order {row['order']:.2g}"
        if np.isfinite(row["gci_fine"]):
            numbers += f", GCI {100.0 * row['gci_fine']:.2g} %"
        caption += f" {level[0].capitalize()} at {level[1]}: {numbers}."
    n = int(found.table[list(lines[0])].drop_duplicates().shape[0]) if lines[0] else 1
    return caption + (f" {len(lines)} of {n} combinations of the other factors." if n > len(lines) else "")
