"""Constraints as a reduction: u = u_given + P q, with q the free unknowns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import Loads, Problem, RigidBody, RigidLoad

__all__ = [
    "RigidMap",
    "check_elasticity",
    "check_loads",
    "check_problem",
    "given_displacement",
    "rigid_force",
    "rigid_map",
    "rigid_maps",
    "rigid_modes",
]


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


def rigid_map(body: RigidBody, points: NDArray[np.float64]) -> RigidMap:
    """The map of a rigid body whose points are at `points` (k, 3), mm."""
    arm = points - body.reference
    length = float(np.sqrt(np.mean(np.sum(arm**2, axis=1)))) or 1.0
    scale = np.array([1.0, 1.0, 1.0, length, length, length])
    return RigidMap(body, np.flatnonzero(~body.is_fixed), scale, rigid_modes(points, body.reference))


def rigid_maps(problem: Problem) -> tuple[RigidMap, ...]:
    """One map per rigid body of the problem, in its order."""
    return tuple(rigid_map(body, problem.points[body.points]) for body in problem.rigid_bodies)


def given_displacement(problem: Problem, loads: Loads) -> NDArray[np.float64]:
    """Displacement (n_points, 3) in mm imposed by the prescribed values, zero elsewhere."""
    u = np.zeros_like(problem.points)
    if loads.prescribed is not None:
        u.ravel()[problem.prescribed_dofs] = loads.prescribed
    for rigid in rigid_maps(problem):
        load = loads.rigid.get(rigid.body.name)
        if load is not None:
            u[rigid.body.points] += rigid.modes @ np.where(rigid.body.is_fixed, load.motion, 0.0)
    flat = u.ravel()
    for tie in problem.ties:
        flat[tie.dof] = np.sum(tie.weights * flat[tie.masters])
    return u


def check_loads(problem: Problem, loads: Loads) -> None:
    """Raise `InputError` where shapes, names or numbers of the loads do not fit the problem."""
    names = {body.name for body in problem.rigid_bodies}
    if unknown := set(loads.rigid) - names:
        raise InputError(f"load on unknown rigid body {sorted(unknown)}", fix=f"use one of {sorted(names)}")
    arrays: Mapping[str, tuple[NDArray[np.float64] | None, tuple[int, ...]]] = {
        "nodal_force": (loads.nodal_force, problem.points.shape),
        "prescribed": (loads.prescribed, problem.prescribed_dofs.shape),
        "initial_strain": (loads.initial_strain, (len(problem.cells), 6)),
    }
    for name, (values, shape) in arrays.items():
        if values is not None and (values.shape != shape or not np.all(np.isfinite(values))):
            raise InputError(f"{name} must be finite and of shape {shape}, got {values.shape}")
    for name, load in loads.rigid.items():
        for part, given, size in (("force", load.force, 3), ("moment", load.moment, 3), ("motion", load.motion, 6)):
            if np.shape(given) != (size,) or not np.all(np.isfinite(given)):
                raise InputError(f"{part} on rigid body {name!r} must be {size} finite numbers, got {given}")


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
        constraints, members or cavities that do not hold up, or a part of the mesh that the supports do not hold.
    """
    from fesolver.fem.cavity import check_cavities
    from fesolver.fem.connections import check_connections
    from fesolver.fem.members import check_members
    from fesolver.fem.supports import check_supports

    _check_mesh(problem)
    check_elasticity(problem)
    _check_constraints(problem)
    check_members(problem)
    check_cavities(problem)
    check_connections(problem)
    check_supports(problem)


def _check_mesh(problem: Problem) -> None:
    """Coordinates finite, ids in range."""
    n_points = len(problem.points)
    if not len(problem.cells):
        raise InputError("the mesh has no cells")
    if problem.points.shape != (n_points, 3) or not np.all(np.isfinite(problem.points)):
        raise InputError(f"points must be finite and of shape (n_points, 3), got {problem.points.shape}")
    if problem.element not in ELEMENTS:
        raise InputError(f"unknown element {problem.element!r}", fix=f"use one of {list(ELEMENTS)}")
    element = ELEMENTS[problem.element]
    if problem.cells.ndim != 2 or problem.cells.shape[1] != element.n_nodes:
        raise InputError(
            f"cells of {element.name} must have shape (n_cells, {element.n_nodes}), got {problem.cells.shape}"
        )
    low, high = problem.cells.min(), problem.cells.max()
    if low < 0 or high >= n_points:
        raise InputError(f"cells name points {low} to {high}, there are {n_points}")


