"""The first coarse grid of a network of struts: trilinear on 2 x 2 x 2 cells, with a copy of a node for every piece.

Two struts may cross one coarse cell's neighbourhood without touching; a coarse node between them would glue them. So
the material around a coarse node, the active cells of the eight parents there, is split: parents are linked if a cell
of one and a cell of the other share a node, and every linked set has its own copy of the node. All cells of one parent
share its centre, so a parent is always one piece, an ordinary brick with eight nodes of its own choice. Parents that
share a fine node are linked, so all of them give it the same value.

Node and cell positions in a parent are numbered x + 2 y + 4 z, its 27 fine nodes x + 3 y + 9 z.
"""

import numpy as np
from numba import prange

from fesolver.fem.kernels.galerkin import combine, triple_product
from fesolver.fem.kernels.jit import kernel


def _node_masks():
    """By mask of active cells: mask of the 27 fine nodes they touch."""
    cell = [
        sum(
            1 << ((c & 1) + i + 3 * ((c >> 1 & 1) + j) + 9 * ((c >> 2) + k))
            for i in (0, 1)
            for j in (0, 1)
            for k in (0, 1)
        )
        for c in range(8)
    ]
    out = np.zeros(256, np.int64)
    for mask in range(256):
        for c in range(8):
            if mask >> c & 1:
                out[mask] |= cell[c]
    return out


