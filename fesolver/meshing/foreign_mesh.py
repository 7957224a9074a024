"""Meshes that other programs made, read through meshio: their cell data become regions and density."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.frames import Frame
from fesolver.anatomy.levels import LEVELS, disc_name, sort_levels
from fesolver.errors import InputError
from fesolver.meshing.foreign_cells import Tags, cell_density, cell_regions, solid_cells
from fesolver.meshing.foreign_names import BODY_PARTS, DISC_PARTS, find_frames, find_surfaces, segment_frame_of
from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.surfaces.axes import EXTENT_RANGE_MM, MM_PER_UNIT, Unit, axes_matrix

__all__ = ["ForeignMesh", "read_foreign_mesh"]

SCHEMA = 1
"""Of the JSON beside our own meshes."""


@dataclass(frozen=True)
class ForeignMesh:
    """A mesh read from a file.

    Parameters
    ----------
    mesh : SpineMesh
        In the segment frame; every cell belongs whole to one region.
    density : (n_cells,) ndarray or None
        g/cm3, of the kind the caller knows; None where no array was asked for.
    findings : tuple of str
        What was left out or looks odd.
    """

    mesh: SpineMesh
    density: NDArray[np.float64] | None
    findings: tuple[str, ...]


def read_foreign_mesh(
    source: Path | str | Any,
    *,
    regions: Mapping[str, Tags] | None = None,
    axes: str,
    unit: Unit,
    region_key: str | None = None,
    density_key: str | None = None,
) -> ForeignMesh:
    """Read any mesh that meshio reads.

    Parameters
    ----------
    source : Path, str or meshio.Mesh
        A file, or a mesh in memory.
    regions : mapping of str to int, str or a sequence of them, optional
        Region -> the numbers of its cells in `region_key`, or the names of its cell sets or physical groups. Regions
        are named `L1/trabecular`, `L1-L2/annulus` and so on. By default the JSON that `write_mesh` puts beside the file
        says so, and which frame its points are in.
    axes : str
        What x, y and z of the file point to: three letters, see `fesolver.surfaces.axes.axes_matrix`.
    unit : {"mm", "cm", "m"}
        Of the coordinates.
    region_key : str, optional
        Name of an array of whole numbers over cells; by default `gmsh:physical` or `region`, whichever there is.
    density_key : str, optional
        Name of an array of densities over cells, g/cm3.

    Returns
    -------
    ForeignMesh
        Points moved to the segment frame (z from the centroid of the lowest inferior to that of the highest superior
        endplate), cells in the file's order. Points that no solid cell uses are left out.

    Raises
    ------
    InputError
        If the file cannot be read; has solid cells of several kinds, or of a kind this package does not solve; a region
        is unknown or empty, a cell is in none or in two; cells are inverted or mirrored; a body's extent is not that of
        a vertebra; an array is missing or not finite; or a body has no endplates. The message has the place in mm.

    Notes
    -----
    Surfaces are found from the bodies' facets (`fesolver.meshing.foreign_names.find_surfaces`). A cell is whole in its
    region: fractions of layers thinner than cells are not in such files.

    Examples
    --------
    >>> import meshio
    >>> from fesolver.anatomy.column import build_column
    >>> from fesolver.meshing.structured import mesh_column
    >>> ours = mesh_column(build_column(["L3"]), refinement=0.4, cortical_thickness_mm=0, endplate_thickness_mm=0).mesh
    >>> bone = [np.arange(len(ours.cells))]
    >>> grid = meshio.Mesh(ours.points / 10.0, [("hexahedron", ours.cells)], cell_sets={"bone": bone})
    >>> found = read_foreign_mesh(grid, regions={"L3/trabecular": "bone"}, axes="LPS", unit="cm").mesh
    >>> sorted(found.surfaces)
    ['L3/inferior_endplate', 'L3/outer', 'L3/superior_endplate']
    """
    turn = axes_matrix(axes)
    if unit not in MM_PER_UNIT:
        raise InputError(f"unit {unit!r} is not known", where="unit", fix=f"use one of {', '.join(MM_PER_UNIT)}")
    grid, where = _open(source)
    own_frame: Frame | None = None
    if regions is None:
        regions, own_frame = _legend(source, axes, unit)
        region_key = "region"
    levels = _levels(regions)
    solid = solid_cells(grid, where)
    parts = cell_regions(grid, solid, regions, region_key, where)
    used, cells = np.unique(solid.cells, return_inverse=True)
    file_points = np.asarray(grid.points, dtype=np.float64)[used]
    if file_points.shape[1] != 3 or not np.all(np.isfinite(file_points)):
        raise InputError(f"points must be finite and have 3 coordinates, got {file_points.shape[1]}", where=where)
    points = file_points @ turn * MM_PER_UNIT[unit]
    identity = Frame(np.zeros(3), np.eye(3))
    mesh = SpineMesh(
        points, cells.reshape(solid.cells.shape).astype(np.int64), parts, {}, {}, levels, identity, None, solid.element
    )
    _check_shape(mesh, where)
    surfaces, findings = find_surfaces(mesh)
    mesh = replace(mesh, surfaces=surfaces)
    mesh = replace(mesh, frame=own_frame) if own_frame is not None else _into_segment(mesh)
    mesh = replace(mesh, frames=find_frames(mesh))
    density = None if density_key is None else cell_density(grid, solid, density_key, where)
    dropped = len(grid.points) - len(used)
    notes = (f"{dropped} points belong to no solid cell and are left out",) if dropped else ()
    return ForeignMesh(mesh, density, (*solid.left_out, *notes, *findings))


def _open(source: Path | str | Any) -> tuple[Any, str]:
    """A meshio mesh, and what to call it in messages."""
    import meshio

    if isinstance(source, meshio.Mesh):
        return source, "the mesh"
    path = Path(source)
    if not path.is_file():
        raise InputError("there is no such file", where=str(path))
    try:
        return meshio.read(path), str(path)
    except (Exception, SystemExit) as error:  # meshio leaves by either, whatever its parsers meet
        why = "it says so and ends" if isinstance(error, SystemExit) else str(error) or type(error).__name__
        raise InputError(
            f"meshio cannot read the file: {why}",
            where=str(path),
            fix="check that its ending names its format; `meshio convert` makes .vtu of many",
        ) from error


def _legend(source: Path | str | Any, axes: str, unit: str) -> tuple[Mapping[str, Tags], Frame]:
    """Regions and segment frame from the JSON that `write_mesh` puts beside a mesh."""
    path = Path(source).with_suffix(".json") if isinstance(source, (str, Path)) else None
    if path is None or not path.is_file():
        raise InputError(
            "nothing says which cells are which region",
            where="regions" if path is None else f"regions: there is no {path.name} beside the mesh",
            fix='name them, for example {"L1/trabecular": 1, "L1-L2/annulus": [5, 6]}',
        )
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        schema, numbers = int(content["schema"]), content["region"]
        frame = Frame(np.array(content["frame"]["origin_mm"], float), np.array(content["frame"]["axes"], float))
        regions: dict[str, Tags] = {str(name): int(number) for number, name in numbers.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            "the JSON beside the mesh is not one that this package writes", where=str(path), fix="give `regions`"
        ) from error
    if schema > SCHEMA:
        raise InputError(f"schema {schema} is newer than this package knows ({SCHEMA})", where=str(path))
    if axes.upper() != "LPS" or unit != "mm":
        raise InputError(
            f'this mesh is in LPS and mm, not in "{axes}" and "{unit}"',
            where=str(path),
            fix='axes = "LPS", unit = "mm"',
        )
    return regions, frame


def _levels(regions: Mapping[str, Tags]) -> tuple[str, ...]:
    """Levels that the regions name, cranial first; unknown names are refused with the list of known ones."""
    body_parts = (*BODY_PARTS, "posterior")
    levels = sort_levels({name.split("/")[0] for name in regions if name.split("/")[0] in LEVELS})
    discs = {disc_name(a, b) for a, b in pairwise(LEVELS) if a in levels and b in levels}
    for name in regions:
        owner, _, part = name.partition("/")
        if not ((owner in levels and part in body_parts) or (owner in discs and part in DISC_PARTS)):
            raise InputError(
                f"unknown region {name!r}",
                where="regions",
                fix=f"use LEVEL/PART, LEVEL one of C1..S1 and PART of {', '.join(body_parts)}; or UPPER-LOWER/PART "
                f"between neighbours of the mesh and PART of {', '.join(DISC_PARTS)}",
            )
    if not levels:
        raise InputError("the regions name no vertebra", where="regions", fix="name one L1/trabecular, for example")
    for upper, lower in pairwise(levels):
        if LEVELS.index(lower) != LEVELS.index(upper) + 1:
            raise InputError(
                f"{upper} and {lower} are not neighbours", where="regions", fix="name the levels between them too"
            )
    return levels


def _check_shape(mesh: SpineMesh, where: str) -> None:
    """Refuse inverted cells, a mirrored mesh, and bodies too small or too large for vertebrae."""
    quality = mesh_quality(mesh.points, mesh.cells, mesh.element)
    bad = np.flatnonzero(~((quality.volume > 0.0) & (quality.least_det_jacobian > 0.0)))
    if len(bad) == len(mesh.cells) and np.all(quality.volume < 0.0):
        raise InputError(
            "every cell is inside out: the mesh is mirrored, or its nodes are listed from the other end", where=where,
            fix="write the mesh with right-handed coordinates and nodes in VTK order; it is not turned over by itself, "
            "since left and right might be exchanged",
        )  # fmt: skip
    if len(bad):
        x, y, z = mesh.points[mesh.cells[bad[0]]].mean(axis=0)
        raise InputError(
            f"{len(bad)} of {len(mesh.cells)} cells are inverted or flat",
            where=f"{where}, the first is cell {bad[0]} at ({x:.1f}, {y:.1f}, {z:.1f}) mm LPS",
            fix="repair the mesh, or list nodes in VTK order",
        )
    low, high = EXTENT_RANGE_MM
    for level in mesh.levels:
        extent = np.ptp(mesh.points[mesh.cells[mesh.level_cells(level)]].reshape(-1, 3), axis=0)
        if extent.min() < low or extent.max() > high:
            shown = " x ".join(f"{e:.3g}" for e in extent)
            raise InputError(
                f"{level} is {shown} mm large; a vertebra has {low:.0f} to {high:.0f} mm each way",
                where=where, fix="check unit, and which cells are this level",
            )  # fmt: skip


def _into_segment(mesh: SpineMesh) -> SpineMesh:
    """The mesh in its segment frame instead of LPS+ mm."""
    frame = segment_frame_of(mesh)
    surfaces = {name: replace(s, normals=frame.vectors_to_local(s.normals)) for name, s in mesh.surfaces.items()}
    return replace(mesh, points=frame.to_local(mesh.points), surfaces=surfaces, frame=frame)
