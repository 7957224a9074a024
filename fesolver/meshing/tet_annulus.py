"""Places in a disc between two surfaces: how far out, in nucleus or annulus, and the annulus' own directions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.anatomy.frames import Frame
from fesolver.errors import InputError
from fesolver.meshing.tet_discs import DiscSurface
from fesolver.meshing.tet_fractions import linear_cut, split_cells

__all__ = ["DiscPlaces", "disc_places", "nucleus_fraction"]

_ORDER = 10
_TABLE = 720
_HALVINGS = 40
_STEP_MM = 0.02
_DEPTH = 2
"""Cells on the nucleus' boundary are divided into 64: its curvature (radius over 8 mm) then costs under 0.1 %."""


@dataclass(frozen=True)
class DiscPlaces:
    """Normalised places in one disc.

    Parameters
    ----------
    frame : Frame
        Of the disc, in the frame of the places asked for.
    radius : (2, 721) ndarray
        Distance of the lower and of the upper border from the disc's axis, mm, at equal angles from -pi to pi; 0 is to
        the patient's left, pi / 2 posterior.
    height : (2, 721) ndarray
        Height of both borders in the disc's frame, mm.
    bulge_mm : float
        How far the wall stands out at mid-height.
    nucleus_radius : float
        Normalised radius of the nucleus, the square root of its share of the area.
    nucleus_posterior_mm : float
        How far its centre lies behind the disc's axis.
    """

    frame: Frame
    radius: NDArray[np.float64]
    height: NDArray[np.float64]
    bulge_mm: float
    nucleus_radius: float
    nucleus_posterior_mm: float

    def layer(self, points: ArrayLike) -> NDArray[np.float64]:
        """Place across the annulus: 0 on the nucleus' boundary, 1 on the wall; negative inside the nucleus.

        Parameters
        ----------
        points : (n, 3) array_like
            mm, in the frame's parent.

        Returns
        -------
        (n,) ndarray
            Dimensionless; a little over 1 is possible on a wall that the smoothed borders cut short.
        """
        local = self.frame.to_local(points)
        low = np.full(len(local), -self.nucleus_radius / (1.0 - self.nucleus_radius))
        high = np.full(len(local), 2.0)
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            is_beyond = self._outside(local, middle)
            low, high = np.where(is_beyond, middle, low), np.where(is_beyond, high, middle)
        return np.asarray(0.5 * (low + high))

    def axes(self, points: ArrayLike) -> NDArray[np.float64]:
        """Circumferential, radial (outward) and axial unit vectors as rows, (n, 3, 3), in the frame's parent.

        Notes
        -----
        Radial is normal to the surface of equal layer through the place, axial the disc's axis within it, and
        circumferential the product of both, as in the structured mesh.
        """
        at = np.asarray(points, dtype=np.float64)
        steps = _STEP_MM * np.eye(3)
        slope = np.stack([self.layer(at + step) - self.layer(at - step) for step in steps], axis=1)
        radial = slope / np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), 1e-300)
        z = self.frame.axes[2]
        axial = z - (radial @ z)[:, None] * radial
        axial /= np.linalg.norm(axial, axis=1, keepdims=True)
        return np.stack([np.cross(radial, axial), radial, axial], axis=1)

    def nucleus_boundary(self, angle: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points of the nucleus' boundary, (n, 3), mm in the frame's parent.

        Parameters
        ----------
        angle : (n,) ndarray
            About the nucleus' centre, radians; 0 is to the patient's left, pi / 2 posterior.
        height : (n,) ndarray
            In the disc's frame, mm.
        """
        x, y = np.cos(angle), np.sin(angle)
        radius = self.nucleus_radius * self._wall(x, y, height)
        local = np.stack([radius * x, radius * y + self.nucleus_posterior_mm, height], axis=1)
        return self.frame.to_parent(local)

    def _outside(self, local: NDArray[np.float64], layer: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether places lie outside the curve of a layer at their height."""
        # Inside the nucleus the family goes on as outside: without a kink at 0, where cells are cut.
        centre = self.nucleus_posterior_mm * (1.0 - layer)
        scale = self.nucleus_radius + layer * (1.0 - self.nucleus_radius)
        x, y = local[:, 0], local[:, 1] - centre
        return np.asarray(np.hypot(x, y) > scale * self._wall(x, y, local[:, 2]))

    def _wall(self, x: NDArray[np.float64], y: NDArray[np.float64], height: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance of the outline from its centre, at the angles of places about it and at their heights."""
        low, high = self._at_angle(x, y, self.height)
        up = np.clip((height - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
        below, above = self._at_angle(x, y, self.radius)
        return np.asarray((1.0 - up) * below + up * above + 4.0 * up * (1.0 - up) * self.bulge_mm)

    def _at_angle(
        self, x: NDArray[np.float64], y: NDArray[np.float64], table: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Both rows of a table at the angles of places."""
        at = np.arctan2(y, x)
        return np.interp(at, self._angles, table[0]), np.interp(at, self._angles, table[1])

    @cached_property
    def _angles(self) -> NDArray[np.float64]:
        """Angles of the tables."""
        return np.linspace(-np.pi, np.pi, _TABLE + 1)


def disc_places(
    disc: DiscSurface, *, nucleus_area_fraction: float = 0.4, nucleus_posterior_mm: float = 0.0, name: str
) -> DiscPlaces:
    """Normalised places of a disc from its borders.

    Parameters
    ----------
    disc : DiscSurface
        From `fesolver.meshing.tet_discs.disc_between`.
    nucleus_area_fraction : float
        Area of the nucleus over the disc's, at every height, in 0.05 to 0.8.
    nucleus_posterior_mm : float
        How far the nucleus' centre lies behind the disc's axis.
    name : str
        `L1-L2`, for messages.

    Raises
    ------
    InputError
        If a number is out of range, a border does not go round the axis once, or the nucleus does not fit.

    Notes
    -----
    A border is r(angle) and z(angle) about the disc's axis, Fourier series of order 10 fitted to it. At each height the
    outline lies between both borders in proportion; the nucleus is the outline scaled by the root of its share of the
    area, moved back, and layers of the annulus pass linearly from the one to the other.
    """
    if not 0.05 <= nucleus_area_fraction <= 0.8:
        raise InputError(f"nucleus_area_fraction must lie in 0.05 to 0.8, not {nucleus_area_fraction}")
    tables = [_polar(disc.frame.to_local(curve), name) for curve in (disc.lower, disc.upper)]
    radius, height = (np.stack([table[k] for table in tables]) for k in (0, 1))
    out = DiscPlaces(
        disc.frame, radius, height, disc.bulge_mm, float(np.sqrt(nucleus_area_fraction)), nucleus_posterior_mm
    )
    # Layers are nested as long as the centre moves by less than the outline grows.
    if abs(nucleus_posterior_mm) >= 0.9 * (1.0 - out.nucleus_radius) * float(radius.min()):
        raise InputError(
            f"a nucleus of {nucleus_area_fraction:g} of the area, {nucleus_posterior_mm:g} mm behind the centre, does "
            "not fit into the disc",
            where=name,
            fix="give a smaller nucleus_area_fraction or nucleus_posterior_mm",
        )
    return out


def nucleus_fraction(corners: NDArray[np.float64], places: DiscPlaces) -> NDArray[np.float64]:
    """Fraction of the nucleus in the cells of a disc.

    Parameters
    ----------
    corners : (n_cells, 4, 3) ndarray
        mm, in the frame's parent.
    places : DiscPlaces
        Of the disc.

    Returns
    -------
    (n_cells,) ndarray
        0 in cells of the annulus, 1 in cells of the nucleus; cells on the boundary are divided into 64 parts, each cut
        where the layer, taken linear in it, is 0.
    """
    layer = places.layer(corners.reshape(-1, 3)).reshape(-1, 4)
    fraction: NDArray[np.float64] = (layer.max(axis=1) < 0.0).astype(np.float64)
    on = np.flatnonzero((layer.min(axis=1) < 0.1) & (layer.max(axis=1) > -0.1))
    fraction[on] = linear_cut(split_cells(corners[on], _DEPTH).values(places.layer)).mean(axis=1)
    return fraction


def _polar(local: NDArray[np.float64], name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance from the axis and height of a closed curve at the angles of the tables."""
    angle = np.arctan2(local[:, 1], local[:, 0])
    turns = np.diff(np.unwrap(np.append(angle, angle[0]))).sum() / (2.0 * np.pi)
    if round(turns) != 1:
        raise InputError(
            f"the border of disc {name} goes {turns:.1f} times round its axis",
            where=name,
            fix="check the endplates of both neighbours",
        )
    table = np.linspace(-np.pi, np.pi, _TABLE + 1)
    values = np.stack([np.hypot(local[:, 0], local[:, 1]), local[:, 2]], axis=1)
    fitted = _waves(table) @ np.linalg.lstsq(_waves(angle), values, rcond=None)[0]
    return fitted[:, 0], fitted[:, 1]


def _waves(angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Constant, cosines and sines up to the order of the series, (n, 2 order + 1)."""
    k = np.arange(1, _ORDER + 1) * angle[:, None]
    return np.concatenate([np.ones((len(angle), 1)), np.cos(k), np.sin(k)], axis=1)
