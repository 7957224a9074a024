"""Disc degeneration as a change of disc geometry, by published grades, and of materials, by published linear sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from fesolver.bone.materials import DEFAULT_ANNULUS, DEFAULT_NUCLEUS, FibreReinforced, Isotropic
from fesolver.errors import InputError

__all__ = [
    "DEGENERATION_GRADES",
    "GEOMETRY_GRADES",
    "DiscGeometry",
    "DiscMaterials",
    "disc_geometry",
    "disc_materials",
]

DEGENERATION_GRADES: tuple[str, ...] = ("none", "moderate")
"""Grades with a published linear elastic set."""

_WITHOUT_SET = ("mild", "severe")


@dataclass(frozen=True)
class DiscGeometry:
    """What degeneration leaves of a disc's size.

    Parameters
    ----------
    height_fraction : float
        Height over that of a normal disc, dimensionless.
    nucleus_area_fraction : float
        Area of the nucleus over that of a normal disc, dimensionless.
    osteophyte_fraction : float
        Length of osteophytes over the sagittal diameter of the disc, dimensionless. No mesh here grows them.
    source, standing : str
        The paper, and how well its numbers are known to this package.
    """

    height_fraction: float
    nucleus_area_fraction: float
    osteophyte_fraction: float
    source: str = "J Orthop Surg Res 2022, s13018-022-03220-3, table 2"
    standing: str = "read in the table"


_GEOMETRY: Mapping[str, DiscGeometry] = MappingProxyType(
    {
        "none": DiscGeometry(1.0, 1.0, 0.0),
        "mild": DiscGeometry(0.8, 0.75, 0.1),
        "moderate": DiscGeometry(0.6, 0.5, 0.2),
        "severe": DiscGeometry(0.4, 0.4, 0.3),
    }
)
GEOMETRY_GRADES: tuple[str, ...] = tuple(_GEOMETRY)
"""Grades with a published geometry; `normal` is another word for `none`."""


@dataclass(frozen=True)
class DiscMaterials:
    """Materials of one disc and where they come from.

    Parameters
    ----------
    nucleus : Isotropic
    annulus : FibreReinforced
    source, standing : str
        The paper, and how well its numbers are known to this package.
    """

    nucleus: Isotropic
    annulus: FibreReinforced
    source: str
    standing: str


def disc_geometry(grade: str = "none") -> DiscGeometry:
    """Height and nucleus area that a degeneration grade leaves of a normal disc.

    Parameters
    ----------
    grade : {"none", "normal", "mild", "moderate", "severe"}
        Degeneration grade.

    Returns
    -------
    DiscGeometry
        Height 100/80/60/40 %, nucleus area 100/75/50/40 %, osteophytes 0/10/20/30 % of the sagittal diameter [1]_.

    Raises
    ------
    InputError
        On an unknown grade.

    References
    ----------
    .. [1] J Orthop Surg Res 2022, s13018-022-03220-3, table 2.

    Examples
    --------
    >>> disc_geometry("moderate").height_fraction
    0.6
    """
    name = "none" if grade == "normal" else grade
    if name not in _GEOMETRY:
        raise InputError(f"unknown disc degeneration grade {grade!r}", fix=f"use one of {', '.join(GEOMETRY_GRADES)}")
    return _GEOMETRY[name]


def disc_materials(
    grade: str = "none", *, unpublished: Literal["refuse", "interpolate", "healthy"] = "refuse"
) -> DiscMaterials:
    """Nucleus and annulus of a disc of one degeneration grade.

    Parameters
    ----------
    grade : {"none", "normal", "mild", "moderate", "severe"}
        Mild and severe have published geometry but no published linear moduli.
    unpublished : {"refuse", "interpolate", "healthy"}, optional
        What to do for mild and severe: refuse; take mild half-way between none and moderate and severe as moderate (the
        set ends there, it is not extrapolated); or keep the healthy set. The result says which.

    Returns
    -------
    DiscMaterials
        For the keys `<disc>/nucleus` and `<disc>/annulus` of a material table.

    Raises
    ------
    InputError
        On an unknown grade or `unpublished`, or a grade without a published linear set that is to be refused.

    Notes
    -----
    Moderate: nucleus 2.0 MPa, nu 0.49, annulus ground 2.5 MPa, nu 0.40 [1]_; the fibres are left as they are. The
    published loss of height and nucleus area (100/80/60/40 % and 100/75/50/40 % [2]_) is `disc_geometry` and not
    applied here: a segment from CT has the height it has, and the nucleus fraction is a key of its own.

    References
    ----------
    .. [1] Sci Rep 2025, s41598-025-03377-x, table 1.
    .. [2] J Orthop Surg Res 2022, s13018-022-03220-3, table 2.

    Examples
    --------
    >>> disc_materials("moderate").nucleus
    Isotropic(young=2.0, poisson=0.49)
    """
    grade = "none" if grade == "normal" else grade
    if unpublished not in ("refuse", "interpolate", "healthy"):
        raise InputError(f"unpublished = {unpublished!r} is unknown", fix="use refuse, interpolate or healthy")
    if grade in _WITHOUT_SET and unpublished != "refuse":
        return _unpublished(grade, is_healthy=unpublished == "healthy")
    if grade in _WITHOUT_SET:
        raise InputError(
            f"disc degeneration grade {grade!r} has no published linear elastic set known to this package",
            fix=f"use {' or '.join(DEGENERATION_GRADES)}, or give the moduli of nucleus and annulus yourself",
        )
    if grade not in DEGENERATION_GRADES:
        raise InputError(
            f"unknown disc degeneration grade {grade!r}", fix=f"use one of {', '.join(DEGENERATION_GRADES)}"
        )
    if grade == "none":
        return DiscMaterials(
            DEFAULT_NUCLEUS, DEFAULT_ANNULUS, "BMC Musculoskelet Disord 2013;14:220, table 1", "read in the table"
        )
    return DiscMaterials(
        Isotropic(2.0, 0.49),
        replace(DEFAULT_ANNULUS, ground=Isotropic(2.5, 0.40)),
        "Sci Rep 2025, s41598-025-03377-x, table 1",
        "read in the table",
    )


def _unpublished(grade: str, *, is_healthy: bool) -> DiscMaterials:
    """A stated stand-in for a grade without a published linear set."""
    none, moderate = disc_materials("none"), disc_materials("moderate")
    if is_healthy:
        return replace(none, standing=f"choice: the healthy set, for want of one for {grade}")
    if grade == "severe":
        return replace(moderate, standing="choice: the moderate set, for want of one for severe")
    nucleus = _half_way(none.nucleus, moderate.nucleus)
    ground = _half_way(none.annulus.ground, moderate.annulus.ground)
    return DiscMaterials(
        nucleus,
        replace(none.annulus, ground=ground),
        f"{none.source}; {moderate.source}",
        "choice: half-way between none and moderate, for want of a set for mild",
    )


def _half_way(a: Isotropic, b: Isotropic) -> Isotropic:
    """Mean of the constants of two materials."""
    return Isotropic(0.5 * (a.young + b.young), 0.5 * (a.poisson + b.poisson))
