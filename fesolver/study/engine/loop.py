"""Compute what is missing: tasks go to a pool, rows go to the dataset as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fesolver.study.engine.flush import BufferedRows
from fesolver.study.engine.pool import Pool
from fesolver.study.engine.task import Row, Task
from fesolver.study.progress import CaseReporter, SilentCases

if TYPE_CHECKING:
    from fesolver.study.engine.dataset import Dataset

__all__ = ["RunCount", "run_tasks"]


@dataclass(frozen=True)
class RunCount:
    """What became of the tasks of a run.

    Parameters
    ----------
    done, failed : int
        Computed in this run.
    reused : int
        Not computed: their rows were there, or another task of the run has the same digest.
    lost : int
        Workers that ended in the middle of a case, which was then computed again or given up.
    """

    done: int = 0
    failed: int = 0
    reused: int = 0
    lost: int = 0


def run_tasks(
    tasks: Sequence[Task],
    dataset: Dataset,
    pool: Pool,
    *,
    reporter: CaseReporter | None = None,
    retry_failed: bool = False,
) -> RunCount:
    """Compute the tasks that the dataset has no rows of.

    Parameters
    ----------
    tasks : sequence of Task
        All cases of a study; sorted by their groups, so that what they share is built seldom.
    dataset : Dataset
        Where rows are, and go.
    pool : Pool
        Entered by the caller, who ends it.
    reporter : CaseReporter, optional
        Told of every case; silent by default.
    retry_failed : bool
        Compute those again that have failed before.

    Returns
    -------
    RunCount

    Notes
    -----
    However the run ends, with an interrupt or an error, the rows that came back are in the dataset.
    """
    reporter = reporter or SilentCases()
    missing = _missing(tasks, dataset, retry_failed=retry_failed)
    by_digest = {task.digest: task for task in missing}
    done = failed = lost = 0
    reporter.start(len(tasks), len(tasks) - len(missing))
    with _finished(reporter), BufferedRows(dataset) as rows, closing(_generator(pool.run(missing))) as coming:
        for row in coming:
            task = by_digest.pop(row.digest)
            rows.add(task, row)
            done += row.status == "done"
            failed += row.status == "failed"
            lost += int(row.facts.get("lost_workers", 0))
            reporter.case(task, row, done, failed)
    if by_digest:
        raise RuntimeError(
            f"{len(by_digest)} cases came back without a row, {next(iter(by_digest.values())).case} first"
        )
    return RunCount(done=done, failed=failed, reused=len(tasks) - len(missing), lost=lost)


def _missing(tasks: Sequence[Task], dataset: Dataset, *, retry_failed: bool) -> list[Task]:
    """One task for each digest that has no row yet, or only a failed one that is to be tried again."""
    there = dataset.digests()
    first = {task.digest: task for task in reversed(tasks)}
    return [
        task
        for task in tasks
        if first[task.digest] is task
        and (task.digest not in there or (retry_failed and there[task.digest] == "failed"))
    ]


def _generator(rows: Iterator[Row]) -> Any:
    """Rows that can be closed, whichever iterator a pool returns."""
    return rows if hasattr(rows, "close") else (row for row in rows)


@contextmanager
def _finished(reporter: CaseReporter) -> Iterator[None]:
    """Tell the reporter of the end, whichever it is."""
    try:
        yield
    finally:
        reporter.finish()
