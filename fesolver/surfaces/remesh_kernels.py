"""Split, collapse and flip edges of a closed surface stored as half-edges (see `half_edges`).

Half-edge h = 3 t + k leaves corner k of triangle t. These kernels change one surface in a stated order and run on one
thread. What a change may do to the triangles around it is limited by the same three numbers everywhere.
"""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from fesolver.fem.kernels.jit import kernel

__all__ = ["accept_moves", "collapse_edges", "flip_edges", "split_edges"]

LONGEST, SHORTEST = 4.0 / 3.0, 4.0 / 5.0
_LEAST_TURN = 0.5
"""Cosine of the largest turn of a triangle's normal in one change."""
_SLIVER = 0.1
"""Quality below which a triangle's normal says nothing about the surface and may turn."""
_LEAST_QUALITY = 0.25
"""A move or flip may make a triangle this bad (1 is equilateral) only if it was worse before."""
_LEAST_COLLAPSED = 0.02
"""The same for collapses, which must get through rows of slivers before anything can mend them."""
_FLATTEST_CREASE = 0.8
"""A flip makes no sharper crease than this cosine, unless the crease was there."""


@kernel
def _next(h):
    """The half-edge after h in its triangle."""
    return h - 2 if h % 3 == 2 else h + 1


@kernel
def _before(h):
    """The half-edge before h in its triangle."""
    return h + 2 if h % 3 == 0 else h - 1


