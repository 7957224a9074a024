"""Processes that compute tasks: this one, or spawned workers that may die without loss."""

from __future__ import annotations

import logging
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Protocol, Self

from fesolver.errors import FesolverError, InputError
from fesolver.study.engine.cores import worker_count
from fesolver.study.engine.evaluate import evaluate_task, failed_row
from fesolver.study.engine.job import Job, RelayedLog
from fesolver.study.engine.process import WorkerProcess
from fesolver.study.engine.task import Evaluator, Row, Task

__all__ = ["LocalPool", "Pool", "SerialPool", "worker_count"]

_log = logging.getLogger("fesolver")

MAX_DEATHS = 3
"""Workers that a task may take with it, and workers that may end before they are ready."""

END_S = 2.0
"""Time for idle workers to end by themselves, s."""


class Pool(Protocol):
    """Where tasks are computed; a context manager that ends its processes on every way out."""

    @property
    def n_workers(self) -> int:
        """Tasks that are computed at once."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def run(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """Rows as they finish, in any order; one for each task.

        The facts of a row hold `seconds_total`, `peak_mb` and `worker`, and `lost_workers` where workers ended while
        they computed it.
        """
        ...

    def describe(self) -> str:
        """Processes and threads, in words."""
        ...


class SerialPool:
    """Computes tasks in this process, in their order.

    Parameters
    ----------
    make_evaluator : callable
        Without arguments; called once, before the first task.
    """

    n_workers = 1

    def __init__(self, make_evaluator: Callable[[], Evaluator]) -> None:
        self._make_evaluator = make_evaluator
        self._evaluator: Evaluator | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._evaluator = None

    def run(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """Rows in the order of the tasks."""
        if tasks and self._evaluator is None:
            self._evaluator = self._make_evaluator()
        for task in tasks:
            assert self._evaluator is not None
            yield evaluate_task(self._evaluator, task, worker=1)

    def describe(self) -> str:
        """One process."""
        return "1 process"


class LocalPool:
    """Computes tasks in spawned processes on this machine.

    Parameters
    ----------
    make_evaluator : callable
        Without arguments and picklable (a class or function of a module, or a `functools.partial` of one); called once
        in every worker.
    n_workers : int
        Processes.
    threads : int
        Threads for kernels and BLAS in each of them.

    Raises
    ------
    InputError
        If there is to be no worker.
    FesolverError
        From `run`: if workers cannot be started, or `make_evaluator` raised.

    Notes
    -----
    Processes start with the first task that needs them, and stay for the next `run`. A worker that dies costs the task
    it was at, which goes to another; a task whose worker died three times becomes a failed row. Who computes what
    follows `affinity.next_task`; no result depends on it.
    """

    def __init__(self, make_evaluator: Callable[[], Evaluator], n_workers: int, threads: int = 1) -> None:
        if n_workers < 1 or threads < 1:
            raise InputError(f"a pool needs a worker and a thread, got {n_workers} and {threads}")
        self.n_workers, self.threads = n_workers, threads
        self._make_evaluator = pickle.dumps(make_evaluator)
        self._workers: list[WorkerProcess] = []
        self._false_starts = 0
        self._peak_mb = 0.0
        self._relay = RelayedLog()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        workers, self._workers = self._workers, []
        if kind is None:
            for worker in workers:
                worker.dismiss()
        for worker in workers:
            worker.stop(END_S if kind is None and worker.is_ready and not worker.positions else 0.0)

    def describe(self) -> str:
        """Processes and threads."""
        return f"{_counted(self.n_workers, 'worker process', 'es')}, {_counted(self.threads, 'thread')} each"

    def pids(self) -> list[int]:
        """Process numbers of the workers that are there."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    def run(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """Rows as they finish; where the iterator is left early, what is running is ended."""
        job = Job(tasks)
        try:
            while job.n_open:
                self._hire(job)
                self._hand_out(job)
                assert job.waiting or any(worker.positions for worker in self._workers), "a task was lost"
                yield from self._next_rows(job)
        finally:
            for worker in [worker for worker in self._workers if worker.positions]:
                self._workers.remove(worker)
                worker.stop()

    def _hire(self, job: Job) -> None:
        """Start workers that are missing, as long as there is something for them to do.

        Where they end before they are ready (no memory for one more), those that work go on alone until the next row.
        """
        if self._false_starts >= MAX_DEATHS and any(worker.is_ready for worker in self._workers):
            return
        busy = sum(bool(worker.positions) for worker in self._workers)
        wanted = min(self.n_workers, busy + len(job.waiting))
        numbers = {worker.number for worker in self._workers}
        for number in range(1, self.n_workers + 1):
            if len(self._workers) < wanted and number not in numbers:
                level = _log.getEffectiveLevel()
                self._workers.append(WorkerProcess(number, self._make_evaluator, threads=self.threads, log_level=level))

    def _hand_out(self, job: Job) -> None:
        """Give every ready worker a task to compute, then one to go on with, then move what waits behind another."""
        ready = [worker for worker in self._workers if worker.is_ready]
        for held in (0, 1):
            for worker in ready:
                if len(worker.positions) == held and job.waiting:
                    others = [w.groups for w in self._workers if w is not worker and w.groups]
                    position = job.waiting.take(worker.groups, others)
                    worker.give(position, job.tasks[position])
        idle = sum(not worker.positions for worker in ready) - sum(worker.is_recalled for worker in ready)
        for worker in ready:
            if idle > 0 and len(worker.positions) > 1 and not worker.is_recalled:
                worker.recall()
                idle -= 1

    def _next_rows(self, job: Job) -> Iterator[Row]:
        """Wait until something happens, and act on it."""
        ready = set(wait([thing for worker in self._workers for thing in (worker.pipe, worker.sentinel)]))
        for worker in list(self._workers):
            if worker.sentinel in ready:
                for message in worker.remaining():
                    yield from self._act(job, worker, message)
                yield from self._bury(job, worker)
            elif worker.pipe in ready:
                received = worker.receive()
                yield from self._bury(job, worker) if received is None else self._act(job, worker, received)

    def _act(self, job: Job, worker: WorkerProcess, message: tuple[Any, ...]) -> Iterator[Row]:
        """Do what a message asks for."""
        kind, *content = message
        if kind == "log":
            self._relay(*content)
        elif kind == "ready":
            worker.is_ready = True
        elif kind == "broken":
            raise (
                content[0]
                if isinstance(content[0], FesolverError)
                else FesolverError(f"a defect in fesolver: a worker process could not begin\n{content[0]}")
            )
        elif kind == "returned":
            worker.positions.remove(content[0])
            worker.is_recalled = False
            job.waiting.put_back(content[0])
        else:
            position, answer = content
            worker.positions.remove(position)
            worker.is_recalled, self._false_starts = False, 0
            row = answer if kind == "row" else failed_row(job.tasks[position], answer, worker=worker.number)
            self._peak_mb = max(self._peak_mb, row.facts.get("peak_mb") or 0.0)
            yield job.close(position, row)

    def _bury(self, job: Job, worker: WorkerProcess) -> Iterator[Row]:
        """Clear away a worker that has ended; its tasks wait again, or the one it was at is given up."""
        self._workers.remove(worker)
        how = _ending(worker.stop())
        if not worker.is_ready:
            self._false_starts += 1
            if self._false_starts >= MAX_DEATHS and not any(other.is_ready for other in self._workers):
                raise FesolverError(
                    f"worker processes end before they can compute anything ({how})",
                    fix="look at what they said above; a run with one worker needs none",
                )
        for position in reversed(list(worker.positions)[1:]):
            job.waiting.put_back(position)
        if not worker.positions:
            _log.warning("worker %d ended (%s)", worker.number, how)
            return
        position = worker.positions[0]
        task = job.tasks[position]
        job.deaths[position] += 1
        if job.deaths[position] < MAX_DEATHS:
            _log.warning("worker %d ended (%s) at case %s, which is computed again", worker.number, how, task.case)
            job.waiting.put_back(position)
        else:
            yield job.close(position, failed_row(task, self._obituary(how), worker=worker.number))

    def _obituary(self, how: str) -> str:
        """Why a task is given up, with what is known of the memory."""
        from fesolver.solvers.memory import available_mb

        have = available_mb()
        numbers = [f"{have:,.0f} MB are free now"] if have is not None else []
        if self._peak_mb:
            numbers.append(f"other cases took up to {self._peak_mb:,.0f} MB in one worker")
        what = f"{MAX_DEATHS} worker processes ended while they computed this case ({how})"
        reason = f"; the likeliest reason is too little memory: {', '.join(numbers)}" if "SIGKILL" in how else ""
        return str(FesolverError(what + reason, fix="run it again with fewer workers, or where there is more memory"))


def _ending(code: int | None) -> str:
    """How a process ended."""
    if code is None or code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"signal {-code}, {signal.Signals(-code).name}"
    return f"signal {-code}"


def _counted(count: int, noun: str, plural: str = "s") -> str:
    """A count with its noun."""
    return f"{count} {noun}{plural if count != 1 else ''}"
