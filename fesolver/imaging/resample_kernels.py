"""Means of an image over the cells of an oblique grid."""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel

__all__ = ["cell_means"]


@kernel(parallel=True)
def cell_means(values, matrix, offset, shape, parts):
    """Mean of the trilinear interpolant over each cell, by the midpoints of `parts` sub-cells along each axis.

    Index in `values` = matrix @ (cell coordinate, in cells) + offset. Outside the image its edge value counts. Each
    cell's mean is summed by one thread in a fixed order.
    """
    nx, ny, nz = shape
    ni, nj, nk = values.shape
    out = np.empty((nx, ny, nz))
    for x in prange(nx):
        for y in range(ny):
            for z in range(nz):
                total = 0.0
                for a in range(parts[0]):
                    p = x + (a + 0.5) / parts[0]
                    for b in range(parts[1]):
                        q = y + (b + 0.5) / parts[1]
                        for c in range(parts[2]):
                            r = z + (c + 0.5) / parts[2]
                            u = matrix[0, 0] * p + matrix[0, 1] * q + matrix[0, 2] * r + offset[0]
                            v = matrix[1, 0] * p + matrix[1, 1] * q + matrix[1, 2] * r + offset[1]
                            w = matrix[2, 0] * p + matrix[2, 1] * q + matrix[2, 2] * r + offset[2]
                            u = min(max(u, 0.0), ni - 1.0)
                            v = min(max(v, 0.0), nj - 1.0)
                            w = min(max(w, 0.0), nk - 1.0)
                            i, j, k = min(int(u), ni - 2), min(int(v), nj - 2), min(int(w), nk - 2)
                            u, v, w = u - i, v - j, w - k
                            low = (values[i, j, k] * (1 - u) + values[i + 1, j, k] * u) * (1 - v) + (
                                values[i, j + 1, k] * (1 - u) + values[i + 1, j + 1, k] * u
                            ) * v
                            high = (values[i, j, k + 1] * (1 - u) + values[i + 1, j, k + 1] * u) * (1 - v) + (
                                values[i, j + 1, k + 1] * (1 - u) + values[i + 1, j + 1, k + 1] * u
                            ) * v
                            total += low * (1 - w) + high * w
                out[x, y, z] = total / (parts[0] * parts[1] * parts[2])
    return out