def _shared():
    """By pair of the parents around a node: mask of the fine nodes of the first that are the second's, and shift."""
    select, shift = np.zeros((8, 8), np.int64), np.zeros((8, 8), np.int64)
    for p in range(8):
        for q in range(8):
            d = [(q >> n & 1) - (p >> n & 1) for n in range(3)]
            shift[p, q] = 2 * d[0] + 6 * d[1] + 18 * d[2]
            for node in range(27):
                at = (node % 3, node // 3 % 3, node // 9)
                if all(e == 0 or a == (2 if e > 0 else 0) for a, e in zip(at, d, strict=True)):
                    select[p, q] |= 1 << node
    return select, shift


def _corners():
    """By place in a parent: number of corners that interpolate it; these; the weight of each."""
    count, which, weight = np.zeros(32, np.int64), np.zeros((32, 8), np.int64), np.zeros(32, np.float32)
    for node in range(27):
        at = (node % 3, node // 3 % 3, node // 9)
        inside = [c for c in range(8) if all(a == 1 or a == 2 * (c >> d & 1) for d, a in enumerate(at))]
        count[node], which[node, : len(inside)], weight[node] = len(inside), inside, 1.0 / len(inside)
    return count, which, weight


NODE_MASKS = _node_masks()
SHARED, SHIFTS = _shared()
CORNER_COUNT, CORNERS, WEIGHT = _corners()


@kernel
def parent_masks(active, out):
    """Active cells (bits) of every parent; out (nz, ny, nx) uint8."""
    for k in range(active.shape[0]):
        for j in range(active.shape[1]):
            for i in range(active.shape[2]):
                if active[k, j, i]:
                    out[k // 2, j // 2, i // 2] |= np.uint8(1 << ((i & 1) + 2 * (j & 1) + 4 * (k & 1)))


@kernel
def number_copies(masks, parent, node_masks, shared, shifts, corners, planes, places):
    """Number the coarse nodes, z, y, x, copies of one after each other; returns (nodes, positions that hold any).

    masks, parent (nz, ny, nx): active cells and number of every parent, -1 where there is none; corners (n_parents, 8):
    filled; planes (nz + 2,): first node of each plane; places (room, 3): x, y, z of the nodes.
    """
    nz, ny, nx = masks.shape
    count, positions = 0, 0
    member, group, touched = np.empty(8, np.int64), np.empty(8, np.int64), np.empty(8, np.int64)
    for k in range(nz + 1):
        planes[k] = count
        for j in range(ny + 1):
            for i in range(nx + 1):
                found = 0
                for b in range(8):
                    kk, jj, ii = k - 1 + (b >> 2), j - 1 + (b >> 1 & 1), i - 1 + (b & 1)
                    member[b] = -1
                    if 0 <= kk < nz and 0 <= jj < ny and 0 <= ii < nx and masks[kk, jj, ii]:
                        member[b] = parent[kk, jj, ii]
                        touched[b] = node_masks[masks[kk, jj, ii]]
                        found += 1
                    group[b] = b
                if found == 0:
                    continue
                positions += 1
                for p in range(8):
                    for q in range(p + 1, 8):
                        if member[p] >= 0 and member[q] >= 0 and group[p] != group[q]:
                            s = shifts[p, q]
                            mine = touched[p] & shared[p, q]
                            mine = mine >> s if s >= 0 else mine << -s
                            if mine & touched[q]:
                                low, high = min(group[p], group[q]), max(group[p], group[q])
                                for b in range(8):
                                    if group[b] == high:
                                        group[b] = low
                for p in range(8):
                    if member[p] >= 0 and group[p] == p:
                        for b in range(p, 8):
                            if member[b] >= 0 and group[b] == p:
                                corners[member[b], 7 - b] = count
                        places[count, 0], places[count, 1], places[count, 2] = i, j, k
                        count += 1
    planes[nz + 1] = count
    return count, positions


@kernel
def place_nodes(masks, parent, node_masks, number, owner):
    """Owner of every fine node: 32 times a parent that holds it, plus its place there."""
    nz, ny, nx = masks.shape
    owner[:] = -1
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                if masks[k, j, i]:
                    touched = node_masks[masks[k, j, i]]
                    for node in range(27):
                        if touched >> node & 1:
                            f = number[2 * k + node // 9, 2 * j + node // 3 % 3, 2 * i + node % 3]
                            if owner[f] < 0:
                                owner[f] = 32 * parent[k, j, i] + node


@kernel
def row_pattern(corners, n_nodes, starts, columns):
    """Columns of every node's row, ascending, in `columns` from starts[node] on; the number of blocks.

    Call with `columns` empty to fill `starts` only.
    """
    first = np.zeros(n_nodes + 1, np.int64)
    for p in range(corners.shape[0]):
        for a in range(8):
            first[corners[p, a] + 1] += 1
    for n in range(n_nodes):
        first[n + 1] += first[n]
    members = np.empty(first[n_nodes], np.int32)
    fill = first[:-1].copy()
    for p in range(corners.shape[0]):
        for a in range(8):
            members[fill[corners[p, a]]] = p
            fill[corners[p, a]] += 1
    row = np.empty(64, np.int64)
    total = 0
    for n in range(n_nodes):
        starts[n] = total
        count = 0
        for m in range(first[n], first[n + 1]):
            for a in range(8):
                c = corners[members[m], a]
                at = count
                while at > 0 and row[at - 1] > c:
                    at -= 1
                if at > 0 and row[at - 1] == c:
                    continue
                for q in range(count, at, -1):
                    row[q] = row[q - 1]
                row[at] = c
                count += 1
        if columns.size:
            for q in range(count):
                columns[total + q] = row[q]
        total += count
    starts[n_nodes] = total
    return total


@kernel
def fine_products(units, T, out):
    """Unit matrices on the parent's nodes: out[child, constant] = T_child^T unit T_child, flat (576,)."""
    M, one = np.empty((24, 24)), np.empty((24, 24))
    for child in range(8):
        for q in range(units.shape[0]):
            one[:] = 0.0
            triple_product(units[q], T[child], M, one)
            for r in range(24):
                for c in range(24):
                    out[child, q, 24 * r + c] = one[r, c]


@kernel
def add_scaled(v, unit, total):
    """total += v unit."""
    for r in range(576):
        total[r] += v * unit[r]


@kernel
def child_matrix(child, kind, slot, C0, C1, C2, U0, U1, U2, total):
    """Add the matrix of a child none of whose unknowns is held."""
    if kind == 0:
        for q in range(2):
            add_scaled(C0[(slot // 8 * 2 + q) * 8 + slot % 8], U0[child, q], total)
    elif kind == 1:
        for q in range(15):
            add_scaled(C1[(slot // 8 * 15 + q) * 8 + slot % 8], U1[child, q], total)
    else:
        for q in range(42):
            add_scaled(C2[(slot // 8 * 42 + q) * 8 + slot % 8], U2[child, q], total)


@kernel
def held_matrix(child, kind, slot, C0, C1, C2, u0, u1, u2, is_held, T, total):
    """Add the matrix of a child, its held unknowns (24,) left out."""
    K, M, one = np.empty((24, 24)), np.empty((24, 24)), np.zeros((24, 24))
    if kind == 0:
        combine(C0, 2, slot, u0, K)
    elif kind == 1:
        combine(C1, 15, slot, u1, K)
    else:
        combine(C2, 42, slot, u2, K)
    for r in range(24):
        if is_held[r]:
            for c in range(24):
                K[r, c] = 0.0
                K[c, r] = 0.0
    triple_product(K, T[child], M, one)
    for r in range(24):
        for c in range(24):
            total[24 * r + c] += one[r, c]


@kernel(parallel=True)
def assemble(
    slabs, layers, where, masks, kind, slot, number, held, C, units, products, T, corners, starts, columns, out
):
    """Stiffness on the coarse nodes: 3 x 3 blocks by columns, in rows of `starts` and `columns`.

    slabs (n + 1,): first parent layer of each slab of coarse node planes; every row is written by one slab, parents in
    ascending order. layers (nz + 1,): first parent of each layer; where (n_parents, 3): their places (z, y, x); kind,
    slot: boxes of the fine cells; number: box of the fine nodes; held (3, stride): 1 where a fine unknown is held; C,
    units, products: constants, unit matrices and `fine_products` of the three kinds.
    """
    C0, C1, C2 = C
    u0, u1, u2 = units
    U0, U1, U2 = products
    n_layers = layers.size - 1
    for slab in prange(slabs.size - 1):
        total, is_held = np.empty(576), np.zeros(24, np.uint8)
        low, high = slabs[slab], slabs[slab + 1]
        for layer in range(max(low - 1, 0), min(high, n_layers)):
            for p in range(layers[layer], layers[layer + 1]):
                k, j, i = where[p, 0], where[p, 1], where[p, 2]
                mask = masks[k, j, i]
                total[:] = 0.0
                for child in range(8):
                    if not mask >> child & 1:
                        continue
                    kk, jj, ii = 2 * k + (child >> 2), 2 * j + (child >> 1 & 1), 2 * i + (child & 1)
                    some = False
                    for a in range(8):
                        f = number[kk + (a >> 2), jj + (a >> 1 & 1), ii + (a & 1)]
                        for d in range(3):
                            is_held[3 * a + d] = held[d, f]
                            some = some or held[d, f] != 0
                    q = np.intp(slot[kk, jj, ii])
                    if some:
                        held_matrix(child, kind[kk, jj, ii], q, C0, C1, C2, u0, u1, u2, is_held, T, total)
                    else:
                        child_matrix(child, kind[kk, jj, ii], q, C0, C1, C2, U0, U1, U2, total)
                for a in range(8):
                    plane = layer + (a >> 2)
                    if plane < low or plane >= high:
                        continue
                    row = corners[p, a]
                    for b in range(8):
                        at = starts[row]
                        while columns[at] != corners[p, b]:
                            at += 1
                        for d in range(3):
                            for e in range(3):
                                out[9 * at + 3 * e + d] += total[24 * (3 * a + d) + 3 * b + e]


@kernel(parallel=True)
def restrict_pieces(slabs, fine_planes, planes, owner, corners, counts, which, weight, r, b):
    """b = P^T r: r (3, stride) by components, b node by node; slabs as in `assemble`."""
    stride = r.size // 3
    n_fine = fine_planes.size - 1
    for slab in prange(slabs.size - 1):
        low, high = slabs[slab], slabs[slab + 1]
        for i in range(3 * planes[low], 3 * planes[high]):
            b[i] = 0
        for k in range(max(2 * low - 1, 0), min(2 * high, n_fine)):
            is_odd = k % 2 == 1
            has_low, has_high = not is_odd or k // 2 >= low, not is_odd or k // 2 + 1 < high
            for f in range(fine_planes[k], fine_planes[k + 1]):
                p, node = owner[f] >> 5, owner[f] & 31
                w = weight[node]
                r0, r1, r2 = w * r[f], w * r[stride + f], w * r[2 * stride + f]
                for q in range(counts[node]):
                    c = which[node, q]
                    if is_odd and not (has_high if c & 4 else has_low):
                        continue
                    at = 3 * np.intp(corners[p, c])
                    b[at] += r0
                    b[at + 1] += r1
                    b[at + 2] += r2


@kernel(parallel=True)
def prolong_pieces(owner, corners, counts, which, weight, e, w, x):
    """x += P e where w is not zero."""
    stride = x.size // 3
    for f in prange(owner.size):
        p, node = owner[f] >> 5, owner[f] & 31
        a, b, c = e[0] - e[0], e[0] - e[0], e[0] - e[0]
        for q in range(counts[node]):
            at = 3 * np.intp(corners[p, which[node, q]])
            a += e[at]
            b += e[at + 1]
            c += e[at + 2]
        v = weight[node]
        if w[f] != 0:
            x[f] += v * a
        if w[stride + f] != 0:
            x[stride + f] += v * b
        if w[2 * stride + f] != 0:
            x[2 * stride + f] += v * c
