"""What the mixing rule did, and what a reader of the results has to be told about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.materials import FibreReinforced, Material

__all__ = ["MixReport", "mix_notes"]


@dataclass(frozen=True)
class MixReport:
    """What the mixing rule did; fractions are of bone volume (trabecular, or bone of another density-driven part).

    Parameters
    ----------
    fraction_floored : float
        Bone whose law gave less than the floor.
    fraction_below, fraction_above : float
        Bone with a density below or above its law's own range: extrapolated.
    fraction_capped : float
        Bone beside a layer or cement, taken at the upper end of its law's range (see `mix_elasticity`).
    bone_mass_g : float or None
        Sum of cell density times cell volume, before flooring; in grams of the density's kind. None without volumes.
    bone_volume_mm3 : float or None
        Volume of density-driven bone; None without volumes.
    fraction_mixed : float
        Of all cells (by volume, or by number without volumes): those with more than one material.
    young_range_mpa : tuple of float
        Smallest and largest (representative) modulus of a cell.
    materials : mapping of str to Material
        What each region was made of.
    region_young : mapping of str to (k,) ndarray
        Axial modulus in MPa of the region's own material in each of its cells (z of the mesh, fibres along their axes).
    notes : tuple of str
        What a reader has to be told.
    """

    fraction_floored: float
    fraction_below: float
    fraction_above: float
    fraction_capped: float
    bone_mass_g: float | None
    bone_volume_mm3: float | None
    fraction_mixed: float
    young_range_mpa: tuple[float, float]
    materials: Mapping[str, Material]
    region_young: Mapping[str, NDArray[np.float64]]
    notes: tuple[str, ...]


def mix_notes(chosen: Mapping[str, Material], floored: float, above: float, capped: float) -> tuple[str, ...]:
    """Sentences a reader of the results has to be given."""
    notes = ["mixed cells carry the volume-weighted mean of the elasticity matrices (Voigt, an upper bound)"]
    if floored > 0.0:
        notes.append(f"{floored:.2%} of the bone volume is at the modulus floor")
    if above > 0.0:
        notes.append(
            f"{above:.2%} of the bone volume is denser than the range of its trabecular law, extrapolated there"
        )
    if capped > 0.0:
        notes.append(
            f"{capped:.2%} of the bone volume lies beside a layer or cement: taken at the upper end of its law's range"
        )
    if any(isinstance(material, FibreReinforced) for material in chosen.values()):
        notes.append("annulus fibres are linear: they carry compression as they carry tension")
    return tuple(notes)
