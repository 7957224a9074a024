"""Statistics of tables of cases against scipy, closed forms and small samples worked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from fesolver.errors import InputError
from fesolver.study.explain.intervals import bootstrap_interval, effect_sizes, hedges_correction, t_interval
from fesolver.study.explain.outcome_columns import pair_of, split_column
from fesolver.study.explain.statistics import paired_differences, summarise

ROUND_OFF = 1e-12  # sums of tens of numbers of order 1 to 100, in another order
DISC, PRESSURE = "L1-L2", "nucleus_pressure_mpa"
TREATED, INTACT = f"treated/{DISC}/{PRESSURE}", f"intact/{DISC}/{PRESSURE}"


def table_of(intact, treated, **columns) -> pd.DataFrame:
    """A table of finished cases with one pair of columns."""
    n = len(intact)
    own = {"case": [f"{i:05d}" for i in range(n)], "status": ["done"] * n, "error": [""] * n}
    change = {f"change/{DISC}/{PRESSURE}": np.subtract(treated, intact)}
    return pd.DataFrame({**own, **columns, INTACT: intact, TREATED: treated, **change})


@pytest.fixture
def skewed() -> pd.DataFrame:
    """Forty pairs, not symmetric, of which the last three cases failed and one has no number."""
    random = np.random.default_rng(7)
    intact = random.gamma(3.0, 0.3, 40)
    table = table_of(intact, intact * random.normal(1.05, 0.08, 40) + 0.02, density=np.repeat([0.8, 0.4], 20))
    table.loc[37:, "status"] = "failed"
    table.loc[37:, [INTACT, TREATED]] = np.nan
    table.loc[5, TREATED] = np.nan
    return table


def test_a_summary_of_four_numbers_is_the_one_worked_by_hand():
    table = table_of([1.0, 2.0, 3.0, 6.0], [0.0] * 4)
    row = summarise(table, INTACT, is_sample=True).iloc[0]
    # Mean 3, squares 4 + 1 + 0 + 9 = 14, SD sqrt(14 / 3); t(0.975, 3) = 3.18245 from printed tables.
    assert row["mean"] == 3.0
    assert_allclose(row["sd"], np.sqrt(14.0 / 3.0), rtol=ROUND_OFF)
    assert_allclose(row["standard_error"], np.sqrt(14.0 / 12.0), rtol=ROUND_OFF)
    assert_allclose(row["mean_high"] - 3.0, 3.18245 * np.sqrt(14.0 / 12.0), rtol=2e-6)  # six digits of the table
    assert_allclose(3.0 - row["mean_low"], row["mean_high"] - 3.0, rtol=ROUND_OFF)
    assert [row["median"], row["q25"], row["q75"], row["min"], row["max"]] == [2.5, 1.75, 3.75, 1.0, 6.0]


def test_a_summary_agrees_with_scipy_and_counts_what_is_missing(skewed):
    row = summarise(skewed, TREATED, confidence=0.9, is_sample=True).iloc[0]
    values = skewed[TREATED].dropna().to_numpy()
    low, high = stats.t.interval(0.9, len(values) - 1, values.mean(), stats.sem(values))
    assert (row["n"], row["n_failed"], row["n_missing"]) == (36, 3, 1)
    assert_allclose([row["mean_low"], row["mean_high"]], [low, high], rtol=ROUND_OFF)
    assert_allclose([row["q25"], row["median"], row["q75"]], np.quantile(values, [0.25, 0.5, 0.75]), rtol=ROUND_OFF)


def test_chosen_points_have_a_spread_and_no_interval(skewed):
    row = summarise(skewed, TREATED).iloc[0]
    assert not row["is_sample"]
    assert np.isfinite([row["mean"], row["sd"]]).all()
    assert np.isnan([row["standard_error"], row["mean_low"], row["mean_high"]].copy()).all()
    pairs = paired_differences(skewed, DISC, PRESSURE).iloc[0]
    assert np.isnan([pairs[name] for name in ("change_low", "percent_high", "t_p", "wilcoxon_p")]).all()
    assert np.isfinite(pairs["cohens_d_z"])


def test_groups_are_ordered_by_number_or_by_first_appearance_and_hold_their_failures(skewed):
    skewed["law"] = np.where(np.arange(40) % 2, "Kopperdahl", "Morgan")
    found = summarise(skewed, [INTACT, TREATED], by=["law", "density"], is_sample=True)
    assert list(found["law"][::4]) == ["Morgan", "Kopperdahl"]
    assert list(found["density"][:4]) == [0.4, 0.4, 0.8, 0.8]
    assert list(found["column"][:2]) == [INTACT, TREATED]
    assert found[found["column"] == INTACT]["n_failed"].sum() == 3
    own = skewed[(skewed["law"] == "Morgan") & (skewed["density"] == 0.4)]
    assert_allclose(found["mean"][1], own[TREATED].mean(), rtol=ROUND_OFF)


def test_equal_numbers_have_a_spread_of_exactly_zero():
    row = summarise(table_of([0.1] * 3, [0.3] * 3), INTACT, is_sample=True).iloc[0]
    assert (row["mean"], row["sd"], row["mean_low"], row["mean_high"]) == (0.1, 0.0, 0.1, 0.1)
    pairs = paired_differences(table_of([0.1] * 3, [0.3] * 3), DISC, PRESSURE, is_sample=True).iloc[0]
    assert pairs["change_sd"] == 0.0
    assert np.isnan([pairs["cohens_d_z"], pairs["hedges_g_av"], pairs["t_p"], pairs["wilcoxon_p"]]).all()


def test_a_group_of_one_case_has_a_mean_and_no_spread():
    found = summarise(table_of([1.0, 2.0, 4.0], [0.0] * 3, density=[0.4, 0.8, 0.8]), INTACT, "density", is_sample=True)
    assert found["mean"].tolist() == [1.0, 3.0]
    assert np.isnan([found["sd"][0], found["standard_error"][0], found["mean_low"][0]]).all()


def test_paired_differences_agree_with_scipy(skewed):
    row = paired_differences(skewed, DISC, PRESSURE, is_sample=True).iloc[0]
    pair = skewed[[INTACT, TREATED]].dropna().to_numpy()
    change = pair[:, 1] - pair[:, 0]
    reference = stats.ttest_rel(pair[:, 1], pair[:, 0])
    interval = reference.confidence_interval(0.95)
    assert (row["n"], row["n_failed"], row["n_missing"]) == (36, 3, 1)
    assert_allclose([row["change_low"], row["change_high"]], [interval.low, interval.high], rtol=1e-11)
    assert_allclose(row["t_p"], reference.pvalue, rtol=1e-10)  # round-off of t, 10 times in a tail of p ~ 1e-5
    assert_allclose(row["wilcoxon_p"], stats.wilcoxon(pair[:, 1], pair[:, 0]).pvalue, rtol=ROUND_OFF)
    assert_allclose(row["percent_mean"], np.mean(100.0 * change / pair[:, 0]), rtol=1e-11)
    assert row["change_mean"] > 0.0


def test_effect_sizes_of_five_pairs_are_those_worked_by_hand():
    # Differences 1, 2, 3, 4, 5: mean 3, SD sqrt(2.5); intact SD sqrt(2.5), treated 2 sqrt(2.5).
    row = paired_differences(table_of([1.0, 2, 3, 4, 5], [2.0, 4, 6, 8, 10]), DISC, PRESSURE).iloc[0]
    correction = 0.7978845608028654  # gamma(2) / (sqrt(2) gamma(1.5)) = sqrt(2 / pi)
    assert_allclose(row["cohens_d_z"], 3.0 / np.sqrt(2.5), rtol=ROUND_OFF)
    assert_allclose(row["cohens_d_av"], 2.0 / np.sqrt(2.5), rtol=ROUND_OFF)
    assert_allclose(row["hedges_g_z"], correction * 3.0 / np.sqrt(2.5), rtol=ROUND_OFF)
    assert_allclose(row["hedges_g_av"], correction * 2.0 / np.sqrt(2.5), rtol=ROUND_OFF)


def test_the_sign_of_every_change_follows_treated_minus_intact():
    row = paired_differences(table_of([-2.0, -4.0, -5.0], [-3.0, -5.5, -6.0]), DISC, PRESSURE).iloc[0]
    # Compression that grows: -50, -37.5 and -20 percent of the magnitude.
    assert_allclose([row["change_mean"], row["percent_mean"]], [-3.5 / 3.0, -107.5 / 3.0], rtol=ROUND_OFF)
    assert row["cohens_d_z"] < 0.0


def test_a_change_is_resolved_above_the_larger_of_its_known_floors():
    table = table_of([1.0] * 5, [1.1, 1.2, 1.3, 1.4, 1.5])
    table[f"floor_solver/{DISC}/{PRESSURE}"] = [0.01, 0.01, 0.01, np.nan, 0.6]
    table[f"floor_spacing/{DISC}/{PRESSURE}"] = [np.nan, 0.3, 0.2, np.nan, 0.1]
    row = paired_differences(table, DISC, PRESSURE).iloc[0]
    # Resolved: 0.1 over 0.01 and 0.3 over 0.2; not 0.2 under 0.3, not 0.4 without a floor, not 0.5 under 0.6.
    assert (row["n_resolved"], row["n_floor_solver"], row["n_floor_spacing"]) == (2, 4, 3)
    assert_allclose(row["floor_median"], 0.25, rtol=ROUND_OFF)  # of 0.01, 0.3, 0.2, 0.6


def test_an_intact_zero_leaves_the_percent_open_and_nothing_else():
    row = paired_differences(table_of([0.0, 1.0, 2.0], [0.5, 1.5, 2.0]), DISC, PRESSURE, is_sample=True).iloc[0]
    assert np.isnan([row["percent_mean"], row["percent_sd"], row["percent_low"]]).all()
    assert_allclose(row["change_mean"], 1.0 / 3.0, rtol=ROUND_OFF)


def test_round_off_beside_another_level_is_no_change():
    columns = {"intact/L1/bulge_mm": [0.1, 0.1], "treated/L1/bulge_mm": [0.2, 0.2]}
    noise = {"intact/L3/bulge_mm": [1e-17, 1e-17], "treated/L3/bulge_mm": [-3e-17, 2e-17]}
    pair = pair_of(pd.DataFrame({**columns, **noise}), "L3", "bulge_mm")
    assert pair["change"].tolist() == [0.0, 0.0]
    assert pair["change_percent"].isna().all()
    assert pair_of(pd.DataFrame({**columns, **noise}), "L1", "bulge_mm")["change"].tolist() == [0.1, 0.1]


def test_hedges_correction_takes_the_bias_out_of_small_samples():
    # d of n = 6 normal differences with mean 0.8 SD: its mean is 0.8 / J, that of J d is 0.8.
    random = np.random.default_rng(3)
    draws = random.normal(0.8, 1.0, (40_000, 6))
    d = draws.mean(axis=1) / draws.std(axis=1, ddof=1)
    error = d.std() / np.sqrt(len(d))
    assert abs(hedges_correction(5) * d.mean() - 0.8) < 4.0 * error  # the bias itself is 46 errors
    assert abs(d.mean() - 0.8) > 20.0 * error
    assert np.isnan(effect_sizes(2, change=1.0, sd_change=1.0, sd_intact=1.0, sd_treated=1.0)["hedges_g_z"])


def test_the_t_interval_covers_as_often_as_it_says():
    random = np.random.default_rng(11)
    draws = random.normal(5.0, 2.0, (1000, 8))
    low, high = t_interval(draws.mean(axis=1), draws.std(axis=1, ddof=1), np.full(1000, 8), 0.9)
    covered = np.sum((low < 5.0) & (high > 5.0))
    assert abs(covered - 900) < 4.0 * np.sqrt(1000 * 0.9 * 0.1)  # four binomial SDs


def test_the_interval_of_a_summary_covers_as_often_as_it_says():
    random = np.random.default_rng(12)
    names = [f"change/L{i}/k_n" for i in range(1000)]
    table = pd.DataFrame(random.normal(0.4, 0.5, (12, 1000)), columns=names).assign(status="done")
    found = summarise(table, names, is_sample=True)
    covered = int(((found["mean_low"] < 0.4) & (found["mean_high"] > 0.4)).sum())
    assert abs(covered - 950) < 4.0 * np.sqrt(1000 * 0.95 * 0.05)  # four binomial SDs


def test_on_a_latin_hypercube_the_t_interval_covers_too_often():
    # Additive outcome of three factors: the hypercube's mean is nearly exact (Stein 1987), the interval far too wide.
    covered, errors = 0, []
    for seed in range(200):
        u = stats.qmc.LatinHypercube(3, rng=np.random.default_rng(seed)).random(30)
        y = u @ np.array([1.0, 2.0, 3.0])
        low, high = t_interval(y.mean(), y.std(ddof=1), 30)
        covered += int(low < 3.0 < high)
        errors.append(y.mean() - 3.0)
    assert covered == 200
    independent = np.sqrt((1.0 + 4.0 + 9.0) / 12.0 / 30.0)
    assert np.std(errors) < 0.05 * independent  # jitter inside strata: 1 / 30 of it


def test_the_bootstrap_interval_is_that_of_scipy_from_the_same_draws():
    values = np.random.default_rng(5).gamma(2.0, 1.0, 25)
    for statistic in (np.mean, np.median, np.std):
        random = np.random.default_rng(np.random.SeedSequence(9, spawn_key=(0, 4)))
        reference = stats.bootstrap((values,), statistic, n_resamples=999, method="BCa", rng=random, batch=999)
        found = bootstrap_interval(values, statistic, 9, 999, 0.95, purpose=4)
        interval = reference.confidence_interval
        assert_allclose(found, [interval.low, interval.high], rtol=1e-10)


def test_the_bootstrap_interval_covers_nearly_as_often_as_it_says():
    # Exponential samples of 30: Efron's second-order interval misses the nominal 0.9 by a few percent at this size.
    random = np.random.default_rng(2)
    covered = 0
    for seed in range(300):
        low, high = bootstrap_interval(random.exponential(1.0, 30), lambda x: x.sum() / len(x), seed, 200, 0.9)
        covered += int(low < 1.0 < high)
    assert 0.82 * 300 < covered < 0.96 * 300


def test_bootstrap_draws_depend_on_seed_and_purpose_alone():
    values = np.arange(20.0) ** 1.5
    first = bootstrap_interval(values, np.mean, 1, 500)
    assert first == bootstrap_interval(values, np.mean, 1, 500)
    assert first != bootstrap_interval(values, np.mean, 2, 500)
    assert first != bootstrap_interval(values, np.mean, 1, 500, purpose=1)
    assert bootstrap_interval(np.full(5, 2.0), np.mean, 1) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: summarise(t, "treated/L1-L2/nucleus_presure_mpa"), "did you mean 'treated/L1-L2/nucleus_pressure"),
        (lambda t: summarise(t, TREATED, by="densty"), "no factor 'densty'(.|\n)*did you mean 'density'"),
        (lambda t: summarise(t, TREATED, by="case_id"), "factors there are: density"),
        (lambda t: paired_differences(t, "L1", PRESSURE), "no column 'intact/L1/nucleus"),
        (lambda t: summarise(t.assign(status="failed"), TREATED), "0 of 40 cases are done(.|\n)*retry-failed"),
        (lambda t: summarise(t.drop(columns="status"), TREATED), "no column 'status'"),
        (lambda t: summarise(t.assign(law="Morgan"), "law"), "'law' holds text"),
        (lambda t: summarise(t.assign(mean=1.0), TREATED, by="mean"), "'mean' hides a column"),
        (lambda t: summarise(t, TREATED, confidence=95), "confidence is 95"),
        (lambda t: bootstrap_interval([1.0, np.nan], np.mean, 1), "finite"),
        (lambda t: bootstrap_interval([1.0, 2.0], np.mean, 1, 10), "10 resamples"),
    ],
)
def test_bad_input_is_one_clear_message(skewed, call, message):
    with pytest.raises(InputError, match=message):
        call(skewed)


def test_names_of_outcome_columns_are_taken_apart():
    assert split_column("floor_solver/L1/k_n").level == "L1"
    assert split_column("load/L1/k_n") is None
    assert split_column("intact/L1") is None
