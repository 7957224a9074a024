"""A real Dask cluster on this machine: the rows of one process, whoever comes, goes, or is killed."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from engine_toys import Toy, UnsentRow, defective, expected_values, make_tasks, unmade

from fesolver.errors import ClusterError, FesolverError, InputError, MissingDependencyError
from fesolver.study.engine import dask_cluster, dask_fleet
from fesolver.study.engine.dask_pool import DaskPool
from fesolver.study.engine.dask_worker import Order, compute, forget
from fesolver.study.engine.pool import SerialPool

TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def distributed():
    """The package; skips without it, fails where FESOLVER_REQUIRE names `cluster`."""
    try:
        import distributed
    except ImportError:
        if "cluster" in os.environ.get("FESOLVER_REQUIRE", "").split(","):
            pytest.fail("distributed is not installed (FESOLVER_REQUIRE names cluster)")
        pytest.skip("distributed is not installed")
    return distributed


def local_cluster(distributed, n_workers, threads=1):
    return distributed.LocalCluster(
        n_workers=n_workers, threads_per_worker=threads, processes=True, dashboard_address=None,
        worker_dashboard_address=None, silence_logs=logging.CRITICAL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def cluster(distributed):
    """A scheduler in this process, and two workers with a process each, which are started again when they die."""
    with local_cluster(distributed, 2) as there:
        yield there


def by_digest(rows):
    """Values and status of rows, none of them twice."""
    rows = list(rows)
    found = {row.digest: (row.status, dict(row.values)) for row in rows}
    assert len(found) == len(rows)
    return found


def expected(tasks):
    return {task.digest: ("done", expected_values(task)) for task in tasks}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_rows_are_those_of_this_process_and_groups_stay_together(cluster):
    tasks = make_tasks(40, groups=[("a",), ("b",)], sleep=0.002)
    with SerialPool(Toy) as serial:
        alone = by_digest(serial.run(tasks))
    with DaskPool(Toy, cluster) as pool:
        assert "2 workers" in pool.describe()
        rows = list(pool.run(tasks))

    assert by_digest(rows) == alone == expected(tasks)
    for worker in (1, 2):
        own = [row.facts for row in rows if row.facts["worker"] == worker]
        assert own
        assert len({facts["pid"] for facts in own}) == 1
        assert max(facts["switches"] for facts in own) <= 2  # its own group, and help with the other at the end
    assert not any("lost_workers" in row.facts for row in rows)


def test_a_worker_killed_in_the_middle_of_a_case_costs_that_case_only(cluster, tmp_path, caplog):
    tasks = make_tasks(1, act="kill_once", flag=str(tmp_path / "flag")) + make_tasks(10, sleep=0.1)[1:]
    with DaskPool(Toy, cluster) as pool:
        rows = list(pool.run(tasks))

    assert by_digest(rows) == expected(tasks)
    assert sum(row.facts.get("lost_workers", 0) for row in rows) == 1
    assert "was lost at case" in caplog.text


@pytest.mark.long
@pytest.mark.parametrize("allowed", [0, 3])
def test_a_case_that_three_workers_are_lost_with_is_given_up_and_no_other(distributed, allowed):
    """Whether or not the scheduler gives it up before; cases sent ahead to the same workers are not blamed."""
    import dask

    with dask.config.set({"distributed.scheduler.allowed-failures": allowed}), local_cluster(distributed, 2) as there:
        tasks = make_tasks(1, act="kill") + make_tasks(30, sleep=0.02)[1:]
        with DaskPool(Toy, there) as pool:
            rows = list(pool.run(tasks))
    found = by_digest(rows)
    failed = [row for row in rows if row.status == "failed"]

    assert [row.digest for row in failed] == [tasks[0].digest]
    assert "3 workers were lost while they computed this case" in failed[0].error
    assert failed[0].facts["lost_workers"] == 3
    assert {digest: row for digest, row in found.items() if digest != tasks[0].digest} == expected(tasks[1:])


def test_two_pools_at_once_on_one_cluster_do_not_mix(cluster):
    """The same digests, other numbers: nothing of one run may answer the other."""
    runs = [make_tasks(15, sleep=0.01), make_tasks(15, act="input_error")]
    found = {}

    def run(which):
        with DaskPool(Toy, cluster) as pool:
            found[which] = by_digest(pool.run(runs[which]))

    threads = [threading.Thread(target=run, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == expected(runs[0])
    assert {status for status, _ in found[1].values()} == {"failed"}


def test_a_process_computes_one_case_at_a_time_whatever_its_threads():
    """Two threads of one process, as in a Dask worker with two."""
    order = Order("toys", pickle.dumps(Toy), worker=1, threads=3, log_level=logging.WARNING)
    tasks = make_tasks(2, sleep=0.2)
    threads = [threading.Thread(target=compute, args=(order, pickle.dumps(task))) for task in tasks]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - begin >= 0.4
    assert "FESOLVER_NUM_THREADS" not in os.environ or os.environ["FESOLVER_NUM_THREADS"] != "3"
    assert count_evaluators() == 1
    forget("toys", is_end=False)
    assert count_evaluators() == 0


def test_threads_are_those_of_the_worker_unless_asked_for(monkeypatch):
    import fesolver.study.engine.dask_worker as module

    monkeypatch.setenv("FESOLVER_NUM_THREADS", "7")
    seen = []
    monkeypatch.setattr(module, "_evaluator", lambda order: seen.append(os.environ["FESOLVER_NUM_THREADS"]))
    compute(Order("toys", b"", worker=1, threads=3, log_level=logging.WARNING), b"")

    assert seen == ["3"]
    assert os.environ["FESOLVER_NUM_THREADS"] == "7"


def test_workers_keep_an_evaluator_from_run_to_run_and_let_it_go_at_the_end(cluster, distributed):
    with DaskPool(Toy, cluster) as pool:
        first = list(pool.run(make_tasks(4, groups=[("a",)])))
        again = list(pool.run(make_tasks(4, groups=[("a",)])))
        kept = evaluators(cluster, distributed)
    assert {row.facts["switches"] for row in first + again} == {1}
    assert set(kept.values()) == {1}
    assert set(evaluators(cluster, distributed).values()) == {0}


def evaluators(cluster, distributed):
    """How many evaluators each worker keeps."""
    with distributed.Client(cluster, set_as_default=False) as client:
        found = client.run(count_evaluators)
    return found


def count_evaluators():
    from fesolver.study.engine import dask_worker

    return len(dask_worker._evaluators)


def test_an_abandoned_run_leaves_the_pool_fit_for_another(cluster):
    with DaskPool(Toy, cluster) as pool:
        rows = pool.run(make_tasks(20, sleep=0.05))
        next(rows)
        rows.close()
        tasks = make_tasks(5)
        assert by_digest(pool.run(tasks)) == expected(tasks)


def test_logs_of_workers_are_heard_here_and_a_warning_once(cluster, caplog):
    caplog.set_level(logging.INFO, logger="fesolver")
    with DaskPool(Toy, cluster) as pool:
        list(pool.run(make_tasks(4, act="log")))

    assert caplog.text.count("calibration is assumed") == 1
    assert caplog.text.count("UserWarning: modulus at its floor") == 1
    assert sum("case " in record.message for record in caplog.records if record.name == "fesolver.bone") == 4


@pytest.mark.long
def test_a_worker_that_joins_late_gets_work_and_one_that_does_not_fit_none(cluster, monkeypatch, caplog):
    own = dask_cluster.own_versions()
    try:
        with DaskPool(Toy, cluster) as pool:
            rows = pool.run(make_tasks(400, sleep=0.1))
            next(rows)
            cluster.scale(3)
            assert any(row.facts["worker"] == 3 for row in rows)
            rows.close()
    finally:
        cluster.scale(2)
        cluster.wait_for_workers(2)

    with DaskPool(Toy, cluster) as pool:
        monkeypatch.setattr(dask_cluster, "own_versions", lambda: own | {"numba": "0.1"})
        cluster.scale(3)
        rows = []
        for row in pool.run(make_tasks(400, sleep=0.1)):
            rows.append(row)
            if "it gets no case" in caplog.text and len(rows) > 20:
                break
        cluster.scale(2)
    assert {row.facts["worker"] for row in rows} == {1, 2}
    assert f"has numba {own['numba']} (here 0.1): it gets no case" in caplog.text


def test_workers_with_other_versions_are_refused_before_anything_runs(cluster, monkeypatch):
    own = dask_cluster.own_versions()
    monkeypatch.setattr(dask_cluster, "own_versions", lambda: own | {"fesolver": "9.9", "numpy": "1.0"})
    what = rf"worker tcp://127.0.0.1:\d+ has fesolver {own['fesolver']} \(here 9.9\), numpy {own['numpy']} \(here 1.0\)"
    with pytest.raises(InputError, match=what), DaskPool(Toy, cluster):
        pass


def test_workers_without_fesolver_are_refused(cluster, monkeypatch):
    monkeypatch.setattr(dask_cluster, "NEEDED", "fesolver.study.engine.not_there")
    with pytest.raises(InputError, match=r"has no fesolver\.study\.engine\.not_there"), DaskPool(Toy, cluster):
        pass


def test_workers_that_do_not_see_the_result_folder_are_asked_to_keep_nothing(cluster, tmp_path, caplog):
    """Another evaluator is made there; the one that would write fails here if it is made."""
    tasks = make_tasks(4)
    with DaskPool(Toy, cluster, folder=tmp_path, make_apart=unmade) as pool:
        assert by_digest(pool.run(tasks)) == expected(tasks)
    assert "result folder" not in caplog.text
    assert not list(tmp_path.iterdir())

    handle = os.open(tmp_path, os.O_RDONLY)  # a path that means something else in every process
    try:
        with DaskPool(unmade, cluster, folder=Path(f"/proc/self/fd/{handle}"), make_apart=Toy) as pool:
            assert by_digest(pool.run(tasks)) == expected(tasks)
    finally:
        os.close(handle)
    assert caplog.text.count("do not see the result folder") == 1


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [(unmade, InputError, "the mesh cannot be read"), (defective, FesolverError, "could not begin(.|\n)*unmade")],
)
def test_an_evaluator_that_cannot_be_made_ends_the_run_with_one_message(cluster, make, kind, text):
    with DaskPool(make, cluster) as pool, pytest.raises(kind, match=text):
        list(pool.run(make_tasks(3)))


def test_a_row_that_cannot_be_sent_is_a_defect(cluster):
    with DaskPool(UnsentRow, cluster) as pool:
        (row,) = pool.run(make_tasks(1))
    assert row.error.startswith("a defect in fesolver: task or row cannot be sent")


@pytest.mark.parametrize("is_deaf", [False, True])
def test_a_scheduler_that_does_not_answer_is_one_message(distributed, monkeypatch, is_deaf):
    """Nothing listens there, or something that says nothing."""
    monkeypatch.setattr(dask_cluster, "ANSWER_S", 0.5)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if is_deaf:
            listener.listen()
        address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        begin = time.monotonic()
        with (
            pytest.raises(InputError, match=f"no Dask scheduler answers at {address}") as caught,
            DaskPool(Toy, address),
        ):
            pass
    assert caught.value.exit_code == 2
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("address", ["nonsense://1", "127.0.0.1", ""])
def test_an_address_that_is_none_is_one_message(distributed, monkeypatch, address):
    monkeypatch.setattr(dask_cluster, "ANSWER_S", 0.5)
    with pytest.raises(InputError, match="no Dask scheduler answers"), DaskPool(Toy, address):
        pass


def start(*arguments):
    """A process of Dask's own command line."""
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.fixture
def separate(distributed):
    """A scheduler and two workers, each a process of its own that nobody starts again."""
    address = f"tcp://127.0.0.1:{free_port()}"
    here = ("--host", "127.0.0.1", "--no-dashboard")
    scheduler = start("distributed.cli.dask_scheduler", *here, "--port", address.rpartition(":")[2])
    workers = [start("distributed.cli.dask_worker", address, *here, "--nthreads", "1", "--no-nanny") for _ in range(2)]
    try:
        yield address, scheduler, workers
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.wait()


