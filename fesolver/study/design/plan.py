"""The plan of a study: its factors at the points of its design, in an order fixed before anything runs."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fesolver.errors import InputError
from fesolver.study.config import config_hash
from fesolver.study.design.correlation import correlation_matrix
from fesolver.study.design.factor_tables import LISTED, study_design, study_factors
from fesolver.study.design.factors import Factor, point_settings
from fesolver.study.design.point_file import csv_points, line_of_point
from fesolver.study.design.refusals import refused_alone, refused_value
from fesolver.study.design.sampling import one_at_a_time_points, unit_points
from fesolver.study.input_hashes import input_hashes
from fesolver.study.keys import NOT_OF_THE_MODEL, study_tables, with_value
from fesolver.study.schema import StudyConfig
from fesolver.study.schema_design import DesignTable

__all__ = ["MAX_CASES", "Case", "StudyPlan", "count_points", "plan_study"]

MAX_CASES = 10_000
"""More points than this are taken for a mistake."""

_log = logging.getLogger("fesolver")


@dataclass(frozen=True)
class Case:
    """One point of a study.

    Parameters
    ----------
    id : str
        Position and the beginning of the digest, `00012-1a2b3c4d`.
    index : int
        Position in the design, from 0.
    keys : dict
        Factors and their values as tables show them: numbers, texts, names of levels.
    config : StudyConfig
        With these values set, and without sweep, factors, design and cluster.
    digest : str
        Hex hash of the resolved configuration, name, description and output apart, input files by their contents: the
        same case keeps it, a changed one does not.
    """

    id: str
    index: int
    keys: dict[str, Any]
    config: StudyConfig
    digest: str


@dataclass(frozen=True)
class StudyPlan:
    """Factors and the points at which they are tried; made by `plan_study`.

    Parameters
    ----------
    config : StudyConfig
        The study.
    factors : tuple of Factor
    design : DesignTable
    drawn : tuple of tuple or None
        Values of the factors, point by point; None for a full grid, whose points follow from their number.
    """

    config: StudyConfig
    factors: tuple[Factor, ...]
    design: DesignTable
    drawn: tuple[tuple[Any, ...], ...] | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Number of points."""
        return len(self.drawn) if self.drawn is not None else math.prod(len(f.choices or ()) for f in self.factors)

    def point(self, index: int) -> dict[str, Any]:
        """Factor name to value at one point.

        Raises
        ------
        InputError
            If there is no such point.
        """
        if not 0 <= index < len(self):
            raise InputError(f"there is no point {index}", fix=f"points are 0 to {len(self) - 1}")
        if self.drawn is not None:
            return dict(zip((f.name for f in self.factors), self.drawn[index], strict=True))
        values: dict[str, Any] = {}
        for factor in reversed(self.factors):  # the last one fastest
            choices = factor.choices or ()
            index, place = divmod(index, len(choices))
            values[factor.name] = choices[place]
        return {factor.name: values[factor.name] for factor in self.factors}

    @cached_property
    def points(self) -> tuple[Mapping[str, Any], ...]:
        """Every point, in the order of the design."""
        return tuple(self.point(index) for index in range(len(self)))

    def case(self, index: int) -> Case:
        """The case of one point.

        Raises
        ------
        InputError
            If there is no such point, or its values do not go together.
        """
        point = self.point(index)
        try:
            settings, places = point_settings(self.factors, point, self._tables)
            if self.config.sweep:
                resolved = with_value(self._base, settings)
            else:
                resolved = with_value(self._base, settings, source="", places=places)
        except InputError as error:
            raise self._refused(error, index, point) from error
        digest = config_hash(resolved, without=NOT_OF_THE_MODEL[1:], files=input_hashes(resolved, self.file_hashes))
        keys = {factor.name: factor.shown(point[factor.name]) for factor in self.factors}
        return Case(f"{index:05d}-{digest[:8]}", index, keys, resolved, digest)

    def __iter__(self) -> Iterator[Case]:
        """The cases of all points one after the other, doubles included."""
        return (self.case(index) for index in range(len(self)))

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """Every case once: of points that give the same case, the first."""
        return tuple(self._expanded[0].values())

    def one_of_each(self) -> Iterator[Case]:
        """A case with every value of every listed factor, the first that has it: what no list of values may break."""
        if self.drawn is None:
            stride, indices = len(self), {0}
            for factor in self.factors:
                n = len(factor.choices or ())
                stride //= n
                indices |= {stride * place for place in range(n)}
            yield from (self.case(index) for index in sorted(indices))
            return
        seen: set[tuple[str, str]] = set()
        for index, point in enumerate(self.points):
            new = {(f.name, repr(point[f.name])) for f in self.factors if f.is_discrete} - seen
            if new:
                seen |= new
                yield self.case(index)

    @cached_property
    def case_of_point(self) -> tuple[str, ...]:
        """Id of the case of every point, in the order of the design, as analyses of the design need them."""
        first, digests = self._expanded
        return tuple(first[digest].id for digest in digests)

    @cached_property
    def _expanded(self) -> tuple[dict[str, Case], list[str]]:
        """The first case of every digest, and the digest of every point."""
        first: dict[str, Case] = {}
        digests: list[str] = []
        double: Case | None = None
        for case in self:
            if first.setdefault(case.digest, case) is not case:
                double = double or case
            digests.append(case.digest)
        if double is not None:
            _log.warning(
                "%d of %d points repeat a case and are run once; the first: point %d is case %s",
                len(digests) - len(first), len(digests), double.index, first[double.digest].id,
            )  # fmt: skip
        return first, digests

    def _refused(self, error: InputError, index: int, point: Mapping[str, Any]) -> InputError:
        """The refusal of a point, at the value that is refused and where the study, or the file of points, has it."""
        if self.config.sweep:
            return error
        alone = refused_alone(self.factors, point, self._base, self._tables)
        if self.design.kind == "csv" and self.design.file is not None:
            factor, found = alone or (None, error)
            at = f"column {factor.name}" if factor else f"columns {', '.join(point)}"
            rest = (found.where or "").removeprefix(factor.place).removeprefix(": ") if factor else found.where
            line = line_of_point(self.design.file, index)
            where = f"{self.design.file}: line {line}, {at}" + (f": {rest}" if rest else "")
            return InputError(found.what, where=where, fix=found.fix)
        if alone is None:
            return error
        factor, found = alone
        return refused_value(found, factor, point[factor.name], self.config.factors.get(factor.name))

    @cached_property
    def file_hashes(self) -> dict[str, str]:
        """SHA-256 of the input files of the cases seen so far, by path."""
        return {}

    @cached_property
    def _base(self) -> StudyConfig:
        """The study with nothing varied."""
        return self.config.model_copy(update={"sweep": {}, "factors": {}, "design": None, "cluster": None})

    @cached_property
    def _tables(self) -> dict[str, Any]:
        """Its tables as plain values."""
        return study_tables(self._base)


