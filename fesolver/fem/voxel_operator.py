"""The stiffness of a lattice's active cells: constants per cell for the kernels, products, unit matrices of a brick."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.kernels import bricks
from fesolver.fem.kernels.galerkin import pack_constants
from fesolver.fem.voxel_runs import CellRuns, Nodes

__all__ = [
    "COUNTS",
    "Material",
    "VoxelOperator",
    "brick_constants",
    "cell_kinds",
    "slabs_for",
    "strain_modes",
    "strain_slopes",
    "unit_matrices",
    "voxel_operator",
]

COUNTS = (2, 15, 42)
"""Constants per isotropic, orthotropic and general cell."""

_UPPER = np.triu_indices(6)
_NORMAL = ([0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1])
"""Orthotropic constants 11, 22, 33, 23, 13, 12."""

_SIGNS = np.array(
    [[np.prod([1 if (a >> d) & 1 else -1 for d in range(3) if (p >> d) & 1]) for a in range(8)] for p in range(8)]
)
"""Row p: signs of the node values (bits x, y, z) in the coefficient of xi^p0 eta^p1 zeta^p2."""

_PROJECTION = np.eye(6)
_PROJECTION[:3, :3] -= 1.0 / 3.0


@dataclass(frozen=True)
class Material:
    """Elastic constants of the active cells, in the order z, y, x.

    Parameters
    ----------
    lam, mu : (n_cells,) ndarray
        Lame parameters, MPa; unused in cells listed in `general`.
    general : (k,) ndarray of int64
        Ascending positions of cells that are not isotropic.
    matrices : (k, 6, 6) ndarray
        Their elasticity matrices, MPa, Voigt order of `fesolver.fem.voigt`.
    """

    lam: NDArray[np.float64]
    mu: NDArray[np.float64]
    general: NDArray[np.int64]
    matrices: NDArray[np.float64]


def strain_modes(spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strain coefficients (7, 6, 24) of the monomials by bits 0 to 6, nodes by position bits, then components, 1/mm."""
    B = np.zeros((7, 6, 24))
    for direction in range(3):
        slope = 0.25 / spacing[direction]
        for p in range(8):
            if (p >> direction) & 1:
                row = slope * _SIGNS[p]
                for component in range(3):
                    voigt = direction if component == direction else {3: 3, 2: 4, 1: 5}[component + direction]
                    B[p & ~(1 << direction), voigt, component::3] += row
    return B


def _mean_squares() -> NDArray[np.float64]:
    """Means of the squared monomials over the brick."""
    return np.array([3.0 ** -bin(m).count("1") for m in range(7)])


def brick_constants(spacing: NDArray[np.float64], *, is_bbar: bool) -> NDArray[np.float64]:
    """Constants (31,) that `fem.kernels.bricks` takes, for edges in mm."""
    h = np.asarray(spacing, dtype=np.float64)
    w1 = float(np.prod(h))
    w2, w3 = w1 / 3.0, w1 / 9.0
    slopes = strain_slopes(h)
    lx, ly, lz = slopes[:3]
    yz, xz, xy = slopes[3:] ** 2
    dilatation = (0.0, -2.0 / 3.0 * w2) if is_bbar else (w2, 0.0)
    return np.array([
        lx, ly, lz, w1, 2 * w1 * lx**2, 2 * w1 * ly**2, 2 * w1 * lz**2, w1 * yz, w1 * xz, w1 * xy,
        w2 * yz, w2 * xz, w2 * xy, *dilatation,
        w2 * (2 * ly**2 + xy), w2 * (2 * lz**2 + xz), w2 * (2 * lx**2 + xy), w2 * (2 * lz**2 + yz),
        w2 * (2 * lx**2 + xz), w2 * (2 * ly**2 + yz),
        lx**2 / 3, w3 * (2 * lx**2 + xz + xy), ly**2 / 3, w3 * (2 * ly**2 + yz + xy), lz**2 / 3,
        w3 * (2 * lz**2 + yz + xz), *h, 1.0 / 3.0,
    ])  # fmt: skip


