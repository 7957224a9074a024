"""Surfaces with known volumes for tetrahedral meshes, and vertebrae of the parametric column as surfaces."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from fesolver.anatomy.column import Column
from fesolver.errors import MissingDependencyError
from fesolver.meshing.optional import load_gmsh, load_pygmsh
from fesolver.surfaces.from_column import body_surface
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import VertebraSurface, vertebra_parts

Array = NDArray[np.float64]

_OCTAHEDRON = [[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]
_QUADS = [[0, 4, 6, 2], [1, 3, 7, 5], [0, 1, 5, 4], [2, 6, 7, 3], [0, 2, 3, 1], [4, 5, 7, 6]]


def require_gmsh() -> None:
    """Skip without gmsh or pygmsh, or fail where the run has declared that they must be there."""
    try:
        load_gmsh()
        load_pygmsh()
    except MissingDependencyError as error:
        if "tet" in os.environ.get("FESOLVER_REQUIRE", "").split(","):
            raise
        pytest.skip(str(error))


def halved(points: Array, triangles: NDArray[np.int64]) -> tuple[Array, NDArray[np.int64]]:
    """Every triangle in four, by the middles of its edges."""
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    ends, back = np.unique(edges, axis=0, return_inverse=True)
    ab, bc, ca = back.reshape(3, -1) + len(points)
    a, b, c = triangles.T
    four = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([points, points[ends].mean(axis=1)]), np.concatenate([np.stack(t, axis=1) for t in four])


def sphere(radius: float, times: int) -> TriangleSurface:
    """An octahedron halved some times, its points on a sphere."""
    points, triangles = np.concatenate([s * row for row in np.eye(3)[:, None] for s in (1, -1)]), np.array(_OCTAHEDRON)
    for _ in range(times):
        points, triangles = halved(points, triangles)
    return TriangleSurface(radius * points / np.linalg.norm(points, axis=1, keepdims=True), triangles)


def box(size: tuple[float, float, float], times: int) -> tuple[TriangleSurface, NDArray[np.int64]]:
    """A box from the origin, its triangles halved some times, and the side of each: -x, +x, -y, +y, -z, +z."""
    points = np.array([[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)], dtype=float) * size
    triangles = np.array([t for q in _QUADS for t in ((q[0], q[1], q[2]), (q[0], q[2], q[3]))])
    for _ in range(times):
        points, triangles = halved(points, triangles)
    surface = TriangleSurface(points, triangles)
    normals = surface.normals
    axis = np.argmax(np.abs(normals), axis=1)
    return surface, 2 * axis + (normals[np.arange(len(axis)), axis] > 0)


def tet_volumes(points: Array, cells: NDArray[np.int64]) -> Array:
    """Signed volumes of tetrahedra, by the determinant of their edges."""
    corners = points[cells[:, :4]]
    return np.linalg.det(corners[:, 1:] - corners[:, :1]) / 6.0


def column_surfaces(column: Column, edge_mm: float) -> tuple[VertebraSurface, ...]:
    """The bodies of a parametric column as surfaces, their parts told by the maker of the shape."""
    out = []
    for vertebra in column.vertebrae:
        surface, kind = body_surface(vertebra, edge_mm=edge_mm)
        out.append(replace(vertebra_parts(surface, vertebra.level), kind=kind))
    return tuple(out)
