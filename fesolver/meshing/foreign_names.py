"""Surfaces and frames of a mesh that comes with regions only: found from the facets of its bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.fem.facets import outer_facets
from fesolver.imaging.endplates import ENDPLATE_TURN_DEG
from fesolver.imaging.frames import oriented_frame
from fesolver.meshing.regions import cell_moments, facet_surface
from fesolver.meshing.spine_mesh import SpineMesh, Surface

__all__ = ["BODY_PARTS", "DISC_PARTS", "find_frames", "find_surfaces", "segment_frame_of"]

BODY_PARTS = ("trabecular", "cortical", "superior_endplate", "inferior_endplate", "cement")
"""Regions of a level that make its vertebral body; `posterior` is not of it."""

DISC_PARTS = ("nucleus", "annulus")

_SIDES = ("superior", "inferior")

_TURNS = 5
"""Times that axes are improved by the endplates found with them."""


@dataclass(frozen=True)
class _Facets:
    """Facets of one kind around a body, its cell behind each, and the disc in front: 1 above, -1 below, 0 none."""

    facets: NDArray[np.int64]
    cells: NDArray[np.int64]
    faces_disc: NDArray[np.int64]


def find_surfaces(mesh: SpineMesh) -> tuple[dict[str, Surface], tuple[str, ...]]:
    """Endplates and outer surface of every body.

    Parameters
    ----------
    mesh : SpineMesh
        Points in LPS+ mm, regions and levels; surfaces and frames are not looked at.

    Returns
    -------
    surfaces : dict of str to Surface
        `L1/superior_endplate L1/inferior_endplate L1/outer` and so on: disjoint, together the outside of the body.
    findings : tuple of str
        Discs that share no facet with a body next to them: they hang on nothing.

    Raises
    ------
    InputError
        If a body has no cells or no facets that face up or down, or a surface mixes triangles and quadrilaterals.

    Notes
    -----
    A facet that the body shares with a disc, or whose normal is within 50 degrees of the body's axis, is of an
    endplate. The axis joins the centroids of the endplates; it starts as the line through the neighbours' centroids, or
    as the patient's up for a body alone, and is improved until no facet changes sides.
    """
    levels = mesh.levels
    volume, centroid = cell_moments(mesh)
    bodies = {level: _body_cells(mesh, level) for level in levels}
    middle = np.array([np.average(centroid[c], axis=0, weights=volume[c]) for c in bodies.values()])
    surfaces: dict[str, Surface] = {}
    findings: list[str] = []
    for i, level in enumerate(levels):
        disc_side = _discs_beside(mesh, levels, i)
        found = _around_body(mesh, bodies[level], disc_side)
        low, high = middle[min(i + 1, len(levels) - 1)], middle[max(i - 1, 0)]
        axis = high - low if len(levels) > 1 else np.array([0.0, 0.0, 1.0])
        surfaces |= _body_surfaces(mesh, level, found, axis / np.linalg.norm(axis))
        for side, name in ((1, "above"), (-1, "below")):
            if np.any(disc_side == side) and not any(np.any(f.faces_disc == side) for f in found):
                findings.append(f"the disc {name} {level} shares no facet with it: tie them, or they are not joined")
    return surfaces, tuple(findings)


def segment_frame_of(mesh: SpineMesh) -> Frame:
    """Segment frame of a mesh with surfaces: z from the lowest inferior to the highest superior endplate's centroid."""
    low = _centroid(mesh.surfaces[f"{mesh.levels[-1]}/inferior_endplate"], mesh.points)
    high = _centroid(mesh.surfaces[f"{mesh.levels[0]}/superior_endplate"], mesh.points)
    return oriented_frame(low, high - low)


