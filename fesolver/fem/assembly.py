"""Sparse stiffness and the reduction matrix of the constraints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.cell_tables import cell_constants, cell_tables, refuse_inverted
from fesolver.fem.constraints import rigid_force, rigid_maps
from fesolver.fem.problem import Loads, Problem
from fesolver.fem.threads import kernel_threads

__all__ = [
    "StiffnessPattern",
    "assemble_stiffness",
    "free_dofs",
    "nearest_unknowns",
    "reduced_force",
    "reduction_matrix",
    "stiffness_pattern",
]


@dataclass(frozen=True)
class StiffnessPattern:
    """Which blocks (3, 3) of the stiffness are there, and where each cell's go: valid while cells and members stay.

    Parameters
    ----------
    starts : (n_points + 1,) ndarray of int64
        First block of every row of blocks.
    columns : (n_blocks,) ndarray of int32
        Point of every block, ascending in a row; the diagonal is always there.
    cells : (n_cells, k) ndarray of int64
        The cells it was made for.
    slots : (n_cells, k, k) ndarray of int32
        Block of every pair of a cell's nodes.
    owner : (n_points,) ndarray of int32
        Slab of points that each row belongs to; a slab is summed by one thread.
    slab_starts, slab_cells : (n_slabs + 1,) ndarray of int64, (m,) ndarray of int32
        Cells that touch each slab, ascending.
    member_ends : (n_members, 2) ndarray of int64
        Points of all members of the problem, -1 for ground.
    member_slots : (n_members, 4) ndarray of int64
        Their blocks (first, first), (first, second), (second, first), (second, second); -1 for none.
    """

    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    cells: NDArray[np.int64]
    slots: NDArray[np.int32]
    owner: NDArray[np.int32]
    slab_starts: NDArray[np.int64]
    slab_cells: NDArray[np.int32]
    member_ends: NDArray[np.int64]
    member_slots: NDArray[np.int64]

    @property
    def n_blocks(self) -> int:
        """Blocks in the matrix."""
        return len(self.columns)


def stiffness_pattern(problem: Problem, *, n_slabs: int | None = None) -> StiffnessPattern:
    """Sparsity of the problem's stiffness, and what makes it quick to assemble again with other moduli or points.

    Parameters
    ----------
    problem : Problem
        Any element; only points, cells and members are looked at.
    n_slabs : int, optional
        Parts that can be summed at the same time, one per thread by default. The sums do not depend on it.

    Returns
    -------
    StiffnessPattern

    Raises
    ------
    InputError
        If cells or members name points that do not exist, or there are too many blocks for 32-bit places.
    """
    from numba import get_num_threads

    from fesolver.fem.kernels.scatter import list_incidences, neighbour_rows

    cell_tables(problem)  # refuses cells of another shape
    n_points, ends = len(problem.points), _member_ends(problem)
    cells = np.ascontiguousarray(problem.cells, dtype=np.int64)
    _check_ids(cells, n_points)
    links, linked = _links(ends, n_points)
    with kernel_threads():
        n_threads = get_num_threads()
        begins, incidences = np.empty(n_points + 1, np.int64), np.empty(cells.size, np.int64)
        list_incidences(cells, begins, incidences)
        starts = np.zeros(n_points + 1, np.int64)
        bounds = np.searchsorted(begins, np.linspace(0, cells.size, n_threads + 1)).astype(np.int64)
        bounds[[0, -1]] = 0, n_points
        rows = (cells, begins, incidences, links, linked, bounds, starts)
        neighbour_rows(*rows, np.empty(0, np.int32), np.empty((0, 0, 0), np.int32))
        np.cumsum(starts, out=starts)
        if starts[-1] >= 2**31:
            raise InputError(f"the stiffness would have {starts[-1]:,} blocks, more than 2^31", fix="coarsen the mesh")
        columns, slots = np.empty(starts[-1], np.int32), np.empty((*cells.shape, cells.shape[1]), np.int32)
        neighbour_rows(*rows, columns, slots)
        slabs = _slabs(problem.points, cells, n_slabs or n_threads)
    return StiffnessPattern(
        starts, columns, problem.cells, slots, *slabs, ends, _member_slots(starts, columns, ends)
    )  # fmt: skip


def assemble_stiffness(problem: Problem, pattern: StiffnessPattern | None = None) -> Any:
    """Stiffness of the unconstrained mesh with its members.

    Parameters
    ----------
    problem : Problem
        Any element; constraints are not looked at.
    pattern : StiffnessPattern, optional
        Of this problem, or of one with the same cells and members.

    Returns
    -------
    scipy.sparse.bsr_array (3 n_points, 3 n_points)
        N/mm, blocks (3, 3), both triangles, symmetric to the bit; degree of freedom 3 * point + component.

    Raises
    ------
    InputError
        If a cell is inverted or flat, or the pattern belongs to other cells or members.

    Notes
    -----
    Each block is summed in ascending order of cells by one thread: the same bits for any number of threads.
    """
    from scipy.sparse import bsr_array

    from fesolver.fem.kernels.scatter import sum_stiffness

    if pattern is None:
        pattern = stiffness_pattern(problem)
    else:
        _check_pattern(problem, pattern)
    tables, constants = cell_tables(problem), cell_constants(problem.elasticity)
    det, blocks = np.empty(len(problem.cells)), np.zeros((pattern.n_blocks, 9))
    points, cells = np.ascontiguousarray(problem.points), np.ascontiguousarray(problem.cells)
    with kernel_threads():
        sum_stiffness(
            points, cells, *tables.arrays, *constants.arrays,
            pattern.owner, pattern.slab_starts, pattern.slab_cells, pattern.slots, blocks, det,
        )  # fmt: skip
    refuse_inverted(problem, det)
    _add_members(problem, pattern, blocks)
    n = problem.points.size
    return bsr_array((blocks.reshape(-1, 3, 3), pattern.columns, pattern.starts.astype(np.int32)), shape=(n, n))


def _check_ids(cells: NDArray[np.int64], n_points: int) -> None:
    """Raise `InputError` where cells name points that do not exist."""
    low, high = cells.min(initial=0), cells.max(initial=0)
    if low < 0 or high >= n_points:
        raise InputError(f"cells name points {low} to {high}, there are {n_points}")


def _check_pattern(problem: Problem, pattern: StiffnessPattern) -> None:
    """Raise `InputError` unless the pattern belongs to the problem's cells and members."""
    is_same = pattern.cells is problem.cells or np.array_equal(pattern.cells, problem.cells)
    if not is_same or len(pattern.owner) != len(problem.points):
        raise InputError(
            "the sparsity pattern belongs to another mesh", fix="make it again: stiffness_pattern(problem)"
        )
    if not np.array_equal(pattern.member_ends, _member_ends(problem)):
        raise InputError("the sparsity pattern belongs to other members", fix="make it again")


