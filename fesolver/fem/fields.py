"""Cell fields recovered from displacements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fesolver.fem import voigt

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

    @cached_property
    def principal_strain(self) -> NDArray[np.float64]:
        """Principal values of the mean strain, ascending, dimensionless, (n_cells, 3)."""
        return voigt.principal_strain(self.strain)

    @cached_property
    def principal_stress(self) -> NDArray[np.float64]:
        """Principal values of the mean stress, ascending, MPa, (n_cells, 3)."""
        return voigt.principal_stress(self.stress)
