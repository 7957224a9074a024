"""Strain, stress and energy density of lattice cells against quadrature, exact constants and the operator's energy."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import lattices
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from lattices import GRADIENT, varied_elasticity
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.fem import voxel_mesh as package
from fesolver.fem.constraints import rigid_modes
from fesolver.fem.fields import Fields
from fesolver.fem.hooke import elasticity_matrices, lame_parameters, orthotropic_elasticity
from fesolver.fem.problem import Elasticity, Problem
from fesolver.fem.recovery import integrate_fields, internal_force, recover_fields, voxel_fields
from fesolver.fem.threads import kernel_threads
from fesolver.fem.voxel_operator import Material, VoxelOperator, voxel_operator
from fesolver.fem.voxel_runs import number_nodes

SPACING = (0.7, 1.1, 1.6)
ENGINEERING = np.array([GRADIENT[0, 0], GRADIENT[1, 1], GRADIENT[2, 2], *(GRADIENT + GRADIENT.T)[[1, 0, 0], [2, 2, 1]]])
NAMES = ("strain", "stress", "strain_energy_density")
KINDS = ("isotropic", "orthotropic", "general", "mixed")


def elasticity_of(kind: str, n: int) -> Elasticity:
    """Every cell different; the orthotropic axes along the grid, with nine constants that all differ."""
    rng = np.random.default_rng(21)
    plain = Elasticity(rng.uniform(10, 500, n), rng.uniform(0.0, 0.49, n))
    D = orthotropic_elasticity(
        young=[140.0, 100.0, 300.0], shear=[48.0, 40.0, 30.0], poisson_yz=0.1, poisson_xz=0.12, poisson_xy=0.35
    )
    along = rng.uniform(0.2, 5.0, n)[:, None, None] * D
    turned = varied_elasticity(4 * n + 40, seed=4).general_matrices[:n]
    if kind == "isotropic":
        return plain
    if kind == "mixed":
        which = rng.integers(0, 3, n)
        cells = np.flatnonzero(which)
        return replace(
            plain, general_cells=cells, general_matrices=np.where(which[:, None, None] == 1, along, turned)[cells]
        )
    return replace(plain, general_cells=np.arange(n), general_matrices=along if kind == "orthotropic" else turned)


def holed_problem(kind: str, integration: str = "b-bar", shape: tuple[int, int, int] = (21, 4, 5)) -> Problem:
    """A random mask, three different edges, points with z fastest: neither points nor cells in the operator's order."""
    active = np.random.default_rng(2).random(shape) < 0.8
    active[:, 1, 2] = True  # a row of several vectors
    active[:8, 2, 2], active[8, 2, 2] = True, False  # and one that ends with a vector
    points, cells, lattice = lattices.voxel_mesh(active, SPACING, origin=(3.0, -1.0, 7.0))
    return Problem(points, cells, elasticity_of(kind, len(cells)), lattice=lattice, integration=integration)


def random_motion(problem: Problem, seed: int = 6) -> np.ndarray:
    """A displacement without any order."""
    return np.random.default_rng(seed).standard_normal(problem.points.shape)


def assert_same_fields(fields: Fields, expected: Fields, relative: float) -> None:
    """Agreement to a part of each field's largest value."""
    for name in NAMES:
        a, b = getattr(fields, name), getattr(expected, name)
        assert_allclose(a, b, rtol=0, atol=relative * np.abs(b).max(), err_msg=name)


