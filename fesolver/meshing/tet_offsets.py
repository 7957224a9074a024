"""Shell and endplates as layers of tetrahedra of their own, between a body's surface and a copy of it further in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.meshing.quality import mesh_quality
from fesolver.meshing.tet_belts import Belts, cut_belts, heights, mean_normals
from fesolver.meshing.tet_layers import check_thickness
from fesolver.meshing.tet_moves import inward_moves
from fesolver.meshing.tet_smoothing import Sliding, relax_copy
from fesolver.surfaces.intersections import self_intersections
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, OUTER, SUPERIOR_ENDPLATE

__all__ = [
    "BodyLayers",
    "kind_thickness",
    "offset_layers",
    "prism_cells",
]

_FLATTEST, _ENOUGH = 0.03, 0.02
"""Least scaled Jacobian over a prism's height per mean edge, and one that is always enough; choices."""
_NARROWEST = 0.03
"""Least height over longest edge of a triangle that the cells inside must begin from; a choice."""
_CREASE = 0.9
"""Cosine between a triangle's normal and the mean at its point, below which the point does not slide; a choice."""
_GOOD = 5.0
"""Scaled Jacobian over the flattest allowed, below which the points of a layer's cell slide; a choice."""
_REGIONS: Mapping[str, int] = {
    "superior_endplate": SUPERIOR_ENDPLATE,
    "inferior_endplate": INFERIOR_ENDPLATE,
    "cortical": OUTER,
}
_ROUNDS, _LEAST_SCALE = 12, 0.2


@dataclass(frozen=True)
class BodyLayers:
    """A body's surface with layers below it.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm; those given come first, unchanged.
    triangles : (m, 3) ndarray of int64
        The outside, those next to an endplate's rim cut in two; endplates and posterior elements as they were.
    kind : (m,) ndarray of int8
        Of each, as `VertebraSurface.kind`.
    inner : (k, 3) ndarray of int64
        Closed surface of what the layers leave, normals outward.
    cells : (c, 4) ndarray of int64
        Tetrahedra of the layers, VTK order.
    layer : (c,) ndarray of int8
        The kind whose layer each cell belongs to.
    planes : (n, 3) ndarray
        Unit normal at each point of the inner surface along whose plane it may slide without the layers getting thinner
        or thicker; 0 at all others.
    thin_points : int
        Points under which a layer is thinner than asked for, because the full thickness does not fit, or at which the
        endplate's belt on the side wall is narrower.
    """

    points: NDArray[np.float64]
    triangles: NDArray[np.int64]
    kind: NDArray[np.int8]
    inner: NDArray[np.int64]
    cells: NDArray[np.int64]
    layer: NDArray[np.int8]
    planes: NDArray[np.float64]
    thin_points: int

    def fractions(self) -> dict[str, NDArray[np.float64]]:
        """Fractions of the parts of a vertebra in the layers' cells: every cell belongs to one."""
        out = {name: np.asarray(self.layer == number, dtype=np.float64) for name, number in _REGIONS.items()}
        return {"posterior": np.zeros(len(self.cells)), **out, "trabecular": np.zeros(len(self.cells))}


