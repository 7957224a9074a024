"""Cartilage of facet joints: published moduli, and what a thin layer of it does between two bones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fesolver.errors import InputError

__all__ = ["CARTILAGE_LAYERS_MM", "DEFAULT_CARTILAGE", "FACET_CARTILAGE", "Cartilage", "confined_modulus"]

CARTILAGE_LAYERS_MM = 1.6
"""Both layers of a facet joint together: the average lumbar layer is assumed to be around 0.8 mm (ASME Summer
Bioengineering Conference 2011, p. 557, abstract read)."""


@dataclass(frozen=True)
class Cartilage:
    """Linear elastic cartilage.

    Parameters
    ----------
    young : float
        MPa, positive.
    poisson : float
        Dimensionless, in [0, 0.5).
    source : str
        Where the constants come from, and how well they are known.

    Raises
    ------
    InputError
        If a constant is outside its range.
    """

    young: float
    poisson: float
    source: str = ""

    def __post_init__(self) -> None:
        confined_modulus(self.young, self.poisson)

    @property
    def confined(self) -> float:
        """Modulus without lateral strain, MPa."""
        return confined_modulus(self.young, self.poisson)


def confined_modulus(young: float, poisson: float) -> float:
    """Modulus of a layer that cannot widen: stress over strain under uniaxial strain.

    Parameters
    ----------
    young : float
        MPa, positive.
    poisson : float
        Dimensionless, in [0, 0.5).

    Returns
    -------
    float
        E (1 - nu) / ((1 + nu) (1 - 2 nu)), MPa.

    Raises
    ------
    InputError
        If a constant is outside its range.

    Notes
    -----
    A layer bonded to stiff bone and much thinner than the contact is wide can hardly widen: pressure is this modulus
    times indentation over thickness, the elastic foundation [1]_ of joint models [2]_. As nu nears 0.5 it grows without
    bound and the layer's sideways flow, left out here, takes over.

    References
    ----------
    .. [1] K. L. Johnson, *Contact Mechanics*, Cambridge, 1985, sections 4.3 and 5.8 (recalled, high confidence).
    .. [2] Y. Bei, B. J. Fregly, Multibody dynamic simulation of knee contact mechanics, Med Eng Phys 26:777, 2004
       (recalled, high confidence).

    Examples
    --------
    >>> round(confined_modulus(24.0, 0.4), 2)
    51.43
    """
    if not (np.isfinite(young) and young > 0.0):
        raise InputError(f"Young's modulus of cartilage must be positive and finite, got {young} MPa")
    if not 0.0 <= poisson < 0.5:
        raise InputError(
            f"Poisson's ratio of cartilage must lie in [0, 0.5), got {poisson}", fix="published models use 0.3 to 0.4"
        )
    return young * (1.0 - poisson) / ((1.0 + poisson) * (1.0 - 2.0 * poisson))


FACET_CARTILAGE: Mapping[str, Cartilage] = MappingProxyType(
    {
        "e24": Cartilage(24.0, 0.4, "Sci Rep 2025, s41598-025-03377-x, table 1 (nu 0.3 to 0.4), read"),
        "e10": Cartilage(10.0, 0.4, "J Orthop Surg Res 2021, s13018-021-02237-4, table 1, read"),
        "e35": Cartilage(35.0, 0.4, "J Healthc Eng 2017, 9618940, table 2, read"),
        "e50": Cartilage(50.0, 0.4, "BioMed Res Int 2013, 705185, table 1 (its cartilage), read"),
    }
)
"""Published cartilage of facet joints in lumbar models, by modulus."""

DEFAULT_CARTILAGE = FACET_CARTILAGE["e24"]
"""In the middle of the published moduli; a choice."""
