"""The line from CT numbers to density, its fit, and what is known about it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.bone.density import DENSITY_KINDS, DensityKind
from fesolver.errors import InputError

__all__ = ["DENSITY_LIMIT", "SLOPE_RANGE", "Calibration", "CalibrationPoint", "fit_line"]

SLOPE_RANGE = (2e-4, 3e-3)
"""g/cm3 per HU: beyond it another unit was given; bone calibrations lie at 0.6e-3 to 1.2e-3."""

DENSITY_LIMIT = 3.0
"""g/cm3; enamel is 2.9: a number beyond it is in mg/cm3."""

_LOG = logging.getLogger("fesolver")
_MIN_R2 = 0.99  # phantom rods of a good scan fit to 0.999 and better


@dataclass(frozen=True)
class CalibrationPoint:
    """One pair the line was fitted to.

    Parameters
    ----------
    name : str
        Rod or tissue.
    hu : float
        Measured CT number.
    density_g_cm3 : float
        Its known density, g/cm3.
    residual_g_cm3 : float
        Density of the line at `hu` minus the known one, g/cm3.
    """

    name: str
    hu: float
    density_g_cm3: float
    residual_g_cm3: float


@dataclass(frozen=True)
class Calibration:
    """A line from CT numbers to density: `density = slope * HU + intercept`.

    Parameters
    ----------
    slope : float
        g/cm3 per HU, positive.
    intercept : float
        g/cm3 at 0 HU (water).
    kind : DensityKind
        What the density is equivalent to.
    method : {"slope", "phantom", "tissue", "identity"}
        How the line was found.
    is_assumed : bool
        Whether no measurement of this scan stands behind the numbers; printed beside every result.
    source : str
        Where the numbers come from.
    points : tuple of CalibrationPoint
        What the line was fitted to; empty where nothing was.
    r2 : float or None
        Coefficient of determination over `points`; None for fewer than three.
    slope_factor : float
        Factor `scaled` has applied to the slope, 1 unless swept.
    density_scale, density_offset : float
        Change `with_density_change` has applied to the density (dimensionless; g/cm3); 1 and 0 without one.
    notes : tuple of str
        What a reader should know: a poor fit, a narrow range.

    Raises
    ------
    InputError
        If `kind` is unknown, or the line is not finite and rising.
    """

    slope: float
    intercept: float
    kind: DensityKind
    method: Literal["slope", "phantom", "tissue", "identity"]
    is_assumed: bool
    source: str
    points: tuple[CalibrationPoint, ...] = ()
    r2: float | None = None
    slope_factor: float = 1.0
    density_scale: float = 1.0
    density_offset: float = 0.0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in DENSITY_KINDS:
            raise InputError(f"density kind {self.kind!r} is unknown", fix=f"use one of {', '.join(DENSITY_KINDS)}")
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept) and self.slope > 0):
            raise InputError(
                f"a calibration of {self.slope:g} g/cm3 per HU and {self.intercept:g} g/cm3 is no rising line",
                fix="check the pairs: denser material has the higher CT number",
            )

    def density(self, hu: ArrayLike) -> NDArray[np.float64]:
        """Density in g/cm3 of CT numbers (...), any shape; not floored."""
        return self.slope * np.asarray(hu, dtype=np.float64) + self.intercept

    def describe(self) -> str:
        """The line, its kind, its standing and its residuals, as text for a report."""
        if self.method == "identity":
            line = f"already calibrated, {self.kind} (times {self.slope:g} to g/cm3)"
        else:
            line = f"{self.kind} [mg/cm3] = {1e3 * self.slope:.4g} HU {1e3 * self.intercept:+.4g}"
        parts = [f"{line}; {'ASSUMED, not measured in this scan' if self.is_assumed else self.method}"]
        if self.source:
            parts.append(f"source: {self.source}")
        if self.slope_factor != 1.0:
            parts.append(f"slope swept by a factor {self.slope_factor:g} about water")
        if (self.density_scale, self.density_offset) != (1.0, 0.0):
            parts.append(f"density changed: times {self.density_scale:g}, {1e3 * self.density_offset:+g} mg/cm3")
        parts += [
            f"{point.name}: {point.hu:.1f} HU, {1e3 * point.density_g_cm3:.1f} mg/cm3, "
            f"residual {1e3 * point.residual_g_cm3:+.1f} mg/cm3"
            for point in self.points
        ]
        return "; ".join([*parts, *self.notes])


def fit_line(
    names: tuple[str, ...],
    hu: NDArray[np.float64],
    density: NDArray[np.float64],
    *,
    kind: DensityKind,
    method: Literal["phantom", "tissue"],
    is_assumed: bool,
    source: str,
) -> Calibration:
    """Least squares of HU on density, inverted, with residuals in density.

    Parameters
    ----------
    names : tuple of str
        Names of the pairs.
    hu, density : (n,) ndarray
        Measured CT numbers; known densities, g/cm3.
    kind, method, is_assumed, source
        As in `Calibration`.

    Raises
    ------
    InputError
        If there are fewer than two pairs, numbers that are not finite or look like another unit, pairs of one CT number
        or one density, or a line that falls or is too steep or flat for bone.

    Notes
    -----
    The densities are known and the CT numbers carry the error, so HU is the dependent variable.
    """
    what = "phantom rods" if method == "phantom" else "tissue samples"
    if len(hu) < 2:
        raise InputError(f"a line needs two {what}, {len(hu)} given", fix="give at least two, three show the fit")
    if not (np.isfinite(hu).all() and np.isfinite(density).all()):
        raise InputError(f"the {what} hold a NaN or an infinity", where=", ".join(names))
    if np.abs(density).max() > DENSITY_LIMIT:
        raise InputError(f"a density of {np.abs(density).max():g} g/cm3", fix="give g/cm3: 200 mg/cm3 is 0.2")
    if np.ptp(hu) < 1.0 or np.ptp(density) < 1e-3:
        raise InputError(
            f"the {what} span {np.ptp(hu):g} HU and {np.ptp(density):g} g/cm3: no line can be laid through them",
            where=", ".join(names),
            fix="use materials of different density",
        )
    spread = density - density.mean()
    hu_per_density = float(spread @ (hu - hu.mean()) / (spread @ spread))
    if hu_per_density <= 0:
        raise InputError(
            f"the CT number falls by {-hu_per_density:.0f} HU per g/cm3",
            where=", ".join(f"{n}: {h:g} HU, {d:g} g/cm3" for n, h, d in zip(names, hu, density, strict=True)),
            fix="the pairs are mixed up: denser material has the higher CT number",
        )
    slope = 1.0 / hu_per_density
    low, high = SLOPE_RANGE
    if not low <= slope <= high:
        raise InputError(
            f"the {what} give {slope:.3g} g/cm3 per HU, outside {low:g} to {high:g}",
            fix="check the unit of the densities (g/cm3) and that the samples are what they are called",
        )
    intercept = float(density.mean() - slope * hu.mean())
    residual = slope * hu + intercept - density
    deviation = (hu - hu.mean()) - hu_per_density * spread
    r2 = float(1.0 - deviation @ deviation / ((hu - hu.mean()) @ (hu - hu.mean()))) if len(hu) > 2 else None
    notes: tuple[str, ...] = ()
    if r2 is None:
        notes = ("two points: the fit cannot be judged",)
    elif r2 < _MIN_R2:
        notes = (f"poor fit: r2 {r2:.4f} below {_MIN_R2}",)
        _LOG.warning("calibration by %s: %s", what, notes[0])
    points = tuple(
        CalibrationPoint(name, float(h), float(d), float(e))
        for name, h, d, e in zip(names, hu, density, residual, strict=True)
    )
    return Calibration(slope, intercept, kind, method, is_assumed, source, points, r2, notes=notes)
