"""Centre, rim and depth of an endplate, from its facets alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from fesolver.fem.elements import ELEMENTS, FACET_OF_SIZE, FACETS
from fesolver.meshing.memo import content_digest
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.meshing.tet_fractions import linear_cut
from fesolver.outcomes.surface import FacetSurface

__all__ = ["central_weights", "depth_fraction", "outline", "rim_weights"]

_SETS_OF_CELLS = 8
"""Sets of cells whose depths are kept: those of an intact and of a treated body, trabecular bone and three groups."""


def central_weights(surface: FacetSurface, fraction: float) -> NDArray[np.float64]:
    """Area weights, mm2, (m,), of the disc around the centroid that holds `fraction` of the projected area.

    Notes
    -----
    Facets enter by the distance of their centre, the last ones in part, equally far ones alike: a symmetric surface
    gets symmetric weights.
    """
    return surface.memo.once("centre", fraction, lambda: _central_weights(surface, fraction))


def _central_weights(surface: FacetSurface, fraction: float) -> NDArray[np.float64]:
    """Weights of `central_weights`, worked out."""
    radius = np.linalg.norm(surface.plane_coordinates(surface.centers), axis=1)
    # Equal distances are those equal to 1e-6 mm.
    ring = np.unique(np.round(radius, 6), return_inverse=True)[1].ravel()
    ring_area = np.bincount(ring, weights=surface.projected_areas)
    before = np.cumsum(ring_area) - ring_area
    wanted = fraction * surface.area - before
    part = np.clip(np.divide(wanted, ring_area, out=np.zeros_like(wanted), where=ring_area > 0.0), 0.0, 1.0)
    return np.asarray(surface.projected_areas * part[ring])


def rim_weights(surface: FacetSurface, width: float) -> NDArray[np.float64]:
    """Area weights, mm2, (m,), of the band of `width` mm inside the outline of the surface.

    Notes
    -----
    A facet at the band's inner edge enters by the part of its width inside the band.
    """
    return surface.memo.once("rim", width, lambda: _rim_weights(surface, width))


def _rim_weights(surface: FacetSurface, width: float) -> NDArray[np.float64]:
    """Weights of `rim_weights`, worked out."""
    xy = surface.plane_coordinates(surface.points)
    edges = outline(surface)
    distance = _distance_to_edges(surface.plane_coordinates(surface.centers), xy[edges[:, 0]], xy[edges[:, 1]])
    size = np.sqrt(surface.areas)
    return np.asarray(surface.projected_areas * np.clip((width - distance) / size + 0.5, 0.0, 1.0))


def outline(surface: FacetSurface) -> NDArray[np.int64]:
    """Point pairs, (e, 2), of the edges around the surface; edges around holes in it are left out.

    Notes
    -----
    Edges of a single facet form closed loops; of the connected loops the one that spans the largest box is the outside.
    The side of a quadratic facet is two edges, through its mid-side.
    """
    around = surface.borders
    edges = np.stack([around, np.roll(around, -1, axis=1)], axis=2).reshape(-1, 2)
    unique, count = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    border = unique[count == 1]
    ids, local = np.unique(border, return_inverse=True)
    local = local.reshape(-1, 2)
    graph = coo_array((np.ones(len(local)), (local[:, 0], local[:, 1])), shape=(len(ids), len(ids)))
    n_loops, loop = connected_components(graph, directed=False)
    xy = surface.plane_coordinates(surface.points[ids])
    box = [np.prod(np.ptp(xy[loop == k], axis=0)) for k in range(n_loops)]
    return np.asarray(border[loop[local[:, 0]] == int(np.argmax(box))])


def depth_fraction(
    mesh: SpineMesh, surface: FacetSurface, cells: NDArray[np.int64], depth: float
) -> NDArray[np.float64]:
    """Part of each cell's volume that lies within `depth` mm under the surface, (k,) in [0, 1].

    Parameters
    ----------
    mesh : SpineMesh
        Gives points and cells.
    surface : FacetSurface
        The endplate.
    cells : (k,) ndarray of int64
        Cells of the body.
    depth : float
        mm, along the surface's mean normal.

    Notes
    -----
    Depth is measured along the mean normal under the facet that lies nearest in the plane of the endplate, from that
    facet's own plane through the middle of its corners to the corners of the cell: curved facets and cells are taken
    as straight. Between the shallowest and the deepest of its corners the volume of a hexahedron is taken as spread
    evenly: exact for bricks stacked under the facet; a tetrahedron is cut exactly. Cells whose middle lies beside the
    footprint by more than half a facet's diagonal, or farther from a triangle's middle than its corners, have none.
    What was found for the last few sets of cells is kept with the surface.
    """

    def make() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        whole = _depth_fraction(mesh, surface, cells, depth)
        at = np.flatnonzero(whole != 0.0)
        return at, whole[at]

    at, values = surface.memo.once(
        "depth", (depth, content_digest(cells)), make, sources=(mesh.points, mesh.cells), size=_SETS_OF_CELLS
    )
    out = np.zeros(len(cells))
    out[at] = values
    return out


def _depth_fraction(
    mesh: SpineMesh, surface: FacetSurface, cells: NDArray[np.int64], depth: float
) -> NDArray[np.float64]:
    """Fractions of `depth_fraction`, worked out."""
    n = FACETS[FACET_OF_SIZE[surface.facets.shape[1]]].n_corners
    corners = mesh.points[mesh.cells[cells, : ELEMENTS[mesh.element].n_corners]]
    facet, is_beside = _facet_over(surface, surface.plane_coordinates(corners.mean(axis=1)), n)
    normal = surface.facet_normals[facet]
    middle = surface.points[surface.facets[facet, :n]].mean(axis=1)
    to_facet = np.einsum("kai,ki->ka", middle[:, None] - corners, normal)
    depths = to_facet / (normal @ surface.normal)[:, None]
    shallow, deep = depths.min(axis=1), depths.max(axis=1)
    if corners.shape[1] == 4:
        inside = linear_cut(depths - depth)
    else:
        inside = np.clip((depth - shallow) / (deep - shallow), 0.0, 1.0)
    return np.asarray(np.where(~is_beside & (deep > 0.0), inside, 0.0))


def _facet_over(
    surface: FacetSurface, places: NDArray[np.float64], n_corners: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The facet over each place (k, 2) in the plane, and whether the place lies beside all that are near."""
    up = np.flatnonzero(surface.facet_normals @ surface.normal > 0.5)
    reach = _reach(surface, n_corners)[up] * (1.0 + 1e-9)
    # Triangles differ in size: a place may be within a large one and nearer to the middle of a small one beside it.
    most = min(1 if n_corners == 4 else 8, len(up))
    found = cKDTree(surface.plane_coordinates(surface.centers[up])).query(places, k=most)
    beside, near = (np.reshape(part, (len(places), most)) for part in found)
    fits = beside <= reach[near]
    return up[near[np.arange(len(places)), fits.argmax(axis=1)]], ~fits.any(axis=1)


def _reach(surface: FacetSurface, n_corners: int) -> NDArray[np.float64]:
    """How far from its middle a facet counts, mm, (m,): half the diagonal of its square, or a triangle's corners."""
    if n_corners == 4:
        return np.sqrt(0.5 * surface.areas)
    arms = surface.points[surface.facets[:, :n_corners]] - surface.centers[:, None]
    return np.asarray(np.sqrt(np.einsum("mai,mai->ma", arms, arms).max(axis=1)))


def _distance_to_edges(
    points: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance, mm, (n,), of points in the plane to the nearest of some short edges."""
    near = cKDTree(0.5 * (start + end)).query(points, k=min(4, len(start)))[1].reshape(len(points), -1)
    a, along = start[near], (end - start)[near]
    arm = points[:, None] - a
    at = np.clip(np.sum(arm * along, axis=2) / np.maximum(np.sum(along**2, axis=2), 1e-300), 0.0, 1.0)
    return np.asarray(np.linalg.norm(arm - at[..., None] * along, axis=2).min(axis=1))
