"""The Galerkin product P^T A P of matrices of small blocks, accumulated in float64.

Matrices as in `fem.kernels.block_sparse`, in full; rows in ascending order, on one thread.
"""

import numpy as np

from fesolver.fem.kernels.jit import kernel
from fesolver.fem.kernels.simd import load, splat, store, widen


@kernel
def transpose_pattern(starts, columns, n_columns, column_starts, rows):
    """The rows of every column, ascending."""
    column_starts[:] = 0
    for at in range(columns.size):
        column_starts[columns[at] + 1] += 1
    for c in range(n_columns):
        column_starts[c + 1] += column_starts[c]
    fill = column_starts[:-1].copy()
    for i in range(starts.size - 1):
        for at in range(starts[i], starts[i + 1]):
            q = fill[columns[at]]
            rows[q] = i
            fill[columns[at]] = q + 1


@kernel
def product_pattern(fine_starts, fine_columns, p_starts, p_columns, rows, row_starts, out_starts, out_columns):
    """Upper part of the pattern of P^T A P, columns ascending, the diagonal first; returns the number of blocks.

    rows, row_starts: fine nodes of every coarse one. Empty `out_columns`: fills `out_starts` only.
    """
    n = row_starts.size - 1
    mark = np.full(n, -1, np.int64)
    seen = np.full(fine_starts.size - 1, -1, np.int64)
    row = np.empty(n, np.int64)
    total = 0
    for c in range(n):
        out_starts[c] = total
        count = 0
        for q in range(row_starts[c], row_starts[c + 1]):
            i = rows[q]
            for at in range(fine_starts[i], fine_starts[i + 1]):
                j = fine_columns[at]
                if seen[j] == c:
                    continue
                seen[j] = c
                for s in range(p_starts[j], p_starts[j + 1]):
                    g = p_columns[s]
                    if g >= c and mark[g] != c:
                        mark[g] = c
                        row[count] = g
                        count += 1
        if out_columns.size:
            row[:count].sort()
            for q in range(count):
                out_columns[total + q] = row[q]
        total += count
    out_starts[n] = total
    return total


@kernel
def galerkin_product(m, starts, columns, A, p_starts, p_columns, P, out_starts, out_columns, out):
    """Upper blocks (6, 6), by rows, of P^T A P; fine rows in ascending order. P and `out` end with padding."""
    n_coarse = out_starts.size - 1
    place = np.full(n_coarse, -1, np.int64)
    found = np.empty(n_coarse, np.int64)
    room = 64
    work = np.zeros(8 * m * room)
    zero = splat(0.0)
    lanes = np.ones(8)
    lanes[6:] = 0.0
    keep = load(lanes, 0)
    for i in range(starts.size - 1):
        if p_starts[i] == p_starts[i + 1]:
            continue
        count = 0
        for at in range(starts[i], starts[i + 1]):
            j = np.intp(columns[at])
            for s in range(p_starts[j], p_starts[j + 1]):
                g = np.intp(p_columns[s])
                if place[g] < 0:
                    if count == room:
                        room *= 2
                        more = np.zeros(8 * m * room)
                        more[: work.size] = work
                        work = more
                    place[g] = count
                    found[count] = g
                    for r in range(m):
                        store(work, 8 * (m * count + r), zero)
                    count += 1
                w, p = 8 * m * place[g], 6 * m * s
                p0, p1, p2 = widen(load(P, p)), widen(load(P, p + 6)), widen(load(P, p + 12))
                a = m * m * at
                for r in range(m):
                    acc = load(work, w + 8 * r)
                    acc = acc + splat(np.float64(A[a + r])) * p0
                    acc = acc + splat(np.float64(A[a + m + r])) * p1
                    acc = acc + splat(np.float64(A[a + 2 * m + r])) * p2
                    store(work, w + 8 * r, acc)
                if m == 6:
                    p0, p1, p2 = widen(load(P, p + 18)), widen(load(P, p + 24)), widen(load(P, p + 30))
                    for r in range(m):
                        acc = load(work, w + 8 * r)
                        acc = acc + splat(np.float64(A[a + 18 + r])) * p0
                        acc = acc + splat(np.float64(A[a + 24 + r])) * p1
                        acc = acc + splat(np.float64(A[a + 30 + r])) * p2
                        store(work, w + 8 * r, acc)
        # The last two lanes hold what follows a row in memory.
        for q in range(m * count):
            store(work, 8 * q, load(work, 8 * q) * keep)
        for s in range(p_starts[i], p_starts[i + 1]):
            g, p = np.intp(p_columns[s]), 6 * m * s
            for q in range(out_starts[g], out_starts[g + 1]):
                w = place[out_columns[q]]
                if w < 0:
                    continue
                for k in range(6):
                    acc = zero
                    for r in range(m):
                        acc = acc + splat(np.float64(P[p + 6 * r + k])) * load(work, 8 * (m * w + r))
                    store(out, 36 * q + 6 * k, load(out, 36 * q + 6 * k) + acc)
        for q in range(count):
            place[found[q]] = -1


@kernel
def mirror(starts, columns, upper, full_starts, full_columns, out):
    """Upper blocks by rows to a full symmetric matrix with blocks by columns, columns ascending."""
    n = starts.size - 1
    full_starts[:] = 0
    for i in range(n):
        for at in range(starts[i], starts[i + 1]):
            full_starts[i + 1] += 1
            if columns[at] != i:
                full_starts[columns[at] + 1] += 1
    for i in range(n):
        full_starts[i + 1] += full_starts[i]
    fill = full_starts[:-1].copy()
    for i in range(n):
        for at in range(starts[i], starts[i + 1]):
            j = np.intp(columns[at])
            if j == i:
                continue
            q = fill[j]
            full_columns[q] = i
            for e in range(36):
                out[36 * q + e] = upper[36 * at + e]
            fill[j] = q + 1
        # All blocks left of the diagonal come from rows above, which are done.
        for at in range(starts[i], starts[i + 1]):
            q = fill[i]
            full_columns[q] = columns[at]
            for r in range(6):
                for c in range(6):
                    v = upper[36 * at + 6 * r + c]
                    if columns[at] == i:
                        v = 0.5 * (v + upper[36 * at + 6 * c + r])
                    out[36 * q + 6 * c + r] = v
            fill[i] = q + 1
