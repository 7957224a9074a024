"""Materials: admissible constants, fibre homogenisation against a closed form, defaults, degeneration."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.bone.degeneration import disc_materials
from fesolver.bone.laws import bone_law
from fesolver.bone.materials import (
    BoneMaterial,
    FibreReinforced,
    Isotropic,
    TransverselyIsotropic,
    default_materials,
    fibre_strains,
    mean_fibre_modulus,
)
from fesolver.errors import InputError
from fesolver.fem.hooke import rotate_elasticity

GROUND = Isotropic(4.2, 0.45)


@pytest.mark.parametrize(
    ("young", "poisson"),
    [(0.0, 0.3), (-1.0, 0.3), (np.nan, 0.3), (np.inf, 0.3), (1.0, 0.5), (1.0, -1.0), (1.0, np.nan)],
)
def test_constants_without_a_positive_definite_matrix_are_refused(young, poisson):
    with pytest.raises(InputError):
        Isotropic(young, poisson)


@pytest.mark.parametrize("angle", [0.0, 30.0, 60.0, 90.0])
def test_fibres_store_the_energy_of_their_own_stretch(angle):
    material = FibreReinforced(GROUND, 500.0, 0.16, angle)
    strain = np.array([0.01, -0.02, 0.03, 0.004, -0.005, 0.006])  # nothing cancels
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    stretches = [strain[0] * c * c + strain[2] * s * s + sign * strain[4] * c * s for sign in (1, -1)]
    energy = 0.5 * 500.0 * 0.16 * np.mean(np.square(stretches))  # each family is half of the fibres

    assert_allclose(0.5 * strain @ material.fibre_matrix() @ strain, energy, rtol=1e-12)


def test_circumferential_and_axial_fibre_stiffness_are_those_of_the_angle():
    D = FibreReinforced(GROUND, 473.6, 0.16, 30.0).fibre_matrix()

    assert_allclose(D[0, 0], 473.6 * 0.16 * 0.75**2, rtol=1e-12)
    assert_allclose(D[2, 2], 473.6 * 0.16 * 0.25**2, rtol=1e-12)
    assert_allclose(D[1], 0.0, atol=1e-12)  # nothing along the radius
    assert_allclose(D[0, 4], 0.0, atol=1e-12)  # criss-cross families cancel in shear coupling


def test_fibre_strains_are_those_along_the_fibres_of_turned_axes():
    material = FibreReinforced(GROUND, 500.0, 0.16, 30.0)
    axes = np.array([[[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]])  # circumferential along y
    strain = np.array([[0.0, 0.02, -0.04, 0.01, 0.0, 0.0]])
    shear = 0.01 * np.cos(np.pi / 6) * np.sin(np.pi / 6)

    assert_allclose(fibre_strains(material, strain, axes), [[0.005 + shear, 0.005 - shear]], rtol=1e-12)


def test_default_fibre_modulus_is_the_area_mean_of_the_layer_table():
    assert_allclose(mean_fibre_modulus(), (550 * 0.50 + 495 * 0.39 + 413 * 0.31 + 358 * 0.24) / 1.44, rtol=1e-14)


@pytest.mark.parametrize(
    "arguments", [(-1.0, 0.16, 30.0), (500.0, 1.1, 30.0), (500.0, 0.16, 91.0), (np.nan, 0.16, 30.0)]
)
def test_impossible_fibres_are_refused(arguments):
    with pytest.raises(InputError, match="fibre"):
        FibreReinforced(GROUND, *arguments)


def test_crawford_ratios_are_transversely_isotropic_about_the_axis():
    D = BoneMaterial(bone_law("crawford2003")).unit_matrix()
    angle = 0.7
    turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    S = np.linalg.inv(D)

    assert_allclose(rotate_elasticity(D, turn), D, atol=1e-14)
    assert_allclose([1 / S[0, 0], 1 / S[1, 1], 1 / S[2, 2]], [1 / 3, 1 / 3, 1.0], rtol=1e-12)
    assert_allclose([1 / S[3, 3], 1 / S[4, 4]], 0.157, rtol=1e-12)
    assert_allclose(1 / S[5, 5], 0.121, atol=5e-4)  # published to three digits; here it follows from E_x and nu_xy
    assert_allclose(-S[0, 2] / S[0, 0], 0.104, rtol=1e-12)


def test_inadmissible_transverse_isotropy_is_refused():
    with pytest.raises(InputError, match="not admissible"):
        TransverselyIsotropic(100.0, 300.0, 50.0, 0.3, 1.2)  # needs nu_xz^2 < E_x (1 - nu_xy) / (2 E_z) = 1.05


def test_default_materials_are_the_stated_ones():
    materials = default_materials()

    assert materials["cement"] == Isotropic(2000.0, 0.3)
    assert materials["cortical"] == Isotropic(8040.0, 0.3)
    assert materials["endplate"] == Isotropic(670.0, 0.3)
    assert materials["nucleus"] == Isotropic(1.0, 0.499)
    assert isinstance(materials["annulus"], FibreReinforced)
    assert materials["annulus"].ground == GROUND
    assert isinstance(materials["trabecular"], BoneMaterial)
    assert materials["trabecular"].law == bone_law("kopperdahl2002_power")


def test_moderate_degeneration_is_the_published_set_and_keeps_the_fibres():
    healthy, moderate = disc_materials("none"), disc_materials("moderate")

    assert moderate.nucleus == Isotropic(2.0, 0.49)
    assert moderate.annulus.ground == Isotropic(2.5, 0.40)
    assert moderate.annulus.fibre_young_mpa == healthy.annulus.fibre_young_mpa
    assert healthy.nucleus == default_materials()["nucleus"]


@pytest.mark.parametrize(
    ("grade", "message"), [("severe", "no published linear"), ("mild", "no published"), ("bad", "unknown")]
)
def test_a_grade_without_a_published_set_is_refused_and_not_interpolated(grade, message):
    with pytest.raises(InputError, match=message):
        disc_materials(grade)
