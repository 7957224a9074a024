"""What a solve returns, and how it came about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.problem import Elasticity, Loads, Problem

__all__ = ["ActiveSetRecord", "ConnectionState", "Progress", "Solution", "Start", "System"]

Progress = Callable[[int, float], None]
"""Called as `progress(iteration, relative_residual)`."""

Start = NDArray[np.float64] | Sequence[NDArray[np.float64]]
"""A displacement (n_points, 3), mm, or several."""


@dataclass(frozen=True)
class ConnectionState:
    """What the elements of one `Connections` do.

    Parameters
    ----------
    elongation : (m,) ndarray
        mm.
    force : (m,) ndarray
        N, tension positive.
    piece : (m,) ndarray of int64
        Which straight piece of its law each element is on, 0 below the first break.
    """

    elongation: NDArray[np.float64]
    force: NDArray[np.float64]
    piece: NDArray[np.int64]


@dataclass(frozen=True)
class ActiveSetRecord:
    """How the outer loop over the pieces of connections went.

    Parameters
    ----------
    changes : tuple of int
        Elements on another piece after each outer iteration than before it; 0 in the last.
    linear_iterations : tuple of int
        Iterations of the linear solver in each.
    steps : tuple of float
        Part of each Newton step that was taken.
    set_ups : int
        How often the preconditioner was made.
    """

    changes: tuple[int, ...]
    linear_iterations: tuple[int, ...]
    steps: tuple[float, ...]
    set_ups: int


@dataclass(frozen=True)
class Solution:
    """Displacements and how they were found.

    Parameters
    ----------
    u : (n_points, 3) ndarray
        Displacement, mm.
    internal_force : (n_points, 3) ndarray
        N: what stresses and members put on each point, K u less what stands for an initial strain; equals external
        force, fluid pressure and support reaction together.
    rigid_motion : mapping of str to (6,) ndarray
        Motion of each rigid body about its reference point (mm, rad).
    rigid_reaction : mapping of str to (6,) ndarray
        Force (N) and moment (N mm) about the reference point that each rigid body exerts on the mesh.
    iterations : int
        Iterations used (0 for a direct solve).
    residual_norms : tuple of float
        ||f - K u|| / ||f|| after each iteration; 2-norm in float64 over the free unknowns (rigid rotations scaled to
        a length).
    rtol : float
        Tolerance asked for.
    method : str
        Which solver, named.
    is_converged : bool
        Whether what was asked for was reached.
    stopped_by : str
        "residual", or "reaction" where `reaction_rtol` ended the iteration first.
    cavity_pressure : mapping of str to float
        Pressure of each fluid cavity, MPa, positive in compression.
    member_force : mapping of str to (k, 3) ndarray
        Force, N, that each truss or spring of a group puts on its second end.
    connections : mapping of str to ConnectionState
        Elongation, force and piece of the law of every ligament strand, contact and fibre of a group.
    active_set : ActiveSetRecord or None
        How the pieces were found; None without connections.
    """

    u: NDArray[np.float64]
    internal_force: NDArray[np.float64]
    rigid_motion: Mapping[str, NDArray[np.float64]]
    rigid_reaction: Mapping[str, NDArray[np.float64]]
    iterations: int
    residual_norms: tuple[float, ...]
    rtol: float
    method: str
    is_converged: bool
    stopped_by: str = "residual"
    cavity_pressure: Mapping[str, float] = field(default_factory=dict)
    member_force: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    connections: Mapping[str, ConnectionState] = field(default_factory=dict)
    active_set: ActiveSetRecord | None = None


class System(Protocol):
    """A prepared problem: solve it for loads, or give it other moduli."""

    @property
    def problem(self) -> Problem:
        """The problem that was prepared."""
        ...

    @property
    def method(self) -> str:
        """Which solver, named."""
        ...

    @property
    def reason(self) -> str:
        """Why this solver was taken."""
        ...

    def with_elasticity(self, elasticity: Elasticity) -> System:
        """The same mesh and constraints with other moduli; reuses what stays valid."""
        ...

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
