"""The forward map of a body: it undoes the backward one, measures as published, and makes layers of true thickness."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial import cKDTree

from fesolver.anatomy.body_map import body_height, body_points, inner_height, inner_radius
from fesolver.anatomy.dimensions import vertebra_dimensions
from fesolver.anatomy.quadrature import body_quadrature, gauss_panels
from fesolver.anatomy.section import hollow
from fesolver.anatomy.shape import body_coordinates, body_volume
from fesolver.errors import InputError

SHAPES = {
    "T10": ("T10", {}),
    "L1": ("L1", {}),
    "L5": ("L5", {}),
    "apex": ("L2", {"superior_apex_fraction": 0.3, "inferior_apex_fraction": -0.2}),
    "wedge": ("L1", {"anterior_height_mm": 11.5}),
    "biconcave": ("L1", {"superior_concavity_mm": 6.0, "inferior_concavity_mm": 6.8}),
    "all": (
        "L1",
        {
            "anterior_height_mm": 11.5,
            "superior_concavity_mm": 3.0,
            "inferior_concavity_mm": 3.8,
            "superior_apex_fraction": -0.4,
            "waist_fraction": 0.3,
        },
    ),
}
ROUND = {
    "superior_width_mm": 30.0,
    "superior_depth_mm": 30.0,
    "inferior_width_mm": 30.0,
    "inferior_depth_mm": 30.0,
    "anterior_height_mm": 20.0,
    "posterior_height_mm": 20.0,
    "superior_concavity_mm": 0.0,
    "inferior_concavity_mm": 0.0,
    "waist_fraction": 0.0,
    "posterior_indentation_mm": 0.0,
}


@pytest.fixture(params=SHAPES)
def shape(request):
    level, overrides = SHAPES[request.param]
    return vertebra_dimensions(level, **overrides)


def places(n=3000, seed=0):
    """Random places of the unit cylinder: xi, eta, s and the radius."""
    random = np.random.default_rng(seed)
    r, angle, s = np.sqrt(random.uniform(0, 1, n)), random.uniform(0, 2 * np.pi, n), random.uniform(-1, 1, n)
    return r * np.cos(angle), r * np.sin(angle), s, r


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_endplates_of_the_forward_map_lie_on_the_surface_of_the_backward_map(shape, side):
    xi, eta, _, r = places()

    at = body_coordinates(body_points(xi, eta, side, shape), shape)

    assert_allclose(at.depth_mm, 0, atol=1e-9)
    assert_allclose(at.radius, r, atol=1e-9)


def test_radius_one_is_the_wall_and_inside_is_inside(shape):
    xi, eta, s, r = places()

    wall = body_coordinates(body_points(xi / r, eta / r, s, shape), shape)
    inner = body_coordinates(body_points(0.999 * xi, 0.999 * eta, 0.999 * s, shape), shape)

    assert_allclose(wall.depth_mm, 0, atol=1e-9)
    assert_allclose(wall.radius, 1, atol=1e-9)
    assert_allclose(wall.height, s, atol=1e-9)  # no hollow reaches the wall
    assert_allclose(inner.radius, 0.999 * r, atol=1e-9)
    assert inner.depth_mm.min() > 0


def test_left_is_positive_x_posterior_positive_y_and_superior_positive_z():
    d = vertebra_dimensions("L3")

    left, back, top = (body_points(*place, d)[0] for place in ((0.9, 0, 0), (0, 0.9, 0), (0, 0, 0.9)))

    assert left[0] > 15
    assert back[1] > 10
    assert top[2] > 8


def test_width_depth_and_heights_measure_as_published():
    d = vertebra_dimensions("T12")

    right, left = body_points([-1, 1], 0, 1, d)
    front, back = body_points(0, [-1, 1], -1, d)

    assert left[0] - right[0] == pytest.approx(39.0)
    assert back[1] - front[1] == pytest.approx(33.4)
    # Rim heights: 22.0 and 22.7 mm at half the mean depth (33.1 mm), on the line between them elsewhere.
    expected = 22.35 + 0.35 * np.array([front[1], back[1]]) / (0.5 * 33.1)
    rims = 2 * (0.5 * 22.35 + d.rim_slope * np.array([front[1], back[1]]))
    assert_allclose(rims, expected, rtol=1e-12)
    assert_allclose([-2 * front[2], -2 * back[2]], expected, rtol=1e-12)


def test_the_height_over_the_centre_is_that_of_the_rims_less_both_hollows():
    d = vertebra_dimensions("L1", anterior_height_mm=23.8)

    assert body_height(0, 0, d)[0] == pytest.approx(23.8 - 0.7 - 1.5, rel=1e-12)
    assert body_height(0.8, 0, d)[0] == pytest.approx(23.8, rel=1e-12)


@pytest.mark.parametrize("apex", [-0.35, 0.0, 0.25])
def test_the_deepest_point_of_an_endplate_lies_where_it_is_asked_for(apex):
    d = vertebra_dimensions("L2", anterior_height_mm=24.3, superior_apex_fraction=apex)
    eta = np.linspace(-1, 1, 4001)

    z = body_points(0, eta, 1, d)[:, 2]

    assert eta[np.argmin(z)] == pytest.approx(apex, abs=5e-4)  # the line's step
    assert 0.5 * 24.3 - z.min() == pytest.approx(0.7, abs=1e-6)
    assert_allclose(z[np.abs(eta) >= 0.7], 0.5 * 24.3, rtol=1e-12)


def test_moving_the_apex_leaves_the_edge_of_the_hollow_and_its_slope_there():
    angle = np.linspace(0, 2 * np.pi, 50)

    for radius, expected in ((0.7, 0.0), (0.95, 0.0)):
        assert_allclose(hollow(radius * np.cos(angle), radius * np.sin(angle), 0.7, 0.4), expected, atol=1e-15)
    # (1 - s^2)^2 has a double root at s = 1.
    near = hollow(0.699 * np.cos(angle), 0.699 * np.sin(angle), 0.7, 0.4)
    assert near.max() < 4 * (0.001 / 0.7) ** 2 * ((0.7 + 0.4) / (0.7 - 0.4)) ** 2 * 1.01


def test_the_smallest_apex_shift_changes_the_hollow_by_as_little():
    xi, eta, _, _ = places(500)

    shifted, central = hollow(xi, eta, 0.7, 1e-9), hollow(xi, eta, 0.7, 0.0)

    assert_allclose(shifted, central, atol=4e-9)  # the steepest slope of (1 - s^2)^2 is 1.54, over 0.7


@pytest.mark.parametrize("thickness", [0.35, 1.0])
@pytest.mark.parametrize("name", ["T10", "L1", "apex", "wedge"])
def test_a_shell_has_its_true_thickness_by_brute_force(name, thickness):
    level, overrides = SHAPES[name]
    d = vertebra_dimensions(level, **overrides)
    angle, s = (v.ravel() for v in np.meshgrid(np.linspace(0, 2 * np.pi, 120), np.linspace(-0.8, 0.8, 7)))
    r = inner_radius(np.cos(angle), np.sin(angle), s, thickness, d)
    dense = [v.ravel() for v in np.meshgrid(np.linspace(0, 2 * np.pi, 2401), np.linspace(-1, 1, 401))]
    wall = cKDTree(body_points(np.cos(dense[0]), np.sin(dense[0]), dense[1], d))

    distance, _ = wall.query(body_points(r * np.cos(angle), r * np.sin(angle), s, d))

    # The wall's points are 0.06 mm apart: 0.5 (0.04 / 0.35)^2 = 0.7 % too far at the most.
    assert_allclose(distance, thickness, rtol=0.01)
    assert distance.min() > 0.9999 * thickness


@pytest.mark.parametrize("side", ["superior", "inferior"])
@pytest.mark.parametrize("name", ["L1", "apex", "wedge", "biconcave"])
def test_an_endplate_has_its_true_thickness_by_brute_force(name, side):
    level, overrides = SHAPES[name]
    d = vertebra_dimensions(level, **overrides)
    xi, eta, _, _ = places(600)
    grid = np.meshgrid(np.linspace(-1, 1, 801), np.linspace(-1, 1, 801))
    u, v = (g[grid[0] ** 2 + grid[1] ** 2 <= 1] for g in grid)
    plate = cKDTree(body_points(u, v, 1.0 if side == "superior" else -1.0, d))

    for thickness in (0.5, 1.0):
        s = inner_height(0.93 * xi, 0.93 * eta, thickness, d, side)
        distance, _ = plate.query(body_points(0.93 * xi, 0.93 * eta, s, d))

        assert_allclose(distance, thickness, rtol=0.01)  # points 0.05 mm apart: 0.3 %
        assert distance.min() > 0.9999 * thickness


def test_layers_of_a_round_cylinder_follow_the_closed_form():
    d = vertebra_dimensions("L1", **ROUND)
    angle = np.linspace(0, 2 * np.pi, 13)

    r = inner_radius(np.cos(angle), np.sin(angle), 0.3, 1.2, d)
    top = inner_height(0.4, 0.2, 0.8, d, "superior")
    bottom = inner_height(0.4, 0.2, 0.8, d, "inferior")

    assert_allclose(r, 1 - 1.2 / 15, rtol=1e-9)
    assert_allclose([top[0], bottom[0]], [1 - 2 * 0.8 / 20, -1 + 2 * 0.8 / 20], rtol=1e-9)


def test_only_the_direction_counts_for_a_shell_and_no_thickness_is_the_surface():
    d = vertebra_dimensions("L4")

    assert_allclose(inner_radius(0.1, 0.2, 0.5, 0.6, d), inner_radius(0.4, 0.8, 0.5, 0.6, d), rtol=1e-12)
    assert inner_radius(0.1, 0.2, 0.5, 0.0, d)[0] == 1.0
    assert inner_height(0.1, 0.2, 0.0, d, "inferior")[0] == -1.0


@pytest.mark.parametrize("name", SHAPES)
def test_quadrature_has_the_volume_and_positive_weights(name):
    level, overrides = SHAPES[name]
    d = vertebra_dimensions(level, **overrides, **({} if "waist_fraction" in overrides else {"waist_fraction": 0.0}))

    _, points, weights = body_quadrature(d)

    assert weights.min() > 0
    assert body_coordinates(points, d).depth_mm.min() > 0
    # Without a waist the other quadrature neglects nothing but the slope of width and depth over the hollows.
    assert weights.sum() == pytest.approx(body_volume(d), rel=0.012 if name == "all" else 1e-3)


def test_quadrature_integrates_moments_of_an_elliptic_cylinder():
    d = vertebra_dimensions("L1", **ROUND | {"superior_width_mm": 40.0, "inferior_width_mm": 40.0})

    _, points, weights = body_quadrature(d)

    volume = np.pi * 20 * 15 * 20
    assert weights.sum() == pytest.approx(volume, rel=1e-9)  # central differences
    assert_allclose(weights @ points, 0, atol=1e-9 * volume * 20)
    assert_allclose(weights @ points**2, volume * np.array([20**2 / 4, 15**2 / 4, 20**2 / 12]), rtol=1e-9)


def test_panels_integrate_a_function_with_a_kink_exactly():
    nodes, weights = gauss_panels((-1.0, 0.3, 1.0), 3)

    assert weights @ np.abs(nodes - 0.3) == pytest.approx(0.5 * (1.3**2 + 0.7**2), rel=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: body_points([0.1, 0.2], [0.1, 0.2, 0.3], 0, d), "do not fit together"),
        (lambda d: body_points([[0.1]], 0, 0, d), "not \\(n,\\)"),
        (lambda d: body_points(np.nan, 0, 0, d), "NaN"),
        (lambda d: inner_radius(0, 0, 0, 0.5, d), "no direction"),
        (lambda d: inner_radius(1, 0, 0, -0.5, d), "layer thickness is -0.5 mm"),
        (lambda d: inner_radius(1, 0, 0, 12.0, d), "more than half of the body's radius"),
        (lambda d: inner_height(0, 0, np.inf, d, "superior"), "not a finite number"),
        (lambda d: inner_height(0, 0, 13.0, d, "superior"), "reaches the middle"),
        (lambda d: inner_height(0, 0, 0.5, d, "top"), "use superior or inferior"),
    ],
)
def test_places_and_thicknesses_that_make_no_sense_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(vertebra_dimensions("L1"))
