"""A prepared system together with its connections: from load cases to what the active set finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import ConvergenceError
from fesolver.fem.assembly import nearest_unknowns, reduced_force
from fesolver.fem.cavity import enclosed_volume
from fesolver.fem.connections import ConnectionSet, connection_set
from fesolver.fem.constraints import given_displacement
from fesolver.fem.problem import Loads, Problem
from fesolver.fem.recovery import internal_force
from fesolver.solvers.active_set import ActiveSetProblem, ActiveSetResult, FluidRows, solve_active_set
from fesolver.solvers.cavities import cavity_forces
from fesolver.solvers.linear_view import LinearView
from fesolver.solvers.raw import Raw
from fesolver.solvers.solution import ConnectionState, Progress

if TYPE_CHECKING:
    from fesolver.solvers.reduced import BaseSystem

__all__ = ["ConnectedSystem"]


@dataclass
class ConnectedSystem:
    """What all load cases of one problem with connections share.

    Parameters
    ----------
    problem : Problem
        With connections.
    view : LinearView
        Matrix of the solid, and a preconditioner for it with the elements as they begin.
    remake : callable or None
        Makes a view for other pieces; None where the preconditioner does not know elements.
    elements : ConnectionSet
        Laws and elongations.
    B : (m, size) sparse matrix
        Elongation by the solver's unknowns.
    """

    problem: Problem
    view: LinearView
    remake: Callable[[NDArray[np.int64]], LinearView] | None
    elements: ConnectionSet
    B: Any

    @classmethod
    def of(cls, system: BaseSystem) -> ConnectedSystem:
        """Set up the elements of a system, and a preconditioner that knows them where the method can.

        Notes
        -----
        Fibres can be a hundred times as stiff as their cells, so that the cells' own matrix preconditions badly: a
        factorisation takes in all elements, algebraic multigrid those within a cell. Ligaments and contacts change a
        few motions only, which conjugate gradients find.
        """
        problem = system.problem
        elements = connection_set(problem)

        def view_for(pieces: NDArray[np.int64]) -> LinearView:
            return system.linear_view(elements.tangent(pieces))

        knows = system.knows_elements
        view = view_for(elements.first_piece()) if knows else system.linear_view(None)
        B = (elements.matrix @ view.P).tocsr()
        spread = type(B)((B.data, view.places[B.indices], B.indptr), shape=(elements.count, view.size))
        spread.sort_indices()
        return cls(problem, view, view_for if knows else None, elements, spread)

    def solve(self, loads: Loads, u0: NDArray[np.float64] | None, rtol: float, progress: Progress | None) -> Raw:
        """One load case (initial strain as nodal forces already)."""
        lift = given_displacement(self.problem, loads)
        force = -internal_force(self.problem, lift) if lift.any() else np.zeros_like(lift)
        if loads.nodal_force is not None:
            force = force + loads.nodal_force
        q = reduced_force(self.problem, self.view.P, force, loads)
        given = np.asarray(self.elements.matrix @ lift.ravel())
        case = ActiveSetProblem(self.elements, self.B, given, self.view.spread(q), self._fluid(lift))
        x0 = None if u0 is None else self.view.spread(nearest_unknowns(self.view.P, (u0 - lift).ravel()))
        found = solve_active_set(case, self.view, x0=x0, rtol=rtol, progress=progress, remake=self.remake)
        return Raw(
            u=self.view.displacement(found.x) + lift,
            internal_force=None,
            norms=found.norms,
            is_converged=found.is_converged,
            connections=self._states(found),
            active_set=found.record,
            pressure=found.pressure,
        )

    def check(self, raw: Raw, rtol: float) -> None:
        """Raise `ConvergenceError`, with the elements that still changed, unless a solve converged.

        Raises
        ------
        ConvergenceError
            If the active set did not settle or a linear solve did not converge.
        """
        if raw.is_converged or raw.active_set is None:
            return
        record = raw.active_set
        last = record.changes[-1] if record.changes else 0
        what = f"{last} of {self.elements.count} elements still changed" if last else "no element changed any more"
        raise ConvergenceError(
            f"ligaments, contacts and fibres did not settle: after {len(record.changes)} outer iterations {what}, and "
            f"the out-of-balance force was {raw.norms[-1]:.1e} of the load; {rtol:.0e} was asked for",
            fix="look for a body that only contacts or slack ligaments hold, check gaps and stiffness, or use a looser "
            "rtol",
        )

    def _fluid(self, lift: NDArray[np.float64]) -> FluidRows:
        """Rows of the problem's fluid cavities."""
        cavities = self.problem.cavities
        gradient = np.zeros((len(cavities), self.view.size))
        given = np.zeros(len(cavities))
        if cavities:
            for n, g in enumerate(cavity_forces(self.problem)):
                gradient[n], given[n] = self.view.force(g), float(np.sum(g * lift))
        volume = np.array([enclosed_volume(self.problem.points, c.facets) / c.bulk_modulus for c in cavities])
        return FluidRows(gradient, given, volume.reshape(len(cavities)))

    def _states(self, found: ActiveSetResult) -> dict[str, ConnectionState]:
        """Elongation, force and piece by group."""
        force, piece = self.elements.force(found.elongation), self.elements.piece(found.elongation)
        return {name: ConnectionState(found.elongation[at], force[at], piece[at]) for name, at in self.elements.groups}
