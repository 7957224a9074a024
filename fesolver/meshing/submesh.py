"""Parts of a mesh as meshes of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.tissue import Region, Tissue
from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import FluidCavity
from fesolver.meshing.spine_mesh import SpineMesh, Surface

__all__ = ["OpenMesh", "OpenMeshes", "extract_body", "without_nuclei", "without_nucleus"]


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
    surfaces = {name: s for name, s in mesh.surfaces.items() if name.split("/")[0] == level}
    body, _ = _submesh(replace(mesh, surfaces=surfaces), held, own)
    body = replace(body, frames={level: mesh.frames[level]}, levels=(level,))
    axes = {name: values for name, values in tissue.axes.items() if name in own}
    return body, Tissue(tissue.density[held], tissue.kind, body.regions, axes)


@dataclass(frozen=True)
class OpenMesh:
    """A mesh without the nucleus of a disc, and the wall of the cavity that is left.

    Parameters
    ----------
    mesh : SpineMesh
        Points and cells renumbered without gaps in the same order; the region of the nucleus is gone.
    cavity : FluidCavity
        Named after the region. Facets counter-clockwise seen from the solid: normals out of the cavity.
    cells, points : (n_cells,) and (n_points,) ndarray of int64
        The cell and the point each one was in the whole mesh.
    """

    mesh: SpineMesh
    cavity: FluidCavity
    cells: NDArray[np.int64]
    points: NDArray[np.int64]

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


def without_nucleus(mesh: SpineMesh, disc: str, *, bulk_modulus: float = float("inf")) -> OpenMesh:
    """The mesh with a cavity for a fluid nucleus.

    Parameters
    ----------
    mesh : SpineMesh
        A mesh whose nucleus fills its cells wholly, such as a structured one.
    disc : str
        Name of the disc, `L1-L2`.
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
    name = f"{disc}/nucleus"
    if name not in mesh.regions or len(mesh.regions[name].cells) == 0:
        discs = sorted(n.split("/")[0] for n in mesh.regions if n.endswith("/nucleus"))
        raise InputError(f"the mesh has no region {name!r}", fix=f"use one of {', '.join(discs) or '(none)'}")
    if not bulk_modulus > 0.0:
        raise InputError(f"bulk_modulus must be positive, not {bulk_modulus:g} MPa", where=name)
    region = mesh.regions[name]
    if np.any(region.fraction < 1.0 - 1e-9):
        raise InputError(f"{name} shares cells with other regions", fix="use a structured mesh for a fluid nucleus")
    held = np.ones(len(mesh.cells), dtype=bool)
    held[region.cells] = False
    wall = _boundary_faces(mesh, region.cells)
    part, point_id = _submesh(mesh, held, {n: r for n, r in mesh.regions.items() if n != name})
    facets = point_id[wall]
    if np.any(facets < 0):
        lost = mesh.points[wall[np.any(facets < 0, axis=1)][0, 0]]
        raise InputError(
            f"the cavity of {name} is open to the outside", where="near ({:.1f}, {:.1f}, {:.1f}) mm".format(*lost)
        )
    return OpenMesh(part, FluidCavity(name, facets, bulk_modulus), np.flatnonzero(held), np.flatnonzero(point_id >= 0))


def _boundary_faces(mesh: SpineMesh, cells: NDArray[np.int64]) -> NDArray[np.int64]:
    """Faces of a set of cells that belong to one of them only, counter-clockwise seen from outside, in cell order."""
    local = ELEMENTS[mesh.element].faces
    if len({len(face) for face in local}) > 1:
        raise InputError(f"faces of {mesh.element} cells are of two kinds: they cannot make one cavity")
    faces = mesh.cells[cells][:, np.array(local)].reshape(-1, len(local[0]))
    _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    return np.asarray(faces[np.sort(first[count == 1])])


@dataclass(frozen=True)
class OpenMeshes:
    """A mesh without the nuclei of all its discs, and the walls of the cavities that are left.

    Parameters
    ----------
    mesh : SpineMesh
        As in `OpenMesh`.
    cavities : tuple of FluidCavity
        Cranial first.
    steps : tuple of OpenMesh
        One per disc, each from the mesh before.
    """

    mesh: SpineMesh
    cavities: tuple[FluidCavity, ...]
    steps: tuple[OpenMesh, ...]

    def tissue(self, whole: Tissue) -> Tissue:
        """What the cells that are left are made of, from the tissue of the whole mesh."""
        for step in self.steps:
            whole = step.tissue(whole)
        return whole


def without_nuclei(mesh: SpineMesh, *, bulk_modulus: float = float("inf")) -> OpenMeshes:
    """The mesh with a cavity for the fluid nucleus of every disc.

    Raises
    ------
    InputError
        As `without_nucleus`.
    """
    discs = [name.split("/")[0] for name in mesh.regions if name.endswith("/nucleus")]
    steps, cavities = list[OpenMesh](), list[FluidCavity]()
    for disc in discs:
        step = without_nucleus(mesh, disc, bulk_modulus=bulk_modulus)
        point_id = np.full(len(mesh.points), -1)
        point_id[step.points] = np.arange(len(step.points))
        cavities = [replace(cavity, facets=point_id[cavity.facets]) for cavity in cavities]
        cavities.append(step.cavity)
        steps.append(step)
        mesh = step.mesh
    return OpenMeshes(mesh, tuple(cavities), tuple(steps))