@pytest.mark.parametrize("integration", ["b-bar", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_closed_form_means_agree_with_quadrature(kind, integration):
    problem = holed_problem(kind, integration)
    u = random_motion(problem)

    # Round-off of sums over 24 displacements and 8 quadrature points.
    assert_same_fields(recover_fields(problem, u), integrate_fields(problem, u), 1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_package_meshes_too_agree_with_quadrature(kind):
    """Points with x fastest, as the operator has them; cells with z fastest."""
    points, cells, lattice = package.voxel_mesh(np.random.default_rng(3).random((9, 5, 4)) < 0.7, SPACING)
    problem = Problem(points, cells, elasticity_of(kind, len(cells)), lattice=lattice)
    u = random_motion(problem)

    assert_same_fields(recover_fields(problem, u), integrate_fields(problem, u), 1e-13)


@settings(max_examples=40, deadline=None)
@given(
    active=arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=10)).filter(np.any),
    edges=st.tuples(*[st.floats(0.1, 5.0)] * 3),
    integration=st.sampled_from(["b-bar", "full"]),
    seed=st.integers(0, 1000),
)
def test_any_active_shape_agrees_with_quadrature(active, edges, integration, seed):
    points, cells, lattice = lattices.voxel_mesh(active, edges)
    problem = Problem(points, cells, varied_elasticity(len(cells), seed=seed), lattice=lattice, integration=integration)
    u = random_motion(problem, seed)

    # Edges up to 50 times as long as others: their strains are small beside the largest.
    assert_same_fields(recover_fields(problem, u), integrate_fields(problem, u), 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_linear_field_gives_the_exact_constants(kind):
    problem = holed_problem(kind)
    D = elasticity_matrices(problem.elasticity)
    stress = D @ ENGINEERING

    fields = recover_fields(problem, problem.points @ GRADIENT.T)

    assert_allclose(fields.strain, np.tile(ENGINEERING, (len(D), 1)), rtol=0, atol=1e-16 * 100)
    assert_allclose(fields.stress, stress, rtol=0, atol=1e-13 * np.abs(stress).max() * 10)
    assert_allclose(fields.strain_energy_density, 0.5 * stress @ ENGINEERING, rtol=1e-11)


def test_rigid_motions_leave_no_strain_no_stress_no_energy():
    problem = holed_problem("mixed")
    modes = rigid_modes(problem.points, [1.0, 2.0, 3.0])

    for m in range(6):
        fields = recover_fields(problem, modes[:, :, m].copy())
        size = np.abs(modes[:, :, m]).max()
        assert_allclose(fields.strain, 0.0, atol=1e-14 * size)
        assert_allclose(fields.stress, 0.0, atol=1e-14 * size * 1e4)
        assert_allclose(fields.strain_energy_density, 0.0, atol=1e-24)


@pytest.mark.parametrize("integration", ["b-bar", "full"])
def test_energies_of_the_cells_sum_to_the_work_of_the_internal_force(integration):
    problem = holed_problem("mixed", integration)
    u = random_motion(problem)

    total = recover_fields(problem, u).strain_energy_density.sum() * np.prod(SPACING)

    assert total == pytest.approx(0.5 * np.sum(u * internal_force(problem, u)), rel=1e-12)


@pytest.mark.parametrize("kind", ["isotropic", "mixed"])
def test_rows_follow_cells_and_points_in_any_order(kind):
    problem = holed_problem(kind)
    u = random_motion(problem)
    expected = recover_fields(problem, u)
    lattice = problem.lattice
    assert lattice is not None
    rng = np.random.default_rng(12)
    p, c = rng.permutation(len(problem.points)), rng.permutation(len(problem.cells))
    place = np.argsort(p)
    D = elasticity_matrices(problem.elasticity)[c]
    e = problem.elasticity
    general = np.flatnonzero(np.isin(c, e.general_cells))
    shuffled = replace(
        problem,
        points=problem.points[p],
        cells=place[problem.cells[c]],
        elasticity=Elasticity(e.young[c], e.poisson[c], general, D[general]),
        lattice=replace(lattice, cell_index=lattice.cell_index[c], point_index=lattice.point_index[p]),
    )

    fields = recover_fields(shuffled, u[p])

    for name in NAMES:
        assert_array_equal(getattr(fields, name), getattr(expected, name)[c])


@pytest.mark.parametrize("fault", ["moved point", "turned cell", "no lattice", "cell twice", "loose point"])
def test_meshes_that_are_not_the_lattice_are_integrated(fault):
    problem = holed_problem("isotropic")
    lattice = problem.lattice
    assert lattice is not None
    points, cells = problem.points.copy(), problem.cells.copy()
    if fault == "moved point":
        points[17] += (0.0, 0.1, 0.0)
    elif fault == "turned cell":
        cells[5] = cells[5][[1, 2, 3, 0, 5, 6, 7, 4]]
    elif fault == "cell twice":
        cells[5] = cells[4]
        index = lattice.cell_index.copy()
        index[5] = index[4]
        lattice = replace(lattice, cell_index=index)
    elif fault == "loose point":
        corner = np.array([[0, 0, 0]], dtype=np.int32)
        points = np.concatenate([points, lattice.origin + corner * lattice.spacing])
        lattice = replace(lattice, point_index=np.concatenate([lattice.point_index, corner]))
    else:
        lattice = None
    other = replace(problem, points=points, cells=cells, lattice=lattice)
    u = random_motion(other)

    fields, expected = recover_fields(other, u), integrate_fields(other, u)

    for name in NAMES:
        assert_array_equal(getattr(fields, name), getattr(expected, name))


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one core: nothing to compare")
def test_fields_have_the_same_bits_for_any_number_of_threads():
    problem = holed_problem("mixed", shape=(19, 6, 23))
    u = random_motion(problem)
    with kernel_threads(1):
        one = recover_fields(problem, u)

    for threads in range(2, numba.config.NUMBA_NUM_THREADS + 1):
        with kernel_threads(threads):
            fields = recover_fields(problem, u)
        for name in (*NAMES, "principal_stress", "principal_strain"):
            assert_array_equal(getattr(fields, name), getattr(one, name))


def block_operator(n: int) -> VoxelOperator:
    """A heterogeneous isotropic cube."""
    active = np.ones((n, n, n), dtype=bool)
    nodes, number = number_nodes(active)
    young = np.random.default_rng(8).uniform(100.0, 500.0, active.size)
    material = Material(*lame_parameters(young, 0.3), np.zeros(0, np.int64), np.zeros((0, 6, 6)))
    return voxel_operator(active, nodes, number, material, np.array(SPACING), is_bbar=True)


def test_plain_arrays_come_back_in_the_order_z_y_x():
    n = 5
    operator = block_operator(n)
    u = np.zeros(3 * operator.nodes.stride)
    _, j, i = np.indices((n + 1, n + 1, n + 1)).reshape(3, -1)
    # u_x = x y: mean strain xx is y at the cell's centre, mean shear xy is x there.
    u[: operator.nodes.count] = (i * SPACING[0]) * (j * SPACING[1])

    strain = voxel_fields(operator, u).strain.reshape(n, n, n, 6)

    at = np.arange(n) + 0.5
    assert_allclose(strain[..., 0], np.broadcast_to((at * SPACING[1])[:, None], (n, n, n)), rtol=1e-13)
    assert_allclose(strain[..., 5], np.broadcast_to(at * SPACING[0], (n, n, n)), rtol=1e-13)
    assert_allclose(strain[..., 1:5], 0.0, atol=1e-14)


def test_memory_is_that_of_the_fields():
    n = 48  # enough that what the libraries take for themselves is little beside the fields
    operator = block_operator(n)
    u = np.zeros(3 * operator.nodes.stride)
    voxel_fields(operator, u)  # compiles

    tracemalloc.start()
    voxel_fields(operator, u)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 1.1 * 13 * 8 * n**3  # 13 floats per cell; a start per row beside them
