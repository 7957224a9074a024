"""Surfaces mended where that changes nothing that matters, and refused where not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.surfaces.checks import check_surface
from fesolver.surfaces.findings import SurfaceFindingKind, SurfaceReport
from fesolver.surfaces.holes import fill_holes
from fesolver.surfaces.measures import crumb_shells, flat_triangles
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.topology import edge_components, edges_of, merge_points, merge_tolerance, orientation_flips
from fesolver.surfaces.untangle import relax_intersections

__all__ = ["MAX_HOLE_MM", "MAX_MOVE_MM", "repair_surface", "require_valid"]

MAX_HOLE_MM = 10.0
"""Way around the longest opening that is filled. A choice: a few triangles of a scanner's surface."""

MAX_MOVE_MM = 2.0
"""How far a point may move to undo a self-intersection. A choice: one edge of a scanner's surface."""

_FIX: Mapping[SurfaceFindingKind, str] = MappingProxyType(
    {
        "empty": "check the file in a viewer",
        "open": "close it in the program that made it; only openings up to {hole:.0f} mm around are filled here",
        "non_manifold": "remove the inner or doubled walls in the program that made it",
        "pinched": "separate the parts that touch, or join them, in the program that made it",
        "one_sided": "make it again as a closed surface",
        "shells": "give one vertebra per file, in one piece",
        "cavity": "fill the inside before the surface is made: the bone's density tells what is hollow",
        "self_intersection": "mend it in the program that made it; points may move by {move:.1f} mm at most here",
    }
)
_FIX_REST = "mend it in the program that made it"


def require_valid(
    surface: TriangleSurface, name: str, *, repair: bool = True, max_hole_mm: float = MAX_HOLE_MM
) -> tuple[TriangleSurface, SurfaceReport]:
    """A surface that can be meshed: closed, in one piece, facing outward, meeting itself nowhere.

    Parameters
    ----------
    surface : TriangleSurface
        In mm.
    name : str
        File or level, for messages.
    repair : bool, optional
        Mend it first, as `repair_surface` does; else whatever is not right is refused, inward normals too.
    max_hole_mm : float, optional
        Way around the longest opening that is filled, mm.

    Returns
    -------
    surface : TriangleSurface
        The one given where there was nothing to mend.
    report : SurfaceReport
        Of what is returned, with what was done.

    Raises
    ------
    InputError
        If faults are left: all of them in one message, with their number and place.
    """
    repairs: tuple[str, ...] = ()
    if repair:
        surface, repairs = repair_surface(surface, max_hole_mm=max_hole_mm)
    report = replace(check_surface(surface, name=name), repairs=repairs)
    if report.is_valid:
        return surface, report
    first, *rest = report.faults
    fix = _FIX.get(first.kind, _FIX_REST).format(hole=max_hole_mm, move=MAX_MOVE_MM)
    if not repair:
        fix += "; or let what is small be mended here: repair = true"
    x, y, z = first.place_mm
    raise InputError(
        "\n".join([f"the surface cannot be meshed: {first.message}", *(f"  and: {fault}" for fault in rest)]),
        where=f"{name}, at ({x:.1f}, {y:.1f}, {z:.1f}) mm in LPS",
        fix=fix,
    )


def repair_surface(
    surface: TriangleSurface, *, max_hole_mm: float = MAX_HOLE_MM, max_move_mm: float = MAX_MOVE_MM
) -> tuple[TriangleSurface, tuple[str, ...]]:
    """Mend what can be mended without a decision about the anatomy; leave the rest.

    Parameters
    ----------
    surface : TriangleSurface
        In mm; it is not changed.
    max_hole_mm : float, optional
        Way around the longest opening that is filled, mm.
    max_move_mm : float, optional
        How far a point may move to undo a self-intersection, mm.

    Returns
    -------
    surface : TriangleSurface
        The one given where nothing was done.
    done : tuple of str
        What was done, with numbers, in its order.

    Notes
    -----
    In this order: points in one place become one (`topology.merge_tolerance`); triangles without area go, and where a
    point lies on the edge opposite to it, that edge is moved; copies of triangles go; neighbours are made to agree;
    pieces under 1 % of the largest go; openings are filled; a surface facing inward is turned over; self-intersections
    are smoothed away (`untangle.relax_intersections`); points of no triangle go.
    """
    if len(surface.triangles) == 0:
        return surface, ()
    done: list[str] = []
    points, triangles = _merged(surface, done)
    triangles = _without_flat(points, triangles, done)
    triangles = _without_copies(triangles, done)
    triangles = _agreeing(triangles, done)
    triangles = _without_crumbs(points, triangles, done)
    triangles, filled = fill_holes(points, triangles, max_length_mm=max_hole_mm)
    if filled:
        done.append(f"{len(filled)} openings filled, the longest {max(filled):.1f} mm around")
        triangles = _agreeing(triangles, done)
    if np.all(edges_of(triangles).n_triangles == 2) and TriangleSurface(points, triangles).volume < 0:
        triangles = triangles[:, ::-1]
        done.append("normals pointed inward: all triangles turned over")
    relaxed = relax_intersections(TriangleSurface(points, triangles), max_move_mm=max_move_mm)
    if relaxed is not None and relaxed[1] > 0:
        points = relaxed[0].points
        done.append(f"self-intersections smoothed away, points moved by up to {relaxed[1]:.2f} mm")
    used, number = np.unique(triangles, return_inverse=True)
    if len(used) < len(points):
        done.append(f"{len(points) - len(used)} points of no triangle removed")
        points, triangles = points[used], number.reshape(-1, 3)
    return (TriangleSurface(points, np.ascontiguousarray(triangles)), tuple(done)) if done else (surface, ())


