"""Child processes, and the scripts at their tiny sizes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from _common import ChildFailedError, markdown, run_child, spread

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


CHILD = """
import sys, time
sys.path.insert(0, {folder!r})
from _common import answer_child

def double(value):
    if value < 0:
        raise ValueError("no negative values")
    if value > 10:
        time.sleep(60.0)
    return {{"value": 2.0 * value}}

answer_child(double)
"""


@pytest.fixture
def child(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(CHILD.format(folder=str(BENCHMARKS)))

    def run(value: float, limit_s: float = 30.0) -> dict[str, float]:
        return run_child(str(script), "double", {"value": value}, threads=1, limit_s=limit_s).result

    return run


def test_child_gives_back_what_its_function_returns(child):
    assert child(1.5) == {"value": 3.0}


def test_child_that_fails_says_why(child):
    with pytest.raises(ChildFailedError, match="ValueError: no negative values"):
        child(-1.0)


def test_child_that_takes_too_long_is_ended(child):
    with pytest.raises(ChildFailedError, match="ended after 3 s"):
        child(11.0, limit_s=3.0)


def test_spread_keeps_every_run():
    assert spread([3.0, 1.0, 2.0]) == {"min": 1.0, "median": 2.0, "max": 3.0, "runs": [3.0, 1.0, 2.0]}


def test_table_pads_its_columns():
    assert markdown(("a", "long"), [("xyz", "1")]).splitlines() == [
        "| a   | long |",
        "|-----|------|",
        "| xyz | 1    |",
    ]


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("voxel_peers", ["--cases", "block"]),
        pytest.param("voxel_peers", [], marks=pytest.mark.long),
        pytest.param("voxel_scaling", [], marks=pytest.mark.long),
        pytest.param("voxel_operator", [], marks=pytest.mark.long),
    ],
)
def test_quick_run_writes_json_table_and_plot(script, arguments):
    results = [BENCHMARKS / "results" / f"{script}_quick.{kind}" for kind in ("json", "md", "png")]
    for path in results:
        path.unlink(missing_ok=True)

    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{script}.py"), "--quick", *arguments], capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads(results[0].read_text())
    assert {"hardware", "versions", "commit", "quick"} <= set(record)
    assert results[1].read_text() in done.stdout
    assert results[2].stat().st_size > 10_000
