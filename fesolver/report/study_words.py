"""What the tables and the report of a study call its design, its cases and its intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fesolver.report.factor_words import NamedFactor
from fesolver.report.quantities import RISK, main_outcomes
from fesolver.study.explain.outcome_columns import OutcomeColumn, check_columns, outcome_columns
from fesolver.study.explain.statistics import SAMPLES

if TYPE_CHECKING:
    import pandas as pd

    from fesolver.study.schema_design import DesignTable

__all__ = [
    "NamedFactor",
    "StudyWords",
    "case_groups",
    "factor_names",
    "group_words",
    "main_pairs",
    "resolved_words",
    "study_words",
]

_DESIGNS = {
    "grid": "full grid",
    "one_at_a_time": "one factor at a time",
    "latin_hypercube": "Latin hypercube",
    "sobol": "Sobol sequence",
    "csv": "points from a file",
    "morris": "Morris trajectories",
    "saltelli": "Saltelli design",
}

_MAX_GROUPS = 12
"""Values above which a factor makes no groups of cases."""


@dataclass(frozen=True)
class StudyWords:
    """The study in words.

    Parameters
    ----------
    design : str
        What kind of design it is.
    is_sample : bool
        Whether the cases are drawn.
    n_cases, n_failed : int
        Of the table.
    """

    design: str
    is_sample: bool
    n_cases: int
    n_failed: int

    @property
    def cases(self) -> str:
        """Design, number of cases and failures, in a sentence."""
        failed = f"{self.n_failed} of them failed and left out" if self.n_failed else "none failed"
        return f"{self.design[:1].upper()}{self.design[1:]}, {self.n_cases} cases, {failed}."

    def interval(self, confidence: float) -> str:
        """What the interval of a mean is in this design, in a sentence or two."""
        if not self.is_sample:
            return (
                "The cases are chosen points and no random sample: mean and SD describe these points, and there is no "
                "interval or p value."
            )
        level = f"{100.0 * confidence:g} % interval: t-interval of the mean"
        if self.design in (_DESIGNS["latin_hypercube"], _DESIGNS["sobol"]):
            return (
                f"{level} as of independent draws; the mean of this design is usually nearer to that of the population "
                "(Stein 1987). It holds no error of the model."
            )
        return f"{level}, the cases taken as independent draws. It holds no error of the model."


def study_words(table: pd.DataFrame, design: DesignTable | str | None, is_sample: bool | None = None) -> StudyWords:
    """The words of a study.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    design : DesignTable or str, optional
        The design or its kind.
    is_sample : bool, optional
        Whether the cases are drawn; by default, what the kind says (points from a file: no).
    """
    check_columns(table, ["case", "status"])
    kind = design if isinstance(design, str) or design is None else design.kind
    return StudyWords(
        design=_DESIGNS.get(kind, kind) if kind else "design not stated",
        is_sample=kind in SAMPLES if is_sample is None else is_sample,
        n_cases=len(table),
        n_failed=int((table["status"] != "done").sum()),
    )


def factor_names(table: pd.DataFrame, factors: Iterable[NamedFactor | str]) -> tuple[str, ...]:
    """Names of the factors, all of them columns of the table."""
    names = (factor if isinstance(factor, str) else factor.name for factor in factors)
    return check_columns(table, names, kind="factor")


def case_groups(table: pd.DataFrame, names: Sequence[str]) -> tuple[str | None, ...]:
    """By what a table groups its cases: None (all of them), then every factor of few values.

    Few are 2 to 12, each on average in 2 cases or more: a factor that is drawn from a distribution makes no groups.
    """
    few = [name for name in names if 2 <= table[name].nunique() <= min(_MAX_GROUPS, len(table) // 2)]
    return (None, *few)


def group_words(factor: str | None, value: object) -> str:
    """A group of cases in words.

    Examples
    --------
    >>> group_words("density_g_cm3", 0.08), group_words("law", "Morgan"), group_words(None, "")
    ('density_g_cm3 = 0.08', 'law = Morgan', 'all')
    """
    if factor is None:
        return "all"
    return f"{factor} = {f'{value:g}' if isinstance(value, float) else value}"


def resolved_words(row: Mapping[str, Any]) -> str:
    """How many changes of a group stand above their numerical floor; empty where no floor was computed."""
    has_floor = row["n_floor_solver"] or row["n_floor_spacing"]
    return f"{row['n_resolved']} of {row['n']}" if has_floor else ""


def main_pairs(
    table: pd.DataFrame, levels: Sequence[str] | None = None, load: Mapping[str, Any] | None = None
) -> tuple[OutcomeColumn, ...]:
    """Intact columns of the main outcomes that have a treated one too, the yielded-volume risk first.

    Parameters
    ----------
    table : DataFrame
        One row per case.
    levels : sequence of str, optional
        Levels to be shown, such as the neighbours of the augmented one; all by default.
    load : mapping, optional
        Load case: under a moment the rotation about its axis is a main outcome.

    Returns
    -------
    tuple of OutcomeColumn
        Ordered by quantity, then as in the table. Without treatment, the intact main outcomes.
    """
    intact = outcome_columns(table, ["intact"])
    treated = {column[1:] for column in outcome_columns(table, ["treated"])}
    shown = [c for c in intact if (not treated or c[1:] in treated) and (levels is None or c.level in levels)]
    present = main_outcomes((c.quantity for c in shown), load)
    order = sorted(present, key=lambda name: name != RISK)
    return tuple(column for name in order for column in shown if column.quantity == name)
