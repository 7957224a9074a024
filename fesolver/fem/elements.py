"""Reference elements: nodes, faces, shape functions and quadrature, for solids and for their facets.

Everything follows from one table: the nodes and the monomials of an element. Node orders are VTK's. Reference cells
are [-1, 1]^3 for hexahedra, the unit simplex for tetrahedra and triangles, the unit triangle x [-1, 1] for wedges and
[-1, 1]^2 for quadrilaterals. In a wedge the triangle 0, 1, 2 is counter-clockwise seen from 3, 4, 5, as in gmsh and in
VTK's parametric coordinates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.quadrature import cell_rule

__all__ = [
    "ELEMENTS",
    "FACETS",
    "FACET_OF_SIZE",
    "Element",
    "element_volume",
    "quadrature",
    "shape_functions",
    "shape_gradients",
]

HEXAHEDRON_EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))
TETRAHEDRON_EDGES = ((0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3))
WEDGE_EDGES = ((0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3), (0, 3), (1, 4), (2, 5))


@dataclass(frozen=True)
class Element:
    """A reference element.

    Parameters
    ----------
    name : str
        As in `fesolver.fem.problem.ElementName`, or the name of a facet.
    n_nodes, n_corners : int
        Corners come first.
    order : int
        Polynomial degree that its shape functions contain in full: 1 or 2.
    meshio_name : str
        Cell type of meshio and VTK.
    nodes : (n_nodes, dimension) ndarray
        Reference coordinates.
    edges : tuple of (int, int)
        Corners of every edge; with `order` 2, mid-side node `n_corners + i` stands on edge i.
    faces : tuple of tuple of int
        Nodes of every face of a solid: corners counter-clockwise seen from outside, then the mid-sides in the same
        sense, from the edge of the first two corners on. Empty for a facet.
    shape : {"hexahedron", "tetrahedron", "wedge", "triangle", "quadrilateral"}
        Of the reference cell.
    degree : int
        That its usual stiffness quadrature is exact to (facets: the usual rule for loads).
    exponents : tuple of tuple of int
        The monomials that span its shape functions.
    """

    name: str
    n_nodes: int
    n_corners: int
    order: int
    meshio_name: str
    nodes: NDArray[np.float64]
    edges: tuple[tuple[int, int], ...]
    faces: tuple[tuple[int, ...], ...]
    shape: str
    degree: int
    exponents: tuple[tuple[int, ...], ...]


def _box(dimension: int) -> list[tuple[float, ...]]:
    """Corners of [-1, 1]^dimension in VTK order."""
    bottom = [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)]
    return [(*c, z) for z in (-1.0, 1.0) for c in bottom] if dimension == 3 else list(bottom)


def _simplex(dimension: int) -> list[tuple[float, ...]]:
    """Corners of the unit simplex."""
    return [(0.0,) * dimension, *(tuple(row) for row in np.eye(dimension).tolist())]


_TRIANGLE = _simplex(2)
_CORNERS: dict[str, list[tuple[float, ...]]] = {
    "hexahedron": _box(3),
    "tetrahedron": _simplex(3),
    "wedge": [(*c, z) for z in (-1.0, 1.0) for c in _TRIANGLE],
    "triangle": _TRIANGLE,
    "quadrilateral": _box(2),
}
_EDGES: dict[str, tuple[tuple[int, int], ...]] = {
    "hexahedron": HEXAHEDRON_EDGES,
    "tetrahedron": TETRAHEDRON_EDGES,
    "wedge": WEDGE_EDGES,
    "triangle": ((0, 1), (1, 2), (2, 0)),
    "quadrilateral": ((0, 1), (1, 2), (2, 3), (3, 0)),
}
_FACES: dict[str, tuple[tuple[int, ...], ...]] = {
    "hexahedron": ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)),
    "tetrahedron": ((0, 2, 1), (0, 1, 3), (1, 2, 3), (2, 0, 3)),
    "wedge": ((0, 2, 1), (3, 4, 5), (0, 1, 4, 3), (1, 2, 5, 4), (2, 0, 3, 5)),
    "triangle": (),
    "quadrilateral": (),
}


def _is_in_space(exponents: tuple[int, ...], shape: str, order: int) -> bool:
    """Whether a monomial belongs to the element: full degree on simplices, serendipity on boxes and wedges."""
    if shape in ("tetrahedron", "triangle"):
        return sum(exponents) <= order
    if shape == "wedge":
        in_plane, along = sum(exponents[:2]), exponents[2]
        return (in_plane <= order and along <= 1) or (in_plane <= 1 and along <= order)
    return max(exponents) <= order and sum(e for e in exponents if e > 1) <= order


def _element(name: str, shape: str, order: int, meshio_name: str, degree: int) -> Element:
    """One row of the tables."""
    corners, edges = np.array(_CORNERS[shape]), _EDGES[shape]
    nodes, faces = corners, _FACES[shape]
    if order == 2:
        nodes = np.concatenate([corners, 0.5 * (corners[[a for a, _ in edges]] + corners[[b for _, b in edges]])])
        middle = {frozenset(edge): len(corners) + i for i, edge in enumerate(edges)}
        sides = [[middle[frozenset(e)] for e in zip(f, (*f[1:], f[0]), strict=True)] for f in faces]
        faces = tuple((*f, *s) for f, s in zip(faces, sides, strict=True))
    nodes.setflags(write=False)
    powers = product(range(order + 1), repeat=nodes.shape[1])
    exponents = tuple(e for e in powers if _is_in_space(e, shape, order))
    return Element(
        name, len(nodes), len(corners), order, meshio_name, nodes, edges, faces, shape, degree, exponents
    )  # fmt: skip


ELEMENTS: Mapping[str, Element] = MappingProxyType(
    {
        "hex8": _element("hex8", "hexahedron", 1, "hexahedron", 3),
        "hex20": _element("hex20", "hexahedron", 2, "hexahedron20", 5),
        "tet4": _element("tet4", "tetrahedron", 1, "tetra", 1),
        "tet10": _element("tet10", "tetrahedron", 2, "tetra10", 2),
        "wedge6": _element("wedge6", "wedge", 1, "wedge", 2),
        "wedge15": _element("wedge15", "wedge", 2, "wedge15", 4),
    }
)
"""Solid elements by name."""

FACETS: Mapping[str, Element] = MappingProxyType(
    {
        "tri3": _element("tri3", "triangle", 1, "triangle", 2),
        "tri6": _element("tri6", "triangle", 2, "triangle6", 4),
        "quad4": _element("quad4", "quadrilateral", 1, "quad", 3),
        "quad8": _element("quad8", "quadrilateral", 2, "quad8", 5),
    }
)
"""Facets of solids by name."""

FACET_OF_SIZE: Mapping[int, str] = MappingProxyType({e.n_nodes: e.name for e in FACETS.values()})
"""Name of the facet with so many nodes."""


def _find(name: str) -> Element:
    """The element or facet of that name."""
    found = ELEMENTS.get(name) or FACETS.get(name)
    if found is None:
        raise InputError(f"unknown element {name!r}", fix=f"use one of {[*ELEMENTS, *FACETS]}")
    return found


@cache
def _coefficients(name: str) -> NDArray[np.float64]:
    """Shape functions (columns) as sums of the element's monomials (rows)."""
    element = _find(name)
    values = np.prod(element.nodes[:, None] ** np.array(element.exponents), axis=2)
    # All are multiples of 1/8: rounding takes away what the inverse left of round-off.
    return np.asarray(np.round(8.0 * np.linalg.inv(values)) / 8.0)


