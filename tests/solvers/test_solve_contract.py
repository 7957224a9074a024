"""What `prepare` and `solve` promise: the method named, failure an error, restarts, many loads, reactions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from constrained_problems import METHODS, mixed_problem, pillar
from lattices import all_dofs, distorted_box, on_plane, pads, uniform
from numpy.testing import assert_allclose, assert_array_equal

from fesolver.errors import ConvergenceError, InputError
from fesolver.fem.problem import Loads, Problem, RigidLoad
from fesolver.fem.recovery import internal_force
from fesolver.solvers.prepare import prepare, thread_count

ITERATIVE = ["amg", "voxel-multigrid"]


def test_auto_takes_direct_when_small_multigrid_on_voxels_and_amg_otherwise():
    small, _ = pillar(3)
    large, _ = pillar(9)

    assert prepare(small).method == "direct"
    assert prepare(large).method == "voxel-multigrid"
    assert prepare(replace(large, lattice=None)).method == "amg"


def test_unknown_method_and_missing_lattice_are_refused():
    problem, _ = pillar(2)

    with pytest.raises(InputError, match="unknown method 'magic'"):
        prepare(problem, "magic")
    with pytest.raises(InputError, match="needs a voxel mesh"):
        prepare(replace(problem, lattice=None), "voxel-multigrid")


def test_mesh_that_left_its_lattice_is_refused_by_the_voxel_solver():
    problem, _ = pillar(2)
    moved = problem.points.copy()
    moved[3] += 0.01
    turned = problem.cells[:, [4, 5, 6, 7, 0, 1, 2, 3]]

    with pytest.raises(InputError, match="not where the lattice says"):
        prepare(replace(problem, points=moved), "voxel-multigrid")
    with pytest.raises(InputError, match="not where the lattice says"):
        prepare(replace(problem, cells=turned), "voxel-multigrid")


@pytest.mark.parametrize("method", METHODS)
def test_residual_is_that_of_the_returned_displacement(method):
    problem, loads = mixed_problem()
    solution = prepare(problem, method).solve(loads, rtol=1e-9)
    held = np.concatenate([b.points for b in problem.rigid_bodies])
    is_free = np.ones(problem.points.size, dtype=bool)
    is_free[problem.prescribed_dofs] = False
    is_free[all_dofs(held)] = False

    residual = (solution.internal_force - loads.nodal_force).ravel()[is_free]

    assert solution.is_converged
    assert solution.residual_norms[-1] <= solution.rtol == 1e-9
    assert len(solution.residual_norms) == solution.iterations + 1
    by_quadrature = internal_force(problem, solution.u)  # other code than the voxel solver's: equal to round-off
    assert_allclose(solution.internal_force, by_quadrature, rtol=0, atol=1e-13 * np.abs(by_quadrature).max())
    assert np.linalg.norm(residual) < 1e-9 * 1e4  # the right-hand side has a norm below 1e4 N here


@pytest.mark.parametrize("method", METHODS)
def test_reactions_balance_and_free_motions_carry_the_given_load(method):
    problem, loads = mixed_problem()
    solution = prepare(problem, method).solve(loads, rtol=1e-11)
    clip, top = loads.rigid["clip"], loads.rigid["top"]

    assert_allclose(solution.rigid_reaction["clip"], np.concatenate([clip.force, clip.moment]), atol=1e-6)
    assert_allclose(solution.rigid_reaction["top"][[1, 2, 3, 4]], [3.0, -9.0, 4.0, -2.0], atol=1e-6)
    assert_allclose(solution.rigid_motion["top"][[0, 5]], top.motion[[0, 5]], atol=1e-12)
    support = np.zeros(problem.points.size)
    support[problem.prescribed_dofs] = (solution.internal_force - loads.nodal_force).ravel()[problem.prescribed_dofs]
    forces = support.reshape(-1, 3) + loads.nodal_force
    bodies = problem.rigid_bodies
    total = forces.sum(axis=0) + sum(solution.rigid_reaction[b.name][:3] for b in bodies)
    moment = np.cross(problem.points, forces).sum(axis=0) + sum(
        solution.rigid_reaction[b.name][3:] + np.cross(b.reference, solution.rigid_reaction[b.name][:3]) for b in bodies
    )
    assert_allclose(total, 0.0, atol=1e-6)
    assert_allclose(moment, 0.0, atol=1e-5)


@pytest.mark.parametrize("method", ITERATIVE)
def test_unconverged_solve_is_an_error_and_is_returned_only_on_request(method):
    problem, loads = pillar()
    system = prepare(problem, method)

    with pytest.raises(ConvergenceError, match=rf"{method} stopped at a relative residual of .* was asked for"):
        system.solve(loads, rtol=1e-17)
    solution = system.solve(loads, rtol=1e-17, on_failure="return")
    assert not solution.is_converged
    assert solution.residual_norms[-1] > 1e-17


@pytest.mark.parametrize("method", ITERATIVE)
def test_restart_from_the_answer_returns_it_at_once(method):
    problem, loads = mixed_problem()
    system = prepare(problem, method)
    first = system.solve(loads, rtol=1e-9)

    again = system.solve(loads, u0=first.u, rtol=2e-9)

    assert again.iterations == 0
    assert_allclose(again.u, first.u, rtol=0, atol=1e-14 * np.abs(first.u).max() * 10)


@pytest.mark.parametrize("method", METHODS)
def test_no_load_is_no_displacement_whatever_the_start(method):
    problem, loads = pillar(3)
    system = prepare(problem, method)
    bent = system.solve(loads).u

    assert_array_equal(system.solve(Loads(), u0=bent).u, 0.0)


@pytest.mark.parametrize("method", METHODS)
def test_many_right_hand_sides_superpose_and_come_back_in_order(method):
    problem, one = pillar(3)
    two = Loads(nodal_force=np.random.default_rng(1).standard_normal(problem.points.shape))
    assert two.nodal_force is not None
    both = Loads(nodal_force=two.nodal_force, rigid=one.rigid)

    solutions = prepare(problem, method).solve([one, two, both], rtol=1e-11)

    assert [type(s).__name__ for s in solutions] == ["Solution"] * 3
    assert_allclose(solutions[0].u + solutions[1].u, solutions[2].u, rtol=0, atol=1e-8 * np.abs(solutions[2].u).max())


@pytest.mark.parametrize("method", ITERATIVE)
def test_progress_counts_up_with_the_residual(method):
    problem, loads = pillar(4)
    seen = []

    solution = prepare(problem, method).solve(loads, progress=lambda n, residual: seen.append((n, residual)))

    assert [n for n, _ in seen] == list(range(1, solution.iterations + 1))
    assert seen[-1][1] <= solution.rtol


@pytest.mark.parametrize("rtol", [0.0, 1.0, -1.0, np.nan])
def test_tolerance_out_of_range_is_refused(rtol):
    problem, loads = pillar(2)

    with pytest.raises(InputError, match="rtol must lie between 0 and 1"):
        prepare(problem).solve(loads, rtol=rtol)


def test_start_that_does_not_fit_is_refused():
    problem, loads = pillar(2)
    system = prepare(problem)

    with pytest.raises(InputError, match="u0 must have shape"):
        system.solve(loads, u0=np.zeros((2, 3)))
    with pytest.raises(InputError, match="u0 must be finite"):
        system.solve(loads, u0=np.full(problem.points.shape, np.nan))


def test_new_moduli_are_checked():
    problem, _ = pillar(2)
    for method in METHODS:
        with pytest.raises(InputError, match="modulus that is zero"):
            prepare(problem, method).with_elasticity(replace(problem.elasticity, young=0 * problem.elasticity.young))


def test_thread_count_follows_argument_then_environment(monkeypatch):
    monkeypatch.setenv("FESOLVER_NUM_THREADS", "3")
    assert thread_count() == 3
    assert thread_count(1) == 1
    monkeypatch.setenv("FESOLVER_NUM_THREADS", "many")
    with pytest.raises(InputError, match="'many' is not a number"):
        thread_count()
    with pytest.raises(InputError, match="at least 1"):
        thread_count(0)


@pytest.mark.parametrize("method", ["direct", "amg", "pyamg"])
def test_distorted_mesh_is_solved_by_the_assembled_methods(method):
    points, cells = distorted_box((3, 3, 4))
    problem = Problem(points, cells, uniform(len(cells), 100.0, 0.0), rigid_bodies=pads(points))
    force = np.array([0.0, 0.0, -10.0])

    solution = prepare(problem, method).solve(Loads(rigid={"top": RigidLoad(force)}), rtol=1e-11)

    high = on_plane(points, 2, points[:, 2].max())
    area = 3.0 * 4.5
    # nu = 0 between rigid pads is uniaxial: shortening F L / (E A), on a mesh of any shape.
    assert_allclose(solution.u[high, 2], -10.0 * 3.2 / (100.0 * area), rtol=1e-8)
