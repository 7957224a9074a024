"""The Galerkin operator of a coarse lattice of isotropic bricks from moments of the moduli.

A coarse function is trilinear on its cell, whatever the level: its strain is a sum of the seven monomials 1, xi, eta,
zeta, xi eta, xi zeta, eta zeta of the coarse cell, and the energy of the fine bricks under it needs the fine moduli
only through the integrals of mu and of lambda against products of two of them, 23 each. So the product T^T K T over
all fine bricks of a coarse cell takes 46 numbers instead of the 300 of a symmetric 24 x 24 matrix, and moments of a
coarser cell are sums of shifted moments of its children. With mean dilatation, the dilatation of a fine brick is its
value at the centre: the second 23 are sums over fine bricks of volume times bulk modulus times the product of
monomials there, less two thirds of the first.

Cells that are not isotropic, or hold a fine node that may not move where coarse functions do, have a matrix of their
own.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.bricks import along_x, columns, finish, flush, scatter
from fesolver.fem.kernels.jit import kernel
from fesolver.fem.kernels.simd import lane_sum, load, splat, store

EXPONENTS = np.array(
    [
        [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1],
        [2, 0, 0], [0, 2, 0], [0, 0, 2], [2, 1, 0], [2, 0, 1], [1, 2, 0], [0, 2, 1], [1, 0, 2], [0, 1, 2],
        [2, 1, 1], [1, 2, 1], [1, 1, 2], [2, 2, 0], [2, 0, 2], [0, 2, 2],
    ]
)  # fmt: skip
"""Powers of xi, eta, zeta of the moments, in their order."""

COUNT = 23
BLOCK = 2 * COUNT * 8
"""Floats in a chunk of eight cells."""


@kernel(forceinline=True)
def four(e, m):
    """Moment matrix of the monomials 1, p, q, pq; m: moments 00, 10, 01, 11, 20, 02, 21, 12, 22."""
    a, b, c, d = e
    m00, m10, m01, m11, m20, m02, m21, m12, m22 = m
    return (
        m00 * a + m10 * b + m01 * c + m11 * d,
        m10 * a + m20 * b + m11 * c + m21 * d,
        m01 * a + m11 * b + m02 * c + m12 * d,
        m11 * a + m21 * b + m12 * c + m22 * d,
    )


@kernel(forceinline=True)
def six(e, m):
    """Moment matrix of the monomials 1, p, q, r, pr, qr; m by powers of p, q, r as listed in the first line."""
    m000, m100, m010, m001, m110, m101, m011, m111, m200, m020, m002, m201, m021, m102, m012, m112, m202, m022 = m
    a, b, c, d, f, g = e
    return (
        m000 * a + m100 * b + m010 * c + m001 * d + m101 * f + m011 * g,
        m100 * a + m200 * b + m110 * c + m101 * d + m201 * f + m111 * g,
        m010 * a + m110 * b + m020 * c + m011 * d + m111 * f + m021 * g,
        m001 * a + m101 * b + m011 * c + m002 * d + m102 * f + m012 * g,
        m101 * a + m201 * b + m111 * c + m102 * d + m202 * f + m112 * g,
        m011 * a + m111 * b + m021 * c + m012 * d + m112 * f + m022 * g,
    )


@kernel(forceinline=True)
def moment_forces(U, V, W, C, at, k):
    """Forces from coefficients; C holds the moments from `at` on; k: edges' constants."""
    U1, U2, U3, U4, U5, U6, U7 = U
    V1, V2, V3, V4, V5, V6, V7 = V
    W1, W2, W3, W4, W5, W6, W7 = W
    lx, ly, lz, kxx, kyy, kzz, kyz, kxz, kxy = k
    m000, m100, m010, m001 = load(C, at), load(C, at + 8), load(C, at + 16), load(C, at + 24)
    m110, m101, m011, m111 = load(C, at + 32), load(C, at + 40), load(C, at + 48), load(C, at + 56)
    m200, m020, m002 = load(C, at + 64), load(C, at + 72), load(C, at + 80)
    m210, m201, m120 = load(C, at + 88), load(C, at + 96), load(C, at + 104)
    m021, m102, m012 = load(C, at + 112), load(C, at + 120), load(C, at + 128)
    m211, m121, m112 = load(C, at + 136), load(C, at + 144), load(C, at + 152)
    m220, m202, m022 = load(C, at + 160), load(C, at + 168), load(C, at + 176)
    x0, x2, x4, x6 = four((U1, U3, U5, U7), (m000, m010, m001, m011, m020, m002, m021, m012, m022))
    y0, y1, y4, y5 = four((V2, V3, V6, V7), (m000, m100, m001, m101, m200, m002, m201, m102, m202))
    z0, z1, z2, z3 = four((W4, W5, W6, W7), (m000, m100, m010, m110, m200, m020, m210, m120, m220))
    c0, c1, c2, c4, c5, c6 = six(
        (U2 + V1, U3, V3, U6 + V5, U7, V7),
        (m000, m100, m010, m001, m110, m101, m011, m111, m200, m020, m002, m201, m021, m102, m012, m112, m202, m022),
    )
    a0, a2, a4, a1, a3, a5 = six(
        (V4 + W2, V6, W6, V5 + W3, V7, W7),
        (m000, m010, m001, m100, m011, m110, m101, m111, m020, m002, m200, m120, m102, m210, m201, m211, m220, m202),
    )
    b0, b1, b4, b2, b3, b6 = six(
        (U4 + W1, U5, W5, U6 + W3, U7, W7),
        (m000, m100, m001, m010, m101, m110, m011, m111, m200, m002, m020, m210, m012, m120, m021, m121, m220, m022),
    )
    at += 8 * COUNT
    m000, m100, m010, m001 = load(C, at), load(C, at + 8), load(C, at + 16), load(C, at + 24)
    m110, m101, m011, m111 = load(C, at + 32), load(C, at + 40), load(C, at + 48), load(C, at + 56)
    m200, m020, m002 = load(C, at + 64), load(C, at + 72), load(C, at + 80)
    m210, m201, m120 = load(C, at + 88), load(C, at + 96), load(C, at + 104)
    m021, m102, m012 = load(C, at + 112), load(C, at + 120), load(C, at + 128)
    m211, m121, m112 = load(C, at + 136), load(C, at + 144), load(C, at + 152)
    m220, m202, m022 = load(C, at + 160), load(C, at + 168), load(C, at + 176)
    e0, e1, e2, e4 = lx * U1 + ly * V2 + lz * W4, ly * V3 + lz * W5, lx * U3 + lz * W6, lx * U5 + ly * V6
    e3, e5, e6 = lz * W7, ly * V7, lx * U7
    t0 = m000 * e0 + m100 * e1 + m010 * e2 + m001 * e4 + m110 * e3 + m101 * e5 + m011 * e6
    t1 = m100 * e0 + m200 * e1 + m110 * e2 + m101 * e4 + m210 * e3 + m201 * e5 + m111 * e6
    t2 = m010 * e0 + m110 * e1 + m020 * e2 + m011 * e4 + m120 * e3 + m111 * e5 + m021 * e6
    t4 = m001 * e0 + m101 * e1 + m011 * e2 + m002 * e4 + m111 * e3 + m102 * e5 + m012 * e6
    t3 = m110 * e0 + m210 * e1 + m120 * e2 + m111 * e4 + m220 * e3 + m211 * e5 + m121 * e6
    t5 = m101 * e0 + m201 * e1 + m111 * e2 + m102 * e4 + m211 * e3 + m202 * e5 + m112 * e6
    t6 = m011 * e0 + m111 * e1 + m021 * e2 + m012 * e4 + m121 * e3 + m112 * e5 + m022 * e6
    F = (
        kxx * x0 + lx * t0, kxy * c0, kxx * x2 + lx * t2 + kxy * c1, kxz * b0, kxx * x4 + lx * t4 + kxz * b1,
        kxy * c4 + kxz * b2, kxx * x6 + lx * t6 + kxy * c5 + kxz * b3,
    )  # fmt: skip
    G = (
        kxy * c0, kyy * y0 + ly * t0, kyy * y1 + ly * t1 + kxy * c2, kyz * a0, kxy * c4 + kyz * a1,
        kyy * y4 + ly * t4 + kyz * a2, kyy * y5 + ly * t5 + kxy * c6 + kyz * a3,
    )  # fmt: skip
    H = (
        kxz * b0, kyz * a0, kyz * a1 + kxz * b2, kzz * z0 + lz * t0, kzz * z1 + lz * t1 + kxz * b4,
        kzz * z2 + lz * t2 + kyz * a4, kzz * z3 + lz * t3 + kyz * a5 + kxz * b6,
    )  # fmt: skip
    return F, G, H


