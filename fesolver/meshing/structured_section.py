"""The O-grid of a section: a square core, rings out to the wall, the same topology at every height of a column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SectionCounts",
    "SectionCurves",
    "SectionGrid",
    "graded_fractions",
    "growth_ratio",
    "section_cells",
    "section_points",
    "two_sided_fractions",
    "wall_angle",
    "wall_nodes",
]

_CORE_WIDTH = 0.55
"""Half-width of the core over the radius of the nucleus; a choice that gives core and rings cells of one size."""

_CORE_ROUNDING = 0.6
"""0 is a square core, 1 a round one. Between them the three cells at a corner of the core share the angle evenly."""


@dataclass(frozen=True)
class SectionCounts:
    """Cells of a section.

    Parameters
    ----------
    core : int
        Along each side of the core; even, so that grid lines lie on both axes of the section.
    nucleus, annulus, shell : int
        Rings: from the core to the boundary of the nucleus, from there to the inside of the shell, through the shell.
    """

    core: int
    nucleus: int
    annulus: int
    shell: int

    @property
    def rings(self) -> int:
        """Rings around the core."""
        return self.nucleus + self.annulus + self.shell

    @property
    def around(self) -> int:
        """Cells around each ring."""
        return 4 * self.core

    @property
    def n_cells(self) -> int:
        """Cells of the section."""
        return self.core**2 + self.around * self.rings

    @property
    def n_nodes(self) -> int:
        """Corner nodes of the section."""
        return (self.core + 1) ** 2 + self.around * self.rings


@dataclass(frozen=True)
class SectionCurves:
    """The lines in the unit disc that the rings follow, at one or many heights (leading axes).

    Parameters
    ----------
    centre : (..., 1) ndarray
        Place of the nucleus' centre on the eta axis.
    nucleus_radius : (..., 1) ndarray
        Radius of the nucleus' boundary, a circle around that centre.
    shell_radius : (..., k) ndarray
        Radius of the inside of the shell around the origin, per node.
    """

    centre: NDArray[np.float64]
    nucleus_radius: NDArray[np.float64]
    shell_radius: NDArray[np.float64]


@dataclass(frozen=True)
class SectionGrid:
    """Nodes of a section by their place on the grid.

    Parameters
    ----------
    is_core : (k,) ndarray of bool
        Nodes of the core; the others stand on rings.
    first : (k,) ndarray
        Core: position along xi, 0 to `core`. Ring: ring coordinate, 0 on the core's edge to `rings` on the wall.
    second : (k,) ndarray
        Core: position along eta. Ring: position around, counter-clockwise from the corner at 225 degrees.
    """

    is_core: NDArray[np.bool_]
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    @staticmethod
    def corners(counts: SectionCounts) -> SectionGrid:
        """The corner nodes: the core row by row, then ring by ring."""
        row = np.arange(counts.core + 1, dtype=np.float64)
        j, i = (v.ravel() for v in np.meshgrid(row, row, indexing="ij"))
        ring, at = (
            v.ravel()
            for v in np.meshgrid(np.arange(1.0, counts.rings + 1), np.arange(float(counts.around)), indexing="ij")
        )
        is_core = np.arange(counts.n_nodes) < len(i)
        return SectionGrid(is_core, np.concatenate([i, ring]), np.concatenate([j, at]))

    @staticmethod
    def edges(counts: SectionCounts) -> tuple[NDArray[np.int64], SectionGrid]:
        """Node pairs (e, 2) of every edge, and the grid places of their middles."""
        n = counts.core
        core = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
        j, i = np.meshgrid(np.arange(n + 1.0), np.arange(n + 0.0), indexing="ij")
        ids = _ring_nodes(counts)
        v, k = np.meshgrid(np.arange(counts.rings + 1.0), np.arange(float(counts.around)), indexing="ij")
        pairs = [
            np.stack([core[:, :-1], core[:, 1:]], axis=-1),
            np.stack([core[:-1, :], core[1:, :]], axis=-1),
            np.stack([ids[:-1], ids[1:]], axis=-1),
            np.stack([ids[1:], np.roll(ids[1:], -1, axis=1)], axis=-1),
        ]
        first = [i + 0.5, j.T, v[:-1] + 0.5, v[1:]]
        second = [j, i.T + 0.5, k[:-1], k[1:] + 0.5]
        sizes = [p.shape[0] * p.shape[1] for p in pairs]
        is_core = np.arange(sum(sizes)) < sizes[0] + sizes[1]
        grid = SectionGrid(
            is_core, np.concatenate([f.ravel() for f in first]), np.concatenate([s.ravel() for s in second])
        )
        return np.concatenate([p.reshape(-1, 2) for p in pairs]), grid

    @staticmethod
    def centres(counts: SectionCounts) -> SectionGrid:
        """The middles of the cells, in the order of `section_cells`."""
        n = counts.core
        j, i = (v.ravel() + 0.5 for v in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
        v, k = (a.ravel() + 0.5 for a in np.meshgrid(np.arange(counts.rings), np.arange(counts.around), indexing="ij"))
        return SectionGrid(np.arange(counts.n_cells) < n * n, np.concatenate([i, v]), np.concatenate([j, k]))


def _ring_nodes(counts: SectionCounts) -> NDArray[np.int64]:
    """Node ids (rings + 1, around); row 0 is the edge of the core."""
    n = counts.core
    core = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    edge = np.concatenate([core[0, :-1], core[:-1, -1], core[-1, :0:-1], core[:0:-1, 0]])
    rings = (n + 1) ** 2 + np.arange(counts.rings * counts.around).reshape(counts.rings, counts.around)
    return np.concatenate([edge[None], rings])


def section_cells(counts: SectionCounts) -> NDArray[np.int64]:
    """Corner nodes (n_cells, 4) of the section's cells, counter-clockwise seen from above: core, then ring by ring."""
    n = counts.core
    core = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    inner = np.stack([core[:-1, :-1], core[:-1, 1:], core[1:, 1:], core[1:, :-1]], axis=-1).reshape(-1, 4)
    ids = _ring_nodes(counts)
    ahead = np.roll(ids, -1, axis=1)
    rings = np.stack([ids[:-1], ids[1:], ahead[1:], ahead[:-1]], axis=-1).reshape(-1, 4)
    return np.asarray(np.concatenate([inner, rings]))


