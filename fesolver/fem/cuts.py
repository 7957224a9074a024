"""Force and moment across a cut, from the nodal internal forces of the cells on one side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.problem import Problem
from fesolver.fem.recovery import cell_nodal_forces

__all__ = ["CutForces", "cut_forces"]


@dataclass(frozen=True)
class CutForces:
    """What the part above a cut does to the part below it.

    Parameters
    ----------
    cells : (k,) ndarray of int64
        Cells below that touch the cut.
    forces : (k, 3) ndarray
        Force that each of them passes through the cut, N: the sum of its nodal internal forces at the points it shares
        with cells above.
    force : (3,) ndarray
        Their sum, N: the force the upper part exerts on the lower one (-F along z in compression).
    moment : (3,) ndarray
        Moment about `about`, N mm.
    about : (3,) ndarray
        mm.
    """

    cells: NDArray[np.int64]
    forces: NDArray[np.float64]
    force: NDArray[np.float64]
    moment: NDArray[np.float64]
    about: NDArray[np.float64]


def cut_forces(
    problem: Problem, u: NDArray[np.float64], below: NDArray[np.bool_], *, about: ArrayLike = (0.0, 0.0, 0.0)
) -> CutForces:
    """Force and moment through the interface between two sets of cells.

    Parameters
    ----------
    problem : Problem
        The solved problem.
    u : (n_points, 3) ndarray
        Displacement, mm.
    below : (n_cells,) ndarray of bool
        The cells on the lower side; the cut is where they share points with the others.
    about : (3,) array_like
        Point for the moment, mm.

    Returns
    -------
    CutForces

    Raises
    ------
    InputError
        If the two sets share no point.
    """
    n_points = len(problem.points)
    is_above = np.zeros(n_points, dtype=bool)
    is_above[problem.cells[~below].ravel()] = True
    cells = np.flatnonzero(below & is_above[problem.cells].any(axis=1))
    if not len(cells):
        raise InputError("the cut separates nothing: the cells below share no point with the cells above")
    nodal = cell_nodal_forces(problem, u, cells) * is_above[problem.cells[cells]][:, :, None]
    centre = np.asarray(about, dtype=np.float64)
    arms = problem.points[problem.cells[cells]] - centre
    return CutForces(
        cells=cells,
        forces=nodal.sum(axis=1),
        force=nodal.sum(axis=(0, 1)),
        moment=np.cross(arms, nodal).sum(axis=(0, 1)),
        about=centre,
    )
