"""The same parametric segment in tetrahedra: pygmsh's solids, the package's path from surfaces, hexahedra cut up."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from compared_models import DENSITY_G_CM3, LAYER_CELLS, Case, segment_shape, solved_model
from compared_quantities import Solved
from numpy.typing import NDArray

from fesolver.anatomy.density_fields import UniformDensity
from fesolver.bone.tissue import Region, Tissue
from fesolver.fem.elements import ELEMENTS
from fesolver.meshing.pygmsh_column import mesh_with_pygmsh
from fesolver.meshing.regions import facet_surface
from fesolver.meshing.second_order import second_order
from fesolver.meshing.spine_mesh import SpineMesh, Surface
from fesolver.meshing.structured import mesh_column
from fesolver.meshing.structured_tissue import structured_tissue
from fesolver.meshing.tet_tissue import tet_tissue
from fesolver.meshing.tetrahedra import TetMesh, mesh_surfaces
from fesolver.surfaces.from_column import body_surface
from fesolver.surfaces.vertebra import vertebra_parts

__all__ = ["from_hexahedra", "from_surfaces", "tetrahedra"]

Element = Literal["tet4", "tet10"]

GROWTH = 2.0
"""Edges inside over edges at surfaces, on the path from surfaces: layers are thin, and the core is smooth."""


def tetrahedra(case: Case, size_mm: float, element: Element) -> Solved:
    """Tetrahedra in pygmsh's splines of the exact shapes, solved; layers by volume fractions."""
    made = mesh_with_pygmsh(
        case.column,
        size_mm=size_mm,
        element=element,
        cortical_thickness_mm=case.layer_mm,
        endplate_thickness_mm=case.layer_mm,
    )
    return _solved(case, made)


def from_surfaces(
    case: Case, size_mm: float, *, element: Element = "tet10", layers: Literal["fractions", "conforming"] = "fractions"
) -> Solved:
    """The path of scanner surfaces, from closed surfaces of the same bodies, solved; `size_mm` is that at surfaces."""
    vertebrae = []
    for placed in case.column.vertebrae:
        surface, kind = body_surface(placed, edge_mm=size_mm)
        vertebrae.append(replace(vertebra_parts(surface, placed.level), kind=kind))
    made = mesh_surfaces(
        vertebrae,
        size_mm=size_mm,
        size_inside_mm=GROWTH * size_mm,
        element=element,
        cortical_thickness_mm=case.layer_mm,
        endplate_thickness_mm=case.layer_mm,
        layers=layers,
        layer_cells=LAYER_CELLS,
    )
    return _solved(case, replace(made, bodies={v.level: v for v in case.column.vertebrae}))


def from_hexahedra(case: Case, refinement: float) -> Solved:
    """Every cell of the structured mesh cut into six tet10, solved: tetrahedra of which none holds two regions.

    Notes
    -----
    Each quadrilateral is cut from its lowest point id and each cell from its own lowest, so that neighbours cut their
    common face alike [1]_.

    References
    ----------
    .. [1] J. Dompierre et al., How to subdivide pyramids, prisms and hexahedra into tetrahedra, Proc. 8th Int. Meshing
       Roundtable, 1999.
    """
    made = mesh_column(
        case.column,
        refinement=refinement,
        layer_cells=LAYER_CELLS,
        cortical_thickness_mm=case.layer_mm,
        endplate_thickness_mm=case.layer_mm,
    )
    tissue = structured_tissue(made, UniformDensity(DENSITY_G_CM3))
    mesh = made.mesh
    lowest = mesh.cells.argmin(axis=1)[:, None, None]
    faces = np.array(ELEMENTS["hex8"].faces)
    away = np.array([[f for f in range(6) if v not in faces[f]] for v in range(8)])
    quads = np.take_along_axis(mesh.cells[:, None], faces[away[lowest[:, 0, 0]]], axis=2)
    tets = np.column_stack([_halved(quads).reshape(-1, 3)[:, [0, 2, 1]], np.repeat(mesh.cells.min(axis=1), 6)])
    regions = {name: _six(region) for name, region in mesh.regions.items()}
    surfaces = {name: _cut_surface(mesh, name, tets) for name in mesh.surfaces}
    cut = second_order(replace(mesh, cells=tets, regions=regions, surfaces=surfaces, element="tet4", lattice=None))
    of_cells = {name: np.repeat(axes, 6, axis=0) for name, axes in tissue.axes.items()}
    depths = {name: np.repeat(depth, 6) for name, depth in tissue.depth.items()}
    six = Tissue(np.repeat(tissue.density, 6), tissue.kind, regions, of_cells, depths)
    return solved_model(case, segment_shape(case), cut, six, None)


def _six(region: Region) -> Region:
    """The six tetrahedra of each cell."""
    fraction = np.broadcast_to(region.fraction, region.cells.shape)
    return Region((6 * region.cells[:, None] + np.arange(6)).ravel(), np.repeat(fraction, 6))


def _halved(quads: NDArray[np.int64]) -> NDArray[np.int64]:
    """Two triangles (..., 2, 3) of each quadrilateral (..., 4), cut from its lowest point id."""
    turned = np.take_along_axis(quads, (quads.argmin(axis=-1)[..., None] + np.arange(4)) % 4, axis=-1)
    return np.stack([turned[..., [0, 1, 2]], turned[..., [0, 2, 3]]], axis=-2)


def _cut_surface(mesh: SpineMesh, name: str, tets: NDArray[np.int64]) -> Surface:
    """A surface in triangles, each with the one of its cell's tetrahedra that holds it."""
    old = mesh.surfaces[name]
    triangles = _halved(old.facets).reshape(-1, 3)
    some = 6 * np.repeat(old.cells, 2)[:, None] + np.arange(6)
    holds = (tets[some][:, :, None] == triangles[:, None, :, None]).any(axis=-1).all(axis=-1)
    return facet_surface(mesh.points, triangles, some[np.arange(len(triangles)), holds.argmax(axis=1)])


def _solved(case: Case, made: TetMesh) -> Solved:
    """Give a mesh its density, constants and pads, and solve it."""
    tissue = tet_tissue(made, UniformDensity(DENSITY_G_CM3))
    return solved_model(case, segment_shape(case), made.mesh, tissue, None)
