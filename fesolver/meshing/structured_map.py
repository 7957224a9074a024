"""Where the nodes of a swept column stand: the grid's places mapped through the shapes of bodies and discs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.body_map import body_height, body_points, inner_height, inner_radius
from fesolver.anatomy.column import Column, PlacedVertebra
from fesolver.anatomy.disc_shape import DiscShape
from fesolver.errors import InputError
from fesolver.meshing.structured_layers import BODY, INFERIOR, SUPERIOR, Planes
from fesolver.meshing.structured_section import (
    SectionCounts,
    SectionCurves,
    SectionGrid,
    section_points,
    wall_angle,
)

__all__ = ["ColumnMap", "LayerThickness", "NucleusCircle"]

_LEAST_INSIDE = 0.2
"""Least part of a body's height, and of the annulus' width, that layers leave; a choice."""


@dataclass(frozen=True)
class LayerThickness:
    """True thickness of the layers of one body, mm."""

    shell: float
    superior: float
    inferior: float


@dataclass(frozen=True)
class NucleusCircle:
    """Boundary of a nucleus in the unit disc: a circle around (0, centre)."""

    centre: float
    radius: float


@dataclass(frozen=True)
class ColumnMap:
    """The map from grid places to points of a column.

    Parameters
    ----------
    column : Column
        Bodies and discs, cranial first.
    section : SectionCounts
        Cells of a section.
    layers : tuple of LayerThickness
        Per level, cranial first.
    discs : tuple of DiscShape
        Cranial first.
    single : NucleusCircle
        What the lines of a body without discs follow.
    annulus_fractions : (annulus + 1,) ndarray
        Places 0..1 of the annulus' rings from the nucleus out.
    """

    column: Column
    section: SectionCounts
    layers: tuple[LayerThickness, ...]
    discs: tuple[DiscShape, ...]
    single: NucleusCircle
    annulus_fractions: NDArray[np.float64]

    @cached_property
    def n_levels(self) -> int:
        """Bodies of the column."""
        return len(self.column.vertebrae)

    def points(self, grid: SectionGrid, planes: Planes) -> NDArray[np.float64]:
        """Points (m, k, 3) of section nodes on sheets, mm in the column's parent frame."""
        out = np.empty((len(planes.part), len(grid.first), 3))
        for part in np.unique(planes.part):
            rows = planes.of_part(int(part))
            zone, value = planes.zone[rows], planes.value[rows]
            if part % 2 == 0:
                out[rows] = self._body(int(part) // 2, grid, zone, value)
            else:
                out[rows] = self._disc(int(part) // 2, grid, value)
        return out

    def vertebra(self, from_below: int) -> PlacedVertebra:
        """A vertebra counted from below."""
        return self.column.vertebrae[self.n_levels - 1 - from_below]

    def _body(
        self, i: int, grid: SectionGrid, zone: NDArray[np.int64], value: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Points of sheets of one body."""
        vertebra = self.vertebra(i)
        low, high = self._insides(i, *self._end_places(i, grid, -1), *self._end_places(i, grid, 1))
        angle, back = np.unique(wall_angle(grid, self.section), return_inverse=True)
        wall = np.cos(angle), np.sin(angle)
        s_wall = _heights(zone[:, None], value[:, None], *self._insides(i, *wall, *wall))
        up = np.where(zone == BODY, value, np.where(zone == SUPERIOR, 1.0, 0.0))[:, None]
        xi, eta = self._places(i, grid, angle, s_wall, up, back)
        s = _heights(zone[:, None], value[:, None], low, high)
        local = body_points(xi.ravel(), eta.ravel(), s.ravel(), vertebra.dimensions)
        return np.asarray(vertebra.frame.to_parent(local)).reshape(*xi.shape, 3)

    def _end_places(self, i: int, grid: SectionGrid, side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Places (k,) in the unit disc of section nodes on the superior (1) or inferior (-1) endplate of a body."""
        angle, back = np.unique(wall_angle(grid, self.section), return_inverse=True)
        s, up = np.full((1, len(angle)), float(side)), np.full((1, 1), 0.5 * (1.0 + side))
        xi, eta = self._places(i, grid, angle, s, up, back)
        return xi[0], eta[0]

    def _insides(
        self,
        i: int,
        low_xi: NDArray[np.float64],
        low_eta: NDArray[np.float64],
        high_xi: NDArray[np.float64],
        high_eta: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Normalised heights (k,) of the insides of the inferior and the superior endplate of a body."""
        layers, d = self.layers[self.n_levels - 1 - i], self.vertebra(i).dimensions
        low = inner_height(low_xi, low_eta, layers.inferior, d, "inferior")
        high = inner_height(high_xi, high_eta, layers.superior, d, "superior")
        worst = int(np.argmin(high - low))
        if high[worst] - low[worst] < 2.0 * _LEAST_INSIDE:
            height = float(body_height(low_xi[worst], low_eta[worst], d)[0])
            raise InputError(
                f"the endplates of {d.level}, {layers.superior:g} and {layers.inferior:g} mm thick, leave under "
                f"{100 * _LEAST_INSIDE:.0f} % of the body, {height:.2f} mm high there",
                where=vertebra_place(self.vertebra(i), float(low_xi[worst]), float(low_eta[worst])),
                fix="use thinner endplates, less concavity or a higher body",
            )
        return low, high

    def _places(
        self,
        i: int,
        grid: SectionGrid,
        angle: NDArray[np.float64],
        s: NDArray[np.float64],
        up: NDArray[np.float64],
        back: NDArray[np.int64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Places (m, k) in the unit disc of section nodes whose wall has angles (w,) and heights `s` (m, w)."""
        layers, d = self.layers[self.n_levels - 1 - i], self.vertebra(i).dimensions
        cosine, sine = (np.broadcast_to(v, s.shape) for v in (np.cos(angle), np.sin(angle)))
        radius = inner_radius(cosine.ravel(), sine.ravel(), s.ravel(), layers.shell, d).reshape(s.shape)
        below, above = self._nucleus(i - 1), self._nucleus(i)
        centre = (1.0 - up) * below.centre + up * above.centre
        nucleus = (1.0 - up) * below.radius + up * above.radius
        self._check_annulus(i, np.cos(angle), np.sin(angle), radius, centre, nucleus)
        return section_points(
            grid, self.section, SectionCurves(centre, nucleus, radius[:, back]), self.annulus_fractions
        )

    def _nucleus(self, i: int) -> NucleusCircle:
        """Nucleus of the disc on the i-th body from below; beyond the ends the nearest one's."""
        n = len(self.discs)
        if n == 0:
            return self.single
        shape = self.discs[n - 1 - min(max(i, 0), n - 1)]
        return NucleusCircle(shape.nucleus_centre, shape.nucleus_radius)

    def _check_annulus(
        self,
        i: int,
        cosine: NDArray[np.float64],
        sine: NDArray[np.float64],
        radius: NDArray[np.float64],
        centre: NDArray[np.float64],
        nucleus: NDArray[np.float64],
    ) -> None:
        """The shell must leave room between itself and the lines that go on from the nucleus."""
        line = np.hypot(nucleus * cosine, centre + nucleus * sine)
        room = (radius - line) / (1.0 - line)
        worst = np.unravel_index(int(np.argmin(room)), room.shape)
        if room[worst] < _LEAST_INSIDE:
            vertebra, layers = self.vertebra(i), self.layers[self.n_levels - 1 - i]
            raise InputError(
                f"the shell of {vertebra.level}, {layers.shell:g} mm thick, leaves under {100 * _LEAST_INSIDE:.0f} % "
                "of the ring around the nucleus",
                where=vertebra_place(vertebra, float(cosine[worst[1]]), float(sine[worst[1]])),
                fix="use a thinner shell, a smaller nucleus_area_fraction or nucleus_posterior_mm",
            )

    def _disc(self, i: int, grid: SectionGrid, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of sheets of the disc on the i-th body from below."""
        w = value[:, None]
        low, high = self._end_places(i, grid, 1), self._end_places(i + 1, grid, -1)
        # The shells of both bodies leave their own places in the section: the disc goes from one to the other.
        xi, eta = ((1.0 - w) * below + w * above for below, above in zip(low, high, strict=True))
        s = np.broadcast_to(2.0 * w - 1.0, xi.shape)
        shape = self.discs[self.n_levels - 2 - i]
        return shape.points(xi.ravel(), eta.ravel(), s.ravel()).reshape(*xi.shape, 3)


def vertebra_place(vertebra: PlacedVertebra, xi: float, eta: float) -> str:
    """A place of the section in words: x and y in the body frame at mid-height."""
    x, y, _ = body_points(xi, eta, 0.0, vertebra.dimensions)[0]
    return f"{vertebra.level}, x = {x:.1f}, y = {y:.1f} mm in the body frame"


def _heights(
    zone: NDArray[np.int64], value: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Normalised heights (m, k) of sheets: from -1 to `low`, to `high`, to 1."""
    inside = low + value * (high - low)
    plates = np.where(zone == INFERIOR, -1.0 + value * (low + 1.0), high + value * (1.0 - high))
    return np.asarray(np.where(zone == BODY, inside, plates))
