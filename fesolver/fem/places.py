"""Which cell holds a place, and where in it: the isoparametric map undone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS, shape_functions, shape_gradients

__all__ = ["Located", "locate"]

_INSIDE = 1e-9
"""Reference coordinates beyond the cell that still count as in it: round-off of a place on a face."""
_NEWTON_STEPS = 25
_DESCENT_STEPS = 400
_STILL = 1e-9
"""Step in reference coordinates at which the nearest point counts as found."""
_SCOUTING_STEPS = 40
"""Steps after which all but the nearest cells are given up."""
_KEPT = 3
"""Cells kept: a place off an edge or a corner has several that are equally near."""
_BULGE = 1.25
"""A curved cell stays within this many times its nodes' distance from their mean; checked by no theorem, generous."""
_SURROUNDING = 8
"""Cells tried for a place outside all of them."""


@dataclass(frozen=True)
class Located:
    """Cells that hold places.

    Parameters
    ----------
    cells : (n,) ndarray of int64
    xi : (n, 3) ndarray
        Reference coordinates of the place, or of the nearest point of the cell.
    distance : (n,) ndarray
        mm from that point; 0 inside.
    """

    cells: NDArray[np.int64]
    xi: NDArray[np.float64]
    distance: NDArray[np.float64]


def locate(
    points: NDArray[np.float64],
    cells: NDArray[np.int64],
    element: str,
    places: NDArray[np.float64],
    *,
    cells_of: NDArray[np.int64] | None = None,
    tolerance_mm: float = 0.0,
) -> Located:
    """Find the cell that holds each place, or the nearest one within a tolerance.

    Parameters
    ----------
    points, cells, element
        The mesh.
    places : (n, 3) ndarray
        mm.
    cells_of : (m,) ndarray of int64, optional
        Cells to look in; all by default.
    tolerance_mm : float, optional
        How far outside a place may lie.

    Returns
    -------
    Located

    Raises
    ------
    InputError
        If there is no cell within the tolerance of a place, or no cell at all.

    Notes
    -----
    Newton's method for x(xi) = place in every cell whose sphere holds it. For a place in none, the nearest point of the
    nearest cells by projected steepest descent of the squared distance over the reference cell; what it may lack in the
    end is less than 1e-3 of the distance on cells of ordinary shape.
    """
    ids = np.arange(len(cells)) if cells_of is None else np.unique(np.asarray(cells_of, dtype=np.int64))
    if not len(ids):
        raise InputError("attached to nothing: there are no cells to attach to")
    nodes = points[cells[ids]]
    centre = nodes.mean(axis=1)
    radius = _BULGE * np.linalg.norm(nodes - centre[:, None], axis=2).max(axis=1)
    out = Located(np.full(len(places), -1, dtype=np.int64), np.zeros((len(places), 3)), np.zeros(len(places)))
    place, cell = _pairs(centre, radius, places)
    xi, is_in = _inverted(nodes[cell], element, places[place])
    # Written from the last to the first: of several cells the lowest number stays.
    for k in np.flatnonzero(is_in)[::-1]:
        out.cells[place[k]], out.xi[place[k]] = ids[cell[k]], xi[k]
    outside = np.flatnonzero(out.cells < 0)
    if len(outside):
        _nearest(out, outside, nodes, centre, radius, ids, element, places)
    worst = int(np.argmax(out.distance))
    if out.distance[worst] > tolerance_mm:
        x, y, z = places[worst]
        raise InputError(
            f"attached to nothing: a place lies {out.distance[worst]:.2f} mm outside the cells it should be fixed to, "
            f"more than {tolerance_mm:g} mm",
            where=f"({x:.1f}, {y:.1f}, {z:.1f}) mm",
            fix="check the place and its frame, or allow a larger tolerance",
        )
    return out


