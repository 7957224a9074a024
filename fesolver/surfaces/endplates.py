"""The endplates of a vertebral body's surface: one disc-shaped patch of triangles each, and its plane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.imaging.endplates import ENDPLATE_TURN_DEG
from fesolver.surfaces.parts_topology import components, disc_patch, smooth_patch
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["EndplatePatch", "endplate_patches"]

_FREE_DROP_MM = 2.0
_DROP_RANGE_MM = 10.0
"""Below 2 mm under its plane a rim's gain falls, by 1 in 10 mm: where the rim runs out into a pedicle or the foot of a
transverse process without a turn (L5), the endplate ends by its depth. A choice: healthy concavity is 0.7 to 1.5 mm
(Wang et al. 2012), and a deeper one, being inside the rim, is filled."""

_SMOOTHING_MM = 1.0
_BORDER_COST_MM = 0.3
_LEAST_SPREAD_MM = 0.3
_MAX_TILT_DEG = 40.0
_MIN_AREA_MM2 = 100.0


@dataclass(frozen=True)
class EndplatePatch:
    """One endplate on a surface.

    Parameters
    ----------
    triangles : (m,) ndarray of bool
        Triangles of the surface that make it up: one piece without holes.
    centroid : (3,) ndarray
        Centroid of the patch's footprint in its plane, mm.
    normal : (3,) ndarray
        Unit normal of the fitted plane, out of the body.
    area_mm2 : float
        Area of the footprint in the plane.
    """

    triangles: NDArray[np.bool_]
    centroid: NDArray[np.float64]
    normal: NDArray[np.float64]
    area_mm2: float


def _smoothed_normals(surface: TriangleSurface, neighbours: NDArray[np.int64], length_mm: float) -> NDArray[np.float64]:
    """Unit normals averaged over neighbours within about `length_mm`."""
    vectors = surface.area_vectors
    edge = 1.52 * np.sqrt(float(np.median(surface.areas)))
    # A pass spreads by the distance of neighbouring centres, 0.58 edges: n passes by its square root of n fold.
    for _ in range(int(np.clip(round((length_mm / (0.58 * edge)) ** 2), 0, 50))):
        vectors = 0.25 * (vectors + vectors[neighbours].sum(axis=1))
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-300)[:, None])


def _plane(surface: TriangleSurface, patch: NDArray[np.bool_], axis: NDArray[np.float64]) -> EndplatePatch:
    """Plane through a patch by Tukey's biweight (4.685 robust standard deviations), each triangle by its footprint."""
    centers, vectors = surface.centers[patch], surface.area_vectors[patch]
    middle = np.average(centers, axis=0, weights=np.linalg.norm(vectors, axis=1))
    first = np.cross(axis, [0.0, 1.0, 0.0] if abs(axis[1]) < 0.9 else [1.0, 0.0, 0.0])
    first /= np.linalg.norm(first)
    rows = np.array([first, np.cross(axis, first), axis])
    local = (centers - middle) @ rows.T
    footprint = np.maximum(vectors @ axis, 0.0)
    design = np.column_stack([local[:, :2], np.ones(len(local))])
    weight, slopes = np.ones(len(local)), np.zeros(3)
    for _ in range(30):
        root = np.sqrt(weight * footprint)
        new = np.linalg.lstsq(design * root[:, None], local[:, 2] * root, rcond=None)[0]
        residual = local[:, 2] - design @ new
        spread = max(1.4826 * float(np.median(np.abs(residual))), _LEAST_SPREAD_MM)
        weight = np.clip(1.0 - (residual / (4.685 * spread)) ** 2, 0.0, None) ** 2
        if np.allclose(new, slopes, rtol=0, atol=1e-9):
            break
        slopes = new
    normal = np.array([-slopes[0], -slopes[1], 1.0])
    normal = normal / np.linalg.norm(normal) @ rows
    on_plane = middle + slopes[2] * axis
    share = vectors @ normal
    centroid = (share[:, None] * centers).sum(axis=0) / share.sum()
    return EndplatePatch(patch, centroid - normal * (normal @ (centroid - on_plane)), normal, float(share.sum()))


