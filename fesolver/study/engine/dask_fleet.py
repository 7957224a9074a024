"""The workers of a Dask cluster that a pool may use: who has come, who is gone, who is fit."""

from __future__ import annotations

import logging
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from fesolver.errors import ClusterError, InputError
from fesolver.study.engine.dask_cluster import DaskWorker, connect, examine, workers_there
from fesolver.study.engine.dask_worker import forget

__all__ = ["Fleet"]

_log = logging.getLogger("fesolver")

PATIENCE_S = 60.0
"""How long a run waits for a worker where none is there and none is to come, s."""

FAREWELL_S = 5.0
"""How long workers and scheduler may take to say goodbye, s."""


class Fleet:
    """Workers of one cluster for one pool.

    Parameters
    ----------
    scheduler : str or Cluster
        Address, or a cluster object.
    folder : Path or None
        Result folder that workers should see.
    jobs : int or None
        Jobs to start on the cluster, which is closed at the end.

    Attributes
    ----------
    name : str
        Of the pool, for what workers keep.
    client : distributed.Client or None
    workers : dict of str to DaskWorker
        Fit ones, by what tells processes apart.
    """

    def __init__(self, scheduler: Any, folder: Path | None, jobs: int | None) -> None:
        self._scheduler, self._folder, self._jobs = scheduler, folder, jobs
        self.name = uuid.uuid4().hex
        self.client: Any = None
        self.workers: dict[str, DaskWorker] = {}
        self._refused: set[str] = set()
        self._n_seen = 0
        self._alone_since: float | None = None
        self._said: set[str] = set()
        self._log_level = logging.NOTSET

    def open(self) -> None:
        """Reach the scheduler, start jobs, examine the workers that are there."""
        # What it says of lost keys and connections, the pool says in its own words.
        log = logging.getLogger("distributed.client")
        self._log_level = log.level
        log.setLevel(logging.CRITICAL)
        try:
            self.client = connect(self._scheduler)
            if self._jobs is not None:
                self._scheduler.scale(jobs=self._jobs)
            self._meet(workers_there(self.client), is_start=True)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Have workers let go of what they keep; close the client, and a cluster that was started for this run."""
        client, self.client = self.client, None
        if client is not None:
            with suppress(OSError):
                self._free(client, [worker.address for worker in self.workers.values()], is_end=True)
            with suppress(OSError):
                client.close(timeout=FAREWELL_S)
        self.workers.clear()
        if self._jobs is not None:
            self._scheduler.close()
        logging.getLogger("distributed.client").setLevel(self._log_level)

    def describe(self) -> str:
        """Where the workers are, and how many are there."""
        if self._jobs is not None:
            return f"a Dask cluster of {self._jobs} {type(self._scheduler).__name__.removesuffix('Cluster')} jobs"
        there = f", {len(self.workers)} workers" if self.client is not None else ""
        return f"Dask cluster at {getattr(self._scheduler, 'scheduler_address', self._scheduler)}{there}"

    def look(self) -> list[DaskWorker]:
        """See who has come and been stopped; workers that are gone, no longer among the others."""
        there = workers_there(self.client)
        gone = [self.workers.pop(key) for key in list(self.workers) if key not in there]
        self._meet({key: info for key, info in there.items() if key not in self.workers})
        for key, worker in self.workers.items():
            status = there[key]["status"] if key in there else "running"
            worker.is_running = status == "running"
            if status == "paused":
                self._say_once(f"Dask has paused {worker.address}: its memory is nearly full")
                with suppress(OSError):
                    self._free(self.client, [worker.address], is_end=False)
        return gone

    def dismiss(self, worker: DaskWorker) -> None:
        """Strike a worker off; it is examined again if it is there still."""
        self.workers = {key: other for key, other in self.workers.items() if other is not worker}

    def check_hope(self) -> None:
        """Raise where no worker is left and none is to come."""
        if any(worker.is_running or worker.positions for worker in self.workers.values()):
            self._alone_since = None
            return
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since = now
            _log.warning("no worker is there; waiting for one")
        jobs = len(self._scheduler.workers) if self._jobs is not None else 0
        if now - self._alone_since > PATIENCE_S and not jobs:
            raise ClusterError(
                f"the Dask cluster has had no worker for {PATIENCE_S:.0f} s; the cases that came back are kept",
                fix="start workers and run the same command: it does what is missing",
            )

    def _meet(self, there: dict[str, dict[str, Any]], *, is_start: bool = False) -> None:
        """Examine workers that are new; take in those that fit."""
        new = {key: info for key, info in there.items() if key not in self._refused}
        fit, unfit = examine(self.client, [info["address"] for info in new.values()], self._folder)
        if unfit and is_start:
            raise _unfit_workers(unfit, self.client.scheduler.address)
        for key, info in new.items():
            address = info["address"]
            if address in unfit:
                self._refused.add(key)
                _log.warning("worker %s has %s: it gets no case", address, unfit[address])
            elif address in fit:
                self._n_seen += 1
                self.workers[key] = DaskWorker(self._n_seen, address, info["nthreads"], fit[address])
        apart = [worker.address for worker in self.workers.values() if not worker.sees_folder]
        if apart:
            self._say_once(
                "some workers do not see the result folder: the tables will be whole, but records and fields of the "
                "cases computed there are not kept",
                f", {apart[0]} is one of them",
            )

    def _free(self, client: Any, addresses: list[str], *, is_end: bool) -> None:
        """Have workers let go of our evaluator."""
        if addresses and client.status == "running":
            client.sync(
                client._run, forget, self.name, is_end=is_end, workers=addresses, on_error="ignore",
                callback_timeout=FAREWELL_S,
            )  # fmt: skip

    def _say_once(self, text: str, more: str = "") -> None:
        """Warn once."""
        if text not in self._said:
            self._said.add(text)
            _log.warning("%s%s", text, more)


def _unfit_workers(unfit: dict[str, str], scheduler: str) -> InputError:
    """What is said of workers that cannot compute, the first three by name."""
    lines = [f"worker {address} has {what}" for address, what in sorted(unfit.items())]
    more = [f"{len(lines) - 3} more are like that"] if len(lines) > 3 else []
    return InputError(
        "; ".join([*lines[:3], *more]),
        where=f"the Dask cluster at {scheduler}",
        fix="give every worker the versions that are here, and start them again",
    )
