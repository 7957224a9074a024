"""What every solver shares: right-hand sides, and a Solution from displacements."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import ConvergenceError, InputError
from fesolver.fem.connections import connection_sides
from fesolver.fem.constraints import RigidMap, check_elasticity, check_loads, rigid_maps
from fesolver.fem.members import member_forces
from fesolver.fem.problem import Elasticity, Loads, Problem
from fesolver.fem.recovery import initial_strain_force, internal_force
from fesolver.fem.threads import kernel_threads, threads_for
from fesolver.solvers.cavities import CavityResponse, cavity_forces
from fesolver.solvers.connected import ConnectedSystem
from fesolver.solvers.linear_view import LinearView
from fesolver.solvers.raw import Raw
from fesolver.solvers.solution import Progress, Solution, Start

__all__ = ["BaseSystem", "SolveOptions"]

_log = logging.getLogger("fesolver")


@dataclass(frozen=True)
class SolveOptions:
    """What `solve` was asked for, apart from loads."""

    starts: tuple[NDArray[np.float64], ...]
    rtol: float
    reaction_rtol: float | None
    progress: Progress | None

    @property
    def u0(self) -> NDArray[np.float64] | None:
        """The first start; None without one."""
        return self.starts[0] if self.starts else None


class BaseSystem:
    """Checks, loops over load cases and packs results; a solver adds `_solve_one`.

    Attributes
    ----------
    reason : str
        Why this method was taken.
    rescue : str or None
        Method that takes over where this one does not converge.
    """

    def __init__(self, problem: Problem, method: str, n_threads: int) -> None:
        self._n_threads = n_threads
        self._problem = problem
        self._method = method
        self._rigid: tuple[RigidMap, ...] = rigid_maps(problem)
        self._cavities: CavityResponse | None = None
        self._connected: ConnectedSystem | None = None
        self.reason = ""
        self.rescue: str | None = None

    @property
    def problem(self) -> Problem:
        """The problem that was prepared."""
        return self._problem

    @property
    def method(self) -> str:
        """Which solver, named."""
        return self._method

    def with_elasticity(self, elasticity: Elasticity) -> BaseSystem:
        """The same mesh and constraints with other moduli; what these do not change is kept."""
        other = copy.copy(self)
        other._problem = replace(self._problem, elasticity=elasticity)
        other._cavities = None
        other._connected = None
        check_elasticity(other._problem)
        with kernel_threads(threads_for(self._problem.points.size, self._n_threads)):
            other._set_matrix()
            other.connect()
        return other

    def _set_matrix(self) -> None:
        """Set up what depends on the moduli."""
        raise NotImplementedError

    @property
    def knows_elements(self) -> bool:
        """Whether the preconditioner of a view can take elements of connections in."""
        return False

    def linear_view(self, stiffness: NDArray[np.float64] | None) -> LinearView:
        """The matrix of this system, and a preconditioner with elements of a stiffness (m,), N/mm, or with none."""
        raise NotImplementedError

    def connect(self) -> None:
        """Set up the connections of the problem, where it has some."""
        if self._problem.connections and self._connected is None:
            self._connected = ConnectedSystem.of(self)

    def _solve_one(self, loads: Loads, options: SolveOptions) -> Raw:
        """One load case."""
        raise NotImplementedError

    def _solve_many(self, loads: Sequence[Loads], options: SolveOptions) -> list[Raw]:
        """Several load cases, one after the other."""
        return [self._solve_one(one, options) for one in loads]

    @overload
    def solve(
        self,
        loads: Loads,
        u0: Start | None = ...,
        rtol: float = ...,
        on_failure: Literal["raise", "return"] = ...,
        progress: Progress | None = ...,
        reaction_rtol: float | None = ...,
    ) -> Solution: ...
    @overload
    def solve(
        self,
        loads: Sequence[Loads],
        u0: Start | None = ...,
        rtol: float = ...,
        on_failure: Literal["raise", "return"] = ...,
        progress: Progress | None = ...,
        reaction_rtol: float | None = ...,
    ) -> list[Solution]: ...
    def solve(
        self,
        loads: Loads | Sequence[Loads],
        u0: Start | None = None,
        rtol: float = 1e-8,
        on_failure: Literal["raise", "return"] = "raise",
        progress: Progress | None = None,
        reaction_rtol: float | None = None,
    ) -> Solution | list[Solution]:
        """Displacements for one or many load cases.

        Parameters
        ----------
        loads : Loads or sequence of Loads
            One load case, or several for the same prepared system.
        u0 : (n_points, 3) ndarray or sequence of them, optional
            Displacement to start from, mm (an iterative solver returns it at once where it already satisfies `rtol`).
            From several, `amg` starts at their combination of least energy; other methods, and problems with
            connections, at the first.
        rtol : float
            Stop when ||f - K u|| / ||f|| in float64 over the free unknowns is below it.
        on_failure : {"raise", "return"}
            What to do when `rtol` is not reached.
        progress : callable, optional
            Called with (iteration, relative residual).
        reaction_rtol : float, optional
            Voxel multigrid only: stop as soon as the strain energy, and with it the reaction to a given motion, is
            estimated to be this close to its final value, even if `rtol` is not reached.

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
        cases = [loads] if isinstance(loads, Loads) else list(loads)
        if not 0 < rtol < 1:
            raise InputError(f"rtol must lie between 0 and 1, got {rtol}")
        if on_failure not in ("raise", "return"):
            raise InputError(f"unknown on_failure {on_failure!r}", fix="use 'raise' or 'return'")
        if reaction_rtol is not None:
            if self._method != "voxel-multigrid":
                raise InputError(f"method {self._method!r} cannot stop on the reaction", fix="leave out reaction_rtol")
            if not 0 < reaction_rtol < 1:
                raise InputError(f"reaction_rtol must lie between 0 and 1, got {reaction_rtol}")
        for case in cases:
            check_loads(self._problem, case)
        starts = () if u0 is None else (u0,) if isinstance(u0, np.ndarray) else tuple(u0)
        for start in starts:
            if start.shape != self._problem.points.shape:
                raise InputError(f"u0 must have shape {self._problem.points.shape}, got {start.shape}")
            if not np.all(np.isfinite(start)):
                raise InputError("u0 must be finite")
        options = SolveOptions(starts, rtol, reaction_rtol, progress)
        with kernel_threads(threads_for(self._problem.points.size, self._n_threads)):
            stress_free = [self._initial_force(case) for case in cases]
            forced = [_with_force(case, f) for case, f in zip(cases, stress_free, strict=True)]
            pressures = [np.zeros(0) for _ in cases]
            if self._problem.connections:
                found = self._solve_connected(forced, options, on_failure)
                pressures = [np.zeros(0) if raw.pressure is None else raw.pressure for raw in found]
            else:
                found = self._solve_or_rescue(forced, options)
            if self._problem.cavities and not self._problem.connections:
                cavities = self._cavity_response(rtol, progress)
                found, pressures = cavities.fill(found)
            for raw in found:
                if not self._is_solved(raw) and on_failure == "raise":
                    raise ConvergenceError(
                        f"{self._method} stopped at a relative residual of {raw.norms[-1]:.2e} after "
                        f"{len(raw.norms) - 1} iterations; {rtol:.0e} was asked for",
                        fix="check contrast and supports, ask for a looser rtol, or use another method",
                    )
            packed = [self._pack(*of_case, rtol) for of_case in zip(cases, found, stress_free, pressures, strict=True)]
        return packed[0] if isinstance(loads, Loads) else packed

    @staticmethod
    def _is_solved(raw: Raw) -> bool:
        """Converged to finite numbers."""
        return raw.is_converged and bool(np.all(np.isfinite(raw.u)))

    def _solve_or_rescue(self, loads: Sequence[Loads], options: SolveOptions) -> list[Raw]:
        """Load cases of nodal forces and motions; those that do not converge, by the method that stands by."""
        found = self._solve_many(loads, options)
        if self.rescue is None or all(map(self._is_solved, found)):
            return found
        from fesolver.solvers.assembled import AssembledSystem

        _log.warning("%s did not converge; %s takes over", self._method, self.rescue)
        other = AssembledSystem(self._problem, self.rescue, self._n_threads)
        return [
            raw if self._is_solved(raw) else replace(other._solve_one(one, options), method=self.rescue)
            for raw, one in zip(found, loads, strict=True)
        ]

    def _solve_connected(
        self, loads: Sequence[Loads], options: SolveOptions, on_failure: Literal["raise", "return"]
    ) -> list[Raw]:
        """Load cases of a problem with connections."""
        if options.reaction_rtol is not None:
            raise InputError("a problem with connections cannot stop on the reaction", fix="leave out reaction_rtol")
        self.connect()
        assert self._connected is not None
        found = [self._connected.solve(one, options.u0, options.rtol, options.progress) for one in loads]
        if on_failure == "raise":
            for raw in found:
                self._connected.check(raw, options.rtol)
        return found

    def _initial_force(self, loads: Loads) -> NDArray[np.float64] | None:
        """Nodal force (n_points, 3) that stands for the initial strain; None without one."""
        if loads.initial_strain is None:
            return None
        return initial_strain_force(self._problem, loads.initial_strain)

    def _cavity_response(self, rtol: float, progress: Progress | None) -> CavityResponse:
        """What a unit pressure in each cavity does, solved once per system and tolerance."""
        if self._cavities is None or self._cavities.rtol > rtol:
            forces = cavity_forces(self._problem)
            # What a pressure adds to the residual counts by its nodal forces over the load, 28 N of 500 N in a nucleus
            # of T12-L2: the load's own tolerance keeps the sum within it.
            options = SolveOptions((), rtol, None, progress)
            raw = self._solve_or_rescue([Loads(nodal_force=force) for force in forces], options)
            self._cavities = CavityResponse.of(self._problem, forces, raw, rtol)
        return self._cavities

    def _pack(
        self,
        loads: Loads,
        raw: Raw,
        stress_free: NDArray[np.float64] | None,
        pressures: NDArray[np.float64],
        rtol: float,
    ) -> Solution:
        """Motions and reactions from the displacement."""
        u = raw.u
        internal = internal_force(self._problem, u) if raw.internal_force is None else raw.internal_force
        if stress_free is not None:
            internal = internal - stress_free
        for connections in self._problem.connections:
            points, _, force = connection_sides(connections, raw.connections[connections.name].force)
            np.add.at(internal, points, force)
        external = np.zeros_like(u) if loads.nodal_force is None else loads.nodal_force
        if len(pressures):
            external = external + np.einsum("c,cni->ni", pressures, cavity_forces(self._problem))
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
            cavity_pressure=dict(zip([c.name for c in self._problem.cavities], pressures.tolist(), strict=True)),
            member_force={m.name: member_forces(m, u) for m in self._problem.members},
            iterations=len(raw.norms) - 1,
            residual_norms=tuple(raw.norms),
            rtol=rtol,
            method=raw.method or self._method,
            is_converged=self._is_solved(raw),
            stopped_by=raw.stopped_by,
            connections=raw.connections,
            active_set=raw.active_set,
        )


def _with_force(loads: Loads, force: NDArray[np.float64] | None) -> Loads:
    """Loads with a nodal force added in place of their initial strain."""
    if force is None:
        return loads
    return replace(
        loads, nodal_force=force if loads.nodal_force is None else loads.nodal_force + force, initial_strain=None
    )
