"""Plans: points in a fixed order, counted before they are made, and cases that say what they depend on."""

from __future__ import annotations

import copy
import logging
import tracemalloc
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from fesolver.errors import InputError
from fesolver.study.cases import expand_cases
from fesolver.study.config import StudyConfig, study_from_dict
from fesolver.study.design.factor_tables import study_design, study_factors
from fesolver.study.design.plan import count_points, plan_study

BASE: dict[str, Any] = {
    "name": "base",
    "input": {"kind": "parametric", "t_score": -3.0},
    "segment": {"levels": ["T12", "L1", "L2"]},
    "treatment": {"level": "L1"},
}
VOLUME = {"key": "treatment.volume_ml", "values": [2.0, 6.0, 8.0]}
LAW = {"levels": [{"name": "published", "set": {}}, {"name": "soft", "set": {"bone.poisson": 0.2}}]}
YOUNG = {
    "key": "materials.cement_young_mpa",
    "distribution": "lognormal",
    "mean": 2000,
    "sd": 500,
    "source": "a choice",
}
SCALE = {"key": "bone.density_scale", "low": 0.8, "high": 1.2}


def study(factors: dict[str, Any], **tables: Any) -> StudyConfig:
    """The base with factors and other tables."""
    return study_from_dict({**copy.deepcopy(BASE), "factors": copy.deepcopy(factors), **tables}, source="s.toml")


def test_a_grid_is_every_combination_with_the_last_factor_fastest():
    plan = plan_study(study({"volume": VOLUME, "law": LAW}))

    points = [tuple(point.values()) for point in plan.points]
    assert points == list(product([2.0, 6.0, 8.0], ["published", "soft"]))
    assert len(plan) == 6
    case = plan.case(3)
    assert (case.index, case.keys, case.id[:6]) == (3, {"volume": 6.0, "law": "soft"}, "00003-")
    assert (case.config.treatment.volume_ml, case.config.bone.poisson) == (6.0, 0.2)
    assert case.id.endswith(case.digest[:8])


def test_a_case_is_a_study_of_its_own_with_nothing_left_to_vary():
    tables = {"design": {"kind": "latin_hypercube", "n": 4}, "cluster": {"kind": "slurm"}}
    config = study({"young": YOUNG}, **tables)

    case = plan_study(config).case(0)

    assert (case.config.sweep, case.config.factors, case.config.design, case.config.cluster) == ({}, {}, None, None)
    alone = plan_study(case.config)
    assert len(alone) == 1
    assert alone.case(0).digest == case.digest
    assert alone.case(0).keys == {}


def test_a_sweep_is_a_plan_with_a_factor_for_each_key():
    sweep = {"treatment.volume_ml": [2.0, 6.0], "load.force_n": [300.0, 500.0]}
    as_factors = {
        "volume": {"key": "treatment.volume_ml", "values": [2.0, 6.0]},
        "force": {"key": "load.force_n", "values": [300.0, 500.0]},
    }

    swept = plan_study(study_from_dict({**BASE, "sweep": sweep}))

    assert [case.id for case in swept.cases] == [case.id for case in plan_study(study(as_factors)).cases]
    assert [factor.name for factor in swept.factors] == list(sweep)
    assert expand_cases(study_from_dict({**BASE, "sweep": sweep}))[3].keys == {
        "treatment.volume_ml": 6.0,
        "load.force_n": 500.0,
    }


def test_the_digest_follows_what_a_case_depends_on_and_nothing_else():
    config = study({"volume": VOLUME})
    digests = [case.digest for case in plan_study(config).cases]
    same = study({"other": VOLUME}, name="x", description="words", output={"fields": "none"}, cluster={"kind": "lsf"})
    changed = study({"volume": VOLUME}, solver={"rtol": 1e-7})

    assert len(set(digests)) == 3
    assert [case.digest for case in plan_study(same).cases] == digests
    assert not set(digests) & {case.digest for case in plan_study(changed).cases}


def test_one_factor_at_a_time_starts_from_the_base_and_changes_one():
    plan = plan_study(study({"volume": VOLUME, "law": LAW}, design={"kind": "one_at_a_time"}))

    points = [tuple(point.values()) for point in plan.points]
    assert points == [(6.0, "published"), (2.0, "published"), (8.0, "published"), (6.0, "soft")]
    assert plan.case(0).digest == plan_study(study_from_dict(BASE)).case(0).digest


def test_one_factor_at_a_time_takes_the_base_that_a_factor_gives_and_needs_one():
    design = {"kind": "one_at_a_time"}
    fraction = {"derive": "fill_fraction", "values": [0.1, 0.2]}

    assert plan_study(study({"x": {**fraction, "base": 0.1}}, design=design)).points == ({"x": 0.1}, {"x": 0.2})
    with pytest.raises(InputError, match=r"factors\.x\.base(.|\n)*give base"):
        plan_study(study({"x": fraction}, design=design))


