"""The sum of cells into a sparse matrix: pattern, order of the sum, threads, members."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from lattices import mixed_elasticity, uniform
from numpy.testing import assert_allclose, assert_array_equal
from solid_meshes import solid_box, solid_cylinder

from fesolver.errors import InputError
from fesolver.fem.assembly import assemble_stiffness, stiffness_pattern
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import Elasticity, Members, Problem
from fesolver.fem.threads import kernel_threads


def scrambled(element: str, integration: str = "b-bar") -> Problem:
    """A cylinder with points and cells in random order, isotropic and general cells."""
    points, cells = solid_cylinder(element, 2, 1, 3)
    rng = np.random.default_rng(5)
    order = rng.permutation(len(points))
    place = np.argsort(order)
    cells = place[rng.permutation(cells)]
    return Problem(points[order], cells, mixed_elasticity(len(cells), 3), element=element, integration=integration)


def one_by_one(problem: Problem) -> np.ndarray:
    """Dense K, the matrices of single cells added in ascending order."""
    n, dense = problem.points.size, 0.0
    dense = np.zeros((n, n))
    for e, ids in enumerate(problem.cells):
        at = np.flatnonzero(problem.elasticity.general_cells == e)
        alone = Problem(
            problem.points[ids],
            np.arange(len(ids))[None],
            Elasticity(
                problem.elasticity.young[[e]], problem.elasticity.poisson[[e]], np.zeros(len(at), np.int64),
                problem.elasticity.general_matrices[at],
            ),
            element=problem.element, integration=problem.integration,
        )  # fmt: skip
        dofs = (3 * ids[:, None] + np.arange(3)).ravel()
        dense[np.ix_(dofs, dofs)] += assemble_stiffness(alone).toarray()
    return dense


@pytest.mark.parametrize("element", ELEMENTS)
def test_the_matrix_is_the_sum_of_its_cells_in_ascending_order_to_the_bit(element):
    problem = scrambled(element)

    K = assemble_stiffness(problem)

    assert_array_equal(K.toarray(), one_by_one(problem))


def test_incompatible_modes_are_condensed_cell_by_cell():
    problem = scrambled("hex8", "incompatible")

    assert_array_equal(assemble_stiffness(problem).toarray(), one_by_one(problem))


@pytest.mark.parametrize("element", ELEMENTS)
def test_the_pattern_has_a_block_for_every_pair_of_points_of_a_cell_and_no_other(element):
    problem = scrambled(element)
    n = len(problem.points)
    is_pair = np.zeros((n, n), dtype=bool)
    for ids in problem.cells:
        is_pair[np.ix_(ids, ids)] = True

    pattern = stiffness_pattern(problem)

    rows = np.repeat(np.arange(n), np.diff(pattern.starts))
    assert_array_equal(np.column_stack([rows, pattern.columns]), np.argwhere(is_pair))
    assert pattern.columns.dtype == np.int32
    ends = rows[pattern.slots], pattern.columns[pattern.slots]
    assert_array_equal(ends[0], np.broadcast_to(problem.cells[:, :, None], pattern.slots.shape))
    assert_array_equal(ends[1], np.broadcast_to(problem.cells[:, None, :], pattern.slots.shape))


@pytest.mark.parametrize(("element", "integration"), [("tet10", "full"), ("hex8", "b-bar"), ("hex8", "incompatible")])
def test_threads_and_slabs_do_not_change_a_bit(element, integration):
    problem = scrambled(element, integration)
    with kernel_threads(1):
        expected = assemble_stiffness(problem)

    with kernel_threads(2):
        two = assemble_stiffness(problem)
    cut = assemble_stiffness(problem, stiffness_pattern(problem, n_slabs=7))

    assert_array_equal(two.data, expected.data)
    assert_array_equal(cut.data, expected.data)
    assert_array_equal(two.indices, expected.indices)


def test_a_pattern_used_again_gives_the_bits_of_a_fresh_assembly():
    problem = scrambled("tet10")
    pattern = stiffness_pattern(problem)
    moved = replace(
        problem, points=1.1 * problem.points[:, [1, 2, 0]], elasticity=uniform(len(problem.cells), 7.0, 0.2)
    )

    again = assemble_stiffness(moved, pattern)

    assert_array_equal(again.data, assemble_stiffness(moved).data)
    assert again.blocksize == (3, 3)


def test_a_pattern_of_another_mesh_or_of_other_members_is_refused():
    problem = scrambled("tet4")
    pattern = stiffness_pattern(problem)
    spring = Members("spring", np.array([[0, -1]]), np.eye(3)[None])

    with pytest.raises(InputError, match="belongs to another mesh"):
        assemble_stiffness(replace(problem, cells=problem.cells[::-1]), pattern)
    with pytest.raises(InputError, match="belongs to other members"):
        assemble_stiffness(replace(problem, members=(spring,)), pattern)


def test_members_add_their_stiffness_between_their_ends_and_to_ground():
    """One spring within a cell, two in parallel between far points, one to ground, one to a point of no cell."""
    points, cells = solid_box("hex8", (1, 1, 3))
    points = np.vstack([points, [[5.0, 0.0, 0.0]]])
    last = len(points) - 1
    root = np.random.default_rng(3).standard_normal((5, 3, 3))
    S = root @ root.transpose(0, 2, 1)
    first = Members("first", np.array([[0, 1], [0, last - 1], [last - 1, 0]]), S[:3])
    second = Members("second", np.array([[2, -1], [2, last]]), S[3:])
    problem = Problem(points, cells, uniform(len(cells)), members=(first, second))
    expected = assemble_stiffness(replace(problem, members=())).toarray().reshape(len(points), 3, -1, 3)
    for (i, j), block in zip(np.vstack([first.ends, second.ends]), S, strict=True):
        expected[i, :, i] += block
        if j >= 0:
            expected[j, :, j] += block
            expected[i, :, j] -= block
            expected[j, :, i] -= block

    K = assemble_stiffness(problem).toarray()

    assert_allclose(K, expected.reshape(K.shape), rtol=0, atol=1e-12 * np.abs(K).max())
    assert_array_equal(K[3 * last :, 3 * last :], S[4])


def test_ids_outside_the_mesh_are_refused():
    points, cells = solid_box("wedge6")
    problem = Problem(points, cells, uniform(len(cells)), element="wedge6")

    with pytest.raises(InputError, match="cells name points 0 to 99, there are 27"):
        stiffness_pattern(replace(problem, cells=np.where(cells == 5, 99, cells)))
    with pytest.raises(InputError, match="a member names a point that does not exist"):
        stiffness_pattern(replace(problem, members=(Members("far", np.array([[0, 27]]), np.eye(3)[None]),)))
    with pytest.raises(InputError, match=r"cells of hex20 must have shape \(n_cells, 20\), got \(16, 6\)"):
        stiffness_pattern(replace(problem, element="hex20"))
    with pytest.raises(InputError, match="unknown integration 'reduced'"):
        stiffness_pattern(replace(problem, integration="reduced"))
