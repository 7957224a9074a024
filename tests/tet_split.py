"""Hexahedral meshes cut into tetrahedra: the same shape, regions and surfaces in other cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.tissue import Region, Tissue
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import Elasticity
from fesolver.meshing.regions import facet_surface
from fesolver.meshing.second_order import second_order
from fesolver.meshing.spine_mesh import SpineMesh, Surface

_FACES = np.array(ELEMENTS["hex8"].faces)
_OPPOSITE = np.array([[f for f in range(6) if v not in _FACES[f]] for v in range(8)])


def split_mesh(mesh: SpineMesh, *, quadratic: bool) -> SpineMesh:
    """The mesh of hex8 in tetrahedra, cell k in tetrahedra 6 k to 6 k + 5; tet10 where `quadratic`.

    Every quadrilateral is cut from its lowest point id, every cell from its own lowest: neighbours cut their common
    face alike (J. Dompierre et al., How to subdivide pyramids, prisms and hexahedra into tetrahedra, 1999).
    """
    cells = mesh.cells
    lowest = cells.argmin(axis=1)
    quads = cells[np.arange(len(cells))[:, None, None], _FACES[_OPPOSITE[lowest]]]
    # Two triangles of each of the three faces away from the lowest point, outward: the apex lies on their inside.
    triangles = _halved(quads.reshape(-1, 4)).reshape(-1, 3)
    apex = np.repeat(cells[np.arange(len(cells)), lowest], 6)
    tets = np.column_stack([triangles[:, [0, 2, 1]], apex])
    surfaces = {name: _split_surface(mesh.points, s, tets) for name, s in mesh.surfaces.items()}
    linear = replace(
        mesh,
        cells=tets,
        regions={name: split_region(region) for name, region in mesh.regions.items()},
        surfaces=surfaces,
        element="tet4",
        lattice=None,
    )
    return second_order(linear) if quadratic else linear


def split_region(region: Region) -> Region:
    """The six tetrahedra of each cell, with its fraction."""
    return Region((6 * region.cells[:, None] + np.arange(6)).ravel(), np.repeat(region.fraction, 6))


def split_tissue(tissue: Tissue) -> Tissue:
    """What the tetrahedra are made of."""
    return Tissue(
        np.repeat(tissue.density, 6),
        tissue.kind,
        {name: split_region(region) for name, region in tissue.regions.items()},
        {name: np.repeat(axes, 6, axis=0) for name, axes in tissue.axes.items()},
        {name: np.repeat(depth, 6) for name, depth in tissue.depth.items()},
    )


def split_elasticity(elasticity: Elasticity) -> Elasticity:
    """Constants of the tetrahedra."""
    return replace(
        elasticity,
        young=np.repeat(elasticity.young, 6),
        poisson=np.repeat(elasticity.poisson, 6),
        general_cells=(6 * elasticity.general_cells[:, None] + np.arange(6)).ravel(),
        general_matrices=np.repeat(elasticity.general_matrices, 6, axis=0),
    )


def _halved(quads: NDArray[np.int64]) -> NDArray[np.int64]:
    """Two triangles (m, 2, 3) of each quadrilateral, cut from its lowest point id."""
    start = quads.argmin(axis=1)
    turned = np.take_along_axis(quads, (start[:, None] + np.arange(4)) % 4, axis=1)
    return np.stack([turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]], axis=1)


def _split_surface(points: NDArray[np.float64], surface: Surface, tets: NDArray[np.int64]) -> Surface:
    """Two triangles of each facet, each with the tetrahedron behind it."""
    facets = _halved(surface.facets).reshape(-1, 3)
    owners = np.repeat(surface.cells, 2)
    around = 6 * owners[:, None] + np.arange(6)
    is_behind = np.all((tets[around][:, :, :, None] == facets[:, None, None, :]).any(axis=2), axis=2)
    assert np.all(is_behind.sum(axis=1) == 1)
    return facet_surface(points, facets, around[is_behind])
