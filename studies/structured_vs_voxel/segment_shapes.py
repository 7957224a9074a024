"""Which region of a parametric segment a point belongs to, from the shapes alone: no mesh decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fesolver.anatomy.body_map import inner_height, inner_radius
from fesolver.anatomy.column import Column, PlacedVertebra
from fesolver.anatomy.dimensions import VertebraDimensions
from fesolver.anatomy.disc_shape import DiscShape
from fesolver.anatomy.section import hollow, posterior_narrowing, section_axes

__all__ = ["DEPTHS_MM", "OUTSIDE", "ZONES", "BodyShape", "SegmentShape", "disc_places"]

Array = NDArray[np.float64]

ZONES = (
    "trabecular",
    "trabecular/superior 2",
    "trabecular/superior 3",
    "trabecular/inferior 2",
    "trabecular/inferior 3",
    "cortical",
    "superior_endplate",
    "inferior_endplate",
    "nucleus",
    "annulus",
)
"""Zones of a level and of the disc under it; a number is the depth, mm, under that endplate's surface."""

OUTSIDE = -1
"""Code of points in no region; others are len(ZONES) * (place of the level) + (place of the zone)."""

DEPTHS_MM = (2, 3)
"""Depths under the endplates' surfaces that bound the zones of trabecular bone."""
_TABLE = 301
_MARGIN = 1.01
"""Tables over the unit disc go this far, so that interpolation up to the wall has points on both sides."""
_REACH = 1.25
"""Tables over a disc's two endplates go this far: Newton's steps may leave the disc."""
_CHORDS, _CLOSE = 20, 1e-5
"""Most steps, and the last one, normalised: 2e-4 mm."""


