"""The matrix-free operator on a lattice against dense and assembled references."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dense_reference import cell_strain_basis, dense_stiffness
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lattices import GRADIENT, box_mesh, is_on_box, material_of, mixed_elasticity, plane_order, uniform, voxel_mesh
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from fesolver.fem.assembly import assemble_stiffness
from fesolver.fem.constraints import rigid_modes
from fesolver.fem.kernels import bricks
from fesolver.fem.problem import Problem
from fesolver.fem.threads import kernel_threads
from fesolver.fem.voxel_operator import (
    Material,
    VoxelOperator,
    cell_kinds,
    slabs_for,
    strain_modes,
    unit_matrices,
    voxel_operator,
)
from fesolver.fem.voxel_runs import number_nodes

SPACING = (0.7, 1.1, 1.6)

ROUND_OFF = {np.float64: 1e-14, np.float32: 8e-6}
"""Part of |K| |u| that a sum of some 100 products may be off by: some 50 units in the last place."""


def operator_of(problem: Problem) -> tuple[VoxelOperator, NDArray[np.int64]]:
    """The operator, and the problem's points in the order of its nodes."""
    lattice = problem.lattice
    assert lattice is not None
    active = np.zeros(lattice.shape[::-1], dtype=bool)
    i, j, k = lattice.cell_index.T
    active[k, j, i] = True
    nodes, number = number_nodes(active)
    material = material_of(problem.elasticity, plane_order(lattice.cell_index))
    is_bbar = problem.integration == "b-bar"
    operator = voxel_operator(active, nodes, number, material, lattice.spacing, is_bbar=is_bbar)
    return operator, plane_order(lattice.point_index)


def apply_on_points(
    problem: Problem, u: NDArray[np.float64], dtype: Any = np.float64, n_slabs: int = 1, padding: float = 0.0
) -> tuple[NDArray[Any], NDArray[Any]]:
    """K u by the voxel kernel, given and returned on the points of the mesh; u . K u by planes of nodes."""
    operator, points = operator_of(problem)
    nodes = operator.nodes
    x, out = np.full(3 * nodes.stride, padding, dtype), np.full(3 * nodes.stride, np.nan, dtype)
    x.reshape(3, -1)[:, : nodes.count] = u[points].T
    products = operator.product(x, out, slabs_for(nodes, n_slabs))
    assert np.all(np.isnan(out.reshape(3, -1)[:, nodes.count :]))  # written nowhere but on the nodes
    f = np.empty(u.shape, dtype)
    f[points] = out.reshape(3, -1)[:, : nodes.count].T
    return f, products


def holed_problem(integration: str = "b-bar", seed: int = 2) -> Problem:
    """A random mask with three different edges and a different material, of every kind, in every cell."""
    active = np.random.default_rng(seed).random((9, 2, 3)) < 0.7
    points, cells, lattice = voxel_mesh(active, SPACING, origin=(3.0, -1.0, 7.0))
    return Problem(points, cells, mixed_elasticity(len(cells)), lattice=lattice, integration=integration)


def assert_is_product(f: NDArray[Any], K: Any, u: NDArray[np.float64]) -> None:
    """F is K u up to round-off of its type, entry by entry."""
    bound = ROUND_OFF[f.dtype.type] * (abs(K) @ np.abs(u.ravel()))
    error = np.abs(f.ravel().astype(np.float64) - K @ u.ravel())
    assert np.all(error <= bound), f"{np.max(error / bound)} times the round-off"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("integration", ["b-bar", "full"])
def test_voxel_operator_matches_a_dense_reference(integration, dtype):
    problem = holed_problem(integration)
    u = np.random.default_rng(6).standard_normal(problem.points.shape)
    if dtype == np.float32:
        u = u.astype(np.float32).astype(np.float64)
    assert set(operator_of(problem)[0].kinds.tolist()) == {bricks.ISOTROPIC, bricks.ORTHOTROPIC, bricks.GENERAL}

    f, _ = apply_on_points(problem, u, dtype)

    assert_is_product(f, dense_stiffness(problem), u)


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=st.tuples(st.sampled_from([1, 3, 7, 8, 9, 16, 17]), st.integers(1, 3), st.integers(1, 4)),
    density=st.sampled_from([0.15, 0.5, 0.9, 1.0]),
    spacing=st.tuples(*[st.floats(0.3, 3.0)] * 3),
    seed=st.integers(0, 2**16),
    integration=st.sampled_from(["b-bar", "full"]),
    kinds=st.sampled_from([(0,), (1,), (2,), (0, 1, 2)]),
    n_slabs=st.integers(1, 5),
)
def test_any_shape_gives_what_an_assembled_matrix_gives(shape, density, spacing, seed, integration, kinds, n_slabs):
    rng = np.random.default_rng(seed)
    active = rng.random(shape) < density
    active[tuple(rng.integers(0, shape))] = True
    points, cells, lattice = voxel_mesh(active, spacing)
    elasticity = mixed_elasticity(len(cells), seed, kinds)
    problem = Problem(points, cells, elasticity, lattice=lattice, integration=integration)
    u = rng.standard_normal(points.shape, dtype=np.float32).astype(np.float64)
    K = assemble_stiffness(problem)

    for dtype in (np.float64, np.float32):
        f, products = apply_on_points(problem, u, dtype, n_slabs)
        assert_is_product(f, K, u)
        plane = lattice.point_index[:, 2]
        by_plane = np.bincount(plane, (u * f).sum(axis=1), minlength=lattice.shape[2] + 1)
        bound = np.bincount(plane, (np.abs(u) * (abs(K) @ np.abs(u.ravel())).reshape(-1, 3)).sum(axis=1))
        bound = np.pad(bound, (0, len(by_plane) - len(bound)))
        assert np.all(np.abs(products - by_plane) <= ROUND_OFF[dtype] * bound)


