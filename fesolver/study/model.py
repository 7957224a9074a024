"""From data to a mesh, its tissue, its stiffness, and solved states of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fesolver.bone.conversions import convert
from fesolver.bone.density import Density, DensityKind
from fesolver.bone.materials import BoneMaterial
from fesolver.bone.mixing import MixReport, mix_elasticity
from fesolver.bone.tissue import Tissue
from fesolver.errors import InputError
from fesolver.fem.problem import Elasticity, Problem
from fesolver.imaging.resample import build_segment_image
from fesolver.imaging.volume import SegmentImage
from fesolver.loading.load_case import LoadCase
from fesolver.loading.pads import PadSetup, pad_constraints
from fesolver.meshing.regions import cell_centroids, cell_volumes, region_volume
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.voxel import mesh_segment, tissue_from_image
from fesolver.study.config import StudyConfig
from fesolver.study.inputs import SegmentData
from fesolver.study.materials import study_materials
from fesolver.treatment.cement import CementPlan, CementReport, inject_cement

__all__ = [
    "Model",
    "build_image",
    "build_model",
    "check_tables",
    "is_same_stiffness",
    "label_part_notes",
    "make_problem",
    "study_load_case",
]


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
    """

    mesh: SpineMesh
    tissue: Tissue
    elasticity: Elasticity
    mix: MixReport
    cement: CementReport | None = None


def study_load_case(config: StudyConfig) -> LoadCase:
    """The load case of the study's `[load]` table."""
    load = config.load
    return LoadCase(
        control=load.control,
        force_n=load.force_n,
        displacement_mm=load.displacement_mm or 0.0,
        top=load.top,
        offset_anterior_mm=load.offset_anterior_mm,
    )


def build_image(config: StudyConfig, data: SegmentData, spacing_mm: float) -> SegmentImage:
    """Resample a segment once, onto the grid in its own frame."""
    return build_segment_image(
        data.density,
        data.kind,
        data.labels,
        levels=config.segment.levels,
        spacing_mm=spacing_mm,
        subregions=data.subregions,
        keep_posterior=config.segment.posterior_elements,
        extra=data.extra,
    )


def build_model(config: StudyConfig, image: SegmentImage) -> tuple[Model, Model | None]:
    """Intact model of a segment, and the treated one on the same mesh where the study treats.

    Without cement (0 ml) the treated model is the intact one.
    """
    segment = config.segment
    mesh = mesh_segment(
        image,
        cortical_thickness_mm=segment.cortical_thickness_mm,
        endplate_thickness_mm=segment.endplate_thickness_mm,
        shell=segment.shell,
        nucleus_area_fraction=segment.nucleus_area_fraction,
        keep_posterior=segment.posterior_elements,
    )
    tissue = tissue_from_image(mesh, image)
    intact = _with_stiffness(config, mesh, tissue)
    plan = _cement_plan(config)
    if plan is None:
        return intact, None
    treated_mesh, treated_tissue, report = inject_cement(mesh, tissue, plan)
    if treated_tissue is tissue:
        return intact, replace(intact, cement=report)
    return intact, replace(_with_stiffness(config, treated_mesh, treated_tissue), cement=report)


def check_tables(config: StudyConfig) -> None:
    """Check what the tables alone can tell, before any file is read.

    Raises
    ------
    InputError
        If a law, conversion or grade is unknown, or the treatment or the load is incomplete.
    """
    bone = study_materials(config)["trabecular"]
    kind: DensityKind = config.calibration.density_kind if config.calibration else "rho_qct"  # that of the phantom
    assert isinstance(bone, BoneMaterial)
    try:
        bone.law.evaluate(convert(Density(np.zeros(1), kind), bone.conversions))
    except InputError as error:
        raise InputError(error.what, where=error.where or "[bone]", fix=error.fix) from error
    study_load_case(config)
    _cement_plan(config)


def _cement_plan(config: StudyConfig) -> CementPlan | None:
    """The plan of the study's `[treatment]` table."""
    plan = config.treatment
    return None if plan is None else CementPlan(**plan.model_dump(exclude={"kind"}))


def _with_stiffness(config: StudyConfig, mesh: SpineMesh, tissue: Tissue) -> Model:
    """Add the elastic constants."""
    elasticity, mix = mix_elasticity(
        tissue, study_materials(config), volumes=cell_volumes(mesh), centroids=cell_centroids(mesh)
    )
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
