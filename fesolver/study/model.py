"""From data to a mesh, its tissue, its stiffness, and solved states of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fesolver.bone.conversions import convert
from fesolver.bone.density import Density, DensityKind
from fesolver.bone.materials import BoneMaterial, Material
from fesolver.bone.mixing import MixReport, mix_elasticity
from fesolver.bone.tissue import Tissue
from fesolver.errors import InputError
from fesolver.fem.problem import Connections, Elasticity, FluidCavity, LinearTie, Problem
from fesolver.imaging.volume import SegmentImage
from fesolver.loading.load_case import LoadCase
from fesolver.loading.pads import PadSetup, pad_constraints
from fesolver.meshing.regions import cell_centroids, cell_volumes, region_volume
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.outcomes.registry import select_outcomes
from fesolver.study.cohort_input import disc_grades
from fesolver.study.config import StudyConfig
from fesolver.study.connections import elastic_materials, study_connections
from fesolver.study.inputs import StudyData
from fesolver.study.kept import Kept
from fesolver.study.materials import study_materials
from fesolver.study.schema import MeshInput, ParametricInput, SurfacesInput
from fesolver.study.segments import MeshedSegment, mesh_segment_of
from fesolver.study.stages import Stages
from fesolver.treatment.cement import CementPlan, CementReport, inject_cement
from fesolver.treatment.cement_report import MM3_PER_ML

__all__ = [
    "Extras",
    "Model",
    "Models",
    "body_volume",
    "build_models",
    "check_tables",
    "intact_model",
    "is_same_stiffness",
    "label_part_notes",
    "make_problem",
    "study_load_case",
    "treated_model",
]


@dataclass(frozen=True)
class Extras:
    """What a problem has beside cells and pads; the same in every state.

    Parameters
    ----------
    cavities : tuple of FluidCavity
        Fluid nuclei, whose cells the mesh leaves out.
    connections : tuple of Connections
        Ligaments, facet joints, fibres.
    ties : tuple of LinearTie
        Posterior elements to bodies.
    notes : tuple of str
        Where connections are from, and what of them is not as it should be.
    """

    cavities: tuple[FluidCavity, ...] = ()
    connections: tuple[Connections, ...] = ()
    ties: tuple[LinearTie, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """One state of a segment before it is solved.

    Parameters
    ----------
    mesh : SpineMesh
        Points, cells, regions.
    tissue : Tissue
        What fills the cells.
    elasticity : Elasticity
        Constants per cell.
    mix : MixReport
        How they came about.
    cement : CementReport or None
        What was injected.
    extras : Extras
        What holds it together beside its cells.
    """

    mesh: SpineMesh
    tissue: Tissue
    elasticity: Elasticity
    mix: MixReport
    cement: CementReport | None = None
    extras: Extras = Extras()

    @property
    def cavities(self) -> tuple[FluidCavity, ...]:
        """Fluid nuclei, whose cells the mesh leaves out."""
        return self.extras.cavities


@dataclass(frozen=True)
class Models:
    """The states of a segment on one mesh, and what they were made from.

    Parameters
    ----------
    intact : Model
    treated : Model or None
        Where the study treats; the intact one without cement (0 ml).
    image : SegmentImage or None
        What a voxel mesh was made from.
    """

    intact: Model
    treated: Model | None
    image: SegmentImage | None = None

    @property
    def last(self) -> Model:
        """The treated model, or the intact one where nothing is treated."""
        return self.treated or self.intact


def build_models(
    config: StudyConfig, data: StudyData, stages: Stages, *, coarsening: float = 1.0, kept: Kept[Any] | None = None
) -> Models:
    """Mesh a segment and give it its stiffness, intact and treated, on cells `coarsening` times as large."""
    segment = mesh_segment_of(config, data, stages, coarsening, kept)
    with stages("mesh"):
        intact = intact_model(config, segment)
        return Models(intact, treated_model(config, intact), segment.image)


def intact_model(config: StudyConfig, segment: MeshedSegment) -> Model:
    """A meshed segment with its constants and connections."""
    mesh, tissue = segment.mesh, segment.tissue
    soft, sources = study_connections(config, mesh, tissue, _materials(config), segment.joints)
    extra = Extras(segment.cavities, soft, segment.ties, sources)
    return replace(_with_stiffness(config, mesh, tissue), extras=extra)


def treated_model(config: StudyConfig, intact: Model) -> Model | None:
    """The treated model on the mesh of the intact one, that one itself without cement (0 ml); None where untreated."""
    plan = _cement_plan(config, intact)
    if plan is None:
        return None
    mesh, tissue, report = inject_cement(intact.mesh, intact.tissue, plan)
    if tissue is intact.tissue:
        return replace(intact, cement=report)
    return replace(_with_stiffness(config, mesh, tissue), cement=report, extras=intact.extras)


def study_load_case(config: StudyConfig) -> LoadCase:
    """The load case of the study's `[load]` table."""
    load = config.load
    return LoadCase(
        control=load.control,
        force_n=load.force_n,
        displacement_mm=load.displacement_mm or 0.0,
        top=load.top,
        offset_anterior_mm=load.offset_anterior_mm,
        flexion_nm=load.flexion_nm,
        lateral_bending_nm=load.lateral_bending_nm,
        axial_rotation_nm=load.axial_rotation_nm,
        follower_n=load.follower_n,
    )


