"""A segment between two rigid pads: a load case on a mesh as rigid bodies and loads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.facets import facet_points
from fesolver.fem.problem import Loads, RigidBody, RigidLoad
from fesolver.loading.follower import follower_load
from fesolver.loading.load_case import LoadCase
from fesolver.loading.moments import check_moments, top_moment
from fesolver.meshing.spine_mesh import SpineMesh, Surface

__all__ = ["BOTTOM", "TOP", "PadSetup", "check_load_case", "pad_constraints", "side_force_fraction"]

TOP, BOTTOM = "top", "bottom"
"""Names of the two rigid bodies in a `Problem`, in reactions and in reports."""

_FREE_MOTIONS = {"fixed": (2,), "tilt": (2, 3, 4), "free": (0, 1, 2, 3, 4, 5)}
"""Motions (ux, uy, uz, rx, ry, rz) that the top pad keeps; tilt is rotation about both transverse axes."""


@dataclass(frozen=True)
class PadSetup:
    """What a load case needs from a solver.

    Parameters
    ----------
    prescribed_dofs : (k,) ndarray of int64
        For `Problem.prescribed_dofs`; pads prescribe none, their motions are those of the rigid bodies.
    rigid_bodies : tuple of RigidBody
        `top`, with the load point as its reference, and `bottom`, with the centroid of its endplate.
    loads : Loads
        Force and moment on, or motion of, the top pad, and the nodal forces of a follower load.
    load_point : (3,) ndarray
        Where the force acts, mm, mesh frame; stiffness is force over displacement of this point along `axis`.
    axis : (3,) ndarray
        Unit vector of the segment's axis, cranial; the force is along its opposite.
    """

    prescribed_dofs: NDArray[np.int64]
    rigid_bodies: tuple[RigidBody, ...]
    loads: Loads
    load_point: NDArray[np.float64]
    axis: NDArray[np.float64]


def check_load_case(load_case: LoadCase) -> None:
    """Refuse a load case that cannot be applied to any mesh.

    Raises
    ------
    InputError
        On an unknown choice, a number that is not finite, a force or shortening that is not positive (the force may be
        zero beside a moment or a follower load), a moment on a rotation that the pad does not have, and a moment or
        follower load beside a given shortening.
    """
    where = f"load case {load_case.name!r}"
    if load_case.control not in ("force", "displacement"):
        raise InputError(f"unknown control {load_case.control!r}", where=where, fix="use force or displacement")
    if load_case.top not in _FREE_MOTIONS:
        raise InputError(f"unknown top {load_case.top!r}", where=where, fix=f"use one of {', '.join(_FREE_MOTIONS)}")
    if not (np.isfinite(load_case.follower_n) and load_case.follower_n >= 0.0):
        raise InputError(f"follower_n must be finite and not negative, got {load_case.follower_n}", where=where)
    check_moments(load_case, _FREE_MOTIONS[load_case.top])
    is_force = load_case.control == "force"
    if load_case.follower_n and not is_force:
        raise InputError("a follower load beside a given shortening", where=where, fix="use control = 'force' with it")
    key, value = ("force_n", load_case.force_n) if is_force else ("displacement_mm", load_case.displacement_mm)
    is_alone = not (load_case.follower_n or load_case.has_moment)
    if not (np.isfinite(value) and (value > 0.0 or (value == 0.0 and not is_alone))):
        raise InputError(
            f"{key} must be positive and finite, got {value}",
            where=where,
            fix="give the magnitude of the compression: its direction is part of the load case; force_n may be 0 "
            "beside a moment or a follower load",
        )
    if not np.isfinite(load_case.offset_anterior_mm):
        raise InputError(f"offset_anterior_mm must be finite, got {load_case.offset_anterior_mm}", where=where)


def pad_constraints(mesh: SpineMesh, load_case: LoadCase) -> PadSetup:
    """Rigid pads on the outer endplates of a segment, or of a single body.

    Parameters
    ----------
    mesh : SpineMesh
        In the segment frame: z is the axis. Needs `surfaces` of the highest superior and the lowest inferior endplate.
    load_case : LoadCase
        Force or shortening, motion of the top pad, anterior offset of the load, moments, follower load.

    Returns
    -------
    PadSetup

    Raises
    ------
    InputError
        If the load case does not hold up (`check_load_case`), an endplate is missing, empty or too small to hold a
        rigid body, the pads share points, the load point lies in front of or behind the top endplate, or a follower
        load has no chord to follow.

    Notes
    -----
    The bottom pad is fixed in all six motions. The top pad keeps its axial motion (`fixed`), also the rotations about
    both transverse axes (`tilt`), or all six (`free`). The force is dead: along -z whatever the pad does. It acts at
    the centroid of the top endplate (by area seen along the axis), moved by `offset_anterior_mm` towards -y. This point
    is the pad's reference, so the force brings no moment about it, and its displacement along the axis is that of the
    load. Under displacement control the axial motion of this point is prescribed instead, and what `tilt` or `free`
    leaves free stays free.

    Moments act on the top pad where its rotations are free (`fesolver.loading.moments`). A follower load acts on the
    bodies (`fesolver.loading.follower`); a pad that may not move sideways answers to it with a force of its own.

    On one mesh these choices of the top pad changed the stiffness of a segment from 99 to 853 N/mm: they belong beside
    every result.
    """
    check_load_case(load_case)
    if not mesh.levels:
        raise InputError("the mesh has no levels to load")
    top_name, bottom_name = f"{mesh.levels[0]}/superior_endplate", f"{mesh.levels[-1]}/inferior_endplate"
    top, bottom = _surface(mesh, top_name), _surface(mesh, bottom_name)
    top_points, bottom_points = np.unique(top.facets), np.unique(bottom.facets)
    _check_pads(mesh, top_name, top_points, bottom_name, bottom_points)

    axis = np.array([0.0, 0.0, 1.0])
    load_point = _area_centroid(mesh, top, axis)
    load_point[1] -= load_case.offset_anterior_mm
    y = mesh.points[top_points, 1]
    if not y.min() <= load_point[1] <= y.max():
        centroid = load_point[1] + load_case.offset_anterior_mm
        raise InputError(
            f"the load point lies outside the top endplate: offset_anterior_mm = {load_case.offset_anterior_mm:g}",
            where=f"load case {load_case.name!r}, {top_name}",
            fix=f"use {centroid - y.max():.1f} to {centroid - y.min():.1f} mm",
        )

    is_fixed = np.ones(6, dtype=bool)
    is_fixed[list(_FREE_MOTIONS[load_case.top])] = False
    if load_case.control == "force":
        load = RigidLoad(force=-load_case.force_n * axis, moment=top_moment(load_case))
    else:
        is_fixed[2] = True
        load = RigidLoad(motion=np.concatenate([-load_case.displacement_mm * axis, np.zeros(3)]))
    bodies = (
        RigidBody(TOP, top_points, load_point, is_fixed),
        RigidBody(BOTTOM, bottom_points, _area_centroid(mesh, bottom, axis), np.ones(6, dtype=bool)),
    )
    nodal_force = follower_load(mesh, load_case.follower_n) if load_case.follower_n else None
    return PadSetup(np.zeros(0, np.int64), bodies, Loads(nodal_force, rigid={TOP: load}), load_point, axis)


def side_force_fraction(reaction: ArrayLike, axis: ArrayLike) -> float:
    """Transverse over axial part of the force of a reaction; over 0.05 deserves a warning.

    Parameters
    ----------
    reaction : (6,) or (3,) array_like
        Force (N), then moment, of one pad on the mesh, as in `Solution.rigid_reaction`.
    axis : (3,) array_like
        Unit vector, `PadSetup.axis`.

    Returns
    -------
    float
        Dimensionless; infinite for a purely transverse force, 0 for none.

    Examples
    --------
    >>> side_force_fraction([3.0, 4.0, -100.0], [0.0, 0.0, 1.0])
    0.05
    """
    force, z = np.asarray(reaction, dtype=np.float64)[:3], np.asarray(axis, dtype=np.float64)
    axial = float(force @ z)
    side = float(np.linalg.norm(force - axial * z))
    if side == 0.0:
        return 0.0
    return side / abs(axial) if axial else float("inf")


def _surface(mesh: SpineMesh, name: str) -> Surface:
    """A surface of the mesh with at least one facet."""
    surface = mesh.surfaces.get(name)
    if surface is None:
        raise InputError(
            f"the mesh has no surface {name} to put a pad on",
            fix=f"the mesh has {', '.join(sorted(mesh.surfaces)) or 'no surfaces'}: check the labels of that level",
        )
    if len(surface.facets) == 0:
        raise InputError(f"surface {name} is empty: the segment would be without support there")
    return surface


def _check_pads(
    mesh: SpineMesh, top_name: str, top: NDArray[np.int64], bottom_name: str, bottom: NDArray[np.int64]
) -> None:
    """Each pad must fix a rigid body's six motions, and the two must be apart."""
    for name, points in ((top_name, top), (bottom_name, bottom)):
        arms = mesh.points[points] - mesh.points[points].mean(axis=0)
        spread = np.linalg.svd(arms, compute_uv=False) if len(points) >= 3 else np.zeros(2)
        if spread[1] <= 1e-9 * max(spread[0], 1.0):
            raise InputError(
                f"the {len(points)} points of {name} lie on a line: a pad tied to them is a singular support",
                where="around ({:.1f}, {:.1f}, {:.1f}) mm".format(*mesh.points[points].mean(axis=0)),
            )
    shared = np.intersect1d(top, bottom)
    if len(shared):
        raise InputError(
            f"the pads on {top_name} and {bottom_name} share {len(shared)} points",
            where="first at ({:.1f}, {:.1f}, {:.1f}) mm".format(*mesh.points[shared[0]]),
            fix="use a finer spacing: the body has to be at least one cell high between its endplates",
        )


def _area_centroid(mesh: SpineMesh, surface: Surface, axis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centroid of a surface by its area seen along the axis, mm, (3,): the risers of voxel stairs do not count."""
    if surface.facets.shape[1] > 4:  # mid-sides: curved facets, by quadrature
        at = facet_points(mesh.points, surface.facets)
        centers, seen = at.places.reshape(-1, 3), np.abs(at.areas @ axis).ravel()
    else:
        centers = mesh.points[surface.facets].mean(axis=1)
        seen = surface.areas * np.abs(surface.normals @ axis)
    total = float(seen.sum())
    if not total > 0.0:
        raise InputError(
            "a pad surface has no area across the axis",
            where="around ({:.1f}, {:.1f}, {:.1f}) mm".format(*centers.mean(axis=0)),
        )
    return np.asarray((seen[:, None] * centers).sum(axis=0) / total)
