"""The parametric column as pygmsh geometry: splines, filled surfaces, a volume per body, nucleus and annulus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.body_map import body_points
from fesolver.anatomy.column import Column, PlacedVertebra
from fesolver.anatomy.disc_shape import DiscShape
from fesolver.anatomy.section import INDENTED

__all__ = ["add_column"]

_ANGLES = np.array(
    [0.0, np.arccos(INDENTED), 0.5 * np.pi, np.pi - np.arccos(INDENTED), *(np.pi * np.array([1.0, 1.25, 1.5, 1.75]))]
)
"""Where patches meet around a section: at the kinks of its outline, on the frontal and the mid-sagittal plane."""
_HEIGHTS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
_BETWEEN = 7
"""Points of a spline between its ends."""
_SINGLE_RADIUS = 0.63
"""Ring of an endplate without a disc, about the root of a nucleus' usual share of the area."""

_Map = Callable[[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
_Radius = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass
class _Sheet:
    """One endplate: the patches inside and outside the nucleus' ring, and its curves."""

    inner: list[Any]
    outer: list[Any]
    ring: list[Any]
    rim: list[Any]
    ring_corners: list[Any]
    rim_corners: list[Any]


@dataclass
class _Builder:
    """Adds points, curves and patches to a pygmsh geometry."""

    geometry: Any
    size_mm: float

    def corner(self, place: NDArray[np.float64]) -> Any:
        """A point that curves may meet at."""
        return self.geometry.add_point(place, self.size_mm)

    def spline(self, start: Any, end: Any, between: NDArray[np.float64]) -> Any:
        """A spline through places (k, 3)."""
        inside = [self.geometry.add_point(p, self.size_mm) for p in between]
        return self.geometry.add_spline([start, *inside, end])

    def patch(self, *curves: Any) -> Any:
        """A surface filled between three or four curves that follow each other."""
        return self.geometry.add_surface(self.geometry.add_curve_loop(list(curves)))

    def volume(self, *patches: Any) -> Any:
        """A volume inside patches."""
        return self.geometry.add_volume(self.geometry.add_surface_loop(list(patches)))


def add_column(geometry: Any, column: Column, shapes: tuple[DiscShape, ...], size_mm: float) -> None:
    """Add bodies and discs to a pygmsh geometry.

    Parameters
    ----------
    geometry : pygmsh.geo.Geometry
        Empty; coordinates are the column's parent frame, mm.
    column : Column
        Bodies.
    shapes : tuple of DiscShape
        Discs, cranial first.
    size_mm : float
        Edge length wanted at every point.

    Notes
    -----
    An endplate has a fan of eight triangles about its middle, out to half the nucleus' radius, a ring of patches to the
    nucleus and one to the rim; walls have eight patches around and four up (a disc two). Neighbours share patches,
    so that the mesh conforms. Curves pass through 9 points of the exact shape each; patches are gmsh's transfinite
    interpolation of their curves.
    """
    build = _Builder(geometry, size_mm)
    plates: dict[tuple[str, float], _Sheet] = {}
    for i, vertebra in enumerate(column.vertebrae):
        ends = {1.0: shapes[i - 1] if i > 0 else None, -1.0: shapes[i] if i < len(shapes) else None}
        for s, shape in ends.items():
            boundary = _constant if shape is None else shape.nucleus_boundary
            plates[vertebra.level, s] = _sheet(build, _body_map(vertebra), s, boundary)
        low, high = plates[vertebra.level, -1.0], plates[vertebra.level, 1.0]
        wall = _wall(build, _body_map(vertebra), _one, _HEIGHTS, low, high, is_ring=False)
        build.volume(*low.inner, *low.outer, *high.inner, *high.outer, *wall)
    for shape in shapes:
        low, high = plates[shape.lower.level, 1.0], plates[shape.upper.level, -1.0]
        inside = _wall(build, shape.points, shape.nucleus_boundary, _HEIGHTS[::2], low, high, is_ring=True)
        outside = _wall(build, shape.points, _one, _HEIGHTS[::2], low, high, is_ring=False)
        build.volume(*low.inner, *high.inner, *inside)
        build.volume(*low.outer, *high.outer, *inside, *outside)


def _body_map(vertebra: PlacedVertebra) -> _Map:
    """The map of a body into the column's parent frame."""

    def at(xi: NDArray[np.float64], eta: NDArray[np.float64], s: NDArray[np.float64]) -> NDArray[np.float64]:
        return vertebra.frame.to_parent(body_points(xi, eta, s, vertebra.dimensions))

    return at


def _one(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """The wall's normalised radius."""
    return np.ones_like(angle)


def _constant(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ring's normalised radius on an endplate without a disc."""
    return np.full_like(angle, _SINGLE_RADIUS)


def _polar(
    shape: _Map, radius: NDArray[np.float64], angle: NDArray[np.float64], s: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Points of a map at polar places."""
    radius, angle, at = np.broadcast_arrays(radius, angle, np.asarray(s, dtype=np.float64))
    return shape(radius * np.cos(angle), radius * np.sin(angle), np.ascontiguousarray(at))


def _steps() -> NDArray[np.float64]:
    """Places of a spline's points between 0 and 1, without the ends."""
    return np.linspace(0.0, 1.0, _BETWEEN + 2)[1:-1]


def _sheet(build: _Builder, shape: _Map, s: float, boundary: _Radius) -> _Sheet:
    """Curves and patches of one endplate."""
    middle = build.corner(_polar(shape, np.zeros(1), np.zeros(1), s)[0])
    radii: tuple[_Radius, ...] = (lambda a: 0.5 * boundary(a), boundary, _one)
    corners, rings = [[middle] * len(_ANGLES)], []
    for radius in radii:
        places = _polar(shape, radius(_ANGLES), _ANGLES, s)
        corners.append([build.corner(p) for p in places])
        rings.append(_ring(build, shape, s, radius, corners[-1]))
    spokes = []
    for k in range(3):
        row = []
        for j, angle in enumerate(_ANGLES):
            ends = [radii[k - 1](np.array([angle]))[0] if k else 0.0, radii[k](np.array([angle]))[0]]
            at = ends[0] + (ends[1] - ends[0]) * _steps()
            row.append(build.spline(corners[k][j], corners[k + 1][j], _polar(shape, at, np.full_like(at, angle), s)))
        spokes.append(row)
    after = np.roll(np.arange(len(_ANGLES)), -1)
    fan = [build.patch(spokes[0][j], rings[0][j], -spokes[0][n]) for j, n in enumerate(after)]
    strips = [
        [build.patch(spokes[k][j], rings[k][j], -spokes[k][n], -rings[k - 1][j]) for j, n in enumerate(after)]
        for k in (1, 2)
    ]
    return _Sheet([*fan, *strips[0]], strips[1], rings[1], rings[2], corners[2], corners[3])


def _ring(build: _Builder, shape: _Map, s: float, radius: _Radius, corners: list[Any]) -> list[Any]:
    """Splines around a section from corner to corner."""
    out = []
    for j, start in enumerate(_ANGLES):
        end = _ANGLES[j + 1] if j + 1 < len(_ANGLES) else 2.0 * np.pi
        angle = start + (end - start) * _steps()
        places = _polar(shape, radius(angle), angle, s)
        out.append(build.spline(corners[j], corners[(j + 1) % len(_ANGLES)], places))
    return out


def _wall(
    build: _Builder,
    shape: _Map,
    radius: _Radius,
    heights: NDArray[np.float64],
    low: _Sheet,
    high: _Sheet,
    *,
    is_ring: bool,
) -> list[Any]:
    """Patches of a wall between two sheets, along their rings or their rims."""
    ends = [(t.ring, t.ring_corners) if is_ring else (t.rim, t.rim_corners) for t in (low, high)]
    levels = [ends[0]]
    for s in heights[1:-1]:
        corners = [build.corner(p) for p in _polar(shape, radius(_ANGLES), _ANGLES, float(s))]
        levels.append((_ring(build, shape, float(s), radius, corners), corners))
    levels.append(ends[1])
    patches = []
    for k, (below, above) in enumerate(pairwise(levels)):
        s = heights[k] + (heights[k + 1] - heights[k]) * _steps()
        posts = [
            build.spline(below[1][j], above[1][j], _polar(shape, radius(np.full_like(s, a)), np.full_like(s, a), s))
            for j, a in enumerate(_ANGLES)
        ]
        for j in range(len(_ANGLES)):
            patches.append(build.patch(below[0][j], posts[(j + 1) % len(_ANGLES)], -above[0][j], -posts[j]))
    return patches
