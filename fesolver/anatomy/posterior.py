"""Posterior elements as simple solids: pedicles, laminae, spinous and transverse processes around an open canal.

They make a label map look like that of a real vertebra, whose canal can be seen through from end to end. Articular
processes are left out, so that neighbouring levels never touch.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fesolver.anatomy.dimensions import VertebraDimensions
from fesolver.anatomy.shape import as_points

__all__ = ["arch_depth", "canal_area", "canal_front"]

_FLAT_FRONT = 1.0 / 3.0
"""Share of the canal's depth that lies between the pedicles; the rest is a half-ellipse between the laminae."""
_CONVERGENCE = 0.5
"""How far the pedicles move towards the midline per mm in front of the canal; a choice."""


def canal_front(dimensions: VertebraDimensions) -> float:
    """Position y of the canal's anterior edge in the body frame, mm: the hindmost mid-sagittal point of the body."""
    return 0.5 * max(dimensions.superior_depth_mm, dimensions.inferior_depth_mm)


def canal_area(dimensions: VertebraDimensions) -> float:
    """Area between pedicles, laminae and the frontal plane at the canal's anterior edge, mm2.

    The hole seen along the spine differs by what the indented posterior wall adds and its lobes take, a few mm2.

    Examples
    --------
    >>> from fesolver.anatomy.dimensions import vertebra_dimensions
    >>> round(canal_area(vertebra_dimensions("L1")))
    264
    """
    d = dimensions
    front = _FLAT_FRONT * d.canal_depth_mm
    return d.canal_width_mm * (front + 0.25 * np.pi * (d.canal_depth_mm - front))


def arch_depth(
    points: ArrayLike, dimensions: VertebraDimensions, *, longer_left_mm: float = 0.0
) -> NDArray[np.float64]:
    """Depth of points inside the posterior elements.

    Parameters
    ----------
    points : (n, 3) array_like
        Points in the body frame, mm.
    dimensions : VertebraDimensions
        Size of the vertebra.
    longer_left_mm : float, optional
        Extra length of the left transverse process, mm: a mark that tells left from right.

    Returns
    -------
    (n,) ndarray
        Distance to the surface to first order, mm; positive inside, exact in sign. The pedicles reach into the body.

    Raises
    ------
    InputError
        If `points` is not (n, 3) and finite.
    """
    x, y, z = as_points(points).T
    d = dimensions
    front = canal_front(d)
    half_width = 0.5 * d.canal_width_mm
    hinge = front + _FLAT_FRONT * d.canal_depth_mm
    lateral = half_width + d.pedicle_width_mm
    # Pedicles leave the upper half of the body, clear of the superior endplate.
    height = min(d.pedicle_height_mm, 0.6 * d.posterior_height_mm)
    top = 0.5 * min(d.posterior_height_mm, d.mid_height_mm) - 2.5
    pedicle_z = top - 0.5 * height

    # Beside the canal the pedicles run straight back; in front of it they converge into the body.
    converging = _CONVERGENCE * np.maximum(front - y, 0.0)
    pedicle_x = (np.abs(x) - half_width - 0.5 * d.pedicle_width_mm + converging) / (0.5 * d.pedicle_width_mm)
    pedicle_r = np.hypot(pedicle_x, (z - pedicle_z) / (0.5 * height))
    across = (1.0 - pedicle_r) * 0.5 * min(d.pedicle_width_mm, height)
    # From inside the posterolateral wall of the body to behind the front end of the lamina.
    pedicle = np.minimum(across, np.minimum(y - (front - 11.0), hinge + 3.0 - y))

    rear = d.canal_depth_mm * (1.0 - _FLAT_FRONT)
    inner = _ellipse_depth(x, y - hinge, half_width, rear)
    outer = _ellipse_depth(x, y - hinge, lateral, rear + d.lamina_thickness_mm)
    lamina_z = np.minimum(top - 1.0 - z, z - (top - 1.0 - 1.25 * height))
    lamina = np.minimum(np.minimum(outer, -inner), np.minimum(lamina_z, y - hinge))

    spinous_front = front + d.canal_depth_mm + 0.5 * d.lamina_thickness_mm
    spinous_back = front + d.canal_depth_mm + d.lamina_thickness_mm + d.spinous_process_mm
    # The process falls by a fifth of its length, as lumbar ones do; its lower edge stays above the next lamina.
    middle = pedicle_z - 0.25 * height - 0.2 * (y - spinous_front)
    spinous = np.minimum(3.5 - np.abs(x), 0.55 * height - np.abs(z - middle))
    spinous = np.minimum(spinous, np.minimum(y - spinous_front, spinous_back - y))

    tip = 0.5 * d.transverse_span_mm + np.where(x > 0.0, longer_left_mm, 0.0)
    root = half_width + 0.6 * d.pedicle_width_mm
    along = np.abs(x) - np.clip(np.abs(x), root, tip - 4.0)
    transverse = 4.0 - np.sqrt(along**2 + (y - hinge - 1.0) ** 2 + (z - pedicle_z) ** 2)

    return np.asarray(np.maximum(np.maximum(pedicle, lamina), np.maximum(spinous, transverse)))


def _ellipse_depth(u: NDArray[np.float64], v: NDArray[np.float64], a: float, b: float) -> NDArray[np.float64]:
    """First-order distance inside an ellipse of semi-axes a and b."""
    r = np.hypot(u / a, v / b)
    gradient = np.hypot(u / a**2, v / b**2) / np.maximum(r, 1e-12)
    return np.asarray((1.0 - r) / np.where(r > 1e-6, gradient, 1.0 / min(a, b)))
