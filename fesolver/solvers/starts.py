"""Where an iteration begins when several displacements are at hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["combination_weights"]

ROUND_OFF = 1e-13
"""Eigenvalues of the scaled energies below this part of the largest are round-off: two starts that coincide."""


def combination_weights(energy: NDArray[np.float64], work: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights c of displacements x_i whose sum c_i x_i is nearest to the solution of A x = b in energy [1]_.

    Parameters
    ----------
    energy : (n, n) ndarray
        x_i . A x_j, N mm.
    work : (n,) ndarray
        x_i . b, N mm.

    Returns
    -------
    (n,) ndarray
        Dimensionless; 0 for a displacement without energy.

    Notes
    -----
    The solution of the Galerkin system energy c = work on the space the displacements span. The matrix is scaled to a
    unit diagonal first; of displacements that depend on each other to round-off, the shortest weights are taken.

    References
    ----------
    .. [1] P. F. Fischer, Projection techniques for iterative solution of Ax = b with successive right-hand sides,
       Comput. Methods Appl. Mech. Eng. 163 (1998) 193-204.

    Examples
    --------
    >>> combination_weights(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([6.0, 4.0]))
    array([3., 1.])
    """
    length = np.sqrt(np.maximum(energy.diagonal(), 0.0))
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0.0)
    values, modes = np.linalg.eigh(energy * scale * scale[:, None])
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=values > ROUND_OFF * values.max(initial=0.0))
    return np.asarray(scale * (modes * (inverse * (modes.T * (work * scale)).sum(axis=1))).sum(axis=1))