def strain_slopes(spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strains (6,), 1/mm2, per unit sum of coefficients of displacements (mm) times edges (mm), in Voigt order."""
    h = np.asarray(spacing, dtype=np.float64)
    return np.asarray(0.25 / np.array([h[0] ** 2, h[1] ** 2, h[2] ** 2, h[1] * h[2], h[0] * h[2], h[0] * h[1]]))


def _scaled(matrices: NDArray[np.float64], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Elasticity matrices that act on plain sums of coefficients: volume and edge lengths included."""
    scale = strain_slopes(spacing)
    return np.asarray(matrices * scale[:, None] * scale * np.prod(spacing))


def _constants(
    kind: int, matrices: NDArray[np.float64], spacing: NDArray[np.float64], *, is_bbar: bool
) -> NDArray[np.float64]:
    """Constants (n, 15 or 42) of cells from their matrices (n, 6, 6)."""
    higher = matrices
    if is_bbar:
        higher = matrices.copy()
        higher[:, :3] -= matrices[:, :3].mean(axis=1, keepdims=True)
        higher[:, :, :3] -= higher[:, :, :3].mean(axis=2, keepdims=True)
    first, second = _scaled(matrices, spacing), _scaled(higher, spacing)
    if kind == bricks.ORTHOTROPIC:
        rows, columns = _NORMAL
        shear = first[:, [3, 4, 5], [3, 4, 5]]
        return np.concatenate([first[:, rows, columns], shear, second[:, rows, columns]], axis=1)
    return np.concatenate([first[:, *_UPPER], second[:, *_UPPER]], axis=1)


def unit_matrices(kind: int, spacing: NDArray[np.float64], *, is_bbar: bool) -> NDArray[np.float64]:
    """Stiffness (count, 24, 24) of a brick for each constant of its kind at 1, nodes by position bits."""
    B = strain_modes(spacing)
    weights = float(np.prod(spacing)) * _mean_squares()
    if kind == bricks.ISOTROPIC:
        lam, mu = np.zeros((6, 6)), np.diag([2.0, 2.0, 2.0, 1.0, 1.0, 1.0])
        lam[:3, :3] = 1.0
        if is_bbar:
            B[1:] = _PROJECTION @ B[1:]
        return np.stack([np.einsum("m,mac,ab,mbd->cd", weights, B, D, B) for D in (lam, mu)])
    scale = strain_slopes(spacing)
    plain = B / scale[:, None]
    units = []
    for q in range(COUNTS[kind]):
        D = np.zeros((7, 6, 6))
        if kind == bricks.ORTHOTROPIC:
            if 6 <= q < 9:
                D[:, q - 3, q - 3] = 1.0
            else:
                at = q % 9 if q < 6 else q - 9
                a, b = _NORMAL[0][at], _NORMAL[1][at]
                D[slice(0, 1) if q < 6 else slice(1, 7), [a, b], [b, a]] = 1.0
        else:
            a, b = int(_UPPER[0][q % 21]), int(_UPPER[1][q % 21])
            D[slice(0, 1) if q < 21 else slice(1, 7), [a, b], [b, a]] = 1.0
        units.append(np.einsum("m,mac,mab,mbd->cd", _mean_squares(), plain, D, plain))
    return np.stack(units)


def cell_kinds(material: Material) -> NDArray[np.uint8]:
    """Kind of every active cell (`fem.kernels.bricks`); a matrix is orthotropic if its couplings are below 1e-12."""
    kinds = np.zeros(len(material.mu), dtype=np.uint8)
    D = material.matrices
    if len(D):
        coupling = np.ones((6, 6), dtype=bool)
        coupling[:3, :3] = False
        coupling[[3, 4, 5], [3, 4, 5]] = False
        is_coupled = np.abs(D[:, coupling]).max(axis=1) > 1e-12 * np.abs(D).max(axis=(1, 2))
        kinds[material.general] = np.where(is_coupled, bricks.GENERAL, bricks.ORTHOTROPIC)
    return kinds


def slabs_for(nodes: Nodes, count: int) -> NDArray[np.int64]:
    """First node plane of each of `count` slabs of about as many nodes, and the number of planes."""
    n_planes = len(nodes.planes) - 1
    target = nodes.planes[-1] * np.arange(1, count) / count
    inner = np.searchsorted(nodes.planes, target)
    return np.unique(np.concatenate([[0], np.clip(inner, 1, n_planes), [n_planes]])).astype(np.int64)


@dataclass(frozen=True)
class VoxelOperator:
    """K on the nodes of the active cells, in float64 and float32.

    Parameters
    ----------
    nodes : Nodes
        Vectors are flat, 3 x `nodes.stride`, components apart; the padding is zero.
    kinds : (n_cells,) ndarray of uint8
        Kind of each cell, in the order z, y, x.
    cells : tuple of CellRuns
        Of each kind.
    constants : (31,) ndarray
        Of the brick.
    data : mapping of type to tuple of (n_slots * count,) ndarray
        Constants of the cells of each kind, in chunks of eight, in float64 and float32.
    spacing : (3,) ndarray
        Edges, mm.
    is_bbar : bool
        Mean dilatation.
    """

    nodes: Nodes
    kinds: NDArray[np.uint8]
    cells: tuple[CellRuns, CellRuns, CellRuns]
    constants: NDArray[np.float64]
    data: dict[Any, tuple[NDArray[Any], ...]]
    spacing: NDArray[np.float64]
    is_bbar: bool

    def arguments(self, dtype: Any) -> tuple[Any, ...]:
        """Runs, layer pointers and constants of each kind, for the kernels."""
        parts: list[Any] = []
        for cells, data in zip(self.cells, self.data[dtype], strict=True):
            parts += [cells.runs, cells.layers, data]
        return tuple(parts)

    def product(self, x: NDArray[Any], out: NDArray[Any], slabs: NDArray[np.int64]) -> NDArray[Any]:
        """Out = K x, constraints ignored; x . K x plane by plane."""
        dtype = x.dtype.type
        none = np.zeros(0, dtype)
        products = np.zeros(len(self.nodes.planes) - 1, dtype)
        zero = dtype(0)
        bricks.sweep(
            bricks.PRODUCT, slabs, self.nodes.planes, self.nodes.largest_plane, x, none, none, out, zero, zero, zero,
            self.arguments(dtype), self.constants.astype(dtype), products,
        )  # fmt: skip
        return products

    def with_material(self, material: Material) -> VoxelOperator:
        """The same cells with other constants of the same kinds."""
        return replace(self, data=_pack(material, self.kinds, self.cells, self.spacing, is_bbar=self.is_bbar))


def _pack(
    material: Material,
    kinds: NDArray[np.uint8],
    cells: tuple[CellRuns, CellRuns, CellRuns],
    spacing: NDArray[np.float64],
    *,
    is_bbar: bool,
) -> dict[Any, tuple[NDArray[Any], ...]]:
    """Constants in chunks, in both precisions."""
    data: dict[Any, list[NDArray[Any]]] = {np.float64: [], np.float32: []}
    for kind, runs in enumerate(cells):
        if kind == bricks.ISOTROPIC:
            use = slice(None) if len(runs.slots) == len(kinds) else kinds == kind
            values = np.stack([material.lam[use], material.mu[use]], axis=1)
        else:
            matrices = material.matrices[kinds[material.general] == kind]
            values = _constants(kind, matrices, spacing, is_bbar=is_bbar)
        for dtype, arrays in data.items():
            out = np.zeros((runs.n_slots // 8, COUNTS[kind], 8), dtype)
            pack_constants(values, runs.slots, out)
            arrays.append(out.ravel())
    return {dtype: tuple(arrays) for dtype, arrays in data.items()}


def voxel_operator(
    active: NDArray[np.bool_],
    nodes: Nodes,
    number: NDArray[np.int32],
    material: Material,
    spacing: NDArray[np.float64],
    *,
    is_bbar: bool,
) -> VoxelOperator:
    """Operator of the active cells (nz, ny, nx); nodes and numbers as `fem.voxel_runs.number_nodes` gives them."""
    from fesolver.fem.voxel_runs import cell_runs

    kinds = cell_kinds(material)
    if kinds.any():
        box = np.full(active.shape, 255, dtype=np.uint8)
        box[active] = kinds
        cells = tuple(cell_runs(box == kind, number) for kind in range(3))
    else:
        empty = cell_runs(np.zeros_like(active), number)
        cells = (cell_runs(active, number), empty, empty)
    a, b, c = cells
    data = _pack(material, kinds, (a, b, c), spacing, is_bbar=is_bbar)
    return VoxelOperator(nodes, kinds, (a, b, c), brick_constants(spacing, is_bbar=is_bbar), data, spacing, is_bbar)