def _pairs(
    centre: NDArray[np.float64], radius: NDArray[np.float64], places: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places and the cells whose sphere holds them, by place and then by cell."""
    from scipy.spatial import cKDTree

    near = cKDTree(centre).query_ball_point(places, float(radius.max()), return_sorted=True)
    rows = [np.asarray(row, dtype=np.int64) for row in np.asarray(near, dtype=object)]
    place = np.repeat(np.arange(len(places)), [len(row) for row in rows])
    cell = np.concatenate([np.zeros(0, np.int64), *rows])
    keep = np.linalg.norm(places[place] - centre[cell], axis=1) <= radius[cell]
    return place[keep], cell[keep]


def _residual(
    nodes: NDArray[np.float64], element: str, xi: NDArray[np.float64], at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places less where the cells (n, k, 3) map xi to, (n, 3), and the derivatives (n, 3, 3) of the map."""
    x = np.einsum("na,nac->nc", shape_functions(element, xi), nodes)
    return at - x, np.einsum("nag,nac->ncg", shape_gradients(element, xi), nodes)


def _inverted(
    nodes: NDArray[np.float64], element: str, at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Reference coordinates (n, 3) of places in cells, and whether they lie in them."""
    xi = np.repeat(ELEMENTS[element].nodes.mean(axis=0)[None], len(at), axis=0)
    if not len(at):
        return xi, np.zeros(0, dtype=bool)
    start = xi[0].copy()
    for _ in range(_NEWTON_STEPS):
        residual, slope = _residual(nodes, element, xi, at)
        det = np.linalg.det(slope)
        slope[np.abs(det) <= 0.0] = np.eye(3)
        step = np.linalg.solve(slope, residual[:, :, None])[:, :, 0]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        xi = start + np.clip(xi + step / np.maximum(length, 1.0) - start, -4.0, 4.0)
        if length.max() < 1e-14:
            break
    residual, _ = _residual(nodes, element, xi, at)
    size = np.ptp(nodes, axis=1).max(axis=1)
    is_met = np.linalg.norm(residual, axis=1) <= 1e-11 * size
    return xi, is_met & (np.abs(xi - _into_cell(xi, ELEMENTS[element].shape)).max(axis=1) <= _INSIDE)


def _nearest(
    out: Located,
    outside: NDArray[np.int64],
    nodes: NDArray[np.float64],
    centre: NDArray[np.float64],
    radius: NDArray[np.float64],
    ids: NDArray[np.int64],
    element: str,
    places: NDArray[np.float64],
) -> None:
    """Fill in the nearest cell of the places outside all."""
    from scipy.spatial import cKDTree

    k = ELEMENTS[element].n_corners
    # Cells whose nodes are nearest, and those that have the place in front of a face: by the nearest centres.
    count = min(_SURROUNDING, len(ids))
    by_centre = np.asarray(cKDTree(centre).query(places[outside], k=count)[1]).reshape(len(outside), -1)
    by_node = (
        np.asarray(cKDTree(nodes[:, :k].reshape(-1, 3)).query(places[outside], k=min(4 * count, k * len(ids)))[1]) // k
    )
    cell = np.sort(np.hstack([by_centre, by_node.reshape(len(outside), -1)]), axis=1)
    row = np.repeat(np.arange(len(outside)), cell.shape[1])
    flat = cell.ravel()
    fresh = np.concatenate([[True], (flat[1:] != flat[:-1]) | (row[1:] != row[:-1])])
    row, flat = row[fresh], flat[fresh]
    _, distance = _descended(nodes[flat], element, places[outside[row]], _SCOUTING_STEPS)
    order = np.lexsort((distance, row))
    rank = np.empty(len(row), dtype=np.int64)
    rank[order] = np.arange(len(row)) - np.searchsorted(row, row)
    row, flat = row[rank < _KEPT], flat[rank < _KEPT]
    xi, distance = _descended(nodes[flat], element, places[outside[row]], _DESCENT_STEPS)
    for i, place in enumerate(outside):
        own = np.flatnonzero(row == i)
        # Cells that share the nearest point tie but for round-off: the lowest number is taken.
        best = own[np.argmax(distance[own] <= distance[own].min() * (1.0 + 1e-6) + 1e-12)]
        out.cells[place], out.xi[place], out.distance[place] = ids[flat[best]], xi[best], distance[best]


def _descended(
    nodes: NDArray[np.float64], element: str, at: NDArray[np.float64], steps: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Reference coordinates (n, 3) of the point of each cell (n, k, 3) nearest to a place outside it, and how far."""
    shape = ELEMENTS[element].shape
    xi = np.repeat(ELEMENTS[element].nodes.mean(axis=0)[None], len(at), axis=0)
    previous, momentum = xi, np.ones(len(at))
    for _ in range(steps):
        # Nesterov's momentum, dropped where it leads uphill: thin cells need the square root of the steps.
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        ahead = xi + ((momentum - 1.0) / following)[:, None] * (xi - previous)
        residual, slope = _residual(nodes, element, ahead, at)
        rise = np.einsum("ncg,nc->ng", slope, residual)
        size = np.einsum("ncg,ncg->n", slope, slope)
        previous, xi = xi, _into_cell(ahead + rise / size[:, None], shape)
        is_uphill = np.sum((ahead - xi) * (xi - previous), axis=1) > 0.0
        momentum = np.where(is_uphill, 1.0, following)
        if np.abs(xi - previous).max() < _STILL:
            break
    return xi, np.linalg.norm(_residual(nodes, element, xi, at)[0], axis=1)


def _into_cell(xi: NDArray[np.float64], shape: str) -> NDArray[np.float64]:
    """Nearest points (n, 3) of the reference cell."""
    if shape == "hexahedron":
        return np.clip(xi, -1.0, 1.0)
    if shape == "tetrahedron":
        return _into_simplex(xi)
    return np.hstack([_into_simplex(xi[:, :2]), np.clip(xi[:, 2:], -1.0, 1.0)])


def _into_simplex(xi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nearest points (n, d) of the simplex xi >= 0, sum <= 1."""
    positive = np.maximum(xi, 0.0)
    over = positive.sum(axis=1) > 1.0
    if np.any(over):
        # Onto the face of sum 1: subtract the one number that leaves a sum of 1 over what stays positive.
        at = np.sort(xi[over], axis=1)[:, ::-1]
        excess = (np.cumsum(at, axis=1) - 1.0) / np.arange(1, xi.shape[1] + 1)
        last = np.sum(at > excess, axis=1) - 1
        positive[over] = np.maximum(xi[over] - excess[np.arange(len(at)), last][:, None], 0.0)
    return positive
