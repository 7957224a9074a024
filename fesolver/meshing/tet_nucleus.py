"""Nuclei with cells of their own: their outline on both endplates as lines of edges, and the wall between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.meshing.tet_annulus import DiscPlaces
from fesolver.meshing.tet_belts import heights, mean_normals
from fesolver.meshing.tet_discs import facing_patches, patch_border, wall_triangles
from fesolver.surfaces.closest import ClosestPoint
from fesolver.surfaces.level_lines import cut_along_level
from fesolver.surfaces.parts_topology import disc_patch, triangle_neighbours
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, SUPERIOR_ENDPLATE, VertebraSurface

__all__ = ["Cap", "Nucleus", "nucleus_between", "on_outline", "outlined_surfaces"]

_SNAP = 0.1
"""Part of an edge within which the outline goes through its end where triangles are made anew afterwards; a choice."""
_SNAP_KEPT = 0.3
"""The same where they are not: points may then move by so much of an edge; a choice."""
_CLEAR = 0.5
"""Least distance of the outline from the border of its endplate, in edges: one row of cells fits there; a choice."""
_FITS = 4
_STEP_MM = 0.02
_SAMPLES = np.array([[4.0, 1.0, 1.0], [1.0, 4.0, 1.0], [1.0, 1.0, 4.0]]) / 6.0
"""Three places of a triangle, exact for the mean of a quadratic field."""
_TURN, _NARROW = 0.5, 0.15
"""Cosine by which an endplate's triangles may turn, and least height over longest edge they may get; choices."""
_TABLE = 720


@dataclass(frozen=True)
class Cap:
    """One endplate of a disc.

    Parameters
    ----------
    triangles : (m, 3) ndarray of int64
        Normals out of the bone.
    is_nucleus : (m,) ndarray of bool
        Which of them lie within the nucleus' outline.
    """

    triangles: NDArray[np.int64]
    is_nucleus: NDArray[np.bool_]


@dataclass(frozen=True)
class Nucleus:
    """What parts a disc in two closed surfaces.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm; those given first, of which those of the outline have moved along their endplates.
    caps : (m, 3) ndarray of int64
        Triangles of both endplates within the outline, normals out of the disc.
    wall : (w, 3) ndarray of int64
        Between both outlines, normals out of the nucleus.
    """

    points: NDArray[np.float64]
    caps: NDArray[np.int64]
    wall: NDArray[np.int64]

    @property
    def surface(self) -> NDArray[np.int64]:
        """Closed surface of the nucleus, normals outward."""
        return np.concatenate([self.caps, self.wall])

    def annulus(self, disc: NDArray[np.int64]) -> NDArray[np.int64]:
        """Closed surface of what the nucleus leaves of a disc (k, 3) that has its caps, normals outward."""
        n = len(self.points)
        powers = np.array([n * n, n, 1])
        is_cap = np.isin(np.sort(disc, axis=1) @ powers, np.sort(self.caps, axis=1) @ powers)
        return np.concatenate([disc[~is_cap], self.wall[:, ::-1]])


def outlined_surfaces(
    vertebrae: Sequence[VertebraSurface], frame: Frame, places: Mapping[tuple[str, int], DiscPlaces], *, remesh: bool
) -> tuple[tuple[VertebraSurface, ...], tuple[NDArray[np.bool_], ...]]:
    """Vertebrae whose endplates have the outlines of the nuclei as lines of edges.

    Parameters
    ----------
    vertebrae : sequence of VertebraSurface
        In one frame, mm.
    frame : Frame
        The frame of the discs' places, in that of the vertebrae.
    places : mapping of (str, int) to DiscPlaces
        Level and kind of endplate -> the disc on it.
    remesh : bool
        Whether triangles are made anew afterwards, so that small ones may stay.

    Returns
    -------
    vertebrae : tuple of VertebraSurface
        The same surfaces, cut.
    is_nucleus : tuple of (m,) ndarray of bool
        Triangles within an outline: on each endplate one disc of them that does not reach its border, or none.
    """
    cut_vertebrae, masks = [], []
    for vertebra, kind in zip(vertebrae, facing_patches(vertebrae), strict=True):
        surface, triangles = vertebra.surface, vertebra.surface.triangles
        values = np.ones(len(surface.points))
        for number in (SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE):
            disc = places.get((vertebra.level, number))
            own = np.unique(triangles[kind == number])
            layer = np.ones(0) if disc is None else disc.layer(frame.to_local(surface.points[own]))
            on_border = np.isin(own, triangles[kind != number])
            if len(layer) and layer[on_border].min(initial=1.0) > 0.0:
                values[own] = layer
        cut = cut_along_level(surface, values, snap=_SNAP if remesh else _SNAP_KEPT)
        neighbours = triangle_neighbours(cut.surface)
        inside = np.zeros(len(cut.parent), dtype=np.bool_)
        for number in (SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE):
            try:
                patch = disc_patch(cut.is_below & (kind[cut.parent] == number), cut.surface, neighbours)
            except InputError:  # a handle of the surface: no outline there
                continue
            inside |= patch & (kind[cut.parent] == number)
        cut_vertebrae.append(replace(vertebra, surface=cut.surface, kind=vertebra.kind[cut.parent]))
        masks.append(inside)
    return tuple(cut_vertebrae), tuple(masks)


