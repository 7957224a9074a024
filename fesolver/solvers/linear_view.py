"""A solver's matrix and preconditioner as functions of one flat vector, for loops that go round a linear solve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LinearView", "Vector"]

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class LinearView:
    """A x and M^-1 r on the solver's own vectors.

    Parameters
    ----------
    size : int
        Length of the vectors; entries that are no unknown are zero and stay so.
    places : (n,) ndarray of int64
        Where in such a vector the unknowns of `reduction_matrix` stand, in its order.
    P : (3 n_points, n) sparse matrix
        Displacement by these unknowns.
    multiply : callable
        `multiply(x) -> A x`, a new vector.
    precondition : callable
        `precondition(r) -> z`, a new vector; symmetric positive definite up to round-off.
    """

    size: int
    places: NDArray[np.int64]
    P: Any
    multiply: Callable[[Vector], Vector]
    precondition: Callable[[Vector], Vector]

    def spread(self, q: Vector) -> Vector:
        """A vector of the solver from the unknowns of `reduction_matrix`."""
        out = np.zeros(self.size)
        out[self.places] = q
        return out

    def displacement(self, x: Vector) -> Vector:
        """Displacement (n_points, 3), mm, without what is given."""
        return np.asarray(self.P @ x[self.places]).reshape(-1, 3)

    def force(self, f: Vector) -> Vector:
        """Forces on the unknowns from nodal forces (n_points, 3)."""
        return self.spread(np.asarray(self.P.T @ f.ravel()))
