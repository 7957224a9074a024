"""A two-vertebra column of bricks, with displacements given or solved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from fesolver.anatomy.frames import Frame
from fesolver.bone.tissue import Region, Tissue
from fesolver.fem.problem import Elasticity, Lattice, Loads, Problem, RigidBody, RigidLoad
from fesolver.fem.recovery import internal_force, recover_fields
from fesolver.loading.load_case import LoadCase
from fesolver.meshing.spine_mesh import SpineMesh, Surface
from fesolver.outcomes.state import SolvedState
from fesolver.solvers.solution import Solution

FACES = np.array([[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]])
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])


@dataclass(frozen=True)
class Column:
    """L1 over a disc over L2 (or L1 alone), `n` by `n` bricks wide.

    The outermost ring of a body's cells is `shell` cortical, the rest trabecular; the outermost ring of the disc is
    annulus, the rest nucleus.
    """

    n: int = 6
    heights: tuple[int, ...] = (4, 2, 4)  # cells of L2, L1-L2, L1; or of L1 alone
    spacing: tuple[float, float, float] = (1.5, 1.5, 1.0)
    shell: float = 0.4
    keep: Callable[[NDArray[np.float64]], NDArray[np.bool_]] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return ("L2", "L1-L2", "L1") if len(self.heights) == 3 else ("L1",)

    def mesh(self) -> SpineMesh:
        h = np.asarray(self.spacing)
        shape = (self.n, self.n, sum(self.heights))
        ijk = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 3)
        if self.keep is not None:
            ijk = ijk[self.keep((ijk + 0.5) * h)]
        corner = ijk[:, None] + CORNERS
        point_index, cells = np.unique(corner.reshape(-1, 3), axis=0, return_inverse=True)
        cells = cells.reshape(-1, 8).astype(np.int64)
        points = point_index * h
        tops = np.cumsum(self.heights)
        part = np.searchsorted(tops, ijk[:, 2], side="right")
        ring = np.minimum(ijk[:, :2], self.n - 1 - ijk[:, :2]).min(axis=1) == 0
        regions: dict[str, Region] = {}
        for at, name in enumerate(self.names):
            outer, inner = np.flatnonzero((part == at) & ring), np.flatnonzero((part == at) & ~ring)
            if "-" in name:
                regions[f"{name}/annulus"] = Region(outer, np.ones(len(outer)))
                regions[f"{name}/nucleus"] = Region(inner, np.ones(len(inner)))
                continue
            both = np.flatnonzero(part == at)
            fraction = np.where(ring[both], 1.0 - self.shell, 1.0)
            regions[f"{name}/trabecular"] = Region(both[fraction > 0], fraction[fraction > 0])
            if self.shell > 0.0:
                regions[f"{name}/cortical"] = Region(outer, np.full(len(outer), self.shell))
        surfaces = {}
        for at, name in enumerate(self.names):
            if "-" not in name:
                ids = np.flatnonzero(part == at)
                surfaces |= self._surfaces(name, points, cells, ids, tops[at] * h[2])
        frames = {
            name: Frame(points[np.unique(cells[part == at])].mean(axis=0), np.eye(3))
            for at, name in enumerate(self.names)
        }
        lattice = Lattice(shape, h, np.zeros(3), ijk.astype(np.int32), point_index.astype(np.int32))
        levels = tuple(name for name in reversed(self.names) if "-" not in name)
        return SpineMesh(points, cells, regions, surfaces, frames, levels, Frame(np.zeros(3), np.eye(3)), lattice)

    @staticmethod
    def _surfaces(name: str, points: NDArray, cells: NDArray, ids: NDArray, top: float) -> dict[str, Surface]:
        faces = cells[ids][:, FACES].reshape(-1, 4)
        owner = np.repeat(ids, 6)
        _, inverse, count = np.unique(np.sort(faces, axis=1), axis=0, return_inverse=True, return_counts=True)
        outside = count[inverse.ravel()] == 1
        faces, owner = faces[outside], owner[outside]
        a, b, c, d = np.moveaxis(points[faces], 1, 0)
        vector = 0.5 * np.cross(c - a, d - b)
        area = np.linalg.norm(vector, axis=1)
        normal = vector / area[:, None]
        kinds = {
            "superior_endplate": normal[:, 2] > 0.9,
            "inferior_endplate": normal[:, 2] < -0.9,
            "outer": np.abs(normal[:, 2]) < 0.1,
        }
        return {f"{name}/{k}": Surface(faces[m], owner[m], normal[m], area[m]) for k, m in kinds.items()}

    def elasticity(self, mesh: SpineMesh, young: dict[str, float], poisson: float = 0.0) -> Elasticity:
        """Young's modulus by fraction (Voigt), one Poisson's ratio."""
        total = np.zeros(len(mesh.cells))
        for name, region in mesh.regions.items():
            kind = name.split("/")[1]
            total[region.cells] += region.fraction * young.get(name, young.get(kind, np.nan))
        return Elasticity(total, np.full(len(total), poisson))


YOUNG = {"trabecular": 200.0, "cortical": 8000.0, "annulus": 8.0, "nucleus": 2.0, "cement": 2000.0}


@pytest.fixture
def column() -> Column:
    return Column()


@pytest.fixture
def given_state() -> Callable[..., SolvedState]:
    """State of a mesh under displacements that are simply given."""

    def make(
        mesh: SpineMesh, u: NDArray[np.float64], elasticity: Elasticity | None = None, name: str = "intact"
    ) -> SolvedState:
        top = np.flatnonzero(mesh.points[:, 2] == mesh.points[:, 2].max())
        bottom = np.flatnonzero(mesh.points[:, 2] == mesh.points[:, 2].min())
        reference = mesh.points[top].mean(axis=0)
        bodies = (
            RigidBody("bottom", bottom, mesh.points[bottom].mean(axis=0), np.ones(6, bool)),
            RigidBody("top", top, reference, np.ones(6, bool)),
        )
        e = elasticity or Elasticity(np.full(len(mesh.cells), 100.0), np.zeros(len(mesh.cells)))
        problem = Problem(mesh.points, mesh.cells, e, rigid_bodies=bodies)
        internal = internal_force(problem, u)
        reaction, motion = {}, {}
        for body in bodies:
            at = body.points
            arms = mesh.points[at] - body.reference
            wrench = [internal[at].sum(axis=0), np.cross(arms, internal[at]).sum(axis=0)]
            reaction[body.name] = np.concatenate(wrench)
            motion[body.name] = np.concatenate([u[at].mean(axis=0), np.zeros(3)])
        solution = Solution(u, internal, motion, reaction, 0, (0.0,), 1e-8, "given", True)
        tissue = Tissue(np.zeros(len(mesh.cells)), "rho_qct", mesh.regions)
        fields = recover_fields(problem, u)
        young = {name: YOUNG[kind] for name in mesh.regions if (kind := name.split("/")[1]) in YOUNG}
        young = {name: value for name, value in young.items() if not name.endswith("/trabecular")}
        return SolvedState(
            name, mesh, tissue, e, problem, Loads(), LoadCase(), reference, solution, fields, region_young=young
        )

    return make


@pytest.fixture
def solved_state() -> Callable[..., SolvedState]:
    """State of a mesh solved between rigid pads under 500 N."""
    from fesolver.solvers.prepare import prepare

    def make(
        mesh: SpineMesh,
        elasticity: Elasticity,
        *,
        top: str = "fixed",
        offset: float = 0.0,
        rtol: float = 1e-10,
        method: str = "auto",
        force: float = 500.0,
    ) -> SolvedState:
        z = mesh.points[:, 2]
        top_points, bottom_points = np.flatnonzero(z == z.max()), np.flatnonzero(z == z.min())
        point = mesh.points[top_points].mean(axis=0) - [0.0, offset, 0.0]
        is_fixed = {
            "fixed": np.array([1, 1, 0, 1, 1, 1], bool),
            "tilt": np.array([1, 1, 0, 0, 0, 1], bool),
            "free": np.zeros(6, bool),
        }[top]
        bodies = (
            RigidBody("bottom", bottom_points, mesh.points[bottom_points].mean(axis=0), np.ones(6, bool)),
            RigidBody("top", top_points, point, is_fixed),
        )
        problem = Problem(mesh.points, mesh.cells, elasticity, rigid_bodies=bodies, lattice=mesh.lattice)
        loads = Loads(rigid={"top": RigidLoad(force=np.array([0.0, 0.0, -force]))})
        solution = prepare(problem, method=method, threads=1).solve(loads, rtol=rtol)
        young = {name: YOUNG[kind] for name in mesh.regions if (kind := name.split("/")[1]) != "trabecular"}
        return SolvedState(
            "intact",
            mesh,
            Tissue(np.zeros(len(mesh.cells)), "rho_qct", mesh.regions),
            elasticity,
            problem,
            loads,
            LoadCase(),
            point,
            solution,
            recover_fields(problem, solution.u),
            region_young=young,
        )

    return make
