"""From the study's tables to materials per region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fesolver.bone.conversions import conversion
from fesolver.bone.degeneration import disc_materials
from fesolver.bone.laws import bone_law
from fesolver.bone.materials import (
    DEFAULT_ANNULUS,
    BoneMaterial,
    FibreReinforced,
    Isotropic,
    Material,
    default_materials,
)
from fesolver.errors import InputError
from fesolver.study.config import BoneConfig, StudyConfig

__all__ = ["study_law", "study_materials", "uniform_young"]


def study_law(config: BoneConfig) -> BoneMaterial:
    """Trabecular bone as the study's `[bone]` table states it.

    Raises
    ------
    InputError
        If the law or a conversion is unknown, or `custom` lacks its constants.
    """
    params: dict[str, Any] = {}
    if config.law == "carter_hayes1977":
        params["strain_rate_per_s"] = config.strain_rate_per_s
    if config.law == "custom":
        if config.custom_coefficient_mpa is None or config.custom_exponent is None:
            raise InputError(
                "law 'custom' needs custom_coefficient_mpa and custom_exponent", where="[bone]",
                fix="E = custom_intercept_mpa + custom_coefficient_mpa * rho ** custom_exponent, rho of custom_kind",
            )  # fmt: skip
        params = {
            "coefficient": config.custom_coefficient_mpa,
            "exponent": config.custom_exponent,
            "offset": config.custom_intercept_mpa,
            "kind": config.custom_kind,
        }
    material = BoneMaterial(
        law=bone_law(config.law, **params),
        poisson=config.poisson,
        conversions=tuple(conversion(name) for name in config.convert),
    )
    return material if config.floor_mpa is None else replace(material, floor_mpa=config.floor_mpa)


def study_materials(config: StudyConfig) -> dict[str, Material]:
    """Material of every kind of region, and of every disc with a grade of its own."""
    m, disc = config.materials, config.disc
    ground = Isotropic(disc.annulus_young_mpa, disc.annulus_poisson)
    annulus: Material = replace(DEFAULT_ANNULUS, ground=ground) if disc.fibres else ground
    materials: dict[str, Material] = {
        **default_materials(),
        "trabecular": study_law(config.bone),
        "cortical": Isotropic(m.cortical_young_mpa, m.cortical_poisson),
        "endplate": Isotropic(m.endplate_young_mpa, m.endplate_poisson),
        "cement": Isotropic(m.cement_young_mpa, m.cement_poisson),
        "implant": Isotropic(m.implant_young_mpa, m.implant_poisson),
        "nucleus": Isotropic(disc.nucleus_young_mpa, disc.nucleus_poisson),
        "annulus": annulus,
    }
    for name, grade in disc.degeneration.items():
        if grade == "none":
            continue
        graded = disc_materials(grade)
        materials[f"{name}/nucleus"] = graded.nucleus
        materials[f"{name}/annulus"] = graded.annulus if disc.fibres else graded.annulus.ground
    return materials


def uniform_young(region_young: Mapping[str, Any]) -> dict[str, float]:
    """Axial modulus, MPa, of the regions in which it is one number."""
    out = {}
    for name, values in region_young.items():
        array = np.asarray(values, dtype=np.float64)
        if array.size and np.ptp(array) <= 1e-9 * abs(array.flat[0]):
            out[name] = float(array.flat[0])
    return out


def axial_fibre_note(material: Material) -> str:
    """One line on what linear fibres mean, empty for others."""
    if not isinstance(material, FibreReinforced):
        return ""
    return (
        f"annulus fibres: {material.fibre_young_mpa:.0f} MPa, {100 * material.volume_fraction:.0f} % of the volume at "
        f"+-{material.angle_deg:.0f} deg, homogenised and linear: they carry compression too"
    )
