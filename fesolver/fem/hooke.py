"""Elasticity matrices: isotropic, from engineering constants, rotated."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.problem import Elasticity
from fesolver.fem.voigt import VOIGT_PAIRS

__all__ = [
    "elasticity_matrices",
    "isotropic_elasticity",
    "lame_parameters",
    "orthotropic_elasticity",
    "rotate_elasticity",
]


def lame_parameters(young: ArrayLike, poisson: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lame's lambda and mu in MPa, in the broadcast shape of `young` (MPa) and `poisson` [1]_.

    References
    ----------
    .. [1] T. J. R. Hughes, *The Finite Element Method*, Dover, 2000.
    """
    E, nu = np.broadcast_arrays(np.asarray(young, dtype=np.float64), np.asarray(poisson, dtype=np.float64))
    return E * nu / ((1.0 + nu) * (1.0 - 2.0 * nu)), E / (2.0 * (1.0 + nu))


def isotropic_elasticity(young: ArrayLike, poisson: ArrayLike) -> NDArray[np.float64]:
    """Elasticity matrix of an isotropic material, in the order of `fesolver.fem.voigt`.

    Parameters
    ----------
    young : float or (n_cells,) array_like
        Young's modulus in MPa, positive and finite.
    poisson : float or (n_cells,) array_like
        Poisson's ratio, dimensionless, in (-1, 0.5).

    Returns
    -------
    (..., 6, 6) ndarray
        Elasticity matrix in MPa; leading axes follow `young`.

    Raises
    ------
    InputError
        If `young` or `poisson` is outside its range.

    Notes
    -----
    Small strain; shear rows act on engineering shear (gamma = 2 epsilon) [1]_.

    References
    ----------
    .. [1] T. J. R. Hughes, *The Finite Element Method*, Dover, 2000.

    Examples
    --------
    >>> isotropic_elasticity(100.0, 0.25)[0]
    array([120.,  40.,  40.,   0.,   0.,   0.])
    """
    E, nu = np.asarray(young, dtype=np.float64), np.asarray(poisson, dtype=np.float64)
    if not (np.all(np.isfinite(E)) and np.all(E > 0)):
        raise InputError(f"Young's modulus must be positive and finite, got minimum {np.min(E)} MPa")
    if not (np.all(nu > -1) and np.all(nu < 0.5)):
        raise InputError(f"Poisson's ratio must lie in (-1, 0.5), got {np.min(nu)} to {np.max(nu)}")
    lam, mu = lame_parameters(E, nu)
    D = np.zeros((*lam.shape, 6, 6))
    D[..., :3, :3] = lam[..., None, None]
    diagonal = np.arange(6)
    D[..., diagonal, diagonal] += np.where(diagonal < 3, 2.0, 1.0) * mu[..., None]
    return D


def orthotropic_elasticity(
    *, young: ArrayLike, shear: ArrayLike, poisson_yz: ArrayLike, poisson_xz: ArrayLike, poisson_xy: ArrayLike
) -> NDArray[np.float64]:
    """Elasticity matrix of an orthotropic material aligned with the axes.

    Parameters
    ----------
    young : (..., 3) array_like
        E_x, E_y, E_z in MPa.
    shear : (..., 3) array_like
        G_yz, G_xz, G_xy in MPa.
    poisson_yz, poisson_xz, poisson_xy : (...,) array_like
        nu_ij = -strain_j / strain_i under uniaxial stress along i.

    Returns
    -------
    (..., 6, 6) ndarray
        MPa.

    Raises
    ------
    InputError
        If the compliance is not positive definite.
    """
    E, G = np.asarray(young, dtype=np.float64), np.asarray(shear, dtype=np.float64)
    S = np.zeros((*E.shape[:-1], 6, 6))
    for i in range(3):
        S[..., i, i] = 1.0 / E[..., i]
        S[..., 3 + i, 3 + i] = 1.0 / G[..., i]
    for i, j, nu in ((1, 2, poisson_yz), (0, 2, poisson_xz), (0, 1, poisson_xy)):
        S[..., i, j] = S[..., j, i] = -np.asarray(nu) / E[..., i]
    if not np.all(np.linalg.eigvalsh(S)[..., 0] > 0):
        raise InputError("orthotropic constants are not admissible: the compliance is not positive definite")
    return np.asarray(np.linalg.inv(S))


def rotate_elasticity(D: ArrayLike, axes: ArrayLike) -> NDArray[np.float64]:
    """Elasticity matrices given in local axes, in the frame the axes are given in.

    Parameters
    ----------
    D : (..., 6, 6) array_like
        MPa, in local axes.
    axes : (..., 3, 3) array_like
        Rows: the local unit vectors in the outer frame.

    Returns
    -------
    (..., 6, 6) ndarray
        MPa, in the outer frame.

    Notes
    -----
    With T the matrix that takes outer to local engineering strain, D_outer = T^T D T (Bond transformation).
    """
    R = np.asarray(axes, dtype=np.float64)
    T = np.empty((*R.shape[:-2], 6, 6))
    for a, (i, j) in enumerate(VOIGT_PAIRS):
        for b, (k, m) in enumerate(VOIGT_PAIRS):
            if k == m:
                value = R[..., i, k] * R[..., j, k]
            else:
                value = 0.5 * (R[..., i, k] * R[..., j, m] + R[..., i, m] * R[..., j, k])
            T[..., a, b] = value * (1.0 if i == j else 2.0)
    return np.asarray(np.einsum("...ba,...bc,...cd->...ad", T, np.asarray(D, dtype=np.float64), T))


def elasticity_matrices(elasticity: Elasticity, cells: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    """Elasticity matrices (k, 6, 6) in MPa of the given cells (all by default)."""
    ids = np.arange(len(elasticity.young)) if cells is None else np.asarray(cells)
    D = isotropic_elasticity(elasticity.young[ids], elasticity.poisson[ids])
    if len(elasticity.general_cells):
        at = np.searchsorted(elasticity.general_cells, ids)
        at_safe = np.minimum(at, len(elasticity.general_cells) - 1)
        hit = elasticity.general_cells[at_safe] == ids
        D[hit] = elasticity.general_matrices[at_safe[hit]]
    return D
