"""The multigrid hierarchy of a voxel problem and its V-cycle, in float32.

Solid regions have geometric coarse grids (`solvers.voxel_grids`). A network of struts has the levels of
`solvers.voxel_pieces` and `solvers.aggregation` below the finest grid instead: far fewer iterations for more set-up.

The finest space is {nodes that are free} + {free motions of the rigid bodies}. The rigid motions are carried unchanged
to every grid, so each coarse space lies in the finest one and the Galerkin operators are exact. Chebyshev polynomials
of the Jacobi-scaled operator smooth the nodes; the coarsest grid, rigid motions included, is solved by Cholesky.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.kernels import bricks, galerkin, vectors
from fesolver.fem.threads import threads_for
from fesolver.fem.voxel_operator import COUNTS, VoxelOperator
from fesolver.fem.voxel_runs import number_nodes
from fesolver.solvers.aggregation import build_levels
from fesolver.solvers.block_levels import BlockLevels
from fesolver.solvers.cycle_parts import chebyshev_weights, factorise
from fesolver.solvers.voxel_grids import (
    CoarseCells,
    Grid,
    Topology,
    coarsen,
    fill_cells,
    finest_grid,
    finish_grid,
    stencil,
)
from fesolver.solvers.voxel_pieces import Coarsening, Pieces, assemble_pieces, find_pieces, is_network
from fesolver.solvers.voxel_ties import Coupling, coarse_coupling

__all__ = ["Hierarchy", "build_hierarchy", "update_hierarchy"]

DEGREE = 3
"""Chebyshev degree per smoothing."""

FINEST_DEGREE = 3
"""The same on the finest grid."""

NETWORK_DEGREE = 2
"""The same where the next level is that of a network."""

MAX_DENSE = 900
"""Unknowns of the coarsest grid, solved densely."""

F32 = np.float32
WEIGHTS = np.array([1.0, 0.5, 0.25], F32)


@dataclass
class Hierarchy:
    """Grids from fine to coarse, the coarsest factorised."""

    grids: list[Grid]
    n_threads: int
    factor: NDArray[np.float64]
    free: NDArray[np.int64]
    pieces: Pieces | None = None
    blocks: BlockLevels | None = None

    @property
    def n_rigid(self) -> int:
        """Free motions of rigid bodies."""
        return int(self.grids[0].rigid_columns.shape[2])

    @property
    def finest_degree(self) -> int:
        """Chebyshev degree on the finest grid."""
        return FINEST_DEGREE if self.blocks is None else NETWORK_DEGREE

    def cycle(self, b_rigid: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """One V-cycle from zero on the finest grid's `b`, which is spoiled: x on the nodes and on the rigid motions."""
        return self._cycle(0, b_rigid)

    def _cycle(self, at: int, b_rigid: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        from numba import set_num_threads
        from scipy.linalg import cho_solve

        grid = self.grids[at]
        if at == len(self.grids) - 1 and self.blocks is None:
            rhs = np.concatenate([grid.b[self.free].astype(np.float64), b_rigid])
            solution = cho_solve((self.factor, True), rhs, check_finite=False)
            grid.x[self.free] = solution[: len(self.free)]
            return grid.x, solution[len(self.free) :]
        n_threads = threads_for(3 * grid.nodes.count, self.n_threads)
        set_num_threads(n_threads)
        steps = chebyshev_weights(grid.largest, DEGREE if at else self.finest_degree)
        x, y = grid.x, grid.y
        vectors.scale_by(grid.scaling, grid.b, F32(steps[0][2]), x)
        # The first of these reads y with weight 0: the iterate before the first is zero.
        for n, (c0, c1, c2) in enumerate(steps[1:]):
            grid.sweep(bricks.SMOOTH, x, grid.b, y, (c0, c1 if n else 0.0, c2))
            x, y = y, x
        grid.sweep(bricks.RESIDUAL, x, grid.b, y)
        y[grid.held] = 0
        self._restrict(at, y)
        r_rigid = b_rigid
        if len(grid.rigid_nodes):
            values = x.reshape(3, -1)[:, grid.rigid_nodes].T.astype(np.float64)
            r_rigid = b_rigid - (grid.rigid_columns * values[:, :, None]).sum(axis=(0, 1))
        e, x_rigid = self._cycle(at + 1, r_rigid) if self.blocks is None else self.blocks.cycle(r_rigid)
        set_num_threads(n_threads)
        self._prolong(at, e, x)
        if len(grid.rigid_nodes):
            grid.b.reshape(3, -1)[:, grid.rigid_nodes] -= (grid.rigid_columns @ x_rigid).T
            grid.b[grid.held] = 0
        for c0, c1, c2 in steps:
            grid.sweep(bricks.SMOOTH, x, grid.b, y, (c0, c1, c2))
            x, y = y, x
        return x, x_rigid

    def _restrict(self, at: int, r: NDArray[np.float32]) -> None:
        """The next level's right-hand side."""
        grid = self.grids[at]
        if self.blocks is not None and self.pieces is not None:
            self.pieces.restrict(grid.nodes, r, self.blocks.levels[0].b)
            return
        coarse, runs = self.grids[at + 1], grid.fine_runs
        assert runs is not None
        galerkin.restrict(
            r, coarse.b, runs.runs, runs.planes, len(grid.nodes.planes) - 1, coarse.nodes.planes,
            coarse.nodes.largest_plane, runs.longest, WEIGHTS,
        )  # fmt: skip
        coarse.b[coarse.held] = 0

    def _prolong(self, at: int, e: NDArray[np.float32], x: NDArray[np.float32]) -> None:
        """Add what the next level found to x."""
        grid, runs = self.grids[at], self.grids[at].fine_runs
        if self.pieces is not None:
            self.pieces.prolong(e, grid.scaling, x)
            return
        assert runs is not None
        galerkin.prolong_add(e, x, grid.scaling, runs.runs, runs.planes, runs.longest, WEIGHTS)


def _largest_eigenvalue(grid: Grid, steps: int = 12) -> float:
    """Largest eigenvalue of the scaled operator by Lanczos' method from a fixed start.

    Power iteration takes many times the steps: after ten of them it was 16 % low on bone in air, and the smoother
    then amplified what it should damp.
    """
    v, Kv, old = grid.x, grid.y, grid.b
    v[:] = np.random.default_rng(20261121).standard_normal(len(v), dtype=F32)
    v *= np.sqrt(grid.scaling)
    old[:] = 0
    size = float(np.sqrt(np.sum(grid.scaling > 0)))
    alphas, betas = list[float](), [0.0]
    vectors.scale(v, F32(1.0 / size if size > 0 else 1.0))
    for _ in range(steps):
        grid.sweep(bricks.PRODUCT, v, grid.b, Kv)
        alphas.append(float(vectors.block_dot(v, Kv)))
        norm = float(np.sqrt(vectors.lanczos(Kv, grid.scaling, v, F32(alphas[-1]), F32(betas[-1]), old)))
        betas.append(norm)
        if not norm > 1e-6 * alphas[-1]:
            break
        vectors.scale(old, F32(1.0 / norm))
        v, old = old, v
    for work in (grid.x, grid.y, grid.b):
        work[:] = 0
    n = len(alphas)
    T = np.diag(alphas) + np.diag(betas[1:n], 1) + np.diag(betas[1:n], -1)
    return max(float(np.linalg.eigvalsh(T)[-1]), 1e-6)


def build_hierarchy(
    operator: VoxelOperator,
    active: NDArray[np.bool_],
    number: NDArray[np.int32],
    fixed: NDArray[np.uint8],
    rigid_nodes: NDArray[np.int64],
    rigid_columns: NDArray[np.float64],
    rigid_matrix: NDArray[np.float64],
    coupling: Coupling | None,
    n_threads: int,
    coarsening: Coarsening = "auto",
) -> Hierarchy:
    """Galerkin hierarchy of a voxel problem.

    Parameters
    ----------
    operator : VoxelOperator
        On the finest grid.
    active : (nz, ny, nx) ndarray of bool
        Its cells.
    number : (nz + 1, ny + 1, nx + 1) ndarray of int32
        Its nodes.
    fixed : (3 * stride,) ndarray of uint8
        1 at unknowns that are prescribed or tied to a rigid body, and at padding.
    rigid_nodes : (q,) ndarray of int64
        Free nodes that the rigid motions act on through the cells.
    rigid_columns : (q, 3, m) ndarray
        K times the unit free motions there, zero at fixed unknowns.
    rigid_matrix : (m, m) ndarray
        The rigid motions' own block.
    coupling : Coupling or None
        What linear ties add to the operator.
    n_threads : int
        Threads; bits do not depend on it.
    coarsening : {"auto", "geometric", "aggregation"}
        What is below the finest grid; ties, and parts too many to aggregate, always take "geometric".
    """
    grid, top = finest_grid(operator, active, number, fixed, n_threads)
    grid.coupling = coupling
    finish_grid(grid)
    grid.rigid_nodes, grid.rigid_columns = rigid_nodes, rigid_columns
    grids = [grid]
    is_open = coarsening == "aggregation" or (coarsening == "auto" and is_network(active, grid.nodes.count))
    if is_open and coupling is None:
        made = find_pieces(active, number, grid.nodes.count, n_threads)
        above = _above_pieces(grid, top, made, rigid_matrix, n_threads)
        if above is not None:
            return above
    while 3 * grids[-1].nodes.count > MAX_DENSE and max(top.kind.shape) > 1:
        fine = grids[-1]
        coarse, next_top = coarsen(fine, top, n_threads)
        fill_cells(fine, coarse)
        if fine.coupling is not None:
            coarse.coupling = _carry_coupling(fine, coarse, top, next_top)
        finish_grid(coarse)
        _place_rigid(fine, coarse, top, next_top)
        _carry_rigid(fine, coarse)
        grids.append(coarse)
        top = next_top
    hierarchy = Hierarchy(grids, n_threads, np.zeros((0, 0)), np.zeros(0, np.int64))
    _measure(hierarchy, rigid_matrix)
    return hierarchy


def _above_pieces(
    grid: Grid, top: Topology, made: Pieces, rigid_matrix: NDArray[np.float64], n_threads: int
) -> Hierarchy | None:
    """The finest grid with the levels of a network below it, or None where these do not become small."""
    from numba import set_num_threads

    set_num_threads(threads_for(3 * grid.nodes.count, n_threads))
    grid.largest = _largest_eigenvalue(grid)
    blocks = build_levels(*assemble_pieces(made, grid, top, rigid_matrix, n_threads), n_threads)
    if blocks is None:
        return None
    nothing = np.zeros((0, 0)), np.zeros(0, np.int64)
    return Hierarchy([grid], n_threads, *nothing, made, blocks)


def _measure(hierarchy: Hierarchy, rigid_matrix: NDArray[np.float64]) -> None:
    """Eigenvalues for the smoothers and the factor of the coarsest grid."""
    from numba import set_num_threads

    for grid in hierarchy.grids[:-1]:
        set_num_threads(threads_for(3 * grid.nodes.count, hierarchy.n_threads))
        grid.largest = _largest_eigenvalue(grid)
    hierarchy.factor, hierarchy.free = _factorise(hierarchy.grids[-1], rigid_matrix)


def _carry_coupling(fine: Grid, coarse: Grid, top: Topology, coarse_top: Topology) -> Coupling:
    """The ties' matrix on the next coarser grid."""
    assert fine.coupling is not None
    flat = np.flatnonzero(top.number.ravel() >= 0)[fine.coupling.ids % fine.nodes.stride]
    nodes, weights = stencil(np.stack(np.unravel_index(flat, top.number.shape), axis=1), coarse_top.number)
    return coarse_coupling(fine.coupling, nodes, weights, fine.nodes.stride, coarse.nodes.stride, coarse.fixed)


def _place_rigid(fine: Grid, coarse: Grid, top: Topology, coarse_top: Topology) -> None:
    """Coarse nodes that the rigid motions' columns go to, and how."""
    flat = np.flatnonzero(top.number.ravel() >= 0)[fine.rigid_nodes]
    nodes, weights = stencil(np.stack(np.unravel_index(flat, top.number.shape), axis=1), coarse_top.number)
    ids, inverse = np.unique(nodes[weights > 0], return_inverse=True)
    place = np.zeros(nodes.shape, dtype=np.int64)
    place[weights > 0] = inverse
    coarse.rigid_nodes, fine.rigid_transfer = ids, (place, weights)


def _carry_rigid(fine: Grid, coarse: Grid) -> None:
    """Carry the rigid motions' columns to the coarse nodes."""
    place, weights = fine.rigid_transfer
    columns = np.zeros((len(coarse.rigid_nodes), *fine.rigid_columns.shape[1:]))
    for corner in range(8 if len(columns) else 0):
        np.add.at(columns, place[:, corner], weights[:, corner, None, None] * fine.rigid_columns)
    is_free = coarse.fixed.reshape(3, -1)[:, coarse.rigid_nodes].T == 0
    coarse.rigid_columns = columns * is_free[:, :, None]


def _factorise(grid: Grid, rigid_matrix: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cholesky factor of the coarsest grid with the rigid motions, and the flat ids of its nodal unknowns."""
    free = np.flatnonzero(grid.scaling)
    n, m = len(free), len(rigid_matrix)
    grid.x[:] = 0
    dense = np.zeros((n + m, n + m))
    for column, unknown in enumerate(free):
        grid.x[unknown] = 1.0
        grid.sweep(bricks.PRODUCT, grid.x, grid.b, grid.y)
        dense[:n, column] = grid.y[free]
        grid.x[unknown] = 0.0
    grid.y[:] = 0
    if m:
        coupling = np.zeros((m, 3, grid.nodes.stride))
        coupling[:, :, grid.rigid_nodes] = grid.rigid_columns.transpose(2, 1, 0)
        dense[n:, :n] = coupling.reshape(m, -1)[:, free]
        dense[:n, n:] = dense[n:, :n].T
        dense[n:, n:] = rigid_matrix
    return factorise(0.5 * (dense + dense.T)), free


def update_hierarchy(
    old: Hierarchy,
    operator: VoxelOperator,
    rigid_columns: NDArray[np.float64],
    rigid_matrix: NDArray[np.float64],
) -> Hierarchy:
    """The hierarchy for other constants of the same cells: coarse cells over cells that have not changed are kept.

    Parameters are those of `build_hierarchy`; `old` stays as it is. Of a network, only the pieces are kept.
    """
    finest = old.grids[0]
    assert isinstance(finest.cells, VoxelOperator)
    if old.pieces is not None:
        grid = finest.copy_with(operator)
        finish_grid(grid)
        grid.rigid_columns = rigid_columns
        active = old.pieces.active()
        number = number_nodes(active)[1]
        _, top = finest_grid(operator, active, number, grid.fixed, 1)
        above = _above_pieces(grid, top, old.pieces, rigid_matrix, old.n_threads)
        return above or build_hierarchy(
            operator, active, number, grid.fixed, grid.rigid_nodes, rigid_columns, rigid_matrix, None, old.n_threads,
            "geometric",
        )  # fmt: skip
    width = max(max(runs.n_slots for runs in operator.cells), 1)
    changed = np.zeros((3, width), dtype=bool)
    pairs = zip(finest.cells.data[np.float64], operator.data[np.float64], operator.cells, COUNTS, strict=True)
    for kind, (before, after, runs, count) in enumerate(pairs):
        differs = (before != after).reshape(-1, count, 8).any(axis=1)
        changed[kind, : runs.n_slots] = differs.ravel()
    grids = [finest.copy_with(operator)]
    finish_grid(grids[0])
    grids[0].rigid_columns = rigid_columns
    changed_own: NDArray[np.bool_] | None = None
    for coarse in old.grids[1:]:
        assert isinstance(coarse.cells, CoarseCells)
        fresh = coarse.copy_with(coarse.cells.copy())
        fine = grids[-1]
        changed, changed_own = fill_cells(fine, fresh, changed, changed_own)
        finish_grid(fresh)
        _carry_rigid(fine, fresh)
        grids.append(fresh)
    hierarchy = Hierarchy(grids, old.n_threads, old.factor, old.free)
    _measure(hierarchy, rigid_matrix)
    return hierarchy
