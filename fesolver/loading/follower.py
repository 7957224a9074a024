"""Follower load: a compression that every disc carries along its own chord of the spine's curve."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.problem import Elasticity, Problem
from fesolver.fem.quadrature_fields import body_force
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["body_points", "chord_directions", "follower_forces", "follower_load", "spread_over_body"]


def body_points(mesh: SpineMesh, points: Mapping[str, ArrayLike] | None = None) -> NDArray[np.float64]:
    """Points that the follower load goes through, mm, (n_levels, 3), cranial first.

    Parameters
    ----------
    mesh : SpineMesh
        Its frames' origins are the bodies' centroids.
    points : mapping of str to (3,) array_like, optional
        Level -> point in the segment frame, mm, in place of that body's centroid.

    Raises
    ------
    InputError
        If a point belongs to no level of the mesh or is not three finite numbers.
    """
    given = {} if points is None else dict(points)
    if unknown := set(given) - set(mesh.levels):
        raise InputError(
            f"a follower point is given for {', '.join(sorted(unknown))}, no level of the mesh",
            fix=f"the mesh has {', '.join(mesh.levels)}",
        )
    out = np.empty((len(mesh.levels), 3))
    for row, level in zip(out, mesh.levels, strict=True):
        point = np.asarray(given.get(level, mesh.frames[level].origin), dtype=np.float64)
        if point.shape != (3,) or not np.all(np.isfinite(point)):
            raise InputError(f"the follower point of {level} must be three finite numbers, got {point}")
        row[:] = point
    return out


def chord_directions(points: ArrayLike) -> NDArray[np.float64]:
    """Unit vectors from each point to the next, (n - 1, 3).

    Raises
    ------
    InputError
        If there are fewer than two points, or two that follow one another coincide.

    Examples
    --------
    >>> chord_directions([[0, 0, 60], [0, 3, 56], [0, 3, 30]])
    array([[ 0. ,  0.6, -0.8],
           [ 0. ,  0. , -1. ]])
    """
    at = np.asarray(points, dtype=np.float64)
    if len(at) < 2:
        raise InputError(
            f"a follower load needs the chord between two bodies; there are {len(at)} body points",
            fix="use a segment of two levels or more, or force_n",
        )
    chords = np.diff(at, axis=0)
    lengths = np.linalg.norm(chords, axis=1)
    if not lengths.min() > 0.0:
        raise InputError(f"two neighbouring follower points coincide at {at[int(np.argmin(lengths))].tolist()} mm")
    return np.asarray(chords / lengths[:, None])


def follower_forces(points: ArrayLike, force_n: float) -> NDArray[np.float64]:
    """Force on each body, N, (n, 3), that makes every disc carry the same force along its own chord.

    Parameters
    ----------
    points : (n, 3) array_like
        Body points, cranial first, mm.
    force_n : float
        P, N; compressive where positive.

    Returns
    -------
    (n, 3) ndarray
        Forces at the points.

    Raises
    ------
    InputError
        If there is no chord, or `force_n` is negative or not finite.

    Notes
    -----
    With d_i the unit vector from point i to point i + 1 (caudal), the first body gets P d_0, body i gets
    P (d_i - d_(i-1)), and the last one nothing: the support under it answers with -P d_(n-2). The forces on all bodies
    above chord i add up to P d_i on the line of that chord: force through point j + 1 turns the resultant from chord j
    into chord j + 1 without a moment about their common point. So a segment that is free at its top carries P along
    the chord in every disc, and no moment about any place on the chord, which is what the cables of Patwardhan [1]_
    do to a cadaver's lumbar spine as long as they run through those points. Directions are those of the reference
    shape: the change of the chords under load is of second order.

    References
    ----------
    .. [1] A. G. Patwardhan et al., A follower load increases the load-carrying capacity of the lumbar spine in
       compression, Spine 24:1003-1009, 1999.

    Examples
    --------
    >>> follower_forces([[0, 0, 60], [0, 3, 56], [0, 3, 30]], 500.0)
    array([[   0.,  300., -400.],
           [   0., -300., -100.],
           [   0.,    0.,    0.]])
    """
    if not (np.isfinite(force_n) and force_n >= 0.0):
        raise InputError(f"follower_n must be finite and not negative, got {force_n}")
    directions = chord_directions(points)
    forces = np.zeros((len(directions) + 1, 3))
    forces[0] = directions[0]
    forces[1:-1] = np.diff(directions, axis=0)
    return force_n * forces


def follower_load(
    mesh: SpineMesh, force_n: float, points: Mapping[str, ArrayLike] | None = None
) -> NDArray[np.float64]:
    """Nodal forces of a follower load, each body's part spread over that body.

    Parameters
    ----------
    mesh : SpineMesh
        Two levels or more.
    force_n : float
        P, N, not negative.
    points : mapping of str to (3,) array_like, optional
        Level -> point in the segment frame, mm; the bodies' centroids by default.

    Returns
    -------
    (n_points, 3) ndarray
        N, for `Loads.nodal_force`. Forces on points of a rigid pad act on the pad.

    Raises
    ------
    InputError
        As `body_points`, `follower_forces` and `spread_over_body`.

    Notes
    -----
    See `follower_forces` for the resultants. A top pad that is kept from moving sideways (`top = "fixed"`, `"tilt"`)
    adds its own reaction to what the discs carry; only `top = "free"` gives the pure follower load.
    """
    at = body_points(mesh, points)
    forces = follower_forces(at, force_n)
    out = np.zeros_like(mesh.points)
    for level, place, force in zip(mesh.levels, at, forces, strict=True):
        if force.any():
            out += spread_over_body(mesh, level, force, place)
    return out


def spread_over_body(mesh: SpineMesh, level: str, force: ArrayLike, at: ArrayLike) -> NDArray[np.float64]:
    """Nodal forces on a vertebral body that add up to one force at one place.

    Parameters
    ----------
    mesh : SpineMesh
        Holds the body: every region of the level but the posterior elements, cells by their fraction.
    level : str
        Which body.
    force : (3,) array_like
        N.
    at : (3,) array_like
        Its point of action, mm.

    Returns
    -------
    (n_points, 3) ndarray
        N: resultant `force`, no moment about `at`, to round-off.

    Raises
    ------
    InputError
        If the mesh has no cells of that body.

    Notes
    -----
    The force per volume is a + w x (x - c), c the centroid: a = F / V carries the force, and w = J^-1 ((at - c) x F),
    J the body's second moment r.r I - r r^T over its volume, the moment; w is zero for a force through the centroid.
    The nodal force of point a is its consistent share m_a of the volume times that density at the point, with V, c and
    J taken as sums over the same m_a, so that resultants hold on any mesh and not only in the limit.
    """
    cells, fraction = _body_cells(mesh, level)
    n = len(cells)
    problem = Problem(
        mesh.points, mesh.cells[cells], Elasticity(np.ones(n), np.zeros(n)), integration="full", element=mesh.element
    )
    share = body_force(problem, fraction[:, None] * np.array([1.0, 0.0, 0.0]))[:, 0]
    volume = float(share.sum())
    center = share @ mesh.points / volume
    used = np.flatnonzero(share)
    arms, mass = mesh.points[used] - center, share[used]
    J = np.sum(mass * np.sum(arms**2, axis=1)) * np.eye(3) - np.einsum("n,ni,nj->ij", mass, arms, arms)
    F = np.asarray(force, dtype=np.float64)
    spin = np.linalg.solve(J, np.cross(np.asarray(at, dtype=np.float64) - center, F))
    out = np.zeros_like(mesh.points)
    out[used] = mass[:, None] * (F / volume + np.cross(spin, arms))
    return out


def _body_cells(mesh: SpineMesh, level: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cells of a vertebral body, ascending, and the part of each that it fills."""
    fraction = np.zeros(len(mesh.cells))
    for name, region in mesh.regions.items():
        owner, kind = name.split("/")
        if owner == level and kind != "posterior":
            fraction[region.cells] += region.fraction
    cells = np.flatnonzero(fraction > 0.0)
    if not len(cells):
        raise InputError(f"the mesh has no cells of the body of {level} to put a follower load on")
    return cells, fraction[cells]
