"""Sweeps: a full grid with ids that say what a case depends on."""

from __future__ import annotations

import pytest

from fesolver.errors import InputError
from fesolver.study.cases import expand_cases


def test_a_sweep_is_the_full_grid_with_the_last_key_fastest(make_study):
    cases = expand_cases(make_study(sweep={"treatment.volume_ml": [2, 4], "load.force_n": [300, 500]}))

    assert [tuple(case.keys.values()) for case in cases] == [(2, 300), (2, 500), (4, 300), (4, 500)]
    assert [case.config.treatment.volume_ml for case in cases] == [2, 2, 4, 4]
    assert len({case.id for case in cases}) == 4


def test_the_id_follows_what_the_case_depends_on_and_nothing_else(make_study):
    base = expand_cases(make_study())[0].id

    assert expand_cases(make_study(description="words", name="other"))[0].id == base
    assert expand_cases(make_study(load={"force_n": 501}))[0].id != base


def test_a_grid_of_a_million_points_is_taken_for_a_mistake(make_study):
    values = list(range(1, 101))
    study = make_study(sweep={"load.force_n": values, "treatment.volume_ml": values, "bone.density_scale": values})

    with pytest.raises(InputError, match="1000000 cases"):
        expand_cases(study)
