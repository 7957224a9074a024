"""Every outcome by name, the solves they need, and their evaluation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from fesolver.errors import InputError
from fesolver.outcomes.connections import connection_values
from fesolver.outcomes.disc import disc_values
from fesolver.outcomes.endplate import endplate_values
from fesolver.outcomes.energy import energy_values
from fesolver.outcomes.equilibrium import equilibrium_values
from fesolver.outcomes.load_share import load_share_values
from fesolver.outcomes.rotation import rotation_values
from fesolver.outcomes.state import Outcome, OutcomeSettings, SolvedState, SolveName, Value
from fesolver.outcomes.stiffness import stiffness_values
from fesolver.outcomes.strength import strength_values
from fesolver.outcomes.yielding import yielding_values

__all__ = ["OUTCOMES", "evaluate", "required_solves", "select_outcomes"]

OUTCOMES: Mapping[str, Outcome] = MappingProxyType(
    {
        outcome.name: outcome
        for outcome in (
            Outcome("yielding", ("segment",), yielding_values),
            Outcome("stiffness", ("segment",), stiffness_values),
            Outcome("disc", ("segment",), disc_values),
            Outcome("endplate", ("segment",), endplate_values),
            Outcome("load_share", ("segment",), load_share_values),
            Outcome("energy", ("segment",), energy_values),
            Outcome("rotation", ("segment",), rotation_values),
            Outcome("connections", ("segment",), connection_values),
            Outcome("strength", ("segment", "isolated"), strength_values),
            Outcome("equilibrium", ("segment",), equilibrium_values),
        )
    }
)
"""Built-in outcomes, in the order of a report."""


def select_outcomes(names: Iterable[str] | None = None) -> tuple[Outcome, ...]:
    """Outcomes by name, in the order given; all of them for None.

    Raises
    ------
    InputError
        If a name is unknown.
    """
    wanted = tuple(OUTCOMES) if names is None else tuple(names)
    unknown = [name for name in wanted if name not in OUTCOMES]
    if unknown:
        raise InputError(f"unknown outcome {', '.join(map(repr, unknown))}", fix=f"use {', '.join(OUTCOMES)}")
    return tuple(OUTCOMES[name] for name in wanted)


def required_solves(outcomes: Iterable[Outcome]) -> tuple[SolveName, ...]:
    """The smallest set of solves that the outcomes need: `segment`, `isolated`, or both.

    Examples
    --------
    >>> required_solves(select_outcomes(["disc", "strength"]))
    ('segment', 'isolated')
    """
    needed = {need for outcome in outcomes for need in outcome.needs}
    order: tuple[SolveName, ...] = ("segment", "isolated")
    return tuple(need for need in order if need in needed)


def evaluate(
    outcomes: Iterable[Outcome],
    segment: SolvedState,
    isolated: Mapping[str, SolvedState] | None = None,
    settings: OutcomeSettings | None = None,
) -> list[Value]:
    """Values of several outcomes on one state.

    Parameters
    ----------
    outcomes : iterable of Outcome
        What to compute, for instance `select_outcomes()`.
    segment : SolvedState
        The solved segment.
    isolated : mapping of str to SolvedState, optional
        Every body alone, by level; needed where an outcome says so.
    settings : OutcomeSettings, optional
        Choices; defaults otherwise.

    Returns
    -------
    list of Value
        In the order of `outcomes`.

    Raises
    ------
    InputError
        If an outcome needs isolated solves and there are none, or two outcomes give the same number.
    """
    chosen = tuple(outcomes)
    given = {} if isolated is None else isolated
    if "isolated" in required_solves(chosen) and not given:
        names = [outcome.name for outcome in chosen if "isolated" in outcome.needs]
        raise InputError(f"{', '.join(names)} needs the isolated solves of every level, none was given")
    values = [v for outcome in chosen for v in outcome.compute(segment, given, settings or OutcomeSettings())]
    seen: set[tuple[str, str]] = set()
    for value in values:
        key = (value.level, value.quantity)
        if key in seen:
            raise InputError(f"two outcomes give {value.quantity} of {value.level}")
        seen.add(key)
    return values
