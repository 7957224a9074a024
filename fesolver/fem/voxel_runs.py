"""The active part of a lattice as rows of neighbouring cells and nodes: cost and memory follow it, not its box.

Boxes are (nz, ny, nx), x fastest. Nodes are numbered z, y, x, only those of active cells, plane after plane: the order
in which `fem.voxel_mesh` numbers points.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.kernels.simd import LANES

__all__ = ["CellRuns", "NodeRuns", "Nodes", "cell_runs", "node_runs", "number_nodes"]

PADDING = 2 * LANES
"""Entries that kernels may touch past the last node."""


@dataclass(frozen=True)
class Nodes:
    """Nodes of the active cells.

    Parameters
    ----------
    planes : (nz + 2,) ndarray of int64
        First node of every node plane.
    count : int
        Nodes; vectors have `stride` entries per component.
    stride : int
        Nodes and padding.
    largest_plane : int
        Nodes of the largest plane and padding.
    """

    planes: NDArray[np.int64]
    count: int
    stride: int
    largest_plane: int


@dataclass(frozen=True)
class CellRuns:
    """Maximal rows of neighbouring cells along x.

    Parameters
    ----------
    runs : (n, 6) ndarray of int32
        First chunk of eight cells; cells; nodes at the first cell's edge (y, z) = (0, 0), (1, 0), (0, 1), (1, 1).
    layers : (nz + 1,) ndarray of int64
        First run of every cell layer.
    n_slots : int
        Cells and the padding of each run to whole chunks.
    slots : (n_cells,) ndarray of int32
        Place of each cell, cells in the order z, y, x.
    """

    runs: NDArray[np.int32]
    layers: NDArray[np.int64]
    n_slots: int
    slots: NDArray[np.int32]


@dataclass(frozen=True)
class NodeRuns:
    """Maximal rows of neighbouring nodes along x, and where their coarse nodes are.

    Parameters
    ----------
    runs : (n, 8) ndarray of int32
        First node, its x index, nodes, y index; the coarse node that x index 0 would have in the coarse rows (y, z)
        below and above: (low, low), (high, low), (low, high), (high, high).
    planes : (nz + 2,) ndarray of int64
        First run of every node plane.
    longest : int
        Nodes of the longest run.
    """

    runs: NDArray[np.int32]
    planes: NDArray[np.int64]
    longest: int


def number_nodes(active: NDArray[np.bool_]) -> tuple[Nodes, NDArray[np.int32]]:
    """Nodes of the active cells, and their numbers on the box (nz + 1, ny + 1, nx + 1), -1 where there is none."""
    nz, ny, nx = active.shape
    is_node = np.zeros((nz + 1, ny + 1, nx + 1), dtype=bool)
    along_x = np.zeros((nz, ny, nx + 1), dtype=bool)
    along_x[..., :-1] = active
    along_x[..., 1:] |= active
    along_y = np.zeros((nz, ny + 1, nx + 1), dtype=bool)
    along_y[:, :-1] = along_x
    along_y[:, 1:] |= along_x
    is_node[:-1] = along_y
    is_node[1:] |= along_y
    per_plane = is_node.sum(axis=(1, 2), dtype=np.int64)
    planes = np.concatenate([[0], np.cumsum(per_plane)])
    number = np.full(is_node.shape, -1, dtype=np.int32)
    number[is_node] = np.arange(planes[-1], dtype=np.int32)
    count = int(planes[-1])
    nodes = Nodes(planes, count, count + PADDING, int(per_plane.max(initial=0)) + PADDING)
    return nodes, number


def _row_starts(mask: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat index of the first entry, and length, of every maximal row of True along the last axis."""
    edge = np.zeros((*mask.shape[:-1], mask.shape[-1] + 1), dtype=bool)
    edge[..., 0] = mask[..., 0]
    np.not_equal(mask[..., 1:], mask[..., :-1], out=edge[..., 1:-1])
    edge[..., -1] = mask[..., -1]
    changes = np.flatnonzero(edge)
    starts, ends = changes[0::2], changes[1::2]
    width = mask.shape[-1] + 1
    return starts // width * mask.shape[-1] + starts % width, ends - starts


def cell_runs(cells: NDArray[np.bool_], number: NDArray[np.int32]) -> CellRuns:
    """Runs of a set of cells (nz, ny, nx); `number` as `number_nodes` gives it."""
    nz, ny, nx = cells.shape
    starts, lengths = _row_starts(cells)
    k, j, i = starts // (ny * nx), starts // nx % ny, starts % nx
    chunks = -(-lengths // LANES)
    first = np.concatenate([[0], np.cumsum(chunks)])
    runs = np.stack(
        [first[:-1], lengths, number[k, j, i], number[k, j + 1, i], number[k + 1, j, i], number[k + 1, j + 1, i]],
        axis=1,
    ).astype(np.int32)
    layers = np.searchsorted(k, np.arange(nz + 1))
    padding = np.concatenate([[0], np.cumsum(chunks * LANES - lengths)[:-1]]) if len(runs) else np.zeros(0, np.int64)
    slots = np.arange(int(lengths.sum()), dtype=np.int32) + np.repeat(padding.astype(np.int32), lengths)
    return CellRuns(runs, layers.astype(np.int64), int(first[-1]) * LANES, slots)


def node_runs(number: NDArray[np.int32], coarse_number: NDArray[np.int32]) -> NodeRuns:
    """Runs of the nodes, with their coarse rows."""
    planes, ny, nx = number.shape
    starts, lengths = _row_starts(number >= 0)
    k, j, i = starts // (ny * nx), starts // nx % ny, starts % nx
    low_j, high_j, low_k, high_k, at = j // 2, (j + 1) // 2, k // 2, (k + 1) // 2, i // 2
    coarse = [
        coarse_number[kk, jj, at] - at
        for kk, jj in ((low_k, low_j), (low_k, high_j), (high_k, low_j), (high_k, high_j))
    ]
    runs = np.stack([number.ravel()[starts], i, lengths, j, *coarse], axis=1).astype(np.int32)
    first = np.searchsorted(k, np.arange(planes + 1)).astype(np.int64)
    return NodeRuns(runs, first, int(lengths.max(initial=0)))
