"""Between a case's result and its row of numbers, and between rows and the tables of a result folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fesolver.outcomes.change import Change
from fesolver.outcomes.state import Value
from fesolver.study.case import CaseResult

__all__ = ["case_values", "change_rows", "summary_rows"]

FLOORS = ("floor_solver", "floor_spacing")


def case_values(result: CaseResult) -> dict[str, float]:
    """Numbers of a case by `STATE/LEVEL/QUANTITY`: intact, treated, changes and their floors, in this order."""
    out: dict[str, float] = {}
    states: list[tuple[str, Iterable[Value]]] = [("intact", result.intact)]
    if result.treated:
        states.append(("treated", result.treated))
    for state, values in states:
        out |= {f"{state}/{v.level}/{v.quantity}": float(v.value) for v in values}
    out |= {f"change/{c.level}/{c.quantity}": float(c.change) for c in result.changes}
    for floor in FLOORS:
        found = ((c, getattr(c, floor)) for c in result.changes)
        out |= {f"{floor}/{c.level}/{c.quantity}": float(value) for c, value in found if value is not None}
    return out


def summary_rows(case: str, keys: Mapping[str, Any], values: Mapping[str, float]) -> list[dict[str, Any]]:
    """Rows of `summary.csv` for one case: states intact, treated, change and the floors of the change, by level."""
    if not values:
        return [{"case": case, **keys, "state": "failed", "level": "segment"}]
    states: dict[tuple[str, str], dict[str, float]] = {}
    for name, value in values.items():
        state, level, quantity = name.split("/", 2)
        states.setdefault((state, level), {})[quantity] = value
    return [{"case": case, **keys, "state": state, "level": level, **of} for (state, level), of in states.items()]


def change_rows(case: str, keys: Mapping[str, Any], values: Mapping[str, float]) -> list[dict[str, Any]]:
    """Rows of `changes.csv` for one case, one per level and quantity."""
    asked = [floor for floor in FLOORS if any(name.startswith(f"{floor}/") for name in values)]
    rows = []
    for name, change in values.items():
        state, level, quantity = name.split("/", 2)
        if state != "change":
            continue
        floors = {floor: values.get(f"{floor}/{level}/{quantity}") for floor in FLOORS}
        known = [value for floor in asked if (value := floors[floor]) is not None]
        intact = values[f"intact/{level}/{quantity}"]
        found = Change(
            level=level,
            quantity=quantity,
            intact=intact,
            treated=values[f"treated/{level}/{quantity}"],
            change=change,
            change_percent=100.0 * change / abs(intact) if intact else None,
            floor_solver=floors["floor_solver"],
            floor_spacing=floors["floor_spacing"],
            is_resolved=bool(asked) and len(known) == len(asked) and abs(change) > max(known),
        )
        rows.append({"case": case, **keys, **vars(found)})
    return rows
