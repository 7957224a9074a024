"""Solid elements on smooth fields: linear ones exactly, manufactured ones at the order of theory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from verification_fields import Manufactured
from verification_meshes import KINDS, SolidMesh, block_mesh
from verification_rows import Row, cell_quadrature, free, solve

from fesolver.fem.elements import ELEMENTS
from fesolver.fem.hooke import isotropic_elasticity
from fesolver.fem.recovery import recover_fields

__all__ = ["ORDER_SIZES", "Errors", "manufactured_errors", "orders", "patch"]

Array = NDArray[np.float64]
GRADIENT = 1e-3 * np.array([[1.0, -0.4, 0.7], [0.3, -0.8, 0.2], [-0.5, 0.6, 0.9]])
"""Not symmetric, so that nothing cancels."""


def distorted_cube(kind: str, n: int = 3) -> SolidMesh:
    """Unit cube with its inner corners moved at random by up to 0.2 cells; edges straight, the surface plane."""
    mesh = block_mesh(kind, (n, n, n), np.array)
    is_inner = np.all((mesh.points > 1e-9) & (mesh.points < 1 - 1e-9), axis=1)
    random = np.random.default_rng(5).uniform(-0.2 / n, 0.2 / n, mesh.points.shape)
    points = mesh.points + np.where(is_inner[:, None], random, 0.0)
    element = ELEMENTS[KINDS[kind].element]
    if element.order == 2:
        for i, (a, b) in enumerate(element.edges):
            middle = 0.5 * (points[mesh.cells[:, a]] + points[mesh.cells[:, b]])
            points[mesh.cells[:, element.n_corners + i]] = middle
    return SolidMesh(points, mesh.cells, kind, mesh.block)


def patch(kind: str, poisson: float = 0.49) -> list[Row]:
    """Linear displacement prescribed on the surface of a distorted cube: exact inside, with its constant stress."""
    mesh = distorted_cube(kind)
    exact = mesh.points @ GRADIENT.T
    given = free(mesh)
    on_surface = np.any((mesh.points < 1e-9) | (mesh.points > 1 - 1e-9), axis=1)
    given[on_surface] = exact[on_surface]
    solved = solve(mesh, given, young=1000.0, poisson=poisson)
    strain = GRADIENT + GRADIENT.T
    voigt = np.array([*np.diag(GRADIENT), strain[1, 2], strain[0, 2], strain[0, 1]])
    stress = isotropic_elasticity(1000.0, poisson) @ voigt
    found = recover_fields(solved.problem, solved.u).stress
    errors = {
        "largest error of displacement": np.abs(solved.u - exact).max() / np.abs(exact).max(),
        "largest error of stress": np.abs(found - stress).max() / np.abs(stress).max(),
    }
    reason = "round-off, times the contrast of bulk to shear"
    return [
        Row("Patch test", kind, f"{len(mesh.cells)}, distorted, nu {poisson}", name, 0.0, "exact", float(value), 1e-10,
            reason, scale=1.0)
        for name, value in errors.items()
    ]  # fmt: skip


@dataclass(frozen=True)
class Errors:
    """Norms of the error of a manufactured solution: L2 of displacement, mm^2.5; energy, (N mm)^0.5."""

    n: int
    n_cells: int
    displacement: float
    energy: float


def manufactured_errors(kind: str, n: int, *, slope: float = 0.0) -> Errors:
    """Solve a manufactured problem on n x n x n hexahedra under a smooth distortion, and measure the errors."""

    def place(s: Array) -> Array:
        """A smooth map: the cells keep their shape as they shrink."""
        bump = np.prod(np.sin(np.pi * s), axis=1)[:, None]
        return np.asarray(s + 0.08 * bump * np.array([1.0, -0.7, 0.5]))

    exact, mesh = Manufactured(slope=slope), block_mesh(kind, (n, n, n), place)
    rule = cell_quadrature(mesh)
    force = np.zeros_like(mesh.points)
    np.add.at(force, mesh.cells, np.einsum("cq,qk,cqx->ckx", rule.volume, rule.N, exact.body_force(rule.x)))
    young = np.sum(rule.volume * exact.young(rule.x), axis=1) / rule.volume.sum(axis=1)
    given = free(mesh)
    on_surface = np.any((mesh.points < 1e-9) | (mesh.points > 1 - 1e-9), axis=1)
    given[on_surface] = exact.displacement(mesh.points)[on_surface]
    u = solve(mesh, given, young=young, poisson=exact.poisson, force=force).u[mesh.cells]

    in_u = np.einsum("qk,ckx->cqx", rule.N, u) - exact.displacement(rule.x)
    in_gradient = np.einsum("cqkd,ckx->cqxd", rule.gradients, u) - exact.gradient(rule.x)
    stress = exact.stress(in_gradient, exact.young(rule.x))
    energy = np.einsum("cq,cqij,cqij", rule.volume, stress, in_gradient)
    return Errors(n, len(mesh.cells), float(np.sqrt(np.einsum("cq,cqx,cqx", rule.volume, in_u, in_u))),
                  float(np.sqrt(energy)))  # fmt: skip


ORDER_SIZES = {1: (4, 8, 16), 2: (2, 4, 8)}
"""Hexahedra along an edge of the cube, by order of the element."""


def orders(kind: str, *, slope: float = 0.0, sizes: tuple[int, ...] | None = None) -> list[Row]:
    """Measured orders in L2 and energy between the last two sizes.

    With a slope the modulus varies inside the cells, which have one number each. The consistency error of that is of
    the first order in energy and the second in displacement: as small as that of elements of the first order, and
    more than that of the second, which are not asked.
    """
    p = KINDS[kind].order
    errors = [manufactured_errors(kind, n, slope=slope) for n in (sizes or ORDER_SIZES[p])]
    coarse, fine = errors[-2:]
    title = "Manufactured solution" + (", modulus varies" if slope else "")
    mesh, rows = f"{coarse.n}^3 and {fine.n}^3: {coarse.n_cells} and {fine.n_cells}", []
    for name, theory, before, after in (
        ("order of displacement in L2", p + 1, coarse.displacement, fine.displacement),
        ("order in the energy norm", p, coarse.energy, fine.energy),
    ):
        measured = float(np.log(before / after) / np.log(fine.n / coarse.n))
        rows.append(Row(title, kind, mesh, name, float(theory), "theory", measured, 0.15,
                        "absolute; not yet asymptotic", scale=1.0))  # fmt: skip
    return rows
