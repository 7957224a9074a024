"""Measures of regions and surfaces that hold for every kind of mesh."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from fesolver.errors import InputError
from fesolver.fem.elements import FACET_OF_SIZE, quadrature, shape_functions, shape_gradients
from fesolver.meshing.spine_mesh import SpineMesh, Surface

__all__ = [
    "cell_centroids",
    "cell_moments",
    "cell_volumes",
    "depth_below",
    "determinants",
    "facet_surface",
    "facet_vectors",
    "jacobians",
    "nodes_last",
    "region_volume",
    "section_area",
]

_DEGREE: Mapping[str, int] = MappingProxyType({"hex8": 3, "hex20": 7, "tet4": 1, "tet10": 5, "wedge6": 3, "wedge15": 7})
"""Degree that makes volume and first moment exact."""

_TRIANGLES: Mapping[int, tuple[tuple[int, int, int], ...]] = MappingProxyType(
    {
        3: ((0, 1, 2),),
        4: ((0, 1, 2), (0, 2, 3)),
        6: ((0, 3, 5), (1, 4, 3), (2, 5, 4), (3, 4, 5)),
        8: ((0, 4, 7), (1, 5, 4), (2, 6, 5), (3, 7, 6), (4, 5, 6), (4, 6, 7)),
    }
)
"""Flat triangles through the nodes of a facet of so many nodes."""


def jacobians(nodes: NDArray[np.float64], gradient: NDArray[np.float64]) -> NDArray[np.float64]:
    """Jacobians (3, 3, n) at one reference point: row g holds the derivative of x, y, z by reference coordinate g.

    `nodes` (k, 3, n) are the cells' nodes with cells last, `gradient` (k, 3) the shape functions' at the point. Sums
    run in fixed order.
    """
    out = np.zeros((gradient.shape[1], 3, nodes.shape[2]))
    for node, slopes in zip(nodes, gradient, strict=True):
        for row, slope in zip(out, slopes, strict=True):
            if slope != 0.0:
                row += slope * node
    return out


def determinants(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Determinants (n,) of matrices given as (3, 3, n)."""
    (a, b, c), (d, e, f), (g, h, i) = rows
    return np.asarray(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))


def nodes_last(mesh_points: NDArray[np.float64], cells: NDArray[np.int64]) -> NDArray[np.float64]:
    """Nodes of cells (k, 3, n), cells last."""
    return np.ascontiguousarray(np.moveaxis(mesh_points[cells], 0, -1))


def cell_moments(mesh: SpineMesh) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Volume (n_cells,), mm3, and centroid (n_cells, 3), mm, of every cell; exact, curved or not.

    Worked out once for a mesh: the arrays are shared, and read-only.
    """

    def make() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        volume, centroid = _moments(mesh)
        return _read_only(volume), _read_only(centroid)

    return mesh.memo.once("cell moments", None, make)


def _read_only(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The array, closed to writing."""
    values.flags.writeable = False
    return values


def _moments(mesh: SpineMesh) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Volumes and centroids, worked out."""
    if mesh.lattice is not None:
        lattice = mesh.lattice
        volume = np.full(len(mesh.cells), float(np.prod(lattice.spacing)))
        return volume, np.asarray(lattice.origin + (lattice.cell_index + 0.5) * lattice.spacing)
    nodes = nodes_last(mesh.points, mesh.cells)
    volume, moment = np.zeros(len(mesh.cells)), np.zeros((3, len(mesh.cells)))
    xi, weights = quadrature(mesh.element, _DEGREE[mesh.element])
    shapes, gradients = shape_functions(mesh.element, xi), shape_gradients(mesh.element, xi)
    for shape, gradient, weight in zip(shapes, gradients, weights, strict=True):
        det_jacobian = determinants(jacobians(nodes, gradient)) * weight
        volume += det_jacobian
        moment += det_jacobian * jacobians(nodes, shape[:, None])[0]
    return volume, np.ascontiguousarray((moment / volume).T)


def cell_volumes(mesh: SpineMesh) -> NDArray[np.float64]:
    """Volume of every cell, mm3, (n_cells,)."""
    return cell_moments(mesh)[0]


def cell_centroids(mesh: SpineMesh) -> NDArray[np.float64]:
    """Centroid of every cell, mm, (n_cells, 3)."""
    return cell_moments(mesh)[1]


def facet_vectors(points: NDArray[np.float64], facets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Vector area of facets: the integral of the unit normal over each, mm2, (m, 3).

    Parameters
    ----------
    points : (n, 3) ndarray
        mm.
    facets : (m, 3, 4, 6 or 8) ndarray of int64
        Point ids, counter-clockwise seen from the side the vectors point to, corners first.

    Notes
    -----
    Vector areas of a closed surface sum to zero whatever the facets' curvature; the length is the area of a flat facet,
    and less than that of a curved one by a second order in its turn.
    """
    name = FACET_OF_SIZE[facets.shape[1]]
    xi, weights = quadrature(name)
    corners = points[facets]
    out = np.zeros((len(facets), 3))
    for gradient, weight in zip(shape_gradients(name, xi), weights, strict=True):
        tangents = np.einsum("nad,ag->ngd", corners, gradient)
        out += weight * np.cross(tangents[:, 0], tangents[:, 1])
    return out


def facet_surface(points: NDArray[np.float64], facets: NDArray[np.int64], cells: NDArray[np.int64]) -> Surface:
    """A surface with the normals and areas of its facets' vector areas."""
    vectors = facet_vectors(points, facets)
    areas = np.linalg.norm(vectors, axis=1)
    return Surface(facets, cells, vectors / areas[:, None], areas)


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
    volume, centroid = cell_moments(mesh)
    height = frame.to_local(centroid)[:, 2]
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
    Distance from the flat triangles through each facet's nodes, for the 12 facets whose centres are nearest: exact
    where facets are of similar size.
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
    chosen = corners[near]
    p = np.broadcast_to(points[:, None, :], (*chosen.shape[:2], 3))
    distance = np.min(
        [_distance_to_triangles(p, *(chosen[..., i, :] for i in ids)) for ids in _TRIANGLES[corners.shape[1]]], axis=0
    )
    best = np.argmin(distance, axis=1)
    rows = np.arange(len(points))
    return distance[rows, best], near[rows, best]
