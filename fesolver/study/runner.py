"""Run a study into a result folder: what is missing is computed, what is there stays."""

from __future__ import annotations

import functools
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesolver.solvers.prepare import thread_count
from fesolver.solvers.warm_up import warm_up
from fesolver.study.config import StudyConfig
from fesolver.study.design.plan import StudyPlan, plan_study
from fesolver.study.engine.batch import dask_pool
from fesolver.study.engine.cores import worker_count
from fesolver.study.engine.dataset import Dataset
from fesolver.study.engine.lock import folder_lock
from fesolver.study.engine.loop import RunCount, run_tasks
from fesolver.study.engine.pool import LocalPool, Pool, SerialPool
from fesolver.study.evaluator import Reader, StudyEvaluator
from fesolver.study.finish import RunFacts, finish_run
from fesolver.study.inputs import ParametricData, StudyData
from fesolver.study.memory import expected_memory_mb
from fesolver.study.plan_check import check_cases, left_over_note, n_left_over
from fesolver.study.progress import ProgressReporter, SilentProgress
from fesolver.study.provenance import versions
from fesolver.study.result_folder import check_owner, move_cases, remove_if_empty, write_study_file
from fesolver.study.segments import mesh_segment_of
from fesolver.study.stages import Stages
from fesolver.study.store import check_target, folders_above, staged_folder
from fesolver.study.tasks import base_study, study_tasks

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunOptions", "RunSummary", "run_study"]


@dataclass(frozen=True)
class RunSummary:
    """What a run left behind.

    Parameters
    ----------
    out : Path
        The result folder.
    n_done, n_failed, n_total : int
        Cases of the study in it.
    n_reused : int
        Of these, cases that were there before the run.
    shared : mapping of str to int
        What of those computed was not made anew (`mesh`, `prepared system`, `intact solution`), and in how many.
    n_failed_before : int
        Of those that were there, cases that had failed, and were not tried again.
    n_left_over : int
        Results in the folder that belong to no case of the study as it is now.
    """

    out: Path
    n_done: int
    n_failed: int
    n_total: int
    n_reused: int = 0
    shared: Mapping[str, int] = field(default_factory=dict)
    n_failed_before: int = 0
    n_left_over: int = 0

    @property
    def sentence(self) -> str:
        """How many cases there are, how many were there, and what was shared, in a line."""
        computed = self.n_total - self.n_reused
        text = f"{self.n_total} cases: {computed} computed, {self.n_reused} there already"
        if self.n_failed_before:
            again = "computes it again" if self.n_failed_before == 1 else "computes these again"
            text += f", {self.n_failed_before} of them failed (--retry-failed {again}), {self.n_failed} failed in all"
        else:
            text += f", {self.n_failed} failed"
        shared = [f"{name} in {count}" for name, count in self.shared.items()]
        return f"{text}; used again: {', '.join(shared)}" if computed and shared else text

    @property
    def note(self) -> str:
        """That results are kept which the table does not show; empty where there are none."""
        return left_over_note(self.n_left_over, self.out)

    def table(self) -> pd.DataFrame:
        """One row per case: see `fesolver.study.results_table.results_table`."""
        from fesolver.study.results_table import results_table

        return results_table(self.out)


@dataclass(frozen=True)
class RunOptions:
    """How a study is run; no number depends on it.

    Parameters
    ----------
    threads : int, optional
        For each case; FESOLVER_NUM_THREADS, or what the workers leave, by default.
    workers : int, optional
        Cases at once; as many as cores and memory allow by default.
    retry_failed : bool
        Compute cases again that have failed before.
    yes : bool
        Take more than 10,000 cases.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers compute the cases.
    use_cluster : bool
        Have jobs of the batch system compute them, as `[cluster]` of the study says.
    progress : ProgressReporter
        Told of the stages of a case, where one is computed at a time.
    cases : callable
        Makes the reporter that is told of every case, from the words that describe the workers.
    """

    threads: int | None = None
    workers: int | None = None
    retry_failed: bool = False
    yes: bool = False
    scheduler: str | None = None
    use_cluster: bool = False
    progress: ProgressReporter = field(default_factory=SilentProgress)
    cases: Any = None


