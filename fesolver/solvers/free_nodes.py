"""Unknowns of an assembled solve: the nodes that are free to move, in an order of their own, and the matrix on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.constraints import RigidMap
from fesolver.fem.kernels import block_sparse, reduction
from fesolver.fem.problem import Problem
from fesolver.solvers.block_levels import PADDING, Blocks, none
from fesolver.solvers.free_blocks_kernels import block_sources, take_blocks

__all__ = ["FreeNodes", "free_blocks", "free_nodes", "rigid_matrix", "tie_matrix"]


@dataclass(frozen=True)
class FreeNodes:
    """Nodes with a free component, in the order of the solver.

    Parameters
    ----------
    order : (n,) ndarray of int64
        Their ids.
    is_fixed : (3 n,) ndarray of bool
        Components that are prescribed, tied, or nothing holds.
    starts, columns : ndarray
        Pattern of the matrix on them.
    upper_starts : (n + 1,) ndarray of int64
        Of its rows, on and right of the diagonal.
    sources : (k,) ndarray of int32
        Block of the whole stiffness that each block of the pattern is.
    size : float
        A length of the order of a cell, mm.
    number : (n_points,) ndarray of int32
        Place in `order`, -1 for the others.
    """

    order: NDArray[np.int64]
    number: NDArray[np.int32]
    is_fixed: NDArray[np.bool_]
    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    upper_starts: NDArray[np.int64]
    sources: NDArray[np.int32]
    size: float


def tie_matrix(problem: Problem) -> Any:
    """Displacement (3 n, 3 n) of all from that of all but the slaves of ties, scipy CSR; None without ties."""
    from scipy.sparse import csr_array

    if not problem.ties:
        return None
    n = problem.points.size
    is_free = np.ones(n, dtype=bool)
    is_free[[tie.dof for tie in problem.ties]] = False
    free = np.flatnonzero(is_free)
    rows = np.concatenate([free, *[np.full(len(tie.masters), tie.dof) for tie in problem.ties]])
    columns = np.concatenate([free, *[tie.masters for tie in problem.ties]])
    values = np.concatenate([np.ones(len(free)), *[tie.weights for tie in problem.ties]])
    return csr_array((values, (rows, columns)), shape=(n, n))


def rigid_matrix(problem: Problem, rigid: tuple[RigidMap, ...]) -> NDArray[np.float64]:
    """Displacement (3 n, r) by the free motions of all rigid bodies."""
    blocks = [np.zeros((problem.points.size, 0))]
    for body in rigid:
        block = np.zeros((len(problem.points), 3, len(body.free)))
        block[body.body.points] = body.matrix
        blocks.append(block.reshape(problem.points.size, -1))
    return np.concatenate(blocks, axis=1)


def free_nodes(problem: Problem, K: Any) -> FreeNodes:
    """Nodes with a free component, neighbours close to each other, and the pattern of the matrix on them.

    Parameters
    ----------
    problem : Problem
    K : scipy.sparse.bsr_array
        The whole stiffness, blocks (3, 3); its pattern alone is read.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    n = len(problem.points)
    is_fixed = np.zeros((n, 3), dtype=bool)
    is_fixed.ravel()[problem.prescribed_dofs] = True
    is_fixed.ravel()[[tie.dof for tie in problem.ties]] = True
    for body in problem.rigid_bodies:
        is_fixed[body.points] = True
    free = np.flatnonzero(~is_fixed.all(axis=1))
    graph = csr_array((np.ones(len(K.indices), np.int8), K.indices, K.indptr), shape=(n, n))[free][:, free]
    order = free[reverse_cuthill_mckee(graph, symmetric_mode=True)].astype(np.int64) if len(free) else free
    number = np.full(n, -1, np.int32)
    number[order] = np.arange(len(order))
    starts = np.empty(len(order) + 1, np.int64)
    count = reduction.free_pattern(K.indptr, K.indices, order, number, starts, none(np.int32))
    columns = np.empty(count, np.int32)
    reduction.free_pattern(K.indptr, K.indices, order, number, starts, columns)
    is_upper = columns >= np.repeat(np.arange(len(order)), np.diff(starts))
    return FreeNodes(
        order=order,
        number=number,
        is_fixed=is_fixed[order].ravel(),
        starts=starts,
        columns=columns,
        upper_starts=np.concatenate([[0], np.cumsum(is_upper, dtype=np.int64)])[starts],
        sources=block_sources(K, order),
        size=_size(problem.points[order], starts, columns),
    )


def free_blocks(nodes: FreeNodes, K: Any, *, has_own_pattern: bool) -> tuple[Blocks, NDArray[np.float64]]:
    """The matrix on free nodes in float32, and its upper half in float64.

    Parameters
    ----------
    nodes : FreeNodes
        Of a stiffness with the pattern of `K`.
    K : scipy.sparse.bsr_array
        The whole stiffness, N/mm.
    has_own_pattern : bool
        Whether nothing but cells and members is in it.

    Notes
    -----
    A stiffness with the pattern of its mesh alone is copied from known places; with ties and elements it is searched.
    """
    upper = np.zeros(9 * int(nodes.upper_starts[-1]) + PADDING)
    if has_own_pattern:
        values = np.zeros(9 * len(nodes.columns) + PADDING, np.float32)
        take_blocks(
            K.data, nodes.sources, nodes.starts, nodes.columns, nodes.is_fixed, nodes.upper_starts, values, upper
        )
        return Blocks(3, nodes.starts, nodes.columns, values), upper
    exact = np.zeros(9 * len(nodes.columns) + PADDING)
    reduction.free_values(
        K.indptr, K.indices, K.data, nodes.order, nodes.number, nodes.is_fixed, nodes.starts, nodes.columns, exact
    )
    starts, columns = np.empty_like(nodes.starts), np.empty(nodes.upper_starts[-1], np.int32)
    block_sparse.upper_part(3, nodes.starts, nodes.columns, exact, starts, columns, upper)
    return Blocks(3, nodes.starts, nodes.columns, exact.astype(np.float32)), upper


def _size(places: NDArray[np.float64], starts: NDArray[np.int64], columns: NDArray[np.int32]) -> float:
    """A length, mm, of the order of a cell: the median distance of some thousand nodes from their neighbours."""
    some = np.arange(0, len(places), max(1, len(places) // 4096))
    count = starts[some + 1] - starts[some]
    own = np.repeat(some, count)
    at = np.arange(len(own)) + np.repeat(starts[some] - (np.cumsum(count) - count), count)
    apart = np.linalg.norm(places[columns[at]] - places[own], axis=1)
    return float(np.median(apart[apart > 0.0])) if apart.any() else 1.0
