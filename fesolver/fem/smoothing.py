"""Stress at nodes: extrapolated from quadrature points, averaged among cells of one group; what it says of the error.

References
----------
.. [1] O. C. Zienkiewicz, J. Z. Zhu, "A simple error estimator and adaptive procedure for practical engineering
   analysis", *Int. J. Numer. Meth. Eng.* 24, 1987, 337-357.
.. [2] J. Barlow, "Optimal stress locations in finite element models", *Int. J. Numer. Meth. Eng.* 10, 1976, 243-251.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.cell_states import chunks, evaluate_cells
from fesolver.fem.elements import ELEMENTS, quadrature, shape_functions
from fesolver.fem.problem import Problem
from fesolver.fem.quadrature_fields import quadrature_fields

__all__ = ["SmoothedStress", "StressError", "smoothed_stress", "zz_error"]

LINEAR = {"hexahedron": "hex8", "tetrahedron": "tet4", "wedge": "wedge6"}
"""Element of the first order of each shape."""

CHUNK = 8192
"""Cells handled at once: there are up to 27 quadrature points in each."""


@dataclass(frozen=True)
class SmoothedStress:
    """Continuous stress inside groups of cells; on the border of two groups a point has a value for each.

    Parameters
    ----------
    stress : (m, 6) ndarray
        MPa, one row per point and group.
    points, groups : (m,) ndarray of int64
        Point and group of each row, ascending.
    volumes : (m,) ndarray
        Volume, mm3, of the group's cells around the point.
    rows : (n_cells, k) ndarray of int64
        Row of every node of every cell.
    """

    stress: NDArray[np.float64]
    points: NDArray[np.int64]
    groups: NDArray[np.int64]
    volumes: NDArray[np.float64]
    rows: NDArray[np.int64]

    def at_points(self, n_points: int) -> NDArray[np.float64]:
        """Stress (n_points, 6) in MPa, the volume-weighted mean of groups where they meet; NaN at points of no cell."""
        volume = np.bincount(self.points, self.volumes, n_points)
        weighted = self.stress * self.volumes[:, None]
        total = np.stack([np.bincount(self.points, weighted[:, i], n_points) for i in range(6)], axis=1)
        out = np.full((n_points, 6), np.nan)
        np.divide(total, volume[:, None], out=out, where=volume[:, None] > 0)
        return out


@dataclass(frozen=True)
class StressError:
    """Squares of energy norms, cell by cell: they add up, and the root of a sum is the norm on those cells.

    Parameters
    ----------
    error : (n_cells,) ndarray
        int (s* - s) D^-1 (s* - s) dV, N mm, with the smoothed stress s* and the element's own s.
    energy : (n_cells,) ndarray
        int s D^-1 s dV, N mm: twice the elastic energy.
    """

    error: NDArray[np.float64]
    energy: NDArray[np.float64]


@cache
def _extrapolation(element: str) -> NDArray[np.float64]:
    """Matrix (k, q) from values at the usual quadrature points to nodes: a least-squares fit of the first order.

    The weights are the quadrature's own, so that the fit is the L2 projection on an undistorted cell.
    """
    xi, weights = quadrature(element)
    linear = LINEAR[ELEMENTS[element].shape]
    A, at_nodes = shape_functions(linear, xi), shape_functions(linear, ELEMENTS[element].nodes)
    if len(weights) < A.shape[1]:  # one point: a constant
        A, at_nodes = np.ones((len(weights), 1)), np.ones((len(at_nodes), 1))
    return np.asarray(at_nodes @ np.linalg.solve(A.T @ (weights[:, None] * A), A.T * weights))


def smoothed_stress(
    problem: Problem,
    u: NDArray[np.float64],
    groups: NDArray[np.int64] | None = None,
    initial_strain: NDArray[np.float64] | None = None,
) -> SmoothedStress:
    """Stress at nodes, never averaged across the border of two groups.

    Parameters
    ----------
    problem : Problem
        The solved problem.
    u : (n_points, 3) ndarray
        Displacement, mm.
    groups : (n_cells,) ndarray of int64, optional
        Label of each cell, not negative; cells of one label are averaged together. Give each material its own, as
        stress jumps where moduli do. By default all cells are one group.
    initial_strain : (n_cells, 6) ndarray, optional
        As in `fesolver.fem.problem.Loads`.

    Returns
    -------
    SmoothedStress

    Raises
    ------
    InputError
        If an array has another shape, or a cell is inverted or flat.

    Notes
    -----
    Each cell's stress is fitted by the shape functions of its first-order element at its quadrature points, taken at
    its nodes, and averaged with the cells' volumes as weights [1]_. In elements of the second order the fit takes out
    the part that is not superconvergent: it passes near the optimal points of [2]_.

    References
    ----------
    .. [1] O. C. Zienkiewicz, J. Z. Zhu, "A simple error estimator and adaptive procedure for practical engineering
       analysis", *Int. J. Numer. Meth. Eng.* 24, 1987, 337-357.
    .. [2] J. Barlow, "Optimal stress locations in finite element models", *Int. J. Numer. Meth. Eng.* 10, 1976,
       243-251.
    """
    labels = np.zeros(len(problem.cells), np.int64) if groups is None else np.asarray(groups, dtype=np.int64)
    if labels.shape != (len(problem.cells),) or labels.min(initial=0) < 0:
        raise InputError(f"groups must be {len(problem.cells)} labels that are not negative, got {labels.shape}")
    n_labels = int(labels.max(initial=0)) + 1
    keys, inverse = np.unique(problem.cells * n_labels + labels[:, None], return_inverse=True)
    rows = inverse.reshape(problem.cells.shape)
    total, volumes = np.zeros((len(keys), 6)), np.zeros(len(keys))
    E = _extrapolation(problem.element)
    for part in chunks(problem, CHUNK):
        states = evaluate_cells(problem, u, part, initial_strain, at_points=True)
        at = rows[part].ravel()
        nodal = np.einsum("kq,mqi->mki", E, states.point_stress) * states.volume[:, None, None]
        volumes += np.bincount(at, np.repeat(states.volume, rows.shape[1]), len(keys))
        for i in range(6):
            total[:, i] += np.bincount(at, nodal[..., i].ravel(), len(keys))
    return SmoothedStress(total / volumes[:, None], keys // n_labels, keys % n_labels, volumes, rows)


def zz_error(
    problem: Problem,
    u: NDArray[np.float64],
    groups: NDArray[np.int64] | None = None,
    initial_strain: NDArray[np.float64] | None = None,
) -> StressError:
    """Zienkiewicz-Zhu estimate of the stress error, cell by cell.

    Parameters
    ----------
    problem, u, groups, initial_strain
        As in `smoothed_stress`.

    Returns
    -------
    StressError
        Squares of energy norms, N mm.

    Raises
    ------
    InputError
        As `smoothed_stress`.

    Notes
    -----
    The smoothed stress stands in for the exact one [1]_. Simplices take a quadrature to twice their order: their usual
    one would miss what the smoothed stress adds.

    References
    ----------
    .. [1] O. C. Zienkiewicz, J. Z. Zhu, "A simple error estimator and adaptive procedure for practical engineering
       analysis", *Int. J. Numer. Meth. Eng.* 24, 1987, 337-357.
    """
    smooth = smoothed_stress(problem, u, groups, initial_strain)
    element = ELEMENTS[problem.element]
    degree = max(element.degree, 2 * element.order)
    N = shape_functions(problem.element, quadrature(problem.element, degree)[0])
    error, energy = np.empty(len(problem.cells)), np.empty(len(problem.cells))
    for part in chunks(problem, CHUNK):
        fields = quadrature_fields(problem, u, initial_strain, degree=degree, cells=part)
        gap = np.einsum("qk,mki->mqi", N, smooth.stress[smooth.rows[part]]) - fields.stress
        error[part] = np.einsum("mq,mq->m", fields.weights, _complementary_energy(problem, gap, part))
        energy[part] = np.einsum("mq,mq->m", fields.weights, _complementary_energy(problem, fields.stress, part))
    return StressError(error, energy)


def _complementary_energy(problem: Problem, stress: NDArray[np.float64], part: slice) -> NDArray[np.float64]:
    """Values (m, q) of s D^-1 s for stresses (m, q, 6) in some cells."""
    E, nu = problem.elasticity.young[part, None], problem.elasticity.poisson[part, None]
    squares = (stress[..., :3] ** 2).sum(axis=-1) + 2.0 * (stress[..., 3:] ** 2).sum(axis=-1)
    out = ((1.0 + nu) * squares - nu * stress[..., :3].sum(axis=-1) ** 2) / E
    listed = problem.elasticity.general_cells
    inside = slice(*np.searchsorted(listed, [part.start, part.stop]))
    own = listed[inside] - part.start
    if len(own):
        compliance = np.linalg.inv(problem.elasticity.general_matrices[inside])
        out[own] = np.einsum("mqi,mij,mqj->mq", stress[own], compliance, stress[own])
    return np.asarray(out)
