"""Solid elements on round bodies: Lame, Kirsch, Eshelby, the composite sphere, the bonded disc."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from exact_solutions import BONDED_DISC, SphericalInclusion
from numpy.typing import NDArray
from verification_fields import CompositeSphere, HollowCylinder, HollowSphere, plate_with_hole_stress
from verification_meshes import (
    KINDS,
    SolidMesh,
    ball_octant,
    block_mesh,
    cylinder_quarter,
    disc_quarter,
    graded,
    join,
    shell_octant,
)
from verification_rows import Row, Solved, by_class, cell_quadrature, planes, press, pull, solve

from fesolver.fem.recovery import recover_fields

__all__ = [
    "DISC_SIZES",
    "LOCKING",
    "bonded_disc",
    "composite_sphere",
    "cylinder",
    "inclusion",
    "plate_with_hole",
    "sphere",
]

Array = NDArray[np.float64]
LOCKING = ("hex8 full", "tet4", "wedge6")
"""Elements whose displacements leave no room for flow at constant volume: they lock towards nu = 1/2."""

DISC_SIZES = dict.fromkeys(KINDS, 4) | dict.fromkeys(("hex20", "wedge15"), 6)
DISC_SIZES |= dict.fromkeys(("hex8 b-bar", "hex8 incompatible"), 8)
"""Cells through half the disc from which on 2 % is asked for."""


def _across(solved: Solved, at: NDArray[np.bool_] | int, normal: Array) -> float:
    """Mean over points of the normal stress across `normal` (n, 3), MPa."""
    xx, yy, zz, yz, xz, xy = np.atleast_2d(solved.stress[at]).T
    x, y, z = np.atleast_2d(normal).T
    return float(np.mean(xx * x * x + yy * y * y + zz * z * z + 2 * (yz * y * z + xz * x * z + xy * x * y)))


def _lame(exact: HollowCylinder, solved: Solved, arm: Array, hoop: float, cells: str) -> list[Row]:
    """Rows of the mean displacement and hoop stress at the inner wall; `arm` (n, 3) is zero elsewhere.

    Towards nu = 1/2 the mean stress is the bulk modulus times a small dilatation: where that is integrated in full, it
    oscillates inside the cells, and with it the hoop stress, though the displacement is right.
    """
    kind, nu = solved.mesh.kind, exact.poisson
    inner = np.any(arm != 0, axis=1)
    outward = float(np.sum(solved.u[inner] * arm[inner], axis=1).mean() / exact.a)
    title = "Lame sphere" if isinstance(exact, HollowSphere) else "Lame cylinder"
    u = partial(Row, title, kind, f"{cells}, nu {nu}", "u(a), mm", exact.displacement(exact.a), "Lame", outward)
    if kind in LOCKING and nu > 0.4:
        severe = kind == "hex8 full" and nu > 0.4995
        return [u(0.3 if severe else 0.05, "locks: does not fall with h until h^2 < 1 - 2 nu", is_limit=True)]
    stress = partial(Row, title, kind, f"{cells}, nu {nu}", "hoop stress at a, MPa", exact.hoop(exact.a), "Lame", hoop)
    if nu < 0.4:
        return [
            u(by_class(kind, 0.03, 0.02, 0.002), "curvature of 1/r over a cell"),
            stress(by_class(kind, 0.1, 0.1, 0.01), "half a cell times the gradient, 10 %; second order: h^2"),
        ]
    oscillates = nu > 0.4995 and kind in ("hex20", "wedge15")
    return [
        u(by_class(kind, 0.0, 0.02, 0.01), "as at nu 0.3; second order: one order is lost in the limit"),
        stress(0.10, "mean stress oscillates", is_limit=True)
        if oscillates
        else stress(by_class(kind, 0.0, 0.1, 0.08), "half a cell times the gradient, 10 %; second order: h"),
    ]


def cylinder(kind: str, poisson: float, n: int = 8) -> list[Row]:
    """A quarter of a thick cylinder in plane strain under inner pressure, n x n x 1 hexahedra."""
    exact = HollowCylinder(poisson=poisson)
    mesh = cylinder_quarter(kind, (n, n, 1), inner=exact.a, outer=exact.b, height=1.0 / n)
    arm = mesh.points * [1.0, 1.0, 0.0]
    inner = np.abs(np.linalg.norm(arm, axis=1) - exact.a) < 1e-9
    given = planes(mesh, 0, 1)
    given[:, 2] = 0.0
    solved = solve(mesh, given, young=exact.young, poisson=poisson, force=press(mesh, inner, 1.0))
    x, y, _ = arm[inner].T
    hoop = _across(solved, inner, np.column_stack([-y, x, 0 * x]))
    return _lame(exact, solved, arm * inner[:, None], hoop, f"{n} x {n} x 1: {len(mesh.cells)}")


def sphere(kind: str, poisson: float, n: int | None = None) -> list[Row]:
    """An octant of a thick sphere under inner pressure: three blocks of n x n x 2n hexahedra, thinner inwards."""
    exact = HollowSphere(poisson=poisson)
    n = n or (6 if KINDS[kind].order == 1 else 4)
    mesh = shell_octant(kind, n, 2 * n, inner=exact.a, outer=exact.b, grading=2.0)
    inner = np.abs(np.linalg.norm(mesh.points, axis=1) - exact.a) < 1e-9
    force = press(mesh, inner, 1.0)
    solved = solve(mesh, planes(mesh, 0, 1, 2), young=exact.young, poisson=poisson, force=force)
    trace = solved.stress[inner, :3].sum(axis=1).mean()
    hoop = 0.5 * (float(trace) - _across(solved, inner, mesh.points[inner]))
    size = f"3 x {n} x {n} x {2 * n}: {len(mesh.cells)}"
    return _lame(exact, solved, mesh.points * inner[:, None], hoop, size)


def plate_with_hole(kind: str, n: int = 12, *, half_width: float = 10.0) -> list[Row]:
    """A quarter plate of 10 hole radii, exact tractions on its outer edges, plane strain: n x n x 1 hexahedra."""

    def place(s: Array) -> Array:
        angle, t = 0.5 * np.pi * s[:, 1], graded(s[:, 0], n, 40.0)[:, None]
        circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        square = half_width * circle / np.abs(circle).max(axis=1)[:, None]
        return np.column_stack([circle + t * (square - circle), s[:, 2] / n])

    def traction(axis: int) -> Callable[[Array], Array]:
        """On a plane of constant coordinate `axis`."""

        def of(x: Array) -> Array:
            xx, yy, xy = plate_with_hole_stress(x, 1.0, 1.0)
            return np.stack([(xx, xy)[axis], (xy, yy)[axis], 0 * xx], axis=-1)

        return of

    mesh = block_mesh(kind, (n, n, 1), place)
    force = sum(pull(mesh, mesh.on(axis, half_width), traction(axis)) for axis in (0, 1))
    given = planes(mesh, 0, 1)
    given[:, 2] = 0.0
    solved = solve(mesh, given, young=1000.0, poisson=0.3, force=np.asarray(force))
    rows = []
    for name, x, y, axis, true in (("hoop stress at the equator / S", 0.0, 1.0, 0, 3.0),
                                   ("hoop stress at the pole / S", 1.0, 0.0, 1, -1.0)):  # fmt: skip
        at = (np.abs(mesh.points[:, 0] - x) < 1e-9) & (np.abs(mesh.points[:, 1] - y) < 1e-9)
        rows.append(Row("Kirsch plate", kind, f"{n} x {n} x 1: {len(mesh.cells)}", name, true, "Kirsch",
                        float(solved.stress[at, axis].mean()), by_class(kind, 0.1, 0.06, 0.02),
                        "over 3 S; half a cell times the gradient; second order: h^2", scale=3.0))  # fmt: skip
    return rows


def _bulls_eye(kind: str, n: int, n_radial: int, outer: float) -> SolidMesh:
    """Octant of a ball of radius 1 (block 0) in a shell (block 1) up to `outer`."""
    return join([
        ball_octant(kind, n, n // 2, radius=1.0),
        shell_octant(kind, n, n_radial, inner=1.0, outer=outer, grading=outer, block=1),
    ])  # fmt: skip


def inclusion(kind: str, n: int | None = None) -> list[Row]:
    """Eshelby: a stiff ball in a matrix, conforming, the exact displacement given on a sphere of four radii."""
    exact, outer = SphericalInclusion(stress=1.0), 4.0
    n = n or (6 if kind == "tet4" else 4)
    mesh = _bulls_eye(kind, n, 2 * n, outer)
    given = planes(mesh, 0, 1, 2)
    far = np.linalg.norm(mesh.points, axis=1) > outer - 1e-9
    given[far] = exact.displacement(mesh.points[far])
    young = np.where(mesh.block == 0, exact.inclusion_young, exact.matrix_young)
    solved = solve(mesh, given, young=young, poisson=0.3)
    stress, volume = _core(solved)
    axial, lateral = exact.inner_stress()
    size = f"a = {n + n // 2} h: {len(mesh.cells)}"
    mean = np.average(stress, axis=0, weights=volume)
    return [
        Row("Eshelby inclusion", kind, size, name, true, "Eshelby", float(ours), by_class(kind, 0.03, 0.03, 0.003),
            "over the axial stress; faceted sphere, h^2", scale=axial)
        for name, true, ours in (("axial stress inside / S", axial, mean[2]),
                                 ("lateral stress inside / S", lateral, 0.5 * (mean[0] + mean[1])))
    ]  # fmt: skip


def _core(solved: Solved) -> tuple[Array, Array]:
    """Mean stress of the cells of block 0, and their volumes."""
    inside = solved.mesh.block == 0
    stress = recover_fields(solved.problem, solved.u).stress
    return stress[inside], cell_quadrature(solved.mesh).volume.sum(axis=1)[inside]


def composite_sphere(kind: str, n: int = 4) -> list[Row]:
    """A stiff ball in a shell under outer pressure: the core's hydrostatic stress."""
    exact = CompositeSphere()
    mesh = _bulls_eye(kind, n, n, exact.outer_radius)
    outside = np.linalg.norm(mesh.points, axis=1) > exact.outer_radius - 1e-9
    young = np.where(mesh.block == 0, exact.core_young, exact.shell_young)
    force = press(mesh, outside, 1.0)
    stress, volume = _core(solve(mesh, planes(mesh, 0, 1, 2), young=young, poisson=exact.poisson, force=force))
    ours = float(np.average(stress[:, :3].mean(axis=1), weights=volume))
    return [Row("Composite sphere", kind, f"R1 = {n + n // 2} h: {len(mesh.cells)}", "core stress, MPa",
                exact.core_stress(), "two-material Lame", ours, by_class(kind, 0.03, 0.02, 0.001),
                "faceted core, h^2")]  # fmt: skip


