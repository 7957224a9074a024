"""A whole small run: what is written, that it balances, and that the same bits come back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.study.runner import run_study
from fesolver.study.store import staged_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory, make_study) -> Path:
    """Result of one small run with a sweep that contains an augmentation of 0 ml."""
    out = tmp_path_factory.mktemp("run") / "small"
    summary = run_study(make_study(sweep={"treatment.volume_ml": [3.0, 0.0]}), out, threads=1, workers=1)
    assert (summary.n_done, summary.n_failed) == (2, 0)
    return out


def record(folder: Path, case: int) -> dict:
    path = sorted((folder / "cases").iterdir())[case] / "case.json"
    return json.loads(path.read_text())


def test_every_cut_passes_the_applied_force_treated_or_not(folder):
    cuts = record(folder, 0)["cuts"]

    assert {cut["name"] for cut in cuts} == {"L1", "L1-L2", "L2"}
    assert {cut["state"] for cut in cuts} == {"intact", "treated"}
    for cut in cuts:
        assert_allclose(cut["force_n"][2], -500.0, rtol=1e-6)  # the balance every solve must reach
        assert cut["imbalance"] < 1e-6


def test_cement_stiffens_its_vertebra_and_keeps_the_volume_asked_for(folder):
    changes = pd.read_csv(folder / "changes.csv")
    first = changes[changes["treatment.volume_ml"] == 3.0].set_index(["level", "quantity"])

    assert first.loc[("L1", "vertebra_stiffness_n_per_mm"), "change"] > 0
    assert_allclose(record(folder, 0)["cement"]["placed_ml"], 3.0, rtol=0.01)  # the 1 %


def test_no_cement_gives_the_intact_bits(folder):
    summary = pd.read_csv(folder / "summary.csv")
    none = summary[summary["treatment.volume_ml"] == 0.0].set_index(["state", "level"]).drop(columns="case")

    pd.testing.assert_frame_equal(none.loc["intact"], none.loc["treated"], check_exact=True)
    changes = none.loc["change"].drop(columns="treatment.volume_ml")
    assert np.all(changes.fillna(0.0).to_numpy() == 0.0)


def test_two_threads_and_a_second_run_give_the_same_tables(folder, tmp_path, make_study):
    run_study(make_study(sweep={"treatment.volume_ml": [3.0, 0.0]}), tmp_path / "again", threads=2, workers=1)

    for name in ("summary.csv", "changes.csv"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    for case in sorted(path.name for path in (folder / "cases").iterdir()):
        for file in ("case.json",):
            first, second = (root / "cases" / case / file for root in (folder, tmp_path / "again"))
            assert first.read_bytes() == second.read_bytes()


def test_the_run_says_what_it_was_made_with(folder):
    run = json.loads((folder / "run.json").read_text())

    assert run["schema"] == 1
    assert [case["status"] for case in run["cases"]] == ["done", "done"]
    assert run["versions"]["numba"] != "not installed"
    assert len(run["config_hash"]) == 64
    assert "solve" in run["timings"][run["cases"][0]["id"]]


def test_timings_and_machine_stay_out_of_the_tables(folder):
    columns = pd.read_csv(folder / "summary.csv").columns

    assert not [name for name in columns if "second" in name or "thread" in name or "date" in name]


def test_fields_hold_both_states_and_name_their_regions(folder):
    meshio = pytest.importorskip("meshio")
    case = sorted((folder / "cases").iterdir())[0]
    legend = json.loads((case / "fields.json").read_text())
    mesh = meshio.read(case / "fields.vtu")

    assert {"displacement_intact", "displacement_treated"} <= set(mesh.point_data)
    names = {legend[key] for key in mesh.cell_data if key.startswith("region_")}
    assert {"L1/trabecular", "L1/cement", "L1-L2/nucleus", "L2/superior_endplate"} <= names
    total = sum(mesh.cell_data[key][0] for key in mesh.cell_data if key.startswith("region_"))
    assert_allclose(total, 1.0, atol=1e-5)  # float32


def test_results_of_another_study_are_refused_and_left_alone(folder, make_study):
    before = (folder / "run.json").read_bytes()

    with pytest.raises(InputError, match=r"another study, 'small'(.|\n)*--overwrite"):
        run_study(make_study(name="other"), folder)

    assert (folder / "run.json").read_bytes() == before


def test_a_folder_that_is_no_result_is_never_replaced(tmp_path, make_study):
    (tmp_path / "thesis.txt").write_text("years of work")

    with pytest.raises(InputError, match="no result of ours"):
        run_study(make_study(), tmp_path, overwrite=True)

    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_bad_input_leaves_nothing_behind(tmp_path, make_study):
    with pytest.raises(InputError, match="ml"):
        run_study(make_study(treatment={"level": "L1", "volume_ml": 500.0}), tmp_path / "out")

    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_no_folder_and_keeps_the_older_result(folder, make_study, monkeypatch):
    import fesolver.study.evaluator as evaluator

    before = sorted(path.name for path in folder.parent.iterdir())

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluator, "run_case", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_study(make_study(), folder, overwrite=True)

    assert sorted(path.name for path in folder.parent.iterdir()) == before
    assert (folder / "run.json").is_file()


def test_a_failed_case_of_a_sweep_is_recorded_and_the_rest_goes_on(tmp_path, make_study):
    study = make_study(sweep={"treatment.volume_ml": [500.0, 2.0]}, output={"fields": "none"})

    summary = run_study(study, tmp_path / "out", threads=1, workers=1)

    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert (summary.n_done, summary.n_failed) == (1, 1)
    assert [case["status"] for case in run["cases"]] == ["failed", "done"]
    assert "ml" in run["cases"][0]["error"]


def test_remains_of_a_killed_run_of_the_same_process_number_are_stepped_over(tmp_path, caplog):
    stale = tmp_path / f".out.{os.getpid()}.0.partial"
    stale.mkdir()
    (stale / "half.csv").write_text("1,")

    with caplog.at_level("WARNING", "fesolver"), staged_folder(tmp_path / "out", overwrite=False) as folder:
        (folder / "run.json").write_text("{}")

    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run.json"]
    assert (stale / "half.csv").exists()
    assert stale.name in caplog.text


def test_folders_made_for_a_result_that_did_not_come_are_taken_away(tmp_path):
    with pytest.raises(KeyboardInterrupt), staged_folder(tmp_path / "a" / "b" / "out", overwrite=False):
        raise KeyboardInterrupt

    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_between_the_two_renames_gives_the_older_result_its_name_back(tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "run.json").write_text("older")
    rename = Path.rename

    def interrupted(path, target):
        if path.name.endswith(".partial"):
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), staged_folder(out, overwrite=True):
        pass

    assert (out / "run.json").read_text() == "older"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