def offset_layers(
    points: NDArray[np.float64],
    triangles: NDArray[np.int64],
    kind: NDArray[np.int8],
    *,
    thickness_mm: Mapping[str, float],
    layer_cells: int = 1,
    name: str = "the surface",
) -> BodyLayers:
    """Layers of tetrahedra below the endplates and the side wall of a body.

    Parameters
    ----------
    points : (n, 3) ndarray
        mm; may hold points of other bodies too.
    triangles : (m, 3) ndarray of int64
        Closed surface of one vertebra, normals outward.
    kind : (m,) ndarray of int8
        As `VertebraSurface.kind`.
    thickness_mm : mapping of str to float
        True thickness below `superior_endplate`, `inferior_endplate` and `outer`, mm; 0 leaves the layer out.
    layer_cells : int
        Prisms through the thickness, 1 to 8.
    name : str
        `L1`, for messages.

    Returns
    -------
    BodyLayers

    Raises
    ------
    InputError
        If a thickness or `layer_cells` is out of range, or the copy meets itself even where it is not moved.

    Notes
    -----
    Points move as `fesolver.meshing.tet_moves` says. Endplates come first, over the whole footprint, as in the other
    meshes: the wall is cut at the endplate's thickness below the rim (`fesolver.meshing.tet_belts`), and the belt
    between belongs to the endplate. At a rim the way inwards is that of both sides: next to it, triangles of the copy
    are narrow or turned over. There the ends of the ways slide along the copy (`fesolver.meshing.tet_smoothing`), which
    leaves the thickness as it is.

    Prisms between a triangle and its copy are cut into three tetrahedra with diagonals from the lowest point, so that
    neighbours cut their common face alike [1]_; where points do not move they degenerate and what has no volume is left
    out. Points next to posterior elements, and to a kind without a layer, do not move: a layer ends there over the last
    row of triangles. Where a cell is turned over, or has a scaled Jacobian under 0.03 of a prism's height over the mean
    edge (0.02 is always enough), or a triangle of the copy is narrower than 0.03 of its length or meets another, the
    moves are halved, then left out.

    References
    ----------
    .. [1] J. Dompierre et al., How to subdivide pyramids, prisms and hexahedra into tetrahedra, Proc. 8th Int. Meshing
       Roundtable, 1999.
    """
    check_thickness(**thickness_mm)
    if isinstance(layer_cells, bool) or layer_cells not in range(1, 9):
        raise InputError(f"layer_cells is {layer_cells!r}, not an integer of 1 to 8")
    depth = kind_thickness(thickness_mm)
    moves = inward_moves(points, triangles, kind, depth)
    may_move = np.any(moves != 0.0, axis=1)
    scale = may_move.astype(np.float64)
    least = _least_jacobian(points, triangles, depth, layer_cells)
    moves = _relaxed(
        cut_belts(points, triangles, kind, depth, scale), moves, _least_jacobian(points, triangles, depth, 1)
    )
    for _ in range(_ROUNDS):
        belts = cut_belts(points, triangles, kind, depth, scale)
        made = _layers(belts, moves * scale[:, None], layer_cells)
        bad = _failing(made, scale=scale, least=least)
        bad = bad[scale[bad] > 0.0]
        if len(bad) == 0:
            thin = int(np.sum((may_move & (scale < 1.0)) | belts.is_whole[: len(scale)]))
            return BodyLayers(
                made.points, belts.triangles, belts.kind, made.inner, made.cells, made.layer,
                _planes(belts, made, scale), thin,
            )  # fmt: skip
        scale[bad] *= 0.5
        scale[scale < _LEAST_SCALE] = 0.0
    raise InputError(
        f"layers of the thickness asked for do not fit below the surface of {name}",
        where="{} points, one at ({:.1f}, {:.1f}, {:.1f}) mm".format(len(bad), *points[bad[0]]),
        fix="give thinner layers or smaller triangles, or use layers='fractions'",
    )


def kind_thickness(thickness_mm: Mapping[str, float]) -> NDArray[np.float64]:
    """Thickness by kind of triangle, (4,), mm, of one by name; 0 where there is no layer.

    Examples
    --------
    >>> kind_thickness({"outer": 0.35}).tolist()
    [0.0, 0.0, 0.35, 0.0]
    """
    sides = ("superior_endplate", "inferior_endplate", "outer", "posterior")
    return np.array([thickness_mm.get(side, 0.0) for side in sides])


