"""Means of an image over the cubic cells of an oblique grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.frames import Frame
from fesolver.fem.voxel_mesh import VTK_CORNERS
from fesolver.imaging.cell_averages import CellAverages, cell_averages
from fesolver.imaging.volume import Volume

__all__ = ["mean_over_cells"]

_CELLS_AT_ONCE = 1 << 17


def mean_over_cells(
    volume: Volume, *, frame: Frame, origin: NDArray[np.float64], spacing: float, cells: NDArray[np.int64]
) -> CellAverages:
    """Exact mean of an image over cells of a grid.

    Parameters
    ----------
    volume : Volume
        Any quantity on any grid, constant in each voxel, and finite.
    frame : Frame
        Frame of the cells' grid in the image's space.
    origin : (3,) ndarray
        Lower corner of cell (0, 0, 0) in that frame, mm.
    spacing : float
        Cell edge, mm.
    cells : (n, 3) ndarray of int64
        Which cells.

    Returns
    -------
    CellAverages
        Means over what of a cell lies inside the image, 0 where nothing does.

    Raises
    ------
    InputError
        If voxels among the cells are not finite.

    Notes
    -----
    By the voxels' overlap with every cell (`fesolver.imaging.cell_averages`): every source voxel counts with its own
    volume wherever the cells lie, and cells that fill a body hold the image's own mass in it.
    """
    mean, covered = np.zeros(len(cells)), np.zeros(len(cells))
    for start in range(0, len(cells), _CELLS_AT_ONCE):
        part = slice(start, start + _CELLS_AT_ONCE)
        corners = frame.to_parent((origin + spacing * (cells[part, None] + VTK_CORNERS)).reshape(-1, 3))
        ids = np.arange(len(corners)).reshape(-1, 8)
        found = cell_averages(corners, ids, "hex8", volume, outside="covered")
        mean[part], covered[part] = found.mean, found.covered
    return CellAverages(mean, covered, np.full(len(cells), spacing**3))
