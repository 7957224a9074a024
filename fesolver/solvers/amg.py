"""Conjugate gradients with smoothed aggregation on the nodes of any mesh."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.assembly import assemble_stiffness, free_dofs, reduction_matrix, stiffness_pattern
from fesolver.fem.connections import add_inner_elements, inner_elements
from fesolver.fem.constraints import RigidMap, given_displacement, rigid_force
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.kernels import block_sparse, reduction, vectors
from fesolver.fem.problem import Loads, Problem
from fesolver.fem.recovery import internal_force
from fesolver.solvers.aggregation import build_levels
from fesolver.solvers.block_levels import PADDING, BlockLevel, BlockLevels, none
from fesolver.solvers.free_nodes import FreeNodes, free_blocks, free_nodes, rigid_matrix, tie_matrix
from fesolver.solvers.linear_view import LinearView
from fesolver.solvers.raw import Raw
from fesolver.solvers.reduced import BaseSystem, SolveOptions
from fesolver.solvers.starts import combination_weights

__all__ = ["AmgSystem"]

MAX_ITERATIONS = 1000

DEGREES = {1: (4, 3), 2: (5, 3)}
"""Chebyshev degree per smoothing on the finest and on lower levels, by the order of the element."""

RATIO = 50.0
"""The smoother damps eigenvalues from largest / ratio to largest.

