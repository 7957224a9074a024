"""Surfaces of parametric discs that share the triangles of the endplates they lie between."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.column import PlacedVertebra
from fesolver.anatomy.disc_shape import DiscShape
from fesolver.anatomy.section import posterior_narrowing, section_axes
from fesolver.errors import InputError
from fesolver.surfaces.from_column import check_edge
from fesolver.surfaces.half_edges import border_edges
from fesolver.surfaces.strips import strip_triangles
from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import INFERIOR_ENDPLATE, OUTER, SUPERIOR_ENDPLATE

__all__ = ["disc_surface"]

_LEAST_AROUND = 8


def disc_surface(
    shape: DiscShape,
    *,
    upper: tuple[TriangleSurface, NDArray[np.int8]],
    lower: tuple[TriangleSurface, NDArray[np.int8]],
    edge_mm: float,
) -> tuple[TriangleSurface, NDArray[np.int8]]:
    """Closed surface of a parametric disc between two bodies, with the bodies' own endplate triangles.

    Parameters
    ----------
    shape : DiscShape
        The disc.
    upper, lower : (TriangleSurface, (m,) ndarray of int8)
        Bodies above and below with their kinds, from `body_surface`.
    edge_mm : float
        Edge length of the triangles on the wall, mm, 0.2 to 10.

    Returns
    -------
    surface : TriangleSurface
        In the column's parent frame, mm. Points on the endplates are the bodies' points bit by bit, so that equal
        coordinates tell which are shared; their triangles are the bodies' turned round.
    kind : (k,) ndarray of int8
        `INFERIOR_ENDPLATE` on the upper body's endplate, `SUPERIOR_ENDPLATE` on the lower body's, `OUTER` on the wall.

    Raises
    ------
    InputError
        If `edge_mm` is out of range, or a surface has no such endplate with one rim.
    """
    check_edge(edge_mm)
    above = _endplate(*upper, INFERIOR_ENDPLATE, shape.upper, -1.0)
    below = _endplate(*lower, SUPERIOR_ENDPLATE, shape.lower, 1.0)
    height = float(np.mean(shape.heights(np.cos(below[3]), np.sin(below[3]))))
    count = max(1, round(height / edge_mm))
    perimeter = float(
        np.sum(np.linalg.norm(np.diff(below[0][below[2]], axis=0, append=below[0][below[2][:1]]), axis=1))
    )
    around = max(_LEAST_AROUND, round(perimeter / edge_mm))
    angle = np.linspace(0.0, 2.0 * np.pi, around, endpoint=False)
    points = [below[0], above[0]]
    rows: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = [(below[2], below[3])]
    n = len(below[0]) + len(above[0])
    for s in np.linspace(-1.0, 1.0, count + 1)[1:-1]:
        points.append(shape.points(np.cos(angle), np.sin(angle), s))
        rows.append((n + np.arange(len(angle), dtype=np.int64), angle))
        n += len(angle)
    rows.append((len(below[0]) + above[2], above[3]))
    wall = [np.concatenate([a[0], b[0]])[strip_triangles(a[1], b[1])] for a, b in pairwise(rows)]
    triangles = np.concatenate([below[1][:, ::-1], above[1][:, ::-1] + len(below[0]), *wall])
    sizes = (len(below[1]), len(above[1]), sum(len(w) for w in wall))
    kind = np.repeat(np.array([SUPERIOR_ENDPLATE, INFERIOR_ENDPLATE, OUTER], dtype=np.int8), sizes)
    return TriangleSurface(np.concatenate(points), triangles), kind


def _endplate(
    surface: TriangleSurface, kind: NDArray[np.int8], which: int, vertebra: PlacedVertebra, side: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Points and triangles of an endplate, and the ids and rising angles of its rim's points."""
    chosen = surface.triangles[kind == which]
    edges = border_edges(surface.triangles, kind, (which,), OUTER)
    used = np.unique(chosen)
    rim = np.searchsorted(used, edges[:, 0])
    local = vertebra.frame.to_local(surface.points[used[rim]])
    a, b, c = (float(v[0]) for v in section_axes(np.array([side]), vertebra.dimensions))
    xi, eta = local[:, 0] / a, (local[:, 1] - 0.5 * c) / b
    eta = eta / np.where(eta > 0.0, posterior_narrowing(np.clip(xi, -1.0, 1.0), b, c), 1.0)
    if not len(rim) or len(np.unique(rim)) != len(rim) or np.max(np.abs(np.hypot(xi, eta) - 1.0)) > 0.05:
        raise InputError(
            f"the surface of {vertebra.level} has no endplate with one rim on that of the parametric body",
            fix="make it with fesolver.surfaces.from_column.body_surface",
        )
    angle = np.mod(np.arctan2(eta, xi), 2.0 * np.pi)
    order = np.argsort(angle)
    return surface.points[used], np.searchsorted(used, chosen), rim[order], angle[order]
