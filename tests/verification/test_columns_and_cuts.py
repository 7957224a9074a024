"""Bars with exact answers: uniaxial, in series, in parallel, graded, bent; and the balance of every cut."""

from __future__ import annotations

import numpy as np
import pytest
from exact_solutions import tapered_bar_shortening
from lattices import SLIDE, TILT, all_dofs, box_mesh, on_plane, pads, uniform, varied_elasticity
from numpy.testing import assert_allclose
from verification_cases import column_stiffness

from fesolver.errors import InputError
from fesolver.fem.cuts import cut_forces
from fesolver.fem.problem import Elasticity, Loads, Problem, RigidLoad
from fesolver.fem.recovery import recover_fields
from fesolver.solvers.prepare import prepare

METHODS = ["direct", "amg", "pyamg", "voxel-multigrid"]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("poisson", [0.0, 0.3, 0.499])
def test_uniaxial_column_with_free_sides_is_exact(method, poisson):
    E, stress = 120.0, -0.6
    points, cells, lattice = box_mesh((3, 4, 6), (1.2, 0.9, 1.5), origin=(2.0, -3.0, 8.0))
    x = points - points.min(axis=0)
    symmetric = np.concatenate([3 * on_plane(x, axis, 0.0) + axis for axis in range(3)])
    force = np.zeros_like(points)
    top = cells[lattice.cell_index[:, 2] == 5][:, 4:]
    np.add.at(force[:, 2], top.ravel(), stress * 1.2 * 0.9 / 4)
    problem = Problem(
        points, cells, uniform(len(cells), E, poisson), prescribed_dofs=np.sort(symmetric), lattice=lattice
    )

    solution = prepare(problem, method).solve(Loads(nodal_force=force), rtol=1e-12)

    strain = stress / E
    assert_allclose(solution.u, x * [-poisson * strain, -poisson * strain, strain], atol=1e-9)  # rtol of 5e-2 mm
    assert_allclose(
        recover_fields(problem, solution.u).stress, np.tile([0, 0, stress, 0, 0, 0], (len(cells), 1)), atol=1e-7
    )


@pytest.mark.parametrize("method", METHODS)
def test_layers_in_series_add_their_compliances(method):
    E = np.array([300.0, 300.0, 4.2, 4.2, 100.0, 2500.0, 80.0, 80.0])
    h, n = 1.5, 4

    k = column_stiffness(np.broadcast_to(E, (n, n, len(E))), h, method)

    assert k == pytest.approx((n * h) ** 2 / np.sum(h / E), rel=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_bars_in_parallel_add_their_stiffnesses(method):
    E = np.random.default_rng(3).choice([34.0, 100.0, 2500.0], (5, 4, 1))
    h, n_layers = 1.5, 6

    k = column_stiffness(np.broadcast_to(E, (5, 4, n_layers)), h, method)

    assert k == pytest.approx(E.sum() * h**2 / (n_layers * h), rel=1e-8)


def test_published_parallel_bound_of_a_cement_column():
    """1100 mm2 of bone of 100 MPa, 25 mm high: 4400 N/mm; with 14 % of its area PMMA of 2500 MPa: 19184 N/mm."""
    E = np.full((10, 10, 5), 100.0)
    without = column_stiffness(E, 5.0)
    E[:, :, :].reshape(100, 5)[:14] = 2500.0

    area = 1100.0 / 2500.0  # of the 50 mm x 50 mm bar to that of the body

    assert without * area == pytest.approx(4400.0, rel=1e-8)
    assert column_stiffness(E, 5.0) * area == pytest.approx(19184.0, rel=1e-8)


def test_graded_bar_approaches_the_logarithm_at_second_order():
    force, length, slope = 500.0, 12.0, 3.0
    exact = tapered_bar_shortening(force, length, 4.0, 100.0, slope)
    errors = []
    for n in (8, 16):
        z = (np.arange(n) + 0.5) / n
        E = np.broadcast_to(100.0 * (1 + slope * z), (round(2 * n / length) or 1, round(2 * n / length) or 1, n))
        side = E.shape[0] * length / n
        errors.append(force / column_stiffness(E, length / n) * side**2 / 4.0 - exact)

    assert abs(errors[1]) < 1e-3 * exact
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.1)


def series_column() -> tuple[Problem, Loads]:
    """Stiff, soft, stiff, with unlike cells in every layer: nothing is uniform across a cut."""
    points, cells, lattice = box_mesh((5, 4, 9), (1.5, 1.2, 1.4))
    rng = np.random.default_rng(4)
    layer = lattice.cell_index[:, 2]
    is_soft = (layer >= 4) & (layer < 6)
    young = np.where(is_soft, rng.uniform(1, 5, len(cells)), rng.uniform(50, 2500, len(cells)))
    poisson = np.where(is_soft, 0.499, 0.3)
    reference = points.max(axis=0) - [2.0, 3.5, 0.0]
    problem = Problem(
        points, cells, Elasticity(young, poisson), rigid_bodies=pads(points, top=TILT, reference=reference),
        lattice=lattice,
    )  # fmt: skip
    return problem, Loads(rigid={"top": RigidLoad(np.array([0, 0, -500.0]))})


