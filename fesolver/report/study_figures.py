"""The figures of a study of many cases: chosen, drawn, saved as PNG with their numbers beside."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesolver.errors import FesolverError, InputError
from fesolver.report.factor_words import words_of_factors
from fesolver.report.figure_data import PERCENT, Drawn, figure_factors, read_outcome
from fesolver.report.study_choice import FigureChoice, choose_figures, design_kind, is_full_grid, is_refinement
from fesolver.report.study_words import NamedFactor
from fesolver.study.explain.statistics import SAMPLES
from fesolver.study.schema_design import DesignTable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["STUDY_INDEX", "StudyFigureFile", "draw_figure", "read_study_index", "write_study_figures"]

STUDY_INDEX = "study_index.json"
"""Names, kinds and captions of the figures, in the report's order; written beside them."""

_log = logging.getLogger("fesolver")


@dataclass(frozen=True)
class StudyFigureFile:
    """One figure on disk: `figures/<name>.png` and `.csv`.

    Parameters
    ----------
    name : str
        Name of its files.
    kind : str
        A `fesolver.report.study_choice.FigureKind`.
    caption : str
        What it shows and how to read it.
    """

    name: str
    kind: str
    caption: str


def write_study_figures(
    folder: Path,
    table: pd.DataFrame,
    factors: Iterable[NamedFactor | str],
    design: DesignTable | str | None,
    levels: Sequence[str] | None = None,
    *,
    is_sample: bool | None = None,
    load: Mapping[str, Any] | None = None,
    case_of_point: Sequence[str] | None = None,
) -> list[Path]:
    """Draw the figures that make sense for a study into `folder/figures/`.

    Parameters
    ----------
    folder : Path
        The result folder; `run.json` in it, if there is one, gives the seconds of the cases.
    table : DataFrame
        One row per case in the order of the design, as `fesolver.study.results_table.results_table` gives it.
    factors : iterable of factors or str
        Their names are columns of the table.
    design : DesignTable or str or None
        The design or its kind.
    levels : sequence of str, optional
        Levels whose main change is shown, such as the neighbours of the augmented one; all by default.
    is_sample : bool, optional
        Overrides what the kind of design says of intervals (a file of measured subjects is a sample).
    load : mapping, optional
        Load case: under a moment its rotation is a main outcome.
    case_of_point : sequence of str, optional
        `StudyPlan.case_of_point`: needed by Morris and Saltelli designs some of whose points are one case.

    Returns
    -------
    list of Path
        `study_<name>.png` and `.csv` of every figure and the index; empty where there is nothing to draw. Figures that
        an earlier index lists and this one does not are removed.

    Raises
    ------
    InputError
        If a factor is not in the table, or the table is none of cases.

    Notes
    -----
    A figure whose analysis refuses the data (too few whole trajectories, no SALib) is left out with a warning in the
    log that says why.
    """
    from fesolver.report.style import figure_style

    given = tuple(factors)
    if "seconds" not in table and (seconds := _case_seconds(folder / "run.json")):
        table = table.assign(seconds=table["case"].map(seconds).astype(float))
    choices = choose_figures(table, given, design, levels, load=load)
    target = folder / "figures"
    old = {entry.name for entry in read_study_index(folder)}
    entries: list[StudyFigureFile] = []
    paths: list[Path] = []
    if choices:
        target.mkdir(parents=True, exist_ok=True)
    with figure_style():
        for name, choice in _named(choices):
            try:
                caption, figure, data = draw_figure(
                    table, given, design, choice, is_sample=is_sample, case_of_point=case_of_point
                )
            except FesolverError as error:
                _log.warning("figure %s is left out: %s", name, error)
                continue
            paths += [target / f"{name}.png", target / f"{name}.csv"]
            figure.savefig(paths[-2], metadata={"Software": None})
            data.to_csv(paths[-1], index=False, lineterminator="\n")
            entries.append(StudyFigureFile(name, choice.kind, caption))
    for name in old - {entry.name for entry in entries}:
        for ending in (".png", ".csv"):
            (target / f"{name}{ending}").unlink(missing_ok=True)
    if not entries and not old:
        return []
    return [*paths, _write_index(target / STUDY_INDEX, entries)]


