"""The section of a report on soft connections: what is connected, what it carries, how far the bodies turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fesolver.outcomes.rotation import LARGEST_ROTATION_DEG, ROTATIONS
from fesolver.report.markup import details, items, paragraph, table, text
from fesolver.report.quantities import axis_label, format_number, words_of
from fesolver.report.results import CaseResult, Results

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["carried_forces", "connections_html", "rotations_html"]

_FORCES = ("_tension_n", "facet_force_left_n", "facet_force_right_n")
_ACTIVE = ("_pulling_fraction", "facet_contact_left_fraction", "facet_contact_right_fraction")
_STATES = ("intact", "treated")


def carried_forces(summary: pd.DataFrame) -> pd.DataFrame:
    """Tension of every ligament and force of every facet joint, per disc and state, N.

    Parameters
    ----------
    summary : DataFrame
        Rows of one case, as `Results.case_summary` gives them.

    Returns
    -------
    DataFrame
        Columns `disc`, `quantity`, and one per state; discs in their order, then quantities in theirs.
    """
    import pandas as pd

    names = [name for name in summary.columns if str(name).endswith(_FORCES)]
    states = [state for state in _STATES if state in set(summary["state"])]
    rows = []
    for disc in dict.fromkeys(summary["level"]):
        of_disc = summary[summary["level"] == disc].set_index("state")
        for name in names:
            values = {state: float(of_disc[name].get(state, np.nan)) for state in states}
            if np.isfinite(list(values.values())).any():
                rows.append({"disc": disc, "quantity": name, **values})
    return pd.DataFrame(rows, columns=["disc", "quantity", *states])


def connections_html(results: Results, case: CaseResult) -> str:
    """Groups, forces per disc side by side, and how the active set was found; empty without connections."""
    record = case.record.get("connections")
    if not isinstance(record, Mapping) or not record:
        return ""
    summary = results.case_summary(case)
    lead = (
        "Ligaments and fibres carry tension only, facet joints compression only; which of them do under the load is "
        "found with it. Forces are sums over the elements of a structure; a facet joint's is compressive."
    )
    parts = [paragraph(_what(record)), items(record["notes"]) if record.get("notes") else "", paragraph(lead)]
    forces = carried_forces(summary)
    for disc in dict.fromkeys(summary["level"]):
        parts.append(_disc_table(disc, forces[forces["disc"] == disc], summary[summary["level"] == disc]))
    return "".join(parts) + _active_set_html(record)


def rotations_html(results: Results, case: CaseResult) -> str:
    """Rotations of bodies and discs, degrees, where a moment or soft connections ask for them, and their warnings."""
    record, load = case.record.get("connections") or {}, case.record.get("load") or {}
    is_bent = any(load.get(key) for key in ("flexion_nm", "lateral_bending_nm", "axial_rotation_nm", "follower_n"))
    summary = results.case_summary(case)
    present = [name for name in ROTATIONS if name in summary]
    if not (record or is_bent) or not present:
        return ""
    states = [state for state in _STATES if state in set(summary["state"])]
    # Below a millionth of a degree is what the solver leaves of a symmetric load.
    rows = [
        [level, *(_angle(_value(summary, level, state, name)) for name in present for state in states)]
        for level in dict.fromkeys(summary["level"])
        if np.isfinite(_value(summary, level, states[0], present[0]))
    ]
    header = ["", *(f"{axis_label(name)}, {state}" for name in present for state in states)]
    lead = (
        "Rotations of bodies, of each disc's upper body against its lower one, and of the highest against the lowest: "
        "forward, to the left, and of the front to the left are positive."
    )
    warnings = [str(line) for line in record.get("warnings") or []] or _rotation_lines(summary, present, states)
    return (
        "".join(paragraph(line, kind="warning") for line in warnings)
        + paragraph(lead)
        + table(header, rows, text_columns=(0,))
    )


def _what(record: Mapping[str, Any]) -> str:
    """What is connected, in a sentence."""
    groups = list(record.get("groups") or [])
    kinds: dict[str, int] = {}
    for group in groups:
        kind = str(group["name"]).partition("/")[2]
        word = (
            "facet contact points"
            if kind.startswith("facet_")
            else "fibres"
            if kind.startswith("fibres")
            else "strands"
        )
        kinds[word] = kinds.get(word, 0) + int(group["elements"])
    counts = ", ".join(f"{count} {word}" for word, count in kinds.items()) or "none"
    fibres = {
        "homogenised": "Annulus fibres are part of the cells' material.",
        "elements": "Annulus fibres are elements inside the cells.",
    }
    source = str(record.get("source") or "")
    sentence = f"{len(groups)} groups: {counts}."
    if source:
        sentence += f" Places: {source}."
    return f"{sentence} {fibres.get(str(record.get('fibres')), '')}".strip()


def _disc_table(disc: str, forces: pd.DataFrame, summary: pd.DataFrame) -> str:
    """One disc: force of every structure and the part of it that is active, states side by side."""
    states = [state for state in _STATES if state in forces.columns]
    rows = []
    for _, row in forces.iterrows():
        active = _active_name(str(row["quantity"]))
        rows.append(
            [
                structure_of(str(row["quantity"])),
                *(_force(row[state]) for state in states),
                *([_force(row["treated"] - row["intact"], sign=True)] if len(states) == 2 else []),
                *(_percent(_value(summary, disc, state, active)) for state in states),
            ]
        )
    for name in (n for n in summary.columns if str(n).startswith("fibres") and str(n).endswith("_pulling_fraction")):
        shares = [_value(summary, disc, state, name) for state in states or _states(summary)]
        if np.isfinite(shares).any():
            none = ["–"] * (len(shares) + (len(shares) == 2))
            rows.append(["annulus " + str(name).removesuffix("_pulling_fraction").replace("_", " "), *none])
            rows[-1] += [_percent(share) for share in shares]
    states = states or _states(summary)
    header = ["", *(f"{state} (N)" for state in states)]
    header += ["change (N)"] if len(states) == 2 else []
    header += [f"active, {state} (%)" for state in states]
    return f"<h3>{text(disc)}</h3>" + table(header, rows, text_columns=(0,)) if rows else ""


def structure_of(quantity: str) -> str:
    """The ligament or joint behind a force.

    Examples
    --------
    >>> structure_of("facet_force_left_n"), structure_of("capsular_tension_n")
    ('left facet joint', 'capsular ligament')
    """
    return words_of(quantity).removeprefix("tension of the ").removeprefix("force of the ")


def _active_name(quantity: str) -> str:
    """The quantity that says which part of a structure is active."""
    if quantity.startswith("facet_force_"):
        return quantity.replace("facet_force_", "facet_contact_").removesuffix("_n") + "_fraction"
    return quantity.removesuffix("_tension_n") + "_pulling_fraction"


def _active_set_html(record: Mapping[str, Any]) -> str:
    """How each outer loop went."""
    rows = [
        [
            entry.get("state"),
            entry.get("outer"),
            _list(entry.get("changes")),
            _list(entry.get("linear_iterations")),
            entry.get("set_ups"),
        ]
        for entry in record.get("active_set") or []
    ]
    header = ["solve", "outer iterations", "elements that changed", "linear iterations", "set-ups"]
    shown = table(header, rows, text_columns=(0, 2, 3))
    return details("How the active elements were found", shown) if rows else ""


def _rotation_lines(summary: pd.DataFrame, names: Sequence[str], states: Sequence[str]) -> list[str]:
    """Warnings where a disc turns by more than a linear model can describe."""
    return [
        f"{level} turns by {format_number(abs(angle), digits=3)}° ({words_of(name)}, {state}): above "
        f"{LARGEST_ROTATION_DEG:g}° a linear model is beyond its range, the rotation is a secant value."
        for level in dict.fromkeys(summary["level"])
        if "-" in str(level)
        for name in names
        for state in states
        if abs(angle := _value(summary, level, state, name)) > LARGEST_ROTATION_DEG
    ]


def _states(summary: pd.DataFrame) -> list[str]:
    return [state for state in _STATES if state in set(summary["state"])]


def _value(summary: pd.DataFrame, level: str, state: str, name: str) -> float:
    """One number of the summary; NaN where there is none."""
    found = summary[(summary["level"] == level) & (summary["state"] == state)]
    return float(found[name].iloc[0]) if name in summary and len(found) else float("nan")


def _angle(value: float) -> str:
    """Degrees; what is below a millionth of one is 0."""
    return format_number(0.0 if abs(value) < 1e-6 else value, digits=3)


def _force(value: float, *, sign: bool = False) -> str:
    """Newtons; what is below a millionth of one is 0."""
    return format_number(0.0 if abs(value) < 1e-6 else float(value), sign=sign, digits=3)


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100.0 * share:.0f}"


def _list(values: object) -> str:
    return ", ".join(str(value) for value in values) if isinstance(values, list | tuple) else "–"
