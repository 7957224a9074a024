"""A worker process as the parent sees it: how it is started, spoken to, and ended."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from types import ModuleType
from typing import Any

from fesolver.errors import FesolverError
from fesolver.interrupts import ignore_broken_pipes
from fesolver.study.engine.task import Task
from fesolver.study.engine.worker import END, RECALL, work

__all__ = ["WorkerProcess"]

THREAD_VARIABLES = (
    "FESOLVER_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)


class WorkerProcess:
    """One spawned worker and what it has to do.

    Parameters
    ----------
    number : int
        From 1; its replacement has the same.
    make_evaluator : bytes
        Pickled callable without arguments.
    threads : int
        Threads for its kernels and for BLAS.
    log_level : int
        Records below are not sent.

    Attributes
    ----------
    positions : deque of int
        Tasks it has, by position; the first is running.
    groups : tuple of str or None
        Of the task it was given last.
    is_ready : bool
        It has made its evaluator.
    is_recalled : bool
        It was asked to give back what it has not begun.
    peak_mb : float
        Most memory it has told of.
    """

    def __init__(self, number: int, make_evaluator: bytes, *, threads: int, log_level: int) -> None:
        self.number = number
        self.positions: deque[int] = deque()
        self.groups: tuple[str, ...] | None = None
        self.is_ready = self.is_recalled = False
        self.peak_mb = 0.0
        ignore_broken_pipes()  # what is sent to a worker that has ended must not end this process
        context = get_context("spawn")
        # The kernel's death signal follows the thread that made the process, so only the main thread may rely on it.
        is_tied = threading.current_thread() is threading.main_thread()
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=work,
            args=(theirs, make_evaluator, (number, os.getpid(), log_level, is_tied)),
            name=f"fesolver-worker-{number}",
            daemon=True,
        )
        values = dict.fromkeys(THREAD_VARIABLES, str(threads))
        try:
            with _environment(values), _without_main(make_evaluator), _signals_held():
                self._process.start()
        except OSError as error:
            self.pipe.close()
            raise FesolverError(
                f"worker process {number} cannot be started: {error.strerror}", fix="ask for fewer workers"
            ) from None
        finally:
            theirs.close()

    @property
    def pid(self) -> int | None:
        """Process number."""
        return self._process.pid

    @property
    def sentinel(self) -> int:
        """What becomes ready when the process ends."""
        return self._process.sentinel

    def give(self, position: int, task: Task) -> None:
        """Send a task; it waits there until the ones before it are done."""
        content = pickle.dumps(task, protocol=pickle.HIGHEST_PROTOCOL)
        self.positions.append(position)
        self.groups = task.groups
        self._send(position, content)

    def recall(self) -> None:
        """Ask for the task that is not begun."""
        self.is_recalled = True
        self._send(self.positions[-1], RECALL)

    def receive(self) -> tuple[Any, ...] | None:
        """The next message, which must be there; None at the end of the pipe."""
        try:
            message: tuple[Any, ...] = self.pipe.recv()
        except (EOFError, OSError):
            return None
        return message

    def remaining(self) -> list[tuple[Any, ...]]:
        """Messages that a process sent before its end."""
        messages = []
        with suppress(OSError):
            while self.pipe.poll():
                message = self.receive()
                if message is None:
                    break
                messages.append(message)
        return messages

    def dismiss(self) -> None:
        """Tell it that no more will come."""
        self._send(-1, END)

    def stop(self, seconds: float = 0.0) -> int | None:
        """Wait for its end, make it end after `seconds`, and clear it away; its exit code."""
        if seconds:
            self._process.join(seconds)
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        code = self._process.exitcode
        self._process.close()
        self.pipe.close()
        return code

    def _send(self, position: int, content: bytes | None) -> None:
        """Send; where the process has ended, its sentinel says so."""
        with suppress(OSError):
            self.pipe.send_bytes(pickle.dumps((position, content)))


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables that a new process inherits."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _without_main(make_evaluator: bytes) -> Iterator[None]:
    """Hide the user's script, so that a worker does not run it again, unless the evaluator is defined there.

    With it hidden, a script needs no `if __name__ == "__main__"`, and a worker is up sooner.
    """
    main = sys.modules["__main__"]
    if b"__main__" not in make_evaluator:
        sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextmanager
def _signals_held() -> Iterator[None]:
    """Keep SIGINT and SIGTERM until the block ends; a process started in it inherits that, and lets them in itself."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # its own start would let the signals in
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
