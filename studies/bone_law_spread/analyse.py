"""What the choice of a bone law makes of the answer, beside what the cement changes.

Usage: python studies/bone_law_spread/analyse.py RESULT_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from fesolver.study.explain.spread import spread_by_level
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


def main(folder: Path) -> None:
    """Write `law_spread.csv` (one row per outcome and combination of the other factors) and `laws.csv` (per law)."""
    table = results_table(folder)
    spreads, laws = [], []
    for level, quantity in QUANTITIES:
        name = f"{level}/{quantity}"
        percent = 100.0 * table[f"change/{name}"] / table[f"intact/{name}"].abs()
        with_percent = table.assign(**{f"change/{name}_percent": percent})
        for state, column in (("intact", f"intact/{name}"), ("change %", f"change/{name}_percent")):
            found = spread_by_level(with_percent, "law", column)
            spreads.append(found.by_combination.assign(outcome=name, of=state))
            laws.append(found.by_level.assign(outcome=name, of=state))
    for file, parts in (("law_spread.csv", spreads), ("laws.csv", laws)):
        joined = pd.concat(parts, ignore_index=True)
        joined.to_csv(folder / file, index=False)
    shown = pd.concat(spreads, ignore_index=True)
    front = ["outcome", "of", *(name for name in ("density", "volume") if name in shown)]
    columns = [*front, "n", "n_failed", "low", "median", "high", "high_over_low"]
    print(shown[columns].to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
