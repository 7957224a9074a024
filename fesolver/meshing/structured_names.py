"""Names of a structured mesh: regions, surfaces, frames, and the local axes of annuli."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import Column
from fesolver.anatomy.frames import Frame
from fesolver.bone.tissue import Region
from fesolver.imaging.frames import oriented_frame
from fesolver.meshing.regions import cell_moments, facet_surface, facet_vectors
from fesolver.meshing.spine_mesh import SpineMesh, Surface
from fesolver.meshing.structured_layers import BODY, DISC, INFERIOR, SUPERIOR, Planes, SweepCounts
from fesolver.meshing.structured_section import section_cells, wall_nodes

__all__ = ["annulus_places", "structured_frames", "structured_regions", "structured_surfaces", "surface_centroid"]


def surface_centroid(points: NDArray[np.float64], facets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Centroid (3,) of a surface of quadrilaterals, mm, by its facets' areas."""
    area = np.linalg.norm(facet_vectors(points, facets), axis=1)
    return np.asarray(area @ points[facets[:, :4]].mean(axis=1) / area.sum())


def structured_regions(
    column: Column, counts: SweepCounts, low: Planes, *, layers: tuple[bool, bool]
) -> dict[str, Region]:
    """Regions of every level and disc; the fraction is 1 everywhere.

    Parameters
    ----------
    column : Column
        Names of levels and discs.
    counts : SweepCounts
        Cells in every direction.
    low : Planes
        Lower sheet of every layer of cells.
    layers : tuple of bool
        Whether shell and endplates are regions of their own, or trabecular bone.
    """
    section = counts.section
    n = section.n_cells
    inside = section.core**2 + section.around * section.nucleus
    shell = inside + section.around * section.annulus
    at = np.arange(n)
    regions: dict[str, Region] = {}

    def add(name: str, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        cells = (rows[:, None] * n + columns).ravel()
        if name in regions:
            cells = np.sort(np.concatenate([regions[name].cells, cells]))
        regions[name] = Region(cells.astype(np.int64), np.ones(len(cells)))

    levels = column.levels
    for i, level in enumerate(levels):
        part = low.part == 2 * (len(levels) - 1 - i)
        rows = {zone: np.flatnonzero(part & (low.zone == zone)) for zone in (INFERIOR, BODY, SUPERIOR)}
        add(f"{level}/trabecular", rows[BODY], at[:shell])
        add(f"{level}/cortical" if layers[0] else f"{level}/trabecular", rows[BODY], at[shell:])
        for zone, side in ((SUPERIOR, "superior"), (INFERIOR, "inferior")):
            add(f"{level}/{side}_endplate" if layers[1] else f"{level}/trabecular", rows[zone], at)
    for i, disc in enumerate(column.discs):
        below = np.flatnonzero((low.zone == DISC) & (low.part == 2 * (len(levels) - 2 - i) + 1))
        add(f"{disc.name}/nucleus", below, at[:inside])
        add(f"{disc.name}/annulus", below, at[inside:])
    return regions


def structured_surfaces(mesh: SpineMesh, counts: SweepCounts, low: Planes) -> dict[str, Surface]:
    """Endplates and walls of every body by name; `low` is the lower sheet of every layer of cells."""
    section, levels = counts.section, mesh.levels
    quads, wall = section_cells(section), wall_nodes(section)
    ahead = np.roll(wall, -1)
    side = np.stack([wall, ahead, ahead + section.n_nodes, wall + section.n_nodes], axis=1)
    outermost = np.arange(section.n_cells - section.around, section.n_cells)
    out: dict[str, Surface] = {}
    for i, level in enumerate(levels):
        rows = low.of_part(2 * (len(levels) - 1 - i))
        top, bottom = int(rows[-1]) + 1, int(rows[0])
        at = np.arange(section.n_cells)
        out[f"{level}/superior_endplate"] = facet_surface(
            mesh.points, quads + top * section.n_nodes, at + (top - 1) * section.n_cells
        )
        out[f"{level}/inferior_endplate"] = facet_surface(
            mesh.points, quads[:, ::-1] + bottom * section.n_nodes, at + bottom * section.n_cells
        )
        out[f"{level}/outer"] = facet_surface(
            mesh.points,
            (side + rows[:, None, None] * section.n_nodes).reshape(-1, 4),
            (outermost + rows[:, None] * section.n_cells).ravel(),
        )
    return out


def structured_frames(mesh: SpineMesh, column: Column) -> dict[str, Frame]:
    """Frames of levels and discs in the segment frame, as `SpineMesh` defines them."""
    volume, centroid = cell_moments(mesh)
    out: dict[str, Frame] = {}
    plates = {}
    for vertebra in column.vertebrae:
        level = vertebra.level
        left = mesh.frame.vectors_to_local(vertebra.frame.axes[0])
        own = mesh.level_cells(level)
        upper, lower = (mesh.surfaces[f"{level}/{side}_endplate"] for side in ("superior", "inferior"))
        high, low = (surface_centroid(mesh.points, s.facets) for s in (upper, lower))
        out[level] = oriented_frame(volume[own] @ centroid[own] / volume[own].sum(), high - low, left)
        plates[level] = (upper.areas @ upper.normals, lower.areas @ lower.normals)
    for disc in column.discs:
        own = mesh.level_cells(disc.name)
        up, down = plates[disc.lower][0], plates[disc.upper][1]
        axis = up / np.linalg.norm(up) - down / np.linalg.norm(down)
        left = out[disc.upper].axes[0] + out[disc.lower].axes[0]
        out[disc.name] = oriented_frame(
            volume[own] @ centroid[own] / volume[own].sum(), axis, left / np.linalg.norm(left)
        )
    return out


def annulus_places(
    mesh: SpineMesh, counts: SweepCounts
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Local axes and radial places of the cells of every annulus.

    Returns
    -------
    axes : dict of str to (k, 3, 3) ndarray
        As `Tissue.axes`: radial is normal to the lamella that the cell is part of, axial the disc's axis within it.
    depth : dict of str to (k,) ndarray
        Place of the cell's middle across the annulus along its row of cells, 0 on the nucleus, 1 outside.
    """
    section = counts.section
    rings = section.annulus + section.shell
    axes, depth = {}, {}
    for name, region in mesh.regions.items():
        if not name.endswith("/annulus"):
            continue
        p = mesh.points[mesh.cells[region.cells]]
        across = p[:, [1, 2, 5, 6]].mean(axis=1) - p[:, [0, 3, 4, 7]].mean(axis=1)
        around = p[:, [2, 3, 6, 7]].mean(axis=1) - p[:, [0, 1, 4, 5]].mean(axis=1)
        along = p[:, 4:].mean(axis=1) - p[:, :4].mean(axis=1)
        radial = _unit(np.cross(around, along))
        z = mesh.frames[name.split("/")[0]].axes[2]
        axial = _unit(z - (radial @ z)[:, None] * radial)
        axes[name] = np.stack([np.cross(radial, axial), radial, axial], axis=1)
        length = np.linalg.norm(across, axis=1).reshape(-1, rings, section.around)
        reached = np.cumsum(length, axis=1)
        depth[name] = ((reached - 0.5 * length) / reached[:, -1:]).ravel()
    return axes, depth


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vectors (k, 3) of length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
