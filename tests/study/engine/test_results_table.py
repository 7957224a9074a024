"""The table that everybody reads, and its two other shapes, against rows written out by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from fesolver.errors import InputError
from fesolver.study.engine.dataset import Dataset
from fesolver.study.engine.task import Row, Task
from fesolver.study.results_table import factor_columns, long_table, outcome_columns, paired, results_table

PRESSURE = "nucleus_pressure_mpa"
TASKS = [
    Task("aa", "00000-aa", 0, {"volume_ml": 0.0, "law": "morgan"}),
    Task("bb", "00001-bb", 1, {"volume_ml": 2.0, "law": "morgan"}),
    Task("cc", "00002-cc", 2, {"volume_ml": 4.0, "law": "keyak"}),
    Task("dd", "00003-dd", 3, {"volume_ml": 6.0, "law": "keyak"}),
]
ROWS = [
    Row("aa", "done", {f"intact/L1-L2/{PRESSURE}": 0.5, "intact/L2/mass_g": 9.0}),
    Row(
        "bb",
        "done",
        {
            f"intact/L1-L2/{PRESSURE}": 0.5,
            "intact/L2/mass_g": 9.0,
            f"treated/L1-L2/{PRESSURE}": 0.75,
            f"change/L1-L2/{PRESSURE}": 0.25,
            f"floor_solver/L1-L2/{PRESSURE}": 1e-9,
        },
    ),
    Row("cc", "failed", error="did not converge"),
]


@pytest.fixture
def folder(tmp_path):
    """Three of four cases have run, and came in another order than the design's."""
    rows = Dataset(tmp_path / "results")
    for k in (2, 0, 1):
        rows.add([(Task(TASKS[k].digest, "99999-zz", 7, {"old": 1.0}), ROWS[k])])
    cases = [{"digest": t.digest, "case": t.case, "keys": dict(t.keys)} for t in TASKS]
    (tmp_path / "study.json").write_text(json.dumps({"schema": 1, "cases": cases}))
    return tmp_path


def test_rows_are_those_of_the_design_in_its_order(folder):
    table = results_table(folder)
    expected = ["case", "status", "error", "volume_ml", "law", *ROWS[1].values]
    assert list(table.columns) == expected
    assert table["case"].tolist() == [t.case for t in TASKS]
    assert table["status"].tolist()[:3] == ["done", "done", "failed"]
    assert table["status"].isna().tolist() == [False, False, False, True]
    assert table["error"].tolist() == ["", "", "did not converge", ""]
    assert table["volume_ml"].tolist() == [0.0, 2.0, 4.0, 6.0]
    assert_array_equal(table[f"treated/L1-L2/{PRESSURE}"], [np.nan, 0.75, np.nan, np.nan])
    assert factor_columns(table) == ["volume_ml", "law"]
    assert outcome_columns(table) == list(ROWS[1].values)


def test_before_the_first_row_every_case_is_missing(folder, tmp_path):
    for part in (folder / "results").iterdir():
        part.unlink()
    (folder / "results").rmdir()
    table = results_table(tmp_path)
    assert list(table.columns) == ["case", "status", "error", "volume_ml", "law"]
    assert table["status"].isna().all()
    assert len(long_table(table)) == 0


def test_without_the_design_the_rows_there_are_come_back(folder):
    (folder / "study.json").unlink()
    table = results_table(folder)
    assert table["old"].tolist() == [1.0] * 3
    assert sorted(table["status"]) == ["done", "done", "failed"]


def test_the_long_table_has_one_row_per_value(folder):
    table = long_table(results_table(folder))
    assert list(table.columns) == ["case", "volume_ml", "law", "state", "level", "quantity", "value"]
    expected = [
        [task.case, *task.keys.values(), *name.split("/"), value]
        for task, row in zip(TASKS, ROWS, strict=False)
        for name, value in row.values.items()
    ]
    assert table.to_numpy().tolist() == expected


def test_a_pair_stands_side_by_side(folder):
    table = paired(results_table(folder), "L1-L2", PRESSURE)
    names = ["case", "volume_ml", "law", "intact", "treated", "change", "floor_solver", "floor_spacing"]
    assert list(table.columns) == names
    assert table["case"].tolist() == [t.case for t in TASKS]
    nan = np.nan
    assert_array_equal(
        table[names[3:]],
        [[0.5, nan, nan, nan, nan], [0.5, 0.75, 0.25, 1e-9, nan], [nan] * 5, [nan] * 5],
    )


def test_the_result_is_apart_from_the_table(folder):
    table = results_table(folder)
    before = table.copy(deep=True)
    out = paired(table, "L1-L2", PRESSURE)
    out["intact"] = -1.0
    out.loc[0, "volume_ml"] = -1.0
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize(
    ("level", "quantity", "fix"),
    [("L9", PRESSURE, "L1-L2"), ("L2", "height_mm", "mass_g"), ("L9", "height_mm", "L1-L2, L2")],
)
def test_a_pair_that_is_not_there_is_named(folder, level, quantity, fix):
    with pytest.raises(InputError, match=f"no {quantity} at {level}") as caught:
        paired(results_table(folder), level, quantity)
    assert caught.value.fix == f"there are {fix}"


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "damaged"), ('{"cases": [{"digest": "a"}]}', "damaged"), ("[]", "damaged"),
     ('{"schema": 2, "cases": []}', "schema 2")],
)  # fmt: skip
def test_a_study_file_that_cannot_be_used_is_one_message(folder, text, message):
    (folder / "study.json").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        results_table(folder)
    assert caught.value.where == str(folder / "study.json")


def test_a_folder_without_results_is_one_message(tmp_path):
    with pytest.raises(InputError, match="holds no results"):
        results_table(tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        results_table(tmp_path / "nothing")
