"""Fields at quadrature points, and nodal forces of loads on volumes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.cell_states import chunks, evaluate_cells
from fesolver.fem.cell_tables import CellTables, cell_tables, refuse_inverted
from fesolver.fem.problem import Problem
from fesolver.fem.threads import kernel_threads

__all__ = ["QuadratureFields", "body_force", "quadrature_fields"]

VectorField = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From coordinates (m, 3) in mm to vectors (m, 3)."""

CHUNK = 8192
"""Cells handled at once: there are up to 64 quadrature points in each."""


@dataclass(frozen=True)
class QuadratureFields:
    """Strain and stress where the cells are integrated.

    Parameters
    ----------
    strain : (n_cells, q, 6) ndarray
        Engineering shear, Voigt order, dimensionless; with mean dilatation or incompatible modes the element's own.
    stress : (n_cells, q, 6) ndarray
        MPa.
    points : (n_cells, q, 3) ndarray
        Coordinates, mm.
    weights : (n_cells, q) ndarray
        det_jacobian times quadrature weight, mm3; their sum over a cell is its volume.
    """

    strain: NDArray[np.float64]
    stress: NDArray[np.float64]
    points: NDArray[np.float64]
    weights: NDArray[np.float64]


def quadrature_fields(
    problem: Problem,
    u: NDArray[np.float64],
    initial_strain: NDArray[np.float64] | None = None,
    *,
    degree: int | None = None,
    cells: NDArray[np.int64] | slice = slice(None),
) -> QuadratureFields:
    """Strain and stress at quadrature points.

    Parameters
    ----------
    problem : Problem
        The solved problem.
    u : (n_points, 3) ndarray
        Displacement, mm.
    initial_strain : (n_cells, 6) ndarray, optional
        Of all cells: stress = D (strain - initial strain).
    degree : int, optional
        Of a quadrature other than that of the stiffness, to integrate more than it does. Means of B-bar and amplitudes
        of incompatible modes then follow that rule: the same but on distorted cells.
    cells : (m,) ndarray of int64 or slice
        Which cells; all by default. The result has their rows only.

    Returns
    -------
    QuadratureFields

    Raises
    ------
    InputError
        If a cell is inverted or flat, or an array has another shape.
    """
    tables = cell_tables(problem, degree)
    states = evaluate_cells(problem, u, cells, initial_strain, tables=tables, at_points=True)
    points = np.einsum("qk,mki->mqi", tables.N, problem.points[problem.cells[cells]])
    return QuadratureFields(states.point_strain, states.point_stress, points, states.point_volume)


def body_force(
    problem: Problem, force_per_volume: ArrayLike | VectorField, *, degree: int | None = None
) -> NDArray[np.float64]:
    """Nodal forces of a force on the volume: the sum over the cells of int N f dV.

    Parameters
    ----------
    problem : Problem
        Mesh; constants are not looked at.
    force_per_volume : (3,) or (n_cells, 3) array_like, or callable
        N per mm3, of all cells or each; or a function from coordinates (m, 3) in mm to forces (m, 3).
    degree : int, optional
        Of the quadrature; by default that of the stiffness, exact for constant forces on cells with straight edges.

    Returns
    -------
    (n_points, 3) ndarray
        N.

    Raises
    ------
    InputError
        If the force has another shape or is not finite, or a cell is inverted or flat.
    """
    tables = cell_tables(problem, degree)
    n_points, n_cells = len(problem.points), len(problem.cells)
    field = force_per_volume if callable(force_per_volume) else None
    given = np.zeros(3) if callable(force_per_volume) else np.asarray(force_per_volume, dtype=np.float64)
    if given.shape not in ((3,), (n_cells, 3)) or not np.all(np.isfinite(given)):
        raise InputError(f"a body force must be finite and of shape (3,) or ({n_cells}, 3), got {given.shape}")
    constant = np.broadcast_to(given, (n_cells, 3))
    out = np.zeros((n_points, 3))
    with kernel_threads():
        for part in chunks(problem, CHUNK):
            X, ids = problem.points[problem.cells[part]], problem.cells[part].ravel()
            weights = _point_volumes(problem, tables, X, part.start)
            if field is None:
                force = (weights @ tables.N)[..., None] * constant[part][:, None]
            else:
                at = np.einsum("qk,mki->mqi", tables.N, X)
                values = np.asarray(field(at.reshape(-1, 3)), dtype=np.float64).reshape(at.shape)
                force = np.einsum("qk,mqi->mki", tables.N, weights[..., None] * values)
            for i in range(3):
                out[:, i] += np.bincount(ids, force[..., i].ravel(), n_points)
    return out


def _point_volumes(problem: Problem, tables: CellTables, X: NDArray[np.float64], first: int) -> NDArray[np.float64]:
    """det_jacobian times weight (m, q) of cells with nodes (m, k, 3), the first of them cell `first`."""
    J = np.einsum("qdk,mki->mqdi", tables.dN, X)
    det = np.einsum("mqi,mqi->mq", J[:, :, 0], np.cross(J[:, :, 1], J[:, :, 2]))
    refuse_inverted(problem, det.min(axis=1), first)
    return np.asarray(det * tables.weights)
