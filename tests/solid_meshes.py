"""Boxes and cylinders of every solid element, cut from structured hexahedra; distorted on demand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.elements import ELEMENTS

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Points (n_points, 3) in mm and cells (n_cells, k)."""

LINEAR = {"hex20": "hex8", "tet10": "tet4", "wedge15": "wedge6"}
HEXAHEDRON_FACES = np.array(ELEMENTS["hex8"].faces)


def solid_box(
    element: str,
    shape: tuple[int, int, int] = (2, 2, 2),
    size: tuple[float, float, float] = (1.0, 1.0, 1.0),
    *,
    distortion: float = 0.0,
    seed: int = 0,
    curved: float = 0.0,
) -> Mesh:
    """A box with a corner at the origin, of shape hexahedra cut into the element.

    Corners inside the box move at random by up to `distortion` cell edges along each axis, mid-side nodes inside it off
    their straight edges by up to `curved` cell edges.
    """
    steps = [np.linspace(0.0, length, n + 1) for length, n in zip(size, shape, strict=True)]
    points = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    edge = np.array(size) / shape
    rng = np.random.default_rng(seed)
    points = points + distortion * edge * rng.uniform(-1, 1, points.shape) * ~is_on_faces(points)[:, None]
    points, cells = cut(points, grid_cells(shape), element)
    shift = curved * edge * rng.uniform(-1, 1, points.shape) * ~is_on_faces(points)[:, None]
    if curved:
        shift[np.unique(cells[:, : ELEMENTS[element].n_corners])] = 0.0
        points = points + shift
    return points, cells


def solid_cylinder(
    element: str, n_core: int = 2, n_rings: int = 2, n_layers: int = 4, *, radius: float = 10.0, height: float = 20.0
) -> Mesh:
    """A cylinder on the plane z = 0 about the z axis: a square core, rings around it, sides on the true circle.

    It has (n_core^2 + 4 n_core n_rings) n_layers hexahedra before the cut.
    """
    plane, quads = _disc(n_core, n_rings, radius)
    z = np.linspace(0.0, height, n_layers + 1)
    points = np.column_stack([np.tile(plane, (len(z), 1)), np.repeat(z, len(plane))])
    layer = np.hstack([quads, quads + len(plane)])
    cells = (layer[None] + len(plane) * np.arange(n_layers)[:, None, None]).reshape(-1, 8)
    rim = _on_circle(points, radius)
    n_corners = len(points)
    points, cells = cut(points, cells, element)
    if len(points) > n_corners:  # mid-sides between two points of the rim go onto the circle
        ends = second_order_edges(cells, element)
        middle = n_corners + np.flatnonzero(rim[ends].all(axis=1))
        points[middle, :2] *= (radius / np.hypot(*points[middle, :2].T))[:, None]
    return points, cells


def is_on_faces(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points lie on a face of the box around all of them."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.any((np.abs(points - low) < 1e-9) | (np.abs(points - high) < 1e-9), axis=1)


def grid_cells(shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """Hexahedra (n, 8) of a grid of points numbered with z fastest."""
    ny, nz = shape[1] + 1, shape[2] + 1
    number = np.arange((shape[0] + 1) * ny * nz).reshape(-1, ny, nz)
    corners = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)]
    at = [number[i : i + shape[0], j : j + shape[1], k : k + shape[2]].ravel() for i, j, k in corners]
    return np.stack(at, axis=1)


def cut(points: NDArray[np.float64], hexahedra: NDArray[np.int64], element: str) -> Mesh:
    """Cut hexahedra into cells of an element, with straight mid-sides where it has them."""
    linear = LINEAR.get(element, element)
    cells = {"hex8": lambda h: h, "tet4": tetrahedra, "wedge6": wedges}[linear](hexahedra)
    return (points, cells) if linear == element else add_mid_sides(points, cells, element)


