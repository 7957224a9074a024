"""Pressure and traction: resultants and moments on curved facets of every kind, closed surfaces, Archimedes."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from solid_meshes import is_on_faces, solid_box, solid_cylinder

from fesolver.errors import InputError
from fesolver.fem.distributed import area_vectors, facet_areas, outer_facets, pressure_force, traction_force
from fesolver.fem.elements import ELEMENTS, FACETS, quadrature, shape_functions, shape_gradients

SOLIDS = tuple(ELEMENTS)


def warped_box(element: str) -> tuple[np.ndarray, np.ndarray]:
    """A box of cells, all its points moved by a smooth map, so that facets are warped or truly curved."""
    points, cells = solid_box(element, (2, 2, 3), (2.0, 3.0, 4.0), distortion=0.1)
    x, y, z = points.T
    return points + 0.1 * np.stack([np.sin(y + z), np.cos(x - z), np.sin(x + 0.5 * y)], axis=1), cells


def solid_moments(element: str, points: np.ndarray, cells: np.ndarray) -> tuple[float, np.ndarray]:
    """Volume and first moment (3,) of a mesh by volume quadrature."""
    xi, weights = quadrature(element, 9)  # coordinate x Jacobian of a hex20: 2 + 7 along each axis
    N, dN = shape_functions(element, xi), shape_gradients(element, xi)
    corners = points[cells]
    dV = np.linalg.det(np.einsum("qka,mki->mqia", dN, corners)) * weights
    return float(dV.sum()), np.einsum("mq,qk,mki->i", dV, N, corners)


def total(points: np.ndarray, force: np.ndarray) -> np.ndarray:
    """Resultant and moment about the origin, (6,)."""
    return np.concatenate([force.sum(axis=0), np.cross(points, force).sum(axis=0)])


@pytest.mark.parametrize("element", SOLIDS)
def test_a_uniform_pressure_on_a_closed_surface_has_no_resultant_and_no_moment(element):
    points, cells = warped_box(element)
    force = sum(pressure_force(points, outer.facets, 2.5) for outer in outer_facets(cells, element).values())

    assert np.abs(force).max() > 0.1
    assert_allclose(total(points, force), 0.0, atol=1e-13 * np.abs(force).sum() * 10)  # round-off of the sums


@pytest.mark.parametrize("element", SOLIDS)
def test_hydrostatic_pressure_lifts_by_the_weight_displaced_at_its_centre(element):
    """Archimedes: p = p0 - gamma . x gives the force gamma V through the centroid of the volume."""
    points, cells = warped_box(element)
    gamma = np.array([0.3, -0.2, 0.7])
    volume, first = solid_moments(element, points, cells)

    force = sum(
        pressure_force(points, outer.facets, lambda at: 5.0 - at @ gamma)
        for outer in outer_facets(cells, element).values()
    )
    by_node = sum(
        pressure_force(points, outer.facets, 5.0 - points[outer.facets] @ gamma)
        for outer in outer_facets(cells, element).values()
    )

    assert_allclose(total(points, force), [*(gamma * volume), *np.cross(first, gamma)], rtol=1e-11, atol=1e-11)
    assert_allclose(by_node, force, atol=1e-12)  # the facet holds the coordinates


def facet_of(kind: str) -> np.ndarray:
    """Nodes of one facet, moved so that no symmetry is left."""
    nodes = FACETS[kind].nodes
    rng = np.random.default_rng(8)
    flat = np.column_stack([2.0 * nodes[:, 0] + 0.3 * nodes[:, 1], 1.5 * nodes[:, 1], np.zeros(len(nodes))])
    return flat + 0.1 * rng.standard_normal(flat.shape) + [4.0, -3.0, 2.0]


@pytest.mark.parametrize("kind", tuple(FACETS))
def test_nodal_forces_do_the_work_of_the_pressure_in_every_displacement(kind):
    """Against a rule of far higher degree, with pressure by node and displacement by node."""
    points = facet_of(kind)
    k = len(points)
    rng = np.random.default_rng(2)
    pressure, u = rng.standard_normal(k), rng.standard_normal((k, 3))
    xi, weights = quadrature(kind, 13)
    N, dN = shape_functions(kind, xi), shape_gradients(kind, xi)
    a, b = np.moveaxis(np.einsum("qka,ki->qai", dN, points), 1, 0)
    normal = np.cross(a, b)

    force = pressure_force(points, [np.arange(k)], pressure[None])
    pull = traction_force(points, [np.arange(k)], u[None], degree=13)

    work = np.sum(weights * (N @ pressure) * np.sum(normal * (N @ u), axis=1))
    assert np.sum(force * u) == pytest.approx(-work, rel=1e-12)
    square = np.sum(weights * np.linalg.norm(normal, axis=1) * np.sum((N @ u) ** 2, axis=1))
    assert np.sum(pull * u) == pytest.approx(square, rel=1e-12)


@pytest.mark.parametrize("kind", tuple(FACETS))
def test_pressure_pushes_against_the_outward_normal_with_p_times_area(kind):
    nodes = FACETS[kind].nodes
    points = np.column_stack([3.0 * nodes[:, 0], nodes[:, 1], np.zeros(len(nodes))])
    area = 1.5 if kind.startswith("tri") else 12.0
    ids = np.arange(len(points))[None]

    assert_allclose(pressure_force(points, ids, 0.2).sum(axis=0), [0, 0, -0.2 * area], atol=1e-14)
    assert_allclose(pressure_force(points, ids, [0.2]), pressure_force(points, ids, 0.2), atol=1e-15)
    assert_allclose(traction_force(points, ids, [0.1, 0.2, 0.3]).sum(axis=0), np.array([0.1, 0.2, 0.3]) * area)
    assert_allclose(traction_force(points, ids, lambda at: 0 * at + [0.1, 0.2, 0.3]).sum(axis=0)[1], 0.2 * area)
    assert_allclose(area_vectors(points, ids), [[0, 0, area]], atol=1e-14)
    assert_allclose(facet_areas(points, ids), [area])


def test_nodal_shares_of_a_uniform_pressure_are_those_of_the_textbook():
    """Zienkiewicz: corners of an eight-node square take -1/12, sides 1/3; corners of a six-node triangle none."""
    square = np.column_stack([FACETS["quad8"].nodes, np.zeros(8)])
    triangle = np.column_stack([FACETS["tri6"].nodes, np.zeros(6)])

    of_square = pressure_force(square, [np.arange(8)], -1.0)[:, 2] / 4.0
    of_triangle = pressure_force(triangle, [np.arange(6)], -1.0)[:, 2] / 0.5

    assert_allclose(of_square, [-1 / 12] * 4 + [1 / 3] * 4, atol=1e-15)
    assert_allclose(of_triangle, [0.0] * 3 + [1 / 3] * 3, atol=1e-15)


@pytest.mark.parametrize("element", SOLIDS)
def test_outer_facets_are_the_faces_of_one_cell_and_point_outwards(element):
    points, cells = solid_box(element, (2, 3, 2), (2.0, 3.0, 4.0), distortion=0.1, curved=0.03)
    found = outer_facets(cells, element)
    area = sum(facet_areas(points, outer.facets).sum() for outer in found.values())

    assert area == pytest.approx(2 * (2 * 3 + 2 * 4 + 3 * 4), rel=1e-12)
    for outer in found.values():
        assert is_on_faces(points)[outer.facets].all()
        behind = points[cells[outer.cells]].mean(axis=1)
        outward = np.sum(area_vectors(points, outer.facets) * (points[outer.facets].mean(axis=1) - behind), axis=1)
        assert (outward > 0).all()
        assert all(np.isin(f, cells[c]).all() for f, c in zip(outer.facets, outer.cells, strict=True))


def test_pressure_on_the_bent_side_of_a_cylinder_is_that_on_its_projection():
    """Half the side of a cylinder: the resultant is p times 2 r h whatever the facets, if they end on the circle."""
    points, cells = solid_cylinder("hex20", 2, 1, 2, radius=10.0, height=20.0)
    facets = outer_facets(cells, "hex20")["quad8"].facets
    side = facets[np.abs(area_vectors(points, facets)[:, 2]) < 1e-9]
    half = side[points[side, 0].mean(axis=1) > 0]

    force = pressure_force(points, half, 0.5)

    assert_allclose(force.sum(axis=0), [-0.5 * 2 * 10.0 * 20.0, 0.0, 0.0], atol=1e-11)


def test_many_facets_in_several_chunks_give_the_same_as_one_by_one(monkeypatch):
    from fesolver.fem import facets as module

    points, cells = warped_box("tet10")
    facets = outer_facets(cells, "tet10")["tri6"].facets
    values = np.random.default_rng(0).standard_normal(facets.shape)
    whole = pressure_force(points, facets, values), facet_areas(points, facets)
    monkeypatch.setattr(module, "CHUNK", 7)

    assert_array_equal(pressure_force(points, facets, values), whole[0])
    assert_array_equal(facet_areas(points, facets), whole[1])


SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    ("facets", "pressure", "message"),
    [
        ([[0, 1, 2, 3, 0]], 1.0, r"3, 4, 6 or 8.*\(1, 5\)"),
        ([[0, 1, 4]], 1.0, "points 0 to 4, there are 4"),
        ([[0.0, 1.0, 2.0]], 1.0, "point ids, got float64"),
        ([[0, 1, 2]], [1.0, 2.0], r"shape \(\) or \(1,\) or \(1, 3\), got \(2,\)"),
        ([[0, 1, 2]], np.nan, "not finite"),
        ([[0, 1, 2]], lambda at: at, r"gave shape \(3, 3\), not \(3,\)"),
        ([[0, 1, 2]], lambda at: np.full(len(at), np.inf), r"(?s)not finite.*mm"),
    ],
)
def test_facets_and_pressures_that_do_not_fit_are_refused(facets, pressure, message):
    with pytest.raises(InputError, match=message):
        pressure_force(SQUARE, facets, pressure)


def test_a_face_of_three_cells_is_refused():
    with pytest.raises(InputError, match="3 cells share the face"):
        outer_facets(np.array([[0, 1, 2, 3], [0, 2, 1, 4], [0, 1, 2, 5]]), "tet4")
