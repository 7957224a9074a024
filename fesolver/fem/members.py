"""Trusses and springs between points: stiffness, forces, and what a problem may have of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.problem import Members, Problem

__all__ = ["axial_forces", "check_members", "member_forces", "springs", "trusses"]

GROUND = -1
"""In place of the second point: fixed in space."""

_ROUND_OFF = 1e-9
"""Part of its largest entry that a stiffness may be off symmetry, sign and line by round-off of its making."""


def trusses(name: str, points: ArrayLike, ends: ArrayLike, *, young_mpa: ArrayLike, area_mm2: ArrayLike) -> Members:
    """Straight bars that carry axial force only.

    Parameters
    ----------
    name : str
        Name their forces are reported under.
    points : (n_points, 3) array_like
        Coordinates of the problem's points, mm.
    ends : (k, 2) array_like of int
        Point ids of both ends.
    young_mpa, area_mm2 : float or (k,) array_like
        Young's modulus, MPa, and area of the section, mm2; both positive.

    Returns
    -------
    Members
        Stiffness E A / L along the bar.

    Raises
    ------
    InputError
        If an end is no point, a bar has no length, or a modulus or an area is not positive.

    Notes
    -----
    Small displacements: stiffness is (E A / L) n n^T [1]_, n the unit vector from the first to the second end.

    References
    ----------
    .. [1] K.-J. Bathe, *Finite Element Procedures*, Prentice Hall, 1996, section 5.3.

    Examples
    --------
    >>> bar = trusses("rod", [[0, 0, 0], [0, 0, 50.0]], [[0, 1]], young_mpa=110000.0, area_mm2=25.0)
    >>> float(bar.stiffness[0, 2, 2])
    55000.0
    """
    at, pairs = _checked_ends(name, points, ends)
    if np.any(pairs[:, 1] == GROUND):
        raise InputError(f"a truss of {name!r} ends at ground, which has no place", fix="add a point and prescribe it")
    axis, length = _lines(name, at, pairs)
    E = _each(name, "young_mpa", young_mpa, len(pairs))
    A = _each(name, "area_mm2", area_mm2, len(pairs))
    return Members(name, pairs, np.einsum("k,ki,kj->kij", E * A / length, axis, axis))


def springs(
    name: str,
    points: ArrayLike,
    ends: ArrayLike,
    *,
    stiffness_n_per_mm: ArrayLike,
    direction: ArrayLike | None = None,
) -> Members:
    """Linear springs between two points or a point and ground.

    Parameters
    ----------
    name : str
        Name their forces are reported under.
    points : (n_points, 3) array_like
        Coordinates of the problem's points, mm.
    ends : (k, 2) array_like of int
        Point ids; the second may be -1, which is fixed ground.
    stiffness_n_per_mm : float, (k,), (3, 3) or (k, 3, 3) array_like
        A number is the stiffness along the spring, positive; a matrix is the whole of it, symmetric and positive
        semidefinite.
    direction : (3,) or (k, 3) array_like, optional
        Of springs to ground or between points at one place, with stiffness by number; by default the line from the
        first to the second end.

    Returns
    -------
    Members

    Raises
    ------
    InputError
        If an end is no point, a spring has no direction or two, a stiffness is not positive, or a spring
        between points apart resists anything but its own stretch.

    Notes
    -----
    A spring between points apart may act along their line only: forces across it are a couple, which turning the whole
    body would excite and which no cut could balance.

    Examples
    --------
    >>> support = springs("bed", [[0, 0, 0]], [[0, -1]], stiffness_n_per_mm=20.0, direction=[0, 0, 2])
    >>> support.stiffness[0].diagonal()
    array([ 0.,  0., 20.])
    """
    at, pairs = _checked_ends(name, points, ends)
    k = np.asarray(stiffness_n_per_mm, dtype=np.float64)
    if k.ndim < 2:
        axis = _lines(name, at, pairs)[0] if direction is None else _directions(name, direction, len(pairs))
        size = _each(name, "stiffness_n_per_mm", k, len(pairs))
        matrices = np.einsum("k,ki,kj->kij", size, axis, axis)
    else:
        if direction is not None:
            raise InputError(f"springs {name!r} have both a matrix and a direction", fix="give one of the two")
        if k.shape[-2:] != (3, 3) or k.shape[:-2] not in ((), (len(pairs),)):
            raise InputError(
                f"stiffness of springs {name!r} must be a number, ({len(pairs)},), (3, 3) or ({len(pairs)}, 3, 3), "
                f"got {k.shape}"
            )
        matrices = np.broadcast_to(k, (len(pairs), 3, 3)).copy()
    members = Members(name, pairs, matrices)
    _check_stiffness(members, at)
    return members


def member_forces(members: Members, u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Force (k, 3) in N on the second end of every member; the first end gets the opposite.

    Parameters
    ----------
    members : Members
        Of the problem.
    u : (n_points, 3) ndarray
        Displacement, mm.
    """
    first, second = members.ends.T
    stretch = u[first] - np.where((second == GROUND)[:, None], 0.0, u[second])
    return np.asarray(np.einsum("kij,kj->ki", members.stiffness, stretch))