def check_tables(config: StudyConfig) -> None:
    """Check what the tables alone can tell, before any file is read.

    Raises
    ------
    InputError
        If a law, conversion, grade or outcome is unknown, or the treatment or the load is incomplete.
    """
    try:
        select_outcomes(config.output.outcomes)
    except InputError as error:
        raise InputError(error.what, where="output.outcomes", fix=error.fix) from error
    bone = _materials(config)["trabecular"]
    kind: DensityKind = config.calibration.density_kind if config.calibration else "rho_qct"  # that of the phantom
    given = config.input
    if isinstance(given, ParametricInput) or (isinstance(given, SurfacesInput | MeshInput) and given.ct is None):
        kind = given.density_kind
    assert isinstance(bone, BoneMaterial)
    try:
        bone.law.evaluate(convert(Density(np.zeros(1), kind), bone.conversions))
    except InputError as error:
        raise InputError(error.what, where=error.where or "[bone]", fix=error.fix) from error
    study_load_case(config)
    _cement_plan(config, None)


def _cement_plan(config: StudyConfig, intact: Model | None) -> CementPlan | None:
    """The plan of the study's `[treatment]` table; a fraction of the body is taken of the mesh, 0 ml without one."""
    table = config.treatment
    if table is None:
        return None
    plan = table.model_dump(exclude={"kind", "fill_fraction"})
    if table.fill_fraction is not None:
        body = 0.0 if intact is None else body_volume(intact.mesh, intact.tissue, table.level)
        plan["volume_ml"] = table.fill_fraction * body / MM3_PER_ML
    return CementPlan(**plan)


def body_volume(mesh: SpineMesh, tissue: Tissue, level: str) -> float:
    """Volume of a vertebral body without its posterior elements, mm3, as reports on cement take it."""
    volumes = cell_volumes(mesh)
    return sum(
        float(np.sum(region.fraction * volumes[region.cells]))
        for name, region in tissue.regions.items()
        if name.startswith(f"{level}/") and name != f"{level}/posterior"
    )


def _materials(config: StudyConfig) -> dict[str, Material]:
    """Material of every kind of region, with the disc grades of a cohort's member where there is one."""
    disc = config.disc.model_copy(update={"degeneration": dict(disc_grades(config))})
    return study_materials(config.model_copy(update={"disc": disc}))


def _with_stiffness(config: StudyConfig, mesh: SpineMesh, tissue: Tissue) -> Model:
    """Add the elastic constants."""
    materials = elastic_materials(config, _materials(config))
    elasticity, mix = mix_elasticity(tissue, materials, volumes=cell_volumes(mesh), centroids=cell_centroids(mesh))
    return Model(mesh=mesh, tissue=tissue, elasticity=elasticity, mix=mix)


def label_part_notes(intact: Model) -> list[str]:
    """What cement and metal from label volumes fill of each body, in lines."""
    return [
        f"{name}: {region_volume(intact.mesh, name) / 1000:.2f} ml from a label volume, in every state; outside the "
        "bodies it is left out"
        for name in intact.mesh.regions
        if name.endswith(("/cement", "/implant"))
    ]


def make_problem(model: Model, load_case: LoadCase) -> tuple[Problem, PadSetup]:
    """The arrays of the boundary-value problem, and the pads behind them."""
    pads = pad_constraints(model.mesh, load_case)
    problem = Problem(
        points=model.mesh.points,
        cells=model.mesh.cells,
        elasticity=model.elasticity,
        prescribed_dofs=pads.prescribed_dofs,
        rigid_bodies=pads.rigid_bodies,
        lattice=model.mesh.lattice,
        element=model.mesh.element,
        cavities=model.extras.cavities,
        connections=model.extras.connections,
        ties=model.extras.ties,
    )
    return problem, pads


def is_same_stiffness(a: Elasticity, b: Elasticity) -> bool:
    """Whether two models have the same constants, bit by bit."""
    return a is b or (
        np.array_equal(a.young, b.young)
        and np.array_equal(a.poisson, b.poisson)
        and np.array_equal(a.general_cells, b.general_cells)
        and np.array_equal(a.general_matrices, b.general_matrices)
    )
