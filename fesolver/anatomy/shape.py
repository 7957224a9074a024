"""Parametric vertebral body: a kidney-shaped section with a waist between two hollow, wedged endplates.

The body frame has its origin on the body's axis midway between the rims, x to the patient's left, y posterior and z
superior. Everything is a function of points, so that one shape serves any grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.anatomy.dimensions import VertebraDimensions
from fesolver.errors import InputError

__all__ = ["BodyCoordinates", "as_points", "body_coordinates", "body_volume", "endplate_area"]

_INDENTED = 0.7
"""Half-width of the indentation of the posterior wall over the half-width of the section; a choice."""


@dataclass(frozen=True)
class BodyCoordinates:
    """Where points lie with respect to a vertebral body.

    Parameters
    ----------
    depth_mm : (n,) ndarray
        Distance to the surface of the body, to first order, mm: positive inside, negative outside, zero on it. It is
        exact in sign; away from the surface it is a smooth measure of depth and not the shortest distance.
    radius : (n,) ndarray
        Normalised radius in the section, dimensionless: 0 on the axis, 1 on the wall.
    height : (n,) ndarray
        Normalised height, dimensionless: -1 on the plane of the inferior rim, +1 on that of the superior one.
    """

    depth_mm: NDArray[np.float64]
    radius: NDArray[np.float64]
    height: NDArray[np.float64]


def as_points(points: ArrayLike) -> NDArray[np.float64]:
    """Points as a float64 array of shape (n, 3), or an `InputError`."""
    out = np.asarray(points, dtype=np.float64)
    if out.ndim != 2 or out.shape[1] != 3:
        raise InputError(f"points have shape {out.shape}, not (n, 3)")
    if not np.isfinite(out).all():
        raise InputError("points hold a NaN or an infinity")
    return out


def body_coordinates(points: ArrayLike, dimensions: VertebraDimensions) -> BodyCoordinates:
    """Depth, radius and height of points with respect to a vertebral body.

    Parameters
    ----------
    points : (n, 3) array_like
        Points in the body frame, mm.
    dimensions : VertebraDimensions
        Size and shape of the vertebra.

    Returns
    -------
    BodyCoordinates
        One value per point.

    Raises
    ------
    InputError
        If `points` is not (n, 3) and finite.

    Notes
    -----
    At height t the section is an ellipse of semi-axes a(t), b(t) whose posterior half is drawn in by
    c (1 - (x / 0.7 a)^2)^2; b is chosen so that the mid-sagittal depth is the published one. Width and depth vary
    linearly between the endplates, times 1 - waist (1 - t^2). Each endplate lies below its rim plane by
    concavity (1 - (r / r_c)^2)^2 for r < r_c, r_c the central fraction of the endplate.

    Examples
    --------
    >>> from fesolver.anatomy.dimensions import vertebra_dimensions
    >>> at = body_coordinates([[0.0, 0.0, 0.0], [30.0, 0.0, 0.0]], vertebra_dimensions("L1"))
    >>> at.depth_mm > 0
    array([ True, False])
    """
    x, y, z = as_points(points).T
    d = dimensions
    half_height = np.maximum(0.5 * d.mid_height_mm + d.rim_slope * y, 1e-9)
    height = z / half_height
    t = np.clip(height, -1.0, 1.0)

    a, b, c = _section(t, d)
    xi = x / a
    narrowing = _narrowing(xi, b, c)
    eta_y = y - 0.5 * c
    b_here = b * np.where(eta_y > 0.0, narrowing, 1.0)
    eta = eta_y / b_here
    radius = np.hypot(xi, eta)
    # The gradient of the radius turns it into mm; at the axis it has no direction, so the shorter semi-axis is taken.
    gradient = np.hypot(xi / a, eta / b_here) / np.maximum(radius, 1e-12)
    wall = (1.0 - radius) / np.where(radius > 1e-6, gradient, 1.0 / np.minimum(a, b_here))

    hollow = _hollow(radius, d.central_endplate_fraction)
    cosine = 1.0 / np.hypot(1.0, d.rim_slope)
    superior = (half_height - d.superior_concavity_mm * hollow - z) * cosine
    inferior = (z + half_height - d.inferior_concavity_mm * hollow) * cosine
    return BodyCoordinates(depth_mm=np.minimum(wall, np.minimum(superior, inferior)), radius=radius, height=height)


def endplate_area(dimensions: VertebraDimensions, side: Literal["superior", "inferior"]) -> float:
    """Area of an endplate's footprint, mm2: pi a b less the indentation, in closed form.

    Examples
    --------
    >>> from fesolver.anatomy.dimensions import vertebra_dimensions
    >>> round(endplate_area(vertebra_dimensions("L1"), "superior"))
    1171
    """
    if side not in ("superior", "inferior"):
        raise InputError(f"endplate side {side!r} is unknown", fix="use superior or inferior")
    a, b, c = (float(v[0]) for v in _section(np.array([1.0 if side == "superior" else -1.0]), dimensions))
    # The integral of (1 - s^2)^2 over [-1, 1] is 16/15.
    return float(np.pi * a * b - 16.0 / 15.0 * _INDENTED * a * c)


def body_volume(dimensions: VertebraDimensions) -> float:
    """Volume of the vertebral body, mm3.

    Notes
    -----
    Gauss-Legendre quadrature over the section and the height. The hollows are integrated over the endplates
    themselves, which neglects the waist over their depth (under 0.1 % of the volume).
    """
    d = dimensions
    height_nodes, height_weights = np.polynomial.legendre.leggauss(16)
    # The bounds of the indentation are kinks: one panel on each side of them keeps the quadrature exact.
    xi, xi_weights = _panels((-1.0, -_INDENTED, _INDENTED, 1.0), 48)
    chord = np.sqrt(1.0 - xi**2)
    volume = 0.0
    for t, weight in zip(height_nodes, height_weights, strict=True):
        a, b, c = (float(v[0]) for v in _section(np.array([t]), d))
        front = 0.5 * c - b * chord
        back = 0.5 * c + b * chord * _narrowing(xi, b, c)
        # Half the height, 0.5 h + slope y, integrated over y between the walls.
        column = 0.5 * d.mid_height_mm * (back - front) + 0.5 * d.rim_slope * (back**2 - front**2)
        volume += weight * a * float(np.sum(xi_weights * column))
    return volume - _hollow_volume(d)


def _hollow_volume(d: VertebraDimensions) -> float:
    """Volume between both endplates and their rim planes, mm3."""
    r, r_weights = _panels((0.0, d.central_endplate_fraction), 24)
    angles = (np.arange(720) + 0.5) * (2.0 * np.pi / 720)
    xi, eta = r[:, None] * np.cos(angles), r[:, None] * np.sin(angles)
    total = 0.0
    for t, concavity in ((1.0, d.superior_concavity_mm), (-1.0, d.inferior_concavity_mm)):
        a, b, c = (float(v[0]) for v in _section(np.array([t]), d))
        jacobian = a * b * np.where(eta > 0.0, _narrowing(xi, b, c), 1.0)
        ring = np.sum(jacobian, axis=1) * (2.0 * np.pi / 720)
        total += concavity * float(np.sum(r_weights * r * _hollow(r, d.central_endplate_fraction) * ring))
    return total


def _section(
    t: NDArray[np.float64], d: VertebraDimensions
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Semi-axes a, b and indentation c of the section at normalised height t, mm."""
    scale = 1.0 - d.waist_fraction * (1.0 - t**2)
    width = 0.5 * ((1.0 + t) * d.superior_width_mm + (1.0 - t) * d.inferior_width_mm)
    depth = 0.5 * ((1.0 + t) * d.superior_depth_mm + (1.0 - t) * d.inferior_depth_mm)
    c = d.posterior_indentation_mm
    return 0.5 * width * scale, 0.5 * (depth + c) * scale, c * scale


def _narrowing(xi: NDArray[np.float64], b: ArrayLike, c: ArrayLike) -> NDArray[np.float64]:
    """Posterior half-chord of the section over that of its ellipse."""
    s = np.clip(np.abs(xi) / _INDENTED, 0.0, 1.0)
    chord = np.sqrt(1.0 - (s * _INDENTED) ** 2)
    return np.asarray(1.0 - np.asarray(c) * (1.0 - s**2) ** 2 / (np.asarray(b) * chord))


def _hollow(radius: NDArray[np.float64], central_fraction: float) -> NDArray[np.float64]:
    """Depth of the endplate over its concavity: 1 on the axis, 0 from the central fraction outwards."""
    s = np.clip(radius / central_fraction, 0.0, 1.0)
    return np.asarray((1.0 - s**2) ** 2)


def _panels(edges: tuple[float, ...], order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Legendre nodes and weights on consecutive intervals."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    half = 0.5 * np.diff(edges)
    middle = 0.5 * (np.asarray(edges[1:]) + np.asarray(edges[:-1]))
    return (middle[:, None] + half[:, None] * nodes).ravel(), (half[:, None] * weights).ravel()
