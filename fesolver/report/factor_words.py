"""What readers call the factors of a study: words and unit for what is often varied, else what the study says."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from fesolver.report.quantities import unit_of

__all__ = ["FactorWords", "NamedFactor", "factor_words", "words_of_factors"]

_WORDS = MappingProxyType(
    {
        "bone.density_offset_g_cm3": "shift of bone density",
        "bone.density_scale": "scale of bone density",
        "bone.law": "bone law",
        "calibration.intercept_g_cm3": "intercept of the calibration",
        "calibration.slope_factor": "factor on the slope of the calibration",
        "disc.degeneration": "grade of disc degeneration",
        "disc.fibre_layers": "layers of annulus fibres",
        "input.cohort.member": "member of the cohort",
        "input.density_g_cm3": "bone density",
        "input.density_pattern": "pattern of bone density",
        "input.t_score": "T-score",
        "load.force_n": "compressive force",
        "load.offset_anterior_mm": "anterior offset of the load",
        "materials.cement_poisson": "Poisson's ratio of cement",
        "materials.cement_young_mpa": "Young's modulus of cement",
        "segment.refinement": "mesh refinement",
        "segment.size_mm": "cell size",
        "segment.spacing_mm": "cell spacing",
        "treatment.approach": "approach",
        "treatment.fill_fraction": "fill fraction",
        "treatment.level": "treated level",
        "treatment.volume_ml": "cement volume",
    }
)
"""Key of the study -> words; the unit is that of the key."""

_DERIVED = MappingProxyType(
    {
        "bmd_percent": "bone density relative to the study's own",
        "calibration_intercept_mg_cm3": "intercept of the calibration",
        "calibration_slope_percent": "slope of the calibration relative to the study's own",
        "cement_anterior_mm": "anterior position of the cement",
        "cement_height_mm": "height of the cement",
        "density_shift_mg_cm3": "shift of bone density",
        "disc_grade": "grade of disc degeneration",
        "fill_fraction": "fill fraction",
        "fill_percent": "fill fraction",
        "load_offset_anterior_mm": "anterior offset of the load",
        "t_score": "T-score",
        "treated_level": "treated level",
    }
)
"""Name of a derivation -> words."""

_UNITS = MappingProxyType(
    {
        "deg": "°",
        "g/cm3": "g/cm³",
        "g/cm3 per HU": "g/cm³ per HU",
        "mg/cm3": "mg/cm³",
        "mm2": "mm²",
        "mm3": "mm³",
        "Nm": "N m",
    }
)


class NamedFactor(Protocol):
    """Anything with a name: a factor of the design."""

    @property
    def name(self) -> str:
        """Its name, a column of the table."""
        ...


@dataclass(frozen=True)
class FactorWords:
    """A factor in words.

    Parameters
    ----------
    words : str
        Without the unit, as inside a sentence.
    unit : str
        Empty where there is none, or where the words name it.
    is_own : bool
        Whether the words are the study's own, which stand as they are.

    Examples
    --------
    >>> volume = FactorWords("cement volume", "ml")
    >>> volume.label, volume.axis, volume.at(4.0)
    ('cement volume (ml)', 'Cement volume (ml)', 'cement volume = 4 ml')
    """

    words: str
    unit: str = ""
    is_own: bool = False

    @property
    def label(self) -> str:
        """Words and unit, inside a sentence."""
        return f"{self.words} ({self.unit})" if self.unit else self.words

    @property
    def axis(self) -> str:
        """Words and unit where a line begins: on an axis, in the head of a column."""
        return self.label if self.is_own else self.label[:1].upper() + self.label[1:]

    def at(self, value: object) -> str:
        """The factor at one of its values."""
        return f"{self.words} = {' '.join(self.shown(value))}"

    def shown(self, value: object) -> tuple[str, ...]:
        """A value, and its unit where it is a number and has one."""
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            return (str(value),)
        number = f"{float(value):g}".replace("-", "−")
        return (number, self.unit) if self.unit else (number,)


def factor_words(factor: NamedFactor | str) -> FactorWords:
    """What readers call a factor.

    Parameters
    ----------
    factor : factor or str
        A factor of `fesolver.study.design`, anything with a name, or the name.

    Returns
    -------
    FactorWords
        Of the label that the study gives; else of the key or derivation that it varies, if it is one of those often
        varied; else of its `label`, by the rule of `fesolver.study.design.factors.Factor`; else its name.

    Examples
    --------
    >>> factor_words("materials.cement_young_mpa").axis, factor_words("my_factor").axis
    ("Young's modulus of cement (MPa)", 'my_factor')
    """
    if isinstance(factor, str):
        words = _WORDS.get(factor)
        return FactorWords(words, unit_of(factor)) if words else FactorWords(factor, is_own=True)
    if own := " ".join(str(getattr(factor, "text", "")).split()):
        return FactorWords(own, is_own=True)
    derive, keys = getattr(factor, "derive", None), tuple(getattr(factor, "keys", ()))
    found = _DERIVED.get(str(derive)) if derive else _WORDS.get(keys[0]) if keys else None
    label = " ".join(str(getattr(factor, "label", "")).split())
    unit = str(getattr(factor, "unit", "") or (unit_of(keys[0]) if keys else ""))
    if found:
        return FactorWords(found, _UNITS.get(unit, unit))
    if not (label and (derive or keys)):
        return FactorWords(label or factor.name, is_own=True)
    return FactorWords(label.removesuffix(f", {unit}"), _UNITS.get(unit, unit))


def words_of_factors(factors: Iterable[NamedFactor | str]) -> dict[str, FactorWords]:
    """Words of every factor by its name; names where words would not tell two factors apart."""
    given = tuple(factors)
    found = [factor_words(factor) for factor in given]
    axes = [words.axis for words in found]
    names = [factor if isinstance(factor, str) else factor.name for factor in given]
    return {
        name: words if axes.count(words.axis) == 1 else FactorWords(name, is_own=True)
        for name, words in zip(names, found, strict=True)
    }
