"""Published dimensions of facet joints, T10 to S1: orientation, size, gap, and where each number comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import cos, isfinite, radians, sin
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.dimensions import check_between
from fesolver.anatomy.levels import disc_name
from fesolver.anatomy.published import Source
from fesolver.errors import InputError

__all__ = ["FACETS", "FACET_SOURCES", "SIDES", "FacetDimensions", "Side", "check_gap", "facet_dimensions"]

Side = Literal["left", "right"]
SIDES: tuple[Side, ...] = ("left", "right")
"""The patient's."""

_PANJABI = "Panjabi et al. 1993, Spine 18:1298, C3 to L5"
_MASHARAWI = "Masharawi et al. 2004, Spine 29:1755 (240 columns)"

FACET_SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "transverse_deg": Source(
            f"{_MASHARAWI}: T1 to T11 25 to 30 degrees off the frontal plane (117.5 here), about 101 in 80 % of people "
            "at the thoracolumbar junction (taken for T11-T12), T12 to L2 25.89 to 33.87, L3 to L5 40.40 to 56.30; "
            "L4-L5 45.0 in 146 controls, J Pain Res 2022, 15:2363",
            "read (ranges, L4-L5); choice (placing levels within the ranges)",
        ),
        "longitudinal_deg": Source(f"within the 41.0 to 86.0 degrees of {_PANJABI}", "read (range); choice (levels)"),
        "width_mm": Source(f"within the 9.6 to 16.3 mm of {_PANJABI}", "read (range); choice (levels)"),
        "height_mm": Source(
            f"within the 10.2 to 18.4 mm of {_PANJABI}; with the width an area below its 72.3 to 211.9 mm2 limit",
            "read (range); choice (levels)",
        ),
        "interfacet_mm": Source(f"within the 20.8 to 40.6 mm of {_PANJABI}", "read (range); choice (levels)"),
        "gap_mm": Source(
            "models take 0.4 to 1 mm (recalled, medium); bone to bone it is 1.93 +- 0.51 mm at the centre (Simon et "
            "al. 2012, Spine 37:1058), 0.33 mm more than two layers of cartilage of about 0.8 mm (ASME Summer "
            "Bioengineering Conference 2011, p. 557)",
            "read (both parts); choice (0.4 mm)",
        ),
        "depth_fraction": Source(
            "lumbar centres at the back of the canal: scanner surfaces of one spine have them 32 to 36 mm behind the "
            "middle of the disc, 8 to 12 mm behind the middle of the canal (L1-L2 to L4-L5); thoracic ones before it",
            "choice",
        ),
        "cranial_mm": Source(
            "scanner surfaces of one spine: 6.6 mm (L1-L2 to L3-L4) and 1.8 mm (L4-L5) below the middle of the disc; "
            "taken about half as low, which simple arches leave room for; thoracic ones at that middle",
            "choice",
        ),
    }
)
"""Source and standing of every field of `FacetDimensions`."""

# Transverse and longitudinal angle (degrees), width, height, distance between left and right centre (mm), then the
# centre's depth over the canal's and its height over the disc's middle (mm).
FACETS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "T10-T11": (117.5, 75.0, 10.0, 11.5, 23.0, 0.65, 0.0),
        "T11-T12": (101.0, 77.0, 10.0, 12.0, 24.0, 0.65, 0.0),
        "T12-L1": (26.0, 80.0, 10.2, 14.0, 25.0, 1.0, -3.0),
        "L1-L2": (30.0, 82.0, 11.0, 14.5, 26.0, 1.0, -3.0),
        "L2-L3": (34.0, 82.0, 12.0, 15.5, 28.0, 1.0, -3.0),
        "L3-L4": (40.4, 82.0, 13.5, 16.0, 31.0, 1.0, -3.0),
        "L4-L5": (45.0, 82.0, 15.0, 17.0, 35.0, 1.0, -1.5),
        "L5-S1": (56.0, 82.0, 15.8, 17.0, 40.0, 1.0, -1.5),
    }
)

_RANGES: Mapping[str, tuple[float, float, str]] = MappingProxyType(
    {
        "transverse_deg": (0.0, 135.0, "degrees"),
        "longitudinal_deg": (30.0, 120.0, "degrees"),
        "width_mm": (4.0, 30.0, "mm"),
        "height_mm": (4.0, 35.0, "mm"),
        "interfacet_mm": (10.0, 70.0, "mm"),
        "gap_mm": (0.0, 6.0, "mm"),
        "depth_fraction": (0.0, 2.0, ""),
        "cranial_mm": (-15.0, 15.0, "mm"),
    }
)


