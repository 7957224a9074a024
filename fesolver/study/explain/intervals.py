"""Intervals, effect sizes and p values of samples: Student's t, the bootstrap, Hedges' correction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError

__all__ = [
    "bootstrap_interval",
    "check_confidence",
    "effect_sizes",
    "hedges_correction",
    "paired_p_values",
    "t_interval",
]


def check_confidence(confidence: float) -> None:
    """Raise `InputError` unless a confidence lies in (0, 1)."""
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence is {confidence:g}", fix="give a number between 0 and 1, such as 0.95")


def t_interval(
    mean: ArrayLike, sd: ArrayLike, n: ArrayLike, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Student's interval of a mean.

    Parameters
    ----------
    mean, sd : (k,) array_like
        Means and standard deviations (divisor n - 1) of k samples.
    n : (k,) array_like of int
        Their sizes.
    confidence : float
        In (0, 1).

    Returns
    -------
    low, high : (k,) ndarray
        mean -+ t sd / sqrt(n), t the quantile of (1 + confidence) / 2 with n - 1 degrees of freedom [1]_; NaN where
        n < 2.

    Raises
    ------
    InputError
        If the confidence is outside its range.

    References
    ----------
    .. [1] Student, "The probable error of a mean", Biometrika 6:1-25, 1908.

    Examples
    --------
    >>> low, high = t_interval(10.0, 2.0, 4)
    >>> float(low), float(high)
    (6.8176, 13.1824)
    """
    from scipy.special import stdtrit

    check_confidence(confidence)
    mean, sd, n = (np.asarray(x, dtype=float) for x in (mean, sd, n))
    size = np.where(n >= 2, n, np.nan)
    half = stdtrit(size - 1.0, 0.5 * (1.0 + confidence)) * sd / np.sqrt(size)
    return mean - half, mean + half


def hedges_correction(degrees_of_freedom: int) -> float:
    """Factor that takes the small-sample bias out of a standardised mean difference.

    Parameters
    ----------
    degrees_of_freedom : int
        Of the standard deviation it was divided by.

    Returns
    -------
    float
        gamma(m / 2) / (sqrt(m / 2) gamma((m - 1) / 2)) for m degrees of freedom [1]_; NaN for m < 2, where the expected
        value does not exist.

    References
    ----------
    .. [1] L. V. Hedges, "Distribution theory for Glass's estimator of effect size and related estimators", Journal of
       Educational Statistics 6:107-128, 1981.

    Examples
    --------
    >>> hedges_correction(9), 1 - 3 / (4 * 9 - 1)  # exact, and the usual approximation
    (0.9139, 0.9143)
    """
    from scipy.special import gammaln

    m = degrees_of_freedom
    if m < 2:
        return float("nan")
    return float(np.exp(gammaln(m / 2.0) - gammaln((m - 1) / 2.0)) / np.sqrt(m / 2.0))


def effect_sizes(n: int, *, change: float, sd_change: float, sd_intact: float, sd_treated: float) -> dict[str, float]:
    """Standardised mean differences of n pairs.

    Parameters
    ----------
    n : int
        Pairs.
    change, sd_change : float
        Mean and SD of the differences.
    sd_intact, sd_treated : float
        SDs of the two states.

    Returns
    -------
    dict of str to float
        `cohens_d_z` = change / sd_change, `cohens_d_av` = change / mean of the states' SDs [1]_, and both times
        `hedges_correction(n - 1)` as `hedges_g_z`, `hedges_g_av`; NaN where the divisor is 0 or not known.

    References
    ----------
    .. [1] D. Lakens, "Calculating and reporting effect sizes to facilitate cumulative science", Frontiers in Psychology
       4:863, 2013.
    """
    correction, sd_mean = hedges_correction(n - 1), 0.5 * (sd_intact + sd_treated)
    d_z = change / sd_change if sd_change > 0.0 else float("nan")
    d_av = change / sd_mean if sd_mean > 0.0 else float("nan")
    return {
        "cohens_d_z": d_z,
        "hedges_g_z": correction * d_z,
        "cohens_d_av": d_av,
        "hedges_g_av": correction * d_av,
    }


