"""Worker processes: the same rows for any number, and nothing lost when they end."""

from __future__ import annotations

import functools
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from engine_toys import (
    Toy,
    UnsentRow,
    WrongRow,
    defective,
    dies_unmade,
    expected_values,
    make_tasks,
    only_the_first,
    unmade,
)

from fesolver.errors import FesolverError, InputError
from fesolver.study.engine import cores
from fesolver.study.engine.pool import LocalPool, SerialPool, worker_count

TESTS = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def pool():
    """Two workers that the tests of this file share; they stay from run to run."""
    with LocalPool(Toy, 2) as workers:
        yield workers


def by_digest(rows):
    """Values and status of rows, none of them twice."""
    rows = list(rows)
    found = {row.digest: (row.status, dict(row.values)) for row in rows}
    assert len(found) == len(rows)
    return found


def is_running(pid):
    """Whether a process is there and has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition, seconds):
    """Whether something comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def start_parent(folder, act, **options):
    """A process with two workers, which has work for a minute."""
    code = f"import engine_toys; engine_toys.run_and_tell({str(folder)!r}, {act!r})"
    return subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(TESTS)}, **options)


def child_processes():
    """Processes below this one, the tracker that multiprocessing keeps apart."""
    return [
        child for child in psutil.Process().children(recursive=True) if "resource_tracker" not in str(child.cmdline())
    ]


def test_rows_are_the_same_in_this_process_and_in_workers(pool):
    tasks = make_tasks(60, groups=[("a",), ("b",), ("c",)])
    with SerialPool(Toy) as serial:
        alone = by_digest(serial.run(tasks))

    assert by_digest(pool.run(tasks)) == alone
    assert alone == {task.digest: ("done", expected_values(task)) for task in tasks}


@pytest.mark.long
@pytest.mark.parametrize("n_workers", [1, 3])
def test_rows_are_the_same_for_any_number_of_workers(n_workers):
    tasks = make_tasks(100, groups=[("a", "x"), ("a", "y"), ("b", "x"), ()])
    with LocalPool(Toy, n_workers) as workers:
        found = by_digest(workers.run(tasks))
    assert found == {task.digest: ("done", expected_values(task)) for task in tasks}


def test_rows_tell_seconds_memory_and_worker(pool):
    rows = list(pool.run(make_tasks(4, sleep=0.05)))

    assert {row.facts["worker"] for row in rows} == {1, 2}
    for row in rows:
        assert row.facts["pid"] in pool.pids()
        assert 0.05 <= row.facts["seconds_total"] < 5
        assert 5 < row.facts["peak_mb"] < 500  # an interpreter without numpy is some 15 MB
        assert row.facts["threads"] == "1"


def test_peak_memory_is_that_of_the_process_and_keeps_what_was_let_go():
    """100 MB written to and let go, in a process made by one that holds far more: ru_maxrss would begin there."""
    code = (
        "from fesolver.study.engine.evaluate import peak_memory_mb as peak; before = peak(); "
        "held = bytearray(b'x') * (100 << 20); del held; print(before, peak())"
    )
    here = bytearray(b"x") * (200 << 20)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    before, after = map(float, done.stdout.split())
    assert len(here) == 200 << 20
    assert before < 60  # an interpreter without numpy
    assert 95 < after - before < 110


def test_each_worker_changes_its_group_seldom(pool):
    """Four groups of ten for two workers: two each, and at most one more where a worker helps at the end."""
    list(pool.run(make_tasks(2)))
    before = {row.facts["worker"]: row.facts["switches"] for row in pool.run(make_tasks(4, sleep=0.02))}
    rows = list(pool.run(make_tasks(40, groups=[("a",), ("b",), ("c",), ("d",)], sleep=0.005)))

    for worker in (1, 2):
        switches = max(row.facts["switches"] for row in rows if row.facts["worker"] == worker)
        assert 1 <= switches - before[worker] <= 3


def test_a_task_behind_a_long_one_goes_to_an_idle_worker(pool):
    """The long one comes first; whoever has it must not keep what was sent ahead to it."""
    tasks = make_tasks(1, sleep=1.0) + make_tasks(8, sleep=0.01)[1:]
    rows = list(pool.run(tasks))

    assert len(rows) == len(tasks)
    assert rows[-1].digest == tasks[0].digest
    assert rows[-1].facts["worker"] not in {row.facts["worker"] for row in rows[:-1]}


