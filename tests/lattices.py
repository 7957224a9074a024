"""Small meshes for tests: voxel meshes from a mask, distorted boxes, pads."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import label

from fesolver.fem.hooke import lame_parameters, orthotropic_elasticity, rotate_elasticity
from fesolver.fem.problem import Elasticity, Lattice, RigidBody
from fesolver.fem.voxel_operator import Material

CORNER_OFFSETS = np.array(
    [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=np.int64
)
"""Corners of a cell in VTK order."""

GRADIENT = 1e-3 * np.array([[0.7, -0.4, 0.9], [0.2, -1.1, 0.3], [-0.6, 0.8, 0.5]])
"""Displacement gradient with no symmetry at all: nothing can cancel."""


def voxel_mesh(
    active: NDArray[np.bool_], spacing: ArrayLike = 1.0, origin: ArrayLike = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.int64], Lattice]:
    """Points, cells and lattice of the cells where `active` (nx, ny, nz) is true, in the order of `np.argwhere`."""
    shape = active.shape
    step = np.broadcast_to(np.asarray(spacing, dtype=np.float64), 3).copy()
    start = np.broadcast_to(np.asarray(origin, dtype=np.float64), 3).copy()
    cell_index = np.argwhere(active)
    corners = cell_index[:, None] + CORNER_OFFSETS
    flat = np.ravel_multi_index(np.moveaxis(corners, -1, 0), [n + 1 for n in shape])
    used, cells = np.unique(flat, return_inverse=True)
    point_index = np.stack(np.unravel_index(used, [n + 1 for n in shape]), axis=1)
    lattice = Lattice(
        shape=(shape[0], shape[1], shape[2]),
        spacing=step,
        origin=start,
        cell_index=cell_index.astype(np.int32),
        point_index=point_index.astype(np.int32),
    )
    return start + point_index * step, cells.reshape(flat.shape).astype(np.int64), lattice


def box_mesh(
    shape: tuple[int, int, int], spacing: ArrayLike = 1.0, origin: ArrayLike = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.int64], Lattice]:
    """Voxel mesh of a full box."""
    return voxel_mesh(np.ones(shape, dtype=bool), spacing, origin)


def distorted_box(
    shape: tuple[int, int, int] = (3, 2, 4), spacing: ArrayLike = (1.0, 1.5, 0.8), *, amount: float = 0.2, seed: int = 5
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Box whose inner points are moved at random by up to `amount` of the spacing; its faces stay plane."""
    points, cells, lattice = box_mesh(shape, spacing)
    shift = np.random.default_rng(seed).uniform(-amount, amount, points.shape) * lattice.spacing
    return points + shift * ~is_on_box(points)[:, None], cells


def is_on_box(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Points on a face of the bounding box."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.asarray(np.any((points <= low + 1e-9) | (points >= high - 1e-9), axis=1))


def all_dofs(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """The three degrees of freedom of every given point, ascending for ascending points."""
    return (3 * np.asarray(points, dtype=np.int64)[:, None] + np.arange(3)).ravel()


def uniform(n_cells: int, young: float = 1000.0, poisson: float = 0.3) -> Elasticity:
    """One isotropic material everywhere."""
    return Elasticity(np.full(n_cells, float(young)), np.full(n_cells, float(poisson)))


def varied_elasticity(n_cells: int, seed: int = 1) -> Elasticity:
    """Every cell different; some of them anisotropic and turned."""
    rng = np.random.default_rng(seed)
    general = np.flatnonzero(rng.random(n_cells) < 0.3)
    axes = np.linalg.qr(rng.standard_normal((len(general), 3, 3)))[0]
    D = orthotropic_elasticity(
        young=[140.0, 100.0, 300.0], shear=[48.0, 40.0, 30.0], poisson_yz=0.1, poisson_xz=0.12, poisson_xy=0.35
    )
    return Elasticity(
        rng.uniform(10, 500, n_cells), rng.uniform(0.0, 0.49, n_cells), general, rotate_elasticity(D, axes)
    )


def mixed_elasticity(n_cells: int, seed: int = 1, kinds: tuple[int, ...] = (0, 1, 2), scale: float = 1.0) -> Elasticity:
    """Every cell different, of a random one of the kinds: isotropic (0), orthotropic along the grid (1), general (2).

    Matrices are random and positive definite, with no symmetry but their own; `scale` multiplies all moduli.
    """
    rng = np.random.default_rng(seed)
    kind = rng.choice(kinds, n_cells)
    general = np.flatnonzero(kind)
    root = rng.standard_normal((len(general), 6, 6))
    is_orthotropic = kind[general] == 1
    root[is_orthotropic, 3:, :3] = root[is_orthotropic, :3, 3:] = 0.0
    root[is_orthotropic, 3:, 3:] *= np.eye(3)
    D = 100.0 * scale * (root @ root.transpose(0, 2, 1) + 0.2 * np.eye(6))
    young = scale * 10 ** rng.uniform(1.0, 3.0, n_cells)
    return Elasticity(young, rng.choice([-0.3, 0.0, 0.3, 0.49, 0.4999], n_cells), general, D)


def plane_order(index: NDArray[np.integer]) -> NDArray[np.int64]:
    """Ids of grid positions (n, 3) (x, y, z) in the order z, y, x."""
    return np.lexsort(index.T).astype(np.int64)


def material_of(elasticity: Elasticity, order: NDArray[np.int64]) -> Material:
    """Constants of the cells in the given order."""
    lam, mu = lame_parameters(elasticity.young, elasticity.poisson)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    at = rank[elasticity.general_cells]
    by_place = np.argsort(at)
    return Material(lam[order], mu[order], at[by_place], elasticity.general_matrices[by_place])


def largest_part(active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest face-connected part of a mask; all cells where the mask is empty."""
    parts, _ = label(active)
    if not parts.any():
        return np.ones_like(active)
    return np.asarray(parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]))


def on_plane(points: NDArray[np.float64], axis: int, value: float) -> NDArray[np.int64]:
    """Ids of the points with the given coordinate, mm."""
    return np.flatnonzero(np.abs(points[:, axis] - value) < 1e-9)


FIXED = np.ones(6, dtype=bool)
SLIDE = np.array([1, 1, 0, 1, 1, 1], dtype=bool)
TILT = np.array([1, 1, 0, 0, 0, 1], dtype=bool)
FREE = np.zeros(6, dtype=bool)


def pads(
    points: NDArray[np.float64], *, top: NDArray[np.bool_] = TILT, reference: ArrayLike | None = None
) -> tuple[RigidBody, RigidBody]:
    """Rigid `bottom` (all fixed) and `top` at the lowest and highest points; refers to its centroid by default."""
    low = on_plane(points, 2, points[:, 2].min())
    high = on_plane(points, 2, points[:, 2].max())
    at = points[high].mean(axis=0) if reference is None else np.asarray(reference, dtype=np.float64)
    return (
        RigidBody("bottom", low, points[low].mean(axis=0), FIXED),
        RigidBody("top", high, at, np.asarray(top, dtype=bool)),
    )
