"""Levels of block-sparse matrices and the V-cycle through them, in float32."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.kernels import block_sparse, vectors
from fesolver.fem.threads import threads_for
from fesolver.solvers.cycle_parts import SMOOTHING_RATIO, chebyshev_weights

__all__ = ["DEGREES", "PADDING", "BlockLevel", "BlockLevels", "Blocks", "largest_eigenvalue", "none"]

DEGREES = (2, 3)
"""Chebyshev degree per smoothing, by level; the last one on all levels below."""

PADDING = 32
"""Entries that kernels may read past the end."""

F32 = np.float32


@dataclass(frozen=True)
class Blocks:
    """A symmetric sparse matrix of small blocks in full, while levels are made.

    Parameters
    ----------
    m : int
        Rows of a block.
    starts, columns : (n + 1,) and (k,) ndarray
        Pattern, columns ascending.
    values : (k * m * m + padding,) ndarray
        Blocks by columns.
    """

    m: int
    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[Any]


def none(dtype: Any = F32) -> NDArray[Any]:
    """An empty array."""
    return np.zeros(0, dtype)


@dataclass
class BlockLevel:
    """One level: its matrix, its smoother, the prolongation from the next one.

    Parameters
    ----------
    m : int
        Unknowns per node: 3, or 6 for aggregates (translation, and rotation times their size).
    places : (n, 3) ndarray
        Nodes, mm.
    size : float
        Length, mm, that rotations are scaled by; the cell size on the first level.
    starts, columns : (n + 1,) and (k,) ndarray
        Pattern of the matrix on and right of the diagonal.
    values : (k * m * m + padding,) ndarray of float32
        Its blocks, see `fem.kernels.block_sparse`.
    room : int
        A power of two above the distance of any block from the diagonal, in nodes.
    slabs : (t, 3) ndarray of int64
        Rows of each thread, see `fem.kernels.block_sparse.block_sweep`.
    inverses : (n * m * m,) ndarray of float32
        Of its diagonal blocks.
    largest : float
        Largest eigenvalue of the matrix scaled by these.
    rigid_nodes, rigid_columns : (q,) and (q, m, r) ndarray
        What the free motions of rigid bodies do to these unknowns.
    rigid_matrix : (r, r) ndarray
        The motions' own block.
    rigid_follow : (q, m, r) ndarray
        How these nodes follow the motions the next level finds, as prolongations are smoothed.
    p_starts, p_columns, prolongation : ndarray
        From the next level; empty on the last one.
    p_slabs : (t, 4) ndarray of int64
        Aggregates of each thread, see `fem.kernels.block_sparse.restrict_blocks`.
    x, y, b : (n * m + padding,) ndarray of float32
        Work space.
    """

    m: int
    places: NDArray[np.float64]
    size: float
    starts: NDArray[np.int64]
    columns: NDArray[np.int32]
    values: NDArray[np.float32]
    room: int
    slabs: NDArray[np.int64]
    inverses: NDArray[np.float32] = field(default_factory=none)
    largest: float = 1.0
    rigid_nodes: NDArray[np.int64] = field(default_factory=lambda: none(np.int64))
    rigid_columns: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3, 0)))
    rigid_matrix: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    rigid_follow: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3, 0)))
    p_starts: NDArray[np.int64] = field(default_factory=lambda: none(np.int64))
    p_columns: NDArray[np.int32] = field(default_factory=lambda: none(np.int32))
    prolongation: NDArray[np.float32] = field(default_factory=none)
    p_slabs: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 4), np.int64))
    x: NDArray[np.float32] = field(default_factory=none)
    y: NDArray[np.float32] = field(default_factory=none)
    b: NDArray[np.float32] = field(default_factory=none)

    @property
    def count(self) -> int:
        """Unknowns."""
        return self.m * (len(self.starts) - 1)

    @classmethod
    def make(cls, full: Blocks, places: NDArray[np.float64], size: float, n_threads: int) -> BlockLevel:
        """A level without its smoother and the levels below."""
        n, m = len(full.starts) - 1, full.m
        starts = np.empty(n + 1, np.int64)
        args = (m, full.starts, full.columns, full.values, starts)
        count, reach = block_sparse.upper_part(*args, none(np.int32), none())
        columns, values = np.empty(count, np.int32), np.zeros(m * m * count + PADDING, F32)
        block_sparse.upper_part(*args, columns, values)
        slabs = _row_slabs(full, threads_for(m * n, n_threads))
        return cls(m, places, size, starts, columns, values, 1 << int(reach).bit_length(), slabs)

    def __post_init__(self) -> None:
        if not len(self.x):
            self.x, self.y, self.b = (np.zeros(self.count + PADDING, F32) for _ in range(3))

    def sweep(
        self,
        task: int,
        x: NDArray[np.float32],
        out: NDArray[np.float32],
        weights: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> None:
        """One pass over the matrix, see `fem.kernels.block_sparse.block_sweep`."""
        c0, c1, c2 = (F32(c) for c in weights)
        block_sparse.block_sweep(
            task, self.m, self.slabs, self.starts, self.columns, self.values, self.inverses, x, self.b, out, c0, c1, c2,
            self.room,
        )  # fmt: skip

    def smooth(
        self, steps: list[tuple[float, float, float]], x: NDArray[np.float32], y: NDArray[np.float32], *, is_zero: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Chebyshev steps from x, or from zero; the result and the other vector."""
        if is_zero:
            block_sparse.block_scale(self.m, self.inverses, self.b, F32(steps[0][2]), x)
        for n, (c0, c1, c2) in enumerate(steps[1:] if is_zero else steps):
            self.sweep(block_sparse.SMOOTH, x, y, (c0, c1 if n or not is_zero else 0.0, c2))
            x, y = y, x
        return x, y


