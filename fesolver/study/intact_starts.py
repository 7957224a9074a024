"""Displacements of softer and stiffer bone on one mesh, which starts for any density between are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.problem import Elasticity
from fesolver.outcomes.state import SolvedState
from fesolver.solvers.solution import Start, System
from fesolver.study.solving import SolvedIntact, SolveOptions

__all__ = ["ANCHORS", "intact_starts", "scaled_trabecular"]

ANCHORS = (0.6, 1.6)
"""Factors on the moduli of trabecular bone: density times 0.75 and 1.35 where the modulus goes with its power 1.6."""

LOOSER = 100.0
"""Factor on the tolerance of these solves: what they leave is far below what a combination of them leaves."""


def intact_starts(solved: SolvedIntact, rtol: float, how: SolveOptions) -> Mapping[str, Start]:
    """What other intact states on the mesh of one can start from, by the name of the part.

    Parameters
    ----------
    solved : SolvedIntact
        The states that others start from.
    rtol : float
        Tolerance of the study.
    how : SolveOptions

    Returns
    -------
    mapping of str to a displacement or several
        Of the segment (``""``) and every body alone: its own, and those with the moduli of trabecular bone at `ANCHORS`
        where the solver can combine them.

    Notes
    -----
    The factors are fixed and nothing but `solved` enters: whatever starts here has the same bits in every process,
    after whichever cases.
    """
    return {key: _starts(key, solved.states.of_part(key), system, rtol, how) for key, system in solved.systems.items()}


def _starts(key: str, state: SolvedState, system: System, rtol: float, how: SolveOptions) -> Start:
    """The displacement of a state, and those of softer and stiffer bone."""
    u = state.solution.u
    regions = [region.cells for name, region in state.mesh.regions.items() if name.endswith("/trabecular")]
    if system.method != "amg" or state.problem.connections or not regions:
        return u
    cells, starts, name = np.unique(np.concatenate(regions)), [u], f"start {key}".strip()
    for factor in ANCHORS:
        with how.stages("set-up", f"{name}: set-up"):
            other = system.with_elasticity(scaled_trabecular(state.problem.elasticity, cells, factor))
        with how.stages("solve", f"{name}: solve"):
            starts.append(other.solve(state.loads, u0=u, rtol=LOOSER * rtol, on_failure="return").u)
    return tuple(starts)


def scaled_trabecular(elasticity: Elasticity, cells: NDArray[np.int64], factor: float) -> Elasticity:
    """Constants with the moduli of some cells times a factor.

    Parameters
    ----------
    elasticity : Elasticity
    cells : (k,) ndarray of int64
    factor : float
        Dimensionless.
    """
    young, matrices = elasticity.young.copy(), elasticity.general_matrices.copy()
    young[cells] *= factor
    matrices[np.isin(elasticity.general_cells, cells)] *= factor
    return replace(elasticity, young=young, general_matrices=matrices)