def test_a_sample_takes_each_factor_through_its_own_quantiles():
    n = 64
    plan = plan_study(study({"scale": SCALE, "law": LAW, "young": YOUNG}, design={"kind": "latin_hypercube", "n": n}))

    scale = np.sort([point["scale"] for point in plan.points])
    assert np.all((scale - 0.8) / 0.4 * n > np.arange(n))  # one in each of n equal parts
    assert np.all((scale - 0.8) / 0.4 * n < np.arange(1, n + 1))
    assert [point["law"] for point in plan.points].count("soft") == n // 2
    median = 2000 / np.sqrt(1 + (500 / 2000) ** 2)  # of a lognormal with that mean and SD
    assert abs(np.median([point["young"] for point in plan.points]) / median - 1) < 0.02  # SD 0.25 over 2 x 64 parts
    again = plan_study(study({"scale": SCALE, "law": LAW, "young": YOUNG}, design={"kind": "latin_hypercube", "n": n}))
    assert again.points == plan.points


def test_correlated_factors_have_the_rank_correlation_asked_for():
    design = {"kind": "latin_hypercube", "n": 400, "correlations": [{"between": ["young", "scale"], "value": -0.6}]}

    points = plan_study(study({"scale": SCALE, "young": YOUNG}, design=design)).points

    found = spearmanr([p["scale"] for p in points], [p["young"] for p in points]).statistic
    assert abs(found + 0.6) < 3 / np.sqrt(400)


def test_points_of_a_file_are_the_cases_line_by_line(tmp_path):
    (tmp_path / "points.csv").write_text("law,volume,approach\nsoft,3.5,unipedicular_left\npublished,1,bipedicular\n")
    factors = {
        "volume": {"key": "treatment.volume_ml"},
        "law": LAW,
        "approach": {"key": "treatment.approach", "values": ["bipedicular", "unipedicular_left"]},
    }
    data = {**copy.deepcopy(BASE), "factors": factors, "design": {"kind": "csv", "file": "points.csv"}}

    plan = plan_study(study_from_dict(data, base=tmp_path))

    assert [case.keys for case in plan] == [
        {"volume": 3.5, "law": "soft", "approach": "unipedicular_left"},
        {"volume": 1.0, "law": "published", "approach": "bipedicular"},
    ]
    assert plan.case(0).config.treatment.approach == "unipedicular_left"


def test_paths_that_factors_set_are_relative_to_the_study(tmp_path):
    data = {
        "name": "patients",
        "input": {"kind": "ct", "ct": "a.nii.gz", "labels": "a_labels.nii.gz"},
        "calibration": {"method": "slope", "slope_g_cm3_per_hu": 8e-4},
        "segment": {"levels": ["L1"]},
        "factors": {
            "patient": {
                "levels": [
                    {"name": "a", "set": {}},
                    {"name": "b", "set": {"input": {"ct": "b.nii.gz"}, "input.labels": "b_labels.nii.gz"}},
                ]
            },
            "parts": {"key": "input.subregions", "values": ["parts.nii.gz"]},
        },
    }

    second = plan_study(study_from_dict(data, base=tmp_path)).case(1).config.input

    assert (second.ct, second.labels) == (tmp_path / "b.nii.gz", tmp_path / "b_labels.nii.gz")
    assert second.subregions == tmp_path / "parts.nii.gz"


def test_a_study_of_a_billion_points_is_counted_without_being_made_and_refused_without_yes():
    many = {"low": 0.1, "high": 5.0, "n": 1000}
    keys = ("treatment.volume_ml", "load.force_n", "bone.density_scale")
    config = study({f"f{i}": {"key": key, **many} for i, key in enumerate(keys)})
    tracemalloc.start()

    with pytest.raises(InputError, match=r"1000000000 cases(.|\n)*f0 \(1000\) x f1 \(1000\) x f2(.|\n)*--yes"):
        plan_study(config)
    plan = plan_study(config, yes=True)

    assert len(plan) == 10**9
    assert plan.case(10**9 - 1).keys == {"f0": 5.0, "f1": 5.0, "f2": 5.0}
    assert plan.point(1) == {"f0": 0.1, "f1": 0.1, "f2": pytest.approx(0.1 + 4.9 / 999)}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6  # bytes; a byte a point would be 1e9


@pytest.mark.parametrize(
    ("design", "count"),
    [
        ({"kind": "latin_hypercube", "n": 20}, 20),
        ({"kind": "morris", "n": 20}, 20 * 4),
        ({"kind": "saltelli", "n": 16}, 16 * 5),
        ({"kind": "saltelli", "n": 16, "second_order": True}, 16 * 8),
        ({"kind": "saltelli", "n": 100_000, "second_order": True}, 800_000),
    ],
)
def test_the_points_of_a_sample_are_counted_by_its_kind(design, count):
    config = study({"scale": SCALE, "law": LAW, "young": YOUNG}, design=design)

    assert count_points(study_design(config), study_factors(config), config) == count
    if count > 10_000:
        with pytest.raises(InputError, match="800000 cases"):
            plan_study(config)


