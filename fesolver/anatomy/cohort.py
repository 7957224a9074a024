"""Seeded random cohorts of parametric segments: sizes, density and discs that vary together.

Every draw of a case has its own `SeedSequence(seed, spawn_key=(case, purpose))`: case k is the same whatever else is
drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from fesolver.anatomy.cohort_spread import CohortSpread, t_score_statistics
from fesolver.anatomy.density_fields import PatternedDensity
from fesolver.anatomy.dimensions import LEVELS_WITH_DIMENSIONS, disc_dimensions, vertebra_dimensions
from fesolver.anatomy.levels import disc_name, sort_levels
from fesolver.anatomy.recipe import SpineRecipe
from fesolver.anatomy.scaling import Sex, scaled
from fesolver.anatomy.t_score import t_score_density
from fesolver.bone.degeneration import GEOMETRY_GRADES
from fesolver.errors import InputError

__all__ = ["CohortMember", "member_of_cohort", "random_cohort"]

# Purpose numbers in `SeedSequence(seed, spawn_key=(case, purpose))`; a number is never given to anything else.
_PERSON, _SIZE, _LEVELS, _HOLLOWS, _T_SCORE, _DENSITY, _DISCS = range(7)

_SIZES = ("width", "depth", "height", "disc_height")
_WIDTHS = ("superior_width_mm", "inferior_width_mm")
_DEPTHS = ("superior_depth_mm", "inferior_depth_mm")
_HEIGHTS = ("posterior_height_mm", "anterior_height_mm")
_T_LIMIT = 5.0
_LEAST_DENSITY, _MOST_DENSITY = 0.0145, 0.5


@dataclass(frozen=True)
class CohortMember:
    """One case of a cohort.

    Parameters
    ----------
    case : int
        Its number, from 0.
    sex : {"female", "male"}
    age_years : float
    t_score : float
        Drawn for age and sex.
    density_g_cm3 : float
        Mean density of every body, g/cm3 (`rho_qct`), drawn about that of the T-score.
    size_factors : mapping of str to float
        Factor of this spine on the sex's mean `width`, `depth`, `height`, `disc_height` and `concavity`.
    recipe : SpineRecipe
        The segment.
    """

    case: int
    sex: Sex
    age_years: float
    t_score: float
    density_g_cm3: float
    size_factors: Mapping[str, float]
    recipe: SpineRecipe = field(repr=False)


def random_cohort(
    n: int, seed: int, levels: Sequence[str] = ("T12", "L1", "L2"), *, spread: CohortSpread | None = None
) -> tuple[CohortMember, ...]:
    """Random segments of one cohort.

    Parameters
    ----------
    n : int
        How many.
    seed : int
        The same seed gives the same cases; a longer cohort begins with the shorter one.
    levels : sequence of str, optional
        Consecutive levels, T10 to L5. A level has the same dimensions whatever others stand beside it.
    spread : CohortSpread, optional
        How people differ.

    Returns
    -------
    tuple of CohortMember
        In order of their number.

    Raises
    ------
    InputError
        If `n` or `seed` is not a whole number of 0 or more, or a level has no published dimensions.

    Notes
    -----
    The factors on widths, depths, heights and disc heights of a spine are jointly lognormal with mean 1. T-scores are
    normal for age and sex, cut at -5 and 5; density is normal about `density_from_t_score` with its standard
    uncertainty, cut at 0.0145 g/cm3, which raises the mean where T is very low. A disc's grade is its latent score
    rounded to 0 (none) to 3 (severe).

    Examples
    --------
    >>> [member.case for member in random_cohort(3, seed=1)]
    [0, 1, 2]
    """
    for name, value in (("n", n), ("seed", seed)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
            raise InputError(f"{name} is {value!r}, not a whole number of 0 or more")
    spread = CohortSpread() if spread is None else spread
    ordered = sort_levels(levels)
    return tuple(member_of_cohort(case, int(seed), ordered, spread) for case in range(int(n)))


def member_of_cohort(case: int, seed: int, levels: tuple[str, ...], spread: CohortSpread) -> CohortMember:
    """One case of a cohort from its number and the seed alone, as `random_cohort` has it; levels cranial first."""
    person = _stream(seed, case, _PERSON)
    sex: Sex = "female" if person.uniform() < spread.fraction_female else "male"
    age = float(person.uniform(*spread.age_years))
    factors = _size_factors(seed, case, spread)
    mean, deviation = t_score_statistics(age, sex)
    t_score = _truncated(_stream(seed, case, _T_SCORE), mean, deviation, -_T_LIMIT, _T_LIMIT)
    about = t_score_density(t_score)
    density = _truncated(
        _stream(seed, case, _DENSITY), about.mean, about.standard_uncertainty, _LEAST_DENSITY, _MOST_DENSITY
    )
    dimensions, discs = _dimensions(seed, case, levels, sex, factors, spread)
    recipe = SpineRecipe(
        levels=levels,
        sex=sex,
        dimensions=dimensions,
        discs=discs,
        degeneration=_grades(seed, case, levels, age, spread),
        density=PatternedDensity(density),
        seed=seed,
    )
    return CohortMember(case, sex, age, t_score, density, MappingProxyType(factors), recipe)


def _stream(seed: int, case: int, purpose: int) -> np.random.Generator:
    """Random numbers of one case for one purpose."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(case, purpose)))


