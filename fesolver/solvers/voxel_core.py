"""Conjugate gradients on the active nodes of a lattice: float64 operator, float32 multigrid preconditioner."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.kernels import vectors
from fesolver.fem.threads import threads_for
from fesolver.fem.voxel_operator import Material, VoxelOperator, slabs_for, voxel_operator
from fesolver.fem.voxel_runs import number_nodes
from fesolver.solvers.solution import Progress
from fesolver.solvers.voxel_hierarchy import Hierarchy, build_hierarchy, update_hierarchy
from fesolver.solvers.voxel_pieces import Coarsening
from fesolver.solvers.voxel_ties import Ties, tie_coupling

__all__ = ["CoreLoads", "CoreResult", "RigidPart", "VoxelCore"]

MAX_ITERATIONS = 1000

BALANCE = 100.0
"""Times `rtol`: largest imbalance of the force through a plane of nodes normal to z, as part of the load; 1e-6 at the
default tolerance, 1e-8."""

STABLE = 5
"""Iterations whose energy together estimates what is still missing [1]_.

.. [1] Z. Strakos, P. Tichy, On error estimation in the conjugate gradient method, ETNA 13 (2002) 56-80.
"""


@dataclass(frozen=True)
class RigidPart:
    """Nodes tied to a rigid body, and what its free motions do to them.

    Parameters
    ----------
    nodes : (k,) ndarray of int64
        Ids.
    matrix : (k, 3, m) ndarray
        Displacement by the scaled free motions (`fem.constraints.RigidMap.matrix`).
    """

    nodes: NDArray[np.int64]
    matrix: NDArray[np.float64]


@dataclass(frozen=True)
class CoreLoads:
    """One load case in the core's vectors.

    Parameters
    ----------
    given : (3 * stride,) ndarray
        Displacement, mm, of prescribed, tied and rigid nodes by what is given; zero elsewhere. Overwritten by the
        solution.
    force : (3 * stride,) ndarray or None
        Nodal forces, N.
    rigid : (m,) ndarray
        Generalised forces on the free rigid motions.
    """

    given: NDArray[np.float64]
    force: NDArray[np.float64] | None
    rigid: NDArray[np.float64]


@dataclass
class CoreResult:
    """How a solve went; the displacement is in the loads' `given`.

    Parameters
    ----------
    rigid : (m,) ndarray
        Free rigid motions, scaled.
    norms : list of float
        Relative residuals, the last one recomputed from the displacement.
    is_converged : bool
        Whether what was asked for was reached.
    stopped_by : str
        "residual" or "reaction".
    """

    rigid: NDArray[np.float64]
    norms: list[float]
    is_converged: bool
    stopped_by: str = "residual"


class VoxelCore:
    """The active cells of a lattice with constraints; vectors are flat, 3 x stride, components apart.

    Parameters
    ----------
    active : (nz, ny, nx) ndarray of bool
        Cells.
    material : Material
        Their constants.
    spacing : (3,) ndarray
        Edges, mm.
    prescribed : (k,) ndarray of int64
        Unknowns (3 * node + component) whose displacement is given.
    rigid : tuple of RigidPart
        Rigid bodies.
    ties : Ties
        Linear ties.
    is_bbar : bool
        Mean dilatation.
    n_threads : int
        Threads; the bits of a solution do not depend on it.
    coarsening : {"auto", "geometric", "aggregation"}
        Coarse spaces of the preconditioner: "auto" takes aggregation for networks of struts
        (`solvers.voxel_pieces.is_network`). Ties always take "geometric".
    """

    def __init__(
        self,
        active: NDArray[np.bool_],
        material: Material,
        spacing: NDArray[np.float64],
        prescribed: NDArray[np.int64],
        rigid: tuple[RigidPart, ...] = (),
        ties: Ties | None = None,
        *,
        is_bbar: bool,
        n_threads: int,
        coarsening: Coarsening = "auto",
    ) -> None:
        nodes, number = number_nodes(active)
        self.n_threads = n_threads
        self.nodes = nodes
        self.operator: VoxelOperator = voxel_operator(active, nodes, number, material, spacing, is_bbar=is_bbar)
        self.slabs = slabs_for(nodes, threads_for(3 * nodes.count, n_threads))
        self.rigid = rigid
        self.splits = np.cumsum([0] + [part.matrix.shape[2] for part in rigid])
        fixed = np.ones((3, nodes.stride), dtype=np.uint8)
        fixed[:, : nodes.count] = 0
        fixed[prescribed % 3, prescribed // 3] = 1
        for part in rigid:
            fixed[:, part.nodes] = 1
        self.ties = ties if ties is not None and len(ties.slaves) else None
        if self.ties is not None:
            fixed.ravel()[self.ties.slaves] = 1
        self.held = np.flatnonzero(fixed[:, : nodes.count].any(axis=0))
        self.is_fixed = fixed[:, self.held].astype(bool)
        self._beside = self._nodes_beside(active, number)
        at, columns, matrix = self._rigid_columns(fixed)
        coupling = None if self.ties is None else tie_coupling(self.ties, self.operator, active, number, fixed.ravel())
        self.hierarchy: Hierarchy = build_hierarchy(
            self.operator, active, number, fixed.ravel(), at, columns, matrix, coupling, n_threads, coarsening
        )

    def with_material(self, material: Material) -> VoxelCore:
        """The same cells and constraints with other constants of the same kinds; only what they change is made anew."""
        other = copy.copy(self)
        other.operator = self.operator.with_material(material)
        _, columns, matrix = other._rigid_columns(self.hierarchy.grids[0].fixed.reshape(3, -1))
        other.hierarchy = update_hierarchy(self.hierarchy, other.operator, columns, matrix)
        return other

    def new_vector(self) -> NDArray[np.float64]:
        """Zeros."""
        return np.zeros(3 * self.nodes.stride)

    def _nodes_beside(self, active: NDArray[np.bool_], number: NDArray[np.int32]) -> NDArray[np.int64]:
        """Nodes of the cells that hold a node moved by a rigid body, directly or through a tie, or a tie's master."""
        moved = [part.nodes for part in self.rigid if part.matrix.shape[2]]
        if not moved:
            return np.zeros(0, np.int64)
        masters = np.zeros(0, np.int64)
        if self.ties is not None:
            masters = self.ties.masters % self.nodes.stride
            moved.append(self.ties.slaves % self.nodes.stride)
        is_moved = np.zeros(self.nodes.count, dtype=bool)
        is_moved[np.concatenate(moved)] = True
        box = np.zeros(number.shape, dtype=bool)
        box[number >= 0] = is_moved
        corners = [tuple(slice((a >> d) & 1, None if (a >> d) & 1 else -1) for d in (2, 1, 0)) for a in range(8)]
        near = active & np.logical_or.reduce([box[at] for at in corners])
        beside = np.zeros(number.shape, dtype=bool)
        for at in corners:
            beside[at] |= near
        return np.union1d(number[beside].astype(np.int64), masters)

    def _rigid_columns(
        self, fixed: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Nodes beside rigid bodies, K times the unit motions there (q, 3, m), and the motions' own block (m, m)."""
        m = int(self.splits[-1])
        nodes, is_free = self._beside, fixed[:, self._beside] == 0
        columns, matrix = np.zeros((len(nodes), 3, m)), np.zeros((m, m))
        u, f = self.new_vector(), self.new_vector()
        for q in range(m):
            unit = np.zeros(m)
            unit[q] = 1.0
            self.expand(unit, u)
            self.operator.product(u, f, self.slabs)
            matrix[:, q] = self.gather(f)
            columns[:, :, q] = np.where(is_free, f.reshape(3, -1)[:, nodes], 0.0).T
        return nodes, columns, 0.5 * (matrix + matrix.T)

    def expand(self, r: NDArray[np.float64], u: NDArray[np.float64]) -> None:
        """Set the nodes of rigid bodies to the motions r (m,), then the slaves of ties to what their masters say."""
        grid = u.reshape(3, -1)
        for n, part in enumerate(self.rigid):
            grid[:, part.nodes] = (part.matrix * r[self.splits[n] : self.splits[n + 1]]).sum(axis=2).T
        if self.ties is not None:
            u[self.ties.slaves] = self.ties.weights @ u[self.ties.masters]

    def gather(self, f: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move the slaves' forces to their masters; generalised forces (m,) on the rigid motions."""
        if self.ties is not None:
            f[self.ties.masters] += self.ties.weights.T @ f[self.ties.slaves]
            f[self.ties.slaves] = 0.0
        grid = f.reshape(3, -1)
        parts = [(part.matrix * grid[:, part.nodes].T[:, :, None]).sum(axis=(0, 1)) for part in self.rigid]
        return np.concatenate([np.zeros(0), *parts])

    def clear(self, u: NDArray[np.float64]) -> None:
        """Set what is not free to zero."""
        grid = u.reshape(3, -1)
        grid[:, self.held] = np.where(self.is_fixed, 0.0, grid[:, self.held])

    def free_part(self, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Free unknowns and rigid motions (least squares) of a displacement without what is given; x is overwritten."""
        r = np.zeros(int(self.splits[-1]))
        for n, part in enumerate(self.rigid):
            m = part.matrix.shape[2]
            if m:
                values = x.reshape(3, -1)[:, part.nodes].T.ravel()
                fit = np.linalg.lstsq(part.matrix.reshape(-1, m), values, rcond=None)[0]
                r[self.splits[n] : self.splits[n + 1]] = fit
        self.clear(x)
        return x, r

    def apply(
        self, x: NDArray[np.float64], r: NDArray[np.float64], out: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float]:
        """Reduced operator: out on the nodes; returns the part on the rigid motions, and (x, r) . A (x, r)."""
        self.expand(r, x)
        energy = float(np.sum(self.operator.product(x, out, self.slabs)))
        rigid = self.gather(out)
        self.clear(x)
        self.clear(out)
        return rigid, energy

    def _residual(
        self, loads: CoreLoads, x_rigid: NDArray[np.float64], r: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], float, float]:
        """Residual of the displacement in `loads.given` into r; its rigid part, the largest imbalance, u . K u.

        The imbalance is that of the force through planes of nodes normal to z against the loads beyond them, as part of
        the load: half the sum of all nodal forces' sizes along x, y or z.
        """
        u = loads.given
        energy = float(np.sum(self.operator.product(u, r, self.slabs)))
        largest = 0.5 * float(np.abs(r.reshape(3, -1)).sum(axis=1).max())
        if loads.force is None:
            np.negative(r, out=r)
        else:
            vectors.subtract_from(loads.force, r)
        rigid = self.gather(r) + loads.rigid
        self.clear(r)
        jump = max(float(np.abs(self._through(r)).max()), float(np.abs(rigid).max(initial=0.0)))
        return rigid, jump / largest if largest > 0 else 0.0, energy

    def _through(self, f: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums (3, n_planes) of nodal forces over all planes up to each."""
        planes = self.nodes.planes
        filled = planes[:-1] < planes[1:]
        sums = np.zeros((3, len(filled)))
        for d, part in enumerate(f.reshape(3, -1)):
            sums[d, filled] = np.add.reduceat(part[: self.nodes.count], planes[:-1][filled])
        return np.cumsum(sums, axis=1)

    def solve(
        self,
        loads: CoreLoads,
        start: NDArray[np.float64] | None = None,
        start_rigid: NDArray[np.float64] | None = None,
        *,
        rtol: float,
        reaction_rtol: float | None = None,
        progress: Progress | None = None,
        basis: Basis | None = None,
    ) -> CoreResult:
        """Solve; the displacement replaces `loads.given`.

        Parameters
        ----------
        loads : CoreLoads
            The load case.
        start, start_rigid : ndarray, optional
            Free part of the displacement to start from.
        rtol : float
            On the residual over the free unknowns, relative to that of the given displacements alone. The forces
            through planes of nodes normal to z must balance to 100 times that as well.
        reaction_rtol : float, optional
            Stop as soon as the strain energy, and with it the reaction to a given motion, is estimated to be this
            close to its end. From zero its relative error is the square of the displacement's in the energy norm.
        progress : callable, optional
            Called with (iteration, relative residual).
        basis : Basis, optional
            Earlier solutions of the same system: starts from their best combination, and adds this one.
        """
        u = loads.given
        r, p, Ap = self.new_vector(), self.new_vector(), self.new_vector()
        m = int(self.splits[-1])
        x_rigid, p_rigid = np.zeros(m), np.zeros(m)
        r_rigid, jump, energy = self._residual(loads, x_rigid, r)
        norm_b = float(np.sqrt(vectors.block_dot(r, r) + r_rigid @ r_rigid))
        if norm_b == 0.0:
            return CoreResult(x_rigid, [0.0], True)
        norms = [1.0]
        before = basis.start(r, r_rigid) if basis is not None and start is None else None
        if before is not None:
            start, start_rigid = before
        if start is not None:
            x_rigid = np.zeros(m) if start_rigid is None else start_rigid.copy()
            self._add(u, start, x_rigid)
            r_rigid, jump, energy = self._residual(loads, x_rigid, r)
            norms = [float(np.sqrt(vectors.block_dot(r, r) + r_rigid @ r_rigid)) / norm_b]
        finest = self.hierarchy.grids[0]
        limit = BALANCE * rtol
        target, gains, stopped_by = rtol, list[float](), "residual"
        before_restart = np.inf
        while norms[-1] < 0.5 * before_restart:
            # The recurrence's residual drifts from the true one: restart where that is too large, while it helps.
            before_restart = norms[-1]
            if (norms[-1] <= rtol and jump <= limit) or not np.isfinite(norms[-1]) or len(norms) > MAX_ITERATIONS:
                break
            if norms[-1] <= rtol:
                target = 0.1 * min(target, norms[-1])
            factor = 1.0 / (norms[-1] * norm_b)
            vectors.round_off(r, factor, finest.b)
            z, z_rigid = self.hierarchy.cycle(r_rigid * factor)
            p_rigid = z_rigid / factor
            vectors.scale_add(p, 0.0, z, 1.0 / factor)
            rz = vectors.block_dot(r, p) + r_rigid @ p_rigid
            moved = np.zeros(m)
            while norms[-1] > target and len(norms) <= MAX_ITERATIONS:
                Ap_rigid, curvature = self.apply(p, p_rigid, Ap)
                if not curvature > 0.0:
                    break
                alpha = rz / curvature
                factor = 1.0 / (norms[-1] * norm_b)
                if reaction_rtol is not None:
                    work = 0.0 if loads.force is None else vectors.block_dot(p, loads.force)
                    energy += alpha * (2.0 * (work + loads.rigid @ p_rigid) - rz)
                    gains.append(alpha * rz)
                rr = vectors.step(u, p, r, Ap, alpha, factor, finest.b)
                moved += alpha * p_rigid
                r_rigid = r_rigid - alpha * Ap_rigid
                norms.append(float(np.sqrt(rr + r_rigid @ r_rigid)) / norm_b)
                if progress is not None:
                    progress(len(norms) - 1, norms[-1])
                if reaction_rtol is not None and len(gains) >= STABLE:
                    # The error e is orthogonal in energy to the displacement found, so that a reaction errs by e . K e,
                    # only if the iteration began at zero; from a start it errs by up to the root of that.
                    enough = energy * (reaction_rtol if start is None else reaction_rtol**2)
                    if sum(gains[-STABLE:]) <= enough:
                        stopped_by = "reaction"
                        break
                if norms[-1] <= target:
                    break
                z, z_rigid = self.hierarchy.cycle(r_rigid * factor)
                z_rigid = z_rigid / factor
                zr, zAp = vectors.two_dots(z, r, Ap)
                beta = -alpha * (zAp / factor + z_rigid @ Ap_rigid) / rz
                rz = zr / factor + z_rigid @ r_rigid
                vectors.scale_add(p, beta, z, 1.0 / factor)
                p_rigid = beta * p_rigid + z_rigid
            x_rigid = x_rigid + moved
            self._add(u, None, moved)
            r_rigid, jump, energy = self._residual(loads, x_rigid, r)
            norms[-1] = float(np.sqrt(vectors.block_dot(r, r) + r_rigid @ r_rigid)) / norm_b
            if stopped_by == "reaction":
                break
        is_converged = bool(norms[-1] <= rtol and jump <= limit) or stopped_by == "reaction"
        return CoreResult(x_rigid, norms, is_converged and bool(np.isfinite(norms[-1])), stopped_by)

    def _add(self, u: NDArray[np.float64], x: NDArray[np.float64] | None, r: NDArray[np.float64]) -> None:
        """Add free unknowns, and what rigid motions and ties make of them, to a displacement."""
        if x is not None:
            u += x
        grid = u.reshape(3, -1)
        for n, part in enumerate(self.rigid):
            grid[:, part.nodes] += (part.matrix * r[self.splits[n] : self.splits[n + 1]]).sum(axis=2).T
        if self.ties is not None:
            u[self.ties.slaves] = self.ties.weights @ u[self.ties.masters]


class Basis:
    """Solutions of one system that later load cases start from, orthonormal in energy [1]_.

    References
    ----------
    .. [1] P. F. Fischer, Projection techniques for iterative solution of Ax = b with successive right-hand sides,
    Comput.
       Methods Appl. Mech. Eng. 163 (1998) 193-204.
    """

    LARGEST = 6
    """Solutions kept: load cases on one rigid body span six."""

    def __init__(self, core: VoxelCore) -> None:
        self._core = core
        self._kept: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []

    def start(
        self, r: NDArray[np.float64], r_rigid: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """The combination of the kept solutions nearest in energy to the one of the right-hand side r."""
        if not self._kept:
            return None
        x, x_rigid = self._core.new_vector(), np.zeros_like(r_rigid)
        for q, q_rigid in self._kept:
            c = vectors.block_dot(q, r) + q_rigid @ r_rigid
            vectors.scale_add(x, 1.0, q, c)
            x_rigid += c * q_rigid
        return x, x_rigid

    def keep(self, x: NDArray[np.float64], x_rigid: NDArray[np.float64]) -> None:
        """Add the free part of a solution; x is overwritten."""
        if len(self._kept) >= self.LARGEST:
            return
        core, Ax = self._core, self._core.new_vector()
        Ax_rigid, before = core.apply(x, x_rigid, Ax)
        for q, q_rigid in self._kept:
            c = vectors.block_dot(q, Ax) + q_rigid @ Ax_rigid
            vectors.scale_add(x, 1.0, q, -c)
            x_rigid = x_rigid - c * q_rigid
        _, energy = core.apply(x, x_rigid, Ax)
        # What is left of a solution in the span of the others is round-off and solver error.
        if energy > 1e-10 * before:
            size = 1.0 / np.sqrt(energy)
            vectors.scale(x, size)
            self._kept.append((x, x_rigid * size))
