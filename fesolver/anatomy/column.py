"""Vertebrae stacked to a column: disc heights and wedges place each frame below the one above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import atan2, cos, degrees, hypot, radians, sin
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.dimensions import (
    DiscDimensions,
    VertebraDimensions,
    disc_dimensions,
    vertebra_dimensions,
)
from fesolver.anatomy.frames import Frame
from fesolver.anatomy.levels import LEVELS, disc_name, sort_levels
from fesolver.errors import InputError

__all__ = ["Column", "PlacedVertebra", "build_column"]

_NOTHING: Mapping[str, Mapping[str, float]] = MappingProxyType({})


@dataclass(frozen=True)
class PlacedVertebra:
    """A vertebra and where it stands.

    Parameters
    ----------
    dimensions : VertebraDimensions
        Size and shape.
    frame : Frame
        Body frame in the column's parent, mm: origin on the body's axis midway between the rims.
    """

    dimensions: VertebraDimensions
    frame: Frame

    @property
    def level(self) -> str:
        """Vertebral level."""
        return self.dimensions.level

    @property
    def superior_rim_centre(self) -> NDArray[np.float64]:
        """Where the axis meets the superior rim plane, in the parent frame, mm, (3,)."""
        return self.frame.to_parent([0.0, 0.0, 0.5 * self.dimensions.mid_height_mm])

    @property
    def inferior_rim_centre(self) -> NDArray[np.float64]:
        """Where the axis meets the inferior rim plane, in the parent frame, mm, (3,)."""
        return self.frame.to_parent([0.0, 0.0, -0.5 * self.dimensions.mid_height_mm])

    @property
    def superior_normal(self) -> NDArray[np.float64]:
        """Unit normal of the superior rim plane, out of the body, in the parent frame, (3,)."""
        slope = self.dimensions.rim_slope
        return self.frame.vectors_to_parent(np.array([0.0, -slope, 1.0]) / hypot(slope, 1.0))

    @property
    def inferior_normal(self) -> NDArray[np.float64]:
        """Unit normal of the inferior rim plane, out of the body, in the parent frame, (3,)."""
        slope = self.dimensions.rim_slope
        return self.frame.vectors_to_parent(np.array([0.0, -slope, -1.0]) / hypot(slope, 1.0))


@dataclass(frozen=True)
class Column:
    """Vertebrae and discs of one column.

    Parameters
    ----------
    vertebrae : tuple of PlacedVertebra
        Cranial first.
    discs : tuple of DiscDimensions
        Between consecutive vertebrae, cranial first.
    """

    vertebrae: tuple[PlacedVertebra, ...]
    discs: tuple[DiscDimensions, ...]

    @property
    def levels(self) -> tuple[str, ...]:
        """Levels, cranial first."""
        return tuple(vertebra.level for vertebra in self.vertebrae)

    def __getitem__(self, level: str) -> PlacedVertebra:
        """The vertebra of one level."""
        for vertebra in self.vertebrae:
            if vertebra.level == level:
                return vertebra
        raise InputError(f"{level!r} is not in the column", fix=f"use one of {', '.join(self.levels)}")

    @property
    def kyphosis_deg(self) -> float:
        """Angle in the sagittal plane between the highest superior and the lowest inferior rim plane, degrees.

        Positive is kyphosis, negative lordosis.
        """
        top = self.vertebrae[0].superior_normal
        bottom = -self.vertebrae[-1].inferior_normal
        return degrees(atan2(bottom[1], bottom[2]) - atan2(top[1], top[2]))


def build_column(
    levels: Sequence[str],
    *,
    dimensions: Mapping[str, Mapping[str, float]] = _NOTHING,
    discs: Mapping[str, Mapping[str, float]] = _NOTHING,
    sagittal_tilt_deg: float = 0.0,
    coronal_tilt_deg: float = 0.0,
) -> Column:
    """Stack vertebrae with published discs between them.

    Parameters
    ----------
    levels : sequence of str
        Consecutive levels in any order, T10 to L5.
    dimensions : mapping of str to mapping, optional
        Level to fields of `VertebraDimensions` to replace: `{"L1": {"anterior_height_mm": 16.0}}`.
    discs : mapping of str to mapping, optional
        Disc name to fields of `DiscDimensions` to replace: `{"L1-L2": {"height_mm": 5.0}}`.
    sagittal_tilt_deg, coronal_tilt_deg : float, optional
        Lean of the whole column from the parent's z, degrees: forward, then to the patient's left.

    Returns
    -------
    Column
        Frames in a parent frame (LPS+) with its origin midway between the lowest inferior and the highest superior rim
        centre; without tilt, its z runs from the one to the other.

    Raises
    ------
    InputError
        If levels are missing, repeated, not consecutive or without published dimensions; if a replacement names a
        level or disc that is not in the column, or has an implausible value; if a tilt is 90 degrees or more.

    Notes
    -----
    A disc lies between two rim planes that make its wedge angle, each half of it from the disc's mid-plane; its height
    is measured on its axis, which joins the two rim centres along the normal of the mid-plane.

    Examples
    --------
    >>> column = build_column(["T12", "L1", "L2"])
    >>> column.levels
    ('T12', 'L1', 'L2')
    >>> round(build_column(["L1", "L2", "L3", "L4", "L5"]).kyphosis_deg)
    -42
    """
    ordered = _consecutive(levels)
    names = [disc_name(*pair) for pair in pairwise(ordered)]
    _check_keys(dimensions, ordered, "level")
    _check_keys(discs, names, "disc")
    for name, value in (("sagittal_tilt_deg", sagittal_tilt_deg), ("coronal_tilt_deg", coronal_tilt_deg)):
        if not abs(value) < 90.0:
            raise InputError(f"{name} = {value:g} is not under 90 degrees")
    bodies = [vertebra_dimensions(level, **dimensions.get(level, {})) for level in ordered]
    gaps = [
        disc_dimensions(upper, lower, **discs.get(disc_name(upper, lower), {})) for upper, lower in pairwise(ordered)
    ]
    placed = [PlacedVertebra(bodies[0], Frame(np.zeros(3), _lean(0.0)))]
    for gap, below in zip(gaps, bodies[1:], strict=True):
        placed.append(_below(placed[-1], gap, below))
    top, bottom = placed[0].superior_rim_centre, placed[-1].inferior_rim_centre
    axis = top - bottom
    # Undo the lean of the end-to-end line (to posterior), then lean forward and to the left.
    turn = _rotation_to_left(coronal_tilt_deg) @ _rotation_forward(sagittal_tilt_deg + degrees(atan2(axis[1], axis[2])))
    middle = 0.5 * (top + bottom)
    vertebrae = tuple(
        PlacedVertebra(v.dimensions, Frame(turn @ (v.frame.origin - middle), v.frame.axes @ turn.T)) for v in placed
    )
    return Column(vertebrae=vertebrae, discs=tuple(gaps))


def _consecutive(levels: Sequence[str]) -> tuple[str, ...]:
    """Levels cranial first, or an `InputError` naming what is missing or repeated."""
    if isinstance(levels, str) or not levels:
        raise InputError(f"levels = {levels!r} is not a list of levels", fix='give them as ["T12", "L1", "L2"]')
    ordered = sort_levels(levels)
    repeated = sorted({level for level in ordered if ordered.count(level) > 1})
    if repeated:
        raise InputError(f"level {', '.join(repeated)} is given more than once")
    wanted = LEVELS[LEVELS.index(ordered[0]) : LEVELS.index(ordered[-1]) + 1]
    missing = [level for level in wanted if level not in ordered]
    if missing:
        raise InputError(
            f"levels {', '.join(ordered)} are not consecutive: {', '.join(missing)} is missing",
            fix="give every level between the first and the last",
        )
    return ordered


def _check_keys(given: Mapping[str, Mapping[str, float]], known: Sequence[str], what: str) -> None:
    """Replacements name members of the column."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(
            f"dimensions are given for {what} {', '.join(unknown)}, which is not in the column",
            fix=f"use {', '.join(known)}" if known else f"a single level has no {what}",
        )


