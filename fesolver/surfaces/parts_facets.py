"""Facet joints between two neighbouring vertebrae: the patches of their processes that face each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fesolver.surfaces.parts_topology import components, triangle_neighbours
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import POSTERIOR, VertebraSurface

__all__ = ["FacetPair", "facet_pairs"]

_REACH_MM = 6.0
"""Patches further apart do not make a joint; a lumbar joint space is 2 to 4 mm wide between bones on CT (recalled, low
confidence)."""
_FACING = 0.5
"""Least cosine between one normal and the other's opposite."""
_ASIDE = 0.866
"""Largest sine between the line that joins two triangles and their normals."""
_DEEPEST_MM = 4.0
"""Facing triangles that overlap by more belong to a process pushed through the other, not to a joint."""
_FLATNESS = 0.7071
"""Least cosine between a facet's triangles and the joint's normal: lumbar facets are curved, by less than that."""
_ROUNDS = 4
_NEIGHBOURS = 32
_EDGE_PER_ROOT_AREA = 1.52
_MIN_AREA_MM2 = 20.0


@dataclass(frozen=True)
class FacetPair:
    """Two facing patches, in the surfaces' common frame.

    Parameters
    ----------
    center : (3,) ndarray
        Middle between the patches, mm.
    normal : (3,) ndarray
        Unit normal out of the lower vertebra's superior facet, towards the upper vertebra's inferior facet.
    area_mm2 : float
        Mean of the two patches' areas across the normal.
    gap_mm, least_gap_mm : float
        Distance between the patches along their normals, mm, negative where the bones overlap: the median by area
        (rounded edges do not widen it) and the least.
    upper_triangles, lower_triangles : (k,) ndarray of int64
        Triangles of each surface.
    """

    center: NDArray[np.float64]
    normal: NDArray[np.float64]
    area_mm2: float
    gap_mm: float
    least_gap_mm: float
    upper_triangles: NDArray[np.int64]
    lower_triangles: NDArray[np.int64]


@dataclass(frozen=True)
class _Facing:
    """Triangles of one surface, for each the nearest of another that faces it, and the gap between them."""

    own: NDArray[np.int64]
    mates: NDArray[np.int64]
    gaps: NDArray[np.float64]


