"""Bone over its yield strain, and the load at which a body would count as failed in place."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fesolver.errors import InputError
from fesolver.outcomes.parts import BONE_KINDS, part_fraction
from fesolver.outcomes.state import OutcomeSettings, SolvedState, Value
from fesolver.outcomes.weighted import fraction_above, upper_quantile

__all__ = ["YIELDED_VOLUME_LIMITS", "strain_utilisation", "yielding_values"]

YIELDED_VOLUME_LIMITS = (
    "In-place strength is the load at which a set part of the body's bone volume (2 % by default) is over its yield "
    "strain in a linear model: the rule was calibrated on the distal radius with micro-finite elements, bone does not "
    "soften here, and cell means of strain depend on the cell size. It marks where the core begins to yield under a "
    "disc's nucleus, well below the load that breaks the body. Read it as a ratio between two states of one model."
)


def strain_utilisation(principal_strain: NDArray[np.float64], settings: OutcomeSettings) -> NDArray[np.float64]:
    """Largest of compressive and tensile principal strain, each over its yield strain, (n,).

    Parameters
    ----------
    principal_strain : (n, 3) ndarray
        Ascending, dimensionless.
    settings : OutcomeSettings
        Yield strains.

    Examples
    --------
    >>> import numpy as np
    >>> strain_utilisation(np.array([[-0.0154, 0.0, 0.0035]]), OutcomeSettings())
    array([2.])
    """
    compression = -principal_strain[:, 0] / settings.yield_strain_compression
    tension = principal_strain[:, 2] / settings.yield_strain_tension
    return np.asarray(np.maximum(np.maximum(compression, tension), 0.0))


def yielding_values(
    segment: SolvedState, isolated: Mapping[str, SolvedState], settings: OutcomeSettings
) -> list[Value]:
    """Bone volume, the part of it over its yield strain, in-place strength and factor of risk of every vertebral body.

    Raises
    ------
    InputError
        If a body holds no bone, or nothing strains it.

    Notes
    -----
    Bone volume is the volume of the body's bone regions: without cement, without posterior elements. The model is
    linear, so the load at which the fraction is reached is the applied one over the weighted quantile of the
    utilisation; the factor of risk, load over strength, is that quantile: all loads together times its inverse. Under
    moments alone there is no strength in newtons. Strains are cell means; in a cell with two
    bone materials both have the cell's strain.
    """
    values: list[Value] = []
    load = segment.axial_load
    utilisation = strain_utilisation(segment.principal_strain, settings)
    for level in segment.mesh.levels:
        volume = part_fraction(segment.mesh, level, BONE_KINDS) * segment.cell_volumes
        bone = np.flatnonzero(volume)
        if not len(bone):
            raise InputError(f"{level} holds no bone", where=f"regions of state {segment.name!r}")
        risk = upper_quantile(utilisation[bone], volume[bone], settings.yielded_volume_fraction)
        if not risk > 0.0:
            raise InputError(f"{level} carries no load in state {segment.name!r}: it has no in-place strength")
        values += [
            Value(level, "bone_volume_mm3", float(np.sum(volume))),
            Value(level, "yielded_volume_fraction", fraction_above(utilisation[bone], volume[bone], 1.0)),
        ]
        if load > 0.0:
            values.append(Value(level, "strength_yielded_volume_n", load / risk))
        values.append(Value(level, "factor_of_risk_yielded_volume", risk))
    return values
