"""NAFEMS benchmarks LE1, LE10 and LE11. Their metres are taken as mm: stresses do not depend on the unit of length.

References
----------
NAFEMS, *The Standard NAFEMS Benchmarks*, TNSB Rev. 3, 1990.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from verification_meshes import KINDS, SolidMesh, block_mesh, graded, join
from verification_rows import Row, by_class, cell_quadrature, planes, press, solve

__all__ = ["elliptic_membrane", "heated_cylinder", "thick_plate"]

Array = NDArray[np.float64]
YOUNG, POISSON, EXPANSION = 210e3, 0.3, 2.3e-4


def _elliptic(kind: str, shape: tuple[int, int, int], low: float, high: float) -> SolidMesh:
    """Quarter of an elliptic annulus: cells along the radius, the angle from D and the thickness, finer near D."""

    def place(s: Array) -> Array:
        t, angle = graded(s[:, 0], shape[0], 2.0)[:, None], 0.5 * np.pi * graded(s[:, 1], shape[1], 2.0)
        inner = np.stack([2.0 * np.cos(angle), 1.0 * np.sin(angle)], axis=1)
        outer = np.stack([3.25 * np.cos(angle), 2.75 * np.sin(angle)], axis=1)
        return np.column_stack([inner + t * (outer - inner), low + (high - low) * s[:, 2]])

    return block_mesh(kind, shape, place)


def _is_outer(mesh: SolidMesh) -> NDArray[np.bool_]:
    """Points on the outer ellipse."""
    x, y, _ = mesh.points.T
    return np.asarray(np.abs((x / 3.25) ** 2 + (y / 2.75) ** 2 - 1.0) < 1e-9)


def elliptic_membrane(kind: str, n: int = 16) -> list[Row]:
    """LE1: plane stress as half a slab of 0.1 on its plane of symmetry, mean over the thickness at D."""
    mesh = _elliptic(kind, (n, n + n // 2, 1), 0.0, 0.05)
    force = press(mesh, _is_outer(mesh), -10.0)
    solved = solve(mesh, planes(mesh, 0, 1, 2), young=YOUNG, poisson=POISSON, force=force)
    at = mesh.on(0, 2.0) & mesh.on(1, 0.0)
    stress, order = solved.stress[at, 1][np.argsort(mesh.points[at, 2])], KINDS[kind].order
    weights = [0.5, 0.5] if order == 1 else [1 / 6, 2 / 3, 1 / 6]
    return [Row("NAFEMS LE1", kind, f"{n} x {n + n // 2} x 1: {len(mesh.cells)}", "sigma_yy at D, MPa", 92.7, "NAFEMS",
                float(np.dot(weights, stress)), by_class(kind, 0.15, 0.08, 0.01),
                "slab for a membrane: 1 %; half a cell times the gradient")]  # fmt: skip


def thick_plate(kind: str) -> list[Row]:
    """LE10: a thick elliptic plate under pressure."""
    n = int(by_class(kind, 12, 12, 8))
    mesh = _elliptic(kind, (n, n + n // 2, 4), -0.3, 0.3)
    given, outer = planes(mesh, 0, 1), _is_outer(mesh)
    given[outer, :2] = 0.0
    given[outer & mesh.on(2, 0.0), 2] = 0.0
    force = press(mesh, mesh.on(2, 0.3), 1.0)
    solved = solve(mesh, given, young=YOUNG, poisson=POISSON, force=force)
    size = f"{n} x {n + n // 2} x 4: {len(mesh.cells)}"
    return [Row("NAFEMS LE10", kind, size, "sigma_yy at D, MPa", -5.38, "NAFEMS",
                float(solved.stress[mesh.at(2.0, 0.0, 0.3), 1]), by_class(kind, 0.25, 0.1, 0.03),
                "stress of a corner: 3 %; half a cell times the gradient")]  # fmt: skip


def _meridian(kind: str, n: int) -> SolidMesh:
    """Quarter of LE11's body: sphere, taper and cylinder as three blocks along the axis."""
    root = np.sqrt(0.5)
    inner = [lambda t: np.stack([np.cos(np.pi / 4 * t), np.sin(np.pi / 4 * t)], axis=1),
             lambda t: np.column_stack([root + 0 * t, root + t * (1.39 - root)]),
             lambda t: np.column_stack([root + 0 * t, 1.39 + 0.4 * t])]  # fmt: skip
    outer = [lambda t: 1.4 * np.stack([np.cos(np.pi / 6 * t), np.sin(np.pi / 6 * t)], axis=1),
             lambda t: np.column_stack([1.4 * np.cos(np.pi / 6) * (1 - t) + t, 0.7 + 0.69 * t]),
             lambda t: np.column_stack([1.0 + 0 * t, 1.39 + 0.4 * t])]  # fmt: skip

    def block(i: int) -> SolidMesh:
        def place(s: Array) -> Array:
            a, b = inner[i](s[:, 2]), outer[i](s[:, 2])
            rz, angle = a + s[:, :1] * (b - a), 0.5 * np.pi * s[:, 1]
            return np.column_stack([rz[:, 0] * np.cos(angle), rz[:, 0] * np.sin(angle), rz[:, 1]])

        return block_mesh(kind, (n, 2 * n, (2 * n, 2 * n, n)[i]), place)

    return join([block(i) for i in range(3)])


def heated_cylinder(kind: str, n: int = 3) -> list[Row]:
    """LE11: a body of revolution under the temperature r + z, held along the axis at both ends."""
    mesh = _meridian(kind, n)
    rule = cell_quadrature(mesh)
    temperature = np.hypot(rule.x[..., 0], rule.x[..., 1]) + rule.x[..., 2]
    mean = np.sum(rule.volume * temperature, axis=1) / rule.volume.sum(axis=1)
    strain = EXPANSION * mean[:, None] * np.array([1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    given = planes(mesh, 0, 1, 2)
    given[mesh.on(2, 1.79), 2] = 0.0
    solved = solve(mesh, given, young=YOUNG, poisson=POISSON, initial_strain=strain)
    at = mesh.on(2, 0.0) & (np.abs(np.hypot(mesh.points[:, 0], mesh.points[:, 1]) - 1.0) < 1e-9)
    return [Row("NAFEMS LE11", kind, f"{n} through the wall: {len(mesh.cells)}", "sigma_zz at A, MPa", -105.0, "NAFEMS",
                float(solved.stress[at, 2].mean()), by_class(kind, 0.3, 0.1, 0.03),
                "one thermal strain per cell, one-sided: half a cell times its gradient")]  # fmt: skip
