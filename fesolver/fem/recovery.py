"""From displacements back to forces, strain, stress and energy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.fields import Fields
from fesolver.fem.hooke import elasticity_matrices
from fesolver.fem.problem import Problem
from fesolver.fem.threads import kernel_threads

__all__ = ["cell_nodal_forces", "internal_force", "recover_fields"]

CHUNK = 65536
"""Cells handled at once: bounds the memory of the intermediate elasticity matrices."""


def _evaluate(problem: Problem, u: NDArray[np.float64], ids: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """Nodal forces, mean strain, mean stress, mean energy density and volume of the cells `ids`."""
    from fesolver.fem.kernels.hexahedron import cell_forces

    n = len(ids)
    force, strain, stress = np.empty((n, 8, 3)), np.empty((n, 6)), np.empty((n, 6))
    energy, volume = np.empty(n), np.empty(n)
    with kernel_threads():
        cell_forces(
            problem.points, problem.cells[ids], elasticity_matrices(problem.elasticity, ids),
            problem.integration == "b-bar", np.ascontiguousarray(u), force, strain, stress, energy, volume,
        )  # fmt: skip
    return force, strain, stress, energy, volume


def recover_fields(problem: Problem, u: NDArray[np.float64]) -> Fields:
    """Volume means of strain, stress and energy density per cell.

    Parameters
    ----------
    problem : Problem
        The solved problem.
    u : (n_points, 3) ndarray
        Displacement, mm.

    Returns
    -------
    Fields
        Strain dimensionless, stress in MPa, energy density in N mm per mm3.
    """
    n_cells = len(problem.cells)
    strain, stress, energy = np.empty((n_cells, 6)), np.empty((n_cells, 6)), np.empty(n_cells)
    for start in range(0, n_cells, CHUNK):
        ids = np.arange(start, min(start + CHUNK, n_cells))
        _, strain[ids], stress[ids], energy[ids], _ = _evaluate(problem, u, ids)
    return Fields(strain=strain, stress=stress, strain_energy_density=energy)


def cell_nodal_forces(problem: Problem, u: NDArray[np.float64], cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Forces (k, 8, 3) in N that the deformation of each given cell puts on its own points."""
    return _evaluate(problem, u, np.asarray(cells, dtype=np.int64))[0]


def internal_force(problem: Problem, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """K u, the sum of the cells' nodal forces, (n_points, 3) in N.

    Notes
    -----
    By quadrature cell by cell, whatever solver found `u`: an independent check of its operator.
    """
    from fesolver.fem.kernels.hexahedron import sum_to_points

    out = np.zeros_like(problem.points)
    for start in range(0, len(problem.cells), CHUNK):
        ids = np.arange(start, min(start + CHUNK, len(problem.cells)))
        sum_to_points(problem.cells[ids], cell_nodal_forces(problem, u, ids), out)
    return out
