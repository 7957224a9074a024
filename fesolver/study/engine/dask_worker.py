"""What runs in the workers of a Dask cluster: one case at a time, by an evaluator that stays in the process."""

from __future__ import annotations

import gc
import logging
import os
import pickle
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from fesolver.errors import FesolverError
from fesolver.study.engine.evaluate import evaluate_task
from fesolver.study.engine.task import Evaluator, Row, Task

__all__ = ["Answer", "Order", "compute", "forget"]

KEPT = 2
"""Evaluators that a process keeps: those of runs whose end it was never told of must not pile up."""

LogLine = tuple[int, str, str]

_one_at_a_time = threading.Lock()
_evaluators: OrderedDict[str, Evaluator] = OrderedDict()
_ended: set[str] = set()


@dataclass(frozen=True)
class Order:
    """What a worker needs to know beside the task.

    Parameters
    ----------
    pool : str
        Name of the pool: its evaluator is made once in every process.
    make_evaluator : bytes
        Pickled callable without arguments.
    worker : int
        Number of the worker, from 1.
    threads : int
        For kernels, where the evaluator was not told.
    log_level : int
        Records below are not sent.
    """

    pool: str
    make_evaluator: bytes
    worker: int
    threads: int
    log_level: int


@dataclass(frozen=True)
class Answer:
    """What comes back.

    Parameters
    ----------
    row : Row or None
        None where there was no evaluator, or the row cannot be sent.
    error : FesolverError or str
        Why there is none.
    is_broken : bool
        The evaluator could not be made: no other case can be computed either.
    log : tuple of (level, logger, text)
        Records and warnings of the case.
    """

    row: Row | None
    error: FesolverError | str = ""
    is_broken: bool = False
    log: tuple[LogLine, ...] = ()


def compute(order: Order, pickled: bytes) -> bytes:
    """Compute a task in this process.

    Parameters
    ----------
    order : Order
    pickled : bytes
        The task.

    Returns
    -------
    bytes
        The pickled `Answer`.

    Notes
    -----
    A Dask worker may run as many tasks at once as it has threads, of several runs too; ours take turns, since not every
    threading layer of numba may be entered twice and memory is counted for one case.
    """
    with _one_at_a_time, _threads(order.threads), _kept_log(order.log_level) as log:
        try:
            evaluator = _evaluator(order)
        except Exception as error:
            return pickle.dumps(Answer(None, _plain_error(error), is_broken=True, log=tuple(log)))
        try:
            task: Task = pickle.loads(pickled)
            row = evaluate_task(evaluator, task, worker=order.worker)
            row = replace(row, values=dict(row.values), facts=dict(row.facts))
            return pickle.dumps(Answer(row, log=tuple(log)), protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # pickle raises what it likes
            text = f"a defect in fesolver: task or row cannot be sent: {type(error).__name__}: {error}"
            return pickle.dumps(Answer(None, text, log=tuple(log)))


def forget(pool: str, *, is_end: bool) -> None:
    """Let go of the evaluator of a pool and of its memory; a case that it is computing goes on.

    Parameters
    ----------
    pool : str
    is_end : bool
        No other task of the pool is wanted; one that was sent already is not begun.
    """
    if is_end:
        _ended.add(pool)
    _evaluators.pop(pool, None)
    gc.collect()


def _evaluator(order: Order) -> Evaluator:
    """The evaluator of a pool, made on its first task here."""
    if order.pool in _ended:
        raise FesolverError("the run has ended")
    evaluator = _evaluators.pop(order.pool, None)
    if evaluator is None:
        evaluator = pickle.loads(order.make_evaluator)()
    while len(_evaluators) >= KEPT:
        _evaluators.popitem(last=False)
    _evaluators[order.pool] = evaluator
    return evaluator


def _plain_error(error: Exception) -> FesolverError | str:
    """An error that can be sent: one of ours as it is, another one as its text."""
    import traceback

    if isinstance(error, FesolverError):
        return error
    return "".join(traceback.format_exception(error))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Have kernels take so many threads by default; the process belongs to others, too."""
    before = os.environ.get("FESOLVER_NUM_THREADS")
    os.environ["FESOLVER_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["FESOLVER_NUM_THREADS"]
        else:
            os.environ["FESOLVER_NUM_THREADS"] = before


@contextmanager
def _kept_log(level: int) -> Iterator[list[LogLine]]:
    """Records and warnings of the block."""
    log, handler = logging.getLogger("fesolver"), _ListHandler()
    before = log.level
    log.setLevel(level)
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = handler.show
            yield handler.lines
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


class _ListHandler(logging.Handler):
    """Keeps what it is given, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[LogLine] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.lines.append((record.levelno, record.name, self.format(record)))

    def show(self, message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        """Keep a warning."""
        self.lines.append((logging.WARNING, "fesolver", f"{category.__name__}: {message}"))
