"""Kinds of cells, and the histograms of a checked study: density or CT numbers, and moduli."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fesolver.meshing.regions import cell_volumes
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.report.style import REGIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fesolver.study.check import StudyCheck

__all__ = ["CELL_KINDS", "cell_kinds", "draw_density", "draw_moduli"]

# What a cell is called, its colour, the kinds of regions it stands for, and the fraction from which it is called so. A
# shell of 0.35 mm never fills a cell: the first match counts, so layers are seen before the bone around them.
CELL_KINDS: tuple[tuple[str, str, tuple[str, ...], float], ...] = (
    ("cement", REGIONS["cement"], ("cement",), 0.5),
    ("shell in the cell", REGIONS["shell"], ("cortical",), 0.02),
    ("endplate in the cell", REGIONS["endplate"], ("superior_endplate", "inferior_endplate"), 0.02),
    ("nucleus", REGIONS["nucleus"], ("nucleus",), 0.5),
    ("annulus", REGIONS["annulus"], ("annulus",), 0.5),
    ("posterior elements", REGIONS["posterior"], ("posterior",), 0.5),
    ("trabecular bone", REGIONS["trabecular"], ("trabecular",), 0.0),
)

_LEVEL_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")


def cell_kinds(mesh: SpineMesh) -> NDArray[np.int64]:
    """Position in the legend of every cell, (n_cells,)."""
    n_cells = len(mesh.cells)
    out = np.full(n_cells, len(CELL_KINDS) - 1)
    for index in reversed(range(len(CELL_KINDS))):
        _, _, kinds, least = CELL_KINDS[index]
        fraction = np.zeros(n_cells)
        for name, region in mesh.regions.items():
            if name.partition("/")[2] in kinds:
                fraction[region.cells] += region.fraction
        out[(fraction >= least) & (fraction > 0.0)] = index
    return out


def draw_density(axes: Axes, check: StudyCheck) -> None:
    """CT numbers inside the labels where the input is a CT, else the density of trabecular bone per level."""
    n_cells = len(check.mesh.cells)
    if check.density_hu is not None:
        groups = {"inside the labels": np.asarray(check.density_hu, float)}
        weights = {"inside the labels": np.ones(len(check.density_hu))}
        title, label, form = "Voxels of the CT", "CT number (HU)", "mean {:.0f}"
        axes.set_ylabel("voxels")
    else:
        regions = check.mesh.regions
        names = [name for name in (f"{level}/trabecular" for level in check.mesh.levels) if name in regions]
        chosen = {n.partition("/")[0]: regions[n].dense(n_cells) > 0.5 for n in names}
        volume = 1e-3 * cell_volumes(check.mesh)
        groups = {level: check.tissue.density[inside] for level, inside in chosen.items()}
        weights = {level: volume[inside] for level, inside in chosen.items()}
        title, label, form = "Trabecular bone", f"Density, {check.tissue.kind} (g/cm³)", "mean {:.3f}"
        axes.set_ylabel("volume (ml)")
    axes.set_xlabel(label)
    axes.set_title(title)
    groups = {name: values for name, values in groups.items() if len(values)}
    if not groups:
        return
    low, high = (float(edge) for edge in np.percentile(np.concatenate(list(groups.values())), [0.2, 99.8]))
    edges = np.linspace(low, max(high, low + 1e-6), 41).tolist()
    for index, (name, values) in enumerate(groups.items()):
        colour = _LEVEL_COLOURS[index % len(_LEVEL_COLOURS)]
        of_group = weights[name]
        label = f"{name} ({form.format(np.average(values, weights=of_group))})"
        axes.hist(values, edges, weights=of_group, histtype="step", lw=1.3, color=colour, label=label)
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + 0.09 * (len(groups) + 1) * (top - bottom))  # room for the legend above the data
    axes.legend(loc="upper right")


def draw_moduli(axes: Axes, check: StudyCheck, kinds: NDArray[np.int64]) -> None:
    """Young's modulus of every kind of cell, logarithmic."""
    young = check.elasticity.young
    positive = young[young > 0.0]
    if len(positive):
        edges = np.geomspace(positive.min() / 1.1, positive.max() * 1.1, 61).tolist()
        for index, (name, colour, _, _) in enumerate(CELL_KINDS):
            mine = young[kinds == index]
            if len(mine):
                axes.hist(mine, edges, color=colour, edgecolor="#555555", lw=0.3, alpha=0.85, label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.set_xlabel("Young's modulus (MPa)")
    axes.set_ylabel("cells")
    axes.set_title("Moduli")
