"""What every verification problem of the solid elements is made of: supports, loads, a solve, rows of a table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from verification_meshes import KINDS, SolidMesh, boundary_facets

from fesolver.fem.distributed import pressure_force, traction_force
from fesolver.fem.elements import ELEMENTS, FACET_OF_SIZE, FACETS, quadrature, shape_functions, shape_gradients
from fesolver.fem.problem import Elasticity, Loads, Problem
from fesolver.fem.smoothing import smoothed_stress
from fesolver.solvers.prepare import prepare

__all__ = ["CellQuadrature", "Row", "Solved", "by_class", "cell_quadrature", "free", "planes", "press", "pull", "solve"]

Array = NDArray[np.float64]
RICHER = 3
"""Degrees that the quadrature of exact loads and of errors has more than the solver's."""


@dataclass(frozen=True)
class Row:
    """One line of the verification table.

    Parameters
    ----------
    problem, kind, mesh, quantity : str
        What was solved, with which element, on which mesh, and what is compared.
    exact : float
        Exact or published value.
    source : str
        Where it is from.
    ours : float
        What the package computes.
    tolerance : float
        Largest relative error allowed; with `is_limit`, the smallest that the element must show.
    reason : str
        Why that tolerance.
    is_limit : bool
        Whether the element is known to fail here: the row shows that it does, and by how much.
    scale : float or None
        What the error is relative to; |exact| by default.
    """

    problem: str
    kind: str
    mesh: str
    quantity: str
    exact: float
    source: str
    ours: float
    tolerance: float
    reason: str
    is_limit: bool = False
    scale: float | None = None

    @property
    def error(self) -> float:
        """Relative error with its sign."""
        return (self.ours - self.exact) / (abs(self.exact) if self.scale is None else self.scale)

    @property
    def is_met(self) -> bool:
        """Within the tolerance; where the element is known to fail, beyond it."""
        return abs(self.error) > self.tolerance if self.is_limit else abs(self.error) <= self.tolerance


def by_class(kind: str, constant: float, linear: float, quadratic: float) -> float:
    """The number for elements of constant strain (tet4, wedge6), of first order (hex8), or of second order."""
    if KINDS[kind].order == 2:
        return quadratic
    return linear if kind.startswith("hex8") else constant


@dataclass(frozen=True)
class Solved:
    """A mesh, the problem on it, and its displacement (n_points, 3) in mm."""

    mesh: SolidMesh
    problem: Problem
    u: Array
    internal_force: Array
    initial_strain: Array | None = None

    @cached_property
    def stress(self) -> Array:
        """Smoothed stress (n_points, 6), MPa."""
        found = smoothed_stress(self.problem, self.u, groups=self.mesh.block, initial_strain=self.initial_strain)
        return found.at_points(len(self.u))


def free(mesh: SolidMesh) -> Array:
    """Given displacements (n_points, 3): NaN, which is free, everywhere."""
    return np.full_like(mesh.points, np.nan)


def planes(mesh: SolidMesh, *axes: int) -> Array:
    """Given displacements of a body on planes of symmetry: zero along each axis where its coordinate is zero."""
    given = free(mesh)
    for axis in axes:
        given[mesh.on(axis, 0.0), axis] = 0.0
    return given


def solve(
    mesh: SolidMesh,
    given: Array,
    *,
    young: ArrayLike,
    poisson: ArrayLike,
    force: Array | None = None,
    initial_strain: Array | None = None,
) -> Solved:
    """Solve with given displacements (NaN is free), nodal forces (n_points, 3) in N, and initial strain by cell."""
    E, nu = (np.broadcast_to(np.asarray(v, float), len(mesh.cells)).copy() for v in (young, poisson))
    dofs = np.flatnonzero(~np.isnan(given))
    kind = KINDS[mesh.kind]
    problem = Problem(
        mesh.points, mesh.cells, Elasticity(E, nu), prescribed_dofs=dofs, element=kind.element,
        integration=kind.integration,
    )  # fmt: skip
    loads = Loads(nodal_force=force, prescribed=given.ravel()[dofs], initial_strain=initial_strain)
    # A factorisation leaves round-off; in a slender beam that is 1e-8 of the load, beside forces that cancel.
    solution = prepare(problem, "direct").solve(loads, rtol=1e-6)
    return Solved(mesh, problem, solution.u, solution.internal_force, initial_strain)


def press(mesh: SolidMesh, is_on: NDArray[np.bool_], pressure: float) -> Array:
    """Nodal forces (n_points, 3) in N of a pressure in MPa on the outer facets whose points satisfy `is_on`."""
    facets = boundary_facets(mesh, is_on)
    return np.asarray(sum(pressure_force(mesh.points, f, pressure, degree=_degree(f)) for f in facets))


def pull(mesh: SolidMesh, is_on: NDArray[np.bool_], traction: ArrayLike | Callable[[Array], Array]) -> Array:
    """Nodal forces (n_points, 3) in N of a traction (3,) or coordinates (n, 3) -> (n, 3) in MPa, as `press`."""
    facets = boundary_facets(mesh, is_on)
    return np.asarray(sum(traction_force(mesh.points, f, traction, degree=_degree(f)) for f in facets))


def _degree(facets: NDArray[np.int64]) -> int:
    """Degree of the quadrature of loads on facets (m, k)."""
    return FACETS[FACET_OF_SIZE[facets.shape[1]]].degree + RICHER


@dataclass(frozen=True)
class CellQuadrature:
    """A rule richer than the solver's: places (c, q, 3), volumes (c, q), N (q, k), gradients (c, q, k, 3) in 1/mm."""

    x: Array
    volume: Array
    N: Array
    gradients: Array


def cell_quadrature(mesh: SolidMesh) -> CellQuadrature:
    """Quadrature on all cells of a mesh."""
    element = KINDS[mesh.kind].element
    xi, weights = quadrature(element, ELEMENTS[element].degree + RICHER)
    N, dN = shape_functions(element, xi), shape_gradients(element, xi)
    corners = mesh.points[mesh.cells]
    J = np.einsum("qkd,ckx->cqdx", dN, corners)
    gradients = np.einsum("cqxd,qkd->cqkx", np.linalg.inv(J), dN)
    return CellQuadrature(np.einsum("qk,ckx->cqx", N, corners), weights * np.linalg.det(J), N, gradients)
