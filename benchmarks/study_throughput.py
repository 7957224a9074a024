"""Throughput of a parameter study: the engine beside as many separate runs, and beside a plain loop.

Usage: `python benchmarks/study_throughput.py [--quick] [--cases 200] [--separate 200]`. One study of the structured
demo segment, intact and treated, on one mesh: bone density, cement volume and cement modulus vary.

- engine: `fesolver run STUDY --no-report` with 1 and with 2 workers of one thread, over a full grid of 5 densities, 10
  volumes and 4 moduli, whose 40 cases of one density share their intact segment;
- scattered: the same with 2 workers over a Latin hypercube of `--scattered` cases, no two of which share anything but
  the mesh;
- separate: one `fesolver run CASE --no-report` a case, as many at a time as the engine has workers, one thread each,
  caches warm; with `--separate` so many of the cases, evenly taken, and the time scaled up, which is said;
- loop: the same cases one after the other in one process, nothing shared between them (`--loop`, 10 by default);
- trivial: 10,000 tasks that compute nothing through pool, dataset and table, in one group and in as many groups as
  tasks; 1000 cases planned: milliseconds a task and a case. `--trivial` measures this part again and nothing else.

Answers are compared before times: the largest relative difference of any outcome, engine against separate.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from _common import RESULTS, Record, answer_child, run_child

WORKERS = 2
BASE: dict[str, Any] = {
    "schema": 1,
    "name": "throughput",
    "input": {"kind": "parametric", "t_score": -3.0},
    "segment": {"levels": ["T12", "L1", "L2"]},
    "treatment": {"level": "L1", "volume_ml": 6.0},
    "load": {"force_n": 500.0},
    "output": {"fields": "none", "records": "none"},
}
FACTORS: dict[str, dict[str, Any]] = {
    "density": {"key": "bone.density_scale", "low": 0.7, "high": 1.4},
    "cement": {"key": "treatment.volume_ml", "low": 2.0, "high": 8.0},
    "modulus": {"key": "materials.cement_young_mpa", "low": 500.0, "high": 3000.0},
}
N_MODULI = 4
N_VOLUMES = 10


def study_tables(n_cases: int, refinement: float, *, is_scattered: bool = False) -> dict[str, Any]:
    """The study of so many cases: scattered, or a grid of as many densities as that takes."""
    tables = BASE | {"segment": {**BASE["segment"], "refinement": refinement}}
    if is_scattered:
        return tables | {"factors": FACTORS, "design": {"kind": "latin_hypercube", "n": n_cases, "seed": 1}}
    n_moduli = min(N_MODULI, n_cases)
    n_volumes = min(N_VOLUMES, n_cases // n_moduli)
    counts = {"density": n_cases // (n_moduli * n_volumes), "cement": n_volumes, "modulus": n_moduli}
    factors = {
        name: {"key": f["key"], "values": np.linspace(f["low"], f["high"], counts[name]).round(4).tolist()}
        for name, f in FACTORS.items()
    }
    return tables | {"factors": factors, "design": {"kind": "grid"}}


def toml(tables: Mapping[str, Any], prefix: str = "") -> str:
    """Tables as TOML; numbers, texts, lists and tables are all there is."""
    lines = [f"{key} = {json.dumps(v)}" for key, v in tables.items() if not isinstance(v, dict)]
    out = "\n".join(lines) + "\n"
    for key, value in tables.items():
        if isinstance(value, dict):
            out += f"\n[{prefix}{key}]\n" + toml(value, f"{prefix}{key}.")
    return out


def fesolver(arguments: list[str], threads: int) -> float:
    """Seconds of one command; it must end well."""
    names = ("FESOLVER_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    start = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-c", "from fesolver.cli import main; main()", *arguments, "--quiet"],
        env=os.environ | dict.fromkeys(names, str(threads)), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if said.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {said.stderr.strip()}")
    return time.perf_counter() - start


def engine(folder: Path, n_cases: int, refinement: float, workers: int, *, is_scattered: bool = False) -> Record:
    """The whole study by the engine."""
    file, out = folder / "study.toml", folder / f"engine{workers}{'s' * is_scattered}"
    file.write_text(toml(study_tables(n_cases, refinement, is_scattered=is_scattered)))
    seconds = fesolver(
        ["run", str(file), "--out", str(out), "--no-report", "--workers", str(workers), "--threads", "1"], 1
    )
    from fesolver.study.engine.dataset import Dataset

    facts = list(Dataset(out / "results").facts().values())
    stages: dict[str, float] = {}
    for fact in facts:
        for name, spent in fact["seconds"].items():
            stages[name] = stages.get(name, 0.0) + spent
    return {
        "workers": workers,
        "cases": len(facts),
        "seconds": seconds,
        "seconds_a_case": seconds / n_cases,
        "worker_seconds_by_stage": {name: round(spent / len(facts), 3) for name, spent in stages.items()},
        "peak_mb_of_a_worker": max(fact["peak_mb"] for fact in facts),
        "out": str(out),
    }


def separate(folder: Path, n_cases: int, refinement: float, n_run: int, workers: int) -> Record:
    """One command a case."""
    from fesolver.study.config import study_from_dict
    from fesolver.study.design.plan import plan_study

    plan = plan_study(study_from_dict(study_tables(n_cases, refinement)))
    chosen = np.unique(np.linspace(0, n_cases - 1, n_run).astype(int)).tolist()
    for index in chosen:
        point, tables = plan.point(index), json.loads(json.dumps(study_tables(n_cases, refinement)))
        del tables["factors"], tables["design"]
        tables["bone"] = {"density_scale": point["density"]}
        tables["treatment"]["volume_ml"] = point["cement"]
        tables["materials"] = {"cement_young_mpa": point["modulus"]}
        (folder / f"case{index}.toml").write_text(toml(tables))

    def run(index: int) -> float:
        return fesolver(["run", str(folder / f"case{index}.toml"), "--out", str(folder / f"case{index}"), "--no-report",
                         "--threads", "1"], 1)  # fmt: skip

    run(chosen[0])  # caches warm
    for index in chosen[:1]:
        subprocess.run(["rm", "-r", str(folder / f"case{index}")], check=True)
    start = time.perf_counter()
    with ThreadPoolExecutor(workers) as at_once:
        each = list(at_once.map(run, chosen))
    seconds = time.perf_counter() - start
    return {
        "at_once": workers,
        "runs": len(chosen),
        "seconds": seconds * n_cases / len(chosen),
        "is_scaled_up": len(chosen) < n_cases,
        "seconds_of_one_run": float(np.mean(each)),
        "chosen": chosen,
    }


def largest_difference(folder: Path, out: str, chosen: list[int]) -> float:
    """Largest relative difference of an outcome of both states, engine against separate runs."""
    from fesolver.study.results_table import results_table

    table, worst = results_table(Path(out)), 0.0
    for index in chosen:
        other = results_table(folder / f"case{index}").iloc[0]
        for name in table.columns:
            if name.startswith(("intact/", "treated/")) and "imbalance" not in name:
                a, b = float(table.iloc[index][name]), float(other.get(name, np.nan))
                size = max(abs(a), abs(b))
                if size > 1e-9:  # false for a number that one of them lacks, or that is round-off
                    worst = max(worst, abs(a - b) / size)
    return worst


def loop(n_cases: int, refinement: float, n_run: int) -> Record:
    """Cases one after the other in this process, each from nothing."""
    from fesolver.study.case import run_case
    from fesolver.study.config import study_from_dict
    from fesolver.study.design.plan import plan_study
    from fesolver.study.inputs import read_data
    from fesolver.study.stages import Stages

    plan = plan_study(study_from_dict(study_tables(n_cases, refinement)))
    seconds = []
    for index in range(n_run + 1):
        start = time.perf_counter()
        config = plan.case(index % n_cases).config
        run_case(config, read_data(config), stages=Stages(), threads=1, with_record=False)
        seconds.append(time.perf_counter() - start)
    return {"runs": n_run, "seconds_a_case": float(np.mean(seconds[1:]))}


def nothing(task: Any) -> Any:
    """The row of a task that computes next to nothing: twenty numbers."""
    from fesolver.study.engine.task import Row

    return Row(task.digest, "done", {f"intact/L1/q{k}_mpa": float(task.index * k) for k in range(20)})


def make_nothing() -> Any:
    """An evaluator for every worker."""
    return nothing


def trivial(folder: str, n_tasks: int) -> Record:
    """Tasks that compute nothing, few groups and many; and what a case costs before it is computed."""
    from fesolver.study.config import study_from_dict
    from fesolver.study.design.plan import plan_study
    from fesolver.study.tasks import study_tasks

    start = time.perf_counter()
    planned = len(study_tasks(plan_study(study_from_dict(study_tables(1000, 1.0, is_scattered=True)))))
    return {
        "ms_to_plan_a_case": 1e3 * (time.perf_counter() - start) / planned,
        "one_group": nothing_computed(folder + "1", n_tasks, 1),
        "groups_as_many_as_tasks": nothing_computed(folder + "n", n_tasks, n_tasks),
    }


def nothing_computed(folder: str, n_tasks: int, n_groups: int) -> Record:
    """So many tasks that compute nothing, and the table read while it grows."""
    from fesolver.study.engine.dataset import Dataset, read_table
    from fesolver.study.engine.loop import run_tasks
    from fesolver.study.engine.pool import LocalPool
    from fesolver.study.engine.task import Row, Task

    tasks = [
        Task(f"{k:064x}", f"{k:05d}-x", k, {"factor": float(k)}, {}, ("mesh", str(k % n_groups)))
        for k in range(n_tasks)
    ]
    place, rows_seen = Path(folder) / "results", list[int]()

    class Reader:
        """Reads the table every tenth of the way."""

        def start(self, total: int, reused: int) -> None: ...

        def case(self, task: Task, row: Row, done: int, failed: int) -> None:
            if done % max(1, n_tasks // 10) == 0:
                rows_seen.append(len(read_table(place)))

        def finish(self) -> None: ...

    start = time.perf_counter()
    with LocalPool(make_nothing, WORKERS, 1) as pool:
        count = run_tasks(tasks, Dataset(place), pool, reporter=Reader())
    seconds = time.perf_counter() - start
    return {"tasks": count.done, "ms_a_task": 1e3 * seconds / n_tasks, "rows_seen_on_the_way": rows_seen}


def main() -> None:
    """Measure, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small mesh and few cases: does it run?")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--scattered", type=int, default=60)
    parser.add_argument("--separate", type=int, default=None, help="separate runs; all cases by default")
    parser.add_argument("--loop", type=int, default=10)
    parser.add_argument("--json", type=Path, default=RESULTS / "study_throughput.json")
    parser.add_argument("--trivial", action="store_true", help="measure the tasks that compute nothing again")
    given = parser.parse_args()
    if given.trivial:
        with tempfile.TemporaryDirectory() as name:
            record = json.loads(given.json.read_text()) | {"trivial": tiny_of(Path(name), 10_000)}
        given.json.write_text(json.dumps(record, indent=1) + "\n")
        print(json.dumps(record["trivial"], indent=1))
        return
    n_cases, refinement = (8, 0.3) if given.quick else (given.cases, 1.0)
    n_run = min(n_cases, given.separate or n_cases)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [engine(folder, n_cases, refinement, workers) for workers in (1, WORKERS)]
        apart = separate(folder, n_cases, refinement, n_run, WORKERS)
        n_scattered = min(n_cases, given.scattered)
        scattered = engine(folder, n_scattered, refinement, WORKERS, is_scattered=True)
        scattered.pop("out")
        difference = largest_difference(folder, runs[-1].pop("out"), apart.pop("chosen"))
        runs[0].pop("out")
        plain = run_child(
            __file__, "loop", {"n_cases": n_cases, "refinement": refinement, "n_run": min(given.loop, n_cases)},
            threads=1,
        ).result  # fmt: skip
        tiny = tiny_of(folder, 200 if given.quick else 10_000)
    record = {
        "cases": n_cases,
        "engine": runs,
        "scattered": scattered,
        "separate": apart,
        "loop": plain,
        "trivial": tiny,
        "largest_relative_difference": difference,
        "times_separate_runs": apart["seconds"] / runs[-1]["seconds"],
        "times_separate_runs_scattered": apart["seconds"] / n_cases / scattered["seconds_a_case"],
        "times_plain_loop": plain["seconds_a_case"] * n_cases / runs[0]["seconds"],
        "scaling_2_over_1": runs[0]["seconds"] / runs[1]["seconds"],
    }
    print(json.dumps(record, indent=1))
    if not given.quick:
        given.json.write_text(json.dumps(record | {"machine": machine()}, indent=1) + "\n")


def tiny_of(folder: Path, n_tasks: int) -> Record:
    """The tasks that compute nothing, in a process of their own."""
    return run_child(__file__, "trivial", {"folder": str(folder / "trivial"), "n_tasks": n_tasks}, threads=1).result


def machine() -> Record:
    """What it ran on."""
    from _common import hardware

    return hardware()


if __name__ == "__main__" and not answer_child(loop, trivial):
    main()