def _below(above: PlacedVertebra, gap: DiscDimensions, dimensions: VertebraDimensions) -> PlacedVertebra:
    """The next vertebra down, its superior rim plane placed by the disc."""
    z = above.frame.axes[2]
    lean_above = atan2(z[1], z[2])
    wedge = radians(gap.wedge_deg)
    half_above, half_below = atan2(above.dimensions.rim_slope, 1.0), atan2(dimensions.rim_slope, 1.0)
    lean = lean_above + half_above + half_below - wedge
    # The lower face of the body above rises towards posterior by -(lean + half wedge); the disc's axis bisects.
    disc_lean = lean_above + half_above - 0.5 * wedge
    normal = np.array([0.0, sin(disc_lean), cos(disc_lean)])
    axes = _lean(lean)
    rim_centre = above.inferior_rim_centre - gap.height_mm * normal
    return PlacedVertebra(dimensions, Frame(rim_centre - 0.5 * dimensions.mid_height_mm * axes[2], axes))


def _lean(angle: float) -> NDArray[np.float64]:
    """Axes (rows) of a frame whose z leans to posterior by an angle in radians."""
    return np.array([[1.0, 0.0, 0.0], [0.0, cos(angle), -sin(angle)], [0.0, sin(angle), cos(angle)]])


def _rotation_forward(angle_deg: float) -> NDArray[np.float64]:
    """Rotation that takes z towards anterior (-y)."""
    c, s = cos(radians(angle_deg)), sin(radians(angle_deg))
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _rotation_to_left(angle_deg: float) -> NDArray[np.float64]:
    """Rotation that takes z towards the patient's left (+x)."""
    c, s = cos(radians(angle_deg)), sin(radians(angle_deg))
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
