"""Levels of smoothed aggregation below the first coarse grid of a network.

Trilinear functions on cells wider than a strut cannot bend with it. Aggregates follow the struts: strongly connected
nodes move as one rigid body, whose rotations bend a strut exactly, smoothed by one step of block Jacobi [1]_.

References
----------
.. [1] P. Vanek, J. Mandel, M. Brezina, Algebraic multigrid by smoothed aggregation for second and fourth order elliptic
   problems, Computing 56 (1996) 179-196.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.kernels import aggregation as kernels
from fesolver.fem.kernels import block_product, block_sparse
from fesolver.fem.threads import threads_for
from fesolver.solvers.block_levels import DEGREES, PADDING, BlockLevel, BlockLevels, Blocks, largest_eigenvalue, none
from fesolver.solvers.cycle_parts import SMOOTHING_RATIO, factorise

__all__ = ["build_levels"]

STRONG = 0.25
"""A block is strong from this part of the lesser of its rows' strongest blocks on."""

DROP = 1e-7
"""Scaled eigenvalues of diagonal blocks below it are round-off: functions of small aggregates may coincide."""

MAX_DENSE = 1500
"""Unknowns of the last level, solved densely."""

TOO_DENSE = 4000
"""Unknowns that are too many for that."""

F32 = np.float32


def build_levels(
    first: BlockLevel,
    full: Blocks,
    n_threads: int,
    degrees: tuple[int, ...] = DEGREES,
    ratio: float = SMOOTHING_RATIO,
) -> BlockLevels | None:
    """Levels below and with `first`, whose matrix is `full`; None where no small level can be reached.

    That is so for many parts that do not touch: each of them is an aggregate in the end.
    """
    from numba import set_num_threads

    levels = [first]
    while levels[-1].count > MAX_DENSE:
        level = levels[-1]
        set_num_threads(threads_for(level.count, n_threads))
        inverses = np.zeros(level.count * level.m)
        kernels.block_inverses(level.m, full.starts, full.columns, full.values, DROP, inverses)
        level.inverses = np.concatenate([inverses, np.zeros(PADDING)]).astype(F32)
        level.largest = largest_eigenvalue(level)
        coarse = _aggregate(level, full, inverses, n_threads)
        if coarse is None:
            break
        levels.append(coarse[0])
        full = coarse[1]
    if levels[-1].count > TOO_DENSE:
        return None
    return BlockLevels(levels, _factorise(levels[-1], full), n_threads, degrees, ratio)


def _aggregate(
    level: BlockLevel, full: Blocks, inverses: NDArray[np.float64], n_threads: int
) -> tuple[BlockLevel, Blocks] | None:
    """The next level and its matrix in float64; None where aggregates no longer make it much smaller."""
    m, n = level.m, len(level.starts) - 1
    starts, columns, values = full.starts, full.columns, full.values
    strength = np.empty(len(columns), F32)
    kernels.strengths(m, starts, columns, values, strength)
    group = np.empty(n, np.int32)
    n_groups = int(kernels.aggregate(starts, columns, strength, STRONG, group))
    if 6 * n_groups > 0.7 * level.count:
        return None
    members = np.bincount(group, minlength=n_groups)
    centres = np.stack([np.bincount(group, level.places[:, d], n_groups) / members for d in range(3)], axis=1)
    size = level.size * float(np.sqrt(n / n_groups))
    p_starts = np.empty(n + 1, np.int64)
    count = kernels.prolongation_pattern(starts, columns, group, n_groups, p_starts, none(np.int32))
    p_columns = np.empty(count, np.int32)
    kernels.prolongation_pattern(starts, columns, group, n_groups, p_starts, p_columns)
    P, damping = np.zeros(6 * m * count + PADDING, F32), 4.0 / 3.0 / (1.05 * level.largest)
    kernels.smooth_prolongation(
        m, starts, columns, values, inverses, damping, group, level.places, centres, size, level.size, p_starts,
        p_columns, P,
    )  # fmt: skip
    t_starts = np.empty(n_groups + 1, np.int64)
    t_rows = np.empty(count, np.int32)
    block_product.transpose_pattern(p_starts, p_columns, n_groups, t_starts, t_rows)
    level.p_starts, level.p_columns, level.prolongation = p_starts, p_columns, P
    level.p_slabs = _aggregate_slabs(t_starts, t_rows, threads_for(level.count, n_threads))
    below = _galerkin(full, level, t_starts, t_rows)
    coarse = BlockLevel.make(below, centres, size, n_threads)
    _carry_rigid(level, full, inverses, damping, coarse)
    return coarse, below


