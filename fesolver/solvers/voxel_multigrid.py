"""Conjugate gradients on a lattice: float64 matrix-free operator, float32 multigrid preconditioner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.constraints import given_displacement, rigid_force
from fesolver.fem.kernels import multigrid as mg
from fesolver.fem.kernels.voxel import apply_stiffness
from fesolver.fem.problem import Elasticity, Lattice, Loads, Problem
from fesolver.fem.threads import kernel_threads, threads_for
from fesolver.fem.voxel_operator import brick_modes, voxel_elasticity
from fesolver.solvers.reduced import BaseSystem
from fesolver.solvers.solution import Progress
from fesolver.solvers.voxel_hierarchy import build_hierarchy

__all__ = ["VoxelMultigridSystem"]

BLOCK = 4096
"""Entries per partial sum of an inner product: fixed, so that bits do not depend on threads."""

MAX_ITERATIONS = 500


def _check_lattice(problem: Problem, lattice: Lattice) -> None:
    """Raise `InputError` unless points and cells lie where the lattice says."""
    expected = lattice.origin + lattice.point_index * lattice.spacing
    if expected.shape != problem.points.shape or not np.allclose(
        expected, problem.points, rtol=0.0, atol=1e-6 * float(np.min(lattice.spacing))
    ):
        raise InputError("points are not on the lattice", fix="use method='amg', which takes hexahedra of any shape")
    for corner, offset in enumerate(
        ([0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1])
    ):
        if np.any(lattice.point_index[problem.cells[:, corner]] != lattice.cell_index + offset):
            raise InputError("cells are not where the lattice says, or their points are not in VTK order")


class VoxelMultigridSystem(BaseSystem):
    """A voxel problem with its hierarchy.

    Parameters
    ----------
    problem : Problem
        With a lattice and without ties.
    n_threads : int
        Threads; the bits of a solution do not depend on it.

    Raises
    ------
    InputError
        If the problem has no lattice, or ties.

    Notes
    -----
    Flexible conjugate gradients (Polak-Ribiere), since the preconditioner is rounded to float32.
    """

    def __init__(self, problem: Problem, n_threads: int) -> None:
        super().__init__(problem, "voxel-multigrid", n_threads)
        lattice = problem.lattice
        if lattice is None or problem.ties:
            raise InputError("method 'voxel-multigrid' needs a voxel mesh without ties", fix="use method='auto'")
        _check_lattice(problem, lattice)
        self._lattice: Lattice = lattice
        self._n_slabs = threads_for(problem.points.size, n_threads)
        nx, ny, nz = lattice.shape
        self._box = (nz + 1, ny + 1, nx + 1, 3)
        i, j, k = lattice.point_index.astype(np.int64).T
        self._node = (k * (ny + 1) + j) * (nx + 1) + i
        self._is_bbar = problem.integration == "b-bar"
        self._modes = brick_modes(lattice.spacing, is_bbar=self._is_bbar)
        free = np.zeros((int(np.prod(self._box[:3])), 3), dtype=bool)
        free[self._node] = True
        free[self._node[problem.prescribed_dofs // 3], problem.prescribed_dofs % 3] = False
        for rigid in self._rigid:
            free[self._node[rigid.body.points]] = False
        self._free = free
        self._rigid_nodes = [self._node[rigid.body.points] for rigid in self._rigid]
        self._rigid_matrices = [rigid.matrix for rigid in self._rigid]
        self._splits = np.cumsum([0] + [len(rigid.free) for rigid in self._rigid])
        self._set_elasticity(problem.elasticity)

    def with_elasticity(self, elasticity: Elasticity) -> VoxelMultigridSystem:
        """The same lattice and constraints with other moduli."""
        import copy
        from dataclasses import replace

        from fesolver.fem.constraints import check_elasticity

        other = copy.copy(self)
        other._problem = replace(self._problem, elasticity=elasticity)
        check_elasticity(other._problem)
        with kernel_threads(threads_for(self._problem.points.size, self._n_threads)):
            other._set_elasticity(elasticity)
        return other

    def _set_elasticity(self, elasticity: Elasticity) -> None:
        """Spread the moduli and build the hierarchy."""
        self._elasticity = voxel_elasticity(elasticity, self._lattice)
        m = int(self._splits[-1])
        columns = np.zeros((*self._box, m))
        matrix = np.zeros((m, m))
        for q in range(m):
            unit = np.zeros(m)
            unit[q] = 1.0
            u = np.zeros(self._box)
            self._expand_rigid(unit, u)
            force = self._apply_full(u)
            columns[..., q] = force
            matrix[:, q] = self._gather_rigid(force)
        self._hierarchy = build_hierarchy(
            self._elasticity, self._modes, self._free.reshape(self._box), columns, matrix,
            is_bbar=self._is_bbar, n_slabs=self._n_slabs,
        )  # fmt: skip

    def _apply_full(self, u: NDArray[np.float64], out: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        """K u on the box, constraints ignored."""
        out = np.empty(self._box) if out is None else out
        e = self._elasticity
        apply_stiffness(u, out, e.lam, e.mu, e.general, e.D, self._modes.constants, self._is_bbar, self._n_slabs)
        return out

    def _expand_rigid(self, r: NDArray[np.float64], u: NDArray[np.float64]) -> None:
        """Set the tied nodes of the box array u to the rigid motions r (m,)."""
        flat = u.reshape(-1, 3)
        for at, (nodes, matrix) in enumerate(zip(self._rigid_nodes, self._rigid_matrices, strict=True)):
            part = r[self._splits[at] : self._splits[at + 1]]
            flat[nodes] = (matrix * part).sum(axis=2)

    def _gather_rigid(self, f: NDArray[np.float64]) -> NDArray[np.float64]:
        """Generalised forces (m,) on the rigid motions from nodal forces of the box."""
        flat = f.reshape(-1, 3)
        parts = [
            (matrix * flat[nodes][:, :, None]).sum(axis=(0, 1))
            for nodes, matrix in zip(self._rigid_nodes, self._rigid_matrices, strict=True)
        ]
        return np.concatenate([np.zeros(0), *parts])

    def _apply(self, x: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """Reduced operator on a flat vector: nodes of the box (zero where not free), then rigid motions."""
        n = int(np.prod(self._box))
        u = x[:n].reshape(self._box)
        self._expand_rigid(x[n:], u)
        f = out[:n].reshape(self._box)
        self._apply_full(u, f)
        out[n:] = self._gather_rigid(f)
        for nodes in self._rigid_nodes:
            u.reshape(-1, 3)[nodes] = 0.0
        f.reshape(-1, 3)[~self._free] = 0.0

    def _precondition(self, r: NDArray[np.float64], z: NDArray[np.float64]) -> None:
        """Z = V-cycle(r); the residual is scaled so that float32 cannot underflow."""
        n = int(np.prod(self._box))
        scale = float(np.sqrt(mg.block_dot(r, r, BLOCK))) or 1.0
        b = (r[:n] / scale).astype(np.float32).reshape(self._box)
        x, x_rigid = self._hierarchy.cycle(b, r[n:] / scale)
        np.multiply(x.ravel(), scale, out=z[:n], dtype=np.float64)
        z[n:] = x_rigid * scale

    def _solve_one(
        self, loads: Loads, u0: NDArray[np.float64] | None, rtol: float, progress: Progress | None
    ) -> tuple[NDArray[np.float64], list[float], bool]:
        n = int(np.prod(self._box))
        m = int(self._splits[-1])
        lift = given_displacement(self._problem, loads)
        box = np.zeros(self._box)
        flat = box.reshape(-1, 3)
        flat[self._node] = lift
        force = -self._apply_full(box)
        if loads.nodal_force is not None:
            force.reshape(-1, 3)[self._node] += loads.nodal_force
        b = np.empty(n + m)
        b[n:] = self._gather_rigid(force) + np.concatenate(
            [np.zeros(0), *(rigid_force(r, loads.rigid.get(r.body.name)) for r in self._rigid)]
        )
        force.reshape(-1, 3)[~self._free] = 0.0
        b[:n] = force.ravel()
        x = np.zeros(n + m)
        if u0 is not None:
            start = u0 - lift
            flat[:] = 0.0
            flat[self._node] = start
            for at, rigid in enumerate(self._rigid):
                if not len(rigid.free):
                    continue
                modes = self._rigid_matrices[at].reshape(-1, len(rigid.free))
                fit = np.linalg.lstsq(modes, start[rigid.body.points].ravel(), rcond=None)[0]
                x[n + self._splits[at] : n + self._splits[at + 1]] = fit
            flat[~self._free] = 0.0
            x[:n] = box.ravel()
        norms, is_converged = self._conjugate_gradients(b, x, rtol, progress)
        if u0 is not None and len(norms) == 1 and is_converged and np.any(b):
            return u0.copy(), norms, True
        u_box = x[:n].reshape(self._box)
        self._expand_rigid(x[n:], u_box)
        return u_box.reshape(-1, 3)[self._node] + lift, norms, is_converged

    def _conjugate_gradients(
        self, b: NDArray[np.float64], x: NDArray[np.float64], rtol: float, progress: Progress | None
    ) -> tuple[list[float], bool]:
        """Solve in place; relative residual norms, the last one recomputed from x."""

        def dot(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
            return float(mg.block_dot(p, q, BLOCK))

        norm_b = np.sqrt(dot(b, b))
        if norm_b == 0.0:
            x[:] = 0.0
            return [0.0], True
        r, z, Ap = np.empty_like(b), np.empty_like(b), np.empty_like(b)
        self._apply(x, Ap)
        np.subtract(b, Ap, out=r)
        norms = [np.sqrt(dot(r, r)) / norm_b]
        for _ in range(3):
            # The recurrence's residual drifts from the true one: restart where the true one is still too large.
            if norms[-1] <= rtol or not np.isfinite(norms[-1]) or len(norms) > MAX_ITERATIONS:
                break
            self._precondition(r, z)
            p = z.copy()
            rz = dot(r, z)
            while norms[-1] > rtol and len(norms) <= MAX_ITERATIONS:
                self._apply(p, Ap)
                curvature = dot(p, Ap)
                if not curvature > 0.0:
                    break
                alpha = rz / curvature
                mg.add_scaled(x, alpha, p)
                mg.add_scaled(r, -alpha, Ap)
                norms.append(np.sqrt(dot(r, r)) / norm_b)
                if progress is not None:
                    progress(len(norms) - 1, norms[-1])
                if norms[-1] <= rtol:
                    break
                self._precondition(r, z)
                beta = -alpha * dot(z, Ap) / rz
                rz = dot(r, z)
                mg.scale_add(p, beta, z)
            self._apply(x, Ap)
            np.subtract(b, Ap, out=r)
            norms[-1] = np.sqrt(dot(r, r)) / norm_b
        return [float(v) for v in norms], bool(norms[-1] <= rtol)
