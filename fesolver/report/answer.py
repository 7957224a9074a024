"""The main answer of a run: what the treatment did to its neighbours, and whether that is more than numerical noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fesolver.report.markup import paragraph, table, text
from fesolver.report.quantities import RISK, axis_label, format_number, unit_of, words_of
from fesolver.report.results import Results
from fesolver.report.sweep import main_change_table, neighbours_of

__all__ = ["Answer", "answer_html", "answer_lines", "main_answers"]


@dataclass(frozen=True)
class Answer:
    """The main change at one neighbour, in the nominal case.

    Parameters
    ----------
    level, quantity : str
        Where and what.
    intact, treated : float
        Values of the two states, in the quantity's unit.
    ratio : float
        Treated over intact; NaN where intact is zero.
    change_percent, floor_percent : float
        In percent of the intact value; NaN where unknown.
    is_resolved : bool
        Whether the change exceeds its floors.
    lowest_percent, highest_percent : float
        Over all cases of a sweep.
    n_cases, n_resolved : int
        Cases with a value, and those where it is resolved.
    has_spacing_floor : bool
        Whether larger cells were solved too; without them the floor is the solver's alone.
    """

    level: str
    quantity: str
    intact: float
    treated: float
    ratio: float
    change_percent: float
    floor_percent: float
    is_resolved: bool
    lowest_percent: float
    highest_percent: float
    n_cases: int
    n_resolved: int
    has_spacing_floor: bool = True

    @property
    def floor_name(self) -> str:
        """Which floor the change stands beside."""
        return "numerical floor" if self.has_spacing_floor else "solver floor"

    @property
    def sentence(self) -> str:
        """The answer in one line of plain text."""
        change = f"{words_of(self.quantity)} at {self.level}: "
        change += f"{format_number(self.intact)} → {format_number(self.treated)} {unit_of(self.quantity)}".rstrip()
        if np.isfinite(self.ratio):
            change += f", ratio {self.ratio:.4f} ({_percent(self.change_percent)}"
            change += (
                f", {self.floor_name.removeprefix('numerical ')} ±{_percent(self.floor_percent, sign=False)})"
                if np.isfinite(self.floor_percent)
                else ")"
            )
        return change if self.is_resolved else f"{change}: not resolved"


def main_answers(results: Results) -> tuple[Answer, ...]:
    """One answer per neighbour of the augmented level, cranial first; empty where nothing was treated."""
    nominal = results.nominal
    table_of_all = main_change_table(results)
    answers = []
    for level in neighbours_of(results):
        rows = table_of_all[table_of_all["level"] == level]
        own = rows[rows["case"] == nominal.id] if nominal else rows
        if own.empty:
            continue
        row = own.iloc[0]
        intact, treated = float(row["intact"]), float(row["treated"])
        percents = rows["change_percent"].to_numpy(float)
        known = percents[np.isfinite(percents)]
        answers.append(
            Answer(
                level=level,
                quantity=str(row["quantity"]),
                intact=intact,
                treated=treated,
                ratio=treated / intact if intact else float("nan"),
                change_percent=float(row["change_percent"]),
                floor_percent=float(row["floor_percent"]),
                is_resolved=bool(row["is_resolved"]),
                lowest_percent=float(known.min()) if len(known) else float("nan"),
                highest_percent=float(known.max()) if len(known) else float("nan"),
                n_cases=len(rows),
                n_resolved=int(rows["is_resolved"].sum()),
                has_spacing_floor=bool(np.isfinite(float(row["floor_spacing"]))),
            )
        )
    return tuple(answers)


def answer_html(results: Results) -> str:
    """The main answer as cards; without treatment, the intact main outcomes as a table."""
    answers = main_answers(results)
    if answers:
        treated = results.treated_level(results.nominal) if results.nominal else None
        lead = (
            f"What augmenting {treated} does to its neighbours: {words_of(answers[0].quantity)}, treated over intact."
        )
        if answers[0].quantity == RISK:
            lead += " Above 1 the neighbour carries its load closer to yielding than before; below 1, farther from it."
        return paragraph(lead) + '<div class="cards">\n' + "".join(_card(answer) for answer in answers) + "</div>\n"
    if results.nominal is None:
        return paragraph("No case was finished, so there is no answer. The reasons stand under Cases.")
    if len(results.case_changes(results.nominal)):
        return paragraph("The augmented level has no neighbour in this segment: the changes below are its own.")
    return paragraph("Nothing was treated in this study: these are the values of the intact segment.") + state_table(
        results
    )


def answer_lines(results: Results) -> tuple[str, ...]:
    """What a terminal shows after a run: the main answer, the assumptions, and where the rest lies."""
    lines = []
    for answer in main_answers(results):
        lines.append(answer.sentence)
        if answer.n_cases > 1 and results.nominal is not None:
            low, high = _percent(answer.lowest_percent), _percent(answer.highest_percent)
            lines[-1] += f"\n  that is case {results.nominal.title}; over {answer.n_cases} cases: {low} to {high}"
    lines += [f"assumed: {assumption}" for assumption in results.run.get("assumptions") or []]
    report = results.folder / "report.html"
    lines += [f"results: {results.folder}", *([f"report:  {report}"] if report.is_file() else [])]
    return (*lines, "Research software: not for the diagnosis or treatment of any patient.")


def state_table(results: Results) -> str:
    """Main outcomes of the nominal case per level and state."""
    if results.nominal is None:
        return ""
    summary = results.case_summary(results.nominal)
    names = results.main_outcomes(results.quantities)
    rows = [
        [row["state"], row["level"], *(format_number(float(row[name])) for name in names)]
        for _, row in summary.iterrows()
        if np.isfinite([float(row[name]) for name in names]).any()
    ]
    return table(["state", "level", *map(axis_label, names)], rows, text_columns=(0, 1))


def _card(answer: Answer) -> str:
    """One neighbour."""
    big = f"× {answer.ratio:.4f}" if np.isfinite(answer.ratio) else f"{format_number(answer.treated)}"
    values = f"{format_number(answer.intact)} → {format_number(answer.treated)} {unit_of(answer.quantity)}".rstrip()
    change = f"{_percent(answer.change_percent)}" if np.isfinite(answer.change_percent) else "intact value is 0"
    floor = f"±{_percent(answer.floor_percent, sign=False)}" if np.isfinite(answer.floor_percent) else "not computed"
    verdict = (
        "resolved: larger than its numerical floor"
        if answer.is_resolved
        else "not resolved: within its numerical floor"
    )
    if answer.is_resolved and not answer.has_spacing_floor:
        verdict = "larger than the solver's floor; its spacing floor is unknown"
    if not np.isfinite(answer.floor_percent):
        verdict = "not resolved: its numerical floor is not known"
    spread = ""
    if answer.n_cases > 1:
        low, high = _percent(answer.lowest_percent), _percent(answer.highest_percent)
        spread = (
            f'<div class="soft">over {answer.n_cases} cases: {text(low)} to {text(high)}, '
            f"resolved in {answer.n_resolved}</div>"
        )
    return (
        f'<div class="card"><div>{text(answer.level)}</div><div class="big">{text(big)}</div>'
        f"<div>{text(values)}</div><div>change {text(change)}, {answer.floor_name} {text(floor)}</div>"
        f'<div class="verdict{"" if answer.is_resolved else " open"}">{text(verdict)}</div>{spread}</div>\n'
    )


def _percent(value: float, *, sign: bool = True) -> str:
    """Percent with two decimals, or two digits where that would print zero."""
    if not np.isfinite(value):
        return "–"
    digits = f"{value:+.2f}" if abs(value) >= 0.01 or value == 0 else f"{value:+.1e}"
    return f"{digits if sign else digits.lstrip('+')} %".replace("-", "−")
