"""An independent, slow reference for one solid cell: the weak form with full fourth-order tensors and dense algebra.

It shares with the package the reference shape functions and the rule only, which have tests of their own.
"""

from __future__ import annotations

import numpy as np
from dense_reference import elasticity_tensor
from numpy.typing import NDArray

from fesolver.fem.elements import quadrature, shape_gradients
from fesolver.fem.problem import Problem


def strain_basis(
    X: NDArray[np.float64], element: str, integration: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Strain tensors (q, 3, 3, n, 3) by unit displacement of node and component, and weights (q,), mm3.

    With incompatible modes n is 11: the last three are the modes 1 - xi_i^2 of Taylor, Beresford and Wilson.
    """
    xi, rule_weights = quadrature(element)
    identity, basis, weights = np.eye(3), [], []
    J0 = shape_gradients(element, np.zeros((1, 3)))[0].T @ X
    for at, dN, w in zip(xi, shape_gradients(element, xi), rule_weights, strict=True):
        J = dN.T @ X
        gradient = np.linalg.solve(J, dN.T).T
        if integration == "incompatible":
            modes = np.linalg.solve(J0, np.diag(-2.0 * at)).T * np.linalg.det(J0) / np.linalg.det(J)
            gradient = np.vstack([gradient, modes])
        slope = np.einsum("aj,ik->ijak", gradient, identity)
        basis.append(0.5 * (slope + slope.transpose(1, 0, 2, 3)))
        weights.append(w * np.linalg.det(J))
    strain, volume = np.array(basis), np.array(weights)
    if integration == "b-bar":
        dilatation = np.einsum("qiiak->qak", strain)
        mean = np.einsum("q,qak->ak", volume, dilatation) / volume.sum()
        strain = strain + np.einsum("ij,qak->qijak", identity, mean - dilatation) / 3.0
    return strain, volume


def cell_stiffness(problem: Problem, cell: int = 0) -> NDArray[np.float64]:
    """K (3 k, 3 k) of one cell, N/mm."""
    integration = problem.integration if problem.element == "hex8" else "full"
    strain, weights = strain_basis(problem.points[problem.cells[cell]], problem.element, integration)
    C = elasticity_tensor(problem, cell)
    K = np.einsum("q,qijak,ijmn,qmnbl->akbl", weights, strain, C, strain, optimize=True)
    size = 3 * strain.shape[3]
    K = K.reshape(size, size)
    n = 3 * problem.cells.shape[1]
    if size == n:
        return K
    return K[:n, :n] - K[:n, n:] @ np.linalg.solve(K[n:, n:], K[n:, :n])
