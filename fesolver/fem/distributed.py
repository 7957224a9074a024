"""Pressure and traction on facets as nodal forces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.facets import (
    FacetPoints,
    area_vectors,
    checked_facets,
    facet_areas,
    facet_chunks,
    facet_points,
    outer_facets,
)

__all__ = ["area_vectors", "facet_areas", "outer_facets", "pressure_force", "traction_force"]

Field = ArrayLike | Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Numbers, or a function of coordinates (n, 3) in mm."""


def pressure_force(points: ArrayLike, facets: ArrayLike, pressure: Field, *, degree: int | None = None) -> NDArray[
    np.float64
]:  # fmt: skip
    """Nodal forces of a pressure on facets.

    Parameters
    ----------
    points : (n_points, 3) array_like
        Coordinates, mm.
    facets : (m, 3, 4, 6 or 8) array_like of int
        Triangles or quadrilaterals of the first or second order, one kind; point ids counter-clockwise seen from
        outside, corners first. Curved ones are taken as curved.
    pressure : float, (m,) or (m, k) array_like, or callable
        MPa, positive against the surface: one number, one for each facet, one for each node of each facet, or a
        function that takes coordinates (n, 3) in mm and gives (n,).
    degree : int, optional
        Of the quadrature; the usual one is exact for numbers and for functions linear in the coordinates.

    Returns
    -------
    (n_points, 3) ndarray
        N, consistent: the same work as the pressure in every displacement that the facets can take.

    Raises
    ------
    InputError
        If the facets are of no known kind or name points that do not exist, or the pressure does not fit or is not
        finite.

    Notes
    -----
    f_a = - integral of N_a p n dA, on the shape before loading. Resultant and moment are those of the pressure
    itself, since shape functions contain the constants and the coordinates.

    References
    ----------
    .. [1] K.-J. Bathe, *Finite Element Procedures*, Prentice Hall, 1996, section 4.2.1, eq. 4.20.

    Examples
    --------
    >>> square = [[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0.0]]
    >>> pressure_force(square, [[0, 1, 2, 3]], 0.5)[:, 2]
    array([-0.5, -0.5, -0.5, -0.5])
    """

    def density(at: FacetPoints, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return -values[..., None] * at.areas

    return _force(points, facets, pressure, (), density, degree)


def traction_force(points: ArrayLike, facets: ArrayLike, traction: Field, *, degree: int | None = None) -> NDArray[
    np.float64
]:  # fmt: skip
    """Nodal forces of a traction on facets.

    Parameters
    ----------
    points : (n_points, 3) array_like
        Coordinates, mm.
    facets : (m, 3, 4, 6 or 8) array_like of int
        As for `pressure_force`; the sense does not matter.
    traction : (3,), (m, 3) or (m, k, 3) array_like, or callable
        Force per area in MPa along the axes: one, one for each facet, one for each node of each facet, or a
        function that takes coordinates (n, 3) in mm and gives (n, 3).
    degree : int, optional
        Of the quadrature; the usual one is exact on plane facets with straight parallel sides.

    Returns
    -------
    (n_points, 3) ndarray
        N, consistent: f_a = integral of N_a t dA, on the shape before loading.

    Raises
    ------
    InputError
        As `pressure_force`.

    Examples
    --------
    >>> square = [[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0.0]]
    >>> traction_force(square, [[0, 1, 2, 3]], [0.5, 0.0, 0.0]).sum(axis=0)
    array([2., 0., 0.])
    """

    def density(at: FacetPoints, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(values * np.linalg.norm(at.areas, axis=2)[..., None])

    return _force(points, facets, traction, (3,), density, degree)


def _force(
    points: ArrayLike,
    facets: ArrayLike,
    field: Field,
    tail: tuple[int, ...],
    density: Callable[[FacetPoints, NDArray[np.float64]], NDArray[np.float64]],
    degree: int | None,
) -> NDArray[np.float64]:
    """Nodal forces (n_points, 3) of a field with values of shape `tail`."""
    at, ids = checked_facets(points, facets)
    values = None if callable(field) else _by_node(_checked_values(field, ids.shape, tail), ids.shape, tail)
    out = np.zeros((len(at), 3))
    for some in facet_chunks(len(ids)):
        found = facet_points(at, ids[some], degree)
        if values is None:
            here = _called(field, found.places, tail)
        else:
            here = np.einsum("qk,mk...->mq...", found.shape, values[some])
        np.add.at(out, ids[some], np.einsum("qk,mqi->mki", found.shape, density(found, here)))
    return out


def _by_node(values: NDArray[np.float64], shape: tuple[int, ...], tail: tuple[int, ...]) -> NDArray[np.float64]:
    """Values of every node of every facet, (m, k, ...), without copies."""
    lead = values.ndim - len(tail)
    return np.broadcast_to(values.reshape(values.shape[:lead] + (1,) * (2 - lead) + tail), shape + tail)


def _checked_values(field: Field, shape: tuple[int, ...], tail: tuple[int, ...]) -> NDArray[np.float64]:
    """Numbers of one for all, by facet, or by node of a facet."""
    values = np.asarray(field, dtype=np.float64)
    fitting = [(), shape[:1], shape]
    if values.shape not in [lead + tail for lead in fitting]:
        wanted = " or ".join(str(lead + tail) for lead in fitting)
        raise InputError(f"pressure or traction must have shape {wanted}, got {values.shape}")
    if not np.all(np.isfinite(values)):
        raise InputError("pressure or traction is not finite")
    return values


def _called(field: Field, places: NDArray[np.float64], tail: tuple[int, ...]) -> NDArray[np.float64]:
    """A function's values at places (m, q, 3)."""
    assert callable(field)
    flat = places.reshape(-1, 3)
    values = np.asarray(field(flat), dtype=np.float64)
    if values.shape != (len(flat), *tail):
        raise InputError(f"the function of coordinates gave shape {values.shape}, not {(len(flat), *tail)}")
    if not np.all(np.isfinite(values)):
        x, y, z = flat[int(np.argmax(~np.isfinite(values).reshape(len(flat), -1).all(axis=1)))]
        raise InputError("the pressure or traction is not finite", where=f"({x:.1f}, {y:.1f}, {z:.1f}) mm")
    return values.reshape(*places.shape[:2], *tail)
