"""Quality of cells against closed forms; quadratic cells; volumes, areas and depths of every kind of cell."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from solid_meshes import solid_box

from fesolver.anatomy.column import build_column
from fesolver.anatomy.frames import Frame
from fesolver.bone.tissue import Region
from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.meshing.quality import check_quality, mesh_quality, quality_table, region_quality
from fesolver.meshing.regions import cell_moments, depth_below, facet_vectors, section_area
from fesolver.meshing.second_order import second_order
from fesolver.meshing.spine_mesh import SpineMesh, Surface
from fesolver.meshing.structured import mesh_column

CUBE = np.array(
    [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=np.float64
)
TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(0.75), 0], [0.5, np.sqrt(1 / 12), np.sqrt(2 / 3)]])
WEDGE = np.concatenate([TETRAHEDRON[:3], TETRAHEDRON[:3] + np.array([0, 0, 1.0])])
REGULAR = {"hex8": CUBE, "tet4": TETRAHEDRON, "wedge6": WEDGE}
QUADRATIC = {"hex8": "hex20", "tet4": "tet10", "wedge6": "wedge15"}
ROTATION = np.linalg.qr(np.array([[0.3, 1.0, 0.2], [-0.7, 0.1, 0.9], [0.5, -0.4, 1.1]]))[0]
ROTATION *= np.sign(np.linalg.det(ROTATION))


def with_middles(points, element):
    """Nodes of the quadratic cell with straight sides over one linear cell."""
    return np.concatenate([points, points[np.array(ELEMENTS[element].edges)].mean(axis=1)])


def of_one_cell(points, element):
    return mesh_quality(points, np.arange(len(points))[None], element)


def spine_mesh(points, cells, element, surfaces=None):
    frame = Frame(np.zeros(3), np.eye(3))
    regions = {"L1/trabecular": Region(np.arange(len(cells)), np.ones(len(cells)))}
    return SpineMesh(points, cells, regions, surfaces or {}, {"L1": frame}, ("L1",), frame, element=element)


@pytest.mark.parametrize("element", REGULAR)
def test_a_regular_cell_has_quality_one_wherever_it_stands(element):
    points = 3.0 * REGULAR[element] @ ROTATION.T + [5.0, -2.0, 7.0]
    for name, nodes in ((element, points), (QUADRATIC[element], with_middles(points, element))):
        quality = of_one_cell(nodes, name)
        assert_allclose(quality.scaled_jacobian, 1.0, rtol=1e-12)
        assert_allclose(quality.aspect_ratio, 1.0, rtol=1e-12)
        assert_allclose(quality.least_det_jacobian, 1.0, rtol=1e-9)
    volume = {"hex8": 27.0, "tet4": 27.0 / np.sqrt(72.0), "wedge6": 27.0 * np.sqrt(3.0) / 4.0}[element]
    assert_allclose(of_one_cell(points, element).volume, volume, rtol=1e-12)


@pytest.mark.parametrize("angle_deg", [80.0, 45.0, 15.0])
def test_a_sheared_box_has_the_sine_of_its_angle(angle_deg):
    angle = np.deg2rad(angle_deg)
    shear = np.array([[1.0, 0.0, 0.0], [np.cos(angle), np.sin(angle), 0.0], [0.0, 0.0, 1.0]])

    quality = of_one_cell(CUBE @ shear, "hex8")

    assert_allclose(quality.scaled_jacobian, np.sin(angle), rtol=1e-12)
    assert_allclose(quality.volume, np.sin(angle), rtol=1e-12)


def test_the_scaled_jacobian_does_not_feel_a_flat_cell_and_the_aspect_ratio_does():
    quality = of_one_cell(CUBE * [1.0, 4.0, 0.2], "hex8")

    assert_allclose(quality.scaled_jacobian, 1.0, rtol=1e-12)
    assert_allclose(quality.aspect_ratio, 20.0, rtol=1e-12)


@pytest.mark.parametrize("height", [0.2, 0.6, 3.0])
def test_a_tetrahedron_has_verdicts_value(height):
    points = TETRAHEDRON.copy()
    points[3] = [0.5, np.sqrt(1 / 12), height]
    side = np.hypot(height, np.sqrt(1.0 / 3.0))
    # sqrt 2 J over the largest product of three lengths at a corner: two base edges and a side, or three sides.
    expected = np.sqrt(2.0) * height * np.sqrt(0.75) / max(side, side**3)

    assert_allclose(of_one_cell(points, "tet4").scaled_jacobian, expected, rtol=1e-12)


@pytest.mark.parametrize("element", REGULAR)
def test_an_inverted_cell_is_negative(element):
    mirrored = REGULAR[element] * [1.0, 1.0, -1.0]

    quality = of_one_cell(mirrored, element)

    assert quality.scaled_jacobian[0] < 0.0
    assert quality.volume[0] < 0.0


def test_a_quadratic_cell_that_folds_between_its_corners_is_found():
    nodes = with_middles(CUBE, "hex8")
    nodes[8, 1] += 1.4  # the middle of a bottom edge crosses the cell

    quality = of_one_cell(nodes, "hex20")

    assert of_one_cell(CUBE, "hex8").scaled_jacobian[0] == 1.0
    assert quality.least_det_jacobian[0] < 0.0


def test_cells_that_do_not_fit_their_element_are_refused():
    with pytest.raises(InputError, match=r"\(1, 8\) are not tet4 cells of 4 nodes"):
        mesh_quality(CUBE, np.arange(8)[None], "tet4")


def test_the_worst_cells_are_named_with_region_level_and_place():
    mesh = mesh_column(build_column(("L1", "L2")), refinement=0.4).mesh
    cell = int(mesh.regions["L1/trabecular"].cells[100])
    points = mesh.points.copy()
    a, b = mesh.cells[cell, [0, 6]]
    points[[a, b]] = points[[b, a]]
    folded = SpineMesh(points, mesh.cells, mesh.regions, {}, mesh.frames, mesh.levels, mesh.frame)

    with pytest.raises(InputError) as caught:
        check_quality(folded)
    text = str(caught.value)
    assert "inverted" in text
    assert "of L1/trabecular: -" in text
    assert " mm" in text
    worst = int(np.argmin(mesh_quality(points, mesh.cells).scaled_jacobian))
    assert f"cell {worst} of" in text
    assert "({:.1f}, {:.1f}, {:.1f}) mm".format(*points[mesh.cells[worst]].mean(axis=0)) in text


@pytest.mark.parametrize("limit", [0.0, -1.0, 1.5, float("nan")])
def test_a_limit_that_is_none_is_refused(limit):
    points, cells = solid_box("hex8")
    with pytest.raises(InputError, match="min_scaled_jacobian must lie in"):
        check_quality(spine_mesh(points, cells, "hex8"), min_scaled_jacobian=limit)


def test_the_table_has_a_line_per_region_with_the_measured_numbers():
    mesh = mesh_column(build_column(("L1", "L2")), refinement=0.4).mesh
    quality = mesh_quality(mesh.points, mesh.cells)
    rows = region_quality(mesh, quality)
    lines = quality_table(mesh, quality).splitlines()

    assert [row.name for row in rows] == list(mesh.regions)
    assert len(lines) == 2 + len(rows)
    own = quality.scaled_jacobian[mesh.regions["L1-L2/nucleus"].cells]
    row = next(r for r in rows if r.name == "L1-L2/nucleus")
    assert_allclose(row.scaled_jacobian, [own.min(), np.percentile(own, 5), np.median(own)], rtol=1e-12)
    assert f"{own.min():.3f}" in next(line for line in lines if line.startswith("L1-L2/nucleus"))


@pytest.mark.parametrize("element", QUADRATIC)
def test_second_order_keeps_ids_and_halves_every_edge(element):
    points, cells = solid_box(element, (2, 3, 2), distortion=0.15, seed=3)
    mesh = second_order(spine_mesh(points, cells, element))
    kind = ELEMENTS[mesh.element]

    assert mesh.element == QUADRATIC[element]
    assert_array_equal(mesh.points[: len(points)], points)
    assert_array_equal(mesh.cells[:, : kind.n_corners], cells)
    middles = mesh.points[mesh.cells[:, kind.n_corners :]]
    assert_allclose(middles, points[cells[:, np.array(kind.edges)]].mean(axis=2), atol=1e-15)
    # One point per edge of the mesh, none twice.
    assert len(np.unique(mesh.points.round(9), axis=0)) == len(mesh.points)
    assert_array_equal(np.unique(mesh.cells), np.arange(len(mesh.points)))
    with pytest.raises(InputError, match="quadratic already"):
        second_order(mesh)


@pytest.mark.parametrize("element", ELEMENTS)
def test_volumes_and_centroids_of_every_kind_of_cell_add_up_to_the_box(element):
    points, cells = solid_box(element, (2, 3, 2), (2.0, 3.0, 1.0), distortion=0.15, seed=5, curved=0.02)
    volume, centroid = cell_moments(spine_mesh(points, cells, element))

    # Inner sides are curved and shared: what one cell gains its neighbour loses, if both are integrated exactly.
    assert_allclose(volume.sum(), 6.0, rtol=1e-12)
    assert_allclose(volume @ centroid / 6.0, [1.0, 1.5, 0.5], rtol=1e-12)
    assert volume.min() > 0.0


def test_the_moments_of_one_tetrahedron_are_the_closed_form():
    volume, centroid = cell_moments(spine_mesh(TETRAHEDRON, np.arange(4)[None], "tet4"))

    assert_allclose(volume, 1.0 / np.sqrt(72.0), rtol=1e-12)
    assert_allclose(centroid[0], TETRAHEDRON.mean(axis=0), rtol=1e-12)


@pytest.mark.parametrize("element", ["hex8", "hex20", "tet4", "tet10"])
def test_vector_areas_of_a_closed_boundary_cancel_and_give_its_volume(element):
    points, cells = solid_box(element, (2, 2, 2), distortion=0.1, seed=1, curved=0.02)
    points = points @ ROTATION.T
    faces = cells[:, np.array(ELEMENTS[element].faces)].reshape(-1, len(ELEMENTS[element].faces[0]))
    _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    outside = faces[first[count == 1]]
    vectors = facet_vectors(points, outside)

    assert_allclose(vectors.sum(axis=0), 0.0, atol=1e-13)
    assert_allclose(np.linalg.norm(vectors, axis=1).sum(), 6.0, rtol=1e-12)
    corners = points[outside[:, : 3 if element.startswith("tet") else 4]].mean(axis=1)
    assert_allclose(np.einsum("ni,ni->", vectors, corners) / 3.0, 1.0, rtol=1e-12)


@pytest.mark.parametrize("element", ["hex8", "hex20", "tet4", "tet10"])
def test_depth_and_section_of_a_box_are_its_own(element):
    points, cells = solid_box(element, (4, 4, 4), (4.0, 4.0, 4.0))
    faces = cells[:, np.array(ELEMENTS[element].faces)].reshape(-1, len(ELEMENTS[element].faces[0]))
    n_faces = len(ELEMENTS[element].faces)
    top = np.flatnonzero(np.all(points[faces][..., 2] == 4.0, axis=1))
    vectors = facet_vectors(points, faces[top])
    areas = np.linalg.norm(vectors, axis=1)
    surface = Surface(faces[top], top // n_faces, vectors / areas[:, None], areas)
    mesh = spine_mesh(points - [0, 0, 2.0], cells, element, {"L1/superior_endplate": surface})
    centroid = cell_moments(mesh)[1]

    depth, _ = depth_below(mesh, "L1/superior_endplate", np.arange(len(cells)))

    assert_allclose(depth, 2.0 - centroid[:, 2], atol=1e-12)
    assert_allclose(section_area(mesh, ["L1/trabecular"], "L1", thickness_mm=4.001), 64.0 / 4.001, rtol=1e-12)


@pytest.mark.parametrize(
    "corners",
    [
        [(0, 0), (4, 0), (0, 4)],
        [(0, 0), (4, 0), (4, 4), (0, 4)],
        [(0, 0), (4, 0), (0, 4), (2, 0), (2, 2), (0, 2)],
        [(0, 0), (4, 0), (4, 4), (0, 4), (2, 0), (4, 2), (2, 4), (0, 2)],
    ],
)
def test_depth_is_measured_from_the_whole_of_a_facet(corners):
    points, cells = solid_box("hex8", (8, 8, 1), (4.0, 4.0, 1.0))
    at = [int(np.argmin(np.linalg.norm(points - [*corner, 1.0], axis=1))) for corner in corners]
    surface = Surface(np.array([at]), np.zeros(1, np.int64), np.array([[0.0, 0.0, 1.0]]), np.ones(1))
    mesh = spine_mesh(points, cells, "hex8", {"L1/outer": surface})
    centroid = cell_moments(mesh)[1]
    under = np.flatnonzero(centroid[:, :2].sum(axis=1) < 4.0 + 10.0 * (len(corners) % 4 == 0))

    depth, _ = depth_below(mesh, "L1/outer", under)

    assert_allclose(depth, 0.5, atol=1e-12)
