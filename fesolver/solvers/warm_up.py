"""Compile or load the kernels before they are needed, so that compile time is seen apart from run time."""

from __future__ import annotations

from typing import Literal

import numpy as np

from fesolver.fem.problem import Elasticity, Loads, Problem, RigidBody, RigidLoad
from fesolver.fem.recovery import recover_fields
from fesolver.fem.voxel_mesh import voxel_mesh
from fesolver.solvers.prepare import prepare

__all__ = ["warm_up"]


def warm_up(threads: int | None = None, *, kind: Literal["voxel", "mesh"] = "voxel") -> None:
    """Solve a block of 12 x 12 x 12 cells, one of them not isotropic: on its lattice, or as a mesh of any shape."""
    n = 12
    points, cells, lattice = voxel_mesh(np.ones((n, n, n), dtype=bool), 1.0)
    elasticity = Elasticity(
        young=np.ones(len(cells)),
        poisson=np.full(len(cells), 0.3),
        general_cells=np.array([0]),
        general_matrices=np.eye(6)[None],
    )
    bottom, top = np.flatnonzero(points[:, 2] == 0), np.flatnonzero(points[:, 2] == n)
    problem = Problem(
        points=points,
        cells=cells,
        elasticity=elasticity,
        lattice=lattice if kind == "voxel" else None,
        rigid_bodies=(
            RigidBody("bottom", bottom, points[bottom].mean(axis=0), np.ones(6, dtype=bool)),
            RigidBody("top", top, points[top].mean(axis=0), np.array([True, True, False, False, False, True])),
        ),
    )
    system = prepare(problem, method="voxel-multigrid" if kind == "voxel" else "amg", threads=threads)
    solution = system.solve(Loads(rigid={"top": RigidLoad(force=np.array([0.0, 0.0, -1.0]))}), rtol=1e-3)
    recover_fields(problem, solution.u)
