"""Surfaces of the parametric anatomy: bodies and whole vertebrae, their parts named."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from fesolver.anatomy.body_map import body_points
from fesolver.anatomy.column import PlacedVertebra
from fesolver.anatomy.dimensions import VertebraDimensions
from fesolver.anatomy.posterior import arch_depth
from fesolver.anatomy.shape import body_coordinates
from fesolver.errors import InputError
from fesolver.imaging.volume import Volume
from fesolver.surfaces.closest import ClosestPoint
from fesolver.surfaces.features import edge_marks, with_lines
from fesolver.surfaces.from_labels import level_surface
from fesolver.surfaces.half_edges import border_edges, half_edges
from fesolver.surfaces.relax_kernels import FREE, closest_on_lines, relaxed_points
from fesolver.surfaces.remesh import remesh_surface
from fesolver.surfaces.remesh_kernels import accept_moves, flip_edges
from fesolver.surfaces.strips import strip_triangles
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, OUTER, POSTERIOR, SUPERIOR_ENDPLATE

__all__ = ["body_surface", "check_edge", "vertebra_surface"]

_ENDPLATES = (SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE)
_FINER = 2.5
"""Wanted edges over those of the exact triangles that are remeshed: chords then cut off 6 times less."""
_STEP = 0.6
"""Step of the lattice in wanted edges."""
_REACH_MM = np.array([[-70.0, 70.0], [-45.0, 95.0], [-50.0, 40.0]])
_COARSE_MM = 2.0
_MARGIN_MM = 5.0
_EVENINGS = 8
_ISLAND, _ISLAND_ROUNDS = 10.0, 5
"""Patches of a kind under this many squared edges are no part of their own."""
_EDGE_RANGE_MM = (0.2, 10.0)


def body_surface(vertebra: PlacedVertebra, *, edge_mm: float) -> tuple[TriangleSurface, NDArray[np.int8]]:
    """Closed surface of a parametric vertebral body.

    Parameters
    ----------
    vertebra : PlacedVertebra
        The body and where it stands.
    edge_mm : float
        Edge length of the triangles, mm, 0.2 to 10.

    Returns
    -------
    surface : TriangleSurface
        In the column's parent frame, mm.
    kind : (m,) ndarray of int8
        `SUPERIOR_ENDPLATE`, `INFERIOR_ENDPLATE` or `OUTER`, as `fesolver.surfaces.vertebra` has them. Each endplate
        ends at its rim, which is a line of edges.

    Raises
    ------
    InputError
        If `edge_mm` is out of range.

    Notes
    -----
    The map `fesolver.anatomy.body_map.body_points`, which the structured hexahedra fill, at r = 1 and s = -1, +1, on
    triangles 2.5 times finer than asked for, remeshed at equal volume with the rims kept.

    Examples
    --------
    >>> from fesolver.anatomy.column import build_column
    >>> surface, kind = body_surface(build_column(["L1"])["L1"], edge_mm=3.0)
    >>> round(surface.volume / 1000.0, 1), np.unique(kind).tolist()
    (25.1, [0, 1, 2])
    """
    check_edge(edge_mm)
    exact, kind = _exact_body(vertebra, edge_mm / _FINER)
    surface, tags = remesh_surface(exact, edge_mm, tags=kind)
    return surface, tags.astype(np.int8)


def vertebra_surface(
    vertebra: PlacedVertebra, *, edge_mm: float, longer_left_mm: float = 0.0
) -> tuple[TriangleSurface, NDArray[np.int8]]:
    """Closed surface of a parametric vertebra with its posterior elements.

    Parameters
    ----------
    vertebra : PlacedVertebra
        The vertebra and where it stands.
    edge_mm : float
        Edge length of the triangles, mm, 0.2 to 10.
    longer_left_mm : float, optional
        Extra length of the left transverse process, mm: a mark that tells left from right.

    Returns
    -------
    surface : TriangleSurface
        In the column's parent frame, mm; one shell with the canal as its hole.
    kind : (m,) ndarray of int8
        As for `body_surface`, and `POSTERIOR` on pedicles, laminae and processes.

    Raises
    ------
    InputError
        If `edge_mm` is out of range.

    Notes
    -----
    The union of the body (`anatomy.shape.body_coordinates`) and the arch (`anatomy.posterior.arch_depth`) is where the
    larger of both depths is positive; its surface is cut out of a lattice of 0.6 edges by marching tetrahedra and
    remeshed at equal volume. Points between an endplate and the wall are put on the body's rim; other edges (of the
    laminae, round the pedicles' roots) are rounded by about a step of the lattice.
    """
    check_edge(edge_mm)
    d = vertebra.dimensions
    local = level_surface(_union_depth(d, _STEP * edge_mm, longer_left_mm), 0.0)
    raw = TriangleSurface(vertebra.frame.to_parent(local.points), local.triangles)
    body, body_kind = _exact_body(vertebra, edge_mm / _FINER)
    centers = vertebra.frame.to_local(raw.centers)
    behind = arch_depth(centers, d, longer_left_mm=longer_left_mm) > body_coordinates(centers, d).depth_mm
    kind = np.where(behind, POSTERIOR, body_kind[ClosestPoint(body)(raw.centers).triangles])
    kind = _without_islands(raw, kind, _ISLAND * edge_mm**2)
    surface, tags = remesh_surface(_with_even_borders(raw, kind, body, body_kind), edge_mm, tags=kind)
    return surface, tags.astype(np.int8)


def check_edge(edge_mm: float) -> None:
    """Refuse lengths that cannot be an edge on a vertebra."""
    low, high = _EDGE_RANGE_MM
    if not low <= edge_mm <= high:
        raise InputError(f"edge_mm = {edge_mm:g} is outside {low:g} to {high:g} mm")


def _exact_body(vertebra: PlacedVertebra, edge_mm: float) -> tuple[TriangleSurface, NDArray[np.int64]]:
    """Points of the body's map on rings of both endplates and rows of the wall, and the kind of every triangle."""
    d = vertebra.dimensions
    radius = 0.25 * max(d.superior_width_mm + d.superior_depth_mm, d.inferior_width_mm + d.inferior_depth_mm)
    rings = max(3, int(np.ceil(radius / edge_mm)))
    rows = max(2, int(np.ceil(max(d.anterior_height_mm, d.posterior_height_mm) / edge_mm)))
    # From the middle of the inferior endplate to its rim, up the wall, and to the middle of the superior endplate.
    r = np.concatenate([np.arange(rings) / rings, np.ones(rows + 1), np.arange(rings)[::-1] / rings])
    s = np.concatenate([-np.ones(rings), np.linspace(-1.0, 1.0, rows + 1), np.ones(rings)])
    around = [max(1, round(6 * rings * v)) for v in r]
    angles = [np.arange(k) * (2.0 * np.pi / k) for k in around]
    start = np.concatenate([[0], np.cumsum(around)])
    at = np.concatenate(angles)
    radii, heights = np.repeat(r, around), np.repeat(s, around)
    points = body_points(radii * np.cos(at), radii * np.sin(at), heights, d)
    strips = [strip_triangles(a, b) + first for a, b, first in zip(angles[:-1], angles[1:], start[:-2], strict=True)]
    kinds = [INFERIOR_ENDPLATE] * rings + [OUTER] * rows + [SUPERIOR_ENDPLATE] * rings
    kind = np.repeat(kinds, [len(strip) for strip in strips])
    return TriangleSurface(vertebra.frame.to_parent(points), np.concatenate(strips)), kind


