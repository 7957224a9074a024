"""Solve the models of one CT vertebra one by one, and write what they give: results.json and the tables of README.md.

Usage, from the repository's root, with `FESOLVER_DATA` set:

    python studies/ct_voxel_vs_tet/compare.py [--report] [--fresh] [WORD ...]

A model that results.json already holds is not solved again; with words, only models whose name holds one of them.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from math import floor, log10
from pathlib import Path
from time import perf_counter

from ct_models import Model, solve
from ct_report import write_readme

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"


def models() -> Iterator[Model]:
    """All models."""
    small, large = (1.5, 1.0, 0.75), (3.0, 2.0, 1.5)
    yield from (Model("voxels", size) for size in (*small, 0.5, 0.375, 0.25))
    yield from (Model("tet10", size) for size in (*large, 1.0, 0.8))
    yield from (Model("tet10", size, layers="fractions") for size in (*large, 1.0))
    yield from (Model("voxels", size, layers="thick") for size in (1.0, 0.75, 0.5, 0.375, 0.25))
    yield from (Model("tet10", size, layers="thick") for size in (*large, 1.0))
    for density, layers in (("ct", "none"), ("uniform", "none"), ("uniform", "default")):
        yield from (Model("voxels", size, density, layers) for size in small)  # type: ignore[arg-type]
        yield from (Model("tet10", size, density, layers) for size in large)  # type: ignore[arg-type]
    yield from (Model("tet10", size, "uniform", "none", "other") for size in large)


def main(arguments: list[str]) -> None:
    """Solve what is missing, then write the report."""
    if arguments[:1] == ["--model"]:
        start = perf_counter()
        values = solve(next(model for model in models() if model.key == arguments[1]))
        values["seconds"] = perf_counter() - start
        values["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
        print(json.dumps({name: _rounded(value) for name, value in values.items()}))
        return
    words = [word for word in arguments if not word.startswith("--")]
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for model in models():
        is_wanted = not words or any(word in model.key for word in words)
        if "--report" in arguments or not is_wanted or (model.key in found and "--fresh" not in arguments):
            continue
        said = subprocess.run(
            [sys.executable, __file__, "--model", model.key], capture_output=True, text=True, check=False
        )
        if said.returncode:
            print(f"{model.key}: {said.stderr.strip().splitlines()[-1]}", flush=True)
            continue
        found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        found[model.key] = json.loads(said.stdout.splitlines()[-1])
        print(f"{model.key}: {found[model.key]['stiffness_n_per_mm']} N/mm", flush=True)
        lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items()]
        RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    write_readme(HERE / "README.md", found)


def _rounded(value: float) -> float:
    """Six digits: the solver's tolerance leaves no more."""
    return 0.0 if value == 0.0 else round(value, 5 - floor(log10(abs(value))))


if __name__ == "__main__":
    main(sys.argv[1:])
