"""A voxel mesh of a parametric segment whose regions come from the shapes themselves: no labels, no fitted discs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from segment_shapes import OUTSIDE, ZONES, BodyShape, SegmentShape

from fesolver.anatomy.frames import Frame
from fesolver.bone.tissue import Region, Tissue
from fesolver.fem.problem import Lattice
from fesolver.fem.voxel_mesh import VTK_CORNERS
from fesolver.meshing.spine_mesh import SpineMesh, Surface
from fesolver.meshing.surfaces import FACE_CORNERS, FACE_STEPS

__all__ = ["VoxelModel", "voxel_model"]

Array = NDArray[np.float64]

_CHUNK = 400_000
_NZ = len(ZONES)
_N_BODY = 8
"""Zones of a body; the disc's follow."""
_SURFACES = ("superior_endplate", "inferior_endplate", "outer")


@dataclass(frozen=True)
class VoxelModel:
    """A voxel mesh and what fills it.

    Parameters
    ----------
    mesh : SpineMesh
        In the segment frame that was given.
    tissue : Tissue
        Uniform density in bodies.
    zones : mapping of str to Region
        `L1/trabecular/superior 2`: fraction of each cell that is trabecular bone so deep under that endplate.
    """

    mesh: SpineMesh
    tissue: Tissue
    zones: Mapping[str, Region]


def voxel_model(
    shape: SegmentShape,
    frame: Frame,
    frames: Mapping[str, Frame],
    *,
    spacing_mm: float,
    density_g_cm3: float,
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
    samples: int = 3,
) -> VoxelModel:
    """Mesh a segment with equal cubes.

    Parameters
    ----------
    shape : SegmentShape
        Regions as functions of points.
    frame : Frame
        Segment frame in the column's parent frame; the lattice is along its axes.
    frames : mapping of str to Frame
        Frames of levels and discs in the segment frame, carried over.
    spacing_mm : float
        Cell edge.
    density_g_cm3 : float
        Of all bone.
    shift : tuple of float
        Place of the lattice, in cells.
    samples : int
        Sample points per cell and axis where a cell is not of one region; odd, so that no cell is shared in halves.

    Returns
    -------
    VoxelModel

    Notes
    -----
    A cell belongs to the mesh if half of its samples lie in the segment, and then to the body or disc that holds most
    of them. What this body's samples are gives the fractions of its regions, as in `meshing.voxel`; a disc's cell is
    nucleus or annulus, whichever is more.
    """
    origin, shape3 = _box(shape, frame, spacing_mm, shift)
    counts, cells = _samples(shape, frame, origin, spacing_mm, shape3, samples)
    part = _parts(counts, samples**3)
    grid = np.full(shape3, OUTSIDE, np.int64)
    grid[tuple(cells.T)] = part
    pieces, n = ndimage.label(grid >= 0)
    if n > 1:
        grid[pieces != 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))] = OUTSIDE
    held = grid[tuple(cells.T)] >= 0
    order = np.lexsort(cells[held].T)
    cells, counts, part = cells[held][order], counts[held][order], part[held][order]
    lattice, connectivity, points = _lattice(cells, origin, spacing_mm, shape3)
    regions, zones = _regions(shape, counts, part)
    mesh = SpineMesh(
        points=points,
        cells=connectivity,
        regions=regions,
        surfaces=_surfaces(shape, frame, grid, lattice),
        frames=dict(frames),
        levels=shape.column.levels,
        frame=frame,
        lattice=lattice,
    )
    density = np.where(part % 2 == 0, density_g_cm3, 0.0)
    return VoxelModel(mesh, Tissue(density, "rho_qct", regions, _annulus_axes(shape, mesh)), zones)


def _box(
    shape: SegmentShape, frame: Frame, h: float, shift: tuple[float, float, float]
) -> tuple[Array, tuple[int, int, int]]:
    """Lower corner and cells of a lattice around all bodies."""
    corners = []
    for body in shape.bodies:
        d = body.dimensions
        half = 0.5 * np.array([
            max(d.superior_width_mm, d.inferior_width_mm),
            max(d.superior_depth_mm, d.inferior_depth_mm) + 2.0,
            max(d.anterior_height_mm, d.posterior_height_mm),
        ])  # fmt: skip
        corners.append(body.vertebra.frame.to_parent(half * (2.0 * VTK_CORNERS - 1.0)))
    local = frame.to_local(np.concatenate(corners))
    low = np.floor(local.min(axis=0) / h) - 2 + np.asarray(shift)
    high = np.ceil(local.max(axis=0) / h) + 2
    n = (high - low).astype(int) + 1
    return low * h, (int(n[0]), int(n[1]), int(n[2]))


