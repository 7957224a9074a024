"""Studies that start from closed surfaces or from a mesh made elsewhere: reading, checks, density."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fesolver.anatomy.density_fields import DensityField, PatternedDensity, UniformDensity
from fesolver.anatomy.t_score import density_from_t_score
from fesolver.bone.density import DensityKind
from fesolver.errors import InputError
from fesolver.imaging.volume import Volume
from fesolver.meshing.foreign_mesh import ForeignMesh
from fesolver.study.config import StudyConfig
from fesolver.study.input_files import calibration_line, file_hash, placed
from fesolver.study.schema import MeshInput, SurfacesInput
from fesolver.surfaces.parts_segment import Neighbours
from fesolver.surfaces.vertebra import VertebraSurface

__all__ = ["BodyDensity", "MeshData", "SurfaceData", "read_mesh", "read_surfaces"]


@dataclass(frozen=True)
class BodyDensity:
    """Density of a segment that comes without labels: fields in the bodies' frames, a CT, or numbers by cell.

    Parameters
    ----------
    kind : DensityKind
        What the density is equivalent to.
    field : DensityField or None
        Of every level.
    ct : Volume or None
        Calibrated, g/cm3, not floored, in the same space as the segment.
    text : str
        How it came about, in words.
    is_assumed : bool
        Whether its calibration is generic.
    """

    kind: DensityKind
    field: DensityField | None
    ct: Volume | None
    text: str
    is_assumed: bool = False


class _Calibrated:
    """What a study says of the density of such a segment."""

    density: BodyDensity

    @property
    def calibration(self) -> str:
        """How densities came about, in words."""
        return self.density.text

    @property
    def is_calibration_assumed(self) -> bool:
        """Whether the calibration is generic."""
        return self.density.is_assumed


@dataclass(frozen=True)
class SurfaceData(_Calibrated):
    """What a segment of closed surfaces is built from.

    Parameters
    ----------
    vertebrae : tuple of VertebraSurface
        Cranial first, in one frame.
    neighbours : tuple of Neighbours
        What lies between them.
    density : BodyDensity
    findings : tuple of str
        What the checks of the surfaces found and did.
    files : tuple of (str, str)
        Path as given in the study and SHA-256 of every input file.
    hu : Volume or None
        The CT before calibration.
    """

    vertebrae: tuple[VertebraSurface, ...]
    neighbours: tuple[Neighbours, ...]
    density: BodyDensity
    findings: tuple[str, ...]
    files: tuple[tuple[str, str], ...]
    hu: Volume | None = None


@dataclass(frozen=True)
class MeshData(_Calibrated):
    """A mesh made elsewhere.

    Parameters
    ----------
    found : ForeignMesh
        Mesh, and density by cell where the file has it.
    density : BodyDensity
    findings : tuple of str
    files : tuple of (str, str)
    hu : Volume or None
    """

    found: ForeignMesh
    density: BodyDensity
    findings: tuple[str, ...]
    files: tuple[tuple[str, str], ...]
    hu: Volume | None = None


def read_surfaces(config: StudyConfig, given: SurfacesInput) -> SurfaceData:
    """Checked surfaces with their parts."""
    from fesolver.surfaces.io import read_surface
    from fesolver.surfaces.parts_segment import check_neighbours
    from fesolver.surfaces.repair import require_valid
    from fesolver.surfaces.vertebra import vertebra_parts

    vertebrae, findings = [], []
    for level in config.segment.levels:
        path = given.files[level]
        _require_file(path, f"input.files.{level}")
        surface = read_surface(path, axes=given.axes, unit=given.unit)
        surface, report = require_valid(surface, str(path), repair=given.repair)
        findings += [f"{level}: {line}" for line in report.repairs]
        with placed(f"{path} ({level})"):
            vertebrae.append(vertebra_parts(surface, level))
        findings += _missing_lines(vertebrae[-1])
    with placed("[input] files"):
        neighbours = check_neighbours(vertebrae)
    for pair in neighbours:
        if pair.overlap is not None:
            findings.append(f"{pair.name}: posterior elements of the surfaces overlap; they are not joined")
    density, hu, files = _body_density(config, given)
    every = tuple((str(path), file_hash(path)) for path in (given.files[level] for level in config.segment.levels))
    return SurfaceData(tuple(vertebrae), neighbours, density, tuple(findings), every + files, hu)


def read_mesh(config: StudyConfig, given: MeshInput) -> MeshData:
    """A mesh made elsewhere."""
    from fesolver.meshing.foreign_mesh import read_foreign_mesh

    _require_file(given.file, "input.file")
    found = read_foreign_mesh(
        given.file,
        regions=cast("Any", given.regions) or None,
        axes=given.axes,
        unit=given.unit,
        region_key=given.region_key,
        density_key=given.density_key,
    )
    if found.mesh.levels != config.segment.levels:
        raise InputError(
            f"the mesh holds {', '.join(found.mesh.levels)}, segment.levels are {', '.join(config.segment.levels)}",
            where=str(given.file), fix="list the levels that its regions name",
        )  # fmt: skip
    density, hu, files = _body_density(config, given)
    return MeshData(found, density, found.findings, ((str(given.file), file_hash(given.file)), *files), hu)


def _require_file(path: Path, key: str) -> None:
    """Refuse a path that is no file."""
    if not path.is_file():
        what = f"{path} is a folder" if path.is_dir() else f"{path} does not exist"
        raise InputError(what, where=key, fix="give the path of the file, relative to the study file")


def _missing_lines(vertebra: VertebraSurface) -> list[str]:
    """What was not found on a surface, one line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name, why in vertebra.missing.items():
        by_reason.setdefault(why, []).append(name.replace("_", " "))
    return [f"{vertebra.level}: {why}; not found: {', '.join(names)}" for why, names in by_reason.items()]


def _body_density(
    config: StudyConfig, given: SurfacesInput | MeshInput
) -> tuple[BodyDensity, Volume | None, tuple[tuple[str, str], ...]]:
    """Density of a segment without labels, the CT it is from, and that file."""
    if given.ct is not None:
        return _density_of_ct(config, given.ct, given.dicom_series)
    if isinstance(given, MeshInput) and given.density_key is not None:
        text = f"density by cell: {given.density_key} of {given.file.name}, {given.density_unit}"
        return BodyDensity(given.density_kind, None, None, text), None, ()
    mean = density_from_t_score(given.t_score) if given.t_score is not None else given.density_g_cm3
    assert mean is not None
    how = f"T-score {given.t_score:g}" if given.t_score is not None else f"{given.density_g_cm3:g} g/cm3"
    pattern: DensityField = (
        PatternedDensity(mean, kind=given.density_kind)
        if given.density_pattern == "published"
        else UniformDensity(mean, given.density_kind)
    )
    return BodyDensity(given.density_kind, pattern, None, f"{how}, {given.density_pattern} pattern"), None, ()


def _density_of_ct(
    config: StudyConfig, path: Path, series: str | None
) -> tuple[BodyDensity, Volume, tuple[tuple[str, str], ...]]:
    """Calibrated CT."""
    from fesolver.imaging.calibration import calibrate, require_calibration
    from fesolver.imaging.io import read_volume

    if config.calibration is None:
        with placed("[calibration]"):
            require_calibration(None)
    assert config.calibration is not None
    hu = read_volume(path, series=series)
    with placed("[calibration]"):
        line = calibration_line(config, config.calibration, hu)
        density = calibrate(hu, line)
    made = BodyDensity(line.kind, None, density, line.describe(), line.is_assumed)
    return made, hu, ((str(path), file_hash(path)),)
