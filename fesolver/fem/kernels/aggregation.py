"""Smoothed aggregation [1]_ for matrices of small blocks: strengths, aggregates, prolongation.

Nodes that hold each other strongly move as one rigid body: six unknowns per aggregate. One step of damped block Jacobi
smooths these functions. Matrices as in `fem.kernels.block_sparse`, in full.

References
----------
.. [1] P. Vanek, J. Mandel, M. Brezina, Algebraic multigrid by smoothed aggregation for second and fourth order elliptic
   problems, Computing 56 (1996) 179-196.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel


@kernel(parallel=True)
def strengths(m, starts, columns, A, out):
    """Frobenius norm of every block of d^-1/2 A d^-1/2 with d the diagonal of A; 0 on the diagonal."""
    n = starts.size - 1
    d = np.zeros(m * n)
    for i in prange(n):
        for at in range(starts[i], starts[i + 1]):
            if columns[at] == i:
                for r in range(m):
                    v = np.float64(A[m * m * at + (m + 1) * r])
                    d[m * i + r] = 1.0 / v if v > 0 else 0.0
    for i in prange(n):
        for at in range(starts[i], starts[i + 1]):
            j = np.intp(columns[at])
            total = 0.0
            if i != j:
                for c in range(m):
                    for r in range(m):
                        v = np.float64(A[m * m * at + m * c + r])
                        total += d[m * i + r] * v * v * d[m * j + c]
            out[at] = np.sqrt(total)


@kernel
def aggregate(starts, columns, strength, theta, group):
    """Aggregates of strongly held nodes, greedily in ascending order; returns how many.

    A hold is strong if it is at least theta times the lesser of the two nodes' strongest ones. A node none of whose
    strong neighbours has been taken founds an aggregate with all of them; a node left over joins the neighbour it is
    held by most strongly; nodes left after that form aggregates with each other.
    """
    n = starts.size - 1
    most = np.zeros(n, strength.dtype)
    for i in range(n):
        for at in range(starts[i], starts[i + 1]):
            most[i] = max(most[i], strength[at])
    is_strong = np.empty(strength.size, np.bool_)
    for i in range(n):
        for at in range(starts[i], starts[i + 1]):
            is_strong[at] = strength[at] > 0 and strength[at] >= theta * min(most[i], most[columns[at]])
    group[:] = -1
    count = 0
    for i in range(n):
        if group[i] >= 0:
            continue
        is_root = True
        for at in range(starts[i], starts[i + 1]):
            if is_strong[at] and group[columns[at]] >= 0:
                is_root = False
                break
        if is_root:
            group[i] = count
            for at in range(starts[i], starts[i + 1]):
                if is_strong[at]:
                    group[columns[at]] = count
            count += 1
    founded = group.copy()
    for i in range(n):
        if group[i] < 0:
            strongest = strength.dtype.type(0)
            for at in range(starts[i], starts[i + 1]):
                if is_strong[at] and founded[columns[at]] >= 0 and strength[at] > strongest:
                    strongest = strength[at]
                    group[i] = founded[columns[at]]
    for i in range(n):
        if group[i] < 0:
            group[i] = count
            for at in range(starts[i], starts[i + 1]):
                if is_strong[at] and group[columns[at]] < 0:
                    group[columns[at]] = count
            count += 1
    return count


@kernel
def rigid_block(m, dx, dy, dz, size, fine_size, out):
    """Motion of a node at a distance from its aggregate's centre: (m, 6), rotations per `size` of the aggregate."""
    out[:] = 0.0
    x, y, z = dx / size, dy / size, dz / size
    out[0, 0] = out[1, 1] = out[2, 2] = 1.0
    out[0, 4], out[0, 5] = z, -y
    out[1, 3], out[1, 5] = -z, x
    out[2, 3], out[2, 4] = y, -x
    if m == 6:
        out[3, 3] = out[4, 4] = out[5, 5] = fine_size / size


@kernel
def prolongation_pattern(starts, columns, group, n_groups, out_starts, out_columns):
    """Aggregates that each row of A touches, ascending; returns the number. Empty `out_columns`: `out_starts` only."""
    mark = np.full(n_groups, -1, np.int64)
    row = np.empty(n_groups, np.int64)
    total = 0
    for i in range(starts.size - 1):
        out_starts[i] = total
        count = 0
        for at in range(starts[i], starts[i + 1]):
            g = group[columns[at]]
            if mark[g] != i:
                mark[g] = i
                q = count
                while q > 0 and row[q - 1] > g:
                    row[q] = row[q - 1]
                    q -= 1
                row[q] = g
                count += 1
        if out_columns.size:
            for q in range(count):
                out_columns[total + q] = row[q]
        total += count
    out_starts[starts.size - 1] = total
    return total


