"""Integrals over the overlap of two sides of an interface, facet by facet, on each slave facet's own plane."""

# Kernels are numba's language, not typed Python.
# mypy: ignore-errors

from __future__ import annotations

import numba as nb
import numpy as np

from fesolver.fem.kernels.jit import kernel

__all__ = ["cut_integrals", "facet_shape"]

MAX_STEPS = 30
"""Of Newton's method for the reference coordinates of a place."""

SLIVER = 1e-13
"""Cuts below this part of the slave facet's area are round-off."""


@kernel
def facet_shape(k, r, s, N, dN):
    """Shape functions N (k,) and derivatives dN (2, k) of a facet with k nodes, as in `fesolver.fem.elements`."""
    if k == 3 or k == 6:
        t = 1.0 - r - s
        if k == 3:
            N[0], N[1], N[2] = t, r, s
            dN[0, 0], dN[0, 1], dN[0, 2] = -1.0, 1.0, 0.0
            dN[1, 0], dN[1, 1], dN[1, 2] = -1.0, 0.0, 1.0
            return
        N[0], N[1], N[2] = t * (2.0 * t - 1.0), r * (2.0 * r - 1.0), s * (2.0 * s - 1.0)
        N[3], N[4], N[5] = 4.0 * t * r, 4.0 * r * s, 4.0 * s * t
        dN[0, 0], dN[0, 1], dN[0, 2] = 1.0 - 4.0 * t, 4.0 * r - 1.0, 0.0
        dN[0, 3], dN[0, 4], dN[0, 5] = 4.0 * (t - r), 4.0 * s, -4.0 * s
        dN[1, 0], dN[1, 1], dN[1, 2] = 1.0 - 4.0 * t, 0.0, 4.0 * s - 1.0
        dN[1, 3], dN[1, 4], dN[1, 5] = -4.0 * r, 4.0 * r, 4.0 * (t - s)
        return
    for a in range(4):
        ra = 1.0 if a == 1 or a == 2 else -1.0
        sa = 1.0 if a >= 2 else -1.0
        u, v = 1.0 + ra * r, 1.0 + sa * s
        if k == 4:
            N[a], dN[0, a], dN[1, a] = 0.25 * u * v, 0.25 * ra * v, 0.25 * sa * u
        else:
            w = ra * r + sa * s - 1.0
            N[a] = 0.25 * u * v * w
            dN[0, a] = 0.25 * ra * v * (w + u)
            dN[1, a] = 0.25 * sa * u * (w + v)
    if k == 8:
        for a in range(2):
            sa, ra = 2.0 * a - 1.0, 1.0 - 2.0 * a
            N[4 + 2 * a] = 0.5 * (1.0 - r * r) * (1.0 + sa * s)
            dN[0, 4 + 2 * a], dN[1, 4 + 2 * a] = -r * (1.0 + sa * s), 0.5 * sa * (1.0 - r * r)
            N[5 + 2 * a] = 0.5 * (1.0 + ra * r) * (1.0 - s * s)
            dN[0, 5 + 2 * a], dN[1, 5 + 2 * a] = 0.5 * ra * (1.0 - s * s), -s * (1.0 + ra * r)


@kernel
def find_place(x, k, at, xi, tolerance, N, dN):
    """Reference coordinates `xi` (in: a guess) whose place lies at `at` in the plane; x (k, 3) has the plane's axes.

    Returns whether Newton's method arrived; N and dN are left at the place.
    """
    for _ in range(MAX_STEPS):
        facet_shape(k, xi[0], xi[1], N, dN)
        e0, e1 = -at[0], -at[1]
        a = b = c = d = 0.0
        for i in range(k):
            e0 += N[i] * x[i, 0]
            e1 += N[i] * x[i, 1]
            a += dN[0, i] * x[i, 0]
            b += dN[1, i] * x[i, 0]
            c += dN[0, i] * x[i, 1]
            d += dN[1, i] * x[i, 1]
        if abs(e0) + abs(e1) <= tolerance:
            return True
        det = a * d - b * c
        if det == 0.0:
            return False
        xi[0] -= (d * e0 - b * e1) / det
        xi[1] -= (a * e1 - c * e0) / det
    return False


