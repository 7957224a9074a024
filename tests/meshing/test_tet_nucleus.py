"""Nuclei with cells of their own: volumes of closed form, shared facets, no cell of two materials."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tet_cases import column_surfaces, require_gmsh, tet_volumes

from fesolver.anatomy.column import build_column
from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.fem.problem import Elasticity, Loads, Problem
from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.regions import cell_centroids, region_volume
from fesolver.meshing.tet_annulus import disc_places
from fesolver.meshing.tet_discs import disc_between
from fesolver.meshing.tet_nucleus import Cap, nucleus_between, outlined_surfaces
from fesolver.meshing.tet_parts import Parts, build_parts, fill_parts, on_endplates, places_of_discs, with_nuclei
from fesolver.meshing.tet_volume import boundary_facets, check_closed
from fesolver.meshing.tetrahedra import mesh_surfaces
from fesolver.solvers.prepare import prepare
from fesolver.surfaces.io import read_surface
from fesolver.surfaces.level_lines import cut_along_level
from fesolver.surfaces.strips import strip_triangles
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, SUPERIOR_ENDPLATE, vertebra_parts

RADIUS, HEIGHT, EDGE = 18.0, 9.0, 3.0
GRADIENT = np.array([[1.1, 0.2, -0.4], [0.7, -0.6, 0.3], [-0.2, 0.5, -2.3]]) * 1e-3
"""Not symmetric: nothing can cancel."""


def plate(height, sign, turn):
    """A flat round endplate in rings of triangles, its normals up for sign 1."""
    points, rings, first = [np.array([[0.0, 0.0, height]])], [np.zeros(1)], [0]
    for k in range(1, 7):
        angle = 2.0 * np.pi * (np.arange(6 * k) / (6 * k))
        radius = RADIUS * k / 6
        first.append(sum(len(p) for p in points))
        points.append(np.stack([radius * np.cos(angle + turn), radius * np.sin(angle + turn), 0 * angle + height], 1))
        rings.append(angle)
    triangles = []
    for k in range(6):
        outer, inner = rings[k + 1], rings[k]
        ids = np.concatenate([first[k + 1] + np.arange(len(outer)), first[k] + np.arange(len(inner))])
        triangles.append(ids[strip_triangles(outer, inner)])
    return TriangleSurface(np.concatenate(points), np.concatenate(triangles)[:, ::sign])


def round_disc(*, fraction=0.4, back=0.0, bulge=0.0):
    """Parts of a round disc without bodies, and its places."""
    plates = [plate(-0.5 * HEIGHT, 1, 0.0), plate(0.5 * HEIGHT, -1, 0.1)]
    given = {"left": np.array([1.0, 0.0, 0.0]), "size_mm": EDGE, "bulge_mm": bulge, "name": "L1-L2"}
    both = np.concatenate([p.points for p in plates])
    shift = len(plates[0].points)
    disc = disc_between(both, plates[0].triangles, plates[1].triangles + shift, **given)
    places = disc_places(disc, nucleus_area_fraction=fraction, nucleus_posterior_mm=back, name="L1-L2")
    cuts = [cut_along_level(p, places.layer(p.points), snap=0.3) for p in plates]
    shift = len(cuts[0].surface.points)
    points = np.concatenate([cut.surface.points for cut in cuts])
    caps = tuple(Cap(c.surface.triangles + n, c.is_below) for c, n in zip(cuts, (0, shift), strict=True))
    disc = disc_between(points, caps[0].triangles, caps[1].triangles, **given)
    return Parts(disc.surface.points, {}, {}, {"L1-L2": disc}, {"L1-L2": caps}), places


def nucleus_of(parts, places, **given):
    """The nucleus of the one disc."""
    return nucleus_between(parts.points, *parts.caps["L1-L2"], places, size_mm=EDGE, **given)


@pytest.mark.parametrize(("fraction", "back"), [(0.4, 0.0), (0.4, 2.5), (0.15, -1.0), (0.6, 0.0)])
def test_a_nucleus_between_flat_endplates_has_its_share_of_the_volume(fraction, back):
    parts, places = round_disc(fraction=fraction, back=back)
    nucleus = nucleus_of(parts, places)

    surface = TriangleSurface(nucleus.points, nucleus.surface)
    # The disc's outline is 3^2 / 12 / 18 mm within the circle, for its chords, and as much for their average over 1 mm.
    outline = np.pi * np.mean(places.radius[0, 1:] ** 2)
    assert outline == pytest.approx(np.pi * RADIUS**2, rel=0.01)
    # Chords of 3 mm on a radius of 7 mm would cut off 3^2 / (6 * 7^2) = 3 %; what is left is of the fourth order.
    assert surface.volume == pytest.approx(fraction * outline * HEIGHT, rel=1e-3)
    # Both caps' chords are moved with the wall's, which is nearer to the boundary than they are.
    assert_allclose(surface.centroid, [0.0, back, 0.0], atol=0.05)
    assert_allclose(places.layer(nucleus.points[np.unique(nucleus.wall)]), 0.0, atol=0.1)


def test_nucleus_and_annulus_are_closed_and_make_up_the_disc():
    parts, places = round_disc(back=1.5, bulge=1.0)
    nucleus = nucleus_of(parts, places)
    whole = TriangleSurface(nucleus.points, parts.discs["L1-L2"].surface.triangles)
    inner, outer = (TriangleSurface(nucleus.points, t) for t in (nucleus.surface, nucleus.annulus(whole.triangles)))

    for surface in (inner, outer):
        check_closed(surface, name="a part")
    assert inner.volume + outer.volume == pytest.approx(whole.volume, rel=1e-12)
    # Points moved along flat endplates.
    assert_allclose(nucleus.points[: len(parts.points), 2], parts.points[:, 2], rtol=0, atol=1e-12)
    assert len(nucleus.surface) + len(nucleus.annulus(whole.triangles)) == len(whole.triangles) + 2 * len(nucleus.wall)


def test_an_outline_that_is_missing_or_too_close_to_the_border_makes_no_nucleus():
    parts, places = round_disc()
    lower, upper = parts.caps["L1-L2"]
    empty = Cap(upper.triangles, np.zeros(len(upper.triangles), dtype=bool))

    assert nucleus_of(parts, places) is not None
    assert nucleus_between(parts.points, lower, empty, places, size_mm=EDGE) is None
    # 0.4 of the area leaves an annulus of 18 (1 - sqrt(0.4)) = 6.6 mm; the line as cut is off by 0.3 edges.
    assert nucleus_of(parts, places, clear_mm=4.0) is not None
    assert nucleus_of(parts, places, clear_mm=5.5) is None
    two = np.flatnonzero(~lower.is_nucleus)[[0]]
    torn = Cap(lower.triangles, lower.is_nucleus | (np.arange(len(lower.is_nucleus)) == two))
    assert nucleus_between(parts.points, torn, upper, places, size_mm=EDGE) is None


def filled_round_disc(parts, least=0.05):
    """Cells of a round disc."""
    sizes = {"size_mm": EDGE, "size_inside_mm": EDGE, "disc_size_mm": EDGE}
    return fill_parts(parts, {}, **sizes, min_scaled_jacobian=least)


@pytest.mark.tet
def test_a_linear_field_passes_the_boundary_of_the_nucleus():
    require_gmsh()
    parts, places = round_disc(back=1.0)
    parts = with_nuclei(parts, {"L1-L2": places}, size_mm=EDGE, clear_mm=0.0)
    filled = filled_round_disc(parts)
    cells, inside = filled.cells["L1-L2"], filled.in_nucleus("L1-L2") == 1.0
    used, cells = np.unique(cells, return_inverse=True)
    points, cells = filled.points[used], cells.reshape(-1, 4)
    outside = np.unique(boundary_facets(cells)[0])
    wall = np.setdiff1d(np.intersect1d(cells[inside], cells[~inside]), outside)
    exact = points @ GRADIENT.T

    problem = Problem(
        points=points, cells=cells, elasticity=Elasticity(np.full(len(cells), 1.0), np.full(len(cells), 0.499)),
        prescribed_dofs=(3 * outside[:, None] + np.arange(3)).ravel(), element="tet4",
    )  # fmt: skip
    solution = prepare(problem, method="direct").solve(Loads(prescribed=exact[outside].ravel()))

    assert len(wall) > 20
    assert_allclose(solution.u.reshape(-1, 3), exact, rtol=0, atol=1e-12)  # round-off of 0.05 mm at nu 0.499
    # All that is enclosed is filled, and both parts have the facets between them in common.
    assert tet_volumes(points, cells).sum() == pytest.approx(
        TriangleSurface(parts.points, parts.discs["L1-L2"].surface.triangles).volume, rel=1e-12
    )
    assert tet_volumes(points, cells)[inside].sum() == pytest.approx(
        TriangleSurface(parts.points, parts.nuclei["L1-L2"].surface).volume, rel=1e-12
    )


@pytest.mark.tet
def test_a_disc_whose_nucleus_cannot_be_filled_or_has_bad_cells_is_filled_without():
    require_gmsh()
    parts, places = round_disc()
    parts = with_nuclei(parts, {"L1-L2": places}, size_mm=EDGE, clear_mm=0.0)
    nucleus = parts.nuclei["L1-L2"]
    open_one = replace(parts, nuclei={"L1-L2": replace(nucleus, wall=nucleus.wall[1:])})
    whole = TriangleSurface(parts.points, parts.discs["L1-L2"].surface.triangles).volume

    # No tetrahedron of these is as good as 0.9 everywhere.
    for filled in (filled_round_disc(open_one), filled_round_disc(parts, least=0.9)):
        assert filled.in_nucleus("L1-L2") is None
        assert tet_volumes(filled.points, filled.cells["L1-L2"]).sum() == pytest.approx(whole, rel=1e-12)


@pytest.fixture(scope="module")
def surfaces():
    return column_surfaces(build_column(["L1", "L2"], sagittal_tilt_deg=8.0), 4.0)


@pytest.mark.parametrize("remesh", [True, False])
def test_outlines_are_cut_into_endplates_that_stay_as_they_are(surfaces, remesh):
    frame = Frame(np.array([3.0, 1.0, -2.0]), np.eye(3))
    masks = tuple(np.zeros(len(v.surface.triangles), dtype=bool) for v in surfaces)
    places = places_of_discs(
        build_parts(surfaces, masks, frame, 4.0, 0.0), nucleus_area_fraction=0.4, nucleus_posterior_mm=0.0
    )
    cut, masks = outlined_surfaces(surfaces, frame, on_endplates(places), remesh=remesh)

    for before, after, mask, number in zip(surfaces, cut, masks, (INFERIOR_ENDPLATE, SUPERIOR_ENDPLATE), strict=True):
        assert after.surface.volume == pytest.approx(before.surface.volume, rel=1e-12)
        for k in range(4):
            areas = [v.surface.areas[v.kind == k].sum() for v in (before, after)]
            assert areas[1] == pytest.approx(areas[0], rel=1e-12)
        assert np.all(after.kind[mask] == number)
        share = after.surface.areas[mask].sum() / after.surface.areas[after.kind == number].sum()
        # Chords of 4 mm cut off 4^2 / (6 * 11^2) = 2 %, lines through points of triangles more; hollows have more area.
        assert share == pytest.approx(0.4, abs=0.03)


@pytest.mark.tet
def test_a_segment_has_a_nucleus_of_whole_cells_of_good_shape(surfaces):
    require_gmsh()
    made = mesh_surfaces(surfaces, size_mm=4.0, size_inside_mm=8.0, layers="fractions", nucleus_cells="conforming")
    mesh = made.mesh
    nucleus, annulus = (mesh.regions[f"L1-L2/{part}"] for part in ("nucleus", "annulus"))

    assert made.mixed_nuclei == ()
    assert np.all(nucleus.fraction == 1.0)
    assert np.all(annulus.fraction == 1.0)
    assert np.array_equal(np.sort(np.concatenate([nucleus.cells, annulus.cells])), mesh.level_cells("L1-L2"))
    assert mesh_quality(mesh.points, mesh.cells, "tet4").scaled_jacobian.min() > 0.08
    axes, depth = made.annulus_axes["L1-L2/annulus"], made.annulus_depth["L1-L2/annulus"]
    assert len(axes) == len(depth) == len(annulus.cells)
    assert depth.min() >= 0.0
    assert depth.max() <= 1.0
    middle = mesh.frames["L1-L2"].to_local(cell_centroids(mesh))
    reach = [np.hypot(*middle[region.cells, :2].T) for region in (nucleus, annulus)]
    # The outline is longer than it is wide, 22 by 16 mm, so that only means are apart.
    assert reach[0].mean() < 0.7 * reach[1].mean()


@pytest.mark.long
@pytest.mark.tet
@pytest.mark.parametrize("layers", ["fractions", "conforming"])
def test_nucleus_and_annulus_have_the_volumes_of_their_fractions(layers):
    require_gmsh()
    surfaces = column_surfaces(build_column(["L1", "L2"], sagittal_tilt_deg=8.0), 3.0)
    own, mixed = (
        mesh_surfaces(surfaces, size_mm=3.0, size_inside_mm=6.0, layers=layers, nucleus_cells=how).mesh
        for how in ("conforming", "fractions")
    )
    for part in ("nucleus", "annulus"):
        # Fractions take the boundary flat in parts of cells of 3 mm, 0.8^2 / (6 * 11^2) = 0.1 % of the nucleus.
        volumes = [region_volume(m, f"L1-L2/{part}") for m in (own, mixed)]
        assert volumes[0] == pytest.approx(volumes[1], rel=2e-3)


def test_nucleus_cells_follow_layers_and_other_words_are_refused():
    with pytest.raises(InputError, match="nucleus_cells 'some'"):
        mesh_surfaces([], nucleus_cells="some")


@pytest.mark.long
@pytest.mark.tet
@pytest.mark.parametrize("layers", ["fractions", "conforming"])
def test_a_nucleus_that_leaves_no_room_for_a_row_of_cells_enters_by_fractions(surfaces, layers):
    require_gmsh()
    given = {"size_mm": 6.0, "size_inside_mm": 8.0, "layers": layers, "nucleus_area_fraction": 0.8}

    made = mesh_surfaces(surfaces, **given, nucleus_cells="conforming")

    assert made.mixed_nuclei == ("L1-L2",)
    nucleus = made.mesh.regions["L1-L2/nucleus"]
    assert np.any((nucleus.fraction > 0.0) & (nucleus.fraction < 1.0))
    share = region_volume(made.mesh, "L1-L2/nucleus") / sum(
        region_volume(made.mesh, f"L1-L2/{part}") for part in ("nucleus", "annulus")
    )
    assert share == pytest.approx(0.8, abs=0.02)


@pytest.mark.long
@pytest.mark.tet
@pytest.mark.parametrize("size", [2.0, 3.0])
@pytest.mark.parametrize("remesh", [True, False])
def test_nuclei_fit_whatever_their_size_and_place(size, remesh):
    require_gmsh()
    surfaces = column_surfaces(build_column(["L1", "L2"], sagittal_tilt_deg=8.0), size)
    for fraction, back, bulge in ((0.2, 0.0, 0.0), (0.3, 2.0, 0.0), (0.4, 3.0, 1.5), (0.6, 0.0, 0.0)):
        made = mesh_surfaces(
            surfaces, size_mm=size, size_inside_mm=2.0 * size, remesh=remesh, nucleus_area_fraction=fraction,
            nucleus_posterior_mm=back, disc_bulge_mm=bulge,
        )  # fmt: skip
        assert made.mixed_nuclei == ()
        own = made.mesh.level_cells("L1-L2")
        assert mesh_quality(made.mesh.points, made.mesh.cells[own], "tet4").scaled_jacobian.min() > 0.08


@pytest.mark.long
@pytest.mark.data
@pytest.mark.tet
def test_discs_between_scanner_surfaces_have_nuclei_of_their_own_cells(data_dir):
    require_gmsh()
    folder = data_dir / "surfaces_L1_L5"
    levels = ("L1", "L2", "L3", "L4", "L5")
    vertebrae = [vertebra_parts(read_surface(folder / f"{v}.ply", axes="ALS", unit="mm"), v) for v in levels]

    made = mesh_surfaces(vertebrae, size_mm=3.0, size_inside_mm=4.5)

    mesh = made.mesh
    assert made.mixed_nuclei == ()
    for upper, lower in pairwise(levels):
        disc = f"{upper}-{lower}"
        own = mesh.level_cells(disc)
        assert np.all(mesh.regions[f"{disc}/nucleus"].fraction == 1.0)
        assert mesh_quality(mesh.points, mesh.cells[own], "tet4").scaled_jacobian.min() > 0.08
        nucleus, annulus = (region_volume(mesh, f"{disc}/{part}") for part in ("nucleus", "annulus"))
        # 0.40 of the area; of the volume more or less as the disc is higher or lower in its middle.
        assert 0.36 < nucleus / (nucleus + annulus) < 0.45
