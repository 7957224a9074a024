"""Constraints as a reduction: u = u_given + P q, with q the free unknowns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.problem import Loads, Problem, RigidBody, RigidLoad

__all__ = ["RigidMap", "check_problem", "given_displacement", "rigid_maps", "rigid_modes"]


def rigid_modes(points: ArrayLike, reference: ArrayLike) -> NDArray[np.float64]:
    """Displacement (n, 3, 6) of points by unit motions (ux, uy, uz in mm; rx, ry, rz in rad) about a reference.

    Examples
    --------
    >>> rigid_modes([[1.0, 0.0, 0.0]], [0.0, 0.0, 0.0])[0, :, 5]
    array([0., 1., 0.])
    """
    arm = np.asarray(points, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    modes = np.zeros((len(arm), 3, 6))
    modes[:, [0, 1, 2], [0, 1, 2]] = 1.0
    x, y, z = arm.T
    modes[:, 1, 3], modes[:, 2, 3] = -z, y
    modes[:, 0, 4], modes[:, 2, 4] = z, -x
    modes[:, 0, 5], modes[:, 1, 5] = -y, x
    return modes


@dataclass(frozen=True)
class RigidMap:
    """A rigid body's motion on its points, rotations scaled to a length.

    Parameters
    ----------
    body : RigidBody
        The body.
    free : (m,) ndarray of int64
        Which of the six motions are unknown.
    scale : (6,) ndarray
        Unknown = motion * scale: 1 for translations, a length (mm) for rotations, so that all unknowns are mm.
    modes : (k, 3, 6) ndarray
        Displacement of the points by unit motions.
    """

    body: RigidBody
    free: NDArray[np.int64]
    scale: NDArray[np.float64]
    modes: NDArray[np.float64]

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Displacement (k, 3, m) of the points by the scaled free unknowns."""
        return self.modes[:, :, self.free] / self.scale[self.free]


def rigid_maps(problem: Problem) -> tuple[RigidMap, ...]:
    """One map per rigid body of the problem, in its order."""
    maps = []
    for body in problem.rigid_bodies:
        arm = problem.points[body.points] - body.reference
        length = float(np.sqrt(np.mean(np.sum(arm**2, axis=1)))) or 1.0
        scale = np.array([1.0, 1.0, 1.0, length, length, length])
        modes = rigid_modes(problem.points[body.points], body.reference)
        maps.append(RigidMap(body=body, free=np.flatnonzero(~body.is_fixed), scale=scale, modes=modes))
    return tuple(maps)


def given_displacement(problem: Problem, loads: Loads) -> NDArray[np.float64]:
    """Displacement (n_points, 3) in mm imposed by the prescribed values, zero elsewhere."""
    u = np.zeros_like(problem.points)
    if loads.prescribed is not None:
        u.ravel()[problem.prescribed_dofs] = loads.prescribed
    for rigid in rigid_maps(problem):
        load = loads.rigid.get(rigid.body.name)
        if load is not None:
            u[rigid.body.points] += rigid.modes @ np.where(rigid.body.is_fixed, load.motion, 0.0)
    return u


def check_loads(problem: Problem, loads: Loads) -> None:
    """Raise `InputError` where shapes, names or numbers of the loads do not fit the problem."""
    names = {body.name for body in problem.rigid_bodies}
    if unknown := set(loads.rigid) - names:
        raise InputError(f"load on unknown rigid body {sorted(unknown)}", fix=f"use one of {sorted(names)}")
    arrays: Mapping[str, tuple[NDArray[np.float64] | None, tuple[int, ...]]] = {
        "nodal_force": (loads.nodal_force, problem.points.shape),
        "prescribed": (loads.prescribed, problem.prescribed_dofs.shape),
    }
    for name, (values, shape) in arrays.items():
        if values is not None and (values.shape != shape or not np.all(np.isfinite(values))):
            raise InputError(f"{name} must be finite and of shape {shape}, got {values.shape}")
    for name, load in loads.rigid.items():
        if not all(np.all(np.isfinite(v)) for v in (load.force, load.moment, load.motion)):
            raise InputError(f"load on rigid body {name!r} is not finite")


def rigid_force(rigid: RigidMap, load: RigidLoad | None) -> NDArray[np.float64]:
    """Generalised force (m,) in N on the scaled free unknowns of a rigid body."""
    if load is None:
        return np.zeros(len(rigid.free))
    return np.asarray((np.concatenate([load.force, load.moment]) / rigid.scale)[rigid.free])


def check_problem(problem: Problem) -> None:
    """Raise `InputError`, with the place, on moduli, constraints or supports that cannot give a solution.

    Raises
    ------
    InputError
        On a modulus that is not positive or not finite, a matrix that is not positive definite, a point in two
        constraints, or a part of the mesh that the supports do not hold.
    """
    _check_elasticity(problem)
    _check_constraints(problem)
    _check_supports(problem)


def _place(problem: Problem, cell: int) -> str:
    """Where a cell is, for a message."""
    x, y, z = problem.points[problem.cells[cell]].mean(axis=0)
    return f"cell {cell} at ({x:.1f}, {y:.1f}, {z:.1f}) mm"


