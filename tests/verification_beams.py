"""Solid elements in bending: Cook's membrane, Timoshenko and Goodier's cantilever."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from verification_fields import EndLoadedBeam
from verification_meshes import KINDS, block_mesh
from verification_rows import Row, by_class, free, planes, pull, solve

__all__ = ["COOK_SIZES", "cantilever", "cook"]

Array = NDArray[np.float64]


COOK_SIZES = {kind: (int(by_class(kind, 16, 8, 8)), int(by_class(kind, 32, 16, 16))) for kind in KINDS}
"""Hexahedra along an edge of Cook's membrane: coarse and fine."""


def cook(kind: str, n: int) -> list[Row]:
    """Cook's skew panel, clamped left, sheared right by 1 N: half a slab in plane stress, n x n x 1 hexahedra.

    The clamped edge may grow thinner or thicker, so that the state is one of plane stress up to the edge.
    """

    def place(s: Array) -> Array:
        x, low = 48 * s[:, 0], 44 * s[:, 0]
        return np.column_stack([x, low + s[:, 1] * (44 - 28 * s[:, 0]), 0.5 * s[:, 2]])

    mesh = block_mesh(kind, (n, n, 1), place)
    given = planes(mesh, 2)
    given[mesh.on(0, 0.0), :2] = 0.0
    force = pull(mesh, mesh.on(0, 48.0), [0.0, 1 / 16, 0.0])
    solved = solve(mesh, given, young=1.0, poisson=1 / 3, force=force)
    at = mesh.on(0, 48.0) & mesh.on(1, 52.0)
    is_coarse = n == COOK_SIZES[kind][0]
    tolerance = by_class(kind, 0.15, 0.1, 0.005) if is_coarse else by_class(kind, 0.05, 0.03, 0.002)
    return [Row("Cook's membrane", kind, f"{n} x {n} x 1: {len(mesh.cells)}", "deflection at (48, 52), mm", 23.96,
                "published, fine meshes", float(solved.u[at, 1].mean()), tolerance,
                "shear locking, h^2; second order: clamped corner, h^1.3")]  # fmt: skip


def cantilever(kind: str) -> list[Row]:
    """A deep cantilever in plane strain with the exact tractions on both ends: 4n x n x 1 hexahedra."""
    exact, n = EndLoadedBeam(), int(by_class(kind, 8, 8, 4))
    L, D = exact.length, exact.depth
    mesh = block_mesh(kind, (4 * n, n, 1), lambda s: s * [L, D, D / n] - [0.0, D / 2, 0.0])

    def traction(x: Array) -> Array:
        """On a section, from its right side."""
        along, shear = exact.stress(x)
        return np.stack([along, shear, 0 * along], axis=-1)

    given = free(mesh)
    given[:, 2] = 0.0
    origin = mesh.on(0, 0.0) & mesh.on(1, 0.0)
    given[origin, :2] = 0.0
    given[mesh.on(0, 0.0) & mesh.on(1, D / 2), 0] = 0.0
    ends = pull(mesh, mesh.on(0, L), traction) - pull(mesh, mesh.on(0, 0.0), traction)
    solved = solve(mesh, given, young=exact.young, poisson=exact.poisson, force=ends)
    tip, top = mesh.on(0, L) & mesh.on(1, 0.0), mesh.on(0, L / 2) & mesh.on(1, D / 2)
    size, title = f"{4 * n} x {n} x 1: {len(mesh.cells)}", "Timoshenko-Goodier cantilever"
    stress = float(exact.stress(np.array([L / 2, D / 2, 0.0]))[0])
    return [
        Row(title, kind, size, "tip deflection, mm", exact.tip_deflection(), "exact", float(solved.u[tip, 1].mean()),
            by_class(kind, 0.06, 0.02, 0.001), "shear locking, h^2; second order: h^4"),
        Row(title, kind, size, "sigma_x at (L/2, D/2), MPa", stress, "exact", float(solved.stress[top, 0].mean()),
            by_class(kind, 0.125, 0.125, 0.01), "half a cell times the gradient; second order: h^2"),
    ]  # fmt: skip
