"""Memory of a solver before it is taken."""

from __future__ import annotations

__all__ = ["solver_memory_mb"]

MATRIX_BYTES = 24 * 24 * 4
"""One Galerkin matrix of a coarse cell, float32."""


def solver_memory_mb(shape: tuple[int, int, int], *, n_rigid: int = 3) -> float:
    """Peak of set-up and solve by voxel multigrid on a lattice of `shape` cells, MB.

    Notes
    -----
    Per unknown of the box: ten float64 vectors, seven float32 ones, and `n_rigid` float64 columns of the rigid motions;
    per cell: the moduli twice; per coarse cell one matrix, an eighth of the cells on each level (1 + 1/8 + ... = 8/7).
    """
    nx, ny, nz = shape
    unknowns = 3 * (nx + 1) * (ny + 1) * (nz + 1)
    cells = nx * ny * nz
    coarse = -(-nx // 2) * -(-ny // 2) * -(-nz // 2)
    total = unknowns * (10 * 8 + 7 * 4 + 2 * 8 * n_rigid) + cells * 32 + coarse * 8 / 7 * MATRIX_BYTES
    return total / 1e6
