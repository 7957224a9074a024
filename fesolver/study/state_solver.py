"""Solving one state of a segment to both tolerances, its cuts in balance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from fesolver.errors import ConvergenceError
from fesolver.fem.problem import Problem
from fesolver.fem.recovery import recover_fields
from fesolver.fem.same_problem import has_same_constraints
from fesolver.loading.load_case import LoadCase
from fesolver.loading.pads import PadSetup
from fesolver.outcomes.equilibrium import IMBALANCE_TOLERANCE, check_equilibrium
from fesolver.outcomes.state import SolvedState
from fesolver.solvers.prepare import prepare
from fesolver.solvers.solution import ActiveSetRecord, Solution, Start, System
from fesolver.study.materials import unit_elasticity
from fesolver.study.model import Model, is_same_stiffness, make_problem
from fesolver.study.schema import SolverConfig
from fesolver.study.stages import Stages

__all__ = ["StateSolver", "solved_state"]

LOOSER = 10.0
"""Factor on the tolerance of the solve that shows what the tolerance changes."""


def solved_state(
    name: str, model: Model, load_case: LoadCase, problem: Problem, pads: PadSetup, solution: Solution
) -> SolvedState:
    """A solution with its model and fields, for outcomes.

    Parameters
    ----------
    name : str
        `intact`, `treated`, ...
    model : Model
        What was solved.
    load_case : LoadCase
        How it was loaded.
    problem, pads : Problem, PadSetup
        From `fesolver.study.model.make_problem`.
    solution : Solution
        Of `problem` under `pads.loads`.
    """
    return SolvedState(
        name=name,
        mesh=model.mesh,
        tissue=model.tissue,
        elasticity=model.elasticity,
        problem=problem,
        loads=pads.loads,
        load_case=load_case,
        load_point=pads.load_point,
        solution=solution,
        fields=recover_fields(problem, solution.u),
        region_young=model.mix.region_young,
        region_unit_elasticity=unit_elasticity(model.mix.materials),
    )


@dataclass
class StateSolver:
    """Solves one problem to both tolerances and keeps the record."""

    config: SolverConfig
    threads: int | None
    stages: Stages
    with_looser: bool
    solves: list[dict[str, object]] = field(default_factory=list)

    def run(
        self, name: str, model: Model, load_case: LoadCase, system: System | None, u0: Start | None
    ) -> tuple[SolvedState, SolvedState | None, System]:
        """State at the tolerance, state at the looser one, and the prepared system for reuse."""
        problem, pads = make_problem(model, load_case)
        with self.stages("set-up", f"{name}: set-up"):
            system = self._prepared(problem, system)
        progress = self._progress(name, self.config.rtol)

        def state(solution: Solution) -> SolvedState:
            with self.stages("recovery", f"{name}: stress and strain"):
                return solved_state(name, model, load_case, problem, pads, solution)

        looser, iterations, records = None, 0, list[ActiveSetRecord | None]()
        if self.with_looser:
            with self.stages("solve", f"{name}: solve"):
                first = system.solve(pads.loads, u0=u0, rtol=LOOSER * self.config.rtol, progress=progress)
            looser, u0, iterations = state(first), first.u, first.iterations
            records.append(first.active_set)
        rtol = self.config.rtol
        if looser is not None and first.residual_norms[-1] <= rtol:
            rtol = max(first.residual_norms[-1] / LOOSER, 1e-13)  # equal solutions would show a floor of zero
        for _ in range(3):
            with self.stages("solve", f"{name}: solve"):
                # A tolerance tighter than asked for is welcome, not needed: a factorisation ends where it ends.
                is_needed = rtol >= self.config.rtol
                solution = system.solve(
                    pads.loads, u0=u0, rtol=rtol, progress=progress, on_failure="raise" if is_needed else "return"
                )
            if not is_needed and solution.residual_norms[-1] <= self.config.rtol:
                solution = replace(solution, is_converged=True)
            iterations += solution.iterations
            records.append(solution.active_set)
            solved = state(solution)
            imbalance = max(cut.imbalance for cut in check_equilibrium(solved))
            if imbalance <= IMBALANCE_TOLERANCE:
                break
            rtol, u0 = rtol / 10.0, solution.u
        else:
            raise ConvergenceError(
                f"{name}: a cut is out of balance by {imbalance:.1e} of the load at a residual of "
                f"{solution.residual_norms[-1]:.1e}",
                fix="lower solver.rtol, or report the model",
            )
        self.solves.append(
            {
                "name": name,
                "method": solution.method,
                "n_dof": int(problem.points.size),
                "iterations": iterations,
                "residual": solution.residual_norms[-1],
                "rtol": rtol,
                "imbalance": imbalance,
                **_active_set(records),
            }
        )
        return solved, looser, system

    def _prepared(self, problem: Problem, other: System | None) -> System:
        """A system for a problem: that of another one with new moduli, where nothing else differs."""
        if other is None or not has_same_constraints(problem, other.problem):
            return prepare(problem, method=self.config.method, threads=self.threads)
        if is_same_stiffness(problem.elasticity, other.problem.elasticity):
            return other
        return other.with_elasticity(problem.elasticity)

    def _progress(self, name: str, rtol: float) -> Callable[[int, float], None]:
        """Residual to a fraction of the decades to go."""

        def report(iteration: int, residual: float) -> None:
            done = np.log10(max(residual, 1e-300)) / np.log10(rtol)
            self.stages.progress.update(float(np.clip(done, 0.0, 1.0)), f"{name}: {iteration}, {residual:.1e}")

        return report


def _active_set(records: Sequence[ActiveSetRecord | None]) -> dict[str, object]:
    """How the pieces of a state's connections were found, over all its solves; nothing without connections."""
    used = [record for record in records if record is not None]
    if not used:
        return {}
    return {
        "outer_iterations": sum(len(record.changes) for record in used),
        "pieces_changed": [change for record in used for change in record.changes],
        "linear_iterations": [count for record in used for count in record.linear_iterations],
        "set_ups": 1 + sum(record.set_ups - 1 for record in used),
    }
