"""Cross-section of a vertebral body and the hollow of an endplate, in normalised coordinates on the unit disc.

`xi` runs to the patient's left and `eta` to posterior; radius 1 is the wall. Forward (`body_map`) and backward
(`shape`) maps share these formulas, so that each undoes the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.anatomy.dimensions import VertebraDimensions

__all__ = ["INDENTED", "hollow", "posterior_narrowing", "section_axes"]

INDENTED = 0.7
"""Half-width of the indentation of the posterior wall over the half-width of the section; a choice."""


def section_axes(
    t: NDArray[np.float64], d: VertebraDimensions
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Semi-axes a, b and indentation c of the section at normalised height t, mm."""
    scale = 1.0 - d.waist_fraction * (1.0 - t**2)
    width = 0.5 * ((1.0 + t) * d.superior_width_mm + (1.0 - t) * d.inferior_width_mm)
    depth = 0.5 * ((1.0 + t) * d.superior_depth_mm + (1.0 - t) * d.inferior_depth_mm)
    c = d.posterior_indentation_mm
    return 0.5 * width * scale, 0.5 * (depth + c) * scale, c * scale


def posterior_narrowing(xi: NDArray[np.float64], b: ArrayLike, c: ArrayLike) -> NDArray[np.float64]:
    """Posterior half-chord of the section over that of its ellipse."""
    s = np.clip(np.abs(xi) / INDENTED, 0.0, 1.0)
    chord = np.sqrt(1.0 - (s * INDENTED) ** 2)
    return np.asarray(1.0 - np.asarray(c) * (1.0 - s**2) ** 2 / (np.asarray(b) * chord))


def hollow(
    xi: NDArray[np.float64], eta: NDArray[np.float64], central_fraction: float, apex_fraction: float = 0.0
) -> NDArray[np.float64]:
    """Depth of an endplate over its concavity: 1 at the apex, 0 from the central fraction of the radius outwards.

    Parameters
    ----------
    xi, eta : (n,) ndarray
        Normalised place in the section.
    central_fraction : float
        Radius r_c of the concave part, normalised.
    apex_fraction : float, optional
        Normalised place e of the deepest point towards posterior, |e| < r_c.

    Returns
    -------
    (n,) ndarray
        (1 - s^2)^2, dimensionless.

    Notes
    -----
    s = r / r_c for an apex on the axis. Otherwise s is the modulus of the Moebius map of the disc of radius r_c that
    takes the apex to its centre: smooth, 0 at the apex only and 1 on the same circle.
    """
    radius = np.hypot(xi, eta)
    if apex_fraction == 0.0:
        s = np.clip(radius / central_fraction, 0.0, 1.0)
    else:
        e, r_c = apex_fraction, central_fraction
        # Outside the circle s is at least 1; its pole lies there too, and is never met.
        inside = np.minimum(1.0, r_c / np.maximum(radius, r_c))
        p, q = xi * inside, eta * inside
        s = np.clip(r_c * np.hypot(p, q - e) / np.hypot(r_c**2 - e * q, e * p), 0.0, 1.0)
    return np.asarray((1.0 - s**2) ** 2)
