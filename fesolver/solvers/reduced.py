"""What every solver shares: right-hand sides, and a Solution from displacements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import ConvergenceError, InputError
from fesolver.fem.constraints import RigidMap, check_loads, rigid_maps
from fesolver.fem.problem import Loads, Problem
from fesolver.fem.recovery import internal_force
from fesolver.fem.threads import kernel_threads, threads_for
from fesolver.solvers.solution import Progress, Solution

__all__ = ["BaseSystem"]


class BaseSystem:
    """Checks, loops over load cases and packs results; a solver adds `_solve_one`."""

    def __init__(self, problem: Problem, method: str, n_threads: int) -> None:
        self._n_threads = n_threads
        self._problem = problem
        self._method = method
        self._rigid: tuple[RigidMap, ...] = rigid_maps(problem)

    @property
    def problem(self) -> Problem:
        """The problem that was prepared."""
        return self._problem

    @property
    def method(self) -> str:
        """Which solver, named."""
        return self._method

    def _solve_one(
        self, loads: Loads, u0: NDArray[np.float64] | None, rtol: float, progress: Progress | None
    ) -> tuple[NDArray[np.float64], list[float], bool]:
        """Displacement (n_points, 3), residual norms, whether `rtol` was reached."""
        raise NotImplementedError

    @overload
    def solve(
        self,
        loads: Loads,
        u0: NDArray[np.float64] | None = ...,
        rtol: float = ...,
        on_failure: Literal["raise", "return"] = ...,
        progress: Progress | None = ...,
    ) -> Solution: ...
    @overload
    def solve(
        self,
        loads: Sequence[Loads],
        u0: NDArray[np.float64] | None = ...,
        rtol: float = ...,
        on_failure: Literal["raise", "return"] = ...,
        progress: Progress | None = ...,
    ) -> list[Solution]: ...
    def solve(
        self,
        loads: Loads | Sequence[Loads],
        u0: NDArray[np.float64] | None = None,
        rtol: float = 1e-8,
        on_failure: Literal["raise", "return"] = "raise",
        progress: Progress | None = None,
    ) -> Solution | list[Solution]:
        """Displacements for one or many load cases.

        Parameters
        ----------
        loads : Loads or sequence of Loads
            One load case, or several for the same prepared system.
        u0 : (n_points, 3) ndarray, optional
            Displacement to start from, mm (an iterative solver returns it at once where it already satisfies `rtol`).
        rtol : float
            Stop when ||f - K u|| / ||f|| in float64 over the free unknowns is below it.
        on_failure : {"raise", "return"}
            What to do when `rtol` is not reached.
        progress : callable, optional
            Called with (iteration, relative residual).

        Returns
        -------
        Solution, or a list of them for a sequence.

        Raises
        ------
        ConvergenceError
            If `rtol` is not reached and `on_failure` is "raise".
        InputError
            If loads or `u0` do not fit the problem.
        """
        if not isinstance(loads, Loads):
            return [self.solve(one, u0, rtol, on_failure, progress) for one in loads]
        if not 0 < rtol < 1:
            raise InputError(f"rtol must lie between 0 and 1, got {rtol}")
        check_loads(self._problem, loads)
        if u0 is not None and u0.shape != self._problem.points.shape:
            raise InputError(f"u0 must have shape {self._problem.points.shape}, got {u0.shape}")
        if u0 is not None and not np.all(np.isfinite(u0)):
            raise InputError("u0 must be finite")
        with kernel_threads(threads_for(self._problem.points.size, self._n_threads)):
            u, norms, is_converged = self._solve_one(loads, u0, rtol, progress)
        is_converged = is_converged and bool(np.all(np.isfinite(u)))
        if not is_converged and on_failure == "raise":
            raise ConvergenceError(
                f"{self._method} stopped at a relative residual of {norms[-1]:.2e} after {len(norms) - 1} iterations; "
                f"{rtol:.0e} was asked for",
                fix="check contrast and supports, ask for a looser rtol, or use another method",
            )
        with kernel_threads(threads_for(self._problem.points.size, self._n_threads)):
            return self._pack(loads, u, norms, rtol, is_converged)

    def _pack(
        self, loads: Loads, u: NDArray[np.float64], norms: list[float], rtol: float, is_converged: bool
    ) -> Solution:
        """Internal forces, motions and reactions from the displacement."""
        internal = internal_force(self._problem, u)
        external = np.zeros_like(u) if loads.nodal_force is None else loads.nodal_force
        motion: dict[str, NDArray[np.float64]] = {}
        reaction: dict[str, NDArray[np.float64]] = {}
        for rigid in self._rigid:
            points = rigid.body.points
            modes = rigid.modes.reshape(-1, 6)
            motion[rigid.body.name] = np.asarray(
                np.linalg.lstsq(modes, u[points].ravel(), rcond=None)[0], dtype=np.float64
            )
            reaction[rigid.body.name] = modes.T @ (internal - external)[points].ravel()
        return Solution(
            u=u,
            internal_force=internal,
            rigid_motion=motion,
            rigid_reaction=reaction,
            iterations=len(norms) - 1,
            residual_norms=tuple(norms),
            rtol=rtol,
            method=self._method,
            is_converged=is_converged,
        )