def shape_functions(name: str, xi: ArrayLike) -> NDArray[np.float64]:
    """Shape functions of an element or facet.

    Parameters
    ----------
    name : str
        Key of `ELEMENTS` or `FACETS`.
    xi : (q, 3) or (q, 2) array_like
        Reference coordinates.

    Returns
    -------
    (q, n_nodes) ndarray
        1 at the own node, 0 at the others.

    Raises
    ------
    InputError
        If there is no such element.

    Notes
    -----
    Lagrange functions on simplices; on boxes and wedges of order 2 the serendipity functions [1]_, whose monomials are
    those of superlinear degree 2 at most.

    References
    ----------
    .. [1] O. C. Zienkiewicz, R. L. Taylor, J. Z. Zhu, *The Finite Element Method: Its Basis and Fundamentals*, 7th ed.,
       Butterworth-Heinemann, 2013, chapter 6.

    Examples
    --------
    >>> shape_functions("tri3", [[0.25, 0.25]])
    array([[0.5 , 0.25, 0.25]])
    """
    element, at = _find(name), np.asarray(xi, dtype=np.float64)
    return np.asarray(np.prod(at[:, None] ** np.array(element.exponents), axis=2) @ _coefficients(name))


def shape_gradients(name: str, xi: ArrayLike) -> NDArray[np.float64]:
    """Derivatives (q, n_nodes, 3 or 2) of the shape functions with respect to `xi` (q, 3 or 2).

    Examples
    --------
    >>> shape_gradients("tri3", [[0.25, 0.25]])[0, 0]
    array([-1., -1.])
    """
    element, at = _find(name), np.asarray(xi, dtype=np.float64)
    exponents = np.array(element.exponents)
    gradients = np.empty((len(at), element.n_nodes, at.shape[1]))
    for d in range(at.shape[1]):
        lowered = exponents.copy()
        lowered[:, d] = np.maximum(exponents[:, d] - 1, 0)
        slopes = exponents[:, d] * np.prod(at[:, None] ** lowered, axis=2)
        gradients[:, :, d] = slopes @ _coefficients(name)
    return gradients


def quadrature(name: str, degree: int | None = None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quadrature points and weights on the reference cell.

    Parameters
    ----------
    name : str
        Key of `ELEMENTS` or `FACETS`.
    degree : int, optional
        Total degree of the polynomials to integrate exactly; by default the element's usual rule. Wedges take a rule of
        that degree in the plane and one of at least that degree along.

    Returns
    -------
    xi : (q, 3) or (q, 2) ndarray
    weights : (q,) ndarray
        Positive; their sum is the volume or area of the reference cell.

    Raises
    ------
    InputError
        If there is no such element.

    Notes
    -----
    Usual rules: hex8 2 x 2 x 2, hex20 3 x 3 x 3, tet4 1 point, tet10 4 points, wedge6 3 x 2, wedge15 6 x 3; they give
    the stiffness all its ranks, and its exact value on cells with straight parallel sides. See
    `fesolver.fem.quadrature`.

    Examples
    --------
    >>> len(quadrature("tet10")[1]), len(quadrature("hex20")[1])
    (4, 27)
    """
    element = _find(name)
    return cell_rule(element.shape, element.degree if degree is None else degree)


def element_volume(name: str) -> float:
    """Volume (area of a facet) of the reference cell."""
    return float(quadrature(name)[1].sum())
