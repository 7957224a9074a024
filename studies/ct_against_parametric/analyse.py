"""Outcomes of the parametric segment beside those of the CT, level by level, before and after the cement.

Usage: python studies/ct_against_parametric/analyse.py CT_FOLDER PARAMETRIC_FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from fesolver.study.results_table import factor_columns, outcome_columns, paired, results_table

QUANTITIES = (
    *("segment_stiffness_n_per_mm", "vertebra_stiffness_n_per_mm", "isolated_stiffness_n_per_mm"),
    *("disc_stiffness_n_per_mm", "nucleus_pressure_mpa", "nucleus_pressure_over_mean_pressure", "nucleus_load_share"),
    *("inferior_endplate_bulge_mm", "superior_endplate_bulge_mm", "shell_load_share_mid", "strain_energy_n_mm"),
    *("bone_volume_mm3", "disc_area_mm2", "superior_endplate_area_mm2", "inferior_endplate_area_mm2"),
)


def main(ct_folder: Path, parametric_folder: Path) -> None:
    """Write `beside_ct.csv` into the parametric folder: one row per case, level and quantity."""
    ct, parametric = results_table(ct_folder), results_table(parametric_folder)
    rows = []
    for name in outcome_columns(ct):
        state, level, quantity = name.split("/", 2)
        if state != "intact" or quantity not in QUANTITIES or name not in parametric:
            continue
        one, others = paired(ct, level, quantity).iloc[0], paired(parametric, level, quantity)
        for _, other in others.iterrows():
            rows.append(
                {name: other[name] for name in factor_columns(parametric)}
                | {"level": level, "quantity": quantity}
                | {f"{k}_ct": one[k] for k in ("intact", "change", "floor_spacing")}
                | {f"{k}_parametric": other[k] for k in ("intact", "change", "floor_spacing")}
            )
    found = pd.DataFrame(rows)
    found["intact_percent"] = 100.0 * (found["intact_parametric"] / found["intact_ct"] - 1.0)
    resolved = [np.abs(found[f"change_{side}"]) > found[f"floor_spacing_{side}"] for side in ("ct", "parametric")]
    found["both_resolved"] = resolved[0] & resolved[1]
    found.to_csv(parametric_folder / "beside_ct.csv", index=False)
    first = found.drop_duplicates(["level", "quantity"]).drop(columns=factor_columns(parametric))
    print(first.to_string(index=False, float_format="{:.4g}".format))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
