"""Closed surfaces of known shape: bodies of revolution, and a vertebra of boxes and capsules cut out of a lattice."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fesolver.surfaces.surface import TriangleSurface
from fesolver.surfaces.vertebra import VertebraSurface, vertebra_parts

Array = NDArray[np.float64]

CANAL_FRONT, CANAL_BACK, CANAL_HALF_WIDTH = 17.0, 31.0, 11.0
BODY_SEMI_AXES, BODY_HALF_HEIGHT = (22.0, 16.0), 13.0
SPINOUS_TIP, SPINOUS_RADIUS = np.array([0.0, 58.0, -8.0]), 4.0
TRANSVERSE_X, TRANSVERSE_RADIUS, LONGER_LEFT = 34.0, 4.0, 8.0
PEDICLE_CENTER = np.array([15.5, 22.0, 4.0])
FACET_HALF = np.array([6.0, 2.5, 8.0])
SUPERIOR_BOX = np.array([18.0, 33.0, 15.0])
FACET_GAP = 1.5
SPACING = 34.0


def turned(surface: TriangleSurface, rotation: Array, shift: Array | None = None) -> TriangleSurface:
    """The surface with every point rotated, then moved."""
    return TriangleSurface(surface.points @ rotation.T + (0.0 if shift is None else shift), surface.triangles)


def rotation_about(axis: int, degrees: float) -> Array:
    """Right-handed rotation about a coordinate axis."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[i, i], matrix[j, j], matrix[i, j], matrix[j, i] = c, c, -s, s
    return matrix


def body_of_revolution(
    radius: float, half_height: float, rounding: float, *, around: int = 72, concavity: float = 0.0
) -> TriangleSurface:
    """Cylinder with rounded rims (quarter circles) about z; endplates sunk by a paraboloid of the given depth."""
    flat = radius - rounding
    r = list(np.linspace(0.0, flat, 12)[1:])
    z = [half_height - concavity * (1.0 - (x / flat) ** 2) for x in r]
    angle = np.linspace(0.0, 0.5 * np.pi, 13)[1:]
    r += list(flat + rounding * np.sin(angle))
    z += list(half_height - rounding * (1.0 - np.cos(angle)))
    z_wall = np.linspace(half_height - rounding, -(half_height - rounding), 14)[1:-1]
    profile = list(zip(r, z, strict=True)) + [(radius, w) for w in z_wall]
    profile += [(x, -w) for x, w in zip(reversed(r), reversed(z), strict=True)]
    phi = 2.0 * np.pi * np.arange(around) / around
    rings = [np.column_stack([x * np.cos(phi), x * np.sin(phi), np.full(around, w)]) for x, w in profile]
    top, bottom = [0.0, 0.0, half_height - concavity], [0.0, 0.0, -half_height + concavity]
    points = np.vstack([*rings, top, bottom])
    here, beside = np.arange(around), (np.arange(around) + 1) % around
    triangles = [np.column_stack([np.full(around, len(points) - 2), here, beside])]
    for k in range(len(rings) - 1):
        a, b, c, d = (k * around + here, k * around + beside, (k + 1) * around + here, (k + 1) * around + beside)
        triangles += [np.column_stack([a, c, d]), np.column_stack([a, d, b])]
    last = (len(rings) - 1) * around
    triangles.append(np.column_stack([np.full(around, len(points) - 1), last + beside, last + here]))
    return TriangleSurface(points, np.vstack(triangles).astype(np.int64))


def _capsule(p: Array, a: Array, b: Array, radius: float) -> Array:
    """Depth inside a capsule between two places."""
    along = np.clip((p - a) @ (b - a) / float((b - a) @ (b - a)), 0.0, 1.0)
    return radius - np.linalg.norm(p - a - along[:, None] * (b - a), axis=1)


def _box(p: Array, center: Array, rows: Array, half: Array) -> Array:
    """Depth inside a box with the given unit axes (rows) and half edges."""
    return np.min(half - np.abs((p - center) @ rows.T), axis=1)


def facet_normal(side: float) -> Array:
    """Unit normal of a superior facet: backward and inward at 45 degrees."""
    return np.array([-side, 1.0, 0.0]) / np.sqrt(2.0)