def on_outline(triangles: NDArray[np.int64], is_nucleus: NDArray[np.bool_], n_points: int) -> NDArray[np.bool_]:
    """Points (n_points,) that triangles on both sides of an outline have."""
    out = np.zeros((2, n_points), dtype=np.bool_)
    out[0, triangles[is_nucleus]] = out[1, triangles[~is_nucleus]] = True
    return np.asarray(out.all(axis=0))


def nucleus_between(
    points: NDArray[np.float64], lower: Cap, upper: Cap, places: DiscPlaces, *, size_mm: float, clear_mm: float = 0.0
) -> Nucleus | None:
    """Wall of a nucleus between the outlines on both endplates.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm, in the parent of the places' frame.
    lower, upper : Cap
        Endplates below and above the disc.
    places : DiscPlaces
        Of the disc.
    size_mm : float
        Edge length on the wall, mm.
    clear_mm : float
        What must be free between the outline and an endplate's border beside half an edge, mm.

    Returns
    -------
    Nucleus or None
        None where an outline is missing, too close to the border of its endplate, or does not go round once.

    Notes
    -----
    The wall is made as the disc's own is, of rings of points on the nucleus' boundary and the triangles between them.
    Then its points move, those of outlines along their endplates, by the mean gap between their triangles and the
    boundary, so that the chords do not make the nucleus smaller.
    """
    patches = [cap.triangles[cap.is_nucleus] for cap in (lower, upper)]
    if not all(_has_one_border(patch) for patch in patches):
        return None
    for cap, patch in zip((lower, upper), patches, strict=True):
        line, border = patch_border(points, patch), points[patch_border(points, cap.triangles)]
        along = np.concatenate([(1.0 - t) * border + t * np.roll(border, -1, axis=0) for t in (0.0, 0.25, 0.5, 0.75)])
        if np.min(cKDTree(along).query(points[line])[0]) < _CLEAR * size_mm + clear_mm:
            return None
    below, above = patch_border(points, patches[0]), patch_border(points, patches[1])[::-1]
    angles = [_angles(points[line], places) for line in (below, above)]
    if not all(_goes_round(angle) for angle in angles):
        return None
    x, wall = _wall(points, [below, above], angles, places, size_mm)
    x = _fitted(x, wall, [lower.triangles, upper.triangles], [below, above], places)
    for cap in (lower, upper):
        before, after = TriangleSurface(points, cap.triangles), TriangleSurface(x, cap.triangles)
        turned = np.einsum("ni,ni->n", before.normals, after.normals) < _TURN
        if np.any(turned | (heights(after) < np.minimum(_NARROW, heights(before)))):
            return None
    return Nucleus(x, np.concatenate([patch[:, ::-1] for patch in patches]), wall)


def _has_one_border(patch: NDArray[np.int64]) -> bool:
    """Whether a patch's border is one line that meets no point twice."""
    if len(patch) == 0:
        return False
    n = int(patch.max()) + 1
    edges = np.concatenate([patch[:, [0, 1]], patch[:, [1, 2]], patch[:, [2, 0]]])
    alone = edges[~np.isin(edges @ np.array([n, 1]), edges @ np.array([1, n]))]
    following = dict(alone.tolist())
    if len(alone) == 0 or len(following) < len(alone) or set(following) != set(following.values()):
        return False
    start = at = int(alone[0, 0])
    for _ in range(len(alone) - 1):
        at = following[at]
        if at == start:
            return False
    return True


def _angles(at: NDArray[np.float64], places: DiscPlaces) -> NDArray[np.float64]:
    """Angles of places about the nucleus' centre, 0 to 2 pi."""
    local = places.frame.to_local(at)
    return np.asarray(np.mod(np.arctan2(local[:, 1] - places.nucleus_posterior_mm, local[:, 0]), 2.0 * np.pi))