def _samples(
    shape: SegmentShape, frame: Frame, origin: Array, h: float, shape3: tuple[int, int, int], samples: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Samples (n, codes) of every region in cells (n, 3) not all outside; all are of one where the corners agree."""
    n_codes = _NZ * len(shape.bodies)

    def codes(at: Array) -> NDArray[np.int8]:
        out = np.empty(len(at), np.int8)
        for k in range(0, len(at), _CHUNK):
            out[k : k + _CHUNK] = shape.codes(frame.to_parent(origin + h * at[k : k + _CHUNK]))
        return out

    nx, ny, nz = shape3
    nodes = np.empty((nx + 1, ny + 1, nz + 1), np.int8)
    plane = np.stack(np.meshgrid(np.arange(nx + 1.0), np.arange(ny + 1.0), indexing="ij"), axis=-1).reshape(-1, 2)
    for k in range(nz + 1):
        nodes[:, :, k] = codes(np.column_stack([plane, np.full(len(plane), float(k))])).reshape(nx + 1, ny + 1)
    corners = [nodes[i : nx + i, j : ny + j, k : nz + k] for i, j, k in VTK_CORNERS]
    low, high = np.minimum.reduce(corners), np.maximum.reduce(corners)
    pure = np.argwhere((low == high) & (low != OUTSIDE))
    mixed = np.argwhere(low != high)
    counts = np.zeros((len(pure) + len(mixed), n_codes), np.int32)
    counts[np.arange(len(pure)), low[tuple(pure.T)]] = samples**3
    sub = (np.stack(np.meshgrid(*[np.arange(samples)] * 3, indexing="ij"), axis=-1).reshape(-1, 3) + 0.5) / samples
    step = max(1, _CHUNK // len(sub))
    for k in range(0, len(mixed), step):
        some = mixed[k : k + step]
        found = codes((some[:, None] + sub).reshape(-1, 3)).astype(np.int64).reshape(len(some), -1)
        flat = np.where(found >= 0, found, n_codes) + (n_codes + 1) * np.arange(len(some))[:, None]
        table = np.bincount(flat.ravel(), minlength=(n_codes + 1) * len(some)).reshape(len(some), -1)
        counts[len(pure) + k : len(pure) + k + len(some)] = table[:, :-1]
    return counts, np.concatenate([pure, mixed])


def _parts(counts: NDArray[np.int32], whole: int) -> NDArray[np.int64]:
    """Part of every cell: 2 i the i-th body from above, 2 i + 1 the disc under it, `OUTSIDE` if under half full."""
    blocks = counts.reshape(len(counts), -1, _NZ)
    per_part = np.stack([blocks[:, :, :_N_BODY].sum(axis=2), blocks[:, :, _N_BODY:].sum(axis=2)], axis=2)
    per_part = per_part.reshape(len(counts), -1)
    full = 2 * per_part.sum(axis=1) >= whole
    return np.where(full, np.argmax(per_part, axis=1), OUTSIDE)


def _lattice(
    cells: NDArray[np.int64], origin: Array, h: float, shape3: tuple[int, int, int]
) -> tuple[Lattice, NDArray[np.int64], Array]:
    """Lattice, cells' points and points; x runs fastest in both numberings."""
    n = np.array(shape3) + 1
    corner = cells[:, None] + VTK_CORNERS
    keys, ids = np.unique(corner @ np.array([1, n[0], n[0] * n[1]]), return_inverse=True)
    index = np.stack([keys % n[0], keys // n[0] % n[1], keys // (n[0] * n[1])], axis=1).astype(np.int32)
    lattice = Lattice(shape3, np.full(3, h), origin, cells.astype(np.int32), index)
    return lattice, ids.reshape(-1, 8).astype(np.int64), origin + h * index


def _regions(
    shape: SegmentShape, counts: NDArray[np.int32], part: NDArray[np.int64]
) -> tuple[dict[str, Region], dict[str, Region]]:
    """Regions by name, and zones of trabecular bone by name, as fractions of the cells."""
    regions: dict[str, Region] = {}
    zones: dict[str, Region] = {}

    def add(into: dict[str, Region], name: str, own: NDArray[np.int64], fraction: Array) -> None:
        if np.any(fraction > 0.0):
            into[name] = Region(own[fraction > 0.0], fraction[fraction > 0.0])

    for i, level in enumerate(shape.column.levels):
        own = np.flatnonzero(part == 2 * i)
        body = counts[own, _NZ * i : _NZ * i + _N_BODY]
        body = body / body.sum(axis=1)[:, None]
        add(regions, f"{level}/trabecular", own, body[:, :5].sum(axis=1))
        for k in range(5, _N_BODY):
            add(regions, f"{level}/{ZONES[k]}", own, body[:, k])
        for k in range(1, 5):
            add(zones, f"{level}/{ZONES[k]}", own, body[:, k])
    for i, disc in enumerate(shape.column.discs):
        own = np.flatnonzero(part == 2 * i + 1)
        nucleus, annulus = counts[own, _NZ * i + 8], counts[own, _NZ * i + 9]
        add(regions, f"{disc.name}/nucleus", own, (nucleus >= annulus).astype(float))
        add(regions, f"{disc.name}/annulus", own, (nucleus < annulus).astype(float))
    return regions, zones


def _surfaces(shape: SegmentShape, frame: Frame, grid: NDArray[np.int64], lattice: Lattice) -> dict[str, Surface]:
    """Endplates and walls of every body from the faces of its cells."""
    padded = np.pad(grid, 1, constant_values=OUTSIDE)
    n = np.array(lattice.shape) + 1
    key = np.array([1, n[0], n[0] * n[1]])
    point_keys = lattice.point_index.astype(np.int64) @ key
    cell_keys = lattice.cell_index.astype(np.int64) @ key
    h = float(lattice.spacing[0])
    out: dict[str, Surface] = {}
    for i, level in enumerate(shape.column.levels):
        at = np.argwhere(grid == 2 * i)
        cells, direction, beyond = [], [], []
        for d, step in enumerate(FACE_STEPS):
            there = padded[tuple((at + 1 + step).T)]
            cells.append(at[there != 2 * i])
            beyond.append(there[there != 2 * i])
            direction.append(np.full(int((there != 2 * i).sum()), d))
        cell, way, part = np.concatenate(cells), np.concatenate(direction), np.concatenate(beyond)
        centres = frame.to_parent(lattice.origin + h * (cell + 0.5 + FACE_STEPS[way]))
        kind = _kinds(shape.bodies[i], centres, frame.vectors_to_parent(FACE_STEPS[way].astype(float)), h)
        kind[(part >= 0) & (part == 2 * i - 1)] = 0
        kind[part == 2 * i + 1] = 1
        facets = np.searchsorted(point_keys, (cell[:, None] + FACE_CORNERS[way]) @ key)
        behind = np.searchsorted(cell_keys, cell @ key)
        for number, name in enumerate(_SURFACES):
            mine = kind == number
            normals = FACE_STEPS[way[mine]].astype(np.float64)
            out[f"{level}/{name}"] = Surface(facets[mine], behind[mine], normals, np.full(len(normals), h * h))
    return out


def _kinds(body: BodyShape, beyond: Array, direction: Array, h: float) -> NDArray[np.int64]:
    """Superior endplate (0), inferior endplate (1) or wall (2) of faces, by the cells' centres beyond them.

    A tread is endplate where the centre beyond it is no more than 0.75 h below the true endplate; a riser only where
    it also lies inside the wall, by h / 4.
    """
    d = body.dimensions
    xi, eta, s = body.places(beyond).T
    radius = 0.25 * (d.superior_width_mm + d.superior_depth_mm)
    over_wall = (np.hypot(xi, eta) - 1.0) * radius
    normals = np.stack([body.vertebra.superior_normal, body.vertebra.inferior_normal])
    out = np.full(len(beyond), 2)
    for number, sign in enumerate((1.0, -1.0)):
        over_end = (sign * s - 1.0) * 0.5 * d.mid_height_mm
        is_tread = direction @ normals[number] > 0.5
        is_riser = np.abs(direction @ normals[number]) <= 0.5
        near = over_end > -0.75 * h
        out[near & (is_tread | (is_riser & (over_wall < -0.25 * h)))] = number
    return out


def _annulus_axes(shape: SegmentShape, mesh: SpineMesh) -> dict[str, Array]:
    """Local axes in the centres of the annulus' cells, in the segment frame."""
    assert mesh.lattice is not None
    out = {}
    for disc, invert in zip(shape.discs, shape.disc_inverses, strict=True):
        cells = mesh.regions[f"{disc.disc.name}/annulus"].cells
        centres = mesh.lattice.origin + (mesh.lattice.cell_index[cells] + 0.5) * mesh.lattice.spacing
        xi, eta, s = invert(mesh.frame.to_parent(centres)).T
        out[f"{disc.disc.name}/annulus"] = disc.annulus_axes(xi, eta, s) @ mesh.frame.axes.T
    return out