@dataclass(frozen=True)
class BodyShape:
    """A vertebral body with layers of true thickness.

    Parameters
    ----------
    vertebra : PlacedVertebra
        Shape and place.
    thickness_mm : float
        Of shell and endplates.
    """

    vertebra: PlacedVertebra
    thickness_mm: float

    @property
    def dimensions(self) -> VertebraDimensions:
        """Size and shape."""
        return self.vertebra.dimensions

    def places(self, points: Array) -> Array:
        """Normalised places (n, 3), xi, eta and s of `anatomy.body_map.body_points`, of points in the parent frame.

        Notes
        -----
        The closed-form inverse of `body_points`: height gives the section, the section xi and eta, and they the
        hollows, in which z is linear in s.
        """
        d = self.dimensions
        x, y, z = self.vertebra.frame.to_local(points).T
        half_height = np.maximum(0.5 * d.mid_height_mm + d.rim_slope * y, 1e-9)
        a, b, c = section_axes(np.clip(z / half_height, -1.0, 1.0), d)
        xi, eta_y = x / a, y - 0.5 * c
        eta = eta_y / (b * np.where(eta_y > 0.0, posterior_narrowing(xi, b, c), 1.0))
        top = d.superior_concavity_mm * hollow(xi, eta, d.central_endplate_fraction, d.superior_apex_fraction)
        bottom = d.inferior_concavity_mm * hollow(xi, eta, d.central_endplate_fraction, d.inferior_apex_fraction)
        s = (z + 0.5 * (top - bottom)) / (half_height - 0.5 * (top + bottom))
        return np.stack([xi, eta, s], axis=1)

    def zones(self, points: Array) -> NDArray[np.int8]:
        """Places in `ZONES` of points (n, 3) in the parent frame; `OUTSIDE` elsewhere.

        Notes
        -----
        Endplates first, over the whole footprint; the shell takes what is left, as `meshing.structured` has it.
        """
        xi, eta, s = self.places(points).T
        out = np.full(len(points), OUTSIDE, np.int8)
        inside = np.flatnonzero((np.hypot(xi, eta) <= 1.0) & (np.abs(s) <= 1.0))
        xi, eta, s = xi[inside], eta[inside], s[inside]
        zone = np.zeros(len(inside), np.int8)
        for side, names, sign in (("superior", (2, 1), 1.0), ("inferior", (4, 3), -1.0)):
            for number, depth in zip(names, reversed(DEPTHS_MM), strict=True):
                zone[sign * (s - self.height_at_depth(side, depth, xi, eta)) >= 0.0] = number
        zone[np.hypot(xi, eta) >= self._radius(xi, eta, s)] = 5
        for number, side, sign in ((6, "superior", 1.0), (7, "inferior", -1.0)):
            zone[sign * (s - self.height_at_depth(side, self.thickness_mm, xi, eta)) >= 0.0] = number
        out[inside] = zone
        return out

    def height_at_depth(self, side: str, depth_mm: float, xi: Array, eta: Array) -> Array:
        """Normalised height of the surface so deep under the superior or inferior endplate."""
        return _on_square(self._heights[side, depth_mm], xi, eta, _MARGIN)

    @cached_property
    def _heights(self) -> dict[tuple[str, float], Array]:
        """Tables of normalised heights over the unit disc."""
        grid = np.linspace(-_MARGIN, _MARGIN, _TABLE)
        xi, eta = (v.ravel() for v in np.meshgrid(grid, grid, indexing="ij"))
        over = np.maximum(np.hypot(xi, eta), _MARGIN) / _MARGIN
        out: dict[tuple[str, float], Array] = {}
        sides: tuple[Literal["superior", "inferior"], ...] = ("superior", "inferior")
        for side in sides:
            for depth in (self.thickness_mm, *DEPTHS_MM):
                values = inner_height(xi / over, eta / over, depth, self.dimensions, side)
                out[side, depth] = values.reshape(_TABLE, _TABLE)
        return out

    def _radius(self, xi: Array, eta: Array, s: Array) -> Array:
        """Normalised radius of the inside of the shell."""
        angles, heights = self._radii.shape
        turn = (np.arctan2(eta, xi) + np.pi) * ((angles - 1) / (2.0 * np.pi))
        up = (s + 1.0) * (0.5 * (heights - 1))
        return np.asarray(ndimage.map_coordinates(self._radii, [turn, up], order=1, mode="nearest"))

    @cached_property
    def _radii(self) -> Array:
        """Table of the inside of the shell over angle and height."""
        angle, s = np.meshgrid(np.linspace(-np.pi, np.pi, 721), np.linspace(-1.0, 1.0, 61), indexing="ij")
        flat = angle.ravel()
        radii = inner_radius(np.cos(flat), np.sin(flat), s.ravel(), self.thickness_mm, self.dimensions)
        return radii.reshape(angle.shape)


def _on_square(table: Array, xi: Array, eta: Array, reach: float) -> Array:
    """Linear interpolation of a table over the square of half-width `reach`."""
    scale = 0.5 * (len(table) - 1) / reach
    at = [(xi + reach) * scale, (eta + reach) * scale]
    return np.asarray(ndimage.map_coordinates(table, at, order=1, mode="nearest"))


def _inverse(J: Array) -> Array:
    """Inverses of matrices (n, 3, 3) by their columns' cross products."""
    a, b, c = np.moveaxis(J, 2, 0)
    rows = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
    return np.asarray(rows / np.einsum("ni,ni->n", a, rows[:, 0])[:, None, None])


