"""What a solver finds, before it is packed into a `Solution`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fesolver.solvers.solution import ActiveSetRecord, ConnectionState

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
    connections : mapping of str to ConnectionState
        Of a problem with connections.
    active_set : ActiveSetRecord or None
        How the pieces of its connections were found.
    pressure : (c,) ndarray or None
        Of fluid cavities, MPa, where they were found together with the displacement.
    """

    u: NDArray[np.float64]
    internal_force: NDArray[np.float64] | None
    norms: list[float]
    is_converged: bool
    stopped_by: str = "residual"
    method: str | None = None
    connections: Mapping[str, ConnectionState] = field(default_factory=dict)
    active_set: ActiveSetRecord | None = None
    pressure: NDArray[np.float64] | None = None
