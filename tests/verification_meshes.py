"""Structured meshes of every solid element for the verification problems: blocks of hexahedra, mapped, cut, merged.

A block is a grid of the unit cube; a map carries its points, mid-sides included, to the body, so that curved faces are
curved. Tetrahedra are the six of Kuhn around the diagonal from the lowest to the highest corner, wedges the two halves
of each hexahedron along the third coordinate: both fit together over blocks whose shared faces are numbered alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import ElementName

__all__ = [
    "KINDS",
    "Kind",
    "SolidMesh",
    "ball_octant",
    "block_mesh",
    "boundary_facets",
    "cylinder_quarter",
    "disc_quarter",
    "join",
    "shell_octant",
]

Array = NDArray[np.float64]
Map = Callable[[Array], Array]
"""Coordinates (n, 3) in the unit cube to coordinates (n, 3) in mm; right-handed."""


@dataclass(frozen=True)
class Kind:
    """An element and how it is integrated."""

    element: ElementName
    integration: Literal["b-bar", "full", "incompatible"] = "b-bar"

    @property
    def order(self) -> int:
        """Degree of the displacements it contains in full."""
        return ELEMENTS[self.element].order


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "hex8 b-bar": Kind("hex8"),
        "hex8 full": Kind("hex8", "full"),
        "hex8 incompatible": Kind("hex8", "incompatible"),
        "hex20": Kind("hex20"),
        "tet4": Kind("tet4"),
        "tet10": Kind("tet10"),
        "wedge6": Kind("wedge6"),
        "wedge15": Kind("wedge15"),
    }
)
"""Every solid element of the package."""


@dataclass(frozen=True)
class SolidMesh:
    """Points (n, 3) in mm, cells (m, k) in VTK order, and the block (m,) that each cell belongs to."""

    points: Array
    cells: NDArray[np.int64]
    kind: str
    block: NDArray[np.int64]

    def on(self, axis: int, value: float) -> NDArray[np.bool_]:
        """Which points (n,) lie on a plane, to 1e-9 of the body's size."""
        return np.asarray(np.abs(self.points[:, axis] - value) < 1e-9 * np.ptp(self.points))

    def at(self, *place: float) -> int:
        """The point at a place."""
        distance = np.linalg.norm(self.points - np.array(place), axis=1)
        nearest = int(np.argmin(distance))
        assert distance[nearest] < 1e-9 * np.ptp(self.points), f"no point at {place}"
        return nearest


def _corners(element: ElementName) -> NDArray[np.int64]:
    """Corners (cells, k, 3), in half steps, of the cells that one hexahedron is cut into."""
    hexahedron = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    if element.startswith("hex"):
        return 2 * hexahedron[None]
    if element.startswith("wedge"):
        return 2 * hexahedron[np.array([[0, 1, 2, 4, 5, 6], [0, 2, 3, 4, 6, 7]])]
    tetrahedra = []
    for path in permutations(range(3)):
        steps = np.eye(3, dtype=np.int64)[list(path)]
        corners = np.concatenate([np.zeros((1, 3), np.int64), np.cumsum(steps, axis=0)])
        if np.linalg.det(steps) < 0:
            corners = corners[[0, 2, 1, 3]]
        tetrahedra.append(corners)
    return 2 * np.array(tetrahedra)


