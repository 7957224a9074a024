"""What is said of a plan before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fesolver.errors import InputError
from fesolver.study.config import study_from_dict
from fesolver.study.design.plan import plan_study
from fesolver.study.plan_check import check_cases, left_over_note, left_over_of, n_left_over

LAWS = {"levels": [{"name": "published", "set": {}}, {"name": "Morgan", "set": {"bone.law": "morgan2003"}}]}
"""The second law takes an apparent density, and the study has none."""


def planned(**factors):
    return plan_study(study_from_dict({
        "schema": 1,
        "name": "laws",
        "input": {"kind": "parametric", "t_score": -3.0},
        "segment": {"levels": ["L1"]},
        "treatment": {"level": "L1"},
        "factors": factors,
    }))  # fmt: skip


def test_a_case_whose_tables_cannot_be_is_named_by_what_differs_from_the_first():
    plan = planned(volume={"key": "treatment.volume_ml", "values": [2.0, 4.0]}, law=LAWS)

    with pytest.raises(InputError) as caught:
        check_cases(plan)

    assert caught.value.where == "[bone], in the case of law = 'Morgan'"
    assert "morgan2003 takes rho_app" in caught.value.what


def test_a_first_case_that_cannot_be_has_its_place_only():
    with pytest.raises(InputError) as caught:
        check_cases(planned(law={"levels": [LAWS["levels"][1]]}))

    assert caught.value.where == "[bone]"


def test_results_without_a_case_are_counted_and_none_are_not_mentioned():
    there = {"a": "done", "b": "failed", "c": "done"}

    assert [n_left_over(there, wanted) for wanted in (set("abc"), set("abx"), set())] == [0, 1, 3]
    assert left_over_note(0, Path("out")) == ""
    assert left_over_note(1, Path("out")).startswith(f"1 result in {Path('out/results')} belongs to no case of the ")
    assert left_over_note(1, Path("out")).endswith("version): it is kept, and not in the table")
    assert left_over_note(2, Path("out")).startswith(f"2 results in {Path('out/results')} belong to no case of the ")


def test_a_folder_that_is_not_there_or_not_of_the_study_has_nothing_left_over(tmp_path):
    plan = planned(volume={"key": "treatment.volume_ml", "values": [2.0]})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "study.json").write_text('{"schema": 1, "name": "another"}')

    assert left_over_of(plan, tmp_path / "none") == ""
    assert left_over_of(plan, tmp_path / "other") == ""
