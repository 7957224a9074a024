"""Strain, stress, energy and nodal forces of some cells, by the quadrature of their stiffness or another one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.cell_tables import CellTables, cell_constants, cell_tables, refuse_inverted
from fesolver.fem.problem import Problem
from fesolver.fem.threads import kernel_threads

__all__ = ["CellStates", "chunks", "evaluate_cells"]

CHUNK = 65536
"""Cells handled at once."""


@dataclass(frozen=True)
class CellStates:
    """What the displacement does in some cells.

    Parameters
    ----------
    force : (m, k, 3) ndarray
        Nodal forces, N.
    strain, stress : (m, 6) ndarray
        Volume means; dimensionless and MPa.
    energy_density : (m,) ndarray
        Volume mean of the elastic energy, N mm per mm3.
    volume : (m,) ndarray
        mm3.
    point_strain, point_stress : (m, q, 6) ndarray
        At the quadrature points; (0, 0, 0) where not asked for.
    point_volume : (m, q) ndarray
        det_jacobian times weight, mm3; (0, 0) where not asked for.
    """

    force: NDArray[np.float64]
    strain: NDArray[np.float64]
    stress: NDArray[np.float64]
    energy_density: NDArray[np.float64]
    volume: NDArray[np.float64]
    point_strain: NDArray[np.float64]
    point_stress: NDArray[np.float64]
    point_volume: NDArray[np.float64]


def evaluate_cells(
    problem: Problem,
    u: NDArray[np.float64],
    cells: NDArray[np.int64] | slice,
    initial_strain: NDArray[np.float64] | None = None,
    *,
    tables: CellTables | None = None,
    at_points: bool = False,
) -> CellStates:
    """Nodal forces, strain, stress and energy of some cells by quadrature.

    Parameters
    ----------
    problem : Problem
    u : (n_points, 3) ndarray
        Displacement, mm.
    cells : (m,) ndarray of int64 or slice
        Which.
    initial_strain : (n_cells, 6) ndarray, optional
        Of all cells: stress = D (strain - initial strain).
    tables : CellTables, optional
        The quadrature; by default that of the stiffness.
    at_points : bool
        Whether values at the quadrature points are wanted too.

    Returns
    -------
    CellStates

    Raises
    ------
    InputError
        If a cell is inverted or flat, or the initial strain has another shape.
    """
    from fesolver.fem.kernels import solids

    table, ids = tables or cell_tables(problem), np.ascontiguousarray(problem.cells[cells])
    constants = cell_constants(problem.elasticity, cells)
    n, k, n_q = len(ids), ids.shape[1], len(table.weights)
    size = (n, n_q) if at_points else (0, 0)
    states = CellStates(
        np.empty((n, k, 3)), np.empty((n, 6)), np.empty((n, 6)), np.empty(n), np.empty(n),
        np.empty((*size, 6)), np.empty((*size, 6)), np.empty(size),
    )  # fmt: skip
    det = np.empty(n)
    with kernel_threads():
        solids.evaluate_cells(
            np.ascontiguousarray(problem.points), ids, np.ascontiguousarray(u, dtype=np.float64), *table.arrays,
            *constants.arrays, _initial(problem, initial_strain, cells), states.force, states.strain, states.stress,
            states.energy_density, states.volume, states.point_strain, states.point_stress, states.point_volume, det,
        )  # fmt: skip
    if not np.all(det > 0.0):
        every = np.ones(len(problem.cells))
        every[cells] = det
        refuse_inverted(problem, every)
    return states


def _initial(
    problem: Problem, initial_strain: NDArray[np.float64] | None, cells: NDArray[np.int64] | slice
) -> NDArray[np.float64]:
    """Initial strain (m, 6) of some cells, (0, 6) where there is none."""
    if initial_strain is None:
        return np.empty((0, 6))
    if initial_strain.shape != (len(problem.cells), 6):
        raise InputError(f"initial_strain must have shape ({len(problem.cells)}, 6), got {initial_strain.shape}")
    return np.ascontiguousarray(initial_strain[cells], dtype=np.float64)


def chunks(problem: Problem, size: int = CHUNK) -> list[slice]:
    """All cells, some at a time: bounds the memory of what is kept cell by cell."""
    return [slice(start, start + size) for start in range(0, len(problem.cells), size)]