@kernel(parallel=True)
def smooth_prolongation(
    m, starts, columns, A, D, damping, group, places, centres, size, fine_size, out_starts, out_columns, out
):
    """out = (I - damping D A) P0, P0 the rigid motions of the aggregates; rows whose diagonal is 0 stay 0."""
    n = starts.size - 1
    for chunk in prange((n + 255) // 256):
        motion = np.empty((6, 6))
        AP, DAP = np.empty((6, 6)), np.empty((6, 6))
        for i in range(chunk * 256, min((chunk + 1) * 256, n)):
            for q in range(out_starts[i], out_starts[i + 1]):
                g = np.intp(out_columns[q])
                AP[:] = 0.0
                for at in range(starts[i], starts[i + 1]):
                    j = np.intp(columns[at])
                    if group[j] != g:
                        continue
                    rigid_block(
                        m, places[j, 0] - centres[g, 0], places[j, 1] - centres[g, 1], places[j, 2] - centres[g, 2],
                        size, fine_size, motion,
                    )  # fmt: skip
                    for r in range(m):
                        for k in range(m):
                            v = np.float64(A[m * m * at + m * k + r])
                            for c in range(6):
                                AP[r, c] += v * motion[k, c]
                DAP[:] = 0.0
                for r in range(m):
                    for k in range(m):
                        v = damping * D[m * m * i + m * r + k]
                        for c in range(6):
                            DAP[r, c] -= v * AP[k, c]
                if group[i] == g:
                    rigid_block(
                        m, places[i, 0] - centres[g, 0], places[i, 1] - centres[g, 1], places[i, 2] - centres[g, 2],
                        size, fine_size, motion,
                    )  # fmt: skip
                    for r in range(m):
                        if D[m * m * i + (m + 1) * r] > 0:
                            for c in range(6):
                                DAP[r, c] += motion[r, c]
                for r in range(m):
                    for c in range(6):
                        out[6 * (m * q + r) + c] = DAP[r, c]


@kernel(parallel=True)
def block_inverses(m, starts, columns, A, drop, out):
    """Pseudo-inverse of every diagonal block, by Jacobi's rotations; eigenvalues below `drop` times the largest are 0.

    The block is scaled by its own diagonal first, so that `drop` means the same whatever the units of its unknowns.
    """
    n = starts.size - 1
    for i in prange(n):
        B, V, d = np.zeros((6, 6)), np.zeros((6, 6)), np.zeros(6)
        for at in range(starts[i], starts[i + 1]):
            if columns[at] == i:
                for r in range(m):
                    for c in range(m):
                        B[r, c] = A[m * m * at + m * c + r]
        largest = 0.0
        for r in range(m):
            largest = max(largest, B[r, r])
        for r in range(m):
            V[r, r] = 1.0
            d[r] = 1.0 / np.sqrt(B[r, r]) if B[r, r] > 1e-13 * largest else 0.0
        for r in range(m):
            for c in range(m):
                B[r, c] *= d[r] * d[c]
        for _ in range(12):
            off = 0.0
            for p in range(m):
                for q in range(p + 1, m):
                    off = max(off, abs(B[p, q]))
                    if abs(B[p, q]) < 1e-15:
                        continue
                    angle = 0.5 * (B[q, q] - B[p, p]) / B[p, q]
                    t = 1.0 / (abs(angle) + np.sqrt(angle * angle + 1.0))
                    if angle < 0:
                        t = -t
                    c = 1.0 / np.sqrt(t * t + 1.0)
                    s = t * c
                    for k in range(m):
                        a, b = B[k, p], B[k, q]
                        B[k, p], B[k, q] = c * a - s * b, s * a + c * b
                    for k in range(m):
                        a, b = B[p, k], B[q, k]
                        B[p, k], B[q, k] = c * a - s * b, s * a + c * b
                        a, b = V[k, p], V[k, q]
                        V[k, p], V[k, q] = c * a - s * b, s * a + c * b
            if off < 1e-14:
                break
        top = 0.0
        for r in range(m):
            top = max(top, B[r, r])
        for r in range(m):
            for c in range(m):
                v = 0.0
                for k in range(m):
                    if B[k, k] > drop * top:
                        v += V[r, k] * V[c, k] / B[k, k]
                out[m * m * i + m * r + c] = v * d[r] * d[c]
