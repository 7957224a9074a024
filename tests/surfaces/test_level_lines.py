"""Level lines cut into triangles: the surface stays, and no edge crosses the line."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.surfaces.half_edges import open_edges
from fesolver.surfaces.level_lines import cut_along_level
from fesolver.surfaces.surface import TriangleSurface


def sheet(n, seed):
    """A square of side 1 with n steps along each side, its inner points moved a little."""
    at = np.linspace(0.0, 1.0, n + 1)
    x, y = (v.ravel() for v in np.meshgrid(at, at, indexing="ij"))
    inner = (x > 0) & (x < 1) & (y > 0) & (y < 1)
    shift = np.random.default_rng(seed).uniform(-0.2 / n, 0.2 / n, (2, len(x))) * inner
    low = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).ravel()
    corners = np.stack([low, low + n + 1, low + n + 2, low + 1], axis=1)
    triangles = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
    return TriangleSurface(np.stack([x + shift[0], y + shift[1], np.zeros(len(x))], axis=1), triangles)


def tetrahedron():
    """A closed surface without symmetry."""
    points = np.array([[0.0, 0, 0], [2, 0.1, 0], [0.3, 1.5, 0], [0.2, 0.4, 1.1]])
    return TriangleSurface(points, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]))


def test_the_area_below_a_line_is_that_of_the_closed_form():
    surface = sheet(7, 3)
    cut = cut_along_level(surface, surface.points @ [1.0, 0.5, 0.0] - 0.6, snap=0.0)

    # Below x + y / 2 = 0.6 lie 0.6 - 0.25 of the unit square.
    assert cut.surface.areas[cut.is_below].sum() == pytest.approx(0.35, rel=1e-12)
    assert cut.surface.areas.sum() == pytest.approx(1.0, rel=1e-12)
    assert np.all(cut.surface.normals[:, 2] > 0.0)
    below = cut.surface.points @ [1.0, 0.5, 0.0] - 0.6
    assert np.all(below[cut.surface.triangles[cut.is_below]] < 1e-12)
    assert np.all(below[cut.surface.triangles[~cut.is_below]] > -1e-12)


def test_pieces_lie_in_their_parent_and_make_up_its_area():
    surface = sheet(5, 8)
    cut = cut_along_level(surface, np.hypot(*(surface.points[:, :2] - 0.45).T) - 0.3)

    assert len(cut.parent) > len(surface.triangles)
    areas = np.bincount(cut.parent, weights=cut.surface.areas)
    assert_allclose(areas, surface.areas, rtol=1e-12)
    assert np.array_equal(cut.surface.points[: len(surface.points)], surface.points)


def test_a_closed_surface_stays_closed_and_keeps_its_volume():
    surface = tetrahedron()
    for level in (0.2, 0.5, 1.0):
        cut = cut_along_level(surface, surface.points @ [0.3, 0.2, 1.0] - level)
        assert len(open_edges(cut.surface.triangles)) == 0
        assert cut.surface.volume == pytest.approx(surface.volume, rel=1e-12)
        assert cut.is_below.any()
        assert not cut.is_below.all()


def test_a_line_near_points_goes_through_them_and_leaves_no_sliver():
    surface = sheet(6, 1)
    values = surface.points[:, 0] - 0.51

    snapped, exact = (cut_along_level(surface, values, snap=snap) for snap in (0.3, 0.0))

    assert snapped.surface.areas.min() > 10.0 * exact.surface.areas.min()
    line = np.intersect1d(*(snapped.surface.triangles[mask] for mask in (snapped.is_below, ~snapped.is_below)))
    # Through a point instead of across its edges: off by 0.3 of an edge, 1.4 / 6 long, at most.
    assert np.abs(snapped.surface.points[line, 0] - 0.51).max() < 0.3 * 1.4 * np.sqrt(2.0) / 6.0


def test_without_a_change_of_sign_the_surface_is_the_same():
    surface = tetrahedron()
    cut = cut_along_level(surface, np.ones(4))
    assert np.array_equal(cut.surface.triangles, surface.triangles)
    assert not cut.is_below.any()
