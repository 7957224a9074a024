"""Problems with known answers, each as a function that returns what the package computes.

The tests compare; `benchmarks/verification_table.py` writes the same numbers into `docs/verification.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from exact_solutions import SphericalInclusion
from lattices import SLIDE, all_dofs, box_mesh, is_on_box, on_plane, pads, voxel_mesh
from numpy.typing import NDArray

from fesolver.fem.problem import Elasticity, Loads, Problem, RigidLoad
from fesolver.fem.recovery import recover_fields
from fesolver.solvers.prepare import Method, prepare

__all__ = ["DiscResult", "InclusionResult", "bonded_disc", "column_stiffness", "spherical_inclusion"]


@dataclass(frozen=True)
class InclusionResult:
    """Mean stress in the inner 0.7 radii of the sphere over the remote stress, and the size of the problem."""

    axial: float
    lateral: float
    n_unknowns: int
    iterations: int


def inside_fraction(corner: NDArray[np.float64], step: float, radius: float, n: int = 8) -> NDArray[np.float64]:
    """Volume fraction of cells with lower corners (..., 3) inside a sphere about the origin, by n^3 sample points."""
    samples = (np.arange(n) + 0.5) / n * step
    total = np.zeros(corner.shape[:-1])
    for dx in samples:
        for dy in samples:
            for dz in samples:
                total += np.sum((corner + np.array([dx, dy, dz])) ** 2, axis=-1) <= radius**2
    return total / n**3


def spherical_inclusion(cells_per_radius: int, *, is_mixed: bool = False, half_width: float = 4.0) -> InclusionResult:
    """Sphere of PMMA in bone, remote uniaxial stress: one octant, exact displacement prescribed on the outer faces.

    Cells take the modulus at their centre; with `is_mixed`, the mean by volume (Voigt), which is stiffer at the
    boundary. `half_width` of the box is in radii.
    """
    exact = SphericalInclusion(radius=1.0)
    step = 1.0 / cells_per_radius
    n = round(half_width * cells_per_radius)
    points, cells, lattice = box_mesh((n, n, n), step)
    corner = lattice.cell_index * step
    if is_mixed:
        fraction = inside_fraction(corner, step, exact.radius)
    else:
        fraction = (np.sum((corner + step / 2) ** 2, axis=1) <= exact.radius**2).astype(float)
    young = exact.matrix_young + fraction * (exact.inclusion_young - exact.matrix_young)
    is_given = np.zeros((len(points), 3), dtype=bool)
    for axis in range(3):
        is_given[on_plane(points, axis, 0.0), axis] = True
        is_given[on_plane(points, axis, n * step)] = True
    dofs = np.flatnonzero(is_given)
    problem = Problem(points, cells, Elasticity(young, np.full(len(cells), 0.3)), prescribed_dofs=dofs, lattice=lattice)
    given = exact.displacement(points).ravel()[dofs]
    solution = prepare(problem, "voxel-multigrid").solve(Loads(prescribed=given))
    stress = recover_fields(problem, solution.u).stress
    core = np.sum((corner + step / 2) ** 2, axis=1) < 0.7**2
    mean = stress[core].mean(axis=0) / exact.stress
    return InclusionResult(float(mean[2]), float(0.5 * (mean[0] + mean[1])), 3 * len(points), solution.iterations)


@dataclass(frozen=True)
class DiscResult:
    """Apparent over true modulus of a bonded disc, and how the solve went."""

    ratio: float
    area_ratio: float
    iterations: int


def bonded_disc(poisson: float, step: float = 1.0, *, radius: float = 20.0, height: float = 10.0) -> DiscResult:
    """Disc between rigid bonded plates: an eighth of it, of cubes of edge `step`, mm.

    The stair-stepped section holds the cells nearest to the axis, as many as give the area of the circle.
    """
    n = round(radius / step) + 1
    centre = (np.arange(n) + 0.5) * step
    distance = np.hypot(centre[:, None], centre[None, :])
    n_inside = round(np.pi * radius**2 / 4 / step**2)
    section = np.zeros(n * n, dtype=bool)
    section[np.argsort(distance.ravel(), kind="stable")[:n_inside]] = True
    n_layers = round(height / 2 / step)
    active = np.broadcast_to(section.reshape(n, n, 1), (n, n, n_layers))
    points, cells, lattice = voxel_mesh(active, step)
    top = on_plane(points, 2, n_layers * step)
    is_given = np.zeros((len(points), 3), dtype=bool)
    for axis in range(3):
        is_given[on_plane(points, axis, 0.0), axis] = True
    is_given[top] = True
    shortening = 0.01 * height / 2
    values = np.zeros((len(points), 3))
    values[top, 2] = -shortening
    dofs = np.flatnonzero(is_given)
    problem = Problem(
        points, cells, Elasticity(np.ones(len(cells)), np.full(len(cells), poisson)), prescribed_dofs=dofs,
        lattice=lattice,
    )  # fmt: skip
    solution = prepare(problem, "voxel-multigrid").solve(Loads(prescribed=values.ravel()[dofs]))
    force = -solution.internal_force[top, 2].sum()
    area = np.pi * radius**2 / 4
    return DiscResult(
        ratio=float(force / area / 0.01), area_ratio=n_inside * step**2 / area, iterations=solution.iterations
    )


def column_stiffness(young: NDArray[np.float64], spacing: float = 1.5, method: Method = "auto") -> float:
    """Axial stiffness, N/mm, of a box of cells with modulus `young` (nx, ny, nz) and nu = 0 between sliding pads."""
    shape = (young.shape[0], young.shape[1], young.shape[2])
    points, cells, lattice = box_mesh(shape, spacing)
    i, j, k = lattice.cell_index.T
    problem = Problem(
        points, cells, Elasticity(young[i, j, k].astype(float), np.zeros(len(cells))),
        rigid_bodies=pads(points, top=SLIDE), lattice=lattice,
    )  # fmt: skip
    force = np.array([0.0, 0.0, -500.0])
    solution = prepare(problem, method).solve(Loads(rigid={"top": RigidLoad(force=force)}), rtol=1e-11)
    return float(-500.0 / solution.rigid_motion["top"][2])


def clamp(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """All degrees of freedom on the faces of the bounding box."""
    return all_dofs(np.flatnonzero(is_on_box(points)))
