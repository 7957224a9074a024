"""From displacements back to forces, strain, stress and energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.fields import Fields
from fesolver.fem.hooke import elasticity_matrices
from fesolver.fem.problem import Problem
from fesolver.fem.threads import kernel_threads

if TYPE_CHECKING:
    from fesolver.fem.voxel_operator import VoxelOperator

__all__ = ["cell_nodal_forces", "integrate_fields", "internal_force", "recover_fields", "voxel_fields"]

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

    Notes
    -----
    In closed form where all cells are bricks of one lattice (`voxel_fields`), otherwise by 2 x 2 x 2 quadrature
    (`integrate_fields`): the same means, up to round-off.
    """
    from fesolver.fem.lattice_model import lattice_material, lattice_model
    from fesolver.fem.voxel_operator import voxel_operator
    from fesolver.fem.voxel_runs import number_nodes

    with kernel_threads():
        model = lattice_model(problem)
        if model is None or problem.lattice is None:
            return integrate_fields(problem, u)
        nodes, number = number_nodes(model.active)
        operator = voxel_operator(
            model.active, nodes, number, lattice_material(problem.elasticity, model.cells), problem.lattice.spacing,
            is_bbar=problem.integration == "b-bar",
        )  # fmt: skip
        vector = np.zeros(3 * nodes.stride)
        vector.reshape(3, -1)[:, : len(u)] = u[model.points].T
        return voxel_fields(operator, vector, model.cells)


def integrate_fields(problem: Problem, u: NDArray[np.float64]) -> Fields:
    """As `recover_fields`, by quadrature whatever the mesh."""
    n_cells = len(problem.cells)
    strain, stress, energy = np.empty((n_cells, 6)), np.empty((n_cells, 6)), np.empty(n_cells)
    for start in range(0, n_cells, CHUNK):
        ids = np.arange(start, min(start + CHUNK, n_cells))
        _, strain[ids], stress[ids], energy[ids], _ = _evaluate(problem, u, ids)
    return Fields(strain=strain, stress=stress, strain_energy_density=energy)


def voxel_fields(operator: VoxelOperator, u: NDArray[np.float64], rows: NDArray[np.int64] | None = None) -> Fields:
    """Volume means of strain, stress and energy density of a lattice's active cells.

    Parameters
    ----------
    operator : VoxelOperator
        The cells and their constants.
    u : (3 * stride,) ndarray
        Displacement, mm, as the operator takes it: components apart, zero in the padding.
    rows : (n_cells,) ndarray of int64, optional
        Row of every active cell (in the order z, y, x) in the result; in that same order by default.

    Returns
    -------
    Fields
        Strain dimensionless, stress in MPa, energy density in N mm per mm3.

    Notes
    -----
    The strain of a brick is a sum of the monomials 1, xi, eta, zeta, xi eta, xi zeta, eta zeta, orthogonal over the
    brick: its mean is the first coefficient, the mean stress D times that, with mean dilatation too, and the energy
    the sum over all seven. See `fem.kernels.bricks`.
    """
    from fesolver.fem.kernels.recovery import cell_means

    n = len(operator.kinds)
    strain, stress, energy = np.empty((n, 6)), np.empty((n, 6)), np.empty(n)
    order = np.zeros(0, np.int64) if rows is None else rows
    scales = _mean_scales(operator.spacing)
    with kernel_threads():
        for kind, (cells, C) in enumerate(zip(operator.cells, operator.data[np.float64], strict=True)):
            if len(cells.runs):
                before = np.cumsum(cells.runs[:, 1], dtype=np.int64) - cells.runs[:, 1]
                # Cells of a run are neighbours along x, whatever kind the others are: rows one after the other.
                starts = before if len(cells.slots) == n else np.flatnonzero(operator.kinds == kind)[before]
                cell_means(
                    kind, cells.runs, starts, cells.layers, C, operator.constants, scales, u, order,
                    strain, stress, energy,
                )  # fmt: skip
    return Fields(strain=strain, stress=stress, strain_energy_density=energy)


def _mean_scales(spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors (14,) of strains, stresses and energies for `fem.kernels.recovery.cell_means`."""
    from fesolver.fem.voxel_operator import strain_slopes

    volume, slopes = float(np.prod(spacing)), strain_slopes(spacing)
    return np.concatenate([slopes, 1.0 / (volume * slopes), [0.5, 0.5 / volume]])


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
