"""Problems with connections: which piece of its law each element is on, by an outer loop over linear solves.

The energy of a solid with connections, u . K u / 2 + sum of psi_i(b_i . u) - f . u, is convex and once differentiable,
its gradient linear on each set of pieces. Newton's method takes the stiffness of the present pieces; a line search on
the energy makes it converge from any start, and since the energy has one minimum, to one answer [1]_, [2]_. The matrix
of the solid and a preconditioner serve all iterations: the elements are added as a sparse product.

References
----------
.. [1] L. Qi, J. Sun, A nonsmooth version of Newton's method, Math. Program. 58 (1993) 353-367.
.. [2] P. Wriggers, *Computational Contact Mechanics*, 2nd ed., Springer, 2006: active sets as Newton steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.connections import ConnectionSet
from fesolver.fem.kernels import vectors
from fesolver.solvers.flexible_cg import CgResult, flexible_cg, vector_norm
from fesolver.solvers.linear_view import LinearView, Vector
from fesolver.solvers.solution import ActiveSetRecord, Progress

__all__ = ["ActiveSetProblem", "ActiveSetResult", "FluidRows", "solve_active_set", "step_length"]

MAX_OUTER = 60
"""Outer iterations, several times what a spine segment needs."""

MAX_INNER = 1000
"""Iterations of one linear solve."""

COARSE = 1e-2
"""Tolerance of a linear solve, relative to its right-hand side, while pieces still change."""

SLOWER = 1.5
"""Growth of iterations per decade over the first solve's at which the preconditioner is made anew."""

WORTH = 12
"""Iterations below which a solve is quicker than a new preconditioner."""

Remake = Callable[[NDArray[np.int64]], LinearView]
"""A view whose preconditioner knows the elements' present pieces."""


@dataclass(frozen=True)
class FluidRows:
    """Fluid cavities as rows beside the matrix: gradient . x + given + compliance p = 0 for the pressure p of each.

    Parameters
    ----------
    gradient : (c, size) ndarray
        Derivative of each volume by the unknowns, mm2.
    given : (c,) ndarray
        Change of each volume by what is prescribed, mm3.
    compliance : (c,) ndarray
        Of the fluid, mm3/MPa.
    """

    gradient: NDArray[np.float64]
    given: NDArray[np.float64]
    compliance: NDArray[np.float64]


@dataclass(frozen=True)
class ActiveSetProblem:
    """One load case in the unknowns of a solver.

    Parameters
    ----------
    elements : ConnectionSet
        Laws.
    B : (m, size) sparse matrix
        Elongation by the unknowns.
    given : (m,) ndarray
        Elongation by what is prescribed, mm.
    b : (size,) ndarray
        Forces on the unknowns, N.
    fluid : FluidRows
        Of no rows without cavities.
    """

    elements: ConnectionSet
    B: Any
    given: Vector
    b: Vector
    fluid: FluidRows

    def elongation(self, x: Vector) -> Vector:
        """Elongation of every element, mm."""
        return np.asarray(self.B @ x + self.given)

    def residual(self, A: Callable[[Vector], Vector], x: Vector, p: Vector) -> tuple[Vector, Vector]:
        """Out-of-balance forces, N, and volumes that fluids miss, mm3."""
        r = self.b - A(x) - self.B.T @ self.elements.force(self.elongation(x))
        r += (self.fluid.gradient * p[:, None]).sum(axis=0)
        missing = (self.fluid.gradient * x).sum(axis=1) + self.fluid.given + self.fluid.compliance * p
        return r, -missing


@dataclass(frozen=True)
class ActiveSetResult:
    """What the loop found.

    Parameters
    ----------
    x : (size,) ndarray
        Unknowns.
    elongation : (m,) ndarray
        mm.
    pressure : (c,) ndarray
        MPa.
    norms : list of float
        Relative residuals of the linear solves' iterations, the last one true.
    record : ActiveSetRecord
        How it went.
    is_converged : bool
        Whether the true residual is within the tolerance.
    """

    x: Vector
    elongation: Vector
    pressure: Vector
    norms: list[float]
    record: ActiveSetRecord
    is_converged: bool


