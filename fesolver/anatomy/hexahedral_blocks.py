"""Hexahedra grown block by block: logical grids that share layers of points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["BlockBuilder", "bilinear", "straight_layers"]

_LOW, _HIGH = slice(None, -1), slice(1, None)
_CORNERS = ((_LOW, _LOW), (_HIGH, _LOW), (_HIGH, _HIGH), (_LOW, _HIGH))


class BlockBuilder:
    """Points and cells that grow block by block.

    Attributes
    ----------
    points : (n, 3) ndarray
        mm.
    cells : (m, 8) ndarray of int64
        VTK order.
    """

    def __init__(self) -> None:
        self.points = np.zeros((0, 3))
        self.cells = np.zeros((0, 8), np.int64)

    def add_points(self, points: NDArray[np.float64]) -> NDArray[np.int64]:
        """Ids, shaped as the grid, of new points (..., 3)."""
        ids = len(self.points) + np.arange(points[..., 0].size).reshape(points.shape[:-1])
        self.points = np.concatenate([self.points, points.reshape(-1, 3)])
        return ids

    def add_cells(self, ids: NDArray[np.int64]) -> None:
        """Cells of a grid (a, b, c) of point ids, whichever way it is turned."""
        low, high = ids[:, :, :-1], ids[:, :, 1:]
        around = [g[a, b] for g in (low, high) for a, b in _CORNERS]
        cells = np.stack(around, axis=-1).reshape(-1, 8)
        p = self.points[cells]
        volume = np.einsum("mi,mi->m", np.cross(p[:, 1] - p[:, 0], p[:, 3] - p[:, 0]), p[:, 4] - p[:, 0])
        self.cells = np.concatenate([self.cells, cells if volume.sum() > 0.0 else cells[:, [4, 5, 6, 7, 0, 1, 2, 3]]])

    def grow(self, base: NDArray[np.int64], layers: NDArray[np.float64]) -> NDArray[np.int64]:
        """Grid (a, b, n + 1) of ids of a process: layers (n, a, b, 3) on a base (a, b) of ids that are there."""
        ids = np.concatenate([base[..., None], np.moveaxis(self.add_points(layers), 0, -1)], axis=-1)
        self.add_cells(ids)
        return ids

    def quads(self, ids: NDArray[np.int64], outward: NDArray[np.float64]) -> NDArray[np.int64]:
        """Facets of a grid (a, b) of ids, turned so that their mean normal points along `outward`."""
        quads = np.stack([ids[a, b] for a, b in _CORNERS], axis=-1).reshape(-1, 4)
        p = self.points[quads]
        normal = np.cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 1]).sum(axis=0)
        return np.asarray(quads if normal @ outward > 0.0 else quads[:, ::-1])


def bilinear(corners: NDArray[np.float64], u: NDArray[np.float64], v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (a, b, 3) of a quadrilateral with corners (0, 0), (1, 0), (1, 1), (0, 1)."""
    u, v = u[:, None, None], v[None, :, None]
    c = corners
    return np.asarray((1 - u) * (1 - v) * c[0] + u * (1 - v) * c[1] + u * v * c[2] + (1 - u) * v * c[3])


def straight_layers(start: NDArray[np.float64], end: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Layers (n, a, b, 3) on straight lines from a first one to a last one."""
    t = np.linspace(0.0, 1.0, n + 1)[1:, None, None, None]
    return np.asarray((1.0 - t) * start + t * end)
