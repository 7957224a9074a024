"""Ligaments of the spine: published tension laws, and how well each number is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from fesolver.errors import InputError

__all__ = [
    "FLAVUM_RESTING_TENSION_N",
    "LIGAMENTS",
    "LIGAMENT_SETS",
    "BilinearLigament",
    "SpringLigament",
    "ligaments",
    "tension_prestrain",
]

LIGAMENTS: tuple[str, ...] = (
    "anterior_longitudinal",
    "posterior_longitudinal",
    "ligamentum_flavum",
    "capsular",
    "intertransverse",
    "interspinous",
    "supraspinous",
)
"""The seven ligaments, in their usual order."""

FLAVUM_RESTING_TENSION_N: Mapping[str, float] = MappingProxyType({"young": 18.0, "old": 5.0})
"""Tension of the ligamentum flavum in the neutral spine, N [A. L. Nachemson, J. H. Evans, J Biomech 1:211, 1968:
recalled, medium confidence, not read again]; see `tension_prestrain`."""

_BMC = "BMC Musculoskelet Disord 2013;14:220, table 1; J Healthc Eng 2017:9618940, table 2"
_SREP = "Sci Rep 2025, s41598-025-03377-x, table 1"
_PMC7591979 = "PMC7591979 (2020;2020:8858686), table 2"


@dataclass(frozen=True)
class BilinearLigament:
    """A ligament of two moduli that goes slack.

    Parameters
    ----------
    name : str
        One of `LIGAMENTS`.
    young_mpa : (float, float)
        Modulus below and above the switch strain, MPa, not negative.
    switch_strain : float
        Dimensionless, positive.
    area_mm2 : float
        Cross-section of the whole ligament, of both sides where it has two, mm2, not negative.
    source, standing : str
        The paper, and how well its numbers are known to this package.

    Raises
    ------
    InputError
        If a number is outside its range or the name unknown.
    """

    name: str
    young_mpa: tuple[float, float]
    switch_strain: float
    area_mm2: float
    source: str = _BMC
    standing: str = "read in the table"

    def __post_init__(self) -> None:
        _check_name(self.name)
        numbers = (*self.young_mpa, self.area_mm2)
        if len(self.young_mpa) != 2 or not all(np.isfinite(v) and v >= 0.0 for v in numbers):
            raise InputError(
                f"{self.name} needs two moduli and an area of 0 or more, got {self.young_mpa} MPa, {self.area_mm2} mm2"
            )
        if not (np.isfinite(self.switch_strain) and self.switch_strain > 0.0):
            raise InputError(f"the switch strain of {self.name} must be positive, got {self.switch_strain}")


@dataclass(frozen=True)
class SpringLigament:
    """A ligament of one stiffness that goes slack.

    Parameters
    ----------
    name : str
        One of `LIGAMENTS`.
    stiffness_n_per_mm : float
        Of the whole ligament, of both sides where it has two, N/mm, not negative.
    source, standing : str
        The paper, and how well its numbers are known to this package.

    Raises
    ------
    InputError
        If the stiffness is negative or the name unknown.
    """

    name: str
    stiffness_n_per_mm: float
    source: str = _SREP
    standing: str = "read in the table"

    def __post_init__(self) -> None:
        _check_name(self.name)
        if not (np.isfinite(self.stiffness_n_per_mm) and self.stiffness_n_per_mm >= 0.0):
            raise InputError(f"the stiffness of {self.name} must be 0 or more, got {self.stiffness_n_per_mm} N/mm")


def _check_name(name: str) -> None:
    """Refuse a ligament that is none of the seven."""
    if name not in LIGAMENTS:
        raise InputError(f"unknown ligament {name!r}", fix=f"use one of {', '.join(LIGAMENTS)}")


_BILINEAR: Mapping[str, BilinearLigament] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            BilinearLigament("anterior_longitudinal", (7.8, 20.0), 0.12, 63.7),
            BilinearLigament("posterior_longitudinal", (10.0, 20.0), 0.11, 20.0),
            BilinearLigament("ligamentum_flavum", (15.0, 19.0), 0.062, 40.0),
            BilinearLigament("capsular", (7.5, 33.0), 0.25, 30.0),
            BilinearLigament("intertransverse", (10.0, 59.0), 0.18, 1.8),
            BilinearLigament("interspinous", (10.0, 12.0), 0.14, 40.0),
            BilinearLigament("supraspinous", (8.0, 15.0), 0.20, 30.0),
        )
    }
)
_LARGER: Mapping[str, BilinearLigament] = MappingProxyType(
    {
        **_BILINEAR,
        "capsular": replace(_BILINEAR["capsular"], area_mm2=60.0, source=f"{_BMC}; area: JOSR s13018-021-02237-4"),
        "intertransverse": replace(
            _BILINEAR["intertransverse"], area_mm2=3.6, source=f"{_BMC}; area: JOSR s13018-021-02237-4"
        ),
    }
)
_SPRINGS: Mapping[str, SpringLigament] = MappingProxyType(
    {
        name: SpringLigament(name, k)
        for name, k in (
            ("anterior_longitudinal", 8.74),
            ("posterior_longitudinal", 5.83),
            ("ligamentum_flavum", 15.75),
            ("intertransverse", 2.39),
            ("interspinous", 0.19),
            ("supraspinous", 3.82),
        )
    }
)
_SPRINGS_EA_L: Mapping[str, SpringLigament] = MappingProxyType(
    {
        name: SpringLigament(name, young * area / length, _PMC7591979, "E A / L of the moduli read in the table")
        for name, young, area, length in (
            ("anterior_longitudinal", 7.8, 22.4, 20.0),
            ("posterior_longitudinal", 10.0, 7.0, 12.0),
            ("ligamentum_flavum", 17.0, 14.1, 15.0),
            ("intertransverse", 10.0, 0.6, 32.0),
            ("interspinous", 10.0, 14.1, 13.0),
            ("supraspinous", 8.0, 10.5, 22.0),
        )
    }
)

LIGAMENT_SETS: Mapping[str, Mapping[str, BilinearLigament | SpringLigament]] = MappingProxyType(
    {"bilinear": _BILINEAR, "bilinear_larger": _LARGER, "springs": _SPRINGS, "springs_moduli": _SPRINGS_EA_L}
)
"""Published sets by name; see `ligaments`."""


def ligaments(which: str = "bilinear") -> Mapping[str, BilinearLigament | SpringLigament]:
    """A published set of ligaments.

    Parameters
    ----------
    which : {"bilinear", "bilinear_larger", "springs", "springs_moduli"}
        `bilinear`: two moduli, switch strain and area of all seven [1]_ [2]_. `bilinear_larger`: the same with capsular
        60 and intertransverse 3.6 mm2 [3]_. `springs`: six stiffnesses as printed [4]_. `springs_moduli`: the six
        stiffnesses that moduli, areas and lengths of [5]_ make.

    Returns
    -------
    mapping of str to BilinearLigament or SpringLigament
        By name, in the order of `LIGAMENTS`.

    Raises
    ------
    InputError
        On an unknown set.

    Notes
    -----
    Whether an area is that of one side or of both is not said where ligaments are paired; here it is that of both
    together, a choice.

    Read in the tables. [2]_ differs from [1]_ in the last digit (ligamentum flavum 19.5, capsular 32.9, intertransverse
    58.7, interspinous 11.6 MPa above the switch); the numbers here are those of [1]_.

    Neither spring set has the capsular ligament. Moduli, areas and lengths of [5]_ give 8.74, 5.83, 15.98, 0.19, 10.85
    and 3.82 N/mm in the order of `LIGAMENTS`; beside them [5]_ prints 15.38 for the ligamentum flavum and 2.39 for the
    supraspinous ligament, and [4]_ prints 0.19 for the interspinous and 2.39 for the intertransverse ligament: rows
    appear to have been exchanged on the way. So `springs` carries what [4]_ says, doubtful for these two.

    No set has a pre-strain. Measured ones exist (resting tension of the ligamentum flavum:
    `FLAVUM_RESTING_TENSION_N`) and differ between papers and ages; 0 is the default and a choice.

    References
    ----------
    .. [1] BMC Musculoskelet Disord 2013;14:220, table 1.
    .. [2] J Healthc Eng 2017:9618940, table 2.
    .. [3] J Orthop Surg Res 2021, s13018-021-02237-4, table 1.
    .. [4] Sci Rep 2025, s41598-025-03377-x, table 1.
    .. [5] PMC7591979, 2020:8858686, table 2.

    Examples
    --------
    >>> ligaments()["ligamentum_flavum"].young_mpa
    (15.0, 19.0)
    >>> round(ligaments("springs_moduli")["interspinous"].stiffness_n_per_mm, 2)
    10.85
    """
    if which not in LIGAMENT_SETS:
        raise InputError(f"unknown set of ligaments {which!r}", fix=f"use one of {', '.join(LIGAMENT_SETS)}")
    return LIGAMENT_SETS[which]


def tension_prestrain(ligament: BilinearLigament, tension_n: float) -> float:
    """Pre-strain at which a ligament carries a tension.

    Parameters
    ----------
    ligament : BilinearLigament
    tension_n : float
        N, not negative.

    Raises
    ------
    InputError
        If the tension is negative or the ligament cannot carry it.

    Examples
    --------
    >>> flavum = ligaments()["ligamentum_flavum"]
    >>> tension_prestrain(flavum, FLAVUM_RESTING_TENSION_N["young"])
    0.03
    """
    first, second = (young * ligament.area_mm2 for young in ligament.young_mpa)
    at_switch = first * ligament.switch_strain
    if not (np.isfinite(tension_n) and tension_n >= 0.0) or (tension_n > at_switch and second == 0.0):
        raise InputError(f"{ligament.name} cannot carry a tension of {tension_n:g} N")
    if tension_n <= at_switch:
        return 0.0 if tension_n == 0.0 else tension_n / first
    return ligament.switch_strain + (tension_n - at_switch) / second
