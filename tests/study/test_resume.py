"""A run that goes on where another one ended: what is kept, what is computed again, and that the bits are the same."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fesolver.errors import InputError
from fesolver.study.check import check_study
from fesolver.study.config import study_from_dict
from fesolver.study.design.plan import plan_study
from fesolver.study.plan_check import left_over_note
from fesolver.study.runner import run_study
from fesolver.study.tasks import base_study, study_tasks

VOLUMES = [0.0, 2.0, 3.0]
SCALES = [0.8, 1.2]


def paired(volumes=VOLUMES, scales=SCALES, **tables):
    """Two parametric levels, coarse; cement and bone density vary on one mesh."""
    return study_from_dict({
        "schema": 1,
        "name": "paired",
        "input": {"kind": "parametric", "t_score": -3.0},
        "segment": {"levels": ["L1", "L2"], "refinement": 0.4},
        "treatment": {"level": "L1"},
        "factors": {
            "volume": {"key": "treatment.volume_ml", "values": volumes},
            "bone": {"key": "bone.density_scale", "values": scales},
        },
        "output": {"fields": "none", "outcomes": ["stiffness", "disc"]},
        **tables,
    })  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The study, run without disturbance in one process."""
    out = tmp_path_factory.mktemp("whole") / "paired"
    run_study(paired(), out, threads=1, workers=1)
    return out


def tables_of(folder):
    return [(folder / name).read_bytes() for name in ("summary.csv", "changes.csv")]


def computed(folder):
    return json.loads((folder / "run.json").read_text())["computed"]


def test_a_second_run_computes_nothing_and_leaves_the_same_bits(whole):
    before = tables_of(whole)

    summary = run_study(paired(), whole, threads=1, workers=1)

    assert (summary.n_done, summary.n_reused) == (6, 6)
    assert computed(whole) == {"done": 0, "failed": 0, "kept": 6, "workers_lost": 0}
    assert tables_of(whole) == before


def test_a_new_value_of_a_factor_computes_its_own_cases_only(whole, tmp_path):
    run_study(paired(volumes=[2.0, 3.0]), tmp_path / "out", threads=1, workers=1)
    summary = run_study(paired(), tmp_path / "out", threads=1, workers=1)

    assert (summary.n_total, summary.n_reused) == (6, 4)
    assert computed(tmp_path / "out")["done"] == 2
    # What the first run computed begins from the same root, whatever else is in the design.
    assert tables_of(tmp_path / "out") == tables_of(whole)
    ids = [path.name for path in sorted((tmp_path / "out" / "cases").iterdir())]
    assert ids == [path.name for path in sorted((whole / "cases").iterdir())]
    for case in ids:
        first, second = (root / "cases" / case / "case.json" for root in (whole, tmp_path / "out"))
        assert first.read_bytes() == second.read_bytes()


def test_results_of_points_that_were_taken_out_stay_and_are_told_of(whole, tmp_path):
    out, fewer = tmp_path / "out", paired(volumes=VOLUMES[:2])
    shutil.copytree(whole, out)
    words = left_over_note(2, out)

    checked = check_study(fewer, threads=1, out=out)
    summary = run_study(fewer, out, threads=1, workers=1)

    assert checked.findings.count(words) == 1
    assert summary.note == words
    assert (summary.n_total, summary.n_reused, len(summary.table())) == (4, 4, 4)
    assert check_study(paired(), threads=1, out=out).findings == check_study(paired(), threads=1).findings
    assert run_study(paired(), out, threads=1, workers=1).note == ""
    assert computed(out)["kept"] == 6


def test_the_order_in_which_cases_are_computed_does_not_show(whole, tmp_path):
    run_study(paired(scales=SCALES[::-1]), tmp_path / "out", threads=1, workers=1)
    run_study(paired(), tmp_path / "out", threads=1, workers=1)

    assert computed(tmp_path / "out")["done"] == 0
    assert tables_of(tmp_path / "out") == tables_of(whole)


def test_cases_on_one_mesh_share_it_and_the_run_says_so(whole, tmp_path):
    run_study(paired(volumes=[2.0, 3.0]), tmp_path / "out", threads=1, workers=1)
    reused = json.loads((tmp_path / "out" / "run.json").read_text())["reused"]

    assert sorted(reused.values()) == sorted([
        ["prepared system", "mesh"], ["intact solution"], ["prepared system", "intact solution", "mesh"],
        ["intact solution"],
    ])  # fmt: skip


