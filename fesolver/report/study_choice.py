"""Which figures make sense for a study: from its design, its factors and its outcomes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fesolver.report.figure_data import PERCENT, FigureFactor, FigureOutcome, figure_factors, numbered, read_outcome
from fesolver.report.scatter_figure import rank_correlation
from fesolver.report.study_words import NamedFactor, main_pairs
from fesolver.study.explain.outcome_columns import OutcomeColumn

if TYPE_CHECKING:
    import pandas as pd

    from fesolver.study.schema_design import DesignTable

__all__ = ["MESH_KEYS", "FigureChoice", "FigureKind", "choose_figures", "design_kind", "is_full_grid", "is_refinement"]

FigureKind = Literal["pairs", "response", "map", "tornado", "scatter", "spread", "indices", "settling", "mesh"]

MESH_KEYS = ("segment.refinement", "segment.spacing_mm", "segment.size_mm")
"""Keys that set the size of cells; the first grows as cells get smaller."""

_FEW = 12
_MOST_LEVELS, _MOST_LINES, _MOST_MAPS, _MOST_SCATTERS, _MOST_RESPONSES = 3, 6, 3, 3, 6
_INDEX = {"morris": "mu_star", "saltelli": "ST"}


@dataclass(frozen=True)
class FigureChoice:
    """One figure that is to be drawn.

    Parameters
    ----------
    kind : FigureKind
    columns : tuple of OutcomeColumn
        Outcomes: several where they share a figure.
    factors : tuple of str
        Names: of a response the axis, then the lines; of a map x, then y; of a mesh study and a spread the factor
        itself; else all that count.
    index : str
        Sensitivity index, where it is about one.
    """

    kind: FigureKind
    columns: tuple[OutcomeColumn, ...]
    factors: tuple[str, ...] = ()
    index: str = ""


def choose_figures(
    table: pd.DataFrame,
    factors: Iterable[NamedFactor | str],
    design: DesignTable | str | None,
    levels: Sequence[str] | None = None,
    *,
    load: Mapping[str, Any] | None = None,
) -> tuple[FigureChoice, ...]:
    """The figures of a study, in the order of the report.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    factors : iterable of factors or str
        Their names are columns of the table; a factor of `fesolver.study.design` says by its `keys` if it is the size
        of cells, a plain name has to end like one of `MESH_KEYS`.
    design : DesignTable or str or None
        The design or its kind.
    levels : sequence of str, optional
        Levels whose main change is shown, such as the neighbours of the augmented one; all by default.
    load : mapping, optional
        Load case: under a moment its rotation is a main outcome.

    Returns
    -------
    tuple of FigureChoice
        Empty where fewer than 2 cases are done, nothing varies, or no main outcome is in the table.

    Raises
    ------
    InputError
        If a factor is not in the table, or the table is none of cases.

    Notes
    -----
    What is drawn of the main outcome of up to three levels:

    - always, with treatment: intact and treated case by case;
    - full grids (a table of points that is one counts): responses over every factor, maps of pairs, tornado by
      conditional means;
    - one at a time: responses along every factor, exact tornado;
    - cell sizes in either: mesh convergence, and neither response nor map;
    - samples (Latin hypercube, Sobol, points from a file): responses over factors of few values, scatters of the three
      strongest factors of many, tornado by regression, partial rank correlations and how they settle;
    - Morris and Saltelli: their indices and how they settle, scatters for Saltelli;
    - a factor of named levels in a grid: the spread by level, of the state and of the change.
    """
    given = tuple(factors)
    varied = figure_factors(table, given)
    kind = design_kind(design)
    if kind in (None, "csv") and is_full_grid(table, varied):
        kind = "grid"
    columns = _columns(table, levels, load)
    if int((table["status"] == "done").sum()) < 2 or not varied or not columns:
        return ()
    first = read_outcome(table, columns[0])
    ranked = _ranked(table, varied, first)
    mesh_names = [name for name in map(_mesh_name, given) if name in {factor.name for factor in varied}]
    chosen = [FigureChoice("pairs", columns)] if first.is_change else []
    if kind in ("grid", "one_at_a_time"):
        free = [factor for factor in ranked if factor.name not in mesh_names]
        chosen += _of_points(kind, varied, free, columns)
        chosen += [_mesh(table, name, column) for name in mesh_names for column in columns]
    else:
        chosen += _of_sample(kind, table, varied, ranked, columns)
    if kind == "grid":
        chosen += _spreads(varied, columns, first)
    return tuple(chosen)


def design_kind(design: DesignTable | str | None) -> str | None:
    """The kind of a design."""
    return design if isinstance(design, str) or design is None else design.kind


def is_full_grid(table: pd.DataFrame, factors: Sequence[FigureFactor]) -> bool:
    """Whether every combination of the factors' values occurs, and once.

    Examples
    --------
    >>> import pandas as pd
    >>> points = pd.DataFrame({"a": [1, 2, 1, 2], "b": [1, 1, 2, 2]})
    >>> is_full_grid(points, figure_factors(points, ["a", "b"]))
    True
    """
    names = [factor.name for factor in factors]
    full = math.prod(len(factor.values) for factor in factors)
    return bool(names) and len(table) == full and not table.duplicated(names).any()


def _of_points(
    kind: str, varied: Sequence[FigureFactor], ranked: Sequence[FigureFactor], columns: tuple[OutcomeColumn, ...]
) -> list[FigureChoice]:
    """Responses, maps and tornado of chosen points."""
    chosen = []
    for factor in ranked[:_MOST_RESPONSES]:
        others = [f for f in ranked if f.name != factor.name and 2 <= len(f.values) <= _MOST_LINES]
        by = [others[0].name] if others and kind == "grid" else []
        chosen.append(FigureChoice("response", columns, (factor.name, *by)))
    if kind == "grid":
        few = [f for f in ranked if len(f.values) <= 60]
        pairs = [(a, b) for a, b in itertools.combinations(few, 2) if len(a.values) * len(b.values) > 4]
        for a, b in pairs[:_MOST_MAPS]:
            x, y = (a, b) if a.is_number or not b.is_number else (b, a)
            chosen += [FigureChoice("map", (column,), (x.name, y.name)) for column in columns]
    if len(varied) > 1:
        names = tuple(factor.name for factor in varied)
        chosen += [FigureChoice("tornado", (column,), names) for column in columns]
    return chosen


def _of_sample(
    kind: str | None,
    table: pd.DataFrame,
    varied: Sequence[FigureFactor],
    ranked: Sequence[FigureFactor],
    columns: tuple[OutcomeColumn, ...],
) -> list[FigureChoice]:
    """Responses, scatters, tornado and indices of drawn points."""
    names, of_numbers = tuple(f.name for f in varied), tuple(f.name for f in numbered(varied))
    chosen = []
    if kind not in _INDEX:
        few = [f for f in ranked if len(f.values) <= min(_FEW, len(table) // 2)]
        chosen += [FigureChoice("response", columns, (f.name,)) for f in few[:_MOST_RESPONSES]]
        if len(varied) > 1:
            chosen += [FigureChoice("tornado", (column,), names) for column in columns]
    if kind != "morris":
        many = [f for f in ranked if f.is_number and len(f.values) > min(_FEW, len(table) // 2)]
        chosen += [FigureChoice("scatter", (c,), (f.name,)) for f in many[:_MOST_SCATTERS] for c in columns]
    index = _INDEX.get(kind or "", "prcc")
    counted = names if kind == "saltelli" else of_numbers
    if kind == "morris" and counted != names:
        return chosen  # steps along names have no direction
    n_done = int((table["status"] == "done").sum())
    if counted and (kind in _INDEX or n_done >= len(counted) + 4):
        for column in columns:
            chosen.append(FigureChoice("indices", (column,), counted, index))
            if kind is not None and (kind in _INDEX or n_done >= 2 * (len(counted) + 4)):
                chosen.append(FigureChoice("settling", (column,), counted, index))
    return chosen


def _spreads(
    varied: Sequence[FigureFactor], columns: tuple[OutcomeColumn, ...], first: FigureOutcome
) -> list[FigureChoice]:
    """Spreads over named levels: of the intact state, and of the change."""
    states = ("intact", columns[0].state) if first.is_change else (columns[0].state,)
    return [
        FigureChoice("spread", (column._replace(state=state),), (factor.name,))
        for factor in varied
        if not factor.is_number and len(factor.values) >= 3
        for column in columns
        for state in states
    ]


def _mesh(table: pd.DataFrame, name: str, column: OutcomeColumn) -> FigureChoice:
    """Mesh convergence at one level: the state and, with treatment, the change in its unit."""
    states = ["intact", "change"] if column.state != "intact" else ["intact"]
    return FigureChoice("mesh", tuple(column._replace(state=state) for state in states), (name,))


def _columns(
    table: pd.DataFrame, levels: Sequence[str] | None, load: Mapping[str, Any] | None
) -> tuple[OutcomeColumn, ...]:
    """The main outcome at the levels: its change in percent where every case has one, in its unit, or the state."""
    main = main_pairs(table, levels, load) or main_pairs(table, None, load)
    shown = [column for column in main if column.quantity == main[0].quantity][:_MOST_LEVELS]
    if not shown or shown[0]._replace(state="treated").name not in table:
        return tuple(shown)
    both = [[read_outcome(table, c._replace(state=state)).is_known for c in shown] for state in (PERCENT, "change")]
    state = PERCENT if np.array_equal(both[0], both[1]) else "change"
    return tuple(column._replace(state=state) for column in shown)


def _ranked(table: pd.DataFrame, factors: Sequence[FigureFactor], outcome: FigureOutcome) -> tuple[FigureFactor, ...]:
    """Factors by what they seem to move: share of variance between their values, or squared rank correlation."""
    known = outcome.is_known
    y = outcome.values[known]
    strength = []
    for factor in factors:
        x = factor.places(table[factor.name])[known]
        if len(factor.values) <= _FEW and len(y) > len(factor.values):
            means = {value: y[x == value].mean() for value in set(x.tolist())}
            fitted = np.array([means[value] for value in x.tolist()])
            strength.append(float(fitted.var() / y.var()) if y.var() > 0.0 else 0.0)
        else:
            strength.append(float(np.nan_to_num(rank_correlation(x, y)) ** 2))
    return tuple(factors[at] for at in np.argsort(-np.array(strength), kind="stable"))


def is_refinement(factor: NamedFactor | str) -> bool:
    """Whether a factor of cell sizes grows as cells get smaller."""
    return any(key.endswith("refinement") for key in _keys(factor))


def _mesh_name(factor: NamedFactor | str) -> str | None:
    """Name of a factor that sets the size of cells; None of any other."""
    endings = tuple(key.partition(".")[2] for key in MESH_KEYS)
    name = factor if isinstance(factor, str) else factor.name
    return name if any(key.endswith(endings) for key in _keys(factor)) else None


def _keys(factor: NamedFactor | str) -> tuple[str, ...]:
    """Keys of the study that a factor sets; its name where it says none."""
    name = factor if isinstance(factor, str) else factor.name
    return tuple(map(str, getattr(factor, "keys", ()))) or (name,)
