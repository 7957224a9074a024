"""Closest points on many triangles through a tree of boxes."""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel

__all__ = ["CORNER", "EDGE", "FACE", "build_tree", "closest_on_triangles"]

CORNER, EDGE, FACE = 0, 3, 6
"""Where in its triangle a closest point lies: a corner (0, 1, 2), the edge after it (3, 4, 5), or inside (6)."""

_LEAF = 4
_DEPTH = 64
"""Nodes that wait during a walk: the tree halves its triangles, so 64 levels are never reached."""


@kernel
def _part_at(order, key, start, stop, half):
    """Reorder order[start:stop] so that no key before position `half` is above one from there on (quickselect)."""
    low, high = start, stop - 1
    while low < high:
        pivot = key[order[(low + high) // 2]]
        i, j = low, high
        while i <= j:
            while key[order[i]] < pivot:
                i += 1
            while key[order[j]] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if half <= j:
            high = j
        elif half >= i:
            low = i
        else:
            return


@kernel
def build_tree(corners):
    """Boxes of a binary tree over triangles (m, 3, 3), each cut at the median of its longest side.

    Returns low and high (k, 3) of every node, `child` (k,) (the first of two children, next to each other, or -1),
    `start` and `stop` (k,) of a leaf's triangles in `order` (m,).
    """
    m = corners.shape[0]
    order = np.arange(m)
    middles = np.empty((m, 3))
    for t in range(m):
        for a in range(3):
            middles[t, a] = corners[t, 0, a] + corners[t, 1, a] + corners[t, 2, a]
    most = max(1, 2 * m)
    low, high = np.empty((most, 3)), np.empty((most, 3))
    child, start, stop = np.full(most, -1), np.zeros(most, np.int64), np.zeros(most, np.int64)
    stop[0] = m
    n = 1
    node = 0
    while node < n:
        for a in range(3):
            low[node, a], high[node, a] = np.inf, -np.inf
        for i in range(start[node], stop[node]):
            for k in range(3):
                for a in range(3):
                    low[node, a] = min(low[node, a], corners[order[i], k, a])
                    high[node, a] = max(high[node, a], corners[order[i], k, a])
        count = stop[node] - start[node]
        if count > _LEAF:
            axis = 0
            for a in range(1, 3):
                if high[node, a] - low[node, a] > high[node, axis] - low[node, axis]:
                    axis = a
            half = start[node] + count // 2
            _part_at(order, middles[:, axis], start[node], stop[node], half)
            child[node] = n
            start[n], stop[n] = start[node], half
            start[n + 1], stop[n + 1] = half, stop[node]
            n += 2
        node += 1
    return low[:n].copy(), high[:n].copy(), child[:n].copy(), start[:n].copy(), stop[:n].copy(), order


@kernel
def _box_distance2(p, low, high):
    """Squared distance of a point from a box."""
    d = 0.0
    for a in range(3):
        gap = max(max(low[a] - p[a], p[a] - high[a]), 0.0)
        d += gap * gap
    return d


@kernel
def _on_triangle(p, t):
    """Barycentric place of the point of triangle t (3, 3) closest to p, and the feature it lies on (Ericson 2005)."""
    d1 = d2 = d3 = d4 = d5 = d6 = 0.0
    for i in range(3):
        ab, ac = t[1, i] - t[0, i], t[2, i] - t[0, i]
        d1 += ab * (p[i] - t[0, i])
        d2 += ac * (p[i] - t[0, i])
        d3 += ab * (p[i] - t[1, i])
        d4 += ac * (p[i] - t[1, i])
        d5 += ab * (p[i] - t[2, i])
        d6 += ac * (p[i] - t[2, i])
    if d1 <= 0.0 and d2 <= 0.0:
        return 1.0, 0.0, 0.0, CORNER
    if d3 >= 0.0 and d4 <= d3:
        return 0.0, 1.0, 0.0, CORNER + 1
    vc = d1 * d4 - d3 * d2
    if vc <= 0.0 and d1 >= 0.0 and d3 <= 0.0:
        v = d1 / (d1 - d3) if d1 > d3 else 0.0
        return 1.0 - v, v, 0.0, EDGE
    if d6 >= 0.0 and d5 <= d6:
        return 0.0, 0.0, 1.0, CORNER + 2
    vb = d5 * d2 - d1 * d6
    if vb <= 0.0 and d2 >= 0.0 and d6 <= 0.0:
        w = d2 / (d2 - d6) if d2 > d6 else 0.0
        return 1.0 - w, 0.0, w, EDGE + 2
    va = d3 * d6 - d5 * d4
    if va <= 0.0 and d4 >= d3 and d5 >= d6:
        span = (d4 - d3) + (d5 - d6)
        w = (d4 - d3) / span if span > 0.0 else 0.0
        return 0.0, 1.0 - w, w, EDGE + 1
    total = va + vb + vc
    return va / total, vb / total, vc / total, FACE


@kernel(parallel=True)
def closest_on_triangles(queries, directions, least, corners, normals, low, high, child, start, stop, order):
    """Closest point of triangles to every query.

    With `directions` (n, 3) only triangles whose unit normal has a product of more than `least` with the query's
    direction count; with none (0, 3) all do. Returns places (n, 3) barycentric, triangle ids (n,) (-1 where none
    counts), features (n,). Each query is one thread's.
    """
    n = queries.shape[0]
    places, ids, features = np.zeros((n, 3)), np.full(n, -1), np.full(n, FACE)
    is_filtered = directions.shape[0] == n and n > 0
    for q in prange(n):
        p = queries[q]
        best = np.inf
        stack = np.empty(_DEPTH, np.int64)
        far = np.empty(_DEPTH)
        stack[0], far[0] = 0, _box_distance2(p, low[0], high[0])
        waiting = 1
        while waiting > 0:
            waiting -= 1
            node = stack[waiting]
            if far[waiting] >= best:
                continue
            c = child[node]
            if c >= 0:
                near, other = c, c + 1
                d_near, d_other = _box_distance2(p, low[near], high[near]), _box_distance2(p, low[other], high[other])
                if d_other < d_near:
                    near, other = other, near
                    d_near, d_other = d_other, d_near
                stack[waiting], far[waiting] = other, d_other
                stack[waiting + 1], far[waiting + 1] = near, d_near
                waiting += 2
                continue
            for i in range(start[node], stop[node]):
                t = order[i]
                if is_filtered:
                    along = 0.0
                    for a in range(3):
                        along += directions[q, a] * normals[t, a]
                    if along <= least:
                        continue
                u, v, w, feature = _on_triangle(p, corners[t])
                d = 0.0
                for a in range(3):
                    gap = p[a] - (u * corners[t, 0, a] + v * corners[t, 1, a] + w * corners[t, 2, a])
                    d += gap * gap
                if d < best:
                    best = d
                    places[q, 0], places[q, 1], places[q, 2] = u, v, w
                    ids[q], features[q] = t, feature
    return places, ids, features
