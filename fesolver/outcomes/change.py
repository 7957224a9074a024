"""The change between two states, beside the numerical floor under which it means nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fesolver.errors import InputError
from fesolver.outcomes.state import Value

__all__ = ["WITHOUT_CHANGE", "Change", "ValuePair", "changes"]

WITHOUT_CHANGE = frozenset({"cut_imbalance"})
"""Measures of error: their change says nothing."""

ValuePair = tuple[Iterable[Value], Iterable[Value]]
"""Values of the intact and of the treated state."""

_Table = Mapping[tuple[str, str], float]


@dataclass(frozen=True)
class Change:
    """One number before and after.

    Parameters
    ----------
    level, quantity : str
        As in `Value`.
    intact, treated : float
        The two numbers.
    change : float
        Treated minus intact.
    change_percent : float or None
        Of the intact magnitude; None where that is zero. A compressive (negative) number that grows in magnitude has a
        negative change.
    floor_solver : float or None
        How far the change moves when both states are solved to a looser tolerance; None where that was not done.
    floor_spacing : float or None
        How far it moves on the coarser mesh; None where that was not done, or the quantity does not exist there.
    is_resolved : bool
        Whether the change is larger than every floor that was asked for; False where there is none, or where the
        quantity does not exist in a pair that was to give one.
    """

    level: str
    quantity: str
    intact: float
    treated: float
    change: float
    change_percent: float | None
    floor_solver: float | None
    floor_spacing: float | None
    is_resolved: bool


def changes(
    intact: Iterable[Value],
    treated: Iterable[Value],
    *,
    coarse_tolerance_pair: ValuePair | None = None,
    spacing_pair: ValuePair | None = None,
) -> tuple[Change, ...]:
    """Changes of every number that both states have, in the order of the intact ones.

    Parameters
    ----------
    intact, treated : iterable of Value
        The two states on the same mesh.
    coarse_tolerance_pair : pair of iterables of Value, optional
        The same two states solved to 10 times the tolerance.
    spacing_pair : pair of iterables of Value, optional
        The same two states at 1.5 times the spacing.

    Returns
    -------
    tuple of Change
        Numbers of one state alone (stress in cement, say) have no change and are left out, and so are measures of
        error (`WITHOUT_CHANGE`).

    Raises
    ------
    InputError
        If a number occurs twice in one state, or nothing is common to both.

    Notes
    -----
    The floor is that of the change, not of the number: |(treated - intact) - (treated - intact)'|, the primes
    standing for the looser pair. Errors that both states share cancel in it, as they do in the change. A floor from
    one other tolerance or spacing is an estimate of the error's size, no bound.

    Examples
    --------
    >>> before, after = [Value("L1", "k_n_per_mm", 100.0)], [Value("L1", "k_n_per_mm", 103.0)]
    >>> looser = [Value("L1", "k_n_per_mm", 101.0)], [Value("L1", "k_n_per_mm", 103.5)]
    >>> one, = changes(before, after, coarse_tolerance_pair=looser)
    >>> one.change, one.change_percent, one.floor_solver, one.is_resolved
    (3.0, 3.0, 0.5, True)
    """
    before, after = _table(intact, "intact"), _table(treated, "treated")
    solver = _difference(coarse_tolerance_pair, "looser tolerance")
    spacing = _difference(spacing_pair, "coarser spacing")
    common = [key for key in before if key in after and key[1] not in WITHOUT_CHANGE]
    if not common:
        raise InputError(f"the states share none of their {len(before)} and {len(after)} numbers")
    asked = [floor for floor, pair in ((solver, coarse_tolerance_pair), (spacing, spacing_pair)) if pair is not None]
    complete = {key for key in common if asked and all(key in floor for floor in asked)}
    return tuple(
        _change(key, before[key], after[key], solver.get(key), spacing.get(key), has_floors=key in complete)
        for key in common
    )


def _change(
    key: tuple[str, str],
    intact: float,
    treated: float,
    solver: float | None,
    spacing: float | None,
    *,
    has_floors: bool,
) -> Change:
    """One change from its numbers and the change of the looser pairs."""
    change = treated - intact
    floors = [None if other is None else abs(change - other) for other in (solver, spacing)]
    known = [floor for floor in floors if floor is not None]
    return Change(
        level=key[0],
        quantity=key[1],
        intact=intact,
        treated=treated,
        change=change,
        change_percent=100.0 * change / abs(intact) if intact else None,
        floor_solver=floors[0],
        floor_spacing=floors[1],
        is_resolved=has_floors and abs(change) > max(known),
    )


def _table(values: Iterable[Value], of: str) -> dict[tuple[str, str], float]:
    """Numbers by level and quantity."""
    table: dict[tuple[str, str], float] = {}
    for value in values:
        key = (value.level, value.quantity)
        if key in table:
            raise InputError(f"{value.quantity} of {value.level} occurs twice in the {of} values")
        table[key] = value.value
    return table


def _difference(pair: ValuePair | None, of: str) -> _Table:
    """Treated minus intact of a pair, where both have the number."""
    if pair is None:
        return {}
    before, after = _table(pair[0], of), _table(pair[1], of)
    return {key: after[key] - before[key] for key in before if key in after}