def find_frames(mesh: SpineMesh) -> dict[str, Frame]:
    """Frames of levels and discs, as `SpineMesh` defines them, of a mesh in the segment frame with its surfaces."""
    volume, centroid = cell_moments(mesh)
    out: dict[str, Frame] = {}

    def middle(cells: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(np.average(centroid[cells], axis=0, weights=volume[cells]))

    for level in mesh.levels:
        high, low = (_centroid(mesh.surfaces[f"{level}/{side}_endplate"], mesh.points) for side in _SIDES)
        out[level] = oriented_frame(middle(_body_cells(mesh, level)), high - low)
    for upper, lower in pairwise(mesh.levels):
        cells = mesh.level_cells(f"{upper}-{lower}")
        if len(cells):
            up, down = mesh.surfaces[f"{lower}/superior_endplate"], mesh.surfaces[f"{upper}/inferior_endplate"]
            one, two = up.areas @ up.normals, down.areas @ down.normals
            axis = one / np.linalg.norm(one) - two / np.linalg.norm(two)
            out[f"{upper}-{lower}"] = oriented_frame(middle(cells), axis)
    return out


def _body_cells(mesh: SpineMesh, level: str) -> NDArray[np.int64]:
    """Ascending cells of a level's vertebral body."""
    found = [mesh.regions[name].cells for part in BODY_PARTS if (name := f"{level}/{part}") in mesh.regions]
    if not found:
        raise InputError(f"{level} has no vertebral body", fix=f"name one of its regions {level}/trabecular")
    return np.unique(np.concatenate(found))


def _discs_beside(mesh: SpineMesh, levels: Sequence[str], i: int) -> NDArray[np.int64]:
    """For every cell: 1 in the disc above a level, -1 in the one below, else 0."""
    side = np.zeros(len(mesh.cells), dtype=np.int64)
    if i > 0:
        side[mesh.level_cells(f"{levels[i - 1]}-{levels[i]}")] = 1
    if i + 1 < len(levels):
        side[mesh.level_cells(f"{levels[i]}-{levels[i + 1]}")] = -1
    return side


def _around_body(mesh: SpineMesh, own: NDArray[np.int64], disc_side: NDArray[np.int64]) -> list[_Facets]:
    """Facets of a body that only one of its cells has, by kind, and which disc is behind each."""
    inside = np.zeros(len(mesh.points), dtype=bool)
    inside[mesh.cells[own]] = True
    out = []
    discs = {s: outer_facets(mesh.cells[np.flatnonzero(disc_side == s)], mesh.element) for s in (1, -1)}
    for kind, found in outer_facets(mesh.cells[own], mesh.element).items():
        faces = np.zeros(len(found.facets), dtype=np.int64)
        keys = {tuple(key): row for row, key in enumerate(np.sort(found.facets, axis=1).tolist())}
        for side, others in discs.items():
            touching = others[kind].facets[inside[others[kind].facets].all(axis=1)]
            rows = [keys[tuple(key)] for key in np.sort(touching, axis=1).tolist() if tuple(key) in keys]
            faces[rows] = side
        if len(found.facets):
            out.append(_Facets(found.facets, own[found.cells], faces))
    return out


def _body_surfaces(
    mesh: SpineMesh, level: str, found: Sequence[_Facets], axis: NDArray[np.float64]
) -> Mapping[str, Surface]:
    """Facets of a body as its three surfaces, its axis improved until no facet changes sides."""
    whole = [facet_surface(mesh.points, f.facets, f.cells) for f in found]
    least = np.cos(np.deg2rad(ENDPLATE_TURN_DEG))
    before: list[NDArray[np.int64]] = []
    for _ in range(_TURNS):
        cosines = [surface.normals @ axis for surface in whole]
        side = [
            np.where(f.faces_disc != 0, f.faces_disc, np.sign(c) * (np.abs(c) >= least)).astype(np.int64)
            for f, c in zip(found, cosines, strict=True)
        ]
        for number, name in ((1, "superior"), (-1, "inferior")):
            if not any(np.any(s == number) for s in side):
                way = "up" if number > 0 else "down"
                raise InputError(
                    f"no facet of the body of {level} faces {way}: it has no {name} endplate",
                    where=f"{level}, with its axis along ({axis[0]:.2f}, {axis[1]:.2f}, {axis[2]:.2f})",
                    fix="check axes, and that the regions of the level make one closed body",
                )
        if before and all(np.array_equal(a, b) for a, b in zip(side, before, strict=True)):
            break
        before = side
        high, low = (_mean_place(mesh, whole, side, number) for number in (1, -1))
        axis = (high - low) / np.linalg.norm(high - low)
    out = {}
    for number, name in ((1, "superior_endplate"), (-1, "inferior_endplate"), (0, "outer")):
        parts = [(w, s == number) for w, s in zip(whole, side, strict=True) if np.any(s == number)]
        if len(parts) > 1:
            raise InputError(
                f"{level}/{name} is made of triangles and quadrilaterals",
                fix="mesh with cells of one kind of facet there: hexahedra, tetrahedra, or wedges in layers",
            )
        if parts:
            ((w, chosen),) = parts
            out[f"{level}/{name}"] = replace(
                w, facets=w.facets[chosen], cells=w.cells[chosen], normals=w.normals[chosen], areas=w.areas[chosen]
            )
    return out


def _mean_place(
    mesh: SpineMesh, whole: Sequence[Surface], side: Sequence[NDArray[np.int64]], number: int
) -> NDArray[np.float64]:
    """Centroid (3,) of the facets of one side, mm."""
    total, area = np.zeros(3), 0.0
    for surface, s in zip(whole, side, strict=True):
        own = s == number
        total += surface.areas[own] @ _centers(surface, mesh.points)[own]
        area += float(surface.areas[own].sum())
    return total / area


def _centers(surface: Surface, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of every facet's corners (m, 3), mm."""
    n = surface.facets.shape[1]
    return np.asarray(points[surface.facets[:, : 3 if n in (3, 6) else 4]].mean(axis=1))


def _centroid(surface: Surface, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Centroid (3,) of a surface, mm, by its facets' areas."""
    return np.asarray(surface.areas @ _centers(surface, points) / surface.areas.sum())
