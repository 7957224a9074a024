"""Changes and their floors, bands, and the registry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fesolver.errors import InputError
from fesolver.outcomes.band_hypotheses import BAND_HYPOTHESES
from fesolver.outcomes.bands import BANDS, check_bands
from fesolver.outcomes.change import changes
from fesolver.outcomes.registry import OUTCOMES, evaluate, required_solves, select_outcomes
from fesolver.outcomes.state import OutcomeSettings, Value

YOUNG = {"trabecular": 200.0, "cortical": 8000.0, "annulus": 8.0, "nucleus": 2.0}


def values(**numbers):
    return [Value("L1", quantity, number) for quantity, number in numbers.items()]


def test_a_change_is_treated_minus_intact_in_percent_of_the_intact_magnitude():
    (one,) = changes(values(stress_mpa=-2.0), values(stress_mpa=-2.5))

    assert (one.change, one.change_percent) == (-0.5, -25.0)  # more compression: a negative change


def test_the_floor_is_the_difference_of_the_change_not_of_the_numbers():
    (one,) = changes(
        values(k_n_per_mm=100.0),
        values(k_n_per_mm=101.0),
        coarse_tolerance_pair=(values(k_n_per_mm=90.0), values(k_n_per_mm=91.25)),
        spacing_pair=(values(k_n_per_mm=120.0), values(k_n_per_mm=122.5)),
    )

    assert (one.floor_solver, one.floor_spacing) == (0.25, 1.5)
    assert not one.is_resolved  # 1.0 lies over the first floor and under the second


def test_a_change_with_no_known_floor_is_not_called_resolved():
    (one,) = changes(values(k_n_per_mm=100.0), values(k_n_per_mm=200.0))

    assert one.floor_solver is None
    assert one.floor_spacing is None
    assert not one.is_resolved


def test_no_change_over_a_floor_of_zero_is_not_resolved():
    same = values(k_n_per_mm=3.0)

    (one,) = changes(same, same, coarse_tolerance_pair=(same, same))

    assert one.floor_solver == 0.0
    assert not one.is_resolved


def test_numbers_of_one_state_alone_are_left_out_and_missing_floors_are_none():
    result = changes(
        values(a_mm=1.0, b_mm=2.0),
        values(b_mm=3.0, cement_mpa=1.0),
        coarse_tolerance_pair=(values(b_mm=2.0), values(b_mm=3.0)),
        spacing_pair=(values(a_mm=1.0), values(a_mm=1.0)),
    )

    assert [(one.quantity, one.floor_solver, one.floor_spacing) for one in result] == [("b_mm", 0.0, None)]


def test_a_floor_that_was_asked_for_and_is_missing_leaves_the_change_unresolved():
    before, after = values(a_mm=1.0, b_mm=1.0), values(a_mm=2.0, b_mm=2.0)

    a, b = changes(
        before, after, coarse_tolerance_pair=(before, after), spacing_pair=(values(a_mm=1.0), values(a_mm=2.0))
    )

    assert a.is_resolved
    assert b.floor_spacing is None
    assert not b.is_resolved


def test_the_imbalance_of_cuts_has_no_change():
    (one,) = changes(values(a=1.0, cut_imbalance=1e-9), values(a=2.0, cut_imbalance=2e-9))

    assert one.quantity == "a"


def test_percent_of_nothing_is_none():
    (one,) = changes(values(f=0.0), values(f=0.1))

    assert one.change_percent is None


def test_states_with_nothing_in_common_or_a_number_twice_are_refused():
    with pytest.raises(InputError, match="share none"):
        changes(values(a=1.0), values(b=1.0))
    with pytest.raises(InputError, match="twice"):
        changes([*values(a=1.0), *values(a=2.0)], values(a=1.0))


def test_bands_choose_the_annulus_they_speak_about():
    ours = [Value("L1-L2", "nucleus_pressure_over_mean_pressure", 1.1)]

    without = check_bands(ours, has_fibres=False)
    with_fibres = check_bands(ours, has_fibres=True)

    assert [(c.low, c.is_inside) for c in without] == [(1.0, True), (1.3, False)]
    assert [(c.low, c.is_inside) for c in with_fibres] == [(1.15, False), (1.3, False)]


def test_changes_are_held_against_bands_of_change_only():
    intact, treated = [Value("L1-L2", "nucleus_pressure_mpa", 1.0)], [Value("L1-L2", "nucleus_pressure_mpa", 1.005)]

    (check,) = check_bands(
        intact,
        changes(intact, treated),
        has_fibres=True,
        treated_level="L1",
        hypotheses={"nucleus_pressure_mpa_change_percent": "cement ends below the endplate"},
    )

    assert check.quantity == "nucleus_pressure_mpa_change_percent"
    assert check.ours == pytest.approx(0.5)
    assert not check.is_inside
    assert check.hypothesis == "cement ends below the endplate"


@pytest.mark.parametrize(("treated", "expected"), [("L1", ["T12-L1", "L1-L2"]), ("L3", []), ("T1", []), (None, [])])
def test_the_change_of_disc_pressure_is_held_against_its_band_beside_the_treated_vertebra_only(treated, expected):
    """L1 bounds T12-L1 and L1-L2 alone; T1 is no part of T12-L1."""
    names = ["T12-L1", "L1-L2", "L2-L4"]
    intact = [Value(name, "nucleus_pressure_mpa", 1.0) for name in names]
    moved = [Value(name, "nucleus_pressure_mpa", 1.1) for name in names]

    checks = check_bands(intact, changes(intact, moved), has_fibres=True, treated_level=treated)

    assert [check.level for check in checks] == expected


def test_every_shipped_hypothesis_belongs_to_a_band_and_says_where_it_was_tested():
    assert check_bands([], has_fibres=True, hypotheses=BAND_HYPOTHESES) == ()  # refuses unknown names
    for text in BAND_HYPOTHESES.values():
        assert "Hypothesis: " in text
        assert "Tested" in text
        assert "demo" in text
        assert any(verdict in text.lower() for verdict in ("confirmed", "refuted"))


def test_a_hypothesis_is_shown_only_where_the_number_is_outside():
    ours = [Value("L1", "disc_stiffness_n_per_mm", 1000.0), Value("L2", "disc_stiffness_n_per_mm", 9000.0)]

    checks = check_bands(ours, has_fibres=True, hypotheses={"disc_stiffness_n_per_mm": "too thin"})

    assert [(c.level, c.hypothesis) for c in checks] == [("L1", ""), ("L2", "too thin")]
    with pytest.raises(InputError, match="no band"):
        check_bands(ours, has_fibres=True, hypotheses={"stiffness": "typo"})


def test_every_band_states_a_known_standing_and_a_range():
    for band in BANDS:
        assert band.low < band.high
        assert band.standing in {"P", "M-H", "M-M", "M-L", "calc", "trial"}
        assert band.source


def test_only_strength_asks_for_isolated_solves():
    assert required_solves(OUTCOMES.values()) == ("segment", "isolated")
    assert required_solves(o for o in OUTCOMES.values() if o.name != "strength") == ("segment",)
    assert required_solves([]) == ()


def test_all_outcomes_of_a_solved_segment_are_finite_unique_and_cover_every_part(column, solved_state):
    wide = replace(column, n=8, heights=(8, 2, 8))
    mesh = wide.mesh()
    state = solved_state(mesh, wide.elasticity(mesh, YOUNG, poisson=0.3), top="tilt")
    alone = replace(wide, heights=(4,))
    body = solved_state(alone.mesh(), alone.elasticity(alone.mesh(), YOUNG, poisson=0.3))
    isolated = {"L1": body, "L2": replace(body, mesh=renamed(body.mesh, "L1", "L2"))}

    results = evaluate(select_outcomes(), state, isolated, OutcomeSettings())

    assert all(np.isfinite(v.value) for v in results)
    assert {v.level for v in results} == {"segment", "L1", "L1-L2", "L2"}
    assert len({(v.level, v.quantity) for v in results}) == len(results)


def renamed(mesh, old, new):
    def swap(names):
        return {name.replace(old, new): value for name, value in names.items()}

    return replace(
        mesh, regions=swap(mesh.regions), surfaces=swap(mesh.surfaces), frames=swap(mesh.frames), levels=(new,)
    )


def test_outcomes_that_need_isolated_solves_say_so(column, solved_state):
    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG))

    with pytest.raises(InputError, match="strength needs the isolated solves"):
        evaluate(select_outcomes(["strength"]), state)


def test_unknown_outcomes_are_refused_with_the_known_ones():
    with pytest.raises(InputError, match="'stifness'") as caught:
        select_outcomes(["stifness"])

    assert "stiffness" in caught.value.fix


def test_two_outcomes_may_not_give_the_same_number(column, solved_state):
    mesh = column.mesh()
    state = solved_state(mesh, column.elasticity(mesh, YOUNG))

    with pytest.raises(InputError, match="two outcomes"):
        evaluate([OUTCOMES["energy"], OUTCOMES["energy"]], state)