def vertebra_depth(p: Array) -> Array:
    """Depth inside a vertebra: elliptic body, pedicles, arch, processes; the left transverse process is longer."""
    x, y, z = p.T
    a, b = BODY_SEMI_AXES
    depth = np.minimum((1.0 - np.hypot(x / a, y / b)) * b, BODY_HALF_HEIGHT - np.abs(z))
    ring = np.hypot(x / 16.0, (y - 24.0) / 12.0)
    hole = np.hypot(x / CANAL_HALF_WIDTH, (y - 24.0) / 7.0)
    arch = np.minimum(np.minimum((1.0 - ring) * 12.0, (hole - 1.0) * 7.0), np.minimum(5.0 - z, z + 10.0))
    arch = np.minimum(arch, y - 24.0)
    depth = np.maximum(depth, arch)
    depth = np.maximum(depth, _capsule(p, np.array([0.0, 36.0, -4.0]), SPINOUS_TIP, SPINOUS_RADIUS))
    for side in (1.0, -1.0):
        mirror = np.array([side, 1.0, 1.0])
        front, back = np.array([15.5, 8.0, 4.0]), np.array([15.5, 26.0, 4.0])
        depth = np.maximum(depth, _capsule(p, front * mirror, back * mirror, 4.5))
        tip = TRANSVERSE_X + (LONGER_LEFT if side > 0 else 0.0)
        root = np.array([15.0, 29.0, 2.0])
        depth = np.maximum(depth, _capsule(p, root * mirror, np.array([tip, 29.0, 2.0]) * mirror, TRANSVERSE_RADIUS))
        normal = facet_normal(side)
        rows = np.array([np.cross(normal, [0.0, 0.0, 1.0]), normal, [0.0, 0.0, 1.0]])
        upper = SUPERIOR_BOX * mirror
        lower = upper - [0.0, 0.0, SPACING] + normal * (2.0 * FACET_HALF[1] + FACET_GAP)
        depth = np.maximum(depth, _box(p, upper, rows, FACET_HALF))
        depth = np.maximum(depth, _box(p, lower, rows, FACET_HALF))
        behind_facet = np.array([20.0, 31.0, 9.0])
        depth = np.maximum(depth, _capsule(p, back * mirror, behind_facet * mirror, 3.5))
        bridge = lower + np.array([0.0, 0.0, 6.0]) + 1.5 * normal
        depth = np.maximum(depth, _capsule(p, np.array([9.0, 33.0, -6.0]) * mirror, bridge, 2.5))
    return depth


_CORNERS = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
# Six tetrahedra about the cube's diagonal: neighbouring cubes divide their common face alike.
_TETRAHEDRA = np.array([[0, 4, 6, 7], [0, 6, 2, 7], [0, 2, 3, 7], [0, 3, 1, 7], [0, 1, 5, 7], [0, 5, 4, 7]])


def lattice_surface(depth: Callable[[Array], Array], low: Array, high: Array, step: float) -> TriangleSurface:
    """Zero surface of a depth, tetrahedron by tetrahedron; closed wherever the depth is negative on the border."""
    shape = np.ceil((high - low) / step).astype(int) + 1
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1).reshape(-1, 3)
    places = low + index * step
    value = depth(places)
    inside = value > 0
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    base = (index[np.all(index < shape - 1, axis=1)]) @ strides
    cubes = base[:, None] + _CORNERS @ strides
    count = inside[cubes].sum(axis=1)
    tets = cubes[(count > 0) & (count < 8)][:, _TETRAHEDRA].reshape(-1, 4)
    number = inside[tets].sum(axis=1)
    tets = np.take_along_axis(tets, np.argsort(~inside[tets], axis=1, kind="stable"), axis=1)
    ends: list[Array] = []
    for n, faces in (
        (1, [[(0, 1), (0, 2), (0, 3)]]),
        (2, [[(0, 2), (0, 3), (1, 3)], [(0, 2), (1, 3), (1, 2)]]),
        (3, [[(0, 3), (1, 3), (2, 3)]]),
    ):
        chosen = tets[number == n]
        ends += [chosen[:, np.array(face)] for face in faces]
    corner = np.sort(np.concatenate(ends).reshape(-1, 2), axis=1)
    pairs, triangles = np.unique(corner, axis=0, return_inverse=True)
    triangles = triangles.reshape(-1, 3)
    d0, d1 = value[pairs[:, 0]], value[pairs[:, 1]]
    # Corners are kept a little off the lattice, so that no triangle has lost its area.
    share = np.clip(d0 / (d0 - d1), 0.03, 0.97)[:, None]
    points = places[pairs[:, 0]] * (1.0 - share) + places[pairs[:, 1]] * share
    surface = TriangleSurface(points, triangles.astype(np.int64))
    # Outward is from what lies inside to what does not: the end that is inside of each edge tells.
    inner = places[np.where(inside[pairs[:, 0]], pairs[:, 0], pairs[:, 1])]
    outward = np.sum(surface.area_vectors * (surface.centers - inner[triangles].mean(axis=1)), axis=1) < 0
    triangles[outward] = triangles[outward][:, ::-1]
    return TriangleSurface(points, triangles.astype(np.int64))


STEP = 2.0
LOW, HIGH = np.array([-42.03, -19.07, -40.11]), np.array([50.0, 66.0, 30.0])


@cache
def made_vertebra() -> TriangleSurface:
    """The vertebra of `vertebra_depth` with its body's middle at the origin."""
    return lattice_surface(vertebra_depth, LOW, HIGH, STEP)


@cache
def made_parts(level: str = "L2", shift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> VertebraSurface:
    """The same, moved and taken apart."""
    return vertebra_parts(turned(made_vertebra(), np.eye(3), np.array(shift)), level)
