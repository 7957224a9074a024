"""The cut that forces are shared out at: a plane where cells stand in layers, a slab where they do not."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.connections import connection_sides
from fesolver.fem.cuts import CutForces, cut_forces
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.recovery import cell_nodal_forces
from fesolver.outcomes.cuts import part_sides
from fesolver.outcomes.parts import parts
from fesolver.outcomes.state import SolvedState

__all__ = ["SLAB_MM", "SectionCut", "cut_section"]

SLAB_MM = 4.0
"""Thickness of the slab that a cut through tetrahedra is averaged over: two edges of the usual size."""


@dataclass(frozen=True)
class SectionCut:
    """Forces through a section of one vertebra or disc.

    Parameters
    ----------
    cut : CutForces
        Of the part's cells; `force` holds the pressure of a fluid nucleus too, and no connection.
    below : (n_cells,) ndarray of bool
        Cells below the middle plane, as `cells_below` gives them.
    fibre_force : (3,) ndarray
        What the elements of connections inside the part's cells, such as annulus fibres, pass through it, N.
    """

    cut: CutForces
    below: NDArray[np.bool_]
    fibre_force: NDArray[np.float64]


def cut_section(
    state: SolvedState, part: str, *, point: NDArray[np.float64], normal: NDArray[np.float64]
) -> SectionCut:
    """Forces of the cells of one vertebra or disc through a plane, ready to be split between materials.

    Parameters
    ----------
    state : SolvedState
        The solved segment.
    part : str
        The vertebra or disc.
    point, normal : (3,) ndarray
        The plane, mm, and its cranial unit normal.

    Notes
    -----
    With a weight w at points, 0 on the caudal and 1 on the cranial side, the force is the sum of w times the nodal
    internal forces of the part's cells; by equilibrium of the points between, any such w gives the same force, that of
    a cut. Hexahedra: w jumps between the cells below and above the plane. Tetrahedra: such a surface is ragged,
    and how it runs through cells of two materials changes their shares by some 10 %; there w rises evenly over
    `SLAB_MM` about the plane, which is the mean over all planes within. Points that the part shares with its neighbours
    or has on its endplates keep the weight of their side, so that the force is the whole one also beside an endplate.
    A mesh with fluid nuclei is cut by planes.
    """
    sides = part_sides(state, part, point=point, normal=normal)
    mesh, problem = state.mesh, state.problem
    own = np.flatnonzero(state.part_rank == parts(mesh).index(part))
    if ELEMENTS[mesh.element].shape == "tetrahedron" and not problem.cavities:
        weight = np.clip((mesh.points - point) @ normal / SLAB_MM + 0.5, 0.0, 1.0)
        _keep_ends(state, part, weight)
        cut = _weighted_cut(state, own, weight, point)
    else:
        weight = sides.is_above.astype(np.float64)
        cut = cut_forces(
            replace(problem, connections=()),
            state.solution.u,
            sides,
            about=point,
            initial_strain=state.loads.initial_strain,
            pressures=state.solution.cavity_pressure,
        )
    return SectionCut(cut, sides.below, _fibre_force(state, own, weight))


def _weighted_cut(
    state: SolvedState, cells: NDArray[np.int64], weight: NDArray[np.float64], about: NDArray[np.float64]
) -> CutForces:
    """Nodal internal forces of cells, summed with a weight at every point of the mesh."""
    nodal = cell_nodal_forces(state.problem, state.solution.u, cells, state.loads.initial_strain)
    nodal = nodal * weight[state.mesh.cells[cells]][:, :, None]
    arms = state.mesh.points[state.mesh.cells[cells]] - about
    return CutForces(cells, nodal.sum(axis=1), nodal.sum(axis=(0, 1)), np.cross(arms, nodal).sum(axis=(0, 1)), about)


def _keep_ends(state: SolvedState, part: str, weight: NDArray[np.float64]) -> None:
    """Set the weight, in place, of all that is not between the part's ends: 0 caudal of it, 1 cranial."""
    mesh, order = state.mesh, parts(state.mesh)
    at = order.index(part)
    for side, value, is_beyond in (
        ("inferior_endplate", 0.0, state.part_rank > at),
        ("superior_endplate", 1.0, state.part_rank < at),
    ):
        weight[mesh.cells[is_beyond].ravel()] = value
        surface = mesh.surfaces.get(f"{part}/{side}")
        if surface is not None:
            weight[surface.facets.ravel()] = value


def _fibre_force(state: SolvedState, own: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Force, N, through a cut of those elements of connections that lie in the given cells."""
    out = np.zeros(3)
    if not state.problem.connections:
        return out
    is_own = np.zeros(len(state.mesh.cells), dtype=bool)
    is_own[own] = True
    for connections in state.problem.connections:
        found = state.solution.connections.get(connections.name)
        if found is None or not connections.count:
            continue
        points, owners, internal = connection_sides(connections, found.force)
        # Elements that reach from cell to cell, ligaments and facet joints, pass beside the part.
        is_inside = np.logical_and.reduceat(is_own[owners], connections.starts[:-1])
        entry = np.repeat(is_inside, np.diff(connections.starts))
        out += weight[points[entry]] @ internal[entry]
    return out
