"""Sensitivity indices of an outcome as bars, Morris' plane, and how the estimates settle as cases are added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fesolver.report.figure_data import (
    PALETTE,
    Drawn,
    FigureFactor,
    FigureOutcome,
    left_out_words,
    with_outcome,
    wrapped,
)
from fesolver.report.style import COLOURS, new_figure
from fesolver.study.explain.sensitivity import IndexName, index_convergence, morris_indices, prcc, sobol_indices

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fesolver.study.schema_design import DesignTable

__all__ = ["morris_figure", "prcc_figure", "settling_figure", "sobol_figure"]

_MOST_BARS = 20
_MOST_LINES = 6
_WEAK = 0.03

_WORDS: dict[str, str] = {
    "prcc": "Partial rank correlation",
    "src": "Standardised regression coefficient",
    "mu_star": "Mean elementary effect µ*",
    "S1": "First-order index S1",
    "ST": "Total index ST",
}


def prcc_figure(table: pd.DataFrame, factors: Sequence[FigureFactor], outcome: FigureOutcome) -> Drawn:
    """Partial rank correlation coefficients with intervals, the largest magnitude first.

    Parameters
    ----------
    table : DataFrame
        One row per case of a sample.
    factors : sequence of FigureFactor
        Of numbers.
    outcome : FigureOutcome

    Returns
    -------
    caption, figure, DataFrame
        The data are those of `fesolver.study.explain.regression.prcc`.

    Raises
    ------
    InputError
        As `prcc`.
    """
    found = prcc(with_outcome(table, outcome), [factor.name for factor in factors], outcome.column.name)
    found = _ranked(found, "prcc")
    figure, axes = _bar_figure(found["factor"], factors)
    shown = found.head(_MOST_BARS)
    _bars(axes, shown, "prcc", ("low", "high"), COLOURS["intact"])
    axes.set_xlim(-1.05, 1.05)
    axes.set_xlabel(wrapped(f"Partial rank correlation with {outcome.words}", 60))
    caption = (
        f"Partial rank correlation of each factor with {outcome.words}, the others held, with 95 % intervals; n = "
        f"{int(found['n'].iloc[0])}, R² of the ranks {found['r_squared'].iloc[0]:.2f}. Pale: the interval holds zero. "
        "It sees monotone dependence only."
    )
    return caption + _hidden(found) + left_out_words(table, outcome), figure, found


def sobol_figure(
    table: pd.DataFrame,
    factors: Sequence[FigureFactor],
    outcome: FigureOutcome,
    design: DesignTable,
    *,
    case_of_point: Sequence[str] | None = None,
) -> Drawn:
    """First-order and total indices with intervals, the largest total first.

    Parameters
    ----------
    table, factors, outcome
        As in `prcc_figure`; all factors of the design, names too.
    design : DesignTable
        Of kind `saltelli`.
    case_of_point : sequence of str, optional
        `StudyPlan.case_of_point`.

    Returns
    -------
    caption, figure, DataFrame
        The data are `by_factor` of `fesolver.study.explain.indices.sobol_indices`.

    Raises
    ------
    InputError
        As `sobol_indices`.
    MissingDependencyError
        If SALib is not installed.
    """
    names = [factor.name for factor in factors]
    frame = with_outcome(table, outcome)
    indices = sobol_indices(frame, names, outcome.column.name, design, case_of_point=case_of_point)
    found = _ranked(indices.by_factor, "ST")
    figure, axes = _bar_figure(found["factor"], factors, tall=1.5)
    shown = found.head(_MOST_BARS)
    _bars(axes, shown, "S1", ("S1_low", "S1_high"), COLOURS["intact"], offset=-0.2, height=0.36)
    _bars(axes, shown, "ST", ("ST_low", "ST_high"), COLOURS["treated"], offset=0.2, height=0.36)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, -0.02), max(high, 1.0))
    axes.set_xlabel(wrapped(f"Share of the variance of {outcome.words}", 60))
    _key(figure, {"alone (S1)": COLOURS["intact"], "with interactions (ST)": COLOURS["treated"]})
    caption = (
        f"Sobol indices of {outcome.words} with 95 % intervals, from {int(found['n_blocks'].iloc[0])} blocks of cases"
        f"{_dropped(found)}. Pale: the interval holds zero. Values below 0 and sums above 1 are noise of the estimate."
    )
    return caption + _hidden(found) + left_out_words(table, outcome), figure, found


def morris_figure(
    table: pd.DataFrame,
    factors: Sequence[FigureFactor],
    outcome: FigureOutcome,
    design: DesignTable,
    *,
    case_of_point: Sequence[str] | None = None,
) -> Drawn:
    """Morris' plane: mean magnitude of the elementary effects of every factor against their spread.

    Parameters
    ----------
    table, factors, outcome, case_of_point
        As in `sobol_figure`; factors of numbers.
    design : DesignTable
        Of kind `morris`.

    Returns
    -------
    caption, figure, DataFrame
        The data are those of `fesolver.study.explain.indices.morris_indices`.

    Raises
    ------
    InputError
        As `morris_indices`.
    MissingDependencyError
        If SALib is not installed.
    """
    names = [factor.name for factor in factors]
    frame = with_outcome(table, outcome)
    found = _ranked(morris_indices(frame, names, outcome.column.name, design, case_of_point=case_of_point), "mu_star")
    labels = {factor.name: factor.label for factor in factors}
    shown = found.head(_MOST_BARS)
    figure = new_figure(7.2, max(4.0, 0.19 * len(shown) + 1.6))
    axes = figure.subplots()
    x, y = shown["mu_star"].to_numpy(float), shown["sigma"].to_numpy(float)
    across = np.abs(shown[["mu_star_low", "mu_star_high"]].to_numpy(float).T - x)
    upward = np.abs(shown[["sigma_low", "sigma_high"]].to_numpy(float).T - y)
    axes.errorbar(x, y, xerr=across, yerr=upward, fmt="none", ecolor=COLOURS["floor"], lw=1.0)
    axes.plot(x, y, "o", color=COLOURS["intact"], ms=5.0)
    is_weak = x < _WEAK * x[0]
    for rank, (a, b) in enumerate(zip(x[~is_weak], y[~is_weak], strict=True), start=1):
        axes.annotate(str(rank), (a, b), xytext=(4, 4), textcoords="offset points", fontsize=8)
    right = 1.1 * float(found["mu_star_high"].max())
    axes.plot([0.0, right], [0.0, right], color=COLOURS["unresolved"], lw=0.8, ls="--")
    axes.set_xlim(0.0, right)
    axes.set_ylim(0.0, max(1.1 * float(found["sigma_high"].max()), 0.05 * right))
    unit = f" ({outcome.unit})" if outcome.unit else ""
    axes.set_xlabel(f"mean magnitude of the effects, µ*{unit}")
    axes.set_ylabel(f"their standard deviation, σ{unit}")
    axes.set_title(wrapped(f"{outcome.words[:1].upper()}{outcome.words[1:]}", 70), loc="left")
    marks = ["·" if weak else str(rank) for rank, weak in enumerate(is_weak, start=1)]
    lines = [f"{mark}  {wrapped(labels[name], 30)}" for mark, name in zip(marks, shown["factor"], strict=True)]
    figure.legend(handles=_texts(lines), loc="outside right upper", handlelength=0.0, handletextpad=0.0)
    caption = (
        f"Elementary effects of each factor on {outcome.words}, over its whole range, by µ*; crosses are 95 % "
        f"intervals; {int(found['n_trajectories'].iloc[0])} trajectories{_dropped(found)}. On the dashed line σ = µ*: "
        "well below it a factor acts alone and in proportion, above it by curvature or with others."
    )
    caption += f" Factors with a dot lie near the origin (µ* below {100.0 * _WEAK:.0f} %)." if is_weak.any() else ""
    return caption + _hidden(found) + left_out_words(table, outcome), figure, found


def settling_figure(
    table: pd.DataFrame,
    factors: Sequence[FigureFactor],
    outcome: FigureOutcome,
    design: DesignTable,
    *,
    index: IndexName,
    case_of_point: Sequence[str] | None = None,
) -> Drawn:
    """A sensitivity index on growing parts of the sample, with its intervals.

    Parameters
    ----------
    table, factors, outcome, design, case_of_point
        As in `sobol_figure`.
    index : {"prcc", "src", "mu_star", "S1", "ST"}
        Which.

    Returns
    -------
    caption, figure, DataFrame
        The data are `table` of `fesolver.study.explain.sensitivity.index_convergence`.

    Raises
    ------
    InputError
        As `index_convergence`.
    """
    names = [factor.name for factor in factors]
    frame = with_outcome(table, outcome)
    found = index_convergence(frame, names, outcome.column.name, design, index=index, case_of_point=case_of_point)
    data = found.table
    whole = data[data["n"] == data["n"].max()]
    ranked = list(_ranked(whole, "value")["factor"])
    labels = {factor.name: factor.label for factor in factors}
    figure = new_figure(7.2, 3.8)
    axes = figure.subplots()
    axes.axhline(0.0, color="black", lw=0.6)
    # Drawn from the weakest, so that the strongest is on top.
    for rank, name in reversed(list(enumerate(ranked))):
        rows = data[data["factor"] == name].sort_values("n")
        n, value = rows["n"].to_numpy(float), rows["value"].to_numpy(float)
        if rank >= _MOST_LINES:
            axes.plot(n, value, color=COLOURS["floor"], lw=0.8)
            continue
        n = n * 1.025 ** (rank - 0.5 * (min(len(ranked), _MOST_LINES) - 1))
        ends = np.abs(rows[["low", "high"]].to_numpy(float).T - value)
        axes.errorbar(
            n, value, yerr=ends, color=PALETTE[rank], lw=1.1, elinewidth=0.9, capsize=2, marker="o", ms=4.0,
            label=wrapped(labels[name], 30),
        )  # fmt: skip
    counts = sorted(set(data["n"]))
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(int(count)) for count in counts])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("cases")
    axes.set_ylabel(wrapped(_WORDS[index], 36))
    handles, texts = axes.get_legend_handles_labels()
    figure.legend(handles[::-1], texts[::-1], loc="outside right upper")
    words = {factor.name: factor.words for factor in factors}
    moved = ", ".join(words[name] for name in found.moved)
    verdict = "The last doubling moved nothing" if found.is_settled else f"Not settled: the last doubling moved {moved}"
    caption = (
        f"{_WORDS[index]} for {outcome.words} on the first part of the cases and on all, with 95 % intervals (points "
        f"of one count are set apart sideways). {verdict}; the widest interval is {100.0 * found.widest:.0f} % of the "
        "largest index."
    )
    grey = f" Grey: {len(ranked) - _MOST_LINES} weaker factors." if len(ranked) > _MOST_LINES else ""
    return caption + grey + left_out_words(table, outcome), figure, data


def _ranked(found: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows by falling magnitude."""
    order = np.argsort(-found[column].abs().to_numpy(float), kind="stable")
    return found.iloc[order].reset_index(drop=True)


