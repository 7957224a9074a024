"""Distributions of factors against scipy.stats and closed forms; one message for each mistake."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import integrate, stats

from fesolver.errors import InputError
from fesolver.study.design.distributions import PARAMETERS, Distribution, make_distribution
from fesolver.study.schema_design import FactorTable

GOOD: dict[str, dict[str, float]] = {
    "normal": {"mean": 0.1, "sd": 0.02},
    "lognormal": {"mean": 2.0, "sd": 1.5},
    "uniform": {"low": -1.0, "high": 3.0},
    "triangular": {"low": 1.0, "mode": 1.5, "high": 4.0},
    "beta": {"alpha": 2.0, "beta": 0.7, "low": 3.0, "high": 5.0},
}


def table(kind: str, *, source: str = "a choice", **parameters: Any) -> FactorTable:
    return FactorTable.model_validate({"key": "a.b", "distribution": kind, "source": source, **parameters})


def made(kind: str, **parameters: Any) -> Distribution:
    return make_distribution("x", table(kind, **parameters))


def log_of(mean: float, sd: float) -> tuple[float, float]:
    """Mean and standard deviation of the logarithm, solved from scipy's moments rather than by the formula."""
    from scipy.optimize import brentq

    s = brentq(lambda s: stats.lognorm(s).std() / stats.lognorm(s).mean() - sd / mean, 1e-3, 4.0, xtol=1e-14)
    return float(np.log(mean / stats.lognorm(s).mean())), float(s)


def reference(kind: str, p: dict[str, float]) -> Any:
    """The same distribution in scipy.stats, without cuts."""
    width = p.get("high", 0.0) - p.get("low", 0.0)
    if kind == "normal":
        return stats.norm(p["mean"], p["sd"])
    if kind == "lognormal":
        centre, s = log_of(p["mean"], p["sd"])
        return stats.lognorm(s, scale=np.exp(centre))
    if kind == "uniform":
        return stats.uniform(p["low"], width)
    if kind == "triangular":
        return stats.triang((p["mode"] - p["low"]) / width, p["low"], width)
    return stats.beta(p["alpha"], p["beta"], p["low"], width)


@pytest.mark.parametrize("kind", GOOD)
def test_moments_are_those_of_scipy(kind):
    ours, theirs = made(kind, **GOOD[kind]), reference(kind, GOOD[kind])

    assert_allclose([ours.mean, ours.sd], [theirs.mean(), theirs.std()], rtol=1e-12)  # round-off


@pytest.mark.parametrize("kind", GOOD)
def test_quantiles_invert_the_probability(kind):
    u = np.linspace(0.001, 0.999, 501)

    x = made(kind, **GOOD[kind]).ppf(u)

    assert_allclose(reference(kind, GOOD[kind]).cdf(x), u, rtol=0, atol=1e-12)
    assert np.all(np.diff(x) > 0)


def test_lognormal_mean_and_sd_are_those_of_the_variable():
    x = made("lognormal", mean=2.0, sd=1.5).ppf((np.arange(200_000) + 0.5) / 200_000)

    # the mid-point rule misses the tail beyond 4.6 standard deviations of the logarithm
    assert_allclose(x.mean(), 2.0, rtol=1e-4)
    assert_allclose(x.std(), 1.5, rtol=3e-3)


CUTS = [(0.04, 0.2), (0.12, 0.13), (0.16, None), (None, 0.05), (0.0999999, 0.1000001)]


@pytest.mark.parametrize(("low", "high"), CUTS)
def test_cut_normal_has_the_closed_form_mean_and_variance(low, high):
    mean, sd = 0.1, 0.02
    cuts = {key: value for key, value in (("low", low), ("high", high)) if value is not None}
    a = -np.inf if low is None else (low - mean) / sd
    b = np.inf if high is None else (high - mean) / sd
    phi, z = stats.norm.pdf, stats.norm.cdf(b) - stats.norm.cdf(a)
    a_phi, b_phi = (0.0 if np.isinf(t) else t * phi(t) for t in (a, b))
    shift = (phi(a) - phi(b)) / z
    variance = 1.0 + (a_phi - b_phi) / z - shift**2  # of 1; cancels to round-off for narrow cuts

    ours = made("normal", mean=mean, sd=sd, **cuts)

    assert_allclose(ours.mean, mean + sd * shift, rtol=1e-9)  # the reference's z is a difference of numbers near 1
    assert_allclose(ours.sd**2, sd**2 * variance, rtol=1e-9, atol=1e-9 * sd**2)


