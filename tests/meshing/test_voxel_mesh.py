import dataclasses

import numpy as np
import pytest
from analytic_bodies import B, Column, rotation
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fesolver.errors import InputError
from fesolver.meshing.regions import cell_volumes, region_volume
from fesolver.meshing.submesh import extract_body
from fesolver.meshing.voxel import mesh_segment, tissue_from_image

LEVELS = ["L1", "L2", "L3"]
TURNED = rotation(8, [1, 0.5, 0])
FACES = np.array([[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [2, 3, 7, 6], [0, 4, 7, 3], [1, 2, 6, 5]])


@pytest.fixture(scope="module")
def image():
    return Column(LEVELS, wedge_deg=6.0).image(spacing=1.5, turn=TURNED)


@pytest.fixture(scope="module")
def mesh(image):
    return mesh_segment(image)


@pytest.fixture(scope="module")
def kept(image):
    return mesh_segment(image, keep_posterior=True)


def face_components(cells):
    """Number of components of cells joined by whole faces."""
    faces = np.sort(cells[:, FACES].reshape(-1, 4), axis=1)
    owner = np.repeat(np.arange(len(cells)), 6)
    _, group = np.unique(faces, axis=0, return_inverse=True)
    order = np.argsort(group, kind="stable")
    pair = np.flatnonzero(group[order][1:] == group[order][:-1])
    a, b = owner[order][pair], owner[order][pair + 1]
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(cells), len(cells)))
    return connected_components(graph, directed=False)[0]


def test_cells_are_cubes_in_vtk_order_on_their_lattice(mesh):
    corners = mesh.points[mesh.cells]
    low = mesh.lattice.origin + mesh.lattice.cell_index * 1.5
    order = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    assert_allclose(corners, low[:, None] + 1.5 * order, atol=1e-9)
    assert_allclose(mesh.points, mesh.lattice.origin + mesh.lattice.point_index * 1.5, atol=1e-12)
    assert_array_equal(np.unique(mesh.cells), np.arange(len(mesh.points)))
    assert len(np.unique(mesh.lattice.cell_index, axis=0)) == len(mesh.cells)
    assert mesh.cells.dtype == np.int64
    assert mesh.lattice.cell_index.dtype == np.int32


@pytest.mark.parametrize("name", ["mesh", "kept"])
def test_fractions_sum_to_one_in_every_cell(name, request):
    mesh = request.getfixturevalue(name)
    total = np.zeros(len(mesh.cells))
    for region in mesh.regions.values():
        assert np.all(np.diff(region.cells) > 0)
        assert region.fraction.min() > 0
        assert region.fraction.max() <= 1
        total[region.cells] += region.fraction
    assert_allclose(total, 1.0, rtol=0, atol=1e-14)


def test_region_and_surface_names_are_the_agreed_ones(mesh, kept):
    bone = ("trabecular", "cortical", "superior_endplate", "inferior_endplate")
    names = {f"{level}/{part}" for level in LEVELS for part in bone}
    names |= {f"{disc}/{part}" for disc in ("L1-L2", "L2-L3") for part in ("nucleus", "annulus")}
    assert set(mesh.regions) == names
    assert set(kept.regions) == names | {f"{level}/posterior" for level in LEVELS}
    surfaces = {f"{level}/{part}" for level in LEVELS for part in ("superior_endplate", "inferior_endplate", "outer")}
    assert set(mesh.surfaces) == set(kept.surfaces) == surfaces
    assert set(mesh.frames) == {*LEVELS, "L1-L2", "L2-L3"}


@pytest.mark.parametrize("name", ["mesh", "kept"])
def test_everything_hangs_together_by_faces_and_so_does_each_body(name, request):
    mesh = request.getfixturevalue(name)
    assert face_components(mesh.cells) == 1
    for level in LEVELS:
        names = [n for n in mesh.regions if n.startswith(f"{level}/") and not n.endswith("posterior")]
        own = np.unique(np.concatenate([mesh.regions[n].cells for n in names]))
        assert face_components(mesh.cells[own]) == 1


