"""Cuts through a vertebra or a disc, and what each material carries across them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.cavity import wall_cells
from fesolver.fem.cuts import CutForces, CutSides, cut_forces, cut_sides
from fesolver.fem.elements import FACETS
from fesolver.fem.facets import area_vectors, outer_facets
from fesolver.meshing.memo import content_digest
from fesolver.outcomes.parts import parts
from fesolver.outcomes.state import SolvedState

__all__ = [
    "axial_moduli",
    "cavity_opening",
    "cells_below",
    "cut_area",
    "cut_part",
    "force_across",
    "part_sides",
    "split_axial_force",
]

_CUTS_OF_A_PART = 8
"""Cuts that are kept of every vertebra and disc, in the mean: more than all outcomes make of one state."""


def cells_below(
    state: SolvedState, part: str, *, point: NDArray[np.float64], normal: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Cells caudal of a plane through one vertebra or disc, (n_cells,).

    Parameters
    ----------
    state : SolvedState
        Gives the mesh.
    part : str
        The vertebra or disc that the plane divides.
    point, normal : (3,) ndarray
        The plane, mm, and its cranial normal.

    Raises
    ------
    InputError
        If the plane leaves no cell of the part on one of its sides.

    Notes
    -----
    The plane divides this part only; every other vertebra and disc lies above or below as a whole, by its place in the
    spine. So a plane that leaves a tilted disc at its rim does not cut the bone beside it, and the two sides always
    share this part's section alone. A cell whose centre lies on the plane counts as above.
    """
    mesh = state.mesh
    rank = state.part_rank
    at = parts(mesh).index(part)
    below = rank > at
    own = np.flatnonzero(rank == at)
    # 1e-6 mm: centres on the plane up to rounding fall on one side together.
    below[own] = (state.cell_centroids[own] - point) @ normal < -1e-6
    if not below[own].any() or below[own].all():
        raise InputError(
            f"the cut through {part} leaves all of its {len(own)} cells on one side",
            where=f"plane at {np.round(point, 2).tolist()} mm",
            fix="use smaller cells: a cut needs at least two along the axis",
        )
    return below


def part_sides(state: SolvedState, part: str, *, point: NDArray[np.float64], normal: NDArray[np.float64]) -> CutSides:
    """Cells and points on both sides of a plane through one vertebra or disc; arguments as of `cells_below`.

    Notes
    -----
    Where a plane divides a mesh does not depend on the state: it is worked out once, and kept with the mesh as bits.
    """
    mesh, rank, cells = state.mesh, state.part_rank, state.problem.cells
    order = parts(mesh)

    def make() -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
        below = cells_below(state, part, point=point, normal=normal)
        found = cut_sides(cells, len(mesh.points), below)
        return np.packbits(below), np.packbits(found.is_above), found.cells

    key, size = (order.index(part), point.tobytes(), normal.tobytes()), _CUTS_OF_A_PART * len(order)
    below, is_above, cut = mesh.memo.once("cut", key, make, sources=(rank, cells), size=size)
    is_below = np.unpackbits(below, count=len(cells)).view(np.bool_)
    return CutSides(is_below, np.unpackbits(is_above, count=len(mesh.points)).view(np.bool_), cut)


def cut_part(
    state: SolvedState, part: str, *, point: NDArray[np.float64], normal: NDArray[np.float64]
) -> tuple[CutForces, NDArray[np.bool_]]:
    """Forces across a plane through one vertebra or disc, moments about `point`, and the cells below it."""
    sides = part_sides(state, part, point=point, normal=normal)
    return force_across(state, sides, point), sides.below


def force_across(state: SolvedState, sides: CutSides, about: NDArray[np.float64]) -> CutForces:
    """Forces that a state passes across a cut, moments about a point, mm."""
    return cut_forces(
        state.problem,
        state.solution.u,
        sides,
        about=about,
        initial_strain=state.loads.initial_strain,
        pressures=state.solution.cavity_pressure,
        connections={name: one.force for name, one in state.solution.connections.items()},
        out_of_balance=None if not state.problem.ties else _out_of_balance(state),
    )


