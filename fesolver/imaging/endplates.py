"""Endplate planes from where rays along the body's axis leave the smoothed label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fesolver.errors import InputError

__all__ = ["ENDPLATE_TURN_DEG", "Endplate", "fit_endplates"]

ENDPLATE_TURN_DEG = 50.0
"""How far the surface may turn from the fitted plane's normal and be endplate still, on every kind of mesh; a choice.

On rounded rims pads end there: on a CT of L3, 10 degrees more or less are 8 % of the stiffness between pads.
"""

_RAYS_MM = (2.0, 1.0)
"""Distance of rays while the axis is sought, and at the end."""

_STEP_MM = 0.75
_CORE_DEPTH = 0.15
"""Rays closer to the footprint's edge than this part of its inscribed radius belong to the rim (osteophytes)."""

_TERRACE = 0.4
"""Least robust standard deviation, in voxels: a tilted endplate comes as terraces one voxel high (sd 0.29), and a
tighter fit would take one terrace for the plate and the next for outliers."""

_CONCAVITY_MM = 4.0
"""An endplate's surface lies within this distance of its plane; real concavities are 0.7 to 1.5 mm on average
(Wang et al. 2012, PMC3481085), up to 4 mm in osteoporosis."""


@dataclass(frozen=True)
class Endplate:
    """A fitted endplate.

    Parameters
    ----------
    centroid : (3,) ndarray
        Centroid of the footprint, on the plane, mm.
    normal : (3,) ndarray
        Unit normal out of the body.
    area_mm2 : float
        Area of the footprint in the plane.
    """

    centroid: NDArray[np.float64]
    normal: NDArray[np.float64]
    area_mm2: float


def _robust_plane(uv: NDArray[np.float64], w: NDArray[np.float64], least_scale: float) -> NDArray[np.float64]:
    """Coefficients of w = a u + b v + c by Tukey's biweight (4.685 robust standard deviations)."""
    design = np.column_stack([uv, np.ones(len(uv))])
    weight = np.ones(len(w))
    plane = np.zeros(3)
    for _ in range(12):
        root = np.sqrt(weight)
        new = np.linalg.lstsq(design * root[:, None], w * root, rcond=None)[0]
        residual = w - design @ new
        scale = max(1.4826 * float(np.median(np.abs(residual))), least_scale)
        weight = np.clip(1.0 - (residual / (4.685 * scale)) ** 2, 0.0, None) ** 2
        if np.allclose(new, plane, rtol=0, atol=1e-6):
            break
        plane = new
    return np.asarray(new)


