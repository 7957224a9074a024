"""Shape of a disc between two placed bodies: points, nucleus boundary, and the local axes of the annulus.

The disc has the normalised section of the bodies (xi, eta on the unit disc), and s from -1 on the superior endplate of
the lower body to +1 on the inferior endplate of the upper one: meshes with the same section conform at both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from fesolver.anatomy.body_map import body_points
from fesolver.anatomy.column import Column, PlacedVertebra
from fesolver.anatomy.dimensions import DiscDimensions
from fesolver.anatomy.section import section_axes
from fesolver.errors import InputError

__all__ = ["THINNEST_DISC_MM", "DiscShape", "check_gaps"]

THINNEST_DISC_MM = 0.5
"""Smallest distance of two endplates along the disc's axis; a choice: thinner cells are slivers."""

_STEP = 1e-5
_OUTLINE = 2048


@dataclass(frozen=True)
class DiscShape:
    """A disc between two placed bodies.

    Parameters
    ----------
    upper, lower : PlacedVertebra
        Bodies above and below.
    disc : DiscDimensions
        Nucleus and bulge; height and wedge are where the bodies stand.

    Raises
    ------
    InputError
        If the disc is not the one between these bodies, or its nucleus does not fit into its outline.

    Notes
    -----
    A point lies on the straight line between the two endplates at the same (xi, eta), moved outwards in the disc's
    plane by bulge (1 - s^2) r^2, r = hypot(xi, eta).

    The nucleus is a circle of the normalised section whose area at mid-height is the asked share of the disc's: a
    scaled copy of the outline, but for the indentation. Layers of the annulus are the curves

        r(angle) = r_nucleus(angle) + layer (1 - r_nucleus(angle)),   layer in [0, 1].
    """

    upper: PlacedVertebra
    lower: PlacedVertebra
    disc: DiscDimensions

    def __post_init__(self) -> None:
        if (self.upper.level, self.lower.level) != (self.disc.upper, self.disc.lower):
            raise InputError(
                f"the disc {self.disc.name} does not lie between {self.upper.level} and {self.lower.level}"
            )
        _ = self.nucleus_radius

    @cached_property
    def axis(self) -> NDArray[np.float64]:
        """Unit normal of the disc's mid-plane, upwards, in the column's parent frame, (3,)."""
        return _unit(self.upper.inferior_rim_centre - self.lower.superior_rim_centre)

    @cached_property
    def nucleus_centre(self) -> float:
        """Normalised place (eta) of the nucleus' centre."""
        shift = self.disc.nucleus_posterior_mm
        b_up, c_up = (float(v[0]) for v in section_axes(np.array([-1.0]), self.upper.dimensions)[1:])
        b_low, c_low = (float(v[0]) for v in section_axes(np.array([1.0]), self.lower.dimensions)[1:])
        # On the mid-sagittal plane the posterior half of the section is shorter by its indentation.
        half = 0.5 * (b_up + b_low) - (0.5 * (c_up + c_low) if shift > 0.0 else 0.0)
        return shift / half

    @cached_property
    def nucleus_radius(self) -> float:
        """Normalised radius of the nucleus about its centre: it takes the asked share of the area at mid-height."""
        widest = 1.0 - abs(self.nucleus_centre) - 1e-3
        whole, fraction = self._area(0.0, 1.0), self.disc.nucleus_area_fraction
        largest = self._area(self.nucleus_centre, widest) / whole if widest > 0.0 else 0.0
        if largest <= fraction:
            raise InputError(
                f"a nucleus of {fraction:g} of the area, {self.disc.nucleus_posterior_mm:g} mm behind the centre, "
                "does not fit into the disc",
                where=self.disc.name,
                fix="give a smaller nucleus_area_fraction or nucleus_posterior_mm",
            )
        return float(
            brentq(
                lambda r: self._area(self.nucleus_centre, r) / whole - fraction, 1e-6, widest, xtol=1e-13, rtol=1e-13
            )
        )

    def points(self, xi: ArrayLike, eta: ArrayLike, s: ArrayLike) -> NDArray[np.float64]:
        """Points of the disc from their normalised places.

        Parameters
        ----------
        xi, eta : (n,) or scalar array_like
            Place in the section, on the unit disc.
        s : (n,) or scalar array_like
            -1 on the lower body's superior, +1 on the upper body's inferior endplate.

        Returns
        -------
        (n, 3) ndarray
            Points in the column's parent frame, mm.

        Raises
        ------
        InputError
            If a coordinate is not finite or the three do not fit together.
        """
        xi, eta, s = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (xi, eta, s)))
        out = self._straight(xi, eta, s)
        if self.disc.bulge_mm > 0.0:
            r2 = xi**2 + eta**2
            out = out + (self.disc.bulge_mm * (1.0 - s**2) * r2)[:, None] * self._outward(np.arctan2(eta, xi))
        return out

    def heights(self, xi: ArrayLike, eta: ArrayLike) -> NDArray[np.float64]:
        """Distance of both endplates along the disc's axis at normalised places, mm, (n,)."""
        return np.asarray((self._straight(xi, eta, 1.0) - self._straight(xi, eta, -1.0)) @ self.axis)

    def nucleus_boundary(self, angle: ArrayLike) -> NDArray[np.float64]:
        """Normalised radius of the nucleus' boundary about the section's centre.

        Parameters
        ----------
        angle : (n,) array_like
            Direction in the normalised section, radians: 0 to the patient's left, pi/2 to posterior.

        Returns
        -------
        (n,) ndarray
            In (0, 1).
        """
        angle = np.asarray(angle, dtype=np.float64)
        e, radius = self.nucleus_centre, self.nucleus_radius
        return np.asarray(e * np.sin(angle) + np.sqrt(radius**2 - (e * np.cos(angle)) ** 2))

    def annulus_layer(self, xi: ArrayLike, eta: ArrayLike) -> NDArray[np.float64]:
        """Place between nucleus (0) and outline (1) at normalised places, (n,); negative inside the nucleus."""
        xi, eta = np.asarray(xi, dtype=np.float64), np.asarray(eta, dtype=np.float64)
        boundary = self.nucleus_boundary(np.arctan2(eta, xi))
        return np.asarray((np.hypot(xi, eta) - boundary) / (1.0 - boundary))

    def annulus_axes(self, xi: ArrayLike, eta: ArrayLike, s: ArrayLike) -> NDArray[np.float64]:
        """Local axes of the annulus.

        Parameters
        ----------
        xi, eta, s : (n,) or scalar array_like
            Normalised places, off the axis.

        Returns
        -------
        (n, 3, 3) ndarray
            Rows: circumferential (along the layer, clockwise seen from above), radial (outwards) and axial (upwards
            along the layer) unit vectors in the column's parent frame; right-handed, as `Tissue.axes` has them.

        Raises
        ------
        InputError
            If a place is on the axis.
        """
        xi, eta, s = np.broadcast_arrays(*(np.atleast_1d(np.asarray(v, dtype=np.float64)) for v in (xi, eta, s)))
        angle, layer = np.arctan2(eta, xi), self.annulus_layer(xi, eta)
        if np.any(np.hypot(xi, eta) < 1e-9):
            raise InputError(
                "the annulus has no axes on the disc's own axis", fix="ask where xi and eta are not both 0"
            )

        def at(angle: NDArray[np.float64], s: NDArray[np.float64]) -> NDArray[np.float64]:
            boundary = self.nucleus_boundary(angle)
            r = boundary + layer * (1.0 - boundary)
            return self.points(r * np.cos(angle), r * np.sin(angle), s)

        around = _unit(at(angle - _STEP, s) - at(angle + _STEP, s))
        up = at(angle, s + _STEP) - at(angle, s - _STEP)
        axial = _unit(up - np.einsum("ni,ni->n", up, around)[:, None] * around)
        return np.stack([around, np.cross(axial, around), axial], axis=1)

    def _straight(self, xi: ArrayLike, eta: ArrayLike, s: ArrayLike) -> NDArray[np.float64]:
        """Points on the lines between both endplates."""
        above = self.upper.frame.to_parent(body_points(xi, eta, -1.0, self.upper.dimensions))
        below = self.lower.frame.to_parent(body_points(xi, eta, 1.0, self.lower.dimensions))
        part = np.asarray(s, dtype=np.float64)[..., None]
        return np.asarray(0.5 * (1.0 + part) * above + 0.5 * (1.0 - part) * below)

    def _outward(self, angle: NDArray[np.float64]) -> NDArray[np.float64]:
        """Unit normals of the outline at mid-height, in the disc's plane, (n, 3)."""
        ahead, behind = angle + _STEP, angle - _STEP
        tangent = self._straight(np.cos(ahead), np.sin(ahead), 0.0) - self._straight(
            np.cos(behind), np.sin(behind), 0.0
        )
        return _unit(np.cross(tangent, self.axis))

    def _area(self, centre: float, radius: float) -> float:
        """Area in the disc's plane of a circle of the normalised section at mid-height, mm2."""
        angle = np.arange(_OUTLINE) * (2.0 * np.pi / _OUTLINE)
        p = self.points(radius * np.cos(angle), centre + radius * np.sin(angle), 0.0)
        return 0.5 * abs(float(np.sum(np.cross(p, np.roll(p, -1, axis=0)) @ self.axis)))