def _member_ends(problem: Problem) -> NDArray[np.int64]:
    """Points (n_members, 2) of all members, in their order; refuses points that do not exist."""
    ends = np.concatenate([np.zeros((0, 2), np.int64), *(m.ends for m in problem.members)]).astype(np.int64)
    if len(ends) and (ends[:, 0].min() < 0 or ends[:, 1].min() < -1 or ends.max() >= len(problem.points)):
        raise InputError("a member names a point that does not exist", fix="only the second end may be -1, ground")
    return ends


def _links(ends: NDArray[np.int64], n_points: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Points that members tie to each point: starts (n_points + 1,) and the points."""
    pairs = ends[ends[:, 1] >= 0]
    here, there = np.concatenate([pairs[:, 0], pairs[:, 1]]), np.concatenate([pairs[:, 1], pairs[:, 0]])
    counts = np.bincount(here, minlength=n_points)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), there[np.argsort(here, kind="stable")]


def _slabs(
    points: NDArray[np.float64], cells: NDArray[np.int64], n_slabs: int
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int32]]:
    """Points cut across their longest axis into slabs of as many cells: owner, starts and cells of each slab."""
    from fesolver.fem.kernels.scatter import list_slabs

    along = points[:, int(np.argmax(np.ptp(points, axis=0)))]
    borders = np.quantile(along[cells[:, 0]], np.arange(1, n_slabs) / n_slabs)
    owner = np.searchsorted(borders, along, side="right").astype(np.int32)
    starts = np.zeros(n_slabs + 1, np.int64)
    list_slabs(cells, owner, starts, np.empty(0, np.int32))
    np.cumsum(starts, out=starts)
    listed = np.empty(starts[-1], np.int32)
    list_slabs(cells, owner, starts, listed)
    return owner, starts, listed


def _member_slots(starts: NDArray[np.int64], columns: NDArray[np.int32], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Blocks (n_members, 4) of all members."""
    slots = np.full((len(ends), 4), -1, np.int64)
    if not len(ends):
        return slots
    n_points = len(starts) - 1
    keys = np.repeat(np.arange(n_points, dtype=np.int64), np.diff(starts)) * n_points + columns
    for place, (i, j) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        is_there = (ends[:, i] >= 0) & (ends[:, j] >= 0)
        slots[is_there, place] = np.searchsorted(keys, ends[is_there, i] * n_points + ends[is_there, j])
    return slots


def _add_members(problem: Problem, pattern: StiffnessPattern, blocks: NDArray[np.float64]) -> None:
    """Add the members' stiffness to the blocks, one member after the other."""
    if not problem.members:
        return
    stiffness = np.concatenate([m.stiffness for m in problem.members]).reshape(-1, 9)
    for place, sign in enumerate((1.0, -1.0, -1.0, 1.0)):
        is_there = pattern.member_slots[:, place] >= 0
        np.add.at(blocks, pattern.member_slots[is_there, place], sign * stiffness[is_there])


def free_dofs(problem: Problem) -> NDArray[np.int64]:
    """Ascending degrees of freedom that are neither prescribed, nor in a rigid body, nor the slave of a tie."""
    is_free = np.ones(problem.points.size, dtype=bool)
    is_free[problem.prescribed_dofs] = False
    for body in problem.rigid_bodies:
        is_free.reshape(-1, 3)[body.points] = False
    is_free[[tie.dof for tie in problem.ties]] = False
    return np.flatnonzero(is_free)


def reduction_matrix(problem: Problem) -> Any:
    """P in u = u_given + P q, scipy CSR (3 n_points, n_free): free components first, then the rigid bodies' motions."""
    from scipy.sparse import coo_array, csr_array

    free, n = free_dofs(problem), problem.points.size
    n_free = len(free)
    rows, columns, values = [free], [np.arange(n_free)], [np.ones(n_free)]
    for rigid in rigid_maps(problem):
        m = len(rigid.free)
        dofs = 3 * rigid.body.points[:, None] + np.arange(3)
        rows.append(np.repeat(dofs.ravel(), m))
        columns.append(np.tile(np.arange(n_free, n_free + m), dofs.size))
        values.append(rigid.matrix.ravel())
        n_free += m
    P: Any = coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(n, n_free))
    P = P.tocsr()
    if problem.ties:
        tie_rows = np.repeat([tie.dof for tie in problem.ties], [len(tie.masters) for tie in problem.ties])
        masters = np.concatenate([tie.masters for tie in problem.ties])
        weights = np.concatenate([tie.weights for tie in problem.ties])
        P = P + csr_array((weights, (tie_rows, masters)), shape=(n, n)) @ P
    return P


def reduced_force(problem: Problem, P: Any, force: NDArray[np.float64], loads: Loads) -> NDArray[np.float64]:
    """Forces (n_free,) on the unknowns of `reduction_matrix`: P^T of nodal forces (n_points, 3), N, and rigid loads."""
    out, maps = np.asarray(P.T @ force.ravel()), rigid_maps(problem)
    at = len(out) - sum(len(rigid.free) for rigid in maps)
    for rigid in maps:
        out[at : at + len(rigid.free)] += rigid_force(rigid, loads.rigid.get(rigid.body.name))
        at += len(rigid.free)
    return out


def nearest_unknowns(P: Any, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unknowns q of `reduction_matrix` whose displacement P q is nearest to u (3 n_points, ...), least squares."""
    from scipy.sparse.linalg import splu

    return np.asarray(splu((P.T @ P).tocsc()).solve(P.T @ u))
