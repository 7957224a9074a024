"""How people differ: spreads and correlations of sizes, T-score by age, and where each number comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.dimensions import check_between
from fesolver.anatomy.published import Source
from fesolver.anatomy.scaling import Sex
from fesolver.errors import InputError

__all__ = ["COHORT_SOURCES", "CohortSpread", "t_score_statistics"]

# Age at the middle of the decade, mean and standard deviation of L1-L4 areal density, g/cm2.
_ABMD: Mapping[str, NDArray[np.float64]] = MappingProxyType(
    {
        "female": np.array(
            [
                [25.5, 1.064, 0.106],
                [35.5, 1.065, 0.110],
                [45.5, 1.056, 0.134],
                [55.5, 0.993, 0.141],
                [65.5, 0.952, 0.142],
                [75.5, 0.902, 0.167],
            ]
        ),
        "male": np.array(
            [
                [25.5, 1.057, 0.110],
                [35.5, 1.042, 0.117],
                [45.5, 1.051, 0.129],
                [55.5, 1.053, 0.143],
                [65.5, 1.070, 0.142],
                [75.5, 1.068, 0.177],
            ]
        ),
    }
)
_REFERENCE_ABMD, _REFERENCE_SD = 1.047, 0.110

_GILSANZ = "Gilsanz et al. 1994, Radiology 190:678: section area 8.22 +- 1.09 (women) and 10.98 +- 1.25 cm2 (men)"
COHORT_SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        "width_cv": Source(f"{_GILSANZ}: half the coefficient of variation of the area, 0.066 and 0.057", "read"),
        "depth_cv": Source(f"{_GILSANZ}: half the coefficient of variation of the area, 0.066 and 0.057", "read"),
        "height_cv": Source("slightly less than the section's", "choice"),
        "disc_height_cv": Source("twice that of the bodies", "choice"),
        "width_depth_correlation": Source("bodies differ more in size than in shape", "choice"),
        "section_height_correlation": Source(
            "larger people have larger vertebrae in every direction; the spread of volumes in Gilsanz et al. 1994, "
            "under that of areas, would make it negative and is not followed",
            "choice",
        ),
        "disc_body_correlation": Source("a thick disc goes with a large body, loosely", "choice"),
        "level_cv": Source("what single levels scatter about their spine, per dimension", "choice"),
        "concavity_cv": Source("hollows vary more than sizes; alike over one spine", "choice"),
        "fraction_female": Source("vertebral fractures are commoner in women", "choice"),
        "age_years": Source("uniform over the ages at which vertebrae fracture", "choice"),
        "t_score": Source(
            "NHANES 2005-08 areal density L1-L4 by age and sex (mean and SD of each decade, linear between their "
            "middles, constant beyond); T = (aBMD - 1.047) / 0.110, the Hologic reference for women, for both sexes",
            "read (NHANES); recalled, high (reference)",
        ),
        "density": Source(
            "0.1467 + 0.0267 T g/cm3, which matches clinical cut-offs, with a normal spread of 0.030 about it, cut at "
            "0.0145: the least of 48 lumbar cores (BMC Musculoskelet Disord 2021, s12891-021-04571-4: 14.5 to "
            "137.8 mg/ml)",
            "choice; read (least density)",
        ),
        "degeneration": Source(
            "latent score that rises by one grade per `years_per_grade` after `onset_years`, with its spread, of which "
            "`shared_degeneration` of the variance is common to the spine",
            "choice",
        ),
    }
)
"""Source and standing of every spread of `CohortSpread` and of what `random_cohort` draws."""


@dataclass(frozen=True)
class CohortSpread:
    """How people differ; `COHORT_SOURCES` says where each number comes from.

    Parameters
    ----------
    width_cv, depth_cv, height_cv, disc_height_cv : float
        Coefficient of variation of the factor on all widths, depths, heights and disc heights of one spine.
    width_depth_correlation, section_height_correlation, disc_body_correlation : float
        Correlation of the logarithms of these factors: width with depth; either with height; disc height with all
        three.
    level_cv : float
        Coefficient of variation of each width, depth, height and disc height of one level about that.
    concavity_cv : float
        Coefficient of variation of the depth of endplates, one factor per spine.
    fraction_female : float
        Share of women.
    age_years : tuple of float
        Youngest and oldest; uniform between.
    onset_years, years_per_grade, degeneration_sd, shared_degeneration : float
        Mean degeneration score (age - onset) / years per grade, standard deviation of the score, and share of its
        variance that is common to the discs of one spine.

    Raises
    ------
    InputError
        If a number is outside its range, or the correlations do not go together.
    """

    width_cv: float = 0.06
    depth_cv: float = 0.06
    height_cv: float = 0.05
    disc_height_cv: float = 0.10
    width_depth_correlation: float = 0.8
    section_height_correlation: float = 0.4
    disc_body_correlation: float = 0.3
    level_cv: float = 0.01
    concavity_cv: float = 0.25
    fraction_female: float = 0.8
    age_years: tuple[float, float] = (50.0, 85.0)
    onset_years: float = 40.0
    years_per_grade: float = 20.0
    degeneration_sd: float = 0.8
    shared_degeneration: float = 0.5

    def __post_init__(self) -> None:
        for name in ("width_cv", "depth_cv", "height_cv", "disc_height_cv", "level_cv", "concavity_cv"):
            check_between(name, getattr(self, name), 0.0, 0.5, "")
        for name in ("width_depth_correlation", "section_height_correlation", "disc_body_correlation"):
            check_between(name, getattr(self, name), -1.0, 1.0, "")
        for name in ("fraction_female", "shared_degeneration"):
            check_between(name, getattr(self, name), 0.0, 1.0, "")
        check_between("degeneration_sd", self.degeneration_sd, 0.0, 5.0, "")
        check_between("years_per_grade", self.years_per_grade, 1.0, 200.0, "years")
        check_between("onset_years", self.onset_years, 0.0, 120.0, "years")
        for age in self.age_years:
            check_between("age_years", age, 20.0, 110.0, "years")
        if self.age_years[0] > self.age_years[1]:
            raise InputError(f"age_years = {self.age_years} has its younger end last")
        if np.linalg.eigvalsh(self.correlation())[0] < -1e-12:
            raise InputError(
                "the correlations of width, depth, height and disc height do not go together",
                fix="bring section_height_correlation or disc_body_correlation closer to 0",
            )

    def correlation(self) -> NDArray[np.float64]:
        """Correlation of the logarithms of the factors on (width, depth, height, disc height), (4, 4)."""
        wd, sh, db = self.width_depth_correlation, self.section_height_correlation, self.disc_body_correlation
        return np.array([[1.0, wd, sh, db], [wd, 1.0, sh, db], [sh, sh, 1.0, db], [db, db, db, 1.0]])


def t_score_statistics(age_years: float, sex: Sex) -> tuple[float, float]:
    """Mean and standard deviation of the lumbar T-score at an age.

    Parameters
    ----------
    age_years : float
        Age; linear between the middles of decades, constant before 25.5 and after 75.5 years.
    sex : {"female", "male"}
        Whose densities; the reference of the T-score is the women's for both.

    Returns
    -------
    tuple of float
        Mean and standard deviation, dimensionless.

    References
    ----------
    .. [1] NHANES 2005-08, areal density of L1 to L4 by age and sex, PMC12995607, table 3.

    Examples
    --------
    >>> mean, sd = t_score_statistics(65.5, "female")
    >>> round(mean, 2), round(sd, 2)
    (-0.86, 1.29)
    """
    if sex not in _ABMD:
        raise InputError(f"unknown sex {sex!r}", fix="use female or male")
    ages, means, deviations = _ABMD[sex].T
    mean, deviation = float(np.interp(age_years, ages, means)), float(np.interp(age_years, ages, deviations))
    return (mean - _REFERENCE_ABMD) / _REFERENCE_SD, deviation / _REFERENCE_SD
