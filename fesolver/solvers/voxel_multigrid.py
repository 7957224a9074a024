"""The voxel solver behind the solver signature: a `Problem` on a lattice to and from the core's vectors."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.assembly import free_dofs, reduction_matrix
from fesolver.fem.constraints import check_elasticity, given_displacement, rigid_force
from fesolver.fem.kernels import vectors
from fesolver.fem.lattice_model import lattice_material, lattice_model
from fesolver.fem.problem import Elasticity, Loads, Problem
from fesolver.fem.threads import kernel_threads, threads_for
from fesolver.fem.voxel_operator import cell_kinds
from fesolver.fem.voxel_runs import PADDING
from fesolver.solvers.linear_view import LinearView
from fesolver.solvers.raw import Raw
from fesolver.solvers.reduced import BaseSystem, SolveOptions
from fesolver.solvers.voxel_core import Basis, CoreLoads, RigidPart, VoxelCore
from fesolver.solvers.voxel_ties import Ties

__all__ = ["VoxelMultigridSystem"]


class VoxelMultigridSystem(BaseSystem):
    """A voxel problem with its hierarchy.

    Parameters
    ----------
    problem : Problem
        With a lattice.
    n_threads : int
        Threads; the bits of a solution do not depend on it.

    Raises
    ------
    InputError
        If the problem has no lattice or does not lie on it, or has members or incompatible modes.
    """

    def __init__(self, problem: Problem, n_threads: int) -> None:
        super().__init__(problem, "voxel-multigrid", n_threads)
        if problem.lattice is None:
            raise InputError("method 'voxel-multigrid' needs a voxel mesh", fix="use method='auto'")
        if problem.members or problem.integration == "incompatible":
            raise InputError(
                "method 'voxel-multigrid' has no trusses, springs or incompatible modes", fix="use method='amg'"
            )
        model = lattice_model(problem)
        if model is None:
            raise InputError(
                "points or cells are not where the lattice says, or corners not in VTK order",
                fix="use method='amg', which takes hexahedra of any shape",
            )
        self._cells, self._points = model.cells, model.points
        self._node = np.empty_like(self._points)
        self._node[self._points] = np.arange(len(self._points))
        ties = self._ties(len(problem.points) + PADDING)
        rigid = tuple(RigidPart(self._node[r.body.points], r.matrix) for r in self._rigid)
        prescribed = 3 * self._node[problem.prescribed_dofs // 3] + problem.prescribed_dofs % 3
        self._core = VoxelCore(
            model.active, lattice_material(problem.elasticity, self._cells), problem.lattice.spacing, prescribed,
            rigid, ties, is_bbar=problem.integration == "b-bar", n_threads=n_threads,
        )  # fmt: skip

    def _ties(self, stride: int) -> Ties | None:
        """The problem's ties on the core's unknowns."""
        ties = self._problem.ties
        if not ties:
            return None
        from scipy.sparse import coo_array

        def flat(dofs: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.asarray(dofs % 3 * stride + self._node[dofs // 3])

        masters, place = np.unique(np.concatenate([tie.masters for tie in ties]), return_inverse=True)
        rows = np.repeat(np.arange(len(ties)), [len(tie.masters) for tie in ties])
        values = np.concatenate([tie.weights for tie in ties])
        weights = coo_array((values, (rows, place)), shape=(len(ties), len(masters))).tocsr()
        return Ties(flat(np.array([tie.dof for tie in ties], dtype=np.int64)), flat(masters), weights)

    def with_elasticity(self, elasticity: Elasticity) -> VoxelMultigridSystem:
        """The same lattice and constraints with other moduli; keeps what these do not change."""
        problem = replace(self._problem, elasticity=elasticity)
        check_elasticity(problem)
        material = lattice_material(elasticity, self._cells)
        if problem.ties or not np.array_equal(cell_kinds(material), self._core.operator.kinds):
            with kernel_threads(threads_for(problem.points.size, self._n_threads)):
                system = VoxelMultigridSystem(problem, self._n_threads)
                system.reason = self.reason
                system.connect()
            return system
        other = copy.copy(self)
        other._problem = problem
        other._cavities = None
        other._connected = None
        with kernel_threads(threads_for(problem.points.size, self._n_threads)):
            other._core = self._core.with_material(material)
            other.connect()
        return other

    def linear_view(self, stiffness: NDArray[np.float64] | None) -> LinearView:
        """The operator and its hierarchy, which knows no elements of connections."""
        core = self._core
        n, stride, m = 3 * core.nodes.stride, core.nodes.stride, int(core.splits[-1])
        free = free_dofs(self._problem)
        places = np.concatenate([free % 3 * stride + self._node[free // 3], n + np.arange(m)])

        def multiply(x: NDArray[np.float64]) -> NDArray[np.float64]:
            out, own = np.zeros_like(x), x.copy()
            out[n:], _ = core.apply(own[:n], own[n:], out[:n])
            return out

        def precondition(r: NDArray[np.float64]) -> NDArray[np.float64]:
            factor = 1.0 / (float(np.sqrt(vectors.block_dot(r, r))) or 1.0)
            vectors.round_off(r[:n], factor, core.hierarchy.grids[0].b)
            z, z_rigid = core.hierarchy.cycle(r[n:] * factor)
            out = np.zeros_like(r)
            vectors.scale_add(out[:n], 0.0, z, 1.0 / factor)
            out[n:] = z_rigid / factor
            return out

        return LinearView(n + m, places, reduction_matrix(self._problem), multiply, precondition)

    def _vector(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Point values (n_points, 3) as a vector of the core."""
        out = self._core.new_vector()
        out.reshape(3, -1)[:, : len(points)] = points[self._points].T
        return out

    def _values(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        """Back to point values."""
        out = np.empty((len(self._points), 3))
        out[self._points] = vector.reshape(3, -1)[:, : len(self._points)].T
        return out

    def _core_loads(self, loads: Loads) -> CoreLoads:
        """A load case in the core's vectors."""
        rigid = np.concatenate([np.zeros(0), *(rigid_force(r, loads.rigid.get(r.body.name)) for r in self._rigid)])
        force = None if loads.nodal_force is None else self._vector(loads.nodal_force)
        return CoreLoads(self._vector(given_displacement(self._problem, loads)), force, rigid)

    def _solve_many(self, loads: Sequence[Loads], options: SolveOptions) -> list[Raw]:
        """Each load case starts from the best combination of the solutions before it."""
        # A reaction converges faster from zero than from a start: see `VoxelCore.solve`.
        basis = Basis(self._core) if len(loads) > 1 and options.reaction_rtol is None else None
        return [self._solve_one(one, options, basis) for one in loads]

    def _solve_one(self, loads: Loads, options: SolveOptions, basis: Basis | None = None) -> Raw:
        core = self._core
        case = self._core_loads(loads)
        given = case.given.copy() if basis is not None else case.given
        start = None if options.u0 is None else core.free_part(self._vector(options.u0) - case.given)
        result = core.solve(
            case, *(start or ()), rtol=options.rtol, reaction_rtol=options.reaction_rtol,
            progress=options.progress, basis=basis,
        )  # fmt: skip
        if basis is not None:
            x = case.given - given
            core.clear(x)
            basis.keep(x, result.rigid)
        force = core.new_vector()
        core.operator.product(case.given, force, core.slabs)
        u = self._values(case.given)
        u0 = options.u0
        # Nothing was solved: give back the start's own bits if going to and fro has changed them only by round-off.
        if u0 is not None and len(result.norms) == 1 and np.abs(u - u0).max() <= 1e-14 * np.abs(u).max():
            u = u0.copy()
        return Raw(u, self._values(force), result.norms, result.is_converged, result.stopped_by)
