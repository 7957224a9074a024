"""A column of vertebral surfaces: do neighbours fit together, how high are the discs, and the segment's frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fesolver.anatomy.frames import Frame
from fesolver.anatomy.levels import LEVELS, disc_name, sort_levels
from fesolver.errors import InputError
from fesolver.imaging.frames import segment_frame as frame_of_geometries
from fesolver.surfaces.closest import ClosestPoint
from fesolver.surfaces.parts_facets import FacetPair, facet_pairs
from fesolver.surfaces.vertebra import (
    INFERIOR_ENDPLATE,
    POSTERIOR,
    SUPERIOR_ENDPLATE,
    VertebraSurface,
)

__all__ = ["Neighbours", "Overlap", "check_neighbours", "segment_frame"]

_LEAST_DISC_MM, _LARGEST_DISC_MM = 2.0, 20.0
_MAX_TILT_DEG = 35.0
_MAX_TWIST_DEG = 20.0


@dataclass(frozen=True)
class Overlap:
    """Where two surfaces' solids share space.

    Parameters
    ----------
    depth_mm : float
        Deepest place of one vertebra's surface inside the other.
    place : (3,) ndarray
        Where, mm, in the surfaces' frame.
    """

    depth_mm: float
    place: NDArray[np.float64]


@dataclass(frozen=True)
class Neighbours:
    """Two neighbouring vertebrae and what lies between them.

    Parameters
    ----------
    name : str
        Name of the disc, `"L1-L2"`.
    disc_height_mm : float
        Mean gap between the facing endplates, weighted by area over their common footprint.
    least_disc_height_mm : float
        Least gap there.
    tilt_deg : float
        Angle between the facing endplates' planes in the sagittal plane, degrees; positive where the disc is higher in
        front.
    facets : mapping of str to FacetPair
        Joints found, `"left"` and `"right"`.
    overlap : Overlap or None
        Where posterior elements overlap, None where they do not.
    """

    name: str
    disc_height_mm: float
    least_disc_height_mm: float
    tilt_deg: float
    facets: Mapping[str, FacetPair]
    overlap: Overlap | None


def segment_frame(vertebrae: Sequence[VertebraSurface]) -> Frame:
    """Frame of a column of vertebrae in their common frame.

    Parameters
    ----------
    vertebrae : sequence of VertebraSurface
        Cranial first.

    Returns
    -------
    Frame
        Origin at the centroid of the lowest inferior endplate, z towards that of the highest superior one, x to the
        patient's left made orthogonal.
    """
    levels = [v.level for v in vertebrae]
    return frame_of_geometries({v.level: v.geometry for v in vertebrae}, levels)


def _overlap_of(one: VertebraSurface, other: VertebraSurface) -> Overlap | None:
    """Where one's triangles lie deepest inside the other; raises where a body is part of it."""
    low, high = other.surface.points.min(axis=0), other.surface.points.max(axis=0)
    centers = one.surface.centers
    near = np.flatnonzero(np.all((centers > low) & (centers < high), axis=1))
    if not len(near):
        return None
    places = centers[near]
    depth = ClosestPoint(other.surface).depth(places)
    if depth.max() <= 0:
        return None
    of_bodies = (depth > 0) & ((one.kind[near] != POSTERIOR) | ~other.is_posterior(places))
    if of_bodies.any():
        worst = int(np.argmax(np.where(of_bodies, depth, 0.0)))
        raise InputError(
            f"{one.level} and {other.level}: a vertebral body overlaps its neighbour by {depth[worst]:.1f} mm",
            where=f"near {np.round(places[worst], 1).tolist()} mm",
            fix="check the surfaces' levels, frames and units; bodies are kept apart by a disc",
        )
    worst = int(np.argmax(depth))
    return Overlap(float(depth[worst]), places[worst])


def _overlap(upper: VertebraSurface, lower: VertebraSurface) -> Overlap | None:
    """Deepest overlap of posterior elements."""
    found = [_overlap_of(upper, lower), _overlap_of(lower, upper)]
    return max((o for o in found if o is not None), key=lambda o: o.depth_mm, default=None)


def _disc_gap(upper: VertebraSurface, lower: VertebraSurface) -> tuple[float, float]:
    """Mean and least distance between facing endplates along the line of their centroids, over what faces."""
    a, b = upper.geometry, lower.geometry
    axis = a.inferior_normal * -1.0 + b.superior_normal
    axis /= np.linalg.norm(axis)
    rows = np.linalg.svd(axis[None])[2][1:]
    low, high = (
        (s.surface.centers[s.kind == k], s.surface.area_vectors[s.kind == k])
        for s, k in ((lower, SUPERIOR_ENDPLATE), (upper, INFERIOR_ENDPLATE))
    )
    distance, at = cKDTree(high[0] @ rows.T).query(low[0] @ rows.T)
    facing = distance < 2.0 * np.sqrt(np.median(np.linalg.norm(high[1], axis=1)))
    if not facing.any():
        return float("nan"), float("nan")
    gaps = (high[0][at] - low[0])[facing] @ axis
    weights = np.maximum(low[1][facing] @ axis, 0.0)
    return float(np.average(gaps, weights=weights)), float(gaps.min())


