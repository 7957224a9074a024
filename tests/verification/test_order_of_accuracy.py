"""Manufactured solution on bricks and distorted cells: second order in displacement, first in strain."""

from __future__ import annotations

import numpy as np
import pytest
from dense_reference import cell_strain_basis, gauss_points, shape_functions, shape_gradients
from lattices import all_dofs, box_mesh, is_on_box, uniform

from fesolver.fem.hooke import lame_parameters
from fesolver.fem.problem import Loads, Problem
from fesolver.solvers.prepare import prepare

E, NU = 100.0, 0.3
WAVES = np.array([[1.0, 0.6, 0.8], [0.5, 1.1, 0.7], [0.9, 0.4, 1.2]])
AMPLITUDE = 1e-3 * np.array([1.0, -0.8, 0.6])


def displacement(x: np.ndarray) -> np.ndarray:
    """Three plane waves with nothing in common."""
    return AMPLITUDE * np.sin(x @ WAVES.T)


def gradient(x: np.ndarray) -> np.ndarray:
    """du_i / dx_j, (..., 3, 3)."""
    return (AMPLITUDE * np.cos(x @ WAVES.T))[..., :, None] * WAVES


def body_force(x: np.ndarray) -> np.ndarray:
    """-div sigma = -(lam + mu) grad div u - mu laplace u, N/mm3."""
    lam, mu = lame_parameters(E, NU)
    second = -AMPLITUDE * np.sin(x @ WAVES.T)  # second derivative along the wave
    grad_div = np.einsum("...i,ii,ij->...j", second, WAVES, WAVES)
    laplace = second * np.sum(WAVES**2, axis=1)
    return -(lam + mu) * grad_div - mu * laplace


def test_body_force_balances_the_stress_by_finite_differences():
    lam, mu = (float(v) for v in lame_parameters(E, NU))
    x, step = np.array([0.3, 0.8, 0.5]), 1e-5

    def stress(at: np.ndarray) -> np.ndarray:
        g = gradient(at)
        return lam * np.trace(g) * np.eye(3) + mu * (g + g.T)

    divergence = sum((stress(x + d)[:, j] - stress(x - d)[:, j]) / (2 * step) for j, d in enumerate(step * np.eye(3)))

    assert body_force(x) == pytest.approx(-divergence, rel=1e-7)


def errors(n: int, is_distorted: bool, integration: str) -> tuple[float, float]:
    """L2 norms of the error of displacement and strain, by 4 x 4 x 4 points per cell (the solver uses 2 x 2 x 2)."""
    points, cells, lattice = box_mesh((n, n, n), 1.0 / n)
    if is_distorted:  # a smooth map: the cells keep their shape as they shrink
        bump = np.prod(np.sin(np.pi * points), axis=1)[:, None]
        points = points + 0.08 * bump * np.array([1.0, -0.7, 0.5])
    xi, weights = gauss_points(4)
    N = np.array([shape_functions(p) for p in xi])
    dN = np.array([shape_gradients(p) for p in xi])
    force = np.zeros_like(points)
    for ids in cells:
        corners = points[ids]
        volume = weights * np.linalg.det(np.einsum("qai,aj->qij", dN, corners))
        np.add.at(force, ids, np.einsum("q,qa,qi->ai", volume, N, body_force(N @ corners)))
    held = all_dofs(np.flatnonzero(is_on_box(points)))
    problem = Problem(
        points, cells, uniform(len(cells), E, NU), prescribed_dofs=held, integration=integration,
        lattice=None if is_distorted else lattice,
    )  # fmt: skip
    u = prepare(problem, "direct").solve(Loads(force, displacement(points).ravel()[held])).u
    in_u = in_strain = 0.0
    for ids in cells:
        corners = points[ids]
        strain, volume = cell_strain_basis(corners, is_bbar=False, n=4)
        exact = gradient(N @ corners)
        found = np.einsum("qijak,ak->qij", strain, u[ids])
        in_u += np.sum(volume * np.sum((N @ u[ids] - displacement(N @ corners)) ** 2, axis=1))
        in_strain += np.sum(volume * np.sum((found - 0.5 * (exact + exact.transpose(0, 2, 1))) ** 2, axis=(1, 2)))
    return np.sqrt(in_u), np.sqrt(in_strain)


@pytest.mark.parametrize("integration", ["b-bar", "full"])
@pytest.mark.parametrize("is_distorted", [False, True])
def test_displacement_is_second_order_and_strain_first(is_distorted, integration):
    coarse, fine = errors(4, is_distorted, integration), errors(8, is_distorted, integration)

    order_u, order_strain = np.log2(np.array(coarse) / np.array(fine))

    # Not yet asymptotic on 4 and 8 cells: within 0.15 of theory.
    assert order_u == pytest.approx(2.0, abs=0.15)
    assert order_strain == pytest.approx(1.0, abs=0.15)
