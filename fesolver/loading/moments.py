"""Moments on the rigid top of a segment: their axes, their signs, and what a pad must leave free for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.loading.load_case import LoadCase

__all__ = ["MOMENTS", "NMM_PER_NM", "check_moments", "top_moment"]

MOMENTS = ("flexion_nm", "lateral_bending_nm", "axial_rotation_nm")
"""Keys of the moments about x, y and z of the segment frame."""

NMM_PER_NM = 1000.0


def top_moment(load_case: LoadCase) -> NDArray[np.float64]:
    """Moment on the top pad, N mm, (3,), about x, y, z of the segment frame.

    Parameters
    ----------
    load_case : LoadCase
        Moments in N m.

    Notes
    -----
    In LPS+ (x left, y posterior, z superior) a small turn w displaces a place r of the top endplate by w x r:

    - flexion, about +x: u_z = w y, so the front (y < 0) goes down;
    - lateral bending to the left, about +y: u_z = -w x, so the left (x > 0) goes down;
    - axial rotation to the left, about +z: u_x = -w y, so the front (y < 0) goes to the left (x > 0).

    All three are turns about the positive axis, and so are the moments that cause them. The moment is a free vector: it
    does not matter where on the rigid pad it acts.

    Examples
    --------
    >>> top_moment(LoadCase(force_n=0.0, flexion_nm=-7.5, top="free"))  # extension
    array([-7500.,     0.,     0.])
    """
    return NMM_PER_NM * np.asarray(load_case.moments_nm, dtype=np.float64)


def check_moments(load_case: LoadCase, free_motions: tuple[int, ...]) -> None:
    """Refuse moments that the pad cannot follow.

    Parameters
    ----------
    load_case : LoadCase
        What is asked for.
    free_motions : tuple of int
        Motions (ux, uy, uz, rx, ry, rz) that the pad keeps.

    Raises
    ------
    InputError
        On a moment that is not finite, one beside a given shortening, or one on a rotation that is held.
    """
    where = f"load case {load_case.name!r}"
    for axis, (key, moment) in enumerate(zip(MOMENTS, load_case.moments_nm, strict=True)):
        if not np.isfinite(moment):
            raise InputError(f"{key} must be finite, got {moment}", where=where)
        if moment == 0.0:
            continue
        if load_case.control == "displacement":
            raise InputError(
                f"{key} = {moment:g} beside a given shortening", where=where, fix="use control = 'force' with a moment"
            )
        if 3 + axis not in free_motions:
            raise InputError(
                f"{key} = {moment:g} on a pad that top = {load_case.top!r} keeps from turning that way: the moment "
                "would go into the support",
                where=where,
                fix="use top = 'free', which a test under pure moments needs",
            )
