"""What a solver finds, before it is packed into a `Solution`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Raw"]


@dataclass(frozen=True)
class Raw:
    """What a solver finds.

    Parameters
    ----------
    u : (n_points, 3) ndarray
        Displacement, mm.
    internal_force : (n_points, 3) ndarray or None
        K u, N, where the solver has it.
    norms : list of float
        Relative residuals.
    is_converged : bool
        Whether what was asked for was reached.
    stopped_by : str
        What ended the iteration.
    method : str or None
        Another method than the system's, where one took over.
    """

    u: NDArray[np.float64]
    internal_force: NDArray[np.float64] | None
    norms: list[float]
    is_converged: bool
    stopped_by: str = "residual"
    method: str | None = None
