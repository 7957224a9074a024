"""Assembled hexahedra of any shape: patch, rigid modes, a dense reference, recovery."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dense_reference import dense_stiffness
from lattices import GRADIENT, all_dofs, box_mesh, distorted_box, is_on_box, uniform, varied_elasticity
from numpy.testing import assert_allclose
from scipy.sparse.linalg import spsolve

from fesolver.errors import InputError
from fesolver.fem.assembly import assemble_stiffness
from fesolver.fem.constraints import rigid_modes
from fesolver.fem.hooke import elasticity_matrices
from fesolver.fem.problem import Problem
from fesolver.fem.recovery import cell_nodal_forces, internal_force, recover_fields

INTEGRATIONS = ["b-bar", "full"]
ENGINEERING = np.array([GRADIENT[0, 0], GRADIENT[1, 1], GRADIENT[2, 2], *(GRADIENT + GRADIENT.T)[[1, 0, 0], [2, 2, 1]]])


@pytest.mark.parametrize("integration", INTEGRATIONS)
@pytest.mark.parametrize("poisson", [0.0, 0.3, 0.4999])
def test_patch_linear_field_is_reproduced_inside(poisson, integration):
    points, cells = distorted_box()
    problem = Problem(points, cells, uniform(len(cells), 1000.0, poisson), integration=integration)
    K = assemble_stiffness(problem).tocsr()
    exact = (points @ GRADIENT.T).ravel()
    fixed = all_dofs(np.flatnonzero(is_on_box(points)))
    free = np.setdiff1d(np.arange(exact.size), fixed)

    u_free = spsolve(K[free][:, free].tocsc(), -K[free][:, fixed] @ exact[fixed])

    # Round-off of 4e-3 times the ratio of volumetric to shear stiffness, 5000 at nu = 0.4999.
    assert_allclose(u_free, exact[free], rtol=0, atol=1e-12 if poisson > 0.4 else 1e-14)


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_patch_strain_stress_and_energy_are_the_exact_constants(integration):
    points, cells = distorted_box()
    problem = Problem(points, cells, uniform(len(cells), 1000.0, 0.3), integration=integration)
    D = elasticity_matrices(problem.elasticity)[0]

    fields = recover_fields(problem, points @ GRADIENT.T)

    assert_allclose(fields.strain, np.tile(ENGINEERING, (len(cells), 1)), atol=1e-15)
    assert_allclose(fields.stress, np.tile(D @ ENGINEERING, (len(cells), 1)), atol=1e-12)
    assert_allclose(fields.strain_energy_density, 0.5 * ENGINEERING @ D @ ENGINEERING, rtol=1e-12)


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_one_distorted_cell_has_exactly_six_modes_without_energy(integration):
    points, cells = box_mesh((1, 1, 1))[:2]
    points = points + np.random.default_rng(3).uniform(-0.15, 0.15, points.shape)
    K = assemble_stiffness(Problem(points, cells, uniform(1, 1.0, 0.3), integration=integration)).toarray()
    values = np.linalg.eigvalsh(K)
    modes = rigid_modes(points, [0.3, -0.2, 5.0]).reshape(24, 6)

    assert_allclose(K @ modes, 0.0, atol=1e-14)
    assert np.all(np.abs(values[:6]) < 1e-14)
    assert values[6] > 1e-3  # no hourglass: the softest deforming mode is of the order of E h


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_assembled_stiffness_matches_a_dense_reference_from_the_weak_form(integration):
    points, cells = distorted_box((2, 2, 2), amount=0.25, seed=11)
    points = points @ np.array([[1.0, 0.2, 0.0], [0.0, 0.9, 0.3], [-0.1, 0.0, 1.1]]).T  # no face along an axis
    problem = Problem(points, cells, varied_elasticity(len(cells)), integration=integration)
    expected = dense_stiffness(problem)

    K = assemble_stiffness(problem).toarray()

    assert_allclose(K, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    assert_allclose(K, K.T, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("integration", INTEGRATIONS)
def test_internal_force_and_energy_agree_with_the_matrix(integration):
    points, cells = distorted_box((2, 3, 2))
    problem = Problem(points, cells, varied_elasticity(len(cells), seed=4), integration=integration)
    u = np.random.default_rng(8).standard_normal(points.shape)
    K = assemble_stiffness(problem)

    force = internal_force(problem, u)
    energy = recover_fields(problem, u).strain_energy_density

    assert_allclose(force.ravel(), K @ u.ravel(), rtol=0, atol=1e-11 * np.abs(force).max())
    # Cell energy from its own nodal forces: an identity that does not need the volume of a distorted cell.
    own = 0.5 * np.einsum("eai,eai->e", cell_nodal_forces(problem, u, np.arange(len(cells))), u[cells])
    assert own.sum() == pytest.approx(0.5 * u.ravel() @ (K @ u.ravel()), rel=1e-12)
    assert np.all(energy > 0)


def test_mean_dilatation_is_the_volume_mean_and_full_integration_is_not():
    points, cells = distorted_box((1, 1, 2), amount=0.0)
    problem = Problem(points, cells, uniform(len(cells), 1.0, 0.49))
    u = np.zeros_like(points)
    u[:, 0] = points[:, 0] * points[:, 2]  # dilatation z: its mean counts, its slope must cost nothing in b-bar

    stiff = recover_fields(replace(problem, integration="full"), u).strain_energy_density
    soft = recover_fields(problem, u).strain_energy_density
    lam, h = 0.49 / (1.49 * 0.02), 0.8
    # K/2 times the variance h^2 / 12 of the dilatation, K = lam + 2 mu / 3: what the projection removes, plus
    # the deviatoric part of the same mode, which b-bar keeps.
    bulk = lam + 2 / 3 / (2 * 1.49)

    assert_allclose(stiff - soft, 0.5 * bulk * h**2 / 12, rtol=1e-12)


def test_inverted_cell_is_refused_with_its_place():
    points, cells = box_mesh((2, 1, 1), spacing=10.0)[:2]
    cells = cells.copy()
    cells[1] = cells[1][[4, 5, 6, 7, 0, 1, 2, 3]]

    with pytest.raises(InputError, match=r"(?s)inverted or flat.*cell 1 at \(15\.0, 5\.0, 5\.0\) mm"):
        assemble_stiffness(Problem(points, cells, uniform(2)))
