"""Linear cells turned into quadratic ones: a node in the middle of every edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import ElementName
from fesolver.meshing.regions import facet_surface
from fesolver.meshing.spine_mesh import SpineMesh, Surface

__all__ = ["second_order"]

_QUADRATIC: Mapping[ElementName, ElementName] = MappingProxyType(
    {"hex8": "hex20", "tet4": "tet10", "wedge6": "wedge15"}
)


def second_order(
    mesh: SpineMesh, middles: Callable[[NDArray[np.int64]], NDArray[np.float64]] | None = None
) -> SpineMesh:
    """The same mesh with quadratic cells.

    Parameters
    ----------
    mesh : SpineMesh
        Linear hexahedra, tetrahedra or wedges.
    middles : callable, optional
        Takes edges as (m, 2) ascending pairs of point ids and returns their middles (m, 3), mm, in the mesh frame: on
        the curved shape, where it is known. By default edges stay straight.

    Returns
    -------
    SpineMesh
        Point and cell ids are kept; mid-side points follow, ordered by the two ends of their edge. Facets get their
        mid-side points too. Without a lattice.

    Raises
    ------
    InputError
        If the cells are quadratic already.
    """
    if mesh.element not in _QUADRATIC:
        raise InputError(f"cells of kind {mesh.element} are quadratic already", fix="give a mesh of linear cells")
    element, n = ELEMENTS[mesh.element], len(mesh.points)
    pairs = np.sort(mesh.cells[:, np.array(element.edges)], axis=-1).reshape(-1, 2)
    keys, back = np.unique(pairs @ np.array([n, 1]), return_inverse=True)
    edges = np.stack(np.divmod(keys, n), axis=1)
    added = mesh.points[edges].mean(axis=1) if middles is None else middles(edges)
    points = np.concatenate([mesh.points, added])
    cells = np.concatenate([mesh.cells, n + back.reshape(len(mesh.cells), -1)], axis=1)

    def surface(old: Surface) -> Surface:
        sides = np.sort(np.stack([old.facets, np.roll(old.facets, -1, axis=1)], axis=-1), axis=-1)
        facets = np.concatenate([old.facets, n + np.searchsorted(keys, sides @ np.array([n, 1]))], axis=1)
        return facet_surface(points, facets, old.cells)

    return replace(
        mesh,
        points=points,
        cells=cells,
        surfaces={name: surface(s) for name, s in mesh.surfaces.items()},
        element=_QUADRATIC[mesh.element],
        lattice=None,
    )
