"""What every input from files needs: a calibration line for its CT, hashes, and errors with their place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from fesolver.errors import InputError
from fesolver.imaging.calibration_line import Calibration
from fesolver.imaging.volume import LabelVolume, Volume
from fesolver.study.config import StudyConfig
from fesolver.study.schema import CalibrationConfig

__all__ = ["calibration_line", "file_hash", "placed"]


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Say where the mistake is, in an error that does not."""
    try:
        yield
    except InputError as error:
        if error.where:
            raise
        raise InputError(error.what, where=where, fix=error.fix) from error


def calibration_line(
    config: StudyConfig, given: CalibrationConfig, hu: Volume, labels: LabelVolume | None = None
) -> Calibration:
    """The calibration line a study states, with its sweep factor and density change."""
    from fesolver.imaging import calibration as cal

    kind = given.density_kind
    if given.method == "slope":
        assert given.slope_g_cm3_per_hu is not None
        line = cal.slope_calibration(
            given.slope_g_cm3_per_hu, given.intercept_g_cm3, kind=kind, assumed=given.assumed, source=given.source
        )
    elif given.method == "phantom":
        assert given.rods_hu is not None
        assert given.rods_g_cm3 is not None
        line = cal.phantom_calibration(given.rods_hu, given.rods_g_cm3, kind=kind)
    elif given.method == "tissues":
        samples = [
            cal.TissueSample(t.tissue, t.box_mm, t.label_values, t.density_g_cm3, t.source) for t in given.tissues or ()
        ]
        line = cal.tissue_calibration(hu, samples, kind=kind, labels=labels)
    else:
        unit: Literal["g/cm3", "mg/cm3"] = given.unit
        line = cal.identity_calibration(unit, kind=kind)
    if given.slope_factor != 1.0:
        line = cal.scaled(line, given.slope_factor)
    scale, offset = config.bone.density_scale, config.bone.density_offset_g_cm3
    return line if (scale, offset) == (1.0, 0.0) else cal.with_density_change(line, scale, offset)


def file_hash(path: Path) -> str:
    """Hash of a file, or of the names and contents of a folder of files."""
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if not file.is_file():
            continue
        if path.is_dir():
            digest.update(file.name.encode())
        try:
            digest.update(file.read_bytes())
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror}") from None
    return digest.hexdigest()
