"""Tables, figures and sections of a study of many cases, from its result folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesolver.errors import InputError
from fesolver.report.results import Results
from fesolver.report.study_html import study_sections
from fesolver.report.study_page import study_figures_html
from fesolver.report.sweep import neighbours_of
from fesolver.study.design.plan import StudyPlan, plan_study
from fesolver.study.results_table import results_table
from fesolver.study.schema import StudyConfig

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["has_study_figures", "study_report_sections", "write_study_files"]


@dataclass(frozen=True)
class _Study:
    """A result folder with the plan behind it."""

    plan: StudyPlan
    table: pd.DataFrame
    levels: tuple[str, ...]
    load: Any


def write_study_files(results: Results) -> list[Path]:
    """Write tables and figures of a study of more than one case; nothing for others.

    Returns
    -------
    list of Path
    """
    from fesolver.report.study_figures import write_study_figures
    from fesolver.report.study_tables import write_study_tables

    study = _read(results)
    if study is None:
        return []
    plan = study.plan
    tables = write_study_tables(
        results.folder, study.table, plan.factors, design=plan.design, levels=study.levels or None, load=study.load
    )
    return tables + write_study_figures(
        results.folder, study.table, plan.factors, plan.design, study.levels or None, load=study.load,
        case_of_point=plan.case_of_point,
    )  # fmt: skip


def has_study_figures(results: Results) -> bool:
    """Whether `write_study_files` draws figures that show the main change, or outcome, over all factors."""
    from fesolver.report.study_choice import choose_figures

    study = _read(results)
    if study is None:
        return False
    plan = study.plan
    return bool(choose_figures(study.table, plan.factors, plan.design, study.levels or None, load=study.load))


def study_report_sections(results: Results) -> Iterator[tuple[str, str, str]]:
    """Anchor, title and content of the sections that a study of more than one case adds to the report."""
    study = _read(results)
    if study is None:
        return
    content = study_sections(
        study.table, study.plan.factors, study.plan.design, levels=study.levels or None, load=study.load
    )
    yield "study", "The study", content
    yield "study_figures", "Figures of the study", study_figures_html(results.folder)


def _read(results: Results) -> _Study | None:
    """The study of a result folder; None for one case, and for folders of older versions."""
    if len(results.cases) < 2 or not (results.folder / "study.json").is_file():
        return None
    config = StudyConfig.model_validate(results.run["config"])
    try:
        plan = plan_study(config, yes=True)
    except InputError:  # of a CSV of points that is no longer there: the rows say what they were made from
        return None
    nominal = results.nominal
    load = config.load.model_dump() if nominal is None else nominal.record.get("load", config.load.model_dump())
    return _Study(plan, results_table(results.folder), neighbours_of(results), load)