def _union_depth(d: VertebraDimensions, step: float, longer_left_mm: float) -> Volume:
    """Depth below the surface of body and arch together on a lattice in the body frame."""

    def depth(low: NDArray[np.float64], high: NDArray[np.float64], step: float) -> Volume:
        shape = tuple(int(v) for v in np.ceil((high - low) / step) + 1)
        affine = np.diag([step, step, step, 1.0])
        affine[:3, 3] = low
        grid = Volume(np.empty(0), affine).to_mm(np.indices(shape).reshape(3, -1).T)
        values = np.maximum(body_coordinates(grid, d).depth_mm, arch_depth(grid, d, longer_left_mm=longer_left_mm))
        return Volume(values.reshape(shape), affine)

    coarse = depth(_REACH_MM[:, 0], _REACH_MM[:, 1], _COARSE_MM)
    inside = coarse.to_mm(np.argwhere(coarse.values > -_COARSE_MM))
    return depth(inside.min(axis=0) - _MARGIN_MM, inside.max(axis=0) + _MARGIN_MM, step)


def _without_islands(surface: TriangleSurface, kind: NDArray[np.int64], least_mm2: float) -> NDArray[np.int64]:
    """Kinds with connected patches below an area given to the kind they border on most."""
    m = len(kind)
    twin = half_edges(surface, kind, np.ones(len(surface.points))).twin
    own, other = np.arange(3 * m) // 3, twin // 3
    for _ in range(_ISLAND_ROUNDS):
        same = np.asarray(kind[own] == kind[other])
        graph = csr_matrix((np.ones(int(same.sum()), dtype=bool), (own[same], other[same])), shape=(m, m))
        patch = connected_components(graph, directed=False)[1]
        is_small = np.asarray(np.bincount(patch, surface.areas)[patch] < least_mm2)
        if not is_small.any():
            break
        border = np.flatnonzero(~same & is_small[own] & ~is_small[other])
        votes = np.zeros((int(patch.max()) + 1, int(kind.max()) + 1), dtype=np.int64)
        np.add.at(votes, (patch[own[border]], kind[other[border]]), 1)
        has_votes = np.asarray(votes.sum(axis=1) > 0)
        kind = np.where(is_small & has_votes[patch], np.argmax(votes, axis=1)[patch], kind)
    return kind


def _with_even_borders(
    raw: TriangleSurface, kind: NDArray[np.int64], body: TriangleSurface, body_kind: NDArray[np.int64]
) -> TriangleSurface:
    """The surface with an endplate's border on the body's rim, and the arch's border evened out."""
    mesh = half_edges(raw, kind, np.ones(len(raw.points)))
    mesh, _ = with_lines(mesh, *edge_marks(mesh, None))
    rims = body.points[border_edges(body.triangles, body_kind, _ENDPLATES, OUTER)]
    starts = np.array([0, len(rims)])
    border = np.unique(border_edges(mesh.triangles, kind, _ENDPLATES, OUTER))
    on_rim = np.full(len(mesh.points), FREE)
    on_rim[border] = 0
    closest = ClosestPoint(raw)
    for _ in range(_EVENINGS):
        flip_edges(mesh.points, mesh.triangles, mesh.twin, mesh.leaving, mesh.curve, True)
        targets, _, line = relaxed_points(
            mesh.points, mesh.triangles, mesh.twin, mesh.leaving, mesh.curve, mesh.is_fixed, mesh.size
        )
        on_raw = closest(targets).points
        targets = np.where((line == FREE)[:, None], mesh.points, np.where((on_rim == FREE)[:, None], on_raw, targets))
        targets = closest_on_lines(targets, on_rim, starts, rims)
        accept_moves(mesh.points, mesh.triangles, mesh.twin, mesh.leaving, targets)
    return TriangleSurface(mesh.points, mesh.triangles)
