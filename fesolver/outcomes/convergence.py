"""How numbers settle as the mesh gets finer: observed order, extrapolated limit, grid convergence index."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from fesolver.errors import InputError

__all__ = ["Behaviour", "ConvergenceStudy", "QuantityConvergence", "convergence_study", "observed_order"]

Behaviour = Literal["monotone", "oscillatory", "divergent", "constant", "two sizes"]
"""What the last three values do; "two sizes" where there are no three."""

TWO_GRID_SAFETY = 3.0
"""Roache's factor where the order is assumed, not observed."""

_LARGEST_ORDER = 64.0
"""Observed orders are sought up to this size; beyond it the finest difference is none."""


@dataclass(frozen=True)
class QuantityConvergence:
    """One quantity over the sizes of a study, coarse to fine.

    Parameters
    ----------
    name : str
        Name of the quantity.
    values : tuple of float
        One for each size, in the unit of the quantity.
    behaviour : Behaviour
        In words; decides which of the numbers below are meant (NaN where they are not).
    order : float
        Observed order of the last three sizes; the assumed one with two. Not positive where the values diverge.
    orders : tuple of float
        The observed order of every three sizes in a row: steady in the asymptotic range.
    extrapolated : float
        Richardson's limit at size zero; monotone values and two sizes only.
    uncertainty : float
        Half width of the band about the finest value, in the unit of the quantity.
    gci_fine, gci_medium : float
        Grid convergence index of the finest and the next size, relative to their values.
    asymptotic_ratio : float
        Ratio of the two differences of the last three values to what the expected order makes it: 1 in the asymptotic
        range of that order.
    """

    name: str
    values: tuple[float, ...]
    behaviour: Behaviour
    order: float = math.nan
    orders: tuple[float, ...] = ()
    extrapolated: float = math.nan
    uncertainty: float = math.nan
    gci_fine: float = math.nan
    gci_medium: float = math.nan
    asymptotic_ratio: float = math.nan


@dataclass(frozen=True)
class ConvergenceStudy:
    """The same model on meshes of several sizes.

    Parameters
    ----------
    sizes : tuple of float
        Cell sizes, coarse to fine, mm.
    quantities : mapping of str to QuantityConvergence
        In the order the model names them.
    expected_order : float
        Order assumed with two sizes and in the asymptotic ratio.
    """

    sizes: tuple[float, ...]
    quantities: Mapping[str, QuantityConvergence]
    expected_order: float

    def to_text(self) -> str:
        """A plain table: one line for each quantity."""
        width = max(8, *(len(name) for name in self.quantities))
        head = [f"{'quantity':<{width}}", *(f"{f'h = {size:.4g}':>13}" for size in self.sizes)]
        head += [f"{name:>13}" for name in ("limit", "order", "GCI fine %", "GCI medium %", "range ratio")]
        lines = ["".join(head) + "  behaviour"]
        for name, q in self.quantities.items():
            row = [f"{name:<{width}}", *(f"{value:>13.6g}" for value in (*q.values, q.extrapolated))]
            row += [f"{q.order:>13.2f}", f"{100 * q.gci_fine:>13.3g}", f"{100 * q.gci_medium:>13.3g}"]
            lines.append("".join([*row, f"{q.asymptotic_ratio:>13.3f}"]).replace("nan", "  -") + f"  {q.behaviour}")
        return "\n".join(lines)


