"""Sections of cells: areas and outlines that geometry gives exactly."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from tet_split import split_mesh

from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.report.sections import cut_cells, outline

X, Y, Z = np.eye(3)
CUBE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], float)


def bricks(n: int, h: float) -> tuple[np.ndarray, np.ndarray]:
    """n x n x n cubes of edge h."""
    k, j, i = (a.ravel() for a in np.meshgrid(*[np.arange(n + 1)] * 3, indexing="ij"))
    points = np.stack([i, j, k], axis=1) * h
    k, j, i = (a.ravel() for a in np.meshgrid(*[np.arange(n)] * 3, indexing="ij"))
    first = i + (n + 1) * (j + (n + 1) * k)
    bottom = first[:, None] + np.array([0, 1, n + 2, n + 1])
    return points, np.hstack([bottom, bottom + (n + 1) ** 2])


def test_diagonal_cut_through_a_cube_is_the_regular_hexagon():
    normal = np.ones(3) / np.sqrt(3)
    right = np.array([1, -1, 0]) / np.sqrt(2)
    axes = np.stack([right, np.cross(normal, right)])

    section = cut_cells(CUBE, np.arange(8)[None], origin=np.full(3, 0.5), normal=normal, axes=axes)

    # Side sqrt(1/2): area 3 sqrt(3) / 4.
    assert_allclose(section.areas, 3 * np.sqrt(3) / 4, rtol=1e-12)
    assert_allclose(section.centroids, 0.0, atol=1e-12)


@pytest.mark.parametrize("height", [0.0, 1.3, 2.0, 4.0])
def test_areas_add_up_to_the_section_on_grid_planes_too(height):
    points, cells = bricks(4, 1.0)
    origin = np.array([0, 0, min(max(height, 1e-3), 4 - 1e-3)])

    section = cut_cells(points, cells, origin=origin, normal=Z, axes=np.stack([X, Y]))

    assert len(section.cells) == 16
    assert_allclose(section.areas.sum(), 16.0, rtol=1e-9)


def test_oblique_plane_area_is_the_projected_one():
    points, cells = bricks(5, 1.0)
    tilt = np.radians(17.0)
    normal = np.array([0, -np.sin(tilt), np.cos(tilt)])
    axes = np.stack([X, np.array([0, np.cos(tilt), np.sin(tilt)])])

    section = cut_cells(points, cells, origin=np.full(3, 2.5), normal=normal, axes=axes)

    assert_allclose(section.areas.sum(), 25.0 / np.cos(tilt), rtol=1e-9)
    assert (section.areas >= -1e-12).all()


def test_plane_through_mesh_points_leaves_no_polygon_without_a_place():
    points, cells = bricks(2, 1.0)
    normal = np.ones(3) / np.sqrt(3)
    right = np.array([1, -1, 0]) / np.sqrt(2)

    section = cut_cells(
        points, cells, origin=np.ones(3), normal=normal, axes=np.stack([right, np.cross(normal, right)])
    )

    # Edge 2: four times the hexagon of the unit cube; the plane is moved by 1e-5 of a cell.
    assert_allclose(section.areas.sum(), 3 * np.sqrt(3), rtol=1e-4)
    assert np.isfinite(section.centroids).all()


def test_outline_of_a_block_is_its_perimeter():
    points, cells = bricks(4, 0.5)
    section = cut_cells(points, cells, origin=np.full(3, 0.7), normal=X, axes=np.stack([Y, Z]))
    centre = section.centroids
    inside = (np.abs(centre - 1.0) < 0.5).all(axis=1)

    segments = outline(section, inside)

    assert inside.sum() == 4
    assert_allclose(np.linalg.norm(segments[:, 1] - segments[:, 0], axis=1).sum(), 4.0, rtol=1e-9)


def test_outline_between_two_halves_counts_their_border_once_each():
    points, cells = bricks(4, 1.0)
    section = cut_cells(points, cells, origin=np.full(3, 1.6), normal=Y, axes=np.stack([X, Z]))
    lower = section.centroids[:, 1] < 2.0

    lengths = [np.ptp(outline(section, part), axis=1).sum() for part in (lower, ~lower)]

    assert_allclose(lengths, 2 * (4 + 2), rtol=1e-9)


def test_a_plane_beside_the_mesh_is_refused_with_its_place():
    with pytest.raises(InputError, match=r"misses the mesh(.|\n)*9\.0"):
        cut_cells(CUBE, np.arange(8)[None], origin=9.0 * X, normal=X, axes=np.stack([Y, Z]))


TET = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)


def test_a_tetrahedron_is_cut_in_a_triangle_beside_a_corner_and_in_a_quadrilateral_between_two_edges():
    flat = cut_cells(TET, np.arange(4)[None], origin=0.5 * Z, normal=Z, axes=np.stack([X, Y]))
    normal = (X + Y) / np.sqrt(2)
    axes = np.stack([(Y - X) / np.sqrt(2), Z])
    upright = cut_cells(TET, np.arange(4)[None], origin=0.5 * X, normal=normal, axes=axes)

    assert_allclose(flat.areas, 0.5 * 0.5**2, rtol=1e-12)
    assert_allclose(flat.centroids, [[1 / 6, 1 / 6]], rtol=1e-12)
    # x + y = 0.5 from edge to edge, half a unit high.
    assert_allclose(upright.areas, np.sqrt(0.5) * 0.5, rtol=1e-12)


@pytest.mark.parametrize("quadratic", [False, True])
def test_tetrahedra_have_the_section_and_the_outlines_of_the_bricks_they_fill(quadratic):
    points, cells = bricks(4, 1.0)
    frame = Frame(np.zeros(3), np.eye(3))
    mesh = split_mesh(SpineMesh(points, cells, {}, {}, {}, (), frame), quadratic=quadratic)
    tilt = np.radians(17.0)
    normal = np.array([0, -np.sin(tilt), np.cos(tilt)])
    axes = np.stack([X, np.array([0, np.cos(tilt), np.sin(tilt)])])
    both = [cut_cells(m[0], m[1], origin=np.full(3, 2.1), normal=normal, axes=axes) for m in (
        (points, cells), (mesh.points, mesh.cells))]  # fmt: skip

    lengths = []
    for section, of in zip(both, (cells, mesh.cells), strict=True):
        inside = section.cells < len(of) // 2
        edges = outline(section, inside)
        lengths.append(np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1).sum())
        assert_allclose(section.areas.sum(), 16.0 / np.cos(tilt), rtol=1e-9)
        assert (section.areas > 0.0).all()
    assert_allclose(lengths[1], lengths[0], rtol=1e-9)


def test_cells_of_no_known_kind_are_refused():
    with pytest.raises(InputError, match="cells of 5 nodes are unknown"):
        cut_cells(CUBE, np.arange(5)[None], origin=np.full(3, 0.5), normal=X, axes=np.stack([Y, Z]))