@pytest.mark.parametrize("name", ["mesh", "kept"])
def test_levels_share_points_only_through_discs(name, request):
    mesh = request.getfixturevalue(name)
    points = {level: np.unique(mesh.cells[mesh.level_cells(level)]) for level in LEVELS}
    for upper, lower in (("L1", "L2"), ("L2", "L3"), ("L1", "L3")):
        assert len(np.intersect1d(points[upper], points[lower])) == 0
    if name == "kept":
        for disc in ("L1-L2", "L2-L3"):
            soft = np.concatenate([mesh.regions[f"{disc}/{part}"].cells for part in ("nucleus", "annulus")])
            behind = np.concatenate([mesh.regions[f"{level}/posterior"].cells for level in LEVELS])
            assert len(np.intersect1d(mesh.cells[soft], mesh.cells[behind])) == 0


def test_no_slit_of_air_is_left_between_disc_and_bodies(image, mesh):
    filled = np.zeros(image.body.shape, dtype=bool)
    filled[tuple(mesh.lattice.cell_index.T)] = True
    # Straight along the lattice, inside the rim, bone and disc follow each other without a gap.
    x = image.origin[0] + (np.arange(filled.shape[0]) + 0.5) * 1.5
    y = image.origin[1] + (np.arange(filled.shape[1]) + 0.5) * 1.5
    z = image.origin[2] + (np.arange(filled.shape[2]) + 0.5) * 1.5
    points = image.frame.to_parent(np.stack(np.meshgrid(x, y, z, indexing="ij"), axis=-1))
    column = Column(LEVELS)
    core = (points[..., 0] / 18) ** 2 + (points[..., 1] / 12) ** 2 < 1
    low, high = column.middle(2) - 8, column.middle(0) + 8
    assert filled[core & (points[..., 2] > low) & (points[..., 2] < high)].all()


def test_extra_labels_become_regions_and_leave_the_rest_its_share(image):
    cement = np.zeros(image.body.shape)
    middle = ndimage.center_of_mass(image.body == 2)
    i, j, k = (int(c) for c in middle)
    cement[i - 2 : i + 3, j - 2 : j + 3, k - 2 : k + 3] = 1.0
    cement[i + 3, j - 2 : j + 3, k - 2 : k + 3] = 0.25

    mesh = mesh_segment(dataclasses.replace(image, extra={"cement": cement}))

    assert_allclose(region_volume(mesh, "L2/cement"), cement.sum() * 1.5**3, rtol=1e-12)
    assert "L1/cement" not in mesh.regions
    body = [n for n in mesh.regions if n.startswith("L2/")]
    total = sum(region_volume(mesh, n) for n in body)
    assert_allclose(total, (image.body == 2).sum() * 1.5**3, rtol=1e-12)


def test_shell_from_ct_has_no_layers(image):
    mesh = mesh_segment(image, shell="from_ct")
    assert {name.split("/")[1] for name in mesh.regions} == {"trabecular", "nucleus", "annulus"}


def test_crumbs_and_cells_on_an_edge_are_left_out(image, mesh):
    body = image.body.copy()
    at = np.argwhere(body == 3)
    corner = at[np.lexsort((at[:, 1], at[:, 0], -at[:, 2]))[0]]
    hinge = corner + np.array([-1, -1, 0])
    assert body[tuple(hinge)] == 0
    body[tuple(hinge)] = 3
    body[1, 1, 1] = 3
    # Only reached by an edge of the corner cell or not at all.
    neighbours = [hinge + step for step in np.vstack([np.eye(3, dtype=int), -np.eye(3, dtype=int)])]
    assert not any(body[tuple(n)] for n in neighbours)

    again = mesh_segment(dataclasses.replace(image, body=body))

    assert_array_equal(again.cells, mesh.cells)


def test_bodies_that_share_points_are_refused_with_their_place(image):
    body = image.body.copy()
    middle = np.round(ndimage.center_of_mass(body == 2)).astype(int)
    gap = np.flatnonzero(body[middle[0], middle[1]] == 2).max() + 1
    body[middle[0], middle[1], gap : gap + 12][body[middle[0], middle[1], gap : gap + 12] == 0] = 1
    with pytest.raises(InputError, match=r"the body of L1 shares points(.|\n)*near \["):
        mesh_segment(dataclasses.replace(image, body=body))


def test_parameters_out_of_range_are_refused(image):
    for fraction in (0.0, 1.0, np.nan):
        with pytest.raises(InputError, match="nucleus_area_fraction"):
            mesh_segment(image, nucleus_area_fraction=fraction)
    with pytest.raises(InputError, match="shell 'thick'"):
        mesh_segment(image, shell="thick")
    with pytest.raises(InputError, match="cortical_thickness_mm must be 0 or positive"):
        mesh_segment(image, cortical_thickness_mm=-0.1)
    with pytest.raises(InputError, match="body of L3 has no cells"):
        mesh_segment(dataclasses.replace(image, body=np.where(image.body == 3, 0, image.body).astype(np.int8)))


