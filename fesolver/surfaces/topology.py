"""Edges, components, loops and orientation of triangles: what follows from point ids alone, and merging of points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

__all__ = [
    "Edges",
    "Pairs",
    "boundary_loops",
    "edge_components",
    "edges_of",
    "graph_components",
    "merge_points",
    "merge_tolerance",
    "orientation_flips",
    "pinched_points",
]

_RELATIVE_TOLERANCE = 1e-6  # float32 coordinates, the coarsest in use, resolve 1e-7 of the size


@dataclass(frozen=True)
class Pairs:
    """Triangles joined by an edge that has just these two.

    Parameters
    ----------
    first, second : (k,) ndarray of int64
        Triangles.
    edge : (k,) ndarray of int64
        Their edge.
    is_consistent : (k,) ndarray of bool
        Whether they walk it in opposite directions, as neighbours on one side of a surface do.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    edge: NDArray[np.int64]
    is_consistent: NDArray[np.bool_]


@dataclass(frozen=True)
class Edges:
    """Edges of a set of triangles.

    Parameters
    ----------
    points : (n_edges, 2) ndarray of int64
        Ends, the smaller id first.
    of_triangle : (m, 3) ndarray of int64
        Edge from corner k to corner k + 1 of every triangle.
    is_forward : (m, 3) ndarray of bool
        Whether the triangle walks from the smaller id to the larger.
    n_triangles : (n_edges,) ndarray of int64
        Triangles at each edge.
    """

    points: NDArray[np.int64]
    of_triangle: NDArray[np.int64]
    is_forward: NDArray[np.bool_]
    n_triangles: NDArray[np.int64]

    def pairs(self) -> Pairs:
        """Pairs of triangles across the edges that have two."""
        order = np.argsort(self.of_triangle.ravel(), kind="stable")
        owner, forward = order // 3, self.is_forward.ravel()[order]
        start = np.cumsum(self.n_triangles) - self.n_triangles
        edge = np.flatnonzero(self.n_triangles == 2)
        a, b = start[edge], start[edge] + 1
        return Pairs(owner[a], owner[b], edge, forward[a] != forward[b])


