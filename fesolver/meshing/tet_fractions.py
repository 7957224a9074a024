"""How much of a tetrahedron lies below zero of a function: exact for linear functions, by subdivision for others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.elements import ELEMENTS

__all__ = ["Leaves", "linear_cut", "split_cells"]


@dataclass(frozen=True)
class Leaves:
    """Tetrahedra divided into equal parts.

    Parameters
    ----------
    places : (n_cells, n_places, 3) ndarray
        Distinct corners of the parts, mm.
    corners : (n_leaves, 4) ndarray of int64
        Rows of `places` at the corners of every part; parts have equal volumes.
    """

    places: NDArray[np.float64]
    corners: NDArray[np.int64]

    def values(self, function: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> NDArray[np.float64]:
        """A function of places (n, 3) at the corners of every part, (n_cells, n_leaves, 4)."""
        at = function(self.places.reshape(-1, 3)).reshape(self.places.shape[:2])
        return np.asarray(at[:, self.corners])

    @property
    def centers(self) -> NDArray[np.float64]:
        """Centroids of the parts, (n_cells, n_leaves, 3)."""
        return np.asarray(self.places[:, self.corners].mean(axis=2))


def linear_cut(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fraction of tetrahedra where a linear function is negative.

    Parameters
    ----------
    values : (..., 4) ndarray
        The function at the corners.

    Returns
    -------
    (...) ndarray
        In [0, 1].

    Notes
    -----
    With one corner a below zero the part is a tetrahedron of the fraction t_b t_c t_d, t_x = a / (a - x). With two, a
    and b, it is a wedge; split into three tetrahedra, its fraction is
    t_ac t_ad + t_ac (1 - t_ad) t_bd + (1 - t_ac) t_bc t_bd. With three it is what the fourth leaves.

    Examples
    --------
    >>> linear_cut(np.array([[-1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, 1.0, 1.0], [-1.0, -1.0, -1.0, 1.0]]))
    array([0.125, 0.5  , 0.875])
    """
    a, b, c, d = np.moveaxis(np.sort(values, axis=-1), -1, 0)
    below = (values < 0.0).sum(axis=-1)
    one = _part(a, b) * _part(a, c) * _part(a, d)
    ac, ad, bc, bd = _part(a, c), _part(a, d), _part(b, c), _part(b, d)
    two = ac * ad + ac * (1.0 - ad) * bd + (1.0 - ac) * bc * bd
    three = 1.0 - _part(d, a) * _part(d, b) * _part(d, c)
    return np.asarray(np.choose(below, [np.zeros_like(a), one, two, three, np.ones_like(a)]))


def split_cells(corners: NDArray[np.float64], depth: int) -> Leaves:
    """Tetrahedra divided `depth` times into eight.

    Parameters
    ----------
    corners : (n_cells, 4, 3) ndarray
        mm.
    depth : int
        0 leaves them whole.

    Notes
    -----
    A tetrahedron is cut at the middles of its edges into four at its corners and four of the octahedron between: all
    eight have an eighth of its volume.
    """
    places, leaves = _lattice(depth)
    return Leaves(np.einsum("pc,nci->npi", places, corners), leaves)


def _part(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where along an edge the function is zero, from `low` 0 to `high` 1, clipped; 0 where both are equal."""
    apart = low - high
    return np.clip(np.divide(low, apart, out=np.zeros_like(low), where=apart != 0.0), 0.0, 1.0)


@cache
def _lattice(depth: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Barycentric places (p, 4) and the corners (8^depth, 4) of the parts of a tetrahedron."""
    parts = np.eye(4)[None]
    for _ in range(depth):
        middles = np.stack([0.5 * (parts[:, i] + parts[:, j]) for i, j in ELEMENTS["tet4"].edges], axis=1)
        nodes = np.concatenate([parts, middles], axis=1)
        # Middles 4..9 stand on the edges 01, 12, 20, 03, 13, 23; the octahedron is split along the diagonal 4-9.
        eight = [
            *([0, 4, 6, 7], [4, 1, 5, 8], [6, 5, 2, 9], [7, 8, 9, 3]),
            *([4, 9, 6, 7], [4, 9, 7, 8], [4, 9, 8, 5], [4, 9, 5, 6]),
        ]
        parts = nodes[:, np.array(eight)].reshape(-1, 4, 4)
    places, back = np.unique(parts.reshape(-1, 4), axis=0, return_inverse=True)
    return places, back.reshape(-1, 4)
