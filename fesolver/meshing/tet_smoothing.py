"""Better cells by moving points: copies of a surface along it, before it is filled, and points inside, after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.tet_smoothing_kernels import raise_least_quality
from fesolver.surfaces.closest import ClosestPoint
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["ENOUGH_BULK", "Sliding", "relax_copy", "smooth_cells", "smooth_parts"]

ENOUGH_BULK = 0.1
"""Scaled Jacobian below which points of a bulk cell are moved: the limit of meshes of hexahedra (`check_quality`)."""
_ENOUGH_TRIANGLE = 0.3
"""Height over longest edge below which points of a copy's triangle are moved; a choice (0.87 is equilateral)."""
_STEP = 0.3
"""First step of a point, in mean edges; a choice."""
_SWEEPS, _UNTANGLING = 40, 10
"""Sweeps in all, and those in which points of triangles turned over go to their neighbours' mean; choices."""
_GAIN, _PATIENCE = 0.99, 3
"""What a sweep must leave of the sum of what is short of enough, and how many may fail before no more is tried."""
_LEAST_WANTED = 1e-4
"""Scaled Jacobian that a cell beside must have, however bad it is."""
_RINGS = 2
"""Rows of neighbours that move with the points of bad cells; a choice."""


@dataclass(frozen=True)
class Sliding:
    """The copy of a surface, the cells between both, and which of its points may slide.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm.
    triangles : (m, 3) ndarray of int64
        The copy.
    normals : (m, 3) ndarray
        Unit normals of the triangles that they are copies of.
    patch : (m,) ndarray of int
        Part of each: a point slides along its own.
    cells : (c, 4) ndarray of int64
        Cells between the surface and the copy.
    is_free : (n,) ndarray of bool
        Points that may slide; all their triangles must be of one patch.
    """

    points: NDArray[np.float64]
    triangles: NDArray[np.int64]
    normals: NDArray[np.float64]
    patch: NDArray[np.integer]
    cells: NDArray[np.int64]
    is_free: NDArray[np.bool_]

    @cached_property
    def patches(self) -> dict[int, tuple[NDArray[np.int64], ClosestPoint]]:
        """Free points of each part, and the part as it was given."""
        out = {}
        for number in np.unique(self.patch).tolist():
            own = self.triangles[self.patch == number]
            ids = np.unique(own)
            out[number] = (ids[self.is_free[ids]], ClosestPoint(TriangleSurface(self.points, own)))
        return out


def relax_copy(copy: Sliding, *, enough_cell: float, enough_triangle: float = _ENOUGH_TRIANGLE) -> NDArray[np.float64]:
    """Points of a surface's copy moved along it, so that its triangles are not narrow nor turned over.

    Parameters
    ----------
    copy : Sliding
        The copy, which stays where it is as a surface.
    enough_cell : float
        Scaled Jacobian that is enough for a cell between the surface and its copy, positive.
    enough_triangle : float
        Height over longest edge that is enough for a triangle of the copy.

    Returns
    -------
    (n, 3) ndarray
        mm; the given points to the bit if all is enough already.

    Notes
    -----
    Points of triangles and cells that are not good enough, and two rows of neighbours, move one by one to where the
    least of their triangles' and cells' quality over what is enough is largest [1]_, in the plane of the surface's mean
    normal there, then to the closest point of the copy as it was given: a layer keeps its thickness. Points of
    triangles that are turned over go to the mean of their neighbours first.

    References
    ----------
    .. [1] L. A. Freitag, C. Ollivier-Gooch, Tetrahedral mesh improvement using swapping and smoothing, Int. J. Numer.
       Meth. Eng. 40:3979, 1997.
    """
    x, t, n = copy.points.copy(), copy.triangles, len(copy.points)
    best = x
    enough, of_cells, of_triangles = np.full(len(copy.cells), enough_cell), _incidence(copy.cells, n), _incidence(t, n)
    plane = _mean_plane(copy)
    step = np.full(n, _STEP * _mean_edge(x, t))
    least, waited = np.inf, 0
    for sweep in range(_SWEEPS):
        height, quality = _signed_heights(x, t, copy.normals), mesh_quality(x, copy.cells, "tet4").scaled_jacobian
        narrow, flat = height < enough_triangle, quality < enough
        short = float(np.sum(1.0 - height[narrow] / enough_triangle) + np.sum(1.0 - quality[flat] / enough_cell))
        waited = 0 if short < _GAIN * least or sweep < _UNTANGLING else waited + 1
        if short < least:
            least, best = short, x.copy()
        moving = _widened(_marked(n, t[narrow], copy.cells[flat]), t) & copy.is_free
        if waited == _PATIENCE or not moving.any():
            break
        turned = _widened(_marked(n, t[height <= 0.0], copy.cells[quality <= 0.0]), t) & copy.is_free
        if sweep < _UNTANGLING and np.any(turned):
            x = np.where(turned[:, None], _neighbour_means(x, t), x)
        else:
            raise_least_quality(
                x, np.flatnonzero(moving), plane, step, copy.cells, *of_cells, enough,
                t, *of_triangles, copy.normals, enough_triangle,
            )  # fmt: skip
        for ids, closest in copy.patches.values():
            own = ids[moving[ids]]
            x[own] = closest(x[own]).points
    return best


