"""Which material fills which part of which cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.density import DensityKind

__all__ = ["Region", "Tissue"]


@dataclass(frozen=True)
class Region:
    """Cells and the fraction of each that the region fills.

    Parameters
    ----------
    cells : (k,) ndarray of int64
        Ascending cell ids.
    fraction : (k,) ndarray
        Volume fraction of the region in each cell, dimensionless, in (0, 1].
    """

    cells: NDArray[np.int64]
    fraction: NDArray[np.float64]

    def dense(self, n_cells: int) -> NDArray[np.float64]:
        """Fraction per cell of the whole mesh, zero outside the region, (n_cells,)."""
        out = np.zeros(n_cells)
        out[self.cells] = self.fraction
        return out


@dataclass(frozen=True)
class Tissue:
    """What the cells are made of, before any law turns it into stiffness.

    Parameters
    ----------
    density : (n_cells,) ndarray
        Mean bone density of the cell in g/cm3, before flooring; 0 outside bone.
    kind : DensityKind
        What the density is equivalent to.
    regions : mapping of str to Region
        Fraction of each cell per region name (`L1/trabecular`, `L1-L2/annulus`, ...); in every cell they sum to 1.
    axes : mapping of str to (k, 3, 3) ndarray
        For regions with a direction (`L1-L2/annulus`): rows are the circumferential, radial (outward) and
        axial unit vectors of each of the region's k cells, in the mesh frame.
    depth : mapping of str to (k,) ndarray
        For regions in layers (`L1-L2/annulus`): place of each of the region's k cells across them, 0 at the innermost
        boundary and 1 at the outermost.
    """

    density: NDArray[np.float64]
    kind: DensityKind
    regions: Mapping[str, Region]
    axes: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    depth: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
