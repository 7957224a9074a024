"""The multigrid preconditioner: symmetric, positive, exact on its coarse space, and effective."""

from __future__ import annotations

import numpy as np
import pytest
from constrained_problems import mixed_problem, pillar
from dense_reference import dense_stiffness
from lattices import TILT, box_mesh, pads, varied_elasticity
from numpy.testing import assert_allclose

from fesolver.fem.kernels.multigrid import coarsen_matrices, coarsen_operator, prolong_add, restrict
from fesolver.fem.problem import Elasticity, Loads, Problem, RigidLoad
from fesolver.fem.voxel_operator import brick_modes, voxel_elasticity
from fesolver.solvers.voxel_hierarchy import child_interpolation
from fesolver.solvers.voxel_multigrid import VoxelMultigridSystem


def test_restriction_is_the_transpose_of_prolongation():
    rng = np.random.default_rng(0)
    coarse, fine = rng.standard_normal((3, 4, 3, 3)), rng.standard_normal((5, 6, 4, 3))
    up, down = np.zeros_like(fine), np.empty_like(coarse)
    prolong_add(coarse, up, np.ones_like(fine), 0.5)
    restrict(fine, down, 0.5)

    assert np.sum(up * fine) == pytest.approx(np.sum(coarse * down), rel=1e-13)


def test_prolongation_is_exact_for_linear_fields():
    k, j, i = np.indices((3, 4, 3))
    coarse = np.stack([1.0 + 2 * i - j + 3 * k, i + 0.5 * j, 4.0 * k - i], axis=-1)
    fine = np.zeros((5, 7, 5, 3))
    prolong_add(coarse, fine, np.ones_like(fine), 0.5)
    k, j, i = np.indices((5, 7, 5)) / 2

    assert_allclose(fine, np.stack([1.0 + 2 * i - j + 3 * k, i + 0.5 * j, 4.0 * k - i], axis=-1), atol=1e-13)


@pytest.mark.parametrize("is_bbar", [True, False])
def test_coarse_energy_is_the_fine_energy_of_the_interpolated_field(is_bbar):
    """Two levels down, with holes, an odd number of cells, anisotropy and fixed components."""
    points, cells, lattice = box_mesh((5, 4, 3), (0.8, 1.0, 1.3))
    problem = Problem(
        points, cells, varied_elasticity(len(cells), 5), lattice=lattice, integration="b-bar" if is_bbar else "full"
    )
    rng = np.random.default_rng(2)
    free = rng.random((4, 5, 6, 3)) < 0.8
    e, m = voxel_elasticity(problem.elasticity, lattice), brick_modes(lattice.spacing, is_bbar=is_bbar)
    T = child_interpolation()
    T3 = np.einsum("cab,de->cadbe", T, np.eye(3)).reshape(8, 24, 24)
    T_lam, T_mu = (np.einsum("cji,jk,ckl->cil", T3, K, T3) for K in (m.K_lam, m.K_mu))
    coarse, coarser = np.empty((2, 2, 3, 24, 24)), np.empty((1, 1, 2, 24, 24))
    coarsen_operator(
        e.lam, e.mu, e.general, e.D, m.B, m.weights, m.K_lam, m.K_mu, T_lam, T_mu, T, free.astype(np.uint8), coarse
    )
    coarsen_matrices(coarse, T, coarser)
    field = rng.standard_normal((2, 2, 3, 3))
    middle, fine = np.zeros((3, 3, 4, 3)), np.zeros((4, 5, 6, 3))
    prolong_add(field, middle, np.ones_like(middle), 0.5)
    prolong_add(middle, fine, free.astype(float), 0.5)
    i, j, k = lattice.point_index.T
    u = fine[k, j, i].ravel()

    energy = 0.0
    for at in range(2):
        local = np.concatenate([field[a >> 2, (a >> 1) & 1, at + (a & 1)] for a in range(8)])
        energy += local @ coarser[0, 0, at] @ local

    assert energy == pytest.approx(u @ dense_stiffness(problem) @ u, rel=1e-12)


def preconditioner_matrix(system: VoxelMultigridSystem) -> np.ndarray:
    """The V-cycle as a dense matrix on the free unknowns and rigid motions."""
    n, m = int(np.prod(system._box)), int(system._splits[-1])
    unknowns = np.concatenate([np.flatnonzero(system._free.ravel()), n + np.arange(m)])
    matrix = np.empty((len(unknowns),) * 2)
    r, z = np.zeros(n + m), np.empty(n + m)
    for column, unknown in enumerate(unknowns):
        r[unknown] = 1.0
        system._precondition(r, z)
        matrix[:, column] = z[unknowns]
        r[unknown] = 0.0
    return matrix


@pytest.mark.parametrize("make", [mixed_problem, lambda: pillar(6)], ids=["one level", "two levels"])
def test_preconditioner_is_symmetric_and_positive(make):
    problem, _ = make()
    M = preconditioner_matrix(VoxelMultigridSystem(problem, 1))

    assert_allclose(M, M.T, rtol=0, atol=2e-5 * np.abs(M).max())  # float32
    assert np.linalg.eigvalsh(0.5 * (M + M.T))[0] > 0


@pytest.mark.parametrize("size", [(8, 8, 12), (16, 16, 24)])
def test_iterations_do_not_grow_with_the_mesh_for_one_material(size):
    points, cells, lattice = box_mesh(size, 24.0 / size[2])
    problem = Problem(
        points, cells, Elasticity(np.full(len(cells), 300.0), np.full(len(cells), 0.3)),
        rigid_bodies=pads(points, top=TILT), lattice=lattice,
    )  # fmt: skip
    loads = Loads(rigid={"top": RigidLoad(np.array([0, 0, -500.0]), np.array([1000.0, 0, 0]))})

    assert VoxelMultigridSystem(problem, 2).solve(loads).iterations <= 12
