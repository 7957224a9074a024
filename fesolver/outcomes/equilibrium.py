"""Forces across cuts at every vertebra and disc, against the external loads beyond them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.cuts import CutSides, cut_sides
from fesolver.fem.problem import RigidLoad
from fesolver.loading.pads import side_force_fraction
from fesolver.outcomes.cuts import force_across, part_sides
from fesolver.outcomes.parts import parts
from fesolver.outcomes.state import OutcomeSettings, SolvedState, Value

__all__ = [
    "IMBALANCE_TOLERANCE",
    "SIDEWAYS_WARNING",
    "CutBalance",
    "Reaction",
    "check_equilibrium",
    "equilibrium_values",
    "external_load_above",
    "list_reactions",
]

IMBALANCE_TOLERANCE = 1e-6
"""Largest imbalance of a cut, relative to the load, of a solve that may be believed."""

SIDEWAYS_WARNING = 0.05
"""Sideways reaction, as a part of the axial one, above which a report warns."""

AXIS = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class CutBalance:
    """The force and moment across one cut, and what they should be.

    Parameters
    ----------
    name : str
        Vertebra or disc that is cut.
    z_mm : float
        Height of the cut in the segment frame.
    point : (3,) ndarray
        Point the moments refer to, mm.
    force, moment : (3,) ndarray
        What the part above does to the part below, N and N mm, in the load (segment) frame.
    external_force, external_moment : (3,) ndarray
        The external loads on everything above the cut, N and N mm about the same point.
    imbalance : float
        Largest of the two differences relative to the load; moments over a length, see `check_equilibrium`.
    """

    name: str
    z_mm: float
    point: NDArray[np.float64]
    force: NDArray[np.float64]
    moment: NDArray[np.float64]
    external_force: NDArray[np.float64]
    external_moment: NDArray[np.float64]
    imbalance: float

    @property
    def is_balanced(self) -> bool:
        """Whether the imbalance is within `IMBALANCE_TOLERANCE`."""
        return self.imbalance <= IMBALANCE_TOLERANCE


@dataclass(frozen=True)
class Reaction:
    """What one pad does to the segment.

    Parameters
    ----------
    name : str
        Rigid body.
    force, moment : (3,) ndarray
        N and N mm about `reference`.
    reference : (3,) ndarray
        mm.
    sideways_fraction : float
        Transverse over axial part of its force.
    """

    name: str
    force: NDArray[np.float64]
    moment: NDArray[np.float64]
    reference: NDArray[np.float64]
    sideways_fraction: float

    @property
    def is_sideways(self) -> bool:
        """Whether the transverse force is above `SIDEWAYS_WARNING` of the axial one."""
        return self.sideways_fraction > SIDEWAYS_WARNING


def external_load_above(
    state: SolvedState, below: NDArray[np.bool_] | CutSides, about: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """External force, N, and moment about a point, N mm, on all that lies above a cut.

    Parameters
    ----------
    state : SolvedState
        The solved segment.
    below : (n_cells,) ndarray of bool, or CutSides
        Cells under the cut.
    about : (3,) ndarray
        mm.

    Raises
    ------
    InputError
        If a rigid body holds points on both sides: it carries force past the cut.

    Notes
    -----
    Where the load is given it is taken as given, not as the solver returned it: forces and moments of rigid bodies in
    their free motions, and nodal forces at free points. Reactions of the solution enter only where motion is
    prescribed. Points on the cut belong to the upper side, as their external forces do in the balance of the cells
    above.
    """
    problem, loads, solution = state.problem, state.loads, state.solution
    sides = below if isinstance(below, CutSides) else cut_sides(problem.cells, len(problem.points), below)
    on_top = sides.is_above
    at_point = np.zeros_like(problem.points) if loads.nodal_force is None else loads.nodal_force.copy()
    prescribed = problem.prescribed_dofs
    at_point.ravel()[prescribed] = solution.internal_force.ravel()[prescribed]
    force, moment = np.zeros(3), np.zeros(3)
    for body in problem.rigid_bodies:
        side = on_top[body.points]
        if side.any() and not side.all():
            raise InputError(
                f"rigid body {body.name!r} holds points on both sides of a cut: it carries force past it",
                where=f"cut at z = {about[2]:.1f} mm",
            )
        if side.any():
            given = loads.rigid.get(body.name, RigidLoad())
            wrench = np.concatenate([given.force, given.moment])
            wrench = np.where(body.is_fixed, solution.rigid_reaction[body.name], wrench)
            force += wrench[:3]
            moment += wrench[3:] + np.cross(body.reference - about, wrench[:3])
    loaded = np.flatnonzero(on_top & at_point.any(axis=1))
    force += at_point[loaded].sum(axis=0)
    moment += np.cross(problem.points[loaded] - about, at_point[loaded]).sum(axis=0)
    return force, moment


def check_equilibrium(state: SolvedState) -> tuple[CutBalance, ...]:
    """Balance of a cut through the middle of every vertebra and disc, cranial first.

    Parameters
    ----------
    state : SolvedState
        The solved segment, or an isolated body.

    Returns
    -------
    tuple of CutBalance
        One per vertebra and disc.

    Notes
    -----
    Each cut is normal to the segment's z through the origin of the part's frame. The imbalance is
    max(|dF|, |dM| / L) / max(|F|, |M| / L), with F and M the external load and L the largest distance of the load point
    from a cut, at least 1 mm; without any load it is infinite where a cut carries force, else zero. Worked out once for
    a state.
    """
    return state.memo.once("equilibrium", None, lambda: _check_equilibrium(state))


def _check_equilibrium(state: SolvedState) -> tuple[CutBalance, ...]:
    """Balances of `check_equilibrium`, worked out."""
    origins = {part: state.mesh.frames[part].origin for part in parts(state.mesh)}
    length = max(1.0, *(float(np.linalg.norm(state.load_point - origin)) for origin in origins.values()))
    return tuple(_balance(state, part, origin, length) for part, origin in origins.items())


def list_reactions(state: SolvedState) -> tuple[Reaction, ...]:
    """What every rigid body does to the segment, all six components of it.

    Notes
    -----
    A force below `IMBALANCE_TOLERANCE` of the largest reaction (moments over the distance between the bodies) is what
    the solver leaves of none, as under a pure moment: it has no direction, and its sideways part counts as 0.
    """
    reference = {body.name: body.reference for body in state.problem.rigid_bodies}
    wrenches = state.solution.rigid_reaction
    length = max(1.0, *(float(np.linalg.norm(a - b)) for a in reference.values() for b in reference.values()))
    largest = max((np.abs(w / np.repeat([1.0, length], 3)).max() for w in wrenches.values()), default=0.0)
    return tuple(
        Reaction(name, wrench[:3], wrench[3:], reference[name], _sideways(wrench[:3], IMBALANCE_TOLERANCE * largest))
        for name, wrench in wrenches.items()
    )


def _sideways(force: NDArray[np.float64], least: float) -> float:
    """Transverse over axial part of a force; 0 for one that is not larger than `least`."""
    return side_force_fraction(force, AXIS) if float(np.linalg.norm(force)) > least else 0.0


def equilibrium_values(
    segment: SolvedState, isolated: Mapping[str, SolvedState], settings: OutcomeSettings
) -> list[Value]:
    """Axial cut force, N, and relative imbalance at every vertebra and disc."""
    values: list[Value] = []
    for cut in check_equilibrium(segment):
        values.append(Value(cut.name, "cut_axial_force_n", float(cut.force[2])))
        values.append(Value(cut.name, "cut_imbalance", cut.imbalance))
    return values


def _balance(state: SolvedState, part: str, origin: NDArray[np.float64], length: float) -> CutBalance:
    """Cut one part and compare."""
    sides = part_sides(state, part, point=origin, normal=AXIS)
    cut = force_across(state, sides, origin)
    force, moment = external_load_above(state, sides, origin)
    off = max(float(np.linalg.norm(cut.force - force)), float(np.linalg.norm(cut.moment - moment)) / length)
    load = max(float(np.linalg.norm(force)), float(np.linalg.norm(moment)) / length)
    imbalance = off / load if load > 0.0 else np.inf if off > 0.0 else 0.0
    return CutBalance(part, float(origin[2]), origin, cut.force, cut.moment, force, moment, imbalance)
