"""The one way into a solver."""

from __future__ import annotations

import os
from typing import Literal

from fesolver.errors import InputError
from fesolver.fem.constraints import check_problem
from fesolver.fem.problem import Problem
from fesolver.fem.threads import kernel_threads, threads_for
from fesolver.solvers.solution import System

__all__ = ["Method", "prepare", "thread_count"]

Method = Literal["auto", "voxel-multigrid", "amg", "direct"]

DIRECT_LIMIT = 4000
"""Unknowns up to which a sparse direct factorisation is the quickest."""


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
    method : {"auto", "voxel-multigrid", "amg", "direct"}
        "auto" takes the direct solver for up to 4000 unknowns, multigrid on a voxel mesh, and algebraic multigrid
        otherwise. The choice is named in `Solution.method`.
    threads : int, optional
        Threads for the kernels; FESOLVER_NUM_THREADS or all cores by default. Results do not depend on it.

    Returns
    -------
    System
        With `solve(loads, ...)` and `with_elasticity(elasticity)`.

    Raises
    ------
    InputError
        If moduli, constraints or supports cannot give a solution; the message has the place in mm.
    """
    count = thread_count(threads)
    check_problem(problem)
    if method == "auto":
        if problem.points.size <= DIRECT_LIMIT:
            method = "direct"
        else:
            method = "voxel-multigrid" if problem.lattice is not None else "amg"
    with kernel_threads(threads_for(problem.points.size, count)):
        if method == "voxel-multigrid":
            from fesolver.solvers.voxel_multigrid import VoxelMultigridSystem

            return VoxelMultigridSystem(problem, count)
        from fesolver.solvers.assembled import AssembledSystem

        if method in ("amg", "direct"):
            return AssembledSystem(problem, method, count)
    raise InputError(f"unknown method {method!r}", fix="use auto, voxel-multigrid, amg or direct")