def plan_study(config: StudyConfig, *, yes: bool = False) -> StudyPlan:
    """Factors and points of a study.

    Parameters
    ----------
    config : StudyConfig
    yes : bool, optional
        Take more than 10,000 points, which are refused as a mistake otherwise.

    Raises
    ------
    InputError
        If factors or design are not as they must be, or there are too many points.

    Examples
    --------
    >>> from fesolver.study.demo import demo_study
    >>> plan = plan_study(demo_study().model_copy(update={"sweep": {"treatment.volume_ml": (2.0, 4.0)}}))
    >>> len(plan), plan.case(1).keys
    (2, {'treatment.volume_ml': 4.0})
    """
    design, factors = study_design(config), study_factors(config)
    if design.kind != "csv":
        _refuse_many(count_points(design, factors, config), config, design, factors, yes=yes)
    plan = StudyPlan(config, factors, design, _drawn(design, factors, config))
    if design.kind == "csv":
        _refuse_many(len(plan), config, design, factors, yes=yes)
    return plan


def count_points(design: DesignTable, factors: Sequence[Factor], config: StudyConfig) -> int:
    """Number of points of a design, counted without making them; those of a file are read."""
    k, n = len(factors), design.n or 0
    match design.kind:
        case "grid":
            return math.prod(len(factor.choices or ()) for factor in factors)
        case "one_at_a_time":
            base = _base_point(factors, config)
            return 1 + sum(len([v for v in f.choices or () if v != own]) for f, own in zip(factors, base, strict=True))
        case "morris":
            return n * (k + 1)
        case "saltelli":
            return n * (2 * k + 2 if design.second_order else k + 2)
        case "csv":
            return len(_drawn(design, factors, config) or ())
        case _:
            return n


