"""Solving the states that the outcomes ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fesolver.loading.load_case import isolated_load_case
from fesolver.meshing.submesh import extract_body
from fesolver.outcomes.state import SolvedState
from fesolver.solvers.solution import Start, System
from fesolver.study.config import StudyConfig
from fesolver.study.model import Extras, Model, is_same_stiffness, study_load_case
from fesolver.study.stages import Stages
from fesolver.study.state_solver import StateSolver

__all__ = ["SolveOptions", "SolvedIntact", "SolvedPair", "SolvedSet", "solve_intact", "solve_pair"]


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

    @classmethod
    def of(cls, states: Mapping[str, SolvedState]) -> SolvedSet:
        """The segment is named ``""``, bodies by their level."""
        return cls(states[""], {level: state for level, state in states.items() if level})

    def of_part(self, part: str) -> SolvedState:
        """The segment for ``""``, or the body of a level."""
        return self.isolated[part] if part else self.segment

    def replaced(self, states: Mapping[str, SolvedState]) -> SolvedSet:
        """The same set with some states in place of its own, named as in `of`."""
        return SolvedSet.of({"": self.segment, **self.isolated, **states})


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


@dataclass(frozen=True)
class SolvedIntact:
    """The intact states, and what solving others on the same mesh can begin from.

    Parameters
    ----------
    states : SolvedSet
    looser : SolvedSet or None
        The same at ten times the tolerance.
    systems : mapping of str to System
        Prepared: of the segment (``""``) and of every body alone (its level).
    solves : tuple of dict
        As in `SolvedPair`.
    """

    states: SolvedSet
    looser: SolvedSet | None
    systems: Mapping[str, System]
    solves: tuple[dict[str, object], ...]


@dataclass(frozen=True)
class SolveOptions:
    """How the states of a case are solved.

    Parameters
    ----------
    stages : Stages
        Stopwatch.
    threads : int, optional
        For the solver.
    with_looser : bool
        Whether to keep the states at ten times the tolerance, for the solver's numerical floor.
    with_isolated : bool
        Whether to solve every body alone too.
    """

    stages: Stages = field(default_factory=Stages)
    threads: int | None = None
    with_looser: bool = True
    with_isolated: bool = True


def solve_pair(
    config: StudyConfig,
    intact: Model,
    treated: Model | None,
    how: SolveOptions | None = None,
    *,
    before: SolvedIntact | None = None,
) -> SolvedPair:
    """Solve the smallest set of states that the outcomes need.

    Parameters
    ----------
    config : StudyConfig
        Loads and tolerances.
    intact, treated : Model
        On one mesh; `treated` may be None.
    how : SolveOptions, optional
    before : SolvedIntact, optional
        `solve_intact` of the same model, where it has been done.

    Raises
    ------
    ConvergenceError
        If a solve does not converge, or leaves a cut out of balance by more than 1e-6 of the load.

    Notes
    -----
    A treated state with the constants of the intact one is the same system: its solution is not sought again, so an
    augmentation of 0 ml gives the intact bits. Bodies that were not treated are solved alone once.
    """
    how = how or SolveOptions()
    before = before or solve_intact(config, intact, how)
    if treated is None or is_same_stiffness(intact.elasticity, treated.elasticity):
        pair = None if before.looser is None else (before.looser, before.looser)
        return SolvedPair(before.states, before.states, pair, before.solves)
    solver = StateSolver(config.solver, how.threads, how.stages, how.with_looser)
    load_case = study_load_case(config)
    level = config.treatment.level if config.treatment else intact.mesh.levels[0]
    states, looser = {}, dict[str, SolvedState]()
    for key, name in _solves("treated", (level,) if how.with_isolated else ()).items():
        model = _body(treated, key) if key else treated
        load = isolated_load_case(load_case) if key else load_case
        u0 = before.states.of_part(key).solution.u
        states[key], loose, _ = solver.run(name, model, load, before.systems[key], u0)
        looser |= {} if loose is None else {key: loose}
    after, solves = before.states.replaced(states), (*before.solves, *solver.solves)
    if before.looser is None or not looser:
        return SolvedPair(before.states, after, None, solves)
    return SolvedPair(before.states, after, (before.looser, before.looser.replaced(looser)), solves)


def solve_intact(
    config: StudyConfig,
    intact: Model,
    how: SolveOptions | None = None,
    *,
    parent: SolvedIntact | None = None,
    starts: Mapping[str, Start] | None = None,
) -> SolvedIntact:
    """Solve the intact segment, and every body of it alone.

    Parameters
    ----------
    config, intact, how
        As for `solve_pair`.
    parent : SolvedIntact, optional
        Another model on the same mesh: its prepared systems are used with new moduli, and its displacements to start
        from.
    starts : mapping of str to a displacement or several, optional
        What to start from instead, of the segment (``""``) and of every body alone (its level).
    """
    how = how or SolveOptions()
    solver = StateSolver(config.solver, how.threads, how.stages, how.with_looser)
    load_case = study_load_case(config)
    states, looser, systems = {}, dict[str, SolvedState](), {}
    for key, name in _solves("intact", intact.mesh.levels if how.with_isolated else ()).items():
        model = _body(intact, key) if key else intact
        load = isolated_load_case(load_case) if key else load_case
        system = None if parent is None else parent.systems[key]
        own = None if parent is None else parent.states.of_part(key).solution.u
        states[key], loose, systems[key] = solver.run(name, model, load, system, (starts or {}).get(key, own))
        looser |= {} if loose is None else {key: loose}
    return SolvedIntact(SolvedSet.of(states), SolvedSet.of(looser) if looser else None, systems, tuple(solver.solves))


def _solves(state: str, alone: Sequence[str]) -> dict[str, str]:
    """Names of the solves of a state: of the segment (``""``), and of bodies alone, by level."""
    return {"": state} | {level: f"{state} {level} alone" for level in alone}


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
