"""Stress fitted over patches: exact for linear stress, also at surfaces and in single layers."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from solid_meshes import solid_box

from fesolver.fem.hooke import isotropic_elasticity
from fesolver.fem.patch_recovery import patch_error, patch_stress
from fesolver.fem.problem import Elasticity, Problem

SECOND_ORDER = ("hex20", "tet10", "wedge15")


def quadratic(element: str, shape: tuple[int, int, int]) -> tuple[Problem, np.ndarray, np.ndarray]:
    """A problem, a quadratic displacement and its stress (n_points, 6), linear in the coordinates."""
    points, cells = solid_box(element, shape, (2.0, 1.0, 1.5))
    n = len(cells)
    problem = Problem(points, cells, Elasticity(np.full(n, 200.0), np.full(n, 0.3)), element=element)
    H = 1e-3 * np.random.default_rng(4).standard_normal((3, 3, 3))
    H = H + H.transpose(0, 2, 1)  # second derivatives
    u = 0.5 * np.einsum("ijk,nj,nk->ni", H, points, points)
    gradient = np.einsum("ijk,nk->nij", H, points)
    shear = gradient + gradient.transpose(0, 2, 1)
    strain = np.stack([*(gradient[:, i, i] for i in range(3)), shear[:, 1, 2], shear[:, 0, 2], shear[:, 0, 1]], axis=1)
    return problem, u, strain @ isotropic_elasticity(200.0, 0.3)


@pytest.mark.parametrize("element", SECOND_ORDER)
@pytest.mark.parametrize("shape", [(3, 3, 3), (3, 2, 1), (1, 1, 1)])
def test_linear_stress_is_recovered_at_every_node_however_thin_the_mesh(element, shape):
    problem, u, stress = quadratic(element, shape)
    groups = np.zeros(len(problem.cells), np.int64)

    found = patch_stress(problem, u, groups)

    assert_allclose(found.stress[found.rows], stress[problem.cells], atol=1e-10)  # round-off, times conditioning
    squares = patch_error(problem, u, groups)
    assert np.sqrt(squares.error.sum() / squares.energy.sum()) < 1e-9


@pytest.mark.parametrize("element", SECOND_ORDER)
def test_groups_have_their_own_stress_where_they_meet(element):
    """The upper half gets a stress of its own by an initial strain: each side sees its own only."""
    problem, u, stress = quadratic(element, (2, 2, 4))
    upper = problem.points[problem.cells].mean(axis=1)[:, 2] > 0.75
    initial = np.where(upper[:, None], [0.01, 0.0, -0.02, 0.003, 0.0, 0.001], 0.0)

    found = patch_stress(problem, u, upper.astype(np.int64), initial)

    own = stress[problem.cells] - (initial @ isotropic_elasticity(200.0, 0.3))[:, None]
    assert_allclose(found.stress[found.rows], own, atol=1e-10)


def test_an_energy_norm_of_uniform_stress_is_that_of_the_closed_form():
    """Uniaxial strain e: twice the energy is (lambda + 2 mu) e^2 V, also by a matrix cell by cell."""
    problem, _, _ = quadratic("tet10", (2, 2, 2))
    u = np.zeros_like(problem.points)
    u[:, 0] = 0.01 * problem.points[:, 0]
    n = len(problem.cells)
    D = isotropic_elasticity(200.0, 0.3)
    general = Elasticity(np.full(n, 1.0), np.full(n, 0.0), np.arange(n), np.tile(D, (n, 1, 1)))
    matrices = Problem(problem.points, problem.cells, general, element="tet10")

    for case in (problem, matrices):
        squares = patch_error(case, u, np.zeros(n, np.int64))
        assert squares.energy.sum() == pytest.approx(D[0, 0] * 0.01**2 * 3.0, rel=1e-12)
