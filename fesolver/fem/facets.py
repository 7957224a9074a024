"""Facets of solids: their outward vector areas at quadrature points, and which of them bound a mesh."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS, FACET_OF_SIZE, FACETS, quadrature, shape_functions, shape_gradients
from fesolver.fem.problem import ElementName

__all__ = [
    "FacetPoints",
    "OuterFacets",
    "area_vectors",
    "checked_facets",
    "facet_areas",
    "facet_chunks",
    "facet_points",
    "outer_facets",
]

CHUNK = 16384
"""Facets handled at once: bounds the memory of what is kept at quadrature points."""

_DEGREE: Mapping[str, int] = {"tri3": 2, "tri6": 6, "quad4": 3, "quad8": 7}
"""Exact for shape function x pressure of the facet's own degree x vector area, curved sides too; so also for
coordinate x vector area, the volume inside."""


@dataclass(frozen=True)
class FacetPoints:
    """Facets at their quadrature points.

    Parameters
    ----------
    shape : (q, k) ndarray
        Shape functions.
    places : (m, q, 3) ndarray
        Coordinates, mm.
    areas : (m, q, 3) ndarray
        Outward vector area of each point's share, mm2.
    """

    shape: NDArray[np.float64]
    places: NDArray[np.float64]
    areas: NDArray[np.float64]


@dataclass(frozen=True)
class OuterFacets:
    """Facets of one kind on the boundary of a mesh.

    Parameters
    ----------
    facets : (m, 3, 4, 6 or 8) ndarray of int64
        Point ids, corners counter-clockwise seen from outside, then the mid-sides.
    cells : (m,) ndarray of int64
        The cell behind each.
    """

    facets: NDArray[np.int64]
    cells: NDArray[np.int64]


def facet_points(points: NDArray[np.float64], facets: NDArray[np.int64], degree: int | None = None) -> FacetPoints:
    """Facets at quadrature points.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        Coordinates, mm.
    facets : (m, 3, 4, 6 or 8) ndarray of int64
        Point ids, counter-clockwise seen from outside.
    degree : int, optional
        Of the rule; by default exact for `pressure_force` with pressure by node.

    Notes
    -----
    With reference coordinates (r, s) the vector area is x_r cross x_s dr ds, of the length dA along the outward normal.
    """
    name = _kind(facets)
    xi, weights = quadrature(name, _DEGREE[name] if degree is None else degree)
    shape, slope = shape_functions(name, xi), shape_gradients(name, xi)
    corners = points[facets]
    tangents = np.einsum("qka,mki->maqi", slope, corners)
    areas = np.cross(tangents[:, 0], tangents[:, 1]) * weights[:, None]
    return FacetPoints(shape, np.einsum("qk,mki->mqi", shape, corners), areas)


def area_vectors(points: ArrayLike, facets: ArrayLike) -> NDArray[np.float64]:
    """Outward vector area (m, 3) of every facet in mm2: area times mean normal, exact."""
    at, ids = checked_facets(points, facets)
    return _per_facet(at, ids, lambda found: found.areas.sum(axis=1), 3)


def facet_areas(points: ArrayLike, facets: ArrayLike) -> NDArray[np.float64]:
    """Area (m,) of every facet in mm2, curved sides too; exact where the facet is plane.

    Examples
    --------
    >>> float(facet_areas([[0, 0, 0], [2, 0, 0], [0, 3, 0.0]], [[0, 1, 2]])[0])
    3.0
    """
    at, ids = checked_facets(points, facets)
    return _per_facet(at, ids, lambda found: np.linalg.norm(found.areas, axis=2).sum(axis=1)[:, None], 1)[:, 0]


def outer_facets(cells: NDArray[np.int64], element: ElementName = "hex8") -> Mapping[str, OuterFacets]:
    """Facets that belong to one cell only.

    Parameters
    ----------
    cells : (n_cells, k) ndarray of int64
        Cells of one kind, VTK order.
    element : ElementName
        What they are.

    Returns
    -------
    mapping of str to OuterFacets
        By kind of facet (`tri3`, `tri6`, `quad4`, `quad8`); wedges have two kinds. In the order of cells, then faces.

    Raises
    ------
    InputError
        If three cells share a face.

    Examples
    --------
    >>> import numpy as np
    >>> found = outer_facets(np.arange(8)[None])
    >>> found["quad4"].facets.shape
    (6, 4)
    """
    faces = ELEMENTS[element].faces
    kinds: dict[int, list[int]] = {}
    for number, face in enumerate(faces):
        kinds.setdefault(len(face), []).append(number)
    found: dict[str, OuterFacets] = {}
    for size, numbers in kinds.items():
        facets = cells[:, np.array([faces[number] for number in numbers])].reshape(-1, size)
        name = FACET_OF_SIZE[size]
        keys = np.sort(facets[:, : FACETS[name].n_corners], axis=1)
        order = np.lexsort(keys.T[::-1])
        is_new = np.any(np.diff(keys[order], axis=0, prepend=-1) != 0, axis=1)
        first = np.flatnonzero(is_new)
        count = np.diff(np.append(first, len(order)))
        if np.any(count > 2):
            face = keys[order[first[np.argmax(count > 2)]]]
            raise InputError(f"{count.max()} cells share the face of points {face.tolist()}", fix="remove double cells")
        alone = np.sort(order[first[count == 1]])
        found[name] = OuterFacets(facets[alone], alone // len(numbers))
    return found


def _kind(facets: NDArray[np.int64]) -> str:
    """Name of facets (m, k)."""
    name = FACET_OF_SIZE.get(facets.shape[1]) if facets.ndim == 2 else None
    if name is None:
        raise InputError(f"facets must have shape (m, 3, 4, 6 or 8), got {facets.shape}")
    return name


def checked_facets(points: ArrayLike, facets: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points and facets as arrays, refused unless every facet is of a known kind and names points that exist."""
    at, ids = np.asarray(points, dtype=np.float64), np.asarray(facets)
    if at.ndim != 2 or at.shape[1] != 3:
        raise InputError(f"points must have shape (n_points, 3), got {at.shape}")
    _kind(ids)
    if not np.issubdtype(ids.dtype, np.integer):
        raise InputError(f"facets must be point ids, got {ids.dtype}")
    if ids.size and (ids.min() < 0 or ids.max() >= len(at)):
        raise InputError(f"facets name points {ids.min()} to {ids.max()}, there are {len(at)}")
    return at, ids.astype(np.int64)


def facet_chunks(m: int) -> Iterator[slice]:
    """Slices that cover m facets."""
    return (slice(start, min(start + CHUNK, m)) for start in range(0, m, CHUNK))


def _per_facet(
    points: NDArray[np.float64],
    facets: NDArray[np.int64],
    measure: Callable[[FacetPoints], NDArray[np.float64]],
    n: int,
) -> NDArray[np.float64]:
    """A measure (m, n) of every facet."""
    out = np.empty((len(facets), n))
    for some in facet_chunks(len(facets)):
        out[some] = measure(facet_points(points, facets[some]))
    return out