def smooth_cells(
    points: NDArray[np.float64],
    cells: NDArray[np.int64],
    *,
    is_free: NDArray[np.bool_],
    beside: NDArray[np.int64] | None = None,
    plane: NDArray[np.float64] | None = None,
    enough: float = ENOUGH_BULK,
) -> NDArray[np.float64]:
    """Points moved so that the worst cells get better.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm.
    cells : (m, 4) ndarray of int64
        Tetrahedra, VTK order.
    is_free : (n,) ndarray of bool
        Points that may move.
    beside : (k, 4) ndarray of int64, optional
        Cells that are flat by design.
    plane : (n, 3) ndarray, optional
        Unit normal of the plane that a point keeps to; 0 where it may leave in any direction.
    enough : float
        Scaled Jacobian that is enough for one of `cells`, positive.

    Returns
    -------
    (n, 3) ndarray
        mm; the given points to the bit if all cells are good enough already.

    Notes
    -----
    Points of cells that are not good enough move one by one to where the least of their cells' quality over what is
    enough is largest [1]_; for a cell beside enough is what it has. That least never falls.

    References
    ----------
    .. [1] L. A. Freitag, C. Ollivier-Gooch, Tetrahedral mesh improvement using swapping and smoothing, Int. J. Numer.
       Meth. Eng. 40:3979, 1997.
    """
    x, n = points.copy(), len(points)
    every = cells if beside is None else np.concatenate([cells, beside])
    wanted = np.clip(mesh_quality(x, every, "tet4").scaled_jacobian, _LEAST_WANTED, enough)
    wanted[: len(cells)] = enough
    incidence = _incidence(every, n)
    plane = np.zeros((n, 3)) if plane is None else plane
    nothing = np.zeros(0, dtype=np.int64)
    no_triangles = (nothing.reshape(0, 3), np.zeros(n + 1, dtype=np.int64), nothing, np.zeros((0, 3)), 1.0)
    step = np.full(n, _STEP * _mean_edge(x, every))
    least, waited = np.inf, 0
    for _ in range(_SWEEPS):
        quality = mesh_quality(x, cells, "tet4").scaled_jacobian
        is_bad = quality < enough
        short = float(np.sum(1.0 - quality[is_bad] / enough))
        waited = 0 if short < _GAIN * least else waited + 1
        least = min(short, least)
        moving = _marked(n, cells[is_bad]) & is_free
        if waited == _PATIENCE or not moving.any():
            break
        raise_least_quality(x, np.flatnonzero(moving), plane, step, every, *incidence, wanted, *no_triangles)
    return x


def smooth_parts(
    points: NDArray[np.float64],
    parts: Sequence[NDArray[np.int64]],
    layers: Sequence[tuple[NDArray[np.int64], NDArray[np.float64]]],
    *,
    n_fixed: int,
) -> NDArray[np.float64]:
    """`smooth_cells` of a mesh of several parts.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm.
    parts : sequence of (m, 4) ndarray of int64
        Cells of bodies' cores and discs.
    layers : sequence of ((k, 4) ndarray of int64, (j, 3) ndarray)
        Cells of layers, and `BodyLayers.planes`.
    n_fixed : int
        Points of surfaces, which come first and stay but for those that may slide.

    Returns
    -------
    (n, 3) ndarray
        mm.
    """
    plane = np.zeros_like(points)
    for _, planes in layers:
        plane[: len(planes)] += planes
    return smooth_cells(
        points,
        np.concatenate(parts),
        is_free=(np.arange(len(points)) >= n_fixed) | np.any(plane != 0.0, axis=1),
        beside=np.concatenate([np.zeros((0, 4), dtype=np.int64), *(cells for cells, _ in layers)]),
        plane=plane,
    )


def _marked(n: int, *rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of n points cells or triangles have."""
    out = np.zeros(n, dtype=np.bool_)
    for some in rows:
        out[some] = True
    return out


def _widened(marked: NDArray[np.bool_], triangles: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Marked points and some rows of their neighbours."""
    out = marked.copy()
    for _ in range(_RINGS):
        out[triangles[np.any(out[triangles], axis=1)]] = True
    return out


def _incidence(rows: NDArray[np.int64], n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the rows of each of n points start in a list, and the list."""
    order = np.argsort(rows.ravel(), kind="stable")
    return np.concatenate([[0], np.cumsum(np.bincount(rows.ravel(), minlength=n))]), order // rows.shape[1]


def _mean_edge(points: NDArray[np.float64], rows: NDArray[np.int64]) -> float:
    """Mean distance between following corners, mm."""
    x = points[rows]
    return float(np.linalg.norm(np.roll(x, -1, axis=1) - x, axis=2).mean())


def _mean_plane(copy: Sliding) -> NDArray[np.float64]:
    """Unit means of the outer normals of a copy's triangles at its points: those of the copy itself may be turned."""
    out = np.zeros_like(copy.points)
    np.add.at(out, copy.triangles, copy.normals[:, None])
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1), 1e-300)[:, None])


def _neighbour_means(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean of the neighbours of every point, the point itself where it has none."""
    total = np.zeros_like(points)
    np.add.at(total, triangles, points[np.roll(triangles, -1, axis=1)] + points[np.roll(triangles, 1, axis=1)])
    count = np.bincount(triangles.ravel(), minlength=len(points))[:, None]
    return np.where(count > 0, total / np.maximum(2 * count, 1), points)


def _signed_heights(
    points: NDArray[np.float64], triangles: NDArray[np.int64], normals: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Least height over longest edge of triangles, negative where they are turned over against their normals."""
    x = points[triangles]
    longest = np.sum((np.roll(x, -1, axis=1) - x) ** 2, axis=2).max(axis=1)
    area = np.einsum("mi,mi->m", np.cross(x[:, 1] - x[:, 0], x[:, 2] - x[:, 0]), normals)
    return np.asarray(area / np.maximum(longest, 1e-300))
