"""Whether a mesh is where its lattice says."""

from numba import prange

from fesolver.fem.kernels.jit import kernel

CHECKED = 4096
"""Points and cells checked together."""


@kernel(parallel=True)
def count_misplaced(points, point_index, cells, cell_index, origin, spacing, tolerance, misplaced):
    """Points further than `tolerance` from their place on the lattice, cells whose points are not at their corners.

    Corners in VTK order; misplaced (2, n_blocks): numbers among each `CHECKED` points and cells.
    """
    for block in prange(misplaced.shape[1]):
        wrong = 0
        for p in range(CHECKED * block, min(CHECKED * (block + 1), points.shape[0])):
            is_near = True
            for d in range(3):
                is_near &= abs(origin[d] + point_index[p, d] * spacing[d] - points[p, d]) <= tolerance
            wrong += not is_near
        misplaced[0, block] = wrong
        wrong = 0
        for e in range(CHECKED * block, min(CHECKED * (block + 1), cells.shape[0])):
            is_corner = True
            for a in range(8):
                p = cells[e, a]
                is_corner &= point_index[p, 0] == cell_index[e, 0] + (((a + 1) >> 1) & 1)
                is_corner &= point_index[p, 1] == cell_index[e, 1] + ((a >> 1) & 1)
                is_corner &= point_index[p, 2] == cell_index[e, 2] + (a >> 2)
            wrong += not is_corner
        misplaced[1, block] = wrong
