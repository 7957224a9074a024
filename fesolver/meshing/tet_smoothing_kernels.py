"""Move points one by one to where the worst of the cells and triangles around them is best.

These kernels change one array of points in a stated order and run on one thread.
"""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from fesolver.fem.kernels.jit import kernel

__all__ = ["raise_least_quality"]

_HALVINGS, _STEPS = 7, 40
"""How often a step is halved, and how many are tried in all, per point."""


@kernel
def _scaled_jacobian(points, cell):
    """Of a tetrahedron: the determinant of its edges times sqrt 2 over the largest product of edges at a corner."""
    a, b, c, d = points[cell[0]], points[cell[1]], points[cell[2]], points[cell[3]]
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    wx, wy, wz = d[0] - a[0], d[1] - a[1], d[2] - a[2]
    det = ux * (vy * wz - vz * wy) + uy * (vz * wx - vx * wz) + uz * (vx * wy - vy * wx)
    ab, ac, ad = ux * ux + uy * uy + uz * uz, vx * vx + vy * vy + vz * vz, wx * wx + wy * wy + wz * wz
    bc = (ux - vx) ** 2 + (uy - vy) ** 2 + (uz - vz) ** 2
    bd = (ux - wx) ** 2 + (uy - wy) ** 2 + (uz - wz) ** 2
    cd = (vx - wx) ** 2 + (vy - wy) ** 2 + (vz - wz) ** 2
    most = max(max(ab * ac * ad, ab * bc * bd), max(ac * bc * cd, ad * bd * cd))
    return det * np.sqrt(2.0 / max(most, 1e-300))


@kernel
def _height(points, triangle, normal):
    """Least height over longest edge of a triangle, negative where it is turned over against a normal."""
    a, b, c = points[triangle[0]], points[triangle[1]], points[triangle[2]]
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    area = normal[0] * (uy * vz - uz * vy) + normal[1] * (uz * vx - ux * vz) + normal[2] * (ux * vy - uy * vx)
    longest = max(
        max(ux * ux + uy * uy + uz * uz, vx * vx + vy * vy + vz * vz),
        (ux - vx) ** 2 + (uy - vy) ** 2 + (uz - vz) ** 2,
    )
    return area / max(longest, 1e-300)


@kernel
def _least(points, cells, of_cells, enough_cells, triangles, of_triangles, normals, enough_triangle):
    """Least quality over what is enough of the given cells and triangles, 1 at most."""
    least = 1.0
    for i in of_cells:
        least = min(least, _scaled_jacobian(points, cells[i]) / enough_cells[i])
    for i in of_triangles:
        least = min(least, _height(points, triangles[i], normals[i]) / enough_triangle)
    return least


@kernel
def raise_least_quality(
    points, order, plane, step, cells, cell_start, cell_ids, enough_cells, triangles, triangle_start, triangle_ids,
    normals, enough_triangle,
):  # fmt: skip
    """Move the points `order`, in place, and return how many moved.

    `plane` (n, 3) is the unit normal of the plane that a point keeps to, 0 where it may leave in any direction, and
    `step` (n,) how far the first try goes. Point p has the cells cell_ids[cell_start[p] : cell_start[p + 1]], and so
    for triangles. A point whose cells and triangles all have enough stays.
    """
    moved = 0
    directions = np.empty((18, 3))
    old = np.empty(3)
    best_at = np.empty(3)
    for p in order:
        of_cells = cell_ids[cell_start[p] : cell_start[p + 1]]
        of_triangles = triangle_ids[triangle_start[p] : triangle_start[p + 1]]
        best = _least(points, cells, of_cells, enough_cells, triangles, of_triangles, normals, enough_triangle)
        if best >= 1.0:
            continue
        n_directions = _directions(plane[p], directions)
        old[:] = points[p]
        best_at[:] = old
        far, halvings, has_moved = step[p], 0, False
        for _ in range(_STEPS):
            is_better = False
            for k in range(n_directions):
                for a in range(3):
                    points[p, a] = old[a] + far * directions[k, a]
                now = _least(points, cells, of_cells, enough_cells, triangles, of_triangles, normals, enough_triangle)
                if now > best:
                    best, is_better = now, True
                    best_at[:] = points[p]
            if is_better:
                old[:] = best_at
                has_moved = True
                if best >= 1.0:
                    break
            else:
                far *= 0.5
                halvings += 1
                if halvings == _HALVINGS:
                    break
        points[p] = old
        moved += has_moved
    return moved


@kernel
def _directions(normal, out):
    """Unit directions to try: twelve in a plane, or eighteen (axes and diagonals of faces) in space; how many."""
    square = normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2
    if square == 0.0:
        k = 0
        for i in range(-1, 2):
            for j in range(-1, 2):
                for m in range(-1, 2):
                    length = abs(i) + abs(j) + abs(m)
                    if length == 1 or length == 2:
                        out[k, 0], out[k, 1], out[k, 2] = i, j, m
                        out[k] /= np.sqrt(length)
                        k += 1
        return 18
    least = 0
    for a in range(1, 3):
        if abs(normal[a]) < abs(normal[least]):
            least = a
    one = -normal[least] * normal / square
    one[least] += 1.0
    one /= np.sqrt(one[0] ** 2 + one[1] ** 2 + one[2] ** 2)
    other = np.empty(3)
    for a in range(3):
        b, c = (a + 1) % 3, (a + 2) % 3
        other[a] = (normal[b] * one[c] - normal[c] * one[b]) / np.sqrt(square)
    for k in range(12):
        angle = k * np.pi / 6.0
        out[k] = np.cos(angle) * one + np.sin(angle) * other
    return 12
