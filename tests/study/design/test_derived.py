"""Derived factors: what a value a researcher speaks of sets; fill fractions on a mesh; members of a cohort."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.cohort import random_cohort
from fesolver.anatomy.t_score import density_from_t_score
from fesolver.bone.degeneration import disc_materials
from fesolver.errors import InputError
from fesolver.study.cohort_input import cohort_covariates, cohort_member
from fesolver.study.config import StudyConfig, study_from_dict
from fesolver.study.design.derived import DERIVATIONS, derived_base, derived_settings
from fesolver.study.design.plan import plan_study
from fesolver.study.inputs import ParametricData, read_data
from fesolver.study.keys import study_tables, with_value
from fesolver.study.model import body_volume, build_models
from fesolver.study.progress import SilentProgress
from fesolver.study.stages import Stages

BASE: dict[str, Any] = {
    "name": "base",
    "input": {"kind": "parametric", "t_score": -3.0},
    "segment": {"levels": ["T12", "L1", "L2"]},
    "treatment": {"level": "L1"},
}
CT: dict[str, Any] = {
    "input": {"kind": "ct", "ct": "ct.nii.gz", "labels": "labels.nii.gz"},
    "calibration": {"method": "slope", "slope_g_cm3_per_hu": 8e-4},
}


def derived(name: str, value: Any, **tables: Any) -> StudyConfig:
    """The study that a value of a derived factor makes."""
    factors = {"x": {"derive": name, "values": [value]}}
    return plan_study(study_from_dict({**BASE, **tables, "factors": factors}, source="s.toml")).case(0).config


def test_a_t_score_replaces_the_density_that_the_study_gives():
    found = derived("t_score", -2.5, input={"kind": "parametric", "density_g_cm3": 0.06})

    assert (found.input.t_score, found.input.density_g_cm3) == (-2.5, None)
    data = read_data(found)
    assert isinstance(data, ParametricData)
    assert data.recipe.density.mean_g_cm3 == density_from_t_score(-2.5)


def test_densities_are_changed_in_the_units_of_their_names():
    assert derived("bmd_percent", 80.0).bone.density_scale == 0.8
    assert derived("density_shift_mg_cm3", -15).bone.density_offset_g_cm3 == -0.015
    assert derived("calibration_slope_percent", 110, **CT).calibration.slope_factor == 1.1
    assert derived("calibration_intercept_mg_cm3", -20, **CT).calibration.intercept_g_cm3 == -0.02


def test_the_disc_grade_is_that_of_every_disc_of_the_segment():
    assert derived("disc_grade", 3).disc.degeneration == {"T12-L1": "severe", "L1-L2": "severe"}
    assert derived("disc_grade", 0).disc.degeneration == {"T12-L1": "none", "L1-L2": "none"}


@pytest.mark.parametrize(("value", "levels"), [("T11", ("T10", "T11", "T12")), ("L4", ("L3", "L4", "L5"))])
def test_another_treated_level_has_as_many_neighbours_on_each_side(value, levels):
    found = derived("treated_level", value)

    assert (found.segment.levels, found.treatment.level) == (levels, value)


def test_cement_is_moved_along_the_axes_of_its_body():
    up, forward = derived("cement_height_mm", 6.0), derived("cement_anterior_mm", 6.0)

    assert (up.treatment.approach, up.treatment.center_mm) == ("point", (0.0, 0.0, 6.0))
    assert forward.treatment.center_mm == (0.0, -6.0, 0.0)  # y is posterior
    given = {"level": "L1", "approach": "point", "center_mm": [1.0, 2.0, 3.0]}
    assert derived("cement_height_mm", 5.0, treatment=given).treatment.center_mm == (1.0, 2.0, 5.0)


@pytest.mark.parametrize(
    ("name", "value", "tables"),
    [
        ("t_score", -3.0, {}),
        ("bmd_percent", 57.0, {"bone": {"density_scale": 0.57}}),
        ("density_shift_mg_cm3", -7.0, {"bone": {"density_offset_g_cm3": -0.007}}),
        ("calibration_slope_percent", 100.0, CT),
        ("fill_fraction", 0.15, {"treatment": {"level": "L1", "fill_fraction": 0.15}}),
        ("fill_percent", 29.0, {"treatment": {"level": "L1", "fill_fraction": 0.29}}),
        ("fill_percent", None, {}),
        ("disc_grade", 0, {}),
        ("disc_grade", None, {"disc": {"degeneration": {"L1-L2": "moderate"}}}),
        ("treated_level", "L1", {}),
        ("load_offset_anterior_mm", 0.0, {}),
        ("cement_height_mm", None, {}),
    ],
)
def test_the_base_value_is_what_the_study_has_and_setting_it_changes_nothing(name, value, tables):
    config = study_from_dict({**BASE, **tables})

    assert derived_base(name, study_tables(config)) == value
    if value is not None:
        assert derived(name, value, **tables).model_dump(exclude={"disc"}) == config.model_dump(exclude={"disc"})


@pytest.mark.parametrize("name", DERIVATIONS)
def test_a_derivation_sets_what_it_says_it_sets(name):
    known = DERIVATIONS[name]
    tables = study_tables(study_from_dict({**BASE, "input": {"kind": "parametric", "density_g_cm3": 0.1}}))

    settings = derived_settings(name, "L1" if known.is_text else 1, tables)

    assert set(settings) == set(known.sets)
    assert known.doc


@pytest.mark.parametrize(
    ("name", "value", "tables", "words"),
    [
        ("t_score", -2.0, CT, ["measured", "bmd_percent"]),
        ("t_score", -2.0, {"input": {"kind": "parametric", "cohort": {"member": 1}}}, ["drawn"]),
        ("t_score", 9.0, {}, []),
        ("t_score", "low", {}, ["'low'", "number"]),
        ("disc_grade", 4, {}, ["no disc grade 4", "3 severe"]),
        ("disc_grade", 1.5, {}, ["1.5", "whole"]),
        ("treated_level", 3, {}, ["3", "text"]),
        ("treated_level", "L9", {}, ["L9"]),
        ("calibration_slope_percent", 90, {}, ["no [calibration]"]),
        ("fill_fraction", 1.0, {}, ["fill_fraction", "less than 1"]),
        ("bmd_percent", -5.0, {}, ["density_scale", "greater than 0"]),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_the_place(name, value, tables, words):
    if name == "t_score" and value == 9.0:  # a number that the tables take and the density does not
        with pytest.raises(InputError, match="over 5"):
            read_data(derived(name, value, **tables))
        return
    with pytest.raises(InputError) as caught:
        derived(name, value, **tables)

    for word in [f"s.toml: factors.x.values[0] = {value!r} (derive = {name!r})", *words]:
        assert word in str(caught.value)


def test_a_fill_fraction_is_that_share_of_the_body_on_the_mesh():
    small = {"segment": {"levels": ["L1"], "refinement": 0.4}}
    config = derived("fill_percent", 15.0, **small)
    built = build_models(config, read_data(config), Stages(SilentProgress()))
    report = built.treated.cement

    assert_allclose(report.fill_fraction, 0.15, rtol=1e-4)  # slivers below 1e-6 of a cell are lost
    body = body_volume(built.intact.mesh, built.intact.tissue, "L1")
    assert_allclose(report.asked_ml, 0.15e-3 * body, rtol=1e-12)
    assert body == pytest.approx(sum(body_parts(built.intact.mesh)), rel=1e-9)  # a segment of one body is that body


def body_parts(mesh: Any) -> list[float]:
    """Volume of every cell of a mesh of eight-node cells, each cut into five tetrahedra in both ways."""
    out = []
    corners = ((0, 1, 3, 4), (1, 2, 3, 6), (1, 3, 4, 6), (1, 4, 5, 6), (3, 4, 6, 7))
    other = ((0, 1, 2, 5), (0, 2, 3, 7), (0, 2, 5, 7), (0, 4, 5, 7), (2, 5, 6, 7))
    for cell in mesh.cells:
        x = mesh.points[cell]
        # The mean of both cuts is exact for a trilinear map: a bilinear face lies half-way between its two foldings.
        halves = [
            sum(abs(np.linalg.det(x[list(t[1:])] - x[t[0]])) / 6.0 for t in tetrahedra)
            for tetrahedra in (corners, other)
        ]
        out.append(0.5 * sum(halves))
    return out


COHORT = {"kind": "parametric", "cohort": {"seed": 7, "member": 4}}


def test_a_member_brings_its_dimensions_discs_density_and_degeneration():
    config = study_from_dict({**BASE, "input": COHORT})
    member = random_cohort(5, seed=7)[4]

    data = read_data(config)

    assert isinstance(data, ParametricData)
    assert data.recipe.dimensions == member.recipe.dimensions
    assert data.recipe.discs == member.recipe.discs
    assert data.recipe.degeneration == member.recipe.degeneration
    assert data.recipe.density == member.recipe.density
    assert "member 4" in data.findings[0]
    assert not any("given in the study" in line for line in data.findings)


def test_dimensions_and_grades_of_the_study_override_those_of_the_member():
    given = {**COHORT, "dimensions": {"L1": {"anterior_height_mm": 24.0}}}
    config = study_from_dict({**BASE, "input": given, "disc": {"degeneration": {"L1-L2": "none"}}})

    data = read_data(config)

    drawn = random_cohort(5, seed=7)[4].recipe
    assert data.recipe.dimensions["L1"] == {**drawn.dimensions["L1"], "anterior_height_mm": 24.0}
    assert data.recipe.dimensions["L2"] == drawn.dimensions["L2"]
    assert data.recipe.degeneration == {**drawn.degeneration, "L1-L2": "none"}
    given_lines = [line for line in data.findings if "given in the study" in line]
    assert len(given_lines) == 1
    assert given_lines[0].startswith("L1: anterior_height_mm = 24")


def test_a_members_degenerated_disc_has_the_materials_of_its_grade():
    members = random_cohort(60, seed=7, levels=("L1", "L2"))
    number = next(m.case for m in members if m.recipe.degeneration["L1-L2"] == "moderate")
    tables = {"segment": {"levels": ["L1", "L2"], "refinement": 0.4}, "disc": {"fibres": False}}
    config = study_from_dict({**BASE, **tables, "input": {**COHORT, "cohort": {"seed": 7, "member": number}}})

    intact = build_models(config, read_data(config), Stages(SilentProgress())).intact

    nucleus = intact.mesh.regions["L1-L2/nucleus"]
    whole = nucleus.cells[nucleus.fraction == 1.0]
    assert set(intact.elasticity.young[whole]) == {disc_materials("moderate").nucleus.young}


def test_covariates_are_the_draws_of_the_member_and_none_without_a_cohort():
    config = study_from_dict({**BASE, "input": COHORT})
    member = random_cohort(5, seed=7)[4]

    found = cohort_covariates(config)

    assert found["member_age_years"] == member.age_years
    assert found["member_sex"] == member.sex
    assert found["member_t_score"] == member.t_score
    assert found["member_density_g_cm3"] == member.density_g_cm3
    assert found["member_disc_height_factor"] == member.size_factors["disc_height"]
    assert {"member_disc_grade_T12-L1", "member_disc_grade_L1-L2"} < set(found)
    assert cohort_covariates(study_from_dict(BASE)) == {}


def test_a_cohort_may_be_of_one_sex_and_of_some_ages():
    base = study_from_dict({**BASE, "input": {**COHORT, "cohort": {"member": 0, "sex": "male", "age_years": [60, 62]}}})

    members = [cohort_member(with_value(base, {"input.cohort.member": i}, places={})) for i in range(20)]

    assert {member.sex for member in members} == {"male"}
    assert all(60 <= member.age_years <= 62 for member in members)
    assert len({member.density_g_cm3 for member in members}) == 20


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"t_score": 0.0}, ["t_score", "drawn"]),
        ({"density_g_cm3": 0.1}, ["density_g_cm3", "drawn"]),
        ({"sex": "male"}, ["sex", "drawn"]),
        ({"size": 1.1}, ["size", "drawn"]),
        ({"cohort": {"seed": 1}}, ["cohort.member", "missing"]),
        ({"cohort": {"member": -1}}, ["cohort.member", "0 or more"]),
        ({"cohort": {"member": 0.5}}, ["cohort.member", "whole"]),
    ],
)
def test_what_a_cohort_draws_cannot_be_given_too(given, words):
    with pytest.raises(InputError) as caught:
        study_from_dict({**BASE, "input": {**COHORT, **given}}, source="s.toml")

    for word in words:
        assert word in str(caught.value)