def tetrahedra(hexahedra: NDArray[np.int64]) -> NDArray[np.int64]:
    """Six tetrahedra per hexahedron: from its lowest point to the faces that do not hold it.

    A face is cut through its own lowest point, so that cells agree on it however they are turned.
    """
    faces = hexahedra[:, HEXAHEDRON_FACES]  # (n, 6, 4), counter-clockwise seen from outside
    turn = np.argmin(faces, axis=2)[..., None]
    faces = np.take_along_axis(faces, (turn + np.arange(4)) % 4, axis=2)
    apex = hexahedra.min(axis=1)
    opposite = faces[faces[..., 0] != apex[:, None]].reshape(-1, 3, 4)
    found = np.empty((len(hexahedra), 6, 4), np.int64)
    found[:, :, 3] = apex[:, None]
    # Seen from the apex, inside, the corners go clockwise: two of them change places.
    found[:, :3, :3] = opposite[..., [0, 2, 1]]
    found[:, 3:, :3] = opposite[..., [0, 3, 2]]
    return found.reshape(-1, 4)


def wedges(hexahedra: NDArray[np.int64]) -> NDArray[np.int64]:
    """Two wedges per hexahedron, cut along the diagonal of its bottom; layers must stand on each other."""
    return hexahedra[:, [[0, 1, 2, 4, 5, 6], [0, 2, 3, 4, 6, 7]]].reshape(-1, 6)


def second_order_edges(cells: NDArray[np.int64], element: str) -> NDArray[np.int64]:
    """Corners (m, 2) of every edge with a mid-side node, in the order of those nodes' ids."""
    what = ELEMENTS[element]
    ends = np.sort(cells[:, np.array(what.edges)].reshape(-1, 2), axis=1)
    middle = cells[:, what.n_corners :].ravel()
    return ends[np.unique(middle, return_index=True)[1]]


def add_mid_sides(points: NDArray[np.float64], cells: NDArray[np.int64], element: str) -> Mesh:
    """Cells of the second order, with mid-side nodes halfway along the edges and numbered after the corners."""
    edges = np.array(ELEMENTS[element].edges)
    ends, inverse = np.unique(np.sort(cells[:, edges].reshape(-1, 2), axis=1), axis=0, return_inverse=True)
    middle = len(points) + inverse.reshape(len(cells), len(edges))
    return np.vstack([points, points[ends].mean(axis=1)]), np.hstack([cells, middle])


def _on_circle(points: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    """Which points are at that distance from the z axis."""
    return np.abs(np.hypot(points[:, 0], points[:, 1]) - radius) < 1e-9 * radius


def _disc(n_core: int, n_rings: int, radius: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points (n, 2) and quadrilaterals (m, 4) of a disc: a core square and rings that turn into circles."""
    half = 0.5 * radius
    core = np.linspace(-half, half, n_core + 1)
    x, y = np.meshgrid(core, core, indexing="ij")
    number = np.arange((n_core + 1) ** 2).reshape(n_core + 1, n_core + 1)
    blocks = [np.stack([number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]], axis=-1).reshape(-1, 4)]
    rim = np.concatenate([number[:-1, 0], number[-1, :-1], number[:0:-1, -1], number[0, :0:-1]])  # counter-clockwise
    points = [np.column_stack([x.ravel(), y.ravel()])]
    square = points[0][rim]
    angle = 2.0 * np.pi * (np.arange(len(rim)) / len(rim) - 0.375)  # the first corner is at -135 degrees
    circle = radius * np.column_stack([np.cos(angle), np.sin(angle)])
    inner = rim
    for ring in range(1, n_rings + 1):
        outer = len(number.ravel()) + (ring - 1) * len(rim) + np.arange(len(rim))
        t = ring / n_rings
        points.append((1.0 - t) * square + t * circle)
        blocks.append(np.stack([inner, outer, np.roll(outer, -1), np.roll(inner, -1)], axis=1))
        inner = outer
    return np.vstack(points), np.vstack(blocks)
