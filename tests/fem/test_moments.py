"""Moments of moduli against the Galerkin product written out brick by brick."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dense_reference import cell_strain_basis
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from fesolver.fem.kernels import bricks, galerkin
from fesolver.fem.kernels.moments import BLOCK, COUNT, EXPONENTS, coarse_sweep
from fesolver.fem.moments import child_interpolation, first_weights, moment_constants, moment_shifts, moment_units

SPACING = np.array([0.7, 1.1, 1.6])
BITS = np.array([[(b >> d) & 1 for d in range(3)] for b in range(8)])
VTK = [0, 1, 3, 2, 4, 5, 7, 6]
"""Position bits of the corners in VTK order."""


def brick_matrices(spacing: NDArray[np.float64], *, is_bbar: bool) -> NDArray[np.float64]:
    """Stiffness (2, 24, 24) of a brick for lambda = 1 and for mu = 1 by quadrature, nodes by position bits."""
    strain, weights = cell_strain_basis((BITS * spacing)[VTK], is_bbar=is_bbar)
    local = np.zeros((len(weights), 3, 3, 8, 3))
    local[:, :, :, VTK] = strain
    basis = local.reshape(len(weights), 3, 3, 24)
    dilatation = np.einsum("qiia->qa", basis)
    lam = np.einsum("q,qa,qb->ab", weights, dilatation, dilatation)
    return np.stack([lam, 2.0 * np.einsum("q,qija,qijb->ab", weights, basis, basis)])


def direct_product(
    lam: NDArray[np.float64], mu: NDArray[np.float64], spacing: NDArray[np.float64], *, is_bbar: bool
) -> NDArray[np.float64]:
    """T^T K T (24, 24) summed over n x n x n bricks (z, y, x) of one coarse cell, T taken at the bricks' corners."""
    n = len(lam)
    units = brick_matrices(spacing, is_bbar=is_bbar)
    total = np.zeros((24, 24))
    for k, j, i in np.ndindex(n, n, n):
        at = (np.array([i, j, k]) + BITS)[:, None] / n  # (8 fine nodes, 1, 3) in [0, 1]
        T = np.kron(np.prod(np.where(BITS, at, 1.0 - at), axis=2), np.eye(3))
        total += T.T @ (lam[k, j, i] * units[0] + mu[k, j, i] * units[1]) @ T
    return total


def moments_of(
    lam: NDArray[np.float64], mu: NDArray[np.float64], spacing: NDArray[np.float64], *, is_bbar: bool
) -> NDArray[np.float64]:
    """Moments (46,) of one coarse cell over 2^levels bricks a side, level by level, in float64."""
    children = [(slice(b >> 2, None, 2), slice((b >> 1) & 1, None, 2), slice(b & 1, None, 2)) for b in range(8)]
    weights, shifts = first_weights(spacing, is_bbar=is_bbar), moment_shifts()
    moments = sum(
        lam[at][..., None] * weights[b, 0] + mu[at][..., None] * weights[b, 1] for b, at in enumerate(children)
    )
    while moments.shape[0] > 1:
        halves = np.split(moments, 2, axis=-1)
        moments = np.concatenate(
            [sum(half[at] @ shifts[b] for b, at in enumerate(children)) for half in halves], axis=-1
        )
    return moments[0, 0, 0]


