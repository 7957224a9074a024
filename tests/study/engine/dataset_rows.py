"""Rows made by rule, and processes that write them and are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Here for the processes that fork: to import them takes longer than those live.
import pandas as pd  # noqa: F401
import pyarrow.parquet as pq  # noqa: F401

from fesolver.study.engine import dataset as dataset_module
from fesolver.study.engine.dataset import Dataset, read_table
from fesolver.study.engine.task import Row, Task

N_ADDED = 100  # rows that `add_one_by_one` writes
FEW = 4  # parts of a size class before they are merged, in children: merging is what they are killed in


def pair(i: int, *, status: str = "done", shift: float = 0.0, names: int = 3) -> tuple[Task, Row]:
    """Case `i`: columns differ from case to case, in which there are and in their order."""
    quantities = [f"treated/L{1 + (i + k) % 3}/q{k}_mpa" for k in range(names)]
    values = {name: i / 7 + k + shift for k, name in enumerate(quantities)}
    keys = {"volume_ml": i * 0.5, "law": "kopperdahl" if i % 2 else "morgan", "case": i}
    task = Task(digest=f"{i:016x}", case=f"{i:05d}-{i:08x}", index=i, keys=keys)
    error = "" if status == "done" else "did not converge: \udcff"
    return task, Row(task.digest, status, values if status == "done" else {}, error, {"seconds": 0.25 * i})


def run_child(body: str, *arguments: object) -> subprocess.Popen[str]:
    """A Python process that runs `body` with the names of this module, and `folder` as its first argument."""
    start = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    start += "from dataset_rows import *\nfolder = Path(sys.argv[1])\n"
    command = [sys.executable, "-c", start + body, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def add_one_by_one(folder: Path, note: Callable[[int], object]) -> None:
    """Add the rows that are missing, one part each, and note each that `add` returned for."""
    dataset_module.MANY = FEW
    rows = Dataset(folder)
    there = rows.digests()
    for i in range(N_ADDED):
        if pair(i)[0].digest not in there:
            rows.add([pair(i)])
            note(i)
    rows.compact()


def in_fork(work: Callable[[], object]) -> int:
    """Number of a new process that does `work`, and ends with 0 if it went well."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return child


def check_noted(folder: Path, noted: frozenset[int]) -> None:
    """Every noted row is there, and none twice."""
    there = [int(case[:5]) for case in read_table(folder)["case"]]
    assert len(there) == len(set(there))
    assert noted <= set(there), sorted(noted - set(there))


def kill_at_random(folder: Path, seed: int, kills: int) -> None:
    """Kill a process that adds rows, at a random moment, again and again; check what is there after each."""
    drawn = random.Random(seed)
    noted: set[int] = set()
    for _ in range(kills):
        reading, writing = os.pipe()
        child = in_fork(lambda out=writing: add_one_by_one(folder, lambda i: os.write(out, b"%d\n" % i)))
        os.close(writing)
        with os.fdopen(reading) as pipe:
            first = pipe.readline() if drawn.random() < 0.8 else ""  # or killed while it reads what is there
            time.sleep(drawn.random() * 0.1)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            noted |= {int(line) for line in [first, *pipe] if line}
        _, status = os.waitpid(in_fork(lambda found=frozenset(noted): check_noted(folder, found)), 0)
        assert status == 0
        print(len(noted), flush=True)
        if len(noted) == N_ADDED:
            break


def end_at_call(folder: Path, left: int, work: Callable[[], object]) -> None:
    """Do `work`, and end the process in the place of call number `left` of those that change files."""

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def stand_in(*given: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)
            return call(*given, **named)

        return stand_in

    os.fsync, Path.replace, Path.unlink = counted(os.fsync), counted(Path.replace), counted(Path.unlink)
    work()
