"""Segments of tetrahedra: from surfaces, label volumes or parameters to a mesh, its tissue and its joints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from fesolver.anatomy.facet_dimensions import facet_dimensions
from fesolver.anatomy.facet_joints import FacetJoint
from fesolver.anatomy.frames import Frame
from fesolver.anatomy.recipe import SpineRecipe
from fesolver.bone.tissue import Tissue
from fesolver.connections.sites import sites_from_landmarks
from fesolver.imaging.volume import Volume
from fesolver.meshing.tet_tissue import tet_tissue, tet_tissue_from_ct
from fesolver.meshing.tetrahedra import TetMesh, mesh_surfaces
from fesolver.study.config import StudyConfig
from fesolver.study.connections import Joints
from fesolver.study.inputs import SegmentData
from fesolver.study.surface_inputs import BodyDensity
from fesolver.surfaces.from_column import body_surface, vertebra_surface
from fesolver.surfaces.from_labels import surface_from_mask
from fesolver.surfaces.parts_segment import Neighbours
from fesolver.surfaces.vertebra import VertebraSurface, vertebra_parts

__all__ = [
    "changed_density",
    "column_vertebrae",
    "density_tissue",
    "label_vertebrae",
    "mesh_vertebrae",
    "surface_joints",
]


def mesh_vertebrae(config: StudyConfig, vertebrae: Sequence[VertebraSurface], coarsening: float) -> TetMesh:
    """Tetrahedra of the sizes that the study asks for, `coarsening` times as large."""
    segment = config.segment
    given = ("cortical_thickness_mm", "endplate_thickness_mm", "nucleus_area_fraction")
    keep = segment.posterior_elements
    return mesh_surfaces(
        vertebrae,
        size_mm=segment.size_mm * coarsening,
        size_inside_mm=segment.size_inside_mm * coarsening,
        element=cast("Any", config.element),
        layers=segment.layers,
        layer_cells=segment.layer_cells,
        keep_posterior=config.input.kind == "surfaces" if keep is None else keep,
        **{name: value for name in given if (value := getattr(segment, name)) is not None},
    )


def label_vertebrae(config: StudyConfig, data: SegmentData) -> tuple[VertebraSurface, ...]:
    """Surfaces of the labelled levels, in scanner space, cranial first."""
    out = []
    for level in config.segment.levels:
        mask = Volume(data.labels.mask(level), data.labels.affine)
        surface = surface_from_mask(mask, edge_mm=config.segment.size_mm, where=level)
        out.append(vertebra_parts(surface, level))
    return tuple(out)


def column_vertebrae(config: StudyConfig, recipe: SpineRecipe) -> tuple[VertebraSurface, ...]:
    """Surfaces of parametric vertebrae in the column's frame, cranial first; with their arches where asked for."""
    make = vertebra_surface if config.segment.posterior_elements else body_surface
    out = []
    for placed in recipe.column().vertebrae:
        surface, kind = make(placed, edge_mm=config.segment.size_mm)
        out.append(replace(vertebra_parts(surface, placed.level), kind=kind))
    return tuple(out)


def density_tissue(config: StudyConfig, made: TetMesh, density: BodyDensity) -> Tissue:
    """Tissue of tetrahedra by a density that comes without labels."""
    if density.ct is not None:
        return tet_tissue_from_ct(made, density.ct, density.kind)
    assert density.field is not None
    return changed_density(config, tet_tissue(made, density.field))


def changed_density(config: StudyConfig, tissue: Tissue) -> Tissue:
    """Tissue with the study's scale and offset of densities, where there is bone."""
    scale, offset = config.bone.density_scale, config.bone.density_offset_g_cm3
    if (scale, offset) == (1.0, 0.0):
        return tissue
    return replace(tissue, density=np.where(tissue.density > 0.0, tissue.density * scale + offset, 0.0))


def surface_joints(vertebrae: Sequence[VertebraSurface], neighbours: Sequence[Neighbours], frame: Frame) -> Joints:
    """Sites from the surfaces' landmarks and joints from their facing facets, in the segment frame.

    Notes
    -----
    Where the two surfaces of a joint overlap or touch, as shrink-wrapped ones do, the published gap stands in for
    theirs; `Joints.notes` says where.
    """
    notes: list[str] = []
    facets = tuple(joint for pair in neighbours for joint in _joints(pair, frame, notes))
    landmarks = {v.level: {name: frame.to_local(at) for name, at in v.landmarks.items()} for v in vertebrae}
    frames = {v.level: Frame(frame.to_local(v.frame.origin), frame.vectors_to_local(v.frame.axes)) for v in vertebrae}
    sites = sites_from_landmarks(landmarks, frames, [v.level for v in vertebrae], facets)
    return Joints(sites, facets, "landmarks and facing facets of the surfaces", tuple(notes))


def _joints(pair: Neighbours, frame: Frame, notes: list[str]) -> list[FacetJoint]:
    """Both facet joints of one disc; none where one side was not found."""
    upper, lower = pair.name.split("-")
    if len(pair.facets) != 2:
        notes.append(f"{pair.name}: {2 - len(pair.facets)} of 2 facet joints not found on the surfaces; none is made")
        return []
    out = []
    for side, found in pair.facets.items():
        gap = found.gap_mm
        if gap < 0.0:
            gap = facet_dimensions(upper, lower).gap_mm
            notes.append(
                f"{pair.name}, {side} facets: the surfaces overlap by {-found.gap_mm:.1f} mm; the published gap of "
                f"{gap:g} mm is taken"
            )
        across = 2.0 * np.sqrt(found.area_mm2 / np.pi)  # a round facet of the same area
        normal = frame.vectors_to_local(found.normal)
        out.append(
            FacetJoint(
                f"{pair.name}/{side}", upper, lower, cast("Any", side), frame.to_local(found.center),
                normal / np.linalg.norm(normal), float(across), float(across), float(gap),
            )
        )  # fmt: skip
    return out
