"""Solid elements on round bodies: exact where they should be, and locked where they are known to lock."""

from __future__ import annotations

import pytest
from exact_solutions import BONDED_DISC
from verification_meshes import KINDS
from verification_round import (
    DISC_SIZES,
    LOCKING,
    bonded_disc,
    composite_sphere,
    cylinder,
    inclusion,
    plate_with_hole,
    sphere,
)
from verification_solids import BALL_KINDS, FIRST_ORDER, POISSON_RATIOS

SOUND = [kind for kind in KINDS if kind not in LOCKING]


@pytest.mark.parametrize("poisson", POISSON_RATIOS)
@pytest.mark.parametrize("kind", KINDS)
def test_thick_cylinder_follows_lame_or_is_shown_to_lock(kind, poisson):
    for row in cylinder(kind, poisson):
        assert row.is_met, row


@pytest.mark.parametrize("poisson", POISSON_RATIOS)
@pytest.mark.parametrize("kind", FIRST_ORDER)
def test_thick_sphere_follows_lame_or_is_shown_to_lock(kind, poisson):
    for row in sphere(kind, poisson):
        assert row.is_met, row


@pytest.mark.long
@pytest.mark.parametrize("poisson", POISSON_RATIOS)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in FIRST_ORDER])
def test_thick_sphere_of_second_order_follows_lame(kind, poisson):
    for row in sphere(kind, poisson):
        assert row.is_met, row


@pytest.mark.parametrize("kind", SOUND)
def test_cylinder_is_as_good_in_the_incompressible_limit(kind):
    ordinary, limit = (abs(cylinder(kind, nu)[0].error) for nu in (0.3, 0.4999))

    # Locking multiplies the error by ten to a hundred; the second order loses one order and stays below 1 %.
    assert limit < max(2 * ordinary, 0.01)


@pytest.mark.parametrize("kind", LOCKING)
def test_locked_cylinder_does_not_gain_from_a_finer_mesh(kind):
    coarse, fine = (abs(cylinder(kind, 0.4999, n)[0].error) for n in (4, 8))

    assert fine > 0.6 * coarse  # sound elements of the first order: a quarter


@pytest.mark.parametrize("kind", KINDS)
def test_hole_concentrates_the_stress_threefold(kind):
    for row in plate_with_hole(kind):
        assert row.is_met, row


@pytest.mark.parametrize("kind", [kind for kind in BALL_KINDS if kind != "tet10"])
def test_stress_in_a_conforming_inclusion_is_eshelby_s(kind):
    for row in (*inclusion(kind), *composite_sphere(kind)):
        assert row.is_met, row


@pytest.mark.long
def test_stress_in_an_inclusion_of_quadratic_tetrahedra_is_eshelby_s():
    for row in (*inclusion("tet10"), *composite_sphere("tet10")):
        assert row.is_met, row


@pytest.mark.parametrize("poisson", [0.3, 0.499, 0.4999])
@pytest.mark.parametrize("kind", KINDS)
def test_bonded_disc_on_a_coarse_mesh_locks_only_where_it_must(kind, poisson):
    for row in bonded_disc(kind, poisson, 8 if kind == "hex8 incompatible" else 4):
        assert row.is_met, row


@pytest.mark.long
@pytest.mark.parametrize("poisson", BONDED_DISC)
@pytest.mark.parametrize("kind", KINDS)
def test_bonded_disc_is_within_two_percent(kind, poisson):
    for row in bonded_disc(kind, poisson, DISC_SIZES[kind]):
        assert row.is_met, row
