"""Runs that test the hypotheses of the README: the gap and the place of the load, and where the joints face.

Usage: `python studies/dreischarf2014/hypotheses.py`, a minute at refinement 0.5; writes `hypotheses.csv`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

from lumbar_runs import LEVELS, NOTHING, Joints, build_lumbar, run_cases

from fesolver.anatomy.facet_dimensions import facet_dimensions

REFINEMENT = 0.5
TABLE = Path(__file__).with_name("hypotheses.csv")
DISCS = tuple(f"{a}-{b}" for a, b in pairwise(LEVELS))


def variants() -> Iterator[tuple[str, Joints, float, tuple[str, ...]]]:
    """Name, dimensions of joints replaced, distance of the follower load behind the centroids (mm), load cases."""
    compression = ("follower_400", "follower_500")
    yield "as published here", NOTHING, 0.0, ("extension", *compression)
    yield "gap 0", {disc: {"gap_mm": 0.0} for disc in DISCS}, 0.0, compression
    yield "load 5 mm behind the centroids", NOTHING, 5.0, compression
    yield "load 8 mm behind the centroids", NOTHING, 8.0, compression
    turned = facet_dimensions("L2", "L3")
    angles = {"transverse_deg": turned.transverse_deg, "longitudinal_deg": turned.longitudinal_deg}
    yield "all joints turned as L2-L3", dict.fromkeys(DISCS, angles), 0.0, ("extension",)
    before = {"depth_fraction": 0.8, "cranial_mm": 0.0}
    yield "joints at 0.8 of the canal, at the disc's height", dict.fromkeys(DISCS, before), 0.0, ("extension",)


def forces(numbers: Mapping[str, float]) -> list[float]:
    """Mean force of the two joints of every disc, N."""
    return [0.5 * sum(numbers.get(f"{disc} facet_force_{side}_n", 0.0) for side in ("left", "right")) for disc in DISCS]


def main() -> None:
    """Run the variants and write the table."""
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["variant", "load", "segment_flexion_deg", *(f"{disc}_facet_force_n" for disc in DISCS)])
        for name, joints, behind_mm, cases in variants():
            lumbar = build_lumbar(refinement=REFINEMENT, joints=joints)
            for case, numbers, _ in run_cases(lumbar, cases, behind_mm=behind_mm):
                row = [numbers["segment flexion_rotation_deg"], *forces(numbers)]
                rows.writerow([name, case, *(f"{value:.3g}" for value in row)])
                print(name, case, *(f"{value:.3g}" for value in row), flush=True)


if __name__ == "__main__":
    main()
