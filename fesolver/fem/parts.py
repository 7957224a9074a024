"""Which cells hang together by whole faces, and where such parts touch along an edge or at a corner."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.fem.elements import ELEMENTS
from fesolver.fem.problem import Lattice, Problem
from fesolver.fem.voxel_mesh import VTK_CORNERS

__all__ = ["GridParts", "MeshParts", "Parts", "face_connected_parts", "lattice_cells"]


def lattice_cells(lattice: Lattice) -> NDArray[np.bool_]:
    """Grid (nx, ny, nz) that is true where the mesh has a cell."""
    active = np.zeros(lattice.shape, dtype=bool)
    active[tuple(lattice.cell_index.T)] = True
    return active


def face_connected_parts(problem: Problem) -> tuple[NDArray[np.int64], int]:
    """Label (n_cells,) of the parts whose cells hang together by whole faces, and their number.

    Cells that share only an edge or a corner are in different parts: an edge is a hinge, a corner a ball joint.
    """
    if problem.lattice is not None:
        labels, n_parts = _label_grid(lattice_cells(problem.lattice))
        return labels[tuple(problem.lattice.cell_index.T)].astype(np.int64) - 1, n_parts
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n_cells, n_points = len(problem.cells), len(problem.points)
    faces, n_faces = _cell_faces(problem)
    low, high = faces[:, 0] * n_points + faces[:, 1], faces[:, 2] * (n_points + 1) + faces[:, 3]
    order = np.lexsort((high, low))
    is_pair = (np.diff(low[order]) == 0) & (np.diff(high[order]) == 0)
    first, second = order[:-1][is_pair] // n_faces, order[1:][is_pair] // n_faces
    graph = coo_array((np.ones(len(first), dtype=np.int8), (first, second)), shape=(n_cells, n_cells))
    n_parts, parts = connected_components(graph, directed=False)
    return parts.astype(np.int64), int(n_parts)


def _cell_faces(problem: Problem) -> tuple[NDArray[np.int64], int]:
    """Corners of every face of every cell, ascending, a triangle's fourth one past all points; and faces per cell."""
    element, n_points = ELEMENTS[problem.element], len(problem.points)
    corners = [face[: len(face) // element.order] for face in element.faces]
    places = np.array([[*face, *[element.n_corners] * (4 - len(face))] for face in corners])
    none = np.full((len(problem.cells), 1), n_points)
    cells = np.hstack([problem.cells[:, : element.n_corners], none])
    return np.sort(cells[:, places].reshape(-1, 4), axis=1), len(corners)


def _label_grid(active: NDArray[np.bool_]) -> tuple[NDArray[np.integer], int]:
    """Part of every cell, counted from 1, 0 where there is no cell; and the number of parts."""
    from scipy.ndimage import label

    labels, n_parts = label(active)
    return labels, int(n_parts)


class GridParts:
    """Parts of the active cells (nx, ny, nz) of a grid; its points go by their position (k, 3) on the grid."""

    def __init__(self, active: NDArray[np.bool_], spacing: NDArray[np.float64], origin: NDArray[np.float64]) -> None:
        self._spacing, self._origin = spacing, origin
        # A rim of no cells, so that every point has eight neighbours.
        self._rimmed, self.n_parts = _label_grid(np.pad(active, 1))
        self._labels = self._rimmed[1:-1, 1:-1, 1:-1]
        filled = [np.flatnonzero(active.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        corners = np.array([[along[0] for along in filled], [along[-1] + 1 for along in filled]])
        self.low, self.high = self.coordinates(corners)

    def coordinates(self, points: NDArray[np.integer]) -> NDArray[np.float64]:
        """Coordinates (k, 3) of points, mm."""
        return np.asarray(self._origin + points * self._spacing)

    def owners(self, points: NDArray[np.integer]) -> NDArray[np.int64]:
        """The first part (k,) that each point belongs to."""
        if self.n_parts == 1:
            return np.zeros(len(points), dtype=np.int64)
        around = self._around(points)
        around[around == 0] = self.n_parts + 1
        return np.asarray(around.min(axis=1) - 1)

    def joints(self) -> tuple[NDArray[np.integer], NDArray[np.int64], NDArray[np.int64]]:
        """Points that parts share, with their first part and another one: once for every other part."""
        if self.n_parts == 1:
            return np.zeros((0, 3), np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
        shared = self._shared()
        around = np.sort(self._around(shared), axis=1)
        is_other = np.diff(around, axis=1, prepend=0) > 0
        first = np.argmax(is_other, axis=1)
        is_other[np.arange(len(shared)), first] = False
        row, column = np.nonzero(is_other)
        return shared[row], around[row, first[row]] - 1, around[row, column] - 1

    def cells_of(self, parts: NDArray[np.int64]) -> tuple[int, int, NDArray[np.float64]]:
        """How many cells the given parts have, how many there are in all, and the centre of the former, mm."""
        is_chosen = np.zeros(self.n_parts + 1, dtype=bool)
        is_chosen[parts + 1] = True
        chosen = is_chosen[self._labels]
        count = int(np.count_nonzero(chosen))
        along = [np.count_nonzero(chosen, axis=axes) for axes in ((1, 2), (0, 2), (0, 1))]
        mean = np.array([np.sum(n * (np.arange(len(n)) + 0.5)) / count for n in along])
        return count, int(np.count_nonzero(self._labels)), self._origin + mean * self._spacing

    def _around(self, points: NDArray[np.integer]) -> NDArray[np.int64]:
        """Labels (k, 8) of the cells around points, 0 where there is none."""
        _, ny, nz = self._rimmed.shape
        stride = np.array([ny * nz, nz, 1])
        return np.asarray(self._rimmed.ravel()[(points @ stride)[:, None] + VTK_CORNERS @ stride].astype(np.int64))

    def _shared(self) -> NDArray[np.int64]:
        """Points (k, 3) that belong to more than one part, layer by layer: a second grid of labels would be large."""
        found = []
        for i in range(len(self._rimmed) - 1):
            cells = self._rimmed[i : i + 2]
            most = _corner_maximum(cells)
            # Counted from the other end the first part has the largest label, and 0 still means no cell.
            least = self.n_parts + 1 - _corner_maximum(np.where(cells > 0, self.n_parts + 1 - cells, 0))
            j, k = np.nonzero((most > 0) & (most != least))
            found.append(np.stack([np.full(len(j), i), j, k], axis=1))
        return np.concatenate(found)


def _corner_maximum(cells: NDArray[np.integer]) -> NDArray[np.integer]:
    """Largest value (ny - 1, nz - 1) around each point between two layers of cells (2, ny, nz)."""
    most = np.maximum(cells[0], cells[1])
    most = np.maximum(most[1:], most[:-1])
    return np.asarray(np.maximum(most[:, 1:], most[:, :-1]))


class MeshParts:
    """Parts of a mesh of any shape; its points go by their ids (k,)."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._parts, self.n_parts = face_connected_parts(problem)
        self.low, self.high = problem.points.min(axis=0), problem.points.max(axis=0)
        self._first = np.zeros(len(problem.points), dtype=np.int64)
        self._last = self._first.copy()
        if self.n_parts > 1:
            self._first += self.n_parts
            for ids in problem.cells.T:
                np.minimum.at(self._first, ids, self._parts)
                np.maximum.at(self._last, ids, self._parts)

    def coordinates(self, points: NDArray[np.integer]) -> NDArray[np.float64]:
        """Coordinates (k, 3) of points, mm."""
        return np.asarray(self._problem.points[points])

    def owners(self, points: NDArray[np.integer]) -> NDArray[np.int64]:
        """The first part (k,) that each point belongs to."""
        return np.asarray(self._first[points])

    def joints(self) -> tuple[NDArray[np.integer], NDArray[np.int64], NDArray[np.int64]]:
        """Points that parts share, with their first part and another one: once for every other part."""
        cell, corner = np.nonzero((self._first != self._last)[self._problem.cells])
        pairs = np.unique(self._problem.cells[cell, corner] * self.n_parts + self._parts[cell])
        at, other = pairs // self.n_parts, pairs % self.n_parts
        is_other = other != self._first[at]
        return at[is_other], self._first[at[is_other]], other[is_other]

    def cells_of(self, parts: NDArray[np.int64]) -> tuple[int, int, NDArray[np.float64]]:
        """How many cells the given parts have, how many there are in all, and the centre of the former, mm."""
        cells = np.flatnonzero(np.isin(self._parts, parts))
        centre = self._problem.points[self._problem.cells[cells]].mean(axis=(0, 1))
        return len(cells), len(self._parts), np.asarray(centre)


Parts = GridParts | MeshParts
