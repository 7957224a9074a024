"""Tetrahedra inside closed surfaces: the boundary is kept, nothing leaks out of gmsh, and failures say where."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tet_cases import box, require_gmsh, sphere, tet_volumes

from fesolver.errors import InputError
from fesolver.meshing.optional import load_gmsh
from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.tet_volume import boundary_facets, fill_surface
from fesolver.surfaces.surface import TriangleSurface

pytestmark = pytest.mark.tet


@pytest.fixture(autouse=True)
def _gmsh_is_here():
    require_gmsh()


@pytest.fixture(scope="module")
def ball():
    require_gmsh()
    surface = sphere(15.0, 4)
    return surface, *fill_surface(surface, size_mm=2.0, size_inside_mm=4.0, name="ball")


def leading(triangles):
    """Rows turned so that the smallest id leads, sorted: equal where oriented triangles are."""
    turned = [np.roll(t, -int(np.argmin(t))).tolist() for t in triangles]
    return sorted(turned)


def test_the_surface_is_the_boundary_triangle_by_triangle_and_its_points_keep_their_bits(ball):
    surface, points, cells = ball

    facets, owners = boundary_facets(cells)

    assert_array_equal(points[: len(surface.points)], surface.points)
    assert leading(facets) == leading(surface.triangles)
    assert len(owners) == len(surface.triangles)


def test_cells_fill_the_volume_that_the_surface_encloses_and_none_is_inverted(ball):
    surface, points, cells = ball

    volumes = tet_volumes(points, cells)

    assert volumes.min() > 0.0
    assert volumes.sum() == pytest.approx(surface.volume, rel=1e-12)  # round-off of 5 000 terms


def test_cells_are_well_shaped_and_grow_towards_the_core(ball):
    _, points, cells = ball
    volume, radius = tet_volumes(points, cells), np.linalg.norm(points[cells].mean(axis=1), axis=1)

    quality = mesh_quality(points, cells, "tet4")

    assert quality.scaled_jacobian.min() > 0.1  # the package's own limit for any mesh
    # Wanted edges are 2 and 4 mm: volumes 8 fold apart; half of that leaves room for what boundary cells take.
    assert np.median(volume[radius < 5.0]) > 4.0 * np.median(volume[radius > 14.0])


def test_the_same_surface_gives_the_same_bits_and_nothing_is_printed(ball, capfd):
    surface, points, cells = ball

    again = fill_surface(surface, size_mm=2.0, size_inside_mm=4.0)

    assert_array_equal(again[0], points)
    assert_array_equal(again[1], cells)
    assert capfd.readouterr() == ("", "")


def test_two_parts_filled_apart_fit_together_where_they_share_triangles():
    lower, side = box((8.0, 8.0, 4.0), 2)
    flipped = TriangleSurface(lower.points * [1.0, 1.0, -1.0] + [0.0, 0.0, 8.0], lower.triangles[:, ::-1])
    # The upper box is the lower one mirrored at z = 4: points there are the same, by place.
    shared = np.flatnonzero(lower.points[:, 2] == 4.0)
    n = len(lower.points)
    names = n + np.arange(n)
    names[shared] = shared
    points = np.concatenate([lower.points, flipped.points])
    below = TriangleSurface(points, lower.triangles)
    above = TriangleSurface(points, names[flipped.triangles])

    first, cells = fill_surface(below, size_mm=2.0, size_inside_mm=2.0)
    second, more = fill_surface(above, size_mm=2.0, size_inside_mm=2.0)
    more = np.where(more < 2 * n, more, more - 2 * n + len(first))
    together = np.concatenate([first, second[2 * n :]])
    whole = np.concatenate([cells, more])

    assert len(boundary_facets(whole)[0]) == 2 * (len(side) - np.sum(side == 5))
    assert tet_volumes(together, whole).sum() == pytest.approx(512.0, rel=1e-12)


def test_the_callers_gmsh_is_left_as_it_was():
    gmsh = load_gmsh()
    surface, _ = box((4.0, 4.0, 4.0), 1)
    gmsh.initialize(readConfigFiles=False, interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("Mesh.OptimizeThreshold", 0.25)
        gmsh.model.add("mine")
        gmsh.model.occ.addBox(0, 0, 0, 1, 1, 1)
        gmsh.model.occ.synchronize()

        fill_surface(surface, size_mm=2.0, size_inside_mm=2.0)
        with pytest.raises(InputError):
            fill_surface(_crossing(), size_mm=2.0, size_inside_mm=2.0)

        assert gmsh.isInitialized()
        assert gmsh.model.getCurrent() == "mine"
        assert len(gmsh.model.getEntities(3)) == 1
        assert gmsh.option.getNumber("Mesh.OptimizeThreshold") == 0.25
    finally:
        gmsh.finalize()


def _crossing() -> TriangleSurface:
    """Two balls that overlap about x = 7 mm."""
    one = sphere(5.0, 3)
    # Moved off the lattice of the first, or their symmetric points would meet exactly.
    other = one.points + np.array([7.0, 0.3, 0.2])
    return TriangleSurface(
        np.concatenate([one.points, other]), np.concatenate([one.triangles, one.triangles + len(one.points)])
    )


def test_a_surface_that_crosses_itself_is_refused_with_its_name_and_the_place_and_gmsh_is_finalised():
    with pytest.raises(InputError, match="L9") as caught:
        fill_surface(_crossing(), size_mm=2.0, size_inside_mm=2.0, name="L9")

    assert "pairs of triangles cross" in str(caught.value.where)
    x = float(str(caught.value.where).split("(")[1].split(",")[0])
    assert 2.0 < x < 5.0  # where the balls |x| < 5 and |x - 7| < 5 overlap
    assert not load_gmsh().isInitialized()


def test_open_and_inward_surfaces_are_refused():
    surface = sphere(5.0, 2)
    with pytest.raises(InputError, match="is not closed: 3 of its edges"):
        fill_surface(TriangleSurface(surface.points, surface.triangles[1:]), size_mm=2.0, size_inside_mm=2.0)
    with pytest.raises(InputError, match="point inward"):
        fill_surface(TriangleSurface(surface.points, surface.triangles[:, ::-1]), size_mm=2.0, size_inside_mm=2.0)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((3.0, 2.0, 0.3), "no cell sizes"),
        ((0.0, 2.0, 0.3), "no cell sizes"),
        ((1.0, float("nan"), 0.3), "no cell sizes"),
        ((1.0, 2.0, -0.1), "grading"),
        ((1e-3, 1e-2, 0.3), "cells of"),
    ],
)
def test_sizes_out_of_range_are_refused(sizes, message):
    with pytest.raises(InputError, match=message):
        fill_surface(sphere(5.0, 1), size_mm=sizes[0], size_inside_mm=sizes[1], grading=sizes[2])


@pytest.mark.long
def test_a_hundred_thousand_cells_fill_a_sphere():
    surface = sphere(30.0, 5)

    points, cells = fill_surface(surface, size_mm=1.4, size_inside_mm=1.6)

    assert len(cells) > 100_000
    assert_allclose(tet_volumes(points, cells).sum(), surface.volume, rtol=1e-12)
