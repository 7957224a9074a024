"""A problem's cells and points in the order of its lattice: z, y, x, only what is active."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.hooke import lame_parameters
from fesolver.fem.problem import Elasticity, Problem
from fesolver.fem.voxel_operator import Material
from fesolver.fem.voxel_runs import number_nodes

__all__ = ["LatticeModel", "is_on_lattice", "lattice_material", "lattice_model"]


@dataclass(frozen=True)
class LatticeModel:
    """Active cells and the order of a problem's cells and points among them.

    Parameters
    ----------
    active : (nz, ny, nx) ndarray of bool
        Cells.
    cells : (n_cells,) ndarray of int64
        The problem's cells in the order z, y, x.
    points : (n_points,) ndarray of int64
        The problem's points in the order z, y, x.
    """

    active: NDArray[np.bool_]
    cells: NDArray[np.int64]
    points: NDArray[np.int64]


def lattice_model(problem: Problem) -> LatticeModel | None:
    """The problem on its lattice; None if it has none, or does not lie on it."""
    lattice = problem.lattice
    if lattice is None or not is_on_lattice(problem):
        return None
    box = np.full(lattice.shape[::-1], -1, dtype=np.int64)
    i, j, k = lattice.cell_index.T
    box[k, j, i] = np.arange(len(problem.cells))
    active = box >= 0
    cells = box[active]
    nodes, number = number_nodes(active)
    if len(cells) != len(problem.cells) or nodes.count != len(problem.points):
        return None
    i, j, k = lattice.point_index.T
    points = np.empty(nodes.count, dtype=np.int64)
    points[number[k, j, i]] = np.arange(nodes.count)
    return LatticeModel(active, cells, points)


def lattice_material(elasticity: Elasticity, cells: NDArray[np.int64]) -> Material:
    """Constants of the cells, in their order."""
    lam, mu = lame_parameters(elasticity.young, elasticity.poisson)
    general = np.full(len(cells), -1, dtype=np.int64)
    general[elasticity.general_cells] = np.arange(len(elasticity.general_cells))
    row = general[cells]
    at = np.flatnonzero(row >= 0)
    return Material(lam[cells], mu[cells], at, elasticity.general_matrices[row[at]])


def is_on_lattice(problem: Problem) -> bool:
    """Whether there is a lattice, and points and cells are where it says, to a millionth of its spacing."""
    from fesolver.fem.kernels.lattice import CHECKED, count_misplaced

    lattice = problem.lattice
    if lattice is None or lattice.point_index.shape != problem.points.shape:
        return False
    if len(lattice.cell_index) != len(problem.cells):
        return False
    misplaced = np.zeros((2, -(-max(len(problem.points), len(problem.cells)) // CHECKED)), dtype=np.int64)
    count_misplaced(
        problem.points, lattice.point_index, problem.cells, lattice.cell_index, lattice.origin, lattice.spacing,
        1e-6 * float(lattice.spacing.min()), misplaced,
    )  # fmt: skip
    return not misplaced.any()
