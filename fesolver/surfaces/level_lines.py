"""Level lines of a function on a surface, cut into its triangles so that they are lines of edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.surfaces.surface import TriangleSurface

__all__ = ["LevelCut", "cut_along_level"]


@dataclass(frozen=True)
class LevelCut:
    """A surface whose edges no level line crosses.

    Parameters
    ----------
    surface : TriangleSurface
        The points given come first, where they were.
    parent : (m,) ndarray of int64
        The given triangle that each one is part of.
    is_below : (m,) ndarray of bool
        Triangles where the function is negative.
    """

    surface: TriangleSurface
    parent: NDArray[np.int64]
    is_below: NDArray[np.bool_]


def cut_along_level(surface: TriangleSurface, values: NDArray[np.float64], *, snap: float = 0.1) -> LevelCut:
    """Cut triangles where a function of their points, linear in each, is zero.

    Parameters
    ----------
    surface : TriangleSurface
        Triangles, closed or not.
    values : (n_points,) ndarray
        The function at every point.
    snap : float
        Where the line crosses an edge closer to an end than this part of its length, it goes through the end instead,
        so that no sliver arises; 0 to 0.5.

    Returns
    -------
    LevelCut
        The same surface: cuts lie on its edges.

    Examples
    --------
    >>> square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=float)
    >>> cut = cut_along_level(TriangleSurface(square, np.array([[0, 1, 2], [0, 2, 3]])), square[:, 0] - 0.25)
    >>> len(cut.surface.triangles), round(float(cut.surface.areas[cut.is_below].sum()), 12)
    (6, 0.25)
    """
    triangles = surface.triangles
    edges, number = np.unique(
        np.sort(np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1),
        axis=0,
        return_inverse=True,
    )
    number = number.reshape(-1, 3)
    a, b = edges.T
    crossed = values[a] * values[b] < 0.0
    place = np.zeros(len(edges))
    place[crossed] = values[a[crossed]] / (values[a[crossed]] - values[b[crossed]])
    f = values.copy()
    f[a[crossed & (place < snap)]] = 0.0
    f[b[crossed & (place > 1.0 - snap)]] = 0.0
    cut = np.flatnonzero(f[a] * f[b] < 0.0)
    new = np.full(len(edges), -1)
    new[cut] = len(surface.points) + np.arange(len(cut))
    t = place[cut, None]
    points = np.concatenate([surface.points, (1.0 - t) * surface.points[a[cut]] + t * surface.points[b[cut]]])
    pieces, parent = _pieces(points, triangles, new[number])
    level = np.concatenate([f, np.zeros(len(cut))])[pieces].sum(axis=1)
    whole = values[triangles].sum(axis=1)[parent]
    is_below = np.where(level == 0.0, whole, level) < 0.0
    return LevelCut(TriangleSurface(points, pieces), parent, is_below)


def _pieces(
    points: NDArray[np.float64], triangles: NDArray[np.int64], new: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Triangles after cuts, and the given one that each is part of; `new` (m, 3) is the point on each edge, or -1."""
    is_cut = new >= 0
    count = is_cut.sum(axis=1)
    none, one, two = (np.flatnonzero(count == k) for k in range(3))
    # One cut ends in the corner across; two part the corner between them from the others.
    p, a, b, c = _turned(triangles[one], new[one], is_cut[one].argmax(axis=1))
    halves = np.stack([np.stack([a, p, c], axis=1), np.stack([p, b, c], axis=1)], axis=1)
    apex = (np.argmin(is_cut[two], axis=1) + 2) % 3
    q, d, e, g = _turned(triangles[two], new[two], apex)
    r = new[two, (apex + 2) % 3]
    is_first = np.sum((points[q] - points[g]) ** 2, axis=1) <= np.sum((points[e] - points[r]) ** 2, axis=1)
    thirds = np.stack(
        [
            np.stack([d, q, r], axis=1),
            np.where(is_first[:, None], np.stack([q, e, g], axis=1), np.stack([q, e, r], axis=1)),
            np.where(is_first[:, None], np.stack([q, g, r], axis=1), np.stack([e, g, r], axis=1)),
        ],
        axis=1,
    )
    pieces = np.concatenate([triangles[none], halves.reshape(-1, 3), thirds.reshape(-1, 3)])
    parent = np.concatenate([none, np.repeat(one, 2), np.repeat(two, 3)])
    order = np.argsort(parent, kind="stable")
    return pieces[order], parent[order]


def _turned(
    triangles: NDArray[np.int64], new: NDArray[np.int64], first: NDArray[np.int64]
) -> tuple[NDArray[np.int64], ...]:
    """The cut on the edge from the corner `first` of each triangle, and the corners from there."""
    rows = np.arange(len(triangles))
    return (new[rows, first], *(triangles[rows, (first + k) % 3] for k in range(3)))
