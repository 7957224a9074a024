"""The shadow of a cloud of points on a raster."""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from fesolver.fem.kernels.jit import kernel

__all__ = ["cast_shadow"]


@kernel
def cast_shadow(points, across, pixel):
    """Pixels hit by points (n, 3) projected on the rows of `across` (2, 3), with one empty pixel around; its corner."""
    n = points.shape[0]
    flat = np.empty((n, 2))
    low0, low1 = np.inf, np.inf
    high0, high1 = -np.inf, -np.inf
    for i in range(n):
        a = points[i, 0] * across[0, 0] + points[i, 1] * across[0, 1] + points[i, 2] * across[0, 2]
        b = points[i, 0] * across[1, 0] + points[i, 1] * across[1, 1] + points[i, 2] * across[1, 2]
        flat[i, 0], flat[i, 1] = a, b
        low0, low1 = min(low0, a), min(low1, b)
        high0, high1 = max(high0, a), max(high1, b)
    low = np.array([low0 - 1.5 * pixel, low1 - 1.5 * pixel])
    shape0 = int((high0 - low[0]) / pixel) + 2
    shape1 = int((high1 - low[1]) / pixel) + 2
    shadow = np.zeros((shape0, shape1), dtype=np.bool_)
    for i in range(n):
        shadow[int((flat[i, 0] - low[0]) / pixel), int((flat[i, 1] - low[1]) / pixel)] = True
    return shadow, low
