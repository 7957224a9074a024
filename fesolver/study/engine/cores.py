"""How many workers, and how many threads for each, a machine can take."""

from __future__ import annotations

import logging
import os

from fesolver.errors import InputError

__all__ = ["core_count", "worker_count"]

_log = logging.getLogger("fesolver")

MEMORY_SHARE = 0.8
"""Part of the available memory that workers may fill: the parent, and the error of an estimate, need the rest."""


def core_count() -> int:
    """Cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def worker_count(n_tasks: int, threads: int | None, workers: int | None, memory_mb: float | None) -> tuple[int, int]:
    """Workers and threads for each, never more in all than there are cores.

    Parameters
    ----------
    n_tasks : int
        Cases to compute; no more workers than that.
    threads : int, optional
        Threads for each worker; FESOLVER_NUM_THREADS by default, else what the workers leave.
    workers : int, optional
        By default as many as cores and memory allow: cases side by side use cores better than threads in one case.
    memory_mb : float, optional
        Memory that one worker is expected to need, MB.

    Returns
    -------
    workers, threads : int
        At least 1 each.

    Raises
    ------
    InputError
        If the numbers asked for need more cores than there are, or are no counts.

    Examples
    --------
    >>> worker_count(200, threads=1, workers=1, memory_mb=None)
    (1, 1)
    """
    cores = core_count()
    threads = _asked_threads(threads)
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and value < 1:
            raise InputError(f"the number of {name} must be at least 1, got {value}", where=f"--{name}")
    if (workers or 1) * (threads or 1) > cores:
        raise InputError(
            f"{workers or 1} workers with {threads or 1} threads each need {(workers or 1) * (threads or 1)} cores; "
            f"there are {cores}",
            where="--workers, --threads or FESOLVER_NUM_THREADS",
            fix=f"keep workers times threads at {cores} or less, or leave one of them out",
        )
    fitting = _fitting(memory_mb)
    if workers is not None and fitting is not None and min(workers, n_tasks) > fitting:
        _log.warning("%d workers of about %.0f MB each may need more memory than is free", workers, memory_mb)
    limit = cores // (threads or 1) if workers is None else workers
    if workers is None and fitting is not None:
        limit = min(limit, fitting)
    count = max(1, min(limit, n_tasks))
    return count, threads or max(1, cores // count)


def _asked_threads(threads: int | None) -> int | None:
    """Threads by option or environment; None where nobody has asked."""
    given = os.environ.get("FESOLVER_NUM_THREADS")
    if threads is not None or given in (None, ""):
        return threads
    from fesolver.solvers.prepare import thread_count

    return thread_count()


def _fitting(memory_mb: float | None) -> int | None:
    """Workers that fit into the available memory; None where that is not known."""
    from fesolver.solvers.memory import available_mb

    have = available_mb()
    if not memory_mb or have is None:
        return None
    return max(1, int(MEMORY_SHARE * have / memory_mb))
