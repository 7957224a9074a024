"""Derived factors by name: what a value that a researcher speaks of sets in the study."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from fesolver.anatomy.levels import LEVELS, disc_name, sort_levels
from fesolver.bone.degeneration import GEOMETRY_GRADES
from fesolver.errors import InputError

__all__ = ["DERIVATIONS", "Derivation", "derivation", "derived_base", "derived_settings"]

_Tables = Mapping[str, Any]


@dataclass(frozen=True)
class Derivation:
    """One way from a value to keys of the study.

    Parameters
    ----------
    name : str
        As `derive` names it.
    settings : callable
        (value, tables of the study as plain values) -> dotted key to what it becomes.
    sets : tuple of str
        Keys it may set.
    unit : str
        Of the value; empty where it has none.
    doc : str
        One line.
    base : callable
        Tables of the study -> the value it has, None where it has none.
    is_whole : bool
        Whether values are whole numbers.
    is_text : bool
        Whether values are texts.
    """

    name: str
    settings: Callable[[Any, _Tables], dict[str, Any]]
    sets: tuple[str, ...]
    unit: str
    doc: str
    base: Callable[[_Tables], Any]
    is_whole: bool = False
    is_text: bool = False


def derivation(name: str) -> Derivation:
    """The derivation of a name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in DERIVATIONS:
        close = difflib.get_close_matches(name, DERIVATIONS, n=1)
        raise InputError(
            f"derive = {name!r} is unknown",
            fix=f"did you mean {close[0]!r}?" if close else f"use one of {', '.join(DERIVATIONS)}",
        )
    return DERIVATIONS[name]


def derived_settings(name: str, value: Any, tables: _Tables) -> dict[str, Any]:
    """What a value of a derived factor sets.

    Parameters
    ----------
    name : str
        A key of `DERIVATIONS`.
    value : number or str
        In the unit of the derivation.
    tables : mapping
        The study's tables as plain values, as `fesolver.study.keys.study_tables` gives them.

    Returns
    -------
    dict
        Dotted key of the study to what it becomes.

    Raises
    ------
    InputError
        If the name is unknown, or the value does not fit it or the study.

    Examples
    --------
    >>> derived_settings("bmd_percent", 80.0, {})
    {'bone.density_scale': 0.8}
    """
    known = derivation(name)
    if known.is_text:
        if not isinstance(value, str):
            raise InputError(f"{name} cannot be {value!r}", fix="give a text in quotes")
        return known.settings(value, tables)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name} cannot be {value!r}", fix="give a number, without quotes")
    if known.is_whole and value != int(value):
        raise InputError(f"{name} cannot be {value!r}", fix="give a whole number")
    return known.settings(int(value) if known.is_whole else value, tables)


def derived_base(name: str, tables: _Tables) -> Any:
    """The value of a derived factor that the study has as it is; None where it has none."""
    return derivation(name).base(tables)


def _over(key: str, divisor: int, *others: tuple[str, Any]) -> Callable[[Any, _Tables], dict[str, Any]]:
    """A key that is the value over a number, and others with it."""
    return lambda value, _: {key: value if divisor == 1 else value / divisor, **dict(others)}


def _at(key: str, divisor: int = 1) -> Callable[[_Tables], Any]:
    """The study's own value at a key, times a number; rounded, so that 0.57 is 57 per cent."""

    def base(tables: _Tables) -> Any:
        node: Any = tables
        for step in key.split("."):
            node = node.get(step) if isinstance(node, Mapping) else None
        return float(f"{node * divisor:.12g}") if isinstance(node, int | float) and divisor != 1 else node

    return base


def _t_score(value: float, tables: _Tables) -> dict[str, Any]:
    """T-score of the input, where its density is a number."""
    given = tables["input"]
    if given["kind"] == "ct" or any(given.get(key) is not None for key in ("ct", "density_key")):
        raise InputError(
            "this study's density is measured, and no T-score stands for it",
            fix="use derive = 'bmd_percent' or 'density_shift_mg_cm3', which change what was measured",
        )
    if given.get("cohort") is not None:
        raise InputError(
            "the T-score of a cohort's member is drawn", fix="use derive = 'bmd_percent', or leave the cohort out"
        )
    out: dict[str, Any] = {"input.t_score": value}
    return out if given.get("density_g_cm3") is None else {**out, "input.density_g_cm3": None}


def _disc_grade(value: int, tables: _Tables) -> dict[str, Any]:
    """One degeneration grade for every disc of the segment."""
    if not 0 <= value < len(GEOMETRY_GRADES):
        names = ", ".join(f"{i} {name}" for i, name in enumerate(GEOMETRY_GRADES))
        raise InputError(f"there is no disc grade {value}", fix=f"grades are {names}")
    return {"disc.degeneration": dict.fromkeys(_discs(tables), GEOMETRY_GRADES[value])}


def _disc_grade_of(tables: _Tables) -> int | None:
    """The grade that all discs have."""
    given = tables["disc"]["degeneration"]
    grades = {given.get(name, "none").replace("normal", "none") for name in _discs(tables)}
    grade = grades.pop() if len(grades) == 1 else ""
    return GEOMETRY_GRADES.index(grade) if grade in GEOMETRY_GRADES else None


