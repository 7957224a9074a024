"""Parts of a mesh as meshes of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.tissue import Region, Tissue
from fesolver.errors import InputError
from fesolver.meshing.spine_mesh import SpineMesh, Surface

__all__ = ["extract_body"]


def _restrict(region: Region, new_id: NDArray[np.int64]) -> tuple[Region, NDArray[np.bool_]]:
    """Region on the kept cells, with their new ids, and which of its cells were kept."""
    kept = new_id[region.cells] >= 0
    return Region(new_id[region.cells[kept]], region.fraction[kept]), kept


def extract_body(mesh: SpineMesh, tissue: Tissue, level: str) -> tuple[SpineMesh, Tissue]:
    """One vertebral body alone: no posterior elements, no discs, cement and all.

    Parameters
    ----------
    mesh : SpineMesh
        A segment.
    tissue : Tissue
        What its cells are made of; its regions, not the mesh's, decide (a treatment edits the tissue).
    level : str
        Which body.

    Returns
    -------
    mesh : SpineMesh
        Same points, cells and lattice planes, renumbered without gaps in the same order.
    tissue : Tissue

    Raises
    ------
    InputError
        If the mesh has no such level.
    """
    if level not in mesh.levels:
        raise InputError(f"the mesh has no level {level!r}", fix=f"it has {', '.join(mesh.levels)}")
    own = {
        name: region
        for name, region in tissue.regions.items()
        if name.split("/")[0] == level and name != f"{level}/posterior"
    }
    held = np.zeros(len(mesh.cells), dtype=bool)
    for region in own.values():
        held[region.cells] = True
    if not held.any():
        raise InputError(f"the body of {level} has no cells")
    cell_id = np.where(held, np.cumsum(held) - 1, -1)
    used = np.zeros(len(mesh.points), dtype=bool)
    used[mesh.cells[held]] = True
    point_id = np.where(used, np.cumsum(used) - 1, -1)

    def surface(full: Surface) -> Surface:
        return replace(full, facets=point_id[full.facets], cells=cell_id[full.cells])

    lattice = mesh.lattice
    if lattice is not None:
        lattice = replace(lattice, cell_index=lattice.cell_index[held], point_index=lattice.point_index[used])
    regions = {name: _restrict(region, cell_id)[0] for name, region in own.items()}
    body = SpineMesh(
        points=mesh.points[used],
        cells=point_id[mesh.cells[held]],
        regions=regions,
        surfaces={name: surface(s) for name, s in mesh.surfaces.items() if name.split("/")[0] == level},
        frames={level: mesh.frames[level]},
        levels=(level,),
        frame=mesh.frame,
        lattice=lattice,
    )
    axes = {name: values for name, values in tissue.axes.items() if name in own}
    return body, Tissue(tissue.density[held], tissue.kind, regions, axes)
