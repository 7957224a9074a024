"""Can any part of the mesh still move as a rigid body? The constraints on six motions per part, and their rank."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.constraints import rigid_modes
from fesolver.fem.problem import Problem

__all__ = ["check_supports", "face_connected_parts"]

MAX_PARTS = 500
"""More parts than this are crumbs of a bad segmentation, and too many for a dense rank."""

_FACES = np.array([[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]])


def face_connected_parts(problem: Problem) -> tuple[NDArray[np.int64], int]:
    """Label (n_cells,) of the parts whose cells hang together by whole faces, and their number.

    Cells that share only an edge or a corner are in different parts: an edge is a hinge, a corner a ball joint.
    """
    if problem.lattice is not None:
        from scipy.ndimage import label

        i, j, k = problem.lattice.cell_index.T
        active = np.zeros(problem.lattice.shape, dtype=bool)
        active[i, j, k] = True
        parts, n_parts = label(active)
        return parts[i, j, k].astype(np.int64) - 1, int(n_parts)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_cells, n_points = len(problem.cells), len(problem.points)
    faces = np.sort(problem.cells[:, _FACES].reshape(-1, 4), axis=1)
    low, high = faces[:, 0] * n_points + faces[:, 1], faces[:, 2] * n_points + faces[:, 3]
    order = np.lexsort((high, low))
    is_pair = (np.diff(low[order]) == 0) & (np.diff(high[order]) == 0)
    first, second = order[:-1][is_pair] // 6, order[1:][is_pair] // 6
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(n_cells, n_cells))
    n_parts, parts = connected_components(graph, directed=False)
    return parts.astype(np.int64), int(n_parts)


class _Equations:
    """Linear equations on the six motions of every owner (parts, then rigid bodies), collected row by row."""

    def __init__(self, n_owners: int) -> None:
        self._n_owners = n_owners
        self._rows: list[NDArray[np.int64]] = []
        self._owners: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.float64]] = []
        self.n_rows = 0

    def add(self, rows: NDArray[np.int64], owners: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        """Add values (n, 6) on the motions of `owners` (n,) to `rows` (n,), counted from `n_rows`."""
        self._rows.append(rows + self.n_rows)
        self._owners.append(owners)
        self._values.append(values)

    def normal_matrix(self) -> NDArray[np.float64]:
        """C^T C of the equations C."""
        from scipy.sparse import coo_array

        rows = np.concatenate(self._rows or [np.zeros(0, np.int64)])
        owners = np.concatenate(self._owners or [np.zeros(0, np.int64)])
        values = np.concatenate(self._values or [np.zeros((0, 6))])
        columns = 6 * owners[:, None] + np.arange(6)
        shape = (max(self.n_rows, 1), 6 * self._n_owners)
        C: Any = coo_array((values.ravel(), (np.repeat(rows, 6), columns.ravel())), shape=shape).tocsr()
        return np.asarray((C.T @ C).toarray())


def _constraint_matrix(problem: Problem, parts: NDArray[np.int64], n_parts: int) -> NDArray[np.float64]:
    """Normal matrix (6 n, 6 n) of all constraints on rigid motions; n parts and bodies, rotations scaled to mm."""
    points = problem.points
    centre = points.mean(axis=0)
    length = max(float(np.ptp(points, axis=0).max()), 1e-9)
    scale = np.array([1, 1, 1, length, length, length])
    equations = _Equations(n_parts + len(problem.rigid_bodies))

    def modes(ids: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(rigid_modes(points[ids], centre) / scale)

    # Every (point, part) pair once; the first part of a point speaks for it, the others must agree.
    pairs = np.unique(problem.cells.ravel() * n_parts + np.repeat(parts, 8))
    at, part = pairs // n_parts, pairs % n_parts
    first = np.searchsorted(at, np.arange(len(points)))
    owner = part[np.minimum(first, len(part) - 1)]
    other = np.setdiff1d(np.arange(len(pairs)), first)

    def join(ids: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
        M = modes(ids).reshape(-1, 6)
        rows = np.arange(len(M))
        equations.add(rows, np.repeat(left, 3), M)
        equations.add(rows, np.repeat(right, 3), -M)
        equations.n_rows += len(M)

    join(at[other], owner[at[other]], part[other])
    dofs = problem.prescribed_dofs
    equations.add(np.arange(len(dofs)), owner[dofs // 3], modes(dofs // 3)[np.arange(len(dofs)), dofs % 3])
    equations.n_rows += len(dofs)
    for b, body in enumerate(problem.rigid_bodies):
        join(body.points, owner[body.points], np.full(len(body.points), n_parts + b))
        motion = np.eye(6)
        motion[:3] = rigid_modes(body.reference[None], centre)[0]
        held = (motion / scale * np.repeat([1.0, length], 3)[:, None])[body.is_fixed]
        equations.add(np.arange(len(held)), np.full(len(held), n_parts + b), held)
        equations.n_rows += len(held)
    if problem.ties:
        slaves = np.array([tie.dof for tie in problem.ties])
        masters = np.concatenate([tie.masters for tie in problem.ties])
        weights = np.concatenate([tie.weights for tie in problem.ties])
        rows = np.repeat(np.arange(len(slaves)), [len(tie.masters) for tie in problem.ties])
        equations.add(
            np.arange(len(slaves)), owner[slaves // 3], modes(slaves // 3)[np.arange(len(slaves)), slaves % 3]
        )
        equations.add(
            rows, owner[masters // 3],
            -weights[:, None] * modes(masters // 3)[np.arange(len(masters)), masters % 3],
        )  # fmt: skip
        equations.n_rows += len(slaves)
    return equations.normal_matrix()


def check_supports(problem: Problem) -> None:
    """Every part of the mesh must be held against its six rigid motions.

    Raises
    ------
    InputError
        If points belong to no cell, or a part, a hinged crumb or a rigid body can move without straining anything; the
        message has the place in mm.
    """
    is_used = np.zeros(len(problem.points), dtype=bool)
    is_used[problem.cells.ravel()] = True
    if not is_used.all():
        raise InputError(f"{int((~is_used).sum())} points belong to no cell", fix="remove them from the mesh")
    parts, n_parts = face_connected_parts(problem)
    if n_parts > MAX_PARTS:
        raise InputError(
            f"the mesh falls into {n_parts} parts that touch at most along edges",
            fix="repair the labels: keep the largest face-connected part of each region",
        )
    normal = _constraint_matrix(problem, parts, n_parts)
    values, vectors = np.linalg.eigh(normal)
    # Constraints of one part alone are of order 1; a part one cell wide in a mesh of 1000 cells is held to 1e-6.
    free = vectors[:, values < 1e-9]
    if not free.shape[1]:
        return
    movement = np.sqrt((free**2).reshape(-1, 6, free.shape[1]).sum(axis=(1, 2)))
    moving = np.flatnonzero(movement[:n_parts] > 0.1 * movement.max())
    if not len(moving):
        body = problem.rigid_bodies[int(np.argmax(movement)) - n_parts]
        raise InputError(
            f"rigid body {body.name!r} can turn about the points tied to it",
            fix="tie more points, or fix its rotations",
        )
    cells = np.flatnonzero(np.isin(parts, moving))
    at = problem.points[problem.cells[cells]].mean(axis=(0, 1))
    n_held = max(6 - free.shape[1], 0)
    whole = "the mesh" if len(cells) == len(problem.cells) else f"a part of {len(cells)} of {len(problem.cells)} cells"
    raise InputError(
        f"{whole} can move freely: the supports hold {n_held} of its 6 rigid motions",
        where=f"centred at ({at[0]:.1f}, {at[1]:.1f}, {at[2]:.1f}) mm",
        fix="hold it with a pad or prescribed displacements, or remove the part; parts that share only an edge or a "
        "corner with the rest are hinged, not held",
    )
