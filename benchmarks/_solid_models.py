"""Solid models of the assembly and solve benchmarks: meshes, moduli, supports and loads as one file for every code.

numpy only, so that a peer's environment can read it too. Cylinders are O-grid sections swept along z: a square core of
`core` x `core` cells, and `rings` rings of 4 `core` cells around it. Tetrahedra are those bricks cut in two wedges and
each wedge in three tetrahedra along the diagonals that start at the lower point number, which makes them conform.
Mid-side nodes lie at the middle of straight edges, so that every code has the same geometry. Node orders are VTK's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]

TET_EDGES = ((0, 1), (1, 2), (0, 2), (0, 3), (1, 3), (2, 3))
HEX_EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))
"""Corners of the edges whose middles are the other nodes of a tet10 and of a hex20."""

RADIUS_MM = 20.0
BONE_MM, DISC_MM, WALL_MM, ENDPLATE_MM = 25.0, 10.0, 2.0, 2.0
NUCLEUS_SHARE = 0.6
"""Radius of the nucleus over that of the disc."""
PRESSURE_MPA = 0.5


@dataclass(frozen=True)
class SolidModel:
    """A linear elastic model on cells of one kind.

    Parameters
    ----------
    name : str
        In tables.
    element : str
        "hex8", "hex20", "tet4" or "tet10".
    points : (n_points, 3) ndarray
        mm.
    cells : (n_cells, k) ndarray of int64
        Point ids in VTK order.
    young, poisson : (n_cells,) ndarray
        Young's modulus in MPa, and Poisson's ratio.
    fixed_points : (m,) ndarray of int64
        Points that are held in all directions.
    force : (n_points, 3) ndarray
        N.
    """

    name: str
    element: str
    points: Floats
    cells: Ids
    young: Floats
    poisson: Floats
    fixed_points: Ids
    force: Floats

    @property
    def fixed_dofs(self) -> Ids:
        """Held degrees of freedom, 3 * point + component, ascending."""
        return np.asarray((3 * np.sort(self.fixed_points)[:, None] + np.arange(3)).ravel())

    def describe(self) -> dict[str, object]:
        """Sizes for the record."""
        return {
            "name": self.name, "element": self.element, "n_cells": len(self.cells), "n_points": len(self.points),
            "n_dof": self.points.size, "contrast": float(self.young.max() / self.young.min()),
            "poisson_max": float(self.poisson.max()),
        }  # fmt: skip

    def save(self, path: Path) -> None:
        """Write as `.npz`."""
        np.savez(
            path, name=self.name, element=self.element, points=self.points, cells=self.cells, young=self.young,
            poisson=self.poisson, fixed_points=self.fixed_points, force=self.force,
        )  # fmt: skip

    @staticmethod
    def load(path: str | Path) -> SolidModel:
        """Read what `save` wrote."""
        with np.load(path) as data:
            return SolidModel(
                str(data["name"]), str(data["element"]), data["points"], data["cells"], data["young"], data["poisson"],
                data["fixed_points"], data["force"],
            )  # fmt: skip


def smooth_fields(points: Floats) -> tuple[Floats, Floats]:
    """Two displacement fields u, v (n_points, 3) in mm for v.K u: smooth, not symmetric in anything."""
    x, y, z = points.T / RADIUS_MM
    u = np.stack([np.sin(x + 0.3 * y) * z, np.cos(y - 0.7 * z) + x * y, np.exp(0.4 * x) * np.sin(z + 0.2)], axis=1)
    v = np.stack([np.cos(0.5 * z) * x, np.sin(x * y) + 0.5 * z, np.exp(-0.3 * y) + x * z], axis=1)
    return u, v


def disc_section(core: int, radii: Floats) -> tuple[Floats, Ids, Ids]:
    """O-grid of a disc.

    Parameters
    ----------
    core : int
        Cells along an edge of the core, even or odd.
    radii : (rings + 1,) ndarray
        Radius of the rounded core, then of the outer line of each ring, ascending.

    Returns
    -------
    xy : (n, 2) ndarray
    quads : (m, 4) ndarray of int64
        Counter-clockwise.
    ring : (m,) ndarray of int64
        0 in the core, else 1, 2, ... outwards.
    """
    s = np.linspace(-1.0, 1.0, core + 1)
    x, y = (axis.ravel() for axis in np.meshgrid(s, s, indexing="xy"))
    round_ = np.stack([x * np.sqrt(1 - y**2 / 2), y * np.sqrt(1 - x**2 / 2)], axis=1)
    inner = radii[0] * (0.5 * round_ + 0.5 * 0.8 * np.stack([x, y], axis=1))
    grid = np.arange((core + 1) ** 2).reshape(core + 1, core + 1)  # [row y, column x]
    loop = np.concatenate([grid[0, :-1], grid[:-1, -1], grid[-1, :0:-1], grid[:0:-1, 0]])
    outward = round_[loop]  # on the unit circle
    lines, points = [loop], [inner]
    first, start = inner[loop], radii[0]
    for radius in radii[1:]:
        share = (radius - start) / (radii[-1] - start)
        points.append((1 - share) * first + share * radii[-1] * outward if share < 1 else radius * outward)
        lines.append(len(grid.ravel()) + len(loop) * (len(lines) - 1) + np.arange(len(loop)))
    quads = [_square_section(core)[1]]
    quads += [np.stack([low, high, np.roll(high, -1), np.roll(low, -1)], axis=1) for low, high in pairwise(lines)]
    ring = np.repeat(np.arange(len(quads)), [len(part) for part in quads])
    return np.concatenate(points), np.concatenate(quads), ring


def sweep(xy: Floats, quads: Ids, z: Floats) -> tuple[Floats, Ids]:
    """Hexahedra over a section: points layer by layer, cells layer by layer."""
    points = np.column_stack([np.tile(xy, (len(z), 1)), np.repeat(z, len(xy))])
    below = (quads[None] + len(xy) * np.arange(len(z) - 1)[:, None, None]).reshape(-1, 4)
    return points, np.concatenate([below, below + len(xy)], axis=1)


def tetrahedra(points: Floats, hexahedra: Ids) -> Ids:
    """Six tet4 per hexahedron of `sweep`; those of cell i are 6 i to 6 i + 5."""
    wedges = hexahedra[:, [[0, 1, 2, 4, 5, 6], [0, 2, 3, 4, 6, 7]]].reshape(-1, 6)
    order = np.argsort(wedges[:, :3], axis=1)
    a, b, c = np.take_along_axis(wedges[:, :3], order, axis=1).T
    A, B, C = np.take_along_axis(wedges[:, 3:], order, axis=1).T
    cells = np.stack([np.stack(corners, axis=1) for corners in ((a, b, c, C), (a, b, B, C), (a, A, B, C))], axis=1)
    cells = cells.reshape(-1, 4)
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    is_inverted = np.linalg.det(edges) < 0
    cells[is_inverted, 2:] = cells[is_inverted, :1:-1]
    return np.asarray(cells)


def with_mid_nodes(points: Floats, cells: Ids, edges: tuple[tuple[int, int], ...]) -> tuple[Floats, Ids]:
    """Cells of second order: one new point at the middle of every edge, after the corners."""
    pairs = np.sort(cells[:, edges], axis=2).reshape(-1, 2)
    _, first, where = np.unique(pairs[:, 0] * len(points) + pairs[:, 1], return_index=True, return_inverse=True)
    middles = points[pairs[first]].mean(axis=1)
    added = len(points) + where.reshape(len(cells), -1)
    return np.concatenate([points, middles]), np.concatenate([cells, added], axis=1)


def _as_element(element: str, points: Floats, hexahedra: Ids) -> tuple[Floats, Ids, int]:
    """The hexahedra as cells of a kind, and how many of them each became."""
    if element == "hex8":
        return points, hexahedra, 1
    if element == "hex20":
        return (*with_mid_nodes(points, hexahedra, HEX_EDGES), 1)
    tets = tetrahedra(points, hexahedra)
    if element == "tet4":
        return points, tets, 6
    return (*with_mid_nodes(points, tets, TET_EDGES), 6)


def cylinder(element: str, core: int, rings: int, layers: int) -> SolidModel:
    """A uniform cylinder of 20 mm radius and 40 mm height, 1000 MPa, nu 0.3, for assembly."""
    xy, quads, _ = disc_section(core, np.linspace(0.55, 1.0, rings + 1) * RADIUS_MM)
    points, cells, _ = _as_element(element, *sweep(xy, quads, np.linspace(0.0, 2.0 * RADIUS_MM, layers + 1)))
    return _uniform(f"{element} cylinder", element, points, cells)


def block(n: int) -> SolidModel:
    """n^3 hexahedra in a cube of 40 mm, bent by a smooth wave, 1000 MPa, nu 0.3, for assembly."""
    x, quads = _square_section(n)
    points, cells = sweep(x / n, quads, np.linspace(0.0, 1.0, n + 1))
    wave = 0.08 * np.sin(np.pi * points).prod(axis=1, keepdims=True)
    points = 2.0 * RADIUS_MM * (points + wave * [1.0, -0.5, 0.7])
    return _uniform("hex8 block", "hex8", points, cells)


def _square_section(n: int) -> tuple[Floats, Ids]:
    """Points and quads, counter-clockwise, of n x n squares of side 1."""
    s = np.arange(n + 1.0)
    grid = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    quads = np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], axis=-1).reshape(-1, 4)
    return np.stack([axis.ravel() for axis in np.meshgrid(s, s, indexing="xy")], axis=1), quads


def bent_bar(n: int) -> SolidModel:
    """A bar of n x n x 4 n cubes of 1 mm, 1000 MPa, nu 0.3, its bottom held, pushed and twisted at its top."""
    xy, quads = _square_section(n)
    points, cells = sweep(xy, quads, np.arange(4.0 * n + 1.0))
    top = points[:, 2] == 4.0 * n
    force = np.zeros_like(points)
    force[top] = [1.0, 0.0, -0.5]
    force[top, 1] = 0.1 * points[top, 0]
    return replace(_uniform("bar of bricks", "hex8", points, cells), force=force)


def _uniform(name: str, element: str, points: Floats, cells: Ids) -> SolidModel:
    """A model of one material, bottom held, no load."""
    fixed = np.flatnonzero(points[:, 2] == points[:, 2].min())
    E, nu = np.full(len(cells), 1000.0), np.full(len(cells), 0.3)
    return SolidModel(name, element, points, cells, E, nu, fixed, np.zeros_like(points))


def bone_disc_segment(element: str, core: int, rings: int, fineness: int) -> SolidModel:
    """Two bodies of bone and a bonded disc between them, bottom held, pressure on the top.

    Parameters
    ----------
    element : {"hex8", "hex20", "tet4", "tet10"}
        Cells.
    core, rings : int
        Of the section; rings are shared out over the rest of the nucleus, the annulus and the wall, at least one each.
    fineness : int
        Layers through each endplate; the rest of each body has 5 times, the disc 4 times as many.

    Notes
    -----
    Radius 20 mm; bodies 25 mm high with endplates 2 mm thick (670 MPa) and a wall 2 mm thick (8040 MPa) around
    trabecular bone of 100 MPa at mid-height to 400 MPa at the endplates, nu 0.3; a disc 10 mm high, its nucleus (60 %
    of the radius, 1 MPa, nu 0.499) in an annulus (4.2 MPa, nu 0.45). Moduli of shell, endplates and disc are the
    package's defaults. 0.5 MPa on top.
    """
    nucleus, wall = NUCLEUS_SHARE * RADIUS_MM, RADIUS_MM - WALL_MM
    inside = max(1, round(rings * 0.3))
    in_wall = max(1, round(rings * 0.2))
    in_annulus = max(1, rings - inside - in_wall)
    parts = [(0.65 * nucleus, nucleus, inside), (nucleus, wall, in_annulus), (wall, RADIUS_MM, in_wall)]
    radii = np.concatenate([[parts[0][0]], *(np.linspace(low, high, n + 1)[1:] for low, high, n in parts)])
    xy, quads, ring = disc_section(core, radii)
    z = _segment_heights(fineness)
    points, hexahedra = sweep(xy, quads, z)
    young, poisson = _segment_moduli(np.repeat(0.5 * (z[1:] + z[:-1]), len(quads)), np.tile(ring, len(z) - 1), parts)
    top = quads + len(xy) * (len(z) - 1)
    points_all, cells, share = _as_element(element, points, hexahedra)
    force = _top_force(points_all, cells, element, top)
    fixed = np.flatnonzero(points_all[:, 2] == 0.0)
    name = f"bone-disc segment, {element}"
    E, nu = np.repeat(young, share), np.repeat(poisson, share)
    return SolidModel(name, element, points_all, cells, E, nu, fixed, force)


def _segment_heights(fineness: int) -> Floats:
    """Heights of the layers of a segment, mm."""
    body = np.array([0.0, ENDPLATE_MM, BONE_MM - ENDPLATE_MM, BONE_MM])
    borders = np.concatenate([body, BONE_MM + DISC_MM + body])
    cells = fineness * np.array([1, 5, 1, 4, 1, 5, 1])
    parts = [np.linspace(low, high, n + 1)[1:] for (low, high), n in zip(pairwise(borders), cells, strict=True)]
    return np.concatenate([[0.0], *parts])


def _segment_moduli(z: Floats, ring: Ids, parts: list[tuple[float, float, int]]) -> tuple[Floats, Floats]:
    """Young's modulus (MPa) and Poisson's ratio of cells at a height and in a ring of a segment."""
    inside, in_annulus = parts[0][2], parts[1][2]
    is_disc = np.abs(z - BONE_MM - 0.5 * DISC_MM) < 0.5 * DISC_MM
    height = np.where(z < BONE_MM, z, z - BONE_MM - DISC_MM)
    from_middle = np.abs(2.0 * height / BONE_MM - 1.0)
    young = 100.0 + 300.0 * from_middle**2
    young = np.where(from_middle > 1.0 - 2.0 * ENDPLATE_MM / BONE_MM, 670.0, young)
    young = np.where(ring > inside + in_annulus, 8040.0, young)
    is_nucleus = is_disc & (ring <= inside)
    young = np.where(is_disc, np.where(is_nucleus, 1.0, 4.2), young)
    return young, np.where(is_disc, np.where(is_nucleus, 0.499, 0.45), 0.3)


def _top_force(points: Floats, cells: Ids, element: str, top: Ids) -> Floats:
    """Nodal forces (n_points, 3) in N of the pressure on a flat top, consistent with the element's shape functions.

    Notes
    -----
    A plane triangle of area A puts A/3 on each corner (tet4) or on each mid-side node and nothing on corners (tet10).
    A quadrilateral of points p_0..p_3 puts the integral of N_a |J| on corner a, by 2 x 2 Gauss points; those of hex20
    carry the same on their corners.
    """
    force = np.zeros_like(points)
    if element in ("hex8", "hex20"):
        at = np.array([(x, y) for x in (-1.0, 1.0) for y in (-1.0, 1.0)]) / np.sqrt(3.0)
        corner = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
        factors = 1.0 + at[:, None] * corner  # (q, a, 2)
        N = factors.prod(axis=2) / 4.0
        dN = corner * factors[:, :, ::-1] / 4.0
        J = np.einsum("cai,qaj->cqij", points[top][:, :, :2], dN)
        np.add.at(force[:, 2], top, -PRESSURE_MPA * np.einsum("qa,cq->ca", N, np.linalg.det(J)))
        return force
    faces = ((0, 1, 2, 4, 5, 6), (0, 1, 3, 4, 8, 7), (1, 2, 3, 5, 9, 8), (0, 2, 3, 6, 9, 7))
    height = points[:, 2].max()
    for face in faces:
        corners = cells[:, face[:3]]
        on_top = np.all(points[corners, 2] == height, axis=1)
        a, b, c = (points[corners[on_top, i], :2] for i in range(3))
        area = 0.5 * np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
        nodes = corners[on_top] if element == "tet4" else cells[on_top][:, face[3:]]
        np.add.at(force[:, 2], nodes, -PRESSURE_MPA * area[:, None] / 3.0)
    return force
