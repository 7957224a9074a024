"""Eigenvalues of symmetric 3 x 3 tensors in closed form, accurate where two or three agree.

Every row is written by one thread: bits do not depend on the number of threads.
"""

import math

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel

BLOCK = 128
"""Tensors handled together: their components lie side by side, so that the arithmetic runs in vectors."""

TINY = 1e-290
"""Scale below which a deviator counts as zero."""


@kernel(error_model="numpy")
def principal_block(t, out):
    """Eigenvalues out (3, BLOCK), ascending, of symmetric tensors t (6, BLOCK), xx, yy, zz, yz, xz, xy.

    Of the deviator, scaled to largest entry 1, the eigenvalue farthest from the other two is well conditioned whatever
    these are: eta = 2 p c, where p^2 = J2 / 3 and 4 c^3 - 3 c = |det| / (2 p^3), c in [sqrt(3) / 2, 1] [1]_. What
    remains once it is taken away [2]_, with the projection on its axis as adj(B - eta I) / tr adj(B - eta I), has the
    eigenvalues -eta / 2 +- d, and d follows from its entries without cancellation, even where the two agree.

    References
    ----------
    .. [1] O. K. Smith, Commun. ACM 4 (1961) 168.
    .. [2] W. M. Scherzinger, C. R. Dohrmann, Comput. Methods Appl. Mech. Engrg. 197 (2008) 4007-4015.
    """
    for i in range(BLOCK):
        xx, yy, zz, yz, xz, xy = t[0, i], t[1, i], t[2, i], t[3, i], t[4, i], t[5, i]
        mean = (xx + yy + zz) * (1.0 / 3.0)
        xx, yy, zz = xx - mean, yy - mean, zz - mean
        size = max(max(max(abs(xx), abs(yy)), max(abs(zz), abs(yz))), max(abs(xz), abs(xy)))
        scale = 1.0 / max(size, TINY)
        xx, yy, zz, yz, xz, xy = scale * xx, scale * yy, scale * zz, scale * yz, scale * xz, scale * xy
        J2 = max(0.5 * (xx * xx + yy * yy + zz * zz) + yz * yz + xz * xz + xy * xy, 0.25)
        det = xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
        p = math.sqrt(J2 * (1.0 / 3.0))
        r = abs(det) / (2.0 * p * p * p)
        r = 1.0 if r > 1.0 else r
        # The start is off by e < 2e-3; Newton's step leaves 4 c e^2 / (4 c^2 - 1) < 2 e^2.
        c = 0.5 * math.sqrt(3.0) + r * (1.0 / 6.0 + r * (5.0 / 6.0 - 0.5 * math.sqrt(3.0)))
        for _ in range(3):
            c -= (c * (4.0 * c * c - 3.0) - r) / (12.0 * c * c - 3.0)
        eta = 2.0 * p * c
        eta = -eta if det < 0.0 else eta
        a, b, g = xx - eta, yy - eta, zz - eta
        axx, ayy, azz = b * g - yz * yz, a * g - xz * xz, a * b - xy * xy
        ayz, axz, axy = xz * xy - a * yz, xy * yz - b * xz, xz * yz - g * xy
        # At least 0.75, but where the deviator is round-off alone, whose trace need not vanish.
        w = 1.5 * eta / max(axx + ayy + azz, 0.5)
        a, b, g = xx + 0.5 * eta - w * axx, yy + 0.5 * eta - w * ayy, zz + 0.5 * eta - w * azz
        yz, xz, xy = yz - w * ayz, xz - w * axz, xy - w * axy
        d = math.sqrt(0.5 * (a * a + b * b + g * g) + yz * yz + xz * xz + xy * xy)
        low, high = -0.5 * eta - d, -0.5 * eta + d
        first, second, third = eta, low, high
        if det >= 0.0:
            first, second, third = low, high, eta
        # In the latter case they may also come out of order.
        first, second = min(first, second), max(first, second)
        second, third = min(second, third), max(second, third)
        first, second = min(first, second), max(first, second)
        out[0, i], out[1, i], out[2, i] = mean + size * first, mean + size * second, mean + size * third


@kernel(parallel=True)
def principal(rows, places, shear_factor, out):
    """Eigenvalues out (n, 3), ascending, of symmetric tensors in rows (n, m).

    places (6,): where xx, yy, zz, yz, xz, xy stand in a row; shear_factor: what the last three are multiplied by.
    """
    n = rows.shape[0]
    for block in prange((n + BLOCK - 1) // BLOCK):
        t, values = np.zeros((6, BLOCK)), np.empty((3, BLOCK))
        first = block * BLOCK
        count = min(BLOCK, n - first)
        for c in range(6):
            factor = 1.0 if c < 3 else shear_factor
            for i in range(count):
                t[c, i] = factor * rows[first + i, places[c]]
        principal_block(t, values)
        for i in range(count):
            for c in range(3):
                out[first + i, c] = values[c, i]
