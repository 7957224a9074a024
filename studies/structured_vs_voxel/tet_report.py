"""Tables of the third path: limits of the tetrahedra beside those of hexahedra and voxels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from compared_report import EXPECTED_ORDER, Limit, allowed_percent, limit_of, line_of, values_by_size

__all__ = ["TET_KINDS", "TetRow", "straight_limit", "tet_lines", "tet_rows_of"]

Found = Mapping[str, Mapping[str, Any]]

TET_KINDS = ("conform", "tet10", "surface", "tet4", "cut")
LAYERS_MM = 1.0
"""Thickness of shell and endplates in the study."""
RESOLVED_MM = 1.5 * LAYERS_MM
"""Largest edge of cells that are flatter than a layer: a regular tetrahedron of it is 1.2 mm high."""


@dataclass(frozen=True)
class TetRow:
    """One quantity on every kind of mesh.

    Parameters
    ----------
    name : str
    values : mapping of str to mapping of float to float
        Kind to size to value.
    limits : mapping of str to Limit
        Kind to its limit.
    residuals : mapping of str to float
        Kind of tetrahedra to the largest distance of a resolved size from the straight line of its limit.
    allowed_percent : float or None
    """

    name: str
    values: Mapping[str, Mapping[float, float]]
    limits: Mapping[str, Limit]
    residuals: Mapping[str, float]
    allowed_percent: float | None

    def difference_percent(self, kind: str, other: str) -> float:
        """Limit of one kind over that of another, less one."""
        return 100.0 * (self.limits[kind].value / self.limits[other].value - 1.0)

    def is_met(self, kind: str) -> bool | None:
        """Whether a kind is as close to hexahedra and to voxels as allowed; None where nothing is asked."""
        others = [other for other in ("hex8", "voxel") if other in self.limits]
        if self.allowed_percent is None or kind not in self.limits or np.isnan(self.limits[kind].value):
            return None
        return all(abs(self.difference_percent(kind, other)) <= self.allowed_percent for other in others)


def straight_limit(values: Mapping[float, float]) -> tuple[float, float]:
    """Value at size 0 of the straight line through sizes that resolve the layers, and its largest residual.

    Notes
    -----
    The error of mixed cells is of the first order in the cell. Meshes of two sizes share no point, so values scatter
    about that trend, and an order cannot be observed; a line through all sizes is moved less than one through the two
    finest. With fewer than three sizes nothing is fitted: NaN.
    """
    some = [(h, v) for h, v in values.items() if h <= RESOLVED_MM]
    if len(some) < 3:
        return float("nan"), float("nan")
    h, v = np.array(some).T
    slope, limit = np.polyfit(h, v, 1)
    return float(limit), float(np.abs(v - limit - slope * h).max())


def tet_rows_of(found: Found, case: str) -> list[TetRow]:
    """All quantities of a case that has tetrahedra."""
    kinds = [*EXPECTED_ORDER, *TET_KINDS]
    tables = {kind: table for kind in kinds if len(table := values_by_size(found, case, kind)) > 1}
    out = []
    for name in next(iter(tables["hex8"].values()))[0]:
        values = {
            kind: {h: float(np.mean([v[name] for v in places])) for h, places in table.items()}
            for kind, table in tables.items()
        }
        limits, residuals = {}, {}
        for kind, by in values.items():
            if kind in ("tet10", "surface", "tet4") and case != "L1 bare":
                end, residuals[kind] = straight_limit(by)
                limits[kind] = Limit(end, 1.0, False, residuals[kind] / abs(end))
            else:
                limits[kind] = limit_of(list(by), list(by.values()), EXPECTED_ORDER.get(kind, 2.0))
        out.append(TetRow(name, values, limits, residuals, allowed_percent(name)))
    return out


def tet_lines(found: Found, case: str) -> Iterator[str]:
    """The tables of one case."""
    kinds = {run["kind"] for run in found.values() if run["case"] == case}
    if not kinds & set(TET_KINDS):
        return
    rows = [row for row in tet_rows_of(found, case) if row.allowed_percent is not None]
    yield f"\n## {case}: tetrahedra\n"
    for kind in TET_KINDS:
        if kind in rows[0].limits:
            yield from _kind_table(kind, rows)


def _kind_table(kind: str, rows: Sequence[TetRow]) -> Iterator[str]:
    """One kind of tetrahedra against the limits of hexahedra and voxels."""
    others = [other for other in ("hex8", "voxel") if other in rows[0].limits]
    head = ["quantity", *(f"{kind} {h:g}{' mm' if kind != 'cut' else ''}" for h in rows[0].values[kind])]
    head += ["limit", "residual or GCI %", *(f"{other} limit" for other in others)]
    yield line_of([*head, *(f"over {other} %" for other in others), "allowed %", "met"])
    yield line_of(["---"] * (len(head) + len(others) + 2))
    for row in rows:
        end = row.limits[kind]
        met = {None: "", True: "yes", False: "**no**"}[row.is_met(kind)]
        yield line_of([
            row.name, *(f"{v:.5g}" for v in row.values[kind].values()),
            _number(end.value), _number(100.0 * end.gci, ".1f"),
            *(f"{row.limits[other].value:.5g}" for other in others),
            *(_number(row.difference_percent(kind, other), "+.1f") for other in others),
            f"{row.allowed_percent:g}", met,
        ])  # fmt: skip
    yield ""


def _number(value: float, how: str = ".5g") -> str:
    """A number, or nothing where there is none."""
    return "" if np.isnan(value) else f"{value:{how}}"
