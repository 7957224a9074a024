"""Sparse stiffness and the reduction matrix of the constraints."""

from __future__ import annotations

from typing import Any

import numpy as np

from fesolver.errors import InputError
from fesolver.fem.constraints import rigid_maps
from fesolver.fem.hooke import elasticity_matrices
from fesolver.fem.problem import Problem

__all__ = ["assemble_stiffness", "reduction_matrix"]

CHUNK = 32768


def assemble_stiffness(problem: Problem) -> Any:
    """Stiffness of the unconstrained mesh, scipy CSR (3 n_points, 3 n_points), N/mm.

    Raises
    ------
    InputError
        If a cell is inverted or flat.
    """
    from scipy.sparse import csr_array

    from fesolver.fem.kernels.hexahedron import stiffness_matrices

    n = problem.points.size
    total: Any = csr_array((n, n))
    for start in range(0, len(problem.cells), CHUNK):
        ids = np.arange(start, min(start + CHUNK, len(problem.cells)))
        cells = problem.cells[ids]
        K, det = np.empty((len(ids), 24, 24)), np.empty(len(ids))
        D = elasticity_matrices(problem.elasticity, ids)
        stiffness_matrices(problem.points, cells, D, problem.integration == "b-bar", K, det)
        if det.min() <= 0:
            bad = int(np.argmin(det))
            x, y, z = problem.points[cells[bad]].mean(axis=0)
            raise InputError("a cell is inverted or flat", where=f"cell {ids[bad]} at ({x:.1f}, {y:.1f}, {z:.1f}) mm")
        dofs = (3 * cells[:, :, None] + np.arange(3)).reshape(len(ids), 24)
        rows, columns = np.repeat(dofs, 24, axis=1).ravel(), np.tile(dofs, (1, 24)).ravel()
        total = total + csr_array((K.ravel(), (rows, columns)), shape=(n, n))
    return total


def reduction_matrix(problem: Problem) -> Any:
    """P in u = u_given + P q, scipy CSR (3 n_points, n_free): free components first, then the rigid bodies' motions."""
    from scipy.sparse import coo_array, csr_array

    n = problem.points.size
    is_free = np.ones(n, dtype=bool)
    is_free[problem.prescribed_dofs] = False
    for body in problem.rigid_bodies:
        is_free.reshape(-1, 3)[body.points] = False
    is_free[[tie.dof for tie in problem.ties]] = False
    rows, columns, values = [np.flatnonzero(is_free)], [np.arange(is_free.sum())], [np.ones(is_free.sum())]
    n_free = int(is_free.sum())
    for rigid in rigid_maps(problem):
        m = len(rigid.free)
        dofs = 3 * rigid.body.points[:, None] + np.arange(3)
        rows.append(np.repeat(dofs.ravel(), m))
        columns.append(np.tile(np.arange(n_free, n_free + m), dofs.size))
        values.append(rigid.matrix.ravel())
        n_free += m
    P: Any = coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n_free))
    P = P.tocsr()
    if problem.ties:
        tie_rows = np.repeat([tie.dof for tie in problem.ties], [len(tie.masters) for tie in problem.ties])
        masters = np.concatenate([tie.masters for tie in problem.ties])
        weights = np.concatenate([tie.weights for tie in problem.ties])
        P = P + csr_array((weights, (tie_rows, masters)), shape=(n, n)) @ P
    return P
