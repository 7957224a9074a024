"""What geometric and aggregated coarse levels share: the smoother's weights and the factor of the last level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["SMOOTHING_RATIO", "chebyshev_weights", "factorise"]

SMOOTHING_RATIO = 20.0
"""The smoother damps eigenvalues from largest / ratio to largest."""


def chebyshev_weights(largest: float, degree: int, ratio: float = SMOOTHING_RATIO) -> list[tuple[float, float, float]]:
    """Weights (of x, of the iterate before, of the scaled residual) of each Chebyshev step."""
    upper = 1.1 * largest
    lower = upper / ratio
    theta, delta = 0.5 * (upper + lower), 0.5 * (upper - lower)
    sigma = theta / delta
    rho = 1.0 / sigma
    steps = [(1.0, 0.0, 1.0 / theta)]
    for _ in range(degree - 1):
        rho_next = 1.0 / (2.0 * sigma - rho)
        steps.append((1.0 + rho_next * rho, -rho_next * rho, 2.0 * rho_next / delta))
        rho = rho_next
    return steps


def factorise(dense: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lower factor of a matrix that is positive but for round-off, its diagonal raised as little as it takes.

    Coarse functions may coincide on thin parts, and float32 leaves such a matrix slightly indefinite. The shift only
    slows these modes.
    """
    from scipy.linalg import LinAlgError, cho_factor

    diagonal = np.diag(dense).copy()
    for shift in (1e-6, 1e-5, 1e-4, 1e-3, 1e-2):
        np.fill_diagonal(dense, diagonal * (1.0 + shift))
        try:
            return np.asarray(cho_factor(dense, lower=True, check_finite=False)[0])
        except LinAlgError:
            continue
    # Constants that are not numbers are found by the residual; a diagonal factor leaves that to it.
    return np.diag(np.sqrt(np.abs(diagonal)))
