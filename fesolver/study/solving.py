"""Solving the states that the outcomes ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import ConvergenceError
from fesolver.fem.problem import Problem
from fesolver.fem.recovery import recover_fields
from fesolver.loading.load_case import LoadCase, isolated_load_case
from fesolver.loading.pads import PadSetup
from fesolver.meshing.submesh import extract_body
from fesolver.outcomes.equilibrium import IMBALANCE_TOLERANCE, check_equilibrium
from fesolver.outcomes.state import SolvedState
from fesolver.solvers.prepare import prepare
from fesolver.solvers.solution import ActiveSetRecord, Solution, System
from fesolver.study.config import StudyConfig
from fesolver.study.materials import unit_elasticity
from fesolver.study.model import Extras, Model, is_same_stiffness, make_problem, study_load_case
from fesolver.study.schema import SolverConfig
from fesolver.study.stages import Stages

__all__ = ["SolvedPair", "SolvedSet", "solve_pair", "solved_state"]

LOOSER = 10.0
"""Factor on the tolerance of the solve that shows what the tolerance changes."""


@dataclass(frozen=True)
class SolvedSet:
    """One state of the segment and every body of it alone.

    Parameters
    ----------
    segment : SolvedState
        The segment in place.
    isolated : mapping of str to SolvedState
        Level -> the body alone between rigid ends that may only approach each other.
    """

    segment: SolvedState
    isolated: Mapping[str, SolvedState]


@dataclass(frozen=True)
class SolvedPair:
    """Intact and treated, at the tolerance asked for and at a looser one.

    Parameters
    ----------
    intact, treated : SolvedSet
        `treated` is `intact` itself where nothing was treated.
    looser : tuple of SolvedSet or None
        The same two at ten times the tolerance.
    solves : tuple of dict
        How each solve came about: name, method, unknowns, iterations, residual, rtol.
    """

    intact: SolvedSet
    treated: SolvedSet
    looser: tuple[SolvedSet, SolvedSet] | None
    solves: tuple[dict[str, object], ...]


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
class _Solver:
    """Solves one problem to both tolerances and keeps the record."""

    config: SolverConfig
    threads: int | None
    stages: Stages
    with_looser: bool
    solves: list[dict[str, object]] = field(default_factory=list)

    def run(
        self, name: str, model: Model, load_case: LoadCase, system: System | None, u0: NDArray[np.float64] | None
    ) -> tuple[SolvedState, SolvedState | None, System]:
        """State at the tolerance, state at the looser one, and the prepared system for reuse."""
        problem, pads = make_problem(model, load_case)
        with self.stages("set-up", f"{name}: set-up"):
            if system is None:
                system = prepare(problem, method=self.config.method, threads=self.threads)
            else:
                system = system.with_elasticity(model.elasticity)
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
                solution = system.solve(pads.loads, u0=u0, rtol=rtol, progress=progress)
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

    def _progress(self, name: str, rtol: float) -> Callable[[int, float], None]:
        """Residual to a fraction of the decades to go."""

        def report(iteration: int, residual: float) -> None:
            done = np.log10(max(residual, 1e-300)) / np.log10(rtol)
            self.stages.progress.update(float(np.clip(done, 0.0, 1.0)), f"{name}: {iteration}, {residual:.1e}")

        return report


def solve_pair(
    config: StudyConfig,
    intact: Model,
    treated: Model | None,
    *,
    stages: Stages,
    threads: int | None = None,
    with_looser: bool = True,
) -> SolvedPair:
    """Solve the smallest set of states that the outcomes need.

    Parameters
    ----------
    config : StudyConfig
        Loads and tolerances.
    intact, treated : Model
        On one mesh; `treated` may be None.
    stages : Stages
        Stopwatch.
    threads : int, optional
        For the solver.
    with_looser : bool
        Whether to keep the states at ten times the tolerance, for the solver's numerical floor.

    Raises
    ------
    ConvergenceError
        If a solve does not converge, or leaves a cut out of balance by more than 1e-6 of the load.

    Notes
    -----
    A treated state with the constants of the intact one is the same system: its solution is not sought again, so an
    augmentation of 0 ml gives the intact bits. Bodies that were not treated are solved alone once.
    """
    solver = _Solver(config.solver, threads, stages, with_looser)
    load_case = study_load_case(config)
    alone = isolated_load_case(load_case)
    state, loose, system = solver.run("intact", intact, load_case, None, None)
    isolated, isolated_loose, systems = {}, {}, {}
    for level in intact.mesh.levels:
        body = _body(intact, level)
        isolated[level], isolated_loose[level], systems[level] = solver.run(
            f"intact {level} alone", body, alone, None, None
        )
    before = SolvedSet(state, isolated)
    before_loose = SolvedSet(loose, _present(isolated_loose)) if loose is not None else None
    if treated is None or is_same_stiffness(intact.elasticity, treated.elasticity):
        pair = (before_loose, before_loose) if before_loose is not None else None
        return SolvedPair(before, before, pair, tuple(solver.solves))
    level = config.treatment.level if config.treatment else intact.mesh.levels[0]
    state, loose, _ = solver.run("treated", treated, load_case, system, before.segment.solution.u)
    body_state, body_loose, _ = solver.run(
        f"treated {level} alone", _body(treated, level), alone, systems[level], isolated[level].solution.u
    )
    after = SolvedSet(state, {**isolated, level: body_state})
    if before_loose is None or loose is None or body_loose is None:
        return SolvedPair(before, after, None, tuple(solver.solves))
    after_loose = SolvedSet(loose, {**_present(isolated_loose), level: body_loose})
    return SolvedPair(before, after, (before_loose, after_loose), tuple(solver.solves))


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


def _present(states: Mapping[str, SolvedState | None]) -> dict[str, SolvedState]:
    """The states that exist."""
    return {level: state for level, state in states.items() if state is not None}


def _body(model: Model, level: str) -> Model:
    """One vertebral body of a model, with its constants."""
    mesh, tissue = extract_body(model.mesh, model.tissue, level)
    cells = body_cells(model, level)
    e = model.elasticity
    at = np.searchsorted(cells, e.general_cells)
    is_in = (at < len(cells)) & (cells[np.minimum(at, len(cells) - 1)] == e.general_cells)
    elasticity = replace(
        e,
        young=e.young[cells],
        poisson=e.poisson[cells],
        general_cells=at[is_in].astype(np.int64),
        general_matrices=e.general_matrices[is_in],
    )
    return replace(model, mesh=mesh, tissue=tissue, elasticity=elasticity, extras=Extras())


def body_cells(model: Model, level: str) -> NDArray[np.int64]:
    """Cells of a vertebral body, posterior elements apart, ascending."""
    parts = [
        region.cells
        for name, region in model.mesh.regions.items()
        if name.split("/")[0] == level and name.split("/")[1] != "posterior"
    ]
    return np.unique(np.concatenate(parts))
