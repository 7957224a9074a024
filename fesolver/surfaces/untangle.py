"""Small self-intersections smoothed away."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from fesolver.surfaces.intersections import self_intersections
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.topology import edges_of

__all__ = ["relax_intersections"]

_ROUNDS = 12
_MOST = 0.05  # of all points: more is no local fault


def relax_intersections(surface: TriangleSurface, *, max_move_mm: float) -> tuple[TriangleSurface, float] | None:
    """Draw the points around self-intersections towards their neighbours until none is left.

    Parameters
    ----------
    surface : TriangleSurface
        With self-intersections, mm.
    max_move_mm : float
        How far a point may move.

    Returns
    -------
    tuple of TriangleSurface and float, or None
        The surface and the farthest move, mm; None if it does not succeed within `max_move_mm`, or more than
        5 % of the points are concerned.

    Notes
    -----
    Corners of the triangles concerned, and one ring of neighbours more after every fourth round, go to the mean of
    their neighbours (uniform weights); then the surface is looked at again.
    """
    edges = edges_of(surface.triangles).points
    n, ends = len(surface.points), np.concatenate([edges, edges[:, ::-1]])
    joined = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(n, n)).tocsr()
    degree = np.maximum(np.asarray(joined.sum(axis=1)).ravel(), 1.0)[:, None]
    x: NDArray[np.float64] = surface.points.copy()
    for turn in range(_ROUNDS + 1):
        pairs = self_intersections(TriangleSurface(x, surface.triangles))
        move = float(np.linalg.norm(x - surface.points, axis=1).max())
        if move > max_move_mm:
            return None
        if not len(pairs):
            return TriangleSurface(x, surface.triangles), move
        moving = np.zeros(n)
        moving[surface.triangles[pairs]] = 1.0
        for _ in range(turn // 4):
            moving = np.maximum(moving, joined @ moving)
        chosen = moving > 0
        if chosen.sum() > max(_MOST * n, 30):
            return None
        x = np.where(chosen[:, None], joined @ x / degree, x)
    return None
