"""Layers, nucleus and annulus in tetrahedra, against closed forms."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tet_cases import box, require_gmsh, sphere, tet_volumes

from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.meshing.tet_annulus import DiscPlaces, disc_places, nucleus_fraction
from fesolver.meshing.tet_discs import DiscSurface
from fesolver.meshing.tet_fractions import linear_cut, split_cells
from fesolver.meshing.tet_layers import body_fractions
from fesolver.meshing.tet_volume import fill_surface
from fesolver.surfaces.surface import TriangleSurface

RADIUS, HALF_HEIGHT, BACK = 18.0, 4.0, 2.5


@pytest.fixture(scope="module")
def prism():
    """Corners and volumes of a square prism around the round disc, about the disc's axis."""
    surface, _ = box((2.0 * RADIUS, 2.0 * RADIUS, 2.0 * HALF_HEIGHT), 3)
    moved = TriangleSurface(surface.points - [RADIUS - 3.0, RADIUS + 5.0, HALF_HEIGHT - 7.0], surface.triangles)
    return corners_of(moved, 4.0, 4.0)


@pytest.fixture(scope="module")
def ball():
    """A sphere of triangles of 2 mm, and corners and volumes of its cells."""
    surface = sphere(15.0, 4)
    return surface, *corners_of(surface, 2.0, 4.0)


@pytest.fixture(scope="module")
def box_cells():
    """A box, the side of each of its triangles, and corners and volumes of its cells."""
    surface, side = box((14.0, 12.0, 10.0), 3)
    return surface, side, *corners_of(surface, 1.6, 3.0)


def corners_of(surface, size, inside):
    require_gmsh()
    points, cells = fill_surface(surface, size_mm=size, size_inside_mm=inside)
    return points[cells], tet_volumes(points, cells)


def part_of(surface, chosen):
    return TriangleSurface(surface.points, surface.triangles[chosen])


@pytest.mark.parametrize("below", [0, 1, 2, 3, 4])
def test_a_linear_cut_is_the_share_of_places_below_zero(below):
    rng = np.random.default_rng(5)
    values = rng.uniform(0.1, 1.0, 4) * np.where(np.arange(4) < below, -1.0, 1.0)
    places = rng.dirichlet(np.ones(4), 200_000)  # uniform over the simplex

    found = linear_cut(rng.permutation(values)[None])[0]

    # Four standard errors of a share of 200 000 samples: 4 * 0.5 / sqrt(200 000).
    assert_allclose(found, np.mean(places @ values < 0.0), rtol=0, atol=0.0045)


def test_cuts_of_opposite_functions_add_to_the_whole_also_where_values_are_equal_or_zero():
    rng = np.random.default_rng(6)
    values = np.concatenate([rng.normal(size=(200, 4)), [[-1.0, -1.0, 1.0, 1.0], [-1.0, 0.0, 0.0, 1.0]]])

    assert_allclose(linear_cut(values) + linear_cut(-values), 1.0, rtol=0, atol=1e-14)
    assert linear_cut(np.zeros(4)) == 0.0


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_divided_cell_has_parts_of_equal_volume_that_fill_it(depth):
    rng = np.random.default_rng(7)
    cell = rng.normal(size=(1, 4, 3))

    leaves = split_cells(cell, depth)

    corners = leaves.places[0][leaves.corners]
    volumes = np.abs(np.linalg.det(corners[:, 1:] - corners[:, :1])) / 6.0
    whole = abs(np.linalg.det(cell[0, 1:] - cell[0, :1])) / 6.0
    assert len(volumes) == 8**depth
    assert_allclose(volumes, whole / 8**depth, rtol=1e-12)
    # The centroid of all parts is the cell's: they do not overlap.
    assert_allclose(corners.mean(axis=(0, 1)), cell[0].mean(axis=0), atol=1e-14)


@pytest.mark.tet
@pytest.mark.parametrize("thickness", [0.35, 1.0])
def test_a_shell_thinner_than_a_cell_has_the_volume_of_a_spherical_shell(ball, thickness):
    surface, corners, volumes = ball

    fractions = body_fractions(corners, {"outer": surface}, thickness_mm={"outer": thickness})

    t, area = thickness, surface.areas.sum()
    exact = area * t * (1.0 - t / 15.0 + t**2 / (3.0 * 15.0**2))
    # Chords of 2 mm stand off the sphere by 2^2 / (8 * 15) = 0.03 mm at most: edges are a little sharper.
    assert_allclose(fractions["cortical"] @ volumes, exact, rtol=0.01)
    assert_allclose(sum(fractions.values()), 1.0, rtol=0, atol=1e-14)


@pytest.mark.tet
def test_in_a_box_endplates_come_first_and_the_cortex_takes_what_they_leave(box_cells):
    surface, side, corners, volumes = box_cells
    size = (14.0, 12.0, 10.0)
    patches = {
        "superior_endplate": part_of(surface, side == 5),
        "inferior_endplate": part_of(surface, side == 4),
        "outer": part_of(surface, side < 4),
    }
    plate, shell = 0.6, 0.35

    found = body_fractions(
        corners, patches, thickness_mm={"superior_endplate": plate, "inferior_endplate": plate, "outer": shell}
    )

    got = {name: float(f @ volumes) for name, f in found.items()}
    ring = size[0] * size[1] - (size[0] - 2.0 * shell) * (size[1] - 2.0 * shell)
    # Distances from a flat patch are linear: only the meeting of two layers inside a part is not exact.
    assert_allclose(got["superior_endplate"], size[0] * size[1] * plate, rtol=1e-6)
    assert_allclose(got["inferior_endplate"], size[0] * size[1] * plate, rtol=1e-6)
    assert_allclose(got["cortical"], ring * (size[2] - 2.0 * plate), rtol=0.01)
    assert_allclose(sum(got.values()), np.prod(size), rtol=1e-12)
    assert got["posterior"] == 0.0


