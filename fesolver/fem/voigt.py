"""Voigt notation: order (xx, yy, zz, yz, xz, xy), engineering shear (gamma = 2 epsilon)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "VOIGT_PAIRS",
    "principal_strain",
    "principal_stress",
    "principal_values",
    "strain_tensor",
    "stress_tensor",
    "von_mises",
]

VOIGT_PAIRS: tuple[tuple[int, int], ...] = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def _tensor(voigt: ArrayLike, shear_factor: float) -> NDArray[np.float64]:
    """Symmetric tensors (..., 3, 3) from Voigt vectors (..., 6)."""
    vector = np.asarray(voigt, dtype=np.float64)
    tensor = np.empty((*vector.shape[:-1], 3, 3))
    for a, (i, j) in enumerate(VOIGT_PAIRS):
        tensor[..., i, j] = tensor[..., j, i] = vector[..., a] * (1.0 if i == j else shear_factor)
    return tensor


def stress_tensor(stress: ArrayLike) -> NDArray[np.float64]:
    """Stress tensors (..., 3, 3) in MPa from Voigt vectors (..., 6)."""
    return _tensor(stress, 1.0)


def strain_tensor(strain: ArrayLike) -> NDArray[np.float64]:
    """Strain tensors (..., 3, 3) from Voigt vectors (..., 6) with engineering shear."""
    return _tensor(strain, 0.5)


def _principal(rows: NDArray[np.float64], places: list[int], shear_factor: float) -> NDArray[np.float64]:
    """Ascending eigenvalues (..., 3) of symmetric tensors in rows (..., m), components at `places` of a row."""
    from fesolver.fem.kernels.principal import principal
    from fesolver.fem.threads import kernel_threads

    values = np.empty((*rows.shape[:-1], 3))
    with kernel_threads():
        principal(
            np.ascontiguousarray(rows).reshape(-1, rows.shape[-1]),
            np.array(places),
            shear_factor,
            values.reshape(-1, 3),
        )
    return values


def principal_values(tensor: ArrayLike) -> NDArray[np.float64]:
    """Eigenvalues (..., 3) of symmetric tensors (..., 3, 3), ascending, to some 1e-15 of the largest.

    Examples
    --------
    >>> principal_values([[2.0, 0.0, 0.0], [0.0, 3.0, 4.0], [0.0, 4.0, 9.0]])
    array([ 1.,  2., 11.])
    """
    rows = np.asarray(tensor, dtype=np.float64)
    return _principal(rows.reshape(*rows.shape[:-2], 9), [0, 4, 8, 7, 6, 3], 1.0)


def principal_stress(stress: ArrayLike) -> NDArray[np.float64]:
    """Principal stresses (..., 3) in MPa, ascending, from Voigt stress (..., 6)."""
    return _principal(np.asarray(stress, dtype=np.float64), list(range(6)), 1.0)


def principal_strain(strain: ArrayLike) -> NDArray[np.float64]:
    """Principal strains (..., 3), ascending, from Voigt strain (..., 6) with engineering shear."""
    return _principal(np.asarray(strain, dtype=np.float64), list(range(6)), 0.5)


def von_mises(stress: ArrayLike) -> NDArray[np.float64]:
    """Von Mises stress (...,) in MPa from Voigt stress (..., 6)."""
    s = np.asarray(stress, dtype=np.float64)
    xx, yy, zz, yz, xz, xy = np.moveaxis(s, -1, 0)
    squares = 0.5 * ((xx - yy) ** 2 + (yy - zz) ** 2 + (zz - xx) ** 2) + 3.0 * (yz**2 + xz**2 + xy**2)
    return np.asarray(np.sqrt(squares))
