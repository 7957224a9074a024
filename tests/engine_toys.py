"""Evaluators without finite elements, for pools and loops: what they do is in the payload of a task."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from fesolver.errors import ConvergenceError, InputError
from fesolver.study.engine.task import Row, Task


def make_tasks(count: int, *, groups: Sequence[tuple[str, ...]] = ((),), **payload: object) -> list[Task]:
    """Tasks with x = 0, 1, 2, ... in equal blocks of the groups."""
    block = -(-count // len(groups))
    return [
        Task(f"{i:040x}", f"{i:05d}-toy", i, {"x": float(i)}, {"x": i, **payload}, groups[i // block])
        for i in range(count)
    ]


def expected_values(task: Task) -> dict[str, float]:
    """What every toy computes."""
    x = task.payload["x"]
    return {"intact/L1/square": x * x / 3.0, "treated/L1/root": x**0.5}


class Toy:
    """Squares and roots; counts how often its group changed; does mischief where the payload says so."""

    def __init__(self) -> None:
        self.group: tuple[str, ...] | None = None
        self.switches = 0

    def __call__(self, task: Task) -> Row:
        if task.groups != self.group:
            self.group, self.switches = task.groups, self.switches + 1
        act = ACTS.get(str(task.payload.get("act", "")))
        if act is not None:
            act(task)
        time.sleep(float(task.payload.get("sleep", 0.0)))
        facts = {"pid": os.getpid(), "switches": self.switches, "threads": os.environ.get("NUMBA_NUM_THREADS")}
        return Row(task.digest, "done", expected_values(task), facts=facts)


def _kill_once(task: Task) -> None:
    flag = Path(task.payload["flag"])
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _raise_input(task: Task) -> None:
    raise InputError("no such tissue", where="bone.law", fix="name another")


def _raise_convergence(task: Task) -> None:
    raise ConvergenceError("no convergence in 7 iterations")


def _divide(task: Task) -> None:
    print(1 // 0)


def _log(task: Task) -> None:
    logging.getLogger("fesolver").warning("calibration is assumed")
    logging.getLogger("fesolver.bone").info("case %d", task.payload["x"])
    warnings.warn("modulus at its floor", UserWarning, stacklevel=1)


def _hold_interpreter(task: Task) -> None:
    """Sleep as compiled code runs: no other thread of Python's gets a turn."""
    ctypes.PyDLL(None).sleep(60)


ACTS = {
    "kill": lambda task: os.kill(os.getpid(), signal.SIGKILL),
    "kill_once": _kill_once,
    "exit": lambda task: os._exit(7),
    "leave": lambda task: sys.exit(3),
    "input_error": _raise_input,
    "convergence_error": _raise_convergence,
    "defect": _divide,
    "memory": lambda task: bytearray(1 << 62),
    "log": _log,
    "hold": _hold_interpreter,
    "interrupt": lambda task: os.kill(os.getppid(), signal.SIGINT),
}


class WrongRow(Toy):
    """Answers with the row of another task."""

    def __call__(self, task: Task) -> Row:
        return Row("0" * 8, "done")


class UnsentRow(Toy):
    """Answers with a row that cannot be pickled."""

    def __call__(self, task: Task) -> Row:
        return Row(task.digest, "done", facts={"bad": lambda: None})


def unmade() -> Toy:
    """Make no evaluator."""
    raise InputError("the mesh cannot be read", where="mesh.vtu")


def dies_unmade() -> Toy:
    """End the process instead of making an evaluator."""
    os._exit(5)


def only_the_first(flag: str) -> Toy:
    """End every process but the first, as where memory holds no more."""
    try:
        Path(flag).touch(exist_ok=False)
    except FileExistsError:
        os.kill(os.getpid(), signal.SIGKILL)
    return Toy()


def defective() -> Toy:
    """Raise what is no error of ours."""
    raise ZeroDivisionError("unmade")


def run_and_tell(folder: str, act: str) -> None:
    """Main of a child process: run tasks that take long, with the pids of its workers in a file."""
    from fesolver.interrupts import end_on_signals
    from fesolver.study.engine.pool import LocalPool

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell's children inherit that it is ignored
    end_on_signals()
    Path(folder, "begun").touch()
    tasks = make_tasks(4, sleep=60.0, act=act)
    with LocalPool(Toy, 2) as pool:
        rows = pool.run([*make_tasks(2, sleep=0.2), *tasks])
        next(rows)
        next(rows)
        pids = pool.pids()
        Path(folder, "pids.tmp").write_text(" ".join(map(str, pids)), encoding="ascii")
        Path(folder, "pids.tmp").rename(Path(folder, "pids"))
        next(rows)