def run_study(
    config: StudyConfig, out: str | Path, *, overwrite: bool = False, options: RunOptions | None = None, **given: Any
) -> RunSummary:
    """Run every case of a study that its result folder lacks, and write the tables; figures and report apart.

    Parameters
    ----------
    config : StudyConfig
        From `fesolver.study.config.load_study`.
    out : path
        Result folder: new, or one that holds results of the same study, whose cases are kept where nothing they depend
        on has changed.
    overwrite : bool
        Replace an older result once the new one is whole.
    options : RunOptions, optional
    **given
        Fields of `RunOptions` by name.

    Returns
    -------
    RunSummary

    Raises
    ------
    InputError
        If the study cannot be run as it is, or the folder holds anything else. Nothing is written then.
    ConvergenceError
        If the only case did not converge, or none of several could be computed.

    Notes
    -----
    A case that fails is recorded with its error and does not stop the rest. A study of one case raises. However a run
    ends, the cases that were done are kept, and a next run goes on from there; the tables of a study that was
    interrupted and resumed have the bits of one that was not, for any number of workers.
    """
    out, how = Path(out), options or RunOptions(**given)
    plan = plan_study(config, yes=how.yes)
    if overwrite:
        check_target(out, overwrite=True)
        with folders_above(out), folder_lock(out), staged_folder(out, overwrite=True) as folder:
            summary = _run(plan, folder, how)
        return replace(summary, out=out)
    with folders_above(out), folder_lock(out):
        check_owner(out, config)
        try:
            return _run(plan, out, how)
        finally:
            remove_if_empty(out)


def _run(plan: StudyPlan, out: Path, how: RunOptions) -> RunSummary:
    """Compute what is missing into a folder, and write its tables."""
    config, first = plan.config, plan.case(0).config
    warm = Stages(how.progress)
    # What is wrong with the input stops the run before a minute goes into kernels, and before anything is written.
    check_cases(plan)
    nominal = Reader().read(first, warm)
    tasks = study_tasks(plan)
    dataset = Dataset(out / "results", study=config.name)
    there = dataset.digests()
    retries = how.retry_failed or len(tasks) == 1
    missing = [t for t in tasks if t.digest not in there or (retries and there[t.digest] == "failed")]
    is_local = how.scheduler is None and not how.use_cluster
    if missing and is_local:
        with warm("compile", "kernels (compiled on first use, then cached)"):
            warm_up(how.threads, kind="mesh" if isinstance(nominal, ParametricData) else "voxel")
    out.mkdir(parents=True, exist_ok=True)
    move_cases(out, tasks)
    write_study_file(out, config, tasks, nominal.files, versions())
    count, workers, threads = RunCount(reused=len(tasks)), "nothing was missing", thread_count(how.threads)
    if not missing:
        dataset.compact()  # clears what a killed run was writing
    else:
        # The stages of one case are worth lines of their own, those of many are not.
        stages = how.progress if len(tasks) == 1 else SilentProgress()
        pool, evaluator = _pool(plan, out, replace(how, progress=stages), len(missing), nominal)
        workers, threads = pool.describe(), getattr(pool, "threads", None) or threads
        is_alone = how.cases is None or len(tasks) == 1
        with pool:
            count = run_tasks(
                sorted(tasks, key=lambda task: (task.groups, task.index)), dataset, pool,
                reporter=None if is_alone else how.cases(workers), retry_failed=retries,
            )  # fmt: skip
        if len(tasks) == 1 and count.failed and evaluator is not None and evaluator.error is not None:
            if not there:
                shutil.rmtree(dataset.folder)
            raise evaluator.error
    facts = RunFacts(nominal, warm.seconds, count, threads, workers, is_local)
    failed = finish_run(config, out, tasks, dataset, facts)
    own = dataset.facts()
    shared = Counter(name for task in missing for name in own.get(task.digest, {}).get("reused", ()))
    n_old = 0 if retries else sum(there.get(task.digest) == "failed" for task in tasks)
    n_others = n_left_over(there, {task.digest for task in tasks})
    return RunSummary(out, len(tasks) - failed, failed, len(tasks), count.reused, dict(shared), n_old, n_others)


def _pool(
    plan: StudyPlan, out: Path, how: RunOptions, n_missing: int, nominal: StudyData
) -> tuple[Pool, StudyEvaluator | None]:
    """Where the cases are computed: in this process, or in workers; and the evaluator of this process."""
    base, threads, workers = base_study(plan), how.threads, 1
    if how.scheduler is not None or how.use_cluster:
        return dask_pool(StudyEvaluator, base, out, plan.config.cluster, how.scheduler, threads), None
    if n_missing > 1 and how.workers != 1:
        workers, threads = worker_count(n_missing, how.threads, how.workers, _memory_mb(plan, nominal))
    if workers > 1:
        make = functools.partial(StudyEvaluator, out.absolute(), base, threads)
        return LocalPool(make, workers, threads or 1), None
    evaluator = StudyEvaluator(out, base, threads, how.progress)
    return SerialPool(lambda: evaluator), evaluator


def _memory_mb(plan: StudyPlan, nominal: StudyData) -> float:
    """What a worker is expected to need, from the mesh of the first case."""
    config = plan.case(0).config
    mesh = mesh_segment_of(config, nominal, Stages(), 1.0).mesh
    return expected_memory_mb(mesh, has_connections=config.connections.is_used)