def _check_elasticity(problem: Problem) -> None:
    """Moduli finite and positive, Poisson's ratio in range, general matrices positive definite."""
    E, nu = problem.elasticity.young, problem.elasticity.poisson
    n_cells = len(problem.cells)
    if E.shape != (n_cells,) or nu.shape != (n_cells,):
        raise InputError(f"young {E.shape} and poisson {nu.shape} must have one value for each of {n_cells} cells")
    bad = ~(np.isfinite(E) & (E > 0))
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"{int(bad.sum())} cells have a modulus that is zero, negative or not a number (first: {E[first]} MPa)",
            where=_place(problem, first),
            fix="leave empty cells out of the mesh, or set a floor for the modulus",
        )
    bad = ~((nu > -1) & (nu < 0.5))
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(f"Poisson's ratio must lie in (-1, 0.5), got {nu[first]}", where=_place(problem, first))
    D = problem.elasticity.general_matrices
    if len(D):
        smallest = np.where(np.isfinite(D).all(axis=(1, 2)), np.linalg.eigvalsh(np.nan_to_num(D))[:, 0], -1.0)
        if smallest.min() <= 0:
            first = int(np.argmin(smallest))
            cell = int(problem.elasticity.general_cells[first])
            raise InputError("an elasticity matrix is not positive definite", where=_place(problem, cell))


def _check_constraints(problem: Problem) -> None:
    """No point in two rigid bodies, none both prescribed and rigid, ids in range."""
    n_points = len(problem.points)
    owner = np.zeros(n_points, dtype=np.int64)
    for body in problem.rigid_bodies:
        if not len(body.points):
            raise InputError(f"rigid body {body.name!r} has no points")
        if len(np.unique(body.points)) != len(body.points) or body.points.min() < 0 or body.points.max() >= n_points:
            raise InputError(f"rigid body {body.name!r} lists a point twice or one that does not exist")
        owner[body.points] += 1
    dofs = problem.prescribed_dofs
    if len(dofs) and (dofs.min() < 0 or dofs.max() >= 3 * n_points or np.any(np.diff(dofs) <= 0)):
        raise InputError("prescribed_dofs must be ascending and lie inside the mesh")
    owner[np.unique(dofs // 3)] += 1
    if owner.max(initial=0) > 1:
        at = problem.points[int(np.argmax(owner))]
        raise InputError(
            "a point is held by two constraints", where=f"({at[0]:.1f}, {at[1]:.1f}, {at[2]:.1f}) mm",
            fix="remove it from one of the two rigid bodies or prescribed sets",
        )  # fmt: skip
    slaves = {tie.dof for tie in problem.ties}
    for tie in problem.ties:
        if slaves & set(tie.masters.tolist()) or owner[tie.dof // 3] or len(tie.masters) != len(tie.weights):
            raise InputError("a tied degree of freedom is also a master, prescribed or rigid", where=f"dof {tie.dof}")


def _check_supports(problem: Problem) -> None:
    """Every connected part of the mesh must be held against its six rigid motions."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_points, n_cells = len(problem.points), len(problem.cells)
    rows = [np.repeat(np.arange(n_cells), 8)]
    columns = [problem.cells.ravel()]
    next_row = n_cells
    for group in [body.points for body in problem.rigid_bodies] + [
        np.append(tie.masters // 3, tie.dof // 3) for tie in problem.ties
    ]:
        rows.append(np.full(len(group), next_row))
        columns.append(group)
        next_row += 1
    i, j = np.concatenate(rows), np.concatenate(columns) + next_row
    size = next_row + n_points
    graph = coo_array((np.ones(len(i), dtype=np.int8), (i, j)), shape=(size, size)).tocsr()
    _, label = connected_components(graph, directed=False)
    used = np.zeros(n_points, dtype=bool)
    used[problem.cells.ravel()] = True
    if not used.all():
        raise InputError(f"{int((~used).sum())} points belong to no cell", fix="remove them from the mesh")
    point_part = label[next_row:]
    equations: dict[int, list[NDArray[np.float64]]] = {int(p): [] for p in np.unique(label[:n_cells])}
    centre = problem.points.mean(axis=0)
    modes = rigid_modes(problem.points[problem.prescribed_dofs // 3], centre)
    held = modes[np.arange(len(modes)), problem.prescribed_dofs % 3]
    part = point_part[problem.prescribed_dofs // 3]
    for p in np.unique(part):
        equations[int(p)].append(held[part == p])
    for body in problem.rigid_bodies:
        motion = np.eye(6)
        motion[:3] = rigid_modes(body.reference[None], centre)[0]
        equations[int(point_part[body.points[0]])].append(motion[body.is_fixed])
    length = max(float(np.ptp(problem.points, axis=0).max()), 1e-9)
    for p, blocks in equations.items():
        matrix = np.concatenate([np.zeros((0, 6)), *blocks]) / np.array([1, 1, 1, length, length, length])
        rank = np.linalg.matrix_rank(matrix.T @ matrix, tol=1e-10 * max(len(matrix), 1)) if len(matrix) else 0
        if rank < 6:
            cells = np.flatnonzero(label[:n_cells] == p)
            at = problem.points[problem.cells[cells]].mean(axis=(0, 1))
            whole = "the mesh" if len(cells) == n_cells else f"a part of {len(cells)} of {n_cells} cells"
            raise InputError(
                f"{whole} can move freely: the supports hold {rank} of its 6 rigid motions",
                where=f"centred at ({at[0]:.1f}, {at[1]:.1f}, {at[2]:.1f}) mm",
                fix="hold it with a pad or prescribed displacements, or remove the part",
            )
