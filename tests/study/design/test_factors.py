"""Factors: what their tables mean, what a value sets, and the one message for each mistake."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.study.config import StudyConfig, study_from_dict, with_value
from fesolver.study.design.factor_tables import study_factors
from fesolver.study.design.factors import Factor, LogRange, point_settings
from fesolver.study.design.plan import plan_study
from fesolver.study.keys import study_tables, value_at

BASE: dict[str, Any] = {
    "name": "base",
    "input": {"kind": "parametric", "t_score": -3.0},
    "segment": {"levels": ["T12", "L1", "L2"]},
    "treatment": {"level": "L1"},
}
VOLUME = "treatment.volume_ml"


def study(factors: dict[str, Any] | None = None, **tables: Any) -> StudyConfig:
    """The base with factors, and tables merged into it."""
    data = copy.deepcopy(BASE) | ({} if factors is None else {"factors": copy.deepcopy(factors)})
    for name, table in tables.items():
        data[name] = {**data[name], **table} if isinstance(data.get(name), dict) else table
    return study_from_dict(data, source="s.toml")


def only(table: dict[str, Any], **tables: Any) -> Factor:
    """The one factor of a study."""
    return study_factors(study({"x": table}, **tables))[0]


SAMPLED = {"kind": "latin_hypercube", "n": 8}


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ({"key": VOLUME, "values": [2, 4.5]}, (2, 4.5)),
        ({"key": VOLUME, "low": 0.0, "high": 6.0, "n": 4}, (0.0, 2.0, 4.0, 6.0)),
        ({"key": "load.force_n", "low": 1, "high": 100, "n": 3, "spacing": "log"}, (1.0, 10.0, 100.0)),
        ({"key": "treatment.approach", "values": ["bipedicular", "point"]}, ("bipedicular", "point")),
    ],
)  # fmt: skip
def test_lists_and_ranges_are_the_values_of_a_factor_known_before_anything_is_drawn(table, values):
    factor = only(table)

    assert factor.is_discrete
    assert factor.values == pytest.approx(values) if isinstance(values[0], float) else factor.values == values


def test_a_range_of_a_key_that_counts_gives_whole_numbers():
    table = {"key": "input.cohort.member", "low": 0, "high": 499}
    base = {**copy.deepcopy(BASE), "input": {"kind": "parametric", "cohort": {"member": 0}}}

    listed = study_from_dict({**base, "factors": {"x": {**table, "n": 500}}})
    drawn = study_from_dict({**base, "factors": {"x": table}, "design": {"kind": "sobol", "n": 8}})

    assert study_factors(listed)[0].values == tuple(range(500))
    assert all(type(value) is int for value in study_factors(listed)[0].values)
    factor = study_factors(drawn)[0]
    # 500 numbers, each as likely as the others: the k-th from u in [k / 500, (k + 1) / 500)
    assert [factor.at(u) for u in (1e-9, 0.5 / 500, 1.5 / 500, 1 - 1e-9)] == [0, 0, 1, 499]
    assert type(factor.at(0.3)) is int


def test_a_sampled_factor_takes_its_quantiles_and_a_listed_one_its_entries_by_equal_shares():
    normal = only(
        {"key": "materials.cement_young_mpa", "distribution": "normal", "mean": 2000, "sd": 100, "source": "a choice"},
        design=SAMPLED,
    )
    listed = only({"key": VOLUME, "values": [2, 4, 6]}, design=SAMPLED)
    log = only({"key": "load.force_n", "low": 10, "high": 1000, "spacing": "log"}, design=SAMPLED)

    assert_allclose(normal.at_all([0.5, 0.8413447460685429]), [2000.0, 2100.0], rtol=1e-9)  # Phi(1)
    assert listed.at_all([0.01, 0.33, 0.34, 0.66, 0.67, 0.99]) == [2, 2, 4, 4, 6, 6]
    assert_allclose(log.at_all([0.25, 0.5]), [10**1.5, 100.0], rtol=1e-12)
    assert not normal.is_discrete
    assert listed.is_discrete


def test_moments_of_a_log_range_are_those_of_its_density():
    made = LogRange(2.0, 50.0)
    u = (np.arange(200_000) + 0.5) / 200_000
    x = made.ppf(u)

    assert_allclose([made.mean, made.sd], [x.mean(), x.std()], rtol=1e-6)  # midpoint rule


def test_levels_set_keys_together_and_may_nest_or_dot_them():
    table = {
        "levels": [
            {"name": "T11", "set": {"segment": {"levels": ["T10", "T11", "T12"]}, "treatment": {"level": "T11"}}},
            {"name": "L1", "set": {"segment.levels": ["T12", "L1", "L2"], "treatment.level": "L1"}},
            {"name": "L4", "set": {"segment.levels": ["L3", "L4", "L5"], "treatment.level": "L4"}},
        ]
    }
    config = study({"x": table})

    plan = plan_study(config)

    found = [(case.config.segment.levels, case.config.treatment.level) for case in plan]
    assert found == [(("T10", "T11", "T12"), "T11"), (("T12", "L1", "L2"), "L1"), (("L3", "L4", "L5"), "L4")]
    assert [case.keys for case in plan] == [{"x": "T11"}, {"x": "L1"}, {"x": "L4"}]
    assert plan.factors[0].base_value(config) == "L1"


def test_a_level_may_name_what_its_own_levels_bring_in_any_order():
    settings = {
        "input.dimensions.L4.anterior_height_mm": 27.0,
        "disc.degeneration.L3-L4": "moderate",
        "treatment.level": "L4",
        "segment.levels": ["L5", "L4", "L3"],
    }

    config = plan_study(study({"x": {"levels": [{"name": "L4", "set": settings}]}})).case(0).config

    assert config.segment.levels == ("L3", "L4", "L5")
    assert config.input.dimensions == {"L4": {"anterior_height_mm": 27.0}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bone.convert", ["les1994_qct_to_ash"]),
        ("bone.law", "keyak1994"),
        ("disc.degeneration.L1-L2", "moderate"),
        ("disc.degeneration", {"L1-L2": "mild"}),
        ("segment.cortical_thickness_mm", 0.5),
        ("bone.floor_mpa", 5.0),
        ("input.sex", "female"),
        ("input.dimensions.L1.anterior_height_mm", 24.0),
        ("disc.fibres", False),
        ("load.top", "fixed"),
    ],
)
def test_a_factor_may_set_a_text_a_list_a_table_or_what_the_base_leaves_out(key, value):
    config = plan_study(study({"x": {"key": key, "values": [value]}})).case(0).config

    assert value_at(config, key) == value


def test_one_factor_may_set_several_keys_to_one_value():
    table = {"key": ["segment.cortical_thickness_mm", "segment.endplate_thickness_mm"], "values": [0.4, 0.6]}

    segment = plan_study(study({"x": table})).case(1).config.segment

    assert (segment.cortical_thickness_mm, segment.endplate_thickness_mm) == (0.6, 0.6)


def test_the_fill_fraction_takes_the_place_of_the_volume_and_back():
    config = study({"x": {"key": "treatment.fill_fraction", "values": [0.1]}})
    other = with_value(config, {"treatment.fill_fraction": 0.2}, places={})

    filled = plan_study(config).case(0).config.treatment

    assert (filled.fill_fraction, filled.volume_ml) == (0.1, None)
    assert (config.treatment.fill_fraction, config.treatment.volume_ml) == (None, 6.0)
    assert with_value(other, {VOLUME: 3.0}, places={}).treatment.fill_fraction is None


@pytest.mark.parametrize(
    ("key", "label", "unit"),
    [
        (VOLUME, "volume, ml", "ml"),
        ("materials.cement_young_mpa", "cement young, MPa", "MPa"),
        ("load.force_n", "force, N", "N"),
        ("load.flexion_nm", "flexion, Nm", "Nm"),
        ("bone.density_offset_g_cm3", "density offset, g/cm3", "g/cm3"),
        ("bone.density_scale", "density scale", ""),
        ("treatment.approach", "approach", ""),
    ],
)
def test_a_label_is_the_words_of_the_key_and_its_unit_or_the_one_given(key, label, unit):
    assert (Factor("x", (key,)).label, Factor("x", (key,)).unit) == (label, unit)
    assert Factor("x", (key,), text="mine").label == "mine"


def test_what_others_set_reaches_a_derived_factor():
    config = study(
        {
            "grade": {"derive": "disc_grade", "values": [2]},
            "where": {"derive": "treated_level", "values": ["L3"]},
        }
    )
    factors = study_factors(config)

    settings, places = point_settings(factors, {"grade": 2, "where": "L3"}, study_tables(config))

    assert settings["disc.degeneration"] == {"L2-L3": "moderate", "L3-L4": "moderate"}
    assert places["segment.levels"] == "factors.where.derive"


ONE = {"key": VOLUME, "values": [1.0]}
MISTAKES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing to set": ({"factors": {"x": {"values": [1]}}}, ["factors.x", "key, derive and levels"]),
    "two ways": ({"factors": {"x": {"key": VOLUME, "derive": "t_score", "values": [1]}}}, ["key and derive"]),
    "no values": ({"factors": {"x": {"key": VOLUME}}}, ["factors.x", "no values"]),
    "an empty list": ({"factors": {"x": {"key": VOLUME, "values": []}}}, ["factors.x.values", "no values"]),
    "values and a range": ({"factors": {"x": {**ONE, "low": 1.0}}}, ["factors.x.low", "values, and low too"]),
    "values and levels": ({"factors": {"x": {"values": [1], "levels": []}}}, ["nothing to set"]),
    "half a range": ({"factors": {"x": {"key": VOLUME, "low": 1.0, "n": 2}}}, ["factors.x.high", "needs high"]),
    "a range turned round": ({"factors": {"x": {"key": VOLUME, "low": 3, "high": 1, "n": 2}}}, ["low = 3", "high = 1"]),
    "a range without n in a grid": ({"factors": {"x": {"key": VOLUME, "low": 1, "high": 3}}}, ["factors.x.n", "grid"]),
    "a distribution in a grid": (
        {"factors": {"x": {"key": VOLUME, "distribution": "normal", "mean": 4, "sd": 1, "source": "a choice"}}},
        ["factors.x.distribution", "latin_hypercube"],
    ),
    "a distribution with n": (
        {"factors": {"x": {"key": VOLUME, "distribution": "uniform", "low": 1, "high": 2, "n": 3}}}, ["factors.x.n"],
    ),
    "a parameter without a distribution": ({"factors": {"x": {**ONE, "mean": 4}}}, ["factors.x.mean"]),
    "a log range from 0": (
        {"factors": {"x": {"key": VOLUME, "low": 0, "high": 3, "n": 3, "spacing": "log"}}}, ["factors.x.low", "log"],
    ),
    "a key that is not there": (
        {"factors": {"x": {"key": "treatment.volum_ml", "values": [1]}}},
        ["s.toml: factors.x.key", "'treatment.volum_ml' is not a key", "did you mean 'treatment.volume_ml'"],
    ),
    "a key whose table is not there": (
        {"factors": {"x": {"key": "calibration.slope_factor", "values": [1]}}},
        ["factors.x.key", "the study has no [calibration]"],
    ),
    "a key of what is done with a model": (
        {"factors": {"x": {"key": "output.fields", "values": ["all"]}}}, ["factors.x.key", "no part of the model"],
    ),
    "a key of another kind of mesh": (
        {"factors": {"x": {"key": "segment.spacing_mm", "values": [1.0]}}}, ["factors.x.key", "structured mesh"],
    ),
    "a value out of range": (
        {"factors": {"x": {"key": VOLUME, "values": [1, -1]}}},
        ["where: s.toml: factors.x.values[1]: treatment.volume_ml = -1\n", "0 or more"],
    ),
    "an end of a range out of range": (
        {"factors": {"x": {"key": VOLUME, "low": -1, "high": 6}}, "design": SAMPLED},
        ["factors.x.low: treatment.volume_ml = -1"],
    ),
    "the last value of a range out of range": (
        {"factors": {"x": {"key": "bone.poisson", "low": 0.1, "high": 0.7, "n": 2}}},
        ["factors.x.high: bone.poisson = 0.7", "less than 0.5"],
    ),
    "a value between the ends of a range out of range": (
        {"factors": {"x": {"key": "bone.poisson", "low": 0.1, "high": 0.9, "n": 3}}},
        ["where: s.toml: factors.x: bone.poisson = 0.5\n"],
    ),
    "the 1 % point out of range": (
        {
            "factors": {"x": {"key": VOLUME, "distribution": "normal", "mean": 2, "sd": 1, "source": "a choice"}},
            "design": SAMPLED,
        },
        ["factors.x.distribution: treatment.volume_ml = -0.3263", "low = ... in [factors.x] cuts"],  # 2 - 2.3263
    ),
    "a text for a number": ({"factors": {"x": {"key": VOLUME, "values": ["much"]}}}, ["factors.x.values[0]", "'much'"]),
    "a half of a whole number": (
        {"factors": {"x": {"key": "segment.layer_cells", "low": 1, "high": 2, "n": 3}}}, ["1.5", "whole number"],
    ),
    "levels named alike": (
        {"factors": {"x": {"levels": [{"name": "a", "set": {}}, {"name": "a", "set": {}}]}}}, ["'a'", "twice"],
    ),
    "a level with a wrong key": (
        {"factors": {"x": {"levels": [{"name": "a", "set": {"bone.lw": "x"}}]}}},
        ["s.toml: factors.x.levels[0] ('a')", "bone.law"],
    ),
    "a level with a wrong value": (
        {"factors": {"x": {"levels": [{"name": "a", "set": {}}, {"name": "b", "set": {"treatment.level": "L5"}}]}}},
        ["s.toml: factors.x.levels[1] ('b'): treatment.level = 'L5'", "is not one of segment.levels"],
    ),
    "a base out of range": ({"factors": {"x": {**ONE, "base": -1}}}, ["factors.x.base: treatment.volume_ml = -1"]),
    "a level with a wrong table": (
        {"factors": {"x": {"levels": [{"name": "a", "set": {}, "sett": {}}]}}}, ["x.levels.0", "did you mean 'set'"],
    ),
    "a base that is no level": (
        {"factors": {"x": {"levels": [{"name": "a", "set": {}}], "base": "b"}}}, ["factors.x.base", "'b'"],
    ),
    "an unknown derivation": (
        {"factors": {"x": {"derive": "tscore", "values": [1]}}}, ["factors.x.derive", "did you mean 't_score'"],
    ),
    "two factors on one key": ({"factors": {"x": ONE, "y": ONE}}, ["'x' and 'y' both set treatment.volume_ml"]),
    "a table and a key of it": (
        {
            "factors": {
                "x": {"derive": "disc_grade", "values": [1]},
                "y": {"key": "disc.degeneration.L1-L2", "values": ["mild"]},
            }
        },
        ["both set disc.degeneration.L1-L2"],
    ),
    "two ways to say how much cement": (
        {"factors": {"x": ONE, "y": {"derive": "fill_fraction", "values": [0.1]}}}, ["both set treatment.volume_ml"],
    ),
    "a factor named like a column": ({"factors": {"case": ONE}}, ["'case'"]),
    "a misspelt key of a factor": ({"factors": {"x": {**ONE, "lwo": 1}}}, ["factors.x.lwo", "did you mean 'low'"]),
    "sweep and factors": ({"sweep": {"load.force_n": [1.0]}, "factors": {"x": ONE}}, ["both [sweep] and [factors]"]),
    "a design of nothing": ({"design": {"kind": "grid"}}, ["[design]", "nothing to vary"]),
    "a sample without n": ({"factors": {"x": ONE}, "design": {"kind": "sobol"}}, ["design.n", "sobol"]),
    "a grid with n": ({"factors": {"x": ONE}, "design": {"kind": "grid", "n": 3}}, ["design.n", "grid"]),
    "a file without a name": ({"factors": {"x": ONE}, "design": {"kind": "csv"}}, ["design.file"]),
    "a file of a grid": ({"factors": {"x": ONE}, "design": {"kind": "grid", "file": "p.csv"}}, ["design.file"]),
    "a second order of a grid": ({"factors": {"x": ONE}, "design": {"second_order": True}}, ["design.second_order"]),
    "correlations in a grid": (
        {"factors": {"x": ONE}, "design": {"correlations": [{"between": ["x", "y"], "value": 0.5}]}},
        ["design.correlations", "latin_hypercube"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_one_message_with_file_key_and_what_to_do(name):
    tables, words = MISTAKES[name]

    with pytest.raises(InputError) as caught:
        study_from_dict({**copy.deepcopy(BASE), **tables}, source="s.toml")

    for word in ["s.toml", *words]:
        assert word in str(caught.value)
    assert caught.value.fix
    assert str(caught.value).count("s.toml") == 1


def test_a_range_of_more_values_than_anybody_means_is_refused_at_its_own_key():
    with pytest.raises(InputError, match=r"1000000000 values is taken for a mistake") as caught:
        study_factors(study({"volume": {"key": VOLUME, "low": 0.0, "high": 6.0, "n": 10**9}}))
    assert "factors.volume.n" in str(caught.value)
