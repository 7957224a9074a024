"""Sensitivity indices against functions whose indices are known."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy import stats

from fesolver.errors import InputError, MissingDependencyError
from fesolver.study.design.sampling import unit_points
from fesolver.study.explain import indices
from fesolver.study.explain.sensitivity import (
    index_convergence,
    morris_indices,
    prcc,
    sobol_indices,
    standardised_regression,
)
from fesolver.study.schema_design import DesignTable

OUT = "change/L1-L2/nucleus_pressure_mpa"
Model = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@pytest.fixture
def salib():
    """Skips without SALib; fails where FESOLVER_REQUIRE names `sensitivity`."""
    if importlib.util.find_spec("SALib") is None:
        if "sensitivity" in os.environ.get("FESOLVER_REQUIRE", ""):
            pytest.fail("SALib is not installed")
        pytest.skip("needs SALib")


def sampled(kind: str, model: Model, k: int, n: int, *, second_order: bool = False, seed: int = 3):
    """Table, names of factors a, b, ..., and design of a model on the unit cube."""
    u = unit_points(kind, k, n, seed, second_order=second_order)
    names = [chr(ord("a") + j) for j in range(k)]
    table = pd.DataFrame({"case": np.arange(len(u)), "status": "done"} | dict(zip(names, u.T, strict=True)))
    table[OUT] = model(u)
    return table, names, DesignTable(kind=kind, n=n, second_order=second_order)


def ishigami(u: NDArray[np.float64]) -> NDArray[np.float64]:
    x = np.pi * (2 * u - 1)
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def linear(u: NDArray[np.float64]) -> NDArray[np.float64]:
    return u @ np.array([4.0, -2.0, 1.0, 0.0])


def g_function(u: NDArray[np.float64], a: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.prod((np.abs(4 * u - 2) + a) / (1 + a), axis=1)


def test_prcc_is_that_of_the_inverse_correlation_matrix_of_ranks():
    table, names, _ = sampled("latin_hypercube", lambda u: np.exp(u[:, 0]) - u[:, 1] * u[:, 2], 4, 60)
    table["b"] = table["b"].round(1)  # ties
    found = prcc(table, names, OUT)

    # r_jy.rest = -P_jy / sqrt(P_jj P_yy), P the inverse of the correlation matrix of all ranks: no regression in it.
    P = np.linalg.inv(np.corrcoef(stats.rankdata(table[[*names, OUT]], axis=0), rowvar=False))
    r = -P[:-1, -1] / np.sqrt(np.diag(P)[:-1] * P[-1, -1])
    assert_allclose(found["prcc"], r, rtol=0, atol=1e-12)
    t = r * np.sqrt((60 - 4 - 1) / (1 - r**2))
    assert_allclose(found["p_value"], 2 * stats.t.sf(abs(t), 55), rtol=1e-9)
    assert_allclose(np.arctanh(found["high"]) - np.arctanh(found["low"]), 2 * 1.959963985 / np.sqrt(54), rtol=1e-8)
    assert (found["n"] == 60).all()


def test_prcc_of_one_factor_is_spearman():
    table, names, _ = sampled("sobol", lambda u: u[:, 0] + 0.5 * np.sin(9 * u[:, 0]), 1, 32)
    found = prcc(table, names, OUT).iloc[0]
    spearman = stats.spearmanr(table["a"], table[OUT])
    assert found["prcc"] == pytest.approx(spearman.statistic, abs=1e-13)
    assert found["p_value"] == pytest.approx(spearman.pvalue, rel=1e-9)
    assert found["r_squared"] == pytest.approx(spearman.statistic**2, abs=1e-13)


def test_prcc_of_a_linear_model_tends_to_one_with_the_sign_of_each_coefficient():
    table, names, _ = sampled("sobol", linear, 4, 1024)
    found = prcc(table, names, OUT).set_index("factor")["prcc"]
    assert found["a"] > 0.97
    assert found["b"] < -0.9
    assert abs(found["d"]) < 3 / np.sqrt(1024)  # the factor without effect
    assert prcc(table, names, OUT).set_index("factor")["p_value"]["d"] > 0.01


def test_prcc_is_blind_to_a_factor_that_acts_up_and_down_and_says_so_by_r_squared(salib):
    table, names, _ = sampled("sobol", ishigami, 3, 1024)
    found = prcc(table, names, OUT).set_index("factor")
    assert abs(found["prcc"]["b"]) < 3 / np.sqrt(1024)
    assert found["r_squared"].iloc[0] < 0.5
    table, names, design = sampled("saltelli", ishigami, 3, 512)
    assert sobol_indices(table, names, OUT, design).by_factor.set_index("factor")["ST"]["b"] > 0.4


def test_fisher_intervals_of_prcc_hold_the_limit_in_95_of_100_noisy_samples():
    rng = np.random.default_rng(5)
    # Additive normal model: the PRCC of x1 tends to that of the joint normal ranks, close to (6 / pi) asin(rho / 2) of
    # the partial correlation rho = 0.8 / sqrt(0.8^2 + 1); a large sample gives it.
    truth = drawn_prcc(rng, 50_000)["prcc"][0]
    rho = 0.8 / np.sqrt(1.64)
    assert truth == pytest.approx(6 / np.pi * np.arcsin(rho / 2), abs=0.02)
    found = [drawn_prcc(rng, 40) for _ in range(200)]
    hits = np.mean([f["low"][0] < truth < f["high"][0] for f in found])
    assert abs(hits - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 200)


def drawn_prcc(rng: np.random.Generator, n: int) -> pd.DataFrame:
    x = rng.standard_normal((n, 2))
    table = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], OUT: 0.8 * x[:, 0] + 0.3 * x[:, 1] + rng.standard_normal(n)})
    return prcc(table, ["a", "b"], OUT)


def test_an_outcome_that_follows_from_one_factor_leaves_nothing_for_the_other():
    table, names, _ = sampled("sobol", lambda u: u[:, 0] ** 3, 2, 64)
    found = prcc(table, names, OUT)
    assert_allclose(found["prcc"], [1.0, 0.0], rtol=0, atol=1e-12)
    assert found["p_value"][0] < 1e-12
    assert found["p_value"][1] == 1.0


def test_standardised_coefficients_of_a_linear_model_are_exact():
    table, names, _ = sampled("latin_hypercube", linear, 4, 50)
    found = standardised_regression(table, names, OUT)
    expected = np.array([4.0, -2.0, 1.0, 0.0]) * table[names].std().to_numpy() / table[OUT].std()
    assert_allclose(found["src"], expected, rtol=0, atol=1e-12)
    assert_allclose(found["r_squared"], 1.0, rtol=0, atol=1e-12)


def test_standardised_regression_of_one_factor_is_linregress():
    rng = np.random.default_rng(2)
    x = rng.random(30)
    y = 3 * x + rng.standard_normal(30)
    found = standardised_regression(pd.DataFrame({"a": x, OUT: y}), ["a"], OUT).iloc[0]
    line = stats.linregress(x, y)
    scale = x.std() / y.std()
    assert found["src"] == pytest.approx(line.slope * scale, rel=1e-12)
    half = stats.t.ppf(0.975, 28) * line.stderr * scale
    assert found["high"] - found["src"] == pytest.approx(half, rel=1e-10)
    assert found["p_value"] == pytest.approx(line.pvalue, rel=1e-9)
    assert found["r_squared"] == pytest.approx(line.rvalue**2, rel=1e-12)


def test_sobol_indices_of_the_ishigami_function(salib):
    table, names, design = sampled("saltelli", ishigami, 3, 1024, second_order=True)
    found = sobol_indices(table, names, OUT, design)
    # Ishigami and Homma 1990, a = 7, b = 0.1.
    v1, v2, v13 = 0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2, 49 / 8, 0.01 * np.pi**8 * (1 / 18 - 1 / 50)
    v = v1 + v2 + v13
    by = found.by_factor
    for name, exact in {"S1": [v1 / v, v2 / v, 0.0], "ST": [(v1 + v13) / v, v2 / v, v13 / v]}.items():
        assert_allclose(by[name], exact, rtol=0, atol=0.02)  # a few times the 1 / sqrt(1024) x 0.1 of quasi-random sums
        assert ((by[f"{name}_low"] < exact) & (exact < by[f"{name}_high"])).all()  # quasi-random: wider than needed
    assert found.by_pair is not None
    s2 = found.by_pair.set_index(["factor", "other"])["S2"]
    assert s2["a", "c"] == pytest.approx(v13 / v, abs=0.05)
    assert s2["a", "b"] == pytest.approx(0.0, abs=0.05)
    assert (by["n_blocks"] == 1024).all()


def test_sobol_indices_of_the_g_function(salib):
    a = np.array([0.0, 1.0, 9.0, 99.0])
    table, names, design = sampled("saltelli", lambda u: g_function(u, a), 4, 1024)
    by = sobol_indices(table, names, OUT, design).by_factor
    part = 1 / (3 * (1 + a) ** 2)  # Saltelli and Sobol 1995
    total = np.prod(1 + part) - 1
    st = part * np.prod(1 + part) / (1 + part) / total
    assert_allclose(by["S1"], part / total, rtol=0, atol=0.02)  # as above
    assert_allclose(by["ST"], st, rtol=0, atol=0.02)


def test_sobol_indices_of_a_linear_model_are_shares_of_the_variance(salib):
    table, names, design = sampled("saltelli", linear, 4, 1024)
    by = sobol_indices(table, names, OUT, design).by_factor
    share = np.array([16.0, 4.0, 1.0, 0.0]) / 21.0
    assert_allclose(by["S1"], share, rtol=0, atol=0.01)
    assert_allclose(by["ST"], share, rtol=0, atol=0.01)
    assert by["ST"].iloc[3] == pytest.approx(0.0, abs=1e-15)  # the factor without effect


def test_sobol_indices_take_named_levels(salib):
    table, names, design = sampled("saltelli", lambda u: 2.0 * (u[:, 0] > 0.5) + u[:, 1], 2, 256)
    numbers = sobol_indices(table, names, OUT, design).by_factor
    named = table.assign(a=np.where(table["a"] > 0.5, "power law", "linear law"))
    assert_allclose(sobol_indices(named, names, OUT, design).by_factor["ST"], numbers["ST"], rtol=1e-14)
    with pytest.raises(InputError, match="named levels"):
        prcc(named, names, OUT)


def test_a_failed_case_costs_its_block_and_no_other(salib):
    table, names, design = sampled("saltelli", linear, 4, 64)
    table.loc[[7, 13, 100], OUT] = np.nan  # blocks of 6: 1, 2 and 16
    by = sobol_indices(table, names, OUT, design).by_factor
    keep = ~np.isin(np.arange(len(table)) // 6, [1, 2, 16])
    fewer = sobol_indices(table[keep], names, OUT, design.model_copy(update={"n": 61})).by_factor
    assert by["n_dropped"].iloc[0] == 3
    assert by["n_blocks"].iloc[0] == 61
    pd.testing.assert_frame_equal(by.drop(columns="n_dropped"), fewer.drop(columns="n_dropped"))


def test_morris_effects_of_a_linear_model_are_its_coefficients_over_the_range_of_levels(salib):
    table, names, design = sampled("morris", linear, 4, 10)
    found = morris_indices(table, names, OUT, design)
    # Levels 1/8 to 7/8: three quarters of the cube. A step of 1/2 is 2/3 of that way.
    assert_allclose(found["mu"], 0.75 * np.array([4.0, -2.0, 1.0, 0.0]), rtol=0, atol=1e-12)
    assert_allclose(found["mu_star"], 0.75 * np.array([4.0, 2.0, 1.0, 0.0]), rtol=0, atol=1e-12)
    assert_allclose(found["sigma"], 0.0, rtol=0, atol=1e-12)
    assert_allclose(found["mu_low"], found["mu"], rtol=0, atol=1e-12)


def test_own_elementary_effects_are_those_of_salib(salib):
    table, names, design = sampled("morris", ishigami, 3, 12)
    found = morris_indices(table, names, OUT, design)
    effects = indices._elementary_effects(
        table[names].to_numpy().reshape(12, 4, 3), table[OUT].to_numpy().reshape(12, 4)
    )
    assert_allclose(effects.mean(axis=0), found["mu"], rtol=1e-12)
    assert_allclose(np.abs(effects).mean(axis=0), found["mu_star"], rtol=1e-12)
    assert_allclose(effects.std(axis=0, ddof=1), found["sigma"], rtol=1e-12)
    for name in ("mu", "mu_star", "sigma"):
        assert (found[f"{name}_low"] <= found[name] + 1e-12).all()
        assert (found[f"{name}_high"] >= found[name] - 1e-12).all()


def test_morris_sigma_shows_an_interaction(salib):
    table, names, design = sampled("morris", lambda u: u[:, 0] * u[:, 1] + u[:, 2], 3, 20)
    found = morris_indices(table, names, OUT, design).set_index("factor")
    assert found["sigma"]["a"] > 0.05
    assert found["sigma"]["c"] == pytest.approx(0.0, abs=1e-12)
    table.loc[5, OUT] = np.nan
    again = morris_indices(table, names, OUT, design)
    assert again["n_trajectories"].iloc[0] == 19
    assert again["n_dropped"].iloc[0] == 1


def test_equal_points_may_be_one_case_where_the_points_are_given(salib):
    table, names, design = sampled("morris", linear, 4, 40)
    once = table.drop_duplicates(names)
    assert len(once) < len(table)
    first = once.set_index(names)["case"].to_dict()
    points = [first[values] for values in table[names].itertuples(index=False, name=None)]
    pd.testing.assert_frame_equal(
        morris_indices(once, names, OUT, design, case_of_point=points), morris_indices(table, names, OUT, design)
    )
    with pytest.raises(InputError, match="give `case_of_point`"):
        morris_indices(once, names, OUT, design)


@pytest.mark.parametrize("kind", ["morris", "saltelli"])
def test_rows_out_of_the_order_of_their_design_are_refused(salib, kind):
    table, names, design = sampled(kind, linear, 4, 16)
    method = morris_indices if kind == "morris" else sobol_indices
    with pytest.raises(InputError, match="do not stand in the order"):
        method(table.sort_values("a"), names, OUT, design)
    with pytest.raises(InputError, match="rows are not 16"):
        method(table, names[:3], OUT, design)
    with pytest.raises(InputError, match="has no trajectories or blocks"):
        method(table, names, OUT, DesignTable(kind="sobol", n=16))


def test_the_same_seed_gives_the_same_bits_and_zero_is_a_seed(salib):
    table, names, design = sampled("saltelli", ishigami, 3, 32)
    first, second = (sobol_indices(table, names, OUT, design, seed=0).by_factor for _ in range(2))
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    other = sobol_indices(table, names, OUT, design, seed=1).by_factor
    assert (other["S1"] == first["S1"]).all()
    assert (other["S1_low"] != first["S1_low"]).all()


@pytest.mark.parametrize(
    ("index", "kind", "n"), [("ST", "saltelli", 512), ("mu_star", "morris", 64), ("prcc", "sobol", 512)]
)
def test_an_index_settles_along_its_design_and_its_last_row_is_that_of_all_cases(salib, index, kind, n):
    table, names, design = sampled(kind, linear, 4, n)
    found = index_convergence(table, names, OUT, design, index=index)
    assert sorted(set(found.table["n"])) == [len(table) // 8, len(table) // 4, len(table) // 2, len(table)]
    whole = found.table[found.table["n"] == len(table)]
    direct = {
        "ST": lambda: sobol_indices(table, names, OUT, design).by_factor,
        "mu_star": lambda: morris_indices(table, names, OUT, design),
        "prcc": lambda: prcc(table, names, OUT),
    }[index]()
    assert (whole["value"].to_numpy() == direct[index].to_numpy()).all()
    assert found.is_settled
    assert found.moved == ()


def test_an_index_that_a_second_half_of_other_cases_moves_is_not_settled():
    table, names, design = sampled("sobol", linear, 4, 256)
    table.loc[128:, OUT] = (table["b"] + 0.1 * table["a"])[128:]  # as if the model had changed half way
    found = index_convergence(table, names, OUT, design, index="src")
    assert not found.is_settled
    assert {"a", "b"} <= set(found.moved)


def test_an_index_goes_with_its_design_only():
    table, names, _ = sampled("sobol", linear, 4, 64)
    with pytest.raises(InputError, match="does not settle along a grid"):
        index_convergence(table, names, OUT, DesignTable(kind="grid"), index="prcc")
    with pytest.raises(InputError, match="too few"):
        index_convergence(table[:12], names, OUT, DesignTable(kind="sobol", n=12), index="prcc")


def test_mistakes_are_named():
    table, names, _ = sampled("sobol", linear, 4, 32)
    with pytest.raises(InputError, match="did you mean"):
        prcc(table, names, OUT.replace("mpa", "mp"))
    with pytest.raises(InputError, match="'e' is not in the table"):
        prcc(table, ["a", "e"], OUT)
    with pytest.raises(InputError, match="does not vary"):
        prcc(table.assign(b=1.0), names, OUT)
    with pytest.raises(InputError, match="follows from the others"):
        prcc(table.assign(b=2 * table["a"]), names, OUT)
    with pytest.raises(InputError, match="nothing explains it"):
        prcc(table.assign(**{OUT: 3.0}), names, OUT)
    with pytest.raises(InputError, match="too few"):
        prcc(table[:7], names, OUT)
    with pytest.raises(InputError, match="each once"):
        prcc(table, ["a", "a"], OUT)


def test_without_salib_the_message_names_what_to_install(monkeypatch):
    table, names, _ = sampled("sobol", linear, 4, 32)
    monkeypatch.setitem(sys.modules, "SALib.analyze.sobol", None)
    with pytest.raises(MissingDependencyError, match=r"fesolver\[sensitivity\]"):
        sobol_indices(table, names, OUT, DesignTable(kind="saltelli", n=4))
