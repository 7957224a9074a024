"""How far places are from a triangle surface, where they are closest to it, and on which side they lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.errors import InputError
from fesolver.surfaces.closest_kernels import CORNER, EDGE, FACE, build_tree, closest_on_triangles
from fesolver.surfaces.half_edges import open_edges
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["Closest", "ClosestPoint"]


@dataclass(frozen=True)
class Closest:
    """Closest points of a surface to some places.

    Parameters
    ----------
    points : (n, 3) ndarray
        On the surface, mm; NaN where no triangle may count.
    distances : (n,) ndarray
        From the places, mm, not negative; infinite where no triangle may count.
    triangles : (n,) ndarray of int64
        The triangle each point lies on, -1 where none may count.
    places : (n, 3) ndarray
        Barycentric coordinates in that triangle.
    features : (n,) ndarray of int64
        0, 1, 2: that corner of the triangle; 3, 4, 5: the edge from that corner (less 3) to the next; 6: inside it.
    """

    points: NDArray[np.float64]
    distances: NDArray[np.float64]
    triangles: NDArray[np.int64]
    places: NDArray[np.float64]
    features: NDArray[np.int64]


@dataclass(frozen=True)
class ClosestPoint:
    """Closest points on one surface, for as many places as asked.

    Parameters
    ----------
    surface : TriangleSurface
        Any triangles; only `depth` needs them closed.

    Raises
    ------
    InputError
        If the surface has no triangle.

    Notes
    -----
    A binary tree of boxes is made at the first question and kept. Answers do not depend on the number of threads.

    Examples
    --------
    >>> corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    >>> solid = TriangleSurface(corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]))
    >>> closest = ClosestPoint(solid)
    >>> closest([[0.2, 0.2, -1.0]]).points
    array([[0.2, 0.2, 0. ]])
    >>> closest.depth([[0.2, 0.2, -1.0], [0.2, 0.2, 0.1]])
    array([-1. ,  0.1])
    """

    surface: TriangleSurface

    def __post_init__(self) -> None:
        if len(self.surface.triangles) == 0:
            raise InputError("a surface without triangles has no closest point")

    @cached_property
    def _corners(self) -> NDArray[np.float64]:
        """Corners of every triangle, (m, 3, 3)."""
        return np.ascontiguousarray(self.surface.points[self.surface.triangles])

    @cached_property
    def _normals(self) -> NDArray[np.float64]:
        """Unit normals of the triangles, (m, 3)."""
        return self.surface.normals

    @cached_property
    def _tree(self) -> tuple[NDArray[np.generic], ...]:
        """Boxes of the triangles."""
        return tuple(build_tree(self._corners))

    @cached_property
    def _pseudonormals(self) -> NDArray[np.float64]:
        """Directions that tell the sides apart at the corners, edges and inside of every triangle, (m, 7, 3)."""
        triangles, normals = self.surface.triangles, self._normals
        ahead = np.roll(self._corners, -1, axis=1) - self._corners
        ahead /= np.maximum(np.linalg.norm(ahead, axis=2, keepdims=True), 1e-300)
        cosine = -np.einsum("mki,mki->mk", ahead, np.roll(ahead, 1, axis=1))
        angle = np.arccos(np.clip(cosine, -1.0, 1.0))
        at_points = np.zeros_like(self.surface.points)
        np.add.at(at_points, triangles, angle[:, :, None] * normals[:, None, :])
        ends = np.sort(np.stack([triangles, np.roll(triangles, -1, axis=1)], axis=-1), axis=-1).reshape(-1, 2)
        _, edge = np.unique(ends @ np.array([len(self.surface.points), 1]), return_inverse=True)
        at_edges = np.zeros((int(edge.max()) + 1, 3))
        np.add.at(at_edges, edge, np.repeat(normals, 3, axis=0))
        out = np.empty((len(triangles), 7, 3))
        out[:, CORNER:EDGE] = at_points[triangles]
        out[:, EDGE:FACE] = at_edges[edge].reshape(-1, 3, 3)
        out[:, FACE] = normals
        return out

    def __call__(
        self, points: ArrayLike, *, directions: NDArray[np.float64] | None = None, least: float = 0.0
    ) -> Closest:
        """Closest points of the surface.

        Parameters
        ----------
        points : (n, 3) array_like
            Places, mm, in the surface's frame.
        directions : (n, 3) ndarray, optional
            Only triangles whose unit normal has a product of more than `least` with the place's direction count: a
            thin wall's far side is left out.
        least : float
            See `directions`.

        Returns
        -------
        Closest

        Raises
        ------
        InputError
            If `points` is not (n, 3) and finite, or `directions` has another shape.
        """
        at = np.ascontiguousarray(points, dtype=np.float64)
        if at.ndim != 2 or at.shape[1] != 3 or not np.isfinite(at).all():
            raise InputError(f"places must be finite and of shape (n, 3), got {at.shape}")
        if directions is not None and directions.shape != at.shape:
            raise InputError(f"directions have shape {directions.shape}, places {at.shape}")
        along = np.empty((0, 3)) if directions is None else np.ascontiguousarray(directions, dtype=np.float64)
        places, ids, features = closest_on_triangles(at, along, least, self._corners, self._normals, *self._tree)
        on = np.einsum("nk,nki->ni", places, self._corners[ids])
        on[ids < 0] = np.nan
        distances = np.where(ids < 0, np.inf, np.linalg.norm(at - on, axis=1))
        return Closest(on, distances, ids, places, features)

    def depth(self, points: ArrayLike) -> NDArray[np.float64]:
        """Distance of places below a closed surface, mm: positive inside, negative outside.

        Parameters
        ----------
        points : (n, 3) array_like
            Places, mm, in the surface's frame.

        Returns
        -------
        (n,) ndarray
            Shortest distance to the surface with its sign.

        Raises
        ------
        InputError
            If the surface has an open edge, or `points` is not (n, 3) and finite.

        Notes
        -----
        The side is that of the normal at the closest point; on edges the sum of both triangles' normals, at corners
        the sum of normals weighted by the triangles' angles, which is right wherever the closest point lies [1]_.

        References
        ----------
        .. [1] J. A. Baerentzen, H. Aanaes, Signed distance computation using the angle weighted pseudonormal, IEEE
           Trans. Vis. Comput. Graph. 11(3), 2005, 243-253.
        """
        if not self._is_closed:
            raise InputError("only a closed surface has an inside", fix="close the surface's holes first")
        found = self(points)
        side = self._pseudonormals[found.triangles, found.features]
        outwards = np.einsum("ni,ni->n", np.asarray(points, dtype=np.float64) - found.points, side)
        return np.asarray(np.where(outwards > 0.0, -found.distances, found.distances))

    @cached_property
    def _is_closed(self) -> bool:
        """Whether every edge has its two triangles."""
        return len(open_edges(self.surface.triangles)) == 0
