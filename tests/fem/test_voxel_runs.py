"""Rows of cells and nodes against a plain walk over the box."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from fesolver.fem.voxel_mesh import voxel_mesh
from fesolver.fem.voxel_runs import PADDING, CellRuns, cell_runs, node_runs, number_nodes

EDGES = ((0, 0), (1, 0), (0, 1), (1, 1))
"""(y, z) of a cell's edges along x, in the order of a run's nodes."""

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def masks(draw: st.DrawFn) -> NDArray[np.bool_]:
    """Shapes (nz, ny, nx) with empty layers, lone cells, full boxes and rows around multiples of eight."""
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.sampled_from([1, 2, 5, 7, 8, 9, 16, 17, 19])))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    active = rng.random(shape) < draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    active[rng.random(shape[0]) < draw(st.sampled_from([0.0, 0.5]))] = False
    return active


def coarse_mask(active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Blocks of 2 x 2 x 2 that hold a cell."""
    out = np.zeros([(n + 1) // 2 for n in active.shape], dtype=bool)
    for cell in np.argwhere(active):
        out[tuple(cell // 2)] = True
    return out


def cells_of(runs: CellRuns) -> list[tuple[int, int, list[int]]]:
    """Slot, layer and first node of the four edges of every cell, walking along the runs."""
    found = []
    for layer, (first, last) in enumerate(zip(runs.layers[:-1], runs.layers[1:], strict=True)):
        for chunk, length, *nodes in runs.runs[first:last].tolist():
            found += [(8 * chunk + i, layer, [node + i for node in nodes]) for i in range(length)]
    return found


@SETTINGS
@given(active=masks())
def test_nodes_are_numbered_as_the_points_of_the_mesh(active):
    nodes, number = number_nodes(active)

    assert number.shape == tuple(n + 1 for n in active.shape)
    per_plane = (number >= 0).sum(axis=(1, 2))
    assert_array_equal(nodes.planes, np.concatenate([[0], np.cumsum(per_plane)]))
    assert (nodes.count, nodes.stride) == (per_plane.sum(), per_plane.sum() + PADDING)
    assert nodes.largest_plane == per_plane.max() + PADDING
    if active.any():
        _, _, lattice = voxel_mesh(active.T, 1.0)
        i, j, k = lattice.point_index.T
        assert_array_equal(number[k, j, i], np.arange(len(i)))
        assert nodes.count == len(i)
    else:
        assert np.all(number == -1)


@SETTINGS
@given(active=masks())
def test_runs_visit_every_cell_once_with_its_nodes_and_its_slot(active):
    _, number = number_nodes(active)
    runs = cell_runs(active, number)
    expected = [
        (int(k), [int(number[k + z, j + y, i]) for y, z in EDGES])
        for k, j, i in np.argwhere(active)  # z, y, x
    ]

    found = cells_of(runs)

    assert [(layer, nodes) for _, layer, nodes in found] == expected
    assert_array_equal(runs.slots, [slot for slot, _, _ in found])
    assert len(np.unique(runs.slots)) == len(runs.slots)
    assert runs.n_slots == 8 * sum(-(-length // 8) for length in runs.runs[:, 1].tolist())
    assert len(runs.layers) == len(active) + 1
    assert runs.runs.dtype == runs.slots.dtype == np.int32


@SETTINGS
@given(active=masks())
def test_runs_are_as_long_as_they_can_be_and_start_on_a_chunk_of_their_own(active):
    _, number = number_nodes(active)
    runs = cell_runs(active, number)
    at = [tuple(p) for p in np.argwhere(active)]
    starts = [(k, j, i) for k, j, i in at if i == 0 or not active[k, j, i - 1]]
    ends = [(k, j, i) for k, j, i in at if i == active.shape[2] - 1 or not active[k, j, i + 1]]

    chunks, lengths = runs.runs[:, 0], runs.runs[:, 1]

    assert_array_equal(lengths, [end[2] - start[2] + 1 for start, end in zip(starts, ends, strict=True)])
    assert_array_equal(chunks, np.concatenate([[0], np.cumsum(-(-lengths // 8))])[:-1])


@SETTINGS
@given(active=masks(), seed=st.integers(0, 2**16))
def test_runs_of_a_part_of_the_cells_use_the_nodes_of_all(active, seed):
    _, number = number_nodes(active)
    part = active & (np.random.default_rng(seed).random(active.shape) < 0.6)

    found = cells_of(cell_runs(part, number))

    assert [nodes for _, _, nodes in found] == [
        [int(number[k + z, j + y, i]) for y, z in EDGES] for k, j, i in np.argwhere(part)
    ]


@SETTINGS
@given(active=masks())
def test_node_runs_find_the_coarse_nodes_around_every_node(active):
    _, number = number_nodes(active)
    coarse_active = coarse_mask(active)
    _, coarse = number_nodes(coarse_active)
    runs = node_runs(number, coarse)
    seen = []

    for k, (first, last) in enumerate(zip(runs.planes[:-1], runs.planes[1:], strict=True)):
        for node, x, length, j, *rows in runs.runs[first:last].tolist():
            for i in range(x, x + length):
                seen.append(node + i - x)
                assert number[k, j, i] == node + i - x
                for at, (y, z) in zip(rows, EDGES, strict=True):
                    for up in (0, 1):  # an even place lies on its coarse node, an odd one between two
                        assert at + (i + up) // 2 == coarse[(k + z) // 2, (j + y) // 2, (i + up) // 2] >= 0

    assert_array_equal(seen, np.arange(number.max() + 1))
    assert runs.longest == max(runs.runs[:, 2], default=0)


@pytest.mark.parametrize("nx", [7, 8, 9, 16, 17])
def test_a_full_box_is_one_run_per_row(nx):
    active = np.ones((3, 2, nx), dtype=bool)
    nodes, number = number_nodes(active)

    runs = cell_runs(active, number)

    assert_array_equal(runs.runs[:, 1], nx)
    assert_array_equal(runs.layers, [0, 2, 4, 6])
    assert nodes.count == 4 * 3 * (nx + 1)
    # Row (y, z) starts at node (nx + 1) (3 z + y).
    assert_array_equal(runs.runs[:, 2] // (nx + 1), [0, 1, 3, 4, 6, 7])


def test_empty_layers_have_no_runs_and_one_cell_has_eight_nodes():
    active = np.zeros((4, 3, 5), dtype=bool)
    active[2, 1, 3] = True
    nodes, number = number_nodes(active)

    runs = cell_runs(active, number)

    assert_array_equal(runs.layers, [0, 0, 0, 1, 1])
    assert_array_equal(runs.runs, [[0, 1, 0, 2, 4, 6]])
    assert_array_equal(nodes.planes, [0, 0, 0, 4, 8, 8])
    assert (nodes.count, runs.n_slots) == (8, 8)
