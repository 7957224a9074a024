"""Isotropic remeshing: triangles of a wanted size, near to equilateral, on the same surface."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.surfaces.closest import ClosestPoint
from fesolver.surfaces.features import FeatureLines, edge_marks, kept_edges, with_lines
from fesolver.surfaces.half_edges import HalfEdges, half_edges
from fesolver.surfaces.relax_kernels import FREE, closest_on_lines, relaxed_points
from fesolver.surfaces.remesh_kernels import (
    LONGEST,
    SHORTEST,
    accept_moves,
    collapse_edges,
    flip_edges,
    split_edges,
)
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["remesh_surface"]

_PASSES = 20
"""Rounds of splits: each halves what is too long."""
_FITS = 4
_FARTHEST_FIT = 0.25
"""Longest move of a point off the old surface, in wanted edge lengths."""
_MOST_TRIANGLES = 5_000_000
_SAMPLES = np.array([[4.0, 1.0, 1.0], [1.0, 4.0, 1.0], [1.0, 1.0, 4.0]]) / 6.0
"""Three places of a triangle, exact for the mean of a quadratic field."""


@overload
def remesh_surface(
    surface: TriangleSurface,
    edge_mm: ArrayLike,
    *,
    iterations: int = ...,
    feature_deg: float | None = ...,
    keep: NDArray[np.int64] | None = ...,
    tags: None = ...,
    keep_volume: bool = ...,
) -> TriangleSurface: ...
@overload
def remesh_surface(
    surface: TriangleSurface,
    edge_mm: ArrayLike,
    *,
    iterations: int = ...,
    feature_deg: float | None = ...,
    keep: NDArray[np.int64] | None = ...,
    tags: NDArray[np.integer],
    keep_volume: bool = ...,
) -> tuple[TriangleSurface, NDArray[np.int64]]: ...
def remesh_surface(
    surface: TriangleSurface,
    edge_mm: ArrayLike,
    *,
    iterations: int = 5,
    feature_deg: float | None = None,
    keep: NDArray[np.int64] | None = None,
    tags: NDArray[np.integer] | None = None,
    keep_volume: bool = True,
) -> TriangleSurface | tuple[TriangleSurface, NDArray[np.int64]]:
    """Mesh a closed surface anew with triangles of a wanted size.

    Parameters
    ----------
    surface : TriangleSurface
        Closed, with two triangles at every edge and consistent orientation.
    edge_mm : float or (n_points,) array_like
        Wanted edge length, mm; per point of `surface` it is interpolated between them.
    iterations : int, optional
        Rounds of splitting, collapsing, flipping, relaxing.
    feature_deg : float, optional
        Edges where the surface bends by more stay edges, degrees; without it none is looked for.
    keep : (k, 2) ndarray of int64, optional
        Point ids of edges that stay lines.
    tags : (m,) ndarray of int, optional
        Label of every triangle. The borders between labels stay lines, and the labels are carried over.
    keep_volume : bool, optional
        Points stand off the old surface by what the chords between them cut off, so that the volume is the old one;
        without it they lie on the old surface.

    Returns
    -------
    surface : TriangleSurface
        As closed as the old one and with the same genus.
    tags : (m,) ndarray of int64
        Only if `tags` was given.

    Raises
    ------
    InputError
        If the surface is not closed or only touches itself (says where), a size is not positive, an array has a wrong
        shape, a kept edge is none, or the sizes ask for more than 5 million triangles.

    Notes
    -----
    Edges longer than 4/3 of the wanted length are split, those shorter than 4/5 collapsed, edges flipped towards a
    valence of 6, points relaxed in the tangent plane and put back on the closest point of the old surface [1]_. No
    change turns a triangle's normal by more than 60 degrees (slivers excepted), and edges collapse only where their
    ends have just two neighbours in common, so that the surface stays a closed manifold. Corners of feature lines (more
    or fewer than two lines meet, or a sharp or kept line turns by more than 45 degrees) stay where they are; other
    points of a line stay on it.

    A chord of length L over a curvature radius R cuts off L^2 / (8 R) on average. `keep_volume` gives it back: each
    point moves along its normal by the mean gap between its triangles and the old surface, and what is left of the
    volume is spread evenly. Points of feature lines do not move.

    The same input gives the same bits with any number of threads.

    References
    ----------
    .. [1] M. Botsch, L. Kobbelt, A remeshing approach to multiresolution modeling, Symposium on Geometry Processing,
       2004, 185-192.

    Examples
    --------
    >>> corners = np.array([[x, y, z] for x in (0, 10) for y in (0, 10) for z in (0, 10)], dtype=float)
    >>> quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    >>> cube = TriangleSurface(corners, np.array([t for q in quads for t in (q[:3], q[2:] + q[:1])]))
    >>> fine = remesh_surface(cube, 2.5, feature_deg=30.0)
    >>> bool(len(fine.triangles) > 100), round(fine.volume, 6)
    (True, 1000.0)
    """
    size = _sizes(surface, edge_mm)
    labels = np.zeros(len(surface.triangles), dtype=np.int64) if tags is None else np.asarray(tags)
    if labels.shape != (len(surface.triangles),):
        raise InputError(f"tags have shape {labels.shape}, the surface {len(surface.triangles)} triangles")
    if iterations < 1:
        raise InputError(f"iterations must be 1 or more, not {iterations}")
    _refuse_too_many(surface, size)
    mesh = half_edges(surface, labels, size)
    is_border, is_sharp = edge_marks(mesh, feature_deg)
    mesh, lines = with_lines(mesh, is_border, is_sharp if keep is None else is_sharp | kept_edges(surface, keep))
    old = ClosestPoint(surface)
    is_uniform = bool(np.all(size == size[0]))
    for _ in range(iterations):
        mesh = _resized(mesh)
        flip_edges(mesh.points, mesh.triangles, mesh.twin, mesh.leaving, mesh.curve, False)
        mesh = _relaxed(mesh, lines, old, None if is_uniform else size)
    for _ in range(2):
        flip_edges(mesh.points, mesh.triangles, mesh.twin, mesh.leaving, mesh.curve, True)
    mesh = _relaxed(mesh, lines, old, None)
    if keep_volume:
        _fit(mesh, old)
        _match_volume(mesh, surface.volume)
    out = TriangleSurface(mesh.points, mesh.triangles)
    return out if tags is None else (out, mesh.tags)


def _sizes(surface: TriangleSurface, edge_mm: ArrayLike) -> NDArray[np.float64]:
    """Wanted edge length at every point, or an `InputError`."""
    size = np.asarray(edge_mm, dtype=np.float64)
    if size.ndim > 0 and size.shape != (len(surface.points),):
        raise InputError(f"edge_mm has shape {size.shape}, the surface {len(surface.points)} points")
    if not np.all(np.isfinite(size) & (size > 0.0)):
        raise InputError("edge_mm must be positive and finite everywhere")
    return np.array(np.broadcast_to(size, len(surface.points)))


def _refuse_too_many(surface: TriangleSurface, size: NDArray[np.float64]) -> None:
    """Refuse sizes that no memory would hold."""
    wanted = size[surface.triangles].mean(axis=1)
    count = float(np.sum(surface.areas / (0.25 * np.sqrt(3.0) * wanted**2)))
    if count > _MOST_TRIANGLES:
        raise InputError(
            f"edge_mm = {size.min():g} would make about {count:.1e} triangles",
            fix=f"use a length that stays under {_MOST_TRIANGLES:,}",
        )


def _resized(mesh: HalfEdges) -> HalfEdges:
    """The surface with no edge too long, and none too short that can go."""
    for _ in range(_PASSES):
        order = _ordered(mesh, lambda ratio: ratio > LONGEST, longest_first=True)
        if not len(order):
            break
        n, m = len(mesh.points), len(mesh.triangles)
        mesh = mesh.with_room(len(order))
        split_edges(mesh.points, mesh.triangles, mesh.twin, mesh.leaving, mesh.curve, mesh.tags, mesh.size, order, n, m)
        mesh = mesh.compacted()
    for _ in range(_PASSES):
        order = _ordered(mesh, lambda ratio: ratio < SHORTEST, longest_first=False)
        done = collapse_edges(
            mesh.points, mesh.triangles, mesh.twin, mesh.leaving, mesh.curve, mesh.is_fixed, mesh.size, order
        )
        mesh = mesh.compacted()
        if done == 0:
            break
    return mesh


def _ordered(
    mesh: HalfEdges, wanted: Callable[[NDArray[np.float64]], NDArray[np.bool_]], *, longest_first: bool
) -> NDArray[np.int64]:
    """Half-edges (one of each pair) whose ratio of lengths is wanted, by that ratio."""
    ratios = mesh.ratios
    chosen = np.flatnonzero(wanted(ratios) & (np.arange(len(mesh.twin)) < mesh.twin))
    key = -ratios[chosen] if longest_first else ratios[chosen]
    return np.asarray(chosen[np.argsort(key, kind="stable")])


def _relaxed(mesh: HalfEdges, lines: FeatureLines, old: ClosestPoint, size: NDArray[np.float64] | None) -> HalfEdges:
    """The surface with its points relaxed and back on the old surface; sizes are looked up there again if given."""
    targets, normals, line = relaxed_points(
        mesh.points, mesh.triangles, mesh.twin, mesh.leaving, mesh.curve, mesh.is_fixed, mesh.size
    )
    targets = closest_on_lines(targets, line, lines.starts, lines.segments)
    free = np.flatnonzero(line == FREE)
    found = old(targets[free], directions=normals[free])
    met = found.triangles >= 0
    targets[free[met]] = found.points[met]
    accept_moves(mesh.points, mesh.triangles, mesh.twin, mesh.leaving, targets)
    if size is None:
        return mesh
    found = old(mesh.points)
    return replace(mesh, size=np.einsum("nk,nk->n", found.places, size[old.surface.triangles[found.triangles]]))


def _fit(mesh: HalfEdges, old: ClosestPoint) -> None:
    """Move free points along their normals by the mean gap between their triangles and the old surface, in place."""
    for _ in range(_FITS):
        surface = TriangleSurface(mesh.points, mesh.triangles)
        areas, normals = surface.areas, surface.normals
        samples = np.einsum("qk,mki->mqi", _SAMPLES, mesh.points[mesh.triangles])
        directions = np.repeat(normals, len(_SAMPLES), axis=0)
        found = old(samples.reshape(-1, 3), directions=directions)
        gaps = np.einsum("ni,ni->n", found.points - samples.reshape(-1, 3), directions)
        gap = np.where(found.triangles < 0, 0.0, gaps).reshape(-1, len(_SAMPLES)).mean(axis=1)
        total, weight = np.zeros(len(mesh.points)), np.zeros(len(mesh.points))
        np.add.at(total, mesh.triangles, (areas * gap)[:, None])
        np.add.at(weight, mesh.triangles, areas[:, None])
        most = _FARTHEST_FIT * mesh.size
        _offset(mesh, np.clip(total / np.maximum(weight, 1e-300), -most, most))


def _match_volume(mesh: HalfEdges, volume: float) -> None:
    """Move all free points by one distance along their normals so that the volume is the given one, in place."""
    for _ in range(_FITS):
        surface = TriangleSurface(mesh.points, mesh.triangles)
        around = np.zeros_like(mesh.points)
        np.add.at(around, mesh.triangles, np.repeat(surface.area_vectors[:, None], 3, axis=1) / 3.0)
        normals, is_free = _free_normals(mesh)
        growth = float(np.sum(np.einsum("ni,ni->n", around, normals)[is_free]))
        if growth <= 0.0:
            return
        most = _FARTHEST_FIT * mesh.size
        _offset(mesh, np.clip((volume - surface.volume) / growth, -most, most))


def _free_normals(mesh: HalfEdges) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Unit normals at the points, and which points are off the feature lines."""
    _, normals, line = relaxed_points(
        mesh.points, mesh.triangles, mesh.twin, mesh.leaving, mesh.curve, mesh.is_fixed, mesh.size
    )
    return normals, line == FREE


def _offset(mesh: HalfEdges, distance: NDArray[np.float64]) -> None:
    """Move free points along their normals, in place, as far as their triangles allow."""
    normals, is_free = _free_normals(mesh)
    targets = mesh.points + np.where(is_free, distance, 0.0)[:, None] * normals
    accept_moves(mesh.points, mesh.triangles, mesh.twin, mesh.leaving, targets)
