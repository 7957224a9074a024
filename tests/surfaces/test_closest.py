"""Closest points and depths against closed forms and against trying every triangle."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from surface_samples import TURN, box, sphere, torus

from fesolver.errors import InputError
from fesolver.surfaces.closest import ClosestPoint
from fesolver.surfaces.surface import TriangleSurface

RNG = np.random.default_rng(3)


def box_depth(p, size):
    """Distance below the surface of the box [0, size], exact: faces inside, edges and corners outside."""
    gap = np.maximum(-p, p - np.asarray(size))
    outside = np.linalg.norm(np.maximum(gap, 0.0), axis=1)
    return np.where(outside > 0, -outside, -gap.max(axis=1))


def test_depth_in_a_turned_box_is_exact_beside_faces_edges_and_corners():
    size = (10.0, 14.0, 8.0)
    solid, _ = box(size, parts=3)
    turned = TriangleSurface(solid.points @ TURN.T, solid.triangles)
    places = RNG.uniform(-6.0, 20.0, (4000, 3))

    depth = ClosestPoint(turned).depth(places @ TURN.T)

    assert_allclose(depth, box_depth(places, size), atol=1e-12)  # round-off of 20 mm


def test_depth_of_a_flipped_surface_has_the_other_sign():
    solid, _ = box(parts=2)
    places = RNG.uniform(-3.0, 12.0, (200, 3))

    flipped = ClosestPoint(TriangleSurface(solid.points, solid.triangles[:, ::-1])).depth(places)

    assert_allclose(flipped, -ClosestPoint(solid).depth(places), atol=1e-14)


def test_sign_is_right_beyond_an_edge_so_sharp_that_one_face_normal_points_the_wrong_way():
    # A thin wedge: beyond its sharp edge the normal of one face alone points towards the place's back.
    points = np.array([[0, 0, 0], [0, 10, 0], [10, 0, 1], [10, 10, 1], [10, 0, -1], [10, 10, -1]], dtype=float)
    triangles = [[0, 2, 1], [1, 2, 3], [0, 1, 4], [1, 5, 4], [2, 4, 3], [3, 4, 5], [0, 4, 2], [1, 3, 5]]
    wedge = TriangleSurface(points, np.array(triangles))
    wedge = wedge if wedge.volume > 0 else TriangleSurface(points, wedge.triangles[:, ::-1])
    angle = np.linspace(-1.6, 1.6, 41)
    places = np.stack([-np.cos(angle), np.full(41, 4.0), np.sin(angle)], axis=1)

    assert np.all(ClosestPoint(wedge).depth(places) < 0)


def test_sign_is_right_beyond_a_tip_whose_faces_are_cut_very_unevenly():
    # A thin pyramid; one of its sides is cut into 60 triangles that all meet in the tip.
    cuts = np.linspace(-1.0, 1.0, 61)
    rim = [*([10.0, y, -1.0] for y in cuts), [10.0, 1.0, 1.0], [10.0, -1.0, 1.0]]
    points = np.array([[0.0, 0.0, 0.0], *rim, [10.0, 0.0, 0.0]])
    ring = 1 + np.arange(len(rim))
    ahead = np.roll(ring, -1)
    sides = np.stack([np.zeros_like(ring), ahead, ring], axis=1)
    base = np.stack([np.full_like(ring, len(points) - 1), ring, ahead], axis=1)
    spike = TriangleSurface(points, np.concatenate([sides, base]))
    assert spike.volume > 0
    away = RNG.standard_normal((2000, 3))
    away[:, 0] = -np.abs(away[:, 0])
    away = away[away[:, 0] < -0.3 * np.linalg.norm(away[:, 1:], axis=1)]

    assert_allclose(ClosestPoint(spike).depth(away), -np.linalg.norm(away, axis=1), rtol=1e-12)


def test_closest_points_agree_with_trying_every_triangle():
    surface = torus(around=16, across=9)
    places = RNG.uniform(-16.0, 16.0, (300, 3))

    found = ClosestPoint(surface)(places)

    corners = surface.points[surface.triangles]
    one = [ClosestPoint(TriangleSurface(c, np.array([[0, 1, 2]])))(places).distances for c in corners]
    assert_array_equal(found.distances, np.min(one, axis=0))
    on = np.einsum("nk,nki->ni", found.places, corners[found.triangles])
    assert_array_equal(on, found.points)


def test_points_inside_are_those_inside_the_torus():
    surface = torus(10.0, 4.0, around=96, across=48)
    places = RNG.uniform(-15.0, 15.0, (5000, 3))
    r = np.hypot(places[:, 0], places[:, 1])
    exact = 4.0 - np.hypot(r - 10.0, places[:, 2])

    depth = ClosestPoint(surface).depth(places @ TURN.T)

    # The heights of the chords, along the largest circle around and the one across.
    heights = 14.0 * (1.0 - np.cos(np.pi / 96)) + 4.0 * (1.0 - np.cos(np.pi / 48))
    assert_allclose(depth, exact, atol=1.01 * heights)


def test_only_triangles_that_face_the_asked_way_count():
    solid, _ = box((10.0, 10.0, 1.0), parts=4)
    above = np.array([[5.1, 5.2, 0.9]])

    down = ClosestPoint(solid)(above, directions=np.array([[0.0, 0.0, -1.0]]))

    assert_allclose(down.points, [[5.1, 5.2, 0.0]], atol=1e-14)
    assert ClosestPoint(solid)(above, directions=np.array([[0.0, 0.0, -1.0]]), least=1.0).triangles[0] == -1


def test_an_open_surface_has_distances_and_no_inside():
    ball = sphere(5.0, rings=8)
    cap = ClosestPoint(TriangleSurface(ball.points, ball.triangles[ball.centers[:, 2] > 1.0]))

    assert_allclose(cap([[0.0, 0.0, 7.0]]).distances, [2.0])
    with pytest.raises(InputError, match="only a closed surface has an inside"):
        cap.depth([[0.0, 0.0, 7.0]])


@pytest.mark.parametrize("places", [[0.0, 0.0, 0.0], [[0.0, np.nan, 0.0]], [[0.0, 0.0]]])
def test_places_of_another_shape_or_not_finite_are_refused(places):
    with pytest.raises(InputError, match="places must be finite"):
        ClosestPoint(sphere(rings=4))(places)