@pytest.mark.parametrize("method", METHODS)
def test_every_cut_passes_the_force_and_moment_beyond_it(method):
    problem, loads = series_column()
    solution = prepare(problem, method).solve(loads)
    body = problem.rigid_bodies[1]
    top = solution.rigid_reaction["top"]
    assert problem.lattice is not None
    layer = problem.lattice.cell_index[:, 2]

    for cut in range(1, 9):
        passed = cut_forces(problem, solution.u, layer < cut, about=body.reference)

        assert_allclose(passed.force, top[:3], atol=1e-6 * 500.0)
        assert passed.force[2] == pytest.approx(-500.0, rel=1e-6)
        assert_allclose(passed.moment, top[3:], atol=1e-6 * 500.0 * 10.0)
        assert_allclose(passed.forces.sum(axis=0), passed.force, atol=1e-9)


def test_cut_under_prescribed_motion_balances_the_reaction_too():
    problem, _ = series_column()
    bottom, top = pads(problem.points, top=np.ones(6, dtype=bool))
    problem = Problem(
        problem.points, problem.cells, problem.elasticity, rigid_bodies=(bottom, top), lattice=problem.lattice
    )
    motion = np.array([0.05, -0.02, -0.3, 0.01, 0.0, 0.004])
    assert problem.lattice is not None

    solution = prepare(problem, "voxel-multigrid").solve(Loads(rigid={"top": RigidLoad(motion=motion)}))

    reaction = solution.rigid_reaction["top"]
    for cut in (1, 4, 5, 8):
        below = problem.lattice.cell_index[:, 2] < cut
        passed = cut_forces(problem, solution.u, below, about=top.reference)
        assert_allclose(passed.force, reaction[:3], atol=1e-6 * np.linalg.norm(reaction[:3]))
        assert_allclose(passed.moment, reaction[3:], atol=1e-6 * np.linalg.norm(reaction[:3]) * 10)


def test_cut_that_separates_nothing_is_refused():
    problem, _ = series_column()

    with pytest.raises(InputError, match="separates nothing"):
        cut_forces(problem, np.zeros_like(problem.points), np.ones(len(problem.cells), dtype=bool))


def test_eccentric_load_on_a_tilting_pad_bends_a_slender_bar_as_theory_says():
    """Pad held sideways: a propped cantilever with end moment, so rotation M L / (4 E I) and prop force 3 M / (2 L).

    Bernoulli, with Timoshenko's shear term; nu = 0 so that the pads do not clamp the section.
    """
    E, n, n_long, h = 1000.0, 6, 36, 0.5
    side, length, force, arm = n * h, n_long * h, 10.0, 0.8
    points, cells, lattice = box_mesh((n, n, n_long), h)
    reference = points[on_plane(points, 2, length)].mean(axis=0) + np.array([0.0, -arm, 0.0])
    problem = Problem(
        points, cells, uniform(len(cells), E, 0.0), rigid_bodies=pads(points, top=TILT, reference=reference),
        lattice=lattice,
    )  # fmt: skip

    solution = prepare(problem, "voxel-multigrid").solve(
        Loads(rigid={"top": RigidLoad(np.array([0, 0, -force]))}), rtol=1e-10
    )

    moment, EI, GA = force * arm, E * side**4 / 12, E / 2 * side**2 * 5 / 6
    # Tip held sideways, free to turn: V L^3 / 3EI + V L / GA = M L^2 / 2EI.
    prop = moment * length**2 / (2 * EI) / (length**3 / (3 * EI) + length / GA)
    rotation = moment * length / EI - prop * length**2 / (2 * EI)
    motion, reaction = solution.rigid_motion["top"], solution.rigid_reaction["top"]
    # The force acts at -y: it turns the pad about +x (r x F = (-arm y) x (-F z) = +arm F x).
    assert motion[3] == pytest.approx(rotation, rel=0.01)  # linear cells in bending, 6 across: (h / side)^2
    assert abs(reaction[1]) == pytest.approx(prop, rel=0.01)
    centre_shortening = motion[2] + motion[3] * arm
    assert centre_shortening == pytest.approx(-force * length / (E * side**2), rel=1e-6)
    assert motion[2] < centre_shortening


def test_betti_reciprocity_of_two_load_systems():
    points, cells, lattice = box_mesh((4, 3, 5), (1.0, 1.3, 0.8))
    bodies = pads(points, top=SLIDE)[1:]
    held = all_dofs(on_plane(points, 2, 0.0))
    problem = Problem(
        points, cells, varied_elasticity(len(cells), 9), prescribed_dofs=held, rigid_bodies=bodies, lattice=lattice
    )
    rng = np.random.default_rng(10)
    one = Loads(nodal_force=rng.standard_normal(points.shape), rigid={"top": RigidLoad(np.array([0, 0, -7.0]))})
    two = Loads(nodal_force=rng.standard_normal(points.shape), rigid={"top": RigidLoad(np.array([0, 0, 2.0]))})
    system = prepare(problem, "voxel-multigrid")
    a, b = system.solve([one, two], rtol=1e-11)
    assert one.nodal_force is not None
    assert two.nodal_force is not None

    work_ab = np.sum(one.nodal_force * b.u) + -7.0 * b.rigid_motion["top"][2]
    work_ba = np.sum(two.nodal_force * a.u) + 2.0 * a.rigid_motion["top"][2]
    energy = recover_fields(problem, a.u).strain_energy_density.sum() * 1.0 * 1.3 * 0.8

    assert work_ab == pytest.approx(work_ba, rel=1e-8)
    # Clapeyron: twice the strain energy is the work of the loads.
    assert 2 * energy == pytest.approx(np.sum(one.nodal_force * a.u) - 7.0 * a.rigid_motion["top"][2], rel=1e-8)
