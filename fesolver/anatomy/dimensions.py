"""Dimensions of vertebrae and discs: published by default, replaceable, checked for plausibility and units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import atan2, degrees, isfinite
from numbers import Real
from types import MappingProxyType

from fesolver.anatomy.levels import LEVELS, disc_name, sort_levels
from fesolver.anatomy.published import BODIES, DISCS, POSTERIOR
from fesolver.errors import InputError

__all__ = [
    "DIMENSION_UNITS",
    "LEVELS_WITH_DIMENSIONS",
    "DiscDimensions",
    "VertebraDimensions",
    "check_between",
    "disc_dimensions",
    "vertebra_dimensions",
]


LEVELS_WITH_DIMENSIONS: tuple[str, ...] = tuple(BODIES)
"""Levels for which `vertebra_dimensions` has published numbers, cranial first."""

_RANGES: Mapping[str, tuple[float, float, str]] = MappingProxyType(
    {
        "superior_width_mm": (15.0, 80.0, "mm"),
        "superior_depth_mm": (15.0, 60.0, "mm"),
        "inferior_width_mm": (15.0, 80.0, "mm"),
        "inferior_depth_mm": (15.0, 60.0, "mm"),
        "posterior_height_mm": (5.0, 50.0, "mm"),
        "anterior_height_mm": (5.0, 50.0, "mm"),
        # Intact endplates reach 5 mm; a biconcave fracture of Genant grade 3 needs about twice that.
        "superior_concavity_mm": (0.0, 12.0, "mm"),
        "inferior_concavity_mm": (0.0, 12.0, "mm"),
        "superior_apex_fraction": (-0.6, 0.6, ""),
        "inferior_apex_fraction": (-0.6, 0.6, ""),
        "central_endplate_fraction": (0.3, 1.0, ""),
        "waist_fraction": (0.0, 0.3, ""),
        "posterior_indentation_mm": (0.0, 8.0, "mm"),
        "shell_thickness_mm": (0.1, 3.0, "mm"),
        "superior_endplate_thickness_mm": (0.1, 3.0, "mm"),
        "inferior_endplate_thickness_mm": (0.1, 3.0, "mm"),
        "canal_width_mm": (10.0, 40.0, "mm"),
        "canal_depth_mm": (8.0, 30.0, "mm"),
        "pedicle_width_mm": (3.0, 25.0, "mm"),
        "pedicle_height_mm": (5.0, 25.0, "mm"),
        "lamina_thickness_mm": (3.0, 12.0, "mm"),
        "spinous_process_mm": (5.0, 50.0, "mm"),
        "transverse_span_mm": (35.0, 120.0, "mm"),
        "height_mm": (1.0, 25.0, "mm"),
        "wedge_deg": (-15.0, 25.0, "degrees"),
        "nucleus_area_fraction": (0.05, 0.8, ""),
        "nucleus_posterior_mm": (-8.0, 8.0, "mm"),
        "bulge_mm": (0.0, 5.0, "mm"),
    }
)


DIMENSION_UNITS: Mapping[str, str] = MappingProxyType({name: unit for name, (_, _, unit) in _RANGES.items()})
"""Unit of every number of `VertebraDimensions` and `DiscDimensions`; empty where it has none."""

_DEEPEST_HOLLOW = 0.7
"""Sum of both concavities over the lower wall's height: a biconcave body keeps at least 30 % of it; a choice."""
_FARTHEST_APEX = 0.8
"""Place of the deepest point over the radius of the hollow: beyond, the hollow's outer slope turns into a step."""
_LOWEST_WALL_MM = 2.0
"""Lowest wall a body can be meshed with; a choice."""


