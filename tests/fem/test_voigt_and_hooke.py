"""The constitutive law alone, anchored to E, nu and G."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fesolver.errors import InputError
from fesolver.fem.hooke import (
    elasticity_matrices,
    isotropic_elasticity,
    lame_parameters,
    orthotropic_elasticity,
    rotate_elasticity,
)
from fesolver.fem.problem import Elasticity
from fesolver.fem.voigt import VOIGT_PAIRS, principal_values, strain_tensor, stress_tensor, von_mises

# A turn by a general axis and angle: no entry is zero.
ROTATION = np.linalg.qr(np.array([[0.3, 0.9, -0.2], [0.8, -0.1, 0.5], [0.4, 0.6, 0.7]]))[0]
ROTATION = ROTATION * np.sign(np.linalg.det(ROTATION))


def trabecular() -> np.ndarray:
    """Orthotropic constants with nothing equal, MPa."""
    return orthotropic_elasticity(
        young=[140.0, 100.0, 300.0], shear=[48.0, 40.0, 30.0], poisson_yz=0.1, poisson_xz=0.12, poisson_xy=0.35
    )


@pytest.mark.parametrize("poisson", [-0.3, 0.0, 0.3, 0.4999])
def test_uniaxial_stress_gives_young_and_poisson(poisson):
    strain = np.linalg.solve(isotropic_elasticity(250.0, poisson), [0.0, 0.0, -1.0, 0.0, 0.0, 0.0])

    assert_allclose(strain, [poisson / 250, poisson / 250, -1 / 250, 0, 0, 0], atol=1e-14)  # round-off of 4e-3 * 5e3


@pytest.mark.parametrize("row", [3, 4, 5])
def test_shear_stress_is_g_times_engineering_shear(row):
    D = isotropic_elasticity(260.0, 0.3)

    assert D[row, row] == pytest.approx(100.0, rel=1e-14)
    assert np.count_nonzero(D[row]) == 1


def test_lame_parameters_give_bulk_modulus():
    lam, mu = lame_parameters(90.0, 0.25)

    assert lam + 2 * mu / 3 == pytest.approx(90.0 / (3 * 0.5), rel=1e-14)


def test_orthotropic_compliance_has_the_named_constants():
    S = np.linalg.inv(trabecular())

    assert_allclose(1 / np.diag(S), [140, 100, 300, 48, 40, 30], rtol=1e-13)
    assert_allclose([-S[2, 1] * 100, -S[2, 0] * 140, -S[1, 0] * 140], [0.1, 0.12, 0.35], rtol=1e-12)


def test_orthotropic_with_equal_constants_is_isotropic():
    E, nu = 200.0, 0.3
    G = E / (2 * (1 + nu))
    D = orthotropic_elasticity(young=[E] * 3, shear=[G] * 3, poisson_yz=nu, poisson_xz=nu, poisson_xy=nu)

    assert_allclose(D, isotropic_elasticity(E, nu), rtol=1e-13, atol=1e-12)


def test_inadmissible_orthotropic_constants_are_refused():
    with pytest.raises(InputError, match="not admissible"):
        orthotropic_elasticity(young=[1.0, 1.0, 100.0], shear=[1.0] * 3, poisson_yz=1.5, poisson_xz=0.0, poisson_xy=0.0)


def test_rotation_follows_the_fourth_order_tensor():
    D = trabecular()
    C = np.zeros((3, 3, 3, 3))
    for a, (i, j) in enumerate(VOIGT_PAIRS):
        for b, (k, m) in enumerate(VOIGT_PAIRS):
            C[i, j, k, m] = C[j, i, k, m] = C[i, j, m, k] = C[j, i, m, k] = D[a, b]
    R = ROTATION.T  # columns of R are the local axes in the outer frame
    turned = np.einsum("ia,jb,kc,ld,abcd->ijkl", R, R, R, R, C)
    expected = [[turned[i, j, k, m] for (k, m) in VOIGT_PAIRS] for (i, j) in VOIGT_PAIRS]

    assert_allclose(rotate_elasticity(D, ROTATION), expected, rtol=1e-12, atol=1e-11)


def test_isotropic_elasticity_does_not_change_by_rotation():
    D = isotropic_elasticity(123.0, 0.37)

    assert_allclose(rotate_elasticity(D, ROTATION), D, atol=1e-12 * 300)


@pytest.mark.parametrize(("young", "poisson"), [(0.0, 0.3), (-1.0, 0.3), (np.nan, 0.3), (1.0, 0.5), (1.0, -1.0)])
def test_constants_out_of_range_are_refused_with_the_number(young, poisson):
    with pytest.raises(InputError, match=r"must (be positive|lie in)"):
        isotropic_elasticity(young, poisson)


def test_general_cells_replace_only_their_own_matrices():
    elasticity = Elasticity(
        np.array([10.0, 20.0, 30.0, 40.0]),
        np.full(4, 0.2),
        np.array([1, 3]),
        np.stack([trabecular(), 2 * trabecular()]),
    )

    D = elasticity_matrices(elasticity, np.array([3, 0, 1]))

    assert_allclose(D[0], 2 * trabecular())
    assert_allclose(D[1], isotropic_elasticity(10.0, 0.2))
    assert_allclose(D[2], trabecular())


def test_tensors_halve_engineering_shear_but_not_shear_stress():
    v = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]

    assert_allclose(stress_tensor(v), [[1, 6, 5], [6, 2, 4], [5, 4, 3]])
    assert_allclose(strain_tensor(v), [[1, 3, 2.5], [3, 2, 2], [2.5, 2, 3]])


def test_von_mises_of_uniaxial_shear_and_pressure():
    states = [[-7.0, 0, 0, 0, 0, 0], [0, 0, 0, 2.0, 0, 0], [-5.0, -5.0, -5.0, 0, 0, 0]]

    assert_allclose(von_mises(states), [7.0, 2.0 * np.sqrt(3.0), 0.0], atol=1e-14)


def test_principal_values_are_ascending_and_survive_rotation():
    tensor = ROTATION.T @ np.diag([3.0, -8.0, 1.0]) @ ROTATION

    assert_allclose(principal_values(tensor), [-8.0, 1.0, 3.0], rtol=1e-13)
