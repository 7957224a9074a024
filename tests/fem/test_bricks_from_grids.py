"""Hexahedra of the active cells of a grid."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from lattices import CORNER_OFFSETS
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.errors import InputError
from fesolver.fem.voxel_mesh import corner_points, voxel_mesh


@settings(max_examples=100, deadline=None)
@given(active=arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=5)))
def test_cells_points_and_their_order(active):
    if not active.any():
        with pytest.raises(InputError, match="no cell is active"):
            voxel_mesh(active, 1.0)
        return
    spacing, origin = np.array([0.5, 1.0, 3.0]), np.array([-4.0, 7.0, 0.25])

    points, cells, lattice = voxel_mesh(active, spacing, origin)

    index = np.argwhere(active)
    corners = index[:, None] + CORNER_OFFSETS
    used = sorted({tuple(p) for p in corners.reshape(-1, 3).tolist()}, key=lambda p: p[::-1])  # x fastest
    assert_array_equal(lattice.cell_index, index)
    assert_array_equal(lattice.point_index, used)
    assert_array_equal(np.argwhere(corner_points(active)), sorted(used))
    assert_allclose(points, origin + np.array(used) * spacing, rtol=0, atol=0)  # powers of two: exact
    assert_array_equal(lattice.point_index[cells], corners)
    assert lattice.shape == active.shape
    assert (cells.dtype, lattice.cell_index.dtype, lattice.point_index.dtype) == (np.int64, np.int32, np.int32)
    assert all(a.flags.c_contiguous for a in (points, cells, lattice.cell_index, lattice.point_index))


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
def test_spacing_that_is_not_positive_is_refused(bad):
    with pytest.raises(InputError, match="cell size must be positive"):
        voxel_mesh(np.ones((1, 1, 1), dtype=bool), (1.0, bad, 1.0))


def test_memory_is_little_more_than_the_mesh_itself():
    """Per cell of a block: 64 bytes of ids, 12 of position, 36 per point; all 8 corners at once took 437."""
    active = np.ones((48, 48, 48), dtype=bool)

    tracemalloc.start()
    mesh = voxel_mesh(active, 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert len(mesh[1]) == active.size
    assert peak < 180 * active.size
