"""The parametric column in tetrahedra through pygmsh's geometry: an independent check of the structured hexahedra."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import Column, PlacedVertebra
from fesolver.anatomy.disc_shape import DiscShape, check_gaps
from fesolver.anatomy.frames import Frame
from fesolver.anatomy.shape import body_coordinates
from fesolver.errors import InputError
from fesolver.imaging.frames import oriented_frame
from fesolver.meshing.optional import load_pygmsh
from fesolver.meshing.pygmsh_solids import add_column
from fesolver.meshing.quality import check_quality
from fesolver.meshing.second_order import second_order
from fesolver.meshing.tet_layers import body_fractions, check_thickness
from fesolver.meshing.tet_names import SURFACE_NAMES, NamedParts, joined_cells, name_mesh
from fesolver.meshing.tet_volume import GMSH_OPTIONS, boundary_facets, gmsh_session
from fesolver.meshing.tetrahedra import TetMesh
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, OUTER, SUPERIOR_ENDPLATE

__all__ = ["disc_coordinates", "mesh_with_pygmsh"]

_OPTIONS = {
    **GMSH_OPTIONS,
    "Mesh.MeshSizeFromPoints": 1,
    "Mesh.MeshSizeExtendFromBoundary": 1,
    "Mesh.Algorithm": 6,  # frontal Delaunay on the surfaces
    "Mesh.OptimizeNetgen": 1,
}
_STEP = 1e-6
_NEWTON_STEPS = 30
_CONVERGED_MM = 1e-10
_STEEPEST = 0.7
"""Cosine between a facet's normal and the body's axis beyond which it belongs to an endplate."""
_AT_WALL = 0.9
"""Normalised radius of a facet's middle below which it belongs to an endplate, however steep its hollow."""


def mesh_with_pygmsh(
    column: Column,
    *,
    size_mm: float = 3.0,
    element: Literal["tet4", "tet10"] = "tet4",
    cortical_thickness_mm: float | None = None,
    endplate_thickness_mm: float | None = None,
    min_scaled_jacobian: float = 0.05,
) -> TetMesh:
    """Mesh of the parametric column, its solids made of pygmsh's splines and filled surfaces.

    Parameters
    ----------
    column : Column
        From `fesolver.anatomy.column.build_column`.
    size_mm : float
        Edge length everywhere, mm, 0.5 to 10.
    element : {"tet4", "tet10"}
        Linear cells, or quadratic ones with straight edges.
    cortical_thickness_mm, endplate_thickness_mm : float, optional
        True thickness of shell and endplates of every level, by volume fractions; by default the dimensions' own. 0
        leaves the layer out.
    min_scaled_jacobian : float
        Cells below it are refused.

    Returns
    -------
    TetMesh
        Regions, surfaces, frames and the segment frame as in the structured mesh.

    Raises
    ------
    InputError
        On a parameter out of range, bodies that overlap, a solid that gmsh cannot fill, or regions that are not found
        again as one piece each.
    MissingDependencyError
        Without pygmsh or gmsh.

    Notes
    -----
    pygmsh's `generate_mesh` gives cells without their physical groups. Cells are told apart by the anatomy's own
    functions at their centroids: a body where `body_coordinates` is positive, elsewhere the disc in whose normalised
    coordinates the centroid lies, nucleus where `DiscShape.annulus_layer` is negative. As solids share their surfaces
    no cell straddles two of them; each region must come out as one connected piece.
    """
    if element not in ("tet4", "tet10"):
        raise InputError(f"element {element!r} is unknown", fix="use 'tet4' or 'tet10'")
    if not 0.5 <= size_mm <= 10.0:
        raise InputError(f"size_mm must lie in 0.5 to 10 mm, not {size_mm:g}")
    given = {"cortical_thickness_mm": cortical_thickness_mm, "endplate_thickness_mm": endplate_thickness_mm}
    check_thickness(**{name: value for name, value in given.items() if value is not None})
    check_gaps(column)
    shapes = tuple(
        DiscShape(upper, lower, disc)
        for disc, upper, lower in zip(column.discs, column.vertebrae[:-1], column.vertebrae[1:], strict=True)
    )
    points, cells = _generate(column, shapes, size_mm)
    owner, place = _owners(points[cells].mean(axis=1), column, shapes)
    by_part = {name: cells[owner == i] for i, name in enumerate(_part_names(column))}
    sides = {v.level: _outside(points, by_part[v.level], v) for v in column.vertebrae}
    outside = {level: side[0] for level, side in sides.items()}
    kinds = {level: side[1] for level, side in sides.items()}
    frame = _segment_frame(points, outside, kinds, column)
    points = frame.to_local(points)
    fractions = {
        v.level: body_fractions(
            points[by_part[v.level]],
            {n: TriangleSurface(points, outside[v.level][kinds[v.level] == k]) for n, k in SURFACE_NAMES.items()},
            thickness_mm=_thickness(v, cortical_thickness_mm, endplate_thickness_mm),
        )
        for v in column.vertebrae
    }
    places = {shape.disc.name: place[owner == len(column.vertebrae) + i] for i, shape in enumerate(shapes)}
    layers = {shape.disc.name: shape.annulus_layer(*places[shape.disc.name][:, :2].T) for shape in shapes}
    for name, layer in layers.items():
        fractions[name] = {"nucleus": (layer < 0.0).astype(np.float64), "annulus": (layer >= 0.0).astype(np.float64)}
    left = {v.level: frame.vectors_to_local(v.frame.axes[0]) for v in column.vertebrae}
    mesh = name_mesh(NamedParts(points, by_part, fractions, outside, kinds, left, frame))
    _check_pieces(by_part, fractions)
    axes, depth = {}, {}
    for shape in shapes:
        layer = layers[shape.disc.name]
        own = places[shape.disc.name][layer >= 0.0]
        axes[f"{shape.disc.name}/annulus"] = frame.vectors_to_local(shape.annulus_axes(*own.T))
        depth[f"{shape.disc.name}/annulus"] = np.clip(layer[layer >= 0.0], 0.0, 1.0)
    if element == "tet10":
        mesh = second_order(mesh)
    check_quality(mesh, min_scaled_jacobian=min_scaled_jacobian)
    return TetMesh(mesh, {v.level: v for v in column.vertebrae}, axes, depth)


