"""Principal values against LAPACK, tensors of known eigenvalues, and their invariances."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.fem.fields import Fields
from fesolver.fem.threads import kernel_threads
from fesolver.fem.voigt import (
    principal_strain,
    principal_stress,
    principal_values,
    strain_tensor,
    stress_tensor,
)

N = 2000
# Round-off of some thirty operations on entries up to the norm; LAPACK's own is of the same size.
PART = 2e-14


def turned(values: np.ndarray, seed: int = 1) -> np.ndarray:
    """Symmetric tensors (n, 3, 3) of given eigenvalues (n, 3), each turned at random."""
    axes = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), 3, 3)))[0]
    tensor = np.einsum("nia,na,nja->nij", axes, values, axes)
    return 0.5 * (tensor + tensor.swapaxes(1, 2))


def assert_eigenvalues(tensor: np.ndarray, expected: np.ndarray) -> None:
    """Ascending, and equal to a part of each tensor's norm."""
    values = principal_values(tensor)
    norm = np.maximum(np.linalg.norm(tensor, axis=(1, 2)), np.finfo(float).tiny)
    assert np.all(np.diff(values, axis=1) >= 0)
    assert_allclose((values - expected) / norm[:, None], 0.0, atol=PART)


def spread(kind: str) -> np.ndarray:
    """Eigenvalues (N, 3), ascending."""
    rng = np.random.default_rng(5)
    gap = 10.0 ** rng.uniform(-17, 0, N)
    base = rng.standard_normal(N)
    far = base + rng.choice([-1.0, 1.0], N) * rng.uniform(0.5, 3.0, N)
    columns = {
        "any": rng.standard_normal((N, 3)).T,
        "two nearly equal": (base, base * (1.0 + gap), far),
        "two equal": (base, base, far),
        "nearly hydrostatic": 300.0 + gap * rng.standard_normal((3, N)),
        "hydrostatic": (base, base, base),
        "traceless": (base, -base, 0.0 * base),
        "uniaxial": (base, 0.0 * base, 0.0 * base),
        "small beside large": (base, 1e-9 * far, 1e9 * far),
    }[kind]
    return np.sort(np.stack(columns, axis=1), axis=1)


KINDS = [
    "any",
    "two nearly equal",
    "two equal",
    "nearly hydrostatic",
    "hydrostatic",
    "traceless",
    "uniaxial",
    "small beside large",
]


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_the_tensor_was_made_of_and_lapacks(kind):
    values = spread(kind)
    tensor = turned(values)

    assert_eigenvalues(tensor, values)
    assert_eigenvalues(tensor, np.linalg.eigvalsh(tensor))


@pytest.mark.parametrize("kind", KINDS)
def test_diagonal_tensors_of_any_order_keep_their_entries(kind):
    values = spread(kind)
    mixed = np.random.default_rng(3).permuted(values, axis=1)
    tensor = np.zeros((N, 3, 3))
    tensor[:, [0, 1, 2], [0, 1, 2]] = mixed

    assert_eigenvalues(tensor, values)


@pytest.mark.parametrize("scale", [2.0**-600, 2.0**-60, 2.0**600])
def test_values_scale_with_the_tensor_bit_for_bit(scale):
    tensor = turned(spread("any"))

    assert_array_equal(principal_values(scale * tensor), scale * principal_values(tensor))


def test_zero_gives_zero_and_nan_gives_nan():
    tensor = np.zeros((13, 3, 3))
    for n, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        tensor[n, i, j] = tensor[n, j, i] = np.nan
        tensor[6 + n] = 1.0
        tensor[6 + n, i, j] = tensor[6 + n, j, i] = np.nan

    values = principal_values(tensor)

    assert np.isnan(values[:12]).all()
    assert_array_equal(values[12], 0.0)


def test_shapes_follow_the_tensors():
    assert principal_values(np.eye(3)).shape == (3,)
    assert principal_values(np.zeros((0, 3, 3))).shape == (0, 3)
    assert principal_stress(np.zeros((4, 5, 6))).shape == (4, 5, 3)
    stress = np.random.default_rng(2).standard_normal((2, 7, 6))
    assert_array_equal(principal_stress(stress[:, ::2]), principal_stress(stress)[:, ::2])


def test_voigt_vectors_and_their_tensors_have_the_same_values():
    voigt = np.random.default_rng(9).standard_normal((N, 6))

    assert_array_equal(principal_stress(voigt), principal_values(stress_tensor(voigt)))
    assert_array_equal(principal_strain(voigt), principal_values(strain_tensor(voigt)))


def test_fields_give_principal_stress_and_strain_with_half_the_engineering_shear():
    shear = np.array([[0.0, 0.0, 0.0, 2e-3, 0.0, 0.0]])
    fields = Fields(strain=shear, stress=500.0 * shear, strain_energy_density=np.array([1e-3]))

    assert_allclose(fields.principal_strain, [[-1e-3, 0.0, 1e-3]], atol=1e-17)
    assert_allclose(fields.principal_stress, [[-1.0, 0.0, 1.0]], atol=1e-14)


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one core: nothing to compare")
def test_values_have_the_same_bits_for_any_number_of_threads_and_any_place_in_a_block():
    tensor = turned(spread("two nearly equal"))
    with kernel_threads(1):
        one = principal_values(tensor)

    with kernel_threads(2):
        assert_array_equal(principal_values(tensor), one)
    assert_array_equal(principal_values(tensor[5:]), one[5:])
