"""Tables of a study for a paper: CSV with every digit, LaTeX with those that mean something."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesolver.report.factor_words import FactorWords, NamedFactor, words_of_factors
from fesolver.report.latex import (
    latex_interval,
    latex_number,
    latex_p_value,
    latex_spread,
    latex_table,
    latex_text,
)
from fesolver.report.quantities import axis_label
from fesolver.report.study_words import (
    StudyWords,
    case_groups,
    factor_names,
    group_words,
    main_pairs,
    resolved_words,
    study_words,
)
from fesolver.study.explain.outcome_columns import OutcomeColumn, outcome_columns, split_column
from fesolver.study.explain.statistics import paired_differences, summarise

if TYPE_CHECKING:
    import pandas as pd

    from fesolver.study.schema_design import DesignTable

__all__ = ["FAILURES", "PAIRED", "SUMMARY", "failure_table", "paired_table", "table_files", "write_study_tables"]

SUMMARY, PAIRED, FAILURES = "summary_statistics", "paired_differences", "failures"
"""Names of the tables, without their ending."""

_SUMMED = ("intact", "treated", "change")
"""States that are summarised."""


def write_study_tables(
    folder: Path,
    table: pd.DataFrame,
    factors: Iterable[NamedFactor | str],
    *,
    design: DesignTable | str | None = None,
    is_sample: bool | None = None,
    levels: Sequence[str] | None = None,
    load: Mapping[str, Any] | None = None,
    confidence: float = 0.95,
) -> list[Path]:
    """Write the tables of a study into `folder/tables/`.

    Parameters
    ----------
    folder : Path
        The result folder.
    table : DataFrame
        One row per case, as `fesolver.study.results_table.results_table` gives it.
    factors : iterable of factors or str
        Their names are columns of the table.
    design : DesignTable or str, optional
        The design or its kind; captions say it, and whether there are intervals.
    is_sample : bool, optional
        Overrides what the kind of design says (a file of measured subjects is a sample).
    levels : sequence of str, optional
        Levels of the LaTeX tables, such as the neighbours of the augmented one; all by default.
    load : mapping, optional
        Load case: under a moment its rotation is a main outcome.
    confidence : float
        Of the intervals, in (0, 1).

    Returns
    -------
    list of Path
        `summary_statistics` and `paired_differences` (where there is treatment) as `.csv` and `.tex`, and
        `failures.csv`; the last alone where fewer than 2 cases are done.

    Raises
    ------
    InputError
        If a factor is not in the table, or the table is none of cases.

    Notes
    -----
    The CSV files hold all outcomes over all cases, and grouped by every factor of few values: the summary of all
    outcomes, the differences of the main ones. The LaTeX files hold the main outcomes.
    """
    given = tuple(factors)
    names = factor_names(table, given)
    words = study_words(table, design, is_sample)
    written = {f"{FAILURES}.csv": _csv(failure_table(table, names))}
    if _is_summarised(table):
        summary = summary_table(table, names, words, confidence=confidence)
        written[f"{SUMMARY}.csv"] = _csv(summary)
        main = main_pairs(table, levels, load)
        written[f"{SUMMARY}.tex"] = summary_latex(summary, main, words, confidence=confidence)
        paired = paired_table(table, names, words, load=load, confidence=confidence)
        if len(paired):
            written[f"{PAIRED}.csv"] = _csv(paired)
            written[f"{PAIRED}.tex"] = paired_latex(
                paired, main, words, called=words_of_factors(given), confidence=confidence
            )
    target = folder / "tables"
    target.mkdir(parents=True, exist_ok=True)
    return [_write(target / name, text) for name, text in sorted(written.items())]


def table_files(table: pd.DataFrame) -> tuple[str, ...]:
    """Files that `write_study_tables` makes of a table, relative to the result folder."""
    if not _is_summarised(table):
        return (f"tables/{FAILURES}.csv",)
    kinds = (PAIRED, SUMMARY) if _pairs(table) else (SUMMARY,)
    return (*(f"tables/{kind}.{ending}" for kind in kinds for ending in ("csv", "tex")), f"tables/{FAILURES}.csv")


def failure_table(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Failed cases with their factors and error, in the order of the table."""
    columns = ["case", *names, *(["error"] if "error" in table else [])]
    return table.loc[table["status"] != "done", columns].reset_index(drop=True)


