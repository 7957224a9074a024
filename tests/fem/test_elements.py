"""Reference elements: what shape functions, faces and quadrature must satisfy whatever the element."""

from __future__ import annotations

from itertools import product
from math import factorial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.errors import InputError
from fesolver.fem.elements import (
    ELEMENTS,
    FACET_OF_SIZE,
    FACETS,
    element_volume,
    quadrature,
    shape_functions,
    shape_gradients,
)

ALL = {**ELEMENTS, **FACETS}
REFERENCE_VOLUMES = {"hexahedron": 8.0, "tetrahedron": 1 / 6, "wedge": 1.0, "triangle": 0.5, "quadrilateral": 4.0}


def inside(name: str, n: int = 7) -> np.ndarray:
    """Some points of a reference cell."""
    corners = ALL[name].nodes[: ALL[name].n_corners]
    shares = np.random.default_rng(4).dirichlet(np.ones(len(corners)), n)
    return shares @ corners


@pytest.mark.parametrize("name", ALL)
def test_a_shape_function_is_one_at_its_node_and_zero_at_the_others(name):
    assert_array_equal(shape_functions(name, ALL[name].nodes), np.eye(ALL[name].n_nodes))


@pytest.mark.parametrize("name", ALL)
def test_polynomials_up_to_the_order_are_interpolated_exactly(name):
    element, at = ALL[name], inside(name)
    for powers in product(range(element.order + 1), repeat=at.shape[1]):
        if sum(powers) <= element.order:  # the constant among them: partition of unity
            nodal = np.prod(element.nodes**powers, axis=1)
            assert_allclose(shape_functions(name, at) @ nodal, np.prod(at**powers, axis=1), atol=1e-14)


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_the_slopes_of_the_shape_functions(name):
    at, h = inside(name), 1e-5
    for d in range(at.shape[1]):
        step = h * np.eye(at.shape[1])[d]
        slope = (shape_functions(name, at + step) - shape_functions(name, at - step)) / (2 * h)
        # Cubic terms of the central difference: h^2 times third derivatives of order one.
        assert_allclose(shape_gradients(name, at)[:, :, d], slope, atol=1e-9)


@pytest.mark.parametrize("name", ELEMENTS)
def test_on_a_face_only_its_nodes_count_and_they_are_the_facets_functions(name):
    """Neighbours that share a face then agree on it: the displacement is continuous."""
    for face in ELEMENTS[name].faces:
        facet = FACET_OF_SIZE[len(face)]
        N = shape_functions(facet, inside(facet))
        on_face = N @ ELEMENTS[name].nodes[list(face)]
        values = shape_functions(name, on_face)
        others = np.setdiff1d(np.arange(ELEMENTS[name].n_nodes), face)

        assert_allclose(values[:, list(face)], N, atol=1e-14)
        assert_allclose(values[:, others], 0.0, atol=1e-14)


@pytest.mark.parametrize("name", ELEMENTS)
def test_faces_close_the_cell_and_are_counter_clockwise_seen_from_outside(name):
    element = ELEMENTS[name]
    total, volume = np.zeros(3), 0.0
    for face in element.faces:
        facet = FACET_OF_SIZE[len(face)]
        xi, weights = quadrature(facet)
        X = element.nodes[list(face)]
        tangents = np.einsum("qkd,ki->qdi", shape_gradients(facet, xi), X)
        area = np.cross(tangents[:, 0], tangents[:, 1]) * weights[:, None]
        total += area.sum(axis=0)
        volume += np.sum(area * (shape_functions(facet, xi) @ X)) / 3.0
        assert np.all(area.sum(axis=0) @ (X.mean(axis=0) - element.nodes.mean(axis=0)) > 0)

    assert_allclose(total, 0.0, atol=1e-15)
    assert volume == pytest.approx(REFERENCE_VOLUMES[element.shape], rel=1e-14)  # divergence theorem


@pytest.mark.parametrize("name", [n for n, e in ALL.items() if e.order == 2])
def test_mid_side_nodes_stand_halfway_along_their_edges(name):
    element = ALL[name]
    ends = element.nodes[np.array(element.edges)]

    assert_array_equal(element.nodes[element.n_corners :], ends.mean(axis=1))
    assert len(element.edges) == element.n_nodes - element.n_corners


@pytest.mark.parametrize("name", ["hex20", "tet10", "wedge15"])
def test_mid_side_order_is_that_of_vtk(name):
    """Edges of mid-side nodes as the VTK book lists them for each quadratic cell."""
    vtk = {
        "hex20": "01 12 23 30 45 56 67 74 04 15 26 37",
        "tet10": "01 12 20 03 13 23",
        "wedge15": "01 12 20 34 45 53 03 14 25",
    }[name]

    assert ELEMENTS[name].edges == tuple((int(a), int(b)) for a, b in vtk.split())


def exact_integral(shape: str, powers: tuple[int, ...]) -> float:
    """Integral of a monomial over a reference cell: Dirichlet's formula on simplices."""
    line = [0.0 if p % 2 else 2.0 / (p + 1) for p in powers]
    if shape in ("hexahedron", "quadrilateral"):
        return float(np.prod(line))
    plane = powers[:2] if shape == "wedge" else powers
    simplex = np.prod([float(factorial(p)) for p in plane]) / factorial(sum(plane) + len(plane))
    return float(simplex * (line[2] if shape == "wedge" else 1.0))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("degree", [None, 0, 1, 2, 3, 4, 5, 8])
def test_quadrature_is_exact_to_its_degree_and_all_weights_are_positive(name, degree):
    xi, weights = quadrature(name, degree)
    reached = ALL[name].degree if degree is None else degree

    assert np.all(weights > 0)
    assert weights.sum() == pytest.approx(REFERENCE_VOLUMES[ALL[name].shape], rel=1e-14)
    for powers in product(range(reached + 1), repeat=xi.shape[1]):
        if sum(powers) <= reached:
            found = weights @ np.prod(xi**powers, axis=1)
            # Round-off of a sum of up to 125 terms that come to 8 at most.
            assert found == pytest.approx(exact_integral(ALL[name].shape, powers), abs=2e-14)


def test_usual_rules_have_the_points_they_are_known_by():
    counts = {name: len(quadrature(name)[1]) for name in ALL}

    assert counts == {
        "hex8": 8, "hex20": 27, "tet4": 1, "tet10": 4, "wedge6": 6, "wedge15": 18,
        "tri3": 3, "tri6": 6, "quad4": 4, "quad8": 9,
    }  # fmt: skip
    assert element_volume("tet10") == pytest.approx(1 / 6)


def test_an_unknown_element_is_refused_with_the_names_there_are():
    with pytest.raises(InputError, match=r"unknown element 'hex27'.*\n.*hex20"):
        shape_functions("hex27", [[0.0, 0.0, 0.0]])
