"""Means of a voxel-wise constant field over cells: exact for every element, size and orientation."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from solid_meshes import solid_box

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS, shape_functions, shape_gradients
from fesolver.fem.threads import kernel_threads
from fesolver.imaging.cell_averages import cell_averages
from fesolver.imaging.volume import Volume
from fesolver.meshing.quality import mesh_quality

SHAPE = (9, 7, 8)


def oblique(*, flip: bool = False) -> np.ndarray:
    """A rotated affine with three different steps, left-handed on demand."""
    turn = np.linalg.qr(np.random.default_rng(2).standard_normal((3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([0.9, 1.3, 2.1])
    if (np.linalg.det(affine[:3, :3]) < 0) != flip:
        affine[:3, 2] *= -1.0
    affine[:3, 3] = [12.0, -40.0, 7.0]
    return affine


def noise(affine: np.ndarray) -> Volume:
    """Every voxel another value, positive and negative."""
    return Volume(np.random.default_rng(4).uniform(-1.0, 2.0, SHAPE), affine)


def to_mm(volume: Volume, steps: np.ndarray) -> np.ndarray:
    """Places in voxel steps from the volume's first corner, in mm, with the sign of a left-handed affine kept."""
    return volume.to_mm(steps - 0.5)


def right_handed(cells: np.ndarray, element: str, volume: Volume) -> np.ndarray:
    """Cells made in voxel steps, in VTK order in mm: turned over where the affine is left-handed."""
    if np.linalg.det(volume.affine[:3, :3]) > 0:
        return cells
    corners = {"tet4": [0, 2, 1, 3], "hex8": [4, 5, 6, 7, 0, 1, 2, 3], "wedge6": [3, 4, 5, 0, 1, 2]}[element]
    return cells[:, corners]


def overlap_sums(volume: Volume, low, high) -> float:
    """Sum over voxels of value times overlap with a box, all in voxel steps: the box along the axes."""
    parts = []
    for n, a, b in zip(SHAPE, low, high, strict=True):
        i = np.arange(n)
        parts.append(np.clip(np.minimum(i + 1, b) - np.maximum(i, a), 0.0, 1.0))
    return float(np.einsum("ijk,i,j,k", volume.values, *parts))


@pytest.mark.parametrize(
    ("element", "flip"), [(e, False) for e in ELEMENTS] + [(e, True) for e in ("hex8", "tet4", "wedge6")]
)
def test_a_distorted_mesh_of_a_box_holds_exactly_what_the_box_holds(element, flip):
    volume, low, size = noise(oblique(flip=flip)), np.array([0.3, 1.7, 2.0]), np.array([7.9, 4.6, 5.0])
    points, cells = solid_box(element, (4, 3, 3), tuple(size), distortion=0.2, seed=1)

    found = cell_averages(to_mm(volume, points + low), right_handed(cells, element, volume), element, volume)

    whole = overlap_sums(volume, low, low + size) * abs(np.linalg.det(volume.affine[:3, :3]))
    assert_allclose(found.mean @ found.volume, whole, rtol=1e-12)  # round-off: no voxel lost or counted twice
    assert_allclose(found.covered, 1.0, rtol=1e-12)


@pytest.mark.parametrize("edge", [0.13, 1.0, 6.7])
def test_cells_much_smaller_as_large_and_much_larger_than_voxels_are_exact(edge):
    volume = noise(oblique())
    low = np.array([0.95, 0.21, 0.4])
    points, cells = solid_box("hex8", (1, 1, 1), (edge, edge, edge))

    found = cell_averages(to_mm(volume, points + low), cells, "hex8", volume)

    assert_allclose(found.mean[0], overlap_sums(volume, low, low + edge) / edge**3, rtol=1e-11)


@pytest.mark.parametrize("element", ["tet4", "hex8", "wedge6"])
def test_means_agree_with_dense_sampling(element):
    volume, rng = noise(oblique()), np.random.default_rng(6)
    points, cells = solid_box(element, (2, 1, 1), (5.0, 4.5, 5.5), distortion=0.1, seed=3)
    points[points[:, 0] > 2.6] *= [1.1, 0.9, 1.05]
    places = to_mm(volume, points + np.array([1.4, 0.8, 0.9]))
    n = 40_000
    xi = rng.uniform(-1.0, 1.0, (n, 3))
    if ELEMENTS[element].shape == "tetrahedron":
        xi = rng.dirichlet(np.ones(4), n)[:, :3]
    elif ELEMENTS[element].shape == "wedge":
        xi[:, :2] = rng.dirichlet(np.ones(3), n)[:, :2]
    found = cell_averages(places, cells, element, volume).mean

    for cell, mean in zip(cells, found, strict=True):
        index = np.rint(volume.to_index(shape_functions(element, xi) @ places[cell])).astype(int)
        jacobian = np.einsum("qkd,ki->qdi", shape_gradients(element, xi), places[cell])
        sampled = np.average(volume.values[tuple(index.T)], weights=np.linalg.det(jacobian))
        # Five standard errors of a mean of 40 000 values spread by 0.87.
        assert mean == pytest.approx(sampled, abs=0.022)