def test_errors_are_rows_and_do_not_stop_the_rest(pool):
    acts = ["input_error", "convergence_error", "defect", "memory", ""]
    tasks = [make_tasks(i + 1, act=act)[i] for i, act in enumerate(acts)]
    with SerialPool(Toy) as serial:
        alone = {row.digest: row for row in serial.run(tasks)}
    rows = {row.digest: row for row in pool.run(tasks)}

    assert {digest: (row.status, row.error) for digest, row in rows.items()} == {
        digest: (row.status, row.error) for digest, row in alone.items()
    }
    ours, iteration, defect, memory, good = (rows[task.digest] for task in tasks)
    assert ours.error == "no such tissue\n  where: bone.law\n  to do: name another"
    assert "traceback" not in ours.facts
    assert iteration.error == "no convergence in 7 iterations"
    assert defect.error == "a defect in fesolver: ZeroDivisionError: integer division or modulo by zero"
    assert "_divide" in defect.facts["traceback"]
    assert memory.error.startswith("this case needs more memory than there is")
    assert good.status == "done"


def test_workers_log_through_this_process_and_warn_once(pool, caplog):
    with caplog.at_level(logging.INFO, logger="fesolver"):
        list(pool.run(make_tasks(6, act="log")))

    texts = [record.getMessage() for record in caplog.records]
    assert texts.count("calibration is assumed") == 1
    assert texts.count("UserWarning: modulus at its floor") == 1


def test_a_killed_worker_costs_its_running_case_only(pool, tmp_path, caplog):
    """The case is computed again, the others once; a new worker stands in."""
    tasks = make_tasks(12, sleep=0.01)
    tasks[5] = make_tasks(6, act="kill_once", flag=str(tmp_path / "flag"))[5]
    before = set(pool.pids())
    rows = {row.digest: row for row in pool.run(tasks)}

    assert by_digest(rows.values()) == {task.digest: ("done", expected_values(task)) for task in tasks}
    assert rows[tasks[5].digest].facts["lost_workers"] == 1
    assert sum("lost_workers" in row.facts for row in rows.values()) == 1
    assert any("SIGKILL) at case 00005-toy, which is computed again" in r.getMessage() for r in caplog.records)
    assert len(before & set(pool.pids())) == 1
    assert all(child.status() != psutil.STATUS_ZOMBIE for child in child_processes())


def test_a_case_that_always_kills_its_worker_is_given_up(pool):
    tasks = make_tasks(6)
    tasks[2] = make_tasks(3, act="kill")[2]
    rows = {row.digest: row for row in pool.run(tasks)}

    bad = rows.pop(tasks[2].digest)
    assert bad.status == "failed"
    assert bad.facts["lost_workers"] == 3
    assert "3 worker processes ended while they computed this case (signal 9, SIGKILL)" in bad.error
    assert "MB are free now, other cases took up to" in bad.error
    assert {row.status for row in rows.values()} == {"done"}


@pytest.mark.long
@pytest.mark.parametrize(("act", "how"), [("exit", "exit code 7"), ("leave", "exit code 3")])
def test_an_evaluator_that_ends_its_process_is_named_with_its_exit_code(act, how):
    with LocalPool(Toy, 2) as workers:
        rows = list(workers.run(make_tasks(1, act=act)))
    assert how in rows[0].error
    assert "memory:" not in rows[0].error


@pytest.mark.long
def test_workers_killed_at_random_moments_lose_and_double_nothing():
    """A killer at work all the time: every row comes once, or is given up for three deaths."""
    tasks = make_tasks(400, groups=[("a",), ("b",)], sleep=0.01)
    stop = threading.Event()
    killed = 0

    def kill_now_and_then(workers):
        nonlocal killed
        while not stop.wait(0.4):
            pids = workers.pids()
            if pids:
                os.kill(pids[killed % len(pids)], signal.SIGKILL)
                killed += 1

    with LocalPool(Toy, 3) as workers:
        killer = threading.Thread(target=kill_now_and_then, args=(workers,))
        killer.start()
        rows = list(workers.run(tasks))
        stop.set()
        killer.join()
    assert killed > 3
    assert {d for d, (status, _) in by_digest(rows).items() if status == "done"} == {task.digest for task in tasks}


