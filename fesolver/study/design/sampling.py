"""Points of a design: in the unit cube for sampled designs, in lists of values for the others."""

from __future__ import annotations

import importlib
import itertools
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError, MissingDependencyError
from fesolver.study.design.correlation import correlated
from fesolver.study.design.point_file import csv_points

__all__ = [
    "MORRIS_LEVELS",
    "SAMPLED",
    "csv_points",
    "grid_count",
    "grid_points",
    "one_at_a_time_points",
    "unit_points",
]

MORRIS_LEVELS = 4
"""Levels of a Morris design; the number that SALib's analyzer must be given as `num_levels`."""

SAMPLED = ("latin_hypercube", "sobol", "morris", "saltelli")
"""Kinds of design whose points lie in the unit cube."""

_SALIB = ("morris", "saltelli")

# Purpose number in `SeedSequence(seed, spawn_key=(0, purpose))`; clear of those of `anatomy.cohort`.
_DESIGN = 1000

_SOBOL_BITS = 30
_HALF_STEP = 2.0 ** -(_SOBOL_BITS + 1)
_MARGIN = 1e-9  # of a stratum: rounding cannot move a point to the next one

_log = logging.getLogger("fesolver")


def unit_points(
    kind: str, k: int, n: int, seed: int, matrix: ArrayLike | None = None, second_order: bool = False
) -> NDArray[np.float64]:
    """Points of a sampled design in the unit cube: probabilities, to be turned into values by quantiles.

    Parameters
    ----------
    kind : {"latin_hypercube", "sobol", "morris", "saltelli"}
    k : int
        Number of factors.
    n : int
        Points of a Latin hypercube or Sobol sequence, trajectories of Morris, base points of Saltelli.
    seed : int
        The same seed gives the same points.
    matrix : (k, k) array_like, optional
        Correlation of the normal scores, from `correlation_matrix`; for `latin_hypercube` and `sobol` only.
    second_order : bool
        Saltelli: with the points for second-order indices.

    Returns
    -------
    (m, k) ndarray
        Strictly inside (0, 1). m = n; n (k + 1) for Morris; n (k + 2) for Saltelli, n (2 k + 2) with the second order.

    Raises
    ------
    InputError
        If the kind is unknown, k, n or the seed is no whole number in range, or correlations are given with `morris`
        or `saltelli`.
    MissingDependencyError
        If `morris` or `saltelli` is asked for without SALib.

    Notes
    -----
    The design is drawn as a whole from `SeedSequence(seed, spawn_key=(0, purpose))`.

    `latin_hypercube` [1]_: in every column, each of n equal strata holds one point, anywhere in it. A longer hypercube
    has other strata, so it does not begin with the shorter one: use `sobol` where points may be added later.

    `sobol` [2]_: the sequence with linear matrix scrambling and a digital shift (scipy), 30 bits, each number moved by
    half a step so that 0 does not occur. A longer sequence begins with the shorter one, also with correlations. Its
    balance holds for powers of 2; other n are logged as a warning.

    `morris` [3]_ and `saltelli` [4]_ are SALib's samples row by row, in the order its analyzers expect. Longer ones
    begin with the shorter ones. Morris's four levels are 1/8, 3/8, 5/8, 7/8, the middles of quarters of the
    probability, as the quantiles of 0 and 1 may be infinite; a step is 1/2. SALib divides by 2/3, its step on levels
    from 0 to 1, so its elementary effects stand for the way from the lowest to the highest level.

    References
    ----------
    .. [1] M. D. McKay, R. J. Beckman, W. J. Conover, Technometrics 21:239-245, 1979.
    .. [2] I. M. Sobol, USSR Comput. Math. Math. Phys. 7:86-112, 1967; J. Matousek, J. Complexity 14:527-556, 1998
       (scrambling).
    .. [3] M. D. Morris, Technometrics 33:161-174, 1991.
    .. [4] A. Saltelli, Comput. Phys. Commun. 145:280-297, 2002.

    Examples
    --------
    >>> u = unit_points("latin_hypercube", k=2, n=4, seed=1)
    >>> sorted(int(stratum) for stratum in 4 * u[:, 0])
    [0, 1, 2, 3]
    """
    _check(kind, k, n, seed)
    if kind in _SALIB and matrix is not None:
        raise InputError(
            f"a {kind} design takes no correlations: it changes one factor while the others stay, which correlated "
            "factors cannot do, and its indices are defined for independent factors",
            where="design.correlations",
            fix="take them out, or use kind = 'latin_hypercube' or 'sobol' and partial rank correlations",
        )
    seeds = np.random.SeedSequence(seed, spawn_key=(0, _DESIGN))
    if kind == "latin_hypercube":
        u = _latin_hypercube(k, n, seeds)
    elif kind == "sobol":
        u = _sobol(k, n, seeds)
    elif kind == "morris":
        return _morris(k, n, seeds)
    else:
        return _saltelli(k, n, seeds, second_order)
    return u if matrix is None else correlated(u, matrix, keep_strata=kind == "latin_hypercube")


