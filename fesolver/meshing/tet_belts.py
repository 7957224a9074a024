"""The belt of a body's side wall that its endplate's layer reaches: cut off at a depth below the rim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.surfaces.closest import ClosestPoint
from fesolver.surfaces.intersections import self_intersections
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, OUTER, SUPERIOR_ENDPLATE

__all__ = ["Belts", "cut_belts", "heights", "make_room", "mean_normals"]

_ROOM = 1.2
"""Depth of an edge's lower end over the belt's, under which the edge is not cut: slivers would stay; a choice."""
_REST, _LEAST_REST = 0.3, 0.25
"""Room wanted between a layer and the next row of points, in edges and at least in thicknesses; choices."""
_PUSH, _SWEEPS = 0.05, 100
"""Longest way of a point in one sweep, in edges, so that no row passes the next, and how many sweeps; choices."""
_LEAST_SWEEPS, _DONE = 12, 1e-3
"""Sweeps for neighbours to follow, and what may lack, in edges; choices."""
_ROWS = 4.0
"""How far from the rim points follow, in ways to be made free; a choice."""
_TURN, _NARROW = 0.5, 0.2
"""Cosine by which triangles may turn when points move, and least height over longest edge they may get; choices."""


@dataclass(frozen=True)
class Belts:
    """A surface whose side wall is cut below its rims.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm; those given first, then those of cuts.
    triangles : (m, 3) ndarray of int64
        The surface, normals outward.
    kind : (m,) ndarray of int8
        As `VertebraSurface.kind`.
    layer : (m,) ndarray of int8
        The kind whose layer lies below: the endplate's in its belt, otherwise `kind`.
    root : (n,) ndarray of int64
        Of a cut's point the point of the rim that it hangs on, otherwise the point itself.
    is_whole : (n,) ndarray of bool
        Points of a rim with an edge down the wall that stays whole: there is less of the belt there.
    """

    points: NDArray[np.float64]
    triangles: NDArray[np.int64]
    kind: NDArray[np.int8]
    layer: NDArray[np.int8]
    root: NDArray[np.int64]
    is_whole: NDArray[np.bool_]


def cut_belts(
    points: NDArray[np.float64],
    triangles: NDArray[np.int64],
    kind: NDArray[np.int8],
    depth: NDArray[np.float64],
    scale: NDArray[np.float64],
) -> Belts:
    """Cut the triangles of a side wall at the endplates' thickness below the rims.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm.
    triangles : (m, 3) ndarray of int64
        Closed surface, normals outward.
    kind : (m,) ndarray of int8
        As `VertebraSurface.kind`.
    depth : (4,) ndarray
        Thickness of the layer of each kind, mm.
    scale : (n,) ndarray
        What part of it there is at every point; nothing is cut below 1, where the layer does not fit.

    Returns
    -------
    Belts

    Notes
    -----
    Every edge of the wall that leaves a point of the rim is cut where it is as deep below the plane of the endplate at
    that point (mean normal of its triangles there, by area) as the layer is thick. Edges that do not reach a fifth
    deeper stay whole: there wall and endplate meet in the bisector of their corner.
    """
    normals, rim = _rims(points, triangles, kind, scale)
    on_plate = np.zeros(len(points), dtype=np.bool_)
    on_plate[triangles[np.isin(kind, (SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE))]] = True
    wall = np.flatnonzero((kind == OUTER) & np.any(rim[triangles] >= 0, axis=1))
    corners = triangles[wall]
    edges = np.concatenate([corners[:, [i, j]] for i, j in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2))])
    edges = np.unique(edges[(rim[edges[:, 0]] >= 0) & ~on_plate[edges[:, 1]]], axis=0)
    r, q = edges.T
    wanted = depth[rim[r]]
    reached = _depths(points, r, q, normals)
    is_cut = reached > _ROOM * wanted
    is_whole = np.zeros(len(points) + int(is_cut.sum()), dtype=np.bool_)
    is_whole[r[~is_cut]] = True
    r, q, share = r[is_cut], q[is_cut], (wanted[is_cut] / reached[is_cut])[:, None]
    new_points = np.concatenate([points, (1.0 - share) * points[r] + share * points[q]])
    number = {edge: len(points) + i for i, edge in enumerate(zip(r.tolist(), q.tolist(), strict=True))}
    new, layers = [], []
    for triangle in corners.tolist():
        for part, is_belt in _pieces(triangle, rim, number):
            own = max(rim[v] for v in triangle) if is_belt else OUTER
            for piece in _triangles(part, new_points):
                new.append(piece)
                layers.append(own)
    rest = np.delete(np.arange(len(triangles)), wall)
    return Belts(
        new_points,
        np.concatenate([triangles[rest], np.array(new, dtype=np.int64).reshape(-1, 3)]),
        np.concatenate([kind[rest], np.full(len(new), OUTER)]).astype(np.int8),
        np.concatenate([kind[rest], np.array(layers)]).astype(np.int8),
        np.concatenate([np.arange(len(points)), r]),
        is_whole,
    )


def make_room(
    points: NDArray[np.float64],
    triangles: NDArray[np.int64],
    kind: NDArray[np.int8],
    depth: NDArray[np.float64],
    *,
    is_held: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Points of endplates and side wall moved along them, so that the layer of the one ends before their first row.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm.
    triangles : (m, 3) ndarray of int64
        Closed surface, normals outward.
    kind : (m,) ndarray of int8
        As `VertebraSurface.kind`.
    depth : (4,) ndarray
        Thickness of the layer of each kind, mm.
    is_held : (n,) ndarray of bool, optional
        Points that stay where they are.

    Returns
    -------
    (n, 3) ndarray
        Points inside one part (all their triangles are of one kind) and joined to its rim by an edge are 0.3 of a mean
        edge, and a quarter of the thickness, farther from the rim's other side than its layer is thick, if there is
        place; their neighbours follow them. They stay on the surface; all others are where they were.
    """
    held = np.zeros(len(points), dtype=np.bool_) if is_held is None else is_held
    moved = points
    for plate in (SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE):
        for own, beside in ((OUTER, plate), (plate, OUTER)):
            moved = _pushed(moved, triangles, kind, own, beside, float(depth[beside]), held)
    while True:
        crossing = np.unique(triangles[self_intersections(TriangleSurface(moved, triangles))])
        crossing = crossing[np.any(moved[crossing] != points[crossing], axis=1)]
        if len(crossing) == 0:
            return moved
        moved = moved.copy()
        moved[crossing] = points[crossing]