def convergence_study(
    evaluate: Callable[[float], Mapping[str, float]],
    sizes: Sequence[float],
    *,
    safety: float = 1.25,
    expected_order: float = 2.0,
    noise: float = 1e-9,
) -> ConvergenceStudy:
    """Evaluate a model on meshes of several sizes and say how far each of its numbers has settled.

    Parameters
    ----------
    evaluate : callable
        Takes a cell size in mm, gives the quantities by name; the same names for every size.
    sizes : sequence of float
        Two or more cell sizes in mm, coarse to fine; their ratios need not be equal.
    safety : float
        Factor of the grid convergence index where the order is observed (three sizes or more); it is 3 with two.
    expected_order : float
        Order in theory: assumed with two sizes, and compared with in `asymptotic_ratio`. Linear and B-bar cells: 2 for
        displacements, stiffnesses and energies, 1 for stresses at a place; quadratic cells: 4 for energies, 3, 2. Less
        near edges between materials and at rims.
    noise : float
        Differences up to this part of the largest value are noise of the solver, and the values equal.

    Returns
    -------
    ConvergenceStudy
        Values, order, limit and band of every quantity.

    Raises
    ------
    InputError
        If there are fewer than two sizes, sizes are not positive or not descending, a value is not finite, or
        the names differ from size to size.

    Notes
    -----
    Sizes h1 < h2 < h3 are the last three, finest first, r21 = h2 / h1. Where values f = f0 + C h^p the differences obey

        (f3 - f2) / (f2 - f1) = r21^p (r32^p - 1) / (r21^p - 1),

    the equation that Celik et al. [1]_ solve by fixed-point iteration for p; here by bisection, without taking the
    order's absolute value, so that a negative one is seen: the values diverge. The limit is
    f1 - (f2 - f1) / (r21^p - 1), the band Fs |f2 - f1| / (r21^p - 1), and the band over |f1| is Roache's index [2]_.
    Differences of opposite signs are called oscillatory: their order is that of f0 + C (-1)^k h^p [1]_, they have no
    limit, and the band is half the range of the last three values [3]_. With more than three sizes the last three
    decide, and `orders` shows all. Roache's own check, GCI32 / (r21^p GCI21), with the observed order is f1 / f2
    whatever the values are; so `asymptotic_ratio` takes the expected order.

    References
    ----------
    .. [1] I. B. Celik et al., *Procedure for estimation and reporting of uncertainty due to discretization in CFD
       applications*, J. Fluids Eng. 130:078001, 2008.
    .. [2] P. J. Roache, *Perspective: a method for uniform reporting of grid refinement studies*, J. Fluids Eng.
       116:405-413, 1994.
    .. [3] F. Stern, R. V. Wilson, H. W. Coleman, E. G. Paterson, *Comprehensive approach to verification and validation
       of CFD simulations - Part 1*, J. Fluids Eng. 123:793-802, 2001.

    Examples
    --------
    >>> study = convergence_study(lambda h: {"stiffness_n_per_mm": 1000.0 + 5.0 * h**2}, [3.0, 2.0, 1.0])
    >>> q = study.quantities["stiffness_n_per_mm"]
    >>> q.behaviour, round(q.order, 6), round(q.extrapolated, 6)
    ('monotone', 2.0, 1000.0)
    """
    steps = _checked_sizes(sizes)
    if not (safety >= 1.0 and expected_order > 0.0 and noise >= 0.0):
        raise InputError(
            f"safety {safety}, expected order {expected_order}, noise {noise}",
            fix="give a safety factor of 1 or more, a positive order, and noise of 0 or more",
        )
    values = _evaluated(evaluate, steps)
    quantities = {
        name: _judge(name, tuple(found), steps, safety=safety, expected_order=expected_order, noise=noise)
        for name, found in values.items()
    }
    return ConvergenceStudy(steps, quantities, expected_order)


def observed_order(coarse: float, medium: float, fine: float, *, sizes: Sequence[float]) -> float:
    """Order p of three values: of f0 + C h^p, or of f0 + C (-1)^k h^p where their differences have opposite signs.

    Parameters
    ----------
    coarse, medium, fine : float
        Values; both differences must not be zero.
    sizes : sequence of float
        Their three sizes, descending, mm.

    Returns
    -------
    float
        Not positive where the differences do not shrink; limited to +-64.

    Notes
    -----
    The logarithm of the ratio of differences grows with p in both cases, so there is one root, which bisection finds.
    See `convergence_study` for the source.
    """
    e32, e21 = coarse - medium, medium - fine
    sign = math.copysign(1.0, e32 / e21)
    target = math.log(abs(e32 / e21))
    low, high = -_LARGEST_ORDER, _LARGEST_ORDER
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _log_ratio(middle, sizes, sign) < target else (low, middle)
    return (low + high) / 2


def _log_ratio(p: float, sizes: Sequence[float], sign: float) -> float:
    """Logarithm of |f3 - f2| / |f2 - f1| of values of order p: differences of one sign, or of two."""
    a, b = p * math.log(sizes[1] / sizes[2]), p * math.log(sizes[0] / sizes[1])
    if sign < 0:
        return a + math.log1p(math.exp(b)) - math.log1p(math.exp(a))
    if p == 0.0:
        return math.log(math.log(sizes[0] / sizes[1]) / math.log(sizes[1] / sizes[2]))
    return a + math.log(math.expm1(b) / math.expm1(a))


