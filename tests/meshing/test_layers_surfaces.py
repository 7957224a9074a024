import numpy as np
import pytest
from analytic_bodies import HEIGHT, A, B, Column, rotation
from numpy.testing import assert_allclose
from scipy.special import ellipe

from fesolver.meshing.regions import cell_centroids, cell_volumes, depth_below, region_volume
from fesolver.meshing.spine_mesh import SpineMesh, Surface
from fesolver.meshing.voxel import mesh_segment

AREA = np.pi * A * B
PERIMETER = 4 * A * ellipe(1 - (B / A) ** 2)
TURNS = {"straight": np.eye(3), "20 degrees": rotation(20, [1, 0.6, 0])}


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS.keys())
@pytest.mark.parametrize(("spacing", "thickness"), [(1.0, 0.35), (1.0, 1.6), (2.0, 0.35)])
def test_layers_have_true_thickness_on_tilted_and_curved_walls(turn, spacing, thickness):
    image = Column(["L1"], with_arch=False).image(spacing=spacing, turn=turn)

    mesh = mesh_segment(image, cortical_thickness_mm=thickness, endplate_thickness_mm=thickness)

    # The rim belongs to one or the other by its rounded normal: half a cell on the perimeter, 120 x 1 / 1106.
    plates = [region_volume(mesh, f"L1/{part}_endplate") for part in ("superior", "inferior")]
    assert_allclose(plates, AREA * thickness, rtol=0.10)
    # Steiner's ring inside the ellipse, between the plates. Without the slope's factor 15 % would be lost on stairs; on
    # the 2 mm grid the top and bottom rows of 13 are shared with the plates.
    ring = (PERIMETER * thickness - np.pi * thickness**2) * (HEIGHT - 2 * thickness)
    assert_allclose(region_volume(mesh, "L1/cortical"), ring, rtol=0.08 if spacing < 2 else 0.12)


def test_layer_along_the_lattice_fills_exactly_its_part_of_each_cell():
    image = Column(["L1"], with_arch=False).image(spacing=1.0)
    mesh = mesh_segment(image, endplate_thickness_mm=1.35, cortical_thickness_mm=0.0)

    region = mesh.regions["L1/superior_endplate"]
    center = mesh.lattice.origin + (mesh.lattice.cell_index[region.cells] + 0.5)
    core = np.hypot(center[:, 0] / A, center[:, 1] / B) < 0.7
    top = center[core, 2].max()

    assert_allclose(region.fraction[core][center[core, 2] == top], 1.0)
    assert_allclose(region.fraction[core][center[core, 2] == top - 1], 0.35, rtol=1e-3)
    assert center[core, 2].min() == top - 1
    assert "L1/cortical" not in mesh.regions


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS.keys())
def test_surfaces_are_disjoint_closed_and_face_outwards(turn):
    image = Column(["L1", "L2"], wedge_deg=5.0).image(spacing=1.5, turn=turn)
    for keep in (False, True):
        mesh = mesh_segment(image, keep_posterior=keep)
        for number, level in enumerate(("L1", "L2"), start=1):
            parts = [mesh.surfaces[f"{level}/{p}"] for p in ("superior_endplate", "inferior_endplate", "outer")]
            facets = np.concatenate([p.facets for p in parts])
            assert len(np.unique(np.sort(facets, axis=1), axis=0)) == len(facets)
            areas = np.concatenate([p.areas for p in parts])
            normals = np.concatenate([p.normals for p in parts])
            assert_allclose((areas[:, None] * normals).sum(axis=0), 0.0, atol=1e-9)
            # Divergence theorem: the enclosed volume, positive only with outward normals.
            corners = mesh.points[facets]
            middle = corners.mean(axis=1)
            volume = (np.einsum("ni,ni->n", middle, normals) * areas).sum() / 3
            assert_allclose(volume, (image.body == number).sum() * 1.5**3, rtol=1e-9)
            turning = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1])
            assert_allclose(turning / np.linalg.norm(turning, axis=1, keepdims=True), normals, atol=1e-9)
            behind = cell_centroids(mesh)[np.concatenate([p.cells for p in parts])]
            assert_allclose(middle - behind, 0.75 * normals, atol=1e-9)


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS.keys())
def test_endplate_surfaces_project_on_the_footprint(turn):
    image = Column(["L1", "L2"], wedge_deg=5.0).image(spacing=1.0, turn=turn)
    mesh = mesh_segment(image)
    for level in ("L1", "L2"):
        geometry = image.vertebrae[level]
        for part, normal in (("superior", geometry.superior_normal), ("inferior", geometry.inferior_normal)):
            surface = mesh.surfaces[f"{level}/{part}_endplate"]
            assert_allclose(surface.areas @ (surface.normals @ normal), AREA, rtol=0.08)


