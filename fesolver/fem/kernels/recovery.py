"""Strain, stress and energy density of a lattice's cells from displacements, and principal values of any tensors.

In the coefficients of `fem.kernels.bricks` the volume mean of a strain is the coefficient of the monomial 1, the mean
of the conjugate stress is the force on that coefficient over the volume, and twice the energy is the sum of
coefficients times forces: what the product computes anyway.

Every row is written by one thread: bits do not depend on the number of threads.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.bricks import ISOTROPIC, ORTHOTROPIC, along_x, columns, general, isotropic, orthotropic
from fesolver.fem.kernels.jit import kernel
from fesolver.fem.kernels.simd import load, splat, store


@kernel(forceinline=True)
def store_means(U, V, W, F, G, H, scales, out):
    """Mean strains, stresses and energy density of eight cells, quantity after quantity, to out (104,)."""
    xx, yy, zz = splat(scales[0]) * U[0], splat(scales[1]) * V[1], splat(scales[2]) * W[3]
    yz, xz, xy = (
        splat(scales[3]) * (V[3] + W[1]), splat(scales[4]) * (U[3] + W[0]), splat(scales[5]) * (U[1] + V[0])
    )  # fmt: skip
    sxx, syy, szz = splat(scales[6]) * F[0], splat(scales[7]) * G[1], splat(scales[8]) * H[3]
    syz, sxz, sxy = splat(scales[9]) * G[3], splat(scales[10]) * F[3], splat(scales[11]) * F[1]
    energy = xx * sxx + yy * syy + zz * szz + yz * syz + xz * sxz + xy * sxy
    higher = U[2] * F[2] + U[4] * F[4] + U[5] * F[5] + U[6] * F[6]
    higher = higher + V[2] * G[2] + V[4] * G[4] + V[5] * G[5] + V[6] * G[6]
    higher = higher + W[2] * H[2] + W[4] * H[4] + W[5] * H[5] + W[6] * H[6]
    store(out, 0, xx)
    store(out, 8, yy)
    store(out, 16, zz)
    store(out, 24, yz)
    store(out, 32, xz)
    store(out, 40, xy)
    store(out, 48, sxx)
    store(out, 56, syy)
    store(out, 64, szz)
    store(out, 72, syz)
    store(out, 80, sxz)
    store(out, 88, sxy)
    store(out, 96, splat(scales[12]) * energy + splat(scales[13]) * higher)


@kernel
def mean_layer(kind, runs, starts, first, last, C, constants, scales, u, order, strain, stress, energy):
    """As `cell_means`, for one layer's runs first .. last - 1."""
    n = u.size // 3
    k = (
        splat(constants[0]), splat(constants[1]), splat(constants[2]), splat(constants[3]), splat(constants[4]),
        splat(constants[5]), splat(constants[6]), splat(constants[7]), splat(constants[8]), splat(constants[9]),
        splat(constants[10]), splat(constants[11]), splat(constants[12]), splat(constants[13]), splat(constants[14]),
        splat(constants[15]), splat(constants[16]), splat(constants[17]), splat(constants[18]), splat(constants[19]),
        splat(constants[20]), splat(constants[21]), splat(constants[22]), splat(constants[23]), splat(constants[24]),
        splat(constants[25]), splat(constants[26]),
    )  # fmt: skip
    hx, hy, hz, third = splat(constants[27]), splat(constants[28]), splat(constants[29]), splat(constants[30])
    count = 2 if kind == ISOTROPIC else 15 if kind == ORTHOTROPIC else 42
    means = np.empty(13 * 8)
    for r in range(first, last):
        at, length = 8 * count * np.intp(runs[r, 0]), np.intp(runs[r, 1])
        p00, p10, p01, p11 = np.intp(runs[r, 2]), np.intp(runs[r, 3]), np.intp(runs[r, 4]), np.intp(runs[r, 5])
        cx = columns(u, 0, p00, p10, p01, p11, hx)
        cy = columns(u, n, p00, p10, p01, p11, hy)
        cz = columns(u, 2 * n, p00, p10, p01, p11, hz)
        for i in range(0, length, 8):
            nx = columns(u, 8 + i, p00, p10, p01, p11, hx)
            ny = columns(u, n + 8 + i, p00, p10, p01, p11, hy)
            nz = columns(u, 2 * n + 8 + i, p00, p10, p01, p11, hz)
            U, V, W = along_x(cx, nx), along_x(cy, ny), along_x(cz, nz)
            if kind == ISOTROPIC:
                F, G, H = isotropic(U, V, W, load(C, at + 2 * i), load(C, at + 2 * i + 8), k)
            elif kind == ORTHOTROPIC:
                F, G, H = orthotropic(U, V, W, C, at + count * i, third)
            else:
                F, G, H = general(U, V, W, C, at + count * i, third)
            store_means(U, V, W, F, G, H, scales, means)
            for lane in range(min(8, length - i)):
                row = starts[r] + i + lane
                if order.size > 0:
                    row = order[row]
                for c in range(6):
                    strain[row, c] = means[8 * c + lane]
                    stress[row, c] = means[48 + 8 * c + lane]
                energy[row] = means[96 + lane]
            cx, cy, cz = nx, ny, nz


@kernel(parallel=True)
def cell_means(kind, runs, starts, layers, C, constants, scales, u, order, strain, stress, energy):
    """Volume means of strain and stress (n_cells, 6) and energy density (n_cells,) of the cells of one kind.

    runs, layers, C, constants, u: as `fem.kernels.bricks.sweep` takes them. starts (n_runs,): place of each run's first
    cell among the active cells; order (n_cells,): their rows in the output, empty if the same. scales (14,): of the
    strains, the stresses, the energy of the mean strain and of the rest.
    """
    for layer in prange(layers.size - 1):
        mean_layer(
            kind, runs, starts, layers[layer], layers[layer + 1], C, constants, scales, u, order, strain, stress, energy
        )