def check_between(name: str, value: float, low: float, high: float, unit: str, *, where: str | None = None) -> None:
    """Refuse a number outside [low, high], guessing the unit that was meant.

    Raises
    ------
    InputError
        If `value` is not a finite number in the range; the message says what other unit would fit.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not isfinite(value):
        raise InputError(f"{name} is {value!r}, not a finite number", where=where)
    if low <= value <= high:
        return
    guesses = {"mm": ((1000.0, "metres"), (10.0, "centimetres")), "g/cm3": ((0.001, "mg/cm3"),)}
    meant = next((name for factor, name in guesses.get(unit, ()) if low < value * factor <= high), None)
    raise InputError(
        f"{name} = {value:g} {unit}".rstrip() + f" is outside {low:g} to {high:g}",
        where=where,
        fix=f"it looks like {meant}: give {unit}" if meant else f"give {unit or 'a plain number'} in that range",
    )


@dataclass(frozen=True)
class VertebraDimensions:
    """Size and shape of one vertebra.

    Parameters
    ----------
    level : str
        Vertebral level.
    superior_width_mm, superior_depth_mm, inferior_width_mm, inferior_depth_mm : float
        Endplates: largest width, and depth in the mid-sagittal plane.
    posterior_height_mm, anterior_height_mm : float
        Height of the body between the endplate rims, at its posterior and anterior wall.
    superior_concavity_mm, inferior_concavity_mm : float
        Depth of the endplate's deepest point below the plane of its rim.
    superior_apex_fraction, inferior_apex_fraction : float
        Where that point lies: 0 on the section's centre, 1 on the posterior and -1 on the anterior wall.
    central_endplate_fraction : float
        Diameter of the concave part over the diameter of the endplate.
    waist_fraction : float
        Narrowing at mid-height: 1 minus the width there over the mean width of the endplates.
    posterior_indentation_mm : float
        How far the posterior wall lies in front of the ellipse that the rest of the section follows.
    shell_thickness_mm, superior_endplate_thickness_mm, inferior_endplate_thickness_mm : float
        True thickness of the cortical shell and of the bony endplates.
    canal_width_mm, canal_depth_mm : float
        Spinal canal: distance between the pedicles, and depth in the mid-sagittal plane.
    pedicle_width_mm, pedicle_height_mm : float
        Pedicle, across and along the spine.
    lamina_thickness_mm, spinous_process_mm, transverse_span_mm : float
        Thickness of the arch behind the canal, length of the spinous process behind it, and distance between the tips
        of the transverse processes.

    Raises
    ------
    InputError
        If a value is outside its plausible range (a hint names the unit it would fit), or the endplates would meet.
    """

    level: str
    superior_width_mm: float
    superior_depth_mm: float
    inferior_width_mm: float
    inferior_depth_mm: float
    posterior_height_mm: float
    anterior_height_mm: float
    superior_concavity_mm: float = 0.7
    inferior_concavity_mm: float = 1.5
    central_endplate_fraction: float = 0.70
    waist_fraction: float = 0.08
    posterior_indentation_mm: float = 4.0
    canal_width_mm: float = 22.0
    canal_depth_mm: float = 14.0
    pedicle_width_mm: float = 8.5
    pedicle_height_mm: float = 15.0
    lamina_thickness_mm: float = 6.0
    spinous_process_mm: float = 22.0
    transverse_span_mm: float = 70.0
    superior_apex_fraction: float = 0.0
    inferior_apex_fraction: float = 0.0
    shell_thickness_mm: float = 0.35
    superior_endplate_thickness_mm: float = 0.35
    inferior_endplate_thickness_mm: float = 0.35

    def __post_init__(self) -> None:
        _check_fields(self, self.level)
        lowest = min(self.posterior_height_mm, self.anterior_height_mm)
        hollow = self.superior_concavity_mm + self.inferior_concavity_mm
        if hollow > _DEEPEST_HOLLOW * lowest:
            raise InputError(
                f"the endplates of {self.level} are {hollow:g} mm hollow in a body only {lowest:g} mm high",
                fix=f"keep superior_concavity_mm + inferior_concavity_mm under {_DEEPEST_HOLLOW:g} of the lower height",
            )
        for side in ("superior", "inferior"):
            apex = getattr(self, f"{side}_apex_fraction")
            if abs(apex) > _FARTHEST_APEX * self.central_endplate_fraction:
                raise InputError(
                    f"{side}_apex_fraction = {apex:g} lies at or beyond the edge of the hollow, "
                    f"{self.central_endplate_fraction:g}",
                    where=self.level,
                    fix=f"keep it within {_FARTHEST_APEX:g} of central_endplate_fraction",
                )
        half_depth = 0.5 * max(self.superior_depth_mm, self.inferior_depth_mm)
        wall = self.mid_height_mm - 2.0 * abs(self.rim_slope) * half_depth
        if wall < _LOWEST_WALL_MM:
            raise InputError(
                f"the rims of {self.level} meet: the body is {wall:.1f} mm high at its lower wall",
                where=f"y = {'-' if self.rim_slope > 0 else ''}{half_depth:.1f} mm in the body frame",
                fix="bring anterior_height_mm and posterior_height_mm, or the two endplate depths, closer together",
            )

    @property
    def mid_height_mm(self) -> float:
        """Height between the rim planes on the body's axis, mm."""
        return 0.5 * (self.posterior_height_mm + self.anterior_height_mm)

    @property
    def rim_slope(self) -> float:
        """Rise of the superior rim plane towards posterior, mm per mm; the inferior one falls as much."""
        depth = 0.5 * (self.superior_depth_mm + self.inferior_depth_mm)
        return 0.5 * (self.posterior_height_mm - self.anterior_height_mm) / depth

    @property
    def wedge_deg(self) -> float:
        """Angle between the rim planes, degrees; positive where the posterior wall is higher (kyphotic)."""
        return 2.0 * degrees(atan2(self.rim_slope, 1.0))


