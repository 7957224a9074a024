"""One run at a time on a folder, and a run that was killed is in nobody's way."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fesolver.errors import InputError
from fesolver.study.engine import lock as lock_module
from fesolver.study.engine.lock import folder_lock

no_windows = pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL and links of a POSIX system")

HOLD = """
import subprocess, sys, time
from pathlib import Path
from fesolver.study.engine.lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    worker = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=int(sys.argv[2]))
    print(worker.pid, flush=True)
    time.sleep(100)
"""


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Wait for others only as long as needed to see them."""
    monkeypatch.setattr(lock_module, "PATIENCE_S", 0.05)


def refused(folder: Path) -> str:
    """Message of a second run."""
    with pytest.raises(InputError) as caught, folder_lock(folder):
        pass
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_second_run_is_told_who_the_first_is(tmp_path):
    folder = tmp_path / "not" / "there" / "out"
    with folder_lock(folder):
        message = refused(folder)
    assert f"another run is working on {folder}" in message
    assert f"process {os.getpid()} on {socket.gethostname()}" in message
    began = datetime.fromisoformat(message.split("since ")[1].split()[0])
    assert abs(datetime.now(UTC) - began) < timedelta(minutes=1)
    assert not folder.exists()


def test_nothing_is_left_and_the_lock_can_be_taken_again(tmp_path):
    for _ in range(3):
        with folder_lock(tmp_path / "out"):
            assert len(os.listdir(tmp_path)) == 2
        assert os.listdir(tmp_path) == []


def test_an_error_in_the_block_lets_go(tmp_path):
    with pytest.raises(KeyboardInterrupt), folder_lock(tmp_path / "out"):
        raise KeyboardInterrupt
    with folder_lock(tmp_path / "out"):
        pass


def test_the_lock_holds_while_the_folder_is_renamed_and_made_anew(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    with folder_lock(folder):
        folder.rename(tmp_path / "older")
        assert "another run" in refused(folder)
        folder.mkdir()
        assert "another run" in refused(folder)
    with folder_lock(tmp_path / "other"), folder_lock(folder):
        pass  # folders beside each other do not know of each other


@no_windows
def test_a_folder_has_one_lock_under_all_its_names(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    with folder_lock(folder):
        for name in (tmp_path / "link", Path("."), Path("../out/../out")):
            assert "another run" in refused(name)


@no_windows
def test_a_killed_process_lets_go_though_its_workers_live(tmp_path):
    folder = tmp_path / "out"
    reading, writing = os.pipe()
    os.set_inheritable(reading, True)
    command = [sys.executable, "-c", HOLD, str(folder), str(reading)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=[reading])
    try:
        assert first.stdout is not None
        worker = int(first.stdout.readline())
        assert f"process {first.pid} on" in refused(folder)
        first.send_signal(signal.SIGKILL)
        first.wait()
        os.kill(worker, 0)  # lives
        with folder_lock(folder):
            assert f"process {os.getpid()} on" in refused(folder)
    finally:
        first.kill()
        os.close(writing)
        os.close(reading)
        first.communicate()
    assert os.listdir(tmp_path) == []


ADD_MANY = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from dataset_rows import Dataset, pair
from fesolver.errors import InputError
from fesolver.study.engine.lock import folder_lock
folder, me = Path(sys.argv[1]), int(sys.argv[3])
done = 0
while done < 8:
    try:
        with folder_lock(folder):
            rows = Dataset(folder)
            there = rows.digests()
            assert len(there) % 2 == 0, "seen in the middle of another run"
            for k in range(2):
                rows.add([pair(len(there) + k)])
            done += 1
    except InputError as error:
        print(error)
"""


def test_two_processes_that_add_at_once_are_kept_apart(tmp_path):
    from dataset_rows import pair

    from fesolver.study.engine.dataset import read_table

    folder, here = tmp_path / "results", str(Path(__file__).parent)
    command = [sys.executable, "-c", ADD_MANY, str(folder), here]
    runs = [subprocess.Popen([*command, str(k)], stderr=subprocess.PIPE, text=True) for k in range(2)]
    for run in runs:
        assert run.communicate(timeout=100)[1] == ""
        assert run.returncode == 0
    assert read_table(folder)["case"].tolist() == [pair(i)[0].case for i in range(32)]


def test_an_owner_file_that_is_damaged_costs_only_its_words(tmp_path):
    with folder_lock(tmp_path / "out"):
        owner = tmp_path / ".out.owner.json"
        assert json.loads(owner.read_text())["process"] == os.getpid()
        owner.write_text("{")
        assert "has not said which process" in refused(tmp_path / "out")


def test_a_place_that_cannot_be_written_is_one_message(tmp_path):
    (tmp_path / "file").write_text("")
    message = refused(tmp_path / "file" / "out")
    assert "cannot lock" in message
    assert str(tmp_path / "file") in message
