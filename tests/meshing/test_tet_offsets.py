"""Layers with cells of their own, against closed forms: volumes, shared faces, no cell of two materials."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tet_cases import box, column_surfaces, require_gmsh, sphere, tet_volumes

from fesolver.anatomy.column import build_column
from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.regions import cell_volumes, region_volume
from fesolver.meshing.structured import mesh_column
from fesolver.meshing.tet_belts import make_room
from fesolver.meshing.tet_offsets import kind_thickness, offset_layers, prism_cells
from fesolver.meshing.tet_quality import LEAST_LAYER_JACOBIAN
from fesolver.meshing.tet_volume import check_closed
from fesolver.meshing.tetrahedra import mesh_surfaces
from fesolver.surfaces.from_column import body_surface, vertebra_surface
from fesolver.surfaces.intersections import self_intersections
from fesolver.surfaces.io import read_surface
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, OUTER, POSTERIOR, SUPERIOR_ENDPLATE, vertebra_parts

EDGE = 3.0
SIZE = (14.0, 12.0, 10.0)
LAYERS = ("cortical", "superior_endplate", "inferior_endplate")


@pytest.fixture(scope="module")
def column():
    return build_column(["L1", "L2"], sagittal_tilt_deg=8.0)


@pytest.fixture(scope="module")
def segment(column):
    require_gmsh()
    surfaces = column_surfaces(column, EDGE)
    return mesh_surfaces(surfaces, size_mm=EDGE, size_inside_mm=4.0, remesh=False, layers="conforming")


def faces_of(cells):
    """Faces of cells with the corners ascending, each once, and how many cells have it."""
    faces = np.array([face[:3] for face in ELEMENTS["tet4"].faces])
    return np.unique(np.sort(cells[:, faces], axis=-1).reshape(-1, 3), axis=0, return_counts=True)


def assert_layers_join_the_outside_to_the_inner_surface(made):
    """The faces of one cell are the triangles of both surfaces that are not in both, and all else has two cells."""
    faces, count = faces_of(made.cells)
    assert count.max() == 2
    both, times = np.unique(np.sort(np.concatenate([made.triangles, made.inner]), axis=1), axis=0, return_counts=True)
    assert np.array_equal(faces[count == 1], both[times == 1])


def box_layers(plate, shell, **given):
    surface, side = box(SIZE, 3)
    kind = np.where(side == 5, SUPERIOR_ENDPLATE, np.where(side == 4, INFERIOR_ENDPLATE, OUTER)).astype(np.int8)
    thickness = {"superior_endplate": plate, "inferior_endplate": plate, "outer": shell}
    return surface, kind, offset_layers(surface.points, surface.triangles, kind, thickness_mm=thickness, **given)


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]])
def test_a_prism_is_three_upright_tetrahedra_whatever_the_order_of_its_points(order):
    points = np.array([[0, 0, 1], [2, 0, 1], [0, 3, 1], [0, 0, 0], [2, 0, 0], [0, 3, 0]], dtype=float)

    cells, prisms = prism_cells(np.array([[0, 1, 2]]), np.array([[3, 4, 5]]), np.array([order]))

    assert_allclose(tet_volumes(points, cells), 1.0, rtol=1e-14)  # a third of 3 mm2 times 1 mm
    assert prisms.tolist() == [0, 0, 0]


@pytest.mark.parametrize("layer_cells", [1, 2])
@pytest.mark.parametrize("thickness", [0.35, 1.0])
def test_a_layer_below_a_sphere_has_the_volume_of_a_spherical_shell(thickness, layer_cells):
    surface, radius = sphere(15.0, 4), 15.0
    kind = np.full(len(surface.triangles), OUTER, np.int8)

    made = offset_layers(
        surface.points, surface.triangles, kind, thickness_mm={"outer": thickness}, layer_cells=layer_cells
    )

    t = thickness
    exact = surface.areas.sum() * t * (1.0 - t / radius + t**2 / (3.0 * radius**2))
    # Planes of flat triangles move by the thickness, as the sphere does; what is left is second order in 2 mm / 15 mm.
    assert_allclose(tet_volumes(made.points, made.cells).sum(), exact, rtol=1e-3)
    assert len(made.cells) == 3 * layer_cells * len(surface.triangles)
    assert tet_volumes(made.points, made.cells).min() > 0.0
    assert made.thin_points == 0
    assert_layers_join_the_outside_to_the_inner_surface(made)
    inner = TriangleSurface(made.points, made.inner)
    check_closed(inner, name="the inner surface")
    depth = radius - np.linalg.norm(inner.points[np.unique(inner.triangles)], axis=1)
    assert_allclose(depth, t, atol=0.02 * t)


@pytest.mark.parametrize("layer_cells", [1, 2])
@pytest.mark.parametrize(("plate", "shell"), [(0.6, 0.35), (0.35, 0.35), (0.6, 1.0)])
def test_in_a_box_endplates_reach_the_wall_and_the_shell_lies_between_them(plate, shell, layer_cells):
    surface, kind, made = box_layers(plate, shell, layer_cells=layer_cells)

    volume = tet_volumes(made.points, made.cells)
    x, y, z = SIZE
    ring = x * y - (x - 2.0 * shell) * (y - 2.0 * shell)
    # Planes at right angles: only the iterated regularisation is not exact, 1e-6 of the thickness.
    for number in (SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE):
        assert_allclose(volume[made.layer == number].sum(), x * y * plate, rtol=1e-4)
    assert_allclose(volume[made.layer == OUTER].sum(), ring * (z - 2.0 * plate), rtol=1e-4)
    inner = TriangleSurface(made.points, made.inner)
    assert_allclose(volume.sum() + inner.volume, np.prod(SIZE), rtol=1e-12)
    assert volume.min() > 0.0
    assert made.thin_points == 0
    assert_layers_join_the_outside_to_the_inner_surface(made)
    # Where the wall is cut it is the same wall, and endplates keep their triangles.
    outside = TriangleSurface(made.points, made.triangles)
    assert_allclose(outside.areas[made.kind == OUTER].sum(), surface.areas[kind == OUTER].sum(), rtol=1e-12)
    for number in (SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE):
        assert np.array_equal(made.triangles[made.kind == number], surface.triangles[kind == number])
    assert np.array_equal(made.points[: len(surface.points)], surface.points)


def test_a_layer_ends_at_posterior_triangles_and_leaves_their_points_where_they_are():
    surface, side = box(SIZE, 3)
    kind = np.where(side == 5, SUPERIOR_ENDPLATE, np.where(side == 4, INFERIOR_ENDPLATE, OUTER)).astype(np.int8)
    kind[(side == 3) & (surface.centers[:, 2] > 4.0) & (np.abs(surface.centers[:, 0] - 7.0) < 4.0)] = POSTERIOR

    made = offset_layers(
        surface.points,
        surface.triangles,
        kind,
        thickness_mm={"superior_endplate": 0.35, "inferior_endplate": 0.35, "outer": 0.35},
    )

    behind = np.sort(surface.triangles[kind == POSTERIOR], axis=1)
    inner = {tuple(t) for t in np.sort(made.inner, axis=1).tolist()}
    assert all(tuple(t) in inner for t in behind.tolist())
    assert_layers_join_the_outside_to_the_inner_surface(made)
    check_closed(TriangleSurface(made.points, made.inner), name="the inner surface")
    assert tet_volumes(made.points, made.cells).min() > 0.0
    assert len(self_intersections(TriangleSurface(made.points, made.inner))) == 0


def test_a_kind_without_thickness_has_no_cells_and_nothing_is_left_out_of_the_box():
    _, _, made = box_layers(0.6, 0.0)

    assert set(made.layer.tolist()) == {SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE}
    total = tet_volumes(made.points, made.cells).sum() + TriangleSurface(made.points, made.inner).volume
    assert_allclose(total, np.prod(SIZE), rtol=1e-12)
    assert_layers_join_the_outside_to_the_inner_surface(made)


def test_where_a_layer_does_not_fit_it_is_thinner_and_the_points_are_counted():
    surface, side = box((14.0, 1.2, 10.0), 3)
    kind = np.full(len(side), OUTER, np.int8)

    made = offset_layers(surface.points, surface.triangles, kind, thickness_mm={"outer": 1.0})

    inner = TriangleSurface(made.points, made.inner)
    assert made.thin_points > 50
    assert tet_volumes(made.points, made.cells).min() > 0.0
    assert len(self_intersections(inner)) == 0
    assert_layers_join_the_outside_to_the_inner_surface(made)


def test_points_make_room_for_a_layer_along_their_own_face_and_rims_stay(column):
    surface, kind = body_surface(column["L1"], edge_mm=EDGE)
    depth = np.array([1.5, 1.5, 1.5, 0.0])

    moved = make_room(surface.points, surface.triangles, kind, depth)

    after = TriangleSurface(moved, surface.triangles)
    shift = np.linalg.norm(moved - surface.points, axis=1)
    is_on = np.stack([np.isin(np.arange(len(moved)), surface.triangles[kind == k]) for k in range(3)])
    assert shift.max() > 0.5
    assert np.all(shift[is_on.sum(axis=0) > 1] == 0.0)
    # Chords of 3 mm on a radius of 20 mm are 0.06 mm inside: points stay on them, new triangles cut them again.
    assert_allclose(after.volume, surface.volume, rtol=2e-3)
    assert np.einsum("ni,ni->n", after.normals, surface.normals).min() > 0.5
    local = column["L1"].frame.to_local(moved)
    rim = local[is_on[SUPERIOR_ENDPLATE] & is_on[OUTER]]
    wall = np.isin(np.arange(len(moved)), surface.triangles[kind == OUTER]) & (is_on.sum(axis=0) == 1)
    gap = np.min(np.linalg.norm(local[wall][:, None] - rim[None], axis=2), axis=1)
    assert gap.min() > 1.5


@pytest.mark.tet
def test_cells_of_a_segment_hold_one_material_and_share_their_faces(segment):
    mesh = segment.mesh

    for level in mesh.levels:
        for part in (*LAYERS, "trabecular"):
            assert np.all(mesh.regions[f"{level}/{part}"].fraction == 1.0)
    assert_allclose(sum(r.dense(len(mesh.cells)) for r in mesh.regions.values()), 1.0, rtol=0, atol=1e-12)
    faces, count = faces_of(mesh.cells)
    assert count.max() == 2
    outside = faces[count == 1]
    edges = np.sort(np.concatenate([outside[:, [0, 1]], outside[:, [1, 2]], outside[:, [0, 2]]]), axis=1)
    assert np.all(np.unique(edges, axis=0, return_counts=True)[1] % 2 == 0)
    disc = {tuple(f) for f in faces_of(mesh.cells[mesh.level_cells("L1-L2")])[0].tolist()}
    for name in ("L1/inferior_endplate", "L2/superior_endplate"):
        assert all(tuple(f) in disc for f in np.sort(mesh.surfaces[name].facets, axis=1).tolist())
    assert segment.thin_layer_points == 0


@pytest.mark.tet
def test_layers_and_names_of_a_segment_are_those_of_the_structured_mesh(segment, column):
    mesh, same = segment.mesh, mesh_column(column).mesh

    assert set(mesh.regions) == set(same.regions)
    assert set(mesh.surfaces) == set(same.surfaces)
    assert set(mesh.frames) == set(same.frames)
    for level in mesh.levels:
        for part in LAYERS:
            # As for layers by fractions: curvature and rims at 3 mm edges.
            assert_allclose(region_volume(mesh, f"{level}/{part}"), region_volume(same, f"{level}/{part}"), rtol=0.02)
        sides = [mesh.surfaces[f"{level}/{s}"] for s in ("superior_endplate", "inferior_endplate", "outer")]
        assert_allclose(sum(s.areas @ s.normals for s in sides), 0.0, atol=1e-9)
        assert_allclose(sides[0].areas.sum(), same.surfaces[f"{level}/superior_endplate"].areas.sum(), rtol=0.01)


@pytest.mark.tet
def test_a_vertebra_with_its_arch_has_layers_on_the_body_only(column):
    require_gmsh()
    surface, kind = vertebra_surface(column["L1"], edge_mm=EDGE)
    vertebra = replace(vertebra_parts(surface, "L1"), kind=kind)

    made = mesh_surfaces(
        [vertebra], size_mm=EDGE, size_inside_mm=5.0, remesh=False, layers="conforming", element="tet10"
    )

    mesh = made.mesh
    quality = mesh_quality(mesh.points, mesh.cells, "tet10")
    assert quality.least_det_jacobian.min() > 0.0
    assert quality.scaled_jacobian.min() > LEAST_LAYER_JACOBIAN
    assert_allclose(cell_volumes(mesh).sum(), surface.volume, rtol=2e-3)  # rows of points that made room cut corners
    behind = mesh.regions["L1/posterior"]
    for part in LAYERS:
        region = mesh.regions[f"L1/{part}"]
        assert np.all(region.fraction == 1.0)
        assert not np.isin(region.cells, behind.cells).any()
    for part in LAYERS[1:]:
        area = mesh.surfaces[f"L1/{part}"].areas.sum()
        # The rim next to the pedicles has no layer over one row of 3 mm.
        assert_allclose(region_volume(mesh, f"L1/{part}"), 0.35 * area, rtol=0.04)


def test_what_is_no_layer_is_refused():
    surface = sphere(15.0, 1)
    kind = np.full(len(surface.triangles), OUTER, np.int8)
    with pytest.raises(InputError, match="outer"):
        offset_layers(surface.points, surface.triangles, kind, thickness_mm={"outer": -1.0})
    with pytest.raises(InputError, match="layer_cells"):
        offset_layers(surface.points, surface.triangles, kind, thickness_mm={"outer": 1.0}, layer_cells=0)
    with pytest.raises(InputError, match="layers 'thin'"):
        mesh_surfaces([], layers="thin")
    assert kind_thickness({"inferior_endplate": 0.5}).tolist() == [0.0, 0.5, 0.0, 0.0]


@pytest.mark.long
@pytest.mark.data
@pytest.mark.tet
@pytest.mark.parametrize("element", ["tet4", "tet10"])
def test_a_scanner_surface_gets_layers_of_its_own_cells(data_dir, element):
    require_gmsh()
    surface = read_surface(data_dir / "surfaces_L1_L5" / "L3.ply", axes="ALS", unit="mm")

    made = mesh_surfaces([vertebra_parts(surface, "L3")], element=element, layers="conforming")

    mesh = made.mesh
    assert mesh_quality(mesh.points, mesh.cells, element).least_det_jacobian.min() > 0.0
    assert_allclose(cell_volumes(mesh).sum(), surface.volume, rtol=0.003)
    assert faces_of(mesh.cells[:, :4])[1].max() == 2
    assert made.thin_layer_points < 0.02 * sum(len(s.facets) for s in mesh.surfaces.values())
    for part in LAYERS:
        assert np.all(mesh.regions[f"L3/{part}"].fraction == 1.0)
