"""What the benchmark scripts share: child processes, the machine, JSON, tables and plots.

A case runs in a child process of its own, so that its peak memory is its own and nothing is warm but what it warms. A
script calls `run_child(__file__, "name", ...)`; the child is the same script, which answers with `answer_child`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"
THREADS = 2
"""Threads of ours and ranks of a peer, in every comparison."""

Record = dict[str, Any]


class ChildFailedError(Exception):
    """A case did not come to an end; the message is the last line it wrote."""


@dataclass(frozen=True)
class Child:
    """What a child process returned, its peak resident memory (MB) and how long it lived (s)."""

    result: Record
    peak_mb: float
    seconds: float


def run_child(script: str, name: str, arguments: Mapping[str, Any], *, threads: int, limit_s: float = 3600.0) -> Child:
    """Run `name(**arguments)` of a script in a process of its own.

    Parameters
    ----------
    script : str
        `__file__` of the caller.
    name : str
        A function that `answer_child` of that script is given.
    arguments : mapping
        What JSON can hold.
    threads : int
        Threads of every library in the child.
    limit_s : float
        The child is ended after so many seconds.

    Returns
    -------
    Child

    Raises
    ------
    ChildFailedError
        If it fails or takes too long.

    Notes
    -----
    The peak is `ru_maxrss` of the finished child. The system hands the parent's own size down to a child, so a parent
    must stay smaller than what it measures: models are made in children too, and passed as files.
    """
    names = ("FESOLVER_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    with tempfile.TemporaryDirectory() as folder:
        answer, log = Path(folder) / "answer.json", Path(folder) / "log.txt"
        start = time.perf_counter()
        with log.open("w") as text:
            process = subprocess.Popen(
                [sys.executable, script, "--child", name, json.dumps(dict(arguments)), str(answer)],
                env=os.environ | dict.fromkeys(names, str(threads)) | {"MPLBACKEND": "Agg"},
                stdout=text, stderr=text, start_new_session=True,
            )  # fmt: skip
            usage = _wait(process, limit_s)
        seconds = time.perf_counter() - start
        if usage is None:
            raise ChildFailedError(f"ended after {limit_s:.0f} s")
        if process.returncode or not answer.exists():
            lines = log.read_text().strip().splitlines() or ["no message"]
            raise ChildFailedError(f"{lines[-1]} (status {process.returncode})")
        return Child(json.loads(answer.read_text()), usage.ru_maxrss / 1024.0, seconds)


def _wait(process: subprocess.Popen[bytes], limit_s: float) -> resource.struct_rusage | None:
    """Usage of a child once it has ended; None where it had to be ended."""
    deadline = time.perf_counter() + limit_s
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage
        if time.perf_counter() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
            os.wait4(process.pid, 0)
            process.returncode = -signal.SIGKILL
            return None
        time.sleep(0.02)


def answer_child(*functions: Callable[..., Record]) -> bool:
    """In a child: run the function asked for and write its result; False in the parent."""
    if sys.argv[1:2] != ["--child"]:
        return False
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, _, name, arguments, answer = sys.argv
    function = {f.__name__: f for f in functions}[name]
    Path(answer).write_text(json.dumps(function(**json.loads(arguments))))
    return True


def resident_mb() -> float:
    """Memory of this process now, MB."""
    with open("/proc/self/statm", encoding="ascii") as line:
        return int(line.read().split()[1]) * resource.getpagesize() / 2**20


def peak_mb() -> float:
    """Most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


@contextmanager
def compile_seconds() -> Iterator[list[float]]:
    """Seconds that numba compiles for inside, in the list's only entry; loading from its cache is not counted."""
    from numba.core import event

    spent = [0.0]
    with event.install_timer("numba:compile", lambda seconds: spent.__setitem__(0, spent[0] + seconds)):
        yield spent


def spread(seconds: Sequence[float]) -> Record:
    """Minimum, median, maximum and every value of repeated runs."""
    ordered = sorted(seconds)
    return {"min": ordered[0], "median": ordered[len(ordered) // 2], "max": ordered[-1], "runs": list(seconds)}


def hardware() -> Record:
    """Processor, cores, caches, memory and system."""
    out: Record = {"system": platform.platform(), "cores": len(os.sched_getaffinity(0))}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            out["processor"] = value.strip()
        if key.strip() == "flags":
            out["vectors"] = [flag for flag in ("avx2", "fma", "avx512f") if flag in value.split()]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    caches = Path("/sys/devices/system/cpu/cpu0/cache")
    for index in sorted(caches.glob("index*")) if caches.exists() else ():
        kind, level, size = ((index / name).read_text().strip() for name in ("type", "level", "size"))
        out[f"L{level} {kind.lower()}"] = size
    return out | {"memory_mb": pages / 2**20}


def available_mb() -> float:
    """Memory that can still be taken on this machine, MB."""
    from fesolver.study.memory import available_mb as available

    return available() or float("inf")


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every script has."""
    out = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--quick", action="store_true", help="tiny sizes, for a check that the script works")
    out.add_argument("--runs", type=int, help="how often each case runs")
    return out


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, columns padded."""
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["| " + " | ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def write_results(name: str, record: Record, text: str, figure: Figure, *, is_quick: bool) -> None:
    """Write JSON, table and plot, and print the table.

    Parameters
    ----------
    name : str
        Of the files; `_quick` is added to those of a quick run, which must not replace measured ones.
    record : dict
        Cases; machine, versions and commit are added.
    text : str
        The table and its notes, Markdown.
    figure : Figure
        matplotlib figure.
    is_quick : bool
        Whether the sizes were tiny.
    """
    from fesolver.study.provenance import git_commit, versions

    name += "_quick" if is_quick else ""
    RESULTS.mkdir(exist_ok=True)
    where = {"hardware": hardware(), "versions": versions(), "commit": git_commit(), "quick": is_quick}
    (RESULTS / f"{name}.json").write_text(json.dumps(where | record, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(text + "\n")
    figure.savefig(RESULTS / f"{name}.png")
    print(text)
    print(
        "written: " + ", ".join(str((RESULTS / f"{name}.{kind}").relative_to(ROOT)) for kind in ("json", "md", "png"))
    )
