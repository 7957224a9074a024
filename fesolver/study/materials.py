"""From the study's tables to materials per region."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fesolver.bone.conversions import conversion
from fesolver.bone.degeneration import disc_materials
from fesolver.bone.laws import bone_law
from fesolver.bone.materials import (
    DEFAULT_ANNULUS,
    BoneMaterial,
    FibreReinforced,
    Isotropic,
    LayeredFibres,
    Material,
    default_materials,
)
from fesolver.errors import InputError
from fesolver.fem.hooke import isotropic_elasticity
from fesolver.study.config import StudyConfig
from fesolver.study.schema import BoneConfig

__all__ = ["study_law", "study_materials", "unit_elasticity"]


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
    try:
        material = BoneMaterial(
            law=bone_law(config.law, **params),
            poisson=config.poisson,
            conversions=tuple(conversion(name) for name in config.convert),
        )
    except InputError as error:
        raise InputError(error.what, where=error.where or "[bone]", fix=error.fix) from error
    return material if config.floor_mpa is None else replace(material, floor_mpa=config.floor_mpa)


def study_materials(config: StudyConfig) -> dict[str, Material]:
    """Material of every kind of region, and of every disc with a grade of its own."""
    m, disc = config.materials, config.disc
    ground = Isotropic(disc.annulus_young_mpa, disc.annulus_poisson)
    annulus = _annulus(config, replace(DEFAULT_ANNULUS, ground=ground))
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
        try:
            graded = disc_materials(grade, unpublished=disc.unpublished_grades)
        except InputError as error:
            raise InputError(error.what, where=f"[disc.degeneration] {name}", fix=error.fix) from error
        materials[f"{name}/nucleus"] = graded.nucleus
        materials[f"{name}/annulus"] = _annulus(config, graded.annulus)
    return materials


def _annulus(config: StudyConfig, fibred: FibreReinforced) -> Material:
    """An annulus without fibres, with layers of them, or with their mean, as the study's `[disc]` table says."""
    if not config.disc.fibres:
        return fibred.ground
    is_layered = config.disc.fibre_layers
    if is_layered is None:
        is_layered = config.mesh_kind in ("structured", "tetrahedral")
    if not is_layered:
        return fibred
    return LayeredFibres(
        fibred.ground,
        volume_fraction=fibred.volume_fraction,
        angle_outer_deg=fibred.angle_deg,
        angle_inner_deg=fibred.angle_deg,
    )


def unit_elasticity(materials: Mapping[str, Material]) -> dict[str, NDArray[np.float64]]:
    """Elasticity matrix (6, 6), for an axial modulus of 1 MPa, of every region of bone whose modulus follows density.

    Parameters
    ----------
    materials : mapping of str to Material
        Region name to material, as in `MixReport.materials`.

    Notes
    -----
    Only these have one matrix up to their modulus in all of their cells, along the axes of the mesh.
    """
    return {
        name: isotropic_elasticity(1.0, m.poisson) if m.law.anisotropy is None else m.unit_matrix()
        for name, m in materials.items()
        if isinstance(m, BoneMaterial)
    }


def axial_fibre_note(material: Material) -> str:
    """One line on what linear fibres mean, empty for others."""
    if isinstance(material, LayeredFibres):
        young = " / ".join(f"{layer[0]:.0f}" for layer in material.layers)
        return (
            f"annulus fibres: {young} MPa in layers from the outside in, {100 * material.volume_fraction:.0f} % of "
            f"the volume at +-{material.angle_outer_deg:.0f} deg, homogenised by layer and linear: they carry "
            "compression too"
        )
    if not isinstance(material, FibreReinforced):
        return ""
    return (
        f"annulus fibres: {material.fibre_young_mpa:.0f} MPa, {100 * material.volume_fraction:.0f} % of the volume at "
        f"+-{material.angle_deg:.0f} deg, homogenised and linear: they carry compression too"
    )
