"""Right-handed frames: x to the patient's left, y posterior, z superior (LPS+)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError

__all__ = ["Frame"]


@dataclass(frozen=True)
class Frame:
    """An origin and three orthonormal axes, given in a parent frame.

    Parameters
    ----------
    origin : (3,) ndarray
        Origin in the parent frame, mm.
    axes : (3, 3) ndarray
        Rows: unit vectors of x (left), y (posterior), z (superior) in the parent frame; right-handed.

    Raises
    ------
    InputError
        If `axes` is not a right-handed orthonormal set.
    """

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]

    def __post_init__(self) -> None:
        if not np.allclose(self.axes @ self.axes.T, np.eye(3), atol=1e-9) or np.linalg.det(self.axes) < 0:
            raise InputError(
                "frame axes are not right-handed and orthonormal", where=f"axes {np.asarray(self.axes).tolist()}"
            )

    def to_local(self, points: ArrayLike) -> NDArray[np.float64]:
        """Parent coordinates (..., 3) in mm to local ones."""
        return (np.asarray(points, dtype=np.float64) - self.origin) @ self.axes.T

    def to_parent(self, points: ArrayLike) -> NDArray[np.float64]:
        """Local coordinates (..., 3) in mm to parent ones."""
        return np.asarray(points, dtype=np.float64) @ self.axes + self.origin

    def vectors_to_local(self, vectors: ArrayLike) -> NDArray[np.float64]:
        """Directions (..., 3) from parent to local components."""
        return np.asarray(vectors, dtype=np.float64) @ self.axes.T

    def vectors_to_parent(self, vectors: ArrayLike) -> NDArray[np.float64]:
        """Directions (..., 3) from local to parent components."""
        return np.asarray(vectors, dtype=np.float64) @ self.axes
