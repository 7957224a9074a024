"""Assembled matrices: a sparse direct factorisation, or conjugate gradients with smoothed aggregation (pyamg)."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.assembly import (
    assemble_stiffness,
    nearest_unknowns,
    reduced_force,
    reduction_matrix,
    stiffness_pattern,
)
from fesolver.fem.connections import connection_set
from fesolver.fem.constraints import given_displacement, rigid_modes
from fesolver.fem.problem import Loads, Problem
from fesolver.solvers.linear_view import LinearView
from fesolver.solvers.raw import Raw
from fesolver.solvers.reduced import BaseSystem, SolveOptions
from fesolver.solvers.solution import Progress

__all__ = ["AssembledSystem"]

MAX_ITERATIONS = 1000


class AssembledSystem(BaseSystem):
    """A reduced, assembled problem: A = P^T K P.

    Parameters
    ----------
    problem : Problem
        Any hexahedral mesh and constraints.
    method : {"pyamg", "direct"}
        Smoothed aggregation with the rigid-body modes as near null space [1]_, or SuperLU.

    References
    ----------
    .. [1] N. Bell, L. Olson, J. Schroder, B. Southworth, PyAMG: algebraic multigrid solvers in Python, JOSS 8, 2023.
    """

    def __init__(self, problem: Problem, method: str, n_threads: int) -> None:
        super().__init__(problem, method, n_threads)
        self._pattern = stiffness_pattern(problem)
        self._P = reduction_matrix(problem)
        self._set_matrix()

    def _set_matrix(self) -> None:
        """Assemble and reduce; factorise or coarsen."""
        self._K = assemble_stiffness(self._problem, self._pattern).tocsr()
        self._A = (self._P.T @ self._K @ self._P).tocsr()
        if not self._problem.connections:
            self._set_factor()

    def _set_factor(self) -> None:
        """Factorise or coarsen."""
        if self._method == "direct":
            from scipy.sparse.linalg import splu

            self._factor: Any = splu(self._A.tocsc()) if self._A.shape[0] else None
            return
        import pyamg

        modes = rigid_modes(self._problem.points, self._problem.points.mean(axis=0)).reshape(-1, 6)
        B = nearest_unknowns(self._P, modes)
        state = np.random.get_state()  # noqa: NPY002
        np.random.seed(0)  # noqa: NPY002 (pyamg estimates spectral radii from numpy's global generator)
        try:
            self._factor = pyamg.smoothed_aggregation_solver(
                self._A, B=B, strength=("symmetric", {"theta": 0.01}), smooth="jacobi",
                presmoother=("block_gauss_seidel", {"sweep": "symmetric", "blocksize": 1}),
                postsmoother=("block_gauss_seidel", {"sweep": "symmetric", "blocksize": 1}),
                max_coarse=500,
            )  # fmt: skip
        finally:
            np.random.set_state(state)  # noqa: NPY002

    @property
    def knows_elements(self) -> bool:
        """Factors and levels are those of any matrix."""
        return True

    def linear_view(self, stiffness: NDArray[np.float64] | None) -> LinearView:
        """The matrix, and factors or levels with all elements at a stiffness (m,), N/mm."""
        other = self
        if stiffness is not None:
            B = connection_set(self._problem).matrix @ self._P
            other = copy.copy(self)
            other._A = (self._A + B.T @ B.multiply(stiffness[:, None]).tocsr()).tocsr()
            other._set_factor()
        n = self._P.shape[1]
        if self._method == "direct":
            precondition = other._factor.solve
        else:
            precondition = other._factor.aspreconditioner(cycle="V").matvec
        return LinearView(n, np.arange(n), self._P, lambda x: np.asarray(self._A @ x), precondition)

    def _solve_one(self, loads: Loads, options: SolveOptions) -> Raw:
        lift = given_displacement(self._problem, loads)
        external = np.zeros_like(lift) if loads.nodal_force is None else loads.nodal_force
        force = external - (self._K @ lift.ravel()).reshape(-1, 3)
        b = reduced_force(self._problem, self._P, force, loads)
        norm_b = float(np.linalg.norm(b))
        if norm_b == 0.0:
            return Raw(lift, None, [0.0], True)
        if self._method == "direct":
            x = self._factor.solve(b)
            for _ in range(3):  # iterative refinement
                r = b - self._A @ x
                if float(np.linalg.norm(r)) <= min(options.rtol, 1e-12) * norm_b:
                    break
                x = x + self._factor.solve(r)
            norms = [float(np.linalg.norm(b - self._A @ x)) / norm_b]
        else:
            x, norms = self._conjugate_gradients(b, options.u0, lift, options.rtol, options.progress)
        u = (self._P @ x).reshape(-1, 3) + lift
        return Raw(u, None, norms, norms[-1] <= options.rtol)

    def _conjugate_gradients(
        self,
        b: NDArray[np.float64],
        u0: NDArray[np.float64] | None,
        lift: NDArray[np.float64],
        rtol: float,
        progress: Progress | None,
    ) -> tuple[NDArray[np.float64], list[float]]:
        """Preconditioned conjugate gradients on the true residual."""
        A, M = self._A, self._factor.aspreconditioner(cycle="V")
        x = np.zeros_like(b) if u0 is None else nearest_unknowns(self._P, (u0 - lift).ravel())
        norm_b = float(np.linalg.norm(b))
        r = b - A @ x
        norms = [float(np.linalg.norm(r)) / norm_b]
        z = M @ r
        p, rz = z.copy(), float(r @ z)
        while norms[-1] > rtol and len(norms) <= MAX_ITERATIONS:
            Ap = A @ p
            alpha = rz / float(p @ Ap)
            x += alpha * p
            r -= alpha * Ap
            if len(norms) % 50 == 0:
                r = b - A @ x
            norms.append(float(np.linalg.norm(r)) / norm_b)
            if progress is not None:
                progress(len(norms) - 1, norms[-1])
            z = M @ r
            rz_next = float(r @ z)
            p = z + (rz_next / rz) * p
            rz = rz_next
        norms[-1] = float(np.linalg.norm(b - A @ x)) / norm_b
        if not np.isfinite(norms[-1]):
            raise InputError("the assembled system is singular or indefinite", fix="check supports and moduli")
        return x, norms