def _merged(surface: TriangleSurface, done: list[str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points in one place as one."""
    used = surface.points[np.unique(surface.triangles)]
    points, number = merge_points(surface.points, merge_tolerance(used))
    if len(points) == len(surface.points):
        return surface.points, surface.triangles
    done.append(f"{len(surface.points) - len(points)} points merged with others in the same place")
    return points, number[surface.triangles]


def _without_flat(points: NDArray[np.float64], triangles: NDArray[np.int64], done: list[str]) -> NDArray[np.int64]:
    """Triangles without area taken out, with no gap left: a point on another triangle's edge becomes its corner."""
    start = len(flat_triangles(TriangleSurface(points, triangles)))
    is_double = np.any(triangles == np.roll(triangles, 1, axis=1), axis=1)
    triangles = triangles[~is_double]
    for _ in range(20):
        flat = flat_triangles(TriangleSurface(points, triangles)) if len(triangles) else np.zeros(0, np.int64)
        moved = _with_moved_edges(points, triangles, flat) if len(flat) else triangles
        if moved is triangles:
            break
        triangles = moved
    left = len(flat) if len(triangles) else 0
    if start > left:
        done.append(f"{start - left} triangles without area removed")
    return triangles


def _with_moved_edges(
    points: NDArray[np.float64], triangles: NDArray[np.int64], flat: NDArray[np.int64]
) -> NDArray[np.int64]:
    """One pass: every flat triangle that can be is exchanged with its neighbour across the longest side."""
    edges = edges_of(triangles)
    taken = set(map(tuple, edges.points.tolist()))
    out, touched, gone = triangles.copy(), set[int](), []
    for t in flat.tolist():
        a, b, c = triangles[t]
        sides = [np.linalg.norm(points[q] - points[p]) for p, q in ((a, b), (b, c), (c, a))]
        k = int(np.argmax(sides))
        tip = triangles[t, (k + 2) % 3]
        there, where = np.nonzero(edges.of_triangle == edges.of_triangle[t, k])
        other = there[there != t]
        if t in touched or len(other) > 1 or touched & set(other.tolist()):
            continue
        if len(other) == 0:  # at an opening: nothing behind it
            gone.append(t)
            touched.add(t)
            continue
        n, side = int(other[0]), int(where[there != t][0])
        far = triangles[n, (side + 2) % 3]
        if (min(tip, far), max(tip, far)) in taken:
            continue
        # The neighbour keeps its own direction, which need not agree.
        p, q = triangles[n, side], triangles[n, (side + 1) % 3]
        out[t], out[n] = (p, tip, far), (tip, q, far)
        taken.add((min(tip, far), max(tip, far)))
        touched |= {t, n}
    return np.delete(out, gone, axis=0) if touched else triangles


def _without_copies(triangles: NDArray[np.int64], done: list[str]) -> NDArray[np.int64]:
    """One of several triangles with the same corners kept, or none where the surface closes without it."""
    _, group, counts = np.unique(np.sort(triangles, axis=1), axis=0, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    if counts.max() == 1:
        return triangles
    edges = edges_of(triangles)
    keep = np.ones(len(triangles), bool)
    for same in np.flatnonzero(counts > 1):
        copies = np.flatnonzero(group == same)
        others = edges.n_triangles[edges.of_triangle[copies[0]]] - len(copies)
        keep[copies[0 if np.all(others == 2) else 1 :]] = False
    done.append(f"{int((~keep).sum())} triangles in the place of others removed")
    return triangles[keep]


def _agreeing(triangles: NDArray[np.int64], done: list[str]) -> NDArray[np.int64]:
    """Triangles turned over so that neighbours agree."""
    flip, _ = orientation_flips(edges_of(triangles))
    if not flip.any():
        return triangles
    done.append(f"{int(flip.sum())} triangles turned over to agree with their neighbours")
    return np.where(flip[:, None], triangles[:, ::-1], triangles)


def _without_crumbs(points: NDArray[np.float64], triangles: NDArray[np.int64], done: list[str]) -> NDArray[np.int64]:
    """Pieces that are noise taken out."""
    n, shell = edge_components(edges_of(triangles))
    if n == 1:
        return triangles
    _, is_crumb = crumb_shells(TriangleSurface(points, triangles), shell, n)
    if not is_crumb.any():
        return triangles
    done.append(f"{int(is_crumb.sum())} pieces under 1 % of the largest removed")
    return triangles[~is_crumb[shell]]
