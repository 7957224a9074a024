"""Disc degeneration: published geometry by grade, and materials where they are published or stated to be stand-ins."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fesolver.anatomy.column import build_column
from fesolver.anatomy.dimensions import disc_dimensions
from fesolver.anatomy.disc_shape import DiscShape
from fesolver.anatomy.scaling import degenerated
from fesolver.bone.degeneration import disc_geometry, disc_materials
from fesolver.bone.materials import DEFAULT_ANNULUS, DEFAULT_NUCLEUS, Isotropic
from fesolver.errors import InputError

# J Orthop Surg Res 2022, s13018-022-03220-3, table 2: height, nucleus area, osteophytes.
TABLE = {"normal": (1.0, 1.0, 0.0), "mild": (0.8, 0.75, 0.1), "moderate": (0.6, 0.5, 0.2), "severe": (0.4, 0.4, 0.3)}


@pytest.mark.parametrize("grade", TABLE)
def test_geometry_is_that_of_the_table(grade):
    left = disc_geometry(grade)

    assert (left.height_fraction, left.nucleus_area_fraction, left.osteophyte_fraction) == TABLE[grade]
    assert left.standing == "read in the table"


@pytest.mark.parametrize("grade", TABLE)
def test_a_degenerated_disc_loses_height_in_front_and_behind_and_nucleus_by_the_table(grade):
    disc = disc_dimensions("L3", "L4")
    flat = {level: {"posterior_indentation_mm": 0.0} for level in ("L3", "L4")}

    def built(item):
        discs = {"L3-L4": {n: getattr(item, n) for n in ("height_mm", "wedge_deg", "nucleus_area_fraction")}}
        column = build_column(["L3", "L4"], dimensions=flat, discs=discs)
        return DiscShape(*column.vertebrae, column.discs[0])

    before, after = built(disc), built(degenerated(disc, grade))

    height, area, _ = TABLE[grade]
    for eta in (-0.9, 0.9):
        # cos of half the wedge (4.5 degrees) differs by 0.3 %, over half of the height at the posterior edge.
        assert after.heights(0, eta)[0] / before.heights(0, eta)[0] == pytest.approx(height, rel=5e-3)
    assert after.disc.nucleus_area_fraction / before.disc.nucleus_area_fraction == pytest.approx(area)


def test_a_normal_disc_stays_what_it_is():
    disc = disc_dimensions("T12", "L1")

    assert degenerated(disc, "none") is disc
    assert disc_materials("normal") == disc_materials("none")


def test_mild_half_way_and_severe_as_moderate_are_called_choices():
    mild, severe = (disc_materials(grade, unpublished="interpolate") for grade in ("mild", "severe"))

    # Half-way between 1.0 MPa, 0.499 and 2.0 MPa, 0.49; ground 4.2 MPa, 0.45 and 2.5 MPa, 0.40.
    assert (mild.nucleus.young, mild.nucleus.poisson) == pytest.approx((1.5, 0.4945))
    assert (mild.annulus.ground.young, mild.annulus.ground.poisson) == pytest.approx((3.35, 0.425))
    assert severe.nucleus == Isotropic(2.0, 0.49)
    assert severe.annulus == replace(DEFAULT_ANNULUS, ground=Isotropic(2.5, 0.40))
    assert mild.standing.startswith("choice")
    assert severe.standing.startswith("choice")


def test_healthy_moduli_may_stand_in_and_are_called_a_choice():
    severe = disc_materials("severe", unpublished="healthy")

    assert (severe.nucleus, severe.annulus) == (DEFAULT_NUCLEUS, DEFAULT_ANNULUS)
    assert severe.standing.startswith("choice: the healthy set")


@pytest.mark.parametrize("grade", ["mild", "severe"])
def test_grades_without_a_published_set_are_refused_unless_told_otherwise(grade):
    with pytest.raises(InputError, match="no published linear elastic set"):
        disc_materials(grade)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: disc_geometry("Pfirrmann 3"), "unknown disc degeneration grade"),
        (lambda: disc_materials("worse", unpublished="healthy"), "unknown disc degeneration grade 'worse'"),
        (lambda: disc_materials("mild", unpublished="guess"), "use refuse, interpolate or healthy"),
    ],
)
def test_unknown_words_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
