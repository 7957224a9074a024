"""The blocks of a stiffness between free nodes, taken from places that are found once for a mesh."""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from fesolver.fem.kernels.jit import kernel

__all__ = ["block_sources", "take_blocks"]


def block_sources(K: Any, order: NDArray[np.int64]) -> NDArray[np.int32]:
    """Which block of K (scipy BSR) each block of the rows and columns `order` is, columns ascending in every row."""
    from scipy.sparse import csr_array

    n = K.shape[0] // 3
    places = csr_array((np.arange(len(K.indices), dtype=np.int32), K.indices, K.indptr), shape=(n, n))
    part = places[order][:, order]
    part.sort_indices()
    return np.asarray(part.data, dtype=np.int32)


@kernel(parallel=True)
def take_blocks(A, sources, starts, columns, is_fixed, upper_starts, full, upper):
    """Blocks (3, 3) by columns: all of them rounded, and those on and right of the diagonal as they are.

    A (k, 3, 3): blocks by rows; rows and columns of fixed components (3 n,) are left at what they hold.
    """
    for i in prange(starts.size - 1):
        to = 9 * upper_starts[i]
        for at in range(starts[i], starts[i + 1]):
            j, q = np.intp(columns[at]), sources[at]
            for c in range(3):
                for r in range(3):
                    if not (is_fixed[3 * i + r] or is_fixed[3 * j + c]):
                        v = A[q, r, c]
                        full[9 * at + 3 * c + r] = v
                        if j >= i:
                            upper[to + 3 * c + r] = v
            if j >= i:
                to += 9
