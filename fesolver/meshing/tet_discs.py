"""Discs between the facing endplates of two vertebral surfaces: patches, their borders, and a wall between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.imaging.frames import oriented_frame
from fesolver.surfaces.parts_topology import disc_patch, triangle_neighbours
from fesolver.surfaces.strips import strip_triangles
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, OUTER, SUPERIOR_ENDPLATE, VertebraSurface

__all__ = ["DiscSurface", "disc_between", "facing_patches", "patch_border", "wall_triangles"]

_LEAST_PART = 0.8
"""Area of the largest piece over that of the whole patch, under which an endplate counts as torn; a choice."""
_SAMPLES = 1024
_SMOOTHING_MM = 1.0
"""Standard deviation, along the border, of the average that takes the triangles' zigzag out of the wall; a choice."""


@dataclass(frozen=True)
class DiscSurface:
    """The closed surface of a disc, which shares its endplate points with the bodies.

    Parameters
    ----------
    surface : TriangleSurface
        Normals out of the disc; its points begin with those that were given.
    frame : Frame
        Origin midway between the endplates' centroids, z their bisector, x to the patient's left; in the points' frame.
    lower, upper : (k, 3) ndarray
        Smoothed borders of the lower and of the upper endplate, mm in the points' frame, at equal steps, anti-clockwise
        seen from above; row i of the one faces row i of the other.
    bulge_mm : float
        How far the wall stands out at mid-height.
    """

    surface: TriangleSurface
    frame: Frame
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    bulge_mm: float


def facing_patches(vertebrae: Sequence[VertebraSurface]) -> tuple[NDArray[np.int8], ...]:
    """Kinds of every vertebra's triangles, each endplate one disc of triangles; what falls off it is side wall.

    Parameters
    ----------
    vertebrae : sequence of VertebraSurface
        Any.

    Returns
    -------
    tuple of (m,) ndarray of int8
        One per vertebra, as `VertebraSurface.kind`.

    Raises
    ------
    InputError
        If an endplate has no triangle, or lies in pieces of similar size.
    """
    out = []
    for vertebra in vertebrae:
        surface, kind = vertebra.surface, vertebra.kind.copy()
        neighbours, areas = triangle_neighbours(surface), surface.areas
        for number, side in ((SUPERIOR_ENDPLATE, "superior"), (INFERIOR_ENDPLATE, "inferior")):
            given = vertebra.kind == number
            patch = disc_patch(given, surface, neighbours)
            if not patch.any() or areas[patch & given].sum() < _LEAST_PART * areas[given].sum():
                share = areas[patch & given].sum() / max(areas[given].sum(), 1e-300)
                raise InputError(
                    f"the {side} endplate of {vertebra.level} is no single patch: its largest piece holds "
                    f"{100 * share:.0f} % of it",
                    where=f"{vertebra.level}/{side}_endplate",
                    fix="check the parts of the surface, its axes and its unit",
                )
            kind[given] = OUTER
            kind[patch] = number
        out.append(kind)
    return tuple(out)


def disc_between(
    points: NDArray[np.float64],
    lower: NDArray[np.int64],
    upper: NDArray[np.int64],
    *,
    left: NDArray[np.float64],
    size_mm: float,
    bulge_mm: float = 0.0,
    name: str,
) -> DiscSurface:
    """Surface of a disc: two endplate patches, and a wall of rings between their borders.

    Parameters
    ----------
    points : (n, 3) ndarray
        Points of all bodies, mm.
    lower : (k, 3) ndarray of int64
        The lower body's superior endplate, a clean patch, its normals out of the bone (upwards).
    upper : (l, 3) ndarray of int64
        The upper body's inferior endplate, likewise (downwards).
    left : (3,) ndarray
        The patient's left.
    size_mm : float
        Edge length on the wall, mm.
    bulge_mm : float
        How far the wall stands out at mid-height over the line between the borders.
    name : str
        `L1-L2`.

    Raises
    ------
    InputError
        If a size is out of range or the endplates do not face each other.

    Notes
    -----
    The borders are compared by their place along them, turned against each other until they face best, and averaged
    along themselves so that the zigzag of the triangles does not run up the wall. Borders themselves are kept as they
    are: the disc shares every point with the bones.
    """
    if not (np.isfinite(size_mm) and size_mm > 0.0):
        raise InputError(f"the edge length of disc {name} must be positive, not {size_mm:g} mm")
    if not 0.0 <= bulge_mm <= 5.0:
        raise InputError(f"bulge_mm must lie in 0 to 5, not {bulge_mm:g}")
    frame = _disc_frame(points, lower, upper, left, name)
    below, above = patch_border(points, lower), patch_border(points, upper)[::-1]
    below_at, low = _smoothed(points[below])
    above_at, high = _smoothed(points[above])
    shift = _best_shift(frame.to_local(low), frame.to_local(high))
    high, above_at = np.roll(high, -shift, axis=0), np.mod(above_at - shift / _SAMPLES, 1.0)
    height = float(np.mean((high - low) @ frame.axes[2]))
    n_rings = max(1, round(abs(height) / size_mm)) - 1
    rings, ids, at = [points], [below], [below_at]
    n = len(points)
    for ring in range(1, n_rings + 1):
        zeta = ring / (n_rings + 1)
        curve = (1.0 - zeta) * low + zeta * high + 4.0 * zeta * (1.0 - zeta) * bulge_mm * _outward(low, high, frame)
        count = max(8, round(_length(curve) / size_mm))
        place = (np.arange(count) + 0.5 * (ring % 2)) / count
        rings.append(_along(curve, place))
        ids.append(n + np.arange(count))
        at.append(place)
        n += count
    ids.append(above)
    at.append(above_at)
    triangles = np.concatenate([lower[:, ::-1], upper[:, ::-1], *wall_triangles(ids, at)])
    return DiscSurface(TriangleSurface(np.concatenate(rings), triangles), frame, low, high, bulge_mm)