def random_moduli(n: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lambda and mu of n^3 bricks over three decades, each on its own."""
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(0, 3, (n, n, n)), 10 ** rng.uniform(0, 3, (n, n, n))


@pytest.mark.parametrize("is_bbar", [True, False])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_moments_give_the_galerkin_product_of_all_bricks_under_a_cell(level, is_bbar):
    lam, mu = random_moduli(2**level, level)
    expected = direct_product(lam, mu, SPACING, is_bbar=is_bbar)

    units = moment_units(2**level * SPACING)
    matrix = np.einsum("q,qab->ab", moments_of(lam, mu, SPACING, is_bbar=is_bbar), units)

    assert_allclose(matrix, expected, rtol=0, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("is_bbar", [True, False])
def test_absent_bricks_count_nothing(is_bbar):
    lam, mu = random_moduli(4)
    is_there = np.random.default_rng(1).random(lam.shape) < 0.5
    expected = direct_product(lam * is_there, mu * is_there, SPACING, is_bbar=is_bbar)

    moments = moments_of(lam * is_there, mu * is_there, SPACING, is_bbar=is_bbar)

    assert_allclose(
        np.einsum("q,qab->ab", moments, moment_units(4 * SPACING)),
        expected,
        rtol=0,
        atol=1e-13 * np.abs(expected).max(),
    )


@pytest.mark.parametrize("is_bbar", [True, False])
def test_two_levels_of_shifts_are_the_integrals_over_the_bricks(is_bbar):
    """Level 2 by its definition: three Gauss points a side integrate up to the fifth power exactly."""
    lam, mu = random_moduli(4, 5)
    volume = float(np.prod(SPACING))
    x, w = np.polynomial.legendre.leggauss(3)
    gauss = np.stack(np.meshgrid(x, x, x, indexing="ij"), axis=-1).reshape(-1, 3)
    weights = np.einsum("i,j,k->ijk", w, w, w).ravel() / 8.0
    expected = np.zeros(2 * COUNT)
    for k, j, i in np.ndindex(4, 4, 4):
        centre = (np.array([i, j, k]) + 0.5) / 2.0 - 1.0
        at_centre = volume * np.prod(centre**EXPONENTS, axis=1)
        mean = volume * weights @ np.prod((centre + gauss[:, None] / 4.0) ** EXPONENTS, axis=2)
        expected[:COUNT] += mu[k, j, i] * mean
        if is_bbar:
            bulk = lam[k, j, i] + 2.0 / 3.0 * mu[k, j, i]
            expected[COUNT:] += bulk * at_centre - 2.0 / 3.0 * mu[k, j, i] * mean
        else:
            expected[COUNT:] += lam[k, j, i] * mean

    assert_allclose(
        moments_of(lam, mu, SPACING, is_bbar=is_bbar), expected, rtol=0, atol=1e-13 * np.abs(expected).max()
    )


def test_powers_are_those_of_products_of_two_strain_monomials():
    monomials = BITS[:7]  # 1, xi, eta, xi eta, zeta, xi zeta, eta zeta
    products = {tuple((a + b).tolist()) for a in monomials for b in monomials}

    assert len(EXPONENTS) == COUNT == len(products)
    assert {tuple(e) for e in EXPONENTS.tolist()} == products


def test_interpolation_to_children_is_exact_for_trilinear_functions():
    coefficients = np.random.default_rng(3).standard_normal(8)

    def value(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.prod(x[:, None] ** BITS, axis=2) @ coefficients

    T = child_interpolation()

    for child in range(8):
        assert_allclose(T[child] @ value(BITS.astype(float)), value((BITS[child] + BITS) / 2.0), rtol=0, atol=1e-14)


def row_of_cells(n_cells: int, n: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lambda and mu (n_cells, n, n, n) of coarse cells side by side along x."""
    rng = np.random.default_rng(seed)
    return 10 ** rng.uniform(0, 2, (n_cells, n, n, n)), 10 ** rng.uniform(0, 2, (n_cells, n, n, n))


def product_with_row(moments: NDArray[np.float32], n_cells: int, u: NDArray[Any], constants: NDArray[Any]) -> Any:
    """K u by the kernel on a row of coarse cells along x: nodes z, y, x."""
    row = n_cells + 1
    count = 4 * row
    stride = count + 16
    runs = np.array([[0, n_cells, 0, row, 2 * row, 3 * row]], dtype=np.int32)
    x, out = np.zeros((3, stride), np.float32), np.zeros((3, stride), np.float32)
    x[:, :count] = u
    none, zero = np.zeros(0, np.float32), np.float32(0)
    cells = (
        runs, np.array([0, 1]), moments, np.zeros((0, 4), np.int32), np.zeros(2, np.int64), np.zeros(0, np.float32),
    )  # fmt: skip
    coarse_sweep(
        bricks.PRODUCT, np.array([0, 2]), np.array([0, 2 * row, 4 * row]), 2 * row + 16, x.ravel(), none, none,
        out.ravel(), zero, zero, zero, cells, constants, np.zeros(2, np.float32),
    )  # fmt: skip
    return out[:, :count]


@pytest.mark.parametrize("is_bbar", [True, False])
@pytest.mark.parametrize("n_cells", [1, 7, 8, 9, 17])
def test_the_kernels_make_and_apply_the_moments_of_a_row_of_cells(n_cells, is_bbar):
    """Two levels: `first_moments`, `next_moments`, then the product, against the bricks one by one."""
    lam, mu = row_of_cells(n_cells, 4, n_cells)
    # Slots of the level-0 and level-1 cells in any order, some absent.
    rng = np.random.default_rng(7)
    lam[rng.random(lam.shape) < 0.2] = 0.0
    mu[lam == 0.0] = 0.0
    slot0 = rng.permutation(lam.size).reshape(lam.shape).astype(np.int32)
    slot1 = rng.permutation(8 * n_cells).reshape(n_cells, 2, 2, 2).astype(np.int32)
    fine = np.zeros((-(-lam.size // 8), 2, 8))
    fine[slot0 // 8, 0, slot0 % 8], fine[slot0 // 8, 1, slot0 % 8] = lam, mu
    slot0[mu == 0.0] = -1

    def children(slots: NDArray[np.int32]) -> NDArray[np.int32]:
        halves = [slots[..., b >> 2 :: 2, (b >> 1) & 1 :: 2, b & 1 :: 2] for b in range(8)]
        return np.ascontiguousarray(np.stack(halves, axis=-1).reshape(-1, 8))

    middle = np.zeros((n_cells, 2 * COUNT, 8), np.float32)
    coarse = np.zeros((-(-n_cells // 8), 2 * COUNT, 8), np.float32)
    galerkin.first_moments(children(slot0), fine, first_weights(SPACING, is_bbar=is_bbar), slot1.ravel(), middle)
    galerkin.next_moments(children(slot1), middle, moment_shifts(), np.arange(n_cells, dtype=np.int32), coarse)
    edges = 4 * SPACING
    u = rng.standard_normal((3, 4 * (n_cells + 1))).astype(np.float32)

    f = product_with_row(coarse.ravel(), n_cells, u, moment_constants(edges).astype(np.float32))

    assert coarse[0].size == BLOCK
    expected, bound = np.zeros(f.shape), np.zeros(f.shape)
    for cell in range(n_cells):
        nodes = [(2 * z + y) * (n_cells + 1) + cell + x for x, y, z in BITS]
        K = direct_product(lam[cell], mu[cell], SPACING, is_bbar=is_bbar)
        local = u[:, nodes].T.ravel().astype(np.float64)
        expected[:, nodes] += (K @ local).reshape(8, 3).T
        bound[:, nodes] += (np.abs(K) @ np.abs(local)).reshape(8, 3).T
    # Float32: moments and product, some 100 operations each.
    assert np.all(np.abs(f - expected) <= 2e-6 * bound.max())


def test_the_bits_of_moments_do_not_depend_on_which_cells_are_made_together():
    lam, mu = random_moduli(4, 9)
    fine = np.zeros((8, 2, 8))
    fine[:, 0], fine[:, 1] = lam.reshape(8, 8), mu.reshape(8, 8)
    slots = np.arange(64, dtype=np.int32).reshape(4, 4, 4)
    children = np.ascontiguousarray(
        np.stack([slots[b >> 2 :: 2, (b >> 1) & 1 :: 2, b & 1 :: 2].ravel() for b in range(8)], axis=1)
    )
    weights = first_weights(SPACING, is_bbar=True)
    together, apart = np.zeros((1, 2 * COUNT, 8), np.float32), np.zeros((1, 2 * COUNT, 8), np.float32)

    galerkin.first_moments(children, fine, weights, np.arange(8, dtype=np.int32), together)
    for cell in range(8):
        galerkin.first_moments(children[cell : cell + 1], fine, weights, np.array([cell], np.int32), apart)

    assert_array_equal(together, apart)
