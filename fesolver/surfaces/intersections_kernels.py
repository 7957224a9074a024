"""Triangles of one surface against each other, on integer coordinates: every sign is exact."""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

from numba import prange

from fesolver.fem.kernels.jit import kernel

__all__ = ["count_in_boxes", "fill_boxes", "find_partners"]


@kernel
def count_in_boxes(low, high, shape, count):
    """Triangles in every box of the grid; `low`, `high` (m, 3) are the boxes that each reaches from and to."""
    for t in range(low.shape[0]):
        for i in range(low[t, 0], high[t, 0] + 1):
            for j in range(low[t, 1], high[t, 1] + 1):
                for k in range(low[t, 2], high[t, 2] + 1):
                    count[(i * shape[1] + j) * shape[2] + k] += 1


@kernel
def fill_boxes(low, high, shape, place, content):
    """Write the triangles of every box, from `place` on, which moves along."""
    for t in range(low.shape[0]):
        for i in range(low[t, 0], high[t, 0] + 1):
            for j in range(low[t, 1], high[t, 1] + 1):
                for k in range(low[t, 2], high[t, 2] + 1):
                    box = (i * shape[1] + j) * shape[2] + k
                    content[place[box]] = t
                    place[box] += 1


@kernel
def _side(p, a, b, c, d):
    """Sign of the volume of tetrahedron a, b, c, d; below 2^63 for coordinates below 2^20."""
    ux = p[b, 0] - p[a, 0]
    uy = p[b, 1] - p[a, 1]
    uz = p[b, 2] - p[a, 2]
    vx = p[c, 0] - p[a, 0]
    vy = p[c, 1] - p[a, 1]
    vz = p[c, 2] - p[a, 2]
    wx = p[d, 0] - p[a, 0]
    wy = p[d, 1] - p[a, 1]
    wz = p[d, 2] - p[a, 2]
    volume = wx * (uy * vz - uz * vy) + wy * (uz * vx - ux * vz) + wz * (ux * vy - uy * vx)
    return 1 if volume > 0 else (-1 if volume < 0 else 0)


@kernel
def _turn(p, x, y, a, b, c):
    """Sign of the area of triangle a, b, c in the plane of axes x and y."""
    area = (p[b, x] - p[a, x]) * (p[c, y] - p[a, y]) - (p[b, y] - p[a, y]) * (p[c, x] - p[a, x])
    return 1 if area > 0 else (-1 if area < 0 else 0)


@kernel
def _is_between(p, x, y, a, b, c):
    """Whether c, on the line through a and b, lies between them."""
    is_off_x = p[c, x] < min(p[a, x], p[b, x]) or p[c, x] > max(p[a, x], p[b, x])
    is_off_y = p[c, y] < min(p[a, y], p[b, y]) or p[c, y] > max(p[a, y], p[b, y])
    return not (is_off_x or is_off_y)


@kernel
def _segments_meet(p, x, y, a, b, c, d):
    """Whether segments ab and cd of one plane share a point."""
    s = _turn(p, x, y, a, b, c)
    t = _turn(p, x, y, a, b, d)
    u = _turn(p, x, y, c, d, a)
    v = _turn(p, x, y, c, d, b)
    if s * t < 0 and u * v < 0:
        return True
    return (
        (s == 0 and _is_between(p, x, y, a, b, c))
        or (t == 0 and _is_between(p, x, y, a, b, d))
        or (u == 0 and _is_between(p, x, y, c, d, a))
        or (v == 0 and _is_between(p, x, y, c, d, b))
    )


@kernel
def _drop_axis(p, a, b, c):
    """Axis along which the triangle's projection is largest; -1 where it has no area."""
    best = 0
    axis = -1
    for k in range(3):
        x = (k + 1) % 3
        y = (k + 2) % 3
        area = abs((p[b, x] - p[a, x]) * (p[c, y] - p[a, y]) - (p[b, y] - p[a, y]) * (p[c, x] - p[a, x]))
        if area > best:
            best = area
            axis = k
    return axis


