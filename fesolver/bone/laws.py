"""The published laws by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from fesolver.bone.conversions import conversion_chains, convert
from fesolver.bone.density import DENSITY_KINDS, Density, DensityKind
from fesolver.bone.forms import PowerForm
from fesolver.bone.law import BoneLaw, LawReport, StrengthPartner, TransverseRatios
from fesolver.errors import InputError

__all__ = ["BONE_LAWS", "DEFAULT_LAW", "BoneLaw", "LawReport", "bone_law", "laws_table"]

DEFAULT_LAW = "kopperdahl2002_power"
"""The only family here that was measured directly on vertebral bone against QCT; its power form is never negative."""

_CODE = "coefficients read in public code"
_KOPPERDAHL = "Kopperdahl, Morgan & Keaveny 2002, J Orthop Res 20:801"
_KELLER = "Keller 1994, J Biomech 27:1159"


def _carter_hayes(strain_rate_per_s: float = 0.01) -> BoneLaw:
    """Carter & Hayes 1977: both curves grow with the strain rate to the power 0.06."""
    if not (np.isfinite(strain_rate_per_s) and strain_rate_per_s > 0.0):
        raise InputError(f"strain_rate_per_s must be positive, got {strain_rate_per_s}")
    rate = float(strain_rate_per_s) ** 0.06
    source = f"Carter & Hayes 1977, J Bone Joint Surg 59-A:954, strain rate {strain_rate_per_s:g} /s"
    standing = "known from the paper with high confidence, not re-read; 10 times too soft in osteoporotic bone"
    return BoneLaw(
        "carter_hayes1977",
        "rho_app",
        PowerForm(3790.0 * rate, 3.0),
        (0.07, 2.0),
        source,
        standing,
        StrengthPartner(PowerForm(68.0 * rate, 2.0), "ultimate", source, standing),
    )


def _custom(
    *,
    coefficient: float,
    exponent: float,
    kind: DensityKind,
    offset: float = 0.0,
    density_range_g_cm3: tuple[float, float] = (0.0, np.inf),
    source: str = "given by the user",
) -> BoneLaw:
    """E = offset + coefficient rho ** exponent, with the user's own source."""
    Density(np.zeros(0), kind)
    low, high = density_range_g_cm3
    if not low < high:
        raise InputError(f"density range of a custom law must ascend, got {low} to {high} g/cm3")
    form = PowerForm(float(coefficient), float(exponent), float(offset))
    return BoneLaw("custom", kind, form, (float(low), float(high)), source, "not checked by this package")


_FIXED = (
    BoneLaw(
        "kopperdahl2002_power",
        "rho_qct",
        PowerForm(2980.0, 1.05),
        (0.05, 0.30),
        _KOPPERDAHL,
        f"{_CODE}; density definition known with high confidence, not re-read",
        StrengthPartner(PowerForm(37.4, 1.39), "yield", _KOPPERDAHL, _CODE),
    ),
    BoneLaw(
        "kopperdahl2002_linear",
        "rho_qct",
        PowerForm(3230.0, offset=-34.7),
        (0.05, 0.30),
        _KOPPERDAHL,
        f"{_CODE}; negative below 10.7 mg/cm3",
        StrengthPartner(PowerForm(24.9, offset=-0.750), "yield", _KOPPERDAHL, f"{_CODE}; zero below 30.1 mg/cm3"),
    ),
    BoneLaw(
        "crawford2003",
        "rho_qct",
        PowerForm(3230.0, offset=-34.7),
        (0.05, 0.30),
        f"Crawford, Cann & Keaveny 2003, Bone 33:744; modulus of {_KOPPERDAHL}",
        f"{_CODE}; negative below 10.7 mg/cm3",
        StrengthPartner(PowerForm(24.9, offset=-0.750), "yield", _KOPPERDAHL, f"{_CODE}; zero below 30.1 mg/cm3"),
        TransverseRatios(
            1.0 / 3.0,
            0.157,
            0.381,
            0.104,
            "Crawford, Cann & Keaveny 2003, Bone 33:744, after Ulrich et al. 1999, Bone 25:55",
            "1/3, 0.121 and 0.157 read in public code; Poisson's ratios known with medium confidence, not re-read",
        ),
    ),
    BoneLaw(
        "morgan2003",
        "rho_app",
        PowerForm(4730.0, 1.56),
        (0.11, 0.35),
        "Morgan, Bayraktar & Keaveny 2003, J Biomech 36:897, vertebra, n = 61, r2 = 0.73",
        "coefficients read in a table of the paper's results; range known with high confidence, not re-read",
        StrengthPartner(
            PowerForm(32.6, 1.60),
            "yield",
            "Morgan & Keaveny 2001, J Biomech 34:569, vertebra in compression",
            "known from the paper with medium confidence, not re-read; another paper of the same laboratory",
        ),
    ),
    BoneLaw(
        "keaveny1997",
        "rho_app",
        PowerForm(1540.0, offset=-58.0),
        (0.09, 0.35),
        "Keaveny et al. 1997, lumbar L1 to L4 (bibliographic entry not verified)",
        f"{_CODE}; range not recorded: that of wet vertebral bone in the review of Ohman-Magi et al. 2022 is shown; "
        "negative below 38 mg/cm3",
    ),
    BoneLaw(
        "keller1994_spine",
        "rho_ash",
        PowerForm(1890.0, 1.92),
        (0.05, 0.30),
        f"{_KELLER}, spine",
        f"{_CODE}; range not recorded, the osteoporotic to dense vertebral range is assumed",
        StrengthPartner(
            PowerForm(284.0, 2.27),
            "ultimate",
            f"{_KELLER}, as used for vertebrae by Imai et al. 2006, Spine 31:1789",
            "known with medium confidence, not re-read; S / E is 6 to 9 % strain, far above measured ultimate strains",
        ),
    ),
    BoneLaw(
        "keller1994_pooled",
        "rho_ash",
        PowerForm(10500.0, 2.29),
        (0.05, 1.89),
        f"{_KELLER}, spine and femur pooled",
        _CODE,
        StrengthPartner(
            PowerForm(117.0, 1.93),
            "ultimate",
            f"{_KELLER}, pooled",
            "known from the paper with medium confidence, not re-read",
        ),
    ),
)

