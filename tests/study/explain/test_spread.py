"""Spread of an outcome over named levels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.study.explain.spread import spread_by_level

OUT = "treated/L1-L2/nucleus_pressure_mpa"


def laws(**columns: object) -> pd.DataFrame:
    """Three laws at two volumes."""
    table = {
        "case": [f"{k:05d}" for k in range(6)],
        "status": "done",
        "law": ["kopperdahl", "morgan", "keyak"] * 2,
        "volume_ml": [2.0, 2.0, 2.0, 6.0, 6.0, 6.0],
        OUT: [1.0, 2.0, 6.0, -3.0, -4.0, -8.0],
    }
    return pd.DataFrame(table | columns)


def test_every_combination_of_the_other_factors_has_its_own_spread():
    found = spread_by_level(laws(), "law", OUT)
    assert found.by_level["law"].tolist() == ["kopperdahl", "morgan", "keyak"] * 2
    assert found.by_level["ratio_to_median"].tolist() == [0.5, 1.0, 3.0, 0.75, 1.0, 2.0]
    by = found.by_combination.set_index("volume_ml")
    assert by.loc[2.0, ["median", "low", "high", "range", "high_over_low"]].tolist() == [2.0, 1.0, 6.0, 5.0, 6.0]
    assert by.loc[6.0, ["median", "low", "high", "range"]].tolist() == [-4.0, -8.0, -3.0, 5.0]
    assert by["high_over_low"][6.0] == pytest.approx(8 / 3, rel=1e-15)
    # mean 3, deviations -2, -1, 3: SD = sqrt(14 / 2)
    assert by["coefficient_of_variation"][2.0] == pytest.approx(np.sqrt(7.0) / 3.0, rel=1e-14)
    assert by["coefficient_of_variation"][6.0] == pytest.approx(np.sqrt(7.0) / 5.0, rel=1e-14)


def test_a_failed_level_is_counted_and_moves_nothing_else():
    values = laws()[OUT].to_list()
    values[2] = np.nan
    found = spread_by_level(laws(**{OUT: values}), "law", OUT)
    by = found.by_combination.iloc[0]
    assert (by["n"], by["n_failed"], by["median"], by["high_over_low"]) == (2, 1, 1.5, 2.0)
    assert np.isnan(found.by_level["value"][2])
    assert found.by_combination["high_over_low"][1] == pytest.approx(8 / 3)


def test_ratios_of_numbers_of_two_signs_are_not_given():
    found = spread_by_level(laws(**{OUT: [-1.0, 0.5, 2.0, 0.0, 1.0, 2.0]}), "law", OUT)
    assert found.by_combination[["high_over_low", "coefficient_of_variation"]].isna().all(axis=None)
    assert found.by_level["ratio_to_median"].isna().all()
    assert found.by_combination["range"].tolist() == [3.0, 2.0]


def test_a_factor_alone_makes_one_combination():
    found = spread_by_level(laws().iloc[:3], "law", OUT, others=())
    assert len(found.by_combination) == 1
    assert_allclose(found.by_level["value"], [1.0, 2.0, 6.0])
    assert found.by_level.columns.tolist() == ["law", "value", "ratio_to_median"]


def test_mistakes_are_named():
    with pytest.raises(InputError, match="occurs twice"):
        spread_by_level(laws(), "law", OUT, others=())
    with pytest.raises(InputError, match="did you mean 'law'"):
        spread_by_level(laws(), "laws", OUT)
    with pytest.raises(InputError, match="no case has"):
        spread_by_level(laws(**{OUT: np.nan}), "law", OUT)
    with pytest.raises(InputError, match="outcome"):
        spread_by_level(laws(), "law", "treated/L1-L2/nothing")
