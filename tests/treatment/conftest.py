"""A brick of a vertebral body with thin endplates and shell, on a lattice, in a body frame that is tilted and moved."""

from __future__ import annotations

import numpy as np
import pytest

from fesolver.anatomy.frames import Frame
from fesolver.bone.tissue import Region, Tissue
from fesolver.fem.problem import Lattice
from fesolver.meshing.spine_mesh import SpineMesh, Surface

SHAPE, SPACING = (20, 15, 12), 2.0  # 40 mm wide, 30 mm deep, 24 mm high
LAYER = 0.35 / SPACING


def rotation(angle: float, axis: int) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    i, j = [a for a in range(3) if a != axis]
    R = np.eye(3)
    R[[i, i, j, j], [i, j, i, j]] = [c, s, -s, c]
    return R


def _points_and_cells() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    _, ny, nz = SHAPE
    cell_index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), axis=-1).reshape(-1, 3)
    point_index = np.stack(np.meshgrid(*(np.arange(n + 1) for n in SHAPE), indexing="ij"), axis=-1).reshape(-1, 3)
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    ijk = cell_index[:, None, :] + corners
    cells = (ijk[..., 0] * (ny + 1) + ijk[..., 1]) * (nz + 1) + ijk[..., 2]
    return point_index * SPACING, cells.astype(np.int64), cell_index, point_index


def _surface(cells: np.ndarray, where: np.ndarray, top: bool) -> Surface:
    ids = np.flatnonzero(where)
    facets = cells[ids][:, [4, 5, 6, 7] if top else [0, 3, 2, 1]]
    normals = np.tile([0.0, 0.0, 1.0 if top else -1.0], (len(ids), 1))
    return Surface(facets, ids, normals, np.full(len(ids), SPACING**2))


@pytest.fixture
def body() -> tuple[SpineMesh, Tissue]:
    """`L1` as a brick: trabecular bone, 0.35 mm endplates above and below by fraction."""
    points, cells, cell_index, point_index = _points_and_cells()
    n = len(cells)
    is_top, is_bottom = cell_index[:, 2] == SHAPE[2] - 1, cell_index[:, 2] == 0
    everything = np.arange(n)
    regions = {
        "L1/trabecular": Region(everything, np.where(is_top | is_bottom, 1.0 - LAYER, 1.0)),
        "L1/superior_endplate": Region(np.flatnonzero(is_top), np.full(is_top.sum(), LAYER)),
        "L1/inferior_endplate": Region(np.flatnonzero(is_bottom), np.full(is_bottom.sum(), LAYER)),
    }
    frame = Frame(points.mean(axis=0), np.eye(3))
    mesh = SpineMesh(
        points=points,
        cells=cells,
        regions=regions,
        surfaces={
            "L1/superior_endplate": _surface(cells, is_top, True),
            "L1/inferior_endplate": _surface(cells, is_bottom, False),
        },
        frames={"L1": frame},
        levels=("L1",),
        frame=Frame(np.array([10.0, -20.0, 300.0]), rotation(0.3, 0) @ rotation(0.2, 2)),
        lattice=Lattice(
            SHAPE, np.full(3, SPACING), np.zeros(3), cell_index.astype(np.int32), point_index.astype(np.int32)
        ),
    )
    return mesh, Tissue(np.full(n, 0.1), "rho_qct", regions)
