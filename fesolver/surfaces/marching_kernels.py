"""Level surfaces of values on a lattice, by tetrahedra.

Every cube of the lattice is cut into the six tetrahedra around its diagonal (Kuhn): along the faces of cubes they meet
edge to edge, a tetrahedron's values have one linear level surface, and so the triangles close without a table of cases.
"""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from fesolver.fem.kernels.jit import kernel

__all__ = ["level_triangles"]

_LEAST_PART = 0.05
"""Points keep this share of their edge's length from its ends, so that no triangle shrinks to nothing."""

_PATHS = np.array(
    [[1, 2, 4], [1, 4, 2], [2, 1, 4], [2, 4, 1], [4, 1, 2], [4, 2, 1]],
    dtype=np.int64,
)
"""Orders in which the three axes (1, 2, 4) lead from corner 0 of a cube to corner 7: one tetrahedron each."""


@kernel
def _count(values, level):
    """Edges (of the seven that begin at each point) that the level crosses, and an upper bound of the triangles."""
    ni, nj, nk = values.shape
    edges, triangles = 0, 0
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                here = values[i, j, k] > level
                inside, cube = 0, 0
                for e in range(8):
                    p, q, r = i + (e & 1), j + ((e >> 1) & 1), k + (e >> 2)
                    if p < ni and q < nj and r < nk:
                        cube += 1
                        inside += values[p, q, r] > level
                        edges += (values[p, q, r] > level) != here
                if cube == 8 and 0 < inside < 8:
                    triangles += 12
    return edges, triangles


@kernel
def _crossing(values, level, ids, points, n, i, j, k, low, high):
    """Id of the point where the level crosses the edge between two corners of cube (i, j, k), and how many there are.

    `low` is part of `high` as bit patterns, so the edge begins at `low` in the direction `high - low`.
    """
    p, q, r = i + (low & 1), j + ((low >> 1) & 1), k + (low >> 2)
    step = high - low
    at = ids[p & 1, q, r, step]
    if at >= 0 and ids[p & 1, q, r, 0] == p:
        return at, n
    if ids[p & 1, q, r, 0] != p:
        ids[p & 1, q, r, :] = -1
        ids[p & 1, q, r, 0] = p
    a = values[p, q, r]
    b = values[p + (step & 1), q + ((step >> 1) & 1), r + (step >> 2)]
    part = min(max((level - a) / (b - a), _LEAST_PART), 1.0 - _LEAST_PART)
    points[n, 0] = p + part * (step & 1)
    points[n, 1] = q + part * ((step >> 1) & 1)
    points[n, 2] = r + part * (step >> 2)
    ids[p & 1, q, r, step] = n
    return n, n + 1


@kernel
def _is_turned(four, inside, x, y, z):
    """Whether the middles of three edges (pairs of corners of a cube) run clockwise seen from outside."""
    mid = np.empty((3, 3))
    for s in range(3):
        pair = x if s == 0 else (y if s == 1 else z)
        for a in range(3):
            mid[s, a] = 0.5 * (((pair[0] >> a) & 1) + ((pair[1] >> a) & 1))
    out = np.zeros(3)
    for c in range(4):
        sign = -1.0 if inside[c] else 1.0
        number = 0
        for d in range(4):
            number += inside[d] == inside[c]
        for a in range(3):
            out[a] += sign * ((four[c] >> a) & 1) / number
    u, v = mid[1] - mid[0], mid[2] - mid[0]
    normal0, normal1 = u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2]
    normal2 = u[0] * v[1] - u[1] * v[0]
    return normal0 * out[0] + normal1 * out[1] + normal2 * out[2] < 0.0


@kernel
def level_triangles(values, level):
    """Points (n, 3) in lattice units and triangles (m, 3) of the surface where values (ni, nj, nk) cross a level.

    Counter-clockwise seen from the side of lower values. Closed where the outermost values are below the level.
    """
    ni, nj, nk = values.shape
    n_edges, most = _count(values, level)
    points, triangles = np.empty((n_edges, 3)), np.empty((most, 3), np.int64)
    # Per point of two neighbouring sheets: its sheet's number, then the ids on the seven edges that begin there.
    ids = np.full((2, nj, nk, 8), -1, np.int64)
    n, m = 0, 0
    four, inside = np.empty(4, np.int64), np.empty(4, np.bool_)
    ins, outs = np.empty(4, np.int64), np.empty(4, np.int64)
    pairs = np.empty((4, 2), np.int64)
    found = np.empty(4, np.int64)
    for i in range(ni - 1):
        for j in range(nj - 1):
            for k in range(nk - 1):
                filled = 0
                for e in range(8):
                    filled += values[i + (e & 1), j + ((e >> 1) & 1), k + (e >> 2)] > level
                if filled == 0 or filled == 8:
                    continue
                for path in range(6):
                    four[0], four[3] = 0, 7
                    four[1] = _PATHS[path, 0]
                    four[2] = _PATHS[path, 0] + _PATHS[path, 1]
                    n_in, n_out = 0, 0
                    for c in range(4):
                        e = four[c]
                        inside[c] = values[i + (e & 1), j + ((e >> 1) & 1), k + (e >> 2)] > level
                        if inside[c]:
                            ins[n_in] = e
                            n_in += 1
                        else:
                            outs[n_out] = e
                            n_out += 1
                    if n_in == 0 or n_out == 0:
                        continue
                    # Crossed edges in order around the cut: three, or four as a ring.
                    count = 4 if n_in == 2 else 3
                    for s in range(count):
                        if n_in == 2:
                            pairs[s, 0], pairs[s, 1] = ins[s // 2], outs[(s + 1) // 2 % 2]
                        elif n_in == 1:
                            pairs[s, 0], pairs[s, 1] = ins[0], outs[s]
                        else:
                            pairs[s, 0], pairs[s, 1] = ins[s], outs[0]
                        low, high = min(pairs[s, 0], pairs[s, 1]), max(pairs[s, 0], pairs[s, 1])
                        found[s], n = _crossing(values, level, ids, points, n, i, j, k, low, high)
                    if _is_turned(four, inside, pairs[0], pairs[1], pairs[2]):
                        found[0], found[1] = found[1], found[0]
                        if count == 4:
                            found[2], found[3] = found[3], found[2]
                    triangles[m, 0], triangles[m, 1], triangles[m, 2] = found[0], found[1], found[2]
                    m += 1
                    if count == 4:
                        triangles[m, 0], triangles[m, 1], triangles[m, 2] = found[0], found[2], found[3]
                        m += 1
    return points[:n].copy(), triangles[:m].copy()
