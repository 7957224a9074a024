"""The vertebral canal by the direction in which one can see through the whole vertebra."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fesolver.imaging.canal_kernels import cast_shadow

__all__ = ["Canal", "CutPlane", "cut_at_canal", "find_canal"]

_SEARCH_DEG = 48.0
_COARSE_DEG = 8.0


@dataclass(frozen=True)
class Canal:
    """The see-through hole of a vertebra.

    Parameters
    ----------
    axis : (3,) ndarray
        Direction of the largest hole, cranial.
    area_mm2 : float
        Area of the hole seen along `axis`.
    outline : (n, 3) ndarray
        Centres of the hole's pixels in LPS+ mm, in the plane through the vertebra's centroid.
    """

    axis: NDArray[np.float64]
    area_mm2: float
    outline: NDArray[np.float64]


@dataclass(frozen=True)
class CutPlane:
    """Plane between vertebral body and posterior elements.

    Parameters
    ----------
    point : (3,) ndarray
        Middle of the canal's anterior edge, LPS+ mm.
    normal : (3,) ndarray
        Unit normal, pointing posteriorly (away from the body).
    """

    point: NDArray[np.float64]
    normal: NDArray[np.float64]


def _basis(axis: NDArray[np.float64], lateral: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows: two unit vectors spanning the plane across `axis`, the first nearest to `lateral`."""
    first = lateral - axis * (lateral @ axis)
    first /= np.linalg.norm(first)
    return np.array([first, np.cross(axis, first)])


def _largest_hole(
    points: NDArray[np.float64], axis: NDArray[np.float64], lateral: NDArray[np.float64], pixel: float
) -> tuple[int, NDArray[np.int64], NDArray[np.float64]]:
    """Pixels of the largest closed hole in the shadow of `points` along `axis`, and the shadow's corner."""
    across = _basis(axis, lateral)
    shadow, low = cast_shadow(points, across, pixel)
    holes, count = ndimage.label(~shadow)
    if count < 2:
        return 0, np.zeros((0, 2), np.int64), low
    areas = np.bincount(holes.ravel())
    areas[0] = 0
    areas[holes[0, 0]] = 0
    best = int(np.argmax(areas))
    return int(areas[best]), np.argwhere(holes == best), low


def _tilted(up: NDArray[np.float64], across: NDArray[np.float64], tilt: NDArray[np.float64]) -> NDArray[np.float64]:
    """`up` tilted by two angles (rad) given as a vector across it."""
    angle = float(np.linalg.norm(tilt))
    if angle == 0.0:
        return up
    return np.asarray(np.cos(angle) * up + np.sin(angle) * (tilt / angle) @ across)


def find_canal(
    points: NDArray[np.float64],
    *,
    up: NDArray[np.float64],
    lateral: NDArray[np.float64],
    pixel: float,
    min_area_mm2: float = 60.0,
) -> Canal | None:
    """Search the direction along which the vertebra has its largest hole.

    Parameters
    ----------
    points : (n, 3) ndarray
        Points that fill the whole vertebra, LPS+ mm, no further apart than `pixel`.
    up : (3,) ndarray
        Roughly cranial unit vector; directions within 48 degrees of it are searched.
    lateral : (3,) ndarray
        Roughly left unit vector.
    pixel : float
        Pixel of the shadow, mm.
    min_area_mm2 : float
        A smaller hole is no canal. Lumbar canals have 200 to 300 mm2 of bone-free section; coarse labels leave 150.

    Returns
    -------
    Canal or None
        None where no direction shows a hole of `min_area_mm2`.

    Notes
    -----
    On 3 mm axial slices a closed ring appears in at most two of them, and no slice stands across the canal. The
    shadow of the whole vertebra needs neither: the ring closes from the laminae of one slice and the pedicles
    of another.
    """
    across = _basis(up, lateral)
    coarse = np.deg2rad(_COARSE_DEG)
    n = int(_SEARCH_DEG // _COARSE_DEG)
    grid = np.array([(a, b) for a in range(-n, n + 1) for b in range(-n, n + 1) if a * a + b * b <= n * n]) * coarse
    areas = [_largest_hole(points, _tilted(up, across, t), lateral, pixel)[0] for t in grid]
    order = np.argsort(areas)[::-1][:3]
    best_area, best_tilt = 0, grid[order[0]]
    for start in grid[order]:
        tilt, step = start, coarse / 2
        area = _largest_hole(points, _tilted(up, across, tilt), lateral, pixel)[0]
        while step > np.deg2rad(0.4):
            around = [tilt + step * np.array([a, b]) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b]
            found = [_largest_hole(points, _tilted(up, across, t), lateral, pixel)[0] for t in around]
            at = int(np.argmax(found))
            if found[at] > area:
                area, tilt = found[at], around[at]
            else:
                step /= 2
        if area > best_area:
            best_area, best_tilt = area, tilt
    if best_area * pixel**2 < min_area_mm2:
        return None
    axis = _tilted(up, across, best_tilt)
    _, pixels, low = _largest_hole(points, axis, lateral, pixel)
    flat = low + (pixels + 0.5) * pixel
    outline = flat @ _basis(axis, lateral) + axis * float(points.mean(axis=0) @ axis)
    return Canal(axis, best_area * pixel**2, outline)


def cut_at_canal(points: NDArray[np.float64], canal: Canal, *, posterior: NDArray[np.float64]) -> CutPlane:
    """Plane along the canal's axis at its anterior edge, facing from the body to the canal.

    Parameters
    ----------
    points : (n, 3) ndarray
        Points that fill the whole vertebra, LPS+ mm.
    canal : Canal
        The see-through hole.
    posterior : (3,) ndarray
        Roughly posterior unit vector, where to begin.

    Returns
    -------
    CutPlane

    Notes
    -----
    The hole is what is free at every height, so its anterior edge touches the most posterior part of the body's
    posterior wall: the plane leaves the whole wall with the body and the pedicles with the posterior elements.
    """
    axis, outline = canal.axis, canal.outline
    center = outline.mean(axis=0)
    normal = posterior - axis * (posterior @ axis)
    normal /= np.linalg.norm(normal)
    edge = 0.0
    for _ in range(4):
        side = np.cross(axis, normal)
        along, depth = (outline - center) @ side, (outline - center) @ normal
        low, high = np.quantile(along, (0.15, 0.85))
        columns = np.floor(along[(along >= low) & (along <= high)]).astype(np.int64)
        front = np.full(columns.max() - columns.min() + 1, np.inf)
        np.minimum.at(front, columns - columns.min(), depth[(along >= low) & (along <= high)])
        pixel = np.sqrt(canal.area_mm2 / len(outline))
        edge = float(np.median(front[np.isfinite(front)])) - pixel / 2
        body = points[(points - center) @ normal < edge]
        if len(body) == 0:
            break
        towards = center - body.mean(axis=0)
        towards -= axis * (towards @ axis)
        normal = towards / np.linalg.norm(towards)
    return CutPlane(center + edge * normal, normal)
