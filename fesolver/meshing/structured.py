"""Spine segments as structured hexahedra: one O-grid section swept through bodies, endplates and discs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import Column
from fesolver.anatomy.dimensions import DiscDimensions
from fesolver.anatomy.disc_shape import DiscShape, check_gaps
from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.imaging.frames import oriented_frame
from fesolver.meshing.quality import check_quality
from fesolver.meshing.second_order import second_order
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.structured_layers import (
    Planes,
    SweepCounts,
    annulus_growth,
    middles,
    sheets,
    sweep_counts,
    sweep_layers,
)
from fesolver.meshing.structured_map import ColumnMap, LayerThickness, NucleusCircle
from fesolver.meshing.structured_names import (
    annulus_places,
    structured_frames,
    structured_regions,
    structured_surfaces,
    surface_centroid,
)
from fesolver.meshing.structured_section import (
    SectionCounts,
    SectionGrid,
    graded_fractions,
    section_cells,
)

__all__ = ["StructuredMesh", "mesh_column"]

_SINGLE_BODY_FRACTION = 0.4
"""Area inside the lines of a body without discs that are a nucleus' boundary otherwise."""

_NOMINAL_MM = 0.35
"""Where the lines of a layer stand that is left out (thickness 0)."""


@dataclass(frozen=True)
class StructuredMesh:
    """A structured mesh, and what only a structured mesh knows.

    Parameters
    ----------
    mesh : SpineMesh
        Points, cells, names. Numbers depend on the counts alone: with equal counts, cell k of one shape is cell k of
        any other.
    column : Column
        The shapes it was made from.
    counts : SweepCounts
        Cells in every direction.
    annulus_axes : mapping of str to (k, 3, 3) ndarray
        Per region `L1-L2/annulus`: rows are the circumferential, radial (outward) and axial unit vectors of each of its
        cells, right-handed, in the mesh frame: radial normal to the lamella, axial the disc's axis within it.
    annulus_depth : mapping of str to (k,) ndarray
        Per region `L1-L2/annulus`: place of each cell's centre across the annulus, 0 on the nucleus, 1 outside.
    """

    mesh: SpineMesh
    column: Column
    counts: SweepCounts
    annulus_axes: Mapping[str, NDArray[np.float64]]
    annulus_depth: Mapping[str, NDArray[np.float64]]


def mesh_column(
    column: Column,
    *,
    refinement: float = 1.0,
    element: Literal["hex8", "hex20"] = "hex8",
    cortical_thickness_mm: float | None = None,
    endplate_thickness_mm: float | None = None,
    layer_cells: int = 1,
    nucleus_area_fraction: float | None = None,
    min_scaled_jacobian: float = 0.1,
) -> StructuredMesh:
    """Mesh of bodies, discs and layers, conforming at every interface.

    Parameters
    ----------
    column : Column
        From `fesolver.anatomy.column.build_column`.
    refinement : float
        Cells per direction scale with it: 1 is about 30 000 cells for three levels, 2 half the cell size everywhere,
        through the layers too. Meshes of 1, 2, 4 are nested.
    element : {"hex8", "hex20"}
        Trilinear cells, or quadratic ones whose mid-sides stand on the curved shape.
    cortical_thickness_mm, endplate_thickness_mm : float, optional
        True thickness of shell and endplates of every level; by default the dimensions' own. 0 leaves the layer out:
        its cells are trabecular bone.
    layer_cells : int
        Cells through shell and endplates at refinement 1.
    nucleus_area_fraction : float, optional
        Area of the nucleus over the disc's at mid-height, for every disc; by default the dimensions' own.
    min_scaled_jacobian : float
        Cells below it are refused, see `fesolver.meshing.quality.check_quality`.

    Returns
    -------
    StructuredMesh
        In the segment frame: z from the centroid of the lowest inferior to that of the highest superior endplate, x the
        mean left of the bodies.

    Raises
    ------
    InputError
        On a parameter out of range, bodies that overlap, layers that leave no room, or cells below the quality limit.

    Notes
    -----
    Layers follow `fesolver.meshing.layers`: endplates reach under the whole footprint, the cortex takes what is left.
    The columns of cells over the shell belong to the outer annulus in a disc.

    Examples
    --------
    >>> from fesolver.anatomy.column import build_column
    >>> structured = mesh_column(build_column(["L1", "L2"]), refinement=0.4)
    >>> sorted(structured.mesh.regions)[:3]
    ['L1-L2/annulus', 'L1-L2/nucleus', 'L1/cortical']
    """
    if element not in ("hex8", "hex20"):
        raise InputError(f"element {element!r} is unknown", fix="use 'hex8' or 'hex20'")
    levels = len(column.vertebrae)
    counts = sweep_counts(refinement, layer_cells, levels)
    check_gaps(column)
    layers, names = _layers(column, cortical_thickness_mm, endplate_thickness_mm)
    swept = _column_map(column, counts, layers, layer_cells, nucleus_area_fraction)
    low, high = sweep_layers(
        column, counts, endplate_mm=[(layer.inferior, layer.superior) for layer in layers], layer_cells=layer_cells
    )
    points = swept.points(SectionGrid.corners(counts.section), sheets(low, high)).reshape(-1, 3)
    cells = _cells(counts.section, len(low.part))
    frame = _segment_frame(points, column, counts)
    mesh = SpineMesh(
        points=frame.to_local(points),
        cells=cells,
        regions=structured_regions(column, counts, low, layers=names),
        surfaces={},
        frames={},
        levels=column.levels,
        frame=frame,
    )
    mesh = replace(mesh, surfaces=structured_surfaces(mesh, counts, low))
    mesh = replace(mesh, frames=structured_frames(mesh, column))
    axes, depth = annulus_places(mesh, counts)
    if element == "hex20":
        mesh = second_order(mesh, _Middles(swept, low, high, frame))
    check_quality(mesh, min_scaled_jacobian=min_scaled_jacobian)
    return StructuredMesh(mesh, column, counts, axes, depth)


