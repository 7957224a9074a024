"""K u on the active cells of a lattice of equal bricks, without a matrix, eight cells at a time.

In the basis of products of node sums and differences along x, y and z (a Walsh-Hadamard transform of the eight nodes)
the displacement of a brick is c_p xi^p1 eta^p2 zeta^p3 with p in {0, 1}^3, its strain a sum of the seven monomials
1, xi, eta, zeta, xi eta, xi zeta, eta zeta, and these are orthogonal over the brick with mean squares 1, 1/3 and 1/9.
So the stiffness falls apart by parity into blocks of at most 3 x 3 (isotropic, or orthotropic along the grid).
Coefficients are named by component (U, V, W) and bits of p (x = 1, y = 2, z = 4), their forces F, G, H.

Displacement components are scaled by the edges on the way in, forces on the way out: a shear strain is then a plain sum
of two coefficients, and the spacing lives in the constants. Mean dilatation drops the dilatation of every monomial but
the first.

Vectors are flat, 3 x n_nodes, one component after the other; nodes in the order z, y, x, only those of active cells.
Cells come in runs along x: rows of (chunk, cells, node 00, node 10, node 01, node 11), the nodes being those of the
first cell's edge at (y, z) = (0, 0), (1, 0), (0, 1), (1, 1). Constants come in chunks of eight cells, zero past a
run's end, so that what a chunk reads and writes past it adds nothing.

Every slab of node planes is written by one thread, cell layers in ascending order, so bits do not depend on the slabs.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel
from fesolver.fem.kernels.simd import lane_sum, load, shift_down, shift_up, splat, store

ISOTROPIC, ORTHOTROPIC, GENERAL = 0, 1, 2
"""Kinds of cells: 2, 15 and 42 constants each."""

PRODUCT, SMOOTH, RESIDUAL = 0, 1, 2
"""What a sweep does with K x at a node."""


@kernel(forceinline=True)
def columns(u, at, i00, i10, i01, i11, h):
    """Sums and differences along y and z of eight node columns: bits 0, 2, 4, 6."""
    a, b, c, d = load(u, at + i00), load(u, at + i10), load(u, at + i01), load(u, at + i11)
    s0, d0, s1, d1 = a + b, b - a, c + d, d - c
    return h * (s0 + s1), h * (d0 + d1), h * (s1 - s0), h * (d1 - d0)


@kernel(forceinline=True)
def along_x(c, n):
    """Coefficients 1 to 7 of eight cells from their columns and the next eight."""
    n0, n2, n4, n6 = shift_down(c[0], n[0]), shift_down(c[1], n[1]), shift_down(c[2], n[2]), shift_down(c[3], n[3])
    return n0 - c[0], c[1] + n2, n2 - c[1], c[2] + n4, n4 - c[2], c[3] + n6, n6 - c[3]


@kernel(forceinline=True)
def add_rows(v0, v2, v4, v6, low, high, at, i00, i10, i01, i11, h):
    """Transpose of `columns`: add to the rows of the lower and the upper node plane."""
    a, b, c, d = h * (v0 - v4), h * (v2 - v6), h * (v0 + v4), h * (v2 + v6)
    store(low, at + i00, load(low, at + i00) + (a - b))
    store(low, at + i10, load(low, at + i10) + (a + b))
    store(high, at + i01, load(high, at + i01) + (c - d))
    store(high, at + i11, load(high, at + i11) + (c + d))


@kernel(forceinline=True)
def scatter(F, carry, low, high, at, i00, i10, i01, i11, h):
    """Add forces 1 to 7 of eight cells; what belongs to the next node column is carried."""
    F1, F2, F3, F4, F5, F6, F7 = F
    r0, r2, r4, r6 = F1, F2 + F3, F4 + F5, F6 + F7
    v0, v2 = shift_up(carry[0], r0) - F1, shift_up(carry[1], r2) + (F2 - F3)
    v4, v6 = shift_up(carry[2], r4) + (F4 - F5), shift_up(carry[3], r6) + (F6 - F7)
    add_rows(v0, v2, v4, v6, low, high, at, i00, i10, i01, i11, h)
    return r0, r2, r4, r6


@kernel(forceinline=True)
def flush(r, low, high, at, i00, i10, i01, i11, h):
    """Add what is carried past a run that ends with a chunk."""
    z = h - h
    add_rows(
        shift_up(r[0], z), shift_up(r[1], z), shift_up(r[2], z), shift_up(r[3], z), low, high, at, i00, i10, i01, i11, h
    )


@kernel(forceinline=True)
def isotropic(U, V, W, lam, mu, k):
    """Forces from coefficients; k as `fem.voxel_operator.brick_constants` makes it."""
    U1, U2, U3, U4, U5, U6, U7 = U
    V1, V2, V3, V4, V5, V6, V7 = V
    W1, W2, W3, W4, W5, W6, W7 = W
    lx, ly, lz = k[0], k[1], k[2]
    # 1
    t = k[3] * lam * (lx * U1 + ly * V2 + lz * W4)
    F1, G2, H4 = lx * t + k[4] * mu * U1, ly * t + k[5] * mu * V2, lz * t + k[6] * mu * W4
    yz, xz, xy = k[7] * mu * (V4 + W2), k[8] * mu * (U4 + W1), k[9] * mu * (U2 + V1)
    # xi, eta, zeta: shears that share a coefficient
    a, b, c = k[10] * mu * (V5 + W3), k[11] * mu * (U6 + W3), k[12] * mu * (U6 + V5)
    # xi, eta, zeta: two normal strains each
    d = k[13] * lam + k[14] * mu
    t = d * (ly * V3 + lz * W5)
    G3, H5 = ly * t + k[15] * mu * V3, lz * t + k[16] * mu * W5
    t = d * (lx * U3 + lz * W6)
    F3, H6 = lx * t + k[17] * mu * U3, lz * t + k[18] * mu * W6
    t = d * (lx * U5 + ly * V6)
    F5, G6 = lx * t + k[19] * mu * U5, ly * t + k[20] * mu * V6
    # eta zeta, xi zeta, xi eta
    F7, G7, H7 = (k[21] * d + k[22] * mu) * U7, (k[23] * d + k[24] * mu) * V7, (k[25] * d + k[26] * mu) * W7
    return (F1, xy, F3, xz, F5, b + c, F7), (xy, G2, G3, yz, a + c, G6, G7), (xz, yz, a + b, H4, H5, H6, H7)


@kernel(forceinline=True)
def orthotropic(U, V, W, C, at, third):
    """Forces from coefficients; C: 6 normal and 3 shear constants, then the 6 normal ones of the higher monomials."""
    U1, U2, U3, U4, U5, U6, U7 = U
    V1, V2, V3, V4, V5, V6, V7 = V
    W1, W2, W3, W4, W5, W6, W7 = W
    xx, yy, zz = load(C, at), load(C, at + 8), load(C, at + 16)
    yz, xz, xy = load(C, at + 24), load(C, at + 32), load(C, at + 40)
    F1, G2, H4 = xx * U1 + xy * V2 + xz * W4, xy * U1 + yy * V2 + yz * W4, xz * U1 + yz * V2 + zz * W4
    gyz, gxz, gxy = load(C, at + 48), load(C, at + 56), load(C, at + 64)
    syz, sxz, sxy = gyz * (V4 + W2), gxz * (U4 + W1), gxy * (U2 + V1)
    gyz, gxz, gxy = third * gyz, third * gxz, third * gxy
    a, b, c = gyz * (V5 + W3), gxz * (U6 + W3), gxy * (U6 + V5)
    xx, yy, zz = third * load(C, at + 72), third * load(C, at + 80), third * load(C, at + 88)
    yz, xz, xy = third * load(C, at + 96), third * load(C, at + 104), third * load(C, at + 112)
    G3, H5 = (yy + gxy) * V3 + yz * W5, yz * V3 + (zz + gxz) * W5
    F3, H6 = (xx + gxy) * U3 + xz * W6, xz * U3 + (zz + gyz) * W6
    F5, G6 = (xx + gxz) * U5 + xy * V6, xy * U5 + (yy + gyz) * V6
    F7, G7, H7 = third * (xx + gxz + gxy) * U7, third * (yy + gyz + gxy) * V7, third * (zz + gyz + gxz) * W7
    return (F1, sxy, F3, sxz, F5, b + c, F7), (sxy, G2, G3, syz, a + c, G6, G7), (sxz, syz, a + b, H4, H5, H6, H7)


@kernel(forceinline=True)
def symmetric_product(D, at, e):
    """Six stress coefficients from six strain coefficients; D holds the upper triangle by rows."""
    d11, d12, d13 = load(D, at), load(D, at + 8), load(D, at + 16)
    d14, d15, d16 = load(D, at + 24), load(D, at + 32), load(D, at + 40)
    d22, d23, d24, d25 = load(D, at + 48), load(D, at + 56), load(D, at + 64), load(D, at + 72)
    d26, d33, d34, d35 = load(D, at + 80), load(D, at + 88), load(D, at + 96), load(D, at + 104)
    d36, d44, d45, d46 = load(D, at + 112), load(D, at + 120), load(D, at + 128), load(D, at + 136)
    d55, d56, d66 = load(D, at + 144), load(D, at + 152), load(D, at + 160)
    a, b, c, d, f, g = e
    return (
        d11 * a + d12 * b + d13 * c + d14 * d + d15 * f + d16 * g,
        d12 * a + d22 * b + d23 * c + d24 * d + d25 * f + d26 * g,
        d13 * a + d23 * b + d33 * c + d34 * d + d35 * f + d36 * g,
        d14 * a + d24 * b + d34 * c + d44 * d + d45 * f + d46 * g,
        d15 * a + d25 * b + d35 * c + d45 * d + d55 * f + d56 * g,
        d16 * a + d26 * b + d36 * c + d46 * d + d56 * f + d66 * g,
    )


@kernel(forceinline=True)
def general(U, V, W, D, at, third):
    """Forces from coefficients; D holds 21 constants, then the 21 of the higher monomials."""
    U1, U2, U3, U4, U5, U6, U7 = U
    V1, V2, V3, V4, V5, V6, V7 = V
    W1, W2, W3, W4, W5, W6, W7 = W
    z = third - third
    ninth = third * third
    F1, G2, H4, yz0, xz0, xy0 = symmetric_product(D, at, (U1, V2, W4, V4 + W2, U4 + W1, U2 + V1))
    at += 168
    _, yy1, zz1, yz1, xz1, xy1 = symmetric_product(D, at, (z, V3, W5, V5 + W3, U5, U3))
    xx2, _, zz2, yz2, xz2, xy2 = symmetric_product(D, at, (U3, z, W6, V6, U6 + W3, V3))
    xx4, yy4, _, yz4, xz4, xy4 = symmetric_product(D, at, (U5, V6, z, W6, W5, U6 + V5))
    _, _, zz3, yz3, xz3, _ = symmetric_product(D, at, (z, z, W7, V7, U7, z))
    _, yy5, _, yz5, _, xy5 = symmetric_product(D, at, (z, V7, z, W7, z, U7))
    xx6, _, _, _, xz6, xy6 = symmetric_product(D, at, (U7, z, z, z, W7, V7))
    F = F1, xy0, third * (xx2 + xy1), xz0, third * (xx4 + xz1), third * (xz2 + xy4), ninth * (xz3 + xy5 + xx6)
    G = xy0, G2, third * (yy1 + xy2), yz0, third * (yz1 + xy4), third * (yy4 + yz2), ninth * (yz3 + yy5 + xy6)
    H = xz0, yz0, third * (yz1 + xz2), H4, third * (zz1 + xz4), third * (zz2 + yz4), ninth * (zz3 + yz5 + xz6)
    return F, G, H


@kernel
def isotropic_layer(runs, first, last, C, constants, u, low, high, base_low, base_high):
    """Add the forces of a layer's isotropic cells to the node planes below and above it."""
    n, size = u.size // 3, low.size // 3
    k = (
        splat(constants[0]), splat(constants[1]), splat(constants[2]), splat(constants[3]), splat(constants[4]),
        splat(constants[5]), splat(constants[6]), splat(constants[7]), splat(constants[8]), splat(constants[9]),
        splat(constants[10]), splat(constants[11]), splat(constants[12]), splat(constants[13]), splat(constants[14]),
        splat(constants[15]), splat(constants[16]), splat(constants[17]), splat(constants[18]), splat(constants[19]),
        splat(constants[20]), splat(constants[21]), splat(constants[22]), splat(constants[23]), splat(constants[24]),
        splat(constants[25]), splat(constants[26]),
    )  # fmt: skip
    hx, hy, hz = splat(constants[27]), splat(constants[28]), splat(constants[29])
    zero = hx - hx
    for r in range(first, last):
        at, length = 16 * np.intp(runs[r, 0]), np.intp(runs[r, 1])
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
            F, G, H = isotropic(
                along_x(cx, nx), along_x(cy, ny), along_x(cz, nz), load(C, at + 2 * i), load(C, at + 2 * i + 8), k
            )
            rx = scatter(F, rx, low, high, i, q00, q10, q01, q11, hx)
            ry = scatter(G, ry, low, high, size + i, q00, q10, q01, q11, hy)
            rz = scatter(H, rz, low, high, 2 * size + i, q00, q10, q01, q11, hz)
            cx, cy, cz = nx, ny, nz
        if length % 8 == 0:
            flush(rx, low, high, length, q00, q10, q01, q11, hx)
            flush(ry, low, high, size + length, q00, q10, q01, q11, hy)
            flush(rz, low, high, 2 * size + length, q00, q10, q01, q11, hz)