def paired_p_values(change: NDArray[np.float64], mean: float, sd: float, *, is_sample: bool) -> dict[str, float]:
    """Two-sided p values of paired differences with their mean and SD.

    `t_p` is of t = mean sqrt(n) / SD, `wilcoxon_p` of the signed ranks of the differences that are not 0; both NaN
    where the cases are no sample, fewer than 2, or all differ alike.
    """
    from scipy.special import stdtr
    from scipy.stats import wilcoxon

    n = len(change)
    if not is_sample or n < 2 or not sd > 0.0:
        return {"t_p": float("nan"), "wilcoxon_p": float("nan")}
    t = mean / (sd / np.sqrt(n))
    return {"t_p": float(2.0 * stdtr(n - 1, -abs(t))), "wilcoxon_p": float(wilcoxon(change[change != 0.0]).pvalue)}


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[[NDArray[np.float64]], float],
    seed: int,
    n: int = 2000,
    confidence: float = 0.95,
    *,
    purpose: int = 0,
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval of a statistic.

    Parameters
    ----------
    values : (k,) array_like
        The sample, finite.
    statistic : callable
        From an array of numbers to one number: `np.median`, say.
    seed : int
        Of the study.
    n : int
        Resamples.
    confidence : float
        In (0, 1).
    purpose : int
        Number of this draw in `SeedSequence(seed, spawn_key=(0, purpose))`: what has another purpose is drawn apart.

    Returns
    -------
    low, high : float
        Twice the same where all resamples give one number.

    Raises
    ------
    InputError
        If there are fewer than 2 values or 100 resamples, a value is not finite, or the statistic lies outside its own
        resamples.

    Notes
    -----
    BCa [1]_: quantiles of the resampled statistic, shifted by its median bias (ties count half) and by its acceleration
    from the jackknife. The resamples are independent draws, so the interval, like Student's, takes no account of a
    design that spreads its points evenly. With fewer than about 20 values it covers less often than it says.

    References
    ----------
    .. [1] B. Efron, "Better bootstrap confidence intervals", Journal of the American Statistical Association
       82:171-185, 1987.

    Examples
    --------
    >>> low, high = bootstrap_interval([1.0, 2.0, 3.0, 4.0, 10.0], np.mean, seed=1)
    >>> low < 4.0 < high
    True
    """
    from scipy.special import ndtr, ndtri

    check_confidence(confidence)
    sample = np.asarray(values, dtype=float)
    if sample.ndim != 1 or len(sample) < 2 or not np.isfinite(sample).all():
        raise InputError(f"a bootstrap needs 2 or more finite numbers in a row, given shape {sample.shape}")
    if n < 100:
        raise InputError(f"{n} resamples say nothing about an interval's ends", fix="give n=1000 or more")
    random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0, purpose)))
    drawn = sample[random.integers(0, len(sample), (n, len(sample)))]
    resampled = np.array([float(statistic(row)) for row in drawn])
    if resampled.min() == resampled.max():
        return float(resampled[0]), float(resampled[0])
    observed = float(statistic(sample))
    below = 0.5 * float(np.mean(resampled < observed) + np.mean(resampled <= observed))
    if not 0.0 < below < 1.0:
        raise InputError(
            f"the statistic is {observed:g}, all resamples lie on one side of it", fix="use a statistic with less bias"
        )
    bias, a = ndtri(below), _acceleration(sample, statistic)
    z = bias + ndtri(np.array([0.5 - 0.5 * confidence, 0.5 + 0.5 * confidence]))
    low, high = np.quantile(resampled, ndtr(bias + z / (1.0 - a * z)))
    return float(low), float(high)


def _acceleration(sample: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], float]) -> float:
    """Efron's acceleration from the jackknife; 0 where leaving one out moves nothing."""
    left_out = np.array([float(statistic(np.delete(sample, at))) for at in range(len(sample))])
    shift = left_out.mean() - left_out
    spread = float(np.sum(shift**2))
    return float(np.sum(shift**3)) / (6.0 * spread**1.5) if spread > 0.0 else 0.0
