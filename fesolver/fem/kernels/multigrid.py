"""Geometric multigrid on a lattice: Galerkin matrices cell by cell, transfer, smoothing, sums.

Every coarse cell holds a 2 x 2 x 2 block of finer cells; its matrix is the sum of T^T K_child T, with T the trilinear
interpolation to the child's nodes [1]_. Nodes of a cell are numbered by the bits of their position (x, y, z).
Rows are written by one owner in a fixed order: the bits do not depend on the number of threads.

References
----------
.. [1] U. Trottenberg, C. Oosterlee, A. Schueller, *Multigrid*, Academic Press, 2001.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel


@kernel
def triple_product(K, T, M, out):
    """out += (T x I3)^T K (T x I3) for K (24, 24), T (8, 8) from coarse to fine nodes; M (24, 24) is scratch."""
    for r in range(24):
        for b in range(8):
            for d in range(3):
                M[r, 3 * b + d] = 0.0
        for a in range(8):
            for b in range(8):
                w = T[a, b]
                if w != 0.0:
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
def coarsen_operator(lam, mu, general, D, mode_B, mode_weights, K_lam, K_mu, T_lam, T_mu, T, free, out):
    """Coarse matrices (mz, my, mx, 24, 24) of the finest lattice.

    K_lam, K_mu (24, 24): unit matrices of one brick; T_lam, T_mu (8, 24, 24): the same, already interpolated, per child
    position. mode_B (7, 6, 24), mode_weights (7,) build the matrix of a cell that is not isotropic. free
    (nz + 1, ny + 1, nx + 1, 3) is 0 at dofs the coarse space must not move.
    """
    nz, ny, nx = mu.shape
    mz, my, mx = out.shape[:3]
    for row in prange(mz * my):
        kc, jc = row // my, row % my
        K = np.empty((24, 24))
        M = np.empty((24, 24))
        total = np.empty((24, 24))
        DB = np.empty((6, 24))
        for ic in range(mx):
            total[:] = 0.0
            for child in range(8):
                i, j, k = 2 * ic + (child & 1), 2 * jc + ((child >> 1) & 1), 2 * kc + (child >> 2)
                if i >= nx or j >= ny or k >= nz or mu[k, j, i] == 0.0:
                    continue
                l, m = lam[k, j, i], mu[k, j, i]
                is_free = True
                for a in range(8):
                    p = free[k + (a >> 2), j + ((a >> 1) & 1), i + (a & 1)]
                    is_free = is_free and p[0] and p[1] and p[2]
                g = general[k, j, i]
                if is_free and g < 0:
                    for r in range(24):
                        for c in range(24):
                            total[r, c] += l * T_lam[child, r, c] + m * T_mu[child, r, c]
                    continue
                if g < 0:
                    for r in range(24):
                        for c in range(24):
                            K[r, c] = l * K_lam[r, c] + m * K_mu[r, c]
                else:
                    K[:] = 0.0
                    for q in range(7):
                        for r in range(6):
                            for c in range(24):
                                v = 0.0
                                for s in range(6):
                                    v += D[g, r, s] * mode_B[q, s, c]
                                DB[r, c] = v * mode_weights[q]
                        for r in range(24):
                            for s in range(6):
                                v = mode_B[q, s, r]
                                if v != 0.0:
                                    for c in range(24):
                                        K[r, c] += v * DB[s, c]
                for a in range(8):
                    p = free[k + (a >> 2), j + ((a >> 1) & 1), i + (a & 1)]
                    for d in range(3):
                        if not p[d]:
                            for c in range(24):
                                K[3 * a + d, c] = 0.0
                                K[c, 3 * a + d] = 0.0
                triple_product(K, T[child], M, total)
            out[kc, jc, ic] = total


@kernel(parallel=True)
def coarsen_matrices(fine, T, out):
    """Coarse matrices (mz, my, mx, 24, 24) from those of the next finer level."""
    nz, ny, nx = fine.shape[:3]
    mz, my, mx = out.shape[:3]
    for row in prange(mz * my):
        kc, jc = row // my, row % my
        K = np.empty((24, 24))
        M = np.empty((24, 24))
        total = np.empty((24, 24))
        for ic in range(mx):
            total[:] = 0.0
            for child in range(8):
                i, j, k = 2 * ic + (child & 1), 2 * jc + ((child >> 1) & 1), 2 * kc + (child >> 2)
                if i >= nx or j >= ny or k >= nz:
                    continue
                trace = 0.0
                for r in range(24):
                    trace += fine[k, j, i, r, r]
                if trace == 0.0:
                    continue
                K[:] = fine[k, j, i]
                triple_product(K, T[child], M, total)
            out[kc, jc, ic] = total


@kernel(parallel=True)
def apply_matrices(u, f, K, n_slabs):
    """f = K u on a coarse lattice with one symmetric matrix (24, 24) per cell."""
    nz, ny, nx = K.shape[:3]
    for slab in prange(n_slabs):
        first = slab * (nz + 1) // n_slabs
        last = (slab + 1) * (nz + 1) // n_slabs
        f[first:last] = 0
        out = np.empty(24, u.dtype)
        for k in range(max(first - 1, 0), min(last, nz)):
            start, stop = 0, 8
            if k < first:
                start = 4
            if k + 1 >= last:
                stop = 4
            for j in range(ny):
                for i in range(nx):
                    A = K[k, j, i]
                    if A[0, 0] == 0 and A[23, 23] == 0 and A[12, 12] == 0 and A[9, 9] == 0:
                        trace = A[0, 0]
                        for r in range(1, 24):
                            trace += A[r, r]
                        if trace == 0:
                            continue
                    for r in range(24):
                        out[r] = 0
                    for a in range(8):
                        for d in range(3):
                            v = u[k + (a >> 2), j + ((a >> 1) & 1), i + (a & 1), d]
                            row = A[3 * a + d]
                            for r in range(24):
                                out[r] += v * row[r]
                    for a in range(start, stop):
                        target = f[k + (a >> 2), j + ((a >> 1) & 1), i + (a & 1)]
                        for d in range(3):
                            target[d] += out[3 * a + d]


@kernel(parallel=True)
def stiffness_diagonal(lam, mu, general, D, mode_B, mode_weights, diagonal_lam, diagonal_mu, out):
    """Diagonal of K on the finest lattice, (nz + 1, ny + 1, nx + 1, 3)."""
    nz, ny, nx = mu.shape
    for k in prange(nz + 1):
        for j in range(ny + 1):
            for i in range(nx + 1):
                for d in range(3):
                    out[k, j, i, d] = 0.0
                for a in range(8):
                    ci, cj, ck = i - (a & 1), j - ((a >> 1) & 1), k - (a >> 2)
                    if ci < 0 or cj < 0 or ck < 0 or ci >= nx or cj >= ny or ck >= nz:
                        continue
                    m = mu[ck, cj, ci]
                    if m == 0.0:
                        continue
                    g = general[ck, cj, ci]
                    for d in range(3):
                        n = 3 * a + d
                        if g < 0:
                            out[k, j, i, d] += lam[ck, cj, ci] * diagonal_lam[n] + m * diagonal_mu[n]
                        else:
                            for q in range(7):
                                for r in range(6):
                                    v = 0.0
                                    for s in range(6):
                                        v += D[g, r, s] * mode_B[q, s, n]
                                    out[k, j, i, d] += mode_weights[q] * mode_B[q, r, n] * v


@kernel(parallel=True)
def matrices_diagonal(K, out):
    """Diagonal of a coarse operator, (nz + 1, ny + 1, nx + 1, 3)."""
    nz, ny, nx = K.shape[:3]
    for k in prange(nz + 1):
        for j in range(ny + 1):
            for i in range(nx + 1):
                for d in range(3):
                    v = 0.0
                    for a in range(8):
                        ci, cj, ck = i - (a & 1), j - ((a >> 1) & 1), k - (a >> 2)
                        if ci < 0 or cj < 0 or ck < 0 or ci >= nx or cj >= ny or ck >= nz:
                            continue
                        v += K[ck, cj, ci, 3 * a + d, 3 * a + d]
                    out[k, j, i, d] = v


@kernel(parallel=True)
def restrict(fine, coarse, half):
    """coarse = I^T fine, with I the trilinear interpolation; half is 0.5 in the working precision."""
    nz, ny, nx = fine.shape[:3]
    mz, my, mx = coarse.shape[:3]
    for kc in prange(mz):
        for jc in range(my):
            for ic in range(mx):
                x = half - half
                y = x
                z = x
                for dk in range(-1, 2):
                    k = 2 * kc + dk
                    if k < 0 or k >= nz:
                        continue
                    wk = half + half
                    if dk != 0:
                        wk = half
                    for dj in range(-1, 2):
                        j = 2 * jc + dj
                        if j < 0 or j >= ny:
                            continue
                        wj = wk
                        if dj != 0:
                            wj = wk * half
                        for di in range(-1, 2):
                            i = 2 * ic + di
                            if i < 0 or i >= nx:
                                continue
                            w = wj
                            if di != 0:
                                w = wj * half
                            p = fine[k, j, i]
                            x += w * p[0]
                            y += w * p[1]
                            z += w * p[2]
                coarse[kc, jc, ic, 0] = x
                coarse[kc, jc, ic, 1] = y
                coarse[kc, jc, ic, 2] = z


@kernel(parallel=True)
def prolong_add(coarse, fine, inverse_diagonal, half):
    """fine += I coarse, where inverse_diagonal (shape of fine) is not zero."""
    nz, ny, nx = fine.shape[:3]
    for k in prange(nz):
        k0, k1 = k // 2, (k + 1) // 2
        for j in range(ny):
            j0, j1 = j // 2, (j + 1) // 2
            for i in range(nx):
                i0, i1 = i // 2, (i + 1) // 2
                for d in range(3):
                    if inverse_diagonal[k, j, i, d] != 0:
                        v = coarse[k0, j0, i0, d] + coarse[k0, j0, i1, d]
                        v += coarse[k0, j1, i0, d] + coarse[k0, j1, i1, d]
                        v += coarse[k1, j0, i0, d] + coarse[k1, j0, i1, d]
                        v += coarse[k1, j1, i0, d] + coarse[k1, j1, i1, d]
                        fine[k, j, i, d] += half * half * half * v


@kernel(parallel=True)
def chebyshev_start(r, inverse_diagonal, scale, d, x):
    """d = scale D^-1 r; x += d (flat arrays)."""
    for i in prange(r.size):
        v = scale * inverse_diagonal[i] * r[i]
        d[i] = v
        x[i] += v


@kernel(parallel=True)
def chebyshev_step(r, Ad, inverse_diagonal, c1, c2, d, x):
    """r -= A d; d = c1 d + c2 D^-1 r; x += d (flat arrays); r and d stay zero where D^-1 is zero."""
    for i in prange(r.size):
        w = inverse_diagonal[i]
        v = r[i] - Ad[i]
        r[i] = v
        v = c1 * d[i] + c2 * w * v
        d[i] = v
        x[i] += v


@kernel(parallel=True)
def subtract(r, y):
    """r -= y (flat arrays)."""
    for i in prange(r.size):
        r[i] -= y[i]


@kernel(parallel=True)
def add_scaled(y, alpha, x):
    """y += alpha x (flat arrays)."""
    for i in prange(y.size):
        y[i] += alpha * x[i]


@kernel(parallel=True)
def scale_add(y, beta, x):
    """y = x + beta y (flat arrays)."""
    for i in prange(y.size):
        y[i] = x[i] + beta * y[i]


@kernel(parallel=True)
def block_dot(x, y, block):
    """Inner product in float64 over blocks of fixed size, summed in order."""
    n_blocks = (x.size + block - 1) // block
    parts = np.empty(n_blocks)
    for b in prange(n_blocks):
        total = 0.0
        for i in range(b * block, min((b + 1) * block, x.size)):
            total += x[i] * y[i]
        parts[b] = total
    total = 0.0
    for b in range(n_blocks):
        total += parts[b]
    return total
