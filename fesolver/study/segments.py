"""Every kind of input to a mesh and its tissue: voxels, structured hexahedra, tetrahedra, a mesh made elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.frames import Frame
from fesolver.anatomy.levels import disc_name
from fesolver.anatomy.recipe import SpineRecipe
from fesolver.bone.tissue import Tissue
from fesolver.errors import InputError
from fesolver.fem.problem import FluidCavity, LinearTie
from fesolver.imaging.resample import build_segment_image
from fesolver.imaging.segment_density import with_density
from fesolver.imaging.volume import SegmentImage, Volume
from fesolver.meshing.annulus_axes import annulus_axes
from fesolver.meshing.measured_column import measured_column
from fesolver.meshing.regions import cell_volumes
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.structured import StructuredMesh, mesh_column
from fesolver.meshing.structured_posterior import add_posterior, extend_tissue
from fesolver.meshing.structured_tissue import structured_tissue
from fesolver.meshing.submesh import without_nuclei
from fesolver.meshing.tet_tissue import tet_tissue, tet_tissue_from_ct
from fesolver.meshing.tetrahedra import TetMesh
from fesolver.meshing.voxel import mesh_segment, tissue_from_image
from fesolver.study.config import StudyConfig
from fesolver.study.connections import Joints
from fesolver.study.inputs import ParametricData, SegmentData, StudyData
from fesolver.study.kept import Kept, geometry_key
from fesolver.study.schema import MeshInput, SegmentConfig
from fesolver.study.stages import Stages
from fesolver.study.surface_inputs import MeshData, SurfaceData
from fesolver.study.surface_segment import (
    changed_density,
    column_vertebrae,
    density_tissue,
    label_vertebrae,
    mesh_vertebrae,
    surface_joints,
)
from fesolver.surfaces.parts_segment import check_neighbours
from fesolver.surfaces.vertebra import VertebraSurface

__all__ = ["MeshedSegment", "mesh_segment_of"]

_BODY_DENSITY = 0.01, 2.2
"""Mean density of a vertebra, g/cm3, that is taken for one: far below osteoporosis up to solid cortex. It finds a unit
that is wrong by 1000, and nothing finer; a choice."""


@dataclass(frozen=True)
class MeshedSegment:
    """A segment before anything is injected or given a stiffness.

    Parameters
    ----------
    mesh : SpineMesh
    tissue : Tissue
    cavities : tuple of FluidCavity
        Fluid nuclei, whose cells the mesh leaves out.
    ties : tuple of LinearTie
        Posterior elements to bodies.
    joints : Joints or None
        Where ligaments attach and facets meet; None leaves it to the mesh's own size.
    image : SegmentImage or None
        What a voxel mesh was made from.
    """

    mesh: SpineMesh
    tissue: Tissue
    cavities: tuple[FluidCavity, ...] = ()
    ties: tuple[LinearTie, ...] = ()
    joints: Joints | None = None
    image: SegmentImage | None = None


def mesh_segment_of(
    config: StudyConfig, data: StudyData, stages: Stages, coarsening: float, kept: Kept[Any] | None = None
) -> MeshedSegment:
    """Mesh a segment on cells `coarsening` times as large as the study asks for; a mesh that is kept is used again."""
    meshes = Kept[Any]() if kept is None else kept
    key = f"{geometry_key(config)} x{coarsening:.17g}"
    if config.mesh_kind == "tetrahedral":
        return _tetrahedral(config, data, stages, coarsening, meshes, key)
    if isinstance(data, MeshData):
        with stages("mesh"):
            return _foreign(config, data)
    if isinstance(data, ParametricData):
        with stages("mesh"):
            return _structured(config, data.recipe, coarsening, meshes, key)
    assert isinstance(data, SegmentData)
    return _voxels(config, data, stages, config.segment.spacing_mm * coarsening, meshes, key)


def _voxels(
    config: StudyConfig, data: SegmentData, stages: Stages, spacing: float, kept: Kept[Any], key: str
) -> MeshedSegment:
    """Voxels of a CT or phantom, with the density of `data` in a mesh that was perhaps made for another."""

    def make() -> tuple[SegmentImage, SpineMesh, Volume]:
        with stages("resample", f"resample to {spacing:g} mm"):
            image = _resampled(config, data, spacing)
        with stages("mesh"):
            keep = bool(config.segment.posterior_elements)
            mesh = mesh_segment(image, shell=config.segment.shell, keep_posterior=keep, **_given(config.segment))
        return image, mesh, data.density

    image, mesh, of_density = kept.get(key, make)
    if of_density is not data.density:
        with stages("resample", "density on the cells"):
            image = with_density(image, data.density, data.kind)
    with stages("mesh"):
        return MeshedSegment(mesh, tissue_from_image(mesh, image), image=image)


def _resampled(config: StudyConfig, data: SegmentData, spacing_mm: float) -> SegmentImage:
    """Resample a segment once, onto the grid in its own frame."""
    return build_segment_image(
        data.density,
        data.kind,
        data.labels,
        levels=config.segment.levels,
        spacing_mm=spacing_mm,
        subregions=data.subregions,
        keep_posterior=bool(config.segment.posterior_elements),
        extra=data.extra,
    )


def _given(segment: SegmentConfig) -> dict[str, float]:
    """Thicknesses and nucleus that the study states; the meshers have the published ones for the rest."""
    names = ("cortical_thickness_mm", "endplate_thickness_mm", "nucleus_area_fraction")
    return {name: value for name in names if (value := getattr(segment, name)) is not None}


def _structured(
    config: StudyConfig, recipe: SpineRecipe, coarsening: float, kept: Kept[Any], key: str
) -> MeshedSegment:
    """Structured hexahedra of a parametric segment, with fluid nuclei and solid arches where asked for."""
    segment = config.segment

    def make() -> StructuredMesh:
        return mesh_column(
            recipe.column(),
            refinement=segment.refinement / coarsening,
            element=cast("Any", config.element),
            layer_cells=segment.layer_cells,
            **_given(segment),
        )

    made: StructuredMesh = kept.get(key, make)
    mesh, cavities, ties = made.mesh, tuple[FluidCavity, ...](), tuple[LinearTie, ...]()
    tissue = structured_tissue(made, {level: recipe.density_field(level) for level in mesh.levels})
    tissue = changed_density(config, tissue)
    joints = _published_joints(config, recipe, mesh)
    if segment.posterior_elements:
        if config.disc.nucleus == "fluid":
            raise InputError(
                "solid posterior elements and fluid nuclei are not meshed together", where="segment.posterior_elements",
                fix="use disc.nucleus = 'solid', or leave posterior_elements out: processes are then rigid links",
            )  # fmt: skip
        arched = add_posterior(made, None if joints is None else joints.facets)
        return MeshedSegment(arched.mesh, extend_tissue(tissue, arched.mesh), ties=arched.ties, joints=joints)
    if config.disc.nucleus == "fluid":
        opened = without_nuclei(mesh, bulk_modulus=config.disc.nucleus_bulk_modulus_mpa)
        mesh, tissue, cavities = opened.mesh, opened.tissue(tissue), opened.cavities
    return MeshedSegment(mesh, tissue, cavities, ties, joints)


def _published_joints(config: StudyConfig, recipe: SpineRecipe, mesh: SpineMesh) -> Joints | None:
    """Sites and joints on a parametric column, where the study asks for some."""
    if not config.connections.is_used:
        return None
    source = "published places on the parametric column"
    return Joints.of_column(recipe.column(), mesh.frame, source, config.connections)


def _tetrahedral(
    config: StudyConfig, data: StudyData, stages: Stages, coarsening: float, kept: Kept[Any], key: str
) -> MeshedSegment:
    """Tetrahedra in closed surfaces: those given, of labels, or of parametric bodies."""

    def make() -> tuple[tuple[VertebraSurface, ...], TetMesh]:
        with stages("surfaces", "surfaces of the vertebrae"):
            if isinstance(data, SurfaceData):
                vertebrae = data.vertebrae
            elif isinstance(data, SegmentData):
                vertebrae = label_vertebrae(config, data)
            else:
                assert isinstance(data, ParametricData)
                vertebrae = column_vertebrae(config, data.recipe)
        with stages("mesh", "tetrahedra"):
            return vertebrae, mesh_vertebrae(config, vertebrae, coarsening)

    vertebrae, made = kept.get(key, make)
    with stages("mesh", "tissue"):
        mesh = made.mesh
        if isinstance(data, ParametricData):
            made = replace(made, bodies={v.level: v for v in data.recipe.column().vertebrae})
            fields = {level: data.recipe.density_field(level) for level in mesh.levels}
            tissue = changed_density(config, tet_tissue(made, fields))
            return MeshedSegment(mesh, tissue, joints=_published_joints(config, data.recipe, mesh))
        if isinstance(data, SegmentData):
            tissue = tet_tissue_from_ct(made, data.density, data.kind)
            neighbours = check_neighbours(vertebrae)
        else:
            assert isinstance(data, SurfaceData)
            tissue, neighbours = density_tissue(config, made, data.density), data.neighbours
        has_arches = all(vertebra.cut is not None for vertebra in vertebrae)
        wanted = config.connections.is_used and has_arches
        return MeshedSegment(mesh, tissue, joints=surface_joints(vertebrae, neighbours, mesh.frame) if wanted else None)


def _foreign(config: StudyConfig, data: MeshData) -> MeshedSegment:
    """A mesh made elsewhere with its tissue."""
    mesh = data.found.mesh
    discs = [disc_name(*pair) for pair in pairwise(mesh.levels)]
    axes = {f"{d}/annulus": annulus_axes(mesh, d) for d in discs if f"{d}/annulus" in mesh.regions}
    if data.found.density is not None:
        density = _cell_density(config, mesh, data.found.density)
        tissue = Tissue(density, data.density.kind, mesh.regions, axes)
        return MeshedSegment(mesh, changed_density(config, tissue))
    parent = mesh.frame
    bodies = {
        v.level: replace(v, frame=Frame(parent.to_parent(v.frame.origin), parent.vectors_to_parent(v.frame.axes)))
        for v in measured_column(mesh).vertebrae
    }
    return MeshedSegment(mesh, density_tissue(config, TetMesh(mesh, bodies, axes, {}), data.density))


def _cell_density(config: StudyConfig, mesh: SpineMesh, given: NDArray[np.float64]) -> NDArray[np.float64]:
    """Density (n_cells,) in g/cm3 of a mesh made elsewhere: where there is bone, of bone."""
    assert isinstance(config.input, MeshInput)
    density = np.zeros(len(mesh.cells))
    unit = 1e-3 if config.input.density_unit == "mg/cm3" else 1.0
    volume = cell_volumes(mesh)
    low, high = _BODY_DENSITY
    for level in mesh.levels:
        own = mesh.level_cells(level)
        density[own] = unit * given[own]
        mean = float(np.average(density[own], weights=volume[own]))
        if not low <= mean <= high:
            raise InputError(
                f"the mean density of {level} is {mean:.3g} g/cm3 if {config.input.density_key!r} is in "
                f"{config.input.density_unit}; a vertebra has {low:g} to {high:g} g/cm3",
                where="input.density_key", fix="check density_unit, and which array holds the density",
            )  # fmt: skip
    return density