def _bar_figure(names: Any, factors: Sequence[FigureFactor], *, tall: float = 1.0) -> tuple[Figure, Axes]:
    """Empty rows for factors in an order."""
    labels = {factor.name: wrapped(factor.label, 32) for factor in factors}
    shown = list(names)[:_MOST_BARS]
    lines = sum(1 + labels[name].count("\n") for name in shown)
    figure = new_figure(6.6, max(2.2, 1.2 + (0.2 * lines + 0.12 * len(shown)) * tall))
    axes = figure.subplots()
    axes.set_yticks(range(len(shown)), [labels[name] for name in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.axvline(0.0, color="black", lw=0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    return figure, axes


def _bars(
    axes: Axes,
    found: pd.DataFrame,
    column: str,
    ends: tuple[str, str],
    colour: str,
    *,
    offset: float = 0.0,
    height: float = 0.62,
) -> None:
    """Bars with intervals; pale where the interval holds zero."""
    for place, row in enumerate(found.to_dict("records")):
        value, low, high = (float(row[name]) for name in (column, *ends))
        is_noise = not low * high > 0.0
        axes.barh(place + offset, value, height=height, color=colour, alpha=0.3 if is_noise else 1.0, lw=0)
        axes.plot([low, high], [place + offset, place + offset], color=COLOURS["outline"], lw=1.1)


def _key(figure: Figure, colours: dict[str, str]) -> None:
    """Names of colours above the axes."""
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=label) for label, colour in colours.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))


def _texts(lines: Sequence[str]) -> list[Any]:
    """Legend entries without marks."""
    from matplotlib.lines import Line2D

    return [Line2D([], [], lw=0, label=line) for line in lines]


def _dropped(found: pd.DataFrame) -> str:
    """Trajectories or blocks that a failed case took away."""
    n = int(found["n_dropped"].iloc[0])
    return f", {n} more left out for a failed case" if n else ""


def _hidden(found: pd.DataFrame) -> str:
    """How many factors are in the table only."""
    return f" {len(found) - _MOST_BARS} weaker factors are in the table only." if len(found) > _MOST_BARS else ""