def test_narrow_cut_is_nearly_uniform():
    ours = made("normal", mean=0.0, sd=1.0, low=-1e-4, high=1e-4)

    assert_allclose(ours.sd, 2e-4 / np.sqrt(12.0), rtol=1e-8)  # the density bends by its square, 1e-8


@pytest.mark.parametrize(("low", "high"), [(1.0, 4.0), (5.0, None), (None, 0.8), (-3.0, 9.0)])
def test_cut_lognormal_has_the_moments_of_its_integral(low, high):
    whole = reference("lognormal", GOOD["lognormal"])
    a, b = max(low or 0.0, 0.0), np.inf if high is None else high
    kept = whole.cdf(b) - whole.cdf(a)

    def integral(f: Any) -> float:
        top = min(b, 400.0)  # beyond lies 1e-13 of the second moment
        return integrate.quad(lambda x: f(x) * whole.pdf(x) / kept, a, top, limit=400, epsabs=1e-12, epsrel=1e-11)[0]

    mean = integral(lambda x: x)
    sd = np.sqrt(integral(lambda x: (x - mean) ** 2))

    cuts = {key: value for key, value in (("low", low), ("high", high)) if value is not None}
    ours = made("lognormal", **GOOD["lognormal"], **cuts)

    assert_allclose([ours.mean, ours.sd], [mean, sd], rtol=1e-7)  # the quadrature of the reference


@pytest.mark.parametrize("kind", ["normal", "lognormal"])
@pytest.mark.parametrize(("low", "high"), [(0.05, 0.13), (0.15, None), (None, 0.06)])
def test_cut_quantiles_invert_the_truncated_probability(kind, low, high):
    p = {"mean": 0.1, "sd": 0.02}
    whole = reference(kind, p)
    below = 0.0 if low is None else whole.cdf(low)
    above = 1.0 if high is None else whole.cdf(high)
    u = np.linspace(0.001, 0.999, 301)
    cuts = {key: value for key, value in (("low", low), ("high", high)) if value is not None}

    x = made(kind, **p, **cuts).ppf(u)

    assert_allclose((whole.cdf(x) - below) / (above - below), u, rtol=0, atol=1e-10)  # 1e-16 over 6e-3 and more
    assert np.all(x >= (low or 0.0))
    assert np.all(x <= (high or np.inf))


def test_far_upper_tail_keeps_its_digits():
    """Above 4.5 standard deviations; by symmetry, the mirror image of the lower tail."""
    u = np.array([1e-6, 0.3, 0.9, 1.0 - 1e-6])
    upper = made("normal", mean=0.0, sd=1.0, low=4.5).ppf(u)
    lower = made("normal", mean=0.0, sd=1.0, high=-4.5).ppf(1.0 - u)

    assert_allclose(upper, -lower, rtol=1e-13)
    assert_allclose(stats.norm.sf(upper) / stats.norm.sf(4.5), 1.0 - u, rtol=1e-9)


@pytest.mark.parametrize(("mode", "end"), [(1.0, "low"), (4.0, "high")])
def test_triangle_may_have_its_mode_at_an_end(mode, end):
    ours = made("triangular", low=1.0, mode=mode, high=4.0)

    assert_allclose(ours.mean, {"low": 2.0, "high": 3.0}[end], rtol=1e-14)
    assert_allclose(ours.ppf([1e-9, 1 - 1e-9]), [1.0, 4.0], rtol=1e-3)