@pytest.fixture
def plain_interrupt():
    """Ctrl-C as Python has it: libraries of clusters leave handlers of their own, shells in the background none."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.long
def test_interrupt_ends_workers_at_once_and_leaves_none(pool, plain_interrupt):
    """Ctrl-C while every worker is in the middle of something; the pool is left by the exception."""
    tasks = make_tasks(1, act="interrupt", sleep=60.0) + make_tasks(3, sleep=60.0)[1:]
    with pytest.raises(KeyboardInterrupt), LocalPool(Toy, 2) as workers:  # noqa: PT012
        rows = workers.run(tasks)
        begin = time.monotonic()
        next(rows)
    assert time.monotonic() - begin < 10  # of 60
    assert {child.pid for child in child_processes()} == set(pool.pids())


def test_an_abandoned_run_leaves_the_pool_fit_for_another(pool):
    rows = pool.run(make_tasks(20, sleep=0.05))
    next(rows)
    rows.close()

    tasks = make_tasks(5)
    assert by_digest(pool.run(tasks)) == {task.digest: ("done", expected_values(task)) for task in tasks}


needs_death_signal = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process of its parent's end"
)


@pytest.mark.parametrize(
    "act", [pytest.param("", marks=pytest.mark.long), pytest.param("hold", marks=needs_death_signal)]
)
def test_no_worker_outlives_a_parent_that_is_killed(tmp_path, act):
    """Within 2 s of kill -9, also where compiled code holds the interpreter."""
    parent = start_parent(tmp_path, act)
    try:
        assert wait_until((tmp_path / "pids").exists, 30)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        below = [child.pid for child in psutil.Process(parent.pid).children(recursive=True)]
        assert len(pids) == 2
        assert set(pids) <= set(below)
        time.sleep(0.2)
    finally:
        parent.kill()
        parent.wait()
    assert wait_until(lambda: not any(map(is_running, below)), 2.0)


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_processes_at_any_moment_ends_them_without_a_word_of_workers(tmp_path, number):
    """As a terminal or a batch system sends it, while workers come up as well as later."""
    for moment in range(12):
        parent = start_parent(tmp_path, "", start_new_session=True, stderr=subprocess.PIPE, text=True)
        assert wait_until((tmp_path / "begun").exists, 30)
        time.sleep(0.03 * moment)
        below = [child.pid for child in psutil.Process(parent.pid).children(recursive=True)]
        os.killpg(parent.pid, number)
        said = parent.communicate(timeout=10)[1]
        (tmp_path / "begun").unlink()
        assert parent.returncode in ({-signal.SIGINT, 130} if number == signal.SIGINT else {143})
        assert said.count("Traceback") == (number == signal.SIGINT), said  # the parent's own
        assert wait_until(lambda: not any(map(is_running, below)), 2.0)  # noqa: B023


@pytest.mark.long
def test_a_script_needs_no_main_guard(tmp_path):
    """Workers do not run the user's script again."""
    script = tmp_path / "script.py"
    script.write_text(
        "import engine_toys\nfrom fesolver.study.engine.pool import LocalPool\n"
        "with LocalPool(engine_toys.Toy, 2) as pool:\n    print(len(list(pool.run(engine_toys.make_tasks(5)))))\n"
    )
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("5\n", "", 0)


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (unmade, InputError, "the mesh cannot be read\n  where: mesh.vtu"),
        pytest.param(defective, FesolverError, "could not begin\nTraceback(.|\n)*unmade", marks=pytest.mark.long),
        pytest.param(dies_unmade, FesolverError, r"before they can compute .*exit code 5", marks=pytest.mark.long),
    ],
)
def test_workers_that_cannot_begin_end_the_run_with_one_message(make, kind, text):
    with LocalPool(make, 1) as workers, pytest.raises(kind, match=text):
        list(workers.run(make_tasks(3)))


@pytest.mark.long
def test_one_worker_goes_on_where_no_other_can_begin(tmp_path):
    make = functools.partial(only_the_first, str(tmp_path / "flag"))
    with LocalPool(make, 3) as workers:
        rows = list(workers.run(make_tasks(60, sleep=0.03)))
    assert len(by_digest(rows)) == 60
    assert len({row.facts["pid"] for row in rows}) == 1


