"""From CT numbers to bone density: by slope, phantom, tissues of the scan, or calibrated before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fesolver.bone.density import DensityKind
from fesolver.errors import InputError
from fesolver.imaging.calibration_line import DENSITY_LIMIT, SLOPE_RANGE, Calibration, CalibrationPoint, fit_line
from fesolver.imaging.tissue_samples import (
    PUBLISHED_TISSUES,
    PublishedTissue,
    TissueSample,
    sample_hu,
    tissue_density,
)
from fesolver.imaging.volume import Volume

__all__ = [
    "PUBLISHED_TISSUES",
    "Calibration",
    "CalibrationPoint",
    "PublishedTissue",
    "TissueSample",
    "calibrate",
    "identity_calibration",
    "phantom_calibration",
    "require_calibration",
    "scaled",
    "slope_calibration",
    "tissue_calibration",
    "with_density_change",
]

_INTERCEPT_LIMIT = 0.3  # g/cm3 at 0 HU; published ones are within 0.1


def slope_calibration(
    slope_g_cm3_per_hu: float,
    intercept_g_cm3: float = 0.0,
    *,
    kind: DensityKind,
    assumed: bool = False,
    source: str = "",
) -> Calibration:
    """A line given by its two numbers.

    Parameters
    ----------
    slope_g_cm3_per_hu : float
        g/cm3 per HU.
    intercept_g_cm3 : float
        g/cm3 at 0 HU.
    kind : DensityKind
        What the density is equivalent to.
    assumed : bool
        True for a generic line, not measured on this scanner and protocol.
    source : str
        Phantom, scanner and date of a measured line.

    Raises
    ------
    InputError
        If the line is neither declared assumed nor has a source, or its numbers look like another unit.

    Notes
    -----
    Slopes of 0.7 to 0.9 mg/cm3 per HU at 120 kVp are usual (of medium confidence, from no single paper) and depend on
    scanner and tube voltage: nothing is the default, and an assumed slope should be swept (`scaled`).

    Examples
    --------
    >>> slope_calibration(0.8e-3, kind="rho_qct", assumed=True).describe()
    'rho_qct [mg/cm3] = 0.8 HU +0; ASSUMED, not measured in this scan'
    """
    if not assumed and not source.strip():
        raise InputError(
            "a slope without a measurement behind it",
            fix="name its source (phantom, scanner, date), or set assumed = true",
        )
    low, high = SLOPE_RANGE
    if not low <= slope_g_cm3_per_hu <= high:
        raise InputError(
            f"a slope of {slope_g_cm3_per_hu:g} g/cm3 per HU is outside {low:g} to {high:g}",
            fix="give g/cm3 per HU: 0.8 mg/cm3 per HU is 0.0008",
        )
    if not abs(intercept_g_cm3) <= _INTERCEPT_LIMIT:
        raise InputError(
            f"an intercept of {intercept_g_cm3:g} g/cm3 at 0 HU is outside +-{_INTERCEPT_LIMIT:g}",
            fix="give g/cm3: 5 mg/cm3 is 0.005",
        )
    return Calibration(float(slope_g_cm3_per_hu), float(intercept_g_cm3), kind, "slope", assumed, source.strip())


def phantom_calibration(
    hu: ArrayLike,
    density_g_cm3: ArrayLike,
    *,
    kind: DensityKind,
    source: str = "phantom rods in the scan",
    names: Sequence[str] | None = None,
) -> Calibration:
    """A line through the rods of a phantom.

    Parameters
    ----------
    hu : (n,) array_like
        Mean CT number of each rod.
    density_g_cm3 : (n,) array_like
        Density of each rod, g/cm3, as its certificate gives it.
    kind : DensityKind
        What the rods are equivalent to: `rho_ha` for hydroxyapatite rods, `rho_qct` for K2HPO4.
    source : str
        Phantom and scan.
    names : sequence of str, optional
        Names of the rods, in the residuals.

    Returns
    -------
    Calibration
        Not assumed; with a residual per rod, and a note (also logged as a warning) where r2 is below 0.99.

    Raises
    ------
    InputError
        If there are fewer than two rods, lists of different length, numbers that are not finite or look like another
        unit, rods that all have one CT number or one density, or a line that falls.

    Notes
    -----
    Least squares of HU on density, then inverted: the densities are known, the CT numbers carry the error.
    """
    measured, known = np.atleast_1d(np.asarray(hu, np.float64)), np.atleast_1d(np.asarray(density_g_cm3, np.float64))
    if measured.shape != known.shape or measured.ndim != 1:
        raise InputError(f"{measured.size} CT numbers and {known.size} densities", fix="give one density per rod")
    labels = tuple(names) if names is not None else tuple(f"rod {i + 1}" for i in range(len(measured)))
    if len(labels) != len(measured):
        raise InputError(f"{len(labels)} names for {len(measured)} rods", fix="give one name per rod")
    return fit_line(labels, measured, known, kind=kind, method="phantom", is_assumed=False, source=source)


def tissue_calibration(
    ct: Volume, regions: Sequence[TissueSample], *, kind: DensityKind, labels: Volume | None = None
) -> Calibration:
    """A line through tissues of the patient's own scan.

    Parameters
    ----------
    ct : Volume
        The CT in HU.
    regions : sequence of TissueSample
        Two or more tissues of different density.
    kind : DensityKind
        What the density is equivalent to; the published values are `rho_ha`.
    labels : Volume, optional
        Label image on the CT's grid, for samples given by label numbers. Their outer voxel layer is left out, since it
        holds partial volume.

    Returns
    -------
    Calibration
        Through the medians of the samples; assumed if a published density of `PUBLISHED_TISSUES` was used.

    Raises
    ------
    InputError
        If a sample is outside the CT, has fewer than 30 voxels, names neither a box nor labels, has no density, a
        density without a source or of another kind than `kind`, or a CT number that its tissue cannot have without
        contrast agent; or if the line cannot be fitted (`phantom_calibration`).

    Notes
    -----
    Fat and muscle span 0.11 g/cm3 and bone lies beyond them: an error of 5 HU in one changes the slope by 3 to 4 %, and
    marrow fat and beam hardening are not corrected. Blood, kidney and muscle are no calibration tissues in a scan with
    contrast agent. Internal calibration with air, fat and muscle [1]_ and with air and blood or fat [2]_ gave the
    strength that phantoms gave in the studies named; it is specific to the tube voltage.

    References
    ----------
    .. [1] F. Eggermont et al., PLoS ONE 14(7):e0220564, 2019, doi:10.1371/journal.pone.0220564.
    .. [2] D. C. Lee et al., Bone 103:325-333, 2017.
    """
    if len(regions) < 2:
        raise InputError(f"{len(regions)} tissue sample(s)", fix="give two or more tissues of different density")
    hu, known = [], []
    sources: dict[str, list[str]] = {}
    is_assumed = False
    for sample in regions:
        density, source, is_published = tissue_density(sample, kind)
        hu.append(sample_hu(ct, sample, labels))
        known.append(density)
        sources.setdefault(source, []).append(sample.tissue)
        is_assumed |= is_published
    return fit_line(
        tuple(sample.tissue for sample in regions),
        np.array(hu),
        np.array(known),
        kind=kind,
        method="tissue",
        is_assumed=is_assumed,
        source="; ".join(f"{', '.join(tissues)}: {source}" for source, tissues in sources.items()),
    )


def identity_calibration(
    unit: Literal["g/cm3", "mg/cm3"], *, kind: DensityKind, source: str = "calibrated before it was given"
) -> Calibration:
    """A volume that already holds densities.

    Parameters
    ----------
    unit : {"g/cm3", "mg/cm3"}
        Unit of its values.
    kind : DensityKind
        What they are equivalent to.
    source : str
        Who calibrated it, and how.

    Raises
    ------
    InputError
        If the unit is another.
    """
    factors = {"g/cm3": 1.0, "mg/cm3": 1e-3}
    if unit not in factors:
        raise InputError(f"density unit {unit!r} is unknown", fix=f"use one of {', '.join(factors)}")
    return Calibration(factors[unit], 0.0, kind, "identity", False, source)


def require_calibration(calibration: Calibration | None) -> Calibration:
    """The calibration, or an `InputError` that lists the ways to have one."""
    if calibration is None:
        raise InputError(
            "the CT is not calibrated: CT numbers are no densities",
            fix="give one of: slope and intercept with their source (or assumed = true); HU and density of phantom "
            "rods; two or more tissues as boxes in mm or labels; or unit and kind of a volume that holds densities",
        )
    return calibration


def scaled(calibration: Calibration, slope_factor: float) -> Calibration:
    """The same calibration with another slope, for a sweep over what a generic slope leaves open.

    Parameters
    ----------
    calibration : Calibration
        Any but `identity`.
    slope_factor : float
        Factor on the slope, dimensionless, in [0.2, 5].

    Returns
    -------
    Calibration
        `slope * slope_factor`, the same intercept.

    Raises
    ------
    InputError
        If the factor is out of range, the volume is already calibrated, or the density was changed before.

    Notes
    -----
    The line turns about 0 HU, so the density of water is kept: every scanner is set to water at 0 HU, while the slope
    follows tube voltage and beam hardening. The intercept is therefore not multiplied, and `slope_factor` differs from
    `density_scale`, which multiplies both.
    """
    if not 0.2 <= slope_factor <= 5.0:
        raise InputError(f"slope_factor {slope_factor:g} is outside 0.2 to 5", fix="use factors near 1: 0.8, 1, 1.2")
    if calibration.method == "identity":
        raise InputError("a calibrated volume has no slope to scale", fix="use density_scale")
    if (calibration.density_scale, calibration.density_offset) != (1.0, 0.0):
        raise InputError("the density was changed already", fix="scale the slope first")
    factor = float(slope_factor)
    return replace(calibration, slope=calibration.slope * factor, slope_factor=calibration.slope_factor * factor)


def with_density_change(calibration: Calibration, scale: float = 1.0, offset_g_cm3: float = 0.0) -> Calibration:
    """The same calibration followed by `density * scale + offset`, to make a scan osteoporotic on purpose.

    Parameters
    ----------
    calibration : Calibration
        Any; a change already there is followed by this one.
    scale : float
        Dimensionless, in (0, 5].
    offset_g_cm3 : float
        g/cm3, within +-0.5.

    Returns
    -------
    Calibration
        With the change folded into slope and intercept, and recorded in `density_scale` and `density_offset`. `points`
        and residuals stay those of the scan as it was measured.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    if not 0.0 < scale <= 5.0:
        raise InputError(f"density_scale {scale:g} is outside (0, 5]", fix="use a factor: 0.7 takes 30 % away")
    if not abs(offset_g_cm3) <= 0.5:
        raise InputError(
            f"density_offset {offset_g_cm3:g} g/cm3 is outside +-0.5", fix="give g/cm3: -30 mg/cm3 is -0.030"
        )
    return replace(
        calibration,
        slope=scale * calibration.slope,
        intercept=scale * calibration.intercept + offset_g_cm3,
        density_scale=scale * calibration.density_scale,
        density_offset=scale * calibration.density_offset + offset_g_cm3,
    )


