"""Tables of the comparison: means over the places of a lattice, limits by refinement, their differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fesolver.outcomes.convergence import QuantityConvergence, convergence_study

__all__ = [
    "EXPECTED_ORDER",
    "Limit",
    "Row",
    "allowed_percent",
    "limit_of",
    "line_of",
    "rows_of",
    "values_by_size",
    "write_readme",
]

Found = Mapping[str, Mapping[str, Any]]
TetLines = Callable[[Found, str], Iterator[str]]
"""The tables of one case, from `tet_report`."""

TRUSTED_ORDERS = (0.5, 3.0)
"""Observed orders outside are not the asymptotic range: the two finest sizes at the order of theory stand in."""
EXPECTED_ORDER = {"voxel": 1.0, "hex8": 2.0, "hex20": 2.0}
"""Stairs and mixed cells are errors of the first order in the cell; B-bar hexahedra of the second; quadratic cells are
held to two by the edges of shell and pads."""
ALLOWED_PERCENT = {"stiffness": 2.0, "traction": 5.0, "centre traction": 5.0, "von_mises": 10.0}
_MARK = "<!-- tables: written by compare.py -->"


@dataclass(frozen=True)
class Limit:
    """What a quantity goes to as cells get smaller.

    Parameters
    ----------
    value : float
    order : float
        Observed, or assumed.
    is_observed : bool
    gci : float
        Grid convergence index of the finest size, relative.
    """

    value: float
    order: float
    is_observed: bool
    gci: float

    def text(self) -> str:
        """Value, order (in brackets where assumed) and index in percent."""
        order = f"{self.order:.1f}" if self.is_observed else f"({self.order:.0f})"
        return f"{self.value:.5g} | {order} | {100 * self.gci:.1f}"


@dataclass(frozen=True)
class Row:
    """One quantity of one case on both kinds of mesh.

    Parameters
    ----------
    name : str
    voxel, hex8 : mapping of float to float
        Size to value.
    spread : mapping of float to float
        Size to half the range over the places of the lattice, where there are several.
    voxel_limit, hex8_limit, hex20_limit : Limit
    allowed_percent : float or None
        Largest difference of the limits; None where none is set.
    labels : mapping of float to float
        The path from labels.
    """

    name: str
    voxel: Mapping[float, float]
    hex8: Mapping[float, float]
    spread: Mapping[float, float]
    voxel_limit: Limit
    hex8_limit: Limit
    hex20_limit: Limit
    allowed_percent: float | None
    labels: Mapping[float, float]

    @property
    def difference_percent(self) -> float:
        """Voxel over structured limit, less one."""
        return 100.0 * (self.voxel_limit.value / self.hex8_limit.value - 1.0)

    @property
    def is_met(self) -> bool | None:
        """Whether the difference is allowed; None where nothing is."""
        return None if self.allowed_percent is None else abs(self.difference_percent) <= self.allowed_percent


def limit_of(sizes: Sequence[float], values: Sequence[float], expected_order: float) -> Limit:
    """Richardson's limit: with the observed order where it can be trusted, else of the two finest with that of theory.

    Parameters
    ----------
    sizes, values : sequence of float
        Coarse to fine.
    expected_order : float
    """

    def study(some: Sequence[float]) -> QuantityConvergence:
        by_size = dict(zip(sizes, values, strict=True))
        return convergence_study(lambda h: {"q": by_size[h]}, some, expected_order=expected_order).quantities["q"]

    if len(sizes) > 2:
        q = study(sizes)
        if q.behaviour == "monotone" and TRUSTED_ORDERS[0] <= q.order <= TRUSTED_ORDERS[1]:
            return Limit(q.extrapolated, q.order, True, q.gci_fine)
    q = study(sizes[-2:])
    return Limit(q.extrapolated, expected_order, False, q.gci_fine)


def rows_of(found: Found, case: str) -> list[Row]:
    """All quantities of a case."""
    tables = {kind: values_by_size(found, case, kind) for kind in ("voxel", "hex8", "hex20", "label")}
    names = list(next(iter(tables["hex8"].values()))[0])
    out = []
    for name in names:
        values = {
            kind: {h: float(np.mean([v[name] for v in places])) for h, places in table.items()}
            for kind, table in tables.items()
        }
        spread = {
            h: 0.5 * float(np.ptp([v[name] for v in places]))
            for h, places in tables["voxel"].items()
            if len(places) > 1
        }
        limits = {
            kind: limit_of(list(values[kind]), list(values[kind].values()), order)
            for kind, order in EXPECTED_ORDER.items()
        }
        out.append(
            Row(
                name, values["voxel"], values["hex8"], spread, limits["voxel"], limits["hex8"], limits["hex20"],
                allowed_percent(name), values["label"],
            )
        )  # fmt: skip
    return out


def values_by_size(found: Found, case: str, kind: str) -> dict[float, list[Mapping[str, float]]]:
    """Values of the models of one kind by size, coarse to fine."""
    out: dict[float, list[Mapping[str, float]]] = {}
    for run in found.values():
        if run["case"] == case and run["kind"] == kind:
            out.setdefault(run["size"], []).append(run["values"])
    return dict(sorted(out.items(), reverse=True))


def allowed_percent(name: str) -> float | None:
    """Largest difference of a quantity, percent."""
    what = name.split("_endplate ")[-1]
    if what == "stiffness_n_per_mm":
        return ALLOWED_PERCENT["stiffness"]
    if what in ("traction_mpa", "centre traction_mpa"):
        return ALLOWED_PERCENT[what.removesuffix("_mpa")]
    return ALLOWED_PERCENT["von_mises"] if what.startswith("von_mises") else None


def write_readme(path: Path, found: Found, tet_lines: TetLines) -> None:
    """Replace what follows the mark in the README by the tables, those of the tetrahedra among them."""
    text = path.read_text().split(_MARK)[0] if path.exists() else ""
    path.write_text(text + _MARK + "\n" + "\n".join(_lines(found, tet_lines)) + "\n")


def _lines(found: Found, tet_lines: TetLines) -> Iterator[str]:
    """The tables."""
    for case in dict.fromkeys(run["case"] for run in found.values()):
        if not any(run["kind"] == "voxel" for run in found.values() if run["case"] == case):
            yield from tet_lines(found, case)
            yield f"\n## {case}: models\n"
            yield from _model_table(found, case)
            continue
        rows = rows_of(found, case)
        yield f"\n## {case}: held against limits\n"
        yield from _main_table([row for row in rows if row.allowed_percent is not None])
        yield from tet_lines(found, case)
        yield f"\n## {case}: reported\n"
        shown = ("rim", "normal_stress", "area", "- stiffness", "layer")
        yield from _main_table([r for r in rows if r.allowed_percent is None and _is_shown(r.name, shown)])
        yield f"\n## {case}: the path from labels\n"
        yield from _label_table([row for row in rows if row.allowed_percent is not None and row.labels])
        yield f"\n## {case}: volumes of regions, mm3\n"
        yield from _volume_table(found, case)
        yield f"\n## {case}: models\n"
        yield from _model_table(found, case)


def _is_shown(name: str, kinds: Sequence[str]) -> bool:
    """Whether a row without a limit is worth a line."""
    return any(kind in name for kind in kinds) or name.endswith(" stiffness_n_per_mm")


def _main_table(rows: Sequence[Row]) -> Iterator[str]:
    """Voxel and structured limits side by side."""
    if not rows:
        return
    sizes, refinements = list(rows[0].voxel), list(rows[0].hex8)
    last = min(rows[0].spread)
    head = ["quantity", *(f"voxels {h:.2g} mm" for h in sizes), f"+- at {last:.2g}", "limit", "order", "GCI %"]
    head += [*(f"structured x{1 / h:.2g}" for h in refinements), "limit", "order", "GCI %", "hex20 limit"]
    yield line_of([*head, "difference %", "allowed %", "met"])
    yield line_of(["---"] * (len(head) + 3))
    for row in rows:
        met = {None: "", True: "yes", False: "**no**"}[row.is_met]
        yield line_of([
            row.name, *(f"{v:.5g}" for v in row.voxel.values()), f"{row.spread[last]:.1g}", row.voxel_limit.text(),
            *(f"{v:.5g}" for v in row.hex8.values()), row.hex8_limit.text(), f"{row.hex20_limit.value:.5g}",
            f"{row.difference_percent:+.1f}", "" if row.allowed_percent is None else f"{row.allowed_percent:g}", met,
        ])  # fmt: skip


def _label_table(rows: Sequence[Row]) -> Iterator[str]:
    """Values of the path from labels over those of voxels of the shapes, and over the structured limit."""
    if not rows:
        return
    sizes = list(rows[0].labels)
    yield line_of(["quantity", *(f"labels {h:.2g} mm" for h in sizes), *(f"over shapes {h:.2g} mm, %" for h in sizes),
                 "finest over structured limit, %"])  # fmt: skip
    yield line_of(["---"] * (2 * len(sizes) + 2))
    for row in rows:
        over = [100.0 * (row.labels[h] / row.voxel[h] - 1.0) for h in sizes]
        last = 100.0 * (row.labels[sizes[-1]] / row.hex8_limit.value - 1.0)
        yield line_of(
            [row.name, *(f"{row.labels[h]:.5g}" for h in sizes), *(f"{v:+.1f}" for v in over), f"{last:+.1f}"]
        )


def _volume_table(found: Found, case: str) -> Iterator[str]:
    """Volumes of the finest model of each kind."""
    finest: dict[str, list[Mapping[str, Any]]] = {}
    for run in found.values():
        if run["case"] == case:
            have = finest.setdefault(run["kind"], [run])
            if run["size"] < have[0]["size"]:
                finest[run["kind"]] = [run]
            elif run is not have[0] and run["size"] == have[0]["size"]:
                have.append(run)
    kinds = [kind for kind in ("hex8", "hex20", "voxel", "label", "conform", "tet10", "surface") if kind in finest]
    yield line_of(["region", *(f"{kind}, {finest[kind][0]['size']:.2g}" for kind in kinds)])
    yield line_of(["---"] * (len(kinds) + 1))
    for name in finest[kinds[0]][0]["volumes_mm3"]:
        means = [float(np.mean([run["volumes_mm3"][name] for run in finest[kind]])) for kind in kinds]
        yield line_of([name, *(f"{value:.0f}" for value in means)])


def _model_table(found: Found, case: str) -> Iterator[str]:
    """Sizes of the models."""
    yield line_of(["model", "cells", "unknowns", "solver", "iterations", "seconds", "peak, MB"])
    yield line_of(["---"] * 7)
    for key, run in found.items():
        if run["case"] == case:
            yield line_of([key.removeprefix(case).strip(), f"{run['cells']:,}", f"{run['unknowns']:,}", run["method"],
                         str(run["iterations"]), str(run.get("seconds", "")), str(run.get("peak_mb", ""))])  # fmt: skip


def line_of(cells: Sequence[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(cells) + " |"
