"""Where a surface runs through itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.surfaces.intersections_kernels import count_in_boxes, fill_boxes, find_partners
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["self_intersections"]

_STEPS = 2**20 - 1  # along the longest side: volumes of integer tetrahedra then stay below 2^63
_BOXES_PER_TRIANGLE = 4


def self_intersections(surface: TriangleSurface) -> NDArray[np.int64]:
    """Pairs of triangles that share a point beyond the corners and edges they have in common.

    Parameters
    ----------
    surface : TriangleSurface
        Open or closed, of any orientation.

    Returns
    -------
    (k, 2) ndarray of int64
        Triangle ids, the smaller first, in rising order. Triangles that touch count. Neighbours across an edge count
        where one is folded flat onto the other; copies of one triangle and triangles without area do not.

    Notes
    -----
    Points are moved to a grid of 2^20 - 1 steps along the longest side (0.1 micrometre for a vertebra), on which every
    orientation sign is a whole number below 2^63: no sign depends on round-off, and a flat surface cut into triangles
    touches itself nowhere. Points in one place of the grid are one. What lies nearer than a step may be found
    to touch.

    Two triangles without a common corner meet where an edge of one meets the other; with one common corner, where the
    side opposite to it, of one or the other, meets the other triangle; with a common edge, only where they fold [1]_.
    A uniform grid of boxes finds the candidates.

    References
    ----------
    .. [1] C. Ericson, *Real-Time Collision Detection*, Morgan Kaufmann, 2005, sections 5.2 and 5.3 (tests of segments
       against triangles by signs of volumes).

    Examples
    --------
    >>> points = np.array([[0, 0, 0], [4, 0, 0], [0, 4, 0], [1, 1, -1], [1, 1, 1], [1, 3, 9]], dtype=float)
    >>> self_intersections(TriangleSurface(points, np.array([[0, 1, 2], [3, 4, 5]]))).tolist()
    [[0, 1]]
    """
    m = len(surface.triangles)
    if m == 0:
        return np.zeros((0, 2), np.int64)
    p, triangles = _on_grid(surface)
    corners = p[triangles]
    has_area = np.any(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) != 0, axis=1)
    lower, upper = corners.min(axis=1), corners.max(axis=1)
    step = _box_size(lower, upper)
    low, high = lower // step, upper // step
    shape = high.max(axis=0) + 1
    count = np.zeros(int(np.prod(shape)), np.int64)
    count_in_boxes(low, high, shape, count)
    start = np.concatenate([[0], np.cumsum(count)])
    content = np.empty(start[-1], np.int64)
    fill_boxes(low, high, shape, start[:-1].copy(), content)
    geometry = (p, triangles, has_area, lower, upper, low, high, shape, start, content)
    n = np.zeros(m, np.int64)
    find_partners(*geometry, np.zeros(m + 1, np.int64), np.zeros(0, np.int64), n)
    if not n.any():
        return np.zeros((0, 2), np.int64)
    place = np.concatenate([[0], np.cumsum(n)])
    partners = np.empty(place[-1], np.int64)
    find_partners(*geometry, place, partners, n)
    pairs = np.stack([np.repeat(np.arange(m), n), partners], axis=1)
    return np.asarray(pairs[np.lexsort(pairs.T[::-1])])


def _on_grid(surface: TriangleSurface) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Whole-numbered points, each place once, and the triangles between them."""
    used = surface.points[np.unique(surface.triangles)]
    origin, size = used.min(axis=0), float(np.ptp(used, axis=0).max())
    scale = _STEPS / size if size > 0 else 1.0
    p = np.rint((surface.points - origin) * scale)
    # Points of no triangle may lie anywhere.
    p, number = np.unique(np.clip(p, 0, _STEPS).astype(np.int64), axis=0, return_inverse=True)
    return np.ascontiguousarray(p), np.ascontiguousarray(number.reshape(-1)[surface.triangles])


def _box_size(lower: NDArray[np.int64], upper: NDArray[np.int64]) -> int:
    """Side of the boxes: as large as a usual triangle, and not too many of them."""
    whole = upper.max(axis=0) - lower.min(axis=0) + 1.0
    usual = float(np.mean(upper - lower))
    fewest = float(np.prod(whole) / (_BOXES_PER_TRIANGLE * len(lower))) ** (1.0 / 3.0)
    return int(np.ceil(max(usual, fewest, whole.max() / 512, 1.0)))