def test_a_changed_load_changes_every_digest_and_a_changed_name_of_a_factor_none():
    def digests(study):
        return [task.digest for task in study_tasks(plan_study(study))]

    renamed = {"v": {"key": "treatment.volume_ml", "values": VOLUMES}}
    renamed["b"] = {"key": "bone.density_scale", "values": SCALES}

    assert not set(digests(paired(load={"force_n": 400.0}))) & set(digests(paired()))
    assert digests(paired(factors=renamed)) == digests(paired())


def test_cases_that_all_have_a_mesh_of_their_own_begin_at_rest():
    bone = {"key": "bone.density_scale", "low": 0.8, "high": 1.2}
    height = {"key": "input.dimensions.L1.anterior_height_mm", "low": 24.0, "high": 28.0}
    design = {"kind": "latin_hypercube", "n": 4}

    assert base_study(plan_study(paired(factors={"bone": bone}, design=design))) is not None
    assert base_study(plan_study(paired(factors={"bone": bone, "height": height}, design=design))) is None


def test_a_failed_case_is_kept_until_it_is_asked_for_again(tmp_path):
    study = paired(volumes=[500.0, 2.0], scales=[1.0])

    first = run_study(study, tmp_path / "out", threads=1, workers=1)
    again = run_study(study, tmp_path / "out", threads=1, workers=1)
    once_more = run_study(study, tmp_path / "out", threads=1, workers=1, retry_failed=True)

    assert (first.n_failed, again.n_failed, once_more.n_failed) == (1, 1, 1)
    assert (again.n_reused, once_more.n_reused) == (2, 1)
    assert "0 computed, 2 there already, 1 of them failed (--retry-failed computes it again)" in again.sentence
    for told in (first, once_more):
        assert "of them failed" not in told.sentence
    table = once_more.table()
    assert table["status"].tolist() == ["failed", "done"]
    assert "ml" in table["error"][0]
    assert table["volume"].tolist() == [500.0, 2.0]


def test_a_newer_schema_and_a_damaged_study_file_are_refused(whole, tmp_path):
    for text, message in (('{"schema": 99, "name": "paired"}', "schema 99"), ("{", "damaged")):
        out = tmp_path / message.replace(" ", "")
        out.mkdir()
        (out / "study.json").write_text(text)
        with pytest.raises(InputError, match=message):
            run_study(paired(), out)
        assert [path.name for path in out.iterdir()] == ["study.json"]


def test_a_damaged_part_costs_its_own_cases_only(whole, tmp_path):
    out = tmp_path / "out"
    run_study(paired(), out, threads=1, workers=1)
    parts = sorted((out / "results").glob("*.parquet"))
    parts[0].write_bytes(parts[0].read_bytes()[:100])

    run_study(paired(), out, threads=1, workers=1)

    assert 0 < computed(out)["done"] < 6 or len(parts) == 1
    assert tables_of(out) == tables_of(whole)


RUN = """
import sys
sys.path.insert(0, sys.argv[1])
from test_resume import paired
from fesolver.study.runner import run_study
if __name__ == "__main__":
    run_study(paired(), sys.argv[2], threads=1, workers=int(sys.argv[3]))
"""


def start(out, workers):
    return subprocess.Popen(
        [sys.executable, "-c", RUN, str(Path(__file__).parent), str(out), str(workers)], start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_killed_at_any_moment_loses_and_doubles_nothing(whole, tmp_path, workers):
    out, draw = tmp_path / "out", random.Random(workers)
    for _ in range(12):
        run = start(out, workers)
        time.sleep(draw.uniform(0.5, 12.0))
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        done = 0 if not (out / "results").exists() else len(list((out / "results").glob("*.parquet")))
        if done >= 6:
            break
    assert start(out, workers).wait(timeout=300) == 0

    assert tables_of(out) == tables_of(whole)


@pytest.mark.long
def test_two_workers_give_the_bits_of_one(whole, tmp_path):
    assert start(tmp_path / "out", 2).wait(timeout=300) == 0

    assert tables_of(tmp_path / "out") == tables_of(whole)


@pytest.mark.long
def test_two_runs_on_one_folder_at_once_are_kept_apart(whole, tmp_path):
    runs = [start(tmp_path / "out", 1) for _ in range(2)]
    codes = sorted(run.wait(timeout=300) for run in runs)

    assert codes == [0, 1]  # the second one's InputError, raised in a plain script
    assert tables_of(tmp_path / "out") == tables_of(whole)
