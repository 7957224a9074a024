"""One task computed in this process, whatever happens to it."""

from __future__ import annotations

import sys
import time
import traceback
from dataclasses import replace
from typing import Any

from fesolver.errors import FesolverError
from fesolver.study.engine.task import Evaluator, Row, Task

__all__ = ["evaluate_task", "failed_row", "peak_memory_mb"]


def evaluate_task(evaluator: Evaluator, task: Task, *, worker: int) -> Row:
    """The row of a task, with what its computation took.

    Parameters
    ----------
    evaluator : Evaluator
        Of this process.
    task : Task
        What to compute.
    worker : int
        Number of this worker, from 1.

    Returns
    -------
    Row
        With `facts` of the evaluator and `seconds_total`, `peak_mb` (of the whole process, so far) and `worker`. A
        `FesolverError` gives a failed row with its message; any other exception one that names a defect, with its
        `traceback` in the facts. An interrupt goes through.
    """
    start = time.perf_counter()
    try:
        row = evaluator(task)
        if row.digest != task.digest:
            raise ValueError(f"the evaluator answered {task.case} with the row of {row.digest!r}")
    except FesolverError as error:
        row = failed_row(task, str(error))
    except MemoryError as error:
        row = failed_row(task, f"this case needs more memory than there is ({error})", traceback=_trace(error))
    except Exception as error:
        row = failed_row(task, f"a defect in fesolver: {type(error).__name__}: {error}", traceback=_trace(error))
    facts: dict[str, Any] = {
        "seconds_total": round(time.perf_counter() - start, 6),
        "peak_mb": peak_memory_mb(),
        "worker": worker,
    }
    return replace(row, facts={**row.facts, **facts})


def failed_row(task: Task, error: str, **facts: Any) -> Row:
    """A row that says why there is no result."""
    return Row(task.digest, "failed", error=error, facts=facts)


def peak_memory_mb() -> float | None:
    """Most memory this process has held so far, MB; None where the system does not say.

    Notes
    -----
    Linux's `ru_maxrss` of a new process starts at the size of the one that made it; `VmHWM` does not.
    """
    try:
        with open("/proc/self/status", "rb") as lines:
            for line in lines:
                if line.startswith(b"VmHWM:"):
                    return round(int(line.split()[1]) / 1024.0, 1)
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**2, 1)


def _trace(error: BaseException) -> str:
    """Where an exception came from."""
    return "".join(traceback.format_exception(error))
