"""Rays through a labelled grid."""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

from numba import prange

from fesolver.fem.kernels.jit import kernel

__all__ = ["cast_columns"]


@kernel(parallel=True)
def cast_columns(body, cells, direction, upper, lower, max_steps, step, distance, layers):
    """Look from each cell's centre along +direction for the body `upper`, along -direction for `lower`.

    Writes the distance (in lengths of `direction`) ahead and behind into `distance` (n, 2), negative where the first
    body met is another one or none, and into `layers` (n,) how many cells the column crosses along the direction's
    largest component.
    """
    nx, ny, nz = body.shape
    main = 0
    for a in range(1, 3):
        if abs(direction[a]) > abs(direction[main]):
            main = a
    for n in prange(cells.shape[0]):
        reach0 = 0
        reach1 = 0
        for side in range(2):
            sign = 1.0 if side == 0 else -1.0
            wanted = upper if side == 0 else lower
            distance[n, side] = -1.0
            last = cells[n, main]
            for s in range(1, max_steps + 1):
                i = int(cells[n, 0] + 0.5 + sign * s * step * direction[0])
                j = int(cells[n, 1] + 0.5 + sign * s * step * direction[1])
                k = int(cells[n, 2] + 0.5 + sign * s * step * direction[2])
                if i < 0 or j < 0 or k < 0 or i >= nx or j >= ny or k >= nz:
                    break
                if body[i, j, k] != 0:
                    if body[i, j, k] == wanted:
                        distance[n, side] = (s - 0.5) * step
                    break
                last = i if main == 0 else (j if main == 1 else k)
            if side == 0:
                reach0 = last
            else:
                reach1 = last
        layers[n] = abs(reach0 - reach1) + 1
