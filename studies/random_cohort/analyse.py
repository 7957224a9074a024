"""What predicts the change at the neighbours in a random cohort: partial rank correlations, the strongest first.

Usage: python studies/random_cohort/analyse.py RESULT_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from fesolver.study.explain.sensitivity import index_convergence, prcc
from fesolver.study.explain.statistics import paired_differences
from fesolver.study.results_table import results_table
from fesolver.study.schema_design import DesignTable

NEIGHBOURS = (
    ("T12-L1", "nucleus_pressure_mpa"),
    ("L1-L2", "nucleus_pressure_mpa"),
    ("T12", "inferior_endplate_bulge_mm"),
    ("L2", "superior_endplate_bulge_mm"),
    ("T12", "strain_energy_n_mm"),
    ("L2", "strain_energy_n_mm"),
)
FEW = ("volume", "member_density_g_cm3", "member_width_factor", "disc_grade")
"""Covariates that 12 members can tell apart, and no more."""

MANY = (
    *("volume", "member_density_g_cm3", "member_age_years", "is_female", "disc_grade"),
    *("member_width_factor", "member_depth_factor", "member_height_factor"),
    *("member_disc_height_factor", "member_concavity_factor"),
)
"""Those of a large cohort. The T-score is left out: the density is drawn about it."""


def main(folder: Path) -> None:
    """Write `predictors.csv` and `changes_of_neighbours.csv`."""
    table = results_table(folder)
    grades = [name for name in table if name.startswith("member_disc_grade_")]
    table = table.assign(disc_grade=table[grades].mean(axis=1), is_female=1.0 * (table["member_sex"] == "female"))
    covariates = MANY if len(table) >= 10 * len(MANY) else FEW
    design = DesignTable(kind="latin_hypercube", n=len(table))
    parts, paired = [], []
    for level, quantity in NEIGHBOURS:
        column = f"change/{level}/{quantity}"
        found = prcc(table, covariates, column).assign(outcome=column)
        if len(table) >= 10 * len(covariates):
            settled = index_convergence(table, covariates, column, design, index="prcc")
            found["is_settled"] = settled.is_settled
        parts.append(found.iloc[found["prcc"].abs().argsort()[::-1]])
        paired.append(paired_differences(table, level, quantity, is_sample=True))
    ranked, changes = pd.concat(parts, ignore_index=True), pd.concat(paired, ignore_index=True)
    ranked.to_csv(folder / "predictors.csv", index=False)
    changes.to_csv(folder / "changes_of_neighbours.csv", index=False)
    print(ranked.to_string(index=False, float_format="{:.3g}".format), end="\n\n")
    shown = ["level", "quantity", "n", "n_failed", "intact_mean", "change_mean", "change_low", "change_high"]
    print(changes[[*shown, "percent_mean", "n_resolved"]].to_string(index=False, float_format="{:.3g}".format))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
