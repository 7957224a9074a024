"""Remeshed surfaces: size, shape, topology, volume; what is asked to stay stays."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from surface_samples import box, edge_lengths, euler, is_closed, n_crossings, quality, sphere, torus

from fesolver.errors import InputError
from fesolver.fem.threads import kernel_threads
from fesolver.surfaces.closest import ClosestPoint
from fesolver.surfaces.remesh import remesh_surface
from fesolver.surfaces.surface import TriangleSurface


@pytest.mark.parametrize("edge", [pytest.param(0.7, marks=pytest.mark.long), 1.3, 3.0])
@pytest.mark.parametrize("make", [lambda: sphere(10.0, 40), torus], ids=["sphere", "torus"])
def test_a_smooth_surface_keeps_its_topology_and_volume_and_gets_even_triangles(make, edge):
    old = make()

    new = remesh_surface(old, edge)

    assert is_closed(new)
    assert euler(new) == euler(old)
    assert n_crossings(new) == 0
    assert new.volume == pytest.approx(old.volume, rel=1e-9)
    # What lies between 4/5 and 4/3 of the wanted length is left alone; relaxing stretches single edges further.
    lengths = edge_lengths(new)
    assert lengths.mean() == pytest.approx(edge, rel=0.1)
    assert lengths.min() > 0.5 * edge
    assert lengths.max() < 1.6 * edge
    assert quality(new).min() > 0.6
    assert quality(new).mean() > 0.9  # a grid of right triangles has 0.87


def test_without_keeping_the_volume_points_lie_on_the_sphere_and_chords_cut_off_what_theory_says():
    radius, edge = 10.0, 2.0
    old = sphere(radius, 120)

    on = remesh_surface(old, edge, keep_volume=False)
    kept = remesh_surface(old, edge)

    # The old sphere's own chords (0.26 mm, and 0.26 mm) cut off 0.26^2 / 8 / 10 each way.
    assert_allclose(np.linalg.norm(on.points, axis=1), radius, atol=2e-3)
    # A flat equilateral triangle of side L lies L^2 / (8 R) below a sphere on average.
    squared = np.mean(edge_lengths(on) ** 2)
    assert 1.0 - on.volume / old.volume == pytest.approx(3.0 * squared / (8.0 * radius**2), rel=0.05)
    assert kept.volume / (4.0 / 3.0 * np.pi * radius**3) == pytest.approx(1.0, rel=5e-4)  # the old sphere's 3e-4


def test_the_surface_moves_by_no_more_than_its_chords():
    radius, edge = 10.0, 2.0
    old = sphere(radius, 60)

    new = remesh_surface(old, edge)

    # Between half a chord's height above (points) and as much below (middles) the sphere, L up to 1.4 edges.
    sagitta = (1.4 * edge) ** 2 / (6.0 * radius)
    off = np.abs(np.linalg.norm(np.concatenate([new.points, new.centers]), axis=1) - radius)
    assert off.max() < sagitta


def test_a_box_keeps_its_edges_corners_and_planes():
    old, faces = box()

    new, tags = remesh_surface(old, 1.1, tags=faces)

    assert new.volume == pytest.approx(old.volume, rel=1e-12)
    for face in range(6):
        assert new.areas[tags == face].sum() == pytest.approx(old.areas[faces == face].sum(), rel=1e-12)
        plane = new.points[new.triangles[tags == face]][..., face // 2]
        assert_allclose(plane, old.points[:, face // 2].max() if face % 2 else 0.0, atol=1e-12)


def test_edges_sharper_than_asked_stay_and_others_do_not():
    old, _ = box()

    sharp = remesh_surface(old, 1.1, feature_deg=80.0)
    round_ = remesh_surface(old, 1.1, feature_deg=100.0)

    assert sharp.areas.sum() == pytest.approx(old.areas.sum(), rel=1e-12)
    assert round_.areas.sum() < 0.995 * old.areas.sum()


def test_borders_of_tags_on_a_smooth_surface_stay_where_they_were():
    old = sphere(10.0, 60)
    old_tags = (old.centers[:, 2] > 5.0).astype(int) + 7

    new, tags = remesh_surface(old, 1.2, tags=old_tags)

    assert set(tags) == {7, 8}
    is_cap = tags == 8
    rim = np.intersect1d(new.triangles[is_cap], new.triangles[~is_cap])
    # The border of the old triangles: the latitude of 60 degrees, a chord's height off it at most.
    height = 10.0 * np.cos(np.pi / 3)
    assert_allclose(new.points[rim, 2], height, atol=1e-9)
    assert_allclose(np.linalg.norm(new.points[rim], axis=1), 10.0, atol=0.02)
    assert new.areas[is_cap].sum() == pytest.approx(2 * np.pi * 10.0 * (10.0 - height), rel=0.02)


def test_kept_edges_stay_a_line_of_edges():
    old = sphere(10.0, 40)
    equator = np.flatnonzero(np.abs(old.points[:, 2]) < 1e-9)
    order = equator[np.argsort(np.arctan2(old.points[equator, 1], old.points[equator, 0]))]
    keep = np.stack([order, np.roll(order, -1)], axis=1)

    new = remesh_surface(old, 1.5, keep=keep)

    on = np.flatnonzero(np.abs(new.points[:, 2]) < 1e-9)
    joined = np.isin(new.triangles, on).sum(axis=1) == 2
    lengths = [np.linalg.norm(np.diff(new.points[t[np.isin(t, on)]], axis=0)) for t in new.triangles[joined]]
    # Each edge of the line has a triangle on both sides; together they run once around twice.
    assert np.sum(lengths) == pytest.approx(2 * 2 * np.pi * 10.0, rel=0.01)


def test_wanted_lengths_may_differ_from_place_to_place():
    old = sphere(10.0, 40)
    wanted = 1.0 + 0.1 * (old.points[:, 2] + 10.0)

    new = remesh_surface(old, wanted)

    ends = new.points[new.triangles[:, [0, 1]]]
    length, z = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1), ends[:, :, 2].mean(axis=1)
    for low in (-9.0, -4.0, 1.0, 5.0):
        band = (z > low) & (z < low + 4.0)
        assert length[band].mean() == pytest.approx(1.0 + 0.1 * (low + 12.0), rel=0.08)


def test_the_same_surface_gives_the_same_bits_with_any_number_of_threads():
    old = torus()

    with kernel_threads(1):
        first = remesh_surface(old, 1.7)
    with kernel_threads(2):
        second = remesh_surface(old, 1.7)

    assert_array_equal(first.points, second.points)
    assert_array_equal(first.triangles, second.triangles)


def test_the_input_is_left_as_it_was():
    old = torus()
    points, triangles = old.points.copy(), old.triangles.copy()

    remesh_surface(old, 2.0)

    assert_array_equal(old.points, points)
    assert_array_equal(old.triangles, triangles)


def test_an_open_surface_is_refused_with_the_place_of_its_hole():
    ball = sphere(10.0, 12)
    hole = TriangleSurface(ball.points + np.array([100.0, 0.0, 0.0]), ball.triangles[1:])
    edge = ball.points[ball.triangles[0]].mean(axis=0)

    with pytest.raises(InputError, match="3 edges without two triangles") as error:
        remesh_surface(hole, 2.0)

    place = np.array([float(v) for v in error.value.where.split("(")[1].split(")")[0].split(",")])
    assert np.linalg.norm(place - edge - [100.0, 0.0, 0.0]) < 5.0


def test_balls_that_touch_in_a_point_are_refused():
    one = sphere(5.0, 8)
    north = int(np.argmax(one.points[:, 2]))
    n = len(one.points)
    other = one.triangles + n
    south = n + int(np.argmin(one.points[:, 2]))
    other[other == south] = north
    both = TriangleSurface(
        np.concatenate([one.points, one.points + np.array([0.0, 0.0, 10.0])]), np.concatenate([one.triangles, other])
    )

    with pytest.raises(InputError, match="only touch"):
        remesh_surface(both, 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"edge_mm": 0.0}, "positive"),
        ({"edge_mm": np.ones(3)}, "shape"),
        ({"edge_mm": 1e-4}, "triangles"),
        ({"edge_mm": 1.0, "tags": np.zeros(3, int)}, "tags"),
        ({"edge_mm": 1.0, "iterations": 0}, "iterations"),
        ({"edge_mm": 1.0, "keep": np.array([[0, 77]])}, "no edges"),
    ],
)
def test_what_cannot_be_meshed_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        remesh_surface(sphere(10.0, 8), **arguments)


@pytest.mark.data
def test_a_real_vertebra_gets_even_triangles_and_keeps_its_hole(data_dir):
    import meshio

    file = meshio.read(data_dir / "surfaces_L1_L5" / "L3.ply")
    old = TriangleSurface(file.points.astype(float), file.cells_dict["triangle"].astype(np.int64))

    new = remesh_surface(old, 1.5)

    assert is_closed(new)
    assert euler(new) == 0
    assert n_crossings(new) == 0
    assert quality(new).min() > 0.6
    assert new.volume == pytest.approx(old.volume, rel=1e-9)
    # Chords of 1.5 mm over the processes' rims, 2 mm round, are 0.14 mm high, and the rims have kinks of their own.
    assert ClosestPoint(old)(new.points).distances.max() < 0.3