def _pushed(
    points: NDArray[np.float64],
    triangles: NDArray[np.int64],
    kind: NDArray[np.int8],
    own: int,
    beside: int,
    mm: float,
    is_held: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Points with those of one kind moved away from the layer, so thick, of the kind beside it."""
    patch, normals = triangles[kind == own], mean_normals(points, triangles[kind == beside])
    on_patch, is_free = (np.zeros(len(points), dtype=np.bool_) for _ in range(2))
    on_patch[patch] = is_free[patch] = True
    is_free[triangles[kind != own]] = False
    is_free &= ~is_held
    is_rim = on_patch & np.any(normals != 0.0, axis=1)
    if mm == 0.0 or not is_free.any() or not is_rim.any():
        return points
    sides = np.unique(np.concatenate([patch[:, [i, j]] for i in range(3) for j in range(3) if i != j]), axis=0)
    one, other = sides.T
    r, q = sides[is_rim[one] & is_free[other]].T
    edge = float(np.linalg.norm(points[one] - points[other], axis=1).mean())
    wanted = mm + max(_REST * edge, _LEAST_REST * mm)
    degree = np.maximum(np.bincount(one, minlength=len(points)), 1)[:, None]
    start = TriangleSurface(points, patch)
    closest = ClosestPoint(start)
    is_near, follows = np.zeros(len(points), dtype=np.bool_), is_free.copy()
    follows[q] = False
    is_near[q[_depths(points, r, q, normals) < wanted]] = True
    for _ in range(max(3, int(np.ceil(_ROWS * wanted / edge)))):
        is_near[other[is_near[one]]] = True
    is_near &= is_free
    for sweep in range(_SWEEPS):
        total = np.zeros_like(points)
        np.add.at(total, one, points[other])
        x = np.where((is_near & follows)[:, None], 0.5 * (points + total / degree), points)
        short = np.clip(wanted - _depths(x, r, q, normals), 0.0, _PUSH * edge)
        if sweep >= _LEAST_SWEEPS and short.max(initial=0.0) < _DONE * edge:
            break
        order = np.argsort(short, kind="stable")  # the largest comes last and stays
        inward = np.zeros_like(x)
        inward[q[order]] = -(short[:, None] * normals[r])[order]
        x[is_near] = closest((x + inward)[is_near]).points
        now = TriangleSurface(x, patch)
        is_bad = np.einsum("ni,ni->n", now.normals, start.normals) < _TURN
        is_bad |= heights(now) < np.minimum(_NARROW, heights(start))
        x[patch[is_bad]] = points[patch[is_bad]]
        points = x
    return points


def heights(surface: TriangleSurface) -> NDArray[np.float64]:
    """Least height over longest edge of every triangle, (m,), 0.87 at best."""
    x = surface.points[surface.triangles]
    longest = np.linalg.norm(np.roll(x, -1, axis=1) - x, axis=2).max(axis=1)
    return np.asarray(2.0 * surface.areas / np.maximum(longest, 1e-300) ** 2)


def mean_normals(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unit mean normals, by area, of triangles at their points.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm.
    triangles : (m, 3) ndarray of int64
        Counter-clockwise seen from outside.

    Returns
    -------
    (n, 3) ndarray
        0 where no triangle has the point.
    """
    out = np.zeros_like(points)
    np.add.at(out, triangles, TriangleSurface(points, triangles).area_vectors[:, None])
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1), 1e-300)[:, None])