def draw_figure(
    table: pd.DataFrame,
    factors: Iterable[NamedFactor | str],
    design: DesignTable | str | None,
    choice: FigureChoice,
    *,
    is_sample: bool | None = None,
    case_of_point: Sequence[str] | None = None,
) -> Drawn:
    """Draw one figure of a study.

    Parameters
    ----------
    table, factors, design, is_sample, case_of_point
        As in `write_study_figures`.
    choice : FigureChoice
        One of `choose_figures`, or made by hand for another outcome or other factors.

    Returns
    -------
    caption, figure, DataFrame
        The figure is drawn in the style in force (`fesolver.report.style.figure_style`).

    Raises
    ------
    InputError
        If the data do not suffice for it, or a factor or outcome is not in the table.
    """
    given = tuple(factors)
    varied = {factor.name: factor for factor in figure_factors(table, given)}
    missing = [name for name in choice.factors if name not in varied]
    if missing:
        raise InputError(f"{missing[0]!r} is no factor that varies", where="figures", fix=f"use {', '.join(varied)}")
    kind = design_kind(design)
    if kind in (None, "csv") and is_full_grid(table, tuple(varied.values())):
        kind = "grid"
    drawn_cases = kind in SAMPLES if is_sample is None else is_sample
    if choice.kind == "pairs":
        from fesolver.report.pair_figures import pair_figure

        return pair_figure(table, choice.columns, factors=list(varied), is_sample=drawn_cases)
    chosen = [varied[name] for name in choice.factors]
    if choice.kind == "response" and kind == "one_at_a_time":
        # Beside the line through the base case nothing is comparable.
        table = table[_along(table, choice.factors[0], list(varied))].reset_index(drop=True)
    outcomes = [read_outcome(table, column) for column in choice.columns]
    if choice.kind == "response":
        from fesolver.report.response_figures import response_figure

        by = chosen[1] if len(chosen) > 1 else None
        return response_figure(table, chosen[0], outcomes, by=by, is_sample=drawn_cases)
    if choice.kind == "map":
        from fesolver.report.map_figure import map_figure

        return map_figure(table, chosen[0], chosen[1], outcomes[0])
    if choice.kind == "tornado":
        from fesolver.report.tornado_figure import tornado_figure

        return tornado_figure(table, chosen, outcomes[0], kind=kind)
    if choice.kind == "scatter":
        from fesolver.report.scatter_figure import scatter_figure

        return scatter_figure(table, chosen[0], outcomes[0])
    others = [name for name in varied if name not in choice.factors[:1]]
    if choice.kind == "spread":
        from fesolver.report.spread_figure import spread_figure

        return spread_figure(table, chosen[0], outcomes[0], others=others)
    if choice.kind == "mesh":
        from fesolver.report.mesh_figure import mesh_figure

        own = next(f for f in given if (f if isinstance(f, str) else f.name) == choice.factors[0])
        return mesh_figure(
            table, chosen[0], outcomes, is_refinement=is_refinement(own), others=others, called=words_of_factors(given)
        )
    table_design = design if isinstance(design, DesignTable) else DesignTable(kind=kind or "csv")
    return _index_figure(table, chosen, outcomes[0], table_design, choice, case_of_point)


def read_study_index(folder: Path) -> tuple[StudyFigureFile, ...]:
    """The figures that `write_study_figures` has written into a result folder; none where it was not called.

    Raises
    ------
    InputError
        If the index is damaged.
    """
    path = folder / "figures" / STUDY_INDEX
    if not path.is_file():
        return ()
    try:
        return tuple(StudyFigureFile(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))["figures"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name} is damaged: {error}", where=str(path), fix="delete it") from error


def _index_figure(
    table: pd.DataFrame,
    factors: Sequence[Any],
    outcome: Any,
    design: DesignTable,
    choice: FigureChoice,
    case_of_point: Sequence[str] | None,
) -> Drawn:
    """A figure of sensitivity indices or of how one settles."""
    from fesolver.report import index_figures as figures

    if choice.kind == "settling":
        name: Any = choice.index
        return figures.settling_figure(table, factors, outcome, design, index=name, case_of_point=case_of_point)
    if choice.index == "prcc":
        return figures.prcc_figure(table, factors, outcome)
    draw = figures.morris_figure if choice.index == "mu_star" else figures.sobol_figure
    return draw(table, factors, outcome, design, case_of_point=case_of_point)


def _along(table: pd.DataFrame, factor: str, names: Sequence[str]) -> pd.Series[bool]:
    """Rows that depart from the first case in one factor at most."""
    others = [name for name in names if name != factor]
    return table[others].eq(table[others].iloc[0]).all(axis=1)


def _named(choices: Sequence[FigureChoice]) -> Iterator[tuple[str, FigureChoice]]:
    """A file name for every figure: kind, factors where they are few, level where there is one."""
    used: set[str] = set()
    for choice in choices:
        parts: list[str] = ["study", choice.kind]
        if choice.kind in ("response", "map", "scatter", "spread", "mesh"):
            parts += [name[-32:] for name in choice.factors]
        if len({column.level for column in choice.columns}) == 1:
            parts.append(choice.columns[0].level)
        if choice.kind == "spread" and choice.columns[0].state in ("change", PERCENT):
            parts.append("change")
        name = re.sub(r"[^A-Za-z0-9_-]+", "_", "_".join(parts))
        count = next(n for n in range(1, len(choices) + 2) if (name if n == 1 else f"{name}_{n}").lower() not in used)
        name = name if count == 1 else f"{name}_{count}"
        used.add(name.lower())
        yield name, choice


def _case_seconds(path: Path) -> dict[str, float]:
    """Seconds of every case that `run.json` knows."""
    try:
        timings = json.loads(path.read_text(encoding="utf-8"))["timings"]
        return {str(case): float(sum(stages.values())) for case, stages in timings.items() if case and stages}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # costs are an addition; who needs them reads run.json, and is told there


def _write_index(path: Path, entries: Sequence[StudyFigureFile]) -> Path:
    """The index, whole or not at all."""
    partial = path.with_name(f"{path.name}.part")
    index = {"schema": 1, "figures": [asdict(entry) for entry in entries]}
    partial.write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8", newline="\n")
    os.replace(partial, path)
    return path
