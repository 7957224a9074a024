"""Measure the bodies and discs of `ct.toml` and print them as the `[input]` of a parametric study.

Usage: python studies/ct_against_parametric/measure.py
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

from fesolver.meshing.measured_column import measured_column
from fesolver.meshing.regions import cell_volumes
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.study.config import load_study
from fesolver.study.inputs import read_data
from fesolver.study.segments import mesh_segment_of
from fesolver.study.stages import Stages

SIZES = (
    *("superior_width_mm", "superior_depth_mm", "inferior_width_mm", "inferior_depth_mm"),
    *("posterior_height_mm", "anterior_height_mm"),
)
EDGE = 0.15
"""Part of the depth at front and back over which an endplate's height is taken, as in `measured_column`."""


def main() -> None:
    """Print sizes, discs and densities."""
    config = load_study(Path(__file__).with_name("ct.toml"))
    made = mesh_segment_of(config, read_data(config), Stages(), 1.0)
    mesh, volume = made.mesh, cell_volumes(made.mesh)
    column = measured_column(mesh)
    masses, volumes = [], []
    for placed in column.vertebrae:
        level = placed.dimensions.level
        sizes = ", ".join(f"{name} = {getattr(placed.dimensions, name):.1f}" for name in SIZES)
        print(f"{level} = {{{sizes}}}")
        bone = made.tissue.regions[f"{level}/trabecular"]
        held = volume[bone.cells] * bone.fraction
        masses.append(float(held @ made.tissue.density[bone.cells]))
        volumes.append(float(held.sum()))
        whole = sum(volume[r.cells] @ r.fraction for n, r in made.tissue.regions.items() if n.startswith(f"{level}/"))
        mean = masses[-1] / volumes[-1]
        print(f"#   trabecular density {mean:.4f} g/cm3 over {volumes[-1]:.0f} mm3, body {whole:.0f} mm3")
    for (upper, lower), disc in zip(pairwise(mesh.levels), column.discs, strict=True):
        print(
            f"{upper}-{lower} = {{height_mm = {disc.height_mm:.1f}, wedge_deg = {wedge_deg(mesh, upper, lower):.1f}}}"
        )
    print(f"density_g_cm3 = {sum(masses) / sum(volumes):.4f}")


def wedge_deg(mesh: SpineMesh, upper: str, lower: str) -> float:
    """Angle between the endplates of a disc in the sagittal plane, degrees; positive where the front is higher."""
    slopes = []
    for name in (f"{upper}/inferior_endplate", f"{lower}/superior_endplate"):
        surface = mesh.surfaces[name]
        at = mesh.points[surface.facets].mean(axis=1)
        weight, y = surface.areas * np.abs(surface.normals[:, 2]), at[:, 1]
        reach = EDGE * np.ptp(y)
        front, back = ((y <= y.min() + reach), (y >= y.max() - reach))
        (y0, z0), (y1, z1) = (np.average(at[rows][:, 1:], axis=0, weights=weight[rows]) for rows in (front, back))
        slopes.append((z0 - z1) / (y1 - y0))
    return float(np.degrees(np.arctan(slopes[0]) - np.arctan(slopes[1])))


if __name__ == "__main__":
    main()
