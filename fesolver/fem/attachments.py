"""Places that connections pull at: inside a cell by its shape functions, or beside a patch of points followed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Attachment"]


@dataclass(frozen=True)
class Attachment:
    """A place whose displacement is a fixed combination of points' displacements.

    Parameters
    ----------
    at : (3,) ndarray
        mm.
    points : (k,) ndarray of int64
        Point ids.
    weights : (k, 3, 3) ndarray
        Displacement of the place = sum of weights @ u[points]; reproduces rigid motions.
    owners : (k,) ndarray of int64
        A cell that holds each point, on the body the place belongs to.
    """

    at: NDArray[np.float64]
    points: NDArray[np.int64]
    weights: NDArray[np.float64]
    owners: NDArray[np.int64]
