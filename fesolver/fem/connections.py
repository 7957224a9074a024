"""Connections as arrays: elongations from displacements, forces from elongations, and what a problem may hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.problem import Connections, Problem

__all__ = [
    "ConnectionSet",
    "add_inner_elements",
    "check_connections",
    "connection_set",
    "connection_sides",
    "inner_elements",
    "law_force",
    "law_piece",
]

_BALANCE = 1e-6
"""Part of its largest weight that an element's net force may be off zero by round-off, and, times the mesh's size, its
net moment."""


@dataclass(frozen=True)
class ConnectionSet:
    """All connections of a problem, one after the other.

    Parameters
    ----------
    matrix : (m, 3 n_points) sparse matrix
        Elongations of all elements = matrix @ u.
    breaks : (m, b) ndarray
        mm, ascending; infinite where an element has fewer pieces than others.
    stiffness : (m, b + 1) ndarray
        N/mm.
    force_at_break : (m,) ndarray
        N, at the first break.
    groups : tuple of (str, slice)
        Name and place of each `Connections`.
    """

    matrix: Any
    breaks: NDArray[np.float64]
    stiffness: NDArray[np.float64]
    force_at_break: NDArray[np.float64]
    groups: tuple[tuple[str, slice], ...]

    @property
    def count(self) -> int:
        """Number of elements."""
        return len(self.breaks)

    def piece(self, elongation: NDArray[np.float64]) -> NDArray[np.int64]:
        """Which piece of its law each element is on."""
        return law_piece(self.breaks, elongation)

    def force(self, elongation: NDArray[np.float64]) -> NDArray[np.float64]:
        """Force of each element, N."""
        return law_force(self.breaks, self.stiffness, self.force_at_break, elongation)

    def tangent(self, piece: NDArray[np.int64]) -> NDArray[np.float64]:
        """Stiffness of each element on a piece of its law, N/mm."""
        return np.asarray(np.take_along_axis(self.stiffness, piece[:, None], axis=1)[:, 0])

    def first_piece(self) -> NDArray[np.int64]:
        """The softest piece that resists, or the first one."""
        resists = np.where(self.stiffness > 0.0, self.stiffness, np.inf)
        return np.asarray(np.argmin(resists, axis=1), dtype=np.int64)


def law_piece(breaks: NDArray[np.float64], elongation: NDArray[np.float64]) -> NDArray[np.int64]:
    """Piece (m,) of a law with breaks (m, b) at elongations (m,): 0 up to the first break.

    Examples
    --------
    >>> law_piece(np.array([[0.0, 2.0], [0.0, 2.0]]), np.array([0.0, 3.0]))
    array([0, 2])
    """
    return np.asarray((elongation[:, None] > breaks).sum(axis=1), dtype=np.int64)


def law_force(
    breaks: NDArray[np.float64],
    stiffness: NDArray[np.float64],
    force_at_break: NDArray[np.float64],
    elongation: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Force (m,) in N of laws with breaks (m, b), stiffness (m, b + 1) and the force at the first break.

    Examples
    --------
    >>> slack_then_stiff = np.array([[0.0, 10.0, 20.0]])
    >>> float(law_force(np.array([[1.0, 2.0]]), slack_then_stiff, np.array([0.0]), np.array([3.0]))[0])
    30.0
    """
    with np.errstate(invalid="ignore"):
        upper = np.concatenate([breaks, np.full((len(breaks), 1), np.inf)], axis=1)
        run = np.clip(elongation[:, None], breaks, upper[:, 1:]) - breaks
    run = np.where(np.isfinite(breaks), run, 0.0)
    below = np.minimum(elongation - breaks[:, 0], 0.0)
    return np.asarray(force_at_break + stiffness[:, 0] * below + np.sum(stiffness[:, 1:] * run, axis=1))


def connection_set(problem: Problem) -> ConnectionSet:
    """The problem's connections as one set."""
    from scipy.sparse import csr_array

    groups, at = list[tuple[str, slice]](), 0
    for c in problem.connections:
        groups.append((c.name, slice(at, at + c.count)))
        at += c.count
    widest = max((c.breaks.shape[1] for c in problem.connections), default=1)
    breaks, stiffness = np.full((at, widest), np.inf), np.zeros((at, widest + 1))
    force = np.zeros(at)
    for c, (_, place) in zip(problem.connections, groups, strict=True):
        n = c.breaks.shape[1]
        breaks[place, :n], stiffness[place, : n + 1], force[place] = c.breaks, c.stiffness, c.force_at_break
    lengths = [np.diff(c.starts) for c in problem.connections]
    starts = 3 * np.concatenate([[0], np.cumsum(np.concatenate([np.zeros(0, np.int64), *lengths]))])
    points = np.concatenate([np.zeros(0, np.int64), *[c.points for c in problem.connections]])
    weights = np.concatenate([np.zeros((0, 3)), *[c.weights for c in problem.connections]])
    dofs = (3 * points[:, None] + np.arange(3)).ravel()
    matrix = csr_array((weights.ravel(), dofs, starts.astype(np.int64)), shape=(at, problem.points.size))
    matrix.sum_duplicates()
    return ConnectionSet(matrix, breaks, stiffness, force, tuple(groups))


