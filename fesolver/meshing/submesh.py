"""Parts of a mesh as meshes of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.tissue import Region, Tissue
from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import FluidCavity
from fesolver.meshing.memo import content_digest
from fesolver.meshing.spine_mesh import SpineMesh, Surface

__all__ = ["OpenMesh", "extract_body", "without_nuclei"]


def _restrict(region: Region, new_id: NDArray[np.int64]) -> tuple[Region, NDArray[np.bool_]]:
    """Region on the kept cells, with their new ids, and which of its cells were kept."""
    kept = new_id[region.cells] >= 0
    return Region(new_id[region.cells[kept]], region.fraction[kept]), kept


def _submesh(
    mesh: SpineMesh, held: NDArray[np.bool_], regions: Mapping[str, Region]
) -> tuple[SpineMesh, NDArray[np.int64]]:
    """The mesh of some cells, its regions restricted to them, and the new point ids (-1: gone); surfaces are kept."""
    cell_id = np.where(held, np.cumsum(held) - 1, -1)
    used = np.zeros(len(mesh.points), dtype=bool)
    used[mesh.cells[held]] = True
    point_id = np.where(used, np.cumsum(used) - 1, -1)

    def surface(full: Surface) -> Surface:
        return replace(full, facets=point_id[full.facets], cells=cell_id[full.cells])

    lattice = mesh.lattice
    if lattice is not None:
        lattice = replace(lattice, cell_index=lattice.cell_index[held], point_index=lattice.point_index[used])
    part = replace(
        mesh,
        points=mesh.points[used],
        cells=point_id[mesh.cells[held]],
        regions={name: _restrict(region, cell_id)[0] for name, region in regions.items()},
        surfaces={name: surface(s) for name, s in mesh.surfaces.items()},
        lattice=lattice,
    )
    return part, point_id


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

    def shape() -> SpineMesh:
        surfaces = {name: s for name, s in mesh.surfaces.items() if name.split("/")[0] == level}
        return _submesh(replace(mesh, surfaces=surfaces), held, {})[0]

    # The body's shape is worked out once for all states and cases on the mesh, and so is what follows from it.
    key, n_kept = (level, content_digest(held)), 2 * len(mesh.levels)
    body = mesh.memo.once("body", key, shape, sources=(mesh.surfaces,), size=n_kept)
    cell_id = np.where(held, np.cumsum(held) - 1, -1)
    regions = {name: _restrict(region, cell_id)[0] for name, region in own.items()}
    body = replace(body, regions=regions, frames={level: mesh.frames[level]}, frame=mesh.frame, levels=(level,))
    axes = {name: values for name, values in tissue.axes.items() if name in own}
    return body, Tissue(tissue.density[held], tissue.kind, body.regions, axes)


@dataclass(frozen=True)
class OpenMesh:
    """A mesh without the nuclei of discs, and the walls of the cavities that are left.

    Parameters
    ----------
    mesh : SpineMesh
        Points and cells renumbered without gaps in the same order; the regions of these nuclei are gone.
    cavities : tuple of FluidCavity
        Named after the regions, cranial first. Facets counter-clockwise seen from the solid: normals out of the cavity.
    cells : (n_cells,) ndarray of int64
        The cell each one was in the whole mesh.
    """

    mesh: SpineMesh
    cavities: tuple[FluidCavity, ...]
    cells: NDArray[np.int64]

    def tissue(self, whole: Tissue) -> Tissue:
        """What the cells that are left are made of, from the tissue of the whole mesh."""
        new_id = np.full(len(whole.density), -1)
        new_id[self.cells] = np.arange(len(self.cells))
        regions, axes, depth = {}, {}, {}
        for name, region in whole.regions.items():
            regions[name], kept = _restrict(region, new_id)
            if name in whole.axes:
                axes[name] = whole.axes[name][kept]
            if name in whole.depth:
                depth[name] = whole.depth[name][kept]
        present = {n: r for n, r in regions.items() if len(r.cells)}
        return Tissue(whole.density[self.cells], whole.kind, present, axes, depth)


def without_nuclei(
    mesh: SpineMesh, discs: Sequence[str] | None = None, *, bulk_modulus: float = float("inf")
) -> OpenMesh:
    """The mesh with cavities for fluid nuclei.

    Parameters
    ----------
    mesh : SpineMesh
        A mesh whose nuclei fill their cells wholly, such as a structured one.
    discs : sequence of str, optional
        Names of discs, `L1-L2`; all of the mesh by default.
    bulk_modulus : float
        Of the fluid, MPa; infinity keeps the volume.

    Returns
    -------
    OpenMesh

    Raises
    ------
    InputError
        If there is no such nucleus, it shares cells with another region, or its cavity would be open to the outside.
    """
    present = [name for name, region in mesh.regions.items() if name.endswith("/nucleus") and len(region.cells)]
    names = present if discs is None else [f"{disc}/nucleus" for disc in discs]
    if not bulk_modulus > 0.0:
        raise InputError(f"bulk_modulus must be positive, not {bulk_modulus:g} MPa", where=", ".join(names))
    held = np.ones(len(mesh.cells), dtype=bool)
    for name in names:
        if name not in present:
            known = ", ".join(sorted(other.split("/")[0] for other in present)) or "(none)"
            raise InputError(f"the mesh has no region {name!r}", fix=f"use one of {known}")
        if np.any(mesh.regions[name].fraction < 1.0 - 1e-9):
            raise InputError(f"{name} shares cells with other regions", fix="use a structured mesh for a fluid nucleus")
        held[mesh.regions[name].cells] = False
    part, point_id = _submesh(mesh, held, {n: r for n, r in mesh.regions.items() if n not in names})
    cavities = []
    for name in names:
        wall = _boundary_faces(mesh, mesh.regions[name].cells)
        facets = point_id[wall]
        if np.any(facets < 0):
            lost = mesh.points[wall[np.any(facets < 0, axis=1)][0, 0]]
            raise InputError(
                f"the cavity of {name} is open to the outside", where="near ({:.1f}, {:.1f}, {:.1f}) mm".format(*lost)
            )
        cavities.append(FluidCavity(name, facets, bulk_modulus))
    return OpenMesh(part, tuple(cavities), np.flatnonzero(held))


def _boundary_faces(mesh: SpineMesh, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Faces of a set of cells that belong to one of them only, counter-clockwise seen from outside, in cell order."""
    local = ELEMENTS[mesh.element].faces
    if len({len(face) for face in local}) > 1:
        raise InputError(f"faces of {mesh.element} cells are of two kinds: they cannot make one cavity")
    faces = mesh.cells[cells][:, np.array(local)].reshape(-1, len(local[0]))
    _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    return np.asarray(faces[np.sort(first[count == 1])])
