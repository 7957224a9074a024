"""Can any part of the mesh still move as a rigid body? The constraints on six motions per part, and their rank."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.fem.lattice_model import is_on_lattice
from fesolver.fem.parts import GridParts, MeshParts, Parts, face_connected_parts, lattice_cells
from fesolver.fem.problem import Members, Problem
from fesolver.fem.rigid_motions import MotionEquations, free_motions, participation
from fesolver.fem.voxel_mesh import corner_points

__all__ = ["GridBody", "check_grid_supports", "check_supports", "face_connected_parts"]

MAX_PARTS = 500
"""More parts than this are crumbs of a bad segmentation, and too many to name."""

_RESISTED = 1e-9
"""A member resists a direction if its stiffness there is more than this part of its largest: less is round-off."""

_ROTATIONS = np.arange(6) >= 3

_Side = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Points (k, 3) and their owners (k,)."""

GridBody = tuple[str, NDArray[np.bool_], ArrayLike, NDArray[np.bool_]]
"""A rigid body on a grid: name, points (nx + 1, ny + 1, nz + 1), reference in mm, which of its motions are fixed."""


def _refuse_crumbs(parts: Parts) -> None:
    """Raise `InputError` where there are too many parts."""
    if parts.n_parts > MAX_PARTS:
        raise InputError(
            f"the mesh falls into {parts.n_parts} parts that touch at most along edges",
            fix="repair the labels: keep the largest face-connected part of each region",
        )


def _refuse_free(
    parts: Parts, equations: MotionEquations, body_names: Sequence[str], lone: NDArray[np.float64] | None = None
) -> None:
    """Raise `InputError`, with the place, if the equations leave a part, a body or a lone point (k, 3) free."""
    motions = free_motions(equations)
    n_free = motions.shape[2]
    if not n_free:
        return
    movement = participation(motions)
    moving = np.flatnonzero(movement[: parts.n_parts] > 0.1 * movement.max())
    if not len(moving):
        first = int(np.argmax(movement > (1.0 - 1e-6) * movement.max()))  # equal but for round-off: the first
        if lone is not None and first >= parts.n_parts + len(body_names):
            x, y, z = lone[first - parts.n_parts - len(body_names)]
            raise InputError(
                "a point that belongs to members only can move without stretching them",
                where=f"({x:.1f}, {y:.1f}, {z:.1f}) mm",
                fix="prescribe what is free of it, or add members that hold it",
            )
        name = body_names[first - parts.n_parts]
        raise InputError(
            f"rigid body {name!r} can turn about the points tied to it",
            fix="tie more points, or fix its rotations",
        )
    count, n_cells, at = parts.cells_of(moving)
    whole = "the mesh" if count == n_cells else f"a part of {count} of {n_cells} cells"
    raise InputError(
        f"{whole} can move freely: the supports hold {max(6 - n_free, 0)} of its 6 rigid motions",
        where=f"centred at ({at[0]:.1f}, {at[1]:.1f}, {at[2]:.1f}) mm",
        fix="hold it with a pad or prescribed displacements, or remove the part; parts that share only an edge or a "
        "corner with the rest are hinged, not held",
    )


def _equations(parts: Parts, n_others: int) -> MotionEquations:
    """Equations of parts and others; the first part of a point speaks for it, and the others must agree."""
    equations = MotionEquations(parts.n_parts + n_others, parts.low, parts.high)
    points, first, other = parts.joints()
    equations.join(parts.coordinates(points), first, other)
    return equations