def _discs(tables: _Tables) -> list[str]:
    """Names of the discs of the segment."""
    levels = sort_levels(tables["segment"]["levels"])
    return [disc_name(*pair) for pair in pairwise(levels)]


def _treated_level(value: str, tables: _Tables) -> dict[str, Any]:
    """Another treated level, with as many levels above and below as the base study has."""
    if tables.get("treatment") is None:
        raise InputError("the study has no [treatment]", fix="add [treatment] with what it needs")
    if value not in LEVELS:
        raise InputError(f"there is no level {value!r}", fix=f"levels are {', '.join(LEVELS)}")
    levels = sort_levels(tables["segment"]["levels"])
    above = levels.index(tables["treatment"]["level"])
    first = LEVELS.index(value) - above
    last = first + len(levels)
    if first < 0 or last > len(LEVELS):
        raise InputError(
            f"there are no {above} levels above and {len(levels) - 1 - above} below {value}", fix="treat another level"
        )
    return {"segment.levels": list(LEVELS[first:last]), "treatment.level": value}


def _cement_at(axis: int) -> Callable[[Any, _Tables], dict[str, Any]]:
    """One point of cement, moved along an axis of the body; its other coordinates are the study's own, or 0."""
    sign = -1.0 if axis == 1 else 1.0

    def settings(value: float, tables: _Tables) -> dict[str, Any]:
        plan = tables.get("treatment") or {}
        if plan.get("center_frame", "body") != "body":
            raise InputError(
                "the cement's point is not given in the frame of its body", fix="use center_frame = 'body'"
            )
        point = list(plan.get("center_mm") or (0.0, 0.0, 0.0))
        point[axis] = sign * value
        return {"treatment.approach": "point", "treatment.center_mm": point}

    return settings


def _cement_of(axis: int) -> Callable[[_Tables], Any]:
    """Where the study has its one point of cement."""
    sign = -1.0 if axis == 1 else 1.0

    def base(tables: _Tables) -> Any:
        point = (tables.get("treatment") or {}).get("center_mm")
        return None if point is None else sign * point[axis]

    return base


_POINT = ("treatment.approach", "treatment.center_mm")

DERIVATIONS: Mapping[str, Derivation] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Derivation(
                "t_score", _t_score, ("input.t_score", "input.density_g_cm3"), "",
                "T-score of the segment; not of a CT, whose density is measured", _at("input.t_score"),
            ),
            Derivation(
                "bmd_percent", _over("bone.density_scale", 100), ("bone.density_scale",), "%",
                "density in per cent of the study's own: 100 changes nothing", _at("bone.density_scale", 100),
            ),
            Derivation(
                "density_shift_mg_cm3", _over("bone.density_offset_g_cm3", 1000), ("bone.density_offset_g_cm3",),
                "mg/cm3", "density added everywhere", _at("bone.density_offset_g_cm3", 1000),
            ),
            Derivation(
                "calibration_slope_percent", _over("calibration.slope_factor", 100), ("calibration.slope_factor",),
                "%", "slope of the CT's calibration in per cent of the study's own: 100 changes nothing",
                _at("calibration.slope_factor", 100),
            ),
            Derivation(
                "calibration_intercept_mg_cm3", _over("calibration.intercept_g_cm3", 1000),
                ("calibration.intercept_g_cm3",), "mg/cm3", "density at 0 HU", _at("calibration.intercept_g_cm3", 1000),
            ),
            Derivation(
                "fill_fraction", _over("treatment.fill_fraction", 1, ("treatment.volume_ml", None)),
                ("treatment.fill_fraction", "treatment.volume_ml"), "", "cement over the volume of the vertebral body",
                _at("treatment.fill_fraction"),
            ),
            Derivation(
                "fill_percent", _over("treatment.fill_fraction", 100, ("treatment.volume_ml", None)),
                ("treatment.fill_fraction", "treatment.volume_ml"), "%",
                "cement in per cent of the volume of the vertebral body", _at("treatment.fill_fraction", 100),
            ),
            Derivation(
                "disc_grade", _disc_grade, ("disc.degeneration",), "",
                "degeneration of all discs: 0 none, 1 mild, 2 moderate, 3 severe", _disc_grade_of, is_whole=True,
            ),
            Derivation(
                "treated_level", _treated_level, ("segment.levels", "treatment.level"), "",
                'treated level, such as "T11", with as many levels above and below as the study has',
                _at("treatment.level"), is_text=True,
            ),
            Derivation(
                "cement_height_mm", _cement_at(2), _POINT, "mm",
                "one point of cement, so far above the centroid of its body", _cement_of(2),
            ),
            Derivation(
                "cement_anterior_mm", _cement_at(1), _POINT, "mm",
                "one point of cement, so far in front of the centroid of its body", _cement_of(1),
            ),
            Derivation(
                "load_offset_anterior_mm", _over("load.offset_anterior_mm", 1), ("load.offset_anterior_mm",), "mm",
                "load so far in front of the upper endplate's centre", _at("load.offset_anterior_mm"),
            ),
        )
    }
)  # fmt: skip
"""Name -> derivation."""
