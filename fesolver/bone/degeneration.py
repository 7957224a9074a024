"""Disc degeneration as a change of disc materials: published linear sets only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fesolver.bone.materials import DEFAULT_ANNULUS, DEFAULT_NUCLEUS, FibreReinforced, Isotropic
from fesolver.errors import InputError

__all__ = ["DEGENERATION_GRADES", "DiscMaterials", "disc_materials"]

DEGENERATION_GRADES: tuple[str, ...] = ("none", "moderate")
"""Grades with a published linear elastic set."""

_WITHOUT_SET = ("mild", "severe")


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


def disc_materials(grade: str = "none") -> DiscMaterials:
    """Nucleus and annulus of a disc of one degeneration grade.

    Parameters
    ----------
    grade : {"none", "moderate"}
        Mild and severe have published geometry but no published linear moduli: they are refused, not interpolated.

    Returns
    -------
    DiscMaterials
        For the keys `<disc>/nucleus` and `<disc>/annulus` of a material table.

    Raises
    ------
    InputError
        On an unknown grade, or one without a published linear set.

    Notes
    -----
    Moderate: nucleus 2.0 MPa, nu 0.49, annulus ground 2.5 MPa, nu 0.40 [1]_; the fibres are left as they are. The
    published loss of height and nucleus area (100/80/60/40 % and 100/75/50/40 % [2]_) is not applied: a segment from
    CT has the height it has, and the nucleus fraction is a key of its own.

    References
    ----------
    .. [1] Sci Rep 2025, s41598-025-03377-x, table 1.
    .. [2] J Orthop Surg Res 2022, s13018-022-03220-3, table 2.

    Examples
    --------
    >>> disc_materials("moderate").nucleus
    Isotropic(young=2.0, poisson=0.49)
    """
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