def disc_coordinates(points: NDArray[np.float64], shape: DiscShape) -> NDArray[np.float64]:
    """Normalised places of points in a disc: the inverse of `DiscShape.points`.

    Parameters
    ----------
    points : (n, 3) ndarray
        In the column's parent frame, mm, in or near the disc.
    shape : DiscShape
        Of the disc.

    Returns
    -------
    (n, 3) ndarray
        xi, eta, s; NaN where Newton's method does not come within a micrometre, as it may far outside.

    Examples
    --------
    >>> from fesolver.anatomy.column import build_column
    >>> column = build_column(["L1", "L2"])
    >>> shape = DiscShape(*column.vertebrae, column.discs[0])
    >>> disc_coordinates(shape.points(0.5, -0.3, 0.2), shape).round(9)
    array([[ 0.5, -0.3,  0.2]])
    """
    at = np.zeros((len(points), 3))
    for _ in range(_NEWTON_STEPS):
        gap = points - shape.points(*at.T)
        if np.abs(gap).max(initial=0.0) < _CONVERGED_MM:
            break
        columns = [
            (shape.points(*(at + step).T) - shape.points(*(at - step).T)) / (2.0 * _STEP) for step in _STEP * np.eye(3)
        ]
        move = np.linalg.solve(np.stack(columns, axis=-1), gap[..., None])[..., 0]
        # Far from the disc the map may fold: short steps, and never beyond twice its size.
        length = np.linalg.norm(move, axis=1, keepdims=True)
        at = np.clip(at + move * np.minimum(1.0, 0.5 / np.maximum(length, 1e-12)), -2.0, 2.0)
    missed = np.linalg.norm(points - shape.points(*at.T), axis=1) > 1e-3
    at[missed] = np.nan
    return at


