"""Rows on disk: exact, whole or not at all, counted once, and the same table however they got there."""

from __future__ import annotations

import errno
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dataset_rows import FEW, N_ADDED, pair, run_child
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fesolver.errors import InputError
from fesolver.study.engine import dataset as dataset_module
from fesolver.study.engine import part_files
from fesolver.study.engine.dataset import MANY, Dataset, read_table
from fesolver.study.engine.flush import BufferedRows
from fesolver.study.engine.parts import DamagedPartError, decode_part, encode_part, make_record
from fesolver.study.engine.task import Row, Task

no_windows = pytest.mark.skipif(sys.platform == "win32", reason="needs fork, SIGKILL and limits of a POSIX system")

ODD = (np.nan, np.inf, -np.inf, -0.0, 5e-324, 1 / 3, np.nextafter(1.0, 2.0), 1.7976931348623157e308)


def bits(table: pd.DataFrame) -> tuple[list[str], list[str], str]:
    """Everything of a table: names, types, and values in their shortest exact form."""
    return list(table.columns), [str(t) for t in table.dtypes], table.to_csv(index=False)


def by_hand(pairs: list[tuple[Task, Row]]) -> pd.DataFrame:
    """The table by pandas alone, of pairs in order."""
    head = [
        {"case": t.case, "status": r.status, "error": r.error.replace("\udcff", r"\udcff")}
        | {"factor:case" if k == "case" else k: v for k, v in t.keys.items()}
        for t, r in pairs
    ]
    return pd.concat([pd.DataFrame(head), pd.DataFrame([dict(r.values) for _, r in pairs])], axis=1)


def parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_the_table_has_the_same_bits_for_any_arrival_and_any_parts(tmp_path_factory, data):
    pairs = [pair(i, status="failed" if i % 5 == 3 else "done") for i in range(data.draw(st.integers(1, 25)))]
    arrival = data.draw(st.permutations(pairs))
    folder = tmp_path_factory.mktemp("rows")
    rows = Dataset(folder)
    while arrival:
        n = data.draw(st.integers(1, 9))
        rows.add(arrival[:n])
        arrival = arrival[n:]
        if data.draw(st.booleans()):
            rows = Dataset(folder)

    order = [task for task, _ in pairs]
    expected = bits(by_hand(pairs))
    assert bits(rows.table(order)) == expected
    assert bits(rows.table()) == expected
    assert bits(read_table(folder, order[::-1])) == bits(by_hand(pairs[::-1]))


def test_numbers_come_back_with_every_bit(tmp_path):
    values = {f"treated/L1/q{k}": v for k, v in enumerate(ODD)}
    task = Task("d", "c", 0, {"x": 0.1 + 0.2, "n": 3, "name": "a", "on": True})
    Dataset(tmp_path).add([(task, Row("d", "done", values))])

    for table in (read_table(tmp_path), read_table(tmp_path, [task])):
        found = table[list(values)].to_numpy()[0]
        assert found.tobytes() == np.array(ODD).tobytes()
        assert table["x"][0] == 0.1 + 0.2
        assert table["n"].tolist() == [3]
        assert table["name"][0] == "a"
        assert table["on"].tolist() == [True]


def test_factors_of_mixed_kinds_and_clashing_names_come_back(tmp_path):
    keys = [{"x": 1, "digest": "a"}, {"x": "none"}, {"x": [1, 2]}, {"x": 2**70, "factor:y": np.float64(0.5)}, {}]
    values = {"digest": 1.0, "factor:x": 2.0, "outcome:z": 3.0, "x": 4.0, "case": 5.0}
    pairs = [(Task(f"d{i}", f"c{i}", i, k), Row(f"d{i}", "done", values)) for i, k in enumerate(keys)]
    Dataset(tmp_path).add(pairs)

    table = read_table(tmp_path)
    assert list(table.columns[3:6]) == ["x", "digest", "factor:y"]
    assert table["x"].tolist()[:4] == [1, "none", [1, 2], 2**70]
    assert table["factor:y"].tolist()[3] == 0.5
    assert list(table.columns[6:]) == ["outcome:digest", "factor:x", "outcome:z", "outcome:x", "outcome:case"]
    assert table.iloc[0, 6:].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_missing_case_is_nan_and_a_failed_one_has_no_outcomes(tmp_path):
    pairs = [pair(0), pair(1, status="failed"), pair(2)]
    task, row = pairs[1]
    Dataset(tmp_path).add([pairs[0], (task, Row(row.digest, "failed", {"treated/L9/q": 1.0}, "broke"))])

    table = read_table(tmp_path, [task for task, _ in pairs])
    assert table["status"].tolist()[:2] == ["done", "failed"]
    assert table["status"].isna().tolist() == [False, False, True]
    assert table["error"].tolist() == ["", "broke", ""]
    assert table["volume_ml"].tolist() == [0.0, 0.5, 1.0]
    assert list(table.columns[6:]) == list(pairs[0][1].values)
    assert table.iloc[1:, 6:].isna().all(axis=None)


