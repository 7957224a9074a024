"""Set-up of coarse lattices: moments, matrices and diagonals; and what goes from one lattice to the next.

Every coarse cell holds a 2 x 2 x 2 block of finer cells; its matrix is the sum of T^T K_child T, with T the trilinear
interpolation to the child's nodes [1]_. Nodes of a cell and children are numbered by the bits of their position (x, y,
z). Rows are written by one owner in a fixed order: bits do not depend on the number of threads.

References
----------
.. [1] U. Trottenberg, C. Oosterlee, A. Schueller, *Multigrid*, Academic Press, 2001.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel
from fesolver.fem.kernels.simd import even_lanes, load, odd_lanes, shift_up, splat, store, zip_high, zip_low

OWN_MATRIX = 3
"""Kind of a child that has a matrix of its own."""


@kernel(parallel=True)
def pack_constants(values, slots, out):
    """Constants (n, count) of cells to chunks of eight: out[slot // 8, constant, slot % 8]."""
    for q in prange(slots.size):
        s = np.intp(slots[q])
        for c in range(values.shape[1]):
            out[s // 8, c, s % 8] = values[q, c]


@kernel(parallel=True)
def first_moments(children, fine, weights, slots, out):
    """Moments of coarse cells from the constants of isotropic children.

    children (n, 8): slots, -1 where absent; fine (chunks, 2, 8): lambda, mu; weights (8, 2, 46); out (chunks, 46, 8).
    """
    for q in prange(slots.size):
        total = np.zeros(46)
        for child in range(8):
            s = np.intp(children[q, child])
            if s < 0:
                continue
            lam, mu = fine[s // 8, 0, s % 8], fine[s // 8, 1, s % 8]
            for m in range(46):
                total[m] += lam * weights[child, 0, m] + mu * weights[child, 1, m]
        s = np.intp(slots[q])
        for m in range(46):
            out[s // 8, m, s % 8] = total[m]


@kernel(parallel=True)
def next_moments(children, fine, shifts, slots, out):
    """Moments of coarse cells from those of their children; shifts (8, 23, 23) from child to parent, rows child."""
    for q in prange(slots.size):
        total = np.zeros(46)
        for child in range(8):
            s = np.intp(children[q, child])
            if s < 0:
                continue
            for c in range(23):
                a, b = np.float64(fine[s // 8, c, s % 8]), np.float64(fine[s // 8, 23 + c, s % 8])
                for m in range(23):
                    w = shifts[child, c, m]
                    total[m] += w * a
                    total[23 + m] += w * b
        s = np.intp(slots[q])
        for m in range(46):
            out[s // 8, m, s % 8] = total[m]


@kernel
def own_to_full(K, at, out):
    """Matrix (24, 24), node by node, from the six blocks of one cell; see `fem.kernels.moments.matrix_layer`."""
    block = 0
    for d in range(3):
        for e in range(d, 3):
            for b in range(8):
                for a in range(8):
                    v = K[at + 64 * block + 8 * b + a]
                    out[3 * a + d, 3 * b + e] = v
                    out[3 * b + e, 3 * a + d] = v
            block += 1


@kernel
def combine(C, count, slot, units, out):
    """Sum of constants times unit matrices (count, 24, 24)."""
    out[:] = 0.0
    for c in range(count):
        v = np.float64(C[(slot // 8 * count + c) * 8 + slot % 8])
        if v != 0.0:
            for r in range(24):
                for s in range(24):
                    out[r, s] += v * units[c, r, s]


@kernel
def triple_product(K, T, M, out):
    """out += (T x I3)^T K (T x I3) for K (24, 24), T (8, 8) from coarse to fine nodes; M (24, 24) is scratch."""
    M[:] = 0.0
    for a in range(8):
        for b in range(8):
            w = T[a, b]
            if w != 0.0:
                for r in range(24):
                    for d in range(3):
                        M[r, 3 * b + d] += w * K[r, 3 * a + d]
    for a in range(8):
        for b in range(8):
            w = T[a, b]
            if w != 0.0:
                for d in range(3):
                    for c in range(24):
                        out[3 * b + d, c] += w * M[3 * a + d, c]


@kernel(parallel=True)
def own_matrices(where, kinds, slots, nodes, fixed, C0, C1, C2, units0, units1, units2, K, T, out):
    """Matrices of coarse cells, child by child, fixed unknowns of the children left out.

    where (n,): which matrix of `out`; kinds (n, 8): -1 absent, 0 to 2 constants C0 to C2 with unit matrices, 3 own
    matrix in K; slots (n, 8): where; nodes (n, 8, 4): the children's nodes by edges (y, z), as in a run; fixed (3,
    stride): 1 where a fine unknown is held.
    """
    for q in prange(kinds.shape[0]):
        child_K, M, total = np.empty((24, 24)), np.empty((24, 24)), np.zeros((24, 24))
        for child in range(8):
            kind, slot = kinds[q, child], np.intp(slots[q, child])
            if kind < 0:
                continue
            if kind == 0:
                combine(C0, units0.shape[0], slot, units0, child_K)
            elif kind == 1:
                combine(C1, units1.shape[0], slot, units1, child_K)
            elif kind == 2:
                combine(C2, units2.shape[0], slot, units2, child_K)
            else:
                own_to_full(K, 384 * slot, child_K)
            for a in range(8):
                p = np.intp(nodes[q, child, a // 2]) + a % 2
                for d in range(3):
                    if fixed[d, p]:
                        for c in range(24):
                            child_K[3 * a + d, c] = 0.0
                            child_K[c, 3 * a + d] = 0.0
            triple_product(child_K, T[child], M, total)
        block = 0
        for d in range(3):
            for e in range(d, 3):
                for b in range(8):
                    for a in range(8):
                        out[384 * np.intp(where[q]) + 64 * block + 8 * b + a] = total[3 * a + d, 3 * b + e]
                block += 1


@kernel(parallel=True)
def add_diagonal(planes, runs, layers, C, weights, out):
    """Add the diagonal of cells that have constants; weights (count, 24) node by node; out (3, stride)."""
    count = weights.shape[0]
    for k in prange(planes.size - 1):
        for above in range(2):
            layer = k - above
            if layer < 0 or layer >= planes.size - 2:
                continue
            for r in range(layers[layer], layers[layer + 1]):
                for i in range(runs[r, 1]):
                    slot = 8 * np.intp(runs[r, 0]) + i
                    at = slot // 8 * count * 8 + slot % 8
                    for y in range(2):
                        p = np.intp(runs[r, 2 + 2 * above + y]) + i
                        for x in range(2):
                            a = 4 * above + 2 * y + x
                            for d in range(3):
                                v = 0.0
                                for c in range(count):
                                    v += C[at + 8 * c] * weights[c, 3 * a + d]
                                out[d, p + x] += v


@kernel
def add_own_diagonal(nodes, K, out):
    """Add the diagonal of cells with a matrix of their own."""
    for cell in range(nodes.shape[0]):
        for a in range(8):
            p = np.intp(nodes[cell, a // 2]) + a % 2
            out[0, p] += K[384 * cell + 9 * a]
            out[1, p] += K[384 * cell + 192 + 9 * a]
            out[2, p] += K[384 * cell + 320 + 9 * a]


@kernel(parallel=True)
def restrict(r, b, fine_runs, fine_planes, n_fine_planes, planes, size, width, weights):
    """b = P^T r for trilinear interpolation P; weights: 1, 1/2, 1/4 in the working precision.

    fine_runs as `fem.voxel_runs.NodeRuns`; planes: first node of every coarse plane; size: nodes of the largest coarse
    plane plus 16; width: nodes of the longest fine row.
    """
    n, m = r.size // 3, b.size // 3
    for plane in prange(planes.size - 1):
        row = np.zeros(width + 48, r.dtype)
        out = np.zeros(3 * size, r.dtype)
        half = splat(weights[1])
        base = planes[plane]
        for dk in range(-1, 2):
            k = 2 * plane + dk
            if k < 0 or k >= n_fine_planes:
                continue
            column = 6 if dk < 0 else 4
            for q in range(fine_planes[k], fine_planes[k + 1]):
                at, first, length = np.intp(fine_runs[q, 0]), np.intp(fine_runs[q, 1]), np.intp(fine_runs[q, 2])
                odd = first % 2
                is_split = fine_runs[q, 3] % 2 == 1
                w = splat(weights[(dk != 0) + is_split])
                to0 = np.intp(fine_runs[q, column]) + first // 2 - base
                to1 = np.intp(fine_runs[q, column + 1]) + first // 2 - base
                count = (odd + length) // 2 + 1
                for d in range(3):
                    row[0] = 0
                    for i in range(length):
                        row[odd + i] = r[d * n + at + i]
                    for i in range(odd + length, odd + length + 32):
                        row[i] = 0
                    before = half - half
                    for i in range(0, count, 8):
                        left, right = load(row, 2 * i), load(row, 2 * i + 8)
                        odds = odd_lanes(left, right)
                        v = w * (even_lanes(left, right) + half * (odds + shift_up(before, odds)))
                        before = odds
                        store(out, d * size + to0 + i, load(out, d * size + to0 + i) + v)
                        if is_split:
                            store(out, d * size + to1 + i, load(out, d * size + to1 + i) + v)
        count = planes[plane + 1] - base
        for d in range(3):
            for i in range(count):
                b[d * m + base + i] = out[d * size + i]


@kernel(parallel=True)
def prolong_add(e, x, w, fine_runs, fine_planes, width, weights):
    """x += P e where w is not zero."""
    n, m = x.size // 3, e.size // 3
    for k in prange(fine_planes.size - 1):
        row = np.zeros(width + 48, x.dtype)
        quarter, half = splat(weights[2]), splat(weights[1])
        for q in range(fine_planes[k], fine_planes[k + 1]):
            at, first, length = np.intp(fine_runs[q, 0]), np.intp(fine_runs[q, 1]), np.intp(fine_runs[q, 2])
            odd = first % 2
            shift = first // 2
            f00, f10 = np.intp(fine_runs[q, 4]) + shift, np.intp(fine_runs[q, 5]) + shift
            f01, f11 = np.intp(fine_runs[q, 6]) + shift, np.intp(fine_runs[q, 7]) + shift
            for d in range(3):
                c = d * m
                for i in range(0, (odd + length + 1) // 2, 8):
                    a = load(e, c + f00 + i) + load(e, c + f10 + i) + load(e, c + f01 + i) + load(e, c + f11 + i)
                    j = i + 1
                    z = load(e, c + f00 + j) + load(e, c + f10 + j) + load(e, c + f01 + j) + load(e, c + f11 + j)
                    even = quarter * a
                    odds = half * (even + quarter * z)
                    store(row, 2 * i, zip_low(even, odds))
                    store(row, 2 * i + 8, zip_high(even, odds))
                for i in range(length):
                    if w[d * n + at + i] != 0:
                        x[d * n + at + i] += row[odd + i]