@pytest.mark.long
def test_a_lost_scheduler_keeps_the_rows_that_came_and_is_one_message(separate):
    address, scheduler, _ = separate
    found = []
    with (  # noqa: PT012
        pytest.raises(ClusterError, match="connection to the Dask scheduler was lost") as caught,
        DaskPool(Toy, address) as pool,
    ):
        for row in pool.run(make_tasks(200, sleep=0.05)):
            found.append(row)
            if len(found) == 10:
                scheduler.send_signal(signal.SIGKILL)
    assert caught.value.exit_code == 3
    assert 10 <= len(found) < 200


@pytest.mark.long
def test_a_run_without_workers_waits_and_then_says_so(separate, monkeypatch):
    address, _, workers = separate
    monkeypatch.setattr(dask_fleet, "PATIENCE_S", 3.0)
    found = []
    with pytest.raises(ClusterError, match="has had no worker for 3 s"), DaskPool(Toy, address) as pool:  # noqa: PT012
        for row in pool.run(make_tasks(200, sleep=0.05)):
            found.append(row)
            if len(found) == 10:
                for worker in workers:
                    worker.send_signal(signal.SIGKILL)
    assert len(by_digest(found)) == len(found) >= 10


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependencyError, match=r"fesolver\[cluster\]"), DaskPool(Toy, "tcp://127.0.0.1:1"):
        pass


RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from test_resume import paired
from fesolver.study.runner import run_study
if __name__ == "__main__":
    run_study(paired(), sys.argv[2], threads=1, workers=1, scheduler=sys.argv[3] or None)
"""


@pytest.mark.long
def test_a_study_on_a_cluster_that_loses_a_worker_has_the_bits_of_one_process(separate, tmp_path):
    """Each worker a process that nobody starts again; one is killed once the first rows are there."""
    import json

    address, _, workers = separate
    studies = str(TESTS / "study")
    alone, spread = tmp_path / "alone", tmp_path / "spread"
    subprocess.run([sys.executable, "-c", RUN, studies, str(alone), ""], check=True, timeout=170)
    run = subprocess.Popen([sys.executable, "-c", RUN, studies, str(spread), address])
    try:
        end = time.monotonic() + 150
        while not list((spread / "results").glob("*.parquet")) and time.monotonic() < end and run.poll() is None:
            time.sleep(0.01)
        workers[0].send_signal(signal.SIGKILL)
        assert run.wait(timeout=150) == 0
    finally:
        run.kill()
        run.wait()
    for name in ("summary.csv", "changes.csv"):
        assert (spread / name).read_bytes() == (alone / name).read_bytes()
    record = json.loads((spread / "run.json").read_text())
    assert record["computed"] == {"done": 6, "failed": 0, "kept": 0, "workers_lost": 1}
    assert record["workers"] == f"Dask cluster at {address}"
    cases = [sorted(path.name for path in (out / "cases").iterdir()) for out in (alone, spread)]
    assert cases[0] == cases[1]
    for case in cases[0]:
        assert (spread / "cases" / case / "case.json").read_bytes() == (
            alone / "cases" / case / "case.json"
        ).read_bytes()
