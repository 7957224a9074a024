"""The cases of a study: the points of its design, each with an id that says what it depends on."""

from __future__ import annotations

from fesolver.study.config import StudyConfig
from fesolver.study.design.plan import Case, plan_study

__all__ = ["Case", "expand_cases"]


def expand_cases(config: StudyConfig, *, yes: bool = False) -> tuple[Case, ...]:
    """Every case of a study once, in the order of its design; one case where nothing is varied.

    Parameters
    ----------
    config : StudyConfig
    yes : bool, optional
        Take more than 10,000 points.

    Raises
    ------
    InputError
        If there are more than 10,000 points, or values that do not fit.
    """
    return plan_study(config, yes=yes).cases
