"""What a parametric segment is, as a record that results keep: sizes, what is not as published, fractures, fluids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fesolver.anatomy.dimensions import DIMENSION_UNITS, disc_dimensions, vertebra_dimensions
from fesolver.anatomy.published import DIMENSION_SOURCES
from fesolver.anatomy.recipe import SpineRecipe
from fesolver.bone.tissue import Tissue
from fesolver.fem.cavity import enclosed_volume
from fesolver.meshing.regions import cell_volumes
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.outcomes.state import SolvedState
from fesolver.study.config import StudyConfig
from fesolver.study.surface_inputs import SurfaceData

__all__ = [
    "cavity_record",
    "fracture_lines",
    "geometry_record",
    "mean_density",
    "mesh_text",
    "mesh_warnings",
    "override_lines",
    "surface_record",
]

_BODY = (
    *("anterior_height_mm", "posterior_height_mm", "superior_width_mm", "superior_depth_mm", "inferior_width_mm"),
    *("inferior_depth_mm", "superior_concavity_mm", "inferior_concavity_mm", "wedge_deg"),
)
_DISC = ("height_mm", "wedge_deg", "nucleus_area_fraction")


def mesh_text(config: StudyConfig) -> str:
    """The kind of mesh and how fine it is, in words."""
    segment = config.segment
    if config.mesh_kind == "voxel":
        return f"voxels of {segment.spacing_mm:g} mm"
    if config.mesh_kind == "tetrahedral":
        return f"tetrahedra of {segment.size_mm:g} mm, {segment.size_inside_mm:g} mm inside, {config.element}"
    if config.mesh_kind == "foreign":
        return "a mesh made elsewhere"
    return f"structured, refinement {segment.refinement:g}, {config.element}"


def mesh_warnings(config: StudyConfig) -> list[str]:
    """What the study's cells are not fit for."""
    if config.element != "tet4" or len(config.segment.levels) < 2:
        return []
    return [
        "warning: tet4 cells lock in discs, whose tissue hardly changes its volume: a disc is some 40 % too stiff; use "
        "segment.element = 'tet10' for anything but a first look"
    ]


def override_lines(recipe: SpineRecipe) -> list[str]:
    """Every dimension that the study gives, beside the published one and its source."""
    lines = []
    used = {(row.owner, row.name): row.value for row in recipe.source_table()}
    for given, is_disc in ((recipe.dimensions, False), (recipe.discs, True)):
        for owner, values in given.items():
            published = disc_dimensions(*owner.split("-")) if is_disc else vertebra_dimensions(owner)
            for name, value in values.items():
                unit, origin = DIMENSION_UNITS[name], DIMENSION_SOURCES[name]
                line = f"{owner}: {name} = {value:g} {unit}".rstrip() + " given in the study"
                if used[owner, name] != value:
                    line += f", {used[owner, name]:.4g} {unit}".rstrip() + " after fracture or degeneration"
                line += f"; published {getattr(published, name):g} {unit}".rstrip()
                lines.append(f"{line} ({origin.citation}; {origin.standing})")
    return lines


def fracture_lines(recipe: SpineRecipe) -> list[str]:
    """Every fracture with its height loss and what it does to density."""
    out = []
    for level, fracture in recipe.fractures.items():
        kind = f"{fracture.kind} of Genant grade {fracture.grade}, " if fracture.kind else ""
        lost = ", ".join(f"{place} {loss:g} %" for place, loss in fracture.losses().items())
        out.append(f"{level}: {kind}height loss {lost}; density times {recipe.density_factor(level):.3f}")
    return out


def mean_density(mesh: SpineMesh, tissue: Tissue, level: str) -> float:
    """Density of a level's trabecular bone by volume, g/cm3; NaN without any."""
    region = tissue.regions.get(f"{level}/trabecular")
    if region is None:
        return float("nan")
    weight = region.fraction * cell_volumes(mesh)[region.cells]
    return float(np.sum(weight * tissue.density[region.cells]) / np.sum(weight))


def geometry_record(recipe: SpineRecipe, config: StudyConfig, mesh: SpineMesh, tissue: Tissue) -> dict[str, Any]:
    """Sizes of bodies and discs as used, and what is not as published.

    Parameters
    ----------
    recipe : SpineRecipe
        The segment.
    config : StudyConfig
        Gives the nucleus.
    mesh, tissue
        Intact.

    Returns
    -------
    dict
        JSON types, units in the keys; densities in g/cm3.
    """
    column = recipe.column()
    bodies = {
        v.level: {
            **{name: float(getattr(v.dimensions, name)) for name in _BODY},
            "density_factor": recipe.density_factor(v.level),
            "density_mean_g_cm3": mean_density(mesh, tissue, v.level),
        }
        for v in column.vertebrae
    }
    discs = {
        d.name: {
            **{name: float(getattr(d, name)) for name in _DISC},
            "degeneration": recipe.degeneration.get(d.name, "none"),
            "nucleus": config.disc.nucleus,
        }
        for d in column.discs
    }
    return {
        "sex": recipe.sex,
        "size": recipe.size,
        "kyphosis_deg": column.kyphosis_deg,
        "bodies": bodies,
        "discs": discs,
        "given": override_lines(recipe),
        "fractures": fracture_lines(recipe),
    }


def surface_record(data: SurfaceData, mesh: SpineMesh, tissue: Tissue) -> dict[str, Any]:
    """Sizes of bodies and discs of a segment of surfaces, in JSON types, units in the keys.

    Parameters
    ----------
    data : SurfaceData
        Surfaces with their parts.
    mesh, tissue
        Intact.
    """
    files = dict(zip((v.level for v in data.vertebrae), (path for path, _ in data.files), strict=False))
    bodies = {
        v.level: {
            "file": Path(files[v.level]).name,
            "triangles": len(v.surface.triangles),
            "volume_ml": 1e-3 * v.surface.volume,
            "body_volume_ml": 1e-3 * v.body_volume_mm3,
            "superior_area_mm2": v.geometry.superior_area_mm2,
            "inferior_area_mm2": v.geometry.inferior_area_mm2,
            "density_mean_g_cm3": mean_density(mesh, tissue, v.level),
            "findings": [line.removeprefix(f"{v.level}: ") for line in data.findings if line.startswith(f"{v.level}:")],
        }
        for v in data.vertebrae
    }
    discs = {
        pair.name: {
            "height_mm": pair.disc_height_mm,
            "wedge_deg": pair.tilt_deg,
            **{f"facet_gap_{side}_mm": facet.gap_mm for side, facet in pair.facets.items()},
        }
        for pair in data.neighbours
    }
    return {"kind": "surfaces", "bodies": bodies, "discs": discs}


def cavity_record(states: Sequence[SolvedState]) -> list[dict[str, Any]]:
    """Fluid nuclei: volume, bulk modulus, and the pressure of every state."""
    if not states:
        return []
    return [
        {
            "name": cavity.name,
            "volume_ml": 1e-3 * enclosed_volume(states[0].problem.points, cavity.facets),
            "bulk_modulus_mpa": cavity.bulk_modulus,
            "pressure_mpa": {state.name: float(state.solution.cavity_pressure[cavity.name]) for state in states},
        }
        for cavity in states[0].problem.cavities
    ]