@kernel
def other_layer(kind, runs, first, last, C, constants, u, low, high, base_low, base_high):
    """As `isotropic_layer`, for orthotropic or general cells."""
    n, size = u.size // 3, low.size // 3
    third = splat(constants[30])
    hx, hy, hz = splat(constants[27]), splat(constants[28]), splat(constants[29])
    zero = hx - hx
    count = 15 if kind == ORTHOTROPIC else 42
    for r in range(first, last):
        at, length = 8 * count * np.intp(runs[r, 0]), np.intp(runs[r, 1])
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
            U, V, W = along_x(cx, nx), along_x(cy, ny), along_x(cz, nz)
            if kind == ORTHOTROPIC:
                F, G, H = orthotropic(U, V, W, C, at + count * i, third)
            else:
                F, G, H = general(U, V, W, C, at + count * i, third)
            rx = scatter(F, rx, low, high, i, q00, q10, q01, q11, hx)
            ry = scatter(G, ry, low, high, size + i, q00, q10, q01, q11, hy)
            rz = scatter(H, rz, low, high, 2 * size + i, q00, q10, q01, q11, hz)
            cx, cy, cz = nx, ny, nz
        if length % 8 == 0:
            flush(rx, low, high, length, q00, q10, q01, q11, hx)
            flush(ry, low, high, size + length, q00, q10, q01, q11, hy)
            flush(rz, low, high, 2 * size + length, q00, q10, q01, q11, hz)