A segment with a nucleus of nu 0.499 takes 86, 82 and 79 iterations with degree 3 and ratios of 20, 30 and 50, and 72,
67 and 64 with degree 4, which take an eighth longer each. Degree 5 takes 55, in as much time. A cylinder of hex20
with such a disc takes 156 with degree 5 and a ratio of 20, 138 with 40.
"""


class AmgSystem(BaseSystem):
    """A problem on its assembled stiffness, preconditioned by smoothed aggregation [1]_.

    Parameters
    ----------
    problem : Problem
        Any mesh and constraints.
    n_threads : int
        Threads for the kernels.

    Notes
    -----
    Unknowns are the free nodes' components and the free motions of rigid bodies, which every level carries along
    unchanged. Aggregates move as rigid bodies; Chebyshev polynomials in the block-diagonally scaled matrix smooth. The
    cycle runs in float32, the conjugate gradients in float64 with the flexible choice of beta [2]_.

    References
    ----------
    .. [1] P. Vanek, J. Mandel, M. Brezina, Algebraic multigrid by smoothed aggregation for second and fourth order
       elliptic problems, Computing 56 (1996) 179-196.
    .. [2] Y. Notay, Flexible conjugate gradients, SIAM J. Sci. Comput. 22 (2000) 1444-1460.
    """

    def __init__(self, problem: Problem, n_threads: int) -> None:
        super().__init__(problem, "amg", n_threads)
        self._pattern = stiffness_pattern(problem)
        self._ties = tie_matrix(problem)
        self._nodes: FreeNodes | None = None
        self._set_matrix()

    def _set_matrix(self, stiffness: NDArray[np.float64] | None = None) -> None:
        """Assemble, with elements within a cell at a stiffness (m,) where given; take the free part, coarsen."""
        problem = self._problem
        K: Any = assemble_stiffness(problem, self._pattern)
        if stiffness is not None:
            K = add_inner_elements(problem, K, stiffness)
        if self._ties is not None:
            K = (self._ties.T @ K.tocsr() @ self._ties).tobsr((3, 3))
        if self._nodes is None:
            self._nodes = free_nodes(problem, K)
        nodes = self._nodes
        full, self._upper = free_blocks(nodes, K, has_own_pattern=stiffness is None and self._ties is None)
        R = rigid_matrix(problem, self._rigid)
        KR = np.asarray(K @ R)
        del K  # the largest array of the set-up: gone before the levels are made
        first = BlockLevel.make(full, problem.points[nodes.order], nodes.size, self._n_threads)
        columns = KR.reshape(len(problem.points), 3, R.shape[1])[nodes.order]
        columns[nodes.is_fixed.reshape(-1, 3)] = 0.0
        self._rigid_rows = np.flatnonzero(columns.any(axis=(1, 2)))
        self._rigid_columns = columns[self._rigid_rows]
        self._rigid_block = 0.5 * (R.T @ KR + (R.T @ KR).T)
        first.rigid_nodes, first.rigid_columns = self._rigid_rows, self._rigid_columns
        first.rigid_matrix = self._rigid_block
        self._first = first
        if stiffness is None and self.knows_elements:
            return  # the levels are made with the elements, in `linear_view`
        degrees = DEGREES[ELEMENTS[problem.element].order]
        levels = build_levels(first, full, self._n_threads, degrees=degrees, ratio=RATIO)
        if levels is None:
            raise InputError(
                f"{len(nodes.order)} nodes in too many separate parts for algebraic multigrid",
                fix="use method='direct'",
            )
        self._levels: BlockLevels = levels

    @property
    def knows_elements(self) -> bool:
        """Levels are those of any matrix on this pattern: of elements, those within a cell."""
        return bool(inner_elements(self._problem).any())

    def linear_view(self, stiffness: NDArray[np.float64] | None) -> LinearView:
        """The matrix, and levels with the elements within a cell at a stiffness (m,), N/mm."""
        other = self
        if stiffness is not None:
            other = copy.copy(self)
            other._set_matrix(stiffness)
            other._upper = none(np.float64)
        nodes, n, m = self._nodes, self._first.count + PADDING, len(self._rigid_block)
        assert nodes is not None
        P = reduction_matrix(self._problem)
        free = free_dofs(self._problem)
        places = np.concatenate([3 * nodes.number[free // 3].astype(np.int64) + free % 3, n + np.arange(m)])

        def multiply(x: NDArray[np.float64]) -> NDArray[np.float64]:
            out = np.zeros_like(x)
            out[n:] = self._apply(x[:n], x[n:], out[:n])
            return out

        def precondition(r: NDArray[np.float64]) -> NDArray[np.float64]:
            factor = 1.0 / (_norm(r[:n], r[n:]) or 1.0)
            vectors.round_off(r[:n], factor, other._first.b)
            z, z_rigid = other._levels.cycle(r[n:] * factor)
            out = np.zeros_like(r)
            vectors.scale_add(out[:n], 0.0, z, 1.0 / factor)
            out[n:] = z_rigid / factor
            return out

        return LinearView(n + m, places, P, multiply, precondition)

    def _apply(
        self, x: NDArray[np.float64], x_rigid: NDArray[np.float64], out: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Set out = A x on the nodes; returns A x on the rigid motions."""
        first = self._first
        block_sparse.block_sweep(
            block_sparse.PRODUCT, 3, first.slabs, first.starts, first.columns, self._upper, none(np.float64), x, x, out,
            0.0, 0.0, 0.0, first.room,
        )  # fmt: skip
        rows, C = self._rigid_rows, self._rigid_columns
        local = x[: first.count].reshape(-1, 3)[rows]
        out[: first.count].reshape(-1, 3)[rows] += (C * x_rigid).sum(axis=2)
        return np.asarray((C * local[:, :, None]).sum(axis=(0, 1)) + (self._rigid_block * x_rigid).sum(axis=1))

    def _solve_one(self, loads: Loads, options: SolveOptions) -> Raw:
        problem, nodes = self._problem, self._nodes
        assert nodes is not None
        lift = given_displacement(problem, loads)
        force = np.zeros_like(lift) if loads.nodal_force is None else loads.nodal_force
        if lift.any():
            force = force - internal_force(problem, lift)
        if self._ties is not None:
            force = (self._ties.T @ force.ravel()).reshape(-1, 3)
        b, x = self._vector(), self._vector()
        reduction.gather(nodes.order, force, b)
        reduction.mask(nodes.is_fixed, b)
        b_rigid, x_rigid = np.zeros(len(self._rigid_block)), np.zeros(len(self._rigid_block))
        for r, at in self._motions():
            b_rigid[at] = rigid_force(r, loads.rigid.get(r.body.name)) + np.einsum(
                "kcm,kc->m", r.matrix, force[r.body.points]
            )
        if options.starts:
            x, x_rigid = self._combined([self._unknowns(u0 - lift) for u0 in options.starts], b, b_rigid)
        x_rigid, norms = self._conjugate_gradients(b, b_rigid, x, x_rigid, options)
        u = np.zeros_like(lift)
        u[nodes.order] = x[: self._first.count].reshape(-1, 3)
        for r, at in self._motions():
            u[r.body.points] += r.matrix @ x_rigid[at]
        if self._ties is not None:
            u = (self._ties @ u.ravel()).reshape(-1, 3)
        return Raw(u + lift, None, norms, norms[-1] <= options.rtol)

    def _unknowns(self, u: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The free nodes' components and the rigid motions of a displacement."""
        assert self._nodes is not None
        x, x_rigid = self._vector(), np.zeros(len(self._rigid_block))
        for r, at in self._motions():
            modes = r.matrix.reshape(-1, len(r.free))
            x_rigid[at] = np.linalg.lstsq(modes, u[r.body.points].ravel(), rcond=None)[0]
        reduction.gather(self._nodes.order, u, x)
        reduction.mask(self._nodes.is_fixed, x)
        return x, x_rigid

    def _combined(
        self,
        starts: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
        b: NDArray[np.float64],
        b_rigid: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The combination of several starts that is nearest to the solution in energy; one start as it is."""
        if len(starts) == 1:
            return starts[0]
        n = len(starts)
        energy, work = np.zeros((n, n)), np.zeros(n)
        Ax = self._vector()
        for i, (x, x_rigid) in enumerate(starts):
            Ax_rigid = self._apply(x, x_rigid, Ax)
            work[i] = vectors.block_dot(x, b) + (x_rigid * b_rigid).sum()
            for j, (other, other_rigid) in enumerate(starts[: i + 1]):
                energy[i, j] = energy[j, i] = vectors.block_dot(other, Ax) + (other_rigid * Ax_rigid).sum()
        weights = combination_weights(energy, work)
        total, total_rigid = self._vector(), np.zeros_like(b_rigid)
        for weight, (x, x_rigid) in zip(weights, starts, strict=True):
            vectors.scale_add(total, 1.0, x, float(weight))
            total_rigid += weight * x_rigid
        return total, total_rigid

    def _conjugate_gradients(
        self,
        b: NDArray[np.float64],
        b_rigid: NDArray[np.float64],
        x: NDArray[np.float64],
        x_rigid: NDArray[np.float64],
        options: SolveOptions,
    ) -> tuple[NDArray[np.float64], list[float]]:
        """Solve A x = b from x, which becomes the solution; its rigid motions and the residual norms."""
        norm_b = _norm(b, b_rigid)
        if norm_b == 0.0:
            x[:] = 0.0
            return np.zeros_like(x_rigid), [0.0]
        r, p, Ap = self._vector(), self._vector(), self._vector()
        first, target = self._first, options.rtol
        r_rigid = self._residual(b, b_rigid, x, x_rigid, r)
        norms, before_restart = [_norm(r, r_rigid) / norm_b], np.inf
        # The recurrence's residual drifts from the true one: restart where that is too large, while it helps.
        while options.rtol < norms[-1] < 0.5 * before_restart and len(norms) <= MAX_ITERATIONS:
            before_restart = norms[-1]
            factor = 1.0 / (norms[-1] * norm_b)
            vectors.round_off(r, factor, first.b)
            z, z_rigid = self._levels.cycle(r_rigid * factor)
            p_rigid = z_rigid / factor
            vectors.scale_add(p, 0.0, z, 1.0 / factor)
            rz = vectors.block_dot(r, p) + r_rigid @ p_rigid
            while len(norms) <= MAX_ITERATIONS:
                Ap_rigid = self._apply(p, p_rigid, Ap)
                curvature = vectors.block_dot(p, Ap) + p_rigid @ Ap_rigid
                if not curvature > 0.0:
                    break
                alpha = rz / curvature
                factor = 1.0 / (norms[-1] * norm_b)
                rr = vectors.step(x, p, r, Ap, alpha, factor, first.b)
                x_rigid = x_rigid + alpha * p_rigid
                r_rigid = r_rigid - alpha * Ap_rigid
                norms.append(float(np.sqrt(rr + r_rigid @ r_rigid)) / norm_b)
                if options.progress is not None:
                    options.progress(len(norms) - 1, norms[-1])
                if norms[-1] <= target or not np.isfinite(norms[-1]):
                    break
                z, z_rigid = self._levels.cycle(r_rigid * factor)
                z_rigid = z_rigid / factor
                zr, zAp = vectors.two_dots(z, r, Ap)
                beta = -alpha * (zAp / factor + z_rigid @ Ap_rigid) / rz
                rz = zr / factor + z_rigid @ r_rigid
                vectors.scale_add(p, beta, z, 1.0 / factor)
                p_rigid = beta * p_rigid + z_rigid
            r_rigid = self._residual(b, b_rigid, x, x_rigid, r)
            norms[-1] = _norm(r, r_rigid) / norm_b
            target *= 0.1
        return x_rigid, norms

    def _residual(
        self,
        b: NDArray[np.float64],
        b_rigid: NDArray[np.float64],
        x: NDArray[np.float64],
        x_rigid: NDArray[np.float64],
        r: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Set r = b - A x on the nodes; returns it on the rigid motions."""
        on_rigid = self._apply(x, x_rigid, r)
        vectors.subtract_from(b, r)
        return b_rigid - on_rigid

    def _vector(self) -> NDArray[np.float64]:
        """A vector of zeros on the free nodes, with its padding."""
        return np.zeros(self._first.count + PADDING)

    def _motions(self) -> Iterator[tuple[RigidMap, slice]]:
        """Rigid bodies that can move, with the place of their unknowns."""
        start = 0
        for r in self._rigid:
            if len(r.free):
                yield r, slice(start, start + len(r.free))
                start += len(r.free)


def _norm(r: NDArray[np.float64], r_rigid: NDArray[np.float64]) -> float:
    """2-norm over nodes and rigid motions."""
    return float(np.sqrt(vectors.block_dot(r, r) + r_rigid @ r_rigid))
