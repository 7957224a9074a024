"""Sparse matrices of small dense blocks in multigrid cycles: smoothing, residuals, transfer between levels.

A level has m = 3 or 6 unknowns per node, node by node; vectors end with padding that kernels may read. Its matrix is
symmetric: blocks (m, m) by columns, in rows of `starts` and `columns`; a sweep takes those on and right of the
diagonal only, the diagonal first. Prolongation from six unknowns per aggregate has
blocks (m, 6) by rows. Every row is written by one owner, in a fixed order.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel
from fesolver.fem.kernels.simd import load, repeat_three, splat, spread_three, store

ROWS = 256
"""Rows a thread takes at once."""

PRODUCT, SMOOTH, RESIDUAL = 0, 1, 2
"""What a sweep does with A x; as in `fem.kernels.bricks`."""


@kernel
def rows_of_three(task, low, first, last, starts, columns, A, D, x, b, out, c0, c1, c2, ring):
    """Rows first .. last - 1 of a sweep on blocks (3, 3); rows from `low` on only for what they add to these.

    The part of a row left of the diagonal is gathered in eight lanes and a ninth number per node, in a ring.
    """
    here = np.zeros(8, x.dtype)
    zero = x[0] - x[0]
    wrap = ring.size // 16 - 1
    for i in range(low, first):
        at, end = starts[i], starts[i + 1]
        left, x2 = repeat_three(load(x, 3 * i)), x[3 * i + 2]
        for q in range(at, end):
            j = np.intp(columns[q])
            if first <= j and j < last:
                y = 16 * (j & wrap)
                store(ring, y, load(ring, y) + load(A, 9 * q) * left)
                ring[y + 8] += A[9 * q + 8] * x2
    for i in range(first, last):
        at, end = starts[i], starts[i + 1]
        left, x2 = repeat_three(load(x, 3 * i)), x[3 * i + 2]
        acc = load(A, 9 * at) * spread_three(load(x, 3 * i))
        rest = A[9 * at + 8] * x2
        for q in range(at + 1, end):
            j = np.intp(columns[q])
            a, ninth = load(A, 9 * q), A[9 * q + 8]
            acc = acc + a * spread_three(load(x, 3 * j))
            rest += ninth * x[3 * j + 2]
            if j < last:
                y = 16 * (j & wrap)
                store(ring, y, load(ring, y) + a * left)
                ring[y + 8] += ninth * x2
        store(here, 0, acc)
        y = 16 * (i & wrap)
        y0 = ((here[0] + here[3]) + here[6]) + ((ring[y] + ring[y + 1]) + ring[y + 2])
        y1 = ((here[1] + here[4]) + here[7]) + ((ring[y + 3] + ring[y + 4]) + ring[y + 5])
        y2 = ((here[2] + here[5]) + rest) + ((ring[y + 6] + ring[y + 7]) + ring[y + 8])
        store(ring, y, splat(zero))
        ring[y + 8] = zero
        at = 3 * i
        if task == PRODUCT:
            out[at], out[at + 1], out[at + 2] = y0, y1, y2
        elif task == RESIDUAL:
            out[at], out[at + 1], out[at + 2] = b[at] - y0, b[at + 1] - y1, b[at + 2] - y2
        else:
            r0, r1, r2, d = b[at] - y0, b[at + 1] - y1, b[at + 2] - y2, 9 * i
            y0 = c0 * x[at] + c2 * (D[d] * r0 + D[d + 1] * r1 + D[d + 2] * r2)
            y1 = c0 * x[at + 1] + c2 * (D[d + 3] * r0 + D[d + 4] * r1 + D[d + 5] * r2)
            y2 = c0 * x[at + 2] + c2 * (D[d + 6] * r0 + D[d + 7] * r1 + D[d + 8] * r2)
            if c1 != 0:
                y0, y1, y2 = y0 + c1 * out[at], y1 + c1 * out[at + 1], y2 + c1 * out[at + 2]
            out[at], out[at + 1], out[at + 2] = y0, y1, y2


@kernel
def rows_of_six(task, low, first, last, starts, columns, A, D, x, b, out, c0, c1, c2, ring):
    """The same on blocks (6, 6), with six times eight lanes per node; the last two lanes of each mean nothing."""
    here, residual = np.zeros(8, x.dtype), np.zeros(8, x.dtype)
    zero = x[0] - x[0]
    none = splat(zero)
    wrap = ring.size // 64 - 1
    for i in range(low, first):
        left = load(x, 6 * i)
        for q in range(starts[i], starts[i + 1]):
            j = np.intp(columns[q])
            if first <= j and j < last:
                y, a = 64 * (j & wrap), 36 * q
                for k in range(6):
                    store(ring, y + 8 * k, load(ring, y + 8 * k) + load(A, a + 6 * k) * left)
    for i in range(first, last):
        left = load(x, 6 * i)
        acc, other = none, none
        for q in range(starts[i], starts[i + 1]):
            j, a = np.intp(columns[q]), 36 * q
            a0, a1, a2 = load(A, a), load(A, a + 6), load(A, a + 12)
            a3, a4, a5 = load(A, a + 18), load(A, a + 24), load(A, a + 30)
            c = 6 * j
            acc = acc + a0 * splat(x[c])
            other = other + a1 * splat(x[c + 1])
            acc = acc + a2 * splat(x[c + 2])
            other = other + a3 * splat(x[c + 3])
            acc = acc + a4 * splat(x[c + 4])
            other = other + a5 * splat(x[c + 5])
            if i < j and j < last:
                y = 64 * (j & wrap)
                store(ring, y, load(ring, y) + a0 * left)
                store(ring, y + 8, load(ring, y + 8) + a1 * left)
                store(ring, y + 16, load(ring, y + 16) + a2 * left)
                store(ring, y + 24, load(ring, y + 24) + a3 * left)
                store(ring, y + 32, load(ring, y + 32) + a4 * left)
                store(ring, y + 40, load(ring, y + 40) + a5 * left)
        store(here, 0, acc + other)
        y = 64 * (i & wrap)
        for k in range(6):
            e = y + 8 * k
            here[k] += ((ring[e] + ring[e + 1]) + (ring[e + 2] + ring[e + 3])) + (ring[e + 4] + ring[e + 5])
            store(ring, e, none)
        at = 6 * i
        if task == PRODUCT:
            for k in range(6):
                out[at + k] = here[k]
        elif task == RESIDUAL:
            for k in range(6):
                out[at + k] = b[at + k] - here[k]
        else:
            for k in range(6):
                residual[k] = b[at + k] - here[k]
            acc = none
            for k in range(6):
                acc = acc + load(D, 36 * i + 6 * k) * splat(residual[k])
            store(here, 0, acc)
            for k in range(6):
                v = c0 * x[at + k] + c2 * here[k]
                out[at + k] = v if c1 == 0 else v + c1 * out[at + k]


@kernel(parallel=True)
def block_sweep(task, m, slabs, starts, columns, A, D, x, b, out, c0, c1, c2, room):
    """PRODUCT: out = A x. RESIDUAL: out = b - A x. SMOOTH: out = c0 x + c1 out + c2 D (b - A x); D block-diagonal.

    Where c1 = 0, `out` is not read. x and out must differ. slabs (n, 3): rows that each thread writes, and the first
    row with a block right of the diagonal among them; room: a power of two that no block is further from the diagonal.
    """
    for slab in prange(slabs.shape[0]):
        first, last, low = slabs[slab]
        if m == 3:
            ring = np.zeros(16 * room, x.dtype)
            rows_of_three(task, low, first, last, starts, columns, A, D, x, b, out, c0, c1, c2, ring)
        else:
            ring = np.zeros(64 * room, x.dtype)
            rows_of_six(task, low, first, last, starts, columns, A, D, x, b, out, c0, c1, c2, ring)


@kernel
def upper_part(m, starts, columns, A, u_starts, u_columns, U):
    """Blocks on and right of the diagonal; returns their number and the largest distance from it.

    Call with `u_columns` empty to count only.
    """
    total, reach = 0, 0
    for i in range(starts.size - 1):
        u_starts[i] = total
        for at in range(starts[i], starts[i + 1]):
            j = columns[at]
            if j < i:
                continue
            reach = max(reach, j - i)
            if u_columns.size:
                u_columns[total] = j
                for e in range(m * m):
                    U[m * m * total + e] = A[m * m * at + e]
            total += 1
    u_starts[starts.size - 1] = total
    return total, reach


@kernel(parallel=True)
def block_scale(m, D, b, factor, out):
    """out = factor D b for a block-diagonal D."""
    for i in prange(D.size // (m * m)):
        for r in range(m):
            v = b[0] - b[0]
            for c in range(m):
                v += D[m * m * i + m * r + c] * b[m * i + c]
            out[m * i + r] = factor * v


@kernel(parallel=True)
def restrict_blocks(m, slabs, starts, columns, P, r, b):
    """b = P^T r; slabs (n, 4): coarse nodes that each thread writes, and the fine rows that hold blocks of these."""
    for slab in prange(slabs.shape[0]):
        first, last, low, high = slabs[slab]
        zero = splat(r[0] - r[0])
        sums = np.zeros(8 * (last - first), r.dtype)
        for i in range(low, high):
            r0, r1, r2 = splat(r[m * i]), splat(r[m * i + 1]), splat(r[m * i + 2])
            r3, r4, r5 = zero, zero, zero
            if m == 6:
                r3, r4, r5 = splat(r[m * i + 3]), splat(r[m * i + 4]), splat(r[m * i + 5])
            for at in range(starts[i], starts[i + 1]):
                c = np.intp(columns[at])
                if c < first or c >= last:
                    continue
                to, p = 8 * (c - first), 6 * m * at
                acc = load(sums, to) + load(P, p) * r0 + load(P, p + 6) * r1 + load(P, p + 12) * r2
                if m == 6:
                    acc = acc + load(P, p + 18) * r3 + load(P, p + 24) * r4 + load(P, p + 30) * r5
                store(sums, to, acc)
        for c in range(last - first):
            for q in range(6):
                b[6 * (first + c) + q] = sums[8 * c + q]


@kernel(parallel=True)
def prolong_blocks(m, starts, columns, P, e, x):
    """x += P e."""
    n = starts.size - 1
    for chunk in prange((n + ROWS - 1) // ROWS):
        y = np.empty(8, x.dtype)
        for i in range(chunk * ROWS, min((chunk + 1) * ROWS, n)):
            for r in range(0, m, 3):
                a0, a1, a2 = splat(x[0] - x[0]), splat(x[0] - x[0]), splat(x[0] - x[0])
                for at in range(starts[i], starts[i + 1]):
                    p, v = 6 * (m * at + r), load(e, 6 * np.intp(columns[at]))
                    a0 = a0 + load(P, p) * v
                    a1 = a1 + load(P, p + 6) * v
                    a2 = a2 + load(P, p + 12) * v
                store(y, 0, a0)
                x[m * i + r] += ((y[0] + y[1]) + (y[2] + y[3])) + (y[4] + y[5])
                store(y, 0, a1)
                x[m * i + r + 1] += ((y[0] + y[1]) + (y[2] + y[3])) + (y[4] + y[5])
                store(y, 0, a2)
                x[m * i + r + 2] += ((y[0] + y[1]) + (y[2] + y[3])) + (y[4] + y[5])


@kernel
def restrict_columns(m, starts, columns, P, nodes, C, out):
    """out += P^T C for columns C (q, m, k) at some fine nodes; out (n_coarse, 6, k)."""
    for q in range(nodes.size):
        i = nodes[q]
        for at in range(starts[i], starts[i + 1]):
            for r in range(m):
                for s in range(6):
                    w = np.float64(P[6 * (m * at + r) + s])
                    for k in range(C.shape[2]):
                        out[columns[at], s, k] += w * C[q, r, k]


@kernel
def add_columns(m, starts, columns, A, nodes, Q, out):
    """out += A Q for a full symmetric matrix and columns Q (q, m, k) at some nodes; out (n, m, k)."""
    for q in range(nodes.size):
        i = nodes[q]
        for at in range(starts[i], starts[i + 1]):
            j = columns[at]
            for c in range(m):
                for r in range(m):
                    w = np.float64(A[m * m * at + m * c + r])
                    for k in range(Q.shape[2]):
                        out[j, c, k] += w * Q[q, r, k]


@kernel
def to_dense(m, starts, columns, A, out):
    """The matrix in full."""
    for i in range(starts.size - 1):
        for at in range(starts[i], starts[i + 1]):
            for r in range(m):
                for c in range(m):
                    out[m * i + r, m * columns[at] + c] = A[m * m * at + m * c + r]
