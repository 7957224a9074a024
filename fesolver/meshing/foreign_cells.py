"""Solid cells of a mesh that meshio holds, their regions and density by arrays, sets and physical groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.tissue import Region
from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import ElementName

__all__ = ["SolidCells", "Tags", "cell_density", "cell_regions", "solid_cells"]

Tags = int | str | Sequence[int | str]
"""Numbers in a cell array, or names of cell sets or physical groups, that make one region."""


@dataclass(frozen=True)
class SolidCells:
    """Solid cells of one kind in a `meshio.Mesh`.

    Parameters
    ----------
    element : ElementName
        What they are.
    cells : (n_cells, k) ndarray of int64
        Point ids of the file, VTK order.
    blocks : tuple of int
        Blocks of the file that they come from, in order.
    left_out : tuple of str
        What else the file holds.
    """

    element: ElementName
    cells: NDArray[np.int64]
    blocks: tuple[int, ...]
    left_out: tuple[str, ...]


def solid_cells(grid: Any, where: str) -> SolidCells:
    """The solid cells, of one kind; flat ones, lines and points are left out and told."""
    names: dict[str, ElementName] = {e.meshio_name: name for name, e in ELEMENTS.items()}  # type: ignore[misc]
    counts: dict[str, int] = {}
    for block in grid.cells:
        counts[block.type] = counts.get(block.type, 0) + len(block.data)
    solid = {block.type for block in grid.cells if block.dim == 3 and len(block.data)}
    if len(solid) != 1 or not solid <= set(names):
        shown = ", ".join(f"{counts[kind]} {kind}" for kind in sorted(solid)) or "none"
        raise InputError(
            f"a mesh must have solid cells of one kind, this one has: {shown}", where=where,
            fix=f"keep one of {', '.join(sorted(names))}; mesh again, or split the rest",
        )  # fmt: skip
    (kind,) = solid
    blocks = tuple(i for i, block in enumerate(grid.cells) if block.type == kind)
    cells = np.concatenate([grid.cells[i].data for i in blocks]).astype(np.int64)
    others = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()) if name != kind and n)
    return SolidCells(
        names[kind], cells, blocks, (f"cells that are not solid are left out: {others}",) if others else ()
    )


def cell_regions(
    grid: Any, solid: SolidCells, regions: Mapping[str, Tags], region_key: str | None, where: str
) -> dict[str, Region]:
    """Cells of every region: each cell in exactly one."""
    owner = np.full(len(solid.cells), -1)
    names = list(regions)
    out: dict[str, Region] = {}
    for number, (name, tags) in enumerate(regions.items()):
        chosen = np.zeros(len(solid.cells), dtype=bool)
        for tag in [tags] if isinstance(tags, (int, str)) else tags:
            chosen |= _tagged(grid, solid, tag, region_key, f"{where}, region {name}")
        if not chosen.any():
            raise InputError(f"region {name} has no cells", where=where, fix=f"nothing is tagged {tags!r}")
        twice = np.flatnonzero(chosen & (owner >= 0))
        if len(twice):
            raise InputError(
                f"{len(twice)} cells are both in {names[owner[twice[0]]]} and in {name}",
                where=f"{where}, {_place(grid, solid, int(twice[0]))}", fix="list each tag once",
            )  # fmt: skip
        owner[chosen] = number
        ids = np.flatnonzero(chosen)
        out[name] = Region(ids, np.ones(len(ids)))
    free = np.flatnonzero(owner < 0)
    if len(free):
        raise InputError(
            f"{len(free)} of {len(owner)} cells are in no region",
            where=f"{where}, {_place(grid, solid, int(free[0]))}",
            fix="list the tags of every solid cell" + _known_tags(grid, solid, region_key),
        )  # fmt: skip
    return out


def _tagged(grid: Any, solid: SolidCells, tag: int | str, region_key: str | None, where: str) -> NDArray[np.bool_]:
    """Which solid cells carry a number, or belong to a named set or group."""
    if isinstance(tag, str):
        if tag in grid.cell_sets:
            members = [grid.cell_sets[tag][i] for i in solid.blocks]
            masks = []
            for i, ids in zip(solid.blocks, members, strict=True):
                mask = np.zeros(len(grid.cells[i].data), dtype=bool)
                if ids is not None and len(ids):
                    mask[np.asarray(ids, dtype=np.int64)] = True
                masks.append(mask)
            return np.concatenate(masks)
        if tag in grid.field_data and "gmsh:physical" in grid.cell_data:
            number = int(np.asarray(grid.field_data[tag]).ravel()[0])
            return np.asarray(_array(grid, solid, "gmsh:physical", where) == number)
        known = sorted({*grid.cell_sets, *grid.field_data})
        raise InputError(
            f"there is no cell set and no physical group {tag!r}", where=where,
            fix=f"use one of {known}" if known else "the file names none: use numbers of a cell array",
        )  # fmt: skip
    return np.asarray(_array(grid, solid, _region_key(grid, region_key, where), where) == tag)


def _region_key(grid: Any, region_key: str | None, where: str) -> str:
    """Name of the array that holds the regions' numbers."""
    for key in (region_key,) if region_key is not None else ("gmsh:physical", "region"):
        if key in grid.cell_data:
            return key
    raise InputError(
        "there is no cell array with the numbers of regions" + (f" named {region_key!r}" if region_key else ""),
        where=where, fix=f"region_key is one of {sorted(grid.cell_data)}" if grid.cell_data else "name cell sets",
    )  # fmt: skip


def _known_tags(grid: Any, solid: SolidCells, region_key: str | None) -> str:
    """Which numbers there are, for a message."""
    for key in (region_key, "gmsh:physical", "region"):
        if key is not None and key in grid.cell_data:
            found = np.unique(_array(grid, solid, key, key))
            return f"; {key} has {', '.join(f'{v:g}' for v in found[:20])}{', ...' if len(found) > 20 else ''}"
    return ""


def _array(grid: Any, solid: SolidCells, key: str, where: str) -> NDArray[Any]:
    """One number per solid cell of a named array."""
    if key not in grid.cell_data:
        raise InputError(f"there is no cell array {key!r}", where=where, fix=f"there are {sorted(grid.cell_data)}")
    values = np.concatenate([np.asarray(grid.cell_data[key][i]) for i in solid.blocks])
    if values.size != len(solid.cells):
        raise InputError(f"cell array {key!r} must have one number per cell, got {values.shape}", where=where)
    return values.reshape(-1)


def cell_density(grid: Any, solid: SolidCells, key: str, where: str) -> NDArray[np.float64]:
    """Density (n_cells,) of a named array, finite everywhere."""
    values = _array(grid, solid, key, where).astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        place = _place(grid, solid, int(bad[0]))
        raise InputError(f"{len(bad)} cells have a density {key!r} that is not a number", where=f"{where}, {place}")
    return values


def _place(grid: Any, solid: SolidCells, cell: int) -> str:
    """Where a cell is, in the file's own coordinates."""
    x, y, z = np.asarray(grid.points, dtype=np.float64)[solid.cells[cell]].mean(axis=0)
    return f"cell {cell} at ({x:.4g}, {y:.4g}, {z:.4g}) of the file"
