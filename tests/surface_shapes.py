"""Closed surfaces with known volumes, areas and handles."""

from __future__ import annotations

import numpy as np

from fesolver.surfaces.surface import TriangleSurface

__all__ = ["blocks", "box", "bumpy_torus", "joined", "moved", "torus", "turned", "without"]


def torus(n: int = 24, m: int = 16, ring_mm: float = 20.0, tube_mm: float = 8.0) -> TriangleSurface:
    """Torus about z of n by m quadrilaterals, each cut in two: genus 1, like a vertebra."""
    i, j = np.meshgrid(np.arange(n), np.arange(m), indexing="ij")
    u, v = 2 * np.pi * i / n, 2 * np.pi * j / m
    radius = ring_mm + tube_mm * np.cos(v)
    points = np.stack([radius * np.cos(u), radius * np.sin(u), tube_mm * np.sin(v)], axis=2).reshape(-1, 3)
    a, b = i * m + j, (i + 1) % n * m + j
    c, d = (i + 1) % n * m + (j + 1) % m, i * m + (j + 1) % m
    triangles = np.stack([a, b, c, a, c, d], axis=2).reshape(-1, 3)
    return TriangleSurface(points, triangles)


def bumpy_torus(seed: int = 3, **sizes) -> TriangleSurface:
    """Torus with no symmetry: every point moved by up to 0.3 mm."""
    surface = torus(**sizes)
    moves = np.random.default_rng(seed).uniform(-0.3, 0.3, surface.points.shape)
    return TriangleSurface(surface.points + moves, surface.triangles)


def blocks(filled, size_mm: float = 6.0) -> TriangleSurface:
    """Faces between filled and empty cells of a lattice: flat sides, right angles, no round-off."""
    filled = np.pad(np.asarray(filled, bool), 1)
    corners = []
    for axis in range(3):
        x, y = (axis + 1) % 3, (axis + 2) % 3
        ring = np.zeros((4, 3), int)
        ring[[1, 2], x], ring[[2, 3], y] = 1, 1
        for towards in (1, -1):
            cells = np.argwhere(filled & ~np.roll(filled, -towards, axis))
            face = ring.copy() if towards == 1 else ring[::-1].copy()
            face[:, axis] = towards == 1
            corners.append(cells[:, None] + face)
    places, number = np.unique(np.concatenate(corners).reshape(-1, 3), axis=0, return_inverse=True)
    ids = number.reshape(-1, 4)
    return TriangleSurface((places - 1.0) * size_mm, np.concatenate([ids[:, [0, 1, 2]], ids[:, [0, 2, 3]]]))


def box(n: int = 4, size_mm: float = 6.0) -> TriangleSurface:
    """Cube of n cells a side, its first corner at the origin."""
    return blocks(np.ones((n, n, n)), size_mm)


def moved(surface: TriangleSurface, by, scale: float = 1.0) -> TriangleSurface:
    """The surface scaled about the origin, then shifted."""
    return TriangleSurface(surface.points * scale + np.asarray(by, float), surface.triangles)


def joined(*surfaces: TriangleSurface) -> TriangleSurface:
    """Several surfaces as one."""
    starts = np.cumsum([0, *(len(s.points) for s in surfaces)])
    triangles = [s.triangles + start for s, start in zip(surfaces, starts, strict=False)]
    return TriangleSurface(np.concatenate([s.points for s in surfaces]), np.concatenate(triangles))


def without(surface: TriangleSurface, *gone: int) -> TriangleSurface:
    """The surface without some triangles."""
    return TriangleSurface(surface.points, np.delete(surface.triangles, gone, axis=0))


def turned(surface: TriangleSurface, which=slice(None)) -> TriangleSurface:
    """The surface with some triangles turned over."""
    triangles = surface.triangles.copy()
    triangles[which] = triangles[which][..., ::-1]
    return TriangleSurface(surface.points, triangles)