def _out_of_balance(state: SolvedState) -> NDArray[np.float64]:
    """Internal less external nodal force, (n_points, 3), N."""
    external = state.loads.nodal_force
    internal = state.solution.internal_force
    return internal if external is None else internal - external


def axial_moduli(state: SolvedState, cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Young's modulus along z, MPa, of the given cells, (k,).

    Notes
    -----
    1 / S_zz of the cell's compliance, which is Young's modulus where the cell is isotropic.
    """
    elasticity = state.elasticity
    out = elasticity.young[cells].copy()
    if len(elasticity.general_cells):
        at = np.searchsorted(elasticity.general_cells, cells)
        at[at == len(elasticity.general_cells)] = 0
        is_general = elasticity.general_cells[at] == cells
        compliance = np.linalg.inv(elasticity.general_matrices[at[is_general]])
        out[is_general] = 1.0 / compliance[:, 2, 2]
    return out


def split_axial_force(
    state: SolvedState, cut: CutForces, part: str, direction: NDArray[np.float64]
) -> dict[str, float]:
    """Axial force that each region of a vertebra or disc carries across a cut.

    Parameters
    ----------
    state : SolvedState
        Gives regions and moduli.
    cut : CutForces
        Force of every cell at the cut.
    part : str
        Vertebra or disc.
    direction : (3,) ndarray
        Unit vector of the force component.

    Returns
    -------
    dict of str to float
        Region kind (`trabecular`, `cortical`, ...) to force, N, compression negative. They sum to the part's force.

    Raises
    ------
    InputError
        If a mixed cell holds two materials of unknown modulus.

    Notes
    -----
    The force of a mixed cell goes to its materials by fraction times axial modulus, as under the one strain that the
    mixing rule (Voigt) gives them. The moduli come from `state.region_young`; a region that has none there takes what
    the others leave. Exact for equal Poisson's ratios.
    """
    axial = cut.forces @ direction
    moduli = axial_moduli(state, cut.cells)
    n_cells = len(state.mesh.cells)
    regions = state.mesh.regions
    fraction = {name: region.dense(n_cells)[cut.cells] for name, region in regions.items()}
    fraction = {name: part_of for name, part_of in fraction.items() if part_of.any()}
    unknown = [name for name in fraction if name not in state.region_young]
    _check_split(state, cut, fraction, unknown)
    share = {
        name: _spread(regions[name].cells, state.region_young[name], n_cells)[cut.cells] * f / moduli
        for name, f in fraction.items()
        if name not in unknown
    }
    rest = np.maximum(1.0 - sum(share.values()), 0.0)
    share |= {name: np.where(fraction[name] > 1e-9, rest, 0.0) for name in unknown}
    # The shares of a cell sum to one by construction; this takes away what rounding and unequal Poisson's ratios leave.
    total = sum(share.values())
    return {
        name.split("/")[1]: float(np.sum(axial * (s / total)))
        for name, s in share.items()
        if name.split("/")[0] == part
    }


def cut_area(state: SolvedState, part: str, below: NDArray[np.bool_], normal: NDArray[np.float64]) -> float:
    """Area of one vertebra's or disc's section, mm2, seen along the cut's normal.

    Parameters
    ----------
    state : SolvedState
        Gives the mesh.
    part : str
        Vertebra or disc.
    below : (n_cells,) ndarray of bool
        The cells under the cut.
    normal : (3,) ndarray
        Cranial unit normal of the cut.

    Notes
    -----
    Vector area, along the normal, of the cell faces between the part's lower and upper cells: steps in the section do
    not add to it.
    """
    key = (parts(state.mesh).index(part), content_digest(below), normal.tobytes())
    return state.mesh.memo.once(
        "cut area",
        key,
        lambda: _cut_area(state, part, below, normal),
        sources=(state.part_rank,),
        size=_CUTS_OF_A_PART * len(parts(state.mesh)),
    )


def _cut_area(state: SolvedState, part: str, below: NDArray[np.bool_], normal: NDArray[np.float64]) -> float:
    """Area of `cut_area`, worked out."""
    mesh = state.mesh
    own = state.part_rank == parts(mesh).index(part)
    touching = np.zeros(len(mesh.points), dtype=bool)
    touching[mesh.cells[own & below].ravel()] = True
    upper = _outside(state, np.flatnonzero(own & ~below), touching)
    touching[:] = False
    touching[mesh.cells[own & ~below].ravel()] = True
    lower = _outside(state, np.flatnonzero(own & below), touching)
    area = 0.0
    for kind in lower.keys() & upper.keys():
        n = FACETS[kind].n_corners
        corners = np.sort(np.concatenate([lower[kind], upper[kind]])[:, :n], axis=1)
        number = np.unique(corners, axis=0, return_inverse=True)[1].ravel()
        shared = np.isin(number[: len(lower[kind])], number[len(lower[kind]) :])
        area += float(np.sum(area_vectors(mesh.points, lower[kind][shared]) @ normal))
    return area


def cavity_opening(
    state: SolvedState, part: str, below: NDArray[np.bool_], normal: NDArray[np.float64]
) -> tuple[float, float] | None:
    """Area, mm2, of a disc's fluid nucleus at a cut, seen along the cut's normal, and its pressure, MPa.

    Parameters
    ----------
    state : SolvedState
        Gives the problem and the pressure.
    part : str
        Disc.
    below : (n_cells,) ndarray of bool
        The cells under the cut.
    normal : (3,) ndarray
        Cranial unit normal of the cut.

    Returns
    -------
    (float, float) or None
        None for a disc without fluid.

    Notes
    -----
    The wall of the cells below the cut, closed by the opening, has no vector area in sum: the opening is the wall's,
    turned. So the force of the fluid across the cut is exactly pressure times opening.
    """
    name = f"{part}/nucleus"
    cavity = next((c for c in state.problem.cavities if c.name == name), None)
    if cavity is None:
        return None
    wall = cavity.facets[below[wall_cells(state.problem, cavity)]]
    opening = -float(np.sum(area_vectors(state.problem.points, wall) @ normal)) if len(wall) else 0.0
    return opening, state.solution.cavity_pressure[name]


def _outside(
    state: SolvedState, cells: NDArray[np.int64], is_candidate: NDArray[np.bool_]
) -> dict[str, NDArray[np.int64]]:
    """Outer facets, by kind, of those of the cells that hold a candidate point."""
    mesh = state.mesh
    near = mesh.cells[cells[is_candidate[mesh.cells[cells]].any(axis=1)]]
    return {kind: found.facets for kind, found in outer_facets(near, mesh.element).items()}


def _spread(cells: NDArray[np.int64], values: float | NDArray[np.float64], n_cells: int) -> NDArray[np.float64]:
    """Values of a region's cells as an array over all cells, zero elsewhere, (n_cells,)."""
    out = np.zeros(n_cells)
    out[cells] = values
    return out


def _check_split(
    state: SolvedState, cut: CutForces, fraction: dict[str, NDArray[np.float64]], unknown: Sequence[str]
) -> None:
    """Refuse a cell with two materials of unknown modulus."""
    present = np.array([fraction[name] > 1e-9 for name in unknown], dtype=bool).reshape(len(unknown), len(cut.cells))
    open_cells = np.flatnonzero(present.sum(axis=0) > 1)
    if len(open_cells):
        first = open_cells[0]
        names = [name for row, name in enumerate(unknown) if present[row, first]]
        place = state.mesh.points[state.mesh.cells[cut.cells[first]]].mean(axis=0)
        raise InputError(
            f"{len(open_cells)} cells at the cut mix {' and '.join(names)}, whose moduli are not given",
            where=f"the first at {np.round(place, 1).tolist()} mm",
            fix="give all but one of them in SolvedState.region_young",
        )