def _exits(
    field: NDArray[np.float64], heights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest zero of the field along each ray, nan where it is never positive, and the length inside."""
    inside = field > 0
    n = len(heights)
    hit = inside.any(axis=-1)
    top = n - 1 - np.argmax(inside[..., ::-1], axis=-1)
    low = np.argmax(inside, axis=-1)
    step = heights[1] - heights[0]

    def crossing(at: NDArray[np.int64], towards: int) -> NDArray[np.float64]:
        beyond = np.clip(at + towards, 0, n - 1)
        f0 = np.take_along_axis(field, at[..., None], axis=-1)[..., 0]
        f1 = np.take_along_axis(field, beyond[..., None], axis=-1)[..., 0]
        span = np.where(f0 > f1, f0 - f1, 1.0)
        return np.where(hit, heights[at] + towards * step * np.clip(f0 / span, 0.0, 1.0), np.nan)

    return crossing(low, -1), crossing(top, 1), inside.sum(axis=-1) * step


def _fit_once(
    body: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    points: NDArray[np.float64],
    axis: NDArray[np.float64],
    left: NDArray[np.float64],
    voxel_mm: float,
    where: str,
    ray: float,
) -> tuple[Endplate, Endplate]:
    """Both endplates with rays along `axis`."""
    x = left - axis * (left @ axis)
    x /= np.linalg.norm(x)
    rows = np.array([x, np.cross(axis, x), axis])
    center = points.mean(axis=0)
    local = (points - center) @ rows.T
    low, high = local.min(axis=0) - 3.0, local.max(axis=0) + 3.0
    u, v = (np.arange(low[i], high[i] + ray, ray) for i in (0, 1))
    heights = np.arange(low[2], high[2] + _STEP_MM, _STEP_MM)
    grid = np.stack(np.meshgrid(u, v, heights, indexing="ij"), axis=-1)
    bottom, top, length = _exits(body(grid @ rows + center), heights)

    footprint = length > 0.5 * np.median(length[length > 0.25 * length.max()])
    depth = ndimage.distance_transform_edt(np.pad(footprint, 1))[1:-1, 1:-1]
    core = depth > _CORE_DEPTH * depth.max()
    if core.sum() < 20:
        raise InputError(
            f"{where}: the body's footprint is too small for an endplate ({int(core.sum())} mm2 of core)",
            where=f"near {np.round(center, 1).tolist()} mm (LPS)",
            fix="the label is a sliver or cut: choose other levels or repair it",
        )
    uv = np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1)
    plates = []
    for surface, sign in ((top, 1.0), (bottom, -1.0)):
        plane = _robust_plane(uv[core], surface[core], _TERRACE * voxel_mm)
        fitted = uv @ plane[:2] + plane[2]
        plate = (length > 0) & (np.abs(np.nan_to_num(surface, nan=1e9) - fitted) < _CONCAVITY_MM)
        parts, _ = ndimage.label(plate)
        largest = int(np.argmax(np.bincount(parts[parts > 0], minlength=2)))
        plate = parts == largest
        slope = float(np.sqrt(1.0 + plane[0] ** 2 + plane[1] ** 2))
        middle = uv[plate].mean(axis=0)
        centroid = np.array([*middle, middle @ plane[:2] + plane[2]]) @ rows + center
        normal = sign * np.array([-plane[0], -plane[1], 1.0]) / slope @ rows
        plates.append(Endplate(centroid, normal, float(plate.sum()) * ray**2 * slope))
    return plates[0], plates[1]


def fit_endplates(
    body: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    points: NDArray[np.float64],
    *,
    axis: NDArray[np.float64],
    left: NDArray[np.float64],
    voxel_mm: float,
    where: str,
) -> tuple[Endplate, Endplate, NDArray[np.float64]]:
    """Superior and inferior endplate of one vertebral body, and the axis through their centroids.

    Parameters
    ----------
    body : callable
        Field over LPS+ mm points (..., 3): positive inside the body, zero on its surface.
    points : (n, 3) ndarray
        Points that fill the body, LPS+ mm.
    axis : (3,) ndarray
        Roughly cranial unit vector to begin with.
    left : (3,) ndarray
        Roughly left unit vector.
    voxel_mm : float
        Edge of the source's voxels along the axis.
    where : str
        Name for messages.

    Returns
    -------
    superior, inferior : Endplate
    axis : (3,) ndarray
        Unit vector from the inferior to the superior centroid; the rays ran along it.

    Raises
    ------
    InputError
        If the body has no core to fit, or its endplates stand more than 40 degrees off its axis.

    Notes
    -----
    Rays along the axis leave the body at the half level of its smoothed indicator, found between samples, so a plane
    through the exits is not quantised by voxels: voxel tops give one healthy L1 of the shared data a wedge of 12.7
    degrees. Only rays of the footprint's core count (its rim carries osteophytes), with Tukey's biweight whose
    scale is never below a voxel's terraces; the axis is then set through both centroids and the fit repeated
    until it stands.
    """
    axis = axis / np.linalg.norm(axis)
    superior, inferior = _fit_once(body, points, axis, left, voxel_mm, where, _RAYS_MM[0])
    ray = _RAYS_MM[0]
    for _ in range(12):
        new = superior.centroid - inferior.centroid
        new /= np.linalg.norm(new)
        turn = float(np.arccos(np.clip(new @ axis, -1.0, 1.0)))
        # Half steps once near: the footprints' raster makes full ones hunt about the fixed point.
        axis = new if turn > np.deg2rad(2.0) else (new + axis) / np.linalg.norm(new + axis)
        if turn < np.deg2rad(0.2) and ray == _RAYS_MM[1]:
            break
        if turn < np.deg2rad(1.0):
            ray = _RAYS_MM[1]
        superior, inferior = _fit_once(body, points, axis, left, voxel_mm, where, ray)
    for name, plate, sign in (("superior", superior, 1.0), ("inferior", inferior, -1.0)):
        tilt = float(np.rad2deg(np.arccos(np.clip(sign * plate.normal @ axis, -1.0, 1.0))))
        if tilt > 40.0:
            raise InputError(
                f"{where}: its {name} endplate stands {tilt:.0f} degrees off the body's axis",
                where=f"near {np.round(plate.centroid, 1).tolist()} mm (LPS)",
                fix="the label is cut, merged or severely deformed there: inspect it",
            )
    return superior, inferior, axis
