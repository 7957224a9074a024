"""Force and moment across a cut, from the nodal internal forces of the cells on one side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.cavity import volume_gradient
from fesolver.fem.connections import connection_sides
from fesolver.fem.members import member_forces
from fesolver.fem.problem import Problem
from fesolver.fem.recovery import cell_nodal_forces

__all__ = ["CutForces", "CutSides", "cut_forces", "cut_sides"]

_NOTHING: Mapping[str, float] = MappingProxyType({})
_NO_FORCES: Mapping[str, NDArray[np.float64]] = MappingProxyType({})


@dataclass(frozen=True)
class CutSides:
    """What lies where about a cut: the same for every problem on one mesh.

    Parameters
    ----------
    below : (n_cells,) ndarray of bool
        The cells on the lower side.
    is_above : (n_points,) ndarray of bool
        The points of the other cells, those on the cut among them.
    cells : (k,) ndarray of int64
        Cells below that touch the cut.
    """

    below: NDArray[np.bool_]
    is_above: NDArray[np.bool_]
    cells: NDArray[np.int64]


def cut_sides(cells: NDArray[np.int64], n_points: int, below: NDArray[np.bool_]) -> CutSides:
    """Sort points and cells by the side of a cut that they lie on.

    Parameters
    ----------
    cells : (n_cells, k) ndarray of int64
        Of the mesh.
    n_points : int
        Of the mesh.
    below : (n_cells,) ndarray of bool
        The cells on the lower side.

    Examples
    --------
    >>> cut_sides(np.array([[0, 1], [1, 2], [2, 3]]), 4, np.array([True, True, False])).cells
    array([1])
    """
    is_above = np.zeros(n_points, dtype=bool)
    is_above[cells[~below].ravel()] = True
    return CutSides(below, is_above, np.flatnonzero(below & is_above[cells].any(axis=1)))


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
    problem: Problem,
    u: NDArray[np.float64],
    below: NDArray[np.bool_] | CutSides,
    *,
    about: ArrayLike = (0.0, 0.0, 0.0),
    initial_strain: NDArray[np.float64] | None = None,
    pressures: Mapping[str, float] = _NOTHING,
    connections: Mapping[str, NDArray[np.float64]] = _NO_FORCES,
    out_of_balance: NDArray[np.float64] | None = None,
) -> CutForces:
    """Force and moment through the interface between two sets of cells.

    Parameters
    ----------
    problem : Problem
        The solved problem.
    u : (n_points, 3) ndarray
        Displacement, mm.
    below : (n_cells,) ndarray of bool, or CutSides
        The cells on the lower side; the cut is where they share points with the others.
    about : (3,) array_like
        Point for the moment, mm.
    initial_strain : (n_cells, 6) ndarray, optional
        As in `Loads.initial_strain`.
    pressures : mapping of str to float, optional
        Pressure of each fluid cavity, MPa, as in `Solution.cavity_pressure`.
    connections : mapping of str to (m,) ndarray, optional
        Force of every element of the problem's connections, N, as in `Solution.connections`.
    out_of_balance : (n_points, 3) ndarray, optional
        Internal less external nodal force, N: at the slaves of ties, what their masters hold. Needed with ties.

    Returns
    -------
    CutForces

    Raises
    ------
    InputError
        If the two sets share no point, or the forces of connections or ties are not given: a cut would not balance.

    Notes
    -----
    Trusses and springs pass their force where one end belongs to cells below and the other to cells above, or to
    neither; a point that both share counts as above. A fluid's pressure on the points below is part of the force. A
    connection pulls at the cells that own its entries: what it passes is its pull on the owners below. A tie passes
    what a slave needs to its masters.
    """
    sides = below if isinstance(below, CutSides) else cut_sides(problem.cells, len(problem.points), below)
    cells, is_above = sides.cells, sides.is_above
    if not len(cells) and not problem.ties:
        raise InputError("the cut separates nothing: the cells below share no point with the cells above")
    nodal = cell_nodal_forces(problem, u, cells, initial_strain) * is_above[problem.cells[cells]][:, :, None]
    centre = np.asarray(about, dtype=np.float64)
    arms = problem.points[problem.cells[cells]] - centre
    force, moment = nodal.sum(axis=(0, 1)), np.cross(arms, nodal).sum(axis=(0, 1))
    if problem.members or problem.cavities or problem.connections or problem.ties:
        other = _member_force(problem, u, sides.below, is_above) + _fluid_force(problem, is_above, pressures)
        other += _connection_force(problem, sides.below, is_above, connections)
        other += _tie_force(problem, is_above, out_of_balance)
        force = force + other.sum(axis=0)
        moment = moment + np.cross(problem.points - centre, other).sum(axis=0)
    return CutForces(cells=cells, forces=nodal.sum(axis=1), force=force, moment=moment, about=centre)


def _member_force(
    problem: Problem, u: NDArray[np.float64], below: NDArray[np.bool_], is_above: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Nodal forces (n_points, 3), N, of the members across a cut on the points below it."""
    out = np.zeros_like(u)
    is_below = np.zeros(len(u), dtype=bool)
    is_below[problem.cells[below].ravel()] = True
    is_below &= ~is_above
    for members in problem.members:
        force = member_forces(members, u)
        first, second = members.ends.T
        on_first, on_second = is_below[first], (second >= 0) & is_below[second]
        np.add.at(out, first[on_first & ~on_second], -force[on_first & ~on_second])
        np.add.at(out, second[on_second & ~on_first], force[on_second & ~on_first])
    return out


def _fluid_force(problem: Problem, is_above: NDArray[np.bool_], pressures: Mapping[str, float]) -> NDArray[np.float64]:
    """Nodal forces (n_points, 3), N, of fluids on the points below a cut; those on the cut are in the cells' forces."""
    out = np.zeros_like(problem.points)
    for cavity in problem.cavities:
        out += pressures.get(cavity.name, 0.0) * volume_gradient(problem.points, cavity.facets)
    out[is_above] = 0.0
    return out


def _connection_force(
    problem: Problem,
    below: NDArray[np.bool_],
    is_above: NDArray[np.bool_],
    forces: Mapping[str, NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Nodal forces (n_points, 3), N, of connections on the points below a cut that their owners below hold.

    What an element does to points on the cut through owners below is its sum over all its entries below less this.
    """
    out = np.zeros_like(problem.points)
    for connections in problem.connections:
        if connections.name not in forces:
            raise InputError(
                f"the forces of connection {connections.name!r} are not given", fix="pass those solved for"
            )
        points, owners, internal = connection_sides(connections, forces[connections.name])
        is_counted = below[owners] & ~is_above[points]
        np.subtract.at(out, points[is_counted], internal[is_counted])
    return out


def _tie_force(
    problem: Problem, is_above: NDArray[np.bool_], out_of_balance: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Nodal forces (n_points, 3), N, that ties put on the points below a cut."""
    out = np.zeros_like(problem.points)
    if not problem.ties:
        return out
    if out_of_balance is None:
        raise InputError("the forces of the problem's ties are not given", fix="pass internal less external forces")
    needed, flat = out_of_balance.ravel(), out.ravel()
    for tie in problem.ties:
        flat[tie.dof] += needed[tie.dof]
        np.subtract.at(flat, tie.masters, tie.weights * needed[tie.dof])
    out[is_above] = 0.0
    return out
