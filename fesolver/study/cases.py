"""The cases of a study: the points of its sweep, each with an id that says what it depends on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from fesolver.errors import InputError
from fesolver.study.config import StudyConfig, config_hash, with_value

__all__ = ["Case", "expand_cases"]

MAX_CASES = 10_000
"""More points than this are taken for a mistake."""


@dataclass(frozen=True)
class Case:
    """One point of a sweep.

    Parameters
    ----------
    id : str
        Position and a hash of the resolved configuration: the same case keeps its id, a changed one does not.
    keys : dict
        Swept keys and their values.
    config : StudyConfig
        With these values set, and without the sweep.
    """

    id: str
    keys: dict[str, float]
    config: StudyConfig


def expand_cases(config: StudyConfig) -> tuple[Case, ...]:
    """Every point of the full grid of `[sweep]`, last key fastest; one case where nothing is swept.

    Raises
    ------
    InputError
        If the grid has more than 10,000 points.
    """
    count = 1
    for values in config.sweep.values():
        count *= len(values)
    if count > MAX_CASES:
        raise InputError(f"the sweep has {count} cases; at most {MAX_CASES} are run", where="[sweep]")
    cases = []
    for index, point in enumerate(itertools.product(*config.sweep.values())):
        keys = dict(zip(config.sweep, point, strict=True))
        resolved = with_value(config.model_copy(update={"sweep": {}}), keys)
        digest = config_hash(resolved, without=("name", "description", "output"))
        cases.append(Case(id=f"{index:05d}-{digest[:8]}", keys=keys, config=resolved))
    return tuple(cases)
