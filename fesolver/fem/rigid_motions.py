"""Which rigid motions of a set of bodies do linear equations leave free? Elimination body by body."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.fem.constraints import rigid_modes
from fesolver.fem.problem import LinearTie

__all__ = ["MotionEquations", "free_motions", "participation"]

_HELD = 1e-9**0.5
"""A motion is held if the squares of its equations sum to more than the square of this.

Equations of one body alone are of order 1; a body one cell wide in a mesh of 1000 cells is held to 1e-6 of that.
"""


class MotionEquations:
    """Linear homogeneous equations on the six motions of every owner.

    Motions are about the centre of a box, rotations scaled by its length, so that all six are lengths. Equations on the
    same owners are kept as few rows with the same span and the same sum of squares.

    Parameters
    ----------
    n_owners : int
        How many bodies there are to move.
    low, high : (3,) ndarray
        Corners of a box around them, mm.

    Attributes
    ----------
    rows : list of (owners, (m, n, 6) ndarray)
        Blocks of m equations on n owners: the sum over owners and motions is zero.
    """

    def __init__(self, n_owners: int, low: NDArray[np.float64], high: NDArray[np.float64]) -> None:
        self.n_owners = n_owners
        self.rows: list[tuple[list[int], NDArray[np.float64]]] = []
        self._centre = (low + high) / 2
        self._length = max(float((high - low).max()), 1e-9)

    def _scaled(self, points: ArrayLike) -> NDArray[np.float64]:
        """Coordinates about the centre, over the length."""
        return np.asarray((np.asarray(points, dtype=np.float64) - self._centre) / self._length)

    def hold(self, points: NDArray[np.float64], owners: NDArray[np.int64], components: NDArray[np.int64]) -> None:
        """One component of the displacement of an owner's point is given, (k,) times."""
        for key, modes in _modes_of_groups(self._scaled(points), 3 * owners + components):
            self.rows.append(([key // 3], modes[:, key % 3, None]))

    def join(self, points: NDArray[np.float64], left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
        """Two owners move alike at a point, (k,) times."""
        for key, modes in _modes_of_groups(self._scaled(points), left * self.n_owners + right):
            row = modes.reshape(-1, 6)
            self.rows.append((list(divmod(key, self.n_owners)), np.stack([row, -row], axis=1)))

    def fix(self, owner: int, reference: ArrayLike, is_fixed: NDArray[np.bool_]) -> None:
        """Some of the six motions of an owner about a reference are given."""
        motion = np.eye(6)
        motion[:3] = rigid_modes(self._scaled(reference)[None], np.zeros(3))[0]
        self.rows.append(([owner], motion[is_fixed][:, None]))

    def link(
        self,
        left: tuple[NDArray[np.float64], NDArray[np.int64]],
        right: tuple[NDArray[np.float64], NDArray[np.int64]],
        directions: NDArray[np.float64],
    ) -> None:
        """The points of two owners move alike along one direction (k, 3), k times.

        Both sides are points (k, 3) and their owners (k,); an owner of -1 does not move.
        """  # fmt: skip
        keys, group = np.unique(np.stack([left[1], right[1]], axis=1), axis=0, return_inverse=True)
        sides = [
            np.einsum("kd,kdm->km", directions, rigid_modes(self._scaled(points), np.zeros(3)))
            for points, _ in (left, right)
        ]
        order = np.argsort(group, kind="stable")
        for g, of_group in enumerate(np.split(order, np.cumsum(np.bincount(group, minlength=len(keys)))[:-1])):
            blocks: dict[int, NDArray[np.float64]] = {}
            for owner, sign, modes in zip(keys[g].tolist(), (1.0, -1.0), sides, strict=True):
                if owner >= 0:
                    blocks[owner] = blocks.get(owner, 0.0) + sign * modes[of_group]
            if blocks:
                rows = np.concatenate(list(blocks.values()), axis=1)
                few = _triangle(rows) if len(rows) > rows.shape[1] else rows
                self.rows.append((list(blocks), few.reshape(len(few), len(blocks), 6)))

    def tie(self, ties: Sequence[LinearTie], points: NDArray[np.float64], owners: NDArray[np.int64]) -> None:
        """Ties, with the coordinates and owners of their degrees of freedom: each slave, then its masters."""
        weights = np.concatenate([np.concatenate([[1.0], -tie.weights]) for tie in ties])
        dofs = np.concatenate([np.concatenate([[tie.dof], tie.masters]) for tie in ties])
        row = np.repeat(np.arange(len(ties)), [1 + len(tie.masters) for tie in ties])
        values = weights[:, None] * rigid_modes(self._scaled(points), np.zeros(3))[np.arange(len(dofs)), dofs % 3]
        involved, column = np.unique(owners, return_inverse=True)
        is_on = np.zeros((len(ties), len(involved)), dtype=bool)
        is_on[row, column] = True
        patterns, group = np.unique(is_on, axis=0, return_inverse=True)
        for g, pattern in enumerate(patterns):
            number = np.cumsum(group == g) - 1
            of_group = np.flatnonzero(group[row] == g)
            block = np.zeros((number[-1] + 1, int(pattern.sum()), 6))
            np.add.at(block, (number[row[of_group]], (np.cumsum(pattern) - 1)[column[of_group]]), values[of_group])
            self.rows.append((involved[pattern].tolist(), block))


def _modes_of_groups(
    points: NDArray[np.float64], group: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Per group of points (n, 3), at most four rows (m, 3, 6) with the span and squares of its rigid modes.

    Displacement by a rigid motion is linear in (1, x, y, z); the triangle of a QR factorisation stands for all points.
    """
    order = np.argsort(group, kind="stable")
    rows = np.column_stack([np.ones(len(points)), points])[order]
    keys, starts = np.unique(group[order], return_index=True)
    for key, start, end in zip(keys.tolist(), starts, [*starts[1:], len(rows)][: len(keys)], strict=True):
        few = _triangle(rows[start:end])
        modes = rigid_modes(few[:, 1:], np.zeros(3))
        modes[:, :, :3] *= few[:, :1, None]
        yield key, modes


def _triangle(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most as many rows as columns, with the same span and sum of squares."""
    return np.asarray(np.linalg.qr(rows, mode="r"))


def free_motions(equations: MotionEquations) -> NDArray[np.float64]:
    """Motions that the equations leave free.

    Parameters
    ----------
    equations : MotionEquations
        On the motions of all owners.

    Returns
    -------
    (n_owners, 6, m) ndarray
        A basis of m motions, scaled as in the equations; not orthogonal.

    Notes
    -----
    Owners with few neighbours go first. The singular value decomposition of an owner's equations splits them, by an
    orthogonal transformation, into those that give its motion by its neighbours' and those that are on the neighbours
    alone; what it leaves is free whatever the neighbours do. Squares of the equations would not do: eliminating
    an owner that is held to 1e-8 loses as many digits, and a free motion behind it looks held.
    """
    n_owners = equations.n_owners
    rows = list(equations.rows)
    rows_of: list[set[int]] = [set() for _ in range(n_owners)]
    for number, (owners, _) in enumerate(rows):
        for owner in owners:
            rows_of[owner].add(number)
    neighbours = [{owner for number in mine for owner in rows[number][0]} - {i} for i, mine in enumerate(rows_of)]
    queue = [(len(near), i) for i, near in enumerate(neighbours)]
    heapq.heapify(queue)
    is_done = np.zeros(n_owners, dtype=bool)
    steps: list[tuple[int, list[int], NDArray[np.float64], NDArray[np.float64]]] = []
    while queue:
        degree, i = heapq.heappop(queue)
        if is_done[i] or degree != len(neighbours[i]):
            continue  # an older entry of the queue
        is_done[i] = True
        near = sorted(neighbours[i])
        follow, free, rest = _eliminate([rows[number] for number in sorted(rows_of[i])], i, near)
        steps.append((i, near, follow, free))
        for j in near:
            rows_of[j] = (rows_of[j] - rows_of[i]) | {len(rows)}
            neighbours[j] = (neighbours[j] | neighbours[i]) - {i, j}
        rows.append((near, rest))
        for j in near:
            heapq.heappush(queue, (len(neighbours[j]), j))
    return _substitute(steps, n_owners)


def _eliminate(
    rows: Sequence[tuple[list[int], NDArray[np.float64]]], i: int, near: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Owner i by its neighbours (n, 6, 6), its free motions (6, m), and what is left on the neighbours (k, n, 6)."""
    position = {owner: number for number, owner in enumerate([i, *near])}
    blocks = np.zeros((max(sum(len(block) for _, block in rows), 1), len(position), 6))
    end = 0
    for owners, block in rows:
        start, end = end, end + len(block)
        blocks[start:end, [position[owner] for owner in owners]] = block
    C = blocks.reshape(len(blocks), -1)
    if len(C) > C.shape[1]:
        C = _triangle(C)
    left, size, right = np.linalg.svd(C[:, :6])
    n_held = int(np.sum(size > _HELD))
    turned = left.T @ C[:, 6:]
    follow = -(right[:n_held].T / size[:n_held]) @ turned[:n_held]
    follow = follow.reshape(6, len(near), 6).transpose(1, 0, 2)
    return follow, right[n_held:].T, turned[n_held:].reshape(len(turned) - n_held, len(near), 6)


def _substitute(
    steps: Sequence[tuple[int, list[int], NDArray[np.float64], NDArray[np.float64]]], n_owners: int
) -> NDArray[np.float64]:
    """Free motions of every owner, carried on to the owners that were eliminated before it."""
    column = sum(free.shape[1] for *_, free in steps)
    motions = np.zeros((n_owners, 6, column))
    for i, near, follow, free in reversed(steps):
        motions[i] = np.sum(follow @ motions[near], axis=0)
        motions[i, :, column - free.shape[1] : column] = free
        column -= free.shape[1]
    return motions


def participation(motions: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each owner takes part in motions.

    Parameters
    ----------
    motions : (n_owners, 6, m) ndarray
        Independent motions.

    Returns
    -------
    (n_owners,) ndarray
        Norm of the owner's share of an orthonormal basis of them: between 0 and the root of 6.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_owners, _, n_free = motions.shape
    if not n_free:
        return np.zeros(n_owners)
    size = np.abs(motions).max(axis=1)
    owner, column = np.nonzero(size > 1e-12 * size.max(axis=0))
    n = n_owners + n_free
    graph = coo_array((np.ones(len(owner), dtype=np.int8), (owner, n_owners + column)), shape=(n, n))
    _, group = connected_components(graph, directed=False)
    movement = np.zeros(n_owners)
    for g in np.unique(group[n_owners:]):
        rows, columns = np.flatnonzero(group[:n_owners] == g), np.flatnonzero(group[n_owners:] == g)
        basis = np.linalg.qr(motions[np.ix_(rows, np.arange(6), columns)].reshape(6 * len(rows), -1))[0]
        movement[rows] = np.sqrt((basis**2).reshape(len(rows), -1).sum(axis=1))
    return movement
