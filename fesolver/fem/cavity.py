"""Closed cavities in a mesh: the volume inside, what moves it, and what a wall must be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import FACET_OF_SIZE, FACETS
from fesolver.fem.facets import OuterFacets, checked_facets, facet_chunks, facet_points, outer_facets
from fesolver.fem.problem import FluidCavity, Problem

__all__ = ["check_cavities", "check_wall", "enclosed_volume", "volume_gradient", "wall_cells"]

_FLAT = 1e-9
"""A wall that encloses less than this part of the cube of its size encloses nothing but round-off."""


def enclosed_volume(points: ArrayLike, facets: ArrayLike) -> float:
    """Volume inside closed facets.

    Parameters
    ----------
    points : (n_points, 3) array_like
        Coordinates, mm.
    facets : (m, 3, 4, 6 or 8) array_like of int
        Closed, point ids so that normals point out of the volume; curved ones are taken as curved.

    Returns
    -------
    float
        mm3, exact; negative if the normals point in.

    Raises
    ------
    InputError
        If the facets are of no known kind or name points that do not exist.

    Notes
    -----
    V = 1/3 integral of (x - c) . n dA over the surface, by the divergence theorem; c is any point, here the middle of
    the box around the surface.

    Examples
    --------
    >>> tetrahedron = [[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3.0]]
    >>> round(enclosed_volume(tetrahedron, [[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]), 12)
    1.0
    """
    at, ids = checked_facets(points, facets)
    if not len(ids):
        return 0.0
    wall = at[ids.ravel()]
    centre = (wall.min(axis=0) + wall.max(axis=0)) / 2
    total = 0.0
    for some in facet_chunks(len(ids)):
        found = facet_points(at, ids[some])
        total += float(np.sum((found.places - centre) * found.areas)) / 3
    return total


def volume_gradient(points: ArrayLike, facets: ArrayLike) -> NDArray[np.float64]:
    """Change of the enclosed volume by unit displacements.

    Parameters
    ----------
    points : (n_points, 3) array_like
        Coordinates, mm.
    facets : (m, 3, 4, 6 or 8) array_like of int
        As for `enclosed_volume`.

    Returns
    -------
    (n_points, 3) ndarray
        g = dV/du in mm2: to first order a displacement u changes the volume by sum(g * u), and a pressure p inside
        pushes the wall with the nodal forces p g. Zero off the wall.

    Notes
    -----
    dV = integral of u . n dA over the closed surface, so g_a = integral of N_a n dA on the shape before loading: minus
    the nodal forces of a unit pressure on the outside [1]_.

    References
    ----------
    .. [1] J. Bonet, R. D. Wood, *Nonlinear Continuum Mechanics for Finite Element Analysis*, 2nd ed., Cambridge
       University Press, 2008, chapter 8 (normal pressure on enclosed boundaries).
    """
    from fesolver.fem.distributed import pressure_force

    return -pressure_force(points, facets, 1.0)


def check_cavities(problem: Problem) -> None:
    """Raise `InputError`, with the place, on cavities that a solver could not take.

    Raises
    ------
    InputError
        If a name is used twice, a bulk modulus is not positive, a wall is not closed, inside out, or touches points of
        no cell, or if the volume cannot change while its bulk modulus is infinite: its pressure could be anything.
    """
    names = [cavity.name for cavity in problem.cavities]
    if len(set(names)) != len(names):
        raise InputError(f"names of cavities are used twice: {names}", fix="give each its own")
    if not problem.cavities:
        return
    is_of_cells = np.zeros(len(problem.points), dtype=bool)
    is_of_cells[problem.cells.ravel()] = True
    for cavity in problem.cavities:
        if not cavity.bulk_modulus > 0.0:
            raise InputError(
                f"bulk modulus of cavity {cavity.name!r} must be positive, got {cavity.bulk_modulus} MPa",
                fix="water has about 2200 MPa; infinity keeps the volume",
            )
        check_wall(problem.points, cavity)
        stray = cavity.facets[~is_of_cells[cavity.facets]]
        if len(stray):
            raise InputError(
                f"{len(np.unique(stray))} points of the wall of cavity {cavity.name!r} belong to no cell",
                where=_place(problem.points[stray[0]]),
                fix="take the wall's facets from faces of the cells around it",
            )
        if np.isinf(cavity.bulk_modulus):
            _refuse_rigid_wall(problem, cavity)


def wall_cells(problem: Problem, cavity: FluidCavity) -> NDArray[np.int64]:
    """The cell behind each facet of a cavity's wall, (m,).

    Raises
    ------
    InputError
        If a facet is no face of a cell, or lies between two.
    """
    is_wall = np.zeros(len(problem.points), dtype=bool)
    is_wall[cavity.facets.ravel()] = True
    near = np.flatnonzero(is_wall[problem.cells].any(axis=1))
    kind = FACET_OF_SIZE[cavity.facets.shape[1]]
    outer = outer_facets(problem.cells[near], problem.element).get(kind, OuterFacets(cavity.facets[:0], near[:0]))
    both = np.sort(np.concatenate([outer.facets, cavity.facets]), axis=1)
    number = np.unique(both, axis=0, return_inverse=True)[1].ravel()
    owner = np.full(number.max() + 1, -1)
    owner[number[: len(outer.facets)]] = near[outer.cells]
    found = owner[number[len(outer.facets) :]]
    if np.any(found < 0):
        at = problem.points[cavity.facets[np.argmin(found)]].mean(axis=0)
        raise InputError(
            f"{int(np.sum(found < 0))} facets of the wall of cavity {cavity.name!r} are no outer faces of cells",
            where=_place(at),
            fix="take the wall's facets from faces of the cells around it",
        )
    return np.asarray(found)


def check_wall(points: NDArray[np.float64], cavity: FluidCavity) -> None:
    """Raise `InputError` unless the wall is closed (every edge twice, in opposite senses) and its normals point out.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        Coordinates, mm.
    cavity : FluidCavity
        Its bulk modulus does not matter.
    """
    _, facets = checked_facets(points, cavity.facets)
    what = f"the wall of cavity {cavity.name!r}"
    if not len(facets):
        raise InputError(f"{what} has no facets")
    edges = _edges(facets)
    turned = edges.copy()
    turned[:, [0, 1]] = edges[:, [1, 0]]
    _, number = np.unique(np.concatenate([edges, turned]), axis=0, return_inverse=True)
    mine = number[: len(edges)]
    both = np.bincount(number)
    ahead = np.bincount(mine, minlength=len(both))
    bad = (ahead[mine] != 1) | (both[mine] != 2)
    if bad.any():
        first = edges[np.argmax(bad)]
        raise InputError(
            f"{what} is not closed: {int(bad.sum())} of its {len(edges)} edges have not one partner in opposite sense",
            where=_place(points[first[:2]].mean(axis=0)),
            fix="give every facet of the wall once, all with normals out of the cavity; no edge may join more than two",
        )
    volume = enclosed_volume(points, facets)
    size = float(np.ptp(points[facets.ravel()], axis=0).max())
    if not volume > _FLAT * size**3:
        raise InputError(
            f"{what} encloses {volume:.4g} mm3",
            where=_place(points[facets.ravel()].mean(axis=0)),
            fix="its facets must be counter-clockwise seen from the solid, so that normals point out of the cavity",
        )


def _edges(facets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edges of all facets as (first corner, second corner, mid-side or -1)."""
    facet = FACETS[FACET_OF_SIZE[facets.shape[1]]]
    corners = facets[:, np.array(facet.edges)]
    middle = facets[:, facet.n_corners :] if facet.order == 2 else np.full(corners.shape[:2], -1)
    return np.concatenate([corners, middle[..., None]], axis=2).reshape(-1, 3)


def _refuse_rigid_wall(problem: Problem, cavity: FluidCavity) -> None:
    """Refuse an incompressible cavity whose volume no free displacement changes."""
    from fesolver.fem.assembly import reduction_matrix

    g = volume_gradient(problem.points, cavity.facets).ravel()
    P: Any = reduction_matrix(problem)
    if not np.linalg.norm(P.T @ g) > 1e-9 * np.linalg.norm(g):
        raise InputError(
            f"the wall of cavity {cavity.name!r} cannot move but rigidly, so its pressure could be anything",
            where=_place(problem.points[cavity.facets.ravel()].mean(axis=0)),
            fix="give a finite bulk modulus, or free some of the wall",
        )


def _place(point: NDArray[np.float64]) -> str:
    """Where a point is, for a message."""
    return f"({point[0]:.1f}, {point[1]:.1f}, {point[2]:.1f}) mm"
