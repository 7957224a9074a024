"""Integrals of a voxel-wise constant field over solids bounded by triangles."""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

import numba as nb
import numpy as np

from fesolver.fem.kernels.jit import kernel

__all__ = ["all_cell_integrals"]

BLOCK = 64
"""Cells that one turn of the parallel loop handles with the same buffers."""

ROOM = 16
"""Corners that a clipped triangle can have, and more: 3, and one for each of 6 planes."""


@kernel
def split(polygon, n, axis, level, below, above):
    """Cut a polygon at a plane across an axis into `below` and `above`; returns how many corners each has."""
    n_below = n_above = 0
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        here, there = polygon[i, axis] - level, polygon[j, axis] - level
        if here <= 0.0:
            for d in range(3):
                below[n_below, d] = polygon[i, d]
            n_below += 1
        if here >= 0.0:
            for d in range(3):
                above[n_above, d] = polygon[i, d]
            n_above += 1
        if here * there < 0.0:
            t = here / (here - there)
            for d in range(3):
                value = level if d == axis else polygon[i, d] + t * (polygon[j, d] - polygon[i, d])
                below[n_below, d] = value
                above[n_above, d] = value
            n_below += 1
            n_above += 1
    return n_below, n_above


@kernel
def copy(source, n, target):
    """The first n corners of a polygon into another one: compiles in a fraction of the time that slices take."""
    for i in range(n):
        for d in range(3):
            target[i, d] = source[i, d]


@kernel
def voxel_span(polygon, n, axis, count):
    """First and last voxel along an axis that a polygon reaches; those beyond either end count as -1 and `count`."""
    low = high = polygon[0, axis]
    for i in range(1, n):
        low, high = min(low, polygon[i, axis]), max(high, polygon[i, axis])
    first = min(max(int(np.floor(low)), -1), count)
    return first, max(first, min(max(int(np.ceil(high)) - 1, -1), count))


@kernel
def flux(polygon, n, level):
    """Signed area of a polygon across the last axis, and the integral over it of its height above a level."""
    area = height = 0.0
    x0, y0 = polygon[0, 0], polygon[0, 1]
    for a in range(1, n - 1):
        part = 0.5 * ((polygon[a, 0] - x0) * (polygon[a + 1, 1] - y0) - (polygon[a + 1, 0] - x0) * (polygon[a, 1] - y0))
        area += part
        height += part * ((polygon[0, 2] - level) + (polygon[a, 2] - level) + (polygon[a + 1, 2] - level)) / 3.0
    return area, height


@kernel
def add_column(polygon, n, values, below, i, j, base, lower, upper, out):
    """Add a polygon over column (i, j): the integral over it of the field's own, taken from voxel `base` up.

    With h(c) the integral of the height above level c over the part above c, voxel k adds its value times
    h(k) - h(k + 1). A polygon that lies in a level but for round-off is cut anyhow, where h is round-off.
    """
    n_k = values.shape[2]
    first, last = voxel_span(polygon, n, 2, n_k)
    start = max(first, 0)
    if first < 0:
        _, n = split(polygon, n, 2, 0.0, lower, upper)
        copy(upper, n, polygon)
    area, above = flux(polygon, n, float(start))
    out[0] += area * (below[i, j, start] - below[i, j, base])
    out[1] += area * (start - base)
    for k in range(start, min(last + 1, n_k)):
        beyond = 0.0
        if k < last:
            _, n = split(polygon, n, 2, float(k + 1), lower, upper)
            copy(upper, n, polygon)
            _, beyond = flux(polygon, n, float(k + 1))
        out[0] += values[i, j, k] * (above - beyond)
        out[1] += above - beyond
        above = beyond


@kernel
def add_triangle(buffers, values, below, base, out):
    """Add the flux through the triangle in `buffers[0]`, cut voxel by voxel."""
    whole, slab, column, piece, spare = buffers[0], buffers[1], buffers[2], buffers[3], buffers[4]
    n_i, n_j, _ = values.shape
    n = 3
    first, last = voxel_span(whole, n, 0, n_i)
    for i in range(first, last + 1):
        n_slab, n = split_off(whole, n, 0, i, last, slab, spare)
        if i < 0 or i == n_i or n_slab < 3:
            continue
        first_j, last_j = voxel_span(slab, n_slab, 1, n_j)
        for j in range(first_j, last_j + 1):
            n_column, n_slab = split_off(slab, n_slab, 1, j, last_j, column, spare)
            if j < 0 or j == n_j or n_column < 3:
                continue
            add_column(column, n_column, values, below, i, j, base, piece, spare, out)


@kernel
def split_off(polygon, n, axis, at, last, taken, spare):
    """Move what lies below the far side of voxel `at` from a polygon into `taken`; all of it at the last one."""
    if at == last:
        copy(polygon, n, taken)
        return n, 0
    n_taken, n_left = split(polygon, n, axis, float(at + 1), taken, spare)
    copy(spare, n_left, polygon)
    return n_taken, n_left


@kernel
def cell_integrals(x, faces, n_face, values, below, cell, corner, buffers, out):
    """Integrals over one cell: of the field, of 1 inside the grid, of 1 everywhere.

    Each face is fanned around the mean of its corners, so that neighbours share every triangle; a triangle of a
    tetrahedron is taken as it is. By the divergence theorem the integral of a field f is that of its integral along the
    last axis times the outward area across that axis.
    """
    lowest = x[cell, 0, 2]
    for a in range(1, x.shape[1]):
        lowest = min(lowest, x[cell, a, 2])
    base = min(max(int(np.floor(lowest)), 0), values.shape[2])
    for face in range(len(faces)):
        m = n_face[face]
        for d in range(3):
            corner[d] = 0.0
            for a in range(m):
                corner[d] += x[cell, faces[face, a], d] / m
        fans = 1 if m == 3 else m
        for a in range(fans):
            first, second = faces[face, a], faces[face, (a + 1) % m]
            for d in range(3):
                buffers[0, 0, d] = x[cell, faces[face, 2], d] if m == 3 else corner[d]
                buffers[0, 1, d] = x[cell, first, d]
                buffers[0, 2, d] = x[cell, second, d]
            triangle = buffers[0]
            area = 0.5 * (
                (triangle[1, 0] - triangle[0, 0]) * (triangle[2, 1] - triangle[0, 1])
                - (triangle[2, 0] - triangle[0, 0]) * (triangle[1, 1] - triangle[0, 1])
            )
            out[2] += area * ((triangle[0, 2] + triangle[1, 2] + triangle[2, 2]) / 3.0 - lowest)
            if area != 0.0:
                add_triangle(buffers, values, below, base, out)


@kernel(parallel=True)
def all_cell_integrals(x, faces, n_face, values, below, out):
    """Integrals (n_cells, 3) over cells whose corners x (n_cells, k, 3) are in voxels, voxel i from i to i + 1.

    `values` (ni, nj, nk) is the field, `below` (ni, nj, nk + 1) its sum over the voxels before.
    """
    n_cells = len(x)
    for block in nb.prange((n_cells + BLOCK - 1) // BLOCK):
        buffers, corner = np.empty((5, ROOM, 3)), np.empty(3)
        for cell in range(block * BLOCK, min((block + 1) * BLOCK, n_cells)):
            cell_integrals(x, faces, n_face, values, below, cell, corner, buffers, out[cell])
