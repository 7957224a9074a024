"""One named surface as its facets: centres, projected areas, displacements, rigid motion."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.fem.elements import FACET_OF_SIZE, FACETS
from fesolver.fem.facets import facet_chunks, facet_points
from fesolver.meshing.memo import Memo
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["FacetSurface", "RigidMotion", "axis_between", "fit_rigid_motion"]


@dataclass(frozen=True)
class RigidMotion:
    """A small rigid motion: u(x) = translation + rotation x (x - center).

    Parameters
    ----------
    center : (3,) ndarray
        Point the translation is given at, mm.
    translation : (3,) ndarray
        mm.
    rotation : (3,) ndarray
        Small rotations about x, y, z, rad.
    """

    center: NDArray[np.float64]
    translation: NDArray[np.float64]
    rotation: NDArray[np.float64]

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Displacement, mm, of points (..., 3)."""
        return self.translation + np.cross(self.rotation, points - self.center)


def fit_rigid_motion(points: NDArray[np.float64], u: NDArray[np.float64], weights: NDArray[np.float64]) -> RigidMotion:
    """Rigid motion nearest to given displacements, in the weighted least-squares sense.

    Parameters
    ----------
    points : (n, 3) ndarray
        Positions, mm.
    u : (n, 3) ndarray
        Displacements, mm.
    weights : (n,) ndarray
        Weight of each, not negative (an area, mm2).

    Returns
    -------
    RigidMotion
        About the weighted centroid of `points`.

    Raises
    ------
    InputError
        If the points lie on one line, so that a rotation is not determined.

    Notes
    -----
    With arms r from the weighted centroid the six normal equations fall apart: the translation is the weighted mean
    of u, and the rotation w solves (sum m (r.r I - r r^T)) w = sum m r x u. Small rotations.

    Examples
    --------
    >>> import numpy as np
    >>> corners = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
    >>> spin = np.cross([0.0, 0.0, 1e-3], corners)
    >>> fit_rigid_motion(corners, spin, np.ones(4)).rotation
    array([0.   , 0.   , 0.001])
    """
    mass = weights / weights.sum()
    center = mass @ points
    arms = points - center
    inertia = np.sum(mass * np.sum(arms**2, axis=1)) * np.eye(3) - np.einsum("n,ni,nj->ij", mass, arms, arms)
    if np.linalg.eigvalsh(inertia)[0] <= 1e-12 * np.trace(inertia):
        raise InputError(
            f"{len(points)} points on one line do not fix a rotation", where=f"around {np.round(center, 1).tolist()} mm"
        )
    translation = mass @ u
    moment = np.einsum("n,ni->i", mass, np.cross(arms, u - translation))
    return RigidMotion(center=center, translation=translation, rotation=np.linalg.solve(inertia, moment))


