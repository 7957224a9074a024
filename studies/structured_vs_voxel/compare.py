"""Solve the study's models one by one, and write what they give: results.json and the tables of README.md.

    python studies/structured_vs_voxel/compare.py [--report] [--fresh] [WORD ...]

from the repository's root. A model that results.json already holds is not solved again. Each is solved in a process of
its own: its memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, log10
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

from compared_models import BARE, BODY, SEGMENT, Case, from_labels, structured, voxels
from compared_quantities import Solved, quantities, region_volumes
from compared_report import write_readme
from tet_models import from_hexahedra, from_surfaces, tetrahedra
from tet_report import tet_lines

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"

_GOLDEN = (0.6180339887, 0.4142135624)


@dataclass(frozen=True)
class Run:
    """One model to be solved.

    Parameters
    ----------
    case : Case
    kind : {"voxel", "hex8", "hex20", "label", "tet4", "tet10", "surface", "conform", "cut"}
    size : float
        Spacing, mm, of voxels; edge length of tetrahedra (at surfaces), mm; one over the refinement of others.
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
        if self.kind == "cut":
            return from_hexahedra(self.case, 1.0 / self.size)
        if self.kind in ("surface", "conform"):
            layers: Literal["fractions", "conforming"] = "fractions" if self.kind == "surface" else "conforming"
            return from_surfaces(self.case, self.size, layers=layers)
        if self.kind in ("tet4", "tet10"):
            return tetrahedra(self.case, self.size, "tet10" if self.kind == "tet10" else "tet4")
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
    tets = {
        "cut": {BODY: (2.0, 1.0, 2.0 * third), SEGMENT: (2.0, 1.0)},
        "tet10": {BODY: (4.0, 3.0, 2.0, 1.4, 1.2, 1.0, 0.7), SEGMENT: (4.0, 3.0, 2.0)},
        "tet4": {BODY: (4.0, 3.0, 2.0, 1.4), SEGMENT: (4.0, 3.0, 2.0)},
        "conform": {BODY: (3.0, 2.0, 1.5, 1.0), SEGMENT: (3.0, 2.0, 1.5)},
        "surface": {BODY: (2.0, 1.4, 1.2, 1.0, 0.85, 0.7, 0.5), SEGMENT: (2.0, 1.4, 1.2, 1.0)},
    }
    for case in (BODY, SEGMENT):
        yield from (Run(case, "hex8", size) for size in refined[case])
        yield from (Run(case, "hex20", size) for size in quadratic[case])
        yield from (Run(case, "label", size) for size in labelled[case])
        for size, along in places[case].items():
            yield from (Run(case, "voxel", size, k, along) for k in range(len(along)))

    for kind, sizes in (("hex8", (2.0, 1.0, 0.5)), ("hex20", (2.0, 1.0, 0.5)), ("tet10", (4.0, 3.0, 2.0, 1.4))):
        yield from (Run(BARE, kind, size) for size in sizes)
    for case in (BODY, SEGMENT):
        for kind, sizes in tets.items():
            yield from (Run(case, kind, size) for size in sizes[case])


def main(arguments: Sequence[str] | None = None) -> None:
    """Solve what is missing, then write the report."""
    options = _arguments(arguments)
    if options.model is not None:
        print(json.dumps(_record(next(run for run in runs() if run.key == options.model))))
        return
    words = options.words
    is_fresh = options.fresh and not words
    found = {} if is_fresh or not RESULTS.exists() else json.loads(RESULTS.read_text())
    for run in runs():
        is_wanted = not words or any(word in run.key for word in words)
        if options.report or not is_wanted or (run.key in found and not options.fresh):
            continue
        said = subprocess.run(
            [sys.executable, __file__, "--model", run.key], capture_output=True, text=True, check=False
        )
        if said.returncode:
            print(f"{run.key}: {said.stderr.strip().splitlines()[-1]}", flush=True)
            continue
        record = json.loads(said.stdout.splitlines()[-1])
        found = {} if not RESULTS.exists() else json.loads(RESULTS.read_text())
        found[run.key] = record
        print(f"{run.key}: {record['cells']} cells, {record['seconds']} s, {record['peak_mb']} MB", flush=True)
        _save(found)
    write_readme(HERE / "README.md", found, tet_lines)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help='only models whose name holds a word ("tet", "L1 hex8")'
    )
    parser.add_argument("--report", action="store_true", help="solve nothing, write the tables of README.md again")
    parser.add_argument("--fresh", action="store_true", help="solve models again that results.json holds")
    parser.add_argument("--model", metavar="NAME", help="solve one model and print what it gives, without any file")
    return parser.parse_args(arguments)


def _record(run: Run) -> dict[str, Any]:
    """What results.json keeps of one model; memory is the process's own at its highest."""
    start = perf_counter()
    solved = run.solve()
    seconds = perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    return {
        "case": run.case.name,
        "kind": run.kind,
        "size": run.size,
        "cells": len(solved.mesh.cells),
        "unknowns": int(solved.mesh.points.size),
        "method": solved.solution.method,
        "iterations": solved.solution.iterations,
        "seconds": round(seconds, 1),
        "peak_mb": round(peak),
        "values": {name: _rounded(value) for name, value in quantities(solved).items()},
        "volumes_mm3": {name: _rounded(value) for name, value in region_volumes(solved.mesh).items()},
    }


def _rounded(value: float) -> float:
    """Six digits: the solver's tolerance leaves no more."""
    return 0.0 if value == 0.0 else round(value, 5 - floor(log10(abs(value))))


def _save(found: dict[str, dict[str, object]]) -> None:
    """One line per model."""
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items()]
    RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
