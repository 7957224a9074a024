"""The first coarse grid of a network: nodes with a copy for every piece of material, and its Galerkin matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.kernels import pieces
from fesolver.fem.moments import child_interpolation
from fesolver.fem.threads import threads_for
from fesolver.fem.voxel_operator import COUNTS, VoxelOperator, slabs_for, unit_matrices
from fesolver.fem.voxel_runs import Nodes
from fesolver.solvers.block_levels import PADDING, BlockLevel, Blocks
from fesolver.solvers.voxel_grids import Grid, Topology

__all__ = ["Coarsening", "Pieces", "assemble_pieces", "find_pieces", "is_network"]

Coarsening = Literal["auto", "geometric", "aggregation"]

NETWORK_FILL = 0.6
"""Cells of a network have, on average, less of their block of 4 x 4 x 4 cells filled."""

NETWORK_NODES = 3000
"""Smaller regions are never taken as networks: whatever their iterations, they take no time."""

F32 = np.float32
TABLES = (pieces.CORNER_COUNT, pieces.CORNERS, pieces.WEIGHT)


def is_network(active: NDArray[np.bool_], n_nodes: int) -> bool:
    """Whether trilinear functions on coarse cells suit the active cells (nz, ny, nx) badly.

    Notes
    -----
    The measure is how full the 4 x 4 x 4 block around a cell is, averaged over the cells. Networks of 14 to 20 %
    volume have 0.38 to 0.56 and take 80 to 270 iterations with geometric coarse grids, 25 to 28 with aggregation; from
    30 % on (0.57 to 0.73) both are quick; segments, vertebrae and blocks have 0.8 and more.
    """
    if n_nodes < NETWORK_NODES:
        return False
    box = np.zeros([-(-n // 4) * 4 for n in active.shape], dtype=bool)
    box[tuple(slice(n) for n in active.shape)] = active
    nz, ny, nx = (n // 4 for n in box.shape)
    cells = box.reshape(nz, 4, ny, 4, nx, 4).sum(axis=5, dtype=np.uint8).sum(axis=(1, 3), dtype=np.int64)
    return float((cells**2).sum()) < NETWORK_FILL * 64.0 * float(cells.sum())


@dataclass(frozen=True)
class Pieces:
    """Parents of 2 x 2 x 2 cells, their nodes, and where the fine nodes are in them.

    Parameters
    ----------
    shape : tuple of int
        Fine cells along z, y, x.
    masks : (nz, ny, nx) ndarray of uint8
        Active cells of every parent, by bits.
    where : (n, 3) ndarray of int32
        Parents that hold any (z, y, x).
    layers : (nz + 1,) ndarray of int64
        First of them in every layer.
    corners : (n, 8) ndarray of int32
        Their nodes.
    places : (n_nodes, 3) ndarray of int64
        Nodes (x, y, z) on the coarse lattice.
    nodes : Nodes
        The same, by planes.
    n_positions : int
        Places with a node; the others are copies.
    owner : (n_fine,) ndarray of int32
        See `fem.kernels.pieces.place_nodes`.
    slabs : (k + 1,) ndarray of int64
        Coarse node planes of each thread.
    starts, columns : ndarray
        Pattern of the matrix.
    """

    shape: tuple[int, ...]
    masks: NDArray[np.uint8]
    where: NDArray[np.int32]
    layers: NDArray[np.int64]
    corners: NDArray[np.int32]
    places: NDArray[np.int64]
    nodes: Nodes
    n_positions: int
    owner: NDArray[np.int32]
    slabs: NDArray[np.int64]
    starts: NDArray[np.int64]
    columns: NDArray[np.int32]

    def restrict(self, fine: Nodes, r: NDArray[np.float32], b: NDArray[np.float32]) -> None:
        """Set b = P^T r, from the fine nodes' components to the coarse nodes."""
        pieces.restrict_pieces(self.slabs, fine.planes, self.nodes.planes, self.owner, self.corners, *TABLES, r, b)

    def prolong(self, e: NDArray[np.float32], scaling: NDArray[np.float32], x: NDArray[np.float32]) -> None:
        """Add P e to x where the scaling is not zero."""
        pieces.prolong_pieces(self.owner, self.corners, *TABLES, e, scaling, x)

    def active(self) -> NDArray[np.bool_]:
        """The active cells."""
        bits = np.unpackbits(self.masks[..., None], axis=3, bitorder="little").astype(bool)
        nz, ny, nx = self.masks.shape
        box = bits.reshape(nz, ny, nx, 2, 2, 2).transpose(0, 3, 1, 4, 2, 5).reshape(2 * nz, 2 * ny, 2 * nx)
        return np.ascontiguousarray(box[tuple(slice(n) for n in self.shape)])

    @property
    def n_bytes(self) -> int:
        """Memory kept."""
        return sum(v.nbytes for v in vars(self).values() if isinstance(v, np.ndarray))


