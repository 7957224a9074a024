"""Small openings of a surface filled with triangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.surfaces.measures import loop_length
from fesolver.surfaces.topology import boundary_loops, edges_of

__all__ = ["fill_holes", "fill_loop"]

_MOST_POINTS = 200  # the work grows with the third power


def fill_holes(
    points: NDArray[np.float64], triangles: NDArray[np.int64], *, max_length_mm: float
) -> tuple[NDArray[np.int64], tuple[float, ...]]:
    """Fill openings up to a length, without new points.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm.
    triangles : (m, 3) ndarray of int64
        Consistently oriented.
    max_length_mm : float
        Way around the longest opening that is filled, mm.

    Returns
    -------
    triangles : (k, 3) ndarray of int64
        With the new ones at the end.
    lengths : tuple of float
        Way around each opening that was filled, mm.
    """
    lengths = []
    for loop in boundary_loops(triangles):
        length = loop_length(points, loop)
        if length > max_length_mm or len(loop) > _MOST_POINTS:
            continue
        cover = fill_loop(points, loop, edges_of(triangles).points)
        if cover is not None:
            triangles = np.concatenate([triangles, cover])
            lengths.append(length)
    return triangles, tuple(lengths)


def fill_loop(
    points: NDArray[np.float64], loop: NDArray[np.int64], taken: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Triangles between the points of a loop, well shaped and of small area.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm.
    loop : (k,) ndarray of int64
        Points in the direction in which the triangles are to walk.
    taken : (e, 2) ndarray of int64
        Edges, the smaller id first, that must not become diagonals: they have their triangles.

    Returns
    -------
    (k - 2, 3) ndarray of int64 or None
        None if every way to fill the loop uses an edge that is taken.

    Notes
    -----
    Dynamic programming over the diagonals [1]_. The weight of a triangle is its area over the square of its quality
    4 sqrt(3) A / (a^2 + b^2 + c^2): with the area alone, all ways to fill a flat loop weigh the same.

    References
    ----------
    .. [1] G. Barequet and M. Sharir, "Filling gaps in the boundary of a polyhedron", Comput. Aided
       Geom. Des. 12:207, 1995.
    """
    n, x, ids = len(loop), points[loop], loop.tolist()
    edges = set(map(tuple, taken.tolist()))
    weight = np.full((n, n), np.inf)
    middle = np.zeros((n, n), np.int64)
    weight[np.arange(n - 1), np.arange(1, n)] = 0.0
    for gap in range(2, n):
        for i in range(n - gap):
            j = i + gap
            pair = (min(ids[i], ids[j]), max(ids[i], ids[j]))
            if gap < n - 1 and pair in edges:
                continue
            k = np.arange(i + 1, j)
            total = weight[i, k] + weight[k, j] + _weights(x[i], x[k], x[j])
            best = int(np.argmin(total))
            weight[i, j], middle[i, j] = total[best], k[best]
    if not np.isfinite(weight[0, n - 1]):
        return None
    out, parts = [], [(0, n - 1)]
    while parts:
        start, end = parts.pop()
        if end - start > 1:
            tip = int(middle[start, end])
            out.append((ids[start], ids[tip], ids[end]))
            parts += [(start, tip), (tip, end)]
    return np.array(out, np.int64)


def _weights(a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area over quality squared of triangles a, b[k], c: (sum of squared sides)^2 / (48 area)."""
    squares = np.sum((b - a) ** 2, axis=1) + np.sum((c - b) ** 2, axis=1) + np.sum((a - c) ** 2)
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return np.asarray(squares**2 / np.maximum(48.0 * area, 1e-12 * squares))
