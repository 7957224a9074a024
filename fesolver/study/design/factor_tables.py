"""From the tables `[factors.NAME]`, `[sweep]` and `[design]` of a study to factors; one message for each mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from fesolver.errors import InputError
from fesolver.study.design.derived import derivation
from fesolver.study.design.factors import Factor, LogRange
from fesolver.study.design.refusals import refused_value
from fesolver.study.keys import value_at, with_value
from fesolver.study.schema import StudyConfig
from fesolver.study.schema_design import DesignTable, FactorTable

if TYPE_CHECKING:
    from fesolver.study.design.distributions import Distribution

__all__ = ["LISTED", "study_design", "study_factors"]

LISTED = ("grid", "one_at_a_time")
"""Kinds of design that take every value of a list."""

_SAMPLED = ("latin_hypercube", "sobol", "morris", "saltelli")
_CORRELATED = ("latin_hypercube", "sobol")
_OWN_COLUMNS = (
    "case", "status", "error", "state", "level", "quantity", "value", "intact", "treated", "change", "change_percent",
    "floor_solver", "floor_spacing", "is_resolved", "seconds", "facts", "digest", "index",
)  # fmt: skip
MOST_VALUES = 100_000
"""Values of one range that can be meant."""

_SHAPE = ("mean", "sd", "mode", "alpha", "beta")


def study_design(config: StudyConfig) -> DesignTable:
    """The design of a study: a full grid where it says nothing.

    Raises
    ------
    InputError
        If the design has nothing to vary, or a key that its kind does not take.
    """
    design = config.design
    if design is None:
        return DesignTable()
    if not config.factors and not config.sweep:
        raise InputError("a design has nothing to vary", where="[design]", fix="add [factors.NAME], or leave it out")
    kind = design.kind
    if kind in _SAMPLED and design.n is None:
        what = "trajectories" if kind == "morris" else "points"
        raise InputError(f"a {kind} design needs n", where="design.n", fix=f"give n, the number of {what}")
    if kind not in _SAMPLED and design.n is not None:
        rule = "every line of its file" if kind == "csv" else "every value of its lists"
        raise InputError(f"a {kind} design has no n: it takes {rule}", where="design.n", fix="leave n out")
    if (kind == "csv") != (design.file is not None):
        fix = "give file, a CSV with one column per factor" if kind == "csv" else "leave file out, or use kind = 'csv'"
        raise InputError(
            f"a {kind} design {'needs a' if kind == 'csv' else 'has no'} file", where="design.file", fix=fix
        )
    if design.second_order and kind != "saltelli":
        raise InputError(
            f"a {kind} design has no second order", where="design.second_order", fix="leave it out, or use 'saltelli'"
        )
    if design.correlations and kind not in _CORRELATED:
        raise InputError(
            f"a {kind} design takes no correlations", where="design.correlations",
            fix=f"leave them out, or use kind = {' or '.join(map(repr, _CORRELATED))}",
        )  # fmt: skip
    return design


def study_factors(config: StudyConfig) -> tuple[Factor, ...]:
    """The factors of a study, in its order; of `[sweep]`, one for each key.

    Raises
    ------
    InputError
        If a factor's table is incomplete, contradicts itself or the design, or two factors set one key.

    Examples
    --------
    >>> from fesolver.study.demo import demo_study
    >>> study = demo_study().model_copy(update={"sweep": {"treatment.volume_ml": (2.0, 4.0)}})
    >>> study_factors(study)[0].values
    (2.0, 4.0)
    """
    design = study_design(config)
    if config.sweep and config.factors:
        raise InputError(
            "the study has both [sweep] and [factors]", where="[sweep]",
            fix="write sweep keys as factors: [factors.NAME] with key and values",
        )  # fmt: skip
    if config.sweep:
        return tuple(Factor(key, (key,), tuple(values)) for key, values in config.sweep.items())
    for name in config.factors:
        if name in _OWN_COLUMNS or name.startswith("member_") or "/" in name or not name.strip():
            raise InputError(
                f"a factor cannot be called {name!r}: the tables of results have columns of that kind",
                where=f"factors.{name}", fix="use another name, without a slash",
            )  # fmt: skip
    factors = tuple(_factor(name, table, config, design.kind) for name, table in config.factors.items())
    _refuse_shared_keys(factors)
    return factors


def _factor(name: str, table: FactorTable, config: StudyConfig, kind: str) -> Factor:
    """One factor from its table."""
    ways = [way for way in ("key", "derive", "levels") if getattr(table, way) not in (None, ())]
    if len(ways) != 1:
        what = "has nothing to set" if not ways else f"has {' and '.join(ways)}"
        raise InputError(f"factor {name!r} {what}", where=f"factors.{name}", fix="give one of key, derive and levels")
    common = {"name": name, "base": table.base, "source": table.source, "text": table.label}
    _check_values(name, table)
    if table.levels is not None:
        return _level_factor(table, common)
    keys = () if table.key is None else (table.key,) if isinstance(table.key, str) else table.key
    if table.derive is not None:
        try:
            is_whole = derivation(table.derive).is_whole
        except InputError as error:
            raise InputError(error.what, where=f"factors.{name}.derive", fix=error.fix) from error
    else:
        is_whole = _is_whole(name, table, keys, config)
    common |= {"keys": keys, "derive": table.derive, "is_whole": is_whole}
    if table.values is not None:
        return Factor(**common, values=table.values)
    if table.n is not None:
        return Factor(**common, values=_range_values(name, table, is_whole))
    return Factor(**common, distribution=_spread(name, table, kind))


def _spread(name: str, table: FactorTable, kind: str) -> Distribution | LogRange | None:
    """What the values of a factor without a list come from; None where a file gives them."""
    if table.distribution is not None:
        from fesolver.study.design.distributions import make_distribution

        made: Distribution | LogRange | None = make_distribution(name, table)
    else:
        made = _any_between(table)
    if kind != "csv" and made is None:
        raise InputError(
            f"factor {name!r} has no values", where=f"factors.{name}",
            fix="give values, low and high, or a distribution",
        )  # fmt: skip
    if kind in LISTED:
        what = "a range without n" if table.distribution is None else "a distribution"
        raise InputError(
            f"factor {name!r} is {what}, and a design of kind {kind} takes every value of a list",
            where=f"factors.{name}.{'n' if table.distribution is None else 'distribution'}",
            fix="give values, or low, high and n, or use a sampled design such as kind = 'latin_hypercube'",
        )
    return made


def _level_factor(table: FactorTable, common: dict[str, Any]) -> Factor:
    """A factor of named levels."""
    assert table.levels is not None
    name = common["name"]
    names = tuple(level.name for level in table.levels)
    twice = next((level for level in names if names.count(level) > 1), None)
    if twice is not None:
        raise InputError(f"level {twice!r} is there twice", where=f"factors.{name}.levels", fix="give each its name")
    if table.base is not None and table.base not in names:
        raise InputError(
            f"base = {table.base!r} is no level of {name}", where=f"factors.{name}.base",
            fix=f"use {', '.join(names)}, or leave it out",
        )  # fmt: skip
    sets = tuple(_flat(level.set) for level in table.levels)
    return Factor(**common, level_names=names, level_sets=sets)


def _check_values(name: str, table: FactorTable) -> None:
    """Refuse values said twice or by half."""
    where = f"factors.{name}"
    shape = [key for key in _SHAPE if getattr(table, key) is not None]
    ends = [key for key in ("low", "high") if getattr(table, key) is not None]
    n = ["n"] if table.n is not None else []
    others = [*(["distribution"] if table.distribution else []), *ends, *n, *shape]
    lists = [key for key in ("values", "levels") if getattr(table, key) is not None]
    if len(lists) == 2 or (lists and others):
        second = lists[1] if len(lists) == 2 else others[0]
        raise InputError(
            f"factor {name!r} has {lists[0]}, and {second} too", where=f"{where}.{second}",
            fix="give a list, or a range, or a distribution",
        )  # fmt: skip
    for key in lists:
        if not getattr(table, key):
            raise InputError(f"factor {name!r} has no {key}", where=f"{where}.{key}", fix="give one or more")
    is_range = bool(ends) and table.distribution is None
    if table.spacing == "log" and not is_range:
        raise InputError("spacing is of a range", where=f"{where}.spacing", fix="give low and high, or leave it out")
    if table.distribution is not None:
        if n:
            raise InputError("n is of a range, not of a distribution", where=f"{where}.n", fix="give design.n instead")
        return
    if shape:
        raise InputError(
            f"{shape[0]} means nothing without a distribution", where=f"{where}.{shape[0]}",
            fix="give distribution = 'normal' or another, or leave it out",
        )  # fmt: skip
    if len(ends) == 1 or (n and not ends):
        missing = " and ".join(key for key in ("low", "high") if key not in ends)
        raise InputError(f"a range needs {missing}", where=f"{where}.{missing.split()[0]}", fix=f"give {missing}")
    if table.low is not None and table.high is not None and table.low >= table.high:
        raise InputError(
            f"low = {table.low:g} is not below high = {table.high:g}", where=f"{where}.low", fix="low is the lower end"
        )
    if table.spacing == "log" and table.low is not None and table.low <= 0.0:
        raise InputError(
            f"a log range cannot start at {table.low:g}", where=f"{where}.low", fix="give low > 0, or linear spacing"
        )


def _range_values(name: str, table: FactorTable, is_whole: bool) -> tuple[float, ...]:
    """The n values of a range, both ends exact; whole numbers where the key takes no other and they are."""
    assert table.low is not None
    assert table.high is not None
    assert table.n is not None
    if table.n > MOST_VALUES:
        raise InputError(
            f"a range of {table.n} values is taken for a mistake; a factor has {MOST_VALUES} at most",
            where=f"factors.{name}.n",
            fix="give a smaller n, or leave it out and sample the range, as kind = 'latin_hypercube' does",
        )  # fmt: skip
    space = np.geomspace if table.spacing == "log" else np.linspace
    out = [table.low, *(float(x) for x in space(table.low, table.high, table.n)[1:-1]), table.high]
    return tuple(int(x) if is_whole and x.is_integer() else x for x in out)


def _any_between(table: FactorTable) -> Distribution | LogRange | None:
    """Any value of a range, all alike probable; None where there is none."""
    from fesolver.study.design.distributions import Distribution

    if table.low is None or table.high is None:
        return None
    if table.spacing == "log":
        return LogRange(table.low, table.high)
    return Distribution("uniform", (("low", table.low), ("high", table.high)))


def _is_whole(name: str, table: FactorTable, keys: Sequence[str], config: StudyConfig) -> bool:
    """Whether a range or distribution is of a key that takes whole numbers only."""
    first = table.low if table.low is not None else table.mean
    if table.values is not None:
        return False
    if first is None:
        return _is_int(value_at(config, keys[0]))
    base = config.model_copy(update={"sweep": {}, "factors": {}, "design": None})
    value = float(round(first)) if first != round(first) and _is_int(value_at(base, keys[0])) else first
    try:
        made = with_value(
            base, dict.fromkeys(keys, value), source="", places=dict.fromkeys(keys, f"factors.{name}.key")
        )
    except InputError as error:
        raise refused_value(error, Factor(name, tuple(keys)), first, table) from error
    return _is_int(value_at(made, keys[0]))


def _is_int(value: Any) -> bool:
    """Whether a value is a whole number and no flag."""
    return isinstance(value, int) and not isinstance(value, bool)


def _flat(given: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables of a level to dotted keys; what stands under a key with a dot is its value."""
    out: dict[str, Any] = {}
    for key, value in given.items():
        if isinstance(value, Mapping) and "." not in key:
            out |= _flat(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = value
    return out


def _refuse_shared_keys(factors: Sequence[Factor]) -> None:
    """Refuse two factors that set one key, or a table and a key of it."""
    for a, b in combinations(factors, 2):
        for one in a.sets:
            for other in b.sets:
                if one == other or one.startswith(f"{other}.") or other.startswith(f"{one}."):
                    raise InputError(
                        f"factors {a.name!r} and {b.name!r} both set {max(one, other, key=len)}",
                        where=f"factors.{b.name}", fix="let one of them set it",
                    )  # fmt: skip
