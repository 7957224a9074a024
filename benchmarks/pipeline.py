"""Whole runs of shipped studies, cold and warm: seconds per stage, peak memory, bytes per unknown.

    python benchmarks/pipeline.py [--quick] [--threads N]

Every run is a child process of its own. Cold means an empty kernel cache; warm is the run after it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).resolve().parent / "results"


def run_once(study: Path | None, out: Path, cache: Path, threads: int | None) -> dict[str, object]:
    """One `fesolver` process; seconds and peak memory from the operating system, stages from its own run.json."""
    command = [sys.executable, "-m", "fesolver"]
    command += ["demo"] if study is None else ["run", str(study)]
    command += ["--out", str(out), "--overwrite", "--quiet"]
    if threads:
        command += ["--threads", str(threads)]
    start = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | {"NUMBA_CACHE_DIR": str(cache)})
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)} failed with status {os.waitstatus_to_exitcode(status)}")
    record = json.loads((out / "run.json").read_text())
    case = json.loads(next((out / "cases").glob("00000-*/case.json")).read_text())
    stages: dict[str, float] = {}
    for timings in record["timings"].values():
        for stage, spent in timings.items():
            stages[stage] = stages.get(stage, 0.0) + spent
    peak_mb = usage.ru_maxrss / 1024.0
    return {
        "seconds": seconds,
        "stages": {name: round(spent, 3) for name, spent in stages.items()},
        "rest_seconds": seconds - sum(stages.values()),
        "peak_mb": peak_mb,
        "bytes_per_unknown": peak_mb * 2**20 / case["n_dof"],
        "n_dof": case["n_dof"],
        "n_cells": case["n_cells"],
        "solves": case["solves"],
        "threads": record["threads"],
        "versions": record["versions"],
        "host": record["host"],
    }


def nominal(study: Path, folder: Path, spacing_mm: float | None) -> Path:
    """A copy of a study without its sweep, paths kept, with another spacing where one is given."""
    lines = study.read_text().split("[sweep]")[0].splitlines()
    if spacing_mm is not None:
        lines = [f"spacing_mm = {spacing_mm}" if line.startswith("spacing_mm") else line for line in lines]
    copy = folder / study.name
    copy.write_text("\n".join(lines) + "\n")
    return copy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the demo warm only, the CT study on 2 mm cells")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary), Path(temporary) / "cache"
        runs: list[tuple[str, Path | None]] = [("demo cold", None), ("demo warm", None)]
        if os.environ.get("FESOLVER_DATA"):
            study = ROOT / "studies" / "ct_lumbar_vertebroplasty.toml"
            copy = nominal(study, folder, 2.0 if options.quick else None)
            runs.append(("CT lumbar, nominal case, " + ("2 mm" if options.quick else "1 mm"), copy))
        for name, study_file in runs:
            results[name] = entry = run_once(study_file, folder / "out", cache, options.threads)
            stages = ", ".join(f"{stage} {spent:.1f}" for stage, spent in entry["stages"].items())  # type: ignore[attr-defined]
            print(
                f"{name}: {entry['seconds']:.1f} s ({stages}; rest {entry['rest_seconds']:.1f}), "
                f"{entry['n_dof']} unknowns, peak {entry['peak_mb']:.0f} MB"
            )
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "pipeline.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
