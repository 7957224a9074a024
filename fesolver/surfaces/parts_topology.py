"""Patches of triangles on a closed surface: neighbours, smooth borders, discs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import breadth_first_order, connected_components, maximum_flow

from fesolver.errors import InputError
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["border_loops", "components", "disc_patch", "euler_number", "smooth_patch", "triangle_neighbours"]

_SCALE = 1.0e4
"""Whole numbers per mm2 in the cut: capacities are int32 there."""


def triangle_neighbours(surface: TriangleSurface) -> NDArray[np.int64]:
    """Triangle across each edge.

    Parameters
    ----------
    surface : TriangleSurface
        Closed.

    Returns
    -------
    (m, 3) ndarray of int64
        Column k: the neighbour across the edge from corner k to corner k + 1.

    Raises
    ------
    InputError
        If an edge does not belong to two triangles that run along it in opposite directions.
    """
    t = surface.triangles
    n = len(surface.points)
    tail, head = t.ravel(), np.roll(t, -1, axis=1).ravel()
    forth, back = tail * n + head, head * n + tail
    order = np.argsort(forth)
    at = np.minimum(np.searchsorted(forth[order], back), len(order) - 1)
    single = forth[order][at] != back
    single |= np.r_[False, np.diff(forth[order]) == 0][np.argsort(order)]
    if single.any():
        place = surface.points[[tail[single][0], head[single][0]]].mean(axis=0)
        raise InputError(
            f"{int(single.sum())} edges of the surface do not join two triangles of one orientation",
            where=f"first near {np.round(place, 1).tolist()} mm",
            fix="check the surface and repair it",
        )
    return np.asarray(order[at] // 3).reshape(-1, 3)


def components(mask: NDArray[np.bool_], neighbours: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the edge-connected piece of every triangle in `mask`, -1 outside; (m,)."""
    m = len(mask)
    rows, columns = np.repeat(np.arange(m), 3), neighbours.ravel()
    keep = mask[rows] & mask[columns]
    graph = sparse.csr_array((np.ones(int(keep.sum()), np.int8), (rows[keep], columns[keep])), shape=(m, m))
    _, label = connected_components(graph, directed=False)
    return np.where(mask, label, -1).astype(np.int64)