def _truncated(stream: np.random.Generator, mean: float, deviation: float, low: float, high: float) -> float:
    """One number of a normal distribution cut at both ends, from one uniform number."""
    p_low, p_high = ndtr((np.array([low, high]) - mean) / deviation)
    return float(np.clip(mean + deviation * ndtri(p_low + (p_high - p_low) * stream.uniform()), low, high))


def _lognormal(z: NDArray[np.float64], cv: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors of mean 1 and coefficient of variation cv from standard normal numbers."""
    variance = np.log1p(np.asarray(cv) ** 2)
    return np.asarray(np.exp(np.sqrt(variance) * z - 0.5 * variance))


def _size_factors(seed: int, case: int, spread: CohortSpread) -> dict[str, float]:
    """Factors of one spine on its sizes and on the depth of its endplates."""
    values, vectors = np.linalg.eigh(spread.correlation())
    root = vectors * np.sqrt(np.maximum(values, 0.0)) @ vectors.T
    z = root @ _stream(seed, case, _SIZE).standard_normal(4)
    cv = np.array([spread.width_cv, spread.depth_cv, spread.height_cv, spread.disc_height_cv])
    factors = {name: float(value) for name, value in zip(_SIZES, _lognormal(z, cv), strict=True)}
    hollow = _lognormal(_stream(seed, case, _HOLLOWS).standard_normal(1), spread.concavity_cv)
    return factors | {"concavity": float(hollow[0])}


def _dimensions(
    seed: int, case: int, levels: tuple[str, ...], sex: Sex, factors: Mapping[str, float], spread: CohortSpread
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, float]]]:
    """Replaced dimensions of bodies and discs: the sex's mean, times the spine's factor, times the level's own."""
    names = dict.fromkeys(_WIDTHS, "width") | dict.fromkeys(_DEPTHS, "depth") | dict.fromkeys(_HEIGHTS, "height")
    # Drawn for every level there is, so that a level does not depend on which others are asked for.
    own = _lognormal(
        _stream(seed, case, _LEVELS).standard_normal((len(LEVELS_WITH_DIMENSIONS), len(names) + 1)), spread.level_cv
    )
    bodies, discs = {}, {}
    for level in levels:
        row = own[LEVELS_WITH_DIMENSIONS.index(level)] if level in LEVELS_WITH_DIMENSIONS else np.ones(len(names) + 1)
        mean = scaled(vertebra_dimensions(level), sex=sex)
        bodies[level] = {
            n: getattr(mean, n) * factors[which] * float(row[i]) for i, (n, which) in enumerate(names.items())
        } | {n: getattr(mean, n) * factors["concavity"] for n in ("superior_concavity_mm", "inferior_concavity_mm")}
    for upper, lower in pairwise(levels):
        disc = scaled(disc_dimensions(upper, lower), sex=sex)
        factor = factors["disc_height"] * float(own[LEVELS_WITH_DIMENSIONS.index(upper), -1])
        discs[disc_name(upper, lower)] = {"height_mm": disc.height_mm * factor}
    return bodies, discs


def _grades(seed: int, case: int, levels: tuple[str, ...], age: float, spread: CohortSpread) -> dict[str, str]:
    """Degeneration grade of every disc of the segment."""
    z = _stream(seed, case, _DISCS).standard_normal(1 + len(LEVELS_WITH_DIMENSIONS))
    shared = spread.shared_degeneration
    mean = (age - spread.onset_years) / spread.years_per_grade
    grades = {}
    for upper, lower in pairwise(levels):
        own = z[1 + LEVELS_WITH_DIMENSIONS.index(upper)]
        score = mean + spread.degeneration_sd * (np.sqrt(shared) * z[0] + np.sqrt(1.0 - shared) * own)
        grades[disc_name(upper, lower)] = GEOMETRY_GRADES[int(np.clip(np.rint(score), 0, len(GEOMETRY_GRADES) - 1))]
    return grades
