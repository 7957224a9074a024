"""Stress of one material inside cells that may hold several."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fesolver.outcomes.state import SolvedState

__all__ = ["material_stress"]


def material_stress(state: SolvedState, region: str) -> NDArray[np.float64] | None:
    """Mean stress of a region's own material in each of its cells, in the order of `fesolver.fem.voigt`.

    Parameters
    ----------
    state : SolvedState
        Gives the strain, the region's moduli (`region_young`) and its unit elasticity (`region_unit_elasticity`).
    region : str
        `L1/trabecular`, ...

    Returns
    -------
    (k, 6) ndarray or None
        MPa, in the order of the region's cells; None where the mesh has no such region, or the state lacks its modulus
        or its unit elasticity.

    Notes
    -----
    The mixing rule gives all materials of a cell one strain (Voigt), so each has a stress of its own,
    sigma = E C_1 epsilon, with E the modulus of this material in this cell and C_1 its elasticity matrix at an axial
    modulus of 1 MPa. In a cell of this material alone that is the stress of the cell. Weighted by their fractions the
    stresses of a cell's materials add up to the stress of the cell.

    One strain is what a layer loaded along its plane has. Under an endplate the load crosses the layer, and the bone
    under it would take the whole traction: there the rule gives a lower bound of the bone's stress, E over the cell's
    modulus of what passes. That factor hardly changes between two states of one model, so the change is far less
    affected than the stress.
    """
    if region not in state.mesh.regions or region not in state.region_young:
        return None
    if region not in state.region_unit_elasticity:
        return None
    strain = state.fields.strain[state.mesh.regions[region].cells]
    young = np.broadcast_to(state.region_young[region], len(strain))
    return np.asarray(young[:, None] * (strain @ state.region_unit_elasticity[region].T))
