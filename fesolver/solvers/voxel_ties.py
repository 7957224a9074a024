"""Linear ties in the voxel solver: slaves are eliminated, and their stiffness goes to their masters as a sparse matrix.

With u_s = T u_m the reduced operator is K with the slaves held, plus X = K_fs T + T^T K_sf + T^T K_ss T, sparse and
confined to the masters and the neighbours of the slaves. Coarse grids carry it as P^T X P.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.voxel_operator import COUNTS, VoxelOperator, unit_matrices

__all__ = ["Coupling", "Ties", "coarse_coupling", "tie_coupling"]


@dataclass(frozen=True)
class Ties:
    """Slaves and masters, flat ids in the core's vectors.

    Parameters
    ----------
    slaves : (s,) ndarray of int64
        Each once.
    masters : (m,) ndarray of int64
        Each once.
    weights : (s, m) sparse matrix
        u[slaves] = weights @ u[masters].
    """

    slaves: NDArray[np.int64]
    masters: NDArray[np.int64]
    weights: Any


@dataclass(frozen=True)
class Coupling:
    """A sparse symmetric matrix on some unknowns.

    Parameters
    ----------
    ids : (n,) ndarray of int64
        Flat ids.
    matrix : (n, n) sparse matrix
        N/mm.
    """

    ids: NDArray[np.int64]
    matrix: Any


def tie_coupling(
    ties: Ties, operator: VoxelOperator, active: NDArray[np.bool_], number: NDArray[np.int32], fixed: NDArray[np.uint8]
) -> Coupling:
    """X on the free unknowns of the finest grid; fixed (3 * stride,) is 1 at slaves and all else that is held."""
    from scipy.sparse import coo_array, csr_array

    stride = operator.nodes.stride
    flat = np.flatnonzero(number.ravel() >= 0)
    at = np.stack(np.unravel_index(flat[np.unique(ties.slaves % stride)], number.shape), axis=1)
    touched = np.zeros_like(active)
    for bits in range(8):
        place = at - np.array([bits >> 2, (bits >> 1) & 1, bits & 1])
        inside = np.all((place >= 0) & (place < active.shape), axis=1)
        touched[tuple(place[inside].T)] = True
    touched &= active
    order = np.cumsum(active.ravel()) - 1
    k, j, i = np.nonzero(touched)
    cells = order[np.flatnonzero(touched.ravel())]
    nodes = np.stack([number[k + (a >> 2), j + ((a >> 1) & 1), i + (a & 1)] for a in range(8)], axis=1).astype(np.int64)
    dofs = (nodes[:, :, None] + stride * np.arange(3)).reshape(len(cells), 24)
    matrices = np.zeros((len(cells), 24, 24))
    kinds = operator.kinds
    for kind, (runs, data) in enumerate(zip(operator.cells, operator.data[np.float64], strict=True)):
        here = np.flatnonzero(kinds[cells] == kind)
        if len(here):
            slots = runs.slots[np.searchsorted(np.flatnonzero(kinds == kind), cells[here])]
            constants = data.reshape(-1, COUNTS[kind], 8)[slots // 8, :, slots % 8]
            units = unit_matrices(kind, operator.spacing, is_bbar=operator.is_bbar)
            matrices[here] = np.einsum("nq,qab->nab", constants, units)
    used, place = np.unique(np.concatenate([dofs.ravel(), ties.slaves, ties.masters]), return_inverse=True)
    local, slave_at, master_at = np.split(place, [dofs.size, dofs.size + len(ties.slaves)])
    local = local.reshape(dofs.shape)
    n = len(used)
    rows, columns = np.repeat(local, 24, axis=1).ravel(), np.tile(local, (1, 24)).ravel()
    K = coo_array((matrices.ravel(), (rows, columns)), shape=(n, n)).tocsr()
    weights = ties.weights.tocoo()
    T = coo_array((weights.data, (slave_at[weights.row], master_at[weights.col])), shape=(n, n)).tocsr()
    is_slave = np.zeros(n)
    is_slave[slave_at] = 1.0
    slaves = csr_array((is_slave, (np.arange(n), np.arange(n))), shape=(n, n))
    others = csr_array((1.0 - is_slave, (np.arange(n), np.arange(n))), shape=(n, n))
    mixed = others @ K @ slaves @ T
    X = mixed + mixed.T + T.T @ K @ T
    return _restricted(used, X, fixed)


def _restricted(ids: NDArray[np.int64], matrix: Any, fixed: NDArray[np.uint8]) -> Coupling:
    """Leave out held unknowns and empty rows."""
    matrix = matrix.tocsr()
    use = (fixed[ids] == 0) & (np.asarray(abs(matrix).sum(axis=1)).ravel() > 0)
    keep = np.flatnonzero(use)
    return Coupling(ids[keep], matrix[keep][:, keep].tocsr())


def coarse_coupling(
    fine: Coupling,
    nodes: NDArray[np.int64],
    weights: NDArray[np.float64],
    fine_stride: int,
    stride: int,
    fixed: NDArray[np.uint8],
) -> Coupling:
    """P^T X P; nodes, weights (n, 8): the coarse nodes that interpolate the nodes of the fine ids."""
    from scipy.sparse import coo_array

    component = fine.ids // fine_stride
    target = nodes + (component * stride)[:, None]
    use = weights > 0
    ids, place = np.unique(target[use], return_inverse=True)
    rows = np.repeat(np.arange(len(nodes)), use.sum(axis=1))
    P = coo_array((weights[use], (rows, place)), shape=(len(nodes), len(ids))).tocsr()
    return _restricted(ids, P.T @ fine.matrix @ P, fixed)
