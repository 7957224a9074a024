"""Yielded bone volume and in-place strength on strains that are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fesolver.bone.tissue import Region
from fesolver.errors import InputError
from fesolver.loading.load_case import LoadCase
from fesolver.outcomes.state import OutcomeSettings
from fesolver.outcomes.yielding import strain_utilisation, yielding_values

SETTINGS = OutcomeSettings()


def table(values):
    return {(v.level, v.quantity): v.value for v in values}


def strained(state, uniform, hot_cells=(), hot=0.0):
    """The state with an axial strain in all cells and another in some."""
    strain = np.zeros_like(state.fields.strain)
    strain[:, 2] = uniform
    strain[list(hot_cells), 2] = hot
    return replace(state, fields=replace(state.fields, strain=strain))


@pytest.fixture
def loaded(column, given_state):
    """A column pushed by E A strain = 81 N."""
    mesh = column.mesh()
    return given_state(mesh, mesh.points @ np.diag([0.0, 0.0, -0.01]))


@pytest.mark.parametrize(("strain", "limit"), [(-0.001, 0.0077), (0.001, 0.0070)])
def test_strength_of_a_uniform_body_is_where_its_strain_reaches_yield(loaded, strain, limit):
    numbers = table(yielding_values(strained(loaded, strain), {}, SETTINGS))

    assert numbers["L1", "factor_of_risk_yielded_volume"] == pytest.approx(0.001 / limit)
    assert numbers["L1", "strength_yielded_volume_n"] == pytest.approx(81.0 * limit / 0.001)
    assert numbers["L1", "yielded_volume_fraction"] == 0.0
    assert numbers["L1", "bone_volume_mm3"] == pytest.approx(81.0 * 4.0)


def test_less_than_the_fraction_of_hot_volume_does_not_decide(loaded):
    """One body has 144 cells: 2 hot ones are 1.4 %, 3 are 2.1 %."""
    cells = loaded.mesh.level_cells("L1")
    for n_hot, deciding in ((2, 0.001), (3, 0.02)):
        numbers = table(yielding_values(strained(loaded, -0.001, cells[:n_hot], -0.02), {}, SETTINGS))

        assert numbers["L1", "factor_of_risk_yielded_volume"] == pytest.approx(deciding / 0.0077)
        assert numbers["L1", "yielded_volume_fraction"] == pytest.approx(n_hot / 144)
        assert numbers["L2", "factor_of_risk_yielded_volume"] == pytest.approx(0.001 / 0.0077)


def test_doubling_load_and_strain_leaves_the_strength(loaded, given_state):
    mesh = loaded.mesh
    twice = given_state(mesh, mesh.points @ np.diag([0.0, 0.0, -0.02]))

    one, two = (table(yielding_values(state, {}, SETTINGS)) for state in (loaded, twice))

    assert two["L1", "strength_yielded_volume_n"] == pytest.approx(one["L1", "strength_yielded_volume_n"])
    assert two["L1", "factor_of_risk_yielded_volume"] == pytest.approx(2 * one["L1", "factor_of_risk_yielded_volume"])


def test_cement_is_no_bone(loaded):
    mesh = loaded.mesh
    trabecular = mesh.regions["L1/trabecular"]
    inner = trabecular.cells[trabecular.fraction == 1.0]
    fraction = np.where(np.isin(trabecular.cells, inner), 0.25, trabecular.fraction)
    regions = {
        **mesh.regions,
        "L1/trabecular": Region(trabecular.cells, fraction),
        "L1/cement": Region(inner, np.full(len(inner), 0.75)),
    }
    state = strained(replace(loaded, mesh=replace(mesh, regions=regions)), -0.001, inner[:8], -0.05)
    numbers = table(yielding_values(state, {}, SETTINGS))
    bone = 324.0 - 0.75 * len(inner) * 2.25

    assert numbers["L1", "bone_volume_mm3"] == pytest.approx(bone)
    assert numbers["L1", "yielded_volume_fraction"] == pytest.approx(8 * 0.25 * 2.25 / bone)


def test_the_worse_of_tension_and_compression_counts():
    strains = np.array([[-0.0077, 0.0, 0.0069], [-0.0076, 0.0, 0.0070], [0.001, 0.002, 0.003], [0.0, 0.0, 0.0]])

    assert strain_utilisation(strains, SETTINGS) == pytest.approx([1.0, 1.0, 3 / 7, 0.0])


def test_shear_enters_through_the_principal_strains(loaded):
    strain = np.zeros_like(loaded.fields.strain)
    strain[:, 4] = 0.014  # engineering shear: principal strains +-0.007
    state = replace(loaded, fields=replace(loaded.fields, strain=strain))

    numbers = table(yielding_values(state, {}, SETTINGS))

    assert numbers["L1", "factor_of_risk_yielded_volume"] == pytest.approx(1.0)


def test_a_body_without_load_has_no_strength(loaded):
    with pytest.raises(InputError, match="carries no load"):
        yielding_values(strained(loaded, 0.0), {}, SETTINGS)


def test_a_moment_alone_gives_a_factor_of_risk_and_no_strength_in_newtons(loaded):
    bent = replace(strained(loaded, -0.00077), load_case=LoadCase(force_n=0.0, flexion_nm=7.5, top="free"))
    numbers = table(yielding_values(bent, {}, SETTINGS))

    assert numbers["L1", "factor_of_risk_yielded_volume"] == pytest.approx(0.1)
    assert ("L1", "strength_yielded_volume_n") not in numbers


def test_a_follower_load_is_part_of_the_axial_load(loaded):
    assert replace(loaded, load_case=LoadCase(force_n=0.0, follower_n=700.0)).axial_load == 700.0
    assert replace(loaded, load_case=LoadCase(follower_n=700.0)).axial_load == pytest.approx(700.0 + 81.0)
    assert replace(loaded, load_case=LoadCase(control="displacement", force_n=0.0)).axial_load == pytest.approx(81.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("yield_strain_compression", 0.77),
        ("yield_strain_tension", 0.0),
        ("yielded_volume_fraction", 2.0),
        ("endplate_depth_mm", -1.0),
        ("bulge_rim_mm", float("nan")),
        ("share_heights", (0.6, 0.9)),
    ],
)
def test_settings_outside_their_range_are_refused_by_name(key, value):
    with pytest.raises(InputError) as caught:
        OutcomeSettings(**{key: value})

    assert key in str(caught.value)
