"""Values of factors tried on the study; of a refused one, whose it is and where the study has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fesolver.errors import InputError
from fesolver.study.design.factors import Factor, point_settings
from fesolver.study.keys import study_tables, value_at, with_value
from fesolver.study.schema import StudyConfig
from fesolver.study.schema_design import FactorTable

__all__ = ["refused_alone", "refused_value", "try_factors", "try_value"]


def try_factors(config: StudyConfig, factors: Sequence[Factor]) -> None:
    """Try every listed value, the ends of ranges, and the 1 % and 99 % points of distributions on the base study.

    Raises
    ------
    InputError
        If one of them does not fit.
    """
    tables = study_tables(config)
    base = config.model_copy(update={"sweep": {}, "factors": {}, "design": None})
    for factor in factors:
        values: Sequence[Any] = factor.choices or ()
        if factor.choices is None and factor.distribution is not None:
            given = factor.distribution
            is_range = given.kind in ("uniform", "log-uniform")
            values = given.support if is_range else factor.at_all([0.01, 0.99])
            values = [int(x) if factor.is_whole else x for x in values]
        if factor.base is not None:
            values = [*values, factor.base]
        if not values:  # those of a file are not read here; that the key is there can be said
            values = [value_at(base, key) for key in factor.keys[:1]]
        for value in values:
            try:
                try_value(factor, value, base, tables)
            except InputError as error:
                raise refused_value(error, factor, value, config.factors.get(factor.name)) from error


def try_value(factor: Factor, value: Any, base: StudyConfig, tables: Mapping[str, Any]) -> None:
    """Set one value of one factor in the base study.

    Parameters
    ----------
    factor : Factor
    value : value
        Of this factor, or a level's name.
    base : StudyConfig
        The study with nothing varied.
    tables : mapping
        Its tables as plain values.

    Raises
    ------
    InputError
        If the study cannot be so.
    """
    settings, places = point_settings([factor], {factor.name: value}, tables)
    with_value(base, settings, source="", places=places)


def refused_alone(
    factors: Sequence[Factor], point: Mapping[str, Any], base: StudyConfig, tables: Mapping[str, Any]
) -> tuple[Factor, InputError] | None:
    """The first factor whose value at a point is refused whatever the others are, and why; None if there is none."""
    for factor in factors:
        try:
            try_value(factor, point[factor.name], base, tables)
        except InputError as error:
            return factor, error
    return None


def refused_value(error: InputError, factor: Factor, value: Any, table: FactorTable | None) -> InputError:
    """The refusal of a value, at the place where the study has the value.

    Parameters
    ----------
    error : InputError
        Of `try_value`.
    factor : Factor
    value : value
        The refused one.
    table : FactorTable or None
        Of the factor; None for a key of `[sweep]`.

    Returns
    -------
    InputError
        Where `error` is about the key, as it was. With how to cut a distribution that reaches the value.

    Examples
    --------
    >>> table = FactorTable(key="load.force_n", values=(500.0, -1.0))
    >>> error = InputError("too small", where="factors.force.key: load.force_n = -1", fix="give 0 or more")
    >>> refused_value(error, Factor("force", ("load.force_n",), table.values), -1.0, table).where
    'factors.force.values[1]: load.force_n = -1'
    """
    where = error.where or ""
    is_key = where == factor.place and factor.place.endswith(".key")
    if table is None or is_key or not where.startswith(factor.place):
        return error
    rest = where.removeprefix(factor.place)
    made = f" (derive = {factor.derive!r})" if factor.derive is not None else ""
    shown = f" = {factor.shown(value)!r}" if made else ""
    place = f"factors.{factor.name}.{_key_of(table, value)}".rstrip(".")
    return InputError(error.what, where=f"{place}{shown}{made}{rest}", fix=_with_cut(error.fix, factor, value, table))


def _key_of(table: FactorTable, value: Any) -> str:
    """Key of a factor's table that has a value, or makes it; empty for one between the ends of a range."""
    names = [level.name for level in table.levels or ()]
    if value in names:
        return f"levels[{names.index(value)}] ({value!r})"
    if table.values is not None and value in table.values:
        return f"values[{table.values.index(value)}]"
    if table.base is not None and value == table.base:
        return "base"
    for key in ("low", "high"):
        if value == getattr(table, key):
            return key
    if table.distribution:
        return "distribution"
    return "" if table.low is not None else "key"


def _with_cut(fix: str | None, factor: Factor, value: Any, table: FactorTable) -> str | None:
    """What to do, and where the distribution that reached a value takes a cut."""
    if table.distribution not in ("normal", "lognormal") or factor.distribution is None or value == table.base:
        return fix
    side = "low" if value < factor.distribution.mean else "high"
    cut = f"{side} = ... in [factors.{factor.name}] cuts the distribution {'below' if side == 'low' else 'above'}"
    return f"{fix}; {cut}" if fix else cut
