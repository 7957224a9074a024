"""Places in cells and beside patches: what fields they reproduce, what forces they hand on, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from solid_meshes import solid_box

from fesolver.errors import InputError
from fesolver.fem.attachments import Attachment, couple, embed
from fesolver.fem.elements import ELEMENTS, shape_functions

GRADIENT = np.array([[0.011, -0.007, 0.004], [0.009, 0.013, -0.002], [-0.005, 0.006, 0.008]])  # not symmetric
SHIFT, TURN = np.array([0.3, -0.2, 0.5]), np.array([0.02, -0.05, 0.03])
SIZE = (4.0, 3.0, 5.0)


def box(element: str):
    return solid_box(element, size=SIZE, distortion=0.2, curved=0.05 if ELEMENTS[element].order == 2 else 0.0, seed=3)


def moved(attachment: Attachment, u: np.ndarray) -> np.ndarray:
    return np.einsum("kij,kj->i", attachment.weights, u[attachment.points])


def rigid(points: np.ndarray) -> np.ndarray:
    return SHIFT + np.cross(TURN, points)


@pytest.fixture(scope="module")
def inside() -> np.ndarray:
    return np.random.default_rng(1).uniform(0.0, 1.0, (40, 3)) * SIZE


@pytest.mark.parametrize("element", list(ELEMENTS))
def test_a_place_in_a_distorted_cell_follows_linear_fields_exactly(element, inside):
    points, cells = box(element)

    found = embed(points, cells, element, inside)

    u = points @ GRADIENT.T + SHIFT
    assert_allclose([moved(a, u) for a in found], inside @ GRADIENT.T + SHIFT, rtol=0, atol=1e-13)  # round-off of 0.5
    for a, at in zip(found, inside, strict=True):
        assert_allclose(np.trace(a.weights, axis1=1, axis2=2) / 3.0 @ points[a.points], at, rtol=0, atol=1e-11)
        assert np.all((cells[a.owners] == a.points[:, None]).any(axis=1))


def test_a_place_in_a_quadratic_cell_follows_quadratic_fields_exactly(inside):
    points, cells = solid_box("tet10", size=SIZE, distortion=0.2, seed=3)  # straight edges: all quadratics are held
    field = np.random.default_rng(2).normal(size=(3, 3, 3)) * 0.01

    found = embed(points, cells, "tet10", inside)

    u = np.einsum("cij,ni,nj->nc", field, points, points)
    exact = np.einsum("cij,ni,nj->nc", field, inside, inside)
    assert_allclose([moved(a, u) for a in found], exact, rtol=0, atol=1e-13)


def test_a_place_on_a_shared_corner_belongs_to_the_lowest_cell_and_moves_with_it():
    points, cells = box("hex8")
    corner = int(np.bincount(cells.ravel()).argmax())  # the inner point that all eight cells share

    (found,) = embed(points, cells, "hex8", points[corner])

    assert np.all(found.owners == 0)
    u = np.random.default_rng(4).normal(size=points.shape)
    assert_allclose(moved(found, u), u[corner], rtol=0, atol=1e-12)


@pytest.mark.parametrize("element", list(ELEMENTS))
def test_a_place_outside_within_the_tolerance_turns_with_its_cell(element):
    points, cells = box(element)
    places = np.array([[-0.7, 1.1, 2.0], [4.4, 3.3, 5.2], [2.0, 1.4, 5.9]])  # before a face, a corner, a face

    found = embed(points, cells, element, places, tolerance_mm=1.0)

    assert_allclose([moved(a, rigid(points)) for a in found], rigid(places), rtol=0, atol=1e-13)
    stretch = GRADIENT + GRADIENT.T  # turns nothing: the place moves as the nearest point of the box does
    assert_allclose([moved(a, points @ stretch) for a in found], np.clip(places, 0.0, SIZE) @ stretch, atol=1e-8)


def test_the_nearest_point_of_a_cell_is_found_and_its_distance_told():
    points, cells = solid_box("hex8", size=SIZE)
    for place, distance in (([-0.7, 1.1, 2.0], 0.7), ([4.3, 3.4, 2.0], 0.5), ([5.0, 5.0, 7.0], 3.0)):
        with pytest.raises(InputError, match=rf"attached to nothing.*{distance:.2f} mm outside"):
            embed(points, cells, "hex8", place, tolerance_mm=0.99 * distance)
        (found,) = embed(points, cells, "hex8", place, tolerance_mm=distance * (1.0 + 1e-9))
        assert_allclose(found.at, place)


@pytest.mark.parametrize("element", ["hex8", "tet4", "wedge6"])
def test_the_nearest_point_of_a_thin_skewed_cell_agrees_with_a_search_by_sampling(element):
    nodes = (
        ELEMENTS[element].nodes @ np.diag([10.0, 6.0, 0.4]) @ np.array([[1.0, 0.0, 0.3], [0.4, 1.0, 0.0], [0, 0, 1]])
    )
    cells = np.arange(len(nodes))[None]
    place = nodes.mean(axis=0) + np.array([2.0, 9.0, 1.5])

    (found,) = embed(nodes, cells, element, place, tolerance_mm=20.0)

    fine = np.stack(np.meshgrid(*[np.linspace(-1.0, 1.0, 41)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    if element != "hex8":
        fine[:, :2] = 0.5 * (fine[:, :2] + 1.0)
        fine = fine[fine[:, :2].sum(axis=1) <= 1.0]
    if element == "tet4":
        fine = np.hstack([fine[:, :2], 0.5 * (fine[:, 2:] + 1.0)])
        fine = fine[fine.sum(axis=1) <= 1.0]
    sampled = np.linalg.norm(shape_functions(element, fine) @ nodes - place, axis=1).min()
    with pytest.raises(InputError) as refusal:
        embed(nodes, cells, element, place)
    told = float(str(refusal.value).split("lies ")[1].split(" mm")[0])
    assert told == pytest.approx(
        sampled, abs=0.02
    )  # two decimals printed; samples 0.5 mm apart miss by 0.35^2 / (2 * 5)
    assert_allclose(moved(found, rigid(nodes)), rigid(place), rtol=0, atol=1e-12)


def test_only_the_cells_asked_for_hold_a_place():
    points, cells = solid_box("hex8", size=SIZE)

    (found,) = embed(points, cells, "hex8", [0.5, 0.5, 0.5], cells_of=np.array([7]), tolerance_mm=5.0)

    assert np.all(found.owners == 7)
    with pytest.raises(InputError, match="no cells to attach to"):
        embed(points, cells, "hex8", [0.5, 0.5, 0.5], cells_of=np.zeros(0, np.int64))


def test_a_place_that_follows_a_patch_moves_rigidly_with_it_and_hands_its_force_on():
    points, cells = box("hex8")
    patch = np.flatnonzero(points[:, 2] == 0.0)
    place, force = np.array([1.0, 8.0, -6.0]), np.array([3.0, -5.0, 7.0])

    follows = couple(points, cells, "hex8", patch, place, weights=1.0 + np.arange(len(patch)))

    assert_allclose(moved(follows, rigid(points)), rigid(place), rtol=0, atol=1e-13)
    nodal = np.einsum("kij,i->kj", follows.weights, force)
    assert_allclose(nodal.sum(axis=0), force, rtol=0, atol=1e-12)
    moment = np.cross(points[follows.points], nodal).sum(axis=0)
    assert_allclose(moment, np.cross(place, force), rtol=0, atol=1e-11)


def test_a_patch_is_fitted_by_least_squares():
    points, cells = box("hex8")
    patch = np.flatnonzero(points[:, 1] == 0.0)
    u, w = np.random.default_rng(5).normal(size=points.shape), np.random.default_rng(6).uniform(0.5, 2.0, len(patch))
    place = np.array([2.0, 6.0, 1.0])

    follows = couple(points, cells, "hex8", patch, place, weights=w)

    r = points[patch]
    rows = np.zeros((len(patch), 3, 6))  # u = shift + turn x r, as unknowns (shift, turn)
    rows[:, :, :3] = np.eye(3)
    for axis in range(3):
        rows[:, :, 3 + axis] = np.cross(np.eye(3)[axis], r)
    root = np.sqrt(w)[:, None, None]
    best = np.linalg.lstsq((root * rows).reshape(-1, 6), (root[:, :, 0] * u[patch]).ravel(), rcond=None)[0]
    assert_allclose(moved(follows, u), best[:3] + np.cross(best[3:], place), rtol=0, atol=1e-12)


def test_patches_without_a_turn_and_wrong_owners_are_refused():
    points, cells = solid_box("hex8", size=SIZE)
    edge = np.flatnonzero((points[:, 0] == 0.0) & (points[:, 1] == 0.0))

    with pytest.raises(InputError, match="lies on a line"):
        couple(points, cells, "hex8", edge, [0.0, 9.0, 0.0])
    with pytest.raises(InputError, match="cells that hold its points"):
        couple(points, cells, "hex8", cells[0], [0.0, 9.0, 0.0], np.full(8, 7))
    with pytest.raises(InputError, match="named once"):
        couple(points, cells, "hex8", [0, 1, 1, 4], [0.0, 9.0, 0.0])
    with pytest.raises(InputError, match="must have shape"):
        embed(points, cells, "tet4", [0.0, 0.0, 0.0])