def _generate(
    column: Column, shapes: tuple[DiscShape, ...], size_mm: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points and tetrahedra of pygmsh, in the column's parent frame."""
    pygmsh = load_pygmsh()
    with gmsh_session(_OPTIONS) as gmsh:
        geometry = pygmsh.geo.Geometry()
        try:
            add_column(geometry, column, shapes, size_mm)
            mesh = geometry.generate_mesh(dim=3)
        except Exception as error:  # gmsh raises Exception itself
            said = [line.split(": ", 1)[-1] for line in gmsh.logger.get() if line.startswith("Error")]
            raise InputError(
                f"gmsh cannot fill the column {', '.join(column.levels)}: {'; '.join([*said[-2:], str(error)])}",
                fix="give a smaller size_mm, or a less extreme shape",
            ) from error
    cells = np.asarray(mesh.cells_dict["tetra"], dtype=np.int64)
    used, cells = np.unique(cells, return_inverse=True)
    return np.asarray(mesh.points, dtype=np.float64)[used], cells.reshape(-1, 4)


def _part_names(column: Column) -> tuple[str, ...]:
    """Levels, then discs, cranial first."""
    return (*column.levels, *(disc.name for disc in column.discs))


def _owners(
    centroids: NDArray[np.float64], column: Column, shapes: tuple[DiscShape, ...]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Position in `_part_names` of the solid around each centroid, and its place (n, 3) if that is a disc."""
    owner = np.full(len(centroids), -1)
    place = np.zeros((len(centroids), 3))
    for i, vertebra in enumerate(column.vertebrae):
        depth = body_coordinates(vertebra.frame.to_local(centroids), vertebra.dimensions).depth_mm
        owner[depth > 0.0] = i
    for i, shape in enumerate(shapes):
        middle = 0.5 * (shape.upper.inferior_rim_centre + shape.lower.superior_rim_centre)
        # Half a body's height is farther from a disc than any of its own places, and nearer than another disc's.
        reach = 0.5 * (shape.upper.dimensions.mid_height_mm + shape.lower.dimensions.mid_height_mm)
        near = np.flatnonzero((owner < 0) & (np.abs((centroids - middle) @ shape.axis) < reach))
        found = disc_coordinates(centroids[near], shape)
        is_in = (np.hypot(found[:, 0], found[:, 1]) < 1.05) & (np.abs(found[:, 2]) < 1.05)
        owner[near[is_in]] = len(column.vertebrae) + i
        place[near[is_in]] = found[is_in]
    lost = np.flatnonzero(owner < 0)
    if len(lost):
        raise InputError(
            f"{len(lost)} cells lie in no body and no disc",
            where="first at ({:.1f}, {:.1f}, {:.1f}) mm in the column's frame".format(*centroids[lost[0]]),
            fix="give a smaller size_mm",
        )
    return owner, place


def _outside(
    points: NDArray[np.float64], cells: NDArray[np.int64], vertebra: PlacedVertebra
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Facets of a body's outside and their kind."""
    facets = boundary_facets(cells)[0]
    surface = TriangleSurface(vertebra.frame.to_local(points), facets)
    radius = body_coordinates(surface.centers, vertebra.dimensions).radius
    upwards = surface.normals[:, 2]
    is_wall = (radius > _AT_WALL) & (np.abs(upwards) < _STEEPEST)
    kind = np.where(is_wall, OUTER, np.where(surface.centers[:, 2] > 0.0, SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE))
    return facets, kind.astype(np.int8)


def _segment_frame(
    points: NDArray[np.float64],
    outside: dict[str, NDArray[np.int64]],
    kinds: dict[str, NDArray[np.int8]],
    column: Column,
) -> Frame:
    """Segment frame in the column's parent frame: the outermost endplates' centroids, the bodies' mean left."""
    ends = []
    for level, kind in ((column.levels[-1], INFERIOR_ENDPLATE), (column.levels[0], SUPERIOR_ENDPLATE)):
        plate = TriangleSurface(points, outside[level][kinds[level] == kind])
        ends.append(plate.areas @ plate.centers / plate.areas.sum())
    left = np.sum([vertebra.frame.axes[0] for vertebra in column.vertebrae], axis=0)
    return oriented_frame(ends[0], ends[1] - ends[0], left / np.linalg.norm(left))


def _thickness(vertebra: PlacedVertebra, cortical: float | None, endplate: float | None) -> dict[str, float]:
    """Thickness of the layers of one body, mm."""
    d = vertebra.dimensions
    return {
        "outer": d.shell_thickness_mm if cortical is None else cortical,
        "superior_endplate": d.superior_endplate_thickness_mm if endplate is None else endplate,
        "inferior_endplate": d.inferior_endplate_thickness_mm if endplate is None else endplate,
    }


def _check_pieces(cells: dict[str, NDArray[np.int64]], fractions: dict[str, dict[str, NDArray[np.float64]]]) -> None:
    """Every body, nucleus and annulus is one piece: a cell told wrongly would stand alone in another solid."""
    for name, own in cells.items():
        wholes = {name: np.ones(len(own), dtype=np.bool_)}
        if "nucleus" in fractions[name]:
            wholes = {f"{name}/{part}": fractions[name][part] > 0.0 for part in ("nucleus", "annulus")}
        for whole, chosen in wholes.items():
            loose = int(chosen.sum() - joined_cells(own, chosen).sum())
            if loose or not chosen.any():
                raise InputError(
                    f"{loose} cells of {whole} are not joined to the rest of it",
                    where=whole,
                    fix="give a smaller size_mm",
                )
