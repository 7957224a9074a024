"""What ligaments, facet joints and tension-only fibres change in the load shift of the demo.

    python studies/soft_connections/load_shift.py [--full] [--out DIR] [--loads NAME ...] [--variants NAME ...]
    python studies/soft_connections/load_shift.py --table      write the tables and the figure again from `results.json`

Five studies, the same mesh and cement, one `[connections]` table each, under four load cases. Coarse cells (refinement
0.5, solver floors only) by default; `--full` takes the files as they stand (refinement 1, the pair once more on cells
1.5 times as large). Writes `results.json`, the tables of README.md, and `load_shift.png` into the folder of `--out`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from soft_report import QUANTITIES, plot, write_readme

from fesolver.outcomes.change import Change
from fesolver.study.case import CaseResult, run_case
from fesolver.study.config import StudyConfig, study_from_dict
from fesolver.study.inputs import read_data
from fesolver.study.stages import Stages
from fesolver.study.toml_file import read_toml

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"

VARIANTS = ("none", "ligaments", "facets", "fibres", "all")
"""Files of this folder."""

_MOMENT = {"force_n": 0.0, "follower_n": 500.0, "top": "free"}
LOADS: dict[str, dict[str, Any]] = {
    "compression": {},
    "flexion": _MOMENT | {"flexion_nm": 7.5},
    "extension": _MOMENT | {"flexion_nm": -7.5},
    "rotation": _MOMENT | {"axial_rotation_nm": 7.5},
}
"""What replaces keys of `[load]`: nothing, or 7.5 Nm on a free top beside a follower load of 500 N."""

COARSE_REFINEMENT = 0.5

Record = dict[str, Any]
Stored = dict[str, dict[str, dict[str, Record]]]
"""Mesh to load case to variant to what is kept."""


def study(variant: str, load: str, *, is_full: bool) -> StudyConfig:
    """One variant under one load case."""
    path = HERE / f"{variant}.toml"
    tables = read_toml(path, "study")
    tables["load"] |= LOADS[load]
    if not is_full:
        tables["segment"]["refinement"] = COARSE_REFINEMENT
        tables["solver"]["floor"] = "solver"
    return study_from_dict(tables, source=str(path), base=HERE)


def record_of(result: CaseResult) -> Record:
    """What is kept of a case: the quantities of the tables, what connections carry, how the solves went."""
    moved = {(change.level, change.quantity): change for change in result.changes}
    kept = {f"{level} {quantity}": _numbers(moved[level, quantity]) for level, quantity in QUANTITIES
            if (level, quantity) in moved}  # fmt: skip
    problem = result.pair.intact.segment.problem
    carried = {
        f"{v.level} {v.quantity}": float(f"{v.value:.6g}")
        for v in result.intact
        if v.quantity.endswith(("_tension_n", "fibres_pulling_fraction")) or v.quantity.startswith("facet_force")
    }
    return {
        "unknowns": int(problem.points.size),
        "elements": sum(group.count for group in problem.connections),
        "quantities": kept,
        "carried": carried,
    }


def _numbers(change: Change) -> Mapping[str, float | None]:
    """Intact, treated, change and floors; seven digits, as the solver's tolerance leaves no more."""
    names = ("intact", "treated", "change", "floor_solver", "floor_spacing")
    found = {name: getattr(change, name) for name in names}
    return {name: None if value is None else float(f"{value:.7g}") for name, value in found.items()}


def save(stored: Stored) -> None:
    """`results.json`, one line per case."""
    lines = {
        mesh: ",\n".join(
            f'  "{load}": {{\n' + ",\n".join(f'   "{name}": {json.dumps(of)}' for name, of in cases.items()) + "\n  }"
            for load, cases in loads.items()
        )
        for mesh, loads in stored.items()
    }
    text = ",\n".join(f' "{mesh}": {{\n{of}\n }}' for mesh, of in lines.items())
    RESULTS.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


def main() -> None:
    """Run the cases and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="refinement 1 and both floors, instead of 0.5")
    parser.add_argument("--out", type=Path, default=Path("soft_connections"), help="folder of the figure")
    parser.add_argument("--loads", nargs="+", choices=tuple(LOADS), default=tuple(LOADS))
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--table", action="store_true", help="run nothing")
    given = parser.parse_args()
    stored: Stored = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    mesh = stored.setdefault("full" if given.full else "coarse", {})
    for load in () if given.table else given.loads:
        for variant in given.variants:
            start = time.perf_counter()
            config = study(variant, load, is_full=given.full)
            result = run_case(config, read_data(config), stages=Stages())
            mesh.setdefault(load, {})[variant] = record_of(result)
            save(stored)
            print(f"{load}, {variant}: {time.perf_counter() - start:.0f} s", flush=True)
    best = stored.get("full") or mesh
    write_readme(HERE / "README.md", best)
    given.out.mkdir(parents=True, exist_ok=True)
    plot(best).savefig(given.out / "load_shift.png")
    print(f"written: {RESULTS.name}, README.md, {given.out / 'load_shift.png'}")


if __name__ == "__main__":
    main()
