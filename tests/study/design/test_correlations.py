"""Rank correlations: what is refused, and what correlated points have and keep."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from fesolver.errors import InputError
from fesolver.study.design.correlation import correlated, correlation_matrix
from fesolver.study.schema_design import CorrelationTable

NAMES = ["age", "density", "modulus", "volume"]
WANTED = {("age", "density"): -0.6, ("density", "modulus"): 0.8, ("age", "modulus"): -0.35}


def tables(pairs: dict[tuple[str, str], float]) -> list[CorrelationTable]:
    return [CorrelationTable(between=pair, value=value) for pair, value in pairs.items()]


def wanted_ranks() -> np.ndarray:
    ranks = np.eye(len(NAMES))
    for (a, b), value in WANTED.items():
        i, j = NAMES.index(a), NAMES.index(b)
        ranks[i, j] = ranks[j, i] = value
    return ranks


def hypercube(n: int, k: int, seed: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.stack([(random.permutation(n) + random.uniform(0.01, 0.99, n)) / n for _ in range(k)], axis=1)


def spearman(u: np.ndarray) -> np.ndarray:
    """Spearman's correlation from its definition: Pearson's of the ranks."""
    return np.corrcoef(np.apply_along_axis(stats.rankdata, 0, u), rowvar=False)


@pytest.mark.parametrize("keep_strata", [False, True])
def test_points_have_the_rank_correlations_asked_for(keep_strata):
    n = 4000
    u = hypercube(n, 4) if keep_strata else np.random.default_rng(5).uniform(size=(n, 4))

    out = correlated(u, correlation_matrix(NAMES, tables(WANTED)), keep_strata=keep_strata)

    assert_allclose(spearman(out), wanted_ranks(), rtol=0, atol=3.0 / np.sqrt(n))  # three standard errors


@pytest.mark.parametrize("seed", range(5))
def test_reordering_removes_the_correlation_that_chance_has_put_in(seed):
    """Less than half a standard error, 0.07; the scores' own correlation, left in, would be one to two of them."""
    n = 200
    matrix = correlation_matrix(NAMES, tables(WANTED))
    out = correlated(hypercube(n, 4, seed), matrix, keep_strata=True)

    scores = stats.norm.ppf(np.apply_along_axis(stats.rankdata, 0, out) / (n + 1))

    assert_allclose(np.corrcoef(scores, rowvar=False), matrix, rtol=0, atol=0.03)


def test_the_copula_of_two_factors_is_the_normal_one():
    """Share of points with both below their medians: 1/4 + arcsin(rho) / (2 pi), Sheppard 1899."""
    n = 40_000
    matrix = correlation_matrix(["a", "b"], tables({("a", "b"): 0.7}))
    out = correlated(np.random.default_rng(1).uniform(size=(n, 2)), matrix, keep_strata=False)

    share = np.mean(np.all(out < 0.5, axis=1))

    exact = 0.25 + np.arcsin(2 * np.sin(np.pi * 0.7 / 6)) / (2 * np.pi)
    assert abs(share - exact) < 3.0 * np.sqrt(exact * (1 - exact) / n)


def test_every_stratum_of_a_hypercube_keeps_its_point():
    n = 50
    u = hypercube(n, 4)
    out = correlated(u, correlation_matrix(NAMES, tables(WANTED)), keep_strata=True)

    assert_array_equal(np.sort(out, axis=0), np.sort(u, axis=0))
    assert_array_equal(out[:, 0], u[:, 0])


def test_the_copula_keeps_columns_uniform_and_free_columns_untouched():
    u = np.random.default_rng(2).uniform(size=(3000, 4))
    out = correlated(u, correlation_matrix(NAMES, tables(WANTED)), keep_strata=False)

    for column in out.T:
        assert stats.kstest(column, "uniform").pvalue > 0.001
    assert_array_equal(out[:, [0, 3]], u[:, [0, 3]])  # the first, and the one without correlations


def test_the_copula_maps_each_point_by_itself():
    u = np.random.default_rng(2).uniform(size=(64, 4))
    matrix = correlation_matrix(NAMES, tables(WANTED))

    assert_array_equal(correlated(u, matrix, keep_strata=False)[:10], correlated(u[:10], matrix, keep_strata=False))


def test_points_stay_inside_the_cube_at_its_very_corners():
    tiny = 2.0**-31
    u = np.array([[tiny] * 4, [1 - tiny] * 4])
    out = correlated(
        u, correlation_matrix(NAMES[:4], tables({(a, "volume"): 0.5 for a in NAMES[:3]})), keep_strata=False
    )

    assert np.all((out > 0) & (out < 1))


