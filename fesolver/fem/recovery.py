"""From displacements back to forces, strain, stress and energy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.cell_states import chunks, evaluate_cells
from fesolver.fem.fields import Fields
from fesolver.fem.problem import Problem
from fesolver.fem.quadrature_fields import QuadratureFields, body_force, quadrature_fields
from fesolver.fem.smoothing import SmoothedStress, StressError, smoothed_stress, zz_error
from fesolver.fem.threads import kernel_threads

if TYPE_CHECKING:
    from fesolver.fem.voxel_operator import VoxelOperator

__all__ = [
    "QuadratureFields",
    "SmoothedStress",
    "StressError",
    "body_force",
    "cell_nodal_forces",
    "initial_strain_force",
    "integrate_fields",
    "internal_force",
    "quadrature_fields",
    "recover_fields",
    "smoothed_stress",
    "voxel_fields",
    "zz_error",
]


def recover_fields(
    problem: Problem, u: NDArray[np.float64], initial_strain: NDArray[np.float64] | None = None
) -> Fields:
    """Volume means of strain, stress and energy density per cell.

    Parameters
    ----------
    problem : Problem
        The solved problem.
    u : (n_points, 3) ndarray
        Displacement, mm.
    initial_strain : (n_cells, 6) ndarray, optional
        As in `fesolver.fem.problem.Loads`: stress = D (strain - initial strain), and the energy is the elastic one.

    Returns
    -------
    Fields
        Strain dimensionless, stress in MPa, energy density in N mm per mm3.

    Notes
    -----
    In closed form where all cells are bricks of one lattice (`voxel_fields`), otherwise by the quadrature of the
    stiffness (`integrate_fields`): the same means, up to round-off.
    """
    from fesolver.fem.lattice_model import lattice_material, lattice_model
    from fesolver.fem.voxel_operator import voxel_operator
    from fesolver.fem.voxel_runs import number_nodes

    is_brick = problem.element == "hex8" and problem.integration != "incompatible" and initial_strain is None
    with kernel_threads():
        model = lattice_model(problem) if is_brick else None
        if model is None or problem.lattice is None:
            return integrate_fields(problem, u, initial_strain)
        nodes, number = number_nodes(model.active)
        operator = voxel_operator(
            model.active, nodes, number, lattice_material(problem.elasticity, model.cells), problem.lattice.spacing,
            is_bbar=problem.integration == "b-bar",
        )  # fmt: skip
        vector = np.zeros(3 * nodes.stride)
        vector.reshape(3, -1)[:, : len(u)] = u[model.points].T
        return voxel_fields(operator, vector, model.cells)


def integrate_fields(
    problem: Problem, u: NDArray[np.float64], initial_strain: NDArray[np.float64] | None = None
) -> Fields:
    """As `recover_fields`, by quadrature whatever the mesh."""
    n_cells = len(problem.cells)
    strain, stress, energy = np.empty((n_cells, 6)), np.empty((n_cells, 6)), np.empty(n_cells)
    for part in chunks(problem):
        states = evaluate_cells(problem, u, part, initial_strain)
        strain[part], stress[part], energy[part] = states.strain, states.stress, states.energy_density
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


def cell_nodal_forces(
    problem: Problem,
    u: NDArray[np.float64],
    cells: NDArray[np.int64],
    initial_strain: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Forces (m, k, 3) in N that the stress of each given cell puts on its own points.

    Raises
    ------
    InputError
        As `evaluate_cells`.
    """
    return evaluate_cells(problem, u, np.asarray(cells, dtype=np.int64), initial_strain).force


def internal_force(problem: Problem, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """K u, the sum of the nodal forces of cells and members, (n_points, 3) in N; without initial strain.

    Notes
    -----
    By quadrature cell by cell, whatever solver found `u`: an independent check of its operator.
    """
    out = _sum_forces(problem, u, None)
    for members in problem.members:
        first, second = members.ends.T
        is_tied = second >= 0
        other = np.where(is_tied[:, None], u[second], 0.0)
        force = np.einsum("kij,kj->ki", members.stiffness, u[first] - other)
        np.add.at(out, first, force)
        np.subtract.at(out, second[is_tied], force[is_tied])
    return out


def initial_strain_force(problem: Problem, initial_strain: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nodal forces (n_points, 3) in N that initial strains act by: the sum over the cells of int B^T D eps0 dV.

    Parameters
    ----------
    problem : Problem
    initial_strain : (n_cells, 6) ndarray
        Voigt order, engineering shear.

    Returns
    -------
    (n_points, 3) ndarray
        To be added to the external forces: K u = f + this.

    Raises
    ------
    InputError
        If the initial strain has another shape, or a cell is inverted.
    """
    return -_sum_forces(problem, np.zeros_like(problem.points), initial_strain)


def _sum_forces(
    problem: Problem, u: NDArray[np.float64], initial_strain: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Sum (n_points, 3) of all cells' nodal forces."""
    from fesolver.fem.kernels.solids import sum_to_points

    out = np.zeros(problem.points.shape)
    for part in chunks(problem):
        sum_to_points(problem.cells[part], evaluate_cells(problem, u, part, initial_strain).force, out)
    return out
