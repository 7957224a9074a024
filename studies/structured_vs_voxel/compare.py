"""Solve the study's models one by one, and write what they give: results.json and the tables of README.md.

Usage, from the repository's root: `python studies/structured_vs_voxel/compare.py [--report] [--fresh]`. A model that
results.json already holds is not solved again; `--report` solves nothing, `--fresh` all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path

from compared_models import BODY, SEGMENT, Case, from_labels, structured, voxels
from compared_quantities import Solved, quantities, region_volumes
from compared_report import write_readme

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"

_GOLDEN = (0.6180339887, 0.4142135624)


@dataclass(frozen=True)
class Run:
    """One model to be solved.

    Parameters
    ----------
    case : Case
    kind : {"voxel", "hex8", "hex20", "label"}
    size : float
        Spacing, mm, of voxels; one over the refinement of structured meshes.
    place : int
        Which of the places of the lattice.
    along : tuple of float
        These places along z, in cells.
    """

    case: Case
    kind: str
    size: float
    place: int = 0
    along: tuple[float, ...] = (0.5,)

    @property
    def key(self) -> str:
        """Name in results.json."""
        return f"{self.case.name} {self.kind} {self.size:.4g} {self.place}/{len(self.along)}"

    @property
    def shift(self) -> tuple[float, float, float]:
        """Place of the lattice in cells: even along z, where endplates lie level with it, and spread across."""
        x, y = ((0.5 + g * self.place) % 1.0 for g in _GOLDEN)
        return x, y, self.along[self.place]

    def solve(self) -> Solved:
        """The solved model."""
        if self.kind == "voxel":
            return voxels(self.case, self.size, self.shift, samples=5 if self.size >= 0.5 else 3)
        if self.kind == "label":
            return from_labels(self.case, self.size)
        return structured(self.case, 1.0 / self.size, "hex20" if self.kind == "hex20" else "hex8")


def runs() -> Iterator[Run]:
    """All models."""
    third, four, two = 1.0 / 3.0, (0.125, 0.375, 0.625, 0.875), (0.5, 0.0)
    places = {
        BODY: dict.fromkeys((1.0, 0.5, third, 0.25), four),
        SEGMENT: {1.0: four, 0.5: (0.25, 0.75), third: two, 0.25: two},
    }
    refined = {BODY: (2.0, 1.0, 0.5, 0.25), SEGMENT: (2.0, 1.0, 0.5)}
    labelled = {BODY: (1.0, 0.5, third), SEGMENT: (1.0, 0.5)}
    quadratic = {BODY: (2.0, 1.0, 0.5), SEGMENT: (2.0, 1.0, 2.0 * third)}
    for case in (BODY, SEGMENT):
        yield from (Run(case, "hex8", size) for size in refined[case])
        yield from (Run(case, "hex20", size) for size in quadratic[case])
        yield from (Run(case, "label", size) for size in labelled[case])
        for size, along in places[case].items():
            yield from (Run(case, "voxel", size, k, along) for k in range(len(along)))


def main(arguments: list[str]) -> None:
    """Solve what is missing, then write the report."""
    found = {} if "--fresh" in arguments or not RESULTS.exists() else json.loads(RESULTS.read_text())
    for run in runs():
        if run.key in found or "--report" in arguments:
            continue
        solved = run.solve()
        found[run.key] = {
            "case": run.case.name,
            "kind": run.kind,
            "size": run.size,
            "cells": len(solved.mesh.cells),
            "unknowns": int(solved.mesh.points.size),
            "method": solved.solution.method,
            "iterations": solved.solution.iterations,
            "values": {name: _rounded(value) for name, value in quantities(solved).items()},
            "volumes_mm3": {name: _rounded(value) for name, value in region_volumes(solved.mesh).items()},
        }
        print(f"{run.key}: {len(solved.mesh.cells)} cells, {solved.solution.iterations} iterations", flush=True)
        _save(found)
    write_readme(HERE / "README.md", found)


def _rounded(value: float) -> float:
    """Six digits: the solver's tolerance leaves no more."""
    return 0.0 if value == 0.0 else round(value, 5 - floor(log10(abs(value))))


def _save(found: dict[str, dict[str, object]]) -> None:
    """One line per model."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items()]
    RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
