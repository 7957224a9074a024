"""Voigt notation: order (xx, yy, zz, yz, xz, xy), engineering shear (gamma = 2 epsilon)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["VOIGT_PAIRS", "principal_values", "strain_tensor", "stress_tensor", "von_mises"]

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


def principal_values(tensor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Eigenvalues (..., 3) of symmetric tensors (..., 3, 3), ascending."""
    return np.asarray(np.linalg.eigvalsh(tensor))


def von_mises(stress: ArrayLike) -> NDArray[np.float64]:
    """Von Mises stress (...,) in MPa from Voigt stress (..., 6)."""
    s = np.asarray(stress, dtype=np.float64)
    xx, yy, zz, yz, xz, xy = np.moveaxis(s, -1, 0)
    squares = 0.5 * ((xx - yy) ** 2 + (yy - zz) ** 2 + (zz - xx) ** 2) + 3.0 * (yz**2 + xz**2 + xy**2)
    return np.asarray(np.sqrt(squares))
