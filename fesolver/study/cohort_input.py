"""A member of a random cohort as the input of a parametric study, and what was drawn for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from fesolver.errors import InputError
from fesolver.study.schema import CohortTable, ParametricInput, RecipeTable, StudyConfig

if TYPE_CHECKING:
    from fesolver.anatomy.cohort import CohortMember
    from fesolver.anatomy.cohort_spread import CohortSpread

__all__ = ["cohort_covariates", "cohort_member", "disc_grades", "member_table", "member_text"]


def cohort_member(config: StudyConfig) -> CohortMember | None:
    """The member of the cohort that a study is made from; None where it is made from none.

    Raises
    ------
    InputError
        If a level has no published dimensions, or the ages are no ages.
    """
    if not isinstance(config.input, ParametricInput) or config.input.cohort is None:
        return None
    table = config.input.cohort
    try:
        return _drawn(table.seed, table.member, table.sex, table.age_years, config.segment.levels)
    except InputError as error:
        raise InputError(error.what, where=error.where or "[input] cohort", fix=error.fix) from error


def cohort_covariates(config: StudyConfig) -> dict[str, float | str]:
    """What was drawn for the member that a study is made from, for the table of results; empty without a cohort.

    Returns
    -------
    dict
        `member_age_years`, `member_sex`, `member_t_score`, `member_density_g_cm3`; `member_width_factor` and the like,
        of this spine on its sex's mean; `member_disc_grade_L1-L2` of each disc, 0 (none) to 3 (severe).

    Notes
    -----
    These are the draws. Dimensions, grades and changes of density that the study gives act after them.
    """
    from fesolver.bone.degeneration import GEOMETRY_GRADES

    member = cohort_member(config)
    if member is None:
        return {}
    out: dict[str, float | str] = {
        "member_age_years": member.age_years,
        "member_sex": member.sex,
        "member_t_score": member.t_score,
        "member_density_g_cm3": member.density_g_cm3,
    }
    out |= {f"member_{name}_factor": value for name, value in member.size_factors.items()}
    grades = member.recipe.degeneration
    return out | {f"member_disc_grade_{name}": float(GEOMETRY_GRADES.index(grade)) for name, grade in grades.items()}


def disc_grades(config: StudyConfig) -> Mapping[str, str]:
    """Degeneration grade of the discs: the study's own, and the member's for the others."""
    member = cohort_member(config)
    own = config.disc.degeneration
    return own if member is None else {**member.recipe.degeneration, **own}


def member_table(given: ParametricInput, member: CohortMember) -> RecipeTable:
    """The table of a study with the sex, dimensions and density of a member; single dimensions of the study stay."""
    recipe = member.recipe
    bodies, discs = (
        {owner: {**drawn.get(owner, {}), **own.get(owner, {})} for owner in (*drawn, *own)}
        for drawn, own in ((recipe.dimensions, given.dimensions), (recipe.discs, given.discs))
    )
    return given.model_copy(
        update={
            "cohort": None,
            "sex": member.sex,
            "density_g_cm3": member.density_g_cm3,
            "dimensions": bodies,
            "discs": discs,
        }
    )


def member_text(table: CohortTable, member: CohortMember) -> str:
    """Who was drawn, in words."""
    sizes = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in member.size_factors.items())
    return (
        f"member {table.member} of the random cohort of seed {table.seed}: {member.sex}, {member.age_years:.0f} years, "
        f"T-score {member.t_score:.2f}; sizes over the mean of the sex: {sizes}; dimensions are drawn, not published"
    )


@lru_cache(maxsize=64)
def _drawn(
    seed: int, member: int, sex: str | None, age_years: tuple[float, float] | None, levels: tuple[str, ...]
) -> CohortMember:
    """One member, from its number and the seed alone."""
    from fesolver.anatomy.cohort import member_of_cohort

    return member_of_cohort(member, seed, levels, _spread(sex, age_years))


def _spread(sex: str | None, age_years: tuple[float, float] | None) -> CohortSpread:
    """How people differ, of one sex or of some ages."""
    from fesolver.anatomy.cohort_spread import CohortSpread

    spread = CohortSpread() if sex is None else CohortSpread(fraction_female=1.0 if sex == "female" else 0.0)
    return spread if age_years is None else replace(spread, age_years=age_years)
