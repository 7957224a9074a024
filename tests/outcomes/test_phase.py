"""Stress of trabecular bone in cells that hold other things too, under strains that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.bone.laws import bone_law
from fesolver.bone.materials import BoneMaterial, Isotropic
from fesolver.errors import InputError
from fesolver.fem.hooke import isotropic_elasticity
from fesolver.outcomes.endplate import endplate_values
from fesolver.outcomes.phase import material_stress
from fesolver.outcomes.state import OutcomeSettings
from fesolver.study.materials import unit_elasticity

NU = 0.3
BONE = "L1/trabecular"


def with_bone(state, young, matrix=None):
    """The state with constants for the trabecular bone of both levels."""
    unit = isotropic_elasticity(1.0, NU) if matrix is None else matrix
    names = ("L1/trabecular", "L2/trabecular")
    return replace(
        state,
        region_young={**state.region_young, **dict.fromkeys(names, young)},
        region_unit_elasticity=dict.fromkeys(names, unit),
    )


def table(state, **settings):
    return {(v.level, v.quantity): v.value for v in endplate_values(state, {}, OutcomeSettings(**settings))}


def test_the_stress_of_the_bone_follows_its_own_modulus_not_the_cells(column, given_state):
    """Uniaxial strain: sigma_zz = E (1 - nu) / ((1 + nu)(1 - 2 nu)) eps, in shell cells as in pure ones."""
    mesh = column.mesh()
    state = with_bone(given_state(mesh, mesh.points @ np.diag([0.0, 0.0, -0.01])), 200.0)
    confined = 200.0 * (1 - NU) / ((1 + NU) * (1 - 2 * NU))

    stress = material_stress(state, BONE)

    assert stress.shape == (len(mesh.regions[BONE].cells), 6)
    assert_allclose(stress[:, 2], -0.01 * confined, rtol=1e-12)
    assert_allclose(stress[:, :2], -0.01 * confined * NU / (1 - NU), rtol=1e-12)
    assert_allclose(stress[:, 3:], 0.0, atol=1e-12)


def test_each_cell_has_its_own_modulus(column, given_state):
    mesh = column.mesh()
    cells = mesh.regions[BONE].cells
    young = np.linspace(50.0, 400.0, len(cells))
    state = given_state(mesh, mesh.points @ np.diag([0.003, 0.003, -0.01]))  # nu 0.3: no stress sideways
    state = replace(state, region_young={BONE: young}, region_unit_elasticity={BONE: isotropic_elasticity(1.0, NU)})

    assert_allclose(material_stress(state, BONE)[:, 2], -0.01 * young, rtol=1e-12)


def test_the_stresses_of_a_cells_materials_add_up_to_the_cells(column, solved_state):
    mesh = column.mesh()
    elasticity = column.elasticity(mesh, {"trabecular": 200.0, "cortical": 8000.0, "annulus": 8.0, "nucleus": 2.0})
    elasticity = replace(elasticity, poisson=np.full(len(mesh.cells), NU))
    state = with_bone(solved_state(mesh, elasticity), 200.0)
    unit = isotropic_elasticity(1.0, NU)
    state = replace(
        state, region_unit_elasticity={**state.region_unit_elasticity, "L1/cortical": unit, "L2/cortical": unit}
    )
    total = np.zeros((len(mesh.cells), 6))
    for name in ("L1/trabecular", "L1/cortical"):
        region = mesh.regions[name]
        total[region.cells] += region.fraction[:, None] * material_stress(state, name)

    own = mesh.level_cells("L1")
    assert_allclose(total[own], state.fields.stress[own], rtol=1e-10, atol=1e-12)


def test_an_anisotropic_law_keeps_its_ratios(column, given_state):
    """Crawford 2003: under uniaxial stress along x the bone gives E_x = E_z / 3."""
    law = BoneMaterial(law=bone_law("crawford2003"))
    unit = unit_elasticity({BONE: law, "L1/cortical": Isotropic(8040.0, NU)})
    assert set(unit) == {BONE}
    strain = np.linalg.inv(unit[BONE])[:, 0] * 3.0  # compliance column: stress of 3 E_z/1000 along x alone
    gradient = np.diag(strain[:3]) * 1e-3
    mesh = column.mesh()
    state = given_state(mesh, mesh.points @ gradient.T)
    state = with_bone(state, 100.0, unit[BONE])

    stress = material_stress(state, BONE)

    assert_allclose(stress, np.tile([0.3, 0, 0, 0, 0, 0], (len(stress), 1)), atol=1e-12)
    assert unit[BONE][2, 2] > unit[BONE][0, 0]


def test_the_group_exists_where_no_cell_is_pure(column, given_state):
    """Cells of 2.5 mm over a depth of 2 mm, all shared with a layer: the cells' group is empty, the bone's is not."""
    mesh = replace(column, spacing=(1.5, 1.5, 2.5), n=4, shell=0.4).mesh()
    regions = dict(mesh.regions)
    for level in ("L1", "L2"):
        both = mesh.level_cells(level)
        share = replace(regions[f"{level}/trabecular"], cells=both, fraction=np.full(len(both), 0.6))
        regions |= {
            f"{level}/trabecular": share,
            f"{level}/cortical": replace(share, fraction=np.full(len(both), 0.4)),
        }
    mesh = replace(mesh, regions=regions)
    state = with_bone(given_state(mesh, mesh.points @ np.diag([0.0, 0.0, -0.01])), 100.0)
    confined = 100.0 * (1 - NU) / ((1 + NU) * (1 - 2 * NU))

    found = table(state, bulge_rim_mm=1.5)

    assert ("L1", "inferior_endplate_min_principal_stress_mean_mpa") not in found
    for name in ("mean", "p95", "max_mesh_dependent"):
        quantity = f"inferior_endplate_trabecular_min_principal_stress_{name}_mpa"
        assert found["L1", quantity] == pytest.approx(-0.01 * confined, rel=1e-12)
    # 6 x 6 mm over 2 mm, 60 % bone
    assert found["L1", "inferior_endplate_trabecular_layer_volume_mm3"] == pytest.approx(0.6 * 72.0, rel=1e-12)


def test_the_mean_weighs_each_cell_by_its_bone_inside_the_depth(column, given_state):
    """Cells of 1.5 mm over 2 mm of depth: the second row counts by a third; shell cells by their 60 % of bone."""
    mesh = replace(column, spacing=(1.5, 1.5, 1.5), n=4).mesh()
    u = np.zeros_like(mesh.points)
    z = mesh.points[:, 2]
    top = z.max()
    u[:, 2] = np.where(z < top - 1.25, -0.015, 0.0)  # the uppermost row is stretched by 1 %, the rest is at rest
    state = with_bone(given_state(mesh, u), 100.0, isotropic_elasticity(1.0, 0.0))
    rows, columns = 1.0 + 1.0 / 3.0, 4 + 12 * 0.6

    found = table(state, bulge_rim_mm=1.5)

    # Tension of 1 MPa: von Mises 1 in the first row, 0 in the second, weights 1 and 1/3.
    mean = found["L1", "superior_endplate_trabecular_von_mises_stress_mean_mpa"]
    assert mean == pytest.approx(1.0 / rows, rel=1e-12)
    volume = found["L1", "superior_endplate_trabecular_layer_volume_mm3"]
    assert volume == pytest.approx(columns * rows * 1.5**3, rel=1e-12)


def test_where_the_constants_are_not_known_there_is_no_value(column, given_state):
    mesh = column.mesh()
    state = given_state(mesh, np.zeros_like(mesh.points))

    assert material_stress(state, BONE) is None
    assert material_stress(with_bone(state, 100.0), "L1/cement") is None
    assert not [quantity for _, quantity in table(state) if "trabecular" in quantity]


def test_a_matrix_of_another_shape_is_refused(column, given_state):
    mesh = column.mesh()
    state = given_state(mesh, np.zeros_like(mesh.points))

    with pytest.raises(InputError, match=r"region_unit_elasticity of 'L1/trabecular' has shape \(3, 3\)"):
        replace(state, region_unit_elasticity={BONE: np.eye(3)})
