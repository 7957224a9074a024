"""Workers as jobs of a batch system: what a job says, what is refused, and a run through a made-up one."""

from __future__ import annotations

import os
import shlex
import stat
import sys
from pathlib import Path

import pytest
from engine_toys import Toy, expected_values, make_tasks
from pydantic import ValidationError
from typer.testing import CliRunner

import fesolver.study.config
from fesolver.cli import app
from fesolver.errors import InputError, MissingDependencyError
from fesolver.study.engine import dask_cluster
from fesolver.study.engine.batch import cluster_from, dask_pool
from fesolver.study.engine.dask_pool import DaskPool
from fesolver.study.schema_design import ClusterTable

TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def dask_jobqueue():
    """The package; skips without it, fails where FESOLVER_REQUIRE names `cluster`."""
    try:
        import dask_jobqueue
    except ImportError:
        if "cluster" in os.environ.get("FESOLVER_REQUIRE", "").split(","):
            pytest.fail("dask_jobqueue is not installed (FESOLVER_REQUIRE names cluster)")
        pytest.skip("dask_jobqueue is not installed")
    return dask_jobqueue


def table(kind, **keys):
    given = {"cores": 4, "memory_gb": 16.0, "walltime": "04:30:00", "queue": "short", "account": "spine"}
    return ClusterTable(kind=kind, **{**given, **keys})


EXPECTED = {
    "slurm": [
        *("#SBATCH -p short", "#SBATCH -A spine", "#SBATCH -n 1", "#SBATCH --cpus-per-task=4"),
        *("#SBATCH --mem=15G", "#SBATCH -t 04:30:00"),  # 16e9 bytes are 14.9 times 2^30
    ],
    "pbs": ["#PBS -q short", "#PBS -A spine", "#PBS -l select=1:ncpus=4:mem=15GB", "#PBS -l walltime=04:30:00"],
    "lsf": ["#BSUB -q short", '#BSUB -P "spine"', "#BSUB -n 4", '#BSUB -R "span[hosts=1]"', "#BSUB -W 04:30"],
}


@pytest.mark.parametrize("kind", ["slurm", "pbs", "lsf"])
def test_a_job_asks_for_what_the_table_says_and_is_one_worker(kind):
    asked = table(kind, extra_directives=("--exclusive",), prologue=("module load python", "source env/bin/activate"))
    with cluster_from(asked) as cluster:
        lines = cluster.job_script().splitlines()
        address = cluster.scheduler_address
    for line in EXPECTED[kind]:
        assert line in lines
    directive = {"slurm": "#SBATCH", "pbs": "#PBS", "lsf": "#BSUB"}[kind]
    assert f"{directive} --exclusive" in lines
    start = lines.index("export NUMBA_NUM_THREADS=4")
    assert lines.index("export FESOLVER_NUM_THREADS=4") < start
    assert start < lines.index("module load python") < lines.index("source env/bin/activate")
    command = shlex.split(lines[-1])
    assert command[:3] == [sys.executable, "-m", "distributed.cli.dask_worker"]
    assert command[3] == address
    assert command[command.index("--nthreads") + 1] == "4"
    assert "--nworkers" not in command


@pytest.mark.parametrize(
    ("kind", "given", "written"),
    [("slurm", "2-00:00:00", "-t 2-00:00:00"), ("slurm", "48:00", "-t 48:00:00"), ("lsf", "100:00:00", "-W 100:00")],
)
def test_walltimes_are_written_as_the_batch_system_reads_them(kind, given, written):
    with cluster_from(table(kind, walltime=given)) as cluster:
        assert written in cluster.job_script()


@pytest.mark.parametrize(("kind", "walltime"), [("slurm", "soon"), ("pbs", "2-00:00:00"), ("lsf", "90")])
def test_a_walltime_that_is_none_is_refused(kind, walltime):
    with pytest.raises(InputError, match="is no time"):
        cluster_from(table(kind, walltime=walltime))


def test_an_unknown_batch_system_is_refused_by_the_study_file():
    with pytest.raises(ValidationError, match="slurm"):
        table("sge")


@pytest.mark.parametrize("package", ["distributed", "dask_jobqueue"])
def test_without_a_package_the_extra_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=r"fesolver\[cluster\]"):
        cluster_from(table("slurm"))


def test_a_batch_system_that_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="no command qsub"):
        dask_pool(Toy, None, tmp_path, table("pbs"), None, None)
    with pytest.raises(InputError, match="which batch system"):
        dask_pool(Toy, None, tmp_path, None, None, None)


STUDY = """
schema = 1
name = "one"
[input]
kind = "parametric"
t_score = -3.0
[segment]
levels = ["L1", "L2"]
refinement = 0.4
[treatment]
level = "L1"
"""


def test_the_command_says_in_one_message_that_no_scheduler_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(dask_cluster, "ANSWER_S", 0.3)
    (tmp_path / "one.toml").write_text(STUDY)
    out = tmp_path / "out"
    call = ["run", str(tmp_path / "one.toml"), "--out", str(out), "--quiet"]
    result = CliRunner().invoke(app, [*call, "--scheduler", "tcp://127.0.0.1:1"])

    assert result.exit_code == 2, result.output
    assert result.output.count("error:") == 1
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in result.output
    assert not out.exists()


@pytest.mark.parametrize(
    "options", [["--scheduler", "tcp://127.0.0.1:1", "--cluster"], ["--cluster", "--workers", "2"]]
)
def test_the_command_takes_one_place_to_compute_only(tmp_path, monkeypatch, options):
    monkeypatch.setattr(fesolver.study.config, "load_study", lambda path: None)
    result = CliRunner().invoke(app, ["run", str(tmp_path / "one.toml"), *options])

    assert result.exit_code == 2
    assert "exclude each other" in result.output


SBATCH = """#!/bin/sh
nohup sh "$1" >/dev/null 2>&1 &
echo $! >>{folder}/jobs
echo "Submitted batch job $!"
"""

SCANCEL = """#!/bin/sh
for job in "$@"; do kill $(ps -o pid= --ppid $job) $job; echo $job >>{folder}/ended; done
"""


@pytest.mark.long
def test_jobs_of_a_batch_system_compute_the_tasks_and_are_ended(tmp_path, monkeypatch):
    """sbatch and scancel that run the very script in a process of this machine."""
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text.format(folder=tmp_path))
        (tmp_path / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    asked = table("slurm", jobs=2, cores=1, memory_gb=1.0, prologue=(f"export PYTHONPATH={TESTS}",))
    tasks = make_tasks(20, sleep=0.2)
    cluster = cluster_from(asked)
    with DaskPool(Toy, cluster, jobs=2) as pool:
        assert pool.describe() == "a Dask cluster of 2 SLURM jobs"
        rows = list(pool.run(tasks))

    assert {row.digest: row.values for row in rows} == {task.digest: expected_values(task) for task in tasks}
    assert {row.facts["threads"] for row in rows} == {"1"}
    jobs = (tmp_path / "jobs").read_text().split()
    assert len(jobs) == 2
    assert sorted((tmp_path / "ended").read_text().split()) == sorted(jobs)