def grid_count(lists: Sequence[Sequence[Any]]) -> int:
    """Number of points of a full grid, without making them.

    Examples
    --------
    >>> grid_count([range(1000), range(1000), range(1000)])
    1000000000
    """
    return math.prod(len(values) for values in lists)


def grid_points(lists: Sequence[Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    """Points of a full grid one after the other, the last list fastest.

    Parameters
    ----------
    lists : sequence of sequences
        Values of each factor.

    Examples
    --------
    >>> list(grid_points([[1, 2], ["a", "b"]]))
    [(1, 'a'), (1, 'b'), (2, 'a'), (2, 'b')]
    """
    return itertools.product(*lists)


def one_at_a_time_points(base: Sequence[Any], lists: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The base point, then every factor's other values with the rest at the base.

    Parameters
    ----------
    base : sequence
        Base value of each factor.
    lists : sequence of sequences
        Values of each factor; one equal to the base value is not repeated.

    Raises
    ------
    InputError
        If there are not as many lists as base values.

    Examples
    --------
    >>> one_at_a_time_points([1, 5], [[0, 1, 2], [5, 6]])
    [(1, 5), (0, 5), (2, 5), (1, 6)]
    """
    if len(base) != len(lists):
        raise InputError(f"{len(base)} base values and {len(lists)} lists do not fit")
    points = [tuple(base)]
    for i, values in enumerate(lists):
        points += [(*base[:i], value, *base[i + 1 :]) for value in values if value != base[i]]
    return points


def _check(kind: str, k: int, n: int, seed: int) -> None:
    """Refuse an unknown kind and numbers out of range."""
    if kind not in SAMPLED:
        raise InputError(f"design {kind!r} is not sampled", where="design.kind", fix=f"use one of {', '.join(SAMPLED)}")
    for name, value, least in (("k", k, 1), ("n", n, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            where = "factors" if name == "k" else f"design.{name}"
            raise InputError(f"{name} is {value!r}, not a whole number of {least} or more", where=where)


def _latin_hypercube(k: int, n: int, seeds: np.random.SeedSequence) -> NDArray[np.float64]:
    """One point in each of n strata of every column."""
    random = np.random.default_rng(seeds)
    u = np.empty((n, k))
    for j in range(k):
        u[:, j] = (random.permutation(n) + _MARGIN + (1.0 - 2.0 * _MARGIN) * random.random(n)) / n
    return u


def _sobol(k: int, n: int, seeds: np.random.SeedSequence) -> NDArray[np.float64]:
    """The first points of a scrambled Sobol sequence."""
    from scipy.stats import qmc

    _warn_of_balance("sobol", n)
    engine = qmc.Sobol(k, scramble=True, bits=_SOBOL_BITS, rng=np.random.default_rng(seeds))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The balance properties", category=UserWarning)
        return np.asarray(engine.random(n) + _HALF_STEP)


def _morris(k: int, n: int, seeds: np.random.SeedSequence) -> NDArray[np.float64]:
    """Trajectories of k + 1 points on the middles of equal parts of the probability."""
    sampler = _salib("SALib.sample.morris", "morris")
    levels = sampler.sample(_problem(k), n, num_levels=MORRIS_LEVELS, seed=seeds)
    return np.asarray((np.rint(levels * (MORRIS_LEVELS - 1)) + 0.5) / MORRIS_LEVELS)


def _saltelli(k: int, n: int, seeds: np.random.SeedSequence, second_order: bool) -> NDArray[np.float64]:
    """Saltelli's blocks A, AB (, BA), B of a scrambled Sobol sequence in twice as many dimensions."""
    sampler = _salib("SALib.sample.sobol", "saltelli")
    _warn_of_balance("saltelli", n)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The balance properties", category=UserWarning)
        points = sampler.sample(_problem(k), n, calc_second_order=second_order, seed=np.random.default_rng(seeds))
    return np.asarray(points + _HALF_STEP)


def _problem(k: int) -> dict[str, Any]:
    """The unit cube as SALib describes it."""
    return {"num_vars": k, "names": [f"x{i}" for i in range(k)], "bounds": [[0.0, 1.0]] * k}


def _salib(module: str, kind: str) -> ModuleType:
    """A sampler of SALib, or what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(
            f"a {kind} design needs the Python package SALib ({error})",
            where="design.kind",
            fix="pip install 'fesolver[sensitivity]', or use kind = 'latin_hypercube' or 'sobol'",
        ) from error


def _warn_of_balance(kind: str, n: int) -> None:
    """Say that the balance of a Sobol sequence needs a power of 2."""
    if n & (n - 1):
        below = 1 << (n.bit_length() - 1)
        _log.warning(
            "a %s design with n = %d is less even than one with a power of 2: use %d or %d", kind, n, below, 2 * below
        )
