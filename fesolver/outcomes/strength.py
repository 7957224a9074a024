"""Strength of each vertebral body taken alone, from its stiffness between rigid ends."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fesolver.errors import InputError
from fesolver.outcomes.cuts import axial_moduli
from fesolver.outcomes.state import OutcomeSettings, SolvedState, Value
from fesolver.outcomes.stiffness import axial_stiffness
from fesolver.outcomes.surface import FacetSurface, axis_between

__all__ = ["BLIND_TO_LOAD_TRANSFER", "strength_values"]

BLIND_TO_LOAD_TRANSFER = (
    "The strength 0.0068 k h is that of a body alone between rigid ends: it is blind to load transfer, and a neighbour "
    "whose own bone is unchanged keeps it to the last digit, whatever cement does to the loads it receives."
)


def strength_values(
    segment: SolvedState, isolated: Mapping[str, SolvedState], settings: OutcomeSettings
) -> list[Value]:
    """Stiffness, height, strength and factor of risk of every vertebral body alone.

    Raises
    ------
    InputError
        If the isolated solve of a level is missing.

    Notes
    -----
    Strength = c k h, with k the axial stiffness of the body between rigid ends that stay parallel, h the distance of
    its endplates' centroids, and c = 0.0068: an apparent strain of 0.68 % at failure [1]_ (13 vertebrae, r2 0.86;
    known from the paper with medium confidence). The factor of risk is the segment's axial load over that strength;
    moments alone give none.
    `isolated_stiffness_over_ea_h` sets k beside the sum of E dV over h squared: what the same bone would give under
    one uniform axial strain.

    References
    ----------
    .. [1] R. P. Crawford, C. E. Cann, T. M. Keaveny, Bone 33:744-750, 2003.
    """
    values: list[Value] = []
    for level in segment.mesh.levels:
        if level not in isolated:
            raise InputError(
                f"the isolated solve of {level} is missing",
                fix=f"given: {', '.join(isolated) or 'none'}; pass one per level",
            )
        body = isolated[level]
        lower = FacetSurface.of(body.mesh, f"{level}/inferior_endplate")
        upper = FacetSurface.of(body.mesh, f"{level}/superior_endplate")
        _, height = axis_between(lower, upper)
        stiffness = axial_stiffness(body)
        moduli = axial_moduli(body, np.arange(len(body.mesh.cells)))
        uniform = float(np.sum(moduli * body.cell_volumes)) / height**2
        strength = settings.strength_coefficient * stiffness * height
        values += [
            Value(level, "isolated_stiffness_n_per_mm", stiffness),
            Value(level, "isolated_stiffness_over_ea_h", stiffness / uniform),
            Value(level, "body_height_mm", height),
            Value(level, "strength_isolated_n", strength),
        ]
        if segment.axial_load > 0.0:
            values.append(Value(level, "factor_of_risk_isolated", segment.axial_load / strength))
    return values
