"""From the study's `[input]` and `[calibration]` to a density volume and checked labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from fesolver.anatomy.recipe import SpineRecipe
from fesolver.bone.density import DensityKind
from fesolver.errors import InputError
from fesolver.imaging.volume import LabelVolume, Volume
from fesolver.study.cohort_input import cohort_member, disc_grades, member_table, member_text
from fesolver.study.config import StudyConfig
from fesolver.study.geometry_record import fracture_lines, override_lines
from fesolver.study.input_files import calibration_line, file_hash, placed
from fesolver.study.recipe import build_recipe, density_text
from fesolver.study.schema import CtInput, MeshInput, ParametricInput, RecipeTable, SurfacesInput, SyntheticInput
from fesolver.study.surface_inputs import MeshData, SurfaceData, read_mesh, read_surfaces

__all__ = ["ParametricData", "SegmentData", "StudyData", "read_data"]


@dataclass(frozen=True)
class SegmentData:
    """What a segment is built from.

    Parameters
    ----------
    density : Volume
        g/cm3, not floored.
    kind : DensityKind
        What the density is equivalent to.
    labels : LabelVolume
        Checked and repaired vertebra labels.
    subregions : LabelVolume or None
        Parts of the vertebrae, where given.
    extra : mapping of str to Volume
        0/1 volumes of `cement` and `implant`, where given.
    calibration : str
        How densities came about, in words.
    is_calibration_assumed : bool
        Whether the calibration is generic.
    findings : tuple of str
        What the label checks found and did.
    files : tuple of (str, str)
        Path as given in the study and SHA-256 of every input file.
    hu : Volume or None
        The CT before calibration.
    """

    density: Volume
    kind: DensityKind
    labels: LabelVolume
    subregions: LabelVolume | None = None
    extra: Mapping[str, Volume] = field(default_factory=dict)
    calibration: str = ""
    is_calibration_assumed: bool = False
    findings: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    hu: Volume | None = None


@dataclass(frozen=True)
class ParametricData:
    """What a parametric segment is built from: no file at all.

    Parameters
    ----------
    recipe : SpineRecipe
        Levels, dimensions, fractures, density.
    calibration : str
        How densities came about, in words.
    findings : tuple of str
        What of the recipe is not as published.
    files : tuple
        None.
    is_calibration_assumed : bool
        Whether the density is more than a number that was given.
    """

    recipe: SpineRecipe
    calibration: str
    findings: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    is_calibration_assumed: bool = False


StudyData = SegmentData | ParametricData | SurfaceData | MeshData
"""Whatever a study starts from."""


def read_data(config: StudyConfig) -> StudyData:
    """Read, check and calibrate the input of a study.

    Raises
    ------
    InputError
        If a file is missing or unreadable, labels do not hold the levels, or the CT is not calibrated.
    """
    if isinstance(config.input, ParametricInput):
        return _parametric(config, config.input)
    if isinstance(config.input, SyntheticInput):
        return _synthetic(config, config.input)
    if isinstance(config.input, SurfacesInput):
        return read_surfaces(config, config.input)
    if isinstance(config.input, MeshInput):
        return read_mesh(config, config.input)
    return _from_files(config, config.input)


def _synthetic(config: StudyConfig, given: SyntheticInput) -> SegmentData:
    """The package's own phantom."""
    from fesolver.imaging.phantom import synthetic_segment

    segment = synthetic_segment(
        levels=config.segment.levels,
        t_score=given.t_score,
        density_g_cm3=given.density_g_cm3,
        voxel_mm=given.voxel_mm,
        seed=given.seed,
        tilt_deg=given.tilt_deg,
    )
    scale, offset = config.bone.density_scale, config.bone.density_offset_g_cm3
    density = Volume(segment.density.values * scale + offset, segment.density.affine)
    how = f"T-score {given.t_score:g}" if given.t_score is not None else f"{given.density_g_cm3:g} g/cm3"
    text = f"synthetic segment, {how}, seed {given.seed}"
    if (scale, offset) != (1.0, 0.0):
        text += f"; density changed: times {scale:g}, {1e3 * offset:+g} mg/cm3"
    return SegmentData(
        density=density, kind=segment.kind, labels=segment.labels, subregions=segment.subregions, calibration=text
    )


