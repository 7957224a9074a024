"""Weighted quantile, mean and exceedance against hand counts."""

from __future__ import annotations

import numpy as np
import pytest

from fesolver.errors import InputError
from fesolver.outcomes.weighted import fraction_above, upper_quantile, weighted_mean


def test_equal_weights_give_the_order_statistic():
    values = np.random.default_rng(3).permutation(np.arange(1.0, 101.0))

    assert upper_quantile(values, np.ones(100), 0.02) == 99.0  # 99 and 100 are the top 2 %
    assert upper_quantile(values, np.ones(100), 0.021) == 98.0


def test_a_heavy_value_covers_every_fraction_up_to_its_weight():
    values, weights = np.array([5.0, 1.0, 3.0]), np.array([1.0, 2.0, 7.0])

    assert upper_quantile(values, weights, 0.1) == 5.0
    assert upper_quantile(values, weights, 0.11) == 3.0
    assert upper_quantile(values, weights, 0.8) == 3.0
    assert upper_quantile(values, weights, 0.81) == 1.0


def test_splitting_a_cell_in_two_changes_nothing():
    values, weights = np.array([4.0, 2.0, 1.0]), np.array([1.0, 5.0, 4.0])
    split = upper_quantile(np.array([4.0, 2.0, 2.0, 1.0]), np.array([1.0, 2.0, 3.0, 4.0]), 0.5)

    assert upper_quantile(values, weights, 0.5) == split == 2.0


def test_scaling_by_the_quantile_brings_exactly_that_fraction_to_the_threshold():
    rng = np.random.default_rng(7)
    values, weights = rng.lognormal(size=500), rng.uniform(0.1, 2.0, 500)
    scaled = values / upper_quantile(values, weights, 0.02)

    assert np.sum(weights[scaled >= 1.0]) / weights.sum() >= 0.02
    assert fraction_above(scaled, weights, 1.0) < 0.02


def test_mean_is_weighted():
    assert weighted_mean(np.array([1.0, 4.0]), np.array([2.0, 1.0])) == 2.0


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, float("nan")])
def test_a_fraction_outside_its_range_is_refused(fraction):
    with pytest.raises(InputError, match="quantile fraction"):
        upper_quantile(np.ones(2), np.ones(2), fraction)


def test_no_volume_is_refused():
    with pytest.raises(InputError, match="no volume"):
        upper_quantile(np.ones(2), np.zeros(2), 0.5)