def _place(problem: Problem, cell: int) -> str:
    """Where a cell is, for a message."""
    x, y, z = problem.points[problem.cells[cell]].mean(axis=0)
    return f"cell {cell} at ({x:.1f}, {y:.1f}, {z:.1f}) mm"


def check_elasticity(problem: Problem) -> None:
    """Raise `InputError`, with the place, unless moduli are positive, ratios in range, matrices positive definite."""
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
    D, general = problem.elasticity.general_matrices, problem.elasticity.general_cells
    if D.shape != (len(general), 6, 6):
        raise InputError(f"general_matrices must have shape ({len(general)}, 6, 6), got {D.shape}")
    if len(D):
        if general[0] < 0 or general[-1] >= n_cells or np.any(np.diff(general) <= 0):
            raise InputError(f"general_cells must be ascending ids below {n_cells}")
        asymmetry = np.abs(D - D.transpose(0, 2, 1)).max(axis=(1, 2), initial=0.0)
        lopsided = asymmetry > 1e-6 * np.abs(D).max(axis=(1, 2))
        if lopsided.any():
            place = _place(problem, int(general[np.argmax(lopsided)]))
            raise InputError("an elasticity matrix is not symmetric", where=place)
        smallest = np.where(np.isfinite(D).all(axis=(1, 2)), np.linalg.eigvalsh(np.nan_to_num(D))[:, 0], -1.0)
        if smallest.min() <= 0:
            first = int(np.argmin(smallest))
            cell = int(general[first])
            raise InputError("an elasticity matrix is not positive definite", where=_place(problem, cell))


def _check_constraints(problem: Problem) -> None:
    """No point in two rigid bodies, none both prescribed and rigid, ids in range."""
    n_points = len(problem.points)
    owner = np.zeros(n_points, dtype=np.int32)
    for body in problem.rigid_bodies:
        if not len(body.points):
            raise InputError(f"rigid body {body.name!r} has no points")
        if len(np.unique(body.points)) != len(body.points) or body.points.min() < 0 or body.points.max() >= n_points:
            raise InputError(f"rigid body {body.name!r} lists a point twice or one that does not exist")
        owner[body.points] += 1
    dofs = problem.prescribed_dofs
    if len(dofs) and (dofs.min() < 0 or dofs.max() >= 3 * n_points or np.any(np.diff(dofs) <= 0)):
        raise InputError("prescribed_dofs must be ascending and lie inside the mesh")
    owner[dofs // 3] += 1  # once per point, however often it is named
    if owner.max(initial=0) > 1:
        at = problem.points[int(np.argmax(owner))]
        raise InputError(
            "a point is held by two constraints", where=f"({at[0]:.1f}, {at[1]:.1f}, {at[2]:.1f}) mm",
            fix="remove it from one of the two rigid bodies or prescribed sets",
        )  # fmt: skip
    if problem.ties:
        _check_ties(problem, set(dofs.tolist()), {int(p) for b in problem.rigid_bodies for p in b.points})


def _check_ties(problem: Problem, prescribed: set[int], rigid_points: set[int]) -> None:
    """Ties well formed; no slave twice, nor a master, prescribed, or in a rigid body."""
    n_dofs = problem.points.size
    slaves = {tie.dof for tie in problem.ties}
    if len(slaves) != len(problem.ties):
        raise InputError("a degree of freedom is the slave of two ties", fix="keep one of them")
    for tie in problem.ties:
        where = f"dof {tie.dof}"
        ids = [tie.dof, *tie.masters.tolist()]
        if len(tie.masters) != len(tie.weights) or not np.all(np.isfinite(tie.weights)):
            raise InputError("a tie needs one finite weight per master", where=where)
        if min(ids) < 0 or max(ids) >= n_dofs:
            raise InputError(f"a tie names a degree of freedom outside 0..{n_dofs - 1}", where=where)
        if slaves & set(ids[1:]) or tie.dof in prescribed or tie.dof // 3 in rigid_points:
            raise InputError("a tied degree of freedom is also a master, prescribed or rigid", where=where)
