"""Rigid motions of surfaces, and the areas and normals they rest on."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.outcomes.surface import FacetSurface, axis_between, fit_rigid_motion

OFFSET = np.array([100.0, -50.0, 20.0])
TRANSLATION = np.array([0.3, -0.2, 0.7])
ROTATION = np.array([2e-3, -5e-3, 1e-3])


def test_a_rigid_motion_is_recovered_about_any_origin():
    points = np.random.default_rng(0).normal(size=(40, 3)) + OFFSET
    weights = np.random.default_rng(1).uniform(0.5, 2.0, 40)
    u = TRANSLATION + np.cross(ROTATION, points)

    motion = fit_rigid_motion(points, u, weights)

    assert_allclose(motion.rotation, ROTATION, rtol=1e-11)  # arms of 1 at a distance of 100: 1e-13 of round-off
    assert_allclose(motion.at(points), u, rtol=0, atol=1e-13)
    assert_allclose(motion.center, np.average(points, axis=0, weights=weights), rtol=1e-14)


def test_the_fit_is_the_weighted_least_squares_solution():
    rng = np.random.default_rng(5)
    points, u, weights = rng.normal(size=(15, 3)), rng.normal(size=(15, 3)), rng.uniform(0.1, 3.0, 15)
    center = np.average(points, axis=0, weights=weights)
    rows = []
    for point in points - center:
        x, y, z = point
        rows.append([[1, 0, 0, 0, z, -y], [0, 1, 0, -z, 0, x], [0, 0, 1, y, -x, 0]])
    root = np.repeat(np.sqrt(weights), 3)
    direct = np.linalg.lstsq(np.vstack(rows) * root[:, None], u.ravel() * root, rcond=None)[0]

    motion = fit_rigid_motion(points, u, weights)

    assert_allclose(np.concatenate([motion.translation, motion.rotation]), direct, rtol=0, atol=1e-13)


def test_points_on_one_line_are_refused():
    line = np.outer(np.arange(5.0), [1.0, 2.0, 3.0])

    with pytest.raises(InputError, match="on one line"):
        fit_rigid_motion(line, np.zeros_like(line), np.ones(5))


def test_an_endplate_has_its_area_normal_and_centroid(column):
    surface = FacetSurface.of(column.mesh(), "L1/superior_endplate")

    assert surface.area == pytest.approx(81.0)  # 6 x 1.5 mm square
    assert_allclose(surface.normal, [0, 0, 1], atol=1e-15)
    assert_allclose(surface.centroid, [4.5, 4.5, 10.0], rtol=1e-14)


def test_stairs_keep_the_normal_and_area_of_the_slope_they_follow():
    """The vector area of an open surface depends on its rim alone: stairs of slope 1:4 count as the plane."""
    steps, riser = [], 0.25
    points = []
    for k in range(8):
        z = riser * k
        base = len(points)
        points += [[k, 0, z], [k + 1, 0, z], [k + 1, 4, z], [k, 4, z]]
        steps.append([base, base + 1, base + 2, base + 3])
        points += [[k + 1, 0, z], [k + 1, 0, z + riser], [k + 1, 4, z + riser], [k + 1, 4, z]]
        steps.append([base + 4, base + 5, base + 6, base + 7])
    facets, xyz = np.array(steps), np.array(points, float)
    normals = np.tile([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]], (8, 1))
    areas = np.tile([4.0, 4.0 * riser], 8)
    slope = np.hypot(1.0, riser)

    surface = FacetSurface("stairs", xyz, facets, np.zeros(16, int), normals, areas)

    assert_allclose(surface.normal, [-riser / slope, 0, 1 / slope], rtol=1e-14)
    assert surface.area == pytest.approx(8 * 4 * slope, rel=1e-14)


def test_a_missing_surface_names_those_there_are(column):
    with pytest.raises(InputError, match="no surface 'L3/superior_endplate'") as caught:
        FacetSurface.of(column.mesh(), "L3/superior_endplate")

    assert "L1/superior_endplate" in caught.value.where


def test_the_axis_runs_from_the_lower_to_the_upper_centroid(column):
    mesh = column.mesh()

    axis, distance = axis_between(
        FacetSurface.of(mesh, "L1/inferior_endplate"), FacetSurface.of(mesh, "L1/superior_endplate")
    )

    assert_allclose(axis, [0, 0, 1], atol=1e-15)
    assert distance == pytest.approx(4.0)
