"""The vertebral body as a function of points: sizes measured from it, areas and volumes against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.anatomy.dimensions import LEVELS_WITH_DIMENSIONS, vertebra_dimensions
from fesolver.anatomy.posterior import arch_depth, canal_area, canal_front
from fesolver.anatomy.shape import body_coordinates, body_volume, endplate_area
from fesolver.errors import InputError

PLAIN = {
    "superior_concavity_mm": 0.0,
    "inferior_concavity_mm": 0.0,
    "waist_fraction": 0.0,
    "posterior_indentation_mm": 0.0,
}


def lattice(step, half=(26.0, 24.0, 15.0), shift=(0.013, 0.029, 0.047)):
    """Points of a lattice around a body; the shift keeps planes off the lattice."""
    axes = [np.arange(-h, h, step) + s for h, s in zip(half, shift, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def extent(points, inside, axis):
    """Length of the part of a fine line of points that lies inside."""
    along = points[inside, axis]
    return along.max() - along.min()


def line(axis, through, half=30.0, step=0.01):
    points = np.tile(np.asarray(through, dtype=float), (int(2 * half / step), 1))
    points[:, axis] = -half + step * (np.arange(len(points)) + 0.5)
    return points


@pytest.mark.parametrize("level", LEVELS_WITH_DIMENSIONS)
@pytest.mark.parametrize("side", ["superior", "inferior"])
def test_endplate_width_and_depth_measure_as_published(level, side):
    d = vertebra_dimensions(level)
    sign = 1.0 if side == "superior" else -1.0
    width, depth = (getattr(d, f"{side}_{name}_mm") for name in ("width", "depth"))
    c = 0.5 * d.posterior_indentation_mm
    # Just inside the rim planes, where waist and hollow have no share left (1e-3 of the half-height).
    across = line(0, (0.0, c, 0.0))
    along = line(1, (0.0, 0.0, 0.0))
    for points in (across, along):
        points[:, 2] = sign * 0.999 * (0.5 * d.mid_height_mm + d.rim_slope * points[:, 1])

    measured = [
        extent(points, np.abs(body_coordinates(points, d).radius) < 1.0, axis)
        for points, axis in ((across, 0), (along, 1))
    ]

    # Line step 0.01 mm at both ends, and 0.1 % of height times the slope of the sides.
    assert_allclose(measured, [width, depth], atol=0.03)


def test_anterior_and_posterior_height_measure_as_published():
    d = vertebra_dimensions("T12", anterior_height_mm=18.0, waist_fraction=0.0)
    depth = 0.5 * (d.superior_depth_mm + d.inferior_depth_mm)

    heights = []
    for y in (-0.5 * depth, 0.5 * depth):
        points = line(2, (0.0, y * (1 - 1e-9), 0.0))
        at = body_coordinates(points, d)
        heights.append(extent(points, np.abs(at.height) < 1.0, 2))

    assert_allclose(heights, [18.0, 22.7], atol=0.02)  # two steps of the line


def test_endplates_are_hollow_by_their_concavity_at_the_centre_and_flat_at_the_rim():
    d = vertebra_dimensions("L2")
    points = line(2, (0.0, 0.5 * d.posterior_indentation_mm, 0.0))
    half = 0.5 * d.mid_height_mm + d.rim_slope * points[0, 1]

    inside = body_coordinates(points, d).depth_mm > 0
    top, bottom = points[inside, 2].max(), points[inside, 2].min()

    assert_allclose([half - top, bottom + half], [0.7, 1.5], atol=0.02)
    rim = np.array([[0.85 * 0.5 * d.superior_width_mm, 0.5 * d.posterior_indentation_mm, half - 0.02]])
    assert body_coordinates(rim, d).depth_mm[0] > 0


def test_an_elliptic_cylinder_has_its_closed_form_volume():
    d = vertebra_dimensions("L1", **PLAIN, inferior_width_mm=41.2, inferior_depth_mm=34.1, anterior_height_mm=23.8)

    # Quadrature of the square root at the section's two tips: 1e-5 with 48 points a panel.
    assert body_volume(d) == pytest.approx(np.pi / 4 * 41.2 * 34.1 * 23.8, rel=1e-5)
    assert endplate_area(d, "superior") == pytest.approx(np.pi / 4 * 41.2 * 34.1, rel=1e-14)


def test_a_wedge_about_the_axis_of_a_symmetric_section_keeps_the_volume():
    same = {"inferior_width_mm": 41.2, "inferior_depth_mm": 34.1}
    straight = vertebra_dimensions("L1", **PLAIN, **same, anterior_height_mm=20.0, posterior_height_mm=20.0)
    wedge = vertebra_dimensions("L1", **PLAIN, **same, anterior_height_mm=15.0, posterior_height_mm=25.0)

    assert body_volume(wedge) == pytest.approx(body_volume(straight), rel=1e-12)


@pytest.mark.parametrize("level", ["T10", "L1", "L5"])
def test_volume_agrees_with_counting_points(level):
    d = vertebra_dimensions(level)
    step = 0.4

    counted = np.count_nonzero(body_coordinates(lattice(step), d).depth_mm > 0) * step**3

    # A lattice misses up to a thousandth on faces that are almost level with it.
    assert counted == pytest.approx(body_volume(d), rel=2e-3)


@pytest.mark.parametrize("side", ["superior", "inferior"])
def test_footprint_agrees_with_counting_points(side):
    d = vertebra_dimensions("L1")
    points = lattice(0.05, half=(26.0, 24.0, 0.025))
    sign = 1.0 if side == "superior" else -1.0
    points[:, 2] = sign * (0.5 * d.mid_height_mm + d.rim_slope * points[:, 1]) * (1 - 1e-12)

    counted = np.count_nonzero(body_coordinates(points, d).radius < 1.0) * 0.05**2

    assert counted == pytest.approx(endplate_area(d, side), rel=1e-3)


def test_the_volume_of_l1_is_the_one_implied_by_liebschner():
    # 14 % of the body is 3.5 cm3 (Liebschner 2001, Spine 26:1547), so the body has 25 cm3.
    assert body_volume(vertebra_dimensions("L1")) == pytest.approx(25_000, rel=0.02)


@pytest.mark.parametrize("level", LEVELS_WITH_DIMENSIONS)
def test_volumes_are_near_the_ellipse_estimate_of_the_reference(level):
    d = vertebra_dimensions(level)
    areas = np.pi / 4 * np.array([d.superior_width_mm * d.superior_depth_mm, d.inferior_width_mm * d.inferior_depth_mm])

    # Mean ellipse times posterior height times 0.9; the kidney is 6 % larger than its ellipse, and in the lower lumbar
    # spine the anterior height, which the estimate leaves out, is up to 16 % over the posterior one.
    estimate = areas.mean() * d.posterior_height_mm * 0.9

    assert 1.0 <= body_volume(d) / estimate <= 1.13


def test_depth_is_the_distance_to_the_wall_on_the_axes_and_near_the_surface():
    d = vertebra_dimensions("L1", **PLAIN)
    a = 0.5 * 0.5 * (d.superior_width_mm + d.inferior_width_mm)
    b = 0.5 * 0.5 * (d.superior_depth_mm + d.inferior_depth_mm)

    at = body_coordinates([[a - 1.0, 0, 0], [-a - 1.0, 0, 0], [0, b - 1.0, 0], [0, -b + 1.0, 0]], d)

    assert_allclose(at.depth_mm, [1.0, -1.0, 1.0, 1.0], rtol=1e-12)


def test_normalised_coordinates_run_from_axis_to_wall_and_from_rim_to_rim():
    d = vertebra_dimensions("L3", **PLAIN)
    half = 0.5 * d.mid_height_mm

    at = body_coordinates([[0, 0, 0], [0, 0, half], [0, 0, -half], [0, -0.25 * (35.2 + 34.8), 0]], d)

    assert_allclose(at.height, [0, 1, -1, 0], atol=1e-12)
    assert_allclose(at.radius, [0, 0, 0, 1], atol=1e-12)
    assert np.isfinite(at.depth_mm).all()


def test_the_body_is_the_same_on_both_sides_and_not_front_and_back():
    d = vertebra_dimensions("L2", anterior_height_mm=20.0)
    points = lattice(1.7)

    depth = body_coordinates(points, d).depth_mm

    assert_allclose(body_coordinates(points * [-1, 1, 1], d).depth_mm, depth, rtol=0, atol=1e-12)
    assert not np.allclose(body_coordinates(points * [1, -1, 1], d).depth_mm, depth, atol=0.5)


def test_the_canal_can_be_seen_through_and_has_the_stated_area():
    d = vertebra_dimensions("L1")
    step = 0.25
    x, y = np.meshgrid(np.arange(-11, 11, step) + step / 2, np.arange(5, 45, step) + step / 2, indexing="ij")
    blocked = np.zeros(x.shape, dtype=bool)
    for z in np.arange(-20, 16, 0.5):
        points = np.column_stack([x.ravel(), y.ravel(), np.full(x.size, z)])
        bone = np.maximum(body_coordinates(points, d).depth_mm, arch_depth(points, d)) > 0
        blocked |= bone.reshape(x.shape)
    # Between the pedicles everything that is open, from the body to the laminae, is canal.
    behind = y < canal_front(d) + d.canal_depth_mm
    hole = np.count_nonzero(~blocked & behind) * step**2

    # The indented wall lets in and its lobes take a few mm2; the lattice a few more.
    assert hole == pytest.approx(canal_area(d), rel=0.04)
    # 22 mm wide: 14/3 mm of rectangle, then half an ellipse of semi-axes 11 and 28/3 mm.
    assert canal_area(d) == pytest.approx(22 * 14 / 3 + 0.5 * np.pi * 11 * 28 / 3)


def test_the_arch_joins_the_body_and_closes_behind_the_canal():
    d = vertebra_dimensions("T12")
    front = canal_front(d)
    rear = front + d.canal_depth_mm

    inside = arch_depth([[0, rear + 1, 0], [0, front + 1, 0], [15, front, 2], [-15, front, 2]], d) > 0

    assert inside.tolist() == [True, False, True, True]


def test_the_mark_makes_the_left_transverse_process_longer():
    d = vertebra_dimensions("L1")
    points = np.array([[38.0, 23.0, 1.5], [-38.0, 23.0, 1.5]])  # the tips lie at 35 mm

    assert (arch_depth(points, d) > 0).tolist() == [False, False]
    assert (arch_depth(points, d, longer_left_mm=8.0) > 0).tolist() == [True, False]


@pytest.mark.parametrize("points", [[1.0, 2.0, 3.0], [[1.0, 2.0]], [[np.nan, 0.0, 0.0]]])
def test_points_must_be_rows_of_three_finite_numbers(points):
    with pytest.raises(InputError, match="points"):
        body_coordinates(points, vertebra_dimensions("L1"))


def test_an_unknown_side_of_the_endplate_is_refused():
    with pytest.raises(InputError, match="use superior or inferior"):
        endplate_area(vertebra_dimensions("L1"), "upper")