def prism_cells(
    outer: NDArray[np.int64], inner: NDArray[np.int64], order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tetrahedra of prisms, those without four different corners left out.

    Parameters
    ----------
    outer, inner : (m, 3) ndarray of int64
        Point ids of both triangles of every prism; outer ones counter-clockwise seen from outside.
    order : (m, 3) ndarray of int64
        Numbers of their three points: diagonals go from the outer end of the lower to the inner end of the higher.

    Returns
    -------
    cells : (k, 4) ndarray of int64
        VTK order.
    prisms : (k,) ndarray of int64
        The prism of each.

    Examples
    --------
    >>> prism_cells(np.array([[0, 1, 2]]), np.array([[0, 4, 5]]), np.array([[0, 1, 2]]))[0].tolist()
    [[0, 2, 1, 5], [0, 1, 4, 5]]
    """
    sort = np.argsort(order, axis=1)
    a, b, c = np.take_along_axis(outer, sort, axis=1).T
    d, e, f = np.take_along_axis(inner, sort, axis=1).T
    cells = np.stack([np.stack(t, axis=1) for t in ((a, c, b, f), (a, b, e, f), (a, e, d, f))], axis=1)
    # An odd order sees the prism in a mirror.
    is_odd = np.isin(sort @ np.array([9, 3, 1]), (0 * 9 + 2 * 3 + 1, 1 * 9 + 0 * 3 + 2, 2 * 9 + 1 * 3 + 0))
    cells[is_odd] = cells[is_odd][:, :, [1, 0, 2, 3]]
    ranked = np.sort(cells.reshape(-1, 4), axis=1)
    is_whole = np.all(ranked[:, 1:] != ranked[:, :-1], axis=1)
    return cells.reshape(-1, 4)[is_whole], np.repeat(np.arange(len(outer)), 3)[is_whole]


def _relaxed(belts: Belts, moves: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Ways inwards after which no triangle of the copy is narrow or turned over: their ends slide along their patch."""
    made = _layers(belts, moves, 1)
    copies = np.arange(len(belts.points), len(made.points))
    roots = made.root[copies]
    is_free = np.zeros(len(made.points), dtype=np.bool_)
    is_free[copies] = _is_smooth(belts, len(moves))[roots]
    outside = TriangleSurface(belts.points, belts.triangles).normals
    copy = Sliding(made.points, made.inner, outside[made.outer], belts.kind[made.outer], made.cells, is_free)
    moved = moves.copy()
    moved[roots] = relax_copy(copy, enough_cell=_GOOD * least)[copies] - belts.points[roots]
    return moved


def _is_smooth(belts: Belts, n: int) -> NDArray[np.bool_]:
    """Which of the n given points have triangles of one kind only, without a crease."""
    triangles = belts.root[belts.triangles]
    has_kind = np.zeros((n, 4), dtype=np.bool_)
    has_kind[triangles, belts.kind[:, None]] = True
    surface = TriangleSurface(belts.points, belts.triangles)
    along = np.einsum("mki,mi->mk", mean_normals(belts.points[:n], triangles)[triangles], surface.normals)
    least = np.ones(n)
    np.minimum.at(least, triangles, along)
    return np.asarray((has_kind.sum(axis=1) == 1) & (least > _CREASE))


def _planes(belts: Belts, made: _Made, scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """`BodyLayers.planes`."""
    inside = _is_smooth(belts, len(scale)) & (scale > 0.0)
    free = np.unique(made.inner)
    free = free[(free >= len(belts.points)) & inside[made.root[free]]]
    out = np.zeros_like(made.points)
    out[free] = mean_normals(made.points, made.inner)[free]
    return out


@dataclass(frozen=True)
class _Made:
    """Points, the inner surface and its outer triangles, cells and their layers, and each point's given one."""

    points: NDArray[np.float64]
    inner: NDArray[np.int64]
    outer: NDArray[np.int64]
    cells: NDArray[np.int64]
    layer: NDArray[np.int8]
    root: NDArray[np.int64]


def _layers(belts: Belts, moves: NDArray[np.float64], layer_cells: int) -> _Made:
    """Prisms below the outside, their points moved inward."""
    x, root = belts.points, belts.root
    # Cuts come next to their point of the rim: with another point between them a cell in one plane would be left.
    order = np.empty(len(x), dtype=np.int64)
    order[np.argsort(root, kind="stable")] = np.arange(len(x))
    used = np.zeros(len(x), dtype=np.bool_)
    used[belts.triangles] = True
    moving = np.flatnonzero(used & np.any(moves[root] != 0.0, axis=1))
    target = x[root[moving]] + moves[root[moving]]
    below = np.arange(len(x))
    points, roots, cells, layer = [x], [root], [], []
    n = len(x)
    for step in range(1, layer_cells + 1):
        above, below = below, below.copy()
        if step < layer_cells:
            share = step / layer_cells
            added = (1.0 - share) * x[moving] + share * target
            below[moving] = n + np.arange(len(moving))
            roots.append(root[moving])
        else:
            # All points of a belt that hang on one point of the rim meet in its copy.
            first, back = np.unique(root[moving], return_inverse=True)
            added = x[first] + moves[first]
            below[moving] = n + back
            roots.append(first)
        points.append(added)
        n += len(added)
        own, prisms = prism_cells(above[belts.triangles], below[belts.triangles], order[belts.triangles])
        cells.append(own)
        layer.append(belts.layer[prisms])
    inner = below[belts.triangles]
    outer = np.flatnonzero(np.all(inner != np.roll(inner, 1, axis=1), axis=1))
    return _Made(
        np.concatenate(points), inner[outer], outer, np.concatenate(cells), np.concatenate(layer), np.concatenate(roots)
    )


def _least_jacobian(
    points: NDArray[np.float64], triangles: NDArray[np.int64], depth: NDArray[np.float64], layer_cells: int
) -> float:
    """Scaled Jacobian under which a cell of a layer is too flat for its height."""
    x = points[triangles]
    edge = float(np.linalg.norm(np.roll(x, -1, axis=1) - x, axis=2).mean())
    height = float(depth[depth > 0.0].min(initial=np.inf)) / layer_cells
    return min(_ENOUGH, _FLATTEST * height / edge)


def _failing(made: _Made, *, scale: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """Given points whose move turns a cell over or makes it too flat, or makes a triangle narrow or meet another."""
    is_bad = np.zeros(len(scale), dtype=np.bool_)
    cells, root = made.cells, made.root
    if len(cells):
        quality = mesh_quality(made.points, cells, "tet4").scaled_jacobian
        # A thinner layer is flatter: it is not worse for that.
        part = scale[root[cells]]
        is_bad[root[cells[quality < least * part.min(axis=1, initial=1.0, where=part > 0.0)]]] = True
    surface = TriangleSurface(made.points, made.inner)
    is_bad[root[made.inner[heights(surface) < _NARROWEST]]] = True
    is_bad[root[made.inner[self_intersections(surface)]]] = True
    return np.flatnonzero(is_bad)