def test_of_two_rows_the_first_done_counts_and_of_failed_ones_the_last(tmp_path):
    task = pair(4)[0]
    failed = [Row(task.digest, "failed", error=text) for text in ("first", "second")]
    Dataset(tmp_path).add([(task, failed[0])])
    rows = Dataset(tmp_path)
    rows.add([(task, failed[1])])
    assert rows.table()["error"].tolist() == ["second"]

    rows.add([pair(4)])
    Dataset(tmp_path).add([pair(4, shift=1.0), (task, failed[0])])
    for again in (rows, Dataset(tmp_path)):
        assert again.digests() == {task.digest: "done"}
        assert bits(again.table()) == bits(by_hand([pair(4)]))
        assert again.facts() == {task.digest: {"seconds": 1.0}}


def test_a_row_of_another_task_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not of task"):
        Dataset(tmp_path).add([(pair(1)[0], pair(2)[1])])


def test_many_parts_are_merged_and_keep_what_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_module, "MANY", 4)
    n = 90
    rows = Dataset(tmp_path, study="demo")
    for i in range(n):
        rows.add([pair(i, status="failed" if i % 20 == 0 else "done")])
        if i % 20 == 10:
            rows.add([pair(i - 10)])  # done after all
            rows.add([pair(i - 1, shift=9.0)])  # a second one, that does not count

    assert len(parts(tmp_path)) <= 4 * 4  # 4 of each class: to 4, 16, 64, 256 rows
    pairs = [pair(i, status="failed" if i % 20 == 0 and i + 10 >= n else "done") for i in range(n)]
    expected = bits(by_hand(pairs))
    assert bits(rows.table()) == expected
    again = Dataset(tmp_path)
    assert again.digests() == rows.digests()
    assert bits(again.table([t for t, _ in pairs])) == expected


def test_large_parts_are_merged_no_further(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_module, "MANY", 4)
    rows = Dataset(tmp_path)
    rows.add([pair(0)])
    size = parts(tmp_path)[0].stat().st_size
    monkeypatch.setattr(dataset_module, "LARGE", 1.5 * size)
    monkeypatch.setattr(dataset_module, "MERGE", 3.5 * size)  # three parts at once
    for i in range(1, 30):
        rows.add([pair(i)])
    assert {len(decode_part(p.read_bytes(), p.name)) for p in parts(tmp_path)} == {1, 3}
    assert bits(rows.table()) == bits(by_hand([pair(i) for i in range(30)]))


def test_copies_left_by_a_merge_that_was_killed_count_once(tmp_path, monkeypatch):
    rows = Dataset(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda self, missing_ok=False: None)
        for i in range(MANY + 1):
            rows.add([pair(i)])
    assert len(parts(tmp_path)) == MANY + 2

    expected = bits(by_hand([pair(i) for i in range(2 * MANY + 2)]))
    rows = Dataset(tmp_path)
    for i in range(MANY + 1, 2 * MANY + 2):
        rows.add([pair(i)])
    assert len(parts(tmp_path)) <= MANY + 2  # of one row, and two merged ones
    assert bits(read_table(tmp_path)) == expected


