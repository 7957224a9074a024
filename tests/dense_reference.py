"""An independent, slow reference: dense stiffness from the weak form with full fourth-order tensors.

Shares nothing with the package but the definition of the problem: no Voigt strain operators, no Walsh transform,
no sparse matrices. Only for a few dozen points.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.problem import Problem

VTK_SIGNS = np.array(
    [[-1, -1, -1], [1, -1, -1], [1, 1, -1], [-1, 1, -1], [-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]]
)
VOIGT = {(0, 0): 0, (1, 1): 1, (2, 2): 2, (1, 2): 3, (2, 1): 3, (0, 2): 4, (2, 0): 4, (0, 1): 5, (1, 0): 5}


def shape_functions(xi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (8,) at xi (3,)."""
    return np.prod(1 + VTK_SIGNS * xi, axis=1) / 8


def shape_gradients(xi: NDArray[np.float64]) -> NDArray[np.float64]:
    """Derivatives (8, 3) with respect to xi (3,)."""
    factors = 1 + VTK_SIGNS * xi
    return np.stack([VTK_SIGNS[:, d] * np.prod(np.delete(factors, d, axis=1), axis=1) / 8 for d in range(3)], axis=1)


def gauss_points(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (n^3, 3) and weights of the product Gauss rule on [-1, 1]^3."""
    x, w = np.polynomial.legendre.leggauss(n)
    grid = np.stack(np.meshgrid(x, x, x, indexing="ij"), axis=-1).reshape(-1, 3)
    return grid, np.einsum("i,j,k->ijk", w, w, w).ravel()


def elasticity_tensor(problem: Problem, cell: int) -> NDArray[np.float64]:
    """C_ijkl (3, 3, 3, 3) of one cell, MPa."""
    general = problem.elasticity.general_cells.tolist()
    if cell in general:
        D = problem.elasticity.general_matrices[general.index(cell)]
        return np.array(
            [[[[D[VOIGT[i, j], VOIGT[k, m]] for m in range(3)] for k in range(3)] for j in range(3)] for i in range(3)]
        )
    E, nu = problem.elasticity.young[cell], problem.elasticity.poisson[cell]
    identity = np.eye(3)
    bulk, shear = E / (3 * (1 - 2 * nu)), E / (2 * (1 + nu))
    volumetric = np.einsum("ij,kl->ijkl", identity, identity)
    symmetric = np.einsum("ik,jl->ijkl", identity, identity) + np.einsum("il,jk->ijkl", identity, identity)
    return bulk * volumetric + shear * (symmetric - 2 / 3 * volumetric)


def cell_strain_basis(
    corners: NDArray[np.float64], *, is_bbar: bool, n: int = 2
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Strain tensors (q, 3, 3, 8, 3) by unit displacement of node and component, and weights (q,), mm3."""
    points, gauss_weights = gauss_points(n)
    basis, weights = [], []
    for xi, w in zip(points, gauss_weights, strict=True):
        dN = shape_gradients(xi)
        J = dN.T @ corners
        gradient = np.linalg.solve(J, dN.T).T  # (8, 3)
        displacement_gradient = np.einsum("aj,ik->ijak", gradient, np.eye(3))
        basis.append(0.5 * (displacement_gradient + displacement_gradient.transpose(1, 0, 2, 3)))
        weights.append(w * np.linalg.det(J))
    strain, volume = np.array(basis), np.array(weights)
    if is_bbar:
        dilatation = np.einsum("qiiak->qak", strain)
        mean = np.einsum("q,qak->ak", volume, dilatation) / volume.sum()
        strain = strain + np.einsum("ij,qak->qijak", np.eye(3), mean - dilatation) / 3
    return strain, volume


def dense_stiffness(problem: Problem) -> NDArray[np.float64]:
    """K (3 n_points, 3 n_points), N/mm, without constraints."""
    n = len(problem.points)
    K = np.zeros((n, 3, n, 3))
    for cell, ids in enumerate(problem.cells):
        strain, weights = cell_strain_basis(problem.points[ids], is_bbar=problem.integration == "b-bar")
        C = elasticity_tensor(problem, cell)
        local = np.einsum("q,qijak,ijmn,qmnbl->akbl", weights, strain, C, strain, optimize=True)
        for a in range(8):
            for b in range(8):
                K[ids[a], :, ids[b], :] += local[a, :, b, :]
    return K.reshape(3 * n, 3 * n)
