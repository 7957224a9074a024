"""Means and quantiles of values that stand for volumes or areas."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError

__all__ = ["fraction_above", "has_net", "upper_quantile", "weighted_mean"]

LEAST_NET = 1e-3
"""Least sum of forces, as a part of the sum of their sizes, that they are shares of; a choice."""


def weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Mean of `values` (n,) over positive `weights` (n,)."""
    return float(np.sum(values * weights) / np.sum(weights))


def fraction_above(values: NDArray[np.float64], weights: NDArray[np.float64], threshold: float) -> float:
    """Part of the weight whose value is above `threshold`, in [0, 1]."""
    return float(np.sum(weights[values > threshold]) / np.sum(weights))


def has_net(parts: Iterable[float]) -> bool:
    """Whether parts have a sum to be shares of: under a pure moment they cancel, and a share would be noise.

    Examples
    --------
    >>> has_net([-240.0, -260.0]), has_net([-240.0, 240.0001])
    (True, False)
    """
    given = list(parts)
    return abs(sum(given)) > LEAST_NET * sum(map(abs, given))


def upper_quantile(values: NDArray[np.float64], weights: NDArray[np.float64], fraction: float) -> float:
    """Largest value that at least `fraction` of the weight reaches.

    Parameters
    ----------
    values : (n,) ndarray
        Values, in any order.
    weights : (n,) ndarray
        What each stands for (mm3, mm2); not negative, positive in sum.
    fraction : float
        In (0, 1).

    Returns
    -------
    float
        The value q, one of `values`, such that the weight of `values >= q` is at least `fraction` of all, and the
        weight of `values > q` is less.

    Raises
    ------
    InputError
        If there is no weight, or `fraction` is outside its range.

    Notes
    -----
    No interpolation between values: one cell yields as a whole. The weight is summed in ascending order of rank, so the
    result does not depend on the order of the input except between equal values, where it cannot matter.

    Examples
    --------
    >>> import numpy as np
    >>> upper_quantile(np.array([1.0, 2.0, 3.0]), np.array([90.0, 8.0, 2.0]), 0.05)
    2.0
    """
    if not 0.0 < fraction < 1.0:
        raise InputError(f"quantile fraction {fraction} is not in (0, 1)")
    total = np.sum(weights)
    if not total > 0.0:
        raise InputError("there is no volume to take a quantile over")
    order = np.argsort(-values, kind="stable")
    reached = np.cumsum(weights[order])
    # 1e-12: a weight that is the fraction up to rounding counts as reached.
    at = int(np.searchsorted(reached, fraction * total * (1.0 - 1e-12)))
    return float(values[order[min(at, len(order) - 1)]])