def _checked_sizes(sizes: Sequence[float]) -> tuple[float, ...]:
    """Sizes as floats, refused unless there are two or more, positive and descending."""
    steps = tuple(float(size) for size in sizes)
    if len(steps) < 2:
        raise InputError(f"a convergence study needs two sizes or more, got {len(steps)}", fix="give three")
    is_descending = all(math.isfinite(a) and a > b > 0.0 for a, b in pairwise(steps))
    if not is_descending:
        raise InputError(f"sizes must be positive and descend, got {list(steps)} mm", fix="give them coarse to fine")
    return steps


def _evaluated(evaluate: Callable[[float], Mapping[str, float]], sizes: Sequence[float]) -> dict[str, list[float]]:
    """Values by name, one for each size; refused unless they are finite and the names agree."""
    values: dict[str, list[float]] = {}
    for number, size in enumerate(sizes):
        found = dict(evaluate(size))
        if not found:
            raise InputError("the model gives no quantity", where=f"size {size:g} mm")
        if number and set(found) != set(values):
            raise InputError(
                f"quantities differ from size to size: {sorted(set(found) ^ set(values))}", where=f"size {size:g} mm"
            )
        for name, value in found.items():
            if not math.isfinite(value):
                raise InputError(f"{name} is {value}", where=f"size {size:g} mm", fix="leave it out of the study")
            values.setdefault(name, []).append(float(value))
    return values


def _judge(
    name: str,
    values: tuple[float, ...],
    sizes: tuple[float, ...],
    *,
    safety: float,
    expected_order: float,
    noise: float,
) -> QuantityConvergence:
    """Behaviour of a quantity and the numbers that go with it."""
    floor = noise * max(abs(value) for value in values)
    steps = [0.0 if abs(a - b) <= floor else a - b for a, b in pairwise(values)]
    if not any(steps[-2:]) or (len(steps) > 1 and not steps[-1]):
        found = _with_band(name, values, "constant")
        return replace(found, extrapolated=values[-1], orders=_orders(values, steps, sizes))
    if len(values) == 2:
        return _extrapolated(name, values, sizes, "two sizes", expected_order, TWO_GRID_SAFETY)
    orders = _orders(values, steps, sizes)
    ratio = steps[-2] / steps[-1] / math.exp(_log_ratio(expected_order, sizes[-3:], 1.0))
    if not orders[-1] > 0.0:
        found = QuantityConvergence(name, values, "divergent", orders[-1])
    elif steps[-2] * steps[-1] < 0.0:
        found = replace(_with_band(name, values, "oscillatory"), order=orders[-1])
    else:
        found = _extrapolated(name, values, sizes, "monotone", orders[-1], safety)
    return replace(found, orders=orders, asymptotic_ratio=ratio)


def _orders(values: tuple[float, ...], steps: list[float], sizes: tuple[float, ...]) -> tuple[float, ...]:
    """Order of every three values in a row; NaN where two of them are equal."""
    return tuple(
        observed_order(*values[k : k + 3], sizes=sizes[k : k + 3]) if steps[k] and steps[k + 1] else math.nan
        for k in range(len(steps) - 1)
    )


def _with_band(name: str, values: tuple[float, ...], behaviour: Behaviour) -> QuantityConvergence:
    """Half the range of the last three values as the band."""
    band = (max(values[-3:]) - min(values[-3:])) / 2
    return QuantityConvergence(
        name, values, behaviour, uncertainty=band, gci_fine=_relative(band, values[-1]),
        gci_medium=_relative(band, values[-2]),
    )  # fmt: skip


def _extrapolated(
    name: str, values: tuple[float, ...], sizes: tuple[float, ...], behaviour: Behaviour, order: float, safety: float
) -> QuantityConvergence:
    """Richardson's limit and Roache's index for a known order."""
    e21 = values[-2] - values[-1]
    power = math.expm1(order * math.log(sizes[-2] / sizes[-1]))
    band = safety * abs(e21) / power
    medium = math.nan
    if len(values) > 2:
        e32 = values[-3] - values[-2]
        medium = safety * abs(e32) / math.expm1(order * math.log(sizes[-3] / sizes[-2]))
        medium = _relative(medium, values[-2])
    return QuantityConvergence(
        name, values, behaviour, order, extrapolated=values[-1] - e21 / power, uncertainty=band,
        gci_fine=_relative(band, values[-1]), gci_medium=medium,
    )  # fmt: skip


def _relative(band: float, value: float) -> float:
    """Band over the size of a value; infinite about zero."""
    return band / abs(value) if value else (math.inf if band else 0.0)
