"""Sparsity of a mesh in blocks of points, and the sum of cells' stiffness into it.

Rows of blocks belong to slabs of points. A slab takes all cells that touch it in ascending order and adds to its own
rows only, so every block is a sum in ascending order of cells, whatever the slabs are: cells on the border of two
slabs are computed in both.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.jit import kernel
from fesolver.fem.kernels.solids import INCOMPATIBLE, cell_gradients, condense_modes, full_stiffness


@kernel
def list_incidences(cells, starts, incidences):
    """Entries k * cell + local node of every point, ascending, from starts (n_points + 1,) on."""
    k = cells.shape[1]
    starts[:] = 0
    for e in range(cells.shape[0]):
        for a in range(k):
            starts[cells[e, a] + 1] += 1
    for p in range(starts.size - 1):
        starts[p + 1] += starts[p]
    at = starts[:-1].copy()
    for e in range(cells.shape[0]):
        for a in range(k):
            p = cells[e, a]
            incidences[at[p]] = k * e + a
            at[p] += 1


@kernel(parallel=True)
def neighbour_rows(cells, begins, incidences, links, linked, bounds, starts, columns, slots):
    """Count the blocks of every row into starts[1:], or where `columns` is not empty fill `columns` and `slots`.

    Rows bounds[t] .. bounds[t + 1] - 1 belong to part t. A point has a block with itself, with all points of its cells
    and with linked[links[p] : links[p + 1]]. slots (n_cells, k, k) is the place of each cell's blocks.
    """
    k, n_points = cells.shape[1], starts.size - 1
    is_fill = columns.size > 0
    for t in prange(bounds.size - 1):
        seen = np.full(n_points, -1, np.int64)
        place = np.empty(n_points if is_fill else 0, np.int32)
        row = np.empty(1024, np.int32)
        for p in range(bounds[t], bounds[t + 1]):
            seen[p] = p
            row[0] = p
            count = 1
            for at in range(begins[p], begins[p + 1] + links[p + 1] - links[p]):
                is_cell = at < begins[p + 1]
                e = incidences[at] // k if is_cell else 0
                for b in range(k if is_cell else 1):
                    j = cells[e, b] if is_cell else linked[links[p] + at - begins[p + 1]]
                    if seen[j] != p:
                        seen[j] = p
                        if count == row.size:
                            row = np.concatenate((row, row))
                        row[count] = j
                        count += 1
            if not is_fill:
                starts[p + 1] = count
                continue
            for i in range(1, count):
                value, at = row[i], i
                while at > 0 and row[at - 1] > value:
                    row[at] = row[at - 1]
                    at -= 1
                row[at] = value
            for i in range(count):
                columns[starts[p] + i] = row[i]
                place[row[i]] = starts[p] + i
            for at in range(begins[p], begins[p + 1]):
                e, a = incidences[at] // k, incidences[at] % k
                for b in range(k):
                    slots[e, a, b] = place[cells[e, b]]


@kernel
def list_slabs(cells, owner, starts, members):
    """Count the cells that touch each slab into starts[1:], or where `members` is not empty list them, ascending."""
    at = starts[:-1].copy()
    for e in range(cells.shape[0]):
        low = high = owner[cells[e, 0]]
        for a in range(1, cells.shape[1]):
            s = owner[cells[e, a]]
            low, high = min(low, s), max(high, s)
        for s in range(low, high + 1):
            if members.size:
                members[at[s]] = e
                at[s] += 1
            else:
                starts[s + 1] += 1


@kernel(parallel=True)
def sum_stiffness(
    points, cells, dN, weights, xi, centre, formulation, lam, mu, row, general,
    owner, slab_starts, slab_cells, slots, blocks, det,
):  # fmt: skip
    """Add the stiffness of all cells to blocks (n_blocks, 9); det (n_cells,) is each cell's least det_jacobian.

    Tables and material as in `fem.kernels.solids.evaluate_cells`.
    """
    k, n_q = cells.shape[1], weights.size
    n = k + 3 if formulation == INCOMPATIBLE else k
    for s in prange(slab_starts.size - 1):
        X, mean, K = np.empty((k, 3)), np.zeros(3 * k), np.empty((3 * n, 3 * n))
        G, dV = np.empty((n_q, 3 * n)), np.empty(n_q)
        is_mine = np.empty(k, np.bool_)
        for at in range(slab_starts[s], slab_starts[s + 1]):
            e = slab_cells[at]
            first = s
            for a in range(k):
                p = cells[e, a]
                is_mine[a] = owner[p] == s
                first = min(first, owner[p])
                for i in range(3):
                    X[a, i] = points[p, i]
            least = cell_gradients(X, dN, weights, xi, centre, formulation, G, dV, mean)
            if first == s:
                det[e] = least
            if not least > 0.0:
                continue
            full_stiffness(
                G, dV, mean, formulation, lam[e], mu[e], general[max(row[e], 0)], row[e] >= 0, K
            )  # fmt: skip
            if formulation == INCOMPATIBLE:
                condense_modes(K, 3 * k)
            for a in range(k):
                for i in range(1, 3):  # round-off apart they are equal: make the sum symmetric to the bit
                    for j in range(i):
                        K[3 * a + i, 3 * a + j] = K[3 * a + j, 3 * a + i]
                for b in range(a, k):
                    if is_mine[a]:
                        block = slots[e, a, b]
                        for i in range(3):
                            for j in range(3):
                                blocks[block, 3 * i + j] += K[3 * a + i, 3 * b + j]
                    if is_mine[b] and b > a:
                        block = slots[e, b, a]
                        for i in range(3):
                            for j in range(3):
                                blocks[block, 3 * i + j] += K[3 * a + j, 3 * b + i]
