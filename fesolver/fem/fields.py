"""Cell fields recovered from displacements."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fields"]


@dataclass(frozen=True)
class Fields:
    """Volume means per cell, in the mesh frame, Voigt order (xx, yy, zz, yz, xz, xy).

    Parameters
    ----------
    strain : (n_cells, 6) ndarray
        Engineering shear, dimensionless.
    stress : (n_cells, 6) ndarray
        MPa; compression negative.
    strain_energy_density : (n_cells,) ndarray
        N mm per mm3, the exact cell mean of the element's own energy.
    """

    strain: NDArray[np.float64]
    stress: NDArray[np.float64]
    strain_energy_density: NDArray[np.float64]