@dataclass(frozen=True, eq=False)
class FacetSurface:
    """Facets of a named surface seen along its mean normal.

    Parameters
    ----------
    name : str
        `L1/superior_endplate`, ...
    points : (n_points, 3) ndarray
        Points of the mesh, mm.
    facets : (m, 3, 4, 6 or 8) ndarray of int64
        Point ids, corners first.
    cells : (m,) ndarray of int64
        Cell behind each facet.
    facet_normals : (m, 3) ndarray
        Outward unit normals.
    areas : (m,) ndarray
        mm2.
    memo : Memo
        What has been worked out from the surface.
    """

    name: str
    points: NDArray[np.float64]
    facets: NDArray[np.int64]
    cells: NDArray[np.int64]
    facet_normals: NDArray[np.float64]
    areas: NDArray[np.float64]
    memo: Memo = field(default_factory=Memo, init=False, repr=False)

    @classmethod
    def of(cls, mesh: SpineMesh, name: str) -> FacetSurface:
        """Surface `name` of a mesh; raises `InputError` where the mesh has none or an empty one."""
        surface = mesh.surfaces.get(name)
        if surface is None or not len(surface.facets):
            raise InputError(
                f"the mesh has no surface {name!r}", where=f"surfaces {', '.join(sorted(mesh.surfaces)) or '(none)'}"
            )
        return mesh.memo.once(
            "facet surface",
            name,
            lambda: cls(name, mesh.points, surface.facets, surface.cells, surface.normals, surface.areas),
            sources=(surface,),
            size=len(mesh.surfaces),
        )

    @cached_property
    def point_ids(self) -> NDArray[np.int64]:
        """Points of the surface, ascending."""
        return np.unique(self.facets)

    @cached_property
    def normal(self) -> NDArray[np.float64]:
        """Mean outward unit normal, (3,): direction of the vector area, which stairs of voxels leave unchanged."""
        vector_area = self.areas @ self.facet_normals
        length = float(np.linalg.norm(vector_area))
        if length <= 1e-9 * float(self.areas.sum()):
            raise InputError(f"surface {self.name!r} is closed: it has no mean normal")
        return np.asarray(vector_area / length)

    @cached_property
    def node_weights(self) -> NDArray[np.float64]:
        """Part of each facet's area, seen along its own normal, that stands for each of its points, (m, k).

        The weights of a facet sum to 1, and their sum over values at its points is the mean of the interpolated values
        over its area: a quarter each on a parallelogram, on a quadratic one -1/12 at a corner and 1/3 at a mid-side.
        """
        out = np.empty(self.facets.shape)
        for some in facet_chunks(len(self.facets)):
            found = facet_points(self.points, self.facets[some])
            seen = np.einsum("mqi,mi->mq", found.areas, self.facet_normals[some])
            out[some] = np.einsum("mq,qk->mk", seen, found.shape) / seen.sum(axis=1)[:, None]
        return out

    @cached_property
    def borders(self) -> NDArray[np.int64]:
        """Point ids around each facet, (m, k): mid-sides stand between their corners."""
        n = FACETS[FACET_OF_SIZE[self.facets.shape[1]]].n_corners
        if n == self.facets.shape[1]:
            return self.facets
        return np.stack([self.facets[:, :n], self.facets[:, n:]], axis=2).reshape(len(self.facets), -1)

    @cached_property
    def centers(self) -> NDArray[np.float64]:
        """Facet centroids, mm, (m, 3)."""
        return self._means(self.points)

    @cached_property
    def projected_areas(self) -> NDArray[np.float64]:
        """Facet areas seen along the mean normal, mm2, (m,); zero for facets turned away."""
        return np.maximum(self.areas * (self.facet_normals @ self.normal), 0.0)

    @cached_property
    def centroid(self) -> NDArray[np.float64]:
        """Centroid over the projected area, mm, (3,)."""
        return np.asarray(self.projected_areas @ self.centers / self.projected_areas.sum())

    @property
    def area(self) -> float:
        """Projected area, mm2."""
        return float(self.projected_areas.sum())

    def plane_coordinates(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Coordinates (..., 2), mm, in the mean plane through the centroid."""
        seed = np.eye(3)[np.argmin(np.abs(self.normal))]
        first = np.cross(self.normal, seed)
        first /= np.linalg.norm(first)
        return np.asarray((points - self.centroid) @ np.stack([first, np.cross(self.normal, first)]).T)

    def displacement(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean displacement of each facet, mm, (m, 3), from point displacements (n_points, 3)."""
        return self._means(u)

    def rigid_motion(self, u: NDArray[np.float64]) -> RigidMotion:
        """Area-weighted least-squares rigid motion under point displacements (n_points, 3)."""
        return fit_rigid_motion(self.centers, self.displacement(u), self.projected_areas)

    def _means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean over each facet, (m, 3), of values at points (n_points, 3)."""
        return np.asarray(np.einsum("mk,mki->mi", self.node_weights, values[self.facets]))


def axis_between(lower: FacetSurface, upper: FacetSurface) -> tuple[NDArray[np.float64], float]:
    """Unit vector and distance, mm, from the centroid of one surface to that of another.

    Raises
    ------
    InputError
        If the centroids coincide.
    """
    span = upper.centroid - lower.centroid
    distance = float(np.linalg.norm(span))
    if distance == 0.0:
        raise InputError(f"{lower.name} and {upper.name} share one centroid: there is no axis between them")
    return span / distance, distance
