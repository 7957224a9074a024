"""Triangles between rows of points that run once around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["strip_triangles"]


def strip_triangles(lower: NDArray[np.float64], upper: NDArray[np.float64]) -> NDArray[np.int64]:
    """Triangles of the closed strip between two rows of points given by their angles.

    Parameters
    ----------
    lower, upper : (n,) and (k,) ndarray
        Angles of the points, radians, rising within one turn; at least one in each row.

    Returns
    -------
    (n + k, 3) ndarray of int64
        Point ids, the lower row first, counter-clockwise seen from outside where angles rise counter-clockwise seen
        from above. A row of one point makes a fan.

    Examples
    --------
    >>> strip_triangles(np.array([0.0, 2.0, 4.0]), np.array([1.0])).tolist()
    [[0, 1, 3], [1, 2, 3], [2, 0, 3]]
    """
    n, k = len(lower), len(upper)
    if k == 1:
        at = np.arange(n)
        return np.stack([at, (at + 1) % n, np.full(n, n)], axis=1)
    if n == 1:
        at = np.arange(k)
        return np.stack([np.zeros(k, dtype=np.int64), 1 + (at + 1) % k, 1 + at], axis=1)
    # Walk around from the lower row's first point and the upper one nearest to it, always to the nearer next point.
    turned = np.mod(upper - lower[0] + np.pi, 2.0 * np.pi) - np.pi
    first = int(np.argmin(np.abs(turned)))
    order = np.roll(np.arange(k), -first)
    above = turned[first] + np.mod(turned[order] - turned[first], 2.0 * np.pi)
    here, there = np.append(lower - lower[0], 2.0 * np.pi), np.append(above, above[0] + 2.0 * np.pi)
    out = np.empty((n + k, 3), dtype=np.int64)
    i = j = 0
    for t in range(n + k):
        is_lower = j == k or (i < n and here[i + 1] + here[i] <= there[j + 1] + there[j])
        ends = i % n, n + order[j % k]
        out[t] = (ends[0], (i + 1) % n, ends[1]) if is_lower else (ends[0], n + order[(j + 1) % k], ends[1])
        i, j = (i + 1, j) if is_lower else (i, j + 1)
    return out
