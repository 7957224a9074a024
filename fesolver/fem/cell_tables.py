"""What kernels need of a problem's cells: shape functions at quadrature points, formulation, constants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS, quadrature, shape_functions, shape_gradients
from fesolver.fem.hooke import lame_parameters
from fesolver.fem.problem import Elasticity, Problem

__all__ = ["CellConstants", "CellTables", "cell_constants", "cell_tables", "refuse_inverted"]

FORMULATIONS = {"full": 0, "b-bar": 1, "incompatible": 2}
"""As in `fesolver.fem.kernels.solids`."""


@dataclass(frozen=True)
class CellTables:
    """An element at its quadrature points.

    Parameters
    ----------
    N : (q, k) ndarray
        Shape functions.
    dN : (q, 3, k) ndarray
        Their derivatives with respect to the reference coordinates.
    weights : (q,) ndarray
    xi : (q, 3) ndarray
    centre : (3, k) ndarray
        Derivatives at the origin of the reference coordinates.
    formulation : int
        Place in `FORMULATIONS`.
    """

    N: NDArray[np.float64]
    dN: NDArray[np.float64]
    weights: NDArray[np.float64]
    xi: NDArray[np.float64]
    centre: NDArray[np.float64]
    formulation: int

    @property
    def arrays(
        self,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], int]:
        """In the order that kernels take them."""
        return self.dN, self.weights, self.xi, self.centre, self.formulation


@dataclass(frozen=True)
class CellConstants:
    """Elastic constants as kernels take them.

    Parameters
    ----------
    lam, mu : (m,) ndarray
        Lame's constants, MPa; of no meaning in a general cell.
    row : (m,) ndarray of int64
        Row of `general` of each cell; -1 where it is isotropic.
    general : (n_general, 6, 6) ndarray
        Elasticity matrices, MPa; at least one row.
    """

    lam: NDArray[np.float64]
    mu: NDArray[np.float64]
    row: NDArray[np.int64]
    general: NDArray[np.float64]

    @property
    def arrays(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """In the order that kernels take them."""
        return self.lam, self.mu, self.row, self.general


def cell_tables(problem: Problem, degree: int | None = None) -> CellTables:
    """Tables of the problem's element and formulation.

    Parameters
    ----------
    problem : Problem
    degree : int, optional
        Degree of the quadrature; by default the element's usual rule, which its stiffness takes.

    Raises
    ------
    InputError
        If there is no such element or formulation, or the cells have another number of nodes.
    """
    if problem.element not in ELEMENTS:
        raise InputError(f"unknown element {problem.element!r}", fix=f"use one of {list(ELEMENTS)}")
    if problem.integration not in FORMULATIONS:
        raise InputError(f"unknown integration {problem.integration!r}", fix=f"use one of {list(FORMULATIONS)}")
    n_nodes = ELEMENTS[problem.element].n_nodes
    if problem.cells.ndim != 2 or problem.cells.shape[1] != n_nodes:
        raise InputError(f"cells of {problem.element} must have shape (n_cells, {n_nodes}), got {problem.cells.shape}")
    return _tables(problem.element, problem.integration if problem.element == "hex8" else "full", degree)


@cache
def _tables(element: str, integration: str, degree: int | None) -> CellTables:
    """Tables of an element."""
    xi, weights = quadrature(element, degree)
    dN = np.ascontiguousarray(shape_gradients(element, xi).transpose(0, 2, 1))
    centre = np.ascontiguousarray(shape_gradients(element, np.zeros((1, 3)))[0].T)
    # Copies: kernels are compiled once for writeable arrays, and a rule is not.
    return CellTables(shape_functions(element, xi), dN, weights.copy(), xi.copy(), centre, FORMULATIONS[integration])


def cell_constants(elasticity: Elasticity, cells: slice | NDArray[np.int64] = slice(None)) -> CellConstants:
    """Constants of some cells, all by default; isotropic cells keep two numbers, no matrix."""
    lam, mu = lame_parameters(elasticity.young[cells], elasticity.poisson[cells])
    listed, general = elasticity.general_cells, elasticity.general_matrices
    if not len(listed):
        return CellConstants(lam, mu, np.full(len(lam), -1, np.int64), np.zeros((1, 6, 6)))
    ids = np.arange(len(elasticity.young))[cells]
    at = np.minimum(np.searchsorted(listed, ids), len(listed) - 1)
    row = np.where(listed[at] == ids, at, -1).astype(np.int64)
    return CellConstants(lam, mu, row, np.ascontiguousarray(general, dtype=np.float64))


def refuse_inverted(problem: Problem, det: NDArray[np.float64], first: int = 0) -> None:
    """Raise `InputError`, with the place, where a cell from `first` on has a det_jacobian (m,) that is not positive."""
    is_bad = ~(det > 0.0)
    if is_bad.any():
        bad = first + int(np.argmax(is_bad))
        x, y, z = problem.points[problem.cells[bad]].mean(axis=0)
        raise InputError(
            f"a cell is inverted or flat ({int(is_bad.sum())} in all)",
            where=f"cell {bad} at ({x:.1f}, {y:.1f}, {z:.1f}) mm",
            fix="move its points, or give them in VTK order",
        )
