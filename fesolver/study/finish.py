"""What a finished run leaves beside its rows: tables, and the record of how it went."""

from __future__ import annotations

import datetime
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fesolver.errors import ConvergenceError
from fesolver.study.config import StudyConfig, config_hash
from fesolver.study.engine.dataset import Dataset
from fesolver.study.engine.loop import RunCount
from fesolver.study.engine.task import Task
from fesolver.study.inputs import StudyData
from fesolver.study.provenance import git_commit, host, versions
from fesolver.study.rate import write_rate
from fesolver.study.rows import change_rows, summary_rows
from fesolver.study.schema import SCHEMA
from fesolver.study.store import write_json, write_text
from fesolver.study.tables import to_csv

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RunFacts", "finish_run"]


@dataclass(frozen=True)
class RunFacts:
    """How a run went, for `run.json`.

    Parameters
    ----------
    nominal : StudyData
        Data of the first case.
    seconds : mapping of str to float
        Stages before the first case.
    count : RunCount
    threads : int
        Of each case.
    workers : str
        Who computed, in words.
    is_local : bool
        Whether this machine did.
    """

    nominal: StudyData
    seconds: Mapping[str, float]
    count: RunCount
    threads: int
    workers: str
    is_local: bool = True


def finish_run(config: StudyConfig, out: Path, tasks: Sequence[Task], dataset: Dataset, run: RunFacts) -> int:
    """Write `summary.csv`, `changes.csv` and `run.json` of a study whose cases have all been tried.

    Parameters
    ----------
    config : StudyConfig
    out : Path
        Result folder.
    tasks : sequence of Task
        All cases, in the order of the design.
    dataset : Dataset
        With a row of each.
    run : RunFacts

    Returns
    -------
    int
        Cases that failed.

    Raises
    ------
    ConvergenceError
        If every case failed; no file is written then.
    """
    table, facts = dataset.table(tasks), dataset.facts()
    failed = table["status"].eq("failed").to_numpy()
    if failed.all():
        why = table["error"].iloc[0]
        raise ConvergenceError(
            f"all {len(tasks)} cases failed; the first: {why}" if len(tasks) > 1 else str(why),
            fix="put the study right and run it again; --retry-failed computes the same cases once more",
        )
    summary: list[dict[str, Any]] = []
    moved: list[dict[str, Any]] = []
    for task, values in zip(tasks, _values(table, tasks), strict=True):
        summary += summary_rows(task.case, task.keys, values)
        moved += change_rows(task.case, task.keys, values)
    write_text(out / "summary.csv", to_csv(summary))
    if moved:
        write_text(out / "changes.csv", to_csv(moved))
    entries = [
        {"id": task.case, "keys": dict(task.keys), "status": status, "error": error or None}
        for task, status, error in zip(tasks, table["status"], table["error"], strict=True)
    ]
    own = {task.case: facts.get(task.digest, {}) for task in tasks}
    write_json(out / "run.json", _run_record(config, entries, own, run))
    rates = [sum(f["seconds"].values()) / f["unknowns"] for f in own.values() if f.get("unknowns") and f.get("seconds")]
    if rates and run.count.done and run.is_local:
        write_rate(run.threads, statistics.median(rates))
    return int(failed.sum())


def _values(table: pd.DataFrame, tasks: Sequence[Task]) -> list[dict[str, float]]:
    """Outcomes of every case that has some, in the order of the table."""
    import numpy as np

    from fesolver.study.results_table import outcome_columns

    names = outcome_columns(table)
    numbers = table[names].to_numpy(dtype=np.float64)
    assert len(numbers) == len(tasks)
    return [{name: float(v) for name, v in zip(names, row, strict=True) if not np.isnan(v)} for row in numbers]


def _run_record(
    config: StudyConfig, entries: list[dict[str, Any]], facts: Mapping[str, Mapping[str, Any]], run: RunFacts
) -> dict[str, Any]:
    """Content of `run.json`."""
    found = [line for fact in facts.values() for line in fact.get("warnings", ())]
    return {
        "schema": SCHEMA,
        "name": config.name,
        "status": "done" if all(e["status"] == "done" for e in entries) else "some cases failed",
        "config": config.model_dump(mode="json", by_alias=True),
        "config_hash": config_hash(config, files=dict(run.nominal.files)),
        "inputs": [{"path": path, "sha256": digest} for path, digest in run.nominal.files],
        "versions": versions(),
        "git_commit": git_commit(),
        "host": host(),
        "threads": run.threads,
        "workers": run.workers,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "timings": {"": dict(run.seconds)} | {case: dict(fact.get("seconds", {})) for case, fact in facts.items()},
        "reused": {case: list(fact.get("reused", ())) for case, fact in facts.items()},
        "computed": {
            "done": run.count.done,
            "failed": run.count.failed,
            "kept": run.count.reused,
            "workers_lost": run.count.lost,
        },
        "warnings": list(dict.fromkeys(found)),
        "assumptions": [f"calibration assumed, not measured: {run.nominal.calibration}"]
        if run.nominal.is_calibration_assumed
        else [],
        "cases": entries,
    }