def _goes_round(angle: NDArray[np.float64]) -> bool:
    """Whether the angles of a closed line rise all the way, once round."""
    steps = np.mod(np.roll(angle, -1) - angle, 2.0 * np.pi)
    return bool(np.all((steps > 0.0) & (steps < np.pi)) and round(float(steps.sum()) / (2.0 * np.pi)) == 1)


def _wall(
    points: NDArray[np.float64],
    lines: list[NDArray[np.int64]],
    angles: list[NDArray[np.float64]],
    places: DiscPlaces,
    size_mm: float,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points with those of rings between two lines, and the triangles."""
    even = 2.0 * np.pi * np.arange(_TABLE) / _TABLE
    low, high = (
        np.interp(even, angle[order], places.frame.to_local(points[line])[order, 2], period=2.0 * np.pi)
        for line, angle in zip(lines, angles, strict=True)
        for order in (np.argsort(angle),)
    )
    n_rings = max(1, round(float(np.mean(high - low)) / size_mm)) - 1
    rings, ids, at = [points], [lines[0]], [angles[0]]
    n = len(points)
    for ring in range(1, n_rings + 1):
        zeta = ring / (n_rings + 1)
        level = (1.0 - zeta) * low + zeta * high
        curve = places.nucleus_boundary(even, level)
        step = np.linalg.norm(np.roll(curve, -1, axis=0) - curve, axis=1)
        reached = np.concatenate([[0.0], np.cumsum(step)])
        count = max(8, round(reached[-1] / size_mm))
        place = reached[-1] * (np.arange(count) + 0.5 * (ring % 2)) / count
        angle = np.interp(place, reached, np.append(even, 2.0 * np.pi))
        rings.append(places.nucleus_boundary(angle, np.interp(angle, even, level, period=2.0 * np.pi)))
        ids.append(n + np.arange(count))
        at.append(angle)
        n += count
    turns = [angle / (2.0 * np.pi) for angle in (*at, angles[1])]
    return np.concatenate(rings), np.concatenate(wall_triangles([*ids, lines[1]], turns))


def _fitted(
    points: NDArray[np.float64],
    wall: NDArray[np.int64],
    plates: list[NDArray[np.int64]],
    lines: list[NDArray[np.int64]],
    places: DiscPlaces,
) -> NDArray[np.float64]:
    """Points with those of a wall moved so that its triangles keep the nucleus' volume."""
    x = points.copy()
    own = np.unique(wall)
    along = [mean_normals(points, plate)[line] for plate, line in zip(plates, lines, strict=True)]
    closest = [ClosestPoint(TriangleSurface(points, plate)) for plate in plates]
    for fit in range(_FITS + 1):
        normals = mean_normals(x, wall)
        gap = np.zeros(len(x))
        if fit == 0:
            # The outline's chords were cut through triangles that may be large: its points first.
            for line in lines:
                gap[line] = _gaps(x[line], normals[line], places)
        else:
            surface = TriangleSurface(x, wall)
            areas, directions = surface.areas, np.repeat(surface.normals, len(_SAMPLES), axis=0)
            samples = np.einsum("qk,mki->mqi", _SAMPLES, x[wall]).reshape(-1, 3)
            mean = _gaps(samples, directions, places).reshape(-1, len(_SAMPLES)).mean(axis=1)
            weight = np.zeros(len(x))
            np.add.at(gap, wall, (areas * mean)[:, None])
            np.add.at(weight, wall, areas[:, None])
            gap /= np.maximum(weight, 1e-300)
        moved = x.copy()
        if fit > 0:
            moved[own] += gap[own, None] * normals[own]
        for line, up, plate in zip(lines, along, closest, strict=True):
            way = normals[line] - np.einsum("ni,ni->n", normals[line], up)[:, None] * up
            way /= np.maximum(np.sum(way**2, axis=1), 0.25)[:, None]
            moved[line] = plate(x[line] + gap[line, None] * way).points
        x = moved
    return x


def _gaps(at: NDArray[np.float64], normals: NDArray[np.float64], places: DiscPlaces) -> NDArray[np.float64]:
    """Way from places along their normals to the nucleus' boundary, mm."""
    layer = places.layer(np.concatenate([at, at + _STEP_MM * normals, at - _STEP_MM * normals])).reshape(3, -1)
    slope = (layer[1] - layer[2]) / (2.0 * _STEP_MM)
    return np.asarray(-layer[0] / np.maximum(slope, 1e-3))