def _parametric(config: StudyConfig, given: ParametricInput) -> ParametricData:
    """A recipe, and what in it is not as published."""
    member = cohort_member(config)
    table: RecipeTable = given if member is None else member_table(given, member)
    recipe = build_recipe(table, config.segment.levels, disc_grades(config))
    findings = [*_given_lines(recipe, given), *fracture_lines(recipe)]
    if member is not None and given.cohort is not None:
        findings.insert(0, member_text(given.cohort, member))
    findings += [f"{name}: degeneration {grade}" for name, grade in recipe.degeneration.items() if grade != "none"]
    scale, offset = config.bone.density_scale, config.bone.density_offset_g_cm3
    text = f"parametric segment, {density_text(table)}"
    if (scale, offset) != (1.0, 0.0):
        text += f"; density changed: times {scale:g}, {1e3 * offset:+g} mg/cm3"
    return ParametricData(recipe, text, tuple(findings))


def _given_lines(recipe: SpineRecipe, given: ParametricInput) -> list[str]:
    """Every dimension that the study itself gives, beside the published one; those of a cohort are drawn."""
    lines = override_lines(recipe)
    if given.cohort is None:
        return lines
    owners = {**given.dimensions, **given.discs}
    starts = tuple(f"{owner}: {name} = " for owner, values in owners.items() for name in values)
    return [line for line in lines if starts and line.startswith(starts)]


def _from_files(config: StudyConfig, given: CtInput) -> SegmentData:
    """A CT with its labels."""
    from fesolver.imaging.calibration import calibrate, require_calibration
    from fesolver.imaging.checks import check_labels
    from fesolver.imaging.io import read_labels, read_volume
    from fesolver.imaging.schemes import label_scheme, subregion_scheme

    if config.calibration is None:
        with placed("[calibration]"):
            require_calibration(None)
    with placed("[input] label_table" if given.label_table else "[input] label_scheme"):
        names = label_scheme(cast("Any", given.label_table) or given.label_scheme)
    hu = read_volume(given.ct, series=given.dicom_series)
    labels = read_labels(given.labels, names)
    treated = config.treatment.level if config.treatment else None
    with placed(str(given.labels)):
        checked = check_labels(
            labels, levels=config.segment.levels, ct=hu, treated=treated, accept=cast("Any", given.accept_findings)
        )
    subregions = None
    if given.subregions is not None:
        subregions = read_labels(given.subregions, subregion_scheme(cast("Any", given.subregion_table) or "spineps"))
    extra, paths = {}, [given.ct, given.labels]
    for part, path in (("cement", given.cement_label), ("implant", given.implant_label)):
        if path is not None:
            volume = read_volume(path)
            extra[part] = Volume((volume.values > 0).astype(np.float64), volume.affine)
            _check_inside_bone(extra[part], checked.labels, config.segment.levels, part, path)
            paths.append(path)
    if given.subregions is not None:
        paths.append(given.subregions)
    assert config.calibration is not None
    with placed("[calibration]"):
        line = calibration_line(config, config.calibration, hu, labels)
        density = calibrate(hu, line)
    return SegmentData(
        density=density,
        kind=line.kind,
        labels=checked.labels,
        subregions=subregions,
        extra=extra,
        calibration=line.describe(),
        is_calibration_assumed=line.is_assumed,
        findings=tuple(str(f) for f in checked.findings),
        files=tuple((str(path), file_hash(path)) for path in paths),
        hu=hu,
    )


def _check_inside_bone(part: Volume, labels: LabelVolume, levels: tuple[str, ...], name: str, path: Path) -> None:
    """Refuse a label of cement or metal that has no voxel in the levels used."""
    places = np.argwhere(part.values > 0)
    index = np.rint(labels.to_index(part.to_mm(places))).astype(int)
    index = index[((index >= 0) & (index < labels.values.shape)).all(axis=1)]
    used = [value for value, level in labels.names.items() if level in levels]
    if not np.isin(labels.values[tuple(index.T)], used).any():
        raise InputError(
            f"none of the {len(places)} voxels of {name} lies in {', '.join(levels)}",
            where=str(path),
            fix=f"give a label map in the CT's space, not zero where there is {name}, or leave the key out",
        )
