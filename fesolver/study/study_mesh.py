"""The mesh of a study's first case, before anything is solved."""

from __future__ import annotations

from dataclasses import dataclass

from fesolver.meshing.quality import MeshQuality, mesh_quality
from fesolver.study.cases import expand_cases
from fesolver.study.config import StudyConfig
from fesolver.study.inputs import read_data
from fesolver.study.model import check_tables
from fesolver.study.progress import ProgressReporter, SilentProgress
from fesolver.study.segments import MeshedSegment, mesh_segment_of
from fesolver.study.stages import Stages

__all__ = ["StudyMesh", "mesh_of_study"]


@dataclass(frozen=True)
class StudyMesh:
    """A study's intact segment as a mesh.

    Parameters
    ----------
    config : StudyConfig
        Of the first case.
    segment : MeshedSegment
    quality : MeshQuality
    findings : tuple of str
        What was found in the input.
    calibration : str
        How densities came about, in words.
    """

    config: StudyConfig
    segment: MeshedSegment
    quality: MeshQuality
    findings: tuple[str, ...]
    calibration: str


def mesh_of_study(config: StudyConfig, *, progress: ProgressReporter | None = None) -> StudyMesh:
    """Read, check and mesh the first case of a study.

    Parameters
    ----------
    config : StudyConfig
        From `fesolver.study.config.load_study`.
    progress : ProgressReporter, optional
        Told of stages; silent by default.

    Raises
    ------
    InputError
        On whatever would stop a run before its first solve.
    """
    first = expand_cases(config)[0].config
    check_tables(first)
    data = read_data(first)
    segment = mesh_segment_of(first, data, Stages(progress or SilentProgress()), 1.0)
    mesh = segment.mesh
    return StudyMesh(
        first, segment, mesh_quality(mesh.points, mesh.cells, mesh.element), tuple(data.findings), data.calibration
    )
