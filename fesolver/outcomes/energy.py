"""Strain energy of vertebrae and discs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fesolver.outcomes.parts import part_fraction, parts
from fesolver.outcomes.state import SEGMENT, OutcomeSettings, SolvedState, Value

__all__ = ["energy_values"]


def energy_values(segment: SolvedState, isolated: Mapping[str, SolvedState], settings: OutcomeSettings) -> list[Value]:
    """Strain energy, N mm, and its mean density, N mm/mm3, of the segment, each vertebra and each disc.

    Notes
    -----
    The density is the exact mean over each cell of the element's own energy, so under one dead force the segment's
    energy is half of force times displacement of the load point, to the solver's tolerance (Clapeyron). A cell shared
    by two parts gives each its volume fraction.
    """
    energy = segment.fields.strain_energy_density * segment.cell_volumes
    whole = float(np.sum(energy))
    values = [
        Value(SEGMENT, "strain_energy_n_mm", whole),
        Value(SEGMENT, "strain_energy_density_mean_n_mm_per_mm3", whole / float(np.sum(segment.cell_volumes))),
    ]
    for part in parts(segment.mesh):
        fraction = part_fraction(segment.mesh, part)
        of_part = float(np.sum(fraction * energy))
        values.append(Value(part, "strain_energy_n_mm", of_part))
        density = of_part / float(np.sum(fraction * segment.cell_volumes))
        values.append(Value(part, "strain_energy_density_mean_n_mm_per_mm3", density))
    return values
