"""Closed surfaces with known sizes, and whether triangles run through each other."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from fesolver.surfaces.surface import TriangleSurface

TURN = np.linalg.qr(np.array([[2.0, -1.0, 0.3], [0.7, 1.5, -0.4], [-0.2, 0.9, 1.8]]))[0]
TURN = TURN * np.sign(np.linalg.det(TURN))


def sphere(radius=1.0, rings=24, stretch=(1.0, 1.0, 1.0)):
    """Sphere of latitudes and longitudes, the poles' triangles as thin as they come; stretched to an ellipsoid."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    around = np.arange(2 * rings) * np.pi / rings
    p, a = (v.ravel() for v in np.meshgrid(polar, around, indexing="ij"))
    points = np.stack([np.sin(p) * np.cos(a), np.sin(p) * np.sin(a), np.cos(p)], axis=1)
    points = np.concatenate([points, [[0, 0, 1], [0, 0, -1]]])
    triangles = grid_triangles(rings - 1, 2 * rings, wrap_rows=False)
    k = 2 * rings
    j = np.arange(k)
    last = (rings - 2) * k
    top = np.stack([np.full(k, len(points) - 2), j, (j + 1) % k], axis=1)
    bottom = np.stack([np.full(k, len(points) - 1), last + (j + 1) % k, last + j], axis=1)
    return TriangleSurface(radius * points * stretch, np.concatenate([triangles, top, bottom]))


def torus(major=10.0, minor=4.0, around=48, across=20):
    """Torus about z, turned off the axes."""
    u, v = (
        w.ravel()
        for w in np.meshgrid(
            np.arange(around) * 2 * np.pi / around, np.arange(across) * 2 * np.pi / across, indexing="ij"
        )
    )
    r = major + minor * np.cos(v)
    points = np.stack([r * np.cos(u), r * np.sin(u), minor * np.sin(v)], axis=1)
    return TriangleSurface(points @ TURN.T, grid_triangles(around, across, wrap_rows=True))


def grid_triangles(rows, columns, *, wrap_rows):
    """Triangles of a grid of points that closes along its columns, and along its rows if asked."""
    i, j = np.meshgrid(np.arange(rows if wrap_rows else rows - 1), np.arange(columns), indexing="ij")
    below, ahead = (i + 1) % rows, (j + 1) % columns
    a, b, c, d = (
        x.ravel() for x in (i * columns + j, below * columns + j, below * columns + ahead, i * columns + ahead)
    )
    return np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])


def box(size=(10.0, 14.0, 8.0), parts=6):
    """Box of unequal edges, and the number 0..5 of the face each triangle is on."""
    points, triangles, faces = [], [], []
    n = parts + 1
    u, v = (w.ravel() for w in np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n), indexing="ij"))
    i, j = (w.ravel() for w in np.meshgrid(np.arange(parts), np.arange(parts), indexing="ij"))
    a, b, c, d = i * n + j, (i + 1) * n + j, (i + 1) * n + j + 1, i * n + j + 1
    quads = np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)])
    for axis in range(3):
        for side in (0, 1):
            p = np.zeros((n * n, 3))
            p[:, (axis + 1) % 3], p[:, (axis + 2) % 3], p[:, axis] = u, v, side
            triangles.append((quads if side else quads[:, ::-1]) + n * n * len(points))
            points.append(p)
            faces.append(np.full(len(quads), 2 * axis + side))
    points, back = np.unique(np.round(np.concatenate(points), 9), axis=0, return_inverse=True)
    return TriangleSurface(points * size, back[np.concatenate(triangles)]), np.concatenate(faces)


def euler(surface):
    """Points less edges plus triangles: 2 for a ball, 0 for a ring."""
    edges = np.unique(np.sort(_edges(surface.triangles), axis=1), axis=0)
    return len(np.unique(surface.triangles)) - len(edges) + len(surface.triangles)


def is_closed(surface):
    """Whether every edge is walked exactly once each way."""
    edges = _edges(surface.triangles)
    ways = {tuple(e) for e in edges.tolist()}
    return len(ways) == len(edges) and all((b, a) in ways for a, b in ways)


def _edges(triangles):
    return np.concatenate([triangles[:, [k, (k + 1) % 3]] for k in range(3)])


def quality(surface):
    """Area over that of the equilateral triangle with the same squared edges."""
    corners = surface.points[surface.triangles]
    edges = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    return 4 * np.sqrt(3) * surface.areas / (edges**2).sum(axis=1)


def edge_lengths(surface):
    """Length of every edge, once per triangle it has."""
    corners = surface.points[surface.triangles]
    return np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2).ravel()


def n_crossings(surface):
    """Pairs of an edge and a triangle that it runs through, without a point in common."""
    p, t = surface.points, surface.triangles
    edges = np.unique(np.sort(_edges(t), axis=1), axis=0)
    middle = p[edges].mean(axis=1)
    reach = 0.5 * np.linalg.norm(p[edges[:, 0]] - p[edges[:, 1]], axis=1).max()
    reach += np.linalg.norm(p[t] - surface.centers[:, None], axis=2).max()
    near = cKDTree(middle).query_ball_point(surface.centers, reach)
    owner = np.repeat(np.arange(len(t)), [len(x) for x in near])
    edge = np.concatenate([np.asarray(x, dtype=int) for x in near])
    apart = ~np.any(edges[edge][:, :, None] == t[owner][:, None, :], axis=(1, 2))
    owner, edge = owner[apart], edge[apart]
    a, b, c = (p[t[owner, k]] for k in range(3))
    q, r = p[edges[edge, 0]], p[edges[edge, 1]]

    def volume(w, x, y, z):
        return np.einsum("ni,ni->n", np.cross(x - w, y - w), z - w)

    splits = volume(a, b, c, q) * volume(a, b, c, r) < 0
    around = np.stack([volume(q, r, a, b), volume(q, r, b, c), volume(q, r, c, a)])
    return int(np.count_nonzero(splits & (np.all(around > 0, axis=0) | np.all(around < 0, axis=0))))