def _sagittal_tilt(upper: VertebraSurface, lower: VertebraSurface) -> float:
    """Opening of the disc to the front, degrees."""
    x = upper.frame.axes[0] + lower.frame.axes[0]
    x /= np.linalg.norm(x)
    a, b = -upper.geometry.inferior_normal, lower.geometry.superior_normal
    return float(np.rad2deg(np.arctan2(x @ np.cross(a, b), a @ b)))


def _check_order(vertebrae: Sequence[VertebraSurface]) -> None:
    """Raise unless levels follow each other, cranial first, and stand in that order."""
    levels = [v.level for v in vertebrae]
    ordered = list(sort_levels(levels))
    first = LEVELS.index(ordered[0]) if ordered else 0
    if levels != list(LEVELS[first : first + len(levels)]):
        raise InputError(
            f"levels {', '.join(levels)} are not consecutive, cranial first",
            fix=f"give each level once, in the order {', '.join(dict.fromkeys(ordered))}, and leave none out",
        )
    for upper, lower in pairwise(vertebrae):
        rise = float((upper.frame.origin - lower.frame.origin) @ (upper.frame.axes[2] + lower.frame.axes[2])) / 2.0
        if rise <= 0:
            raise InputError(
                f"{upper.level} lies {-rise:.0f} mm below {lower.level}",
                where=f"bodies at {np.round(upper.frame.origin, 1).tolist()} and "
                f"{np.round(lower.frame.origin, 1).tolist()} mm",
                fix="the files' levels are exchanged, or the surfaces are not in one common frame",
            )


def _check_frames(upper: VertebraSurface, lower: VertebraSurface) -> None:
    """Raise where two neighbours stand against each other as no two vertebrae do."""
    z = upper.frame.axes[2], lower.frame.axes[2]
    angles = [("tilted", z, _MAX_TILT_DEG)]
    if upper.cut is not None and lower.cut is not None:
        # Across the common axis: what is left of the two canals' directions is the turn about it.
        axis = (z[0] + z[1]) / np.linalg.norm(z[0] + z[1])
        backward = [v - axis * (axis @ v) for v in (upper.cut.normal, lower.cut.normal)]
        first, second = (v / np.linalg.norm(v) for v in backward)
        angles.append(("twisted", (first, second), _MAX_TWIST_DEG))
    for what, (a, b), most in angles:
        angle = float(np.rad2deg(np.arccos(np.clip(a @ b, -1.0, 1.0))))
        if angle > most:
            raise InputError(
                f"{upper.level} and {lower.level} stand {what} by {angle:.0f} degrees against each other, more than "
                f"{most:.0f}",
                where=f"bodies at {np.round(upper.frame.origin, 1).tolist()} and "
                f"{np.round(lower.frame.origin, 1).tolist()} mm",
                fix="check that both surfaces are in one frame",
            )


def check_neighbours(vertebrae: Sequence[VertebraSurface]) -> tuple[Neighbours, ...]:
    """Check that vertebral surfaces make a column, and measure what lies between them.

    Parameters
    ----------
    vertebrae : sequence of VertebraSurface
        Cranial first, in one common frame.

    Returns
    -------
    tuple of Neighbours
        One for each disc, cranial first. Overlapping posterior elements are reported there, not refused.

    Raises
    ------
    InputError
        If levels are not consecutive and cranial first, or not so placed; if neighbours are tilted by more than 35 or
        twisted by more than 20 degrees; if a body overlaps its neighbour; if a disc's mean height is outside
        2 to 20 mm.

    Notes
    -----
    Overlap is sought at the triangles' centres, so it is seen where it is wider than a triangle. Lumbar discs are
    about 7.5 to 12 mm high in the middle, thoracolumbar ones 5 to 6.5 mm (recalled, medium confidence); 2 to 20 mm
    leaves room for collapse and for L5-S1's front.
    """
    _check_order(vertebrae)
    pairs = []
    for upper, lower in pairwise(vertebrae):
        name = disc_name(upper.level, lower.level)
        _check_frames(upper, lower)
        overlap = _overlap(upper, lower)
        mean, least = _disc_gap(upper, lower)
        if not _LEAST_DISC_MM <= mean <= _LARGEST_DISC_MM:
            middle = 0.5 * (upper.geometry.inferior_centroid + lower.geometry.superior_centroid)
            raise InputError(
                f"disc {name} is {mean:.1f} mm high on average, not {_LEAST_DISC_MM:.0f} to {_LARGEST_DISC_MM:.0f} mm",
                where=f"near {np.round(middle, 1).tolist()} mm",
                fix="check the surfaces' frame and unit, and that no level between them is missing",
            )
        with_arch = upper.cut is not None and lower.cut is not None
        facets = facet_pairs(upper, lower) if with_arch else {}
        pairs.append(Neighbours(name, mean, least, _sagittal_tilt(upper, lower), facets, overlap))
    return tuple(pairs)
