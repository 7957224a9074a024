"""Hexahedra from the active cells of a regular grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.problem import Lattice

__all__ = ["VTK_CORNERS", "corner_points", "voxel_mesh"]

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
    nx, ny, nz = active.shape
    used = np.ascontiguousarray(corner_points(active).T)  # points are numbered with x fastest, cells with z fastest
    number = np.cumsum(used, dtype=np.int32 if used.size < 2**31 else np.int64)
    number = np.ascontiguousarray(number.reshape(used.shape).T).ravel()
    np.subtract(number, 1, out=number)
    cell_index = _grid_positions(active)
    stride = np.array([(ny + 1) * (nz + 1), nz + 1, 1])
    first = cell_index @ stride
    cells = np.empty((len(cell_index), 8), dtype=np.int64)
    for corner, offset in enumerate(VTK_CORNERS @ stride):
        cells[:, corner] = number[first + offset]
    point_index = np.ascontiguousarray(_grid_positions(used)[:, ::-1])
    lattice = Lattice(shape=(nx, ny, nz), spacing=step, origin=start, cell_index=cell_index, point_index=point_index)
    return start + point_index * step, cells, lattice


def corner_points(active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Grid points (nx + 1, ny + 1, nz + 1) that are a corner of an active cell."""
    used = np.pad(active, [(0, 1)] * 3)
    used[1:] |= used[:-1]
    used[:, 1:] |= used[:, :-1]
    used[:, :, 1:] |= used[:, :, :-1]
    return used


def _grid_positions(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """What `np.argwhere` gives, in a third of its memory."""
    _, ny, nz = mask.shape
    flat = np.flatnonzero(mask)
    index = np.empty((len(flat), 3), dtype=np.int32)
    row = flat // nz
    index[:, 2] = flat - row * nz
    index[:, 0] = row // ny
    index[:, 1] = row - index[:, 0] * np.int64(ny)
    return index
