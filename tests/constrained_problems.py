"""Small problems with pads, clips and prescribed motions."""

from __future__ import annotations

import numpy as np
from lattices import FREE, TILT, all_dofs, box_mesh, on_plane, pads, uniform, varied_elasticity, voxel_mesh

from fesolver.fem.problem import Loads, Problem, RigidBody, RigidLoad

METHODS = ["direct", "amg", "pyamg", "voxel-multigrid"]


def mixed_problem(integration: str = "b-bar") -> tuple[Problem, Loads]:
    """Every kind of constraint at once on a small lopsided mesh of 22 unlike cells, some of them anisotropic."""
    active = np.ones((3, 2, 4), dtype=bool)
    active[2, 1, 1] = active[0, 0, 2] = False
    points, cells, lattice = voxel_mesh(active, (0.9, 1.3, 1.1), origin=(5.0, -4.0, 2.0))
    top = on_plane(points, 2, points[:, 2].max())
    side = np.flatnonzero((points[:, 0] == points[:, 0].max()) & (points[:, 2] < 4.5) & (points[:, 2] > 2.5))
    bottom = on_plane(points, 2, 2.0)
    bodies = (
        RigidBody(
            "top", top, points[top].mean(axis=0) + np.array([0.2, -0.5, 0.3]), np.array([1, 0, 0, 0, 0, 1], bool)
        ),
        RigidBody("clip", side, points[side].mean(axis=0), FREE),
    )
    problem = Problem(
        points, cells, varied_elasticity(len(cells), seed=3), prescribed_dofs=all_dofs(bottom), rigid_bodies=bodies,
        lattice=lattice, integration=integration,
    )  # fmt: skip
    rng = np.random.default_rng(12)
    loads = Loads(
        nodal_force=rng.standard_normal(points.shape),
        prescribed=0.01 * rng.standard_normal(3 * len(bottom)),
        rigid={
            "top": RigidLoad(np.array([0, 3.0, -9.0]), np.array([4.0, -2.0, 0]), np.array([0.02, 0, 0, 0, 0, 0.01])),
            "clip": RigidLoad(np.array([1.0, 2.0, 0.5]), np.array([0.3, 0.2, -0.7])),
        },
    )
    return problem, loads


def pillar(n: int = 6) -> tuple[Problem, Loads]:
    """A square pillar on a fixed pad under a tilting one, with an eccentric load."""
    points, cells, lattice = box_mesh((n, n, 2 * n), 1.0)
    problem = Problem(points, cells, uniform(len(cells)), rigid_bodies=pads(points, top=TILT), lattice=lattice)
    return problem, Loads(rigid={"top": RigidLoad(np.array([0, 0, -500.0]), np.array([800.0, 100.0, 0]))})
