"""K u on a lattice of equal bricks, without a matrix.

In the basis of products of node sums and differences along x, y and z (a Walsh-Hadamard transform of the eight nodes)
the displacement of a brick is c_p xi^p1 eta^p2 zeta^p3 with p in {0, 1}^3, its strain a sum of the seven monomials
1, xi, eta, zeta, xi eta, xi zeta, eta zeta, and these are orthogonal over the brick with mean squares 1, 1/3 and 1/9.
So the energy is a sum over monomials of the quadratic form of the elasticity matrix in the monomial's six strains:
exact, and cheap. Mean dilatation drops the dilatation of every monomial but the first.

Arrays are boxes with x fastest: cells (nz, ny, nx), points (nz + 1, ny + 1, nx + 1, 3). Every thread owns a range of
point planes and writes only there; a point sums its cells in the same order whatever the ranges, so the bits do not
depend on the number of threads.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel


@kernel
def walsh(x0, x1, x2, x3, x4, x5, x6, x7):
    """Sums and differences of eight node values (bits of the position: x, y, z); entry p weighs bit-wise signs."""
    s0, d0 = x0 + x1, x1 - x0
    s1, d1 = x2 + x3, x3 - x2
    s2, d2 = x4 + x5, x5 - x4
    s3, d3 = x6 + x7, x7 - x6
    a0, b0 = s0 + s1, s1 - s0
    a1, b1 = d0 + d1, d1 - d0
    a2, b2 = s2 + s3, s3 - s2
    a3, b3 = d2 + d3, d3 - d2
    return a0 + a2, a1 + a3, b0 + b2, b1 + b3, a2 - a0, a3 - a1, b2 - b0, b3 - b1


@kernel
def walsh_transposed(y1, y2, y3, y4, y5, y6, y7):
    """Transpose of `walsh` for a vector whose first entry is zero."""
    # z
    a0, a2 = -y4, y4
    a1, a3 = y1 - y5, y1 + y5
    b0, b2 = y2 - y6, y2 + y6
    b1, b3 = y3 - y7, y3 + y7
    # y
    s0, s1 = a0 - b0, a0 + b0
    d0, d1 = a1 - b1, a1 + b1
    s2, s3 = a2 - b2, a2 + b2
    d2, d3 = a3 - b3, a3 + b3
    # x
    return s0 - d0, s0 + d0, s1 - d1, s1 + d1, s2 - d2, s2 + d2, s3 - d3, s3 + d3


@kernel
def isotropic_modes(U, V, W, a, b, c, lam, mu, dilatation, w1, w2, w3):
    """Forces conjugate to the Walsh coefficients of a brick; `dilatation` multiplies theta in modes 1 to 6."""
    _, U1, U2, U3, U4, U5, U6, U7 = U
    _, V1, V2, V3, V4, V5, V6, V7 = V
    _, W1, W2, W3, W4, W5, W6, W7 = W
    m2 = mu + mu
    # 1
    exx, eyy, ezz = a * U1, b * V2, c * W4
    t = lam * (exx + eyy + ezz)
    xx0, yy0, zz0 = w1 * (t + m2 * exx), w1 * (t + m2 * eyy), w1 * (t + m2 * ezz)
    g = w1 * mu
    yz0, xz0, xy0 = g * (c * V4 + b * W2), g * (c * U4 + a * W1), g * (b * U2 + a * V1)
    # xi, eta, zeta
    g = w2 * mu
    m2 = w2 * m2
    dil = w2 * dilatation
    eyy, ezz = b * V3, c * W5
    t = dil * (eyy + ezz)
    yy1, zz1 = t + m2 * eyy, t + m2 * ezz
    yz1, xz1, xy1 = g * (c * V5 + b * W3), g * (c * U5), g * (b * U3)
    exx, ezz = a * U3, c * W6
    t = dil * (exx + ezz)
    xx2, zz2 = t + m2 * exx, t + m2 * ezz
    yz2, xz2, xy2 = g * (c * V6), g * (c * U6 + a * W3), g * (a * V3)
    exx, eyy = a * U5, b * V6
    t = dil * (exx + eyy)
    xx4, yy4 = t + m2 * exx, t + m2 * eyy
    yz4, xz4, xy4 = g * (b * W6), g * (a * W5), g * (b * U6 + a * V5)
    # xi eta, xi zeta, eta zeta
    g = w3 * mu
    n = w3 * (mu + mu + dilatation)
    zz3, yz3, xz3 = n * (c * W7), g * (c * V7), g * (c * U7)
    yy5, yz5, xy5 = n * (b * V7), g * (b * W7), g * (b * U7)
    xx6, xz6, xy6 = n * (a * U7), g * (a * W7), g * (a * V7)
    fu = walsh_transposed(
        a * xx0, b * xy0, a * xx2 + b * xy1, c * xz0, a * xx4 + c * xz1, c * xz2 + b * xy4,
        c * xz3 + b * xy5 + a * xx6,
    )  # fmt: skip
    fv = walsh_transposed(
        a * xy0, b * yy0, b * yy1 + a * xy2, c * yz0, c * yz1 + a * xy4, c * yz2 + b * yy4,
        c * yz3 + b * yy5 + a * xy6,
    )  # fmt: skip
    fw = walsh_transposed(
        a * xz0, b * yz0, b * yz1 + a * xz2, c * zz0, c * zz1 + a * xz4, c * zz2 + b * yz4,
        c * zz3 + b * yz5 + a * xz6,
    )  # fmt: skip
    return fu, fv, fw


@kernel
def general_mode(e, D, weight, project, third, s):
    """Stress coefficients (6,) of one monomial from its strain coefficients; `project` drops the dilatation."""
    if project:
        t = (e[0] + e[1] + e[2]) * third
        e[0] -= t
        e[1] -= t
        e[2] -= t
    for r in range(6):
        v = D[r, 0] * e[0]
        for q in range(1, 6):
            v += D[r, q] * e[q]
        s[r] = weight * v
    if project:
        t = (s[0] + s[1] + s[2]) * third
        s[0] -= t
        s[1] -= t
        s[2] -= t


@kernel
def general_modes(U, V, W, a, b, c, D, project, third, w1, w2, w3, e, s):
    """As `isotropic_modes`, for any elasticity matrix (6, 6); e (6,) and s (7, 6) are scratch."""
    _, U1, U2, U3, U4, U5, U6, U7 = U
    _, V1, V2, V3, V4, V5, V6, V7 = V
    _, W1, W2, W3, W4, W5, W6, W7 = W
    zero = third - third
    e[0], e[1], e[2] = a * U1, b * V2, c * W4
    e[3], e[4], e[5] = c * V4 + b * W2, c * U4 + a * W1, b * U2 + a * V1
    general_mode(e, D, w1, False, third, s[0])
    e[0], e[1], e[2] = zero, b * V3, c * W5
    e[3], e[4], e[5] = c * V5 + b * W3, c * U5, b * U3
    general_mode(e, D, w2, project, third, s[1])
    e[0], e[1], e[2] = a * U3, zero, c * W6
    e[3], e[4], e[5] = c * V6, c * U6 + a * W3, a * V3
    general_mode(e, D, w2, project, third, s[2])
    e[0], e[1], e[2] = zero, zero, c * W7
    e[3], e[4], e[5] = c * V7, c * U7, zero
    general_mode(e, D, w3, project, third, s[3])
    e[0], e[1], e[2] = a * U5, b * V6, zero
    e[3], e[4], e[5] = b * W6, a * W5, b * U6 + a * V5
    general_mode(e, D, w2, project, third, s[4])
    e[0], e[1], e[2] = zero, b * V7, zero
    e[3], e[4], e[5] = b * W7, zero, b * U7
    general_mode(e, D, w3, project, third, s[5])
    e[0], e[1], e[2] = a * U7, zero, zero
    e[3], e[4], e[5] = zero, a * W7, a * V7
    general_mode(e, D, w3, project, third, s[6])
    fu = walsh_transposed(
        a * s[0, 0], b * s[0, 5], a * s[2, 0] + b * s[1, 5], c * s[0, 4], a * s[4, 0] + c * s[1, 4],
        c * s[2, 4] + b * s[4, 5], c * s[3, 4] + b * s[5, 5] + a * s[6, 0],
    )  # fmt: skip
    fv = walsh_transposed(
        a * s[0, 5], b * s[0, 1], b * s[1, 1] + a * s[2, 5], c * s[0, 3], c * s[1, 3] + a * s[4, 5],
        c * s[2, 3] + b * s[4, 1], c * s[3, 3] + b * s[5, 1] + a * s[6, 5],
    )  # fmt: skip
    fw = walsh_transposed(
        a * s[0, 4], b * s[0, 3], b * s[1, 3] + a * s[2, 4], c * s[0, 2], c * s[1, 2] + a * s[4, 4],
        c * s[2, 2] + b * s[4, 3], c * s[3, 2] + b * s[5, 3] + a * s[6, 4],
    )  # fmt: skip
    return fu, fv, fw


@kernel(parallel=True)
def apply_stiffness(u, f, lam, mu, general, D, constants, is_bbar, n_slabs):
    """f = K u; cells with mu = 0 are absent; general (nz, ny, nx) holds -1 or a row of D (k, 6, 6).

    constants: 1/(4 hx), 1/(4 hy), 1/(4 hz), volume, volume/3, volume/9, 1/3 in the working precision.
    """
    nz, ny, nx = mu.shape
    a, b, c = constants[0], constants[1], constants[2]
    w1, w2, w3, third = constants[3], constants[4], constants[5], constants[6]
    for slab in prange(n_slabs):
        first = slab * (nz + 1) // n_slabs
        last = (slab + 1) * (nz + 1) // n_slabs
        f[first:last] = 0
        e = np.empty(6, u.dtype)
        s = np.empty((7, 6), u.dtype)
        for k in range(max(first - 1, 0), min(last, nz)):
            has_low, has_high = k >= first, k + 1 < last
            for j in range(ny):
                for i in range(nx):
                    m = mu[k, j, i]
                    if m == 0:
                        continue
                    p0, p1, p2, p3 = u[k, j, i], u[k, j, i + 1], u[k, j + 1, i], u[k, j + 1, i + 1]
                    q0, q1, q2, q3 = u[k + 1, j, i], u[k + 1, j, i + 1], u[k + 1, j + 1, i], u[k + 1, j + 1, i + 1]
                    U = walsh(p0[0], p1[0], p2[0], p3[0], q0[0], q1[0], q2[0], q3[0])
                    V = walsh(p0[1], p1[1], p2[1], p3[1], q0[1], q1[1], q2[1], q3[1])
                    W = walsh(p0[2], p1[2], p2[2], p3[2], q0[2], q1[2], q2[2], q3[2])
                    row = general[k, j, i]
                    if row >= 0:
                        fu, fv, fw = general_modes(U, V, W, a, b, c, D[row], is_bbar, third, w1, w2, w3, e, s)
                    else:
                        l = lam[k, j, i]
                        dilatation = l
                        if is_bbar:
                            dilatation = -(m + m) * third
                        fu, fv, fw = isotropic_modes(U, V, W, a, b, c, l, m, dilatation, w1, w2, w3)
                    if has_low:
                        g0, g1, g2, g3 = f[k, j, i], f[k, j, i + 1], f[k, j + 1, i], f[k, j + 1, i + 1]
                        g0[0] += fu[0]
                        g0[1] += fv[0]
                        g0[2] += fw[0]
                        g1[0] += fu[1]
                        g1[1] += fv[1]
                        g1[2] += fw[1]
                        g2[0] += fu[2]
                        g2[1] += fv[2]
                        g2[2] += fw[2]
                        g3[0] += fu[3]
                        g3[1] += fv[3]
                        g3[2] += fw[3]
                    if has_high:
                        h0, h1 = f[k + 1, j, i], f[k + 1, j, i + 1]
                        h2, h3 = f[k + 1, j + 1, i], f[k + 1, j + 1, i + 1]
                        h0[0] += fu[4]
                        h0[1] += fv[4]
                        h0[2] += fw[4]
                        h1[0] += fu[5]
                        h1[1] += fv[5]
                        h1[2] += fw[5]
                        h2[0] += fu[6]
                        h2[1] += fv[6]
                        h2[2] += fw[6]
                        h3[0] += fu[7]
                        h3[1] += fv[7]
                        h3[2] += fw[7]
