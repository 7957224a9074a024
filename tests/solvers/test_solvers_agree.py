"""Three independent paths to one answer, and that answer against a dense reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from constrained_problems import METHODS, mixed_problem
from dense_reference import dense_stiffness
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lattices import (
    FIXED,
    FREE,
    SLIDE,
    TILT,
    all_dofs,
    box_mesh,
    largest_part,
    on_plane,
    pads,
    uniform,
    varied_elasticity,
    voxel_mesh,
)
from numpy.testing import assert_allclose

from fesolver.fem.constraints import rigid_modes
from fesolver.fem.problem import Elasticity, LinearTie, Loads, Problem, RigidLoad
from fesolver.solvers.prepare import prepare

RTOL = 1e-11


def reference_displacement(problem: Problem, loads: Loads) -> np.ndarray:
    """Dense solve with Lagrange multipliers for every constraint: no reduction, no sparse matrix."""
    n = problem.points.size
    K = dense_stiffness(problem)
    f = np.zeros(n) if loads.nodal_force is None else loads.nodal_force.ravel().copy()
    n_motions = 6 * len(problem.rigid_bodies)
    rows, values = [], []
    for at, dof in enumerate(problem.prescribed_dofs):
        rows.append(np.eye(n + n_motions)[dof])
        values.append(0.0 if loads.prescribed is None else loads.prescribed[at])
    external = np.concatenate([f, np.zeros(n_motions)])
    for b, body in enumerate(problem.rigid_bodies):
        load = loads.rigid.get(body.name, RigidLoad())
        at = n + 6 * b
        external[at : at + 6] = np.concatenate([load.force, load.moment])
        for point in body.points:
            mode = rigid_modes(problem.points[point][None], body.reference)[0]
            for component in range(3):
                row = np.zeros(n + n_motions)
                row[3 * point + component] = 1.0
                row[at : at + 6] = -mode[component]
                rows.append(row)
                values.append(0.0)
        for motion in np.flatnonzero(body.is_fixed):
            rows.append(np.eye(n + n_motions)[at + motion])
            values.append(load.motion[motion])
    for tie in problem.ties:
        row = np.zeros(n + n_motions)
        row[tie.dof] = 1.0
        row[tie.masters] -= tie.weights
        rows.append(row)
        values.append(0.0)
    C = np.array(rows)
    m = len(C)
    full = np.zeros((n + n_motions + m,) * 2)
    full[:n, :n] = K
    full[n + n_motions :, : n + n_motions] = C
    full[: n + n_motions, n + n_motions :] = C.T
    solution = np.linalg.lstsq(full, np.concatenate([external, values]), rcond=None)[0]
    return solution[:n].reshape(-1, 3)


@pytest.mark.parametrize("integration", ["b-bar", "full"])
@pytest.mark.parametrize("method", METHODS)
def test_every_constraint_at_once_matches_lagrange_multipliers(method, integration):
    problem, loads = mixed_problem(integration)
    expected = reference_displacement(problem, loads)

    solution = prepare(problem, method).solve(loads, rtol=RTOL)

    assert solution.method == method
    # rtol times the condition number of the reduced problem, some 1e3.
    assert_allclose(solution.u, expected, rtol=0, atol=1e-7 * np.abs(expected).max())


@pytest.mark.parametrize("method", ["direct", "amg", "pyamg"])
def test_ties_match_lagrange_multipliers(method):
    problem, loads = mixed_problem()
    corner = np.flatnonzero((problem.points[:, 0] == 5.0) & (problem.points[:, 2] > 2.5) & (problem.points[:, 2] < 6.0))
    a, b, c = (int(p) for p in corner[:3])
    ties = (
        LinearTie(3 * a, np.array([3 * b, 3 * c + 1]), np.array([0.7, -0.2])),
        LinearTie(3 * a + 2, np.array([3 * int(problem.rigid_bodies[0].points[0]) + 2]), np.array([0.5])),
    )
    problem = replace(problem, ties=ties)
    expected = reference_displacement(problem, loads)

    u = prepare(problem, method).solve(loads, rtol=RTOL).u

    assert_allclose(u, expected, rtol=0, atol=1e-7 * np.abs(expected).max())
    assert u[a, 0] == pytest.approx(0.7 * u[b, 0] - 0.2 * u[c, 1], rel=1e-12)


@pytest.mark.parametrize("top", [FIXED, SLIDE, TILT, FREE], ids=["fixed", "slide", "tilt", "free"])
def test_float32_preconditioner_does_not_decide_the_answer(top):
    points, cells, lattice = box_mesh((9, 7, 12), (1.5, 1.7, 1.2))
    rng = np.random.default_rng(5)
    z = points[cells].mean(axis=1)[:, 2]
    is_disc = (z > 6.0) & (z < 9.0)
    young = np.where(is_disc, 1.0, 10 ** rng.uniform(1, 4, len(cells)))
    problem = Problem(
        points, cells, Elasticity(young, np.where(is_disc, 0.499, 0.3)), rigid_bodies=pads(points, top=top),
        lattice=lattice,
    )  # fmt: skip
    load = RigidLoad(np.array([0, 0, -500.0]), np.array([300.0, -200.0, 0]), 0.01 * rng.standard_normal(6))
    loads = Loads(rigid={"top": load})

    exact = prepare(problem, "direct").solve(loads).u
    u = prepare(problem, "voxel-multigrid").solve(loads, rtol=1e-10).u

    assert_allclose(u, exact, rtol=0, atol=1e-7 * np.abs(exact).max())


def test_new_moduli_give_what_a_fresh_system_gives():
    problem, loads = mixed_problem()
    other = varied_elasticity(len(problem.cells), seed=77)
    for method in METHODS:
        changed = prepare(problem, method).with_elasticity(other)
        fresh = prepare(replace(problem, elasticity=other), method)

        assert np.array_equal(changed.solve(loads, rtol=1e-9).u, fresh.solve(loads, rtol=1e-9).u), method


def test_no_rigid_body_and_no_free_unknown_are_solved_too():
    points, cells, lattice = box_mesh((3, 3, 3))
    held = all_dofs(on_plane(points, 2, 0.0))
    force = np.zeros_like(points)
    force[on_plane(points, 2, 3.0)] = [1.0, 2.0, -3.0]
    problem = Problem(points, cells, uniform(27), prescribed_dofs=held, lattice=lattice)
    everything = replace(problem, prescribed_dofs=np.arange(points.size))
    given = 1e-3 * np.random.default_rng(0).standard_normal(points.size)
    exact = prepare(problem, "direct").solve(Loads(nodal_force=force)).u

    for method in METHODS:
        assert_allclose(
            prepare(problem, method).solve(Loads(force), rtol=RTOL).u, exact, atol=1e-9 * np.abs(exact).max()
        )
        assert_allclose(prepare(everything, method).solve(Loads(prescribed=given)).u.ravel(), given, rtol=1e-15)


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    spacing=st.tuples(*[st.floats(0.5, 2.0)] * 3),
    seed=st.integers(0, 2**16),
    top=st.sampled_from([FIXED, SLIDE, TILT, FREE]),
    integration=st.sampled_from(["b-bar", "full"]),
)
def test_random_shapes_give_one_answer_and_balance(shape, spacing, seed, top, integration):
    rng = np.random.default_rng(seed)
    active = largest_part(rng.random(shape) < 0.75)
    points, cells, lattice = voxel_mesh(active, spacing)
    problem = Problem(
        points, cells, varied_elasticity(len(cells), seed), rigid_bodies=pads(points, top=top), lattice=lattice,
        integration=integration,
    )  # fmt: skip
    load = RigidLoad(rng.standard_normal(3), rng.standard_normal(3), 0.1 * rng.standard_normal(6))
    force = rng.standard_normal(points.shape)
    loads = Loads(nodal_force=force, rigid={"top": load})

    exact = prepare(problem, "direct").solve(loads)
    solution = prepare(problem, "voxel-multigrid").solve(loads, rtol=1e-10)

    assert_allclose(solution.u, exact.u, rtol=0, atol=1e-6 * np.abs(exact.u).max())
    # What the pads put on the mesh and the nodal forces balance; internal forces balance by themselves.
    total = force.sum(axis=0) + sum(reaction[:3] for reaction in solution.rigid_reaction.values())
    assert_allclose(total, 0.0, atol=1e-7 * np.abs(solution.internal_force).max() * len(points))
