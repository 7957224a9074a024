"""The grids of a voxel hierarchy: the finest, and coarse ones made from the next finer one.

A coarse function is trilinear on blocks of 2 x 2 x 2 finer cells, cut to zero at finer unknowns that are fixed. Cells
that hold such unknowns have a matrix of their own. (Fixing the coarse unknowns in a fixed plane instead needs fewer
matrices, but a sixth more iterations on a column between rigid pads.)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.kernels import bricks, galerkin
from fesolver.fem.kernels.moments import COUNT, coarse_sweep
from fesolver.fem.moments import child_interpolation, first_weights, moment_constants, moment_shifts, moment_units
from fesolver.fem.threads import threads_for
from fesolver.fem.voxel_operator import VoxelOperator, slabs_for, unit_matrices
from fesolver.fem.voxel_runs import CellRuns, NodeRuns, Nodes, cell_runs, node_runs, number_nodes
from fesolver.solvers.voxel_ties import Coupling

__all__ = ["CoarseCells", "Grid", "Topology", "coarsen", "fill_cells", "finest_grid", "finish_grid", "stencil"]

F32 = np.float32


@dataclass
class Topology:
    """What stays when moduli change: boxes used to make the next coarser grid.

    Parameters
    ----------
    number : (nz + 1, ny + 1, nx + 1) ndarray of int32
        Node numbers, -1 where there is none.
    kind : (nz, ny, nx) ndarray of int8
        -1 where there is no cell, 0 to 2 by constants, 3 by a matrix of its own.
    slot : (nz, ny, nx) ndarray of int32
        Where its constants or matrix are.
    """

    number: NDArray[np.int32]
    kind: NDArray[np.int8]
    slot: NDArray[np.int32]


@dataclass
class CoarseCells:
    """Cells of a coarse grid and how they come from the finer one.

    Parameters
    ----------
    runs : CellRuns
        Cells given by moments.
    children : (n, 8) ndarray of int32
        Their children's slots, -1 where absent.
    moments : (n_slots * 46,) ndarray of float32
        In chunks of eight cells.
    nodes : (k, 4) ndarray of int32
        Nodes of the cells with a matrix of their own, by edges.
    layers : (nz + 1,) ndarray of int64
        First of these cells in every layer.
    kinds, slots : (k, 8) ndarray
        Their children.
    child_nodes : (k, 8, 4) ndarray of int32
        Nodes of their children, by edges.
    matrices : (k * 384,) ndarray of float32
        See `fem.kernels.moments.matrix_layer`.
    constants : (12,) ndarray of float32
        Of the brick.
    """

    runs: CellRuns
    children: NDArray[np.int32]
    moments: NDArray[np.float32]
    nodes: NDArray[np.int32]
    layers: NDArray[np.int64]
    kinds: NDArray[np.int8]
    slots: NDArray[np.int32]
    child_nodes: NDArray[np.int32]
    matrices: NDArray[np.float32]
    constants: NDArray[np.float32]

    def copy(self) -> CoarseCells:
        """With moments and matrices of its own."""
        return replace(self, moments=self.moments.copy(), matrices=self.matrices.copy())

    def arguments(self) -> tuple[Any, ...]:
        """For the kernels."""
        return self.runs.runs, self.runs.layers, self.moments, self.nodes, self.layers, self.matrices


@dataclass
class Grid:
    """One grid of the hierarchy: its operator, its Jacobi scaling and its work space, in float32.

    Parameters
    ----------
    nodes : Nodes
        Of its active cells.
    spacing : (3,) ndarray
        Edges, mm.
    cells : VoxelOperator or CoarseCells
        The operator.
    slabs : (n + 1,) ndarray of int64
        Node planes of each thread.
    fixed : (3 * stride,) ndarray of uint8
        1 where an unknown is held, or there is none.
    scaling : (3 * stride,) ndarray
        Inverse diagonal, 0 where fixed.
    largest : float
        Largest eigenvalue of the scaled operator.
    held : ndarray of int64
        Fixed unknowns, padding apart.
    fine_runs : NodeRuns or None
        From this grid to the next coarser one.
    coupling : Coupling or None
        What linear ties add to the operator.
    rigid_nodes, rigid_columns : (q,) and (q, 3, m) ndarray
        Nodes that the rigid motions act on, and K times the unit motions there.
    rigid_transfer : (q, 8) ndarrays
        Where these go among the next coarser grid's, and with which weights.
    x, y, b : (3 * stride,) ndarray
        Work space: two iterates and the right-hand side.
    """

    nodes: Nodes
    spacing: NDArray[np.float64]
    cells: VoxelOperator | CoarseCells
    slabs: NDArray[np.int64]
    fixed: NDArray[np.uint8]
    scaling: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, F32))
    largest: float = 1.0
    held: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    fine_runs: NodeRuns | None = None
    coupling: Coupling | None = None
    rigid_nodes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    rigid_columns: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3, 0)))
    rigid_transfer: tuple[NDArray[np.int64], NDArray[np.float64]] = field(
        default_factory=lambda: (np.zeros((0, 8), np.int64), np.zeros((0, 8)))
    )
    x: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, F32))
    y: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, F32))
    b: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, F32))

    def copy_with(self, cells: VoxelOperator | CoarseCells) -> Grid:
        """The same grid with another operator; work space is shared, so only one of the two may be at work."""
        return replace(self, cells=cells)

    def sweep(
        self,
        task: int,
        x: NDArray[np.float32],
        b: NDArray[np.float32],
        out: NDArray[np.float32],
        weights: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        """One pass over the cells, see `fem.kernels.bricks.sweep`."""
        c0, c1, c2 = (F32(c) for c in weights)
        products = np.zeros(len(self.nodes.planes) - 1, F32)
        common = (task, self.slabs, self.nodes.planes, self.nodes.largest_plane, x, b, self.scaling, out, c0, c1, c2)
        if isinstance(self.cells, VoxelOperator):
            bricks.sweep(*common, self.cells.arguments(F32), self.cells.constants.astype(F32), products)
        else:
            coarse_sweep(*common, self.cells.arguments(), self.cells.constants, products)
        if self.coupling is not None:
            ids = self.coupling.ids
            force = (self.coupling.matrix @ x[ids].astype(np.float64)).astype(F32)
            if task == bricks.SMOOTH:
                out[ids] -= c2 * self.scaling[ids] * force
            else:
                out[ids] += force if task == bricks.PRODUCT else -force


def finest_grid(
    operator: VoxelOperator,
    active: NDArray[np.bool_],
    number: NDArray[np.int32],
    fixed: NDArray[np.uint8],
    n_threads: int,
) -> tuple[Grid, Topology]:
    """The finest grid; fixed (3 * stride,) is 1 at unknowns that are not free."""
    kind = np.full(active.shape, -1, dtype=np.int8)
    kind[active] = operator.kinds
    slot = np.full(active.shape, -1, dtype=np.int32)
    for at, runs in enumerate(operator.cells):
        if len(runs.slots):
            slot[kind == at] = runs.slots
    slabs = slabs_for(operator.nodes, threads_for(3 * operator.nodes.count, n_threads))
    grid = Grid(operator.nodes, operator.spacing, operator, slabs, fixed)
    return grid, Topology(number, kind, slot)


def stencil(
    places: NDArray[np.int64], coarse_number: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Coarse nodes (n, 8) and weights (n, 8) that interpolate fine nodes at grid places (n, 3) (z, y, x)."""
    nodes = np.zeros((len(places), 8), dtype=np.int64)
    weights = np.ones((len(places), 8))
    for corner in range(8):
        bits = np.array([corner >> 2, (corner >> 1) & 1, corner & 1])
        odd = places % 2
        at = (places + bits) // 2
        weights[:, corner] = np.prod(np.where(odd, 0.5, 1.0 - bits), axis=1)
        nodes[:, corner] = coarse_number[at[:, 0], at[:, 1], at[:, 2]]
    weights[nodes < 0] = 0.0
    return nodes, weights


