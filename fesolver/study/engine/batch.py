"""Where a study runs beyond this machine: workers of a scheduler, or jobs of a batch system."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesolver.errors import InputError
from fesolver.study.engine.dask_cluster import load_cluster_package
from fesolver.study.engine.dask_pool import DaskPool
from fesolver.study.engine.task import Evaluator

if TYPE_CHECKING:
    from fesolver.study.schema_design import ClusterTable

__all__ = ["cluster_from", "dask_pool"]

KINDS = {"slurm": ("SLURMCluster", "sbatch"), "pbs": ("PBSCluster", "qsub"), "lsf": ("LSFCluster", "bsub")}
"""Class of dask-jobqueue, and the command that takes a job."""

THREAD_VARIABLES = ("FESOLVER_NUM_THREADS", "NUMBA_NUM_THREADS")

BYTES = 10**9
"""In `memory_gb`."""


def cluster_from(table: ClusterTable) -> Any:
    """A cluster whose workers are jobs; none is started yet.

    Parameters
    ----------
    table : ClusterTable
        `[cluster]` of a study.

    Returns
    -------
    JobQueueCluster
        Of dask-jobqueue: `scale(jobs=n)` starts jobs, `job_script()` shows one, `close()` ends them.

    Raises
    ------
    MissingDependencyError
        If `distributed` or `dask_jobqueue` is not installed.
    InputError
        If `walltime` is no time.

    Notes
    -----
    A job is one worker process with `cores` threads, which computes one case at a time; jobs with one core each use the
    cores best where memory allows. What the table does not say (network interface, log folder, local disk) comes
    from dask-jobqueue's own configuration files. BLAS has one thread everywhere, the kernels have `cores`. The
    scheduler runs in the process that calls this.
    """
    load_cluster_package("distributed")
    name, _ = KINDS[table.kind]
    account = {"project" if table.kind == "lsf" else "account": table.account}
    return getattr(load_cluster_package("dask_jobqueue"), name)(
        cores=table.cores,
        processes=1,
        memory=f"{round(table.memory_gb * BYTES)} B",
        walltime=_walltime(table),
        queue=table.queue,
        job_name="fesolver-worker",
        job_extra_directives=list(table.extra_directives),
        job_script_prologue=[*(f"export {v}={table.cores}" for v in THREAD_VARIABLES), *table.prologue],
        worker_extra_args=["--no-dashboard"],
        scheduler_options={"dashboard_address": None},
        **account,
    )


def dask_pool(
    make: Callable[..., Evaluator],
    base: Any,
    out: Path,
    table: ClusterTable | None,
    scheduler: str | None,
    threads: int | None,
) -> DaskPool:
    """The pool that options ask for.

    Parameters
    ----------
    make : callable
        Makes an evaluator of a result folder (None keeps nothing beside the rows), `base` and `threads`.
    base : object
        Second argument of `make`.
    out : Path
        Result folder.
    table : ClusterTable or None
        `[cluster]` of the study; jobs are started where `scheduler` is None.
    scheduler : str or None
        Address of a scheduler.
    threads : int or None
        For each case; those of a worker by default.

    Raises
    ------
    MissingDependencyError
        If `distributed` or `dask_jobqueue` is not installed.
    InputError
        If the study has no `[cluster]`, or this machine has no such batch system.
    """
    load_cluster_package("distributed")
    whole = functools.partial(make, out.absolute(), base, threads)
    apart = functools.partial(make, None, base, threads)
    if scheduler is not None:
        return DaskPool(whole, scheduler, threads=threads, folder=out.absolute(), make_apart=apart)
    if table is None:
        raise InputError("the study does not say which batch system", where="--cluster", fix="give it a [cluster]")
    _, command = KINDS[table.kind]
    if shutil.which(command) is None:
        raise InputError(
            f"this machine has no command {command}, which starts the jobs of {table.kind}",
            where="[cluster] kind",
            fix="run it on a machine from which jobs are sent, or name the batch system that is there",
        )
    cluster = cluster_from(table)
    return DaskPool(whole, cluster, threads=threads, folder=out.absolute(), make_apart=apart, jobs=table.jobs)


def _walltime(table: ClusterTable) -> str:
    """The time as the batch system reads it: LSF takes hours and minutes, the others seconds too."""
    found = re.fullmatch(r"(\d+-)?(\d+):(\d\d)(:\d\d)?", table.walltime)
    if found is None or (found.group(1) and table.kind != "slurm"):
        raise InputError(
            f"walltime = {table.walltime!r} is no time",
            where="[cluster] walltime",
            fix='write hours, minutes and seconds: "04:00:00"',
        )
    days, hours, minutes, seconds = found.groups("")
    return f"{days}{hours}:{minutes}" + ("" if table.kind == "lsf" else seconds or ":00")
