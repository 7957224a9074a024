"""What is wrong with a surface, how often and where."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fesolver.surfaces.findings import SurfaceFinding, SurfaceFindingKind, SurfaceReport
from fesolver.surfaces.intersections import self_intersections
from fesolver.surfaces.measures import (
    crumb_shells,
    flat_triangles,
    is_inside_shell,
    shell_volumes,
    triangle_quality,
)
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.topology import (
    Edges,
    edge_components,
    edges_of,
    graph_components,
    merge_points,
    merge_tolerance,
    orientation_flips,
    pinched_points,
)

__all__ = ["check_surface"]

_POOR_QUALITY = 0.1  # a triangle with an angle of 4 degrees; remeshing removes them


def check_surface(surface: TriangleSurface, *, name: str) -> SurfaceReport:
    """Look for everything that keeps a surface from being meshed, and change nothing.

    Parameters
    ----------
    surface : TriangleSurface
        In mm.
    name : str
        Its file or level, for the report.

    Returns
    -------
    SurfaceReport
        Findings with counts and places.

    Notes
    -----
    Normals are called inward only where the surface is closed and its triangles agree. The genus follows from Euler's
    number: points - edges + triangles = 2 pieces - 2 genus. Self-intersections: `intersections.self_intersections`.

    Examples
    --------
    >>> corners = np.array([[0, 0, 0], [30, 0, 0], [0, 30, 0], [0, 0, 30]], dtype=float)
    >>> open_one = TriangleSurface(corners, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3]]))
    >>> print(check_surface(open_one, name="L1").findings[0])
    1 opening of 3 edges in all, the longest 102.4 mm around, at (0.0, 10.0, 10.0) mm [open]
    """
    if len(surface.triangles) == 0:
        empty = SurfaceFinding("empty", 0, (0.0, 0.0, 0.0), "no triangles")
        return SurfaceReport(name, (empty,), len(surface.points), 0, 0, None, 0.0, 0.0, (0.0, 0.0, 0.0), (0.0, 0.0))
    edges = edges_of(surface.triangles)
    n_shells, shell = edge_components(edges)
    is_closed = bool(np.all(edges.n_triangles == 2))
    used = np.unique(surface.triangles)
    euler = len(used) - len(edges.points) + len(surface.triangles)
    pinched = pinched_points(surface.triangles, edges)
    flip, is_one_sided = orientation_flips(edges)
    agreeing = TriangleSurface(surface.points, np.where(flip[:, None], surface.triangles[:, ::-1], surface.triangles))
    # A pinched point stands for one point of each part.
    genus = n_shells - euler // 2 if is_closed and not len(pinched) else None
    findings = [
        *_check_points(surface, used),
        *_check_triangles(surface),
        *_check_edges(surface, edges, pinched),
        *_check_orientation(surface, flip, is_one_sided, is_closed),
        *_check_shells(agreeing, shell, n_shells, is_closed),
        *_check_intersections(surface),
        *_check_shape(surface, genus),
    ]
    lengths = np.linalg.norm(np.diff(surface.points[edges.points], axis=1)[:, 0], axis=1)
    quality = triangle_quality(surface)
    return SurfaceReport(
        name,
        tuple(findings),
        len(surface.points),
        len(surface.triangles),
        n_shells,
        genus,
        surface.volume,
        float(surface.areas.sum()),
        (float(lengths.min()), float(np.median(lengths)), float(lengths.max())),
        (float(quality.min()), float(np.median(quality))),
    )


def _check_points(surface: TriangleSurface, used: NDArray[np.int64]) -> Iterator[SurfaceFinding]:
    """Points in one place, and points of no triangle."""
    points = surface.points[used]
    merged, number = merge_points(points, merge_tolerance(points))
    if len(merged) < len(points):
        again = np.ones(len(points), bool)
        again[np.unique(number, return_index=True)[1]] = False
        n = int(again.sum())
        yield _finding("duplicate_point", n, points[again][0], f"{_counted(n, 'point')} in the place of another one")
    free = np.setdiff1d(np.arange(len(surface.points)), used)
    if len(free):
        yield _finding(
            "unreferenced_point", len(free), surface.points[free[0]], f"{_counted(len(free), 'point')} of no triangle"
        )


def _check_triangles(surface: TriangleSurface) -> Iterator[SurfaceFinding]:
    """Triangles without area, and copies."""
    flat = flat_triangles(surface)
    if len(flat):
        yield _finding(
            "degenerate", len(flat), surface.centers[flat[0]], f"{_counted(len(flat), 'triangle')} without area"
        )
    _, first = np.unique(np.sort(surface.triangles, axis=1), axis=0, return_index=True)
    copies = np.setdiff1d(np.arange(len(surface.triangles)), first)
    if len(copies):
        text = f"{_counted(len(copies), 'triangle')} with the corners of another one"
        yield _finding("duplicate_triangle", len(copies), surface.centers[copies[0]], text)


def _check_edges(surface: TriangleSurface, edges: Edges, pinched: NDArray[np.int64]) -> Iterator[SurfaceFinding]:
    """Openings, edges of three and more, and points where parts touch."""
    points = surface.points
    free = edges.points[edges.n_triangles == 1]
    if len(free):
        n, opening = graph_components(len(points), free[:, 0], free[:, 1])
        lengths = np.bincount(opening[free[:, 0]], np.linalg.norm(points[free[:, 0]] - points[free[:, 1]], axis=1), n)
        longest = int(np.argmax(lengths))
        count = int(np.sum(lengths > 0))
        text = f"{_counted(count, 'opening')} of {_counted(len(free), 'edge')} in all"
        text += f", the longest {lengths[longest]:.1f} mm around"
        yield _finding("open", count, points[opening == longest].mean(axis=0), text)
    many = np.flatnonzero(edges.n_triangles > 2)
    if len(many):
        text = f"{_counted(len(many), 'edge')} with more than two triangles"
        yield _finding("non_manifold", len(many), points[edges.points[many[0]]].mean(axis=0), text)
    if len(pinched):
        text = f"{_counted(len(pinched), 'point')} where parts of the surface touch without an edge in common"
        yield _finding("pinched", len(pinched), points[pinched[0]], text)


def _check_orientation(
    surface: TriangleSurface, flip: NDArray[np.bool_], is_one_sided: NDArray[np.bool_], is_closed: bool
) -> Iterator[SurfaceFinding]:
    """Pieces without two sides, triangles that disagree, and normals that point inward."""
    single, turned = np.flatnonzero(is_one_sided), np.flatnonzero(flip)
    if len(single):
        text = f"a piece of {_counted(len(single), 'triangle')} with one side only"
        yield _finding("one_sided", len(single), surface.centers[single[0]], text)
    if len(turned):
        text = f"{_counted(len(turned), 'triangle')} facing the other way than the neighbours"
        yield _finding("orientation", len(turned), surface.centers[turned[0]], text)
    elif is_closed and not len(single) and surface.volume < 0:
        text = f"normals point inward: the enclosed volume is {surface.volume:.0f} mm3"
        yield _finding("inward", len(surface.triangles), surface.centers[0], text)


def _check_shells(
    surface: TriangleSurface, shell: NDArray[np.int64], n_shells: int, is_closed: bool
) -> Iterator[SurfaceFinding]:
    """Pieces beside the largest: crumbs, cavities, other bodies."""
    if n_shells == 1:
        return
    main, is_crumb = crumb_shells(surface, shell, n_shells)
    volume = np.abs(shell_volumes(surface, shell, n_shells))
    places = [surface.centers[shell == s].mean(axis=0) for s in range(n_shells)]
    large = [s for s in range(n_shells) if s != main and not is_crumb[s]]
    inside = [s for s in large if is_closed and is_inside_shell(surface, shell == main, surface.centers[shell == s][0])]
    apart = [s for s in large if s not in inside]
    crumbs = np.flatnonzero(is_crumb)
    if len(crumbs):
        small = f"{volume[crumbs].sum():.2f} mm3 in all"
        text = f"{_counted(len(crumbs), 'small piece')} ({small}) beside the one of {volume[main]:.0f} mm3"
        yield _finding("crumb", len(crumbs), places[crumbs[0]], text)
    if inside:
        text = f"{_counted(len(inside), 'closed piece')} inside the surface, the first of {volume[inside[0]]:.0f} mm3"
        yield _finding("cavity", len(inside), places[inside[0]], text)
    if apart:
        sizes = f"{volume[main]:.0f} mm3, the first of {volume[apart[0]]:.0f} mm3"
        text = f"{_counted(len(apart), 'large piece')} apart from the one of {sizes}"
        yield _finding("shells", len(apart), places[apart[0]], text)


def _check_intersections(surface: TriangleSurface) -> Iterator[SurfaceFinding]:
    """Pairs of triangles that meet."""
    pairs = self_intersections(surface)
    if len(pairs):
        text = f"{_counted(len(pairs), 'pair')} of triangles that run through each other"
        yield _finding("self_intersection", len(pairs), surface.centers[pairs[0]].mean(axis=0), text)


def _check_shape(surface: TriangleSurface, genus: int | None) -> Iterator[SurfaceFinding]:
    """What is unusual and can be meshed."""
    if genus is not None and genus > 1:
        text = f"{genus} handles, where a vertebra has one, its canal"
        yield _finding("handles", genus, surface.points[surface.triangles].mean(axis=(0, 1)), text)
    quality = triangle_quality(surface)
    poor = np.flatnonzero(quality < _POOR_QUALITY)
    if len(poor):
        worst = int(np.argmin(quality))
        text = f"{_counted(len(poor), 'sliver')}, the worst of quality {quality[worst]:.3f}"
        yield _finding("quality", len(poor), surface.centers[worst], text)


def _finding(kind: SurfaceFindingKind, count: int, place: NDArray[np.float64], message: str) -> SurfaceFinding:
    """Finding with its place as plain numbers."""
    x, y, z = (float(value) for value in place)
    return SurfaceFinding(kind, count, (x, y, z), message)


def _counted(n: int, word: str) -> str:
    """Number and noun."""
    return f"{n} {word}{'s' * (n != 1)}"