@dataclass
class _Loop:
    """The outer loop: where it is, and what its record is made of."""

    case: ActiveSetProblem
    view: LinearView
    x: Vector
    p: Vector
    pieces: NDArray[np.int64]
    scale: float
    progress: Progress | None
    changes: list[int] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    set_ups: int = 1
    pace: float = 0.0

    def residual(self) -> tuple[Vector, Vector]:
        """Out-of-balance forces, noted, and volumes that fluids miss."""
        r, missing = self.case.residual(self.view.multiply, self.x, self.p)
        self.norms.append(vector_norm(r) / self.scale if self.scale > 0.0 else 0.0)
        return r, missing

    def linear(self, right: Vector, start: Vector | None, rtol: float) -> CgResult:
        """Solve with the solid and the elements' present stiffness."""
        case, view, first = self.case, self.view, self.norms[-1]
        k = case.elements.tangent(self.pieces)

        def note(_: int, reduction: float) -> None:
            self.norms.append(first * reduction)
            if self.progress is not None:
                self.progress(len(self.norms) - 1, self.norms[-1])

        return flexible_cg(
            lambda q: view.multiply(q) + case.B.T @ (k * (case.B @ q)), view.precondition, right,
            rtol=rtol, max_iterations=MAX_INNER, x0=start, on_iteration=note,
        )  # fmt: skip

    def move(self, r: Vector, d: Vector, dp: Vector, before: int) -> None:
        """Take a step along d, and note it."""
        is_on_fluid = bool(self.changes) or not len(dp)
        t = _step(self.case, self.view, self.x, r, d, dp) if is_on_fluid else 1.0
        self.x, self.p = self.x + t * d, self.p + t * dp
        now = self.case.elements.piece(self.case.elongation(self.x))
        self.changes.append(int(np.count_nonzero(now != self.pieces)))
        self.iterations.append(len(self.norms) - before)
        self.steps.append(t)
        self.pieces = now

    def renew(self, result: CgResult, remake: Remake | None) -> None:
        """Make the preconditioner anew where a solve needed many more iterations per decade than the first one."""
        decades = max(-np.log10(max(result.reduction, 1e-300)), 1e-3)
        pace = result.iterations / decades
        self.pace = self.pace or pace
        if remake is not None and result.iterations > WORTH and pace > SLOWER * self.pace:
            self.view, self.pace = remake(self.pieces), 0.0
            self.set_ups += 1


def solve_active_set(
    case: ActiveSetProblem,
    view: LinearView,
    *,
    x0: Vector | None,
    rtol: float,
    progress: Progress | None = None,
    remake: Remake | None = None,
) -> ActiveSetResult:
    """Unknowns and pieces of one load case.

    Parameters
    ----------
    case : ActiveSetProblem
        Forces and elements.
    view : LinearView
        The solid's matrix and a preconditioner.
    x0 : (size,) ndarray or None
        Start; its elongations say which pieces are tried first. Without one every element begins on the softest piece
        that resists.
    rtol : float
        On the out-of-balance forces relative to the loads'.
    progress : callable, optional
        Called with (iteration, relative residual).
    remake : callable, optional
        Makes the preconditioner anew for given pieces where the old one has become slow.

    Notes
    -----
    While pieces change, linear solves stop at 1e-2; once none changed, the next goes to the end.
    """
    x = np.zeros(view.size) if x0 is None else x0.copy()
    pieces = case.elements.first_piece() if x0 is None else case.elements.piece(case.elongation(x))
    loop = _Loop(case, view, x, np.zeros(len(case.fluid.given)), pieces, _scale(case), progress)
    unit: list[Vector | None] = [None] * len(loop.p)
    r, missing = loop.residual()
    while loop.scale > 0.0 and len(loop.changes) < MAX_OUTER and np.isfinite(loop.norms[-1]):
        if loop.norms[-1] <= rtol and _is_filled(case, missing, loop.p):
            break
        is_settled = bool(loop.changes) and loop.changes[-1] == 0 and loop.steps[-1] == 1.0
        inner = float(np.clip(0.3 * rtol / loop.norms[-1], 1e-10, COARSE)) if is_settled else COARSE
        before = len(loop.norms)
        found = loop.linear(r, None, inner)
        d, dp = found.x, np.zeros_like(loop.p)
        if len(dp):
            unit = [loop.linear(g, w, min(inner, 1e-6)).x for g, w in zip(case.fluid.gradient, unit, strict=True)]
            d, dp = _with_fluid(case.fluid, d, np.array(unit), missing)
        loop.move(r, d, dp, before)
        loop.renew(found, remake)
        r, missing = loop.residual()
    record = ActiveSetRecord(tuple(loop.changes), tuple(loop.iterations), tuple(loop.steps), loop.set_ups)
    is_converged = bool(loop.norms[-1] <= rtol) and _is_filled(case, missing, loop.p)
    return ActiveSetResult(loop.x, case.elongation(loop.x), loop.p, loop.norms, record, is_converged)


