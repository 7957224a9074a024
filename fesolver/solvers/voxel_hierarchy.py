"""The multigrid hierarchy of a voxel problem and its V-cycle, in float32.

The finest space is {nodes that are free} + {free motions of the rigid bodies}. A coarse function is trilinear, cut to
zero at prescribed and tied nodes; the rigid motions are carried unchanged to every level, so each coarse space lies in
the finest one and the Galerkin matrices are exact. Chebyshev polynomials of the Jacobi-scaled operator smooth the
nodes; the coarsest level, rigid motions included, is solved by Cholesky.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.kernels import multigrid as mg
from fesolver.fem.kernels.voxel import apply_stiffness
from fesolver.fem.threads import threads_for
from fesolver.fem.voxel_operator import BrickModes, VoxelElasticity

__all__ = ["Hierarchy", "Level", "build_hierarchy"]

DEGREE = 3
"""Chebyshev degree per smoothing."""

SMOOTHING_RATIO = 20.0
"""The smoother damps eigenvalues from largest / ratio to largest."""

MAX_DENSE = 1500
"""Unknowns of the coarsest level, solved densely."""

F32 = np.float32
HALF = F32(0.5)


def child_interpolation() -> NDArray[np.float64]:
    """Trilinear weights (8 children, 8 fine nodes, 8 coarse nodes), all numbered by position bits."""
    line = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.5, 0.5], [0.0, 1.0]]])  # child, fine node, coarse node
    T = np.empty((8, 8, 8))
    for child in range(8):
        for a in range(8):
            for b in range(8):
                T[child, a, b] = np.prod([line[(child >> d) & 1, (a >> d) & 1, (b >> d) & 1] for d in range(3)])
    return T


@dataclass
class Level:
    """One grid: its operator on the nodes, its coupling to the rigid motions, and work space."""

    shape: tuple[int, int, int]
    inverse_diagonal: NDArray[np.float32]
    K: NDArray[Any] | None = None
    fine: VoxelElasticity | None = None
    constants: NDArray[Any] | None = None
    is_bbar: bool = True
    rigid_nodes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    rigid_columns: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3, 0), F32))
    largest: float = 1.0
    work: list[NDArray[np.float32]] = field(default_factory=list)

    def apply(self, u: NDArray[Any], out: NDArray[Any], n_slabs: int) -> None:
        """Out = K u on the nodes alone; rows of fixed nodes are not cleared."""
        if self.fine is not None:
            e = self.fine
            apply_stiffness(u, out, e.lam, e.mu, e.general, e.D, self.constants, self.is_bbar, n_slabs)
        else:
            mg.apply_matrices(u, out, self.K, n_slabs)

    def rigid_to_nodes(self, r: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Out -= K_nodes,rigid r."""
        if len(self.rigid_nodes):
            out.reshape(-1, 3)[self.rigid_nodes] -= self.rigid_columns @ r

    def nodes_to_rigid(self, u: NDArray[np.float32]) -> NDArray[np.float64]:
        """K_rigid,nodes u."""
        if not len(self.rigid_nodes):
            return np.zeros(self.rigid_columns.shape[2])
        values = u.reshape(-1, 3)[self.rigid_nodes].astype(np.float64)
        return np.asarray((self.rigid_columns * values[:, :, None]).sum(axis=(0, 1)))

    def smooth(self, r: NDArray[np.float32], x: NDArray[np.float32], n_slabs: int) -> None:
        """Chebyshev smoothing of K x = r from the given residual; updates x and leaves r up to date but one step."""
        upper, lower = 1.1 * self.largest, 1.1 * self.largest / SMOOTHING_RATIO
        theta, delta = 0.5 * (upper + lower), 0.5 * (upper - lower)
        sigma = theta / delta
        rho = 1.0 / sigma
        d, Ad = self.work[0], self.work[1]
        flat = self.inverse_diagonal.ravel()
        mg.chebyshev_start(r.ravel(), flat, F32(1.0 / theta), d.ravel(), x.ravel())
        for _ in range(DEGREE - 1):
            self.apply(d, Ad, n_slabs)
            rho_next = 1.0 / (2.0 * sigma - rho)
            mg.chebyshev_step(
                r.ravel(), Ad.ravel(), flat, F32(rho_next * rho), F32(2.0 * rho_next / delta), d.ravel(), x.ravel()
            )
            rho = rho_next