def _one_endplate(
    surface: TriangleSurface,
    neighbours: NDArray[np.int64],
    normals: NDArray[np.float64],
    allowed: NDArray[np.bool_],
    axis: NDArray[np.float64],
    where: str,
) -> EndplatePatch:
    """The patch facing along `axis`: the largest piece whose normals stay within the turn of its own plane's normal."""
    least = np.cos(np.deg2rad(ENDPLATE_TURN_DEG))
    areas = surface.areas
    normal, patch, drop = axis, np.zeros(len(allowed), dtype=np.bool_), np.zeros(len(allowed))
    for _ in range(20):
        facing = allowed & (normals @ normal > least)
        label = components(facing, neighbours)
        if not facing.any():
            break
        sizes = np.bincount(label[facing], weights=areas[facing])
        new = label == np.argmax(sizes)
        if np.array_equal(new, patch):
            break
        patch = new
        plane = _plane(surface, patch, axis)
        normal, drop = plane.normal, (plane.centroid - surface.centers) @ plane.normal
    near = allowed & (normals @ axis > 0)
    gain = normals @ normal - least - np.maximum(drop - _FREE_DROP_MM, 0.0) / _DROP_RANGE_MM
    cut = smooth_patch(gain, near, surface, neighbours, border_cost_mm=_BORDER_COST_MM)
    # Pieces elsewhere (the upper side of a process) are as good to the cut; the endplate is the one that was fitted.
    label = components(cut, neighbours)
    own = label[cut & patch]
    patch = disc_patch(np.isin(label, own[own >= 0]) & cut, surface, neighbours)
    if float(areas[patch].sum()) < _MIN_AREA_MM2:
        raise InputError(
            f"{where}: only {float(areas[patch].sum()):.0f} mm2 of the surface face along the body's axis as an "
            "endplate does",
            where=f"near {np.round(surface.centers[allowed].mean(axis=0), 1).tolist()} mm",
            fix="check the surface's axes and unit; a body needs an upper and a lower endplate",
        )
    return _plane(surface, patch, axis)


def endplate_patches(
    surface: TriangleSurface,
    neighbours: NDArray[np.int64],
    *,
    of_body: NDArray[np.bool_],
    middle: NDArray[np.float64],
    axis: NDArray[np.float64],
    where: str,
) -> tuple[EndplatePatch, EndplatePatch, NDArray[np.float64]]:
    """Superior and inferior endplate, and the axis through their centroids.

    Parameters
    ----------
    surface : TriangleSurface
        Closed.
    neighbours : (m, 3) ndarray of int64
        From `fesolver.surfaces.parts_topology.triangle_neighbours`.
    of_body : (m,) ndarray of bool
        Triangles of the body's surface; the rest belongs to posterior elements.
    middle : (3,) ndarray
        Centroid of the body, mm: endplates lie above and below it.
    axis : (3,) ndarray
        Roughly cranial unit vector to begin with.
    where : str
        Name for messages.

    Returns
    -------
    superior, inferior : EndplatePatch
    axis : (3,) ndarray
        Unit vector from the inferior to the superior centroid.

    Raises
    ------
    InputError
        If there is no endplate, it is no disc, or it stands more than 40 degrees off the body's axis.

    Notes
    -----
    An endplate is the largest connected piece of the body's surface whose (slightly smoothed) normals stay within 50
    degrees of the normal of the plane fitted to that same piece; the two are found in turn until they agree. Its border
    is then the one that gains most area within that angle at the least length (`smooth_patch`): a border of radius R
    moves to where the cosine has changed by 0.3 mm / R, less than a degree on a vertebra.
    """
    normals = _smoothed_normals(surface, neighbours, _SMOOTHING_MM)
    height = surface.centers - middle
    axis = axis / np.linalg.norm(axis)
    for _ in range(8):
        plates = [
            _one_endplate(surface, neighbours, normals, of_body & (sign * height @ axis > 0), sign * axis, where)
            for sign in (1.0, -1.0)
        ]
        new = plates[0].centroid - plates[1].centroid
        new /= np.linalg.norm(new)
        turn = float(np.linalg.norm(np.cross(axis, new)))
        axis = new
        if turn < 1e-3:
            break
    for name, plate, sign in (("superior", plates[0], 1.0), ("inferior", plates[1], -1.0)):
        tilt = float(np.rad2deg(np.arccos(np.clip(sign * plate.normal @ axis, -1.0, 1.0))))
        if tilt > _MAX_TILT_DEG:
            raise InputError(
                f"{where}: its {name} endplate stands {tilt:.0f} degrees off the body's axis",
                where=f"near {np.round(plate.centroid, 1).tolist()} mm",
                fix="the surface is cut, merged or severely deformed there: inspect it",
            )
    return plates[0], plates[1], axis
