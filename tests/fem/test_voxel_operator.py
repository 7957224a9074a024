"""The matrix-free operator on a lattice against the dense reference."""

from __future__ import annotations

import numpy as np
import pytest
from dense_reference import dense_stiffness
from lattices import GRADIENT, box_mesh, is_on_box, uniform, varied_elasticity, voxel_mesh
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.fem.constraints import rigid_modes
from fesolver.fem.kernels.multigrid import stiffness_diagonal
from fesolver.fem.kernels.voxel import apply_stiffness
from fesolver.fem.problem import Problem
from fesolver.fem.voxel_operator import brick_modes, voxel_elasticity

SPACING = (0.7, 1.1, 1.6)


def apply_on_points(problem: Problem, u: np.ndarray, n_slabs: int = 1) -> np.ndarray:
    """K u by the voxel kernel, given and returned on the points of the mesh."""
    lattice = problem.lattice
    assert lattice is not None
    nx, ny, nz = lattice.shape
    i, j, k = lattice.point_index.T
    box = np.zeros((nz + 1, ny + 1, nx + 1, 3))
    box[k, j, i] = u
    out = np.full_like(box, np.nan)
    e = voxel_elasticity(problem.elasticity, lattice)
    is_bbar = problem.integration == "b-bar"
    modes = brick_modes(lattice.spacing, is_bbar=is_bbar)
    apply_stiffness(box, out, e.lam, e.mu, e.general, e.D, modes.constants, is_bbar, n_slabs)
    return out[k, j, i]


def holed_problem(integration: str = "b-bar") -> Problem:
    """A random mask with three different edges and a different material in every cell."""
    active = np.random.default_rng(2).random((3, 2, 4)) < 0.7
    points, cells, lattice = voxel_mesh(active, SPACING, origin=(3.0, -1.0, 7.0))
    return Problem(points, cells, varied_elasticity(len(cells)), lattice=lattice, integration=integration)


@pytest.mark.parametrize("integration", ["b-bar", "full"])
def test_voxel_operator_matches_a_dense_reference(integration):
    problem = holed_problem(integration)
    u = np.random.default_rng(6).standard_normal(problem.points.shape)
    expected = (dense_stiffness(problem) @ u.ravel()).reshape(-1, 3)

    assert_allclose(apply_on_points(problem, u), expected, rtol=0, atol=1e-13 * np.abs(expected).max() * 10)


@pytest.mark.parametrize("integration", ["b-bar", "full"])
def test_voxel_diagonal_matches_a_dense_reference(integration):
    problem = holed_problem(integration)
    lattice = problem.lattice
    assert lattice is not None
    nx, ny, nz = lattice.shape
    e = voxel_elasticity(problem.elasticity, lattice)
    m = brick_modes(lattice.spacing, is_bbar=integration == "b-bar")
    out = np.empty((nz + 1, ny + 1, nx + 1, 3))
    stiffness_diagonal(
        e.lam, e.mu, e.general, e.D, m.B, m.weights, np.diag(m.K_lam).copy(), np.diag(m.K_mu).copy(), out
    )
    i, j, k = lattice.point_index.T

    assert_allclose(out[k, j, i].ravel(), np.diag(dense_stiffness(problem)), rtol=1e-12)


@pytest.mark.parametrize("integration", ["b-bar", "full"])
def test_patch_linear_field_leaves_no_force_inside(integration):
    points, cells, lattice = box_mesh((4, 3, 5), SPACING)
    problem = Problem(points, cells, uniform(len(cells), 1000.0, 0.3), lattice=lattice, integration=integration)

    force = apply_on_points(problem, points @ GRADIENT.T)

    assert_allclose(force[~is_on_box(points)], 0.0, atol=1e-13 * np.abs(force).max() * 10)
    assert_allclose(force.sum(axis=0), 0.0, atol=1e-12 * np.abs(force).max())


def test_rigid_motions_leave_no_force_whatever_the_materials():
    problem = holed_problem()
    modes = rigid_modes(problem.points, [1.0, 2.0, 3.0])
    scale = np.abs(dense_stiffness(problem)).max() * np.abs(modes).max()

    for m in range(6):
        assert_allclose(apply_on_points(problem, modes[:, :, m].copy()), 0.0, atol=1e-14 * scale * 10)


def test_operator_has_the_same_bits_for_any_number_of_slabs():
    problem = holed_problem()
    u = np.random.default_rng(9).standard_normal(problem.points.shape)
    one = apply_on_points(problem, u, 1)

    for n_slabs in (2, 3, 5, 16):
        assert_array_equal(apply_on_points(problem, u, n_slabs), one)