def test_tissue_has_density_in_bone_only_and_right_handed_annulus_axes(image, mesh):
    rng = np.random.default_rng(7)
    image = dataclasses.replace(image, density=rng.normal(0.1, 0.1, image.body.shape))
    tissue = tissue_from_image(mesh, image)

    expected = image.density[tuple(mesh.lattice.cell_index.T)]
    bone = np.unique(np.concatenate([mesh.level_cells(level) for level in LEVELS]))
    assert_array_equal(tissue.density[bone], expected[bone])
    assert not np.delete(tissue.density, bone).any()
    for name, axes in tissue.axes.items():
        assert axes.shape == (len(mesh.regions[name].cells), 3, 3)
        assert_allclose(axes @ axes.transpose(0, 2, 1), np.broadcast_to(np.eye(3), axes.shape), atol=1e-12)
        assert_allclose(np.linalg.det(axes), 1.0, atol=1e-12)


def test_annulus_axes_follow_the_ellipse(image, mesh):
    tissue = tissue_from_image(mesh, image)
    name = "L1-L2/annulus"
    cells = mesh.regions[name].cells
    frame = mesh.frames["L1-L2"]
    # The column's own coordinates: there the ellipse stands about x = y = 0.
    local = image.frame.to_parent(mesh.lattice.origin + (mesh.lattice.cell_index[cells] + 0.5) * 1.5)
    exact = local / np.array([22.0**2, 16.0**2, np.inf])
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    radial = image.frame.vectors_to_parent(tissue.axes[name][:, 1])
    off = np.rad2deg(np.arccos(np.clip((exact * radial).sum(axis=1), -1, 1)))
    # Cells of 1.5 mm at a rim of radius 16 mm stand for 5 degrees each.
    assert np.quantile(off, 0.95) < 8.0
    assert_allclose(tissue.axes[name][:, 2], np.broadcast_to(frame.axes[2], radial.shape), atol=1e-12)


def test_image_of_another_grid_is_refused(image, mesh):
    other = dataclasses.replace(image, origin=image.origin + 1.0)
    with pytest.raises(InputError, match="not made from this image"):
        tissue_from_image(mesh, other)


def test_isolated_body_is_the_same_body_renumbered(image, kept):
    tissue = tissue_from_image(kept, image)
    body, own = extract_body(kept, tissue, "L2")

    assert body.levels == ("L2",)
    assert set(body.regions) == {"L2/trabecular", "L2/cortical", "L2/superior_endplate", "L2/inferior_endplate"}
    assert set(body.frames) == {"L2"}
    assert len(body.cells) == (image.body == 2).sum()
    assert_array_equal(np.unique(body.cells), np.arange(len(body.points)))
    assert face_components(body.cells) == 1
    for name, surface in body.surfaces.items():
        full = kept.surfaces[name]
        assert_allclose(body.points[surface.facets], kept.points[full.facets], atol=0)
        assert_array_equal(surface.areas, full.areas)
    for name, region in body.regions.items():
        assert_allclose(region.fraction, kept.regions[name].fraction, atol=0)
    assert_allclose(cell_volumes(body).sum(), len(body.cells) * 1.5**3)
    assert len(own.density) == len(body.cells)
    assert_allclose(body.points, body.lattice.origin + body.lattice.point_index * 1.5, atol=1e-12)
    with pytest.raises(InputError, match="no level 'T12'"):
        extract_body(kept, tissue, "T12")


def test_posterior_elements_hang_on_their_own_body(image, kept):
    for level in LEVELS:
        cells = kept.level_cells(level)
        assert face_components(kept.cells[cells]) == 1
        centers = kept.lattice.origin + (kept.lattice.cell_index[kept.regions[f"{level}/posterior"].cells] + 0.5) * 1.5
        assert image.frame.to_parent(centers)[:, 1].min() > B - 10


def test_mesh_is_the_same_in_a_second_run(image, mesh):
    again = mesh_segment(image)
    assert_array_equal(again.cells, mesh.cells)
    for name, region in mesh.regions.items():
        assert_array_equal(again.regions[name].cells, region.cells)
        assert_array_equal(again.regions[name].fraction, region.fraction)