def _scale(case: ActiveSetProblem) -> float:
    """Size of the forces at zero unknowns, N: of the loads, and of what elements do under what is given."""
    return max(vector_norm(case.b), vector_norm(case.B.T @ case.elements.force(case.given)))


def _is_filled(case: ActiveSetProblem, missing: Vector, p: Vector) -> bool:
    """Whether every fluid fills its cavity to 1e-6 of its own change, or of 1 mm3."""
    return bool(np.all(np.abs(missing) <= 1e-6 * np.maximum(1.0, np.abs(case.fluid.compliance * p))))


def _with_fluid(fluid: FluidRows, d: Vector, unit: NDArray[np.float64], missing: Vector) -> tuple[Vector, Vector]:
    """Newton step with the pressures' part, by block elimination; the pressures' steps."""
    matrix = (fluid.gradient[:, None, :] * unit[None, :, :]).sum(axis=2) + np.diag(fluid.compliance)
    dp = np.linalg.solve(matrix, missing - (fluid.gradient * d).sum(axis=1))
    return d + (unit * dp[:, None]).sum(axis=0), dp


def _step(case: ActiveSetProblem, view: LinearView, x: Vector, r: Vector, d: Vector, dp: Vector) -> float:
    """Part of a Newton step to take."""
    curvature = vectors.block_dot(d, view.multiply(d)) - float(np.sum((case.fluid.gradient * d).sum(axis=1) * dp))
    slope = -vectors.block_dot(r, d)
    return step_length(case.elements, slope, curvature, case.elongation(x), np.asarray(case.B @ d))


def step_length(elements: ConnectionSet, slope: float, curvature: float, e: Vector, de: Vector) -> float:
    """Where the energy along a step is lowest; 1 where it falls by most of what it can by then.

    Parameters
    ----------
    elements : ConnectionSet
        Laws.
    slope : float
        Derivative of the energy along the step at its beginning, N mm, negative.
    curvature : float
        Second derivative by the solid, N mm.
    e, de : (m,) ndarray
        Elongations at the beginning, and their change over the step, mm.

    Returns
    -------
    float
        In (0, 16].
    """
    at_start = elements.force(e)

    def derivative(t: float) -> float:
        return slope + t * curvature + float(np.sum(de * (elements.force(e + t * de) - at_start)))

    if not slope < 0.0 or abs(derivative(1.0)) <= 0.3 * abs(slope):
        return 1.0
    low, high = 0.0, 1.0
    while derivative(high) < 0.0 and high < 16.0:
        low, high = high, 2.0 * high
    for _ in range(60):
        middle = 0.5 * (low + high)
        at = derivative(middle)
        if abs(at) <= 1e-3 * abs(slope):
            return middle
        low, high = (middle, high) if at < 0.0 else (low, middle)
    return 0.5 * (low + high)