@dataclass
class BlockLevels:
    """Levels from fine to coarse, the last one with the rigid motions factorised."""

    levels: list[BlockLevel]
    factor: NDArray[np.float64]
    n_threads: int
    degrees: tuple[int, ...] = DEGREES
    ratio: float = SMOOTHING_RATIO

    @property
    def n_bytes(self) -> int:
        """Memory kept."""
        arrays = [v for level in self.levels for v in vars(level).values() if isinstance(v, np.ndarray)]
        return sum(a.nbytes for a in [*arrays, self.factor])

    def cycle(self, b_rigid: NDArray[np.float64], at: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """One V-cycle from zero on the first level's `b`, which is spoiled: x on the nodes and on the rigid motions."""
        from numba import set_num_threads
        from scipy.linalg import cho_solve

        level = self.levels[at]
        if at == len(self.levels) - 1:
            n = level.count
            solution = cho_solve((self.factor, True), np.concatenate([level.b[:n], b_rigid]), check_finite=False)
            level.x[:n] = solution[:n]
            return level.x, solution[n:]
        n_threads = threads_for(level.count, self.n_threads)
        set_num_threads(n_threads)
        steps = chebyshev_weights(level.largest, self.degrees[min(at, len(self.degrees) - 1)], self.ratio)
        x, y = level.smooth(steps, level.x, level.y, is_zero=True)
        level.sweep(block_sparse.RESIDUAL, x, y)
        below = self.levels[at + 1]
        block_sparse.restrict_blocks(
            level.m, level.p_slabs, level.p_starts, level.p_columns, level.prolongation, y, below.b
        )
        r_rigid, nodes = b_rigid, level.rigid_nodes
        if len(nodes):
            values, left = (v[: level.count].reshape(-1, level.m)[nodes].astype(np.float64) for v in (x, y))
            r_rigid = b_rigid - (level.rigid_columns * values[:, :, None]).sum(axis=(0, 1))
            r_rigid += (level.rigid_follow * left[:, :, None]).sum(axis=(0, 1))
        e, x_rigid = self.cycle(r_rigid, at + 1)
        set_num_threads(n_threads)
        block_sparse.prolong_blocks(level.m, level.p_starts, level.p_columns, level.prolongation, e, x)
        if len(nodes):
            x[: level.count].reshape(-1, level.m)[nodes] += level.rigid_follow @ x_rigid
            level.b[: level.count].reshape(-1, level.m)[nodes] -= level.rigid_columns @ x_rigid
        return level.smooth(steps, x, y, is_zero=False)[0], x_rigid


def _row_slabs(full: Blocks, count: int) -> NDArray[np.int64]:
    """Rows of each of `count` threads, and the first row that holds one of them from the left."""
    n = len(full.starts) - 1
    ends = np.searchsorted(full.starts, full.starts[-1] * np.arange(count + 1) / count)
    ends[0], ends[-1] = 0, n
    lowest = full.columns[full.starts[:-1]]
    return np.array(
        [(a, b, min(a, int(lowest[a:b].min()))) for a, b in pairwise(ends) if a < b],
        dtype=np.int64,
    ).reshape(-1, 3)


def largest_eigenvalue(level: BlockLevel, steps: int = 20) -> float:
    """Largest eigenvalue of the scaled matrix, from the coefficients of conjugate gradients (Lanczos' method)."""
    n = level.count
    x, r = np.zeros_like(level.x), np.zeros_like(level.x)
    r[:n] = np.random.default_rng(20261121).standard_normal(n, dtype=F32)
    level.sweep(block_sparse.PRODUCT, r, x)
    r, p = x, level.x
    z, Ap = level.y, level.b
    alphas, betas = list[float](), list[float]()
    block_sparse.block_scale(level.m, level.inverses, r, F32(1), z)
    p[:] = z
    rz = vectors.block_dot(r, z)
    start = rz
    for _ in range(steps):
        level.sweep(block_sparse.PRODUCT, p, Ap)
        curvature = vectors.block_dot(p, Ap)
        if not (rz > 1e-10 * start and curvature > 0):
            break
        alpha = rz / curvature
        vectors.scale_add(r, F32(1), Ap, F32(-alpha))
        block_sparse.block_scale(level.m, level.inverses, r, F32(1), z)
        after = vectors.block_dot(r, z)
        alphas.append(alpha)
        betas.append(after / rz)
        vectors.scale_add(p, F32(after / rz), z, F32(1))
        rz = after
    for work in (level.x, level.y, level.b):
        work[:] = 0
    a, b = np.array(alphas), np.array(betas)
    if not len(a):
        return 1.0
    diagonal = 1.0 / a
    diagonal[1:] += b[:-1] / a[:-1]
    off = np.sqrt(b[:-1]) / a[:-1]
    return float(np.linalg.eigvalsh(np.diag(diagonal) + np.diag(off, 1) + np.diag(off, -1))[-1])
