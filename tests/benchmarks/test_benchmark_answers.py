"""The function that judges every code's answer, against theory and against an assembled matrix."""

from __future__ import annotations

import numpy as np
import pytest
from _models import VoxelModel
from _residual import CORNERS, check_answer, unit_stiffness
from numpy.testing import assert_allclose

from fesolver.fem.assembly import assemble_stiffness
from fesolver.fem.problem import Elasticity, Problem
from fesolver.fem.voxel_mesh import voxel_mesh


def linear_field(gradient: np.ndarray, spacing: float) -> np.ndarray:
    return (spacing * np.array(CORNERS, dtype=float) @ gradient.T).ravel()


@pytest.mark.parametrize("integration", ["full", "b-bar"])
def test_rigid_motions_of_a_brick_need_no_force(integration):
    K = unit_stiffness(0.7, 0.3, integration)
    spin = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -3.0], [-2.0, 3.0, 0.0]])
    shift = np.tile([1.0, -2.0, 3.0], 8)

    assert_allclose(K @ linear_field(spin, 0.7), 0.0, atol=1e-14)
    assert_allclose(K @ shift, 0.0, atol=1e-14)


@pytest.mark.parametrize("integration", ["full", "b-bar"])
def test_energy_of_a_uniform_strain_is_that_of_hookes_law(integration):
    gradient = np.array([[0.3, 0.5, -0.2], [0.1, -0.4, 0.7], [0.6, 0.2, 0.9]])  # not symmetric
    strain = 0.5 * (gradient + gradient.T)
    lam, mu = 0.3 / (1.3 * 0.4), 1.0 / 2.6
    density = 0.5 * lam * np.trace(strain) ** 2 + mu * np.sum(strain**2)
    u = linear_field(gradient, 0.7)

    assert_allclose(0.5 * u @ unit_stiffness(0.7, 0.3, integration) @ u, density * 0.7**3, rtol=1e-14)


def column(poisson: float) -> VoxelModel:
    return VoxelModel("column", np.full((3, 2, 5), 0.5, dtype=np.float32), spacing_mm=0.8, poisson=poisson)


def test_exact_answer_has_no_residual_and_the_reaction_of_a_bar():
    model = column(poisson=0.0)
    u = np.zeros((*model.grid, 3))
    u[..., 2] = model.top_mm * np.linspace(0.0, 1.0, 6)

    found = check_answer(model, u)

    assert found["residual"] < 1e-14
    area, strain = 3 * 2 * 0.8**2, model.top_mm / (5 * 0.8)
    assert_allclose(found["reaction_n"], 500.0 * area * strain, rtol=1e-13)
    assert found["held_error_mm"] == 0.0


def test_residual_of_the_given_displacements_alone_is_one():
    model = column(poisson=0.3)
    u = np.zeros((*model.grid, 3))
    u[:, :, -1, 2] = model.top_mm

    assert_allclose(check_answer(model, u)["residual"], 1.0, rtol=1e-14)


def test_answer_that_ignores_the_support_is_seen():
    model = column(poisson=0.3)

    assert_allclose(check_answer(model, np.zeros((*model.grid, 3)))["held_error_mm"], -model.top_mm)


@pytest.mark.parametrize("integration", ["full", "b-bar"])
def test_residual_is_that_of_the_assembled_matrix_for_any_shape_and_displacement(integration):
    generator = np.random.default_rng(3)
    young = np.where(generator.random((4, 3, 5)) < 0.6, generator.uniform(0.001, 20.0, (4, 3, 5)), 0.0)
    young[1, 1, :] = 1.0  # from end to end
    model = VoxelModel("random", young.astype(np.float32), spacing_mm=0.6, poisson=0.35)
    u = generator.standard_normal((*model.grid, 3))
    u[~model.material_points()] = np.nan
    points, cells, lattice = voxel_mesh(young > 0, 0.6)
    elasticity = Elasticity(model.young_mpa[tuple(lattice.cell_index.T)], np.full(len(cells), 0.35))
    K = assemble_stiffness(Problem(points, cells, elasticity, integration=integration))
    at = tuple(lattice.point_index.T)
    is_free = np.repeat((at[2] > 0) & (at[2] < 5), 3)
    given = np.zeros((len(points), 3))
    given[at[2] == 5, 2] = model.top_mm
    internal = K @ u[at].ravel()
    f = -(K @ given.ravel())[is_free]

    found = check_answer(model, u, integration)

    assert_allclose(found["residual"], np.linalg.norm(internal[is_free]) / np.linalg.norm(f), rtol=1e-12)
    assert_allclose(found["reaction_n"], internal.reshape(-1, 3)[at[2] == 5, 2].sum(), rtol=1e-11)