def _drawn(design: DesignTable, factors: Sequence[Factor], config: StudyConfig) -> tuple[tuple[Any, ...], ...] | None:
    """Values point by point; None for a grid."""
    if design.kind == "grid":
        return None
    if design.kind == "one_at_a_time":
        return tuple(one_at_a_time_points(_base_point(factors, config), [factor.choices or () for factor in factors]))
    if design.kind == "csv":
        assert design.file is not None
        rows = csv_points(design.file, {factor.name: _allowed(factor) for factor in factors})
        return tuple(tuple(_from_file(factor, row[factor.name]) for factor in factors) for row in rows)
    assert design.n is not None
    names = [factor.name for factor in factors]
    matrix = correlation_matrix(names, design.correlations) if design.correlations else None
    u = unit_points(design.kind, len(factors), design.n, design.seed, matrix, design.second_order)
    return tuple(zip(*(factor.at_all(u[:, i]) for i, factor in enumerate(factors)), strict=True))


def _base_point(factors: Sequence[Factor], config: StudyConfig) -> list[Any]:
    """Base value of every factor."""
    values = [factor.base_value(config) for factor in factors]
    for factor, value in zip(factors, values, strict=True):
        if value is None:
            raise InputError(
                f"the study has no value of factor {factor.name!r} to start from", where=f"factors.{factor.name}.base",
                fix="give base, its value while the others are varied",
            )  # fmt: skip
    return values


def _allowed(factor: Factor) -> tuple[str, ...] | None:
    """The texts that a file may have for a factor; None for numbers."""
    if factor.level_names is not None:
        return factor.level_names
    is_number = [isinstance(value, int | float) and not isinstance(value, bool) for value in factor.values or ()]
    return None if all(is_number) else tuple(str(factor.shown(value)) for value in factor.values or ())


def _from_file(factor: Factor, given: float | str) -> Any:
    """The value that a file means."""
    if isinstance(given, str) and factor.values is not None:
        return next(value for value in factor.values if str(factor.shown(value)) == given)
    if isinstance(given, float) and given.is_integer() and factor.is_whole:
        return int(given)
    return given


def _refuse_many(count: int, config: StudyConfig, design: DesignTable, factors: Sequence[Factor], *, yes: bool) -> None:
    """Refuse more points than anybody means."""
    if count <= MAX_CASES or yes:
        return
    if design.kind in LISTED:
        how = (" x " if design.kind == "grid" else ", ").join(f"{f.name} ({len(f.choices or ())})" for f in factors)
    elif design.kind == "csv":
        how = f"lines of {design.file}"
    else:
        how = f"{design.kind}, n = {design.n}, {len(factors)} factors"
    where = "[sweep]" if config.sweep else "[factors]" if design.kind in LISTED else "[design]"
    raise InputError(
        f"the study has {count} cases, and more than {MAX_CASES} are taken for a mistake: {how}", where=where,
        fix="use --yes if you mean it, fewer values, or a sampled design such as kind = 'latin_hypercube'",
    )  # fmt: skip
