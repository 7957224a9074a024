"""The plane between body and posterior elements of a vertebra's surface, and what lies in front of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fesolver.errors import InputError
from fesolver.imaging.canal import Canal, cut_at_canal, find_canal
from fesolver.imaging.canal_kernels import cast_shadow
from fesolver.surfaces.parts_kernels import fill_lattice
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["BodyCut", "find_body_cut", "lattice_inside", "solid_in_front"]

_LEFT, _POSTERIOR, _CRANIAL = np.eye(3)
_PIXEL_MM = 1.05
_FINE_STEP_MM = 0.5
_MIN_SOLIDITY = 0.75
"""Of a body alone; both endplates dished by 6 mm still leave 0.84, a whole vertebra has less than half."""
_MIN_BODY_SHARE = 0.4
_MAX_TURN_DEG = 40.0
_WALL_SEARCH_MM = 2.5
_WALL_WIDTH = 0.7
_OFFSET = (0.4142135, 0.3141592, 0.2718281)
"""Where the lattice begins within one step: no ray runs along edges of a surface made on round numbers."""


@dataclass(frozen=True)
class BodyCut:
    """Where a vertebra is cut through its pedicles.

    Parameters
    ----------
    point : (3,) ndarray
        On the plane, at the middle of the canal's front wall, mm.
    normal : (3,) ndarray
        Unit normal, from the body towards the canal.
    canal : Canal
        The hole that was found.
    """

    point: NDArray[np.float64]
    normal: NDArray[np.float64]
    canal: Canal

    def is_behind(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Places (k, 3) behind the plane, (k,)."""
        return np.asarray((points - self.point) @ self.normal > 0)


def lattice_inside(surface: TriangleSurface, step_mm: float = 1.0) -> NDArray[np.float64]:
    """Places of a cubic lattice that lie inside a closed surface.

    Parameters
    ----------
    surface : TriangleSurface
        Closed.
    step_mm : float, optional
        Distance of neighbouring places, mm.

    Returns
    -------
    (n, 3) ndarray
        In the surface's frame, mm; each stands for `step_mm` cubed.

    Raises
    ------
    InputError
        If a ray enters the surface and does not leave it.

    Examples
    --------
    >>> corners = 10 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=float)
    >>> tetrahedron = TriangleSurface(corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]]))
    >>> bool(abs(len(lattice_inside(tetrahedron, 0.25)) * 0.25**3 / tetrahedron.volume - 1) < 0.01)
    True
    """
    low = surface.points.min(axis=0) - step_mm * (1.0 + np.array(_OFFSET))
    shape = tuple(int(n) for n in np.ceil((surface.points.max(axis=0) - low) / step_mm) + 2)
    inside = fill_lattice(surface.points, surface.triangles, low, step_mm, shape)
    leaking = np.argwhere(inside[:, :, -1])
    if len(leaking):
        x, y = np.round(low[:2] + leaking[0] * step_mm, 1)
        raise InputError(
            f"the surface is not closed: {len(leaking)} of its vertical rays enter it and do not leave",
            where=f"first at x = {x}, y = {y} mm",
            fix="check the surface for holes and repair it",
        )
    return np.asarray(low + np.argwhere(inside) * step_mm)


def _refined_canal(surface: TriangleSurface, canal: Canal) -> Canal:
    """The hole along the same axis on a raster of half a millimetre: its middle says where the canal lies."""
    axis = canal.axis
    first = _LEFT - axis * (axis @ _LEFT)
    first /= np.linalg.norm(first)
    across = np.array([first, np.cross(axis, first)])
    pixel = _PIXEL_MM * _FINE_STEP_MM
    shadow, low = cast_shadow(lattice_inside(surface, _FINE_STEP_MM), across, pixel)
    holes, _ = ndimage.label(~shadow)
    sizes = np.bincount(holes.ravel())
    sizes[[0, holes[0, 0]]] = 0
    pixels = np.argwhere(holes == np.argmax(sizes))
    outline = (low + (pixels + 0.5) * pixel) @ across + axis * float(canal.outline.mean(axis=0) @ axis)
    return Canal(axis, len(pixels) * pixel**2, outline)


def _refined_on_wall(surface: TriangleSurface, cut: BodyCut) -> BodyCut:
    """The same plane moved to touch the front wall's hindmost point: the canal's raster knows it to half a pixel."""
    side = np.cross(cut.canal.axis, cut.normal)
    across = (cut.canal.outline - cut.point) @ side
    low, high = np.quantile(across, (0.5 - 0.5 * _WALL_WIDTH, 0.5 + 0.5 * _WALL_WIDTH))
    faces_canal = surface.normals @ cut.normal > 0.5
    corners = surface.points[np.unique(surface.triangles[faces_canal])] - cut.point
    along, depth = corners @ side, corners @ cut.normal
    wall = (along >= low) & (along <= high) & (np.abs(depth) < _WALL_SEARCH_MM)
    if not wall.any():
        return cut
    middle = side * (0.5 * (low + high))
    return BodyCut(cut.point + middle + cut.normal * float(depth[wall].max()), cut.normal, cut.canal)


