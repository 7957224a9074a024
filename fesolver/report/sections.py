"""Cells cut by a plane: the polygons of the section and the outlines of regions in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS, Element

__all__ = ["Section", "cell_kind", "cut_cells", "outline"]

_BY_SIZE = {element.n_nodes: element for element in ELEMENTS.values()}

_MAX_CORNERS = {"tetrahedron": 4, "wedge": 5, "hexahedron": 6}
"""Corners that the section of a convex cell can have: one for each of its faces."""


@dataclass(frozen=True, eq=False)
class Section:
    """Where a plane meets the cells of a mesh.

    Parameters
    ----------
    cells : (k,) ndarray of int64
        Cells that the plane cuts.
    corners : (k, c, 2) ndarray
        Corners of each cell's polygon in order around it, in-plane coordinates, mm; c is 4, 5 or 6 for tetrahedra,
        wedges and hexahedra. A polygon of fewer corners repeats its last one.
    corner_keys : (k, c) ndarray of int64
        The mesh edge that each corner lies on: neighbours share keys, so outlines need no comparison of coordinates.
    areas : (k,) ndarray
        Area of each polygon, mm2.
    """

    cells: NDArray[np.int64]
    corners: NDArray[np.float64]
    corner_keys: NDArray[np.int64]
    areas: NDArray[np.float64]

    @property
    def limits(self) -> NDArray[np.float64]:
        """Lower and upper in-plane coordinates, mm, (2, 2)."""
        return np.array([self.corners.min(axis=(0, 1)), self.corners.max(axis=(0, 1))])

    @property
    def centroids(self) -> NDArray[np.float64]:
        """Area centroid of every polygon, in-plane, mm, (k, 2)."""
        base = self.corners[:, :1]
        a, b = self.corners[:, 1:-1] - base, self.corners[:, 2:] - base
        twice = _cross(a, b)
        arms, whole = np.sum((a + b) / 3.0 * twice[..., None], axis=1), np.sum(twice, axis=1)[:, None]
        # A cell touched at a corner has a polygon that rounding leaves without area: its place is that corner.
        return np.asarray(base[:, 0] + np.divide(arms, whole, out=np.zeros_like(arms), where=whole != 0.0))


def cell_kind(cells: NDArray[np.int64]) -> Element:
    """The reference element of cells (n_cells, k), known by their number of nodes.

    Raises
    ------
    InputError
        If no solid has so many.

    Examples
    --------
    >>> cell_kind(np.zeros((5, 10), np.int64)).name
    'tet10'
    """
    found = _BY_SIZE.get(cells.shape[1])
    if found is None:
        raise InputError(f"cells of {cells.shape[1]} nodes are unknown", fix=f"use one of {', '.join(ELEMENTS)}")
    return found


def cut_cells(
    points: NDArray[np.float64],
    cells: NDArray[np.int64],
    *,
    origin: NDArray[np.float64],
    normal: NDArray[np.float64],
    axes: NDArray[np.float64],
) -> Section:
    """Cut cells by a plane.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        mm.
    cells : (n_cells, k) ndarray of int64
        Hexahedra, tetrahedra or wedges, all of one kind, VTK order; any convex shape. Of quadratic ones, the straight
        edges between the corners are cut.
    origin, normal : (3,) ndarray
        The plane.
    axes : (2, 3) ndarray
        Unit vectors of the in-plane coordinates: the first points right in a figure, the second up.

    Returns
    -------
    Section
        Polygons, counter-clockwise in the in-plane coordinates.

    Raises
    ------
    InputError
        If the plane misses the mesh, or the cells are of no known kind.

    Notes
    -----
    A plane through mesh points would have polygons on both sides of a face, or none: it is moved along its normal by
    1e-5 of a cell, so every corner lies inside an edge.
    """
    kind = cell_kind(cells)
    cells, edges = cells[:, : kind.n_corners], np.array(kind.edges)
    distance = (points - origin) @ normal
    size = float(np.median(np.ptp(points[cells[:: max(len(cells) // 1000, 1)]], axis=1))) if len(cells) else 1.0
    # Two points of one edge both at zero is what must not happen; an irrational shift keeps clear of any grid.
    distance = distance - size * 1e-5 * np.sqrt(2.0) if np.any(np.abs(distance) < 1e-7 * size) else distance
    is_above = distance[cells] > 0.0
    hit = np.flatnonzero(is_above.any(axis=1) & ~is_above.all(axis=1))
    if not len(hit):
        raise InputError(
            "the section plane misses the mesh", where=f"plane at {np.round(origin, 2).tolist()} mm, normal {normal}"
        )
    ends = cells[hit][:, edges]
    is_cut = is_above[hit][:, edges[:, 0]] != is_above[hit][:, edges[:, 1]]
    start, stop = distance[ends[..., 0]], distance[ends[..., 1]]
    weight = np.where(is_cut, start / np.where(is_cut, start - stop, 1.0), 0.0)
    crossing = points[ends[..., 0]] + weight[..., None] * (points[ends[..., 1]] - points[ends[..., 0]])
    flat = crossing @ axes.T
    keys = np.minimum(ends[..., 0], ends[..., 1]) * len(points) + np.maximum(ends[..., 0], ends[..., 1])
    return _ordered(hit, flat, keys, is_cut, _MAX_CORNERS[kind.shape])


def outline(section: Section, is_inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Segments between the polygons of a set and everything else.

    Parameters
    ----------
    section : Section
        The polygons.
    is_inside : (k,) ndarray of bool
        The set, one entry per polygon of the section.

    Returns
    -------
    (m, 2, 2) ndarray
        Both ends of each segment, in-plane, mm.
    """
    start, stop = section.corner_keys[is_inside], np.roll(section.corner_keys[is_inside], -1, axis=1)
    ends = np.stack([section.corners[is_inside], np.roll(section.corners[is_inside], -1, axis=1)], axis=2)
    is_side = start != stop
    sides = np.stack([np.minimum(start, stop), np.maximum(start, stop)], axis=-1)[is_side]
    _, first, count = np.unique(sides, axis=0, return_index=True, return_counts=True)
    return np.asarray(ends[is_side][first[count == 1]])


def _ordered(
    hit: NDArray[np.int64],
    flat: NDArray[np.float64],
    keys: NDArray[np.int64],
    is_cut: NDArray[np.bool_],
    most: int,
) -> Section:
    """Corners sorted around each polygon, `most` of them."""
    count = is_cut.sum(axis=1)
    centre = np.sum(flat * is_cut[..., None], axis=1) / count[:, None]
    relative = flat - centre[:, None]
    angle = np.where(is_cut, np.arctan2(relative[..., 1], relative[..., 0]), np.inf)
    order = np.argsort(angle, axis=1, kind="stable")[:, :most]
    # Past the last corner, repeat it.
    order = np.where(np.arange(most) < count[:, None], order, np.take_along_axis(order, count[:, None] - 1, axis=1))
    corners = np.take_along_axis(flat, order[..., None], axis=1)
    areas = 0.5 * np.sum(_cross(corners, np.roll(corners, -1, axis=1)), axis=1)
    return Section(hit, corners, np.take_along_axis(keys, order, axis=1), areas)


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Out-of-plane component of a x b for in-plane vectors."""
    return np.asarray(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0])