def find_pieces(active: NDArray[np.bool_], number: NDArray[np.int32], n_fine: int, n_threads: int) -> Pieces:
    """Pieces of the active cells (nz, ny, nx); number (nz + 1, ...): the fine nodes."""
    nz, ny, nx = ((n + 1) // 2 for n in active.shape)
    masks = np.zeros((nz, ny, nx), np.uint8)
    pieces.parent_masks(active, masks)
    where = np.argwhere(masks).astype(np.int32)
    parent = np.full(masks.shape, -1, np.int32)
    parent[masks > 0] = np.arange(len(where), dtype=np.int32)
    corners = np.empty((len(where), 8), np.int32)
    planes, places = np.empty(nz + 2, np.int64), np.empty((8 * len(where), 3), np.int32)
    count, positions = pieces.number_copies(
        masks, parent, pieces.NODE_MASKS, pieces.SHARED, pieces.SHIFTS, corners, planes, places
    )
    owner = np.empty(n_fine, np.int32)
    pieces.place_nodes(masks, parent, pieces.NODE_MASKS, number, owner)
    starts = np.empty(count + 1, np.int64)
    n_blocks = pieces.row_pattern(corners, count, starts, np.zeros(0, np.int32))
    columns = np.empty(n_blocks, np.int32)
    pieces.row_pattern(corners, count, starts, columns)
    nodes = Nodes(planes, count, count, int(np.diff(planes).max(initial=0)))
    return Pieces(
        active.shape, masks, where, np.searchsorted(where[:, 0], np.arange(nz + 1)).astype(np.int64), corners,
        places[:count].astype(np.int64), nodes, positions, owner,
        slabs_for(nodes, threads_for(3 * count, n_threads)), starts, columns,
    )  # fmt: skip


def assemble_pieces(
    made: Pieces, fine: Grid, top: Topology, rigid_matrix: NDArray[np.float64], n_threads: int
) -> tuple[BlockLevel, Blocks]:
    """The first coarse grid, held fine unknowns left out, with the rigid motions there; and its Galerkin matrix."""
    operator = fine.cells
    assert isinstance(operator, VoxelOperator)
    T = child_interpolation()
    units, products = [], []
    for kind in range(3):
        is_used = len(operator.cells[kind].slots) > 0
        unit = unit_matrices(kind, fine.spacing, is_bbar=operator.is_bbar) if is_used else np.zeros((0, 24, 24))
        product = np.zeros((8, COUNTS[kind] if is_used else 0, 576))
        if is_used:
            pieces.fine_products(unit, T, product)
        units.append(unit)
        products.append(product)
    values = np.zeros(9 * len(made.columns) + PADDING, F32)
    pieces.assemble(
        made.slabs, made.layers, made.where, made.masks, top.kind, top.slot, top.number, fine.fixed.reshape(3, -1),
        operator.data[np.float64], tuple(units), tuple(products), T, made.corners, made.starts, made.columns, values,
    )  # fmt: skip
    spacing = 2.0 * fine.spacing
    full = Blocks(3, made.starts, made.columns, values)
    level = BlockLevel.make(full, made.places * spacing, float(np.cbrt(np.prod(spacing))), n_threads)
    level.rigid_matrix = rigid_matrix
    _carry_rigid(made, fine, level)
    return level, full


def _carry_rigid(made: Pieces, fine: Grid, level: BlockLevel) -> None:
    """Carry the rigid motions' columns to the coarse nodes."""
    if not len(fine.rigid_nodes):
        return
    parent, place = made.owner[fine.rigid_nodes] >> 5, made.owner[fine.rigid_nodes] & 31
    at = np.stack([place % 3, place // 3 % 3, place // 9], axis=1)
    C = np.zeros((made.nodes.count, *fine.rigid_columns.shape[1:]))
    for corner in range(8):
        bits = np.array([corner & 1, corner >> 1 & 1, corner >> 2])
        weights = np.prod(np.where(bits, at, 2 - at) / 2.0, axis=1)
        np.add.at(C, made.corners[parent, corner], weights[:, None, None] * fine.rigid_columns)
    level.rigid_nodes = np.flatnonzero(C.any(axis=(1, 2)))
    level.rigid_columns = C[level.rigid_nodes]