@pytest.mark.tet
def test_posterior_elements_have_no_layers_and_share_the_cells_of_the_cut(box_cells):
    surface, side, corners, volumes = box_cells
    cut = 7.3

    found = body_fractions(
        corners,
        {"outer": part_of(surface, side < 4)},
        thickness_mm={"outer": 0.35},
        is_posterior=lambda points: points[:, 1] > cut,
    )

    # The middles of 64 parts of a cell of 2 mm: what is wrong in one cell averages out over 400 of them.
    assert_allclose(found["posterior"] @ volumes, 14.0 * (12.0 - cut) * 10.0, rtol=0.005)
    behind = corners[:, :, 1].min(axis=1) > cut
    assert np.all(found["posterior"][behind] == 1.0)
    assert np.all(found["cortical"][behind] == 0.0)
    assert_allclose(found["cortical"] @ volumes, 0.35 * 10.0 * (14.0 + 2.0 * cut - 2.0 * 0.35), rtol=0.02)
    assert_allclose(sum(found.values()), 1.0, rtol=0, atol=1e-14)


@pytest.mark.parametrize("thickness", [-0.1, 0.01, 5.0, float("nan")])
def test_a_thickness_that_is_no_layers_is_refused(thickness):
    with pytest.raises(InputError, match="outer"):
        body_fractions(np.zeros((1, 4, 3)), {}, thickness_mm={"outer": thickness})


def round_disc(fraction: float, posterior: float = 0.0) -> DiscPlaces:
    """Places in an upright cylinder, by its two border circles."""
    angle = np.linspace(0.0, 2.0 * np.pi, 512, endpoint=False)
    ring = np.stack([RADIUS * np.cos(angle), RADIUS * np.sin(angle), np.zeros(512)], axis=1)
    frame = Frame(np.array([3.0, -5.0, 7.0]), np.eye(3))
    lower, upper = (frame.to_parent(ring + np.array([0.0, 0.0, z])) for z in (-HALF_HEIGHT, HALF_HEIGHT))
    surface = TriangleSurface(lower[:3], np.array([[0, 1, 2]]))
    return disc_places(
        DiscSurface(surface, frame, lower, upper, 0.0),
        nucleus_area_fraction=fraction,
        nucleus_posterior_mm=posterior,
        name="L1-L2",
    )


def test_in_a_round_disc_the_layer_is_linear_in_the_radius_and_the_axes_are_those_of_a_cylinder():
    rng = np.random.default_rng(8)
    angle, radius = rng.uniform(-np.pi, np.pi, 50), rng.uniform(0.5, RADIUS, 50)
    around = np.stack([np.cos(angle), np.sin(angle), np.zeros(50)], axis=1)
    points = radius[:, None] * around + [0.0, 0.0, 1.0] * rng.uniform(-4, 4, (50, 1)) + [3.0, -5.0, 7.0]
    places = round_disc(0.4)
    nucleus = RADIUS * np.sqrt(0.4)

    layer, axes = places.layer(points), places.axes(points)

    # 1e-4: the wall's radius is a table of 720 angles, 1 - cos(0.25 degrees) = 1e-5.
    assert_allclose(layer, (radius - nucleus) / (RADIUS - nucleus), rtol=0, atol=1e-4)
    assert_allclose(axes[:, 1], around, atol=1e-3)
    assert_allclose(axes[:, 2], np.tile([0.0, 0.0, 1.0], (50, 1)), atol=1e-3)
    assert_allclose(np.linalg.det(axes), 1.0, atol=1e-12)
    assert_allclose(axes[:, 0], np.stack([np.sin(angle), -np.cos(angle), np.zeros(50)], axis=1), atol=1e-3)


@pytest.mark.tet
@pytest.mark.parametrize("posterior", [0.0, BACK])
def test_the_nucleus_fills_its_share_of_a_round_disc_and_its_centre_moves_back_as_asked(prism, posterior):
    corners, volumes = prism

    # Outside the wall the layer is over 1: what is below 0 is the nucleus, whatever surrounds the disc.
    fraction = nucleus_fraction(corners, round_disc(0.4, posterior))

    disc = np.pi * RADIUS**2 * 2.0 * HALF_HEIGHT
    # Cells of 4 mm in 64 parts: chords of 1 mm on a radius of 11.4 mm cut off 1^2 / (6 * 11.4^2) = 0.13 % of the area.
    assert_allclose(fraction @ volumes, 0.4 * disc, rtol=0.002)
    centre = (fraction * volumes) @ corners.mean(axis=1) / (fraction @ volumes)
    assert_allclose(centre, [3.0, -5.0 + posterior, 7.0], atol=0.05)


def test_a_nucleus_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="does not fit"):
        round_disc(0.7, 4.0)
    with pytest.raises(InputError, match="nucleus_area_fraction"):
        round_disc(0.9)