def test_the_conversion_is_pearsons():
    """r = (6 / pi) arcsin(rho / 2), the other way round."""
    matrix = correlation_matrix(["a", "b"], tables({("a", "b"): 0.5}))

    assert_allclose(6 / np.pi * np.arcsin(matrix[0, 1] / 2), 0.5, rtol=1e-15)
    assert_array_equal(matrix, matrix.T)
    assert_array_equal(correlation_matrix(["a", "b"], []), np.eye(2))


def test_definiteness_is_that_of_the_converted_matrix():
    """Three equal correlations are definite above -1/2; for ranks that is (6/pi) arcsin(-1/4) = -0.4826."""
    limit = 6 / np.pi * np.arcsin(-0.25)
    pairs = [("a", "b"), ("b", "c"), ("a", "c")]

    correlation_matrix(["a", "b", "c"], tables(dict.fromkeys(pairs, limit + 1e-6)))
    with pytest.raises(InputError, match="cannot hold at once"):
        correlation_matrix(["a", "b", "c"], tables(dict.fromkeys(pairs, limit - 1e-6)))


def test_what_cannot_hold_at_once_is_named_and_the_advice_helps():
    names = ["volume", "a", "b", "c"]
    pairs = {("a", "b"): 0.9, ("b", "c"): 0.9, ("a", "c"): -0.5, ("volume", "a"): 0.1}

    with pytest.raises(InputError) as caught:
        correlation_matrix(names, tables(pairs))

    error = caught.value
    assert error.where == "design.correlations"
    assert re.search(r"least eigenvalue -0\.\d+", error.what)
    assert set(error.what.rsplit(" are ", 1)[1].split(", ")) == {"a", "b", "c"}
    factor = float(error.fix.rsplit(" ", 1)[1])
    correlation_matrix(names, tables({pair: factor * value for pair, value in pairs.items()}))
    with pytest.raises(InputError):
        correlation_matrix(names, tables({pair: (factor + 0.01) * value for pair, value in pairs.items()}))


def test_one_value_too_large_is_the_one_to_lower():
    pairs = {("a", "b"): 0.95, ("b", "c"): 0.5, ("a", "c"): -0.2}

    with pytest.raises(InputError) as caught:
        correlation_matrix(["a", "b", "c"], tables(pairs))

    said = re.match(r"lower the correlation of (\w) and (\w) \(([\d.]+)\) to ([\d.]+),", caught.value.fix)
    assert said
    pair, value = (said[1], said[2]), float(said[4])
    assert pairs[pair] == float(said[3])
    correlation_matrix(["a", "b", "c"], tables({**pairs, pair: value}))


@pytest.mark.parametrize("value", [1.0, -1.0])
def test_two_factors_that_are_one_are_refused(value):
    with pytest.raises(InputError, match="least eigenvalue"):
        correlation_matrix(["a", "b"], tables({("a", "b"): value}))


@pytest.mark.parametrize(
    ("pairs", "message", "where"),
    [
        ([("a", "x", 0.1)], "'x' is no factor", "design.correlations[0].between"),
        ([("a", "a", 0.1)], "correlated with itself", "design.correlations[0].between"),
        ([("a", "b", 0.1), ("b", "a", 0.2)], "b and a is given twice", "design.correlations[1].between"),
    ],
)
def test_a_wrong_pair_is_one_clear_message(pairs, message, where):
    given = [CorrelationTable(between=(a, b), value=value) for a, b, value in pairs]

    with pytest.raises(InputError, match=message) as caught:
        correlation_matrix(["a", "b", "c"], given)
    assert caught.value.where == where


@pytest.mark.parametrize("n", [1, 2, 4])
def test_too_few_points_to_reorder_say_how_many_are_needed(n):
    with pytest.raises(InputError, match="too few") as caught:
        correlated(hypercube(n, 4), correlation_matrix(NAMES, tables(WANTED)), keep_strata=True)
    assert caught.value.where == "design.n"


def test_arrays_that_do_not_fit_are_refused():
    u = hypercube(10, 2)
    with pytest.raises(InputError, match="do not fit"):
        correlated(u, np.eye(3), keep_strata=False)
    with pytest.raises(InputError, match="symmetric"):
        correlated(u, [[1.0, 0.2], [0.3, 1.0]], keep_strata=False)
    with pytest.raises(InputError, match="not positive definite"):
        correlated(u, [[1.0, 1.0], [1.0, 1.0]], keep_strata=False)
    with pytest.raises(InputError, match="strictly inside"):
        correlated(np.zeros((3, 2)), np.eye(2), keep_strata=False)