@pytest.mark.parametrize("integration", ["b-bar", "full"])
def test_products_by_planes_add_up_to_twice_the_strain_energy(integration):
    problem = holed_problem(integration)
    u = np.random.default_rng(3).standard_normal(problem.points.shape)

    _, products = apply_on_points(problem, u, n_slabs=2)

    assert len(products) == 4
    assert products.sum() == pytest.approx(u.ravel() @ dense_stiffness(problem) @ u.ravel(), rel=1e-13)


@pytest.mark.parametrize("integration", ["b-bar", "full"])
@pytest.mark.parametrize("kind", [bricks.ISOTROPIC, bricks.ORTHOTROPIC, bricks.GENERAL])
def test_unit_matrices_add_up_to_the_stiffness_of_a_cell(kind, integration):
    points, cells, lattice = voxel_mesh(np.ones((1, 1, 1), bool), SPACING)
    problem = Problem(points, cells, mixed_elasticity(1, 4, (kind,)), lattice=lattice, integration=integration)
    operator, order = operator_of(problem)
    unknowns = (3 * order[:, None] + np.arange(3)).ravel()  # eight nodes in plane order are by position bits
    expected = dense_stiffness(problem)[np.ix_(unknowns, unknowns)]
    constants = operator.data[np.float64][kind].reshape(-1, 8)[:, 0]

    units = unit_matrices(kind, lattice.spacing, is_bbar=integration == "b-bar")

    assert_allclose(np.einsum("q,qab->ab", constants, units), expected, rtol=0, atol=1e-14 * np.abs(expected).max())


def test_strain_modes_give_the_strain_of_the_displacement_at_any_point():
    h = np.array(SPACING)
    corners = np.array([[(b >> d) & 1 for d in range(3)] for b in range(8)]) * h
    vtk = [0, 1, 3, 2, 4, 5, 7, 6]
    basis, _ = cell_strain_basis(corners[vtk], is_bbar=False, n=3)
    x = np.polynomial.legendre.leggauss(3)[0]
    xi = np.stack(np.meshgrid(x, x, x, indexing="ij"), axis=-1).reshape(-1, 3)
    monomials = np.stack([np.prod(xi ** [(m >> d) & 1 for d in range(3)], axis=1) for m in range(7)])

    strain = np.einsum("mq,mvc->qvc", monomials, strain_modes(h)).reshape(-1, 6, 8, 3)[:, :, vtk]

    for voigt, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        assert_allclose(strain[:, voigt], basis[:, i, j] * (1 if i == j else 2), rtol=0, atol=1e-14)


@pytest.mark.parametrize("integration", ["b-bar", "full"])
def test_patch_linear_field_leaves_no_force_inside(integration):
    points, cells, lattice = box_mesh((9, 3, 5), SPACING)
    problem = Problem(points, cells, uniform(len(cells), 1000.0, 0.3), lattice=lattice, integration=integration)

    force, _ = apply_on_points(problem, points @ GRADIENT.T)

    assert_allclose(force[~is_on_box(points)], 0.0, atol=1e-12 * np.abs(force).max())
    assert_allclose(force.sum(axis=0), 0.0, atol=1e-12 * np.abs(force).max())


@pytest.mark.parametrize("integration", ["b-bar", "full"])
def test_rigid_motions_leave_no_force_whatever_the_materials(integration):
    problem = holed_problem(integration)
    modes = rigid_modes(problem.points, [1.0, 2.0, 3.0])
    size = abs(dense_stiffness(problem))

    for m in range(6):
        motion = modes[:, :, m].copy()
        force, products = apply_on_points(problem, motion)
        bound = 1e-14 * (size @ np.abs(motion.ravel()))
        assert np.all(np.abs(force.ravel()) <= bound)
        assert abs(products.sum()) <= bound @ np.abs(motion.ravel())


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_operator_has_the_same_bits_for_any_number_of_slabs_and_threads(dtype):
    problem = holed_problem()
    u = np.random.default_rng(9).standard_normal(problem.points.shape)
    one = apply_on_points(problem, u, dtype, 1)

    for n_slabs in (2, 3, 4, 5, 16):
        for n_threads in (1, 2):
            with kernel_threads(n_threads):
                several = apply_on_points(problem, u, dtype, n_slabs)
            assert_array_equal(several[0], one[0])
            assert_array_equal(several[1], one[1])