def _carry_rigid(
    level: BlockLevel, full: Blocks, inverses: NDArray[np.float64], damping: float, coarse: BlockLevel
) -> None:
    """Carry the rigid motions to the next level, smoothed as the aggregates' functions are.

    A body and what hangs on it move together without strain only if both are smoothed.
    """
    nodes, C, m = level.rigid_nodes, level.rigid_columns, level.m
    coarse.rigid_matrix = level.rigid_matrix
    if not len(nodes):
        return
    follow = -damping * np.einsum("qab,qbk->qak", inverses.reshape(-1, m, m)[nodes], C)
    pull = np.zeros((len(level.starts) - 1, m, C.shape[2]))
    pull[nodes] = C
    block_sparse.add_columns(m, full.starts, full.columns, full.values, nodes, follow, pull)
    block = np.einsum("qak,qal->kl", follow, C) + np.einsum("qak,qal->kl", pull[nodes], follow)
    coarse.rigid_matrix = level.rigid_matrix + 0.5 * (block + block.T)
    level.rigid_follow = follow
    moved = np.flatnonzero(pull.any(axis=(1, 2)))
    columns = np.zeros((len(coarse.starts) - 1, 6, C.shape[2]))
    block_sparse.restrict_columns(m, level.p_starts, level.p_columns, level.prolongation, moved, pull[moved], columns)
    coarse.rigid_nodes = np.flatnonzero(columns.any(axis=(1, 2)))
    coarse.rigid_columns = columns[coarse.rigid_nodes]


def _aggregate_slabs(t_starts: NDArray[np.int64], t_rows: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    """Aggregates of each of `count` threads, and the fine rows they touch."""
    ends = np.searchsorted(t_starts, t_starts[-1] * np.arange(count + 1) / count)
    ends[0], ends[-1] = 0, len(t_starts) - 1
    parts = [(a, b, t_rows[t_starts[a] : t_starts[b]]) for a, b in pairwise(ends) if a < b]
    return np.array([(a, b, int(rows.min()), int(rows.max()) + 1) for a, b, rows in parts], np.int64).reshape(-1, 4)


def _galerkin(full: Blocks, level: BlockLevel, t_starts: NDArray[np.int64], t_rows: NDArray[np.int32]) -> Blocks:
    """P^T A P in float64; t_starts, t_rows: fine nodes of every aggregate's functions."""
    n = len(t_starts) - 1
    pattern = (full.starts, full.columns, level.p_starts, level.p_columns, t_rows, t_starts)
    u_starts = np.empty(n + 1, np.int64)
    n_upper = block_product.product_pattern(*pattern, u_starts, none(np.int32))
    u_columns = np.empty(n_upper, np.int32)
    block_product.product_pattern(*pattern, u_starts, u_columns)
    upper = np.zeros(36 * n_upper + PADDING)
    block_product.galerkin_product(
        full.m, full.starts, full.columns, full.values, level.p_starts, level.p_columns, level.prolongation, u_starts,
        u_columns, upper,
    )  # fmt: skip
    starts = np.empty(n + 1, np.int64)
    n_full = 2 * n_upper - n
    columns, values = np.empty(n_full, np.int32), np.zeros(36 * n_full + PADDING)
    block_product.mirror(u_starts, u_columns, upper, starts, columns, values)
    return Blocks(6, starts, columns, values)


def _factorise(level: BlockLevel, full: Blocks) -> NDArray[np.float64]:
    """Cholesky factor of the last level with the rigid motions."""
    n, r = level.count, len(level.rigid_matrix)
    dense = np.zeros((n + r, n + r))
    block_sparse.to_dense(full.m, full.starts, full.columns, full.values, dense)
    if r:
        C = np.zeros((n // level.m, level.m, r))
        C[level.rigid_nodes] = level.rigid_columns
        dense[:n, n:] = C.reshape(n, r)
        dense[n:, :n] = dense[:n, n:].T
        dense[n:, n:] = level.rigid_matrix
    dense = 0.5 * (dense + dense.T)
    # A function that nothing is left of has a zero row: the factor must pass over it.
    diagonal = dense.diagonal().copy()
    floor = 1e-13 * float(diagonal.max(initial=0.0)) or 1.0
    np.fill_diagonal(dense, np.where(diagonal > floor, diagonal, 1.0))
    return factorise(dense)
