"""Size and sex: published ratios between women and men, similarity, and what is not scaled."""

from __future__ import annotations

import numpy as np
import pytest

from fesolver.anatomy.dimensions import LEVELS_WITH_DIMENSIONS, disc_dimensions, vertebra_dimensions
from fesolver.anatomy.scaling import SEX_SOURCE, scaled
from fesolver.anatomy.shape import body_volume, endplate_area
from fesolver.errors import InputError

# Gilsanz et al. 1994, Radiology 190:678: 25 women, 18 men.
AREA = 8.22 / 10.98
VOLUME = 22.42 / 30.86


@pytest.mark.parametrize("level", LEVELS_WITH_DIMENSIONS)
@pytest.mark.parametrize("side", ["superior", "inferior"])
def test_areas_of_women_and_men_are_in_the_published_ratio_about_the_table(level, side):
    both = vertebra_dimensions(level)

    female, male = (endplate_area(scaled(both, sex=sex), side) for sex in ("female", "male"))

    assert female / male == pytest.approx(AREA, rel=1e-12)
    assert np.sqrt(female * male) == pytest.approx(endplate_area(both, side), rel=1e-12)


def test_volumes_of_women_and_men_are_in_the_published_ratio():
    both = vertebra_dimensions("L3", superior_concavity_mm=0.0, inferior_concavity_mm=0.0)

    female, male = (body_volume(scaled(both, sex=sex)) for sex in ("female", "male"))

    assert female / male == pytest.approx(VOLUME, rel=1e-9)
    assert "read" in SEX_SOURCE.standing


def test_discs_of_women_are_lower_as_their_bodies_are():
    disc = disc_dimensions("L1", "L2")

    ratio = scaled(disc, sex="female").height_mm / scaled(disc, sex="male").height_mm

    assert ratio == pytest.approx(VOLUME / AREA)
    assert scaled(disc, sex="female").wedge_deg == disc.wedge_deg


def test_size_keeps_the_shape():
    d = vertebra_dimensions("L2")

    larger = scaled(d, size=1.2)

    assert body_volume(larger) == pytest.approx(1.2**3 * body_volume(d), rel=1e-12)
    assert larger.wedge_deg == pytest.approx(d.wedge_deg, rel=1e-12)
    assert larger.waist_fraction == d.waist_fraction
    assert larger.shell_thickness_mm == d.shell_thickness_mm


def test_no_size_and_no_sex_change_nothing():
    assert scaled(vertebra_dimensions("L1")) == vertebra_dimensions("L1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"size": 1000.0}, "size = 1000 is outside"), ({"sex": "f"}, "unknown sex 'f'")],
)
def test_a_size_or_sex_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        scaled(vertebra_dimensions("L1"), **arguments)
