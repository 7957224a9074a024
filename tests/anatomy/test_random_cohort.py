"""Random cohorts: moments and correlations within sampling error, and draws that depend on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import kstest, truncnorm

from fesolver.anatomy.cohort import random_cohort
from fesolver.anatomy.cohort_spread import COHORT_SOURCES, CohortSpread, t_score_statistics
from fesolver.anatomy.dimensions import vertebra_dimensions
from fesolver.anatomy.scaling import scaled
from fesolver.anatomy.t_score import t_score_density
from fesolver.errors import InputError

N = 1500
SIZES = ("width", "depth", "height", "disc_height")


@pytest.fixture(scope="module")
def cohort():
    return random_cohort(N, seed=11, levels=("L1", "L2"))


def test_a_case_is_the_same_whatever_the_size_of_the_cohort(cohort):
    assert random_cohort(3, seed=11, levels=("L1", "L2")) == cohort[:3]


def test_a_level_is_the_same_whatever_stands_beside_it():
    few, many = (
        random_cohort(4, seed=3, levels=("L1", "L2")),
        random_cohort(4, seed=3, levels=("T12", "L1", "L2", "L3")),
    )

    for a, b in zip(few, many, strict=True):
        assert a.recipe.dimensions["L1"] == b.recipe.dimensions["L1"]
        assert a.recipe.discs["L1-L2"] == b.recipe.discs["L1-L2"]
        assert a.recipe.degeneration["L1-L2"] == b.recipe.degeneration["L1-L2"]
        assert (a.t_score, a.density_g_cm3) == (b.t_score, b.density_g_cm3)


def test_one_spread_changes_what_it_names_and_nothing_else():
    a, b = (random_cohort(5, seed=3, spread=CohortSpread(width_cv=cv)) for cv in (0.06, 0.02))

    for before, after in zip(a, b, strict=True):
        assert before.size_factors["width"] != after.size_factors["width"]
        assert [before.size_factors[n] for n in SIZES[1:]] == [after.size_factors[n] for n in SIZES[1:]]
        assert (before.age_years, before.t_score, before.sex) == (after.age_years, after.t_score, after.sex)


def test_other_seeds_give_other_people():
    assert random_cohort(1, seed=1)[0].age_years != random_cohort(1, seed=2)[0].age_years


def test_sizes_have_mean_one_and_the_stated_spreads(cohort):
    factors = np.array([[m.size_factors[n] for n in (*SIZES, "concavity")] for m in cohort])
    cv = np.array([0.06, 0.06, 0.05, 0.10, 0.25])

    # Four standard errors of a mean and of a standard deviation of 1500 draws.
    assert_allclose(factors.mean(axis=0), 1.0, atol=4 * cv.max() / np.sqrt(N))
    assert np.all(np.abs(factors.mean(axis=0) - 1) < 4 * cv / np.sqrt(N))
    assert_allclose(factors.std(axis=0), cv, rtol=4 * 1.2 / np.sqrt(2 * N))


def test_logarithms_of_sizes_have_the_stated_correlations(cohort):
    logs = np.log([[m.size_factors[n] for n in SIZES] for m in cohort])
    expected = CohortSpread().correlation()

    # Standard error of a correlation: (1 - rho^2) / sqrt(n); four of them.
    assert np.all(np.abs(np.corrcoef(logs.T) - expected) <= 4 * (1 - expected**2) / np.sqrt(N) + 1e-12)


def test_dimensions_of_a_level_are_those_of_its_sex_times_size_and_a_little_of_its_own(cohort):
    means = {sex: scaled(vertebra_dimensions("L1"), sex=sex) for sex in ("female", "male")}
    own = np.array(
        [
            m.recipe.dimensions["L1"]["superior_width_mm"] / means[m.sex].superior_width_mm / m.size_factors["width"]
            for m in cohort
        ]
    )

    assert own.mean() == pytest.approx(1, abs=4 * 0.01 / np.sqrt(N))
    assert own.std() == pytest.approx(0.01, rel=4 / np.sqrt(2 * N))


def test_t_scores_follow_age_and_sex(cohort):
    z = []
    for m in cohort:
        mean, sd = t_score_statistics(m.age_years, m.sex)
        z.append(truncnorm.cdf(m.t_score, (-5 - mean) / sd, (5 - mean) / sd, mean, sd))

    # Their own distribution turns them into uniform numbers.
    assert kstest(z, "uniform").pvalue > 0.001


def test_t_scores_of_older_women_are_those_of_nhanes():
    # aBMD 0.993 (0.141) at 51 to 60 and 0.902 (0.167) at 71 to 80 years; reference 1.047 (0.110).
    assert t_score_statistics(55.5, "female") == pytest.approx((-0.054 / 0.110, 0.141 / 0.110))
    assert t_score_statistics(80.0, "female") == pytest.approx((-0.145 / 0.110, 0.167 / 0.110))
    assert t_score_statistics(60.5, "male")[0] == pytest.approx((0.5 * (1.053 + 1.070) - 1.047) / 0.110)


def test_density_scatters_about_that_of_the_t_score_by_its_uncertainty(cohort):
    z = []
    for m in cohort:
        about = t_score_density(m.t_score)
        mean, sd = about.mean, about.standard_uncertainty
        z.append(truncnorm.cdf(m.density_g_cm3, (0.0145 - mean) / sd, (0.5 - mean) / sd, mean, sd))
        assert m.recipe.density.mean_g_cm3 == m.density_g_cm3

    assert kstest(z, "uniform").pvalue > 0.001


def test_ages_and_sexes_are_as_stated(cohort):
    ages = np.array([m.age_years for m in cohort])

    assert np.mean([m.sex == "female" for m in cohort]) == pytest.approx(0.8, abs=4 * 0.4 / np.sqrt(N))
    assert kstest((ages - 50) / 35, "uniform").pvalue > 0.001


def test_discs_degenerate_with_age_and_alike_in_one_spine():
    rank = {"none": 0, "mild": 1, "moderate": 2, "severe": 3}
    members = random_cohort(600, seed=5, levels=("L1", "L2", "L3"))
    grades = np.array([[rank[g] for g in m.recipe.degeneration.values()] for m in members])
    ages = np.array([m.age_years for m in members])

    # One grade in 20 years; the ends of the scale flatten the slope.
    slope = np.polyfit(ages, grades.mean(axis=1), 1)[0]
    assert 0.6 / 20 < slope < 1.05 / 20
    left = grades - np.polyval(np.polyfit(ages, grades.mean(axis=1), 1), ages)[:, None]
    assert 0.25 < np.corrcoef(left.T)[0, 1] < 0.6  # half of the variance is shared; rounding to grades takes some


def test_every_recipe_of_a_cohort_makes_a_column():
    for member in random_cohort(40, seed=2, levels=("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")):
        assert len(member.recipe.column().vertebrae) == 8


def test_every_spread_has_a_source():
    numbers = {
        "width_cv",
        "depth_cv",
        "height_cv",
        "disc_height_cv",
        "level_cv",
        "concavity_cv",
        "fraction_female",
        "width_depth_correlation",
        "section_height_correlation",
        "disc_body_correlation",
        "age_years",
    }

    assert numbers <= set(COHORT_SOURCES)
    assert all(source.citation and source.standing for source in COHORT_SOURCES.values())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random_cohort(-1, 0), "n is -1, not a whole number"),
        (lambda: random_cohort(2, 1.5), "seed is 1.5, not a whole number"),
        (lambda: random_cohort(1, 0, ("C7", "T1")), "no published dimensions for C7"),
        (lambda: random_cohort(1, 0, ("L1", "L3")), "not neighbours"),
        (lambda: CohortSpread(width_cv=6.0), "width_cv = 6 is outside"),
        (lambda: CohortSpread(age_years=(80.0, 60.0)), "younger end last"),
        (lambda: CohortSpread(width_depth_correlation=-0.9, section_height_correlation=0.9), "do not go together"),
        (lambda: t_score_statistics(60.0, "other"), "unknown sex 'other'"),
    ],
)
def test_cohorts_that_make_no_sense_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
