"""Vertebrae and discs of another size or of one sex, and degenerated discs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import atan, degrees, radians, sqrt, tan
from types import MappingProxyType
from typing import Literal, TypeAlias, TypeVar

from fesolver.anatomy.dimensions import DIMENSION_UNITS, DiscDimensions, VertebraDimensions, check_between
from fesolver.anatomy.published import Source
from fesolver.bone.degeneration import disc_geometry
from fesolver.errors import InputError

__all__ = ["SEX_SOURCE", "Sex", "degenerated", "scale_factors", "scaled"]

Sex: TypeAlias = Literal["female", "male"]
_Dimensions = TypeVar("_Dimensions", VertebraDimensions, DiscDimensions)

_AREA_RATIO = 8.22 / 10.98
_VOLUME_RATIO = 22.42 / 30.86
SEX_SOURCE = Source(
    "Gilsanz et al. 1994, Radiology 190:678 (three lumbar bodies of 25 women and 18 men): areas 8.22 and 10.98 cm2, "
    "volumes 22.42 and 30.86 cm3, so widths and depths are as 0.865 to 1 and heights as 0.970 to 1; the table, of "
    "mixed sex, is taken as the geometric mean of both",
    "read (ratios); choice (where the table lies between the sexes, and other levels as the lumbar ones)",
)
"""Where the factors for sex come from."""

_SECTION = (
    "superior_width_mm",
    "superior_depth_mm",
    "inferior_width_mm",
    "inferior_depth_mm",
    "posterior_indentation_mm",
)
_HEIGHTS = ("posterior_height_mm", "anterior_height_mm", "height_mm")
_KEPT = ("shell_thickness_mm", "superior_endplate_thickness_mm", "inferior_endplate_thickness_mm")
_SEX: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "female": (_AREA_RATIO**0.25, sqrt(_VOLUME_RATIO / _AREA_RATIO)),
        "male": (_AREA_RATIO**-0.25, sqrt(_AREA_RATIO / _VOLUME_RATIO)),
    }
)


def scale_factors(
    record: type[VertebraDimensions] | type[DiscDimensions], *, size: float = 1.0, sex: Sex | None = None
) -> dict[str, float]:
    """Factor on every length of a record, dimensionless.

    Parameters
    ----------
    record : type
        `VertebraDimensions` or `DiscDimensions`.
    size : float, optional
        Length over the published length, 0.7 to 1.4.
    sex : {"female", "male"}, optional
        Makes the published means, which are of both sexes, those of one.

    Returns
    -------
    dict
        Field to factor. Angles, fractions and the thicknesses of shell and endplates are not scaled.

    Raises
    ------
    InputError
        If `size` is outside its range or `sex` unknown.

    Notes
    -----
    Sex acts on widths, depths (with the indentation) and heights of bodies and on disc heights, and not on arches,
    canals or hollows, of which the source says nothing.
    """
    check_between("size", size, 0.7, 1.4, "")
    if sex is not None and sex not in _SEX:
        raise InputError(f"unknown sex {sex!r}", fix="use female or male, or leave it out")
    section, height = _SEX[sex] if sex is not None else (1.0, 1.0)
    lengths = [n for n in record.__dataclass_fields__ if DIMENSION_UNITS.get(n) == "mm" and n not in _KEPT]
    return {n: size * (section if n in _SECTION else height if n in _HEIGHTS else 1.0) for n in lengths}


def scaled(dimensions: _Dimensions, *, size: float = 1.0, sex: Sex | None = None) -> _Dimensions:
    """Dimensions of another size or of one sex.

    Parameters
    ----------
    dimensions : VertebraDimensions or DiscDimensions
        Published means of both sexes.
    size : float, optional
        Length over the published length, 0.7 to 1.4.
    sex : {"female", "male"}, optional
        Whose means.

    Returns
    -------
    VertebraDimensions or DiscDimensions
        Of the same level; `size` keeps the shape.

    Raises
    ------
    InputError
        If an argument, or a dimension after scaling, is outside its range.

    References
    ----------
    .. [1] V. Gilsanz et al., Radiology 190:678, 1994.

    Examples
    --------
    >>> from fesolver.anatomy.dimensions import vertebra_dimensions
    >>> round(scaled(vertebra_dimensions("L1"), sex="female").superior_width_mm, 1)
    38.3
    """
    factors = scale_factors(type(dimensions), size=size, sex=sex)
    changes = {n: factor * getattr(dimensions, n) for n, factor in factors.items() if factor != 1.0}
    return replace(dimensions, **changes)


def degenerated(disc: DiscDimensions, grade: str) -> DiscDimensions:
    """Disc of a degeneration grade.

    Parameters
    ----------
    disc : DiscDimensions
        Normal disc.
    grade : {"none", "normal", "mild", "moderate", "severe"}
        Degeneration grade.

    Returns
    -------
    DiscDimensions
        Height and nucleus area times the fractions of `fesolver.bone.degeneration.disc_geometry`. Anterior and
        posterior height fall in the same proportion, so the wedge does too: a choice.

    Raises
    ------
    InputError
        If the grade is unknown or the disc would be implausibly low.

    Examples
    --------
    >>> from fesolver.anatomy.dimensions import disc_dimensions
    >>> degenerated(disc_dimensions("L1", "L2"), "severe").height_mm
    3.1
    """
    left = disc_geometry(grade)
    if left.height_fraction == 1.0:
        return disc
    return replace(
        disc,
        height_mm=left.height_fraction * disc.height_mm,
        wedge_deg=2.0 * degrees(atan(left.height_fraction * tan(radians(0.5 * disc.wedge_deg)))),
        nucleus_area_fraction=left.nucleus_area_fraction * disc.nucleus_area_fraction,
    )