@kernel
def finish(task, Kx, at, x, n, first, count, b, w, out, c0, c1, c2):
    """What a sweep does at `count` nodes from `first` on, one component; returns the sum of x K x."""
    total = splat(c0 - c0)
    whole = count - count % 8
    rest = c0 - c0
    if task == PRODUCT:
        for i in range(0, whole, 8):
            f = load(Kx, at + i)
            store(out, n + first + i, f)
            total = total + f * load(x, n + first + i)
        for i in range(whole, count):
            out[n + first + i] = Kx[at + i]
            rest += Kx[at + i] * x[n + first + i]
    elif task == RESIDUAL:
        for i in range(0, whole, 8):
            store(out, n + first + i, load(b, n + first + i) - load(Kx, at + i))
        for i in range(whole, count):
            out[n + first + i] = b[n + first + i] - Kx[at + i]
    else:
        v0, v1, v2 = splat(c0), splat(c1), splat(c2)
        if c1 == 0:
            for i in range(0, whole, 8):
                q = n + first + i
                store(out, q, v0 * load(x, q) + v2 * load(w, q) * (load(b, q) - load(Kx, at + i)))
            for i in range(whole, count):
                q = n + first + i
                out[q] = c0 * x[q] + c2 * w[q] * (b[q] - Kx[at + i])
        else:
            for i in range(0, whole, 8):
                q = n + first + i
                y = v0 * load(x, q) + v1 * load(out, q)
                store(out, q, y + v2 * load(w, q) * (load(b, q) - load(Kx, at + i)))
            for i in range(whole, count):
                q = n + first + i
                out[q] = c0 * x[q] + c1 * out[q] + c2 * w[q] * (b[q] - Kx[at + i])
    return lane_sum(total) + rest


