"""Quantity names as they stand in the tables, turned into words and units."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["MAIN_OUTCOMES", "OF_LOAD", "RISK", "axis_label", "format_number", "main_outcomes", "unit_of", "words_of"]

# Longest first: `_n_mm_per_mm3` also ends in `_mm3`.
_UNITS = (
    ("_n_mm_per_mm3", "N mm/mm³"),
    ("_nmm_per_mm3", "N mm/mm³"),
    ("_kn_per_mm", "kN/mm"),
    ("_n_per_mm", "N/mm"),
    ("_g_cm3", "g/cm³"),
    ("_mg_cm3", "mg/cm³"),
    ("_percent", "%"),
    ("_n_mm", "N mm"),
    ("_nmm", "N mm"),
    ("_mm3", "mm³"),
    ("_mm2", "mm²"),
    ("_mpa", "MPa"),
    ("_deg", "°"),
    ("_kn", "kN"),
    ("_mm", "mm"),
    ("_ml", "ml"),
    ("_n", "N"),
)

_NAMED = {
    "factor_of_risk_yielded_volume": "factor of risk (yielded volume)",
    "factor_of_risk_isolated": "factor of risk (isolated body)",
    "strength_yielded_volume_n": "strength in place (yielded volume)",
    "strength_isolated_n": "strength of the isolated body (0.0068 k h)",
    "nucleus_pressure_over_mean_pressure": "nucleus pressure over F/A",
    "yielded_volume_fraction": "fraction of bone volume over yield strain",
    "isolated_stiffness_over_ea_h": "isolated stiffness over EA/h",
    "facet_force_left_n": "force of the left facet joint",
    "facet_force_right_n": "force of the right facet joint",
    "facet_contact_left_fraction": "part of the left facet joint in contact",
    "facet_contact_right_fraction": "part of the right facet joint in contact",
    "fibres_pulling_fraction": "part of the annulus fibres that pull",
    "fibres_tension_max_mesh_dependent_n": "largest tension of a fibre element (mesh-dependent)",
    "fibres_strain_max_mesh_dependent": "largest strain of a fibre element (mesh-dependent)",
    "flexion_rotation_deg": "flexion",
    "left_bending_rotation_deg": "bending to the left",
    "left_axial_rotation_deg": "axial rotation to the left",
}

_SPELLED = {"p95": "95th percentile", "min principal": "compressive principal", "von mises": "von Mises"}

MAIN_OUTCOMES: tuple[str, ...] = (
    "factor_of_risk_yielded_volume",
    "segment_stiffness_n_per_mm",
    "vertebra_stiffness_n_per_mm",
    "disc_stiffness_n_per_mm",
    "nucleus_pressure_mpa",
    "superior_endplate_bulge_mm",
    "inferior_endplate_bulge_mm",
    "superior_endplate_trabecular_min_principal_stress_mean_mpa",
    "inferior_endplate_trabecular_min_principal_stress_mean_mpa",
    "superior_endplate_trabecular_min_principal_stress_p95_mpa",
    "inferior_endplate_trabecular_min_principal_stress_p95_mpa",
    "yielded_volume_fraction",
)
"""Outcomes that get a figure each, in the order of the report."""

OF_LOAD: Mapping[str, str] = MappingProxyType(
    {
        "flexion_nm": "flexion_rotation_deg",
        "lateral_bending_nm": "left_bending_rotation_deg",
        "axial_rotation_nm": "left_axial_rotation_deg",
    }
)
"""Keys of a load case and the outcome that is a main one where they are not 0."""

RISK = "factor_of_risk_yielded_volume"
"""The risk that is shown first: load over the load at which a set part of the body's bone is over its yield strain."""


def unit_of(quantity: str) -> str:
    """Unit in a quantity's name, empty for ratios.

    Examples
    --------
    >>> unit_of("segment_stiffness_n_per_mm"), unit_of("factor_of_risk")
    ('N/mm', '')
    """
    return next((unit for suffix, unit in _UNITS if quantity.endswith(suffix)), "")


def words_of(quantity: str) -> str:
    """A quantity's name in words, without its unit.

    Examples
    --------
    >>> words_of("superior_endplate_min_principal_stress_p95_mpa")
    'superior endplate compressive principal stress 95th percentile'
    >>> words_of("nucleus_pressure_mpa_change_percent")
    'change of nucleus pressure'
    >>> words_of("interspinous_tension_n")
    'tension of the interspinous ligament'
    """
    if quantity in _NAMED:
        return _NAMED[quantity]
    if quantity.endswith(("_tension_n", "_pulling_fraction")):
        name = quantity.removesuffix("_tension_n").removesuffix("_pulling_fraction").replace("_", " ")
        name = name if name.startswith(("ligamentum", "fibres")) else f"{name} ligament"
        return f"{'tension' if quantity.endswith('_n') else 'pulling part'} of the {name}"
    if quantity.endswith("_change_percent"):
        return f"change of {words_of(quantity.removesuffix('_change_percent'))}"
    suffix = next((suffix for suffix, _ in _UNITS if quantity.endswith(suffix)), "")
    words = quantity.removesuffix(suffix).replace("_", " ").replace("mesh dependent", "(mesh-dependent)")
    for short, spelled in _SPELLED.items():
        words = words.replace(short, spelled)
    return words


def axis_label(quantity: str) -> str:
    """Words and unit for an axis: `segment stiffness (N/mm)`."""
    words, unit = words_of(quantity), unit_of(quantity)
    words = words[:1].upper() + words[1:] if not words.startswith("von ") else words
    return f"{words} ({unit})" if unit else words


def main_outcomes(quantities: Iterable[str], load: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """The main outcomes among the given quantities, in the order of `MAIN_OUTCOMES`.

    Parameters
    ----------
    quantities : iterable of str
        Names.
    load : mapping, optional
        Load case, as `case.json` holds it: under a moment the rotation about its axis comes first.

    Examples
    --------
    >>> main_outcomes(["flexion_rotation_deg", "nucleus_pressure_mpa"], {"flexion_nm": 7.5})
    ('flexion_rotation_deg', 'nucleus_pressure_mpa')
    >>> main_outcomes(["nucleus_pressure_mpa", "cut_axial_force_n", "segment_stiffness_n_per_mm"])
    ('segment_stiffness_n_per_mm', 'nucleus_pressure_mpa')
    """
    present = set(quantities)
    of_load = [name for key, name in OF_LOAD.items() if load and load.get(key)]
    return tuple(name for name in (*of_load, *MAIN_OUTCOMES) if name in present)


def format_number(value: float | None, *, sign: bool = False, digits: int = 4) -> str:
    """A number for reading: four significant digits, a true minus, no exponent where none is needed.

    Examples
    --------
    >>> format_number(-1234.56), format_number(0.000123456, sign=True), format_number(None)
    ('−1235', '+1.235e−4', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        decimals = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
        text = f"{abs(value):.{decimals}f}"
    else:
        mantissa, exponent = f"{abs(value):.{digits - 1}e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    text = text.replace("-", "−")
    return f"−{text}" if value < 0 else f"+{text}" if sign else text
