"""The report of a study of many cases: what the treatment changed over all of them, and what failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fesolver.report.factor_words import FactorWords, NamedFactor, words_of_factors
from fesolver.report.markup import paragraph, text
from fesolver.report.markup import table as html_table
from fesolver.report.quantities import axis_label, format_number, words_of
from fesolver.report.study_tables import failure_table, paired_table, table_files
from fesolver.report.study_words import (
    StudyWords,
    factor_names,
    main_pairs,
    resolved_words,
    study_words,
)
from fesolver.study.explain.outcome_columns import OutcomeColumn
from fesolver.study.explain.statistics import summarise

if TYPE_CHECKING:
    import pandas as pd

    from fesolver.study.schema_design import DesignTable

__all__ = ["study_sections"]

_TOP_FAILURES = 5


def study_sections(
    table: pd.DataFrame,
    factors: Iterable[NamedFactor | str],
    design: DesignTable | str | None,
    *,
    is_sample: bool | None = None,
    levels: Sequence[str] | None = None,
    load: Mapping[str, Any] | None = None,
    confidence: float = 0.95,
) -> str:
    """What the report says of a study of many cases.

    Parameters
    ----------
    table : DataFrame
        One row per case, as `fesolver.study.results_table.results_table` gives it.
    factors : iterable of factors or str
        Their names are columns of the table.
    design : DesignTable or str or None
        The design or its kind.
    is_sample : bool, optional
        Overrides what the kind of design says.
    levels : sequence of str, optional
        The neighbours of the augmented level, at which the main change is shown (`report.sweep.neighbours_of`); all
        levels that have the quantity by default.
    load : mapping, optional
        Load case: under a moment its rotation is a main outcome.
    confidence : float
        Of the intervals, in (0, 1).

    Returns
    -------
    str
        HTML for `report.markup.section`: cases done and failed, the main change over all cases and by factor, the most
        frequent failures, links to the tables beside the report.

    Raises
    ------
    InputError
        If a factor is not in the table, or the table is none of cases.

    Notes
    -----
    The main change is that of the yielded-volume factor of risk; without it, of the first main outcome that these
    levels have.
    """
    given = tuple(factors)
    names, called = factor_names(table, given), words_of_factors(given)
    words = study_words(table, design, is_sample)
    n_done = words.n_cases - words.n_failed
    head = (
        f"{words.design[:1].upper()}{words.design[1:]}"
        + (f" over {', '.join(called[name].words for name in names)}" if names else "")
        + f": {n_done} of {words.n_cases} cases done, {words.n_failed} failed."
    )
    main = main_pairs(table, levels, load) or main_pairs(table, None, load)
    shown = tuple(column for column in main if column.quantity == main[0].quantity)
    if n_done < 2:
        answer = paragraph("Statistics need 2 or more finished cases.")
    elif not shown:
        answer = paragraph("None of the main outcomes is in the table.")
    else:
        answer = _paired_html(table, called, words, shown, confidence) or _state_html(table, words, main, confidence)
    return paragraph(head) + answer + _failures_html(table, called) + _links_html(table)


def _paired_html(
    table: pd.DataFrame,
    called: Mapping[str, FactorWords],
    words: StudyWords,
    shown: Sequence[OutcomeColumn],
    confidence: float,
) -> str:
    """The main change at every level, over all cases and by factor; empty where nothing is treated."""
    pairs = [column for column in shown if column._replace(state="treated").name in table]
    if not pairs:
        return ""
    quantity = pairs[0].quantity
    paired = paired_table(table, tuple(called), words, pairs=pairs, confidence=confidence)
    # Chosen points have no interval.
    interval = [f"{100.0 * confidence:g} % interval"] if words.is_sample else []
    header = ["level", "cases", "n", "intact", "treated", "change", *interval, "SD", "change (%)", "g_z", "resolved"]
    records: Any = paired.to_dict("records")
    rows = [
        [
            row["level"],
            called[row["factor"]].at(row["value"]) if row["factor"] else "all",
            row["n"],
            format_number(row["intact_mean"]),
            format_number(row["treated_mean"]),
            format_number(row["change_mean"], sign=True),
            *([_interval(row["change_low"], row["change_high"])] if interval else []),
            format_number(row["change_sd"], digits=2),
            format_number(row["percent_mean"], sign=True, digits=3),
            format_number(row["hedges_g_z"], sign=True, digits=2),
            resolved_words(row) or "–",
        ]
        for row in records
    ]
    kinds = ["open" if n == 0 else "" for n in paired["n_resolved"]]
    lead = (
        f"Mean change of {words_of(quantity)}, treated minus intact, case by case. {words.interval(confidence)} "
        "g_z: mean change over the SD of the changes, with Hedges' correction. Resolved: cases in which the change "
        "exceeds its numerical floor (a dash: no floor was computed)."
    )
    return paragraph(lead) + html_table(
        header, rows, caption=axis_label(quantity), text_columns=(0, 1), row_kinds=kinds
    )


def _state_html(table: pd.DataFrame, words: StudyWords, main: Sequence[OutcomeColumn], confidence: float) -> str:
    """The main outcomes of a study without treatment, over all cases."""
    found = summarise(table, [column.name for column in main], None, confidence, is_sample=words.is_sample)
    header = ["quantity", "level", "n", "mean", "SD", f"{100.0 * confidence:g} % interval", "median", "range"]
    rows = [
        [
            axis_label(column.quantity),
            column.level,
            row["n"],
            format_number(row["mean"]),
            format_number(row["sd"], digits=2),
            _interval(row["mean_low"], row["mean_high"]),
            format_number(row["median"]),
            _interval(row["min"], row["max"]),
        ]
        for column, row in zip(main, found.to_dict("records"), strict=True)
    ]
    return paragraph(words.interval(confidence)) + html_table(header, rows, text_columns=(0, 1))


def _failures_html(table: pd.DataFrame, called: Mapping[str, FactorWords]) -> str:
    """The most frequent failures, each with its first case."""
    failures = failure_table(table, tuple(called))
    if failures.empty:
        return ""
    errors = failures["error"].fillna("").astype(str) if "error" in failures else failures["case"].map(lambda _: "")
    reasons = errors.map(lambda error: error.strip().split("\n")[0] or "no reason given")
    counts = reasons.value_counts(sort=False).sort_values(ascending=False, kind="stable")
    rows = []
    for reason, count in counts.head(_TOP_FAILURES).items():
        first = failures[reasons == reason].iloc[0]
        keys = ", ".join(words.at(first[name]) for name, words in called.items())
        rows.append([reason, int(count), f"{first['case']}{f' ({keys})' if keys else ''}"])
    more = len(counts) - len(rows)
    caption = f"Why cases failed{f'; {more} more reasons are in the table of failures' if more else ''}"
    return html_table(["error", "cases", "first"], rows, caption=caption, text_columns=(0, 2))


def _links_html(table: pd.DataFrame) -> str:
    """Links to the tables beside the report."""
    links = ", ".join(f'<a href="{text(name)}">{text(name.removeprefix("tables/"))}</a>' for name in table_files(table))
    return f'<p class="soft">Tables: {links}</p>\n'


def _interval(low: float, high: float) -> str:
    """Two ends, or a dash."""
    return f"{format_number(low)} to {format_number(high)}" if np.isfinite([low, high]).all() else "–"
