"""Laws against the values that their published formulas give, and what a law refuses."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.bone.conversions import convert
from fesolver.bone.density import Density
from fesolver.bone.laws import BONE_LAWS, bone_law, laws_table
from fesolver.errors import InputError

# rho_qct in mg/cm3; E of the linear and power laws, yield stress of both, E by way of Les and Schileo with Morgan, and
# of Les with Keller's spine law: worked out by hand from the formulas, printed to the digits below.
CHAINS = [
    (30, 62, 75, 0.00, 0.29, 241, 18),
    (50, 127, 128, 0.50, 0.58, 351, 29),
    (80, 224, 210, 1.24, 1.12, 543, 49),
    (100, 288, 266, 1.74, 1.52, 688, 66),
    (120, 353, 322, 2.24, 1.96, 844, 85),
    (150, 450, 407, 2.98, 2.68, 1098, 117),
    (200, 611, 550, 4.23, 3.99, 1573, 183),
]


def qct(*mg: float) -> Density:
    return Density(np.array(mg) / 1000.0, "rho_qct")


@pytest.mark.parametrize(("mg", "linear", "power", "yield_linear", "yield_power", "morgan", "keller"), CHAINS)
def test_three_published_chains_give_their_own_moduli(mg, linear, power, yield_linear, yield_power, morgan, keller):
    density = qct(mg)
    ash = convert(density, ["les1994_qct_to_ash"])
    app = convert(ash, ["schileo2008_ash_to_app"])

    half_unit = 0.51  # the table is rounded to 1 MPa
    assert_allclose(bone_law("kopperdahl2002_linear").modulus(density), linear, atol=half_unit)
    assert_allclose(bone_law("kopperdahl2002_power").modulus(density), power, atol=half_unit)
    assert_allclose(bone_law("morgan2003").modulus(app), morgan, atol=half_unit)
    assert_allclose(bone_law("keller1994_spine").modulus(ash), keller, atol=half_unit)
    assert_allclose(bone_law("kopperdahl2002_linear").strength_mpa(density), yield_linear, atol=0.0051)
    assert_allclose(bone_law("kopperdahl2002_power").strength_mpa(density), yield_power, atol=0.0051)


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("morgan2003", {}, (130, 245, 384, 544)),
        ("keaveny1997", {}, (96, 173, 250, 327)),
        ("carter_hayes1977", {"strain_rate_per_s": 0.01}, (3, 10, 23, 45)),
    ],
)
def test_apparent_density_laws_at_the_same_density(name, params, expected):
    density = Density(np.array([0.10, 0.15, 0.20, 0.25]), "rho_app")

    assert_allclose(bone_law(name, **params).modulus(density), expected, atol=0.51)


def test_carter_hayes_grows_with_the_strain_rate_to_the_power_006():
    density = Density(np.array([0.2]), "rho_app")
    slow, fast = (bone_law("carter_hayes1977", strain_rate_per_s=rate) for rate in (0.01, 1.0))

    assert_allclose(fast.modulus(density) / slow.modulus(density), 100.0**0.06, rtol=1e-14)
    assert_allclose(fast.modulus(density), 3790.0 * 0.2**3, rtol=1e-14)  # at 1/s the rate factor is 1
    assert_allclose(fast.strength_mpa(density), 68.0 * 0.2**2, rtol=1e-14)


def test_pooled_keller_law_is_its_formula():
    density = Density(np.array([0.15, 1.0]), "rho_ash")

    assert_allclose(bone_law("keller1994_pooled").modulus(density), [10500 * 0.15**2.29, 10500], rtol=1e-14)
    assert_allclose(bone_law("keller1994_pooled").strength_mpa(density), [117 * 0.15**1.93, 117], rtol=1e-14)


@pytest.mark.parametrize("kind", ["rho_ha", "rho_ash", "rho_app"])
def test_a_law_refuses_another_density_kind(kind):
    with pytest.raises(InputError, match=f"takes rho_qct, got {kind}"):
        bone_law().modulus(Density(np.array([0.1]), kind))


def test_the_refusal_names_the_explicit_converters():
    with pytest.raises(InputError, match="les1994_qct_to_ash then schileo2008_ash_to_app"):
        bone_law("morgan2003").modulus(qct(80))


def test_ha_density_has_two_named_ways_to_ash():
    with pytest.raises(InputError, match="schileo2008_ha_to_ash or kaneko2004_ha_to_ash"):
        bone_law("keller1994_spine").modulus(Density(np.array([0.1]), "rho_ha"))


def test_the_default_power_law_of_negative_density_is_floored_and_counted():
    modulus, report = bone_law().evaluate(qct(-50, 0, 100, 100), floor_mpa=2.0)

    assert_allclose(modulus, [2.0, 2.0, 2980 * 0.1**1.05, 2980 * 0.1**1.05], rtol=1e-14)
    assert report.fraction_floored == 0.5
    assert report.fraction_below == 0.5
    assert report.fraction_above == 0.0


def test_fractions_of_a_report_are_weighted_by_volume():
    _, report = bone_law().evaluate(qct(0, 100, 400), weights=np.array([1.0, 2.0, 5.0]))

    assert report.fraction_floored == 1.0 / 8.0
    assert report.fraction_above == 5.0 / 8.0


def test_the_linear_law_turns_negative_where_its_standing_says():
    root = 34.7 / 3230.0

    modulus = bone_law("kopperdahl2002_linear").modulus(qct(1000 * root - 0.1, 1000 * root + 0.1))

    assert modulus[0] < 0 < modulus[1]
    assert_allclose(root, 0.0107, atol=5e-5)


def test_a_strength_below_zero_is_zero():
    assert_array_equal(bone_law("kopperdahl2002_linear").strength_mpa(qct(0, 20)), [0.0, 0.0])


def test_a_law_without_a_strength_partner_gives_no_strength():
    with pytest.raises(InputError, match="no published strength partner"):
        bone_law("keaveny1997").strength_mpa(Density(np.array([0.2]), "rho_app"))


def test_strain_at_yield_of_the_linear_pair_is_near_the_measured_yield_strains():
    density = qct(80, 100, 120, 200)
    law = bone_law("kopperdahl2002_linear")

    strain = law.strength_mpa(density) / law.modulus(density)

    assert_allclose(strain, [0.0056, 0.0060, 0.0063, 0.0069], atol=6e-5)  # with 0.2 % offset: 0.76 to 0.89 %


def test_custom_law_is_its_formula_in_its_kind():
    law = bone_law("custom", coefficient=4000.0, exponent=1.5, offset=-10.0, kind="rho_ha")

    assert_allclose(law.modulus(Density(np.array([0.25]), "rho_ha")), -10 + 4000 * 0.125, rtol=1e-14)
    with pytest.raises(InputError, match="no conversion from rho_qct to rho_ha"):
        law.modulus(qct(100))


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("kopperdal", {}, "unknown bone law 'kopperdal'"),
        ("morgan2003", {"strain_rate_per_s": 1.0}, "does not take these parameters"),
        ("custom", {}, "does not take these parameters"),
        ("custom", {"coefficient": -1.0, "exponent": 1.0, "kind": "rho_app"}, "positive coefficient"),
        ("custom", {"coefficient": 1.0, "exponent": 1.0, "kind": "bmd"}, "density kind 'bmd' is unknown"),
        ("carter_hayes1977", {"strain_rate_per_s": 0.0}, "must be positive"),
    ],
)
def test_a_law_that_cannot_be_made_is_an_input_error(name, params, message):
    with pytest.raises(InputError, match=message):
        bone_law(name, **params)


def test_densities_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="1 densities are not finite"):
        bone_law().modulus(qct(100, np.nan))


def test_a_negative_floor_is_refused():
    with pytest.raises(InputError, match="floor"):
        bone_law().evaluate(qct(100), floor_mpa=-1.0)


def test_every_law_survives_the_way_to_another_process():
    for name in set(BONE_LAWS) - {"custom"}:
        assert pickle.loads(pickle.dumps(bone_law(name))) == bone_law(name)


def test_the_table_of_laws_shows_the_spread_at_80_mg():
    table = {row["name"]: row for row in laws_table()}

    assert set(table) == set(BONE_LAWS) - {"custom"}
    assert table["kopperdahl2002_power"]["young_mpa_at_80_mg_cm3"] == "210"
    assert table["keller1994_spine"]["young_mpa_at_80_mg_cm3"].startswith("49 by les1994")
    assert table["morgan2003"]["young_mpa_at_80_mg_cm3"].startswith("543 by les1994")
    assert table["keaveny1997"]["strength"] == "none"
