"""Quadrature rules with positive weights on reference cells, to any degree.

References
----------
.. [1] A. H. Stroud, *Approximate Calculation of Multiple Integrals*, Prentice-Hall, 1971: products, conical products,
   the 4-point rule T3: 2-1 of the tetrahedron and the 3-point rule T2: 2-1 of the triangle.
.. [2] D. A. Dunavant, "High degree efficient symmetrical Gaussian quadrature rules for the triangle", *Int. J. Numer.
   Meth. Eng.* 21, 1985, 1129-1148: the 6-point rule of degree 4; here with its coordinates in closed form.
"""

from __future__ import annotations

from functools import cache
from math import sqrt

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rule", "cell_rule"]

Rule = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Points (q, dimension) and weights (q,)."""


@cache
def cell_rule(shape: str, degree: int) -> Rule:
    """Points and weights, not writeable, exact for polynomials up to `degree` on a reference cell.

    Parameters
    ----------
    shape : {"hexahedron", "tetrahedron", "wedge", "triangle", "quadrilateral"}
        See `fesolver.fem.elements`.
    degree : int
        Not negative. On boxes the rule is a product, exact to this degree in each coordinate.

    Returns
    -------
    xi : (q, dimension) ndarray
    weights : (q,) ndarray
        Positive.
    """
    if shape == "hexahedron":
        rule = _product(_product(_line(degree), _line(degree)), _line(degree))
    elif shape == "quadrilateral":
        rule = _product(_line(degree), _line(degree))
    elif shape == "wedge":
        rule = _product(_triangle(degree), _line(degree))
    else:
        rule = _triangle(degree) if shape == "triangle" else _tetrahedron(degree)
    for array in rule:
        array.setflags(write=False)
    return rule


def _line(degree: int) -> Rule:
    """Gauss-Legendre on [-1, 1]."""
    x, w = np.polynomial.legendre.leggauss(degree // 2 + 1)
    return x[:, None], w


def _product(first: Rule, second: Rule) -> Rule:
    """The product rule; the coordinates of `first` run fastest."""
    (x, v), (y, w) = first, second
    return np.hstack([np.tile(x, (len(y), 1)), np.repeat(y, len(x), axis=0)]), np.tile(v, len(w)) * np.repeat(w, len(v))


def _conical(degree: int, dimension: int) -> Rule:
    """Stroud's conical product of Gauss-Jacobi rules on the unit simplex."""
    from scipy.special import roots_jacobi

    xi, weights = np.zeros((1, 0)), np.ones(1)
    for power in range(dimension):
        t, w = roots_jacobi(degree // 2 + 1, power, 0)  # on [-1, 1] with the weight (1 - t)^power
        t, w = 0.5 * (1.0 + t), w * 0.5 ** (power + 1)
        shrunk = np.tile(xi, (len(t), 1)) * np.repeat(1.0 - t, len(xi))[:, None]
        xi = np.hstack([shrunk, np.repeat(t, len(xi))[:, None]])
        weights = np.tile(weights, len(t)) * np.repeat(w, len(weights))
    return xi, weights


def _orbit(a: float) -> NDArray[np.float64]:
    """The three points of a triangle with barycentric coordinates (a, a, 1 - 2 a)."""
    return np.array([[a, a], [1.0 - 2.0 * a, a], [a, 1.0 - 2.0 * a]])


def _triangle(degree: int) -> Rule:
    """On the unit triangle."""
    if degree <= 1:
        return np.full((1, 2), 1.0 / 3.0), np.array([0.5])
    if degree == 2:
        return _orbit(1.0 / 6.0), np.full(3, 1.0 / 6.0)
    if degree <= 4:
        root, half_width = sqrt(10.0), sqrt(38.0 - 44.0 * sqrt(0.4))
        spread = sqrt(213125.0 - 53320.0 * root)
        points = [_orbit((8.0 - root + sign * half_width) / 18.0) for sign in (1.0, -1.0)]
        return np.vstack(points), np.repeat([(620.0 + spread) / 7440.0, (620.0 - spread) / 7440.0], 3)
    return _conical(degree, 2)


def _tetrahedron(degree: int) -> Rule:
    """On the unit tetrahedron."""
    if degree <= 1:
        return np.full((1, 3), 0.25), np.array([1.0 / 6.0])
    if degree == 2:
        a = (5.0 - sqrt(5.0)) / 20.0
        return np.vstack([np.full((1, 3), a), a + (1.0 - 4.0 * a) * np.eye(3)]), np.full(4, 1.0 / 24.0)
    return _conical(degree, 3)
