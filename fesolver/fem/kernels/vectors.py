"""Flat vectors: sums over blocks of fixed size in fixed order, and the updates of conjugate gradients."""

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel

BLOCK = 4096
"""Entries per partial sum: fixed, so that bits do not depend on threads."""


@kernel
def sum_blocks(parts):
    """Sum in order."""
    total = 0.0
    for b in range(parts.size):
        total += parts[b]
    return total


@kernel
def dot_block(x, y, first, last):
    """Inner product of a block: four running sums in float64."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = first + (last - first) // 4 * 4
    for i in range(first, whole, 4):
        a += np.float64(x[i]) * y[i]
        b += np.float64(x[i + 1]) * y[i + 1]
        c += np.float64(x[i + 2]) * y[i + 2]
        d += np.float64(x[i + 3]) * y[i + 3]
    for i in range(whole, last):
        a += np.float64(x[i]) * y[i]
    return (a + b) + (c + d)


@kernel(parallel=True)
def block_dot(x, y):
    """Inner product in float64."""
    parts = np.empty((x.size + BLOCK - 1) // BLOCK)
    for block in prange(parts.size):
        parts[block] = dot_block(x, y, block * BLOCK, min((block + 1) * BLOCK, x.size))
    return sum_blocks(parts)


@kernel(parallel=True)
def two_dots(z, r, Ap):
    """Inner products z . r and z . Ap in float64."""
    blocks = (z.size + BLOCK - 1) // BLOCK
    parts, others = np.empty(blocks), np.empty(blocks)
    for block in prange(blocks):
        first, last = block * BLOCK, min((block + 1) * BLOCK, z.size)
        parts[block] = dot_block(z, r, first, last)
        others[block] = dot_block(z, Ap, first, last)
    return sum_blocks(parts), sum_blocks(others)


@kernel(parallel=True)
def scale(x, factor):
    """x *= factor."""
    for i in prange(x.size):
        x[i] *= factor


@kernel(parallel=True)
def scale_by(w, b, factor, x):
    """x = factor w b."""
    for i in prange(x.size):
        x[i] = factor * w[i] * b[i]


@kernel(parallel=True)
def step(x, p, r, Ap, alpha, factor, b):
    """x += alpha p; r -= alpha Ap; b = factor r, rounded; returns r . r."""
    parts = np.empty((x.size + BLOCK - 1) // BLOCK)
    for block in prange(parts.size):
        first, last = block * BLOCK, min((block + 1) * BLOCK, x.size)
        for i in range(first, last):
            x[i] += alpha * p[i]
            v = r[i] - alpha * Ap[i]
            r[i] = v
            b[i] = v * factor
        parts[block] = dot_block(r, r, first, last)
    return sum_blocks(parts)


@kernel(parallel=True)
def round_off(r, factor, b):
    """b = factor r, rounded."""
    for i in prange(r.size):
        b[i] = r[i] * factor


@kernel(parallel=True)
def scale_add(p, beta, z, factor):
    """p = beta p + factor z."""
    for i in prange(p.size):
        p[i] = beta * p[i] + factor * z[i]


@kernel(parallel=True)
def subtract_from(b, x):
    """x = b - x."""
    for i in prange(x.size):
        x[i] = b[i] - x[i]


@kernel(parallel=True)
def lanczos(Kv, w, v, a, beta, old):
    """old = w Kv - a v - beta old; returns its squared norm weighted by 1 / w (0 where w is 0)."""
    parts = np.empty((v.size + BLOCK - 1) // BLOCK)
    for block in prange(parts.size):
        total = 0.0
        for i in range(block * BLOCK, min((block + 1) * BLOCK, v.size)):
            if w[i] != 0:
                y = w[i] * Kv[i] - a * v[i] - beta * old[i]
                old[i] = y
                total += np.float64(y) * y / w[i]
        parts[block] = total
    return sum_blocks(parts)
