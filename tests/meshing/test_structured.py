"""Structured segments: volumes and areas against the shapes, conformity, names, layers, numbering."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial import cKDTree

from fesolver.anatomy.body_map import body_points
from fesolver.anatomy.column import Column, build_column
from fesolver.anatomy.dimensions import LEVELS_WITH_DIMENSIONS
from fesolver.anatomy.frames import Frame
from fesolver.anatomy.quadrature import body_quadrature
from fesolver.anatomy.shape import body_coordinates, body_volume, endplate_area
from fesolver.fem.elements import ELEMENTS
from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.regions import cell_moments, cell_volumes, facet_vectors, region_volume
from fesolver.meshing.structured import mesh_column

THREE = ("T12", "L1", "L2")
FRACTURED = {"L1": {"anterior_height_mm": 14.0, "superior_concavity_mm": 3.0}}
SIDES = ("superior_endplate", "inferior_endplate", "outer")


@cache
def segment(levels=THREE, refinement=1.0, element="hex8", **options):
    return mesh_column(build_column(levels), refinement=refinement, element=element, **options)


def in_body(structured, level):
    """Points of a mesh in the body frame of a level."""
    mesh = structured.mesh
    return structured.column[level].frame.to_local(mesh.frame.to_parent(mesh.points))


def body_cells_volume(structured, level):
    return float(cell_volumes(structured.mesh)[structured.mesh.level_cells(level)].sum())


def test_volume_of_a_body_converges_to_the_shape_with_order_two():
    exact = float(body_quadrature(build_column(("L1",))["L1"].dimensions, radial=16, angular=96, axial=16)[2].sum())

    errors = [body_cells_volume(segment(("L1",), r), "L1") - exact for r in (1.0, 2.0)]

    # 40 chords of a round wall would lose 1 - sinc(2 pi / 40) = 0.41 %; hollow walls and endplates win some of it back.
    assert -0.0041 < errors[0] / exact < 0.0
    assert_allclose(errors[0] / errors[1], 4.0, rtol=0.03)
    # The closed form neglects the waist over the depth of the hollows, under 0.1 %.
    limit = (4.0 * errors[1] - errors[0]) / 3.0 + exact
    assert_allclose(limit, body_volume(segment(("L1",)).column["L1"].dimensions), rtol=1e-3)


@pytest.mark.parametrize("side", ["superior", "inferior"])
def test_footprints_of_endplates_converge_to_the_closed_form_with_order_two(side):
    errors = []
    for refinement in (1.0, 2.0):
        structured = segment(("L1",), refinement)
        surface, vertebra = structured.mesh.surfaces[f"L1/{side}_endplate"], structured.column["L1"]
        seen = structured.mesh.frame.to_parent(surface.areas @ surface.normals) - structured.mesh.frame.origin
        errors.append(abs(seen @ vertebra.frame.axes[2]) - endplate_area(vertebra.dimensions, side))

    assert_allclose(errors[0] / errors[1], 4.0, rtol=0.05)
    assert abs(errors[1]) < 0.0015 * endplate_area(segment().column["L1"].dimensions, side)


def test_quadratic_cells_meet_the_volume_fifty_times_better():
    exact = float(body_quadrature(build_column(("L1",))["L1"].dimensions, radial=16, angular=96, axial=16)[2].sum())

    linear, quadratic = (abs(body_cells_volume(segment(("L1",), 1.0, e), "L1") - exact) for e in ("hex8", "hex20"))

    # Order 4 against order 2, with 40 chords around: (2 pi / 40)^2 / 10 is 1/400; hollows and lobes cost some of it.
    assert quadratic < linear / 50.0


@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_every_inner_face_has_two_cells_and_the_others_are_the_outside(element):
    structured = segment(THREE, 0.6, element)
    mesh, counts = structured.mesh, structured.counts
    faces = np.sort(mesh.cells[:, np.array(ELEMENTS[element].faces)].reshape(-1, 4 if element == "hex8" else 8))
    unique, count = np.unique(faces, axis=0, return_counts=True)
    n_layers = len(mesh.cells) // counts.section.n_cells

    assert set(count.tolist()) == {1, 2}
    assert int((count == 1).sum()) == 2 * counts.section.n_cells + counts.section.around * n_layers
    outside = {tuple(face) for face in unique[count == 1].tolist()}
    for name in ("T12/superior_endplate", "L2/inferior_endplate", "L1/outer"):
        assert all(tuple(facet) in outside for facet in np.sort(mesh.surfaces[name].facets).tolist())
    # No two points of one place: a hanging node or a double sheet would be one.
    assert cKDTree(mesh.points).query(mesh.points, k=2)[0][:, 1].min() > 0.05
    assert len(np.unique(mesh.cells)) == len(mesh.points)


def test_regions_fill_every_cell_once():
    mesh = segment().mesh
    filled = sum(region.dense(len(mesh.cells)) for region in mesh.regions.values())

    assert_array_equal(filled, 1.0)
    parts = ("trabecular", "cortical", "superior_endplate", "inferior_endplate")
    bodies = {f"{level}/{part}" for level in THREE for part in parts}
    assert set(mesh.regions) == bodies | {f"{d}/{p}" for d in ("T12-L1", "L1-L2") for p in ("nucleus", "annulus")}
    assert all(np.all(np.diff(region.cells) > 0) for region in mesh.regions.values())


@pytest.mark.parametrize("element", ["hex8", "hex20"])
@pytest.mark.parametrize("level", THREE)
def test_the_three_surfaces_of_a_body_close_and_face_outwards(level, element):
    mesh = segment(THREE, 0.6, element).mesh
    surfaces = [mesh.surfaces[f"{level}/{side}"] for side in SIDES]
    vector_area = sum(s.areas @ s.normals for s in surfaces)
    own = mesh.level_cells(level)
    _, centroid = cell_moments(mesh)

    # Round-off of areas that sum to about 4000 mm2.
    assert_allclose(vector_area, 0.0, atol=1e-9)
    for s in surfaces:
        assert np.isin(s.cells, own).all()
        assert np.all(np.einsum("ni,ni->n", mesh.points[s.facets].mean(axis=1) - centroid[s.cells], s.normals) > 0.0)
        assert_allclose(np.linalg.norm(s.normals, axis=1), 1.0, rtol=1e-12)
        assert np.all([np.isin(f, mesh.cells[c]).all() for f, c in zip(s.facets[::7], s.cells[::7], strict=True)])


@pytest.mark.parametrize("thickness", [0.35, 1.0])
@pytest.mark.parametrize("side", ["superior", "inferior"])
def test_endplates_have_their_true_thickness_everywhere(thickness, side):
    structured = segment(THREE, 0.6, endplate_thickness_mm=thickness)
    d = structured.column["L1"].dimensions
    cells = structured.mesh.cells[structured.mesh.regions[f"L1/{side}_endplate"].cells]
    inner = np.unique(cells[:, :4] if side == "superior" else cells[:, 4:])

    s = 1.0 if side == "superior" else -1.0
    distance = distance_to(in_body(structured, "L1")[inner], lambda u, v: body_points(u, v, s, d))

    assert_allclose(distance, thickness, rtol=0.02)


@pytest.mark.parametrize("thickness", [0.35, 1.0])
def test_the_shell_has_its_true_thickness_everywhere(thickness):
    structured = segment(THREE, 0.6, cortical_thickness_mm=thickness)
    d = structured.column["L1"].dimensions
    cells = structured.mesh.cells[structured.mesh.regions["L1/cortical"].cells]
    inner = np.unique(cells[:, [0, 3, 4, 7]])
    points = in_body(structured, "L1")[inner]
    # Away from the rims, where the closest point of the wall lies on the wall.
    points = points[np.abs(body_coordinates(points, d).height) < 0.9]

    distance = distance_to(points, lambda u, v: body_points(np.cos(4 * u), np.sin(4 * u), v, d))

    assert len(points) > 50
    assert_allclose(distance, thickness, rtol=0.02)


def distance_to(points, surface):
    """Distance (n,) from a parametric surface on [-1, 1]^2 by brute force: the best of a grid, refined three times."""
    u, v = (g.ravel() for g in np.meshgrid(np.linspace(-1.0, 1.0, 161), np.linspace(-1.0, 1.0, 161)))
    tree = cKDTree(surface(u, v))
    out = []
    step = np.linspace(-1.0, 1.0, 21)
    for p in points[:: max(1, len(points) // 40)]:
        best = int(tree.query(p)[1])
        at, reach = (u[best], v[best]), 0.0125
        for _ in range(3):
            uu, vv = (g.ravel() for g in np.meshgrid(at[0] + reach * step, at[1] + reach * step))
            far = np.linalg.norm(surface(uu, vv) - p, axis=1)
            k = int(np.argmin(far))
            at, reach = (uu[k], vv[k]), reach / 8.0
        out.append(far[k])
    return np.array(out)


@pytest.mark.parametrize("fraction", [None, 0.3, 0.55])
def test_the_nucleus_has_its_share_of_the_section_at_mid_height(fraction):
    structured = segment(THREE, 1.0, nucleus_area_fraction=fraction)
    mesh, n = structured.mesh, structured.counts.section.n_cells
    layers = np.unique(mesh.regions["L1-L2/nucleus"].cells // n)
    sheet = mesh.cells[layers[len(layers) // 2] * n + np.arange(n)][:, :4]
    seen = facet_vectors(mesh.points, sheet) @ mesh.frames["L1-L2"].axes[2]
    is_nucleus = np.isin(layers[len(layers) // 2] * n + np.arange(n), mesh.regions["L1-L2/nucleus"].cells)

    # Both outlines are 40-gons of similar shape: the chords take nearly the same share of either.
    assert_allclose(seen[is_nucleus].sum() / seen.sum(), 0.4 if fraction is None else fraction, rtol=3e-3)


def test_the_default_segment_is_mirror_symmetric():
    mesh = segment().mesh
    distance, partner = cKDTree(mesh.points).query(mesh.points * [-1.0, 1.0, 1.0])

    # Differences of the map with a step of 1e-5 leave 1e-10 of the layers' thickness.
    assert distance.max() < 1e-8
    assert len(np.unique(partner)) == len(mesh.points)


def test_a_body_shifted_to_the_left_stays_on_the_left():
    column = build_column(THREE)
    moved = [
        replace(v, frame=Frame(v.frame.origin + np.array([2.0, 0.0, 0.0]), v.frame.axes)) if v.level == "L1" else v
        for v in column.vertebrae
    ]
    mesh = mesh_column(Column(tuple(moved), column.discs), refinement=0.6).mesh

    shift = {level: mesh.frame.to_parent(mesh.frames[level].origin)[0] for level in THREE}
    assert_allclose([shift["T12"], shift["L1"], shift["L2"]], [0.0, 2.0, 0.0], atol=1e-6)
    assert_allclose(mesh.frames["L1"].origin[0], 2.0, atol=1e-6)


def test_a_lean_to_the_left_is_in_the_segment_frame_and_not_in_the_mesh():
    leaning = mesh_column(build_column(THREE, coronal_tilt_deg=10.0, sagittal_tilt_deg=5.0), refinement=0.6).mesh

    assert_allclose(leaning.frame.axes[2][0], np.sin(np.deg2rad(10.0)), atol=2e-3)
    assert_allclose(leaning.points, segment(THREE, 0.6).mesh.points, atol=1e-6)


def test_numbers_depend_on_the_counts_alone():
    intact = segment(THREE, 0.6).mesh
    shapes = build_column(THREE, dimensions=FRACTURED, discs={"L1-L2": {"height_mm": 5.0, "bulge_mm": 1.0}})
    broken = mesh_column(shapes, refinement=0.6, cortical_thickness_mm=0.6, nucleus_area_fraction=0.3).mesh

    assert_array_equal(broken.cells, intact.cells)
    assert list(broken.regions) == list(intact.regions)
    for name, region in intact.regions.items():
        assert_array_equal(broken.regions[name].cells, region.cells)
    for name, surface in intact.surfaces.items():
        assert_array_equal(broken.surfaces[name].facets, surface.facets)


@pytest.mark.parametrize("element", ["hex8", "hex20"])
def test_a_refined_mesh_has_every_corner_of_the_coarse_one(element):
    coarse, fine = (segment(("L1",), r, element).mesh for r in (1.0, 2.0))
    points = [mesh.frame.to_parent(mesh.points[np.unique(mesh.cells[:, :8])]) for mesh in (coarse, fine)]

    # Sheets inside a layer are shared too: fractions are nested, and the map is the same.
    assert cKDTree(points[1]).query(points[0])[0].max() < 1e-9
    assert len(fine.cells) == 8 * len(coarse.cells)


def test_mid_sides_of_quadratic_cells_stand_on_the_wall_and_on_the_endplates():
    structured = segment(("L1",), 0.6, "hex20")
    at = body_coordinates(in_body(structured, "L1"), structured.column["L1"].dimensions)
    for side in SIDES:
        middles = np.unique(structured.mesh.surfaces[f"L1/{side}"].facets[:, 4:])
        assert_allclose(at.depth_mm[middles], 0.0, atol=1e-9)


@pytest.mark.parametrize("level", LEVELS_WITH_DIMENSIONS)
def test_every_level_alone_meets_the_quality_limit(level):
    mesh = segment((level,)).mesh
    assert mesh_quality(mesh.points, mesh.cells).scaled_jacobian.min() > 0.5


@pytest.mark.parametrize("upper", LEVELS_WITH_DIMENSIONS[:-1])
def test_every_functional_unit_meets_the_quality_limit(upper):
    lower = LEVELS_WITH_DIMENSIONS[LEVELS_WITH_DIMENSIONS.index(upper) + 1]
    mesh = segment((upper, lower)).mesh
    assert mesh_quality(mesh.points, mesh.cells).scaled_jacobian.min() > 0.5


def test_the_whole_column_meets_the_quality_limit_in_both_elements():
    for element in ("hex8", "hex20"):
        mesh = segment(LEVELS_WITH_DIMENSIONS, 0.6, element).mesh
        assert mesh_quality(mesh.points, mesh.cells, element).scaled_jacobian.min() > 0.4


def test_the_volume_of_the_shell_is_its_thickness_times_the_wall():
    mesh = segment().mesh
    wall, cortical = mesh.surfaces["L1/outer"], mesh.regions["L1/cortical"].cells
    area = wall.areas[np.isin(wall.cells, cortical)].sum()

    # The inner side is shorter by t / R: its mean over the thickness by 0.35 / (2 x 20), 0.9 %.
    assert_allclose(region_volume(mesh, "L1/cortical"), 0.35 * area * (1.0 - 0.35 / 40.0), rtol=0.01)