@kernel
def _start(triangles, h):
    """The point that half-edge h leaves."""
    return triangles[h // 3, h % 3]


@kernel
def _area_normal(a, b, c):
    """Twice the area times the normal."""
    ux, uy, uz = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    vx, vy, vz = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    return uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx


@kernel
def _length2(a, b):
    """Squared distance of two points."""
    return (b[0] - a[0]) ** 2 + (b[1] - a[1]) ** 2 + (b[2] - a[2]) ** 2


@kernel
def _quality(a, b, c):
    """Area over that of the equilateral triangle with the same sum of squared edges: 1 at best, 0 at worst."""
    x, y, z = _area_normal(a, b, c)
    total = _length2(a, b) + _length2(b, c) + _length2(c, a)
    return 2.0 * np.sqrt(3.0) * np.sqrt(x * x + y * y + z * z) / total if total > 0.0 else 0.0


@kernel
def _cosine(ax, ay, az, bx, by, bz):
    """Cosine between two vectors; 1 where one has no length, which has no direction to lose."""
    size = np.sqrt((ax * ax + ay * ay + az * az) * (bx * bx + by * by + bz * bz))
    return (ax * bx + ay * by + az * bz) / size if size > 1e-24 else 1.0


@kernel
def _fan_allows(points, triangles, twin, h, skip0, skip1, place, floor):
    """Whether the point that h leaves may stand at `place`, as far as its triangles but two are concerned.

    Each keeps its normal's direction and a quality of `floor` or what it had.
    """
    first = h
    while True:
        t = h // 3
        if t != skip0 and t != skip1:
            a = points[_start(triangles, h)]
            b, c = points[_start(triangles, _next(h))], points[_start(triangles, _before(h))]
            x, y, z = _area_normal(a, b, c)
            u, v, w = _area_normal(place, b, c)
            after, before = _quality(place, b, c), _quality(a, b, c)
            if before > _SLIVER and _cosine(x, y, z, u, v, w) < _LEAST_TURN:
                return False
            if after < floor and after <= before:
                return False
        h = twin[_before(h)]
        if h == first:
            return True


@kernel
def _lines_at(twin, curve, h):
    """How many feature edges leave the point that h leaves, and how many edges."""
    first, lines, edges = h, 0, 0
    while True:
        lines += curve[h] >= 0
        edges += 1
        h = twin[_before(h)]
        if h == first:
            return lines, edges


@kernel
def split_edges(points, triangles, twin, leaving, curve, tags, size, order, n_points, n_triangles):
    """Split every half-edge of `order` that is too long when its turn comes; arrays have room for all of them.

    Returns how many points and triangles there are then.
    """
    for i in range(order.shape[0]):
        h = order[i]
        g = twin[h]
        a, b = _start(triangles, h), _start(triangles, g)
        wanted = 0.5 * (size[a] + size[b])
        if _length2(points[a], points[b]) <= (LONGEST * wanted) ** 2:
            continue
        m, t, s = n_points, n_triangles, n_triangles + 1
        n_points += 1
        n_triangles += 2
        for k in range(3):
            points[m, k] = 0.5 * (points[a, k] + points[b, k])
        size[m] = wanted
        h1, g1 = _next(h), _next(g)
        c, d = _start(triangles, _before(h)), _start(triangles, _before(g))
        triangles[t, 0], triangles[t, 1], triangles[t, 2] = m, b, c
        triangles[s, 0], triangles[s, 1], triangles[s, 2] = m, a, d
        tags[t], tags[s] = tags[h // 3], tags[g // 3]
        triangles[h1 // 3, h1 % 3] = m
        triangles[g1 // 3, g1 % 3] = m
        # What was b-c and a-d goes to the new triangles; m-c and m-d are new.
        twin[3 * t + 1], twin[twin[h1]] = twin[h1], 3 * t + 1
        twin[3 * s + 1], twin[twin[g1]] = twin[g1], 3 * s + 1
        curve[3 * t + 1], curve[3 * s + 1] = curve[h1], curve[g1]
        twin[3 * t + 2], twin[h1] = h1, 3 * t + 2
        twin[3 * s + 2], twin[g1] = g1, 3 * s + 2
        curve[3 * t + 2], curve[h1], curve[3 * s + 2], curve[g1] = -1, -1, -1, -1
        twin[h], twin[3 * s] = 3 * s, h
        twin[g], twin[3 * t] = 3 * t, g
        curve[3 * t], curve[3 * s] = curve[h], curve[h]
        leaving[m], leaving[a], leaving[b] = 3 * t, h, g
    return n_points, n_triangles


@kernel
def collapse_edges(points, triangles, twin, leaving, curve, is_fixed, size, order):
    """Collapse every half-edge of `order` that is too short when its turn comes; returns how many were.

    Corners of feature lines stay, other points of a line move along it only, and no edge becomes too long.
    """
    mark = np.full(points.shape[0], -1, np.int64)
    place = np.empty(3)
    done = 0
    for i in range(order.shape[0]):
        h = order[i]
        if triangles[h // 3, 0] < 0:
            continue
        g = twin[h]
        a, b = _start(triangles, h), _start(triangles, g)
        if _length2(points[a], points[b]) >= (SHORTEST * 0.5 * (size[a] + size[b])) ** 2:
            continue
        lines_a, _ = _lines_at(twin, curve, h)
        lines_b, _ = _lines_at(twin, curve, g)
        a_stays = is_fixed[a] or (lines_a > 0 and lines_a != 2)
        b_stays = is_fixed[b] or (lines_b > 0 and lines_b != 2)
        if a_stays and b_stays:
            continue
        if lines_a > 0 and lines_b > 0 and curve[h] < 0:
            continue
        if b_stays or (lines_b > 0 and lines_a == 0):
            h, g, a, b, lines_a, lines_b, a_stays = g, h, b, a, lines_b, lines_a, b_stays
        h1, h2, g1, g2 = _next(h), _before(h), _next(g), _before(g)
        if (curve[h1] >= 0 and curve[h2] >= 0) or (curve[g1] >= 0 and curve[g2] >= 0):
            continue
        c, d = _start(triangles, h2), _start(triangles, g2)
        if _lines_at(twin, curve, h2)[1] <= 3 or _lines_at(twin, curve, g2)[1] <= 3:
            continue
        both_free = lines_a == 0 and lines_b == 0 and not a_stays
        for k in range(3):
            place[k] = 0.5 * (points[a, k] + points[b, k]) if both_free else points[a, k]
        # Link condition: a and b share the two points opposite their edge and no other.
        e = h
        while True:
            mark[_start(triangles, twin[e])] = i
            e = twin[_before(e)]
            if e == h:
                break
        shared, is_short = 0, True
        e = g
        while True:
            x = _start(triangles, twin[e])
            shared += mark[x] == i
            if x != a and _length2(points[x], place) > (LONGEST * 0.5 * (size[x] + size[a])) ** 2:
                is_short = False
            e = twin[_before(e)]
            if e == g:
                break
        if shared != 2 or not is_short:
            continue
        if both_free:
            e = h
            while True:
                x = _start(triangles, twin[e])
                if x != b and _length2(points[x], place) > (LONGEST * 0.5 * (size[x] + size[a])) ** 2:
                    is_short = False
                e = twin[_before(e)]
                if e == h:
                    break
            if not is_short or not _fan_allows(points, triangles, twin, h, h // 3, g // 3, place, _LEAST_COLLAPSED):
                continue
        if not _fan_allows(points, triangles, twin, g, h // 3, g // 3, place, _LEAST_COLLAPSED):
            continue
        e = g
        while True:
            triangles[e // 3, e % 3] = a
            e = twin[_before(e)]
            if e == g:
                break
        for k in range(3):
            points[a, k] = place[k]
        # The two sides of each vanished triangle become one edge, on a line if either was.
        for p, q in ((h1, h2), (g1, g2)):
            p, q = twin[p], twin[q]
            line = max(curve[p], curve[q])
            twin[p], twin[q] = q, p
            curve[p], curve[q] = line, line
        leaving[a], leaving[b], leaving[c], leaving[d] = twin[h2], -1, twin[h1], twin[g1]
        triangles[h // 3, 0] = -1
        triangles[g // 3, 0] = -1
        done += 1
    return done


@kernel
def _are_joined(triangles, twin, h, other):
    """Whether the point that h leaves has an edge to another."""
    first = h
    while True:
        if _start(triangles, twin[h]) == other:
            return True
        h = twin[_before(h)]
        if h == first:
            return False


@kernel
def flip_edges(points, triangles, twin, leaving, curve, for_angles):
    """Flip edges where that brings valences nearer to 6, or (`for_angles`) makes the worse triangle better.

    Returns how many were flipped.
    """
    valence = np.zeros(points.shape[0], np.int64)
    for t in range(triangles.shape[0]):
        for k in range(3):
            valence[triangles[t, k]] += 1
    done = 0
    for h in range(twin.shape[0]):
        g = twin[h]
        if g < h or curve[h] >= 0:
            continue
        h1, h2, g1, g2 = _next(h), _before(h), _next(g), _before(g)
        a, b = _start(triangles, h), _start(triangles, g)
        c, d = _start(triangles, h2), _start(triangles, g2)
        if valence[a] <= 3 or valence[b] <= 3:
            continue
        pa, pb, pc, pd = points[a], points[b], points[c], points[d]
        worse = min(_quality(pa, pb, pc), _quality(pb, pa, pd))
        better = min(_quality(pc, pd, pb), _quality(pd, pc, pa))
        if for_angles:
            if better <= 1.05 * worse:
                continue
        else:
            gain = (valence[a] - 6) ** 2 + (valence[b] - 6) ** 2 + (valence[c] - 6) ** 2 + (valence[d] - 6) ** 2
            gain -= (valence[a] - 7) ** 2 + (valence[b] - 7) ** 2 + (valence[c] - 5) ** 2 + (valence[d] - 5) ** 2
            if gain <= 0 or (better < 2.0 * _LEAST_QUALITY and better <= worse):
                continue
        if _are_joined(triangles, twin, h2, d):
            continue
        x, y, z = _area_normal(pa, pb, pc)
        u, v, w = _area_normal(pb, pa, pd)
        crease = _cosine(x, y, z, u, v, w)
        mx, my, mz = x + u, y + v, z + w
        x, y, z = _area_normal(pd, pb, pc)
        u, v, w = _area_normal(pc, pa, pd)
        if _cosine(x, y, z, u, v, w) < min(_FLATTEST_CREASE, crease):
            continue
        if min(_cosine(x, y, z, mx, my, mz), _cosine(u, v, w, mx, my, mz)) < _LEAST_TURN:
            continue
        triangles[h // 3, h % 3] = d
        triangles[g // 3, g % 3] = c
        p, q = twin[h2], twin[g2]
        lines_p, lines_q = curve[h2], curve[g2]
        twin[h], twin[q], curve[h] = q, h, lines_q
        twin[g], twin[p], curve[g] = p, g, lines_p
        twin[h2], twin[g2], curve[h2], curve[g2] = g2, h2, -1, -1
        leaving[a], leaving[b], leaving[c], leaving[d] = g1, h1, g, h
        valence[a] -= 1
        valence[b] -= 1
        valence[c] += 1
        valence[d] += 1
        done += 1
    return done


@kernel
def accept_moves(points, triangles, twin, leaving, targets):
    """Move every point to its target, half or a quarter of the way, or not, as its triangles allow; how many moved."""
    place = np.empty(3)
    done = 0
    for p in range(points.shape[0]):
        part = 1.0
        for _ in range(3):
            for k in range(3):
                place[k] = points[p, k] + part * (targets[p, k] - points[p, k])
            if _fan_allows(points, triangles, twin, leaving[p], -1, -1, place, _LEAST_QUALITY):
                for k in range(3):
                    points[p, k] = place[k]
                done += 1
                break
            part *= 0.5
    return done