@pytest.mark.parametrize("kind", ["cut", "garbage", "empty", "other columns", "flipped"])
def test_a_damaged_part_is_set_aside_and_the_rest_kept(tmp_path, caplog, kind):
    rows = Dataset(tmp_path)
    for i in range(3):
        rows.add([pair(i)])
    victim = parts(tmp_path)[1]
    good = victim.read_bytes()
    middle = len(good) // 2
    if kind == "other columns":
        pd.DataFrame({"digest": ["a"], "x": [1.0]}).to_parquet(victim)
    else:
        made = {"cut": good[:middle], "garbage": b"PAR1" + os.urandom(999) + b"PAR1", "empty": b""}
        made["flipped"] = good[:300] + bytes([good[300] ^ 1]) + good[301:]
        victim.write_bytes(made[kind])

    assert len(read_table(tmp_path)) == 2
    assert victim.exists()  # a reader changes nothing
    caplog.clear()
    rows = Dataset(tmp_path)
    assert list(rows.digests()) == [pair(0)[0].digest, pair(2)[0].digest]
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    assert victim.name in caplog.text
    assert [p.name for p in tmp_path.glob("*.corrupt")] == [f"_{victim.name}.corrupt"]

    rows.add([pair(1)])
    assert bits(read_table(tmp_path)) == bits(by_hand([pair(i) for i in range(3)]))
    assert len(pd.read_parquet(tmp_path)) == 3  # what is set aside is hidden from other tools


def test_a_part_cut_anywhere_is_found_damaged():
    data = bytes(encode_part([make_record(*pair(i), i) for i in range(2)]))
    for length in range(0, len(data), 7):
        with pytest.raises(DamagedPartError):
            decode_part(data[:length], "part")


@pytest.mark.parametrize("n_rows", [2, 100])  # plain and compressed
def test_no_flipped_bit_changes_a_row_unseen(n_rows):
    """Every row read from a damaged part is the row that was written: else the part is refused."""
    records = [make_record(*pair(i, status="failed" if i % 3 == 1 else "done"), i) for i in range(n_rows)]
    data = bytearray(encode_part(records))
    drawn = random.Random(n_rows)

    def whole(found):
        return [(repr(r), r.values.tobytes()) for r in found]

    expected = whole(decode_part(bytes(data), "part"))
    refused = 0
    for _ in range(200):
        place, bit = drawn.randrange(len(data)), 1 << drawn.randrange(8)
        data[place] ^= bit
        try:
            assert whole(decode_part(bytes(data), "part")) == expected
        except (DamagedPartError, InputError):
            refused += 1
        data[place] ^= bit
    assert refused > 100


def test_a_damaged_part_met_while_merging_is_set_aside(tmp_path, caplog):
    for i in range(MANY):
        Dataset(tmp_path).add([pair(i)])
    rows = Dataset(tmp_path)
    rows.digests()
    parts(tmp_path)[5].write_bytes(b"nothing")
    rows.add([pair(MANY)])

    assert "is damaged" in caplog.text
    assert pair(5)[0].digest not in rows.digests()
    assert len(rows.digests()) == len(read_table(tmp_path)) == MANY


