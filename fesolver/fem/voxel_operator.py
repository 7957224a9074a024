"""The voxel operator's box arrays: elasticity on a lattice, unit matrices of a brick, its strain modes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.hooke import lame_parameters
from fesolver.fem.problem import Elasticity, Lattice

__all__ = ["BrickModes", "VoxelElasticity", "brick_modes", "voxel_elasticity"]

_WALSH_SIGNS = np.array(
    [[np.prod([1 if (a >> d) & 1 else -1 for d in range(3) if (p >> d) & 1]) for a in range(8)] for p in range(8)]
)
"""Row p: signs of the node values (bits x, y, z) in the coefficient of xi^p0 eta^p1 zeta^p2."""

_MODE_MONOMIALS = (0, 1, 2, 3, 4, 5, 6)
"""Monomials of the strain by bits (x = 1, y = 2, z = 4); xi eta zeta does not occur."""


@dataclass(frozen=True)
class BrickModes:
    """Strain modes and unit matrices of one brick.

    Parameters
    ----------
    B : (7, 6, 24) ndarray
        Strain coefficients of each monomial from nodal displacements (node by position bits, then component), 1/mm.
    weights : (7,) ndarray
        Volume times the monomial's mean square, mm3.
    K_lam, K_mu : (24, 24) ndarray
        Stiffness for lambda = 1, mu = 0 and for lambda = 0, mu = 1.
    constants : (7,) ndarray
        What `fem.kernels.voxel.apply_stiffness` takes.
    """

    B: NDArray[np.float64]
    weights: NDArray[np.float64]
    K_lam: NDArray[np.float64]
    K_mu: NDArray[np.float64]
    constants: NDArray[np.float64]


def brick_modes(spacing: NDArray[np.float64], *, is_bbar: bool) -> BrickModes:
    """Strain modes of a brick of edges `spacing` (3,), mm, with or without mean dilatation."""
    volume = float(np.prod(spacing))
    B = np.zeros((7, 6, 24))
    for direction in range(3):
        slope = 2.0 / spacing[direction] / 8.0
        for p in range(8):
            if not (p >> direction) & 1:
                continue
            monomial = p & ~(1 << direction)
            row = slope * _WALSH_SIGNS[p]
            for component in range(3):
                voigt = direction if component == direction else {3: 3, 2: 4, 1: 5}[component + direction]
                B[monomial, voigt, component::3] += row
    if is_bbar:
        B[1:, :3] -= B[1:, :3].sum(axis=1, keepdims=True) / 3.0
    weights = volume * np.array([3.0 ** -bin(m).count("1") for m in _MODE_MONOMIALS])
    lam_matrix = np.zeros((6, 6))
    lam_matrix[:3, :3] = 1.0
    mu_matrix = np.diag([2.0, 2.0, 2.0, 1.0, 1.0, 1.0])
    K_lam = np.einsum("m,mac,ab,mbd->cd", weights, B, lam_matrix, B)
    K_mu = np.einsum("m,mac,ab,mbd->cd", weights, B, mu_matrix, B)
    constants = np.array([*(0.25 / spacing), volume, volume / 3.0, volume / 9.0, 1.0 / 3.0])
    return BrickModes(B=B, weights=weights, K_lam=K_lam, K_mu=K_mu, constants=constants)


@dataclass(frozen=True)
class VoxelElasticity:
    """Elasticity on the whole box of a lattice, x fastest.

    Parameters
    ----------
    lam, mu : (nz, ny, nx) ndarray
        Lame parameters, MPa; mu = 0 marks an absent cell.
    general : (nz, ny, nx) ndarray of int32
        -1, or the row of `D` of a cell that is not isotropic.
    D : (k, 6, 6) ndarray
        Elasticity matrices, MPa (at least one row, unused where there are none).
    """

    lam: NDArray[np.floating]
    mu: NDArray[np.floating]
    general: NDArray[np.int32]
    D: NDArray[np.floating]


def voxel_elasticity(elasticity: Elasticity, lattice: Lattice) -> VoxelElasticity:
    """Spread per-cell constants over the lattice's box."""
    nx, ny, nz = lattice.shape
    i, j, k = lattice.cell_index.T
    lam, mu = np.zeros((nz, ny, nx)), np.zeros((nz, ny, nx))
    general = np.full((nz, ny, nx), -1, dtype=np.int32)
    lam[k, j, i], mu[k, j, i] = lame_parameters(elasticity.young, elasticity.poisson)
    cells = elasticity.general_cells
    general[k[cells], j[cells], i[cells]] = np.arange(len(cells), dtype=np.int32)
    D = np.ascontiguousarray(elasticity.general_matrices) if len(cells) else np.zeros((1, 6, 6))
    return VoxelElasticity(lam=lam, mu=mu, general=general, D=D)