def edges_of(triangles: NDArray[np.int64]) -> Edges:
    """Edges of triangles.

    Parameters
    ----------
    triangles : (m, 3) ndarray of int64
        Point ids.

    Examples
    --------
    >>> edges = edges_of(np.array([[0, 1, 2], [2, 1, 3]]))
    >>> edges.points.tolist(), edges.n_triangles.tolist()
    ([[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]], [1, 1, 2, 1, 1])
    """
    ends = np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=2).reshape(-1, 2)
    low, high = ends.min(axis=1), ends.max(axis=1)
    n = int(triangles.max(initial=0)) + 1
    keys, edge, counts = np.unique(low * n + high, return_inverse=True, return_counts=True)
    points = np.stack([keys // n, keys % n], axis=1)
    return Edges(points, edge.reshape(-1, 3), (ends[:, 0] == low).reshape(-1, 3), counts.astype(np.int64))


def edge_components(edges: Edges) -> tuple[int, NDArray[np.int64]]:
    """Pieces of a surface: triangles joined through edges that have just two.

    Parameters
    ----------
    edges : Edges
        Of the surface.

    Returns
    -------
    n : int
        Number of pieces.
    label : (m,) ndarray of int64
        Piece of every triangle. Pieces that touch in a point, or along an edge of four triangles, are apart.
    """
    pairs = edges.pairs()
    return graph_components(len(edges.of_triangle), pairs.first, pairs.second)


def orientation_flips(edges: Edges) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which triangles to turn over so that neighbours agree.

    Parameters
    ----------
    edges : Edges
        Of the surface.

    Returns
    -------
    flip : (m,) ndarray of bool
        The smaller part of each piece.
    is_one_sided : (m,) ndarray of bool
        Triangles of pieces that have no two sides (a Moebius strip): nothing is turned over there.

    Notes
    -----
    Every triangle stands twice in a graph, as it is and turned over; neighbours are joined so that they agree. A piece
    with two sides falls into two parts, one per choice; a one-sided one hangs together.
    """
    m = len(edges.of_triangle)
    pairs = edges.pairs()
    other = np.where(pairs.is_consistent, 0, m)
    _, label = graph_components(
        2 * m,
        np.concatenate([pairs.first, pairs.first + m]),
        np.concatenate([pairs.second + other, (pairs.second + m - other)]),
    )
    is_one_sided = label[:m] == label[m:]
    flip = label[:m] > label[m:]  # one choice for each piece, the same for all its triangles
    n, piece = edge_components(edges)
    turned = np.bincount(piece, weights=flip, minlength=n) > 0.5 * np.bincount(piece, minlength=n)
    return (flip ^ turned[piece]) & ~is_one_sided, is_one_sided


def boundary_loops(triangles: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Simple loops of the open edges of consistently oriented triangles.

    Parameters
    ----------
    triangles : (m, 3) ndarray of int64
        Point ids.

    Returns
    -------
    list of (k,) ndarray of int64
        Points of each loop in the direction that triangles filling it walk; edges of three and more triangles are no
        part.
    """
    edges = edges_of(triangles)
    triangle, side = np.nonzero(edges.n_triangles[edges.of_triangle] == 1)
    # A triangle that fills the hole walks the edge the other way.
    start, end = triangles[triangle, (side + 1) % 3], triangles[triangle, side]
    following: dict[int, list[int]] = {}
    for a, b in zip(start.tolist(), end.tolist(), strict=True):
        following.setdefault(a, []).append(b)
    loops = []
    for first in start.tolist():
        path, place = [first], {first: 0}
        while following.get(path[-1]):
            here = following[path[-1]].pop()
            if here in place:  # a loop is closed: cut it off, and go on with what led to it
                loops.append(np.array(path[place[here] :], np.int64))
                for left in path[place[here] + 1 :]:
                    del place[left]
                path = path[: place[here] + 1]
            else:
                place[here] = len(path)
                path.append(here)
    return loops


def pinched_points(triangles: NDArray[np.int64], edges: Edges) -> NDArray[np.int64]:
    """Points at which two or more fans of triangles meet that share no edge there.

    Parameters
    ----------
    triangles : (m, 3) ndarray of int64
        Point ids.
    edges : Edges
        Of them.
    """
    pairs = edges.pairs()
    first: list[NDArray[np.int64]] = []
    second: list[NDArray[np.int64]] = []
    for end in range(2):
        point = edges.points[pairs.edge, end]
        for owner, out in ((pairs.first, first), (pairs.second, second)):
            out.append(3 * owner + np.argmax(triangles[owner] == point[:, None], axis=1))
    n, fan = graph_components(triangles.size, np.concatenate(first), np.concatenate(second))
    point_of_fan = np.zeros(n, np.int64)
    point_of_fan[fan] = triangles.ravel()
    points, counts = np.unique(point_of_fan, return_counts=True)
    return np.asarray(points[counts > 1])


def merge_tolerance(points: NDArray[np.float64]) -> float:
    """Distance, mm, below which two points are one: 1e-6 of the surface's diagonal."""
    return _RELATIVE_TOLERANCE * float(np.linalg.norm(np.ptp(points, axis=0))) if len(points) else 0.0


def merge_points(points: NDArray[np.float64], tolerance: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Make points nearer than a tolerance one.

    Parameters
    ----------
    points : (n, 3) ndarray
        Coordinates.
    tolerance : float
        Distance in their unit; chains of points, each within it of the next, become one as well.

    Returns
    -------
    points : (k, 3) ndarray
        The first of each group, in the order of the input.
    number : (n,) ndarray of int64
        Group of every input point.
    """
    close = cKDTree(points).query_pairs(tolerance, output_type="ndarray") if len(points) else np.zeros((0, 2), np.int64)
    _, label = graph_components(len(points), close[:, 0], close[:, 1])
    _, first, number = np.unique(label, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return points[first[order]], rank[number]


def graph_components(n: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
    """Number of connected parts of a graph of n nodes, and the part of each node, (n,)."""
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(n, n))
    count, label = connected_components(graph, directed=False)
    return int(count), label.astype(np.int64)
