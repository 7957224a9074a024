"""Axial stiffness of the segment, of each vertebra and of each disc."""

from __future__ import annotations

from collections.abc import Mapping

from fesolver.errors import InputError
from fesolver.outcomes.cuts import cut_part
from fesolver.outcomes.parts import discs, facing_levels
from fesolver.outcomes.state import SEGMENT, OutcomeSettings, SolvedState, Value
from fesolver.outcomes.surface import FacetSurface, axis_between

__all__ = ["axial_stiffness", "stiffness_between", "stiffness_values"]


def axial_stiffness(state: SolvedState) -> float:
    """Force over displacement of the load point along the axis, N/mm.

    Raises
    ------
    InputError
        If the load point did not move.
    """
    if state.axial_displacement == 0.0:
        raise InputError(f"the load point of state {state.name!r} did not move along the axis: there is no stiffness")
    return state.axial_force / state.axial_displacement


def stiffness_between(state: SolvedState, part: str, *, lower: str, upper: str) -> float:
    """Axial stiffness of the part between two surfaces, N/mm.

    Parameters
    ----------
    state : SolvedState
        The solved segment.
    part : str
        Vertebra or disc between the surfaces.
    lower, upper : str
        Names of the surfaces under and above it.

    Notes
    -----
    The force is the cut force through the middle of the part, along the line of the two surfaces' centroids. The
    motion is that of the upper centroid against the lower one along the same line, both taken from the area-weighted
    least-squares rigid motion of the surface: what the surface's bulge adds to the motion of its middle is left out,
    and a rigid motion of the whole part gives none, whatever its direction.
    """
    bottom, top = FacetSurface.of(state.mesh, lower), FacetSurface.of(state.mesh, upper)
    direction, _ = axis_between(bottom, top)
    cut, _ = cut_part(state, part, point=0.5 * (bottom.centroid + top.centroid), normal=direction)
    # The fitted motion is given at the centroid itself.
    motion = top.rigid_motion(state.solution.u).translation - bottom.rigid_motion(state.solution.u).translation
    shortening = float(motion @ direction)
    if shortening == 0.0:
        raise InputError(f"{part} did not deform along its axis in state {state.name!r}: there is no stiffness")
    return float(cut.force @ direction) / shortening


def stiffness_values(
    segment: SolvedState, isolated: Mapping[str, SolvedState], settings: OutcomeSettings
) -> list[Value]:
    """Stiffness of segment, vertebrae and discs, N/mm, and force and motion of the load point.

    Notes
    -----
    Under a moment the axial motion is not that of an axial force, and under a moment alone there is no such force: no
    stiffness is given. A follower load compresses every disc along its own chord: vertebrae and discs have a stiffness,
    the load point's motion is not that of the force on it and the segment has none.
    """
    load_case = segment.load_case
    values: list[Value] = []
    if not (load_case.has_moment or load_case.follower_n):
        values.append(Value(SEGMENT, "segment_stiffness_n_per_mm", axial_stiffness(segment)))
    values += [Value(SEGMENT, "load_point_force_n", segment.axial_force)]
    values += [Value(SEGMENT, "load_point_displacement_mm", segment.axial_displacement)]
    if load_case.has_moment:
        return values
    for level in segment.mesh.levels:
        stiffness = stiffness_between(
            segment, level, lower=f"{level}/inferior_endplate", upper=f"{level}/superior_endplate"
        )
        values.append(Value(level, "vertebra_stiffness_n_per_mm", stiffness))
    for disc in discs(segment.mesh):
        above, below = facing_levels(disc)
        stiffness = stiffness_between(
            segment, disc, lower=f"{below}/superior_endplate", upper=f"{above}/inferior_endplate"
        )
        values.append(Value(disc, "disc_stiffness_n_per_mm", stiffness))
    return values
