"""Measures of regions and surfaces that hold for every kind of mesh."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from fesolver.errors import InputError
from fesolver.meshing.spine_mesh import SpineMesh, Surface

__all__ = ["cell_centroids", "cell_volumes", "depth_below", "region_volume", "section_area"]

_GAUSS = (0.5 - 0.5 / np.sqrt(3.0), 0.5 + 0.5 / np.sqrt(3.0))


def _shape_functions(x: float, y: float, z: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Trilinear shape functions (8,) and gradients (8, 3) on the unit cube, VTK order."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    parts = np.where(corners == 1, [x, y, z], [1 - x, 1 - y, 1 - z])
    signs = np.where(corners == 1, 1.0, -1.0)
    gradient = np.stack(
        [
            signs[:, 0] * parts[:, 1] * parts[:, 2],
            parts[:, 0] * signs[:, 1] * parts[:, 2],
            parts[:, 0] * parts[:, 1] * signs[:, 2],
        ],
        axis=1,
    )
    return parts.prod(axis=1), gradient


def _moments(mesh: SpineMesh) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Volume and first moment of every cell, by 2 x 2 x 2 Gauss points."""
    corners = mesh.points[mesh.cells]
    volume = np.zeros(len(mesh.cells))
    moment = np.zeros((len(mesh.cells), 3))
    for x in _GAUSS:
        for y in _GAUSS:
            for z in _GAUSS:
                shape, gradient = _shape_functions(x, y, z)
                weight = np.linalg.det(np.einsum("nad,ag->ndg", corners, gradient)) / 8.0
                volume += weight
                moment += weight[:, None] * np.einsum("nad,a->nd", corners, shape)
    return volume, moment


def cell_volumes(mesh: SpineMesh) -> NDArray[np.float64]:
    """Volume of every cell, mm3, (n_cells,); exact for any trilinear hexahedron."""
    if mesh.lattice is not None:
        return np.full(len(mesh.cells), float(np.prod(mesh.lattice.spacing)))
    return _moments(mesh)[0]


def cell_centroids(mesh: SpineMesh) -> NDArray[np.float64]:
    """Centroid of every cell, mm, (n_cells, 3)."""
    if mesh.lattice is not None:
        return np.asarray(mesh.lattice.origin + (mesh.lattice.cell_index + 0.5) * mesh.lattice.spacing)
    volume, moment = _moments(mesh)
    return np.asarray(moment / volume[:, None])


def region_volume(mesh: SpineMesh, name: str) -> float:
    """Volume of a region, mm3, its fractions counted; 0 for a region the mesh does not have."""
    if name not in mesh.regions:
        return 0.0
    region = mesh.regions[name]
    return float(cell_volumes(mesh)[region.cells] @ region.fraction)


def section_area(mesh: SpineMesh, names: list[str] | tuple[str, ...], frame_name: str, *, thickness_mm: float) -> float:
    """Area of the section of regions across a frame's axis through its origin, mm2.

    Parameters
    ----------
    mesh : SpineMesh
        Any mesh.
    names : list of str
        Regions, e.g. nucleus and annulus of one disc.
    frame_name : str
        Key of `mesh.frames`; the section is normal to its z.
    thickness_mm : float
        Thickness of the slab whose volume is divided by it; at least two cells, or stairs show.
    """
    frame = mesh.frames[frame_name]
    volume, height = cell_volumes(mesh), frame.to_local(cell_centroids(mesh))[:, 2]
    area = 0.0
    for name in names:
        region = mesh.regions.get(name)
        if region is not None:
            inside = np.abs(height[region.cells]) < thickness_mm / 2
            area += float((volume[region.cells] * region.fraction)[inside].sum()) / thickness_mm
    return area


def _surface(mesh: SpineMesh, name: str) -> Surface:
    """The surface, or an error that lists what there is."""
    if name not in mesh.surfaces:
        raise InputError(f"the mesh has no surface {name!r}", fix=f"it has {', '.join(sorted(mesh.surfaces))}")
    if len(mesh.surfaces[name].facets) == 0:
        raise InputError(f"surface {name!r} is empty")
    return mesh.surfaces[name]


def _distance_to_triangles(
    p: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance of points (n, k, 3) from triangles with those corners."""

    def to_segment(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
        along = end - start
        s = np.einsum("...i,...i", p - start, along) / np.maximum(np.einsum("...i,...i", along, along), 1e-300)
        foot = start + np.clip(s, 0.0, 1.0)[..., None] * along
        return np.asarray(np.linalg.norm(p - foot, axis=-1))

    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=-1)
    is_inside = np.ones(p.shape[:-1], dtype=bool)
    for start, end in ((a, b), (b, c), (c, a)):
        is_inside &= np.einsum("...i,...i", np.cross(end - start, p - start), normal) >= 0
    plane = np.abs(np.einsum("...i,...i", p - a, normal)) / np.maximum(length, 1e-300)
    edges = np.minimum(np.minimum(to_segment(a, b), to_segment(b, c)), to_segment(c, a))
    return np.where(is_inside & (length > 0), plane, edges)


def depth_below(mesh: SpineMesh, surface_name: str, cells: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distance of cell centroids from a surface.

    Parameters
    ----------
    mesh : SpineMesh
        Any mesh.
    surface_name : str
        Key of `mesh.surfaces`, e.g. `L1/superior_endplate`.
    cells : (k,) array_like of int
        Cell ids.

    Returns
    -------
    depth : (k,) ndarray
        Distance from the nearest of the surface's facets, mm, positive on either side.
    facet : (k,) ndarray of int64
        Which facet that is.

    Raises
    ------
    InputError
        If the surface is unknown or empty, or a cell id is out of range.

    Notes
    -----
    Distance from both triangles of a quadrilateral, for the 12 facets whose centres are nearest: exact where facets are
    of similar size.
    """
    surface = _surface(mesh, surface_name)
    ids = np.atleast_1d(np.asarray(cells, dtype=np.int64))
    if len(ids) and (ids.min() < 0 or ids.max() >= len(mesh.cells)):
        raise InputError(f"cell ids run from {ids.min()} to {ids.max()}; the mesh has {len(mesh.cells)} cells")
    if len(ids) == 0:
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    points = cell_centroids(mesh)[ids]
    corners = mesh.points[surface.facets]
    k = min(12, len(corners))
    near = np.asarray(cKDTree(corners.mean(axis=1)).query(points, k=k)[1], dtype=np.int64).reshape(len(points), k)
    quads = corners[near]
    p = np.broadcast_to(points[:, None, :], (*quads.shape[:2], 3))
    distance = np.minimum(
        _distance_to_triangles(p, quads[..., 0, :], quads[..., 1, :], quads[..., 2, :]),
        _distance_to_triangles(p, quads[..., 0, :], quads[..., 2, :], quads[..., 3, :]),
    )
    best = np.argmin(distance, axis=1)
    rows = np.arange(len(points))
    return distance[rows, best], near[rows, best]
