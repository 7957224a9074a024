"""The mesh every later stage works on, with the same names whatever its cells are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fesolver.anatomy.frames import Frame
from fesolver.bone.tissue import Region
from fesolver.fem.problem import ElementName, Lattice
from fesolver.meshing.memo import Memo

__all__ = ["SpineMesh", "Surface"]


@dataclass(frozen=True)
class Surface:
    """Facets on the outside of a region.

    Parameters
    ----------
    facets : (m, 4) ndarray of int64
        Point ids, counter-clockwise seen from outside; (m, 3, 6 or 8) where the cells are other ones, corners first.
    cells : (m,) ndarray of int64
        The cell of the region behind each facet.
    normals : (m, 3) ndarray
        Outward unit normals. On stairs of voxels these are the voxel faces' own; `frames` hold the fitted planes.
    areas : (m,) ndarray
        mm2.
    """

    facets: NDArray[np.int64]
    cells: NDArray[np.int64]
    normals: NDArray[np.float64]
    areas: NDArray[np.float64]


@dataclass(frozen=True)
class SpineMesh:
    """Points, cells and the names of their parts.

    Parameters
    ----------
    points : (n_points, 3) ndarray
        mm, in the segment frame.
    cells : (n_cells, k) ndarray of int64
        Cells of one kind, VTK order.
    regions : mapping of str to Region
        `L1/trabecular L1/cortical L1/superior_endplate L1/inferior_endplate L1/posterior L1/cement L1-L2/nucleus
        L1-L2/annulus`: cells and the fraction of each. Fractions sum to 1 in every cell.
    surfaces : mapping of str to Surface
        `L1/superior_endplate L1/inferior_endplate L1/outer`: outside of the vertebral body; the three are disjoint and
        together cover it.
    frames : mapping of str to Frame
        Level or disc -> body frame in the segment frame: origin at the centroid, z cranial along the endplate
        centroids (for a disc: the bisector of its two endplate normals).
    levels : tuple of str
        Cranial first.
    frame : Frame
        The segment frame in scanner space.
    lattice : Lattice or None
        The regular grid of a voxel mesh.
    element : ElementName
        What the cells are.
    memo : Memo
        What has been worked out from points, cells, lattice and element. `dataclasses.replace` hands it on where these
        stay the very same objects, and starts an empty one where they do not.
    """

    points: NDArray[np.float64]
    cells: NDArray[np.int64]
    regions: Mapping[str, Region]
    surfaces: Mapping[str, Surface]
    frames: Mapping[str, Frame]
    levels: tuple[str, ...]
    frame: Frame
    lattice: Lattice | None = None
    element: ElementName = "hex8"
    memo: Memo = field(default_factory=Memo, repr=False, compare=False)

    def __post_init__(self) -> None:
        shape = (self.points, self.cells, self.lattice, self.element)
        if not self.memo.serves(*shape):
            object.__setattr__(self, "memo", Memo(*shape))

    def level_cells(self, level: str) -> NDArray[np.int64]:
        """Ascending ids of every cell that holds some of a vertebra (its posterior elements too) or a disc."""
        found = [region.cells for name, region in self.regions.items() if name.split("/")[0] == level]
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
