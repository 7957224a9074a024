"""What is missing is computed, once; rows that came back are on disk, however a run ends."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest
from engine_toys import Toy, expected_values, make_tasks

from fesolver.errors import InputError
from fesolver.study.engine.dataset import Dataset, read_table
from fesolver.study.engine.loop import RunCount, run_tasks
from fesolver.study.engine.pool import LocalPool, SerialPool
from fesolver.study.engine.task import Row


class Notes:
    """Reporter that remembers."""

    def __init__(self):
        self.calls = []

    def start(self, total, reused):
        self.calls.append(("start", total, reused))

    def case(self, task, row, done, failed):
        self.calls.append((task.case, row.status, done, failed))

    def finish(self):
        self.calls.append("finish")


class Stopping:
    """Pool whose run gives rows and then does something else."""

    n_workers = 1

    def __init__(self, after, act):
        self.after, self.act, self.seen = after, act, []

    def run(self, tasks):
        for count, task in enumerate(tasks):
            if count == self.after:
                self.act()
            self.seen.append(task.case)
            yield Row(task.digest, "done", expected_values(task))


def interrupt():
    raise KeyboardInterrupt


def test_a_second_run_computes_nothing_and_a_longer_one_what_is_new(tmp_path):
    notes = Notes()
    with SerialPool(Toy) as pool:
        first = run_tasks(make_tasks(5), Dataset(tmp_path), pool)
        again = run_tasks(make_tasks(5), Dataset(tmp_path), pool)
        longer = run_tasks(make_tasks(7), Dataset(tmp_path), pool, reporter=notes)

    assert first == RunCount(done=5)
    assert again == RunCount(reused=5)
    assert longer == RunCount(done=2, reused=5)
    assert notes.calls == [("start", 7, 5), ("00005-toy", "done", 1, 0), ("00006-toy", "done", 2, 0), "finish"]
    table = read_table(tmp_path, make_tasks(7))
    assert list(table["intact/L1/square"]) == [expected_values(t)["intact/L1/square"] for t in make_tasks(7)]


def test_failed_cases_stay_failed_until_a_retry_is_asked_for(tmp_path):
    bad = [*make_tasks(2), make_tasks(3, act="convergence_error")[2]]
    with SerialPool(Toy) as pool:
        assert run_tasks(bad, Dataset(tmp_path), pool) == RunCount(done=2, failed=1)
        assert run_tasks(make_tasks(3), Dataset(tmp_path), pool) == RunCount(reused=3)
        assert run_tasks(make_tasks(3), Dataset(tmp_path), pool, retry_failed=True) == RunCount(done=1, reused=2)
    assert list(read_table(tmp_path, make_tasks(3))["status"]) == ["done"] * 3


def test_tasks_of_one_digest_are_computed_once(tmp_path):
    tasks = make_tasks(3)
    twin = replace(tasks[0], case="00003-toy", index=3)
    pool = Stopping(99, interrupt)

    assert run_tasks([*tasks, twin], Dataset(tmp_path), pool) == RunCount(done=3, reused=1)
    assert pool.seen == ["00000-toy", "00001-toy", "00002-toy"]


def test_an_interrupt_keeps_every_row_that_came_and_ends_the_display(tmp_path):
    notes = Notes()
    with pytest.raises(KeyboardInterrupt):
        run_tasks(make_tasks(10), Dataset(tmp_path), Stopping(6, interrupt), reporter=notes)

    assert len(Dataset(tmp_path).digests()) == 6
    assert notes.calls[-1] == "finish"


def test_a_row_is_on_disk_while_the_next_case_takes_long(tmp_path):
    """The second row comes too soon after the first to be written with it; nothing else comes that could write it."""

    def look():
        end = time.monotonic() + 5
        while len(Dataset(tmp_path).digests()) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        assert len(Dataset(tmp_path).digests()) == 2

    run_tasks(make_tasks(3), Dataset(tmp_path), Stopping(2, look))


def test_a_full_disk_ends_the_run_with_its_own_message(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fesolver.study.engine.dataset.write_part", full)
    with pytest.raises(InputError, match="No space left on device"):
        run_tasks(make_tasks(3), Dataset(tmp_path), Stopping(99, interrupt))


def test_a_pool_that_keeps_a_case_to_itself_is_found_out(tmp_path):
    class Short(Stopping):
        def run(self, tasks):
            return iter([Row(tasks[0].digest, "done")])

    with pytest.raises(RuntimeError, match=r"2 cases came back without a row, 00001-toy first"):
        run_tasks(make_tasks(3), Dataset(tmp_path), Short(0, interrupt))


def test_lost_workers_are_counted_and_the_table_is_that_of_a_quiet_run(tmp_path):
    """Workers that die on the way change the count of losses and nothing else."""
    groups = [("a",), ("b",)]
    tasks = make_tasks(8, groups=groups)
    rough = list(tasks)
    for i in (1, 6):
        rough[i] = make_tasks(8, groups=groups, act="kill_once", flag=str(tmp_path / f"flag{i}"))[i]
    with LocalPool(Toy, 2) as pool:
        assert run_tasks(rough, Dataset(tmp_path / "rough"), pool) == RunCount(done=8, lost=2)
    with SerialPool(Toy) as pool:
        run_tasks(tasks, Dataset(tmp_path / "quiet"), pool)

    rough_csv, quiet_csv = (read_table(tmp_path / name, tasks).to_csv() for name in ("rough", "quiet"))
    assert rough_csv == quiet_csv


@pytest.mark.long
def test_ten_thousand_trivial_tasks_end_up_on_disk_in_few_parts(tmp_path):
    tasks = make_tasks(10_000, groups=[("a",), ("b",)])
    with LocalPool(Toy, 2) as pool:
        assert run_tasks(tasks, Dataset(tmp_path), pool) == RunCount(done=10_000)
    assert len(os.listdir(tmp_path)) < 100
    assert len(read_table(tmp_path, tasks)) == 10_000
