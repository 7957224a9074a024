"""Quality of triangles, pieces of a surface and what they enclose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.topology import merge_tolerance

__all__ = [
    "CRUMB_FRACTION",
    "crumb_shells",
    "flat_triangles",
    "is_inside_shell",
    "loop_length",
    "shell_volumes",
    "triangle_quality",
]

CRUMB_FRACTION = 0.01
"""Volume of a piece over that of the largest, below which it is noise of the segmentation. A choice."""


def triangle_quality(surface: TriangleSurface) -> NDArray[np.float64]:
    """Area over the sum of squared sides, 1 for an equilateral triangle, 0 for one without area, (m,).

    References
    ----------
    .. [1] R. E. Bank and R. K. Smith, "Mesh smoothing using a posteriori error estimates", SIAM J. Numer. Anal.
       34:979, 1997 (4 sqrt(3) A / (a^2 + b^2 + c^2)).
    """
    corners = surface.points[surface.triangles]
    squares = np.sum((corners - np.roll(corners, 1, axis=1)) ** 2, axis=(1, 2))
    return np.asarray(4.0 * np.sqrt(3.0) * surface.areas / np.maximum(squares, 1e-300))


def flat_triangles(surface: TriangleSurface) -> NDArray[np.int64]:
    """Triangles with a corner twice, or lower than the distance at which points are one."""
    corners = surface.points[surface.triangles]
    longest = np.sqrt(np.max(np.sum((corners - np.roll(corners, 1, axis=1)) ** 2, axis=2), axis=1))
    height = 2.0 * surface.areas / np.maximum(longest, 1e-300)
    t = surface.triangles
    is_double = (t[:, 0] == t[:, 1]) | (t[:, 1] == t[:, 2]) | (t[:, 2] == t[:, 0])
    return np.flatnonzero(is_double | (height <= merge_tolerance(surface.points[np.unique(t)])))


def shell_volumes(surface: TriangleSurface, shell: NDArray[np.int64], n_shells: int) -> NDArray[np.float64]:
    """Volume of every piece about its own middle, mm3, negative where it faces inward, (n_shells,)."""
    centers, vectors = surface.centers, surface.area_vectors
    count = np.bincount(shell, minlength=n_shells)
    middle = np.stack([np.bincount(shell, centers[:, k], n_shells) / count for k in range(3)], axis=1)
    return np.asarray(np.bincount(shell, np.sum((centers - middle[shell]) * vectors, axis=1) / 3.0, n_shells), float)


def crumb_shells(surface: TriangleSurface, shell: NDArray[np.int64], n_shells: int) -> tuple[int, NDArray[np.bool_]]:
    """The largest piece, and which are crumbs: under 1 % of its volume and 0.01^(2/3) of its area."""
    volume = np.abs(shell_volumes(surface, shell, n_shells))
    area = np.bincount(shell, surface.areas, n_shells)
    main = int(np.argmax(volume)) if volume.max() > 0 else int(np.argmax(area))
    is_crumb = (volume < CRUMB_FRACTION * volume[main]) & (area < CRUMB_FRACTION ** (2 / 3) * area[main])
    is_crumb[main] = False
    return main, is_crumb


def loop_length(points: NDArray[np.float64], loop: NDArray[np.int64]) -> float:
    """Way around a loop of points, mm."""
    return float(np.linalg.norm(points[loop] - points[np.roll(loop, -1)], axis=1).sum())


def is_inside_shell(surface: TriangleSurface, shell: NDArray[np.bool_], place: NDArray[np.float64]) -> bool:
    """Whether a place lies inside a closed piece: the solid angle that it fills is 4 pi and not 0 [1]_.

    References
    ----------
    .. [1] A. Van Oosterom and J. Strackee, "The solid angle of a plane triangle", IEEE Trans. Biomed.
       Eng. 30:125, 1983.
    """
    a, b, c = (surface.points[surface.triangles[shell, k]] - place for k in range(3))
    la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
    volume = np.sum(a * np.cross(b, c), axis=1)
    rest = la * lb * lc + np.sum(a * b, axis=1) * lc + np.sum(b * c, axis=1) * la + np.sum(c * a, axis=1) * lb
    return bool(abs(2.0 * np.arctan2(volume, rest).sum()) > 2.0 * np.pi)