def summary_table(
    table: pd.DataFrame, names: Sequence[str], words: StudyWords, *, confidence: float = 0.95
) -> pd.DataFrame:
    """Statistics of every outcome: over all cases, then by every factor of few values (columns `factor`, `value`)."""
    columns = [column.name for column in outcome_columns(table, _SUMMED)]
    found = _by_groups(
        table,
        case_groups(table, names),
        lambda cases, by: summarise(cases, columns, by, confidence, is_sample=words.is_sample),
    )
    parts = found["column"].map(lambda name: split_column(str(name)))
    for at, part in enumerate(OutcomeColumn._fields):
        found.insert(3 + at, part, [column[at] for column in parts])
    return found


def paired_table(
    table: pd.DataFrame,
    names: Sequence[str],
    words: StudyWords,
    *,
    pairs: Sequence[OutcomeColumn] | None = None,
    load: Mapping[str, Any] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Differences of every pair over all cases, and of the main ones by every factor of few values.

    Parameters
    ----------
    table, names, words, load, confidence
        As in `write_study_tables`.
    pairs : sequence of OutcomeColumn, optional
        Only these.

    Returns
    -------
    DataFrame
        Columns `factor` and `value` (empty for all cases), then those of `paired_differences`; empty where nothing is
        treated.
    """
    import pandas as pd

    grouped = set(main_pairs(table, None, load)) if pairs is None else set(pairs)
    groups = case_groups(table, names)
    parts = []
    for column in _pairs(table) if pairs is None else pairs:
        of_pair = groups if column in grouped else groups[:1]
        parts.append(
            _by_groups(
                table,
                of_pair,
                lambda cases, by, at=column: paired_differences(
                    cases, at.level, at.quantity, by, confidence, is_sample=words.is_sample
                ),
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def summary_latex(
    summary: pd.DataFrame, main: Sequence[OutcomeColumn], words: StudyWords, *, confidence: float = 0.95
) -> str:
    """The main outcomes over all cases as a LaTeX table, one block per quantity with its unit."""
    rows: dict[str, list[list[str]]] = {}
    overall = summary[summary["factor"] == ""].set_index("column")
    for column in main:
        for state in _SUMMED:
            name = column._replace(state=state).name
            if name not in overall.index:
                continue
            row: Any = overall.loc[name]
            sd = float(row["sd"])
            numbers = [latex_number(float(row[key]), sd) for key in ("mean", "median")]
            ends = [latex_interval(float(row[a]), float(row[b]), sd) for a, b in _ENDS]
            cells = [latex_text(column.level), state, str(row["n"]), numbers[0], latex_number(sd, sd), ends[0]]
            rows.setdefault(column.quantity, []).append([*cells, numbers[1], *ends[1:]])
    interval = rf"{100.0 * confidence:g}\,\% interval"
    head = ["Level", "State", "$n$", "Mean", "SD", interval, "Median", "Quartiles", "Range"]
    caption = f"Summary of the outcomes. {words.cases} Change: treated minus intact. {words.interval(confidence)}"
    return _latex(head, rows, "llrrrrrrr", _absent(interval, words), caption, "tab:summary-statistics")


def paired_latex(
    paired: pd.DataFrame,
    main: Sequence[OutcomeColumn],
    words: StudyWords,
    *,
    called: Mapping[str, FactorWords],
    confidence: float = 0.95,
) -> str:
    """The differences of the main outcomes as a LaTeX table, one block per quantity with its unit."""
    rows: dict[str, list[list[str]]] = {}
    for column in main:
        own = paired[(paired["level"] == column.level) & (paired["quantity"] == column.quantity)]
        records: Any = own.to_dict("records")
        rows.setdefault(column.quantity, []).extend(_paired_cells(record, called) for record in records)
    interval = rf"{100.0 * confidence:g}\,\% interval"
    head = ["Level", "Cases", "$n$", "Intact (SD)", "Treated (SD)", "Change (SD)", interval]
    head += [r"Change (\%)", "$g_z$", "$g_{av}$", "$p$", "Resolved"]
    caption = (
        f"Treated minus intact, case by case on the same mesh. {words.cases} {words.interval(confidence)} "
        "Effect sizes with Hedges' correction: mean over the SD of the changes (g_z), and over the mean SD of the "
        "states (g_av). "
        + ("p: paired t-test. " if words.is_sample else "")
        + "Resolved: cases in which the change exceeds its numerical floor (a dash: no floor was computed)."
    )
    return _latex(head, rows, "llrrrrrrrrrr", _absent(interval, words), caption, "tab:paired-differences")


_ENDS = (("mean_low", "mean_high"), ("q25", "q75"), ("min", "max"))
"""Pairs of columns that are shown as one."""


_OF_EFFECTS = 0.1
"""Spread to which effect sizes are rounded: two decimals, since hundredths already mean nothing."""


def _paired_cells(row: Mapping[str, Any], called: Mapping[str, FactorWords]) -> list[str]:
    """One row of the LaTeX table of differences."""
    states = [latex_spread(row[f"{of}_mean"], row[f"{of}_sd"], sign=of == "change") for of in _SUMMED]
    effects = [latex_number(row[key], _OF_EFFECTS) for key in ("hedges_g_z", "hedges_g_av")]
    return [
        latex_text(row["level"]),
        _case_cell(called[row["factor"]], row["value"]) if row["factor"] else "all",
        str(row["n"]),
        *states,
        latex_interval(row["change_low"], row["change_high"], row["change_sd"]),
        latex_number(row["percent_mean"], row["percent_sd"], sign=True),
        *effects,
        latex_p_value(row["t_p"]),
        resolved_words(row) or "--",
    ]


def _case_cell(factor: FactorWords, value: object) -> str:
    """A group of cases; no line ends between a number and its unit."""
    return f"{latex_text(factor.words)} = " + r"\,".join(map(latex_text, factor.shown(value)))


def _absent(interval: str, words: StudyWords) -> tuple[str, ...]:
    """Columns that a table of chosen points does not have."""
    return () if words.is_sample else (interval, "$p$")


def _latex(
    head: Sequence[str],
    rows: Mapping[str, list[list[str]]],
    columns: str,
    dropped: Sequence[str],
    caption: str,
    label: str,
) -> str:
    """A LaTeX table of blocks by quantity, without the dropped columns."""
    kept = [at for at, title in enumerate(head) if title not in dropped]
    shown = {quantity: [[row[at] for at in kept] for row in block] for quantity, block in rows.items()}
    text = latex_text(caption).replace(r"(g\_z)", "($g_z$)").replace(r"(g\_av)", "($g_{av}$)")
    return latex_table(
        [head[at] for at in kept],
        _blocks(shown),
        caption=text,
        label=label,
        columns="".join(columns[at] for at in kept),
    )


def _blocks(rows: Mapping[str, list[list[str]]]) -> list[tuple[str, list[list[str]]]]:
    """Blocks of a table under the name and unit of their quantity."""
    return [(rf"\textit{{{latex_text(axis_label(quantity))}}}", block) for quantity, block in rows.items()]


def _by_groups(table: pd.DataFrame, groups: Iterable[str | None], statistics: Any) -> pd.DataFrame:
    """Statistics over all cases and by factors, one below the other, with columns `cases`, `factor` and `value`."""
    import pandas as pd

    parts = []
    for factor in groups:
        # The factor stands in a column that no statistic is called like.
        cases = table if factor is None else table.assign(**{_VALUE: table[factor]})
        part: pd.DataFrame = statistics(cases, None if factor is None else _VALUE)
        values = [""] * len(part) if factor is None else list(part.pop(_VALUE))
        part.insert(0, "factor", factor or "")
        part.insert(1, "value", pd.Series(values, index=part.index, dtype=object))
        part.insert(0, "cases", [group_words(factor, value) for value in values])
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


_VALUE = "value of the factor"


def _pairs(table: pd.DataFrame) -> tuple[OutcomeColumn, ...]:
    """Intact columns that have a treated one."""
    return tuple(c for c in outcome_columns(table, ["intact"]) if c._replace(state="treated").name in table)


def _is_summarised(table: pd.DataFrame) -> bool:
    """Whether there are cases enough for statistics."""
    return int((table["status"] == "done").sum()) >= 2 and bool(outcome_columns(table, _SUMMED))


def _csv(table: pd.DataFrame) -> str:
    """CSV text; floats in their shortest exact form."""
    return str(table.to_csv(index=False, lineterminator="\n"))


def _write(path: Path, text: str) -> Path:
    """Write a file whole or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)
    return path