@kernel
def moment_layer(runs, first, last, C, constants, u, low, high, base_low, base_high):
    """Add the forces of a layer's cells to the node planes below and above it."""
    n, size = u.size // 3, low.size // 3
    k = (
        splat(constants[0]), splat(constants[1]), splat(constants[2]), splat(constants[3]), splat(constants[4]),
        splat(constants[5]), splat(constants[6]), splat(constants[7]), splat(constants[8]),
    )  # fmt: skip
    hx, hy, hz = splat(constants[9]), splat(constants[10]), splat(constants[11])
    zero = hx - hx
    for r in range(first, last):
        at, length = BLOCK * np.intp(runs[r, 0]), np.intp(runs[r, 1])
        p00, p10, p01, p11 = np.intp(runs[r, 2]), np.intp(runs[r, 3]), np.intp(runs[r, 4]), np.intp(runs[r, 5])
        q00, q10, q01, q11 = p00 - base_low, p10 - base_low, p01 - base_high, p11 - base_high
        cx = columns(u, 0, p00, p10, p01, p11, hx)
        cy = columns(u, n, p00, p10, p01, p11, hy)
        cz = columns(u, 2 * n, p00, p10, p01, p11, hz)
        rx = (zero, zero, zero, zero)
        ry, rz = rx, rx
        for i in range(0, length, 8):
            nx = columns(u, 8 + i, p00, p10, p01, p11, hx)
            ny = columns(u, n + 8 + i, p00, p10, p01, p11, hy)
            nz = columns(u, 2 * n + 8 + i, p00, p10, p01, p11, hz)
            F, G, H = moment_forces(along_x(cx, nx), along_x(cy, ny), along_x(cz, nz), C, at + i // 8 * BLOCK, k)
            rx = scatter(F, rx, low, high, i, q00, q10, q01, q11, hx)
            ry = scatter(G, ry, low, high, size + i, q00, q10, q01, q11, hy)
            rz = scatter(H, rz, low, high, 2 * size + i, q00, q10, q01, q11, hz)
            cx, cy, cz = nx, ny, nz
        if length % 8 == 0:
            flush(rx, low, high, length, q00, q10, q01, q11, hx)
            flush(ry, low, high, size + length, q00, q10, q01, q11, hy)
            flush(rz, low, high, 2 * size + length, q00, q10, q01, q11, hz)


@kernel
def matrix_layer(nodes, first, last, K, u, low, high, base_low, base_high):
    """Add the forces of cells with a matrix of their own.

    nodes (n, 4): at the edge (y, z) = (0, 0), (1, 0), (0, 1), (1, 1). K (n * 384,): the blocks xx, xy, xz, yy, yz, zz
    of the matrix, 8 x 8 with columns contiguous, nodes by position bits.
    """
    n, size = u.size // 3, low.size // 3
    x, y = np.empty(24, u.dtype), np.empty(24, u.dtype)
    for cell in range(first, last):
        for row in range(4):
            p = np.intp(nodes[cell, row])
            for d in range(3):
                x[8 * d + 2 * row] = u[n * d + p]
                x[8 * d + 2 * row + 1] = u[n * d + p + 1]
        at = 384 * cell
        X, Y = load(x, 0), load(x, 8)
        zero = splat(u[0] - u[0])
        fx, fy, fz = zero, zero, zero
        for a in range(8):
            q = at + 8 * a
            xy, xz, yz = load(K, q + 64), load(K, q + 128), load(K, q + 256)
            ux, uy, uz = splat(x[a]), splat(x[8 + a]), splat(x[16 + a])
            fx = fx + load(K, q) * ux + xy * uy + xz * uz
            fy = fy + load(K, q + 192) * uy + yz * uz
            fz = fz + load(K, q + 320) * uz
            y[8 + a] = lane_sum(xy * X)
            y[16 + a] = lane_sum(xz * X + yz * Y)
        store(y, 0, fx)
        store(y, 8, load(y, 8) + fy)
        store(y, 16, load(y, 16) + fz)
        for row in range(4):
            p = np.intp(nodes[cell, row])
            for d in range(3):
                if row < 2:
                    low[size * d + p - base_low] += y[8 * d + 2 * row]
                    low[size * d + p + 1 - base_low] += y[8 * d + 2 * row + 1]
                else:
                    high[size * d + p - base_high] += y[8 * d + 2 * row]
                    high[size * d + p + 1 - base_high] += y[8 * d + 2 * row + 1]


@kernel
def coarse_slab(task, begin, end, planes, size, x, b, w, out, c0, c1, c2, cells, constants, products):
    """One slab of node planes begin .. end - 1, as `fem.kernels.bricks.sweep_slab`."""
    n = x.size // 3
    n_planes = planes.size - 1
    runs, layers, C, nodes, matrix_layers, K = cells
    work = np.zeros((2, 3 * size), x.dtype)
    for k in range(max(begin - 1, 0), end):
        low, high = work[k % 2], work[(k + 1) % 2]
        base = planes[k]
        if k < n_planes - 1:
            above = planes[k + 1]
            moment_layer(runs, layers[k], layers[k + 1], C, constants, x, low, high, base, above)
            matrix_layer(nodes, matrix_layers[k], matrix_layers[k + 1], K, x, low, high, base, above)
        if k >= begin:
            total = c0 - c0
            for d in range(3):
                total += finish(task, low, d * size, x, d * n, base, planes[k + 1] - base, b, w, out, c0, c1, c2)
            products[k] = total
        for i in range(3 * size):
            low[i] = 0


@kernel(parallel=True)
def coarse_sweep(task, slabs, planes, size, x, b, w, out, c0, c1, c2, cells, constants, products):
    """One pass over the cells of a coarse lattice; see `fem.kernels.bricks.sweep`.

    cells: runs, layer pointers and moments; nodes, layer pointers and matrices of the cells with their own.
    constants: 1 / (4 h^2) of the three edges, twice its square, 1 / (4 h h')^2 of yz, xz, xy, the edges.
    """
    for slab in prange(slabs.size - 1):
        coarse_slab(
            task, slabs[slab], slabs[slab + 1], planes, size, x, b, w, out, c0, c1, c2, cells, constants, products
        )
