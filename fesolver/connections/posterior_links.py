"""How places on the arch and its processes follow a vertebra: in their own cells, or rigidly behind the pedicles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.anatomy.dimensions import VertebraDimensions
from fesolver.errors import InputError
from fesolver.fem.attachments import Attachment, couple, embed
from fesolver.meshing.spine_mesh import SpineMesh

__all__ = ["PedicleFootprint", "pedicle_footprint", "pedicle_patch", "posterior_attachment", "posterior_attachments"]

_POSTERIOR_COSINE = 0.3
"""Least posterior part of the normal of a facet that a pedicle may stand on."""
_WIDENINGS = (1.0, 1.3, 1.7, 2.2)
"""Factors on the ellipse, tried in turn, so that coarse meshes find points too."""
_FEWEST = 4
"""Points per pedicle: enough for a patch with a width and a height."""
_NEAR_MM = 8.0
"""A place this near to posterior cells belongs to them: half a joint is 1 mm off the bone's facet, and the ends of a
facet hang up to 6 mm over the processes of parametric arches."""


@dataclass(frozen=True)
class PedicleFootprint:
    """Two ellipses on the posterior wall, seen from behind, in the body frame.

    Parameters
    ----------
    lateral_mm, height_mm : float
        Centre: distance from the mid-sagittal plane, and z.
    half_width_mm, half_height_mm : float
        Semi-axes along x and z.
    """

    lateral_mm: float
    height_mm: float
    half_width_mm: float
    half_height_mm: float


def pedicle_footprint(dimensions: VertebraDimensions) -> PedicleFootprint:
    """Footprint of the pedicles of `fesolver.anatomy.posterior`: upper half of the body, clear of the endplate.

    Examples
    --------
    >>> from fesolver.anatomy.dimensions import vertebra_dimensions
    >>> pedicle_footprint(vertebra_dimensions("L1")).lateral_mm
    15.25
    """
    d = dimensions
    height = min(d.pedicle_height_mm, 0.6 * d.posterior_height_mm)
    top = 0.5 * min(d.posterior_height_mm, d.mid_height_mm) - 2.5
    lateral = 0.5 * (d.canal_width_mm + d.pedicle_width_mm)
    return PedicleFootprint(lateral, top - 0.5 * height, 0.5 * d.pedicle_width_mm, 0.5 * height)


def pedicle_patch(mesh: SpineMesh, level: str, footprint: PedicleFootprint | None = None) -> NDArray[np.int64]:
    """Points of the body's posterior wall that the pedicles stand on.

    Parameters
    ----------
    mesh : SpineMesh
        Of any kind, with surface `L1/outer` and the level's frame.
    level : str
        Vertebral level.
    footprint : PedicleFootprint, optional
        By default in proportion to the body's own width and height as in the published L1: centre at 0.36 of the width
        and 0.09 of the height above the centre, 0.20 of the width wide and 0.60 of the height high.

    Returns
    -------
    (k,) ndarray of int64
        Ascending point ids, at least four on either side.

    Raises
    ------
    InputError
        If the level has no outer surface or frame, or too few points stand where the pedicles are.

    Notes
    -----
    Where fewer than four points of a side lie in the ellipse it is widened, up to 2.2 times, for both sides.
    """
    surface = mesh.surfaces.get(f"{level}/outer")
    if surface is None or level not in mesh.frames:
        raise InputError(f"the mesh has no surface {level}/outer to find the pedicles on", where=level)
    frame = mesh.frames[level]
    is_behind = frame.vectors_to_local(surface.normals)[:, 1] > _POSTERIOR_COSINE
    ids = np.unique(surface.facets[is_behind])
    x, y, z = frame.to_local(mesh.points[ids]).T
    if footprint is None:
        every = frame.to_local(mesh.points[np.unique(surface.facets)])
        width, height = np.ptp(every[:, 0]), np.ptp(every[:, 2])
        footprint = PedicleFootprint(0.36 * width, 0.09 * height, 0.10 * width, 0.30 * height)
    f = footprint
    for factor in _WIDENINGS:
        across = (np.abs(x) - f.lateral_mm) / (factor * f.half_width_mm)
        inside = (np.hypot(across, (z - f.height_mm) / (factor * f.half_height_mm)) <= 1.0) & (y > 0.0)
        if min(np.sum(inside & (x > 0.0)), np.sum(inside & (x < 0.0))) >= _FEWEST:
            return np.asarray(ids[inside])
    raise InputError(
        f"only {int(np.sum(inside))} points of the posterior wall lie where the pedicles of {level} stand",
        where=f"{level}, {f.lateral_mm:.1f} mm left and right of the middle, z = {f.height_mm:.1f} mm in its frame",
        fix="refine the mesh, or give a footprint",
    )


def posterior_attachments(
    mesh: SpineMesh,
    level: str,
    places: ArrayLike,
    *,
    footprints: Mapping[str, PedicleFootprint] | None = None,
    tolerance_mm: float = _NEAR_MM,
) -> tuple[Attachment, ...]:
    """Attach places on the posterior elements of one level.

    Parameters
    ----------
    mesh : SpineMesh
        Of any kind.
    level : str
        Whose arch or process they are on.
    places : (k, 3) array_like
        mm, in the mesh frame.
    footprints : mapping of str to PedicleFootprint, optional
        Level to where its pedicles stand; see `pedicle_patch`.
    tolerance_mm : float
        A place at most so far from cells of `L1/posterior` is embedded in them.

    Returns
    -------
    tuple of Attachment
        One per place. Without posterior cells near, the place follows the points under the pedicles: a rigid arch
        whose root follows their mean motion. Rigid motions are exact in both ways.

    Raises
    ------
    InputError
        If the level has no body to attach to.
    """
    at = np.atleast_2d(np.asarray(places, dtype=np.float64))
    out = _embedded(mesh, level, at, tolerance_mm)
    if any(found is None for found in out):
        patch = pedicle_patch(mesh, level, (footprints or {}).get(level))
        owners, shares = _behind(mesh, level, patch)
        for i in [i for i, found in enumerate(out) if found is None]:
            out[i] = couple(mesh.points, mesh.cells, mesh.element, patch, at[i], owners, weights=shares)
    return tuple(found for found in out if found is not None)


def posterior_attachment(mesh: SpineMesh, level: str, place: ArrayLike) -> Attachment:
    """Attach one place (3,) on the posterior elements of one level; see `posterior_attachments`."""
    return posterior_attachments(mesh, level, place)[0]


def _embedded(mesh: SpineMesh, level: str, places: NDArray[np.float64], tolerance_mm: float) -> list[Attachment | None]:
    """Places in the posterior cells of a level, None where there are none near."""
    region = mesh.regions.get(f"{level}/posterior")
    if region is None or not len(region.cells):
        return [None] * len(places)
    try:
        return list(
            embed(mesh.points, mesh.cells, mesh.element, places, cells_of=region.cells, tolerance_mm=tolerance_mm)
        )
    except InputError:  # one of them is farther away, and left to the pedicles
        if len(places) == 1:
            return [None]
    return [found for place in places for found in _embedded(mesh, level, place[None], tolerance_mm)]


def _behind(mesh: SpineMesh, level: str, patch: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A cell of the body behind each point of its wall, and the point's share of the wall's area, mm2."""
    surface = mesh.surfaces[f"{level}/outer"]
    n = surface.facets.shape[1]
    found, first, back = np.unique(surface.facets, return_index=True, return_inverse=True)
    share = np.bincount(back.ravel(), weights=np.repeat(surface.areas / n, n))
    at = np.searchsorted(found, patch)
    return np.asarray(surface.cells[first[at] // n], dtype=np.int64), np.asarray(share[at])
