"""Fractured shapes: Genant grades measured on the shape, exact maps for crushing, bone mass, wrong uses."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.body_map import body_height, body_points
from fesolver.anatomy.density_fields import PatternedDensity, mean_density
from fesolver.anatomy.dimensions import LEVELS_WITH_DIMENSIONS, vertebra_dimensions
from fesolver.anatomy.fractures import Fracture, apply_fracture, fractured
from fesolver.anatomy.quadrature import body_quadrature
from fesolver.anatomy.shape import body_volume
from fesolver.errors import InputError

# Genant et al. 1993: bounds of the height loss of a grade, percent.
GENANT = {1: (20, 25), 2: (25, 40), 3: (40, 100)}


def rim_heights(d):
    """Heights between the rims at half the mean depth in front of and behind the axis, mm."""
    half_depth = 0.25 * (d.superior_depth_mm + d.inferior_depth_mm)
    return [d.mid_height_mm + 2 * d.rim_slope * y for y in (-half_depth, half_depth)]


@pytest.mark.parametrize("grade", GENANT)
def test_a_wedge_fracture_loses_anterior_height_within_its_grade(grade):
    intact = vertebra_dimensions("L1")

    broken = fractured(intact, kind="wedge", grade=grade)

    (front, back), (front_before, back_before) = rim_heights(broken), rim_heights(intact)
    low, high = GENANT[grade]
    assert low < 100 * (1 - front / front_before) < high
    assert back == pytest.approx(back_before, rel=1e-12)
    assert broken.wedge_deg > intact.wedge_deg + 5


@pytest.mark.parametrize("grade", GENANT)
def test_a_biconcave_fracture_loses_middle_height_within_its_grade_and_keeps_the_rims(grade):
    intact = vertebra_dimensions("L2", anterior_height_mm=24.3)

    broken = fractured(intact, kind="biconcave", grade=grade)

    low, high = GENANT[grade]
    assert low < 100 * (1 - body_height(0, 0, broken)[0] / body_height(0, 0, intact)[0]) < high
    assert rim_heights(broken) == rim_heights(intact)
    added = (broken.superior_concavity_mm - 0.7, broken.inferior_concavity_mm - 1.5)
    assert added[0] == pytest.approx(added[1])


@pytest.mark.parametrize("grade", GENANT)
def test_a_crush_fracture_shortens_every_fibre_by_the_same_share(grade):
    intact = vertebra_dimensions("T12", anterior_height_mm=20.0, superior_apex_fraction=0.2)
    random = np.random.default_rng(0)
    angle, r, s = random.uniform(0, 2 * np.pi, 200), random.uniform(0, 1, 200), random.uniform(-1, 1, 200)
    place = (r * np.cos(angle), r * np.sin(angle), s)

    after = apply_fracture(intact, Fracture(kind="crush", grade=grade))

    kept = 1 - {1: 0.225, 2: 0.325, 3: 0.5}[grade]
    # Both heights and both hollows shrink alike: the map is the intact one with z times what is kept.
    assert_allclose(body_points(*place, after.dimensions), body_points(*place, intact) * [1, 1, kept], atol=1e-9)
    assert after.volume_ratio == pytest.approx(kept, rel=1e-9)
    assert after.density_factor == pytest.approx(1 / kept, rel=1e-9)


@pytest.mark.parametrize("level", LEVELS_WITH_DIMENSIONS)
@pytest.mark.parametrize("kind", ["wedge", "biconcave", "crush"])
def test_every_level_takes_a_fracture_of_grade_three_without_turning_inside_out(level, kind):
    broken = fractured(vertebra_dimensions(level), kind=kind, grade=3)

    _, _, weights = body_quadrature(broken)

    assert weights.min() > 0


@pytest.mark.parametrize("kind", ["wedge", "biconcave", "crush"])
def test_compaction_keeps_the_bone_mass_of_the_body(kind):
    intact = vertebra_dimensions("L3")
    before = PatternedDensity(0.08)

    after = apply_fracture(intact, Fracture(kind=kind, grade=2))
    density = before.scaled(after.density_factor)

    # Volumes by the other quadrature, which leaves out 0.2 % of a deep hollow.
    mass = mean_density(density, after.dimensions) * body_volume(after.dimensions)
    assert mass == pytest.approx(0.08 * body_volume(intact), rel=3e-3)
    assert after.density_factor > 1.05


@pytest.mark.parametrize(("change", "factor"), [("none", 1.0), (1.15, 1.15)])
def test_other_density_changes_are_taken_as_given(change, factor):
    after = apply_fracture(vertebra_dimensions("L1"), Fracture(kind="crush", grade=1, density_change=change))

    assert after.density_factor == factor


def test_losses_by_place_are_losses_of_the_intact_heights():
    intact = vertebra_dimensions("L1")

    broken = fractured(intact, anterior_loss_percent=30, middle_loss_percent=35, posterior_loss_percent=10)

    assert_allclose(rim_heights(broken), [0.7 * 23.0, 0.9 * 23.8], rtol=1e-12)
    hollow = broken.superior_concavity_mm + broken.inferior_concavity_mm
    assert broken.mid_height_mm - hollow == pytest.approx(0.65 * (23.4 - 2.2), rel=1e-12)


def test_a_middle_that_falls_less_than_the_rims_flattens_both_endplates_in_proportion():
    broken = fractured(
        vertebra_dimensions("L1"), anterior_loss_percent=20, middle_loss_percent=15, posterior_loss_percent=20
    )

    # Rims 18.72, middle 0.85 * 21.2 = 18.02: 0.7 mm of hollow are left of 2.2.
    assert broken.superior_concavity_mm == pytest.approx(0.7 * 0.7 / 2.2, rel=1e-9)
    assert broken.inferior_concavity_mm == pytest.approx(1.5 * 0.7 / 2.2, rel=1e-9)


def test_a_fracture_changes_heights_and_hollows_only():
    intact = vertebra_dimensions("L4")

    broken = fractured(intact, anterior_loss_percent=20, middle_loss_percent=30)

    changed = {f.name for f in fields(intact) if getattr(intact, f.name) != getattr(broken, f.name)}
    assert changed == {"anterior_height_mm", "superior_concavity_mm", "inferior_concavity_mm"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs a kind with a grade, or height losses"),
        ({"kind": "wedge", "grade": 1, "anterior_loss_percent": 20.0}, "and not both"),
        ({"kind": "wedge"}, "unknown fracture grade None"),
        ({"grade": 2}, "unknown fracture kind None"),
        ({"kind": "burst", "grade": 1}, "use one of wedge, biconcave, crush"),
        ({"kind": "wedge", "grade": 4}, "unknown fracture grade 4"),
        ({"kind": "wedge", "grade": True}, "unknown fracture grade True"),
        ({"anterior_loss_percent": 95.0}, "anterior_loss_percent = 95 % is outside 0 to 80"),
        ({"kind": "wedge", "grade": 1, "density_change": "more"}, "unknown density_change 'more'"),
        ({"kind": "wedge", "grade": 1, "density_change": 0.0}, "density_change = 0 is outside"),
    ],
)
def test_a_fracture_that_is_not_well_stated_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Fracture(**arguments)


def test_a_middle_loss_that_would_make_endplates_bulge_is_refused_with_the_least_one():
    with pytest.raises(InputError, match="give middle_loss_percent of 23 or more") as caught:
        fractured(vertebra_dimensions("L1"), anterior_loss_percent=30, middle_loss_percent=5, posterior_loss_percent=30)

    # 0.7 * 23.4 = 16.38 is 22.7 % under 21.2.
    assert "would bulge out" in str(caught.value)


def test_a_loss_that_leaves_no_body_is_refused():
    with pytest.raises(InputError, match="hollow in a body only"):
        fractured(vertebra_dimensions("L1"), middle_loss_percent=80)
