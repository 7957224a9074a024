"""Tables of the comparison on one CT vertebra: every model, limits, and what each cause is worth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from fesolver.outcomes.convergence import convergence_study

__all__ = ["PAIRS", "by_size", "limit", "write_readme"]

Found = Mapping[str, Mapping[str, float]]

ALLOWED_PERCENT = 5.0
PAIRS = {0.5: 1.0, 0.75: 1.5, 1.0: 2.0, 1.5: 3.0}
"""Spacing of voxels -> edge of tetrahedra whose cells are about as large: 0.118 h3 for a regular one."""
_TRUSTED = (0.5, 3.0)
_ORDER = 1.0
"""Of mixed cells, as in studies/structured_vs_voxel."""
_MARK = "<!-- tables: written by compare.py -->"
_COLUMNS = {
    "stiffness_n_per_mm": "stiffness, N/mm",
    "body_mm3": "body, mm3",
    "superior_pad_mm2": "upper pad, mm2",
    "inferior_pad_mm2": "lower pad, mm2",
    "height_mm": "between pads, mm",
    "shell_mm3": "shell, mm3",
    "mass_mg": "bone, mg",
    "mass_of_ct_in_cells_mg": "CT in the cells, mg",
    "density_of_edge_cells_g_cm3": "outer cells, g/cm3",
    "edge_cells_share": "their volume share",
    "cells": "cells",
    "iterations": "iterations",
    "seconds": "seconds",
    "peak_mb": "peak, MB",
}


def by_size(found: Found, cells: str, kind: str) -> dict[float, float]:
    """Stiffness by size, coarse to fine, of the models of one kind ("ct default", ...)."""
    out = {
        float(key.split()[1]): values["stiffness_n_per_mm"]
        for key, values in found.items()
        if key.split()[0] == cells and " ".join(key.split()[2:]) == kind
    }
    return dict(sorted(out.items(), reverse=True))


def limit(values: Mapping[float, float]) -> tuple[float, float, bool]:
    """Value at size 0 by the rule of studies/structured_vs_voxel, its order, and whether that was observed."""
    sizes = list(values)

    def study(some: Sequence[float]) -> tuple[float, float, str]:
        q = convergence_study(lambda h: {"q": values[h]}, some, expected_order=_ORDER).quantities["q"]
        return q.extrapolated, q.order, q.behaviour

    if len(sizes) > 2:
        value, order, behaviour = study(sizes)
        if behaviour == "monotone" and _TRUSTED[0] <= order <= _TRUSTED[1]:
            return value, order, True
    return study(sizes[-2:])[0], _ORDER, False


def straight(values: Mapping[float, float]) -> float:
    """Value at size 0 of the straight line through all sizes."""
    return float(np.polyfit(list(values), list(values.values()), 1)[1])


def write_readme(path: Path, found: Found) -> None:
    """Replace what follows the mark in the README by the tables."""
    text = path.read_text().split(_MARK)[0] if path.exists() else ""
    path.write_text(text + _MARK + "\n" + "\n".join(_lines(found)) + "\n")


def _lines(found: Found) -> Iterator[str]:
    """The tables."""
    yield "\n## Stiffness, N/mm\n"
    yield from _stiffness_table(found)
    yield "\n## Every model\n"
    yield _line(["model", *_COLUMNS.values()])
    yield _line(["---"] * (len(_COLUMNS) + 1))
    for key, values in found.items():
        yield _line([key, *(f"{values[name]:.5g}" if name in values else "" for name in _COLUMNS)])


def _stiffness_table(found: Found) -> Iterator[str]:
    """Both paths at cells of equal volume and at their limits, for every kind of model."""
    head = ["density, layers, pads (voxels against tetrahedra)"]
    head += [f"{small:g} mm: {large:g} mm" for small, large in reversed(PAIRS.items())]
    head += ["limit, voxels", "order", "limit, tetrahedra", "order", "difference %", "of straight lines %"]
    yield _line(head)
    yield _line(["---"] * len(head))
    rows = [
        ("ct default", "ct default"), ("ct default", "ct fractions"), ("ct thick", "ct thick"), ("ct none", "ct none"),
        ("uniform default", "uniform default"), ("uniform none", "uniform none"),
        ("uniform none", "uniform none other pads"),
    ]  # fmt: skip
    for one, other in rows:
        voxels, tets = by_size(found, "voxels", one), by_size(found, "tet10", other)
        if len(voxels) < 2 or len(tets) < 2:
            continue
        cells = [one if one == other else f"{one} : {other}"]
        for small, large in reversed(PAIRS.items()):
            both = small in voxels and large in tets
            cells.append(f"{100 * (tets[large] / voxels[small] - 1):+.1f} %" if both else "")
        ends = limit(voxels), limit(tets)
        for value, order, is_observed in ends:
            cells += [f"{value:.5g}", f"{order:.1f}" if is_observed else f"({order:.0f})"]
        cells.append(f"{100 * (ends[1][0] / ends[0][0] - 1):+.1f}")
        cells.append(f"{100 * (straight(tets) / straight(voxels) - 1):+.1f}")
        yield _line(cells)


def _line(cells: Sequence[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(cells) + " |"