def connection_sides(
    connections: Connections, force: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Point (q,), owner cell (q,) and internal force (q, 3) in N of every entry, from the elements' forces (m,)."""
    of_entry = np.repeat(force, np.diff(connections.starts))
    return connections.points, connections.owners, of_entry[:, None] * connections.weights


def inner_elements(problem: Problem) -> NDArray[np.bool_]:
    """Which elements (m,), in the order of `connection_set`, lie within one cell: all their points are its own."""
    found = [np.zeros(0, dtype=bool)]
    for c in problem.connections:
        first = np.repeat(c.owners[c.starts[:-1]], np.diff(c.starts))
        fits = (c.owners == first) & (problem.cells[first] == c.points[:, None]).any(axis=1)
        found.append(np.logical_and.reduceat(fits, c.starts[:-1]) if c.count else np.zeros(0, dtype=bool))
    return np.concatenate(found)


def add_inner_elements(problem: Problem, K: Any, stiffness: NDArray[np.float64]) -> Any:
    """K with the elements that lie within one cell, on the same pattern.

    Parameters
    ----------
    problem : Problem
        With connections.
    K : scipy.sparse.bsr_array
        Of `fem.assembly.assemble_stiffness`, blocks (3, 3) with ascending columns.
    stiffness : (m,) ndarray
        N/mm, of all elements in the order of `connection_set`; those across cells are left out.
    """
    from scipy.sparse import bsr_array

    data, n = K.data.copy(), len(problem.points)
    rows = np.repeat(np.arange(n), np.diff(K.indptr))
    keys = rows * n + K.indices
    is_inner, at = inner_elements(problem), 0
    for c in problem.connections:
        inner, k = is_inner[at : at + c.count], stiffness[at : at + c.count]
        at += c.count
        lengths = np.diff(c.starts)
        for length in np.unique(lengths[inner]):
            own = np.flatnonzero(inner & (lengths == length))
            entries = c.starts[own][:, None] + np.arange(length)
            points, weights = c.points[entries], c.weights[entries]
            places = np.searchsorted(keys, (points[:, :, None] * n + points[:, None, :]).ravel())
            blocks = np.einsum("m,mai,mbj->mabij", k[own], weights, weights)
            np.add.at(data, places, blocks.reshape(-1, 3, 3))
    return bsr_array((data, K.indices, K.indptr), shape=K.shape)


def check_connections(problem: Problem) -> None:
    """Raise `InputError`, with the name, on connections that a solver could not take.

    Raises
    ------
    InputError
        If a name is used twice, shapes or ids do not fit, a law falls or is not finite, or an element's forces do not
        balance.
    """
    names = [c.name for c in problem.connections]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two connections are called {twice!r}", fix="give each its own name")
    for c in problem.connections:
        _check_shapes(c, len(problem.points), len(problem.cells))
        _check_laws(c)
        _check_balance(c, problem.points)


def _check_shapes(c: Connections, n_points: int, n_cells: int) -> None:
    """Arrays that belong together, ids in range."""
    where, m, q = f"connection {c.name!r}", c.count, len(c.points)
    shapes: Sequence[tuple[str, tuple[int, ...], tuple[int, ...]]] = (
        ("weights", c.weights.shape, (q, 3)),
        ("owners", c.owners.shape, (q,)),
        ("breaks", c.breaks.shape, (m, c.breaks.shape[-1])),
        ("stiffness", c.stiffness.shape, (m, c.breaks.shape[-1] + 1)),
        ("force_at_break", c.force_at_break.shape, (m,)),
    )
    for name, shape, expected in shapes:
        if shape != expected:
            raise InputError(f"{name} has shape {shape}, {expected} is needed", where=where)
    if c.starts[0] != 0 or c.starts[-1] != q or np.any(np.diff(c.starts) <= 0):
        raise InputError("an element has no entries: it is attached to nothing", where=where)
    if q and (c.points.min() < 0 or c.points.max() >= n_points):
        raise InputError(f"an element is attached to a point outside 0..{n_points - 1}", where=where)
    if q and (c.owners.min() < 0 or c.owners.max() >= n_cells):
        raise InputError(f"an owner is no cell of 0..{n_cells - 1}", where=where)


def _check_laws(c: Connections) -> None:
    """Finite, and never falling."""
    where = f"connection {c.name!r}"
    if not (np.all(np.isfinite(c.weights)) and np.all(np.isfinite(c.stiffness)) and np.all(np.isfinite(c.breaks))):
        raise InputError("weights, stiffness and breaks must be finite", where=where)
    if not np.all(np.isfinite(c.force_at_break)):
        raise InputError("force_at_break must be finite", where=where)
    if np.any(c.stiffness < 0.0):
        raise InputError(
            f"a stiffness is negative ({c.stiffness.min():g} N/mm): the force would fall as the element stretches",
            where=where, fix="laws of connections never fall",
        )  # fmt: skip
    if np.any(np.diff(c.breaks, axis=1) < 0.0):
        raise InputError("the breaks of a law must ascend", where=where)


def _check_balance(c: Connections, points: NDArray[np.float64]) -> None:
    """No element is excited by a rigid motion."""
    if not c.count:
        return
    at = points[c.points] - points.mean(axis=0)
    size = float(np.abs(at).max()) or 1.0
    largest = np.maximum.reduceat(np.abs(c.weights).max(axis=1), c.starts[:-1])
    net = np.add.reduceat(c.weights, c.starts[:-1], axis=0)
    moment = np.add.reduceat(np.cross(at, c.weights), c.starts[:-1], axis=0)
    off = np.maximum(np.abs(net).max(axis=1), np.abs(moment).max(axis=1) / size) > _BALANCE * largest
    if off.any():
        x, y, z = points[c.points[c.starts[int(np.argmax(off))]]]
        raise InputError(
            "the forces of an element do not balance: a rigid motion would stretch it",
            where=f"connection {c.name!r}, element {int(np.argmax(off))} near ({x:.1f}, {y:.1f}, {z:.1f}) mm",
            fix="attach both ends, and pull along the line between them",
        )
