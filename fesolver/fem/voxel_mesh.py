"""Hexahedra from the active cells of a regular grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.problem import Lattice

__all__ = ["VTK_CORNERS", "voxel_mesh"]

VTK_CORNERS = np.array(
    [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=np.int64
)
"""Grid offsets of a cell's points, in VTK order."""


def voxel_mesh(
    active: NDArray[np.bool_], spacing: ArrayLike, origin: ArrayLike = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.int64], Lattice]:
    """Points, cells and lattice of the active cells.

    Parameters
    ----------
    active : (nx, ny, nz) ndarray of bool
        Cells to keep.
    spacing : float or (3,) array_like
        Cell edges, mm.
    origin : float or (3,) array_like
        Lower corner of cell (0, 0, 0), mm.

    Returns
    -------
    points : (n_points, 3) ndarray
        mm; only points of active cells, x fastest.
    cells : (n_cells, 8) ndarray of int64
        VTK order; cells in the order of `np.argwhere(active)`.
    lattice : Lattice

    Raises
    ------
    InputError
        If no cell is active or the spacing is not positive.
    """
    step = np.broadcast_to(np.asarray(spacing, dtype=np.float64), 3).copy()
    start = np.broadcast_to(np.asarray(origin, dtype=np.float64), 3).copy()
    if not np.all(step > 0):
        raise InputError(f"the cell size must be positive, got {step.tolist()} mm")
    if active.ndim != 3 or not active.any():
        raise InputError(f"no cell is active in a grid of shape {active.shape}", fix="give moduli above zero")
    cell_index = np.argwhere(active)
    nx, ny, nz = active.shape
    corners = cell_index[:, None] + VTK_CORNERS
    flat = (corners[..., 2] * (ny + 1) + corners[..., 1]) * (nx + 1) + corners[..., 0]
    is_used = np.zeros((nx + 1) * (ny + 1) * (nz + 1), dtype=bool)
    is_used[flat.ravel()] = True
    used = np.flatnonzero(is_used)
    number = np.full(len(is_used), -1, dtype=np.int64)
    number[used] = np.arange(len(used))
    point_index = np.stack([used % (nx + 1), used // (nx + 1) % (ny + 1), used // ((nx + 1) * (ny + 1))], axis=1)
    lattice = Lattice(
        shape=(nx, ny, nz),
        spacing=step,
        origin=start,
        cell_index=cell_index.astype(np.int32),
        point_index=point_index.astype(np.int32),
    )
    return start + point_index * step, number[flat], lattice