def disc_places(shape: DiscShape, start: BodyShape) -> Callable[[Array], Array]:
    """The inverse of `DiscShape.points`: a function from points (n, 3) in the parent frame to xi, eta, s (n, 3).

    Parameters
    ----------
    shape : DiscShape
        Without bulge: its points are straight between its two endplates.
    start : BodyShape
        The body below, whose superior endplate gives the first guess.

    Notes
    -----
    Both endplates are tables over (xi, eta), linear between nodes 0.1 mm apart (error about 1e-4 mm); Newton's method
    in three unknowns, its matrix kept from the first guess.
    """
    n = 601
    grid = np.linspace(-_REACH, _REACH, n)
    xi, eta = (v.ravel() for v in np.meshgrid(grid, grid, indexing="ij"))
    ends = [shape.points(xi, eta, s).reshape(n, n, 3) for s in (-1.0, 1.0)]
    tables = [np.ascontiguousarray(np.moveaxis(end, -1, 0)) for end in ends]

    def at(q: Array) -> tuple[Array, Array]:
        low, high = (np.stack([_on_square(t, q[:, 0], q[:, 1], _REACH) for t in table], axis=1) for table in tables)
        s = q[:, 2:]
        return 0.5 * ((1.0 - s) * low + (1.0 + s) * high), 0.5 * (high - low)

    def invert(points: Array) -> Array:
        limit, step = _REACH - 0.03, 0.02
        q = np.clip(start.places(points), -limit, limit)
        q[:, 2] = np.clip((points - at(q * [1.0, 1.0, 0.0])[0]) @ shape.axis / (0.5 * shape.disc.height_mm), -1.5, 1.5)
        value, along = at(q)
        moved = [(at(q + step * unit)[0] - value) / step for unit in np.eye(3)[:2]]
        inverse = _inverse(np.stack([*moved, along], axis=2))
        for _ in range(_CHORDS):
            change = np.einsum("nij,nj->ni", inverse, points - value)
            q = np.clip(q + change, -limit, limit)
            if np.abs(change[np.abs(q).max(axis=1) < 1.1]).max(initial=0.0) < _CLOSE:
                break
            value = at(q)[0]
        return q

    return invert


@dataclass(frozen=True)
class SegmentShape:
    """Bodies with layers, and discs with their nuclei.

    Parameters
    ----------
    column : Column
        Without bulging discs.
    thickness_mm : float
        Of shell and endplates of every level.
    """

    column: Column
    thickness_mm: float

    @cached_property
    def bodies(self) -> tuple[BodyShape, ...]:
        """Cranial first."""
        return tuple(BodyShape(vertebra, self.thickness_mm) for vertebra in self.column.vertebrae)

    @cached_property
    def discs(self) -> tuple[DiscShape, ...]:
        """Cranial first."""
        v = self.column.vertebrae
        return tuple(DiscShape(*pair) for pair in zip(v[:-1], v[1:], self.column.discs, strict=True))

    @cached_property
    def disc_inverses(self) -> tuple[Callable[[Array], Array], ...]:
        """Inverse of each disc's map."""
        return tuple(disc_places(disc, body) for disc, body in zip(self.discs, self.bodies[1:], strict=True))

    def codes(self, points: Array) -> NDArray[np.int8]:
        """Region codes (n,) of points (n, 3) in the column's parent frame."""
        out = np.full(len(points), OUTSIDE, np.int8)
        for i, body in enumerate(self.bodies):
            d = body.dimensions
            reach = 1.0 + 0.5 * np.array([
                max(d.superior_width_mm, d.inferior_width_mm),
                max(d.superior_depth_mm, d.inferior_depth_mm) + d.posterior_indentation_mm,
                max(d.anterior_height_mm, d.posterior_height_mm),
            ])  # fmt: skip
            near = np.flatnonzero((np.abs(body.vertebra.frame.to_local(points)) < reach).all(axis=1))
            zone = body.zones(points[near])
            out[near[zone >= 0]] = len(ZONES) * i + zone[zone >= 0]
        for i, (disc, invert) in enumerate(zip(self.discs, self.disc_inverses, strict=True)):
            middle = 0.5 * (disc.upper.inferior_rim_centre + disc.lower.superior_rim_centre)
            height = (points - middle) @ disc.axis
            # Hollows and the wedge: no more than 4 mm beyond the rims.
            near = np.flatnonzero((out == OUTSIDE) & (np.abs(height) < 0.5 * disc.disc.height_mm + 4.0))
            near = near[np.hypot(*self.bodies[i + 1].places(points[near])[:, :2].T) < 1.15]
            xi, eta, s = invert(points[near]).T
            inside = (np.hypot(xi, eta) <= 1.0) & (np.abs(s) <= 1.0)
            is_nucleus = np.hypot(xi, eta - disc.nucleus_centre) <= disc.nucleus_radius
            out[near[inside]] = (len(ZONES) * i + np.where(is_nucleus, 8, 9))[inside]
        return out