def check_gaps(column: Column) -> None:
    """Refuse a column whose bodies touch or overlap.

    Parameters
    ----------
    column : Column
        Placed bodies.

    Raises
    ------
    InputError
        If two endplates come closer than `THINNEST_DISC_MM` along the disc's axis: names the disc, the place, and what
        height or wedge would do.
    """
    angle = np.linspace(0.0, 2.0 * np.pi, 73)[:-1]
    r = np.linspace(0.0, 1.0, 11)
    xi, eta = np.outer(r, np.cos(angle)).ravel(), np.outer(r, np.sin(angle)).ravel()
    for disc, upper, lower in zip(column.discs, column.vertebrae[:-1], column.vertebrae[1:], strict=True):
        axis = _unit(upper.inferior_rim_centre - lower.superior_rim_centre)
        gap = (
            upper.frame.to_parent(body_points(xi, eta, -1.0, upper.dimensions))
            - lower.frame.to_parent(body_points(xi, eta, 1.0, lower.dimensions))
        ) @ axis
        at = int(np.argmin(gap))
        if gap[at] < THINNEST_DISC_MM:
            side = "posterior" if eta[at] > 0.0 else "anterior"
            what = "overlap by" if gap[at] < 0.0 else "come as close as"
            enough = disc.height_mm + THINNEST_DISC_MM - gap[at] + 0.05
            raise InputError(
                f"{upper.level} and {lower.level} {what} {abs(gap[at]):.2f} mm at the {side} edge of their disc "
                f"(height {disc.height_mm:g} mm, wedge {disc.wedge_deg:g} degrees)",
                where=disc.name,
                fix=f"give height_mm of {enough:.1f} or more, or less wedge_deg",
            )


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