def _facing(one: TriangleSurface, own: NDArray[np.int64], other: TriangleSurface, others: NDArray[np.int64]) -> _Facing:
    """Triangles `own` of one surface that face some of the `others` of another."""
    if not len(own) or not len(others):
        return _Facing(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    k = min(_NEIGHBOURS, len(others))
    distance, at = cKDTree(other.centers[others]).query(one.centers[own], k=k, distance_upper_bound=_REACH_MM)
    distance, at = np.reshape(distance, (len(own), k)), np.reshape(at, (len(own), k))
    near = np.isfinite(distance)
    theirs = others[np.where(near, at, 0)]
    n, m = one.normals[own][:, None], other.normals[theirs]
    axis = (n - m) / np.maximum(np.linalg.norm(n - m, axis=2, keepdims=True), 1e-300)
    offset = other.centers[theirs] - one.centers[own][:, None]
    gap = np.sum(offset * axis, axis=2)
    aside = np.linalg.norm(offset - axis * gap[..., None], axis=2)
    # Centres of triangles that lie on each other are still up to an edge apart.
    edge = _EDGE_PER_ROOT_AREA * np.sqrt(np.median(other.areas[others]))
    faces = near & (np.sum(n * m, axis=2) < -_FACING) & (gap > -_DEEPEST_MM)
    faces &= aside < np.maximum(edge, _ASIDE * distance)
    hit, first = faces.any(axis=1), np.argmax(faces, axis=1)
    return _Facing(own[hit], theirs[hit, first[hit]], gap[hit, first[hit]])


def _within_reach(
    one: TriangleSurface, own: NDArray[np.int64], other: TriangleSurface, others: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which of one surface's triangles have any of the other's near."""
    if not len(own) or not len(others):
        return np.zeros(len(own), dtype=np.bool_)
    places, beside = one.centers[own], other.centers[others]
    low, high = beside.min(axis=0) - _REACH_MM, beside.max(axis=0) + _REACH_MM
    within = np.asarray(np.all((places > low) & (places < high), axis=1))
    distance, _ = cKDTree(beside).query(places[within], distance_upper_bound=_REACH_MM)
    within[within] = np.isfinite(distance)
    return within


def _beside_canal(v: VertebraSurface, side: float) -> NDArray[np.int64]:
    """Posterior triangles to one side of the canal."""
    lateral = side * ((v.surface.centers - v.landmark("canal_center")) @ v.frame.axes[0])
    return np.flatnonzero((v.kind == POSTERIOR) & (lateral > 0))


def _median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The value with half of the weight on either side."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, 0.5 * total[-1])])


def _one_side(upper: VertebraSurface, lower: VertebraSurface, side: float) -> FacetPair | None:
    """The joint to one side of the canal, None where nothing faces."""
    a, b = upper.surface, lower.surface
    above, below = _beside_canal(upper, side), _beside_canal(lower, side)
    above, below = above[_within_reach(a, above, b, below)], below[_within_reach(b, below, a, above)]
    neighbours = triangle_neighbours(a)
    for _ in range(_ROUNDS):
        from_above = _facing(a, above, b, below)
        if not len(from_above.own):
            return None
        mask = np.zeros(len(a.triangles), dtype=np.bool_)
        mask[from_above.own] = True
        label = components(mask, neighbours)
        patch = np.flatnonzero(label == np.argmax(np.bincount(label[mask], weights=a.areas[mask])))
        from_below = _facing(b, below, a, patch)
        if not len(from_below.own):
            return None
        normal = b.area_vectors[from_below.own].sum(axis=0) - a.area_vectors[patch].sum(axis=0)
        normal /= np.linalg.norm(normal)
        above = above[a.normals[above] @ normal < -_FLATNESS]
        below = below[b.normals[below] @ normal > _FLATNESS]
    area = 0.5 * float((b.area_vectors[from_below.own] @ normal).sum() - (a.area_vectors[patch] @ normal).sum())
    if area < _MIN_AREA_MM2:
        return None
    middles = [np.average(s.centers[t], axis=0, weights=s.areas[t]) for s, t in ((a, patch), (b, from_below.own))]
    return FacetPair(
        center=0.5 * (middles[0] + middles[1]),
        normal=normal,
        area_mm2=area,
        gap_mm=_median(from_below.gaps, b.areas[from_below.own]),
        least_gap_mm=float(from_below.gaps.min()),
        upper_triangles=patch,
        lower_triangles=from_below.own,
    )


def facet_pairs(upper: VertebraSurface, lower: VertebraSurface) -> dict[str, FacetPair]:
    """Facet joints between two neighbours by the posterior triangles that face each other.

    Parameters
    ----------
    upper, lower : VertebraSurface
        Neighbours in one common frame.

    Returns
    -------
    dict of str to FacetPair
        Keys `"left"` and `"right"`; one without facing patches of 20 mm2 within 6 mm is left out.

    Raises
    ------
    InputError
        If a vertebra has no canal (a body alone).

    Notes
    -----
    Two triangles face each other where each normal lies within 60 degrees of the other's opposite, and both of the line
    that joins them (unless they are nearer than an edge), and where they overlap by less than 4 mm. The largest
    connected patch of the upper vertebra and all of the lower one that faces it make the joint; its mean normal is
    found, triangles turned from it by more than 45 degrees are left out, and the search is repeated three times.
    """
    pairs = {name: _one_side(upper, lower, side) for name, side in (("left", 1.0), ("right", -1.0))}
    return {name: pair for name, pair in pairs.items() if pair is not None}
