"""How the cortical shell and the core of a vertebral body share the axial force."""

from __future__ import annotations

from collections.abc import Mapping

from fesolver.outcomes.cuts import split_axial_force
from fesolver.outcomes.section_cuts import cut_section
from fesolver.outcomes.state import OutcomeSettings, SolvedState, Value
from fesolver.outcomes.surface import FacetSurface, axis_between
from fesolver.outcomes.weighted import has_net

__all__ = ["SHELL_RESOLVED_SOURCE_MM", "body_force_split", "load_share_values"]

SHELL_RESOLVED_SOURCE_MM = 1.0
"""Largest voxel edge of the source image, mm, at which a shell share may be called resolved. Reports print the share
of a coarser source as not resolved: the shell is about 0.35 mm thick (Silva 1994; CT overestimates it at least
twofold)."""

CORE = ("trabecular", "cement", "implant")
SHELL = ("cortical",)
ENDPLATE_LAYERS = ("superior_endplate", "inferior_endplate")


def body_force_split(state: SolvedState, level: str, height: float) -> dict[str, float]:
    """Axial force in the parts of a vertebral body at one height.

    Parameters
    ----------
    state : SolvedState
        The solved segment.
    level : str
        Vertebral level.
    height : float
        Fraction of the way from the inferior to the superior endplate's centroid.

    Returns
    -------
    dict of str to float
        `shell` (cortical), `core` (trabecular bone, cement and implants), `endplate` (the endplate layers the cut
        meets), and `posterior` where posterior elements are kept: N, along the line of the endplates' centroids,
        compression negative.

    Notes
    -----
    The cut is normal to that line (`section_cuts`: a plane, or in tetrahedra the mean over 4 mm about it). Forces come
    from the cells' nodal forces, split inside a mixed cell by fraction times axial modulus.
    """
    lower = FacetSurface.of(state.mesh, f"{level}/inferior_endplate")
    upper = FacetSurface.of(state.mesh, f"{level}/superior_endplate")
    axis, distance = axis_between(lower, upper)
    section = cut_section(state, level, point=lower.centroid + height * distance * axis, normal=axis)
    force = split_axial_force(state, section.cut, level, axis)
    groups = {"shell": SHELL, "core": CORE, "endplate": ENDPLATE_LAYERS, "posterior": ("posterior",)}
    return {
        group: sum(force.get(kind, 0.0) for kind in kinds)
        for group, kinds in groups.items()
        if group != "posterior" or "posterior" in force
    }


def load_share_values(
    segment: SolvedState, isolated: Mapping[str, SolvedState], settings: OutcomeSettings
) -> list[Value]:
    """Forces in shell and core, and their shares of the body's force, at mid-height and near both endplates.

    Notes
    -----
    The share is of the force in the body: shell, core and endplate layers, without posterior elements. A mesh without
    cortical regions (shell taken from the CT) gives no share.
    """
    low, high = settings.share_heights
    places = {"mid": 0.5, "near_inferior_endplate": low, "near_superior_endplate": high}
    values: list[Value] = []
    for level in segment.mesh.levels:
        if f"{level}/cortical" not in segment.mesh.regions:
            continue
        for place, height in places.items():
            force = body_force_split(segment, level, height)
            body = force["shell"] + force["core"] + force["endplate"]
            for group in ("shell", "core"):
                values.append(Value(level, f"{group}_axial_force_{place}_n", force[group]))
                if has_net((force["shell"], force["core"], force["endplate"])):
                    values.append(Value(level, f"{group}_load_share_{place}", force[group] / body))
    return values