def axial_forces(members: Members, points: NDArray[np.float64], u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Force (k,) in N along every member, tension positive.

    Parameters
    ----------
    members : Members
        Of the problem.
    points : (n_points, 3) ndarray
        Coordinates before loading, mm.
    u : (n_points, 3) ndarray
        Displacement, mm.

    Raises
    ------
    InputError
        If a member has no line: one to ground, or between points at one place.
    """
    axis, _ = _lines(members.name, points, members.ends)
    return np.asarray(-np.sum(member_forces(members, u) * axis, axis=1))


def check_members(problem: Problem) -> None:
    """Raise `InputError`, with the place, on members that a solver could not take.

    Raises
    ------
    InputError
        If a name is used twice, an end is no point, a stiffness is not finite, symmetric and positive semidefinite, or
        a member between points apart resists anything but its own stretch.
    """
    names = [members.name for members in problem.members]
    if len(set(names)) != len(names):
        raise InputError(f"names of members are used twice: {names}", fix="give each its own")
    for members in problem.members:
        _checked_ends(members.name, problem.points, members.ends)
        _check_stiffness(members, problem.points)


def _checked_ends(name: str, points: ArrayLike, ends: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Coordinates and ends as arrays, refused unless the ends are points and differ."""
    at, given = np.asarray(points, dtype=np.float64), np.asarray(ends)
    if at.ndim != 2 or at.shape[1] != 3:
        raise InputError(f"points must have shape (n_points, 3), got {at.shape}")
    if given.ndim != 2 or given.shape[1] != 2 or not np.issubdtype(given.dtype, np.integer):
        raise InputError(f"ends of {name!r} must be point ids of shape (k, 2), got {given.dtype} {given.shape}")
    pairs = given.astype(np.int64)
    for k in np.flatnonzero((pairs[:, 0] < 0) | (pairs[:, 1] < GROUND) | (pairs.max(axis=1) >= len(at)))[:1]:
        raise InputError(
            f"member {k} of {name!r} joins points {pairs[k, 0]} and {pairs[k, 1]}, there are {len(at)}",
            fix="number points from 0; only the second may be -1, which is ground",
        )
    for k in np.flatnonzero(pairs[:, 0] == pairs[:, 1])[:1]:
        raise InputError(f"member {k} of {name!r} joins point {pairs[k, 0]} to itself", where=_place(at[pairs[k, 0]]))
    return at, pairs


def _lines(
    name: str, points: NDArray[np.float64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors (k, 3) from first to second ends and lengths (k,), mm; refused where there is no line."""
    arm = points[ends[:, 1]] - points[ends[:, 0]]
    length = np.linalg.norm(arm, axis=1)
    bad = (ends[:, 1] == GROUND) | ~(length > _ROUND_OFF * np.abs(points[ends]).max(axis=(1, 2), initial=0.0))
    for k in np.flatnonzero(bad)[:1]:
        what = "ends at ground" if ends[k, 1] == GROUND else "has no length"
        raise InputError(
            f"member {k} of {name!r} {what}, so it has no line",
            where=_place(points[ends[k, 0]]),
            fix="for a spring give `direction`, or a stiffness matrix; for its force take `member_forces`",
        )
    return arm / length[:, None], length


def _directions(name: str, direction: ArrayLike, k: int) -> NDArray[np.float64]:
    """Unit vectors (k, 3)."""
    given = np.asarray(direction, dtype=np.float64)
    if given.shape not in ((3,), (k, 3)):
        raise InputError(f"direction of springs {name!r} must have shape (3,) or ({k}, 3), got {given.shape}")
    size = np.linalg.norm(given, axis=-1, keepdims=True)
    if not np.all((size > 0) & np.isfinite(size)):
        raise InputError(f"a direction of springs {name!r} is zero or not a number")
    return np.broadcast_to(given / size, (k, 3))


def _each(name: str, what: str, values: ArrayLike, k: int) -> NDArray[np.float64]:
    """One positive number for each of k members."""
    given = np.asarray(values, dtype=np.float64)
    if given.shape not in ((), (k,)):
        raise InputError(f"{what} of {name!r} must be a number or have shape ({k},), got {given.shape}")
    if not np.all((given > 0) & np.isfinite(given)):
        raise InputError(f"{what} of {name!r} must be positive and finite, got {_first_bad(given.ravel())}")
    return np.broadcast_to(given, k)


def _first_bad(values: Iterable[float]) -> float:
    """The first that is not positive and finite."""
    return next(float(v) for v in values if not (v > 0 and np.isfinite(v)))


def _check_stiffness(members: Members, points: NDArray[np.float64]) -> None:
    """Refuse stiffness that is not finite, symmetric, positive semidefinite and along the member's line."""
    K, ends = members.stiffness, members.ends
    if K.shape != (len(ends), 3, 3):
        raise InputError(f"stiffness of {members.name!r} must have shape ({len(ends)}, 3, 3), got {K.shape}")
    size = np.abs(K).max(axis=(1, 2), initial=0.0)
    arm = np.where((ends[:, 1] == GROUND)[:, None], 0.0, points[ends[:, 1]] - points[ends[:, 0]])
    is_finite = np.isfinite(K).all(axis=(1, 2))
    for k in np.flatnonzero(~is_finite)[:1]:
        raise InputError(f"stiffness of member {k} of {members.name!r} is not finite", where=_place(points[ends[k, 0]]))
    couple = np.linalg.norm(np.cross(arm[:, None], K), axis=2).max(axis=1, initial=0.0)
    faults = {
        "is not symmetric": np.abs(K - K.transpose(0, 2, 1)).max(axis=(1, 2), initial=0.0) > _ROUND_OFF * size,
        "is not positive semidefinite": np.linalg.eigvalsh(K)[:, 0] < -_ROUND_OFF * size,
        "acts across the line of its ends, which makes a couple": couple
        > _ROUND_OFF * size * (np.linalg.norm(arm, axis=1) + np.abs(points[ends[:, 0]]).max(axis=1)),
    }
    for fault, bad in faults.items():
        for k in np.flatnonzero(bad)[:1]:
            raise InputError(
                f"stiffness of member {k} of {members.name!r} {fault}",
                where=_place(points[ends[k, 0]]),
                fix="give a positive stiffness along the line of its ends; any direction needs ends at one place",
            )


def _place(point: NDArray[np.float64]) -> str:
    """Where a point is, for a message."""
    return f"({point[0]:.1f}, {point[1]:.1f}, {point[2]:.1f}) mm"