def _disc_frame(
    points: NDArray[np.float64],
    lower: NDArray[np.int64],
    upper: NDArray[np.int64],
    left: NDArray[np.float64],
    name: str,
) -> Frame:
    """Frame of a disc, or an error where the endplates do not face each other."""
    plates = [TriangleSurface(points, t) for t in (lower, upper)]
    normals = [plate.area_vectors.sum(axis=0) for plate in plates]
    centroids = [plate.areas @ plate.centers / plate.areas.sum() for plate in plates]
    up, down = (v / np.linalg.norm(v) for v in normals)
    gap = float((centroids[1] - centroids[0]) @ (up - down)) / 2.0
    if up @ down > -0.5 or gap <= 0.0:
        raise InputError(
            f"the endplates of disc {name} do not face each other: normals {np.degrees(np.arccos(-up @ down)):.0f} "
            f"degrees from opposite, centroids {gap:.1f} mm apart",
            where=name,
            fix="check the order of the levels, the surfaces' frame, and that all surfaces share it",
        )
    return oriented_frame(0.5 * (centroids[0] + centroids[1]), up - down, left)


def patch_border(points: NDArray[np.float64], patch: NDArray[np.int64]) -> NDArray[np.int64]:
    """Point ids (k,) along the border of a patch (m, 3) with one border, anti-clockwise seen from outside."""
    n = len(points)
    edges = np.concatenate([patch[:, [0, 1]], patch[:, [1, 2]], patch[:, [2, 0]]])
    alone = edges[~np.isin(edges @ np.array([n, 1]), edges @ np.array([1, n]))]
    following = dict(alone.tolist())
    loop = [int(alone[:, 0].min())]
    while following[loop[-1]] != loop[0]:
        loop.append(following[loop[-1]])
    return np.array(loop, dtype=np.int64)


def _smoothed(loop: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Places 0..1 (k,) of a closed polygon's corners along it, and the averaged curve at equal steps."""
    step = np.linalg.norm(np.roll(loop, -1, axis=0) - loop, axis=1)
    reached = np.concatenate([[0.0], np.cumsum(step)])
    place = reached[:-1] / reached[-1]
    even = _along_polygon(loop, place, np.arange(_SAMPLES) / _SAMPLES)
    sigma = _SMOOTHING_MM / reached[-1] * _SAMPLES
    return place, ndimage.gaussian_filter1d(even, sigma, axis=0, mode="wrap")


def _along_polygon(
    loop: NDArray[np.float64], place: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Points of a closed polygon, corners at ascending places from 0, at other places."""
    closed, ends = np.concatenate([loop, loop[:1]]), np.append(place, 1.0)
    return np.stack([np.interp(wanted, ends, closed[:, k]) for k in range(3)], axis=1)


def _along(curve: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of a curve given at equal steps."""
    return _along_polygon(curve, np.arange(len(curve)) / len(curve), wanted)


def _length(curve: NDArray[np.float64]) -> float:
    """Length of a closed polygon, mm."""
    return float(np.linalg.norm(np.roll(curve, -1, axis=0) - curve, axis=1).sum())


def _best_shift(low: NDArray[np.float64], high: NDArray[np.float64]) -> int:
    """Steps by which the upper curve is turned so that it stands over the lower one."""
    apart = [float(np.sum((np.roll(high, -s, axis=0)[::8, :2] - low[::8, :2]) ** 2)) for s in range(0, _SAMPLES, 4)]
    return 4 * int(np.argmin(apart))


def _outward(low: NDArray[np.float64], high: NDArray[np.float64], frame: Frame) -> NDArray[np.float64]:
    """Unit normals of the mid-height curve in the disc's plane, (k, 3)."""
    middle = 0.5 * (low + high)
    out = np.cross(np.roll(middle, -1, axis=0) - np.roll(middle, 1, axis=0), frame.axes[2])
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


def wall_triangles(ids: list[NDArray[np.int64]], at: list[NDArray[np.float64]]) -> list[NDArray[np.int64]]:
    """Triangles (m, 3) between rings of points, from below, normals outward; `at` are places along them, 0 to 1."""
    ordered = [(own[np.argsort(p, kind="stable")], np.sort(p)) for own, p in zip(ids, at, strict=True)]
    return [
        np.concatenate([a[0], b[0]])[strip_triangles(2.0 * np.pi * a[1], 2.0 * np.pi * b[1])]
        for a, b in pairwise(ordered)
    ]