@dataclass(frozen=True)
class DiscDimensions:
    """Size of one intervertebral disc.

    Parameters
    ----------
    upper, lower : str
        Levels above and below.
    height_mm : float
        Distance between the two rim planes on the disc's axis. Between concave endplates the disc is higher at its
        centre by both concavities (2.2 mm with the defaults; 0.4 mm in the mean over the area).
    wedge_deg : float
        Angle between the two rim planes, positive where the disc is higher in front (lordotic).
    nucleus_area_fraction : float
        Area of the nucleus over that of the disc, both at mid-height.
    nucleus_posterior_mm : float
        How far the nucleus' centre lies behind the centre of the section.
    bulge_mm : float
        How far the unloaded disc's outline stands out at mid-height over the line between the two rims.

    Raises
    ------
    InputError
        If a value is outside its plausible range.
    """

    upper: str
    lower: str
    height_mm: float
    wedge_deg: float
    nucleus_area_fraction: float = 0.40
    nucleus_posterior_mm: float = 0.0
    bulge_mm: float = 0.0

    def __post_init__(self) -> None:
        _check_fields(self, self.name)

    @property
    def name(self) -> str:
        """Name of the disc, `L1-L2`."""
        return disc_name(self.upper, self.lower)


def _check_fields(dimensions: VertebraDimensions | DiscDimensions, owner: str) -> None:
    """Every number of a record against its plausible range."""
    for item in fields(dimensions):
        if item.name in _RANGES:
            low, high, unit = _RANGES[item.name]
            check_between(item.name, getattr(dimensions, item.name), low, high, unit, where=owner)


def _check_names(overrides: Mapping[str, float], record: type, owner: str) -> None:
    """Overrides name fields of the record, or a message lists them."""
    known = [item.name for item in fields(record) if item.name in _RANGES]
    unknown = sorted(set(overrides) - set(known))
    if unknown:
        raise InputError(
            f"unknown dimension {', '.join(map(repr, unknown))}", where=owner, fix=f"use {', '.join(known)}"
        )


def vertebra_dimensions(level: str, **overrides: float) -> VertebraDimensions:
    """Published dimensions of a vertebra, with any of them replaced.

    Parameters
    ----------
    level : str
        `T10` to `T12`, `L1` to `L5`.
    **overrides : float
        Fields of `VertebraDimensions` to replace.

    Returns
    -------
    VertebraDimensions
        Means of 12 spines [1]_ [2]_, endplate shape from [3]_; the standing of each is in
        `fesolver.anatomy.published.DIMENSION_SOURCES`.

    Raises
    ------
    InputError
        If the level is unknown or has no dimensions here, a name is unknown or a value implausible.

    Notes
    -----
    Anterior and posterior height give the wedge. The wedge angles that are published on their own (4 degrees at T12, 3
    at L1; recalled, medium) are larger than those heights imply (1.2 and 1.3); set `anterior_height_mm` to use them.

    References
    ----------
    .. [1] M. M. Panjabi et al., Spine 16:888, 1991.
    .. [2] M. M. Panjabi et al., Spine 17:299, 1992.
    .. [3] Y. Wang, M. C. Battie, T. Videman, Eur Spine J 21:2316, 2012.

    Examples
    --------
    >>> vertebra_dimensions("L1").superior_width_mm
    41.2
    >>> wedge_fracture = vertebra_dimensions("L1", anterior_height_mm=16.0)
    >>> round(wedge_fracture.wedge_deg, 1)
    12.8
    """
    sort_levels([level])
    if level not in BODIES:
        raise InputError(f"no published dimensions for {level}", fix=f"use one of {', '.join(BODIES)}")
    _check_names(overrides, VertebraDimensions, level)
    names = (
        "superior_width_mm",
        "superior_depth_mm",
        "inferior_width_mm",
        "inferior_depth_mm",
        "posterior_height_mm",
        "anterior_height_mm",
    )
    values = dict(zip(names, BODIES[level], strict=True)) | dict(POSTERIOR.get(level, {})) | overrides
    return VertebraDimensions(level=level, **values)


def disc_dimensions(upper: str, lower: str, **overrides: float) -> DiscDimensions:
    """Published dimensions of the disc between two neighbours, with any of them replaced.

    Parameters
    ----------
    upper, lower : str
        Neighbouring levels, cranial first, T10 to L5.
    **overrides : float
        Fields of `DiscDimensions` to replace.

    Raises
    ------
    InputError
        If the levels are not neighbours in that order, there are no dimensions, or a value is implausible.

    Examples
    --------
    >>> disc_dimensions("L1", "L2").height_mm
    7.75
    """
    sort_levels([upper, lower])
    if LEVELS.index(lower) != LEVELS.index(upper) + 1:
        raise InputError(f"{upper} and {lower} are not neighbours, cranial first", fix='give them as in ("L1", "L2")')
    name = disc_name(upper, lower)
    if name not in DISCS:
        raise InputError(f"no published dimensions for the disc {name}", fix=f"use one of {', '.join(DISCS)}")
    _check_names(overrides, DiscDimensions, name)
    values = dict(zip(("height_mm", "wedge_deg"), DISCS[name], strict=True)) | overrides
    return DiscDimensions(upper=upper, lower=lower, **values)