@pytest.mark.parametrize("n_slabs", [1, 2, 3, 7, 100])
def test_slabs_share_out_every_plane_once(n_slabs):
    active = np.random.default_rng(4).random((20, 3, 9)) < 0.5
    active[3:6] = False
    nodes, _ = number_nodes(active)

    slabs = slabs_for(nodes, n_slabs)

    assert slabs[0] == 0
    assert slabs[-1] == 21
    assert np.all(np.diff(slabs) > 0)
    assert len(slabs) - 1 <= n_slabs
    if n_slabs <= 3:  # shared to within a plane
        assert np.diff(nodes.planes[slabs]).max() <= nodes.count / n_slabs + 2 * np.diff(nodes.planes).max()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_lies_in_the_padding_has_no_part_in_the_product(dtype):
    """Kernels read past the last node, times zero: any finite number does."""
    problem = holed_problem()
    u = np.random.default_rng(10).standard_normal(problem.points.shape)

    assert_array_equal(
        apply_on_points(problem, u, dtype, padding=1e20)[0], apply_on_points(problem, u, dtype, padding=0.0)[0]
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sweeps_are_the_residual_and_the_smoothing_step_they_say(dtype):
    problem = holed_problem()
    operator, _ = operator_of(problem)
    nodes = operator.nodes
    rng = np.random.default_rng(8)

    def vector() -> NDArray[Any]:
        x = np.zeros((3, nodes.stride), dtype)
        x[:, : nodes.count] = rng.standard_normal((3, nodes.count))
        return x.ravel()

    x, b, w, before = vector(), 100 * vector(), vector(), vector()
    w[::7] = 0
    Kx = np.zeros_like(x)
    operator.product(x, Kx, slabs_for(nodes, 1))
    products = np.zeros(len(nodes.planes) - 1, dtype)

    def sweep(task: int, out: NDArray[Any], c0: float = 0.0, c1: float = 0.0, c2: float = 0.0) -> NDArray[Any]:
        bricks.sweep(
            task, slabs_for(nodes, 2), nodes.planes, nodes.largest_plane, x, b, w, out, dtype(c0), dtype(c1), dtype(c2),
            operator.arguments(dtype), operator.constants.astype(dtype), products,
        )  # fmt: skip
        return out.reshape(3, -1)[:, : nodes.count]

    def on_nodes(v: NDArray[Any]) -> NDArray[Any]:
        return v.reshape(3, -1)[:, : nodes.count]

    close = {"rtol": 0, "atol": 10 * float(np.finfo(dtype).eps) * float(np.abs(Kx).max())}
    assert_array_equal(sweep(bricks.RESIDUAL, np.full_like(x, np.nan)), on_nodes(b - Kx))
    # With c1 = 0 what was in `out` is not read, not even a NaN.
    assert_allclose(
        sweep(bricks.SMOOTH, np.full_like(x, np.nan), 1.3, 0.0, 0.7), on_nodes(1.3 * x + 0.7 * w * (b - Kx)), **close
    )
    assert_allclose(
        sweep(bricks.SMOOTH, before.copy(), 1.3, -0.4, 0.7),
        on_nodes(1.3 * x - 0.4 * before + 0.7 * w * (b - Kx)),
        **close,
    )


def test_new_constants_of_the_same_kinds_give_what_a_new_operator_gives():
    problem = holed_problem()
    operator, _ = operator_of(problem)
    other = mixed_elasticity(len(problem.cells), 1, scale=3.0)
    material = material_of(other, plane_order(problem.lattice.cell_index))
    assert_array_equal(cell_kinds(material), operator.kinds)
    fresh, _ = operator_of(Problem(problem.points, problem.cells, other, lattice=problem.lattice))

    changed = operator.with_material(material)

    for dtype in (np.float64, np.float32):
        for new, expected in zip(changed.data[dtype], fresh.data[dtype], strict=True):
            assert_array_equal(new, expected)
    assert all(np.any(a != b) for a, b in zip(changed.data[np.float64], operator.data[np.float64], strict=True))


def test_a_matrix_is_orthotropic_unless_it_couples_shear():
    general = mixed_elasticity(1, 0, (bricks.GENERAL,)).general_matrices[0]
    aligned = mixed_elasticity(1, 0, (bricks.ORTHOTROPIC,)).general_matrices[0]
    noisy = aligned.copy()
    noisy[0, 5] = noisy[5, 0] = 1e-14 * aligned.max()  # what turning by 90 degrees leaves
    tilted = aligned.copy()
    tilted[3, 4] = tilted[4, 3] = 1e-6 * aligned.max()
    matrices = np.stack([general, aligned, noisy, tilted])

    kinds = cell_kinds(Material(np.ones(6), np.ones(6), np.array([1, 2, 4, 5]), matrices))

    assert kinds.tolist() == [0, bricks.GENERAL, bricks.ORTHOTROPIC, 0, bricks.ORTHOTROPIC, bricks.GENERAL]