@dataclass(frozen=True)
class FacetDimensions:
    """Orientation, size and place of the two facet joints between neighbours; left and right mirror each other.

    Parameters
    ----------
    upper, lower : str
        Levels above and below.
    transverse_deg : float
        Seen from above, angle between the facet and the mid-sagittal plane, degrees: 0 faces the midline, 90 faces
        backwards, above 90 backwards and outwards (thoracic). Of the lower vertebra's superior facet.
    longitudinal_deg : float
        Angle between facet and transverse plane, degrees: 90 is upright; below, the superior facet faces upwards too.
    width_mm, height_mm : float
        Axes of the facet, an ellipse.
    interfacet_mm : float
        Distance between the centres of the left and the right joint.
    depth_fraction : float
        Place of the centre behind the canal's front over the canal's depth.
    cranial_mm : float
        Height of the centre over the disc's middle.
    gap_mm : float
        Distance between the two cartilage surfaces.

    Raises
    ------
    InputError
        If a value is outside its plausible range; a negative gap says by how much the joint overlaps.
    """

    upper: str
    lower: str
    transverse_deg: float
    longitudinal_deg: float
    width_mm: float
    height_mm: float
    interfacet_mm: float
    depth_fraction: float
    cranial_mm: float
    gap_mm: float = 0.4

    def __post_init__(self) -> None:
        where = f"{disc_name(self.upper, self.lower)}, both sides"
        check_gap(self.gap_mm, where)
        for name, (low, high, unit) in _RANGES.items():
            check_between(name, getattr(self, name), low, high, unit, where=where)

    def normal(self, side: Side) -> NDArray[np.float64]:
        """Unit normal (3,) out of the superior facet of one side, in the lower body's frame."""
        turn, lean = radians(self.transverse_deg), radians(self.longitudinal_deg)
        medial = -1.0 if side == "left" else 1.0
        return np.array([medial * cos(turn) * sin(lean), sin(turn) * sin(lean), cos(lean)])


def facet_dimensions(upper: str, lower: str, **overrides: float) -> FacetDimensions:
    """Published dimensions of the facet joints between two neighbours, with any of them replaced.

    Parameters
    ----------
    upper, lower : str
        Neighbouring levels, cranial first, T10 to S1.
    **overrides : float
        Fields of `FacetDimensions` to replace.

    Raises
    ------
    InputError
        If there are no dimensions for that pair, a name is unknown or a value implausible.

    Notes
    -----
    Ranges are those of the abstracts of [1]_ and [2]_; where a level lies within its range is a choice. The standing of
    every field is in `FACET_SOURCES`. At the thoracolumbar junction people differ: thoracic facets (101 degrees) in
    about 80 %, lumbar ones in the rest [2]_.

    References
    ----------
    .. [1] M. M. Panjabi et al., Articular facets of the human spine, Spine 18:1298, 1993.
    .. [2] Y. Masharawi et al., Facet orientation in the thoracolumbar spine, Spine 29:1755, 2004.

    Examples
    --------
    >>> facet_dimensions("L4", "L5").transverse_deg
    45.0
    """
    name = disc_name(upper, lower)
    if name not in FACETS:
        raise InputError(f"no published facet joints for {name}", fix=f"use one of {', '.join(FACETS)}")
    unknown = sorted(set(overrides) - set(_RANGES))
    if unknown:
        raise InputError(f"unknown facet dimension {unknown[0]!r}", where=name, fix=f"use {', '.join(_RANGES)}")
    keys = (
        "transverse_deg",
        "longitudinal_deg",
        "width_mm",
        "height_mm",
        "interfacet_mm",
        "depth_fraction",
        "cranial_mm",
    )
    return FacetDimensions(upper, lower, **(dict(zip(keys, FACETS[name], strict=True)) | overrides))


def check_gap(gap: float, where: str) -> None:
    """Refuse facets that overlap; raises `InputError` with the place `where`."""
    if gap < 0.0 or not isfinite(gap):
        raise InputError(
            f"facet gap negative: the joint overlaps by {-gap:g} mm" if gap < 0.0 else f"facet gap is {gap}",
            where=where,
            fix="give gap_mm of 0 or more: the distance between the two cartilage surfaces",
        )