def test_a_dataset_of_a_newer_version_is_refused_and_kept(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("fesolver.study.engine.parts.SCHEMA", 2)
        Dataset(tmp_path).add([pair(0)])
    before = [p.read_bytes() for p in parts(tmp_path)]

    for read in (Dataset(tmp_path).digests, Dataset(tmp_path).table, lambda: read_table(tmp_path)):
        with pytest.raises(InputError, match=r"newer version \(schema 2"):
            read()
    assert [p.read_bytes() for p in parts(tmp_path)] == before


def test_metadata_names_version_and_study(tmp_path):
    import pyarrow.parquet as pq

    Dataset(tmp_path, study="demo").add([pair(0)])
    metadata = pq.read_metadata(parts(tmp_path)[0]).metadata
    assert metadata[b"fesolver_schema"] == b"1"
    assert metadata[b"fesolver_study"] == b"demo"


def test_what_a_killed_run_was_writing_is_removed_at_the_first_write_only(tmp_path):
    left = tmp_path / ".part-00000007-abcdabcd.parquet.tmp"
    left.write_bytes(b"half")
    rows = Dataset(tmp_path)
    assert rows.digests() == {}
    assert left.exists()
    rows.add([pair(0)])
    assert os.listdir(tmp_path) == [parts(tmp_path)[0].name]
    left.write_bytes(b"half")
    Dataset(tmp_path).compact()
    assert os.listdir(tmp_path) == [parts(tmp_path)[0].name]


def test_a_full_disk_is_one_message_and_loses_nothing(tmp_path, monkeypatch):
    rows = Dataset(tmp_path)
    rows.add([pair(0)])

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(part_files.os, "fsync", full)
        with pytest.raises(InputError, match="cannot write 2 finished rows: No space left") as caught:
            rows.add([pair(1), pair(2)])
    assert caught.value.where == str(tmp_path)
    assert len(os.listdir(tmp_path)) == 1
    rows.add([pair(1), pair(2)])
    assert bits(rows.table()) == bits(by_hand([pair(i) for i in range(3)]))


def test_a_full_disk_while_merging_is_a_warning(tmp_path, monkeypatch, caplog):
    rows = Dataset(tmp_path)
    for i in range(MANY):
        rows.add([pair(i)])
    write, calls = dataset_module.write_part, []

    def full_at_second(folder, data, after):
        calls.append(len(data))
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(folder, data, after)

    monkeypatch.setattr(dataset_module, "write_part", full_at_second)
    rows.add([pair(MANY)])
    assert "not merged: No space left" in caplog.text
    assert len(read_table(tmp_path)) == len(parts(tmp_path)) == MANY + 1


@no_windows
def test_a_limit_of_the_file_system_is_one_message(tmp_path):
    body = """
import resource
from fesolver.errors import InputError
rows = Dataset(folder)
rows.add([pair(0)])
resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
try:
    rows.add([pair(i, names=40) for i in range(1, 30)])
except InputError as error:
    print(error)
"""
    out, err = run_child(body, tmp_path).communicate(timeout=60)
    assert "cannot write 29 finished rows: File too large" in out, err
    assert str(tmp_path) in out
    assert os.listdir(tmp_path) == [parts(tmp_path)[0].name]
    assert bits(read_table(tmp_path)) == bits(by_hand([pair(0)]))


def kill_until_done(folder: Path, seed: int, kills: int) -> None:
    """Kill a process that adds rows again and again, then let one end, and look at the table."""
    out, err = run_child(f"kill_at_random(folder, {seed}, {kills})", folder).communicate(timeout=100)
    assert not err
    assert len(set(out.split())) > 1, "no kill hit a process that had written"
    add_in_child(folder)
    assert bits(read_table(folder)) == bits(by_hand([pair(i) for i in range(N_ADDED)]))
    assert not list(folder.glob("*.corrupt"))
    assert not list(folder.glob(".*"))


def add_in_child(folder: Path) -> None:
    """Add what is missing, undisturbed."""
    _, err = run_child("add_one_by_one(folder, lambda i: None)", folder).communicate(timeout=100)
    assert not err


@no_windows
def test_nothing_returned_is_lost_or_doubled_by_kills(tmp_path):
    kill_until_done(tmp_path, seed=1, kills=10)


@no_windows
@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 22))
def test_nothing_returned_is_lost_or_doubled_by_many_kills(tmp_path, seed):
    kill_until_done(tmp_path, seed, kills=10)


@no_windows
def test_an_end_at_any_call_of_a_merge_loses_nothing(tmp_path, monkeypatch):
    """Calls: fsync and rename of the new part, the same of the merged one, fsync of the folder, then deletions."""
    source = tmp_path / "source"
    for i in range(FEW):
        Dataset(source).add([pair(i)])
    ends = range(FEW + 7)
    for k in ends:
        (tmp_path / str(k)).mkdir()
        for part in parts(source):
            (tmp_path / str(k) / part.name).hardlink_to(part)
    body = f"""
dataset_module.MANY = FEW
for k in range({len(ends)}):
    rows = Dataset(folder / str(k))
    os.waitpid(in_fork(lambda: end_at_call(folder, k, lambda: rows.add([pair(FEW)]))), 0)
"""
    _, err = run_child(body, tmp_path).communicate(timeout=100)
    assert not err

    monkeypatch.setattr(dataset_module, "MANY", FEW)
    left = []
    for k in ends:
        folder = tmp_path / str(k)
        left.append(len(parts(folder)))
        assert len(read_table(folder)) == (FEW + 1 if k > 1 else FEW)
        rows = Dataset(folder)
        rows.add([pair(FEW), pair(FEW + 1)])
        assert bits(rows.table()) == bits(by_hand([pair(i) for i in range(FEW + 2)]))
        assert not list(folder.glob(".*"))
    assert left == [4, 4, 5, 5, 6, 6, 5, 4, 3, 2, 1]


