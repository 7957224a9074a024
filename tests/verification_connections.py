"""Fibres and contacts with known answers: a body of annulus, and a sphere on a block."""

from __future__ import annotations

import numpy as np
from lattices import box_mesh, uniform

from fesolver.anatomy.frames import Frame
from fesolver.bone.materials import FibreReinforced, Isotropic
from fesolver.bone.tissue import Region, Tissue
from fesolver.connections.fibres import annulus_fibres
from fesolver.fem.problem import Connections, Loads, Problem
from fesolver.meshing.spine_mesh import SpineMesh
from fesolver.solvers.prepare import prepare

__all__ = ["ANGLE", "FIBRE_MPA", "FRACTION", "HERTZ", "directions", "fibred", "indentation_force", "sphere_on_block"]

FIBRE_MPA, FRACTION, ANGLE = 500.0, 0.16, 30.0

DEPTH, RADIUS = 0.02, 12.5
HERTZ = 4.0 / 3.0 * 10.0 / (1.0 - 0.09) * np.sqrt(RADIUS) * DEPTH**1.5
"""F = 4/3 E* sqrt(R) d^1.5, N, for E = 10 MPa and nu = 0.3 (K. L. Johnson, Contact Mechanics, Cambridge, 1985, 4.2)."""


def fibred(points, cells, element="hex8", axes=None, ground=4.0, poisson=0.3, angle=ANGLE, **constraints) -> Problem:
    """A body of annulus: ground in the cells, fibres at +-30 degrees from x in the xz plane as elements."""
    n = len(cells)
    axes = np.tile(np.eye(3) if axes is None else axes, (n, 1, 1))
    regions = {"L1-L2/annulus": Region(np.arange(n), np.ones(n))}
    mesh = SpineMesh(points, cells, regions, {}, {}, ("L1", "L2"), Frame(np.zeros(3), np.eye(3)), element=element)
    material = FibreReinforced(
        Isotropic(ground, poisson), fibre_young_mpa=FIBRE_MPA, volume_fraction=FRACTION, angle_deg=angle
    )
    tissue = Tissue(np.zeros(n), "rho_qct", regions, {"L1-L2/annulus": axes})
    fibres = annulus_fibres(mesh, tissue, {"annulus": material})
    return Problem(points, cells, uniform(n, ground, poisson), element=element, connections=fibres, **constraints)


def directions() -> np.ndarray:
    """Both families as unit vectors: +-30 degrees from x towards z."""
    c, s = np.cos(np.deg2rad(ANGLE)), np.sin(np.deg2rad(ANGLE))
    return np.array([[c, 0.0, s], [c, 0.0, -s]])


def indented(n: int, half_width: float, radius: float, stiffness: float) -> tuple[Problem, int]:
    """A quarter of a block under a rigid sphere, a contact per node of its top, gap r^2 / 2 R; the sphere's first dof.

    Cells shrink towards the contact; symmetry planes x = 0 and y = 0, far faces and bottom held.
    """
    grade = np.linspace(0.0, 1.0, n + 1)
    line = 2.1 * grade + (half_width - 2.1) * grade**4
    down = -line[::-1]
    points, cells, _ = box_mesh((n, n, n), 1.0)
    points = np.stack(
        [line[points[:, 0].astype(int)], line[points[:, 1].astype(int)], down[points[:, 2].astype(int)]], 1
    )
    low = points.min(axis=0)
    fixed = np.zeros(points.shape, dtype=bool)
    fixed[points[:, 0] == 0.0, 0] = fixed[points[:, 1] == 0.0, 1] = True
    far = (points[:, 0] == half_width) | (points[:, 1] == half_width) | (points[:, 2] == low[2])
    fixed[far] = True
    top = np.flatnonzero((points[:, 2] == 0.0) & ~far)
    weight = np.gradient(line)
    weight[0] = 0.5 * (line[1] - line[0])
    area = weight[np.searchsorted(line, points[top, 0])] * weight[np.searchsorted(line, points[top, 1])]
    # The sphere is a plate above, held as a whole, whose underside has the block's nodes one by one.
    plate, plate_cells, _ = box_mesh((n, n, 1), 1.0)
    plate = np.stack([line[plate[:, 0].astype(int)], line[plate[:, 1].astype(int)], 1.0 + plate[:, 2]], axis=1)
    above = {tuple(at): k for k, at in enumerate(plate[:, :2].tolist()) if plate[k, 2] == 1.0}
    sphere = len(points) + np.array([above[tuple(at)] for at in points[top, :2].tolist()])
    gap = np.sum(points[top, :2] ** 2, axis=1) / (2.0 * radius)
    m, everything = len(top), np.concatenate([points, plate])
    every_cell = np.concatenate([cells, plate_cells + len(points)])
    owner = np.full(len(everything), -1)
    owner[every_cell] = np.arange(len(every_cell))[:, None]
    ends = np.stack([top, sphere], axis=1).ravel()
    contact = Connections(
        name="contact", starts=2 * np.arange(m + 1), points=ends,
        weights=np.tile([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]], (m, 1)), owners=owner[ends],
        breaks=-gap[:, None], stiffness=np.stack([stiffness * area, np.zeros(m)], 1), force_at_break=np.zeros(m),
    )  # fmt: skip
    dofs = np.flatnonzero(np.concatenate([fixed.ravel(), np.ones(plate.size, dtype=bool)]))
    problem = Problem(everything, every_cell, uniform(len(every_cell), 10.0, 0.3), dofs, connections=(contact,))
    return problem, 3 * len(points)


def indentation_force(
    n: int, stiffness: float, *, half_width: float = 6.0, depth: float = DEPTH, radius: float = RADIUS
) -> float:
    """Force on the whole sphere pressed in by a depth."""
    problem, first = indented(n, half_width, radius, stiffness)
    dofs = problem.prescribed_dofs
    prescribed = np.where((dofs >= first) & (dofs % 3 == 2), -depth, 0.0)
    solution = prepare(problem).solve(Loads(prescribed=prescribed), rtol=1e-9)
    force = solution.connections["contact"].force
    assert (force <= 0.0).all(), "a contact never pulls"
    return -4.0 * float(force.sum())


def sphere_on_block(n: int) -> tuple[float, float, float]:
    """Force over Hertz's without penalty error: blocks of half-width 12 and 24 mm, and without their far faces.

    Far faces at a distance L stiffen the block by a / L to first order: two blocks take that out.
    """

    def without_penalty(half_width: float) -> float:
        coarse, fine = (indentation_force(n, k, half_width=half_width) for k in (3200.0, 6400.0))
        return (2.0 * fine - coarse) / HERTZ

    near, far = without_penalty(12.0), without_penalty(24.0)
    return near, far, 2.0 * far - near
