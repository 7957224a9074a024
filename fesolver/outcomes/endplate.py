"""How endplates bulge, and what the bone right under them carries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.voigt import principal_values, stress_tensor, von_mises
from fesolver.outcomes.endplate_geometry import central_weights, depth_fraction, rim_weights
from fesolver.outcomes.parts import BONE_KINDS, FOREIGN_KINDS, part_fraction
from fesolver.outcomes.phase import material_stress
from fesolver.outcomes.state import OutcomeSettings, SolvedState, Value
from fesolver.outcomes.surface import FacetSurface
from fesolver.outcomes.weighted import upper_quantile, weighted_mean

__all__ = ["ENDPLATES", "endplate_bulge", "endplate_values", "layer_groups", "stress_summary"]

ENDPLATES = ("superior_endplate", "inferior_endplate")

_PURE = 1.0 - 1e-9
_ABSENT = 1e-9


def endplate_bulge(surface: FacetSurface, u: NDArray[np.float64], settings: OutcomeSettings) -> float:
    """Bulge of an endplate into its body, mm.

    Parameters
    ----------
    surface : FacetSurface
        The endplate.
    u : (n_points, 3) ndarray
        Displacement, mm.
    settings : OutcomeSettings
        Size of the centre and of the rim.

    Returns
    -------
    float
        Positive into the body.

    Raises
    ------
    InputError
        If the rim is so wide, or the facets are so large, that rim and centre are not two places.

    Notes
    -----
    The mean displacement along the mean normal of the central part of the area, minus the plane that best fits the
    displacement of the rim, taken at the same place. Every rigid motion gives zero, also of a concave endplate: the
    part of a small rotation along the normal is linear in the two coordinates of the plane.
    """
    xy = surface.plane_coordinates(surface.centers)
    into_body = -(surface.displacement(u) @ surface.normal)
    center = central_weights(surface, settings.bulge_center_area_fraction)
    rim = rim_weights(surface, settings.bulge_rim_mm)
    # What round-off alone gives to both is no overlap.
    least = 1e-9 * surface.projected_areas
    if np.any((rim > least) & (center > least)):
        raise InputError(
            f"the {settings.bulge_rim_mm:g} mm rim of {surface.name} ({surface.area:.0f} mm2) reaches its central "
            f"{100 * settings.bulge_center_area_fraction:g} %",
            where="outcome settings, bulge_rim_mm",
            fix="use a narrower rim or smaller cells",
        )
    basis = np.column_stack([np.ones(len(xy)), xy])
    normal_matrix = basis.T @ (rim[:, None] * basis)
    plane = np.linalg.solve(normal_matrix, basis.T @ (rim * into_body))
    return weighted_mean(into_body - basis @ plane, center)


def layer_groups(state: SolvedState, level: str) -> dict[str, NDArray[np.bool_]]:
    """Cells of a vertebral body by what they hold: one bone material, a mix, or cement, each (n_cells,).

    Notes
    -----
    `bone`: one bone region fills the cell. `mixed`: more than one bone region, or bone beside something that is no
    cement; its stress is that of no material in it. `cement`: any cement or
    implant.
    """
    mesh = state.mesh
    bone = part_fraction(mesh, level, BONE_KINDS)
    cement = part_fraction(mesh, level, FOREIGN_KINDS)
    largest = np.max([part_fraction(mesh, level, (kind,)) for kind in BONE_KINDS], axis=0)
    has_cement = cement > _ABSENT
    is_pure = ~has_cement & (largest >= _PURE)
    return {"bone": is_pure, "mixed": ~has_cement & ~is_pure & (bone > _ABSENT), "cement": has_cement}


def stress_summary(
    min_principal: NDArray[np.float64], equivalent: NDArray[np.float64], volume: NDArray[np.float64]
) -> dict[str, float]:
    """Volume-weighted mean, 95th percentile and extreme of the stresses of some cells, MPa.

    Notes
    -----
    Minimum principal stress keeps its sign (compression negative): its percentile is the value that the most compressed
    5 % of the volume reach, its extreme the most negative. The extreme of one cell grows as cells shrink, wherever
    the exact field has an edge or a corner: it depends on the mesh, and its name says so.
    """
    return {
        "min_principal_stress_mean_mpa": weighted_mean(min_principal, volume),
        "min_principal_stress_p95_mpa": -upper_quantile(-min_principal, volume, 0.05),
        "min_principal_stress_max_mesh_dependent_mpa": float(min_principal.min()),
        "von_mises_stress_mean_mpa": weighted_mean(equivalent, volume),
        "von_mises_stress_p95_mpa": upper_quantile(equivalent, volume, 0.05),
        "von_mises_stress_max_mesh_dependent_mpa": float(equivalent.max()),
    }


def endplate_values(
    segment: SolvedState, isolated: Mapping[str, SolvedState], settings: OutcomeSettings
) -> list[Value]:
    """Bulge, and the stresses in the first millimetres under each endplate.

    Notes
    -----
    `..._trabecular_...` is the stress of the trabecular bone itself, whatever else shares its cells, weighted by its
    own volume inside the layer (`material_stress`): it exists at every cell size. The other groups hold the stress of
    whole cells, weighted by the volume of each inside the layer: cells of one bone (no word), mixed cells
    (`..._mixed_...`) and cells with cement (`..._cement_...`); a group without cells gives no value.
    An endplate tied to a pad moves as a rigid body: it gives no bulge.
    """
    values: list[Value] = []
    equivalent = von_mises(segment.fields.stress)
    for level in segment.mesh.levels:
        groups = layer_groups(segment, level)
        trabecular = _trabecular_stress(segment, level)
        for endplate in ENDPLATES:
            surface = FacetSurface.of(segment.mesh, f"{level}/{endplate}")
            if not _is_held_flat(segment, surface):
                bulge = endplate_bulge(surface, segment.solution.u, settings)
                values.append(Value(level, f"{endplate}_bulge_mm", bulge))
            values.append(Value(level, f"{endplate}_area_mm2", surface.area))
            stresses = {} if trabecular is None else {f"{endplate}_trabecular": trabecular}
            for group, members in groups.items():
                cells = np.flatnonzero(members)
                stresses[endplate if group == "bone" else f"{endplate}_{group}"] = _CellStresses(
                    cells, segment.principal_stress[cells, 0], equivalent[cells], segment.cell_volumes[cells]
                )
            for prefix, of_group in stresses.items():
                values += _layer_values(segment, level, surface, prefix, of_group, settings.endplate_depth_mm)
    return values


@dataclass(frozen=True)
class _CellStresses:
    """Cells, (k,), with a minimum principal and a von Mises stress, MPa, and the volume they stand for, mm3."""

    cells: NDArray[np.int64]
    min_principal: NDArray[np.float64]
    equivalent: NDArray[np.float64]
    volume: NDArray[np.float64]


def _trabecular_stress(state: SolvedState, level: str) -> _CellStresses | None:
    """Stress of a level's trabecular bone in every cell that holds any; None where its constants are not known."""
    name = f"{level}/trabecular"
    stress = material_stress(state, name)
    if stress is None:
        return None
    region = state.mesh.regions[name]
    volume = region.fraction * state.cell_volumes[region.cells]
    return _CellStresses(region.cells, principal_values(stress_tensor(stress))[:, 0], von_mises(stress), volume)


def _layer_values(
    state: SolvedState, level: str, surface: FacetSurface, prefix: str, of_group: _CellStresses, depth: float
) -> list[Value]:
    """Summary of one group of stresses within `depth` mm under a surface; empty where the group has no volume there."""
    inside = depth_fraction(state.mesh, surface, of_group.cells, depth)
    within = inside > 0.0
    if not within.any():
        return []
    volume = inside[within] * of_group.volume[within]
    summary = stress_summary(of_group.min_principal[within], of_group.equivalent[within], volume)
    values = [Value(level, f"{prefix}_{name}", number) for name, number in summary.items()]
    return [*values, Value(level, f"{prefix}_layer_volume_mm3", float(volume.sum()))]


def _is_held_flat(state: SolvedState, surface: FacetSurface) -> bool:
    """Whether all points of the surface belong to one rigid body."""
    return any(np.isin(surface.point_ids, body.points).all() for body in state.problem.rigid_bodies)
