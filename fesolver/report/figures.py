"""Every figure of a result folder: drawn, saved as PNG and PDF, its numbers beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fesolver.report.results import CaseResult, Results, read_results

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["FIGURE_INDEX", "FigureFile", "write_figures"]

FIGURE_INDEX = "index.json"
"""Names, captions and kinds of the figures, in the report's order; written beside them."""


@dataclass(frozen=True)
class FigureFile:
    """One figure on disk: `figures/<name>.png`, `.pdf` and `.csv`.

    Parameters
    ----------
    name : str
        Name of its files.
    kind : {"section", "change", "state", "sweep", "connection"}
        Where the report shows it.
    caption : str
        What it shows and how to read it.
    """

    name: str
    kind: str
    caption: str


def write_figures(out: Path | str) -> tuple[FigureFile, ...]:
    """Draw the figures of a result folder into its `figures/`.

    Parameters
    ----------
    out : path
        The result folder.

    Returns
    -------
    tuple of FigureFile
        Empty where no case is done. Sections and bars show the nominal case; the sweep shows all, in folders for which
        `fesolver.report.study_figures` draws nothing.

    Raises
    ------
    InputError
        If there is no run in the folder, or its files cannot be read.
    """
    from fesolver.report.style import figure_style

    results = read_results(out)
    folder = results.folder / "figures"
    folder.mkdir(exist_ok=True)
    written = []
    with figure_style():
        for entry, figure, data in _figures(results):
            figure.savefig(folder / f"{entry.name}.png", metadata={"Software": None})
            figure.set_layout_engine("none")  # the places just found hold for the PDF too
            # Without a creation date the same results give the same file.
            figure.savefig(folder / f"{entry.name}.pdf", metadata={"CreationDate": None})
            data.to_csv(folder / f"{entry.name}.csv", index=False, lineterminator="\n")
            written.append(entry)
    index = {"schema": 1, "figures": [asdict(entry) for entry in written]}
    (folder / FIGURE_INDEX).write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return tuple(written)


def _figures(results: Results) -> Iterator[tuple[FigureFile, Figure, pd.DataFrame]]:
    """All figures of a run, one at a time: a large section must not wait in memory for the next."""
    nominal = results.nominal
    if nominal is None:
        return
    yield from _change_figures(results, nominal)
    yield from _connections(results, nominal)
    yield from _sweep(results)
    yield from _sections(results, nominal)


def _change_figures(results: Results, case: CaseResult) -> Iterator[tuple[FigureFile, Figure, pd.DataFrame]]:
    """Bars of the main outcomes of one case."""
    from fesolver.report.bars import change_figure, state_figure, worst_floor
    from fesolver.report.quantities import words_of

    changes = results.case_changes(case)
    treated_level = results.treated_level(case)
    named = f" Case {case.title}." if len(results.cases) > 1 else ""
    for quantity in results.main_outcomes(changes["quantity"]):
        table = changes[changes["quantity"] == quantity].reset_index(drop=True)
        if not table[["intact", "treated"]].to_numpy(float).any():
            continue  # all zero: nothing to see
        caption = (
            f"{words_of(quantity).capitalize()} before and after, and its change in percent of the intact value. The "
            "grey band is the numerical floor: a change inside it is not resolved and drawn hollow."
            + _signs(quantity, table)
            + named
        )
        data = table.assign(floor=worst_floor(table))
        yield (
            FigureFile(f"change_{quantity}", "change", caption),
            change_figure(table, quantity, treated_level=treated_level),
            data,
        )
    if len(changes):
        return
    summary = results.case_summary(case)
    for quantity in results.main_outcomes(results.quantities):
        table = summary[["level", quantity]].dropna().reset_index(drop=True)
        if len(table) > 1:
            caption = f"{words_of(quantity).capitalize()} per level, intact.{named}"
            yield FigureFile(f"state_{quantity}", "state", caption), state_figure(table, quantity), table


def _signs(quantity: str, table: pd.DataFrame) -> str:
    """What a reader of this figure could take wrongly."""
    text = ""
    if "min_principal" in quantity:
        text += " Compression is negative: a compressive stress that grows has a negative change."
    if table["floor_spacing"].isna().any() and not table["floor_solver"].isna().any():
        text += " *: the coarser mesh gives no value here, so the floor is the solver's alone."
    return text


def _connections(results: Results, case: CaseResult) -> Iterator[tuple[FigureFile, Figure, pd.DataFrame]]:
    """Forces of ligaments and facet joints of one case."""
    from fesolver.report.connection_figure import connection_figure

    drawn = connection_figure(results, case) if case.record.get("connections") else None
    if drawn is not None:
        caption, figure, data = drawn
        named = f" Case {case.title}." if len(results.cases) > 1 else ""
        yield FigureFile("connections", "connection", caption + named), figure, data


def _sweep(results: Results) -> Iterator[tuple[FigureFile, Figure, pd.DataFrame]]:
    """The main change over the swept keys, or the main outcome, where the figures of the study do not show it."""
    from fesolver.report.study_report import has_study_figures
    from fesolver.report.sweep import state_sweep_figure, sweep_figure

    if has_study_figures(results):
        return
    drawn = sweep_figure(results) or state_sweep_figure(results)
    if drawn is not None:
        caption, figure, data = drawn
        yield FigureFile("sweep", "sweep", caption), figure, data


def _sections(results: Results, case: CaseResult) -> Iterator[tuple[FigureFile, Figure, pd.DataFrame]]:
    """Sections of one case through its augmented level, or its middle one."""
    from fesolver.report.section_figures import section_figures

    # A sweep may keep the fields of some cases only: the nominal one first, else the first that has them.
    readable = (c for c in (case, *results.done) if (c.folder / "fields.vtu").is_file())
    case = next(readable, case)
    fields = case.read_fields()
    if fields is None:
        return
    levels = results.levels(case)
    level = results.treated_level(case) or (levels[len(levels) // 2] if levels else "")
    named = f" Case {case.title}." if len(results.cases) > 1 else ""
    for name, caption, figure, data in section_figures(fields, level):
        yield FigureFile(name, "section", caption + named), figure, data
