"""Where the points of a surface go when layers of given thickness are laid below it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.surfaces.surface import TriangleSurface

__all__ = ["inward_moves"]

_FARTHEST = 2.0
"""Longest move over the thickness: three planes at right angles need 1.73; sharper corners get less."""
_DAMPING, _SWEEPS = 0.01, 3


def inward_moves(
    points: NDArray[np.float64], triangles: NDArray[np.int64], kind: NDArray[np.int8], depth: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Way of every point of a surface to where layers of a given thickness below it end.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm.
    triangles : (m, 3) ndarray of int64
        Closed surface, normals outward.
    kind : (m,) ndarray of int8
        As `VertebraSurface.kind`.
    depth : (4,) ndarray
        Thickness of the layer of each kind, mm.

    Returns
    -------
    (n, 3) ndarray
        mm; 0 where a point stays: next to a kind without a layer, and where no triangle has it.

    Notes
    -----
    The d that brings the planes of a point's triangles inward by their thickness in the least-squares sense,
    n_i d = -t_i, weighted by the angles at the point and alike for each kind; by iterated Tikhonov regularisation, so
    that it does not slide along a flat surface [1]_, and by twice the thickness at most.

    References
    ----------
    .. [1] P. C. Hansen, *Rank-Deficient and Discrete Ill-Posed Problems*, SIAM, 1998, chapter 5.
    """
    normals, n = TriangleSurface(points, triangles).normals, len(points)
    weight = np.zeros((n, 4))
    corner = _angles(points, triangles)
    np.add.at(weight, (triangles, kind[:, None]), corner)
    share = corner / weight[triangles, kind[:, None]]
    A, b = np.zeros((n, 3, 3)), np.zeros((n, 3))
    np.add.at(A, triangles, share[..., None, None] * (normals[:, :, None] * normals[:, None])[:, None])
    np.add.at(b, triangles, -(share * depth[kind][:, None])[..., None] * normals[:, None])
    trace = np.maximum(np.trace(A, axis1=1, axis2=2), 1.0)
    inverse = np.linalg.inv(A + (_DAMPING * trace)[:, None, None] * np.eye(3))
    d = np.zeros((n, 3))
    for _ in range(_SWEEPS):
        d += np.einsum("nij,nj->ni", inverse, b - np.einsum("nij,nj->ni", A, d))
    length = np.linalg.norm(d, axis=1)
    most = _FARTHEST * np.max(np.where(weight > 0.0, depth, 0.0), axis=1)
    d *= np.minimum(1.0, most / np.maximum(length, 1e-300))[:, None]
    d[np.any((weight > 0.0) & (depth == 0.0), axis=1)] = 0.0
    return d


def _angles(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """Angles of triangles at their corners, (m, 3)."""
    x = points[triangles]
    along, back = np.roll(x, -1, axis=1) - x, np.roll(x, 1, axis=1) - x
    cross = np.linalg.norm(np.cross(along, back), axis=2)
    return np.asarray(np.arctan2(cross, np.sum(along * back, axis=2)) + 1e-12)