def calibrate(ct: Volume, calibration: Calibration) -> Volume:
    """Density of a CT, voxel by voxel.

    Parameters
    ----------
    ct : Volume
        HU, or densities for an `identity` calibration.
    calibration : Calibration
        The line; its `kind` goes with the densities from here on.

    Returns
    -------
    Volume
        g/cm3 as float64, on the same grid; negative where air, fat or noise are. Flooring comes after cell averaging.

    Raises
    ------
    InputError
        If the values are not finite, or fit the calibration's input unit so badly that it must be another.
    """
    low, high = float(np.min(ct.values)), float(np.max(ct.values))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError("the CT holds NaN or infinite values", fix="crop or replace them in the source")
    fix = "state what the volume holds: HU, g/cm3 or mg/cm3"
    if calibration.method != "identity":
        if 0.0 < high - low < 10.0:  # densities in g/cm3 span -1 to 2; a CT of one value is someone's test
            raise InputError(f"values from {low:g} to {high:g} are no CT numbers", fix=fix)
    else:
        unit_slope = calibration.slope / calibration.density_scale
        # bone reaches 0.5 to 2 g/cm3 at some voxel; air is -1 at the least, metal may exceed the top tenfold
        if unit_slope > 0.5 and high > 10.0 * DENSITY_LIMIT:
            raise InputError(f"values up to {high:g} are no densities in g/cm3", fix=fix)
        if unit_slope < 0.5 and high - low < DENSITY_LIMIT:
            raise InputError(f"values from {low:g} to {high:g} are no densities in mg/cm3", fix=fix)
    return Volume(calibration.density(ct.values), ct.affine)