@kernel
def clip(subject, n, a, b, out):
    """The part of a convex polygon to the left of the line from a to b; returns its number of corners."""
    count = 0
    for i in range(n):
        j = i + 1 if i + 1 < n else 0
        here = (b[0] - a[0]) * (subject[i, 1] - a[1]) - (b[1] - a[1]) * (subject[i, 0] - a[0])
        there = (b[0] - a[0]) * (subject[j, 1] - a[1]) - (b[1] - a[1]) * (subject[j, 0] - a[0])
        if here >= 0.0:
            out[count, 0], out[count, 1] = subject[i, 0], subject[i, 1]
            count += 1
        if here * there < 0.0:
            t = here / (here - there)
            out[count, 0] = subject[i, 0] + t * (subject[j, 0] - subject[i, 0])
            out[count, 1] = subject[i, 1] + t * (subject[j, 1] - subject[i, 1])
            count += 1
    return count


@kernel
def double_area(p, q, r):
    """Twice the signed area of a triangle in the plane."""
    return (q[0] - p[0]) * (r[1] - p[1]) - (r[0] - p[0]) * (q[1] - p[1])


@kernel
def guess(x, tri, ref, at, xi):
    """Reference coordinates at a place by the flat triangle `tri` of a facet's nodes; returns the height there."""
    whole = double_area(x[tri[0]], x[tri[1]], x[tri[2]])
    one = double_area(x[tri[0]], at, x[tri[2]]) / whole
    two = double_area(x[tri[0]], x[tri[1]], at) / whole
    zero = 1.0 - one - two
    for d in range(2):
        xi[d] = zero * ref[tri[0], d] + one * ref[tri[1], d] + two * ref[tri[2], d]
    return zero * x[tri[0], 2] + one * x[tri[1], 2] + two * x[tri[2], 2]


@kernel
def overlap(xs, xm, ts, tm, work):
    """Overlap of a slave's and a master's flat triangle in the plane: corners in `work[0]`, and their number."""
    if double_area(xm[tm[0]], xm[tm[1]], xm[tm[2]]) >= 0.0:
        return 0  # both look the same way: not facing
    for d in range(2):
        low_s = min(xs[ts[0], d], xs[ts[1], d], xs[ts[2], d])
        high_s = max(xs[ts[0], d], xs[ts[1], d], xs[ts[2], d])
        low_m = min(xm[tm[0], d], xm[tm[1], d], xm[tm[2], d])
        high_m = max(xm[tm[0], d], xm[tm[1], d], xm[tm[2], d])
        if low_s >= high_m or low_m >= high_s:
            return 0
    for a in range(3):
        work[0, a, 0], work[0, a, 1] = xs[ts[a], 0], xs[ts[a], 1]
    n = 3
    for a in range(3):  # the master's corners run the other way round
        n = clip(work[0], n, xm[tm[(a + 1) % 3]], xm[tm[a]], work[1])
        if n < 3:
            return 0
        for i in range(n):  # a slice takes many times longer to compile
            work[0, i, 0], work[0, i, 1] = work[1, i, 0], work[1, i, 1]
    return n


@kernel
def surface_factor(x, k, dN):
    """Area of the facet itself per area of its projection, at the derivatives dN."""
    a0 = a1 = a2 = b0 = b1 = b2 = 0.0
    for i in range(k):
        a0 += dN[0, i] * x[i, 0]
        a1 += dN[0, i] * x[i, 1]
        a2 += dN[0, i] * x[i, 2]
        b0 += dN[1, i] * x[i, 0]
        b1 += dN[1, i] * x[i, 1]
        b2 += dN[1, i] * x[i, 2]
    n0, n1, n2 = a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0
    return np.sqrt(n0 * n0 + n1 * n1 + n2 * n2) / abs(n2) if n2 != 0.0 else 0.0


