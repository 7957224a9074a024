"""Where the points of a surface would rather stand: relaxed in the tangent plane, or along their feature line."""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel

__all__ = ["FIXED", "FREE", "closest_on_lines", "relaxed_points"]

FREE, FIXED = -1, -2
"""Instead of the number of a feature line: a point that moves in the surface, and one that stays."""


@kernel(parallel=True)
def relaxed_points(points, triangles, twin, leaving, curve, is_fixed, size):
    """Relaxed place (n, 3), unit normal (n, 3) and feature line (n,) of every point; `FREE` or `FIXED` off the lines.

    A free point goes to the mean of its triangles' centres, weighted by their area in units of the wanted one and cut
    to the tangent plane; one on a line to the middle of its neighbours there.
    """
    n = points.shape[0]
    targets, normals, lines = np.empty((n, 3)), np.zeros((n, 3)), np.full(n, FREE)
    for p in prange(n):
        first = leaving[p]
        h = first
        centre, middle = np.zeros(3), np.zeros(3)
        total, count = 0.0, 0
        while True:
            t = h // 3
            k = h % 3
            b, c = triangles[t, (k + 1) % 3], triangles[t, (k + 2) % 3]
            ux, uy, uz = points[b, 0] - points[p, 0], points[b, 1] - points[p, 1], points[b, 2] - points[p, 2]
            vx, vy, vz = points[c, 0] - points[p, 0], points[c, 1] - points[p, 1], points[c, 2] - points[p, 2]
            x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
            normals[p, 0] += x
            normals[p, 1] += y
            normals[p, 2] += z
            wanted = (size[p] + size[b] + size[c]) / 3.0
            weight = np.sqrt(x * x + y * y + z * z) / (wanted * wanted)
            total += weight
            for a in range(3):
                centre[a] += weight * (points[p, a] + points[b, a] + points[c, a]) / 3.0
            if curve[h] >= 0:
                count += 1
                lines[p] = curve[h]
                for a in range(3):
                    middle[a] += 0.5 * points[b, a]
            h = twin[h + 2 if h % 3 == 0 else h - 1]
            if h == first:
                break
        if is_fixed[p] or (count != 0 and count != 2) or total == 0.0:
            lines[p] = FIXED
        long = np.sqrt(normals[p, 0] ** 2 + normals[p, 1] ** 2 + normals[p, 2] ** 2)
        above = 0.0
        for a in range(3):
            normals[p, a] /= max(long, 1e-300)
        if lines[p] == FREE:
            for a in range(3):
                above += (centre[a] / total - points[p, a]) * normals[p, a]
        for a in range(3):
            if lines[p] == FIXED:
                targets[p, a] = points[p, a]
            elif lines[p] == FREE:
                targets[p, a] = centre[a] / total - above * normals[p, a]
            else:
                targets[p, a] = middle[a]
    return targets, normals, lines


@kernel(parallel=True)
def closest_on_lines(queries, lines, starts, segments):
    """Closest point of every query's own feature line; line i has segments[starts[i] : starts[i + 1]] (s, 2, 3)."""
    out = queries.copy()
    for q in prange(queries.shape[0]):
        if lines[q] < 0:
            continue
        best = np.inf
        for s in range(starts[lines[q]], starts[lines[q] + 1]):
            along, square = 0.0, 0.0
            for a in range(3):
                edge = segments[s, 1, a] - segments[s, 0, a]
                along += edge * (queries[q, a] - segments[s, 0, a])
                square += edge * edge
            part = min(max(along / square, 0.0), 1.0) if square > 0.0 else 0.0
            far = 0.0
            for a in range(3):
                on = segments[s, 0, a] + part * (segments[s, 1, a] - segments[s, 0, a])
                far += (queries[q, a] - on) ** 2
            if far < best:
                best = far
                for a in range(3):
                    out[q, a] = segments[s, 0, a] + part * (segments[s, 1, a] - segments[s, 0, a])
    return out