BONE_LAWS: dict[str, Callable[..., BoneLaw]] = {
    **{law.name: (lambda law=law: replace(law)) for law in _FIXED},
    "carter_hayes1977": _carter_hayes,
    "custom": _custom,
}
"""Name to the function that makes the law; `carter_hayes1977` and `custom` take parameters, the others none."""


def bone_law(name: str = DEFAULT_LAW, **params: Any) -> BoneLaw:
    """The law of that name.

    Parameters
    ----------
    name : str
        A key of `BONE_LAWS`.
    **params
        `strain_rate_per_s` (default 0.01) of `carter_hayes1977`; `coefficient`, `exponent`, `kind`, and optionally
        `offset`, `density_range_g_cm3`, `source` of `custom` (E = offset + coefficient rho ** exponent, MPa, g/cm3).

    Returns
    -------
    BoneLaw

    Raises
    ------
    InputError
        On an unknown name or parameter.

    Examples
    --------
    >>> bone_law("morgan2003").formula
    'E = 4730 rho^1.56'
    >>> bone_law("custom", coefficient=4000, exponent=1.4, kind="rho_app").formula
    'E = 4000 rho^1.4'
    """
    if name not in BONE_LAWS:
        raise InputError(f"unknown bone law {name!r}", fix=f"use one of {', '.join(BONE_LAWS)}")
    try:
        return BONE_LAWS[name](**params)
    except TypeError as error:
        accepted = {
            "carter_hayes1977": "strain_rate_per_s",
            "custom": "coefficient, exponent, kind, offset, density_range_g_cm3, source",
        }
        raise InputError(
            f"bone law {name} does not take these parameters: {', '.join(params) or 'none were given'}",
            fix=f"it takes {accepted.get(name, 'none')}; kinds are {', '.join(DENSITY_KINDS)}",
        ) from error


def laws_table() -> list[dict[str, str]]:
    """One row per published law for printing.

    Returns
    -------
    list of dict
        Keys `name`, `formula`, `kind`, `range_g_cm3`, `source`, `standing`, `strength` (formula or `none`) and
        `young_mpa_at_80_mg_cm3`: the modulus at 0.08 g/cm3 of `rho_qct`, by the conversions it names where the
        law takes another kind.
    """
    rows = []
    for name in BONE_LAWS:
        if name == "custom":
            continue
        law = bone_law(name)
        chain = () if law.kind == "rho_qct" else conversion_chains("rho_qct", law.kind)[0]
        young = float(law.modulus(convert(Density(np.array([0.08]), "rho_qct"), chain))[0])
        rows.append(
            {
                "name": law.name,
                "formula": law.formula,
                "kind": law.kind,
                "range_g_cm3": "{:g} to {:g}".format(*law.density_range_g_cm3),
                "source": law.source,
                "standing": law.standing,
                "strength": law.strength.formula if law.strength else "none",
                "young_mpa_at_80_mg_cm3": f"{young:.0f}" + (f" by {', '.join(chain)}" if chain else ""),
            }
        )
    return rows
