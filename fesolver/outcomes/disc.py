"""Pressure in the nucleus, and how nucleus and annulus share the axial force."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fesolver.errors import InputError
from fesolver.outcomes.cuts import cavity_opening, cut_area, split_axial_force
from fesolver.outcomes.parts import discs, part_fraction
from fesolver.outcomes.section_cuts import cut_section
from fesolver.outcomes.state import OutcomeSettings, SolvedState, Value
from fesolver.outcomes.weighted import has_net, weighted_mean

__all__ = ["disc_values", "nucleus_pressure"]


def nucleus_pressure(state: SolvedState, disc: str) -> float:
    """Pressure of a fluid nucleus; volume mean of -tr(stress)/3 over a solid one, MPa; positive in compression.

    Raises
    ------
    InputError
        If the disc has no nucleus.

    Notes
    -----
    A transducer in vivo reads the pressure of a fluid; in a nucleus of nu close to 0.5 the mean stress is that
    pressure, and the deviatoric part is small beside it.
    """
    of_fluid: float | None = state.solution.cavity_pressure.get(f"{disc}/nucleus")
    if of_fluid is not None:
        return of_fluid
    weight = part_fraction(state.mesh, disc, ("nucleus",)) * state.cell_volumes
    if not weight.any():
        raise InputError(f"disc {disc} has no nucleus region", where=f"regions {', '.join(sorted(state.mesh.regions))}")
    pressure = -state.fields.stress[:, :3].sum(axis=1) / 3.0
    return weighted_mean(pressure, weight)


def disc_values(segment: SolvedState, isolated: Mapping[str, SolvedState], settings: OutcomeSettings) -> list[Value]:
    """Nucleus pressure, its ratio to F/A, and the axial forces in nucleus and annulus at mid-height.

    Notes
    -----
    The cut is the plane of the disc's own frame (normal to the bisector of its endplate normals) through its origin,
    and forces are components along that normal; in tetrahedra they are means over 4 mm about it (`section_cuts`). F/A
    is the disc's whole axial force over the area of that section, nucleus and annulus together; fibres that are
    elements of their own belong to the annulus, ligaments and facet joints pass beside the disc. A fluid nucleus
    carries its pressure times the opening of its cavity in the section.
    """
    values: list[Value] = []
    for disc in discs(segment.mesh):
        frame = segment.mesh.frames[disc]
        axis = frame.axes[2]
        section = cut_section(segment, disc, point=frame.origin, normal=axis)
        force = split_axial_force(segment, section.cut, disc, axis)
        area = cut_area(segment, disc, section.below, axis)
        fluid = cavity_opening(segment, disc, section.below, axis)
        if fluid is not None:
            opening, pressure = fluid
            area += opening
            force["nucleus"] = -pressure * opening
            force["annulus"] = float(section.cut.force @ axis) - force["nucleus"]
        if "annulus" in force:
            force["annulus"] += float(section.fibre_force @ axis)
        total = float(np.sum(list(force.values())))
        mean_pressure = -total / area
        values.append(Value(disc, "disc_area_mm2", area))
        values.append(Value(disc, "disc_axial_force_n", total))
        values += [
            Value(disc, f"{kind}_axial_force_n", force[kind]) for kind in ("nucleus", "annulus") if kind in force
        ]
        if "nucleus" in force:
            pressure = nucleus_pressure(segment, disc)
            values.append(Value(disc, "nucleus_pressure_mpa", pressure))
            if has_net(force.values()):
                values.append(Value(disc, "nucleus_load_share", force["nucleus"] / total))
                values.append(Value(disc, "nucleus_pressure_over_mean_pressure", pressure / mean_pressure))
    return values
