"""Observed orders, limits and bands, on values whose law is known."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fesolver.errors import InputError
from fesolver.outcomes.convergence import convergence_study, observed_order


def study_of(law, sizes, **options):
    """The study of one quantity."""
    return convergence_study(lambda h: {"stiffness": law(h)}, sizes, **options).quantities["stiffness"]


@pytest.mark.parametrize("order", [0.5, 1.0, 2.0, 3.3, 4.0])
@pytest.mark.parametrize("sizes", [(4.0, 2.0, 1.0), (3.0, 2.0, 1.5), (2.0, 1.9, 0.7), (8.0, 4.0, 2.5, 1.0)])
def test_a_power_law_gives_back_its_order_and_limit_for_any_ratio_of_sizes(order, sizes):
    q = study_of(lambda h: 7.0 - 0.3 * h**order, sizes)

    assert q.behaviour == "monotone"
    assert q.order == pytest.approx(order, rel=1e-9)
    assert q.orders == pytest.approx([order] * (len(sizes) - 2), rel=1e-9)
    assert q.extrapolated == pytest.approx(7.0, rel=1e-12)
    # The band is 1.25 times the error of the finest value; the index of the next one likewise.
    assert q.uncertainty == pytest.approx(1.25 * 0.3 * sizes[-1] ** order, rel=1e-8)
    assert q.gci_fine == pytest.approx(q.uncertainty / q.values[-1], rel=1e-12)
    assert q.gci_medium == pytest.approx(1.25 * 0.3 * sizes[-2] ** order / abs(q.values[-2]), rel=1e-8)


RATIOS = st.floats(1.05, 4.0)


@given(order=st.floats(0.2, 6.0), fine=RATIOS, coarse=RATIOS, scale=st.sampled_from([-1e4, 1e-3]), swing=st.booleans())
def test_the_order_of_a_law_is_found_be_it_monotone_or_swinging(order, fine, coarse, scale, swing):
    sizes = (fine * coarse, fine, 1.0)
    signs = (1, -1, 1) if swing else (1, 1, 1)

    order_found = observed_order(*(s * scale * h**order for h, s in zip(sizes, signs, strict=True)), sizes=sizes)

    assert order_found == pytest.approx(order, rel=1e-8, abs=1e-8)  # differences lose digits as ratios near 1


def test_the_published_example_of_celik_is_met():
    """Reattachment length of their table 1, cells as 18000 : 8000 : 4500 in the plane; to the digits printed."""
    q = study_of(dict(zip((2.0, 1.5, 1.0), (5.863, 5.972, 6.063), strict=True)).__getitem__, (2.0, 1.5, 1.0))

    assert q.order == pytest.approx(1.53, abs=0.006)
    assert q.extrapolated == pytest.approx(6.1685, abs=6e-4)
    assert 100 * q.gci_fine == pytest.approx(2.2, abs=0.06)


def test_the_asymptotic_ratio_is_one_at_the_expected_order_and_two_at_one_less():
    ratios = [study_of(lambda h, p=p: 1.0 + h**p, (4.0, 2.0, 1.0)).asymptotic_ratio for p in (2.0, 1.0)]

    assert ratios == pytest.approx([1.0, 0.5])  # halving: differences shrink 4 times, or 2


def test_oscillating_values_get_half_their_range_and_no_limit():
    values = {4.0: 1.0 + 16.0, 2.0: 1.0 - 4.0, 1.0: 1.0 + 1.0}
    q = study_of(values.__getitem__, (4.0, 2.0, 1.0))

    assert q.behaviour == "oscillatory"
    assert q.order == pytest.approx(2.0)
    assert q.uncertainty == pytest.approx(10.0)
    assert q.gci_fine == pytest.approx(5.0)
    assert math.isnan(q.extrapolated)


@pytest.mark.parametrize("values", [(1.0, 1.1, 1.3), (1.0, 1.1, 0.8), (1.0, 1.0, 1.3)])
def test_differences_that_grow_are_divergent_and_give_no_band(values):
    q = study_of(dict(zip((4.0, 2.0, 1.0), values, strict=True)).__getitem__, (4.0, 2.0, 1.0))

    assert q.behaviour == "divergent"
    assert not q.order > 0.0
    assert math.isnan(q.uncertainty)
    assert math.isnan(q.extrapolated)


def test_a_constant_is_its_own_limit_and_noise_of_the_solver_is_no_order():
    q = study_of(lambda h: 5.0 * (1.0 + 1e-11 * math.sin(100 * h)), (4.0, 2.0, 1.0))

    assert q.behaviour == "constant"
    assert q.extrapolated == q.values[-1]
    assert q.uncertainty < 1e-9
    assert math.isnan(q.order)
    assert study_of(lambda h: 0.0, (2.0, 1.0)).gci_fine == 0.0


def test_two_sizes_assume_the_order_and_say_so_with_the_larger_factor():
    q = study_of(lambda h: 1.0 + h**2, (2.0, 1.0), safety=1.25, expected_order=2.0)

    assert q.behaviour == "two sizes"
    assert q.extrapolated == pytest.approx(1.0)
    assert q.uncertainty == pytest.approx(3.0)  # the error is 1
    assert math.isnan(q.asymptotic_ratio)


def test_the_table_has_every_quantity_and_no_nan():
    study = convergence_study(lambda h: {"stiffness": 2.0 + h**2, "pressure": -1.0}, (3.0, 2.0, 1.0))
    lines = study.to_text().splitlines()

    assert len(lines) == 3
    assert "2.00" in lines[1]
    assert lines[1].endswith("monotone")
    assert lines[2].endswith("constant")
    assert "nan" not in study.to_text()
    assert len({len(line.rsplit("  ", 1)[0]) for line in lines}) == 1


@pytest.mark.parametrize(
    ("sizes", "law", "message"),
    [
        ((1.0,), lambda h: {"a": h}, "two sizes or more"),
        ((1.0, 2.0), lambda h: {"a": h}, "descend"),
        ((2.0, 2.0), lambda h: {"a": h}, "descend"),
        ((2.0, 1.0, 0.0), lambda h: {"a": h}, "positive"),
        ((2.0, math.nan), lambda h: {"a": h}, "positive"),
        ((2.0, 1.0), lambda h: {"a": math.nan if h < 2 else 0.0}, r"(?s)a is nan.*size 1 mm"),
        ((2.0, 1.0), lambda h: {"a": 1.0} if h < 2 else {"b": 1.0}, r"differ from size to size: \['a', 'b'\]"),
        ((2.0, 1.0), lambda h: {}, "no quantity"),
    ],
)
def test_what_cannot_be_judged_is_refused(sizes, law, message):
    with pytest.raises(InputError, match=message):
        convergence_study(law, sizes)


def test_a_safety_factor_below_one_is_refused():
    with pytest.raises(InputError, match=r"safety 0\.5"):
        convergence_study(lambda h: {"a": h}, (2.0, 1.0), safety=0.5)