def _layers(
    column: Column, cortical: float | None, endplate: float | None
) -> tuple[tuple[LayerThickness, ...], tuple[bool, bool]]:
    """Thickness of the layers of every level, and whether shell and endplates are there."""
    for name, value in (("cortical_thickness_mm", cortical), ("endplate_thickness_mm", endplate)):
        if value is not None and not (np.isfinite(value) and value >= 0.0):
            raise InputError(f"{name} must be 0 or positive, not {value}")
        if value is not None and 0.0 < value < 0.05:
            raise InputError(
                f"{name} = {value:g} mm is thinner than any bone", fix="use 0.05 mm or more, or 0 for none"
            )
    out = []
    for vertebra in column.vertebrae:
        d = vertebra.dimensions
        out.append(
            LayerThickness(
                shell=d.shell_thickness_mm if cortical is None else cortical or _NOMINAL_MM,
                superior=d.superior_endplate_thickness_mm if endplate is None else endplate or _NOMINAL_MM,
                inferior=d.inferior_endplate_thickness_mm if endplate is None else endplate or _NOMINAL_MM,
            )
        )
    return tuple(out), (cortical != 0.0, endplate != 0.0)


def _column_map(
    column: Column,
    counts: SweepCounts,
    layers: tuple[LayerThickness, ...],
    layer_cells: int,
    nucleus_area_fraction: float | None,
) -> ColumnMap:
    """The map of a column, its annulus graded towards the shell."""
    if nucleus_area_fraction is not None and not 0.05 <= nucleus_area_fraction <= 0.8:
        raise InputError(f"nucleus_area_fraction must lie in 0.05 to 0.8, not {nucleus_area_fraction}")
    discs = tuple(
        DiscShape(upper, lower, _nucleus_replaced(disc, nucleus_area_fraction))
        for disc, upper, lower in zip(column.discs, column.vertebrae[:-1], column.vertebrae[1:], strict=True)
    )
    single = NucleusCircle(0.0, float(np.sqrt(nucleus_area_fraction or _SINGLE_BODY_FRACTION)))
    radii = [shape.nucleus_radius for shape in discs] or [single.radius]
    half = [0.25 * (v.dimensions.superior_width_mm + v.dimensions.superior_depth_mm) for v in column.vertebrae]
    shell = float(np.mean([layer.shell for layer in layers]))
    width = float(np.mean(half)) * (1.0 - float(np.mean(radii))) - shell
    growth = annulus_growth(max(width, shell), shell, layer_cells)
    fractions = 1.0 - graded_fractions(counts.section.annulus, growth)[::-1]
    return ColumnMap(column, counts.section, layers, discs, single, fractions)


def _nucleus_replaced(disc: DiscDimensions, area_fraction: float | None) -> DiscDimensions:
    """A disc with another size of its nucleus, if one is given."""
    return disc if area_fraction is None else replace(disc, nucleus_area_fraction=area_fraction)


def _cells(section: SectionCounts, n_layers: int) -> NDArray[np.int64]:
    """Hexahedra, layer by layer from below."""
    quads, n = section_cells(section), section.n_nodes
    start = n * np.arange(n_layers)[:, None, None]
    return np.concatenate([quads + start, quads + start + n], axis=-1).reshape(-1, 8)


def _segment_frame(points: NDArray[np.float64], column: Column, counts: SweepCounts) -> Frame:
    """Segment frame in the column's parent frame: the outermost endplates' centroids, the bodies' mean left."""
    quads = section_cells(counts.section)
    low, high = (surface_centroid(points, quads + start) for start in (0, len(points) - counts.section.n_nodes))
    left = np.sum([vertebra.frame.axes[0] for vertebra in column.vertebrae], axis=0)
    return oriented_frame(low, high - low, left / np.linalg.norm(left))


@dataclass(frozen=True)
class _Middles:
    """Mid-side points of a structured mesh on its exact shape."""

    swept: ColumnMap
    low: Planes
    high: Planes
    frame: Frame

    def __call__(self, pairs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Middles (m, 3) of edges given as ascending pairs (m, 2) of point ids."""
        section = self.swept.section
        n = section.n_nodes
        edges, grid = SectionGrid.edges(section)
        keys = np.sort(edges, axis=1) @ np.array([n, 1])
        order = np.argsort(keys)
        sheet, node = np.divmod(pairs, n)
        is_flat = sheet[:, 0] == sheet[:, 1]
        out = np.empty((len(pairs), 3))
        flat = self.swept.points(grid, sheets(self.low, self.high))
        found = np.sort(node[is_flat], axis=1) @ np.array([n, 1])
        out[is_flat] = flat[sheet[is_flat, 0], order[np.searchsorted(keys[order], found)]]
        upright = self.swept.points(SectionGrid.corners(section), middles(self.low, self.high))
        out[~is_flat] = upright[sheet[~is_flat, 0], node[~is_flat, 0]]
        return np.asarray(self.frame.to_local(out))
