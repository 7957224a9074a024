"""Everything about a study that can be said without solving it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.tissue import Tissue
from fesolver.fem.cavity import enclosed_volume
from fesolver.fem.constraints import check_problem
from fesolver.fem.problem import Elasticity
from fesolver.imaging.volume import SegmentImage
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.solvers.prepare import thread_count
from fesolver.study.config import StudyConfig
from fesolver.study.design.factors import Factor
from fesolver.study.design.plan import MAX_CASES, StudyPlan, plan_study
from fesolver.study.engine.cores import worker_count
from fesolver.study.geometry_record import geometry_record, mesh_text, mesh_warnings, surface_record
from fesolver.study.inputs import ParametricData, SegmentData, StudyData, read_data
from fesolver.study.kept import geometry_key
from fesolver.study.memory import expected_memory_mb
from fesolver.study.model import (
    Model,
    build_models,
    label_part_notes,
    make_problem,
    study_load_case,
)
from fesolver.study.plan_check import check_cases, left_over_of
from fesolver.study.progress import SilentProgress
from fesolver.study.rate import read_rate
from fesolver.study.stages import Stages
from fesolver.study.surface_inputs import SurfaceData

__all__ = ["StudyCheck", "check_study", "expected_disk_mb", "planned_unknowns"]


@dataclass(frozen=True)
class StudyCheck:
    """A study that has been read, meshed and checked, and not solved.

    Parameters
    ----------
    n_cases : int
        Points of the design.
    n_cells, n_dof : int
        Of the first case.
    memory_mb : float
        Expected peak of one case, MB; so much for every worker.
    seconds_estimate : float or None
        For the whole study at this machine's last measured rate, every case made anew; None before the first run.
    findings : tuple of str
        What was found in image, labels, model and loads.
    image : SegmentImage or None
        The resampled segment of a voxel mesh.
    mesh : SpineMesh
        With cement where the study treats.
    tissue : Tissue
        What its cells are made of.
    elasticity : Elasticity
        Their constants.
    density_hu : (n,) ndarray or None
        CT numbers inside the labelled levels, HU; None where the input is no CT.
    load_point : (3,) ndarray
        Where the force acts, mm, segment frame.
    n_workers, threads : int
        Cases that would be computed at once on this machine, and the threads of each.
    disk_mb : float
        Expected size of the result folder without figures, MB.
    factors : tuple of Factor
        What is varied.
    mesh_text : str
        Kind of mesh and size of its cells, in words.
    geometry : mapping or None
        Sizes of a parametric segment, as `fesolver.study.geometry_record.geometry_record` gives them.
    """

    n_cases: int
    n_cells: int
    n_dof: int
    memory_mb: float
    seconds_estimate: float | None
    findings: tuple[str, ...]
    image: SegmentImage | None
    mesh: SpineMesh
    tissue: Tissue
    elasticity: Elasticity
    density_hu: NDArray[np.float64] | None
    load_point: NDArray[np.float64]
    n_workers: int = 1
    threads: int = 1
    disk_mb: float = 0.0
    factors: tuple[Factor, ...] = ()
    mesh_text: str = ""
    geometry: Mapping[str, Any] | None = None


def check_study(
    config: StudyConfig,
    *,
    threads: int | None = None,
    workers: int | None = None,
    yes: bool = False,
    out: Path | None = None,
) -> StudyCheck:
    """Read, mesh and check the first case of a study; solve nothing.

    Parameters
    ----------
    config : StudyConfig
    threads, workers, yes
        As for `fesolver.study.runner.run_study`.
    out : Path, optional
        Result folder that a run would go into; one that has results of points that were taken out is a finding.

    Raises
    ------
    InputError
        On whatever would stop a run.
    """
    plan = plan_study(config, yes=yes)
    first = plan.case(0).config
    check_cases(plan)
    data = read_data(first)
    built = build_models(first, data, Stages(SilentProgress()))
    intact, model = built.intact, built.last
    problem, pads = make_problem(model, study_load_case(first))
    check_problem(problem)
    n_dof, n_cells = int(model.mesh.points.size), len(model.mesh.cells)
    memory_mb = expected_memory_mb(model.mesh, has_connections=first.connections.is_used)
    n_workers, n_threads = worker_count(len(plan), threads, workers, memory_mb)
    rate = read_rate(n_threads) or read_rate(thread_count(threads))
    seconds = None if rate is None else rate * planned_unknowns(first, n_dof) * len(plan) / n_workers
    found = (*_findings(data, intact, model), *mesh_warnings(first), *_other_meshes(plan, first))
    if out is not None and (note := left_over_of(plan, out)):
        found += (note,)
    return StudyCheck(
        n_cases=len(plan.cases) if len(plan) <= MAX_CASES else len(plan),
        n_cells=n_cells,
        n_dof=n_dof,
        memory_mb=memory_mb,
        seconds_estimate=seconds,
        findings=found,
        image=built.image,
        mesh=model.mesh,
        tissue=model.tissue,
        elasticity=model.elasticity,
        density_hu=_inside(data, first),
        load_point=pads.load_point,
        n_workers=n_workers,
        threads=n_threads,
        disk_mb=expected_disk_mb(config, len(plan), n_cells),
        factors=plan.factors,
        mesh_text=mesh_text(first),
        geometry=_geometry(first, data, intact),
    )


def planned_unknowns(config: StudyConfig, n_dof: int) -> float:
    """Unknowns of all solves of one case: segment and bodies alone, both states, and the coarser pair."""
    segments = 1.0 if config.treatment is None else 2.0
    alone = 0.9 if config.treatment is None else 0.9 + 0.9 / len(config.segment.levels)
    total = (segments + alone) * n_dof
    if config.treatment is not None and config.solver.floor == "spacing":
        total *= 1.0 + config.solver.floor_spacing_factor**-3
    return total


def _other_meshes(plan: StudyPlan, first: StudyConfig) -> tuple[str, ...]:
    """That sizes, memory and time are those of the first case, where others have another mesh."""
    key = geometry_key(first)
    ends = (0.0, 0.5, 1.0)
    some = {round(share * (len(plan) - 1)) for share in ends}
    if len(plan) == 1 or all(geometry_key(plan.case(index).config) == key for index in some):
        return ()
    return ("cases differ in their mesh: cells, memory, disk and time are those of the first case",)


def expected_disk_mb(config: StudyConfig, n_cases: int, n_cells: int) -> float:
    """Size of a result folder without figures, MB: rows, records, fields.

    Notes
    -----
    Measured: 6 to 10 kB a merged row of 700 numbers, 19 to 26 kB a record, 211 bytes a cell of fields of both states.
    """
    kept = {"all": n_cases, "first": 1, "none": 0}
    fields, records = kept[config.output.fields], kept[config.output.records]
    return (1e4 * n_cases + 2.6e4 * records + 211.0 * n_cells * fields) / 1e6


def _geometry(config: StudyConfig, data: StudyData, intact: Model) -> dict[str, Any] | None:
    """Sizes of a segment of parameters or surfaces."""
    if isinstance(data, SurfaceData):
        return surface_record(data, intact.mesh, intact.tissue)
    if not isinstance(data, ParametricData):
        return None
    return geometry_record(data.recipe, config, intact.mesh, intact.tissue)


def _findings(data: StudyData, intact: Model, model: Model) -> tuple[str, ...]:
    """Input, model and cement in lines."""
    out = [data.calibration, *data.findings, *label_part_notes(intact), *intact.mix.notes, *intact.extras.notes]
    if intact.extras.connections:
        counts = [sum(c.count for c in intact.extras.connections), len(intact.extras.connections)]
        out.append(f"connections: {counts[0]} elements in {counts[1]} groups")
    for cavity in intact.cavities:
        volume = 1e-3 * enclosed_volume(intact.mesh.points, cavity.facets)
        out.append(
            f"{cavity.name}: a cavity of {volume:.2f} ml full of fluid, bulk modulus {cavity.bulk_modulus:g} MPa; "
            "its pressure is an unknown"
        )
    out.append(f"fraction of bone volume at the modulus floor: {intact.mix.fraction_floored:.4f}")
    if model.cement is not None:
        c = model.cement
        out.append(
            f"cement: {c.placed_ml:.2f} ml placed of {c.asked_ml:g} ml, {100 * c.fill_fraction:.1f} % of the body, "
            f"{c.distance_superior_mm:.1f} mm below the superior and {c.distance_inferior_mm:.1f} mm above the "
            "inferior endplate"
        )
    return tuple(line for line in out if line)


def _inside(data: StudyData, config: StudyConfig) -> NDArray[np.float64] | None:
    """CT numbers inside the labels of the levels used, where CT and labels share a grid."""
    if not isinstance(data, SegmentData) or data.hu is None:
        return None
    if data.hu.values.shape != data.labels.values.shape:
        return None
    if not np.allclose(data.hu.affine, data.labels.affine):
        return None
    mask = np.zeros(data.labels.values.shape, dtype=bool)
    for level in config.segment.levels:
        mask |= data.labels.mask(level)
    return np.asarray(data.hu.values[mask], dtype=np.float64)