@kernel
def _segment_meets(p, d, e, a, b, c):
    """Whether segment de shares a point with triangle abc, which has an area; edges and ends belong to both."""
    s = _side(p, a, b, c, d)
    t = _side(p, a, b, c, e)
    if s * t > 0:
        return False
    if s == 0 and t == 0:
        axis = _drop_axis(p, a, b, c)
        x = (axis + 1) % 3
        y = (axis + 2) % 3
        u = _turn(p, x, y, a, b, d)
        v = _turn(p, x, y, b, c, d)
        w = _turn(p, x, y, c, a, d)
        if (u >= 0 and v >= 0 and w >= 0) or (u <= 0 and v <= 0 and w <= 0):
            return True
        return (
            _segments_meet(p, x, y, d, e, a, b)
            or _segments_meet(p, x, y, d, e, b, c)
            or _segments_meet(p, x, y, d, e, c, a)
        )
    u = _side(p, d, e, a, b)
    v = _side(p, d, e, b, c)
    w = _side(p, d, e, c, a)
    return (u >= 0 and v >= 0 and w >= 0) or (u <= 0 and v <= 0 and w <= 0)


@kernel
def _triangles_meet(p, triangles, s, t):
    """Whether two triangles with areas share a point beyond the corners and the edge they have in common."""
    n = 0
    i = 0
    j = 0
    for a in range(3):
        for b in range(3):
            if triangles[s, a] == triangles[t, b]:
                n += 1
                i += a
                j += b
    a0, a1, a2 = triangles[s, 0], triangles[s, 1], triangles[s, 2]
    b0, b1, b2 = triangles[t, 0], triangles[t, 1], triangles[t, 2]
    if n == 3:
        return False
    if n == 2:
        # Sums of positions of the shared corners: 3 minus them is the free one.
        c = triangles[s, 3 - i]
        d = triangles[t, 3 - j]
        if _side(p, a0, a1, a2, d) != 0:
            return False
        e = triangles[s, (4 - i) % 3]
        f = triangles[s, (5 - i) % 3]
        axis = _drop_axis(p, a0, a1, a2)
        x = (axis + 1) % 3
        y = (axis + 2) % 3
        return _turn(p, x, y, e, f, c) == _turn(p, x, y, e, f, d)
    if n == 1:
        # What they share beyond the corner ends on the side opposite to it, of one or the other.
        return _segment_meets(p, triangles[s, (i + 1) % 3], triangles[s, (i + 2) % 3], b0, b1, b2) or _segment_meets(
            p, triangles[t, (j + 1) % 3], triangles[t, (j + 2) % 3], a0, a1, a2
        )
    s0 = _side(p, a0, a1, a2, b0)
    if s0 != 0 and s0 == _side(p, a0, a1, a2, b1) and s0 == _side(p, a0, a1, a2, b2):
        return False
    s0 = _side(p, b0, b1, b2, a0)
    if s0 != 0 and s0 == _side(p, b0, b1, b2, a1) and s0 == _side(p, b0, b1, b2, a2):
        return False
    return (
        _segment_meets(p, a0, a1, b0, b1, b2)
        or _segment_meets(p, a1, a2, b0, b1, b2)
        or _segment_meets(p, a2, a0, b0, b1, b2)
        or _segment_meets(p, b0, b1, a0, a1, a2)
        or _segment_meets(p, b1, b2, a0, a1, a2)
        or _segment_meets(p, b2, b0, a0, a1, a2)
    )


@kernel(parallel=True)
def find_partners(p, triangles, has_area, lower, upper, low, high, shape, start, content, place, partners, count):
    """Later triangles that each one meets: how many into `count` (m,), and which into `partners` from `place` on.

    `lower`, `upper` (m, 3) bound the triangles, `low`, `high` (m, 3) are the boxes they reach from and to, `start` and
    `content` the triangles of every box. With `partners` of length 0 they are counted only.
    """
    for s in prange(triangles.shape[0]):
        n = 0
        if has_area[s] and (partners.shape[0] == 0 or place[s] < place[s + 1]):
            for i in range(low[s, 0], high[s, 0] + 1):
                for j in range(low[s, 1], high[s, 1] + 1):
                    for k in range(low[s, 2], high[s, 2] + 1):
                        box = (i * shape[1] + j) * shape[2] + k
                        for at in range(start[box], start[box + 1]):
                            t = content[at]
                            if t <= s or not has_area[t]:
                                continue
                            # Each pair in one box only: the first that both reach.
                            if max(low[s, 0], low[t, 0]) != i or max(low[s, 1], low[t, 1]) != j:
                                continue
                            if max(low[s, 2], low[t, 2]) != k:
                                continue
                            apart = False
                            for a in range(3):
                                if lower[s, a] > upper[t, a] or lower[t, a] > upper[s, a]:
                                    apart = True
                            if apart or not _triangles_meet(p, triangles, s, t):
                                continue
                            if partners.shape[0] > 0:
                                partners[place[s] + n] = t
                            n += 1
        count[s] = n
