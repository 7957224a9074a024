"""What runs in a worker process: it computes the tasks that come through its pipe, until the pipe ends."""

from __future__ import annotations

import logging
import os
import pickle
import queue
import signal
import sys
import threading
import warnings
from dataclasses import replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import Any, TextIO

from fesolver.errors import FesolverError
from fesolver.study.engine.evaluate import evaluate_task
from fesolver.study.engine.task import Evaluator, Task

__all__ = ["END", "RECALL", "WorkerSettings", "work"]

END = b""
"""Instead of a task: no more will come."""

RECALL = None
"""Instead of a task: give it back if it is not begun."""

WorkerSettings = tuple[int, int, int, bool]
"""Number of the worker, process number of the parent, level of its log, whether to die with the parent's thread."""

_LINUX_PARENT_DEATH_SIGNAL = 1
"""`PR_SET_PDEATHSIG` of prctl(2)."""


def work(pipe: Connection, make_evaluator: bytes, settings: WorkerSettings) -> None:
    """Compute tasks until told to end; the main function of a worker process.

    Parameters
    ----------
    pipe : Connection
        Messages that come: (number, pickled task), (number, RECALL), (-1, END). Messages that go, each with its kind
        first: ("ready",), ("broken", error), ("row", number, row), ("unsent", number, error), ("returned", number),
        ("log", level, name, text).
    make_evaluator : bytes
        Pickled callable without arguments; called once.
    settings : tuple
        See `WorkerSettings`.

    Notes
    -----
    The terminal's Ctrl-C reaches every process of its group: only the parent acts on it. The end of the parent, however
    it comes, ends the worker in the middle of what it does: by a signal of the kernel where there is one (compiled
    code holds the interpreter for seconds, and no thread of Python's would run), else by the thread that reads.
    """
    number, parent, level, is_tied = settings
    _end_with_parent(parent, is_tied=is_tied)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # they were blocked while this process came up
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    outbox = _Outbox(pipe)
    _send_logs(outbox, level)
    inbox: queue.Queue[tuple[int, bytes]] = queue.Queue()
    threading.Thread(target=_read, args=(pipe, inbox, outbox), name="fesolver-read", daemon=True).start()
    try:
        evaluator: Evaluator = pickle.loads(make_evaluator)()
    except Exception as error:
        outbox.send(("broken", _plain_error(error)))
        return
    outbox.send(("ready",))
    while True:
        index, pickled = inbox.get()
        if pickled == END:
            return
        outbox.send_bytes(_answer(index, pickled, evaluator, number))


class _Outbox:
    """The way out, for threads in turn."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._lock = pipe, threading.RLock()

    def send(self, message: tuple[Any, ...]) -> None:
        """Send a message."""
        self.send_bytes(pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL))

    def send_bytes(self, data: bytes) -> None:
        """Send a pickled message; the end of the parent is the end of this process."""
        with self._lock:
            try:
                self._pipe.send_bytes(data)
            except OSError:
                os._exit(1)


def _answer(index: int, pickled: bytes, evaluator: Evaluator, worker: int) -> bytes:
    """The message with the row of a task, or with why there is none that can be sent."""
    try:
        task: Task = pickle.loads(pickled)
        row = evaluate_task(evaluator, task, worker=worker)
        plain = replace(row, values=dict(row.values), facts=dict(row.facts))
        return pickle.dumps(("row", index, plain), protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # pickle raises what it likes
        text = f"a defect in fesolver: task or row cannot be sent: {type(error).__name__}: {error}"
        return pickle.dumps(("unsent", index, text))


def _read(pipe: Connection, inbox: queue.Queue[tuple[int, bytes]], outbox: _Outbox) -> None:
    """Take messages in while a task is computed, so that the parent never waits; end the process with the parent."""
    parent = parent_process()
    watched: list[Any] = [pipe] if parent is None else [pipe, parent.sentinel]
    while True:
        ready = wait(watched)
        if pipe not in ready:
            os._exit(1)
        try:
            index, content = pickle.loads(pipe.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)
        if content is not RECALL:
            inbox.put((index, content))
            continue
        try:
            waiting = inbox.get_nowait()
        except queue.Empty:
            continue
        if waiting[0] == index:
            outbox.send(("returned", index))
        else:
            inbox.put(waiting)


def _end_with_parent(parent: int, *, is_tied: bool) -> None:
    """Have the kernel kill this process when its parent ends."""
    if is_tied and sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_LINUX_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            os._exit(1)


def _plain_error(error: Exception) -> FesolverError | str:
    """An error that can be sent: one of ours as it is, another one as its text."""
    import traceback

    if isinstance(error, FesolverError):
        return error
    return "".join(traceback.format_exception(error))


def _send_logs(outbox: _Outbox, level: int) -> None:
    """Log records and warnings go to the parent."""
    log = logging.getLogger("fesolver")
    log.setLevel(level)
    log.addHandler(_PipeHandler(outbox))
    log.propagate = False

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        log.warning("%s: %s", category.__name__, message)

    warnings.showwarning = show


class _PipeHandler(logging.Handler):
    """Sends what it is given to the parent, as text."""

    def __init__(self, outbox: _Outbox) -> None:
        super().__init__()
        self._outbox = outbox

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            self._outbox.send(("log", record.levelno, record.name, self.format(record)))
        except Exception:
            self.handleError(record)
