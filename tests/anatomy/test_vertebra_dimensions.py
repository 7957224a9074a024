"""Tables of dimensions: the published numbers, their trends, and wrong uses."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from itertools import pairwise

import pytest

from fesolver.anatomy.dimensions import (
    LEVELS_WITH_DIMENSIONS,
    DiscDimensions,
    VertebraDimensions,
    disc_dimensions,
    vertebra_dimensions,
)
from fesolver.anatomy.levels import adjacent_levels, sort_levels
from fesolver.anatomy.published import DIMENSION_SOURCES
from fesolver.errors import InputError

# Panjabi 1991, 1992: superior width and depth, inferior width and depth, posterior height, mm (means of 12 spines).
PANJABI = {
    "T10": (31.9, 30.5, 35.4, 31.6, 20.2),
    "T11": (34.9, 31.9, 39.1, 31.8, 21.3),
    "T12": (39.0, 32.8, 42.1, 33.4, 22.7),
    "L1": (41.2, 34.1, 43.3, 35.3, 23.8),
    "L2": (42.6, 34.6, 45.5, 34.9, 24.3),
    "L3": (44.1, 35.2, 48.0, 34.8, 23.8),
    "L4": (46.6, 35.5, 49.5, 33.9, 24.1),
    "L5": (47.3, 34.7, 49.4, 33.2, 22.9),
}


@pytest.mark.parametrize("level", PANJABI)
def test_endplates_and_posterior_height_are_those_of_panjabi(level):
    d = vertebra_dimensions(level)

    got = (d.superior_width_mm, d.superior_depth_mm, d.inferior_width_mm, d.inferior_depth_mm, d.posterior_height_mm)

    assert got == PANJABI[level]


def test_the_inferior_endplate_is_the_more_hollow_one():
    d = vertebra_dimensions("L2")

    # Wang 2012: the endplate above a disc (inferior) 1.5 mm, the one below it (superior) 0.7 mm.
    assert (d.inferior_concavity_mm, d.superior_concavity_mm) == (1.5, 0.7)


def test_wedge_is_the_angle_between_the_rims():
    d = vertebra_dimensions("L1", anterior_height_mm=16.0)

    depth = 0.5 * (34.1 + 35.3)
    # The planes rise and fall by half the difference each: 2 atan(7.8 / 2 / 34.7).
    assert d.wedge_deg == pytest.approx(12.826, abs=1e-3)
    assert 2 * depth * d.rim_slope == pytest.approx(23.8 - 16.0)


def test_disc_heights_rise_from_the_thoracolumbar_junction_to_l4_l5():
    # Radiographic series find disc height to rise from T12-L1 to L4-L5 and to fall at L5-S1.
    pairs = pairwise(LEVELS_WITH_DIMENSIONS[2:])

    heights = [disc_dimensions(upper, lower).height_mm for upper, lower in pairs]

    assert heights == sorted(heights)
    assert len(heights) == 5


@pytest.mark.parametrize("record", [VertebraDimensions, DiscDimensions])
def test_every_number_has_a_source_and_a_standing(record):
    numbers = [item.name for item in fields(record) if item.type == "float"]

    assert numbers
    assert all(DIMENSION_SOURCES[name].citation and DIMENSION_SOURCES[name].standing for name in numbers)


def test_records_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        vertebra_dimensions("L1").superior_width_mm = 1.0


@pytest.mark.parametrize(
    ("level", "message"), [("L6", "unknown vertebral level 'L6'"), ("C5", "no published dimensions for C5")]
)
def test_a_level_without_dimensions_is_refused(level, message):
    with pytest.raises(InputError, match=message):
        vertebra_dimensions(level)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"superior_width_mm": 0.0412}, "it looks like metres: give mm"),
        ({"superior_width_mm": 4.12}, "it looks like centimetres: give mm"),
        ({"anterior_height_mm": float("nan")}, "not a finite number"),
        ({"anterior_height_mm": "16"}, "not a finite number"),
        ({"waist_fraction": 0.9}, "outside 0 to 0.3"),
        ({"width": 40.0}, "unknown dimension 'width'"),
        ({"anterior_height_mm": 5.0, "inferior_concavity_mm": 3.0}, "3.7 mm hollow in a body only 5 mm high"),
    ],
)
def test_an_implausible_dimension_is_refused_with_what_to_do(overrides, message):
    with pytest.raises(InputError, match=message) as caught:
        vertebra_dimensions("L1", **overrides)

    assert "L1" in str(caught.value)


@pytest.mark.parametrize(
    ("upper", "lower", "message"),
    [
        ("L2", "L1", "not neighbours"),
        ("L1", "L3", "not neighbours"),
        ("L5", "S1", "no published dimensions for the disc L5-S1"),
        ("L1", "X2", "unknown vertebral level"),
    ],
)
def test_a_disc_needs_two_neighbours_cranial_first(upper, lower, message):
    with pytest.raises(InputError, match=message):
        disc_dimensions(upper, lower)


def test_a_disc_height_in_metres_is_recognised():
    with pytest.raises(InputError, match="it looks like metres"):
        disc_dimensions("L1", "L2", height_mm=0.008)


def test_levels_are_ordered_cranial_first_and_neighbours_follow():
    assert sort_levels(["L1", "T11", "T12"]) == ("T11", "T12", "L1")
    assert adjacent_levels("T12", ["L1", "T12", "T11"]) == ("T11", "L1")
    assert adjacent_levels("T11", ["L1", "T12", "T11"]) == ("T12",)