def test_a_linear_field_gives_its_value_at_the_centroid_of_a_box_of_voxels():
    i, j, k = np.indices(SHAPE)
    volume = Volume(0.3 + 0.02 * i - 0.05 * j + 0.01 * k, oblique())
    points, cells = solid_box("hex8", (1, 1, 1), (4.0, 3.0, 5.0))
    low = np.array([2.0, 1.0, 3.0])

    found = cell_averages(to_mm(volume, points + low), cells, "hex8", volume)

    middle = low + np.array([2.0, 1.5, 2.5]) - 0.5
    assert_allclose(found.mean[0], 0.3 + middle @ [0.02, -0.05, 0.01], rtol=1e-13)


def test_volumes_are_those_of_the_trilinear_map():
    points, cells = solid_box("hex8", (3, 3, 3), (6.0, 6.0, 6.0), distortion=0.25, seed=8)
    volume = Volume(np.ones((8, 8, 8)), np.eye(4))

    assert_allclose(cell_averages(points, cells, "hex8", volume).volume, mesh_quality(points, cells).volume, rtol=1e-12)


def test_what_is_inside_the_volume_is_told_and_averaged():
    volume = Volume(np.full((4, 4, 4), 3.0), np.eye(4))
    volume.values[3] = 5.0
    points, cells = solid_box("hex8", (1, 1, 1), (2.0, 2.0, 2.0))
    places = points + np.array([2.5, 0.5, 0.5])  # voxel 3 ends at 3.5: half the cell is beyond

    with pytest.raises(InputError, match=r"50% inside[\s\S]*3\.5, 1\.5, 1\.5"):
        cell_averages(places, cells, "hex8", volume)
    found = cell_averages(places, cells, "hex8", volume, least_covered=0.4)

    assert_allclose(found.covered, 0.5, rtol=1e-13)
    assert_allclose(found.mean, 5.0, rtol=1e-13)
    assert_allclose(found.volume, 8.0, rtol=1e-13)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_cells_beyond_any_side_take_the_nearest_voxel_where_that_is_asked_for(axis, side):
    volume = noise(np.eye(4))
    points, cells = solid_box("tet4", (1, 1, 1), (0.5, 0.5, 0.5))
    middle = np.array([4.0, 3.0, 4.0])
    middle[axis] = -20.0 if side < 0 else 30.0

    found = cell_averages(points + middle, cells, "tet4", volume, outside="nearest")

    index = middle.astype(int)
    index[axis] = 0 if side < 0 else SHAPE[axis] - 1
    assert_array_equal(found.covered, 0.0)
    assert_array_equal(found.mean, volume.values[tuple(index)])


def test_bits_do_not_depend_on_threads():
    volume = noise(oblique())
    points, cells = solid_box("tet4", (6, 6, 6), (8.0, 6.0, 7.0), distortion=0.2)
    places = to_mm(volume, points + 0.4)
    found = []
    for n in (1, 2):
        with kernel_threads(n):
            found.append(cell_averages(places, cells, "tet4", volume))

    assert_array_equal(found[0].mean, found[1].mean)


def test_bad_cells_and_bad_voxels_are_refused_with_their_place():
    volume = noise(np.eye(4))
    points, cells = solid_box("hex8", (1, 1, 1), (2.0, 2.0, 2.0))

    with pytest.raises(InputError, match=r"inverted or flat[\s\S]*2\.0, 2\.0, 2\.0"):
        cell_averages(points + 1.0, cells[:, [4, 5, 6, 7, 0, 1, 2, 3]], "hex8", volume)
    with pytest.raises(InputError, match="shape"):
        cell_averages(points, cells, "tet4", volume)
    volume.values[2, 2, 2] = np.nan
    with pytest.raises(InputError, match=r"not finite[\s\S]*2\.0, 2\.0, 2\.0"):
        cell_averages(points + 1.0, cells, "hex8", volume)


def test_a_face_along_the_voxels_planes_but_for_round_off_is_counted_once():
    # Corners of a base at height 2, one of them rounded to either side of it.
    volume = Volume(np.ones((8, 8, 8)), np.eye(4))
    base = np.array([[4.25, 3.2, 2.0], [6.225, 3.25, 2.0], [4.25, 1.7, 2.0], [6.5, 3.1, 4.0]]) - 0.5
    eps = 4e-16
    for signs in np.ndindex(3, 3, 3):
        corners = base.copy()
        corners[:3, 2] += (np.array(signs) - 1) * eps
        found = cell_averages(corners[[0, 2, 1, 3]], np.arange(4)[None], "tet4", volume)

        assert_allclose(found.covered, 1.0, rtol=1e-12)
        assert_allclose(found.mean, 1.0, rtol=1e-12)
