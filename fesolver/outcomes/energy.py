"""Strain energy of vertebrae and discs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fesolver.fem.cavity import enclosed_volume
from fesolver.fem.problem import FluidCavity
from fesolver.outcomes.parts import part_fraction, parts
from fesolver.outcomes.state import SEGMENT, OutcomeSettings, SolvedState, Value

__all__ = ["energy_values"]


def energy_values(segment: SolvedState, isolated: Mapping[str, SolvedState], settings: OutcomeSettings) -> list[Value]:
    """Strain energy, N mm, and its mean density, N mm/mm3, of the segment, each vertebra and each disc.

    Notes
    -----
    The density is the exact mean over each cell of the element's own energy, so under one dead force the segment's
    energy is half of force times displacement of the load point, to the solver's tolerance (Clapeyron). A cell shared
    by two parts gives each its volume fraction. A fluid nucleus belongs to its disc, with energy and volume.
    """
    energy = segment.fields.strain_energy_density * segment.cell_volumes
    fluids = {c.name.split("/")[0]: _fluid_energy(segment, c) for c in segment.problem.cavities}
    whole = float(np.sum(energy)) + sum(of_fluid for of_fluid, _ in fluids.values())
    volume = float(np.sum(segment.cell_volumes)) + sum(of_fluid for _, of_fluid in fluids.values())
    values = [
        Value(SEGMENT, "strain_energy_n_mm", whole),
        Value(SEGMENT, "strain_energy_density_mean_n_mm_per_mm3", whole / volume),
    ]
    for part in parts(segment.mesh):
        fraction = part_fraction(segment.mesh, part)
        of_fluid, fluid_volume = fluids.get(part, (0.0, 0.0))
        of_part = float(np.sum(fraction * energy)) + of_fluid
        values.append(Value(part, "strain_energy_n_mm", of_part))
        density = of_part / (float(np.sum(fraction * segment.cell_volumes)) + fluid_volume)
        values.append(Value(part, "strain_energy_density_mean_n_mm_per_mm3", density))
    return values


def _fluid_energy(state: SolvedState, cavity: FluidCavity) -> tuple[float, float]:
    """Energy p^2 V / (2 kappa) of a compressed fluid, N mm, and its volume V, mm3."""
    volume = enclosed_volume(state.problem.points, cavity.facets)
    return 0.5 * state.solution.cavity_pressure[cavity.name] ** 2 * volume / cavity.bulk_modulus, volume