def _check_cut(level: str, inside: NDArray[np.float64], cut: BodyCut) -> None:
    """Raise where the canal does not lie behind the body, as the surface's axes say."""
    place = f"near {np.round(inside.mean(axis=0), 1).tolist()} mm"
    fix = "the surface's axes are named wrongly (which is anterior, left, superior), or it lies turned"
    behind = np.cross(cut.canal.axis, _LEFT - cut.canal.axis * (cut.canal.axis @ _LEFT))
    angle = float(np.rad2deg(np.arccos(np.clip(cut.normal @ behind / np.linalg.norm(behind), -1.0, 1.0))))
    share = 1.0 - float(np.mean(cut.is_behind(inside)))
    if angle > _MAX_TURN_DEG:
        raise InputError(
            f"{level}: its canal lies {angle:.0f} degrees off the posterior direction", where=place, fix=fix
        )
    if share < _MIN_BODY_SHARE:
        raise InputError(
            f"{level}: only {100 * share:.0f} % of the vertebra lie in front of its canal, a body is more than half",
            where=place,
            fix=fix,
        )


def find_body_cut(surface: TriangleSurface, level: str, inside: NDArray[np.float64]) -> BodyCut | None:
    """Plane through the pedicles along the canal's front wall.

    Parameters
    ----------
    surface : TriangleSurface
        A whole closed vertebra; x left, y posterior, z superior within about 30 degrees.
    level : str
        Name for messages.
    inside : (n, 3) ndarray
        Places of `lattice_inside`, 1 mm apart.

    Returns
    -------
    BodyCut or None
        None for a body alone.

    Raises
    ------
    InputError
        If there is neither a canal nor the shape of a body alone, or the canal is not behind the body.

    Notes
    -----
    The canal is the largest hole that can be seen through (`fesolver.imaging.canal`). The plane runs along its axis and
    touches the hindmost place of its front wall, so that the whole posterior wall stays with the body; what lies
    behind it is posterior element. A transverse process that leaves the body itself (L5) keeps the foot in front of the
    plane with the body.
    """
    # A ring of bone is a handle of its surface; what can be seen through without one is no canal.
    handles = 1.0 - 0.5 * (len(np.unique(surface.triangles)) - 0.5 * len(surface.triangles))
    canal = find_canal(inside, up=_CRANIAL, lateral=_LEFT, pixel=_PIXEL_MM) if handles > 0 else None
    if canal is None:
        from scipy.spatial import ConvexHull

        solidity = surface.volume / float(ConvexHull(surface.points).volume)
        if solidity >= _MIN_SOLIDITY:
            return None
        raise InputError(
            f"{level}: it has no closed canal, and the surface is no body alone either (it fills "
            f"{100 * solidity:.0f} % of its convex hull; a body fills {100 * _MIN_SOLIDITY:.0f} % or more)",
            where=f"near {np.round(inside.mean(axis=0), 1).tolist()} mm",
            fix="close the arch of the surface, or give the body alone",
        )
    canal = _refined_canal(surface, canal)
    plane = cut_at_canal(inside, canal, posterior=_POSTERIOR)
    cut = _refined_on_wall(surface, BodyCut(plane.point, plane.normal, canal))
    _check_cut(level, inside, cut)
    return cut


def solid_in_front(surface: TriangleSurface, cut: BodyCut | None) -> tuple[float, NDArray[np.float64]]:
    """Volume (mm3) and centroid (3,) of the part of a closed surface's solid in front of a cut.

    Parameters
    ----------
    surface : TriangleSurface
        Closed.
    cut : BodyCut or None
        None for the whole solid.

    Returns
    -------
    volume : float
        mm3.
    centroid : (3,) ndarray
        mm.

    Notes
    -----
    Exact: every triangle is clipped at the plane and spans a signed tetrahedron with an apex on it, so the face left by
    the cut has no volume of its own.
    """
    if cut is None:
        return surface.volume, surface.centroid
    depth = (surface.points - cut.point) @ cut.normal
    corners = surface.points[surface.triangles] - cut.point
    pieces = _clipped(corners, depth[surface.triangles])
    volumes = np.sum(pieces[:, 0] * np.cross(pieces[:, 1], pieces[:, 2]), axis=1) / 6.0
    total = float(volumes.sum())
    return total, np.asarray(cut.point + (volumes[:, None] * pieces.sum(axis=1)).sum(axis=0) / (4.0 * total))


def _clipped(corners: NDArray[np.float64], depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Triangles (k, 3, 3) that tile the parts of triangles (m, 3, 3) where depth (m, 3) is not positive."""
    front = depth <= 0
    count = front.sum(axis=1)
    pieces = [corners[count == 3]]
    for lone_is_front in (True, False):
        chosen = count == (1 if lone_is_front else 2)
        # The corner alone on its side comes first.
        first = np.argmax(front[chosen] == lone_is_front, axis=1)
        order = (first[:, None] + np.arange(3)) % 3
        p = np.take_along_axis(corners[chosen], order[:, :, None], axis=1)
        d = np.take_along_axis(depth[chosen], order, axis=1)
        cut = [p[:, 0] + (d[:, 0] / (d[:, 0] - d[:, k]))[:, None] * (p[:, k] - p[:, 0]) for k in (1, 2)]
        if lone_is_front:
            pieces.append(np.stack([p[:, 0], cut[0], cut[1]], axis=1))
        else:
            pieces.append(np.stack([cut[0], p[:, 1], p[:, 2]], axis=1))
            pieces.append(np.stack([cut[0], p[:, 2], cut[1]], axis=1))
    return np.concatenate(pieces)
