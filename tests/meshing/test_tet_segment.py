"""Segments of tetrahedra from surfaces: one conforming mesh with the names and volumes of the structured one."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tet_cases import column_surfaces, require_gmsh, tet_volumes

from fesolver.anatomy.column import build_column
from fesolver.anatomy.density_fields import PatternedDensity, UniformDensity
from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.imaging.volume import Volume
from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.regions import cell_centroids, cell_volumes, region_volume
from fesolver.meshing.structured import mesh_column
from fesolver.meshing.structured_tissue import structured_tissue
from fesolver.meshing.tet_parts import check_wall
from fesolver.meshing.tet_tissue import placed_vertebra, tet_tissue, tet_tissue_from_ct
from fesolver.meshing.tetrahedra import mesh_surfaces
from fesolver.surfaces.io import read_surface
from fesolver.surfaces.vertebra import vertebra_parts

pytestmark = pytest.mark.tet

EDGE = 3.0


@pytest.fixture(scope="module")
def column():
    require_gmsh()
    return build_column(["L1", "L2"], sagittal_tilt_deg=8.0)


@pytest.fixture(scope="module")
def surfaces(column):
    return column_surfaces(column, EDGE)


@pytest.fixture(scope="module")
def tet(surfaces):
    return mesh_surfaces(surfaces, size_mm=EDGE, size_inside_mm=4.0, remesh=False)


@pytest.fixture(scope="module")
def structured(column):
    return mesh_column(column)


def faces_of(mesh):
    """Corner ids of every face of every cell, ascending, (n_cells, 4, 3)."""
    faces = np.array([f[:3] for f in ELEMENTS[mesh.element].faces])
    return np.sort(mesh.cells[:, faces], axis=-1)


def assert_conforming(mesh):
    """Faces have one or two cells, no point lies inside a face, and what is enclosed is what is filled."""
    faces, count = np.unique(faces_of(mesh).reshape(-1, 3), axis=0, return_counts=True)
    assert count.max() == 2
    outside = faces[count == 1]
    edges = np.sort(np.concatenate([outside[:, [0, 1]], outside[:, [1, 2]], outside[:, [0, 2]]]), axis=1)
    # A gap between two parts would be an open seam or a pair of surfaces: the outside is closed, edge by edge.
    assert np.all(np.unique(edges, axis=0, return_counts=True)[1] % 2 == 0)


def test_bodies_and_disc_are_one_conforming_mesh(tet):
    assert_conforming(tet.mesh)


def test_the_disc_has_every_endplate_facet_of_its_neighbours_as_a_face_of_its_own(tet):
    mesh = tet.mesh
    disc = {tuple(f) for f in faces_of(mesh)[mesh.level_cells("L1-L2")].reshape(-1, 3).tolist()}

    for name in ("L1/inferior_endplate", "L2/superior_endplate"):
        facets = np.sort(mesh.surfaces[name].facets, axis=1).tolist()
        assert len(facets) > 100
        assert all(tuple(f) in disc for f in facets)
    for name in ("L1/superior_endplate", "L2/inferior_endplate", "L1/outer", "L2/outer"):
        assert not any(tuple(f) in disc for f in np.sort(mesh.surfaces[name].facets, axis=1).tolist())


def test_names_are_those_of_the_structured_mesh_and_fractions_sum_to_one(tet, structured):
    mesh = tet.mesh

    assert set(mesh.regions) == set(structured.mesh.regions)
    assert set(mesh.surfaces) == set(structured.mesh.surfaces)
    assert set(mesh.frames) == set(structured.mesh.frames)
    assert mesh.levels == ("L1", "L2")
    assert_allclose(sum(r.dense(len(mesh.cells)) for r in mesh.regions.values()), 1.0, rtol=0, atol=1e-12)
    assert all(np.all(np.diff(r.cells) > 0) for r in mesh.regions.values())


def test_volumes_are_those_of_the_structured_mesh(tet, structured):
    for level in ("L1", "L2"):
        names = [f"{level}/{part}" for part in ("trabecular", "cortical", "superior_endplate", "inferior_endplate")]
        whole, same = (sum(region_volume(m, n) for n in names) for m in (tet.mesh, structured.mesh))
        # Structured cells of 3 mm cut off 3^2 / (8 * 20 mm) = 0.06 mm of 20 mm around; the surface keeps its volume.
        assert_allclose(whole, same, rtol=0.006)
        for name in names[1:]:
            # Of a layer of 0.35 mm, curvature and rims at 3 mm edges take 2 % at most (the task's own limit).
            assert_allclose(region_volume(tet.mesh, name), region_volume(structured.mesh, name), rtol=0.02)
    disc, same = ([region_volume(m, f"L1-L2/{p}") for p in ("nucleus", "annulus")] for m in (tet.mesh, structured.mesh))
    assert_allclose(sum(disc), sum(same), rtol=0.01)
    # The nucleus is the outline scaled here and a circle of the unit disc there: another shape of the same area.
    assert_allclose(disc[0] / sum(disc), same[0] / sum(same), rtol=0.02)


def test_the_three_surfaces_close_every_body_and_normals_point_out(tet):
    mesh = tet.mesh
    for level in mesh.levels:
        sides = [mesh.surfaces[f"{level}/{s}"] for s in ("superior_endplate", "inferior_endplate", "outer")]
        total = sum(s.areas @ s.normals for s in sides)
        z = mesh.frames[level].axes[2]

        assert_allclose(total, 0.0, atol=1e-9)  # round-off of 3 000 mm2
        assert (sides[0].areas @ sides[0].normals) @ z > 0.0 > (sides[1].areas @ sides[1].normals) @ z
        for side in sides:
            behind = cell_centroids(mesh)[side.cells]
            middle = mesh.points[side.facets].mean(axis=1)
            assert np.all(np.einsum("ni,ni->n", middle - behind, side.normals) > 0.0)


def test_frames_are_those_of_the_structured_mesh(tet, structured):
    for name, frame in structured.mesh.frames.items():
        # Endplate centroids from facets of 3 mm against quadrilaterals: a few hundredths of 1 mm of 25 mm.
        assert_allclose(tet.mesh.frames[name].axes, frame.axes, atol=0.01)
        assert_allclose(tet.mesh.frames[name].origin, frame.origin, atol=0.15)
    assert_allclose(tet.mesh.frame.axes, structured.mesh.frame.axes, atol=0.01)


def test_the_annulus_has_right_handed_axes_that_point_out_and_a_depth_that_grows_outwards(tet):
    mesh, name = tet.mesh, "L1-L2/annulus"
    axes, depth = tet.annulus_axes[name], tet.annulus_depth[name]
    place = mesh.frames["L1-L2"].to_local(cell_centroids(mesh)[mesh.regions[name].cells])
    out = mesh.frames["L1-L2"].vectors_to_local(axes[:, 1])

    assert len(axes) == len(depth) == len(mesh.regions[name].cells)
    assert_allclose(np.einsum("nij,nkj->nik", axes, axes), np.tile(np.eye(3), (len(axes), 1, 1)), atol=1e-12)
    assert_allclose(np.linalg.det(axes), 1.0, atol=1e-12)
    assert np.mean(np.einsum("ni,ni->n", out[:, :2], place[:, :2]) > 0.0) == 1.0
    assert depth.min() >= 0.0
    assert depth.max() <= 1.0
    assert np.corrcoef(depth, np.hypot(*place[:, :2].T))[0, 1] > 0.8


def test_quadratic_cells_have_straight_edges_and_the_volume_of_the_surface(surfaces):
    mesh = mesh_surfaces(surfaces[:1], size_mm=EDGE, size_inside_mm=5.0, remesh=False, element="tet10").mesh

    assert mesh.element == "tet10"
    assert mesh.surfaces["L1/outer"].facets.shape[1] == 6
    assert_allclose(cell_volumes(mesh).sum(), surfaces[0].surface.volume, rtol=1e-9)
    middles = mesh.points[mesh.cells[:, 4:]]
    ends = np.array(ELEMENTS["tet10"].edges)
    assert_allclose(middles, mesh.points[mesh.cells[:, ends]].mean(axis=2), atol=1e-12)


def test_posterior_elements_are_named_or_left_out(surfaces):
    back = surfaces[0].frame.origin[1] + 12.0
    cut = SimpleNamespace(is_behind=lambda points: points[:, 1] > back)
    one = replace(surfaces[0], cut=cut)

    kept = mesh_surfaces([one], size_mm=EDGE, size_inside_mm=6.0, remesh=False).mesh
    without = mesh_surfaces([one], size_mm=EDGE, size_inside_mm=6.0, remesh=False, keep_posterior=False).mesh

    whole = tet_volumes(kept.points, kept.cells).sum()
    assert "L1/posterior" not in without.regions
    assert region_volume(kept, "L1/posterior") > 1000.0
    # Whole cells stay or go: their mean is the cut, within half a cell of 3 mm along its border.
    rest = sum(region_volume(without, name) for name in without.regions)
    assert_allclose(rest, whole - region_volume(kept, "L1/posterior"), rtol=0.05)
    assert_conforming(without)
    assert_allclose(sum(r.dense(len(without.cells)) for r in without.regions.values()), 1.0, rtol=0, atol=1e-12)


def test_vertebrae_in_the_wrong_order_of_height_are_refused(surfaces):
    swapped = [replace(surfaces[0], level="L2"), replace(surfaces[1], level="L1")]
    with pytest.raises(InputError, match="do not face each other"):
        mesh_surfaces(swapped, size_mm=EDGE, remesh=False)


def test_a_disc_wall_that_runs_through_bone_is_refused_with_its_depth(surfaces):
    body = surfaces[0]
    inside = body.frame.origin + np.array([[0.0, 0.0, 0.0], [40.0, 0.0, 0.0]])
    with pytest.raises(InputError, match=r"disc L1-L2 runs 1[0-9]\.\d mm deep through L1"):
        check_wall(inside, body.surface, disc="L1-L2", level="L1")
    check_wall(inside[1:], body.surface, disc="L1-L2", level="L1")


def test_levels_with_a_gap_an_unknown_element_and_a_nonsense_bulge_are_refused(surfaces):
    with pytest.raises(InputError, match="not consecutive"):
        mesh_surfaces([surfaces[0], replace(surfaces[1], level="L3")])
    with pytest.raises(InputError, match="not consecutive"):
        mesh_surfaces([surfaces[0], surfaces[0]])
    with pytest.raises(InputError, match="hex8"):
        mesh_surfaces(surfaces, element="hex8")
    with pytest.raises(InputError, match="bulge"):
        mesh_surfaces(surfaces, size_mm=EDGE, remesh=False, disc_bulge_mm=-1.0)
    with pytest.raises(InputError, match="no vertebra"):
        mesh_surfaces([])


def test_dimensions_are_measured_back_from_the_surface(column, surfaces):
    for vertebra, surface in zip(column.vertebrae, surfaces, strict=True):
        measured, given = placed_vertebra(surface), vertebra.dimensions
        names = ("superior_width_mm", "inferior_width_mm", "superior_depth_mm", "inferior_depth_mm")
        # Points 3 mm apart miss the widest place by 3^2 / (8 * 20) = 0.06 mm, and the middle strip's ends by as much.
        for name in names:
            assert getattr(measured.dimensions, name) == pytest.approx(getattr(given, name), abs=0.6)
        for name in ("anterior_height_mm", "posterior_height_mm"):
            assert getattr(measured.dimensions, name) == pytest.approx(getattr(given, name), abs=0.3)
        assert_allclose(measured.frame.axes, vertebra.frame.axes, atol=0.02)
        assert_allclose(measured.frame.origin, vertebra.frame.origin, atol=0.4)


def test_tissue_has_the_density_of_its_field_and_the_annulus_axes(tet, structured):
    uniform = tet_tissue(tet, UniformDensity(0.1))
    pattern = tet_tissue(tet, PatternedDensity(0.1))
    same = structured_tissue(structured, PatternedDensity(0.1))

    bone = np.isin(np.arange(len(tet.mesh.cells)), tet.mesh.level_cells("L1-L2"), invert=True)
    assert_allclose(uniform.density[bone], 0.1, rtol=1e-12)
    assert np.all(uniform.density[~bone] == 0.0)
    assert set(uniform.axes) == {"L1-L2/annulus"}
    for level in ("L1", "L2"):
        means = [
            float(cell_volumes(m)[m.level_cells(level)] @ t.density[m.level_cells(level)])
            / float(cell_volumes(m)[m.level_cells(level)].sum())
            for m, t in ((tet.mesh, pattern), (structured.mesh, same))
        ]
        assert_allclose(means[0], means[1], rtol=0.01)  # dimensions measured on the surface, not those it was made of


def test_tissue_from_a_ct_has_the_means_of_a_linear_field(tet):
    slope = np.array([0.001, -0.002, 0.0015])
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in (60, 60, 90)), indexing="ij"), axis=-1)
    affine = np.diag([1.5, 1.5, 1.5, 1.0])
    affine[:3, 3] = [-45.0, -45.0, -65.0]
    places = grid * 1.5 + affine[:3, 3]

    tissue = tet_tissue_from_ct(tet, Volume(0.2 + places @ slope, affine), "rho_qct")

    bone = np.concatenate([tet.mesh.level_cells(level) for level in ("L1", "L2")])
    middle = tet.mesh.frame.to_parent(cell_centroids(tet.mesh))[bone]
    # A field constant in voxels of 1.5 mm is off the linear one by half a step at most, and by far less in a mean.
    assert_allclose(tissue.density[bone], 0.2 + middle @ slope, rtol=0, atol=0.5 * 1.5 * np.abs(slope).sum())
    volume = cell_volumes(tet.mesh)[bone]
    assert_allclose(volume @ tissue.density[bone], volume @ (0.2 + middle @ slope), rtol=2e-3)


def assert_well_shaped(mesh, *, bulk):
    """Bulk above a limit; layers as flat as they must be (0.35 mm on edges of 2: t / h is 0.18), few flatter."""
    quality = mesh_quality(mesh.points, mesh.cells, mesh.element)
    in_layer = np.zeros(len(mesh.cells), dtype=bool)
    for name, region in mesh.regions.items():
        if name.endswith(("endplate", "cortical")):
            in_layer[region.cells] = True

    assert quality.least_det_jacobian.min() > 0.0
    assert quality.scaled_jacobian[~in_layer].min() > bulk
    layer = quality.scaled_jacobian[in_layer]
    assert np.median(layer) > 0.18
    assert np.percentile(layer, 1.0) > 0.05
    assert layer.min() > 0.01


@pytest.mark.long
@pytest.mark.data
@pytest.mark.parametrize("level", ["L1", "L2", "L3", "L4", "L5"])
def test_each_scanner_surface_becomes_a_valid_quadratic_mesh(data_dir, level):
    require_gmsh()
    surface = read_surface(data_dir / "surfaces_L1_L5" / f"{level}.ply", axes="ALS", unit="mm")

    mesh = mesh_surfaces([vertebra_parts(surface, level)], element="tet10").mesh

    assert_well_shaped(mesh, bulk=0.1)
    assert_allclose(cell_volumes(mesh).sum(), surface.volume, rtol=0.002)  # remeshed at equal volume
    assert_conforming(mesh)
    for side in ("superior_endplate", "inferior_endplate"):
        area = mesh.surfaces[f"{level}/{side}"].areas.sum()
        assert_allclose(region_volume(mesh, f"{level}/{side}"), 0.35 * area, rtol=0.02)


@pytest.mark.long
@pytest.mark.data
def test_three_scanner_surfaces_become_one_conforming_segment(data_dir):
    require_gmsh()
    folder = data_dir / "surfaces_L1_L5"
    vertebrae = [
        vertebra_parts(read_surface(folder / f"{level}.ply", axes="ALS", unit="mm"), level)
        for level in ("L1", "L2", "L3")
    ]

    mesh = mesh_surfaces(vertebrae, element="tet10").mesh

    assert_conforming(mesh)
    assert_well_shaped(mesh, bulk=0.1)
    assert_allclose(sum(r.dense(len(mesh.cells)) for r in mesh.regions.values()), 1.0, rtol=0, atol=1e-12)
    for disc in ("L1-L2", "L2-L3"):
        nucleus, annulus = (region_volume(mesh, f"{disc}/{part}") for part in ("nucleus", "annulus"))
        # 0.40 of the area; of the volume more or less as the disc is higher or lower in its middle.
        assert 0.36 < nucleus / (nucleus + annulus) < 0.44
