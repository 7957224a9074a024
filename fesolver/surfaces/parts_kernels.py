"""Which places of a lattice lie inside a closed triangle surface, by rays along z."""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from fesolver.fem.kernels.jit import kernel

__all__ = ["fill_lattice"]


@kernel
def _crossing(points, triangle, x, y):
    """Height at which the vertical line through (x, y) meets a triangle, nan where it passes by."""
    a, b, c = triangle
    ax, ay = points[a, 0] - x, points[a, 1] - y
    bx, by = points[b, 0] - x, points[b, 1] - y
    cx, cy = points[c, 0] - x, points[c, 1] - y
    wa = bx * cy - by * cx
    wb = cx * ay - cy * ax
    wc = ax * by - ay * bx
    # A line exactly through an edge meets neither triangle: callers keep their lines off the surface's points.
    if not ((wa > 0.0 and wb > 0.0 and wc > 0.0) or (wa < 0.0 and wb < 0.0 and wc < 0.0)):
        return np.nan
    return (wa * points[a, 2] + wb * points[b, 2] + wc * points[c, 2]) / (wa + wb + wc)


@kernel
def fill_lattice(points, triangles, low, step, shape):
    """Lattice places `low + index * step` inside the surface, (nx, ny, nz) bool."""
    nx, ny, nz = shape
    inside = np.zeros((nx, ny, nz), dtype=np.bool_)
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t]
        x0 = min(points[a, 0], points[b, 0], points[c, 0])
        x1 = max(points[a, 0], points[b, 0], points[c, 0])
        y0 = min(points[a, 1], points[b, 1], points[c, 1])
        y1 = max(points[a, 1], points[b, 1], points[c, 1])
        i0, i1 = max(0, int(np.ceil((x0 - low[0]) / step))), min(nx - 1, int(np.floor((x1 - low[0]) / step)))
        j0, j1 = max(0, int(np.ceil((y0 - low[1]) / step))), min(ny - 1, int(np.floor((y1 - low[1]) / step)))
        for i in range(i0, i1 + 1):
            for j in range(j0, j1 + 1):
                z = _crossing(points, triangles[t], low[0] + i * step, low[1] + j * step)
                if not np.isnan(z):
                    k = max(0, int(np.ceil((z - low[2]) / step)))
                    if k < nz:
                        inside[i, j, k] = not inside[i, j, k]
    for i in range(nx):
        for j in range(ny):
            for k in range(1, nz):
                inside[i, j, k] = inside[i, j, k] != inside[i, j, k - 1]
    return inside
