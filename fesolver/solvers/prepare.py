"""The one way into a solver."""

from __future__ import annotations

import logging
import os
from typing import Literal

from fesolver.errors import InputError
from fesolver.fem.constraints import check_problem
from fesolver.fem.problem import Problem
from fesolver.fem.threads import kernel_threads, threads_for
from fesolver.solvers.reduced import BaseSystem
from fesolver.solvers.solution import System

__all__ = ["Method", "prepare", "thread_count"]

_log = logging.getLogger("fesolver")

Method = Literal["auto", "voxel-multigrid", "amg", "pyamg", "direct"]

DIRECT_LIMIT = 4000
"""Unknowns up to which a sparse direct factorisation is the quickest."""

RESCUE_LIMIT = 40_000
"""Unknowns up to which a direct factorisation steps in where an iteration chosen by "auto" does not converge."""


def thread_count(threads: int | None = None) -> int:
    """Threads to use: the argument, else FESOLVER_NUM_THREADS, else every core this process may run on."""
    given = threads if threads is not None else os.environ.get("FESOLVER_NUM_THREADS")
    try:
        count = int(given) if given not in (None, "") else len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        count = os.cpu_count() or 1
    except ValueError:
        raise InputError(f"FESOLVER_NUM_THREADS={given!r} is not a number", fix="set it to 1, 2, ...") from None
    if count < 1:
        raise InputError(f"the number of threads must be at least 1, got {count}")
    return count


def prepare(problem: Problem, method: Method = "auto", threads: int | None = None) -> System:
    """Check a problem and set up a solver for it.

    Parameters
    ----------
    problem : Problem
        Mesh, moduli and constraints.
    method : {"auto", "voxel-multigrid", "amg", "pyamg", "direct"}
        "auto" takes the direct solver for up to 4000 unknowns, multigrid on a voxel mesh without members, and
        algebraic multigrid otherwise; where that does not converge (very ill-conditioned moduli) and there are no more
        than 40 000 unknowns, a direct solver takes over. `System.method` and `Solution.method` name the choice,
        `System.reason` says why. "amg" is this package's own smoothed aggregation; "pyamg" that of the library.
    threads : int, optional
        Threads for the kernels; FESOLVER_NUM_THREADS or all cores by default. Results do not depend on it.

    Returns
    -------
    System
        With `solve(loads, ...)`, `with_elasticity(elasticity)`, `method` and `reason`.

    Raises
    ------
    InputError
        If moduli, constraints or supports cannot give a solution; the message has the place in mm.
    """
    count = thread_count(threads)
    check_problem(problem)
    chosen, reason = _choose(problem) if method == "auto" else (method, "asked for")
    _log.info("%s solver: %s", chosen, reason)
    with kernel_threads(threads_for(problem.points.size, count)):
        system = _system(problem, chosen, count)
        system.connect()
    system.reason = reason
    if method == "auto" and chosen == "amg" and problem.points.size <= RESCUE_LIMIT:
        system.rescue = "direct"
    return system


def _choose(problem: Problem) -> tuple[Method, str]:
    """The method for a problem, and why."""
    n = problem.points.size
    if n <= DIRECT_LIMIT:
        return "direct", f"{n} unknowns; up to {DIRECT_LIMIT} a factorisation is the quickest"
    if problem.lattice is not None and not problem.members and problem.integration != "incompatible":
        return "voxel-multigrid", f"{n} unknowns on a regular lattice"
    return "amg", f"{n} unknowns off a lattice; a factorisation of them is slower and fills more memory"


def _system(problem: Problem, method: str, n_threads: int) -> BaseSystem:
    """The system of one method."""
    if method == "voxel-multigrid":
        from fesolver.solvers.voxel_multigrid import VoxelMultigridSystem

        return VoxelMultigridSystem(problem, n_threads)
    if method == "amg":
        from fesolver.solvers.amg import AmgSystem

        return AmgSystem(problem, n_threads)
    if method in ("pyamg", "direct"):
        from fesolver.solvers.assembled import AssembledSystem

        return AssembledSystem(problem, method, n_threads)
    raise InputError(f"unknown method {method!r}", fix="use auto, voxel-multigrid, amg, pyamg or direct")
