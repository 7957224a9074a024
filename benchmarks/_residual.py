"""How good an answer is, from its displacements alone: one function for every code.

Nothing here comes from fesolver: brick matrices by Gauss quadrature, products slab by slab in float64.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
from _models import VoxelModel
from numpy.typing import NDArray

CORNERS = list(product((0, 1), repeat=3))
"""Offsets of a cell's points along x, y, z."""


def unit_stiffness(
    spacing_mm: float, poisson: float, integration: Literal["full", "b-bar"] = "full"
) -> NDArray[np.float64]:
    """Stiffness (24, 24) of a cube of 1 MPa by 2 x 2 x 2 Gauss points, N/mm; rows are 3 * corner + component [1]_.

    References
    ----------
    .. [1] T. J. R. Hughes, *The Finite Element Method*, Dover, 2000, sections 3.5 and 4.5 (mean dilatation).
    """
    lam = poisson / ((1.0 + poisson) * (1.0 - 2.0 * poisson))
    D = np.diag([2.0, 2.0, 2.0, 1.0, 1.0, 1.0]) / (2.0 * (1.0 + poisson))
    D[:3, :3] += lam
    at = 1.0 / np.sqrt(3.0)
    strains = np.array([_strain_matrix(np.array(xi) * at, spacing_mm) for xi in product((-1.0, 1.0), repeat=3)])
    if integration == "b-bar":
        dilatation = strains[:, :3].sum(axis=1)
        strains[:, :3] += (dilatation.mean(axis=0) - dilatation)[:, None] / 3.0
    stiffness: NDArray[np.float64] = np.einsum("gac,ab,gbd->cd", strains, D, strains) * spacing_mm**3 / 8.0
    return stiffness


def _strain_matrix(xi: NDArray[np.float64], spacing_mm: float) -> NDArray[np.float64]:
    """Strain (xx, yy, zz, yz, xz, xy, engineering shear) from the 24 displacements at a point of [-1, 1]^3."""
    B = np.zeros((6, 24))
    for a, corner in enumerate(CORNERS):
        sign = 2.0 * np.array(corner) - 1.0
        factors = 0.5 * (1.0 + sign * xi)
        gx, gy, gz = (
            sign[d] / spacing_mm * factors[(d + 1) % 3] * factors[(d + 2) % 3] for d in range(3)
        )  # d/dx = 2/h d/dxi
        B[:, 3 * a : 3 * a + 3] = [[gx, 0, 0], [0, gy, 0], [0, 0, gz], [0, gz, gy], [gz, 0, gx], [gy, gx, 0]]
    return B


def check_answer(
    model: VoxelModel, displacement: NDArray[np.float64], integration: Literal["full", "b-bar"] = "full"
) -> dict[str, float]:
    """Residual and reaction of an answer.

    Parameters
    ----------
    model : VoxelModel
        What was to be solved.
    displacement : (nx + 1, ny + 1, nz + 1, 3) ndarray
        mm; anything (NaN too) where there is no material.
    integration : {"full", "b-bar"}
        The element that was used.

    Returns
    -------
    dict
        `residual` is ||f - K u|| / ||f||, 2-norms over the free unknowns, with f = -K u_given for the given
        displacements and zero elsewhere; `reaction_n` is the force along z on the highest points; `held_error_mm` is
        the largest difference from a given displacement.
    """
    unit = unit_stiffness(model.spacing_mm, model.poisson, integration)
    nx, ny, nz = model.young_gpa.shape
    given = np.zeros((ny + 1, nz + 1, 3))
    given[:, -1, 2] = model.top_mm
    is_material = model.material_points()
    internal, load = np.zeros((ny + 1, nz + 1, 3)), np.zeros((ny + 1, 2, 3))  # of the slab before, on this plane
    residual = norm = reaction = held_error = 0.0
    low = np.where(is_material[0][..., None], displacement[0], 0.0)
    for i in range(nx + 1):
        wrong = np.abs((low - given)[:, [0, -1]])[is_material[i][:, [0, -1]]]
        held_error = max(held_error, float(wrong.max(initial=0.0)))
        if i < nx:
            high = np.where(is_material[i + 1][..., None], displacement[i + 1], 0.0)
            young = 1000.0 * model.young_gpa[i].astype(np.float64)
            forces = _slab_forces(young, unit, low, high)
            loads = _slab_forces(young[:, -1:], unit, given[:, -2:], given[:, -2:])  # elsewhere it is zero
            internal, load, low = internal + forces[0], load + loads[0], high
        residual += float((internal[:, 1:-1] ** 2).sum())
        norm += float((load[:, 0] ** 2).sum())
        reaction += float(internal[:, -1, 2].sum())
        internal, load = forces[1], loads[1]
    return {"residual": float(np.sqrt(residual / norm)), "reaction_n": reaction, "held_error_mm": held_error}


def check_saved(path: str, displacement: str) -> dict[str, float]:
    """In a child: check displacements saved as `.npy` against a saved model."""
    return check_answer(VoxelModel.load(Path(path)), np.load(displacement))


def _slab_forces(
    young: NDArray[np.float64], unit: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Internal forces of a slab of cells, moduli (ny, nz), on its two planes of points, (2, ny + 1, nz + 1, 3)."""
    ny, nz = young.shape
    active = np.nonzero(young)
    u = np.stack([low, high])
    cells = np.concatenate([u[a, b : b + ny, c : c + nz][active] for a, b, c in CORNERS], axis=1)
    forces = (cells @ unit) * young[active][:, None]
    out = np.zeros_like(u)
    for at, (a, b, c) in enumerate(CORNERS):
        out[a, b : b + ny, c : c + nz][active] += forces[:, 3 * at : 3 * at + 3]
    return out
