"""Layers of a swept column: how many cells, where they begin and end, and what they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import Column
from fesolver.errors import InputError
from fesolver.meshing.structured_section import SectionCounts, growth_ratio, two_sided_fractions

__all__ = ["BODY", "DISC", "INFERIOR", "SUPERIOR", "Planes", "SweepCounts", "sweep_counts", "sweep_layers"]

INFERIOR, BODY, SUPERIOR, DISC = range(4)
"""Zones of a sweep: inferior endplate, the body between its endplates, superior endplate, disc."""

_CORE, _NUCLEUS, _ANNULUS, _BODY, _DISC = 10, 3, 5, 14, 8
_MAX_CELLS = 20_000_000
_FIRST_OVER_LAYER = 1.5
"""Thickness of the cell beside a thin layer over that layer's cells; a choice, the growth after it is geometric."""


@dataclass(frozen=True)
class SweepCounts:
    """Cells along the column.

    Parameters
    ----------
    section : SectionCounts
        Of every layer.
    endplate, body, disc : int
        Layers through an endplate, through a body between its endplates, through a disc.
    """

    section: SectionCounts
    endplate: int
    body: int
    disc: int

    def n_cells(self, n_levels: int) -> int:
        """Cells of a column of so many levels."""
        return self.section.n_cells * (n_levels * (2 * self.endplate + self.body) + (n_levels - 1) * self.disc)


@dataclass(frozen=True)
class Planes:
    """Sheets of nodes across the column.

    Parameters
    ----------
    part : (m,) ndarray of int64
        Counted from below: 2 i is the i-th body, 2 i + 1 the disc on it.
    zone : (m,) ndarray of int64
        `INFERIOR`, `BODY`, `SUPERIOR` or `DISC`.
    value : (m,) ndarray
        Place in the zone, 0 at its lower and 1 at its upper end.
    """

    part: NDArray[np.int64]
    zone: NDArray[np.int64]
    value: NDArray[np.float64]

    def of_part(self, part: int) -> NDArray[np.int64]:
        """Positions of the planes of one part."""
        return np.flatnonzero(self.part == part)


def sweep_counts(refinement: float, layer_cells: int, n_levels: int) -> SweepCounts:
    """Cells in every direction at a refinement.

    Raises
    ------
    InputError
        If `refinement` is not positive and finite, `layer_cells` is not 1 or more, or the mesh would have over 20
        million cells (the message says how many).

    Examples
    --------
    >>> sweep_counts(1, 1, 3).n_cells(3)
    29440
    """
    if isinstance(refinement, bool) or not isinstance(refinement, Real) or not isfinite(refinement):
        raise InputError(f"refinement is {refinement!r}, not a finite number", fix="use 1, or 2 for half the cell size")
    if refinement <= 0:
        raise InputError(f"refinement must be positive, not {refinement:g}", fix="use 1, or 2 for half the cell size")
    if isinstance(layer_cells, bool) or not isinstance(layer_cells, Integral) or layer_cells < 1:
        raise InputError(f"layer_cells is {layer_cells!r}, not an integer of 1 or more")
    # Checked before rounding: a count of 1e300 would not fit an integer.
    roughly = _scaled(min(refinement, 1e4), layer_cells).n_cells(n_levels)
    if roughly > _MAX_CELLS:
        size = f"{roughly:,}" if refinement <= 1e4 else f"over {roughly:.1e}"
        raise InputError(
            f"refinement = {refinement:g} with layer_cells = {layer_cells} would make {size} cells",
            fix=f"use a refinement that stays under {_MAX_CELLS:,} cells (they grow with its cube)",
        )
    return _scaled(refinement, layer_cells)


def _scaled(refinement: float, layer_cells: int) -> SweepCounts:
    """Counts at a refinement; the core, bodies and discs keep a grid line in their middle."""

    def cells(base: float, least: int = 1) -> int:
        return max(least, round(base * refinement))

    def even(base: int) -> int:
        return 2 * cells(0.5 * base)

    layer = cells(layer_cells)
    section = SectionCounts(even(_CORE), cells(_NUCLEUS), cells(_ANNULUS), layer)
    return SweepCounts(section, layer, even(_BODY), even(_DISC))


def annulus_growth(width_mm: float, shell_mm: float, layer_cells: int) -> float:
    """Growth from the outermost to the innermost ring of the annulus; the same at every refinement."""
    return _total_growth(width_mm, shell_mm, layer_cells, _ANNULUS)


def _total_growth(length: float, layer: float, layer_cells: int, count: int) -> float:
    """Growth over a length whose first cell, at refinement 1, is fitted to the thin layer beside it."""
    return growth_ratio(length, _FIRST_OVER_LAYER * layer / layer_cells, count) ** count


def sweep_layers(
    column: Column, counts: SweepCounts, *, endplate_mm: Sequence[tuple[float, float]], layer_cells: int
) -> tuple[Planes, Planes]:
    """Lower and upper sheet of every layer of cells, from below.

    Parameters
    ----------
    column : Column
        Its heights set the grading.
    counts : SweepCounts
        Cells along the column.
    endplate_mm : sequence of (float, float)
        Thickness of the inferior and of the superior endplate of every level, cranial first, mm.
    layer_cells : int
        Cells through a layer at refinement 1.

    Notes
    -----
    Cells grow geometrically from both ends of a body and of a disc to its middle, the first one half again as thick as
    the cells of the endplate beside it, if the height allows. The fractions depend on refinement only by how densely
    they are taken, so meshes of 1, 2, 4, ... times a refinement are nested.
    """
    parts, zones, ends = [], [], []

    def add(part: int, zone: int, at: NDArray[np.float64]) -> None:
        parts.append(np.full(len(at) - 1, part))
        zones.append(np.full(len(at) - 1, zone))
        ends.append(np.stack([at[:-1], at[1:]]))

    through = np.linspace(0.0, 1.0, counts.endplate + 1)
    n_levels = len(column.vertebrae)
    for i in range(n_levels):
        vertebra = column.vertebrae[n_levels - 1 - i]
        below, above = endplate_mm[n_levels - 1 - i]
        inside = vertebra.dimensions.mid_height_mm - below - above
        body = _total_growth(0.5 * inside, 0.5 * (below + above), layer_cells, _BODY // 2)
        add(2 * i, INFERIOR, through)
        add(2 * i, BODY, two_sided_fractions(counts.body, body))
        add(2 * i, SUPERIOR, through)
        if i + 1 < n_levels:
            height, upper = column.discs[n_levels - 2 - i].height_mm, endplate_mm[n_levels - 2 - i][0]
            disc = _total_growth(0.5 * height, 0.5 * (above + upper), layer_cells, _DISC // 2)
            add(2 * i + 1, DISC, two_sided_fractions(counts.disc, disc))
    part, zone, low_high = np.concatenate(parts), np.concatenate(zones), np.concatenate(ends, axis=1)
    return Planes(part, zone, low_high[0]), Planes(part, zone, low_high[1])


def sheets(low: Planes, high: Planes) -> Planes:
    """The sheets of nodes between layers, from below; those between a body and a disc are the body's."""
    part = np.append(low.part, high.part[-1])
    zone = np.append(low.zone, high.zone[-1])
    value = np.append(low.value, high.value[-1])
    on_body = np.flatnonzero((zone == DISC) & (value == 0.0))
    part[on_body] -= 1
    zone[on_body] = SUPERIOR
    value[on_body] = 1.0
    return Planes(part, zone, value)


def middles(low: Planes, high: Planes) -> Planes:
    """The sheets halfway through every layer."""
    return Planes(low.part, low.zone, 0.5 * (low.value + high.value))