def _depths(
    points: NDArray[np.float64], r: NDArray[np.int64], q: NDArray[np.int64], normals: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How deep points `q` lie below the planes at points `r`."""
    return np.asarray(np.einsum("ni,ni->n", points[r] - points[q], normals[r]))


def _rims(
    points: NDArray[np.float64], triangles: NDArray[np.int64], kind: NDArray[np.int8], scale: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Unit normals (n, 3) of the endplate at points of rims, and which endplate it is, -1 at all others."""
    n = len(points)
    normals, rim = np.zeros((n, 3)), np.full(n, -1)
    on_wall = np.zeros(n, dtype=np.bool_)
    on_wall[triangles[kind == OUTER]] = True
    for number in (INFERIOR_ENDPLATE, SUPERIOR_ENDPLATE):
        own = mean_normals(points, triangles[kind == number])
        is_rim = on_wall & np.any(own != 0.0, axis=1) & (scale == 1.0)
        normals[is_rim], rim[is_rim] = own[is_rim], number
    return normals, rim


def _pieces(
    triangle: list[int], rim: NDArray[np.int64], number: dict[tuple[int, int], int]
) -> list[tuple[list[int], bool]]:
    """Polygons that a triangle is cut into, and whether each is part of a belt."""
    on_rim = [bool(rim[v] >= 0) for v in triangle]
    if sum(on_rim) == 3:
        return [(triangle, True)]
    first = on_rim.index(True) if sum(on_rim) == 1 else (on_rim.index(False) + 1) % 3
    a, b, c = triangle[first:] + triangle[:first]
    # From a point of the rim both edges are cut, from two the edges to the third point; whole ones give way to an end.
    left, right = (
        (number.get((a, b)), number.get((a, c))) if sum(on_rim) == 1 else (number.get((b, c)), number.get((a, c)))
    )
    if left is None and right is None:
        return [(triangle, False)]
    if sum(on_rim) == 2:
        belt = [a, b] + [v for v in (left, right) if v is not None]
        return [(belt, True), ([right or a, left or b, c], False)]
    rest = [v for v in (left, b, c, right) if v is not None]
    return [([a, left or b, right or c], True), (rest, False)]


def _triangles(polygon: list[int], points: NDArray[np.float64]) -> list[list[int]]:
    """A triangle, or the two of a quadrilateral across its shorter diagonal."""
    if len(polygon) == 3:
        return [polygon]
    a, b, c, d = polygon
    if np.sum((points[a] - points[c]) ** 2) <= np.sum((points[b] - points[d]) ** 2):
        return [[a, b, c], [a, c, d]]
    return [[a, b, d], [b, c, d]]
