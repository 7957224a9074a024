"""How far an error of the calibration spreads the outcomes, and which of its two parts does it.

Usage: python studies/calibration_error/analyse.py RESULT_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from fesolver.study.explain.sensitivity import standardised_regression
from fesolver.study.explain.statistics import summarise
from fesolver.study.results_table import results_table

QUANTITIES = (
    ("segment", "segment_stiffness_n_per_mm"),
    ("L1", "vertebra_stiffness_n_per_mm"),
    ("T12-L1", "nucleus_pressure_mpa"),
    ("L1-L2", "nucleus_pressure_mpa"),
    ("T12", "inferior_endplate_bulge_mm"),
    ("L2", "superior_endplate_bulge_mm"),
    ("T12", "strain_energy_n_mm"),
    ("L2", "strain_energy_n_mm"),
)
FACTORS = ("slope", "intercept")


def main(folder: Path) -> None:
    """Write `calibration.csv`: spread of every outcome, and the standardised coefficients of slope and intercept."""
    table = results_table(folder)
    columns = [f"{state}/{level}/{name}" for level, name in QUANTITIES for state in ("intact", "treated", "change")]
    found = summarise(table, columns, is_sample=True)[["column", "n", "n_failed", "mean", "sd", "min", "max"]]
    found.insert(5, "sd_percent", 100.0 * found["sd"] / found["mean"].abs())
    parts = []
    for column in columns:
        fitted = standardised_regression(table, FACTORS, column).set_index("factor")
        parts.append(
            {f"src_{name}": fitted["src"][name] for name in FACTORS} | {"r_squared": fitted["r_squared"].iloc[0]}
        )
    joined = pd.concat([found, pd.DataFrame(parts)], axis=1)
    joined.to_csv(folder / "calibration.csv", index=False)
    print(joined.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