def _even(box: NDArray[Any], fill: int) -> NDArray[Any]:
    """The box with every side even."""
    if not any(n % 2 for n in box.shape):
        return box
    out = np.full([n + n % 2 for n in box.shape], fill, dtype=box.dtype)
    out[tuple(slice(n) for n in box.shape)] = box
    return out


def coarsen(fine: Grid, top: Topology, n_threads: int) -> tuple[Grid, Topology]:
    """The next coarser grid, without values; `fill_cells` and `finish_grid` give it these."""
    kind = _even(top.kind, -1)
    slot = _even(top.slot, -1)
    shape = tuple(n // 2 for n in kind.shape)
    blocks = kind.reshape(shape[0], 2, shape[1], 2, shape[2], 2)
    active = np.asarray((blocks >= 0).any(axis=(1, 3, 5)))
    own = np.asarray((blocks > 0).any(axis=(1, 3, 5)))
    nodes, number = number_nodes(active)
    held = np.flatnonzero(fine.fixed.reshape(3, -1)[:, : fine.nodes.count].any(axis=0))
    cut = np.stack(np.unravel_index(np.flatnonzero(top.number.ravel() >= 0)[held], top.number.shape), axis=1)
    for bits in range(8):
        at = (cut - np.array([bits >> 2, (bits >> 1) & 1, bits & 1])) // 2
        inside = np.all((at >= 0) & (at < shape), axis=1)
        own[tuple(at[inside].T)] = True
    own &= active
    runs = cell_runs(active & ~own, number)
    k, j, i = np.nonzero(active & ~own)
    children = np.empty((len(k), 8), dtype=np.int32)
    for child in range(8):
        children[:, child] = slot[2 * k + (child >> 2), 2 * j + ((child >> 1) & 1), 2 * i + (child & 1)]
    ok, oj, oi = np.nonzero(own)
    kinds, slots = np.empty((len(ok), 8), dtype=np.int8), np.empty((len(ok), 8), dtype=np.int32)
    child_nodes = np.zeros((len(ok), 8, 4), dtype=np.int32)
    fine_number = np.pad(
        top.number, [(0, kind.shape[d] + 1 - top.number.shape[d]) for d in range(3)], constant_values=-1
    )
    for child in range(8):
        kk, jj, ii = 2 * ok + (child >> 2), 2 * oj + ((child >> 1) & 1), 2 * oi + (child & 1)
        kinds[:, child], slots[:, child] = kind[kk, jj, ii], slot[kk, jj, ii]
        for row in range(4):
            child_nodes[:, child, row] = fine_number[kk + (row >> 1), jj + (row & 1), ii]
    own_nodes = np.stack([number[ok + (row >> 1), oj + (row & 1), oi] for row in range(4)], axis=1)
    spacing = 2.0 * fine.spacing
    cells = CoarseCells(
        runs, children, np.zeros(runs.n_slots * 2 * COUNT, F32), own_nodes.astype(np.int32),
        np.searchsorted(ok, np.arange(shape[0] + 1)).astype(np.int64), kinds, slots, child_nodes,
        np.zeros(384 * len(ok), F32), moment_constants(spacing).astype(F32),
    )  # fmt: skip
    fine.fine_runs = node_runs(top.number, number)
    coarse_kind = np.where(active, 0, -1).astype(np.int8)
    coarse_kind[own] = galerkin.OWN_MATRIX
    coarse_slot = np.full(shape, -1, dtype=np.int32)
    coarse_slot[active & ~own] = runs.slots
    coarse_slot[own] = np.arange(len(ok), dtype=np.int32)
    fixed = np.zeros((3, nodes.stride), dtype=np.uint8)
    fixed[:, nodes.count :] = 1
    grid = Grid(nodes, spacing, cells, slabs_for(nodes, threads_for(3 * nodes.count, n_threads)), fixed.ravel())
    return grid, Topology(number, coarse_kind, coarse_slot)


def fill_cells(
    fine: Grid, coarse: Grid, changed: NDArray[np.bool_] | None = None, changed_own: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Moments and matrices of the coarse cells, or only of those with changed children.

    Parameters
    ----------
    fine, coarse : Grid
        Next to each other.
    changed : ndarray of bool, optional
        By slot: which fine cells given by constants have changed; on the finest grid a row for each kind.
    changed_own : ndarray of bool, optional
        Which fine cells with a matrix of their own have changed.

    Returns
    -------
    changed, changed_own : ndarray of bool
        The same for the coarse grid.
    """
    cells = coarse.cells
    assert isinstance(cells, CoarseCells)
    is_finest = isinstance(fine.cells, VoxelOperator)
    use = np.ones(len(cells.children), dtype=bool)
    use_own = np.ones(len(cells.kinds), dtype=bool)
    if changed is not None:
        by_kind = changed if is_finest else changed[None]
        use = (by_kind[0, cells.children] & (cells.children >= 0)).any(axis=1)
        use_own = np.zeros(len(cells.kinds), dtype=bool)
        for kind, flags in enumerate(by_kind):
            is_kind = cells.kinds == kind
            use_own |= (is_kind & flags[np.where(is_kind, cells.slots, 0)]).any(axis=1)
        if changed_own is not None and len(changed_own):
            is_own = cells.kinds == galerkin.OWN_MATRIX
            use_own |= (is_own & changed_own[np.where(is_own, cells.slots, 0)]).any(axis=1)
    children, slots = np.ascontiguousarray(cells.children[use]), cells.runs.slots[use]
    out = cells.moments.reshape(-1, 2 * COUNT, 8)
    none = np.zeros(0, F32)
    if isinstance(fine.cells, VoxelOperator):
        data = fine.cells.data[np.float64]
        weights = first_weights(fine.spacing, is_bbar=fine.cells.is_bbar)
        galerkin.first_moments(children, data[0].reshape(-1, 2, 8), weights, slots, out)
        units = [
            unit_matrices(kind, fine.spacing, is_bbar=fine.cells.is_bbar) if len(data[kind]) else np.zeros((0, 24, 24))
            for kind in range(3)
        ]
        constants, matrices = data, none
    else:
        galerkin.next_moments(children, fine.cells.moments.reshape(-1, 2 * COUNT, 8), moment_shifts(), slots, out)
        empty = np.zeros((0, 24, 24))
        units = [moment_units(fine.spacing), empty, empty]
        constants, matrices = (fine.cells.moments, none, none), fine.cells.matrices
    if use_own.any():
        galerkin.own_matrices(
            np.flatnonzero(use_own), cells.kinds[use_own], cells.slots[use_own], cells.child_nodes[use_own],
            fine.fixed.reshape(3, -1), *constants, *units, matrices, child_interpolation(), cells.matrices,
        )  # fmt: skip
    flags = np.zeros(max(cells.runs.n_slots, 1), dtype=bool)
    flags[slots] = True
    return flags, use_own


def finish_grid(grid: Grid) -> None:
    """Jacobi scaling and fixed unknowns from the operator's values."""
    diagonal = np.zeros((3, grid.nodes.stride))
    planes = grid.nodes.planes
    if isinstance(grid.cells, VoxelOperator):
        for kind, (runs, data) in enumerate(zip(grid.cells.cells, grid.cells.data[np.float64], strict=True)):
            if len(runs.runs):
                units = unit_matrices(kind, grid.spacing, is_bbar=grid.cells.is_bbar)
                weights = np.ascontiguousarray(np.einsum("qaa->qa", units))
                galerkin.add_diagonal(planes, runs.runs, runs.layers, data, weights, diagonal)
    else:
        weights = np.ascontiguousarray(np.einsum("qaa->qa", moment_units(grid.spacing)))
        galerkin.add_diagonal(
            planes, grid.cells.runs.runs, grid.cells.runs.layers, grid.cells.moments, weights, diagonal
        )
        galerkin.add_own_diagonal(grid.cells.nodes, grid.cells.matrices, diagonal)
    flat = diagonal.ravel()
    if grid.coupling is not None:
        flat[grid.coupling.ids] += grid.coupling.matrix.diagonal()
    is_free = (grid.fixed == 0) & (flat > 0)
    grid.fixed = (~is_free).astype(np.uint8)
    scaling = np.zeros(len(flat), F32)
    scaling[is_free] = 1.0 / flat[is_free]
    grid.scaling = scaling
    held = ~is_free.reshape(3, -1)
    held[:, grid.nodes.count :] = False
    grid.held = np.flatnonzero(held)
    if not len(grid.x):
        grid.x, grid.y, grid.b = (np.zeros(len(flat), F32) for _ in range(3))
