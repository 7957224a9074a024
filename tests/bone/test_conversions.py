"""Conversions between density kinds: their coefficients, and that they never mix kinds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.bone.conversions import CONVERSIONS, conversion, conversion_chains, convert
from fesolver.bone.density import Density
from fesolver.errors import InputError


@pytest.mark.parametrize(
    ("name", "kind", "target", "at_100_mg"),
    [
        ("les1994_qct_to_ash", "rho_qct", "rho_ash", 0.1743),  # 1.22 * 0.1 + 0.0523
        ("schileo2008_ha_to_ash", "rho_ha", "rho_ash", 0.1667),  # 0.877 * 0.1 + 0.079
        ("kaneko2004_ha_to_ash", "rho_ha", "rho_ash", 0.1537),  # 0.839 * 0.1 + 0.0698
        ("schileo2008_ash_to_app", "rho_ash", "rho_app", 0.1 / 0.60),
    ],
)
def test_conversion_is_its_regression(name, kind, target, at_100_mg):
    converted = conversion(name)(Density(np.array([0.1]), kind))

    assert converted.kind == target
    assert_allclose(converted.values, at_100_mg, rtol=1e-14)


@pytest.mark.parametrize("step", CONVERSIONS.values(), ids=list(CONVERSIONS))
def test_conversion_refuses_a_density_of_another_kind(step):
    with pytest.raises(InputError, match=f"takes {step.source_kind}, got {step.target_kind}"):
        step(Density(np.array([0.1]), step.target_kind))


def test_a_chain_that_does_not_fit_together_is_refused():
    with pytest.raises(InputError, match="takes rho_ash, got rho_qct"):
        convert(Density(np.array([0.1]), "rho_qct"), ["schileo2008_ash_to_app"])


def test_an_empty_chain_changes_nothing():
    density = Density(np.array([0.1]), "rho_qct")

    assert convert(density, []) is density


def test_there_is_no_silent_way_between_the_two_phantom_equivalents():
    assert conversion_chains("rho_qct", "rho_ha") == []
    assert conversion_chains("rho_ha", "rho_qct") == []


def test_hydroxyapatite_reaches_apparent_density_in_two_ways():
    assert conversion_chains("rho_ha", "rho_app") == [
        ("schileo2008_ha_to_ash", "schileo2008_ash_to_app"),
        ("kaneko2004_ha_to_ash", "schileo2008_ash_to_app"),
    ]


def test_an_unknown_conversion_lists_the_known_ones():
    with pytest.raises(InputError, match="les1994_qct_to_ash"):
        conversion("ash_to_qct")
