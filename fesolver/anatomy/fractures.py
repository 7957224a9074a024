"""Fractured bodies: wedge, biconcave and crush shapes by grade or by height loss, and the density that goes with them.

A fracture edits dimensions before meshing. `body_map.body_points` takes the same normalised places to the fractured
shape, so a structured mesh keeps its topology and moves its points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeAlias, get_args

import numpy as np

from fesolver.anatomy.dimensions import VertebraDimensions, check_between
from fesolver.anatomy.published import Source
from fesolver.anatomy.quadrature import body_quadrature
from fesolver.errors import InputError

__all__ = [
    "FRACTURE_SOURCE",
    "GENANT_LOSS_PERCENT",
    "DensityChange",
    "Fracture",
    "FractureKind",
    "FracturedBody",
    "apply_fracture",
    "fractured",
]

FractureKind: TypeAlias = Literal["wedge", "biconcave", "crush"]
DensityChange: TypeAlias = Literal["mass_kept", "none"] | float
"""`mass_kept`: density times old over new volume (compaction); `none`: as before; a number: that factor."""

GENANT_LOSS_PERCENT: Mapping[int, float] = MappingProxyType({1: 22.5, 2: 32.5, 3: 50.0})
"""Height loss taken for a grade: the middle of 20 to 25 % and of 25 to 40 %; grade 3 is over 40 % without an upper end,
and 50 % is chosen."""

FRACTURE_SOURCE = Source(
    "Genant et al. 1993, J Bone Miner Res 8:1137: grade 1 is 20 to 25 %, 2 is 25 to 40 %, 3 over 40 % height loss; "
    "middle of the band, 50 % for grade 3",
    "recalled, high (bands); choice (place in the band)",
)

_PLACES = ("anterior", "middle", "posterior")
_LOST: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"wedge": ("anterior",), "biconcave": ("middle",), "crush": _PLACES}
)


@dataclass(frozen=True)
class Fracture:
    """A fractured shape, by kind and grade or by height losses.

    Parameters
    ----------
    kind : {"wedge", "biconcave", "crush"}, optional
        Loses anterior height, middle height, or all three.
    grade : {1, 2, 3}, optional
        Genant grade; `GENANT_LOSS_PERCENT` gives the loss.
    anterior_loss_percent, middle_loss_percent, posterior_loss_percent : float, optional
        Losses instead of kind and grade, percent of the intact height at that place, 0 to 80. A middle loss that is not
        given follows from the rims.
    density_change : "mass_kept", "none" or float, optional
        What the fracture does to the mean density of the body.

    Raises
    ------
    InputError
        If neither or both of (kind, grade) and losses are given, or a value is unknown or outside its range.

    Notes
    -----
    Compaction that keeps all bone (`mass_kept`) is a choice; `none` is the other extreme, in which what the body loses
    in volume it loses in bone.
    """

    kind: FractureKind | None = None
    grade: int | None = None
    anterior_loss_percent: float | None = None
    middle_loss_percent: float | None = None
    posterior_loss_percent: float | None = None
    density_change: DensityChange = "mass_kept"

    def __post_init__(self) -> None:
        given = {place: getattr(self, f"{place}_loss_percent") for place in _PLACES}
        by_loss = any(value is not None for value in given.values())
        if by_loss == (self.kind is not None or self.grade is not None):
            raise InputError(
                "a fracture needs a kind with a grade, or height losses, and not both",
                fix='give kind = "wedge", grade = 2, or anterior_loss_percent = 30',
            )
        if not by_loss:
            if self.kind not in get_args(FractureKind):
                raise InputError(
                    f"unknown fracture kind {self.kind!r}", fix=f"use one of {', '.join(get_args(FractureKind))}"
                )
            if isinstance(self.grade, bool) or self.grade not in GENANT_LOSS_PERCENT:
                raise InputError(f"unknown fracture grade {self.grade!r}", fix="use 1, 2 or 3")
        for place, value in given.items():
            if value is not None:
                check_between(f"{place}_loss_percent", value, 0.0, 80.0, "%")
        if isinstance(self.density_change, str):
            if self.density_change not in ("mass_kept", "none"):
                raise InputError(
                    f"unknown density_change {self.density_change!r}", fix='use "mass_kept", "none" or a factor'
                )
        else:
            check_between("density_change", self.density_change, 0.2, 5.0, "")

    def losses(self) -> dict[str, float]:
        """Loss in percent of the intact height by place (`anterior`, `middle`, `posterior`); only those prescribed."""
        if self.kind is not None and self.grade is not None:
            return dict.fromkeys(_LOST[self.kind], GENANT_LOSS_PERCENT[self.grade])
        given = {place: getattr(self, f"{place}_loss_percent") for place in _PLACES}
        return {place: float(value) for place, value in given.items() if value is not None}


@dataclass(frozen=True)
class FracturedBody:
    """A fractured body and what its fracture does to density.

    Parameters
    ----------
    dimensions : VertebraDimensions
        Fractured shape.
    density_factor : float
        Density after over density before, dimensionless.
    volume_ratio : float
        Volume of the body after over before.
    """

    dimensions: VertebraDimensions
    density_factor: float
    volume_ratio: float


def fractured(
    dimensions: VertebraDimensions,
    *,
    kind: FractureKind | None = None,
    grade: int | None = None,
    anterior_loss_percent: float | None = None,
    middle_loss_percent: float | None = None,
    posterior_loss_percent: float | None = None,
) -> VertebraDimensions:
    """Dimensions of a fractured vertebra, by kind and Genant grade or by height losses.

    Parameters
    ----------
    dimensions : VertebraDimensions
        Intact vertebra.
    kind, grade, anterior_loss_percent, middle_loss_percent, posterior_loss_percent
        As in `Fracture`.

    Returns
    -------
    VertebraDimensions
        Other heights and concavities; everything else as it was.

    Raises
    ------
    InputError
        If the fracture is not well stated, or its shape is not possible in this body.

    Notes
    -----
    Anterior and posterior height are those of the rims. The middle height is that between the deepest points, mean rim
    height less both concavities. A middle loss deepens both concavities by the same amount; where the rims fall further
    than the middle, both shrink in proportion.

    Examples
    --------
    >>> from fesolver.anatomy.dimensions import vertebra_dimensions
    >>> fractured(vertebra_dimensions("L1"), kind="wedge", grade=2).anterior_height_mm
    15.525
    """
    return _edited(
        dimensions,
        Fracture(
            kind=kind,
            grade=grade,
            anterior_loss_percent=anterior_loss_percent,
            middle_loss_percent=middle_loss_percent,
            posterior_loss_percent=posterior_loss_percent,
        ),
    )


def apply_fracture(dimensions: VertebraDimensions, fracture: Fracture) -> FracturedBody:
    """Fractured dimensions with the factor on density.

    Parameters
    ----------
    dimensions : VertebraDimensions
        Intact vertebra.
    fracture : Fracture
        Shape and density change.

    Returns
    -------
    FracturedBody
        With `mass_kept`, density factor times volume ratio is 1.

    Raises
    ------
    InputError
        If the shape is not possible in this body.
    """
    after = _edited(dimensions, fracture)
    ratio = float(np.sum(body_quadrature(after)[2]) / np.sum(body_quadrature(dimensions)[2]))
    change = fracture.density_change
    factor = (1.0 / ratio if change == "mass_kept" else 1.0) if isinstance(change, str) else float(change)
    return FracturedBody(dimensions=after, density_factor=factor, volume_ratio=ratio)


def _edited(d: VertebraDimensions, fracture: Fracture) -> VertebraDimensions:
    """Heights and concavities after the losses."""
    kept = {place: 1.0 - loss / 100.0 for place, loss in fracture.losses().items()}
    anterior = d.anterior_height_mm * kept.get("anterior", 1.0)
    posterior = d.posterior_height_mm * kept.get("posterior", 1.0)
    superior, inferior = d.superior_concavity_mm, d.inferior_concavity_mm
    if "middle" in kept:
        middle = kept["middle"] * (d.mid_height_mm - superior - inferior)
        deep = 0.5 * (anterior + posterior) - middle
        if deep < 0.0:
            least = 100.0 * (1.0 - 0.5 * (anterior + posterior) / (d.mid_height_mm - superior - inferior))
            raise InputError(
                f"middle_loss_percent = {100 * (1 - kept['middle']):g} is less than the rims lose: "
                f"the endplates of {d.level} would bulge out",
                where=d.level,
                fix=f"give middle_loss_percent of {np.ceil(least):.0f} or more, or leave it out",
            )
        hollow = superior + inferior
        if deep >= hollow:
            superior, inferior = superior + 0.5 * (deep - hollow), inferior + 0.5 * (deep - hollow)
        else:
            superior, inferior = superior * deep / hollow, inferior * deep / hollow
    return replace(
        d,
        anterior_height_mm=anterior,
        posterior_height_mm=posterior,
        superior_concavity_mm=superior,
        inferior_concavity_mm=inferior,
    )
