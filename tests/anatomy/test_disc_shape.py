"""Shape of discs: conforming ends, bulge, nucleus area, annulus axes against a round disc, bodies that touch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.body_map import body_points
from fesolver.anatomy.column import build_column
from fesolver.anatomy.disc_shape import DiscShape, check_gaps
from fesolver.anatomy.section import posterior_narrowing, section_axes
from fesolver.anatomy.shape import endplate_area
from fesolver.errors import InputError

ROUND = {
    "superior_width_mm": 40.0,
    "superior_depth_mm": 40.0,
    "inferior_width_mm": 40.0,
    "inferior_depth_mm": 40.0,
    "anterior_height_mm": 24.0,
    "posterior_height_mm": 24.0,
    "superior_concavity_mm": 0.0,
    "inferior_concavity_mm": 0.0,
    "waist_fraction": 0.0,
    "posterior_indentation_mm": 0.0,
}


def shape_between(levels, *, dimensions=None, **disc):
    column = build_column(levels, dimensions=dimensions or {}, discs={"-".join(levels): disc})
    return DiscShape(*column.vertebrae, column.discs[0])


def round_disc(**disc):
    return shape_between(("L1", "L2"), dimensions={"L1": ROUND, "L2": ROUND}, wedge_deg=0.0, **disc)


def places(n=400, seed=1):
    random = np.random.default_rng(seed)
    r, angle, s = random.uniform(0.1, 1, n), random.uniform(0, 2 * np.pi, n), random.uniform(-1, 1, n)
    return r * np.cos(angle), r * np.sin(angle), s, r, angle


def test_the_disc_conforms_with_both_endplates_whatever_its_bulge():
    shape = shape_between(("L3", "L4"), bulge_mm=1.5, nucleus_posterior_mm=2.0)
    xi, eta, *_ = places()

    above = shape.upper.frame.to_parent(body_points(xi, eta, -1, shape.upper.dimensions))
    below = shape.lower.frame.to_parent(body_points(xi, eta, 1, shape.lower.dimensions))

    assert_allclose(shape.points(xi, eta, 1), above, atol=1e-12)
    assert_allclose(shape.points(xi, eta, -1), below, atol=1e-12)


def test_the_outline_bulges_outwards_by_its_amount_at_mid_height_and_by_a_parabola_between():
    flush, bulged = shape_between(("L1", "L2")), shape_between(("L1", "L2"), bulge_mm=1.2)
    angle = np.linspace(0, 2 * np.pi, 40)
    xi, eta = np.cos(angle), np.sin(angle)

    for s in (0.0, 0.5, -0.5):
        out = bulged.points(xi, eta, s) - flush.points(xi, eta, s)
        assert_allclose(np.linalg.norm(out, axis=1), 1.2 * (1 - s**2), rtol=1e-9)
        assert_allclose(out @ flush.axis, 0, atol=1e-9)
        assert np.all(np.einsum("ni,ni->n", out, flush.points(xi, eta, s) - flush.points(0, 0, s)) > 0)
    # The lateral point moves along x alone.
    assert_allclose((bulged.points(1, 0, 0) - flush.points(1, 0, 0))[0], [1.2, 0, 0], atol=1e-6)


def test_heights_on_the_axis_are_the_rim_distance_and_both_hollows():
    shape = shape_between(
        ("L1", "L2"),
        dimensions={
            "L1": {"posterior_indentation_mm": 0.0, "anterior_height_mm": 23.8},
            "L2": {"posterior_indentation_mm": 0.0, "anterior_height_mm": 24.3},
        },
        wedge_deg=0.0,
    )

    assert shape.heights(0, 0)[0] == pytest.approx(7.75 + 1.5 + 0.7, rel=1e-12)
    assert shape.heights(1, 0)[0] == pytest.approx(7.75, rel=1e-12)


def test_a_lordotic_disc_is_higher_in_front():
    shape = shape_between(("L4", "L5"))

    assert shape.heights(0, -1)[0] > shape.heights(0, 1)[0] + 5


@pytest.mark.parametrize("fraction", [0.2, 0.40, 0.5])
@pytest.mark.parametrize("shift", [0.0, 3.0, -2.0])
def test_the_nucleus_takes_its_share_of_the_area(fraction, shift):
    flat = {
        "superior_concavity_mm": 0.0,
        "inferior_concavity_mm": 0.0,
        "anterior_height_mm": 24.0,
        "posterior_height_mm": 24.0,
        "inferior_width_mm": 44.0,
        "inferior_depth_mm": 35.0,
        "superior_width_mm": 44.0,
        "superior_depth_mm": 35.0,
    }
    shape = shape_between(
        ("L2", "L3"),
        dimensions={"L2": flat, "L3": flat},
        wedge_deg=0.0,
        nucleus_area_fraction=fraction,
        nucleus_posterior_mm=shift,
    )
    d = shape.upper.dimensions
    a, b, c = (float(v[0]) for v in section_axes(np.array([-1.0]), d))
    step = 2 / 3000
    line = -1 + step * (np.arange(3000) + 0.5)
    xi, eta = np.meshgrid(line, line)

    inside = (shape.annulus_layer(xi, eta) < 0) & (np.hypot(xi, eta) < 1)
    area = a * b * step**2 * np.sum(inside * np.where(eta > 0, posterior_narrowing(xi, b, c), 1.0))

    # Counting on a lattice: about (boundary cells)^0.5 of 3000^2.
    assert area / endplate_area(d, "inferior") == pytest.approx(fraction, rel=2e-4)
    lever = shape.points(0, shape.nucleus_centre, 0)[0] - shape.points(0, 0, 0)[0]
    assert lever[1] == pytest.approx(shift, abs=1e-9)


def test_the_nucleus_boundary_is_a_circle_about_its_shifted_centre():
    shape = round_disc(nucleus_area_fraction=0.36, nucleus_posterior_mm=4.0)
    angle = np.linspace(0, 2 * np.pi, 9)

    r = shape.nucleus_boundary(angle)
    p = shape.points(r * np.cos(angle), r * np.sin(angle), 0)

    # A circle of sqrt(0.36) * 20 mm, 4 mm behind the disc's centre; the outline is a polygon of 2048 sides.
    centre = shape.points(0, 0, 0)[0] + [0, 4, 0]
    assert_allclose(np.linalg.norm(p - centre, axis=1), 12.0, rtol=1e-6)


def test_layers_run_from_the_nucleus_to_the_outline():
    shape = shape_between(("L1", "L2"), nucleus_posterior_mm=2.0)
    angle = np.linspace(0, 6, 12)
    r = shape.nucleus_boundary(angle)

    assert_allclose(shape.annulus_layer(r * np.cos(angle), r * np.sin(angle)), 0, atol=1e-12)
    assert_allclose(shape.annulus_layer(np.cos(angle), np.sin(angle)), 1, rtol=1e-12)


def test_annulus_axes_of_a_round_disc_are_polar():
    shape = round_disc()
    xi, eta, s, _, angle = places()
    c, n, o = np.cos(angle), np.sin(angle), np.zeros_like(angle)

    axes = shape.annulus_axes(xi, eta, s)

    # Clockwise seen from above, outwards, upwards.
    expected = np.stack([np.stack([n, -c, o], 1), np.stack([c, n, o], 1), np.stack([o, o, o + 1], 1)], 1)
    assert_allclose(axes, expected, atol=1e-8)


def test_annulus_axes_are_right_handed_and_follow_the_outline_and_the_bulge():
    shape = shape_between(("L4", "L5"), bulge_mm=1.5, nucleus_posterior_mm=2.0)
    angle = np.linspace(0.1, 6.2, 30)
    xi, eta = np.cos(angle), np.sin(angle)

    axes = shape.annulus_axes(xi, eta, 0.4)
    step = shape.points(np.cos(angle + 1e-4), np.sin(angle + 1e-4), 0.4) - shape.points(xi, eta, 0.4)
    rise = shape.points(xi, eta, 0.4 + 1e-4) - shape.points(xi, eta, 0.4)

    assert_allclose(axes @ np.swapaxes(axes, 1, 2), np.tile(np.eye(3), (30, 1, 1)), atol=1e-12)
    assert_allclose(np.linalg.det(axes), 1, rtol=1e-12)
    # Surface directions have no radial part: first order in a step of 1e-4.
    for along in (step, rise):
        assert np.max(np.abs(np.einsum("ni,ni->n", along, axes[:, 1])) / np.linalg.norm(along, axis=1)) < 1e-3
    assert np.all(np.einsum("ni,ni->n", step, axes[:, 0]) < 0)
    assert np.all(np.einsum("ni,ni->n", rise, axes[:, 2]) > 0)


@pytest.mark.parametrize(
    ("disc", "message"),
    [
        ({"nucleus_area_fraction": 0.75, "nucleus_posterior_mm": 7.0}, "does not fit into the disc"),
        ({"nucleus_area_fraction": 0.9}, "nucleus_area_fraction = 0.9 is outside"),
        ({"bulge_mm": 0.002 - 1}, "bulge_mm = -0.998 mm is outside"),
    ],
)
def test_discs_that_cannot_be_are_refused(disc, message):
    with pytest.raises(InputError, match=message):
        shape_between(("L1", "L2"), **disc)


def test_a_disc_between_other_bodies_and_axes_on_the_axis_are_refused():
    column = build_column(["L1", "L2", "L3"])

    with pytest.raises(InputError, match="does not lie between L2 and L3"):
        DiscShape(column["L2"], column["L3"], column.discs[0])
    with pytest.raises(InputError, match="no axes on the disc's own axis"):
        DiscShape(column["L1"], column["L2"], column.discs[0]).annulus_axes(0, 0, 0)


def test_published_columns_leave_room_for_every_disc():
    check_gaps(build_column(["T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5"]))


@pytest.mark.parametrize(
    ("disc", "message"),
    [
        # 34.3 mm of both half depths (1.0002 and 1.0014 times, along the rims) times sin(6.25 degrees) is 3.74 mm.
        ({"height_mm": 2.0}, "L4 and L5 overlap by 1.74 mm at the posterior edge"),
        ({"height_mm": 4.0}, "L4 and L5 come as close as 0.26 mm at the posterior edge"),
        ({"height_mm": 2.0, "wedge_deg": -14.0}, "at the anterior edge"),
    ],
)
def test_bodies_that_meet_are_refused_with_the_place_and_a_height_that_would_do(disc, message):
    straight = {level: {"posterior_indentation_mm": 0.0} for level in ("L4", "L5")}
    column = build_column(["L4", "L5"], dimensions=straight, discs={"L4-L5": disc})

    with pytest.raises(InputError, match=message) as caught:
        check_gaps(column)

    assert "where: L4-L5" in str(caught.value)
    enough = float(str(caught.value).split("height_mm of ")[1].split(" ")[0])
    check_gaps(build_column(["L4", "L5"], dimensions=straight, discs={"L4-L5": disc | {"height_mm": enough}}))


def test_the_lobes_behind_the_canal_side_of_the_wall_meet_first():
    # They lie behind the mid-sagittal depth, which is what is published: 1.87 and not 1.74 mm.
    with pytest.raises(InputError, match=r"overlap by 1\.8\d mm at the posterior edge"):
        check_gaps(build_column(["L4", "L5"], discs={"L4-L5": {"height_mm": 2.0}}))


def test_a_record_of_the_shape_cannot_be_changed_and_follows_its_disc():
    shape = round_disc(nucleus_area_fraction=0.36)
    other = replace(shape, disc=replace(shape.disc, nucleus_area_fraction=0.25))

    assert shape.nucleus_radius == pytest.approx(0.6, rel=1e-6)
    assert other.nucleus_radius == pytest.approx(0.5, rel=1e-6)
