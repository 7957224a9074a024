"""Triangles as half-edges: half-edge 3 t + k runs from corner k of triangle t to the next one, its twin runs back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from fesolver.errors import InputError
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["HalfEdges", "border_edges", "half_edges", "open_edges", "triangle_groups"]


@dataclass(frozen=True)
class HalfEdges:
    """A closed surface as half-edges; kernels work on these arrays in place.

    Parameters
    ----------
    points : (n, 3) ndarray
        Coordinates, mm.
    triangles : (m, 3) ndarray of int64
        Point ids, counter-clockwise seen from outside; -1 in a triangle that is gone.
    twin : (3 m,) ndarray of int64
        The half-edge that runs the other way.
    leaving : (n,) ndarray of int64
        One half-edge that leaves each point; -1 at a point that is gone.
    curve : (3 m,) ndarray of int64
        Feature line an edge belongs to, -1 for none; the same on both half-edges.
    tags : (m,) ndarray of int64
        Label of every triangle.
    is_fixed : (n,) ndarray of bool
        Points that stay where they are.
    size : (n,) ndarray
        Wanted edge length, mm.
    """

    points: NDArray[np.float64]
    triangles: NDArray[np.int64]
    twin: NDArray[np.int64]
    leaving: NDArray[np.int64]
    curve: NDArray[np.int64]
    tags: NDArray[np.int64]
    is_fixed: NDArray[np.bool_]
    size: NDArray[np.float64]

    @property
    def ends(self) -> NDArray[np.int64]:
        """Start and end point of every half-edge, (3 m, 2)."""
        return np.stack([self.triangles.ravel(), np.roll(self.triangles, -1, axis=1).ravel()], axis=1)

    @property
    def ratios(self) -> NDArray[np.float64]:
        """Length of every half-edge over the mean wanted length of its ends, (3 m,)."""
        a, b = self.ends.T
        return np.asarray(
            np.linalg.norm(self.points[b] - self.points[a], axis=1) / (0.5 * (self.size[a] + self.size[b]))
        )

    def with_room(self, n_splits: int) -> HalfEdges:
        """A copy with room for so many split edges: one more point and two more triangles each."""

        def longer(array: NDArray[np.generic], extra: int, fill: int) -> NDArray[np.generic]:
            return np.concatenate([array, np.full((extra, *array.shape[1:]), fill, array.dtype)])

        room = {"points": 1, "triangles": 2, "twin": 6, "leaving": 1, "curve": 6, "tags": 2, "is_fixed": 1, "size": 1}
        fills = {"triangles": -1, "leaving": -1, "twin": -1, "curve": -1}
        return HalfEdges(
            **{name: longer(getattr(self, name), by * n_splits, fills.get(name, 0)) for name, by in room.items()}  # type: ignore[arg-type]
        )

    def compacted(self) -> HalfEdges:
        """The same surface without what is gone, in the same order."""
        kept, used = self.triangles[:, 0] >= 0, self.leaving >= 0
        new_point, new_triangle = np.cumsum(used) - 1, np.cumsum(kept) - 1

        def renamed(half_edge: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.asarray(3 * new_triangle[half_edge // 3] + half_edge % 3)

        each = np.repeat(kept, 3)
        return HalfEdges(
            points=self.points[used],
            triangles=new_point[self.triangles[kept]],
            twin=renamed(self.twin[each]),
            leaving=renamed(self.leaving[used]),
            curve=self.curve[each],
            tags=self.tags[kept],
            is_fixed=self.is_fixed[used],
            size=self.size[used],
        )


def half_edges(surface: TriangleSurface, tags: NDArray[np.int64], size: NDArray[np.float64]) -> HalfEdges:
    """Half-edges of a closed surface, without feature lines.

    Parameters
    ----------
    surface : TriangleSurface
        Closed, each edge with two triangles that run it in opposite ways; points that no triangle has are left out.
    tags : (m,) ndarray of int64
        Label of every triangle.
    size : (n_points,) ndarray
        Wanted edge length, mm.

    Raises
    ------
    InputError
        If an edge has not its two triangles, or two parts of the surface meet in one point only; says where.
    """
    triangles = np.ascontiguousarray(surface.triangles, dtype=np.int64)
    wrong = open_edges(triangles)
    if len(wrong):
        raise _refused(surface, f"{len(wrong)} edges without two triangles that run them in opposite ways", wrong[0])
    n = len(surface.points)
    start, end = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    order = np.argsort(start * n + end, kind="stable")
    twin = order[np.searchsorted((start * n + end)[order], end * n + start)]
    leaving = np.full(n, -1, dtype=np.int64)
    leaving[start[::-1]] = np.arange(len(start))[::-1]
    turn = twin[3 * (np.arange(len(twin)) // 3) + (np.arange(len(twin)) + 2) % 3]
    _refuse_pinched(surface, leaving, turn, start)
    return HalfEdges(
        points=np.array(surface.points, dtype=np.float64),
        triangles=triangles.copy(),
        twin=twin,
        leaving=leaving,
        curve=np.full(len(twin), -1, dtype=np.int64),
        tags=np.array(tags, dtype=np.int64),
        is_fixed=np.zeros(n, dtype=bool),
        size=np.array(size, dtype=np.float64),
    ).compacted()


def open_edges(triangles: NDArray[np.int64]) -> NDArray[np.int64]:
    """Point ids (k, 2) of half-edges that are not met by exactly one other running the opposite way, sorted."""
    if not len(triangles):
        return np.empty((0, 2), dtype=np.int64)
    n = int(triangles.max()) + 1
    start, end = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    keys, counts = np.unique(start * n + end, return_counts=True)
    back = (keys % n) * n + keys // n
    place = np.minimum(np.searchsorted(keys, back), len(keys) - 1)
    is_wrong = (counts != 1) | (keys[place] != back)
    return np.stack(np.divmod(keys[is_wrong], n), axis=1)


def border_edges(
    triangles: NDArray[np.int64], tags: NDArray[np.integer], own: Sequence[int], other: int
) -> NDArray[np.int64]:
    """Edges (k, 2) of a closed surface between some tags and another one, as the triangles of the former run them."""
    n = int(triangles.max()) + 1
    start, end = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    order = np.argsort(start * n + end, kind="stable")
    twin = order[np.searchsorted((start * n + end)[order], end * n + start)]
    each = np.repeat(tags, 3)
    chosen = np.isin(each, own) & (each[twin] == other)
    return np.stack([start[chosen], end[chosen]], axis=1)


def triangle_groups(triangles: NDArray[np.int64], n_points: int) -> NDArray[np.int64]:
    """Number of the connected shell each triangle belongs to, (m,); shells are numbered by their lowest point."""
    start, end = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    graph = csr_matrix((np.ones(len(start), dtype=np.int8), (start, end)), shape=(n_points, n_points))
    groups = connected_components(graph, directed=False)[1][triangles[:, 0]]
    return np.asarray(np.unique(groups, return_inverse=True)[1], dtype=np.int64)


def _refuse_pinched(
    surface: TriangleSurface, leaving: NDArray[np.int64], turn: NDArray[np.int64], start: NDArray[np.int64]
) -> None:
    """Refuse a surface with a point round which the triangles make more than one fan."""
    n = len(turn)
    graph = csr_matrix((np.ones(n, dtype=np.int8), (np.arange(n), turn)), shape=(n, n))
    fans = connected_components(graph, directed=False)[1]
    is_apart = fans != fans[leaving[start]]
    if is_apart.any():
        count = len(np.unique(start[is_apart]))
        raise _refused(surface, f"{count} points where parts of it only touch", start[is_apart][:1])


def _refused(surface: TriangleSurface, what: str, at: NDArray[np.int64]) -> InputError:
    """The one message about a surface whose triangles do not close."""
    place = ", ".join(f"{v:.1f}" for v in surface.points[at].mean(axis=0))
    return InputError(
        f"the surface has {what}", where=f"the first near ({place}) mm", fix="repair the surface before remeshing it"
    )