def test_every_face_to_a_disc_is_endplate():
    column = Column(["L1", "L2"], wedge_deg=10.0, concavity=3.0)
    mesh = mesh_segment(column.image(spacing=1.0, turn=TURNS["20 degrees"]))
    soft = np.concatenate([mesh.regions[f"L1-L2/{p}"].cells for p in ("nucleus", "annulus")])
    faces = np.array([[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [2, 3, 7, 6], [0, 4, 7, 3], [1, 2, 6, 5]])
    disc = {tuple(f) for f in np.sort(mesh.cells[soft][:, faces].reshape(-1, 4), axis=1)}
    for name, surface in mesh.surfaces.items():
        shared = sum(tuple(f) in disc for f in np.sort(surface.facets, axis=1))
        if name in ("L1/inferior_endplate", "L2/superior_endplate"):
            assert shared > 1000
        else:
            assert shared == 0


def test_depth_below_a_flat_endplate_is_the_distance_from_it():
    mesh = mesh_segment(Column(["L1"], with_arch=False).image(spacing=1.0))
    cells = mesh.regions["L1/trabecular"].cells
    center = cell_centroids(mesh)
    top = mesh.points[mesh.surfaces["L1/superior_endplate"].facets][..., 2].max()
    core = cells[np.hypot(center[cells, 0] / A, center[cells, 1] / B) < 0.8]

    depth, facet = depth_below(mesh, "L1/superior_endplate", core)

    assert_allclose(depth, top - center[core, 2], atol=1e-12)
    nearest = mesh.points[mesh.surfaces["L1/superior_endplate"].facets[facet]].mean(axis=1)
    assert_allclose(np.hypot(*(nearest - center[core])[:, :2].T), 0.0, atol=1e-9)


def test_measures_hold_for_a_distorted_hexahedron():
    # A frustum: bottom 4 x 4, top 2 x 2, height 3: volume 28,
    # centroid at 3/4 (4^2 + 2 4 2 + 3 2^2) / (4^2 + 4 2 + 2^2).
    bottom = np.array([[-2, -2, 0], [2, -2, 0], [2, 2, 0], [-2, 2, 0]], dtype=float)
    points = np.concatenate([bottom, bottom / 2 + [0, 0, 3]])
    cells = np.arange(8)[None]
    surface = Surface(np.array([[4, 5, 6, 7]]), np.array([0]), np.array([[0, 0, 1.0]]), np.array([4.0]))
    from fesolver.anatomy.frames import Frame

    frame = Frame(np.zeros(3), np.eye(3))
    mesh = SpineMesh(points, cells, {}, {"L1/superior_endplate": surface}, {}, ("L1",), frame)

    z = 3 / 4 * (16 + 16 + 12) / 28
    assert_allclose(cell_volumes(mesh), 28.0, rtol=1e-13)
    assert_allclose(cell_centroids(mesh), [[0, 0, z]], atol=1e-13)
    assert_allclose(depth_below(mesh, "L1/superior_endplate", [0])[0], 3 - z, rtol=1e-13)