@pytest.mark.parametrize(
    ("kind", "parameters", "words"),
    [
        (
            "normal",
            {"mean": 0.1, "sd": 0.02, "low": 0.04, "high": 0.2},
            "normal, mean 0.1, sd 0.02, cut at 0.04 and 0.2",
        ),
        ("normal", {"mean": 0.1, "sd": 0.02, "low": 0.04}, "normal, mean 0.1, sd 0.02, cut below 0.04"),
        ("lognormal", {"mean": 2.0, "sd": 1.0, "high": 7.0}, "lognormal, mean 2, sd 1, cut above 7"),
        ("uniform", {"low": 1.0, "high": 2.0}, "uniform, from 1 to 2"),
        ("triangular", {"low": 1.0, "mode": 1.5, "high": 2.0}, "triangular, mode 1.5, from 1 to 2"),
        ("beta", {"alpha": 2.0, "beta": 3.0, "low": 0.0, "high": 1.0}, "beta, alpha 2, beta 3, from 0 to 1"),
    ],
)
def test_description_names_every_parameter(kind, parameters, words):
    assert made(kind, **parameters).describe() == words


def test_support_is_what_can_occur():
    assert made("normal", mean=0.0, sd=1.0, low=-1.0).support == (-1.0, np.inf)
    assert made("lognormal", mean=1.0, sd=1.0).support == (0.0, np.inf)
    assert made("uniform", low=2.0, high=3.0).support == (2.0, 3.0)


def test_quantiles_keep_the_shape_and_refuse_the_ends():
    ours = made("normal", mean=0.0, sd=1.0)

    assert ours.ppf(np.full((2, 3), 0.5)).shape == (2, 3)
    assert ours.ppf(0.5).shape == ()
    for end in (0.0, 1.0, np.nan):
        with pytest.raises(InputError, match="strictly between 0 and 1"):
            ours.ppf([0.5, end])


def test_a_distribution_can_be_sent_to_a_worker_and_compared():
    ours = made("beta", **GOOD["beta"])

    assert pickle.loads(pickle.dumps(ours)) == ours
    assert hash(ours) == hash(made("beta", **GOOD["beta"]))


@pytest.mark.parametrize(("kind", "key"), [(kind, key) for kind, (needed, _) in PARAMETERS.items() for key in needed])
def test_a_missing_parameter_is_named(kind, key):
    rest = {name: value for name, value in GOOD[kind].items() if name != key}

    with pytest.raises(InputError, match=f"{kind} distribution needs .*; {key} is missing") as caught:
        made(kind, **rest)
    assert caught.value.where == f"factors.x.{key}"


@pytest.mark.parametrize(
    ("kind", "parameters", "message", "key"),
    [
        ("normal", {"mode": 0.1}, "a normal distribution has no mode", "mode"),
        ("uniform", {"sd": 0.1}, "a uniform distribution has no sd", "sd"),
        ("normal", {"source": " "}, "needs the source", "source"),
        ("uniform", {"low": 3.0}, "low = 3 is not below high = 3", "low"),
        ("normal", {"low": 0.2, "high": 0.1}, "low = 0.2 is not below high = 0.1", "low"),
        ("triangular", {"mode": 4.5}, "mode = 4.5 is not between low = 1 and high = 4", "mode"),
        ("lognormal", {"mean": -0.7}, "positive, and its mean is given as -0.7", "mean"),
        ("lognormal", {"mean": 0.0}, "positive, and its mean is given as 0", "mean"),
        ("normal", {"low": 0.3}, "the cuts leave .* of the probability", "low"),
        ("normal", {"high": -0.3}, "the cuts leave .* of the probability", "high"),
        ("lognormal", {"high": 0.0}, "the cuts leave 0.0e.00 of the probability", "high"),
    ],
)
def test_a_wrong_parameter_is_one_clear_message(kind, parameters, message, key):
    with pytest.raises(InputError, match=message) as caught:
        made(kind, **{**GOOD[kind], **parameters})
    assert caught.value.where == f"factors.x.{key}"
    assert caught.value.fix


def test_a_cut_of_just_over_a_millionth_is_taken():
    limit = stats.norm.isf(1.01e-6)

    assert made("normal", mean=0.0, sd=1.0, low=limit).probability_kept() == pytest.approx(1.01e-6, rel=1e-9)
    with pytest.raises(InputError, match="the cuts leave"):
        made("normal", mean=0.0, sd=1.0, low=stats.norm.isf(0.99e-6))