def bonded_disc(kind: str, poisson: float, n: int = 4) -> list[Row]:
    """A quarter of half a disc of radius 20 and height 10 mm between rigid bonded plates, shortened by 1 %."""
    mesh = disc_quarter(kind, n, n, n, radius=20.0, height=5.0, grading=0.5)
    given, top = planes(mesh, 0, 1, 2), mesh.on(2, 5.0)
    given[top] = [0.0, 0.0, -0.05]
    solved = solve(mesh, given, young=1.0, poisson=poisson)
    ratio = float(-solved.internal_force[top, 2].sum() / (np.pi * 100.0) / 0.01)
    size = f"{2 * n} x {2 * n} x {n}: {len(mesh.cells)}, nu {poisson}"
    row = partial(Row, "Bonded disc", kind, size, "apparent / true modulus", BONDED_DISC[poisson],
                  "fine axisymmetric models", ratio)  # fmt: skip
    if kind in LOCKING and poisson > 0.4:
        return [row({0.45: 0.01, 0.49: 0.05}.get(poisson, 0.3), "locks", is_limit=True)]
    if n < DISC_SIZES[kind]:
        return [row(0.05, "coarse mesh; an element that locks is wrong by 50 to 1000 %")]
    return [row(0.02, "the goal of the voxel model at 1 mm; bonded rim")]
