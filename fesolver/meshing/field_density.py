"""Density fields of bodies averaged over the cells of a mesh of any kind."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import PlacedVertebra
from fesolver.anatomy.density_fields import DensityField
from fesolver.bone.density import DensityKind
from fesolver.errors import InputError
from fesolver.fem.elements import quadrature, shape_functions, shape_gradients
from fesolver.meshing.regions import determinants, jacobians, nodes_last
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["field_density"]

_DEGREE = 3
"""Of the quadrature over a cell: exact for a quadratic field on a cell with straight parallel sides."""


def field_density(
    mesh: SpineMesh, bodies: Mapping[str, PlacedVertebra], density: DensityField | Mapping[str, DensityField]
) -> tuple[NDArray[np.float64], DensityKind]:
    """Mean density of every cell that belongs to a level, by quadrature, and its kind.

    Parameters
    ----------
    mesh : SpineMesh
        Of any kind.
    bodies : mapping of str to PlacedVertebra
        Level to dimensions and frame, the frame in the parent of `mesh.frame`.
    density : DensityField or mapping of str to DensityField
        Of every level, or by level; fields take points (n, 3) in the body frame, mm, and the body's dimensions, and
        give g/cm3.

    Returns
    -------
    density : (n_cells,) ndarray
        g/cm3, 0 in discs.
    kind : DensityKind

    Raises
    ------
    InputError
        If levels are missing or unknown, the kinds of the fields differ, or a field returns another number of values, a
        negative one or a NaN.
    """
    fields = dict(density) if isinstance(density, Mapping) else dict.fromkeys(mesh.levels, density)
    if set(fields) != set(mesh.levels):
        raise InputError(
            f"densities are given for {', '.join(sorted(fields)) or 'no level'}",
            fix=f"give one field for each of {', '.join(mesh.levels)}",
        )
    kinds = {field.kind for field in fields.values()}
    if len(kinds) > 1:
        raise InputError(
            f"the levels have densities of different kinds: {', '.join(sorted(kinds))}", fix="convert them to one kind"
        )
    out = np.zeros(len(mesh.cells))
    xi, weights = quadrature(mesh.element, _DEGREE)
    shapes, gradients = shape_functions(mesh.element, xi), shape_gradients(mesh.element, xi)
    for level, field in fields.items():
        own = mesh.level_cells(level)
        nodes = nodes_last(mesh.points, mesh.cells[own])
        mass, volume = np.zeros(len(own)), np.zeros(len(own))
        for shape, gradient, weight in zip(shapes, gradients, weights, strict=True):
            at = jacobians(nodes, shape[:, None])[0].T
            det_jacobian = weight * determinants(jacobians(nodes, gradient))
            mass += det_jacobian * _values(field, bodies[level], mesh.frame.to_parent(at))
            volume += det_jacobian
        out[own] = mass / volume
    return out, kinds.pop()


def _values(field: DensityField, vertebra: PlacedVertebra, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Densities at points of the column's parent frame, checked."""
    level, points = vertebra.level, vertebra.frame.to_local(points)
    values = np.asarray(field.at(points, vertebra.dimensions), dtype=np.float64)
    if values.shape != (len(points),):
        raise InputError(
            f"the density field of {level} returned shape {values.shape} for {len(points)} points", fix="return (n,)"
        )
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0.0)))
    if len(bad):
        raise InputError(
            f"the density field of {level} is {values[bad[0]]:g} g/cm3 at {len(bad)} of {len(points)} points",
            where="first at ({:.1f}, {:.1f}, {:.1f}) mm in the body frame".format(*points[bad[0]]),
            fix="densities are finite and not negative",
        )
    return values