@kernel
def sweep_slab(task, begin, end, planes, size, x, b, w, out, c0, c1, c2, cells, constants, products):
    """One slab of node planes begin .. end - 1; cells: runs, layer pointers, constants of each kind."""
    n = x.size // 3
    n_planes = planes.size - 1
    runs0, layers0, C0, runs1, layers1, C1, runs2, layers2, C2 = cells
    work = np.zeros((2, 3 * size), x.dtype)
    for k in range(max(begin - 1, 0), end):
        low, high = work[k % 2], work[(k + 1) % 2]
        base = planes[k]
        if k < n_planes - 1:
            above = planes[k + 1]
            isotropic_layer(runs0, layers0[k], layers0[k + 1], C0, constants, x, low, high, base, above)
            if runs1.size > 0:
                other_layer(ORTHOTROPIC, runs1, layers1[k], layers1[k + 1], C1, constants, x, low, high, base, above)
            if runs2.size > 0:
                other_layer(GENERAL, runs2, layers2[k], layers2[k + 1], C2, constants, x, low, high, base, above)
        if k >= begin:
            total = c0 - c0
            for d in range(3):
                total += finish(task, low, d * size, x, d * n, base, planes[k + 1] - base, b, w, out, c0, c1, c2)
            products[k] = total
        for i in range(3 * size):
            low[i] = 0


@kernel(parallel=True)
def sweep(task, slabs, planes, size, x, b, w, out, c0, c1, c2, cells, constants, products):
    """One pass over the cells.

    PRODUCT: out = K x, products = x . K x plane by plane. RESIDUAL: out = b - K x. SMOOTH: out = c0 x + c1 out + c2 w
    (b - K x), where `out` is not read if c1 = 0.

    slabs (n_slabs + 1,): first node plane of each slab; planes (nz + 2,): first node of each plane; size: nodes of the
    largest plane plus 16. x and out must differ.
    """
    for slab in prange(slabs.size - 1):
        sweep_slab(
            task, slabs[slab], slabs[slab + 1], planes, size, x, b, w, out, c0, c1, c2, cells, constants, products
        )
