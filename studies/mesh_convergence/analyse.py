"""Order, limit and grid convergence index of the outcomes over refinements, floors of the changes, and the cost.

Usage: python studies/mesh_convergence/analyse.py RESULT_FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from fesolver.study.explain.grids import grid_convergence
from fesolver.study.results_table import results_table

QUANTITIES = (
    ("segment", "segment_stiffness_n_per_mm"),
    ("L1", "vertebra_stiffness_n_per_mm"),
    ("T12-L1", "nucleus_pressure_mpa"),
    ("L1-L2", "nucleus_pressure_mpa"),
    ("T12", "inferior_endplate_bulge_mm"),
    ("L2", "superior_endplate_bulge_mm"),
    ("T12", "inferior_endplate_trabecular_von_mises_stress_p95_mpa"),
    ("L2", "superior_endplate_trabecular_von_mises_stress_p95_mpa"),
    ("T12", "strain_energy_n_mm"),
    ("L2", "strain_energy_n_mm"),
)


def main(folder: Path) -> None:
    """Write `convergence.csv` and `cost.csv`."""
    table = results_table(folder)
    timings = json.loads((folder / "run.json").read_text(encoding="utf-8"))["timings"]
    table["seconds"] = [sum(timings[case].values()) if case in timings else float("nan") for case in table["case"]]
    outcomes = [f"{state}/{level}/{name}" for level, name in QUANTITIES for state in ("intact", "treated", "change")]
    found = grid_convergence(table, "refinement", outcomes, is_refinement=True, others=())
    found.table.to_csv(folder / "convergence.csv", index=False)
    found.costs.to_csv(folder / "cost.csv", index=False)
    columns = ["outcome", "value", "behaviour", "order", "extrapolated", "gci_fine", "floor", "is_resolved"]
    print(found.table[columns].to_string(index=False, float_format="{:.4g}".format), end="\n\n")
    print(found.costs.to_string(index=False, float_format="{:.3g}".format))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
