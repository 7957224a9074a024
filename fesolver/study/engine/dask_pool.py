"""Workers of a Dask cluster that compute tasks; they may come and go."""

from __future__ import annotations

import logging
import pickle
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fesolver.errors import FesolverError
from fesolver.study.engine.dask_cluster import DaskWorker, lost_scheduler
from fesolver.study.engine.dask_fleet import Fleet
from fesolver.study.engine.dask_worker import Answer, Order, compute
from fesolver.study.engine.evaluate import failed_row
from fesolver.study.engine.job import Job, RelayedLog
from fesolver.study.engine.pool import MAX_DEATHS
from fesolver.study.engine.task import Evaluator, Row, Task

__all__ = ["DaskPool"]

_log = logging.getLogger("fesolver")

POLL_S = 1.0
"""How often the scheduler is asked who is there, s."""


class DaskPool:
    """Computes tasks in the workers of a Dask cluster.

    Parameters
    ----------
    make_evaluator : callable
        Without arguments and picklable; called once in every worker process, on its first task.
    scheduler : str or Cluster
        Address of a scheduler (`tcp://host:8786`), or a cluster of `distributed` or `dask_jobqueue`.
    threads : int, optional
        Threads for each case; those that Dask counts for a worker by default. A worker process computes one case at a
        time, however many threads it has.
    folder : Path, optional
        Result folder, where evaluators write; each worker is asked whether it sees it.
    make_apart : callable, optional
        Makes the evaluator of a worker that does not see the folder.
    jobs : int, optional
        Jobs to start on a cluster of `fesolver.study.engine.batch.cluster_from`, which is closed at the end.

    Raises
    ------
    MissingDependencyError
        If `distributed` is not installed.
    InputError
        On entering: if no scheduler answers, or a worker has another version of fesolver, numpy or numba.
    ClusterError
        From `run`: if the scheduler is lost, or no worker is left and none is to come.

    Notes
    -----
    The pool, not the scheduler, decides who computes what: every worker has the task it is at and one to go on with,
    chosen by `affinity.next_task` and tied to it. When a worker goes away, the first is computed again elsewhere and
    the second waits again; the scheduler would count the loss against both. A task that three workers were lost with
    becomes a failed row. Workers that come later are examined and get work; unfit ones are left alone, with a warning.
    """

    def __init__(
        self,
        make_evaluator: Callable[[], Evaluator],
        scheduler: Any,
        *,
        threads: int | None = None,
        folder: Path | None = None,
        make_apart: Callable[[], Evaluator] | None = None,
        jobs: int | None = None,
    ) -> None:
        self._make_evaluator = pickle.dumps(make_evaluator)
        self._make_apart = pickle.dumps(make_apart or make_evaluator)
        self._threads = threads
        self._fleet = Fleet(scheduler, folder, jobs)
        self._tickets: dict[int, tuple[DaskWorker, Any]] = {}
        self._events: queue.SimpleQueue[tuple[int, bytes | BaseException]] = queue.SimpleQueue()
        self._n_sent = 0
        self._next_look = 0.0
        self._relay = RelayedLog()

    @property
    def n_workers(self) -> int:
        """Workers that are there now."""
        return len(self._fleet.workers)

    def __enter__(self) -> Self:
        self._fleet.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._fleet.close()

    def describe(self) -> str:
        """Where the workers are, and how many are there."""
        return self._fleet.describe()

    def run(self, tasks: Sequence[Task]) -> Iterator[Row]:
        """Rows as they finish; where the iterator is left early, what waits on the cluster is cancelled."""
        job = _Job(tasks)
        try:
            while job.n_open:
                if time.monotonic() >= self._next_look:
                    yield from self._look(job)
                self._hand_out(job)
                yield from self._next_rows(job)
        finally:
            for worker in self._fleet.workers.values():
                self._take_back(worker, len(worker.positions))

    def _look(self, job: _Job) -> Iterator[Row]:
        """See which workers have come, gone, or been stopped."""
        for worker in self._fleet.look():
            yield from self._bury(job, worker)
        for worker in self._fleet.workers.values():
            if not worker.is_running:  # what it is at goes on; what it has not begun would wait for ever
                for position in self._take_back(worker, len(worker.positions) - 1):
                    job.waiting.put_back(position)
        self._fleet.check_hope()
        self._next_look = time.monotonic() + POLL_S

    def _hand_out(self, job: _Job) -> None:
        """Give every worker a task to compute, then one to go on with, then move what waits behind another."""
        ready = [worker for worker in self._fleet.workers.values() if worker.is_running]
        for held in (0, 1):
            for worker in ready:
                if len(worker.positions) == held and job.waiting and job.suspects.isdisjoint(worker.positions):
                    self._give(job, worker)
        idle = [worker for worker in ready if not worker.positions]
        for worker in ready:
            if idle and len(worker.positions) > 1:
                for position in self._take_back(worker, 1):
                    job.waiting.put_back(position)
                self._give(job, idle.pop())

    def _give(self, job: _Job, worker: DaskWorker) -> None:
        """Send a worker the task that suits it best; a suspect only where nothing else is."""
        others = [other.groups for other in self._fleet.workers.values() if other is not worker and other.groups]
        position = job.waiting.take(worker.groups, others)
        if position in job.suspects and worker.positions:
            job.waiting.put_back(position)
            return
        task = job.tasks[position]
        made = self._make_evaluator if worker.sees_folder else self._make_apart
        order = Order(self._fleet.name, made, worker.number, self._threads or worker.threads, _log.getEffectiveLevel())
        self._n_sent += 1
        # Tied to its worker; the earlier of two comes first; a key is never used again, since the scheduler remembers
        # what it knows of one.
        future = self._fleet.client.submit(
            compute, order, pickle.dumps(task, protocol=pickle.HIGHEST_PROTOCOL),
            key=f"fesolver-{self._fleet.name}-{self._n_sent}-{task.digest}", pure=False, workers=[worker.address],
            allow_other_workers=False, priority=-self._n_sent,
        )  # fmt: skip
        worker.positions.append(position)
        worker.tickets.append(self._n_sent)
        worker.groups = task.groups
        self._tickets[self._n_sent] = (worker, future)
        self._fleet.client.loop.add_callback(self._watch, self._n_sent, future)

    async def _watch(self, ticket: int, future: Any) -> None:
        """Wait, in the client's own loop, for what becomes of a task."""
        try:
            self._events.put((ticket, await future))
        except Exception as error:
            self._events.put((ticket, error))

    def _take_back(self, worker: DaskWorker, count: int) -> list[int]:
        """Cancel the last tasks of a worker; their positions, last first."""
        positions = []
        for _ in range(count):
            positions.append(worker.positions.pop())
            _, future = self._tickets.pop(worker.tickets.pop())
            with suppress(Exception):  # the scheduler may be gone
                future.cancel()
        return positions

    def _next_rows(self, job: _Job) -> Iterator[Row]:
        """Wait until something comes back, or it is time to look around."""
        try:
            ticket, answer = self._events.get(timeout=max(0.0, self._next_look - time.monotonic()))
        except queue.Empty:
            return
        if ticket not in self._tickets:  # cancelled
            return
        worker, _ = self._tickets[ticket]
        if isinstance(answer, BaseException):
            yield from self._act_on_error(job, worker, ticket, answer)
            return
        position = self._close(worker, ticket)
        task, found = job.tasks[position], pickle.loads(answer)
        assert isinstance(found, Answer)
        for level, name, text in found.log:
            self._relay(level, name, text)
        if found.is_broken:
            raise (
                found.error
                if isinstance(found.error, FesolverError)
                else FesolverError(f"a defect in fesolver: worker {worker.address} could not begin\n{found.error}")
            )
        yield job.close(position, found.row or failed_row(task, str(found.error), worker=worker.number))

    def _act_on_error(self, job: _Job, worker: DaskWorker, ticket: int, error: BaseException) -> Iterator[Row]:
        """A task that came to no end of its own."""
        if self._fleet.client.status != "running" or getattr(error, "reason", "") == "scheduler-connection-lost":
            raise lost_scheduler() from error
        kind = type(error).__name__
        if kind == "KilledWorker":  # where the scheduler allows fewer failures than we do
            self._fleet.dismiss(worker)
            yield from self._bury(job, worker)
        elif kind == "FutureCancelledError":  # by somebody else
            job.waiting.put_back(self._close(worker, ticket))
        else:
            position = self._close(worker, ticket)
            text = f"a defect in fesolver: {kind}: {error}"
            yield job.close(position, failed_row(job.tasks[position], text, worker=worker.number))
        self._next_look = 0.0

    def _close(self, worker: DaskWorker, ticket: int) -> int:
        """Strike off a task that has come back; its position."""
        del self._tickets[ticket]
        place = worker.tickets.index(ticket)
        position = worker.positions[place]
        del worker.tickets[place], worker.positions[place]
        return position

    def _bury(self, job: _Job, worker: DaskWorker) -> Iterator[Row]:
        """Have the tasks of a worker that is gone wait again, or give up the one it was at.

        A row may be lost on its way, so that the worker was at the second of two: both are suspects, and each is sent
        alone from then on.
        """
        positions = self._take_back(worker, len(worker.positions))
        if not positions:
            _log.warning("worker %d (%s) is gone", worker.number, worker.address)
            return
        if len(positions) > 1:
            job.suspects.update(positions)
            job.waiting.put_back(positions[0])
        position = positions[-1]
        task = job.tasks[position]
        job.deaths[position] += 1
        if job.deaths[position] < MAX_DEATHS:
            _log.warning(
                "worker %d (%s) was lost at case %s, which is computed again", worker.number, worker.address, task.case
            )
            job.waiting.put_back(position)
            return
        what = f"{MAX_DEATHS} workers were lost while they computed this case, the last one {worker.address}"
        fix = "look into the logs of the workers; the likeliest reason is too little memory: give them more"
        yield job.close(position, failed_row(task, str(FesolverError(what, fix=fix)), worker=worker.number))


class _Job(Job):
    """What is open of one `run`, and which tasks are sent alone: one of them took a worker with it."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__(tasks)
        self.suspects: set[int] = set()