@pytest.mark.parametrize("kind", ["morris", "saltelli"])
def test_designs_of_the_sensitivity_extra_have_the_points_that_are_counted(kind):
    pytest.importorskip("SALib")
    config = study({"scale": SCALE, "law": LAW, "young": YOUNG}, design={"kind": kind, "n": 8})

    assert len(plan_study(config)) == 8 * (4 if kind == "morris" else 5)


def test_two_points_that_give_one_case_are_run_once_and_said(caplog):
    twice = {"levels": [{"name": "a", "set": {}}, {"name": "b", "set": {"treatment.volume_ml": 6.0}}]}
    plan = plan_study(study({"x": twice}))

    with caplog.at_level(logging.WARNING, logger="fesolver"):
        cases = plan.cases

    assert [case.keys for case in cases] == [{"x": "a"}]
    assert plan.case_of_point == (cases[0].id, cases[0].id)
    assert "1 of 2 points repeat a case" in caplog.text


def test_values_that_do_not_go_together_are_said_with_their_factors():
    factors = {
        "size": {"key": "segment.size_mm", "values": [2.0, 4.0]},
        "inside": {"key": "segment.size_inside_mm", "values": [3.0, 6.0]},
    }
    config = study(factors, segment={"levels": ["L1"], "cells": "tetrahedra", "size_inside_mm": 6.0})

    with pytest.raises(InputError) as caught:
        expand_cases(config)

    for word in ("factors.size.key", "factors.inside.key", "size_mm = 4", "smaller"):
        assert word in str(caught.value)


def test_a_refused_value_of_a_file_is_said_with_file_line_and_column(tmp_path):
    (tmp_path / "points.csv").write_text("volume,grade\n2,0\n\n-5,1\n6,7\n")
    factors = {"volume": {"key": "treatment.volume_ml"}, "grade": {"derive": "disc_grade"}}
    grades = {"disc": {"unpublished_grades": "interpolate"}}
    plan = plan_study(study(factors, design={"kind": "csv", "file": str(tmp_path / "points.csv")}, **grades))

    for index, words in ((1, "line 4, column volume: treatment.volume_ml = -5"), (2, "line 5, column grade")):
        with pytest.raises(InputError) as caught:
            plan.case(index)
        assert f"where: {tmp_path / 'points.csv'}: {words}" in str(caught.value)


def test_values_of_a_file_that_do_not_go_together_are_said_with_file_and_line(tmp_path):
    (tmp_path / "points.csv").write_text("size,inside\n2,6\n4,3\n")
    factors = {"size": {"key": "segment.size_mm"}, "inside": {"key": "segment.size_inside_mm"}}
    segment = {"levels": ["L1"], "cells": "tetrahedra", "size_inside_mm": 6.0}
    config = study(factors, design={"kind": "csv", "file": str(tmp_path / "points.csv")}, segment=segment)

    with pytest.raises(InputError, match=r"points\.csv: line 3, columns size, inside: .*size_mm = 4"):
        plan_study(config).case(1)


# The 1 and 99 % points, mean -+ 2.33 sd, are within the range of the key; the last of 2000 strata, at 3.3 sd, is not.
@pytest.mark.parametrize(
    ("key", "mean", "sd", "cut"),
    [("volume_ml", 2.0, 0.8, "low = ... in [factors.x] cuts the distribution below"),
     ("fill_fraction", 0.6, 0.16, "high = ... in [factors.x] cuts the distribution above")],
)  # fmt: skip
def test_a_draw_out_of_range_says_how_to_cut_its_distribution(key, mean, sd, cut):
    table = {"key": f"treatment.{key}", "distribution": "normal", "mean": mean, "sd": sd, "source": "a choice"}
    plan = plan_study(study({"law": LAW, "x": table}, design={"kind": "latin_hypercube", "n": 2000}))

    with pytest.raises(InputError) as caught:
        list(plan)

    assert caught.value.where.startswith(f"factors.x.distribution: treatment.{key} = ")
    assert cut in caught.value.fix


def test_a_point_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="points are 0 to 2"):
        plan_study(study({"volume": VOLUME})).case(3)


def test_one_of_each_has_every_value_of_every_list_and_no_case_twice():
    factors = {
        "volume": {"key": "treatment.volume_ml", "values": [2.0, 4.0, 6.0]},
        "force": {"key": "load.force_n", "values": [300.0, 500.0]},
        "scale": {"key": "bone.density_scale", "values": [0.8, 1.0]},
    }
    grid = plan_study(study(factors))
    sampled = plan_study(study(factors, design={"kind": "latin_hypercube", "n": 24}))

    for plan in (grid, sampled):
        cases = list(plan.one_of_each())
        assert len({case.index for case in cases}) == len(cases) <= 7
        for name, table in factors.items():
            assert {case.keys[name] for case in cases} == set(table["values"])