@dataclass
class Hierarchy:
    """Levels from fine to coarse, the coarsest factorised."""

    levels: list[Level]
    coarse_factor: NDArray[np.float64]
    coarse_nodes: NDArray[np.int64]
    n_rigid: int
    n_slabs: int

    def cycle(self, b: NDArray[np.float32], b_rigid: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """One V-cycle from zero: (x on the nodes, x on the rigid motions)."""
        return self._cycle(0, b, b_rigid)

    def _cycle(
        self, at: int, b: NDArray[np.float32], b_rigid: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[Any]]:
        from numba import set_num_threads
        from scipy.linalg import cho_solve

        level = self.levels[at]
        n_slabs = threads_for(level.inverse_diagonal.size, self.n_slabs)
        set_num_threads(n_slabs)
        x = level.work[2]
        x[...] = 0
        if at == len(self.levels) - 1:
            rhs = np.concatenate([b.ravel()[self.coarse_nodes].astype(np.float64), b_rigid])
            solution = cho_solve((self.coarse_factor, True), rhs, check_finite=False)
            split = len(self.coarse_nodes)
            x.ravel()[self.coarse_nodes] = solution[:split]
            return x, solution[split:]
        r, Ad = level.work[3], level.work[1]
        r[...] = b
        level.smooth(r, x, n_slabs)
        level.apply(level.work[0], Ad, n_slabs)
        mg.subtract(r.ravel(), Ad.ravel())
        r[level.inverse_diagonal == 0] = 0
        r_rigid = b_rigid - level.nodes_to_rigid(x)
        coarse_b = self.levels[at + 1].work[4]
        mg.restrict(r, coarse_b, HALF)
        e, x_rigid = self._cycle(at + 1, coarse_b, r_rigid)
        set_num_threads(n_slabs)
        mg.prolong_add(e, x, level.inverse_diagonal, HALF)
        level.apply(x, Ad, n_slabs)
        r[...] = b
        mg.subtract(r.ravel(), Ad.ravel())
        level.rigid_to_nodes(x_rigid.astype(F32), r)
        level.smooth(r, x, n_slabs)
        return x, x_rigid


def _largest_eigenvalue(level: Level, n_slabs: int, steps: int = 12) -> float:
    """Largest eigenvalue of D^-1 K by power iteration from a fixed start."""
    shape = level.inverse_diagonal.shape
    x = np.random.default_rng(20261121).standard_normal(shape).astype(F32)
    x[level.inverse_diagonal == 0] = 0
    y = level.work[1]
    value = 1.0
    for _ in range(steps):
        norm = np.sqrt(mg.block_dot(x.ravel(), x.ravel(), 4096))
        x *= F32(1.0 / norm) if norm > 0 else F32(1.0)
        level.apply(x, y, n_slabs)
        np.multiply(y, level.inverse_diagonal, out=x)
        value = float(np.sqrt(mg.block_dot(x.ravel(), x.ravel(), 4096)))
    return max(value, 1e-6)


def _invert(diagonal: NDArray[np.float64], free: NDArray[np.bool_]) -> NDArray[np.float32]:
    """1 / diagonal where free and positive, 0 elsewhere."""
    use = free & (diagonal > 0)
    return np.where(use, 1.0 / np.where(use, diagonal, 1.0), 0.0).astype(F32)


def _add_work(level: Level) -> Level:
    """Work arrays: d, A d, x, r, b."""
    level.work = [np.zeros(level.inverse_diagonal.shape, F32) for _ in range(5)]
    return level


def build_hierarchy(
    elasticity: VoxelElasticity,
    modes: BrickModes,
    free: NDArray[np.bool_],
    rigid_columns: NDArray[np.float64],
    rigid_matrix: NDArray[np.float64],
    *,
    is_bbar: bool,
    n_slabs: int,
) -> Hierarchy:
    """Galerkin hierarchy of a voxel problem.

    Parameters
    ----------
    elasticity : VoxelElasticity
        On the finest lattice, float64.
    modes : BrickModes
        Of its brick.
    free : (nz + 1, ny + 1, nx + 1, 3) ndarray of bool
        Nodal unknowns: not prescribed, not tied to a rigid body, in some cell.
    rigid_columns : (nz + 1, ny + 1, nx + 1, 3, m) ndarray
        K times the unit free motions of the rigid bodies, on the nodes.
    rigid_matrix : (m, m) ndarray
        The rigid motions' own block.
    is_bbar : bool
        Mean dilatation.
    n_slabs : int
        How many ranges of planes the operator is split into (does not change bits).
    """
    T = child_interpolation()
    T3 = np.einsum("cab,de->cadbe", T, np.eye(3)).reshape(8, 24, 24)
    T_lam = np.einsum("cji,jk,ckl->cil", T3, modes.K_lam, T3)
    T_mu = np.einsum("cji,jk,ckl->cil", T3, modes.K_mu, T3)
    diagonal = np.empty(free.shape)
    e = elasticity
    mg.stiffness_diagonal(
        e.lam, e.mu, e.general, e.D, modes.B, modes.weights, np.diag(modes.K_lam).copy(), np.diag(modes.K_mu).copy(),
        diagonal,
    )  # fmt: skip
    nz, ny, nx = e.mu.shape
    single = VoxelElasticity(e.lam.astype(F32), e.mu.astype(F32), e.general, e.D.astype(F32))
    level = Level(
        shape=(nx, ny, nz), inverse_diagonal=_invert(diagonal, free), fine=single,
        constants=modes.constants.astype(F32), is_bbar=is_bbar,
    )  # fmt: skip
    n_rigid = rigid_columns.shape[-1]
    columns = rigid_columns * free[..., None]
    _set_rigid(level, columns)
    levels = [_add_work(level)]
    while 3 * np.prod([n + 1 for n in levels[-1].shape]) > MAX_DENSE and max(levels[-1].shape) > 1:
        fine = levels[-1]
        mx, my, mz = (-(-n // 2) for n in fine.shape)
        K = np.empty((mz, my, mx, 24, 24), F32)
        if fine.K is None:
            mg.coarsen_operator(
                e.lam, e.mu, e.general, e.D, modes.B, modes.weights, modes.K_lam, modes.K_mu, T_lam, T_mu, T,
                free.astype(np.uint8), K,
            )  # fmt: skip
        else:
            mg.coarsen_matrices(fine.K, T, K)
        diagonal = np.empty((mz + 1, my + 1, mx + 1, 3))
        mg.matrices_diagonal(K, diagonal)
        coarse_columns = np.empty((mz + 1, my + 1, mx + 1, 3, n_rigid))
        for m in range(n_rigid):
            out = np.empty(diagonal.shape)
            mg.restrict(np.ascontiguousarray(columns[..., m]), out, 0.5)
            coarse_columns[..., m] = out
        columns = coarse_columns
        level = Level(shape=(mx, my, mz), inverse_diagonal=_invert(diagonal, diagonal > 0), K=K)
        _set_rigid(level, columns)
        levels.append(_add_work(level))
    for level in levels[:-1]:
        level.largest = _largest_eigenvalue(level, threads_for(level.inverse_diagonal.size, n_slabs))
    factor, nodes = _factorise(levels[-1], columns, rigid_matrix)
    return Hierarchy(levels=levels, coarse_factor=factor, coarse_nodes=nodes, n_rigid=n_rigid, n_slabs=n_slabs)


def _set_rigid(level: Level, columns: NDArray[np.float64]) -> None:
    """Keep the nodes where the rigid columns are not zero."""
    n_rigid = columns.shape[-1]
    flat = columns.reshape(columns.size // (3 * n_rigid) if n_rigid else 0, 3, n_rigid)
    level.rigid_nodes = np.flatnonzero(np.any(flat != 0, axis=(1, 2)))
    level.rigid_columns = flat[level.rigid_nodes].astype(F32)


def _factorise(
    level: Level, columns: NDArray[np.float64], rigid_matrix: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cholesky factor of the coarsest level with the rigid motions, and the flat ids of its nodal unknowns."""
    from scipy.linalg import cho_factor

    shape = level.inverse_diagonal.shape
    nodes = np.flatnonzero(level.inverse_diagonal.ravel())
    n_rigid = len(rigid_matrix)
    dense = np.zeros((len(nodes) + n_rigid,) * 2)
    unit, out = np.zeros(shape), np.zeros(shape)
    if level.K is not None:
        K64 = level.K.astype(np.float64)
        matrix_level = Level(shape=level.shape, inverse_diagonal=level.inverse_diagonal, K=K64)
        for column, node in enumerate(nodes):
            unit.ravel()[node] = 1.0
            matrix_level.apply(unit, out, 1)
            dense[: len(nodes), column] = out.ravel()[nodes]
            unit.ravel()[node] = 0.0
    else:
        assert level.fine is not None
        assert level.constants is not None
        f = level.fine
        double = VoxelElasticity(f.lam.astype(float), f.mu.astype(float), f.general, f.D.astype(float))
        fine_level = Level(
            shape=level.shape, inverse_diagonal=level.inverse_diagonal, fine=double,
            constants=level.constants.astype(np.float64), is_bbar=level.is_bbar,
        )  # fmt: skip
        for column, node in enumerate(nodes):
            unit.ravel()[node] = 1.0
            fine_level.apply(unit, out, 1)
            dense[: len(nodes), column] = out.ravel()[nodes]
            unit.ravel()[node] = 0.0
    if n_rigid:
        flat = columns.reshape(-1, n_rigid)[nodes]
        dense[: len(nodes), len(nodes) :] = flat
        dense[len(nodes) :, : len(nodes)] = flat.T
        dense[len(nodes) :, len(nodes) :] = rigid_matrix
    dense = 0.5 * (dense + dense.T)
    diagonal = np.diag(dense).copy()
    # Coarse functions may coincide on thin parts: the shift keeps the factor finite and only slows those modes.
    dense[np.arange(len(dense)), np.arange(len(dense))] += 1e-6 * diagonal
    return cho_factor(dense, lower=True, check_finite=False)[0], nodes