def test_an_evaluator_that_answers_nonsense_is_a_defect():
    with SerialPool(WrongRow) as serial:
        (row,) = serial.run(make_tasks(1))
    assert (row.status, row.digest) == ("failed", make_tasks(1)[0].digest)
    assert "a defect in fesolver: ValueError: the evaluator answered 00000-toy with the row of '00000000'" in row.error


@pytest.mark.long
def test_a_row_that_cannot_be_sent_is_a_defect():
    with LocalPool(UnsentRow, 1) as workers:
        (row,) = workers.run(make_tasks(1))
    assert row.status == "failed"
    assert row.error.startswith("a defect in fesolver: task or row cannot be sent")


@pytest.mark.long
def test_a_large_task_and_row_pass_while_both_ends_are_busy():
    """Payloads far above a pipe's buffer: neither side waits for the other for ever."""
    tasks = make_tasks(6, blob=b"x" * 5_000_000)
    with LocalPool(Toy, 2) as workers:
        assert len(by_digest(workers.run(tasks))) == 6


@pytest.mark.long
@pytest.mark.parametrize("per_task", [True, False])
def test_ten_thousand_trivial_tasks_come_back_once_each(pool, per_task):
    groups = [("mesh", str(i)) for i in range(10_000)] if per_task else [("a",), ("b",)]
    tasks = make_tasks(10_000, groups=groups)
    assert sorted(row.digest for row in pool.run(tasks)) == sorted(task.digest for task in tasks)


def test_errors_of_ours_pass_between_processes_whole():
    error = pickle.loads(pickle.dumps(InputError("what", where="here", fix="do")))
    assert (str(error), error.where, error.fix) == ("what\n  where: here\n  to do: do", "here", "do")


@pytest.fixture
def machine(monkeypatch):
    """Eight cores and 16 GB."""
    monkeypatch.delenv("FESOLVER_NUM_THREADS", raising=False)
    monkeypatch.setattr(cores, "core_count", lambda: 8)
    monkeypatch.setattr("fesolver.solvers.memory.available_mb", lambda: 16_000.0)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"n_tasks": 200}, (8, 1)),
        ({"n_tasks": 3}, (3, 2)),  # what three leave, in whole threads
        ({"n_tasks": 1}, (1, 8)),
        ({"n_tasks": 0}, (1, 8)),
        ({"n_tasks": 200, "memory_mb": 4000.0}, (3, 2)),  # 0.8 x 16 GB
        ({"n_tasks": 200, "memory_mb": 40_000.0}, (1, 8)),
        ({"n_tasks": 200, "threads": 3}, (2, 3)),
        ({"n_tasks": 200, "workers": 2}, (2, 4)),
        ({"n_tasks": 1, "workers": 4}, (1, 8)),
        ({"n_tasks": 200, "workers": 2, "threads": 1}, (2, 1)),
        ({"n_tasks": 200, "workers": 4, "threads": 2}, (4, 2)),
    ],
)
def test_workers_and_threads_fill_the_cores_and_no_more(machine, asked, expected):
    workers, threads = worker_count(**{"threads": None, "workers": None, "memory_mb": None, **asked})
    assert (workers, threads) == expected
    assert workers * threads <= 8


@pytest.mark.parametrize(("workers", "threads"), [(4, 3), (9, None), (None, 9), (0, None), (None, 0)])
def test_numbers_that_oversubscribe_are_refused(machine, workers, threads):
    with pytest.raises(InputError, match=r"need \d+ cores; there are 8|must be at least 1"):
        worker_count(100, threads, workers, None)


def test_threads_of_the_environment_count_as_asked_for(machine, monkeypatch):
    monkeypatch.setenv("FESOLVER_NUM_THREADS", "4")
    assert worker_count(100, None, None, None) == (2, 4)
    assert worker_count(100, 1, None, None) == (8, 1)
    with pytest.raises(InputError, match="3 workers with 4 threads each need 12 cores; there are 8"):
        worker_count(100, None, 3, None)


def test_more_workers_than_memory_holds_are_warned_of(machine, caplog):
    assert worker_count(100, None, 8, 4000.0) == (8, 1)
    assert "8 workers of about 4000 MB each" in caplog.text