def test_a_reader_never_fails_and_never_loses_a_row_while_a_run_goes_on(tmp_path):
    child = run_child("add_one_by_one(folder, lambda i: None)", tmp_path)
    last, reads = 0, 0
    while child.poll() is None:
        table = read_table(tmp_path)
        assert table["case"].tolist() == [pair(i)[0].case for i in range(len(table))]  # added in this order: no gaps
        assert len(table) >= last
        reads += len(table) > last
        last = len(table)
    assert child.communicate()[1] == ""
    assert reads > 3
    assert len(read_table(tmp_path)) == N_ADDED


def test_a_listing_that_misses_old_parts_and_their_merger_is_not_believed(tmp_path, monkeypatch):
    """A folder may be listed while a merger comes and the old parts go: what is then listed can lack both."""
    Dataset(tmp_path).add([pair(0)])
    torn, listdir = [[]], os.listdir
    monkeypatch.setattr(part_files.os, "listdir", lambda folder: torn.pop() if torn else listdir(folder))
    assert len(read_table(tmp_path)) == 1


def test_quick_rows_share_parts_and_a_slow_one_is_on_disk_at_once(tmp_path):
    rows = BufferedRows(Dataset(tmp_path), every_s=30.0, at_most=10)
    rows.add(*pair(0))
    assert len(read_table(tmp_path)) == 1  # nothing was written for a while: at once
    for i in range(1, 10):
        rows.add(*pair(i))
    assert (len(read_table(tmp_path)), len(rows)) == (1, 9)
    rows.add(*pair(10))
    assert (len(read_table(tmp_path)), len(rows)) == (11, 0)
    rows.add(*pair(11))
    rows.close()
    rows.close()
    assert bits(read_table(tmp_path)) == bits(by_hand([pair(i) for i in range(12)]))


def test_rows_that_wait_are_written_in_time_though_no_other_comes(tmp_path):
    with BufferedRows(Dataset(tmp_path), every_s=0.1) as rows:
        rows.add(*pair(0))
        rows.add(*pair(1))
        end = time.monotonic() + 20
        while len(rows) and time.monotonic() < end:
            time.sleep(0.02)
        assert len(read_table(tmp_path)) == 2


def test_rows_that_could_not_be_written_are_written_when_there_is_room(tmp_path, monkeypatch):
    rows = BufferedRows(Dataset(tmp_path), every_s=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(part_files.os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        for i in range(2):
            with pytest.raises(InputError, match=f"cannot write {i + 1} finished row"):
                rows.add(*pair(i))
    rows.close()
    assert len(read_table(tmp_path)) == 2


@pytest.mark.parametrize("n", [2000, pytest.param(10_000, marks=pytest.mark.long)])
def test_many_quick_rows_are_written_together_and_read_while_they_come(tmp_path, n, monkeypatch):
    """Of a write to the disk many rows share the cost; none waits for long."""
    pairs, written = [pair(i, names=20) for i in range(n)], []

    def counted(*args, **kwargs):
        written.append(1)
        return part_files.write_part(*args, **kwargs)

    monkeypatch.setattr(dataset_module, "write_part", counted)
    with BufferedRows(Dataset(tmp_path)) as rows:
        for i, (task, row) in enumerate(pairs):
            rows.add(task, row)
            if i % 5000 == 1500:
                assert len(read_table(tmp_path)) > i - 256
    assert len(read_table(tmp_path)) == n
    assert n / 256 - 1 < len(written) < n / 40