def _largest(mask: NDArray[np.bool_], neighbours: NDArray[np.int64], areas: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The edge-connected piece of a mask with the largest area."""
    if not mask.any():
        return mask
    label = components(mask, neighbours)
    return np.asarray(mask & (label == np.argmax(np.bincount(label[mask], weights=areas[mask]))))


def _smaller_fans(
    mask: NDArray[np.bool_], surface: TriangleSurface, neighbours: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Triangles of a patch that touch the rest of it only in a point: all but the largest fan of each point."""
    drop = np.zeros_like(mask)
    t = surface.triangles
    on_border = mask[:, None] & ~mask[neighbours]
    starts, counts = np.unique(t[on_border], return_counts=True)
    areas = surface.areas
    for point in starts[counts > 1]:
        around = np.flatnonzero(mask & (t == point).any(axis=1))
        local = np.zeros_like(mask)
        local[around] = True
        drop |= local & ~_largest(local, neighbours, areas)
    return drop


def disc_patch(mask: NDArray[np.bool_], surface: TriangleSurface, neighbours: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The largest piece of a patch, made a topological disc.

    Parameters
    ----------
    mask : (m,) ndarray of bool
        Triangles of the patch.
    surface : TriangleSurface
        Closed.
    neighbours : (m, 3) ndarray of int64
        From `triangle_neighbours`.

    Returns
    -------
    (m,) ndarray of bool
        One edge-connected patch without holes, whose border meets no point twice; nothing where `mask` is empty.

    Raises
    ------
    InputError
        If the patch winds about a handle of the surface: then no filling of holes makes it a disc.
    """
    areas = surface.areas
    patch = mask
    for _ in range(100):
        before = patch
        patch = _largest(patch, neighbours, areas)
        patch = ~_largest(~patch, neighbours, areas)
        patch = patch & ~_smaller_fans(patch, surface, neighbours)
        if np.array_equal(patch, before):
            break
    if patch.any() and (euler_number(patch, surface) != 1 or len(border_loops(patch, surface, neighbours)) != 1):
        raise InputError(
            f"the patch of {int(patch.sum())} triangles is no disc (Euler number {euler_number(patch, surface)})",
            where=f"near {np.round(surface.centers[patch].mean(axis=0), 1).tolist()} mm",
            fix="the surface has a handle or tunnel there: smooth or remesh it",
        )
    return patch


def euler_number(mask: NDArray[np.bool_], surface: TriangleSurface) -> int:
    """Points minus edges plus triangles of a patch: 1 for a disc."""
    t = surface.triangles[mask]
    edges = np.sort(np.stack([t, np.roll(t, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1)
    return len(np.unique(t)) - len(np.unique(edges, axis=0)) + len(t)


def border_loops(
    mask: NDArray[np.bool_], surface: TriangleSurface, neighbours: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Closed loops of point ids around a patch, counter-clockwise seen from outside.

    Parameters
    ----------
    mask : (m,) ndarray of bool
        Triangles of the patch.
    surface : TriangleSurface
        Closed.
    neighbours : (m, 3) ndarray of int64
        From `triangle_neighbours`.

    Returns
    -------
    list of (k,) ndarray of int64
        Longest first; a loop's first point is not repeated.
    """
    row, column = np.nonzero(mask[:, None] & ~mask[neighbours])
    tails = surface.triangles[row, column]
    heads = surface.triangles[row, (column + 1) % 3]
    following: dict[int, list[int]] = {}
    for tail, head in zip(tails.tolist(), heads.tolist(), strict=True):
        following.setdefault(tail, []).append(head)
    loops = []
    while following:
        start = next(iter(following))
        loop, at = [], start
        while True:
            loop.append(at)
            ways = following[at]
            after = ways.pop()
            if not ways:
                del following[at]
            if after == start:
                break
            at = after
        loops.append(np.array(loop, dtype=np.int64))
    return sorted(loops, key=len, reverse=True)


def smooth_patch(
    gain: NDArray[np.float64],
    allowed: NDArray[np.bool_],
    surface: TriangleSurface,
    neighbours: NDArray[np.int64],
    *,
    border_cost_mm: float,
) -> NDArray[np.bool_]:
    """The patch that gains most for its area at the least length of border.

    Parameters
    ----------
    gain : (m,) ndarray
        What a triangle's area adds if it belongs to the patch, per mm2; negative where it should stay outside.
    allowed : (m,) ndarray of bool
        Triangles that may belong.
    surface : TriangleSurface
        Closed.
    neighbours : (m, 3) ndarray of int64
        From `triangle_neighbours`.
    border_cost_mm : float
        Cost of a millimetre of border: it moves a border of radius R by what changes the gain by `border_cost_mm / R`.

    Returns
    -------
    (m,) ndarray of bool

    Notes
    -----
    The sum of gain times area less cost times border length over all patches is largest at a minimum cut of the graph
    of triangles [1]_, exactly.

    References
    ----------
    .. [1] Y. Boykov, V. Kolmogorov, Computing geodesics and minimal surfaces via graph cuts, ICCV 2003.
    """
    ids = np.flatnonzero(allowed)
    m = len(ids)
    number = np.full(len(allowed), -1)
    number[ids] = np.arange(m)
    t = surface.triangles[ids]
    edges = surface.points[np.roll(t, -1, axis=1)] - surface.points[t]
    cost = np.rint(_SCALE * border_cost_mm * np.linalg.norm(edges, axis=2)).astype(np.int64)
    worth = np.rint(_SCALE * gain[ids] * surface.areas[ids]).astype(np.int64)
    beyond = number[neighbours[ids]]
    # A border along what is not allowed costs nothing: it lies where something else has put it.
    inner = beyond >= 0
    source, sink = m, m + 1
    rows = np.concatenate([np.repeat(np.arange(m), 3)[inner.ravel()], np.full(m, source), np.arange(m)])
    columns = np.concatenate([beyond[inner], np.arange(m), np.full(m, sink)])
    values = np.concatenate([cost[inner], np.maximum(worth, 0), np.maximum(-worth, 0)])
    used = values > 0
    capacity = sparse.csr_array(
        (np.minimum(values[used], 2**31 - 1).astype(np.int32), (rows[used], columns[used])), shape=(m + 2, m + 2)
    )
    residual = capacity - maximum_flow(capacity, source, sink).flow
    residual.data = np.maximum(residual.data, 0)
    residual.eliminate_zeros()
    reached = breadth_first_order(sparse.csr_array(residual), source, return_predecessors=False)
    patch = np.zeros(len(allowed), dtype=np.bool_)
    patch[ids[reached[reached < m]]] = True
    return patch
