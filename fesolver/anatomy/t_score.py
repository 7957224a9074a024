"""Trabecular density from a DXA T-score, with how little is known about that step."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from fesolver.errors import InputError

__all__ = ["TScoreDensity", "density_from_t_score", "t_score_density"]

_INTERCEPT = 0.1467
_SLOPE = 0.0267
_UNCERTAINTY = 0.030


@dataclass(frozen=True)
class TScoreDensity:
    """A mean trabecular density and how uncertain it is.

    Parameters
    ----------
    mean : float
        g/cm3 (`rho_qct`).
    standard_uncertainty : float
        Standard deviation of a patient's true density about `mean`, g/cm3.
    """

    mean: float
    standard_uncertainty: float


def density_from_t_score(t_score: float) -> float:
    """Trabecular density that matches a DXA T-score, g/cm3 (`rho_qct`).

    Parameters
    ----------
    t_score : float
        T-score of the lumbar spine.

    Returns
    -------
    float
        0.1467 + 0.0267 T.

    Raises
    ------
    InputError
        If the T-score is not finite, over 5, or so low that the density would not be positive.

    Notes
    -----
    The line joins two pairs of clinical cut-offs: T = -1 with 120 and T = -2.5 with 80 mg/cm3 (ACR practice parameter
    for QCT). It is an equivalence of thresholds and no measured regression: a patient of that T-score may well be
    30 mg/cm3 above or below.

    Examples
    --------
    >>> round(density_from_t_score(-2.5), 3)
    0.08
    """
    if not isfinite(t_score):
        raise InputError(f"t_score is {t_score}, not a finite number")
    if t_score > 5.0:
        raise InputError(
            f"t_score = {t_score:g} is over 5",
            fix="a T-score is in standard deviations (osteoporosis: -2.5 and below); give a density as density_g_cm3",
        )
    density = _INTERCEPT + _SLOPE * t_score
    if density <= 0.0:
        lowest = -_INTERCEPT / _SLOPE
        raise InputError(
            f"t_score = {t_score:g} gives a density of {1000 * density:.1f} mg/cm3",
            fix=f"use a T-score over {lowest:.2f}, or give density_g_cm3",
        )
    return density


def t_score_density(t_score: float) -> TScoreDensity:
    """Trabecular density that matches a DXA T-score, with its standard uncertainty.

    Parameters
    ----------
    t_score : float
        T-score of the lumbar spine.

    Returns
    -------
    TScoreDensity
        `density_from_t_score` and 0.030 g/cm3: "30 mg/cm3 above or below" is taken as one standard deviation, a choice.

    Raises
    ------
    InputError
        As `density_from_t_score`.
    """
    return TScoreDensity(mean=density_from_t_score(t_score), standard_uncertainty=_UNCERTAINTY)