def _nodes(element: ElementName) -> NDArray[np.int64]:
    """All nodes (cells, k, 3), in half steps, of the cells that one hexahedron is cut into."""
    corners, data = _corners(element), ELEMENTS[element]
    if data.order == 1:
        return corners
    middle = [(corners[:, a] + corners[:, b]) // 2 for a, b in data.edges]
    return np.concatenate([corners, np.stack(middle, axis=1)], axis=1)


def block_mesh(kind: str, shape: tuple[int, int, int], place: Map, *, block: int = 0) -> SolidMesh:
    """Mesh of the image of the unit cube, of `shape` hexahedra along its coordinates, cut into `kind`."""
    nodes, n = _nodes(KINDS[kind].element), 2 * np.array(shape)
    grid = np.stack(np.meshgrid(*(np.arange(k) for k in shape), indexing="ij"), axis=-1).reshape(-1, 1, 1, 3)
    index = (2 * grid + nodes).reshape(-1, nodes.shape[1], 3)
    flat = (index[..., 0] * (n[1] + 1) + index[..., 1]) * (n[2] + 1) + index[..., 2]
    used, cells = np.unique(flat, return_inverse=True)
    unit = np.stack(np.unravel_index(used, n + 1), axis=1) / n
    return SolidMesh(place(unit), cells.reshape(flat.shape), kind, np.full(len(flat), block))


def join(meshes: Sequence[SolidMesh]) -> SolidMesh:
    """One mesh of several whose shared points coincide to 1e-9 of their size."""
    points = np.concatenate([m.points for m in meshes])
    starts = np.cumsum([0, *(len(m.points) for m in meshes[:-1])])
    # The offset keeps round values off the limits between two roundings.
    key = np.round(points / (1e-8 * np.ptp(points)) + 0.3217).astype(np.int64)
    _, first, number = np.unique(key, axis=0, return_index=True, return_inverse=True)
    cells = np.concatenate([m.cells + s for m, s in zip(meshes, starts, strict=True)])
    return SolidMesh(
        points[first], number.ravel()[cells], meshes[0].kind, np.concatenate([m.block for m in meshes])
    )  # fmt: skip


def boundary_facets(mesh: SolidMesh, is_on: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Outer facets whose points all satisfy `is_on` (n_points,); one array (m, k) for each kind of facet."""
    faces = ELEMENTS[KINDS[mesh.kind].element].faces
    found: dict[int, list[NDArray[np.int64]]] = {}
    for face in faces:
        rows = mesh.cells[:, face]
        found.setdefault(len(face), []).append(rows[is_on[rows].all(axis=1)])
    outer = []
    for groups in found.values():
        rows = np.concatenate(groups)
        _, inverse, count = np.unique(np.sort(rows, axis=1), axis=0, return_inverse=True, return_counts=True)
        rows = rows[count[inverse.ravel()] == 1]
        if len(rows):
            outer.append(rows)
    return outer


def cylinder_quarter(
    kind: str, shape: tuple[int, int, int], *, inner: float, outer: float, height: float, grading: float = 1.0
) -> SolidMesh:
    """Quarter of a thick cylinder about z: cells along r, theta, z; outermost over innermost cell length `grading`."""

    def place(s: Array) -> Array:
        r = inner + (outer - inner) * graded(s[:, 0], shape[0], grading)
        theta = 0.5 * np.pi * s[:, 1]
        return np.stack([r * np.cos(theta), r * np.sin(theta), height * s[:, 2]], axis=1)

    return block_mesh(kind, shape, place)


def graded(s: Array, n: int, ratio: float) -> Array:
    """Coordinates in [0, 1] with n cells in geometric progression, the last `ratio` times the first."""
    if n == 1 or ratio == 1.0:
        return s
    q = ratio ** (1.0 / (n - 1))
    return np.asarray((q ** (n * s) - 1.0) / (q**n - 1.0))


def _directions(s: Array, face: int) -> Array:
    """Unit vectors of one third of the octant of a sphere, by equal angles; `face` is the axis in its middle."""
    t = np.tan(0.25 * np.pi * s[:, :2])
    cube = np.stack([t[:, 0], t[:, 1], np.ones(len(s))], axis=1)
    cube = np.roll(cube, face + 1, axis=1)
    return np.asarray(cube / np.linalg.norm(cube, axis=1)[:, None])


def shell_octant(
    kind: str, n: int, n_radial: int, *, inner: float, outer: float, grading: float = 1.0, block: int = 0
) -> SolidMesh:
    """Octant of a spherical shell: three blocks of n x n x n_radial."""

    def place(face: int) -> Map:
        def inside(s: Array) -> Array:
            r = inner + (outer - inner) * graded(s[:, 2], n_radial, grading)
            return r[:, None] * _directions(s, face)

        return inside

    return join([block_mesh(kind, (n, n, n_radial), place(face), block=block) for face in range(3)])


def ball_octant(kind: str, n: int, n_radial: int, *, radius: float, core: float = 0.5, block: int = 0) -> SolidMesh:
    """Octant of a ball: a cube-like core of n x n x n and three blocks from it to the sphere, of `n_radial` cells.

    The core's edges measure `core` radii; its outer faces bulge half way towards a sphere.
    """

    def swell(cube: Array) -> Array:
        """The unit cube with its outer faces rounded; regular everywhere."""
        largest = cube.max(axis=1)[:, None]
        t = np.tan(0.25 * np.pi * cube)
        length = np.linalg.norm(t, axis=1)[:, None]
        sphere = np.where(length > 0, largest * t / np.where(length > 0, length, 1.0), 0.0)
        return core * radius * (cube + 0.5 * largest * (1.2 * sphere - cube))

    def place(face: int) -> Map:
        def inside(s: Array) -> Array:
            inner = swell(np.roll(np.column_stack([s[:, :2], np.ones(len(s))]), face + 1, axis=1))
            return inner + s[:, 2:] * (radius * _directions(s, face) - inner)

        return inside

    shells = [block_mesh(kind, (n, n, n_radial), place(face), block=block) for face in range(3)]
    return join([block_mesh(kind, (n, n, n), swell, block=block), *shells])


def disc_quarter(
    kind: str, n: int, n_radial: int, n_z: int, *, radius: float, height: float, grading: float = 1.0
) -> SolidMesh:
    """Quarter of a disc about z: a square core of n x n and two blocks of n_radial from it to the rim.

    The cells at the rim and at the top are `grading` times as long as those at the core and at the bottom.
    """

    def core(s: Array) -> Array:
        x, y = s[:, 0], s[:, 1]
        # Corner at 0.62 instead of 0.5 x (1, 1): half way between a square and a circle.
        flat = 0.5 * np.stack([x * (1.0 - 0.12 * y), y * (1.0 - 0.12 * x)], axis=1)
        return np.column_stack([radius * flat, height * graded(s[:, 2], n_z, grading)])

    def side(axis: int) -> Map:
        def inside(s: Array) -> Array:
            along, out = s[:, 1 - axis], graded(s[:, axis], n_radial, grading)
            edge = np.ones((len(s), 3))
            edge[:, 1 - axis], edge[:, 2] = along, s[:, 2]
            inner = core(edge)[:, :2]
            angle = 0.25 * np.pi * along
            rim = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
            rim = rim if axis == 0 else rim[:, ::-1]
            z = height * graded(s[:, 2], n_z, grading)
            return np.column_stack([inner + out[:, None] * (rim - inner), z])

        return inside

    parts = [
        block_mesh(kind, (n, n, n_z), core),
        block_mesh(kind, (n_radial, n, n_z), side(0)),
        block_mesh(kind, (n, n_radial, n_z), side(1)),
    ]
    return join(parts)
