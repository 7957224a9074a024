"""Results as tables: one row per case, state and level; units in the column names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fesolver.outcomes.state import Value
from fesolver.study.case import CaseResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["change_rows", "summary_rows", "to_csv"]

FLOORS = ("floor_solver", "floor_spacing")


def summary_rows(case: str, keys: Mapping[str, float], result: CaseResult) -> list[dict[str, Any]]:
    """Rows of `summary.csv` for one case: states intact, treated, change and the floors of the change."""
    states: dict[str, dict[str, dict[str, float]]] = {"intact": _by_level(result.intact)}
    if result.treated:
        states["treated"] = _by_level(result.treated)
        states["change"] = {}
        for change in result.changes:
            states["change"].setdefault(change.level, {})[change.quantity] = change.change
        for floor in FLOORS:
            for change in result.changes:
                value = getattr(change, floor)
                if value is not None:
                    states.setdefault(floor, {}).setdefault(change.level, {})[change.quantity] = value
    return [
        {"case": case, **keys, "state": state, "level": level, **values}
        for state, levels in states.items()
        for level, values in levels.items()
    ]


def change_rows(case: str, keys: Mapping[str, float], result: CaseResult) -> list[dict[str, Any]]:
    """Rows of `changes.csv` for one case, one per level and quantity."""
    return [
        {
            "case": case,
            **keys,
            "level": c.level,
            "quantity": c.quantity,
            "intact": c.intact,
            "treated": c.treated,
            "change": c.change,
            "change_percent": c.change_percent,
            "floor_solver": c.floor_solver,
            "floor_spacing": c.floor_spacing,
            "is_resolved": c.is_resolved,
        }
        for c in result.changes
    ]


def to_csv(rows: Iterable[dict[str, Any]]) -> str:
    """CSV text with the columns in order of first use; floats in their shortest exact form."""
    import pandas as pd

    frame: pd.DataFrame = pd.DataFrame(list(rows))
    return str(frame.to_csv(index=False, lineterminator="\n"))


def _by_level(values: Iterable[Value]) -> dict[str, dict[str, float]]:
    """Numbers by level, then quantity."""
    out: dict[str, dict[str, float]] = {}
    for value in values:
        out.setdefault(value.level, {})[value.quantity] = value.value
    return out
