"""Facet joints of a column: where they are, how they are turned, and the patches that their contact is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import hypot, pi
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import Column, PlacedVertebra
from fesolver.anatomy.facet_dimensions import SIDES, FacetDimensions, Side, check_gap, facet_dimensions
from fesolver.anatomy.frames import Frame
from fesolver.anatomy.levels import disc_name
from fesolver.anatomy.posterior import canal_front
from fesolver.errors import InputError

__all__ = ["FacetJoint", "contact_grid", "facet_joints"]

_NOTHING: Mapping[str, Mapping[str, float]] = MappingProxyType({})


@dataclass(frozen=True)
class FacetJoint:
    """One facet joint: two flat facets that face each other across a gap.

    Parameters
    ----------
    name : str
        `L1-L2/left`.
    upper, lower : str
        Levels above and below.
    side : {"left", "right"}
        The patient's.
    center : (3,) ndarray
        Middle of the gap, mm, in the segment frame.
    normal : (3,) ndarray
        Unit normal from the lower vertebra's superior facet to the upper's inferior facet, in the segment frame.
    width_mm, height_mm : float
        Axes of the facet, an ellipse.
    gap_mm : float
        Distance between the two cartilage surfaces, mm.

    Raises
    ------
    InputError
        If the gap is negative, the size is not positive, or the normal is no unit vector or points along z.
    """

    name: str
    upper: str
    lower: str
    side: Side
    center: NDArray[np.float64]
    normal: NDArray[np.float64]
    width_mm: float
    height_mm: float
    gap_mm: float

    def __post_init__(self) -> None:
        if self.side not in SIDES or self.name != f"{disc_name(self.upper, self.lower)}/{self.side}":
            raise InputError(
                f"facet joint {self.name!r} is not the {self.side} one of {self.upper} and {self.lower}",
                fix='name it as "L1-L2/left"',
            )
        where = f"{disc_name(self.upper, self.lower)}, {self.side}"
        check_gap(self.gap_mm, where)
        for what, value in (("width_mm", self.width_mm), ("height_mm", self.height_mm)):
            if not (np.isfinite(value) and value > 0.0):
                raise InputError(f"{what} of a facet is {value}, not a positive number", where=where)
        if not np.all(np.isfinite(self.center)) or not abs(float(np.linalg.norm(self.normal)) - 1.0) < 1e-9:
            raise InputError("a facet needs a finite centre and a normal of length 1", where=where)
        if abs(self.normal[2]) > 0.95:
            raise InputError(
                f"the facet lies flat: its normal is {np.rad2deg(np.arccos(abs(self.normal[2]))):.0f} degrees off z",
                where=where,
                fix="check the normal: facets stand upright or lean",
            )

    @property
    def axes(self) -> NDArray[np.float64]:
        """Rows: unit vectors along the width, along the height (upwards) and along the normal, right-handed, (3, 3)."""
        up = np.array([0.0, 0.0, 1.0]) - self.normal[2] * self.normal
        up /= np.linalg.norm(up)
        return np.array([np.cross(up, self.normal), up, self.normal])

    @property
    def area_mm2(self) -> float:
        """Area of the facet, an ellipse, mm2."""
        return 0.25 * pi * self.width_mm * self.height_mm

    def contact_points(self, points_per_side: int) -> NDArray[np.float64]:
        """Middles (n * n, 3) of n * n patches of one area each that cover the facet, mm; see `contact_grid`."""
        width, height, _ = self.axes
        grid = contact_grid(points_per_side) * [0.5 * self.width_mm, 0.5 * self.height_mm]
        return np.asarray(self.center + grid @ np.array([width, height]))


def contact_grid(points_per_side: int) -> NDArray[np.float64]:
    """Middles of n * n patches of one area each that cover the unit disc.

    Parameters
    ----------
    points_per_side : int
        n.

    Returns
    -------
    (n * n, 2) ndarray
        The middles of a square's n * n cells under a map that keeps areas in proportion [1]_. Turned by a quarter or
        mirrored in x or y the set is the same, so its centroid is the disc's.

    References
    ----------
    .. [1] P. Shirley, K. Chiu, A low distortion map between disk and square, J Graphics Tools 2(3):45, 1997.

    Examples
    --------
    >>> contact_grid(1).tolist()
    [[0.0, 0.0]]
    """
    if points_per_side < 1 or points_per_side != int(points_per_side):
        raise InputError(f"points_per_side = {points_per_side} is not a whole number of 1 or more")
    n = int(points_per_side)
    at = (2.0 * np.arange(n) + 1.0 - n) / n
    a, b = (grid.ravel() for grid in np.meshgrid(at, at, indexing="ij"))
    is_flat = np.abs(a) > np.abs(b)
    radius = np.where(is_flat, a, b)
    safe = np.where(radius == 0.0, 1.0, radius)
    angle = 0.25 * np.pi * np.where(is_flat, b, a) / safe
    along, across = radius * np.cos(angle), radius * np.sin(angle)
    return np.stack([np.where(is_flat, along, across), np.where(is_flat, across, along)], axis=1)


def facet_joints(
    column: Column, *, frame: Frame | None = None, overrides: Mapping[str, Mapping[str, float]] = _NOTHING
) -> tuple[FacetJoint, ...]:
    """Facet joints of a column, left and right, cranial first.

    Parameters
    ----------
    column : Column
        Places and sizes of the vertebrae.
    frame : Frame, optional
        Segment frame in the column's parent, as `SpineMesh.frame` of a mesh of it; by default the parent itself.
    overrides : mapping of str to mapping, optional
        `L1-L2` (both sides) or `L1-L2/left` (one) to fields of `FacetDimensions` to replace.

    Raises
    ------
    InputError
        If a key names no joint of the column, or a dimension is unknown or implausible.

    Examples
    --------
    >>> from fesolver.anatomy.column import build_column
    >>> [joint.name for joint in facet_joints(build_column(["L1", "L2"]))]
    ['L1-L2/left', 'L1-L2/right']
    """
    frame = frame or Frame(np.zeros(3), np.eye(3))
    pairs = list(pairwise(column.vertebrae))
    names = [disc_name(a.level, b.level) for a, b in pairs]
    known = [key for name in names for key in (name, *(f"{name}/{side}" for side in SIDES))]
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        raise InputError(f"there is no facet joint {unknown[0]!r} in the column", fix=f"use {', '.join(known)}")
    out = []
    for (upper, lower), name in zip(pairs, names, strict=True):
        for side in SIDES:
            changed = {**overrides.get(name, {}), **overrides.get(f"{name}/{side}", {})}
            out.append(_placed(upper, lower, facet_dimensions(upper.level, lower.level, **changed), side, frame))
    return tuple(out)


def _placed(
    upper: PlacedVertebra, lower: PlacedVertebra, facets: FacetDimensions, side: Side, frame: Frame
) -> FacetJoint:
    """One joint beside the disc's middle, turned with the lower body."""
    middle = 0.5 * (upper.inferior_rim_centre + lower.superior_rim_centre)
    axis = lower.superior_normal - upper.inferior_normal
    axis /= hypot(*axis)
    left = upper.frame.axes[0] + lower.frame.axes[0]
    left -= (left @ axis) * axis
    left /= hypot(*left)
    d = lower.dimensions
    behind = canal_front(d) + facets.depth_fraction * d.canal_depth_mm
    across = (0.5 if side == "left" else -0.5) * facets.interfacet_mm
    center = middle + across * left + behind * np.cross(axis, left) + facets.cranial_mm * axis
    return FacetJoint(
        f"{disc_name(upper.level, lower.level)}/{side}",
        upper.level,
        lower.level,
        side,
        frame.to_local(center),
        frame.vectors_to_local(lower.frame.vectors_to_parent(facets.normal(side))),
        facets.width_mm,
        facets.height_mm,
        facets.gap_mm,
    )