@kernel
def integrate(xs, xm, guesses, polygon, n, rule, weights, tolerance, spare, gram, first, cross):
    """Add the integrals over a cut; returns its projected area, or -1 where a place was not found."""
    ks, km = len(xs), len(xm)
    ts, tm, refs, refm = guesses
    Ns, dNs, Nm, dNm, at, xi = spare
    area = 0.0
    for fan in range(1, n - 1):
        p, q, r = polygon[0], polygon[fan], polygon[fan + 1]
        twice = double_area(p, q, r)
        if twice <= 0.0:
            continue
        area += 0.5 * twice
        for g in range(len(weights)):
            for d in range(2):
                at[d] = p[d] + rule[g, 0] * (q[d] - p[d]) + rule[g, 1] * (r[d] - p[d])
            guess(xs, ts, refs, at, xi)
            if not find_place(xs, ks, at, xi, tolerance, Ns, dNs):
                return -1.0
            guess(xm, tm, refm, at, xi)
            if not find_place(xm, km, at, xi, tolerance, Nm, dNm):
                return -1.0
            w = twice * weights[g] * surface_factor(xs, ks, dNs)
            for a in range(ks):
                first[a] += w * Ns[a]
                for b in range(ks):
                    gram[a, b] += w * Ns[a] * Ns[b]
                for b in range(km):
                    cross[a, b] += w * Ns[a] * Nm[b]
    return area


@kernel
def to_plane(x, origin, axes, out):
    """Places (k, 3) in a facet's axes."""
    for i in range(len(x)):
        for d in range(3):
            out[i, d] = 0.0
            for e in range(3):
                out[i, d] += (x[i, e] - origin[e]) * axes[d, e]


@kernel
def slave_facet(xs, masters, starts, ids, f, triangles_s, triangles_m, refs, refm, rule, weights, limits, out):
    """All integrals of slave facet f, whose nodes xs (ks, 3) and whose candidates' are in its own axes."""
    search, size = limits
    gram, first, cross, covered, gap, trouble, origin, axes = out
    ks, km = len(xs), masters.shape[1]
    work, xm, centre, xi = np.empty((2, 12, 2)), np.empty((km, 3)), np.empty(2), np.empty(2)
    spare = (np.empty(ks), np.empty((2, ks)), np.empty(km), np.empty((2, km)), np.empty(2), np.empty(2))
    for pair in range(starts[f], starts[f + 1]):
        to_plane(masters[ids[pair]], origin[f], axes[f], xm)
        for a in range(len(triangles_s)):
            for b in range(len(triangles_m)):
                ts, tm = triangles_s[a], triangles_m[b]
                n = overlap(xs, xm, ts, tm, work)
                if n < 3:
                    continue
                polygon = work[0]
                area = 0.0
                for i in range(1, n - 1):
                    area += 0.5 * double_area(polygon[0], polygon[i], polygon[i + 1])
                if area < SLIVER * size * size:
                    continue
                for d in range(2):
                    centre[d] = 0.0
                    for i in range(n):
                        centre[d] += polygon[i, d] / n
                away = guess(xm, tm, refm, centre, xi) - guess(xs, ts, refs, centre, xi)
                if abs(away) > search:
                    continue
                gap[f] = max(gap[f], abs(away))
                guesses = (ts, tm, refs, refm)
                done = integrate(
                    xs, xm, guesses, polygon, n, rule, weights, 1e-14 * size, spare, gram[f], first[f], cross[pair]
                )
                if done < 0.0:
                    trouble[f] = 1
                    return
                covered[f] += done


@kernel(parallel=True)
def cut_integrals(
    slaves, masters, starts, ids, triangles_s, triangles_m, refs, refm, rule, weights, search, sizes, out
):
    """Integrals over the cuts of every slave facet (m, ks, 3) with its candidates ids[starts[f]:starts[f + 1]].

    `out` holds gram (m, ks, ks) of N N, first (m, ks) of N, cross (pairs, ks, km) of N times the master's, covered (m,)
    projected area, gap (m,) largest distance, trouble (m,), and the facets' origins (m, 3) and axes (m, 3, 3).
    """
    for f in nb.prange(len(slaves)):
        xs = np.empty((slaves.shape[1], 3))
        to_plane(slaves[f], out[6][f], out[7][f], xs)
        slave_facet(
            xs, masters, starts, ids, f, triangles_s, triangles_m, refs, refm, rule, weights, (search, sizes[f]), out
        )
