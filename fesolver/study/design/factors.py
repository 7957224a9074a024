"""Factors: what is varied, the values each can take, and what a value sets in the study."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.study.design.derived import derivation, derived_base, derived_settings
from fesolver.study.keys import study_tables, value_at
from fesolver.study.schema import StudyConfig

if TYPE_CHECKING:
    from fesolver.study.design.distributions import Distribution

__all__ = ["Factor", "LogRange", "point_settings"]

_UNITS = {
    "ml": "ml", "mm": "mm", "mm2": "mm2", "mm3": "mm3", "n": "N", "nm": "Nm", "mpa": "MPa", "deg": "deg",
    "percent": "%", "g_cm3": "g/cm3", "mg_cm3": "mg/cm3", "g_cm3_per_hu": "g/cm3 per HU", "per_s": "1/s",
    "years": "years",
}  # fmt: skip
"""Ending of a key -> its unit as a reader writes it."""


@dataclass(frozen=True)
class LogRange:
    """Any value between two positive ends, its logarithm uniform.

    Parameters
    ----------
    low, high : float
        Ends, in the unit of the factor.

    Notes
    -----
    With L = ln(high / low), the mean is (high - low) / L and the mean square (high^2 - low^2) / (2 L).

    Examples
    --------
    >>> LogRange(1.0, 100.0).ppf([0.5])
    array([10.])
    """

    low: float
    high: float

    kind = "log-uniform"

    def ppf(self, u: ArrayLike) -> NDArray[np.float64]:
        """Quantiles of probabilities in (0, 1)."""
        return np.asarray(self.low * (self.high / self.low) ** np.asarray(u, dtype=np.float64))

    @property
    def support(self) -> tuple[float, float]:
        """Least and greatest value."""
        return self.low, self.high

    @property
    def mean(self) -> float:
        """Mean."""
        return (self.high - self.low) / math.log(self.high / self.low)

    @property
    def sd(self) -> float:
        """Standard deviation."""
        square = (self.high**2 - self.low**2) / (2.0 * math.log(self.high / self.low))
        return math.sqrt(max(square - self.mean**2, 0.0))

    def describe(self) -> str:
        """In words."""
        return f"log-uniform, from {self.low:.12g} to {self.high:.12g}"


@dataclass(frozen=True)
class Factor:
    """One thing that is varied.

    Parameters
    ----------
    name : str
        As the study names it; its column in the table of results.
    keys : tuple of str
        Dotted keys of the study that take its value; none where it is derived or has levels.
    values : tuple or None
        A list of values, or the n values of a range.
    level_names : tuple of str or None
        Names of its levels.
    level_sets : tuple of mapping or None
        What each level sets.
    distribution : Distribution or LogRange or None
        What a value between its ends comes from.
    derive : str or None
        A key of `fesolver.study.design.derived.DERIVATIONS`.
    base : value or None
        Its value in the base case, where the study gives one.
    source : str
        Where its values come from.
    text : str
        Its label, where the study gives one.
    is_whole : bool
        Whether its values are whole numbers.
    """

    name: str
    keys: tuple[str, ...] = ()
    values: tuple[Any, ...] | None = None
    level_names: tuple[str, ...] | None = None
    level_sets: tuple[Mapping[str, Any], ...] | None = None
    distribution: Distribution | LogRange | None = None
    derive: str | None = None
    base: Any = None
    source: str = ""
    text: str = ""
    is_whole: bool = False

    @property
    def choices(self) -> tuple[Any, ...] | None:
        """All values it can take, or level names; None where any value between two ends, or any at all, is one."""
        return self.level_names if self.level_names is not None else self.values

    @property
    def is_discrete(self) -> bool:
        """Whether it has a list of values: known before anything is drawn."""
        return self.choices is not None

    @property
    def sets(self) -> tuple[str, ...]:
        """Every key it may set."""
        if self.derive is not None:
            return derivation(self.derive).sets
        if self.level_sets is not None:
            return tuple(dict.fromkeys(key for entry in self.level_sets for key in entry))
        return self.keys

    @property
    def place(self) -> str:
        """What of the study says what it sets."""
        kind = "derive" if self.derive is not None else "levels" if self.level_sets is not None else "key"
        return f"factors.{self.name}.{kind}"

    @property
    def unit(self) -> str:
        """Unit of its values; empty where they have none."""
        if self.derive is not None:
            return derivation(self.derive).unit
        return _words_and_unit(self.keys[0].rpartition(".")[2])[1] if self.keys else ""

    @property
    def label(self) -> str:
        """What axes and tables call it: the label given, or words and the unit.

        Examples
        --------
        >>> Factor("volume", keys=("treatment.volume_ml",)).label
        'volume, ml'
        """
        if self.text:
            return self.text
        leaf = self.derive or (self.keys[0].rpartition(".")[2] if self.keys else self.name)
        words = _words_and_unit(leaf)[0]
        return f"{words}, {self.unit}" if self.unit else words

    def at(self, u: float) -> Any:
        """Value at a probability in (0, 1): a quantile, or the entry of its list."""
        return self.at_all(np.array([u]))[0]

    def at_all(self, u: ArrayLike) -> list[Any]:
        """Values at probabilities in (0, 1)."""
        u = np.asarray(u, dtype=np.float64)
        if self.choices is not None:
            last = len(self.choices) - 1
            return [self.choices[min(int(p * len(self.choices)), last)] for p in u.tolist()]
        if self.distribution is None:
            raise InputError(f"factor {self.name!r} has no values", where=f"factors.{self.name}", fix="give values")
        if not self.is_whole:
            return [float(x) for x in self.distribution.ppf(u)]
        low, high = self.distribution.support
        if self.distribution.kind == "uniform":
            return [int(x) for x in np.minimum(np.floor(low + u * (high - low + 1.0)), high)]
        return [round(float(x)) for x in self.distribution.ppf(u)]

    def settings(self, value: Any, tables: StudyConfig | Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What a value sets in the study.

        Parameters
        ----------
        value : value
            A value, or a level's name.
        tables : StudyConfig or mapping, optional
            The study or its tables; derived factors need them.

        Raises
        ------
        InputError
            If there is no such level, or the value does not fit.
        """
        if self.derive is not None:
            given = study_tables(tables) if isinstance(tables, StudyConfig) else tables or {}
            try:
                return derived_settings(self.derive, value, given)
            except InputError as error:
                raise InputError(error.what, where=self.place, fix=error.fix) from error
        if self.level_names is not None and self.level_sets is not None:
            if value not in self.level_names:
                raise InputError(
                    f"{value!r} is no level of {self.name}", where=self.place, fix=f"use {', '.join(self.level_names)}"
                )
            return dict(self.level_sets[self.level_names.index(value)])
        return dict.fromkeys(self.keys, value)

    def base_value(self, config: StudyConfig) -> Any:
        """Its value in the base case: `base` where given, else what the study says; None where it says nothing."""
        if self.base is not None:
            return self.base
        if self.derive is not None:
            return derived_base(self.derive, study_tables(config))
        if self.level_names is not None and self.level_sets is not None:
            for name, entry in zip(self.level_names, self.level_sets, strict=True):
                if entry and all(_is_alike(value_at(config, key), value) for key, value in entry.items()):
                    return name
            return next((n for n, entry in zip(self.level_names, self.level_sets, strict=True) if not entry), None)
        found = [value_at(config, key) for key in self.keys]
        return found[0] if found and all(value == found[0] for value in found) else None

    def shown(self, value: Any) -> float | str:
        """A value as tables show it: a number, or a text."""
        if isinstance(value, bool) or value is None or isinstance(value, list | tuple | dict):
            return json.dumps(value, separators=(",", ":"))
        return value if isinstance(value, int | float) else str(value)

    def describe(self) -> str:
        """Its values in words."""
        if self.choices is not None:
            return ", ".join(str(self.shown(value)) for value in self.choices)
        return "any" if self.distribution is None else self.distribution.describe()


