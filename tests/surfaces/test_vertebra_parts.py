"""Parts of a vertebra's surface: the cut through the pedicles, endplates as discs, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from vertebra_shapes import (
    BODY_HALF_HEIGHT,
    BODY_SEMI_AXES,
    HIGH,
    LOW,
    SPINOUS_TIP,
    STEP,
    body_of_revolution,
    lattice_surface,
    made_parts,
    rotation_about,
    turned,
    vertebra_depth,
)

from fesolver.errors import InputError
from fesolver.surfaces.parts_cut import BodyCut, lattice_inside, solid_in_front
from fesolver.surfaces.parts_topology import (
    border_loops,
    components,
    disc_patch,
    euler_number,
    smooth_patch,
    triangle_neighbours,
)
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import (
    INFERIOR_ENDPLATE,
    OUTER,
    POSTERIOR,
    SUPERIOR_ENDPLATE,
    VertebraSurface,
    vertebra_parts,
)

ENDPLATES = (SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE)
TETRAHEDRON = TriangleSurface(
    10.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float),
    np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]),
)


@pytest.fixture(scope="module")
def vertebra() -> VertebraSurface:
    return made_parts()


@pytest.fixture(scope="module")
def body() -> VertebraSurface:
    return vertebra_parts(body_of_revolution(20.0, 14.0, 3.0), "L1")


def test_every_endplate_is_one_disc_with_one_border(vertebra, body):
    for v in (vertebra, body):
        neighbours = triangle_neighbours(v.surface)
        assert len(v.kind) == len(v.surface.triangles)
        assert set(np.unique(v.kind)) <= {SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE, OUTER, POSTERIOR}
        for kind in ENDPLATES:
            patch = v.kind == kind
            assert len(np.unique(components(patch, neighbours)[patch])) == 1
            assert euler_number(patch, v.surface) == 1
            (loop,) = border_loops(patch, v.surface, neighbours)
            assert len(np.unique(loop)) == len(loop)


def test_the_rim_belongs_to_the_endplate_until_it_has_turned_by_50_degrees(body):
    radius = 17.0 + 3.0 * np.sin(np.deg2rad(50.0))

    # The rounding has a ring of points every 7.5 degrees: the border lies within 3.75 degrees of 50, 0.13 mm of 19.3.
    assert_allclose(body.geometry.superior_area_mm2, np.pi * radius**2, rtol=0.013)
    assert_allclose(body.geometry.inferior_area_mm2, np.pi * radius**2, rtol=0.013)


def test_a_dished_endplate_is_filled_to_its_middle(body):
    dished = vertebra_parts(body_of_revolution(20.0, 14.0, 3.0, concavity=6.0), "L1")

    for kind in ENDPLATES:
        assert np.array_equal(dished.kind == kind, body.kind == kind)


def test_a_wedged_body_has_the_tilts_of_its_planes(body):
    # Shear in z by y / 10 above and -y / 20 below: planes tilt by atan(1/10) and atan(-1/20).
    p = body.surface.points.copy()
    p[:, 2] += np.where(p[:, 2] > 0, 0.1 * p[:, 1], -0.05 * p[:, 1]) * np.minimum(np.abs(p[:, 2]) / 11.0, 1.0)
    geometry = vertebra_parts(TriangleSurface(p, body.surface.triangles), "L1").geometry

    slope = -geometry.superior_normal[1] / geometry.superior_normal[2]
    assert slope == pytest.approx(0.1, abs=0.003)  # the rim, cut off a little unevenly, takes part in the fit
    slope = -geometry.inferior_normal[1] / geometry.inferior_normal[2]
    assert slope == pytest.approx(-0.05, abs=0.003)


def test_the_cut_touches_the_posterior_wall_and_faces_the_canal(vertebra):
    assert vertebra.cut is not None
    assert vertebra.cut.point[1] == pytest.approx(BODY_SEMI_AXES[1], abs=0.1)  # hindmost point of the wall
    assert abs(vertebra.cut.normal[0]) < np.sin(np.deg2rad(1.5))  # middle of a canal known to a quarter of a pixel
    assert vertebra.cut.normal[1] > 0.99
    behind = (vertebra.surface.centers - vertebra.cut.point) @ vertebra.cut.normal > 0
    assert np.array_equal(vertebra.kind == POSTERIOR, behind)


def test_body_volume_and_endplates_are_those_of_the_ellipse(vertebra):
    a, b = BODY_SEMI_AXES
    front = np.count_nonzero(~vertebra.is_posterior(lattice_inside(vertebra.surface, 0.5))) * 0.5**3
    assert vertebra.body_volume_mm3 == pytest.approx(front, rel=2e-3)  # lattice of half a millimetre
    assert vertebra.body_volume_mm3 > np.pi * a * b * 2.0 * BODY_HALF_HEIGHT * 0.99  # and pedicles' feet
    # Triangles of the lattice bevel the sharp rim, 120 mm long, by up to half a step.
    for area in (vertebra.geometry.superior_area_mm2, vertebra.geometry.inferior_area_mm2):
        assert np.pi * a * b - 120.0 * 0.5 * STEP < area < np.pi * a * b


def test_processes_are_posterior_and_the_body_is_not(vertebra, body):
    places = np.array([SPINOUS_TIP, [30.0, 29.0, 2.0], [-18.0, 33.0, 15.0], [0.0, 0.0, 0.0], [0.0, 12.0, -8.0]])
    assert vertebra.is_posterior(places).tolist() == [True, True, True, False, False]
    assert not body.is_posterior(places).any()
    assert body.cut is None
    assert not np.any(body.kind == POSTERIOR)


def test_clipping_a_solid_is_exact():
    # The corner tetrahedron of edge 10 less its tip of edge 6 above z = 4.
    cut = BodyCut(np.array([3.0, -2.0, 4.0]), np.array([0.0, 0.0, 1.0]), canal=None)  # type: ignore[arg-type]
    volume, centroid = solid_in_front(TETRAHEDRON, cut)

    whole, tip = 1000.0 / 6.0, 216.0 / 6.0
    expected = (whole * np.full(3, 2.5) - tip * np.array([1.5, 1.5, 5.5])) / (whole - tip)
    assert volume == pytest.approx(whole - tip, rel=1e-13)
    assert_allclose(centroid, expected, rtol=1e-13)


def test_parts_turn_with_the_surface(vertebra):
    rotation = rotation_about(0, 18.0) @ rotation_about(1, -8.0) @ rotation_about(2, 10.0)
    shift = np.array([30.0, -120.0, 400.0])
    v = vertebra_parts(turned(vertebra.surface, rotation, shift), "L2")

    assert v.body_volume_mm3 == pytest.approx(vertebra.body_volume_mm3, rel=0.01)  # the cut, to 1 degree and 0.3 mm
    assert_allclose(v.geometry.superior_centroid, rotation @ vertebra.geometry.superior_centroid + shift, atol=0.3)
    assert v.geometry.superior_normal @ rotation @ vertebra.geometry.superior_normal > np.cos(np.deg2rad(0.5))
    for name, place in vertebra.landmarks.items():
        # Tips and facets follow the surface itself; the pedicle's slab may lie anywhere along its even shaft.
        atol = 6.0 if name.startswith("pedicle") else 1.0
        assert_allclose(v.landmark(name), rotation @ place + shift, atol=atol, err_msg=name)


def test_a_lone_triangle_of_the_other_side_is_smoothed_away_but_a_large_one_stays():
    surface = body_of_revolution(20.0, 14.0, 3.0)
    neighbours = triangle_neighbours(surface)
    inside = surface.centers[:, 2] > 5.92  # a ring of points: the straight border
    gain = np.where(inside, 0.3, -0.3)
    lone = np.flatnonzero((np.abs(surface.centers[:, 2] - 12.5) < 0.3) & inside)[0]
    gain[lone] = -0.3
    everywhere = np.ones(len(inside), dtype=np.bool_)

    smooth = smooth_patch(gain, everywhere, surface, neighbours, border_cost_mm=0.5)
    free = smooth_patch(gain, everywhere, surface, neighbours, border_cost_mm=0.0)

    assert np.array_equal(smooth, inside)
    assert np.array_equal(free, gain > 0)


def test_a_patch_with_a_hole_and_a_fan_on_a_point_becomes_a_disc():
    surface = body_of_revolution(20.0, 14.0, 3.0)
    neighbours = triangle_neighbours(surface)
    patch = surface.centers[:, 2] > 13.9
    border = border_loops(patch, surface, neighbours)[0]
    outside = np.flatnonzero(~patch & (surface.triangles == border[0]).any(axis=1))
    single = next(t for t in outside if not patch[neighbours[t]].any())
    broken = patch.copy()
    broken[np.argmin(np.linalg.norm(surface.centers - [5.0, 3.0, 14.0], axis=1))] = False
    broken[single] = True

    assert np.array_equal(disc_patch(broken, surface, neighbours), patch)


def test_an_open_surface_is_refused_with_a_place(body):
    first = body.surface.triangles[0]
    with pytest.raises(InputError, match="3 edges of the surface do not join two triangles") as caught:
        vertebra_parts(TriangleSurface(body.surface.points, body.surface.triangles[1:]), "L1")
    place = body.surface.points[first].mean(axis=0)
    assert "mm" in str(caught.value.where)
    assert str(round(float(place[2]))) in str(caught.value.where)


def test_a_surface_inside_out_is_refused(body):
    with pytest.raises(InputError, match="normals of the surface point inward"):
        vertebra_parts(TriangleSurface(body.surface.points, body.surface.triangles[:, ::-1]), "L1")


def test_front_and_back_exchanged_are_refused(vertebra):
    with pytest.raises(InputError, match=r"in front of its canal|off the posterior direction"):
        vertebra_parts(turned(vertebra.surface, rotation_about(2, 180.0)), "L2")


def test_a_broken_arch_is_refused():
    def broken(p):
        return np.minimum(vertebra_depth(p), np.maximum(np.abs(p[:, 0]) - 5.0, 20.0 - p[:, 1]))

    surface = lattice_surface(broken, LOW, HIGH, 2.5)
    with pytest.raises(InputError, match="it has no closed canal"):
        vertebra_parts(surface, "L2")


def test_an_unknown_level_is_refused(body):
    with pytest.raises(InputError, match="unknown vertebral level 'L9'"):
        vertebra_parts(body.surface, "L9")