def check_supports(problem: Problem) -> None:
    """Every part of the mesh must be held against its six rigid motions, every point of members alone against three.

    Raises
    ------
    InputError
        If points belong to neither cell nor member, or a part, a hinged crumb, a rigid body or a point of members can
        move without straining anything; the message has the place in mm.

    Notes
    -----
    A member holds what its stiffness resists, however little.
    """
    lone = _lone_points(problem)
    lattice = problem.lattice if is_on_lattice(problem) else None
    parts: Parts
    if lattice is None:
        parts = MeshParts(problem)
    else:
        parts = GridParts(lattice_cells(lattice), lattice.spacing, lattice.origin)
    _refuse_crumbs(parts)

    first_lone = parts.n_parts + len(problem.rigid_bodies)

    def found(ids: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        points = ids if lattice is None else lattice.point_index[ids]
        owners = parts.owners(points)
        if len(lone):
            near = np.minimum(np.searchsorted(lone, ids), len(lone) - 1)
            owners = np.where(lone[near] == ids, first_lone + near, owners)
        return parts.coordinates(points), owners

    equations = _equations(parts, len(problem.rigid_bodies) + len(lone))
    dofs = problem.prescribed_dofs
    equations.hold(*found(dofs // 3), dofs % 3)
    for body_id, body in enumerate(problem.rigid_bodies, start=parts.n_parts):
        equations.join(*found(body.points), np.full(len(body.points), body_id))
        equations.fix(body_id, body.reference, body.is_fixed)
    if problem.ties:
        dofs = np.concatenate([np.concatenate([[tie.dof], tie.masters]) for tie in problem.ties])
        equations.tie(problem.ties, *found(dofs // 3))
    for number, point in enumerate(problem.points[lone], start=first_lone):
        equations.fix(number, point, _ROTATIONS)  # a point does not turn
    for members in problem.members:
        equations.link(*_linked(members, found))
    _refuse_free(parts, equations, [body.name for body in problem.rigid_bodies], problem.points[lone])


def _lone_points(problem: Problem) -> NDArray[np.int64]:
    """Ascending ids of points that belong to members only; `InputError` on those that belong to nothing."""
    is_used = np.zeros(len(problem.points), dtype=bool)
    for ids in problem.cells.T:
        is_used[ids] = True
    of_members = np.zeros_like(is_used)
    for members in problem.members:
        of_members[members.ends[members.ends >= 0]] = True
    if not (is_used | of_members).all():
        count = int((~(is_used | of_members)).sum())
        raise InputError(f"{count} points belong to no cell", fix="remove them from the mesh")
    return np.flatnonzero(of_members & ~is_used)


def _linked(members: Members, found: Callable[[NDArray[np.int64]], _Side]) -> tuple[_Side, _Side, NDArray[np.float64]]:
    """Both ends of every direction that a member resists, and the directions."""
    size, vectors = np.linalg.eigh(members.stiffness)
    member, which = np.nonzero(size > _RESISTED * size[:, 2:])
    first, second = members.ends[member].T
    is_ground = second < 0
    points, owners = found(np.where(is_ground, first, second))
    return found(first), (points, np.where(is_ground, -1, owners)), vectors[member, :, which]


def check_grid_supports(
    active: NDArray[np.bool_],
    spacing: ArrayLike,
    origin: ArrayLike,
    fixed: NDArray[np.bool_],
    rigid: Sequence[GridBody] = (),
) -> None:
    """The same check as `check_supports`, on the cells and points of a grid.

    Parameters
    ----------
    active : (nx, ny, nz) ndarray of bool
        Cells of the mesh.
    spacing : float or (3,) array_like
        Cell edges, mm.
    origin : float or (3,) array_like
        Lower corner of cell (0, 0, 0), mm.
    fixed : (nx + 1, ny + 1, nz + 1, 3) ndarray of bool
        Components of the displacement that are prescribed; those of points outside the material are ignored.
    rigid : sequence of (name, points, reference, is_fixed)
        Rigid bodies: points (nx + 1, ny + 1, nz + 1) of bool, of which those outside the material are ignored,
        reference (3,) in mm, and which of the motions (ux, uy, uz, rx, ry, rz) are fixed.

    Raises
    ------
    InputError
        If a shape does not fit, no cell is active, a rigid body has no points, or a part, a hinged crumb or a rigid
        body can move without straining anything; the message has the place in mm.

    Examples
    --------
    >>> active = np.ones((2, 2, 2), dtype=bool)
    >>> fixed = np.zeros((3, 3, 3, 3), dtype=bool)
    >>> fixed[:, :, 0, 2] = True
    >>> check_grid_supports(active, 1.0, 0.0, fixed)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    fesolver.errors.InputError: the mesh can move freely: the supports hold 3 of its 6 rigid motions
      where: centred at (1.0, 1.0, 1.0) mm
      to do: hold it with a pad or prescribed displacements, or remove the part; parts that share only an edge ...
    """
    if active.ndim != 3 or not active.any():
        raise InputError(f"no cell is active in a grid of shape {active.shape}", fix="give moduli above zero")
    used = corner_points(active)
    if fixed.shape != (*used.shape, 3):
        raise InputError(f"fixed must have shape {(*used.shape, 3)}, got {fixed.shape}")
    for name, mask, *_ in rigid:
        if mask.shape != used.shape:
            raise InputError(f"points of rigid body {name!r} must be a mask of shape {used.shape}, got {mask.shape}")
        if not np.any(mask & used):
            raise InputError(f"rigid body {name!r} has no points")
    step = np.broadcast_to(np.asarray(spacing, dtype=np.float64), 3)
    parts = GridParts(active, step, np.broadcast_to(np.asarray(origin, dtype=np.float64), 3))
    _refuse_crumbs(parts)
    equations = _equations(parts, len(rigid))
    point, component = np.divmod(np.flatnonzero(fixed), 3)
    is_material = used.ravel()[point]
    points = np.stack(np.unravel_index(point[is_material], used.shape), axis=1)
    equations.hold(parts.coordinates(points), parts.owners(points), component[is_material])
    for body_id, (_, mask, reference, is_fixed) in enumerate(rigid, start=parts.n_parts):
        points = np.argwhere(mask & used)
        equations.join(parts.coordinates(points), parts.owners(points), np.full(len(points), body_id))
        equations.fix(body_id, reference, is_fixed)
    _refuse_free(parts, equations, [name for name, *_ in rigid])
