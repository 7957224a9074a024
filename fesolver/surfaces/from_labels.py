"""Closed surfaces of labelled voxels: smoothed, with the label's own volume."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fesolver.errors import InputError
from fesolver.imaging.volume import LabelVolume, Volume
from fesolver.surfaces.half_edges import triangle_groups
from fesolver.surfaces.marching_kernels import level_triangles
from fesolver.surfaces.remesh import remesh_surface
from fesolver.surfaces.surface import TriangleSurface

__all__ = ["KeptPart", "keep_largest_part", "level_surface", "surface_from_labels", "surface_from_mask"]

_SIGMA, _LEAST_SIGMA = 1.25, 0.6
"""Width of the filter by default and at least, in voxels along each axis; a choice between stairs that stand (below)
and thin parts that shrink (above)."""
_CORRECTIONS = 2
_STEP_PER_SIGMA = 0.75
_STEP_PER_EDGE = 1.0
"""Largest step of the lattice over the filter's width and over the wanted edges: the triangles cut out of the lattice
are smaller than those asked for."""
_REACH = 4.0
"""Where the filter ends, in its widths."""
_MOST_POINTS = 40_000_000
_STEPS = 25
_FIRST_STEP = 0.01
_LARGEST_PIECE = 0.02
_VOLUME_TOLERANCE = 1e-4

_log = logging.getLogger("fesolver")


@dataclass(frozen=True)
class KeptPart:
    """The largest connected part of a mask, as a solid.

    Parameters
    ----------
    mask : Volume
        Voxels of the part as bool, its cavities filled.
    dropped_parts, dropped_voxels : int
        Other parts, and their voxels.
    filled_voxels : int
        Voxels of cavities closed on all sides.
    """

    mask: Volume
    dropped_parts: int
    dropped_voxels: int
    filled_voxels: int


def keep_largest_part(mask: Volume, *, where: str = "mask") -> KeptPart:
    """The largest part of a mask whose voxels touch, without cavities.

    Parameters
    ----------
    mask : Volume
        Nonzero voxels are inside.
    where : str
        Name for the message.

    Raises
    ------
    InputError
        If no voxel is inside.

    Notes
    -----
    Voxels belong together if they share a face, an edge or a corner: at 3 mm a lamina is often joined by edges only.
    """
    inside = np.asarray(mask.values != 0)
    if not inside.any():
        raise InputError(f"{where} has no voxel", fix="check the label file and the label scheme")
    parts, count = ndimage.label(inside, structure=np.ones((3, 3, 3), dtype=int))
    sizes = np.bincount(parts.ravel())[1:]
    kept = parts == 1 + int(np.argmax(sizes))
    solid = ndimage.binary_fill_holes(kept)
    return KeptPart(
        mask=Volume(solid, mask.affine),
        dropped_parts=int(count) - 1,
        dropped_voxels=int(sizes.sum() - sizes.max()),
        filled_voxels=int(solid.sum() - kept.sum()),
    )


def surface_from_labels(
    labels: LabelVolume, name: str, *, edge_mm: float, smoothing_mm: float | None = None
) -> TriangleSurface:
    """Surface of one level or part of a label image; see `surface_from_mask`.

    Raises
    ------
    InputError
        If `name` has no voxel.
    """
    return surface_from_mask(
        Volume(labels.mask(name), labels.affine), edge_mm=edge_mm, smoothing_mm=smoothing_mm, where=name
    )


def surface_from_mask(
    mask: Volume, *, edge_mm: float, smoothing_mm: float | None = None, where: str = "mask"
) -> TriangleSurface:
    """Closed surface of the voxels of a mask.

    Parameters
    ----------
    mask : Volume
        Nonzero voxels are inside; any spacing, orientation and flip.
    edge_mm : float
        Edge length of the triangles, mm.
    smoothing_mm : float, optional
        Width (standard deviation) of the Gaussian that smooths the mask, mm; along each voxel axis at least 0.6 of the
        voxel's edge; without it 1.25 of it. Walls thinner than about twice the width are lost, and so
        may be the ring of a neural arch.
    where : str, optional
        Name for messages.

    Returns
    -------
    TriangleSurface
        In scanner space (LPS+ mm), normals outward, one shell. Its volume is that of the voxels within 0.1 %.

    Raises
    ------
    InputError
        If the mask is empty, a length is not positive, the lattice would have more than 40 million points, or smoothing
        takes the part into pieces.

    Notes
    -----
    Only the largest part of the mask is kept and its closed cavities are filled; what was dropped is logged as a
    warning (`keep_largest_part` gives the numbers). A mask that touches the border of the image is closed there, flat:
    a vertebra cut by the image is found by the checks of labels (`fesolver.imaging.checks`), not here.

    The mask, constant in every voxel, is folded with the Gaussian on a lattice finer than the voxels. What that takes
    away is folded and given back twice (van Cittert's iteration [1]_): at the same smoothness thin parts keep about
    twice as much of themselves. The field is cut at the level at which the volume inside is that of the voxels; at one
    half it would lose volume at every convex edge. Marching tetrahedra make the surface, `remesh_surface` its triangles
    at equal volume. One level serves the whole bone, so that what thin parts lose the body gains: in the L3 of a scan
    with voxels of 3 mm the centroid moves by 0.5 mm to the front, with voxels of 1.5 mm by 0.1 mm.

    References
    ----------
    .. [1] P. H. van Cittert, Zum Einfluss der Spaltbreite auf die Intensitaetsverteilung in Spektrallinien II,
       Z. Physik 69, 1931, 298-308.

    Examples
    --------
    >>> cube = np.zeros((12, 12, 12), dtype=bool)
    >>> cube[3:9, 3:9, 3:9] = True
    >>> surface = surface_from_mask(Volume(cube, np.diag([2.0, 2.0, 2.0, 1.0])), edge_mm=2.0)
    >>> round(surface.volume / 12.0**3, 3)
    1.0
    """
    for name, value in (("edge_mm", edge_mm), ("smoothing_mm", smoothing_mm)):
        if value is not None and not (np.isfinite(value) and value > 0.0):
            raise InputError(f"{name} must be positive and finite, not {value}", where=where)
    part = keep_largest_part(mask, where=where)
    if part.dropped_voxels or part.filled_voxels:
        _log.warning(
            "%s: %d voxels in %d smaller parts dropped, %d voxels of cavities filled",
            where,
            part.dropped_voxels,
            part.dropped_parts,
            part.filled_voxels,
        )
    field = _smoothed(part.mask, edge_mm, smoothing_mm, where)
    volume = float(np.count_nonzero(part.mask.values)) * abs(float(np.linalg.det(mask.affine[:3, :3])))
    return remesh_surface(_of_volume(field, volume, where), edge_mm)


def level_surface(field: Volume, level: float) -> TriangleSurface:
    """The largest shell of the surface on which a field takes a value.

    Parameters
    ----------
    field : Volume
        Values on any grid, below the level at its border.
    level : float
        Inside, values are above it.

    Returns
    -------
    TriangleSurface
        In the grid's parent frame, mm, normals outward. Cavities and smaller shells are left out.

    Raises
    ------
    InputError
        If the field does not cross the level, or crosses its border.
    """
    return _largest_shell(field, level)[0]


def _largest_shell(field: Volume, level: float) -> tuple[TriangleSurface, float]:
    """The largest shell of a level surface, and its share of the volume of all shells but cavities."""
    values = np.ascontiguousarray(field.values, dtype=np.float64)
    border = max(float(np.max(np.take(values, at, axis=axis))) for axis in range(3) for at in (0, -1))
    if border > level or not values.max() > level:
        raise InputError(
            f"a field from {values.min():g} to {values.max():g}, up to {border:g} at its border, has no closed surface "
            f"at {level:g}"
        )
    index, triangles = level_triangles(values, level)
    if np.linalg.det(field.affine[:3, :3]) < 0.0:
        triangles = triangles[:, ::-1]
    shells = triangle_groups(triangles, len(index))
    points = field.to_mm(index)
    corners = points[triangles] - points.mean(axis=0)
    volumes = np.bincount(shells, np.einsum("mi,mi->m", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])))
    own = triangles[shells == int(np.argmax(volumes))]
    used = np.unique(own)
    share = float(volumes.max() / np.sum(volumes[volumes > 0.0]))
    return TriangleSurface(points[used], np.searchsorted(used, own)), share


def _smoothed(mask: Volume, edge_mm: float, smoothing_mm: float | None, where: str) -> Volume:
    """A mask folded with a Gaussian, on a lattice of parts of voxels around it."""
    spacing = mask.spacing
    sigma = _SIGMA * spacing if smoothing_mm is None else np.maximum(smoothing_mm, _LEAST_SIGMA * spacing)
    step = np.minimum(_STEP_PER_SIGMA * sigma, _STEP_PER_EDGE * edge_mm)
    parts = np.maximum(np.ceil(spacing / step - 1e-9), 1.0).astype(int)
    box = ndimage.find_objects(mask.values.astype(np.int8))[0]
    pad = np.ceil(_REACH * sigma / spacing).astype(int) + 1
    crop = np.pad(mask.values[box], [(int(p), int(p)) for p in pad])
    count = float(np.prod(np.array(crop.shape, dtype=np.float64) * parts))
    if count > _MOST_POINTS:
        raise InputError(
            f"a surface with edges of {edge_mm:g} mm needs {count:.1e} points of a lattice",
            where=where,
            fix=f"use a longer edge_mm: up to {_MOST_POINTS:,} points are allowed",
        )
    fine = crop.astype(np.float64)
    for axis in range(3):
        fine = np.repeat(fine, parts[axis], axis=axis)

    def folded(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(ndimage.gaussian_filter(values, sigma / spacing * parts, mode="constant", truncate=_REACH))

    smooth = folded(fine)
    for _ in range(_CORRECTIONS):
        smooth += folded(fine - smooth)
    start = np.array([part.start for part in box], dtype=np.float64) - pad
    affine = np.array(mask.affine, dtype=np.float64)
    affine[:3, :3] = mask.affine[:3, :3] / parts
    # The first of an edge's parts has its middle half a voxel less half a part below the voxel's.
    affine[:3, 3] = mask.to_mm(start - 0.5 + 0.5 / parts)
    return Volume(smooth, affine)


def _of_volume(field: Volume, volume: float, where: str) -> TriangleSurface:
    """The level surface of a smoothed mask that holds a volume, mm3."""
    low, high = 0.0, float(field.values.max())
    cell = abs(float(np.linalg.det(field.affine[:3, :3])))
    # As many lattice points as the volume has room for lie above a first guess.
    count = min(max(round(volume / cell), 1), field.values.size - 1)
    level = float(-np.partition(-field.values, count, axis=None)[count])
    before: tuple[float, float] | None = None
    for _ in range(_STEPS):
        surface, share = _largest_shell(field, level)
        excess = surface.volume - volume
        if abs(excess) <= _VOLUME_TOLERANCE * volume:
            break
        low, high = (level, high) if excess > 0.0 else (low, level)
        if before is None or excess == before[1]:
            ahead = level + np.copysign(_FIRST_STEP, excess)
        else:
            ahead = level - excess * (level - before[0]) / (excess - before[1])
        before, level = (level, excess), ahead
        if not low < level < high:
            level = 0.5 * (low + high)
    # Where a piece comes off as the level rises, the volume jumps over the wanted one.
    if abs(surface.volume - volume) > 0.01 * volume or share < 1.0 - _LARGEST_PIECE:
        raise InputError(
            f"smoothed, the {volume:.0f} mm3 of voxels do not hang together: the largest piece is {share:.0%} of them",
            where=where,
            fix="use a smaller smoothing_mm, or check the label for thin places",
        )
    return surface
