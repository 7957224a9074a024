"""Sparsity of a mesh in blocks of points, and the sum of cells' stiffness into it.

Rows of blocks belong to slabs of points. A slab takes all cells that touch it in ascending order and adds to its own
rows only, so every block is a sum in ascending order of cells, whatever the slabs are: cells on the border of two
slabs are computed in both.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.batch import batch_blocks, batch_gradients, batch_means
from fesolver.fem.kernels.jit import kernel
from fesolver.fem.kernels.simd import LANES
from fesolver.fem.kernels.solids import (
    INCOMPATIBLE,
    MEAN_DILATATION,
    cell_gradients,
    condense_modes,
    full_stiffness,
)


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


@kernel
def add_lane(lane, slots, is_mine, K, blocks):
    """Add the blocks of one lane of a batch to its own rows; slots (k, k), is_mine (k,)."""
    k, at = is_mine.size, lane
    for a in range(k):
        for b in range(a, k):
            if is_mine[a]:
                block = slots[a, b]
                for i in range(9):
                    blocks[block, i] += K[at + 8 * i]
            if is_mine[b] and b > a:
                block = slots[b, a]
                for i in range(3):
                    for j in range(3):
                        blocks[block, 3 * i + j] += K[at + 8 * (3 * j + i)]
            at += 72


@kernel
def general_cell(X, dN, weights, xi, centre, formulation, lam, mu, D, is_general, G, dV, mean, K, pairs, lane):
    """Stiffness of one cell of any formulation and material into a lane of `pairs`; returns the least det_jacobian."""
    least = cell_gradients(X, dN, weights, xi, centre, formulation, G, dV, mean)
    if not least > 0.0:
        return least
    full_stiffness(G, dV, mean, formulation, lam, mu, D, is_general, K)
    if formulation == INCOMPATIBLE:
        condense_modes(K, 3 * X.shape[0])
    at = lane
    for a in range(X.shape[0]):
        for b in range(a, X.shape[0]):
            for i in range(3):
                for j in range(3):
                    pairs[at + 8 * (3 * i + j)] = (
                        K[3 * a + min(i, j), 3 * a + max(i, j)] if a == b else K[3 * a + i, 3 * b + j]
                    )
            at += 72
    return least


@kernel(parallel=True)
def sum_stiffness(
    points, cells, dN, weights, xi, centre, formulation, lam, mu, row, general,
    owner, slab_starts, slab_cells, slots, blocks, det,
):  # fmt: skip
    """Add the stiffness of all cells to blocks (n_blocks, 9); det (n_cells,) is each cell's least det_jacobian.

    Tables and material as in `fem.kernels.solids.evaluate_cells`. Cells go eight at a time; those that are not
    isotropic or have incompatible modes are computed alone and take their lane's place.
    """
    k, n_q = cells.shape[1], weights.size
    n = k + 3 if formulation == INCOMPATIBLE else k
    for s in prange(slab_starts.size - 1):
        lanes, gradients, weighted = np.empty(24 * k), np.empty(24 * k * n_q), np.empty(24 * k * n_q)
        volumes, means, pairs = np.empty(8 * n_q), np.zeros(24 * k + 8), np.empty(36 * k * (k + 1))
        lams, mus, dets, is_mine = np.empty(8), np.empty(8), np.empty(8), np.empty(k, np.bool_)
        X, mean, K = np.empty((k, 3)), np.zeros(3 * k), np.empty((3 * n, 3 * n))
        G, dV = np.empty((n_q, 3 * n)), np.empty(n_q)
        for start in range(slab_starts[s], slab_starts[s + 1], LANES):
            count = min(LANES, slab_starts[s + 1] - start)
            n_alone = 0
            for l in range(LANES):
                e = slab_cells[start + min(l, count - 1)]
                lams[l], mus[l] = lam[e], mu[e]
                n_alone += l < count and (row[e] >= 0 or formulation == INCOMPATIBLE)
                for a in range(k):
                    for i in range(3):
                        lanes[8 * (3 * a + i) + l] = points[cells[e, a], i]
            if n_alone < count:
                batch_gradients(lanes, dN, weights, gradients, weighted, volumes, dets)
                if formulation == MEAN_DILATATION:
                    batch_means(n_q, weighted, volumes, means)
                batch_blocks(n_q, lams, mus, formulation == MEAN_DILATATION, gradients, weighted, means, pairs)
            for l in range(count):
                e = slab_cells[start + l]
                if row[e] >= 0 or formulation == INCOMPATIBLE:
                    for a in range(k):
                        for i in range(3):
                            X[a, i] = points[cells[e, a], i]
                    dets[l] = general_cell(
                        X, dN, weights, xi, centre, formulation, lam[e], mu[e], general[max(row[e], 0)], row[e] >= 0,
                        G, dV, mean, K, pairs, l,
                    )  # fmt: skip
                first = s
                for a in range(k):
                    is_mine[a] = owner[cells[e, a]] == s
                    first = min(first, owner[cells[e, a]])
                if first == s:
                    det[e] = dets[l]
                if dets[l] > 0.0:
                    add_lane(l, slots[e], is_mine, pairs, blocks)