def wall_nodes(counts: SectionCounts) -> NDArray[np.int64]:
    """Node ids (around,) of the wall, counter-clockwise seen from above."""
    return np.asarray(_ring_nodes(counts)[-1])


def growth_ratio(length: float, first: float, count: int) -> float:
    """Ratio q >= 1 of consecutive cells so that `count` of them, the smallest `first`, fill `length`.

    Notes
    -----
    Solves first (1 + q + ... + q^(count - 1)) = length; 1 where equal cells are already smaller than `first`.

    Examples
    --------
    >>> round(growth_ratio(7.0, 1.0, 3), 6)
    2.0
    """
    if length <= first * count:
        return 1.0
    low, high = 1.0, 1.0 + length / first
    for _ in range(80):
        q = 0.5 * (low + high)
        is_long = first * float(np.sum(q ** np.arange(count))) > length
        low, high = (low, q) if is_long else (q, high)
    return 0.5 * (low + high)


def graded_fractions(count: int, total_growth: float) -> NDArray[np.float64]:
    """Places 0..1 of `count` cells that grow geometrically from 0, (count + 1,).

    Notes
    -----
    x(u) = (G^u - 1) / (G - 1) at u = i / count, G the growth over the whole length: the places of `count` cells are
    every other one of those of 2 `count`, so that refined meshes are nested.
    """
    u = np.arange(count + 1) / count
    if total_growth - 1.0 < 1e-9:
        return u
    return np.asarray((total_growth**u - 1.0) / (total_growth - 1.0))


def two_sided_fractions(count: int, total_growth: float) -> NDArray[np.float64]:
    """Places 0..1 of an even number of cells that grow geometrically from both ends, (count + 1,)."""
    half = 0.5 * graded_fractions(count // 2, total_growth)
    return np.concatenate([half, 1.0 - half[-2::-1]])


def wall_angle(grid: SectionGrid, counts: SectionCounts) -> NDArray[np.float64]:
    """Angle in the unit disc of ring nodes (k,), radians; 0 for core nodes."""
    return np.where(grid.is_core, 0.0, -0.75 * np.pi + grid.second * (2.0 * np.pi / counts.around))


def section_points(
    grid: SectionGrid, counts: SectionCounts, curves: SectionCurves, annulus_fractions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places of section nodes in the unit disc.

    Parameters
    ----------
    grid : SectionGrid
        k nodes.
    counts : SectionCounts
        Of the section.
    curves : SectionCurves
        Leading axes are kept.
    annulus_fractions : (annulus + 1,) ndarray
        Places 0..1 of the rings between the nucleus' boundary and the shell.

    Returns
    -------
    xi, eta : (..., k) ndarray
        The wall has radius 1.

    Notes
    -----
    The core is (1 - m) S + m D with S the square and D its map to the disc, (p sqrt(1 - q^2 / 2), q sqrt(1 - p^2 / 2))
    [1]_. Rings interpolate linearly between the edge of the core, the nucleus' boundary, the inside of the shell and
    the wall along lines of one angle.

    References
    ----------
    .. [1] P. Nowell, Mapping a square to a circle, 2005; the map is exact on every edge.
    """
    n, first, second = counts.core, grid.first, grid.second
    angle = wall_angle(grid, counts)
    p, q = np.where(grid.is_core, _core_places(grid, counts), _edge_places(second, n))
    core = _CORE_WIDTH * np.stack(
        [
            p * ((1.0 - _CORE_ROUNDING) + _CORE_ROUNDING * np.sqrt(1.0 - 0.5 * q**2)),
            q * ((1.0 - _CORE_ROUNDING) + _CORE_ROUNDING * np.sqrt(1.0 - 0.5 * p**2)),
        ]
    )
    around = np.stack([np.cos(angle), np.sin(angle)])
    ring = np.where(grid.is_core, 0.0, first)
    a = np.clip(ring / max(counts.nucleus, 1), 0.0, 1.0)
    steps = np.arange(counts.annulus + 1.0)
    b = np.interp(ring - counts.nucleus, steps, annulus_fractions)
    c = np.clip((ring - counts.nucleus - counts.annulus) / counts.shell, 0.0, 1.0)
    out = []
    for axis in (0, 1):
        nucleus = curves.nucleus_radius * ((1.0 - a) * core[axis] + a * around[axis]) + axis * curves.centre
        shell = curves.shell_radius * around[axis]
        inside = (1.0 - b) * nucleus + b * shell
        out.append((1.0 - c) * inside + c * around[axis])
    return out[0], out[1]


def _core_places(grid: SectionGrid, counts: SectionCounts) -> NDArray[np.float64]:
    """Places (2, k) in [-1, 1] of core nodes."""
    return np.stack([grid.first, grid.second]) * (2.0 / counts.core) - 1.0


def _edge_places(at: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Places (2, k) on the edge of the square [-1, 1]^2 of positions 0..4n counter-clockwise from (-1, -1)."""
    side = 2.0 * np.mod(at, 4 * n) / n
    return np.stack([np.clip(2.0 - np.abs(side - middle), -1.0, 1.0) for middle in (3.0, 5.0)])
