"""Which way a surface's coordinates point, and how long their unit is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError

__all__ = ["EXTENT_RANGE_MM", "MM_PER_UNIT", "Unit", "axes_matrix", "check_extents"]

Unit = Literal["mm", "cm", "m"]
"""Units of length a surface file may be in."""

MM_PER_UNIT: Mapping[str, float] = MappingProxyType({"mm": 1.0, "cm": 10.0, "m": 1000.0})
"""Millimetres in each unit."""

EXTENT_RANGE_MM = (15.0, 250.0)
"""Smallest and largest extent along an axis that a vertebra, or its body alone, can have. No published value:
a thoracic body is over 15 mm high, no vertebra with its processes over 120 mm wide, and a wrong unit is a factor of
10 at least."""

_LETTERS: Mapping[str, tuple[int, float]] = MappingProxyType(
    {"L": (0, 1.0), "R": (0, -1.0), "P": (1, 1.0), "A": (1, -1.0), "S": (2, 1.0), "I": (2, -1.0)}
)
_OPPOSITE = dict(zip("LRPASI", "RLAPIS", strict=True))


def axes_matrix(axes: str, *, where: str = "axes") -> NDArray[np.float64]:
    """Rotation from a file's axes to LPS+: `points_lps = points_file @ matrix`.

    Parameters
    ----------
    axes : str
        Three letters: what the file's x, y and z point to. One of L or R, one of A or P, one of S or I, in any order.
    where : str, optional
        Key or file for the message.

    Returns
    -------
    (3, 3) ndarray
        Row k is the file's axis k in LPS+; a proper rotation.

    Raises
    ------
    InputError
        If the letters are not three different directions, or the frame is left-handed.

    Notes
    -----
    A left-handed frame is refused, though its letters may be meant: programs that write surfaces use right-handed axes,
    so a left-handed key is nearly always one wrong letter, and would exchange the patient's left and right.

    Examples
    --------
    >>> axes_matrix("RAS").tolist()
    [[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> (np.array([1.0, 2.0, 3.0]) @ axes_matrix("ALS")).tolist()  # 1 mm anterior, 2 mm left, 3 mm superior
    [2.0, -1.0, 3.0]
    """
    letters = axes.upper() if isinstance(axes, str) else ""
    if len(letters) != 3 or any(letter not in _LETTERS for letter in letters):
        raise InputError(
            f"axes {axes!r} are not three letters of L or R, A or P, S or I",
            where=where,
            fix='say what x, y, z of the file point to, like "LPS", "RAS", or "ALS" (anterior, left, superior)',
        )
    if len({_LETTERS[letter][0] for letter in letters}) != 3:
        raise InputError(
            f"axes {axes!r} name one direction of the body twice",
            where=where,
            fix="use one of L or R, one of A or P, one of S or I",
        )
    matrix = np.zeros((3, 3))
    for row, letter in enumerate(letters):
        column, sign = _LETTERS[letter]
        matrix[row, column] = sign
    if np.linalg.det(matrix) < 0:
        others = [letters[:k] + _OPPOSITE[letters[k]] + letters[k + 1 :] for k in range(3)]
        raise InputError(
            f"axes {axes!r} are a left-handed frame: read that way, the vertebra would be its own mirror image",
            where=where,
            fix=f"one letter is wrong: write {others[0]}, {others[1]} or {others[2]}, whichever is true of the file",
        )
    return matrix


def check_extents(points: NDArray[np.float64], unit: Unit, *, where: str) -> None:
    """Refuse coordinates whose extents, in the unit stated, are not those of a vertebra.

    Parameters
    ----------
    points : (n, 3) ndarray
        Coordinates as the file has them.
    unit : {"mm", "cm", "m"}
        What they are said to be in.
    where : str
        File, for the message.

    Raises
    ------
    InputError
        If `unit` is unknown, or an extent in it lies outside `EXTENT_RANGE_MM`; the message names a unit that fits.
    """
    if unit not in MM_PER_UNIT:
        raise InputError(f"unit {unit!r} is not known", where=where, fix=f"use one of {', '.join(get_args(Unit))}")
    with np.errstate(over="ignore"):  # an infinite extent is refused like any other
        extents = np.minimum(np.ptp(points, axis=0), 1e9)
    if _is_plausible(extents * MM_PER_UNIT[unit]):
        return
    low, high = EXTENT_RANGE_MM
    fitting = [name for name in get_args(Unit) if _is_plausible(extents * MM_PER_UNIT[name])]
    shown = " x ".join(f"{extent:.3g}" for extent in extents * MM_PER_UNIT[unit])
    raise InputError(
        f'the surface is {shown} mm large if its unit is "{unit}"; a vertebra has {low:.0f} to {high:.0f} mm each way',
        where=where,
        fix=f'write unit = "{fitting[0]}", which would fit'
        if fitting
        else "give one vertebra per file, in mm, cm or m",
    )


def _is_plausible(extents_mm: NDArray[np.float64]) -> bool:
    """Whether a vertebra can be this large."""
    return bool(extents_mm.min() >= EXTENT_RANGE_MM[0] and extents_mm.max() <= EXTENT_RANGE_MM[1])