def point_settings(
    factors: Sequence[Factor], point: Mapping[str, Any], tables: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """What a point of the design sets in the study.

    Parameters
    ----------
    factors : sequence of Factor
    point : mapping of str to value
        Factor name to value.
    tables : mapping
        Tables of the base study as plain values.

    Returns
    -------
    dict of str to value, dict of str to str
        Dotted key to value, and to what names it in the study.

    Notes
    -----
    Derived factors come last, those that choose levels first among them: what the others make of a value may depend on
    which levels there are.
    """
    settings: dict[str, Any] = {}
    places: dict[str, str] = {}
    changed = dict(tables)
    for factor in sorted(factors, key=lambda f: (f.derive is not None, "segment.levels" not in f.sets)):
        own = factor.settings(point[factor.name], changed)
        settings |= own
        places |= dict.fromkeys(own, factor.place)
        for key, value in own.items():
            table, _, leaf = key.partition(".")
            if "." not in leaf and isinstance(changed.get(table), dict):
                changed[table] = {**changed[table], leaf: value}
    return settings, places


def _is_alike(a: Any, b: Any) -> bool:
    """Whether two plain values are the same, lists and tuples alike."""
    return json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True) or (a is not None and a == b)


def _words_and_unit(leaf: str) -> tuple[str, str]:
    """The words of a key and its unit: `cement_young_mpa` -> ("cement young", "MPa")."""
    for ending in sorted(_UNITS, key=len, reverse=True):
        if leaf.endswith(f"_{ending}"):
            return leaf.removesuffix(f"_{ending}").replace("_", " "), _UNITS[ending]
    return leaf.replace("_", " "), ""
