"""Run a study into a result folder."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fesolver.errors import ConvergenceError, FesolverError
from fesolver.solvers.prepare import thread_count
from fesolver.solvers.warm_up import warm_up
from fesolver.study.case import run_case
from fesolver.study.cases import expand_cases
from fesolver.study.config import StudyConfig, config_hash
from fesolver.study.inputs import ParametricData, StudyData, read_data
from fesolver.study.model import check_tables
from fesolver.study.progress import ProgressReporter, SilentProgress
from fesolver.study.provenance import git_commit, host, versions
from fesolver.study.rate import write_rate
from fesolver.study.schema import SCHEMA
from fesolver.study.stages import Stages
from fesolver.study.store import check_target, staged_folder, write_case, write_json
from fesolver.study.tables import change_rows, summary_rows, to_csv

__all__ = ["RunSummary", "run_study"]


@dataclass(frozen=True)
class RunSummary:
    """What a run left behind.

    Parameters
    ----------
    out : Path
        The result folder.
    n_done, n_failed, n_total : int
        Cases.
    """

    out: Path
    n_done: int
    n_failed: int
    n_total: int


def run_study(
    config: StudyConfig,
    out: str | Path,
    *,
    overwrite: bool = False,
    threads: int | None = None,
    progress: ProgressReporter | None = None,
) -> RunSummary:
    """Run every case of a study and write the result folder, figures and report apart.

    Parameters
    ----------
    config : StudyConfig
        From `fesolver.study.config.load_study`.
    out : path
        Result folder; must not hold results already.
    overwrite : bool
        Replace an older result once the new one is whole.
    threads : int, optional
        FESOLVER_NUM_THREADS or all cores by default. Results do not depend on it.
    progress : ProgressReporter, optional
        Told of stages; silent by default.

    Returns
    -------
    RunSummary

    Raises
    ------
    InputError
        If the study cannot be run as it is. Nothing is written then.
    ConvergenceError
        If the only case did not converge.

    Notes
    -----
    A case of a sweep that fails is recorded with its error and does not stop the rest. A study of one case raises.
    """
    out = Path(out)
    progress = progress or SilentProgress()
    check_target(out, overwrite=overwrite)
    cases = expand_cases(config)
    warm = Stages(progress)
    reader = _Reader()
    # What is wrong with the input stops the run before a minute goes into kernels, and before anything is written.
    check_tables(cases[0].config)
    nominal = reader.read(cases[0].config, warm)
    with warm("compile", "kernels (compiled on first use, then cached)"):
        warm_up(threads, kind="mesh" if isinstance(nominal, ParametricData) else "voxel")
    with staged_folder(out, overwrite=overwrite) as folder:
        (folder / "cases").mkdir()
        summary: list[dict[str, Any]] = []
        moved: list[dict[str, Any]] = []
        entries: list[dict[str, Any]] = []
        timings: dict[str, dict[str, float]] = {"": warm.seconds}
        findings: dict[str, None] = {}
        speed: list[float] = []
        for index, case in enumerate(cases):
            stages = Stages(progress)
            try:
                data = reader.read(case.config, stages)
                result = run_case(case.config, data, stages=stages, threads=threads)
                with stages("write"):
                    keep = config.output.fields
                    with_fields = keep == "all" or (keep == "first" and index == 0)
                    write_case(folder / "cases" / case.id, case.id, case.keys, result, with_fields=with_fields)
                solved = sum(int(str(solve["n_dof"])) for solve in result.pair.solves)
                speed.append(sum(stages.seconds.values()) / solved)
                summary += summary_rows(case.id, case.keys, result)
                moved += change_rows(case.id, case.keys, result)
                entries.append({"id": case.id, "keys": case.keys, "status": "done", "error": None})
                findings |= dict.fromkeys(n for n in result.record["notes"] if n.startswith("warning"))
            except FesolverError as error:
                if len(cases) == 1:
                    raise
                entries.append({"id": case.id, "keys": case.keys, "status": "failed", "error": str(error)})
                summary.append({"case": case.id, **case.keys, "state": "failed", "level": "segment"})
            timings[case.id] = stages.seconds
        if all(entry["status"] == "failed" for entry in entries):
            raise ConvergenceError(f"all {len(cases)} cases failed; the first: {entries[0]['error']}")
        (folder / "summary.csv").write_text(to_csv(summary), encoding="utf-8")
        if moved:
            (folder / "changes.csv").write_text(to_csv(moved), encoding="utf-8")
        write_json(folder / "run.json", _run_record(config, nominal, entries, timings, list(findings), threads))
    if speed:
        write_rate(thread_count(threads), min(speed))
    failed = sum(entry["status"] == "failed" for entry in entries)
    return RunSummary(out=out, n_done=len(cases) - failed, n_failed=failed, n_total=len(cases))


class _Reader:
    """Reads the input once for all cases that share it."""

    def __init__(self) -> None:
        self.key: tuple[str, ...] | None = None
        self.data: StudyData | None = None

    def read(self, config: StudyConfig, stages: Stages) -> StudyData:
        """Data of a configuration, from memory where input, calibration and density change are the same."""
        key = tuple(
            table.model_dump_json() if table is not None else ""
            for table in (config.input, config.calibration, config.bone, config.segment)
        )
        if self.data is None or key != self.key:
            with stages("read", "read and check the input"):
                self.data = read_data(config)
            self.key = key
        return self.data


def _run_record(
    config: StudyConfig,
    nominal: StudyData,
    entries: list[dict[str, Any]],
    timings: dict[str, dict[str, float]],
    warnings: list[str],
    threads: int | None,
) -> dict[str, Any]:
    """Content of `run.json`."""
    return {
        "schema": SCHEMA,
        "name": config.name,
        "status": "done" if all(e["status"] == "done" for e in entries) else "some cases failed",
        "config": config.model_dump(mode="json", by_alias=True),
        "config_hash": config_hash(config),
        "inputs": [{"path": path, "sha256": digest} for path, digest in nominal.files],
        "versions": versions(),
        "git_commit": git_commit(),
        "host": host(),
        "threads": thread_count(threads),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "timings": timings,
        "warnings": warnings,
        "assumptions": [f"calibration assumed, not measured: {nominal.calibration}"]
        if nominal.is_calibration_assumed
        else [],
        "cases": entries,
    }
