"""Weights of the moments that make coarse operators; see `fem.kernels.moments`."""

from __future__ import annotations

from functools import lru_cache
from math import comb

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.kernels.moments import COUNT, EXPONENTS
from fesolver.fem.voxel_operator import strain_modes, strain_slopes

__all__ = ["child_interpolation", "first_weights", "moment_constants", "moment_shifts", "moment_units"]


def child_interpolation() -> NDArray[np.float64]:
    """Trilinear weights (8 children, 8 fine nodes, 8 coarse nodes), all numbered by position bits."""
    line = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.5, 0.5], [0.0, 1.0]]])  # child, fine node, coarse node
    T = np.empty((8, 8, 8))
    for child in range(8):
        for a in range(8):
            for b in range(8):
                T[child, a, b] = np.prod([line[(child >> d) & 1, (a >> d) & 1, (b >> d) & 1] for d in range(3)])
    return T


def first_weights(spacing: NDArray[np.float64], *, is_bbar: bool) -> NDArray[np.float64]:
    """Moments (8 children, lambda and mu, 46) of a coarse cell per unit of a child's constants.

    Parameters
    ----------
    spacing : (3,) ndarray
        Edges of the fine cells, mm.
    is_bbar : bool
        Mean dilatation: the dilatation of a fine cell is its value at the centre, and its modulus lambda + 2 mu / 3.
    """
    volume = float(np.prod(spacing))
    out = np.zeros((8, 2, 2 * COUNT))
    for child in range(8):
        sign = np.array([1 if (child >> d) & 1 else -1 for d in range(3)])
        # Over a child, coarse xi = (sign + xi') / 2: mean of xi^2 is 1/4 + 1/12, at the centre 1/4.
        exact = volume * np.prod(np.where(EXPONENTS == 0, 1.0, np.where(EXPONENTS == 1, sign / 2, 1.0 / 3.0)), axis=1)
        centre = volume * np.prod((sign / 2) ** EXPONENTS, axis=1)
        out[child, 1, :COUNT] = exact
        if is_bbar:
            out[child, 0, COUNT:] = centre
            out[child, 1, COUNT:] = 2.0 / 3.0 * (centre - exact)
        else:
            out[child, 0, COUNT:] = exact
    return out


@lru_cache
def moment_shifts() -> NDArray[np.float64]:
    """What a child's moments add to its parent's: (8 children, 23 of the child, 23 of the parent)."""
    place = {tuple(e): n for n, e in enumerate(EXPONENTS.tolist())}
    out = np.zeros((8, COUNT, COUNT))
    for child in range(8):
        sign = [1 if (child >> d) & 1 else -1 for d in range(3)]
        for n, parent in enumerate(EXPONENTS.tolist()):
            for lower in np.ndindex(*(p + 1 for p in parent)):
                weights = [
                    comb(p, q) * (sign[d] / 2) ** (p - q) * 0.5**q
                    for d, (p, q) in enumerate(zip(parent, lower, strict=True))
                ]
                out[child, place[tuple(lower)], n] = np.prod(weights)
    return out


def moment_units(spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Stiffness (46, 24, 24) of a coarse cell of edges `spacing` for each moment at 1, nodes by position bits."""
    B = strain_modes(spacing)
    place = {tuple(e): n for n, e in enumerate(EXPONENTS.tolist())}
    bits = [[(m >> d) & 1 for d in range(3)] for m in range(7)]
    shear = np.array([2.0, 2.0, 2.0, 1.0, 1.0, 1.0])
    out = np.zeros((2 * COUNT, 24, 24))
    for m in range(7):
        for n in range(7):
            at = place[tuple(a + b for a, b in zip(bits[m], bits[n], strict=True))]
            out[at] += B[m].T * shear @ B[n]
            out[COUNT + at] += np.outer(B[m, :3].sum(axis=0), B[n, :3].sum(axis=0))
    return out


def moment_constants(spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Constants (12,) that `fem.kernels.moments` takes, for the edges of a coarse cell, mm."""
    h = np.asarray(spacing, dtype=np.float64)
    slopes = strain_slopes(h)
    return np.concatenate([slopes[:3], 2.0 * slopes[:3] ** 2, slopes[3:] ** 2, h])
