"""A triangle surface as a value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError

__all__ = ["TriangleSurface"]


@dataclass(frozen=True)
class TriangleSurface:
    """Triangles between points, normals outward where the surface is closed.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        Coordinates, mm, LPS+ (x to the patient's left, y posterior, z superior) unless a function says otherwise.
    triangles : (m, 3) ndarray of int64
        Point ids, counter-clockwise seen from outside.

    Raises
    ------
    InputError
        If shapes, ids or numbers do not make a surface.

    Examples
    --------
    >>> corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    >>> tetrahedron = TriangleSurface(corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]))
    >>> round(tetrahedron.volume, 6)
    0.166667
    """

    points: NDArray[np.float64]
    triangles: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 3 or not np.all(np.isfinite(self.points)):
            raise InputError(f"points of a surface must be finite and of shape (n, 3), got {self.points.shape}")
        if self.triangles.ndim != 2 or self.triangles.shape[1] != 3:
            raise InputError(f"triangles of a surface must have shape (m, 3), got {self.triangles.shape}")
        if len(self.triangles) and not 0 <= self.triangles.min() <= self.triangles.max() < len(self.points):
            raise InputError(f"triangles name points outside 0..{len(self.points) - 1}")

    @property
    def area_vectors(self) -> NDArray[np.float64]:
        """Outward normal times area of every triangle, mm2, (m, 3)."""
        a, b, c = (self.points[self.triangles[:, k]] for k in range(3))
        return np.asarray(0.5 * np.cross(b - a, c - a))

    @property
    def areas(self) -> NDArray[np.float64]:
        """Area of every triangle, mm2, (m,)."""
        return np.asarray(np.linalg.norm(self.area_vectors, axis=1))

    @property
    def normals(self) -> NDArray[np.float64]:
        """Unit normal of every triangle, (m, 3); zero where it has no area."""
        vectors = self.area_vectors
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-300)[:, None])

    @property
    def centers(self) -> NDArray[np.float64]:
        """Centroid of every triangle, mm, (m, 3)."""
        return np.asarray(self.points[self.triangles].mean(axis=1))

    @property
    def volume(self) -> float:
        """Enclosed volume, mm3, by the divergence theorem; negative where normals point inward."""
        middle = self.points.mean(axis=0)
        return float(np.sum((self.centers - middle) * self.area_vectors) / 3.0)

    @property
    def centroid(self) -> NDArray[np.float64]:
        """Centroid of the enclosed volume, mm, (3,)."""
        middle = self.points.mean(axis=0)
        corners = self.points[self.triangles] - middle
        volumes = np.sum(corners[:, 0] * np.cross(corners[:, 1], corners[:, 2]), axis=1) / 6.0
        return np.asarray(middle + (volumes[:, None] * corners.sum(axis=1)).sum(axis=0) / (4.0 * volumes.sum()))
