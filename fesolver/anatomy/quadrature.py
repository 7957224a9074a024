"""Quadrature over intervals with kinks, and over a vertebral body."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.body_map import body_points
from fesolver.anatomy.dimensions import VertebraDimensions

__all__ = ["body_quadrature", "gauss_panels"]

_STEP = 1e-5
"""Step of central differences in normalised coordinates: error about 1e-10 of the size."""


def gauss_panels(edges: tuple[float, ...], order: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gauss-Legendre nodes and weights on consecutive intervals.

    Parameters
    ----------
    edges : tuple of float
        Ends of the intervals, rising: kinks of the integrand belong here.
    order : int
        Nodes per interval.

    Returns
    -------
    nodes, weights : ((len(edges) - 1) * order,) ndarray
        Rising nodes, and weights that sum to the length.
    """
    nodes, weights = np.polynomial.legendre.leggauss(order)
    half = 0.5 * np.diff(edges)
    middle = 0.5 * (np.asarray(edges[1:]) + np.asarray(edges[:-1]))
    return (middle[:, None] + half[:, None] * nodes).ravel(), (half[:, None] * weights).ravel()


def body_quadrature(
    dimensions: VertebraDimensions,
    *,
    radii: tuple[float, ...] = (),
    radial: int = 4,
    angular: int = 12,
    axial: int = 4,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Places, points and weights that integrate over a vertebral body.

    Parameters
    ----------
    dimensions : VertebraDimensions
        Size and shape of the vertebra.
    radii : tuple of float, optional
        Further normalised radii at which the integrand jumps, in (0, 1).
    radial, angular, axial : int, optional
        Gauss points over each panel of the radius, the circle and the height.

    Returns
    -------
    places : (q, 3) ndarray
        xi, eta, s.
    points : (q, 3) ndarray
        Body frame, mm.
    weights : (q,) ndarray
        Volume of each point, mm3; their sum is the volume of the body.

    Notes
    -----
    Panels of the radius end at the edge of the hollow and at 0.6 and 0.8, where `PatternedDensity` bends; those of the
    circle where xi or eta is 0; those of the height at the thirds. The Jacobian is that of `body_points` by central
    differences. The arrays of the last few bodies are kept, as their densities are asked for again and again: they are
    shared, and read-only.
    """
    return _body_quadrature(dimensions, radii, radial, angular, axial)


@lru_cache(maxsize=8)
def _body_quadrature(
    dimensions: VertebraDimensions, radii: tuple[float, ...], radial: int, angular: int, axial: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Places, points and weights of `body_quadrature`, by what they depend on."""
    edges = tuple(sorted({0.0, 0.6, 0.8, 1.0, dimensions.central_endplate_fraction, *radii}))
    r, r_weights = gauss_panels(edges, radial)
    angle, angle_weights = gauss_panels(tuple(np.linspace(0.0, 2.0 * np.pi, 5)), angular)
    s, s_weights = gauss_panels(tuple(np.linspace(-1.0, 1.0, 4)), axial)
    rr, tt, ss = (v.ravel() for v in np.meshgrid(r, angle, s, indexing="ij"))
    weights = (r_weights[:, None, None] * angle_weights[:, None] * s_weights).ravel()

    def at(r: NDArray[np.float64], t: NDArray[np.float64], s: NDArray[np.float64]) -> NDArray[np.float64]:
        return body_points(r * np.cos(t), r * np.sin(t), s, dimensions)

    columns = [
        (at(rr + _STEP, tt, ss) - at(rr - _STEP, tt, ss)),
        (at(rr, tt + _STEP, ss) - at(rr, tt - _STEP, ss)),
        (at(rr, tt, ss + _STEP) - at(rr, tt, ss - _STEP)),
    ]
    jacobian = np.einsum("qi,qi->q", np.cross(columns[0], columns[1]), columns[2]) / (2.0 * _STEP) ** 3
    places = np.column_stack([rr * np.cos(tt), rr * np.sin(tt), ss])
    found = places, at(rr, tt, ss), weights * jacobian
    for values in found:
        values.flags.writeable = False
    return found
