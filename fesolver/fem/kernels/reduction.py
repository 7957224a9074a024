"""The free part of a block-sparse matrix, its nodes in another order."""

from numba import prange

from fesolver.fem.kernels.jit import kernel


@kernel
def free_pattern(starts, columns, order, number, out_starts, out_columns):
    """Columns, ascending, of the rows `order`; number: new id of every node, -1 where it is left out.

    Returns how many there are. Call with `out_columns` empty for `out_starts` only.
    """
    total = 0
    for i in range(order.size):
        out_starts[i] = total
        for at in range(starts[order[i]], starts[order[i] + 1]):
            j = number[columns[at]]
            if j < 0:
                continue
            if out_columns.size:
                q = total
                while q > out_starts[i] and out_columns[q - 1] > j:
                    out_columns[q] = out_columns[q - 1]
                    q -= 1
                out_columns[q] = j
            total += 1
    out_starts[order.size] = total
    return total


@kernel(parallel=True)
def free_values(starts, columns, A, order, number, is_fixed, out_starts, out_columns, out):
    """Blocks (3, 3) by columns of the rows `order`; rows and columns of fixed components are zero.

    A (k, 3, 3): blocks by rows; is_fixed (3 n,) by the new order.
    """
    for i in prange(order.size):
        for at in range(starts[order[i]], starts[order[i] + 1]):
            j = number[columns[at]]
            if j < 0:
                continue
            low, high = out_starts[i], out_starts[i + 1]
            while high - low > 1:
                middle = (low + high) // 2
                if out_columns[middle] > j:
                    high = middle
                else:
                    low = middle
            for c in range(3):
                for r in range(3):
                    if not (is_fixed[3 * i + r] or is_fixed[3 * j + c]):
                        out[9 * low + 3 * c + r] = A[at, r, c]


@kernel(parallel=True)
def gather(order, u, x):
    """x = u at the nodes `order`, three components each."""
    for i in prange(order.size):
        for c in range(3):
            x[3 * i + c] = u[order[i], c]


@kernel(parallel=True)
def mask(is_fixed, x):
    """Set x to zero where it is fixed."""
    for i in prange(is_fixed.size):
        if is_fixed[i]:
            x[i] = 0.0
