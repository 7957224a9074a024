"""Distributions of factors: from the parameters of a study file to values at given probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtr, ndtri

from fesolver.errors import InputError
from fesolver.study.schema_design import FactorTable

__all__ = ["PARAMETERS", "Distribution", "make_distribution"]

PARAMETERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "normal": (("mean", "sd"), ("low", "high")),
        "lognormal": (("mean", "sd"), ("low", "high")),
        "uniform": (("low", "high"), ()),
        "triangular": (("low", "mode", "high"), ()),
        "beta": (("alpha", "beta", "low", "high"), ()),
    }
)
"""Kind -> (parameters it needs, parameters it takes)."""

_EVERY = ("mean", "sd", "mode", "alpha", "beta", "low", "high")
_CUT = ("normal", "lognormal")  # where low and high cut
_LEAST_PROBABILITY = 1e-6
_TAIL = 10.0  # standard deviations; 1e-23 lies beyond


@dataclass(frozen=True)
class Distribution:
    """How one factor is distributed; made by `make_distribution`, which checks it.

    Parameters
    ----------
    kind : {"normal", "lognormal", "uniform", "triangular", "beta"}
    parameters : tuple of (str, float)
        As the study file gives them, in the unit of the factor's key. `mean` and `sd` are those of the variable itself
        before it is cut, for a lognormal too: not those of its logarithm. `low` and `high` are the ends, or cut a
        normal or lognormal distribution.
    source : str
        Where the numbers come from.

    Notes
    -----
    A cut distribution is the truncated one: the density between the cuts is scaled to 1, nothing is piled up at the
    ends [1]_. A lognormal x of mean m and standard deviation s has ln x normal with variance v = ln(1 + s^2 / m^2) and
    mean ln m - v / 2 [2]_. Moments of cut distributions are by Gauss-Legendre quadrature of the normal density;
    those of the triangular and beta distributions are closed forms [2]_.

    References
    ----------
    .. [1] N. L. Johnson, S. Kotz, N. Balakrishnan, *Continuous Univariate Distributions*, vol. 1, 2nd ed., Wiley, 1994,
       section 13.10.1 (truncated normal).
    .. [2] Same, chapter 14 (lognormal); vol. 2, 1995, chapters 25 (beta) and 26 (triangular).

    Examples
    --------
    >>> import numpy as np
    >>> cut = Distribution("normal", (("mean", 0.1), ("sd", 0.02), ("low", 0.04), ("high", 0.2)))
    >>> cut.describe()
    'normal, mean 0.1, sd 0.02, cut at 0.04 and 0.2'
    >>> cut.ppf(np.array([0.1, 0.5])).round(4)
    array([0.0745, 0.1   ])
    """

    kind: str
    parameters: tuple[tuple[str, float], ...]
    source: str = ""

    def ppf(self, u: ArrayLike) -> NDArray[np.float64]:
        """Quantiles: the values below which the probability is u.

        Parameters
        ----------
        u : array_like
            Probabilities, strictly between 0 and 1.

        Returns
        -------
        ndarray
            Values, shape of `u`, in the factor's unit, within `support`.

        Raises
        ------
        InputError
            If a probability is not strictly between 0 and 1.
        """
        u = np.asarray(u, dtype=np.float64)
        if not np.all((u > 0.0) & (u < 1.0)):
            raise InputError("quantiles are asked for at probabilities that are not strictly between 0 and 1")
        p = dict(self.parameters)
        match self.kind:
            case "normal" | "lognormal":
                centre, scale, a, b = self._standard()
                x = centre + scale * _cut_normal_ppf(u, a, b)
                x = np.exp(x) if self.kind == "lognormal" else x
            case "uniform":
                x = p["low"] + (p["high"] - p["low"]) * u
            case "triangular":
                x = _triangular_ppf(u, p["low"], p["mode"], p["high"])
            case _:
                x = p["low"] + (p["high"] - p["low"]) * betaincinv(p["alpha"], p["beta"], u)
        return np.asarray(np.clip(x, *self.support))

    @property
    def support(self) -> tuple[float, float]:
        """Least and greatest value there can be; infinite where a normal distribution is not cut."""
        p = dict(self.parameters)
        low, high = p.get("low", -np.inf), p.get("high", np.inf)
        return (max(low, 0.0) if self.kind == "lognormal" else low), high

    @property
    def mean(self) -> float:
        """Mean of the distribution as it is drawn from, cuts included."""
        return self._moments()[0]

    @property
    def sd(self) -> float:
        """Standard deviation of the distribution as it is drawn from, cuts included."""
        return self._moments()[1]

    def describe(self) -> str:
        """Kind, parameters and cuts in words, for tables and reports."""
        p = dict(self.parameters)
        own = [f"{key} {p[key]:.12g}" for key in ("alpha", "beta", "mean", "sd", "mode") if key in p]
        low, high = (f"{p[key]:.12g}" if key in p else "" for key in ("low", "high"))
        if self.kind not in _CUT:
            ends = f"from {low} to {high}"
        elif low and high:
            ends = f"cut at {low} and {high}"
        else:
            ends = f"cut below {low}" if low else f"cut above {high}" if high else ""
        return ", ".join([self.kind, *own, *([ends] if ends else [])])

    def probability_kept(self) -> float:
        """Share of the uncut normal or lognormal distribution that lies between the cuts; 1 for the other kinds."""
        if self.kind not in _CUT:
            return 1.0
        _, _, a, b = self._standard()
        return float(ndtr(-a) - ndtr(-b) if a > 0 else ndtr(b) - ndtr(a))  # differences of small numbers, not of ones

    def _standard(self) -> tuple[float, float, float, float]:
        """Mean and standard deviation of the variable or its logarithm, and the cuts as standard normal deviates."""
        p = dict(self.parameters)
        centre, scale = p["mean"], p["sd"]
        low, high = p.get("low", -np.inf), p.get("high", np.inf)
        if self.kind == "lognormal":
            scale = float(np.sqrt(np.log1p((p["sd"] / p["mean"]) ** 2)))
            centre = float(np.log(p["mean"])) - 0.5 * scale**2
            low, high = (float(np.log(x)) if x > 0.0 else -np.inf for x in (low, high))
        return centre, scale, (low - centre) / scale, (high - centre) / scale

    def _moments(self) -> tuple[float, float]:
        """Mean and standard deviation."""
        p = dict(self.parameters)
        if self.kind in _CUT:
            if "low" not in p and "high" not in p:
                return p["mean"], p["sd"]
            return _cut_moments(*self._standard(), is_log=self.kind == "lognormal")
        low, width = p["low"], p["high"] - p["low"]
        if self.kind == "uniform":
            return low + 0.5 * width, width / float(np.sqrt(12.0))
        if self.kind == "triangular":
            c = (p["mode"] - low) / width
            return low + width * (1.0 + c) / 3.0, width * float(np.sqrt((1.0 - c + c * c) / 18.0))
        a, b = p["alpha"], p["beta"]
        return low + width * a / (a + b), width * float(np.sqrt(a * b / (a + b + 1.0))) / (a + b)


def make_distribution(name: str, table: FactorTable) -> Distribution:
    """Distribution of a factor from its table in the study file.

    Parameters
    ----------
    name : str
        The factor's name, for messages.
    table : FactorTable
        With `distribution`, the parameters that `PARAMETERS` lists for it, and `source`.

    Returns
    -------
    Distribution

    Raises
    ------
    InputError
        If a parameter is missing or belongs to another kind, there is no source, the ends are the wrong way round, the
        mode lies outside, a lognormal mean is not positive, or the cuts leave less than 1e-6 of the probability.

    Examples
    --------
    >>> table = FactorTable(key="a.b", distribution="lognormal", mean=2.0, sd=0.5, source="a choice")
    >>> make_distribution("x", table).describe()
    'lognormal, mean 2, sd 0.5'
    """
    kind = table.distribution
    if kind is None:
        raise InputError(f"factor {name} has no distribution", where=f"factors.{name}.distribution")
    needed, taken = PARAMETERS[kind]
    given = {key: value for key in _EVERY if (value := getattr(table, key)) is not None}
    for key in needed:
        if key not in given:
            raise InputError(
                f"a {kind} distribution needs {_listed(needed)}; {key} is missing",
                where=f"factors.{name}.{key}",
                fix=f"give {key}",
            )
    for key in given:
        if key not in needed + taken:
            raise InputError(
                f"a {kind} distribution has no {key}",
                where=f"factors.{name}.{key}",
                fix=f"take it out; it needs {_listed(needed)}" + (f" and may have {_listed(taken)}" if taken else ""),
            )
    if not table.source.strip():
        raise InputError(
            "a distribution needs the source of its numbers",
            where=f"factors.{name}.source",
            fix='name a paper or a data set; a choice is a source too: source = "a choice"',
        )
    _check_numbers(name, kind, given)
    distribution = Distribution(kind, tuple((key, float(value)) for key, value in given.items()), table.source)
    if (kept := distribution.probability_kept()) < _LEAST_PROBABILITY:
        raise InputError(
            f"the cuts leave {kept:.1e} of the probability, less than {_LEAST_PROBABILITY:g}",
            where=f"factors.{name}.{'low' if 'low' in given else 'high'}",
            fix="put low and high around the mean, or use a uniform distribution",
        )
    return distribution


def _check_numbers(name: str, kind: str, given: Mapping[str, float]) -> None:
    """Refuse ends the wrong way round, a mode outside them, and a lognormal mean of 0 or less."""
    low, high = given.get("low", -np.inf), given.get("high", np.inf)
    if low >= high:
        raise InputError(
            f"low = {low:g} is not below high = {high:g}", where=f"factors.{name}.low", fix="low must be less than high"
        )
    if "mode" in given and not low <= given["mode"] <= high:
        raise InputError(
            f"mode = {given['mode']:g} is not between low = {low:g} and high = {high:g}",
            where=f"factors.{name}.mode",
            fix="the mode is the most likely value; put it between them",
        )
    if kind == "lognormal" and given["mean"] <= 0.0:
        raise InputError(
            f"a lognormal variable is positive, and its mean is given as {given['mean']:g}",
            where=f"factors.{name}.mean",
            fix="give mean and sd of the variable itself, not of its logarithm",
        )


def _cut_normal_ppf(u: NDArray[np.float64], a: float, b: float) -> NDArray[np.float64]:
    """Quantiles of the standard normal distribution cut at a and b."""
    if a + b > 0.0:  # above the middle, probabilities are close to 1 and their differences inexact
        return -_cut_normal_ppf(1.0 - u, -b, -a)
    p_low, p_high = ndtr(a), ndtr(b)
    return np.asarray(ndtri(p_low + u * (p_high - p_low)))


def _cut_moments(centre: float, scale: float, a: float, b: float, *, is_log: bool) -> tuple[float, float]:
    """Mean and standard deviation of centre + scale z, or of its exponential, z standard normal between a and b."""
    # x^2 of a lognormal weighs most about z = 2 scale.
    low, high = max(a, -_TAIL), min(b, _TAIL + (2.0 * scale if is_log else 0.0))
    nodes, weights = np.polynomial.legendre.leggauss(100)
    z = 0.5 * (low + high) + 0.5 * (high - low) * nodes
    weights = weights * np.exp(-0.5 * z**2)
    weights = weights / weights.sum()
    x = scale * z
    if is_log:
        factor = float(np.exp(centre))
        x = np.exp(x)
        mean = float((weights * x).sum())
        return factor * mean, factor * float(np.sqrt((weights * (x - mean) ** 2).sum()))
    mean = float((weights * x).sum())
    return centre + mean, float(np.sqrt((weights * (x - mean) ** 2).sum()))


def _triangular_ppf(u: NDArray[np.float64], low: float, mode: float, high: float) -> NDArray[np.float64]:
    """Quantiles of the triangular distribution, each side from its own end."""
    width = high - low
    rising = low + np.sqrt(u * width * (mode - low))
    falling = high - np.sqrt((1.0 - u) * width * (high - mode))
    return np.where(u * width < mode - low, rising, falling)


def _listed(words: tuple[str, ...]) -> str:
    """Words with commas and an `and`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
